/* count_values: how often each value occurs, with the value as a label. */
#include "engines/promql/eval_int.h"

#include "codec/f64.h"

struct counter {
    struct eval *ev;
    struct str label;
    uint32_t name;
    bool put; /* false: without(...) removes the label at once */
    struct name_set keep;
    bool without;
    struct set_map map;
    struct mat *out;
    struct buf text;
};

static bool base_labels(struct counter *c, const struct row *r, struct lset *out, struct err *e)
{
    struct query *q = c->ev->q;
    *out = r->ls;
    if (r->drop_name && !q->delayed && !eval_lset_drop_meta(q, *out, out, e)) {
        return false;
    }
    return eval_lset_filter(q, *out, &c->keep, !c->without, out, e);
}

static bool count_one(struct counter *c, struct lset base, const struct row *r, uint32_t step,
                      struct err *e)
{
    struct query *q = c->ev->q;
    struct lset ls = base;
    buf_reset(&c->text);
    if (r->has[step] == HAS_HIST) {
        hist_print(r->h[step], &c->text);
    } else {
        f64_write(&c->text, r->v[step], F64_PLAIN);
    }
    if (!buf_ok(&c->text, e)) {
        return false;
    }
    if (c->put) {
        uint32_t pair = eval_pair(q, c->label, buf_str(&c->text));
        if (pair == UINT32_MAX) {
            return eval_no_memory(q, e);
        }
        if (!eval_lset_put_pair(q, base, c->name, pair, &ls, e)) {
            return false;
        }
    }
    uint32_t at = eval_map_put(q, &c->map, ls);
    if (at == UINT32_MAX) {
        return eval_no_memory(q, e);
    }
    if (at == c->out->n) {
        struct row *fresh = eval_row_add(c->ev, c->out, q->arena, false);
        if (fresh == NULL) {
            return eval_no_memory(q, e);
        }
        fresh->ls = ls;
    }
    c->out->rows[at].has[step] = HAS_FLOAT;
    c->out->rows[at].v[step] += 1;
    return true;
}

static bool count_rows(struct counter *c, const struct mat *in, struct err *e)
{
    for (uint32_t i = 0; i < in->n; i++) {
        struct lset base;
        if (((i & 255) == 0 && !eval_check(c->ev->q, e)) ||
            !base_labels(c, &in->rows[i], &base, e)) {
            return false;
        }
        for (uint32_t j = 0; j < c->ev->grid.n; j++) {
            if (in->rows[i].has[j] != HAS_NONE && !count_one(c, base, &in->rows[i], j, e)) {
                return false;
            }
        }
    }
    return true;
}

bool eval_count_values(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    const struct promql_node *n = p->node;
    struct counter c = {.ev = ev, .without = n->u.agg.without, .out = out};
    struct mat in;
    c.label = p->arg[1]->node->u.string;
    if (c.label.n == 0 || !str_is_utf8(c.label)) {
        return eval_fail(q, e, "invalid label name \"%.*s\"", STR_FMT(c.label));
    }
    c.name = eval_name(q, c.label);
    if (c.name == UINT32_MAX) {
        return eval_no_memory(q, e);
    }
    if (!eval_all(ev, p->arg[0], &in, e) ||
        !eval_names(q, n->u.agg.grouping, n->u.agg.grouping_n, &c.keep, e) ||
        !eval_map_init(q, &c.map, 64, e)) {
        return false;
    }
    c.put = !(c.without && name_set_has(&c.keep, c.name));
    if (c.without) {
        c.keep.in[NAME_METRIC] = 1;
    }
    if (!eval_canon(q, &in, e)) {
        return false;
    }
    buf_init(&c.text, q->arena->mem, 1U << 20);
    bool ok = count_rows(&c, &in, e);
    buf_release(&c.text);
    return ok;
}
