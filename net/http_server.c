/* The HTTP server: libmicrohttpd's callbacks turned into routes, bounds and answers.
 *
 * The library calls one handler several times per request:
 *
 *   headers read    guard, route, size of the body        -> refused, or begin()
 *   body piece      counted, handed on                    -> data(), or thrown away when refused
 *   all read        end(); answered -> queue the answer; else suspend until http_respond wakes it
 *   completed       abort() when end() was not reached; the connection's reference is dropped
 *
 * Suspension happens after end() returned, under the request's lock: an answer that came during
 * end() is found there and nothing is suspended (suspending costs as much CPU as a small request);
 * one that comes later finds `suspended` and wakes the connection. While suspended the library does
 * not watch the socket, so a client that leaves is noticed only when the answer is written.
 *
 * The library takes no answer in the middle of a body. A request that fails there is read on and
 * thrown away for HTTP_DISCARD_BYTES_MAX; if it is still going on then, the answer goes straight to
 * the socket.
 *
 * Sources: RFC 9110, 9112; libmicrohttpd 0.9.75 (its handler contract, suspend and resume). */
#include "net/http_server.h"

#include "net/http_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_BUFFER_BYTES     (16 * 1024) /* of the library's pool, beside the headers */
#define REQUEST_BYTES_MIN     (4 * 1024)
#define REQUEST_BYTES_MAX     (64 * 1024)
#define THREADS_MAX           16
#define LISTEN_BACKLOG        1024
#define PAGE_BYTES_MAX        (64 * 1024) /* of the pages the server writes itself */
#define LOG_MESSAGE_BYTES_MAX 256

static void count(atomic_uint_fast64_t *c)
{
    atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

struct str http_method(const struct http_request *rq)
{
    return rq->method;
}

struct str http_path(const struct http_request *rq)
{
    return rq->path;
}

static struct str lookup(const struct http_request *rq, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t n = 0;
    if (MHD_lookup_connection_value_n(rq->conn, kind, name, strlen(name), &value, &n) != MHD_YES) {
        return str_of(NULL, 0);
    }
    return value ? str_of(value, n) : str_of("", 0);
}

struct str http_header(const struct http_request *rq, const char *name)
{
    return lookup(rq, MHD_HEADER_KIND, name);
}

struct str http_query(const struct http_request *rq, const char *name)
{
    return lookup(rq, MHD_GET_ARGUMENT_KIND, name);
}

struct each_query {
    void (*each)(void *ctx, struct str name, struct str value);
    void *ctx;
};

static enum MHD_Result pass_query(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n,
                                  const char *value, size_t value_n)
{
    const struct each_query *q = cls;
    (void)kind;
    q->each(q->ctx, str_of(key, key_n), str_of(value, value ? value_n : 0));
    return MHD_YES;
}

void http_query_each(const struct http_request *rq,
                     void (*each)(void *ctx, struct str name, struct str value), void *ctx)
{
    struct each_query q = {each, ctx};
    (void)MHD_get_connection_values_n(rq->conn, MHD_GET_ARGUMENT_KIND, pass_query, &q);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decodes in place. %00 stays as written: the library hands the path on as a C string, and
 * a path must not end where its sender put a NUL. */
static size_t unescape(void *cls, struct MHD_Connection *conn, char *s)
{
    (void)cls;
    (void)conn;
    size_t n = 0;
    for (size_t i = 0; s[i]; i++) {
        int high = s[i] == '%' ? hex(s[i + 1]) : -1;
        int low = high >= 0 ? hex(s[i + 2]) : -1;
        if (low >= 0 && high + low > 0) {
            s[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            s[n++] = s[i];
        }
    }
    s[n] = 0;
    return n;
}

/* An answer of the server itself, in the form of http_respond_err, but with any status. */
static void refuse(struct http_request *rq, int status, const char *code, const char *message,
                   bool close_after)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, PAGE_BYTES_MAX);
    buf_fmt(&b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    buf_json_str(&b, str_from_c(message));
    BUF_LIT(&b, "}}\n");
    rq->phase = HTTP_DISCARDING;
    rq->close_after = close_after;
    http_answer_set(rq, status, "application/json", buf_str(&b), NULL);
    buf_release(&b);
}

/* 404 with the routes there are, or 405 with the methods of this path. */
static void refuse_route(struct http_request *rq, bool path_known)
{
    const struct http_server *s = rq->server;
    struct mem mem;
    struct buf page;
    struct buf allow;
    mem_init(&mem, 0);
    buf_init(&page, &mem, PAGE_BYTES_MAX);
    buf_init(&allow, &mem, 256);
    const char *headers[] = {"Allow", NULL, NULL};
    rq->phase = HTTP_DISCARDING;
    if (path_known) {
        http_route_allow(s->routes, s->routes_count, rq->path, &allow);
        buf_char(&allow, 0);
        headers[1] = allow.p;
        buf_fmt(&page, "this path takes %s\n", allow.p ? allow.p : "nothing");
    } else {
        headers[0] = NULL;
        BUF_LIT(&page, "no such path; the routes are:\n\n");
        http_route_list(s->routes, s->routes_count, &page);
    }
    http_answer_set(rq, path_known ? 405 : 404, "text/plain; charset=utf-8", buf_str(&page),
                    headers[0] && headers[1] ? headers : NULL);
    buf_release(&allow);
    buf_release(&page);
}

static void *app_of(const struct http_request *rq)
{
    return rq->route->app ? rq->route->app : rq->server->app;
}

static struct http_request *request_new(struct http_server *s, struct MHD_Connection *conn,
                                        const char *url, const char *method)
{
    struct http_request *rq = calloc(1, sizeof *rq);
    if (!rq) {
        return NULL;
    }
    if (pthread_mutex_init(&rq->mu, NULL) != 0) {
        free(rq);
        return NULL;
    }
    rq->server = s;
    rq->conn = conn;
    rq->method = str_from_c(method);
    rq->path = str_from_c(url);
    atomic_init(&rq->refs, 1);
    return rq;
}

/* Finds the route and refuses what it does not take; true when the body may come. */
static bool admit(struct http_request *rq, uint64_t body_bytes)
{
    struct http_server *s = rq->server;
    bool path_known = false;
    rq->route = http_route_find(s->routes, s->routes_count, rq->method, rq->path, &path_known);
    if (!rq->route) {
        count(&s->refused_route);
        refuse_route(rq, path_known);
        return false;
    }
    uint64_t most = rq->route->body_bytes_max;
    if (body_bytes > most && (body_bytes != UINT64_MAX || most == 0)) {
        count(&s->refused_body);
        char message[96];
        snprintf(message, sizeof message, "expected a body of at most %llu bytes",
                 (unsigned long long)most);
        refuse(rq, MHD_HTTP_CONTENT_TOO_LARGE, "limit", message, true);
        return false;
    }
    return true;
}

static enum MHD_Result on_headers(struct http_server *s, struct MHD_Connection *conn,
                                  const char *url, const char *method, void **slot)
{
    struct http_request *rq = request_new(s, conn, url, method);
    if (!rq) {
        return MHD_NO;
    }
    *slot = rq;
    count(&s->requests);
    int status = 0;
    const char *why = NULL;
    if (!http_guard_check(conn, s->request_bytes_max, &status, &why)) {
        count(&s->refused_framing);
        refuse(rq, status, "input", why, true);
        return http_answer_queue(rq); /* nothing behind these headers can be trusted: not read */
    }
    uint64_t body_bytes = http_guard_body_bytes(conn);
    if (!admit(rq, body_bytes)) {
        if (body_bytes > 0 && http_header(rq, MHD_HTTP_HEADER_EXPECT).n > 0) {
            return http_answer_queue(rq); /* the client waits to hear this before it sends */
        }
        if (body_bytes != UINT64_MAX && body_bytes > HTTP_DISCARD_BYTES_MAX) {
            rq->discarded_bytes = HTTP_DISCARD_BYTES_MAX; /* no use in reading it all first */
        }
        return MHD_YES;
    }
    rq->began = true;
    if (rq->route->begin) {
        rq->state = rq->route->begin(app_of(rq), rq);
    }
    return MHD_YES;
}

static void call_end(struct http_request *rq, const struct err *failed)
{
    rq->ended = true;
    atomic_fetch_add_explicit(&rq->refs, 1, memory_order_relaxed); /* the answerer's */
    rq->route->end(app_of(rq), rq->state, rq, failed);
}

enum wait { WAIT_ANSWERED, WAIT_SUSPENDED, WAIT_CLOSE };

/* Goes to sleep until the answer, unless it is there already or the server stops. */
static enum wait wait_for_answer(struct http_request *rq)
{
    struct http_server *s = rq->server;
    enum wait w = WAIT_ANSWERED;
    pthread_mutex_lock(&rq->mu);
    if (!rq->answered) {
        pthread_mutex_lock(&s->mu);
        w = s->stopping || rq->dropped ? WAIT_CLOSE : WAIT_SUSPENDED;
        if (w == WAIT_SUSPENDED) {
            MHD_suspend_connection(rq->conn);
            rq->suspended = true;
            http_list_add(s, rq);
        }
        pthread_mutex_unlock(&s->mu);
    }
    pthread_mutex_unlock(&rq->mu);
    return w;
}

static enum MHD_Result on_all_read(struct http_request *rq)
{
    if (rq->raw_sent) {
        return MHD_NO;
    }
    if (rq->began && !rq->ended) {
        call_end(rq, NULL);
    }
    switch (wait_for_answer(rq)) {
    case WAIT_ANSWERED: return http_answer_queue(rq);
    case WAIT_SUSPENDED: return MHD_YES;
    case WAIT_CLOSE: break;
    }
    return MHD_NO;
}

/* Reads on without keeping anything; past the bound the answer goes out and then the connection. */
static enum MHD_Result discard(struct http_request *rq, size_t *n)
{
    if (rq->discarded_bytes >= 2 * HTTP_DISCARD_BYTES_MAX) {
        return MHD_NO;
    }
    if (rq->discarded_bytes >= HTTP_DISCARD_BYTES_MAX && !rq->raw_sent) {
        enum wait w = wait_for_answer(rq);
        if (w != WAIT_ANSWERED) {
            return w == WAIT_SUSPENDED ? MHD_YES : MHD_NO; /* *n stays: the piece comes again */
        }
        http_answer_raw(rq);
    }
    rq->discarded_bytes += *n;
    *n = 0;
    return MHD_YES;
}

static enum MHD_Result on_body(struct http_request *rq, struct str piece, size_t *n)
{
    if (rq->phase == HTTP_DISCARDING) {
        return discard(rq, n);
    }
    rq->body_bytes += piece.n;
    bool ok = true;
    if (rq->body_bytes > rq->route->body_bytes_max) {
        count(&rq->server->refused_body);
        ok = err_set(&rq->failed, ERR_LIMIT, "expected a body of at most %llu bytes",
                     (unsigned long long)rq->route->body_bytes_max);
    } else if (rq->route->data) {
        ok = rq->route->data(rq->state, piece, &rq->failed);
    }
    *n = 0;
    if (!ok) {
        rq->phase = HTTP_DISCARDING;
        rq->close_after = true;
        call_end(rq, &rq->failed);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_n, void **slot)
{
    (void)version;
    struct http_request *rq = *slot;
    if (!rq) {
        return on_headers(cls, conn, url, method, slot);
    }
    return *data_n > 0 ? on_body(rq, str_of(data, *data_n), data_n) : on_all_read(rq);
}

/* Called once per request whose first call was made, however it ended. */
static void on_completed(void *cls, struct MHD_Connection *conn, void **slot,
                         enum MHD_RequestTerminationCode why)
{
    (void)conn;
    (void)why;
    struct http_server *s = cls;
    struct http_request *rq = *slot;
    if (!rq) {
        return;
    }
    *slot = NULL;
    pthread_mutex_lock(&rq->mu);
    rq->closed = true;
    rq->suspended = false;
    struct MHD_Response *unsent = rq->response;
    rq->response = NULL;
    pthread_mutex_lock(&s->mu);
    http_list_remove(s, rq);
    pthread_mutex_unlock(&s->mu);
    pthread_mutex_unlock(&rq->mu);
    if (unsent) {
        MHD_destroy_response(unsent);
    }
    if (rq->began && !rq->ended && rq->route->abort) {
        rq->route->abort(app_of(rq), rq->state);
    }
    http_request_unref(rq);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    (void)conn;
    (void)slot;
    struct http_server *s = cls;
    atomic_fetch_add_explicit(&s->connections,
                              what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : UINT64_MAX,
                              memory_order_relaxed);
}

PRINTF_LIKE(2, 0)
static void on_log(void *cls, const char *fmt, va_list args)
{
    struct http_server *s = cls;
    char text[LOG_MESSAGE_BYTES_MAX];
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n > 0) {
        struct str line = str_trim(str_of(text, size_min((size_t)n, sizeof text - 1)));
        log_line(s->log, LOG_INFO, "http", "%.*s", STR_FMT(line));
    }
}

/* A listening socket of our own: its errors name the address, which the library's do not. */
static bool listen_on(struct http_server *s, const struct http_server_config *c, struct err *e)
{
    struct sockaddr_storage addr = {0};
    socklen_t addr_n = sizeof(struct sockaddr_in);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr;
    if (inet_pton(AF_INET, c->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(c->port);
    } else if (inet_pton(AF_INET6, c->address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(c->port);
        addr_n = sizeof *v6;
    } else {
        return err_set(e, ERR_INPUT,
                       "expected an IPv4 or IPv6 address to listen on, found \"%.64s\"",
                       c->address);
    }
    s->listen_fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0) {
        return err_errno(e, errno, "cannot open a socket");
    }
    int on = 1;
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s->listen_fd, (struct sockaddr *)&addr, addr_n) != 0 ||
        listen(s->listen_fd, LISTEN_BACKLOG) != 0 ||
        getsockname(s->listen_fd, (struct sockaddr *)&addr, &addr_n) != 0) {
        return err_errno(e, errno, "cannot listen on %s port %u", c->address, c->port);
    }
    s->port = ntohs(addr.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return true;
}

static bool config_check(const struct http_server_config *c, struct err *e)
{
    if (c->threads < 1 || c->threads > THREADS_MAX) {
        return err_set(e, ERR_INPUT, "expected 1 to %d HTTP threads, found %u", THREADS_MAX,
                       c->threads);
    }
    if (c->connections_max < c->threads) {
        return err_set(e, ERR_INPUT, "expected at least one connection per HTTP thread, found %u",
                       c->connections_max);
    }
    if (c->request_bytes_max < REQUEST_BYTES_MIN || c->request_bytes_max > REQUEST_BYTES_MAX) {
        return err_set(e, ERR_INPUT, "expected 4KiB to 64KiB for a request's headers, found %zu",
                       c->request_bytes_max);
    }
    return true;
}

static bool daemon_start(struct http_server *s, const struct http_server_config *c, struct err *e)
{
    const struct MHD_OptionItem pool[] = {
        {c->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)c->threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
        MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)c->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        c->request_bytes_max + BODY_BUFFER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)c->idle_timeout_s, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    return s->daemon || err_set(e, ERR_IO, "cannot start the HTTP server on port %u", s->port);
}

static void server_free(struct http_server *s)
{
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    pthread_mutex_destroy(&s->mu);
    free(s);
}

bool http_server_start(struct http_server **out, const struct http_server_config *c,
                       const struct http_route *routes, size_t routes_count, void *app,
                       struct log *log, struct err *e)
{
    *out = NULL;
    if (!config_check(c, e)) {
        return false;
    }
    struct http_server *s = calloc(1, sizeof *s);
    if (!s || pthread_mutex_init(&s->mu, NULL) != 0) {
        free(s);
        return err_set(e, ERR_NOMEM, "no memory for the HTTP server");
    }
    for (size_t i = 0; i < routes_count; i++) {
        ASSERT(routes[i].end != NULL);
    }
    s->routes = routes;
    s->routes_count = routes_count;
    s->app = app;
    s->log = log;
    s->listen_fd = -1;
    s->request_bytes_max = c->request_bytes_max;
    *out = s; /* handlers may run from here */
    if (!listen_on(s, c, e) || !daemon_start(s, c, e)) {
        *out = NULL;
        server_free(s);
        return false;
    }
    return true;
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_stats(const struct http_server *s, struct http_stats *out)
{
    *out = (struct http_stats){
        .requests = atomic_load_explicit(&s->requests, memory_order_relaxed),
        .refused_framing = atomic_load_explicit(&s->refused_framing, memory_order_relaxed),
        .refused_route = atomic_load_explicit(&s->refused_route, memory_order_relaxed),
        .refused_body = atomic_load_explicit(&s->refused_body, memory_order_relaxed),
        .connections = atomic_load_explicit(&s->connections, memory_order_relaxed),
    };
    for (size_t i = 0; i < ARRAY_LEN(out->status); i++) {
        out->status[i] = atomic_load_explicit(&s->status[i], memory_order_relaxed);
    }
}

void http_server_drain(struct http_server *s)
{
    /* Only shut down here, so that connects are refused: the library's thread may still be taking
     * the socket out of its epoll set, and a closed number could by then be another file's. */
    if (!s->drained && MHD_quiesce_daemon(s->daemon) != MHD_INVALID_SOCKET) {
        (void)shutdown(s->listen_fd, SHUT_RD);
        s->drained = true;
    }
}

/* Wakes every request that waits, with word to close: the library must not stop with sleepers. */
static void drop_suspended(struct http_server *s)
{
    pthread_mutex_lock(&s->mu);
    s->stopping = true;
    for (struct http_request *rq = s->suspended; rq; rq = s->suspended) {
        http_list_remove(s, rq);
        atomic_fetch_add_explicit(&rq->refs, 1, memory_order_relaxed);
        pthread_mutex_unlock(&s->mu); /* lock order: the request's first */
        pthread_mutex_lock(&rq->mu);
        if (!rq->closed && rq->suspended) {
            rq->suspended = false;
            rq->dropped = true;
            MHD_resume_connection(rq->conn);
        }
        pthread_mutex_unlock(&rq->mu);
        http_request_unref(rq);
        pthread_mutex_lock(&s->mu);
    }
    pthread_mutex_unlock(&s->mu);
}

void http_server_stop(struct http_server *s)
{
    if (!s) {
        return;
    }
    http_server_drain(s);
    drop_suspended(s);
    MHD_stop_daemon(s->daemon);
    if (!s->drained) {
        s->listen_fd = -1; /* not handed back, so the library has closed it */
    }
    server_free(s);
}
