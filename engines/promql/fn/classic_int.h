/* Quantiles and fractions of classic histograms: cumulative buckets told apart by label le.
 *
 * Buckets come in any order and with repeated bounds; both functions sort and merge them in place.
 * A quantile needs a +Inf bucket and counts that do not fall: small drops from rounding are
 * smoothed silently, others are lifted and reported. O(n log n). */
#ifndef ENGINES_PROMQL_CLASSIC_INT_H
#define ENGINES_PROMQL_CLASSIC_INT_H

#include "base/base.h"

struct classic_bucket {
    double upper, count;
};
/* Counts that had to be lifted so that they do not fall. */
struct classic_lift {
    bool forced;                 /* else the rest says nothing */
    double upper_min, upper_max; /* least and greatest bound of a lifted bucket */
    double diff_max;             /* largest lift */
};
/* n >= 1, no bound is NaN. lift may be NULL. NaN when there is no +Inf bucket, no observation, or
 * just one bucket; -Inf and +Inf for q below 0 and above 1. */
double classic_quantile(double q, struct classic_bucket *b, uint32_t n, struct classic_lift *lift);
/* Share of the observations between two values; NaN without +Inf bucket or observations. */
double classic_fraction(double lower, double upper, struct classic_bucket *b, uint32_t n);

#endif
