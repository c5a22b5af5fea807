/* Arithmetic on native histograms as PromQL defines it. Operands are not changed; results are new,
 * in the arena, and may be of a coarser schema when the operands differ. NULL at the arena's cap.
 * Source: Prometheus' FloatHistogram semantics (native histogram specification). */
#ifndef ENGINES_PROMQL_HIST_INT_H
#define ENGINES_PROMQL_HIST_INT_H

#include "codec/nhist.h"

#include <float.h>

/* One step of Kahan-Neumaier summation: *sum + x, what is lost goes to *comp. */
static inline void kahan_inc(double x, double *sum, double *comp)
{
    const double t = *sum + x;
    const double as = *sum < 0 ? -*sum : *sum;
    const double ax = x < 0 ? -x : x;
    if (t > DBL_MAX || t < -DBL_MAX) {
        *comp = 0;
    } else if (as >= ax) {
        *comp += (*sum - t) + x;
    } else {
        *comp += (x - t) + *sum;
    }
    *sum = t;
}

enum hist_trouble {
    HIST_OK,
    HIST_INCOMPATIBLE_SCHEMA = 1, /* exponential with custom bounds: no result */
    HIST_BOUNDS_RECONCILED = 2,   /* custom bounds differed: the common ones were kept (info) */
    HIST_RESET_CONFLICT = 4,      /* reset and no-reset hints met (warning) */
};
/* add and sub: NULL with HIST_INCOMPATIBLE_SCHEMA in *trouble, or NULL alone when memory ran out.
 * *trouble is only added to. The result of sub carries the hints' common one; the operator "-"
 * makes it NHIST_GAUGE itself. comp carries Kahan-Neumaier compensation between calls of
 * hist_add_kahan (NULL at first); at the end the sum is hist_add(sum, comp).
 * A sum of many: struct hist_acc below, which works in place. */
struct nhist *hist_add(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble);
struct nhist *hist_sub(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble);
struct nhist *hist_add_kahan(const struct nhist *sum, struct nhist **comp, const struct nhist *b,
                             struct arena *m, unsigned *trouble);
/* A side as a list in ascending order of index; comp is the compensation of each count. */
struct hist_list {
    int32_t *idx;
    double *count, *comp;
    uint32_t n, cap;
};
/* A sum of many histograms, in place: no copy per histogram. With kahan, compensated as
 * sum_over_time and sum() are. Lives in the arena; a struct copy is not a copy (hist_acc_copy). */
struct hist_acc {
    struct arena *arena;
    struct nhist h; /* all but the sides; borrows the custom bounds of the first histogram */
    double zero_comp, count_comp, sum_comp;
    struct hist_list pos, neg, other;
    unsigned trouble; /* enum hist_trouble */
    bool kahan;
};
MUST_USE bool hist_acc_init(struct hist_acc *s, const struct nhist *first, bool kahan,
                            struct arena *m);
/* false: HIST_INCOMPATIBLE_SCHEMA in trouble (the sum is unchanged), else out of memory. */
MUST_USE bool hist_acc_add(struct hist_acc *s, const struct nhist *h);
MUST_USE bool hist_acc_sub(struct hist_acc *s, const struct nhist *h);
void hist_acc_compact(struct hist_acc *s);
MUST_USE bool hist_acc_copy(struct hist_acc *to, const struct hist_acc *from);
void hist_acc_scale(struct hist_acc *s, double by); /* compensation too */
void hist_acc_div(struct hist_acc *s, double by);
bool hist_acc_overflowed(const struct hist_acc *s); /* something in it is infinite */
/* The sum with its compensation; NULL at the arena's cap. */
struct nhist *hist_acc_value(const struct hist_acc *s);

/* The mean of many as avg_over_time and avg() compute it: a sum divided at the end, or, once the
 * sum would overflow, an incremental mean. */
struct hist_mean {
    struct hist_acc sum; /* incremental: the mean */
    double n;
    bool incremental, careful;
};
MUST_USE bool hist_mean_init(struct hist_mean *a, const struct nhist *first, struct arena *m);
MUST_USE bool hist_mean_add(struct hist_mean *a, const struct nhist *h); /* as hist_acc_add */
struct nhist *hist_mean_value(struct hist_mean *a);                      /* ends it */

struct nhist *hist_scale(const struct nhist *h, double by, struct arena *m); /* mul */
struct nhist *hist_div(const struct nhist *h, double by, struct arena *m);
/* Empty buckets and spans joined or dropped, as Compact(0). */
struct nhist *hist_compact(const struct nhist *h, struct arena *m);
/* Coarser; a copy when it is not finer than that, or has custom bounds. */
struct nhist *hist_to_schema(const struct nhist *h, int32_t schema, struct arena *m);
/* ==: the same explicit buckets (also the empty ones) with the same bits; how spans cut them and
 * the reset hint do not matter. */
bool hist_equal(const struct nhist *a, const struct nhist *b);
/* True when cur must have been reset since prev (counter histograms). */
bool hist_detect_reset(const struct nhist *cur, const struct nhist *prev);
/* What NaN observations did to an answer; added to *nan, which may be NULL. */
enum hist_nan {
    HIST_NAN_RESULT = 1,   /* the quantile lies among them: NaN */
    HIST_NAN_SKEW = 2,     /* the quantile is skewed higher */
    HIST_NAN_EXCLUDED = 4, /* they are in no fraction */
};
double hist_quantile(double q, const struct nhist *h, unsigned *nan);
double hist_fraction(double lower, double upper, const struct nhist *h, unsigned *nan);
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
    bool reverse;
    bool raw; /* for hist_print: bounds not cut by the zero bucket, which may hold less than 0 */
};
void hist_iter_init(struct hist_iter *it, const struct nhist *h);
void hist_iter_init_reverse(struct hist_iter *it, const struct nhist *h); /* positive first */
bool hist_iter_next(struct hist_iter *it, struct hist_bucket *out);

#endif
