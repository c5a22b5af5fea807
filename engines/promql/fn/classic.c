/* Quantiles and fractions of classic histograms. Within a bucket observations are taken to be
 * spread evenly; the lowest bucket begins at 0 when its bound is positive; the +Inf bucket has no
 * width, so a quantile in it answers the greatest finite bound.
 *
 * Cumulative counts may fall from one bucket to the next: scraped while changing, or summed in
 * another order. Relative differences below 1e-12 are rounding and are ignored either way; larger
 * falls are filled up to the count before.
 * Source: Prometheus' documentation of histogram_quantile. */
#include "engines/promql/fn/classic_int.h"

#include "codec/nhist.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define ROUNDING 1e-12

static int by_bound(const void *a, const void *b)
{
    const struct classic_bucket *x = a;
    const struct classic_bucket *y = b;
    return (x->upper > y->upper) - (x->upper < y->upper);
}

/* Sorted, equal bounds added up. Returns how many are left. */
static uint32_t sort_and_join(struct classic_bucket *b, uint32_t n)
{
    bool sorted = true;
    for (uint32_t i = 1; i < n; i++) {
        sorted = sorted && b[i - 1].upper <= b[i].upper;
    }
    if (!sorted) {
        qsort(b, n, sizeof *b, by_bound);
    }
    uint32_t out = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (b[i].upper == b[out].upper) {
            b[out].count += b[i].count;
        } else {
            out++;
            b[out] = b[i];
        }
    }
    return out + 1;
}

/* Prometheus' measure of "the same but for rounding". */
static bool almost_equal(double a, double b)
{
    if (is_stale_nan(a) || is_stale_nan(b)) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if ((isnan(a) && isnan(b)) || a == b) {
        return true;
    }
    const double sum = fabs(a) + fabs(b);
    const double diff = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN) {
        return diff < ROUNDING * DBL_MIN;
    }
    return diff / (sum < DBL_MAX ? sum : DBL_MAX) < ROUNDING;
}

static void lift_falls(struct classic_bucket *b, uint32_t n, struct classic_lift *lift)
{
    double before = b[0].count;
    for (uint32_t i = 1; i < n; i++) {
        const double count = b[i].count;
        if (count == before) {
            continue;
        }
        if (almost_equal(before, count)) {
            b[i].count = before;
        } else if (count < before) {
            b[i].count = before;
            lift->forced = true;
            lift->upper_min = b[i].upper < lift->upper_min ? b[i].upper : lift->upper_min;
            lift->upper_max = b[i].upper > lift->upper_max ? b[i].upper : lift->upper_max;
            lift->diff_max = before - count > lift->diff_max ? before - count : lift->diff_max;
        } else {
            before = count;
        }
    }
}

/* The first of the n - 1 lower buckets whose count reaches rank, or the last bucket. */
static uint32_t bucket_of(const struct classic_bucket *b, uint32_t n, double rank)
{
    uint32_t lo = 0;
    uint32_t hi = n - 1;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (b[mid].count >= rank) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

double classic_quantile(double q, struct classic_bucket *b, uint32_t n, struct classic_lift *lift)
{
    struct classic_lift unused;
    struct classic_lift *l = lift != NULL ? lift : &unused;
    *l = (struct classic_lift){.upper_min = (double)INFINITY, .upper_max = -(double)INFINITY};
    ASSERT(n > 0);
    if (isnan(q)) {
        return (double)NAN;
    }
    if (q < 0 || q > 1) {
        return q < 0 ? -(double)INFINITY : (double)INFINITY;
    }
    n = sort_and_join(b, n);
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0)) {
        return (double)NAN;
    }
    lift_falls(b, n, l);
    const double all = b[n - 1].count;
    if (n < 2 || all == 0) {
        return (double)NAN;
    }
    double rank = q * all;
    const uint32_t i = bucket_of(b, n, rank);
    if (i == n - 1) {
        return b[n - 2].upper;
    }
    if (i == 0 && b[0].upper <= 0) {
        return b[0].upper;
    }
    double start = 0;
    double count = b[i].count;
    if (i > 0) {
        start = b[i - 1].upper;
        count -= b[i - 1].count;
        rank -= b[i - 1].count;
    }
    return start + (b[i].upper - start) * (rank / count);
}

/* Observations below a limit, found while walking the buckets upward. */
struct limit_rank {
    double limit, rank;
    bool found;
};

static void look_for(struct limit_rank *r, double lower, const struct classic_bucket *b,
                     double below)
{
    if (r->found) {
        return;
    }
    if (lower >= r->limit) {
        r->rank = below;
        r->found = true;
    } else if (b->upper > r->limit) {
        /* A bucket open downward cannot be divided: all of it is below. */
        r->rank = isinf(lower)
                      ? b->count
                      : below + (b->count - below) * (r->limit - lower) / (b->upper - lower);
        r->found = true;
    }
}

double classic_fraction(double lower, double upper, struct classic_bucket *b, uint32_t n)
{
    ASSERT(n > 0);
    n = sort_and_join(b, n);
    if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0)) {
        return (double)NAN;
    }
    const double all = b[n - 1].count;
    if (all == 0 || isnan(lower) || isnan(upper)) {
        return (double)NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    struct limit_rank from = {.limit = lower};
    struct limit_rank to = {.limit = upper};
    double start = b[0].upper <= 0 ? -(double)INFINITY : 0;
    double below = 0;
    for (uint32_t i = 0; i < n && !(from.found && to.found); i++) {
        look_for(&from, start, &b[i], below);
        look_for(&to, start, &b[i], below);
        start = b[i].upper;
        below = b[i].count;
    }
    const double first = !from.found || from.rank > all ? all : from.rank;
    const double last = !to.found || to.rank > all ? all : to.rank;
    return (last - first) / all;
}
