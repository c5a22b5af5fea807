/* Which rules wait for which, and that the answers are the same with one thread and with many. */
#include "engines/rules/engine_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"

#include <stdio.h>
#include <time.h>

#define MIN_MS  60000
#define T0      (MIN_MS * 1000000LL)
#define THREADS 4

struct world {
    struct simos *sim;
    const struct os *os;
    struct tsdb *db;
    struct rules *r;
    struct mem mem;
};

static void world_open(struct world *w, const struct rules_sink *sink)
{
    struct tsdb_config c;
    struct err e = {0};
    const struct rules_config rc = {.interval_ms = MIN_MS,
                                    .external_url = STR("http://farol"),
                                    .grace_period_ms = 10 * MIN_MS,
                                    .resend_delay_ms = MIN_MS,
                                    .threads = 1};
    *w = (struct world){0};
    mem_init(&w->mem, 0);
    w->sim = simos_new(1);
    w->os = simos_os(w->sim);
    simos_clock_set(w->sim, ns_from_ms(T0));
    tsdb_config_default(&c);
    c.dir = "db";
    assert_true(tsdb_open(&w->db, &c, w->os, NULL, &e));
    assert_true(rules_new(&rc, w->db, w->os, NULL, sink, &w->r, &e));
}

static void world_close(struct world *w)
{
    rules_free(w->r);
    tsdb_close(w->db);
    simos_free(w->sim);
}

/* rules: the list of one group's rules as YAML. */
static void load(struct world *w, struct str rules)
{
    struct err e = {0};
    struct buf b;
    struct str pattern = STR("r.yml");
    buf_init(&b, &w->mem, 1U << 20);
    BUF_LIT(&b, "groups:\n- name: g\n  rules:\n");
    buf_str_add(&b, rules);
    assert_true(file_replace(w->os, "r.yml", buf_str(&b), &e));
    if (!rules_load(w->r, "", &pattern, 1, &e)) {
        print_error("%s in\n%.*s\n", e.msg, STR_FMT(buf_str(&b)));
        fail();
    }
    buf_release(&b);
}

/* "0>1 0>2 3!": 1 and 2 wait for 0, 3 stands alone. */
static void expect_order(const char *rules, const char *want)
{
    struct world w;
    struct buf b;
    world_open(&w, NULL);
    load(&w, str_from_c(rules));
    const struct group *g = w.r->groups[0];
    buf_init(&b, &w.mem, 1U << 16);
    for (uint32_t i = 0; i < g->rules_n; i++) {
        if (g->order.alone[i]) {
            buf_fmt(&b, "%s%u!", b.n ? " " : "", i);
        }
        for (uint32_t k = g->order.first[i]; k < g->order.first[i + 1]; k++) {
            buf_fmt(&b, "%s%u>%u", b.n ? " " : "", i, g->order.after[k]);
        }
    }
    assert_str(buf_str(&b), str_from_c(want));
    buf_release(&b);
    world_close(&w);
}

TEST(deps_follow_the_names_that_rules_record)
{
    expect_order("  - {record: a, expr: x}\n  - {record: b, expr: y}\n", "");
    expect_order("  - {record: a, expr: x}\n  - {record: b, expr: sum(a) by (j)}\n"
                 "  - {record: c, expr: 'rate(a[5m])'}\n  - {record: d, expr: y + b}\n",
                 "0>1 0>2 1>3");
    /* Wherever the name stands, and however it is written. */
    expect_order("  - {record: a, expr: x}\n  - {record: b, expr: 'max_over_time(a[1h:5m])'}\n"
                 "  - {record: c, expr: '{__name__=\"a\",j=\"1\"}'}\n"
                 "  - {record: d, expr: 'topk(scalar(a), y)'}\n  - {record: e, expr: -(a)}\n",
                 "0>1 0>2 0>3 0>4");
    /* It reads itself: nothing to wait for. */
    expect_order("  - {record: a, expr: a offset 1m}\n  - {record: b, expr: vector(1)}\n", "");
    /* Used twice is one wait. */
    expect_order("  - {record: a, expr: x}\n  - {record: b, expr: a / a}\n", "0>1");
}

TEST(deps_keep_a_reader_before_a_later_writer)
{
    expect_order("  - {record: b, expr: a}\n  - {record: a, expr: x}\n", "0>1");
}

TEST(deps_keep_writers_of_one_series_in_order)
{
    expect_order("  - {record: a, expr: x}\n  - {record: a, expr: y}\n", "0>1");
    expect_order("  - {record: a, expr: x, labels: {q: '1'}}\n"
                 "  - {record: a, expr: y, labels: {q: '2'}}\n",
                 "");
    expect_order("  - {record: a, expr: x, labels: {q: '1'}}\n"
                 "  - {record: a, expr: y, labels: {p: '2'}}\n",
                 "0>1");
    /* Alerts of one name; labels that are templates may come out equal. */
    expect_order("  - {alert: A, expr: x, labels: {s: low}}\n"
                 "  - {alert: A, expr: y, labels: {s: high}}\n  - {alert: A, expr: z}\n"
                 "  - {alert: B, expr: x}\n",
                 "0>2 1>2");
    expect_order("  - {alert: A, expr: x, labels: {s: '{{ $value }}'}}\n"
                 "  - {alert: A, expr: y, labels: {s: high}}\n",
                 "0>1");
}

TEST(deps_know_the_series_of_alerts)
{
    expect_order("  - {alert: A, expr: x}\n  - {alert: B, expr: y}\n"
                 "  - {record: n, expr: count(ALERTS)}\n"
                 "  - {record: m, expr: 'ALERTS_FOR_STATE{alertname=\"B\"}'}\n",
                 "0>2 1>2 1>3");
    expect_order("  - {alert: A, expr: a > 0}\n  - {record: a, expr: x}\n"
                 "  - {alert: C, expr: 'ALERTS{alertname=\"C\"} unless a'}\n",
                 "0>1 1>2");
    expect_order("  - {record: ALERTS, expr: x}\n  - {alert: A, expr: y}\n", "0>1");
}

TEST(deps_let_what_cannot_be_known_stand_alone)
{
    expect_order("  - {record: a, expr: x}\n  - {record: b, expr: '{j=\"1\"}'}\n"
                 "  - {record: c, expr: '{__name__=~\"z.*\"}'}\n"
                 "  - {record: d, expr: '{__name__!=\"z\",j=\"1\"}'}\n  - {record: e, expr: y}\n",
                 "1! 2! 3!");
    expect_order("  - {alert: A, expr: x, annotations: {s: '{{ query \"y\" | len }}'}}\n"
                 "  - {alert: B, expr: x, annotations: {s: 'a slow query on {{ $value }}'}}\n"
                 "  - {alert: C, expr: x, annotations: {s: '{{ $value }} subquery, queries'}}\n"
                 "  - {alert: D, expr: x, labels: {s: '{{ with query \"y\" }}1{{ end }}'}}\n",
                 "0! 3!");
}

/* --- turns ---------------------------------------------------------------------------------- */

/* Takes all that may begin: "01" for rules 0 and 1. */
static void expect_ready(struct group *g, const char *want)
{
    char got[16] = "";
    size_t n = 0;
    uint32_t i = 0;
    while ((i = rule_turn_next(g)) != RULE_NONE && n + 1 < sizeof got) {
        rule_turn_take(g, i);
        got[n++] = (char)('0' + i);
        got[n] = 0;
    }
    assert_string_equal(got, want);
}

TEST(turns_let_independent_rules_begin_at_once)
{
    struct world w;
    world_open(&w, NULL);
    load(&w, STR("  - {record: a, expr: x}\n  - {record: b, expr: a}\n  - {record: c, expr: y}\n"
                 "  - {record: d, expr: '{j=\"1\"}'}\n  - {record: e, expr: z}\n"
                 "  - {record: f, expr: z}\n"));
    struct group *g = w.r->groups[0];
    for (int round = 0; round < 2; round++) {
        rule_turn_begin(g, T0);
        expect_ready(g, "02");
        rule_turn_done(g, 2);
        expect_ready(g, "");
        rule_turn_done(g, 0);
        expect_ready(g, "1");
        rule_turn_done(g, 1);
        expect_ready(g, "3"); /* alone: nothing beside it */
        rule_turn_done(g, 3);
        expect_ready(g, "45");
        rule_turn_done(g, 5);
        rule_turn_done(g, 4);
        assert_int_equal(g->turn.done, 6);
    }
    world_close(&w);
}

/* --- threads -------------------------------------------------------------------------------- */

struct runner {
    struct rules *r;
    int64_t now_ms;
};

static void *run(void *arg)
{
    const struct runner *x = arg;
    rules_run_slots(x->r, x->now_ms);
    return NULL;
}

static void run_on(struct rules *r, int64_t now_ms, int threads)
{
    pthread_t t[THREADS];
    struct runner x = {r, now_ms};
    for (int i = 1; i < threads; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, run, &x), 0);
    }
    run(&x);
    for (int i = 1; i < threads; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
    }
}

/* Two alerts of one group meet in the sink: each waits there until the other has come. */
struct meeting {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    uint32_t inside, together;
};

static void meet(void *ctx, const struct rules_alert *a, uint32_t n)
{
    struct meeting *m = ctx;
    struct timespec until;
    (void)a;
    (void)n;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20; /* only a failure waits for so long */
    (void)pthread_mutex_lock(&m->mu);
    m->inside++;
    (void)pthread_cond_broadcast(&m->cond);
    while (m->inside < 2 && pthread_cond_timedwait(&m->cond, &m->mu, &until) == 0) {
    }
    m->together += m->inside == 2;
    (void)pthread_mutex_unlock(&m->mu);
}

TEST(engine_evaluates_independent_rules_of_a_group_at_once)
{
    struct world w;
    struct meeting m = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    const struct rules_sink sink = {&m, meet};
    world_open(&w, &sink);
    load(&w, STR("  - {alert: A, expr: vector(1)}\n  - {alert: B, expr: vector(1)}\n"));
    simos_clock_set(w.sim, ns_from_ms(T0 + MIN_MS));
    run_on(w.r, T0 + MIN_MS, 2);
    assert_int_equal(m.together, 2);
    assert_int_equal(w.r->side_by_side, 1);
    world_close(&w);
}

/* Rules at random over a few names, so that chains, cycles and rewritten names come about. */
static void random_rules(struct rng *rnd, struct buf *b)
{
    for (uint32_t i = 0; i < 24; i++) {
        const uint32_t from = (uint32_t)rng_below(rnd, 12);
        const uint32_t to = (uint32_t)rng_below(rnd, 12);
        const uint64_t form = rng_below(rnd, 40);
        char expr[128];
        (void)snprintf(expr, sizeof expr,
                       form == 0   ? "sum({__name__=~\"n%u|in\"})"
                       : form < 8  ? "n%u + 1"
                       : form < 16 ? "sum(n%u) + on() in"
                       : form < 24 ? "n%u * 2 or in"
                                   : "sum(rate(in[10m])) + %u",
                       from);
        if (form % 5 == 4) {
            buf_fmt(b, "  - {alert: A%u, expr: '%s'}\n", to, expr);
        } else {
            buf_fmt(b, "  - {record: n%u, expr: '%s', labels: {r: '%llu'}}\n", to, expr,
                    (unsigned long long)rng_below(rnd, 3));
        }
    }
}

static void put_input(struct world *w, int64_t t_ms, double v)
{
    struct err e = {0};
    uint32_t ref = 0;
    struct tsdb_result r;
    const struct label l[] = {{STR(LABEL_NAME), STR("in")}};
    struct tsdb_batch *b = tsdb_batch_new(&w->mem, 1U << 20);
    assert_true(tsdb_series(w->db, 0, (struct labels){l, 1}, &ref, &e));
    assert_true(tsdb_batch_add(b, ref, t_ms, v, &e));
    assert_true(tsdb_commit_wait(w->db, b, TSDB_NO_FUTURE_CHECK, &r, &e));
    tsdb_batch_free(b);
}

/* Every sample of every series, as text. */
static void dump(struct world *w, int64_t t_ms, struct buf *out)
{
    struct arena a;
    struct err e = {0};
    struct promql_node *n = NULL;
    struct promql_result res;
    enum promql_failure why;
    struct tsdb_view *v = NULL;
    arena_init(&a, &w->mem, 1U << 28);
    assert_true(promql_parse(STR("{__name__=~\".+\"}[1d]"), 0, &a, &n, &e));
    assert_true(tsdb_view_open(w->db, &v, &e));
    const struct promql_query q = {.expr = n,
                                   .source = promql_source_tsdb(v),
                                   .start_ms = t_ms,
                                   .end_ms = t_ms,
                                   .os = w->os,
                                   .mem = &w->mem};
    assert_true(promql_eval(&q, &a, &res, &why, &e));
    for (uint32_t i = 0; i < res.series_n; i++) {
        labels_print(res.series[i].labels, out);
        for (uint32_t k = 0; k < res.series[i].n; k++) {
            buf_fmt(out, " %lld=%.17g", (long long)res.series[i].samples[k].t_ms,
                    res.series[i].samples[k].v);
        }
        buf_char(out, '\n');
    }
    tsdb_view_close(v);
    arena_release(&a);
}

static void run_random(uint64_t seed, int threads, struct buf *out)
{
    struct world w;
    struct buf rules;
    struct rng rnd;
    int64_t now = T0;
    rng_init(&rnd, seed);
    world_open(&w, NULL);
    buf_init(&rules, &w.mem, 1U << 16);
    random_rules(&rnd, &rules);
    load(&w, buf_str(&rules));
    for (int i = 0; i < 8; i++) {
        put_input(&w, now, (double)rng_below(&rnd, 5));
        now += MIN_MS;
        simos_clock_set(w.sim, ns_from_ms(now));
        run_on(w.r, now, threads);
    }
    dump(&w, now, out);
    for (uint32_t i = 0; i < w.r->groups[0]->rules_n; i++) {
        const struct rule_state *s = &w.r->groups[0]->rules[i];
        buf_fmt(out, "%u: %llu, %llu failed, %s\n", i, (unsigned long long)s->evaluations,
                (unsigned long long)s->failures, s->error);
    }
    buf_release(&rules);
    world_close(&w);
}

TEST(engine_answers_the_same_with_many_threads)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct mem m;
        struct buf one;
        struct buf many;
        mem_init(&m, 0);
        buf_init(&one, &m, 1U << 24);
        buf_init(&many, &m, 1U << 24);
        run_random(seed, 1, &one);
        run_random(seed, THREADS, &many);
        if (!str_eq(buf_str(&one), buf_str(&many))) {
            print_error("seed %llu\n", (unsigned long long)seed);
        }
        assert_true(one.n > 1000);
        assert_str(buf_str(&many), buf_str(&one));
        buf_release(&one);
        buf_release(&many);
    }
}

/* The engine's own threads, with slots of a group that take turns with reloads. */
TEST(engine_threads_share_a_group_and_stop)
{
    struct world w;
    struct err e = {0};
    struct buf rules;
    struct meeting m = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    const struct rules_sink sink = {&m, meet};
    world_open(&w, &sink);
    buf_init(&rules, &w.mem, 1U << 16);
    for (int i = 0; i < 50; i++) {
        buf_fmt(&rules, "  - {record: n%d, expr: 'vector(%d)'}\n", i, i);
    }
    BUF_LIT(&rules, "  - {alert: A, expr: n1}\n  - {alert: B, expr: n2}\n");
    load(&w, buf_str(&rules));
    w.r->c.threads = THREADS;
    simos_clock_set(w.sim, ns_from_ms(T0 + MIN_MS));
    assert_true(rules_start(w.r, &e));
    (void)pthread_mutex_lock(&m.mu);
    while (m.inside < 2) {
        (void)pthread_cond_wait(&m.cond, &m.mu);
    }
    (void)pthread_mutex_unlock(&m.mu);
    load(&w, STR("  - {record: other, expr: vector(1)}\n")); /* waits for the slot's end */
    assert_int_equal(m.together, 2);
    buf_release(&rules);
    world_close(&w);
}
