#include "codec/nhcb.h"

#include "base/test.h"

#include <math.h>
#include <stdio.h>

#define INF HUGE_VAL

struct world {
    struct mem mem;
    struct arena a;
    struct buf b;
    struct nhcb h;
};

static void world_init(struct world *w)
{
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, 8 << 20);
    buf_init(&w->b, &w->mem, 1 << 20);
    nhcb_init(&w->h, &w->mem);
}

static void world_release(struct world *w)
{
    nhcb_release(&w->h);
    buf_release(&w->b);
    arena_release(&w->a);
    assert_int_equal(w->mem.bytes, 0);
}

/* "integer 5 7.5 | bounds | offset+length... | counts", or "error: MESSAGE". */
static struct str shown(struct world *w)
{
    struct nhist *h = NULL;
    struct err e = {.code = ERR_NONE};
    arena_reset(&w->a);
    buf_reset(&w->b);
    if (!nhcb_convert(&w->h, &w->a, &h, &e)) {
        buf_fmt(&w->b, "error: %s", e.msg);
        nhcb_reset(&w->h);
        return buf_str(&w->b);
    }
    assert_int_equal(h->schema, NHIST_SCHEMA_CUSTOM);
    assert_int_equal(h->reset, NHIST_UNKNOWN);
    buf_fmt(&w->b, "%s %g %g |", h->integer ? "integer" : "float", h->count, h->sum);
    for (uint32_t i = 0; i < h->custom_n; i++) {
        buf_fmt(&w->b, " %g", h->custom[i]);
    }
    BUF_LIT(&w->b, " |");
    for (uint32_t i = 0; i < h->pos.spans_n; i++) {
        buf_fmt(&w->b, " %d+%u", h->pos.spans[i].offset, h->pos.spans[i].length);
    }
    BUF_LIT(&w->b, " |");
    for (uint32_t i = 0; i < h->pos.counts_n; i++) {
        buf_fmt(&w->b, " %g", h->pos.counts[i]);
    }
    assert_true(nhist_validate(h, &e));
    nhcb_reset(&w->h);
    return buf_str(&w->b);
}

struct row {
    struct nhcb_bucket v[10];
    unsigned n;
    bool has_count, has_sum;
    double count, sum;
    const char *want;
};

static void collect(struct world *w, const struct row *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        nhcb_bucket(&w->h, r->v[i].le, r->v[i].count);
    }
    if (r->has_count) {
        nhcb_count(&w->h, r->count);
    }
    if (r->has_sum) {
        nhcb_sum(&w->h, r->sum);
    }
}

TEST(nhcb_buckets_become_one_histogram)
{
    static const struct row rows[] = {
        {{{0.1, 3}, {1, 4}, {INF, 6}},
         3,
         true,
         true,
         6,
         2.5,
         "integer 6 2.5 | 0.1 1 | 0+3 | 3 1 2"},
        /* Any order, and the first of two equal bounds. */
        {{{1, 4}, {INF, 6}, {0.1, 3}, {1, 5}, {0.1, 9}},
         5,
         true,
         true,
         6,
         2.5,
         "integer 6 2.5 | 0.1 1 | 0+3 | 3 1 2"},
        /* What is missing: +Inf, the count, the sum, everything. */
        {{{1, 4}}, 1, true, true, 6, 9, "integer 6 9 | 1 | 0+2 | 4 2"},
        {{{1, 4}}, 1, false, true, 0, 9, "integer 4 9 | 1 | 0+1 | 4"},
        {{{1, 4}, {INF, 7}}, 2, false, false, 0, 0, "integer 7 0 | 1 | 0+2 | 4 3"},
        {{{INF, 7}}, 1, false, false, 0, 0, "integer 7 0 | | 0+1 | 7"},
        {{{0, 0}}, 0, true, true, 7, 1, "integer 7 1 | | 0+1 | 7"},
        {{{0, 0}}, 0, false, true, 0, 1, "integer 0 1 | | |"},
        {{{0, 0}}, 0, false, false, 0, 0, "integer 0 0 | | |"},
        /* Empty buckets: none at the ends, at most two between. */
        {{{1, 0}, {2, 1}, {3, 1}, {4, 1}, {5, 2}, {6, 2}, {7, 2}, {8, 2}, {9, 3}, {INF, 3}},
         10,
         true,
         false,
         3,
         0,
         "integer 3 0 | 1 2 3 4 5 6 7 8 9 | 1+4 3+1 | 1 0 0 1 1"},
        {{{1, 0}, {2, 0.5}, {3, 0.5}, {4, 1.5}, {INF, 1.5}},
         5,
         true,
         false,
         1.5,
         0,
         "float 1.5 0 | 1 2 3 4 | 1+1 1+1 | 0.5 1"},
        {{{1, 0}, {INF, 0}}, 2, true, true, 0, 0, "integer 0 0 | 1 | |"},
        /* Bounds may be anything that ascends, below every number too. */
        {{{-INF, 1}, {-2, 3}, {0, 3}, {INF, 3}},
         4,
         true,
         true,
         3,
         -7,
         "integer 3 -7 | -inf -2 0 | 0+2 | 1 2"},
        /* Counts beyond what a double can count are floats. */
        {{{1, 0x1.0p53}, {INF, 0x1.0p54}},
         2,
         true,
         true,
         0x1.0p54,
         1,
         "float 1.80144e+16 1 | 1 | 0+2 | 9.0072e+15 9.0072e+15"},
        {{{1, 1}, {INF, INF}}, 2, true, true, INF, 1, "float inf 1 | 1 | 0+2 | 1 inf"},
        {{{1, 2}, {INF, 3}}, 2, true, true, 3, INF, "integer 3 inf | 1 | 0+2 | 2 1"},
    };
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        collect(&w, &rows[i]);
        assert_str(shown(&w), str_from_c(rows[i].want));
    }
    world_release(&w);
}

#define FALL "error: bucket counts of a classic histogram must not fall: "
#define BAD                                                                                    \
    "error: expected a bucket of a classic histogram with a bound and a count of at least 0, " \
    "found "
#define COUNT "error: expected the count of a classic histogram to be its bucket +Inf, found "

TEST(nhcb_refusals_say_why_and_stick)
{
    static const struct row rows[] = {
        {{{1, 4}, {2, 3}, {3, 9}}, 3, true, false, 9, 0, FALL "3 after 4"},
        {{{1, 4}, {3, 9}, {2, 3}}, 3, true, false, 9, 0, FALL "3 after 4"},
        {{{1, 4}, {3, 9}, {2, 10}}, 3, true, false, 9, 0, FALL "9 after 10"},
        {{{2, 4}, {1, 5}}, 2, true, false, 9, 0, FALL "4 after 5"},
        {{{1, -1}, {2, 3}}, 2, true, false, 3, 0, BAD "le=1, count=-1"},
        {{{(double)NAN, 1}, {2, 3}}, 2, true, false, 3, 0, BAD "le=nan, count=1"},
        {{{1, 1}},
         1,
         true,
         false,
         -3,
         0,
         "error: expected a count of a classic histogram of at least 0, found -3"},
        {{{1, 1}, {INF, 3}}, 2, true, false, 4, 0, COUNT "4 and 3"},
        {{{1, 1}, {INF, 3.5}}, 2, true, false, 3, 0, COUNT "3 and 3.5"},
        {{{1, 1}, {INF, 3}}, 2, true, false, (double)NAN, 0, COUNT "nan and 3"},
        {{{1, 1}, {INF, (double)NAN}}, 2, true, false, (double)NAN, 0, COUNT "nan and nan"},
        /* Without +Inf the count stands for it, and must not fall either. */
        {{{1, 5}},
         1,
         true,
         false,
         4,
         0,
         "error: positive side: bucket number 2 has the observation count -1"},
    };
    struct world w;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        collect(&w, &rows[i]);
        assert_str(shown(&w), str_from_c(rows[i].want));
        /* Nothing of it is left. */
        nhcb_bucket(&w.h, INF, 2);
        assert_str(shown(&w), STR("integer 2 0 | | 0+1 | 2"));
    }
    world_release(&w);
}

TEST(nhcb_has_a_bound)
{
    struct world w;
    char want[80];
    world_init(&w);
    for (int i = 0; i < NHCB_BUCKETS_MAX; i++) {
        nhcb_bucket(&w.h, i, i);
    }
    struct nhist *h = NULL;
    struct err e;
    assert_true(nhcb_convert(&w.h, &w.a, &h, &e)); /* and +Inf, which was not given */
    assert_int_equal(h->custom_n, NHCB_BUCKETS_MAX);
    assert_int_equal(h->pos.counts_n, NHCB_BUCKETS_MAX - 1);
    nhcb_bucket(&w.h, INF, NHCB_BUCKETS_MAX);
    assert_false(nhcb_convert(&w.h, &w.a, &h, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    snprintf(want, sizeof want, "a classic histogram has more than %d buckets, or no memory",
             NHCB_BUCKETS_MAX);
    assert_string_equal(e.msg, want);
    world_release(&w);
}

FAULT_TEST(nhcb_without_memory)
{
    struct arena a;
    struct nhcb h;
    struct nhist *out = NULL;
    struct err e = {.code = ERR_NONE};
    arena_init(&a, &w->mem, 1 << 20);
    nhcb_init(&h, &w->mem);
    nhcb_bucket(&h, 1, 2);
    nhcb_bucket(&h, INF, 3);
    bool ok = nhcb_convert(&h, &a, &out, &e);
    assert_true(ok ? out->count == 3 : e.code == ERR_LIMIT);
    nhcb_release(&h);
    arena_release(&a);
    return ok;
}
