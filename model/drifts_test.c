/* Drift through the pillar: decisions in, ticks, checkpoint, answer and series out. */
#include "model/model_testing_int.h"

#define EACH_DAY 400

static void start(struct testing *t, uint32_t shards)
{
    *t = (struct testing){.own_simos = true};
    mem_init(&t->mem, 0);
    t->m = &t->mem;
    t->simos = simos_new(7);
    t->os = simos_os(t->simos);
    simos_clock_set(t->simos, ns_from_day(TESTING_DAY0 + 400));
    testing_config(t);
    t->c.drift = (struct drift_config){.enabled = true,
                                       .reference_days = 3,
                                       .segments_max = 8,
                                       .categories_max = 16,
                                       .retention_days = 30,
                                       .effect_min = 0.05,
                                       .q_max = 0.01};
    assert_true(testing_start(t, shards));
}

/* A day of decisions with one feature, in two batches; from the last reference day on times 100. */
static void give_day(struct testing *t, int32_t day)
{
    for (uint32_t k = 0; k < EACH_DAY; k++) {
        if (k % (EACH_DAY / 2) == 0) {
            testing_apply(t);
            record_put_name(&t->batch, STR("amount"));
        }
        struct decision d = testing_decision(ns_from_day(day) + NS_PER_DAY / EACH_DAY * k,
                                             (uint32_t)day * EACH_DAY + k, 0.01 * (k % 60),
                                             k % 60 > 50 ? VERDICT_HOLD : VERDICT_APPROVE);
        const struct feature f = {.name = 0,
                                  .kind = FEATURE_NUMBER,
                                  .number = (10 + k * 7 % 90) * (day < TESTING_DAY0 + 4 ? 1 : 100)};
        d.features = &f;
        d.features_count = 1;
        record_put_decision(&t->batch, &d);
    }
    testing_apply(t);
}

static void answer(struct testing *t, struct buf *b)
{
    struct drift_query q;
    struct err e = {0};
    assert_true(drift_query_parse(STR(""), STR(""), STR(""), STR("*"), STR(""), &q, &e));
    model_drift_json(t->model, &q, b);
    assert_false(b->failed);
}

TEST(a_change_of_unit_comes_through_the_pillar_whatever_the_shards_and_restarts)
{
    struct mem m;
    struct buf text[2];
    struct buf saved;
    struct testing a;
    struct testing b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&saved, &m, 64 << 20);
    buf_init(&text[0], &m, 64 << 20);
    buf_init(&text[1], &m, 64 << 20);
    start(&a, 3);
    start(&b, 1);
    for (int32_t i = 0; i < 6; i++) {
        give_day(&a, TESTING_DAY0 + i);
        testing_tick(&a);
        if (i == 4) {
            a.p.save(a.p.app, a.states, a.n, &saved);
            assert_false(saved.failed);
            assert_true(b.p.load(b.p.app, b.states, b.n, buf_str(&saved), &e));
        }
    }
    give_day(&b, TESTING_DAY0 + 5);
    testing_tick(&b);
    answer(&a, &text[0]);
    answer(&b, &text[1]);
    assert_true(str_contains(buf_str(&text[0]), STR("\"unit_x100\"")));
    assert_true(str_contains(buf_str(&text[0]), STR("\"segment\":\"channel:web\"")));
    assert_true(str_eq(buf_str(&text[0]), buf_str(&text[1])));

    struct arena arena;
    struct expo x;
    arena_init(&arena, &m, 16 << 20);
    expo_init(&x, &arena, 0);
    a.p.publish(a.p.app, a.states, a.n, os_now_ns(a.os), &x);
    assert_false(x.failed);
    const struct label l[] = {{STR("feature"), STR("amount")}};
    const struct expo_sample *s = expo_find(&x, STR("fraud_feature_drifted"), l, 1);
    assert_non_null(s);
    assert_true(s->value == 1);
    s = expo_find(&x, STR("fraud_feature_ks"), l, 1);
    assert_non_null(s);
    assert_true(s->value > 0.8);
    arena_release(&arena);
    testing_release(&a);
    testing_release(&b);
    buf_release(&saved);
    buf_release(&text[0]);
    buf_release(&text[1]);
    assert_int_equal(m.bytes, 0);
}
