/* What other programs ask for: federation, remote read, administration. */
#include "server/api/prom/prom_testing_int.h"

#include "codec/pb.h"
#include "codec/snappy.h"

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
