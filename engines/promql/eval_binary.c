/* Binary operators: scalars, a vector with a scalar, set operators; matching is in eval_match.c. */
#include "engines/promql/eval_int.h"

bool eval_binary_scalars(struct eval *ev, struct plan *p, double **out, struct err *e)
{
    double *l;
    double *r;
    if (!eval_scalar(ev, p->arg[0], &l, e) || !eval_scalar(ev, p->arg[1], &r, e)) {
        return false;
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        l[i] = eval_op(p->node->u.binary.op, l[i], r[i]);
    }
    *out = l;
    return true;
}

/* --- vector with scalar ----------------------------------------------------------------------- */

static bool scalar_row(struct eval *ev, struct plan *p, struct row *r, const double *scalar,
                       bool swap, struct arena *a, struct err *e)
{
    enum op op = p->node->u.binary.op;
    bool compares = eval_op_compares(op);
    bool as_bool = p->node->u.binary.return_bool;
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (r->has[i] == HAS_NONE) {
            continue;
        }
        const struct nhist *h = r->has[i] == HAS_HIST ? r->h[i] : NULL;
        double v = h == NULL ? r->v[i] : 0;
        struct elem x;
        bool ok = swap ? eval_elem(ev->q, p, scalar[i], v, NULL, h, a, &x, e)
                       : eval_elem(ev->q, p, v, scalar[i], h, NULL, a, &x, e);
        if (!ok) {
            return false;
        }
        if (x.nothing) {
            eval_elem_note(ev->q, p, x.note);
            r->has[i] = HAS_NONE;
            continue;
        }
        if (compares) {
            x.v = v;
            x.h = h;
        }
        if (as_bool) {
            x = (struct elem){.v = x.keep ? 1 : 0, .keep = true};
        }
        r->has[i] = !x.keep ? HAS_NONE : x.h != NULL ? HAS_HIST : HAS_FLOAT;
        r->v[i] = x.v;
        if (x.h != NULL) {
            r->h[i] = x.h;
        }
    }
    r->drop_name = r->drop_name || eval_op_changes_metric(op) || as_bool;
    return true;
}

bool eval_binary_scalar_rows(struct eval *ev, struct plan *p, struct mat *m, uint32_t from,
                             struct arena *a, struct err *e)
{
    bool swap = p->arg[0]->type == PROMQL_SCALAR;
    const double *scalar = p->scalars[swap ? 0 : 1];
    for (uint32_t i = from; i < m->n; i++) {
        if (!scalar_row(ev, p, &m->rows[i], scalar, swap, a, e)) {
            return false;
        }
    }
    return true;
}

/* --- sets ------------------------------------------------------------------------------------- */

/* Which signatures have a sample, step by step. */
struct presence {
    uint8_t *at;   /* [signature * steps + step] */
    uint32_t *any; /* rows with a sample at the step */
};

static bool presence_of(struct eval *ev, const struct mat *m, const uint32_t *sig, uint32_t sigs,
                        struct presence *out, struct err *e)
{
    uint32_t steps = ev->grid.n;
    out->at = ARENA_ARRAY(ev->q->arena, uint8_t, (size_t)size_max(sigs, 1) * steps);
    out->any = ARENA_ARRAY(ev->q->arena, uint32_t, steps);
    if (out->at == NULL || out->any == NULL) {
        return eval_no_memory(ev->q, e);
    }
    for (uint32_t i = 0; i < m->n; i++) {
        uint8_t *at = out->at + (size_t)sig[i] * steps;
        for (uint32_t j = 0; j < steps; j++) {
            uint8_t has = m->rows[i].has[j] != HAS_NONE;
            at[j] |= has;
            out->any[j] += has;
        }
    }
    return true;
}

/* Keeps of each row the steps where its signature is (or is not) present on the other side. */
static void keep_steps(struct eval *ev, struct mat *m, const uint32_t *sig,
                       const struct presence *other, bool present)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const uint8_t *at = other->at + (size_t)sig[i] * ev->grid.n;
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            if ((at[j] != 0) != present) {
                m->rows[i].has[j] = HAS_NONE;
            }
        }
    }
}

static bool set_op(struct eval *ev, struct plan *p, struct sides *s, struct mat *out, struct err *e)
{
    enum op op = p->node->u.binary.op;
    struct presence there;
    if (op != OP_OR) {
        if (!presence_of(ev, &s->r, s->rsig, s->sigs, &there, e)) {
            return false;
        }
        keep_steps(ev, &s->l, s->lsig, &there, op == OP_AND);
        *out = s->l;
        eval_drop_empty(ev, out);
        return eval_settle(ev, out, e);
    }
    if (!presence_of(ev, &s->l, s->lsig, s->sigs, &there, e)) {
        return false;
    }
    keep_steps(ev, &s->r, s->rsig, &there, false);
    for (uint32_t side = 0; side < 2; side++) {
        const struct mat *m = side == 0 ? &s->l : &s->r;
        for (uint32_t i = 0; i < m->n; i++) {
            struct row *r = eval_row_bare(out, ev->q->arena);
            if (r == NULL) {
                return eval_no_memory(ev->q, e);
            }
            *r = m->rows[i];
        }
    }
    eval_drop_empty(ev, out);
    return eval_settle(ev, out, e);
}

bool eval_binary(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    enum op op = p->node->u.binary.op;
    struct sides s;
    if (!eval_sides(ev, p, &s, e)) {
        return false;
    }
    return op == OP_AND || op == OP_OR || op == OP_UNLESS ? set_op(ev, p, &s, out, e)
                                                          : eval_match(ev, p, &s, out, e);
}
