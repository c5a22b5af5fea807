/* HTTP/1.1 server: libmicrohttpd underneath, with the guard it needs (dependencies.md section 1).
 *
 * A route is a struct of functions. Bodies are streamed: begin, data..., end. `end` answers at once
 * or later from any thread (http_respond on a suspended request). Every bound refuses with a status
 * and is counted. Smuggling shapes (Content-Length with Transfer-Encoding, two of either, two
 * Hosts, no Host, obs-fold, bare LF where seen) get one 400 and the connection is closed.
 *
 * thread: handlers run on the server's I/O threads and must not block. */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

struct http_server;
/* Opaque. Valid from begin to abort, or to the one http_respond that must follow every call of
 * end. */
struct http_request;

struct str http_method(const struct http_request *rq);
struct str http_path(const struct http_request *rq); /* percent-decoded, without the query */
/* Value of a header, name in any case; {NULL, 0} when absent. This, method, path and query are
 * called from begin, data and end only. What they return borrows until the answer, or until
 * http_server_stop when that comes first: a thread that may answer after it copies. */
struct str http_header(const struct http_request *rq, const char *name);
/* First value of a query parameter, decoded; {NULL, 0} when absent. */
struct str http_query(const struct http_request *rq, const char *name);
/* Every query parameter in the order of the request, decoded; names may repeat (match[]). A
 * parameter without '=' has the value {NULL, 0}. */
void http_query_each(const struct http_request *rq,
                     void (*each)(void *ctx, struct str name, struct str value), void *ctx);

/* Answers; exactly once for each call of end, from inside it or later from any thread. Every end
 * gets its answer, whatever happens: if the client has left or the server has stopped (even freed
 * itself) since, the answer is thrown away, but the call gives the request back. After it rq is
 * gone. body is consumed: its bytes are copied and released here, on the caller's thread (NULL: no
 * body). headers: pairs name, value, NULL-terminated, may be NULL; copied. */
void http_respond(struct http_request *rq, int status, const char *content_type, struct buf *body,
                  const char *const *headers);
/* The same with bytes that live as long as the program (constants): not copied. */
void http_respond_constant(struct http_request *rq, int status, const char *content_type,
                           struct str body, const char *const *headers);
/* The same with {"error": {"code": "...", "message": "...", "line":..., "column":...}} and the
 * status err_http_status. */
void http_respond_err(struct http_request *rq, const struct err *e);

/* An answer that goes on piece by piece until one side ends it (server-sent events). */
struct http_stream;
/* Opens one in place of http_respond: status 200, a body without a length. At most queue_bytes_max
 * wait for a client. NULL: no memory, or the client has left; the request is given back either way.
 * What is not NULL must be given to http_stream_close, also after http_server_stop. thread: any. */
MUST_USE struct http_stream *http_stream_open(struct http_request *rq, const char *content_type,
                                              const char *const *headers, size_t queue_bytes_max);
enum http_stream_state {
    HTTP_STREAM_OPEN,
    HTTP_STREAM_GONE, /* the client left, or the server stops */
    HTTP_STREAM_SLOW, /* it read less than was sent: its connection has been cut */
};
/* Queues a piece, copied. Once the state is not OPEN it stays so, and nothing more is sent. That a
 * client has left shows when it is written to. thread: any. */
enum http_stream_state http_stream_send(struct http_stream *s, struct str piece);
/* What is queued still goes out, then the answer ends. Consumes s. */
void http_stream_close(struct http_stream *s);

struct http_route {
    const char *method;
    const char *path;        /* exact, or a prefix when it ends in '/' '*' */
    const char *help;        /* for the list at an unknown path */
    uint64_t body_bytes_max; /* as sent; 0 = no body allowed. 413 above */
    /* NULL members allowed except end. begin returns the request's own state for data and end. */
    void *(*begin)(void *app, struct http_request *rq);
    /* false: reading stops, end is called with failed = the error, the connection closes after. A
     * body above body_bytes_max is such a failure too (ERR_LIMIT), when its length was not
     * declared. */
    bool (*data)(void *state, struct str piece, struct err *e);
    void (*end)(void *app, void *state, struct http_request *rq, const struct err *failed);
    /* Instead of end, never after it: the client went away or the server stops before the body was
     * read. state must be given back. After it rq is gone and must not be answered. A request that
     * has reached end belongs to the application until http_respond: a client that leaves while its
     * answer is awaited is noticed only when it is written. */
    void (*abort)(void *app, void *state);
    void *app; /* given to begin, end and abort in place of the server's app; NULL = the server's */
};

struct http_server_config {
    const char *address; /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;       /* 0 = any free one */
    uint32_t threads;    /* I/O threads, 1..16 */
    uint32_t connections_max;
    /* Without a byte in either direction; does not run while an answer is awaited. */
    uint32_t idle_timeout_s;
    size_t request_bytes_max; /* request line and headers, 4..64 KiB */
};

/* Snapshot. refused_*: answered by the server itself. What the library refuses before any handler
 * (headers that are not HTTP, or too large for its buffer) is answered 4xx and not counted here. */
struct http_stats {
    uint64_t requests, refused_framing, refused_route, refused_body, connections;
    uint64_t status[6]; /* by hundreds: [2] = 2xx */
};

/* routes and app are borrowed until stop. Handlers may run before this returns. */
MUST_USE bool http_server_start(struct http_server **out, const struct http_server_config *c,
                                const struct http_route *routes, size_t routes_count, void *app,
                                struct log *log, struct err *e);
uint16_t http_server_port(const struct http_server *s);
void http_server_stats(const struct http_server *s, struct http_stats *out);
/* Stops accepting; running requests go on until stop. */
void http_server_drain(struct http_server *s);
/* Aborts what has not reached end, closes what waits for an answer, joins threads, frees. NULL:
 * nothing. */
void http_server_stop(struct http_server *s);

#endif
