/* What the tests of the API share: the API over loopback, with a store on a simulated disk and a
 * clock that stands, samples to ask for, and answers to compare. For tests only. */
#ifndef SERVER_API_PROM_PROM_TESTING_INT_H
#define SERVER_API_PROM_PROM_TESTING_INT_H

#include "server/api/prom/prom_int.h"

#include "base/clock.h"
#include "base/simos.h"
#include "base/test.h"
#include "net/http_client.h"

#include <stdio.h>

#define NOW_S 1700000000
#define NOW   "1700000000"

struct world {
    struct simos *simos;
    const struct os *os;
    struct log log;
    struct mem mem;
    struct tsdb *db;
    struct prom_config config;
    struct prom_deps deps;
    struct prom_api *api;
    struct http_server *http;
    struct http_client *client;
};

static inline void config_default(struct prom_config *c)
{
    *c = (struct prom_config){.timeout_ms = 120000,
                              .lookback_ms = 300000,
                              .queue_max = 16,
                              .steps_max = 11000,
                              .threads = 2,
                              .samples_max = 1000000,
                              .series_max = 1000,
                              .query_bytes_max = 1U << 30,
                              .answer_bytes_max = 1U << 20,
                              .admin = true};
}

static inline void world_open(struct world *w)
{
    struct tsdb_config c;
    struct err e = {0};
    memset(w, 0, sizeof *w);
    w->simos = simos_new(1);
    w->os = simos_os(w->simos);
    simos_clock_set(w->simos, NOW_S * NS_PER_S);
    simos_clock_add(w->simos, NS_PER_S);
    simos_clock_set(w->simos, NOW_S * NS_PER_S);
    log_init(&w->log, w->os, -1, LOG_ERROR);
    mem_init(&w->mem, 0);
    tsdb_config_default(&c);
    c.dir = "db";
    c.retention_ms = 0;
    c.exemplars_max = 100;
    assert_true(tsdb_open(&w->db, &c, w->os, &w->log, &e));
    config_default(&w->config);
    w->deps = (struct prom_deps){
        .db = w->db, .os = w->os, .log = &w->log, .dir = "db", .version = "1.2.3", .commit = "abc"};
}

static inline void world_serve(struct world *w)
{
    const struct http_server_config c = {.address = "127.0.0.1",
                                         .threads = 2,
                                         .connections_max = 64,
                                         .idle_timeout_s = 10,
                                         .request_bytes_max = 32768};
    struct err e = {0};
    size_t n;
    assert_true(prom_new(&w->config, &w->deps, &w->api, &e));
    const struct http_route *routes = prom_routes(w->api, &n);
    assert_true(http_server_start(&w->http, &c, routes, n, NULL, &w->log, &e));
    w->client = http_client_new(&w->mem, 5000, 60000);
}

static inline void world_close(struct world *w)
{
    http_client_free(w->client);
    http_server_stop(w->http);
    prom_free(w->api);
    tsdb_close(w->db);
    simos_free(w->simos);
    assert_int_equal(w->mem.bytes, 0);
}

/* One sample of a series written as a selector. */
static inline void put(struct world *w, const char *metric, int64_t t_s, double v)
{
    struct arena a;
    struct labels l;
    struct tsdb_result r;
    struct err e = {0};
    uint32_t ref;
    arena_init(&a, &w->mem, 1U << 20);
    struct tsdb_batch *b = tsdb_batch_new(&w->mem, 1U << 20);
    assert_true(promql_metric(str_from_c(metric), &a, &l, &e));
    assert_true(tsdb_series(w->db, 0, l, &ref, &e));
    assert_true(tsdb_batch_add(b, ref, t_s * 1000, v, &e));
    assert_true(tsdb_commit_wait(w->db, b, 0, &r, &e));
    assert_int_equal(r.samples, 1);
    tsdb_batch_free(b);
    arena_release(&a);
}

/* up{job=a..} 0 and 15 s ago, and a counter. */
static inline void fill(struct world *w)
{
    put(w, "up{job=\"a\"}", NOW_S - 15, 0);
    put(w, "up{job=\"a\"}", NOW_S, 1);
    put(w, "up{job=\"b\"}", NOW_S, 0);
    put(w, "odd{job=\"a\",text=\"q\\\"\\\\\\n\xc3\xa7\"}", NOW_S, -0.5);
    for (int i = 0; i <= 4; i++) {
        put(w, "n_total{job=\"a\"}", NOW_S - 60 + i * 15, i * 30);
    }
}

static inline int ask(struct world *w, const char *method, const char *path, struct str form,
                      const char *header, struct http_answer *a)
{
    char url[8192];
    struct err e = {0};
    const char *const headers[] = {
        header ? header : "Content-Type: application/x-www-form-urlencoded", NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_server_port(w->http), path);
    if (!http_client_do(w->client, method, url, headers, form, 4U << 20, a, &e)) {
        print_error("%s %s: %s\n", method, path, e.msg);
        fail();
    }
    return a->status;
}

/* The whole answer. */
static inline void expect(struct world *w, const char *method, const char *path, const char *form,
                          int status, const char *body)
{
    struct http_answer a;
    const int found = ask(w, method, path, str_from_c(form), NULL, &a);
    if (found != status || !str_eq(buf_str(&a.body), str_from_c(body))) {
        print_error("%s %s %s\nexpected %d %s\n   found %d %.*s\n", method, path, form, status,
                    body, found, STR_FMT(buf_str(&a.body)));
        fail();
    }
    buf_release(&a.body);
}

#define OK(data)          "{\"status\":\"success\",\"data\":" data "}"
#define WARN(data, text)  "{\"status\":\"success\",\"data\":" data ",\"warnings\":[\"" text "\"]}"
#define ERROR(type, text) "{\"status\":\"error\",\"errorType\":\"" type "\",\"error\":\"" text "\"}"
#define BAD(text)         ERROR("bad_data", text)
#define VECTOR(list)      "{\"resultType\":\"vector\",\"result\":[" list "]}"
#define MATRIX(list)      "{\"resultType\":\"matrix\",\"result\":[" list "]}"
#define UP_A                                           \
    "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"}," \
    "\"value\":[" NOW ",\"1\"]}"
#define UP_B                                           \
    "{\"metric\":{\"__name__\":\"up\",\"job\":\"b\"}," \
    "\"value\":[" NOW ",\"0\"]}"

#endif
