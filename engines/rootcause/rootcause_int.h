/* What the ways of rootcause share. Private. */
#ifndef ENGINES_ROOTCAUSE_ROOTCAUSE_INT_H
#define ENGINES_ROOTCAUSE_ROOTCAUSE_INT_H

#include "engines/rootcause/rootcause.h"

#define ROOTCAUSE_NIL UINT32_MAX

/* A set of dimensions. */
struct rootcause_cuboid {
    uint32_t dims_count;
    uint32_t dims[ROOTCAUSE_LAYERS_MAX];
};

/* What a cuboid's combination holds. */
struct rootcause_sum {
    double before, now; /* before: scaled */
    uint32_t leaves;
    uint32_t marked; /* leaves of the group that is looked at (squeeze) */
    uint32_t first;  /* a leaf of it */
};

/* Memory of a search, of the leaves' number; lives in the caller's arena. */
struct rootcause_work {
    const struct rootcause_cube *c;
    uint32_t *slots; /* open addressing over combinations, ROOTCAUSE_NIL = free */
    uint32_t slots_cap;
    uint32_t *cell_of; /* by leaf; ROOTCAUSE_NIL: the leaf is left out */
    struct rootcause_sum *cells;
    uint32_t cells_count;
    uint32_t *order; /* scratch of a search, by cell or by leaf */
    uint8_t *state;  /* scratch of a search, by leaf */
};

/* Checks the cube's bounds, too. */
MUST_USE bool rootcause_work_init(struct rootcause_work *w, const struct rootcause_cube *c,
                                  struct arena *a, struct err *e);
/* Fills cell_of and cells with the leaves for which skip[leaf] is 0. Cells are in order of their
 * first leaf. */
void rootcause_cells(struct rootcause_work *w, const struct rootcause_cuboid *q,
                     const uint8_t *skip);
/* The cuboids of `layer` dimensions, one after the other; start with dims_count = 0. false: that
 * was all. */
bool rootcause_cuboid_next(struct rootcause_cuboid *q, uint32_t layer, uint32_t dims);
uint32_t rootcause_cuboids(uint32_t layer, uint32_t dims);

/* The surprise of one element: its part before (p) and now (q) of the whole. */
double rootcause_surprise(double p, double q);
/* Elements, before, now, explained and surprise of a cause that is made of these cells. */
void rootcause_cause_of(const struct rootcause_work *w, const struct rootcause_cuboid *q,
                        const uint32_t *cells, uint32_t count, struct rootcause_cause *out);

#endif
