/* Functions of one sample, applied to rows in place. */
#include "engines/promql/eval_int.h"

#define ARGS_MAX 16

static bool map_row(struct eval *ev, struct plan *p, struct fn_call *c, double *args, struct row *r,
                    struct arena *a, struct err *e)
{
    fn_map map = p->node->u.call.fn->map;
    r->drop_name = true;
    c->metric = eval_metric(ev->q, r->ls);
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (r->has[i] == HAS_NONE) {
            continue;
        }
        struct value in = {VALUE_FLOAT, r->v[i], NULL};
        struct value out = {VALUE_NONE, 0, NULL};
        if (r->has[i] == HAS_HIST) {
            in = (struct value){VALUE_HIST, 0, r->h[i]};
        }
        for (uint32_t j = 0; j < p->args_n; j++) {
            args[j] = p->scalars[j] == NULL ? 0 : p->scalars[j][i];
        }
        c->step_t_ms = c->sample_t_ms = grid_t(&ev->grid, i);
        if (!map(c, &in, &out, e)) {
            return false;
        }
        r->has[i] = HAS_NONE;
        if (out.kind == VALUE_FLOAT) {
            r->has[i] = HAS_FLOAT;
            r->v[i] = out.f;
        } else if (out.kind == VALUE_HIST) {
            if (!eval_row_hists(ev, r, a)) {
                return eval_no_memory(ev->q, e);
            }
            r->has[i] = HAS_HIST;
            r->h[i] = out.h;
        }
    }
    return true;
}

bool eval_map_rows(struct eval *ev, struct plan *p, struct mat *m, uint32_t from, struct arena *a,
                   struct err *e)
{
    double args[ARGS_MAX] = {0};
    struct fn_call c = {.node = p->node,
                        .arena = a,
                        .notes = &ev->q->notes,
                        .args = args,
                        .flags = ev->q->q->flags};
    ASSERT(p->args_n <= ARGS_MAX);
    for (uint32_t i = from; i < m->n; i++) {
        if (!map_row(ev, p, &c, args, &m->rows[i], a, e)) {
            return false;
        }
    }
    return true;
}

bool eval_date_now(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct row *r = eval_row_add(ev, out, ev->q->arena, false);
    if (r == NULL) {
        return eval_no_memory(ev->q, e);
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        r->has[i] = HAS_FLOAT;
        r->v[i] = (double)(grid_t(&ev->grid, i) / 1000);
    }
    return eval_map_rows(ev, p, out, 0, ev->q->arena, e);
}
