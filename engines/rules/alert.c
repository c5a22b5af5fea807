/* Alerts: one state per label set, moved on by each evaluation.
 *
 *                 value there                 for is over
 *     (absent) ---------------> pending -----------------------> firing
 *        ^                         | absent: forgotten             | absent and keep_firing_for
 * over
 *        |                         v                               v
 *        +---- 15 min later -------+------------------------- resolved (inactive), sent again
 *
 * Invariants: labels of alerts of one rule differ; a failed evaluation changes nothing, but for a
 * limit that is exceeded, which drops all state. Source: Prometheus' rules and its documentation of
 * alerting rules; alert generator compliance specification. */
#include "engines/rules/engine_int.h"

#include "engines/rules/tpl_int.h"

#include <stdlib.h>

const char *alert_state_name(enum alert_state s)
{
    return s == ALERT_FIRING ? "firing" : s == ALERT_PENDING ? "pending" : "inactive";
}

bool owned_labels_set(struct owned_labels *o, struct mem *m, struct labels ls)
{
    if (o->ls.v && labels_eq(o->ls, ls)) {
        return true;
    }
    size_t bytes = ls.n * sizeof(struct label) + 1;
    for (uint32_t i = 0; i < ls.n; i++) {
        bytes += ls.v[i].name.n + ls.v[i].value.n;
    }
    struct label *v = mem_take(m, bytes);
    if (!v) {
        return false;
    }
    char *p = (char *)(v + ls.n);
    for (uint32_t i = 0; i < ls.n; i++) {
        const struct str part[2] = {ls.v[i].name, ls.v[i].value};
        struct str copy[2];
        for (int k = 0; k < 2; k++) {
            if (part[k].n) {
                memcpy(p, part[k].p, part[k].n);
            }
            copy[k] = str_of(p, part[k].n);
            p += part[k].n;
        }
        v[i] = (struct label){copy[0], copy[1]};
    }
    owned_labels_release(o, m);
    *o = (struct owned_labels){{v, ls.n}, bytes};
    return true;
}

void owned_labels_release(struct owned_labels *o, struct mem *m)
{
    union {
        const struct label *from;
        void *to;
    } u = {.from = o->ls.v};
    mem_give(m, u.to, o->bytes);
    *o = (struct owned_labels){0};
}

void alerts_release(struct rule_state *s, struct mem *m)
{
    for (uint32_t i = 0; i < s->alerts_n; i++) {
        owned_labels_release(&s->alerts[i].labels, m);
        owned_labels_release(&s->alerts[i].notes, m);
    }
    mem_give(m, s->alerts, s->alerts_cap * sizeof s->alerts[0]);
    s->alerts = NULL;
    s->alerts_cap = 0;
    s->alerts_n = 0;
}

bool label_set(struct label *v, uint32_t *n, struct str name, struct str value)
{
    uint32_t i = 0;
    while (i < *n && !str_eq(v[i].name, name)) {
        i++;
    }
    if (i == RULES_LABELS_MAX) {
        return false;
    }
    *n += i == *n;
    v[i] = (struct label){name, value};
    return true;
}

/* --- what the query gave ---------------------------------------------------------------------- */

struct found {
    struct labels labels, notes;
    uint64_t hash;
    double value;
    uint32_t alert; /* place in the state; UINT32_MAX: new */
};

static struct str expand(struct rule_run *run, const struct rules_template_data *d, struct str text)
{
    struct buf b;
    buf_init(&b, run->a->mem, TPL_BYTES_MAX + 1024);
    struct buf name;
    buf_init(&name, run->a->mem, TPL_BYTES_MAX);
    BUF_LIT(&name, "__alert_");
    buf_str_add(&name, run->s->rule->name);
    rules_template_expand(buf_str(&name), text, d, run->a, &b);
    struct str s = b.failed ? (struct str){0} : b.n ? arena_str(run->a, buf_str(&b)) : STR("");
    buf_release(&name);
    buf_release(&b);
    return s;
}

static bool too_many(struct err *e)
{
    return err_set(e, ERR_LIMIT, "an alert has more than %d labels, or they need too much memory",
                   RULES_LABELS_MAX);
}

static bool find_one(struct rule_run *run, const struct promql_series *p, struct found *f,
                     struct err *e)
{
    const struct rules *r = run->g->engine;
    const struct rule *rule = run->s->rule;
    const struct rules_template_data d = {.labels = p->labels,
                                          .external_labels = r->external->ls,
                                          .value = p->samples->v,
                                          .hist = p->samples->h,
                                          .external_url = r->c.external_url,
                                          .t_ms = run->ts_ms,
                                          .query = run->q};
    struct label *v = ARENA_ARRAY(run->a, struct label, RULES_LABELS_MAX);
    struct label *notes = ARENA_ARRAY(run->a, struct label, rule->annotations_n + 1);
    uint32_t n = 0;
    bool ok = v && notes && p->labels.n < RULES_LABELS_MAX;
    for (uint32_t i = 0; ok && i < p->labels.n; i++) {
        if (!str_eq(p->labels.v[i].name, STR(LABEL_NAME))) {
            v[n++] = p->labels.v[i];
        }
    }
    for (uint32_t i = 0; ok && i < run->s->labels_n; i++) {
        struct str value = expand(run, &d, run->s->labels[i].value);
        ok = value.p && label_set(v, &n, run->s->labels[i].name, value);
    }
    if (!ok || !label_set(v, &n, STR("alertname"), rule->name)) {
        return too_many(e);
    }
    for (uint32_t i = 0; i < rule->annotations_n; i++) {
        notes[i].name = rule->annotations[i].name;
        notes[i].value = expand(run, &d, rule->annotations[i].value);
        if (!notes[i].value.p) {
            return too_many(e);
        }
    }
    if (!labels_normalize(v, &n, e)) {
        return false;
    }
    f->labels = (struct labels){v, n};
    f->notes = (struct labels){notes, rule->annotations_n};
    f->hash = labels_hash(f->labels);
    f->value = p->samples->v;
    f->alert = UINT32_MAX;
    return true;
}

/* Open addressing over the alerts that are there and the results before this one. */
struct table {
    uint32_t *slots; /* 0 = free, i + 1: alert i, or result i - alerts_n */
    size_t mask;
};

static struct labels labels_of(const struct rule_state *s, const struct found *f, uint32_t i,
                               uint64_t *hash)
{
    if (i < s->alerts_n) {
        *hash = s->alerts[i].hash;
        return s->alerts[i].labels.ls;
    }
    *hash = f[i - s->alerts_n].hash;
    return f[i - s->alerts_n].labels;
}

/* Place of equal labels, or UINT32_MAX after adding `self`. */
static uint32_t table_add(struct table *t, const struct rule_state *s, const struct found *f,
                          uint32_t self)
{
    uint64_t hash = 0;
    struct labels ls = labels_of(s, f, self, &hash);
    for (size_t k = hash & t->mask;; k = (k + 1) & t->mask) {
        if (t->slots[k] == 0) {
            t->slots[k] = self + 1;
            return UINT32_MAX;
        }
        uint64_t other = 0;
        struct labels have = labels_of(s, f, t->slots[k] - 1, &other);
        if (other == hash && labels_eq(have, ls)) {
            return t->slots[k] - 1;
        }
    }
}

/* Labels of each result and the alert it belongs to; *hit says which alerts have one. */
static bool find_all(struct rule_run *run, const struct promql_series *p, uint32_t n,
                     struct found **out, bool **hit, struct err *e)
{
    const struct rule_state *s = run->s;
    struct table t = {.mask = 15};
    while (t.mask < ((size_t)s->alerts_n + n) * 2) {
        t.mask = t.mask * 2 + 1;
    }
    t.slots = ARENA_ARRAY(run->a, uint32_t, t.mask + 1);
    struct found *f = ARENA_ARRAY(run->a, struct found, n + 1);
    *hit = ARENA_ARRAY(run->a, bool, s->alerts_n + 1);
    if (!t.slots || !f || !*hit) {
        return err_set(e, ERR_LIMIT, "no memory for the alerts of the rule");
    }
    for (uint32_t i = 0; i < s->alerts_n; i++) {
        (void)table_add(&t, s, f, i);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!find_one(run, &p[i], &f[i], e)) {
            return false;
        }
        uint32_t at = table_add(&t, s, f, s->alerts_n + i);
        if (at != UINT32_MAX && (at >= s->alerts_n || (*hit)[at])) {
            return err_set(e, ERR_INPUT,
                           "vector contains metrics with the same labelset after "
                           "applying alert labels");
        }
        if (at != UINT32_MAX) {
            f[i].alert = at;
            (*hit)[at] = true;
        }
    }
    *out = f;
    return true;
}

/* --- the state -------------------------------------------------------------------------------- */

static void begin(struct alert *a, int64_t ts)
{
    a->state = ALERT_PENDING;
    a->active_ms = ts;
    a->fired_ms = a->resolved_ms = a->sent_ms = a->valid_ms = a->keep_ms = T_MS_NONE;
}

static bool take_results(struct rule_run *run, const struct found *f, uint32_t n, struct err *e)
{
    struct rule_state *s = run->s;
    struct mem *m = &run->g->mem;
    size_t want = (size_t)s->alerts_n + n;
    union {
        struct alert **from;
        void **to;
    } u = {.from = &s->alerts};
    bool ok = mem_array_grow(m, u.to, &s->alerts_cap, want, SIZE_MAX / sizeof s->alerts[0],
                             sizeof s->alerts[0]);
    for (uint32_t i = 0; ok && i < n; i++) {
        bool is_new = f[i].alert == UINT32_MAX;
        struct alert *a = &s->alerts[is_new ? s->alerts_n : f[i].alert];
        if (is_new) {
            *a = (struct alert){.hash = f[i].hash};
            ok = owned_labels_set(&a->labels, m, f[i].labels);
            s->alerts_n += ok;
        }
        if (ok && (is_new || a->state == ALERT_INACTIVE)) {
            begin(a, run->ts_ms);
        }
        ok = ok && owned_labels_set(&a->notes, m, f[i].notes);
        a->value = f[i].value;
    }
    return ok || err_set(e, ERR_LIMIT, "no memory for the alerts of the rule");
}

/* One step of an alert that the query did not give. true: it is still active. */
static bool step_absent(struct alert *a, const struct rule *rule, int64_t ts, bool *forget)
{
    bool keep = false;
    if (a->state == ALERT_FIRING && rule->keep_firing_ms > 0) {
        a->keep_ms = a->keep_ms == T_MS_NONE ? ts : a->keep_ms;
        keep = ts - a->keep_ms < rule->keep_firing_ms;
    }
    *forget = a->state == ALERT_PENDING ||
              (a->resolved_ms != T_MS_NONE && ts - a->resolved_ms > RESOLVED_KEEP_MS);
    if (a->state != ALERT_INACTIVE && !keep) {
        a->state = ALERT_INACTIVE;
        a->resolved_ms = ts;
    }
    return keep;
}

static void step_state(struct alert *a, const struct rule *rule, int64_t ts)
{
    bool waited = ts - a->active_ms >= rule->for_ms;
    if (a->state == ALERT_PENDING && waited) {
        a->state = ALERT_FIRING;
        a->fired_ms = ts;
    } else if (a->state == ALERT_FIRING && !waited) {
        /* A reload raised "for". */
        a->state = ALERT_PENDING;
        a->fired_ms = T_MS_NONE;
    }
}

static bool add_series(struct rule_run *run, const struct alert *a, struct rule_outs *out)
{
    for (int kind = 0; kind < 2; kind++) {
        struct label *v = ARENA_ARRAY(run->a, struct label, RULES_LABELS_MAX);
        if (!v || a->labels.ls.n + 3 > RULES_LABELS_MAX) {
            return false;
        }
        uint32_t n = 0;
        for (uint32_t i = 0; i < a->labels.ls.n; i++) {
            v[n++] = a->labels.ls.v[i];
        }
        struct err e = {0};
        bool ok =
            label_set(v, &n, STR(LABEL_NAME), kind ? STR("ALERTS_FOR_STATE") : STR("ALERTS")) &&
            (kind || label_set(v, &n, STR("alertstate"), str_from_c(alert_state_name(a->state))));
        if (!ok || !labels_normalize(v, &n, &e)) {
            return false;
        }
        int64_t s = a->active_ms / 1000 - (a->active_ms % 1000 < 0);
        out->v[out->n++] = (struct rule_out){{v, n}, kind ? (double)s : 1, NULL};
    }
    return true;
}

/* Every alert moves one step; hit covers those that were there before the results. */
static bool step_all(struct rule_run *run, const bool *hit, uint32_t hits, struct rule_outs *out,
                     struct err *e)
{
    struct rule_state *s = run->s;
    uint32_t active = 0;
    uint32_t kept = 0;
    bool ok = true;
    out->v = ARENA_ARRAY(run->a, struct rule_out, (size_t)s->alerts_n * 2 + 1);
    if (!out->v) {
        return err_set(e, ERR_LIMIT, "no memory for the alerts of the rule");
    }
    for (uint32_t i = 0; i < s->alerts_n; i++) {
        struct alert *a = &s->alerts[i];
        bool forget = false;
        bool on = true;
        if (i < hits && !hit[i]) {
            on = step_absent(a, s->rule, run->ts_ms, &forget);
        } else {
            a->keep_ms = T_MS_NONE;
            step_state(a, s->rule, run->ts_ms);
        }
        active += on;
        if (on && s->restored) {
            ok = ok && add_series(run, a, out);
        }
        if (forget) {
            owned_labels_release(&a->labels, &run->g->mem);
            owned_labels_release(&a->notes, &run->g->mem);
        } else {
            s->alerts[kept++] = *a;
        }
    }
    s->alerts_n = kept;
    uint32_t limit = run->g->g->limit;
    if (limit > 0 && active > limit) {
        alerts_release(s, &run->g->mem);
        return err_set(e, ERR_LIMIT, "exceeded limit of %u with %u alerts", limit, active);
    }
    return ok || err_set(e, ERR_LIMIT, "no memory for the alerts of the rule");
}

bool alert_update(struct rule_run *run, const struct promql_result *res, struct rule_outs *out,
                  struct err *e)
{
    struct found *f = NULL;
    bool *hit = NULL;
    if (!find_all(run, res->series, res->series_n, &f, &hit, e)) {
        return false;
    }
    (void)pthread_mutex_lock(&run->g->mu);
    uint32_t before = run->s->alerts_n;
    bool ok = take_results(run, f, res->series_n, e) && step_all(run, hit, before, out, e);
    (void)pthread_mutex_unlock(&run->g->mu);
    return ok;
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool needs_sending(const struct alert *a, int64_t ts, int64_t resend_ms)
{
    if (a->state == ALERT_PENDING) {
        return false;
    }
    if (a->sent_ms == T_MS_NONE || (a->resolved_ms != T_MS_NONE && a->resolved_ms > a->sent_ms)) {
        return true;
    }
    return a->sent_ms + resend_ms < ts;
}

/* The alert's labels and the external ones that it has not. */
static bool with_external(struct rule_run *run, struct labels ls, struct labels *out)
{
    const struct labels ext = run->g->engine->external->ls;
    struct label *v = ARENA_ARRAY(run->a, struct label, ls.n + ext.n + 1);
    uint32_t n = 0;
    struct err e = {0};
    if (!v) {
        return false;
    }
    for (uint32_t i = 0; i < ls.n; i++) {
        v[n++] = ls.v[i];
    }
    for (uint32_t i = 0; i < ext.n; i++) {
        if (!labels_get(ls, ext.v[i].name).n) {
            v[n++] = ext.v[i];
        }
    }
    *out = (struct labels){v, n};
    if (!labels_normalize(v, &n, &e)) {
        return false;
    }
    out->n = n;
    return true;
}

void alert_send(struct rule_run *run)
{
    struct rules *r = run->g->engine;
    struct rule_state *s = run->s;
    struct rules_alert *v = ARENA_ARRAY(run->a, struct rules_alert, s->alerts_n + 1);
    uint32_t n = 0;
    struct buf url;
    buf_init(&url, run->a->mem, TPL_BYTES_MAX);
    buf_str_add(&url, r->c.external_url);
    BUF_LIT(&url, "/graph?g0.expr=");
    rules_url_escape(&url, s->expr);
    BUF_LIT(&url, "&g0.tab=1");
    int64_t keep = 4 * i64_max(run->g->interval_ms, r->c.resend_delay_ms);
    (void)pthread_mutex_lock(&run->g->mu);
    for (uint32_t i = 0; v && i < s->alerts_n; i++) {
        struct alert *a = &s->alerts[i];
        if (!needs_sending(a, run->ts_ms, r->c.resend_delay_ms) ||
            !with_external(run, a->labels.ls, &v[n].labels)) {
            continue;
        }
        a->sent_ms = run->ts_ms;
        a->valid_ms = run->ts_ms + keep;
        v[n].annotations = a->notes.ls;
        v[n].starts_ms = a->fired_ms;
        v[n].ends_ms = a->resolved_ms != T_MS_NONE ? a->resolved_ms : a->valid_ms;
        v[n].generator_url = buf_str(&url);
        n++;
    }
    (void)pthread_mutex_unlock(&run->g->mu);
    if (n > 0 && r->sink.send) {
        r->sink.send(r->sink.ctx, v, n);
        atomic_fetch_add(&r->alerts_sent, n);
    }
    buf_release(&url);
}
