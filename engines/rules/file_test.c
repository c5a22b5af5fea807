/* Rule files: what is read, what is refused and where. */
#include "engines/rules/rules.h"

#include "base/test.h"

#include <stdio.h>

struct fixture {
    struct mem mem;
    struct arena arena;
    struct rule_file f;
    struct err e;
    uint32_t problems;
};

static void count(void *ctx, const struct err *e)
{
    struct fixture *f = ctx;
    assert_true(e->line >= 1 && e->msg[0]);
    f->problems++;
}

static bool parse(struct fixture *f, const char *text, unsigned flags)
{
    *f = (struct fixture){0};
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 1U << 24);
    return rule_file_parse(str_from_c(text), "r.yml", flags, &f->arena, &f->f, count, f, &f->e);
}

static void done(struct fixture *f)
{
    arena_release(&f->arena);
    assert_int_equal(f->mem.bytes, 0);
}

TEST(file_reads_every_key)
{
    struct fixture f;
    assert_true(
        parse(&f,
              "groups:\n"
              "- name: g\n  interval: 30s\n  limit: 7\n  query_offset: 1m\n"
              "  labels: {team: pix}\n"
              "  rules:\n"
              "  - record: a:b\n    expr: sum(up)\n    labels: {x: y, b: c}\n"
              "  - alert: Down\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 1h\n"
              "    labels: {severity: page}\n    annotations: {summary: 'on {{ $labels.job }}'}\n"
              "- name: h\n",
              0));
    assert_int_equal(f.f.groups_n, 2);
    const struct rule_group *g = &f.f.groups[0];
    assert_str(g->name, STR("g"));
    assert_str(g->file, STR("r.yml"));
    assert_int_equal(g->interval_ms, 30000);
    assert_int_equal(g->limit, 7);
    assert_int_equal(g->query_offset_ms, 60000);
    assert_int_equal(g->labels_n, 1);
    assert_int_equal(g->rules_n, 2);
    assert_false(g->rules[0].is_alert);
    assert_str(g->rules[0].text, STR("sum(up)"));
    assert_str(g->rules[0].labels[0].name, STR("b"));
    assert_int_equal(g->rules[0].line, 8);
    assert_true(g->rules[1].is_alert);
    assert_int_equal(g->rules[1].for_ms, 300000);
    assert_int_equal(g->rules[1].keep_firing_ms, 3600000);
    assert_str(g->rules[1].annotations[0].value, STR("on {{ $labels.job }}"));
    assert_int_equal(f.f.groups[1].query_offset_ms, -1);
    assert_false(f.f.more_documents);
    done(&f);
}

TEST(file_merge_keys_and_documents)
{
    struct fixture f;
    assert_true(parse(&f,
                      "groups:\n- name: g\n  rules:\n"
                      "  - &a {alert: A, expr: '1', for: 5m, labels: {s: t}}\n"
                      "  - <<: *a\n    alert: B\n---\ngroups: nonsense\n",
                      0));
    assert_int_equal(f.f.groups[0].rules_n, 2);
    assert_str(f.f.groups[0].rules[1].name, STR("B"));
    assert_int_equal(f.f.groups[0].rules[1].for_ms, 300000);
    assert_int_equal(f.f.groups[0].rules[1].labels_n, 1);
    assert_true(f.f.more_documents);
    done(&f);
}

TEST(file_refuses_with_place)
{
#define G "groups:\n- name: g\n  rules:\n  - "
    static const struct {
        const char *text;
        uint32_t line, col;
        const char *msg;
    } rows[] = {
        {"groups:\n- name: g\n  intervall: 1m\n", 3, 3,
         "\"intervall\" is not a key of a group, did you mean \"interval\"?"},
        {"groups:\n- name: g\n- name: g\n", 3, 3, "group name \"g\" is repeated in the same file"},
        {"groups:\n- rules: []\n", 2, 3, "group name must not be empty"},
        {G "expr: 1\n", 4, 5, "one of 'record' or 'alert' must be set"},
        {G "record: a\n    alert: b\n    expr: 1\n", 4, 13,
         "only one of 'record' and 'alert' must be set"},
        {G "record: a\n", 4, 5, "field 'expr' must be set in rule"},
        {G "record: a\n    expr: 1\n    for: 1m\n", 6, 10, "invalid field 'for' in recording rule"},
        {G "record: 'a{b=\"c\"}'\n    expr: 1\n", 4, 13,
         "braces present in the recording rule name; should it be in expr?: a{b=\"c\"}"},
        {G "alert: a\n    expr: 1\n    for: 1x\n", 6, 10,
         "not a valid duration string: \"1x\" (expected 30s, 5m, 1h30m)"},
        {G "alert: a\n    expr: 1\n    labels: {__name__: b}\n", 6, 24,
         "invalid label name: __name__"},
        {G "alert: a\n    expr: 1\n    annotations: {s: '{{ $x }}'}\n", 6, 22,
         "annotation \"s\": template 1:4: undefined variable \"$x\""},
        {"groups: 1\n", 1, 9, "expected a list of groups"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        assert_false(parse(&f, rows[i].text, 0));
        assert_str(str_from_c(f.e.msg), str_from_c(rows[i].msg));
        assert_int_equal(f.e.line, rows[i].line);
        assert_int_equal(f.e.col, rows[i].col);
        assert_string_equal(f.e.where, "r.yml");
        done(&f);
    }
}

TEST(file_reports_every_problem)
{
    struct fixture f;
    assert_false(
        parse(&f, G "record: a\n    expr: 'up +'\n  - alert: b\n    expr: rate(x)\n  - {}\n", 0));
    assert_int_equal(f.problems, 4); /* the empty rule has two */
    assert_true(
        str_contains(str_from_c(f.e.msg), STR("could not parse expression: 1:5: parse error")));
    done(&f);
}

TEST(file_flags)
{
    struct fixture f;
    assert_true(parse(&f, "groups:\n- name: g\n  owner: me\n", RULES_UNKNOWN_KEYS));
    done(&f);
    assert_false(
        parse(&f, G "alert: a\n    expr: 1\n    labels: {'a-b': c}\n", RULES_LEGACY_NAMES));
    done(&f);
    assert_true(parse(&f, G "alert: a\n    expr: 1\n    labels: {'a-b': c}\n", 0));
    done(&f);
    assert_true(parse(&f, "", 0));
    assert_int_equal(f.f.groups_n, 0);
    done(&f);
}
