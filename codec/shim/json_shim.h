/* The one door to simdjson (C++): parse a line, look at its tape. Nothing of C++ crosses this line,
 * no exception escapes, and one call serves one line.
 *
 * The tape (simdjson's doc/tape.md) is an array of 64-bit words, kind in the top byte, payload
 * below:
 *
 *   'r' n        root; n = index after the last word      't' 'f' 'n'  true, false, null
 *   '{' n  '}'   object; low 32 bits of n = index after its '}'        '[' n  ']'  array, likewise
 *   '"' off      string or key: at off in `strings` a u32 length, the bytes, a NUL
 *   'l' 'u' 'd'  int64, uint64, double: the value is the next word */
#ifndef CODEC_SHIM_JSON_SHIM_H
#define CODEC_SHIM_JSON_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum json_shim_result {
    JSON_SHIM_OK,
    JSON_SHIM_INVALID, /* not JSON, or nested deeper than the parser goes */
    JSON_SHIM_NUMBER,  /* a number it cannot hold; perhaps an integer above 2^64 */
    JSON_SHIM_NOMEM,
};

struct json_shim_tape {
    const uint64_t *words; /* borrows from the parser until its next parse */
    const uint8_t *strings;
};

struct json_shim;

struct json_shim *json_shim_new(void); /* NULL without memory */
void json_shim_free(struct json_shim *s);
/* Makes room for lines of `bytes`; false without memory. */
int json_shim_reserve(struct json_shim *s, size_t bytes, size_t depth_max);
/* p must be readable for n + JSON_PADDING bytes, and n within what was reserved. */
enum json_shim_result json_shim_read(struct json_shim *s, const char *p, size_t n,
                                     struct json_shim_tape *out);

#ifdef __cplusplus
}
#endif

#endif
