/* The verdict: what a page says first, as JSON for GET /farol/v1/verdict and /farol/v1/live
 * (docs/openapi.yaml, schema Verdict). Made by rules from facts: the status, what the story
 * remembers, and sums that the store answered. What is not known is null, never 0. */
#ifndef SERVER_VERDICT_INT_H
#define SERVER_VERDICT_INT_H

#include "server/story_int.h"

/* Money that something stands for. */
struct verdict_money {
    double brl, lo, hi; /* NaN: not known; lo and hi: an interval where the engine has one */
    int64_t since_ns;   /* T_NS_NONE: of all time */
    struct str query;
    enum text_id label;
};

struct verdict_pillar {
    enum view_state state;
    int64_t since_ns; /* of this state; T_NS_NONE: not known */
};

struct verdict_facts {
    const struct server_view *view;
    const struct server_story *story; /* NULL: nothing is remembered */
    struct verdict_pillar pipeline, model;
    struct verdict_money risk, guarded;
    int32_t utc_offset_s; /* of clock times in sentences; each also says its time in UTC */
};

/* Appends one JSON object, without a line end. */
void server_verdict_json(const struct verdict_facts *f, struct buf *out);

#endif
