/* Metrics and their points: gauges, sums and summaries here, histograms in hist.c.
 *
 *   Metric  1 name, 3 unit, 5 gauge {1 points}, 7 sum {1 points, 2 temporality, 3 monotonic},
 *           9 histogram {1 points, 2 temporality}, 10 exponential histogram {1 points, 2
 * temporality},
 *           11 summary {1 points}
 *   NumberDataPoint   2 start ns, 3 ns, 4 double or 6 int64, 5 exemplars, 7 attributes, 8 flags
 *   SummaryDataPoint  2 start ns, 3 ns, 4 count, 5 sum, 6 {1 quantile, 2 value}, 7 attributes,
 * 8 flags
 *
 * Source: opentelemetry/proto/metrics/v1/metrics.proto. */
#include "ingest/otlp/decode_int.h"

#include "codec/f64.h"
#include "codec/nhist.h"

#define TEMPORALITY_CUMULATIVE 2
#define FLAG_NO_VALUE          1u

void otlp_drop(struct otlp_decoder *d, enum otlp_drop why, const struct err *e)
{
    if (d->first.code == ERR_NONE) {
        d->first = *e;
    }
    d->bad = true;
    d->dropped[why]++;
}

/* -- labels -- */

static struct label *find(struct label *v, uint32_t n, struct str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(v[i].name, name)) {
            return &v[i];
        }
    }
    return NULL;
}

static bool base_put(struct otlp_decoder *d, struct str name, struct str value)
{
    struct label *have = find(d->base, d->base_n, name);
    if (have) {
        have->value = value;
    } else if (d->base_n == LABELS_COUNT_MAX || !name.p) {
        return false;
    } else {
        d->base[d->base_n++] = (struct label){name, value};
    }
    return true;
}

/* Two attributes whose names become one: their values are joined, in order of their keys. */
static struct str joined(struct otlp_decoder *d, struct str a, struct str b)
{
    char *p = arena_take(d->arena, a.n + b.n + 1, 1);
    if (!p) {
        return a;
    }
    if (a.n > 0) {
        memcpy(p, a.p, a.n);
    }
    p[a.n] = ';';
    if (b.n > 0) {
        memcpy(p + a.n + 1, b.p, b.n);
    }
    return str_of(p, a.n + b.n + 1);
}

void otlp_base(struct otlp_decoder *d, const struct otlp_attrs *attrs)
{
    bool ok = true;
    d->base_n = 0;
    for (uint32_t i = 0; i < attrs->n; i++) {
        const struct str name = otlp_label_name(d->naming, attrs->v[i].key, d->arena);
        const struct label *have = find(d->base, d->base_n, name);
        const struct str value =
            have ? joined(d, have->value, attrs->v[i].value) : attrs->v[i].value;
        ok = ok && name.n > 0 && base_put(d, name, value);
    }
    const struct conf_strs *promoted = &d->config->promote_resource_attributes;
    for (uint32_t i = 0; i < promoted->count; i++) {
        const struct str value = otlp_attr_get(&d->resource, promoted->v[i]);
        const struct str name = otlp_label_name(d->naming, promoted->v[i], d->arena);
        if (value.p && !find(d->base, d->base_n, name)) {
            ok = ok && base_put(d, name, value);
        }
    }
    ok = ok && (d->job.n == 0 || base_put(d, STR("job"), d->job));
    ok = ok && (d->instance.n == 0 || base_put(d, STR("instance"), d->instance));
    if (!ok) {
        struct err e;
        err_set(&e, ERR_INPUT, "a data point with an empty attribute name or more than %d labels",
                LABELS_COUNT_MAX);
        otlp_drop(d, OTLP_LABELS, &e);
    }
}

bool otlp_series(struct otlp_decoder *d, struct str name, struct label extra, uint32_t *ref,
                 struct err *e)
{
    struct err bad = {0};
    uint32_t n = d->base_n;
    *ref = 0;
    memcpy(d->labels, d->base, n * sizeof *d->labels);
    struct label *have = extra.name.n ? find(d->labels, n, extra.name) : NULL;
    if (have) {
        have->value = extra.value;
    }
    if (n + 2 > LABELS_COUNT_MAX || name.n == 0) {
        err_set(&bad, ERR_INPUT, "a metric without a name, or with too many labels");
        otlp_drop(d, OTLP_LABELS, &bad);
        return true;
    }
    if (extra.name.n > 0 && !have) {
        d->labels[n++] = extra;
    }
    have = find(d->labels, n, STR(LABEL_NAME));
    if (have) {
        have->value = name;
    } else {
        d->labels[n++] = (struct label){STR(LABEL_NAME), name};
    }
    if (!labels_normalize(d->labels, &n, &bad)) {
        otlp_drop(d, OTLP_LABELS, &bad);
        return true;
    }
    if (tsdb_series(d->db, d->source, (struct labels){d->labels, n}, ref, &bad)) {
        return true;
    }
    *ref = 0;
    if (bad.code != ERR_INPUT && bad.code != ERR_LIMIT) {
        *e = bad;
        return false;
    }
    otlp_drop(d, bad.code == ERR_INPUT ? OTLP_LABELS : OTLP_LIMIT, &bad);
    return true;
}

static void seen(struct otlp_decoder *d, int64_t t_ms)
{
    d->first_ms = t_ms < d->first_ms ? t_ms : d->first_ms;
    d->last_ms = t_ms > d->last_ms ? t_ms : d->last_ms;
}

bool otlp_add(struct otlp_decoder *d, struct str name, struct label extra, int64_t t_ms,
              int64_t st_ms, double v, uint32_t *ref, struct err *e)
{
    if (!otlp_series(d, name, extra, ref, e)) {
        return false;
    }
    if (*ref == 0) {
        return true;
    }
    seen(d, t_ms);
    return tsdb_batch_add_st(d->batch, *ref, t_ms, st_ms, v, e);
}

/* -- points -- */

static bool number_point(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    struct otlp_attrs attrs;
    int64_t t_ms = 0, st_ms = 0;
    double v = 0;
    uint64_t flags = 0;
    uint32_t ref;
    while (pb_next(&p, &f)) {
        if (f.wire == PB_I64 && f.number == 2) {
            st_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 3) {
            t_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 4) {
            v = pb_f64(f.u);
        } else if (f.wire == PB_I64 && f.number == 6) {
            v = (double)(int64_t)f.u;
        } else if (f.wire == PB_VARINT && f.number == 8) {
            flags = f.u;
        }
    }
    if (!otlp_attrs_read(d, bytes, 7, &attrs, e)) { /* also when p failed */
        return false;
    }
    otlp_base(d, &attrs);
    if (d->bad) {
        return true;
    }
    v = flags & FLAG_NO_VALUE ? stale_nan() : v;
    return otlp_add(d, d->name, (struct label){{NULL, 0}, {NULL, 0}}, t_ms,
                    d->exemplars ? st_ms : 0, v, &ref, e) &&
           (ref == 0 || !d->exemplars || otlp_exemplars(d, bytes, 5, NULL, &ref, 1, e));
}

struct str otlp_suffixed(struct otlp_decoder *d, const char *suffix)
{
    const size_t n = strlen(suffix);
    char *p = arena_take(d->arena, d->name.n + n + 1, 1);
    if (!p || d->name.n == 0) {
        return (struct str){NULL, 0};
    }
    memcpy(p, d->name.p, d->name.n);
    memcpy(p + d->name.n, suffix, n);
    return str_of(p, d->name.n + n);
}

static bool quantile_add(struct otlp_decoder *d, struct str bytes, int64_t t_ms, int64_t st_ms,
                         bool stale, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    double q = 0, v = 0;
    uint32_t ref;
    while (pb_next(&p, &f)) {
        if (f.wire == PB_I64 && f.number == 1) {
            q = pb_f64(f.u);
        } else if (f.wire == PB_I64 && f.number == 2) {
            v = pb_f64(f.u);
        }
    }
    buf_reset(d->text);
    f64_write(d->text, q, F64_PLAIN);
    const struct label l = {STR("quantile"), arena_str(d->arena, buf_str(d->text))};
    return !p.failed ? otlp_add(d, d->name, l, t_ms, st_ms, stale ? stale_nan() : v, &ref, e)
                     : err_set(e, ERR_INPUT, "malformed quantile");
}

static bool summary_point(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    struct otlp_attrs attrs;
    int64_t t_ms = 0, st_ms = 0;
    double sum = 0, count = 0;
    bool stale = false;
    uint32_t ref;
    const struct label none = {{NULL, 0}, {NULL, 0}};
    while (pb_next(&p, &f)) {
        if (f.wire == PB_I64 && f.number == 2) {
            st_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 3) {
            t_ms = otlp_ms(f.u);
        } else if (f.wire == PB_I64 && f.number == 4) {
            count = (double)f.u;
        } else if (f.wire == PB_I64 && f.number == 5) {
            sum = pb_f64(f.u);
        } else if (f.wire == PB_VARINT && f.number == 8) {
            stale = (f.u & FLAG_NO_VALUE) != 0;
        }
    }
    if (!otlp_attrs_read(d, bytes, 7, &attrs, e)) {
        return false;
    }
    otlp_base(d, &attrs);
    if (d->bad) {
        return true;
    }
    if (!otlp_add(d, otlp_suffixed(d, "_sum"), none, t_ms, st_ms, stale ? stale_nan() : sum, &ref,
                  e) ||
        !otlp_add(d, otlp_suffixed(d, "_count"), none, t_ms, st_ms, stale ? stale_nan() : count,
                  &ref, e)) {
        return false;
    }
    p = pb_of(bytes);
    while (pb_next(&p, &f)) {
        if (f.number == 6 && f.wire == PB_LEN && !quantile_add(d, f.bytes, t_ms, st_ms, stale, e)) {
            return false;
        }
    }
    return true;
}

/* -- metrics -- */

typedef bool (*point_reader)(struct otlp_decoder *d, struct str bytes, struct err *e);

static bool refuse_point(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct err bad;
    (void)bytes;
    (void)e;
    err_set(&bad, ERR_INPUT, "\"%.*s\" is not cumulative: delta temporality is not supported",
            STR_FMT(str_sub(d->name, 0, 80)));
    otlp_drop(d, OTLP_DELTA, &bad);
    return true;
}

/* Temporality and monotony of a sum or histogram. */
static void read_data(struct str data, bool *cumulative, bool *monotonic)
{
    struct pb p = pb_of(data);
    struct pb_field f;
    *cumulative = *monotonic = false;
    while (pb_next(&p, &f)) {
        if (f.number == 2 && f.wire == PB_VARINT) {
            *cumulative = f.u == TEMPORALITY_CUMULATIVE;
        } else if (f.number == 3 && f.wire == PB_VARINT) {
            *monotonic = f.u != 0;
        }
    }
}

static bool points_each(struct otlp_decoder *d, struct str data, point_reader read, struct err *e)
{
    struct pb p = pb_of(data);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_LEN) {
            d->points++;
            d->bad = false;
            if (!read(d, f.bytes, e)) {
                return false;
            }
        }
    }
    return !p.failed || err_set(e, ERR_INPUT, "malformed request: data points cut short");
}

bool otlp_metric(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f, data = {0};
    struct str name = {"", 0}, unit = {"", 0};
    bool cumulative, monotonic;
    while (pb_next(&p, &f)) {
        if (f.wire != PB_LEN) {
            continue;
        }
        if (f.number == 1) {
            name = f.bytes;
        } else if (f.number == 3) {
            unit = f.bytes;
        } else if (f.number == 5 || f.number == 7 || (f.number >= 9 && f.number <= 11)) {
            data = f;
        }
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed request: a metric cut short");
    }
    if (data.number == 0) {
        struct err bad;
        err_set(&bad, ERR_INPUT, "\"%.*s\" has no data of a kind that is known",
                STR_FMT(str_sub(name, 0, 80)));
        d->points++;
        otlp_drop(d, OTLP_KIND, &bad);
        return true;
    }
    read_data(data.bytes, &cumulative, &monotonic);
    const enum otlp_kind kind = data.number == 5   ? OTLP_GAUGE
                                : data.number == 7 ? (monotonic ? OTLP_COUNTER : OTLP_UPDOWN)
                                                   : OTLP_OTHER;
    d->exemplars = kind == OTLP_COUNTER; /* and start times */
    d->name = otlp_metric_name(d->naming, name, unit, kind, d->text, d->arena);
    if (!d->name.p) {
        return err_set(e, ERR_LIMIT, "no memory for the name of a metric");
    }
    const bool needs = data.number == 7 || data.number == 9 || data.number == 10;
    const point_reader read = needs && !cumulative ? refuse_point
                              : data.number == 9   ? otlp_histogram_point
                              : data.number == 10  ? otlp_exponential_point
                              : data.number == 11  ? summary_point
                                                   : number_point;
    return points_each(d, data.bytes, read, e);
}
