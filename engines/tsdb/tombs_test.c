#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/tombs_int.h"

#define DIR_NAME "store"

static bool same(const struct tombs *a, const struct tombs *b)
{
    bool ok = tombs_count(a) == tombs_count(b);
    for (uint32_t i = 0; ok && i < tombs_count(a); i++) {
        const struct tomb *x = tombs_at(a, i);
        const struct tomb *y = tombs_at(b, i);
        ok = x->ref == y->ref && x->from_ms == y->from_ms && x->to_ms == y->to_ms &&
             x->seq == y->seq;
    }
    return ok;
}

TEST(tombs_join_what_touches_with_the_same_seq)
{
    struct mem m;
    struct err e = {0};
    struct tombs *t = NULL;
    struct tombs *u = NULL;
    mem_init(&m, 0);
    struct tomb add[] = {{.ref = 2, .from_ms = 50, .to_ms = 60, .seq = 9},
                         {.ref = 1, .from_ms = 20, .to_ms = 30, .seq = 5},
                         {.ref = 1, .from_ms = 31, .to_ms = 40, .seq = 5},
                         {.ref = 1, .from_ms = 25, .to_ms = 26, .seq = 7},
                         {.ref = 1, .from_ms = 42, .to_ms = INT64_MAX, .seq = 5}};
    assert_true(tombs_add(&t, &m, NULL, add, 4, &e));
    assert_true(tombs_add(&u, &m, t, add + 4, 1, &e));
    assert_int_equal(tombs_count(t), 3);
    assert_int_equal(tombs_count(u), 4);
    uint32_t n = 0;
    const struct tomb *l = tombs_of(u, 1, &n);
    assert_int_equal(n, 3);
    assert_true(l[0].from_ms == 20 && l[1].seq == 7 && l[2].from_ms == 42);
    assert_true(tombs_hit(l, n, 5, 40) && !tombs_hit(l, n, 5, 41) && tombs_hit(l, n, 5, 42));
    assert_true(tombs_hit(l, n, 7, 25) && !tombs_hit(l, n, 6, 27) && !tombs_hit(l, n, 8, 25));
    assert_true(tombs_touch(l, n, 5, 0, 20) && !tombs_touch(l, n, 5, 0, 19));
    assert_null(tombs_of(u, 3, &n));
    assert_int_equal(n, 0);
    assert_null(tombs_of(NULL, 1, &n));
    tombs_unref(t);
    tombs_unref(tombs_ref(u));
    tombs_unref(u);
    assert_int_equal(m.bytes, 0);
}

TEST(tombs_filter_closes_the_holes_in_all_arrays)
{
    struct tomb list[] = {{.ref = 1, .from_ms = 3, .to_ms = 4, .seq = 2},
                          {.ref = 1, .from_ms = 8, .to_ms = 100, .seq = 1}};
    int64_t t[10], st[10];
    double v[10];
    struct nhist h[10];
    struct nhist *hp[10];
    for (int i = 0; i < 10; i++) {
        t[i] = i;
        v[i] = i;
        st[i] = i;
        hp[i] = &h[i];
    }
    assert_int_equal(tombs_filter(list, 2, 2, t, t, v, hp, st, 10), 8);
    static const int left[] = {0, 1, 2, 5, 6, 7, 8, 9};
    for (int i = 0; i < 8; i++) {
        assert_true(t[i] == left[i] && v[i] == left[i] && st[i] == left[i]);
        assert_ptr_equal(hp[i], &h[left[i]]);
    }
    assert_int_equal(tombs_filter(list, 2, 1, t, t, v, NULL, NULL, 8), 6);
    assert_int_equal(tombs_filter(list, 2, 3, t, t, v, NULL, NULL, 6), 6);
}

TEST(tombs_file_survives_a_crash_whole)
{
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        struct err e = {0};
        struct simos *s = simos_new(test_seed() + at);
        const struct os *os = simos_os(s);
        struct tombs *one = NULL;
        struct tombs *two = NULL;
        struct tombs *got = NULL;
        struct tomb x = {.ref = 4, .from_ms = -5, .to_ms = 5, .seq = 3};
        assert_true(dir_make(os, DIR_NAME, &e));
        assert_true(tombs_read(&one, &m, os, DIR_NAME, &e));
        assert_int_equal(tombs_count(one), 0);
        tombs_unref(one);
        assert_true(tombs_add(&one, &m, NULL, &x, 1, &e));
        x.ref = 3;
        assert_true(tombs_add(&two, &m, one, &x, 1, &e));
        assert_true(tombs_save(one, &m, os, DIR_NAME, &e));
        simos_fault_from(s, at, SIMOS_FAIL);
        finished = tombs_save(two, &m, os, DIR_NAME, &e);
        simos_crash(s);
        simos_fault_from(s, 0, SIMOS_OK);
        assert_true(tombs_read(&got, &m, os, DIR_NAME, &e));
        assert_true(same(got, two) || (!finished && same(got, one)));
        tombs_unref(got);
        tombs_unref(one);
        tombs_unref(two);
        simos_free(s);
    }
    assert_int_equal(m.bytes, 0);
}

TEST(tombs_file_with_a_flipped_bit_is_refused)
{
    struct mem m;
    struct err e = {0};
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    struct tombs *t = NULL;
    struct tomb x[] = {{.ref = 4, .from_ms = -5, .to_ms = 5, .seq = 3},
                       {.ref = 9, .from_ms = 7, .to_ms = 7, .seq = 1}};
    mem_init(&m, 0);
    assert_true(dir_make(os, DIR_NAME, &e));
    assert_true(tombs_add(&t, &m, NULL, x, 2, &e));
    assert_true(tombs_save(t, &m, os, DIR_NAME, &e));
    for (uint64_t at = 0; at < 16 + 2 * 28 + 4; at++) {
        struct tombs *got = NULL;
        assert_true(simos_flip(s, DIR_NAME "/tombs.bin", at, at % 8));
        assert_false(tombs_read(&got, &m, os, DIR_NAME, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        assert_true(simos_flip(s, DIR_NAME "/tombs.bin", at, at % 8));
    }
    assert_false(simos_flip(s, DIR_NAME "/tombs.bin", 16 + 2 * 28 + 4, 0));
    tombs_unref(t);
    simos_free(s);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(tombs_add_and_save_survive_any_fault)
{
    struct err e = {0};
    struct tombs *t = NULL;
    struct tombs *got = NULL;
    struct tomb x = {.ref = 4, .from_ms = -5, .to_ms = 5, .seq = 3};
    bool ok = dir_make(w->os, DIR_NAME, &e) && tombs_add(&t, &w->mem, NULL, &x, 1, &e) &&
              tombs_save(t, &w->mem, w->os, DIR_NAME, &e) &&
              tombs_read(&got, &w->mem, w->os, DIR_NAME, &e);
    assert_true(!ok || same(got, t));
    tombs_unref(t);
    tombs_unref(got);
    return ok;
}
