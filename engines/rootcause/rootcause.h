/* Which segment explains that a figure changed?
 *
 * Given a figure before and now, split by dimensions (channel, state, bank ...), name the values,
 * or the combinations of values, that the change comes from. Three ways, for three kinds of
 * material:
 *
 * - rootcause_adtributor needs only single dimensions (a table per dimension) and also works for
 *   rates. It names the dimensions whose values moved most surprisingly.
 * - rootcause_squeeze needs leaves (a figure per combination of all dimensions) with enough in
 * each,
 *   and names combinations of up to three dimensions.
 * - rootcause_scan is for leaves that hold few cases or one, as frauds do: what a leaf deviates
 * says
 *   nothing there, so that combinations are judged by the likelihood of what they hold together. It
 *   can say "everything" and "nothing", and what it names by chance is bounded.
 *
 * Pure functions of their arguments: no clock, no state, no threads. Sums run in the order of
 * leaves, and rootcause_leaves_merge makes that order one; counts and centavos below 2^53 add up
 * exactly, so that the same cases give the same bits whatever they were split over.
 *
 * Sources: Bhagwan et al., "Adtributor", NSDI 2014; Li et al., "Generic and Robust Localization of
 * Multi-Dimensional Root Causes" (Squeeze), ISSRE 2019. Kulldorff, "A spatial scan statistic",
 * 1997, and Speakman et al., "Penalized Fast Subset Scanning", 2016, for the scan. Kleinman, JASA
 * 68 (1973) for the shrinkage. README.md says where we differ. */
#ifndef ENGINES_ROOTCAUSE_ROOTCAUSE_H
#define ENGINES_ROOTCAUSE_ROOTCAUSE_H

#include "base/err.h"
#include "base/mem.h"

#define ROOTCAUSE_DIMS_MAX     8
#define ROOTCAUSE_LAYERS_MAX   3 /* dimensions of a combination */
#define ROOTCAUSE_VALUES_MAX   65536u
#define ROOTCAUSE_LEAVES_MAX   (1u << 18)
#define ROOTCAUSE_ELEMENTS_MAX 12 /* combinations of one cause */
#define ROOTCAUSE_CAUSES_MAX   8

/* Elements of one cuboid (set of dimensions), which changed alike. No dimensions: everything. */
struct rootcause_cause {
    uint32_t dims_count;
    uint32_t dims[ROOTCAUSE_LAYERS_MAX]; /* ascending */
    uint32_t elements_count;
    /* A value of each of the dims. Of Adtributor the most surprising first, else rising. */
    uint16_t elements[ROOTCAUSE_ELEMENTS_MAX][ROOTCAUSE_LAYERS_MAX];
    double before, now; /* of the elements together; before: as expected now. A rate: numerators */
    double explained;   /* part of the change of the whole; below 0: it moved against it */
    double surprise;    /* Jensen-Shannon, in nats, summed over the elements */
    double score;       /* the larger, the better; comparable within one answer of one way only */
};

struct rootcause_causes {
    uint32_t count;
    struct rootcause_cause v[ROOTCAUSE_CAUSES_MAX]; /* best first */
};

/* ---- Single dimensions ---- */

struct rootcause_cell {
    double before, now;       /* not negative; an additive figure, or a rate's numerator */
    double before_of, now_of; /* a rate's denominator */
};

/* By value of one dimension; every table adds up to the same totals. */
struct rootcause_table {
    const struct rootcause_cell *cells;
    uint32_t count;
};

#define ROOTCAUSE_EP_ELEMENT 0.10 /* an element explains at least this part of the change */
#define ROOTCAUSE_EP_SET     0.67 /* and the elements of a cause together this */

/* At most one cause per dimension: the most surprising values that together explain the change;
 * score = surprise. None when the totals did not change, or no few values explain it. rate: the
 * figure is sum before / sum before_of. ERR_LIMIT: bounds, or a is full. O(values log values). */
MUST_USE bool rootcause_adtributor(const struct rootcause_table *tables, uint32_t tables_count,
                                   bool rate, struct arena *a, struct rootcause_causes *out,
                                   struct err *e);

/* ---- Leaves ---- */

struct rootcause_leaf {
    double before, now; /* not negative, as counted */
    uint16_t values[ROOTCAUSE_DIMS_MAX];
};

struct rootcause_cube {
    struct rootcause_leaf *leaves; /* borrows */
    uint32_t leaves_count;
    uint32_t dims_count;
    double scale; /* > 0: what is expected now is before * scale (the lengths of the periods) */
    double unit;  /* > 0: 1 for counts; for sums of amounts sum(amount^2) / sum(amount): what a
                   * single case weighs, and with that how much a sum varies by chance */
};

/* Sorts the leaves by their values and adds equal ones up; leaves_count shrinks. The two below
 * want this done. In place, O(leaves log leaves). */
void rootcause_leaves_merge(struct rootcause_cube *c);

/* Do the leaves hold enough, on average ROOTCAUSE_DENSE cases, that Squeeze is the way? */
#define ROOTCAUSE_DENSE 100.0
bool rootcause_dense(const struct rootcause_cube *c);

/* score = potential score, at most 1; ordered by how much the elements changed. None when
 * no leaves deviate. a: about 60 bytes per leaf. ERR_LIMIT: bounds, or a is full.
 * O(cuboids x leaves x elements): at most 92 x 12 per leaf and group of leaves. */
MUST_USE bool rootcause_squeeze(const struct rootcause_cube *c, struct arena *a,
                                struct rootcause_causes *out, struct err *e);

/* score = logarithm of how much likelier the counts are with this cause than without, less the
 * price of having looked at everything (ROOTCAUSE_SCAN_MIN is one false cause in twenty
 * answers, at most). The first cause is found, its leaves are put aside, and so on. a: about 60
 * bytes per leaf. ERR_LIMIT: bounds, or a is full. O(cuboids x leaves) per cause. */
#define ROOTCAUSE_SCAN_MIN 3.0
MUST_USE bool rootcause_scan(const struct rootcause_cube *c, struct arena *a,
                             struct rootcause_causes *out, struct err *e);

/* ---- Small counts ---- */

struct rootcause_rate {
    uint64_t hits, n; /* hits <= n */
};

/* What rates of siblings say about each other: Beta(mean * weight, (1 - mean) * weight). */
struct rootcause_prior {
    double mean;   /* of all together; NaN when there are no cases */
    double weight; /* in cases; 0 = every rate stands for itself, infinite = they are all one */
};

/* Empirical Bayes by moments: as much weight as the spread of the rates beyond chance allows. */
void rootcause_prior_fit(const struct rootcause_rate *rates, uint32_t count,
                         struct rootcause_prior *out);
/* A rate drawn to the mean of its siblings: the fewer cases, the nearer. NaN when nothing is
 * known. */
double rootcause_shrunk(const struct rootcause_prior *prior, struct rootcause_rate rate);

#endif
