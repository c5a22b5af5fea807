/* POST /api/v1/write: Prometheus remote write 1.0 and 2.0, into the store.
 *
 * An answer of 2xx means durable and visible. 1.0: one refused sample, or one histogram that is not
 * valid, refuses the request (400), as Prometheus does; series whose labels are bad or above a
 * series bound are dropped, counted by reason, and do not change the answer. 2.0: what is good is
 * stored, anything refused gives 400,
 * and X-Prometheus-Remote-Write-{Samples,Histograms,Exemplars}-Written say how much was stored.
 * 415: a message or encoding we do not know. 503 with Retry-After: come back, the queue is full or
 * the disk failed; nothing of the request was stored.
 *
 * thread: begin, data and end on HTTP threads; the answer comes from the store's committer. */
#ifndef INGEST_REMOTE_WRITE_REMOTE_WRITE_H
#define INGEST_REMOTE_WRITE_REMOTE_WRITE_H

#include "codec/expo.h"
#include "engines/tsdb/tsdb.h"
#include "net/http_server.h"

struct remote_write_config {
    uint64_t body_bytes_max;     /* as sent */
    uint64_t unpacked_bytes_max; /* after snappy */
    int64_t requests_max;        /* received or waiting for the disk at once; more get 503 */
    uint64_t names_bytes_max;    /* of remembered label blocks */
    int64_t series_max;          /* series that remote writers may create; 0 = the store's bound */
};
const struct conf_field *remote_write_config_fields(size_t *count);

struct remote_write;
/* db and m are borrowed until free. */
MUST_USE bool remote_write_new(const struct remote_write_config *c, struct tsdb *db, struct mem *m,
                               struct remote_write **out, struct err *e);
/* No request may be open. NULL: nothing. */
void remote_write_free(struct remote_write *w);
/* The route of path /api/v1/write; app is w. */
struct http_route remote_write_route(struct remote_write *w);
/* farol_remote_write_*: requests by version and status, samples, drops by reason. thread: any. */
void remote_write_publish(struct remote_write *w, struct expo *x);

#endif
