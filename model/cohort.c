/* Cohorts: base statistics of decisions, written once by decisions and never changed by labels.
 *
 * All sums are integers in fixed point (i128; i64 in cells), so they are associative and
 * commutative: events in any order, over any number of shards, give the same bits.
 *
 * A cohort first remembers every score (8 bytes each): figures of small days and of rare
 * positives hang on single ranks, which no histogram keeps. From MODEL_EXACT_MAX scores on they
 * are counted in cells. Both lie in pages of 512 bytes that appear when first used. Whether a
 * question is answered from lists or from cells depends on its total alone (gather.c), so that
 * the number of shards still does not matter.
 *
 * A cell remembers whether all its scores were equal (tag), because saturated and rounded scores
 * make ties, and ties change AUC and average precision. The tag is 31 bits of a hash of the
 * score: two different scores of one cell are taken for equal once in 2^31.
 *
 * Sources: histogram of logit cells, design note "Quality"; the clip is scikit-learn 1.2.1's
 * (metrics/_classification.py, eps="auto" for float64). */
#include "model/cohort_int.h"

#include <float.h>
#include <math.h>

#define COHORTS_MIN 64u

_Static_assert(MODEL_PAGES *MODEL_PAGE_SCORES >= MODEL_EXACT_MAX &&
                   MODEL_COARSE_PAGES * MODEL_PAGE_SCORES >= MODEL_EXACT_COARSE_MAX,
               "the list fits the pages of the cells");

double model_score_clip(double s)
{
    return s < DBL_EPSILON ? DBL_EPSILON : s > 1 - DBL_EPSILON ? 1 - DBL_EPSILON : s;
}

/* For 0 < s < 1. */
static uint32_t cell_from_logit(double logit, double s, uint32_t coarse)
{
    double at = (logit + MODEL_LOGIT_MAX) * (MODEL_LOGIT_CELLS / (2 * MODEL_LOGIT_MAX));
    uint32_t k = at < 0 ? 0 : at >= MODEL_LOGIT_CELLS - 1 ? MODEL_LOGIT_CELLS - 1 : (uint32_t)at;
    uint32_t tenth = (uint32_t)(s * 10);
    return 1 + (k >> coarse) + (tenth > 9 ? 9 : tenth);
}

static uint32_t last_cell(uint32_t coarse)
{
    return (MODEL_LOGIT_CELLS >> coarse) + 10;
}

uint32_t model_score_cell(double s, uint32_t coarse)
{
    if (s <= 0 || s >= 1) {
        return s <= 0 ? 0 : last_cell(coarse);
    }
    double p = model_score_clip(s);
    return cell_from_logit(log(p) - log1p(-p), s, coarse);
}

void model_cell_bounds(uint32_t cell, uint32_t coarse, double *lo, double *hi)
{
    *lo = -(double)INFINITY;
    *hi = (double)INFINITY;
    if (cell == 0 || cell >= last_cell(coarse)) {
        return; /* one score each */
    }
    /* The cells of tenth t are those between its two edges, shifted by t. */
    uint32_t tenth = 0;
    while (tenth < 9 && model_score_cell((tenth + 1) / 10.0, coarse) <= cell) {
        tenth++;
    }
    uint32_t cells = MODEL_LOGIT_CELLS >> coarse;
    double k = (double)cell - 1 - tenth;
    double step = 2 * MODEL_LOGIT_MAX / cells;
    *lo = k <= 0 ? *lo : k * step - MODEL_LOGIT_MAX;
    *hi = k >= cells - 1 ? *hi : (k + 1) * step - MODEL_LOGIT_MAX;
    if (tenth > 0) {
        double edge = tenth / 10.0;
        *lo = fmax(*lo, log(edge) - log1p(-edge));
    }
    if (tenth < 9) {
        double edge = (tenth + 1) / 10.0;
        *hi = fmin(*hi, log(edge) - log1p(-edge));
    }
}

static uint32_t tag_of(double s)
{
    uint64_t bits = 0;
    memcpy(&bits, &s, sizeof bits);
    return MODEL_TAG_ONE | (uint32_t)((bits * 0x9E3779B97F4A7C15u) >> 33);
}

static int64_t fix(double x, double unit)
{
    return (int64_t)(x * unit + 0.5);
}

void model_event_of(double score, enum verdict v, int64_t amount_centavos, struct model_event *out)
{
    *out = (struct model_event){.score = score,
                                .cell_money = MODEL_MONEY_NONE,
                                .amount_centavos = amount_centavos,
                                .verdict = v};
    if (isnan(score)) {
        return;
    }
    ASSERT(score >= 0);
    ASSERT(score <= 1);
    double p = model_score_clip(score);
    double nll = -log1p(-p);
    double s2 = score * score;
    bool inside = score > 0 && score < 1;
    double logit = log(p) + nll;
    out->scored = true;
    out->score_clip = p;
    out->cell = inside ? cell_from_logit(logit, score, 0) : model_score_cell(score, 0);
    out->cell_coarse = inside ? cell_from_logit(logit, score, MODEL_COARSE)
                              : model_score_cell(score, MODEL_COARSE);
    out->cell_money = inside ? cell_from_logit(logit, score, MODEL_MONEY_SHIFT)
                             : model_score_cell(score, MODEL_MONEY_SHIFT);
    out->tag = tag_of(score + 0.0); /* -0 is 0 */
    out->cell_sum = fix(score, MODEL_CELL_FIX);
    out->s = fix(score, MODEL_FIX);
    out->s2 = fix(s2, MODEL_FIX);
    out->s4 = fix(s2 * s2, MODEL_FIX_SQ);
    out->nll = fix(nll, MODEL_FIX);
    out->nll2 = fix(nll * nll, MODEL_FIX_SQ);
}

void model_cohorts_init(struct model_cohorts *t, struct mem *m)
{
    *t = (struct model_cohorts){.mem = m};
}

static size_t pages_of(const struct model_cohort *c)
{
    return model_coarse_of(c->dim) == 0 ? MODEL_PAGES : MODEL_COARSE_PAGES;
}

static void pages_free(struct mem *m, union model_page **pages, size_t count)
{
    for (size_t i = 0; pages != NULL && i < count; i++) {
        mem_give(m, pages[i], sizeof **pages);
    }
    mem_give(m, pages, pages == NULL ? 0 : count * sizeof *pages);
}

static void cohort_free(struct mem *m, struct model_cohort *c)
{
    pages_free(m, c->pages, pages_of(c));
    mem_give(m, c->money, MODEL_MONEY_CELLS * sizeof *c->money);
    mem_give(m, c, sizeof *c);
}

void model_cohorts_release(struct model_cohorts *t)
{
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i] != NULL) {
            cohort_free(t->mem, t->slots[i]);
        }
    }
    mem_give(t->mem, t->slots, t->cap * sizeof *t->slots);
    *t = (struct model_cohorts){.mem = t->mem};
}

static size_t home(size_t cap, int32_t day, uint16_t version, uint8_t dim, uint16_t value)
{
    uint64_t key =
        (uint64_t)(uint32_t)day << 32 ^ (uint64_t)version << 24 ^ (uint64_t)dim << 16 ^ value;
    return (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (cap - 1);
}

static void place(struct model_cohort **slots, size_t cap, struct model_cohort *c)
{
    size_t i = home(cap, c->day, c->version, c->dim, c->value);
    while (slots[i] != NULL) {
        i = (i + 1) & (cap - 1);
    }
    slots[i] = c;
}

static bool grow(struct model_cohorts *t)
{
    size_t cap = t->cap == 0 ? COHORTS_MIN : t->cap * 2;
    struct model_cohort **slots = mem_take(t->mem, cap * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i] != NULL) {
            place(slots, cap, t->slots[i]);
        }
    }
    mem_give(t->mem, t->slots, t->cap * sizeof *t->slots);
    t->slots = slots;
    t->cap = cap;
    return true;
}

struct model_cohort *model_cohort_find(const struct model_cohorts *t, int32_t day, uint16_t version,
                                       uint8_t dim, uint16_t value)
{
    if (t->cap == 0) {
        return NULL;
    }
    size_t i = home(t->cap, day, version, dim, value);
    for (; t->slots[i] != NULL; i = (i + 1) & (t->cap - 1)) {
        struct model_cohort *c = t->slots[i];
        if (c->day == day && c->version == version && c->dim == dim && c->value == value) {
            return c;
        }
    }
    return NULL;
}

struct model_cohort *model_cohort_at(struct model_cohorts *t, int32_t day, uint16_t version,
                                     uint8_t dim, uint16_t value)
{
    struct model_cohort *old = model_cohort_find(t, day, version, dim, value);
    if (old != NULL) {
        return old;
    }
    if ((t->count + 1) * 2 > t->cap && !grow(t)) {
        return NULL;
    }
    struct model_cohort *c = mem_take(t->mem, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->day = day;
    c->version = version;
    c->dim = dim;
    c->value = value;
    place(t->slots, t->cap, c);
    t->count++;
    return c;
}

/* Frees slot i and shifts the cluster behind it back, so that every cohort stays reachable. */
static void remove_at(struct model_cohorts *t, size_t hole)
{
    size_t mask = t->cap - 1;
    cohort_free(t->mem, t->slots[hole]);
    for (size_t i = (hole + 1) & mask; t->slots[i] != NULL; i = (i + 1) & mask) {
        const struct model_cohort *c = t->slots[i];
        size_t from_home = (i - home(t->cap, c->day, c->version, c->dim, c->value)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = NULL;
    t->count--;
}

void model_cohorts_drop_before(struct model_cohorts *t, int32_t day)
{
    for (size_t i = 0; i < t->cap; i++) {
        while (t->slots[i] != NULL && t->slots[i]->day < day) {
            remove_at(t, i);
        }
    }
}

/* Page number i, made when it is not there; NULL without memory. */
static union model_page *page_at(struct model_cohorts *t, struct model_cohort *c, size_t i)
{
    if (c->pages == NULL && (c->pages = mem_take(t->mem, pages_of(c) * sizeof *c->pages)) == NULL) {
        return NULL;
    }
    ASSERT(i < pages_of(c));
    if (c->pages[i] == NULL) {
        c->pages[i] = mem_take(t->mem, sizeof **c->pages);
    }
    return c->pages[i];
}

static struct model_cell *cell_at(struct model_cohorts *t, struct model_cohort *c, uint32_t cell)
{
    union model_page *p = page_at(t, c, cell / MODEL_PAGE_CELLS);
    return p == NULL ? NULL : &p->cells[cell % MODEL_PAGE_CELLS];
}

/* Turns the list into cells; without memory nothing has changed. */
static bool to_cells(struct model_cohorts *t, struct model_cohort *c, size_t scores)
{
    uint32_t coarse = model_coarse_of(c->dim);
    struct model_cohort cells = {.dim = c->dim};
    for (size_t i = 0; i < scores; i++) {
        double s = model_cohort_score(c, i);
        struct model_cell *cell = cell_at(t, &cells, model_score_cell(s, coarse));
        if (cell == NULL) {
            pages_free(t->mem, cells.pages, pages_of(c));
            return false;
        }
        model_cell_merge(cell, 1, tag_of(s + 0.0), fix(s, MODEL_CELL_FIX));
    }
    pages_free(t->mem, c->pages, pages_of(c));
    c->pages = cells.pages;
    c->celled = true;
    return true;
}

/* Room for one more score in the list; cells when it is full. */
static bool list_room(struct model_cohorts *t, struct model_cohort *c, size_t scores)
{
    if (!c->celled && scores >= model_exact_max(model_coarse_of(c->dim)) &&
        !to_cells(t, c, scores)) {
        return false;
    }
    return c->celled || page_at(t, c, scores / MODEL_PAGE_SCORES) != NULL;
}

static bool money_room(struct model_cohorts *t, struct model_cohort *c)
{
    if (c->money == NULL) {
        c->money = mem_take(t->mem, MODEL_MONEY_CELLS * sizeof *c->money);
    }
    return c->money != NULL;
}

bool model_cohort_reserve(struct model_cohorts *t, struct model_cohort *c,
                          const struct model_event *ev)
{
    if (c->dim == MODEL_ALL_DIM && ev->amount_centavos != AMOUNT_NONE && !money_room(t, c)) {
        return false;
    }
    if (!ev->scored) {
        return true;
    }
    return list_room(t, c, c->base.scored) &&
           (!c->celled || cell_at(t, c, model_coarse_of(c->dim) == 0 ? ev->cell : ev->cell_coarse));
}

bool model_cohort_put_money(struct model_cohorts *t, struct model_cohort *c, uint32_t cell,
                            i128 centavos)
{
    ASSERT(cell < MODEL_MONEY_CELLS);
    if (!money_room(t, c)) {
        return false;
    }
    c->money[cell] += centavos;
    return true;
}

bool model_cohort_put_score(struct model_cohorts *t, struct model_cohort *c, size_t scores_have,
                            double score)
{
    if (!list_room(t, c, scores_have)) {
        return false;
    }
    if (!c->celled) {
        c->pages[scores_have / MODEL_PAGE_SCORES]->scores[scores_have % MODEL_PAGE_SCORES] = score;
        return true;
    }
    struct model_cell *cell = cell_at(t, c, model_score_cell(score, model_coarse_of(c->dim)));
    if (cell != NULL) {
        model_cell_merge(cell, 1, tag_of(score + 0.0), fix(score, MODEL_CELL_FIX));
    }
    return cell != NULL;
}

bool model_cohort_put_cell(struct model_cohorts *t, struct model_cohort *c, size_t scores_have,
                           uint32_t cell, const struct model_cell *from)
{
    if (!c->celled && !to_cells(t, c, scores_have)) {
        return false;
    }
    struct model_cell *to = cell_at(t, c, cell);
    if (to != NULL) {
        model_cell_merge(to, from->n, from->tag, from->sum);
    }
    return to != NULL;
}

void model_cell_merge(struct model_cell *to, uint32_t n, uint32_t tag, int64_t sum)
{
    if (n == 0 || n > (uint32_t)INT32_MAX - to->n) {
        return; /* 2^31 decisions of one cell in one day: the histogram is full, counts go on */
    }
    to->tag = to->n == 0 || to->tag == tag ? tag : MODEL_TAG_MIXED;
    to->n += n;
    to->sum += sum;
}

void model_cohort_add(struct model_cohort *c, const struct model_event *ev)
{
    struct model_base *b = &c->base;
    b->n++;
    b->verdicts[ev->verdict]++;
    if (ev->amount_centavos == AMOUNT_NONE) {
        b->amounts_missing++;
    } else {
        b->amounts[ev->verdict] += ev->amount_centavos;
        if (c->money != NULL) {
            c->money[ev->cell_money] += ev->amount_centavos;
        }
    }
    if (!ev->scored) {
        return;
    }
    if (c->celled) {
        uint32_t cell = model_coarse_of(c->dim) == 0 ? ev->cell : ev->cell_coarse;
        union model_page *p = c->pages[cell / MODEL_PAGE_CELLS];
        ASSERT(p != NULL);
        model_cell_merge(&p->cells[cell % MODEL_PAGE_CELLS], 1, ev->tag, ev->cell_sum);
    } else {
        union model_page *p = c->pages[b->scored / MODEL_PAGE_SCORES];
        ASSERT(p != NULL);
        p->scores[b->scored % MODEL_PAGE_SCORES] = ev->score;
    }
    b->scored++;
    b->s += ev->s;
    b->s2 += ev->s2;
    b->s4 += ev->s4;
    b->nll += ev->nll;
    b->nll2 += ev->nll2;
}

void model_base_merge(struct model_base *to, const struct model_base *from)
{
    to->n += from->n;
    to->scored += from->scored;
    to->amounts_missing += from->amounts_missing;
    for (size_t v = 0; v < VERDICTS; v++) {
        to->verdicts[v] += from->verdicts[v];
        to->amounts[v] += from->amounts[v];
    }
    to->s += from->s;
    to->s2 += from->s2;
    to->s4 += from->s4;
    to->nll += from->nll;
    to->nll2 += from->nll2;
}
