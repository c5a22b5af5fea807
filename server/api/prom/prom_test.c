/* Queries, series and pages: every endpoint that reads, its parameters and the words of its errors.
 * What Prometheus itself answers is compared in test/conformance/api. */
#include "server/api/prom/prom_testing_int.h"

#include "codec/conf.h"

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
