/* Patterns that need no automaton: what regex_plan.c recognises and regex.c matches. Private to
 * codec. */
#ifndef CODEC_REGEX_INT_H
#define CODEC_REGEX_INT_H

#include "codec/regex.h"

#define REGEX_LITERALS_MAX 4096 /* alternatives of one pattern; more go to RE2 */
#define REGEX_PARTS_MAX    8    /* literals between gaps; more go to RE2 */

enum regex_kind {
    REGEX_RE2,      /* nothing below applies */
    REGEX_LITERALS, /* one of literals[] is the text */
    REGEX_GLOB,     /* parts[0] gap parts[1] gap ... parts[n-1], a gap being .* or .+ */
};

/* Only for patterns that must match the whole text. Texts and arrays lie in one block of `bytes`,
 * which the plan owns. */
struct regex_plan {
    enum regex_kind kind;
    struct str *literals; /* sorted, without duplicates */
    uint32_t literals_n;
    struct str parts[REGEX_PARTS_MAX];
    bool gap_some[REGEX_PARTS_MAX]; /* gap i stands behind part i; true: .+ */
    uint32_t parts_n;
    struct str prefix; /* common to all matches */
    /* One capturing group at most: the text without head bytes in front and tail bytes behind. */
    bool group;
    size_t group_head, group_tail;
    void *block;
    size_t bytes;
};

/* kind is REGEX_RE2 for everything that is not certain. false: no memory. */
bool regex_plan_make(struct mem *m, struct str pattern, struct regex_plan *p);
void regex_plan_release(struct mem *m, struct regex_plan *p);
/* kind is not REGEX_RE2. */
bool regex_plan_match(const struct regex_plan *p, struct str text);

#endif
