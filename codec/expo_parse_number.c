/* Numbers of exposition: reading values, and writing le and quantile the canonical way.
 *
 * Values are most of what a scrape holds, so the common ones (at most 19 digits, a mantissa below
 * 2^53, a power of ten up to 22) are one multiplication or division, which IEEE 754 makes exact
 * (Clinger, "How to read floating point numbers accurately", 1990, section 3). The rest goes to
 * from_chars behind codec/shim, a fifth of strtod's time. What is beyond a double, or below one,
 * goes to strtod on a copy. The program never sets a locale, so strtod reads a point as the point.
 *
 * What is a number: Go's strconv.ParseFloat without hexadecimal and underscores. Too large is
 * refused, too small is zero. */
#include "codec/expo_parse_int.h"

#include "codec/shim/f64_shim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES_MAX 1024 /* digits beyond 800 or so cannot change a double */
#define EXP_DIGITS_MAX   100000

static double normal_nan(void)
{
    const uint64_t bits = NORMAL_NAN_BITS;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static bool word(struct str s, double *out)
{
    bool sign = s.p[0] == '+' || s.p[0] == '-';
    struct str rest = str_of(s.p + sign, s.n - sign);
    if (str_eq_nocase(rest, STR("inf")) || str_eq_nocase(rest, STR("infinity"))) {
        *out = s.p[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (!sign && str_eq_nocase(s, STR("nan"))) {
        *out = normal_nan();
        return true;
    }
    return false;
}

static bool by_strtod(struct str s, double *out)
{
    char text[NUMBER_BYTES_MAX + 1];
    if (s.n > NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double v = strtod(text, NULL);
    if (isinf(v)) {
        return false;
    }
    *out = v;
    return true;
}

struct decimal {
    uint64_t mantissa;
    uint32_t digits; /* all that were written */
    int32_t point;   /* digits after the point */
    bool exact;      /* mantissa holds all of them */
};

static const char *digits(const char *p, const char *end, struct decimal *d)
{
    const char *first = p;
    while (p < end && (unsigned)(*p - '0') < 10) {
        /* 19 digits fit into 64 bits; leading zeros do not count but may be cut off too. */
        if (d->mantissa < 1000000000000000000ULL) {
            d->mantissa = d->mantissa * 10 + (uint64_t)(*p - '0');
        } else {
            d->exact = false;
        }
        p++;
    }
    d->digits += (uint32_t)(p - first);
    return p;
}

/* The exponent after 'e'; NULL when there are no digits. */
static const char *exponent(const char *p, const char *end, int32_t *out)
{
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }
    const char *first = p;
    int32_t v = 0;
    for (; p < end && (unsigned)(*p - '0') < 10; p++) {
        if (v < EXP_DIGITS_MAX) {
            v = v * 10 + (*p - '0');
        }
    }
    *out = minus ? -v : v;
    return p > first ? p : NULL;
}

static const double pow10_exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* s is a decimal as digits and exponent have found it. */
static bool by_library(struct str s, double *out)
{
    size_t plus = s.p[0] == '+';
    return f64_shim_read(s.p + plus, s.n - plus, out) || by_strtod(s, out);
}

bool expo_parse_number(struct str s, double *out)
{
    const char *p = s.p;
    if (s.n == 0) {
        return false;
    }
    const char *end = s.p + s.n;
    struct decimal d = {.exact = true};
    bool minus = *p == '-';
    p += *p == '-' || *p == '+';
    p = digits(p, end, &d);
    if (p < end && *p == '.') {
        const char *point = p + 1;
        p = digits(point, end, &d);
        d.point = (int32_t)size_min((size_t)(p - point), INT32_MAX / 2);
    }
    if (d.digits == 0) {
        return word(s, out);
    }
    int32_t exp10 = 0;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = exponent(p + 1, end, &exp10);
    }
    if (p != end) {
        return false;
    }
    exp10 -= d.point;
    if (d.exact && d.mantissa <= (1ULL << 53) && exp10 >= -22 && exp10 <= 22) {
        double v = (double)d.mantissa;
        v = exp10 < 0 ? v / pow10_exact[-exp10] : v * pow10_exact[exp10];
        *out = minus ? -v : v;
        return true;
    }
    return by_library(s, out);
}

/* The same for nothing but an optional minus, digits, and maybe a point and digits: what almost
 * every value of a page is. Fewer than 19 digits, so that nothing overflows. NULL: it is something
 * else, or it goes on. */
const char *expo_plain_number(const char *p, const char *end, double *out)
{
    const char *first = p;
    uint64_t mantissa = 0;
    size_t point = 0; /* digits after it */
    p += p < end && *p == '-';
    const char *from = p;
    while (p < end && (unsigned)(*p - '0') < 10) {
        mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
    }
    size_t digits_n = (size_t)(p - from);
    if (digits_n > 0 && p < end && *p == '.') {
        from = ++p;
        while (p < end && (unsigned)(*p - '0') < 10) {
            mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
        }
        point = (size_t)(p - from);
        digits_n = point > 0 ? digits_n + point : 0;
    }
    if (digits_n == 0 || digits_n > 18 || p >= end || *p != '\n') {
        return NULL;
    }
    if (mantissa > (1ULL << 53)) {
        return by_library(str_of(first, (size_t)(p - first)), out) ? p : NULL;
    }
    double v = (double)mantissa / pow10_exact[point];
    *out = *first == '-' ? -v : v;
    return p;
}

/* Digits of the shortest decimal that reads back as v, without the point; returns the exponent of
 * the first digit. */
static int shortest(double v, char *out, uint32_t *n)
{
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, v);
        double back = strtod(text, NULL);
        if (memcmp(&back, &v, sizeof v) == 0) {
            break;
        }
    }
    const char *p = text;
    *n = 0;
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            out[(*n)++] = *p;
        }
    }
    return (int)strtol(p + 1, NULL, 10);
}

static void put(struct expo_number *o, const char *p, size_t n)
{
    memcpy(o->text + o->n, p, n);
    o->n += (uint32_t)n;
}

struct expo_number expo_format_number(double v)
{
    struct expo_number o = {.n = 0};
    char d[32];
    uint32_t n = 0;
    if (isnan(v)) {
        put(&o, "NaN", 3);
        return o;
    }
    if (isinf(v)) {
        put(&o, v < 0 ? "-Inf" : "+Inf", 4);
        return o;
    }
    if (v >= 0 && v <= 0) { /* -0 as well, as the peers do */
        put(&o, "0.0", 3);
        return o;
    }
    if (v < 0) {
        put(&o, "-", 1);
    }
    int e = shortest(fabs(v), d, &n);
    /* As Go's 'g' for the shortest text: an exponent below -4 or from 6 on. */
    if (e < -4 || e >= 6) {
        put(&o, d, 1);
        if (n > 1) {
            put(&o, ".", 1);
            put(&o, d + 1, n - 1);
        }
        int len = snprintf(o.text + o.n, sizeof o.text - o.n, "e%c%02d", e < 0 ? '-' : '+',
                           e < 0 ? -e : e);
        o.n += (uint32_t)len;
        return o;
    }
    if (e < 0) {
        put(&o, "0.0000", (size_t)(1 - e));
        put(&o, d, n);
        return o;
    }
    uint32_t whole = (uint32_t)e + 1;
    put(&o, d, n < whole ? n : whole);
    if (n <= whole) {
        put(&o, "00000", whole - n);
        put(&o, ".0", 2);
        return o;
    }
    put(&o, ".", 1);
    put(&o, d + whole, n - whole);
    return o;
}
