/* The trimming operators: `h </ x` keeps the observations at or below x, `h >/ x` those above.
 *
 * A bucket that x divides keeps the share that lies on its side, estimated as histogram_fraction
 * does. When anything was cut, count and sum are estimated anew from what is left: each bucket
 * counts with its middle, arithmetic for custom buckets and the zero bucket, geometric for
 * exponential ones. A bucket without an end on one side cannot be divided and is kept or dropped
 * whole.
 * Source: Prometheus' documentation of the trim operators. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

/* What is left of a bucket: how many observations, and the value that stands for them. */
struct rest {
    double count, middle;
};

struct trim {
    const struct nhist *h;
    double at;
    bool below; /* keep what is below */
    bool linear;
    bool has_pos, has_neg; /* populated buckets */
    bool cut;
    double count, sum; /* of all rests */
};

static double finite_or_0(double v)
{
    return isinf(v) ? 0 : v;
}

static double middle_of(const struct trim *t, double lower, double upper, bool positive)
{
    if (isinf(lower)) {
        if (isinf(upper)) {
            return 0;
        }
        return upper > 0 ? upper / 2 : upper;
    }
    if (isinf(upper)) {
        return lower;
    }
    if (t->linear) {
        return (lower + upper) / 2;
    }
    const double middle = sqrt(fabs(lower * upper));
    return positive ? middle : -middle;
}

/* A bucket from -Inf. With a positive end it is taken to begin at 0. */
static struct rest cut_open_below(const struct trim *t, const struct hist_bucket *b)
{
    const bool from_0 = b->upper > 0 && !isinf(b->upper);
    if (t->below) {
        if (t->at >= b->upper) {
            return (struct rest){b->count, 0};
        }
        if (t->at > 0 && from_0) {
            return (struct rest){b->count * t->at / b->upper, t->at / 2};
        }
        if (b->upper <= 0) {
            return (struct rest){b->count, t->at};
        }
        return (struct rest){0, finite_or_0(b->upper)};
    }
    if (t->at <= b->lower) {
        return (struct rest){b->count, 0};
    }
    if (t->at >= 0 && from_0 && b->upper > t->at) {
        return (struct rest){b->count * (1 - t->at / b->upper), (t->at + b->upper) / 2};
    }
    return (struct rest){0, finite_or_0(b->upper)};
}

static double count_below(const struct trim *t, const struct hist_bucket *b)
{
    if (t->at <= b->lower) {
        return 0;
    }
    if (t->at >= b->upper) {
        return b->count;
    }
    return b->count * hist_share_below(b, t->at, t->linear);
}

static struct rest cut_bucket(const struct trim *t, const struct hist_bucket *b, bool positive)
{
    if (isinf(b->lower) && b->lower < 0) {
        return cut_open_below(t, b);
    }
    if (isinf(b->upper)) {
        if (!t->below && t->at >= b->lower) {
            return (struct rest){b->count, t->at};
        }
        return (struct rest){0, finite_or_0(b->lower)};
    }
    const double under = count_below(t, b);
    if (t->below) {
        return (struct rest){under, middle_of(t, b->lower, t->at, positive)};
    }
    return (struct rest){b->count - under, middle_of(t, t->at, b->upper, positive)};
}

static struct rest trim_bucket(const struct trim *t, const struct hist_bucket *b, bool positive)
{
    const bool whole = t->below ? b->upper <= t->at : b->lower >= t->at;
    if (whole) {
        return (struct rest){b->count, middle_of(t, b->lower, b->upper, positive)};
    }
    const bool divided = t->below ? b->lower < t->at : b->upper > t->at;
    return divided ? cut_bucket(t, b, positive) : (struct rest){0, 0};
}

static void trim_side(struct trim *t, struct nhist_side *side, bool positive)
{
    struct hist_walk w = hist_walk_of(side);
    int32_t idx = 0;
    double count = 0;
    while (hist_walk_next(&w, &idx, &count)) {
        if (count == 0) {
            continue;
        }
        *(positive ? &t->has_pos : &t->has_neg) = true;
        const double near = hist_upper(t->h, idx - 1);
        const double far = hist_upper(t->h, idx);
        const struct hist_bucket b = {
            .lower = positive ? near : -far, .upper = positive ? far : -near, .count = count};
        const struct rest rest = trim_bucket(t, &b, positive);
        if (rest.count != 0) {
            t->count += rest.count;
            t->sum += rest.middle * rest.count;
        }
        if (rest.count != count) {
            side->counts[w.bucket - 1] = rest.count;
            t->cut = true;
        }
    }
}

static struct rest trim_zero(const struct trim *t)
{
    const double all = t->h->zero_count;
    const double lower = t->has_pos && !t->has_neg ? 0 : -t->h->zero_threshold;
    const double upper = t->has_neg && !t->has_pos ? 0 : t->h->zero_threshold;
    const bool whole = t->below ? t->at > lower && t->at >= upper : t->at <= lower;
    if (whole) {
        return (struct rest){all, (lower + upper) / 2};
    }
    if (t->below ? t->at <= lower : t->at >= upper) {
        return (struct rest){0, 0};
    }
    if (t->below) {
        return (struct rest){all * ((t->at - lower) / (upper - lower)), (lower + t->at) / 2};
    }
    return (struct rest){all * ((upper - t->at) / (upper - lower)), (t->at + upper) / 2};
}

struct nhist *hist_trim(const struct nhist *h, double at, bool keep_below, struct arena *m)
{
    struct nhist *out = nhist_copy(h, m);
    if (out == NULL) {
        return NULL;
    }
    struct trim t = {.h = h, .at = at, .below = keep_below, .linear = hist_custom(h)};
    trim_side(&t, &out->pos, true);
    trim_side(&t, &out->neg, false);
    if (h->zero_count > 0) {
        const struct rest rest = trim_zero(&t);
        t.cut = t.cut || rest.count != h->zero_count;
        out->zero_count = rest.count;
        t.sum += rest.middle * rest.count;
        t.count += rest.count;
    }
    if (!t.cut) {
        return out;
    }
    out->integer = false;
    out->count = t.count;
    out->sum = t.sum;
    return hist_compact(out, m);
}
