/* The pillar as the river uses it: joins, ages, shards, checkpoints, crashes, series, status. */
#include "base/rng.h"
#include "codec/yaml.h"
#include "model/model_testing_int.h"

static const int64_t t0 = (int64_t)TESTING_DAY0 * NS_PER_DAY;

/* A seeded stream: decisions over some days, labels in their own time, some before their
 * decision. */
static void stream(struct testing *t, uint64_t seed, uint32_t decisions, uint32_t batch)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < decisions; i++) {
        int64_t t_ns = t0 + (int64_t)i * (3 * NS_PER_DAY / decisions);
        double s = rng_f64(&r);
        s = s * s;
        bool fraud = rng_f64(&r) < s * 0.4;
        struct decision d = testing_decision(t_ns, i, s, s > 0.7 ? VERDICT_HOLD : VERDICT_APPROVE);
        d.model_version = rng_f64(&r) < 0.3 ? STR("v2") : STR("v1");
        if (rng_f64(&r) < 0.1) { /* the model timed out */
            d.score = (double)NAN;
            d.fallback = FALLBACK_TIMEOUT;
        }
        bool early = rng_f64(&r) < 0.05;
        if (!early) {
            record_put_decision(&t->batch, &d);
        }
        if (fraud || rng_f64(&r) < 0.02) {
            int64_t at = t_ns + (int64_t)(rng_exp(&r) * 2 * (double)NS_PER_DAY);
            struct fraud_label l = testing_label(t_ns, i, at, fraud ? TRUTH_FRAUD : TRUTH_LEGIT);
            record_put_label(&t->batch, &l);
            if (rng_f64(&r) < 0.2) {
                l.t_ns += NS_PER_DAY;
                l.truth = TRUTH_LEGIT;
                l.source = SOURCE_MED_INFRACTION;
                record_put_label(&t->batch, &l);
            }
        }
        if (early) {
            record_put_decision(&t->batch, &d);
        }
        if (i % batch == 0) {
            testing_apply(t);
        }
    }
    testing_apply(t);
    testing_tick(t);
}

static void ask(struct testing *t, const char *age, const char *segment, struct buf *out)
{
    struct model_query q;
    struct err e = {0};
    assert_true(model_query_parse(STR(""), STR("2016-07-18"), STR("2016-07-20"), STR(""),
                                  str_from_c(age), STR(""), str_from_c(segment), &q, &e));
    model_quality_json(t->p.app, t->states, t->n, &q, out);
    buf_char(out, '\n');
}

/* Every figure at several ages, for all and for segments, as text. */
static void ask_all(struct testing *t, struct buf *out)
{
    static const char *const ages[] = {"", "0d", "1d", "3d", "30d"};
    static const char *const segments[] = {"", "channel:web", "channel:app", "form:DICT",
                                           "form:none"};
    for (size_t a = 0; a < ARRAY_LEN(ages); a++) {
        for (size_t s = 0; s < ARRAY_LEN(segments); s++) {
            ask(t, ages[a], segments[s], out);
        }
    }
    assert_false(out->failed);
}

/* Line by line, up to the lists of known values: those are in order of first sight, which is the
 * shards'. */
static void compare_answers(struct str got, struct str want)
{
    while (want.n > 0) {
        struct str_cut a = str_cut(want, '\n');
        struct str_cut b = str_cut(got, '\n');
        const char *pa = memmem(a.head.p, a.head.n, "\"versions\"", 10);
        const char *pb = memmem(b.head.p, b.head.n, "\"versions\"", 10);
        assert_non_null(pa);
        assert_non_null(pb);
        assert_str(str_of(b.head.p, (size_t)(pb - b.head.p)),
                   str_of(a.head.p, (size_t)(pa - a.head.p)));
        want = a.tail;
        got = b.tail;
    }
    assert_int_equal(got.n, 0);
}

TEST(model_joins_labels_of_any_order_and_answers_by_age)
{
    struct testing t;
    testing_init(&t, 1);
    struct decision a = testing_decision(t0, 1, 0.9, VERDICT_DENY);
    struct decision b = testing_decision(t0 + NS_PER_S, 2, 0.2, VERDICT_APPROVE);
    struct fraud_label la = testing_label(t0, 1, t0 + 2 * NS_PER_DAY, TRUTH_FRAUD);
    struct fraud_label lb = testing_label(t0 + NS_PER_S, 2, t0 + 5 * NS_PER_DAY, TRUTH_FRAUD);
    testing_give_label(&t, &la); /* before its decision */
    assert_int_equal(model_shard_of(t.states, 0)->labels.w_count, 1);
    testing_give_decision(&t, &a);
    testing_give_decision(&t, &b);
    testing_give_label(&t, &lb);
    struct model_quality q = testing_quality(&t, T_NS_NONE, 0);
    assert_true(q.n == 2 && q.tp == 0 && q.fp == 1 && q.fn == 0 && q.unverified == 1);
    q = testing_quality(&t, T_NS_NONE, NS_PER_DAY);
    assert_true(q.tp == 1 && q.fp == 0 && q.fn == 0);
    q = testing_quality(&t, T_NS_NONE, -1);
    assert_true(q.tp == 1 && q.fn == 1 && q.amount_caught == 1001 && q.amount_missed == 1002);
    q = testing_quality(&t, t0 + 5 * NS_PER_DAY - 1, -1);
    assert_true(q.tp == 1 && q.fn == 0);
    /* A reversal is seen from its time on, and only then. */
    la.t_ns = t0 + 9 * NS_PER_DAY;
    la.truth = TRUTH_LEGIT;
    testing_give_label(&t, &la);
    testing_give_label(&t, &la);
    assert_int_equal(testing_dropped(&t, MODEL_DROP_DUPLICATE), 1);
    q = testing_quality(&t, T_NS_NONE, -1);
    assert_true(q.tp == 0 && q.fp == 1 && q.fn == 1 && q.unverified == 0);
    q = testing_quality(&t, t0 + 9 * NS_PER_DAY - 1, -1);
    assert_int_equal(q.tp, 1);
    testing_release(&t);
}

TEST(model_first_decision_wins_and_repeats_are_counted)
{
    struct testing t;
    testing_init(&t, 2);
    struct decision d = testing_decision(t0, 1, 0.9, VERDICT_DENY);
    testing_give_decision(&t, &d);
    testing_give_decision(&t, &d);
    d.verdict = VERDICT_APPROVE;
    testing_give_decision(&t, &d);
    assert_int_equal(testing_refused(&t, MODEL_REFUSE_DUPLICATE), 1);
    assert_int_equal(testing_refused(&t, MODEL_REFUSE_CONFLICT), 1);
    struct model_quality q = testing_quality(&t, T_NS_NONE, -1);
    assert_true(q.n == 1 && q.fp == 1);
    /* Without a score: a repeat is one too, a score that comes later is a conflict. */
    d = testing_decision(t0, 2, (double)NAN, VERDICT_APPROVE);
    d.fallback = FALLBACK_TIMEOUT;
    testing_give_decision(&t, &d);
    testing_give_decision(&t, &d);
    assert_int_equal(testing_refused(&t, MODEL_REFUSE_DUPLICATE), 2);
    d.score = 0.5;
    testing_give_decision(&t, &d);
    assert_int_equal(testing_refused(&t, MODEL_REFUSE_CONFLICT), 2);
    q = testing_quality(&t, T_NS_NONE, -1);
    assert_true(q.n == 2 && q.n_scored == 1 && q.tn == 1);
    testing_release(&t);
}

TEST(model_any_number_of_shards_gives_the_same_bits)
{
    struct buf want;
    struct mem m;
    mem_init(&m, 0);
    buf_init(&want, &m, 8 << 20);
    for (uint32_t n = 1; n <= 5; n += 2) {
        struct testing t;
        struct buf got;
        testing_init(&t, n);
        buf_init(&got, &m, 8 << 20);
        stream(&t, 11, 4000, n == 1 ? 100 : 37);
        ask_all(&t, n == 1 ? &want : &got);
        if (n > 1) {
            compare_answers(buf_str(&got), buf_str(&want));
        }
        buf_release(&got);
        testing_release(&t);
    }
    buf_release(&want);
    assert_int_equal(m.bytes, 0);
}

/* 12,000 scores a shard fit a list, 24,000 in one shard do not: the answer must not tell. */
TEST(model_lists_and_cells_give_the_same_bits)
{
    struct mem m;
    struct buf want;
    struct buf got;
    mem_init(&m, 0);
    buf_init(&want, &m, 8 << 20);
    buf_init(&got, &m, 8 << 20);
    struct testing one;
    struct testing two;
    struct model_query q = {
        .day_from = INT32_MIN, .day_to = INT32_MAX, .as_of_ns = T_NS_NONE, .age_ns = -1};
    testing_init(&one, 1);
    testing_init(&two, 2);
    struct testing *each[2] = {&one, &two};
    for (uint32_t k = 0; k < 2; k++) {
        struct rng r;
        rng_init(&r, 77);
        for (uint32_t i = 0; i < 24000; i++) {
            int64_t t_ns = t0 + i * 1000 * NS_PER_US;
            double s = rng_f64(&r) * rng_f64(&r);
            struct decision d = testing_decision(t_ns, i, s, VERDICT_APPROVE);
            d.score = i % 50 == 0 ? (double)NAN : i % 3 == 0 ? round(s * 1000) / 1000 : s;
            d.fallback = i % 50 == 0 ? FALLBACK_MODEL : FALLBACK_NONE;
            record_put_decision(&each[k]->batch, &d);
            if (rng_f64(&r) < s * 0.1) {
                struct fraud_label l = testing_label(t_ns, i, t_ns + 1, TRUTH_FRAUD);
                record_put_label(&each[k]->batch, &l);
            }
            if (i % 500 == 499) {
                testing_apply(each[k]);
            }
        }
        testing_tick(each[k]);
    }
    const struct model_cohort *c = model_cohort_find(&model_shard_of(one.states, 0)->cohorts,
                                                     TESTING_DAY0, MODEL_NAME_FIRST, 0, 0);
    assert_true(c != NULL && c->celled && c->base.scored == 23520 && c->base.n == 24000);
    c = model_cohort_find(&model_shard_of(two.states, 0)->cohorts, TESTING_DAY0, MODEL_NAME_FIRST,
                          0, 0);
    assert_true(c != NULL && !c->celled);
    model_quality_json(one.p.app, one.states, 1, &q, &want);
    buf_char(&want, '\n');
    model_quality_json(two.p.app, two.states, 2, &q, &got);
    buf_char(&got, '\n');
    assert_true(str_contains(buf_str(&want), STR("\"n\":24000,\"n_scored\":23520,")));
    compare_answers(buf_str(&got), buf_str(&want));
    /* A checkpoint of two lists becomes cells in one shard. */
    struct buf saved;
    struct err e = {0};
    buf_init(&saved, &m, 64 << 20);
    two.p.save(two.p.app, two.states, 2, &saved);
    assert_true(one.p.load(one.p.app, one.states, 1, buf_str(&saved), &e));
    buf_reset(&got);
    model_quality_json(one.p.app, one.states, 1, &q, &got);
    buf_char(&got, '\n');
    compare_answers(buf_str(&got), buf_str(&want));
    buf_release(&saved);
    buf_release(&want);
    buf_release(&got);
    assert_int_equal(m.bytes, 0);
    testing_release(&one);
    testing_release(&two);
}

/* Saves t and loads it into a fresh pillar of n shards on the same disk. */
static void move(struct testing *t, struct testing *to, uint32_t n)
{
    struct err e = {0};
    struct buf saved;
    buf_init(&saved, t->m, 64 << 20);
    t->p.save(t->p.app, t->states, t->n, &saved);
    assert_false(saved.failed);
    *to = (struct testing){.simos = t->simos, .os = t->os};
    mem_init(&to->mem, 0);
    to->m = &to->mem;
    testing_config(to);
    to->c.join_rows_max = t->c.join_rows_max;
    to->c.join_filter_bytes = t->c.join_filter_bytes;
    assert_true(testing_start(to, n));
    assert_true(to->p.load(to->p.app, to->states, to->n, buf_str(&saved), &e));
    buf_release(&saved);
    testing_tick(to);
}

static void compare(struct testing *a, struct testing *b)
{
    struct mem m;
    struct buf x;
    struct buf y;
    mem_init(&m, 0);
    buf_init(&x, &m, 8 << 20);
    buf_init(&y, &m, 8 << 20);
    static const char *const segments[] = {"", "channel:web", "form:DICT"};
    for (size_t s = 0; s < ARRAY_LEN(segments); s++) {
        ask(a, "3d", segments[s], &x);
        ask(b, "3d", segments[s], &y);
    }
    compare_answers(buf_str(&y), buf_str(&x));
    buf_release(&x);
    buf_release(&y);
}

TEST(model_goes_on_after_a_checkpoint_with_another_number_of_shards)
{
    struct testing a;
    struct testing b;
    struct testing c;
    testing_init(&a, 1);
    a.c.join_rows_max = 1; /* the least, 64 rows: nearly everything is in files */
    testing_stop(&a);
    assert_true(testing_start(&a, 1));
    stream(&a, 5, 3000, 50);
    assert_true(model_shard_of(a.states, 0)->join.spilled > 2000);
    move(&a, &b, 3);
    compare(&a, &b);
    assert_true(b.model->runs_count > 10);
    for (uint32_t i = 0; i < b.model->runs_count; i++) {
        assert_non_null(b.model->runs[i].filter); /* read from the files */
    }
    /* Late labels of decisions that are in files only, and repeats of these decisions. */
    for (uint32_t i = 1; i < 3000; i += 97) {
        int64_t t_ns = t0 + (int64_t)i * (3 * NS_PER_DAY / 3000);
        struct fraud_label l = testing_label(t_ns, i, t0 + 4 * NS_PER_DAY, TRUTH_FRAUD);
        testing_give_label(&a, &l);
        testing_give_label(&b, &l);
    }
    for (uint32_t k = 0; k < 3; k++) {
        assert_int_equal(model_shard_of(b.states, k)->labels.w_count, 0);
        assert_int_equal(model_shard_of(b.states, k)->join.read_failures, 0);
    }
    compare(&a, &b);
    move(&b, &c, 2);
    compare(&a, &c);
    testing_stop(&c);
    assert_int_equal(c.mem.bytes, 0);
    testing_stop(&b);
    assert_int_equal(b.mem.bytes, 0);
    testing_release(&a);
}

static size_t filters_total(const struct testing *t)
{
    size_t bytes = t->model->filters.bytes;
    for (uint32_t k = 0; k < t->n; k++) {
        bytes += model_shard_of(t->states, k)->join.filters.bytes;
    }
    return bytes;
}

/* Small budgets, and none: the same answers, never more memory, the newest files first. */
TEST(model_filters_keep_their_budget_over_a_restart)
{
    static const int64_t budgets[] = {2000, 0};
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        struct testing a;
        struct testing b;
        testing_init(&a, 1);
        a.c.join_rows_max = 1;
        a.c.join_filter_bytes = budgets[i];
        testing_stop(&a);
        assert_true(testing_start(&a, 1));
        stream(&a, 5, 3000, 50);
        assert_true(filters_total(&a) <= (size_t)budgets[i]);
        move(&a, &b, 3);
        compare(&a, &b);
        const struct model *m = b.model;
        assert_true(filters_total(&b) <= (size_t)budgets[i]);
        assert_int_equal(m->runs[m->runs_count - 1].filter != NULL, budgets[i] > 0);
        assert_null(m->runs[0].filter);
        /* New files need room: the old ones of the manifest give it up, tick by tick. */
        for (uint32_t k = 0; k < 1500; k++) {
            struct decision d = testing_decision(t0 + 4 * NS_PER_DAY + k * 60 * NS_PER_S, 9000 + k,
                                                 0.5, VERDICT_HOLD);
            testing_give_decision(&b, &d);
            testing_tick(&b);
            assert_true(filters_total(&b) <= (size_t)budgets[i]);
        }
        assert_int_equal(m->filters.bytes, 0);
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(model_shard_of(b.states, k)->join.read_failures, 0);
        }
        testing_stop(&b);
        assert_int_equal(b.mem.bytes, 0);
        testing_release(&a);
    }
}

TEST(model_checkpoint_survives_a_crash_after_it)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct testing a;
        testing_init(&a, 1);
        a.c.join_rows_max = 1;
        testing_stop(&a);
        assert_true(testing_start(&a, 1));
        stream(&a, seed, 1000, 50);
        struct buf saved;
        struct buf want;
        struct buf got;
        struct err e = {0};
        buf_init(&saved, a.m, 64 << 20);
        buf_init(&want, a.m, 8 << 20);
        buf_init(&got, a.m, 8 << 20);
        a.p.save(a.p.app, a.states, a.n, &saved);
        ask_all(&a, &want);
        /* More files appear, then the power goes. */
        for (uint32_t i = 0; i < 500; i++) {
            struct decision d = testing_decision(t0 + 3 * NS_PER_DAY + i * 60 * NS_PER_S, 5000 + i,
                                                 0.5, VERDICT_HOLD);
            testing_give_decision(&a, &d);
        }
        simos_crash(a.simos);
        assert_true(a.p.load(a.p.app, a.states, a.n, buf_str(&saved), &e));
        assert_int_equal(a.model->runs_lost, 0);
        uint32_t named = a.model->runs_count;
        testing_tick(&a); /* sweeps what the checkpoint does not name */
        ask_all(&a, &got);
        compare_answers(buf_str(&got), buf_str(&want));
        for (uint32_t i = 1; i < 1000; i += 31) {
            struct fraud_label l = testing_label(t0 + (int64_t)i * (3 * NS_PER_DAY / 1000), i,
                                                 t0 + 50 * NS_PER_DAY, TRUTH_LEGIT);
            testing_give_label(&a, &l);
        }
        assert_int_equal(model_shard_of(a.states, 0)->labels.w_count, 0);
        assert_int_equal(a.model->runs_count, named);
        buf_release(&saved);
        buf_release(&want);
        buf_release(&got);
        testing_release(&a);
    }
}

TEST(model_retention_forgets_old_days_and_deletes_files_late)
{
    struct testing t;
    testing_init(&t, 1);
    t.c.join_rows_max = 1;
    testing_stop(&t);
    assert_true(testing_start(&t, 1));
    stream(&t, 3, 1000, 50);
    for (uint32_t i = 0; i < 10; i++) {
        struct decision d =
            testing_decision(t0 + 200 * NS_PER_DAY + i * NS_PER_S, 9000 + i, 0.5, VERDICT_HOLD);
        testing_give_decision(&t, &d);
    }
    uint32_t runs = model_shard_of(t.states, 0)->join.runs_count;
    assert_true(runs > 5);
    testing_tick(&t);
    struct model_quality q = testing_quality(&t, T_NS_NONE, -1);
    assert_int_equal(q.n, 10);
    assert_int_equal(model_shard_of(t.states, 0)->join.runs_count, 0);
    assert_int_equal(t.model->leaving_count, runs);
    struct decision old = testing_decision(t0, 1, 0.5, VERDICT_HOLD);
    testing_give_decision(&t, &old);
    assert_int_equal(testing_refused(&t, MODEL_REFUSE_TOO_OLD), 1);
    struct buf saved;
    buf_init(&saved, t.m, 64 << 20);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t.model->leaving_count, runs);
        buf_reset(&saved);
        t.p.save(t.p.app, t.states, t.n, &saved);
        testing_tick(&t);
    }
    assert_int_equal(t.model->leaving_count, 0);
    buf_release(&saved);
    testing_release(&t);
}

TEST(model_clocks_that_run_ahead_age_nobody)
{
    struct testing t;
    testing_init(&t, 1);
    stream(&t, 3, 100, 50);
    int64_t before = t.model->watermark_ns;
    for (uint32_t i = 0; i < 20; i++) {
        struct decision d = testing_decision(t0 + 4000 * NS_PER_DAY, i, 0.5, VERDICT_HOLD);
        testing_give_decision(&t, &d);
    }
    testing_tick(&t);
    assert_int_equal(t.model->watermark_ns, before);
    testing_release(&t);
}

static double sample(const struct expo *x, const char *family, const char *k1, const char *v1,
                     const char *k2, const char *v2)
{
    struct label l[2] = {{str_from_c(k1), str_from_c(v1)}, {str_from_c(k2), str_from_c(v2)}};
    const struct expo_sample *s = expo_find(x, str_from_c(family), l,
                                            k1 == NULL   ? 0
                                            : k2 == NULL ? 1
                                                         : 2);
    return s == NULL ? -1 : s->value;
}

static void give_features(struct testing *t, uint32_t count, uint32_t from, double amount,
                          enum feature_kind kind)
{
    struct feature f[2] = {{.name = 0, .kind = FEATURE_NUMBER, .number = amount},
                           {.name = 1, .kind = kind, .number = -1}};
    record_put_name(&t->batch, STR("amount"));
    record_put_name(&t->batch, STR("risk"));
    for (uint32_t i = 0; i < count; i++) {
        struct decision d = testing_decision(t0 + i * NS_PER_S, from + i, 0.25, VERDICT_APPROVE);
        d.features = f;
        d.features_count = 2;
        d.fallback = i % 2 ? FALLBACK_FEATURES : FALLBACK_NONE;
        record_put_decision(&t->batch, &d);
    }
    testing_apply(t);
}

TEST(model_publishes_counters_features_and_quality)
{
    struct testing t;
    testing_init(&t, 2);
    struct model_default def = {STR("risk"), -1};
    t.c.defaults = &def;
    t.c.defaults_count = 1;
    testing_tick(&t);
    give_features(&t, 300, 0, 1234.0, FEATURE_NUMBER);
    give_features(&t, 100, 1000, 1234.0, FEATURE_NULL);
    struct decision d = testing_decision(t0, 7777, 0.95, VERDICT_DENY);
    testing_give_decision(&t, &d);
    struct fraud_label l = testing_label(t0, 7777, t0 + TESTING_HOUR_NS, TRUTH_FRAUD);
    testing_give_label(&t, &l);
    testing_tick(&t);
    struct mem m;
    struct arena a;
    struct expo x;
    mem_init(&m, 0);
    arena_init(&a, &m, 8 << 20);
    expo_init(&x, &a, 0);
    t.p.publish(t.p.app, t.states, t.n, os_now_ns(t.os), &x);
    assert_false(x.failed);
    assert_true(sample(&x, "fraud_decisions", "decision", "deny", "model_version", "v1") == 1);
    assert_true(sample(&x, "fraud_decisions", "fallback", "features", NULL, NULL) == 200);
    assert_true(sample(&x, "fraud_feature_defaults", "feature", "risk", NULL, NULL) == 300);
    assert_true(sample(&x, "fraud_feature_nulls", "feature", "risk", NULL, NULL) == 100);
    assert_true(sample(&x, "fraud_feature_values", "feature", "amount", NULL, NULL) == 400);
    assert_true(fabs(sample(&x, "fraud_feature_log10_mean", "feature", "amount", NULL, NULL) -
                     log10(1234)) < 0.0009);
    assert_true(sample(&x, "fraud_score_distinct", "model_version", "v1", NULL, NULL) == 2);
    assert_true(sample(&x, "fraud_threshold", "model_version", "v1", NULL, NULL) == 0.5);
    assert_true(sample(&x, "fraud_labels", "label", "fraud", "source", "analyst") == 1);
    assert_true(sample(&x, "fraud_judged", "predicted", "fraud", "label", "fraud") == 1);
    assert_true(sample(&x, "fraud_cohort_tp", "cohort", "d0", NULL, NULL) == 1);
    assert_true(sample(&x, "fraud_cohort_tn", "cohort", "d0", NULL, NULL) == 400);
    assert_true(sample(&x, "fraud_model_precision", "cohort", "d0", "bound", "value") == 1);
    assert_true(sample(&x, "fraud_model_precision", "cohort", "mature", "bound", "value") == -1);
    struct buf text;
    buf_init(&text, &m, 1 << 20);
    expo_write(&x, EXPO_OPENMETRICS_1_0_0, &text);
    assert_false(text.failed);
    buf_release(&text);
    arena_release(&a);
    testing_release(&t);
}

static bool status_has(struct testing *t, const char *text)
{
    struct buf b;
    buf_init(&b, t->m, 1 << 20);
    t->p.status(t->p.app, t->states, t->n, os_now_ns(t->os), &b);
    assert_false(b.failed);
    bool has = str_contains(buf_str(&b), str_from_c(text));
    buf_release(&b);
    return has;
}

static void publish(struct testing *t)
{
    struct arena a;
    struct expo x;
    arena_init(&a, t->m, 8 << 20);
    expo_init(&x, &a, 0);
    testing_tick(t);
    t->p.publish(t->p.app, t->states, t->n, os_now_ns(t->os), &x);
    assert_false(x.failed);
    arena_release(&a);
}

TEST(model_status_tells_what_is_wrong_in_two_languages)
{
    struct testing t;
    testing_init(&t, 2);
    t.c.objectives.precision = 0.8;
    testing_tick(&t);
    assert_true(status_has(&t, "{\"state\":\"none\",\"reasons\":[]"));
    assert_true(status_has(&t, "\"precision\":null"));
    /* A tenth of nulls is usual here, and no alarm; all of them is one. */
    give_features(&t, 60, 20000, 10, FEATURE_NULL);
    give_features(&t, 540, 21000, 10, FEATURE_NUMBER);
    publish(&t);
    assert_false(status_has(&t, "feature_missing"));
    /* 600 in the first 20 s after the start are 30 a second, not 10. */
    simos_clock_add(t.simos, 20 * NS_PER_S);
    assert_true(status_has(&t, "\"decisions_per_s\":30,"));
    /* The newest of twelve slots of 5 s is half over: 57.5 s are covered. */
    simos_clock_add(t.simos, 52 * NS_PER_S + 500 * 1000000);
    give_features(&t, 300, 0, 10, FEATURE_NULL);
    publish(&t);
    assert_true(status_has(&t, "\"code\":\"feature_missing\",\"level\":\"crit\""));
    assert_true(status_has(&t, "risk está nula ou no valor padrão em 100,0%"));
    assert_true(status_has(&t, "\"code\":\"fallback\""));
    assert_true(status_has(&t, "\"decisions_per_s\":5.217391304347826,"));
    assert_false(status_has(&t, "precision_low"));
    /* 40 judged holds, half of them wrong: certainly below 0.8. */
    for (uint32_t i = 0; i < 40; i++) {
        struct decision d = testing_decision(t0, 5000 + i, 0.9, VERDICT_HOLD);
        testing_give_decision(&t, &d);
        struct fraud_label l =
            testing_label(t0, 5000 + i, t0 + 1, i % 2 ? TRUTH_FRAUD : TRUTH_LEGIT);
        testing_give_label(&t, &l);
    }
    testing_tick(&t);
    assert_true(status_has(&t, "\"code\":\"precision_low\",\"level\":\"crit\""));
    assert_true(status_has(&t, "\"cohort\":\"d0\",\"n\":40"));
    /* The last minute passes, then the labels stay away. */
    assert_false(status_has(&t, "labels_silent"));
    simos_clock_add(t.simos, 3 * TESTING_HOUR_NS);
    assert_true(status_has(&t, "\"decisions_per_s\":0,"));
    give_features(&t, 300, 10000, 10, FEATURE_NUMBER);
    assert_true(status_has(&t, "\"code\":\"labels_silent\""));
    assert_false(status_has(&t, "feature_missing"));
    testing_release(&t);
}

TEST(model_configuration_has_defaults_and_says_what_is_wrong)
{
    struct mem m;
    struct arena a;
    struct err e = {0};
    struct model_config c;
    struct yaml_node *root = NULL;
    mem_init(&m, 0);
    arena_init(&a, &m, 8 << 20);
    assert_true(model_config_read(NULL, &a, &c, &e));
    assert_int_equal(c.segments.count, 2);
    assert_str(c.segments.v[0], STR("form"));
    assert_int_equal(c.positive, 0x1e);
    assert_int_equal(c.retention_days, 97);
    assert_int_equal(c.join_rows_max, 400000);
    assert_int_equal(c.join_filter_bytes, 16 << 20);
    assert_true(yaml_parse(STR("segments: [channel]\npositive: [deny]\ndefaults: {risk: -1}\n"
                               "objectives: {precision: 0.7}\n"),
                           "t", &a, &root, &e));
    assert_true(model_config_read(root, &a, &c, &e));
    assert_int_equal(c.positive, 1 << VERDICT_DENY);
    assert_int_equal(c.defaults_count, 1);
    assert_true(c.defaults[0].value == -1 && c.objectives.precision == 0.7);
    static const char *const bad[] = {
        "positive: [denied]",        "positive: deny",  "defaults: [1]",
        "defaults: {a: b}",          "mature_days: 97", "segmentz: [a]",
        "objectives: {precision: 2}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_true(yaml_parse(str_from_c(bad[i]), "t", &a, &root, &e));
        assert_false(model_config_read(root, &a, &c, &e));
        assert_int_equal(e.line, 1);
    }
    arena_release(&a);
}

TEST(model_query_says_which_parameter_is_wrong)
{
    struct model_query q;
    struct err e = {0};
    struct str no = STR("");
    assert_true(model_query_parse(STR("2018-05-28"), no, no, STR("2018-06-01"), STR("3d"),
                                  STR("v1"), STR("channel:a:b"), &q, &e));
    assert_int_equal(q.day_from, q.day_to);
    assert_int_equal(q.age_ns, 3 * NS_PER_DAY);
    assert_true(q.as_of_ns == ns_from_day(q.day_from + 5) - 1);
    assert_str(q.value, STR("a:b"));
    assert_false(model_query_parse(STR("28/05"), no, no, no, no, no, no, &q, &e));
    assert_true(strstr(e.msg, "'day'") != NULL);
    assert_false(model_query_parse(no, no, no, no, STR("-1d"), no, no, &q, &e));
    assert_true(strstr(e.msg, "'age'") != NULL);
    assert_false(model_query_parse(no, no, no, no, no, no, STR("channel"), &q, &e));
    assert_false(
        model_query_parse(no, STR("2018-05-02"), STR("2018-05-01"), no, no, no, no, &q, &e));
}

/* Whatever fails - memory, disk - nothing leaks, nothing aborts, and what is counted adds up. */
FAULT_TEST(model_survives_any_fault)
{
    struct testing t = {.m = &w->mem, .simos = w->simos, .os = w->os};
    testing_config(&t);
    t.c.join_rows_max = 1;
    t.c.labels_max = 128;
    simos_clock_set(w->simos, ns_from_day(TESTING_DAY0 + 400));
    bool ok = testing_start(&t, 1);
    for (uint32_t i = 0; ok && i < 150; i++) {
        struct decision d = testing_decision(t0 + i * 120 * NS_PER_S, i, 0.005 * i, VERDICT_HOLD);
        record_put_decision(&t.batch, &d);
        if (i % 10 == 0) {
            struct fraud_label l = testing_label(t0, 0, t0 + i, TRUTH_FRAUD);
            record_put_label(&t.batch, &l);
        }
        ok = !t.batch.failed;
        testing_apply(&t);
    }
    struct buf saved;
    struct err e = {0};
    buf_init(&saved, t.m, 8 << 20);
    uint64_t n = 0;
    if (ok) {
        struct model_query q = {
            .day_from = INT32_MIN, .day_to = INT32_MAX, .as_of_ns = T_NS_NONE, .age_ns = -1};
        struct model_quality before;
        testing_tick(&t);
        const struct model_shard *s = t.states[0];
        ok = s->refusals[MODEL_REFUSE_MEMORY] == 0 && s->refusals[MODEL_REFUSE_UNJOINED] == 0 &&
             s->join.shed == 0 && s->join.read_failures == 0 &&
             s->label_drops[MODEL_DROP_FULL] == 0 && s->label_drops[MODEL_DROP_WAITING_FULL] == 0;
        if (model_gather(t.model, t.states, 1, &q, &before)) {
            n = before.n;
            assert_int_equal(
                n + s->refusals[MODEL_REFUSE_MEMORY] + s->refusals[MODEL_REFUSE_DUPLICATE], 150);
        } else {
            ok = false;
        }
        t.p.save(t.p.app, t.states, 1, &saved);
        if (saved.failed) {
            ok = false;
        } else if (!t.p.load(t.p.app, t.states, 1, buf_str(&saved), &e)) {
            ok = false;
            assert_int_equal(e.code, ERR_NOMEM);
        } else if (model_gather(t.model, t.states, 1, &q, &before) && n != 0) {
            assert_int_equal(before.n, n);
        }
        ok = ok && t.model->runs_lost == 0;
    }
    buf_release(&saved);
    testing_stop(&t);
    return ok;
}
