#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/block_file_int.h"

#include <math.h>
#include <stdlib.h>

#define DIR_NAME "store"

/* What a test puts in and expects back: columns by order of adding. */
struct want {
    uint32_t ref, n, family;
    int64_t t[600];
    double v[600];
    const struct nhist *h[600];
    int64_t st[600];
    bool has_h, has_st;
};

static struct block_column column_of(const struct want *w)
{
    return (struct block_column){.ref = w->ref,
                                 .n = w->n,
                                 .t = w->t,
                                 .v = w->v,
                                 .h = w->has_h ? w->h : NULL,
                                 .st = w->has_st ? w->st : NULL,
                                 .family = w->family};
}

static bool write_all(struct mem *m, const struct os *os, uint64_t id, const struct want *w,
                      uint32_t n, struct block_info *info, struct err *e)
{
    struct block_writer *bw = NULL;
    if (!block_writer_open(&bw, m, os, DIR_NAME, id, 0, e)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct block_column c = column_of(&w[i]);
        if (!block_writer_add(bw, &c, e)) {
            block_writer_abort(bw);
            return false;
        }
    }
    return block_writer_finish(bw, 77, info, e);
}

static bool bits_same(const double *a, const double *b, uint32_t n)
{
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* Column i of the block is w; false with e set when reading fails, a test failure when it is
 * another. */
static bool read_and_compare(struct mem *m, struct block *b, struct block_cursor *c, uint32_t i,
                             const struct want *w, struct err *e)
{
    static double v[600 + COL_SLACK];
    static int64_t st[600 + COL_SLACK];
    static struct nhist *h[600 + COL_SLACK];
    const int64_t *t = NULL;
    struct arena a;
    struct block_entry x;
    block_entry(b, i, &x);
    assert_int_equal(x.ref, w->ref);
    assert_int_equal(x.n, w->n);
    assert_true(x.min_ms == w->t[0] && x.max_ms == w->t[w->n - 1]);
    assert_true(x.has_nhists == w->has_h);
    assert_true(x.has_st == w->has_st);
    arena_init(&a, m, 1 << 20);
    if (!block_read(b, c, i, &t, v, h, &a, st, e)) {
        arena_release(&a);
        return false;
    }
    assert_memory_equal(t, w->t, w->n * sizeof *t);
    for (uint32_t k = 0; w->has_h && k < w->n; k++) {
        assert_true((h[k] == NULL) == (w->h[k] == NULL));
        assert_true(h[k] == NULL || nhist_same(h[k], w->h[k]));
        assert_true(h[k] == NULL || bits_same(&v[k], &w->h[k]->sum, 1));
        assert_true(h[k] != NULL || bits_same(&v[k], &w->v[k], 1));
    }
    assert_true(w->has_h || bits_same(v, w->v, w->n));
    assert_true(!w->has_st || memcmp(st, w->st, w->n * sizeof *st) == 0);
    arena_release(&a);
    return true;
}

/* The place of w in the block: the k-th column of its series, k counted among all before it. */
static uint32_t place_of(const struct block *b, const struct want *all, uint32_t i)
{
    uint32_t first = 0;
    uint32_t k = 0;
    for (uint32_t j = 0; j < i; j++) {
        k += all[j].ref == all[i].ref;
    }
    uint32_t n = block_find(b, all[i].ref, 0, &first);
    assert_true(k < n);
    return first + k;
}

static void times_fill(struct want *w, int64_t from, int64_t step, uint32_t n)
{
    w->n = n;
    for (uint32_t i = 0; i < n; i++) {
        w->t[i] = from + (int64_t)i * step;
    }
}

/* Thirty series: gauges, counters, three histograms of five buckets, one series with two columns,
 * special values. */
static uint32_t wants_fill(struct want *w, struct rng *r, uint32_t n_samples)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < 10; i++, n++) {
        w[n].ref = 40 - i;
        times_fill(&w[n], 1000000 + (i % 3), 15000, n_samples - i % 2);
        for (uint32_t k = 0; k < w[n].n; k++) {
            w[n].v[k] = i % 2 == 0 ? (double)rng_below(r, 1000) / 100 : (double)(k * 3);
        }
    }
    w[3].v[0] = stale_nan();
    w[3].v[1] = -0.0;
    w[3].v[2] = (double)INFINITY;
    w[3].v[3] = (double)NAN;
    w[3].v[4] = 5e-324;
    for (uint32_t f = 1; f <= 3; f++) {
        for (uint32_t le = 0; le < 6; le++, n++) {
            w[n].ref = 50 + f * 6 + le;
            w[n].family = f;
            times_fill(&w[n], 1000000, 15000, n_samples);
        }
        for (uint32_t k = 0; k < n_samples; k++) {
            double more = 0; /* observations up to this bound since the last sample */
            for (uint32_t le = 0; le < 6; le++) {
                double before = k == 0 ? 0 : w[n - 6 + le].v[k - 1];
                more += le == 5 ? 0 : (double)rng_below(r, 40);
                w[n - 6 + le].v[k] = before + more;
            }
        }
    }
    w[n].ref = 40; /* a second column of a series */
    times_fill(&w[n], 900000, 1, 1);
    w[n].v[0] = 1.5;
    return n + 1;
}

static struct want *wants_new(void)
{
    struct want *w = calloc(64, sizeof *w);
    assert_non_null(w);
    return w;
}

TEST(block_gives_back_what_was_written)
{
    struct mem m;
    struct err e = {0};
    struct block *b = NULL;
    struct block_info info;
    struct rng r;
    struct simos *s = simos_new(test_seed());
    struct want *w = wants_new();
    rng_init(&r, test_seed());
    mem_init(&m, 0);
    uint32_t n = wants_fill(w, &r, 480);
    assert_true(write_all(&m, simos_os(s), 5, w, n, &info, &e));
    assert_true(block_open(&b, &m, simos_os(s), DIR_NAME, 5, &e));
    assert_int_equal(block_columns(b), n);
    assert_memory_equal(block_info(b), &info, sizeof info);
    assert_true(info.min_ms == 900000 && info.max_ms == 1000000 + 2 + 479 * 15000);
    assert_true(info.log_upto == 77 && info.seq == 5 && info.id == 5);
    /* Three lists of times, each of two lengths but for one, and the single time. */
    assert_int_equal(b->times_n, 7);
    struct block_cursor *c = block_cursor_new(&m);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(read_and_compare(&m, b, c, place_of(b, w, i), &w[i], &e));
    }
    /* Backwards no neighbour is remembered at first. */
    block_cursor_free(c);
    c = block_cursor_sized(&m, 1, 1);
    for (uint32_t i = n; i-- > 0;) {
        assert_true(read_and_compare(&m, b, c, place_of(b, w, i), &w[i], &e));
    }
    block_cursor_free(c);
    block_close(b);
    assert_int_equal(m.bytes, 0);
    free(w);
    simos_free(s);
}

/* Buckets coded alone cost more: the same columns without family numbers are larger. */
TEST(block_families_save_space)
{
    struct mem m;
    struct err e = {0};
    struct block_info with, without;
    struct rng r;
    struct simos *s = simos_new(test_seed());
    struct want *w = wants_new();
    rng_init(&r, test_seed());
    mem_init(&m, 0);
    uint32_t n = wants_fill(w, &r, 480);
    assert_true(write_all(&m, simos_os(s), 1, w, n, &with, &e));
    for (uint32_t i = 0; i < n; i++) {
        w[i].family = 0;
    }
    assert_true(write_all(&m, simos_os(s), 2, w, n, &without, &e));
    assert_true(with.bytes * 10 < without.bytes * 9);
    free(w);
    simos_free(s);
}

/* A histogram of forty buckets: its chain begins anew on the way, so that any of them can be read
 * alone. */
TEST(block_long_families_are_read_from_anywhere)
{
    struct mem m;
    struct err e = {0};
    struct rng r;
    struct block *b = NULL;
    struct simos *s = simos_new(test_seed());
    struct want *w = wants_new();
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t le = 0; le < 40; le++) {
        w[le].ref = 1 + le;
        w[le].family = 1;
        times_fill(&w[le], 1000000, 15000, 300);
    }
    for (uint32_t k = 0; k < 300; k++) {
        double more = 0;
        for (uint32_t le = 0; le < 40; le++) {
            more += (double)rng_below(&r, 30);
            w[le].v[k] = (k == 0 ? 0 : w[le].v[k - 1]) + more;
        }
    }
    assert_true(write_all(&m, simos_os(s), 1, w, 40, NULL, &e));
    assert_true(block_open(&b, &m, simos_os(s), DIR_NAME, 1, &e));
    uint32_t chained = 0;
    for (uint32_t le = 0; le < 40; le++) {
        struct block_record rec;
        struct block_cursor *c = block_cursor_new(&m);
        assert_true(read_and_compare(&m, b, c, le, &w[le], &e));
        block_cursor_free(c);
        assert_true(block_record_validate(b, get_u32le(b->offs + (size_t)le * 4), &rec, &e));
        chained += (rec.flags & BLOCK_CHAINED) != 0;
    }
    assert_int_equal(chained, 37); /* all but the first, the 17th and the 33rd */
    block_close(b);
    assert_int_equal(m.bytes, 0);
    free(w);
    simos_free(s);
}

static struct nhist *hist_make(struct arena *a, double k)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    h->schema = 3;
    h->integer = true;
    h->zero_threshold = 1e-128;
    h->zero_count = k;
    h->pos.spans = ARENA_ARRAY(a, struct nhist_span, 2);
    h->pos.spans[0] = (struct nhist_span){-2, 2};
    h->pos.spans[1] = (struct nhist_span){3, 1};
    h->pos.spans_n = 2;
    h->pos.counts = ARENA_ARRAY(a, double, 3);
    h->pos.counts[0] = k;
    h->pos.counts[1] = 2 * k;
    h->pos.counts[2] = 5;
    h->pos.counts_n = 3;
    h->count = 4 * k + 5;
    h->sum = 17.25 * k;
    return h;
}

TEST(block_keeps_histograms_and_start_times)
{
    struct mem m;
    struct err e = {0};
    struct arena a;
    struct block *b = NULL;
    struct simos *s = simos_new(test_seed());
    struct want *w = wants_new();
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    for (uint32_t i = 0; i < 4; i++) {
        w[i].ref = 10 + i;
        times_fill(&w[i], 5000, 1000, 50);
        w[i].has_h = i != 3;
        w[i].has_st = i >= 1;
        for (uint32_t k = 0; k < 50; k++) {
            bool hist = i == 0 || i == 2 || k % 7 == 0;
            w[i].h[k] = hist && i != 3 ? hist_make(&a, (double)k) : NULL;
            w[i].v[k] = w[i].h[k] != NULL ? w[i].h[k]->sum : (double)k / 3;
            w[i].st[k] = k < 5 ? 0 : 4000;
        }
    }
    assert_true(write_all(&m, simos_os(s), 1, w, 4, NULL, &e));
    assert_true(block_open(&b, &m, simos_os(s), DIR_NAME, 1, &e));
    struct block_cursor *c = block_cursor_new(&m);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(read_and_compare(&m, b, c, i, &w[i], &e));
    }
    block_cursor_free(c);
    block_close(b);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
    free(w);
    simos_free(s);
}

TEST(block_find_agrees_with_a_search_of_all)
{
    struct mem m;
    struct err e = {0};
    struct block *b = NULL;
    struct rng r;
    struct simos *s = simos_new(test_seed());
    struct want *w = wants_new();
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t spread = round % 4 == 0 ? 64 : 1 + (uint32_t)rng_below(&r, 300);
        for (uint32_t i = 0; i < 64; i++) {
            w[i].ref = round % 4 == 0 ? 100 + i : 1 + (uint32_t)rng_below(&r, spread);
            times_fill(&w[i], 10, 1, 1);
        }
        assert_true(write_all(&m, simos_os(s), 1 + round, w, 64, NULL, &e));
        assert_true(block_open(&b, &m, simos_os(s), DIR_NAME, 1 + round, &e));
        uint32_t hint = 0;
        for (uint32_t ref = 1; ref < 310; ref++) {
            uint32_t want_n = 0;
            uint32_t want_first = 0;
            for (uint32_t i = 64; i-- > 0;) {
                if (block_ref_at(b, i) == ref) {
                    want_n++;
                    want_first = i;
                }
            }
            uint32_t first = 0;
            assert_int_equal(block_find(b, ref, 0, &first), want_n);
            assert_true(want_n == 0 || first == want_first);
            /* With a hint, in a walk that leaves some out. */
            if (rng_below(&r, 3) > 0) {
                assert_int_equal(block_find(b, ref, hint, &hint), want_n);
                assert_true(want_n == 0 || hint == want_first);
            }
        }
        block_close(b);
    }
    assert_int_equal(m.bytes, 0);
    free(w);
    simos_free(s);
}

/* Each bit of each byte: the block is refused, or every column is as it was or reports damage, and
 * those that report are few: one, or what is coded against it, or what has the same times. */
TEST(block_flipped_bit_is_never_a_wrong_answer)
{
    struct mem m;
    struct err e = {0};
    struct rng r;
    struct block_info info;
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    struct want *w = wants_new();
    char path[PATH_BYTES_MAX];
    uint32_t refused = 0;
    uint32_t lost_max = 0;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    uint32_t n = wants_fill(w, &r, 20);
    assert_true(write_all(&m, os, 1, w, n, &info, &e));
    assert_true(block_path(path, DIR_NAME, 1, ".blk", &e));
    for (uint64_t at = 0; at < info.bytes; at++) {
        struct block *b = NULL;
        unsigned bit = (unsigned)rng_below(&r, 8);
        assert_true(simos_flip(s, path, at, bit));
        if (!block_open(&b, &m, os, DIR_NAME, 1, &e)) {
            assert_int_equal(e.code, ERR_CORRUPT);
            refused++;
        } else {
            struct block_cursor *c = block_cursor_new(&m);
            uint32_t lost = 0;
            for (uint32_t i = 0; i < n; i++) {
                if (!read_and_compare(&m, b, c, place_of(b, w, i), &w[i], &e)) {
                    assert_int_equal(e.code, ERR_CORRUPT);
                    lost++;
                }
            }
            assert_true(lost >= 1);
            lost_max = lost > lost_max ? lost : lost_max;
            block_cursor_free(c);
            block_close(b);
        }
        assert_true(simos_flip(s, path, at, bit));
    }
    /* Header, directory and footer cost the block, all the data only columns. */
    assert_int_equal(refused, info.bytes - (info.bytes - BLOCK_FOOTER_BYTES - n * 9 - 7 * 32) +
                                  BLOCK_HEADER_BYTES);
    assert_true(lost_max <= 22); /* the times that 22 columns share */
    assert_int_equal(m.bytes, 0);
    free(w);
    simos_free(s);
}

/* A crash at every operation: afterwards the block is not there, or whole. */
TEST(block_is_there_whole_or_not_after_a_crash)
{
    struct mem m;
    struct rng r;
    struct want *w = wants_new();
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    uint32_t n = wants_fill(w, &r, 100);
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        struct err e = {0};
        struct simos *s = simos_new(test_seed() + at);
        const struct os *os = simos_os(s);
        simos_fault_from(s, at, SIMOS_FAIL);
        finished = write_all(&m, os, 1, w, n, NULL, &e);
        simos_crash(s);
        simos_fault_from(s, 0, SIMOS_OK);
        uint64_t *ids = NULL;
        uint32_t ids_n = 0;
        uint32_t ids_cap = 0;
        uint64_t top = 0;
        assert_true(dir_make(os, DIR_NAME, &e));
        assert_true(block_list(&m, os, DIR_NAME, 100, &ids, &ids_n, &ids_cap, &top, &e));
        assert_true(ids_n == 1 || (ids_n == 0 && !finished));
        if (ids_n == 1) {
            struct block *b = NULL;
            assert_true(block_open(&b, &m, os, DIR_NAME, 1, &e));
            struct block_cursor *c = block_cursor_new(&m);
            for (uint32_t i = 0; i < n; i++) {
                assert_true(read_and_compare(&m, b, c, place_of(b, w, i), &w[i], &e));
            }
            block_cursor_free(c);
            block_close(b);
        }
        mem_give(&m, ids, ids_cap * sizeof *ids);
        simos_free(s);
    }
    assert_int_equal(m.bytes, 0);
    free(w);
}

FAULT_TEST(block_write_and_read_survive_any_fault)
{
    struct want *wants = wants_new();
    struct rng r;
    struct err e = {0};
    struct block *b = NULL;
    struct block_cursor *c = NULL;
    rng_init(&r, test_seed());
    uint32_t n = wants_fill(wants, &r, 12);
    bool ok = write_all(&w->mem, w->os, 3, wants, n, NULL, &e) &&
              block_open(&b, &w->mem, w->os, DIR_NAME, 3, &e);
    if (ok) {
        c = block_cursor_new(&w->mem);
        ok = c != NULL;
    }
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = read_and_compare(&w->mem, b, c, place_of(b, wants, i), &wants[i], &e);
    }
    assert_true(ok || e.code != ERR_CORRUPT || b == NULL);
    block_cursor_free(c);
    block_close(b);
    free(wants);
    return ok;
}

TEST(block_list_knows_names_and_removes_halves)
{
    struct mem m;
    struct err e = {0};
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    uint64_t *ids = NULL;
    uint32_t n = 0;
    uint32_t cap = 0;
    uint64_t top = 0;
    mem_init(&m, 0);
    assert_true(dir_make(os, DIR_NAME "/blocks", &e));
    static const char *const names[] = {"00000000000000ff.blk",  "0000000000000002.blk",
                                        "0000000000000100.bad",  "0000000000000101.tmp",
                                        "0000000000000003.blkx", "notes",
                                        "000000000000000G.blk"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[PATH_BYTES_MAX];
        int fd = -1;
        assert_true(path_join(path, sizeof path, DIR_NAME "/blocks", names[i], &e));
        assert_int_equal(os->open(os->ctx, path, OS_WRITE | OS_CREATE, &fd), 0);
        assert_int_equal(os->close(os->ctx, fd), 0);
    }
    assert_true(block_list(&m, os, DIR_NAME, 100, &ids, &n, &cap, &top, &e));
    assert_int_equal(n, 2);
    assert_true(ids[0] == 2 && ids[1] == 255 && top == 257);
    mem_give(&m, ids, cap * sizeof *ids);
    int fd = -1;
    assert_true(os->open(os->ctx, DIR_NAME "/blocks/0000000000000101.tmp", OS_READ, &fd) != 0);
    assert_false(block_list(&m, os, DIR_NAME, 1, &ids, &n, &cap, &top, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(block_remove(os, DIR_NAME, 2, &e));
    assert_true(block_set_aside(os, DIR_NAME, 255, &e));
    assert_true(block_list(&m, os, DIR_NAME, 100, &ids, &n, &cap, &top, &e));
    assert_int_equal(n, 0);
    mem_give(&m, ids, cap * sizeof *ids);
    assert_int_equal(m.bytes, 0);
    simos_free(s);
}
