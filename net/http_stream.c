/* Answers that go on: the application queues pieces from any thread, the connection's I/O thread
 * takes them out when its socket has room.
 *
 *   send    [queue under the request's lock] --wake if it sleeps--> I/O thread
 *   read    queue not empty: bytes; else ended: end of the body; else sleep until the next send
 *
 * A queue with nothing in it suspends the connection, as a request does that waits for its answer
 * (http_server.c): it stands in the server's list meanwhile, so that a stop wakes it. A queue that
 * is full belongs to a client that does not read: its socket is shut at once, because the library
 * would wait for room in it until idle_timeout_s.
 *
 * Two references: the application's, given back by http_stream_close, and the response's. Lock
 * order: the library's lock of the response, the request's mu, the server's mu, the library's list
 * of connections.
 *
 * Sources: libmicrohttpd 0.9.75 (its reader contract: 0 after a suspend means "later"). */
#include "net/http_int.h"

#include <stdlib.h>
#include <sys/socket.h>

#define BLOCK_BYTES 4096 /* what the library asks for at once, at most */

struct http_stream {
    struct http_request *rq; /* shares */
    atomic_uint refs;
    struct mem mem;               /* lock: rq->mu from here */
    struct buf queue;             /* what is to be sent */
    size_t sent;                  /* bytes of queue that the library has taken */
    enum http_stream_state state; /* does not go back */
    bool ended;                   /* by the application */
};

static void stream_unref(void *cls)
{
    struct http_stream *s = cls;
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
        buf_release(&s->queue);
        http_request_unref(s->rq);
        free(s);
    }
}

/* Sleeps until there is more; false when the server stops and nobody would wake it. lock: rq->mu
 * held. */
static bool sleep_on(struct http_request *rq)
{
    struct http_server *server = rq->server;
    pthread_mutex_lock(&server->mu);
    bool go_on = !server->stopping && !rq->dropped;
    if (go_on) {
        MHD_suspend_connection(rq->conn);
        rq->suspended = true;
        http_list_add(server, rq);
    }
    pthread_mutex_unlock(&server->mu);
    return go_on;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max)
{
    struct http_stream *s = cls;
    struct http_request *rq = s->rq;
    ssize_t n = 0;
    (void)pos;
    pthread_mutex_lock(&rq->mu);
    size_t left = s->queue.n - s->sent;
    if (s->state == HTTP_STREAM_SLOW) {
        /* Not "with error": after that libmicrohttpd 0.9.75 forgets to clean a connection that was
         * just resumed. Writing the end fails, because the socket is shut, and cleans it. */
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (left > 0) {
        size_t take = size_min(left, max);
        memcpy(out, s->queue.p + s->sent, take);
        s->sent += take;
        n = (ssize_t)take;
    } else if (s->ended || !sleep_on(rq)) {
        s->state = HTTP_STREAM_GONE;
        n = MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (s->sent == s->queue.n) {
        buf_reset(&s->queue);
        s->sent = 0;
    }
    pthread_mutex_unlock(&rq->mu);
    return n;
}

static struct MHD_Response *response_new(struct http_stream *s, const char *content_type,
                                         bool close_after, const char *const *headers)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                               stream_read, s, stream_unref);
    if (!r) {
        return NULL;
    }
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed); /* the response's */
    if (!http_answer_headers(r, content_type, close_after, headers)) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

struct http_stream *http_stream_open(struct http_request *rq, const char *content_type,
                                     const char *const *headers, size_t queue_bytes_max)
{
    struct http_stream *s = calloc(1, sizeof *s);
    struct MHD_Response *r = NULL;
    if (s) {
        s->rq = rq; /* takes over the answerer's reference */
        atomic_init(&s->refs, 1);
        mem_init(&s->mem, 0);
        buf_init(&s->queue, &s->mem, queue_bytes_max);
    }
    pthread_mutex_lock(&rq->mu);
    if (rq->closed) {
        rq->answered = true;
    } else {
        r = s ? response_new(s, content_type, rq->close_after, headers) : NULL;
        http_answer_give(rq, MHD_HTTP_OK, r);
    }
    pthread_mutex_unlock(&rq->mu);
    if (!s) {
        http_request_unref(rq);
    } else if (!r) {
        stream_unref(s);
        s = NULL;
    }
    return s;
}

/* lock: rq->mu held, so that the connection is still there. */
static void cut(struct http_request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info) {
        (void)shutdown(info->connect_fd, SHUT_RDWR);
    }
}

/* Room is made of what has been taken, before the bound decides. */
static bool queue_add(struct http_stream *s, struct str piece)
{
    if (s->sent > 0) {
        memmove(s->queue.p, s->queue.p + s->sent, s->queue.n - s->sent);
        s->queue.n -= s->sent;
        s->sent = 0;
    }
    buf_str_add(&s->queue, piece);
    return !s->queue.failed;
}

enum http_stream_state http_stream_send(struct http_stream *s, struct str piece)
{
    struct http_request *rq = s->rq;
    pthread_mutex_lock(&rq->mu);
    if (s->state == HTTP_STREAM_OPEN && (rq->closed || rq->dropped)) {
        s->state = HTTP_STREAM_GONE;
    } else if (s->state == HTTP_STREAM_OPEN && !queue_add(s, piece)) {
        s->state = HTTP_STREAM_SLOW;
        cut(rq);
    }
    if (s->state != HTTP_STREAM_GONE) {
        http_wake(rq);
    }
    enum http_stream_state state = s->state;
    pthread_mutex_unlock(&rq->mu);
    return state;
}

void http_stream_close(struct http_stream *s)
{
    pthread_mutex_lock(&s->rq->mu);
    s->ended = true;
    http_wake(s->rq);
    pthread_mutex_unlock(&s->rq->mu);
    stream_unref(s);
}
