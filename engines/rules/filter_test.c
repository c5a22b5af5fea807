/* What /api/v1/rules gives for its filters, and its pages. */
#include "engines/rules/engine_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

#include <stdio.h>

struct world {
    struct simos *sim;
    const struct os *os;
    struct tsdb *db;
    struct rules *r;
    struct mem mem;
};

/* Names are unique, so an answer can be told by the names in it. */
static const char files[][512] = {
    "groups:\n- name: ga\n  labels: {team: pix}\n  rules:\n"
    "  - {record: r1, expr: 'vector(1)'}\n"
    "  - {alert: A1, expr: 'vector(1) > 0', labels: {severity: page}, keep_firing_for: 5m}\n"
    "- name: gb\n  rules:\n  - {alert: A2, expr: 'vector(0) > 1', labels: {severity: warn}}\n",
    "groups:\n- name: ga\n  rules:\n  - {record: r2, expr: 'vector(2)'}\n"
    "  - {record: bad, expr: 'vector(1) * on() (vector(1) or label_replace(vector(1), \"b\", "
    "\"2\", \"\", \"\"))'}\n"};

static void world_open(struct world *w)
{
    struct tsdb_config c;
    struct err e = {0};
    const struct str patterns[] = {STR("a.yml"), STR("b.yml")};
    const struct rules_config rc = {.interval_ms = 60000, .external_url = STR("http://farol")};
    *w = (struct world){0};
    mem_init(&w->mem, 0);
    w->sim = simos_new(1);
    w->os = simos_os(w->sim);
    simos_clock_set(w->sim, ns_from_ms(60000000000LL));
    tsdb_config_default(&c);
    c.dir = "db";
    assert_true(tsdb_open(&w->db, &c, w->os, NULL, &e));
    assert_true(rules_new(&rc, w->db, w->os, NULL, NULL, &w->r, &e));
    assert_true(file_replace(w->os, "a.yml", str_from_c(files[0]), &e));
    assert_true(file_replace(w->os, "b.yml", str_from_c(files[1]), &e));
    assert_true(rules_load(w->r, "", patterns, 2, &e));
    rules_run_slots(w->r, 60000000000LL + 60000);
}

static void world_close(struct world *w)
{
    rules_free(w->r);
    tsdb_close(w->db);
    simos_free(w->sim);
}

static void ask(struct world *w, const struct rules_filter *f, struct buf *b)
{
    struct err e = {0};
    buf_init(b, &w->mem, 1U << 20);
    if (!rules_json(w->r, f, b, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

/* want: "r1 A2": these of all the rules, and no others. */
static void expect(struct world *w, const struct rules_filter *f, const char *want)
{
    static const char *const all[] = {"r1", "A1", "A2", "r2", "bad"};
    struct buf b;
    ask(w, f, &b);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "\"name\":\"%s\"", all[i]);
        const bool there = str_contains(buf_str(&b), str_from_c(name));
        if (there != str_contains(str_from_c(want), str_from_c(all[i]))) {
            print_error("%s in %.*s, wanted %s\n", all[i], STR_FMT(buf_str(&b)), want);
            fail();
        }
    }
    buf_release(&b);
}

/* Rules that the selectors match. */
static void expect_match(struct world *w, const char *one, const char *other, const char *want)
{
    struct arena a;
    struct err e = {0};
    const char *texts[] = {one, other};
    struct rules_match v[2];
    uint32_t n = 0;
    arena_init(&a, &w->mem, 1U << 20);
    for (; n < 2 && texts[n]; n++) {
        struct matcher *m = NULL;
        assert_true(promql_selector(str_from_c(texts[n]), &a, &m, &v[n].n, &e));
        v[n].m = m;
    }
    const struct rules_filter f = {.matches = v, .matches_n = n};
    expect(w, &f, want);
    arena_release(&a);
}

TEST(filter_takes_what_is_asked_for)
{
    struct world w;
    const struct str names[] = {STR("A2"), STR("r2"), STR("other")};
    const struct str groups[] = {STR("ga")};
    const struct str file[] = {STR("b.yml")};
    world_open(&w);
    expect(&w, &(struct rules_filter){0}, "r1 A1 A2 r2 bad");
    expect(&w, &(struct rules_filter){.type = STR("alert")}, "A1 A2");
    expect(&w, &(struct rules_filter){.type = STR("record")}, "r1 r2 bad");
    expect(&w, &(struct rules_filter){.names = names, .names_n = 3}, "A2 r2");
    expect(&w, &(struct rules_filter){.groups = groups, .groups_n = 1}, "r1 A1 r2 bad");
    expect(&w, &(struct rules_filter){.files = file, .files_n = 1}, "r2 bad");
    expect(&w,
           &(struct rules_filter){
               .names = names, .names_n = 3, .groups = groups, .groups_n = 1, .type = STR("alert")},
           "");
    world_close(&w);
}

TEST(filter_matches_labels_of_definitions)
{
    struct world w;
    world_open(&w);
    expect_match(&w, "{severity=\"page\"}", NULL, "A1");
    expect_match(&w, "{team=\"pix\"}", NULL, "r1 A1"); /* the group's */
    expect_match(&w, "{severity=~\"page|warn\"}", NULL, "A1 A2");
    expect_match(&w, "{severity=~\"pag\"}", NULL, "");
    expect_match(&w, "{severity!=\"\",team!=\"pix\"}", NULL, "A2");
    expect_match(&w, "{severity=\"warn\"}", "{team=\"pix\",severity!~\"page\"}", "r1 A2");
    expect_match(&w, "A1{severity=\"page\"}", NULL, "");
    world_close(&w);
}

static void token_in(struct buf *b, char out[64])
{
    static const char key[] = "],\"groupNextToken\":\"";
    const struct str all = buf_str(b);
    out[0] = 0;
    for (size_t i = 0; i + sizeof key < all.n; i++) {
        if (memcmp(all.p + i, key, sizeof key - 1) == 0) {
            const struct str_cut cut = str_cut(str_sub(all, i + sizeof key - 1, SIZE_MAX), '"');
            assert_true(cut.head.n < 64);
            (void)snprintf(out, 64, "%.*s", STR_FMT(cut.head));
        }
    }
}

TEST(pages_give_every_group_once)
{
    static const char *const want[] = {"r1 A1", "A2", "r2 bad"};
    struct world w;
    char token[64] = "";
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct buf b;
        const struct rules_filter f = {.group_limit = 1, .group_token = str_from_c(token)};
        expect(&w, &f, want[i]);
        ask(&w, &f, &b);
        token_in(&b, token);
        assert_int_equal(token[0] != 0, i + 1 < ARRAY_LEN(want));
        buf_release(&b);
    }
    /* What is left out by another filter is no page of its own. */
    struct buf b;
    const struct rules_filter f = {.group_limit = 2, .type = STR("record")};
    expect(&w, &f, "r1 r2 bad");
    ask(&w, &f, &b);
    token_in(&b, token);
    assert_string_equal(token, "");
    buf_release(&b);
    world_close(&w);
}

TEST(pages_refuse_a_token_of_no_group)
{
    struct world w;
    struct buf b;
    struct err e = {0};
    const struct rules_filter f = {.group_limit = 1, .group_token = STR("0123456789abcdef")};
    world_open(&w);
    buf_init(&b, &w.mem, 1U << 20);
    assert_false(rules_json(w.r, &f, &b, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "invalid parameter \"group_next_token\": invalid group_next_token "
                               "'0123456789abcdef'. were rule groups changed?");
    assert_int_equal(b.n, 0);
    buf_release(&b);
    world_close(&w);
}

static void expect_text(struct world *w, const struct rules_filter *f, const char *text, bool there)
{
    struct buf b;
    ask(w, f, &b);
    if (str_contains(buf_str(&b), str_from_c(text)) != there) {
        print_error("%s %s in %.*s\n", there ? "missing" : "surplus", text, STR_FMT(buf_str(&b)));
        fail();
    }
    buf_release(&b);
}

TEST(rules_show_alerts_health_and_times)
{
    struct world w;
    const struct rules_filter all = {0};
    world_open(&w);
    expect_text(&w, &all,
                "{\"state\":\"firing\",\"name\":\"A1\",\"query\":\"vector(1) > 0\","
                "\"duration\":0,\"keepFiringFor\":300,",
                true);
    expect_text(&w, &all, "\"value\":\"1e+00\"}", true);
    expect_text(&w, &(struct rules_filter){.exclude_alerts = true}, "\"activeAt\"", false);
    expect_text(&w, &all, "\"health\":\"err\",\"lastError\":\"", true);
    expect_text(&w, &all, "\"lastEvaluation\":\"0001", false);
    expect_text(&w, &all, "\"evaluationTime\":", true);
    world_close(&w);
}
