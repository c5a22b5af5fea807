/* Any bytes as a conversation: the server must survive them, balance begin with end or abort, and
 * still answer the next client. A server per input costs a millisecond, and keeps inputs
 * independent. */
#include "net/http_server.h"

#include "net/http_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct app {
    atomic_uint begun, given_back;
};

static void *begin(void *app, struct http_request *rq)
{
    struct app *a = app;
    ASSERT(http_method(rq).n > 0);
    atomic_fetch_add(&a->begun, 1);
    return app;
}

static bool data_piece(void *state, struct str piece, struct err *e)
{
    (void)state;
    ASSERT(piece.n > 0);
    return !memchr(piece.p, '!', piece.n) || err_set(e, ERR_INPUT, "expected no '!'");
}

static void end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    struct app *a = app;
    struct err fine = {.code = ERR_BUSY, .msg = "fine"};
    atomic_fetch_add(&a->given_back, 1);
    ASSERT(http_query(rq, "a").n < 65536);
    ASSERT(http_header(rq, "Host").n < 65536);
    http_respond_err(rq, failed ? failed : &fine);
}

static void aborted(void *app, void *state)
{
    struct app *a = app;
    (void)state;
    atomic_fetch_add(&a->given_back, 1);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/*", .begin = begin, .end = end, .abort = aborted},
    {.method = "POST",
     .path = "/p",
     .body_bytes_max = 64,
     .begin = begin,
     .data = data_piece,
     .end = end,
     .abort = aborted},
};

/* Reads until the server closes or says nothing more for a moment, then resets. */
static void converse(uint16_t port, struct str text, bool closes)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0}; /* no TIME_WAIT: there are many of us */
    struct timeval wait = {.tv_sec = closes ? 4 : 0, .tv_usec = closes ? 0 : 3000};
    char answer[4096];
    ASSERT(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ASSERT(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);
    while (n > 0) {
        n = recv(fd, answer, sizeof answer, 0);
    }
    ASSERT(!closes || n == 0);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct app app = {0};
    struct http_server *s = NULL;
    struct err e = {0};
    struct http_stats stats;
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 1,
                                         .connections_max = 4,
                                         .idle_timeout_s = 5,
                                         .request_bytes_max = 4096};
    if (size == 0 || size > 8192) {
        return 0;
    }
    ASSERT(http_server_start(&s, &c, routes, ARRAY_LEN(routes), &app, NULL, &e));
    converse(http_server_port(s), str_of((const char *)data, size), false);
    http_server_stats(s, &stats);
    uint64_t before = stats.requests;
    converse(http_server_port(s), STR("GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
             true);
    http_server_stats(s, &stats);
    ASSERT(stats.requests > before);
    http_server_stop(s);
    ASSERT(atomic_load(&app.begun) == atomic_load(&app.given_back));
    return 0;
}
