/* The head alone: what is appended is there, in its columns, as of every epoch. */
#include "engines/tsdb/head_int.h"

#include "base/rng.h"
#include "base/test.h"

#include <string.h>

struct world {
    struct pool pool;
    struct gen *g;
};

static void world_open(struct world *w)
{
    pool_init(&w->pool);
    w->g = gen_new(&w->pool);
    assert_non_null(w->g);
}

static void world_close(struct world *w)
{
    gen_free(w->g);
    pool_release(&w->pool);
    assert_int_equal(w->pool.mem.bytes, 0);
}

static void append(struct world *w, uint32_t ref, int64_t t, uint64_t bits)
{
    struct slot *s = gen_slot(w->g, ref);
    assert_non_null(s);
    gen_append(w->g, s, t, 0, CHUNK_FLOAT, bits);
}

TEST(head_shares_the_times_of_series_sampled_together)
{
    struct world w;
    world_open(&w);
    for (int64_t t = 0; t < 100; t++) {
        for (uint32_t ref = 1; ref <= 500; ref++) {
            append(&w, ref, 1000 + t * 15, (uint64_t)t * 1000 + ref);
        }
    }
    /* 8 bytes a value, and little beside: chunk headers, times once, the end of the last chunks. */
    assert_true(w.g->pages_n * POOL_PAGE_BYTES <
                500 * (100 * 8 + 6 * 16 + 32 * 8) + POOL_PAGE_BYTES);
    for (uint32_t ref = 1; ref <= 500; ref++) {
        assert_int_equal(gen_count(w.g, ref, 0), 100);
        for (int64_t t = 0; t < 100; t++) {
            unsigned kind;
            uint64_t bits;
            assert_true(gen_find(w.g, ref, 1000 + t * 15, &kind, &bits));
            assert_int_equal(bits, (uint64_t)t * 1000 + ref);
            assert_false(gen_find(w.g, ref, 1001 + t * 15, &kind, &bits));
        }
    }
    world_close(&w);
}

TEST(head_keeps_series_that_go_their_own_way)
{
    struct world w;
    struct rng r;
    world_open(&w);
    rng_init(&r, test_seed());
    int64_t last[64] = {0};
    uint32_t n[64] = {0};
    for (int i = 0; i < 20000; i++) {
        uint32_t ref = 1 + (uint32_t)rng_below(&r, 63);
        last[ref] += 1 + (int64_t)rng_below(&r, rng_below(&r, 10) == 0 ? 1000 : 2);
        append(&w, ref, last[ref], (uint64_t)last[ref] * 64 + ref);
        n[ref]++;
    }
    for (uint32_t ref = 1; ref < 64; ref++) {
        assert_int_equal(gen_count(w.g, ref, 0), n[ref]);
        uint32_t seen = 0;
        for (int64_t t = 0; t <= last[ref]; t++) {
            unsigned kind;
            uint64_t bits;
            if (gen_find(w.g, ref, t, &kind, &bits)) {
                assert_int_equal(bits, (uint64_t)t * 64 + ref);
                seen++;
            }
        }
        assert_int_equal(seen, n[ref]);
    }
    world_close(&w);
}

/* Views opened and closed at random see the counts of their epoch, whatever is appended since. */
TEST(head_counts_are_those_of_the_epoch)
{
    enum { VIEWS = 8, REFS = 3000 };
    struct world w;
    struct rng r;
    world_open(&w);
    rng_init(&r, test_seed());
    static uint32_t counts[VIEWS][REFS];
    uint64_t epochs[VIEWS] = {0};
    bool open[VIEWS] = {false};
    static uint32_t now[REFS];
    memset(now, 0, sizeof now);
    for (uint64_t epoch = 1; epoch < 400; epoch++) {
        uint64_t newest = 0;
        uint64_t oldest = UINT64_MAX;
        bool any = false;
        for (int k = 0; k < VIEWS; k++) {
            if (open[k]) {
                newest = epochs[k] > newest ? epochs[k] : newest;
                oldest = epochs[k] < oldest ? epochs[k] : oldest;
                any = true;
            }
        }
        for (int i = 0; i < 50; i++) {
            uint32_t ref = 1 + (uint32_t)rng_below(&r, REFS - 1);
            struct slot *s = gen_slot(w.g, ref);
            struct slot_page *p = gen_slot_page(w.g, ref);
            gen_page_touch(w.g, p, epoch, newest, oldest, any);
            gen_append(w.g, s, (int64_t)epoch * 100 + i, 0, CHUNK_FLOAT, epoch);
            now[ref]++;
        }
        int k = (int)rng_below(&r, VIEWS);
        open[k] = !open[k];
        if (open[k]) {
            epochs[k] = epoch;
            memcpy(counts[k], now, sizeof now);
        }
        for (k = 0; k < VIEWS; k++) {
            for (uint32_t ref = 1; open[k] && ref < REFS; ref += 7) {
                assert_int_equal(gen_count(w.g, ref, epochs[k]), counts[k][ref]);
            }
        }
    }
    world_close(&w);
}

TEST(head_finds_late_samples_and_takes_them_back)
{
    struct world w;
    world_open(&w);
    uint32_t made[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        assert_non_null(gen_slot(w.g, 1 + i % 7));
        made[i] = gen_late_add(w.g, 1 + i % 7, i, 0, CHUNK_FLOAT, i * 3);
        assert_int_not_equal(made[i], 0);
    }
    for (uint32_t i = 0; i < 1000; i += 3) {
        gen_late_undo(w.g, made[i]);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        const struct late *l = gen_late_find(w.g, 1 + i % 7, i);
        assert_int_equal(l != NULL, i % 3 != 0);
        assert_true(l == NULL || l->bits == i * 3);
        assert_null(gen_late_find(w.g, 8, i));
        if (i % 3 == 1) {
            gen_late_publish(w.g, made[i], i);
        }
    }
    assert_false(gen_has_late(w.g, 2, 0));
    assert_true(gen_has_late(w.g, 2, 1));
    world_close(&w);
}

TEST(head_blobs_of_any_size_come_back)
{
    struct world w;
    world_open(&w);
    static char bytes[600000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 7);
    }
    size_t sizes[] = {0, 1, 100, 262000, 262144, 300000, 600000, 50};
    uint32_t at[ARRAY_LEN(sizes)];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        at[i] = gen_blob(w.g, str_of(bytes + i, sizes[i] - (sizes[i] > i ? i : 0)));
        assert_int_not_equal(at[i], 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_str(gen_blob_str(w.g, at[i]), str_of(bytes + i, sizes[i] - (sizes[i] > i ? i : 0)));
    }
    world_close(&w);
}

TEST(head_takes_no_more_pages_than_were_reserved)
{
    enum { REFS = 3000, FULL = 10 + 15 + 20 + 25 + 30 + 32 }; /* then every series begins a chunk */
    struct world w;
    world_open(&w);
    for (int64_t t = 0; t < FULL; t++) {
        for (uint32_t ref = 1; ref <= REFS; ref++) {
            append(&w, ref, t, 1);
        }
    }
    const size_t pages = w.g->pages_n;
    const size_t most = gen_pages_of(gen_bytes_max(REFS, 1, false));
    assert_true(pool_reserve(&w.pool, most));
    const size_t had = w.pool.pages_n;
    for (uint32_t ref = 1; ref <= REFS; ref++) {
        append(&w, ref, FULL, 1);
    }
    assert_int_equal(w.pool.pages_n, had);
    assert_true(w.g->pages_n - pages >= most - 2); /* and the bound is near */
    world_close(&w);
}

TEST(head_pool_hands_out_first_what_was_in_use)
{
    struct pool p;
    pool_init(&p);
    assert_true(pool_reserve(&p, 2));
    void *used = pool_take(&p);
    pool_give(&p, used);
    assert_true(pool_reserve(&p, 5));
    assert_int_equal(p.pages_n, 5);
    assert_ptr_equal(pool_take(&p), used);
    void *other = pool_take(&p);
    assert_ptr_not_equal(other, used);
    assert_int_equal(p.free_n, 3);
    pool_give(&p, used);
    pool_give(&p, other);
    pool_trim(&p, 1);
    assert_int_equal(p.pages_n, 1);
    pool_release(&p);
    assert_int_equal(p.mem.bytes, 0);
}
