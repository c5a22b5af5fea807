/* A change of rules in two steps, global settings with it, and files checked without an engine. */
#include "engines/rules/engine_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

#include <stdio.h>

#define T0 60000000000LL

struct world {
    struct simos *sim;
    const struct os *os;
    struct tsdb *db;
    struct rules *r;
    char site[32]; /* external label of the newest alert that was sent */
};

static void note(void *ctx, const struct rules_alert *alerts, uint32_t n)
{
    struct world *w = ctx;
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(w->site, sizeof w->site, "%.*s",
                       STR_FMT(labels_get(alerts[i].labels, STR("site"))));
    }
}

static void put(struct world *w, const char *text)
{
    struct err e = {0};
    assert_true(file_replace(w->os, "r.yml", str_from_c(text), &e));
}

static void world_open(struct world *w)
{
    struct tsdb_config c;
    struct err e = {0};
    const struct str pattern = STR("r.yml");
    const struct rule_pair site = {STR("site"), STR("one")};
    const struct rules_config rc = {.interval_ms = 60000,
                                    .resend_delay_ms = 1000,
                                    .external_labels = &site,
                                    .external_labels_n = 1,
                                    .external_url = STR("http://farol")};
    const struct rules_sink sink = {w, note};
    *w = (struct world){0};
    w->sim = simos_new(1);
    w->os = simos_os(w->sim);
    simos_clock_set(w->sim, ns_from_ms(T0));
    tsdb_config_default(&c);
    c.dir = "db";
    assert_true(tsdb_open(&w->db, &c, w->os, NULL, &e));
    assert_true(rules_new(&rc, w->db, w->os, NULL, &sink, &w->r, &e));
    put(w, "groups:\n- name: g\n  rules:\n  - {alert: A, expr: vector(1)}\n");
    assert_true(rules_load(w->r, "", &pattern, 1, &e));
    rules_run_slots(w->r, T0 + 60000);
    assert_string_equal(w->site, "one");
}

static void world_close(struct world *w)
{
    rules_free(w->r);
    tsdb_close(w->db);
    simos_free(w->sim);
}

static bool prepare(struct world *w, int64_t interval_ms, const char *site,
                    struct rules_change **out)
{
    const struct str pattern = STR("r.yml");
    const struct rule_pair pair = {STR("site"), str_from_c(site)};
    const struct rules_globals g = {
        .interval_ms = interval_ms, .external_labels = &pair, .external_labels_n = 1};
    struct err e = {0};
    return rules_prepare(w->r, &g, "", &pattern, 1, out, &e);
}

TEST(a_change_does_nothing_until_it_is_committed)
{
    struct world w;
    struct rules_change *c = NULL;
    world_open(&w);
    put(&w, "groups:\n- name: other\n  rules:\n  - {alert: B, expr: vector(1)}\n");
    assert_true(prepare(&w, 10000, "two", &c));
    rules_change_free(w.r, c);
    rules_run_slots(w.r, T0 + 120000);
    assert_int_equal(w.r->groups_n, 1);
    assert_str(w.r->groups[0]->g->name, STR("g"));
    assert_int_equal(w.r->groups[0]->interval_ms, 60000);
    assert_string_equal(w.site, "one");
    put(&w, "groups:\n- name: g\n  rules:\n  - {alert: B, expr: up(}\n");
    assert_false(prepare(&w, 10000, "two", &c));
    assert_null(c);
    assert_int_equal(w.r->load_failures, 1);
    assert_int_equal(w.r->loads, 1);
    world_close(&w);
}

TEST(a_change_brings_the_global_settings)
{
    struct world w;
    struct rules_change *c = NULL;
    world_open(&w);
    const struct group *before = w.r->groups[0];
    const int64_t active_ms = before->rules[0].alerts[0].active_ms;
    assert_true(prepare(&w, 60000, "two", &c));
    rules_commit(w.r, c);
    assert_ptr_equal(w.r->groups[0], before); /* the group is the same: it stays as it is */
    rules_run_slots(w.r, T0 + 120000);
    assert_string_equal(w.site, "two");
    assert_true(prepare(&w, 10000, "two", &c));
    rules_commit(w.r, c);
    assert_int_equal(w.r->groups[0]->interval_ms, 10000);
    assert_int_equal(w.r->groups[0]->rules[0].alerts_n, 1);
    assert_int_equal(w.r->groups[0]->rules[0].alerts[0].active_ms, active_ms);
    world_close(&w);
}

struct problems {
    char text[512];
};

static void on_problem(void *ctx, const struct err *e, struct str text)
{
    struct problems *p = ctx;
    const size_t n = strlen(p->text);
    (void)snprintf(p->text + n, sizeof p->text - n, "%s:%u:%u in %zu bytes\n", e->where, e->line,
                   e->col, text.n);
}

TEST(files_are_checked_with_their_places)
{
    static const char bad[] = "groups:\n- name: g\n  rules:\n  - record: a\n    expr: up(\n"
                              "  - record: b\n    expr: 1 +\n";
    struct problems p = {""};
    struct rules_check c = {.each = on_problem, .ctx = &p, .bytes_max = 1U << 26};
    struct simos *sim = simos_new(1);
    const struct os *os = simos_os(sim);
    struct err e = {0};
    char want[256];
    assert_true(file_replace(os, "good.yml", STR("groups: []\n"), &e));
    assert_true(file_replace(os, "bad.yml", str_from_c(bad), &e));
    assert_true(rules_check(&c, os, "", STR("good.yml"), &e));
    assert_int_equal(c.problems, 0);
    assert_true(rules_check(&c, os, "", STR("bad.yml"), &e));
    assert_int_equal(c.problems, 2);
    (void)snprintf(want, sizeof want, "bad.yml:5:11 in %zu bytes\nbad.yml:7:11 in %zu bytes\n",
                   sizeof bad - 1, sizeof bad - 1);
    assert_string_equal(p.text, want);
    assert_false(rules_check(&c, os, "", STR("absent.yml"), &e));
    assert_int_equal(c.problems, 2);
    simos_free(sim);
}
