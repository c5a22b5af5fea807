/* Estimates without labels and thresholds against brute force on every decision, the concept alarm
 * on a stream whose frauds change, and what a checkpoint keeps of both. */
#include "base/rng.h"
#include "codec/expo.h"
#include "model/model_testing_int.h"

#define PER_DAY         400
#define DAYS            12
#define EVENTS          (PER_DAY * DAYS)
#define NEAR(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

struct event {
    int64_t t_ns, amount;
    double score;
    int32_t day;
    bool fraud, flagged;
};

/* Frauds score high, a few rules flag at random, labels of frauds come an hour later. */
static void make(struct event *v, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < EVENTS; i++) {
        const double s = rng_f64(&r);
        v[i] = (struct event){.score = round(s * s * s * 1000) / 1000,
                              .amount = 100 + (int64_t)rng_below(&r, 100000),
                              .day = TESTING_DAY0 + (int32_t)(i / PER_DAY)};
        v[i].t_ns = ns_from_day(v[i].day) + (int64_t)(i % PER_DAY) * 200 * NS_PER_S;
        v[i].fraud = rng_f64(&r) < 0.02 + 0.7 * v[i].score;
        v[i].flagged = v[i].score > 0.6 || rng_f64(&r) < 0.02;
    }
}

static void give(struct testing *t, const struct event *v)
{
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct decision d = testing_decision(v[i].t_ns, i, v[i].score,
                                             v[i].flagged ? VERDICT_HOLD : VERDICT_APPROVE);
        d.amount_centavos = v[i].amount;
        testing_give_decision(t, &d);
        if (v[i].fraud) {
            const struct fraud_label l =
                testing_label(v[i].t_ns, i, v[i].t_ns + TESTING_HOUR_NS, TRUTH_FRAUD);
            testing_give_label(t, &l);
        }
    }
    testing_tick(t);
}

static struct model_query asked(int32_t from, int32_t to)
{
    return (struct model_query){
        .day_from = from, .day_to = to, .as_of_ns = T_NS_NONE, .age_ns = -1};
}

static struct model_estimate estimate(struct testing *t, const struct model_query *q)
{
    struct model_estimate e;
    assert_true(model_estimate_find(t->model, t->states, t->n, q, &e));
    return e;
}

/* max over a <= s of min over b >= s of the share of frauds in [a, b], of the learnt days. */
static double isotonic(const struct event *v, int32_t from, int32_t to, double score)
{
    static double n[1001];
    static double frauds[1001];
    memset(n, 0, sizeof n);
    memset(frauds, 0, sizeof frauds);
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (v[i].day >= from && v[i].day <= to) {
            n[(int)(v[i].score * 1000 + 0.5)]++;
            frauds[(int)(v[i].score * 1000 + 0.5)] += v[i].fraud;
        }
    }
    const int at = (int)(score * 1000 + 0.5);
    double best = -1;
    for (int a = 0; a <= at; a++) {
        double least = 2;
        double sum = 0;
        double hits = 0;
        for (int b = a; b <= 1000; b++) {
            sum += n[b];
            hits += frauds[b];
            least = b >= at && sum > 0 && hits / sum < least ? hits / sum : least;
        }
        best = n[a] > 0 && least > best ? least : best;
    }
    return n[at] > 0 ? best : (double)NAN;
}

static bool learnt(const struct event *v, int32_t from, int32_t to, double score)
{
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (v[i].day >= from && v[i].day <= to && v[i].score == score) {
            return true;
        }
    }
    return false;
}

/* Scores that the learnt days do not have lie on a line between the neighbours that they do. */
static double probability(const struct event *v, int32_t from, int32_t to, double score)
{
    double lo = score;
    double hi = score;
    while (lo > 0 && !learnt(v, from, to, lo)) {
        lo = round(lo * 1000 - 1) / 1000;
    }
    while (hi < 1 && !learnt(v, from, to, hi)) {
        hi = round(hi * 1000 + 1) / 1000;
    }
    const double a = isotonic(v, from, to, lo);
    const double b = isotonic(v, from, to, hi);
    return lo == hi || isnan(b) ? a : isnan(a) ? b : a + (b - a) * (score - lo) / (hi - lo);
}

TEST(estimate_agrees_with_brute_force_on_every_decision)
{
    struct testing t;
    static struct event v[EVENTS];
    make(v, test_seed());
    testing_init(&t, 2);
    t.c.mature_days = 2;
    give(&t, v);
    const int32_t day = TESTING_DAY0 + 9;
    const struct model_query q = asked(day, day);
    const struct model_estimate e = estimate(&t, &q);
    assert_int_equal(e.learnt_from, TESTING_DAY0);
    assert_int_equal(e.learnt_to, day - 1); /* mature, and before the day */
    assert_true(e.learnt_mature && e.flags_known);
    assert_true(e.learnt_share == 1);
    double tp = 0;
    double flagged = 0;
    double all = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        if (v[i].day == day) {
            const double p = probability(v, TESTING_DAY0, day - 1, v[i].score);
            tp += v[i].flagged ? p : 0;
            flagged += v[i].flagged;
            all += p;
        }
    }
    NEAR(e.figures.precision.value, tp / flagged, 1e-9);
    NEAR(e.figures.recall.value, tp / all, 1e-9);
    NEAR(e.figures.positives.value, all, 1e-9);
    NEAR(e.figures.f1.value, 2 * tp / (flagged + all), 1e-9);
    assert_true(e.figures.recall.lo < tp / all && e.figures.recall.hi > tp / all);
    testing_release(&t);
}

/* What a day of more than 16,384 decisions does. */
static void to_cells(struct testing *t)
{
    const struct model_cell none = {0};
    for (uint32_t k = 0; k < t->n; k++) {
        struct model_shard *s = model_shard_of(t->states, k);
        for (size_t i = 0; i < s->cohorts.cap; i++) {
            struct model_cohort *c = s->cohorts.slots[i];
            assert_true(c == NULL || c->celled ||
                        model_cohort_put_cell(&s->cohorts, c, c->base.scored, 1, &none));
        }
    }
}

TEST(estimate_from_cells_is_near_that_from_lists)
{
    struct testing t;
    static struct event v[EVENTS];
    make(v, test_seed());
    testing_init(&t, 2);
    give(&t, v);
    const struct model_query q = asked(TESTING_DAY0 + 8, TESTING_DAY0 + 11);
    const struct model_estimate lists = estimate(&t, &q);
    to_cells(&t);
    const struct model_estimate cells = estimate(&t, &q);
    assert_false(t.model->work->exact);
    assert_true(cells.flags_known);
    NEAR(cells.figures.flagged, lists.figures.flagged, 0);
    NEAR(cells.figures.n, lists.figures.n, 0);
    NEAR(cells.figures.recall.value, lists.figures.recall.value, 0.01);
    NEAR(cells.figures.precision.value, lists.figures.precision.value, 0.01);
    NEAR(cells.figures.roc_auc.value, lists.figures.roc_auc.value, 0.005);
    NEAR(cells.figures.average_precision.value, lists.figures.average_precision.value, 0.01);
    testing_release(&t);
}

TEST(estimate_learns_from_what_is_asked_or_says_what_instead)
{
    struct testing t;
    static struct event v[EVENTS];
    make(v, test_seed());
    testing_init(&t, 1);
    give(&t, v); /* mature_days 87: nothing is */
    struct model_query q = asked(TESTING_DAY0 + 10, TESTING_DAY0 + 10);
    struct model_estimate e = estimate(&t, &q);
    assert_int_equal(e.learnt_from, TESTING_DAY0);
    assert_int_equal(e.learnt_to, TESTING_DAY0 + 7); /* three days old at the end of day 11 */
    assert_false(e.learnt_mature);
    assert_true(e.learnt_share > 0.9 && e.learnt_share <= 1);
    q.reference = true;
    q.reference_from = TESTING_DAY0 + 2;
    q.reference_to = TESTING_DAY0 + 4;
    e = estimate(&t, &q);
    assert_int_equal(e.learnt_from, TESTING_DAY0 + 2);
    assert_int_equal(e.learnt_to, TESTING_DAY0 + 4);
    assert_int_equal(e.learnt_n, 3 * PER_DAY);
    q.version = STR("v1");
    e = estimate(&t, &q);
    assert_true(e.learnt_version && !e.learnt_dim && e.flags_known);
    q.dim = STR("channel");
    q.value = STR("web");
    e = estimate(&t, &q);
    assert_true(e.learnt_dim);
    assert_false(e.flags_known); /* not kept by segment: the best scores stand for them */
    NEAR(e.figures.flagged, (double)(e.now.tp + e.now.fp), 0);
    q.value = STR("nowhere");
    e = estimate(&t, &q);
    assert_false(e.learnt_dim);
    assert_true(isnan(e.figures.recall.value));
    q = asked(TESTING_DAY0, TESTING_DAY0);
    q.as_of_ns = ns_from_day(TESTING_DAY0 + 1); /* then nothing was known */
    e = estimate(&t, &q);
    assert_true(e.learnt_from > e.learnt_to && isnan(e.figures.recall.value));
    testing_release(&t);
}

static void answers(struct testing *t, struct buf *out)
{
    struct model_query q = asked(TESTING_DAY0 + 2, TESTING_DAY0 + 10);
    q.worth = true;
    q.worth_of[0] = 1;
    q.worth_of[1] = -1;
    q.worth_of[2] = -0.1;
    buf_reset(out);
    model_calibration_json(t->model, t->states, t->n, &q, out);
    model_thresholds_json(t->model, t->states, t->n, &q, out);
    q.dim = STR("channel");
    q.value = STR("web");
    model_calibration_json(t->model, t->states, t->n, &q, out);
    assert_false(out->failed);
}

TEST(estimate_and_thresholds_are_the_same_for_any_shards_and_after_a_checkpoint)
{
    static struct event v[EVENTS];
    struct testing one;
    struct testing many;
    struct buf a;
    struct buf b;
    struct buf saved;
    struct err e = {0};
    make(v, test_seed());
    testing_init(&one, 1);
    testing_init(&many, 5);
    buf_init(&a, one.m, 1 << 22);
    buf_init(&b, one.m, 1 << 22);
    buf_init(&saved, one.m, 64 << 20);
    give(&one, v);
    give(&many, v);
    answers(&one, &a);
    answers(&many, &b);
    assert_str(buf_str(&b), buf_str(&a));
    assert_true(str_contains(buf_str(&a), STR("\"flagged_by\":\"decision\"")));
    assert_false(str_contains(buf_str(&a), STR("\"brl_held\":null")));
    many.p.save(many.p.app, many.states, many.n, &saved);
    assert_true(one.p.load(one.p.app, one.states, one.n, buf_str(&saved), &e));
    answers(&one, &b);
    assert_str(buf_str(&b), buf_str(&a));
    buf_release(&saved);
    buf_release(&b);
    buf_release(&a);
    testing_release(&many);
    testing_release(&one);
}

/* The number after "name": in the text from *at on; *at moves behind it. */
static double number(const char **at, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *p = strstr(*at, key);
    assert_non_null(p);
    p += strlen(key);
    *at = p;
    return strncmp(p, "null", 4) == 0 ? (double)NAN : strtod(p, NULL);
}

static void check_points(const char *text, const struct event *v, uint32_t count)
{
    uint32_t points = 0;
    double frauds_all = 0;
    double lost = 0;
    for (uint32_t i = 0; i < count; i++) {
        frauds_all += v[i].fraud;
        lost += v[i].fraud ? (double)v[i].amount / 100 : 0;
    }
    const char *at = strstr(text, "\"points\":[");
    assert_non_null(at);
    for (double last = 2; strstr(at, "\"threshold\":") < strstr(text, "\"best\":"); points++) {
        const double threshold = number(&at, "threshold");
        double n = 0;
        double frauds = 0;
        double caught = 0;
        double held = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (v[i].score >= threshold - 1e-9) {
                n++;
                frauds += v[i].fraud;
                held += (double)v[i].amount / 100;
                caught += v[i].fraud ? (double)v[i].amount / 100 : 0;
            }
        }
        assert_true(threshold < last);
        last = threshold;
        NEAR(number(&at, "precision"), frauds / n, 1e-12);
        NEAR(number(&at, "recall"), frauds / frauds_all, 1e-12);
        NEAR(number(&at, "held_share"), n / count, 1e-12);
        NEAR(number(&at, "brl_caught"), caught, 0.001);
        NEAR(number(&at, "brl_missed"), lost - caught, 0.001);
        NEAR(number(&at, "brl_held"), held, 0.001);
        NEAR(number(&at, "worth_brl"), caught - (lost - caught) - 0.1 * (held - caught), 0.01);
    }
    assert_true(points > 40);
}

TEST(thresholds_agree_with_brute_force_from_lists_and_from_cells)
{
    static struct event v[EVENTS];
    struct testing t;
    struct buf b;
    make(v, test_seed());
    testing_init(&t, 2);
    buf_init(&b, t.m, 1 << 22);
    give(&t, v);
    struct model_query q = asked(INT32_MIN, INT32_MAX);
    q.worth = true;
    q.worth_of[0] = 1;
    q.worth_of[1] = -1;
    q.worth_of[2] = -0.1;
    for (int cells = 0; cells < 2; cells++) {
        buf_reset(&b);
        model_thresholds_json(t.model, t.states, t.n, &q, &b);
        buf_char(&b, '\0');
        assert_false(b.failed);
        assert_int_equal(t.model->work->exact, cells == 0);
        check_points(b.p, v, EVENTS);
        const char *at = b.p;
        NEAR(number(&at, "current"), 0.5, 0);
        to_cells(&t);
    }
    buf_release(&b);
    testing_release(&t);
}

/* ---- concept ---- */

#define STREAM_DAYS 30
#define STREAM_N    3000 /* a day, of which one in 20 is fraud */
#define CHANGE      24

/* From `change` on eight frauds in ten look like anybody. */
static void stream(struct testing *t, uint64_t seed, int32_t change)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < STREAM_N * STREAM_DAYS; i++) {
        const int32_t day = TESTING_DAY0 + (int32_t)(i / STREAM_N);
        const int64_t t_ns = ns_from_day(day) + (int64_t)(i % STREAM_N) * 28 * NS_PER_S;
        const bool fraud = rng_below(&r, 20) == 0;
        const bool hidden = day >= TESTING_DAY0 + change && rng_below(&r, 10) < 8;
        const double z = rng_normal(&r) + (fraud && !hidden ? 3.2 : 0) - 4;
        const bool flagged = z > -1;
        struct decision d =
            testing_decision(t_ns, i, 1 / (1 + exp(-z)), flagged ? VERDICT_HOLD : VERDICT_APPROVE);
        testing_give_decision(t, &d);
        const double days = flagged ? 0.5 * rng_exp(&r) : 2 * rng_exp(&r);
        const int64_t label_ns = t_ns + (int64_t)(days * (double)NS_PER_DAY);
        if ((fraud || flagged) && label_ns < ns_from_day(TESTING_DAY0 + STREAM_DAYS)) {
            struct fraud_label l =
                testing_label(t_ns, i, label_ns, fraud ? TRUTH_FRAUD : TRUTH_LEGIT);
            l.source = flagged ? SOURCE_ANALYST : SOURCE_MED_INFRACTION;
            testing_give_label(t, &l);
        }
    }
    testing_tick(t);
}

static struct model_concept concept_at(struct testing *t, int32_t day)
{
    struct model_query q = asked(day - 2, day - 1);
    struct model_concept c;
    q.as_of_ns = ns_from_day(day + 1) - 1;
    const struct model_estimate e = estimate(t, &q);
    assert_true(model_concept_find(t->model, t->states, t->n, &q, &e, &c));
    return c;
}

TEST(estimate_concept_alarm_rings_within_three_days_and_not_before)
{
    struct testing t;
    testing_init(&t, 1);
    stream(&t, test_seed(), CHANGE);
    for (int32_t day = 12; day < CHANGE; day++) {
        const struct model_concept c = concept_at(&t, TESTING_DAY0 + day);
        assert_true(c.judged);
        assert_false(c.drift);
    }
    const struct model_concept c = concept_at(&t, TESTING_DAY0 + CHANGE + 2);
    assert_true(c.judged && c.drift && c.recall.leaves);
    assert_true(c.recall.z < 0);
    /* A question about the very days that the map was learnt from proves nothing. */
    struct model_query q = asked(TESTING_DAY0, TESTING_DAY0 + 3);
    const struct model_estimate e = estimate(&t, &q);
    struct model_concept own;
    assert_true(model_concept_find(t.model, t.states, t.n, &q, &e, &own));
    assert_false(own.judged || own.drift);
    testing_release(&t);
}

/* Value of a sample, NaN when absent. */
static double sample(const struct expo *x, const char *name, const char *bound)
{
    const struct label l[] = {{STR("bound"), str_from_c(bound ? bound : "")}};
    const struct expo_sample *s = expo_find(x, str_from_c(name), l, bound ? 1 : 0);
    return s == NULL ? (double)NAN : s->value;
}

TEST(estimate_is_published_with_its_bounds_and_the_alarm)
{
    struct testing t;
    struct expo x;
    testing_init(&t, 1);
    stream(&t, test_seed(), CHANGE);
    struct mem m;
    struct arena a;
    mem_init(&m, 0);
    arena_init(&a, &m, 8 << 20);
    expo_init(&x, &a, 0);
    t.p.publish(t.p.app, t.states, t.n, os_now_ns(t.os), &x);
    const double value = sample(&x, "fraud_model_estimated_recall", "value");
    assert_true(value > 0.05 && value < 1);
    assert_true(sample(&x, "fraud_model_estimated_recall", "lo") < value);
    assert_true(sample(&x, "fraud_model_estimated_recall", "hi") > value);
    assert_true(sample(&x, "fraud_model_estimated_precision", "value") > 0.5);
    assert_false(isnan(sample(&x, "fraud_model_estimated_f1", "value")));
    assert_false(isnan(sample(&x, "fraud_model_estimated_roc_auc", "value")));
    assert_false(isnan(sample(&x, "fraud_model_estimated_average_precision", "value")));
    assert_true(sample(&x, "fraud_model_concept_drift", NULL) == 1);
    arena_release(&a);
    testing_release(&t);
}

/* ---- checkpoints of version 2 ---- */

/* One approved decision without an amount; its cohort ends with an empty table of money, which
 * version 2 has not. */
TEST(estimate_reads_checkpoints_that_have_no_money)
{
    struct testing t;
    struct buf saved;
    struct err e = {0};
    testing_init(&t, 1);
    buf_init(&saved, t.m, 1 << 20);
    struct decision d = testing_decision(ns_from_day(TESTING_DAY0), 1, 0.25, VERDICT_APPROVE);
    d.amount_centavos = AMOUNT_NONE;
    d.dims_count = 0;
    testing_give_decision(&t, &d);
    t.p.save(t.p.app, t.states, t.n, &saved);
    struct buf drift; /* stands at the end; version 2 has none */
    buf_init(&drift, t.m, 1 << 20);
    model_drift_save(t.model, t.states, t.n, &drift);
    const size_t cut = 4 + drift.n;
    buf_release(&drift);
    struct rd r = rd_of(buf_str(&saved));
    (void)rd_bytes(&r, 12);
    for (uint32_t lists = 0; lists < 2 + RECORD_DIMS_MAX; lists++) {
        for (uint32_t i = rd_u32le(&r); i > 0; i--) {
            (void)rd_str32(&r);
        }
    }
    (void)rd_bytes(&r, 8 + 4);
    assert_int_equal(rd_u32le(&r), 1);
    (void)rd_bytes(&r, 9 + 24 + 5 * 8 + 10 * 16 + 4 + 8 + 4);
    assert_int_equal(rd_u32le(&r), 0);
    const size_t at = saved.n - rd_left(&r);
    memmove(saved.p + at - 4, saved.p + at, saved.n - at);
    put_u32le(saved.p + 8, 2);
    assert_true(t.p.load(t.p.app, t.states, t.n, str_of(saved.p, saved.n - cut), &e));
    assert_int_equal(testing_quality(&t, T_NS_NONE, -1).n, 1);
    put_u32le(saved.p + 8, 3); /* the same bytes are no version 3 */
    assert_false(t.p.load(t.p.app, t.states, t.n, str_of(saved.p, saved.n - cut), &e));
    put_u32le(saved.p + 8, 1);
    assert_false(t.p.load(t.p.app, t.states, t.n, str_of(saved.p, saved.n - cut), &e));
    assert_true(strstr(e.msg, "version 1") != NULL);
    buf_release(&saved);
    testing_release(&t);
}

TEST(estimate_question_says_which_parameter_is_wrong)
{
    struct model_query q = {0};
    struct err e = {0};
    struct str no = STR("");
    assert_true(model_query_more(no, no, no, &q, &e));
    assert_false(q.reference || q.worth);
    assert_true(
        model_query_more(STR("2018-05-14"), STR("2018-05-27"), STR("1,-1,-0.02,0"), &q, &e));
    assert_true(q.reference && q.worth);
    assert_int_equal(q.reference_to - q.reference_from, 13);
    NEAR(q.worth_of[2], -0.02, 0);
    assert_false(model_query_more(STR("2018-05-14"), no, no, &q, &e));
    assert_true(strstr(e.msg, "'reference_to'") != NULL);
    assert_false(model_query_more(STR("2018-05-14"), STR("2018-05-13"), no, &q, &e));
    const struct str wrong[] = {STR("1,2,3"), STR("1,2,3,4,5"), STR("1,2,x,4"), STR(","),
                                STR("1,2,3,1e9")};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(model_query_more(no, no, wrong[i], &q, &e));
        assert_true(strstr(e.msg, "'worth'") != NULL);
    }
}

FAULT_TEST(estimate_survives_lack_of_memory)
{
    struct testing t = {.m = &w->mem, .simos = w->simos, .os = w->os};
    struct buf out;
    testing_config(&t);
    t.c.mature_days = 1;
    simos_clock_set(w->simos, ns_from_day(TESTING_DAY0 + 400));
    bool ok = testing_start(&t, 1);
    for (uint32_t i = 0; ok && i < 120; i++) {
        const int64_t t_ns = ns_from_day(TESTING_DAY0 + (int32_t)(i / 30)) + i;
        struct decision d =
            testing_decision(t_ns, i, i % 30 / 30.0, i % 3 == 0 ? VERDICT_HOLD : VERDICT_APPROVE);
        struct fraud_label l = testing_label(t_ns, i, t_ns + 1, TRUTH_FRAUD);
        record_put_decision(&t.batch, &d);
        if (i % 2 == 0) {
            record_put_label(&t.batch, &l);
        }
        ok = !t.batch.failed;
        testing_apply(&t);
    }
    buf_init(&out, t.m, 1 << 20);
    if (ok) {
        struct model_query q = asked(TESTING_DAY0 + 3, TESTING_DAY0 + 3);
        struct model_estimate e;
        testing_tick(&t);
        const struct model_shard *s = t.states[0];
        ok = s->refusals[MODEL_REFUSE_MEMORY] == 0 && s->refusals[MODEL_REFUSE_UNJOINED] == 0 &&
             s->label_drops[MODEL_DROP_FULL] == 0 && s->label_drops[MODEL_DROP_WAITING_FULL] == 0;
        const bool found = model_estimate_find(t.model, t.states, 1, &q, &e);
        if (ok && found) {
            assert_int_equal(e.learnt_frauds, 30); /* of the two days that are a day old */
            assert_false(isnan(e.figures.recall.value));
        }
        model_calibration_json(t.model, t.states, 1, &q, &out);
        model_thresholds_json(t.model, t.states, 1, &q, &out);
        ok = ok && found && !out.failed;
    }
    buf_release(&out);
    testing_stop(&t);
    return ok;
}
