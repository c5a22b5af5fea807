/* Live updates over real sockets: who comes gets the newest event, all get the next; bounds. */
#include "server/web/web.h"

#include "net/http_testing.h"

struct studio {
    struct web_live *live;
    struct http_server *server;
    struct rig rig; /* only its port */
};

static void live_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct studio *t = app;
    (void)state;
    assert_null(failed);
    web_live_listen(t->live, rq);
}

static const struct http_route live_routes[] = {
    {.method = "GET", .path = "/live", .help = "events", .end = live_end},
};

static void studio_open(struct studio *t)
{
    struct err e = {0};
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 2,
                                         .connections_max = 200,
                                         .idle_timeout_s = 20,
                                         .request_bytes_max = 16 * 1024};
    memset(t, 0, sizeof *t);
    assert_true(web_live_new(&t->live, &e));
    assert_true(
        http_server_start(&t->server, &c, live_routes, ARRAY_LEN(live_routes), t, NULL, &e));
    t->rig.port = http_server_port(t->server);
}

static void studio_close(struct studio *t)
{
    http_server_stop(t->server);
    web_live_free(t->live);
}

/* A series of the hub. */
static double series(struct studio *t, const char *name)
{
    struct mem mem;
    struct arena arena;
    struct expo x;
    double v = -1;
    mem_init(&mem, 0);
    arena_init(&arena, &mem, 1U << 20);
    expo_init(&x, &arena, 1);
    web_live_publish(t->live, &x);
    for (const struct expo_family *f = x.first; f; f = f->next) {
        v = str_eq(f->name, str_from_c(name)) ? f->first->value : v;
    }
    arena_release(&arena);
    assert_true(v >= 0);
    return v;
}

static void await_series(struct studio *t, const char *name, double value)
{
    for (int ms = 0; ms < PATIENCE_MS && series(t, name) < value; ms++) {
        pause_ms(1);
    }
    assert_true(series(t, name) >= value);
}

static int tune_in(struct studio *t)
{
    int fd = dial(t->rig.port);
    assert_true(put(fd, STR("GET /live HTTP/1.1\r\nHost: t\r\n\r\n")));
    return fd;
}

/* Reads until the bytes hold `text` (which no chunk border cuts: each piece is sent at once). */
static void hear(int fd, const char *text)
{
    char got[64 * 1024];
    size_t n = 0;
    while (!str_contains(str_of(got, n), str_from_c(text))) {
        assert_true(n < sizeof got);
        ssize_t r = recv(fd, got + n, sizeof got - n, 0);
        assert_true(r > 0);
        n += (size_t)r;
    }
}

TEST(live_newest_event_first_then_each_one)
{
    struct studio t;
    studio_open(&t);
    web_live_tell(t.live, "status", STR("{\"n\":0}"));
    web_live_tell(t.live, "status", STR("{\"n\":1}"));
    int a = tune_in(&t);
    hear(a, "retry: 2000\n\nevent: status\ndata: {\"n\":1}\n\n");
    int b = tune_in(&t);
    hear(b, "{\"n\":1}\n\n");
    await_series(&t, "farol_live_listeners", 2);
    web_live_tell(t.live, "status", STR("{\"n\":2}"));
    hear(a, "event: status\ndata: {\"n\":2}\n\n");
    hear(b, "event: status\ndata: {\"n\":2}\n\n");
    web_live_beat(t.live);
    hear(a, ":\n\n");
    assert_true(series(&t, "farol_live_events") == 3);
    close(a);
    close(b);
    studio_close(&t);
}

TEST(live_who_left_is_counted_and_dropped)
{
    struct studio t;
    studio_open(&t);
    int stays = tune_in(&t);
    await_series(&t, "farol_live_listeners", 1);
    int leaves = tune_in(&t);
    await_series(&t, "farol_live_listeners", 2);
    close(leaves);
    for (int ms = 0; ms < PATIENCE_MS && series(&t, "farol_live_left") < 1; ms++) {
        web_live_beat(t.live);
        pause_ms(1);
    }
    assert_true(series(&t, "farol_live_listeners") == 1);
    web_live_tell(t.live, "status", STR("still"));
    hear(stays, "still");
    close(stays);
    studio_close(&t);
}

TEST(live_listeners_are_bounded)
{
    struct studio t;
    int fds[WEB_LISTENERS_MAX];
    struct reply *a = reply_new();
    studio_open(&t);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = tune_in(&t);
    }
    await_series(&t, "farol_live_listeners", WEB_LISTENERS_MAX);
    ask(&t.rig, a, STR("GET /live HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 503);
    assert_true(series(&t, "farol_live_refused") == 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    studio_close(&t);
    free(a);
}

TEST(live_slow_listener_is_cut_others_go_on)
{
    struct studio t;
    char *text = malloc(WEB_QUEUE_BYTES_MAX / 4);
    assert_non_null(text);
    memset(text, 'x', WEB_QUEUE_BYTES_MAX / 4);
    studio_open(&t);
    int slow = dial(t.rig.port);
    int small = 4096;
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    put(slow, STR("GET /live HTTP/1.1\r\nHost: t\r\n\r\n"));
    await_series(&t, "farol_live_listeners", 1);
    for (int i = 0; i < 1000 && series(&t, "farol_live_slow") < 1; i++) {
        web_live_tell(t.live, "status", str_of(text, WEB_QUEUE_BYTES_MAX / 4));
    }
    assert_true(series(&t, "farol_live_slow") == 1);
    assert_true(series(&t, "farol_live_listeners") == 0);
    web_live_tell(t.live, "status", STR("short"));
    int other = tune_in(&t);
    await_series(&t, "farol_live_listeners", 1);
    web_live_tell(t.live, "status", STR("here"));
    hear(other, "data: here\n\n");
    close(slow);
    close(other);
    studio_close(&t);
    free(text);
}

TEST(live_end_closes_all_and_refuses_new_ones)
{
    struct studio t;
    struct reply *a = reply_new();
    studio_open(&t);
    web_live_tell(t.live, "status", STR("1"));
    int fd = tune_in(&t);
    await_series(&t, "farol_live_listeners", 1);
    web_live_end(t.live);
    hear(fd, "data: 1\n\n"); /* what was queued came first */
    ask(&t.rig, a, STR("GET /live HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 503);
    web_live_tell(t.live, "status", STR("2"));
    close(fd);
    studio_close(&t);
    free(a);
}

TEST(live_event_too_large_for_any_listener_is_not_told)
{
    struct studio t;
    char *text = calloc(1, WEB_QUEUE_BYTES_MAX);
    assert_non_null(text);
    memset(text, 'x', WEB_QUEUE_BYTES_MAX);
    studio_open(&t);
    int fd = tune_in(&t);
    await_series(&t, "farol_live_listeners", 1);
    web_live_tell(t.live, "status", str_of(text, WEB_QUEUE_BYTES_MAX));
    assert_true(series(&t, "farol_live_events") == 0);
    web_live_tell(t.live, "status", STR("small"));
    hear(fd, "data: small\n\n");
    close(fd);
    studio_close(&t);
    free(text);
}
