/* The checkpoint: nothing is forgotten, nothing damaged is taken, no lack of memory does harm. */
#include "model/drift/drift_int.h"
#include "model/drift/testing_int.h"

#define DAY (TESTING_DAY0 + 5)

static void key_new(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 20) == 0) {
        x->f[2].category = STR("nfc");
    }
}

/* A day without its tick: half of its hours stay open. */
static void half_day(struct testing *t, int32_t day, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < 600; i++) {
        struct testing_event x = testing_event(&r, ns_from_day(day) + NS_PER_DAY / 1500 * i);
        testing_give(t, i % t->n, &x);
    }
    drift_tick(t->d, t->shards, t->n, ns_from_day(day) + 5 * 3600 * NS_PER_S);
}

static void json(const struct testing *t, struct buf *b)
{
    struct drift_query q;
    struct err e = {0};
    assert_true(drift_query_parse(STR(""), STR(""), STR(""), STR("*"), STR("day"), &q, &e));
    drift_json(t->d, &q, b);
}

TEST(a_loaded_state_goes_on_as_if_nothing_had_happened)
{
    struct mem m;
    struct buf saved;
    struct buf text[2];
    struct testing a;
    struct testing b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&saved, &m, 64 << 20);
    buf_init(&text[0], &m, 64 << 20);
    buf_init(&text[1], &m, 64 << 20);
    testing_init(&a, 3);
    testing_init(&b, 2);
    testing_reference(&a, 4);
    testing_day(&a, DAY, 4, key_new);
    half_day(&a, DAY + 1, 8);
    assert_true(a.d->hours.count > 0);
    assert_true(a.d->days.count > 0);
    assert_true(drift_save(a.d, a.shards, a.n, &saved));
    assert_false(saved.failed);
    struct rd r = rd_of(buf_str(&saved));
    assert_true(drift_load(b.d, b.shards, b.n, &r, &e));
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(b.d->hour_first, a.d->hour_first);
    testing_day(&a, DAY + 2, 4, NULL);
    testing_day(&b, DAY + 2, 4, NULL);
    json(&a, &text[0]);
    json(&b, &text[1]);
    assert_true(text[0].n > 10000);
    assert_true(str_eq(buf_str(&text[0]), buf_str(&text[1])));
    testing_release(&a);
    testing_release(&b);
    buf_release(&saved);
    buf_release(&text[0]);
    buf_release(&text[1]);
}

static void small_state(struct testing *t, struct buf *saved)
{
    struct rng r;
    rng_init(&r, 1);
    t->c.reference_days = 2;
    for (int32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < 40; k++) {
            struct testing_event x =
                testing_event(&r, ns_from_day(TESTING_DAY0 + i) + NS_PER_DAY / 40 * k);
            testing_give(t, k % t->n, &x);
        }
        drift_tick(t->d, t->shards, t->n, ns_from_day(TESTING_DAY0 + i + 1) - 3 * 3600 * NS_PER_S);
    }
    assert_true(t->d->sealed);
    assert_true(drift_save(t->d, t->shards, t->n, saved));
    assert_false(saved->failed);
}

TEST(a_state_that_is_cut_or_changed_is_refused_or_stays_within_bounds)
{
    struct mem m;
    struct buf saved;
    struct testing t;
    struct rng rng;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&saved, &m, 64 << 20);
    testing_init(&t, 2);
    small_state(&t, &saved);
    for (size_t n = 0; n < saved.n; n += n < 200 ? 1 : 97) {
        struct rd r = rd_of(str_of(saved.p, n));
        assert_false(drift_load(t.d, t.shards, t.n, &r, &e));
        assert_int_equal(t.d->names.features.count, 0);
        assert_int_equal(t.d->ref_days, 0);
    }
    rng_init(&rng, test_seed());
    for (int i = 0; i < 400; i++) {
        size_t at = (size_t)rng_below(&rng, saved.n);
        char had = saved.p[at];
        saved.p[at] = (char)rng_u64(&rng);
        struct rd r = rd_of(buf_str(&saved));
        if (drift_load(t.d, t.shards, t.n, &r, &e)) {
            drift_tick(t.d, t.shards, t.n, ns_from_day(TESTING_DAY0 + 30));
        }
        saved.p[at] = had;
    }
    struct rd whole = rd_of(buf_str(&saved));
    assert_true(drift_load(t.d, t.shards, t.n, &whole, &e));
    testing_release(&t);
    buf_release(&saved);
}

TEST(another_named_range_makes_the_reference_again)
{
    struct mem m;
    struct buf saved;
    struct testing a;
    struct testing b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&saved, &m, 64 << 20);
    testing_init(&a, 1);
    small_state(&a, &saved);
    testing_init(&b, 1);
    b.c.reference_from = STR("2024-10-12");
    b.c.reference_to = STR("2024-10-13");
    struct rd r = rd_of(buf_str(&saved));
    assert_true(drift_load(b.d, b.shards, 1, &r, &e));
    assert_false(b.d->sealed);
    assert_int_equal(b.d->ref_days, 0);
    assert_null(drift_grid_at(&b.d->ref, 0, 0));
    testing_release(&a);
    testing_release(&b);
    buf_release(&saved);
}

FAULT_TEST(lack_of_memory_loses_counts_and_nothing_else)
{
    struct testing t;
    struct buf saved;
    struct err e = {0};
    bool ok = testing_start(&t, &w->mem, 2);
    buf_init(&saved, &w->mem, 64 << 20);
    if (ok) {
        struct rng r;
        rng_init(&r, 1);
        t.c.reference_days = 2;
        for (int32_t i = 0; i < 4; i++) {
            for (uint32_t k = 0; k < 3; k++) {
                struct testing_event x = testing_event(&r, ns_from_day(TESTING_DAY0 + i) +
                                                               7 * 3600 * NS_PER_S * k + NS_PER_S);
                testing_give(&t, k % t.n, &x);
            }
            drift_tick(t.d, t.shards, t.n, ns_from_day(TESTING_DAY0 + i) + 22 * 3600 * NS_PER_S);
        }
        ok = t.d->memory_failures == 0;
        for (uint32_t k = 0; k < t.n; k++) {
            ok = ok && t.shards[k]->left[DRIFT_LEFT_MEMORY] == 0;
        }
        ok = drift_save(t.d, t.shards, t.n, &saved) && !saved.failed && ok;
        if (ok) {
            struct rd r2 = rd_of(buf_str(&saved));
            ok = drift_load(t.d, t.shards, t.n, &r2, &e);
        }
    }
    buf_release(&saved);
    testing_stop(&t);
    return ok;
}
