/* The sender against our own HTTP server: bodies, batches, retries, bounds, configuration. */
#include "notify/alertmanager/alertmanager.h"

#include "base/test.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct peer {
    pthread_mutex_t mu;
    uint32_t requests, fail_first; /* requests that are answered with status */
    int status;
    char last[1 << 16], authorization[256];
    uint32_t alerts; /* that were taken */
    struct http_server *server;
};

struct body {
    struct mem mem;
    struct buf b;
};

static void *on_begin(void *app, struct http_request *rq)
{
    struct peer *p = app;
    struct str auth = http_header(rq, "Authorization");
    struct body *x = calloc(1, sizeof *x);
    assert_non_null(x);
    mem_init(&x->mem, 0);
    buf_init(&x->b, &x->mem, 1 << 20);
    (void)pthread_mutex_lock(&p->mu);
    (void)snprintf(p->authorization, sizeof p->authorization, "%.*s", STR_FMT(auth));
    (void)pthread_mutex_unlock(&p->mu);
    return x;
}

static bool on_data(void *state, struct str piece, struct err *e)
{
    struct body *x = state;
    buf_str_add(&x->b, piece);
    return buf_ok(&x->b, e);
}

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct peer *p = app;
    struct body *x = state;
    assert_null(failed);
    (void)pthread_mutex_lock(&p->mu);
    int status = p->requests++ < p->fail_first ? p->status : 200;
    (void)snprintf(p->last, sizeof p->last, "%.*s", STR_FMT(buf_str(&x->b)));
    for (size_t i = 0; status == 200 && i + 9 < x->b.n; i++) {
        p->alerts += memcmp(x->b.p + i, "\"labels\":", 9) == 0;
    }
    (void)pthread_mutex_unlock(&p->mu);
    buf_release(&x->b);
    free(x);
    http_respond(rq, status, "text/plain", NULL, NULL);
}

static const struct http_route route = {.method = "POST",
                                        .path = "/am/api/v2/alerts",
                                        .body_bytes_max = 1 << 20,
                                        .begin = on_begin,
                                        .data = on_data,
                                        .end = on_end};

static void peer_open(struct peer *p)
{
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 1,
                                         .connections_max = 8,
                                         .idle_timeout_s = 10,
                                         .request_bytes_max = 8192};
    struct err e = {0};
    (void)pthread_mutex_init(&p->mu, NULL);
    assert_true(http_server_start(&p->server, &c, &route, 1, p, NULL, &e));
}

static uint32_t taken(struct peer *p)
{
    (void)pthread_mutex_lock(&p->mu);
    uint32_t n = p->alerts;
    (void)pthread_mutex_unlock(&p->mu);
    return n;
}

struct fixture {
    struct mem mem;
    struct arena arena;
    struct yaml_node *root;
    struct notify_am_config c;
    struct err e;
};

static bool read_config(struct fixture *f, const char *text)
{
    *f = (struct fixture){0};
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 1 << 20);
    assert_true(yaml_parse(str_from_c(text), "a.yml", &f->arena, &f->root, &f->e));
    return notify_am_config_read(f->root, "/etc", &f->arena, &f->c, &f->e);
}

static void config_for(struct fixture *f, uint16_t port, const char *more)
{
    char text[600];
    (void)snprintf(text, sizeof text,
                   "alertmanagers:\n- path_prefix: /am/\n  timeout: 2s\n%s"
                   "  static_configs: [{targets: ['127.0.0.1:%u']}]\n",
                   more, port);
    assert_true(read_config(f, text));
}

static const struct label labels[] = {{STR_INIT("alertname"), STR_INIT("Down \"x\"")}};
static const struct label notes[] = {{STR_INIT("s"), STR_INIT("a\nb")}};

static void send_n(struct notify_am *n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct rules_alert a = {.labels = {labels, 1},
                                      .annotations = {notes, 1},
                                      .starts_ms = 1704067200000,
                                      .ends_ms = 1704067440500,
                                      .generator_url = STR("http://f/graph?g0.expr=up")};
        notify_am_send(n, &a, 1);
    }
}

static double metric(struct notify_am *n, const char *name)
{
    struct mem m;
    struct arena a;
    struct expo x;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    expo_init(&x, &a, 0);
    notify_am_publish(n, &x);
    const struct expo_sample *s = expo_find(&x, str_from_c(name), NULL, 0);
    assert_non_null(s);
    double v = s->value;
    arena_release(&a);
    return v;
}

static void wait_for(struct peer *p, uint32_t alerts)
{
    for (int i = 0; i < 2000 && taken(p) < alerts; i++) {
        (void)usleep(2000);
    }
    assert_int_equal(taken(p), alerts);
}

TEST(alertmanager_gets_alerts_as_json)
{
    struct peer p = {0};
    struct fixture f;
    struct notify_am *n = NULL;
    const struct notify_am_options o = {.os = os_real()};
    peer_open(&p);
    config_for(&f, http_server_port(p.server), "  basic_auth: {username: u, password: pw}\n");
    assert_true(notify_am_new(&f.c, &o, &n, &f.e));
    send_n(n, 1);
    wait_for(&p, 1);
    assert_string_equal(
        p.last, "[{\"labels\":{\"alertname\":\"Down \\\"x\\\"\"},\"annotations\":{\"s\":\"a\\nb\"},"
                "\"startsAt\":\"2024-01-01T00:00:00Z\",\"endsAt\":\"2024-01-01T00:04:00.500Z\","
                "\"generatorURL\":\"http://f/graph?g0.expr=up\"}]");
    assert_string_equal(p.authorization, "Basic dTpwdw==");
    notify_am_free(n);
    http_server_stop(p.server);
    arena_release(&f.arena);
    assert_int_equal(f.mem.bytes, 0);
}

TEST(alertmanager_retries_and_batches)
{
    struct peer p = {.fail_first = 2, .status = 503};
    struct fixture f;
    struct notify_am *n = NULL;
    const struct notify_am_options o = {.os = os_real(), .pause_ms = 5};
    peer_open(&p);
    config_for(&f, http_server_port(p.server), "");
    assert_true(notify_am_new(&f.c, &o, &n, &f.e));
    send_n(n, 200);
    wait_for(&p, 200);
    assert_true(metric(n, "farol_notify_alertmanager_retries") == 2);
    assert_true(metric(n, "farol_notify_alertmanager_failed") == 0);
    assert_true(metric(n, "farol_notify_alertmanager_dropped") == 0);
    assert_in_range(p.requests, 2 + 4, 2 + 200);
    notify_am_free(n);
    http_server_stop(p.server);
    arena_release(&f.arena);
}

TEST(alertmanager_refusal_is_not_retried)
{
    struct peer p = {.fail_first = 1, .status = 400};
    struct fixture f;
    struct notify_am *n = NULL;
    const struct notify_am_options o = {.os = os_real(), .pause_ms = 5};
    peer_open(&p);
    config_for(&f, http_server_port(p.server), "");
    assert_true(notify_am_new(&f.c, &o, &n, &f.e));
    send_n(n, 1);
    for (int i = 0; i < 2000 && metric(n, "farol_notify_alertmanager_failed") < 1; i++) {
        (void)usleep(2000);
    }
    send_n(n, 1);
    wait_for(&p, 1);
    assert_int_equal(p.requests, 2);
    assert_true(metric(n, "farol_notify_alertmanager_failed") == 1);
    notify_am_free(n);
    http_server_stop(p.server);
    arena_release(&f.arena);
}

/* Nobody listens: the queue keeps the newest, drops the oldest, and freeing does not hang. */
TEST(alertmanager_queue_is_bounded)
{
    struct fixture f;
    struct notify_am *n = NULL;
    const struct notify_am_options o = {
        .os = os_real(), .queue_max = 100, .pause_ms = 60000, .tries_max = 100};
    config_for(&f, 1, ""); /* tcpmux: closed */
    assert_true(notify_am_new(&f.c, &o, &n, &f.e));
    send_n(n, 1000);
    assert_true(metric(n, "farol_notify_alertmanager_queue_length") <= 100);
    assert_true(metric(n, "farol_notify_alertmanager_dropped") >= 1000 - 100 - NOTIFY_AM_BATCH_MAX);
    notify_am_free(n);
    arena_release(&f.arena);
}

static bool drop_some(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                      struct arena *a)
{
    (void)a;
    assert_true(*n < cap);
    if (entry == UINT32_MAX) {
        v[(*n)++] = (struct label){STR("dc"), STR("sp")};
        return true;
    }
    return (*(int *)ctx)++ > 0; /* the entry's rules drop the first */
}

TEST(alertmanager_relabels)
{
    struct peer p = {0};
    struct fixture f;
    struct notify_am *n = NULL;
    int calls = 0;
    const struct notify_am_options o = {.os = os_real(), .relabel = {&calls, drop_some}};
    peer_open(&p);
    config_for(&f, http_server_port(p.server), "");
    assert_true(notify_am_new(&f.c, &o, &n, &f.e));
    send_n(n, 2);
    wait_for(&p, 1);
    assert_non_null(strstr(p.last, "\"labels\":{\"alertname\":\"Down \\\"x\\\"\",\"dc\":\"sp\"}"));
    notify_am_free(n);
    http_server_stop(p.server);
    arena_release(&f.arena);
}

TEST(alertmanager_config)
{
    struct fixture f;
    assert_true(read_config(&f,
                            "alertmanagers:\n"
                            "- scheme: https\n  path_prefix: am\n  tls_config: {ca_file: ca.pem}\n"
                            "  static_configs: [{targets: ['a:1', 'b:2', 'a:1']}]\n"
                            "- authorization: {credentials_file: t}\n"
                            "  alert_relabel_configs: [{action: drop}]\n"
                            "  static_configs: [{targets: ['c:3']}]\n"));
    assert_int_equal(f.c.targets_n, 3);
    assert_str(f.c.targets[0].url, STR("https://a:1/am"));
    assert_str(f.c.targets[0].http.tls.ca_file, STR("/etc/ca.pem"));
    assert_str(f.c.targets[2].url, STR("http://c:3"));
    assert_str(f.c.targets[2].http.auth_type, STR("Bearer"));
    assert_str(f.c.targets[2].http.credentials_file, STR("/etc/t"));
    assert_int_equal(f.c.targets[2].entry, 1);
    assert_null(f.c.entry_relabel[0]);
    assert_non_null(f.c.entry_relabel[1]);
    arena_release(&f.arena);
    static const char *const bad[] = {
        "alertmanager: []\n",
        "alertmanagers: [{scheme: ftp}]\n",
        "alertmanagers: [{api_version: v1}]\n",
        "alertmanagers: [{static_configs: [{targets: ['a/b']}]}]\n",
        "alertmanagers: [{static_configs: [{target: ['a']}]}]\n",
        "alertmanagers: [{basic_auth: {password: x}}]\n",
        "alertmanagers: [{basic_auth: {username: x}, authorization: {credentials: y}}]\n",
        "alertmanagers: [{oauth2: {}}]\n",
        "alertmanagers: [{timeuot: 3s}]\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(read_config(&f, bad[i]));
        assert_true(f.e.line == 1 && f.e.msg[0]);
        arena_release(&f.arena);
    }
}
