/* Why did a figure change between two ranges of days? What causes.c asks, causes_gather.c collects
 * and segments.c ranks. Private to model/. */
#ifndef MODEL_CAUSES_INT_H
#define MODEL_CAUSES_INT_H

#include "engines/rootcause/rootcause.h"
#include "model/model_int.h"

enum model_side { MODEL_BEFORE, MODEL_NOW };
#define MODEL_SIDES 2

#define MODEL_CAUSES_BYTES_MAX    (64u << 20) /* of an answer; 262,144 frauds need 35 MB */
#define MODEL_CAUSES_SEGMENTS_MAX 200u        /* listed */

/* Decisions of one value of a dimension. Integers: sums do not depend on order or shards. */
struct model_segment_sum {
    uint64_t n, held;   /* decisions; of them predicted positive */
    uint64_t missed;    /* frauds that were let through */
    i128 missed_amount; /* centavos */
};

/* Values in an order that is the same for any number of shards. */
#define MODEL_CAUSES_MISSING 0u
#define MODEL_CAUSES_OTHER   1u
#define MODEL_CAUSES_FIRST   2u
struct model_causes_dim {
    struct str *values; /* MISSING is empty; from FIRST on sorted */
    uint32_t count;
    struct model_segment_sum *sums[MODEL_SIDES]; /* by value */
};

/* lifetime: request; everything lives in the arena. */
struct model_causes {
    struct arena *a;
    struct model_causes_query q; /* days and age are filled in */
    uint32_t days[MODEL_SIDES];  /* with decisions */
    struct model_segment_sum all[MODEL_SIDES];
    uint32_t dims_count;
    struct model_causes_dim dims[RECORD_DIMS_MAX];
    uint64_t frauds; /* missed, on both sides; each is a leaf */
    bool leaves;     /* cube is there */
    struct rootcause_cube cube;
};

/* causes_gather.c: all but a and q, whose days and age it completes. Work: all cohorts, and the
 * labels of both ranges. false without memory. */
MUST_USE bool model_causes_gather(struct model *m, void *const *states, uint32_t n,
                                  struct model_causes *c);

/* segments.c: the member "segments", with a comma before it. false without memory. */
MUST_USE bool model_segments_json(const struct model *m, const struct model_causes *c,
                                  struct buf *out);
/* Two-sided p-value (Fisher's exact test, twice the smaller tail) of hits1 in n1 against hits0 in
 * n0 having one rate. 1 when a side is empty. */
double model_fisher_p(uint64_t hits1, uint64_t n1, uint64_t hits0, uint64_t n0);

#endif
