/* Which groups and rules a request for /api/v1/rules wants, and the tokens that say where its next
 * page begins.
 *
 * Matchers are held against the labels in a rule's definition (the group's included), before
 * templates are expanded; so a rule has no __name__ here. A token stands for a group of a file: it
 * goes on meaning that group when others come or go. */
#include "engines/rules/engine_int.h"

#include <stdio.h>

#define REGEXES_BYTES_MAX (64U << 20) /* of one request */

static uint32_t matchers_count(const struct rules_filter *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->matches_n; i++) {
        n += f->matches[i].n;
    }
    return n;
}

bool rules_choice_init(struct rules_choice *c, const struct rules_filter *f, struct err *e)
{
    const uint32_t n = matchers_count(f);
    *c = (struct rules_choice){.f = f};
    mem_init(&c->mem, REGEXES_BYTES_MAX);
    c->regexes = mem_take(&c->mem, (n + 1) * sizeof(struct regex *));
    if (!c->regexes) {
        return err_set(e, ERR_LIMIT, "no memory for the matchers");
    }
    for (uint32_t i = 0; i < f->matches_n; i++) {
        for (uint32_t k = 0; k < f->matches[i].n; k++) {
            const struct matcher *m = &f->matches[i].m[k];
            struct regex **re = &c->regexes[c->regexes_n++];
            if ((m->op == MATCH_RE || m->op == MATCH_NRE) &&
                !regex_new(&c->mem, m->value, true, re, e)) {
                return false;
            }
        }
    }
    return true;
}

void rules_choice_release(struct rules_choice *c)
{
    for (uint32_t i = 0; i < c->regexes_n; i++) {
        regex_free(c->regexes[i]);
    }
    if (c->regexes) {
        mem_give(&c->mem, c->regexes, (matchers_count(c->f) + 1) * sizeof(struct regex *));
    }
    c->regexes = NULL;
    c->regexes_n = 0;
    ASSERT(c->mem.bytes == 0);
}

static struct str label_of(const struct rule_state *s, struct str name)
{
    for (uint32_t i = 0; i < s->labels_n; i++) {
        if (str_eq(s->labels[i].name, name)) {
            return s->labels[i].value;
        }
    }
    return STR("");
}

static bool holds(const struct matcher *m, const struct regex *re, struct str value)
{
    const bool negative = m->op == MATCH_NE || m->op == MATCH_NRE;
    return (re ? regex_match(re, value) : str_eq(m->value, value)) != negative;
}

/* All matchers of some match[]. */
static bool matches(const struct rules_choice *c, const struct rule_state *s)
{
    const struct rules_filter *f = c->f;
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->matches_n; i++) {
        bool all = true;
        for (uint32_t k = 0; k < f->matches[i].n; k++, at++) {
            const struct matcher *m = &f->matches[i].m[k];
            all = all && holds(m, c->regexes[at], label_of(s, m->name));
        }
        if (all) {
            return true;
        }
    }
    return f->matches_n == 0;
}

static bool among(struct str s, const struct str *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(v[i], s)) {
            return true;
        }
    }
    return n == 0;
}

bool rules_choice_rule(const struct rules_choice *c, const struct rule_state *s)
{
    const struct rules_filter *f = c->f;
    const struct str type = s->rule->is_alert ? STR("alert") : STR("record");
    return (f->type.n == 0 || str_eq(f->type, type)) &&
           among(s->rule->name, f->names, f->names_n) && matches(c, s);
}

bool rules_choice_group(const struct rules_choice *c, const struct group *g)
{
    const struct rules_filter *f = c->f;
    bool some = false;
    if (!among(g->g->name, f->groups, f->groups_n) || !among(g->g->file, f->files, f->files_n)) {
        return false;
    }
    for (uint32_t i = 0; i < g->rules_n && !some; i++) {
        some = rules_choice_rule(c, &g->rules[i]);
    }
    return some;
}

void rules_token_of(const struct group *g, char out[RULES_TOKEN_BYTES + 1])
{
    (void)snprintf(out, RULES_TOKEN_BYTES + 1, "%016llx",
                   (unsigned long long)hash64_seed(g->g->name, hash64(g->g->file)));
}

bool rules_token_find(struct group *const *v, uint32_t n, struct str token, uint32_t *at,
                      struct err *e)
{
    char have[RULES_TOKEN_BYTES + 1];
    for (uint32_t i = 0; i < n; i++) {
        rules_token_of(v[i], have);
        if (str_eq(str_from_c(have), token)) {
            *at = i;
            return true;
        }
    }
    return err_set(e, ERR_INPUT,
                   "invalid parameter \"group_next_token\": invalid group_next_token '%.*s'. were "
                   "rule groups changed?",
                   STR_FMT(str_sub(token, 0, 60)));
}
