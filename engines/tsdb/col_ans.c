/* Entropy coding of small symbols: table-driven asymmetric numeral systems (tANS), for residuals
 * whose distribution is far from flat, where bit packing would spend the bits of the rarest value
 * on every value.
 *
 *     u8      symbols - 1 (0..31), log of the table's size - 7 in the bits above
 *     nibbles weight of each symbol, two in a byte, low nibble first
 *     bits    the first states of the lanes, then for each symbol the bits that its state needs,
 *             least significant bit first
 *
 * A weight is an index into a list of frequencies that grow by about one half: 15 levels say all
 * that a few hundred residuals know about their distribution, and the table's shares follow from
 * them by the same arithmetic on both sides. Symbols take turns in 4 lanes (2 in short columns)
 * with a state each, so that the processor has four independent chains to work on. Encoding runs
 * backwards, as the method wants, but the bits are written forwards. The last symbol of each lane
 * needs no bits: it is the state in which its lane's encoder began.
 *
 * Invariant: every state is below the table's size and every step reads at most COL_ANS_LOG_MAX
 * bits, whatever the input holds. Source: Duda, Asymmetric numeral systems, 2013; Collet, Finite
 * State Entropy, 2013. */
#include "engines/tsdb/col_priv_int.h"

#define LOG_MIN     7
#define LANES_MAX   4
#define LANES_FROM  256 /* symbols from which four lanes pay for their states */
#define LEVELS      16
#define NB_SHIFT    12 /* of a queued step: its bits below, their number above */
#define SYMBOL_MASK 0xff
#define BITS_MASK   63

_Static_assert(COL_ANS_LOG_MAX <= NB_SHIFT, "a step's bits fit below their number");
_Static_assert(COL_ANS_LOG_MAX *LANES_MAX <= 56, "one load serves all lanes");

static const uint16_t levels[LEVELS] = {0,  1,  2,  3,  4,   6,   9,   13,
                                        20, 30, 45, 67, 100, 150, 225, 340};

static unsigned lanes_of(uint32_t n)
{
    return n >= LANES_FROM ? LANES_MAX : LANES_MAX / 2;
}

/* Shares of the table, each at least 1, adding up to its size, from weights that are not all 0. */
static void shares(const unsigned char *weights, unsigned symbols, unsigned log, uint16_t *share)
{
    uint32_t size = 1u << log;
    uint32_t total = 0;
    for (unsigned i = 0; i < symbols; i++) {
        total += levels[weights[i]];
    }
    ASSERT(total > 0);
    uint32_t given = 0;
    for (unsigned i = 0; i < symbols; i++) {
        uint32_t f = levels[weights[i]] * size / total;
        f = f == 0 && weights[i] > 0 ? 1 : f;
        share[i] = (uint16_t)f;
        given += f;
    }
    /* Rounding is made good by the largest, a little at a time so that none comes to nothing. */
    while (given != size) {
        unsigned top = 0;
        for (unsigned i = 1; i < symbols; i++) {
            top = share[i] > share[top] ? i : top;
        }
        if (given < size) {
            share[top] = (uint16_t)(share[top] + (size - given));
            given = size;
        } else {
            uint32_t over = given - size;
            uint32_t take = over < share[top] / 2u ? over : share[top] / 2u;
            share[top] = (uint16_t)(share[top] - take);
            given -= take;
        }
    }
}

/* Places of the table by symbol. The stride is odd, so it visits every place once, and each
 * symbol's places lie evenly over the table. A symbol of share f has the states f..2f-1 at its
 * places, in their order: that costs a second walk over the table and is worth 1 % of the bits. */
static void spread(const uint16_t *share, unsigned symbols, unsigned log, unsigned char *places)
{
    uint32_t mask = (1u << log) - 1;
    uint32_t stride = (1u << (log - 1)) + (1u << (log - 3)) + 3;
    uint32_t at = 0;
    for (unsigned s = 0; s < symbols; s++) {
        for (unsigned k = 0; k < share[s]; k++) {
            places[at] = (unsigned char)s;
            at = (at + stride) & mask;
        }
    }
}

/* --- encoding --------------------------------------------------------------------------------- */

unsigned col_ans_log(uint32_t n, uint32_t top)
{
    /* A symbol that is nearly alone needs fine shares; a long column pays for the larger table. */
    unsigned log = n >= 1024 ? LOG_MIN + 1 : LOG_MIN;
    return top > n / 8 * 7 ? log + 1 : log;
}

/* Levels nearest to the counts, the largest count at the top level that fits its share of n. */
static void weigh(const uint32_t *counts, unsigned symbols, unsigned char *weights)
{
    uint32_t top = 0;
    for (unsigned i = 0; i < symbols; i++) {
        top = counts[i] > top ? counts[i] : top;
    }
    for (unsigned i = 0; i < symbols; i++) {
        uint64_t scaled = (uint64_t)counts[i] * levels[LEVELS - 1];
        unsigned w = 0;
        /* Between two levels the geometric middle decides: x^2 against their product. */
        while (w + 1 < LEVELS && counts[i] > 0 &&
               (w == 0 || scaled * scaled > (uint64_t)levels[w] * levels[w + 1] * top * top)) {
            w++;
        }
        weights[i] = (unsigned char)w;
    }
}

static void encoder_init(struct col_ans *x, const uint16_t *share, unsigned symbols, unsigned log)
{
    uint32_t size = 1u << log;
    uint32_t from[COL_ANS_SYMBOLS_MAX];
    uint32_t at = 0;
    for (unsigned s = 0; s < symbols; s++) {
        uint32_t f = share[s];
        unsigned most = f > 1 ? log + 1 - col_bitlen(f - 1) : log;
        x->bits_add[s] = (most << 16) - (f << most);
        x->next_add[s] = (int32_t)at - (int32_t)f;
        from[s] = at;
        at += f;
    }
    spread(share, symbols, log, x->places);
    for (uint32_t u = 0; u < size; u++) {
        x->next[from[x->places[u]]++] = (uint16_t)(size + u);
    }
}

/* Backwards over the symbols; steps[i] are the bits that decoding symbol i reads. */
static void run_lanes(struct col_ans *x, uint32_t n, uint32_t *states)
{
    unsigned lanes = lanes_of(n);
    const unsigned char *symbols = x->symbols;
    uint16_t *steps = x->steps;
    for (uint32_t i = n; i-- > 0;) {
        unsigned s = symbols[i];
        uint32_t *state = &states[i & (lanes - 1)];
        if (i + lanes >= n) {
            /* The lane's first: the state with the fewest bits to come. */
            uint32_t nb = (x->bits_add[s] + (1u << 15)) >> 16;
            uint32_t value = (nb << 16) - x->bits_add[s];
            *state = x->next[(int32_t)(value >> nb) + x->next_add[s]];
            steps[i] = 0;
            continue;
        }
        uint32_t nb = (*state + x->bits_add[s]) >> 16;
        steps[i] = (uint16_t)((*state & ((1u << nb) - 1)) | nb << NB_SHIFT);
        *state = x->next[(int32_t)(*state >> nb) + x->next_add[s]];
    }
}

static unsigned char *put_bits(const uint16_t *steps, uint32_t n, const uint32_t *states,
                               unsigned log, unsigned char *to)
{
    uint64_t acc = 0;
    unsigned fill = 0;
    for (unsigned lane = 0; lane < lanes_of(n); lane++) {
        acc |= (uint64_t)(states[lane] & ((1u << log) - 1)) << fill;
        fill += log;
    }
    for (uint32_t i = 0; i < n; i++) {
        put_u64le(to, acc);
        to += fill / 8;
        acc = fill >= 8 ? acc >> (fill & ~7u) : acc;
        fill &= 7;
        acc |= (uint64_t)(steps[i] & ((1u << NB_SHIFT) - 1)) << fill;
        fill += steps[i] >> NB_SHIFT;
    }
    put_u64le(to, acc);
    return to + (fill + 7) / 8;
}

unsigned char *col_ans_write(struct col_ans *x, uint32_t n, const uint32_t *counts,
                             unsigned symbols, unsigned log, unsigned char *to)
{
    unsigned char weights[COL_ANS_SYMBOLS_MAX + 1] = {0};
    uint16_t share[COL_ANS_SYMBOLS_MAX];
    uint32_t states[LANES_MAX];
    ASSERT(symbols > 0 && symbols <= COL_ANS_SYMBOLS_MAX);
    ASSERT(log >= LOG_MIN && log <= COL_ANS_LOG_MAX);
    ASSERT(n >= LANES_MAX);
    weigh(counts, symbols, weights);
    shares(weights, symbols, log, share);
    *to++ = (unsigned char)((symbols - 1) | (log - LOG_MIN) << 5);
    for (unsigned i = 0; i < symbols; i += 2) {
        *to++ = (unsigned char)(weights[i] | weights[i + 1] << 4);
    }
    encoder_init(x, share, symbols, log);
    run_lanes(x, n, states);
    return put_bits(x->steps, n, states, log, to);
}

/* --- decoding --------------------------------------------------------------------------------- */

/* An entry: number of bits, symbol << 8, base of the next state << 16. The number of bits stands
 * lowest, so that it is a shift count as it is and those of four entries can be added up at
 * once. */
static void decoder_init(struct col_ans *x, const uint16_t *share, unsigned symbols, unsigned log)
{
    uint32_t next[COL_ANS_SYMBOLS_MAX];
    uint32_t size = 1u << log;
    for (unsigned s = 0; s < symbols; s++) {
        next[s] = share[s];
    }
    spread(share, symbols, log, x->places);
    for (uint32_t u = 0; u < size; u++) {
        uint32_t s = x->places[u];
        uint32_t state = next[s]++;
        unsigned nb = log + 1 - col_bitlen(state);
        x->table[u] = nb | s << 8 | ((state << nb) - size) << 16;
    }
}

static inline uint32_t next_state(uint32_t entry, uint64_t *bits)
{
    unsigned nb = entry & BITS_MASK;
    uint32_t low = (uint32_t)(*bits & (((uint64_t)1 << nb) - 1));
    *bits >>= nb;
    return (entry >> 16) + low;
}

static inline uint64_t symbol_of(uint32_t entry)
{
    return entry >> 8 & SYMBOL_MASK;
}

/* The bits to come, at least 56 of them after a refill. Filling ORs in whole bytes that may be
 * there already; so the address of the next load does not wait for the bits of this one. */
struct bits {
    const unsigned char *p;
    uint64_t word;
    unsigned count;
};

static inline void refill(struct bits *b)
{
    b->word |= get_u64le(b->p) << b->count;
    b->p += (63 - b->count) >> 3;
    b->count |= 56;
}

/* from: padded. out[i] += symbol << shift. Returns the number of bits read. */
COL_CLONES_BMI2 static size_t run(const uint32_t *table, const unsigned char *from, uint32_t n,
                                  unsigned log, unsigned shift, uint64_t *out)
{
    uint32_t state[LANES_MAX] = {0};
    unsigned lanes = lanes_of(n);
    struct bits bits = {from, 0, 0};
    refill(&bits);
    for (unsigned k = 0; k < lanes; k++) {
        state[k] = (uint32_t)bits.word & ((1u << log) - 1);
        bits.word >>= log;
        bits.count -= log;
    }
    uint32_t i = 0;
    if (lanes == LANES_MAX) {
        uint32_t a = state[0];
        uint32_t b = state[1];
        uint32_t c = state[2];
        uint32_t d = state[3];
        for (; i + 2 * LANES_MAX <= n; i += LANES_MAX) {
            refill(&bits);
            a = table[a];
            b = table[b];
            c = table[c];
            d = table[d];
            bits.count -= (a + b + c + d) & SYMBOL_MASK;
            out[i] += symbol_of(a) << shift;
            out[i + 1] += symbol_of(b) << shift;
            out[i + 2] += symbol_of(c) << shift;
            out[i + 3] += symbol_of(d) << shift;
            a = next_state(a, &bits.word);
            b = next_state(b, &bits.word);
            c = next_state(c, &bits.word);
            d = next_state(d, &bits.word);
        }
        state[0] = a;
        state[1] = b;
        state[2] = c;
        state[3] = d;
    }
    for (; i < n; i++) {
        uint32_t *s = &state[i & (lanes - 1)];
        uint32_t entry = table[*s];
        out[i] += symbol_of(entry) << shift;
        if (i + lanes < n) {
            refill(&bits);
            bits.count -= entry & BITS_MASK;
            *s = next_state(entry, &bits.word);
        }
    }
    return (size_t)(bits.p - from) * 8 - bits.count;
}

bool col_ans_read(struct col_scratch *s, struct rd *in, uint32_t n, unsigned shift, int64_t *out,
                  struct err *e)
{
    unsigned char weights[COL_ANS_SYMBOLS_MAX + 1];
    uint16_t share[COL_ANS_SYMBOLS_MAX];
    unsigned head = rd_u8(in);
    unsigned symbols = (head & (COL_ANS_SYMBOLS_MAX - 1)) + 1;
    unsigned log = LOG_MIN + (head >> 5);
    unsigned any = 0;
    if (in->failed || log > COL_ANS_LOG_MAX || n < LANES_MAX) {
        return col_corrupt(e, "table of symbols");
    }
    for (unsigned i = 0; i < symbols; i += 2) {
        unsigned two = rd_u8(in);
        weights[i] = two & 15;
        weights[i + 1] = (unsigned char)(two >> 4);
        any |= i + 1 < symbols ? two : weights[i];
    }
    if (in->failed || any == 0) {
        return col_corrupt(e, "weights of symbols");
    }
    shares(weights, symbols, log, share);
    decoder_init(&s->ans, share, symbols, log);
    size_t most = ((size_t)n + LANES_MAX) * COL_ANS_LOG_MAX / 8 + 1;
    size_t left = rd_left(in);
    ASSERT(most + COL_SLACK <= s->room_bytes);
    memcpy(s->room, in->p, left < most ? left : most);
    size_t bytes = (run(s->ans.table, s->room, n, log, shift, (uint64_t *)out) + 7) / 8;
    if (bytes > left) {
        return col_corrupt(e, "symbols are short");
    }
    in->p += bytes;
    return true;
}
