/* How to ask over HTTP: what is read for each client, what is refused, where and with which
 * words. */
#include "codec/http_conf.h"

#include "base/file.h"
#include "base/test.h"

#include <stdio.h>

struct section {
    struct http_conf_raw http;
    struct str other;
};

static const struct conf_field fields[] = {
    CONF_STR(struct section, other, "other", NULL, "not about HTTP"),
    HTTP_CONF_ROWS(struct section, http), HTTP_CONF_ROWS_FETCH(struct section, http)};

struct fixture {
    struct mem mem;
    struct arena arena;
    struct http_conf c;
    struct err e;
};

static bool read_text(struct fixture *f, const char *text, enum http_conf_client client)
{
    struct yaml_node *n = NULL;
    struct section s = {.other = {NULL, 0}};
    f->e = (struct err){0};
    arena_reset(&f->arena);
    return yaml_parse(str_from_c(text), "t.yml", &f->arena, &n, &f->e) &&
           conf_read(fields, ARRAY_LEN(fields), n, &s, &f->arena, &f->e) &&
           http_conf_read(&s.http, n, "/etc/farol/", client, &f->arena, &f->c, &f->e);
}

static void fixture_init(struct fixture *f)
{
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 1 << 20);
}

static void fixture_release(struct fixture *f)
{
    arena_release(&f->arena);
    assert_int_equal(f->mem.bytes, 0);
}

TEST(http_conf_everything_is_read_for_a_client_that_can_do_it)
{
    struct fixture f;
    fixture_init(&f);
    assert_true(read_text(&f,
                          "other: x\n"
                          "basic_auth: {username: u, password: p}\n"
                          "tls_config: {ca_file: ca.pem, cert_file: /c, key_file: k, server_name: "
                          "s, insecure_skip_verify: true, min_version: TLS11, max_version: TLS13}\n"
                          "follow_redirects: false\n"
                          "enable_http2: false\n"
                          "proxy_url: socks5://p:1\n"
                          "no_proxy: a,b\n"
                          "http_headers: {X-A: {values: [a, b], secrets: [c, d]}, X-B: {}}\n",
                          HTTP_CONF_FETCH));
    assert_true(f.c.basic_auth && !f.c.authorization && !f.c.follow_redirects);
    assert_str(f.c.username, STR("u"));
    assert_str(f.c.password, STR("p"));
    assert_str(f.c.password_file, STR(""));
    assert_str(f.c.tls.ca_file, STR("/etc/farol/ca.pem"));
    assert_str(f.c.tls.cert_file, STR("/c"));
    assert_str(f.c.tls.key_file, STR("/etc/farol/k"));
    assert_str(f.c.tls.server_name, STR("s"));
    assert_true(f.c.tls.insecure_skip_verify);
    assert_int_equal(f.c.tls.tls_min, 11);
    assert_int_equal(f.c.tls.tls_max, 13);
    assert_str(f.c.proxy_url, STR("socks5://p:1"));
    assert_str(f.c.no_proxy, STR("a,b"));
    assert_false(f.c.proxy_from_environment);
    assert_int_equal(f.c.headers_n, 2);
    assert_str(f.c.headers[0].name, STR("X-A"));
    assert_int_equal(f.c.headers[0].values.count, 4);
    assert_str(f.c.headers[0].values.v[0], STR("a"));
    assert_str(f.c.headers[0].values.v[3], STR("d"));
    assert_int_equal(f.c.headers[1].values.count, 0);
    fixture_release(&f);
}

TEST(http_conf_defaults_and_old_forms)
{
    struct fixture f;
    fixture_init(&f);
    assert_true(read_text(&f, "basic_auth:\ntls_config: ~\nproxy_url:\n", HTTP_CONF_SEND));
    assert_true(!f.c.basic_auth && !f.c.authorization && f.c.follow_redirects);
    assert_true(f.c.tls.ca_file.n == 0 && f.c.proxy_url.n == 0 && f.c.headers_n == 0);
    assert_true(read_text(&f, "authorization: {credentials: abc}\n", HTTP_CONF_FETCH));
    assert_true(f.c.authorization);
    assert_str(f.c.auth_type, STR("Bearer"));
    assert_str(f.c.credentials, STR("abc"));
    assert_true(read_text(&f, "authorization: {type: ' ', credentials: abc}\n", HTTP_CONF_SEND));
    assert_str(f.c.auth_type, STR("Bearer"));
    assert_true(read_text(&f, "bearer_token_file: t\n", HTTP_CONF_FETCH));
    assert_true(f.c.authorization);
    assert_str(f.c.auth_type, STR("Bearer"));
    assert_str(f.c.credentials_file, STR("/etc/farol/t"));
    assert_true(read_text(&f, "basic_auth: {password_file: p}\n", HTTP_CONF_FETCH));
    assert_str(f.c.username, STR(""));
    assert_str(f.c.password_file, STR("/etc/farol/p"));
    fixture_release(&f);
}

/* What only a sender takes: its client can do it, and people have written it. */
TEST(http_conf_senders_take_a_basic_type_and_one_file_for_both)
{
    struct fixture f;
    fixture_init(&f);
    assert_true(read_text(&f,
                          "authorization: {type: Basic, credentials: dTpw}\n"
                          "tls_config: {cert_file: both.pem}\n",
                          HTTP_CONF_SEND));
    assert_str(f.c.auth_type, STR("Basic"));
    assert_str(f.c.tls.cert_file, STR("/etc/farol/both.pem"));
    assert_str(f.c.tls.key_file, STR(""));
    fixture_release(&f);
}

TEST(http_conf_what_is_wrong_is_refused_with_its_place)
{
    enum { FETCH = 1, SEND = 2, ALL = 3 };
    static const struct {
        int clients; /* that refuse it */
        const char *text;
        uint32_t line, col;
        const char *says;
    } rows[] = {
        {ALL, "oauth2: {client_id: x}", 1, 9, "oauth2 is not supported: use authorization"},
        {ALL, "proxy_connect_header: {a: b}", 1, 23, "proxy_connect_header is not supported"},
        {ALL, "basic_auth: {username_file: u}", 1, 13, "username_file is not supported"},
        {ALL, "basic_auth: {username: u, password: a, password_file: b}", 1, 13,
         "expected only one of password and password_file"},
        {ALL, "basic_auth: {user: u}", 1, 14, "unknown key \"user\""},
        {ALL, "basic_auth: [u]", 1, 13, "expected a mapping"},
        {ALL, "basic_auth: {username: u}\nauthorization: {credentials: b}", 2, 16,
         "expected only one of basic_auth and authorization"},
        {ALL, "authorization: {credentials: a, credentials_file: b}", 1, 16,
         "expected only one of credentials and credentials_file"},
        {FETCH, "authorization: {type: ' basic', credentials: b}", 1, 16, "use basic_auth"},
        {ALL, "tls_config: {ca: inline}", 1, 13, "use ca_file"},
        {FETCH, "tls_config: {key_file: a}", 1, 13, "both of cert_file and key_file"},
        {FETCH, "tls_config: {max_version: TLS9}", 1, 13, "expected TLS10"},
        {ALL, "tls_config: {insecure_skip_verify: maybe}", 1, 36, "insecure_skip_verify"},
        {FETCH, "no_proxy: a", 1, 1, "no_proxy needs a proxy_url"},
        {FETCH, "proxy_url: gopher://x", 1, 1, "expected a proxy_url of http"},
        {FETCH, "proxy_from_environment: true\nproxy_url: http://x", 1, 1, "only one of"},
        {FETCH, "bearer_token: a\nbearer_token_file: b", 1, 1, "only one of"},
        {FETCH, "basic_auth: {username: a}\nbearer_token: b", 1, 1, "only one of"},
        {FETCH, "authorization: {credentials: a}\nbearer_token: b", 1, 1, "only one of"},
        {FETCH, "http_headers: {Accept: {values: [x]}}", 1, 16, "cannot be set"},
        {FETCH, "http_headers: {'a:b': {values: [x]}}", 1, 16, "cannot be set"},
        {FETCH, "http_headers: {X: {values: [\"a\\nb\"]}}", 1, 19, "header of one line"},
        {FETCH, "http_headers: {X: {files: [x]}}", 1, 19, "files of http_headers"},
        {FETCH, "http_headers: [X]", 1, 15, "expected a mapping of headers"},
        {SEND, "basic_auth: {password: x}", 1, 13, "expected username"},
        {SEND, "tls_config: {server_name: x}", 1, 27, "server_name is not supported here"},
        {SEND, "tls_config: {min_version: TLS12}", 1, 27, "min_version is not supported here"},
        {SEND, "proxy_url: http://x", 1, 12, "proxy_url is not supported here"},
        {SEND, "proxy_from_environment: true", 1, 25, "proxy_from_environment is not supported"},
        {SEND, "bearer_token: x", 1, 15, "bearer_token is not supported here"},
        {SEND, "http_headers: {X: {values: [x]}}", 1, 15, "http_headers is not supported here"},
    };
    struct fixture f;
    fixture_init(&f);
    int bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int client = HTTP_CONF_FETCH; client <= HTTP_CONF_SEND; client++) {
            if (!(rows[i].clients & (client == HTTP_CONF_FETCH ? FETCH : SEND))) {
                continue;
            }
            const bool ok = read_text(&f, rows[i].text, (enum http_conf_client)client);
            if (ok || f.e.code != ERR_INPUT || f.e.line != rows[i].line || f.e.col != rows[i].col ||
                !str_contains(str_from_c(f.e.msg), str_from_c(rows[i].says))) {
                print_error("%s\n  %d: %u:%u %s\n", rows[i].text, client, f.e.line, f.e.col,
                            ok ? "was accepted" : f.e.msg);
                bad++;
            }
        }
    }
    assert_int_equal(bad, 0);
    fixture_release(&f);
}

/* "/etc/farol/" and a name: one byte less than the bound, and the bound. */
TEST(http_conf_paths_are_bounded)
{
    static const char *const keys[] = {
        "bearer_token_file: %s", "basic_auth: {username: u, password_file: %s}",
        "authorization: {credentials_file: %s}", "tls_config: {ca_file: %s}",
        "tls_config: {cert_file: %s, key_file: k}"};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        for (int over = 0; over < 2; over++) {
            char name[PATH_BYTES_MAX] = {0};
            char text[PATH_BYTES_MAX + 100];
            memset(name, 'n', PATH_BYTES_MAX - 1 - strlen("/etc/farol/") + (size_t)over);
            const struct str at = str_cut(str_from_c(keys[i]), '%').head;
            (void)snprintf(text, sizeof text, "%.*s%s%s", STR_FMT(at), name, keys[i] + at.n + 2);
            assert_int_equal(read_text(&f, text, HTTP_CONF_FETCH), over == 0);
            assert_int_equal(f.e.code, over ? ERR_INPUT : ERR_NONE);
            assert_true(!over || str_contains(str_from_c(f.e.msg), STR("path of less than 512")));
        }
    }
    fixture_release(&f);
}

FAULT_TEST(http_conf_survives_a_lack_of_memory)
{
    struct arena a;
    struct yaml_node *n = NULL;
    struct section s = {.other = {NULL, 0}};
    struct http_conf c;
    struct err e;
    arena_init(&a, &w->mem, 1 << 20);
    const bool ok = yaml_parse(STR("basic_auth: {username: u, password_file: p}\n"
                                   "tls_config: {ca_file: a}\n"
                                   "http_headers: {X: {values: [a]}}\n"),
                               "t.yml", &a, &n, &e) &&
                    conf_read(fields, ARRAY_LEN(fields), n, &s, &a, &e) &&
                    http_conf_read(&s.http, n, "/d", HTTP_CONF_FETCH, &a, &c, &e);
    if (ok) {
        assert_str(c.password_file, STR("/d/p"));
        assert_int_equal(c.headers_n, 1);
    }
    arena_release(&a);
    return ok;
}
