/* What the tests of the loop share: a real HTTP server that says what the test wants, a real store,
 * and a simulated machine whose clock moves only when the test says so. For tests only. */
#ifndef INGEST_SCRAPE_SCRAPE_TESTING_INT_H
#define INGEST_SCRAPE_SCRAPE_TESTING_INT_H

#include "ingest/scrape/loop_int.h"

#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"
#include "net/http_server.h"

#include <stdio.h>
#include <time.h>

#define T0_NS (1767225600LL * NS_PER_S)

/* What the target says next; written by the test between requests, read by the server's thread. */
struct target_app {
    pthread_mutex_t mu;
    char body[8192];
    size_t body_n;
    char type[128];
    char accept[512], timeout[64], auth[128], org[64], path[256];
    int status;
    uint64_t requests;
};

struct world {
    struct mem mem, config_mem;
    struct arena arena;
    struct buf out;
    struct simos *simos;
    const struct os *os;
    struct tsdb *db;
    struct scrape *s;
    struct http_server *server;
    struct target_app app;
    char address[64];
};

static inline void copy_text(char *out, size_t cap, struct str s)
{
    snprintf(out, cap, "%.*s", STR_FMT(s));
}

static inline void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct target_app *a = app;
    struct mem m;
    struct buf body;
    (void)state;
    (void)failed;
    mem_init(&m, 0);
    buf_init(&body, &m, 1 << 20);
    pthread_mutex_lock(&a->mu);
    a->requests++;
    copy_text(a->accept, sizeof a->accept, http_header(rq, "Accept"));
    copy_text(a->timeout, sizeof a->timeout,
              http_header(rq, "X-Prometheus-Scrape-Timeout-Seconds"));
    copy_text(a->auth, sizeof a->auth, http_header(rq, "Authorization"));
    copy_text(a->org, sizeof a->org, http_header(rq, "X-Org"));
    struct str q = http_query(rq, "q");
    snprintf(a->path, sizeof a->path, "%.*s?q=%.*s", STR_FMT(http_path(rq)), STR_FMT(q));
    buf_str_add(&body, str_of(a->body, a->body_n));
    int status = a->status;
    char type[128];
    copy_text(type, sizeof type, str_from_c(a->type));
    const char *location[] = {"Location", "/elsewhere", NULL};
    bool redirect = status == 302 && str_eq(http_path(rq), STR("/metrics"));
    status = status == 302 && !redirect ? 200 : status;
    pthread_mutex_unlock(&a->mu);
    http_respond(rq, status, type, &body, redirect ? location : NULL);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/*", .help = "metrics", .end = on_end},
};

static inline void say_bytes(struct world *w, struct str body)
{
    pthread_mutex_lock(&w->app.mu);
    assert_true(body.n <= sizeof w->app.body);
    memcpy(w->app.body, body.p, body.n);
    w->app.body_n = body.n;
    pthread_mutex_unlock(&w->app.mu);
}

static inline void say(struct world *w, const char *body)
{
    say_bytes(w, str_from_c(body));
}

static inline void say_as(struct world *w, int status, const char *type, const char *body)
{
    pthread_mutex_lock(&w->app.mu);
    w->app.status = status;
    snprintf(w->app.type, sizeof w->app.type, "%s", type);
    pthread_mutex_unlock(&w->app.mu);
    say(w, body);
}

static inline void configure_as(struct world *w, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);
static inline void configure_as(struct world *w, bool ok, const char *fmt, ...)
{
    char text[4096];
    struct scrape_config *c = NULL;
    struct scrape_config_options o = {.dir = "/etc", .os = w->os};
    struct err e = {.code = ERR_NONE};
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bool got = scrape_config_parse(str_from_c(text), "test.yml", &o, &w->config_mem, &c, &e);
    if (got != ok) {
        print_error("%u:%u %s\n", e.line, e.col, e.msg);
    }
    assert_int_equal(got, ok);
    scrape_apply(w->s, c);
    scrape_step(w->s, 0);
}

/* One job "j" with one target and these further lines. */
static inline void configure(struct world *w, const char *lines)
{
    configure_as(w, true,
                 "scrape_configs:\n- job_name: j\n  scrape_interval: 10s\n"
                 "  static_configs: [{targets: ['%s'], labels: {dc: sp}}]\n"
                 "  relabel_configs: [{target_label: instance, replacement: i}]\n%s",
                 w->address, lines);
}

static inline void world_start(struct world *w)
{
    struct err e;
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    mem_init(&w->config_mem, 0);
    arena_init(&w->arena, &w->mem, 16 << 20);
    buf_init(&w->out, &w->mem, 1 << 20);
    w->simos = simos_new(1);
    w->os = simos_os(w->simos);
    simos_clock_set(w->simos, T0_NS);
    pthread_mutex_init(&w->app.mu, NULL);
    w->app.status = 200;
    snprintf(w->app.type, sizeof w->app.type, "text/plain; version=0.0.4");
    struct tsdb_config tc;
    tsdb_config_default(&tc);
    tc.dir = "/data";
    assert_true(dir_make(w->os, "/data", &e));
    if (!tsdb_open(&w->db, &tc, w->os, NULL, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    struct http_server_config sc = {.address = "127.0.0.1",
                                    .threads = 1,
                                    .connections_max = 16,
                                    .idle_timeout_s = 30,
                                    .request_bytes_max = 16384};
    assert_true(http_server_start(&w->server, &sc, routes, 1, &w->app, NULL, &e));
    snprintf(w->address, sizeof w->address, "127.0.0.1:%u", http_server_port(w->server));
    struct scrape_options o = {.db = w->db, .os = w->os, .mem = &w->mem};
    assert_true(scrape_new(&o, &w->s, &e));
}

static inline void world_stop(struct world *w)
{
    scrape_stop(w->s);
    http_server_stop(w->server);
    tsdb_close(w->db);
    simos_free(w->simos);
    buf_release(&w->out);
    arena_release(&w->arena);
    pthread_mutex_destroy(&w->app.mu);
    assert_int_equal(w->mem.bytes, 0);
    assert_int_equal(w->config_mem.bytes, 0);
}

static inline int64_t now_ms(const struct world *w)
{
    return ms_from_ns(os_now_ns(w->os));
}

static inline uint64_t scrapes(struct world *w)
{
    struct scrape_stats st;
    scrape_stats(w->s, &st);
    return st.scrapes;
}

/* Moves the clock to the next slot of any target and waits for all that was asked there; returns
 * the time of the first. */
static inline int64_t next_slot(struct world *w)
{
    uint64_t before = scrapes(w);
    assert_true(w->s->heap_n > 0);
    simos_clock_add(w->simos, w->s->heap[0]->next_mono_ns - os_mono_ns(w->os));
    int64_t t_ms = now_ms(w);
    scrape_step(w->s, 0);
    for (int i = 0; i < 500 && scrapes(w) == before; i++) {
        scrape_step(w->s, 20);
    }
    assert_true(scrapes(w) > before);
    flights_wait(w->s);
    return t_ms;
}

/* "schema count/sum bounds | offset+length... | counts" */
static inline void print_hist(const struct nhist *h, struct buf *out)
{
    buf_fmt(out, "%d %g/%g", h->schema, h->count, h->sum);
    for (uint32_t i = 0; i < h->custom_n; i++) {
        buf_fmt(out, " %g", h->custom[i]);
    }
    BUF_LIT(out, " |");
    for (uint32_t i = 0; i < h->pos.spans_n; i++) {
        buf_fmt(out, " %d+%u", h->pos.spans[i].offset, h->pos.spans[i].length);
    }
    BUF_LIT(out, " |");
    for (uint32_t i = 0; i < h->pos.counts_n; i++) {
        buf_fmt(out, " %g", h->pos.counts[i]);
    }
}

static inline void dump_series(struct world *w, struct tsdb_view *v, uint32_t ref, int64_t from_ms,
                               int64_t to_ms, bool times)
{
    struct tsdb_column c;
    struct err e;
    struct labels l = tsdb_labels(v, ref, &w->arena);
    tsdb_column_init(&c, &w->mem);
    assert_true(tsdb_read(v, ref, from_ms, to_ms, 1000, &c, &e));
    for (uint32_t i = 0; i < c.n; i++) {
        struct label rest[64];
        uint32_t n = 0;
        for (uint32_t k = 0; k < l.n; k++) {
            if (!str_eq(l.v[k].name, STR(LABEL_NAME))) {
                rest[n++] = l.v[k];
            }
        }
        buf_str_add(&w->out, labels_get(l, STR(LABEL_NAME)));
        labels_print((struct labels){rest, n}, &w->out);
        BUF_LIT(&w->out, " ");
        if (c.h && c.h[i]) {
            print_hist(c.h[i], &w->out);
        } else if (is_stale_nan(c.v[i])) {
            BUF_LIT(&w->out, "stale");
        } else {
            buf_f64(&w->out, c.v[i]);
        }
        if (times) {
            buf_fmt(&w->out, " @%lld", (long long)(c.t[i] - from_ms));
        }
        BUF_LIT(&w->out, "\n");
    }
    tsdb_column_release(&c);
}

/* All samples in the range, sorted by labels; without the reports unless asked. */
static inline struct str stored(struct world *w, int64_t from_ms, int64_t to_ms, bool reports,
                                bool times)
{
    struct tsdb_view *v = NULL;
    uint32_t *ids = NULL;
    uint32_t n = 0;
    struct err e;
    const struct matcher m[] = {
        {reports ? MATCH_RE : MATCH_NRE, STR(LABEL_NAME), STR("up|scrape_.*")}};
    buf_reset(&w->out);
    arena_reset(&w->arena);
    assert_true(tsdb_view_open(w->db, &v, &e));
    assert_true(tsdb_select(v, m, 1, 1, 0, 1000, true, &w->arena, &ids, &n, &e));
    for (uint32_t i = 0; i < n; i++) {
        dump_series(w, v, ids[i], from_ms, to_ms, times);
    }
    tsdb_view_close(v);
    return buf_str(&w->out);
}

#define assert_stored(w, t_ms, want) \
    assert_str(stored((w), (t_ms), (t_ms), false, false), str_from_c(want))
#define assert_reports(w, t_ms, want) \
    assert_str(stored((w), (t_ms), (t_ms), true, false), str_from_c(want))

#endif
