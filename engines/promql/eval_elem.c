/* One sample with another: the binary operators on floats and histograms, with the notes about
 * operands that do not fit. */
#include "engines/promql/eval_int.h"

#include <math.h>

bool eval_op_compares(enum op op)
{
    return op == OP_EQ || op == OP_NE || op == OP_GT || op == OP_LT || op == OP_GE || op == OP_LE;
}

bool eval_op_changes_metric(enum op op)
{
    return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_DIV || op == OP_POW ||
           op == OP_MOD || op == OP_ATAN2;
}

bool eval_op_holds(enum op op, double l, double r)
{
    switch (op) {
    case OP_EQ: return l == r;
    case OP_NE: return l != r;
    case OP_GT: return l > r;
    case OP_LT: return l < r;
    case OP_GE: return l >= r;
    case OP_LE: return l <= r;
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
    case OP_ATAN2:
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: break;
    }
    return false;
}

double eval_op(enum op op, double l, double r)
{
    switch (op) {
    case OP_ADD: return l + r;
    case OP_SUB: return l - r;
    case OP_MUL: return l * r;
    case OP_DIV: return l / r;
    case OP_MOD: return fmod(l, r);
    case OP_POW: return pow(l, r);
    case OP_ATAN2: return atan2(l, r);
    case OP_EQ:
    case OP_NE:
    case OP_GT:
    case OP_LT:
    case OP_GE:
    case OP_LE: return eval_op_holds(op, l, r) ? 1 : 0;
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: break;
    }
    return (double)NAN;
}

void eval_elem_note(struct query *q, const struct plan *p, enum elem_note note)
{
    const char *op = op_text(p->node->u.binary.op);
    const char *l = note == ELEM_FLOAT_FLOAT || note == ELEM_FLOAT_HIST ? "float" : "histogram";
    const char *r = note == ELEM_FLOAT_FLOAT || note == ELEM_HIST_FLOAT ? "float" : "histogram";
    const char *doing = p->node->u.binary.op == OP_ADD ? "addition" : "subtraction";
    switch (note) {
    case ELEM_FINE: break;
    case ELEM_FLOAT_FLOAT:
    case ELEM_FLOAT_HIST:
    case ELEM_HIST_FLOAT:
    case ELEM_HIST_HIST:
        note_info(&q->notes, p->pos,
                  "incompatible sample types encountered for binary operator \"%s\": %s %s %s", op,
                  l, op, r);
        break;
    case ELEM_LAYOUT:
        note_warn(&q->notes, p->pos,
                  "incompatible bucket layout encountered for binary operator %s", op);
        break;
    case ELEM_RESETS:
        note_warn(&q->notes, p->pos, "conflicting counter resets during histogram %s", doing);
        break;
    case ELEM_BOUNDS:
        note_info(&q->notes, p->pos, "mismatched custom buckets were reconciled during %s", doing);
        break;
    }
}

static bool mismatch(struct elem *out, enum elem_note note)
{
    out->note = note;
    out->nothing = true;
    return true;
}

static bool give(struct query *q, const struct nhist *h, struct arena *a, bool compact,
                 struct elem *out, struct err *e)
{
    if (h != NULL && compact) {
        h = hist_compact(h, a);
    }
    out->h = h;
    return h != NULL || eval_no_memory(q, e);
}

static bool hist_float(struct query *q, const struct plan *p, const struct nhist *l, double r,
                       struct arena *a, struct elem *out, struct err *e)
{
    enum op op = p->node->u.binary.op;
    if (op == OP_MUL) {
        return give(q, hist_scale(l, r, a), a, true, out, e);
    }
    if (op == OP_DIV) {
        return give(q, hist_div(l, r, a), a, true, out, e);
    }
    if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER) {
        return give(q, hist_trim(l, r, op == OP_TRIM_UPPER, a), a, false, out, e);
    }
    return mismatch(out, ELEM_HIST_FLOAT);
}

static bool hist_add_sub(struct query *q, const struct plan *p, const struct nhist *l,
                         const struct nhist *r, struct arena *a, struct elem *out, struct err *e)
{
    bool add = p->node->u.binary.op == OP_ADD;
    unsigned trouble = 0;
    struct nhist *h = add ? hist_add(l, r, a, &trouble) : hist_sub(l, r, a, &trouble);
    if ((trouble & HIST_INCOMPATIBLE_SCHEMA) != 0) {
        return mismatch(out, ELEM_LAYOUT);
    }
    if ((trouble & HIST_RESET_CONFLICT) != 0) {
        return mismatch(out, ELEM_RESETS); /* Prometheus gives no result then */
    }
    if ((trouble & HIST_BOUNDS_RECONCILED) != 0) {
        out->note = ELEM_BOUNDS;
    }
    if (h != NULL && !add) {
        h->reset = NHIST_GAUGE;
    }
    return give(q, h, a, true, out, e);
}

bool eval_elem(struct query *q, const struct plan *p, double l, double r, const struct nhist *hl,
               const struct nhist *hr, struct arena *a, struct elem *out, struct err *e)
{
    enum op op = p->node->u.binary.op;
    *out = (struct elem){.v = 0, .keep = true};
    if (hl == NULL && hr == NULL) {
        if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER) {
            return mismatch(out, ELEM_FLOAT_FLOAT);
        }
        if (eval_op_compares(op)) {
            out->v = l;
            out->keep = eval_op_holds(op, l, r);
        } else {
            out->v = eval_op(op, l, r);
        }
        return true;
    }
    if (hl == NULL) {
        return op == OP_MUL ? give(q, hist_scale(hr, l, a), a, true, out, e)
                            : mismatch(out, ELEM_FLOAT_HIST);
    }
    if (hr == NULL) {
        return hist_float(q, p, hl, r, a, out, e);
    }
    if (op == OP_ADD || op == OP_SUB) {
        return hist_add_sub(q, p, hl, hr, a, out, e);
    }
    if (op == OP_EQ || op == OP_NE) {
        out->h = hl;
        out->keep = hist_equal(hl, hr) == (op == OP_EQ);
        return true;
    }
    return mismatch(out, ELEM_HIST_HIST);
}
