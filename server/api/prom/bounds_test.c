/* What the API refuses or bounds: samples, series, sizes, parameters, forms; a full queue, and an
 * end in the middle of a query. */
#include "server/api/prom/prom_testing_int.h"

#include "codec/unpack.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

TEST(prom_limits_of_samples_series_and_answers_hold)
{
    struct world w;
    char metric[64];
    world_open(&w);
    w.config.samples_max = 1000;
    w.config.series_max = 100;
    for (int i = 0; i < 60; i++) {
        (void)snprintf(metric, sizeof metric, "m{i=\"%d\"}", i);
        put(&w, metric, NOW_S, i);
        (void)snprintf(metric, sizeof metric, "l{i=\"%d\"}", i);
        put(&w, metric, NOW_S, i);
    }
    world_serve(&w);
    expect(&w, "GET", "/api/v1/query?query=count(m)", "", 200,
           OK(VECTOR("{\"metric\":{},\"value\":[" NOW ",\"60\"]}")));
    struct http_answer a;
    assert_int_equal(ask(&w, "GET", "/api/v1/query?query={__name__=~'.%2B'}", STR(""), NULL, &a),
                     422);
    buf_release(&a.body);
    assert_int_equal(ask(&w, "GET", "/api/v1/series?match[]={__name__=~'.%2B'}", STR(""), NULL, &a),
                     422);
    buf_release(&a.body);
    assert_int_equal(ask(&w, "GET",
                         "/api/v1/query_range?query=m&start=1700000000&end=1700000100&step=1",
                         STR(""), NULL, &a),
                     422);
    assert_true(
        str_contains(buf_str(&a.body), STR("query processing would load too many samples")));
    buf_release(&a.body);
    expect(&w, "GET", "/api/v1/query?query=up&timeout=0", "", 503,
           ERROR("timeout", "query timed out in expression evaluation"));
    expect(&w, "GET", "/api/v1/query?query=up&timeout=-5", "", 503,
           ERROR("timeout", "query timed out in expression evaluation"));
    world_close(&w);
}

static bool collect(void *ctx, struct str piece, struct err *e)
{
    buf_str_add(ctx, piece);
    return buf_ok(ctx, e);
}

TEST(prom_answers_are_packed_for_who_takes_it)
{
    struct world w;
    struct http_answer plain, packed;
    struct buf out;
    struct err e = {0};
    world_open(&w);
    put(&w, "up{job=\"a\"}", NOW_S, 1);
    world_serve(&w);
    static const char *const path =
        "/api/v1/query_range?query=up&start=1700000000&end=1700000200&step=1";
    assert_int_equal(ask(&w, "GET", path, STR(""), "Accept-Encoding: identity", &plain), 200);
    assert_int_equal(ask(&w, "GET", path, STR(""), "Accept-Encoding: gzip", &packed), 200);
    assert_true(packed.body.n < plain.body.n / 2);
    buf_init(&out, &w.mem, 4U << 20);
    struct unpack *u = unpack_new(&w.mem, UNPACK_GZIP, 4U << 20);
    unpack_trust(u);
    assert_true(unpack_feed(u, buf_str(&packed.body), collect, &out, &e) && unpack_finish(u, &e));
    assert_str(buf_str(&out), buf_str(&plain.body));
    unpack_free(u);
    buf_release(&out);
    buf_release(&plain.body);
    buf_release(&packed.body);
    assert_int_equal(
        ask(&w, "GET", "/api/v1/query?query=1", STR(""), "Accept-Encoding: gzip", &plain),
        200); /* too small to be worth it */
    assert_true(str_starts(buf_str(&plain.body), STR("{\"status\"")));
    buf_release(&plain.body);
    world_close(&w);
}

TEST(prom_parameters_are_bounded)
{
    struct world w;
    struct buf form;
    struct http_answer a;
    world_open(&w);
    world_serve(&w);
    buf_init(&form, &w.mem, 1U << 20);
    for (int i = 0; i < 5000; i++) {
        buf_fmt(&form, "match[]=x%d&", i);
    }
    assert_int_equal(ask(&w, "POST", "/api/v1/series", buf_str(&form), NULL, &a), 400);
    assert_true(str_contains(buf_str(&a.body), STR("too many or too large parameters")));
    buf_release(&a.body);
    buf_release(&form);
    world_close(&w);
}

/* -- A full queue, an end in the middle. -- */

struct held {
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool open;
    atomic_bool entered; /* a worker is inside: the queue is free again */
};

static void held_page(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct held *h = ctx;
    (void)c;
    atomic_store(&h->entered, true);
    pthread_mutex_lock(&h->mu);
    while (!h->open) {
        pthread_cond_wait(&h->wake, &h->mu);
    }
    pthread_mutex_unlock(&h->mu);
    BUF_LIT(out, "\"held\"");
}

struct caller {
    struct world *w;
    const char *path;
    struct mem mem;
    int status;
    pthread_t thread;
};

static void *caller_main(void *arg)
{
    struct caller *c = arg;
    char url[1024];
    struct http_answer a = {0};
    struct err e = {0};
    mem_init(&c->mem, 0);
    struct http_client *client = http_client_new(&c->mem, 5000, 60000);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http_server_port(c->w->http), c->path);
    if (http_client_do(client, "GET", url, NULL, STR(""), 1U << 20, &a, &e)) {
        c->status = a.status;
        buf_release(&a.body);
    }
    http_client_free(client);
    return NULL;
}

static void wait_busy(struct world *w, uint64_t n)
{
    while (prom_busy(w->api) < n) {
        sched_yield();
    }
}

TEST(prom_a_full_queue_is_told_to_come_back)
{
    struct world w;
    struct held h = {.open = false};
    world_open(&w);
    pthread_mutex_init(&h.mu, NULL);
    pthread_cond_init(&h.wake, NULL);
    w.config.threads = 1;
    w.config.queue_max = 1;
    w.deps.pages = (struct prom_pages){.ctx = &h, .alerts = held_page};
    world_serve(&w);
    struct caller c[2] = {{.w = &w, .path = "/api/v1/alerts"}, {.w = &w, .path = "/api/v1/alerts"}};
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&c[i].thread, NULL, caller_main, &c[i]), 0);
        wait_busy(&w, i + 1);
        while (!atomic_load(&h.entered)) {
            sched_yield();
        }
    }
    struct http_answer a;
    assert_int_equal(ask(&w, "GET", "/api/v1/query?query=1", STR(""), NULL, &a), 503);
    assert_int_equal(a.retry_after_ms, 1000);
    assert_str(buf_str(&a.body), STR(ERROR("unavailable", "1 requests are already waiting")));
    buf_release(&a.body);
    pthread_mutex_lock(&h.mu);
    h.open = true;
    pthread_cond_broadcast(&h.wake);
    pthread_mutex_unlock(&h.mu);
    for (int i = 0; i < 2; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].status, 200);
    }
    expect(&w, "GET", "/api/v1/query?query=1&time=0", "", 200,
           OK("{\"resultType\":\"scalar\",\"result\":[0,\"1\"]}"));
    world_close(&w);
    pthread_cond_destroy(&h.wake);
    pthread_mutex_destroy(&h.mu);
}

TEST(prom_free_ends_a_long_query)
{
    struct world w;
    struct os real = *os_real();
    world_open(&w);
    w.config.samples_max = INT64_MAX;
    w.config.steps_max = 1000000;
    world_serve(&w);
    struct caller c = {
        .w = &w,
        .path = "/api/v1/query_range?query=quantile_over_time(0.5,vector(1)[10h:1s])&start=0&"
                "end=900000&step=1"}; /* each window is 36,000 samples */
    const int64_t from_ns = os_mono_ns(&real);
    assert_int_equal(pthread_create(&c.thread, NULL, caller_main, &c), 0);
    wait_busy(&w, 1);
    http_client_free(w.client);
    w.client = NULL;
    http_server_stop(w.http);
    w.http = NULL;
    prom_free(w.api);
    w.api = NULL;
    assert_true(os_mono_ns(&real) - from_ns < 30 * NS_PER_S); /* it would take hours */
    pthread_join(c.thread, NULL);
    world_close(&w);
}

/* -- Forms. -- */

static void assert_form(const char *form, const char *expected)
{
    struct prom_call c = {0};
    struct buf text;
    mem_init(&c.mem, 0);
    arena_init(&c.arena, &c.mem, 1U << 20);
    buf_init(&text, &c.mem, 1U << 16);
    prom_form(&c, str_from_c(form));
    for (uint32_t i = 0; i < c.params_n; i++) {
        buf_fmt(&text, "[%.*s=%.*s]", STR_FMT(c.params[i].name), STR_FMT(c.params[i].value));
    }
    assert_false(c.failed_memory);
    assert_str(buf_str(&text), str_from_c(expected));
    buf_release(&text);
    arena_release(&c.arena);
    assert_int_equal(c.mem.bytes, 0);
}

TEST(prom_form_decodes_names_and_values)
{
    assert_form("", "");
    assert_form("a=1&b=2", "[a=1][b=2]");
    assert_form("a=b=c", "[a=b=c]");
    assert_form("a", "[a=]");
    assert_form("&&a=1&", "[a=1]");
    assert_form("match%5B%5D=x%20y+z", "[match[]=x y z]");
    assert_form("q=%41%4a%zz%4", "[q=AJ%zz%4]");
    assert_form("=v", "[=v]");
    assert_form("a=1&a=2", "[a=1][a=2]");
}
