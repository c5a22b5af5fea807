/* A view: one table of cells as tests look at it - sorted, counted, the feature's main kind apart.
 * Private to model/drift. */
#ifndef MODEL_DRIFT_VIEW_INT_H
#define MODEL_DRIFT_VIEW_INT_H

#include "engines/dist/dist.h"
#include "model/drift/drift_int.h"

struct drift_view {
    uint64_t *slots; /* owns; by key */
    uint32_t count;
    uint32_t first, end;  /* slots of the main kind */
    bool coarse;          /* of a segment, or of hours */
    enum drift_kind kind; /* main kind; DRIFT_NULL: there were no values */
    uint64_t total;       /* decisions, with the feature or without */
    uint64_t present;     /* values of any kind */
    uint64_t nulls, defaults;
    uint64_t main;     /* values of the main kind */
    uint64_t top;      /* of its most frequent cell */
    uint64_t positive; /* numbers above 0, and the mean of their logarithms */
    double log10_mean;
};

/* kind: what to take as the main kind; DRIFT_KINDS: the most frequent one. out->coarse is read:
 * tables of all decisions have coarse keys too. false without memory. */
MUST_USE bool drift_view_of(const struct drift *d, const struct drift_grid *g, uint32_t feature,
                            uint32_t segment, enum drift_kind kind, struct drift_view *out);
void drift_view_release(struct drift_view *v, struct mem *m);

/* Adds the numbers of a numeric view. */
MUST_USE bool drift_view_sketch(const struct drift_view *v, struct dist_sketch *s);
/* Values that ref never had: of categories by name, of numbers beyond its least and largest
 * cell. */
uint64_t drift_view_fresh(const struct drift_view *v, const struct drift_view *ref);
uint64_t drift_view_outside(const struct drift_view *v, const struct drift_view *ref);

/* Pairs of counts of the main kind, by value; n[0] is the reference's. */
struct drift_walk {
    const struct drift_view *v[2];
    uint32_t i[2];
    uint32_t payload;
    uint64_t n[2];
};
static inline struct drift_walk drift_walk_of(const struct drift_view *ref,
                                              const struct drift_view *now)
{
    return (struct drift_walk){.v = {ref, now}, .i = {ref->first, now->first}};
}
bool drift_walk_next(struct drift_walk *w);

#endif
