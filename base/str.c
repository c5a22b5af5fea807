/* Slices: comparing, cutting, and the parsers of numbers.
 *
 * The number parsers check the grammar themselves and never look at the process locale: strtod
 * alone would take "0x1p3", "inf" and " 1", and in pt_BR wants a comma. Most doubles take Clinger's
 * exact path: a mantissa below 2^53 and a power of ten up to 10^22 are both exact doubles, so one
 * multiplication or division rounds correctly. Source: Clinger, "How to read floating point numbers
 * accurately", PLDI 1990. */
#include "base/str.h"

#include "base/utf8_int.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#define F64_TEXT_BYTES_MAX 64
#define DISTANCE_BYTES_MAX 16

struct str str_from_c(const char *c)
{
    return (struct str){c, c != NULL ? strlen(c) : 0};
}

int str_cmp(struct str a, struct str b)
{
    size_t n = size_min(a.n, b.n);
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_of(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || str_eq(str_of(s.p + s.n - suffix.n, suffix.n), suffix));
}

bool str_contains(struct str s, struct str part)
{
    return part.n == 0 || (s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct str str_sub(struct str s, size_t from, size_t n)
{
    from = size_min(from, s.n);
    return (struct str){from > 0 ? s.p + from : s.p, size_min(n, s.n - from)};
}

struct str_cut str_cut(struct str s, char at)
{
    const char *hit = s.n > 0 ? memchr(s.p, at, s.n) : NULL;
    if (hit == NULL) {
        return (struct str_cut){.head = s, .tail = {NULL, 0}, .ok = false};
    }
    size_t n = (size_t)(hit - s.p);
    return (struct str_cut){.head = {s.p, n}, .tail = {hit + 1, s.n - n - 1}, .ok = true};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits from *at on; false when there is none or the number is above 2^64 - 1. */
static bool digits_u64(struct str s, size_t *at, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = *at;
    for (; i < s.n && is_digit(s.p[i]); i++) {
        uint64_t d = (uint64_t)(s.p[i] - '0');
        if (__builtin_mul_overflow(v, 10U, &v) || __builtin_add_overflow(v, d, &v)) {
            return false;
        }
    }
    if (i == *at) {
        return false;
    }
    *at = i;
    *out = v;
    return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    size_t at = 0;
    uint64_t v;
    if (!digits_u64(s, &at, &v) || at != s.n) {
        return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (!str_to_u64(str_sub(s, minus ? 1 : 0, s.n), &v)) {
        return false;
    }
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0)) {
        return false;
    }
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* A number's text, taken apart: mantissa * 10^exp10. */
struct decimal {
    uint64_t mantissa;
    int64_t exp10;
    bool minus;
};

/* One run of digits into *d; returns how many. Digits after the 19th significant one are dropped
 * (19 nines still fit in 64 bits); the mantissa is then above 2^53, which sends it to the
 * library. */
static size_t decimal_digits(struct str s, size_t at, bool fraction, struct decimal *d)
{
    const uint64_t more_fits_below = 1000000000000000000ULL;
    size_t i = at;
    for (; i < s.n && is_digit(s.p[i]); i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (d->mantissa < more_fits_below) {
            d->mantissa = d->mantissa * 10 + digit;
            d->exp10 -= fraction ? 1 : 0;
        } else {
            d->exp10 += fraction ? 0 : 1;
        }
    }
    return i - at;
}

/* ['-'] digits ['.' digits] [('e'|'E') ['+'|'-'] digits], with a digit before or after the
 * point. */
static bool decimal_parse(struct str s, struct decimal *d)
{
    *d = (struct decimal){0};
    size_t i = 0;
    if (i < s.n && s.p[i] == '-') {
        d->minus = true;
        i++;
    }
    size_t n = decimal_digits(s, i, false, d);
    i += n;
    if (i < s.n && s.p[i] == '.') {
        size_t m = decimal_digits(s, i + 1, true, d);
        n += m;
        i += 1 + m;
    }
    if (n == 0) {
        return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        bool minus = i < s.n && s.p[i] == '-';
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) {
            i++;
        }
        size_t from = i;
        int64_t exp10 = 0;
        for (; i < s.n && is_digit(s.p[i]); i++) {
            exp10 = i64_min(exp10 * 10 + (s.p[i] - '0'), 1000000);
        }
        if (i == from) {
            return false;
        }
        d->exp10 += minus ? -exp10 : exp10;
    }
    return i == s.n;
}

bool str_to_f64(struct str s, double *out)
{
    static const double pow10_exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal d;
    if (s.n == 0 || s.n > F64_TEXT_BYTES_MAX || !decimal_parse(s, &d)) {
        return false;
    }
    if (d.mantissa <= (1ULL << 53) && d.exp10 >= -22 && d.exp10 <= 22) {
        double v = (double)d.mantissa;
        v = d.exp10 < 0 ? v / pow10_exact[-d.exp10] : v * pow10_exact[d.exp10];
        *out = d.minus ? -v : v;
        return true;
    }
    char text[F64_TEXT_BYTES_MAX + 1];
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    /* glibc answers "C" for all categories with a static object: no allocation, nothing to fail. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        return false;
    }
    double v = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);
    if (!isfinite(v)) {
        return false;
    }
    *out = v;
    return true;
}

struct unit {
    struct str name;
    uint64_t factor;
};

static const struct unit *unit_find(const struct unit *units, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(units[i].name, name)) {
            return &units[i];
        }
    }
    return NULL;
}

bool str_to_duration_ms(struct str s, int64_t *out)
{
    /* Largest first: Prometheus wants each unit at most once and in this order. */
    static const struct unit units[] = {
        {STR_INIT("y"), 31536000000}, {STR_INIT("w"), 604800000}, {STR_INIT("d"), 86400000},
        {STR_INIT("h"), 3600000},     {STR_INIT("m"), 60000},     {STR_INIT("s"), 1000},
        {STR_INIT("ms"), 1},
    };
    if (str_eq(s, STR("0"))) {
        *out = 0;
        return true;
    }
    uint64_t sum = 0;
    size_t at = 0, units_used = 0;
    while (at < s.n) {
        uint64_t v;
        if (!digits_u64(s, &at, &v)) {
            return false;
        }
        size_t from = at;
        while (at < s.n && s.p[at] >= 'a' && s.p[at] <= 'z') {
            at++;
        }
        const struct unit *u = unit_find(units + units_used, ARRAY_LEN(units) - units_used,
                                         str_of(s.p + from, at - from));
        if (u == NULL || __builtin_mul_overflow(v, u->factor, &v) ||
            __builtin_add_overflow(sum, v, &sum)) {
            return false;
        }
        units_used = (size_t)(u - units) + 1;
    }
    if (s.n == 0 || sum > INT64_MAX) {
        return false;
    }
    *out = (int64_t)sum;
    return true;
}

bool str_to_bytes(struct str s, uint64_t *out)
{
    static const struct unit units[] = {
        {STR_INIT(""), 1},
        {STR_INIT("B"), 1},
        {STR_INIT("KiB"), 1ULL << 10},
        {STR_INIT("MiB"), 1ULL << 20},
        {STR_INIT("GiB"), 1ULL << 30},
        {STR_INIT("TiB"), 1ULL << 40},
        {STR_INIT("PiB"), 1ULL << 50},
    };
    uint64_t v;
    size_t at = 0;
    if (!digits_u64(s, &at, &v)) {
        return false;
    }
    const struct unit *u = unit_find(units, ARRAY_LEN(units), str_of(s.p + at, s.n - at));
    if (u == NULL || __builtin_mul_overflow(v, u->factor, &v)) {
        return false;
    }
    *out = v;
    return true;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t eight;
        if (s.n - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if ((eight & 0x8080808080808080ULL) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        size_t n = utf8_step(p + i, s.n - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

size_t str_distance(struct str a, struct str b)
{
    a = str_sub(a, 0, DISTANCE_BYTES_MAX);
    b = str_sub(b, 0, DISTANCE_BYTES_MAX);
    size_t row[DISTANCE_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.n; j++) {
            size_t replaced = diagonal + (a.p[i] == b.p[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = size_min(replaced, size_min(row[j], diagonal) + 1);
        }
    }
    return row[b.n];
}
