/* The slow path of JSON: where a bad line is bad, and where a value stands. Runs once per rejected
 * line, so it is written to be right and plain: one pass, no recursion, no memory.
 *
 * The grammar is RFC 8259 to the letter (numbers section 6, strings section 7), plus three rules of
 * the fast path: nesting at most JSON_DEPTH_MAX, an escaped surrogate needs its other half (the
 * token's string must be UTF-8), and a number must be finite as a double. */
#include "codec/json.h"

#include "codec/json_int.h"

#include <stdio.h>

struct scan {
    const char *p;
    size_t n, i;
    struct err *e;
};

/* One visible name for what stands at the current position; at most one character is shown. */
static bool fail(struct scan *s, enum err_code code, const char *expected)
{
    uint32_t col = (uint32_t)s->i + 1;
    if (s->i >= s->n) {
        return err_at(s->e, code, 0, col, "expected %s, found the end", expected);
    }
    unsigned char c = (unsigned char)s->p[s->i];
    if (c >= 0x20 && c < 0x7f) {
        return err_at(s->e, code, 0, col, "expected %s, found '%c'", expected, c);
    }
    return err_at(s->e, code, 0, col, "expected %s, found byte 0x%02x", expected, c);
}

static void skip_space(struct scan *s)
{
    while (s->i < s->n &&
           (s->p[s->i] == ' ' || s->p[s->i] == '\t' || s->p[s->i] == '\n' || s->p[s->i] == '\r')) {
        s->i++;
    }
}

static bool at(const struct scan *s, char c)
{
    return s->i < s->n && s->p[s->i] == c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.n && is_digit(s.p[i])) {
        i++;
    }
    return i;
}

size_t json_scan_number(struct str s, bool *integer)
{
    *integer = true;
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    size_t end = digits(s, i);
    if (end == i || (s.p[i] == '0' && end > i + 1)) {
        return 0;
    }
    i = end;
    if (i < s.n && s.p[i] == '.') {
        end = digits(s, i + 1);
        if (end == i + 1) {
            return 0;
        }
        *integer = false;
        i = end;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        size_t from = i + 1;
        from += from < s.n && (s.p[from] == '+' || s.p[from] == '-');
        end = digits(s, from);
        if (end == from) {
            return 0;
        }
        *integer = false;
        i = end;
    }
    return i;
}

/* Decimal exponent of the first significant digit (1.5e3 -> 3), saturated; and up to 40 digits. A
 * double is finite below 1.797...e308; 40 digits decide all but texts built to sit on the
 * boundary. */
static bool number_is_finite(struct str s)
{
    char text[64] = {0};
    size_t text_n = 0;
    int64_t exponent = -1;
    bool seen_point = false;
    bool seen_digit = false;
    size_t i = s.p[0] == '-' ? 1 : 0;
    for (; i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'); i++) {
        if (s.p[i] == '.') {
            seen_point = true;
            continue;
        }
        seen_digit = seen_digit || s.p[i] != '0';
        exponent += !seen_point && seen_digit;
        exponent -= seen_point && !seen_digit;
        if (seen_digit && text_n < 40) {
            text[text_n++] = s.p[i];
            if (text_n == 1) {
                text[text_n++] = '.';
            }
        }
    }
    if (!seen_digit) {
        return true;
    }
    int64_t written = 0;
    if (i < s.n) {
        bool negative = s.p[i + 1] == '-';
        for (size_t j = i + 1 + (negative || s.p[i + 1] == '+'); j < s.n; j++) {
            written = i64_min(written * 10 + (s.p[j] - '0'), INT64_C(1) << 40);
        }
        exponent += negative ? -written : written;
    }
    if (exponent != 308) {
        return exponent < 308;
    }
    if (text_n == 2) {
        text[text_n++] = '0';
    }
    memcpy(text + text_n, "e308", sizeof "e308");
    double v = 0;
    return str_to_f64(str_of(text, text_n + 4), &v);
}

static bool scan_number(struct scan *s)
{
    bool integer = false;
    struct str rest = str_of(s->p + s->i, s->n - s->i);
    size_t n = json_scan_number(rest, &integer);
    if (n > 0) {
        if (!number_is_finite(str_of(rest.p, n))) {
            return err_at(s->e, ERR_INPUT, 0, (uint32_t)s->i + 1,
                          "expected a number within the range of a double, found a larger one");
        }
        s->i += n;
        return true;
    }
    /* The same walk again, to name the place. */
    s->i += at(s, '-');
    if (at(s, '0') && s->i + 1 < s->n && is_digit(s->p[s->i + 1])) {
        return fail(s, ERR_INPUT, "a number without leading zeros");
    }
    size_t from = s->i;
    s->i = digits(str_of(s->p, s->n), s->i);
    if (s->i == from) {
        return fail(s, ERR_INPUT, "a digit");
    }
    if (at(s, '.')) {
        s->i++;
        from = s->i;
        s->i = digits(str_of(s->p, s->n), s->i);
        if (s->i == from) {
            return fail(s, ERR_INPUT, "a digit after the decimal point");
        }
    }
    s->i++; /* 'e' */
    s->i += at(s, '+') || at(s, '-');
    return fail(s, ERR_INPUT, "a digit of the exponent");
}

/* Four hexadecimal digits at i; -1 when they are not. Moves to the first byte that is wrong. */
static int32_t scan_hex4(struct scan *s)
{
    int32_t v = 0;
    for (int k = 0; k < 4; k++, s->i++) {
        char c = s->i < s->n ? s->p[s->i] : 0;
        int d = is_digit(c)            ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) {
            return -1;
        }
        v = v * 16 + d;
    }
    return v;
}

static bool scan_escape(struct scan *s)
{
    s->i++; /* '\' */
    if (s->i >= s->n || !memchr("\"\\/bfnrtu", s->p[s->i], 9)) {
        return fail(s, ERR_INPUT, "one of \" \\ / b f n r t u after '\\'");
    }
    if (s->p[s->i++] != 'u') {
        return true;
    }
    size_t start = s->i;
    int32_t v = scan_hex4(s);
    if (v < 0) {
        return fail(s, ERR_INPUT, "four hexadecimal digits after '\\u'");
    }
    if (v < 0xd800 || v > 0xdfff) {
        return true;
    }
    if (v < 0xdc00 && s->i + 1 < s->n && s->p[s->i] == '\\' && s->p[s->i + 1] == 'u') {
        s->i += 2;
        int32_t low = scan_hex4(s);
        if (low < 0) {
            return fail(s, ERR_INPUT, "four hexadecimal digits after '\\u'");
        }
        if (low >= 0xdc00 && low <= 0xdfff) {
            return true;
        }
    }
    return err_at(s->e, ERR_INPUT, 0, (uint32_t)start - 1,
                  "expected a pair of surrogates, found half of one (\\u%04x)", (unsigned)v);
}

/* Length of the UTF-8 sequence at i, 0 when it is not one. */
static size_t utf8_length(const struct scan *s)
{
    unsigned char c = (unsigned char)s->p[s->i];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return n <= s->n - s->i && str_is_utf8(str_of(s->p + s->i, n)) ? n : 0;
}

static bool scan_string(struct scan *s)
{
    s->i++; /* '"' */
    while (s->i < s->n && s->p[s->i] != '"') {
        if (s->p[s->i] == '\\') {
            if (!scan_escape(s)) {
                return false;
            }
            continue;
        }
        if ((unsigned char)s->p[s->i] < 0x20) {
            return fail(s, ERR_INPUT, "a closing '\"' (control characters must be escaped)");
        }
        size_t n = utf8_length(s);
        if (n == 0) {
            return fail(s, ERR_INPUT, "UTF-8");
        }
        s->i += n;
    }
    if (s->i >= s->n) {
        return fail(s, ERR_INPUT, "a closing '\"'");
    }
    s->i++;
    return true;
}

static bool scan_word(struct scan *s, struct str word)
{
    for (size_t k = 0; k < word.n; k++) {
        if (!at(s, word.p[k])) {
            char expected[16];
            snprintf(expected, sizeof expected, "'%.*s'", STR_FMT(word));
            return fail(s, ERR_INPUT, expected);
        }
        s->i++;
    }
    return true;
}

static bool scan_scalar(struct scan *s, const char *expected)
{
    char c = s->i < s->n ? s->p[s->i] : 0;
    switch (c) {
    case '"': return scan_string(s);
    case 't': return scan_word(s, STR("true"));
    case 'f': return scan_word(s, STR("false"));
    case 'n': return scan_word(s, STR("null"));
    default: break;
    }
    return c == '-' || is_digit(c) ? scan_number(s) : fail(s, ERR_INPUT, expected);
}

/* `"key" :` */
static bool scan_key(struct scan *s, const char *expected)
{
    skip_space(s);
    if (!at(s, '"')) {
        return fail(s, ERR_INPUT, expected);
    }
    if (!scan_string(s)) {
        return false;
    }
    skip_space(s);
    if (!at(s, ':')) {
        return fail(s, ERR_INPUT, "':' after a key");
    }
    s->i++;
    return true;
}

/* Closes what ends here and moves to the next value's start. *done: the root value is complete. */
static bool scan_after_value(struct scan *s, const bool *object, unsigned *depth, bool *done)
{
    while (*depth > 0) {
        skip_space(s);
        bool in_object = object[*depth];
        if (at(s, in_object ? '}' : ']')) {
            s->i++;
            (*depth)--;
            continue;
        }
        if (!at(s, ',')) {
            return fail(s, ERR_INPUT,
                        in_object ? "',' or '}' after a value" : "',' or ']' after a value");
        }
        s->i++;
        return !in_object || scan_key(s, "a key in '\"'");
    }
    *done = true;
    return true;
}

/* One value at i with everything in it. */
static bool scan_value(struct scan *s)
{
    bool object[JSON_DEPTH_MAX + 1] = {0};
    unsigned depth = 0;
    const char *expected = "a value";
    for (bool done = false; !done;) {
        skip_space(s);
        if (at(s, '{') || at(s, '[')) {
            bool opens_object = at(s, '{');
            if (depth == JSON_DEPTH_MAX) {
                return err_at(s->e, ERR_LIMIT, 0, (uint32_t)s->i + 1,
                              "JSON is nested more than %d levels", JSON_DEPTH_MAX);
            }
            object[++depth] = opens_object;
            s->i++;
            skip_space(s);
            if (!at(s, opens_object ? '}' : ']')) {
                if (opens_object && !scan_key(s, "a key in '\"' or '}'")) {
                    return false;
                }
                expected = opens_object ? "a value" : "a value or ']'";
                continue;
            }
        } else if (!scan_scalar(s, expected)) {
            return false;
        }
        expected = "a value";
        if (!scan_after_value(s, object, &depth, &done)) {
            return false;
        }
    }
    return true;
}

bool json_scan_valid(struct str text, struct err *e)
{
    struct scan s = {text.p, text.n, 0, e};
    if (!scan_value(&s)) {
        return false;
    }
    skip_space(&s);
    return s.i == s.n || fail(&s, ERR_INPUT, "the end after the value");
}

bool json_explain(struct str text, struct err *e)
{
    if (!json_scan_valid(text, e)) {
        return false;
    }
    return err_set(e, ERR_LIMIT, "valid JSON refused by a parser limit");
}

/* Does the string at i (its opening quote) spell `want` once unescaped? Escapes in keys are rare:
 * only
 * the simple ones are undone here, a \u in a key makes it unequal unless it is plain ASCII. */
static bool key_is(const struct scan *s, struct str want)
{
    size_t k = 0;
    for (size_t i = s->i + 1; i < s->n && s->p[i] != '"'; i++) {
        char c = s->p[i];
        if (c == '\\' && i + 1 < s->n) {
            static const char from[] = "bfnrt";
            static const char to[] = "\b\f\n\r\t";
            c = s->p[++i];
            const char *known = memchr(from, c, sizeof from - 1);
            if (known) {
                c = to[known - from];
            } else if (c == 'u') {
                struct scan hex = {s->p, s->n, i + 1, NULL};
                int32_t v = scan_hex4(&hex);
                if (v < 0 || v > 0x7f) {
                    return false;
                }
                c = (char)v;
                i += 4;
            }
        }
        if (k >= want.n || want.p[k] != c) {
            return false;
        }
        k++;
    }
    return k == want.n;
}

/* From an opening bracket to the value of one member or element; false when absent or not JSON. */
static bool enter_child(struct scan *s, struct str name)
{
    bool object = at(s, '{');
    uint64_t want = 0;
    if (!object && (!at(s, '[') || !str_to_u64(name, &want))) {
        return false;
    }
    s->i++;
    for (uint64_t k = 0;; k++) {
        skip_space(s);
        bool found = !object && k == want;
        if (object) {
            found = at(s, '"') && key_is(s, name);
            if (!scan_key(s, "")) {
                return false;
            }
            skip_space(s);
        }
        if (found) {
            return s->i < s->n && s->p[s->i] != ']' && s->p[s->i] != '}';
        }
        if (!scan_value(s)) {
            return false;
        }
        skip_space(s);
        if (!at(s, ',')) {
            return false;
        }
        s->i++;
    }
}

uint32_t json_locate(struct str text, struct str path)
{
    struct scan s = {text.p, text.n, 0, NULL};
    skip_space(&s);
    while (path.n > 0) {
        struct str_cut cut = str_cut(path, '.');
        if (!enter_child(&s, cut.head)) {
            return 0;
        }
        path = cut.tail;
    }
    return s.i < s.n ? (uint32_t)s.i + 1 : 0;
}
