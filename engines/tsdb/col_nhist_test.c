#include "base/test.h"

#include "base/rng.h"
#include "engines/tsdb/col_int.h"

#include <stdlib.h>

#define BYTES_MAX ((size_t)64 << 20)
#define SAMPLES   240
#define BUCKETS   40

struct world {
    struct mem mem;
    struct col_scratch *s;
    struct buf out;
    struct arena a, back;
    struct nhist *h[SAMPLES];
};

static void world_init(struct world *w)
{
    mem_init(&w->mem, 0);
    w->s = col_scratch_new(&w->mem);
    assert_non_null(w->s);
    buf_init(&w->out, &w->mem, BYTES_MAX);
    arena_init(&w->a, &w->mem, BYTES_MAX);
    arena_init(&w->back, &w->mem, BYTES_MAX);
    memset(w->h, 0, sizeof w->h);
}

static void world_release(struct world *w)
{
    col_scratch_free(w->s);
    buf_release(&w->out);
    arena_release(&w->a);
    arena_release(&w->back);
    assert_int_equal(w->mem.bytes, 0);
}

/* Encodes, decodes from a block of its exact size, compares bit for bit; also that every cut of the
 * bytes is refused. Returns the bytes. */
static size_t survives(struct world *w, uint32_t n)
{
    struct nhist *back[SAMPLES];
    struct err e = {0};
    buf_reset(&w->out);
    arena_reset(&w->back);
    if (!col_nhists_encode(w->s, (const struct nhist *const *)w->h, n, &w->out, &e)) {
        fail_msg("%s", e.msg);
    }
    char *exact = memcpy(malloc(w->out.n), w->out.p, w->out.n);
    if (!col_nhists_decode(w->s, str_of(exact, w->out.n), n, &w->back, back, &e)) {
        fail_msg("%s", e.msg);
    }
    free(exact);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(w->h[i] == NULL, back[i] == NULL);
        assert_true(w->h[i] == NULL || nhist_same(w->h[i], back[i]));
    }
    for (size_t cut = 0; cut < w->out.n; cut += cut / 8 + 1) {
        arena_reset(&w->back);
        exact = memcpy(malloc(cut + 1), w->out.p, cut);
        assert_false(col_nhists_decode(w->s, str_of(exact, cut), n, &w->back, back, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        free(exact);
    }
    return w->out.n;
}

/* A histogram of the buckets that have been hit so far, as an instrumented program exposes it. */
static struct nhist *snapshot(struct arena *a, const uint64_t *hits, uint32_t buckets, double sum)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    h->schema = 3;
    h->integer = true;
    h->zero_threshold = 0x1.0p-128;
    h->sum = sum;
    h->pos.spans = ARENA_ARRAY(a, struct nhist_span, BUCKETS);
    h->pos.counts = ARENA_ARRAY(a, double, BUCKETS);
    int32_t gap = -7;
    for (uint32_t b = 0; b < buckets; b++) {
        if (hits[b] == 0) {
            gap++;
            continue;
        }
        bool follows = h->pos.spans_n > 0 && gap == 0;
        if (!follows) {
            h->pos.spans[h->pos.spans_n++] = (struct nhist_span){gap, 0};
        }
        h->pos.spans[h->pos.spans_n - 1].length++;
        h->pos.counts[h->pos.counts_n++] = (double)hits[b];
        h->count += (double)hits[b];
        gap = 0;
    }
    return h;
}

static void series(struct world *w, struct rng *r, uint32_t n)
{
    uint64_t hits[BUCKETS] = {0};
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        for (int k = 0; k < 60; k++) {
            double x = 20.0 + 4.0 * rng_normal(r);
            hits[x < 0 ? 0 : x >= BUCKETS ? BUCKETS - 1 : (int)x]++;
            sum += x * 0.001;
        }
        w->h[i] = snapshot(&w->a, hits, BUCKETS, sum);
        assert_true(nhist_validate(w->h[i], NULL));
    }
}

TEST(col_nhists_are_columns)
{
    struct world w;
    struct rng r;
    world_init(&w);
    rng_init(&r, test_seed());
    series(&w, &r, SAMPLES);
    /* About 30 buckets, a count and a sum; as they are, 50 bytes and more each. */
    assert_in_range(survives(&w, SAMPLES), SAMPLES * 8, SAMPLES * 19);
    assert_in_range(survives(&w, 120), 120 * 8, 120 * 22);
    assert_in_range(survives(&w, 32), 32, 32 * 40);
    for (uint32_t n = 0; n < 12; n++) {
        survives(&w, n);
    }
    world_release(&w);
}

TEST(col_nhists_with_gaps_resets_and_stale_marks)
{
    struct world w;
    struct rng r;
    struct nhist stale = {.schema = 3, .sum = stale_nan()};
    world_init(&w);
    rng_init(&r, test_seed());
    series(&w, &r, SAMPLES);
    size_t plain = survives(&w, SAMPLES);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        if (i % 11 == 3) {
            w.h[i] = NULL;
        } else if (i % 50 == 20) {
            w.h[i] = &stale;
        } else if (i > 100) {
            w.h[i]->reset = NHIST_NO_RESET;
        }
    }
    survives(&w, SAMPLES);
    assert_in_range(survives(&w, SAMPLES), 1, plain * 3 / 2);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        w.h[i] = NULL;
    }
    assert_in_range(survives(&w, SAMPLES), 1, 40);
    world_release(&w);
}

TEST(col_nhists_of_floats_and_both_sides)
{
    struct world w;
    struct rng r;
    world_init(&w);
    rng_init(&r, test_seed());
    series(&w, &r, SAMPLES);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        struct nhist *h = w.h[i];
        h->integer = false;
        h->reset = NHIST_GAUGE;
        h->neg = w.h[i / 2]->pos;
        h->zero_count = 0.5 * i;
        for (uint32_t b = 0; b < h->pos.counts_n; b++) {
            h->pos.counts[b] *= i % 3 == 0 ? 0.1 : -0.0;
        }
    }
    survives(&w, SAMPLES);
    world_release(&w);
}

TEST(col_nhists_that_do_not_fit_columns)
{
    struct world w;
    struct rng r;
    world_init(&w);
    rng_init(&r, test_seed());
    series(&w, &r, SAMPLES);
    w.h[7]->schema = 2; /* another scale */
    survives(&w, SAMPLES);
    series(&w, &r, SAMPLES);
    struct nhist_span odd[] = {{5, 2}, {-9, 1}};
    double counts[] = {1, 2, 3};
    struct nhist back = {.schema = 3, .count = 6, .pos = {odd, counts, 2, 3}};
    w.h[9] = &back;
    survives(&w, SAMPLES);
    /* More layouts than one byte of work: each sample with its own threshold. */
    series(&w, &r, SAMPLES);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        w.h[i]->zero_threshold = (double)i;
    }
    survives(&w, SAMPLES);
    /* Buckets and spans that do not agree are the caller's mistake, not ours to store. */
    struct err e = {0};
    back.pos.counts_n = 2;
    buf_reset(&w.out);
    w.h[3] = &back;
    assert_false(col_nhists_encode(w.s, (const struct nhist *const *)w.h, SAMPLES, &w.out, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_int_equal(w.out.n, 0);
    world_release(&w);
}

TEST(col_nhists_custom_bounds)
{
    struct world w;
    struct nhist_span span = {0, 4};
    double bounds[] = {0.1, 0.5, 1};
    double counts[SAMPLES][4];
    struct nhist h[SAMPLES];
    world_init(&w);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        for (uint32_t b = 0; b < 4; b++) {
            counts[i][b] = (double)(i * (b + 1));
        }
        h[i] = (struct nhist){.schema = NHIST_SCHEMA_CUSTOM,
                              .integer = true,
                              .count = i * 10.0,
                              .sum = i * 0.25,
                              .pos = {&span, counts[i], 1, 4},
                              .custom = bounds,
                              .custom_n = 3};
        w.h[i] = &h[i];
    }
    assert_in_range(survives(&w, SAMPLES), 1, 120);
    world_release(&w);
}

FAULT_TEST(col_nhists_without_memory)
{
    struct nhist_span span = {0, 2};
    double counts[] = {1, 2};
    struct nhist h = {.schema = 1, .integer = true, .count = 3, .pos = {&span, counts, 1, 2}};
    const struct nhist *all[20];
    struct nhist *back[20] = {NULL};
    struct arena a;
    struct buf out;
    struct err e = {0};
    arena_init(&a, &w->mem, 1 << 20);
    buf_init(&out, &w->mem, 1 << 20);
    struct col_scratch *s = col_scratch_new(&w->mem);
    bool ok = s != NULL;
    for (uint32_t n = 4; n <= 20 && ok; n += 16) {
        for (uint32_t i = 0; i < n; i++) {
            all[i] = &h;
        }
        buf_reset(&out);
        ok = col_nhists_encode(s, all, n, &out, &e) &&
             col_nhists_decode(s, buf_str(&out), n, &a, back, &e);
        for (uint32_t i = 0; i < n && ok; i++) {
            assert_true(nhist_same(back[i], &h));
        }
    }
    col_scratch_free(s);
    buf_release(&out);
    arena_release(&a);
    return ok;
}
