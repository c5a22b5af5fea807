/* Causes through the pillar: a segment whose frauds are let through is named, by one shard and by
 * three in the same bytes; ranges, ages and parameters; exact tests against brute force. */
#include "base/rng.h"
#include "model/causes_int.h"
#include "model/model_testing_int.h"

#define DAYS     21
#define DAY_NOW  14 /* from here on something is different */
#define PER_DAY  600u
#define CHANNELS 3
#define FORMS_OF 4

static const int64_t t0 = (int64_t)TESTING_DAY0 * NS_PER_DAY;

/* From DAY_NOW on frauds of web and QRES are let through, and there are more of them. */
static void stream(struct testing *t, uint64_t seed, bool changed)
{
    const struct str channels[CHANNELS] = {STR("app"), STR("web"), STR("ted")};
    const struct str forms[FORMS_OF] = {STR("DICT"), STR("MANU"), STR("QRES"), STR("INIC")};
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t day = 0; day < DAYS; day++) {
        for (uint32_t i = 0; i < PER_DAY; i++) {
            uint32_t k = day * PER_DAY + i;
            int64_t t_ns = t0 + day * NS_PER_DAY + (int64_t)i * 100 * NS_PER_S;
            uint32_t channel = (uint32_t)rng_below(&r, CHANNELS);
            uint32_t form = (uint32_t)rng_below(&r, FORMS_OF);
            bool caught = rng_f64(&r) < 0.8;
            bool delayed = rng_f64(&r) < 0.5;
            bool broken = changed && day >= DAY_NOW && channel == 1 && form == 2;
            bool fraud = rng_f64(&r) < (broken ? 0.25 : 0.08);
            bool hold = (fraud && caught && !broken) || rng_f64(&r) < 0.01;
            struct decision d =
                testing_decision(t_ns, k, hold ? 0.9 : 0.1, hold ? VERDICT_HOLD : VERDICT_APPROVE);
            d.amount_centavos = 5000 + (int64_t)rng_below(&r, 10000);
            d.dims[0] = channels[channel];
            d.dims[1] = i % 50 == 0 ? STR("") : forms[form];
            record_put_decision(&t->batch, &d);
            if (fraud) {
                struct fraud_label l =
                    testing_label(t_ns, k, t_ns + (delayed ? 10 : 1) * NS_PER_DAY, TRUTH_FRAUD);
                record_put_label(&t->batch, &l);
            }
        }
        testing_apply(t);
    }
    testing_tick(t);
}

static void ask(struct testing *t, const char *figure, const char *from, const char *to,
                const char *age, struct buf *out)
{
    struct model_causes_query q;
    struct err e = {0};
    struct str no = {0};
    assert_true(model_causes_parse(str_from_c(figure), str_from_c(from), str_from_c(to), no, no,
                                   str_from_c(age), no, &q, &e));
    model_causes_json(t->p.app, t->states, t->n, &q, out);
    assert_false(out->failed);
}

static bool holds(const struct buf *b, const char *text)
{
    return str_contains(buf_str(b), str_from_c(text));
}

TEST(causes_name_the_segment_that_lets_frauds_through)
{
    struct testing t;
    struct buf b;
    testing_init(&t, 1);
    buf_init(&b, t.m, 1 << 20);
    stream(&t, 11, true);
    /* Nothing is said of the age: that of the newest day asked for, up to the newest label. */
    ask(&t, "false_negatives", "2016-08-01", "2016-08-05", "", &b);
    assert_true(holds(&b, "\"age_days\":11."));
    assert_true(holds(&b, "\"differs\":true},\"combinations\":{\"searched\":true"));
    assert_true(holds(&b, "\"causes\":[{\"method\":\"scan\",\"dimensions\":[\"channel\",\"form\"],"
                          "\"values\":[[\"web\",\"QRES\"]]"));
    assert_true(holds(&b, "\"method\":\"adtributor\""));
    buf_reset(&b);
    ask(&t, "loss", "2016-08-01", "2016-08-07", "1d", &b);
    assert_true(holds(&b, "\"causes\":[{\"method\":\"scan\",\"dimensions\":[\"channel\",\"form\"],"
                          "\"values\":[[\"web\",\"QRES\"]]"));
    assert_true(holds(&b, "\"age_days\":1,"));
    assert_true(holds(&b, "\"unit\":\"brl_per_day\""));
    buf_reset(&b);
    ask(&t, "hold_rate", "2016-08-01", "2016-08-07", "", &b);
    assert_true(holds(&b, "\"searched\":false"));
    assert_false(holds(&b, "\"scan\""));
    buf_release(&b);
    testing_release(&t);
}

TEST(causes_are_none_when_nothing_changed)
{
    struct testing t;
    struct buf b;
    testing_init(&t, 1);
    buf_init(&b, t.m, 1 << 20);
    stream(&t, 12, false);
    ask(&t, "false_negatives", "2016-08-01", "2016-08-07", "20d", &b);
    assert_true(holds(&b, "\"differs\":false},\"combinations\":{\"searched\":true"));
    assert_true(holds(&b, "\"causes\":[],"));
    assert_false(holds(&b, "\"differs\":true"));
    buf_release(&b);
    testing_release(&t);
}

TEST(causes_are_the_same_bytes_for_any_number_of_shards)
{
    static const char *const figures[] = {"loss", "false_negatives", "hold_rate"};
    struct testing one;
    struct testing three;
    testing_init(&one, 1);
    testing_init(&three, 3);
    stream(&one, 11, true);
    stream(&three, 11, true);
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        struct buf want;
        struct buf got;
        buf_init(&want, one.m, 1 << 20);
        buf_init(&got, three.m, 1 << 20);
        ask(&one, figures[i], "2016-08-01", "2016-08-07", "", &want);
        ask(&three, figures[i], "2016-08-01", "2016-08-07", "", &got);
        assert_true(want.n > 500);
        assert_str(buf_str(&got), buf_str(&want));
        buf_release(&want);
        buf_release(&got);
    }
    testing_release(&one);
    testing_release(&three);
}

/* Sums by value against the decisions counted here: the missing value is what no cohort holds. */
TEST(segments_add_up_to_all_decisions)
{
    struct testing t;
    struct arena a;
    struct err e = {0};
    testing_init(&t, 2);
    stream(&t, 11, true);
    arena_init(&a, t.m, 1 << 20);
    struct model_causes c = {.a = &a};
    struct str no = {0};
    assert_true(model_causes_parse(STR("loss"), STR("2016-08-01"), STR("2016-08-07"), no, no, no,
                                   no, &c.q, &e));
    assert_true(model_causes_gather(t.model, t.states, t.n, &c));
    assert_int_equal(c.days[MODEL_NOW], 7);
    assert_int_equal(c.days[MODEL_BEFORE], 14);
    assert_int_equal(c.all[MODEL_NOW].n, 7 * PER_DAY);
    assert_int_equal(c.dims_count, 2);
    assert_int_equal(c.dims[0].count, 2 + CHANNELS);
    assert_int_equal(c.dims[1].count, 2 + FORMS_OF);
    for (uint32_t d = 0; d < 2; d++) {
        for (uint32_t s = 0; s < MODEL_SIDES; s++) {
            struct model_segment_sum sum = {0};
            for (uint32_t i = 0; i < c.dims[d].count; i++) {
                sum.n += c.dims[d].sums[s][i].n;
                sum.held += c.dims[d].sums[s][i].held;
                sum.missed += c.dims[d].sums[s][i].missed;
                sum.missed_amount += c.dims[d].sums[s][i].missed_amount;
            }
            assert_int_equal(sum.n, c.all[s].n);
            assert_int_equal(sum.held, c.all[s].held);
            assert_int_equal(sum.missed, c.all[s].missed);
            assert_true(sum.missed_amount == c.all[s].missed_amount);
        }
    }
    assert_int_equal(c.dims[1].sums[MODEL_NOW][MODEL_CAUSES_MISSING].n, 7 * PER_DAY / 50);
    double lost = 0;
    for (uint32_t i = 0; i < c.cube.leaves_count; i++) {
        lost += c.cube.leaves[i].now;
    }
    assert_true(lost == (double)c.all[MODEL_NOW].missed_amount);
    /* The same from the pillar's own quality. */
    const struct model_query q = {.day_from = c.q.day_from,
                                  .day_to = c.q.day_to,
                                  .as_of_ns = T_NS_NONE,
                                  .age_ns = c.q.age_ns};
    struct model_quality figures;
    assert_true(model_gather(t.model, t.states, t.n, &q, &figures));
    assert_int_equal(figures.fn, c.all[MODEL_NOW].missed);
    assert_true(figures.amount_missed == c.all[MODEL_NOW].missed_amount);
    arena_release(&a);
    testing_release(&t);
}

TEST(causes_without_anything_are_empty)
{
    struct testing t;
    struct buf b;
    testing_init(&t, 2);
    buf_init(&b, t.m, 1 << 20);
    ask(&t, "loss", "", "", "", &b);
    assert_true(holds(&b, "\"before\":null,\"now\":null"));
    assert_true(holds(&b, "\"causes\":[],\"segments_total\":0,\"segments\":[]}"));
    buf_release(&b);
    testing_release(&t);
}

TEST(causes_parameters_are_checked)
{
    struct model_causes_query q;
    struct err e = {0};
    struct str no = {0};
    assert_true(model_causes_parse(no, no, no, no, no, no, no, &q, &e));
    assert_int_equal(q.figure, MODEL_CAUSES_LOSS);
    assert_true(q.day_from == INT32_MIN && q.against_from == INT32_MIN && q.age_ns == -1);
    assert_true(model_causes_parse(STR("hold_rate"), STR("2016-08-03"), STR("2016-08-05"),
                                   STR("2016-08-01"), STR("2016-08-02"), STR("3d"), STR("v1"), &q,
                                   &e));
    assert_int_equal(q.figure, MODEL_CAUSES_HOLD_RATE);
    assert_int_equal(q.day_to - q.day_from, 2);
    assert_int_equal(q.day_from - q.against_to, 1);
    assert_true(q.age_ns == 3 * NS_PER_DAY);
    const struct str wrong[][6] = {
        {STR("fraud"), no, no, no, no, no},
        {STR("feature:amount"), no, no, no, no, no},
        {no, STR("2016-08-03"), no, no, no, no},
        {no, no, STR("2016-08-03"), no, no, no},
        {no, STR("2016-08-03"), STR("2016-08-02"), no, no, no},
        {no, no, no, STR("2016-08-01"), STR("2016-08-02"), no},
        {no, STR("2016-08-02"), STR("2016-08-02"), STR("2016-08-01"), STR("2016-08-02"), no},
        {no, no, no, no, no, STR("-1d")},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        err_clear(&e);
        assert_false(model_causes_parse(wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3],
                                        wrong[i][4], wrong[i][5], no, &q, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
}

/* All tables with the same margins, by exact integers. */
static double brute_fisher(uint32_t x1, uint32_t n1, uint32_t x0, uint32_t n0)
{
    uint32_t hits = x1 + x0;
    double choose[41][41] = {{0}};
    for (uint32_t n = 0; n <= 40; n++) {
        choose[n][0] = 1;
        for (uint32_t k = 1; k <= n; k++) {
            choose[n][k] = choose[n - 1][k - 1] + (k < n ? choose[n - 1][k] : 0);
        }
    }
    double below = 0;
    double above = 0;
    for (uint32_t k = 0; k <= hits && k <= n1; k++) {
        double p =
            hits - k <= n0 ? choose[n1][k] * choose[n0][hits - k] / choose[n1 + n0][hits] : 0;
        below += k <= x1 ? p : 0;
        above += k >= x1 ? p : 0;
    }
    double tail = below < above ? below : above;
    return tail >= 0.5 ? 1 : 2 * tail;
}

TEST(fisher_agrees_with_counting_all_tables)
{
    for (uint32_t n1 = 1; n1 <= 12; n1++) {
        for (uint32_t n0 = 1; n0 <= 24; n0 += 3) {
            for (uint32_t x1 = 0; x1 <= n1; x1++) {
                for (uint32_t x0 = 0; x0 <= n0; x0++) {
                    double got = model_fisher_p(x1, n1, x0, n0);
                    double want = brute_fisher(x1, n1, x0, n0);
                    /* At the mean the smaller tail may be the other one; both are above 1/2. */
                    assert_true(fabs(got - want) < 1e-9);
                }
            }
        }
    }
    assert_true(model_fisher_p(3, 10, 0, 0) == 1);
    /* Large counts: 1 % against 2 % of 100,000 is beyond doubt, 1 % against 1.01 % is nothing. */
    assert_true(model_fisher_p(1000, 100000, 2000, 100000) < 1e-60);
    assert_true(model_fisher_p(1000, 100000, 1010, 100000) > 0.8);
}

FAULT_TEST(causes_survive_any_fault)
{
    struct testing t = {.m = &w->mem, .os = w->os};
    struct buf b;
    testing_config(&t);
    bool ok = testing_start(&t, 2);
    buf_init(&b, &w->mem, 1 << 20);
    if (ok) {
        for (uint32_t i = 0; i < 60; i++) {
            struct decision d =
                testing_decision(t0 + i * 36 * TESTING_HOUR_NS / 10, i, 0.1, VERDICT_APPROVE);
            struct fraud_label l = testing_label(d.t_ns, i, d.t_ns + NS_PER_S, TRUTH_FRAUD);
            record_put_decision(&t.batch, &d);
            record_put_label(&t.batch, &l);
        }
        ok = !t.batch.failed;
        testing_apply(&t);
        const struct model_causes_query q = {.figure = MODEL_CAUSES_LOSS,
                                             .day_from = TESTING_DAY0 + 5,
                                             .day_to = TESTING_DAY0 + 8,
                                             .against_from = TESTING_DAY0,
                                             .against_to = TESTING_DAY0 + 4,
                                             .age_ns = -1};
        model_causes_json(t.p.app, t.states, t.n, &q, &b);
        ok = ok && !b.failed && b.n > 0 && b.p[b.n - 1] == '}' &&
             testing_refused(&t, MODEL_REFUSE_MEMORY) == 0 &&
             testing_refused(&t, MODEL_REFUSE_UNJOINED) == 0 &&
             testing_dropped(&t, MODEL_DROP_FULL) + testing_dropped(&t, MODEL_DROP_WAITING_FULL) ==
                 0;
    }
    buf_release(&b);
    testing_stop(&t);
    return ok;
}
