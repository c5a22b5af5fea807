/* Chunks of Prometheus, read: bits, the highest of a byte first.
 *
 *     XOR               u16 count, varint t, 64 bits v; uvarint t delta, xor v; then
 *                       t delta of delta (prefix 0, 10, 110, 1110, 1111: none, 14, 17, 20, 64
 *                       bits), xor v
 *     histograms        u16 count, u8 flags (the top two bits: counter reset), layout, samples
 *       layout          zero threshold, schema, spans of both sides, custom bounds for schema -53
 *       first sample    t, count, zero count, sum 64 bits, buckets of both sides
 *       others          each as delta of delta; the sum as xor; a stale sum ends the sample
 *     float histograms  the same, but count, zero count and buckets are 64 bits at first, xor then
 *
 *     xor: 0 same | 10 bits in the window of before | 11, 5 bits leading zeros, 6 bits length, bits
 *     varbit: as many 1 as the class, 0, then 0, 3, 6, 9, 12, 18, 25, 56 or (eight 1) 64 bits
 *
 * Buckets of integer histograms are deltas to the bucket before. t must ascend; a chunk that says
 * otherwise is damaged. Source: tsdb/docs/format/chunks.md of Prometheus. Encodings 4 to 6 (with
 * start timestamps, 3.x, behind switches) are not read: no released tool here writes them to test
 * against. */
#include "codec/xor_chunk.h"

#include <math.h>

#define SPANS_MAX  NHIST_BUCKETS_MAX
#define CUSTOM_MAX NHIST_BUCKETS_MAX

struct bits {
    const unsigned char *p;
    uint64_t n, at; /* bits */
    bool failed;
};

struct window {
    unsigned leading, trailing;
};

static uint64_t bits_get(struct bits *b, unsigned n)
{
    uint64_t v = 0;
    ASSERT(n <= 64);
    if (b->n - b->at < n) {
        b->failed = true;
        b->at = b->n;
        return 0;
    }
    while (n > 0) {
        unsigned left = 8 - (unsigned)(b->at % 8);
        unsigned take = n < left ? n : left;
        unsigned byte = b->p[b->at / 8];
        v = v << take | (byte >> (left - take) & ((1U << take) - 1));
        b->at += take;
        n -= take;
    }
    return v;
}

static double double_get(struct bits *b)
{
    uint64_t v = bits_get(b, 64);
    double d;
    memcpy(&d, &v, sizeof d);
    return d;
}

/* Go's varints, whose bytes lie in the stream at any bit. */
static uint64_t uvarint_get(struct bits *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t c = bits_get(b, 8);
        v |= (c & 0x7f) << shift;
        if (c < 0x80) {
            return v;
        }
    }
    b->failed = true;
    return 0;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* n bits as the encoder of time deltas and varbits writes signed numbers: -(2^(n-1)) + 1 ..
 * 2^(n-1). */
static int64_t signed_get(struct bits *b, unsigned n)
{
    uint64_t v = bits_get(b, n);
    if (n > 0 && n < 64 && v > 1ULL << (n - 1)) {
        v -= 1ULL << n;
    }
    return (int64_t)v;
}

static unsigned varbit_width(struct bits *b)
{
    static const unsigned char widths[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    unsigned ones = 0;
    while (ones < 8 && bits_get(b, 1) == 1) {
        ones++;
    }
    return widths[ones];
}

static int64_t varbit_int(struct bits *b)
{
    return signed_get(b, varbit_width(b));
}

static uint64_t varbit_uint(struct bits *b)
{
    return bits_get(b, varbit_width(b));
}

static void xor_get(struct bits *b, double *v, struct window *w)
{
    if (bits_get(b, 1) == 0) {
        return;
    }
    if (bits_get(b, 1) == 1) {
        w->leading = (unsigned)bits_get(b, 5);
        unsigned n = (unsigned)bits_get(b, 6);
        n = n == 0 ? 64 : n;
        if (w->leading + n > 64) {
            b->failed = true;
            return;
        }
        w->trailing = 64 - w->leading - n;
    }
    uint64_t x = bits_get(b, 64 - w->leading - w->trailing);
    uint64_t was;
    memcpy(&was, v, sizeof was);
    was ^= x << w->trailing;
    memcpy(v, &was, sizeof was);
}

static int64_t dod_get(struct bits *b)
{
    static const unsigned char widths[] = {0, 14, 17, 20, 64};
    unsigned ones = 0;
    while (ones < 4 && bits_get(b, 1) == 1) {
        ones++;
    }
    return signed_get(b, widths[ones]);
}

/* Sums of what strangers wrote: they wrap, as in the program that wrote them. */
static int64_t wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "chunk is damaged: %s", what);
}

static bool xor_decode(struct bits *b, xor_chunk_each each, void *ctx, struct err *e)
{
    uint64_t n = bits_get(b, 16);
    struct xor_chunk_sample s = {0};
    struct window w = {0};
    int64_t delta = 0;
    for (uint64_t i = 0; i < n; i++) {
        int64_t before = s.t_ms;
        if (i == 0) {
            s.t_ms = unzigzag(uvarint_get(b));
            s.v = double_get(b);
        } else {
            delta = i == 1 ? (int64_t)uvarint_get(b) : wrap_add(delta, dod_get(b));
            s.t_ms = wrap_add(s.t_ms, delta);
            xor_get(b, &s.v, &w);
        }
        if (b->failed) {
            return damaged(e, "it ends before its last sample");
        }
        if (i > 0 && s.t_ms <= before) {
            return damaged(e, "times do not ascend");
        }
        if (!each(ctx, &s, e)) {
            return false;
        }
    }
    return true;
}

/* --- histograms ------------------------------------------------------------------------------- */

struct delta {
    int64_t v, d; /* value, last difference */
};

/* The state from sample to sample. Arrays are the arena's. */
struct hist_state {
    struct nhist h;
    bool floats;
    int64_t t_ms, t_delta;
    struct delta count, zero;
    struct window sum_w, count_w, zero_w;
    struct delta *buckets;  /* of both sides; integers */
    struct window *windows; /* the same; floats */
};

static bool spans_get(struct bits *b, struct arena *a, struct nhist_side *s, struct err *e)
{
    uint64_t n = varbit_uint(b);
    uint64_t counts = 0;
    if (n > SPANS_MAX) {
        return damaged(e, "too many spans");
    }
    s->spans = ARENA_ARRAY(a, struct nhist_span, n);
    if (s->spans == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the spans of a histogram");
    }
    for (uint64_t i = 0; i < n && !b->failed; i++) {
        uint64_t length = varbit_uint(b);
        int64_t offset = varbit_int(b);
        if (length > NHIST_BUCKETS_MAX || offset < INT32_MIN || offset > INT32_MAX) {
            return damaged(e, "a span out of range");
        }
        s->spans[i] = (struct nhist_span){(int32_t)offset, (uint32_t)length};
        counts += length;
    }
    if (counts > NHIST_BUCKETS_MAX || b->failed) {
        return damaged(e, "spans");
    }
    s->spans_n = (uint32_t)n;
    s->counts_n = (uint32_t)counts;
    s->counts = ARENA_ARRAY(a, double, counts);
    return s->counts != NULL || err_set(e, ERR_NOMEM, "no memory for the buckets of a histogram");
}

static bool custom_get(struct bits *b, struct arena *a, struct nhist *h, struct err *e)
{
    uint64_t n = varbit_uint(b);
    if (n > CUSTOM_MAX) {
        return damaged(e, "too many custom bounds");
    }
    h->custom = ARENA_ARRAY(a, double, n);
    if (h->custom == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the bounds of a histogram");
    }
    h->custom_n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t y = varbit_uint(b);
        h->custom[i] = y == 0 ? double_get(b) : (double)(y - 1) / 1000.0;
    }
    return !b->failed || damaged(e, "custom bounds");
}

static bool layout_get(struct bits *b, struct arena *a, struct hist_state *s, struct err *e)
{
    uint64_t zero = bits_get(b, 8);
    s->h.zero_threshold = zero == 0 ? 0 : zero == 255 ? double_get(b) : ldexp(0.5, (int)zero - 243);
    int64_t schema = varbit_int(b);
    bool known =
        (schema >= NHIST_SCHEMA_MIN && schema <= NHIST_SCHEMA_MAX) || schema == NHIST_SCHEMA_CUSTOM;
    if (b->failed || !known) {
        return damaged(e, "schema of a histogram");
    }
    s->h.schema = (int32_t)schema;
    if (!spans_get(b, a, &s->h.pos, e) || !spans_get(b, a, &s->h.neg, e)) {
        return false;
    }
    size_t n = (size_t)s->h.pos.counts_n + s->h.neg.counts_n;
    s->buckets = ARENA_ARRAY(a, struct delta, n);
    s->windows = ARENA_ARRAY(a, struct window, n);
    if (s->buckets == NULL || s->windows == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the buckets of a histogram");
    }
    return schema != NHIST_SCHEMA_CUSTOM || custom_get(b, a, &s->h, e);
}

/* The next of a row of integers that are written as difference of differences; the first as is. */
static void delta_get(struct bits *b, bool first, struct delta *x)
{
    if (first) {
        x->v = varbit_int(b);
    } else {
        x->d = wrap_add(x->d, varbit_int(b));
        x->v = wrap_add(x->v, x->d);
    }
}

static void count_get(struct bits *b, bool first, struct delta *x)
{
    if (first) {
        x->v = (int64_t)varbit_uint(b);
    } else {
        delta_get(b, false, x);
    }
}

static void float_get(struct bits *b, bool first, double *v, struct window *w)
{
    if (first) {
        *v = double_get(b);
    } else {
        xor_get(b, v, w);
    }
}

static void side_get(struct bits *b, bool first, struct hist_state *s, struct nhist_side *side,
                     uint32_t from)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < side->counts_n; i++) {
        if (s->floats) {
            float_get(b, first, &side->counts[i], &s->windows[from + i]);
        } else {
            delta_get(b, first, &s->buckets[from + i]);
            sum = wrap_add(sum, s->buckets[from + i].v);
            side->counts[i] = (double)sum;
        }
    }
}

static void sample_get(struct bits *b, bool first, struct hist_state *s)
{
    if (first) {
        s->t_ms = varbit_int(b);
    } else {
        s->t_delta = wrap_add(s->t_delta, varbit_int(b));
        s->t_ms = wrap_add(s->t_ms, s->t_delta);
    }
    if (s->floats) {
        float_get(b, first, &s->h.count, &s->count_w);
        float_get(b, first, &s->h.zero_count, &s->zero_w);
    } else {
        count_get(b, first, &s->count);
        count_get(b, first, &s->zero);
        s->h.count = (double)(uint64_t)s->count.v;
        s->h.zero_count = (double)(uint64_t)s->zero.v;
    }
    float_get(b, first, &s->h.sum, &s->sum_w);
    if (first || !is_stale_nan(s->h.sum)) {
        side_get(b, first, s, &s->h.pos, 0);
        side_get(b, first, s, &s->h.neg, s->h.pos.counts_n);
    }
}

static enum nhist_reset reset_of(unsigned flags, uint64_t i)
{
    if (flags >> 6 == 3) {
        return NHIST_GAUGE;
    }
    return i > 0 ? NHIST_NO_RESET : flags >> 6 == 2 ? NHIST_RESET : NHIST_UNKNOWN;
}

static bool hists_decode(struct bits *b, bool floats, struct arena *a, xor_chunk_each each,
                         void *ctx, struct err *e)
{
    uint64_t n = bits_get(b, 16);
    unsigned flags = (unsigned)bits_get(b, 8);
    struct hist_state s = {.floats = floats};
    if (n == 0) {
        return !b->failed || damaged(e, "it is too short");
    }
    if (!layout_get(b, a, &s, e)) {
        return false;
    }
    s.h.integer = !floats;
    for (uint64_t i = 0; i < n; i++) {
        int64_t before = s.t_ms;
        sample_get(b, i == 0, &s);
        if (b->failed) {
            return damaged(e, "it ends before its last histogram");
        }
        if (i > 0 && s.t_ms <= before) {
            return damaged(e, "times do not ascend");
        }
        s.h.reset = reset_of(flags, i);
        struct nhist stale = {.sum = s.h.sum, .integer = !floats};
        struct xor_chunk_sample x = {
            .t_ms = s.t_ms, .v = s.h.sum, .h = is_stale_nan(s.h.sum) ? &stale : &s.h};
        if (!each(ctx, &x, e)) {
            return false;
        }
    }
    return true;
}

bool xor_chunk_decode(unsigned encoding, struct str data, struct arena *hists, xor_chunk_each each,
                      void *ctx, struct err *e)
{
    struct bits b = {.p = (const unsigned char *)data.p, .n = (uint64_t)data.n * 8};
    switch (encoding) {
    case XOR_CHUNK_FLOATS: return xor_decode(&b, each, ctx, e);
    case XOR_CHUNK_HISTS: return hists_decode(&b, false, hists, each, ctx, e);
    case XOR_CHUNK_FLOAT_HISTS: return hists_decode(&b, true, hists, each, ctx, e);
    default: return err_set(e, ERR_INPUT, "chunk encoding %u is not known", encoding);
    }
}
