/* The packed pages over real sockets: codings, caching, guards; and what a build without pages
 * says. */
#include "server/web/web_int.h"

#include "net/http_testing.h"

#include <stdio.h>

static const struct web_file files[] = {
    {.path = "/",
     .type = "text/html; charset=utf-8",
     .hash = "aa11",
     .body = {STR_INIT("<!doctype html>"), STR_INIT("GZ"), STR_INIT("B")}},
    {.path = "/assets/app-1.js",
     .type = "text/javascript; charset=utf-8",
     .hash = "bb22",
     .body = {STR_INIT("let a = 1"), STR_INIT("GZIPPED"), {NULL, 0}}},
    {.path = "/assets/font.woff2",
     .type = "font/woff2",
     .hash = "cc33",
     .body = {STR_INIT("wOF2"), {NULL, 0}, {NULL, 0}}},
};
static const struct web_pack pack = {
    .files = files, .count = ARRAY_LEN(files), .csp = "default-src 'self'"};

static void page_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    assert_null(failed);
    web_respond(app, rq);
}

static const struct http_route page_routes[] = {
    {.method = "GET", .path = "/", .help = "the pages", .end = page_end},
    {.method = "GET", .path = "/assets/*", .help = "their parts", .end = page_end},
};

static void pages_open(struct rig *r, const struct web_pack *p)
{
    struct err e = {0};
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 1,
                                         .connections_max = 10,
                                         .idle_timeout_s = 5,
                                         .request_bytes_max = 16 * 1024};
    memset(r, 0, sizeof *r);
    /* The pack is constant; the server's app is not. */
    assert_true(http_server_start(&r->server, &c, page_routes, ARRAY_LEN(page_routes),
                                  (void *)(uintptr_t)p, NULL, &e));
    r->port = http_server_port(r->server);
}

static void get(const struct rig *r, struct reply *a, const char *method, const char *path,
                const char *headers)
{
    char request[512];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: t\r\n%s\r\n", method, path,
                     headers);
    ask(r, a, str_of(request, (size_t)n));
}

TEST(web_index_is_asked_for_again_and_not_sent_twice)
{
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &pack);
    get(&r, a, "GET", "/", "");
    assert_int_equal(a->status, 200);
    assert_str(a->body, STR("<!doctype html>"));
    assert_str(reply_header(a, "Content-Type"), STR("text/html; charset=utf-8"));
    assert_str(reply_header(a, "Cache-Control"), STR("no-cache"));
    assert_str(reply_header(a, "ETag"), STR("\"aa11\""));
    assert_null(reply_header(a, "Content-Encoding").p);
    get(&r, a, "GET", "/?x=1", "If-None-Match: \"aa11\"\r\n");
    assert_int_equal(a->status, 304);
    assert_str(reply_header(a, "ETag"), STR("\"aa11\""));
    assert_str(reply_header(a, "Cache-Control"), STR("no-cache"));
    get(&r, a, "GET", "/", "If-None-Match: \"older\", W/\"aa11\"\r\n");
    assert_int_equal(a->status, 304);
    /* The tag of another coding is another tag: its bytes are others. */
    get(&r, a, "GET", "/", "If-None-Match: \"aa11\"\r\nAccept-Encoding: br\r\n");
    assert_int_equal(a->status, 200);
    assert_str(reply_header(a, "ETag"), STR("\"aa11-br\""));
    http_server_stop(r.server);
    free(a);
}

TEST(web_assets_are_kept_for_a_year)
{
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &pack);
    get(&r, a, "GET", "/assets/app-1.js", "Accept-Encoding: gzip, deflate, br\r\n");
    assert_int_equal(a->status, 200);
    assert_str(a->body, STR("GZIPPED"));
    assert_str(reply_header(a, "Content-Encoding"), STR("gzip"));
    assert_str(reply_header(a, "Vary"), STR("Accept-Encoding"));
    assert_str(reply_header(a, "Content-Type"), STR("text/javascript; charset=utf-8"));
    assert_str(reply_header(a, "Cache-Control"), STR("public, max-age=31536000, immutable"));
    get(&r, a, "GET", "/assets/font.woff2", "Accept-Encoding: br\r\n");
    assert_str(a->body, STR("wOF2"));
    assert_null(reply_header(a, "Content-Encoding").p);
    get(&r, a, "GET", "/assets/app-0.js", "");
    assert_int_equal(a->status, 404);
    assert_str(reply_header(a, "Cache-Control"), STR("no-store"));
    get(&r, a, "GET", "/assets/../assets/app-1.js", "");
    assert_int_equal(a->status, 404);
    http_server_stop(r.server);
    free(a);
}

TEST(web_head_has_the_headers_of_get)
{
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &pack);
    get(&r, a, "HEAD", "/", "Accept-Encoding: gzip\r\n");
    assert_int_equal(a->status, 200);
    assert_str(reply_header(a, "Content-Length"), STR("2"));
    assert_str(reply_header(a, "Content-Encoding"), STR("gzip"));
    get(&r, a, "POST", "/", "Content-Length: 0\r\n");
    assert_int_equal(a->status, 405);
    http_server_stop(r.server);
    free(a);
}

TEST(web_pages_are_guarded)
{
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &pack);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        get(&r, a, "GET", files[i].path, "");
        assert_str(reply_header(a, "Content-Security-Policy"), STR("default-src 'self'"));
        assert_str(reply_header(a, "X-Content-Type-Options"), STR("nosniff"));
        assert_str(reply_header(a, "Referrer-Policy"), STR("no-referrer"));
    }
    http_server_stop(r.server);
    free(a);
}

TEST(web_coding_is_the_best_that_is_taken)
{
    enum { PLAIN = 1 << WEB_PLAIN, GZIP = 1 << WEB_GZIP, BR = 1 << WEB_BR, ALL = 7 };
    static const struct {
        const char *accept;
        unsigned have;
        enum web_coding is;
    } cases[] = {
        {"gzip, deflate, br, zstd", ALL, WEB_BR},
        {"gzip, deflate", ALL, WEB_GZIP},
        {"GZip", ALL, WEB_GZIP},
        {"x-gzip", ALL, WEB_GZIP},
        {"br", PLAIN | GZIP, WEB_PLAIN},
        {"", ALL, WEB_PLAIN},
        {"deflate", ALL, WEB_PLAIN},
        {"identity", ALL, WEB_PLAIN},
        {"br;q=0.5, gzip;q=0.8", ALL, WEB_GZIP},
        {"br;q=0, gzip;q=0", ALL, WEB_PLAIN},
        {"br;q=0.000,gzip;q=0.001", ALL, WEB_GZIP},
        {"gzip;q=nonsense", ALL, WEB_PLAIN},
        {"identity;q=1, gzip;q=0.5", ALL, WEB_PLAIN},
        {"*", ALL, WEB_BR},
        {"*;q=0", ALL, WEB_CODINGS},
        {"*;q=0, gzip", ALL, WEB_GZIP},
        {"identity;q=0", PLAIN, WEB_CODINGS},
        {"*;q=0.1, identity;q=0.5", ALL, WEB_PLAIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum web_coding c = web_coding_choose(str_from_c(cases[i].accept), cases[i].have);
        if (c != cases[i].is) {
            print_error("%s: expected %d, found %d\n", cases[i].accept, cases[i].is, c);
        }
        assert_int_equal(c, cases[i].is);
    }
    assert_int_equal(web_coding_choose(str_of(NULL, 0), ALL), WEB_PLAIN);
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &pack);
    get(&r, a, "GET", "/", "Accept-Encoding: identity;q=0, zstd\r\n");
    assert_int_equal(a->status, 406);
    http_server_stop(r.server);
    free(a);
}

TEST(web_tags_match_as_a_list)
{
    assert_true(web_tag_matches(STR("*"), STR("\"a\"")));
    assert_true(web_tag_matches(STR(" \"b\" , W/\"a\""), STR("\"a\"")));
    assert_false(web_tag_matches(STR("\"ab\""), STR("\"a\"")));
    assert_false(web_tag_matches(STR("a"), STR("\"a\"")));
    assert_false(web_tag_matches(str_of(NULL, 0), STR("\"a\"")));
}

TEST(web_without_pages_says_how_to_build_them)
{
    struct rig r;
    struct reply *a = reply_new();
    pages_open(&r, &web_packed);
    get(&r, a, "GET", "/", "");
    assert_int_equal(a->status, 200);
    assert_str(reply_header(a, "Content-Type"), STR("text/plain; charset=utf-8"));
    assert_true(str_contains(a->body, STR("-Dweb=enabled")));
    get(&r, a, "GET", "/assets/app-1.js", "");
    assert_int_equal(a->status, 404);
    http_server_stop(r.server);
    free(a);
}
