/* Shape of native histograms: dropping empty buckets, coarser schemas, equality, and finding out
 * whether a counter histogram was reset between two samples. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

/* The populated buckets of a side under as few spans as possible. */
static bool compact_side(const struct nhist_side *from, struct nhist_side *out, struct arena *m)
{
    *out = (struct nhist_side){0};
    uint32_t spans_n = 0;
    uint32_t counts_n = 0;
    int32_t idx = 0;
    int32_t last = 0;
    double count = 0;
    for (struct hist_walk w = hist_walk_of(from); hist_walk_next(&w, &idx, &count);) {
        if (count != 0) {
            spans_n += counts_n == 0 || idx - 1 != last;
            counts_n++;
            last = idx;
        }
    }
    if (counts_n == 0) {
        return true;
    }
    out->spans = ARENA_ARRAY(m, struct nhist_span, spans_n);
    out->counts = ARENA_ARRAY(m, double, counts_n);
    if (out->spans == NULL || out->counts == NULL) {
        return false;
    }
    for (struct hist_walk w = hist_walk_of(from); hist_walk_next(&w, &idx, &count);) {
        if (count == 0) {
            continue;
        }
        if (out->counts_n == 0 || idx - 1 != last) {
            const int32_t gap = out->counts_n == 0 ? idx : idx - last - 1;
            out->spans[out->spans_n] = (struct nhist_span){gap, 0};
            out->spans_n++;
        }
        out->spans[out->spans_n - 1].length++;
        out->counts[out->counts_n] = count;
        out->counts_n++;
        last = idx;
    }
    ASSERT(out->spans_n == spans_n);
    return true;
}

/* A new histogram with the scalars and bounds of h and no buckets. */
static struct nhist *like(const struct nhist *h, struct arena *m)
{
    struct nhist *out = ARENA_NEW(m, struct nhist);
    if (out == NULL) {
        return NULL;
    }
    *out = *h;
    out->pos = out->neg = (struct nhist_side){0};
    if (h->custom_n > 0) {
        out->custom = ARENA_ARRAY(m, double, h->custom_n);
        if (out->custom == NULL) {
            return NULL;
        }
        memcpy(out->custom, h->custom, h->custom_n * sizeof *out->custom);
    }
    return out;
}

struct nhist *hist_compact(const struct nhist *h, struct arena *m)
{
    struct nhist *out = like(h, m);
    const bool ok =
        out != NULL && compact_side(&h->pos, &out->pos, m) && compact_side(&h->neg, &out->neg, m);
    return ok ? out : NULL;
}

struct nhist *hist_to_schema(const struct nhist *h, int32_t schema, struct arena *m)
{
    if (schema >= h->schema || schema < NHIST_SCHEMA_MIN || hist_custom(h) || !hist_sound(h)) {
        return nhist_copy(h, m);
    }
    struct nhist *out = like(h, m);
    if (out == NULL) {
        return NULL;
    }
    out->schema = schema;
    out->reset = NHIST_UNKNOWN;
    const int32_t down = h->schema - schema;
    struct hist_list list = {0};
    const bool ok =
        hist_list_load(&list, &h->pos, down, false, m) && hist_list_store(&list, &out->pos, m) &&
        hist_list_load(&list, &h->neg, down, false, m) && hist_list_store(&list, &out->neg, m);
    return ok ? out : NULL;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool side_equal(const struct nhist_side *a, const struct nhist_side *b)
{
    struct hist_walk wa = hist_walk_of(a);
    struct hist_walk wb = hist_walk_of(b);
    for (;;) {
        int32_t ia = 0;
        int32_t ib = 0;
        double ca = 0;
        double cb = 0;
        const bool more_a = hist_walk_next(&wa, &ia, &ca);
        const bool more_b = hist_walk_next(&wb, &ib, &cb);
        if (more_a != more_b) {
            return false;
        }
        if (!more_a) {
            return true;
        }
        if (ia != ib || !same_bits(ca, cb)) {
            return false;
        }
    }
}

bool hist_equal(const struct nhist *a, const struct nhist *b)
{
    if (a->schema != b->schema || !same_bits(a->count, b->count) || !same_bits(a->sum, b->sum)) {
        return false;
    }
    if (hist_custom(a) && !hist_same_bounds(a, b)) {
        return false;
    }
    return a->zero_threshold == b->zero_threshold && same_bits(a->zero_count, b->zero_count) &&
           side_equal(&a->neg, &b->neg) && side_equal(&a->pos, &b->pos);
}

/* A walk that merges buckets into a coarser schema and leaves out those that end within the zero
 * bucket. */
struct merged_walk {
    struct hist_walk walk;
    int32_t schema, down;
    double skip; /* absolute value; 0 and custom bounds: skip nothing */
    int32_t idx; /* the bucket read ahead, when ahead */
    double count;
    bool ahead;
};

static struct merged_walk merged_walk_of(const struct nhist *h, const struct nhist_side *side,
                                         int32_t schema, double skip)
{
    const bool custom = hist_custom(h);
    return (struct merged_walk){.walk = hist_walk_of(side),
                                .schema = schema,
                                .down = custom ? 0 : h->schema - schema,
                                .skip = custom ? 0 : skip};
}

static bool merged_read(struct merged_walk *w)
{
    int32_t idx = 0;
    w->ahead = hist_walk_next(&w->walk, &idx, &w->count);
    w->idx = hist_coarser(idx, w->down);
    return w->ahead;
}

static bool merged_next(struct merged_walk *w, int32_t *idx, double *count)
{
    for (;;) {
        if (!w->ahead && !merged_read(w)) {
            return false;
        }
        *idx = w->idx;
        *count = w->count;
        while (merged_read(w) && w->idx == *idx) {
            *count += w->count;
        }
        if (w->skip == 0 || hist_bound(*idx, w->schema) > w->skip) {
            w->skip = 0;
            return true;
        }
    }
}

/* A populated bucket of prev that cur lacks, or one that shrank. */
static bool side_was_reset(struct merged_walk cur, struct merged_walk prev)
{
    int32_t prev_idx = 0;
    double prev_count = 0;
    int32_t cur_idx = 0;
    double cur_count = 0;
    bool more = true;
    bool begun = false;
    while (merged_next(&prev, &prev_idx, &prev_count)) {
        while (more && (!begun || cur_idx < prev_idx)) {
            more = merged_next(&cur, &cur_idx, &cur_count);
            begun = true;
        }
        if (!more || cur_idx > prev_idx) {
            if (prev_count != 0) {
                return true;
            }
        } else if (cur_count < prev_count) {
            return true;
        }
    }
    return false;
}

/* A walk over custom buckets that sums up what lies below a bound. */
struct rollup {
    const struct nhist *h;
    struct hist_walk walk;
    int32_t idx;
    double count;
    bool ahead;
};

static struct rollup rollup_of(const struct nhist *h)
{
    struct rollup r = {.h = h, .walk = hist_walk_of(&h->pos)};
    r.ahead = hist_walk_next(&r.walk, &r.idx, &r.count);
    return r;
}

static double rollup_to(struct rollup *r, double bound)
{
    double sum = 0;
    while (r->ahead && hist_upper(r->h, r->idx) <= bound) {
        sum += r->count;
        r->ahead = hist_walk_next(&r->walk, &r->idx, &r->count);
    }
    return sum;
}

/* Compares bucket by bucket between the bounds that both have, the last being +Inf. */
static bool custom_was_reset(const struct nhist *cur, const struct nhist *prev)
{
    struct rollup c = rollup_of(cur);
    struct rollup p = rollup_of(prev);
    uint32_t i = 0;
    uint32_t j = 0;
    while (i <= cur->custom_n && j <= prev->custom_n) {
        const double bc = hist_upper(cur, (int32_t)i);
        const double bp = hist_upper(prev, (int32_t)j);
        if (bc == bp) {
            const double before = rollup_to(&p, bc);
            if (rollup_to(&c, bc) < before) {
                return true;
            }
            i++;
            j++;
        } else if (bc < bp) {
            i++;
        } else {
            j++;
        }
    }
    return false;
}

bool hist_detect_reset(const struct nhist *cur, const struct nhist *prev)
{
    if (cur->reset == NHIST_RESET || cur->reset == NHIST_NO_RESET) {
        return cur->reset == NHIST_RESET;
    }
    if (cur->count < prev->count || !hist_sound(cur) || !hist_sound(prev)) {
        return true;
    }
    if (hist_custom(cur) && hist_custom(prev) && !hist_same_bounds(cur, prev)) {
        return custom_was_reset(cur, prev);
    }
    /* Better resolution or a narrower zero bucket comes with a restart only. */
    if (hist_custom(cur) != hist_custom(prev) || cur->schema > prev->schema ||
        cur->zero_threshold < prev->zero_threshold) {
        return true;
    }
    if (!hist_custom(cur)) {
        double width = cur->zero_threshold;
        const double zero = hist_wider_zero(prev, NULL, NULL, &width, NULL);
        if (width != cur->zero_threshold || cur->zero_count < zero) {
            return true;
        }
    }
    const double skip = cur->zero_threshold;
    return side_was_reset(merged_walk_of(cur, &cur->pos, cur->schema, skip),
                          merged_walk_of(prev, &prev->pos, cur->schema, skip)) ||
           side_was_reset(merged_walk_of(cur, &cur->neg, cur->schema, skip),
                          merged_walk_of(prev, &prev->neg, cur->schema, skip));
}
