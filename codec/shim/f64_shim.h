/* Shortest digits of a double, and the double of a decimal, from libstdc++ (C++17 to_chars and
 * from_chars). */
#ifndef CODEC_SHIM_F64_SHIM_H
#define CODEC_SHIM_F64_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define F64_SHIM_DIGITS_MAX 17

/* v > 0 and finite: v = 0.d1d2...dn x 10^*point. digits has room for F64_SHIM_DIGITS_MAX; returns
 * n. */
int f64_shim_digits(double v, char *digits, int *point);
/* p[0..n) is [-]digits[.digits][e[+-]digits]. 1, and the nearest double, when all of it was read;
 * 0 also when it is beyond a double or below the least one. */
int f64_shim_read(const char *p, size_t n, double *out);

#ifdef __cplusplus
}
#endif

#endif
