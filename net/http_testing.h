/* What the server's tests share: an application that counts its calls and keeps requests, and a
 * client that writes and reads bytes on real sockets of the loopback. For tests only. */
#ifndef NET_HTTP_TESTING_H
#define NET_HTTP_TESTING_H

#include "net/http_server.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB         (1024 * 1024)
#define PATIENCE_MS 10000 /* no test waits longer for anything */

/* The application under test: counts calls, keeps requests that are to be answered later. */
struct app {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    struct http_request *kept[512];            /* lock: mu */
    uint32_t kept_n;                           /* lock: mu */
    atomic_uint begun, ended, aborted, failed; /* of uploads */
    atomic_uint waiting;                       /* requests that were kept */
    atomic_uint_fast64_t bytes;
};

struct upload {
    struct app *app;
    uint64_t bytes, sum;
};

struct rig {
    struct app app;
    struct http_server *server;
    uint16_t port;
};

static inline void *upload_begin(void *app, struct http_request *rq)
{
    struct upload *u = calloc(1, sizeof *u);
    assert_non_null(u);
    assert_non_null(http_method(rq).p);
    u->app = app;
    atomic_fetch_add(&u->app->begun, 1);
    return u;
}

static inline bool upload_data(void *state, struct str piece, struct err *e)
{
    struct upload *u = state;
    for (size_t i = 0; i < piece.n; i++) {
        u->sum = u->sum * 31 + (unsigned char)piece.p[i];
        if (piece.p[i] == '!') {
            return err_at(e, ERR_INPUT, 3, 7, "expected anything but '!'");
        }
    }
    u->bytes += piece.n;
    atomic_fetch_add(&u->app->bytes, piece.n);
    return true;
}

static inline void upload_end(void *app, void *state, struct http_request *rq,
                              const struct err *failed)
{
    struct app *a = app;
    struct upload *u = state;
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    atomic_fetch_add(&a->ended, 1);
    if (failed) {
        atomic_fetch_add(&a->failed, 1);
        http_respond_err(rq, failed);
    } else {
        buf_fmt(&b, "bytes=%llu sum=%llu\n", (unsigned long long)u->bytes,
                (unsigned long long)u->sum);
        http_respond(rq, 200, "text/plain", &b, NULL);
        assert_int_equal(mem.bytes, 0); /* consumed */
    }
    free(u);
}

static inline void upload_abort(void *app, void *state)
{
    struct app *a = app;
    atomic_fetch_add(&a->aborted, 1);
    free(state);
}

static inline void hello_end(void *app, void *state, struct http_request *rq,
                             const struct err *failed)
{
    (void)app;
    (void)state;
    assert_null(failed);
    static const char *const headers[] = {"X-One", "1", "Cache-Control", "no-store", NULL};
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    struct str name = http_query(rq, "name");
    struct str agent = http_header(rq, "uSeR-aGeNt");
    buf_fmt(&b, "%.*s path=%.*s name=%s%.*s agent=%s%.*s\n", STR_FMT(http_method(rq)),
            STR_FMT(http_path(rq)), name.p ? "" : "(none)", STR_FMT(name), agent.p ? "" : "(none)",
            STR_FMT(agent));
    http_respond(rq, 200, "text/plain", &b, headers);
}

static inline void later_end(void *app, void *state, struct http_request *rq,
                             const struct err *failed)
{
    (void)state;
    (void)failed;
    struct app *a = app;
    atomic_fetch_add(&a->waiting, 1);
    pthread_mutex_lock(&a->mu);
    assert_true(a->kept_n < ARRAY_LEN(a->kept));
    a->kept[a->kept_n++] = rq;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->mu);
}

static inline void empty_end(void *app, void *state, struct http_request *rq,
                             const struct err *failed)
{
    (void)app;
    (void)state;
    (void)failed;
    http_respond(rq, 204, NULL, NULL, NULL);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/hello", .help = "says hello", .end = hello_end},
    {.method = "GET", .path = "/ui/*", .help = "files", .end = hello_end},
    {.method = "GET", .path = "/ui/deep/*", .help = "deeper", .end = empty_end},
    {.method = "POST",
     .path = "/upload",
     .help = "sums bytes",
     .body_bytes_max = 6 * MIB,
     .begin = upload_begin,
     .data = upload_data,
     .end = upload_end,
     .abort = upload_abort},
    {.method = "POST",
     .path = "/small",
     .help = "sums few bytes",
     .body_bytes_max = 1000,
     .begin = upload_begin,
     .data = upload_data,
     .end = upload_end,
     .abort = upload_abort},
    {.method = "GET", .path = "/later", .help = "answers later", .end = later_end},
    {.method = "POST", .path = "/empty", .help = "nothing", .end = empty_end},
};

static inline void rig_open_with(struct rig *r, struct http_server_config c)
{
    struct err e = {0};
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->app.mu, NULL);
    pthread_cond_init(&r->app.changed, NULL);
    if (!http_server_start(&r->server, &c, routes, ARRAY_LEN(routes), &r->app, NULL, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    r->port = http_server_port(r->server);
}

static inline void rig_open(struct rig *r, uint32_t threads)
{
    rig_open_with(r, (struct http_server_config){.address = "127.0.0.1",
                                                 .threads = threads,
                                                 .connections_max = 300,
                                                 .idle_timeout_s = 20,
                                                 .request_bytes_max = 16 * 1024});
}

static inline void rig_close(struct rig *r)
{
    http_server_stop(r->server);
    assert_int_equal(atomic_load(&r->app.begun),
                     atomic_load(&r->app.ended) + atomic_load(&r->app.aborted));
    pthread_mutex_destroy(&r->app.mu);
    pthread_cond_destroy(&r->app.changed);
}

static inline int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* false: the other side closed while we were writing. */
static inline bool put(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        s = str_sub(s, (size_t)n, s.n);
    }
    return true;
}

/* One answer of a connection that may go on. Status 0: the connection ended instead. */
struct reply {
    int status;
    struct str head, body;
    char text[256 * 1024];
    size_t n, used; /* bytes read; bytes of the answer */
};

static inline struct str reply_header(const struct reply *r, const char *name)
{
    struct str rest = r->head;
    while (rest.n > 0) {
        struct str_cut line = str_cut(rest, '\n');
        struct str_cut pair = str_cut(line.head, ':');
        if (pair.ok && str_eq_nocase(pair.head, str_from_c(name))) {
            return str_trim(pair.tail);
        }
        rest = line.tail;
    }
    return str_of(NULL, 0);
}

static inline bool read_more(int fd, struct reply *r)
{
    assert_true(r->n < sizeof r->text);
    ssize_t n = recv(fd, r->text + r->n, sizeof r->text - r->n, 0);
    if (n < 0 && errno == EAGAIN) {
        print_error("no answer within %d ms\n", PATIENCE_MS);
        fail();
    }
    r->n += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* head_only: an answer to HEAD, which has no body whatever its Content-Length says. */
static inline void read_reply(int fd, struct reply *r, bool head_only)
{
    memmove(r->text, r->text + r->used, r->n - r->used);
    r->n -= r->used;
    r->used = 0;
    r->status = 0;
    char *end = NULL;
    while (!(end = memmem(r->text, r->n, "\r\n\r\n", 4))) {
        if (!read_more(fd, r)) {
            return;
        }
    }
    r->head = str_of(r->text, (size_t)(end - r->text) + 2);
    assert_true(str_starts(r->head, STR("HTTP/1.")));
    uint64_t length = 0;
    uint64_t status = 0;
    assert_true(str_to_u64(str_sub(r->head, 9, 3), &status));
    r->status = (int)status;
    struct str declared = reply_header(r, "Content-Length");
    assert_true(!declared.p || str_to_u64(declared, &length));
    length = head_only || r->status < 200 ? 0 : length;
    while (r->n < r->head.n + 2 + length) {
        assert_true(read_more(fd, r));
    }
    r->body = str_of(r->text + r->head.n + 2, length);
    r->used = r->head.n + 2 + length;
}

static inline bool is_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* One request on its own connection, answered and then closed by us. */
static inline void ask(const struct rig *r, struct reply *reply, struct str request)
{
    int fd = dial(r->port);
    reply->n = reply->used = 0;
    put(fd, request);
    read_reply(fd, reply, str_starts(request, STR("HEAD")));
    close(fd);
}

static inline struct reply *reply_new(void)
{
    struct reply *r = calloc(1, sizeof *r);
    assert_non_null(r);
    return r;
}

static inline void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static inline void answer(struct http_request *rq, const char *text)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    buf_str_add(&b, str_from_c(text));
    http_respond(rq, 200, "text/plain", &b, NULL);
    assert_int_equal(mem.bytes, 0);
}

#endif
