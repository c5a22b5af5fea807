/* Integers as residuals: what is left of them after a common unit, the neighbour's integers or the
 * integers before are taken away.
 *
 *     u8      meaning (col_values.c), COL_UNIT, COL_LAST
 *     zigzag  first integer (with COL_REF: its distance to the neighbour's); least one with order 0
 *     varint  unit, with COL_UNIT
 *     zigzag  last q, with COL_LAST: order 1 can then be read from the end
 *     zigzag  first step in units, with order 2
 *     residuals of q (order 0), of its differences (1), of their differences (2), where
 *     integer = first + unit * q (+ the neighbour's); a column of order k has n - k residuals
 *
 * Order and neighbour are chosen by sampling: pairs of residuals half a column apart say how far
 * apart residuals lie, in bits, without having to know where their middle is.
 *
 * Invariant: all arithmetic wraps modulo 2^64, so whatever integers go in come out. */
#include "engines/tsdb/col_priv_int.h"

#define PAIRS_MAX 48
#define ORDER_MAX 2
#define LAST_FROM 64 /* shorter columns are not worth their last sum */

/* Greatest unit of all distances from the first integer; 1 = none. */
static uint64_t find_unit(const int64_t *m, uint32_t n, bool wraps)
{
    uint64_t all = 0;
    for (uint32_t i = 1; i < n; i++) {
        all |= (uint64_t)m[i] - (uint64_t)m[0];
    }
    if (all == 0) {
        return 1;
    }
    uint64_t two = (uint64_t)1 << __builtin_ctzll(all);
    if (wraps) {
        return two <= (uint64_t)INT64_MAX ? two : 1;
    }
    /* Every step is a multiple of `two`, so the search is over when nothing more is common. */
    uint64_t unit = 0;
    for (uint32_t i = 1; i < n && unit != two; i++) {
        int64_t step = m[i] - m[i - 1];
        uint64_t b = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
        if (b == 0 || (unit != 0 && b % unit == 0)) {
            continue;
        }
        while (b != 0) {
            uint64_t rest = unit % b;
            unit = b;
            b = rest;
        }
    }
    return unit;
}

static unsigned width_of(int64_t d)
{
    return col_bitlen(d < 0 ? 0 - (uint64_t)d : (uint64_t)d);
}

/* Bits of the distances between residuals of each order, half a column apart; order k needs k
 * values before the first. Returns the number of pairs, which may be 0. */
static uint32_t spread(const int64_t *q, uint32_t n, uint32_t bits[ORDER_MAX + 1])
{
    uint32_t half = n > ORDER_MAX ? (n - ORDER_MAX) / 2 : 0;
    uint32_t pairs = half < PAIRS_MAX ? half : PAIRS_MAX;
    uint32_t b[ORDER_MAX + 1] = {0};
    uint32_t step = pairs > 0 ? (half << 8) / pairs : 0; /* in 1/256; half is below 2^15 */
    for (uint32_t i = 0; i < pairs; i++) {
        const int64_t *x = q + ORDER_MAX + (i * step >> 8);
        const int64_t *y = x + half;
        int64_t x1 = col_sub(x[0], x[-1]);
        int64_t y1 = col_sub(y[0], y[-1]);
        int64_t x2 = col_sub(x1, col_sub(x[-1], x[-2]));
        int64_t y2 = col_sub(y1, col_sub(y[-1], y[-2]));
        b[0] += width_of(col_sub(x[0], y[0]));
        b[1] += width_of(col_sub(x1, y1));
        b[2] += width_of(col_sub(x2, y2));
    }
    memcpy(bits, b, sizeof b);
    return pairs;
}

/* A column of two or three values is a line when it is any. Differences of noise are wider than the
 * noise, second ones more so: chance must not choose them. */
static unsigned best_order(const int64_t *q, uint32_t n, uint32_t *bits)
{
    uint32_t b[ORDER_MAX + 1];
    uint32_t pairs = spread(q, n, b);
    unsigned best = 0;
    if (pairs == 0) {
        *bits = UINT32_MAX;
        return n > 1;
    }
    b[1] += b[1] > 0 ? (pairs + 3) / 4 : 0;
    b[2] += (pairs * 3 + 3) / 4;
    for (unsigned order = 1; order <= ORDER_MAX; order++) {
        best = b[order] < b[best] ? order : best;
    }
    *bits = b[best];
    return best;
}

static void differences(int64_t *q, uint32_t n, unsigned order)
{
    for (unsigned k = 0; k < order; k++) {
        for (uint32_t i = n - 1; i > k; i--) {
            q[i] = col_sub(q[i], q[i - 1]);
        }
    }
}

/* q = (m - m[0]) / unit */
static void divide(int64_t *q, const int64_t *m, uint32_t n, uint64_t unit)
{
    if ((unit & (unit - 1)) == 0) {
        int shift = __builtin_ctzll(unit);
        for (uint32_t i = 0; i < n; i++) {
            q[i] = col_sub(m[i], m[0]) >> shift;
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        q[i] = (m[i] - m[0]) / (int64_t)unit;
    }
}

/* Takes the least away from all and returns it: it goes into the first integer, and the residuals
 * then begin at a base that costs one byte. */
static int64_t from_least(int64_t *q, uint32_t n)
{
    int64_t least = q[0];
    for (uint32_t i = 1; i < n; i++) {
        least = i64_min(least, q[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        q[i] = col_sub(q[i], least);
    }
    return least;
}

/* A varint before the bytes [from, end), which move; their new end. */
static unsigned char *put_before(unsigned char *from, unsigned char *end, uint64_t v)
{
    unsigned char text[COL_VARINT_BYTES_MAX];
    const size_t n = (size_t)(col_put_varint(text, v) - text);
    memmove(from + n, from, (size_t)(end - from));
    memcpy(from, text, n);
    return end + n;
}

unsigned char *col_steps_write(struct col_scratch *s, uint32_t n, unsigned meaning, bool wraps,
                               bool ref, unsigned char *to, unsigned *first)
{
    int64_t *m = s->ints[0];
    int64_t *q = s->ints[2];
    uint32_t bits;
    uint64_t unit = find_unit(m, n, wraps);
    divide(q, m, n, unit);
    unsigned order = best_order(q, n, &bits);
    int64_t start = m[0];
    *first = COL_INTS;
    if (ref && bits > 0) {
        int64_t *d = s->ints[1];
        uint32_t ref_bits;
        for (uint32_t i = 0; i < n; i++) {
            d[i] = col_sub(m[i], d[i]);
        }
        int64_t d0 = d[0];
        for (uint32_t i = 0; i < n; i++) {
            d[i] = col_sub(d[i], d0);
        }
        unsigned ref_order = best_order(d, n, &ref_bits);
        if (ref_bits < bits) {
            q = d;
            order = ref_order;
            unit = 1;
            start = d0;
            *first |= COL_REF;
        }
    }
    if (order == 0) {
        start = col_add(start, (int64_t)(unit * (uint64_t)from_least(q, n)));
    }
    unsigned char *second = to++;
    *second = (unsigned char)(meaning | (unit > 1 ? COL_UNIT : 0));
    to = col_put_varint(to, col_zigzag(start));
    if (unit > 1) {
        to = col_put_varint(to, unit);
    }
    const int64_t last = q[n - 1];
    differences(q, n, order);
    if (order == 2) {
        to = col_put_varint(to, col_zigzag(q[1]));
    }
    unsigned coder;
    unsigned char *end = col_resid_write(s, q + order, n - order, to, &coder);
    *first |= order << COL_ORDER_SHIFT | coder;
    if (order == 1 && n >= LAST_FROM && (coder >> COL_CODER_SHIFT & 3) != COL_SYMBOLS) {
        *second |= COL_LAST;
        end = put_before(to, end, col_zigzag(last));
    }
    return end;
}

COL_CLONES static void multiply(uint64_t *x, uint32_t n, uint64_t by)
{
    for (uint32_t i = 0; i < n; i++) {
        x[i] *= by;
    }
}

/* Running sums of start and x[0..n), within the slack. Four at a time: each vector is summed in two
 * steps, and only the carry waits for the vector before; two halves at once, so that it waits less.
 * The second half then still lacks the total of the first. */
COL_CLONES static void running_sums(uint64_t *x, uint32_t n, uint64_t start)
{
    const uint32_t half = ((n + 1) / 2 + 3) & ~3u; /* the other half is not longer */
    const col_v4u none = {0};
    col_v4u a = {start, start, start, start};
    col_v4u b = none;
    uint64_t *y = x + half;
    for (uint32_t i = 0; i < half; i += 4) {
        col_v4u p = *(const col_v4u *)(x + i);
        col_v4u q = *(const col_v4u *)(y + i);
        p += __builtin_shufflevector(none, p, 0, 4, 5, 6);
        q += __builtin_shufflevector(none, q, 0, 4, 5, 6);
        a += p + __builtin_shufflevector(none, p, 0, 1, 4, 5);
        b += q + __builtin_shufflevector(none, q, 0, 1, 4, 5);
        *(col_v4u *)(x + i) = a;
        *(col_v4u *)(y + i) = b;
        a = __builtin_shufflevector(a, a, 3, 3, 3, 3);
        b = __builtin_shufflevector(b, b, 3, 3, 3, 3);
    }
    for (uint32_t i = 0; i < half; i += 4) {
        *(col_v4u *)(y + i) += a;
    }
}

COL_CLONES static void scale_up(uint64_t *x, uint32_t n, uint64_t start, uint64_t unit)
{
    for (uint32_t i = 0; i < n; i++) {
        x[i] = start + unit * x[i];
    }
}

COL_CLONES static uint64_t sum_of(const uint64_t *x, uint32_t n)
{
    col_v4u sum = {0};
    uint64_t rest = 0;
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        sum += *(const col_v4u *)(x + i);
    }
    for (; i < n; i++) {
        rest += x[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3] + rest;
}

/* What the bytes before the residuals say. */
struct head {
    unsigned order;
    bool has_last;
    uint64_t start, unit, last;
    int64_t step; /* the first, of order 2 */
};

static bool head_read(struct rd *in, unsigned first, unsigned meaning, uint32_t n, struct head *h,
                      struct err *e)
{
    *h = (struct head){.order = (first >> COL_ORDER_SHIFT) & 3,
                       .has_last = (meaning & COL_LAST) != 0};
    h->start = (uint64_t)col_unzigzag(col_get_varint(in));
    h->unit = (meaning & COL_UNIT) != 0 ? col_get_varint(in) : 1;
    h->last = h->has_last ? (uint64_t)col_unzigzag(col_get_varint(in)) : 0;
    if (in->failed || h->order > ORDER_MAX || h->order >= n || h->unit == 0 ||
        (h->has_last && h->order != 1)) {
        return col_corrupt(e, "head");
    }
    h->step = h->order == 2 ? col_unzigzag(col_get_varint(in)) : 0;
    return true;
}

/* Order 1 from the end: the last sum less all differences behind lo is the one at lo. */
static bool read_tail(struct col_scratch *s, struct rd *in, unsigned first, const struct head *h,
                      uint32_t n, uint32_t lo, uint32_t hi, int64_t **m, struct err *e)
{
    int64_t *r;
    if (!col_resid_read(s, in, first, n - 1, lo, n - 1, s->ints[0] + 1, &r, e)) {
        return false;
    }
    uint64_t *x = (uint64_t *)r - 1; /* q[lo], and the differences behind it */
    const uint64_t at_lo = h->last - sum_of(x + 1, n - 1 - lo);
    x[0] = 0;
    if (h->unit != 1) {
        multiply(x, hi - lo, h->unit);
    }
    running_sums(x, hi - lo, h->start + h->unit * at_lo);
    *m = (int64_t *)x;
    return true;
}

/* Orders 1 and 2 from the first one on: q[0] is 0, q[1] of order 2 the first step. */
static bool read_sums(struct col_scratch *s, struct rd *in, unsigned first, const struct head *h,
                      uint32_t n, uint32_t hi, struct err *e)
{
    int64_t *q = s->ints[0];
    int64_t *r;
    const uint32_t need = hi > h->order ? hi - h->order : 0;
    if (!col_resid_read(s, in, first, n - h->order, 0, need, q + h->order, &r, e)) {
        return false;
    }
    q[0] = 0;
    if (h->order == 2) {
        q[1] = h->step;
        running_sums((uint64_t *)q, hi, 0);
    }
    if (h->unit != 1) {
        multiply((uint64_t *)q, hi, h->unit);
    }
    running_sums((uint64_t *)q, hi, h->start);
    return true;
}

bool col_steps_read(struct col_scratch *s, struct rd *in, unsigned first, unsigned meaning,
                    uint32_t n, uint32_t lo, uint32_t hi, int64_t **m, struct err *e)
{
    struct head h;
    ASSERT(lo < hi && hi <= n);
    if (!head_read(in, first, meaning, n, &h, e)) {
        return false;
    }
    if (h.order == 0) {
        if (!col_resid_read(s, in, first, n, lo, hi, s->ints[0], m, e)) {
            return false;
        }
        scale_up((uint64_t *)*m, hi - lo, h.start, h.unit);
    } else if (h.has_last && n - lo < hi) {
        if (!read_tail(s, in, first, &h, n, lo, hi, m, e)) {
            return false;
        }
    } else {
        if (!read_sums(s, in, first, &h, n, hi, e)) {
            return false;
        }
        *m = s->ints[0] + lo;
    }
    return true;
}
