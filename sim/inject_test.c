/* Every fault is visible in the lines exactly within its window, and as often as the truth says. */
#include "sim/sim_test_int.h"

#include <math.h>
#include <stdlib.h>

#define RATE   "volume: {rate: 200, shape: false}\nfraud: {rate: 0.01}\n"
#define START  (10 * NS_PER_S)
#define END    (25 * NS_PER_S)
#define WINDOW "@10s+15s"

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool inside(const struct sim_world *w, int64_t t)
{
    return t >= w->run.from_ns + START && t < w->run.from_ns + END;
}

static void start(struct sim_world *w, const char *yaml, const char *spec)
{
    sim_world_init(w, yaml, 40);
    sim_world_fault(w, spec);
    sim_world_run(w, true);
}

static uint64_t affected(const struct sim_world *w)
{
    return w->s->faults[0].affected;
}

/* The line of that stage of the transaction of line i, NULL when there is none. */
static const struct line *of_stage(const struct sim_world *w, size_t i, const char *stage)
{
    for (size_t k = i > 4000 ? i - 4000 : 0; k < w->n && k < i + 4000; k++) {
        if (is(w->lines[k].stage, stage) && is(w->lines[k].id, w->lines[i].id)) {
            return &w->lines[k];
        }
    }
    return NULL;
}

TEST(fault_without_faults_nothing_of_them_shows)
{
    struct sim_world w;
    sim_world_init(&w, RATE, 40);
    sim_world_run(&w, true);
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        assert_false(is(l->reason, "dict_timeout") || is(l->reason, "timeout"));
        assert_false(is(l->version, "2.8.1") || is(l->version, "7.4.0"));
        assert_true(l->fallback[0] == 0 || is(l->fallback, "none"));
        assert_true(llabs(l->offset) <= 300);
        assert_false(l->null[N_DEVICE_AGE]);
        assert_true(l->threshold == 0 || l->threshold == 0.95);
    }
    assert_int_equal(sim_totals(w.s)->lost, 0);
    sim_world_done(&w);
}

TEST(fault_lost_cuts_exactly_the_listed_transactions)
{
    struct sim_world w, clean;
    sim_world_init(&clean, RATE, 40);
    sim_world_run(&clean, true);
    start(&w, RATE, "lost:share=0.1,stage=score" WINDOW);
    const struct sim_totals *t = sim_totals(w.s);
    assert_true(t->lost > 200 && t->lost < 400);
    assert_int_equal(t->lost, affected(&w));
    assert_int_equal(t->stage[ST_FEATURES], clean.s->totals.stage[ST_FEATURES]);
    assert_int_equal(t->stage[ST_SCORE], clean.s->totals.stage[ST_SCORE] - t->lost);
    assert_int_equal(t->decisions, clean.s->totals.decisions - t->lost);
    int64_t centavos = 0;
    for (uint64_t i = 0; i < t->lost; i++) {
        const struct lost *x = &w.s->lost[i];
        bool features = false;
        for (size_t k = 0; k < w.n; k++) {
            if (memcmp(w.lines[k].id, x->id.c, 32) == 0) {
                assert_false(is(w.lines[k].stage, "score") || is(w.lines[k].type, "decision"));
                features = features || is(w.lines[k].stage, "features");
            }
        }
        for (size_t k = 0; k < clean.n; k++) { /* where it would have ended: in the window */
            if (is(clean.lines[k].stage, "score") && memcmp(clean.lines[k].id, x->id.c, 32) == 0) {
                assert_true(inside(&w, clean.lines[k].emit));
            }
        }
        assert_true(features);
        assert_int_equal(x->from, ST_FEATURES);
        assert_int_equal(x->to, ST_SCORE);
        centavos += x->amount;
    }
    assert_true(centavos == t->lost_centavos);
    sim_world_done(&w);
    sim_world_done(&clean);
}

/* Lines of a run with a fault, less those that the fault touched, are those of a clean run. Without
 * frauds, so that no verdict is near enough to the threshold to change. */
TEST(fault_leaves_everything_else_as_it_was)
{
    struct sim_world w, clean;
    const char *yaml = "volume: {rate: 200, shape: false}\nfraud: {rate: 0}\n";
    sim_world_init(&clean, yaml, 40);
    sim_world_run(&clean, false);
    sim_world_init(&w, yaml, 40);
    sim_world_fault(&w, "nulls:feature=session_seconds,share=0.5" WINDOW);
    sim_world_run(&w, false);
    size_t a = 0, b = 0, differ = 0, lines = 0;
    assert_int_not_equal(clean.text.n, w.text.n);
    while (a < clean.text.n && b < w.text.n) {
        struct str x = str_cut(str_sub(buf_str(&clean.text), a, SIZE_MAX / 2), '\n').head;
        struct str y = str_cut(str_sub(buf_str(&w.text), b, SIZE_MAX / 2), '\n').head;
        if (!str_eq(x, y)) {
            assert_true(str_contains(y, STR("\"type\":\"decision\"")));
            assert_true(str_contains(y, STR("\"session_seconds\":null")));
            differ++;
        }
        a += x.n + 1;
        b += y.n + 1;
        lines++;
    }
    assert_true(a == clean.text.n && b == w.text.n && lines == sim_totals(w.s)->lines);
    assert_int_equal(differ, affected(&w));
    assert_true(differ > 1000);
    sim_world_done(&w);
    sim_world_done(&clean);
}

TEST(fault_duplicates_repeat_lines)
{
    struct sim_world w;
    start(&w, RATE, "duplicates:share=0.1,stage=act,delay=1s" WINDOW);
    uint64_t seen = 0;
    for (size_t i = 0; i < w.n; i++) {
        if (!is(w.lines[i].stage, "act")) {
            continue;
        }
        for (size_t k = i + 1; k < w.n && w.lines[k].emit <= w.lines[i].emit + NS_PER_S; k++) {
            if (is(w.lines[k].stage, "act") && is(w.lines[k].id, w.lines[i].id)) {
                assert_int_equal(w.lines[k].attempt, w.lines[i].attempt);
                assert_true(inside(&w, w.lines[i].emit));
                seen++;
            }
        }
    }
    assert_true(seen > 200);
    assert_int_equal(seen, sim_totals(w.s)->duplicates[ST_ACT]);
    assert_int_equal(seen, affected(&w));
    assert_int_equal(sim_totals(w.s)->decision_duplicates, 0);
    sim_world_done(&w);
}

TEST(fault_local_time_moves_ids_by_three_hours)
{
    struct sim_world w;
    start(&w, RATE, "local_time:value=0.5" WINDOW);
    uint64_t moved = 0, ff08 = 0;
    for (size_t i = 0; i < w.n; i++) {
        struct e2e id;
        const struct line *l = &w.lines[i];
        ff08 += is(l->reason, "FF08");
        if (!is(l->type, "decision")) {
            continue;
        }
        memcpy(id.c, l->id, 32);
        int64_t off = l->t0 - e2e_minute_ns(&id);
        bool local = off >= 3 * 3600 * NS_PER_S;
        assert_true(local == inside(&w, l->t0));
        assert_true((local ? off - 3 * 3600 * NS_PER_S : off) < 60 * NS_PER_S);
        moved += local;
    }
    assert_true(moved > 2500 && ff08 > 1000);
    assert_int_equal(moved, affected(&w));
    sim_world_done(&w);
}

TEST(fault_clock_skew_is_one_host)
{
    struct sim_world w;
    start(&w, RATE, "clock_skew:host=features-2,offset=-400ms" WINDOW);
    uint64_t skewed = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        bool here = is(l->host, "features-2") && inside(&w, l->emit);
        assert_true((l->offset < -300) == here);
        if (is(l->type, "stage")) {
            assert_true(l->end == l->emit + l->offset * NS_PER_US);
        }
        skewed += here;
    }
    assert_true(skewed > 500);
    assert_int_equal(skewed, affected(&w));
    sim_world_done(&w);
}

TEST(fault_dict_falls_back_and_abandons)
{
    struct sim_world w;
    start(&w, RATE, "dict:value=0.5" WINDOW);
    uint64_t timeouts = 0, fallbacks = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (is(l->reason, "dict_timeout")) {
            assert_true(inside(&w, l->emit - l->queue - l->work));
            assert_string_equal(l->outcome, "error");
            timeouts++;
        }
        if (is(l->fallback, "dict")) {
            assert_true(l->null[N_KEY_AGE] && l->null[N_MARKERS]);
            fallbacks++;
        }
    }
    assert_true(timeouts > 1000);
    assert_int_equal(timeouts, fallbacks);
    assert_int_equal(timeouts, affected(&w));
    /* 3,000 arrivals in the window, 42 % of them by key, half of those given up. */
    assert_in_range(sim_totals(w.s)->abandoned, 480, 780);
    sim_world_done(&w);
}

static void check_feature(struct sim_world *w, bool (*struck)(const struct line *, int))
{
    uint64_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct line *l = &w->lines[i];
        if (!is(l->type, "decision")) {
            continue;
        }
        const struct line *f = of_stage(w, i, "features");
        assert_true(struck(l, 0) == (f && inside(w, f->emit)));
        n += struck(l, 0);
    }
    assert_true(n > 2500);
    assert_int_equal(n, affected(w));
}

static bool device_age_null(const struct line *l, int unused)
{
    (void)unused;
    return l->null[N_DEVICE_AGE];
}

static bool amount_100_times(const struct line *l, int unused)
{
    (void)unused;
    return fabs(l->values[N_AMOUNT] - (double)l->amount / 100) > 0.001;
}

TEST(fault_nulls)
{
    struct sim_world w;
    start(&w, RATE, "nulls:feature=device_age_days" WINDOW);
    check_feature(&w, device_age_null);
    sim_world_done(&w);
}

TEST(fault_unit)
{
    struct sim_world w;
    start(&w, RATE, "unit:feature=amount_brl,factor=100" WINDOW);
    check_feature(&w, amount_100_times);
    sim_world_done(&w);
}

TEST(fault_slow_score_is_the_new_version)
{
    struct sim_world w;
    start(&w, RATE, "slow_score:share=0.5,factor=20" WINDOW);
    double slow = 0, fast = 0;
    uint64_t n = 0, m = 0, decided = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        bool fresh = is(l->version, "7.4.0");
        decided += fresh && is(l->type, "decision");
        if (!is(l->stage, "score")) {
            continue;
        }
        assert_true(fresh || is(l->version, "7.3.0"));
        slow += fresh ? (double)l->work : 0;
        fast += fresh ? 0 : (double)l->work;
        n += fresh;
        m += !fresh;
    }
    assert_true(n > 1200 && slow / (double)n > 15 * fast / (double)m);
    assert_true(n == decided && n == affected(&w));
    sim_world_done(&w);
}

TEST(fault_threshold)
{
    struct sim_world w;
    start(&w, RATE, "threshold:value=0.095" WINDOW);
    uint64_t wrong = 0, denied_in = 0, denied_out = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (!is(l->type, "decision")) {
            continue;
        }
        assert_true((l->threshold < 0.5) == inside(&w, l->emit));
        wrong += l->threshold < 0.5;
        denied_in += inside(&w, l->emit) && is(l->verdict, "deny");
        denied_out += !inside(&w, l->emit) && is(l->verdict, "deny");
    }
    assert_int_equal(wrong, affected(&w));
    assert_true(denied_in > 2 * denied_out);
    sim_world_done(&w);
}

TEST(fault_fail_open_approves)
{
    struct sim_world w;
    start(&w, RATE, "fail_open:share=0.2" WINDOW);
    uint64_t timeouts = 0, open = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        timeouts += is(l->reason, "timeout") && is(l->stage, "score");
        if (is(l->fallback, "timeout")) {
            assert_string_equal(l->verdict, "approve");
            assert_true(l->latency_us > 300000);
            open++;
        }
    }
    assert_true(open > 400 && open == timeouts && open == affected(&w));
    sim_world_done(&w);
}

TEST(fault_constant_score)
{
    struct sim_world w;
    start(&w, RATE, "constant_score:value=0.5" WINDOW);
    uint64_t n = 0;
    for (size_t i = 0; i < w.n; i++) {
        n += is(w.lines[i].type, "decision") && w.lines[i].score == 0.5;
    }
    assert_true(n > 2500 && n == affected(&w));
    sim_world_done(&w);
}

TEST(fault_ab03_takes_forty_seconds)
{
    struct sim_world w;
    start(&w, RATE "stages: {reject_share: 0}\n", "ab03:share=0.1" WINDOW);
    uint64_t n = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (is(l->reason, "AB03")) {
            assert_int_equal(l->queue + l->work, 40 * NS_PER_S);
            assert_true(inside(&w, l->emit - 40 * NS_PER_S));
            assert_string_equal(l->outcome, "error");
            n++;
        }
    }
    assert_true(n > 150 && n == affected(&w));
    sim_world_done(&w);
}

TEST(fault_holds_wait_for_their_deadline)
{
    struct sim_world w;
    start(&w, RATE, "holds:share=0.1,delay=10m" WINDOW);
    uint64_t n = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (!is(l->verdict, "hold") || !inside(&w, l->emit)) {
            continue;
        }
        assert_int_equal(l->deadline - (l->ts - l->offset * NS_PER_US), 600 * NS_PER_S);
        for (size_t k = i; k < w.n; k++) {
            if (is(w.lines[k].stage, "act") && is(w.lines[k].id, l->id)) {
                assert_true(l->deadline - w.lines[k].emit < 91 * NS_PER_S);
                assert_true(l->deadline >= w.lines[k].emit);
                n++;
            }
        }
    }
    assert_true(n > 100 && n == affected(&w));
    sim_world_done(&w);
}

TEST(fault_labels_stop)
{
    struct sim_world w;
    for (int backlog = 0; backlog < 2; backlog++) {
        sim_world_init(&w, RATE "labels: {delay_scale: 0.00001}\nholds: {review: 2s}\n", 60);
        sim_world_fault(&w, backlog ? "labels_stop:value=1" WINDOW : "labels_stop" WINDOW);
        sim_world_run(&w, true);
        uint64_t in = 0, out = 0, late = 0;
        for (size_t i = 0; i < w.n; i++) {
            const struct line *l = &w.lines[i];
            if (is(l->type, "label")) {
                in += inside(&w, l->emit);
                out += !inside(&w, l->emit);
                late += inside(&w, l->ts) && !inside(&w, l->emit);
            }
        }
        assert_int_equal(in, 0);
        assert_true(out > 20 && affected(&w) > 5);
        assert_int_equal(late, backlog ? affected(&w) : 0);
        sim_world_done(&w);
    }
}

TEST(fault_mules_arrive_at_new_accounts)
{
    struct sim_world w, clean;
    sim_world_init(&clean, RATE, 600);
    sim_world_run(&clean, false);
    sim_world_init(&w, RATE, 600);
    sim_world_fault(&w, "mules:factor=10@10s+60s");
    sim_world_run(&w, false);
    assert_true(affected(&w) > 10);
    assert_true(sim_totals(w.s)->pattern[PAT_MULE] >
                sim_totals(clean.s)->pattern[PAT_MULE] + 5 * affected(&w));
    sim_world_done(&w);
    sim_world_done(&clean);
}

TEST(fault_supplier_sends_millions)
{
    struct sim_world w;
    sim_world_init(&w, "volume: {rate: 20, shape: false}\nfraud: {rate: 0}\n", 7200);
    sim_world_fault(&w, "supplier@60s+1h");
    sim_world_run(&w, true);
    uint64_t n = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (is(l->type, "decision") && l->amount >= 50000000 && l->values[N_VS_P95] >= 40) {
            n += l->values[N_PAYEE_AGE] < 10;
        }
    }
    assert_in_range(n, 20, 105);
    assert_int_equal(affected(&w), sim_totals(w.s)->pattern[PAT_SUPPLIER]);
    sim_world_done(&w);
}

TEST(fault_reorder_delays_but_loses_nothing)
{
    struct sim_world w;
    start(&w, RATE, "reorder:share=0.2,delay=5s" WINDOW);
    uint64_t late = 0, stages = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        int64_t end = l->end - l->offset * NS_PER_US;
        if (is(l->type, "stage")) {
            assert_true(l->emit >= end && l->emit < end + 5 * NS_PER_S);
            assert_true(l->emit == end || inside(&w, end));
            late += l->emit > end;
            stages++;
        }
    }
    assert_true(late > 3000);
    assert_int_equal(stages, sim_totals(w.s)->stage_events);
    sim_world_done(&w);
}

TEST(fault_redis_keeps_latency_and_doubles_holds)
{
    struct sim_world w, clean;
    const char *yaml = "volume: {rate: 200, shape: false}\nfraud: {rate: 0.01}\n"
                       "holds: {review: 2s}\n";
    sim_world_init(&clean, yaml, 400);
    sim_world_run(&clean, true);
    sim_world_init(&w, yaml, 400);
    sim_world_fault(&w, "redis@10s+end");
    sim_world_run(&w, true);
    assert_int_equal(w.n, clean.n + sim_totals(w.s)->labels - sim_totals(clean.s)->labels +
                              sim_totals(w.s)->stage[ST_SETTLE] -
                              sim_totals(clean.s)->stage[ST_SETTLE]);
    uint64_t hit = 0, decisions = 0, latency = 0, latency_clean = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        decisions += is(l->type, "decision");
        latency += (uint64_t)l->latency_us;
        if (is(l->fallback, "features")) {
            assert_true(l->values[N_DEVICE_AGE] == -1 && l->values[N_PAYERS_1H] == -1);
            assert_true(l->values[N_AMOUNT] >= 0.01);
            hit++;
        }
        if (is(l->stage, "features")) {
            bool after = l->emit >= w.run.from_ns + START;
            assert_string_equal(l->version, after ? "2.8.1" : "2.8.0");
        }
    }
    for (size_t i = 0; i < clean.n; i++) {
        latency_clean += (uint64_t)clean.lines[i].latency_us;
    }
    assert_int_equal(latency, latency_clean);
    assert_int_equal(hit, affected(&w));
    double share = (double)hit / (double)decisions;
    assert_true(share > 0.105 && share < 0.14);
    const uint64_t *v = sim_totals(w.s)->verdict, *u = sim_totals(clean.s)->verdict;
    uint64_t held = v[VERDICT_HOLD] + v[VERDICT_CAUTELAR_BLOCK];
    uint64_t before = u[VERDICT_HOLD] + u[VERDICT_CAUTELAR_BLOCK];
    assert_true(held > before * 3 / 2 && held < before * 5 / 2);
    sim_world_done(&w);
    sim_world_done(&clean);
}
