/* A sentence as a row of parts: words, and the numbers between them, each with the query that makes
 * it. A terminal prints them one after the other; a page gets them as JSON and links the numbers.
 * Both thus say the same words, from the same templates (text.def). */
#ifndef SERVER_PART_INT_H
#define SERVER_PART_INT_H

#include "base/clock.h"
#include "server/text_int.h"
#include "server/view_int.h"

struct part {
    struct str text;
    struct str query;     /* PromQL; empty: nothing to show */
    enum view_state tone; /* VIEW_WARN and VIEW_CRIT colour it; VIEW_OK does not */
    int64_t t_ns;         /* the text is this time in some zone; T_NS_NONE: it is no time */
};
static inline struct part part_of(struct str text)
{
    return (struct part){text, {NULL, 0}, VIEW_OK, T_NS_NONE};
}

/* Where parts go. words collects what stands before the next number. */
struct parts {
    struct buf *out; /* borrows */
    bool json;       /* {"text":...},... without brackets; else the bare text */
    struct buf words;
    uint32_t count;
};
void server_parts_init(struct parts *p, struct buf *out, bool json, struct mem *m);
/* What is left goes out. */
void server_parts_end(struct parts *p);

void server_parts_words(struct parts *p, struct str words);
void server_parts_put(struct parts *p, const struct part *x);
/* The text with {1}..{9} replaced by args. */
void server_parts_say_args(struct parts *p, enum lang lang, enum text_id id,
                           const struct part *args, uint32_t count);
#define SAY_PARTS(p, lang, id, ...)                                                   \
    server_parts_say_args((p), (lang), TEXT_##id, (const struct part[]){__VA_ARGS__}, \
                          (uint32_t)ARRAY_LEN(((const struct part[]){__VA_ARGS__})))

#endif
