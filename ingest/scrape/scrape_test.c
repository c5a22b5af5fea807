/* The loop against a real HTTP server and a real store, on a simulated machine whose clock moves
 * only when the test says so. */
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

static void copy_text(char *out, size_t cap, struct str s)
{
    snprintf(out, cap, "%.*s", STR_FMT(s));
}

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
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
    buf_str_add(&body, str_from_c(a->body));
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

static void say(struct world *w, const char *body)
{
    pthread_mutex_lock(&w->app.mu);
    snprintf(w->app.body, sizeof w->app.body, "%s", body);
    pthread_mutex_unlock(&w->app.mu);
}

static void say_as(struct world *w, int status, const char *type, const char *body)
{
    pthread_mutex_lock(&w->app.mu);
    w->app.status = status;
    snprintf(w->app.type, sizeof w->app.type, "%s", type);
    pthread_mutex_unlock(&w->app.mu);
    say(w, body);
}

static void configure_as(struct world *w, bool ok, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void configure_as(struct world *w, bool ok, const char *fmt, ...)
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
static void configure(struct world *w, const char *lines)
{
    configure_as(w, true,
                 "scrape_configs:\n- job_name: j\n  scrape_interval: 10s\n"
                 "  static_configs: [{targets: ['%s'], labels: {dc: sp}}]\n"
                 "  relabel_configs: [{target_label: instance, replacement: i}]\n%s",
                 w->address, lines);
}

static void world_start(struct world *w)
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

static void world_stop(struct world *w)
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

static int64_t now_ms(const struct world *w)
{
    return ms_from_ns(os_now_ns(w->os));
}

static uint64_t scrapes(struct world *w)
{
    struct scrape_stats st;
    scrape_stats(w->s, &st);
    return st.scrapes;
}

/* Moves the clock to the next slot of any target and waits for all that was asked there; returns
 * the time of the first. */
static int64_t next_slot(struct world *w)
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

static void dump_series(struct world *w, struct tsdb_view *v, uint32_t ref, int64_t from_ms,
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
        if (is_stale_nan(c.v[i])) {
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
static struct str stored(struct world *w, int64_t from_ms, int64_t to_ms, bool reports, bool times)
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

TEST(a_page_becomes_samples_at_its_slot)
{
    struct world w;
    world_start(&w);
    say(&w,
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\na{x=\"y\",dc=\"mine\"} 2\nb 5 1767225500000\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", exported_dc=\"mine\", instance=\"i\", job=\"j\", x=\"y\"} 2\n"
                  "h_bucket{dc=\"sp\", instance=\"i\", job=\"j\", le=\"1.0\"} 3\n");
    assert_reports(&w, t,
                   "scrape_duration_seconds{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n"
                   "scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "scrape_samples_scraped{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "up{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n");
    assert_stored(&w, 1767225500000LL, "b{dc=\"sp\", instance=\"i\", job=\"j\"} 5\n");
    say(&w, "h_bucket{le=\"1\"} 4\na{x=\"y\",dc=\"mine\"} 3\n");
    assert_int_equal(next_slot(&w), t + 10000);
    assert_str(stored(&w, t + 10000, t + 10000, false, false),
               STR("a{dc=\"sp\", exported_dc=\"mine\", instance=\"i\", job=\"j\", x=\"y\"} 3\n"
                   "h_bucket{dc=\"sp\", instance=\"i\", job=\"j\", le=\"1.0\"} 4\n"));
    world_stop(&w);
}

TEST(what_vanishes_becomes_stale)
{
    struct world w;
    world_start(&w);
    configure(&w, "");
    say(&w, "a 1\nb 2\nc{x=\"1\"} 3\n");
    int64_t t = next_slot(&w);
    say(&w, "c{x=\"1\",} 4\na 1\n"); /* c by another name, b gone */
    next_slot(&w);
    say(&w, "a 1\nb 3\n");
    next_slot(&w);
    say_as(&w, 503, "text/plain", "a 1\n");
    next_slot(&w);
    next_slot(&w); /* no second marker */
    say_as(&w, 200, "text/plain", "a 7\n");
    next_slot(&w);
    assert_str(stored(&w, t, t + 60000, false, true),
               STR("a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @0\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @10000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @20000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale @30000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 7 @50000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} 2 @0\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale @10000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} 3 @20000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale @30000\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 3 @0\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 4 @10000\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} stale @20000\n"));
    world_stop(&w);
}

static void check_target(struct world *w, enum scrape_health health, const char *error)
{
    struct scrape_targets ts;
    struct err e;
    arena_reset(&w->arena);
    assert_true(scrape_targets(w->s, str_of("", 0), &w->arena, &ts, &e));
    assert_int_equal(ts.active_n, 1);
    assert_int_equal(ts.active[0].health, health);
    assert_str(ts.active[0].last_error, str_from_c(error));
}

TEST(failures_are_told_and_counted)
{
    static const struct {
        int status;
        const char *type, *body, *error;
    } rows[] = {
        {500, "text/plain", "a 1\n", "server returned HTTP status 500 Internal Server Error"},
        {404, "text/plain", "", "server returned HTTP status 404 Not Found"},
        {302, "text/plain", "a 1\n", ""},
        {200, "text/html", "a 1\n",
         "expected text/plain, application/openmetrics-text or application/vnd.google.protobuf, "
         "found \"text/html\""},
        {200, "text/plain", "ok 1\nbad\n",
         "2:4: expected a value after the metric, found a line break"},
        {200, "text/plain", "a{b=\"1\",b=\"2\"} 1\n", "label 'b' is given twice"},
        {200, "application/openmetrics-text; version=1.0.0", "a 1\n",
         "2:1: expected \"# EOF\" at the end of the page"},
        {200, "application/openmetrics-text; version=1.0.0", "a 1\n# EOF\n", ""},
        {200, "text/plain", "", ""},
    };
    struct world w;
    world_start(&w);
    configure(&w, "");
    check_target(&w, SCRAPE_UNKNOWN, "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        say_as(&w, rows[i].status, rows[i].type, rows[i].body);
        int64_t t = next_slot(&w);
        bool up = rows[i].error[0] == '\0';
        check_target(&w, up ? SCRAPE_UP : SCRAPE_DOWN, rows[i].error);
        struct str got = stored(&w, t, t, true, false);
        assert_true(str_contains(got, up ? STR("up{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n")
                                         : STR("up{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n")));
        assert_false(str_contains(stored(&w, t, t, false, false), STR("ok")));
    }
    world_stop(&w);
}

TEST(limits_fail_the_scrape)
{
    static const struct {
        const char *lines, *error;
    } rows[] = {
        {"  sample_limit: 2\n", "sample limit exceeded (limit: 2)"},
        {"  label_limit: 4\n", "label_limit exceeded (metric: a, number of labels: 5, limit: 4)"},
        {"  label_name_length_limit: 8\n", "label_name_length_limit exceeded (metric: c, label "
                                           "name: longlabel, length: 9, limit: 8)"},
        {"  label_value_length_limit: 5\n",
         "label_value_length_limit exceeded (metric: c, label name: longlabel, length: 6, limit: "
         "5)"},
        {"  body_size_limit: 20B\n",
         "body size limit exceeded: the answer is larger than 20 bytes"},
        {"  target_limit: 1\n  file_sd_configs: [{files: [more.yml]}]\n",
         "target_limit exceeded (number of targets: 2, limit: 1)"},
        {"  metric_name_validation_scheme: legacy\n", ""},
        {"  sample_limit: 3\n  label_limit: 6\n", ""},
    };
    struct world w;
    struct err e;
    world_start(&w);
    assert_true(file_replace(w.os, "/etc/more.yml", STR("- targets: [more:1]\n"), &e) ||
                dir_make(w.os, "/etc", &e));
    assert_true(file_replace(w.os, "/etc/more.yml", STR("- targets: ['h:1']\n"), &e));
    say(&w, "a{x=\"1\"} 1\nb 2\nc{longlabel=\"longer\"} 3\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        configure(&w, rows[i].lines);
        next_slot(&w);
        if (w.s->pools[0]->targets_n > 1) {
            next_slot(&w);
        }
        assert_string_equal(w.s->pools[0]->targets[0]->last_error, rows[i].error);
    }
    world_stop(&w);
}

TEST(requests_carry_what_is_configured)
{
    struct world w;
    struct err e;
    world_start(&w);
    assert_true(dir_make(w.os, "/etc", &e));
    assert_true(file_replace(w.os, "/etc/token", STR("first\n"), &e));
    say(&w, "a 1\n");
    configure(&w, "  metrics_path: /m\n  params: {q: ['a b&c']}\n  scrape_timeout: 1500ms\n"
                  "  authorization: {type: Token, credentials_file: token}\n"
                  "  http_headers: {X-Org: {values: [o1]}}\n");
    next_slot(&w);
    assert_string_equal(w.app.path, "/m?q=a b&c");
    assert_string_equal(w.app.timeout, "1.5");
    assert_string_equal(w.app.auth, "Token first");
    assert_string_equal(w.app.org, "o1");
    assert_string_equal(
        w.app.accept,
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
        "*/*;q=0.2");
    assert_true(file_replace(w.os, "/etc/token", STR("second"), &e));
    next_slot(&w);
    assert_string_equal(w.app.auth, "Token second");
    configure(&w, "  basic_auth: {username: u, password: p}\n"
                  "  scrape_protocols: [PrometheusText0.0.4]\n");
    next_slot(&w);
    assert_string_equal(w.app.path, "/metrics?q=");
    assert_string_equal(w.app.auth, "Basic dTpw");
    assert_string_equal(w.app.accept, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    world_stop(&w);
}

TEST(rules_decide_about_series)
{
    struct world w;
    world_start(&w);
    say(&w, "a{dc=\"x\"} 1\ndrop_me 2\nc{keep=\"1\"} 3\n");
    configure(&w, "  honor_labels: true\n  metric_relabel_configs:\n"
                  "  - {source_labels: [__name__], regex: 'drop_.*', action: drop}\n"
                  "  - {source_labels: [keep], regex: '(.+)', target_label: kept}\n"
                  "  - {regex: keep, action: labeldrop}\n");
    static const char want[] = "a{dc=\"x\", instance=\"i\", job=\"j\"} 1\n"
                               "c{dc=\"sp\", instance=\"i\", job=\"j\", kept=\"1\"} 3\n";
    int64_t t = next_slot(&w);
    assert_stored(&w, t, want);
    assert_true(str_contains(stored(&w, t, t, true, false),
                             STR("scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", "
                                 "job=\"j\"} 2\n")));
    t = next_slot(&w); /* from the cache */
    assert_stored(&w, t, want);
    assert_true(str_contains(stored(&w, t, t, true, false),
                             STR("scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n")));
    /* Other rules for the same target: series that are not made any more become stale. */
    configure(
        &w, "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: c, action: drop}\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", exported_dc=\"x\", instance=\"i\", job=\"j\"} 1\n"
                  "a{dc=\"x\", instance=\"i\", job=\"j\"} stale\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\", kept=\"1\"} stale\n"
                  "drop_me{dc=\"sp\", instance=\"i\", job=\"j\"} 2\n");
    world_stop(&w);
}

TEST(times_of_the_page_are_taken_when_asked)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1 1767225501000\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    say(&w, "b 1\n");
    int64_t t2 = next_slot(&w);
    assert_str(stored(&w, t, t2, false, false), STR("b{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n"));
    say(&w, "a 1 1767225502000\n");
    configure(&w, "  honor_timestamps: false\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n"
                  "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    configure(&w, "  track_timestamps_staleness: true\n");
    say(&w, "c 1 1767225503000\n");
    next_slot(&w);
    say(&w, "d 1\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "c{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "d{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n");
    world_stop(&w);
}

TEST(a_removed_target_is_marked_stale_later)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    configure_as(&w, true, "scrape_configs: [{job_name: other}]\n");
    simos_clock_add(w.simos, 19 * NS_PER_S);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_str(stored(&w, t + 1, t + 100000, false, true), STR(""));
    simos_clock_add(w.simos, 3 * NS_PER_S);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_stored(&w, t + 10000, "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    assert_reports(&w, t + 10000,
                   "scrape_duration_seconds{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", job=\"j\"} "
                   "stale\n"
                   "scrape_samples_scraped{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "up{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    world_stop(&w);
}

TEST(a_target_that_comes_back_as_the_same_series_is_not_stale)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    /* Another path: another target, the same labels. */
    configure(&w, "  metrics_path: /other\n");
    next_slot(&w);
    next_slot(&w);
    next_slot(&w);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_false(str_contains(stored(&w, t, t + 60000, false, false), STR("stale")));
    assert_false(str_contains(stored(&w, t, t + 60000, true, false), STR("stale")));
    world_stop(&w);
}

TEST(reload_keeps_targets_that_stay)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    next_slot(&w);
    const struct target *before = w.s->pools[0]->targets[0];
    int64_t next = before->next_mono_ns;
    configure(&w, "  sample_limit: 100\n");
    assert_ptr_equal(w.s->pools[0]->targets[0], before);
    assert_int_equal(before->next_mono_ns, next);
    assert_true(before->last_scrape_ms > 0);
    next_slot(&w);
    world_stop(&w);
}

TEST(files_of_targets_are_followed)
{
    struct world w;
    struct err e;
    struct scrape_targets ts;
    char text[256];
    world_start(&w);
    assert_true(dir_make(w.os, "/etc/t", &e));
    snprintf(text, sizeof text,
             "[{\"targets\": [\"%s\", \"x:1\"], \"labels\": {\"from\": \"file\"}}]", w.address);
    assert_true(file_replace(w.os, "/etc/t/a.json", str_from_c(text), &e));
    configure_as(
        &w, true,
        "scrape_configs:\n- job_name: f\n  file_sd_configs: [{files: ['t/*.json']}]\n"
        "  relabel_configs: [{source_labels: [__address__], regex: 'x:.*', action: drop}]\n");
    assert_true(scrape_targets(w.s, STR("f"), &w.arena, &ts, &e));
    assert_int_equal(ts.active_n, 1);
    assert_int_equal(ts.dropped_n, 1);
    assert_str(labels_get(ts.active[0].labels, STR("from")), STR("file"));
    assert_str(labels_get(ts.active[0].labels, STR("instance")), str_from_c(w.address));
    assert_str(labels_get(ts.active[0].discovered, STR("__meta_filepath")), STR("/etc/t/a.json"));
    assert_str(labels_get(ts.active[0].discovered, STR("__scrape_interval__")), STR("1m"));
    assert_str(labels_get(ts.dropped[0].discovered, STR("__address__")), STR("x:1"));
    assert_int_equal(ts.pool_dropped_n[0], 1);
    /* Damage keeps what was; a repaired file counts within five seconds. */
    assert_true(file_replace(w.os, "/etc/t/a.json", STR("[{\"targets\": "), &e));
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 1);
    assert_int_equal(w.s->stats.discovery_failures, 1);
    assert_true(file_replace(w.os, "/etc/t/a.json",
                             STR("[{\"targets\": [\"y:1\", \"z:1\", \"y:1\"]}]"), &e));
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 2); /* the same target twice is one */
    assert_int_equal(w.os->unlink(w.os->ctx, "/etc/t/a.json"), 0);
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 0);
    world_stop(&w);
}

TEST(metadata_is_kept)
{
    struct world w;
    struct err e;
    struct scrape_metadata *v = NULL;
    uint32_t n = 0;
    world_start(&w);
    say(&w, "# HELP a What a is.\n# TYPE a gauge\na 1\n# TYPE b_total counter\nb_total 1\n");
    configure(&w, "");
    next_slot(&w);
    assert_true(scrape_metadata(w.s, NULL, 0, str_of("", 0), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 2);
    assert_str(v[0].metric, STR("a"));
    assert_str(v[0].help, STR("What a is."));
    assert_int_equal(v[0].type, EXPO_KIND_GAUGE);
    assert_str(labels_get(v[0].target, STR("job")), STR("j"));
    const struct matcher no[] = {{MATCH_EQ, STR("job"), STR("k")}};
    const struct matcher yes[] = {{MATCH_RE, STR("job"), STR("j|k")}};
    assert_true(scrape_metadata(w.s, no, 1, str_of("", 0), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 0);
    assert_true(scrape_metadata(w.s, yes, 1, STR("b_total"), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(v[0].type, EXPO_KIND_COUNTER);
    assert_true(scrape_metadata(w.s, yes, 1, STR("nope"), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 0);
    world_stop(&w);
}

TEST(a_dead_target_is_down_and_extra_metrics_say_why)
{
    struct world w;
    world_start(&w);
    configure_as(
        &w, true,
        "scrape_configs:\n- job_name: d\n  scrape_interval: 1s\n  extra_scrape_metrics: true\n"
        "  sample_limit: 7\n  static_configs: [{targets: ['127.0.0.1:1']}]\n"
        "  relabel_configs: [{target_label: instance, replacement: i}]\n");
    int64_t t = next_slot(&w);
    assert_reports(&w, t,
                   "scrape_body_size_bytes{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_duration_seconds{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_sample_limit{instance=\"i\", job=\"d\"} 7\n"
                   "scrape_samples_post_metric_relabeling{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_samples_scraped{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_series_added{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_timeout_seconds{instance=\"i\", job=\"d\"} 1\n"
                   "up{instance=\"i\", job=\"d\"} 0\n");
    assert_true(
        str_contains(str_from_c(w.s->pools[0]->targets[0]->last_error), STR("cannot connect")));
    world_stop(&w);
}

/* A clock that is set an hour back or forth costs at most one interval. */
TEST(clock_steps_do_not_stop_scraping)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    int64_t mono = os_mono_ns(w.os);
    simos_clock_set(w.simos, os_now_ns(w.os) + 3600 * NS_PER_S);
    int64_t gap = os_mono_ns(w.os) - mono;
    (void)gap;
    int64_t t2 = next_slot(&w);
    assert_true(t2 > t + 3500000);
    assert_true(w.s->heap[0]->next_mono_ns - os_mono_ns(w.os) <= 10 * NS_PER_S);
    simos_clock_set(w.simos, os_now_ns(w.os) - 3600 * NS_PER_S);
    next_slot(&w);
    assert_true(w.s->heap[0]->next_mono_ns - os_mono_ns(w.os) <= 10 * NS_PER_S);
    world_stop(&w);
}

TEST(slots_are_even_and_near_times_are_set_to_them)
{
    const int64_t s = NS_PER_S;
    assert_int_equal(slot_before(100 * s, 10 * s, 3), 90 * s + 3);
    assert_int_equal(slot_before(90 * s + 3, 10 * s, 3), 90 * s + 3);
    assert_int_equal(slot_before(90 * s + 2, 10 * s, 3), 80 * s + 3);
    uint64_t offset = (uint64_t)(1234 * NS_PER_MS);
    assert_int_equal(slot_time_ms(91 * s + 235 * NS_PER_MS, 10 * s, offset), 91234);
    assert_int_equal(slot_time_ms(91 * s + 236 * NS_PER_MS, 10 * s, offset), 91234);
    assert_int_equal(slot_time_ms(91 * s + 237 * NS_PER_MS, 10 * s, offset), 91237);
    /* One per cent of 100 ms is less than 2 ms. */
    assert_int_equal(slot_time_ms(91 * s + 35 * NS_PER_MS, s / 10, (uint64_t)(34 * NS_PER_MS)),
                     91034);
    assert_int_equal(slot_time_ms(91 * s + 36 * NS_PER_MS, s / 10, (uint64_t)(34 * NS_PER_MS)),
                     91036);
}

TEST(durations_are_written_as_the_peers_do)
{
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {{0, "0s"},         {1, "1ms"},         {1500, "1s500ms"},
                {60000, "1m"},     {5400000, "1h30m"}, {86400000, "1d"},
                {90000000, "25h"}, {604800000, "1w"},  {31536000000, "1y"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mem m;
        struct buf b;
        mem_init(&m, 0);
        buf_init(&b, &m, 64);
        duration_text(rows[i].ms, &b);
        assert_str(buf_str(&b), str_from_c(rows[i].want));
        buf_release(&b);
    }
}

/* The thread does the same on real time. */
TEST(the_thread_scrapes_by_itself)
{
    struct world w;
    struct err e;
    struct scrape_stats st = {.scrapes = 0};
    world_start(&w);
    scrape_stop(w.s);
    struct scrape_options o = {.db = w.db, .os = os_real(), .mem = &w.mem};
    assert_true(scrape_new(&o, &w.s, &e));
    say(&w, "a 1\n");
    assert_true(scrape_start(w.s, &e));
    struct scrape_config *c = NULL;
    struct scrape_config_options co = {.dir = "/etc", .os = w.os};
    char text[512];
    snprintf(text, sizeof text,
             "scrape_configs:\n- job_name: j\n  scrape_interval: 50ms\n"
             "  static_configs: [{targets: ['%s']}]\n",
             w.address);
    assert_true(scrape_config_parse(str_from_c(text), "t", &co, &w.config_mem, &c, &e));
    scrape_apply(w.s, c);
    for (int i = 0; i < 500 && st.scrapes < 5; i++) {
        struct timespec pause = {0, 10 * NS_PER_MS};
        nanosleep(&pause, NULL);
        scrape_stats(w.s, &st);
    }
    assert_true(st.scrapes >= 5);
    assert_int_equal(st.targets, 1);
    world_stop(&w);
}
