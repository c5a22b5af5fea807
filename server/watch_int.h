/* The server watches itself as a person would: once a second it looks at the status, remembers
 * what changed, and makes the verdict. Pages and /farol/v1/verdict get the newest one without
 * waiting. */
#ifndef SERVER_WATCH_INT_H
#define SERVER_WATCH_INT_H

#include "codec/expo.h"
#include "server/verdict_int.h"

#include <pthread.h>

#define WATCH_PERIOD_NS (1 * NS_PER_S)

struct service;

struct server_watch {
    bool started;
    /* thread: reader */
    struct mem mem;
    struct buf status, frame, risk_query;
    struct server_view view;
    struct server_story story;
    struct verdict_pillar pipeline, model;
    struct verdict_money risk, guarded;
    int64_t money_mono_ns; /* when risk and guarded were asked */
    uint64_t told_hash;
    int64_t told_mono_ns;
    bool seen;
    pthread_mutex_t mu; /* of what follows */
    struct mem verdict_mem;
    struct buf verdict; /* the newest; empty before the first */
    struct verdict_pillar shown[2];
    enum view_state reasons[2][VIEW_CAUSES]; /* level of each; VIEW_OK: not there */
    bool shown_once;
};

void server_watch_init(struct server_watch *w);
/* Nothing when it was never initialized. */
void server_watch_release(struct server_watch *w);
/* One look; tells the listeners of s->live. thread: reader, when the river is up. */
void server_watch_look(struct service *s);
/* Appends the newest verdict. ERR_BUSY: there is none yet. thread: any. */
MUST_USE bool server_watch_verdict(struct server_watch *w, struct buf *out, struct err *e);
/* farol_state and farol_reason: the verdict's own history. thread: ticker. */
void server_watch_publish(struct server_watch *w, struct expo *x);

#endif
