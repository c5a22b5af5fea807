/* Unit tests of rules, what a test expected and what it got, as text in promtool's form. */
#include "engines/rules/unit_int.h"

#include "codec/f64.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DENSE_MAX 65536

void unit_put_duration(struct buf *b, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
        bool exact; /* years and weeks only when nothing is left: 90d reads better than 12w6d */
    } units[] = {{"y", 31536000000, true}, {"w", 604800000, true}, {"d", 86400000, false},
                 {"h", 3600000, false},    {"m", 60000, false},    {"s", 1000, false},
                 {"ms", 1, false}};
    if (ms == 0) {
        BUF_LIT(b, "0s");
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t v = ms / units[i].ms;
        if (v > 0 && (!units[i].exact || ms % units[i].ms == 0)) {
            buf_fmt(b, "%lld%s", (long long)v, units[i].name);
            ms -= v * units[i].ms;
        }
    }
}

void unit_put_float(struct buf *b, double v)
{
    char text[48];
    if (!isfinite(v)) {
        buf_str_add(b, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
        return;
    }
    for (int digits = 0; digits < 18; digits++) {
        (void)snprintf(text, sizeof text, "%.*E", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    buf_str_add(b, str_from_c(text));
}

static void field(struct buf *b, const char *name, double v)
{
    if (v != 0) {
        if (b->n && b->p[b->n - 1] != '{') {
            buf_char(b, ' ');
        }
        buf_str_add(b, str_from_c(name));
        f64_write(b, v, F64_GENERAL);
    }
}

/* One run of buckets from the first to the last that is not empty. */
static void side(struct buf *b, const struct nhist_side *s, const char *buckets, const char *offset)
{
    int64_t idx = 0;
    int64_t from = 0;
    int64_t last = 0;
    bool any = false;
    uint32_t k = 0;
    struct buf v;
    buf_init(&v, b->mem, UNIT_OUT_MAX);
    for (uint32_t i = 0; i < s->spans_n; i++) {
        idx += s->spans[i].offset;
        for (uint32_t j = 0; j < s->spans[i].length && k < s->counts_n; j++, idx++, k++) {
            double c = s->counts[k];
            if (c == 0) {
                continue;
            }
            from = any ? from : idx;
            for (int64_t gap = any ? last + 1 : idx; gap < idx && gap - last < DENSE_MAX; gap++) {
                BUF_LIT(&v, " 0");
            }
            if (any) {
                buf_char(&v, ' ');
            }
            f64_write(&v, c, F64_GENERAL);
            any = true;
            last = idx;
        }
    }
    field(b, offset, (double)from);
    if (any) {
        buf_fmt(b, "%s%s[", b->n && b->p[b->n - 1] != '{' ? " " : "", buckets);
        buf_str_add(b, buf_str(&v));
        buf_char(b, ']');
    }
    buf_release(&v);
}

void unit_put_hist(struct buf *b, const struct nhist *h, bool hint)
{
    static const char *const hints[] = {"", "reset", "not_reset", "gauge"};
    BUF_LIT(b, "{{");
    field(b, "schema:", h->schema);
    field(b, "count:", h->count);
    field(b, "sum:", h->sum);
    field(b, "z_bucket:", h->zero_count);
    field(b, "z_bucket_w:", h->zero_threshold);
    if (h->schema == NHIST_SCHEMA_CUSTOM) {
        BUF_LIT(b, " custom_values:[");
        for (uint32_t i = 0; i < h->custom_n; i++) {
            if (i) {
                buf_char(b, ' ');
            }
            f64_write(b, h->custom[i], F64_GENERAL);
        }
        buf_char(b, ']');
    }
    if (hint && h->reset != NHIST_UNKNOWN) {
        buf_fmt(b, "%scounter_reset_hint:%s", b->n && b->p[b->n - 1] != '{' ? " " : "",
                hints[h->reset]);
    }
    side(b, &h->pos, "buckets:", "offset:");
    side(b, &h->neg, "n_buckets:", "n_offset:");
    BUF_LIT(b, "}}");
}

void unit_put_alerts(struct buf *b, const struct unit_alert *v, uint32_t n)
{
    static const struct str pad = STR_INIT("            ");
    if (n == 0) {
        BUF_LIT(b, "[]");
        return;
    }
    BUF_LIT(b, "[");
    for (uint32_t i = 0; i < n; i++) {
        buf_fmt(b, "%s\n", i ? "," : "");
        buf_str_add(b, pad);
        buf_fmt(b, "%u:\n", i);
        buf_str_add(b, pad);
        BUF_LIT(b, "  Labels:");
        labels_print(v[i].labels, b);
        buf_char(b, '\n');
        buf_str_add(b, pad);
        BUF_LIT(b, "  Annotations:");
        labels_print(v[i].notes, b);
    }
    buf_char(b, '\n');
    buf_str_add(b, pad);
    buf_char(b, ']');
}
