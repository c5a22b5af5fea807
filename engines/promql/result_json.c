/* Results as the JSON of Prometheus' HTTP API: "resultType":"matrix","result":[...].
 *
 *   a float      [1435781451.781,"1"]
 *   a histogram  [1435781451.781,{"count":"6","sum":"3","buckets":[[0,"0.5","1","2"],...]}]
 *                a bucket: which bounds belong to it (0 the upper, 1 the lower, 2 none, 3 both),
 *                lower, upper, count; empty ones are left out
 *
 * Source: Prometheus' API documentation ("Expression query result formats", "Native histograms").
 * */
#include "engines/promql/promql.h"

#include "codec/f64.h"
#include "engines/promql/hist_int.h"

void promql_json_time(int64_t t_ms, struct buf *out)
{
    uint64_t t = (uint64_t)t_ms;
    if (t_ms < 0) {
        buf_char(out, '-');
        t = 0 - t;
    }
    buf_u64(out, t / 1000);
    const unsigned ms = (unsigned)(t % 1000);
    if (ms > 0) {
        const char text[4] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                              (char)('0' + ms % 10)};
        buf_add(out, text, sizeof text);
    }
}

static void write_number(struct buf *out, double v)
{
    buf_char(out, '"');
    f64_write(out, v, F64_JSON);
    buf_char(out, '"');
}

void promql_nhist_json(const struct nhist *h, struct buf *out)
{
    BUF_LIT(out, "{\"count\":");
    write_number(out, h->count);
    BUF_LIT(out, ",\"sum\":");
    write_number(out, h->sum);
    struct hist_iter it;
    struct hist_bucket b;
    bool some = false;
    hist_iter_init(&it, h);
    while (hist_iter_next(&it, &b)) {
        if (b.count == 0) {
            continue;
        }
        buf_str_add(out, some ? STR(",[") : STR(",\"buckets\":[["));
        some = true;
        const int bounds =
            b.lower_inclusive ? (b.upper_inclusive ? 3 : 1) : (b.upper_inclusive ? 0 : 2);
        buf_char(out, (char)('0' + bounds));
        buf_char(out, ',');
        write_number(out, b.lower);
        buf_char(out, ',');
        write_number(out, b.upper);
        buf_char(out, ',');
        write_number(out, b.count);
        buf_char(out, ']');
    }
    buf_str_add(out, some ? STR("]}") : STR("}"));
}

/* The texts of the times written before, by their place in the series: those of a range's steps are
 * the same in each. */
#define TIME_TEXTS 256

struct time_text {
    int64_t t_ms;
    uint32_t n; /* 0 = empty */
    char text[24];
};

static void write_time(struct time_text *texts, uint32_t place, int64_t t_ms, struct buf *out)
{
    struct time_text *x = &texts[place % TIME_TEXTS];
    if (x->n > 0 && x->t_ms == t_ms) {
        buf_add(out, x->text, x->n);
        return;
    }
    const size_t from = out->n;
    promql_json_time(t_ms, out);
    if (!out->failed && out->n - from <= sizeof x->text) {
        x->t_ms = t_ms;
        x->n = (uint32_t)(out->n - from);
        memcpy(x->text, out->p + from, x->n);
    }
}

static void write_value(const struct promql_sample *s, struct buf *out)
{
    buf_char(out, ',');
    if (s->h) {
        promql_nhist_json(s->h, out);
    } else {
        write_number(out, s->v);
    }
    buf_char(out, ']');
}

static void write_sample(const struct promql_sample *s, struct buf *out)
{
    buf_char(out, '[');
    promql_json_time(s->t_ms, out);
    write_value(s, out);
}

/* The samples of one kind as a list; nothing when there are none. */
static void write_samples(const struct promql_series *s, bool histograms, const char *name,
                          struct time_text *texts, struct buf *out)
{
    bool some = false;
    for (uint32_t i = 0; i < s->n; i++) {
        if ((s->samples[i].h != NULL) == histograms) {
            if (some) {
                buf_char(out, ',');
            } else {
                buf_fmt(out, ",\"%s\":[", name);
            }
            buf_char(out, '[');
            write_time(texts, i, s->samples[i].t_ms, out);
            write_value(&s->samples[i], out);
            some = true;
        }
    }
    if (some) {
        buf_char(out, ']');
    }
}

static void write_series(const struct promql_series *s, bool matrix, struct time_text *texts,
                         struct buf *out)
{
    BUF_LIT(out, "{\"metric\":{");
    for (uint32_t i = 0; i < s->labels.n; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        buf_json_str(out, s->labels.v[i].name);
        buf_char(out, ':');
        buf_json_str(out, s->labels.v[i].value);
    }
    BUF_LIT(out, "}");
    if (matrix) {
        write_samples(s, false, "values", texts, out);
        write_samples(s, true, "histograms", texts, out);
    } else if (s->n > 0) {
        buf_str_add(out, s->samples[0].h ? STR(",\"histogram\":") : STR(",\"value\":"));
        write_sample(&s->samples[0], out);
    }
    BUF_LIT(out, "}");
}

void promql_result_json(const struct promql_result *r, struct buf *out)
{
    static const char *const names[] = {[PROMQL_NONE] = "none",
                                        [PROMQL_SCALAR] = "scalar",
                                        [PROMQL_VECTOR] = "vector",
                                        [PROMQL_MATRIX] = "matrix",
                                        [PROMQL_STRING] = "string"};
    struct time_text texts[TIME_TEXTS];
    for (uint32_t i = 0; i < TIME_TEXTS; i++) {
        texts[i].n = 0;
    }
    buf_fmt(out, "\"resultType\":\"%s\",\"result\":", names[r->type]);
    if (r->type == PROMQL_SCALAR) {
        write_sample(&r->scalar, out);
        return;
    }
    BUF_LIT(out, "[");
    if (r->type == PROMQL_STRING) {
        promql_json_time(r->scalar.t_ms, out);
        BUF_LIT(out, ",");
        buf_json_str(out, r->string);
    }
    for (uint32_t i = 0; i < r->series_n && r->type != PROMQL_STRING; i++) {
        if (i > 0) {
            BUF_LIT(out, ",");
        }
        write_series(&r->series[i], r->type == PROMQL_MATRIX, texts, out);
    }
    BUF_LIT(out, "]");
}
