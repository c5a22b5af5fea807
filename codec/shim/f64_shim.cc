/* The one place that calls to_chars and from_chars. The scientific form of the first is taken apart
 * into digits and exponent, so that codec/f64.c, in C, decides how a number looks; what is a number
 * is decided in codec/expo_parse_number.c before the second is asked. */
#include "codec/shim/f64_shim.h"

#include <charconv>

extern "C" int f64_shim_digits(double v, char *digits, int *point)
{
    char text[32];
    const std::to_chars_result r =
        std::to_chars(text, text + sizeof text, v, std::chars_format::scientific);
    int n = 0;
    const char *p = text;
    for (; p < r.ptr && *p != 'e'; p++) {
        if (*p != '.' && n < F64_SHIM_DIGITS_MAX) {
            digits[n++] = *p;
        }
    }
    int exponent = 0;
    const bool minus = p + 1 < r.ptr && p[1] == '-';
    for (p += 2; p < r.ptr; p++) {
        exponent = exponent * 10 + (*p - '0');
    }
    *point = (minus ? -exponent : exponent) + 1;
    return n;
}

extern "C" int f64_shim_read(const char *p, size_t n, double *out)
{
    double v = 0;
    const std::from_chars_result r = std::from_chars(p, p + n, v, std::chars_format::general);
    const bool ok = r.ec == std::errc() && r.ptr == p + n;
    if (ok) {
        *out = v;
    }
    return ok ? 1 : 0;
}
