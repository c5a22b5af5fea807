/* The parameters of /api/v1/rules: what of the groups is asked for, and which page of them. */
#include "server/api/prom/prom_int.h"

#define LIMIT_MAX INT32_MAX /* what Prometheus reads into 32 bits */

/* All values of a parameter. */
static bool values(struct prom_call *c, const char *name, const struct str **out, uint32_t *n)
{
    struct str *v = ARENA_ARRAY(&c->arena, struct str, c->params_n + 1);
    *out = v;
    *n = v ? prom_values(c, name, v, c->params_n) : 0;
    return v || prom_fail(c, PROM_EXECUTION_ERROR, "request is too large");
}

static bool read_matches(struct prom_call *c, struct rules_filter *f)
{
    struct prom_selector *s;
    uint32_t n;
    if (!prom_matches(c, PROM_MATCH_SOME, &s, &n)) {
        return false;
    }
    struct rules_match *v = ARENA_ARRAY(&c->arena, struct rules_match, (size_t)n + 1);
    if (!v) {
        return prom_fail(c, PROM_EXECUTION_ERROR, "request is too large");
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct rules_match){s[i].m, s[i].n};
    }
    f->matches = v;
    f->matches_n = n;
    return true;
}

static bool read_type(struct prom_call *c, struct rules_filter *f)
{
    const struct str type = prom_get(c, "type");
    f->type = str_eq_nocase(type, STR("alert"))    ? STR("alert")
              : str_eq_nocase(type, STR("record")) ? STR("record")
                                                   : STR("");
    return type.n == 0 || f->type.n > 0 ||
           prom_fail(c, PROM_BAD_DATA, "invalid parameter \"type\": not supported value \"%.*s\"",
                     STR_FMT(str_sub(type, 0, 100)));
}

static bool read_exclude(struct prom_call *c, struct rules_filter *f)
{
    const struct str exclude = prom_get(c, "exclude_alerts");
    return exclude.n == 0 || prom_bool_of(exclude, &f->exclude_alerts) ||
           prom_fail(c, PROM_BAD_DATA,
                     "invalid parameter \"exclude_alerts\": error converting exclude_alerts: "
                     "strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                     STR_FMT(str_sub(exclude, 0, 100)));
}

static bool read_page(struct prom_call *c, struct rules_filter *f)
{
    const struct str limit = prom_get(c, "group_limit");
    int64_t n = 0;
    f->group_token = prom_get(c, "group_next_token");
    if (limit.n == 0) {
        return f->group_token.n == 0 ||
               prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"group_next_token\": group_limit needs to be present "
                         "in order to paginate over the groups");
    }
    const char *wrong = prom_int_of(limit, &n);
    if (!wrong && (n > LIMIT_MAX || n < -(int64_t)LIMIT_MAX - 1)) {
        wrong = "value out of range";
    }
    if (wrong) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"group_limit\": group_limit needs to be a valid "
                         "number: strconv.ParseInt: parsing \"%.*s\": %s",
                         STR_FMT(str_sub(limit, 0, 100)), wrong);
    }
    f->group_limit = n > 0 ? (uint32_t)n : 0;
    return n > 0 || prom_fail(c, PROM_BAD_DATA,
                              "invalid parameter \"group_limit\": group_limit needs to be greater "
                              "than 0");
}

bool prom_rules_wanted(struct prom_call *c, struct rules_filter *f)
{
    *f = (struct rules_filter){0};
    return values(c, "rule_name[]", &f->names, &f->names_n) &&
           values(c, "rule_group[]", &f->groups, &f->groups_n) &&
           values(c, "file[]", &f->files, &f->files_n) && read_matches(c, f) && read_type(c, f) &&
           read_exclude(c, f) && read_page(c, f);
}
