/* Reading relabelling rules, with the checks of Prometheus: which action needs which keys, and
 * which it does not take. */
#include "ingest/scrape/relabel_int.h"

#include "base/base.h"

static const struct str action_names[RELABEL_ACTIONS] = {
    STR_INIT("replace"),   STR_INIT("keep"),      STR_INIT("drop"),     STR_INIT("keepequal"),
    STR_INIT("dropequal"), STR_INIT("hashmod"),   STR_INIT("labelmap"), STR_INIT("labeldrop"),
    STR_INIT("labelkeep"), STR_INIT("lowercase"), STR_INIT("uppercase")};

/* As written, before it is checked. */
struct raw_rule {
    struct conf_strs source;
    struct str separator, pattern, target, replacement, action;
    int64_t modulus;
};

static const struct conf_field rule_fields[] = {
    CONF_STR_LIST(struct raw_rule, source, "source_labels", NULL, 0, 0,
                  "labels whose values are joined"),
    CONF_STR(struct raw_rule, separator, "separator", ";", "between the joined values"),
    CONF_STR(
        struct raw_rule, pattern, "regex", "(.*)",
        "regular expression (RE2, anchored) for the joined values or, for label actions, names"),
    CONF_I64(struct raw_rule, modulus, "modulus", NULL, 0, 9e18, "divisor of hashmod"),
    CONF_STR(struct raw_rule, target, "target_label", NULL, "label that is written"),
    CONF_STR(struct raw_rule, replacement, "replacement", "$1",
             "what is written, with groups of the regular expression"),
    CONF_STR(struct raw_rule, action, "action", "replace",
             "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, "
             "lowercase or uppercase"),
};

static bool has_variable(struct str s)
{
    return s.n > 0 && memchr(s.p, '$', s.n) != NULL;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A legacy label name in which $name and ${name} may stand for characters. */
static bool legacy_template(struct str s)
{
    bool first = true; /* a digit may not stand here */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '$') {
            bool brace = i + 1 < s.n && s.p[i + 1] == '{';
            size_t from = i + 1 + brace;
            size_t j = from;
            while (j < s.n && word_char(s.p[j])) {
                j++;
            }
            if (j == from || (brace && (j == s.n || s.p[j] != '}'))) {
                return false;
            }
            i = brace ? j : j - 1;
        } else if (!word_char(s.p[i]) || (first && s.p[i] >= '0' && s.p[i] <= '9')) {
            return false;
        }
        first = false;
    }
    return s.n > 0;
}

static bool template_is_valid(struct str s, bool legacy)
{
    return legacy ? legacy_template(s) : label_name_is_valid(s, false);
}

/* What is wrong with the target label; NULL when nothing is. */
static const char *target_wrong(const struct relabel_rule *r)
{
    switch (r->action) {
    case RELABEL_REPLACE:
        return (r->plain_target ? label_name_is_valid(r->target, r->legacy_names)
                                : template_is_valid(r->target, r->legacy_names))
                   ? NULL
                   : "a valid target_label";
    case RELABEL_KEEPEQUAL:
    case RELABEL_DROPEQUAL:
    case RELABEL_HASHMOD:
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        return label_name_is_valid(r->target, r->legacy_names) ? NULL : "a valid target_label";
    case RELABEL_LABELMAP:
        return template_is_valid(r->replacement, r->legacy_names) ? NULL
                                                                  : "a label name as replacement";
    case RELABEL_KEEP:
    case RELABEL_DROP:
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP: break;
    }
    return NULL;
}

/* What else is wrong: keys that the action wants or does not take. */
static const char *keys_wrong(const struct relabel_rule *r, bool regex_given)
{
    bool default_separator = str_eq(r->separator, STR(";"));
    bool default_replacement = str_eq(r->replacement, STR("$1"));
    switch (r->action) {
    case RELABEL_HASHMOD: return r->modulus ? NULL : "a modulus that is not 0";
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE: return default_replacement ? NULL : "no replacement";
    case RELABEL_KEEPEQUAL:
    case RELABEL_DROPEQUAL:
        return !regex_given && !r->modulus && default_separator && default_replacement
                   ? NULL
                   : "only source_labels and target_label";
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP:
        return r->source.count == 0 && r->target.n == 0 && !r->modulus && default_separator &&
                       default_replacement
                   ? NULL
                   : "only a regex";
    case RELABEL_REPLACE:
    case RELABEL_KEEP:
    case RELABEL_DROP:
    case RELABEL_LABELMAP: break;
    }
    return NULL;
}

static bool check(const struct relabel_rule *r, struct err *e)
{
    const char *wrong = target_wrong(r);
    if (!wrong) {
        wrong = keys_wrong(r, r->regex_given);
    }
    if (!wrong) {
        return true;
    }
    return err_at(e, ERR_INPUT, r->line, r->col, "relabel action %.*s: expected %s",
                  STR_FMT(action_names[r->action]), wrong);
}

bool relabel_check(struct relabel_rules *r, bool legacy_names, struct err *e)
{
    for (uint32_t i = 0; i < r->n; i++) {
        r->v[i].legacy_names = legacy_names;
        if (!check(&r->v[i], e)) {
            return false;
        }
    }
    return true;
}

static bool read_rule(const struct yaml_node *n, struct mem *m, struct arena *a,
                      struct relabel_rule *r, struct err *e)
{
    struct raw_rule raw = {.modulus = 0};
    if (n->kind != YAML_MAPPING) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a relabelling rule, found %s",
                      yaml_is_null(n) ? "nothing" : "another value");
    }
    if (!conf_read(rule_fields, ARRAY_LEN(rule_fields), n, &raw, a, e)) {
        return false;
    }
    *r = (struct relabel_rule){.source = raw.source,
                               .separator = raw.separator,
                               .pattern = raw.pattern,
                               .target = raw.target,
                               .replacement = raw.replacement,
                               .modulus = (uint64_t)raw.modulus,
                               .line = n->line,
                               .col = n->col};
    bool known = false;
    for (unsigned i = 0; i < RELABEL_ACTIONS && !known; i++) {
        known = str_eq_nocase(raw.action, action_names[i]);
        r->action = (enum relabel_action)i;
    }
    if (!known) {
        const struct yaml_node *at = yaml_get(n, STR("action"));
        struct str shown = str_sub(raw.action, 0, 40);
        return err_at(e, ERR_INPUT, at ? at->line : n->line, at ? at->col : n->col,
                      "unknown relabel action \"%.*s\"", STR_FMT(shown));
    }
    for (uint32_t i = 0; i < raw.source.count; i++) {
        if (!label_name_is_valid(raw.source.v[i], false)) {
            return err_at(e, ERR_INPUT, n->line, n->col, "expected label names in source_labels");
        }
    }
    r->regex_given = yaml_get(n, STR("regex")) != NULL;
    r->matches_all = str_eq(r->pattern, STR("(.*)"));
    r->plain_target = !has_variable(r->target);
    r->plain_replacement = !has_variable(r->replacement);
    if (!regex_new(m, r->pattern, true, &r->regex, e)) {
        const struct yaml_node *at = yaml_get(n, STR("regex"));
        if (e) {
            e->line = at ? at->line : n->line;
            e->col = at ? at->col : n->col;
        }
        return false;
    }
    return true;
}

bool relabel_read(const struct yaml_node *n, bool legacy_names, struct mem *m, struct arena *a,
                  struct relabel_rules *out, struct err *e)
{
    *out = (struct relabel_rules){NULL, 0};
    if (!n || yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_SEQUENCE) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a list of relabelling rules");
    }
    out->v = ARENA_ARRAY(a, struct relabel_rule, n->children_count);
    if (n->children_count > 0 && !out->v) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (!read_rule(c, m, a, &out->v[out->n], e)) {
            relabel_release(out);
            return false;
        }
        out->n++;
    }
    if (!relabel_check(out, legacy_names, e)) {
        relabel_release(out);
        return false;
    }
    return true;
}

void relabel_release(struct relabel_rules *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        regex_free(r->v[i].regex);
        r->v[i].regex = NULL;
    }
    *r = (struct relabel_rules){NULL, 0};
}
