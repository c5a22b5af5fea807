/* Columns of histograms.
 *
 *     u8 0    content as it is: per sample u8 0 (none) or 1 and codec/nhist.c's bytes
 *     u8 1    varint bytes of the content, content packed by zstd
 *     u8 2    layouts and columns:
 *               varint layouts (1..64), per layout: u8 integer + 2 * reset, zigzag schema, f64 zero
 *               threshold, two sides: varint spans, per span zigzag offset, varint length; varint
 *               custom bounds, f64 each
 *               runs until all samples are covered: varint length, varint layout + 1 (0 = none)
 *               columns, each varint bytes and col_values.c's: count, sum, zero count, then each
 *               bucket that any layout has, positive ones ascending, then negative ones
 *
 * Neighbouring samples of a series have nearly the same layout, and each bucket is a counter of its
 * own: stored as columns they cost what counters cost. Where a layout lacks a bucket its column
 * holds 0 and the reader drops it. Few samples, different schemas, or spans that go backwards
 * (which no sender should give) take the general form.
 *
 * Invariant: both sides walk the union of the layouts' buckets by the same iterators, so the
 * columns need no names; therefore writing and reading stand in one file, longer than others. A
 * column of the third form has at most CELLS_MAX values in all. */
#include "engines/tsdb/col_priv_int.h"

#include <zstd.h>

#define CONTENT_BYTES_MAX ((size_t)64 << 20)
#define ZSTD_LEVEL        3
#define LAYOUTS_MAX       64
#define SAMPLES_MIN       6 /* fewer are smaller packed */
#define CELLS_MAX         ((uint64_t)1 << 22)
#define HEADS             3 /* count, sum, zero count */

enum { FORM_PLAIN, FORM_PACKED, FORM_COLUMNS };

/* Where a layout's walk over the buckets of one side stands. */
struct walk {
    const struct nhist_side *side;
    uint32_t span, in_span;
    uint32_t pos;  /* in counts */
    int64_t index; /* of the bucket; INT64_MAX = all done */
};

struct layouts {
    const struct nhist *at[LAYOUTS_MAX]; /* borrows: counts are not looked at */
    unsigned count;
};

static void walk_settle(struct walk *w)
{
    while (w->span < w->side->spans_n && w->in_span == w->side->spans[w->span].length) {
        w->span++;
        w->in_span = 0;
        if (w->span < w->side->spans_n) {
            w->index += w->side->spans[w->span].offset;
        }
    }
    if (w->span == w->side->spans_n) {
        w->index = INT64_MAX;
    }
}

static void walk_begin(struct walk *w, const struct nhist_side *side)
{
    *w = (struct walk){.side = side, .index = side->spans_n > 0 ? side->spans[0].offset : 0};
    walk_settle(w);
}

static void walk_on(struct walk *w)
{
    w->in_span++;
    w->pos++;
    w->index++;
    walk_settle(w);
}

static const struct nhist_side *side_of(const struct nhist *h, unsigned side)
{
    return side == 0 ? &h->pos : &h->neg;
}

/* The least bucket that any layout still has, INT64_MAX at the end. */
static int64_t next_bucket(const struct walk *w, unsigned layouts)
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < layouts; i++) {
        least = i64_min(least, w[i].index);
    }
    return least;
}

/* Spans go forwards, so that a walk ascends. */
static bool side_ascends(const struct nhist_side *s)
{
    for (uint32_t i = 1; i < s->spans_n; i++) {
        if (s->spans[i].offset < 0) {
            return false;
        }
    }
    return true;
}

static bool side_fits(const struct nhist_side *s)
{
    uint64_t buckets = 0;
    for (uint32_t i = 0; i < s->spans_n; i++) {
        buckets += s->spans[i].length;
    }
    return buckets == s->counts_n && buckets <= NHIST_BUCKETS_MAX;
}

static bool same_spans(const struct nhist_side *a, const struct nhist_side *b)
{
    bool same = a->spans_n == b->spans_n;
    for (uint32_t i = 0; i < a->spans_n && same; i++) {
        same = a->spans[i].offset == b->spans[i].offset && a->spans[i].length == b->spans[i].length;
    }
    return same;
}

static bool same_scale(const struct nhist *a, const struct nhist *b)
{
    return a->schema == b->schema && a->custom_n == b->custom_n &&
           (a->custom_n == 0 || memcmp(a->custom, b->custom, a->custom_n * sizeof *a->custom) == 0);
}

static bool same_layout(const struct nhist *a, const struct nhist *b)
{
    return same_scale(a, b) && a->reset == b->reset && a->integer == b->integer &&
           memcmp(&a->zero_threshold, &b->zero_threshold, sizeof a->zero_threshold) == 0 &&
           same_spans(&a->pos, &b->pos) && same_spans(&a->neg, &b->neg);
}

/* --- the general form ------------------------------------------------------------------------- */

static bool encode_content(struct col_scratch *s, const struct nhist *const *h, uint32_t n,
                           struct buf *out, struct err *e)
{
    struct buf content;
    unsigned char head[1 + COL_VARINT_BYTES_MAX] = {FORM_PACKED};
    buf_init(&content, s->mem, CONTENT_BYTES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        buf_u8(&content, h[i] != NULL);
        if (h[i] != NULL) {
            nhist_encode(h[i], &content);
        }
    }
    bool ok = buf_ok(&content, e);
    size_t bound = ZSTD_compressBound(content.n);
    char *to = ok ? buf_room(out, sizeof head + bound) : NULL;
    if (to == NULL) {
        buf_release(&content);
        return ok && buf_ok(out, e);
    }
    size_t head_n = (size_t)(col_put_varint(head + 1, content.n) - head);
    size_t packed = ZSTD_compress(to + head_n, bound, content.p, content.n, ZSTD_LEVEL);
    if (ZSTD_isError(packed) != 0 || packed + head_n > content.n) {
        buf_u8(out, FORM_PLAIN);
        buf_add(out, content.p, content.n);
    } else {
        memcpy(to, head, head_n);
        out->n += head_n + packed;
    }
    buf_release(&content);
    return buf_ok(out, e);
}

static bool get_content(struct rd *in, uint32_t n, struct arena *a, struct nhist **h, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        unsigned there = rd_u8(in);
        h[i] = NULL;
        if (in->failed || there > 1) {
            return col_corrupt(e, "histogram");
        }
        if (there == 1 && !nhist_decode(in, a, &h[i], e)) {
            return false;
        }
    }
    return rd_left(in) == 0 || col_corrupt(e, "length");
}

static bool get_packed(struct col_scratch *s, struct rd *in, uint32_t n, struct arena *a,
                       struct nhist **h, struct err *e)
{
    uint64_t size = col_get_varint(in);
    if (in->failed || size > CONTENT_BYTES_MAX) {
        return col_corrupt(e, "size of histograms");
    }
    unsigned char *p = mem_take(s->mem, size);
    if (p == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a column of histograms");
    }
    size_t got = ZSTD_decompress(p, size, in->p, rd_left(in));
    bool ok;
    if (ZSTD_isError(got) != 0 || got != size) {
        ok = col_corrupt(e, "packed histograms");
    } else {
        struct rd content = rd_of(str_of((const char *)p, size));
        ok = get_content(&content, n, a, h, e);
    }
    mem_give(s->mem, p, size);
    return ok;
}

/* --- columns: writing ------------------------------------------------------------------------- */

static void put_varint(struct buf *out, uint64_t v)
{
    unsigned char bytes[COL_VARINT_BYTES_MAX];
    buf_add(out, bytes, (size_t)(col_put_varint(bytes, v) - bytes));
}

static void put_layout(struct buf *out, const struct nhist *h)
{
    buf_u8(out, (uint8_t)((h->integer ? 1u : 0u) | (unsigned)h->reset << 1));
    put_varint(out, col_zigzag(h->schema));
    buf_f64le(out, h->zero_threshold);
    for (unsigned side = 0; side < 2; side++) {
        const struct nhist_side *s = side_of(h, side);
        put_varint(out, s->spans_n);
        for (uint32_t i = 0; i < s->spans_n; i++) {
            put_varint(out, col_zigzag(s->spans[i].offset));
            put_varint(out, s->spans[i].length);
        }
    }
    put_varint(out, h->custom_n);
    for (uint32_t i = 0; i < h->custom_n; i++) {
        buf_f64le(out, h->custom[i]);
    }
}

/* Layout + 1 of each sample, 0 for none; false when this form does not suit. */
static bool find_layouts(const struct nhist *const *h, uint32_t n, struct layouts *l,
                         unsigned char *ids, uint32_t *samples)
{
    uint64_t buckets = 0;
    *samples = 0;
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = 0;
        if (h[i] == NULL) {
            continue;
        }
        unsigned k = l->count; /* the newest is the likeliest */
        while (k > 0 && !same_layout(l->at[k - 1], h[i])) {
            k--;
        }
        if (k == 0) {
            bool fits = l->count < LAYOUTS_MAX && side_ascends(&h[i]->pos) &&
                        side_ascends(&h[i]->neg) && (l->count == 0 || same_scale(l->at[0], h[i]));
            if (!fits) {
                return false;
            }
            buckets += (uint64_t)h[i]->pos.counts_n + h[i]->neg.counts_n;
            l->at[l->count++] = h[i];
            k = l->count;
        }
        ids[i] = (unsigned char)k;
        (*samples)++;
    }
    return *samples >= SAMPLES_MIN && *samples * (buckets + HEADS) <= CELLS_MAX;
}

/* One column of values with its length before it. */
static bool put_column(struct col_scratch *s, const double *v, uint32_t n, struct buf *column,
                       struct buf *out, struct err *e)
{
    buf_reset(column);
    if (!col_values_encode(s, v, NULL, n, column, e)) {
        return false;
    }
    put_varint(out, column->n);
    buf_add(out, column->p, column->n);
    return buf_ok(out, e);
}

static bool put_side(struct col_scratch *s, const struct nhist *const *h, uint32_t n, unsigned side,
                     const struct layouts *l, const unsigned char *ids, double *v,
                     struct buf *column, struct buf *out, struct err *e)
{
    struct walk w[LAYOUTS_MAX];
    for (unsigned k = 0; k < l->count; k++) {
        walk_begin(&w[k], side_of(l->at[k], side));
    }
    for (int64_t b = next_bucket(w, l->count); b != INT64_MAX; b = next_bucket(w, l->count)) {
        uint32_t m = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (ids[i] > 0) {
                const struct walk *at = &w[ids[i] - 1];
                v[m++] = at->index == b ? side_of(h[i], side)->counts[at->pos] : 0.0;
            }
        }
        if (!put_column(s, v, m, column, out, e)) {
            return false;
        }
        for (unsigned k = 0; k < l->count; k++) {
            if (w[k].index == b) {
                walk_on(&w[k]);
            }
        }
    }
    return true;
}

static double *head_of(struct nhist *h, unsigned which)
{
    return which == 0 ? &h->count : which == 1 ? &h->sum : &h->zero_count;
}

static bool put_columns(struct col_scratch *s, const struct nhist *const *h, uint32_t n,
                        const struct layouts *l, const unsigned char *ids, double *v,
                        struct buf *column, struct buf *out, struct err *e)
{
    buf_u8(out, FORM_COLUMNS);
    put_varint(out, l->count);
    for (unsigned k = 0; k < l->count; k++) {
        put_layout(out, l->at[k]);
    }
    for (uint32_t i = 0; i < n;) {
        uint32_t end = i + 1;
        while (end < n && ids[end] == ids[i]) {
            end++;
        }
        put_varint(out, end - i);
        put_varint(out, ids[i]);
        i = end;
    }
    for (unsigned which = 0; which < HEADS; which++) {
        uint32_t m = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (h[i] != NULL) {
                struct nhist one = *h[i];
                v[m++] = *head_of(&one, which);
            }
        }
        if (!put_column(s, v, m, column, out, e)) {
            return false;
        }
    }
    return put_side(s, h, n, 0, l, ids, v, column, out, e) &&
           put_side(s, h, n, 1, l, ids, v, column, out, e);
}

bool col_nhists_encode(struct col_scratch *s, const struct nhist *const *h, uint32_t n,
                       struct buf *out, struct err *e)
{
    if (n > COL_VALUES_MAX) {
        return err_set(e, ERR_LIMIT, "column of %u histograms, more than %d", n, COL_VALUES_MAX);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (h[i] != NULL && (!side_fits(&h[i]->pos) || !side_fits(&h[i]->neg))) {
            return err_set(e, ERR_INPUT, "histogram %u has other buckets than its spans say", i);
        }
    }
    size_t n_before = out->n;
    size_t v_bytes = (n + (size_t)COL_SLACK) * sizeof(double);
    struct layouts l = {.count = 0};
    struct buf column;
    uint32_t samples;
    bool ok;
    buf_init(&column, s->mem, v_bytes * 2);
    unsigned char *ids = mem_take(s->mem, n);
    double *v = mem_take(s->mem, v_bytes);
    if (ids == NULL || v == NULL) {
        ok = err_set(e, ERR_NOMEM, "no memory for a column of histograms");
    } else if (find_layouts(h, n, &l, ids, &samples)) {
        ok = put_columns(s, h, n, &l, ids, v, &column, out, e);
    } else {
        ok = encode_content(s, h, n, out, e);
    }
    mem_give(s->mem, ids, n);
    mem_give(s->mem, v, v_bytes);
    buf_release(&column);
    out->n = ok ? out->n : n_before;
    return ok;
}

/* --- columns: reading ------------------------------------------------------------------------- */

static bool get_spans(struct rd *in, struct arena *a, struct nhist_side *s, struct err *e)
{
    uint64_t spans = col_get_varint(in);
    uint64_t buckets = 0;
    if (in->failed || spans > rd_left(in) || spans > NHIST_BUCKETS_MAX) {
        return col_corrupt(e, "number of spans");
    }
    s->spans_n = (uint32_t)spans;
    s->spans = spans > 0 ? ARENA_ARRAY(a, struct nhist_span, spans) : NULL;
    if (spans > 0 && s->spans == NULL) {
        return err_set(e, ERR_LIMIT, "histograms do not fit in memory");
    }
    for (uint32_t i = 0; i < s->spans_n; i++) {
        int64_t offset = col_unzigzag(col_get_varint(in));
        uint64_t length = col_get_varint(in);
        if (in->failed || offset < (i > 0 ? 0 : INT32_MIN) || offset > INT32_MAX ||
            length > NHIST_BUCKETS_MAX - buckets) {
            return col_corrupt(e, "span");
        }
        s->spans[i] = (struct nhist_span){(int32_t)offset, (uint32_t)length};
        buckets += length;
    }
    s->counts_n = (uint32_t)buckets;
    return true;
}

static bool get_layout(struct rd *in, struct arena *a, const struct nhist **out, struct err *e)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    if (h == NULL) {
        return err_set(e, ERR_LIMIT, "histograms do not fit in memory");
    }
    unsigned flags = rd_u8(in);
    int64_t schema = col_unzigzag(col_get_varint(in));
    h->zero_threshold = rd_f64le(in);
    if (in->failed || flags > 7 || schema < INT32_MIN || schema > INT32_MAX) {
        return col_corrupt(e, "layout");
    }
    h->integer = (flags & 1) != 0;
    h->reset = (enum nhist_reset)(flags >> 1);
    h->schema = (int32_t)schema;
    if (!get_spans(in, a, &h->pos, e) || !get_spans(in, a, &h->neg, e)) {
        return false;
    }
    uint64_t custom = col_get_varint(in);
    if (in->failed || custom > NHIST_BUCKETS_MAX || custom > rd_left(in) / sizeof(double)) {
        return col_corrupt(e, "number of custom bounds");
    }
    h->custom_n = (uint32_t)custom;
    h->custom = custom > 0 ? ARENA_ARRAY(a, double, custom) : NULL;
    if (custom > 0 && h->custom == NULL) {
        return err_set(e, ERR_LIMIT, "histograms do not fit in memory");
    }
    for (uint32_t i = 0; i < h->custom_n; i++) {
        h->custom[i] = rd_f64le(in);
    }
    *out = h;
    return true;
}

static bool new_counts(struct nhist_side *s, struct arena *a)
{
    s->counts = s->counts_n > 0 ? ARENA_ARRAY(a, double, s->counts_n) : NULL;
    return s->counts != NULL || s->counts_n == 0;
}

/* Makes the histograms of all samples, with counts of 0. */
static bool get_samples(struct rd *in, const struct layouts *l, uint32_t n, struct arena *a,
                        unsigned char *ids, struct nhist **h, uint32_t *samples, struct err *e)
{
    uint64_t cells = 0;
    *samples = 0;
    for (uint32_t i = 0; i < n;) {
        uint64_t run = col_get_varint(in);
        uint64_t id = col_get_varint(in);
        if (in->failed || run == 0 || run > n - i || id > l->count) {
            return col_corrupt(e, "run of histograms");
        }
        for (uint32_t end = i + (uint32_t)run; i < end; i++) {
            ids[i] = (unsigned char)id;
            h[i] = NULL;
            if (id == 0) {
                continue;
            }
            const struct nhist *layout = l->at[id - 1];
            cells += (uint64_t)layout->pos.counts_n + layout->neg.counts_n + HEADS;
            if (cells > CELLS_MAX) {
                return col_corrupt(e, "too many buckets");
            }
            h[i] = ARENA_NEW(a, struct nhist);
            if (h[i] != NULL) {
                *h[i] = *layout;
            }
            if (h[i] == NULL || !new_counts(&h[i]->pos, a) || !new_counts(&h[i]->neg, a)) {
                return err_set(e, ERR_LIMIT, "histograms do not fit in memory");
            }
            (*samples)++;
        }
    }
    return true;
}

static bool get_column(struct col_scratch *s, struct rd *in, uint32_t n, double *v, struct err *e)
{
    uint64_t bytes = col_get_varint(in);
    if (in->failed || bytes > rd_left(in)) {
        return col_corrupt(e, "column of histograms");
    }
    return col_values_decode(s, rd_bytes(in, bytes), NULL, n, v, e);
}

static bool get_side(struct col_scratch *s, struct rd *in, uint32_t n, uint32_t samples,
                     unsigned side, const struct layouts *l, const unsigned char *ids, double *v,
                     struct nhist **h, struct err *e)
{
    struct walk w[LAYOUTS_MAX];
    for (unsigned k = 0; k < l->count; k++) {
        walk_begin(&w[k], side_of(l->at[k], side));
    }
    for (int64_t b = next_bucket(w, l->count); b != INT64_MAX; b = next_bucket(w, l->count)) {
        if (!get_column(s, in, samples, v, e)) {
            return false;
        }
        uint32_t m = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (ids[i] == 0) {
                continue;
            }
            const struct walk *at = &w[ids[i] - 1];
            if (at->index == b) {
                side_of(h[i], side)->counts[at->pos] = v[m];
            }
            m++;
        }
        for (unsigned k = 0; k < l->count; k++) {
            if (w[k].index == b) {
                walk_on(&w[k]);
            }
        }
    }
    return true;
}

static bool get_columns(struct col_scratch *s, struct rd *in, uint32_t n, struct arena *a,
                        unsigned char *ids, double *v, struct nhist **h, struct err *e)
{
    struct layouts l = {.count = 0};
    uint32_t samples;
    uint64_t layouts = col_get_varint(in);
    if (in->failed || layouts > LAYOUTS_MAX) {
        return col_corrupt(e, "number of layouts");
    }
    for (; l.count < layouts; l.count++) {
        if (!get_layout(in, a, &l.at[l.count], e)) {
            return false;
        }
    }
    if (!get_samples(in, &l, n, a, ids, h, &samples, e)) {
        return false;
    }
    for (unsigned which = 0; which < HEADS; which++) {
        uint32_t m = 0;
        if (!get_column(s, in, samples, v, e)) {
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (h[i] != NULL) {
                *head_of(h[i], which) = v[m++];
            }
        }
    }
    if (!get_side(s, in, n, samples, 0, &l, ids, v, h, e) ||
        !get_side(s, in, n, samples, 1, &l, ids, v, h, e)) {
        return false;
    }
    return rd_left(in) == 0 || col_corrupt(e, "length");
}

bool col_nhists_decode(struct col_scratch *s, struct str bytes, uint32_t n, struct arena *a,
                       struct nhist **h, struct err *e)
{
    struct rd in = rd_of(bytes);
    unsigned form = rd_u8(&in);
    if (in.failed || n > COL_VALUES_MAX || form > FORM_COLUMNS) {
        return col_corrupt(e, "unknown form of histograms");
    }
    if (form == FORM_PLAIN) {
        return get_content(&in, n, a, h, e);
    }
    if (form == FORM_PACKED) {
        return get_packed(s, &in, n, a, h, e);
    }
    size_t v_bytes = (n + (size_t)COL_SLACK) * sizeof(double);
    unsigned char *ids = mem_take(s->mem, n);
    double *v = mem_take(s->mem, v_bytes);
    bool ok = ids != NULL && v != NULL ? get_columns(s, &in, n, a, ids, v, h, e)
                                       : err_set(e, ERR_NOMEM, "no memory for histograms");
    mem_give(s->mem, ids, n);
    mem_give(s->mem, v, v_bytes);
    return ok;
}
