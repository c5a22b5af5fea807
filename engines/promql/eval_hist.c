/* histogram_quantile, histogram_quantiles, histogram_fraction over classic buckets (rows that
 * differ in le) and native histograms.
 *
 * Rows are grouped once by their labels without le; then each step collects the buckets that are
 * there. A name whose bucket label is no number gets a warning; where a native histogram has the
 * labels of a classic one, neither gives an answer. */
#include "engines/promql/eval_int.h"

#include "engines/promql/fn/classic_int.h"

#include <math.h>
#include <stdlib.h>

#define QUANTILES_MAX 16

struct hist_call {
    struct eval *ev;
    struct plan *p;
    struct plan *arg; /* the vector */
    struct mat in;
    double *le;        /* by row; NaN: no number */
    uint32_t *classic; /* by row: its group as a bucket */
    uint32_t *native;  /* by row: its group as a histogram of its own */
    struct lset *base; /* by group: labels without le */
    uint32_t groups;
    uint32_t *begin;  /* by group: place in buckets */
    uint32_t *filled; /* by group, at this step */
    uint8_t *mixed;   /* by group, at this step */
    struct classic_bucket *buckets, *work;
    double *q[QUANTILES_MAX]; /* by step; fraction: lower and upper */
    uint32_t places[QUANTILES_MAX];
    struct str labels[QUANTILES_MAX]; /* the quantile as text, at this step */
    double labelled[QUANTILES_MAX];
    uint32_t q_n;
    uint32_t *out_row; /* [group * q_n + which], + 1 */
    struct mat *out;
};

/* As Go's ParseFloat reads a bucket label. */
static double bound_of(struct str s)
{
    double v;
    if (str_eq_nocase(s, STR("+inf")) || str_eq_nocase(s, STR("inf")) ||
        str_eq_nocase(s, STR("+infinity")) || str_eq_nocase(s, STR("infinity"))) {
        return HUGE_VAL;
    }
    if (str_eq_nocase(s, STR("-inf")) || str_eq_nocase(s, STR("-infinity"))) {
        return -HUGE_VAL;
    }
    return str_to_f64(s, &v) ? v : (double)NAN;
}

static bool take(struct hist_call *c, struct err *e)
{
    struct arena *a = c->ev->q->arena;
    size_t n = size_max(c->in.n, 1);
    c->le = ARENA_ARRAY(a, double, n);
    c->classic = ARENA_ARRAY(a, uint32_t, n);
    c->native = ARENA_ARRAY(a, uint32_t, n);
    c->base = ARENA_ARRAY(a, struct lset, 2 * n);
    c->begin = ARENA_ARRAY(a, uint32_t, 2 * n + 1);
    c->filled = ARENA_ARRAY(a, uint32_t, 2 * n);
    c->mixed = ARENA_ARRAY(a, uint8_t, 2 * n);
    c->buckets = ARENA_ARRAY(a, struct classic_bucket, n);
    c->work = ARENA_ARRAY(a, struct classic_bucket, n);
    c->out_row = ARENA_ARRAY(a, uint32_t, 2 * n * c->q_n);
    if (c->le == NULL || c->classic == NULL || c->native == NULL || c->base == NULL ||
        c->begin == NULL || c->filled == NULL || c->mixed == NULL || c->buckets == NULL ||
        c->work == NULL || c->out_row == NULL) {
        return eval_no_memory(c->ev->q, e);
    }
    return true;
}

static bool group_rows(struct hist_call *c, struct err *e)
{
    struct query *q = c->ev->q;
    struct set_map map;
    uint8_t in[NAMES_KNOWN] = {[NAME_LE] = 1};
    const struct name_set le = {in, NAMES_KNOWN};
    if (!take(c, e) || !eval_canon(q, &c->in, e) || !eval_map_init(q, &map, c->in.n, e)) {
        return false;
    }
    for (uint32_t i = 0; i < c->in.n; i++) {
        const struct row *r = &c->in.rows[i];
        struct lset ls;
        if (!eval_lset_filter(q, r->ls, &le, false, &ls, e)) {
            return false;
        }
        c->le[i] = bound_of(eval_get(q, r->ls, NAME_LE));
        for (uint32_t kind = 0; kind < 2; kind++) {
            if (kind == 1 && r->h == NULL) {
                break;
            }
            uint32_t before = map.n;
            uint32_t at = eval_map_put(q, &map, kind == 0 ? ls : r->ls);
            if (at == UINT32_MAX) {
                return eval_no_memory(q, e);
            }
            if (at == before) {
                c->base[at] = kind == 0 ? ls : r->ls;
            }
            *(kind == 0 ? &c->classic[i] : &c->native[i]) = at;
        }
        c->begin[c->classic[i] + 1]++;
    }
    c->groups = map.n;
    for (uint32_t g = 0; g < c->groups; g++) {
        c->begin[g + 1] += c->begin[g];
    }
    return true;
}

/* The row of out for a group and a quantile. */
static struct row *out_row(struct hist_call *c, uint32_t g, uint32_t which, struct err *e)
{
    struct query *q = c->ev->q;
    uint32_t *at = &c->out_row[(size_t)g * c->q_n + which];
    if (*at != 0) {
        return &c->out->rows[*at - 1];
    }
    struct row *r = eval_row_add(c->ev, c->out, q->arena, false);
    if (r == NULL) {
        (void)eval_no_memory(q, e);
        return NULL;
    }
    *at = c->out->n;
    r->ls = c->base[g];
    r->drop_name = true;
    if (c->p->whole == WHOLE_HISTOGRAM_QUANTILES) {
        if ((!q->delayed && !eval_lset_drop_meta(q, r->ls, &r->ls, e)) ||
            !eval_lset_put(q, r->ls, c->p->arg[1]->node->u.string, c->labels[which], &r->ls, e)) {
            return NULL;
        }
    }
    return r;
}

static struct str name_of(struct hist_call *c, uint32_t g)
{
    return c->ev->q->delayed ? eval_metric(c->ev->q, c->base[g]) : (struct str){0};
}

static bool put(struct hist_call *c, uint32_t g, uint32_t which, uint32_t step, double v,
                struct err *e)
{
    struct row *r = out_row(c, g, which, e);
    if (r == NULL) {
        return false;
    }
    if (r->has[step] != HAS_NONE) {
        return eval_fail(c->ev->q, e, "vector cannot contain metrics with the same labelset");
    }
    r->has[step] = HAS_FLOAT;
    r->v[step] = v;
    return true;
}

static void bad_bucket(struct hist_call *c, const struct row *r)
{
    struct query *q = c->ev->q;
    struct str le = eval_get(q, r->ls, NAME_LE);
    struct str name = q->delayed ? eval_metric(q, r->ls) : (struct str){0};
    if (name.n == 0) {
        note_warn(&q->notes, c->arg->pos,
                  "bucket label \"le\" is missing or has a malformed value of \"%.*s\"",
                  STR_FMT(le));
    } else {
        note_warn(&q->notes, c->arg->pos,
                  "bucket label \"le\" is missing or has a malformed value of \"%.*s\" for metric "
                  "name \"%.*s\"",
                  STR_FMT(le), STR_FMT(name));
    }
}

/* The buckets of the step, by group. */
static void collect(struct hist_call *c, uint32_t step)
{
    struct query *q = c->ev->q;
    memset(c->filled, 0, c->groups * sizeof *c->filled);
    memset(c->mixed, 0, c->groups);
    for (uint32_t i = 0; i < c->in.n; i++) {
        const struct row *r = &c->in.rows[i];
        if (r->has[step] != HAS_FLOAT) {
            continue;
        }
        if (isnan(c->le[i])) {
            bad_bucket(c, r);
            continue;
        }
        uint32_t g = c->classic[i];
        c->buckets[c->begin[g] + c->filled[g]++] = (struct classic_bucket){c->le[i], r->v[step]};
    }
    for (uint32_t i = 0; i < c->in.n; i++) {
        const struct row *r = &c->in.rows[i];
        if (r->has[step] != HAS_HIST || c->filled[c->native[i]] == 0) {
            continue;
        }
        struct str name = name_of(c, c->native[i]);
        c->mixed[c->native[i]] = 1;
        if (name.n == 0) {
            note_warn(&q->notes, c->arg->pos,
                      "vector contains a mix of classic and native histograms");
        } else {
            note_warn(&q->notes, c->arg->pos,
                      "vector contains a mix of classic and native histograms for metric name "
                      "\"%.*s\"",
                      STR_FMT(name));
        }
    }
}

static bool native_step(struct hist_call *c, uint32_t which, uint32_t step, struct err *e)
{
    struct query *q = c->ev->q;
    for (uint32_t i = 0; i < c->in.n; i++) {
        const struct row *r = &c->in.rows[i];
        if (r->has[step] != HAS_HIST || c->mixed[c->native[i]] != 0) {
            continue;
        }
        struct str name = name_of(c, c->native[i]);
        double v =
            c->p->whole == WHOLE_HISTOGRAM_FRACTION
                ? note_hist_fraction(c->q[0][step], c->q[1][step], r->h[step], &q->notes,
                                     c->arg->pos, name)
                : note_hist_quantile(c->q[which][step], r->h[step], &q->notes, c->arg->pos, name);
        if (!put(c, c->native[i], which, step, v, e)) {
            return false;
        }
    }
    return true;
}

static bool classic_step(struct hist_call *c, uint32_t which, uint32_t step, struct err *e)
{
    struct query *q = c->ev->q;
    for (uint32_t g = 0; g < c->groups; g++) {
        uint32_t n = c->filled[g];
        struct classic_lift lift = {0};
        double v;
        if (n == 0 || c->mixed[g] != 0) {
            continue;
        }
        memcpy(c->work, c->buckets + c->begin[g], n * sizeof *c->work);
        if (c->p->whole == WHOLE_HISTOGRAM_FRACTION) {
            v = classic_fraction(c->q[0][step], c->q[1][step], c->work, n);
        } else {
            v = classic_quantile(c->q[which][step], c->work, n, &lift);
        }
        if (lift.forced) {
            note_lift(&q->notes, c->arg->pos, name_of(c, g), grid_t(&c->ev->grid, step),
                      lift.upper_min, lift.upper_max, lift.diff_max);
        }
        if (!put(c, g, which, step, v, e)) {
            return false;
        }
    }
    return true;
}

/* A quantile as a label: OpenMetrics' float ("1.0", "0.9", "1e-05"). */
static struct str label_of(struct query *q, double v)
{
    if (isnan(v)) {
        return STR("NaN");
    }
    if (isinf(v)) {
        return v > 0 ? STR("+Inf") : STR("-Inf");
    }
    struct g_text t = g_text(v);
    struct str s = str_from_c(t.text);
    if (memchr(s.p, '.', s.n) != NULL || memchr(s.p, 'e', s.n) != NULL) {
        return arena_str(q->arena, s);
    }
    char text[64];
    memcpy(text, s.p, s.n);
    memcpy(text + s.n, ".0", 2);
    return arena_str(q->arena, str_of(text, s.n + 2));
}

/* A quantile that is not the same as a step before gives other series; eval_settle joins equal
 * ones. */
static void relabel(struct hist_call *c, uint32_t which, uint32_t step)
{
    double q = c->q[which][step];
    if (c->p->whole != WHOLE_HISTOGRAM_QUANTILES || q == c->labelled[which] ||
        (isnan(q) && isnan(c->labelled[which]))) {
        return;
    }
    c->labelled[which] = q;
    c->labels[which] = label_of(c->ev->q, q);
    for (uint32_t g = 0; g < c->groups; g++) {
        c->out_row[(size_t)g * c->q_n + which] = 0;
    }
}

static bool prepare(struct hist_call *c, struct err *e)
{
    struct plan *p = c->p;
    struct query *q = c->ev->q;
    uint32_t first = p->whole == WHOLE_HISTOGRAM_QUANTILES ? 2 : 0;
    uint32_t scalars = 0;
    c->arg = p->arg[p->whole == WHOLE_HISTOGRAM_QUANTILES ? 0 : p->args_n - 1];
    for (uint32_t i = first; i < p->args_n; i++) {
        if (p->arg[i] == c->arg) {
            continue;
        }
        ASSERT(scalars < QUANTILES_MAX);
        if (!eval_scalar(c->ev, p->arg[i], &c->q[scalars], e)) {
            return false;
        }
        c->places[scalars++] = i;
    }
    c->q_n = p->whole == WHOLE_HISTOGRAM_FRACTION ? 1 : scalars;
    for (uint32_t k = 0; k < c->q_n && p->whole != WHOLE_HISTOGRAM_FRACTION; k++) {
        for (uint32_t i = 0; i < c->ev->grid.n; i++) {
            note_bad_quantile(c->q[k][i], &q->notes, p->arg[c->places[k]]->pos);
        }
        c->labels[k] = label_of(q, c->q[k][0]);
        c->labelled[k] = c->q[k][0];
    }
    return eval_all(c->ev, c->arg, &c->in, e);
}

bool eval_hist_call(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct hist_call c = {.ev = ev, .p = p, .out = out};
    if (!prepare(&c, e) || !group_rows(&c, e)) {
        return false;
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (!eval_check(ev->q, e)) {
            return false;
        }
        collect(&c, i);
        for (uint32_t k = 0; k < c.q_n; k++) {
            relabel(&c, k, i);
            if (!native_step(&c, k, i, e) || !classic_step(&c, k, i, e)) {
                return false;
            }
        }
    }
    return eval_settle(ev, out, e);
}
