/* Tokens with an inside: numbers, durations and strings. Written by hand because what is wrong with
 * them is told with the text up to the place where Prometheus gives up, and a number may turn out
 * to be a duration half way through.
 *
 *   number    [.] digits, then digits . _ e E in any order that repeats neither dot nor exponent;
 *             hexadecimal after 0x. Whether it is a number is known only once it is converted.
 *   duration  digits and units: 5m, 1h30m
 *   string    "..." and '...' with Go's escapes, `...` without
 *
 * Source: the literals of the PromQL documentation and of Go (strconv). */
#include "engines/promql/parser_int.h"

#include "codec/nhist.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define RUNE_MAX   0x10FFFF
#define RUNE_ERROR 0xFFFD

bool promql_bad_char(struct parser *p, const char *what)
{
    size_t n = 0;
    const int32_t rune = promql_rune(p->text, p->at, &n);
    struct buf b;
    buf_init(&b, p->arena->mem, 64);
    promql_quote_rune(&b, rune);
    struct str shown = buf_str(&b);
    p->at += (uint32_t)n;
    promql_fail(p, (struct pos){p->start, p->at}, "%s%.*s", what, STR_FMT(shown));
    buf_release(&b);
    return false;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static char peek(const struct parser *p)
{
    return p->at < p->text.n ? p->text.p[p->at] : '\0';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool accept(struct parser *p, const char *set)
{
    if (!is_one_of(peek(p), set)) {
        return false;
    }
    p->at++;
    return true;
}

static bool is_alnum(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

#define DECIMAL "0123456789"
#define HEX     "0123456789abcdefABCDEF"

/* One step behind the first digits; false: this is no number. */
static bool number_part(struct parser *p, const char *digits, bool *dot, bool *exponent)
{
    if ((is_one_of(peek(p), ".") && *dot) || (is_one_of(peek(p), "eE") && *exponent)) {
        p->at++;
        return false;
    }
    if (accept(p, ".")) {
        *dot = true;
        return !accept(p, "_.") && digits[10] == '\0';
    }
    if (accept(p, "eE")) {
        *exponent = true;
        (void)accept(p, "+-");
        return !accept(p, "._eE") && p->at < p->text.n;
    }
    if (accept(p, "_")) {
        return !accept(p, "._eE") && p->at < p->text.n;
    }
    while (accept(p, digits)) {
    }
    return true;
}

static bool scan_number(struct parser *p)
{
    const uint32_t first = p->at;
    const char *digits = DECIMAL;
    if (accept(p, "0") && accept(p, "xX")) {
        (void)accept(p, "_");
        digits = HEX;
    }
    (void)accept(p, ".");
    (void)accept(p, digits);
    bool dot = false;
    bool exponent = false;
    while (is_one_of(peek(p), digits) || is_one_of(peek(p), "._eE")) {
        if (!number_part(p, digits, &dot, &exponent)) {
            return false;
        }
    }
    return p->at > first && !is_alnum(peek(p));
}

/* Behind the digits of a duration: unit, then more digits and units. */
static bool scan_units(struct parser *p)
{
    if (!accept(p, "smhdwy")) {
        return false;
    }
    (void)accept(p, "s");
    while (accept(p, DECIMAL)) {
        while (accept(p, DECIMAL)) {
        }
        if (!accept(p, "smhdw")) {
            return false;
        }
        (void)accept(p, "s");
    }
    if (is_alnum(peek(p))) {
        p->at++;
        return false;
    }
    return true;
}

bool promql_lex_number(struct parser *p, bool *duration)
{
    *duration = false;
    if (scan_number(p)) {
        return true;
    }
    if (scan_units(p)) {
        *duration = true;
        return true;
    }
    const struct str seen = {p->text.p + p->start, p->at - p->start};
    return promql_fail(p, (struct pos){p->start, p->at}, "bad number or duration syntax: %s",
                       promql_quoted(p, seen, 0));
}

/* Go's rule: an underscore stands between digits, or between base prefix and digit. */
static bool underscores_fit(struct str s, bool hex)
{
    char before = hex ? '0' : '!';
    for (size_t i = hex ? 2 : 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool digit = is_one_of(c, hex ? HEX : DECIMAL);
        if (c == '_' && before != '0') {
            return false;
        }
        if (c != '_' && !digit && before == '_') {
            return false;
        }
        before = c == '_' ? '_' : (digit ? '0' : '!');
    }
    return before != '_';
}

static size_t without_underscores(struct str s, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 1 < cap; i++) {
        if (s.p[i] != '_') {
            out[n++] = s.p[i];
        }
    }
    out[n] = '\0';
    return n;
}

/* Integers as Go's ParseInt with base 0 reads them. */
static bool number_integer(const char *text, double *out)
{
    const bool octal = text[0] == '0' && text[1] != '\0' && text[1] != 'x' && text[1] != 'X';
    for (const char *c = text; octal && *c != '\0'; c++) {
        if (*c < '0' || *c > '7') {
            return false;
        }
    }
    char *end = NULL;
    errno = 0;
    const long long v = strtoll(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *out = (double)v;
    return true;
}

bool promql_number_text(struct str s, double *out, const char **why)
{
    *why = "invalid syntax";
    char text[512];
    const bool hex = s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X');
    if (memchr(s.p, '_', s.n) != NULL && !underscores_fit(s, hex)) {
        return false;
    }
    if (s.n == 0 || without_underscores(s, text, sizeof text) + 2 > sizeof text) {
        return false;
    }
    if (number_integer(text, out)) {
        return true;
    }
    if (hex) {
        return false; /* Go wants an exponent of two, which the lexer does not take */
    }
    char *end = NULL;
    errno = 0;
    const double v = strtod(text, &end);
    if (end == text || *end != '\0') {
        return false;
    }
    if (isinf(v) && errno == ERANGE) {
        *why = "value out of range";
        return false;
    }
    if (isnan(v)) { /* the bits that Go's NaN has: they are stored as written */
        const uint64_t bits = NORMAL_NAN_BITS;
        memcpy(out, &bits, sizeof bits);
        return true;
    }
    *out = v;
    return true;
}

/* --- strings ---------------------------------------------------------------------------------- */

static uint32_t digit_value(int32_t c)
{
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (uint32_t)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (uint32_t)(c - 'A') + 10;
    }
    return 16;
}

static int32_t next_rune(struct parser *p)
{
    size_t n = 0;
    const int32_t rune = promql_rune(p->text, p->at, &n);
    p->at += (uint32_t)n;
    return rune;
}

static bool fail_escape(struct parser *p, const char *before, int32_t rune, const char *after)
{
    const struct pos pos = {p->start, p->at};
    if (rune < 0) {
        return promql_fail(p, pos, "escape sequence not terminated");
    }
    struct buf b;
    buf_init(&b, p->arena->mem, 64);
    promql_unicode_rune(&b, rune);
    struct str shown = buf_str(&b);
    promql_fail(p, pos, "%s%.*s%s", before, STR_FMT(shown), after);
    buf_release(&b);
    return false;
}

/* Digits of an escape: count of them, their base, the largest value. c is the first one. */
static bool lex_escape_digits(struct parser *p, int32_t c, int count, uint32_t base, uint32_t max)
{
    uint32_t x = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0) {
            c = next_rune(p);
        }
        const uint32_t d = digit_value(c);
        if (d >= base) {
            return fail_escape(p, "illegal character ", c, " in escape sequence");
        }
        x = x * base + d;
    }
    if (x > max || (x >= 0xD800 && x < 0xE000)) {
        return promql_fail(p, (struct pos){p->start, p->at},
                           "escape sequence is an invalid Unicode code point");
    }
    return true;
}

/* Behind the backslash. */
static bool lex_escape(struct parser *p, char quote)
{
    const int32_t c = next_rune(p);
    if (c == quote || (c > 0 && c < 128 && is_one_of((char)c, "abfnrtv\\"))) {
        return true;
    }
    if (c >= '0' && c <= '7') {
        return lex_escape_digits(p, c, 3, 8, 255);
    }
    if (c == 'x') {
        return lex_escape_digits(p, next_rune(p), 2, 16, 255);
    }
    if (c == 'u') {
        return lex_escape_digits(p, next_rune(p), 4, 16, RUNE_MAX);
    }
    if (c == 'U') {
        return lex_escape_digits(p, next_rune(p), 8, 16, RUNE_MAX);
    }
    return fail_escape(p, "unknown escape sequence ", c, "");
}

bool promql_lex_string(struct parser *p)
{
    const char quote = p->text.p[p->at++];
    for (;;) {
        const int32_t c = next_rune(p);
        const struct pos pos = {p->start, p->at};
        if (c == quote) {
            return true;
        }
        if (c == RUNE_ERROR) {
            return promql_fail(p, pos, "invalid UTF-8 rune");
        }
        if (c < 0 || (c == '\n' && quote != '`')) {
            return promql_fail(
                p, pos, quote == '`' ? "unterminated raw string" : "unterminated quoted string");
        }
        if (c == '\\' && quote != '`' && !lex_escape(p, quote)) {
            return false;
        }
    }
}

static uint32_t digits_value(struct str s, size_t from, size_t n, uint32_t base)
{
    uint32_t v = 0;
    for (size_t i = from; i < from + n && i < s.n; i++) {
        v = v * base + digit_value(s.p[i]);
    }
    return v;
}

/* The escape whose letter is s.p[i]; moves *i behind it and returns bytes written (4 at most). */
static size_t unescape(struct str s, size_t *i, char *out)
{
    static const char letters[] = "abfnrtv";
    static const char meaning[] = "\a\b\f\n\r\t\v";
    const char c = s.p[(*i)++];
    const char *known = strchr(letters, c);
    if (c >= '0' && c <= '7') {
        out[0] = (char)digits_value(s, *i - 1, 3, 8);
        *i += 2;
        return 1;
    }
    if (c == 'x') {
        out[0] = (char)digits_value(s, *i, 2, 16);
        *i += 2;
        return 1;
    }
    if (c == 'u' || c == 'U') {
        const size_t n = c == 'u' ? 4 : 8;
        const uint32_t v = digits_value(s, *i, n, 16);
        *i += n;
        return promql_put_rune(out, v);
    }
    out[0] = known != NULL ? meaning[known - letters] : c;
    return 1;
}

/* The lexer has checked every escape, so nothing here can fail but memory. An escape is never
 * shorter than what it stands for. */
struct str promql_unquote(struct parser *p, struct str quoted)
{
    ASSERT(quoted.n >= 2);
    const struct str s = {quoted.p + 1, quoted.n - 2};
    char *out = promql_take(p, s.n + 1);
    if (out == NULL) {
        return (struct str){"", 0};
    }
    size_t n = 0;
    size_t i = 0;
    while (i < s.n) {
        if (s.p[i] == '\\' && quoted.p[0] != '`') {
            i++;
            n += unescape(s, &i, out + n);
        } else {
            out[n++] = s.p[i++];
        }
    }
    ASSERT(n <= s.n);
    return (struct str){out, n};
}
