/* Private to codec: the strict scanner of json_explain.c, shared with json.c and the tests. */
#ifndef CODEC_JSON_INT_H
#define CODEC_JSON_INT_H

#include "base/err.h"
#include "base/str.h"

/* Validates text as RFC 8259 JSON, nested at most JSON_DEPTH_MAX, strings UTF-8 without lone
 * surrogates, numbers finite as doubles. Sets e (code, col, msg) when it is not. Iterative,
 * linear. */
MUST_USE bool json_scan_valid(struct str text, struct err *e);

/* Length of the number that starts s by RFC 8259, 0 when none does. *integer: no fraction, no
 * exponent. */
size_t json_scan_number(struct str s, bool *integer);

#endif
