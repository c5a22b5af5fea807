/* Estimates from native histograms: quantile, fraction, standard deviation.
 *
 * Inside a bucket observations are taken to be spread evenly: on a logarithmic scale in exponential
 * buckets, on a linear one in custom buckets and in the zero bucket. The zero bucket reaches to 0
 * only, on the side where the histogram has no buckets.
 *
 * Observations of NaN count in `count` and are in no bucket; a sum that is NaN tells of them (or of
 * both infinities having been observed).
 * Source: Prometheus' documentation of histogram_quantile and histogram_fraction. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

/* One-sided histograms have no observations on the other side of 0. */
static void cut_zero_bucket(const struct nhist *h, struct hist_bucket *b)
{
    if (h->neg.counts_n == 0 && h->pos.counts_n > 0) {
        b->lower = 0;
    } else if (h->pos.counts_n == 0 && h->neg.counts_n > 0) {
        b->upper = 0;
    }
}

static double interpolate(const struct nhist *h, const struct hist_bucket *b, double fraction)
{
    if (hist_custom(h) || (b->lower <= 0 && b->upper >= 0)) {
        return b->lower + (b->upper - b->lower) * fraction;
    }
    const double low = log2(fabs(b->lower));
    const double high = log2(fabs(b->upper));
    if (b->lower > 0) {
        return exp2(low + (high - low) * fraction);
    }
    return -exp2(high + (low - high) * (1 - fraction));
}

/* Are there fewer observations in the buckets than in all? *seen are those up to now. */
static bool misses_some(struct hist_iter *it, double seen, double all)
{
    struct hist_bucket b;
    while (hist_iter_next(it, &b)) {
        seen += b.count;
    }
    return seen < all;
}

double hist_quantile(double q, const struct nhist *h, unsigned *nan)
{
    unsigned unused = 0;
    unsigned *notes = nan != NULL ? nan : &unused;
    if (q < 0 || q > 1) {
        return q < 0 ? -(double)INFINITY : (double)INFINITY;
    }
    if (h->count == 0 || isnan(q)) {
        return (double)NAN;
    }
    /* From the nearer end, for precision; but NaN observations are beyond the far end. */
    const bool sum_nan = isnan(h->sum);
    const bool forward = sum_nan || q < 0.5;
    struct hist_iter it;
    (forward ? hist_iter_init : hist_iter_init_reverse)(&it, h);
    double rank = (forward ? q : 1 - q) * h->count;
    struct hist_bucket b = {0};
    double seen = 0;
    while (hist_iter_next(&it, &b)) {
        if (b.count != 0) {
            seen += b.count;
            if (seen >= rank) {
                break;
            }
        }
    }
    if (hist_custom(h)) {
        if (isinf(b.lower) && b.lower < 0) {
            if (b.upper <= 0) {
                return b.upper;
            }
            b.lower = 0;
        } else if (isinf(b.upper) && b.upper > 0) {
            return b.lower;
        }
    } else if (b.lower < 0 && b.upper > 0) {
        cut_zero_bucket(h, &b);
    }
    /* Rounding may have made the parts more than the whole. */
    if (seen > h->count) {
        seen = h->count;
    }
    if (seen < rank) {
        *notes |= sum_nan ? HIST_NAN_RESULT : 0U;
        return sum_nan ? (double)NAN : b.upper;
    }
    rank = forward ? rank - (seen - b.count) : seen - rank;
    if (sum_nan && misses_some(&it, seen, h->count)) {
        *notes |= HIST_NAN_SKEW;
    }
    return interpolate(h, &b, rank / b.count);
}

double hist_share_below(const struct hist_bucket *b, double v, bool linear)
{
    if (linear) {
        return (v - b->lower) / (b->upper - b->lower);
    }
    const double low = log2(fabs(b->lower));
    const double high = log2(fabs(b->upper));
    const double at = log2(fabs(v));
    return v > 0 ? (at - low) / (high - low) : 1 - (at - high) / (low - high);
}

/* Number of observations below one limit, found while walking the buckets upward. */
struct limit_rank {
    double limit, rank;
    bool found;
};

static void look_for(struct limit_rank *r, const struct hist_bucket *b, double below, bool linear)
{
    if (r->found) {
        return;
    }
    if (b->lower >= r->limit) {
        r->rank = below;
        r->found = true;
    } else if (b->upper > r->limit) {
        /* A bucket open downward cannot be divided: all of it is below. */
        r->rank = linear && isinf(b->lower)
                      ? b->count
                      : below + b->count * hist_share_below(b, r->limit, linear);
        r->found = true;
    }
}

double hist_fraction(double lower, double upper, const struct nhist *h, unsigned *nan)
{
    if (h->count == 0 || isnan(lower) || isnan(upper)) {
        return (double)NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    struct limit_rank from = {.limit = lower};
    struct limit_rank to = {.limit = upper};
    double below = 0;
    double seen = 0;
    struct hist_iter it;
    hist_iter_init(&it, h);
    struct hist_bucket b;
    while (!(from.found && to.found) && hist_iter_next(&it, &b)) {
        seen += b.count;
        const bool zero = b.lower <= 0 && b.upper >= 0;
        if (zero) {
            cut_zero_bucket(h, &b);
        }
        const bool linear = zero || hist_custom(h);
        look_for(&from, &b, below, linear);
        look_for(&to, &b, below, linear);
        below += b.count;
    }
    double all = h->count;
    if (isnan(h->sum)) {
        while (hist_iter_next(&it, &b)) {
            seen += b.count;
        }
        all = seen;
        if (seen < h->count && nan != NULL) {
            *nan |= HIST_NAN_EXCLUDED;
        }
    }
    const double first = !from.found || from.rank > all ? all : from.rank;
    const double last = !to.found || to.rank > all ? all : to.rank;
    return (last - first) / h->count;
}

/* The value that stands for all observations of a bucket. */
static double representative(const struct nhist *h, const struct hist_bucket *b)
{
    if (hist_custom(h)) {
        return (b->upper + b->lower) / 2.0;
    }
    if (b->lower <= 0 && b->upper >= 0) {
        return 0;
    }
    const double middle = sqrt(b->upper * b->lower);
    return b->upper < 0 ? -middle : middle;
}

double hist_stdvar(const struct nhist *h)
{
    const double mean = h->sum / h->count;
    double sum = 0;
    double comp = 0;
    struct hist_iter it;
    hist_iter_init(&it, h);
    struct hist_bucket b;
    while (hist_iter_next(&it, &b)) {
        if (b.count != 0) {
            const double delta = representative(h, &b) - mean;
            kahan_inc(b.count * delta * delta, &sum, &comp);
        }
    }
    return (sum + comp) / h->count;
}

double hist_stddev(const struct nhist *h)
{
    return sqrt(hist_stdvar(h));
}
