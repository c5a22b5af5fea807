/* Private to net: what the parts of the HTTP server share. */
#ifndef NET_HTTP_INT_H
#define NET_HTTP_INT_H

#include "net/http_server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

/* Body bytes of a refused request that are read and thrown away, so that the client, still writing,
 * reads the answer instead of a reset. Above it the answer is written at once and, after as many
 * bytes again, the connection is cut. */
#define HTTP_DISCARD_BYTES_MAX (1024 * 1024)
#define HTTP_HEADERS_MAX       128

enum http_phase {
    HTTP_READING,    /* body pieces go to the route */
    HTTP_DISCARDING, /* the answer is decided or will be, the rest of the body is not wanted */
};

/* One request. Two references at most: the connection's, from the first call of the handler to its
 * completion, and the answerer's, from before `end` to the return of http_respond.
 * thread: the I/O thread of its connection, but what `mu` guards. */
struct http_request {
    struct http_server *server;
    struct MHD_Connection *conn;
    const struct http_route *route; /* NULL: refused before a route was found */
    void *state;                    /* the route's */
    struct str method, path;        /* borrow from the connection */
    enum http_phase phase;
    bool began, ended;
    bool raw_sent; /* the answer was written past the library, only discarding is left */
    uint64_t body_bytes, discarded_bytes;
    struct err failed;
    atomic_uint refs;

    pthread_mutex_t mu;
    bool close_after; /* lock: mu from here */
    bool answered, suspended, closed;
    bool dropped; /* the server stops: close without an answer */
    struct MHD_Response *response;
    const char *body; /* borrows from response */
    size_t body_n;
    int status;

    struct http_request *prev, *next; /* lock: server->mu; list of suspended requests */
    bool linked;
};

/* thread: any; counters are atomic, the list has a lock. */
struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_route *routes; /* borrows */
    size_t routes_count;
    void *app;       /* borrows */
    struct log *log; /* borrows */
    int listen_fd;   /* open until the library has stopped */
    bool drained;
    uint16_t port;
    size_t request_bytes_max;
    atomic_uint_fast64_t requests, refused_framing, refused_route, refused_body, connections;
    atomic_uint_fast64_t status[6];
    pthread_mutex_t mu;
    struct http_request *suspended; /* lock: mu */
    bool stopping;                  /* lock: mu */
};

/* http_guard.c: true when the request's framing has one reading. Else *status and a sentence. */
bool http_guard_check(struct MHD_Connection *conn, size_t request_bytes_max, int *status,
                      const char **why);
/* Content-Length of a request the guard passed; UINT64_MAX when the body is chunked. */
uint64_t http_guard_body_bytes(struct MHD_Connection *conn);

/* http_route.c: the most exact route; NULL when none. *path_known: another method would have
 * one. */
const struct http_route *http_route_find(const struct http_route *routes, size_t count,
                                         struct str method, struct str path, bool *path_known);
/* "GET, HEAD, POST" */
void http_route_allow(const struct http_route *routes, size_t count, struct str path,
                      struct buf *out);
void http_route_list(const struct http_route *routes, size_t count, struct buf *out);

/* http_answer.c */
void http_request_unref(struct http_request *rq);
/* As http_respond, for answers the server itself gives: no reference is dropped. */
void http_answer_set(struct http_request *rq, int status, const char *content_type, struct str body,
                     const char *const *headers);
/* Headers of every answer. false: no memory. */
bool http_answer_headers(struct MHD_Response *r, const char *content_type, bool close_after,
                         const char *const *headers);
/* Consumes r (NULL: the connection is closed without an answer). lock: rq->mu held. */
void http_answer_give(struct http_request *rq, int status, struct MHD_Response *r);
/* Ends the sleep of a request, if it sleeps. lock: rq->mu held. */
void http_wake(struct http_request *rq);
enum MHD_Result http_answer_queue(struct http_request *rq);
/* Writes the answer on the socket past the library, which takes none in the middle of a body. */
void http_answer_raw(struct http_request *rq);
void http_list_add(struct http_server *s, struct http_request *rq);    /* lock: s->mu held */
void http_list_remove(struct http_server *s, struct http_request *rq); /* lock: s->mu held */

#endif
