/* Evaluation: from the tree and a source of samples to a result.
 *
 * A range query is evaluated once over its whole grid of steps, not once per step: every node makes
 * rows of dense arrays. Results of a query live in the caller's arena, everything on the way in one
 * of the query's own, bounded by bytes_max. A failure is PROMQL_EXECUTION unless someone set
 * another kind before returning. */
#include "engines/promql/eval_int.h"

#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (64U << 10)

bool eval_fail(struct query *q, struct err *e, const char *fmt, ...)
{
    va_list ap;
    struct buf b;
    buf_init(&b, q->arena->mem, MESSAGE_MAX);
    char *room = buf_room(&b, MESSAGE_MAX - 1);
    if (room == NULL) {
        return eval_no_memory(q, e);
    }
    va_start(ap, fmt);
    int n = vsnprintf(room, MESSAGE_MAX - 1, fmt, ap);
    va_end(ap);
    b.n = n < 0 ? 0 : size_min((size_t)n, MESSAGE_MAX - 2);
    q->message = arena_str(q->arena, buf_str(&b));
    err_set(e, ERR_INPUT, "%.*s", STR_FMT(buf_str(&b)));
    buf_release(&b);
    return false;
}

bool eval_no_memory(struct query *q, struct err *e)
{
    q->why = PROMQL_LIMIT;
    return err_set(e, ERR_LIMIT, "query needs more than its %llu bytes of memory",
                   (unsigned long long)q->arena->bytes_max);
}

bool eval_check(struct query *q, struct err *e)
{
    if (q->sym.failed) {
        return eval_no_memory(q, e);
    }
    if (q->q->cancel != NULL && atomic_load_explicit(q->q->cancel, memory_order_relaxed)) {
        q->why = PROMQL_CANCELED;
        return err_set(e, ERR_BUSY, "query was canceled in expression evaluation");
    }
    if (q->q->deadline_mono_ns != 0 && q->q->os != NULL &&
        os_mono_ns(q->q->os) >= q->q->deadline_mono_ns) {
        q->why = PROMQL_TIMEOUT;
        return err_set(e, ERR_BUSY, "query timed out in expression evaluation");
    }
    return true;
}

bool eval_hold(struct query *q, uint64_t samples, struct err *e)
{
    q->samples_now += samples;
    if (q->samples_now > q->stats.samples_peak) {
        q->stats.samples_peak = q->samples_now;
    }
    if (q->samples_now > q->samples_max) {
        q->why = PROMQL_EXECUTION;
        return err_set(
            e, ERR_LIMIT,
            "query processing would load too many samples into memory in query execution");
    }
    return true;
}

static uint64_t samples_of(const struct eval *ev, const struct mat *m)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            n += m->rows[i].has[j] != HAS_NONE;
        }
    }
    return n;
}

/* --- scalars ---------------------------------------------------------------------------------- */

static bool scalar_call(struct eval *ev, struct plan *p, double *out, struct err *e)
{
    double *l = NULL;
    double *r = NULL;
    if (p->whole == WHOLE_SCALAR) {
        return eval_whole(ev, p, &p->mat, e) &&
               (memcpy(out, p->mat.rows[0].v, ev->grid.n * sizeof *out), true);
    }
    if (p->args_n == 2 &&
        (!eval_scalar(ev, p->arg[0], &l, e) || !eval_scalar(ev, p->arg[1], &r, e))) {
        return false;
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (p->whole == WHOLE_TIME) {
            out[i] = (double)grid_t(&ev->grid, i) / 1000;
        } else if (p->whole == WHOLE_PI) {
            out[i] = 3.14159265358979323846;
        } else if (l != NULL && r != NULL) {
            bool nan = __builtin_isnan(l[i]) || __builtin_isnan(r[i]);
            bool left = p->whole == WHOLE_MAX_OF ? l[i] > r[i] : l[i] < r[i];
            out[i] = nan ? __builtin_nan("") : left ? l[i] : r[i];
        } else {
            return eval_fail(ev->q, e, "function %s gives no scalar", p->node->u.call.fn->name);
        }
    }
    return true;
}

static bool scalar_values(struct eval *ev, struct plan *p, double **out, struct err *e)
{
    uint32_t n = ev->grid.n;
    double *v = ARENA_ARRAY(ev->q->arena, double, n);
    double *in = NULL;
    if (v == NULL) {
        return eval_no_memory(ev->q, e);
    }
    *out = v;
    switch (p->kind) {
    case PLAN_NUMBER:
        for (uint32_t i = 0; i < n; i++) {
            v[i] = p->number;
        }
        return true;
    case PLAN_NEGATE:
        if (!eval_scalar(ev, p->arg[0], &in, e)) {
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            v[i] = -in[i];
        }
        return true;
    case PLAN_FIXED: {
        struct eval one = {ev->q, {ev->grid.start, ev->grid.step, 1}};
        if (!eval_scalar(&one, p->arg[0], &in, e)) {
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            v[i] = in[0];
        }
        return true;
    }
    case PLAN_BINARY: return eval_binary_scalars(ev, p, out, e);
    case PLAN_CALL: return scalar_call(ev, p, v, e);
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
    case PLAN_AGGREGATE: break;
    }
    return eval_fail(ev->q, e, "expected a scalar");
}

bool eval_scalar(struct eval *ev, struct plan *p, double **out, struct err *e)
{
    struct explain_frame f;
    explain_enter(ev->q, p->seen, &f);
    bool ok = scalar_values(ev, p, out, e);
    explain_scalar(p->seen, ev->grid.n);
    explain_leave(ev->q, &f);
    return ok;
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool prepare_scalars(struct eval *ev, struct plan *p, struct plan **vector, struct err *e)
{
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (p->arg[i]->type == PROMQL_SCALAR) {
            if (!eval_scalar(ev, p->arg[i], &p->scalars[i], e)) {
                return false;
            }
        } else if (p->arg[i]->type == PROMQL_VECTOR) {
            *vector = p->arg[i];
        }
    }
    return true;
}

static bool prepare_rowwise(struct eval *ev, struct plan *p, struct err *e)
{
    struct plan *child = NULL;
    if (p->kind == PLAN_SELECTOR) {
        return eval_select(ev, p, e);
    }
    if (p->kind == PLAN_CALL && p->node->u.call.fn->kind == FUNCTION_RANGE) {
        return eval_range_prepare(ev, p, e);
    }
    if (p->kind == PLAN_FIXED) {
        p->sub = ARENA_NEW(ev->q->arena, struct eval);
        if (p->sub == NULL) {
            return eval_no_memory(ev->q, e);
        }
        *p->sub = (struct eval){ev->q, {ev->grid.start, ev->grid.step, 1}};
        if (!eval_prepare(p->sub, p->arg[0], e)) {
            return false;
        }
        p->rows_n = p->arg[0]->rows_n;
        return true;
    }
    if (!prepare_scalars(ev, p, &child, e) || !eval_prepare(ev, child, e)) {
        return false;
    }
    p->rows_n = child->rows_n;
    return true;
}

static bool drops_name(const struct plan *p)
{
    switch (p->kind) {
    case PLAN_NEGATE: return true;
    case PLAN_BINARY:
        return eval_op_changes_metric(p->node->u.binary.op) || p->node->u.binary.return_bool;
    case PLAN_CALL: return (p->node->u.call.fn->flags & FUNCTION_KEEPS_NAME) == 0;
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
    case PLAN_AGGREGATE:
    case PLAN_FIXED: return false;
    }
    return false;
}

/* Without delayed removal, names go here, and series that become equal are joined or refused. */
static bool gather(struct eval *ev, struct plan *p, struct err *e)
{
    bool join =
        p->kind == PLAN_NEGATE ||
        (ev->grid.n > 1 && (p->kind != PLAN_CALL || p->node->u.call.fn->kind != FUNCTION_RANGE));
    for (uint32_t at = 0; at < p->rows_n; at += EVAL_BATCH_ROWS) {
        uint32_t n = p->rows_n - at < EVAL_BATCH_ROWS ? p->rows_n - at : EVAL_BATCH_ROWS;
        if (!eval_check(ev->q, e) || !eval_rows(ev, p, at, n, ev->q->arena, &p->mat, e)) {
            return false;
        }
    }
    eval_drop_empty(ev, &p->mat);
    p->made = true;
    p->rows_n = p->mat.n;
    if (!eval_strip(ev->q, &p->mat, e) || !eval_merge(ev, &p->mat, join, e)) {
        return false;
    }
    p->rows_n = p->mat.n;
    return true;
}

static bool prepare_whole(struct eval *ev, struct plan *p, struct err *e)
{
    bool ok;
    uint64_t before = ev->q->samples_now;
    if (p->kind == PLAN_AGGREGATE) {
        ok = eval_aggregate(ev, p, &p->mat, e);
    } else if (p->kind == PLAN_BINARY) {
        ok = eval_binary(ev, p, &p->mat, e);
    } else if (p->kind == PLAN_CALL) {
        ok = eval_whole(ev, p, &p->mat, e);
    } else {
        ok = eval_fail(ev->q, e, "expected a vector");
    }
    if (!ok) {
        return false;
    }
    eval_drop_empty(ev, &p->mat);
    p->made = true;
    p->rows_n = p->mat.n;
    ev->q->samples_now = before;
    return eval_hold(ev->q, samples_of(ev, &p->mat), e);
}

static bool prepare(struct eval *ev, struct plan *p, struct err *e)
{
    if (!eval_check(ev->q, e)) {
        return false;
    }
    if (!eval_plan_rowwise(p)) {
        return prepare_whole(ev, p, e);
    }
    if (!prepare_rowwise(ev, p, e)) {
        return false;
    }
    bool early = !ev->q->delayed && drops_name(p) && !eval_plan_one_name(p);
    return !early || gather(ev, p, e);
}

bool eval_prepare(struct eval *ev, struct plan *p, struct err *e)
{
    struct explain_frame f;
    ASSERT(!p->prepared);
    p->prepared = true;
    explain_enter(ev->q, p->seen, &f);
    bool ok = prepare(ev, p, e);
    if (p->seen != NULL) {
        p->seen->steps = ev->grid.n;
        if (ok && p->made) {
            explain_made(p->seen, &p->mat, ev->grid.n);
        }
    }
    explain_leave(ev->q, &f);
    return ok;
}

static bool fixed_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n, struct arena *a,
                       struct mat *out, struct err *e)
{
    struct mat in = {0};
    struct eval one_step = {ev->q, p->sub->grid};
    if (!eval_rows(&one_step, p->arg[0], first, n, a, &in, e)) {
        return false;
    }
    for (uint32_t i = 0; i < in.n; i++) {
        const struct row *one = &in.rows[i];
        struct row *r = eval_row_add(ev, out, a, one->h != NULL);
        if (r == NULL) {
            return eval_no_memory(ev->q, e);
        }
        r->ls = one->ls;
        r->drop_name = one->drop_name;
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            r->has[j] = one->has[0];
            r->v[j] = one->v[0];
            if (r->h != NULL) {
                r->h[j] = one->h[0];
            }
        }
    }
    return true;
}

static bool negate_rows(struct eval *ev, struct mat *m, uint32_t from, struct arena *a,
                        struct err *e)
{
    for (uint32_t i = from; i < m->n; i++) {
        struct row *r = &m->rows[i];
        r->drop_name = true;
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            r->v[j] = -r->v[j];
            if (r->has[j] == HAS_HIST) {
                r->h[j] = hist_scale(r->h[j], -1, a);
                if (r->h[j] == NULL) {
                    return eval_no_memory(ev->q, e);
                }
            }
        }
    }
    return true;
}

static struct plan *vector_arg(struct plan *p)
{
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (p->arg[i]->type == PROMQL_VECTOR) {
            return p->arg[i];
        }
    }
    ASSERT(false);
    return NULL;
}

static bool made_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n, struct arena *a,
                      struct mat *out, struct err *e)
{
    for (uint32_t i = first; i < first + n; i++) {
        struct row *r = eval_row_bare(out, a);
        if (r == NULL) {
            return eval_no_memory(ev->q, e);
        }
        *r = p->mat.rows[i];
    }
    return true;
}

static bool rowwise_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n,
                         struct arena *a, struct mat *out, struct err *e)
{
    if (p->kind == PLAN_SELECTOR) {
        return eval_select_rows(ev, p, first, n, a, out, e);
    }
    if (p->kind == PLAN_FIXED) {
        return fixed_rows(ev, p, first, n, a, out, e);
    }
    if (p->kind == PLAN_CALL && p->node->u.call.fn->kind == FUNCTION_RANGE) {
        return eval_range_rows(ev, p, first, n, a, out, e);
    }
    uint32_t from = out->n;
    if (!eval_rows(ev, vector_arg(p), first, n, a, out, e)) {
        return false;
    }
    if (p->kind == PLAN_NEGATE) {
        return negate_rows(ev, out, from, a, e);
    }
    return p->kind == PLAN_BINARY ? eval_binary_scalar_rows(ev, p, out, from, a, e)
                                  : eval_map_rows(ev, p, out, from, a, e);
}

bool eval_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n, struct arena *a,
               struct mat *out, struct err *e)
{
    struct explain_frame f;
    ASSERT(p->prepared);
    ASSERT(first + n <= p->rows_n);
    if (p->made) {
        return made_rows(ev, p, first, n, a, out, e);
    }
    uint32_t from = out->n;
    explain_enter(ev->q, p->seen, &f);
    bool ok = rowwise_rows(ev, p, first, n, a, out, e);
    if (ok) {
        explain_rows(p->seen, out, from, ev->grid.n);
    }
    explain_leave(ev->q, &f);
    return ok;
}

struct gathering {
    struct eval *ev;
    struct plan *p;
    struct mat *batches;
};

static bool gather_batch(void *ctx, struct query *worker, uint32_t item, struct err *e)
{
    struct gathering *g = ctx;
    struct eval ev = {worker, g->ev->grid};
    uint32_t from = item * EVAL_BATCH_ROWS;
    uint32_t n = g->p->rows_n - from < EVAL_BATCH_ROWS ? g->p->rows_n - from : EVAL_BATCH_ROWS;
    return eval_rows(&ev, g->p, from, n, worker->arena, &g->batches[item], e);
}

static bool all_rows(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    uint32_t batches = (p->rows_n + EVAL_BATCH_ROWS - 1) / EVAL_BATCH_ROWS;
    struct gathering g = {ev, p, ARENA_ARRAY(q->arena, struct mat, size_max(batches, 1))};
    out->rows = ARENA_ARRAY(q->arena, struct row, size_max(p->rows_n, 1));
    out->cap = p->rows_n;
    if (g.batches == NULL || out->rows == NULL) {
        return eval_no_memory(q, e);
    }
    if (eval_threads(q) > 1) {
        eval_warm(q, p, 0, p->rows_n);
    }
    if (!eval_each(q, batches, gather_batch, &g, e)) {
        return false;
    }
    for (uint32_t i = 0; i < batches; i++) {
        memcpy(out->rows + out->n, g.batches[i].rows, g.batches[i].n * sizeof *out->rows);
        out->n += g.batches[i].n;
    }
    return true;
}

static bool make_all(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    if (!p->prepared && !eval_prepare(ev, p, e)) {
        return false;
    }
    if (p->made) {
        *out = p->mat;
        return true;
    }
    if (!all_rows(ev, p, out, e)) {
        return false;
    }
    eval_drop_empty(ev, out);
    return (ev->q->delayed || eval_strip(ev->q, out, e)) &&
           eval_hold(ev->q, samples_of(ev, out), e);
}

bool eval_all(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct explain_frame f;
    *out = (struct mat){0};
    if (ev->grid.n == 0) {
        return true;
    }
    explain_enter(ev->q, p->seen, &f);
    bool ok = make_all(ev, p, out, e);
    explain_leave(ev->q, &f);
    return ok;
}
