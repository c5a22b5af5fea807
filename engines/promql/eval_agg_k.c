/* Aggregations that choose among the rows of a group: topk bottomk limitk limit_ratio; and quantile
 * and count_values, which also need all rows of a step at once.
 *
 * topk keeps a heap of k samples per group, with the rules of Prometheus (a later equal sample does
 * not displace an earlier one; NaN loses to everything), so that the same samples win. limit_ratio
 * keeps a series when the hash of its labels, as a share of all hashes, lies below the ratio: the
 * hash is Prometheus' (XXH64 over length-prefixed names and values), so that both agree. */
#include "engines/promql/eval_int.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#define LABEL_LONG 255 /* a longer text has its length in three more bytes */

struct pick {
    struct eval *ev;
    struct plan *p;
    enum agg op;
    struct mat in;
    struct groups_by by;
    uint32_t *group;  /* by row */
    uint32_t *begin;  /* by group: place in heap; one more at the end */
    uint32_t *filled; /* by group */
    uint32_t *heap;   /* rows */
    uint32_t groups;
    double *share; /* limit_ratio: by row */
};

static bool group_rows(struct pick *k, struct err *e)
{
    struct query *q = k->ev->q;
    uint32_t n = k->in.n;
    k->group = ARENA_ARRAY(q->arena, uint32_t, size_max(n, 1));
    k->heap = ARENA_ARRAY(q->arena, uint32_t, size_max(n, 1));
    if (k->group == NULL || k->heap == NULL) {
        return eval_no_memory(q, e);
    }
    if (!eval_canon(q, &k->in, e) || !eval_grouping_init(q, k->p->node, &k->by, e)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        k->group[i] = eval_group_of(&k->by, &k->in.rows[i], e);
        if (k->group[i] == UINT32_MAX) {
            return false;
        }
    }
    k->groups = grouping_count(&k->by);
    k->begin = ARENA_ARRAY(q->arena, uint32_t, (size_t)k->groups + 1);
    k->filled = ARENA_ARRAY(q->arena, uint32_t, (size_t)k->groups + 1);
    if (k->begin == NULL || k->filled == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < n; i++) {
        k->begin[k->group[i] + 1]++;
    }
    for (uint32_t i = 0; i < k->groups; i++) {
        k->begin[i + 1] += k->begin[i];
    }
    return true;
}

/* --- the heap --------------------------------------------------------------------------------- */

static bool less(const struct pick *k, uint32_t step, uint32_t a, uint32_t b)
{
    double x = k->in.rows[a].v[step];
    double y = k->in.rows[b].v[step];
    return isnan(x) || (k->op == AGG_BOTTOMK ? x > y : x < y);
}

static void swap(uint32_t *h, uint32_t i, uint32_t j)
{
    uint32_t t = h[i];
    h[i] = h[j];
    h[j] = t;
}

static void push(const struct pick *k, uint32_t step, uint32_t *h, uint32_t *n, uint32_t row)
{
    uint32_t j = (*n)++;
    h[j] = row;
    while (j > 0) {
        uint32_t i = (j - 1) / 2;
        if (!less(k, step, h[j], h[i])) {
            break;
        }
        swap(h, i, j);
        j = i;
    }
}

static void sink(const struct pick *k, uint32_t step, uint32_t *h, uint32_t n)
{
    uint32_t i = 0;
    for (;;) {
        uint32_t j = 2 * i + 1;
        if (j >= n) {
            return;
        }
        if (j + 1 < n && less(k, step, h[j + 1], h[j])) {
            j++;
        }
        if (!less(k, step, h[j], h[i])) {
            return;
        }
        swap(h, i, j);
        i = j;
    }
}

static void offer(const struct pick *k, uint32_t step, uint32_t row, uint32_t limit)
{
    uint32_t *h = k->heap + k->begin[k->group[row]];
    uint32_t *n = &k->filled[k->group[row]];
    double f = k->in.rows[row].v[step];
    if (*n < limit) {
        push(k, step, h, n, row);
        return;
    }
    double top = k->in.rows[h[0]].v[step];
    if ((k->op == AGG_BOTTOMK ? top > f : top < f) || (isnan(top) && !isnan(f))) {
        h[0] = row;
        sink(k, step, h, *n);
    }
}

/* The best first; equal ones as the heap has them. */
static void order(const struct pick *k, uint32_t step, uint32_t *h, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t j = i; j > 0 && less(k, step, h[j - 1], h[j]); j--) {
            swap(h, j - 1, j);
        }
    }
}

/* --- choosing --------------------------------------------------------------------------------- */

static void put_size(struct buf *b, size_t n)
{
    if (n < LABEL_LONG) {
        buf_u8(b, (uint8_t)n);
        return;
    }
    buf_u8(b, LABEL_LONG);
    buf_u8(b, (uint8_t)n);
    buf_u8(b, (uint8_t)(n >> 8));
    buf_u8(b, (uint8_t)(n >> 16));
}

static bool shares(struct pick *k, struct err *e)
{
    struct query *q = k->ev->q;
    struct buf b;
    k->share = ARENA_ARRAY(q->arena, double, size_max(k->in.n, 1));
    if (k->share == NULL) {
        return eval_no_memory(q, e);
    }
    buf_init(&b, q->arena->mem, 1U << 24);
    for (uint32_t i = 0; i < k->in.n; i++) {
        struct lset ls = k->in.rows[i].ls;
        buf_reset(&b);
        for (uint32_t j = 0; j < ls.n; j++) {
            struct label l = eval_label(q, ls.p[j]);
            put_size(&b, l.name.n);
            buf_str_add(&b, l.name);
            put_size(&b, l.value.n);
            buf_str_add(&b, l.value);
        }
        k->share[i] = (double)XXH64(b.p, b.n, 0) / 18446744073709551615.0;
    }
    bool ok = buf_ok(&b, e);
    buf_release(&b);
    return ok;
}

static bool chosen_by_ratio(double share, double r)
{
    r = r < -1 ? -1 : r > 1 ? 1 : r;
    return (r >= 0 && share < r) || (r < 0 && share >= 1 + r);
}

static void choose_step(struct pick *k, uint32_t step, double param)
{
    double most = (double)k->in.n;
    uint32_t limit = param < 1 ? 0 : (uint32_t)(param > most ? most : param);
    bool ranks = k->op == AGG_TOPK || k->op == AGG_BOTTOMK;
    memset(k->filled, 0, k->groups * sizeof *k->filled);
    if (k->op == AGG_LIMIT_RATIO ? param == 0 : limit == 0) {
        return;
    }
    for (uint32_t i = 0; i < k->in.n; i++) {
        uint8_t has = k->in.rows[i].has[step];
        if (has == HAS_NONE) {
            continue;
        }
        if (ranks && has == HAS_HIST) {
            note_info(&k->ev->q->notes, k->p->pos, "ignored histogram in %s aggregation",
                      agg_text(k->op));
        } else if (ranks) {
            offer(k, step, i, limit);
        } else if (k->op == AGG_LIMITK ? k->filled[k->group[i]] < limit
                                       : chosen_by_ratio(k->share[i], param)) {
            k->heap[k->begin[k->group[i]] + k->filled[k->group[i]]++] = i;
        }
    }
}

static bool take_step(struct pick *k, uint32_t step, struct mat *out, struct err *e)
{
    bool instant = k->ev->grid.n == 1;
    for (uint32_t g = 0; g < k->groups; g++) {
        uint32_t *h = k->heap + k->begin[g];
        if (instant && (k->op == AGG_TOPK || k->op == AGG_BOTTOMK)) {
            order(k, step, h, k->filled[g]);
        }
        for (uint32_t i = 0; i < k->filled[g]; i++) {
            if (!instant) {
                out->rows[h[i]].has[step] = k->in.rows[h[i]].has[step];
                continue;
            }
            struct row *r = eval_row_bare(out, k->ev->q->arena);
            if (r == NULL) {
                return eval_no_memory(k->ev->q, e);
            }
            *r = k->in.rows[h[i]];
        }
    }
    return true;
}

/* Rows as the input's, but with nothing present yet. */
static bool empty_rows(struct pick *k, struct mat *out, struct err *e)
{
    for (uint32_t i = 0; i < k->in.n; i++) {
        struct row *r = eval_row_bare(out, k->ev->q->arena);
        uint8_t *has = ARENA_ARRAY(k->ev->q->arena, uint8_t, k->ev->grid.n);
        if (r == NULL || has == NULL) {
            return eval_no_memory(k->ev->q, e);
        }
        *r = k->in.rows[i];
        r->has = has;
    }
    return true;
}

/* The parameter over all steps. NaN at any step is found in both. */
static void extremes(const double *v, uint32_t n, double *min, double *max)
{
    *min = *max = v[0];
    for (uint32_t i = 0; i < n; i++) {
        *min = isnan(v[i]) || v[i] < *min ? v[i] : *min;
        *max = isnan(v[i]) || v[i] > *max ? v[i] : *max;
        if (isnan(v[i])) {
            *min = *max = v[i];
            return;
        }
    }
}

static bool check_param(struct pick *k, const double *v, bool *nothing, struct err *e)
{
    struct query *q = k->ev->q;
    struct pos pos = k->p->arg[1]->pos;
    double min;
    double max;
    extremes(v, k->ev->grid.n, &min, &max);
    if (k->op == AGG_LIMIT_RATIO) {
        *nothing = min == 0 && max == 0;
        if (isnan(max)) {
            return eval_fail(q, e, "Ratio value is NaN");
        }
        if (max > 1) {
            note_warn(&q->notes, pos,
                      "ratio value should be between -1 and 1, got %s, capping to 1",
                      g_text(max).text);
        }
        if (min < -1) {
            note_warn(&q->notes, pos,
                      "ratio value should be between -1 and 1, got %s, capping to -1",
                      g_text(min).text);
        }
        return true;
    }
    *nothing = max < 1;
    if (*nothing) {
        return true;
    }
    if (isnan(max)) {
        return eval_fail(q, e, "Parameter value is NaN");
    }
    if (min <= -9223372036854775808.0) {
        return eval_fail(q, e, "Scalar value %s underflows int64", g_text(min).text);
    }
    if (max >= 9223372036854774784.0) {
        return eval_fail(q, e, "Scalar value %s overflows int64", g_text(max).text);
    }
    return true;
}

bool eval_aggregate_k(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct pick k = {.ev = ev, .p = p, .op = p->node->u.agg.op};
    double *param;
    bool nothing;
    if (!eval_scalar(ev, p->arg[1], &param, e) || !eval_all(ev, p->arg[0], &k.in, e) ||
        !check_param(&k, param, &nothing, e)) {
        return false;
    }
    if (nothing) {
        return true;
    }
    if (!group_rows(&k, e) || (k.op == AGG_LIMIT_RATIO && !shares(&k, e)) ||
        (ev->grid.n > 1 && !empty_rows(&k, out, e))) {
        return false;
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        choose_step(&k, i, param[i]);
        if (!eval_check(ev->q, e) || !take_step(&k, i, out, e)) {
            return false;
        }
    }
    return true;
}

/* --- quantile --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    if (isnan(x) || isnan(y)) {
        return isnan(y) - isnan(x);
    }
    return x < y ? -1 : x > y;
}

double eval_quantile_of(double q, double *v, uint32_t n)
{
    if (n == 0 || isnan(q)) {
        return (double)NAN;
    }
    if (q < 0 || q > 1) {
        return q < 0 ? -HUGE_VAL : HUGE_VAL;
    }
    qsort(v, n, sizeof *v, by_value);
    double rank = q * (double)(n - 1);
    double low = floor(rank);
    uint32_t i = (uint32_t)low;
    uint32_t j = i + 1 < n ? i + 1 : n - 1;
    return v[i] * (1 - (rank - low)) + v[j] * (rank - low);
}

static bool quantile_step(struct pick *k, uint32_t step, double q, double *values, struct mat *out)
{
    memset(k->filled, 0, k->groups * sizeof *k->filled);
    for (uint32_t i = 0; i < k->in.n; i++) {
        const struct row *r = &k->in.rows[i];
        uint32_t g = k->group[i];
        if (r->has[step] == HAS_HIST) {
            note_info(&k->ev->q->notes, k->p->arg[0]->pos,
                      "ignored histogram in quantile aggregation");
        } else if (r->has[step] == HAS_FLOAT) {
            out->rows[g].drop_name = r->drop_name || (k->filled[g] > 0 && out->rows[g].drop_name);
            values[k->begin[g] + k->filled[g]++] = r->v[step];
        }
    }
    for (uint32_t g = 0; g < k->groups; g++) {
        if (k->filled[g] > 0) {
            out->rows[g].has[step] = HAS_FLOAT;
            out->rows[g].v[step] = eval_quantile_of(q, values + k->begin[g], k->filled[g]);
        }
    }
    return true;
}

/* Rows of the groups' labels, empty. */
static bool group_out(struct pick *k, struct mat *out, struct err *e)
{
    struct query *q = k->ev->q;
    for (uint32_t g = 0; g < k->groups; g++) {
        struct row *r = eval_row_add(k->ev, out, q->arena, false);
        if (r == NULL) {
            return eval_no_memory(q, e);
        }
        r->ls = k->by.map.sets[g];
    }
    return true;
}

bool eval_quantile(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct pick k = {.ev = ev, .p = p, .op = AGG_QUANTILE};
    struct query *q = ev->q;
    double *param;
    double min;
    double max;
    if (!eval_scalar(ev, p->arg[1], &param, e) || !eval_all(ev, p->arg[0], &k.in, e) ||
        !group_rows(&k, e) || !group_out(&k, out, e)) {
        return false;
    }
    extremes(param, ev->grid.n, &min, &max);
    note_bad_quantile(max, &q->notes, p->arg[1]->pos);
    note_bad_quantile(min, &q->notes, p->arg[1]->pos);
    double *values = ARENA_ARRAY(q->arena, double, size_max(k.in.n, 1));
    if (values == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (!eval_check(q, e) || !quantile_step(&k, i, param[i], values, out)) {
            return false;
        }
    }
    return true;
}
