/* Cohorts: what the decisions of one day, model version and segment value were. Private to
 * model/. */
#ifndef MODEL_COHORT_INT_H
#define MODEL_COHORT_INT_H

#include "base/base.h"
#include "base/mem.h"
#include "flow/record.h"

/* Score cells: floor((logit(s) + 12) / 24 * 2048), clamped, + floor(10 s). Both are monotone, so
 * the sum is, and every tenth is an edge too. Below 2048 + 10. */
#define MODEL_LOGIT_CELLS 2048
#define MODEL_LOGIT_MAX   12.0
#define MODEL_CELLS       (MODEL_LOGIT_CELLS + 10)
#define MODEL_PAGE_CELLS  32
#define MODEL_PAGES       ((MODEL_CELLS + MODEL_PAGE_CELLS - 1) / MODEL_PAGE_CELLS)

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

struct model_page {
    struct model_cell cells[MODEL_PAGE_CELLS];
};

/* What one decision adds; computed once, added to every cohort that it belongs to. */
struct model_event {
    double score, score_clip;
    uint32_t cell, tag;
    int64_t cell_sum, s, s2, s4, nll, nll2;
    int64_t amount_centavos;
    enum verdict verdict;
};

/* Integers only: sums do not depend on order or on how the stream was split. */
struct model_base {
    uint64_t n, amounts_missing;
    uint64_t verdicts[VERDICTS];
    i128 amounts[VERDICTS]; /* centavos */
    i128 s, s2, s4, nll, nll2;
};

#define MODEL_ALL_DIM 0 /* cohort of all decisions; segment dimension i is i + 1 */
struct model_cohort {
    int32_t day;
    uint16_t version, value;
    uint8_t dim;
    struct model_base base;
    struct model_page *pages[MODEL_PAGES]; /* owns; NULL = all cells empty */
};

struct model_cohorts {
    struct mem *mem;             /* borrows */
    struct model_cohort **slots; /* owns, open addressing */
    size_t cap, count;
};

double model_score_clip(double s); /* like scikit-learn 1.2.1's log_loss: [eps, 1 - eps] */
uint32_t model_score_cell(double s);
/* Bounds in logit of the cell. Ends are infinite. */
void model_cell_bounds(uint32_t cell, double *lo, double *hi);
void model_event_of(double score, enum verdict v, int64_t amount_centavos, struct model_event *out);

void model_cohorts_init(struct model_cohorts *t, struct mem *m);
void model_cohorts_release(struct model_cohorts *t);
/* Finds or makes; NULL without memory. */
struct model_cohort *model_cohort_at(struct model_cohorts *t, int32_t day, uint16_t version,
                                     uint8_t dim, uint16_t value);
/* NULL when absent. */
struct model_cohort *model_cohort_find(const struct model_cohorts *t, int32_t day, uint16_t version,
                                       uint8_t dim, uint16_t value);
/* Frees the cohorts of days before `day`. Linear in all cohorts. */
void model_cohorts_drop_before(struct model_cohorts *t, int32_t day);
/* Makes the page the event needs; false without memory, and then nothing has changed. */
MUST_USE bool model_cohort_reserve(struct model_cohorts *t, struct model_cohort *c, uint32_t cell);
/* The page must be there. */
void model_cohort_add(struct model_cohort *c, const struct model_event *ev);
void model_base_merge(struct model_base *to, const struct model_base *from);
void model_cell_merge(struct model_cell *to, uint32_t n, uint32_t tag, int64_t sum);
static inline const struct model_cell *model_cohort_cell(const struct model_cohort *c,
                                                         uint32_t cell)
{
    const struct model_page *p = c->pages[cell / MODEL_PAGE_CELLS];
    return p == NULL ? NULL : &p->cells[cell % MODEL_PAGE_CELLS];
}

#endif
