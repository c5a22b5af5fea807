/* Points of histograms: classic ones become _bucket, _sum and _count; exponential ones native
 * histograms.
 *
 *   HistogramDataPoint  2 start ns, 3 ns, 4 count, 5 sum, 6 bucket counts (fixed64), 7 bounds, 8
 *                       exemplars, 9 attributes, 10 flags
 *   ExponentialHistogramDataPoint  1 attributes, 2 start ns, 3 ns, 4 count, 5 sum, 6 scale
 * (zigzag),
 *                       7 zero count, 8/9 positive/negative {1 offset (zigzag), 2 counts}, 10
 * flags,
 *                       11 exemplars, 14 zero threshold
 *   Exemplar            2 ns, 3 double or 6 int64, 4 span id, 5 trace id, 7 attributes
 *
 * OpenTelemetry's bucket i is (base^i, base^(i+1)], ours ends where theirs does, so it is i + 1. A
 * scale above 8 is brought to 8 by adding neighbours, which is exact. */
#include "ingest/otlp/decode_int.h"

#include "codec/f64.h"
#include "codec/nhist.h"

#include <math.h>

#define FLAG_NO_VALUE  1u
#define BOUNDS_MAX     4096
#define ZERO_THRESHOLD 1e-128 /* when the sender gives none */
#define GAP_MAX        2      /* empty buckets inside a span */

static bool hist_bad(struct otlp_decoder *d, const char *why)
{
    struct err bad;
    err_set(&bad, ERR_INPUT, "\"%.*s\": %s", STR_FMT(str_sub(d->name, 0, 80)), why);
    otlp_drop(d, OTLP_HISTOGRAM, &bad);
    return true;
}

/* -- exemplars -- */

static struct str hex(struct otlp_decoder *d, struct str id)
{
    static const char digits[] = "0123456789abcdef";
    char *p = arena_take(d->arena, id.n * 2 + 1, 1);
    for (size_t i = 0; p && i < id.n; i++) {
        p[2 * i] = digits[(unsigned char)id.p[i] >> 4];
        p[2 * i + 1] = digits[(unsigned char)id.p[i] & 15];
    }
    return str_of(p, p ? id.n * 2 : 0);
}

static bool exemplar(struct otlp_decoder *d, struct str bytes, const double *bounds,
                     const uint32_t *refs, uint32_t n, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    struct otlp_attrs attrs;
    struct label labels[LABELS_COUNT_MAX];
    struct err ignored;
    int64_t t_ms = 0;
    double v = 0;
    uint32_t labels_n = 0, at = 0;
    while (pb_next(&p, &f)) {
        if (f.wire == PB_I64 && f.number == 2) {
            t_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && (f.number == 3 || f.number == 6)) {
            v = f.number == 3 ? pb_f64(f.u) : (double)(int64_t)f.u;
        } else if (f.wire == PB_LEN && (f.number == 4 || f.number == 5) && f.bytes.n <= 64 &&
                   labels_n < 2) {
            labels[labels_n++] =
                (struct label){f.number == 4 ? STR("span_id") : STR("trace_id"), hex(d, f.bytes)};
        }
    }
    if (!otlp_attrs_read(d, bytes, 7, &attrs, e)) {
        return false;
    }
    for (uint32_t i = 0; i < attrs.n && labels_n < LABELS_COUNT_MAX; i++) {
        labels[labels_n++] =
            (struct label){otlp_label_name(d->naming, attrs.v[i].key, d->arena), attrs.v[i].value};
    }
    while (at + 1 < n && !(v <= bounds[at])) {
        at++;
    }
    if (refs[at] == 0 || !labels_normalize(labels, &labels_n, &ignored)) {
        return true;
    }
    return tsdb_batch_add_exemplar(d->batch, refs[at], (struct labels){labels, labels_n}, t_ms, v,
                                   e);
}

bool otlp_exemplars(struct otlp_decoder *d, struct str point, uint32_t number, const double *bounds,
                    const uint32_t *refs, uint32_t n, struct err *e)
{
    struct pb p = pb_of(point);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == number && f.wire == PB_LEN && !exemplar(d, f.bytes, bounds, refs, n, e)) {
            return false;
        }
    }
    return true;
}

/* -- classic -- */

struct classic {
    int64_t t_ms, st_ms;
    double sum, count;
    bool has_sum, stale;
    struct str counts, bounds; /* packed, 8 bytes each */
};

static bool classic_read(struct str bytes, struct classic *c)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    bool whole = true;
    *c = (struct classic){.t_ms = 0};
    while (pb_next(&p, &f)) {
        if (f.wire == PB_I64 && f.number == 2) {
            c->st_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 3) {
            c->t_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 4) {
            c->count = (double)f.u;
        } else if (f.wire == PB_I64 && f.number == 5) {
            c->sum = pb_f64(f.u);
            c->has_sum = true;
        } else if (f.wire == PB_LEN && (f.number == 6 || f.number == 7)) {
            struct str *to = f.number == 6 ? &c->counts : &c->bounds;
            whole = whole && f.bytes.n % 8 == 0 && to->n == 0;
            *to = f.bytes;
        } else if (f.wire == PB_VARINT && f.number == 10) {
            c->stale = (f.u & FLAG_NO_VALUE) != 0;
        } else if (f.number == 6 || f.number == 7) {
            whole = false; /* one by one: legal, and no sender does it */
        }
    }
    return whole && !p.failed;
}

static bool classic_buckets(struct otlp_decoder *d, const struct classic *c, struct str point,
                            struct err *e)
{
    const uint32_t n = (uint32_t)(c->bounds.n / 8);
    double *bounds = ARENA_ARRAY(d->arena, double, n + 1);
    uint32_t *refs = ARENA_ARRAY(d->arena, uint32_t, n + 1);
    const struct str name = otlp_suffixed(d, "_bucket");
    double below = 0;
    if (!bounds || !refs) {
        return err_set(e, ERR_LIMIT, "no memory for the buckets of a histogram");
    }
    for (uint32_t i = 0; i <= n; i++) {
        struct label le = {STR("le"), STR("+Inf")};
        if (i < n) {
            bounds[i] = pb_f64(get_u64le(c->bounds.p + (size_t)i * 8));
            below += (double)get_u64le(c->counts.p + (size_t)i * 8);
            buf_reset(d->text);
            f64_write(d->text, bounds[i], F64_PLAIN);
            le.value = arena_str(d->arena, buf_str(d->text));
        }
        const double v = c->stale ? stale_nan() : i < n ? below : c->count;
        if (!otlp_add(d, name, le, c->t_ms, c->st_ms, v, &refs[i], e)) {
            return false;
        }
    }
    return otlp_exemplars(d, point, 8, bounds, refs, n + 1, e);
}

bool otlp_histogram_point(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct otlp_attrs attrs;
    struct classic c;
    uint32_t ref;
    const struct label none = {{NULL, 0}, {NULL, 0}};
    if (!otlp_attrs_read(d, bytes, 9, &attrs, e)) {
        return false;
    }
    otlp_base(d, &attrs);
    if (d->bad) {
        return true;
    }
    if (!classic_read(bytes, &c) || c.bounds.n / 8 > BOUNDS_MAX ||
        (c.counts.n != 0 && c.counts.n != c.bounds.n + 8) || (c.counts.n == 0 && c.bounds.n != 0)) {
        return hist_bad(d, "expected one bucket more than bounds");
    }
    double before = -HUGE_VAL;
    for (size_t i = 0; i < c.bounds.n; i += 8) {
        const double at = pb_f64(get_u64le(c.bounds.p + i));
        if (!(at > before)) {
            return hist_bad(d, "expected bounds that ascend");
        }
        before = at;
    }
    if (c.has_sum && !otlp_add(d, otlp_suffixed(d, "_sum"), none, c.t_ms, c.st_ms,
                               c.stale ? stale_nan() : c.sum, &ref, e)) {
        return false;
    }
    return otlp_add(d, otlp_suffixed(d, "_count"), none, c.t_ms, c.st_ms,
                    c.stale ? stale_nan() : c.count, &ref, e) &&
           classic_buckets(d, &c, bytes, e);
}

/* -- exponential -- */

struct side {
    int32_t offset;
    double *counts;
    uint32_t n;
};

static bool side_read(struct str bytes, struct arena *a, struct side *s)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    s->counts = ARENA_ARRAY(a, double, bytes.n + 1); /* a count takes a byte at least */
    while (s->counts && pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            s->offset = (int32_t)pb_zigzag(f.u);
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            s->counts[s->n++] = (double)f.u;
        } else if (f.number == 2 && f.wire == PB_LEN) {
            struct pb in = pb_of(f.bytes);
            uint64_t u;
            while (in.p < in.end && pb_varint(&in, &u)) {
                s->counts[s->n++] = (double)u;
            }
            p.failed = p.failed || in.failed;
        }
    }
    return s->counts && !p.failed && s->n <= NHIST_BUCKETS_MAX / 2 && s->offset < (1 << 30) &&
           s->offset > -(1 << 30);
}

/* Adds neighbours until the scale is down by `by`; counts in place. */
static void side_merge(struct side *s, int by)
{
    if (s->n == 0 || by == 0) {
        return;
    }
    const int32_t first = s->offset >> by;
    for (uint32_t i = 0; i < s->n; i++) {
        const uint32_t to = (uint32_t)(((s->offset + (int32_t)i) >> by) - first);
        const double v = s->counts[i];
        s->counts[i] = 0;
        s->counts[to] += v;
    }
    s->n = (uint32_t)(((s->offset + (int32_t)s->n - 1) >> by) - first) + 1;
    s->offset = first;
}

/* Spans of what is not empty; gaps of up to GAP_MAX empty buckets stay inside a span. */
static bool side_spans(const struct side *s, struct arena *a, struct nhist_side *out)
{
    out->spans = ARENA_ARRAY(a, struct nhist_span, s->n + 1);
    out->counts = ARENA_ARRAY(a, double, s->n + 1);
    if (!out->spans || !out->counts) {
        return false;
    }
    int32_t end = 0; /* index behind the last bucket put */
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->counts[i] == 0) {
            continue;
        }
        const int32_t index = s->offset + (int32_t)i + 1;
        int32_t gap = index - end;
        if (out->spans_n == 0 || gap > GAP_MAX) {
            out->spans[out->spans_n++] = (struct nhist_span){gap, 0};
            gap = 0;
        }
        for (; gap > 0; gap--) {
            out->counts[out->counts_n++] = 0;
            out->spans[out->spans_n - 1].length++;
        }
        out->counts[out->counts_n++] = s->counts[i];
        out->spans[out->spans_n - 1].length++;
        end = index + 1;
    }
    return true;
}

struct exponential {
    int64_t t_ms, st_ms;
    int64_t scale;
    struct side pos, neg;
    bool stale;
};

static bool exponential_read(struct otlp_decoder *d, struct str bytes, struct exponential *x,
                             struct nhist *h)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    bool ok = true;
    *x = (struct exponential){.t_ms = 0};
    *h = (struct nhist){.integer = true};
    while (ok && pb_next(&p, &f)) {
        if (f.wire == PB_I64) {
            x->st_ms = f.number == 2 ? otlp_ms(f.u) : x->st_ms;
            x->t_ms = f.number == 3 ? otlp_ms(f.u) : x->t_ms;
            h->count = f.number == 4 ? (double)f.u : h->count;
            h->sum = f.number == 5 ? pb_f64(f.u) : h->sum;
            h->zero_count = f.number == 7 ? (double)f.u : h->zero_count;
            h->zero_threshold = f.number == 14 ? pb_f64(f.u) : h->zero_threshold;
        } else if (f.wire == PB_VARINT) {
            x->scale = f.number == 6 ? pb_zigzag(f.u) : x->scale;
            x->stale = f.number == 10 ? (f.u & FLAG_NO_VALUE) != 0 : x->stale;
        } else if (f.wire == PB_LEN && (f.number == 8 || f.number == 9)) {
            struct side *s = f.number == 8 ? &x->pos : &x->neg;
            ok = s->counts == NULL && side_read(f.bytes, d->arena, s);
        }
    }
    return ok && !p.failed;
}

bool otlp_exponential_point(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct otlp_attrs attrs;
    struct exponential x;
    struct nhist h;
    struct err bad;
    uint32_t ref;
    if (!otlp_attrs_read(d, bytes, 1, &attrs, e)) {
        return false;
    }
    otlp_base(d, &attrs);
    if (d->bad) {
        return true;
    }
    if (!exponential_read(d, bytes, &x, &h) || x.scale < NHIST_SCHEMA_MIN || x.scale > 64) {
        return hist_bad(d, "expected an exponential histogram of scale -4 or more");
    }
    if (x.stale) {
        h = (struct nhist){.sum = stale_nan(), .integer = true};
    } else {
        const int by = x.scale > NHIST_SCHEMA_MAX ? (int)(x.scale - NHIST_SCHEMA_MAX) : 0;
        side_merge(&x.pos, by > 31 ? 31 : by);
        side_merge(&x.neg, by > 31 ? 31 : by);
        h.schema = (int32_t)(x.scale - by);
        h.zero_threshold = h.zero_threshold == 0 ? ZERO_THRESHOLD : h.zero_threshold;
        if (!side_spans(&x.pos, d->arena, &h.pos) || !side_spans(&x.neg, d->arena, &h.neg)) {
            return err_set(e, ERR_LIMIT, "no memory for an exponential histogram");
        }
    }
    if (!nhist_validate(&h, &bad)) {
        return hist_bad(d, bad.msg);
    }
    if (!otlp_series(d, d->name, (struct label){{NULL, 0}, {NULL, 0}}, &ref, e)) {
        return false;
    }
    if (ref == 0) {
        return true;
    }
    d->first_ms = x.t_ms < d->first_ms ? x.t_ms : d->first_ms;
    d->last_ms = x.t_ms > d->last_ms ? x.t_ms : d->last_ms;
    return tsdb_batch_add_nhist(d->batch, ref, x.t_ms, x.st_ms, &h, e) &&
           otlp_exemplars(d, bytes, 11, NULL, &ref, 1, e);
}
