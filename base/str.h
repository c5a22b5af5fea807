/* Slices of bytes owned by somebody else, and the parsers of numbers that report errors.
 *
 * A str is passed by value, is not NUL-terminated, may contain NULs; empty is n == 0 (p may then be
 * NULL). Nothing here allocates. All functions are linear in the bytes they look at. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* STR("literal") in an expression, STR_INIT("literal") in a static table. */
#define STR_INIT(literal)               \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
#define STR(literal) ((struct str)STR_INIT(literal))

/* For printf: printf("%.*s", STR_FMT(s)). Slices over 2 GiB are cut. */
#define STR_FMT(s) ((int)((s).n > INT32_MAX ? INT32_MAX : (s).n)), ((s).p ? (s).p : "")

struct str_cut {
    struct str head; /* before the first `at` */
    struct str tail; /* after it */
    bool ok;         /* false: `at` was not found, head is all of s, tail is empty */
};

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* From a NUL-terminated string; NULL gives the empty slice. Borrows c. */
struct str str_from_c(const char *c);

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* memcmp order, a prefix sorts first: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_contains(struct str s, struct str part);
struct str str_trim(struct str s);                       /* spaces, tabs, CR, LF at both ends */
struct str str_sub(struct str s, size_t from, size_t n); /* clamped to s */
struct str_cut str_cut(struct str s, char at);

/* Decimal, no sign for u64, optional '-' for i64, whole slice, no spaces, no empty. false: not a
 * number or out of range; *out is then not written. */
MUST_USE bool str_to_u64(struct str s, uint64_t *out);
MUST_USE bool str_to_i64(struct str s, int64_t *out);
/* Finite decimal or scientific notation, whole slice, at most 64 bytes. */
MUST_USE bool str_to_f64(struct str s, double *out);
/* "10s", "5m", "1h30m", "250ms", "90d": Prometheus' duration syntax, in milliseconds. */
MUST_USE bool str_to_duration_ms(struct str s, int64_t *out);
/* "64MiB", "2GiB", "512KiB", "1000": bytes. */
MUST_USE bool str_to_bytes(struct str s, uint64_t *out);

/* True when s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

/* Levenshtein distance, bytes, cut at 16 bytes each: for suggestions ("did you mean"). */
size_t str_distance(struct str a, struct str b);

#endif
