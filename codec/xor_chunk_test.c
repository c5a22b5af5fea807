#include "codec/xor_chunk.h"

#include "base/rng.h"
#include "base/test.h"

#include <stdio.h>

#define BYTES_MAX   (1 << 22)
#define COLUMN_MAX  1000
#define T0_MS       1767225600000LL
#define HEADER_BYTE 2

/* A column that is filled, encoded and decoded again. */
struct world {
    struct mem mem;
    struct arena a, scratch;
    struct buf out;
    int64_t t[COLUMN_MAX];
    double v[COLUMN_MAX];
    struct nhist *h[COLUMN_MAX];
    uint32_t n, back;
};

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, BYTES_MAX);
    arena_init(&w->scratch, &w->mem, BYTES_MAX);
    buf_init(&w->out, &w->mem, BYTES_MAX);
}

static void world_release(struct world *w)
{
    buf_release(&w->out);
    arena_release(&w->a);
    arena_release(&w->scratch);
    assert_int_equal(w->mem.bytes, 0);
}

static struct xor_chunk_column column(const struct world *w)
{
    return (struct xor_chunk_column){w->t, w->v, w->h, w->n};
}

static bool gather(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct world *w = ctx;
    (void)e;
    assert_true(w->n < COLUMN_MAX);
    w->t[w->n] = s->t_ms;
    w->v[w->n] = s->v;
    w->h[w->n] = s->h ? nhist_copy(s->h, &w->a) : NULL;
    w->n++;
    return true;
}

static bool compare(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct world *w = ctx;
    (void)e;
    assert_true(w->back < w->n);
    assert_int_equal(s->t_ms, w->t[w->back]);
    const struct nhist *h = w->h[w->back];
    assert_true((h == NULL) == (s->h == NULL));
    if (h == NULL) {
        assert_memory_equal(&s->v, &w->v[w->back], sizeof s->v);
    } else {
        struct nhist x = *h;
        x.reset = s->h->reset; /* hints are checked by their headers */
        assert_true(nhist_same(&x, s->h));
    }
    w->back++;
    return true;
}

/* Chunks of the whole column: how many samples each took, and the first two bits of histograms. */
static uint32_t chunks(struct world *w, struct xor_chunk *out, unsigned *headers, uint32_t max)
{
    const struct xor_chunk_column c = column(w);
    struct err e = {0};
    uint32_t n = 0;
    w->back = 0;
    while (w->back < w->n) {
        assert_true(n < max);
        const uint32_t at = w->back;
        buf_reset(&w->out);
        arena_reset(&w->scratch);
        assert_true(xor_chunk_encode(&c, at, &w->scratch, &w->out, &out[n], &e));
        headers[n] = (unsigned char)w->out.p[HEADER_BYTE] >> 6;
        assert_true(
            xor_chunk_decode(out[n].encoding, buf_str(&w->out), &w->scratch, compare, w, &e));
        assert_int_equal(w->back, at + out[n].samples_count);
        n++;
    }
    return n;
}

static void add_float(struct world *w, int64_t t, double v)
{
    w->t[w->n] = t;
    w->v[w->n++] = v;
}

/* Two positive buckets and a negative one. */
static struct nhist *add_hist(struct world *w, double k)
{
    struct nhist_span span = {1, 2}, below = {0, 1};
    double counts[] = {k, 2 * k}, neg = 1;
    const struct nhist h = {.schema = 2,
                            .integer = true,
                            .zero_threshold = 0x1p-128,
                            .zero_count = k,
                            .count = 4 * k + 1,
                            .sum = k / 3,
                            .pos = {&span, counts, 1, 2},
                            .neg = {&below, &neg, 1, 1}};
    w->h[w->n] = nhist_copy(&h, &w->a);
    assert_non_null(w->h[w->n]);
    w->t[w->n] = T0_MS + w->n * 15000;
    w->v[w->n] = h.sum;
    return w->h[w->n++];
}

/* The seeds of the fuzzer are an encoding and a chunk of 150 samples that Prometheus 2.42 wrote.
 * The first of ours has the same bytes, but for the number of samples and the last byte, which
 * holds bits of the next sample there. */
TEST(xor_chunk_gives_the_bytes_that_prometheus_wrote)
{
    static const char *const names[] = {"enc1", "enc2", "enc3"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        static struct world w;
        char path[128];
        char bytes[4096];
        struct xor_chunk chunk;
        struct err e = {0};
        world_init(&w);
        snprintf(path, sizeof path, "codec/corpus/xor_chunk/%s", names[i]);
        FILE *f = fopen(test_path(path), "rb");
        assert_non_null(f);
        const size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        assert_true(n > 8 && n < sizeof bytes);
        const struct str data = str_of(bytes + 1, n - 1);
        assert_true(xor_chunk_decode((unsigned char)bytes[0], data, &w.scratch, gather, &w, &e));
        assert_int_equal(w.n, 150);
        const struct xor_chunk_column c = column(&w);
        assert_true(xor_chunk_encode(&c, 0, &w.scratch, &w.out, &chunk, &e));
        assert_int_equal(chunk.encoding, (unsigned char)bytes[0]);
        assert_int_equal(chunk.samples_count, XOR_CHUNK_SAMPLES_MAX);
        assert_true(w.out.n > data.n / 2 && w.out.n < data.n);
        assert_memory_equal(w.out.p + 2, data.p + 2, w.out.n - 3);
        world_release(&w);
    }
}

TEST(xor_chunk_keeps_every_bit_of_floats_at_any_time)
{
    static struct world w;
    struct rng r;
    struct xor_chunk out[16];
    unsigned headers[16];
    world_init(&w);
    rng_init(&r, test_seed());
    add_float(&w, INT64_MIN, -0.0);
    add_float(&w, INT64_MIN + 1, stale_nan());
    add_float(&w, -5, 1e308);
    add_float(&w, 0, 0x1p-1074);
    int64_t t = 0;
    while (w.n < 500) {
        const uint64_t bits = rng_u64(&r);
        double any;
        memcpy(&any, &bits, sizeof any);
        t += 1 + (int64_t)(rng_u64(&r) >> (rng_u64(&r) % 43 + 20));
        add_float(&w, t, w.n % 3 == 0 ? any : (double)(bits % 7));
    }
    assert_int_equal(chunks(&w, out, headers, 16), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(out[i].encoding, XOR_CHUNK_FLOATS);
        assert_int_equal(out[i].samples_count, i < 4 ? 120 : 20);
    }
    world_release(&w);
}

/* One decoded sample says "no reset since the one before": so a chunk must never hold one. */
TEST(xor_chunk_ends_where_histograms_change_or_fall)
{
    static struct world w;
    struct xor_chunk out[16];
    unsigned headers[16];
    world_init(&w);
    for (int i = 0; i < 125; i++) {
        add_hist(&w, i);
    }
    add_hist(&w, 3); /* fell */
    add_hist(&w, 4);
    add_hist(&w, 5)->pos.counts[1] = 7; /* only one bucket fell */
    add_hist(&w, 6)->schema = 3;
    add_hist(&w, 7)->reset = NHIST_RESET;
    add_hist(&w, 8)->sum = stale_nan();
    add_hist(&w, 9);
    add_float(&w, T0_MS + 9000000, 1);
    static const struct {
        uint32_t count;
        unsigned header, encoding;
    } want[] = {{120, 0, XOR_CHUNK_HISTS}, {5, 1, XOR_CHUNK_HISTS}, {2, 2, XOR_CHUNK_HISTS},
                {1, 2, XOR_CHUNK_HISTS},   {1, 0, XOR_CHUNK_HISTS}, {2, 2, XOR_CHUNK_HISTS},
                {1, 0, XOR_CHUNK_HISTS},   {1, 0, XOR_CHUNK_FLOATS}};
    struct nhist stale = {.sum = stale_nan(), .integer = true};
    w.h[130] = &stale; /* what comes back of the end of a series */
    assert_int_equal(chunks(&w, out, headers, 16), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(out[i].samples_count, want[i].count);
        assert_int_equal(out[i].encoding, want[i].encoding);
        assert_true(out[i].encoding == XOR_CHUNK_FLOATS || headers[i] == want[i].header);
    }
    world_release(&w);
}

TEST(xor_chunk_keeps_gauges_floats_and_custom_bounds)
{
    static struct world w;
    struct xor_chunk out[16];
    unsigned headers[16];
    double custom[] = {-1, 0.5, 33554.43, 33554.431, 1e300, 0.0015};
    world_init(&w);
    for (int i = 0; i < 6; i++) { /* gauges may fall */
        add_hist(&w, i % 2 ? 9 : 2)->reset = NHIST_GAUGE;
    }
    for (int i = 0; i < 4; i++) {
        struct nhist *h = add_hist(&w, i);
        h->integer = false;
        h->schema = NHIST_SCHEMA_CUSTOM;
        h->zero_threshold = 0;
        h->pos.counts[0] += 0.25;
        h->custom = custom;
        h->custom_n = ARRAY_LEN(custom);
    }
    add_hist(&w, 5)->zero_threshold = 0.3;
    add_hist(&w, 6)->count = 1e19; /* above what integers hold */
    w.h[w.n - 1]->integer = false;
    assert_int_equal(chunks(&w, out, headers, 16), 4);
    assert_int_equal(out[0].samples_count, 6);
    assert_int_equal(headers[0], 3);
    assert_int_equal(out[1].samples_count, 4);
    assert_int_equal(out[1].encoding, XOR_CHUNK_FLOAT_HISTS);
    assert_int_equal(out[2].encoding, XOR_CHUNK_HISTS);
    assert_int_equal(out[3].encoding, XOR_CHUNK_FLOAT_HISTS);
    w.h[w.n - 1]->integer = true; /* as a sender may say */
    struct err e = {0};
    const struct xor_chunk_column c = column(&w);
    assert_true(xor_chunk_encode(&c, w.n - 1, &w.scratch, &w.out, &out[0], &e));
    assert_int_equal(out[0].encoding, XOR_CHUNK_FLOAT_HISTS);
    world_release(&w);
}

static bool ignore(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    (void)ctx;
    (void)s;
    (void)e;
    return true;
}

TEST(xor_chunk_cut_short_is_damaged_and_full_memory_a_limit)
{
    static struct world w;
    struct xor_chunk chunk;
    struct err e = {0};
    world_init(&w);
    for (int i = 0; i < 30; i++) {
        add_hist(&w, i * i);
    }
    const struct xor_chunk_column c = column(&w);
    assert_true(xor_chunk_encode(&c, 0, &w.scratch, &w.out, &chunk, &e));
    assert_int_equal(chunk.samples_count, 30);
    for (size_t n = 0; n < w.out.n; n++) {
        e = (struct err){0};
        arena_reset(&w.scratch);
        assert_false(
            xor_chunk_decode(chunk.encoding, str_of(w.out.p, n), &w.scratch, ignore, NULL, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
    assert_false(xor_chunk_decode(9, buf_str(&w.out), &w.scratch, ignore, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    struct buf small;
    struct arena none;
    buf_init(&small, &w.mem, 20);
    assert_false(xor_chunk_encode(&c, 0, &w.scratch, &small, &chunk, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    arena_init(&none, &w.mem, 8);
    assert_false(xor_chunk_encode(&c, 0, &none, &w.out, &chunk, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    arena_release(&none);
    buf_release(&small);
    world_release(&w);
}
