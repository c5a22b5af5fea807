/* Which coder and which window suit n residuals: one look at them, no trying.
 *
 * Short columns (up to 64): counts of the bit lengths of the distances from the least, from the
 * greatest and from a middle value say for every width what lies outside such a window; exact.
 * Longer ones: quartiles of 32 samples bound a histogram of 64 bins, which gives the best run of
 * bins for each of a few widths, the entropy of the bins as symbols, and frames their bounds.
 *
 * Costs are in bits. A coder that is slower to decode must win by a margin.
 *
 * Source of patched frames of reference: Zukowski et al., ICDE 2006. */
#include "engines/tsdb/col_priv_int.h"

#define BINS          64
#define BINS_LOG      6
#define SHORT_MAX     64
#define SAMPLES       32
#define WIDTHS_TRIED  6
#define HEADER_BITS   24 /* width and base, about */
#define BITS_OF_BYTE  8
#define BITS_PER_PART 7
#define LENGTHS       65 /* bit lengths of a uint64_t */

/* Entropy coding: from how many residuals on, its fixed bits besides a nibble for each symbol, and
 * one bit for how many residuals it must save, because it decodes slower. */
#define SYMBOLS_FROM   192
#define SYMBOLS_AIM    16
#define SYMBOLS_BITS   (HEADER_BITS + 8 + 18)
#define SYMBOLS_MARGIN 6

struct shape {
    int64_t min;
    uint64_t range;   /* max - min */
    uint64_t lo;      /* where bin 0 begins, from min */
    unsigned shift;   /* a bin is 2^shift wide */
    uint32_t outside; /* in no bin */
    uint32_t bins[BINS];
};

static unsigned varint_bits(unsigned bitlen)
{
    return bitlen == 0 ? BITS_OF_BYTE : (bitlen + BITS_PER_PART - 1) / BITS_PER_PART * BITS_OF_BYTE;
}

static void offer(struct col_plan *best, uint64_t bits, unsigned width, bool patches, uint64_t base)
{
    if (bits < best->bits) {
        *best = (struct col_plan){bits, COL_PACKED, width, 0, patches, base};
    }
}

COL_CLONES static void bounds(const int64_t *r, uint32_t n, int64_t *min, int64_t *max)
{
    int64_t lo = r[0];
    int64_t hi = r[0];
    uint32_t i = 0;
    if (n >= 8) {
        col_v4i a = *(const col_v4i *)r;
        col_v4i b = a;
        for (i = 4; i + 4 <= n; i += 4) {
            col_v4i x = *(const col_v4i *)(r + i);
            col_v4i less = x < a;
            col_v4i more = x > b;
            a = (x & less) | (a & ~less);
            b = (x & more) | (b & ~more);
        }
        for (int k = 0; k < 4; k++) {
            lo = i64_min(lo, a[k]);
            hi = i64_max(hi, b[k]);
        }
    }
    for (; i < n; i++) {
        lo = i64_min(lo, r[i]);
        hi = i64_max(hi, r[i]);
    }
    *min = lo;
    *max = hi;
}

/* --- short columns ---------------------------------------------------------------------------- */

/* Costs of windows that begin at a residual (up) or end at one, given how many distances from it
 * have each bit length. */
static void offer_lengths(struct col_plan *best, const uint8_t *count, uint32_t n,
                          unsigned far_bits, uint64_t edge, bool up)
{
    uint32_t out = 0;
    for (unsigned w = LENGTHS - 1; w-- > 0;) {
        out += count[w + 1];
        uint64_t base = up ? edge : edge - (((uint64_t)1 << w) - 1);
        if (out > 0 && out < n) {
            offer(best, HEADER_BITS + (uint64_t)n * w + (uint64_t)out * far_bits, w, true, base);
        }
    }
}

static void plan_short(const int64_t *r, uint32_t n, int64_t min, int64_t max,
                       struct col_plan *best)
{
    uint8_t low[LENGTHS] = {0};
    uint8_t high[LENGTHS] = {0};
    unsigned whole = col_bitlen((uint64_t)max - (uint64_t)min);
    unsigned far = BITS_OF_BYTE + varint_bits(whole + 1);
    uint32_t same = 0;
    int64_t a = r[n / 4];
    int64_t b = r[n / 2];
    int64_t c = r[n - 1 - n / 4];
    int64_t middle = i64_max(i64_min(a, b), i64_min(i64_max(a, b), c));
    for (uint32_t i = 0; i < n; i++) {
        low[col_bitlen((uint64_t)r[i] - (uint64_t)min)]++;
        high[col_bitlen((uint64_t)max - (uint64_t)r[i])]++;
        same += r[i] == middle;
    }
    offer_lengths(best, low, n, far, (uint64_t)min, true);
    offer_lengths(best, high, n, far, (uint64_t)max, false);
    offer(best, HEADER_BITS + (uint64_t)(n - same) * far, 0, same < n, (uint64_t)middle);
}

/* --- longer ones ------------------------------------------------------------------------------ */

static void sort_small(uint64_t *x, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        uint64_t v = x[i];
        uint32_t j = i;
        for (; j > 0 && x[j - 1] > v; j--) {
            x[j] = x[j - 1];
        }
        x[j] = v;
    }
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Where the bins go: all of the range when it is small, else around the quartiles. */
static void place_bins(const int64_t *r, uint32_t n, struct shape *sh)
{
    sh->lo = 0;
    sh->shift = 0;
    if (sh->range < BINS) {
        return;
    }
    uint64_t x[SAMPLES];
    for (uint32_t i = 0; i < SAMPLES; i++) {
        x[i] = (uint64_t)r[(uint64_t)i * n / SAMPLES] - (uint64_t)sh->min;
    }
    sort_small(x, SAMPLES);
    uint64_t q1 = x[SAMPLES / 4];
    uint64_t q3 = x[SAMPLES * 3 / 4];
    uint64_t reach = q3 - q1 > UINT64_MAX / 8 ? UINT64_MAX : (q3 - q1) * 4 + BINS / 2 - 1;
    uint64_t hi = add_capped(q3, reach);
    sh->lo = q1 > reach ? q1 - reach : 0;
    hi = hi < sh->range ? hi : sh->range;
    unsigned w = col_bitlen(hi - sh->lo);
    sh->shift = w > BINS_LOG ? w - BINS_LOG : 0;
}

static void fill_bins(const int64_t *r, uint32_t n, struct shape *sh)
{
    uint32_t bins[2][BINS + 1] = {0}; /* two, or equal neighbours would wait for each other */
    uint64_t zero = (uint64_t)sh->min + sh->lo;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bin = ((uint64_t)r[i] - zero) >> sh->shift;
        bins[i & 1][bin < BINS ? bin : BINS]++;
    }
    sh->outside = bins[0][BINS] + bins[1][BINS];
    for (int i = 0; i < BINS; i++) {
        sh->bins[i] = bins[0][i] + bins[1][i];
    }
}

static uint64_t patch_bits(const struct shape *sh, uint64_t near)
{
    return near * (BITS_OF_BYTE + varint_bits(sh->shift + BINS_LOG + 1)) +
           (uint64_t)sh->outside * (BITS_OF_BYTE + varint_bits(col_bitlen(sh->range) + 1));
}

/* The best run of 2^(w - shift) bins for a width. */
static void plan_width(const struct shape *sh, uint32_t n, unsigned w, struct col_plan *best)
{
    uint32_t run = w - sh->shift >= BINS_LOG ? BINS : 1u << (w - sh->shift);
    uint32_t in = 0;
    for (uint32_t i = 0; i < run; i++) {
        in += sh->bins[i];
    }
    uint32_t most = in;
    uint32_t at = 0;
    for (uint32_t i = run; i < BINS; i++) {
        in += sh->bins[i] - sh->bins[i - run];
        if (in > most) {
            most = in;
            at = i - run + 1;
        }
    }
    uint64_t near = n - sh->outside - most;
    offer(best, HEADER_BITS + (uint64_t)n * w + patch_bits(sh, near), w, near + sh->outside > 0,
          (uint64_t)sh->min + sh->lo + ((uint64_t)at << sh->shift));
}

/* log2(x) to about 0.01, x > 0. */
static double log2_near(uint32_t x)
{
    unsigned e = col_bitlen(x) - 1;
    double f = (double)x / (double)(1u << e) - 1.0;
    return (double)e + f * (1.3465 - 0.3465 * f);
}

/* Bins as symbols: [from, from + n << merge) without the tails that are cheaper as patches. */
static void plan_symbols(const struct shape *sh, uint32_t n, struct col_plan *best)
{
    uint32_t from = 0;
    uint32_t end = BINS;
    uint32_t rare = n / 256;
    uint64_t near = 0;
    while (from < end && sh->bins[from] + near <= rare) {
        near += sh->bins[from++];
    }
    for (uint32_t cut = 0; from < end && sh->bins[end - 1] + cut <= rare;) {
        cut += sh->bins[--end];
        near += sh->bins[end];
    }
    if (end <= from + 1) {
        return;
    }
    unsigned merge = 0;
    while (((end - from) + (1u << merge) - 1) >> merge > SYMBOLS_AIM) {
        merge++;
    }
    double bits = 0.0;
    uint32_t in = n - sh->outside - (uint32_t)near;
    unsigned symbols = 0;
    for (uint32_t i = from; i < end; symbols++) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < 1u << merge && i < end; k++) {
            count += sh->bins[i++];
        }
        bits -= count > 0 ? count * log2_near(count) : 0.0;
    }
    bits += in * log2_near(in);
    unsigned width = sh->shift + merge;
    uint64_t total = (uint64_t)bits + (uint64_t)n * width + SYMBOLS_BITS +
                     (uint64_t)symbols * BITS_OF_BYTE / 2 + patch_bits(sh, near);
    if (total + n / SYMBOLS_MARGIN < best->bits) {
        *best = (struct col_plan){total,
                                  COL_SYMBOLS,
                                  width,
                                  symbols,
                                  near + sh->outside > 0,
                                  (uint64_t)sh->min + sh->lo + ((uint64_t)from << sh->shift)};
    }
}

static void plan_frames(struct col_scratch *s, const int64_t *r, uint32_t n, int64_t min,
                        struct col_plan *best)
{
    uint64_t bits = HEADER_BITS / 2;
    for (uint32_t f = 0; f * COL_FRAME < n; f++) {
        int64_t lo;
        int64_t hi;
        uint32_t count = n - f * COL_FRAME < COL_FRAME ? n - f * COL_FRAME : COL_FRAME;
        bounds(r + f * COL_FRAME, count, &lo, &hi);
        s->frame_lo[f] = (uint64_t)lo;
        s->frame_hi[f] = (uint64_t)hi;
        bits += BITS_OF_BYTE + varint_bits(col_bitlen((uint64_t)lo - (uint64_t)min)) +
                (uint64_t)count * col_bitlen((uint64_t)hi - (uint64_t)lo);
    }
    if (bits < best->bits) {
        *best = (struct col_plan){bits, COL_FRAMES, 0, 0, false, (uint64_t)min};
    }
}

void col_plan(struct col_scratch *s, const int64_t *r, uint32_t n, struct col_plan *out)
{
    struct shape sh;
    int64_t min;
    int64_t max;
    ASSERT(n > 0);
    bounds(r, n, &min, &max);
    unsigned whole = col_bitlen((uint64_t)max - (uint64_t)min);
    *out = (struct col_plan){
        HEADER_BITS + (uint64_t)n * whole, COL_PACKED, whole, 0, false, (uint64_t)min};
    if (whole == 0) {
        return;
    }
    if (n <= SHORT_MAX) {
        plan_short(r, n, min, max, out);
        return;
    }
    sh.min = min;
    sh.range = (uint64_t)max - (uint64_t)min;
    place_bins(r, n, &sh);
    fill_bins(r, n, &sh);
    unsigned top = sh.shift + BINS_LOG < whole ? sh.shift + BINS_LOG : whole;
    unsigned down = n > 2 * SHORT_MAX ? WIDTHS_TRIED : WIDTHS_TRIED / 2;
    for (unsigned w = top + 1; w > sh.shift && w + down > top + 1; w--) {
        plan_width(&sh, n, w - 1, out);
    }
    if (sh.shift == 0 && top >= down) {
        plan_width(&sh, n, 0, out);
    }
    if (n > COL_FRAME) {
        plan_frames(s, r, n, min, out);
    }
    if (n >= SYMBOLS_FROM && !s->quick) {
        plan_symbols(&sh, n, out);
    }
}
