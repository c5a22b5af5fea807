/* Classic buckets to a native histogram with custom bounds: see nhcb.h.
 *
 * Why at all: a classic histogram is a series per bucket, and two scrapes of it can mix; the native
 * form is one series whose buckets belong together, and PromQL reads both.
 *
 * Invariant while collecting: bounds ascend strictly, counts never fall.
 *
 * Source: what Prometheus 3 stores with convert_classic_histograms_to_nhcb, worked out again from
 * its behaviour; the specification of native histograms for the result. */
#include "codec/nhcb.h"

#include <math.h>

#define EMPTY_MAX_INTEGER 2 /* empty buckets in a row that are cheaper to keep than a new span */
#define WHOLE_MAX         0x1.0p53

void nhcb_init(struct nhcb *h, struct mem *m)
{
    *h = (struct nhcb){.mem = m};
}

void nhcb_release(struct nhcb *h)
{
    mem_give(h->mem, h->v, h->cap * sizeof *h->v);
    nhcb_init(h, h->mem);
}

void nhcb_reset(struct nhcb *h)
{
    h->n = 0;
    h->count = h->sum = 0;
    h->has_count = h->refused = false;
}

/* --- collecting --------------------------------------------------------------------------- */

static void falls(struct nhcb *h, double low, double high)
{
    h->refused = true;
    err_set(&h->why, ERR_INPUT, "bucket counts of a classic histogram must not fall: %g after %g",
            high, low);
}

/* First bucket with at least this bound. */
static size_t place_of(const struct nhcb *h, double le)
{
    size_t low = 0;
    size_t high = h->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->v[middle].le < le) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool room(struct nhcb *h)
{
    void *v = h->v;
    bool ok =
        mem_array_grow(h->mem, &v, &h->cap, h->n + 1, NHCB_BUCKETS_MAX, sizeof(struct nhcb_bucket));
    h->v = v;
    if (!ok) {
        h->refused = true;
        err_set(&h->why, ERR_LIMIT, "a classic histogram has more than %d buckets, or no memory",
                NHCB_BUCKETS_MAX);
    }
    return ok;
}

void nhcb_bucket(struct nhcb *h, double le, double count)
{
    if (h->refused) {
        return;
    }
    if (isnan(le) || count < 0) {
        h->refused = true;
        err_set(&h->why, ERR_INPUT,
                "expected a bucket of a classic histogram with a bound and a count of at least 0, "
                "found le=%g, count=%g",
                le, count);
        return;
    }
    size_t at = h->n > 0 && h->v[h->n - 1].le < le ? h->n : place_of(h, le);
    if (at < h->n && h->v[at].le <= le) {
        return; /* the same bound again */
    }
    if (at > 0 && count < h->v[at - 1].count) {
        falls(h, h->v[at - 1].count, count);
    } else if (at < h->n && count > h->v[at].count) {
        falls(h, count, h->v[at].count);
    } else if (room(h)) {
        memmove(h->v + at + 1, h->v + at, (h->n - at) * sizeof *h->v);
        h->v[at] = (struct nhcb_bucket){le, count};
        h->n++;
    }
}

void nhcb_count(struct nhcb *h, double count)
{
    if (!h->refused && count < 0) {
        h->refused = true;
        err_set(&h->why, ERR_INPUT,
                "expected a count of a classic histogram of at least 0, found %g", count);
    }
    h->count = count;
    h->has_count = true;
}

void nhcb_sum(struct nhcb *h, double sum)
{
    h->sum = sum;
}

/* --- converting --------------------------------------------------------------------------- */

static bool whole(double v)
{
    return v <= WHOLE_MAX && v == rint(v);
}

/* Buckets that are not empty, and short gaps between them, under spans. counts and spans have room
 * for all of v. */
static void fill(struct nhist_side *side, const struct nhcb_bucket *v, size_t n, size_t empty_max)
{
    double before = 0;
    size_t empty = 0;
    for (size_t i = 0; i < n; i++) {
        double own = v[i].count - before;
        before = v[i].count;
        if (own == 0) {
            empty++;
            continue;
        }
        if (side->spans_n == 0 || empty > empty_max) {
            side->spans[side->spans_n++] = (struct nhist_span){(int32_t)empty, 0};
            empty = 0;
        }
        struct nhist_span *span = &side->spans[side->spans_n - 1];
        span->length += (uint32_t)empty + 1;
        for (; empty > 0; empty--) {
            side->counts[side->counts_n++] = 0;
        }
        side->counts[side->counts_n++] = own;
    }
}

static bool make(const struct nhcb_bucket *v, size_t n, double sum, struct arena *a,
                 struct nhist **out, struct err *e)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    double *counts = ARENA_ARRAY(a, double, n);
    struct nhist_span *spans = ARENA_ARRAY(a, struct nhist_span, n);
    double *custom = n > 1 ? ARENA_ARRAY(a, double, n - 1) : NULL;
    if (!h || !counts || !spans || (n > 1 && !custom)) {
        return err_set(e, ERR_LIMIT, "no memory for a histogram");
    }
    bool integer = true;
    for (size_t i = 0; i < n; i++) {
        integer = integer && whole(v[i].count);
        if (i + 1 < n) {
            custom[i] = v[i].le;
        }
    }
    *h = (struct nhist){.schema = NHIST_SCHEMA_CUSTOM,
                        .integer = integer,
                        .count = v[n - 1].count,
                        .sum = sum,
                        .pos = {.spans = spans, .counts = counts},
                        .custom = custom,
                        .custom_n = (uint32_t)n - 1};
    fill(&h->pos, v, n, integer ? EMPTY_MAX_INTEGER : 0);
    *out = h;
    return nhist_validate(h, e);
}

bool nhcb_convert(const struct nhcb *h, struct arena *a, struct nhist **out, struct err *e)
{
    *out = NULL;
    if (h->refused) {
        if (e) {
            *e = h->why;
        }
        return false;
    }
    double count = h->has_count || h->n == 0 ? h->count : h->v[h->n - 1].count;
    struct nhcb_bucket *v = ARENA_ARRAY(a, struct nhcb_bucket, h->n + 1);
    if (!v) {
        return err_set(e, ERR_LIMIT, "no memory for a histogram");
    }
    size_t n = h->n;
    for (size_t i = 0; i < n; i++) {
        v[i] = h->v[i];
    }
    if (n == 0 || v[n - 1].le < HUGE_VAL) {
        v[n++] = (struct nhcb_bucket){HUGE_VAL, count};
    }
    if (!(count == v[n - 1].count)) {
        return err_set(e, ERR_INPUT,
                       "expected the count of a classic histogram to be its bucket +Inf, found %g "
                       "and %g",
                       count, v[n - 1].count);
    }
    return make(v, n, h->sum, a, out, e);
}
