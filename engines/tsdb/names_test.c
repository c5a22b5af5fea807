#include "engines/tsdb/names_int.h"

#include "base/hash.h"
#include "base/test.h"
#include "engines/tsdb/index_testing_int.h"

#include <stdio.h>

struct nm {
    struct ix ix;
    struct tsdb_names *n;
};

static void nm_init(struct nm *t, size_t bytes_max)
{
    struct err e;
    ix_init(&t->ix, 0);
    assert_true(names_new_in(t->ix.x, 7, bytes_max, NULL, NULL, &t->n, &e));
}

static void nm_release(struct nm *t)
{
    tsdb_names_free(t->n);
    ix_release(&t->ix);
}

/* The raw name of number i, and the series it stands for. */
static struct str raw_of(uint32_t i, char *text, size_t cap)
{
    int n = snprintf(text, cap, "a=%u", i);
    return str_of(text, (size_t)n);
}

static uint32_t find(struct nm *t, struct str raw)
{
    uint64_t hash = hash64(raw);
    tsdb_names_prefetch(t->n, hash);
    return tsdb_names_find(t->n, hash, raw);
}

TEST(names_finds_what_was_put)
{
    struct nm t;
    char text[32];
    nm_init(&t, 4 << 20);
    for (uint32_t i = 0; i < 5000; i++) {
        struct str raw = raw_of(i, text, sizeof text);
        assert_int_equal(find(&t, raw), 0);
        tsdb_names_put(t.n, hash64(raw), raw, ix_add(&t.ix, text));
        assert_int_equal(find(&t, raw), i + 1);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(find(&t, raw_of(i, text, sizeof text)), i + 1);
    }
    nm_release(&t);
}

TEST(names_tells_apart_what_has_the_same_hash)
{
    struct nm t;
    nm_init(&t, 1 << 20);
    uint32_t a = ix_add(&t.ix, "a=1");
    uint32_t b = ix_add(&t.ix, "a=2");
    tsdb_names_put(t.n, 42, STR("first"), a);
    assert_int_equal(tsdb_names_find(t.n, 42, STR("other")), 0);
    tsdb_names_put(t.n, 42, STR("other"), b);
    assert_int_equal(tsdb_names_find(t.n, 42, STR("first")), a);
    assert_int_equal(tsdb_names_find(t.n, 42, STR("other")), b);
    tsdb_names_put(t.n, 42, STR("first"), b);
    assert_int_equal(tsdb_names_find(t.n, 42, STR("first")), b);
    assert_int_equal(names_count(t.n), 2);
    nm_release(&t);
}

/* XXH3 multiplies the first eight bytes, mixed with a constant, by the next eight: where they are
 * that constant the product is 0 whatever the others are. Anybody can make such names. */
TEST(names_tells_apart_what_was_made_to_collide)
{
    static const char at_fault[] = "\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe";
    struct nm t;
    char text[2][33];
    snprintf(text[0], sizeof text[0], "%svictim=1%016d", at_fault, 0);
    snprintf(text[1], sizeof text[1], "%sother=42%016d", at_fault, 0);
    struct str one = str_from_c(text[0]), two = str_from_c(text[1]);
    assert_int_equal(one.n, 32);
    assert_true(hash64(one) == hash64(two));
    nm_init(&t, 1 << 20);
    uint32_t a = ix_add(&t.ix, "a=1");
    uint32_t b = ix_add(&t.ix, "a=2");
    tsdb_names_put(t.n, hash64(one), one, a);
    assert_int_equal(find(&t, two), 0);
    tsdb_names_put(t.n, hash64(two), two, b);
    assert_int_equal(find(&t, one), a);
    assert_int_equal(find(&t, two), b);
    nm_release(&t);
}

TEST(names_costs_less_than_forty_bytes_of_a_series)
{
    struct nm t;
    char text[32];
    const uint32_t n = 20000;
    nm_init(&t, 4 << 20);
    for (uint32_t i = 0; i < n; i++) {
        struct str raw = raw_of(i, text, sizeof text);
        tsdb_names_put(t.n, hash64(raw), raw, ix_add(&t.ix, text));
    }
    assert_int_equal(names_count(t.n), n);
    assert_true(names_bytes(t.n) < (size_t)n * 40);
    nm_release(&t);
}

TEST(names_forgets_dropped_series_even_when_the_id_lives_again)
{
    struct nm t;
    nm_init(&t, 1 << 20);
    uint32_t a = ix_add(&t.ix, "a=1");
    tsdb_names_put(t.n, 1, STR("x"), a);
    tsdb_names_put(t.n, 2, STR("y"), a);
    index_drop(t.ix.x, &a, 1);
    assert_int_equal(tsdb_names_find(t.n, 1, STR("x")), 0);
    tsdb_names_put(t.n, 3, STR("z"), a);
    assert_int_equal(tsdb_names_find(t.n, 3, STR("z")), 0);
    index_reuse(t.ix.x);
    assert_int_equal(ix_add(&t.ix, "a=2"), a);
    assert_int_equal(tsdb_names_find(t.n, 2, STR("y")), 0);
    tsdb_names_put(t.n, 2, STR("y"), a);
    assert_int_equal(tsdb_names_find(t.n, 2, STR("y")), a);
    nm_release(&t);
}

TEST(names_stays_within_its_bytes_and_still_helps)
{
    struct nm t;
    char text[32];
    const size_t bytes_max = 64 << 10;
    uint32_t hits = 0;
    nm_init(&t, bytes_max);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 3000; i++) {
            struct str raw = raw_of(i, text, sizeof text);
            uint32_t ref = ix_add(&t.ix, text);
            uint32_t got = find(&t, raw);
            assert_true(got == 0 || got == ref);
            hits += round > 0 && got != 0;
            if (got == 0) {
                tsdb_names_put(t.n, hash64(raw), raw, ref);
            }
            assert_true(names_bytes(t.n) <= bytes_max);
        }
    }
    /* A quarter fits; strict age would find none of them going round. */
    assert_true(names_count(t.n) > 700);
    assert_true(hits > 15000 / 8);
    nm_release(&t);
}

static bool allow_world(void *ctx, size_t bytes)
{
    struct test_world *w = ctx;
    return w->mem.allow(w->mem.allow_ctx, bytes);
}

FAULT_TEST(names_forgets_at_worst)
{
    struct ix ix;
    struct tsdb_names *n;
    struct err e = {0};
    ix_init(&ix, 0);
    if (!names_new_in(ix.x, 7, 1 << 20, allow_world, w, &n, &e)) {
        assert_int_equal(e.code, ERR_LIMIT);
        ix_release(&ix);
        return false;
    }
    for (uint32_t i = 0; i < 100; i++) {
        char text[32];
        struct str raw = raw_of(i, text, sizeof text);
        uint32_t ref = ix_add(&ix, text);
        tsdb_names_put(n, hash64(raw), raw, ref);
        uint32_t got = tsdb_names_find(n, hash64(raw), raw);
        assert_true(got == ref || got == 0);
    }
    assert_true(names_count(n) >= 99);
    tsdb_names_free(n);
    ix_release(&ix);
    return true;
}
