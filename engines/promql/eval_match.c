/* Matching of two vectors: arithmetic and comparison, one to one and many to one.
 *
 * Rows get a number for their matching labels once. When no number is given twice on the side that
 * must be unique, and no two results have the same labels, rows meet rows for all steps at once.
 * Else (series that follow one another under the same labels, fill values) the steps are gone
 * through one by one, with the checks and the errors of Prometheus.
 *
 * The "one" side is always r here: for group_right the sides are swapped first. */
#include "engines/promql/eval_int.h"

#define NOBODY UINT32_MAX

struct match {
    struct eval *ev;
    struct plan *p;
    struct sides *s;
    struct mat *out;
    struct set_map map; /* labels of results to rows of out */
    bool swapped;
    uint8_t *note;    /* by step: the last one, which is what Prometheus reports */
    uint32_t *of_sig; /* row of the one side, by number */
    /* Step by step only. */
    uint32_t *taken_step; /* by row of out: last step (+ 1) at which a result fell there */
    uint32_t *taken_sig;
    uint32_t *sig_step; /* by number: last step (+ 1) at which it matched */
    uint32_t taken_cap;
};

/* --- numbers of matching labels --------------------------------------------------------------- */

static bool number_rows(struct query *q, const struct sides *s, const struct mat *m,
                        struct set_map *map, uint32_t **out, struct err *e)
{
    uint32_t cap = 0;
    uint32_t *key = NULL;
    *out = ARENA_ARRAY(q->arena, uint32_t, size_max(m->n, 1));
    if (*out == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < m->n; i++) {
        struct lset ls = m->rows[i].ls;
        if (key == NULL || ls.n > cap) {
            cap = ls.n + 32;
            key = ARENA_ARRAY(q->arena, uint32_t, cap);
            if (key == NULL) {
                return eval_no_memory(q, e);
            }
        }
        struct lset sig = {key, 0};
        for (uint32_t j = 0; j < ls.n; j++) {
            if (name_set_has(&s->names, eval_name_of(q, ls.p[j])) == s->m->on) {
                key[sig.n++] = ls.p[j];
            }
        }
        uint32_t before = map->n;
        (*out)[i] = eval_map_put(q, map, sig);
        if ((*out)[i] == NOBODY) {
            return eval_no_memory(q, e);
        }
        if (map->n > before) {
            key += sig.n; /* the map keeps it */
            cap -= sig.n;
        }
    }
    return true;
}

bool eval_sides(struct eval *ev, struct plan *p, struct sides *s, struct err *e)
{
    struct query *q = ev->q;
    *s = (struct sides){.m = p->node->u.binary.matching};
    ASSERT(s->m != NULL);
    struct set_map map;
    if (!eval_all(ev, p->arg[0], &s->l, e) || !eval_all(ev, p->arg[1], &s->r, e) ||
        !eval_canon(q, &s->l, e) || !eval_canon(q, &s->r, e) ||
        !eval_names(q, s->m->labels, s->m->labels_n, &s->names, e) ||
        !eval_names(q, s->m->labels, s->m->labels_n, &s->drop, e)) {
        return false;
    }
    if (!s->m->on) {
        s->names.in[NAME_METRIC] = 1;
    }
    if (!eval_map_init(q, &map, s->l.n + s->r.n, e) ||
        !number_rows(q, s, &s->l, &map, &s->lsig, e) ||
        !number_rows(q, s, &s->r, &map, &s->rsig, e)) {
        return false;
    }
    s->sigs = map.n;
    return true;
}

/* --- labels of results ------------------------------------------------------------------------ */

static bool result_labels(struct match *m, struct lset many, struct lset one, struct lset *out,
                          struct err *e)
{
    struct query *q = m->ev->q;
    const struct matching *how = m->s->m;
    const struct promql_node *n = m->p->node;
    *out = many;
    if ((eval_op_changes_metric(n->u.binary.op) || (!q->delayed && n->u.binary.return_bool)) &&
        !eval_lset_drop_meta(q, *out, out, e)) {
        return false;
    }
    if (how->card == CARD_ONE_TO_ONE && !eval_lset_filter(q, *out, &m->s->drop, how->on, out, e)) {
        return false;
    }
    for (uint32_t i = 0; i < how->include_n; i++) {
        uint32_t name = eval_name(q, how->include[i]);
        if (name == UINT32_MAX) {
            return eval_no_memory(q, e);
        }
        uint32_t pair = eval_find(q, one, name);
        if (pair != eval_find(q, *out, name) && !eval_lset_put_pair(q, *out, name, pair, out, e)) {
            return false;
        }
    }
    return true;
}

/* The labels that a fill value stands under. */
static bool match_labels(struct match *m, struct lset ls, struct lset *out, struct err *e)
{
    return eval_lset_filter(m->ev->q, ls, &m->s->names, m->s->m->on, out, e);
}

/* Row of out for the labels; a new one is added to the map and to out. */
static uint32_t out_row(struct match *m, struct lset ls, struct err *e)
{
    struct query *q = m->ev->q;
    uint32_t at = eval_map_put(q, &m->map, ls);
    if (at == NOBODY) {
        (void)eval_no_memory(q, e);
        return NOBODY;
    }
    if (at < m->out->n) {
        return at;
    }
    struct row *r = eval_row_add(m->ev, m->out, q->arena, false);
    if (r == NULL) {
        (void)eval_no_memory(q, e);
        return NOBODY;
    }
    r->ls = ls;
    r->drop_name = m->p->node->u.binary.return_bool;
    return at;
}

/* --- one pair at one step --------------------------------------------------------------------- */

struct sample {
    double v;
    const struct nhist *h;
};

static struct sample sample_of(const struct row *r, uint32_t step)
{
    if (r->has[step] == HAS_HIST) {
        return (struct sample){0, r->h[step]};
    }
    return (struct sample){r->v[step], NULL};
}

static bool operate(struct match *m, struct sample l, struct sample r, uint32_t step,
                    struct elem *x, struct err *e)
{
    struct query *q = m->ev->q;
    bool ok = m->swapped ? eval_elem(q, m->p, r.v, l.v, r.h, l.h, q->arena, x, e)
                         : eval_elem(q, m->p, l.v, r.v, l.h, r.h, q->arena, x, e);
    if (!ok) {
        return false;
    }
    if (x->note != ELEM_FINE) {
        m->note[step] = (uint8_t)x->note;
    }
    if (!x->nothing && m->p->node->u.binary.return_bool) {
        x->v = x->keep ? 1 : 0;
        x->h = NULL;
    }
    return true;
}

static bool store(struct match *m, struct row *r, uint32_t step, const struct elem *x,
                  struct err *e)
{
    if (x->h != NULL) {
        if (!eval_row_hists(m->ev, r, m->ev->q->arena)) {
            return eval_no_memory(m->ev->q, e);
        }
        r->h[step] = x->h;
    }
    r->has[step] = x->h != NULL ? HAS_HIST : HAS_FLOAT;
    r->v[step] = x->v;
    return true;
}

/* --- whole rows ------------------------------------------------------------------------------- */

static bool unique(struct match *m, const uint32_t *sig, uint32_t n, uint32_t *of_sig)
{
    for (uint32_t i = 0; i < m->s->sigs; i++) {
        of_sig[i] = NOBODY;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (of_sig[sig[i]] != NOBODY) {
            return false;
        }
        of_sig[sig[i]] = i;
    }
    return true;
}

static bool match_rows(struct match *m, const struct row *l, const struct row *r, struct row *out,
                       struct err *e)
{
    bool as_bool = m->p->node->u.binary.return_bool;
    for (uint32_t i = 0; i < m->ev->grid.n; i++) {
        struct elem x;
        if (l->has[i] == HAS_NONE || r->has[i] == HAS_NONE) {
            continue;
        }
        if (!operate(m, sample_of(l, i), sample_of(r, i), i, &x, e)) {
            return false;
        }
        if (!x.nothing && (x.keep || as_bool) && !store(m, out, i, &x, e)) {
            return false;
        }
    }
    return true;
}

/* *done false: the steps have to be gone through one by one. */
static bool match_whole(struct match *m, bool *done, struct err *e)
{
    struct sides *s = m->s;
    struct query *q = m->ev->q;
    *done = false;
    if (s->m->fill_left_given || s->m->fill_right_given) {
        return true;
    }
    if ((s->m->card == CARD_ONE_TO_ONE && !unique(m, s->lsig, s->l.n, m->of_sig)) ||
        !unique(m, s->rsig, s->r.n, m->of_sig)) {
        return true;
    }
    for (uint32_t i = 0; i < s->l.n; i++) {
        uint32_t j = m->of_sig[s->lsig[i]];
        struct lset ls;
        uint32_t before = m->out->n;
        if ((i & 255) == 255 && !eval_check(q, e)) {
            return false;
        }
        if (j == NOBODY) {
            continue;
        }
        if (!result_labels(m, s->l.rows[i].ls, s->r.rows[j].ls, &ls, e)) {
            return false;
        }
        uint32_t at = out_row(m, ls, e);
        if (at == NOBODY) {
            return false;
        }
        if (at < before) {
            return true; /* two results under the same labels */
        }
        if (!match_rows(m, &s->l.rows[i], &s->r.rows[j], &m->out->rows[at], e)) {
            return false;
        }
    }
    *done = true;
    return true;
}

/* --- step by step ----------------------------------------------------------------------------- */

static bool duplicates(struct match *m, uint32_t a, uint32_t b, struct err *e)
{
    struct query *q = m->ev->q;
    struct buf text[3];
    struct lset sets[3] = {m->s->r.rows[a].ls, m->s->r.rows[b].ls, {NULL, 0}};
    bool ok = match_labels(m, sets[1], &sets[2], e);
    for (uint32_t i = 0; i < 3; i++) {
        struct labels ls = {NULL, 0};
        buf_init(&text[i], q->arena->mem, 16384);
        ok = ok && eval_lset_labels(q, sets[i], q->arena, &ls, e);
        labels_print(ls, &text[i]);
    }
    if (ok) {
        bool swap = str_cmp(buf_str(&text[0]), buf_str(&text[1])) > 0;
        (void)eval_fail(q, e,
                        "found duplicate series for the match group %.*s on the %s hand-side of "
                        "the operation: [%.*s, %.*s];many-to-many matching not allowed: matching "
                        "labels must be unique on one side",
                        STR_FMT(buf_str(&text[2])), m->swapped ? "left" : "right",
                        STR_FMT(buf_str(&text[swap])), STR_FMT(buf_str(&text[!swap])));
    }
    for (uint32_t i = 0; i < 3; i++) {
        buf_release(&text[i]);
    }
    return false;
}

/* Rows of the one side by number at this step. */
static bool fill_one_side(struct match *m, uint32_t step, struct err *e)
{
    struct sides *s = m->s;
    for (uint32_t i = 0; i < s->sigs; i++) {
        m->of_sig[i] = NOBODY;
    }
    for (uint32_t j = 0; j < s->r.n; j++) {
        if (s->r.rows[j].has[step] == HAS_NONE) {
            continue;
        }
        if (m->of_sig[s->rsig[j]] != NOBODY) {
            return duplicates(m, m->of_sig[s->rsig[j]], j, e);
        }
        m->of_sig[s->rsig[j]] = j;
    }
    return true;
}

static bool taken_grow(struct match *m, struct err *e)
{
    if (m->out->n <= m->taken_cap) {
        return true;
    }
    uint32_t cap = m->out->n * 2;
    uint32_t *step = ARENA_ARRAY(m->ev->q->arena, uint32_t, cap);
    uint32_t *sig = ARENA_ARRAY(m->ev->q->arena, uint32_t, cap);
    if (step == NULL || sig == NULL) {
        return eval_no_memory(m->ev->q, e);
    }
    if (m->taken_cap > 0) {
        memcpy(step, m->taken_step, m->taken_cap * sizeof *step);
        memcpy(sig, m->taken_sig, m->taken_cap * sizeof *sig);
    }
    m->taken_step = step;
    m->taken_sig = sig;
    m->taken_cap = cap;
    return true;
}

/* Refuses a second match where there may be one only. */
static bool claim(struct match *m, uint32_t sig, uint32_t at, uint32_t step, struct err *e)
{
    if (m->s->m->card == CARD_ONE_TO_ONE) {
        if (m->sig_step[sig] == step + 1) {
            return eval_fail(m->ev->q, e,
                             "multiple matches for labels: many-to-one matching must be explicit "
                             "(group_left/group_right)");
        }
    } else if (m->taken_step[at] == step + 1 && m->taken_sig[at] == sig) {
        return eval_fail(m->ev->q, e,
                         "multiple matches for labels: grouping labels must ensure unique matches");
    }
    m->sig_step[sig] = step + 1;
    m->taken_step[at] = step + 1;
    m->taken_sig[at] = sig;
    return true;
}

static bool match_pair(struct match *m, struct lset lls, struct sample l, struct lset rls,
                       struct sample r, uint32_t sig, uint32_t step, struct err *e)
{
    struct query *q = m->ev->q;
    struct elem x;
    struct lset ls;
    if (!operate(m, l, r, step, &x, e)) {
        return false;
    }
    if (x.nothing) {
        return true;
    }
    if (!result_labels(m, lls, rls, &ls, e)) {
        return false;
    }
    uint32_t at = out_row(m, ls, e);
    if (at == NOBODY || !taken_grow(m, e) || !claim(m, sig, at, step, e)) {
        return false;
    }
    if (!x.keep && !m->p->node->u.binary.return_bool) {
        return true;
    }
    if (m->out->rows[at].has[step] != HAS_NONE) {
        return eval_fail(q, e, "vector cannot contain metrics with the same labelset");
    }
    return store(m, &m->out->rows[at], step, &x, e);
}

static bool match_step(struct match *m, uint32_t step, struct err *e)
{
    struct sides *s = m->s;
    const struct matching *how = s->m;
    /* As Prometheus has it, the two fill values do not change sides with group_right. */
    bool fill_r = how->fill_right_given;
    bool fill_l = how->fill_left_given;
    struct sample rv = {how->fill_right, NULL};
    struct sample lv = {how->fill_left, NULL};
    struct lset ls;
    if (!fill_one_side(m, step, e)) {
        return false;
    }
    for (uint32_t i = 0; i < s->l.n; i++) {
        const struct row *l = &s->l.rows[i];
        uint32_t j = m->of_sig[s->lsig[i]];
        if (l->has[step] == HAS_NONE || (j == NOBODY && !fill_r)) {
            continue;
        }
        if (j == NOBODY && !match_labels(m, l->ls, &ls, e)) {
            return false;
        }
        if (!match_pair(m, l->ls, sample_of(l, step), j == NOBODY ? ls : s->r.rows[j].ls,
                        j == NOBODY ? rv : sample_of(&s->r.rows[j], step), s->lsig[i], step, e)) {
            return false;
        }
    }
    for (uint32_t j = 0; fill_l && j < s->r.n; j++) {
        const struct row *r = &s->r.rows[j];
        if (r->has[step] == HAS_NONE || m->sig_step[s->rsig[j]] == step + 1) {
            continue;
        }
        if (!match_labels(m, r->ls, &ls, e) ||
            !match_pair(m, ls, lv, r->ls, sample_of(r, step), s->rsig[j], step, e)) {
            return false;
        }
    }
    return true;
}

static uint32_t present(const struct mat *m, uint32_t step)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        n += m->rows[i].has[step] != HAS_NONE;
    }
    return n;
}

static bool match_steps(struct match *m, struct err *e)
{
    const struct sides *s = m->s;
    bool fills = s->m->fill_left_given || s->m->fill_right_given;
    m->sig_step = ARENA_ARRAY(m->ev->q->arena, uint32_t, size_max(s->sigs, 1));
    if (m->sig_step == NULL) {
        return eval_no_memory(m->ev->q, e);
    }
    for (uint32_t i = 0; i < m->ev->grid.n; i++) {
        uint32_t l = present(&s->l, i);
        uint32_t r = present(&s->r, i);
        if ((l == 0 && r == 0) || ((l == 0 || r == 0) && !fills)) {
            continue; /* also no error about duplicates then */
        }
        if (!eval_check(m->ev->q, e) || !match_step(m, i, e)) {
            return false;
        }
    }
    return true;
}

bool eval_match(struct eval *ev, struct plan *p, struct sides *s, struct mat *out, struct err *e)
{
    struct match m = {.ev = ev, .p = p, .s = s, .out = out};
    bool done;
    m.swapped = s->m->card == CARD_ONE_TO_MANY;
    if (m.swapped) {
        struct mat mat = s->l;
        uint32_t *sig = s->lsig;
        s->l = s->r;
        s->lsig = s->rsig;
        s->r = mat;
        s->rsig = sig;
    }
    m.note = ARENA_ARRAY(ev->q->arena, uint8_t, ev->grid.n);
    m.of_sig = ARENA_ARRAY(ev->q->arena, uint32_t, size_max(s->sigs, 1));
    if (m.note == NULL || m.of_sig == NULL) {
        return eval_no_memory(ev->q, e);
    }
    if (!eval_map_init(ev->q, &m.map, s->l.n, e) || !match_whole(&m, &done, e)) {
        return false;
    }
    if (done) {
        explain_way(p->seen, EXPLAIN_WHOLE_ROWS);
    } else {
        *out = (struct mat){0};
        memset(m.note, 0, ev->grid.n);
        if (!eval_map_init(ev->q, &m.map, s->l.n, e) || !match_steps(&m, e)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        eval_elem_note(ev->q, p, (enum elem_note)m.note[i]);
    }
    return true;
}
