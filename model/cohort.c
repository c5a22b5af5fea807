/* Cohorts: base statistics of decisions, written once by decisions and never changed by labels.
 *
 * All sums are integers in fixed point (i128; i64 in cells), so they are associative and
 * commutative: events in any order, over any number of shards, give the same bits. The score
 * histogram has 2,058 cells in pages of 32 that appear when first used; a day of scores fills
 * about a third of them.
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

double model_score_clip(double s)
{
    return s < DBL_EPSILON ? DBL_EPSILON : s > 1 - DBL_EPSILON ? 1 - DBL_EPSILON : s;
}

static uint32_t cell_from_logit(double logit, double s)
{
    double at = (logit + MODEL_LOGIT_MAX) * (MODEL_LOGIT_CELLS / (2 * MODEL_LOGIT_MAX));
    uint32_t k = at < 0 ? 0 : at >= MODEL_LOGIT_CELLS - 1 ? MODEL_LOGIT_CELLS - 1 : (uint32_t)at;
    uint32_t tenth = (uint32_t)(s * 10);
    return k + (tenth > 9 ? 9 : tenth);
}

uint32_t model_score_cell(double s)
{
    double p = model_score_clip(s);
    return cell_from_logit(log(p) - log1p(-p), s);
}

void model_cell_bounds(uint32_t cell, double *lo, double *hi)
{
    /* The cells of tenth t are those between its two edges, shifted by t. */
    uint32_t tenth = 0;
    while (tenth < 9 && model_score_cell((tenth + 1) / 10.0) <= cell) {
        tenth++;
    }
    double k = (double)cell - tenth;
    double step = 2 * MODEL_LOGIT_MAX / MODEL_LOGIT_CELLS;
    *lo = k <= 0 ? -(double)INFINITY : k * step - MODEL_LOGIT_MAX;
    *hi = k >= MODEL_LOGIT_CELLS - 1 ? (double)INFINITY : (k + 1) * step - MODEL_LOGIT_MAX;
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
    ASSERT(score >= 0);
    ASSERT(score <= 1);
    double p = model_score_clip(score);
    double nll = -log1p(-p);
    double s2 = score * score;
    *out = (struct model_event){
        .score = score,
        .score_clip = p,
        .cell = cell_from_logit(log(p) + nll, score),
        .tag = tag_of(score + 0.0), /* -0 is 0 */
        .cell_sum = fix(score, MODEL_CELL_FIX),
        .s = fix(score, MODEL_FIX),
        .s2 = fix(s2, MODEL_FIX),
        .s4 = fix(s2 * s2, MODEL_FIX_SQ),
        .nll = fix(nll, MODEL_FIX),
        .nll2 = fix(nll * nll, MODEL_FIX_SQ),
        .amount_centavos = amount_centavos,
        .verdict = v,
    };
}

void model_cohorts_init(struct model_cohorts *t, struct mem *m)
{
    *t = (struct model_cohorts){.mem = m};
}

static void cohort_free(struct mem *m, struct model_cohort *c)
{
    for (size_t i = 0; i < MODEL_PAGES; i++) {
        mem_give(m, c->pages[i], sizeof *c->pages[i]);
    }
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

bool model_cohort_reserve(struct model_cohorts *t, struct model_cohort *c, uint32_t cell)
{
    struct model_page **p = &c->pages[cell / MODEL_PAGE_CELLS];
    if (*p == NULL) {
        *p = mem_take(t->mem, sizeof **p);
    }
    return *p != NULL;
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
    struct model_page *p = c->pages[ev->cell / MODEL_PAGE_CELLS];
    ASSERT(p != NULL);
    model_cell_merge(&p->cells[ev->cell % MODEL_PAGE_CELLS], 1, ev->tag, ev->cell_sum);
    b->n++;
    b->verdicts[ev->verdict]++;
    if (ev->amount_centavos == AMOUNT_NONE) {
        b->amounts_missing++;
    } else {
        b->amounts[ev->verdict] += ev->amount_centavos;
    }
    b->s += ev->s;
    b->s2 += ev->s2;
    b->s4 += ev->s4;
    b->nll += ev->nll;
    b->nll2 += ev->nll2;
}

void model_base_merge(struct model_base *to, const struct model_base *from)
{
    to->n += from->n;
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
