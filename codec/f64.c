/* Doubles as text. Source: Go's strconv.FormatFloat and encoding/json, whose output Prometheus'
 * answers, canonical texts and labels are made of; shortest digits as in Ryu (Adams, PLDI 2018). */
#include "codec/f64.h"

#include "codec/shim/f64_shim.h"

#include <math.h>
#include <stdlib.h>

static bool wants_exponent(int point, enum f64_style style)
{
    const int exponent = point - 1;
    switch (style) {
    case F64_PLAIN: return false;
    case F64_GENERAL: return exponent < -4 || exponent >= 21;
    case F64_GO_G: return exponent < -4 || exponent >= 6;
    case F64_JSON: return exponent < -6 || exponent >= 21;
    }
    return false;
}

static void write_exponent(struct buf *b, const char *digits, int n, int point, bool two_digits)
{
    const int exponent = point - 1;
    buf_char(b, digits[0]);
    if (n > 1) {
        buf_char(b, '.');
        buf_add(b, digits + 1, (size_t)n - 1);
    }
    buf_char(b, 'e');
    buf_char(b, exponent < 0 ? '-' : '+');
    const unsigned a = (unsigned)abs(exponent);
    if (two_digits && a < 10) {
        buf_char(b, '0');
    }
    buf_u64(b, a);
}

static void write_plain(struct buf *b, const char *digits, int n, int point)
{
    const size_t before = point <= 0 ? (size_t)-point : 0; /* zeros after the point */
    const size_t after = point > n ? (size_t)(point - n) : 0;
    const size_t bytes = (size_t)n + before + after + 2;
    char *to = buf_room(b, bytes);
    if (to == NULL) {
        return;
    }
    char *p = to;
    if (point <= 0) {
        memcpy(p, "0.", 2);
        memset(p + 2, '0', before);
        p += 2 + before;
        memcpy(p, digits, (size_t)n);
        p += n;
    } else {
        const size_t whole = (size_t)(point < n ? point : n);
        memcpy(p, digits, whole);
        p += whole;
        memset(p, '0', after);
        p += after;
        if (point < n) {
            *p++ = '.';
            memcpy(p, digits + point, (size_t)(n - point));
            p += n - point;
        }
    }
    b->n += (size_t)(p - to);
}

void f64_write(struct buf *b, double v, enum f64_style style)
{
    if (isnan(v)) {
        BUF_LIT(b, "NaN");
        return;
    }
    if (isinf(v)) {
        buf_add(b, v < 0 ? "-Inf" : "+Inf", 4);
        return;
    }
    if (signbit(v)) {
        buf_char(b, '-');
        v = -v;
    }
    if (v < 1e6 && v == (double)(uint32_t)v) { /* most counters */
        buf_u64(b, (uint32_t)v);
        return;
    }
    char digits[F64_SHIM_DIGITS_MAX];
    int point;
    const int n = f64_shim_digits(v, digits, &point);
    if (wants_exponent(point, style)) {
        write_exponent(b, digits, n, point, style != F64_JSON);
    } else {
        write_plain(b, digits, n, point);
    }
}
