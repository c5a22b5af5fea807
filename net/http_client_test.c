/* The client against our own server and against sockets that misbehave. */
#include "net/http_client.h"

#include "base/test.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Says back what it was sent. */
struct echo {
    struct mem mem;
    struct buf body;
};

static void *echo_begin(void *app, struct http_request *rq)
{
    (void)app;
    (void)rq;
    struct echo *x = calloc(1, sizeof *x);
    assert_non_null(x);
    mem_init(&x->mem, 0);
    buf_init(&x->body, &x->mem, 1 << 20);
    return x;
}

static bool echo_data(void *state, struct str piece, struct err *e)
{
    struct echo *x = state;
    buf_str_add(&x->body, piece);
    return buf_ok(&x->body, e);
}

static void echo_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)app;
    struct echo *x = state;
    assert_null(failed);
    assert_null(http_header(rq, "Expect").p);
    struct str custom = http_header(rq, "X-Custom");
    buf_fmt(&x->body, "|%.*s|%.*s", STR_FMT(http_method(rq)), STR_FMT(custom));
    static const char *const headers[] = {"Retry-After", "7", NULL};
    http_respond(rq, str_eq(custom, STR("busy")) ? 503 : 200, "text/plain", &x->body, headers);
    free(x);
}

static void plain_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)app;
    (void)state;
    (void)failed;
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 100);
    BUF_LIT(&b, "plain");
    static const char *const headers[] = {"Location", "/echo", NULL};
    bool moved = str_eq(http_path(rq), STR("/moved"));
    http_respond(rq, moved ? 302 : 200, "text/plain", &b, headers);
}

static const struct http_route routes[] = {
    {.method = "POST",
     .path = "/echo",
     .body_bytes_max = 1 << 20,
     .begin = echo_begin,
     .data = echo_data,
     .end = echo_end},
    {.method = "PUT",
     .path = "/echo",
     .body_bytes_max = 1 << 20,
     .begin = echo_begin,
     .data = echo_data,
     .end = echo_end},
    {.method = "GET", .path = "/plain", .end = plain_end},
    {.method = "GET", .path = "/moved", .end = plain_end},
};

struct rig {
    struct http_server *server;
    struct mem mem;
    struct http_client *client;
    char url[64];
    struct http_answer answer;
    struct err e;
};

static void rig_open(struct rig *r)
{
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 1,
                                         .connections_max = 10,
                                         .idle_timeout_s = 10,
                                         .request_bytes_max = 8192};
    *r = (struct rig){0};
    mem_init(&r->mem, 0);
    assert_true(http_server_start(&r->server, &c, routes, ARRAY_LEN(routes), NULL, NULL, &r->e));
    r->client = http_client_new(&r->mem, 2000, 2000);
    assert_non_null(r->client);
}

static void rig_close(struct rig *r)
{
    http_client_free(r->client);
    http_server_stop(r->server);
    assert_int_equal(r->mem.bytes, 0);
}

static bool call(struct rig *r, const char *method, uint16_t port, const char *path,
                 const char *const *headers, struct str body, size_t most)
{
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%u%s", port, path);
    err_clear(&r->e);
    return http_client_do(r->client, method, r->url, headers, body, most, &r->answer, &r->e);
}

TEST(http_client_sends_methods_headers_and_bodies_over_one_connection)
{
    static const char *const custom[] = {"X-Custom: yes", "Content-Type: application/x-ndjson",
                                         NULL};
    struct rig r;
    struct http_stats s;
    rig_open(&r);
    uint16_t port = http_server_port(r.server);
    for (int i = 0; i < 3; i++) {
        assert_true(call(&r, "POST", port, "/echo", custom, STR("some\0bytes"), 1000));
        assert_int_equal(r.answer.status, 200);
        assert_str(buf_str(&r.answer.body), STR("some\0bytes|POST|yes"));
        assert_int_equal(r.answer.retry_after_ms, 7000);
        buf_release(&r.answer.body);
        assert_true(call(&r, "GET", port, "/plain", NULL, STR(""), 1000));
        assert_str(buf_str(&r.answer.body), STR("plain"));
        assert_int_equal(r.answer.retry_after_ms, -1);
        buf_release(&r.answer.body);
        assert_true(call(&r, "PUT", port, "/echo", NULL, STR(""), 1000));
        assert_str(buf_str(&r.answer.body), STR("|PUT|"));
        buf_release(&r.answer.body);
        assert_true(call(&r, "HEAD", port, "/plain", NULL, STR(""), 1000));
        assert_int_equal(r.answer.status, 200);
        assert_int_equal(r.answer.body.n, 0);
        buf_release(&r.answer.body);
    }
    http_server_stats(r.server, &s);
    assert_int_equal(s.requests, 12);
    assert_int_equal(s.connections, 1);
    rig_close(&r);
}

TEST(http_client_gives_error_statuses_and_redirects_as_they_are)
{
    static const char *const busy[] = {"X-Custom: busy", NULL};
    struct rig r;
    rig_open(&r);
    uint16_t port = http_server_port(r.server);
    assert_true(call(&r, "POST", port, "/echo", busy, STR("x"), 1000));
    assert_int_equal(r.answer.status, 503);
    assert_int_equal(r.answer.retry_after_ms, 7000);
    buf_release(&r.answer.body);
    assert_true(call(&r, "GET", port, "/moved", NULL, STR(""), 1000));
    assert_int_equal(r.answer.status, 302);
    buf_release(&r.answer.body);
    assert_true(call(&r, "GET", port, "/nothing", NULL, STR(""), 1000));
    assert_int_equal(r.answer.status, 404);
    buf_release(&r.answer.body);
    rig_close(&r);
}

TEST(http_client_bounds_the_answer)
{
    struct rig r;
    rig_open(&r);
    uint16_t port = http_server_port(r.server);
    assert_true(call(&r, "GET", port, "/plain", NULL, STR(""), 5));
    buf_release(&r.answer.body);
    assert_false(call(&r, "GET", port, "/plain", NULL, STR(""), 4));
    assert_int_equal(r.e.code, ERR_LIMIT);
    assert_true(call(&r, "GET", port, "/plain", NULL, STR(""), 5)); /* and goes on */
    buf_release(&r.answer.body);
    rig_close(&r);
}

/* A listener that takes one connection and does with it what the mode says. */
struct villain {
    int fd;
    uint16_t port;
    const char *says; /* NULL: silence */
};

static void *villain_run(void *arg)
{
    struct villain *v = arg;
    int fd = accept(v->fd, NULL, NULL);
    char request[4096];
    if (fd >= 0 && recv(fd, request, sizeof request, 0) > 0 && v->says) {
        struct str s = str_from_c(v->says);
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        (void)n;
    }
    if (fd >= 0 && !v->says) {
        recv(fd, request, sizeof request, 0); /* until the client gives up */
    }
    close(fd);
    return NULL;
}

static void villain_open(struct villain *v, const char *says)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t n = sizeof addr;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(v->fd, (struct sockaddr *)&addr, n), 0);
    assert_int_equal(listen(v->fd, 5), 0);
    assert_int_equal(getsockname(v->fd, (struct sockaddr *)&addr, &n), 0);
    v->port = ntohs(addr.sin_port);
    v->says = says;
}

static void meet_villain(struct rig *r, const char *says, enum err_code expected)
{
    struct villain v;
    pthread_t thread;
    villain_open(&v, says);
    assert_int_equal(pthread_create(&thread, NULL, villain_run, &v), 0);
    assert_false(call(r, "GET", v.port, "/", NULL, STR(""), 1000));
    assert_int_equal(r->e.code, expected);
    assert_int_equal(r->answer.body.n, 0);
    close(v.fd);
    pthread_join(thread, NULL);
}

TEST(http_client_tells_refused_broken_silent_and_strange_apart)
{
    struct rig r;
    struct villain closed;
    rig_open(&r);
    villain_open(&closed, NULL);
    close(closed.fd);
    assert_false(call(&r, "GET", closed.port, "/", NULL, STR(""), 1000));
    assert_int_equal(r.e.code, ERR_BUSY);
    assert_true(str_starts(str_from_c(r.e.msg), STR("cannot connect: ")));
    meet_villain(&r, "", ERR_IO);
    meet_villain(&r, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ERR_IO);
    meet_villain(&r, "this is not HTTP\r\n\r\n", ERR_IO);
    meet_villain(&r, NULL, ERR_IO); /* the total timeout */
    assert_false(
        http_client_do(r.client, "GET", "ftp://127.0.0.1/x", NULL, STR(""), 10, &r.answer, &r.e));
    assert_int_equal(r.e.code, ERR_INPUT);
    assert_false(
        http_client_do(r.client, "GET", "file:///etc/passwd", NULL, STR(""), 10, &r.answer, &r.e));
    assert_int_equal(r.e.code, ERR_INPUT);
    assert_false(http_client_do(r.client, "GET", "http://", NULL, STR(""), 10, &r.answer, &r.e));
    assert_int_equal(r.e.code, ERR_INPUT);
    rig_close(&r);
}

TEST(http_client_skips_interim_answers)
{
    struct rig r;
    struct villain v;
    pthread_t thread;
    rig_open(&r);
    villain_open(&v, "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(pthread_create(&thread, NULL, villain_run, &v), 0);
    assert_true(call(&r, "GET", v.port, "/", NULL, STR(""), 1000));
    assert_int_equal(r.answer.status, 200);
    assert_int_equal(r.answer.retry_after_ms, -1);
    assert_str(buf_str(&r.answer.body), STR("ok"));
    buf_release(&r.answer.body);
    close(v.fd);
    pthread_join(thread, NULL);
    rig_close(&r);
}
