/* The one door to RE2 (C++): compile a pattern, match it, ask about its groups. Nothing of C++
 * crosses this line and no exception escapes. A compiled pattern is read-only: any thread. */
#ifndef CODEC_SHIM_RE2_SHIM_H
#define CODEC_SHIM_RE2_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum re2_shim_result {
    RE2_SHIM_OK,
    RE2_SHIM_INVALID,   /* reason says why */
    RE2_SHIM_TOO_LARGE, /* the program needs more than bytes_max */
    RE2_SHIM_NOMEM,
};

struct re2_shim;

/* Where a group matched: bytes of the text; from is -1 when it took no part. */
struct re2_shim_span {
    int64_t from, to;
};

/* Dot matches newline; bytes_max bounds program and automata. reason gets a NUL-terminated text. */
enum re2_shim_result re2_shim_new(const char *p, size_t n, int64_t bytes_max, struct re2_shim **out,
                                  char *reason, size_t reason_cap);
void re2_shim_free(struct re2_shim *r);
/* Searches text[at, n); whole != 0 wants all of it to match. Fills spans_n spans (0 = none wanted).
 * 0: no match. */
int re2_shim_match(const struct re2_shim *r, const char *text, size_t n, size_t at, int whole,
                   struct re2_shim_span *spans, int spans_n);
int re2_shim_groups(const struct re2_shim *r); /* without group 0 */
/* Number of the group with this name, -1 = none. */
int re2_shim_group_named(const struct re2_shim *r, const char *name, size_t n);
/* Writes at most cap bytes of a literal that all matches begin with when they begin at the start of
 * the text; returns the count, 0 = not known. */
size_t re2_shim_prefix(const struct re2_shim *r, char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
