/* Templates, values as text: what Go's fmt package prints for %v and the other verbs, for the
 * kinds of
 * values that a template of a rule can meet. */
#include "engines/rules/tpl_int.h"

#include "base/clock.h"
#include "codec/f64.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define WIDTH_MAX 1000 /* of a printed value: a template cannot ask for gigabytes of blanks */

struct str tpl_type(const struct tval *v)
{
    switch (v->kind) {
    case TV_NONE: return STR("<nil>");
    case TV_BOOL: return STR("bool");
    case TV_INT: return STR("int");
    case TV_FLOAT: return STR("float64");
    case TV_STR: return STR("string");
    case TV_HTML: return STR("template.HTML");
    case TV_LIST: return STR("template.queryResult");
    case TV_MAP: return v->u.map->any ? STR("map[string]interface {}") : STR("map[string]string");
    case TV_SAMPLE: return STR("*template.sample");
    case TV_TIME: return STR("*time.Time");
    case TV_DURATION: return STR("*time.Duration");
    case TV_HIST: return STR("*histogram.FloatHistogram");
    case TV_DATA: return STR("struct");
    }
    return STR("");
}

/* 1h2m3.5s, as Go's Duration prints itself. */
void tpl_duration(struct buf *b, int64_t ns)
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char text[64];
    if (ns == 0) {
        BUF_LIT(b, "0s");
        return;
    }
    if (ns < 0) {
        buf_char(b, '-');
    }
    uint64_t unit = u >= 1000000000 ? 1000000000 : u >= 1000000 ? 1000000 : u >= 1000 ? 1000 : 1;
    const char *name = unit == 1000000000 ? "s"
                       : unit == 1000000  ? "ms"
                       : unit == 1000     ? "µs"
                                          : "ns";
    uint64_t whole = u / unit;
    uint64_t rest = u % unit;
    if (unit == 1000000000) {
        if (whole >= 3600) {
            buf_fmt(b, "%" PRIu64 "h", whole / 3600);
        }
        if (whole >= 60) {
            buf_fmt(b, "%" PRIu64 "m", whole / 60 % 60);
        }
        whole %= 60;
    }
    buf_u64(b, whole);
    if (rest) {
        int digits = unit == 1000000000 ? 9 : unit == 1000000 ? 6 : 3;
        int n = snprintf(text, sizeof text, ".%0*" PRIu64, digits, rest);
        while (n > 1 && text[n - 1] == '0') {
            n--;
        }
        buf_add(b, text, (size_t)n);
    }
    buf_str_add(b, str_from_c(name));
}

/* 2009-11-10 23:00:00.5 +0000 UTC */
static void print_time(struct buf *b, int64_t ns)
{
    struct civil c = civil_from_ns(ns);
    buf_fmt(b, "%04d-%02d-%02d %02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute, c.second);
    if (c.ns) {
        char text[16];
        int n = snprintf(text, sizeof text, ".%09d", c.ns);
        while (n > 1 && text[n - 1] == '0') {
            n--;
        }
        buf_add(b, text, (size_t)n);
    }
    BUF_LIT(b, " +0000 UTC");
}

static void print_hist(struct buf *b, const struct nhist *h)
{
    BUF_LIT(b, "{count:");
    f64_write(b, h->count, F64_GENERAL);
    BUF_LIT(b, ", sum:");
    f64_write(b, h->sum, F64_GENERAL);
    BUF_LIT(b, "}");
}

static void print_map(struct buf *b, const struct tv_map *m)
{
    BUF_LIT(b, "map[");
    for (uint32_t i = 0; i < m->n; i++) {
        if (i) {
            buf_char(b, ' ');
        }
        buf_str_add(b, m->v[i].key);
        buf_char(b, ':');
        tpl_print(b, &m->v[i].value);
    }
    buf_char(b, ']');
}

void tpl_print(struct buf *b, const struct tval *v)
{
    switch (v->kind) {
    case TV_NONE: BUF_LIT(b, "<nil>"); break;
    case TV_BOOL: buf_str_add(b, v->u.b ? STR("true") : STR("false")); break;
    case TV_INT: buf_i64(b, v->u.i); break;
    case TV_FLOAT: f64_write(b, v->u.f, F64_GENERAL); break;
    case TV_STR:
    case TV_HTML: buf_str_add(b, v->u.s); break;
    case TV_LIST:
        buf_char(b, '[');
        for (uint32_t i = 0; i < v->u.list->n; i++) {
            if (i) {
                buf_char(b, ' ');
            }
            tpl_print(b, &v->u.list->v[i]);
        }
        buf_char(b, ']');
        break;
    case TV_MAP: print_map(b, v->u.map); break;
    case TV_SAMPLE:
        BUF_LIT(b, "&{");
        tpl_print(b, &v->u.sample->labels);
        buf_char(b, ' ');
        tpl_print(b, &v->u.sample->value);
        buf_char(b, '}');
        break;
    case TV_TIME: print_time(b, v->u.i); break;
    case TV_DURATION: tpl_duration(b, v->u.i); break;
    case TV_HIST: print_hist(b, v->u.hist); break;
    case TV_DATA: BUF_LIT(b, "{}"); break;
    }
}

/* --- printf ----------------------------------------------------------------------------------- */

struct spec {
    bool minus, plus, sharp, space, zero;
    int width, precision; /* -1: not given */
    char verb;
};

static void pad(struct buf *b, const struct spec *s, struct str text, bool numeric)
{
    size_t chars = 0;
    for (size_t i = 0; i < text.n; i++) {
        chars += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    }
    size_t fill = s->width > 0 && (size_t)s->width > chars ? (size_t)s->width - chars : 0;
    bool zero = s->zero && !s->minus && numeric;
    size_t sign = zero && text.n && (text.p[0] == '-' || text.p[0] == '+');
    buf_str_add(b, str_sub(text, 0, s->minus ? text.n : sign));
    for (size_t i = 0; i < fill; i++) {
        buf_char(b, zero ? '0' : ' ');
    }
    if (!s->minus) {
        buf_str_add(b, str_sub(text, sign, text.n));
    }
}

static bool number_text(const struct spec *s, double f, char *out, size_t cap)
{
    if (isnan(f) || isinf(f)) {
        (void)snprintf(out, cap, "%s",
                       isnan(f) ? (s->plus ? "+NaN" : "NaN")
                       : f > 0  ? "+Inf"
                                : "-Inf");
        return false;
    }
    size_t n = 0;
    if (!signbit(f) && (s->plus || s->space)) {
        out[n++] = s->plus ? '+' : ' ';
    }
    int precision = s->precision < 0 ? 6 : s->precision;
    switch (s->verb) {
    case 'e': (void)snprintf(out + n, cap - n, "%.*e", precision, f); break;
    case 'E': (void)snprintf(out + n, cap - n, "%.*E", precision, f); break;
    case 'g': (void)snprintf(out + n, cap - n, "%.*g", precision, f); break;
    case 'G': (void)snprintf(out + n, cap - n, "%.*G", precision, f); break;
    default: (void)snprintf(out + n, cap - n, "%.*f", precision, f); break;
    }
    return true;
}

static void put_float(struct buf *b, const struct spec *s, double f)
{
    char text[800];
    bool finite = true;
    if (s->verb == 'v' || ((s->verb == 'g' || s->verb == 'G') && s->precision < 0)) {
        struct mem m;
        struct buf t;
        mem_init(&m, 0);
        buf_init(&t, &m, sizeof text - 2);
        if (s->plus && f >= 0 && !isinf(f)) {
            buf_char(&t, '+');
        }
        f64_write(&t, f, F64_GENERAL);
        pad(b, s, buf_str(&t), !isnan(f) && !isinf(f));
        buf_release(&t);
        return;
    }
    finite = number_text(s, f, text, sizeof text);
    pad(b, s, str_from_c(text), finite);
}

static void put_int(struct buf *b, const struct spec *s, int64_t i)
{
    char text[80];
    size_t n = 0;
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    uint64_t base = s->verb == 'x' || s->verb == 'X'   ? 16
                    : s->verb == 'o' || s->verb == 'O' ? 8
                    : s->verb == 'b'                   ? 2
                                                       : 10;
    const char *digits = s->verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char back[70];
    size_t k = 0;
    do {
        back[k++] = digits[u % base];
        u /= base;
    } while (u);
    if (i < 0 || s->plus || s->space) {
        text[n++] = i < 0 ? '-' : s->plus ? '+' : ' ';
    }
    if ((s->sharp && base == 16) || s->verb == 'O') {
        text[n++] = '0';
        text[n++] = s->verb == 'O' ? 'o' : s->verb;
    } else if (s->sharp && base == 8) {
        text[n++] = '0';
    }
    for (int z = s->precision - (int)k; z > 0 && n < 40; z--) {
        text[n++] = '0';
    }
    while (k > 0 && n < sizeof text) {
        text[n++] = back[--k];
    }
    pad(b, s, str_of(text, n), s->precision < 0);
}

static void put_quoted(struct buf *b, struct str s)
{
    buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            buf_char(b, '\\');
            buf_char(b, (char)c);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            buf_char(b, '\\');
            buf_char(b, c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        } else if (c < 0x20 || c == 0x7f) {
            buf_fmt(b, "\\x%02x", c);
        } else {
            buf_char(b, (char)c);
        }
    }
    buf_char(b, '"');
}

/* %!verb(type=value) */
static void put_bad(struct buf *b, char verb, const struct tval *v)
{
    if (v->kind == TV_NONE) {
        buf_fmt(b, "%%!%c(<nil>)", verb);
        return;
    }
    buf_fmt(b, "%%!%c(%.*s=", verb, STR_FMT(tpl_type(v)));
    tpl_print(b, v);
    buf_char(b, ')');
}

static void put_text(struct texec *x, struct buf *b, const struct spec *s, const struct tval *v)
{
    struct buf t = tpl_buf(x);
    if (s->verb == 'q') {
        put_quoted(&t, v->u.s);
    } else if (s->verb == 'x' || s->verb == 'X') {
        for (size_t i = 0; i < v->u.s.n; i++) {
            buf_fmt(&t, s->verb == 'x' ? "%02x" : "%02X", (unsigned char)v->u.s.p[i]);
        }
    } else if (s->sharp && s->verb == 'v' && v->kind == TV_STR) {
        put_quoted(&t, v->u.s);
    } else {
        tpl_print(&t, v);
    }
    struct str text = buf_str(&t);
    if (s->precision >= 0 && s->verb == 's') {
        size_t n = 0;
        for (int chars = 0; n < text.n; n++) {
            chars += ((unsigned char)text.p[n] & 0xc0) != 0x80;
            if (chars > s->precision) {
                break;
            }
        }
        text.n = n;
    }
    pad(b, s, text, false);
    buf_release(&t);
}

static void put_value(struct texec *x, struct buf *b, const struct spec *s, const struct tval *v)
{
    struct buf t;
    if (s->verb == 'T') {
        pad(b, s, tpl_type(v), false);
        return;
    }
    bool is_text = v->kind == TV_STR || v->kind == TV_HTML;
    if (v->kind == TV_FLOAT && strchr("veEfFgG", s->verb)) {
        put_float(b, s, v->u.f);
    } else if (v->kind == TV_INT && strchr("vdbooOxX", s->verb)) {
        put_int(b, s, v->u.i);
    } else if (v->kind == TV_INT && s->verb == 'c' && v->u.i > 0 && v->u.i < 128) {
        buf_char(b, (char)v->u.i);
    } else if (v->kind == TV_BOOL && (s->verb == 't' || s->verb == 'v')) {
        pad(b, s, v->u.b ? STR("true") : STR("false"), false);
    } else if ((is_text && strchr("svqxX", s->verb)) || (!is_text && s->verb == 'v') ||
               (s->verb == 's' && (v->kind == TV_TIME || v->kind == TV_DURATION))) {
        put_text(x, b, s, v);
    } else if (s->verb == 'd' && v->kind == TV_DURATION) {
        put_int(b, s, v->u.i);
    } else if ((s->verb == 's' || s->verb == 'd') &&
               (v->kind == TV_LIST || v->kind == TV_MAP || v->kind == TV_SAMPLE)) {
        put_text(x, b, s, v);
    } else {
        t = tpl_buf(x);
        put_bad(&t, s->verb, v);
        buf_str_add(b, buf_str(&t));
        buf_release(&t);
    }
}

static int star(const struct tval *v, uint32_t n, uint32_t *at, int bad)
{
    if (*at >= n || v[*at].kind != TV_INT || v[*at].u.i > WIDTH_MAX || v[*at].u.i < -WIDTH_MAX) {
        *at += *at < n;
        return bad;
    }
    return (int)v[(*at)++].u.i;
}

static int take_number(struct str f, size_t *i)
{
    int v = 0;
    while (*i < f.n && f.p[*i] >= '0' && f.p[*i] <= '9') {
        v = v * 10 + (f.p[(*i)++] - '0');
        v = v > WIDTH_MAX ? WIDTH_MAX : v;
    }
    return v;
}

/* Flags, width and precision behind a '%' at f[*i]. */
static struct spec take_spec(struct str f, size_t *i, const struct tval *v, uint32_t n,
                             uint32_t *at)
{
    struct spec s = {.width = -1, .precision = -1};
    for (; *i < f.n && strchr("+-# 0", f.p[*i]) && f.p[*i]; (*i)++) {
        s.plus |= f.p[*i] == '+';
        s.minus |= f.p[*i] == '-';
        s.sharp |= f.p[*i] == '#';
        s.space |= f.p[*i] == ' ';
        s.zero |= f.p[*i] == '0';
    }
    if (*i < f.n && f.p[*i] == '*') {
        (*i)++;
        s.width = star(v, n, at, -1);
        s.minus |= s.width < -1;
        s.width = s.width < -1 ? -s.width : s.width;
    } else if (*i < f.n && f.p[*i] >= '0' && f.p[*i] <= '9') {
        s.width = take_number(f, i);
    }
    if (*i < f.n && f.p[*i] == '.') {
        (*i)++;
        if (*i < f.n && f.p[*i] == '*') {
            (*i)++;
            s.precision = star(v, n, at, 0);
        } else {
            s.precision = take_number(f, i);
        }
        s.precision = s.precision > 300 ? 300 : s.precision;
    }
    return s;
}

bool tpl_sprintf(struct texec *x, struct str f, const struct tval *v, uint32_t n, struct buf *b)
{
    uint32_t next = 0;
    for (size_t i = 0; i < f.n;) {
        if (f.p[i] != '%') {
            buf_char(b, f.p[i++]);
            continue;
        }
        i++;
        struct spec s = take_spec(f, &i, v, n, &next);
        if (i >= f.n) {
            BUF_LIT(b, "%!(NOVERB)");
            break;
        }
        s.verb = f.p[i++];
        if (s.verb == '%') {
            buf_char(b, '%');
        } else if (next >= n) {
            buf_fmt(b, "%%!%c(MISSING)", s.verb);
        } else {
            put_value(x, b, &s, &v[next++]);
        }
    }
    if (next < n) {
        BUF_LIT(b, "%!(EXTRA ");
        for (uint32_t i = next; i < n; i++) {
            buf_fmt(b, "%s%.*s", i > next ? ", " : "", STR_FMT(tpl_type(&v[i])));
            if (v[i].kind != TV_NONE) {
                buf_char(b, '=');
                tpl_print(b, &v[i]);
            }
        }
        buf_char(b, ')');
    }
    return !b->failed;
}
