/* Exact sums of doubles and of their squares.
 *
 * Why: the mean and deviation of a window must not depend on how the stream was split among
 * threads, and a deviation from floating sums of squares is noise where values are large and close
 * (identifiers, times). Every finite double is an integer times 2^-1074, and every square one times
 * 2^-2148; they are added as such. A sum takes 34 words, that of the squares 67, of which a
 * feature's range touches three to six.
 *
 * Positive and negative values have their own sums, so that a sum that crosses 0 does not turn
 * over all words of a two's complement each time.
 *
 * Invariant: no carry leaves a sum: DIST_N_MAX values of 2^1024 need 2098 + 42 bits, their squares
 * 4196 + 42. Source: Neal, Fast exact summation using small and large superaccumulators, 2015,
 * section 3 (arXiv 1505.05571). */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

_Static_assert(DIST_SUM_LIMBS * 64 >= 2098 + DIST_COUNT_BITS, "no carry leaves a sum");
_Static_assert(DIST_SQUARE_LIMBS * 64 >= 4196 + DIST_COUNT_BITS,
               "no carry leaves a sum of squares");

#define SPREAD_LIMBS (2 * DIST_SUM_LIMBS)
_Static_assert(SPREAD_LIMBS > DIST_SQUARE_LIMBS, "n * squares has one limb more");

/* Adds at `pos` what may be empty there: words beyond the end are not touched. */
static void add_part(uint64_t *limbs, unsigned pos, u128 v)
{
    if (v != 0) {
        dist_sum_add_wide(limbs, pos, v);
    }
}

void dist_sum_add_n(uint64_t *limbs, unsigned pos, u128 v, uint64_t times)
{
    add_part(limbs, pos, (u128)(uint64_t)v * times);
    add_part(limbs, pos + 64, (u128)(uint64_t)(v >> 64) * times);
}

void dist_sum_merge(uint64_t *to, const uint64_t *from, size_t limbs)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < limbs; i++) {
        u128 sum = (u128)to[i] + from[i] + carry;
        to[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    ASSERT(carry == 0);
}

/* |a - b|; true when a < b. */
static bool difference(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t limbs)
{
    bool below = false;
    for (size_t i = limbs; i-- > 0;) {
        if (a[i] != b[i]) {
            below = a[i] < b[i];
            break;
        }
    }
    const uint64_t *high = below ? b : a;
    const uint64_t *low = below ? a : b;
    uint64_t borrow = 0;
    for (size_t i = 0; i < limbs; i++) {
        u128 d = (u128)high[i] - low[i] - borrow;
        out[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) != 0;
    }
    return below;
}

static void square(const uint64_t *a, uint64_t *out)
{
    memset(out, 0, SPREAD_LIMBS * sizeof *out);
    for (size_t i = 0; i < DIST_SUM_LIMBS; i++) {
        u128 carry = 0;
        for (size_t k = 0; a[i] != 0 && k < DIST_SUM_LIMBS; k++) {
            u128 sum = (u128)a[i] * a[k] + out[i + k] + carry;
            out[i + k] = (uint64_t)sum;
            carry = sum >> 64;
        }
        if (a[i] != 0) {
            out[i + DIST_SUM_LIMBS] = (uint64_t)carry;
        }
    }
}

static void times_n(const uint64_t *a, uint64_t n, uint64_t *out)
{
    u128 carry = 0;
    for (size_t i = 0; i < SPREAD_LIMBS; i++) {
        u128 sum = carry + (i < DIST_SQUARE_LIMBS ? (u128)a[i] * n : 0);
        out[i] = (uint64_t)sum;
        carry = sum >> 64;
    }
    ASSERT(carry == 0);
}

bool dist_sum_spread(const struct dist_sketch *s, uint64_t *out)
{
    uint64_t sum[DIST_SUM_LIMBS], sum2[SPREAD_LIMBS], squares[SPREAD_LIMBS];
    difference(s->sum_up, s->sum_down, sum, DIST_SUM_LIMBS);
    square(sum, sum2);
    times_n(s->squares, s->n, squares);
    return !difference(squares, sum2, out, SPREAD_LIMBS);
}

/* The first 128 bits of a number, which is out * 2^exp, cut. 0 for 0. */
static u128 leading(const uint64_t *a, size_t limbs, int *exp)
{
    size_t top = limbs;
    while (top > 0 && a[top - 1] == 0) {
        top--;
    }
    *exp = 0;
    if (top == 0) {
        return 0;
    }
    uint64_t w[3] = {a[top - 1], top > 1 ? a[top - 2] : 0, top > 2 ? a[top - 3] : 0};
    int zeros = __builtin_clzll(w[0]);
    u128 v = (u128)w[0] << 64 | w[1];
    *exp = 64 * ((int)top - 2) - zeros;
    return zeros > 0 ? v << zeros | w[2] >> (64 - zeros) : v;
}

double dist_sketch_mean(const struct dist_sketch *s)
{
    if (s->n == 0) {
        return (double)NAN;
    }
    uint64_t sum[DIST_SUM_LIMBS];
    int exp = 0;
    bool below = difference(s->sum_down, s->sum_up, sum, DIST_SUM_LIMBS);
    u128 v = leading(sum, DIST_SUM_LIMBS, &exp) / s->n; /* at least 84 bits are left */
    double mean = ldexp((double)v, exp + DIST_EXP_MIN);
    return below || v == 0 ? mean : -mean;
}

double dist_sketch_std(const struct dist_sketch *s)
{
    uint64_t spread[SPREAD_LIMBS];
    int exp = 0;
    if (s->n == 0) {
        return (double)NAN;
    }
    bool ok = dist_sum_spread(s, spread);
    ASSERT(ok);
    u128 v = leading(spread, SPREAD_LIMBS, &exp);
    if (exp % 2 != 0) {
        v >>= 1;
        exp++;
    }
    return ldexp(sqrt((double)v) / (double)s->n, exp / 2 + DIST_EXP_MIN);
}
