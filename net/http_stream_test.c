/* Answers that go on, over real sockets: pieces in order, clients that leave or do not
 * read, stop. */
#include "net/http_testing.h"

#include <stdio.h>

#define STREAMS_MAX 64
#define QUEUE_BYTES (64 * 1024)

/* The application: opens a stream for each request of /live and keeps it. */
struct station {
    pthread_mutex_t mu;
    struct http_stream *streams[STREAMS_MAX]; /* lock: mu; NULL: closed */
    uint32_t n;                               /* lock: mu */
    struct http_server *server;
    uint16_t port;
};

static void live_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    static const char *const headers[] = {"Cache-Control", "no-store", NULL};
    struct station *t = app;
    (void)state;
    assert_null(failed);
    struct http_stream *s = http_stream_open(rq, "text/event-stream", headers, QUEUE_BYTES);
    if (s) {
        pthread_mutex_lock(&t->mu);
        assert_true(t->n < STREAMS_MAX);
        t->streams[t->n++] = s;
        pthread_mutex_unlock(&t->mu);
    }
}

static const struct http_route station_routes[] = {
    {.method = "GET", .path = "/live", .help = "goes on", .end = live_end},
    {.method = "GET", .path = "/empty", .help = "nothing", .end = empty_end},
};

static void station_open(struct station *t, uint32_t threads)
{
    struct err e = {0};
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = threads,
                                         .connections_max = 100,
                                         .idle_timeout_s = 20,
                                         .request_bytes_max = 16 * 1024};
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->mu, NULL);
    assert_true(
        http_server_start(&t->server, &c, station_routes, ARRAY_LEN(station_routes), t, NULL, &e));
    t->port = http_server_port(t->server);
}

static struct http_stream *await_stream(struct station *t, uint32_t i)
{
    struct http_stream *s = NULL;
    for (int ms = 0; ms < PATIENCE_MS && !s; ms++) {
        pthread_mutex_lock(&t->mu);
        s = i < t->n ? t->streams[i] : NULL;
        pthread_mutex_unlock(&t->mu);
        if (!s) {
            pause_ms(1);
        }
    }
    assert_non_null(s);
    return s;
}

/* The sender's side of one round: gives text to all, drops those that are not open. */
static uint32_t send_all(struct station *t, struct str text)
{
    uint32_t open = 0;
    pthread_mutex_lock(&t->mu);
    for (uint32_t i = 0; i < t->n; i++) {
        struct http_stream *s = t->streams[i];
        if (s && http_stream_send(s, text) != HTTP_STREAM_OPEN) {
            http_stream_close(s);
            t->streams[i] = NULL;
        }
        open += t->streams[i] != NULL;
    }
    pthread_mutex_unlock(&t->mu);
    return open;
}

static void station_close(struct station *t)
{
    http_server_stop(t->server);
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->streams[i]) {
            assert_int_equal(http_stream_send(t->streams[i], STR("late")), HTTP_STREAM_GONE);
            http_stream_close(t->streams[i]);
        }
    }
    pthread_mutex_destroy(&t->mu);
}

static int tune_in(struct station *t, const char *method, const char *version)
{
    int fd = dial(t->port);
    char request[128];
    (void)snprintf(request, sizeof request, "%s /live HTTP/%s\r\nHost: t\r\n\r\n", method, version);
    assert_true(put(fd, str_from_c(request)));
    return fd;
}

/* Everything after the header that has arrived, unchunked; ended: the last chunk was read. */
struct ear {
    char raw[256 * 1024], text[256 * 1024];
    size_t raw_n, n;
    bool ended, closed;
};

static void unchunk(struct ear *e)
{
    struct str rest = str_of(e->raw, e->raw_n);
    char *body = memmem(rest.p, rest.n, "\r\n\r\n", 4);
    e->n = 0;
    if (!body) {
        return;
    }
    rest = str_sub(rest, (size_t)(body - rest.p) + 4, rest.n);
    for (;;) {
        char *line = rest.n ? memmem(rest.p, rest.n, "\r\n", 2) : NULL;
        if (!line) {
            return;
        }
        size_t head = (size_t)(line - rest.p) + 2;
        size_t n = (size_t)strtoul(rest.p, NULL, 16);
        if (rest.n < head + n + 2) {
            return;
        }
        if (n == 0) {
            e->ended = true;
            return;
        }
        memcpy(e->text + e->n, rest.p + head, n);
        e->n += n;
        rest = str_sub(rest, head + n + 2, rest.n);
    }
}

static void hear_more(int fd, struct ear *e)
{
    assert_true(e->raw_n < sizeof e->raw);
    ssize_t n = recv(fd, e->raw + e->raw_n, sizeof e->raw - e->raw_n, 0);
    assert_true(n >= 0 || errno == ECONNRESET);
    e->closed = n <= 0;
    e->raw_n += n > 0 ? (size_t)n : 0;
    unchunk(e);
}

static void hear(int fd, struct ear *e, struct str expected)
{
    while (!e->ended && !e->closed && e->n < expected.n) {
        hear_more(fd, e);
    }
    assert_str(str_of(e->text, e->n), expected);
}

static struct ear *ear_new(void)
{
    struct ear *e = calloc(1, sizeof *e);
    assert_non_null(e);
    return e;
}

TEST(http_stream_pieces_arrive_as_they_are_sent)
{
    struct station t;
    struct ear *e = ear_new();
    station_open(&t, 1);
    int fd = tune_in(&t, "GET", "1.1");
    struct http_stream *s = await_stream(&t, 0);
    assert_int_equal(http_stream_send(s, STR("data: 1\n\n")), HTTP_STREAM_OPEN);
    hear(fd, e, STR("data: 1\n\n"));
    assert_true(str_contains(str_of(e->raw, e->raw_n), STR("Content-Type: text/event-stream\r\n")));
    assert_true(str_contains(str_of(e->raw, e->raw_n), STR("Cache-Control: no-store\r\n")));
    pause_ms(20); /* asleep by now */
    assert_int_equal(http_stream_send(s, STR("data: 2\n\n")), HTTP_STREAM_OPEN);
    assert_int_equal(http_stream_send(s, STR("")), HTTP_STREAM_OPEN);
    assert_int_equal(http_stream_send(s, STR("data: 3\n\n")), HTTP_STREAM_OPEN);
    hear(fd, e, STR("data: 1\n\ndata: 2\n\ndata: 3\n\n"));
    assert_int_equal(http_stream_send(s, STR("last")), HTTP_STREAM_OPEN);
    t.streams[0] = NULL;
    http_stream_close(s); /* what is queued goes out first */
    while (!e->ended) {
        hear_more(fd, e);
    }
    assert_str(str_of(e->text, e->n), STR("data: 1\n\ndata: 2\n\ndata: 3\n\nlast"));
    /* The connection goes on. */
    struct reply *a = reply_new();
    put(fd, STR("GET /empty HTTP/1.1\r\nHost: t\r\n\r\n"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 204);
    close(fd);
    station_close(&t);
    free(a);
    free(e);
}

TEST(http_stream_large_pieces_are_whole)
{
    struct station t;
    struct ear *e = ear_new();
    char *text = malloc(QUEUE_BYTES);
    assert_non_null(text);
    for (size_t i = 0; i < QUEUE_BYTES; i++) {
        text[i] = (char)('a' + i % 26);
    }
    station_open(&t, 1);
    int fd = tune_in(&t, "GET", "1.1");
    struct http_stream *s = await_stream(&t, 0);
    assert_int_equal(http_stream_send(s, str_of(text, QUEUE_BYTES)), HTTP_STREAM_OPEN);
    hear(fd, e, str_of(text, QUEUE_BYTES));
    close(fd);
    station_close(&t);
    free(text);
    free(e);
}

TEST(http_stream_a_client_that_leaves_is_noticed)
{
    struct station t;
    struct ear *e = ear_new();
    station_open(&t, 1);
    int stays = tune_in(&t, "GET", "1.1");
    (void)await_stream(&t, 0);
    for (uint32_t i = 1; i <= 6; i++) {
        int fd = tune_in(&t, "GET", "1.1");
        (void)await_stream(&t, i);
        assert_int_equal(send_all(&t, STR("x")), 2);
        struct linger reset = {.l_onoff = i % 2, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        uint32_t open = 2;
        for (int ms = 0; ms < PATIENCE_MS && open > 1; ms++) {
            open = send_all(&t, STR("y"));
            pause_ms(1);
        }
        assert_int_equal(open, 1);
    }
    assert_int_equal(send_all(&t, STR("z")), 1);
    while (!e->closed && (e->n == 0 || e->text[e->n - 1] != 'z')) {
        hear_more(stays, e);
    }
    assert_false(e->closed);
    close(stays);
    station_close(&t);
    free(e);
}

TEST(http_stream_a_client_that_does_not_read_is_cut)
{
    struct station t;
    char text[4096];
    struct ear *e = ear_new();
    memset(text, 's', sizeof text);
    station_open(&t, 1);
    int slow = dial(t.port);
    int small = 4096;
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    put(slow, STR("GET /live HTTP/1.1\r\nHost: t\r\n\r\n"));
    struct http_stream *s = await_stream(&t, 0);
    int other = tune_in(&t, "GET", "1.1");
    struct http_stream *o = await_stream(&t, 1);
    enum http_stream_state state = HTTP_STREAM_OPEN;
    size_t sent = 0;
    while (state == HTTP_STREAM_OPEN && sent < (size_t)64 * MIB) {
        state = http_stream_send(s, str_of(text, sizeof text));
        sent += sizeof text;
    }
    assert_int_equal(state, HTTP_STREAM_SLOW);
    assert_int_equal(http_stream_send(s, STR("more")), HTTP_STREAM_SLOW);
    assert_int_equal(http_stream_send(o, STR("here")), HTTP_STREAM_OPEN);
    hear(other, e, STR("here"));
    /* The connection of the slow one ends now, not after the idle timeout. */
    struct http_stats stats;
    http_server_stats(t.server, &stats);
    for (int ms = 0; ms < PATIENCE_MS && stats.connections > 1; ms++) {
        pause_ms(1);
        http_server_stats(t.server, &stats);
    }
    assert_int_equal(stats.connections, 1);
    t.streams[0] = NULL;
    http_stream_close(s);
    close(slow);
    close(other);
    station_close(&t);
    free(e);
}

TEST(http_stream_ends_when_the_server_stops)
{
    struct station t;
    struct ear *e = ear_new();
    station_open(&t, 2);
    int asleep = tune_in(&t, "GET", "1.1");
    (void)await_stream(&t, 0);
    assert_int_equal(send_all(&t, STR("a")), 1);
    hear(asleep, e, STR("a"));
    pause_ms(5);
    http_server_drain(t.server); /* streams go on */
    assert_int_equal(send_all(&t, STR("b")), 1);
    hear(asleep, e, STR("ab"));
    station_close(&t);
    while (!e->closed) {
        hear_more(asleep, e);
    }
    assert_str(str_of(e->text, e->n), STR("ab"));
    close(asleep);
    free(e);
}

TEST(http_stream_without_a_body_is_gone)
{
    struct station t;
    struct reply *a = reply_new();
    station_open(&t, 1);
    int fd = tune_in(&t, "HEAD", "1.1");
    struct http_stream *s = await_stream(&t, 0);
    read_reply(fd, a, true);
    assert_int_equal(a->status, 200);
    enum http_stream_state state = HTTP_STREAM_OPEN;
    for (int ms = 0; ms < PATIENCE_MS && state == HTTP_STREAM_OPEN; ms++) {
        state = http_stream_send(s, STR("x"));
        pause_ms(1);
    }
    assert_int_equal(state, HTTP_STREAM_GONE);
    close(fd);
    station_close(&t);
    free(a);
}

TEST(http_stream_to_an_old_client_has_no_chunks)
{
    struct station t;
    struct ear *e = ear_new();
    station_open(&t, 1);
    int fd = tune_in(&t, "GET", "1.0");
    struct http_stream *s = await_stream(&t, 0);
    assert_int_equal(http_stream_send(s, STR("data: 1\n\n")), HTTP_STREAM_OPEN);
    t.streams[0] = NULL;
    http_stream_close(s);
    while (!e->closed) {
        hear_more(fd, e);
    }
    assert_true(str_ends(str_of(e->raw, e->raw_n), STR("\r\n\r\ndata: 1\n\n")));
    close(fd);
    station_close(&t);
    free(e);
}

struct sender {
    struct station *station;
    atomic_bool stop;
};

static void *send_on(void *arg)
{
    struct sender *w = arg;
    while (!atomic_load(&w->stop)) {
        (void)send_all(w->station, STR("data: tick\n\n"));
    }
    return NULL;
}

TEST(http_stream_clients_come_and_go_while_others_are_told)
{
    for (int round = 0; round < 4; round++) {
        struct station t;
        struct sender w = {.station = &t};
        pthread_t thread;
        int fds[STREAMS_MAX / 2];
        station_open(&t, 2);
        assert_int_equal(pthread_create(&thread, NULL, send_on, &w), 0);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            fds[i] = tune_in(&t, "GET", "1.1");
            if (i % 3 == 0) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            char some[512];
            if (fds[i] >= 0) {
                assert_true(recv(fds[i], some, sizeof some, 0) > 0);
            }
        }
        if (round % 2 == 0) {
            http_server_drain(t.server);
        }
        atomic_store(&w.stop, true);
        pthread_join(thread, NULL);
        station_close(&t);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            if (fds[i] >= 0) {
                close(fds[i]);
            }
        }
    }
}

TEST(http_stream_stop_races_with_the_sender)
{
    for (int round = 0; round < 10; round++) {
        struct station t;
        struct sender w = {.station = &t};
        pthread_t thread;
        int fds[8];
        station_open(&t, 2);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            fds[i] = tune_in(&t, "GET", "1.1");
            (void)await_stream(&t, (uint32_t)i);
        }
        assert_int_equal(pthread_create(&thread, NULL, send_on, &w), 0);
        pause_ms(round % 4);
        http_server_stop(t.server);
        t.server = NULL;
        atomic_store(&w.stop, true);
        pthread_join(thread, NULL);
        station_close(&t);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            close(fds[i]);
        }
    }
}
