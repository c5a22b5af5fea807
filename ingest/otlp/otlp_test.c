/* OpenTelemetry metrics over loopback into a store on a simulated disk: names, labels, every
 * kind of point, what is refused and how the answer says so. */
#include "ingest/otlp/testing_int.h"

#include <zlib.h>

TEST(names_of_metrics_are_translated)
{
    static const struct {
        const char *name, *unit;
        enum otlp_kind kind;
        const char *full, *plain, *utf8;
    } rows[] = {
        {"system.filesystem.usage", "By", OTLP_UPDOWN, "system_filesystem_usage_bytes",
         "system_filesystem_usage", "system.filesystem.usage_bytes"},
        {"http.server.requests", "{request}", OTLP_COUNTER, "http_server_requests_total",
         "http_server_requests", "http.server.requests_total"},
        {"requests.total", "1", OTLP_COUNTER, "requests_total", "requests_total", "requests.total"},
        {"speed", "m/s", OTLP_GAUGE, "speed_meters_per_second", "speed", "speed_meters_per_second"},
        {"cpu.utilization", "1", OTLP_GAUGE, "cpu_utilization_ratio", "cpu_utilization",
         "cpu.utilization_ratio"},
        {"latency_seconds", "s", OTLP_OTHER, "latency_seconds", "latency_seconds",
         "latency_seconds"},
        {"2xx  a__b", "", OTLP_GAUGE, "_2xx_a_b", "_2xx_a__b", "2xx  a__b"},
        {"broken.disk", "{disk}/s", OTLP_GAUGE, "broken_disk_per_second", "broken_disk",
         "broken.disk_per_second"},
        {"odd", "foo/bar", OTLP_OTHER, "odd_foo_per_bar", "odd", "odd_foo_per_bar"},
    };
    struct mem m;
    struct arena a;
    struct buf b;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 16);
    buf_init(&b, &m, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct str name = str_from_c(rows[i].name), unit = str_from_c(rows[i].unit);
        assert_str(
            otlp_metric_name((struct otlp_naming){true, true}, name, unit, rows[i].kind, &b, &a),
            str_from_c(rows[i].full));
        assert_str(
            otlp_metric_name((struct otlp_naming){true, false}, name, unit, rows[i].kind, &b, &a),
            str_from_c(rows[i].plain));
        assert_str(
            otlp_metric_name((struct otlp_naming){false, true}, name, unit, rows[i].kind, &b, &a),
            str_from_c(rows[i].utf8));
    }
    const struct otlp_naming how = {true, true};
    assert_str(otlp_label_name(how, STR("http.method"), &a), STR("http_method"));
    assert_str(otlp_label_name(how, STR("1st"), &a), STR("key_1st"));
    assert_str(otlp_label_name(how, STR("_x"), &a), STR("key_x"));
    assert_str(otlp_label_name(how, STR("__x"), &a), STR("__x"));
    assert_str(otlp_label_name(how, STR("caf\xc3\xa9"), &a), STR("caf_"));
    assert_str(otlp_label_name((struct otlp_naming){false, true}, STR("a.b"), &a), STR("a.b"));
    buf_release(&b);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

TEST(gauges_and_sums_are_stored)
{
    struct world w;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    struct marks m = metric(&w.rq, "queue.depth", "{item}", 5);
    const size_t p = pb_begin(&w.rq, 1);
    fixed64(&w.rq, 3, (uint64_t)T0 * NS);
    fixed64(&w.rq, 6, (uint64_t)-7);
    attr(&w.rq, 7, "pix.stage", "risk");
    attr(&w.rq, 7, "pix_stage", "dict"); /* the same label once translated */
    attr(&w.rq, 7, "job", "attributes do not win");
    pb_end(&w.rq, p);
    metric_end(&w.rq, m);
    m = metric(&w.rq, "paid", "BRL", 7);
    number_point(&w.rq, T0, 5, 0);
    number_point(&w.rq, T0 + 1, 0, 1); /* no recorded value */
    temporality(&w.rq, 2, true);
    metric_end(&w.rq, m);
    assert_int_equal(send(&w), 200);
    assert_int_equal(w.answer.body.n, 0);
    expect(&w, "paid_BRL_total 0:5@-1000 1:stale@-1000\n"
               "queue_depth,pix_stage=risk;dict 0:-7\n");
    world_close(&w);
}

TEST(a_resource_is_told_by_target_info)
{
    struct world w;
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    uint32_t *ids, n;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    const struct marks m = metric(&w.rq, "a", "", 5);
    number_point(&w.rq, T0, 1, 0);
    metric_end(&w.rq, m);
    assert_int_equal(post(&w, "/api/v1/otlp/v1/metrics", buf_str(&w.rq),
                          "Content-Type: application/x-protobuf; charset=x", NULL),
                     200);
    const struct matcher is = {MATCH_EQ, STR(LABEL_NAME), STR("target_info")};
    arena_init(&a, &w.test_mem, 1 << 20);
    assert_true(tsdb_view_open(w.db, &v, &e));
    assert_true(tsdb_select(v, &is, 1, T0, T0, 10, true, &a, &ids, &n, &e));
    assert_int_equal(n, 1);
    const struct labels ls = tsdb_labels(v, ids[0], &a);
    assert_int_equal(ls.n, 4);
    assert_str(labels_get(ls, STR("host_name")), STR("h1"));
    assert_str(labels_get(ls, STR("job")), STR("bank/pix"));
    assert_str(labels_get(ls, STR("instance")), STR("i-1"));
    tsdb_view_close(v);
    arena_release(&a);
    world_close(&w);
}

static void histogram(struct buf *b, const uint64_t *counts, size_t counts_n, const double *bounds,
                      size_t bounds_n, uint64_t count)
{
    const size_t p = pb_begin(b, 1);
    fixed64(b, 2, (uint64_t)(T0 - 1000) * NS);
    fixed64(b, 3, (uint64_t)T0 * NS);
    fixed64(b, 4, count);
    pb_put_f64(b, 5, 4.5);
    size_t in = pb_begin(b, 6);
    for (size_t i = 0; i < counts_n; i++) {
        buf_u64le(b, counts[i]);
    }
    pb_end(b, in);
    in = pb_begin(b, 7);
    for (size_t i = 0; i < bounds_n; i++) {
        buf_f64le(b, bounds[i]);
    }
    pb_end(b, in);
    in = pb_begin(b, 8); /* an exemplar of 0.3 */
    fixed64(b, 2, (uint64_t)T0 * NS);
    pb_put_f64(b, 3, 0.3);
    pb_put_bytes(b, 5, STR("\x01\xab"));
    pb_end(b, in);
    pb_end(b, p);
}

TEST(classic_histograms_become_buckets)
{
    static const uint64_t counts[] = {1, 2, 3};
    static const double bounds[] = {0.25, 1}, falling[] = {1, 0.25};
    struct world w;
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    struct tsdb_exemplar *x;
    uint32_t n;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    const struct marks m = metric(&w.rq, "latency", "ms", 9);
    histogram(&w.rq, counts, 3, bounds, 2, 6);
    histogram(&w.rq, counts, 2, bounds, 2, 6);  /* a bucket too few */
    histogram(&w.rq, counts, 3, falling, 2, 6); /* bounds that fall */
    temporality(&w.rq, 2, false);
    metric_end(&w.rq, m);
    assert_int_equal(send(&w), 200);
    assert_int_equal(rejected(&w, "one bucket more"), 2);
    expect(&w, "latency_milliseconds_bucket,le=+Inf 0:6@-1000\n"
               "latency_milliseconds_bucket,le=0.25 0:1@-1000\n"
               "latency_milliseconds_bucket,le=1 0:3@-1000\n"
               "latency_milliseconds_count 0:6@-1000\n"
               "latency_milliseconds_sum 0:4.5@-1000\n");
    const struct matcher le = {MATCH_EQ, STR("le"), STR("1")};
    arena_init(&a, &w.test_mem, 1 << 20);
    assert_true(tsdb_view_open(w.db, &v, &e));
    assert_true(tsdb_exemplars(v, &le, 1, T0, T0, &a, &x, &n, &e));
    assert_int_equal(n, 1); /* in the bucket it fell into */
    assert_str(labels_get(x[0].labels, STR("trace_id")), STR("01ab"));
    tsdb_view_close(v);
    arena_release(&a);
    world_close(&w);
}

static void exponential(struct buf *b, int64_t t, int64_t scale, int64_t offset,
                        const uint64_t *counts, size_t n, uint64_t count)
{
    const size_t p = pb_begin(b, 1);
    fixed64(b, 3, (uint64_t)t * NS);
    fixed64(b, 4, count);
    pb_put_f64(b, 5, 9);
    pb_put_sint(b, 6, scale);
    fixed64(b, 7, 1);
    const size_t side = pb_begin(b, 8);
    pb_put_sint(b, 1, offset);
    const size_t in = pb_begin(b, 2);
    for (size_t i = 0; i < n; i++) {
        pb_raw_varint(b, counts[i]);
    }
    pb_end(b, in);
    pb_end(b, side);
    pb_end(b, p);
}

TEST(exponential_histograms_become_native_ones)
{
    static const uint64_t counts[] = {1, 0, 2, 0, 0, 0, 3};
    struct world w;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    const struct marks m = metric(&w.rq, "latency", "s", 10);
    exponential(&w.rq, T0, 3, -2, counts, 7, 7);     /* gaps: of one kept, of three not */
    exponential(&w.rq, T0 + 1, 9, -3, counts, 7, 7); /* -3 | -2 -1 | 0 1 | 2 3 by pairs */
    exponential(&w.rq, T0 + 2, -5, 0, counts, 1, 2); /* a scale we do not have */
    exponential(&w.rq, T0 + 3, 0, 0, counts, 1, 9);  /* buckets do not sum up */
    temporality(&w.rq, 2, false);
    metric_end(&w.rq, m);
    assert_int_equal(send(&w), 200);
    assert_int_equal(rejected(&w, "scale"), 2);
    expect(&w, "latency_seconds 0:hist(3,7,9,1 -1+3 3+1 1 0 2 3)"
               " 1:hist(8,7,9,1 -1+4 1 2 0 3)\n");
    world_close(&w);
}

TEST(summaries_are_stored)
{
    struct world w;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    const struct marks m = metric(&w.rq, "latency", "s", 11);
    const size_t p = pb_begin(&w.rq, 1);
    fixed64(&w.rq, 3, (uint64_t)T0 * NS);
    fixed64(&w.rq, 4, 10);
    pb_put_f64(&w.rq, 5, 2.5);
    const size_t q = pb_begin(&w.rq, 6);
    pb_put_f64(&w.rq, 1, 0.99);
    pb_put_f64(&w.rq, 2, 0.7);
    pb_end(&w.rq, q);
    pb_end(&w.rq, p);
    metric_end(&w.rq, m);
    assert_int_equal(send(&w), 200);
    expect(&w, "latency_seconds,quantile=0.99 0:0.7\nlatency_seconds_count 0:10\n"
               "latency_seconds_sum 0:2.5\n");
    world_close(&w);
}

TEST(what_is_refused_is_said_and_counted)
{
    struct world w;
    struct arena a;
    struct expo x;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    struct marks m = metric(&w.rq, "delta", "", 7);
    number_point(&w.rq, T0, 1, 0);
    temporality(&w.rq, 1, true);
    metric_end(&w.rq, m);
    m = metric(&w.rq, "good", "", 5);
    number_point(&w.rq, T0, 1, 0);
    number_point(&w.rq, T0 + 3600000, 1, 0); /* an hour in the future */
    metric_end(&w.rq, m);
    assert_int_equal(send(&w), 200);
    assert_int_equal(rejected(&w, "delta"), 2 + 1); /* and target_info an hour in the future */
    expect(&w, "good 0:1\n");
    arena_init(&a, &w.test_mem, 1 << 20);
    expo_init(&x, &a, 0);
    otlp_publish(w.door, &x);
    const struct label l = {STR("reason"), STR("delta")};
    assert_true(expo_find(&x, STR("farol_otlp_dropped"), &l, 1)->value == 1);
    arena_release(&a);
    world_close(&w);
}

TEST(bodies_that_are_no_requests_are_refused)
{
    struct world w;
    world_open(&w, "NoTranslation");
    const char *pb = "Content-Type: application/x-protobuf";
    assert_int_equal(post(&w, "/v1/metrics", STR("{}"), "Content-Type: text/json", NULL), 415);
    assert_int_equal(post(&w, "/v1/metrics", STR("x"), pb, "Content-Encoding: br"), 415);
    assert_int_equal(post(&w, "/v1/metrics", STR("\x0a\xff"), pb, NULL), 400);
    assert_int_equal(post(&w, "/v1/metrics", STR("not gzip"), pb, "Content-Encoding: gzip"), 400);
    assert_int_equal(post(&w, "/v1/metrics", STR(""), pb, NULL), 200); /* an empty request is one */
    const struct marks m = metric(&w.rq, "a.b", "s", 5);
    number_point(&w.rq, T0, 1, 0);
    metric_end(&w.rq, m);
    for (size_t n = 1; n < w.rq.n; n++) {
        assert_int_equal(post(&w, "/v1/metrics", str_of(w.rq.p, n), pb, NULL), 400);
    }
    expect(&w, "");
    unsigned char packed[1024];
    z_stream z = {.next_in = (unsigned char *)w.rq.p,
                  .avail_in = (unsigned)w.rq.n,
                  .next_out = packed,
                  .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const struct str body = str_of((const char *)packed, sizeof packed - z.avail_out);
    deflateEnd(&z);
    assert_int_equal(post(&w, "/v1/metrics", body, pb, "Content-Encoding: gzip"), 200);
    expect(&w, "a.b 0:1\n");
    buf_reset(&w.rq);
    const struct marks later = metric(&w.rq, "a.b", "s", 5);
    number_point(&w.rq, T0 + 1, 2, 0);
    metric_end(&w.rq, later);
    simos_fault_from(w.sim, 1, SIMOS_FAIL);
    assert_int_equal(post(&w, "/v1/metrics", buf_str(&w.rq), pb, NULL), 503);
    assert_int_equal(w.answer.retry_after_ms, 1000);
    simos_fault_from(w.sim, 0, SIMOS_OK);
    expect(&w, "a.b 0:1\n");
    world_close(&w);
}
