/* The API over loopback, with a store on a simulated disk and a clock that stands: every endpoint,
 * its parameters, the statuses and texts of failing, packing, limits, a full queue, an end in the
 * middle of a query. What Prometheus itself answers is compared in test/conformance/api. */
#include "base/test.h"

#include "base/clock.h"
#include "base/simos.h"
#include "codec/conf.h"
#include "codec/gzip.h"
#include "codec/pb.h"
#include "codec/snappy.h"
#include "codec/unpack.h"
#include "net/http_client.h"
#include "server/api/prom/prom_int.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

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

static void config_default(struct prom_config *c)
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

static void world_open(struct world *w)
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

static void world_serve(struct world *w)
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

static void world_close(struct world *w)
{
    http_client_free(w->client);
    http_server_stop(w->http);
    prom_free(w->api);
    tsdb_close(w->db);
    simos_free(w->simos);
    assert_int_equal(w->mem.bytes, 0);
}

/* One sample of a series written as a selector. */
static void put(struct world *w, const char *metric, int64_t t_s, double v)
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

static void put_exemplar(struct world *w, const char *metric, const char *labels, int64_t t_s,
                         double v)
{
    struct arena a;
    struct labels l, own;
    struct tsdb_result r;
    struct err e = {0};
    uint32_t ref;
    arena_init(&a, &w->mem, 1U << 20);
    struct tsdb_batch *b = tsdb_batch_new(&w->mem, 1U << 20);
    assert_true(promql_metric(str_from_c(metric), &a, &l, &e));
    assert_true(promql_metric(str_from_c(labels), &a, &own, &e));
    assert_true(tsdb_series(w->db, 0, l, &ref, &e));
    assert_true(tsdb_batch_add_exemplar(b, ref, own, t_s * 1000, v, &e));
    assert_true(tsdb_commit_wait(w->db, b, 0, &r, &e));
    assert_int_equal(r.exemplars, 1);
    tsdb_batch_free(b);
    arena_release(&a);
}

/* up{job=a..} 0 and 15 s ago, and a counter. */
static void fill(struct world *w)
{
    put(w, "up{job=\"a\"}", NOW_S - 15, 0);
    put(w, "up{job=\"a\"}", NOW_S, 1);
    put(w, "up{job=\"b\"}", NOW_S, 0);
    put(w, "odd{job=\"a\",text=\"q\\\"\\\\\\n\xc3\xa7\"}", NOW_S, -0.5);
    for (int i = 0; i <= 4; i++) {
        put(w, "n_total{job=\"a\"}", NOW_S - 60 + i * 15, i * 30);
    }
}

static int ask(struct world *w, const char *method, const char *path, struct str form,
               const char *header, struct http_answer *a)
{
    char url[4096];
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
static void expect(struct world *w, const char *method, const char *path, const char *form,
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

struct exchange {
    const char *path, *form;
    int status;
    const char *body;
};

/* form NULL: GET. Otherwise the same is asked both ways: as a form and behind '?'. */
static void expect_all(struct world *w, const struct exchange *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s%s%s", v[i].path, v[i].form ? "?" : "",
                       v[i].form ? v[i].form : "");
        expect(w, "GET", path, "", v[i].status, v[i].body);
        if (v[i].form) {
            expect(w, "POST", v[i].path, v[i].form, v[i].status, v[i].body);
        }
    }
}

TEST(prom_query_answers_every_type_and_refuses_bad_parameters)
{
    static const struct exchange v[] = {
        {"/api/v1/query", "query=up", 200, OK(VECTOR(UP_A "," UP_B))},
        {"/api/v1/query", "query=up{job=\"a\"}&time=" NOW, 200, OK(VECTOR(UP_A))},
        {"/api/v1/query", "query=%75p%7Bjob%3D%22a%22%7D", 200, OK(VECTOR(UP_A))},
        {"/api/v1/query", "query=1%2B1&time=10.5", 200,
         OK("{\"resultType\":\"scalar\",\"result\":[10.500,\"2\"]}")},
        {"/api/v1/query", "query=1+%2B+1&time=2023-11-14T22:13:20.250Z", 200,
         OK("{\"resultType\":\"scalar\",\"result\":[1700000000.250,\"2\"]}")},
        {"/api/v1/query", "query='x'&time=5", 200,
         OK("{\"resultType\":\"string\",\"result\":[5,\"x\"]}")},
        {"/api/v1/query", "query=up{job='a'}[1m]", 200,
         OK(MATRIX(
             "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[1699999985,\"0\"],[" NOW
             ",\"1\"]]}"))},
        {"/api/v1/query", "query=odd", 200,
         OK(VECTOR(
             "{\"metric\":{\"__name__\":\"odd\",\"job\":\"a\",\"text\":\"q\\\"\\\\\\n\xc3\xa7\"},"
             "\"value\":[" NOW ",\"-0.5\"]}"))},
        {"/api/v1/query", "query=none", 200, OK(VECTOR(""))},
        {"/api/v1/query", "query=up&limit=1", 200,
         WARN(VECTOR(UP_A), "results truncated due to limit")},
        {"/api/v1/query", "query=up&limit=2", 200, OK(VECTOR(UP_A "," UP_B))},
        {"/api/v1/query", "query=up{job='a'}&lookback_delta=1&time=1700000002", 200,
         OK(VECTOR(""))},
        {"/api/v1/query", "query=up&limit=-1", 400,
         BAD("invalid parameter \\\"limit\\\": limit must be non-negative")},
        {"/api/v1/query", "query=up&limit=x", 400,
         BAD("invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"x\\\": invalid syntax")},
        {"/api/v1/query", "query=up&limit=99999999999999999999", 400,
         BAD("invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"99999999999999999999\\\": "
             "value "
             "out of range")},
        {"/api/v1/query", "query=up&time=x", 400,
         BAD("invalid parameter \\\"time\\\": invalid time value for 'time': cannot parse "
             "\\\"x\\\" to a "
             "valid timestamp")},
        {"/api/v1/query", "query=up&timeout=x", 400,
         BAD("invalid parameter \\\"timeout\\\": cannot parse \\\"x\\\" to a valid duration")},
        {"/api/v1/query", "query=up&timeout=1e30", 400,
         BAD("invalid parameter \\\"timeout\\\": cannot parse \\\"1e30\\\" to a valid duration. It "
             "overflows int64")},
        {"/api/v1/query", "query=up&lookback_delta=x", 400,
         BAD("error parsing lookback delta duration: cannot parse \\\"x\\\" to a valid duration")},
        {"/api/v1/query", "query=", 400,
         BAD("invalid parameter \\\"query\\\": 1:1: parse error: no expression found in input")},
        {"/api/v1/query", "query=up%0A%2B", 400,
         BAD("invalid parameter \\\"query\\\": 2:2: parse error: unexpected end of input")},
        {"/api/v1/query", "query=up+/+on()+up", 422,
         ERROR(
             "execution",
             "found duplicate series for the match group {} on the right hand-side of the "
             "operation: [{__name__=\\\"up\\\", job=\\\"a\\\"}, {__name__=\\\"up\\\", "
             "job=\\\"b\\\"}];many-to-many matching not allowed: matching labels must be unique on "
             "one side")},
    };
    struct world w;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect_all(&w, v, ARRAY_LEN(v));
    expect(&w, "POST", "/api/v1/query?query=up", "time=1&query=vector(7)", 200,
           OK(VECTOR("{\"metric\":{},\"value\":[1,\"7\"]}"))); /* the form first */
    world_close(&w);
}

TEST(prom_query_range_checks_its_range)
{
#define STEPS(text) BAD("invalid parameter \\\"step\\\": " text)
    static const struct exchange v[] = {
        {"/api/v1/query_range", "query=up{job='a'}&start=1699999985&end=" NOW "&step=15", 200,
         OK(MATRIX(
             "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[1699999985,\"0\"],[" NOW
             ",\"1\"]]}"))},
        {"/api/v1/query_range", "query=rate(n_total[30s])&start=" NOW "&end=" NOW "&step=1m", 200,
         OK(MATRIX("{\"metric\":{\"job\":\"a\"},\"values\":[[" NOW ",\"2\"]]}"))},
        {"/api/v1/query_range", "query=up&start=" NOW "&end=" NOW "&step=1&limit=1", 200,
         WARN(MATRIX("{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[" NOW
                     ",\"1\"]]}"),
              "results truncated due to limit")},
        {"/api/v1/query_range", "query=up", 400,
         BAD("invalid parameter \\\"start\\\": cannot parse \\\"\\\" to a valid timestamp")},
        {"/api/v1/query_range", "query=up&start=1", 400,
         BAD("invalid parameter \\\"end\\\": cannot parse \\\"\\\" to a valid timestamp")},
        {"/api/v1/query_range", "query=up&start=1&end=2", 400,
         STEPS("cannot parse \\\"\\\" to a valid duration")},
        {"/api/v1/query_range", "query=up&start=2&end=1&step=1", 400,
         BAD("invalid parameter \\\"end\\\": end timestamp must not be before start time")},
        {"/api/v1/query_range", "query=up&start=1&end=2&step=0", 400,
         STEPS("zero or negative query resolution step widths are not accepted. Try a positive "
               "integer")},
        {"/api/v1/query_range", "query=up&start=1&end=2&step=NaN", 400,
         STEPS("zero or negative query resolution step widths are not accepted. Try a positive "
               "integer")},
        {"/api/v1/query_range", "query=up&start=0&end=11001&step=1", 400,
         BAD("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
             "query "
             "resolution (?step=XX)")},
        {"/api/v1/query_range", "query=up&start=-9223372036854774&end=9223372036854774&step=1", 400,
         BAD("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
             "query "
             "resolution (?step=XX)")},
        {"/api/v1/query_range", "query=up[5m]&start=0&end=1&step=1", 400,
         BAD("invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for "
             "range "
             "query, must be Scalar or instant Vector")},
    };
    struct world w;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect_all(&w, v, ARRAY_LEN(v));
    world_close(&w);
}

TEST(prom_series_labels_and_values)
{
#define SPAN      "start=1699999000&end=1700000000"
#define SERIES_UP "{\"__name__\":\"up\",\"job\":\"a\"},{\"__name__\":\"up\",\"job\":\"b\"}"
    static const struct exchange v[] = {
        {"/api/v1/series", "match[]=up&" SPAN, 200, OK("[" SERIES_UP "]")},
        {"/api/v1/series", "match%5B%5D=up&match[]=n_total&match[]=up", 200,
         OK("[" SERIES_UP ",{\"__name__\":\"n_total\",\"job\":\"a\"}]")},
        {"/api/v1/series", "match[]=none", 200, OK("[]")},
        {"/api/v1/series", "match[]=none&match[]=neither", 200, OK("[]")},
        {"/api/v1/series", "match[]=up&start=5&end=1", 200, OK("[]")},
        {"/api/v1/series", "match[]=up&limit=1", 200,
         WARN("[{\"__name__\":\"up\",\"job\":\"a\"}]", "results truncated due to limit")},
        {"/api/v1/series", "start=1", 400, BAD("no match[] parameter provided")},
        {"/api/v1/series", "match[]={job=~\".*\"}", 400,
         BAD("invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty "
             "matcher")},
        {"/api/v1/series", "match[]={job!~\".*\"}", 200, OK("[]")},
        {"/api/v1/series", "match[]=up{", 400,
         BAD("invalid parameter \\\"match[]\\\": 1:4: parse error: unexpected end of input inside "
             "braces")},
        {"/api/v1/labels", SPAN, 200, OK("[\"__name__\",\"job\",\"text\"]")},
        {"/api/v1/labels", "match[]=up", 200, OK("[\"__name__\",\"job\"]")},
        {"/api/v1/labels", "match[]=up&match[]=odd", 200, OK("[\"__name__\",\"job\",\"text\"]")},
        {"/api/v1/labels", "limit=1", 200,
         WARN("[\"__name__\"]", "results truncated due to limit")},
        {"/api/v1/labels", "limit=3", 200, OK("[\"__name__\",\"job\",\"text\"]")},
        {"/api/v1/labels", "match[]={}", 400,
         BAD("match[] must contain at least one non-empty matcher")},
        {"/api/v1/label/job/values", NULL, 200, OK("[\"a\",\"b\"]")},
        {"/api/v1/label/job/values?match[]=up{job!='a'}&match[]=none", NULL, 200, OK("[\"b\"]")},
        {"/api/v1/label/job/values?limit=1", NULL, 200,
         WARN("[\"a\"]", "results truncated due to limit")},
        {"/api/v1/label/U__j_6f_b/values", NULL, 200, OK("[\"a\",\"b\"]")},
        {"/api/v1/label/none/values", NULL, 200, OK("[]")},
        {"/api/v1/label/job", NULL, 404, ERROR("not_found", "expected /api/v1/label/NAME/values")},
        {"/api/v1/label/job/values?start=x", NULL, 400,
         BAD("invalid parameter \\\"start\\\": invalid time value for 'start': cannot parse "
             "\\\"x\\\" to "
             "a valid timestamp")},
    };
    struct world w;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect_all(&w, v, ARRAY_LEN(v));
    world_close(&w);
}

TEST(prom_exemplars_and_texts_of_queries)
{
    static const struct exchange v[] = {
        {"/api/v1/query_exemplars", "query=rate(n_total[5m])+%2B+up&start=1&end=1800000000", 200,
         OK("[{\"seriesLabels\":{\"__name__\":\"n_total\",\"job\":\"a\"},\"exemplars\":[{"
            "\"labels\":{"
            "\"trace_id\":\"x\"},\"value\":\"0.25\",\"timestamp\":1699999970},{\"labels\":{"
            "\"trace_id\":\"y\"},\"value\":\"4\",\"timestamp\":" NOW "}]}]")},
        {"/api/v1/query_exemplars", "query=n_total&end=1699999980", 200,
         OK("[{\"seriesLabels\":{\"__name__\":\"n_total\",\"job\":\"a\"},\"exemplars\":[{"
            "\"labels\":{"
            "\"trace_id\":\"x\"},\"value\":\"0.25\",\"timestamp\":1699999970}]}]")},
        {"/api/v1/query_exemplars", "query=none", 200, OK("[]")},
        {"/api/v1/query_exemplars", "query=1", 204, ""},
        {"/api/v1/query_exemplars", "query=n_total&start=5&end=1", 400,
         BAD("end timestamp must not be before start timestamp")},
        {"/api/v1/query_exemplars", "query=", 400,
         BAD("1:1: parse error: no expression found in input")},
        {"/api/v1/format_query", "query=sum+by(a)(up)/2", 200, OK("\"sum by (a) (up) / 2\"")},
        {"/api/v1/format_query", "query=up{", 400,
         BAD("invalid parameter \\\"query\\\": 1:4: parse error: unexpected end of input inside "
             "braces")},
        {"/api/v1/parse_query", "query=-1", 200, OK("{\"type\":\"numberLiteral\",\"val\":\"-1\"}")},
    };
    struct world w;
    world_open(&w);
    fill(&w);
    put_exemplar(&w, "n_total{job=\"a\"}", "{trace_id=\"x\"}", NOW_S - 30, 0.25);
    put_exemplar(&w, "n_total{job=\"a\"}", "{trace_id=\"y\"}", NOW_S, 4);
    world_serve(&w);
    expect_all(&w, v, ARRAY_LEN(v));
    world_close(&w);
}

TEST(prom_pages_without_their_modules_are_empty_and_checked)
{
    static const struct exchange v[] = {
        {"/api/v1/targets", NULL, 200,
         OK("{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}")},
        {"/api/v1/targets/metadata", NULL, 200, OK("[]")},
        {"/api/v1/targets/metadata?limit=x", NULL, 400, BAD("limit must be a number")},
        {"/api/v1/targets/metadata?match_target={", NULL, 400,
         BAD("invalid parameter \\\"match_target\\\": 1:2: parse error: unexpected end of input "
             "inside "
             "braces")},
        {"/api/v1/metadata", NULL, 200, OK("{}")},
        {"/api/v1/metadata?limit_per_metric=x", NULL, 400,
         BAD("limit_per_metric must be a number")},
        {"/api/v1/scrape_pools", NULL, 200, OK("{\"scrapePools\":[]}")},
        {"/api/v1/rules", NULL, 200, OK("{\"groups\":[]}")},
        {"/api/v1/rules?type=x", NULL, 400,
         BAD("invalid parameter \\\"type\\\": not supported value \\\"x\\\"")},
        {"/api/v1/rules?exclude_alerts=x", NULL, 400,
         BAD("invalid parameter \\\"exclude_alerts\\\": error converting exclude_alerts: "
             "strconv.ParseBool: parsing \\\"x\\\": invalid syntax")},
        {"/api/v1/alerts", NULL, 200, OK("{\"alerts\":[]}")},
        {"/api/v1/alertmanagers", NULL, 200,
         OK("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}")},
        {"/api/v1/status/config", NULL, 200, OK("{\"yaml\":\"\"}")},
        {"/api/v1/status/flags", NULL, 200, OK("{}")},
        {"/api/v1/status/walreplay", NULL, 200, OK("{\"min\":0,\"max\":0,\"current\":0}")},
        {"/api/v1/status/tsdb?limit=0", NULL, 400, BAD("limit must be a positive number")},
        {"/api/v1/status/tsdb?limit=10001", NULL, 400, BAD("limit must not exceed 10000")},
    };
    struct world w;
    world_open(&w);
    world_serve(&w);
    expect_all(&w, v, ARRAY_LEN(v));
    world_close(&w);
}

/* Whether the answer of a GET has this text. */
static void expect_text(struct world *w, const char *path, const char *text)
{
    struct http_answer a;
    assert_int_equal(ask(w, "GET", path, STR(""), NULL, &a), 200);
    if (!str_contains(buf_str(&a.body), str_from_c(text))) {
        print_error("%s\nexpected ...%s...\n   found %.*s\n", path, text,
                    STR_FMT(buf_str(&a.body)));
        fail();
    }
    buf_release(&a.body);
}

TEST(prom_status_pages_tell_of_the_store)
{
    struct world w;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect_text(&w, "/api/v1/status/buildinfo",
                "\"application\":\"farol\",\"applicationVersion\":\"1.2.3\"}}");
    expect_text(&w, "/api/v1/status/runtimeinfo", "{\"startTime\":\"2023-11-14T22:13:20Z\",");
    expect_text(&w, "/api/v1/status/tsdb", "{\"headStats\":{\"numSeries\":4,\"numLabelPairs\":6,");
    expect_text(&w, "/api/v1/status/tsdb?limit=1",
                "\"seriesCountByMetricName\":[{\"name\":\"up\",\"value\":2}],");
    expect_text(&w, "/api/v1/status/tsdb?limit=1",
                "\"seriesCountByLabelValuePair\":[{\"name\":\"job=a\",\"value\":3}],");
    expect_text(&w, "/api/v1/features", "\"experimental_functions\":false");
    expect_text(&w, "/api/v1/query?query=up&stats=all", "\"totalQueryableSamples\":2,");
    expect_text(
        &w, "/api/v1/query?query=up&stats=x",
        "\"warnings\":[\"value \\\"x\\\" for parameter \\\"stats\\\" is deprecated and will be "
        "rejected in the next major release, use \\\"true\\\" or \\\"all\\\"\"]}");
    world_close(&w);
}

TEST(prom_features_are_switched_on_by_name)
{
    struct world w;
    struct err e = {0};
    world_open(&w);
    struct str on[] = {STR("promql-experimental-functions")};
    struct str bad[] = {STR("promql-nonsense")};
    w.config.features = (struct conf_strs){.v = bad, .count = 1};
    assert_false(prom_config_check(&w.config, &e));
    assert_str(str_from_c(e.msg), STR("unknown feature \"promql-nonsense\""));
    w.config.features = (struct conf_strs){.v = on, .count = 1};
    assert_true(prom_config_check(&w.config, &e));
    put(&w, "up{job=\"a\"}", NOW_S, 1);
    world_serve(&w);
    expect(&w, "GET", "/api/v1/query?query=sort_by_label(up,'job')", "", 200, OK(VECTOR(UP_A)));
    world_close(&w);
    world_open(&w);
    world_serve(&w);
    expect(&w, "GET", "/api/v1/query?query=sort_by_label(up,'job')", "", 400,
           BAD("invalid parameter \\\"query\\\": 1:1: parse error: function \\\"sort_by_label\\\" "
               "is not enabled"));
    world_close(&w);
}

/* -- Bounds -- */

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
};

static void held_page(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct held *h = ctx;
    (void)c;
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
    w.deps.pages = (struct prom_pages){.ctx = &h, .rules = held_page};
    world_serve(&w);
    struct caller c[2] = {{.w = &w, .path = "/api/v1/rules"}, {.w = &w, .path = "/api/v1/rules"}};
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&c[i].thread, NULL, caller_main, &c[i]), 0);
        wait_busy(&w, i + 1);
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

/* -- For other Prometheis. -- */

TEST(prom_federate_gives_the_present_values_as_text)
{
    struct world w;
    world_open(&w);
    fill(&w);
    put(&w, "gone{job=\"a\"}", NOW_S - 20, 5);
    put(&w, "gone{job=\"a\"}", NOW_S - 10, stale_nan());
    put(&w, "old{job=\"a\"}", NOW_S - 400, 5);
    put(&w, "with{instance=\"i\"}", NOW_S, 1234567);
    world_serve(&w);
    expect(&w, "GET", "/federate?match[]=up&match[]={__name__=~'odd|gone|old|with'}&match[]=up", "",
           200,
           "# TYPE up untyped\n"
           "up{job=\"a\",instance=\"\"} 1 1700000000000\n"
           "up{job=\"b\",instance=\"\"} 0 1700000000000\n"
           "# TYPE odd untyped\n"
           "odd{job=\"a\",text=\"q\\\"\\\\\\n\xc3\xa7\",instance=\"\"} -0.5 1700000000000\n"
           "# TYPE with untyped\n"
           "with{instance=\"i\"} 1.234567e+06 1700000000000\n");
    expect(&w, "GET", "/federate", "", 200, "");
    world_close(&w);
}

static void put_matcher(struct buf *b, uint64_t op, const char *name, const char *value)
{
    const size_t m = pb_begin(b, 3);
    pb_put_varint(b, 1, op);
    pb_put_bytes(b, 2, str_from_c(name));
    pb_put_bytes(b, 3, str_from_c(value));
    pb_end(b, m);
}

/* name{labels} t:v... of a ReadResponse, one line for each series, a line "--" after each query. */
static void read_response(struct str bytes, struct buf *out)
{
    struct pb response = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&response, &f)) {
        struct pb result = pb_of(f.bytes);
        while (pb_next(&result, &f)) {
            struct pb series = pb_of(f.bytes);
            while (pb_next(&series, &f)) {
                struct pb part = pb_of(f.bytes);
                struct pb_field x, y;
                assert_true(pb_next(&part, &x) && pb_next(&part, &y));
                if (f.number == 1) {
                    buf_fmt(out, "%.*s=%.*s ", STR_FMT(x.bytes), STR_FMT(y.bytes));
                } else {
                    buf_fmt(out, "%lld:%g ", (long long)y.u, pb_f64(x.u));
                }
            }
            BUF_LIT(out, "\n");
        }
        BUF_LIT(out, "--\n");
    }
}

TEST(prom_remote_read_answers_each_query_in_order)
{
    struct world w;
    struct buf raw, packed, text;
    struct http_answer a;
    struct err e = {0};
    world_open(&w);
    fill(&w);
    world_serve(&w);
    buf_init(&raw, &w.mem, 1U << 20);
    buf_init(&packed, &w.mem, 1U << 20);
    buf_init(&text, &w.mem, 1U << 20);
    for (int i = 0; i < 2; i++) {
        const size_t q = pb_begin(&raw, 1);
        pb_put_varint(&raw, 1, (uint64_t)(NOW_S - 20) * 1000);
        pb_put_varint(&raw, 2, (uint64_t)NOW_S * 1000);
        put_matcher(&raw, 0, "__name__", i == 0 ? "up" : "n_total");
        put_matcher(&raw, i == 0 ? 2 : 1, "job", i == 0 ? "a|c" : "z");
        pb_end(&raw, q);
    }
    assert_true(snappy_pack(buf_str(&raw), &packed, &e));
    assert_int_equal(ask(&w, "POST", "/api/v1/read", buf_str(&packed),
                         "Content-Type: application/x-protobuf", &a),
                     200);
    buf_reset(&raw);
    assert_true(snappy_unpack(buf_str(&a.body), 1U << 20, &raw, &e));
    read_response(buf_str(&raw), &text);
    assert_str(buf_str(&text), STR("__name__=up job=a 1699999985000:0 1700000000000:1 \n--\n"
                                   "__name__=n_total job=a 1699999985000:90 1700000000000:120 \n"
                                   "--\n"));
    buf_release(&a.body);
    assert_int_equal(ask(&w, "POST", "/api/v1/read", STR("nonsense"), NULL, &a), 400);
    buf_release(&a.body);
    buf_release(&raw);
    buf_release(&packed);
    buf_release(&text);
    world_close(&w);
}

/* -- Administration. -- */

TEST(prom_admin_is_off_unless_switched_on)
{
    struct world w;
    world_open(&w);
    fill(&w);
    w.config.admin = false;
    world_serve(&w);
    static const char *const paths[] = {"delete_series?match[]=up", "clean_tombstones", "snapshot"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "/api/v1/admin/tsdb/%s", paths[i]);
        expect(&w, "POST", path, "", 500, ERROR("unavailable", "admin APIs disabled"));
    }
    expect(&w, "GET", "/api/v1/query?query=count(up)", "", 200,
           OK(VECTOR("{\"metric\":{},\"value\":[" NOW ",\"2\"]}")));
    world_close(&w);
}

TEST(prom_admin_deletes_cleans_and_copies)
{
    struct world w;
    struct http_answer a;
    struct err e = {0};
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect(&w, "POST", "/api/v1/admin/tsdb/delete_series", "", 400,
           BAD("no match[] parameter provided"));
    expect(&w, "POST", "/api/v1/admin/tsdb/delete_series", "match[]={}", 204, "");
    expect(&w, "POST", "/api/v1/admin/tsdb/delete_series", "match[]=up&start=9&end=1", 204, "");
    expect(&w, "GET", "/api/v1/query?query=up", "", 200, OK(VECTOR(UP_A "," UP_B)));
    expect(&w, "PUT", "/api/v1/admin/tsdb/delete_series?match[]=up{job='b'}", "", 204, "");
    expect(&w, "POST", "/api/v1/admin/tsdb/delete_series", "match[]=n_total&end=1699999990", 204,
           "");
    expect(&w, "GET", "/api/v1/query?query=up", "", 200, OK(VECTOR(UP_A)));
    expect(&w, "POST", "/api/v1/admin/tsdb/clean_tombstones", "", 204, "");
    expect(&w, "GET", "/api/v1/query?query=n_total[1h]", "", 200,
           OK(MATRIX("{\"metric\":{\"__name__\":\"n_total\",\"job\":\"a\"},\"values\":[[" NOW
                     ",\"120\"]]}")));
    expect(&w, "POST", "/api/v1/admin/tsdb/snapshot", "skip_head=x", 400,
           BAD("invalid parameter \\\"skip_head\\\": unable to parse boolean: strconv.ParseBool: "
               "parsing \\\"x\\\": invalid syntax"));
    assert_int_equal(ask(&w, "POST", "/api/v1/admin/tsdb/snapshot", STR(""), NULL, &a), 200);
    assert_str(buf_str(&a.body), STR(OK("{\"name\":\"20231114T221320Z-000000000\"}")));
    buf_release(&a.body);
    struct tsdb_config c;
    struct tsdb *copy;
    struct tsdb_stats s;
    tsdb_config_default(&c);
    c.dir = "db/snapshots/20231114T221320Z-000000000";
    c.retention_ms = 0;
    assert_true(tsdb_open(&copy, &c, w.os, &w.log, &e));
    tsdb_stats(copy, &s);
    assert_true(s.series >= 3);
    assert_int_equal(s.blocks_damaged, 0);
    tsdb_close(copy);
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
