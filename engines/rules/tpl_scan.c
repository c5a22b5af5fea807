/* Templates, from bytes to tokens: words, variables, fields, operators, and constants in Go's
 * spellings (quoted and raw strings, characters, numbers). Everything borrows the text but strings
 * with escapes, which live in the arena. */
#include "engines/rules/tpl_scan_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool tpl_scan_fail(struct tpl_scan *p, size_t at, const char *fmt, ...)
{
    if (p->failed) {
        return false;
    }
    p->failed = true;
    char msg[sizeof p->e->msg];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    uint32_t line = 1;
    uint32_t col = 1;
    for (size_t i = 0; i < at && i < p->text.n; i++) {
        col = p->text.p[i] == '\n' ? 1 : col + 1;
        line += p->text.p[i] == '\n';
    }
    return err_at(p->e, ERR_INPUT, line, col, "%s", msg);
}

void *tpl_scan_full(struct tpl_scan *p)
{
    if (!p->failed) {
        p->failed = true;
        (void)err_set(p->e, ERR_LIMIT, "the template needs more memory than it may have");
    }
    return NULL;
}

/* --- scanning --------------------------------------------------------------------------------- */

char tpl_scan_byte(const struct tpl_scan *p, size_t i)
{
    return i < p->text.n ? p->text.p[i] : 0;
}

bool tpl_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct str tpl_scan_text(const struct tpl_scan *p)
{
    return str_sub(p->text, p->at, p->end - p->at);
}

/* Is "}}" or " -}}" at i? */
bool tpl_is_close(const struct tpl_scan *p, size_t i, bool *trim)
{
    *trim = tpl_is_space(tpl_scan_byte(p, i)) && tpl_scan_byte(p, i + 1) == '-' &&
            tpl_scan_byte(p, i + 2) == '}' && tpl_scan_byte(p, i + 3) == '}';
    return *trim || (tpl_scan_byte(p, i) == '}' && tpl_scan_byte(p, i + 1) == '}');
}

static bool scan_quoted(struct tpl_scan *p, char quote, const char *what)
{
    size_t i = p->at + 1;
    while (i < p->text.n && p->text.p[i] != quote) {
        if (p->text.p[i] == '\n' && quote != '`') {
            return tpl_scan_fail(p, p->at, "unterminated %s", what);
        }
        i += p->text.p[i] == '\\' && quote != '`' ? 2 : 1;
    }
    if (i >= p->text.n) {
        return tpl_scan_fail(p, p->at, "unterminated %s", what);
    }
    p->end = i + 1;
    return true;
}

static bool scan_number(struct tpl_scan *p)
{
    size_t i = p->at;
    i += tpl_scan_byte(p, i) == '+' || tpl_scan_byte(p, i) == '-';
    bool hex = tpl_scan_byte(p, i) == '0' && (tpl_scan_byte(p, i + 1) | 32) == 'x';
    while (is_word(tpl_scan_byte(p, i)) || tpl_scan_byte(p, i) == '.' ||
           ((tpl_scan_byte(p, i) == '+' || tpl_scan_byte(p, i) == '-') &&
            ((tpl_scan_byte(p, i - 1) | 32) == (hex ? 'p' : 'e')))) {
        i++;
    }
    p->end = i;
    p->tok = T_NUMBER;
    return true;
}

static bool one(struct tpl_scan *p, enum tok t, size_t n)
{
    p->tok = t;
    p->end = p->at + n;
    return true;
}

static bool scan_name(struct tpl_scan *p, enum tok t)
{
    size_t i = p->at + 1;
    while (is_word(tpl_scan_byte(p, i))) {
        i++;
    }
    p->end = i;
    p->tok = t;
    char c = tpl_scan_byte(p, i);
    bool trim = false;
    if (c && !tpl_is_space(c) && !strchr(".,|:=()", c) && !tpl_is_close(p, i, &trim)) {
        return tpl_scan_fail(p, i, "bad character %#x", (unsigned)(unsigned char)c);
    }
    return true;
}

/* The next token inside an action; runs of white space are one. */
bool tpl_scan_next(struct tpl_scan *p)
{
    p->at = p->end;
    char c = tpl_scan_byte(p, p->at);
    char d = tpl_scan_byte(p, p->at + 1);
    bool trim = false;
    if (p->failed) {
        return false;
    }
    if (p->at >= p->text.n) {
        return tpl_scan_fail(p, p->at, "unclosed action");
    }
    if (tpl_is_close(p, p->at, &trim)) {
        p->trim = trim;
        return one(p, T_CLOSE, trim ? 4 : 2);
    }
    if (tpl_is_space(c)) {
        size_t i = p->at;
        while (tpl_is_space(tpl_scan_byte(p, i)) && !tpl_is_close(p, i, &trim)) {
            i++;
        }
        p->end = i;
        p->tok = T_SPACE;
        return true;
    }
    switch (c) {
    case '|': return one(p, T_PIPE, 1);
    case ',': return one(p, T_COMMA, 1);
    case '(': return one(p, T_LPAREN, 1);
    case ')': return one(p, T_RPAREN, 1);
    case '=': return one(p, T_ASSIGN, 1);
    case ':': return d == '=' ? one(p, T_DECLARE, 2) : tpl_scan_fail(p, p->at, "expected :=");
    case '"': p->tok = T_STRING; return scan_quoted(p, c, "quoted string");
    case '`': p->tok = T_STRING; return scan_quoted(p, c, "raw quoted string");
    case '\'': p->tok = T_CHAR; return scan_quoted(p, c, "character constant");
    case '$': return scan_name(p, T_VAR);
    case '.':
        if (is_digit(d)) {
            return scan_number(p);
        }
        return is_word(d) ? scan_name(p, T_FIELD) : one(p, T_DOT, 1);
    default: break;
    }
    if (is_digit(c) || ((c == '+' || c == '-') && (is_digit(d) || d == '.'))) {
        return scan_number(p);
    }
    return is_word(c) ? scan_name(p, T_WORD)
                      : tpl_scan_fail(p, p->at, "unexpected bad character %#x in action",
                                      (unsigned)(unsigned char)c);
}

bool tpl_scan_solid(struct tpl_scan *p)
{
    bool ok = tpl_scan_next(p);
    return ok && p->tok == T_SPACE ? tpl_scan_next(p) : ok;
}

/* --- constants -------------------------------------------------------------------------------- */

static void put_rune(struct buf *b, uint32_t r)
{
    if (r < 0x80) {
        buf_char(b, (char)r);
    } else if (r < 0x800) {
        buf_char(b, (char)(0xc0 | r >> 6));
        buf_char(b, (char)(0x80 | (r & 63)));
    } else if (r < 0x10000) {
        buf_char(b, (char)(0xe0 | r >> 12));
        buf_char(b, (char)(0x80 | (r >> 6 & 63)));
        buf_char(b, (char)(0x80 | (r & 63)));
    } else {
        buf_char(b, (char)(0xf0 | r >> 18));
        buf_char(b, (char)(0x80 | (r >> 12 & 63)));
        buf_char(b, (char)(0x80 | (r >> 6 & 63)));
        buf_char(b, (char)(0x80 | (r & 63)));
    }
}

static bool digits(struct str s, size_t at, size_t n, int base, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = at + i < s.n ? s.p[at + i] : 'z';
        int v = is_digit(c)                            ? c - '0'
                : ((c | 32) >= 'a' && (c | 32) <= 'f') ? (c | 32) - 'a' + 10
                                                       : 99;
        if (v >= base) {
            return false;
        }
        *out = *out * (uint32_t)base + (uint32_t)v;
    }
    return true;
}

/* One escape behind a backslash at s[*i]; moves *i behind it. */
static bool unescape(struct str s, size_t *i, struct buf *b)
{
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = *i < s.n ? s.p[*i] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        buf_char(b, to[known - from]);
        (*i)++;
        return true;
    }
    size_t n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 3;
    size_t skip = c == 'x' || c == 'u' || c == 'U';
    uint32_t v = 0;
    if (!digits(s, *i + skip, n, skip ? 16 : 8, &v)) {
        return false;
    }
    *i += skip + n;
    if (n == 2 || n == 3) {
        buf_char(b, (char)v);
        return v < 256;
    }
    put_rune(b, v);
    return v < 0x110000 && (v < 0xd800 || v > 0xdfff);
}

/* The bytes between the quotes of the token. */
bool tpl_unquote(struct tpl_scan *p, struct str *out)
{
    struct str t = tpl_scan_text(p);
    struct str in = str_sub(t, 1, t.n - 2);
    if (t.p[0] == '`') {
        *out = in;
        return true;
    }
    struct buf b;
    buf_init(&b, p->arena->mem, TPL_BYTES_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < in.n;) {
        if (in.p[i] != '\\') {
            buf_char(&b, in.p[i++]);
            continue;
        }
        i++;
        ok = unescape(in, &i, &b);
    }
    if (!ok) {
        (void)tpl_scan_fail(p, p->at, "invalid syntax in the string %.*s",
                            STR_FMT(str_sub(t, 0, 60)));
    } else {
        *out = b.n ? arena_str(p->arena, buf_str(&b)) : STR("");
        ok = out->p || tpl_scan_full(p);
    }
    buf_release(&b);
    return ok && !p->failed;
}

bool tpl_char_value(struct tpl_scan *p, struct tval *out)
{
    struct str s = {0};
    if (!tpl_unquote(p, &s)) {
        return false;
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = s.n ? (unsigned char)s.p[0] : 0;
    uint32_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t v = n == 1 ? c : c & (0xffU >> (n + 1));
    for (uint32_t i = 1; i < n && i < s.n; i++) {
        v = v << 6 | ((unsigned char)s.p[i] & 63);
    }
    if (s.n != n || v < least[n]) {
        return tpl_scan_fail(p, p->at, "malformed character constant: %.*s",
                             STR_FMT(str_sub(tpl_scan_text(p), 0, 40)));
    }
    *out = tv_int(v);
    return true;
}

bool tpl_number_value(struct tpl_scan *p, struct tval *out)
{
    struct str t = tpl_scan_text(p);
    char s[80];
    size_t n = 0;
    for (size_t i = 0; i < t.n && n < sizeof s - 1; i++) {
        if (t.p[i] != '_') {
            s[n++] = t.p[i];
        }
    }
    s[n] = 0;
    size_t sign = n && (s[0] == '+' || s[0] == '-');
    bool zero = s[sign] == '0';
    char kind = (char)(s[sign + (n > sign)] ? s[sign + 1] | 32 : 0);
    int base = !zero ? 10 : kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    size_t skip = zero && (kind == 'x' || kind == 'b' || kind == 'o') ? 2 : 0;
    char *end = NULL;
    unsigned long long u = strtoull(s + sign + skip, &end, base);
    if (n < sizeof s - 1 && end && *end == 0 && end > s + sign + skip - (skip == 0 && zero) &&
        u <= INT64_MAX) {
        *out = tv_int(s[0] == '-' ? -(int64_t)u : (int64_t)u);
        return true;
    }
    double f = strtod(s, &end);
    bool words = (s[sign] | 32) == 'n' || (s[sign] | 32) == 'i';
    if (n == sizeof s - 1 || words || end == s || *end != 0) {
        return tpl_scan_fail(p, p->at, "bad number syntax: \"%.*s\"", STR_FMT(str_sub(t, 0, 60)));
    }
    /* Go: a constant that is a whole number is an int, however it is written. */
    bool whole = f >= -9e18 && f <= 9e18 && f == (double)(int64_t)f && !strpbrk(s, ".") &&
                 skip == 0 && !strpbrk(s, "eE");
    *out = whole ? tv_int((int64_t)f) : tv_float(f);
    return true;
}
