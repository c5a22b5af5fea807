/* Native histograms as Prometheus' protobuf carries them.
 *
 *   Histogram: 1 count (uint64) or 2 (double), 3 sum, 4 schema (zigzag), 5 zero threshold,
 *   6 zero count (uint64) or 7 (double), 8/11 negative/positive spans {1 offset zigzag, 2 length},
 *   9/12 deltas (zigzag) for integers, 10/13 counts (double), 14 reset hint, 15 time in ms,
 *   16 custom bounds (double), 17 start time in ms (2.0).
 *
 * A message with field 1 counts in integers, its buckets are deltas; with field 2 they are
 * absolute. Repeated numbers come packed or one by one; both are read. */
#include "codec/prompb.h"

struct reader {
    struct arena *arena;
    struct nhist *h;
    size_t pos_spans_cap, neg_spans_cap, pos_cap, neg_cap, custom_cap;
    int64_t t_ms, st_ms;
    bool deltas_pos, deltas_neg, failed_memory;
};

/* Room for one more element in an arena array that doubles. */
static bool room(struct reader *r, void **p, size_t *cap, uint32_t n, size_t bytes)
{
    if (n < *cap) {
        return true;
    }
    const size_t cap_new = *cap ? *cap * 2 : 8;
    if (cap_new > NHIST_BUCKETS_MAX * 2) {
        r->failed_memory = true;
        return false;
    }
    void *grown = arena_array(r->arena, cap_new, bytes, 8);
    if (!grown) {
        r->failed_memory = true;
        return false;
    }
    if (n > 0) {
        memcpy(grown, *p, n * bytes);
    }
    *p = grown;
    *cap = cap_new;
    return true;
}

static void put_f64(struct reader *r, double **v, size_t *cap, uint32_t *n, double x)
{
    void *p = *v;
    if (room(r, &p, cap, *n, sizeof x)) {
        *v = p;
        (*v)[(*n)++] = x;
    }
}

static bool read_span(struct reader *r, struct nhist_side *side, size_t *cap, struct str bytes)
{
    struct nhist_span s = {0, 0};
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            s.offset = (int32_t)pb_zigzag(f.u);
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            s.length = (uint32_t)f.u;
        }
    }
    void *to = side->spans;
    if (p.failed || !room(r, &to, cap, side->spans_n, sizeof s)) {
        return !p.failed;
    }
    side->spans = to;
    side->spans[side->spans_n++] = s;
    return true;
}

/* Numbers of a repeated field, packed or single. */
static bool read_deltas(struct reader *r, struct nhist_side *side, size_t *cap,
                        const struct pb_field *f)
{
    if (f->wire == PB_VARINT) {
        put_f64(r, &side->counts, cap, &side->counts_n, (double)pb_zigzag(f->u));
        return true;
    }
    struct pb p = pb_of(f->bytes);
    uint64_t u;
    while (f->wire == PB_LEN && p.p < p.end && pb_varint(&p, &u)) {
        put_f64(r, &side->counts, cap, &side->counts_n, (double)pb_zigzag(u));
    }
    return f->wire == PB_LEN && !p.failed;
}

static bool read_doubles(struct reader *r, double **v, size_t *cap, uint32_t *n,
                         const struct pb_field *f)
{
    if (f->wire == PB_I64) {
        put_f64(r, v, cap, n, pb_f64(f->u));
        return true;
    }
    if (f->wire != PB_LEN || f->bytes.n % 8 != 0) {
        return false;
    }
    for (size_t i = 0; i < f->bytes.n; i += 8) {
        put_f64(r, v, cap, n, pb_f64(get_u64le(f->bytes.p + i)));
    }
    return true;
}

/* Fields of a single number; others, and unknown ones, are read over. */
static bool read_scalar(struct reader *r, const struct pb_field *f)
{
    static const unsigned doubles = 1U << 2 | 1U << 3 | 1U << 5 | 1U << 7;
    struct nhist *h = r->h;
    if (f->number > 17) {
        return true;
    }
    if (f->wire != ((doubles >> f->number & 1U) ? PB_I64 : PB_VARINT)) {
        return false;
    }
    switch (f->number) {
    case 1:
        h->count = (double)f->u;
        h->integer = true;
        break;
    case 2:
        h->count = pb_f64(f->u);
        h->integer = false; /* one of the two: the last wins */
        break;
    case 3: h->sum = pb_f64(f->u); break;
    case 4: h->schema = (int32_t)pb_zigzag(f->u); break;
    case 5: h->zero_threshold = pb_f64(f->u); break;
    case 6: h->zero_count = (double)f->u; break;
    case 7: h->zero_count = pb_f64(f->u); break;
    case 14: h->reset = f->u <= NHIST_GAUGE ? (enum nhist_reset)f->u : NHIST_UNKNOWN; break;
    case 15: r->t_ms = (int64_t)f->u; break;
    case 17: r->st_ms = (int64_t)f->u; break;
    default: break;
    }
    return true;
}

static bool read_field(struct reader *r, const struct pb_field *f)
{
    struct nhist *h = r->h;
    switch (f->number) {
    case 8: return f->wire == PB_LEN && read_span(r, &h->neg, &r->neg_spans_cap, f->bytes);
    case 11: return f->wire == PB_LEN && read_span(r, &h->pos, &r->pos_spans_cap, f->bytes);
    case 9: r->deltas_neg = true; return read_deltas(r, &h->neg, &r->neg_cap, f);
    case 12: r->deltas_pos = true; return read_deltas(r, &h->pos, &r->pos_cap, f);
    case 10: return read_doubles(r, &h->neg.counts, &r->neg_cap, &h->neg.counts_n, f);
    case 13: return read_doubles(r, &h->pos.counts, &r->pos_cap, &h->pos.counts_n, f);
    case 16: return read_doubles(r, &h->custom, &r->custom_cap, &h->custom_n, f);
    default: return read_scalar(r, f);
    }
}

static void sum_deltas(struct nhist_side *side)
{
    double at = 0;
    for (uint32_t i = 0; i < side->counts_n; i++) {
        at += side->counts[i];
        side->counts[i] = at;
    }
}

bool prompb_histogram_read(struct str bytes, struct arena *a, struct nhist **out, int64_t *t_ms,
                           int64_t *st_ms, struct err *e)
{
    struct reader r = {.arena = a, .h = ARENA_NEW(a, struct nhist)};
    if (!r.h) {
        return err_set(e, ERR_LIMIT, "no memory for a histogram of %zu bytes", bytes.n);
    }
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (!read_field(&r, &f)) {
            return err_set(e, ERR_INPUT, "malformed histogram: field %u", f.number);
        }
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed histogram: expected a protobuf message");
    }
    if (r.failed_memory) {
        return err_set(e, ERR_LIMIT, "histogram of more than %d buckets", NHIST_BUCKETS_MAX);
    }
    if (r.deltas_pos) {
        sum_deltas(&r.h->pos);
    }
    if (r.deltas_neg) {
        sum_deltas(&r.h->neg);
    }
    *out = r.h;
    *t_ms = r.t_ms;
    *st_ms = r.st_ms;
    return nhist_validate(r.h, e);
}

static void write_spans(struct buf *b, uint32_t number, const struct nhist_side *side)
{
    for (uint32_t i = 0; i < side->spans_n; i++) {
        const size_t mark = pb_begin(b, number);
        pb_put_sint(b, 1, side->spans[i].offset);
        pb_put_varint(b, 2, side->spans[i].length);
        pb_end(b, mark);
    }
}

static void write_side(struct buf *b, uint32_t spans, const struct nhist_side *side, bool integer)
{
    write_spans(b, spans, side);
    if (side->counts_n == 0) {
        return;
    }
    const size_t mark = pb_begin(b, integer ? spans + 1 : spans + 2);
    double before = 0;
    for (uint32_t i = 0; i < side->counts_n; i++) {
        if (integer) {
            const int64_t d = (int64_t)(side->counts[i] - before);
            pb_raw_varint(b, (uint64_t)d << 1 ^ (uint64_t)(d >> 63));
            before = side->counts[i];
        } else {
            buf_f64le(b, side->counts[i]);
        }
    }
    pb_end(b, mark);
}

void prompb_histogram_write(struct buf *b, uint32_t number, const struct nhist *h, int64_t t_ms,
                            int64_t st_ms)
{
    const size_t mark = pb_begin(b, number);
    if (h->integer) {
        pb_put_varint(b, 1, (uint64_t)h->count);
    } else {
        pb_put_f64(b, 2, h->count);
    }
    pb_put_f64(b, 3, h->sum);
    pb_put_sint(b, 4, h->schema);
    pb_put_f64(b, 5, h->zero_threshold);
    if (h->integer) {
        pb_put_varint(b, 6, (uint64_t)h->zero_count);
    } else {
        pb_put_f64(b, 7, h->zero_count);
    }
    write_side(b, 8, &h->neg, h->integer);
    write_side(b, 11, &h->pos, h->integer);
    pb_put_varint(b, 14, (uint64_t)h->reset);
    pb_put_varint(b, 15, (uint64_t)t_ms);
    if (h->custom_n > 0) {
        const size_t custom = pb_begin(b, 16);
        for (uint32_t i = 0; i < h->custom_n; i++) {
            buf_f64le(b, h->custom[i]);
        }
        pb_end(b, custom);
    }
    if (st_ms != 0) {
        pb_put_varint(b, 17, (uint64_t)st_ms);
    }
    pb_end(b, mark);
}
