/* From the bytes of one request to a batch. Pure but for the store's series. */
#ifndef INGEST_OTLP_DECODE_INT_H
#define INGEST_OTLP_DECODE_INT_H

#include "codec/pb.h"
#include "ingest/otlp/otlp.h"

/* Why a data point was not stored. */
enum otlp_drop {
    OTLP_DELTA,     /* delta or unspecified temporality */
    OTLP_LABELS,    /* no name, bad UTF-8, above bounds of labels */
    OTLP_LIMIT,     /* a bound on series */
    OTLP_HISTOGRAM, /* buckets and bounds do not fit, or a scale below -4 */
    OTLP_KIND,      /* a metric without data of a kind we know */
};
#define OTLP_DROPS 5

struct otlp_attr {
    struct str key, value; /* value as text */
};
struct otlp_attrs {
    struct otlp_attr *v; /* by key */
    uint32_t n;
};

/* How names are written. */
struct otlp_naming {
    bool escape;   /* to [a-zA-Z0-9_:] */
    bool suffixes; /* unit and type */
};

struct otlp_decoder {
    const struct otlp_config *config;
    struct otlp_naming naming;
    struct tsdb *db;
    struct tsdb_batch *batch;
    struct arena *arena; /* of the request */
    struct buf *text;    /* scratch */
    uint32_t source;

    /* Of the resource. */
    struct otlp_attrs resource;
    struct str job, instance;
    int64_t first_ms, last_ms; /* of its samples */

    /* Of the metric. */
    struct str name; /* translated */
    bool exemplars;

    /* Of the point: labels without the name. */
    struct label base[LABELS_COUNT_MAX];
    uint32_t base_n;
    bool bad; /* something of it was refused */
    struct label labels[LABELS_COUNT_MAX];

    uint64_t points, dropped[OTLP_DROPS];
    struct err first; /* of the first thing dropped */
};

/* Fills d->batch. false: nothing of the request can be used. Linear in bytes, but for the labels of
 * one series. */
MUST_USE bool otlp_decode(struct otlp_decoder *d, struct str bytes, struct err *e);

/* --- attrs.c ---------------------------------------------------------------------------------- */

/* The KeyValue entries in field `number` of a message, values as text, sorted by key. */
MUST_USE bool otlp_attrs_read(struct otlp_decoder *d, struct str message, uint32_t number,
                              struct otlp_attrs *out, struct err *e);
struct str otlp_attr_get(const struct otlp_attrs *a, struct str key); /* {NULL, 0}: absent */

/* --- names.c ---------------------------------------------------------------------------------- */

enum otlp_kind { OTLP_GAUGE, OTLP_COUNTER, OTLP_UPDOWN, OTLP_OTHER };
/* {NULL, 0} without memory. */
struct str otlp_metric_name(struct otlp_naming how, struct str name, struct str unit,
                            enum otlp_kind kind, struct buf *text, struct arena *a);
struct str otlp_label_name(struct otlp_naming how, struct str key, struct arena *a);

/* --- points.c --------------------------------------------------------------------------------- */

MUST_USE bool otlp_metric(struct otlp_decoder *d, struct str bytes, struct err *e);
/* One sample of the series `name` + base labels + extra (extra.name.n 0: none). *ref 0: dropped. */
MUST_USE bool otlp_add(struct otlp_decoder *d, struct str name, struct label extra, int64_t t_ms,
                       int64_t st_ms, double v, uint32_t *ref, struct err *e);
/* The series itself. */
MUST_USE bool otlp_series(struct otlp_decoder *d, struct str name, struct label extra,
                          uint32_t *ref, struct err *e);
void otlp_drop(struct otlp_decoder *d, enum otlp_drop why, const struct err *e);
/* The metric's name and a suffix; {NULL, 0} without memory or name. */
struct str otlp_suffixed(struct otlp_decoder *d, const char *suffix);
/* Base labels of a point with these attributes. */
void otlp_base(struct otlp_decoder *d, const struct otlp_attrs *attrs);

/* --- hist.c ----------------------------------------------------------------------------------- */

MUST_USE bool otlp_histogram_point(struct otlp_decoder *d, struct str bytes, struct err *e);
MUST_USE bool otlp_exponential_point(struct otlp_decoder *d, struct str bytes, struct err *e);
/* Exemplar messages in field `number` of a point: each to the first of n series whose bound is not
 * below it; the last series has none (+Inf). Bad ones are left out: they are a sample of
 * samples. */
MUST_USE bool otlp_exemplars(struct otlp_decoder *d, struct str point, uint32_t number,
                             const double *bounds, const uint32_t *refs, uint32_t n, struct err *e);
static inline int64_t otlp_ms(uint64_t ns)
{
    return (int64_t)(ns / 1000000);
}

#endif
