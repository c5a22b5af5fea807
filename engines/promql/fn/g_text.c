/* Doubles as Go's %g writes them: Prometheus uses it in annotations and in the text of histograms,
 * so these texts agree with its own. Unlike buf_f64 it goes to the exponent form at 1e6. */
#include "engines/promql/functions_int.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* 16 digits next to those in text that read back as v, which the nearest 16 do not: at a power of
 * two the doubles below lie closer together than those above. false: there are none. */
static bool neighbour_digits(double v, char *text, size_t cap)
{
    uint64_t digits = 0;
    const char *p = text;
    for (; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') {
            digits = digits * 10 + (uint64_t)(*p - '0');
        }
    }
    const int exponent = (int)strtol(p + 1, NULL, 10);
    for (uint64_t near = digits - 1; near <= digits + 1; near += 2) {
        char whole[40];
        (void)snprintf(whole, sizeof whole, "%llue%d", (unsigned long long)near, exponent - 15);
        if (near < 10000000000000000U && strtod(whole, NULL) == v) {
            (void)snprintf(text, cap, "%llue%d", (unsigned long long)near, exponent);
            return true;
        }
    }
    return false;
}

/* Significant digits, the fewest that read back, and the decimal exponent of the first. The C
 * library may write the decimal point as the locale says: only digits are taken over. */
static int shortest_digits(double v, char *digits, int *exponent)
{
    char text[40];
    /* Up to 15 digits tell all doubles apart but the smallest ones, which have fewer. */
    for (int precision = v < DBL_MIN ? 0 : 14; precision <= 16; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, v);
        if (strtod(text, NULL) == v ||
            (precision == 15 && neighbour_digits(v, text, sizeof text))) {
            break;
        }
    }
    int n = 0;
    const char *p = text;
    for (; *p != 'e' && *p != '\0'; p++) {
        if (*p >= '0' && *p <= '9') {
            digits[n] = *p;
            n++;
        }
    }
    *exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    return n;
}

static void g_exponent_form(char *out, size_t cap, const char *digits, int n, int exponent)
{
    char *p = out;
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)n - 1);
        p += n - 1;
    }
    (void)snprintf(p, cap - (size_t)(p - out), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void g_plain_form(char *out, const char *digits, int n, int exponent)
{
    char *p = out;
    if (exponent < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > exponent; i--) {
            *p++ = '0';
        }
        memcpy(p, digits, (size_t)n);
        p += n;
    } else {
        for (int i = 0; i < n || i <= exponent; i++) {
            if (i == exponent + 1) {
                *p++ = '.';
            }
            *p++ = i < n ? digits[i] : '0';
        }
    }
    *p = '\0';
}

struct g_text g_text(double v)
{
    struct g_text out = {0};
    if (isnan(v) || isinf(v)) {
        memcpy(out.text, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf", isnan(v) ? 4 : 5);
        return out;
    }
    char *p = out.text;
    if (signbit(v)) {
        *p++ = '-';
    }
    char digits[24];
    int exponent = 0;
    const int n = shortest_digits(fabs(v), digits, &exponent);
    if (exponent < -4 || exponent >= 6) {
        g_exponent_form(p, sizeof out.text - 1, digits, n, exponent);
    } else {
        g_plain_form(p, digits, n, exponent);
    }
    return out;
}
