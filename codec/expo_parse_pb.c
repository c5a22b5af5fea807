/* Exposition in: delimited io.prometheus.client.MetricFamily messages, the form that carries native
 * histograms and start times.
 *
 *   body    := (varint length, MetricFamily)*
 *   family  := 1 name, 2 help, 3 type, 4 Metric*, 5 unit
 *   metric  := 1 LabelPair*, 2 Gauge, 3 Counter, 4 Summary, 5 Untyped, 6 timestamp_ms, 7 Histogram
 *
 * A metric becomes the samples that a text page would have: NAME, or NAME_count, NAME_sum and one
 * NAME_bucket{le} or NAME{quantile} each, in this order; a bucket for +Inf is added when it was not
 * sent. A histogram with spans, a zero threshold or a zero count is native; its classic buckets
 * follow only with keep_classic. With to_nhcb one that is not native is given as a converted one,
 * behind its classic samples with keep_classic, else alone; one that cannot be converted is an
 * error, because the message as a whole is damaged then.
 *
 * raw, which names a series in caches, is made here: family name, label names and values, each
 * behind a byte 0xFF (never part of UTF-8, and refused in labels), then one letter for the part
 * and, for buckets and quantiles, the eight bytes of the bound.
 *
 * A timestamp of 0 means none, as the wire cannot say it otherwise. Source: metrics.proto of the
 * client data model (field numbers). */
#include "codec/expo_parse_int.h"

#include <math.h>

enum wire_type { T_COUNTER, T_GAUGE, T_SUMMARY, T_UNTYPED, T_HISTOGRAM, T_GAUGE_HISTOGRAM };
enum { META_HELP = 1, META_UNIT = 2, META_TYPE = 4 };
enum { FIELD_COUNT = -2, FIELD_SUM = -1 };
#define LENGTH_BYTES_MAX 5

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_INPUT, "expected a valid %s message", what);
}

bool expo_pb_field(struct pb *p, struct pb_field *f, const uint8_t *wires, uint32_t count)
{
    if (!pb_next(p, f)) {
        return false;
    }
    if (f->number <= count && wires[f->number - 1] != EXPO_PB_ANY &&
        (uint8_t)f->wire != wires[f->number - 1]) {
        p->failed = true;
        return false;
    }
    return true;
}

static double normal(double v)
{
    if (!isnan(v)) {
        return v;
    }
    const uint64_t bits = NORMAL_NAN_BITS;
    memcpy(&v, &bits, sizeof v);
    return v;
}

const uint8_t expo_pb_histogram_wires[EXPO_PB_HISTOGRAM_FIELDS] = {
    PB_VARINT, PB_I64,      PB_LEN,      PB_I64, PB_VARINT,   PB_I64,      PB_VARINT, PB_I64,
    PB_LEN,    EXPO_PB_ANY, EXPO_PB_ANY, PB_LEN, EXPO_PB_ANY, EXPO_PB_ANY, PB_LEN,    PB_LEN};

/* --- families ----------------------------------------------------------------------------- */

static bool family_kind(uint32_t type, enum expo_kind *out)
{
    static const enum expo_kind kinds[] = {EXPO_KIND_COUNTER,   EXPO_KIND_GAUGE,
                                           EXPO_KIND_SUMMARY,   EXPO_KIND_UNKNOWN,
                                           EXPO_KIND_HISTOGRAM, EXPO_KIND_GAUGEHISTOGRAM};
    if (type >= ARRAY_LEN(kinds)) {
        return false;
    }
    *out = kinds[type];
    return true;
}

static bool read_family(struct expo_parse *p, struct str message, bool *metrics, struct err *e)
{
    static const uint8_t wires[] = {PB_LEN, PB_LEN, PB_VARINT, PB_LEN, PB_LEN};
    struct pb in = pb_of(message);
    struct pb_field f;
    p->pb = (struct expo_parse_pb){.metrics = pb_of(message), .meta_left = META_HELP | META_TYPE};
    p->family = p->pb.help = p->pb.unit = str_of("", 0);
    *metrics = false;
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        switch (f.number) {
        case 1: p->family = f.bytes; break;
        case 2: p->pb.help = f.bytes; break;
        case 3: p->pb.family_type = f.u > UINT32_MAX ? UINT32_MAX : (uint32_t)f.u; break;
        case 4: *metrics = true; break;
        case 5: p->pb.unit = f.bytes; break;
        default: break;
        }
    }
    if (in.failed) {
        return damaged(e, "MetricFamily");
    }
    if (!*metrics) {
        return true;
    }
    if (p->family.n == 0 || !str_is_utf8(p->family) || !str_is_utf8(p->pb.help)) {
        return err_set(e, ERR_INPUT, "expected a metric name and help in valid UTF-8");
    }
    if (!family_kind(p->pb.family_type, &p->type)) {
        struct str shown = str_sub(p->family, 0, 80);
        return err_set(e, ERR_INPUT, "expected a metric type from 0 to 5 for \"%.*s\", found %u",
                       STR_FMT(shown), p->pb.family_type);
    }
    p->pb.meta_left |= p->pb.unit.n > 0 ? META_UNIT : 0;
    return true;
}

/* Moves to the next family that has a metric. *end: there is none. */
static bool next_family(struct expo_parse *p, bool *end, struct err *e)
{
    bool metrics = false;
    while (!metrics) {
        struct pb in = pb_of(str_of(p->at, (size_t)(p->end - p->at)));
        uint64_t length = 0;
        *end = p->at >= p->end;
        if (*end) {
            return true;
        }
        const char *first = p->at;
        if (!pb_varint(&in, &length) || (const char *)in.p - first > LENGTH_BYTES_MAX) {
            return err_set(e, ERR_INPUT, "expected the length of a message at byte %zu",
                           (size_t)(first - p->start));
        }
        if (length > (size_t)(in.end - in.p)) {
            return err_set(e, ERR_INPUT, "expected a message of %llu bytes, found %zu",
                           (unsigned long long)length, (size_t)(in.end - in.p));
        }
        struct str message = str_of((const char *)in.p, (size_t)length);
        p->at = message.p + message.n;
        if (!read_family(p, message, &metrics, e)) {
            return false;
        }
    }
    return true;
}

/* --- metrics ------------------------------------------------------------------------------ */

bool expo_pb_label(struct str message, struct label *out)
{
    static const uint8_t wires[] = {PB_LEN, PB_LEN};
    struct pb in = pb_of(message);
    struct pb_field f;
    *out = (struct label){str_of("", 0), str_of("", 0)};
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            out->name = f.bytes;
        } else if (f.number == 2) {
            out->value = f.bytes;
        }
    }
    return !in.failed;
}

static bool has_ff(struct str s)
{
    return s.n > 0 && memchr(s.p, 0xFF, s.n);
}

/* What of a metric matters for its family's type. */
static uint32_t value_field(uint32_t type)
{
    static const uint32_t numbers[] = {3, 2, 4, 5, 7, 7};
    ASSERT(type < ARRAY_LEN(numbers));
    return numbers[type];
}

/* Label names and values into scratch, see raw at the top; timestamp and value message. */
static bool read_metric(struct expo_parse *p, struct str message, struct err *e)
{
    static const uint8_t wires[] = {PB_LEN, PB_LEN, PB_LEN, PB_LEN, PB_LEN, PB_VARINT, PB_LEN};
    struct pb in = pb_of(message);
    struct pb_field f;
    struct label l;
    p->pb.metric = message;
    p->pb.value = str_of("", 0);
    p->t_ms = 0;
    buf_reset(&p->scratch);
    buf_str_add(&p->scratch, p->family);
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            if (!expo_pb_label(f.bytes, &l)) {
                return damaged(e, "LabelPair");
            }
            if (has_ff(l.name) || has_ff(l.value)) {
                return err_set(e, ERR_INPUT, "expected labels in valid UTF-8");
            }
            buf_u8(&p->scratch, 0xFF);
            buf_str_add(&p->scratch, l.name);
            buf_u8(&p->scratch, 0xFF);
            buf_str_add(&p->scratch, l.value);
        } else if (f.number == 6) {
            p->t_ms = (int64_t)f.u;
        } else if (f.number == value_field(p->pb.family_type)) {
            p->pb.value = f.bytes;
        }
    }
    p->has_t = p->t_ms != 0;
    p->pb.prefix_n = p->scratch.n;
    if (in.failed) {
        return damaged(e, "Metric");
    }
    return buf_ok(&p->scratch, e);
}

/* Names the current sample in scratch. */
static bool set_raw(struct expo_parse *p, char part, const double *bound, struct err *e)
{
    p->scratch.n = p->pb.prefix_n;
    buf_u8(&p->scratch, 0xFF);
    buf_char(&p->scratch, part);
    if (bound) {
        buf_f64le(&p->scratch, *bound);
    }
    p->raw = buf_str(&p->scratch);
    return buf_ok(&p->scratch, e);
}

/* Counter, gauge, untyped: field 1 is the value. */
static bool simple(struct expo_parse *p, struct err *e)
{
    static const uint8_t wires[] = {PB_I64};
    struct pb in = pb_of(p->pb.value);
    struct pb_field f;
    p->value = 0;
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        if (f.number == 1) {
            p->value = normal(pb_f64(f.u));
        }
    }
    if (in.failed) {
        return damaged(e, "Counter, Gauge or Untyped");
    }
    p->pb.metric = str_of(NULL, 0);
    p->entry = EXPO_PARSE_SAMPLE;
    return set_raw(p, 'v', NULL, e);
}

static bool begin_summary(struct expo_parse *p, struct err *e)
{
    static const uint8_t wires[] = {PB_VARINT, PB_I64, PB_LEN, PB_LEN};
    struct expo_parse_pb *s = &p->pb;
    struct pb in = pb_of(s->value);
    struct pb_field f;
    s->count = s->sum = 0;
    s->fields = s->sent = 0;
    while (expo_pb_field(&in, &f, wires, ARRAY_LEN(wires))) {
        switch (f.number) {
        case 1: s->count = (double)f.u; break;
        case 2: s->sum = normal(pb_f64(f.u)); break;
        case 3: s->fields = ++s->sent; break;
        default: break;
        }
    }
    s->native_left = s->nhcb_left = false;
    s->classic_left = true;
    return !in.failed || damaged(e, "Summary");
}

/* A bucket's bound and cumulative count, a quantile's quantile and value. */
static bool read_part(bool bucket, struct str message, double *bound, double *value)
{
    static const uint8_t bucket_wires[] = {PB_VARINT, PB_I64, PB_LEN, PB_I64};
    static const uint8_t quantile_wires[] = {PB_I64, PB_I64};
    struct pb in = pb_of(message);
    struct pb_field f;
    double integer = 0;
    *bound = *value = 0;
    while (expo_pb_field(&in, &f, bucket ? bucket_wires : quantile_wires, bucket ? 4 : 2)) {
        if (bucket && f.number == 1) {
            integer = (double)f.u;
        } else if (f.number == (bucket ? 2 : 1)) {
            *bound = pb_f64(f.u);
        } else if (f.number == (bucket ? 4 : 2)) {
            *value = pb_f64(f.u);
        }
    }
    if (bucket && !(*value > 0 || *value < 0)) {
        *value = integer;
    }
    *value = normal(*value);
    return !in.failed;
}

static bool begin_histogram(struct expo_parse *p, struct err *e)
{
    struct expo_parse_pb *s = &p->pb;
    struct pb in = pb_of(s->value);
    struct pb_field f;
    double float_count = 0;
    bool native = false;
    bool inf = false;
    s->count = s->sum = 0;
    s->fields = s->sent = 0;
    while (expo_pb_field(&in, &f, expo_pb_histogram_wires, EXPO_PB_HISTOGRAM_FIELDS)) {
        double bound = 0;
        double unused = 0;
        switch (f.number) {
        case 1: s->count = (double)f.u; break;
        case 2: s->sum = normal(pb_f64(f.u)); break;
        case 4: float_count = pb_f64(f.u); break;
        case 6: native = native || pb_f64(f.u) > 0; break;
        case 7: native = native || f.u > 0; break;
        case 9:
        case 12: native = true; break;
        case 3:
            if (!read_part(true, f.bytes, &bound, &unused)) {
                return damaged(e, "Bucket");
            }
            s->sent += !inf; /* what stands behind +Inf is not read */
            inf = inf || (isinf(bound) && bound > 0);
            break;
        default: break;
        }
    }
    if (in.failed) {
        return damaged(e, "Histogram");
    }
    s->count = float_count > 0 || float_count < 0 ? float_count : s->count;
    s->count = normal(s->count);
    s->fields = s->sent + !inf;
    s->native_left = native && !p->ignore_native;
    s->nhcb_left = p->to_nhcb && !s->native_left;
    s->classic_left = s->native_left ? p->keep_classic && s->sent > 0
                      : s->nhcb_left ? p->keep_classic
                                     : true;
    return true;
}

static bool begin_metric(struct expo_parse *p, struct str message, struct err *e)
{
    if (!read_metric(p, message, e)) {
        return false;
    }
    p->pb.field = FIELD_COUNT;
    p->pb.part = str_of(NULL, 0);
    p->pb.parts = pb_of(p->pb.value);
    switch (p->pb.family_type) {
    case T_SUMMARY: return begin_summary(p, e);
    case T_HISTOGRAM:
    case T_GAUGE_HISTOGRAM: return begin_histogram(p, e);
    default: return true;
    }
}

/* --- samples of histograms and summaries -------------------------------------------------- */

static bool next_part(struct expo_parse *p, struct err *e)
{
    struct expo_parse_pb *s = &p->pb;
    bool bucket = s->family_type != T_SUMMARY;
    struct pb_field f;
    if (s->field >= s->sent) { /* +Inf was not sent */
        s->part = str_of(NULL, 0);
        s->bound = HUGE_VAL;
        p->value = s->count;
        return set_raw(p, 'b', &s->bound, e);
    }
    do {
        bool more = pb_next(&s->parts, &f);
        ASSERT(more); /* counted before, and their wire types checked */
    } while (f.number != 3);
    s->part = f.bytes;
    if (!read_part(bucket, f.bytes, &s->bound, &p->value)) {
        return damaged(e, bucket ? "Bucket" : "Quantile");
    }
    return set_raw(p, bucket ? 'b' : 'q', &s->bound, e);
}

static bool classic(struct expo_parse *p, struct err *e)
{
    struct expo_parse_pb *s = &p->pb;
    bool ok = true;
    p->entry = EXPO_PARSE_SAMPLE;
    if (s->field == FIELD_COUNT) {
        p->value = s->count;
        ok = set_raw(p, 'c', NULL, e);
    } else if (s->field == FIELD_SUM) {
        p->value = s->sum;
        ok = set_raw(p, 's', NULL, e);
    } else {
        ok = next_part(p, e);
    }
    s->field++;
    s->classic_left = s->field < s->fields;
    return ok;
}

/* The buckets of the message, all of them, as one value. */
static bool converted(struct expo_parse *p, struct err *e)
{
    struct expo_classic *c = expo_classic_of(p, e);
    struct pb in = pb_of(p->pb.value);
    struct pb_field f;
    struct nhist *h = NULL;
    if (!c) {
        return false;
    }
    struct nhcb *b = expo_classic_nhcb(c);
    nhcb_reset(b);
    nhcb_count(b, p->pb.count);
    nhcb_sum(b, p->pb.sum);
    while (expo_pb_field(&in, &f, expo_pb_histogram_wires, EXPO_PB_HISTOGRAM_FIELDS)) {
        double bound = 0;
        double count = 0;
        if (f.number == 3) {
            if (!read_part(true, f.bytes, &bound, &count)) {
                return damaged(e, "Bucket");
            }
            nhcb_bucket(b, bound, count);
        }
    }
    arena_reset(&p->hists);
    if (!nhcb_convert(b, &p->hists, &h, e)) {
        return false;
    }
    h->reset = p->pb.family_type == T_GAUGE_HISTOGRAM ? NHIST_GAUGE : NHIST_UNKNOWN;
    p->entry = EXPO_PARSE_HIST;
    p->hist = h;
    return true;
}

static bool current_metric(struct expo_parse *p, bool *given, struct err *e)
{
    struct expo_parse_pb *s = &p->pb;
    *given = true;
    if (s->family_type != T_SUMMARY && s->family_type != T_HISTOGRAM &&
        s->family_type != T_GAUGE_HISTOGRAM) {
        return simple(p, e);
    }
    if (s->native_left) {
        s->native_left = false;
        p->entry = EXPO_PARSE_HIST;
        return set_raw(p, 'h', NULL, e) && expo_pb_hist(p, e);
    }
    if (s->classic_left) {
        return classic(p, e);
    }
    if (s->nhcb_left) {
        s->nhcb_left = false;
        return set_raw(p, 'h', NULL, e) && converted(p, e);
    }
    s->metric = str_of(NULL, 0);
    *given = false;
    return true;
}

static void give_meta(struct expo_parse *p)
{
    uint32_t *left = &p->pb.meta_left;
    if (*left & META_HELP) {
        *left &= ~(uint32_t)META_HELP;
        p->entry = EXPO_PARSE_HELP;
        p->text = p->pb.help;
    } else if (*left & META_UNIT) {
        *left &= ~(uint32_t)META_UNIT;
        p->entry = EXPO_PARSE_UNIT;
        p->text = p->pb.unit;
    } else {
        *left = 0;
        p->entry = EXPO_PARSE_TYPE;
    }
}

bool expo_pb_next(struct expo_parse *p, struct err *e)
{
    struct pb_field f;
    for (;;) {
        bool given = false;
        bool end = false;
        if (p->pb.meta_left) {
            give_meta(p);
            return true;
        }
        if (p->pb.metric.p) {
            if (!current_metric(p, &given, e)) {
                return false;
            }
            if (given) {
                return true;
            }
        }
        if (p->pb.metrics.p && pb_next(&p->pb.metrics, &f)) {
            /* An empty message has an address too: metric.p says that there is one. */
            if (f.number == 4 && !begin_metric(p, f.bytes, e)) {
                return false;
            }
            continue;
        }
        if (!next_family(p, &end, e)) {
            return false;
        }
        if (end) {
            p->entry = EXPO_PARSE_END;
            return true;
        }
    }
}

/* --- labels ------------------------------------------------------------------------------- */

static bool add_label(struct label *v, uint32_t *n, struct label l, struct err *e)
{
    if (*n == LABELS_COUNT_MAX) {
        return err_set(e, ERR_INPUT, "expected at most %d labels", LABELS_COUNT_MAX);
    }
    v[(*n)++] = l;
    return true;
}

static struct str metric_name(const struct expo_parse *p, char part, struct arena *a)
{
    static const struct str count = STR_INIT("_count");
    static const struct str sum = STR_INIT("_sum");
    static const struct str bucket = STR_INIT("_bucket");
    struct str suffix = part == 'c'   ? count
                        : part == 's' ? sum
                        : part == 'b' ? bucket
                                      : str_of("", 0);
    char *out = arena_take(a, p->family.n + suffix.n, 1);
    if (!out) {
        return str_of(NULL, 0);
    }
    memcpy(out, p->family.p, p->family.n);
    memcpy(out + p->family.n, suffix.p, suffix.n);
    return str_of(out, p->family.n + suffix.n);
}

/* The letter at the end of raw. */
char expo_pb_part(const struct expo_parse *p)
{
    ASSERT(p->raw.n >= p->pb.prefix_n + 2);
    return p->raw.p[p->pb.prefix_n + 1];
}

bool expo_pb_labels(struct expo_parse *p, struct arena *a, struct label **out, uint32_t *n,
                    struct err *e)
{
    struct label v[LABELS_COUNT_MAX];
    char part = expo_pb_part(p);
    struct label l = {STR(LABEL_NAME), metric_name(p, part, a)};
    /* raw has all names and values behind 0xFF, in turns. */
    struct str rest = str_of(p->raw.p + p->family.n, p->pb.prefix_n - p->family.n);
    *n = 0;
    if (!l.value.p || !add_label(v, n, l, e)) {
        return l.value.p || err_set(e, ERR_LIMIT, "labels need more memory than they may have");
    }
    rest = str_cut(rest, '\xFF').tail;
    while (rest.n > 0) {
        struct str_cut name = str_cut(rest, '\xFF');
        struct str_cut value = str_cut(name.tail, '\xFF');
        if (!add_label(v, n, (struct label){name.head, value.head}, e)) {
            return false;
        }
        rest = value.tail;
    }
    if (part == 'b' || part == 'q') {
        struct expo_number text = expo_format_number(p->pb.bound);
        l.name = part == 'b' ? STR("le") : STR("quantile");
        l.value = arena_str(a, str_of(text.text, text.n));
        if (!l.value.p || !add_label(v, n, l, e)) {
            return l.value.p || err_set(e, ERR_LIMIT, "labels need more memory than they may have");
        }
    }
    *out = ARENA_ARRAY(a, struct label, *n);
    if (!*out) {
        return err_set(e, ERR_LIMIT, "labels need more memory than they may have");
    }
    memcpy(*out, v, *n * sizeof *v);
    return true;
}
