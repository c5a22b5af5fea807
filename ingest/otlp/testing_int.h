/* What the tests of the door share: the door over loopback into a store on a simulated disk,
 * writers of requests in protobuf, and all that the store then holds, as text. For tests only. */
#ifndef INGEST_OTLP_TESTING_INT_H
#define INGEST_OTLP_TESTING_INT_H

#include "ingest/otlp/decode_int.h"

#include "base/simos.h"
#include "base/test.h"
#include "codec/nhist.h"
#include "net/http_client.h"

#include <stdio.h>

#define T0 1767225600000LL /* the simulated clock's start */
#define NS 1000000ULL

struct world {
    struct mem mem, test_mem;
    struct simos *sim;
    struct tsdb *db;
    struct otlp_config config;
    struct otlp *door;
    struct http_server *server;
    struct http_route routes[OTLP_ROUTES];
    struct http_client *client;
    struct http_answer answer;
    struct buf rq, text;
};

static inline void world_open(struct world *w, const char *strategy)
{
    static struct str promoted = STR_INIT("host.name");
    struct err e = {0};
    struct tsdb_config c;
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    mem_init(&w->test_mem, 0);
    buf_init(&w->rq, &w->test_mem, 1 << 20);
    buf_init(&w->text, &w->test_mem, 1 << 20);
    w->sim = simos_new(test_seed());
    tsdb_config_default(&c);
    c.dir = "data";
    w->config = (struct otlp_config){.body_bytes_max = 1 << 20,
                                     .unpacked_bytes_max = 1 << 20,
                                     .requests_max = 4,
                                     .promote_resource_attributes = {&promoted, 1},
                                     .translation_strategy = str_from_c(strategy)};
    bool ok = tsdb_open(&w->db, &c, simos_os(w->sim), NULL, &e) &&
              otlp_new(&w->config, w->db, &w->mem, &w->door, &e);
    const struct http_server_config sc = {.address = "127.0.0.1",
                                          .threads = 1,
                                          .connections_max = 8,
                                          .idle_timeout_s = 10,
                                          .request_bytes_max = 8192};
    for (unsigned i = 0; ok && i < OTLP_ROUTES; i++) {
        w->routes[i] = otlp_route(w->door, i);
    }
    ok = ok && http_server_start(&w->server, &sc, w->routes, OTLP_ROUTES, NULL, NULL, &e);
    if (!ok) {
        fail_msg("%s", e.msg);
    }
    w->client = http_client_new(&w->test_mem, 2000, 20000);
    assert_non_null(w->client);
}

static inline void world_close(struct world *w)
{
    buf_release(&w->answer.body);
    http_client_free(w->client);
    http_server_stop(w->server);
    tsdb_close(w->db);
    otlp_free(w->door);
    simos_free(w->sim);
    buf_release(&w->rq);
    buf_release(&w->text);
    assert_int_equal(w->mem.bytes, 0);
    assert_int_equal(w->test_mem.bytes, 0);
}

static inline int post(struct world *w, const char *path, struct str body, const char *type,
                       const char *encoding)
{
    char url[128];
    struct err e = {0};
    const char *const headers[] = {type, encoding, NULL};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_server_port(w->server), path);
    buf_release(&w->answer.body);
    assert_true(http_client_do(w->client, "POST", url, headers, body, 4096, &w->answer, &e));
    return w->answer.status;
}

static inline int send(struct world *w)
{
    const int status =
        post(w, "/v1/metrics", buf_str(&w->rq), "Content-Type: application/x-protobuf", NULL);
    buf_reset(&w->rq);
    return status;
}

/* -- writing requests -- */

static inline void fixed64(struct buf *b, uint32_t number, uint64_t v)
{
    pb_raw_varint(b, number << 3 | PB_I64);
    buf_u64le(b, v);
}

static inline void attr(struct buf *b, uint32_t number, const char *key, const char *value)
{
    const size_t kv = pb_begin(b, number);
    pb_put_bytes(b, 1, str_from_c(key));
    const size_t any = pb_begin(b, 2);
    pb_put_bytes(b, 1, str_from_c(value));
    pb_end(b, any);
    pb_end(b, kv);
}

struct marks {
    size_t resource, scope, metric, data, point;
};

/* A resource with service.name, host.name and others, then a metric, open at its data. */
static inline struct marks metric(struct buf *b, const char *name, const char *unit, uint32_t kind)
{
    struct marks m;
    m.resource = pb_begin(b, 1);
    const size_t r = pb_begin(b, 1);
    attr(b, 1, "service.name", "pix");
    attr(b, 1, "service.namespace", "bank");
    attr(b, 1, "service.instance.id", "i-1");
    attr(b, 1, "host.name", "h1");
    pb_end(b, r);
    m.scope = pb_begin(b, 2);
    m.metric = pb_begin(b, 2);
    pb_put_bytes(b, 1, str_from_c(name));
    pb_put_bytes(b, 3, str_from_c(unit));
    m.data = pb_begin(b, kind);
    return m;
}

static inline void metric_end(struct buf *b, struct marks m)
{
    pb_end(b, m.data);
    pb_end(b, m.metric);
    pb_end(b, m.scope);
    pb_end(b, m.resource);
}

static inline void temporality(struct buf *b, uint64_t which, bool monotonic)
{
    pb_put_varint(b, 2, which);
    pb_put_varint(b, 3, monotonic);
}

static inline void number_point(struct buf *b, int64_t t, double v, uint64_t flags)
{
    const size_t p = pb_begin(b, 1);
    fixed64(b, 2, (uint64_t)(T0 - 1000) * NS);
    fixed64(b, 3, (uint64_t)t * NS);
    pb_put_f64(b, 4, v);
    pb_put_varint(b, 8, flags);
    pb_end(b, p);
}

/* -- what is stored -- */

static inline void show(struct world *w, struct tsdb_view *v, struct labels ls, uint32_t ref)
{
    struct tsdb_column c;
    struct err e = {0};
    tsdb_column_init(&c, &w->test_mem);
    assert_true(tsdb_read(v, ref, INT64_MIN, INT64_MAX, 1000, &c, &e));
    assert_true(ls.n > 0 && str_eq(ls.v[0].name, STR(LABEL_NAME)));
    buf_str_add(&w->text, ls.v[0].value);
    for (uint32_t i = 1; i < ls.n; i++) {
        /* The three that all have are left out. */
        const struct label *l = &ls.v[i];
        if (str_eq(l->name, STR("job")) || str_eq(l->name, STR("instance"))) {
            assert_true(str_eq(l->value, STR("bank/pix")) || str_eq(l->value, STR("i-1")));
        } else if (!str_eq(l->value, STR("h1"))) {
            buf_fmt(&w->text, ",%.*s=%.*s", STR_FMT(l->name), STR_FMT(l->value));
        }
    }
    for (uint32_t i = 0; i < c.n; i++) {
        buf_fmt(&w->text, " %lld:", (long long)(c.t[i] - T0));
        if (c.h && c.h[i]) {
            const struct nhist *h = c.h[i];
            buf_fmt(&w->text, "hist(%d,%g,%g,%g", h->schema, h->count, h->sum, h->zero_count);
            for (uint32_t k = 0; k < h->pos.spans_n; k++) {
                buf_fmt(&w->text, " %d+%u", h->pos.spans[k].offset, h->pos.spans[k].length);
            }
            for (uint32_t k = 0; k < h->pos.counts_n; k++) {
                buf_fmt(&w->text, " %g", h->pos.counts[k]);
            }
            BUF_LIT(&w->text, ")");
        } else if (is_stale_nan(c.v[i])) {
            BUF_LIT(&w->text, "stale");
        } else {
            buf_f64(&w->text, c.v[i]);
        }
        if (c.st && c.st[i]) {
            buf_fmt(&w->text, "@%lld", (long long)(c.st[i] - T0));
        }
    }
    BUF_LIT(&w->text, "\n");
    tsdb_column_release(&c);
}

/* All but target_info. */
static inline void expect(struct world *w, const char *lines)
{
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    uint32_t *ids, n;
    const struct matcher m = {MATCH_NE, STR(LABEL_NAME), STR("target_info")};
    arena_init(&a, &w->test_mem, 1 << 20);
    buf_reset(&w->text);
    assert_true(tsdb_view_open(w->db, &v, &e));
    assert_true(tsdb_select(v, &m, 1, INT64_MIN, INT64_MAX, 1000, true, &a, &ids, &n, &e));
    for (uint32_t i = 0; i < n; i++) {
        show(w, v, tsdb_labels(v, ids[i], &a), ids[i]);
    }
    tsdb_view_close(v);
    arena_release(&a);
    assert_str(buf_str(&w->text), str_from_c(lines));
}

/* Rejected points and the message of the answer's partial success. */
static inline uint64_t rejected(const struct world *w, const char *message)
{
    struct pb p = pb_of(buf_str(&w->answer.body));
    struct pb_field f, g;
    uint64_t n = 0;
    while (pb_next(&p, &f)) {
        struct pb in = pb_of(f.bytes);
        while (pb_next(&in, &g)) {
            n = g.number == 1 ? g.u : n;
            assert_true(g.number != 2 || str_contains(g.bytes, str_from_c(message)));
        }
    }
    return n;
}

#endif
