/* The saved form of a sketch.
 *
 *   off  size  field (little-endian)
 *     0     4  "FDS1"
 *     4     1  bits as made, then 1: bits now (signed)
 *     6     4  cells_max
 *    10     2  granule_exp (signed)
 *    12    40  nulls, nans, infs_up, infs_down, lost: 8 each
 *    52    16  min, max (f64)
 *    68     4  cells, then 8 each: key << 42 | count
 *     n     .  three sums (up, down, squares): first word 1, words 1, then 8 each; the first and
 *              the last word of a sum are not 0
 *
 * Same contents, same bytes. Invariants checked by the loader: those of sketch.c and cells.c;
 * extremes stand in the outer cells and are multiples of the granule; sums are not larger than n
 * times the extremes and the variance is not negative, so that no later sum can overflow. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define SAVED_MAGIC "FDS1"

static void save_sum(const uint64_t *limbs, size_t n, struct buf *out)
{
    size_t from = 0;
    while (n > 0 && limbs[n - 1] == 0) {
        n--;
    }
    while (from < n && limbs[from] == 0) {
        from++;
    }
    buf_u8(out, (uint8_t)from);
    buf_u8(out, (uint8_t)(n - from));
    for (size_t i = from; i < n; i++) {
        buf_u64le(out, limbs[i]);
    }
}

void dist_sketch_save(const struct dist_sketch *s, struct buf *out)
{
    buf_add(out, SAVED_MAGIC, 4);
    buf_u8(out, (uint8_t)s->bits_first);
    buf_u8(out, (uint8_t)s->bits);
    buf_u32le(out, s->cells_max);
    buf_u16le(out, (uint16_t)s->granule_exp);
    buf_u64le(out, s->nulls);
    buf_u64le(out, s->nans);
    buf_u64le(out, s->infs_up);
    buf_u64le(out, s->infs_down);
    buf_u64le(out, s->lost);
    buf_f64le(out, s->min);
    buf_f64le(out, s->max);
    buf_u32le(out, s->cells_count);
    for (uint32_t i = 0; i < s->cells_count; i++) {
        buf_u64le(out, s->cells[i]);
    }
    save_sum(s->sum_up, DIST_SUM_LIMBS, out);
    save_sum(s->sum_down, DIST_SUM_LIMBS, out);
    save_sum(s->squares, DIST_SQUARE_LIMBS, out);
}

static bool load_sum(struct rd *r, uint64_t *limbs, size_t max)
{
    size_t from = rd_u8(r);
    size_t n = rd_u8(r);
    if (r->failed || from + n > max || (n == 0 && from > 0)) {
        return false;
    }
    for (size_t i = from; i < from + n; i++) {
        limbs[i] = rd_u64le(r);
    }
    return n == 0 || (!r->failed && limbs[from] != 0 && limbs[from + n - 1] != 0);
}

struct parts {
    uint64_t mantissa;
    unsigned pos;
};

/* |v| = mantissa * 2^(pos - 1074). */
static struct parts parts_of(double v)
{
    uint64_t magnitude = dist_bits_of(v) & ~DIST_SIGN_BIT;
    unsigned exponent = (unsigned)(magnitude >> 52);
    return (struct parts){(magnitude & ((1ull << 52) - 1)) | (uint64_t)(exponent > 0) << 52,
                          exponent - (exponent > 0)};
}

static bool not_above(const uint64_t *a, const uint64_t *b, size_t limbs)
{
    for (size_t i = limbs; i-- > 0;) {
        if (a[i] != b[i]) {
            return a[i] < b[i];
        }
    }
    return true;
}

/* Is each sum at most n times what the extremes allow? */
static bool sums_fit(const struct dist_sketch *s)
{
    uint64_t most[DIST_SUM_LIMBS] = {0};
    uint64_t least[DIST_SUM_LIMBS] = {0};
    uint64_t squares[DIST_SQUARE_LIMBS] = {0};
    struct parts up = parts_of(s->max);
    struct parts down = parts_of(s->min);
    struct parts far = s->max > -s->min ? up : down;
    if (s->max > 0) {
        dist_sum_add_n(most, up.pos, up.mantissa, s->n);
    }
    if (s->min < 0) {
        dist_sum_add_n(least, down.pos, down.mantissa, s->n);
    }
    dist_sum_add_n(squares, 2 * far.pos, (u128)far.mantissa * far.mantissa, s->n);
    return not_above(s->sum_up, most, DIST_SUM_LIMBS) &&
           not_above(s->sum_down, least, DIST_SUM_LIMBS) &&
           not_above(s->squares, squares, DIST_SQUARE_LIMBS);
}

static bool spread_fits(const struct dist_sketch *s)
{
    uint64_t spread[2 * DIST_SUM_LIMBS];
    double mean = dist_sketch_mean(s);
    return dist_sum_spread(s, spread) && mean >= s->min && mean <= s->max;
}

static bool is_multiple(double v, int granule_exp)
{
    struct parts p = parts_of(v);
    return p.mantissa == 0 ||
           (int)p.pos + __builtin_ctzll(p.mantissa) + DIST_EXP_MIN >= granule_exp;
}

static bool empty_fits(const struct dist_sketch *s)
{
    bool zero = true;
    for (size_t i = 0; i < DIST_SQUARE_LIMBS; i++) {
        zero = zero && s->squares[i] == 0;
        zero = zero && (i >= DIST_SUM_LIMBS || (s->sum_up[i] == 0 && s->sum_down[i] == 0));
    }
    return zero && s->cells_count == 0 && s->bits == s->bits_first &&
           s->granule_exp == DIST_GRANULE_NONE && dist_bits_of(s->min) == DIST_INF_BITS &&
           dist_bits_of(s->max) == (DIST_INF_BITS | DIST_SIGN_BIT);
}

static bool extremes_fit(const struct dist_sketch *s)
{
    if (!isfinite(s->min) || !isfinite(s->max) || s->min > s->max ||
        dist_bits_of(s->min) == DIST_SIGN_BIT || dist_bits_of(s->max) == DIST_SIGN_BIT) {
        return false;
    }
    uint32_t first = dist_key_of(dist_bits_of(s->min) & ~DIST_SIGN_BIT, s->min < 0, s->bits);
    uint32_t last = dist_key_of(dist_bits_of(s->max) & ~DIST_SIGN_BIT, s->max < 0, s->bits);
    bool zeros = s->min == 0 && s->max == 0;
    return dist_cell_key(s->cells[0]) == first &&
           dist_cell_key(s->cells[s->cells_count - 1]) == last &&
           zeros == (s->granule_exp == DIST_GRANULE_NONE) && is_multiple(s->min, s->granule_exp) &&
           is_multiple(s->max, s->granule_exp);
}

static bool fits(const struct dist_sketch *s)
{
    struct dist_reader r;
    if (s->granule_exp != DIST_GRANULE_NONE &&
        (s->granule_exp < DIST_EXP_MIN || s->granule_exp > 1023)) {
        return false;
    }
    if (s->n == 0) {
        return empty_fits(s);
    }
    if (!extremes_fit(s) || !sums_fit(s) || !spread_fits(s)) {
        return false;
    }
    dist_reader_init(&r, s, s->bits);
    for (uint32_t i = 0; i < s->cells_count; i++) {
        struct dist_cell c = dist_reader_span(&r, s->cells[i]);
        if (!(c.lo <= c.hi)) {
            return false;
        }
    }
    return true;
}

/* Keys rise, counts are there and add up to at most DIST_N_MAX. */
static bool load_cells(struct dist_sketch *s, struct rd *r, uint32_t count)
{
    uint32_t keys = 2u << (11 + s->bits);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t cell = rd_u64le(r);
        uint32_t key = dist_cell_key(cell);
        uint64_t n = dist_cell_n(cell);
        if (r->failed || key >= keys || n == 0 || n > DIST_N_MAX - s->n ||
            (i > 0 && key <= dist_cell_key(s->cells[i - 1]))) {
            return false;
        }
        s->cells[i] = cell;
        s->cells_count++;
        s->n += n;
    }
    return true;
}

static bool load_head(struct dist_sketch *s, struct mem *m, struct rd *r)
{
    const unsigned char *magic = rd_take(r, 4);
    int first = (int8_t)rd_u8(r);
    int bits = (int8_t)rd_u8(r);
    uint32_t cells_max = rd_u32le(r);
    int16_t granule_exp = (int16_t)rd_u16le(r);
    if (magic == NULL || r->failed || memcmp(magic, SAVED_MAGIC, 4) != 0 || first < DIST_BITS_MIN ||
        first > DIST_BITS_MAX || bits > first || bits < DIST_BITS_BOTTOM ||
        cells_max < DIST_CELLS_MIN || cells_max > DIST_CELLS_MAX) {
        return false;
    }
    dist_sketch_init(s, m, first, cells_max);
    s->bits = (int8_t)bits;
    s->granule_exp = granule_exp;
    s->nulls = rd_u64le(r);
    s->nans = rd_u64le(r);
    s->infs_up = rd_u64le(r);
    s->infs_down = rd_u64le(r);
    s->lost = rd_u64le(r);
    s->min = rd_f64le(r);
    s->max = rd_f64le(r);
    return !r->failed;
}

bool dist_sketch_load(struct dist_sketch *s, struct mem *m, struct rd *r, struct err *e)
{
    dist_sketch_init(s, m, DIST_BITS, DIST_CELLS);
    if (!load_head(s, m, r)) {
        return err_set(e, ERR_CORRUPT, "saved sketch has no valid head");
    }
    uint32_t count = rd_u32le(r);
    bool ok = !r->failed && count <= s->cells_max && count <= rd_left(r) / sizeof *s->cells;
    if (ok && count > 0) {
        size_t cap = size_min(size_max(count, DIST_CELLS_MIN / 2), s->cells_max);
        if (!dist_cells_grow(s, (uint32_t)cap)) {
            dist_sketch_release(s);
            return err_set(e, ERR_NOMEM, "no memory for a sketch of %u cells", count);
        }
    }
    ok = ok && load_cells(s, r, count) && load_sum(r, s->sum_up, DIST_SUM_LIMBS) &&
         load_sum(r, s->sum_down, DIST_SUM_LIMBS) && load_sum(r, s->squares, DIST_SQUARE_LIMBS) &&
         fits(s);
    if (!ok) {
        dist_sketch_release(s);
        return err_set(e, ERR_CORRUPT, "saved sketch of %u cells does not agree with itself",
                       count);
    }
    return true;
}
