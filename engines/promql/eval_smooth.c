/* The modifiers anchored and smoothed where the evaluator itself deals with them: values between
 * samples (smoothed selectors), the ends of a range that is the result of a query, and which
 * functions may take such ranges. Rates over them are fn/'s. */
#include "engines/promql/eval_int.h"

static double between(const struct samples *s, uint32_t i, int64_t t)
{
    double y1 = s->v[i];
    double y2 = s->v[i + 1];
    return y1 + (y2 - y1) * (double)(t - s->t[i]) / (double)(s->t[i + 1] - s->t[i]);
}

/* h1 + (h2 - h1) * fraction, or h2 * fraction after a reset. NULL: no memory (e set), or *none. */
static const struct nhist *hist_between(struct query *q, const struct plan *p,
                                        const struct samples *s, uint32_t i, int64_t t,
                                        struct str metric, struct arena *a, bool *none,
                                        struct err *e)
{
    const struct nhist *h1 = s->h[i];
    const struct nhist *h2 = s->h[i + 1];
    double part = (double)(t - s->t[i]) / (double)(s->t[i + 1] - s->t[i]);
    bool counter = h1->reset != NHIST_GAUGE || h2->reset != NHIST_GAUGE;
    unsigned trouble = 0;
    *none = false;
    if ((h1->schema == NHIST_SCHEMA_CUSTOM) != (h2->schema == NHIST_SCHEMA_CUSTOM)) {
        note_warn(&q->notes, p->pos,
                  "vector contains a mix of histograms with exponential and custom buckets schemas "
                  "for metric name \"%.*s\"",
                  STR_FMT(metric));
        *none = true;
        return NULL;
    }
    struct nhist *h;
    if (counter && hist_detect_reset(h2, h1)) {
        h = hist_scale(h2, part, a);
    } else {
        h = hist_sub(h2, h1, a, &trouble);
        if (h != NULL && (trouble & HIST_BOUNDS_RECONCILED) != 0) {
            note_info(&q->notes, p->pos,
                      "mismatched custom buckets were reconciled during subtraction");
        }
        h = h == NULL ? NULL : hist_scale(h, part, a);
        h = h == NULL ? NULL : hist_add(h, h1, a, &trouble);
    }
    if (h == NULL) {
        (void)eval_no_memory(q, e);
    }
    return h;
}

/* One step of a smoothed selector over histograms: k is the first sample not before t. */
static bool smooth_hist(struct eval *ev, struct plan *p, const struct samples *s, uint32_t k,
                        int64_t t, struct row *r, uint32_t step, struct str metric, struct arena *a,
                        struct err *e)
{
    const struct nhist *h = NULL;
    bool none = false;
    if (k < s->n && s->t[k] == t) {
        h = nhist_copy(s->h[k], a);
    } else if (k > 0 && k < s->n) {
        h = hist_between(ev->q, p, s, k - 1, t, metric, a, &none, e);
    } else if (k > 0) {
        struct nhist *copy = nhist_copy(s->h[k - 1], a);
        if (copy != NULL) {
            copy->reset = NHIST_UNKNOWN;
        }
        h = copy;
    } else {
        return true;
    }
    if (none) {
        return true;
    }
    if (h == NULL || !eval_row_hists(ev, r, a)) {
        return eval_no_memory(ev->q, e);
    }
    r->has[step] = HAS_HIST;
    r->h[step] = h;
    return true;
}

/* The samples within a lookback of t on both sides. */
static struct samples around(const struct samples *s, int64_t t, int64_t lookback, uint32_t *lo,
                             uint32_t *hi)
{
    while (*lo < s->n && s->t[*lo] <= t - lookback) {
        ++*lo;
    }
    *hi = *hi < *lo ? *lo : *hi;
    while (*hi < s->n && s->t[*hi] <= t + lookback) {
        ++*hi;
    }
    struct samples w = {s->t + *lo, s->v + *lo, NULL, NULL, *hi - *lo};
    w.h = s->h == NULL ? NULL : s->h + *lo;
    return w;
}

bool eval_smooth_row(struct eval *ev, struct plan *p, const struct samples *s, struct row *r,
                     struct arena *a, struct err *e)
{
    uint32_t lo = 0;
    uint32_t hi = 0;
    struct str metric = eval_metric(ev->q, r->ls);
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        int64_t t = (p->at ? p->at_ms : grid_t(&ev->grid, i)) - p->offset_ms;
        struct samples w = around(s, t, ev->q->lookback_ms, &lo, &hi);
        uint32_t hists = 0;
        uint32_t k = 0;
        for (uint32_t j = 0; j < w.n; j++) {
            hists += w.h != NULL && w.h[j] != NULL;
            k += w.t[j] < t;
        }
        if (hists > 0 && hists < w.n) {
            note_warn(&ev->q->notes, p->pos,
                      "encountered a mix of histograms and floats for metric name \"%.*s\"",
                      STR_FMT(metric));
        } else if (hists > 0) {
            if (!smooth_hist(ev, p, &w, k, t, r, i, metric, a, e)) {
                return false;
            }
        } else if (k < w.n && w.t[k] == t) {
            r->has[i] = HAS_FLOAT;
            r->v[i] = w.v[k];
        } else if (k > 0) {
            r->has[i] = HAS_FLOAT;
            r->v[i] = k < w.n ? between(&w, k - 1, t) : w.v[k - 1];
        }
    }
    return true;
}

/* First of 0 .. n (exclusive) with t above (or, if or_equal, not below) the bound; n when none. */
static uint32_t first_after(const struct samples *s, uint32_t n, int64_t bound, bool or_equal)
{
    uint32_t i = 0;
    while (i < n && !(s->t[i] > bound || (or_equal && s->t[i] == bound))) {
        i++;
    }
    return i;
}

bool eval_extend(const struct samples *in, int64_t from_ms, int64_t to_ms, bool smoothed,
                 struct arena *a, struct samples *out)
{
    struct samples s = *in;
    *out = (struct samples){0};
    if (s.n == 0) {
        return true;
    }
    uint32_t last = s.n - 1;
    uint32_t first = first_after(&s, last, from_ms, false);
    first -= first > 0;
    if (smoothed) {
        last = first_after(&s, last, to_ms, true);
    }
    if (s.t[last] <= from_ms) {
        return true;
    }
    double left = smoothed && s.t[first] < from_ms ? between(&s, first, from_ms) : s.v[first];
    double right =
        smoothed && last > 0 && s.t[last] > to_ms ? between(&s, last - 1, to_ms) : s.v[last];
    uint32_t begin = first + (s.t[first] <= from_ms);
    uint32_t end = last + (s.t[last] < to_ms);
    uint32_t inside = end > begin ? end - begin : 0;
    out->t = ARENA_ARRAY(a, int64_t, (size_t)inside + 2);
    out->v = ARENA_ARRAY(a, double, (size_t)inside + 2);
    if (out->t == NULL || out->v == NULL) {
        return false;
    }
    out->t[0] = from_ms;
    out->v[0] = left;
    for (uint32_t i = 0; i < inside; i++) {
        out->t[i + 1] = s.t[begin + i];
        out->v[i + 1] = s.v[begin + i];
    }
    out->t[inside + 1] = to_ms;
    out->v[inside + 1] = right;
    out->n = inside + 2;
    return true;
}

bool eval_smoothable(struct query *q, const struct plan *sel, const struct function *fn,
                     struct err *e)
{
    const struct promql_node *n = sel->node;
    if (n->u.selector.anchored && (fn->flags & FUNCTION_ANCHORED) == 0) {
        return eval_fail(q, e,
                         "anchored modifier can only be used with: changes, delta, increase, rate, "
                         "resets - not with %s",
                         fn->name);
    }
    if (n->u.selector.smoothed && (fn->flags & FUNCTION_SMOOTHED) == 0) {
        return eval_fail(
            q, e, "smoothed modifier can only be used with: delta, increase, rate - not with %s",
            fn->name);
    }
    return true;
}
