/* The two sides of a native histogram as walks and as flat lists.
 *
 * A side is stored as spans (gaps and runs) plus counts, which is compact and awkward to compute
 * with. Arithmetic turns it into a list of (index, count), works on that, and writes spans again.
 *
 * Invariant: the indexes of a walk and of a list strictly ascend, also for a histogram whose spans
 * are damaged, so that merging two lists is always within bounds. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

struct hist_walk hist_walk_of(const struct nhist_side *side)
{
    return (struct hist_walk){.side = side, .idx = side->spans_n > 0 ? side->spans[0].offset : 0};
}

bool hist_walk_next(struct hist_walk *w, int32_t *idx, double *count)
{
    const struct nhist_side *side = w->side;
    while (w->span < side->spans_n && w->in_span >= side->spans[w->span].length) {
        w->span++;
        w->in_span = 0;
        if (w->span < side->spans_n) {
            const int32_t gap = side->spans[w->span].offset;
            if (gap < 0) {
                w->span = side->spans_n;
                break;
            }
            w->idx += gap;
        }
    }
    if (w->span >= side->spans_n || w->bucket >= side->counts_n || w->idx > HIST_IDX_MAX ||
        w->idx < -HIST_IDX_MAX) {
        return false;
    }
    *idx = (int32_t)w->idx;
    *count = side->counts[w->bucket];
    w->idx++;
    w->in_span++;
    w->bucket++;
    return true;
}

bool hist_list_reserve(struct hist_list *l, uint32_t n, struct arena *m)
{
    if (n <= l->cap) {
        return true;
    }
    const size_t cap = size_max(n, 2 * (size_t)l->cap);
    int32_t *idx = ARENA_ARRAY(m, int32_t, cap);
    double *count = ARENA_ARRAY(m, double, cap);
    double *comp = ARENA_ARRAY(m, double, cap);
    if (idx == NULL || count == NULL || comp == NULL) {
        return false;
    }
    if (l->n > 0) {
        memcpy(idx, l->idx, l->n * sizeof *idx);
        memcpy(count, l->count, l->n * sizeof *count);
        memcpy(comp, l->comp, l->n * sizeof *comp);
    }
    *l = (struct hist_list){idx, count, comp, l->n, (uint32_t)cap};
    return true;
}

void hist_list_coarsen(struct hist_list *l, int32_t down, bool kahan)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const int32_t idx = hist_coarser(l->idx[i], down);
        const double count = l->count[i];
        const double comp = l->comp[i];
        if (n == 0 || l->idx[n - 1] != idx) {
            l->idx[n] = idx;
            l->count[n] = count;
            l->comp[n] = comp;
            n++;
        } else if (kahan) {
            kahan_inc(count, &l->count[n - 1], &l->comp[n - 1]);
            kahan_inc(comp, &l->count[n - 1], &l->comp[n - 1]);
        } else {
            l->count[n - 1] += count;
        }
    }
    l->n = n;
}

bool hist_list_load(struct hist_list *l, const struct nhist_side *side, int32_t down, bool kahan,
                    struct arena *m)
{
    l->n = 0;
    if (!hist_list_reserve(l, side->counts_n, m)) {
        return false;
    }
    struct hist_walk w = hist_walk_of(side);
    int32_t idx = 0;
    double count = 0;
    while (hist_walk_next(&w, &idx, &count)) {
        l->idx[l->n] = idx;
        l->count[l->n] = count;
        l->comp[l->n] = 0;
        l->n++;
    }
    if (down > 0) {
        hist_list_coarsen(l, down, kahan);
    }
    return true;
}

void hist_list_drop_empty(struct hist_list *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->count[i] != 0 || l->comp[i] != 0) {
            l->idx[n] = l->idx[i];
            l->count[n] = l->count[i];
            l->comp[n] = l->comp[i];
            n++;
        }
    }
    l->n = n;
}

bool hist_list_store(const struct hist_list *l, struct nhist_side *out, struct arena *m)
{
    *out = (struct nhist_side){0};
    if (l->n == 0) {
        return true;
    }
    uint32_t spans_n = 1;
    for (uint32_t i = 1; i < l->n; i++) {
        spans_n += l->idx[i] - 1 != l->idx[i - 1];
    }
    out->spans = ARENA_ARRAY(m, struct nhist_span, spans_n);
    out->counts = ARENA_ARRAY(m, double, l->n);
    if (out->spans == NULL || out->counts == NULL) {
        return false;
    }
    memcpy(out->counts, l->count, l->n * sizeof *l->count);
    out->counts_n = l->n;
    for (uint32_t i = 0; i < l->n; i++) {
        const int32_t gap = i == 0 ? l->idx[0] : l->idx[i] - l->idx[i - 1] - 1;
        if (i == 0 || gap > 0) {
            out->spans[out->spans_n] = (struct nhist_span){gap, 0};
            out->spans_n++;
        }
        out->spans[out->spans_n - 1].length++;
    }
    ASSERT(out->spans_n == spans_n);
    return true;
}

/* Goes over h's own side or over the list that stands for it. */
struct side_reader {
    struct hist_walk walk;
    const struct hist_list *list;
    uint32_t at;
};

static struct side_reader side_reader_of(const struct nhist_side *side,
                                         const struct hist_list *list)
{
    return (struct side_reader){.walk = hist_walk_of(side), .list = list};
}

static bool side_reader_next(struct side_reader *r, int32_t *idx, double *count, double *comp)
{
    *comp = 0;
    if (r->list == NULL) {
        return hist_walk_next(&r->walk, idx, count);
    }
    if (r->at == r->list->n) {
        return false;
    }
    *idx = r->list->idx[r->at];
    *count = r->list->count[r->at];
    *comp = r->list->comp[r->at];
    r->at++;
    return true;
}

/* Adds the buckets of one side that begin below *threshold to *zero; true when a populated one also
 * ends above it: *threshold is then its end. */
static bool swallow_side(struct side_reader r, int32_t schema, double *threshold, double *zero,
                         double *zero_comp)
{
    int32_t idx = 0;
    double count = 0;
    double comp = 0;
    while (side_reader_next(&r, &idx, &count, &comp)) {
        if (hist_bound(idx - 1, schema) >= *threshold) {
            return false;
        }
        kahan_inc(count, zero, zero_comp);
        kahan_inc(comp, zero, zero_comp);
        const double upper = hist_bound(idx, schema);
        if (upper > *threshold) {
            if (count == 0) {
                return false;
            }
            *threshold = upper;
            return true;
        }
    }
    return false;
}

double hist_wider_zero(const struct nhist *h, const struct hist_list *pos,
                       const struct hist_list *neg, double *threshold, double *comp)
{
    ASSERT(!hist_custom(h));
    double unused = 0;
    double *zero_comp = comp != NULL ? comp : &unused;
    if (!(*threshold > h->zero_threshold)) {
        return h->zero_count;
    }
    const double comp_before = *zero_comp;
    for (;;) {
        double zero = h->zero_count;
        *zero_comp = comp_before;
        swallow_side(side_reader_of(&h->pos, pos), h->schema, threshold, &zero, zero_comp);
        /* A negative bucket that is cut moves the threshold outward, which may swallow more
         * positive buckets: everything again. Each round passes at least one bucket. */
        if (!swallow_side(side_reader_of(&h->neg, neg), h->schema, threshold, &zero, zero_comp)) {
            return zero;
        }
    }
}

bool hist_same_bounds(const struct nhist *a, const struct nhist *b)
{
    if (a->custom_n != b->custom_n) {
        return false;
    }
    for (uint32_t i = 0; i < a->custom_n; i++) {
        if (a->custom[i] != b->custom[i]) {
            return false;
        }
    }
    return true;
}
