/* The plan of one evaluation, made from the tree (which is shared and read-only).
 *
 * Here parentheses go, durations written as expressions become numbers, start(), end(), range() and
 * step() become numbers, @ start() and @ end() become times, and what cannot change from step to
 * step (because of @) is wrapped in PLAN_FIXED at its highest place. The rules of what is fixed are
 * Prometheus' own, since they decide what a query answers where a function looks at the clock. */
#include "engines/promql/eval_int.h"

/* The nodes above, nearest first. */
struct above {
    const struct promql_node *node;
    const struct above *up;
};
/* Does a value depend on the step, and would wrapping it help. */
struct fixed {
    bool is, wrap;
};
static const struct {
    const char *name;
    enum whole whole;
} wholes[] = {
    {"absent", WHOLE_ABSENT},
    {"absent_over_time", WHOLE_ABSENT_OVER_TIME},
    {"histogram_fraction", WHOLE_HISTOGRAM_FRACTION},
    {"histogram_quantile", WHOLE_HISTOGRAM_QUANTILE},
    {"histogram_quantiles", WHOLE_HISTOGRAM_QUANTILES},
    {"increase", WHOLE_RATE},
    {"info", WHOLE_INFO},
    {"label_join", WHOLE_LABEL_JOIN},
    {"label_replace", WHOLE_LABEL_REPLACE},
    {"max_of", WHOLE_MAX_OF},
    {"min_of", WHOLE_MIN_OF},
    {"pi", WHOLE_PI},
    {"rate", WHOLE_RATE},
    {"scalar", WHOLE_SCALAR},
    {"sort", WHOLE_SORT},
    {"sort_by_label", WHOLE_SORT_BY_LABEL},
    {"sort_by_label_desc", WHOLE_SORT_BY_LABEL_DESC},
    {"sort_desc", WHOLE_SORT_DESC},
    {"start_timestamp", WHOLE_START_TIMESTAMP},
    {"time", WHOLE_TIME},
    {"timestamp", WHOLE_TIMESTAMP},
    {"vector", WHOLE_VECTOR},
};

static enum whole whole_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(wholes); i++) {
        if (strcmp(wholes[i].name, name) == 0) {
            return wholes[i].whole;
        }
    }
    return WHOLE_NONE;
}

static bool is_call(const struct promql_node *n, const char *name)
{
    return n->kind == NODE_CALL && strcmp(n->u.call.fn->name, name) == 0;
}

/* start() and friends: numbers of the whole query. */
static bool context_number(const struct query *q, const struct promql_node *n, double *out)
{
    const struct promql_query *pq = q->q;
    double range_s = (double)(pq->end_ms - pq->start_ms) / 1000;
    if (is_call(n, "start")) {
        *out = (double)pq->start_ms / 1000;
    } else if (is_call(n, "end")) {
        *out = (double)pq->end_ms / 1000;
    } else if (is_call(n, "range")) {
        *out = range_s;
    } else if (is_call(n, "step")) {
        *out = pq->start_ms == pq->end_ms ? 0 : (double)pq->step_ms / 1000;
    } else {
        return false;
    }
    return true;
}

/* Farther than EVAL_FAR from 1970 there are no samples; so bounded, sums of times of all levels of
 * a query stay in an int64. */
static int64_t near(int64_t t_ms)
{
    return t_ms > EVAL_FAR ? EVAL_FAR : t_ms < -EVAL_FAR ? -EVAL_FAR : t_ms;
}

static bool duration(struct query *q, const struct dur *d, enum dur_use use, int64_t *out,
                     struct err *e)
{
    if (!dur_resolve(d, use, q->q->step_ms, q->q->end_ms - q->q->start_ms, out, e)) {
        return false;
    }
    *out = near(*out);
    return true;
}

static void plan_at(struct query *q, struct plan *p, enum at_kind kind, int64_t at_ms)
{
    p->at = kind != AT_NONE;
    p->at_ms = near(kind == AT_START ? q->q->start_ms : kind == AT_END ? q->q->end_ms : at_ms);
}

/* --- building --------------------------------------------------------------------------------- */

static bool build(struct query *q, const struct promql_node *n, const struct above *up,
                  struct plan **out, struct fixed *f, struct err *e);

static struct plan *plan_new(struct query *q, enum plan_kind kind, const struct promql_node *n,
                             uint32_t args)
{
    struct plan *p = ARENA_NEW(q->arena, struct plan);
    if (p == NULL) {
        return NULL;
    }
    p->kind = kind;
    p->type = n->type;
    p->node = n;
    p->written = n;
    p->pos = n->pos;
    p->args_n = args;
    p->arg = ARENA_ARRAY(q->arena, struct plan *, size_max(args, 1));
    p->scalars = ARENA_ARRAY(q->arena, double *, size_max(args, 1));
    return p->arg == NULL || p->scalars == NULL ? NULL : p;
}

static bool wrap(struct query *q, struct plan **p, struct err *e)
{
    struct plan *w = plan_new(q, PLAN_FIXED, (*p)->node, 1);
    if (w == NULL) {
        return eval_no_memory(q, e);
    }
    w->type = (*p)->type;
    w->written = (*p)->written;
    w->pos = (*p)->pos;
    w->arg[0] = *p;
    *p = w;
    return true;
}

/* Functions that look only at count and sum let the selector below skip the buckets, unless
 * something between needs them. */
static bool stats_only(const struct above *up)
{
    bool only = false;
    for (; up != NULL; up = up->up) {
        const struct promql_node *n = up->node;
        if (n->kind == NODE_SUBQUERY) {
            return false;
        }
        if (n->kind == NODE_BINARY &&
            (n->u.binary.op == OP_TRIM_UPPER || n->u.binary.op == OP_TRIM_LOWER)) {
            return false;
        }
        if (is_call(n, "histogram_quantile") || is_call(n, "histogram_quantiles") ||
            is_call(n, "histogram_fraction")) {
            return false;
        }
        only = only || is_call(n, "histogram_count") || is_call(n, "histogram_sum") ||
               is_call(n, "histogram_avg");
    }
    return only;
}

static bool build_selector(struct query *q, const struct promql_node *n, const struct above *up,
                           struct plan **out, struct fixed *f, struct err *e)
{
    struct plan *p = plan_new(q, PLAN_SELECTOR, n, 0);
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    plan_at(q, p, n->u.selector.at, n->u.selector.at_ms);
    p->stats_only = stats_only(up);
    *f = (struct fixed){p->at, p->at};
    return duration(q, &n->u.selector.offset, DUR_OFFSET, &p->offset_ms, e);
}

static bool build_range(struct query *q, const struct promql_node *n, const struct above *up,
                        struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    if (!build(q, n->u.range.selector, &here, out, f, e)) {
        return false;
    }
    struct plan *p = *out;
    p->kind = PLAN_RANGE;
    p->written = n;
    p->type = PROMQL_MATRIX;
    f->wrap = false;
    return duration(q, &n->u.range.range, DUR_RANGE, &p->range_ms, e);
}

static bool build_subquery(struct query *q, const struct promql_node *n, const struct above *up,
                           struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    struct plan *p = plan_new(q, PLAN_SUBQUERY, n, 1);
    struct fixed in;
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    if (!build(q, n->u.subquery.expr, &here, &p->arg[0], &in, e) ||
        !duration(q, &n->u.subquery.range, DUR_RANGE, &p->range_ms, e) ||
        !duration(q, &n->u.subquery.step, DUR_STEP, &p->step_ms, e) ||
        !duration(q, &n->u.subquery.offset, DUR_OFFSET, &p->offset_ms, e)) {
        return false;
    }
    if (p->step_ms == 0) {
        p->step_ms = q->q->subquery_step_ms > 0 ? q->q->subquery_step_ms : 60000;
    }
    plan_at(q, p, n->u.subquery.at, n->u.subquery.at_ms);
    *f = (struct fixed){p->at, false};
    return !in.is || wrap(q, &p->arg[0], e);
}

static bool build_call(struct query *q, const struct promql_node *n, const struct above *up,
                       struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    const struct function *fn = n->u.call.fn;
    struct plan *p = plan_new(q, PLAN_CALL, n, n->u.call.args.n);
    bool *wraps = ARENA_ARRAY(q->arena, bool, size_max(n->u.call.args.n, 1));
    if (p == NULL || wraps == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    p->whole = whole_of(fn->name);
    bool fixed = (fn->flags & FUNCTION_AT_UNSAFE) == 0;
    bool times = p->whole == WHOLE_TIMESTAMP;
    for (uint32_t i = 0; i < p->args_n; i++) {
        struct fixed a;
        if (!build(q, n->u.call.args.v[i], &here, &p->arg[i], &a, e)) {
            return false;
        }
        wraps[i] = a.wrap;
        fixed = fixed && a.is;
        times = times && a.is && p->arg[i]->kind == PLAN_SELECTOR;
    }
    if ((p->whole == WHOLE_TIMESTAMP || p->whole == WHOLE_START_TIMESTAMP) &&
        p->arg[0]->kind != PLAN_SELECTOR) {
        p->whole = WHOLE_NONE;
    }
    *f = (struct fixed){fixed || times, fixed || times};
    for (uint32_t i = 0; !f->is && i < p->args_n; i++) {
        bool direct = p->whole == WHOLE_TIMESTAMP || p->whole == WHOLE_START_TIMESTAMP;
        if (wraps[i] && !direct && !wrap(q, &p->arg[i], e)) {
            return false;
        }
    }
    return true;
}

static bool build_binary(struct query *q, const struct promql_node *n, const struct above *up,
                         struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    struct plan *p = plan_new(q, PLAN_BINARY, n, 2);
    struct fixed l;
    struct fixed r;
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    if (!build(q, n->u.binary.lhs, &here, &p->arg[0], &l, e) ||
        !build(q, n->u.binary.rhs, &here, &p->arg[1], &r, e)) {
        return false;
    }
    *f = (struct fixed){l.is && r.is, l.is && r.is};
    if (f->is) {
        return true;
    }
    return (!l.wrap || wrap(q, &p->arg[0], e)) && (!r.wrap || wrap(q, &p->arg[1], e));
}

static bool build_aggregate(struct query *q, const struct promql_node *n, const struct above *up,
                            struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    struct plan *p = plan_new(q, PLAN_AGGREGATE, n, n->u.agg.param != NULL ? 2 : 1);
    struct fixed ignored;
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    return build(q, n->u.agg.expr, &here, &p->arg[0], f, e) &&
           (n->u.agg.param == NULL || build(q, n->u.agg.param, &here, &p->arg[1], &ignored, e));
}

static bool build_leaf(struct query *q, const struct promql_node *n, struct plan **out,
                       struct fixed *f, struct err *e)
{
    double number = n->kind == NODE_NUMBER ? n->u.number : 0;
    bool is_number = n->kind == NODE_NUMBER || context_number(q, n, &number);
    struct plan *p = plan_new(q, is_number ? PLAN_NUMBER : PLAN_STRING, n, 0);
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    p->number = number;
    *out = p;
    *f = (struct fixed){true, false};
    return true;
}

static bool build_unary(struct query *q, const struct promql_node *n, const struct above *up,
                        struct plan **out, struct fixed *f, struct err *e)
{
    const struct above here = {n, up};
    if (n->u.unary.op == OP_ADD) {
        return build(q, n->u.unary.expr, &here, out, f, e);
    }
    struct plan *p = plan_new(q, PLAN_NEGATE, n, 1);
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = p;
    return build(q, n->u.unary.expr, &here, &p->arg[0], f, e);
}

static bool build(struct query *q, const struct promql_node *n, const struct above *up,
                  struct plan **out, struct fixed *f, struct err *e)
{
    double ignored;
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING: return build_leaf(q, n, out, f, e);
    case NODE_SELECTOR: return build_selector(q, n, up, out, f, e);
    case NODE_RANGE: return build_range(q, n, up, out, f, e);
    case NODE_SUBQUERY: return build_subquery(q, n, up, out, f, e);
    case NODE_CALL:
        return context_number(q, n, &ignored) ? build_leaf(q, n, out, f, e)
                                              : build_call(q, n, up, out, f, e);
    case NODE_AGGREGATE: return build_aggregate(q, n, up, out, f, e);
    case NODE_BINARY: return build_binary(q, n, up, out, f, e);
    case NODE_UNARY: return build_unary(q, n, up, out, f, e);
    case NODE_PAREN: return build(q, n->u.paren, up, out, f, e);
    }
    return eval_fail(q, e, "unexpected node in an expression");
}

bool eval_plan(struct query *q, const struct promql_node *n, struct plan **out, struct err *e)
{
    struct fixed f;
    if (!build(q, n, NULL, out, &f, e)) {
        return false;
    }
    return !f.wrap || wrap(q, out, e);
}

/* --- what is known of a plan ------------------------------------------------------------------ */

/* The argument whose rows the rows of p correspond to; NULL: none. */
const struct plan *eval_plan_below(const struct plan *p)
{
    switch (p->kind) {
    case PLAN_NEGATE:
    case PLAN_FIXED:
    case PLAN_SUBQUERY: return p->arg[0];
    case PLAN_BINARY:
        if ((p->arg[0]->type == PROMQL_VECTOR) == (p->arg[1]->type == PROMQL_VECTOR)) {
            return NULL;
        }
        return p->arg[0]->type == PROMQL_VECTOR ? p->arg[0] : p->arg[1];
    case PLAN_CALL:
        if (p->node->u.call.fn->kind == FUNCTION_WHOLE || p->whole == WHOLE_TIMESTAMP ||
            p->whole == WHOLE_START_TIMESTAMP) {
            return NULL;
        }
        for (uint32_t i = 0; i < p->args_n; i++) {
            if (p->arg[i]->type == PROMQL_VECTOR || p->arg[i]->type == PROMQL_MATRIX) {
                return p->arg[i];
            }
        }
        return NULL;
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
    case PLAN_AGGREGATE: return NULL;
    }
    return NULL;
}

bool eval_plan_rowwise(const struct plan *p)
{
    if (p->type == PROMQL_SCALAR || p->type == PROMQL_STRING) {
        return false;
    }
    return p->kind == PLAN_SELECTOR || p->kind == PLAN_RANGE || eval_plan_below(p) != NULL;
}

bool eval_plan_one_name(const struct plan *p)
{
    while (eval_plan_below(p) != NULL) {
        p = eval_plan_below(p);
    }
    if (p->kind != PLAN_SELECTOR && p->kind != PLAN_RANGE) {
        return false;
    }
    const struct promql_node *n = p->node;
    for (uint32_t i = 0; i < n->u.selector.matchers_n; i++) {
        const struct matcher *m = &n->u.selector.matchers[i];
        if (m->op == MATCH_EQ && str_eq(m->name, STR(LABEL_NAME))) {
            return m->value.n > 0;
        }
    }
    return false;
}
