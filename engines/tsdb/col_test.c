#include "base/test.h"

#include "base/rng.h"
#include "engines/tsdb/col_gen_int.h"
#include "engines/tsdb/col_priv_int.h"

#include <stdlib.h>

#define BYTES_MAX  ((size_t)4 << 20)
#define VALUES_MAX 4096

struct world {
    struct mem mem;
    struct col_scratch *s;
    struct buf out;
};

static void world_init(struct world *w)
{
    mem_init(&w->mem, 0);
    w->s = col_scratch_new(&w->mem);
    assert_non_null(w->s);
    buf_init(&w->out, &w->mem, BYTES_MAX);
}

static void world_release(struct world *w)
{
    col_scratch_free(w->s);
    buf_release(&w->out);
    assert_int_equal(w->mem.bytes, 0);
}

/* Every part of a short column, and some of a long one, is what stands there in the whole. */
static void parts_are(struct world *w, struct str column, const double *v, const double *ref,
                      uint32_t n)
{
    struct err e = {0};
    struct rng r;
    rng_init(&r, n);
    double *back = malloc((n + COL_SLACK) * sizeof *back);
    const uint32_t tries = n < 12 ? n * n : 40;
    for (uint32_t i = 0; i < tries; i++) {
        uint32_t lo = n < 12 ? i % n : (uint32_t)rng_below(&r, n);
        uint32_t hi = lo + 1 + (n < 12 ? i / n : (uint32_t)rng_below(&r, n - lo));
        hi = hi > n || i % 5 == 4 ? n : hi;
        lo = i % 5 == 3 ? 0 : lo;
        if (!col_values_decode_part(w->s, column, ref != NULL ? ref + lo : NULL, n, lo, hi, back,
                                    &e)) {
            fail_msg("%s", e.msg);
        }
        if (memcmp(back, v + lo, (hi - lo) * sizeof *v) != 0) {
            fail_msg("values [%u, %u) of %u came back as others", lo, hi, n);
        }
    }
    assert_true(col_values_decode_part(w->s, column, ref, n, 0, 0, back, &e));
    free(back);
}

/* Encodes, decodes, compares every bit; returns the bytes of the column. The input of the decoder
 * lies in a block of its exact size, so that the address sanitizer sees a read behind it. */
static size_t survives(struct world *w, const double *v, const double *ref, uint32_t n)
{
    struct err e = {0};
    buf_reset(&w->out);
    assert_true(col_values_encode(w->s, v, ref, n, &w->out, &e));
    size_t bytes = w->out.n;
    char *exact = malloc(bytes);
    double *back = malloc((n + COL_SLACK) * sizeof *back);
    memcpy(exact, w->out.p, bytes);
    struct str column = str_of(exact, bytes);
    const double *needed = col_values_uses_ref(column) ? ref : NULL;
    if (!col_values_decode(w->s, column, needed, n, back, &e)) {
        fail_msg("%s", e.msg);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (memcmp(&v[i], &back[i], sizeof v[i]) != 0) {
            fail_msg("value %u of %u: %.17g came back as %.17g", i, n, v[i], back[i]);
        }
    }
    assert_true(bytes <= 1 + n * sizeof *v);
    parts_are(w, column, v, needed, n);
    free(exact);
    free(back);
    return bytes;
}

static double of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

TEST(col_values_of_few)
{
    struct world w;
    double v[8] = {0};
    world_init(&w);
    assert_int_equal(survives(&w, v, NULL, 0), 1);
    assert_int_equal(survives(&w, v, NULL, 1), 2);
    assert_int_equal(survives(&w, v, NULL, 8), 2);
    v[0] = -0.0;
    assert_int_equal(survives(&w, v, NULL, 1), 9);
    survives(&w, v, NULL, 2);
    survives(&w, v, NULL, 3);
    v[1] = 0.1;
    survives(&w, v, NULL, 2);
    survives(&w, v, NULL, 3);
    for (uint32_t n = 1; n <= 8; n++) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] = (double)(i * 3 + 7);
        }
        assert_true(survives(&w, v, NULL, n) <= 6); /* a line has no residuals */
    }
    world_release(&w);
}

/* Each odd value alone among decimals, at the ends and in the middle, once and in runs. */
TEST(col_values_keep_odd_bits)
{
    const double odd[] = {-0.0,
                          (double)INFINITY,
                          -(double)INFINITY,
                          of(STALE_NAN_BITS),
                          of(NORMAL_NAN_BITS),
                          of(0xfff8000000000123u),
                          of(1),
                          of(0x7fefffffffffffffu),
                          0x1.0p51,
                          0x1.0p53 + 2,
                          -0x1.0p63,
                          1e300,
                          0.1 + 0.2,
                          1e-15,
                          4503599627370495.5};
    struct world w;
    double v[300];
    world_init(&w);
    for (size_t o = 0; o < ARRAY_LEN(odd); o++) {
        for (uint32_t run = 1; run <= 300; run = run * 3 + 1) {
            for (uint32_t at = 0; at + run <= 300; at += 37) {
                for (uint32_t i = 0; i < 300; i++) {
                    v[i] = i >= at && i < at + run ? odd[o] : (double)(i * i % 1000) / 100.0;
                }
                survives(&w, v, NULL, 300);
                survives(&w, v, NULL, 33);
            }
        }
    }
    for (uint32_t i = 0; i < 300; i++) {
        v[i] = odd[i % ARRAY_LEN(odd)];
    }
    survives(&w, v, NULL, 300);
    world_release(&w);
}

TEST(col_values_stale_mark_is_cheap)
{
    struct world w;
    double v[480];
    world_init(&w);
    for (uint32_t i = 0; i < 480; i++) {
        v[i] = (double)i * 0.25;
    }
    size_t plain = survives(&w, v, NULL, 480);
    v[479] = stale_nan();
    size_t stale = survives(&w, v, NULL, 480);
    assert_in_range(stale, plain, plain + 8);
    world_release(&w);
}

TEST(col_values_counter_reset_is_a_patch)
{
    struct world w;
    double v[480];
    struct rng r;
    world_init(&w);
    rng_init(&r, test_seed());
    col_gen_values(GEN_SMALL_COUNTER, &r, 480, v);
    size_t plain = survives(&w, v, NULL, 480);
    double at = v[300];
    for (uint32_t i = 300; i < 480; i++) {
        v[i] -= at;
    }
    assert_in_range(survives(&w, v, NULL, 480), 1, plain + 24);
    world_release(&w);
}

/* Seconds that were made from counts of milliseconds and so on, in ways that are no division by a
 * power of ten. As full doubles they would take 5 bytes each. */
TEST(col_values_of_scaled_clocks)
{
    struct world w;
    struct rng r;
    double v[4][480];
    world_init(&w);
    rng_init(&r, test_seed());
    double at = 9e6;
    for (int i = 0; i < 480; i++) {
        at += (double)rng_poisson(&r, 40.0);
        v[0][i] = at * 0.001;
        v[1][i] = at * 0.000001;
        v[2][i] = at * 1e-9;
        v[3][i] = at / 1000 / 1000;
    }
    for (int k = 0; k < 4; k++) {
        assert_in_range(survives(&w, v[k], NULL, 480), 1, 480 * 3 / 4);
        v[k][200] = stale_nan();
        v[k][201] = 1e-300;
        assert_in_range(survives(&w, v[k], NULL, 480), 1, 480 * 3 / 4 + 40);
    }
    world_release(&w);
}

/* Mean bytes per sample of a class; every column is compared bit for bit. */
static double class_bytes(struct world *w, enum col_gen_class c, struct rng *r, uint32_t n)
{
    static const int columns = 24;
    double *rows[GEN_BUCKETS];
    double bytes = 0.0;
    double samples = 0.0;
    for (int i = 0; i < GEN_BUCKETS; i++) {
        rows[i] = malloc(n * sizeof(double));
    }
    for (int i = 0; i < columns; i++) {
        if (c == GEN_BUCKET || c == GEN_COUNT) {
            col_gen_family(r, n, rows);
            for (int b = 0; b < GEN_BUCKETS && c == GEN_BUCKET; b++) {
                bytes += (double)survives(w, rows[b], b > 0 ? rows[b - 1] : NULL, n);
                samples += n;
            }
            if (c == GEN_COUNT) {
                bytes += (double)survives(w, rows[GEN_BUCKETS - 1], rows[GEN_BUCKETS - 1], n);
                samples += n;
            }
        } else {
            col_gen_values(c, r, n, rows[0]);
            bytes += (double)survives(w, rows[0], NULL, n);
            samples += n;
        }
    }
    for (int i = 0; i < GEN_BUCKETS; i++) {
        free(rows[i]);
    }
    return bytes / samples;
}

TEST(col_values_sizes_of_classes)
{
    static const uint32_t sizes[] = {32, 120, 480};
    struct world w;
    struct rng r;
    world_init(&w);
    rng_init(&r, test_seed());
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        double all = 0.0;
        double shares = 0.0;
        for (int c = 0; c < GEN_CLASSES; c++) {
            double bytes = class_bytes(&w, (enum col_gen_class)c, &r, sizes[k]);
            if (bytes > col_gen_kinds[c].bytes_max[k]) {
                fail_msg("%s: %.3f bytes per sample in columns of %u, at most %.2f",
                         col_gen_kinds[c].name, bytes, sizes[k], col_gen_kinds[c].bytes_max[k]);
            }
            all += bytes * col_gen_kinds[c].share;
            shares += col_gen_kinds[c].share;
        }
        static const double total_max[] = {1.38, 1.20, 1.11};
        if (all / shares > total_max[k]) {
            fail_msg("all: %.3f bytes per sample in columns of %u", all / shares, sizes[k]);
        }
    }
    world_release(&w);
}

/* Columns whose every property is drawn: scale, unit, digits, steps, jumps, odd values, length. */
static void draw(struct rng *r, uint32_t n, double *v)
{
    double power = pow(10.0, (double)rng_below(r, 18));
    double unit = rng_below(r, 3) == 0 ? (double)(rng_below(r, 5000) + 1) : 1.0;
    double scale = ldexp(1.0, (int)rng_below(r, 60));
    uint64_t kind = rng_below(r, 6);
    uint64_t way = rng_below(r, 8);
    uint64_t odd = rng_below(r, 4) == 0 ? rng_below(r, 40) + 1 : 0;
    double at = rng_normal(r) * scale;
    for (uint32_t i = 0; i < n; i++) {
        switch (kind) {
        case 0: at += rint(rng_normal(r) * scale); break;
        case 1: at = rint(rng_normal(r) * scale); break;
        case 2: at += rng_below(r, 10) == 0 ? rint(scale) : 0.0; break;
        case 3: at = rng_normal(r) * scale; break;
        case 4: at += 1.0; break;
        default: at = of(rng_u64(r)); break;
        }
        double x = rint(at) * unit;
        v[i] = kind == 5 ? at : way == 0 ? x * 0.001 : way == 1 ? x / 1000 / 1000 : x / power;
        if (odd > 0 && rng_below(r, 40) < odd) {
            static const uint64_t bits[] = {STALE_NAN_BITS, NORMAL_NAN_BITS, 1ull << 63,
                                            0x7ff0000000000000u};
            v[i] = of(bits[rng_below(r, ARRAY_LEN(bits))]);
        }
    }
}

TEST(col_values_of_any_kind)
{
    struct world w;
    struct rng r;
    double *v = malloc(VALUES_MAX * sizeof *v);
    double *ref = malloc(VALUES_MAX * sizeof *ref);
    world_init(&w);
    rng_init(&r, test_seed());
    for (int round = 0; round < 3000; round++) {
        uint32_t n = (uint32_t)rng_below(&r, round % 50 == 0 ? VALUES_MAX : 400) + 1;
        draw(&r, n, v);
        draw(&r, n, ref);
        bool alike = rng_below(&r, 2) == 0;
        for (uint32_t i = 0; i < n && alike; i++) {
            ref[i] = v[i] - (double)rng_below(&r, 5);
        }
        survives(&w, v, ref, n);
    }
    free(v);
    free(ref);
    world_release(&w);
}

TEST(col_values_of_the_largest_column)
{
    struct world w;
    struct rng r;
    double *v = malloc(COL_VALUES_MAX * sizeof *v);
    world_init(&w);
    rng_init(&r, test_seed());
    for (uint32_t i = 0; i < COL_VALUES_MAX; i++) {
        v[i] = of(rng_u64(&r));
    }
    survives(&w, v, NULL, COL_VALUES_MAX);
    col_gen_values(GEN_CPU_SECONDS, &r, COL_VALUES_MAX, v);
    assert_in_range(survives(&w, v, NULL, COL_VALUES_MAX), 1, COL_VALUES_MAX);
    struct err e = {0};
    assert_false(col_values_encode(w.s, v, NULL, COL_VALUES_MAX + 1, &w.out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    free(v);
    world_release(&w);
}

TEST(col_values_refuse_damage)
{
    struct world w;
    struct rng r;
    double v[300], ref[300], back[300 + COL_SLACK];
    struct err e = {0};
    world_init(&w);
    rng_init(&r, test_seed());
    for (int c = 0; c < GEN_BUCKET; c++) {
        col_gen_values((enum col_gen_class)c, &r, 300, v);
        v[17] = stale_nan();
        buf_reset(&w.out);
        assert_true(col_values_encode(w.s, v, NULL, 300, &w.out, &e));
        for (size_t n = 0; n < w.out.n; n++) {
            char *cut = malloc(n > 0 ? n : 1);
            memcpy(cut, w.out.p, n);
            assert_false(col_values_decode(w.s, str_of(cut, n), NULL, 300, back, &e));
            assert_int_equal(e.code, ERR_CORRUPT);
            free(cut);
        }
        buf_u8(&w.out, 0);
        assert_false(col_values_decode(w.s, buf_str(&w.out), NULL, 300, back, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
    for (uint32_t i = 0; i < 300; i++) {
        ref[i] = (double)(i * i % 977);
        v[i] = ref[i] + 1.0;
    }
    buf_reset(&w.out);
    assert_true(col_values_encode(w.s, v, ref, 300, &w.out, &e));
    assert_true(col_values_uses_ref(buf_str(&w.out)));
    assert_false(col_values_decode(w.s, buf_str(&w.out), NULL, 300, back, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    world_release(&w);
}

static size_t ints_survive(struct world *w, const int64_t *v, uint32_t n, bool times)
{
    struct err e = {0};
    buf_reset(&w->out);
    int64_t *back = malloc((n + COL_SLACK) * sizeof *back);
    char *exact = NULL;
    if (times) {
        assert_true(col_times_encode(w->s, v, n, &w->out, &e));
        exact = memcpy(malloc(w->out.n), w->out.p, w->out.n);
        assert_true(col_times_decode(w->s, str_of(exact, w->out.n), n, back, &e));
    } else {
        assert_true(col_ints_encode(w->s, v, n, &w->out, &e));
        exact = memcpy(malloc(w->out.n), w->out.p, w->out.n);
        assert_true(col_ints_decode(w->s, str_of(exact, w->out.n), n, back, &e));
    }
    assert_memory_equal(v, back, n * sizeof *v);
    free(exact);
    free(back);
    return w->out.n;
}

TEST(col_times_are_small)
{
    struct world w;
    struct rng r;
    int64_t t[480];
    world_init(&w);
    rng_init(&r, test_seed());
    for (int i = 0; i < 480; i++) {
        t[i] = 1700000000000 + i * (int64_t)15000;
    }
    assert_in_range(ints_survive(&w, t, 480, true), 1, 16);
    assert_in_range(ints_survive(&w, t, 1, true), 1, 8);
    assert_in_range(ints_survive(&w, t, 2, true), 1, 16);
    for (int i = 0; i < 480; i++) {
        t[i] += (int64_t)rng_below(&r, 4);
    }
    assert_in_range(ints_survive(&w, t, 480, true), 1, 480 * 3 / 8 + 24);
    for (int i = 1; i < 480; i++) {
        t[i] = t[i - 1] + 1 + (int64_t)rng_below(&r, 100000);
    }
    assert_in_range(ints_survive(&w, t, 480, true), 1, 480 * 18 / 8);
    t[0] = INT64_MIN;
    t[479] = INT64_MAX;
    ints_survive(&w, t, 480, true);
    /* Times that do not ascend are not written by us. */
    struct err e = {0};
    t[7] = t[6];
    buf_reset(&w.out);
    assert_true(col_ints_encode(w.s, t, 480, &w.out, &e));
    int64_t back[480 + COL_SLACK];
    assert_false(col_times_decode(w.s, buf_str(&w.out), 480, back, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    world_release(&w);
}

TEST(col_ints_of_any_kind)
{
    struct world w;
    struct rng r;
    int64_t v[700];
    world_init(&w);
    rng_init(&r, test_seed());
    for (int i = 0; i < 700; i++) {
        v[i] = i < 350 ? 0 : 1700000000123;
    }
    assert_in_range(ints_survive(&w, v, 700, false), 1, 24);
    for (int round = 0; round < 1500; round++) {
        uint32_t n = (uint32_t)rng_below(&r, 700) + 1;
        unsigned shift = (unsigned)rng_below(&r, 64);
        bool sums = rng_below(&r, 2) == 0;
        for (uint32_t i = 0; i < n; i++) {
            v[i] = (int64_t)(rng_u64(&r) >> shift << rng_below(&r, 2) * 7);
            if (sums && i > 0) {
                v[i] = col_add(v[i], v[i - 1]);
            }
        }
        ints_survive(&w, v, n, false);
    }
    assert_int_equal(ints_survive(&w, v, 0, false), 1);
    world_release(&w);
}

TEST(col_pack_all_widths)
{
    struct rng r;
    uint64_t x[200];
    int64_t back[200 + COL_SLACK];
    unsigned char bytes[200 * 8 + COL_SLACK];
    rng_init(&r, test_seed());
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t n = 0; n <= 200; n += width % 7 + 1) {
            for (size_t i = 0; i < n; i++) {
                x[i] = width > 0 ? rng_u64(&r) >> (64 - width) : 0;
            }
            memset(bytes, 0xa5, sizeof bytes);
            assert_ptr_equal(col_pack(x, n, width, bytes), bytes + col_packed_bytes(n, width));
            col_unpack(bytes, n, width, 12345, back);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal((uint64_t)back[i], x[i] + 12345);
            }
        }
    }
}

FAULT_TEST(col_without_memory)
{
    struct buf out;
    struct err e = {0};
    double v[700 + COL_SLACK], back[700 + COL_SLACK];
    struct col_scratch *s = col_scratch_new(&w->mem);
    buf_init(&out, &w->mem, 1 << 20);
    for (int i = 0; i < 700; i++) {
        v[i] = (double)(i * i % 1013) / 10.0;
    }
    bool ok = s != NULL && col_values_encode(s, v, NULL, 600, &out, &e) &&
              col_values_decode(s, buf_str(&out), NULL, 600, back, &e);
    assert_true(!ok || memcmp(v, back, 600 * sizeof *v) == 0);
    buf_reset(&out);
    ok = ok && col_values_encode(s, v, NULL, 700, &out, &e) &&
         col_values_decode(s, buf_str(&out), NULL, 700, back, &e);
    assert_true(!ok || memcmp(v, back, 700 * sizeof *v) == 0);
    col_scratch_free(s);
    buf_release(&out);
    return ok;
}
