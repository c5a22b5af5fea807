/* The server over real sockets on the loopback: routes, bodies, bounds, framing. */
#include "net/http_testing.h"

#include <stdio.h>

TEST(http_get_gives_method_path_query_and_headers)
{
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    ask(&r, a,
        STR("GET /hello?x=1&name=a%20b%26c&name=second HTTP/1.1\r\nHost: t\r\nUser-Agent: "
            "me\r\n\r\n"));
    assert_int_equal(a->status, 200);
    assert_str(a->body, STR("GET path=/hello name=a b&c agent=me\n"));
    assert_str(reply_header(a, "X-One"), STR("1"));
    assert_str(reply_header(a, "Cache-Control"), STR("no-store"));
    assert_str(reply_header(a, "Content-Type"), STR("text/plain"));
    assert_str(reply_header(a, "X-Content-Type-Options"), STR("nosniff"));
    ask(&r, a, STR("GET /ui/a%2fb%00c HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_str(a->body, STR("GET path=/ui/a/b%00c name=(none) agent=(none)\n"));
    ask(&r, a, STR("GET /ui/?name HTTP/1.1\r\nHost: t\r\nUser-Agent:\r\n\r\n"));
    assert_str(a->body, STR("GET path=/ui/ name= agent=\n"));
    ask(&r, a, STR("GET /ui/deep/x HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 204);
    rig_close(&r);
    free(a);
}

TEST(http_head_answers_like_get_without_a_body)
{
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    int fd = dial(r.port);
    put(fd, STR("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n"));
    read_reply(fd, a, true);
    assert_int_equal(a->status, 200);
    assert_str(reply_header(a, "Content-Length"), STR("42"));
    put(fd, STR("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"));
    read_reply(fd, a, false); /* a body of HEAD would stand here */
    assert_int_equal(a->status, 200);
    assert_str(a->body, STR("GET path=/hello name=(none) agent=(none)\n"));
    close(fd);
    rig_close(&r);
    free(a);
}

TEST(http_unknown_paths_list_the_routes_and_methods_are_named)
{
    struct rig r;
    struct reply *a = reply_new();
    struct http_stats s;
    rig_open(&r, 1);
    ask(&r, a, STR("GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 404);
    assert_true(str_contains(a->body, STR("POST   /upload                      sums bytes\n")));
    assert_true(str_contains(a->body, STR("GET    /hello                       says hello\n")));
    ask(&r, a, STR("GET /ui HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 404);
    ask(&r, a, STR("DELETE /hello HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 405);
    assert_str(reply_header(a, "Allow"), STR("GET, HEAD"));
    ask(&r, a, STR("GET /upload HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(a->status, 405);
    assert_str(reply_header(a, "Allow"), STR("POST"));
    http_server_stats(r.server, &s);
    assert_int_equal(s.requests, 4);
    assert_int_equal(s.refused_route, 4);
    assert_int_equal(s.status[4], 4);
    rig_close(&r);
    free(a);
}

TEST(http_connections_are_kept_and_pipelined_requests_answered_in_order)
{
    struct rig r;
    struct reply *a = reply_new();
    struct http_stats s;
    rig_open(&r, 1);
    int fd = dial(r.port);
    for (int i = 0; i < 5; i++) {
        put(fd, STR("POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"));
        read_reply(fd, a, false);
        assert_int_equal(a->status, 200);
        assert_str(a->body, STR("bytes=3 sum=96354\n"));
        put(fd, STR("GET /missing HTTP/1.1\r\nHost: t\r\n\r\n")); /* a 404 closes nothing */
        read_reply(fd, a, false);
        assert_int_equal(a->status, 404);
    }
    put(fd, STR("GET /hello?name=1 HTTP/1.1\r\nHost: t\r\n\r\nGET /hello?name=2 HTTP/1.1\r\nHost: "
                "t\r\n\r\n"));
    read_reply(fd, a, false);
    assert_true(str_contains(a->body, STR("name=1")));
    read_reply(fd, a, false);
    assert_true(str_contains(a->body, STR("name=2")));
    put(fd, STR("GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 200);
    assert_true(is_closed(fd));
    close(fd);
    http_server_stats(r.server, &s);
    assert_int_equal(s.requests, 13);
    assert_int_equal(s.status[2], 8);
    rig_close(&r);
    free(a);
}

TEST(http_requests_arrive_byte_by_byte)
{
    static const char request[] =
        "POST /upload HTTP/1.1\r\nHost:t\r\nX-Empty:\r\nX-Spaces:   a  \r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    int fd = dial(r.port);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        assert_true(put(fd, str_of(request + i, 1)));
        if (i % 8 == 0) {
            pause_ms(1);
        }
    }
    read_reply(fd, a, false);
    assert_int_equal(a->status, 200);
    assert_str(a->body, STR("bytes=3 sum=96354\n"));
    close(fd);
    rig_close(&r);
    free(a);
}

static uint64_t sum_of(const char *p, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum = sum * 31 + (unsigned char)p[i];
    }
    return sum;
}

TEST(http_large_bodies_stream_through)
{
    struct rig r;
    struct reply *a = reply_new();
    size_t n = 5 * MIB;
    char *body = malloc(n);
    char expected[80];
    assert_non_null(body);
    for (size_t i = 0; i < n; i++) {
        body[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    }
    rig_open(&r, 1);
    int fd = dial(r.port);
    char head[128];
    snprintf(head, sizeof head, "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n",
             n);
    assert_true(put(fd, str_from_c(head)));
    assert_true(put(fd, str_of(body, n)));
    read_reply(fd, a, false);
    snprintf(expected, sizeof expected, "bytes=%zu sum=%llu\n", n,
             (unsigned long long)sum_of(body, n));
    assert_int_equal(a->status, 200);
    assert_str(a->body, str_from_c(expected));
    /* The same in chunks, on the same connection. */
    assert_true(
        put(fd, STR("POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")));
    for (size_t i = 0; i < n; i += 100000) {
        struct str piece = str_sub(str_of(body, n), i, 100000);
        snprintf(head, sizeof head, "%zx\r\n", piece.n);
        assert_true(put(fd, str_from_c(head)) && put(fd, piece) && put(fd, STR("\r\n")));
    }
    assert_true(put(fd, STR("0\r\n\r\n")));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 200);
    assert_str(a->body, str_from_c(expected));
    close(fd);
    rig_close(&r);
    free(body);
    free(a);
}

TEST(http_bodies_above_the_bound_are_413)
{
    struct rig r;
    struct reply *a = reply_new();
    struct http_stats s;
    char request[4096];
    rig_open(&r, 1);
    /* Declared. */
    int n = snprintf(request, sizeof request,
                     "POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n%01001d", 0);
    ask(&r, a, str_of(request, (size_t)n));
    assert_int_equal(a->status, 413);
    assert_true(str_contains(a->body, STR("expected a body of at most 1000 bytes")));
    assert_int_equal(atomic_load(&r.app.begun), 0);
    /* Found while reading chunks: begin, data and end have run. */
    n = snprintf(request, sizeof request,
                 "POST /small HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3e9\r\n%01001d\r\n0\r\n\r\n",
                 0);
    ask(&r, a, str_of(request, (size_t)n));
    assert_int_equal(a->status, 413);
    assert_str(reply_header(a, "Connection"), STR("close"));
    assert_int_equal(atomic_load(&r.app.failed), 1);
    /* Exactly the bound is fine. */
    n = snprintf(request, sizeof request,
                 "POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n%01000d", 0);
    ask(&r, a, str_of(request, (size_t)n));
    assert_int_equal(a->status, 200);
    /* A route that takes none. */
    ask(&r, a, STR("POST /empty HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx"));
    assert_int_equal(a->status, 413);
    ask(&r, a,
        STR("GET /hello HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
            "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
    assert_int_equal(a->status, 413);
    ask(&r, a, STR("POST /empty HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(a->status, 204);
    http_server_stats(r.server, &s);
    assert_int_equal(s.refused_body, 4);
    rig_close(&r);
    free(a);
}

TEST(http_413_reaches_a_client_that_is_still_writing)
{
    struct rig r;
    struct reply *a = reply_new();
    char *body = calloc(1, 64 * MIB);
    assert_non_null(body);
    memset(body, 'x', 64 * MIB);
    rig_open(&r, 1);
    int fd = dial(r.port);
    put(fd, STR("POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 67108864\r\n\r\n"));
    put(fd, str_of(body, 512 * 1024));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 413);
    /* It does not read without end: writing on fails soon. */
    bool all = put(fd, str_of(body, 64 * MIB - 512 * 1024));
    assert_false(all);
    close(fd);
    a->n = a->used = 0;
    /* Asked first, the server says no before the body is sent. */
    fd = dial(r.port);
    put(fd, STR("POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 67108864\r\nExpect: "
                "100-continue\r\n\r\n"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 413);
    assert_true(is_closed(fd));
    close(fd);
    rig_close(&r);
    free(body);
    free(a);
}

TEST(http_expect_100_is_answered_before_the_body)
{
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    int fd = dial(r.port);
    put(fd, STR("POST /small HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: "
                "100-continue\r\n\r\n"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 100);
    put(fd, STR("abc"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 200);
    close(fd);
    rig_close(&r);
    free(a);
}

TEST(http_a_failing_route_answers_its_error_and_closes)
{
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    int fd = dial(r.port);
    put(fd, STR("POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab!cd"));
    read_reply(fd, a, false);
    assert_int_equal(a->status, 400);
    assert_str(a->body, STR("{\"error\":{\"code\":\"input\",\"message\":\"expected anything but "
                            "'!'\",\"line\":3,\"column\":7}}\n"));
    assert_str(reply_header(a, "Content-Type"), STR("application/json"));
    assert_true(is_closed(fd));
    close(fd);
    assert_int_equal(atomic_load(&r.app.failed), 1);
    rig_close(&r);
    free(a);
}

TEST(http_framing_with_two_readings_is_400_and_the_end)
{
    static const char *const shapes[] = {
        ("POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
         "Content-Length: 5\r\n\r\n0\r\n\r\n"),
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabc",
        ("POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
        "GET /hello HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX-Folded: a\r\n b\r\nX-After: c\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX-Folded: a\r\n\tb\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: t\r\nX-Folded: a\r\n b\r\n c\r\nX-After: d\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n 0\r\n\r\nabcdefghij",
        "GET /hello HTTP/1.1\r\nHost: t\nX-A: b\r\n\r\n",
        "GET /hello HTTP/1.1\r\nX-A: b\nHost: t\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost : t\r\n\r\n",
    };
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        int fd = dial(r.port);
        a->n = a->used = 0;
        put(fd, str_from_c(shapes[i]));
        put(fd, STR("GET /hello?name=smuggled HTTP/1.1\r\nHost: t\r\n\r\n"));
        read_reply(fd, a, false);
        if (a->status != 400) {
            print_error("status %d for:\n%s\n", a->status, shapes[i]);
            fail();
        }
        read_reply(fd, a, false);
        assert_int_equal(a->status, 0); /* nothing after it */
        close(fd);
    }
    assert_int_equal(atomic_load(&r.app.begun), 0);
    rig_close(&r);
    free(a);
}

TEST(http_ordinary_headers_pass_the_guard)
{
    static const char *const shapes[] = {
        "GET /hello HTTP/1.1\r\nHost: t\r\nA:\r\nB: \r\nC:x\r\nD: \t x \t\r\nE: a,b;c=\"d "
        "e\"\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost:t\r\nCookie: a=b; c=d; e=\"f g\"\r\nCookie: h=i\r\nZ: "
        "1\r\n\r\n",
        "GET /hello?a=b&c HTTP/1.1\r\nA: 1\r\nHost: localhost:9480\r\n\r\n",
        "\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\n",
    };
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        ask(&r, a, str_from_c(shapes[i]));
        if (a->status != 200) {
            print_error("status %d for:\n%s\n", a->status, shapes[i]);
            fail();
        }
    }
    /* A long header and many, over several reads: the buffer grows while headers are parsed. */
    char request[16384];
    size_t n = (size_t)snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: t\r\n");
    for (int i = 0; i < 60; i++) {
        n += (size_t)snprintf(request + n, sizeof request - n, "X-%d: %0*d\r\n", i, 150, i);
    }
    n += (size_t)snprintf(request + n, sizeof request - n, "\r\n");
    int fd = dial(r.port);
    a->n = a->used = 0;
    for (size_t i = 0; i < n; i += 700) {
        assert_true(put(fd, str_sub(str_of(request, n), i, 700)));
        pause_ms(1);
    }
    read_reply(fd, a, false);
    assert_int_equal(a->status, 200);
    close(fd);
    rig_close(&r);
    free(a);
}

TEST(http_headers_are_bounded)
{
    struct rig r;
    struct reply *a = reply_new();
    rig_open(&r, 1);
    static char request[80000];
    size_t n = (size_t)snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: t\r\n");
    size_t many = n;
    for (int i = 0; i < 200; i++) {
        many += (size_t)snprintf(request + many, sizeof request - many, "X-%d: 1\r\n", i);
    }
    many += (size_t)snprintf(request + many, sizeof request - many, "\r\n");
    ask(&r, a, str_of(request, many));
    assert_int_equal(a->status, 431);
    n += (size_t)snprintf(request + n, sizeof request - n, "X-Long: %070000d\r\n\r\n", 0);
    ask(&r, a, str_of(request, n));
    assert_int_equal(a->status, 431);
    n = (size_t)snprintf(request, sizeof request, "GET /%070000d HTTP/1.1\r\nHost: t\r\n\r\n", 0);
    ask(&r, a, str_of(request, n));
    assert_int_equal(a->status, 414);
    rig_close(&r);
    free(a);
}
