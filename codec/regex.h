/* Regular expressions: RE2 syntax and linear time (libre2 behind codec/shim), with fast paths.
 *
 * A pattern that is a literal, an alternation of literals, a literal prefix followed by .* or .+,
 * or `.*literal.*` is answered without RE2 (regex.c; dependencies.md section 6). UTF-8, dot
 * matches newline. thread: a compiled regex is read-only, any. */
#ifndef CODEC_REGEX_H
#define CODEC_REGEX_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define REGEX_BYTES_MAX   16384     /* of a pattern */
#define REGEX_PROGRAM_MAX (8 << 20) /* RE2's memory for one pattern */

struct regex;

/* anchored: the whole text must match (as matchers and relabelling want). ERR_INPUT with RE2's
 * reason; ERR_LIMIT for a pattern or program too large. */
MUST_USE bool regex_new(struct mem *m, struct str pattern, bool anchored, struct regex **out,
                        struct err *e);
void regex_free(struct regex *r);
bool regex_match(const struct regex *r, struct str text);
/* The literals that the pattern is an alternation of: count > 0 lets an index look them up instead
 * of scanning. Borrows r. */
uint32_t regex_literals(const struct regex *r, const struct str **out);
/* A literal that every match begins with, maybe empty. Borrows r. */
struct str regex_prefix(const struct regex *r);

uint32_t regex_groups(const struct regex *r); /* capturing groups, without group 0 */
/* Matches and appends `replacement` with $1, ${1}, ${name}, $$ expanded (Go's rules: longest name;
 * an unknown group is empty). false: no match, nothing appended. */
bool regex_expand(const struct regex *r, struct str text, struct str replacement, struct buf *out);
/* Every match replaced (Go's ReplaceAllString). */
void regex_replace_all(const struct regex *r, struct str text, struct str replacement,
                       struct buf *out);

#endif
