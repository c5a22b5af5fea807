/* Native histograms as values: copying, comparing, validating, and their bytes.
 *
 * The bytes are for logs and for columns that fit no better form, so they are small for what is
 * usual (whole counts that change little from bucket to bucket) and exact for everything else.
 *
 *     u8      flags: 1 integer, 2+4 reset, 8 custom bounds follow, 16/32/64 positive counts /
 *             negative counts / (zero count, count) are whole numbers
 *     zigzag  schema
 *     f64     zero threshold, sum
 *     2 x     zero count, count: zigzag when whole, else f64
 *     side    positive, then negative:
 *               varint spans, per span zigzag offset, varint length
 *               counts, as many as the lengths add up to: zigzag differences when whole, else f64
 *     custom  varint n, n x f64
 *
 * Varints are LEB128, at most 10 bytes. "Whole" means |x| <= 2^53 and not -0, so that an int64 and
 * back gives the same bits; doubles that are not are stored raw.
 *
 * Invariant: decoding never makes more than 8 bytes of output per byte of input and reads each
 * byte once. Source of the rules of nhist_validate: the native histogram specification at
 * prometheus.io/docs/specs/native_histograms. */
#include "codec/nhist.h"

#include <math.h>

#define WHOLE_MAX        0x1.0p53
#define VARINT_BYTES_MAX 10

enum flags {
    F_INTEGER = 1,
    F_RESET_SHIFT = 1,
    F_RESET_MASK = 3 << F_RESET_SHIFT,
    F_CUSTOM = 8,
    F_POS_WHOLE = 16,
    F_NEG_WHOLE = 32,
    F_HEAD_WHOLE = 64,
};

static void *copy_array(struct arena *a, const void *p, size_t n, size_t bytes, bool *ok)
{
    if (n == 0) {
        return NULL;
    }
    void *to = arena_array(a, n, bytes, _Alignof(double));
    if (to == NULL) {
        *ok = false;
        return NULL;
    }
    memcpy(to, p, n * bytes);
    return to;
}

static bool copy_side(struct nhist_side *to, const struct nhist_side *from, struct arena *a)
{
    bool ok = true;
    to->spans_n = from->spans_n;
    to->counts_n = from->counts_n;
    to->spans = copy_array(a, from->spans, from->spans_n, sizeof *to->spans, &ok);
    to->counts = copy_array(a, from->counts, from->counts_n, sizeof *to->counts, &ok);
    return ok;
}

struct nhist *nhist_copy(const struct nhist *h, struct arena *a)
{
    struct nhist *to = ARENA_NEW(a, struct nhist);
    if (to == NULL) {
        return NULL;
    }
    bool ok = true;
    *to = *h;
    to->custom = copy_array(a, h->custom, h->custom_n, sizeof *to->custom, &ok);
    ok = ok && copy_side(&to->pos, &h->pos, a) && copy_side(&to->neg, &h->neg, a);
    return ok ? to : NULL;
}

static bool same_f64(const double *a, const double *b, uint32_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

static bool same_side(const struct nhist_side *a, const struct nhist_side *b)
{
    if (a->spans_n != b->spans_n || a->counts_n != b->counts_n) {
        return false;
    }
    for (uint32_t i = 0; i < a->spans_n; i++) {
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].length != b->spans[i].length) {
            return false;
        }
    }
    return same_f64(a->counts, b->counts, a->counts_n);
}

bool nhist_same(const struct nhist *a, const struct nhist *b)
{
    const double x[] = {a->zero_threshold, a->zero_count, a->count, a->sum};
    const double y[] = {b->zero_threshold, b->zero_count, b->count, b->sum};
    return a->schema == b->schema && a->reset == b->reset && a->integer == b->integer &&
           a->custom_n == b->custom_n && same_f64(x, y, ARRAY_LEN(x)) &&
           same_f64(a->custom, b->custom, a->custom_n) && same_side(&a->pos, &b->pos) &&
           same_side(&a->neg, &b->neg);
}

/* --- validation ------------------------------------------------------------------------------- */

static bool validate_spans(const struct nhist_side *s, const char *side, struct err *e)
{
    uint64_t buckets = 0;
    for (uint32_t i = 0; i < s->spans_n; i++) {
        if (i > 0 && s->spans[i].offset < 0) {
            return err_set(e, ERR_INPUT, "%s side: span number %u has the negative offset %d", side,
                           i + 1, s->spans[i].offset);
        }
        buckets += s->spans[i].length;
    }
    if (buckets != s->counts_n) {
        return err_set(e, ERR_INPUT, "%s side: spans need %llu buckets, have %u buckets", side,
                       (unsigned long long)buckets, s->counts_n);
    }
    return true;
}

static bool validate_counts(const struct nhist *h, const struct nhist_side *s, const char *side,
                            double *sum, struct err *e)
{
    for (uint32_t i = 0; i < s->counts_n; i++) {
        if (s->counts[i] < 0.0 && h->reset != NHIST_GAUGE) {
            return err_set(e, ERR_INPUT, "%s side: bucket number %u has the observation count %g",
                           side, i + 1, s->counts[i]);
        }
        *sum += s->counts[i];
    }
    return true;
}

static bool validate_custom(const struct nhist *h, struct err *e)
{
    if (h->zero_count != 0.0 || h->zero_threshold != 0.0) {
        return err_set(e, ERR_INPUT, "custom buckets: must have no zero bucket");
    }
    if (h->neg.spans_n != 0 || h->neg.counts_n != 0) {
        return err_set(e, ERR_INPUT, "custom buckets: must not have negative buckets");
    }
    for (uint32_t i = 0; i < h->custom_n; i++) {
        if (isnan(h->custom[i]) || (i > 0 && h->custom[i] <= h->custom[i - 1])) {
            return err_set(e, ERR_INPUT, "custom buckets: bound number %u is %g after %g", i + 1,
                           h->custom[i], i > 0 ? h->custom[i - 1] : -(double)INFINITY);
        }
    }
    if (h->custom_n > 0 && h->custom[h->custom_n - 1] == (double)INFINITY) {
        return err_set(e, ERR_INPUT, "custom buckets: last bound must not be infinite");
    }
    int64_t end = 0; /* behind the last bucket, counted from the first bound */
    for (uint32_t i = 0; i < h->pos.spans_n; i++) {
        if (h->pos.spans[i].offset < 0) {
            return err_set(e, ERR_INPUT, "custom buckets: span number %u has the offset %d", i + 1,
                           h->pos.spans[i].offset);
        }
        end += (int64_t)h->pos.spans[i].offset + h->pos.spans[i].length;
    }
    if (end > (int64_t)h->custom_n + 1) {
        return err_set(e, ERR_INPUT,
                       "custom buckets: %u bounds are too few for spans that end at %lld",
                       h->custom_n, (long long)end);
    }
    return true;
}

/* What fits an integer of the wire: a message may mix a whole count with a float zero count. */
static bool is_count(double v)
{
    return v >= 0 && v < 0x1.0p63 && v == rint(v);
}

bool nhist_validate(const struct nhist *h, struct err *e)
{
    double sum = h->zero_count;
    bool custom = h->schema == NHIST_SCHEMA_CUSTOM;
    if (!custom && (h->schema < NHIST_SCHEMA_MIN || h->schema > NHIST_SCHEMA_MAX)) {
        return err_set(e, ERR_INPUT, "schema %d is neither %d to %d nor %d", h->schema,
                       NHIST_SCHEMA_MIN, NHIST_SCHEMA_MAX, NHIST_SCHEMA_CUSTOM);
    }
    if (!custom && h->custom_n != 0) {
        return err_set(e, ERR_INPUT, "schema %d has no custom bounds, found %u", h->schema,
                       h->custom_n);
    }
    if ((uint64_t)h->pos.counts_n + h->neg.counts_n > NHIST_BUCKETS_MAX ||
        (uint64_t)h->pos.spans_n + h->neg.spans_n > NHIST_BUCKETS_MAX ||
        h->custom_n > NHIST_BUCKETS_MAX) {
        return err_set(e, ERR_INPUT, "histogram has more than %d buckets", NHIST_BUCKETS_MAX);
    }
    if (!validate_spans(&h->pos, "positive", e) || !validate_spans(&h->neg, "negative", e) ||
        !validate_counts(h, &h->pos, "positive", &sum, e) ||
        !validate_counts(h, &h->neg, "negative", &sum, e) || (custom && !validate_custom(h, e))) {
        return false;
    }
    if (h->integer && !(is_count(h->count) && is_count(h->zero_count))) {
        return err_set(e, ERR_INPUT,
                       "expected whole numbers from 0 to below 2^63 as count and zero count, found "
                       "%.17g and %.17g",
                       h->count, h->zero_count);
    }
    /* Sums of float counts round, so only whole ones can be held against the count. Observations
     * of NaN are in the count and in no bucket; they leave their mark in the sum. */
    bool fits = isnan(h->sum) ? sum <= h->count : sum == h->count;
    if (h->integer && !fits) {
        return err_set(e, ERR_INPUT, "%.17g observations found in buckets, but the count is %.17g",
                       sum, h->count);
    }
    return true;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static bool whole(double v)
{
    return fabs(v) <= WHOLE_MAX && v == rint(v) && !(v == 0.0 && signbit(v));
}

static bool all_whole(const double *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!whole(v[i])) {
            return false;
        }
    }
    return true;
}

static void put_varint(struct buf *b, uint64_t v)
{
    unsigned char *p = (unsigned char *)buf_room(b, VARINT_BYTES_MAX);
    if (p == NULL) {
        return;
    }
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) {
        p[n++] = (unsigned char)(v | 0x80);
    }
    p[n++] = (unsigned char)v;
    b->n += n;
}

static void put_zigzag(struct buf *b, int64_t v)
{
    put_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static uint64_t get_varint(struct rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = rd_u8(r);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

static int64_t get_zigzag(struct rd *r)
{
    uint64_t u = get_varint(r);
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

static void put_counts(struct buf *out, const double *v, uint32_t n, bool is_whole)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (is_whole) {
            int64_t x = (int64_t)v[i];
            put_zigzag(out, x - before);
            before = x;
        } else {
            buf_f64le(out, v[i]);
        }
    }
}

static bool get_counts(struct rd *r, double *v, uint32_t n, bool is_whole)
{
    const int64_t max = (int64_t)WHOLE_MAX;
    int64_t before = 0;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        if (!is_whole) {
            v[i] = rd_f64le(r);
            continue;
        }
        int64_t step = get_zigzag(r);
        if (step > 2 * max || step < -2 * max || before + step > max || before + step < -max) {
            r->failed = true;
            return false;
        }
        before += step;
        v[i] = (double)before;
    }
    return !r->failed;
}

static void put_side(struct buf *out, const struct nhist_side *s, bool is_whole)
{
    put_varint(out, s->spans_n);
    for (uint32_t i = 0; i < s->spans_n; i++) {
        put_zigzag(out, s->spans[i].offset);
        put_varint(out, s->spans[i].length);
    }
    put_counts(out, s->counts, s->counts_n, is_whole);
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "histogram does not fit in memory");
}

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "damaged histogram: %s", what);
}

/* buckets: how many the sides before hold. */
static bool get_side(struct rd *r, struct nhist_side *s, bool is_whole, uint64_t *buckets,
                     struct arena *a, struct err *e)
{
    uint64_t spans = get_varint(r);
    if (r->failed || spans > NHIST_BUCKETS_MAX || spans > rd_left(r)) {
        return damaged(e, "number of spans");
    }
    uint64_t counts = 0;
    s->spans_n = (uint32_t)spans;
    s->spans = spans > 0 ? ARENA_ARRAY(a, struct nhist_span, spans) : NULL;
    if (spans > 0 && s->spans == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; i < s->spans_n; i++) {
        int64_t offset = get_zigzag(r);
        uint64_t length = get_varint(r);
        if (r->failed || offset < INT32_MIN || offset > INT32_MAX || length > NHIST_BUCKETS_MAX) {
            return damaged(e, "span");
        }
        s->spans[i] = (struct nhist_span){(int32_t)offset, (uint32_t)length};
        counts += length;
    }
    *buckets += counts;
    if (*buckets > NHIST_BUCKETS_MAX || counts > rd_left(r)) {
        return damaged(e, "number of buckets");
    }
    s->counts_n = (uint32_t)counts;
    s->counts = counts > 0 ? ARENA_ARRAY(a, double, counts) : NULL;
    if (counts > 0 && s->counts == NULL) {
        return no_memory(e);
    }
    return get_counts(r, s->counts, s->counts_n, is_whole) || damaged(e, "counts");
}

void nhist_encode(const struct nhist *h, struct buf *out)
{
    size_t n_before = out->n;
    const double head[] = {h->zero_count, h->count};
    bool head_whole = whole(head[0]) && whole(head[1]);
    bool pos_whole = all_whole(h->pos.counts, h->pos.counts_n);
    bool neg_whole = all_whole(h->neg.counts, h->neg.counts_n);
    unsigned flags = (h->integer ? F_INTEGER : 0u) |
                     (((unsigned)h->reset << F_RESET_SHIFT) & F_RESET_MASK) |
                     (h->custom_n > 0 ? F_CUSTOM : 0u) | (pos_whole ? F_POS_WHOLE : 0u) |
                     (neg_whole ? F_NEG_WHOLE : 0u) | (head_whole ? F_HEAD_WHOLE : 0u);
    buf_u8(out, (uint8_t)flags);
    put_zigzag(out, h->schema);
    buf_f64le(out, h->zero_threshold);
    buf_f64le(out, h->sum);
    put_counts(out, head, ARRAY_LEN(head), head_whole);
    put_side(out, &h->pos, pos_whole);
    put_side(out, &h->neg, neg_whole);
    if (h->custom_n > 0) {
        put_varint(out, h->custom_n);
        put_counts(out, h->custom, h->custom_n, false);
    }
    if (out->failed) {
        out->n = n_before;
    }
}

bool nhist_decode(struct rd *r, struct arena *a, struct nhist **out, struct err *e)
{
    unsigned flags = rd_u8(r);
    int64_t schema = get_zigzag(r);
    double head[2] = {0.0, 0.0};
    uint64_t buckets = 0;
    if (r->failed || (flags & 0x80) != 0 || schema < INT32_MIN || schema > INT32_MAX) {
        return damaged(e, "head");
    }
    struct nhist *h = ARENA_NEW(a, struct nhist);
    if (h == NULL) {
        return no_memory(e);
    }
    h->schema = (int32_t)schema;
    h->integer = (flags & F_INTEGER) != 0;
    h->reset = (enum nhist_reset)((flags & F_RESET_MASK) >> F_RESET_SHIFT);
    h->zero_threshold = rd_f64le(r);
    h->sum = rd_f64le(r);
    if (!get_counts(r, head, ARRAY_LEN(head), (flags & F_HEAD_WHOLE) != 0)) {
        return damaged(e, "counts");
    }
    h->zero_count = head[0];
    h->count = head[1];
    if (!get_side(r, &h->pos, (flags & F_POS_WHOLE) != 0, &buckets, a, e) ||
        !get_side(r, &h->neg, (flags & F_NEG_WHOLE) != 0, &buckets, a, e)) {
        return false;
    }
    if ((flags & F_CUSTOM) != 0) {
        uint64_t n = get_varint(r);
        if (r->failed || n == 0 || n > NHIST_BUCKETS_MAX || n > rd_left(r) / sizeof(double)) {
            return damaged(e, "number of custom bounds");
        }
        h->custom_n = (uint32_t)n;
        h->custom = ARENA_ARRAY(a, double, n);
        if (h->custom == NULL) {
            return no_memory(e);
        }
        if (!get_counts(r, h->custom, h->custom_n, false)) {
            return damaged(e, "custom bounds");
        }
    }
    *out = h;
    return true;
}
