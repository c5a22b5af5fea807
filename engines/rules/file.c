/* Rule files: YAML of Prometheus to struct rule_file, with every check that Prometheus makes at
 * load, and the place of each problem.
 *
 *     groups: [{name, interval, limit, query_offset, labels, rules: [{record | alert, expr, for,
 *              keep_firing_for, labels, annotations}]}]
 *
 * A file may have many problems: each is reported, the first one is the error. Nothing borrows the
 * text. Source: Prometheus' documentation of recording and alerting rules, and its verdicts. */
#include "engines/rules/rules.h"

#include "codec/yaml.h"
#include "engines/rules/yaml_int.h"

#include <stdlib.h>

#define FOR_MAX_MS INT64_C(9223372036854) /* 292 years: what Go's Duration holds */

static const struct str file_keys[] = {STR_INIT("groups")};
static const struct str group_keys[] = {STR_INIT("name"),   STR_INIT("interval"),
                                        STR_INIT("limit"),  STR_INIT("query_offset"),
                                        STR_INIT("labels"), STR_INIT("rules")};
static const struct str rule_keys[] = {
    STR_INIT("record"),          STR_INIT("alert"),  STR_INIT("expr"),       STR_INIT("for"),
    STR_INIT("keep_firing_for"), STR_INIT("labels"), STR_INIT("annotations")};

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct rule_pair *)a)->name, ((const struct rule_pair *)b)->name);
}

bool yaml_read_pairs(struct yaml_read *r, const struct yaml_node *n, struct rule_pair **out,
                     uint32_t *count)
{
    *out = NULL;
    *count = 0;
    if (!n || yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_MAPPING) {
        return yaml_problem(r, n, "expected a mapping of names to texts");
    }
    struct rule_pair *v = ARENA_ARRAY(r->arena, struct rule_pair, n->children_count + 1);
    if (!v) {
        return yaml_full(r);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (c->kind != YAML_SCALAR) {
            (void)yaml_problem(r, c, "expected a text for \"%.*s\"",
                               STR_FMT(str_sub(c->key, 0, 60)));
            continue;
        }
        v[(*count)++] = (struct rule_pair){c->key, yaml_is_null(c) ? STR("") : c->text};
    }
    if (*count) {
        qsort(v, *count, sizeof v[0], by_name);
    }
    *out = v;
    return true;
}

static bool label_name_ok(const struct yaml_read *r, struct str s)
{
    return r->legacy ? label_is_legacy_name(s) : s.n > 0 && str_is_utf8(s);
}

static void check_labels(struct yaml_read *r, const struct yaml_node *n)
{
    for (const struct yaml_node *c = n ? n->first : NULL; c; c = c->next) {
        if (!label_name_ok(r, c->key) || str_eq(c->key, STR(LABEL_NAME))) {
            (void)yaml_problem(r, c, "invalid label name: %.*s", STR_FMT(str_sub(c->key, 0, 60)));
        }
        if (c->kind == YAML_SCALAR && !str_is_utf8(c->text)) {
            (void)yaml_problem(r, c, "invalid label value of %.*s",
                               STR_FMT(str_sub(c->key, 0, 60)));
        }
    }
}

static void check_templates(struct yaml_read *r, const struct yaml_node *n, const char *what)
{
    for (const struct yaml_node *c = n ? n->first : NULL; c; c = c->next) {
        struct err e = {0};
        if (c->kind == YAML_SCALAR && !rules_template_check(c->text, &e)) {
            (void)yaml_problem(r, c, "%s \"%.*s\": template %u:%u: %s", what,
                               STR_FMT(str_sub(c->key, 0, 40)), e.line, e.col, e.msg);
        }
    }
}

static void check_recording(struct yaml_read *r, const struct yaml_node *n, const struct rule *rule)
{
    static const struct str alert_only[] = {STR_INIT("annotations"), STR_INIT("for"),
                                            STR_INIT("keep_firing_for")};
    for (size_t i = 0; i < ARRAY_LEN(alert_only); i++) {
        const struct yaml_node *c = yaml_get(n, alert_only[i]);
        bool set = c && (i == 0 ? c->children_count > 0
                                : (i == 1 ? rule->for_ms : rule->keep_firing_ms) != 0);
        if (set) {
            (void)yaml_problem(r, c, "invalid field '%.*s' in recording rule",
                               STR_FMT(alert_only[i]));
        }
    }
    const struct yaml_node *name = yaml_get(n, STR("record"));
    bool braces = false;
    for (size_t i = 0; i < rule->name.n; i++) {
        braces |= rule->name.p[i] == '{' || rule->name.p[i] == '}';
    }
    if (braces) {
        (void)yaml_problem(r, name,
                           "braces present in the recording rule name; should it be in expr?: "
                           "%.*s",
                           STR_FMT(str_sub(rule->name, 0, 60)));
    } else if (r->legacy ? !label_is_legacy_metric(rule->name) : !str_is_utf8(rule->name)) {
        (void)yaml_problem(r, name, "invalid recording rule name: %.*s",
                           STR_FMT(str_sub(rule->name, 0, 60)));
    }
}

static void read_expr(struct yaml_read *r, const struct yaml_node *n, struct rule *rule)
{
    struct err e = {0};
    const struct yaml_node *x = yaml_get(n, STR("expr"));
    rule->text = yaml_read_text(r, x);
    if (rule->text.n == 0) {
        (void)yaml_problem(r, x ? x : n, "field 'expr' must be set in rule");
    } else if (!promql_parse(rule->text, r->promql_flags, r->arena, &rule->expr, &e)) {
        (void)yaml_problem(r, x, "could not parse expression: %u:%u: parse error: %s", e.line,
                           e.col, e.msg);
    }
}

static bool read_rule(struct yaml_read *r, const struct yaml_node *n, struct rule *rule)
{
    if (n->kind != YAML_MAPPING) {
        return yaml_problem(r, n, "expected a rule, a mapping with 'record' or 'alert'");
    }
    yaml_read_keys(r, n, rule_keys, ARRAY_LEN(rule_keys), "a rule");
    const struct yaml_node *record = yaml_get(n, STR("record"));
    const struct yaml_node *alert = yaml_get(n, STR("alert"));
    struct str record_name = yaml_read_text(r, record);
    struct str alert_name = yaml_read_text(r, alert);
    rule->is_alert = alert_name.n > 0;
    rule->name = rule->is_alert ? alert_name : record_name;
    rule->line = n->line;
    if (record_name.n && alert_name.n) {
        (void)yaml_problem(r, record, "only one of 'record' and 'alert' must be set");
    }
    if (!record_name.n && !alert_name.n) {
        (void)yaml_problem(r, n, "one of 'record' or 'alert' must be set");
    }
    read_expr(r, n, rule);
    yaml_read_duration(r, yaml_get(n, STR("for")), FOR_MAX_MS, &rule->for_ms);
    yaml_read_duration(r, yaml_get(n, STR("keep_firing_for")), FOR_MAX_MS, &rule->keep_firing_ms);
    const struct yaml_node *labels = yaml_get(n, STR("labels"));
    const struct yaml_node *notes = yaml_get(n, STR("annotations"));
    if (!yaml_read_pairs(r, labels, &rule->labels, &rule->labels_n) ||
        !yaml_read_pairs(r, notes, &rule->annotations, &rule->annotations_n)) {
        return false;
    }
    if (record_name.n) {
        check_recording(r, n, rule);
    }
    check_labels(r, labels);
    for (const struct yaml_node *c = notes ? notes->first : NULL; c; c = c->next) {
        if (!label_name_ok(r, c->key)) {
            (void)yaml_problem(r, c, "invalid annotation name: %.*s",
                               STR_FMT(str_sub(c->key, 0, 60)));
        }
    }
    if (rule->is_alert) {
        check_templates(r, labels, "label");
        check_templates(r, notes, "annotation");
    }
    return true;
}

static bool read_group(struct yaml_read *r, const struct yaml_node *n, struct rule_group *g)
{
    g->query_offset_ms = -1;
    if (n->kind != YAML_MAPPING) {
        return yaml_problem(r, n, "expected a group, a mapping with 'name' and 'rules'");
    }
    yaml_read_keys(r, n, group_keys, ARRAY_LEN(group_keys), "a group");
    g->name = yaml_read_text(r, yaml_get(n, STR("name")));
    if (g->name.n == 0) {
        (void)yaml_problem(r, n, "group name must not be empty");
    }
    yaml_read_duration(r, yaml_get(n, STR("interval")), FOR_MAX_MS, &g->interval_ms);
    yaml_read_duration(r, yaml_get(n, STR("query_offset")), FOR_MAX_MS, &g->query_offset_ms);
    const struct yaml_node *limit = yaml_get(n, STR("limit"));
    int64_t v = 0;
    if (limit && !yaml_is_null(limit)) {
        if (limit->kind != YAML_SCALAR || !str_to_i64(limit->text, &v) || v > UINT32_MAX) {
            (void)yaml_problem(r, limit, "expected a number of results for 'limit'");
        }
        g->limit = v > 0 ? (uint32_t)v : 0;
    }
    const struct yaml_node *labels = yaml_get(n, STR("labels"));
    check_labels(r, labels);
    if (!yaml_read_pairs(r, labels, &g->labels, &g->labels_n)) {
        return false;
    }
    const struct yaml_node *rules = yaml_get(n, STR("rules"));
    if (!rules || yaml_is_null(rules)) {
        return true;
    }
    if (rules->kind != YAML_SEQUENCE) {
        return yaml_problem(r, rules, "expected a list of rules");
    }
    g->rules = ARENA_ARRAY(r->arena, struct rule, rules->children_count + 1);
    if (!g->rules) {
        return yaml_full(r);
    }
    for (const struct yaml_node *c = rules->first; c; c = c->next) {
        if (!read_rule(r, c, &g->rules[g->rules_n++]) && r->full) {
            return false;
        }
    }
    return true;
}

struct named {
    struct str name;
    const struct yaml_node *node;
    uint32_t at;
};

static int by_group(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int order = str_cmp(x->name, y->name);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static void check_group_names(struct yaml_read *r, const struct yaml_node *groups,
                              const struct rule_file *f)
{
    struct named *v = ARENA_ARRAY(r->arena, struct named, f->groups_n + 1);
    uint32_t n = 0;
    if (!v) {
        (void)yaml_full(r);
        return;
    }
    for (const struct yaml_node *c = groups->first; c; c = c->next) {
        v[n] = (struct named){f->groups[n].name, c, n};
        n++;
    }
    qsort(v, n, sizeof v[0], by_group);
    for (uint32_t i = 1; i < n; i++) {
        if (v[i].name.n && str_eq(v[i].name, v[i - 1].name)) {
            (void)yaml_problem(r, v[i].node, "group name \"%.*s\" is repeated in the same file",
                               STR_FMT(str_sub(v[i].name, 0, 60)));
        }
    }
}

static void read_file(struct yaml_read *r, const struct yaml_node *root, struct rule_file *out)
{
    if (root->kind != YAML_MAPPING) {
        (void)yaml_problem(r, root, "expected a mapping with 'groups'");
        return;
    }
    yaml_read_keys(r, root, file_keys, ARRAY_LEN(file_keys), "a rule file");
    const struct yaml_node *groups = yaml_get(root, STR("groups"));
    if (!groups || yaml_is_null(groups)) {
        return;
    }
    if (groups->kind != YAML_SEQUENCE) {
        (void)yaml_problem(r, groups, "expected a list of groups");
        return;
    }
    out->groups = ARENA_ARRAY(r->arena, struct rule_group, groups->children_count + 1);
    if (!out->groups) {
        (void)yaml_full(r);
        return;
    }
    for (const struct yaml_node *c = groups->first; c && !r->full; c = c->next) {
        struct rule_group *g = &out->groups[out->groups_n++];
        g->file = out->path;
        (void)read_group(r, c, g);
    }
    if (!r->full) {
        check_group_names(r, groups, out);
    }
}

bool rule_file_parse(struct str text, const char *path, unsigned promql_flags, struct arena *a,
                     struct rule_file *out, void (*each)(void *ctx, const struct err *e), void *ctx,
                     struct err *e)
{
    struct yaml_node *root = NULL;
    struct yaml_read r = {.path = path,
                          .arena = a,
                          .promql_flags = promql_flags & PROMQL_ALL_FLAGS,
                          .unknown_keys = (promql_flags & RULES_UNKNOWN_KEYS) != 0,
                          .legacy = (promql_flags & RULES_LEGACY_NAMES) != 0,
                          .each = each,
                          .ctx = ctx,
                          .e = e};
    struct err own = {0};
    *out = (struct rule_file){.path = arena_str(a, str_from_c(path))};
    if (!out->path.p && path[0]) {
        return yaml_full(&r);
    }
    if (!yaml_parse_first(text, path, a, &root, &out->more_documents, e ? e : &own)) {
        if (each) {
            each(ctx, e ? e : &own);
        }
        return false;
    }
    read_file(&r, root, out);
    return r.problems == 0;
}
