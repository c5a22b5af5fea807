/* The cells of a sketch as a reader sees them: between which values their contents are.
 *
 * A key stands for all doubles of one sign whose exponent and first mantissa bits are the same.
 * Three things that are known exactly narrow this down: the least and the largest value of the
 * sketch (alone in a cell, they are its value), and the granule. Whole numbers below 2^(bits + 1)
 * and values that are all multiples of a power of two thereby stand in atoms, cells with room for
 * one value, and everything that is computed from atoms is exact.
 *
 * Invariant: a cell of a sketch that was made by adding has lo <= hi; for bytes from outside the
 * loader asks. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#include <float.h>

void dist_reader_init(struct dist_reader *r, const struct dist_sketch *s, int bits)
{
    ASSERT(bits <= s->bits && bits >= DIST_BITS_BOTTOM);
    *r = (struct dist_reader){.s = s, .drop = s->bits - bits};
    if (s->granule_exp != DIST_GRANULE_NONE && s->granule_exp >= -1021) {
        r->grain = true;
        r->granule = ldexp(1, s->granule_exp);
        r->per_granule = ldexp(1, -s->granule_exp);
        r->grain_below = ldexp(1, s->granule_exp + 53); /* +inf above 2^970: all are below it */
    }
}

/* The largest multiple of the granule that is not above x >= 0. (The lower end of a cell needs
 * none: it is one, when the cell is not wider than the granule and holds one at all.) */
static double grain_down(const struct dist_reader *r, double x)
{
    if (!r->grain || x >= r->grain_below) {
        return x;
    }
    return floor(x * r->per_granule) * r->granule;
}

struct dist_cell dist_reader_span(const struct dist_reader *r, uint64_t cell)
{
    const struct dist_sketch *s = r->s;
    uint32_t key = dist_cell_key(cell);
    uint32_t half = 1u << (11 + s->bits);
    bool negative = key < half;
    uint64_t idx = negative ? half - 1 - key : key - half;
    int shift = 52 - s->bits;
    uint64_t first = idx << shift;
    uint64_t last = first + ((1ull << shift) - 1);
    last = last < DIST_INF_BITS ? last : DIST_INF_BITS - 1;
    double low = dist_f64_of(first);
    double high = grain_down(r, dist_f64_of(last));
    struct dist_cell c = {
        .lo = negative ? -high : low, .hi = negative ? -low : high, .n = dist_cell_n(cell)};
    if (c.lo <= s->min) {
        c.lo = s->min;
        c.hi = c.n == 1 ? s->min : c.hi;
    }
    if (c.hi >= s->max) {
        c.hi = s->max;
        c.lo = c.n == 1 ? s->max : c.lo;
    }
    return c;
}

bool dist_reader_next(struct dist_reader *r, struct dist_reading *out)
{
    const struct dist_sketch *s = r->s;
    if (r->next == s->cells_count) {
        return false;
    }
    out->key = dist_cell_key(s->cells[r->next]) >> r->drop;
    out->cell = dist_reader_span(r, s->cells[r->next++]);
    while (r->next < s->cells_count && dist_cell_key(s->cells[r->next]) >> r->drop == out->key) {
        struct dist_cell more = dist_reader_span(r, s->cells[r->next++]);
        out->cell.hi = more.hi;
        out->cell.n += more.n;
    }
    return true;
}

struct dist_cell dist_sketch_cell(const struct dist_sketch *s, uint32_t idx)
{
    struct dist_reader r;
    ASSERT(idx < s->cells_count);
    dist_reader_init(&r, s, s->bits);
    return dist_reader_span(&r, s->cells[idx]);
}

uint32_t dist_cells_coarsen(uint64_t *cells, uint32_t n)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t key = dist_cell_key(cells[i]) >> 1;
        if (left > 0 && dist_cell_key(cells[left - 1]) == key) {
            cells[left - 1] += dist_cell_n(cells[i]);
        } else {
            cells[left++] = (uint64_t)key << DIST_COUNT_BITS | dist_cell_n(cells[i]);
        }
    }
    return left;
}

bool dist_cells_grow(struct dist_sketch *s, uint32_t cap)
{
    ASSERT(cap > s->cells_cap && cap <= s->cells_max);
    uint32_t hints = 1;
    while (hints < 2 * cap) {
        hints *= 2;
    }
    uint64_t *cells = mem_take(s->mem, cap * sizeof *cells);
    uint16_t *at = mem_take(s->mem, hints * sizeof *at);
    if (cells == NULL || at == NULL) {
        mem_give(s->mem, cells, cap * sizeof *cells);
        mem_give(s->mem, at, hints * sizeof *at);
        return false;
    }
    if (s->cells_count > 0) {
        memcpy(cells, s->cells, s->cells_count * sizeof *cells);
    }
    mem_give(s->mem, s->cells, s->cells_cap * sizeof *cells);
    mem_give(s->mem, s->hints, s->hints == NULL ? 0 : (s->hints_mask + 1) * sizeof *at);
    s->cells = cells;
    s->hints = at;
    s->cells_cap = cap;
    s->hints_mask = hints - 1;
    return true;
}

/* The value at rank k of n, 0 the least. */
static double at_rank(const struct dist_sketch *s, uint64_t k)
{
    if (k == 0 || k + 1 == s->n) {
        return k == 0 ? s->min : s->max;
    }
    uint32_t i = 0;
    for (uint64_t below = 0; i + 1 < s->cells_count; i++) {
        below += dist_cell_n(s->cells[i]);
        if (below > k) {
            break;
        }
    }
    struct dist_cell c = dist_sketch_cell(s, i);
    return c.lo + (c.hi - c.lo) / 2;
}

double dist_sketch_quantile(const struct dist_sketch *s, double q)
{
    if (s->n == 0 || isnan(q)) {
        return (double)NAN;
    }
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    double rank = (double)(s->n - 1) * q;
    uint64_t k = (uint64_t)rank;
    double a = at_rank(s, k);
    double t = rank - (double)k;
    return t > 0 ? dist_lerp(a, at_rank(s, k + 1), t) : a;
}

double dist_sketch_share_below(const struct dist_sketch *s, double v)
{
    if (s->n == 0 || isnan(v)) {
        return (double)NAN;
    }
    struct dist_reader r;
    struct dist_reading x;
    double below = 0;
    dist_reader_init(&r, s, s->bits);
    while (dist_reader_next(&r, &x) && x.cell.lo <= v) {
        double part = v >= x.cell.hi ? 1 : (v - x.cell.lo) / (x.cell.hi - x.cell.lo);
        below += part * (double)x.cell.n;
    }
    return below / (double)s->n;
}
