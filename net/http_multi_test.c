/* Many GETs at once against our own server. */
#include "net/http_multi.h"

#include "base/test.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* "hello gzip\n", fifty times. */
static const unsigned char packed[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd,
    0xc9, 0xc9, 0x57, 0x48, 0xaf, 0xca, 0x2c, 0xe0, 0xca, 0x18, 0x65, 0x8e, 0x32,
    0xb1, 0x33, 0x01, 0x68, 0x44, 0xae, 0x7c, 0x26, 0x02, 0x00, 0x00,
};

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct mem m;
    struct buf body;
    struct str path = http_path(rq);
    (void)app;
    (void)state;
    (void)failed;
    mem_init(&m, 0);
    buf_init(&body, &m, 1 << 20);
    if (str_eq(path, STR("/gzip"))) {
        const char *h[] = {"Content-Encoding", "gzip", NULL};
        bool asked = str_eq(http_header(rq, "Accept-Encoding"), STR("gzip"));
        buf_add(&body, packed, sizeof packed);
        http_respond(rq, asked ? 200 : 406, "text/plain", &body, asked ? h : NULL);
    } else if (str_eq(path, STR("/redirect"))) {
        const char *h[] = {"Location", "/here", NULL};
        http_respond(rq, 302, "text/plain", &body, h);
    } else if (str_eq(path, STR("/circle"))) {
        const char *h[] = {"Location", "/circle", NULL};
        http_respond(rq, 302, "text/plain", &body, h);
    } else if (str_eq(path, STR("/slow"))) {
        struct timespec t = {0, 400000000};
        nanosleep(&t, NULL);
        http_respond(rq, 200, "text/plain", &body, NULL);
    } else {
        struct str x = http_header(rq, "X-Test");
        struct str auth = http_header(rq, "Authorization");
        buf_fmt(&body, "%.*s|%.*s|%.*s", STR_FMT(path), STR_FMT(x), STR_FMT(auth));
        http_respond(rq, 200, "text/x-test; a=b", &body, NULL);
    }
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/*", .help = "anything", .end = on_end},
};

struct asked {
    struct http_fetch *fetch;
    int status, calls;
    char body[1024], type[64], msg[192];
    enum err_code code;
    bool free_in_done;
};

struct world {
    struct mem mem;
    struct http_server *server;
    struct http_multi *multi;
    struct asked a[64];
};

static void on_done(void *ctx, const struct http_got *got)
{
    struct asked *a = ctx;
    a->calls++;
    a->status = got->status;
    snprintf(a->body, sizeof a->body, "%.*s", STR_FMT(buf_str(got->body)));
    snprintf(a->type, sizeof a->type, "%.*s", STR_FMT(got->content_type));
    a->code = got->e ? got->e->code : ERR_NONE;
    snprintf(a->msg, sizeof a->msg, "%s", got->e ? got->e->msg : "");
    assert_true(got->duration_ns > 0);
    if (a->free_in_done) {
        http_fetch_free(a->fetch);
        a->fetch = NULL;
    }
}

static void world_start(struct world *w)
{
    struct err e;
    struct http_server_config c = {.address = "127.0.0.1",
                                   .threads = 2,
                                   .connections_max = 128,
                                   .idle_timeout_s = 30,
                                   .request_bytes_max = 16384};
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    assert_true(http_server_start(&w->server, &c, routes, 1, NULL, NULL, &e));
    w->multi = http_multi_new(&w->mem, 64);
    assert_non_null(w->multi);
}

static void world_stop(struct world *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->a); i++) {
        http_fetch_free(w->a[i].fetch);
    }
    http_multi_free(w->multi);
    http_server_stop(w->server);
    assert_int_equal(w->mem.bytes, 0);
}

static void ask(struct world *w, struct asked *a, const char *path, struct http_fetch_options o)
{
    char url[256];
    struct err e;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_server_port(w->server), path);
    o.url = o.url ? o.url : url;
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : 5000;
    o.body_bytes_max = o.body_bytes_max ? o.body_bytes_max : 1000;
    assert_true(http_fetch_new(w->multi, &o, on_done, a, &a->fetch, &e));
    assert_true(http_fetch_start(a->fetch, &e));
    assert_true(http_fetch_running(a->fetch));
}

static void finish(struct world *w, size_t n)
{
    for (int i = 0; i < 500; i++) {
        size_t done = 0;
        for (size_t k = 0; k < n; k++) {
            done += w->a[k].calls > 0;
        }
        if (done == n) {
            return;
        }
        http_multi_run(w->multi, 20);
    }
    fail_msg("not all requests have ended");
}

TEST(many_are_asked_at_once_and_again)
{
    struct world w;
    world_start(&w);
    const char *headers[] = {"X-Test: hello", NULL};
    for (size_t i = 0; i < 64; i++) {
        char path[16];
        snprintf(path, sizeof path, "/p%zu", i);
        ask(&w, &w.a[i], path, (struct http_fetch_options){.headers = headers});
    }
    for (int round = 1; round <= 3; round++) {
        finish(&w, 64);
        for (size_t i = 0; i < 64; i++) {
            char want[32];
            struct err e;
            snprintf(want, sizeof want, "/p%zu|hello|", i);
            assert_int_equal(w.a[i].status, 200);
            assert_string_equal(w.a[i].body, want);
            assert_string_equal(w.a[i].type, "text/x-test; a=b");
            assert_int_equal(w.a[i].calls, 1);
            w.a[i].calls = 0;
            assert_false(http_fetch_running(w.a[i].fetch));
            if (round < 3) {
                assert_true(http_fetch_start(w.a[i].fetch, &e));
            }
        }
        if (round == 3) {
            break;
        }
    }
    world_stop(&w);
}

TEST(answers_are_unpacked_and_redirects_followed_when_asked)
{
    struct world w;
    world_start(&w);
    ask(&w, &w.a[0], "/gzip", (struct http_fetch_options){.gzip = true});
    ask(&w, &w.a[1], "/gzip", (struct http_fetch_options){.gzip = false});
    ask(&w, &w.a[2], "/gzip", (struct http_fetch_options){.gzip = true, .body_bytes_max = 549});
    ask(&w, &w.a[3], "/redirect", (struct http_fetch_options){.follow_redirects = true});
    ask(&w, &w.a[4], "/redirect", (struct http_fetch_options){.follow_redirects = false});
    ask(&w, &w.a[5], "/circle", (struct http_fetch_options){.follow_redirects = true});
    finish(&w, 6);
    assert_int_equal(strlen(w.a[0].body), 550);
    assert_memory_equal(w.a[0].body, "hello gzip\nhello", 16);
    assert_int_equal(w.a[1].status, 406);
    assert_int_equal(w.a[2].status, 0); /* 550 bytes are one too many */
    assert_int_equal(w.a[2].code, ERR_LIMIT);
    assert_string_equal(w.a[3].body, "/here||");
    assert_int_equal(w.a[4].status, 302);
    assert_int_equal(w.a[5].code, ERR_IO);
    world_stop(&w);
}

TEST(failures_have_codes)
{
    struct world w;
    struct err e;
    world_start(&w);
    ask(&w, &w.a[0], "/slow", (struct http_fetch_options){.timeout_ms = 50});
    ask(&w, &w.a[1], "", (struct http_fetch_options){.url = "http://127.0.0.1:1/x"});
    ask(&w, &w.a[2], "", (struct http_fetch_options){.url = "http://no-such-host.invalid/x"});
    ask(&w, &w.a[3], "/large", (struct http_fetch_options){.body_bytes_max = 3});
    ask(&w, &w.a[4], "", (struct http_fetch_options){.url = "gopher://127.0.0.1/x"});
    finish(&w, 5);
    assert_int_equal(w.a[0].code, ERR_BUSY);
    assert_string_equal(w.a[0].msg, "timeout: no whole answer within 50 ms");
    assert_int_equal(w.a[1].code, ERR_BUSY);
    assert_memory_equal(w.a[1].msg, "cannot connect", 14);
    assert_int_equal(w.a[2].code, ERR_BUSY);
    assert_int_equal(w.a[3].code, ERR_LIMIT);
    assert_int_equal(w.a[4].code, ERR_INPUT);
    /* The same fetch works again when the reason is gone. */
    w.a[0].calls = 0;
    assert_true(http_fetch_start(w.a[0].fetch, &e));
    finish(&w, 1);
    world_stop(&w);
}

TEST(passwords_and_headers_can_change)
{
    struct world w;
    struct err e;
    world_start(&w);
    ask(&w, &w.a[0], "/x", (struct http_fetch_options){.username = "u", .password = "p"});
    finish(&w, 1);
    assert_string_equal(w.a[0].body, "/x||Basic dTpw");
    const char *headers[] = {"X-Test: two", NULL};
    assert_true(http_fetch_set(w.a[0].fetch, headers, "q", &e));
    w.a[0].calls = 0;
    assert_true(http_fetch_start(w.a[0].fetch, &e));
    finish(&w, 1);
    assert_string_equal(w.a[0].body, "/x|two|Basic dTpx");
    world_stop(&w);
}

TEST(a_fetch_may_be_freed_at_any_time)
{
    struct world w;
    world_start(&w);
    ask(&w, &w.a[0], "/x", (struct http_fetch_options){.url = NULL});
    w.a[0].free_in_done = true;
    ask(&w, &w.a[1], "/slow", (struct http_fetch_options){.url = NULL});
    finish(&w, 1);
    assert_null(w.a[0].fetch);
    assert_true(http_fetch_running(w.a[1].fetch));
    http_fetch_free(w.a[1].fetch); /* cancels */
    w.a[1].fetch = NULL;
    http_multi_run(w.multi, 50);
    assert_int_equal(w.a[1].calls, 0);
    world_stop(&w);
}

static void *wake_later(void *arg)
{
    struct timespec t = {0, 50000000};
    nanosleep(&t, NULL);
    http_multi_wake(arg);
    return NULL;
}

TEST(waiting_ends_when_woken)
{
    struct world w;
    pthread_t thread;
    struct timespec a;
    struct timespec b;
    world_start(&w);
    assert_int_equal(pthread_create(&thread, NULL, wake_later, w.multi), 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    http_multi_wait(w.multi, 20000);
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec < 15);
    pthread_join(thread, NULL);
    world_stop(&w);
}
