/* What the tests of door and sender share: the door over loopback with a real river on a
 * simulated disk. For tests only. */
#ifndef INGEST_NDJSON_DOOR_TESTING_INT_H
#define INGEST_NDJSON_DOOR_TESTING_INT_H

#include "ingest/ndjson/ndjson.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/simos.h"
#include "base/test.h"
#include "codec/yaml.h"
#include "flow/pillar.h"
#include "flow/river.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdio.h>
#include <zlib.h>

#define LABEL                                                                                    \
    "{\"type\":\"label\",\"id\":\"E10002877201805140000KH5FHKLEC67\",\"ts\":\"2018-05-20T10:00:" \
    "00Z\","                                                                                     \
    "\"label\":\"fraud\"}"

/* A pillar that counts what it is given, and can be made to wait. */
struct counter {
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool hold;
    uint64_t records;
};

static inline void *state_new(void *app, uint32_t shard, uint32_t shards, struct mem *m,
                              struct err *e)
{
    (void)shard;
    (void)shards;
    (void)m;
    (void)e;
    return app;
}

static inline void state_free(void *state)
{
    (void)state;
}

static inline void state_begin(void *state, const struct record_reader *r)
{
    (void)state;
    (void)r;
}

static inline void state_apply(void *state, const struct record *rec, const struct record_reader *r)
{
    (void)rec;
    (void)r;
    struct counter *c = state;
    pthread_mutex_lock(&c->mu);
    while (c->hold) {
        pthread_cond_wait(&c->wake, &c->mu);
    }
    c->records++;
    pthread_mutex_unlock(&c->mu);
}

static inline void state_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    (void)app;
    (void)states;
    (void)n;
    BUF_LIT(out, "x");
}

static inline bool state_load(void *app, void *const *states, uint32_t n, struct str bytes,
                              struct err *e)
{
    (void)app;
    (void)states;
    (void)n;
    (void)bytes;
    (void)e;
    return true;
}

struct world {
    struct mem mem, client_mem, test_mem;
    struct arena arena;
    struct simos *sim;
    struct counter counter;
    struct pillar pillar;
    struct river *river;
    struct ndjson_config config;
    struct ndjson *door;
    struct http_route routes[4];
    struct http_server *server;
    struct http_client *client;
    struct http_answer answer;
    uint16_t port; /* of a server that was stopped */
    char url[64];
};

static inline bool server_open(struct world *w, uint16_t port, struct err *e)
{
    size_t count = 0;
    const struct http_route *routes = ndjson_routes(&count);
    assert_true(count <= ARRAY_LEN(w->routes));
    for (size_t i = 0; i < count; i++) {
        w->routes[i] = routes[i];
        w->routes[i].app = w->door;
    }
    struct http_server_config sc = {.address = "127.0.0.1",
                                    .port = port,
                                    .threads = 2,
                                    .connections_max = 32,
                                    .idle_timeout_s = 10,
                                    .request_bytes_max = 8192};
    return http_server_start(&w->server, &sc, w->routes, count, NULL, NULL, e);
}

static inline void world_open(struct world *w, const char *yaml, uint64_t queue_bytes_max)
{
    struct err e = {0};
    struct yaml_node *doc = NULL;
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    mem_init(&w->client_mem, 0);
    mem_init(&w->test_mem, 0);
    arena_init(&w->arena, &w->test_mem, 1 << 20);
    w->sim = simos_new(test_seed());
    pthread_mutex_init(&w->counter.mu, NULL);
    pthread_cond_init(&w->counter.wake, NULL);
    w->pillar = (struct pillar){.name = "counter",
                                .app = &w->counter,
                                .shard_new = state_new,
                                .shard_free = state_free,
                                .batch_begin = state_begin,
                                .apply = state_apply,
                                .save = state_save,
                                .load = state_load};
    struct river_config rc = {.dir = "data",
                              .shards = 1,
                              .queue_bytes_max = queue_bytes_max,
                              .segment_bytes_max = 64 << 20,
                              .journal_bytes_max = 1 << 30,
                              .checkpoint_ms = 3600000,
                              .checkpoint_bytes = 1 << 30,
                              .shard_mem_bytes_max = 1 << 20};
    bool ok = yaml_parse(str_from_c(yaml), "test", &w->arena, &doc, &e) &&
              ndjson_config_read(doc, NULL, &w->arena, &w->config, &e) &&
              river_start(&w->river, &rc, &w->pillar, 1, simos_os(w->sim), NULL, &e) &&
              ndjson_new(&w->config, w->river, &w->mem, NULL, &w->door, &e);
    ok = ok && server_open(w, 0, &e);
    if (!ok) {
        fail_msg("%s", e.msg);
    }
    w->client = http_client_new(&w->client_mem, 2000, 20000);
    assert_non_null(w->client);
    snprintf(w->url, sizeof w->url, "http://127.0.0.1:%u/ingest/v1/events",
             http_server_port(w->server));
}

static inline void hold(struct world *w, bool on)
{
    pthread_mutex_lock(&w->counter.mu);
    w->counter.hold = on;
    pthread_cond_broadcast(&w->counter.wake);
    pthread_mutex_unlock(&w->counter.mu);
}

/* Stops everything and gives the number of records that reached the pillar. */
static inline uint64_t world_close(struct world *w)
{
    buf_release(&w->answer.body);
    hold(w, false);
    http_server_stop(w->server);
    river_stop(w->river);
    ndjson_free(w->door);
    http_client_free(w->client);
    simos_free(w->sim);
    arena_release(&w->arena);
    pthread_mutex_destroy(&w->counter.mu);
    pthread_cond_destroy(&w->counter.wake);
    assert_int_equal(w->mem.bytes, 0);
    assert_int_equal(w->client_mem.bytes, 0);
    assert_int_equal(w->test_mem.bytes, 0);
    return w->counter.records;
}

static inline int post(struct world *w, struct str body, const char *encoding)
{
    struct err e = {0};
    char header[64];
    const char *headers[] = {"Content-Type: application/x-ndjson", NULL, NULL};
    if (encoding != NULL) {
        snprintf(header, sizeof header, "Content-Encoding: %s", encoding);
        headers[1] = header;
    }
    buf_release(&w->answer.body);
    if (!http_client_do(w->client, "POST", w->url, headers, body, 1 << 20, &w->answer, &e)) {
        print_error("POST: %s\n", e.msg);
        return 0;
    }
    return w->answer.status;
}

static inline struct str gzipped(struct str text, char *out, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text.p;
    z.avail_in = (unsigned)text.n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    return str_of(out, n);
}

#endif
