/* One sentence that a sleepy person can repeat on the phone: what is wrong, since when, and what
 * came with it. It is built from the numbers of the status alone; what the status does not say is
 * not in the sentence.
 *
 * A status knows the last minute. "Since" and "was" need more, so the story keeps, for each reason,
 * when this viewer saw it begin and the numbers just before. A viewer that starts in the middle of
 * an incident says nothing about its begin. */
#ifndef SERVER_STORY_INT_H
#define SERVER_STORY_INT_H

#include "base/buf.h"
#include "server/view_int.h"

/* By value; plain numbers. Starts as zeros. thread: the command's. */
struct server_story {
    bool seen;
    int64_t ok_since_ns; /* T_NS_NONE: not ok, or not seen to become so */
    struct story_numbers {
        double hold_share, decision_p99_ms, precision, precision_lo;
    } last; /* of the newest status */
    struct story_cause {
        bool present;
        int64_t since_ns; /* T_NS_NONE: it was there at the first status */
        struct story_numbers before;
    } causes[VIEW_CAUSES];
};

/* v in order of time. */
void server_story_add(struct server_story *s, const struct server_view *v);
/* Appends the sentence without a new line; nothing when there are no data. s may be NULL: then
 * without "since" and "was". Times are in the viewer's zone. */
void server_story_text(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct buf *out);

#endif
