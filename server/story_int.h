/* One sentence that a sleepy person can repeat on the phone: what is wrong, since when, and what
 * came with it. It is built from the numbers of the status alone; what the status does not say is
 * not in the sentence. The terminal and the page (verdict.c) say the same one.
 *
 * A status knows the last minute. "Since" and "was" need more, so the story keeps, for each reason,
 * when this viewer saw it begin and the numbers just before. A viewer that starts in the middle of
 * an incident says nothing about its begin, unless it is told by who remembers (past.c). */
#ifndef SERVER_STORY_INT_H
#define SERVER_STORY_INT_H

#include "server/part_int.h"
#include "server/view_int.h"

/* A reason that is away for less than the status' window was not away: it is one incident. */
#define STORY_GAP_NS (60 * NS_PER_S)

struct story_numbers {
    double hold_share, decision_p99_ms, precision, precision_lo;
};
struct story_cause {
    bool present;
    int64_t since_ns; /* T_NS_NONE: it was there at the first status */
    int64_t seen_ns;  /* last; T_NS_NONE: never */
    struct story_numbers before;
};
/* By value; plain numbers. Starts as zeros. thread: the command's. */
struct server_story {
    bool seen;
    int64_t ok_since_ns;       /* T_NS_NONE: not ok, or not seen to become so */
    struct story_numbers last; /* of the newest status */
    struct story_cause causes[VIEW_CAUSES];
};

/* v in order of time. */
void server_story_add(struct server_story *s, const struct server_view *v);
/* Appends the sentence without a new line; nothing when there are no data. s may be NULL: then
 * without "since" and "was". Times are in the viewer's zone. */
void server_story_text(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct buf *out);
/* The same in parts. */
void server_story_tell(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct parts *out);

/* What the sentence is about: the reason of the worse pillar; NULL: none is given. */
const struct view_reason *server_story_lead(const struct server_view *v, bool *of_model);
/* The worst reason of one pillar; NULL: none. */
const struct view_reason *server_story_worst(const struct view_pillar *p);
/* When the lead began; T_NS_NONE: not known. */
int64_t server_story_since(const struct server_story *s, const struct server_view *v);
/* The newest version that came in the VIEW_CHANGED_NS before the lead began; NULL: none, or its
 * begin is not known. That it came shortly before is a fact; that it is the reason is not. */
const struct view_stage *server_story_deploy(const struct server_story *s,
                                             const struct server_view *v);

#endif
