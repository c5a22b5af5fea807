/* Aggregations that give one series per group: sum avg count min max group stddev stdvar.
 *
 * Input rows stream by in batches and are added, in their order, to cells of their group, one per
 * step: the sums do not depend on how many rows are held at once. Float sums are compensated
 * (Kahan, Neumaier); an average is a sum divided at the end until the sum overflows, from then on
 * an incremental mean. A cell that saw floats and histograms gives nothing and a warning. */
#include "engines/promql/eval_int.h"

#include <math.h>

#define ROUND_CELLS  (1U << 20) /* samples of a round: some 10 MB */
#define SHARED_STEPS 32         /* fewer are not worth sharing between threads */

enum { SAW_FLOAT = 1, SAW_HIST = 2, INCREMENTAL = 4, DROPS_NAME = 8 };

struct group {
    double *v, *c, *mean, *n; /* one per step; NULL where the operator has no use for it */
    uint8_t *saw;
    struct hist_cell **h; /* NULL until a histogram comes */
    bool full;            /* every step has a float */
    bool full_drops;      /* and was marked DROPS_NAME by the row that made it so */
};

struct summing {
    struct eval *ev;
    struct plan *p;
    enum agg op;
    struct groups_by by;
    struct group *groups;
    uint32_t cap;
};

bool eval_grouping_init(struct query *q, const struct promql_node *n, struct groups_by *out,
                        struct err *e)
{
    *out = (struct groups_by){
        .q = q, .without = n->u.agg.without, .all = !n->u.agg.without && n->u.agg.grouping_n == 0};
    return eval_names(q, n->u.agg.grouping, n->u.agg.grouping_n, &out->names, e) &&
           eval_map_init(q, &out->map, 64, e) &&
           (!out->without || (out->names.in[NAME_METRIC] = 1));
}

uint32_t eval_group_of(struct groups_by *g, const struct row *r, struct err *e)
{
    struct query *q = g->q;
    uint32_t n = 0;
    if (g->key == NULL || r->ls.n > g->key_cap) {
        g->key_cap = r->ls.n + 64;
        g->key = ARENA_ARRAY(q->arena, uint32_t, g->key_cap);
        if (g->key == NULL) {
            (void)eval_no_memory(q, e);
            return UINT32_MAX;
        }
    }
    bool hide = r->drop_name && !q->delayed; /* names that are gone already */
    uint32_t pairs = g->all ? 0 : r->ls.n;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t name = eval_name_of(q, r->ls.p[i]);
        if (name_set_has(&g->names, name) == g->without || (hide && name <= NAME_UNIT)) {
            continue;
        }
        g->key[n++] = r->ls.p[i];
    }
    uint32_t before = g->map.n;
    uint32_t at = eval_map_put(q, &g->map, (struct lset){g->key, n});
    if (at == UINT32_MAX) {
        (void)eval_no_memory(q, e);
    } else if (g->map.n > before) {
        g->key += n; /* the map keeps it */
        g->key_cap -= n;
    }
    return at;
}

static struct group *group_of(struct summing *a, const struct row *r, struct err *e)
{
    struct arena *m = a->ev->q->arena;
    uint32_t steps = a->ev->grid.n;
    uint32_t before = grouping_count(&a->by);
    uint32_t at = eval_group_of(&a->by, r, e);
    if (at == UINT32_MAX || at < before) {
        return at == UINT32_MAX ? NULL : &a->groups[at];
    }
    if (at == a->cap) {
        uint32_t cap = a->cap == 0 ? 64 : a->cap * 2;
        struct group *more = ARENA_ARRAY(m, struct group, cap);
        if (more == NULL) {
            (void)eval_no_memory(a->ev->q, e);
            return NULL;
        }
        if (a->cap > 0) {
            memcpy(more, a->groups, a->cap * sizeof *more);
        }
        a->groups = more;
        a->cap = cap;
    }
    struct group *g = &a->groups[at];
    bool spread = a->op == AGG_STDDEV || a->op == AGG_STDVAR;
    g->v = ARENA_ARRAY(m, double, steps);
    g->c = a->op == AGG_SUM || a->op == AGG_AVG ? ARENA_ARRAY(m, double, steps) : g->v;
    g->mean = a->op == AGG_AVG || spread ? ARENA_ARRAY(m, double, steps) : g->v;
    g->n = a->op == AGG_AVG || spread ? ARENA_ARRAY(m, double, steps) : g->v;
    g->saw = ARENA_ARRAY(m, uint8_t, steps);
    if (g->v == NULL || g->c == NULL || g->mean == NULL || g->n == NULL || g->saw == NULL) {
        (void)eval_no_memory(a->ev->q, e);
        return NULL;
    }
    return g;
}

/* --- floats ----------------------------------------------------------------------------------- */

static void avg_float(struct group *g, uint32_t i, double f)
{
    g->n[i] += 1;
    if ((g->saw[i] & SAW_FLOAT) == 0) {
        g->v[i] = f;
        return;
    }
    if ((g->saw[i] & INCREMENTAL) == 0) {
        double sum = g->v[i];
        double c = g->c[i];
        kahan_inc(f, &sum, &c);
        if (!isinf(sum)) {
            g->v[i] = sum;
            g->c[i] = c;
            return;
        }
        g->saw[i] |= INCREMENTAL;
        g->mean[i] = g->v[i] / (g->n[i] - 1);
        g->c[i] /= g->n[i] - 1;
    }
    double q = (g->n[i] - 1) / g->n[i];
    g->mean[i] *= q;
    g->c[i] *= q;
    kahan_inc(f / g->n[i], &g->mean[i], &g->c[i]);
}

static void spread_float(struct group *g, uint32_t i, double f)
{
    g->n[i] += 1;
    if ((g->saw[i] & SAW_FLOAT) == 0) {
        g->v[i] = isfinite(f) ? 0 : (double)NAN;
        g->mean[i] = f;
        return;
    }
    double delta = f - g->mean[i];
    g->mean[i] += delta / g->n[i];
    g->v[i] += delta * (f - g->mean[i]);
}

static void add_float(enum agg op, struct group *g, uint32_t i, double f)
{
    bool first = (g->saw[i] & SAW_FLOAT) == 0;
    switch (op) {
    case AGG_SUM:
        if (first) {
            g->v[i] = f;
        } else {
            kahan_inc(f, &g->v[i], &g->c[i]);
        }
        break;
    case AGG_AVG: avg_float(g, i, f); break;
    case AGG_MIN:
        if (first || g->v[i] > f || isnan(g->v[i])) {
            g->v[i] = f;
        }
        break;
    case AGG_MAX:
        if (first || g->v[i] < f || isnan(g->v[i])) {
            g->v[i] = f;
        }
        break;
    case AGG_COUNT: g->v[i] += 1; break;
    case AGG_GROUP: g->v[i] = 1; break;
    case AGG_STDDEV:
    case AGG_STDVAR: spread_float(g, i, f); break;
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_COUNT_VALUES:
    case AGG_QUANTILE:
    case AGG_LIMITK:
    case AGG_LIMIT_RATIO: break;
    }
    g->saw[i] |= SAW_FLOAT;
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool add_hist(struct summing *a, struct group *g, uint32_t i, const struct row *r,
                     struct err *e)
{
    struct query *q = a->ev->q;
    if (a->op == AGG_COUNT || a->op == AGG_GROUP) {
        add_float(a->op, g, i, 0);
        return true;
    }
    if (a->op != AGG_SUM && a->op != AGG_AVG) {
        note_info(&q->notes, a->p->arg[0]->pos, "ignored histogram in %s aggregation",
                  agg_text(a->op));
        return true;
    }
    if (g->h == NULL) {
        g->h = ARENA_ARRAY(q->arena, struct hist_cell *, a->ev->grid.n);
        if (g->h == NULL) {
            return eval_no_memory(q, e);
        }
    }
    g->saw[i] |= SAW_HIST;
    if ((g->saw[i] & SAW_FLOAT) != 0) {
        return true; /* gives nothing anyway */
    }
    return eval_hist_cell_add(a->ev, a->p, &g->h[i], r->h[i], r, e);
}

/* Adds steps from .. to of a row to its group. */
static bool add_row(struct summing *a, struct group *g, const struct row *r, uint32_t from,
                    uint32_t to, struct err *e)
{
    for (uint32_t i = from; i < to; i++) {
        if (r->drop_name && r->has[i] != HAS_NONE) {
            g->saw[i] |= DROPS_NAME;
        }
        if (r->has[i] == HAS_FLOAT) {
            if (g->h == NULL || g->h[i] == NULL || !g->h[i]->broken) {
                add_float(a->op, g, i, r->v[i]);
            }
        } else if (r->has[i] == HAS_HIST && !add_hist(a, g, i, r, e)) {
            return false;
        }
    }
    return true;
}

/* sum of rows without histograms, which is what most queries are made of. */
static void sum_row(struct group *g, const struct row *r, uint32_t from, uint32_t to)
{
    uint8_t saw = SAW_FLOAT | (r->drop_name ? DROPS_NAME : 0);
    for (uint32_t i = from; i < to; i++) {
        if (r->has[i] == HAS_NONE) {
            continue;
        }
        if ((g->saw[i] & SAW_FLOAT) == 0) {
            g->v[i] = r->v[i];
        } else {
            kahan_inc(r->v[i], &g->v[i], &g->c[i]);
        }
        g->saw[i] |= saw;
    }
}

static bool finish_cell(struct summing *a, struct group *g, uint32_t i, struct row *r,
                        struct err *e)
{
    struct query *q = a->ev->q;
    bool both = (g->saw[i] & SAW_FLOAT) != 0 && (g->saw[i] & SAW_HIST) != 0;
    if (both) {
        note_warn(&q->notes, a->p->arg[0]->pos,
                  "encountered a mix of histograms and floats for aggregation");
        return true;
    }
    if ((g->saw[i] & SAW_HIST) != 0) {
        const struct nhist *h;
        if (!eval_hist_cell_done(a->ev, a->p, g->h[i], &h, e) ||
            (h != NULL && !eval_row_hists(a->ev, r, q->arena))) {
            return false;
        }
        if (h != NULL) {
            r->has[i] = HAS_HIST;
            r->h[i] = h;
        }
        return true;
    }
    if ((g->saw[i] & SAW_FLOAT) == 0) {
        return true;
    }
    r->has[i] = HAS_FLOAT;
    r->v[i] = g->v[i];
    if (a->op == AGG_SUM) {
        r->v[i] += g->c[i];
    } else if (a->op == AGG_AVG) {
        r->v[i] = (g->saw[i] & INCREMENTAL) != 0 ? g->mean[i] + g->c[i]
                                                 : g->v[i] / g->n[i] + g->c[i] / g->n[i];
    } else if (a->op == AGG_STDVAR) {
        r->v[i] /= g->n[i];
    } else if (a->op == AGG_STDDEV) {
        r->v[i] = sqrt(r->v[i] / g->n[i]);
    }
    return true;
}

static bool finish(struct summing *a, struct mat *out, struct err *e)
{
    for (uint32_t i = 0; i < grouping_count(&a->by); i++) {
        struct row *r = eval_row_add(a->ev, out, a->ev->q->arena, false);
        if (r == NULL) {
            return eval_no_memory(a->ev->q, e);
        }
        r->ls = a->by.map.sets[i];
        for (uint32_t j = 0; j < a->ev->grid.n; j++) {
            if (!finish_cell(a, &a->groups[i], j, r, e)) {
                return false;
            }
            if (r->has[j] != HAS_NONE) { /* the last step decides, as in Prometheus */
                r->drop_name = (a->groups[i].saw[j] & DROPS_NAME) != 0;
            }
        }
    }
    return true;
}

/* --- the stream ------------------------------------------------------------------------------- */

/* Rows that are held at once: a round. Its batches are made by all threads, then its rows are added
 * in order; with many steps the threads share the steps. */
struct round {
    struct summing *a;
    uint32_t first, n;   /* rows of the input */
    struct mat *batches; /* by batch */
    struct row **rows;   /* those with samples, in order */
    uint32_t *groups;    /* by row of rows: its group */
    bool *plain;         /* by row of rows: every step of row and group has a float */
    uint32_t rows_n, parts;
    bool hists;
};

static bool make_batch(void *ctx, struct query *worker, uint32_t item, struct err *e)
{
    struct round *r = ctx;
    struct eval ev = {worker, r->a->ev->grid};
    uint32_t from = item * EVAL_BATCH_ROWS;
    uint32_t n = r->n - from < EVAL_BATCH_ROWS ? r->n - from : EVAL_BATCH_ROWS;
    r->batches[item] = (struct mat){0};
    return eval_rows(&ev, r->a->p->arg[0], r->first + from, n, worker->scratch, &r->batches[item],
                     e);
}

static bool add_part(void *ctx, struct query *worker, uint32_t item, struct err *e)
{
    struct round *r = ctx;
    struct summing *a = r->a;
    uint64_t steps = a->ev->grid.n;
    uint32_t from = (uint32_t)(steps * item / r->parts);
    uint32_t to = (uint32_t)(steps * (item + 1) / r->parts);
    (void)worker;
    for (uint32_t i = 0; i < r->rows_n; i++) {
        struct group *g = &a->groups[r->groups[i]];
        if (r->plain[i]) {
            eval_kahan_row(g->v + from, g->c + from, r->rows[i]->v + from, to - from);
        } else if (a->op == AGG_SUM && g->h == NULL && r->rows[i]->h == NULL) {
            sum_row(g, r->rows[i], from, to);
        } else if (!add_row(a, g, r->rows[i], from, to, e)) {
            return false;
        }
    }
    return true;
}

static bool is_full(const struct row *r, uint32_t steps)
{
    return r->has[0] == HAS_FLOAT && memcmp(r->has, r->has + 1, steps - 1) == 0;
}

/* The rows with samples and their groups. */
static bool sort_out(struct round *r, uint32_t batches, struct err *e)
{
    struct query *q = r->a->ev->q;
    r->rows_n = 0;
    r->hists = false;
    for (uint32_t k = 0; k < batches; k++) {
        struct mat *m = &r->batches[k];
        if (!eval_canon(q, m, e)) {
            return false;
        }
        for (uint32_t i = 0; i < m->n; i++) {
            if (eval_row_empty(&m->rows[i], r->a->ev->grid.n)) {
                continue;
            }
            struct group *g = group_of(r->a, &m->rows[i], e);
            if (g == NULL) {
                return false;
            }
            r->hists = r->hists || m->rows[i].h != NULL || g->h != NULL;
            bool full = r->a->op == AGG_SUM && m->rows[i].h == NULL && g->h == NULL &&
                        is_full(&m->rows[i], r->a->ev->grid.n);
            r->plain[r->rows_n] = full && g->full && g->full_drops == m->rows[i].drop_name;
            if (full && !g->full) {
                g->full = true;
                g->full_drops = m->rows[i].drop_name;
            }
            r->groups[r->rows_n] = (uint32_t)(g - r->a->groups);
            r->rows[r->rows_n++] = &m->rows[i];
        }
    }
    return true;
}

static bool run_round(struct round *r, struct err *e)
{
    struct query *q = r->a->ev->q;
    uint32_t batches = (r->n + EVAL_BATCH_ROWS - 1) / EVAL_BATCH_ROWS;
    if (eval_threads(q) > 1) {
        eval_warm(q, r->a->p->arg[0], r->first, r->n);
    }
    if (!eval_each(q, batches, make_batch, r, e) || !sort_out(r, batches, e)) {
        return false;
    }
    bool share = !r->hists && r->a->ev->grid.n >= SHARED_STEPS && eval_threads(q) > 1;
    r->parts = share ? eval_threads(q) : 1;
    return eval_each(q, r->parts, add_part, r, e);
}

static bool stream(struct summing *a, struct err *e)
{
    struct query *q = a->ev->q;
    struct plan *in = a->p->arg[0];
    explain_way(a->p->seen, EXPLAIN_STREAMED);
    if (!eval_prepare(a->ev, in, e)) {
        return false;
    }
    uint32_t most = ROUND_CELLS / a->ev->grid.n / EVAL_BATCH_ROWS + 1;
    struct round r = {.a = a};
    most = most * EVAL_BATCH_ROWS < in->rows_n ? most * EVAL_BATCH_ROWS : in->rows_n;
    r.batches = ARENA_ARRAY(q->arena, struct mat, (size_t)most / EVAL_BATCH_ROWS + 1);
    r.rows = ARENA_ARRAY(q->arena, struct row *, (size_t)most + 1);
    r.groups = ARENA_ARRAY(q->arena, uint32_t, (size_t)most + 1);
    r.plain = ARENA_ARRAY(q->arena, bool, (size_t)most + 1);
    if (r.batches == NULL || r.rows == NULL || r.groups == NULL || r.plain == NULL) {
        return eval_no_memory(q, e);
    }
    bool ok = true;
    for (r.first = 0; ok && r.first < in->rows_n; r.first += r.n) {
        r.n = in->rows_n - r.first < most ? in->rows_n - r.first : most;
        ok = run_round(&r, e);
        eval_scratch_reset(q);
    }
    return ok;
}

bool eval_aggregate(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct summing a = {.ev = ev, .p = p, .op = p->node->u.agg.op};
    switch (a.op) {
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_LIMITK:
    case AGG_LIMIT_RATIO: return eval_aggregate_k(ev, p, out, e);
    case AGG_COUNT_VALUES: return eval_count_values(ev, p, out, e);
    case AGG_QUANTILE: return eval_quantile(ev, p, out, e);
    case AGG_SUM:
    case AGG_AVG:
    case AGG_COUNT:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_GROUP:
    case AGG_STDDEV:
    case AGG_STDVAR: break;
    }
    return eval_grouping_init(ev->q, p->node, &a.by, e) && stream(&a, e) && finish(&a, out, e);
}
