/* Which rules of a group have to wait for which: the rest may be evaluated side by side.
 *
 * Two rules are kept in the order of the file when one writes what the other reads, or when both
 * may write the same series. That covers more than "B uses what A records": a rule that stands
 * before the one whose metric it reads goes on seeing the value of the slot before, and of two
 * rules that write one series the first goes on winning. So the store is the same whatever the
 * number of threads.
 *
 *     record: a     reads x, writes a        a ---> b        c and a have nothing in common,
 *     record: b     reads a, writes b                        so c may run beside either
 *     record: c     reads y, writes c
 *
 * An alert writes ALERTS and ALERTS_FOR_STATE with its own alertname. What cannot be read off the
 * expression stands alone - after all before it, before all after it: a selector without a fixed
 * name, info(), which selects by itself, and templates that call query.
 *
 * Source of the idea: Prometheus' rules (dependency map of a group, concurrent rule evaluation). */
#include "engines/rules/engine_int.h"

#include <stdlib.h>

#define EDGES_MAX (1U << 20) /* 8 MiB while they are sorted; above it the group runs in order */
#define NAMES_MAX 10000000
#define ANY       UINT32_MAX

/* A name that a rule reads or writes. */
struct use {
    uint32_t name;
    uint32_t alert; /* of ALERTS: whose; ANY: every one, or not an alert's */
    uint32_t rule;
};

struct uses {
    struct use *v;
    size_t cap;
    uint32_t n;
};

struct scan {
    const struct group *g;
    struct mem mem;
    struct intern names;
    struct uses reads, writes;
    uint64_t *edges; /* from << 32 | to */
    size_t edges_cap;
    uint32_t edges_n;
    uint32_t rule; /* being looked at */
    bool alone;    /* it is */
    bool failed;   /* no memory */
    bool too_many;
};

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does a template call query? From the first action on, the word counts wherever it stands: a text
 * that only speaks of a query makes its rule wait, nothing more. */
static bool calls_query(struct str s)
{
    static const char word[] = "query";
    const size_t n = sizeof word - 1;
    size_t i = 0;
    while (i + 2 <= s.n && memcmp(s.p + i, "{{", 2) != 0) {
        i++;
    }
    for (; i + n <= s.n; i++) {
        if (memcmp(s.p + i, word, n) == 0 && (i == 0 || !is_word(s.p[i - 1])) &&
            (i + n == s.n || !is_word(s.p[i + n]))) {
            return true;
        }
    }
    return false;
}

static bool templates_query(const struct rule_state *s)
{
    bool calls = false;
    for (uint32_t i = 0; i < s->labels_n && s->rule->is_alert; i++) {
        calls = calls || calls_query(s->labels[i].value);
    }
    for (uint32_t i = 0; i < s->rule->annotations_n; i++) {
        calls = calls || calls_query(s->rule->annotations[i].value);
    }
    return calls;
}

static uint32_t id_of(struct scan *s, struct str name)
{
    const uint32_t id = intern_add(&s->names, name);
    s->failed = s->failed || id == INTERN_FULL;
    return id;
}

static void add_use(struct scan *s, struct uses *to, struct str name, struct str alert)
{
    union {
        struct use **from;
        void **to;
    } u = {.from = &to->v};
    if (!mem_array_grow(&s->mem, u.to, &to->cap, (size_t)to->n + 1, UINT32_MAX, sizeof to->v[0])) {
        s->failed = true;
        return;
    }
    to->v[to->n++] = (struct use){id_of(s, name), alert.n ? id_of(s, alert) : ANY, s->rule};
}

/* For promql_selectors. */
static void on_selector(void *ctx, const struct matcher *m, uint32_t n)
{
    struct scan *s = ctx;
    struct str name = {0};
    struct str alert = {0};
    for (uint32_t i = 0; i < n; i++) {
        if (m[i].op == MATCH_EQ && str_eq(m[i].name, STR(LABEL_NAME))) {
            name = m[i].value;
        } else if (m[i].op == MATCH_EQ && str_eq(m[i].name, STR("alertname"))) {
            alert = m[i].value;
        }
    }
    if (name.n == 0) {
        s->alone = true;
    } else {
        add_use(s, &s->reads, name, alert);
    }
}

static void look_at(struct scan *s, uint32_t i, bool *alone)
{
    const struct rule_state *r = &s->g->rules[i];
    s->rule = i;
    s->alone = str_contains(r->expr, STR("info(")) || templates_query(r);
    promql_selectors(r->rule->expr, on_selector, s);
    if (r->rule->is_alert) {
        add_use(s, &s->writes, STR("ALERTS"), r->rule->name);
        add_use(s, &s->writes, STR("ALERTS_FOR_STATE"), r->rule->name);
    } else {
        add_use(s, &s->writes, r->rule->name, (struct str){0});
    }
    *alone = s->alone;
}

static bool is_fixed(struct str value)
{
    return !str_contains(value, STR("{{"));
}

/* Do the labels that they set keep their series apart? */
static bool apart(const struct rule_state *a, const struct rule_state *b)
{
    for (uint32_t i = 0, k = 0; i < a->labels_n && k < b->labels_n;) {
        const struct rule_pair x = a->labels[i];
        const struct rule_pair y = b->labels[k];
        const int order = str_cmp(x.name, y.name);
        if (order == 0 && !str_eq(x.value, y.value) && is_fixed(x.value) && is_fixed(y.value)) {
            return true;
        }
        i += order <= 0;
        k += order >= 0;
    }
    return false;
}

static void add_edge(struct scan *s, const struct use *a, const struct use *b)
{
    union {
        uint64_t **from;
        void **to;
    } u = {.from = &s->edges};
    const bool other_alert = a->alert != ANY && b->alert != ANY && a->alert != b->alert;
    if (a->rule == b->rule || other_alert || s->too_many) {
        return;
    }
    if (s->edges_n == EDGES_MAX) {
        s->too_many = true;
        return;
    }
    if (!mem_array_grow(&s->mem, u.to, &s->edges_cap, (size_t)s->edges_n + 1, EDGES_MAX,
                        sizeof s->edges[0])) {
        s->failed = true;
        return;
    }
    const uint32_t from = a->rule < b->rule ? a->rule : b->rule;
    const uint32_t to = a->rule < b->rule ? b->rule : a->rule;
    s->edges[s->edges_n++] = (uint64_t)from << 32 | to;
}

static int by_name(const void *a, const void *b)
{
    const uint32_t x = ((const struct use *)a)->name;
    const uint32_t y = ((const struct use *)b)->name;
    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void sort_uses(struct uses *u)
{
    if (u->n) {
        qsort(u->v, u->n, sizeof u->v[0], by_name);
    }
}

/* Writers of a name against its readers and against each other. */
static void find_edges(struct scan *s)
{
    const struct uses *w = &s->writes;
    const struct uses *r = &s->reads;
    const struct rule_state *rules = s->g->rules;
    sort_uses(&s->writes);
    sort_uses(&s->reads);
    for (uint32_t i = 0, k = 0; i < w->n && !s->failed && !s->too_many; i++) {
        while (k < r->n && r->v[k].name < w->v[i].name) {
            k++;
        }
        for (uint32_t x = k; x < r->n && r->v[x].name == w->v[i].name; x++) {
            add_edge(s, &w->v[i], &r->v[x]);
        }
        for (uint32_t x = i + 1; x < w->n && w->v[x].name == w->v[i].name; x++) {
            if (!apart(&rules[w->v[i].rule], &rules[w->v[x].rule])) {
                add_edge(s, &w->v[i], &w->v[x]);
            }
        }
    }
    uint32_t kept = 0;
    if (s->edges_n) {
        qsort(s->edges, s->edges_n, sizeof s->edges[0], by_value);
    }
    for (uint32_t i = 0; i < s->edges_n; i++) {
        if (i == 0 || s->edges[i] != s->edges[i - 1]) {
            s->edges[kept++] = s->edges[i];
        }
    }
    s->edges_n = kept;
}

static bool take_edges(const struct scan *s, struct rule_order *o, struct arena *a)
{
    const uint32_t n = s->g->rules_n;
    o->after = ARENA_ARRAY(a, uint32_t, s->edges_n + 1);
    if (!o->after) {
        return false;
    }
    for (uint32_t i = 0; i < s->edges_n; i++) {
        const uint32_t from = (uint32_t)(s->edges[i] >> 32);
        const uint32_t to = (uint32_t)s->edges[i];
        ASSERT(from < to);
        ASSERT(to < n);
        o->after[i] = to;
        o->first[from + 1]++;
        o->waits[to]++;
    }
    for (uint32_t i = 0; i < n; i++) {
        o->first[i + 1] += o->first[i];
    }
    return true;
}

bool rule_order_make(const struct group *g, struct arena *a, struct rule_order *o)
{
    struct scan s = {.g = g};
    const uint32_t n = g->rules_n;
    mem_init(&s.mem, g->mem.bytes_max);
    intern_init(&s.names, &s.mem, NAMES_MAX);
    o->waits = ARENA_ARRAY(a, uint32_t, n + 1);
    o->first = ARENA_ARRAY(a, uint32_t, n + 1);
    o->alone = ARENA_ARRAY(a, bool, n + 1);
    bool ok = o->waits && o->first && o->alone;
    for (uint32_t i = 0; ok && i < n; i++) {
        look_at(&s, i, &o->alone[i]);
    }
    if (ok) {
        find_edges(&s);
    }
    if (s.too_many) {
        s.edges_n = 0;
        memset(o->alone, true, n);
    }
    ok = ok && !s.failed && take_edges(&s, o, a);
    mem_give(&s.mem, s.edges, s.edges_cap * sizeof s.edges[0]);
    mem_give(&s.mem, s.reads.v, s.reads.cap * sizeof s.reads.v[0]);
    mem_give(&s.mem, s.writes.v, s.writes.cap * sizeof s.writes.v[0]);
    intern_release(&s.names);
    return ok;
}

/* --- one evaluation ------------------------------------------------------------------------- */

bool rule_turn_make(struct group *g)
{
    g->turn.waits = ARENA_ARRAY(&g->arena, uint32_t, g->rules_n + 1);
    g->turn.taken = ARENA_ARRAY(&g->arena, bool, g->rules_n + 1);
    return g->turn.waits && g->turn.taken;
}

void rule_turn_begin(struct group *g, int64_t ts_ms)
{
    struct rule_turn *t = &g->turn;
    memcpy(t->waits, g->order.waits, g->rules_n * sizeof t->waits[0]);
    memset(t->taken, 0, g->rules_n * sizeof t->taken[0]);
    t->low = t->done = 0;
    t->ts_ms = ts_ms;
}

uint32_t rule_turn_next(const struct group *g)
{
    const struct rule_turn *t = &g->turn;
    for (uint32_t i = t->low; i < g->rules_n; i++) {
        if (g->order.alone[i] && (t->taken[i] || t->done < i)) {
            return RULE_NONE;
        }
        if (!t->taken[i] && t->waits[i] == 0) {
            return i;
        }
    }
    return RULE_NONE;
}

void rule_turn_take(struct group *g, uint32_t i)
{
    struct rule_turn *t = &g->turn;
    ASSERT(!t->taken[i]);
    ASSERT(t->waits[i] == 0);
    t->taken[i] = true;
    /* One that stands alone is passed only when it is done: it holds up all after it. */
    while (t->low < g->rules_n && t->taken[t->low] && !g->order.alone[t->low]) {
        t->low++;
    }
}

void rule_turn_done(struct group *g, uint32_t i)
{
    struct rule_turn *t = &g->turn;
    ASSERT(t->taken[i]);
    t->done++;
    for (uint32_t k = g->order.first[i]; k < g->order.first[i + 1]; k++) {
        ASSERT(t->waits[g->order.after[k]] > 0);
        t->waits[g->order.after[k]]--;
    }
    if (g->order.alone[i]) {
        ASSERT(t->low == i);
        ASSERT(t->done == i + 1);
        t->low++;
    }
}
