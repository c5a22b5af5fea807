/* Exposition in, protobuf: native histograms, exemplars and start times.
 *
 *   Histogram := 1 count, 2 sum, 3 Bucket*, 4 float count, 5 schema, 6 zero threshold,
 *                7 zero count, 8 float zero count, 9 negative spans, 10 negative deltas,
 *                11 negative counts, 12, 13, 14 the same for positive, 15 start, 16 exemplars
 *
 * Deltas are from bucket to bucket (the first from zero); struct nhist holds absolute counts. A
 * histogram is one of floats when its float count or float zero count is above zero. */
#include "base/clock.h"
#include "codec/expo_parse_int.h"

#include <math.h>

enum { HIST_EXEMPLARS = 16, HIST_START = 15 };

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_INPUT, "expected a valid %s message", what);
}

struct raw_side {
    uint32_t spans_number, deltas_number, counts_number;
    uint32_t spans, deltas, counts; /* how many there are */
};

/* Values in a repeated scalar field, packed or not; -1 when damaged. */
static int64_t values_in(const struct pb_field *f, bool doubles)
{
    if (f->wire == PB_LEN) {
        struct pb in = pb_of(f->bytes);
        uint64_t v = 0;
        int64_t n = 0;
        if (doubles) {
            return f->bytes.n % 8 == 0 ? (int64_t)(f->bytes.n / 8) : -1;
        }
        while (in.p < in.end && pb_varint(&in, &v)) {
            n++;
        }
        return in.failed ? -1 : n;
    }
    return f->wire == (doubles ? PB_I64 : PB_VARINT) ? 1 : -1;
}

static bool count_fields(struct str message, struct raw_side sides[2])
{
    struct pb in = pb_of(message);
    struct pb_field f;
    while (pb_next(&in, &f)) {
        for (int i = 0; i < 2; i++) {
            struct raw_side *s = &sides[i];
            int64_t n = 0;
            if (f.number == s->spans_number) {
                s->spans++;
            } else if (f.number == s->deltas_number) {
                n = values_in(&f, false);
                s->deltas += (uint32_t)i64_max(n, 0);
            } else if (f.number == s->counts_number) {
                n = values_in(&f, true);
                s->counts += (uint32_t)i64_max(n, 0);
            }
            if (n < 0) {
                return false;
            }
        }
    }
    return !in.failed;
}

static bool read_span(struct str message, struct nhist_span *out)
{
    static const uint8_t wires[] = {PB_VARINT, PB_VARINT};
    struct pb in = pb_of(message);
    struct pb_field f;
    *out = (struct nhist_span){0, 0};
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            int64_t offset = pb_zigzag(f.u);
            if (offset != (int32_t)offset) {
                return false;
            }
            out->offset = (int32_t)offset;
        } else if (f.number == 2) {
            if (f.u > UINT32_MAX) {
                return false;
            }
            out->length = (uint32_t)f.u;
        }
    }
    return !in.failed;
}

struct filler {
    struct nhist_side *side;
    const struct raw_side *raw;
    bool floats;
    uint32_t spans, counts; /* filled */
    int64_t sum;            /* of deltas so far */
};

static void put_delta(struct filler *w, uint64_t zigzag)
{
    /* Wraps around rather than overflow; a negative count is found by nhist_validate. */
    w->sum = (int64_t)((uint64_t)w->sum + (uint64_t)pb_zigzag(zigzag));
    w->side->counts[w->counts++] = (double)w->sum;
}

static bool fill_field(struct filler *w, const struct pb_field *f)
{
    if (f->number == w->raw->spans_number) {
        return read_span(f->bytes, &w->side->spans[w->spans++]);
    }
    if (f->number == w->raw->deltas_number && !w->floats) {
        struct pb in = pb_of(f->bytes);
        uint64_t v = 0;
        if (f->wire != PB_LEN) {
            put_delta(w, f->u);
            return true;
        }
        while (in.p < in.end && pb_varint(&in, &v)) {
            put_delta(w, v);
        }
    } else if (f->number == w->raw->counts_number && w->floats) {
        if (f->wire != PB_LEN) {
            w->side->counts[w->counts++] = pb_f64(f->u);
            return true;
        }
        for (size_t i = 0; i + 8 <= f->bytes.n; i += 8) {
            w->side->counts[w->counts++] = pb_f64(get_u64le(f->bytes.p + i));
        }
    }
    return true;
}

static bool fill_side(struct expo_parse *p, const struct raw_side *raw, bool floats,
                      struct nhist_side *side, const char *name, struct err *e)
{
    struct pb in = pb_of(p->pb.value);
    struct pb_field f;
    uint32_t counts = floats ? raw->counts : raw->deltas;
    struct filler w = {.side = side, .raw = raw, .floats = floats};
    if (raw->spans > NHIST_BUCKETS_MAX || counts > NHIST_BUCKETS_MAX) {
        return err_set(e, ERR_LIMIT, "expected a histogram of at most %d buckets",
                       NHIST_BUCKETS_MAX);
    }
    side->spans = ARENA_ARRAY(&p->hists, struct nhist_span, raw->spans);
    side->counts = ARENA_ARRAY(&p->hists, double, counts);
    side->spans_n = raw->spans;
    side->counts_n = counts;
    if ((raw->spans && !side->spans) || (counts && !side->counts)) {
        return err_set(e, ERR_LIMIT, "a histogram needs more memory than it may have");
    }
    uint64_t length = 0;
    while (pb_next(&in, &f)) {
        if (!fill_field(&w, &f)) {
            return damaged(e, "BucketSpan");
        }
    }
    for (uint32_t i = 0; i < raw->spans; i++) {
        length += side->spans[i].length;
    }
    if (length != counts) {
        struct str shown = str_sub(p->family, 0, 60);
        return err_set(e, ERR_INPUT,
                       "histogram \"%.*s\": expected %llu %s buckets by its spans, found %u",
                       STR_FMT(shown), (unsigned long long)length, name, counts);
    }
    return true;
}

static void fill_head(const struct expo_parse *p, struct nhist *h)
{
    struct pb in = pb_of(p->pb.value);
    struct pb_field f;
    double float_count = 0;
    double float_zero = 0;
    while (pb_next(&in, &f)) {
        switch (f.number) {
        case 1: h->count = (double)f.u; break;
        case 2: h->sum = pb_f64(f.u); break;
        case 4: float_count = pb_f64(f.u); break;
        case 5: h->schema = (int32_t)pb_zigzag(f.u); break;
        case 6: h->zero_threshold = pb_f64(f.u); break;
        case 7: h->zero_count = (double)f.u; break;
        case 8: float_zero = pb_f64(f.u); break;
        default: break;
        }
    }
    h->integer = !(float_count > 0 || float_zero > 0);
    if (!h->integer) {
        h->count = float_count;
        h->zero_count = float_zero;
    }
    if (isnan(h->sum)) { /* nobody may send a stale marker */
        const uint64_t bits = NORMAL_NAN_BITS;
        memcpy(&h->sum, &bits, sizeof h->sum);
    }
}

bool expo_pb_hist(struct expo_parse *p, struct err *e)
{
    struct raw_side sides[2] = {{.spans_number = 12, .deltas_number = 13, .counts_number = 14},
                                {.spans_number = 9, .deltas_number = 10, .counts_number = 11}};
    arena_reset(&p->hists);
    p->hist = NULL;
    struct nhist *h = ARENA_NEW(&p->hists, struct nhist);
    if (!h) {
        return err_set(e, ERR_LIMIT, "a histogram needs more memory than it may have");
    }
    if (!count_fields(p->pb.value, sides)) {
        return damaged(e, "Histogram");
    }
    fill_head(p, h);
    h->reset = p->type == EXPO_KIND_GAUGEHISTOGRAM ? NHIST_GAUGE : NHIST_UNKNOWN;
    if (!fill_side(p, &sides[0], !h->integer, &h->pos, "positive", e) ||
        !fill_side(p, &sides[1], !h->integer, &h->neg, "negative", e)) {
        return false;
    }
    p->value = h->sum;
    p->hist = h;
    return true;
}

/* --- exemplars and start times ------------------------------------------------------------ */

static bool read_time(struct str message, int64_t *t_ms)
{
    static const uint8_t wires[] = {PB_VARINT, PB_VARINT};
    struct pb in = pb_of(message);
    struct pb_field f;
    int64_t seconds = 0;
    int64_t nanos = 0;
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            seconds = (int64_t)f.u;
        } else if (f.number == 2) {
            nanos = (int64_t)f.u;
        }
    }
    if (in.failed || seconds < -9000000000000 || seconds > 9000000000000 || nanos < -NS_PER_S ||
        nanos > NS_PER_S) {
        return false;
    }
    *t_ms = seconds * MS_PER_S + nanos / NS_PER_MS;
    return true;
}

/* Calls for each field `number` of a message; the i-th one's bytes. */
static bool nth(struct str message, uint32_t number, uint32_t i, struct str *out)
{
    struct pb in = pb_of(message);
    struct pb_field f;
    while (pb_next(&in, &f)) {
        if (f.number == number && f.wire == PB_LEN && i-- == 0) {
            *out = f.bytes;
            return true;
        }
    }
    return false;
}

int64_t expo_pb_start_ms(const struct expo_parse *p)
{
    struct str t;
    int64_t ms = 0;
    uint32_t number = p->type == EXPO_KIND_COUNTER   ? 3
                      : p->type == EXPO_KIND_SUMMARY ? 4
                                                     : HIST_START;
    return nth(p->pb.value, number, 0, &t) && read_time(t, &ms) ? ms : 0;
}

static bool has_time(struct str exemplar)
{
    struct str t;
    return nth(exemplar, 3, 0, &t);
}

/* The i-th exemplar with a time: a native histogram's own, or its buckets' when it has none. */
static bool native_nth(struct str message, uint32_t i, struct str *out)
{
    struct str x;
    bool own = nth(message, HIST_EXEMPLARS, 0, &x);
    struct pb in = pb_of(message);
    struct pb_field f;
    while (pb_next(&in, &f)) {
        bool is = f.wire == PB_LEN && f.number == (own ? HIST_EXEMPLARS : 3U);
        if (!is) {
            continue;
        }
        x = f.bytes;
        if (!own && !nth(f.bytes, 3, 0, &x)) {
            continue;
        }
        if (has_time(x) && i-- == 0) {
            *out = x;
            return true;
        }
    }
    return false;
}

static bool find(const struct expo_parse *p, uint32_t i, struct str *out)
{
    switch (expo_pb_part(p)) {
    case 'h': return native_nth(p->pb.value, i, out);
    case 'v': return i == 0 && p->type == EXPO_KIND_COUNTER && nth(p->pb.value, 2, 0, out);
    case 'b': return i == 0 && p->pb.part.p && nth(p->pb.part, 3, 0, out);
    default: return false;
    }
}

bool expo_pb_exemplar(struct expo_parse *p, uint32_t i, struct arena *a, bool *found,
                      struct expo_exemplar *out, struct err *e)
{
    static const uint8_t wires[] = {PB_LEN, PB_I64, PB_LEN};
    struct str message = str_of(NULL, 0);
    struct pb_field f;
    *out = (struct expo_exemplar){.labels = NULL};
    *found = i < EXPO_EXEMPLARS_MAX && find(p, i, &message);
    if (!*found) {
        return true;
    }
    struct pb in = pb_of(message);
    uint32_t n = 0;
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        n += f.number == 1;
    }
    if (n > LABELS_COUNT_MAX) {
        return err_set(e, ERR_INPUT, "expected at most %d labels of an exemplar", LABELS_COUNT_MAX);
    }
    in = pb_of(message);
    out->labels = ARENA_ARRAY(a, struct label, n);
    if (n > 0 && !out->labels) {
        return err_set(e, ERR_LIMIT, "an exemplar needs more memory than it may have");
    }
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            if (!expo_pb_label(f.bytes, &out->labels[out->labels_n++])) {
                return damaged(e, "LabelPair");
            }
        } else if (f.number == 2) {
            out->value = pb_f64(f.u);
        } else if (f.number == 3) {
            out->has_t = true;
            if (!read_time(f.bytes, &out->t_ms)) {
                return damaged(e, "Timestamp");
            }
        }
    }
    return in.failed ? damaged(e, "Exemplar") : labels_normalize(out->labels, &out->labels_n, e);
}
