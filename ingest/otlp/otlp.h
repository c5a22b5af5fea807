/* POST /v1/metrics and /api/v1/otlp/v1/metrics: OpenTelemetry metrics over HTTP (OTLP 1.x,
 * protobuf or JSON; gzip, zstd), into the store, named as Prometheus names them.
 *
 * Gauges, cumulative sums and histograms, exponential histograms (native ones here), summaries,
 * exemplars, start times; "no recorded value" marks a series stale. Delta sums and histograms are
 * refused: they would need a memory of their own. What is refused is counted, by reason here and as
 * partial_success.rejected_data_points in the answer, which is 200 as the protocol wants; 400 is
 * for bodies that are no request, 413 for those above a bound, 415 for other media types, 503 with
 * Retry-After for "later". Answers are in the language of the request.
 *
 * thread: begin, data and end on HTTP threads; the answer comes from the store's committer. */
#ifndef INGEST_OTLP_OTLP_H
#define INGEST_OTLP_OTLP_H

#include "codec/conf.h"
#include "codec/expo.h"
#include "engines/tsdb/tsdb.h"
#include "net/http_server.h"

struct otlp_config {
    uint64_t body_bytes_max;     /* as sent */
    uint64_t unpacked_bytes_max; /* after gzip */
    int64_t requests_max;        /* received or waiting for the disk at once; more get 503 */
    int64_t series_max;          /* series that OTLP may create; 0 = the store's bound */
    struct conf_strs promote_resource_attributes; /* become labels of every series */
    bool keep_identifying_resource_attributes;    /* service.* in target_info too */
    struct str translation_strategy;              /* see otlp_config_check */
};
const struct conf_field *otlp_config_fields(size_t *count);
/* ERR_INPUT for a translation_strategy that is none of UnderscoreEscapingWithSuffixes,
 * UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes, NoTranslation. */
MUST_USE bool otlp_config_check(const struct otlp_config *c, struct err *e);

#define OTLP_ROUTES 2

struct otlp;
/* c, db and m are borrowed until free. */
MUST_USE bool otlp_new(const struct otlp_config *c, struct tsdb *db, struct mem *m,
                       struct otlp **out, struct err *e);
/* No request may be open. NULL: nothing. */
void otlp_free(struct otlp *o);
/* Route i < OTLP_ROUTES; app is o. */
struct http_route otlp_route(struct otlp *o, unsigned i);
/* farol_otlp_*: requests by result, samples, data points rejected by reason. thread: any. */
void otlp_publish(struct otlp *o, struct expo *x);

#endif
