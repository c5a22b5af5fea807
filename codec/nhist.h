/* Native histograms: the value of a sample that is not one number.
 *
 * Exponential buckets of schema -4..8 (bucket i covers (2^(2^-schema)^(i-1), ...^i]), or custom
 * bounds (schema -53). Counts are doubles here, absolute, not deltas; `integer` remembers that the
 * sender counted in integers. Spans as in Prometheus' model: offset to the end of the span before
 * (the first: index of its first bucket), and a length. Source: Prometheus native histograms
 * specification; remote write protobuf. */
#ifndef CODEC_NHIST_H
#define CODEC_NHIST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define NHIST_SCHEMA_MIN    (-4)
#define NHIST_SCHEMA_MAX    8
#define NHIST_SCHEMA_CUSTOM (-53)
/* Beyond NHIST_SCHEMA_MAX histograms mean something too, but are not stored: see nhist_reduce. */
#define NHIST_SCHEMA_READ_MAX 52
#define NHIST_BUCKETS_MAX     65536 /* of one histogram, both sides */

enum nhist_reset { NHIST_UNKNOWN, NHIST_RESET, NHIST_NO_RESET, NHIST_GAUGE };

struct nhist_span {
    int32_t offset;
    uint32_t length;
};

struct nhist_side {
    struct nhist_span *spans;
    double *counts; /* one per bucket of the spans */
    uint32_t spans_n, counts_n;
};

struct nhist {
    int32_t schema;
    enum nhist_reset reset;
    bool integer;
    double zero_threshold, zero_count;
    double count, sum; /* a stale marker is a histogram whose sum is the stale NaN */
    struct nhist_side pos, neg;
    double *custom; /* upper bounds, ascending, without +Inf; only with schema -53 */
    uint32_t custom_n;
};

/* Deep copy; NULL at the arena's cap. */
struct nhist *nhist_copy(const struct nhist *h, struct arena *a);
/* Spans and counts agree, schema known, bounds ascend, counts not negative (unless gauge), sum of
 * buckets fits count: Prometheus' Validate. ERR_INPUT says which. */
MUST_USE bool nhist_validate(const struct nhist *h, struct err *e);
/* Joins buckets until the schema is `schema`, less than that of h, which is exponential and may be
 * up to NHIST_SCHEMA_READ_MAX. In place; linear. ERR_INPUT: no such schemas, or spans that go
 * backward or do not fit the counts; h must not be used then. */
MUST_USE bool nhist_reduce(struct nhist *h, int32_t schema, struct err *e);
/* Bit for bit, spans as they are. */
bool nhist_same(const struct nhist *a, const struct nhist *b);

/* Self-delimiting bytes for logs and blocks; decode takes memory from the arena and validates
 * bounds (ERR_CORRUPT). Every bit of every double comes back. */
void nhist_encode(const struct nhist *h, struct buf *out);
MUST_USE bool nhist_decode(struct rd *r, struct arena *a, struct nhist **out, struct err *e);

/* The NaN that marks the end of a series, and the NaN of ordinary arithmetic. */
#define STALE_NAN_BITS  0x7ff0000000000002ULL
#define NORMAL_NAN_BITS 0x7ff8000000000001ULL
static inline bool is_stale_nan(double v)
{
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b == STALE_NAN_BITS;
}
static inline double stale_nan(void)
{
    const uint64_t b = STALE_NAN_BITS;
    double v;
    memcpy(&v, &b, sizeof v);
    return v;
}

#endif
