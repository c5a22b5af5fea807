/* /metrics packed for who asks, over HTTP. */
#include "server/service_int.h"

#include "base/test.h"
#include "codec/unpack.h"
#include "net/http_client.h"

#include <stdio.h>

static bool collect(void *ctx, struct str piece, struct err *e)
{
    buf_str_add(ctx, piece);
    return buf_ok(ctx, e);
}

static void assert_unpacks(struct mem *m, struct str packed, struct str expected)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, m, 4U << 20);
    struct unpack *u = unpack_new(m, UNPACK_GZIP, 4U << 20);
    assert_non_null(u);
    unpack_trust(u);
    assert_true(unpack_feed(u, packed, collect, &out, &e) && unpack_finish(u, &e));
    assert_str(buf_str(&out), expected);
    unpack_free(u);
    buf_release(&out);
}

/* GET /metrics over HTTP, as Prometheus asks and as curl does. */
static void scrape(struct http_client *c, uint16_t port, const char *accept, struct http_answer *a)
{
    char url[64];
    struct err e = {0};
    const char *const headers[] = {accept, NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/metrics", port);
    assert_true(http_client_do(c, "GET", url, headers, STR(""), 4U << 20, a, &e));
    assert_int_equal(a->status, 200);
}

TEST(gzip_metrics_over_http)
{
    struct log log;
    struct mem mem;
    struct err e = {0};
    log_init(&log, os_real(), -1, LOG_ERROR);
    mem_init(&mem, 0);
    struct service *s = mem_take(&mem, sizeof *s);
    s->os = os_real();
    s->log = &log;
    server_snapshots_init(&s->snapshots, 1U << 20);
    struct snapshot *snapshot = server_snapshots_begin(&s->snapshots);
    expo_init(&snapshot->expo, &snapshot->arena, 1);
    struct expo_family *f =
        expo_family(&snapshot->expo, EXPO_GAUGE, STR("farol_test_value"), STR(""), STR("A value."));
    for (int i = 0; i < 200; i++) {
        char n[16];
        (void)snprintf(n, sizeof n, "%d", i);
        const struct label label = {STR("n"), str_from_c(n)};
        expo_add(&snapshot->expo, f, &label, 1, i);
    }
    server_snapshots_publish(&s->snapshots, snapshot);
    server_api_routes(s);
    const struct http_server_config config = {.address = "127.0.0.1",
                                              .threads = 1,
                                              .connections_max = 16,
                                              .idle_timeout_s = 5,
                                              .request_bytes_max = 32768};
    assert_true(http_server_start(&s->http, &config, s->routes, s->routes_count, s, &log, &e));
    struct http_client *c = http_client_new(&mem, 5000, 5000);
    struct http_answer plain, packed;
    scrape(c, http_server_port(s->http), "Accept-Encoding: identity", &plain);
    scrape(c, http_server_port(s->http), "Accept-Encoding: gzip", &packed);
    assert_true(str_contains(buf_str(&plain.body), STR("farol_test_value{n=\"199\"} 199")));
    assert_int_equal(unpack_kind_sniff(buf_str(&packed.body)), UNPACK_GZIP);
    assert_true(packed.body.n < plain.body.n / 3);
    assert_unpacks(&mem, buf_str(&packed.body), buf_str(&plain.body));
    buf_release(&plain.body);
    buf_release(&packed.body);
    http_client_free(c);
    http_server_stop(s->http);
    server_snapshots_release(&s->snapshots);
    mem_give(&mem, s, sizeof *s);
    assert_int_equal(mem.bytes, 0);
}
