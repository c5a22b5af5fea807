/* Metric families as text, in the two formats that Prometheus reads.
 *
 *   0.0.4                                         OpenMetrics 1.0.0
 *   # HELP x_total text                           # HELP x text
 *   # TYPE x_total counter                        # TYPE x counter
 *                                                 # UNIT x_seconds seconds
 *   x_total{a="b"} 5                              x_total{a="b"} 5
 *   y_bucket{le="1"} 3                            y_bucket{le="1.0"} 3
 *   z_info 1   (a gauge)                          z_info 1   (TYPE z info)
 *                                                 # EOF
 *
 * Differences that bite: the family of a counter is named with _total in the old format and without
 * it in the new; help escapes `"` only in the new; `le` is a number in both, but the new wants 1.0
 * for 1 so that the same edge is the same label everywhere. Buckets are cumulative on the page and
 * plain in memory. No timestamps: a scrape is stamped by its reader, and a stamp of ours would
 * defeat staleness. Sources: Prometheus "Exposition formats"; OpenMetrics 1.0.0 (openmetrics.io),
 * sections 4 and 5. */
#include "codec/expo.h"

static void escaped(struct buf *out, struct str s, bool quotes)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '\\' && c != '\n' && !(quotes && c == '"')) {
            continue;
        }
        buf_add(out, s.p + from, i - from);
        buf_char(out, '\\');
        buf_char(out, c == '\n' ? 'n' : c);
        from = i + 1;
    }
    buf_add(out, s.p + from, s.n - from);
}

/* Bytes that are not UTF-8 would make a reader refuse the whole page: each becomes '?'. */
static void label_value(struct buf *out, struct str s)
{
    if (str_is_utf8(s)) {
        escaped(out, s, true);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool ascii = (unsigned char)s.p[i] < 0x80;
        escaped(out, ascii ? str_of(s.p + i, 1) : STR("?"), true);
    }
}

static void edge(struct buf *out, double v, enum expo_format f)
{
    size_t from = out->n;
    buf_f64(out, v);
    if (f != EXPO_OPENMETRICS_1_0_0 || out->failed) {
        return;
    }
    for (size_t i = from; i < out->n; i++) {
        if (out->p[i] != '-' && (out->p[i] < '0' || out->p[i] > '9')) {
            return; /* a point, an exponent, Inf or NaN */
        }
    }
    BUF_LIT(out, ".0");
}

static struct str sample_suffix(enum expo_type type)
{
    return type == EXPO_COUNTER ? STR("_total") : type == EXPO_INFO ? STR("_info") : STR("");
}

static struct str type_word(enum expo_type type, enum expo_format f)
{
    switch (type) {
    case EXPO_COUNTER: return STR("counter");
    case EXPO_GAUGE: return STR("gauge");
    case EXPO_HISTOGRAM: return STR("histogram");
    case EXPO_INFO: break;
    }
    return f == EXPO_TEXT_0_0_4 ? STR("gauge") : STR("info");
}

static void head_line(struct buf *out, struct str word, const struct expo_family *f,
                      enum expo_format format)
{
    BUF_LIT(out, "# ");
    buf_str_add(out, word);
    buf_char(out, ' ');
    buf_str_add(out, f->name);
    if (format == EXPO_TEXT_0_0_4) {
        buf_str_add(out, sample_suffix(f->type));
    }
    buf_char(out, ' ');
}

static void head(struct buf *out, const struct expo_family *f, enum expo_format format)
{
    head_line(out, STR("HELP"), f, format);
    escaped(out, f->help, format == EXPO_OPENMETRICS_1_0_0);
    buf_char(out, '\n');
    head_line(out, STR("TYPE"), f, format);
    buf_str_add(out, type_word(f->type, format));
    buf_char(out, '\n');
    if (format == EXPO_OPENMETRICS_1_0_0 && f->unit.n > 0 && f->type != EXPO_INFO) {
        head_line(out, STR("UNIT"), f, format);
        buf_str_add(out, f->unit);
        buf_char(out, '\n');
    }
}

/* name{labels  without the closing brace; *open tells whether the brace was opened. */
static void sample_name(struct buf *out, const struct expo_family *f, struct str suffix,
                        const struct expo_sample *s, bool *open)
{
    buf_str_add(out, f->name);
    buf_str_add(out, suffix);
    for (uint32_t i = 0; i < s->labels_count; i++) {
        buf_char(out, i == 0 ? '{' : ',');
        buf_str_add(out, s->labels[i].name);
        BUF_LIT(out, "=\"");
        label_value(out, s->labels[i].value);
        buf_char(out, '"');
    }
    *open = s->labels_count > 0;
}

static void plain_name(struct buf *out, const struct expo_family *f, struct str suffix,
                       const struct expo_sample *s)
{
    bool open = false;
    sample_name(out, f, suffix, s, &open);
    if (open) {
        buf_char(out, '}');
    }
    buf_char(out, ' ');
}

static void histogram(struct buf *out, const struct expo_family *f, const struct expo_sample *s,
                      enum expo_format format)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i <= f->edges_count; i++) {
        below += s->buckets[i];
        bool open = false;
        sample_name(out, f, STR("_bucket"), s, &open);
        buf_str_add(out, open ? STR(",le=\"") : STR("{le=\""));
        if (i < f->edges_count) {
            edge(out, f->edges[i], format);
        } else {
            BUF_LIT(out, "+Inf");
        }
        BUF_LIT(out, "\"} ");
        buf_u64(out, below);
        buf_char(out, '\n');
    }
    plain_name(out, f, STR("_sum"), s);
    buf_f64(out, s->sum);
    buf_char(out, '\n');
    plain_name(out, f, STR("_count"), s);
    buf_u64(out, below);
    buf_char(out, '\n');
}

void expo_write(const struct expo *x, enum expo_format format, struct buf *out)
{
    for (const struct expo_family *f = x->first; f; f = f->next) {
        head(out, f, format);
        for (const struct expo_sample *s = f->first; s; s = s->next) {
            if (f->type == EXPO_HISTOGRAM) {
                histogram(out, f, s, format);
                continue;
            }
            plain_name(out, f, sample_suffix(f->type), s);
            buf_f64(out, s->value);
            buf_char(out, '\n');
        }
    }
    if (format == EXPO_OPENMETRICS_1_0_0) {
        BUF_LIT(out, "# EOF\n");
    }
}
