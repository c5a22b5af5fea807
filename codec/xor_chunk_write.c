/* Chunks of Prometheus, written. The formats are drawn in xor_chunk.c.
 *
 * A chunk of histograms has one layout (schema, zero threshold, spans, custom bounds), which its
 * first sample writes, and no counter reset inside. Prometheus widens a layout when buckets appear;
 * here a new chunk begins, which says the same and touches no sample twice. Marks of a series' end
 * have no buckets, so they fit any layout, but only such marks may follow them.
 *
 * Invariant: what is written decodes to the same times, values, counts and spans. The choices an
 * encoder is free in (windows of xor, classes of numbers) are Prometheus', so that its own chunks
 * of the same samples have the same bytes. Source: tsdb/docs/format/chunks.md of Prometheus. */
#include "codec/xor_chunk.h"

#include <math.h>

#define WINDOW_LEADING_MAX 31 /* five bits */
#define WHOLE_END          0x1p63

/* The first two bits of a chunk of histograms. */
enum header { HEADER_UNKNOWN = 0, HEADER_NO_RESET = 1, HEADER_RESET = 2, HEADER_GAUGE = 3 };

struct bits {
    struct buf *out;
    unsigned held, held_n; /* fewer than 8 bits that wait for their byte */
};

struct window {
    unsigned leading, trailing;
    bool open; /* false: none was written yet */
};

/* The low n bits of v, the highest first. */
static void bits_put(struct bits *b, uint64_t v, unsigned n)
{
    ASSERT(n <= 64);
    while (n > 0) {
        const unsigned take = n < 8 - b->held_n ? n : 8 - b->held_n;
        n -= take;
        b->held = b->held << take | (unsigned)(v >> n & ((1U << take) - 1));
        b->held_n += take;
        if (b->held_n == 8) {
            buf_char(b->out, (char)(unsigned char)b->held);
            b->held = b->held_n = 0;
        }
    }
}

static void bits_end(struct bits *b)
{
    if (b->held_n > 0) {
        bits_put(b, 0, 8 - b->held_n);
    }
}

static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static void double_put(struct bits *b, double v)
{
    bits_put(b, bits_of(v), 64);
}

static void uvarint_put(struct bits *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        bits_put(b, v | 0x80, 8);
    }
    bits_put(b, v, 8);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* Whether n bits hold v the way signed numbers are written: -(2^(n-1)) + 1 .. 2^(n-1). */
static bool fits(int64_t v, unsigned n)
{
    return n >= 64 || (v > -(1LL << (n - 1)) && v <= 1LL << (n - 1));
}

/* `ones` 1 bits, a 0 unless there are as many as there can be, then the number. */
static void class_put(struct bits *b, unsigned ones, unsigned ones_max, uint64_t v, unsigned width)
{
    bits_put(b, ones < ones_max ? (1U << (ones + 1)) - 2 : (1U << ones) - 1,
             ones < ones_max ? ones + 1 : ones);
    bits_put(b, v, width);
}

#define VARBIT_ONES_MAX 8
static const unsigned char varbit_widths[VARBIT_ONES_MAX + 1] = {0, 3, 6, 9, 12, 18, 25, 56, 64};

static void varbit_int(struct bits *b, int64_t v)
{
    unsigned ones = v == 0 ? 0 : 1;
    while (ones > 0 && !fits(v, varbit_widths[ones])) {
        ones++;
    }
    class_put(b, ones, VARBIT_ONES_MAX, (uint64_t)v, varbit_widths[ones]);
}

static void varbit_uint(struct bits *b, uint64_t v)
{
    unsigned ones = v == 0 ? 0 : 1;
    while (ones > 0 && varbit_widths[ones] < 64 && v >> varbit_widths[ones] != 0) {
        ones++;
    }
    class_put(b, ones, VARBIT_ONES_MAX, v, varbit_widths[ones]);
}

#define DOD_ONES_MAX 4
static void dod_put(struct bits *b, int64_t v)
{
    static const unsigned char widths[DOD_ONES_MAX + 1] = {0, 14, 17, 20, 64};
    unsigned ones = v == 0 ? 0 : 1;
    while (ones > 0 && !fits(v, widths[ones])) {
        ones++;
    }
    class_put(b, ones, DOD_ONES_MAX, (uint64_t)v, widths[ones]);
}

static void xor_put(struct bits *b, double was, double v, struct window *w)
{
    const uint64_t x = bits_of(was) ^ bits_of(v);
    if (x == 0) {
        bits_put(b, 0, 1);
        return;
    }
    unsigned leading = (unsigned)__builtin_clzll(x);
    const unsigned trailing = (unsigned)__builtin_ctzll(x);
    leading = leading > WINDOW_LEADING_MAX ? WINDOW_LEADING_MAX : leading;
    if (w->open && leading >= w->leading && trailing >= w->trailing) {
        bits_put(b, 2, 2);
    } else {
        *w = (struct window){leading, trailing, true};
        bits_put(b, 3, 2);
        bits_put(b, leading, 5);
        bits_put(b, (64 - leading - trailing) & 63, 6); /* 64 as 0: no x is empty here */
    }
    bits_put(b, x >> w->trailing, 64 - w->leading - w->trailing);
}

/* Differences wrap, as sums do in the reader. */
static int64_t wrap_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* -- Floats. -- */

static void floats_put(struct bits *b, const struct xor_chunk_column *c, uint32_t at, uint32_t n)
{
    struct window w = {0};
    int64_t delta = 0;
    bits_put(b, n, 16);
    uvarint_put(b, zigzag(c->t_ms[at]));
    double_put(b, c->v[at]);
    for (uint32_t i = at + 1; i < at + n; i++) {
        const int64_t before = delta;
        delta = wrap_sub(c->t_ms[i], c->t_ms[i - 1]);
        if (i == at + 1) {
            uvarint_put(b, (uint64_t)delta);
        } else {
            dod_put(b, wrap_sub(delta, before));
        }
        xor_put(b, c->v[i - 1], c->v[i], &w);
    }
}

/* -- Which histograms belong together. -- */

static bool whole(double v)
{
    return v >= 0 && v < WHOLE_END && v == floor(v);
}

static bool side_whole(const struct nhist_side *s)
{
    for (uint32_t i = 0; i < s->counts_n; i++) {
        if (!whole(s->counts[i])) {
            return false;
        }
    }
    return true;
}

static bool in_integers(const struct nhist *h)
{
    return h->integer && whole(h->count) && whole(h->zero_count) && side_whole(&h->pos) &&
           side_whole(&h->neg);
}

static bool same_spans(const struct nhist_side *a, const struct nhist_side *b)
{
    if (a->spans_n != b->spans_n || a->counts_n != b->counts_n) {
        return false;
    }
    for (uint32_t i = 0; i < a->spans_n; i++) {
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].length != b->spans[i].length) {
            return false;
        }
    }
    return true;
}

static bool same_layout(const struct nhist *a, const struct nhist *b)
{
    return a->schema == b->schema && bits_of(a->zero_threshold) == bits_of(b->zero_threshold) &&
           a->custom_n == b->custom_n &&
           (a->custom_n == 0 ||
            memcmp(a->custom, b->custom, a->custom_n * sizeof *a->custom) == 0) &&
           same_spans(&a->pos, &b->pos) && same_spans(&a->neg, &b->neg);
}

static bool side_fell(const struct nhist_side *a, const struct nhist_side *b)
{
    for (uint32_t i = 0; i < a->counts_n; i++) {
        if (b->counts[i] < a->counts[i]) {
            return true;
        }
    }
    return false;
}

/* What the chunk of b says when it follows a; HEADER_NO_RESET: it may be the chunk of a. Both are
 * of one kind. */
static enum header follows(const struct nhist *a, const struct nhist *b)
{
    if (b->reset == NHIST_GAUGE || a->reset == NHIST_GAUGE) {
        const bool stays = a->reset == b->reset && !is_stale_nan(a->sum) &&
                           (is_stale_nan(b->sum) || same_layout(a, b));
        return stays ? HEADER_NO_RESET : HEADER_UNKNOWN;
    }
    if (b->reset == NHIST_RESET) {
        return HEADER_RESET;
    }
    if (is_stale_nan(b->sum)) {
        return HEADER_NO_RESET;
    }
    if (is_stale_nan(a->sum) || a->schema != b->schema) {
        return HEADER_UNKNOWN;
    }
    if (b->count < a->count) {
        return HEADER_RESET;
    }
    if (!same_layout(a, b)) {
        return HEADER_UNKNOWN;
    }
    const bool fell =
        b->zero_count < a->zero_count || side_fell(&a->pos, &b->pos) || side_fell(&a->neg, &b->neg);
    return fell ? HEADER_RESET : HEADER_NO_RESET;
}

static const struct nhist *hist_at(const struct xor_chunk_column *c, uint32_t i)
{
    return c->h != NULL ? c->h[i] : NULL;
}

static bool one_chunk(const struct xor_chunk_column *c, uint32_t i, bool integers)
{
    const struct nhist *a = hist_at(c, i - 1);
    const struct nhist *b = hist_at(c, i);
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return in_integers(b) == integers && follows(a, b) == HEADER_NO_RESET;
}

static enum header header_of(const struct xor_chunk_column *c, uint32_t at, bool integers)
{
    const struct nhist *h = hist_at(c, at);
    const struct nhist *before = at > 0 ? hist_at(c, at - 1) : NULL;
    if (h->reset == NHIST_GAUGE) {
        return HEADER_GAUGE;
    }
    if (before == NULL || in_integers(before) != integers) {
        return h->reset == NHIST_RESET ? HEADER_RESET : HEADER_UNKNOWN;
    }
    return follows(before, h);
}

/* -- Histograms. -- */

/* The state from sample to sample. Arrays are the arena's: buckets of both sides. */
struct hist_state {
    bool integers;
    int64_t t_ms, t_delta, count, count_delta, zero, zero_delta;
    double sum, count_f, zero_f;
    struct window sum_w, count_w, zero_w;
    int64_t *buckets, *deltas; /* integers: the difference to the bucket before */
    double *values;            /* floats */
    struct window *windows;
};

static void threshold_put(struct bits *b, double v)
{
    int exponent = 0;
    const double part = frexp(v, &exponent);
    if (bits_of(v) == 0) {
        bits_put(b, 0, 8);
    } else if (part == 0.5 && exponent >= -242 && exponent <= 11) {
        bits_put(b, (uint64_t)(exponent + 243), 8);
    } else {
        bits_put(b, 255, 8);
        double_put(b, v);
    }
}

static void spans_put(struct bits *b, const struct nhist_side *s)
{
    varbit_uint(b, s->spans_n);
    for (uint32_t i = 0; i < s->spans_n; i++) {
        varbit_uint(b, s->spans[i].length);
        varbit_int(b, s->spans[i].offset);
    }
}

/* Whole thousandths up to 33554.43 as a number, others as they are. */
static void bound_put(struct bits *b, double v)
{
    const double thousandths = v * 1000;
    const double rounded = round(thousandths);
    if (thousandths >= 0 && thousandths <= 33554430 && bits_of(rounded / 1000) == bits_of(v)) {
        varbit_uint(b, (uint64_t)rounded + 1);
    } else {
        bits_put(b, 0, 1);
        double_put(b, v);
    }
}

static void layout_put(struct bits *b, const struct nhist *h)
{
    threshold_put(b, h->zero_threshold);
    varbit_int(b, h->schema);
    spans_put(b, &h->pos);
    spans_put(b, &h->neg);
    if (h->schema == NHIST_SCHEMA_CUSTOM) {
        varbit_uint(b, h->custom_n);
        for (uint32_t i = 0; i < h->custom_n; i++) {
            bound_put(b, h->custom[i]);
        }
    }
}

static void side_put(struct bits *b, bool first, struct hist_state *s,
                     const struct nhist_side *side, uint32_t from)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < side->counts_n; i++) {
        const uint32_t k = from + i;
        if (!s->integers) {
            if (first) {
                double_put(b, side->counts[i]);
            } else {
                xor_put(b, s->values[k], side->counts[i], &s->windows[k]);
            }
            s->values[k] = side->counts[i];
            continue;
        }
        const int64_t bucket = wrap_sub((int64_t)side->counts[i], before);
        const int64_t delta = first ? 0 : wrap_sub(bucket, s->buckets[k]);
        varbit_int(b, first ? bucket : wrap_sub(delta, s->deltas[k]));
        before = (int64_t)side->counts[i];
        s->buckets[k] = bucket;
        s->deltas[k] = delta;
    }
}

static void int_put(struct bits *b, bool first, int64_t v, int64_t *was, int64_t *was_delta)
{
    if (first) {
        varbit_uint(b, (uint64_t)v);
    } else {
        const int64_t delta = wrap_sub(v, *was);
        varbit_int(b, wrap_sub(delta, *was_delta));
        *was_delta = delta;
    }
    *was = v;
}

static void float_put(struct bits *b, bool first, double v, double *was, struct window *w)
{
    if (first) {
        double_put(b, v);
    } else {
        xor_put(b, *was, v, w);
    }
    *was = v;
}

static void time_put(struct bits *b, bool first, struct hist_state *s, int64_t t_ms)
{
    const int64_t delta = first ? 0 : wrap_sub(t_ms, s->t_ms);
    varbit_int(b, first ? t_ms : wrap_sub(delta, s->t_delta));
    s->t_ms = t_ms;
    s->t_delta = delta;
}

static void sample_put(struct bits *b, bool first, struct hist_state *s, int64_t t_ms,
                       const struct nhist *h)
{
    time_put(b, first, s, t_ms);
    if (!s->integers) {
        float_put(b, first, h->count, &s->count_f, &s->count_w);
        float_put(b, first, h->zero_count, &s->zero_f, &s->zero_w);
    } else if (!first && is_stale_nan(h->sum)) {
        bits_put(b, 0, 2); /* nothing new: nobody looks at the counts of the end of a series */
    } else {
        int_put(b, first, (int64_t)h->count, &s->count, &s->count_delta);
        int_put(b, first, (int64_t)h->zero_count, &s->zero, &s->zero_delta);
    }
    float_put(b, first, h->sum, &s->sum, &s->sum_w);
    side_put(b, first, s, &h->pos, 0);
    side_put(b, first, s, &h->neg, h->pos.counts_n);
}

static bool hists_put(struct bits *b, const struct xor_chunk_column *c, uint32_t at, uint32_t n,
                      bool integers, struct arena *a, struct err *e)
{
    const struct nhist *first = hist_at(c, at);
    const size_t buckets = (size_t)first->pos.counts_n + first->neg.counts_n;
    struct hist_state s = {.integers = integers};
    if (integers) {
        s.buckets = ARENA_ARRAY(a, int64_t, buckets);
        s.deltas = ARENA_ARRAY(a, int64_t, buckets);
    } else {
        s.values = ARENA_ARRAY(a, double, buckets);
        s.windows = ARENA_ARRAY(a, struct window, buckets);
    }
    if ((integers && (s.buckets == NULL || s.deltas == NULL)) ||
        (!integers && (s.values == NULL || s.windows == NULL))) {
        return err_set(e, ERR_LIMIT, "no memory for the buckets of a histogram");
    }
    bits_put(b, n, 16);
    bits_put(b, (uint64_t)header_of(c, at, integers) << 6, 8);
    for (uint32_t i = at; i < at + n; i++) {
        const struct nhist *h = hist_at(c, i);
        const struct nhist stale = {.sum = h->sum};
        h = is_stale_nan(h->sum) ? &stale : h;
        if (i == at) {
            layout_put(b, h);
        }
        sample_put(b, i == at, &s, c->t_ms[i], h);
    }
    return true;
}

bool xor_chunk_encode(const struct xor_chunk_column *c, uint32_t at, struct arena *a,
                      struct buf *out, struct xor_chunk *chunk, struct err *e)
{
    ASSERT(at < c->n);
    struct bits b = {.out = out};
    const struct nhist *h = hist_at(c, at);
    const bool integers = h != NULL && in_integers(h);
    uint32_t n = 1;
    while (n < XOR_CHUNK_SAMPLES_MAX && at + n < c->n && one_chunk(c, at + n, integers)) {
        ASSERT_SLOW(c->t_ms[at + n - 1] < c->t_ms[at + n]);
        n++;
    }
    *chunk = (struct xor_chunk){.encoding = h == NULL  ? XOR_CHUNK_FLOATS
                                            : integers ? XOR_CHUNK_HISTS
                                                       : XOR_CHUNK_FLOAT_HISTS,
                                .samples_count = n};
    if (h == NULL) {
        floats_put(&b, c, at, n);
    } else if (!hists_put(&b, c, at, n, integers, a, e)) {
        return false;
    }
    bits_end(&b);
    return buf_ok(out, e);
}
