#include "base/rng.h"
#include "base/test.h"
#include "engines/tsdb/family_int.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t add(struct index *x, const char *name, const char *instance, const char *le,
                    const char *zone)
{
    struct label l[4];
    struct err e = {0};
    uint32_t n = 0;
    uint32_t ref = 0;
    bool is_new = false;
    l[n++] = (struct label){STR(LABEL_NAME), str_from_c(name)};
    l[n++] = (struct label){STR("instance"), str_from_c(instance)};
    l[n++] = (struct label){STR("le"), str_from_c(le)};
    l[n++] = (struct label){STR("zone"), str_from_c(zone)};
    assert_true(labels_normalize(l, &n, &e));
    assert_true(index_series(x, 0, (struct labels){l, n}, &ref, &is_new, &e));
    return ref;
}

static void expect(const struct family *f, const uint32_t *refs, const uint32_t *families,
                   uint32_t n)
{
    uint32_t got = 0;
    const struct family_ref *v = family_all(f, &got);
    assert_int_equal(got, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(v[i].ref, refs[i]);
        assert_int_equal(v[i].family, families[i]);
    }
}

TEST(family_order_puts_count_then_buckets_by_falling_bound)
{
    struct mem m;
    struct err e = {0};
    struct index *x = NULL;
    struct family *f = NULL;
    mem_init(&m, 0);
    assert_true(index_new(&m, 1000, &x, &e));
    assert_true(family_new(&f, &m, &e));
    uint32_t inf = add(x, "d_bucket", "a", "+Inf", "z1");
    uint32_t sum = add(x, "d_sum", "a", "", "z1");
    uint32_t ten = add(x, "d_bucket", "a", "10", "z1");
    uint32_t two = add(x, "d_bucket", "a", "2.5", "z1");
    uint32_t count = add(x, "d_count", "a", "", "z1");
    uint32_t other_ten = add(x, "d_bucket", "a", "10", "z2");
    uint32_t other_two = add(x, "d_bucket", "a", "2.5", "z2");
    uint32_t up = add(x, "up", "a", "", "");
    uint32_t calls = add(x, "calls_count", "a", "", ""); /* of no histogram */
    uint32_t word = add(x, "d_bucket", "a", "many", "z1");
    uint32_t lone = add(x, "lone_bucket", "a", "1", "");
    assert_true(family_update(f, x, &e));
    uint32_t refs[] = {calls, count, inf, ten, two, other_ten, other_two, word, sum, lone, up};
    uint32_t families[] = {0, 2, 2, 2, 2, 6, 6, 0, 0, 0, 0};
    expect(f, refs, families, ARRAY_LEN(refs));
    /* A bound that comes later takes its place. */
    uint32_t five = add(x, "d_bucket", "a", "5", "z1");
    uint32_t aaa = add(x, "aaa", "a", "", "");
    uint32_t zzz = add(x, "zzz", "a", "", "");
    assert_true(family_update(f, x, &e));
    uint32_t refs2[] = {aaa,       calls,     count, inf, ten,  five, two,
                        other_ten, other_two, word,  sum, lone, up,   zzz};
    uint32_t families2[] = {0, 0, 3, 3, 3, 3, 3, 8, 8, 0, 0, 0, 0, 0};
    expect(f, refs2, families2, ARRAY_LEN(refs2));
    family_free(f);
    index_free(x);
    assert_int_equal(m.bytes, 0);
}

/* Bringing up to date in any steps gives the order that sorting all at once gives. */
TEST(family_update_in_steps_is_the_order_at_once)
{
    struct mem m;
    struct err e = {0};
    struct rng r;
    struct index *x = NULL;
    struct family *steps = NULL;
    struct family *once = NULL;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    assert_true(index_new(&m, 100000, &x, &e));
    assert_true(family_new(&steps, &m, &e));
    assert_true(family_new(&once, &m, &e));
    for (uint32_t i = 0; i < 3000; i++) {
        char name[32];
        char instance[32];
        char le[32];
        snprintf(name, sizeof name, "m%u%s", (unsigned)rng_below(&r, 20),
                 rng_below(&r, 3) == 0 ? "_count" : "_bucket");
        snprintf(instance, sizeof instance, "i%u", (unsigned)rng_below(&r, 20));
        snprintf(le, sizeof le, "%u", (unsigned)rng_below(&r, 30));
        (void)add(x, name, instance, rng_below(&r, 9) == 0 ? "" : le, "");
        if (rng_below(&r, i < 200 ? 20 : 60) == 0) {
            assert_true(family_update(steps, x, &e));
        }
    }
    assert_true(family_update(steps, x, &e));
    assert_true(family_update(once, x, &e));
    uint32_t n = 0;
    uint32_t n2 = 0;
    const struct family_ref *a = family_all(steps, &n);
    const struct family_ref *b = family_all(once, &n2);
    assert_true(n == n2 && n == index_count(x));
    assert_memory_equal(a, b, n * sizeof *a);
    family_reset(steps);
    assert_true(family_update(steps, x, &e));
    a = family_all(steps, &n);
    assert_memory_equal(a, b, n * sizeof *a);
    family_free(steps);
    family_free(once);
    index_free(x);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(family_update_survives_any_fault)
{
    struct index *x = NULL;
    struct family *f = NULL;
    struct err e = {0};
    struct mem m;
    mem_init(&m, 0);
    assert_true(index_new(&m, 100, &x, &e));
    (void)add(x, "d_bucket", "a", "2", "z1");
    (void)add(x, "d_bucket", "a", "1", "z1");
    bool ok = family_new(&f, &w->mem, &e) && family_update(f, x, &e);
    (void)add(x, "d_count", "a", "", "z1");
    ok = ok && family_update(f, x, &e);
    assert_true(ok || e.code == ERR_NOMEM);
    uint32_t n = 0;
    assert_true(!ok || (family_all(f, &n)[2].family == 1 && n == 3));
    family_free(f);
    index_free(x);
    return ok;
}
