/* Cohorts: what the decisions of one day, model version and segment value were. Private to
 * model/. */
#ifndef MODEL_COHORT_INT_H
#define MODEL_COHORT_INT_H

#include "base/base.h"
#include "base/mem.h"
#include "flow/record.h"

/* Score cells: 0 holds the scores that are exactly 0, the last one those that are exactly 1
 * (saturated models give many); between them 1 + floor((logit(s) + 14) / 28 * cells), clamped,
 * + floor(10 s). Both terms are monotone, so the sum is, and every tenth is an edge too.
 *
 * Cohorts of all decisions have fine cells: near 1/2 one is narrower than 0.001, so that scores
 * rounded to three decimals do not share one. Segments have a quarter of them. */
#define MODEL_LOGIT_CELLS  8192u
#define MODEL_LOGIT_MAX    14.0
#define MODEL_CELLS        (MODEL_LOGIT_CELLS + 11)
#define MODEL_COARSE       2u /* cells of a segment: logit cells >> this */
#define MODEL_COARSE_CELLS ((MODEL_LOGIT_CELLS >> MODEL_COARSE) + 11)
#define MODEL_PAGE_CELLS   32
#define MODEL_PAGES        ((MODEL_CELLS + MODEL_PAGE_CELLS - 1) / MODEL_PAGE_CELLS)
#define MODEL_COARSE_PAGES ((MODEL_COARSE_CELLS + MODEL_PAGE_CELLS - 1) / MODEL_PAGE_CELLS)

/* Up to so many scores a cohort remembers each, and figures are exact; then cells take over. */
#define MODEL_EXACT_MAX        16384u
#define MODEL_EXACT_COARSE_MAX 2048u

/* Money by score is in cells of 32 logit cells each; scores 0 and 1 and tenths as above. */
#define MODEL_MONEY_SHIFT 5u
#define MODEL_MONEY_CELLS ((MODEL_LOGIT_CELLS >> MODEL_MONEY_SHIFT) + 12)
#define MODEL_MONEY_NONE  (MODEL_MONEY_CELLS - 1) /* decisions without a score */

#define MODEL_FIX      0x1p56 /* fixed point of s, s^2, -ln(1-s) */
#define MODEL_FIX_SQ   0x1p48 /* of s^4, ln(1-s)^2 (at most 1300) */
#define MODEL_CELL_FIX 0x1p32 /* of a cell's sum of scores: 2^31 decisions fit */

/* tag: 0 = empty; the score's own 31-bit tag + MODEL_TAG_ONE while all scores of the cell are
 * equal; else MODEL_TAG_MIXED. Saturated or rounded scores are ties, and with it the engine
 * knows. */
#define MODEL_TAG_MIXED 1u
#define MODEL_TAG_ONE   0x80000000u
struct model_cell {
    uint32_t n, tag;
    int64_t sum;
};

/* A page of cells or, before there are cells, of scores. */
#define MODEL_PAGE_SCORES 64
union model_page {
    struct model_cell cells[MODEL_PAGE_CELLS];
    double scores[MODEL_PAGE_SCORES];
};

/* What one decision adds; computed once, added to every cohort that it belongs to. */
struct model_event {
    bool scored; /* false: the pipeline decided without the model; figures of scores leave it out */
    double score, score_clip;
    uint32_t cell, cell_coarse, cell_money, tag;
    int64_t cell_sum, s, s2, s4, nll, nll2;
    int64_t amount_centavos;
    enum verdict verdict;
};

/* Integers only: sums do not depend on order or on how the stream was split. */
struct model_base {
    uint64_t n, amounts_missing;
    uint64_t scored; /* of n: with a score */
    uint64_t verdicts[VERDICTS];
    i128 amounts[VERDICTS];    /* centavos */
    i128 s, s2, s4, nll, nll2; /* of the scored */
};

#define MODEL_ALL_DIM     0 /* cohort of all decisions; segment dimension i is i + 1 */
#define MODEL_FLAGGED_DIM (RECORD_DIMS_MAX + 1) /* of the predicted positives among them */
struct model_cohort {
    int32_t day;
    uint16_t version, value;
    uint8_t dim;
    bool celled; /* the pages hold cells, else scores in any order: base.scored of them */
    struct model_base base;
    union model_page **pages; /* owns, as each; made when first needed, NULL = empty */
    i128 *money; /* owns; centavos by score, MODEL_MONEY_CELLS; only of MODEL_ALL_DIM, NULL = 0 */
};

struct model_cohorts {
    struct mem *mem;             /* borrows */
    struct model_cohort **slots; /* owns, open addressing */
    size_t cap, count;
};

double model_score_clip(double s); /* like scikit-learn 1.2.1's log_loss: [eps, 1 - eps] */
/* coarse: 0, or MODEL_COARSE for cells of segments. */
uint32_t model_score_cell(double s, uint32_t coarse);
/* Bounds in logit of the cell. Ends are infinite. */
void model_cell_bounds(uint32_t cell, uint32_t coarse, double *lo, double *hi);
/* score NaN: none. */
void model_event_of(double score, enum verdict v, int64_t amount_centavos, struct model_event *out);
static inline uint32_t model_coarse_of(uint8_t dim)
{
    return dim == MODEL_ALL_DIM || dim == MODEL_FLAGGED_DIM ? 0 : MODEL_COARSE;
}
static inline uint32_t model_exact_max(uint32_t coarse)
{
    return coarse == 0 ? MODEL_EXACT_MAX : MODEL_EXACT_COARSE_MAX;
}

void model_cohorts_init(struct model_cohorts *t, struct mem *m);
void model_cohorts_release(struct model_cohorts *t);
/* Finds or makes; NULL without memory. */
struct model_cohort *model_cohort_at(struct model_cohorts *t, int32_t day, uint16_t version,
                                     uint8_t dim, uint16_t value);
/* Score number i of a cohort without cells. */
static inline double model_cohort_score(const struct model_cohort *c, size_t i)
{
    return c->pages[i / MODEL_PAGE_SCORES]->scores[i % MODEL_PAGE_SCORES];
}
static inline uint32_t model_cohort_cells(const struct model_cohort *c)
{
    return model_coarse_of(c->dim) == 0 ? MODEL_CELLS : MODEL_COARSE_CELLS;
}
/* NULL when absent. */
struct model_cohort *model_cohort_find(const struct model_cohorts *t, int32_t day, uint16_t version,
                                       uint8_t dim, uint16_t value);
/* Frees the cohorts of days before `day`. Linear in all cohorts. */
void model_cohorts_drop_before(struct model_cohorts *t, int32_t day);
/* Makes room for the event's score and money; false without memory, and then no sum has changed. */
MUST_USE bool model_cohort_reserve(struct model_cohorts *t, struct model_cohort *c,
                                   const struct model_event *ev);
/* The room must be there. */
void model_cohort_add(struct model_cohort *c, const struct model_event *ev);
/* For loading: scores join the list (or the cells, when it is full), a cell joins the cells.
 * base is for the caller to add afterwards; scores_have = how many the list has. */
MUST_USE bool model_cohort_put_score(struct model_cohorts *t, struct model_cohort *c,
                                     size_t scores_have, double score);
MUST_USE bool model_cohort_put_cell(struct model_cohorts *t, struct model_cohort *c,
                                    size_t scores_have, uint32_t cell,
                                    const struct model_cell *from);
MUST_USE bool model_cohort_put_money(struct model_cohorts *t, struct model_cohort *c, uint32_t cell,
                                     i128 centavos);
void model_base_merge(struct model_base *to, const struct model_base *from);
void model_cell_merge(struct model_cell *to, uint32_t n, uint32_t tag, int64_t sum);
static inline const struct model_cell *model_cohort_cell(const struct model_cohort *c,
                                                         uint32_t cell)
{
    const union model_page *p =
        !c->celled || c->pages == NULL ? NULL : c->pages[cell / MODEL_PAGE_CELLS];
    return p == NULL ? NULL : &p->cells[cell % MODEL_PAGE_CELLS];
}

#endif
