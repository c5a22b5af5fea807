/* A destination against a receiver on loopback that decodes what it gets: everything arrives,
 * in the order of its series, once - through refusals, outages, restarts of either side. */
#include "forward/remote_write/forward_int.h"

#include "base/clock.h"
#include "base/test.h"
#include "codec/prompb.h"
#include "codec/snappy.h"
#include "net/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SERIES 7

/* What the receiver does and got. lock: mu */
struct receiver {
    pthread_mutex_t mu;
    int status;        /* of the next `fails` requests; then 204 */
    int fails;         /* -1: for ever */
    double poison;     /* a request with this value gets 400 */
    bool stores_first; /* failing requests are stored all the same */
    uint32_t requests, exemplars, histograms, disordered, repeated;
    uint32_t got[SERIES]; /* samples by series */
    int64_t last[SERIES];
    char labels[512]; /* of the last series */
    char head[512];   /* of the last request: version, authorization, x-test */
    struct buf plain;
    struct mem mem;
};

struct world {
    struct mem mem, config_mem;
    struct arena arena;
    char dir[64];
    struct tsdb *db;
    struct tsdb_batch *batch;
    uint32_t ref[SERIES];
    struct receiver rx;
    struct http_server *server;
    struct http_route route;
    uint16_t port;
    struct forward_config *config;
    struct forward_options options;
    struct forward *f;
    int64_t t0;
};

/* -- the receiver -- */

struct parsed {
    char name[64];
    struct str symbols[256];
    uint32_t symbols_n;
    bool poisoned, v2;
};

static void note_label(struct receiver *r, struct parsed *p, struct str name, struct str value)
{
    if (str_eq(name, STR(LABEL_NAME))) {
        snprintf(p->name, sizeof p->name, "%.*s", STR_FMT(value));
    }
    const size_t at = strlen(r->labels);
    snprintf(r->labels + at, sizeof r->labels - at, "%.*s=%.*s ", STR_FMT(name), STR_FMT(value));
}

static void note_sample(struct receiver *r, const struct parsed *p, int64_t t_ms, bool count)
{
    uint64_t k;
    if (!str_to_u64(str_sub(str_from_c(p->name), 1, 9), &k) || k >= SERIES || !count) {
        return;
    }
    r->disordered += t_ms < r->last[k];
    r->repeated += t_ms == r->last[k];
    r->last[k] = t_ms;
    r->got[k]++;
}

static void parse_series(struct receiver *r, struct parsed *p, struct str bytes, bool count)
{
    struct pb at = pb_of(bytes);
    struct pb_field f;
    r->labels[0] = 0;
    while (pb_next(&at, &f)) {
        struct pb in = pb_of(f.bytes);
        struct pb_field g;
        struct str kv[2] = {{"", 0}, {"", 0}};
        double v = 0;
        int64_t t = 0;
        if (f.number == 1 && p->v2) {
            uint64_t name, value;
            while (in.p < in.end && pb_varint(&in, &name) && pb_varint(&in, &value)) {
                assert_true(name < p->symbols_n && value < p->symbols_n);
                note_label(r, p, p->symbols[name], p->symbols[value]);
            }
            continue;
        }
        while (pb_next(&in, &g)) {
            if (f.number == 1) {
                kv[g.number - 1] = g.bytes;
            } else if (f.number == 2 && g.number == 1) {
                v = pb_f64(g.u);
            } else if (g.number == 2) {
                t = (int64_t)g.u;
            }
        }
        if (f.number == 1) {
            note_label(r, p, kv[0], kv[1]);
        } else if (f.number == 2) {
            p->poisoned |= v == r->poison;
            note_sample(r, p, t, count);
        } else {
            r->exemplars += count && f.number == (p->v2 ? 4 : 3);
            r->histograms += count && f.number == (p->v2 ? 3 : 4);
        }
    }
    assert_false(at.failed);
}

static bool parse(struct receiver *r, bool v2, bool count)
{
    struct parsed p = {.v2 = v2};
    for (int pass = 0; pass < 2; pass++) {
        struct pb at = pb_of(buf_str(&r->plain));
        struct pb_field f;
        while (pb_next(&at, &f)) {
            if (pass == 0 && v2 && f.number == 4 && p.symbols_n < 256) {
                p.symbols[p.symbols_n++] = f.bytes;
            }
            if (pass == 1 && f.number == (v2 ? 5 : 1)) {
                parse_series(r, &p, f.bytes, count);
            }
        }
        assert_false(at.failed);
    }
    return !p.poisoned;
}

/* A request; several come at once. */
struct request {
    struct receiver *r;
    struct mem mem;
    struct buf body;
};

static void *on_begin(void *app, struct http_request *rq)
{
    (void)rq;
    struct request *q = calloc(1, sizeof *q);
    assert_non_null(q);
    q->r = app;
    mem_init(&q->mem, 0);
    buf_init(&q->body, &q->mem, 1 << 24);
    return q;
}

static bool on_data(void *state, struct str piece, struct err *e)
{
    struct request *q = state;
    buf_str_add(&q->body, piece);
    return buf_ok(&q->body, e);
}

static void on_abort(void *app, void *state)
{
    (void)app;
    struct request *q = state;
    buf_release(&q->body);
    free(q);
}

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    static const char *const later[] = {"Retry-After", "0", NULL};
    struct request *q = state;
    struct receiver *r = q->r;
    struct err e = {0};
    assert_null(failed);
    pthread_mutex_lock(&r->mu);
    const struct str type = http_header(rq, "Content-Type");
    snprintf(r->head, sizeof r->head, "%.*s|%.*s|%.*s",
             STR_FMT(http_header(rq, "X-Prometheus-Remote-Write-Version")),
             STR_FMT(http_header(rq, "Authorization")), STR_FMT(http_header(rq, "X-Test")));
    buf_reset(&r->plain);
    assert_true(snappy_unpack(buf_str(&q->body), 1 << 24, &r->plain, &e));
    r->requests++;
    int status = 204;
    const bool v2 = str_contains(type, STR("v2.Request"));
    if (r->fails != 0) {
        r->fails -= r->fails > 0;
        status = r->status;
    } else if (!parse(r, v2, false)) {
        status = 400;
    }
    if (status == 204 || r->stores_first) {
        (void)parse(r, v2, true);
    }
    pthread_mutex_unlock(&r->mu);
    on_abort(app, q);
    http_respond(rq, status, NULL, NULL, status == 503 ? later : NULL);
}

static void server_open(struct world *w)
{
    struct err e = {0};
    const struct http_server_config sc = {.address = "127.0.0.1",
                                          .port = w->port,
                                          .threads = 1,
                                          .connections_max = 16,
                                          .idle_timeout_s = 10,
                                          .request_bytes_max = 8192};
    w->route = (struct http_route){.method = "POST",
                                   .path = "/api/v1/write",
                                   .help = "test",
                                   .body_bytes_max = 1 << 24,
                                   .begin = on_begin,
                                   .data = on_data,
                                   .end = on_end,
                                   .abort = on_abort,
                                   .app = &w->rx};
    if (!http_server_start(&w->server, &sc, &w->route, 1, NULL, NULL, &e)) {
        fail_msg("%s", e.msg);
    }
    w->port = http_server_port(w->server);
}

static void server_close(struct world *w)
{
    http_server_stop(w->server);
    w->server = NULL;
}

/* -- the world -- */

static struct forward_config *config_of(struct world *w, const char *more, uint32_t *n,
                                        struct err *e)
{
    char text[1024];
    struct yaml_node *doc;
    struct forward_config *c;
    snprintf(text, sizeof text,
             "- url: http://127.0.0.1:%u/api/v1/write\n  name: a\n  queue_config: "
             "{max_samples_per_send: "
             "10, batch_send_deadline: 20ms, min_backoff: 5ms, max_backoff: 20ms}\n%s",
             w->port, more);
    assert_true(yaml_parse(str_from_c(text), "test", &w->arena, &doc, e));
    return forward_config_read(doc, "/etc", &w->arena, &c, n, e) ? c : NULL;
}

static void forward_open(struct world *w)
{
    struct err e = {0};
    if (!forward_new(w->config, 1, &w->options, &w->f, &e)) {
        fail_msg("%s", e.msg);
    }
}

static void store_open(struct world *w)
{
    struct tsdb_config c;
    struct err e = {0};
    char path[96];
    tsdb_config_default(&c);
    snprintf(path, sizeof path, "%s/store", w->dir);
    c.dir = path;
    c.tap_bytes_max = 1 << 26;
    if (!tsdb_open(&w->db, &c, os_real(), NULL, &e)) {
        fail_msg("%s", e.msg);
    }
    w->options.db = w->db;
    for (uint32_t k = 0; k < SERIES; k++) {
        char name[8];
        snprintf(name, sizeof name, "m%u", k);
        const struct label l[] = {{STR("__name__"), str_from_c(name)}, {STR("job"), STR("x")}};
        assert_true(tsdb_series(w->db, 0, (struct labels){l, 2}, &w->ref[k], &e));
    }
}

static void world_open(struct world *w, const char *more)
{
    struct err e = {0};
    uint32_t n;
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    mem_init(&w->config_mem, 0);
    mem_init(&w->rx.mem, 0);
    arena_init(&w->arena, &w->config_mem, 1 << 20);
    buf_init(&w->rx.plain, &w->rx.mem, 1 << 24);
    w->rx.poison = -1;
    pthread_mutex_init(&w->rx.mu, NULL);
    snprintf(w->dir, sizeof w->dir, "/tmp/farol-forward-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    server_open(w);
    w->config = config_of(w, more, &n, &e);
    if (!w->config) {
        fail_msg("%s", e.msg);
    }
    w->t0 = ms_from_ns(os_now_ns(os_real())) - 3600000;
    w->options = (struct forward_options){
        .os = os_real(), .mem = &w->mem, .dir = w->dir, .user_agent = "farol/test"};
    w->batch = tsdb_batch_new(&w->config_mem, 1 << 22);
    store_open(w);
    forward_open(w);
}

struct removal {
    char names[64][64];
    uint32_t n;
};

static void note_name(void *ctx, const char *name)
{
    struct removal *r = ctx;
    if (r->n < 64) {
        snprintf(r->names[r->n++], 64, "%s", name);
    }
}

/* Folders are listed, files are not: that tells them apart. depth: three levels at most. */
static void remove_all(const char *path)
{
    const struct os *os = os_real();
    struct removal r = {.n = 0};
    struct err e;
    (void)os->list(os->ctx, path, note_name, &r);
    for (uint32_t i = 0; i < r.n; i++) {
        char inner[PATH_BYTES_MAX];
        assert_true(path_join(inner, sizeof inner, path, r.names[i], &e));
        if (os->unlink(os->ctx, inner) != 0) {
            remove_all(inner);
        }
    }
    assert_int_equal(os->unlink(os->ctx, path), 0);
}

static void world_close(struct world *w)
{
    forward_free(w->f);
    tsdb_batch_free(w->batch);
    tsdb_close(w->db);
    if (w->server) {
        server_close(w);
    }
    buf_release(&w->rx.plain);
    arena_release(&w->arena);
    pthread_mutex_destroy(&w->rx.mu);
    assert_int_equal(w->mem.bytes, 0);
    assert_int_equal(w->config_mem.bytes, 0);
    assert_int_equal(w->rx.mem.bytes, 0);
    remove_all(w->dir);
}

/* One sample of each series for each of the times [from, to), value = time. */
static void commit(struct world *w, int from, int to)
{
    struct err e = {0};
    struct tsdb_result r;
    for (int i = from; i < to; i++) {
        for (uint32_t k = 0; k < SERIES; k++) {
            assert_true(tsdb_batch_add(w->batch, w->ref[k], w->t0 + i, i, &e));
        }
        assert_true(tsdb_commit_wait(w->db, w->batch, 0, &r, &e));
        tsdb_batch_reset(w->batch);
    }
}

static double published(struct world *w, const char *family, const char *reason)
{
    struct arena a;
    struct expo x;
    arena_init(&a, &w->config_mem, 1 << 20);
    expo_init(&x, &a, 0);
    forward_publish(w->f, &x);
    const struct label l[] = {{STR("name"), STR("a")}, {STR("reason"), str_from_c(reason)}};
    const struct expo_sample *s = expo_find(&x, str_from_c(family), l, reason[0] ? 2 : 1);
    const double v = s ? s->value : -1;
    arena_release(&a);
    return v;
}

/* Until nothing waits; at most 20 s. */
static void drain(struct world *w)
{
    const struct timespec nap = {0, 5000000};
    for (int i = 0; i < 4000; i++) {
        if (published(w, "farol_forward_lag_bytes", "") == 0 &&
            published(w, "farol_forward_lag_seconds", "") == 0) {
            return;
        }
        nanosleep(&nap, NULL);
    }
    fail_msg("it still waits after 20 s");
}

static void assert_all(struct world *w, uint32_t samples)
{
    pthread_mutex_lock(&w->rx.mu);
    for (uint32_t k = 0; k < SERIES; k++) {
        assert_int_equal(w->rx.got[k], samples);
    }
    assert_int_equal(w->rx.disordered, 0);
    assert_int_equal(w->rx.repeated, 0);
    pthread_mutex_unlock(&w->rx.mu);
}

/* -- tests -- */

TEST(all_that_is_committed_arrives_once_and_in_order)
{
    static const char *const versions[] = {"",
                                           "  protobuf_message: io.prometheus.write.v2.Request\n"};
    for (size_t v = 0; v < 2; v++) {
        struct world w;
        world_open(&w, versions[v]);
        commit(&w, 0, 200);
        drain(&w);
        assert_all(&w, 200);
        assert_true(published(&w, "farol_forward_samples", "") == 200 * SERIES);
        assert_true(strncmp(w.rx.head, v ? "2.0.0|" : "0.1.0|", 6) == 0);
        assert_string_equal(strchr(w.rx.labels, ' ') + 1, "job=x ");
        world_close(&w);
    }
}

TEST(refusals_for_now_are_tried_again)
{
    static const int statuses[] = {503, 500, 429};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct world w;
        world_open(&w, "");
        w.rx.status = statuses[i];
        w.rx.fails = 5;
        commit(&w, 0, 20);
        drain(&w);
        assert_all(&w, 20);
        assert_true(published(&w, "farol_forward_retries", "") >= 5);
        world_close(&w);
    }
}

TEST(an_outage_loses_nothing)
{
    struct world w;
    world_open(&w, "");
    commit(&w, 0, 10);
    drain(&w);
    server_close(&w);
    commit(&w, 10, 300);
    assert_true(published(&w, "farol_forward_lag_bytes", "") > 0 ||
                published(&w, "farol_forward_lag_seconds", "") > 0);
    server_open(&w);
    drain(&w);
    assert_all(&w, 300);
    world_close(&w);
}

TEST(our_restarts_lose_nothing)
{
    struct world w;
    struct err e = {0};
    world_open(&w, "");
    commit(&w, 0, 10);
    drain(&w);
    server_close(&w);
    for (int i = 1; i < 6; i++) {
        commit(&w, 10 * i, 10 * i + 10);
        assert_true(tsdb_flush(w.db, false, &e));
        forward_free(w.f);
        tsdb_close(w.db);
        store_open(&w);
        forward_open(&w);
    }
    server_open(&w);
    drain(&w);
    assert_all(&w, 60);
    world_close(&w);
}

/* The other side stored a round, and we were stopped before we heard so: the same requests come
 * again, and only those. */
TEST(a_round_that_was_on_its_way_is_sent_again_as_it_was)
{
    struct world w;
    world_open(&w, "");
    w.rx.status = 503;
    w.rx.fails = -1;
    commit(&w, 0, 10);
    const struct timespec nap = {0, 100000000};
    nanosleep(&nap, NULL);
    char path[128], bytes[FORWARD_STATE_BYTES + 1];
    snprintf(path, sizeof path, "%s/a.position", w.dir);
    forward_free(w.f);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    struct forward_state s;
    struct err e = {0};
    assert_true(forward_state_read(str_of(bytes, n), &s, &e));
    assert_true(s.to > s.from);
    w.rx.fails = 0;
    commit(&w, 10, 20);
    forward_open(&w);
    drain(&w);
    assert_all(&w, 20);
    world_close(&w);
}

TEST(one_bad_sample_takes_no_other_with_it)
{
    struct world w;
    world_open(&w, "");
    w.rx.poison = 17; /* the value of one sample of each series */
    commit(&w, 0, 40);
    drain(&w);
    assert_all(&w, 39);
    assert_true(published(&w, "farol_forward_dropped", "refused") == SERIES);
    assert_true(published(&w, "farol_forward_samples", "") == 39 * SERIES);
    world_close(&w);
}

TEST(what_is_refused_for_good_is_counted_and_left)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{401, "denied"}, {404, "not_found"}, {415, "not_found"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, "");
        w.rx.status = rows[i].status;
        w.rx.fails = -1;
        commit(&w, 0, 10);
        drain(&w);
        assert_true(published(&w, "farol_forward_dropped", rows[i].reason) == 10 * SERIES);
        assert_true(published(&w, "farol_forward_samples", "") == 0);
        world_close(&w);
    }
}

static bool relabel(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                    struct arena *a)
{
    (void)ctx;
    (void)a;
    assert_int_equal(entry, 0);
    assert_true(*n < cap);
    for (uint32_t i = 0; i < *n; i++) {
        if (str_eq(v[i].value, STR("m3"))) {
            return false;
        }
    }
    v[(*n)++] = (struct label){STR("zone"), STR("sp")};
    return true;
}

TEST(labels_are_added_and_series_left_out_by_relabelling)
{
    struct world w;
    world_open(&w, "  write_relabel_configs: [{action: drop}]\n  headers: {X-Test: seven}\n"
                   "  basic_auth: {username: user, password: pass}\n");
    static const struct label extra[] = {{STR_INIT("job"), STR_INIT("other")},
                                         {STR_INIT("replica"), STR_INIT("a")}};
    forward_free(w.f);
    w.options.relabel = (struct forward_relabel){NULL, relabel};
    w.options.external = (struct labels){extra, 2};
    forward_open(&w);
    commit(&w, 0, 10);
    drain(&w);
    pthread_mutex_lock(&w.rx.mu);
    assert_string_equal(strchr(w.rx.labels, ' ') + 1, "job=x replica=a zone=sp ");
    assert_int_equal(w.rx.got[3], 0);
    assert_int_equal(w.rx.got[4], 10);
    assert_string_equal(w.rx.head, "0.1.0|Basic dXNlcjpwYXNz|seven");
    pthread_mutex_unlock(&w.rx.mu);
    assert_true(published(&w, "farol_forward_dropped", "relabelled") == 10);
    world_close(&w);
}

TEST(histograms_and_exemplars_are_sent_when_asked)
{
    for (int on = 0; on < 2; on++) {
        struct world w;
        struct err e = {0};
        struct tsdb_result r;
        double buckets[] = {2, 3};
        struct nhist_span span = {0, 2};
        const struct nhist h = {
            .integer = true, .count = 5, .sum = 1, .pos = {&span, buckets, 1, 2}};
        const struct label l = {STR("trace_id"), STR("x")};
        world_open(&w, on ? "  send_exemplars: true\n  send_native_histograms: true\n" : "");
        assert_true(tsdb_batch_add_nhist(w.batch, w.ref[0], w.t0, 0, &h, &e));
        assert_true(
            tsdb_batch_add_exemplar(w.batch, w.ref[1], (struct labels){&l, 1}, w.t0, 1, &e));
        assert_true(tsdb_batch_add(w.batch, w.ref[1], w.t0, 1, &e));
        assert_true(tsdb_commit_wait(w.db, w.batch, 0, &r, &e));
        drain(&w);
        assert_int_equal(w.rx.histograms, on);
        assert_int_equal(w.rx.exemplars, on);
        assert_int_equal(w.rx.got[1], 1);
        assert_true(published(&w, "farol_forward_dropped", "histogram") == !on);
        world_close(&w);
    }
}

TEST(old_samples_are_dropped_and_counted)
{
    struct world w;
    world_open(&w, "");
    forward_free(w.f);
    w.config->age_limit_ms = 60000; /* the samples are an hour old */
    forward_open(&w);
    commit(&w, 0, 10);
    drain(&w);
    assert_true(published(&w, "farol_forward_dropped", "too_old") == 10 * SERIES);
    assert_int_equal(w.rx.requests, 0);
    world_close(&w);
}

TEST(wrong_configurations_are_refused)
{
    static const char *const bad[] = {
        "  urls: x\n",
        "  protobuf_message: v3\n",
        "  basic_auth: {password: x}\n",
        "  basic_auth: {username: u, password: x, password_file: y}\n",
        "  basic_auth: {username: u}\n  authorization: {credentials: y}\n",
        "  headers: {Content-Type: x}\n",
        "  headers: {\"a b\": x}\n",
        "  oauth2: {client_id: x}\n",
        "  tls_config: {server_name: x}\n",
        "- url: ftp://x\n",
        "- url: http://x/\n  name: a\n",
        "- url: http://x/\n  queue_config: {min_shards: 9, max_shards: 3}\n",
    };
    struct world w;
    world_open(&w, "");
    forward_free(w.f); /* it borrows the configuration, whose arena is reset below */
    w.f = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        uint32_t n;
        if (config_of(&w, bad[i], &n, &e)) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(e.line > 0);
        arena_reset(&w.arena);
    }
    struct err e = {0};
    uint32_t n;
    struct forward_config *c =
        config_of(&w,
                  "- url: http://u:secret@h:1/w?x\n  metadata_config: {send: true}\n"
                  "  tls_config: {ca_file: ca.pem, insecure_skip_verify: true}\n",
                  &n, &e);
    assert_non_null(c);
    assert_int_equal(n, 2);
    assert_str(c[1].name, STR("h_1_w"));
    assert_str(c[1].http.tls.ca_file, STR("/etc/ca.pem"));
    assert_int_equal(c[1].timeout_ms, 30000);
    assert_int_equal(c[1].samples_max, 2000);
    world_close(&w);
}

TEST(a_position_is_read_as_written_and_damage_is_seen)
{
    const struct forward_state s = {.from = 5, .to = 9, .shards = 2, .samples_max = 100};
    char bytes[FORWARD_STATE_BYTES];
    struct forward_state got;
    struct err e = {0};
    forward_state_write(&s, bytes);
    assert_true(forward_state_read(str_of(bytes, sizeof bytes), &got, &e));
    assert_memory_equal(&s, &got, sizeof s);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 4;
        assert_false(forward_state_read(str_of(bytes, sizeof bytes), &got, &e));
        bytes[i] ^= 4;
    }
    assert_false(forward_state_read(str_of(bytes, sizeof bytes - 1), &got, &e));
}
