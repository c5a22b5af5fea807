/* The door over loopback with a real river on a simulated disk: what is answered, what is stored,
 * what is counted - for good bodies, bad lines, damaged and swollen ones, single bytes, a full
 * queue, a dead disk. */
#include "base/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/simos.h"
#include "codec/expo.h"
#include "codec/yaml.h"
#include "flow/pillar.h"
#include "flow/river.h"
#include "ingest/ndjson/ndjson.h"
#include "net/http_client.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

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

static void *state_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e)
{
    (void)shard;
    (void)shards;
    (void)m;
    (void)e;
    return app;
}

static void state_free(void *state)
{
    (void)state;
}

static void state_begin(void *state, const struct record_reader *r)
{
    (void)state;
    (void)r;
}

static void state_apply(void *state, const struct record *rec, const struct record_reader *r)
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

static void state_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    (void)app;
    (void)states;
    (void)n;
    BUF_LIT(out, "x");
}

static bool state_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e)
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

static bool server_open(struct world *w, uint16_t port, struct err *e)
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

static void world_open(struct world *w, const char *yaml, uint64_t queue_bytes_max)
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

static void hold(struct world *w, bool on)
{
    pthread_mutex_lock(&w->counter.mu);
    w->counter.hold = on;
    pthread_cond_broadcast(&w->counter.wake);
    pthread_mutex_unlock(&w->counter.mu);
}

/* Stops everything and gives the number of records that reached the pillar. */
static uint64_t world_close(struct world *w)
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

static int post(struct world *w, struct str body, const char *encoding)
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

static double metric(struct world *w, const char *family, const char *name, const char *value)
{
    struct expo x;
    struct arena a;
    arena_init(&a, &w->test_mem, 1 << 20);
    expo_init(&x, &a, 0);
    ndjson_publish(w->door, &x);
    struct label l = {str_from_c(name), str_from_c(value)};
    const struct expo_sample *s = expo_find(&x, str_from_c(family), &l, 1);
    assert_non_null(s);
    double v = s->value;
    arena_release(&a);
    return v;
}

TEST(good_and_bad_lines_in_one_body)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR(LABEL "\r\n\n{\"type\":\"label\",\n" LABEL), NULL), 200);
    assert_str(buf_str(&w.answer.body),
               STR("{\"accepted\":2,\"rejected\":1,\"errors\":[{\"line\":3,\"column\":17,"
                   "\"reason\":\"json\",\"message\":\"expected a key in '\\\"', found the end\"}],"
                   "\"errors_truncated\":false}\n"));
    assert_true(metric(&w, "farol_ingest_rejected", "reason", "json") == 1);
    assert_true(metric(&w, "farol_ingest_requests", "result", "stored") == 1);
    struct buf status;
    buf_init(&status, &w.test_mem, 1 << 16);
    ndjson_status(w.door, &status);
    assert_true(str_contains(buf_str(&status), STR("\"accepted\":2,\"rejected\":1,")));
    buf_release(&status);
    assert_int_equal(world_close(&w), 2);
}

TEST(a_byte_order_mark_costs_no_line)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    /* At the start of a body it is a mark, elsewhere it is not JSON. */
    assert_int_equal(post(&w, STR("\xEF\xBB\xBF" LABEL "\n\xEF\xBB\xBF" LABEL), NULL), 200);
    assert_true(
        str_starts(buf_str(&w.answer.body),
                   STR("{\"accepted\":1,\"rejected\":1,\"errors\":[{\"line\":2,\"column\":1,")));
    assert_int_equal(world_close(&w), 1);
}

TEST(only_bad_lines_are_a_bad_request_and_nothing_is_nothing)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR("x\n"), NULL), 400);
    assert_true(str_starts(buf_str(&w.answer.body), STR("{\"accepted\":0,\"rejected\":1,")));
    assert_int_equal(post(&w, STR("\n\r\n"), NULL), 200);
    assert_int_equal(post(&w, STR(""), NULL), 200);
    assert_str(buf_str(&w.answer.body), STR("{\"accepted\":0,\"rejected\":0,\"errors\":[],"
                                            "\"errors_truncated\":false}\n"));
    assert_int_equal(world_close(&w), 0);
}

TEST(errors_are_listed_up_to_a_hundred_and_counted_all)
{
    struct world w;
    struct buf b;
    world_open(&w, "", 1 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    for (int i = 0; i < 150; i++) {
        BUF_LIT(&b, "x\n");
    }
    BUF_LIT(&b, LABEL);
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    struct str body = buf_str(&w.answer.body);
    assert_true(str_starts(body, STR("{\"accepted\":1,\"rejected\":150,")));
    assert_true(str_contains(body, STR("\"line\":100,")));
    assert_false(str_contains(body, STR("\"line\":101,")));
    assert_true(str_ends(body, STR("\"errors_truncated\":true}\n")));
    buf_release(&b);
    assert_int_equal(world_close(&w), 1);
}

/* Lines around the bound, and one far above it that arrives in many pieces: only they are lost. */
TEST(long_lines_cost_only_themselves)
{
    struct world w;
    struct buf b;
    world_open(&w, "line_bytes_max: 1KiB", 8 << 20);
    buf_init(&b, &w.test_mem, 4 << 20);
    BUF_LIT(&b, LABEL "\n" LABEL);
    while (b.n < 2 * sizeof LABEL - 1 + 1024 - sizeof LABEL) {
        buf_char(&b, ' ');
    }
    BUF_LIT(&b, "\r\n");
    size_t ok_bytes = b.n;
    BUF_LIT(&b, LABEL);
    while (b.n < ok_bytes + 1025) {
        buf_char(&b, ' ');
    }
    BUF_LIT(&b, "\n");
    for (size_t i = 0; i < 3 << 20; i++) {
        buf_char(&b, 'y');
    }
    BUF_LIT(&b, "\n" LABEL "\n");
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    assert_str(buf_str(&w.answer.body),
               STR("{\"accepted\":3,\"rejected\":2,\"errors\":["
                   "{\"line\":3,\"column\":1,\"reason\":\"limit\",\"message\":"
                   "\"line is longer than 1024 bytes\"},"
                   "{\"line\":4,\"column\":1,\"reason\":\"limit\",\"message\":"
                   "\"line is longer than 1024 bytes\"}],\"errors_truncated\":false}\n"));
    buf_release(&b);
    assert_int_equal(world_close(&w), 3);
}

static struct str gzipped(struct str text, char *out, size_t cap)
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

/* The state of a request is used again: what one body left undone must not eat of the next. */
TEST(a_body_that_ends_inside_a_long_line_spares_the_next_body)
{
    struct world w;
    struct buf b;
    world_open(&w, "line_bytes_max: 1KiB", 8 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    for (size_t i = 0; i < 300000; i++) {
        buf_char(&b, 'y');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 400);
    assert_int_equal(post(&w, STR(LABEL "\n" LABEL), NULL), 200);
    assert_true(str_starts(buf_str(&w.answer.body), STR("{\"accepted\":2,\"rejected\":0,")));
    buf_release(&b);
    assert_int_equal(world_close(&w), 2);
}

TEST(bodies_of_exactly_the_bounds_are_taken)
{
    struct world w;
    struct buf b;
    char packed[8192];
    world_open(&w, "{body_bytes_max: 2KiB, unpacked_bytes_max: 4KiB}", 8 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    BUF_LIT(&b, LABEL);
    while (b.n < 2048) {
        buf_char(&b, '\n');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    while (b.n < 4096) {
        buf_char(&b, '\n');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 413);
    assert_int_equal(post(&w, gzipped(buf_str(&b), packed, sizeof packed), "gzip"), 200);
    buf_char(&b, '\n');
    assert_int_equal(post(&w, gzipped(buf_str(&b), packed, sizeof packed), "gzip"), 413);
    buf_release(&b);
    assert_int_equal(world_close(&w), 2);
}

TEST(compressed_bodies)
{
    static const char text[] = LABEL "\n" LABEL "\n" LABEL;
    struct world w;
    char packed[1024];
    world_open(&w, "", 1 << 20);
    struct str gz = gzipped(str_from_c(text), packed, sizeof packed);
    assert_int_equal(post(&w, gz, "gzip"), 200);
    /* A stream that stops in the middle: nothing of it is stored, though a line was whole. */
    assert_int_equal(post(&w, str_sub(gz, 0, gz.n - 4), "gzip"), 400);
    assert_true(str_contains(buf_str(&w.answer.body), STR("\"error\"")));
    packed[gz.n / 2] = (char)(packed[gz.n / 2] ^ 0x55);
    assert_int_equal(post(&w, gz, "gzip"), 400);
    assert_int_equal(post(&w, str_from_c(text), "gzip"), 400);
    size_t n = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 1);
    assert_false(ZSTD_isError(n));
    assert_int_equal(post(&w, str_of(packed, n), "zstd"), 200);
    assert_int_equal(post(&w, str_from_c(text), "br"), 415);
    assert_int_equal(post(&w, str_from_c(text), "identity"), 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "broken") == 4);
    assert_int_equal(world_close(&w), 9);
}

TEST(bodies_over_a_bound_store_nothing)
{
    struct world w;
    static char zeros[1 << 20];
    static char packed[1 << 14];
    world_open(&w, "{body_bytes_max: 4KiB, unpacked_bytes_max: 64KiB}", 1 << 20);
    struct str bomb = gzipped(str_of(zeros, sizeof zeros), packed, sizeof packed);
    assert_true(bomb.n < 4096);
    assert_int_equal(post(&w, bomb, "gzip"), 413);
    memset(zeros, '\n', sizeof zeros);
    memcpy(zeros, LABEL, sizeof LABEL - 1);
    assert_int_equal(post(&w, str_of(zeros, 4097), NULL), 413);
    assert_int_equal(post(&w, str_of(zeros, 4096), NULL), 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "too_large") == 2);
    assert_int_equal(world_close(&w), 1);
}

static int raw_connect(const struct world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(w->server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

TEST(a_body_in_single_bytes)
{
    static const char body[] = LABEL "\r\nbad\n" LABEL;
    struct world w;
    char text[2048];
    world_open(&w, "", 1 << 20);
    int fd = raw_connect(&w);
    int n = snprintf(
        text, sizeof text,
        "POST /ingest/v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(send(fd, text, (size_t)n, 0), n);
    for (size_t i = 0; i < sizeof body - 1; i++) {
        char chunk[] = {'1', '\r', '\n', body[i], '\r', '\n'};
        assert_int_equal(send(fd, chunk, sizeof chunk, 0), sizeof chunk);
    }
    assert_int_equal(send(fd, "0\r\n\r\n", 5, 0), 5);
    size_t got = 0;
    while (got < sizeof text - 1 && !str_contains(str_of(text, got), STR("truncated"))) {
        ssize_t r = recv(fd, text + got, sizeof text - 1 - got, 0);
        assert_true(r > 0);
        got += (size_t)r;
    }
    close(fd);
    assert_true(str_starts(str_of(text, got), STR("HTTP/1.1 200 ")));
    assert_true(str_contains(str_of(text, got), STR("{\"accepted\":2,\"rejected\":1,")));
    assert_int_equal(world_close(&w), 2);
}

/* A client that leaves in the middle: its state comes back, nothing is stored. */
TEST(an_abandoned_body_is_given_back)
{
    static const char head[] =
        "POST /ingest/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" LABEL "\n";
    struct world w;
    world_open(&w, "requests_max: 1", 1 << 20);
    int fd = raw_connect(&w);
    assert_int_equal(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    /* The only state is taken: others are told to come back. */
    int status = 0;
    while ((status = post(&w, STR(LABEL), NULL)) == 200) {
    }
    assert_int_equal(status, 503);
    assert_int_equal(w.answer.retry_after_ms, 1000);
    close(fd);
    while ((status = post(&w, STR(LABEL), NULL)) == 503) {
    }
    assert_int_equal(status, 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "abandoned") == 1);
    double stored = metric(&w, "farol_ingest_requests", "result", "stored");
    assert_true((double)world_close(&w) == stored);
}

TEST(a_full_queue_says_come_back_and_stores_nothing)
{
    struct world w;
    world_open(&w, "", 4096);
    hold(&w, true);
    int status = 200;
    uint64_t stored = 0;
    while ((status = post(&w, STR(LABEL), NULL)) == 200) {
        assert_true(++stored < 100);
    }
    assert_int_equal(status, 503);
    assert_int_equal(w.answer.retry_after_ms, 1000);
    assert_true(stored > 0);
    assert_true(metric(&w, "farol_ingest_requests", "result", "busy") == 1);
    assert_true(metric(&w, "farol_ingest_rejected", "reason", "limit") == 0);
    hold(&w, false);
    while ((status = post(&w, STR(LABEL), NULL)) == 503) {
    }
    assert_int_equal(status, 200);
    assert_int_equal(world_close(&w), stored + 1);
}

TEST(a_dead_disk_is_not_acknowledged)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR(LABEL), NULL), 200);
    simos_fault_from(w.sim, 1, SIMOS_FULL);
    assert_int_equal(post(&w, STR(LABEL), NULL), 503);
    assert_true(metric(&w, "farol_ingest_requests", "result", "failed") == 1);
    simos_fault_from(w.sim, 0, SIMOS_OK);
    assert_int_equal(world_close(&w), 1);
}

struct sender {
    struct world *w;
    pthread_t thread;
    uint32_t stored;
};

static void *send_many(void *arg)
{
    struct sender *s = arg;
    struct mem m;
    struct err e;
    mem_init(&m, 0);
    struct http_client *c = http_client_new(&m, 2000, 20000);
    for (int i = 0; c != NULL && i < 50; i++) {
        struct http_answer a = {0};
        if (http_client_do(c, "POST", s->w->url, NULL, STR(LABEL "\n" LABEL "\n"), 4096, &a, &e)) {
            s->stored += a.status == 200 ? 2 : 0;
        }
        buf_release(&a.body);
    }
    http_client_free(c);
    return NULL;
}

TEST(many_senders_at_once)
{
    struct world w;
    struct sender senders[4];
    uint64_t stored = 0;
    world_open(&w, "", 16 << 20);
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        senders[i] = (struct sender){.w = &w};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        pthread_join(senders[i].thread, NULL);
        stored += senders[i].stored;
    }
    assert_int_equal(stored, 400);
    assert_int_equal(world_close(&w), 400);
}

/* Every allocation of the door fails once: the request is then refused whole, or answered right. */
static bool fail_at(void *ctx, size_t bytes)
{
    uint64_t *left = ctx;
    (void)bytes;
    return *left == 0 || --*left > 0;
}

TEST(the_door_survives_any_failed_allocation)
{
    uint64_t refused = 0;
    for (uint64_t at = 1; at < 64; at++) {
        struct world w;
        uint64_t left = at;
        world_open(&w, "", 1 << 20);
        w.mem.allow = fail_at;
        w.mem.allow_ctx = &left;
        int status = post(&w, STR(LABEL "\nx\n"), NULL);
        assert_true(status == 200 || status == 503);
        refused += status == 503;
        bool met = left == 0;
        w.mem.allow = NULL;
        uint64_t stored = world_close(&w);
        assert_int_equal(stored, status == 200 ? 1 : 0);
        if (!met) {
            assert_true(refused > 0);
            return;
        }
    }
    fail_msg("more than 64 allocations for one request");
}

/* -- The sender against the door. -- */

static void disk_file(struct world *w, const char *path, struct str content)
{
    struct err e = {0};
    if (!file_replace(simos_os(w->sim), path, content, &e)) {
        fail_msg("%s", e.msg);
    }
}

static struct ndjson_sender *sender_open(struct world *w, struct ndjson_sender_config *c)
{
    struct ndjson_sender *s = NULL;
    struct err e = {0};
    c->os = simos_os(w->sim);
    c->batch_lines_max = c->batch_lines_max ? c->batch_lines_max : 5000;
    c->url = w->url; /* without its path: the sender adds it */
    *strrchr(w->url, '/') = '\0';
    *strrchr(w->url, '/') = '\0';
    *strrchr(w->url, '/') = '\0';
    if (!ndjson_sender_new(c, &w->client_mem, &s, &e)) {
        fail_msg("%s", e.msg);
    }
    return s;
}

TEST(files_are_sent_whole_and_errors_keep_their_line)
{
    static const char plain[] = LABEL "\n\n" LABEL "\n" LABEL "\nx\n" LABEL; /* line 5 is bad */
    struct world w;
    struct err e = {0};
    char packed[1024];
    world_open(&w, "", 1 << 20);
    disk_file(&w, "plain", str_from_c(plain));
    disk_file(&w, "gz", gzipped(str_from_c(plain), packed, sizeof packed));
    size_t n = ZSTD_compress(packed, sizeof packed, plain, sizeof plain - 1, 1);
    disk_file(&w, "zst", str_of(packed, n));
    disk_file(&w, "empty", STR(""));
    struct ndjson_sender_config c = {.batch_lines_max = 2};
    struct ndjson_sender *s = sender_open(&w, &c);
    static const char *const files[] = {"plain", "gz", "empty", "zst"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_true(ndjson_send_file(s, files[i], &e));
    }
    const struct ndjson_sent *sent = ndjson_sender_sent(s);
    assert_int_equal(sent->accepted, 12);
    assert_int_equal(sent->rejected, 3);
    assert_int_equal(sent->lines, 18);
    assert_int_equal(sent->batches, 9);
    assert_int_equal(sent->errors_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sent->errors[i].line, 5);
        assert_int_equal(sent->errors[i].col, 1);
    }
    assert_string_equal(sent->errors[1].path, "gz");
    assert_string_equal(sent->errors[2].msg, "expected a value, found 'x'");
    assert_false(ndjson_send_file(s, "absent", &e));
    assert_int_equal(e.code, ERR_IO);
    disk_file(&w, "zst", str_of(packed, n - 3));
    assert_false(ndjson_send_file(s, "zst", &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.where, "zst");
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 12);
}

/* zstd --long: a window that no stranger's body may have, but a user's file may. */
TEST(a_file_with_a_large_zstd_window_is_read)
{
    static const char text[] = LABEL "\n" LABEL "\n";
    struct world w;
    struct err e = {0};
    char packed[1024];
    world_open(&w, "", 1 << 20);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_inBuffer in = {text, sizeof text - 1, 0};
    ZSTD_outBuffer out = {packed, sizeof packed, 0};
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, 27)));
    assert_false(ZSTD_isError(ZSTD_compressStream2(z, &out, &in, ZSTD_e_flush)));
    assert_int_equal(ZSTD_compressStream2(z, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(z);
    struct str body = str_of(packed, out.pos);
    assert_int_equal(post(&w, body, "zstd"), 413);
    disk_file(&w, "long", body);
    struct ndjson_sender_config c = {0};
    struct ndjson_sender *s = sender_open(&w, &c);
    assert_true(ndjson_send_file(s, "long", &e));
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 2);
}

/* An hour of events at 60x is a minute, on the simulated clock. */
TEST(pace_follows_the_time_of_the_events)
{
    struct world w;
    struct err e = {0};
    struct buf b;
    world_open(&w, "", 1 << 20);
    buf_init(&b, &w.test_mem, 1 << 16);
    for (int minute = 0; minute <= 60; minute++) {
        buf_fmt(&b,
                "{\"type\":\"label\",\"id\":\"E10002877201805140000KH5FHKLEC67\",\"ts\":\"2018-05-"
                "20T1%d:"
                "%02d:00Z\",\"label\":\"fraud\"}\n",
                minute / 60, minute % 60);
    }
    BUF_LIT(&b, LABEL "\n"); /* earlier than the last: goes at once */
    disk_file(&w, "hour", buf_str(&b));
    struct ndjson_sender_config c = {.speed = 60};
    struct ndjson_sender *s = sender_open(&w, &c);
    int64_t start_ns = os_mono_ns(c.os);
    assert_true(ndjson_send_file(s, "hour", &e));
    int64_t took_ns = os_mono_ns(c.os) - start_ns;
    assert_true(took_ns >= 60 * NS_PER_S);
    assert_true(took_ns < 61 * NS_PER_S);
    assert_int_equal(ndjson_sender_sent(s)->accepted, 62);
    assert_int_equal(ndjson_sender_sent(s)->batches, 61);
    ndjson_sender_free(s);
    buf_release(&b);
    assert_int_equal(world_close(&w), 62);
}

TEST(a_refused_first_connection_is_not_tried_again)
{
    struct world w;
    struct err e = {0};
    world_open(&w, "", 1 << 20);
    disk_file(&w, "f", STR(LABEL));
    struct ndjson_sender_config c = {.retry_ms = 60000};
    struct ndjson_sender *s = sender_open(&w, &c);
    ndjson_sender_free(s);
    c.url = "http://127.0.0.1:1";
    assert_true(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_false(ndjson_send_file(s, "f", &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(ndjson_sender_sent(s)->retries, 0);
    ndjson_sender_free(s);
    c.url = "ftp://x";
    assert_false(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_int_equal(world_close(&w), 0);
}

/* Lets the queue go on when the sender waits for it. */
static void release_queue(void *ctx, const struct ndjson_sent *sent)
{
    struct world *w = ctx;
    if (sent->waiting != NULL) {
        assert_string_equal(sent->waiting, "busy");
        hold(w, false);
    }
}

TEST(a_busy_door_is_tried_again_until_all_is_stored)
{
    struct world w;
    struct err e = {0};
    struct buf b;
    world_open(&w, "", 4096);
    buf_init(&b, &w.test_mem, 1 << 16);
    for (int i = 0; i < 40; i++) {
        BUF_LIT(&b, LABEL "\n");
    }
    disk_file(&w, "f", buf_str(&b));
    hold(&w, true);
    struct ndjson_sender_config c = {
        .batch_lines_max = 1, .retry_ms = 600000, .progress = release_queue, .progress_ctx = &w};
    struct ndjson_sender *s = sender_open(&w, &c);
    assert_true(ndjson_send_file(s, "f", &e));
    assert_int_equal(ndjson_sender_sent(s)->accepted, 40);
    assert_true(ndjson_sender_sent(s)->retries > 0);
    ndjson_sender_free(s);
    /* And it gives up when nothing moves for retry_ms. */
    hold(&w, true);
    c.progress = NULL;
    c.retry_ms = 5000;
    assert_true(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_false(ndjson_send_file(s, "f", &e));
    assert_int_equal(e.code, ERR_BUSY);
    uint64_t stored = 40 + ndjson_sender_sent(s)->accepted;
    ndjson_sender_free(s);
    buf_release(&b);
    assert_int_equal(world_close(&w), stored);
}

/* Stops the server after the first batch and starts it again once the sender has noticed. */
static void restart_server(void *ctx, const struct ndjson_sent *sent)
{
    struct world *w = ctx;
    struct err e = {0};
    if (sent->waiting != NULL && w->server == NULL) {
        assert_string_equal(sent->waiting, "no connection");
        if (!server_open(w, w->port, &e)) {
            fail_msg("%s", e.msg);
        }
    } else if (sent->batches == 1 && w->port == 0) {
        w->port = http_server_port(w->server);
        http_server_stop(w->server);
        w->server = NULL;
    }
}

TEST(a_lost_connection_is_made_again_and_nothing_is_missing)
{
    struct world w;
    struct err e = {0};
    world_open(&w, "", 1 << 20);
    disk_file(&w, "f", STR(LABEL "\n" LABEL "\n" LABEL "\n"));
    struct ndjson_sender_config c = {
        .batch_lines_max = 1, .retry_ms = 60000, .progress = restart_server, .progress_ctx = &w};
    struct ndjson_sender *s = sender_open(&w, &c);
    if (!ndjson_send_file(s, "f", &e)) {
        fail_msg("%s", e.msg);
    }
    assert_int_equal(ndjson_sender_sent(s)->accepted, 3);
    assert_true(ndjson_sender_sent(s)->retries > 0);
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 3);
}
