/* Unit-test files of rules, promtool's format, to structs.
 *
 *     rule_files: [GLOB]   evaluation_interval   group_eval_order   fuzzy_compare
 *     tests: [{name, interval, start_timestamp, input_series: [{series, values}],
 *              alert_rule_test: [{eval_time, alertname, exp_alerts: [{exp_labels,
 * exp_annotations}]}],
 *              promql_expr_test: [{expr, eval_time, exp_samples: [{labels, value, histogram}]}],
 *              external_labels, external_url}]
 *
 * Keys are strict. Source: Prometheus' documentation "Unit testing for rules". */
#include "engines/rules/unit_int.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>

#define TIME_MAX_MS INT64_C(9223372036854)

static const struct str file_keys[] = {STR_INIT("rule_files"), STR_INIT("evaluation_interval"),
                                       STR_INIT("group_eval_order"), STR_INIT("fuzzy_compare"),
                                       STR_INIT("tests")};
static const struct str test_keys[] = {STR_INIT("interval"),
                                       STR_INIT("input_series"),
                                       STR_INIT("alert_rule_test"),
                                       STR_INIT("promql_expr_test"),
                                       STR_INIT("external_labels"),
                                       STR_INIT("external_url"),
                                       STR_INIT("name"),
                                       STR_INIT("start_timestamp")};
static const struct str series_keys[] = {STR_INIT("series"), STR_INIT("values")};
static const struct str alert_keys[] = {STR_INIT("eval_time"), STR_INIT("alertname"),
                                        STR_INIT("exp_alerts")};
static const struct str want_keys[] = {STR_INIT("exp_labels"), STR_INIT("exp_annotations")};
static const struct str expr_keys[] = {STR_INIT("expr"), STR_INIT("eval_time"),
                                       STR_INIT("exp_samples")};
static const struct str sample_keys[] = {STR_INIT("labels"), STR_INIT("value"),
                                         STR_INIT("histogram")};

/* First child of a list that may be absent; NULL and a problem when it is no list. */
static const struct yaml_node *items(struct yaml_read *r, const struct yaml_node *parent,
                                     struct str key, uint32_t *n)
{
    const struct yaml_node *c = yaml_get(parent, key);
    *n = 0;
    if (!c || yaml_is_null(c)) {
        return NULL;
    }
    if (c->kind != YAML_SEQUENCE) {
        (void)yaml_problem(r, c, "expected a list for \"%.*s\"", STR_FMT(key));
        return NULL;
    }
    *n = c->children_count;
    return c->first;
}

static bool is_map(struct yaml_read *r, const struct yaml_node *n, const struct str *keys,
                   size_t count, const char *what)
{
    if (n->kind != YAML_MAPPING) {
        if (yaml_is_null(n)) {
            return false;
        }
        return yaml_problem(r, n, "expected %s, a mapping", what);
    }
    yaml_read_keys(r, n, keys, count, what);
    return true;
}

static bool read_texts(struct yaml_read *r, const struct yaml_node *parent, struct str key,
                       struct str **out, uint32_t *count)
{
    uint32_t n = 0;
    const struct yaml_node *c = items(r, parent, key, &n);
    *out = ARENA_ARRAY(r->arena, struct str, n + 1);
    if (!*out) {
        return yaml_full(r);
    }
    for (; c; c = c->next) {
        (*out)[(*count)++] = yaml_read_text(r, c);
    }
    return true;
}

static double read_number(struct yaml_read *r, const struct yaml_node *n)
{
    double v = 0;
    if (!n || yaml_is_null(n)) {
        return 0;
    }
    struct str s = n->kind == YAML_SCALAR ? n->text : STR("");
    bool minus = s.n && s.p[0] == '-';
    struct str t = s.n && (s.p[0] == '-' || s.p[0] == '+') ? str_sub(s, 1, s.n) : s;
    if (str_eq_nocase(t, STR(".inf"))) {
        return minus ? -HUGE_VAL : HUGE_VAL;
    }
    if (str_eq_nocase(t, STR(".nan"))) {
        return nan("");
    }
    if (!str_to_f64(s, &v) && !(s.n && s.p[0] == '+' && str_to_f64(t, &v))) {
        (void)yaml_problem(r, n, "expected a number, found \"%.*s\"", STR_FMT(str_sub(s, 0, 60)));
    }
    return v;
}

static bool pairs_to_labels(struct yaml_read *r, const struct yaml_node *n, struct labels *out)
{
    struct rule_pair *p = NULL;
    uint32_t count = 0;
    if (!yaml_read_pairs(r, n, &p, &count)) {
        return false;
    }
    struct label *v = ARENA_ARRAY(r->arena, struct label, count + 2);
    if (!v) {
        return yaml_full(r);
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < count; i++) {
        v[k++] = (struct label){p[i].name, p[i].value};
    }
    *out = (struct labels){v, k};
    return true;
}

/* Labels of an expected alert, with the alertname that promtool adds. */
static bool read_want(struct yaml_read *r, const struct yaml_node *n, struct str name,
                      struct unit_alert *out)
{
    struct label *v = NULL;
    uint32_t k = 0;
    bool map = is_map(r, n, want_keys, ARRAY_LEN(want_keys), "an expected alert");
    struct labels ls = {0};
    if (map && (!pairs_to_labels(r, yaml_get(n, STR("exp_labels")), &ls) ||
                !pairs_to_labels(r, yaml_get(n, STR("exp_annotations")), &out->notes))) {
        return !r->full;
    }
    v = ARENA_ARRAY(r->arena, struct label, ls.n + 2);
    if (!v) {
        return yaml_full(r);
    }
    for (uint32_t i = 0; i < ls.n; i++) {
        if (!str_eq(ls.v[i].name, STR("alertname"))) {
            v[k++] = ls.v[i];
        }
    }
    v[k++] = (struct label){STR("alertname"), name};
    struct err e = {0};
    if (!labels_normalize(v, &k, &e)) {
        return yaml_problem(r, n, "%s", e.msg);
    }
    out->labels = (struct labels){v, k};
    return true;
}

static bool read_alert_test(struct yaml_read *r, const struct yaml_node *n, struct str test,
                            struct unit_alert_test *out)
{
    if (!is_map(r, n, alert_keys, ARRAY_LEN(alert_keys), "an alert test")) {
        return true;
    }
    uint32_t count = 0;
    yaml_read_duration(r, yaml_get(n, STR("eval_time")), TIME_MAX_MS, &out->eval_ms);
    out->name = yaml_read_text(r, yaml_get(n, STR("alertname")));
    if (out->name.n == 0) {
        (void)yaml_problem(r, n,
                           "an item under alert_rule_test misses required attribute alertname%s"
                           "%.*s",
                           test.n ? " in test " : "", STR_FMT(str_sub(test, 0, 60)));
    }
    const struct yaml_node *c = items(r, n, STR("exp_alerts"), &count);
    out->want = ARENA_ARRAY(r->arena, struct unit_alert, count + 1);
    if (!out->want) {
        return yaml_full(r);
    }
    for (; c; c = c->next) {
        if (!read_want(r, c, out->name, &out->want[out->want_n++])) {
            return false;
        }
    }
    return true;
}

static bool read_expr_test(struct yaml_read *r, const struct yaml_node *n,
                           struct unit_expr_test *out)
{
    if (!is_map(r, n, expr_keys, ARRAY_LEN(expr_keys), "an expression test")) {
        return true;
    }
    uint32_t count = 0;
    yaml_read_duration(r, yaml_get(n, STR("eval_time")), TIME_MAX_MS, &out->eval_ms);
    out->expr = yaml_read_text(r, yaml_get(n, STR("expr")));
    const struct yaml_node *c = items(r, n, STR("exp_samples"), &count);
    out->want = ARENA_ARRAY(r->arena, struct unit_sample, count + 1);
    if (!out->want) {
        return yaml_full(r);
    }
    for (; c; c = c->next) {
        struct unit_sample *s = &out->want[out->want_n];
        if (is_map(r, c, sample_keys, ARRAY_LEN(sample_keys), "an expected sample")) {
            s->labels = yaml_read_text(r, yaml_get(c, STR("labels")));
            s->histogram = yaml_read_text(r, yaml_get(c, STR("histogram")));
            s->value = read_number(r, yaml_get(c, STR("value")));
            out->want_n++;
        }
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct unit_alert_test *x = a;
    const struct unit_alert_test *y = b;
    return (x->eval_ms > y->eval_ms) - (x->eval_ms < y->eval_ms);
}

static void read_start(struct yaml_read *r, const struct yaml_node *n, int64_t *out)
{
    int64_t ns = 0;
    double s = 0;
    if (!n || yaml_is_null(n)) {
        return;
    }
    if (n->kind == YAML_SCALAR && str_to_f64(n->text, &s) && fabs(s) < 9.2e9) {
        *out = (int64_t)llround(s * 1000);
    } else if (n->kind == YAML_SCALAR && time_parse(n->text, &ns)) {
        *out = ms_from_ns(ns);
    } else {
        (void)yaml_problem(r, n, "expected a time as 2024-01-01T00:00:00Z or seconds since 1970");
    }
}

static bool read_series(struct yaml_read *r, const struct yaml_node *n, struct unit_test *t)
{
    uint32_t count = 0;
    const struct yaml_node *c = items(r, n, STR("input_series"), &count);
    t->series = ARENA_ARRAY(r->arena, struct unit_series, count + 1);
    if (!t->series) {
        return yaml_full(r);
    }
    for (; c; c = c->next) {
        if (is_map(r, c, series_keys, ARRAY_LEN(series_keys), "an input series")) {
            t->series[t->series_n].series = yaml_read_text(r, yaml_get(c, STR("series")));
            t->series[t->series_n++].values = yaml_read_text(r, yaml_get(c, STR("values")));
        }
    }
    return true;
}

static bool read_test(struct yaml_read *r, const struct yaml_node *n, int64_t interval_ms,
                      struct unit_test *t)
{
    uint32_t alerts = 0;
    uint32_t exprs = 0;
    t->interval_ms = interval_ms;
    if (!is_map(r, n, test_keys, ARRAY_LEN(test_keys), "a test")) {
        return true;
    }
    t->name = yaml_read_text(r, yaml_get(n, STR("name")));
    yaml_read_duration(r, yaml_get(n, STR("interval")), TIME_MAX_MS, &t->interval_ms);
    t->interval_ms = t->interval_ms ? t->interval_ms : interval_ms;
    read_start(r, yaml_get(n, STR("start_timestamp")), &t->start_ms);
    t->external_url = yaml_read_text(r, yaml_get(n, STR("external_url")));
    if (!read_series(r, n, t) ||
        !yaml_read_pairs(r, yaml_get(n, STR("external_labels")), &t->external, &t->external_n)) {
        return !r->full;
    }
    const struct yaml_node *a = items(r, n, STR("alert_rule_test"), &alerts);
    const struct yaml_node *x = items(r, n, STR("promql_expr_test"), &exprs);
    t->alerts = ARENA_ARRAY(r->arena, struct unit_alert_test, alerts + 1);
    t->exprs = ARENA_ARRAY(r->arena, struct unit_expr_test, exprs + 1);
    if (!t->alerts || !t->exprs) {
        return yaml_full(r);
    }
    for (; a; a = a->next) {
        if (!read_alert_test(r, a, t->name, &t->alerts[t->alerts_n++]) && r->full) {
            return false;
        }
    }
    for (; x; x = x->next) {
        if (!read_expr_test(r, x, &t->exprs[t->exprs_n++])) {
            return false;
        }
    }
    /* By insertion: equal times keep their order, and files are mostly sorted. */
    for (uint32_t i = 1; i < t->alerts_n; i++) {
        struct unit_alert_test it = t->alerts[i];
        uint32_t k = i;
        while (k > 0 && by_time(&t->alerts[k - 1], &it) > 0) {
            t->alerts[k] = t->alerts[k - 1];
            k--;
        }
        t->alerts[k] = it;
    }
    return true;
}

static bool read_file(struct yaml_read *r, const struct yaml_node *root, struct unit_file *out)
{
    uint32_t n = 0;
    if (root->kind != YAML_MAPPING) {
        return yaml_problem(r, root, "expected a mapping with 'tests'");
    }
    yaml_read_keys(r, root, file_keys, ARRAY_LEN(file_keys), "a unit-test file");
    out->interval_ms = 0;
    yaml_read_duration(r, yaml_get(root, STR("evaluation_interval")), TIME_MAX_MS,
                       &out->interval_ms);
    out->interval_ms = out->interval_ms ? out->interval_ms : 60000;
    const struct yaml_node *fuzzy = yaml_get(root, STR("fuzzy_compare"));
    out->fuzzy = fuzzy && str_eq(fuzzy->text, STR("true"));
    if (!read_texts(r, root, STR("rule_files"), &out->rule_files, &out->rule_files_n) ||
        !read_texts(r, root, STR("group_eval_order"), &out->order, &out->order_n)) {
        return false;
    }
    for (uint32_t i = 0; i < out->order_n; i++) {
        for (uint32_t k = 0; k < i && i < 10000; k++) {
            if (str_eq(out->order[i], out->order[k])) {
                (void)yaml_problem(r, yaml_get(root, STR("group_eval_order")),
                                   "group name repeated in evaluation order: %.*s",
                                   STR_FMT(str_sub(out->order[i], 0, 60)));
            }
        }
    }
    const struct yaml_node *c = items(r, root, STR("tests"), &n);
    out->tests = ARENA_ARRAY(r->arena, struct unit_test, n + 1);
    if (!out->tests) {
        return yaml_full(r);
    }
    for (; c; c = c->next) {
        if (!read_test(r, c, out->interval_ms, &out->tests[out->tests_n++])) {
            return false;
        }
    }
    return true;
}

bool unit_file_parse(struct str text, const char *path, bool unknown_keys, struct arena *a,
                     struct unit_file *out, struct err *e)
{
    struct yaml_node *root = NULL;
    bool more = false;
    struct yaml_read r = {.path = path, .arena = a, .unknown_keys = unknown_keys, .e = e};
    *out = (struct unit_file){0};
    if (!yaml_parse_first(text, path, a, &root, &more, e)) {
        return false;
    }
    return read_file(&r, root, out) && r.problems == 0;
}
