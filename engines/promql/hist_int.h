/* Arithmetic on native histograms as PromQL defines it. Operands are not changed; results are new,
 * in the arena, and may be of a coarser schema when the operands differ. NULL at the arena's cap.
 * Source: Prometheus' FloatHistogram semantics (native histogram specification). */
#ifndef ENGINES_PROMQL_HIST_INT_H
#define ENGINES_PROMQL_HIST_INT_H

#include "codec/nhist.h"

enum hist_trouble {
    HIST_OK,
    HIST_INCOMPATIBLE_SCHEMA = 1, /* exponential with custom bounds: no result */
    HIST_BOUNDS_RECONCILED = 2,   /* custom bounds differed: the common ones were kept (info) */
    HIST_RESET_CONFLICT = 4,      /* reset and no-reset hints met (warning) */
};
/* comp carries Kahan-Neumaier compensation between calls of hist_add_kahan (NULL at first). */
struct nhist *hist_add(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble);
struct nhist *hist_sub(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble);
struct nhist *hist_add_kahan(const struct nhist *sum, struct nhist **comp, const struct nhist *b,
                             struct arena *m, unsigned *trouble);
struct nhist *hist_scale(const struct nhist *h, double by, struct arena *m); /* mul */
struct nhist *hist_div(const struct nhist *h, double by, struct arena *m);
/* Empty buckets and spans joined or dropped, as Compact(0). */
struct nhist *hist_compact(const struct nhist *h, struct arena *m);
struct nhist *hist_to_schema(const struct nhist *h, int32_t schema, struct arena *m);
bool hist_equal(const struct nhist *a, const struct nhist *b); /* ==: by value, after compaction */
/* True when cur must have been reset since prev (counter histograms). */
bool hist_detect_reset(const struct nhist *cur, const struct nhist *prev);
double hist_quantile(double q, const struct nhist *h, bool *forced_monotonic);
double hist_fraction(double lower, double upper, const struct nhist *h);
double hist_stddev(const struct nhist *h);
double hist_stdvar(const struct nhist *h);
/* Keeps what lies below (upper) or above (lower) the value: </ and >/. */
struct nhist *hist_trim(const struct nhist *h, double at, bool keep_below, struct arena *m);
/* {count:4, sum:5, (0.5,1]:1, ...} as Prometheus prints a histogram in string form. */
void hist_print(const struct nhist *h, struct buf *out);
/* Bucket i in order from the most negative to the most positive; false past the last. For JSON
 * answers ([boundaries, lower, upper, count]) and quantiles. */
struct hist_bucket {
    double lower, upper, count;
    bool lower_inclusive, upper_inclusive;
};
struct hist_iter {
    const struct nhist *h;
    int32_t phase, span, in_span, idx;
    int32_t bucket;
};
void hist_iter_init(struct hist_iter *it, const struct nhist *h);
bool hist_iter_next(struct hist_iter *it, struct hist_bucket *out);

#endif
