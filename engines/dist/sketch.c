/* Log-linear cells with exact counts: adding, merging, forgetting.
 *
 * Why: a window of any number of values must become a few hundred integers that can be compared,
 * merged and stored, without a random choice anywhere, so that threads, restarts and the same
 * stream in another order give the same bits.
 *
 * Cells are one sorted array of words, key in the upper 22 bits and count in the lower 42. Finding
 * the cell of a value must not search: hints[key & mask] says where a key of these low bits was
 * last seen; the word there proves it. Neighbouring keys have different hints, so that all cells
 * of a feature which spans few powers of two have one each. An insertion moves what is above, and
 * hints that are then wrong are found out and mended one by one.
 *
 * Invariants: keys rise strictly; no count is 0; counts add up to n; bits is the largest number at
 * which the cells of all values are at most cells_max; a hint of a sketch with cells is below
 * cells_cap. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define CELLS_FIRST 32

_Static_assert(12 + DIST_BITS_MAX + DIST_COUNT_BITS == 64, "a cell is one word");
_Static_assert(DIST_CELLS_MAX <= 1 << 15, "a hint is 16 bits");
_Static_assert(DIST_CELLS <= DIST_CELLS_MAX && DIST_CELLS >= DIST_CELLS_MIN, "within bounds");

void dist_sketch_init(struct dist_sketch *s, struct mem *m, int bits, uint32_t cells_max)
{
    ASSERT(bits >= DIST_BITS_MIN && bits <= DIST_BITS_MAX);
    ASSERT(cells_max >= DIST_CELLS_MIN && cells_max <= DIST_CELLS_MAX);
    *s = (struct dist_sketch){.mem = m,
                              .cells_max = cells_max,
                              .granule_exp = DIST_GRANULE_NONE,
                              .bits = (int8_t)bits,
                              .bits_first = (int8_t)bits,
                              .min = (double)INFINITY,
                              .max = -(double)INFINITY};
}

void dist_sketch_release(struct dist_sketch *s)
{
    mem_give(s->mem, s->cells, s->cells_cap * sizeof *s->cells);
    mem_give(s->mem, s->hints, s->hints == NULL ? 0 : (s->hints_mask + 1) * sizeof *s->hints);
    dist_sketch_init(s, s->mem, s->bits_first, s->cells_max);
}

void dist_sketch_clear(struct dist_sketch *s)
{
    struct dist_sketch kept = *s;
    dist_sketch_init(s, s->mem, s->bits_first, s->cells_max);
    s->cells = kept.cells;
    s->hints = kept.hints;
    s->cells_cap = kept.cells_cap;
    s->hints_mask = kept.hints_mask;
}

/* The first cell whose key is not below. */
static uint32_t lower_bound(const struct dist_sketch *s, uint32_t key)
{
    uint32_t from = 0;
    uint32_t n = s->cells_count;
    while (n > 0) {
        uint32_t half = n / 2;
        bool right = dist_cell_key(s->cells[from + half]) < key;
        from = right ? from + half + 1 : from;
        n = right ? n - half - 1 : half;
    }
    return from;
}

/* The cell of v, which its hint did not know; made when new. NULL without memory. */
static __attribute__((noinline)) uint64_t *cell_slow(struct dist_sketch *s, uint64_t magnitude,
                                                     bool negative)
{
    for (;;) {
        uint32_t key = dist_key_of(magnitude, negative, s->bits);
        uint32_t at = lower_bound(s, key);
        if (at == s->cells_count || dist_cell_key(s->cells[at]) != key) {
            if (s->cells_count == s->cells_max) {
                s->cells_count = dist_cells_coarsen(s->cells, s->cells_count);
                s->bits--;
                continue;
            }
            if (s->cells_count == s->cells_cap) {
                size_t cap = size_max(CELLS_FIRST, 2 * (size_t)s->cells_cap);
                if (!dist_cells_grow(s, (uint32_t)size_min(cap, s->cells_max))) {
                    return NULL;
                }
            }
            memmove(s->cells + at + 1, s->cells + at, (s->cells_count - at) * sizeof *s->cells);
            s->cells[at] = (uint64_t)key << DIST_COUNT_BITS;
            s->cells_count++;
        }
        s->hints[key & s->hints_mask] = (uint16_t)at;
        return &s->cells[at];
    }
}

static inline uint64_t *cell_of(struct dist_sketch *s, uint64_t magnitude, bool negative)
{
    if (s->cells_count > 0) {
        uint32_t key = dist_key_of(magnitude, negative, s->bits);
        uint32_t at = s->hints[key & s->hints_mask];
        if (at < s->cells_count && dist_cell_key(s->cells[at]) == key) {
            return &s->cells[at];
        }
    }
    return cell_slow(s, magnitude, negative);
}

/* NaN and infinities. */
static __attribute__((noinline)) bool add_odd(struct dist_sketch *s, double v, uint64_t times)
{
    uint64_t *count = isnan(v) ? &s->nans : v > 0 ? &s->infs_up : &s->infs_down;
    *count = dist_count_add(*count, times);
    return true;
}

static __attribute__((noinline)) bool lose(struct dist_sketch *s, uint64_t times)
{
    s->lost = dist_count_add(s->lost, times);
    return false;
}

/* Extremes, granule and the two sums of v = mantissa * 2^(pos - 1074), not 0. */
static inline void note(struct dist_sketch *s, uint64_t mantissa, unsigned pos)
{
    int granule = (int)pos + __builtin_ctzll(mantissa) + DIST_EXP_MIN;
    s->granule_exp = (int16_t)(granule < s->granule_exp ? granule : s->granule_exp);
}

bool dist_sketch_add(struct dist_sketch *s, double v)
{
    uint64_t bits = dist_bits_of(v);
    uint64_t magnitude = bits & ~DIST_SIGN_BIT;
    bool negative = bits != magnitude && magnitude != 0;
    if (__builtin_expect(magnitude >= DIST_INF_BITS, 0)) {
        return add_odd(s, v, 1);
    }
    if (__builtin_expect(s->n == DIST_N_MAX, 0)) {
        return lose(s, 1);
    }
    uint64_t *cell = cell_of(s, magnitude, negative);
    if (__builtin_expect(cell == NULL, 0)) {
        return lose(s, 1);
    }
    ++*cell;
    s->n++;
    v += 0.0; /* no -0 among the extremes */
    s->min = v < s->min ? v : s->min;
    s->max = v > s->max ? v : s->max;
    if (magnitude != 0) {
        unsigned exponent = (unsigned)(magnitude >> 52);
        uint64_t mantissa = (magnitude & ((1ull << 52) - 1)) | (uint64_t)(exponent > 0) << 52;
        unsigned pos = exponent - (exponent > 0);
        note(s, mantissa, pos);
        dist_sum_add(negative ? s->sum_down : s->sum_up, pos, mantissa);
        dist_sum_add_wide(s->squares, 2 * pos, (u128)mantissa * mantissa);
    }
    return true;
}

bool dist_sketch_add_n(struct dist_sketch *s, double v, uint64_t times)
{
    uint64_t magnitude = dist_bits_of(v) & ~DIST_SIGN_BIT;
    if (times == 0) {
        return true;
    }
    if (magnitude >= DIST_INF_BITS) {
        return add_odd(s, v, times);
    }
    if (times > DIST_N_MAX - s->n) {
        return lose(s, times);
    }
    uint64_t *cell = cell_of(s, magnitude, v < 0);
    if (cell == NULL) {
        return lose(s, times);
    }
    *cell += times;
    s->n += times;
    v += 0.0;
    s->min = v < s->min ? v : s->min;
    s->max = v > s->max ? v : s->max;
    if (magnitude != 0) {
        unsigned exponent = (unsigned)(magnitude >> 52);
        uint64_t mantissa = (magnitude & ((1ull << 52) - 1)) | (uint64_t)(exponent > 0) << 52;
        unsigned pos = exponent - (exponent > 0);
        note(s, mantissa, pos);
        dist_sum_add_n(v < 0 ? s->sum_down : s->sum_up, pos, mantissa, times);
        dist_sum_add_n(s->squares, 2 * pos, (u128)mantissa * mantissa, times);
    }
    return true;
}

/* The next cell of two sorted lists whose keys are shifted to the same bits; false at the end. */
struct merge {
    const struct dist_sketch *side[2];
    uint32_t next[2];
    int drop[2];
};

static bool merge_next(struct merge *m, uint32_t *key, uint64_t *n)
{
    bool any = false;
    for (int i = 0; i < 2; i++) {
        if (m->next[i] < m->side[i]->cells_count) {
            uint32_t k = dist_cell_key(m->side[i]->cells[m->next[i]]) >> m->drop[i];
            *key = !any || k < *key ? k : *key;
            any = true;
        }
    }
    *n = 0;
    for (int i = 0; i < 2; i++) {
        const struct dist_sketch *s = m->side[i];
        while (m->next[i] < s->cells_count &&
               dist_cell_key(s->cells[m->next[i]]) >> m->drop[i] == *key) {
            *n += dist_cell_n(s->cells[m->next[i]++]);
        }
    }
    return any;
}

static struct merge merge_of(const struct dist_sketch *a, const struct dist_sketch *b, int bits)
{
    return (struct merge){.side = {a, b}, .drop = {a->bits - bits, b->bits - bits}};
}

static uint32_t cells_together(const struct dist_sketch *a, const struct dist_sketch *b, int bits)
{
    struct merge m = merge_of(a, b, bits);
    uint32_t count = 0;
    uint32_t key;
    uint64_t n;
    while (merge_next(&m, &key, &n)) {
        count++;
    }
    return count;
}

/* All counts of `from` into cells that are there already, bits being equal. */
static void add_in_place(struct dist_sketch *to, const struct dist_sketch *from)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < from->cells_count; i++) {
        while (dist_cell_key(to->cells[at]) != dist_cell_key(from->cells[i])) {
            at++;
        }
        to->cells[at] += dist_cell_n(from->cells[i]);
    }
}

static bool merge_cells(struct dist_sketch *to, const struct dist_sketch *from, struct err *e)
{
    int bits = to->bits < from->bits ? to->bits : from->bits;
    uint32_t count = cells_together(to, from, bits);
    while (count > to->cells_max) {
        count = cells_together(to, from, --bits);
    }
    if (count == to->cells_count && bits == to->bits && bits == from->bits) {
        add_in_place(to, from);
        return true;
    }
    struct dist_sketch joint = {.mem = to->mem, .cells_max = to->cells_max};
    if (!dist_cells_grow(&joint, (uint32_t)size_min(size_max(count, CELLS_FIRST), to->cells_max))) {
        return err_set(e, ERR_NOMEM, "no memory for a sketch of %u cells", count);
    }
    struct merge m = merge_of(to, from, bits);
    uint32_t key;
    uint64_t n;
    while (merge_next(&m, &key, &n)) {
        joint.cells[joint.cells_count++] = (uint64_t)key << DIST_COUNT_BITS | n;
    }
    ASSERT(joint.cells_count == count);
    mem_give(to->mem, to->cells, to->cells_cap * sizeof *to->cells);
    mem_give(to->mem, to->hints, to->hints == NULL ? 0 : (to->hints_mask + 1) * sizeof *to->hints);
    to->cells = joint.cells;
    to->hints = joint.hints;
    to->cells_count = count;
    to->cells_cap = joint.cells_cap;
    to->hints_mask = joint.hints_mask;
    to->bits = (int8_t)bits;
    return true;
}

bool dist_sketch_merge(struct dist_sketch *to, const struct dist_sketch *from, struct err *e)
{
    if (to->bits_first != from->bits_first || to->cells_max != from->cells_max) {
        return err_set(e, ERR_INPUT, "expected a sketch of %d bits and %u cells, found %d and %u",
                       to->bits_first, to->cells_max, from->bits_first, from->cells_max);
    }
    if (from->n > DIST_N_MAX - to->n) {
        return err_set(e, ERR_LIMIT, "a sketch holds at most 2^%d values", DIST_COUNT_BITS);
    }
    if (from->n > 0 && !merge_cells(to, from, e)) {
        return false;
    }
    to->n += from->n;
    to->nulls = dist_count_add(to->nulls, from->nulls);
    to->nans = dist_count_add(to->nans, from->nans);
    to->infs_up = dist_count_add(to->infs_up, from->infs_up);
    to->infs_down = dist_count_add(to->infs_down, from->infs_down);
    to->lost = dist_count_add(to->lost, from->lost);
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    to->granule_exp = from->granule_exp < to->granule_exp ? from->granule_exp : to->granule_exp;
    dist_sum_merge(to->sum_up, from->sum_up, DIST_SUM_LIMBS);
    dist_sum_merge(to->sum_down, from->sum_down, DIST_SUM_LIMBS);
    dist_sum_merge(to->squares, from->squares, DIST_SQUARE_LIMBS);
    return true;
}
