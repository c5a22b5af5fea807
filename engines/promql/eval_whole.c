/* Functions that see whole vectors: which of them does what, and the small ones. */
#include "engines/promql/eval_int.h"

/* Labels that an absent series would surely have: those of single equality matchers. */
bool eval_absent_labels(struct query *q, const struct plan *arg, struct lset *out, struct err *e)
{
    *out = (struct lset){NULL, 0};
    if (arg->kind != PLAN_SELECTOR && arg->kind != PLAN_RANGE) {
        return true;
    }
    const struct promql_node *n = arg->node;
    for (uint32_t i = 0; i < n->u.selector.matchers_n; i++) {
        const struct matcher *m = &n->u.selector.matchers[i];
        bool seen = false;
        for (uint32_t j = 0; j < i; j++) {
            const struct matcher *o = &n->u.selector.matchers[j];
            seen = seen || (o->op == MATCH_EQ && str_eq(o->name, m->name));
        }
        if (str_eq(m->name, STR(LABEL_NAME))) {
            continue;
        }
        struct str value = m->op == MATCH_EQ && !seen ? m->value : (struct str){0};
        if (!eval_lset_put(q, *out, m->name, value, out, e)) {
            return false;
        }
    }
    return true;
}

/* In a subquery or below @ Prometheus sees no selector any more, but a wrapper. */
static bool absent(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    struct mat in;
    if (!eval_all(ev, p->arg[0], &in, e)) {
        return false;
    }
    struct row *r = eval_row_add(ev, out, q->arena, false);
    if (r == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        r->has[i] = HAS_FLOAT;
        r->v[i] = 1;
        for (uint32_t j = 0; j < in.n && r->has[i] != HAS_NONE; j++) {
            r->has[i] = in.rows[j].has[i] != HAS_NONE ? HAS_NONE : HAS_FLOAT;
        }
    }
    return eval_absent_labels(q, p->arg[0], &r->ls, e);
}

static bool vector_of(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct row *r = eval_row_add(ev, out, ev->q->arena, false);
    if (r == NULL) {
        return eval_no_memory(ev->q, e);
    }
    memset(r->has, HAS_FLOAT, ev->grid.n);
    return eval_scalar(ev, p->arg[0], &r->v, e);
}

/* The one float of each step; histograms do not count. */
static bool scalar_of(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct mat in;
    struct row *r;
    if (!eval_all(ev, p->arg[0], &in, e)) {
        return false;
    }
    r = eval_row_add(ev, out, ev->q->arena, false);
    if (r == NULL) {
        return eval_no_memory(ev->q, e);
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        uint32_t found = 0;
        for (uint32_t j = 0; j < in.n; j++) {
            if (in.rows[j].has[i] == HAS_FLOAT) {
                r->v[i] = in.rows[j].v[i];
                found++;
            }
        }
        r->has[i] = HAS_FLOAT;
        r->v[i] = found == 1 ? r->v[i] : __builtin_nan("");
    }
    return true;
}

bool eval_whole(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    switch (p->whole) {
    case WHOLE_ABSENT: return absent(ev, p, out, e);
    case WHOLE_ABSENT_OVER_TIME: return eval_absent_over_time(ev, p, out, e);
    case WHOLE_HISTOGRAM_FRACTION:
    case WHOLE_HISTOGRAM_QUANTILE:
    case WHOLE_HISTOGRAM_QUANTILES: return eval_hist_call(ev, p, out, e);
    case WHOLE_INFO: return eval_info(ev, p, out, e);
    case WHOLE_LABEL_JOIN: return eval_label_join(ev, p, out, e);
    case WHOLE_LABEL_REPLACE: return eval_label_replace(ev, p, out, e);
    case WHOLE_SCALAR: return scalar_of(ev, p, out, e);
    case WHOLE_SORT:
    case WHOLE_SORT_DESC:
    case WHOLE_SORT_BY_LABEL:
    case WHOLE_SORT_BY_LABEL_DESC: return eval_sort(ev, p, out, e);
    case WHOLE_TIMESTAMP:
    case WHOLE_START_TIMESTAMP: return eval_select_times(ev, p, out, e);
    case WHOLE_VECTOR: return vector_of(ev, p, out, e);
    case WHOLE_MAX_OF:
    case WHOLE_MIN_OF:
    case WHOLE_PI:
    case WHOLE_TIME:
    case WHOLE_RATE:
    case WHOLE_NONE: break;
    }
    if (p->args_n == 0 && p->node->u.call.fn->map != NULL) {
        return eval_date_now(ev, p, out, e);
    }
    return eval_fail(ev->q, e, "function %s cannot be evaluated", p->node->u.call.fn->name);
}
