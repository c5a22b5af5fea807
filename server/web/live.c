/* The listeners of GET /farol/v1/live.
 *
 *   teller --lock--> each listener's queue (net/http_stream.c) --> its connection
 *
 * The newest event is kept, so that who comes gets the state at once instead of an empty page for a
 * second. A listener that reads less than is said is cut by the stream's bound: it comes back by
 * itself (EventSource does) and gets the newest state, which is worth more than the lost ones.
 *
 * Lock order: this lock, then those of net. Format: HTML standard, section 9.2 (server-sent
 * events). */
#include "server/web/web.h"

#include <pthread.h>
#include <stdlib.h>

#define EVENT_BYTES_MAX WEB_QUEUE_BYTES_MAX
#define RETRY           "retry: 2000\n\n" /* ms until a page that lost its stream asks again */

struct web_live {
    pthread_mutex_t mu; /* of everything below */
    struct mem mem;
    struct buf newest; /* the event as it goes out; empty before the first */
    struct http_stream *listeners[WEB_LISTENERS_MAX];
    uint32_t listeners_count;
    bool ended;
    uint64_t events, refused, slow, left;
};

bool web_live_new(struct web_live **out, struct err *e)
{
    *out = NULL;
    struct web_live *l = calloc(1, sizeof *l);
    if (!l || pthread_mutex_init(&l->mu, NULL) != 0) {
        free(l);
        return err_set(e, ERR_NOMEM, "no memory for live updates");
    }
    mem_init(&l->mem, 0);
    buf_init(&l->newest, &l->mem, EVENT_BYTES_MAX);
    *out = l;
    return true;
}

void web_live_listen(struct web_live *l, struct http_request *rq)
{
    /* no-transform and X-Accel-Buffering: a proxy that packs or collects would hold events back. */
    static const char *const headers[] = {"Cache-Control", "no-store, no-transform",
                                          "X-Accel-Buffering", "no", NULL};
    struct err e = {0};
    (void)pthread_mutex_lock(&l->mu);
    bool room = !l->ended && l->listeners_count < WEB_LISTENERS_MAX;
    if (room) {
        struct http_stream *s =
            http_stream_open(rq, "text/event-stream", headers, WEB_QUEUE_BYTES_MAX);
        if (s && http_stream_send(s, STR(RETRY)) == HTTP_STREAM_OPEN &&
            http_stream_send(s, buf_str(&l->newest)) == HTTP_STREAM_OPEN) {
            l->listeners[l->listeners_count++] = s;
        } else if (s) {
            http_stream_close(s);
            l->left++;
        }
    } else {
        l->refused++;
        (void)err_set(&e, ERR_BUSY, "expected at most %d listeners", WEB_LISTENERS_MAX);
    }
    (void)pthread_mutex_unlock(&l->mu);
    if (!room) {
        http_respond_err(rq, &e);
    }
}

/* lock: l->mu held. */
static void tell_all(struct web_live *l, struct str text)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->listeners_count; i++) {
        struct http_stream *s = l->listeners[i];
        enum http_stream_state state = http_stream_send(s, text);
        if (state == HTTP_STREAM_OPEN) {
            l->listeners[kept++] = s;
            continue;
        }
        l->slow += state == HTTP_STREAM_SLOW;
        l->left += state == HTTP_STREAM_GONE;
        http_stream_close(s);
    }
    l->listeners_count = kept;
}

void web_live_tell(struct web_live *l, const char *name, struct str text)
{
    (void)pthread_mutex_lock(&l->mu);
    buf_reset(&l->newest);
    buf_fmt(&l->newest, "event: %s\ndata: ", name);
    buf_str_add(&l->newest, text);
    BUF_LIT(&l->newest, "\n\n");
    if (l->newest.failed) {
        buf_reset(&l->newest); /* larger than any queue: nobody could be told */
    } else {
        l->events++;
        tell_all(l, buf_str(&l->newest));
    }
    (void)pthread_mutex_unlock(&l->mu);
}

void web_live_beat(struct web_live *l)
{
    (void)pthread_mutex_lock(&l->mu);
    tell_all(l, STR(":\n\n"));
    (void)pthread_mutex_unlock(&l->mu);
}

void web_live_end(struct web_live *l)
{
    (void)pthread_mutex_lock(&l->mu);
    l->ended = true;
    for (uint32_t i = 0; i < l->listeners_count; i++) {
        http_stream_close(l->listeners[i]);
    }
    l->listeners_count = 0;
    (void)pthread_mutex_unlock(&l->mu);
}

void web_live_free(struct web_live *l)
{
    if (!l) {
        return;
    }
    web_live_end(l);
    buf_release(&l->newest);
    ASSERT(l->mem.bytes == 0);
    (void)pthread_mutex_destroy(&l->mu);
    free(l);
}

void web_live_publish(struct web_live *l, struct expo *x)
{
    (void)pthread_mutex_lock(&l->mu);
    expo_gauge(x, "farol_live_listeners", "", "Pages that follow /farol/v1/live now.",
               (double)l->listeners_count);
    expo_counter(x, "farol_live_events", "", "Events told to them.", l->events);
    expo_counter(x, "farol_live_refused", "", "Listeners refused because there were too many.",
                 l->refused);
    expo_counter(x, "farol_live_slow", "", "Listeners cut because they did not read.", l->slow);
    expo_counter(x, "farol_live_left", "", "Listeners that left.", l->left);
    (void)pthread_mutex_unlock(&l->mu);
}
