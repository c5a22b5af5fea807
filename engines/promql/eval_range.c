/* Functions of ranges: a window moves over the samples of one series, the function sees the window.
 *
 * The samples come from the source or, below a subquery, from the rows that the inner expression
 * has on its own, finer grid. Subqueries take the reset hints off histograms: samples may be missed
 * or seen twice, so that only the values tell. */
#include "engines/promql/eval_int.h"

#define ARGS_MAX                 16
#define WINDOW_SAMPLES_UNCHECKED (1U << 20) /* about a millisecond of work */

static struct plan *range_arg(const struct plan *p, uint32_t *place)
{
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (p->arg[i]->type == PROMQL_MATRIX) {
            *place = i;
            return p->arg[i];
        }
    }
    ASSERT(false);
    return NULL;
}

bool eval_subquery_grid(struct eval *ev, struct plan *p, struct err *e)
{
    struct eval *sub = ARENA_NEW(ev->q->arena, struct eval);
    if (sub == NULL) {
        return eval_no_memory(ev->q, e);
    }
    int64_t first = (p->at ? p->at_ms : ev->grid.start) - p->offset_ms;
    int64_t last = (p->at ? p->at_ms : grid_t(&ev->grid, ev->grid.n - 1)) - p->offset_ms;
    int64_t step = p->step_ms;
    int64_t start = step * ((first - p->range_ms) / step);
    if (start <= first - p->range_ms) {
        start += step;
    }
    int64_t n = last < start ? 0 : (last - start) / step + 1;
    if (n > INT32_MAX) {
        return eval_fail(ev->q, e, "subquery has too many steps");
    }
    *sub = (struct eval){ev->q, {start, step, (uint32_t)n}};
    p->sub = sub;
    return true;
}

bool eval_subquery_prepare(struct eval *ev, struct plan *p, struct err *e)
{
    struct explain_frame f;
    explain_enter(ev->q, p->seen, &f);
    bool ok =
        eval_subquery_grid(ev, p, e) && (p->sub->grid.n == 0 || eval_prepare(p->sub, p->arg[0], e));
    p->rows_n = ok && p->sub->grid.n > 0 ? p->arg[0]->rows_n : 0;
    if (p->seen != NULL) {
        p->seen->steps = ev->grid.n;
    }
    explain_leave(ev->q, &f);
    return ok;
}

bool eval_range_prepare(struct eval *ev, struct plan *p, struct err *e)
{
    uint32_t place = 0;
    struct plan *arg = range_arg(p, &place);
    ASSERT(p->args_n <= ARGS_MAX);
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (i != place && !eval_scalar(ev, p->arg[i], &p->scalars[i], e)) {
            return false;
        }
    }
    if (arg->kind == PLAN_SUBQUERY) {
        if (!eval_subquery_prepare(ev, arg, e)) {
            return false;
        }
    } else if (!eval_smoothable(ev->q, arg, p->node->u.call.fn, e) || !eval_select(ev, arg, e)) {
        return false;
    }
    p->rows_n = arg->rows_n;
    return true;
}

/* The call as functions see it: for a subquery Prometheus has no place for the argument any
 * more. */
static const struct promql_node *call_node(struct eval *ev, const struct plan *p,
                                           const struct plan *arg, uint32_t place)
{
    if (arg->kind != PLAN_SUBQUERY && p->node->u.call.args.v[place]->kind != NODE_PAREN) {
        return p->node;
    }
    struct promql_node *call = ARENA_NEW(ev->q->arena, struct promql_node);
    struct promql_node *inner = ARENA_NEW(ev->q->arena, struct promql_node);
    struct promql_node **v = ARENA_ARRAY(ev->q->arena, struct promql_node *, p->args_n);
    if (call == NULL || inner == NULL || v == NULL) {
        return NULL;
    }
    *call = *p->node;
    memcpy(v, p->node->u.call.args.v, p->args_n * sizeof(struct promql_node *));
    *inner = *p->node->u.call.args.v[place];
    inner->pos = arg->kind == PLAN_SUBQUERY ? (struct pos){0, 0} : arg->pos;
    v[place] = inner;
    call->u.call.args.v = v;
    return call;
}

struct mover {
    struct eval *ev;
    struct plan *p;
    const struct plan *arg;
    struct fn_call call;
    double args[ARGS_MAX];
    bool want_st;
    struct arena *arena;
};

static bool mover_init(struct mover *m, struct eval *ev, struct plan *p, struct arena *a,
                       struct err *e)
{
    uint32_t place = 0;
    *m = (struct mover){.ev = ev, .p = p, .arena = a};
    m->arg = range_arg(p, &place);
    m->call.node = call_node(ev, p, m->arg, place);
    if (m->call.node == NULL) {
        return eval_no_memory(ev->q, e);
    }
    m->call.arena = a;
    m->call.notes = &ev->q->notes;
    m->call.args = m->args;
    m->call.flags = ev->q->q->flags;
    const char *name = p->node->u.call.fn->name;
    m->want_st =
        (ev->q->q->flags & PROMQL_START_TIMESTAMPS) != 0 && m->arg->kind == PLAN_RANGE &&
        (p->whole == WHOLE_RATE || strcmp(name, "irate") == 0 || strcmp(name, "resets") == 0);
    return true;
}

/* A result that is one of the window's own histograms lives no longer than the window. */
static const struct nhist *own_hist(const struct window *w, const struct nhist *h, struct arena *a)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->h[i] == h) {
            return nhist_copy(h, a);
        }
    }
    return h;
}

static bool put_value(struct mover *m, const struct window *w, const struct value *v, struct row *r,
                      uint32_t i, struct err *e)
{
    if (v->kind == VALUE_FLOAT) {
        r->has[i] = HAS_FLOAT;
        r->v[i] = v->f;
        return true;
    }
    if (!eval_row_hists(m->ev, r, m->arena)) {
        return eval_no_memory(m->ev->q, e);
    }
    r->has[i] = HAS_HIST;
    r->h[i] = w->h == NULL ? v->h : own_hist(w, v->h, m->arena);
    return r->h[i] != NULL || eval_no_memory(m->ev->q, e);
}

/* The running form of the function, which gives the same bits as the window form: floats only,
 * windows that move with the steps. *done false: it does not apply. */
static bool run_steps(struct mover *m, const struct samples *s, struct row *r, bool *done,
                      struct err *e)
{
    struct query *q = m->ev->q;
    const struct plan *arg = m->arg;
    fn_range fn = m->p->node->u.call.fn->range;
    struct kept_steps *k = NULL;
    bool wide = arg->kind == PLAN_RANGE &&
                (arg->node->u.selector.anchored || arg->node->u.selector.smoothed);
    *done = fn != NULL && fn_steps_can(fn) && !wide && !arg->at && s->h == NULL &&
            (s->st == NULL || !m->want_st);
    for (uint32_t i = 0; *done && i < q->steps_n; i++) {
        k = q->steps[i].plan == m->p ? &q->steps[i] : k;
    }
    if (*done && k == NULL) {
        *done = q->steps_n < STEPS_KEPT;
        if (*done) {
            k = &q->steps[q->steps_n++];
            k->plan = m->p;
            explain_way(m->p->seen, EXPLAIN_RUNNING);
            if (!fn_steps_init(&k->steps, m->ev->grid.start - arg->offset_ms, m->ev->grid.step,
                               m->ev->grid.n, arg->range_ms, q->arena)) {
                return eval_no_memory(q, e);
            }
        }
    }
    return !*done || fn_steps_run(&k->steps, fn, s->t, s->v, s->n, r->has, r->v) ||
           eval_no_memory(q, e);
}

static bool move(struct mover *m, const struct samples *s, struct row *r, struct err *e)
{
    struct eval *ev = m->ev;
    const struct plan *arg = m->arg;
    const struct function *fn = m->p->node->u.call.fn;
    bool anchored = arg->kind == PLAN_RANGE && arg->node->u.selector.anchored;
    bool smoothed = arg->kind == PLAN_RANGE && arg->node->u.selector.smoothed;
    int64_t before = anchored || smoothed ? ev->q->lookback_ms : 0;
    int64_t after = smoothed ? ev->q->lookback_ms : 0;
    uint32_t lo = 0;
    uint32_t hi = 0;
    uint64_t touched = 0; /* since the last look at clock and cancellation */
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        int64_t t = grid_t(&ev->grid, i);
        struct window w = {.range_ms = arg->range_ms, .anchored = anchored, .smoothed = smoothed};
        w.to_ms = (arg->at ? arg->at_ms : t) - arg->offset_ms;
        w.from_ms = w.to_ms - arg->range_ms;
        while (lo < s->n && s->t[lo] <= w.from_ms - before) {
            lo++;
        }
        hi = hi < lo ? lo : hi;
        while (hi < s->n && s->t[hi] <= w.to_ms + after) {
            hi++;
        }
        w.n = hi - lo;
        if (w.n == 0) {
            continue;
        }
        touched += w.n;
        if (touched > WINDOW_SAMPLES_UNCHECKED) {
            touched = 0;
            if (!eval_check(ev->q, e)) {
                return false;
            }
        }
        struct value out = {VALUE_FLOAT, 1, NULL};
        if (fn->range != NULL) {
            w.t = s->t + lo;
            w.v = s->v + lo;
            w.h = s->h == NULL ? NULL : s->h + lo;
            w.st = s->st == NULL || !m->want_st ? NULL : s->st + lo;
            m->call.step_t_ms = t;
            for (uint32_t j = 0; j < m->p->args_n; j++) {
                m->args[j] = m->p->scalars[j] == NULL ? 0 : m->p->scalars[j][i];
            }
            out.kind = VALUE_NONE;
            if (!fn->range(&m->call, &w, &out, e)) {
                return false;
            }
        }
        if (out.kind != VALUE_NONE && !put_value(m, &w, &out, r, i, e)) {
            return false;
        }
    }
    return true;
}

/* rate and increase of what does not look like a counter. */
static void remark_counter(struct mover *m, const struct row *r)
{
    struct query *q = m->ev->q;
    struct str name = m->call.metric;
    bool any = false;
    for (uint32_t i = 0; i < m->ev->grid.n && !any; i++) {
        any = r->has[i] == HAS_FLOAT;
    }
    if (!any || name.n == 0) {
        return;
    }
    struct pos pos = m->call.node->u.call.args.v[0]->pos;
    if ((q->q->flags & PROMQL_TYPE_AND_UNIT) != 0) {
        struct str type = eval_get(q, r->ls, NAME_TYPE);
        if (!str_eq(type, STR("counter")) && !str_eq(type, STR("histogram"))) {
            note_info(&q->notes, pos,
                      "metric might not be a counter, __type__ label is not set to \"counter\" or "
                      "\"histogram\", got \"%.*s\": \"%.*s\"",
                      STR_FMT(type), STR_FMT(name));
        }
    } else if (!str_ends(name, STR("_total")) && !str_ends(name, STR("_sum")) &&
               !str_ends(name, STR("_count")) && !str_ends(name, STR("_bucket"))) {
        note_info(&q->notes, pos,
                  "metric might not be a counter, name does not end in "
                  "_total/_sum/_count/_bucket: \"%.*s\"",
                  STR_FMT(name));
    }
}

static bool range_row(struct mover *m, const struct samples *s, struct lset ls, bool drop_name,
                      struct mat *out, struct err *e)
{
    struct row *r = eval_row_add(m->ev, out, m->arena, false);
    if (r == NULL) {
        return eval_no_memory(m->ev->q, e);
    }
    r->ls = ls;
    r->drop_name = drop_name || (m->p->node->u.call.fn->flags & FUNCTION_KEEPS_NAME) == 0;
    m->call.metric = eval_metric(m->ev->q, ls);
    bool done;
    if (!run_steps(m, s, r, &done, e) || (!done && !move(m, s, r, e))) {
        return false;
    }
    if (m->p->whole == WHOLE_RATE) {
        remark_counter(m, r);
    }
    return true;
}

static bool rows_of_source(struct mover *m, uint32_t first, uint32_t n, struct mat *out,
                           struct err *e)
{
    struct query *q = m->ev->q;
    const struct plan *arg = m->arg;
    bool wide = arg->node->u.selector.anchored || arg->node->u.selector.smoothed;
    int64_t from = (arg->at ? arg->at_ms : m->ev->grid.start) - arg->offset_ms - arg->range_ms + 1;
    int64_t to = (arg->at ? arg->at_ms : grid_t(&m->ev->grid, m->ev->grid.n - 1)) - arg->offset_ms;
    from -= wide ? q->lookback_ms : 0;
    to += arg->node->u.selector.smoothed ? q->lookback_ms : 0;
    for (uint32_t i = first; i < first + n; i++) {
        struct samples s;
        struct lset ls;
        if (!eval_read(q, arg, arg->ids[i], from, to, false, m->arena, &s, e)) {
            return false;
        }
        ls.p = q->q->source.pairs(q->q->source.ctx, arg->ids[i], &ls.n);
        if (!range_row(m, &s, ls, false, out, e)) {
            return false;
        }
    }
    return true;
}

/* Hints that tell of a reset say nothing about the samples that a subquery picks. */
static struct nhist *unhinted(const struct nhist *h, struct arena *a)
{
    struct nhist *copy = ARENA_NEW(a, struct nhist);
    if (copy != NULL) {
        *copy = *h;
        if (h->reset == NHIST_RESET || h->reset == NHIST_NO_RESET) {
            copy->reset = NHIST_UNKNOWN;
        }
    }
    return copy;
}

static bool row_samples(struct mover *m, const struct row *r, struct samples *s, struct err *e)
{
    const struct eval *sub = m->arg->sub;
    struct nhist **h = NULL;
    s->n = 0;
    if (r->h != NULL) {
        h = ARENA_ARRAY(m->arena, struct nhist *, sub->grid.n);
        if (h == NULL) {
            return eval_no_memory(m->ev->q, e);
        }
    }
    s->h = h;
    for (uint32_t i = 0; i < sub->grid.n; i++) {
        if (r->has[i] == HAS_NONE) {
            continue;
        }
        s->t[s->n] = grid_t(&sub->grid, i);
        s->v[s->n] = r->v[i];
        if (r->has[i] == HAS_HIST) {
            h[s->n] = unhinted(r->h[i], m->arena);
            if (h[s->n] == NULL) {
                return eval_no_memory(m->ev->q, e);
            }
        }
        s->n++;
    }
    return true;
}

static bool rows_of_subquery(struct mover *m, uint32_t first, uint32_t n, struct mat *out,
                             struct err *e)
{
    struct eval inner = {m->ev->q, m->arg->sub->grid};
    struct eval *sub = &inner;
    struct mat in = {0};
    struct samples s = {.t = ARENA_ARRAY(m->arena, int64_t, sub->grid.n),
                        .v = ARENA_ARRAY(m->arena, double, sub->grid.n)};
    if (s.t == NULL || s.v == NULL) {
        return eval_no_memory(m->ev->q, e);
    }
    if (!eval_rows(sub, m->arg->arg[0], first, n, m->arena, &in, e)) {
        return false;
    }
    explain_rows(m->arg->seen, &in, 0, sub->grid.n);
    for (uint32_t i = 0; i < in.n; i++) {
        if (!row_samples(m, &in.rows[i], &s, e) ||
            !range_row(m, &s, in.rows[i].ls, in.rows[i].drop_name, out, e)) {
            return false;
        }
    }
    return true;
}

bool eval_range_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n, struct arena *a,
                     struct mat *out, struct err *e)
{
    struct mover m;
    if (!mover_init(&m, ev, p, a, e)) {
        return false;
    }
    return m.arg->kind == PLAN_SUBQUERY ? rows_of_subquery(&m, first, n, out, e)
                                        : rows_of_source(&m, first, n, out, e);
}

bool eval_absent_over_time(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    if (!eval_range_prepare(ev, p, e)) {
        return false;
    }
    struct row *r = eval_row_add(ev, out, q->arena, false);
    if (r == NULL) {
        return eval_no_memory(q, e);
    }
    memset(r->has, HAS_FLOAT, ev->grid.n);
    r->drop_name = true;
    for (uint32_t at = 0; at < p->rows_n; at += EVAL_BATCH_ROWS) {
        struct mat batch = {0};
        uint32_t n = p->rows_n - at < EVAL_BATCH_ROWS ? p->rows_n - at : EVAL_BATCH_ROWS;
        if (!eval_check(q, e) || !eval_range_rows(ev, p, at, n, q->arena, &batch, e)) {
            return false;
        }
        for (uint32_t i = 0; i < batch.n; i++) {
            for (uint32_t j = 0; j < ev->grid.n; j++) {
                r->has[j] = batch.rows[i].has[j] != HAS_NONE ? HAS_NONE : r->has[j];
            }
        }
    }
    for (uint32_t j = 0; j < ev->grid.n; j++) {
        r->v[j] = 1;
    }
    if (eval_row_empty(r, ev->grid.n)) {
        out->n = 0;
        return true;
    }
    return eval_absent_labels(q, p->arg[0], &r->ls, e);
}
