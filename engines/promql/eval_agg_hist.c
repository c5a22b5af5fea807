/* sum and avg of native histograms: one group at one step. */
#include "engines/promql/eval_int.h"

/* The sum borrows custom bounds, and its operands live only as long as their batch. */
static bool lasting(struct query *q, const struct nhist *h, struct nhist *out)
{
    *out = *h;
    if (h->custom_n == 0) {
        return true;
    }
    out->custom = ARENA_ARRAY(q->arena, double, h->custom_n);
    if (out->custom == NULL) {
        return false;
    }
    memcpy(out->custom, h->custom, h->custom_n * sizeof *h->custom);
    return true;
}

static bool cell_new(struct query *q, bool avg, const struct nhist *h, struct hist_cell **out)
{
    struct hist_cell *c = ARENA_NEW(q->arena, struct hist_cell);
    *out = c;
    if (c == NULL) {
        return false;
    }
    return avg ? hist_mean_init(&c->mean, h, q->arena) : hist_acc_init(&c->acc, h, true, q->arena);
}

bool eval_hist_cell_add(struct eval *ev, const struct plan *p, struct hist_cell **cell,
                        const struct nhist *in, const struct row *r, struct err *e)
{
    struct query *q = ev->q;
    struct nhist h;
    bool avg = p->node->u.agg.op == AGG_AVG;
    struct hist_cell *c = *cell;
    if (c != NULL && c->broken) {
        return true;
    }
    if (!lasting(q, in, &h)) {
        return eval_no_memory(q, e);
    }
    bool ok = true;
    if (c == NULL) {
        if (!cell_new(q, avg, &h, cell)) {
            return eval_no_memory(q, e);
        }
        c = *cell;
    } else {
        ok = avg ? hist_mean_add(&c->mean, &h) : hist_acc_add(&c->acc, &h);
    }
    c->reset_seen = c->reset_seen || h.reset == NHIST_RESET;
    c->no_reset_seen = c->no_reset_seen || h.reset == NHIST_NO_RESET;
    struct hist_acc *acc = avg ? &c->mean.sum : &c->acc;
    if (!ok && (acc->trouble & HIST_INCOMPATIBLE_SCHEMA) == 0) {
        return eval_no_memory(q, e);
    }
    if ((acc->trouble & HIST_BOUNDS_RECONCILED) != 0) {
        note_info(&q->notes, p->arg[0]->pos,
                  "mismatched custom buckets were reconciled during aggregation");
    }
    if (!ok) {
        struct str name = eval_metric(q, r->ls);
        note_warn(&q->notes, p->arg[0]->pos,
                  "vector contains a mix of histograms with exponential and custom buckets schemas "
                  "for metric name \"%.*s\"",
                  STR_FMT(name));
        c->broken = true;
    }
    return true;
}

bool eval_hist_cell_done(struct eval *ev, const struct plan *p, struct hist_cell *c,
                         const struct nhist **out, struct err *e)
{
    struct query *q = ev->q;
    *out = NULL;
    if (c->broken) {
        return true;
    }
    struct nhist *h =
        p->node->u.agg.op == AGG_AVG ? hist_mean_value(&c->mean) : hist_acc_value(&c->acc);
    h = h == NULL ? NULL : hist_compact(h, q->arena);
    if (h == NULL) {
        return eval_no_memory(q, e);
    }
    if (c->reset_seen && c->no_reset_seen) {
        note_warn(&q->notes, p->arg[0]->pos,
                  "conflicting counter resets during histogram aggregation");
    }
    *out = h;
    return true;
}
