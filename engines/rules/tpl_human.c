/* Templates, the functions of Prometheus that write numbers and times for people. */
#include "engines/rules/tpl_int.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>

static bool to_float(struct texec *x, const char *fn, const struct tval *v, double *out)
{
    if (v->kind == TV_FLOAT) {
        *out = v->u.f;
    } else if (v->kind == TV_INT) {
        *out = (double)v->u.i;
    } else if (v->kind == TV_DURATION) {
        *out = (double)v->u.i / 1e9;
    } else if (v->kind == TV_STR || v->kind == TV_HTML) {
        char s[80];
        char *end = s;
        size_t n = v->u.s.n;
        if (n > 0 && n < sizeof s) {
            memcpy(s, v->u.s.p, n);
            s[n] = 0;
            *out = strtod(s, &end);
        }
        if (n == 0 || n >= sizeof s || end != s + n || s[0] == ' ') {
            return tpl_fail(
                x, "error calling %s: strconv.ParseFloat: parsing \"%.*s\": invalid syntax", fn,
                STR_FMT(str_sub(v->u.s, 0, 60)));
        }
    } else {
        return tpl_fail(x, "error calling %s: can't convert %.*s to float", fn,
                        STR_FMT(tpl_type(v)));
    }
    return true;
}

static const char *const small[] = {"m", "u", "n", "p", "f", "a", "z", "y"};

static void put_g(struct buf *b, double v)
{
    if (isnan(v) || isinf(v)) {
        buf_str_add(b, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
        return;
    }
    buf_fmt(b, "%.4g", v);
}

/* Scaled by steps while not below (or above) one of them. */
static void put_scaled(struct buf *b, double v, const char *const *prefixes, double step, bool down)
{
    const char *prefix = "";
    for (int i = 0; i < 8 && (down ? fabs(v) < 1 : fabs(v) >= step); i++) {
        prefix = prefixes[i];
        v = down ? v * step : v / step;
    }
    put_g(b, v);
    buf_str_add(b, str_from_c(prefix));
}

static bool fn_humanize(struct texec *x, const struct tval *a, uint32_t n, struct tval *out)
{
    static const char *const big[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    double v = 0;
    (void)n;
    if (!to_float(x, "humanize", a, &v)) {
        return false;
    }
    struct buf b = tpl_buf(x);
    if (v == 0 || isnan(v) || isinf(v)) {
        put_g(&b, v);
    } else {
        put_scaled(&b, v, fabs(v) >= 1 ? big : small, 1000, fabs(v) < 1);
    }
    return tpl_keep(x, &b, out);
}

static bool fn_humanize1024(struct texec *x, const struct tval *a, uint32_t n, struct tval *out)
{
    static const char *const big[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
    double v = 0;
    (void)n;
    if (!to_float(x, "humanize1024", a, &v)) {
        return false;
    }
    struct buf b = tpl_buf(x);
    if (fabs(v) <= 1 || isnan(v) || isinf(v)) {
        put_g(&b, v);
    } else {
        put_scaled(&b, v, big, 1024, false);
    }
    return tpl_keep(x, &b, out);
}

static void put_span(struct buf *b, double v)
{
    if (v < 0) {
        buf_char(b, '-');
        v = -v;
    }
    int64_t s = v < 9e18 ? (int64_t)v : INT64_MAX;
    long long d = s / 86400;
    long long h = s / 3600 % 24;
    long long m = s / 60 % 60;
    if (d) {
        buf_fmt(b, "%lldd %lldh %lldm %llds", d, h, m, (long long)(s % 60));
    } else if (h) {
        buf_fmt(b, "%lldh %lldm %llds", h, m, (long long)(s % 60));
    } else if (m) {
        buf_fmt(b, "%lldm %llds", m, (long long)(s % 60));
    } else {
        buf_fmt(b, "%.4gs", v);
    }
}

static bool fn_humanize_duration(struct texec *x, const struct tval *a, uint32_t n,
                                 struct tval *out)
{
    double v = 0;
    (void)n;
    if (!to_float(x, "humanizeDuration", a, &v)) {
        return false;
    }
    struct buf b = tpl_buf(x);
    if (isnan(v) || isinf(v)) {
        put_g(&b, v);
    } else if (v == 0) {
        BUF_LIT(&b, "0s");
    } else if (fabs(v) >= 1) {
        put_span(&b, v);
    } else {
        put_scaled(&b, v, small, 1000, true);
        buf_char(&b, 's');
    }
    return tpl_keep(x, &b, out);
}

static bool fn_humanize_percentage(struct texec *x, const struct tval *a, uint32_t n,
                                   struct tval *out)
{
    double v = 0;
    (void)n;
    if (!to_float(x, "humanizePercentage", a, &v)) {
        return false;
    }
    struct buf b = tpl_buf(x);
    put_g(&b, v * 100);
    buf_char(&b, '%');
    return tpl_keep(x, &b, out);
}

/* Seconds to a time of ms, as Prometheus rounds it. */
static bool to_ns(struct texec *x, const char *fn, double v, int64_t *ns)
{
    if (v > 9.2e9 || v < -9.2e9) {
        return tpl_fail(x,
                        "error calling %s: %.4g cannot be represented as a nanoseconds timestamp "
                        "since it overflows int64",
                        fn, v);
    }
    *ns = (int64_t)(v * 1e9) / NS_PER_MS * NS_PER_MS;
    return true;
}

static bool fn_humanize_timestamp(struct texec *x, const struct tval *a, uint32_t n,
                                  struct tval *out)
{
    double v = 0;
    int64_t ns = 0;
    (void)n;
    if (!to_float(x, "humanizeTimestamp", a, &v)) {
        return false;
    }
    struct buf b = tpl_buf(x);
    if (isnan(v) || isinf(v)) {
        put_g(&b, v);
    } else if (!to_ns(x, "humanizeTimestamp", v, &ns)) {
        buf_release(&b);
        return false;
    } else {
        const struct tval t = {.kind = TV_TIME, .u.i = ns};
        tpl_print(&b, &t);
    }
    return tpl_keep(x, &b, out);
}

static bool fn_to_time(struct texec *x, const struct tval *a, uint32_t n, struct tval *out)
{
    double v = 0;
    (void)n;
    if (!to_float(x, "toTime", a, &v)) {
        return false;
    }
    if (isnan(v) || isinf(v)) {
        return tpl_fail(x, "error calling toTime: value is NaN or Inf");
    }
    *out = (struct tval){.kind = TV_TIME};
    return to_ns(x, "toTime", v, &out->u.i);
}

static bool fn_to_duration(struct texec *x, const struct tval *a, uint32_t n, struct tval *out)
{
    double v = 0;
    (void)n;
    if (!to_float(x, "toDuration", a, &v)) {
        return false;
    }
    if (isnan(v) || isinf(v) || fabs(v) > 9.2e9) {
        return tpl_fail(x, "error calling toDuration: value is NaN or Inf or does not fit");
    }
    *out = (struct tval){.kind = TV_DURATION, .u.i = (int64_t)(v * 1e9)};
    return true;
}

static bool fn_parse_duration(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    int64_t ms = 0;
    (void)n;
    if (str_eq(v->u.s, STR("0"))) {
        *out = tv_float(0);
        return true;
    }
    if (!str_to_duration_ms(v->u.s, &ms)) {
        return tpl_fail(x, "error calling parseDuration: not a valid duration string: \"%.*s\"",
                        STR_FMT(str_sub(v->u.s, 0, 60)));
    }
    *out = tv_float((double)ms / 1000);
    return true;
}

static bool fn_now(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)v;
    (void)n;
    *out = tv_float((double)x->data->t_ms / 1000);
    return true;
}

const struct tfn tpl_human_fns[] = {
    {STR_INIT("humanize"), 1, 1, fn_humanize, NULL},
    {STR_INIT("humanize1024"), 1, 1, fn_humanize1024, NULL},
    {STR_INIT("humanizeDuration"), 1, 1, fn_humanize_duration, NULL},
    {STR_INIT("humanizePercentage"), 1, 1, fn_humanize_percentage, NULL},
    {STR_INIT("humanizeTimestamp"), 1, 1, fn_humanize_timestamp, NULL},
    {STR_INIT("now"), 0, 0, fn_now, NULL},
    {STR_INIT("parseDuration"), 1, 1, fn_parse_duration, "s"},
    {STR_INIT("toDuration"), 1, 1, fn_to_duration, NULL},
    {STR_INIT("toTime"), 1, 1, fn_to_time, NULL},
};
const uint32_t tpl_human_fns_n = ARRAY_LEN(tpl_human_fns);
