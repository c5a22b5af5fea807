/* The beginning and the end of an evaluation: limits and memory on the way in; names dropped, rows
 * turned into series with text labels, sorted, on the way out. */
#include "engines/promql/eval_int.h"

#include "base/os.h"

#include <stdlib.h>

#define LOOKBACK_MS 300000
#define SAMPLES_MAX 50000000
#define SERIES_MAX  1000000
#define BYTES_MAX   (1ULL << 30)

static bool put_samples(struct eval *ev, const struct row *r, struct arena *a,
                        struct promql_series *s, struct err *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        n += r->has[i] != HAS_NONE;
    }
    s->samples = ARENA_ARRAY(a, struct promql_sample, size_max(n, 1));
    if (s->samples == NULL) {
        return eval_no_memory(ev->q, e);
    }
    const struct nhist *last = NULL;
    const struct nhist *copy = NULL;
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (r->has[i] == HAS_NONE) {
            continue;
        }
        struct promql_sample *x = &s->samples[s->n++];
        *x = (struct promql_sample){grid_t(&ev->grid, i), r->v[i], NULL};
        if (r->has[i] == HAS_HIST) {
            copy = r->h[i] == last ? copy : nhist_copy(r->h[i], a);
            last = r->h[i];
            x->v = 0;
            x->h = copy;
            if (copy == NULL) {
                return eval_no_memory(ev->q, e);
            }
        }
    }
    return true;
}

/* Text of the source lives as long as its view, not as long as the result. */
static bool put_labels(struct query *q, struct lset ls, struct arena *a, struct labels *out,
                       struct err *e)
{
    struct labels text;
    return eval_lset_labels(q, ls, a, &text, e) && labels_copy(text, a, out, e);
}

static bool put_rows(struct eval *ev, const struct mat *m, struct arena *a,
                     struct promql_result *out, struct err *e)
{
    if (m->n > ev->q->series_max) {
        ev->q->why = PROMQL_LIMIT;
        return err_set(e, ERR_LIMIT, "result has more than %u series", ev->q->series_max);
    }
    out->series = ARENA_ARRAY(a, struct promql_series, size_max(m->n, 1));
    if (out->series == NULL) {
        return eval_no_memory(ev->q, e);
    }
    for (uint32_t i = 0; i < m->n; i++) {
        struct promql_series *s = &out->series[out->series_n++];
        if (!put_labels(ev->q, m->rows[i].ls, a, &s->labels, e) ||
            !put_samples(ev, &m->rows[i], a, s, e)) {
            return false;
        }
    }
    return true;
}

static int series_cmp(const void *a, const void *b)
{
    const struct promql_series *x = a;
    const struct promql_series *y = b;
    return labels_cmp(x->labels, y->labels);
}

static bool finish_vector(struct eval *ev, struct plan *p, bool instant, struct arena *a,
                          struct promql_result *out, struct err *e)
{
    struct query *q = ev->q;
    struct mat m;
    if (!eval_all(ev, p, &m, e)) {
        return false;
    }
    if (q->delayed) {
        if (!eval_strip(q, &m, e) || !eval_merge(ev, &m, true, e)) {
            return false;
        }
    }
    if (!put_rows(ev, &m, a, out, e)) {
        return false;
    }
    out->type = instant ? PROMQL_VECTOR : PROMQL_MATRIX;
    if (!instant) {
        qsort(out->series, out->series_n, sizeof *out->series, series_cmp);
    }
    return true;
}

static bool finish_scalar(struct eval *ev, struct plan *p, bool instant, struct arena *a,
                          struct promql_result *out, struct err *e)
{
    double *v;
    if (!eval_scalar(ev, p, &v, e)) {
        return false;
    }
    if (instant) {
        out->type = PROMQL_SCALAR;
        out->scalar = (struct promql_sample){ev->grid.start, v[0], NULL};
        return true;
    }
    struct mat m = {0};
    struct row *r = eval_row_add(ev, &m, ev->q->arena, false);
    if (r == NULL) {
        return eval_no_memory(ev->q, e);
    }
    memset(r->has, HAS_FLOAT, ev->grid.n);
    r->v = v;
    out->type = PROMQL_MATRIX;
    return put_rows(ev, &m, a, out, e);
}

/* A range query gives one value per step, so it takes what has one. */
static bool check_type(struct query *q, const struct plan *p, bool instant, struct err *e)
{
    if (!instant && p->type != PROMQL_SCALAR && p->type != PROMQL_VECTOR) {
        q->why = PROMQL_BAD;
        return eval_fail(q, e,
                         "invalid expression type \"%s\" for range query, must be Scalar or "
                         "instant Vector",
                         promql_type_name(p->type));
    }
    return true;
}

static bool finish(struct eval *ev, struct plan *p, bool instant, struct arena *a,
                   struct promql_result *out, struct err *e)
{
    switch (p->type) {
    case PROMQL_SCALAR: return finish_scalar(ev, p, instant, a, out, e);
    case PROMQL_VECTOR: return finish_vector(ev, p, instant, a, out, e);
    case PROMQL_STRING:
        out->type = PROMQL_STRING;
        out->string = arena_str(a, p->node->u.string);
        return true;
    case PROMQL_MATRIX:
        out->type = PROMQL_MATRIX;
        if (!eval_matrix(ev, p, a, out, e)) {
            return false;
        }
        qsort(out->series, out->series_n, sizeof *out->series, series_cmp);
        return true;
    case PROMQL_NONE: break;
    }
    return eval_fail(ev->q, e, "expression has no type");
}

static bool run(struct query *q, struct arena *a, struct promql_result *out, struct err *e)
{
    const struct promql_query *pq = q->q;
    bool instant = pq->step_ms <= 0;
    if (pq->start_ms < -EVAL_FAR || pq->start_ms > EVAL_FAR || pq->end_ms < -EVAL_FAR ||
        pq->end_ms > EVAL_FAR || pq->step_ms > EVAL_FAR) {
        q->why = PROMQL_BAD;
        return err_set(e, ERR_INPUT, "time or step of a query is out of range");
    }
    struct eval ev = {q, {pq->start_ms, instant ? 1 : pq->step_ms, 1}};
    if (!instant) {
        if (pq->end_ms < pq->start_ms) {
            out->type = PROMQL_MATRIX;
            return true;
        }
        int64_t n = (pq->end_ms - pq->start_ms) / pq->step_ms + 1;
        if (n > INT32_MAX) {
            q->why = PROMQL_LIMIT;
            return err_set(e, ERR_LIMIT, "query has too many steps");
        }
        ev.grid.n = (uint32_t)n;
    }
    struct plan *p;
    if (!eval_plan(q, pq->expr, &p, e)) {
        q->why = q->why == PROMQL_EXECUTION ? PROMQL_BAD : q->why;
        return false;
    }
    const bool asked = pq->explain != PROMQL_EXPLAIN_OFF;
    if (!check_type(q, p, instant, e) || (asked && !explain_attach(q, p, e))) {
        return false;
    }
    bool ok;
    if (pq->explain == PROMQL_EXPLAIN_PLAN) {
        out->type = instant ? PROMQL_VECTOR : PROMQL_MATRIX;
        ok = explain_select(&ev, p, e);
    } else {
        ok = finish(&ev, p, instant, a, out, e);
    }
    if (!ok || (q->sym.failed && !eval_no_memory(q, e))) {
        return false;
    }
    return notes_take(&q->notes, pq->text, a, &out->notes, &out->notes_n, e) &&
           (!asked || explain_take(q, p, a, out, e));
}

bool promql_eval(const struct promql_query *pq, struct arena *a, struct promql_result *out,
                 enum promql_failure *why, struct err *e)
{
    size_t bytes = (size_t)(pq->bytes_max > 0 ? pq->bytes_max : BYTES_MAX);
    struct arena arena;
    struct arena scratch;
    struct query q = {.q = pq, .arena = &arena, .scratch = &scratch, .why = PROMQL_EXECUTION};
    int64_t began = pq->os == NULL ? 0 : os_mono_ns(pq->os);
    arena_init(&arena, pq->mem, bytes);
    arena_init(&scratch, pq->mem, bytes);
    tsdb_column_init(&q.column, pq->mem);
    notes_init(&q.notes, &arena);
    q.lookback_ms = pq->lookback_ms > 0 ? i64_min(pq->lookback_ms, EVAL_FAR) : LOOKBACK_MS;
    q.samples_max = pq->samples_max > 0 ? pq->samples_max : SAMPLES_MAX;
    q.series_max = pq->series_max > 0 ? pq->series_max : SERIES_MAX;
    q.delayed = (pq->flags & PROMQL_DELAYED_NAME_REMOVAL) != 0;
    *out = (struct promql_result){0};
    bool ok = eval_symbols_init(&q.sym, &pq->source, pq->mem)
                  ? run(&q, a, out, e)
                  : err_set(e, ERR_NOMEM, "no memory for a query");
    if (!ok) {
        *why = q.why;
        out->string = arena_str(a, q.message.n > 0 ? q.message : str_from_c(e->msg));
    }
    out->stats = q.stats;
    out->stats.eval_ns = pq->os == NULL ? 0 : os_mono_ns(pq->os) - began;
    if (out->explain != NULL) {
        out->explain->stats = out->stats;
    }
    eval_workers_release(&q);
    tsdb_column_release(&q.column);
    eval_symbols_release(&q.sym);
    arena_release(&scratch);
    arena_release(&arena);
    return ok;
}
