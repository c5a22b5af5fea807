/* The evaluation of a rule: on a fresh view, so that it sees what the ones before it wrote; results
 * to the store, stale markers for series that are no longer given. Rules of one group that do not
 * touch each other's series may be here on several threads (deps.c says which).
 *
 * A rule that fails keeps its series as they are: their markers come when it works again without
 * them. Results are not synced one by one: they can be computed again. */
#include "engines/rules/engine_int.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static int by_ref(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool query(struct rule_run *run, struct promql_result *res, struct err *e)
{
    struct promql_query q = run->q;
    enum promql_failure why = PROMQL_BAD;
    q.expr = run->s->rule->expr;
    q.text = run->s->rule->text;
    q.start_ms = q.end_ms = run->t_ms;
    if (!promql_eval(&q, run->a, res, &why, e)) {
        run->whole = res->string; /* e may have had to cut it */
        return false;
    }
    if (res->type == PROMQL_SCALAR) {
        struct promql_series *s = ARENA_NEW(run->a, struct promql_series);
        if (!s) {
            return err_set(e, ERR_LIMIT, "no memory for the result");
        }
        s->samples = &res->scalar;
        s->n = 1;
        res->series = s;
        res->series_n = 1;
        return true;
    }
    return res->type == PROMQL_VECTOR ||
           err_set(e, ERR_INPUT, "rule result is not a vector or scalar");
}

/* --- recording rules -------------------------------------------------------------------------- */

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct rule_out *)a)->ls, ((const struct rule_out *)b)->ls);
}

static bool record_one(struct rule_run *run, const struct promql_series *p, struct rule_out *out,
                       struct err *e)
{
    const struct rule_state *s = run->s;
    struct label *v = ARENA_ARRAY(run->a, struct label, p->labels.n + s->labels_n + 2);
    uint32_t n = 0;
    bool ok = v && p->labels.n < LABELS_COUNT_MAX;
    for (uint32_t i = 0; ok && i < p->labels.n; i++) {
        v[n++] = p->labels.v[i];
    }
    ok = ok && label_set(v, &n, STR(LABEL_NAME), s->rule->name);
    for (uint32_t i = 0; ok && i < s->labels_n; i++) {
        ok = label_set(v, &n, s->labels[i].name, s->labels[i].value);
    }
    if (!ok) {
        return err_set(e, ERR_LIMIT, "a result has more than %d labels, or needs too much memory",
                       LABELS_COUNT_MAX);
    }
    if (!labels_normalize(v, &n, e)) {
        return false;
    }
    *out = (struct rule_out){{v, n}, p->samples->v, p->samples->h};
    return true;
}

static bool record(struct rule_run *run, const struct promql_result *res, struct rule_outs *out,
                   struct err *e)
{
    out->v = ARENA_ARRAY(run->a, struct rule_out, res->series_n + 1);
    if (!out->v) {
        return err_set(e, ERR_LIMIT, "no memory for the result");
    }
    for (uint32_t i = 0; i < res->series_n; i++) {
        if (!record_one(run, &res->series[i], &out->v[out->n], e)) {
            return false;
        }
        out->n++;
    }
    qsort(out->v, out->n, sizeof out->v[0], by_labels);
    for (uint32_t i = 1; i < out->n; i++) {
        if (labels_eq(out->v[i - 1].ls, out->v[i].ls)) {
            return err_set(e, ERR_INPUT,
                           "vector contains metrics with the same labelset after "
                           "applying rule labels");
        }
    }
    uint32_t limit = run->g->g->limit;
    if (limit > 0 && out->n > limit) {
        return err_set(e, ERR_LIMIT, "exceeded limit of %u with %u series", limit, out->n);
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool commit(struct rules *r, struct tsdb_batch *b, struct tsdb_result *res, struct err *e)
{
    if (tsdb_batch_count(b) == 0) {
        return true;
    }
    for (int tries = 0; tries < 50; tries++) {
        if (tsdb_commit_wait(r->db, b, TSDB_NO_FUTURE_CHECK | TSDB_NO_SYNC, res, e)) {
            return true;
        }
        if (!e || e->code != ERR_BUSY) {
            break;
        }
        r->os->sleep_ns(r->os->ctx, 20000000);
    }
    atomic_fetch_add(&r->write_failures, 1);
    return false;
}

static bool refused(const struct tsdb_result *res, struct err *e)
{
    static const char *const why[TSDB_REFUSALS] = {
        "out of order sample",         "duplicate sample for timestamp",
        "sample older than retention", "sample in the future",
        "series was dropped",          "memory of the store is full"};
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        if (res->refused[i]) {
            return !err_set(e, ERR_INPUT, "%llu results refused: %s",
                            (unsigned long long)res->refused[i], why[i]);
        }
    }
    return false;
}

/* Markers for what was seen before and is not among refs; both ascend. */
static bool add_gone(struct rule_run *run, struct tsdb_batch *b, const uint32_t *refs, uint32_t n,
                     struct err *e)
{
    const struct rule_state *s = run->s;
    uint32_t k = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < s->seen_n; i++) {
        while (k < n && refs[k] < s->seen[i]) {
            k++;
        }
        if (k == n || refs[k] != s->seen[i]) {
            ok = tsdb_batch_add(b, s->seen[i], run->t_ms, stale_nan(), e);
        }
    }
    return ok;
}

static bool remember(struct rule_run *run, const uint32_t *refs, uint32_t n, struct err *e)
{
    struct rule_state *s = run->s;
    union {
        uint32_t **from;
        void **to;
    } u = {.from = &s->seen};
    (void)pthread_mutex_lock(&run->g->mu);
    const bool room =
        mem_array_grow(&run->g->mem, u.to, &s->seen_cap, n, UINT32_MAX, sizeof s->seen[0]);
    (void)pthread_mutex_unlock(&run->g->mu);
    if (!room) {
        return err_set(e, ERR_LIMIT, "no memory to remember the series of the rule");
    }
    if (n) {
        memcpy(s->seen, refs, n * sizeof refs[0]);
    }
    s->seen_n = n;
    return true;
}

static bool write_outs(struct rule_run *run, const struct rule_outs *out, struct err *e)
{
    struct rules *r = run->g->engine;
    if (out->n == 0 && run->s->seen_n == 0) {
        return true;
    }
    uint32_t *refs = ARENA_ARRAY(run->a, uint32_t, out->n + 1);
    struct tsdb_batch *b = tsdb_batch_new(run->scratch, RULES_BATCH_BYTES);
    struct tsdb_result res = {0};
    bool ok = (refs && b) || err_set(e, ERR_LIMIT, "no memory for the results");
    for (uint32_t i = 0; ok && i < out->n; i++) {
        const struct rule_out *o = &out->v[i];
        ok = tsdb_series(r->db, r->source, o->ls, &refs[i], e) &&
             (o->h ? tsdb_batch_add_nhist(b, refs[i], run->t_ms, 0, o->h, e)
                   : tsdb_batch_add(b, refs[i], run->t_ms, o->v, e));
    }
    if (ok) {
        qsort(refs, out->n, sizeof refs[0], by_ref);
    }
    ok = ok && add_gone(run, b, refs, out->n, e) && commit(r, b, &res, e);
    ok = ok && remember(run, refs, out->n, e);
    if (ok && refused(&res, e)) {
        ok = false;
    }
    tsdb_batch_free(b);
    atomic_fetch_add(&r->samples, out->n);
    return ok;
}

void group_mark_stale(struct rules *r, const uint32_t *refs, uint32_t n, int64_t t_ms)
{
    struct mem m;
    struct err e = {0};
    struct tsdb_result res = {0};
    mem_init(&m, 0);
    struct tsdb_batch *b = tsdb_batch_new(&m, RULES_BATCH_BYTES);
    bool ok = b != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = tsdb_batch_add(b, refs[i], t_ms, stale_nan(), &e);
    }
    /* Refused ones were written by another rule meanwhile: then they are not stale. */
    if (!ok || !commit(r, b, &res, &e)) {
        log_line(r->log, LOG_WARN, "rules", "%u stale markers could not be written: %s", n, e.msg);
    }
    tsdb_batch_free(b);
}

/* --- evaluating ------------------------------------------------------------------------------- */

static struct promql_query query_of(struct group *g, struct tsdb_view *v, struct mem *scratch)
{
    const struct rules_config *c = &g->engine->c;
    const struct os *os = g->engine->os;
    return (struct promql_query){.source = promql_source_tsdb(v),
                                 .lookback_ms = c->lookback_ms,
                                 .subquery_step_ms = c->interval_ms,
                                 .flags = c->promql_flags & PROMQL_ALL_FLAGS,
                                 .samples_max = c->samples_max,
                                 .series_max = c->series_max,
                                 .bytes_max = c->query_bytes_max,
                                 .deadline_mono_ns =
                                     c->timeout_ms ? os_mono_ns(os) + ns_from_ms(c->timeout_ms) : 0,
                                 .os = os,
                                 .threads = 1,
                                 .mem = scratch};
}

/* whole (RULES_ERROR_BYTES): the message of a failure that e had to cut. */
static bool eval_rule(struct group *g, struct rule_state *s, int64_t ts_ms, char *whole,
                      struct err *e)
{
    struct rules *r = g->engine;
    struct mem scratch;
    struct arena a;
    struct tsdb_view *view = NULL;
    mem_init(&scratch, r->c.query_bytes_max);
    arena_init(&a, &scratch, SIZE_MAX);
    struct rule_run run = {.g = g,
                           .s = s,
                           .a = &a,
                           .scratch = &scratch,
                           .ts_ms = ts_ms,
                           .t_ms = ts_ms - g->query_offset_ms};
    struct rule_outs out = {0};
    struct promql_result *res = ARENA_NEW(&a, struct promql_result);
    bool ok = res || err_set(e, ERR_LIMIT, "no memory to evaluate the rule");
    ok = ok && tsdb_view_open(r->db, &view, e);
    if (ok) {
        run.q = query_of(g, view, &scratch);
        ok = query(&run, res, e) &&
             (s->rule->is_alert ? alert_update(&run, res, &out, e) : record(&run, res, &out, e));
    }
    if (ok && s->rule->is_alert) {
        alert_send(&run);
    }
    ok = ok && write_outs(&run, &out, e);
    (void)snprintf(whole, RULES_ERROR_BYTES, "%.*s", STR_FMT(run.whole));
    if (view) {
        tsdb_view_close(view);
    }
    arena_release(&a);
    ASSERT(scratch.bytes == 0);
    return ok;
}

static void note_result(struct group *g, struct rule_state *s, bool ok, const char *why,
                        int64_t ts_ms, int64_t ns)
{
    (void)pthread_mutex_lock(&g->mu);
    s->evaluated = true;
    s->failed = !ok;
    s->evaluations++;
    s->failures += !ok;
    s->last_ms = ts_ms;
    s->last_ns = ns;
    s->error[0] = 0;
    if (!ok) {
        (void)snprintf(s->error, sizeof s->error, "%s", why);
    }
    (void)pthread_mutex_unlock(&g->mu);
    if (!ok) {
        log_line(g->engine->log, LOG_WARN, "rules", "rule %.*s of group %.*s failed: %s",
                 STR_FMT(str_sub(s->rule->name, 0, 100)), STR_FMT(str_sub(g->g->name, 0, 100)),
                 why);
    }
}

void group_eval_rule(struct group *g, uint32_t i, int64_t ts_ms)
{
    const struct os *os = g->engine->os;
    struct err e = {0};
    int64_t t = os_mono_ns(os);
    char whole[RULES_ERROR_BYTES];
    bool ok = eval_rule(g, &g->rules[i], ts_ms, whole, &e);
    note_result(g, &g->rules[i], ok, whole[0] ? whole : e.msg, ts_ms, os_mono_ns(os) - t);
}

void group_eval_end(struct group *g)
{
    const int64_t ts_ms = g->turn.ts_ms;
    if (g->stale_n) {
        group_mark_stale(g->engine, g->stale, g->stale_n, ts_ms - g->query_offset_ms);
        mem_give(&g->mem, g->stale, g->stale_cap * sizeof g->stale[0]);
        g->stale = NULL;
        g->stale_cap = 0;
        g->stale_n = 0;
    }
    (void)pthread_mutex_lock(&g->mu);
    g->last_ms = ts_ms;
    g->last_ns = os_mono_ns(g->engine->os) - g->turn.begin_ns;
    g->iterations++;
    (void)pthread_mutex_unlock(&g->mu);
}

void group_eval(struct group *g, int64_t ts_ms)
{
    g->turn.ts_ms = ts_ms;
    g->turn.begin_ns = os_mono_ns(g->engine->os);
    for (uint32_t i = 0; i < g->rules_n; i++) {
        group_eval_rule(g, i, ts_ms);
    }
    group_eval_end(g);
}
