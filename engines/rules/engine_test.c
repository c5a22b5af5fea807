/* The engine on a simulated machine: slots, recording, alerts through their life, restart, reload.
 * */
#include "engines/rules/rules.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>

#define MIN_MS 60000
#define T0     (MIN_MS * 1000000LL) /* some minute */

struct sent {
    char text[8192];
    uint32_t n;
    int64_t ends_ms, starts_ms;
};

struct world {
    struct simos *sim;
    const struct os *os;
    struct tsdb *db;
    struct rules *r;
    struct sent sent;
    struct mem mem;
};

static void on_send(void *ctx, const struct rules_alert *a, uint32_t n)
{
    struct sent *s = ctx;
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, sizeof s->text - 1);
    for (uint32_t i = 0; i < n; i++) {
        labels_print(a[i].labels, &b);
        labels_print(a[i].annotations, &b);
        buf_char(&b, '\n');
        s->starts_ms = a[i].starts_ms;
        s->ends_ms = a[i].ends_ms;
    }
    memcpy(s->text, b.p ? b.p : "", b.n);
    s->text[b.n] = 0;
    s->n += n;
    buf_release(&b);
}

static void clock_to(struct world *w, int64_t ms)
{
    simos_clock_set(w->sim, ns_from_ms(ms));
}

static void open_engine(struct world *w)
{
    static const struct rule_pair ext[] = {{STR_INIT("dc"), STR_INIT("sp")},
                                           {STR_INIT("job"), STR_INIT("never")}};
    struct err e = {0};
    const struct rules_config c = {.interval_ms = MIN_MS,
                                   .external_labels = ext,
                                   .external_labels_n = 2,
                                   .external_url = STR("http://farol"),
                                   .outage_tolerance_ms = 60 * MIN_MS,
                                   .grace_period_ms = 10 * MIN_MS,
                                   .resend_delay_ms = MIN_MS,
                                   .threads = 1};
    const struct rules_sink sink = {&w->sent, on_send};
    assert_true(rules_new(&c, w->db, w->os, NULL, &sink, &w->r, &e));
}

static void world_open(struct world *w)
{
    struct tsdb_config c;
    struct err e = {0};
    *w = (struct world){0};
    mem_init(&w->mem, 0);
    w->sim = simos_new(1);
    w->os = simos_os(w->sim);
    clock_to(w, T0);
    tsdb_config_default(&c);
    c.dir = "db";
    assert_true(tsdb_open(&w->db, &c, w->os, NULL, &e));
    open_engine(w);
}

static void world_close(struct world *w)
{
    rules_free(w->r);
    tsdb_close(w->db);
    simos_free(w->sim);
}

static void put_file(struct world *w, const char *path, const char *text)
{
    struct err e = {0};
    assert_true(file_replace(w->os, path, str_from_c(text), &e));
}

static bool load(struct world *w, const char *pattern)
{
    struct err e = {0};
    struct str p = str_from_c(pattern);
    return rules_load(w->r, "", &p, 1, &e);
}

static void put(struct world *w, const char *job, int64_t t_ms, double v)
{
    struct err e = {0};
    uint32_t ref = 0;
    struct tsdb_result r;
    const struct label l[] = {{STR(LABEL_NAME), STR("up")}, {STR("job"), str_from_c(job)}};
    struct tsdb_batch *b = tsdb_batch_new(&w->mem, 1U << 20);
    assert_true(tsdb_series(w->db, 0, (struct labels){l, 2}, &ref, &e));
    assert_true(tsdb_batch_add(b, ref, t_ms, v, &e));
    assert_true(tsdb_commit_wait(w->db, b, TSDB_NO_FUTURE_CHECK, &r, &e));
    tsdb_batch_free(b);
}

/* Slots of a minute: sets up{job}, moves the clock past the next slot and runs it. */
static void step(struct world *w, int64_t *now, double v)
{
    put(w, "a", *now, v);
    *now += MIN_MS;
    clock_to(w, *now);
    rules_run_slots(w->r, *now);
}

/* "labels value" of every series of a name at its newest sample, one a line. */
static void expect_series(struct world *w, const char *expr, int64_t t_ms, const char *want)
{
    struct arena a;
    struct err e = {0};
    struct promql_node *n = NULL;
    struct promql_result res;
    enum promql_failure why;
    struct tsdb_view *v = NULL;
    struct buf b;
    arena_init(&a, &w->mem, 1U << 26);
    buf_init(&b, &w->mem, 1U << 20);
    assert_true(promql_parse(str_from_c(expr), 0, &a, &n, &e));
    assert_true(tsdb_view_open(w->db, &v, &e));
    const struct promql_query q = {.expr = n,
                                   .source = promql_source_tsdb(v),
                                   .start_ms = t_ms,
                                   .end_ms = t_ms,
                                   .os = w->os,
                                   .mem = &w->mem};
    assert_true(promql_eval(&q, &a, &res, &why, &e));
    for (uint32_t i = 0; i < res.series_n; i++) {
        labels_print(res.series[i].labels, &b);
        buf_fmt(&b, " %g\n", res.series[i].samples->v);
    }
    assert_str(buf_str(&b), str_from_c(want));
    tsdb_view_close(v);
    buf_release(&b);
    arena_release(&a);
}

static void expect_json(struct world *w, const char *part, bool there)
{
    struct buf b;
    const struct rules_filter all = {0};
    buf_init(&b, &w->mem, 1U << 20);
    struct err e = {0};
    assert_true(rules_json(w->r, &all, &b, &e));
    if (str_contains(buf_str(&b), str_from_c(part)) != there) {
        print_error("in %.*s\n%s %s\n", STR_FMT(buf_str(&b)), there ? "missing" : "surplus", part);
        fail();
    }
    buf_release(&b);
}

TEST(engine_records_and_marks_stale)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "r1.yml",
             "groups:\n- name: g\n  labels: {team: x, sev: low}\n  rules:\n"
             "  - {record: 'job:up', expr: 'up > 0', labels: {sev: high, job: ''}}\n"
             "  - {record: twice, expr: 'job:up * 2'}\n");
    assert_true(load(&w, "r*.yml"));
    step(&w, &now, 3);
    expect_series(&w, "job:up", now, "{__name__=\"job:up\", sev=\"high\", team=\"x\"} 3\n");
    /* The second rule saw what the first wrote at the same time. */
    expect_series(&w, "twice", now, "{__name__=\"twice\", sev=\"low\", team=\"x\"} 6\n");
    step(&w, &now, 0);
    expect_series(&w, "job:up", now, "");
    step(&w, &now, 5);
    expect_series(&w, "job:up", now, "{__name__=\"job:up\", sev=\"high\", team=\"x\"} 5\n");
    expect_json(&w, "\"health\":\"ok\"", true);
    world_close(&w);
}

TEST(engine_refuses_equal_label_sets_and_too_many)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "r.yml",
             "groups:\n- name: g\n  limit: 1\n  rules:\n"
             "  - {record: same, expr: 'up', labels: {job: x}}\n"
             "  - {record: many, expr: 'up'}\n"
             "  - {alert: Same, expr: 'up', labels: {job: x}}\n"
             "  - {alert: Many, expr: 'up'}\n");
    assert_true(load(&w, "r.yml"));
    put(&w, "b", now, 1);
    step(&w, &now, 1);
    expect_json(&w, "vector contains metrics with the same labelset after applying rule labels",
                true);
    expect_json(&w, "vector contains metrics with the same labelset after applying alert labels",
                true);
    expect_json(&w, "exceeded limit of 1 with 2 series", true);
    expect_json(&w, "exceeded limit of 1 with 2 alerts", true);
    expect_series(&w, "same or many or ALERTS", now, "");
    world_close(&w);
}

#define ALERT_FILE                                                                            \
    "groups:\n- name: g\n  rules:\n"                                                          \
    "  - alert: Down\n    expr: up == 0\n    for: 2m\n    keep_firing_for: 1m\n"              \
    "    labels: {severity: page}\n    annotations: {s: 'job {{ $labels.job }} is {{ $value " \
    "}}'}\n"

static void expect_firing(struct world *w, const char *want)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, 1U << 16);
    rules_firing_json(w->r, 4, &b);
    assert_str(buf_str(&b), str_from_c(want));
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

TEST(engine_alert_lives)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "r.yml", ALERT_FILE);
    assert_true(load(&w, "r.yml"));
    step(&w, &now, 1);
    step(&w, &now, 1); /* now it is restored and writes its series */
    expect_json(&w, "\"state\":\"inactive\"", true);
    step(&w, &now, 0);
    expect_json(&w, "\"state\":\"pending\"", true);
    assert_int_equal(w.sent.n, 0);
    expect_series(&w, "ALERTS", now,
                  "{__name__=\"ALERTS\", alertname=\"Down\", alertstate=\"pending\", job=\"a\", "
                  "severity=\"page\"} 1\n");
    step(&w, &now, 0);
    step(&w, &now, 0); /* two minutes: it fires */
    assert_int_equal(w.sent.n, 1);
    assert_string_equal(w.sent.text, "{alertname=\"Down\", dc=\"sp\", job=\"a\", severity=\"page\"}"
                                     "{s=\"job a is 0\"}\n");
    int64_t fired = w.sent.starts_ms;
    assert_int_equal(w.sent.ends_ms - fired, 4 * MIN_MS);
    expect_series(&w, "ALERTS", now,
                  "{__name__=\"ALERTS\", alertname=\"Down\", alertstate=\"firing\", job=\"a\", "
                  "severity=\"page\"} 1\n");
    expect_firing(&w, "{\"firing\":1,\"pending\":0,\"names\":[\"Down\"]}");
    step(&w, &now, 1); /* gone, but kept */
    expect_json(&w, "keepFiringSince", true);
    expect_json(&w, "\"state\":\"firing\"", true);
    step(&w, &now, 1); /* resolved: sent at once */
    assert_int_equal(w.sent.starts_ms, fired);
    assert_true(w.sent.ends_ms <= now && w.sent.ends_ms > now - MIN_MS);
    expect_json(&w, "\"state\":\"inactive\"", true);
    expect_series(&w, "ALERTS", now, "");
    uint32_t n = w.sent.n;
    for (int i = 0; i < 14; i++) { /* sent again while it is remembered, for 15 minutes */
        step(&w, &now, 1);
    }
    assert_true(w.sent.n > n);
    step(&w, &now, 1);
    step(&w, &now, 1);
    n = w.sent.n;
    step(&w, &now, 1);
    step(&w, &now, 1);
    assert_int_equal(w.sent.n, n);
    world_close(&w);
}

/* A pending alert that is gone for one evaluation starts again. */
TEST(engine_pending_is_forgotten)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "r.yml", ALERT_FILE);
    assert_true(load(&w, "r.yml"));
    for (int i = 0; i < 6; i++) {
        step(&w, &now, i % 3 == 2);
    }
    assert_int_equal(w.sent.n, 0);
    world_close(&w);
}

/* Pending before a restart, down for a while: the time down does not count, the time before does.
 * */
static int64_t fires_after_restart(uint32_t before, uint32_t down_min, const char *wait)
{
    struct world w;
    int64_t now = T0;
    char text[400];
    world_open(&w);
    (void)snprintf(text, sizeof text,
                   "groups:\n- name: g\n  rules:\n  - {alert: Down, expr: up == 0, for: %s}\n",
                   wait);
    put_file(&w, "r.yml", text);
    assert_true(load(&w, "r.yml"));
    step(&w, &now, 1);
    step(&w, &now, 1);
    for (uint32_t i = 0; i < before; i++) {
        step(&w, &now, 0);
    }
    rules_free(w.r);
    now += down_min * MIN_MS;
    clock_to(&w, now);
    open_engine(&w);
    w.sent.n = 0;
    assert_true(load(&w, "r.yml"));
    int64_t minutes = 0;
    while (w.sent.n == 0 && minutes < 120) {
        step(&w, &now, 0);
        minutes++;
    }
    world_close(&w);
    return minutes;
}

TEST(engine_restores_pending_times)
{
    /* 20 of 30 minutes were over: about 10 are left, plus the two evaluations before. */
    int64_t left = fires_after_restart(21, 15, "30m");
    assert_true(left >= 10 && left <= 13);
    /* It fired already: at the evaluation after the restoration. */
    assert_in_range(fires_after_restart(40, 15, "30m"), 2, 4);
    /* Less than the grace period was left: one grace period. */
    assert_in_range(fires_after_restart(28, 15, "30m"), 11, 13);
    /* Rules that wait less than a grace period begin anew. */
    assert_in_range(fires_after_restart(4, 5, "5m"), 5, 7);
}

TEST(engine_reload_keeps_and_drops)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "a.yml",
             "groups:\n- name: g\n  rules:\n  - {record: one, expr: up}\n"
             "  - {record: two, expr: up}\n- name: h\n  rules:\n"
             "  - {record: three, expr: up}\n");
    assert_true(load(&w, "a.yml"));
    step(&w, &now, 1);
    expect_series(&w, "count({__name__=~\"one|two|three\"})", now, "{} 3\n");
    /* A file that is not valid changes nothing. */
    put_file(&w, "a.yml", "groups:\n- name: g\n  rules:\n  - {record: one, expr: up(}\n");
    assert_false(load(&w, "a.yml"));
    expect_json(&w, "\"three\"", true);
    /* A rule goes: marked at the group's next evaluation. A group goes: two intervals later. */
    put_file(&w, "a.yml", "groups:\n- name: g\n  rules:\n  - {record: one, expr: up}\n");
    assert_true(load(&w, "a.yml"));
    expect_json(&w, "\"three\"", false);
    step(&w, &now, 1);
    expect_series(&w, "{__name__=~\"one|two\"}", now, "{__name__=\"one\", job=\"a\"} 1\n");
    step(&w, &now, 1);
    step(&w, &now, 1);
    expect_series(&w, "three", now, "");
    world_close(&w);
}

/* Raising "for" takes a firing alert back to pending; lowering lets it fire. */
TEST(engine_reload_changes_for)
{
    struct world w;
    int64_t now = T0;
    world_open(&w);
    put_file(&w, "r.yml", "groups:\n- name: g\n  rules:\n  - {alert: D, expr: up == 0, for: 1m}\n");
    assert_true(load(&w, "r.yml"));
    for (int i = 0; i < 4; i++) {
        step(&w, &now, 0);
    }
    expect_json(&w, "\"state\":\"firing\"", true);
    put_file(&w, "r.yml", "groups:\n- name: g\n  rules:\n  - {alert: D, expr: up == 0, for: 1h}\n");
    assert_true(load(&w, "r.yml"));
    step(&w, &now, 0);
    expect_json(&w, "\"state\":\"firing\"", false);
    expect_json(&w, "\"state\":\"pending\"", true);
    world_close(&w);
}

TEST(engine_counts_missed_slots)
{
    struct world w;
    int64_t now = T0;
    struct arena a;
    struct expo x;
    world_open(&w);
    put_file(&w, "r.yml", "groups:\n- name: g\n  rules:\n  - {record: one, expr: time()}\n");
    assert_true(load(&w, "r.yml"));
    step(&w, &now, 1);
    now += 5 * MIN_MS;
    clock_to(&w, now);
    rules_run_slots(w.r, now);
    arena_init(&a, &w.mem, 1U << 20);
    expo_init(&x, &a, now);
    rules_publish(w.r, &x);
    const struct expo_sample *missed =
        expo_find(&x, STR("farol_rules_group_slots_missed_total"), NULL, 0);
    const struct expo_sample *slots = expo_find(&x, STR("farol_rules_group_slots_total"), NULL, 0);
    const struct expo_sample *last =
        expo_find(&x, STR("farol_rules_group_last_slot_timestamp_seconds"), NULL, 0);
    assert_true(missed && missed->value == 4);
    assert_true(slots && slots->value == 2);
    /* The time of evaluation is the slot's: after the one it follows by whole intervals. */
    assert_true(last && last->value * 1000 <= (double)now &&
                last->value * 1000 > (double)(now - MIN_MS));
    arena_release(&a);
    world_close(&w);
}

TEST(engine_threads_evaluate)
{
    struct world w;
    struct err e = {0};
    const struct rules_config c = {.interval_ms = 1000, .threads = 3};
    struct tsdb_config tc;
    w = (struct world){0};
    mem_init(&w.mem, 0);
    w.sim = simos_new(1);
    w.os = simos_os(w.sim);
    clock_to(&w, T0);
    tsdb_config_default(&tc);
    tc.dir = "db";
    assert_true(tsdb_open(&w.db, &tc, w.os, NULL, &e));
    assert_true(rules_new(&c, w.db, w.os, NULL, NULL, &w.r, &e));
    put_file(&w, "r.yml",
             "groups:\n- name: a\n  rules: [{record: a, expr: time()}]\n"
             "- name: b\n  rules: [{record: b, expr: time()}]\n"
             "- name: c\n  rules: [{record: c, expr: time()}]\n");
    assert_true(rules_start(w.r, &e));
    assert_true(load(&w, "r.yml"));
    for (int i = 1; i <= 5; i++) {
        clock_to(&w, T0 + i * 1000);
        assert_true(load(&w, "r.yml")); /* wakes the threads and waits for none to be busy */
    }
    rules_free(w.r);
    tsdb_close(w.db);
    simos_free(w.sim);
}
