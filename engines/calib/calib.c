/* The map from score to probability: isotonic regression by pooling adjacent violators.
 *
 * Blocks are built from the lowest score up; a block that is not above the one before it is pooled
 * with it, until none is. Every cell is pushed and pooled once, so it is linear. Rates are compared
 * by cross multiplication: with whole numbers below 2^26 nothing is rounded.
 *
 * Between the last score of a block and the first of the next the map is a straight line, as
 * scikit-learn's IsotonicRegression predicts; a step there would have to choose a side.
 *
 * Invariant: lo <= hi < lo of the next block; p < p of the next block; 0 <= p <= 1.
 * Source: Ayer, Brunk, Ewing, Reid, Silverman, Ann. Math. Stat. 26, 1955; Zadrozny, Elkan, KDD 2002
 * (isotonic regression as calibration). */
#include "engines/calib/calib.h"

#include <math.h>

void calib_init(struct calib *c, struct mem *m)
{
    *c = (struct calib){.mem = m};
}

void calib_release(struct calib *c)
{
    mem_give(c->mem, c->blocks, c->cap * sizeof *c->blocks);
    *c = (struct calib){.mem = c->mem};
}

void calib_reset(struct calib *c)
{
    c->count = 0;
    c->n = c->positives = c->squares = 0;
}

static bool violates(const struct calib_block *low, const struct calib_block *high)
{
    return low->positives * high->n >= high->positives * low->n;
}

static double probability(const struct calib_block *b)
{
    return fmin(1, b->positives / b->n);
}

static void pool(struct calib_block *low, const struct calib_block *high)
{
    low->hi = high->hi;
    low->n += high->n;
    low->positives += high->positives;
    low->squares += high->squares;
    low->p = probability(low);
}

bool calib_learn(struct calib *c, const struct calib_cell *x)
{
    ASSERT(c->count == 0 || x->score > c->blocks[c->count - 1].hi);
    if (!(x->n > 0)) {
        return true;
    }
    void *p = c->blocks;
    const bool ok = mem_array_grow(c->mem, &p, &c->cap, c->count + 1, SIZE_MAX, sizeof *c->blocks);
    c->blocks = p;
    if (!ok) {
        calib_reset(c);
        return false;
    }
    struct calib_block *top = &c->blocks[c->count++];
    *top = (struct calib_block){.lo = x->score,
                                .hi = x->score,
                                .n = x->n,
                                .positives = x->positives,
                                .squares = x->squares};
    top->p = probability(top);
    for (; c->count > 1 && violates(top - 1, top); top--) {
        pool(top - 1, top);
        c->count--;
    }
    c->n += x->n;
    c->positives += x->positives;
    c->squares += x->squares;
    return true;
}

bool calib_fit(struct calib *c, const struct calib_cell *v, size_t count)
{
    calib_reset(c);
    for (size_t i = 0; i < count; i++) {
        if (!calib_learn(c, &v[i])) {
            return false;
        }
    }
    return true;
}

double calib_at(const struct calib *c, double score)
{
    if (c->count == 0) {
        return (double)NAN;
    }
    size_t low = 0; /* the last block that begins at or below the score, if any does */
    for (size_t high = c->count; high - low > 1;) {
        const size_t mid = low + (high - low) / 2;
        if (c->blocks[mid].lo <= score) {
            low = mid;
        } else {
            high = mid;
        }
    }
    const struct calib_block *b = &c->blocks[low];
    if (score <= b->hi || low + 1 == c->count) {
        return b->p;
    }
    return b->p + (b[1].p - b->p) * (score - b->hi) / (b[1].lo - b->hi);
}
