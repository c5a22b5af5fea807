/* What the files of this module share: keys of cells, exact sums, cells as a reader sees them. */
#ifndef ENGINES_DIST_DIST_INT_H
#define ENGINES_DIST_DIST_INT_H

#include "engines/dist/dist.h"

#include <math.h>

#define DIST_COUNT_BITS   42
#define DIST_COUNT_MASK   DIST_N_MAX
#define DIST_BITS_BOTTOM  (-11) /* two cells: below 0, and not below 0 */
#define DIST_EXP_MIN      (-1074)
#define DIST_GRANULE_NONE INT16_MAX /* no value but 0 */
#define DIST_SIGN_BIT     (1ull << 63)
#define DIST_INF_BITS     (0x7ffull << 52)

static inline uint64_t dist_bits_of(double v)
{
    uint64_t b = 0;
    memcpy(&b, &v, sizeof b);
    return b;
}

static inline double dist_f64_of(uint64_t bits)
{
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The key of a finite value's cell: rises with the value. Dropping a bit is a shift: the key at
 * bits - 1 is the key at bits >> 1, on both sides of 0. magnitude: bits of v without the sign. */
static inline uint32_t dist_key_of(uint64_t magnitude, bool negative, int bits)
{
    uint32_t half = 1u << (11 + bits);
    uint32_t key = half + (uint32_t)(magnitude >> (52 - bits));
    return negative ? key ^ (2 * half - 1) : key;
}

static inline uint32_t dist_cell_key(uint64_t cell)
{
    return (uint32_t)(cell >> DIST_COUNT_BITS);
}

static inline uint64_t dist_cell_n(uint64_t cell)
{
    return cell & DIST_COUNT_MASK;
}

/* Counts that nobody can make wrap: they stay at the top. */
static inline uint64_t dist_count_add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/* ---- exact sums (sums.c): bit i of a sum weighs 2^(i - 1074), of squares 2^(i - 2148) */

/* Adds v * times for v = mantissa * 2^(pos - 1074). */
void dist_sum_add_n(uint64_t *limbs, unsigned pos, u128 v, uint64_t times);

/* v < 2^64, two limbs and a carry; the caller's sums have room by their size. */
static inline void dist_sum_add(uint64_t *limbs, unsigned pos, uint64_t v)
{
    uint64_t *at = limbs + (pos >> 6);
    u128 shifted = (u128)v << (pos & 63);
    u128 sum = (u128)at[0] + (uint64_t)shifted;
    at[0] = (uint64_t)sum;
    sum = (sum >> 64) + at[1] + (uint64_t)(shifted >> 64);
    at[1] = (uint64_t)sum;
    at += 2;
    for (uint64_t carry = (uint64_t)(sum >> 64); carry != 0; at++) {
        *at += 1;
        carry = *at == 0;
    }
}

/* v is at most 106 bits; with the shift three limbs. The square of a mantissa is so. */
static inline void dist_sum_add_wide(uint64_t *limbs, unsigned pos, u128 v)
{
    unsigned shift = pos & 63;
    uint64_t *at = limbs + (pos >> 6);
    u128 low = v << shift;
    uint64_t top = shift > 0 ? (uint64_t)(v >> (128 - shift)) : 0;
    u128 sum = (u128)at[0] + (uint64_t)low;
    at[0] = (uint64_t)sum;
    sum = (sum >> 64) + at[1] + (uint64_t)(low >> 64);
    at[1] = (uint64_t)sum;
    sum = (sum >> 64) + at[2] + top;
    at[2] = (uint64_t)sum;
    at += 3;
    for (uint64_t carry = (uint64_t)(sum >> 64); carry != 0; at++) {
        *at += 1;
        carry = *at == 0;
    }
}

void dist_sum_merge(uint64_t *to, const uint64_t *from, size_t limbs);
/* n * squares - (up - down)^2, which is n^2 times the variance; false when it is below 0, as it
 * cannot be. */
MUST_USE bool dist_sum_spread(const struct dist_sketch *s, uint64_t *out);

/* ---- cells as they are read (cells.c) */

/* Made once per pass over a sketch. */
struct dist_reader {
    const struct dist_sketch *s;
    uint32_t next; /* index of the next cell */
    int drop;      /* bits of the keys that this pass does not look at: neighbours are joined */
    bool grain;    /* use the granule: 2^granule_exp and its inverse are normal numbers */
    double granule, per_granule, grain_below; /* at and above it every double is a multiple */
};

struct dist_reading {
    uint32_t key; /* without the dropped bits */
    struct dist_cell cell;
};

/* bits: at most those of s. */
void dist_reader_init(struct dist_reader *r, const struct dist_sketch *s, int bits);
/* false at the end. */
MUST_USE bool dist_reader_next(struct dist_reader *r, struct dist_reading *out);
/* One cell with room for the values that the key allows, the granule and extremes applied; hi < lo
 * when there is none. */
struct dist_cell dist_reader_span(const struct dist_reader *r, uint64_t cell);

/* Joins neighbouring cells in place; returns how many are left. */
uint32_t dist_cells_coarsen(uint64_t *cells, uint32_t n);
/* Makes room for `cap` cells: new memory in place of the old. false: as it was. */
MUST_USE bool dist_cells_grow(struct dist_sketch *s, uint32_t cap);

/* ---- ranks (values.c) and order (sort.c) */

/* Values in rising order, of one of two kinds, read from the least up. */
struct dist_ranks {
    const double *sorted;          /* or */
    const struct dist_atom *atoms; /* with `below` values before atom `next` */
    size_t next;
    uint64_t below;
};
/* numpy's linear quantile of n values; ranks must not fall from call to call. NaN when n is 0. */
double dist_ranks_quantile(struct dist_ranks *r, uint64_t n, double q);

void dist_sort_f64(double *v, size_t n);
/* The indexes in order[0..n-1] by rising key (falling when so asked), then by index. */
void dist_sort_order(const double *key, uint32_t *order, uint32_t n, bool falling);

/* numpy's interpolation between two neighbours, t in [0, 1). */
static inline double dist_lerp(double a, double b, double t)
{
    return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

/* ---- open.c: SpaceSaving and HyperLogLog of the values that are not counted by name */

MUST_USE bool dist_open_add(struct dist_open **o, struct mem *m, struct str value, uint64_t times);
/* Nothing is merged when memory is short. */
MUST_USE bool dist_open_merge(struct dist_open **to, struct mem *m, const struct dist_open *from);
void dist_open_free(struct dist_open *o, struct mem *m); /* NULL is allowed */
double dist_open_distinct(const struct dist_open *o);
uint32_t dist_open_heavy(const struct dist_open *o, struct dist_heavy *out, uint32_t max);
void dist_open_save(const struct dist_open *o, struct buf *out);
/* total: what the counters may sum up to at most. */
MUST_USE bool dist_open_load(struct dist_open **o, struct mem *m, struct rd *r, uint64_t total,
                             struct err *e);

/* A value as it is known: itself, or its beginning and a hash when it is long. */
struct dist_name {
    char text[DIST_VALUE_BYTES];
};
struct str dist_name_of(struct str value, struct dist_name *room);

#endif
