/* What the hist_*.c files share: bounds, walks over the buckets of one side, and sides as flat
 * lists of (index, count), which is the form that arithmetic is done in. */
#ifndef ENGINES_PROMQL_HIST_SIDE_INT_H
#define ENGINES_PROMQL_HIST_SIDE_INT_H

#include "engines/promql/hist_int.h"

/* Upper bound (absolute value) of a bucket of an exponential schema; NaN when the schema is none.
 * */
double hist_bound(int32_t idx, int32_t schema);
/* The same of either kind; -Inf below the first custom bucket, +Inf from the last on. */
double hist_upper(const struct nhist *h, int32_t idx);

/* Index in a schema `down` steps coarser. */
static inline int32_t hist_coarser(int32_t idx, int32_t down)
{
    return (int32_t)(((int64_t)idx - 1) >> down) + 1;
}
static inline bool hist_custom(const struct nhist *h)
{
    return h->schema == NHIST_SCHEMA_CUSTOM;
}
/* Stored histograms are checked when they come in, not again when they are read: one whose schema
 * is none combines with nothing. */
static inline bool hist_sound(const struct nhist *h)
{
    return hist_custom(h) || (h->schema >= NHIST_SCHEMA_MIN && h->schema <= NHIST_SCHEMA_MAX);
}
bool hist_same_bounds(const struct nhist *a, const struct nhist *b);

/* Far past the bucket of any double in any schema; the distance of two indexes fits in 32 bits. */
#define HIST_IDX_MAX (1 << 30)

/* The explicit buckets of a side in ascending order of index, which strictly ascends whatever the
 * spans say: a span that goes backward or out of range ends the walk. */
struct hist_walk {
    const struct nhist_side *side;
    uint32_t span, in_span, bucket;
    int64_t idx;
};
struct hist_walk hist_walk_of(const struct nhist_side *side);
bool hist_walk_next(struct hist_walk *w, int32_t *idx, double *count);

/* Lists (struct hist_list, hist_int.h). */
bool hist_list_reserve(struct hist_list *l, uint32_t n, struct arena *m);
/* Empty again, then the buckets of the side, merged into a schema `down` steps coarser. kahan: the
 * merge compensates; else comp is 0. */
bool hist_list_load(struct hist_list *l, const struct nhist_side *side, int32_t down, bool kahan,
                    struct arena *m);
void hist_list_coarsen(struct hist_list *l, int32_t down, bool kahan);
void hist_list_drop_empty(struct hist_list *l);
/* Spans as few as possible. */
bool hist_list_store(const struct hist_list *l, struct nhist_side *out, struct arena *m);

/* What the zero bucket of a histogram would hold if it were at least as wide as *threshold, which
 * is moved outward to the end of a populated bucket that it would cut. lists: in place of h's sides
 * (NULL: h's own); comp gets the compensation of the count and may be NULL. */
double hist_wider_zero(const struct nhist *h, const struct hist_list *pos,
                       const struct hist_list *neg, double *threshold, double *comp);

/* Share of a bucket's observations that lie at or below v, which is inside it; both bounds are
 * finite. linear: else on a logarithmic scale. */
double hist_share_below(const struct hist_bucket *b, double v, bool linear);

#endif
