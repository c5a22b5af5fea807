/* Templates, the functions that Prometheus adds: queries and their results, regular expressions,
 * numbers for people, times, links. */
#include "engines/rules/tpl_int.h"

#include "base/clock.h"
#include "codec/regex.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- queries ---------------------------------------------------------------------------------- */

static bool list_new(struct texec *x, uint32_t n, struct tv_list **l, struct tval *out)
{
    *l = ARENA_NEW(x->arena, struct tv_list);
    struct tval *v = ARENA_ARRAY(x->arena, struct tval, n ? n : 1);
    if (!*l || !v) {
        return tpl_fail(x, "error calling query: out of memory");
    }
    **l = (struct tv_list){v, n};
    *out = (struct tval){.kind = TV_LIST, .u.list = *l};
    return true;
}

static bool sample_of(struct texec *x, struct labels ls, const struct promql_sample *p,
                      struct tval *out)
{
    struct tv_sample *s = ARENA_NEW(x->arena, struct tv_sample);
    if (!s || !tpl_map_of(x->arena, ls, &s->labels)) {
        return tpl_fail(x, "error calling query: out of memory");
    }
    s->value = p->h ? (struct tval){.kind = TV_HIST, .u.hist = p->h} : tv_float(p->v);
    *out = (struct tval){.kind = TV_SAMPLE, .u.sample = s};
    return true;
}

static bool fn_query(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct promql_query q = x->data->query;
    struct promql_node *expr = NULL;
    struct promql_result *r = ARENA_NEW(x->arena, struct promql_result);
    enum promql_failure why = PROMQL_BAD;
    struct err e = {0};
    (void)n;
    if (!q.source.select || !r) {
        return tpl_fail(x, "error calling query: no source of samples here");
    }
    if (!promql_parse(v[0].u.s, q.flags, x->arena, &expr, &e)) {
        return tpl_fail(x, "error calling query: %u:%u: parse error: %s", e.line, e.col, e.msg);
    }
    q.expr = expr;
    q.text = v[0].u.s;
    q.start_ms = q.end_ms = x->data->t_ms;
    q.step_ms = 0;
    if (!promql_eval(&q, x->arena, r, &why, &e)) {
        return tpl_fail(x, "error calling query: %s", e.msg);
    }
    struct tv_list *l = NULL;
    if (r->type == PROMQL_SCALAR) {
        return list_new(x, 1, &l, out) && sample_of(x, (struct labels){0}, &r->scalar, &l->v[0]);
    }
    if (r->type != PROMQL_VECTOR) {
        return tpl_fail(x, "error calling query: rule result is not a vector or scalar");
    }
    if (!list_new(x, r->series_n, &l, out)) {
        return false;
    }
    for (uint32_t i = 0; i < r->series_n; i++) {
        if (!sample_of(x, r->series[i].labels, r->series[i].samples, &l->v[i])) {
            return false;
        }
    }
    return true;
}

static bool fn_first(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    if (v->u.list->n == 0) {
        return tpl_fail(x, "error calling first: first() called on vector with no elements");
    }
    *out = v->u.list->v[0];
    return true;
}

static struct str label_of(const struct tval *sample, struct str name)
{
    bool found = false;
    return tpl_map_get(sample->u.sample->labels.u.map, name, &found).u.s;
}

static bool fn_label(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = tv_str(label_of(&v[1], v[0].u.s));
    return true;
}

static bool fn_value(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = v->u.sample->value;
    return true;
}

static bool fn_strvalue(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = tv_str(label_of(v, STR("__value__")));
    return true;
}

/* By insertion: results in templates are short, and equal ones keep their order. */
static bool fn_sort_by_label(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct tv_list *l = NULL;
    (void)n;
    uint32_t count = v[1].u.list->n;
    if (!list_new(x, count, &l, out)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tval it = v[1].u.list->v[i];
        struct str key = label_of(&it, v[0].u.s);
        uint32_t k = i;
        while (k > 0 && str_cmp(label_of(&l->v[k - 1], v[0].u.s), key) > 0) {
            l->v[k] = l->v[k - 1];
            k--;
        }
        l->v[k] = it;
        x->steps += i - k;
        if (x->steps > TPL_STEPS_MAX) {
            return tpl_fail(x, "template ran more than %d steps", TPL_STEPS_MAX);
        }
    }
    return true;
}

static bool fn_args(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct tv_map *m = ARENA_NEW(x->arena, struct tv_map);
    struct tv_entry *e = ARENA_ARRAY(x->arena, struct tv_entry, n ? n : 1);
    if (!m || !e) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "arg%u", i);
        e[i].key = arena_str(x->arena, str_from_c(name));
        e[i].value = v[i];
        if (!e[i].key.p) {
            return false;
        }
    }
    *m = (struct tv_map){e, n, true};
    *out = (struct tval){.kind = TV_MAP, .u.map = m};
    return true;
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool fn_match(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct regex *r = NULL;
    struct err e = {0};
    (void)n;
    if (!regex_new(x->arena->mem, v[0].u.s, false, &r, &e)) {
        return tpl_fail(x, "error calling match: %s", e.msg);
    }
    *out = tv_bool(regex_match(r, v[1].u.s));
    regex_free(r);
    return true;
}

static bool fn_replace(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct regex *r = NULL;
    struct err e = {0};
    (void)n;
    if (!regex_new(x->arena->mem, v[0].u.s, false, &r, &e)) {
        return tpl_fail(x, "error calling reReplaceAll: %s", e.msg);
    }
    struct buf b = tpl_buf(x);
    regex_replace_all(r, v[2].u.s, v[1].u.s, &b);
    regex_free(r);
    return tpl_keep(x, &b, out);
}

static bool fn_safe_html(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = (struct tval){.kind = TV_HTML, .u.s = v->u.s};
    return true;
}

/* Case of ASCII and of the two-byte letters of Latin-1, Latin Extended-A, Greek and Cyrillic; what
 * else there is stays as it is. */
static uint32_t change_case(uint32_t r, bool up)
{
    if (r < 0x80) {
        return up ? (r >= 'a' && r <= 'z' ? r - 32 : r) : (r >= 'A' && r <= 'Z' ? r + 32 : r);
    }
    if ((r >= 0xc0 && r <= 0xde && r != 0xd7 && !up) ||
        (r >= 0xe0 && r <= 0xfe && r != 0xf7 && up)) {
        return up ? r - 32 : r + 32;
    }
    if (r == 0xff && up) {
        return 0x178;
    }
    bool odd_upper = (r >= 0x139 && r <= 0x148) || (r >= 0x179 && r <= 0x17e);
    bool even_upper =
        (r >= 0x100 && r <= 0x137 && r != 0x130 && r != 0x131) || (r >= 0x14a && r <= 0x177);
    if (odd_upper || even_upper) {
        bool upper = (r & 1) == (odd_upper ? 1U : 0U);
        return upper == up ? r : up ? r - 1 : r + 1;
    }
    if ((r >= 0x391 && r <= 0x3a9 && !up) || (r >= 0x3b1 && r <= 0x3c9 && r != 0x3c2 && up)) {
        return up ? r - 32 : r + 32;
    }
    if ((r >= 0x410 && r <= 0x42f && !up) || (r >= 0x430 && r <= 0x44f && up)) {
        return up ? r - 32 : r + 32;
    }
    if ((r >= 0x400 && r <= 0x40f && !up) || (r >= 0x450 && r <= 0x45f && up)) {
        return up ? r - 80 : r + 80;
    }
    return r;
}

/* how: 'U', 'L', or 'T' (the first letter of each word goes up). */
static bool recase(struct texec *x, struct str s, char how, struct tval *out)
{
    struct buf b = tpl_buf(x);
    bool inside = false;
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        bool two =
            c >= 0xc3 && c <= 0xd1 && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xc0) == 0x80;
        uint32_t r = two ? (uint32_t)(c & 31) << 6 | ((unsigned char)s.p[i + 1] & 63) : c;
        bool letter = c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'' ||
                      (c >= '0' && c <= '9') || c == '_';
        if ((c < 0x80 || two) && (how != 'T' || !inside)) {
            r = change_case(r, how != 'L');
        }
        inside = letter;
        if (two) {
            buf_char(&b, (char)(0xc0 | r >> 6));
            buf_char(&b, (char)(0x80 | (r & 63)));
        } else {
            buf_char(&b, (char)r);
        }
        i += two ? 2 : 1;
    }
    return tpl_keep(x, &b, out);
}

static bool fn_title(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'T', out);
}

static bool fn_upper(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'U', out);
}

static bool fn_lower(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'L', out);
}

/* Go's url.QueryEscape. */
void rules_url_escape(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            buf_char(b, (char)c);
        } else if (c == ' ') {
            buf_char(b, '+');
        } else {
            buf_fmt(b, "%%%02X", c);
        }
    }
}

static bool link_to(struct texec *x, struct str expr, const char *tab, struct tval *out)
{
    struct buf b = tpl_buf(x);
    BUF_LIT(&b, "/graph?g0.expr=");
    rules_url_escape(&b, expr);
    buf_fmt(&b, "&g0.tab=%s", tab);
    return tpl_keep(x, &b, out);
}

static bool fn_graph_link(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return link_to(x, v->u.s, "0", out);
}

static bool fn_table_link(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return link_to(x, v->u.s, "1", out);
}

static bool fn_url_escape(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf b = tpl_buf(x);
    (void)n;
    rules_url_escape(&b, v->u.s);
    return tpl_keep(x, &b, out);
}

static bool fn_external_url(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)v;
    (void)n;
    *out = tv_str(x->data->external_url);
    return true;
}

static bool fn_path_prefix(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str u = x->data->external_url;
    (void)v;
    (void)n;
    size_t i = 0;
    while (i + 2 < u.n && memcmp(u.p + i, "://", 3) != 0) {
        i++;
    }
    struct str rest = i + 2 < u.n ? str_sub(u, i + 3, u.n) : u;
    size_t slash = 0;
    while (slash < rest.n && rest.p[slash] != '/') {
        slash++;
    }
    struct str path = str_sub(rest, slash, rest.n);
    path = str_cut(path, '?').head;
    *out = tv_str(str_cut(path, '#').head);
    return true;
}

/* host:port, [v6]:port; false: there is no port to split. */
static bool split_port(struct str s, struct str *host, struct str *port)
{
    size_t colon = s.n;
    size_t colons = 0;
    for (size_t i = 0; i < s.n; i++) {
        colons += s.p[i] == ':';
        colon = s.p[i] == ':' ? i : colon;
    }
    if (colons == 0) {
        return false;
    }
    *host = str_sub(s, 0, colon);
    *port = str_sub(s, colon + 1, s.n);
    if (host->n && host->p[0] == '[') {
        bool closed = host->p[host->n - 1] == ']';
        *host = str_sub(*host, 1, host->n - 2);
        return closed;
    }
    return colons == 1;
}

static bool fn_strip_port(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str host = {0};
    struct str port = {0};
    (void)x;
    (void)n;
    *out = tv_str(split_port(v->u.s, &host, &port) ? host : v->u.s);
    return true;
}

/* Digits and dots with four numbers, or anything with a colon. */
static bool is_address(struct str s)
{
    uint32_t dots = 0;
    bool digits = s.n > 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ':') {
            return true;
        }
        dots += s.p[i] == '.';
        digits = digits && (s.p[i] == '.' || (s.p[i] >= '0' && s.p[i] <= '9'));
    }
    return digits && dots == 3;
}

static bool fn_strip_domain(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str host = {0};
    struct str port = {0};
    (void)n;
    if (!split_port(v->u.s, &host, &port)) {
        host = v->u.s;
        port = STR("");
    }
    if (is_address(host)) {
        *out = v[0];
        return true;
    }
    struct buf b = tpl_buf(x);
    buf_str_add(&b, str_cut(host, '.').head);
    if (port.n) {
        buf_char(&b, ':');
        buf_str_add(&b, port);
    }
    return tpl_keep(x, &b, out);
}

/* --- numbers and times ------------------------------------------------------------------------ */

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

const struct tfn tpl_prom_fns[] = {
    {STR_INIT("args"), 0, UINT32_MAX, fn_args, NULL},
    {STR_INIT("externalURL"), 0, 0, fn_external_url, NULL},
    {STR_INIT("first"), 1, 1, fn_first, "l"},
    {STR_INIT("graphLink"), 1, 1, fn_graph_link, "s"},
    {STR_INIT("humanize"), 1, 1, fn_humanize, NULL},
    {STR_INIT("humanize1024"), 1, 1, fn_humanize1024, NULL},
    {STR_INIT("humanizeDuration"), 1, 1, fn_humanize_duration, NULL},
    {STR_INIT("humanizePercentage"), 1, 1, fn_humanize_percentage, NULL},
    {STR_INIT("humanizeTimestamp"), 1, 1, fn_humanize_timestamp, NULL},
    {STR_INIT("label"), 2, 2, fn_label, "sp"},
    {STR_INIT("match"), 2, 2, fn_match, "s"},
    {STR_INIT("now"), 0, 0, fn_now, NULL},
    {STR_INIT("parseDuration"), 1, 1, fn_parse_duration, "s"},
    {STR_INIT("pathPrefix"), 0, 0, fn_path_prefix, NULL},
    {STR_INIT("query"), 1, 1, fn_query, "s"},
    {STR_INIT("reReplaceAll"), 3, 3, fn_replace, "s"},
    {STR_INIT("safeHtml"), 1, 1, fn_safe_html, "s"},
    {STR_INIT("sortByLabel"), 2, 2, fn_sort_by_label, "sl"},
    {STR_INIT("stripDomain"), 1, 1, fn_strip_domain, "s"},
    {STR_INIT("stripPort"), 1, 1, fn_strip_port, "s"},
    {STR_INIT("strvalue"), 1, 1, fn_strvalue, "p"},
    {STR_INIT("tableLink"), 1, 1, fn_table_link, "s"},
    {STR_INIT("title"), 1, 1, fn_title, "s"},
    {STR_INIT("toDuration"), 1, 1, fn_to_duration, NULL},
    {STR_INIT("toLower"), 1, 1, fn_lower, "s"},
    {STR_INIT("toTime"), 1, 1, fn_to_time, NULL},
    {STR_INIT("toUpper"), 1, 1, fn_upper, "s"},
    {STR_INIT("urlQueryEscape"), 1, 1, fn_url_escape, "s"},
    {STR_INIT("value"), 1, 1, fn_value, "p"},
};
const uint32_t tpl_prom_fns_n = ARRAY_LEN(tpl_prom_fns);
