/* Rows: making them, dropping names, joining rows whose labels became equal.
 *
 * Two series may lose what told them apart (their names). Where they never have samples at the same
 * step they are one series afterwards; where they do, the query is wrong and says so, with the text
 * of Prometheus. */
#include "engines/promql/eval_int.h"

static const char same_labels[] = "vector cannot contain metrics with the same labelset";

struct row *eval_row_bare(struct mat *m, struct arena *a)
{
    if (m->n == m->cap) {
        uint32_t cap = m->cap < 16 ? 16 : m->cap * 2;
        struct row *rows = ARENA_ARRAY(a, struct row, cap);
        if (rows == NULL) {
            return NULL;
        }
        if (m->n > 0) {
            memcpy(rows, m->rows, m->n * sizeof *rows);
        }
        m->rows = rows;
        m->cap = cap;
    }
    struct row *r = &m->rows[m->n++];
    *r = (struct row){0};
    return r;
}

struct row *eval_row_add(struct eval *ev, struct mat *m, struct arena *a, bool hists)
{
    uint32_t n = ev->grid.n;
    double *v = ARENA_ARRAY(a, double, n);
    uint8_t *has = ARENA_ARRAY(a, uint8_t, n);
    if (v == NULL || has == NULL) {
        return NULL;
    }
    struct row *r = eval_row_bare(m, a);
    if (r == NULL) {
        return NULL;
    }
    r->v = v;
    r->has = has;
    if (hists) {
        r->h = ARENA_ARRAY(a, const struct nhist *, n);
        if (r->h == NULL) {
            return NULL;
        }
    }
    return r;
}

bool eval_row_hists(struct eval *ev, struct row *r, struct arena *a)
{
    if (r->h == NULL) {
        r->h = ARENA_ARRAY(a, const struct nhist *, ev->grid.n);
    }
    return r->h != NULL;
}

bool eval_row_empty(const struct row *r, uint32_t steps)
{
    /* Equal to itself moved by one, and the first is none: all are none. */
    return steps == 0 || (r->has[0] == HAS_NONE && memcmp(r->has, r->has + 1, steps - 1) == 0);
}

void eval_drop_empty(struct eval *ev, struct mat *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        if (!eval_row_empty(&m->rows[i], ev->grid.n)) {
            m->rows[n++] = m->rows[i];
        }
    }
    m->n = n;
}

bool eval_strip(struct query *q, struct mat *m, struct err *e)
{
    for (uint32_t i = 0; i < m->n; i++) {
        struct row *r = &m->rows[i];
        if (r->drop_name && !eval_lset_drop_meta(q, r->ls, &r->ls, e)) {
            return false;
        }
    }
    return true;
}

/* Puts the samples of `from` into `to`; false when both have one at a step. */
static bool row_join(struct eval *ev, struct row *to, const struct row *from)
{
    if (from->h != NULL && !eval_row_hists(ev, to, ev->q->arena)) {
        return false;
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (from->has[i] == HAS_NONE) {
            continue;
        }
        if (to->has[i] != HAS_NONE) {
            return false;
        }
        to->has[i] = from->has[i];
        to->v[i] = from->v[i];
        if (from->h != NULL) {
            to->h[i] = from->h[i];
        }
    }
    return true;
}

bool eval_merge(struct eval *ev, struct mat *m, bool join, struct err *e)
{
    struct query *q = ev->q;
    if (m->n < 2) {
        return true;
    }
    struct set_map map;
    if (!eval_canon(q, m, e) || !eval_map_init(q, &map, m->n, e)) {
        return false;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = eval_map_put(q, &map, m->rows[i].ls);
        if (at == UINT32_MAX) {
            return eval_no_memory(q, e);
        }
        if (at == kept) {
            m->rows[kept++] = m->rows[i];
        } else if (!join || !row_join(ev, &m->rows[at], &m->rows[i])) {
            return eval_fail(q, e, "%s", same_labels);
        }
    }
    m->n = kept;
    return true;
}

bool eval_settle(struct eval *ev, struct mat *m, struct err *e)
{
    if (!ev->q->delayed) {
        return eval_strip(ev->q, m, e) && eval_merge(ev, m, ev->grid.n > 1, e);
    }
    return ev->grid.n == 1 || eval_merge(ev, m, true, e);
}
