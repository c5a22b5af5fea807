/* Selectors: which series, which samples, and which of them stands for a step.
 *
 * At a step t an instant selector takes the newest sample in (t - offset - lookback, t - offset],
 * unless it is a stale marker: then the series has ended. A range selector takes the samples in
 * (t - offset - range, t - offset] without markers; anchored and smoothed ranges also see what lies
 * a lookback before (and after). With @ the time of the modifier stands for t at every step. */
#include "engines/promql/eval_int.h"

/* First and last moment that the plan's steps look at, offset and @ taken off. */
static void reference(const struct eval *ev, const struct plan *p, int64_t *first, int64_t *last)
{
    *first = (p->at ? p->at_ms : ev->grid.start) - p->offset_ms;
    *last = (p->at ? p->at_ms : grid_t(&ev->grid, ev->grid.n - 1)) - p->offset_ms;
}

static void reach(const struct eval *ev, const struct plan *p, int64_t *from, int64_t *to)
{
    const struct promql_node *n = p->node;
    int64_t lookback = ev->q->lookback_ms;
    reference(ev, p, from, to);
    if (p->kind == PLAN_RANGE) {
        *from -= p->range_ms - 1;
        if (n->u.selector.anchored || n->u.selector.smoothed) {
            *from -= lookback;
        }
    } else {
        *from -= lookback - 1;
    }
    if (n->u.selector.smoothed) {
        *to += lookback;
    }
}

static bool select_series(struct eval *ev, struct plan *p, struct err *e)
{
    struct query *q = ev->q;
    const struct promql_source *s = &q->q->source;
    const struct promql_node *n = p->node;
    int64_t from;
    int64_t to;
    reach(ev, p, &from, &to);
    if (!s->select(s->ctx, n->u.selector.matchers, n->u.selector.matchers_n, from, to,
                   q->series_max, q->arena, &p->ids, &p->rows_n, e)) {
        q->why = e->code == ERR_LIMIT ? PROMQL_LIMIT : q->why;
        return false;
    }
    q->stats.series_read += p->rows_n;
    explain_selected(p->seen, from, to, p->rows_n);
    return true;
}

bool eval_select(struct eval *ev, struct plan *p, struct err *e)
{
    struct explain_frame f;
    explain_enter(ev->q, p->seen, &f);
    bool ok = select_series(ev, p, e);
    if (p->seen != NULL) {
        p->seen->steps = ev->grid.n;
    }
    explain_leave(ev->q, &f);
    return ok;
}

static bool is_stale(const struct samples *s, uint32_t i)
{
    const struct nhist *h = s->h == NULL ? NULL : s->h[i];
    return is_stale_nan(h == NULL ? s->v[i] : h->sum);
}

static void drop_stale(struct samples *s)
{
    uint32_t n = 0;
    if (s->h == NULL && !eval_any_stale(s->v, s->n)) {
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (is_stale(s, i)) {
            continue;
        }
        s->t[n] = s->t[i];
        s->v[n] = s->v[i];
        if (s->h != NULL) {
            s->h[n] = s->h[i];
        }
        if (s->st != NULL) {
            s->st[n] = s->st[i];
        }
        n++;
    }
    s->n = n;
}

/* Histograms without buckets, but with a hint that says what the buckets would have. */
static bool keep_stats(struct samples *s, struct arena *a)
{
    const struct nhist *last = NULL;
    for (uint32_t i = 0; s->h != NULL && i < s->n; i++) {
        const struct nhist *h = s->h[i];
        if (h == NULL || is_stale_nan(h->sum)) {
            continue;
        }
        struct nhist *light = ARENA_NEW(a, struct nhist);
        if (light == NULL) {
            return false;
        }
        light->schema = h->schema;
        light->count = h->count;
        light->sum = h->sum;
        light->reset = h->reset;
        if (h->reset == NHIST_UNKNOWN && last != NULL) {
            light->reset = hist_detect_reset(h, last) ? NHIST_RESET : NHIST_NO_RESET;
        }
        last = h;
        s->h[i] = light;
    }
    return true;
}

static bool read_samples(struct query *q, const struct plan *p, uint32_t id, int64_t from_ms,
                         int64_t to_ms, bool keep_stale, struct arena *a, struct samples *out,
                         struct err *e)
{
    const struct promql_source *s = &q->q->source;
    struct tsdb_column *c = &q->column;
    uint32_t most = q->samples_max > UINT32_MAX ? UINT32_MAX : (uint32_t)q->samples_max;
    if (!s->read(s->ctx, id, from_ms, to_ms, most, c, e)) {
        q->why = e->code == ERR_LIMIT ? PROMQL_LIMIT : q->why;
        return false;
    }
    *out = (struct samples){c->t, c->v, c->h, c->st, c->n};
    q->stats.samples_read += c->n;
    if (!keep_stale) {
        drop_stale(out);
    }
    if (p->stats_only && !keep_stats(out, a)) {
        return eval_no_memory(q, e);
    }
    return true;
}

bool eval_read(struct query *q, const struct plan *p, uint32_t id, int64_t from_ms, int64_t to_ms,
               bool keep_stale, struct arena *a, struct samples *out, struct err *e)
{
    struct explain_frame f;
    if (p->seen == NULL) {
        return read_samples(q, p, id, from_ms, to_ms, keep_stale, a, out, e);
    }
    explain_enter(q, p->seen, &f);
    bool ok = read_samples(q, p, id, from_ms, to_ms, keep_stale, a, out, e);
    if (ok && p->kind == PLAN_RANGE) {
        explain_series(p->seen, out->n);
    }
    explain_leave(q, &f);
    return ok;
}

/* One moment needs one sample: no more is decoded. */
static bool read_newest(struct query *q, uint32_t id, int64_t from_ms, int64_t to_ms,
                        struct samples *out, struct err *e)
{
    const struct promql_source *s = &q->q->source;
    struct tsdb_column *c = &q->column;
    if (!s->newest(s->ctx, id, from_ms, to_ms, c, e)) {
        q->why = e->code == ERR_LIMIT ? PROMQL_LIMIT : q->why;
        return false;
    }
    *out = (struct samples){c->t, c->v, c->h, c->st, c->n};
    q->stats.samples_read += c->n;
    return true;
}

/* Place of the sample that stands for the moment, UINT32_MAX when there is none. *next remembers
 * where the search of the step before ended. */
static uint32_t sample_at(const struct query *q, const struct samples *s, int64_t ref,
                          uint32_t *next)
{
    while (*next < s->n && s->t[*next] <= ref) {
        ++*next;
    }
    if (*next == 0 || s->t[*next - 1] <= ref - q->lookback_ms || is_stale(s, *next - 1)) {
        return UINT32_MAX;
    }
    return *next - 1;
}

static struct kept_picks *picks_of(struct eval *ev, const struct plan *p)
{
    struct query *q = ev->q;
    for (uint32_t i = 0; i < q->picks_n; i++) {
        if (q->picks[i].plan == p) {
            return &q->picks[i];
        }
    }
    if (q->picks_n == STEPS_KEPT) {
        return NULL;
    }
    struct kept_picks *k = &q->picks[q->picks_n];
    k->plan = p;
    k->at = ARENA_ARRAY(q->arena, uint32_t, ev->grid.n);
    q->picks_n += k->at != NULL;
    explain_way(p->seen, EXPLAIN_SAME_TIMES);
    return k->at == NULL ? NULL : k;
}

/* Picks for these times; NULL: do without. Series of one job were scraped together, so they usually
 * have the times of the series before. */
static const struct kept_picks *picks_for(struct eval *ev, const struct plan *p,
                                          const struct samples *s)
{
    struct query *q = ev->q;
    struct kept_picks *k = picks_of(ev, p);
    if (k == NULL || s->n == 0) {
        return NULL;
    }
    if (k->made && k->t_n == s->n && memcmp(k->t, s->t, s->n * sizeof *s->t) == 0) {
        return k;
    }
    k->made = false;
    if (s->n > k->t_cap) {
        k->t_cap = s->n * 2;
        k->t = ARENA_ARRAY(q->arena, int64_t, k->t_cap);
        if (k->t == NULL) {
            k->t_cap = 0;
            return NULL;
        }
    }
    memcpy(k->t, s->t, s->n * sizeof *s->t);
    k->t_n = s->n;
    uint32_t next = 0;
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        int64_t ref = grid_t(&ev->grid, i) - p->offset_ms;
        while (next < s->n && s->t[next] <= ref) {
            next++;
        }
        bool there = next > 0 && s->t[next - 1] > ref - q->lookback_ms;
        k->at[i] = there ? next - 1 : UINT32_MAX;
    }
    k->made = true;
    return k;
}

static void pick_row(struct eval *ev, const struct kept_picks *k, const struct samples *s,
                     struct row *r)
{
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        if (k->at[i] != UINT32_MAX) {
            r->v[i] = s->v[k->at[i]];
            r->has[i] = is_stale_nan(r->v[i]) ? HAS_NONE : HAS_FLOAT;
        }
    }
}

static bool select_row(struct eval *ev, struct plan *p, const struct samples *s, struct row *r,
                       struct arena *a, struct err *e)
{
    uint32_t next = 0;
    uint32_t copied = UINT32_MAX;
    const struct nhist *copy = NULL;
    const struct kept_picks *picks =
        s->h == NULL && !p->at && ev->grid.n > 1 ? picks_for(ev, p, s) : NULL;
    if (picks != NULL) {
        pick_row(ev, picks, s, r);
        return true;
    }
    if (s->h != NULL && !eval_row_hists(ev, r, a)) {
        return eval_no_memory(ev->q, e);
    }
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        int64_t ref = (p->at ? p->at_ms : grid_t(&ev->grid, i)) - p->offset_ms;
        uint32_t k = sample_at(ev->q, s, ref, &next);
        if (k == UINT32_MAX) {
            continue;
        }
        if (s->h == NULL || s->h[k] == NULL) {
            r->has[i] = HAS_FLOAT;
            r->v[i] = s->v[k];
            continue;
        }
        if (k != copied) {
            copy = nhist_copy(s->h[k], a);
            copied = k;
            if (copy == NULL) {
                return eval_no_memory(ev->q, e);
            }
        }
        r->has[i] = HAS_HIST;
        r->h[i] = copy;
    }
    return true;
}

bool eval_select_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n, struct arena *a,
                      struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    int64_t from;
    int64_t to;
    bool smoothed = p->node->u.selector.smoothed;
    reach(ev, p, &from, &to);
    bool newest = ev->grid.n == 1 && !smoothed && !p->stats_only && q->q->source.newest != NULL;
    if (newest) {
        explain_way(p->seen, EXPLAIN_NEWEST);
    }
    for (uint32_t i = first; i < first + n; i++) {
        struct samples s;
        if (newest ? !read_newest(q, p->ids[i], from, to, &s, e)
                   : !eval_read(q, p, p->ids[i], from, to, !smoothed, a, &s, e)) {
            return false;
        }
        struct row *r = eval_row_add(ev, out, a, false);
        if (r == NULL) {
            return eval_no_memory(q, e);
        }
        r->ls.p = q->q->source.pairs(q->q->source.ctx, p->ids[i], &r->ls.n);
        bool ok = smoothed ? eval_smooth_row(ev, p, &s, r, a, e) : select_row(ev, p, &s, r, a, e);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* As Prometheus has it: @ wins over offset here. */
void eval_select_times_offset(struct plan *call)
{
    bool times = call->whole == WHOLE_TIMESTAMP || call->whole == WHOLE_START_TIMESTAMP;
    if (times && call->arg[0]->at) {
        call->arg[0]->offset_ms = 0;
    }
}

bool eval_select_times(struct eval *ev, struct plan *call, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    struct plan *p = call->arg[0];
    bool start = call->whole == WHOLE_START_TIMESTAMP;
    int64_t from;
    int64_t to;
    if (start && (q->q->flags & PROMQL_START_TIMESTAMPS) == 0) {
        return true;
    }
    eval_select_times_offset(call);
    if (!eval_select(ev, p, e)) {
        return false;
    }
    reach(ev, p, &from, &to);
    for (uint32_t i = 0; i < p->rows_n; i++) {
        struct samples s;
        uint32_t next = 0;
        if (!eval_read(q, p, p->ids[i], from, to, true, q->arena, &s, e)) {
            return false;
        }
        struct row *r = eval_row_add(ev, out, q->arena, false);
        if (r == NULL) {
            return eval_no_memory(q, e);
        }
        r->ls.p = q->q->source.pairs(q->q->source.ctx, p->ids[i], &r->ls.n);
        r->drop_name = true;
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            int64_t ref = p->at ? p->at_ms : grid_t(&ev->grid, j) - p->offset_ms;
            uint32_t k = sample_at(q, &s, ref, &next);
            if (k != UINT32_MAX) {
                int64_t t = start ? s.st == NULL ? 0 : s.st[k] : s.t[k];
                r->has[j] = HAS_FLOAT;
                r->v[j] = (double)t / 1000;
            }
        }
    }
    explain_rows(p->seen, out, 0, ev->grid.n);
    return eval_settle(ev, out, e);
}

/* --- ranges as the result of a query ---------------------------------------------------------- */

static bool put_series(struct query *q, struct lset ls, bool drop_name, const struct samples *s,
                       struct arena *a, struct promql_series *out, struct err *e)
{
    if ((drop_name && !eval_lset_drop_meta(q, ls, &ls, e)) ||
        !eval_lset_labels(q, ls, a, &out->labels, e)) {
        return false;
    }
    out->samples = ARENA_ARRAY(a, struct promql_sample, size_max(s->n, 1));
    out->n = s->n;
    if (out->samples == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < s->n; i++) {
        struct promql_sample *x = &out->samples[i];
        x->t_ms = s->t[i];
        x->v = s->v[i];
        if (s->h != NULL && s->h[i] != NULL) {
            x->h = nhist_copy(s->h[i], a);
            if (x->h == NULL) {
                return eval_no_memory(q, e);
            }
        }
    }
    return true;
}

static bool matrix_series(struct eval *ev, struct plan *p, struct arena *a,
                          struct promql_result *out, struct err *e)
{
    struct query *q = ev->q;
    const struct promql_node *n = p->node;
    int64_t from;
    int64_t to;
    int64_t first;
    int64_t last;
    bool wide = n->u.selector.anchored || n->u.selector.smoothed;
    reach(ev, p, &from, &to);
    reference(ev, p, &first, &last);
    for (uint32_t i = 0; i < p->rows_n; i++) {
        struct samples s;
        if (!eval_read(q, p, p->ids[i], from, to, false, q->arena, &s, e)) {
            return false;
        }
        for (uint32_t j = 0; wide && s.h != NULL && j < s.n; j++) {
            if (s.h[j] != NULL) {
                return eval_fail(q, e, "%s modifier is not supported with histograms",
                                 n->u.selector.anchored ? "anchored" : "smoothed");
            }
        }
        if (wide &&
            !eval_extend(&s, first - p->range_ms, last, n->u.selector.smoothed, q->arena, &s)) {
            return eval_no_memory(q, e);
        }
        if (s.n == 0) {
            continue;
        }
        struct lset ls;
        ls.p = q->q->source.pairs(q->q->source.ctx, p->ids[i], &ls.n);
        if (!eval_hold(q, s.n, e) ||
            !put_series(q, ls, false, &s, a, &out->series[out->series_n++], e)) {
            return false;
        }
    }
    return true;
}

static bool matrix_rows(struct eval *ev, struct plan *p, const struct mat *m, struct arena *a,
                        struct promql_result *out, struct err *e)
{
    struct query *q = ev->q;
    uint32_t steps = p->sub->grid.n;
    struct samples s = {.t = ARENA_ARRAY(q->arena, int64_t, steps),
                        .v = ARENA_ARRAY(q->arena, double, steps),
                        .h = ARENA_ARRAY(q->arena, struct nhist *, steps)};
    if (s.t == NULL || s.v == NULL || s.h == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < m->n; i++) {
        const struct row *r = &m->rows[i];
        s.n = 0;
        for (uint32_t j = 0; j < steps; j++) {
            if (r->has[j] == HAS_NONE) {
                continue;
            }
            s.t[s.n] = grid_t(&p->sub->grid, j);
            s.v[s.n] = r->v[j];
            s.h[s.n] = NULL;
            if (r->has[j] == HAS_HIST) {
                s.h[s.n] = nhist_copy(r->h[j], q->arena);
                if (s.h[s.n] == NULL) {
                    return eval_no_memory(q, e);
                }
            }
            s.n++;
        }
        if (s.n > 0 &&
            !put_series(q, r->ls, r->drop_name, &s, a, &out->series[out->series_n++], e)) {
            return false;
        }
    }
    return true;
}

static bool make_matrix(struct eval *ev, struct plan *p, struct arena *a, struct promql_result *out,
                        struct err *e)
{
    struct query *q = ev->q;
    struct mat m = {0};
    if (p->kind == PLAN_SUBQUERY) {
        if (!eval_subquery_prepare(ev, p, e) || !eval_all(p->sub, p->arg[0], &m, e)) {
            return false;
        }
        explain_rows(p->seen, &m, 0, p->sub->grid.n);
        p->rows_n = m.n;
    } else if (!eval_select(ev, p, e)) {
        return false;
    }
    out->series = ARENA_ARRAY(a, struct promql_series, size_max(p->rows_n, 1));
    if (out->series == NULL) {
        return eval_no_memory(q, e);
    }
    if (p->kind != PLAN_SUBQUERY) {
        return matrix_series(ev, p, a, out, e);
    }
    return (!q->delayed || (eval_strip(q, &m, e) && eval_merge(p->sub, &m, true, e))) &&
           matrix_rows(ev, p, &m, a, out, e);
}

bool eval_matrix(struct eval *ev, struct plan *p, struct arena *a, struct promql_result *out,
                 struct err *e)
{
    struct explain_frame f;
    explain_enter(ev->q, p->seen, &f);
    bool ok = make_matrix(ev, p, a, out, e);
    explain_leave(ev->q, &f);
    return ok;
}
