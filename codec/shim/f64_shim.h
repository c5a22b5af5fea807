/* Shortest digits of a double, from libstdc++ (C++17 to_chars). */
#ifndef CODEC_SHIM_F64_SHIM_H
#define CODEC_SHIM_F64_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define F64_SHIM_DIGITS_MAX 17

/* v > 0 and finite: v = 0.d1d2...dn x 10^*point. digits has room for F64_SHIM_DIGITS_MAX; returns
 * n. */
int f64_shim_digits(double v, char *digits, int *point);

#ifdef __cplusplus
}
#endif

#endif
