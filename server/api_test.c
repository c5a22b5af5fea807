/* Tests of the routes as HTTP sees them while the server has not recovered: the doors are shut,
 * probes are answered. */
#include "server/service_int.h"

#include "base/test.h"
#include "net/http_client.h"

#include <stdio.h>

static int ask(struct http_client *c, const char *method, uint16_t port, const char *path,
               struct str body, struct buf *out)
{
    char url[128];
    struct http_answer answer;
    struct err e = {0};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    assert_true(http_client_do(c, method, url, NULL, body, 1U << 20, &answer, &e));
    buf_reset(out);
    buf_str_add(out, buf_str(&answer.body));
    buf_release(&answer.body);
    return answer.status;
}

TEST(api_answers_503_until_recovered)
{
    struct log log;
    struct mem mem;
    struct buf out;
    struct err e = {0};
    log_init(&log, os_real(), -1, LOG_ERROR);
    mem_init(&mem, 0);
    buf_init(&out, &mem, 1U << 20);
    struct service *s = mem_take(&mem, sizeof *s);
    s->os = os_real();
    s->log = &log;
    server_snapshots_init(&s->snapshots, 1U << 20);
    server_api_routes(s);
    const struct http_server_config config = {.address = "127.0.0.1",
                                              .threads = 1,
                                              .connections_max = 16,
                                              .idle_timeout_s = 5,
                                              .request_bytes_max = 32768};
    assert_true(http_server_start(&s->http, &config, s->routes, s->routes_count, s, &log, &e));
    uint16_t port = http_server_port(s->http);
    struct http_client *c = http_client_new(&mem, 5000, 5000);

    assert_int_equal(ask(c, "GET", port, "/-/healthy", STR(""), &out), 200);
    assert_str(buf_str(&out), STR("ok\n"));
    assert_int_equal(ask(c, "GET", port, "/-/ready", STR(""), &out), 503);
    assert_str(buf_str(&out), STR("recovering\n"));
    assert_int_equal(ask(c, "GET", port, "/metrics", STR(""), &out), 503);
    static const struct {
        const char *method, *path, *body;
    } shut[] = {{"GET", "/farol/v1/status", ""},
                {"GET", "/farol/v1/model/quality", ""},
                {"GET", "/farol/v1/model/calibration", ""},
                {"GET", "/farol/v1/model/thresholds", ""},
                {"GET", "/farol/v1/model/drift", ""},
                {"GET", "/farol/v1/model/causes", ""},
                {"GET", "/farol/v1/pipeline/lost", ""},
                {"POST", "/-/reload", ""},
                {"POST", "/ingest/v1/events", ""},
                {"POST", "/ingest/v1/events", "{\"type\":\"stage\"}\n"}};
    for (size_t i = 0; i < ARRAY_LEN(shut); i++) {
        assert_int_equal(ask(c, shut[i].method, port, shut[i].path, str_from_c(shut[i].body), &out),
                         503);
        assert_true(str_contains(buf_str(&out), STR("\"code\":\"busy\"")));
    }
    assert_int_equal(atomic_load(&s->in_gates), 0); /* every request went out again */

    http_client_free(c);
    http_server_stop(s->http);
    server_snapshots_release(&s->snapshots);
    mem_give(&mem, s, sizeof *s);
    buf_release(&out);
    assert_int_equal(mem.bytes, 0);
}
