/* OTLP in JSON: what each kind of value becomes, what is refused and where, and the whole way into
 * the store, answers included. */
#include "ingest/otlp/json_int.h"
#include "ingest/otlp/testing_int.h"

#include <zlib.h>

#define JSON "Content-Type: application/json"

/* -- Values. -- */

static const char around_head[] = "{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":"
                                  "\"k\",\"value\":";
static const char around_tail[] = "}]}}]}";

/* That an attribute with this value becomes an AnyValue of these bytes. */
static void value_gives(const char *json, struct str bytes)
{
    struct mem m;
    struct buf text, out, want;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&text, &m, 1 << 16);
    buf_init(&out, &m, 1 << 16);
    buf_init(&want, &m, 1 << 16);
    buf_fmt(&text, "%s%s%s", around_head, json, around_tail);
    const size_t resource_metrics = pb_begin(&want, 1), resource = pb_begin(&want, 1);
    const size_t attribute = pb_begin(&want, 1);
    pb_put_bytes(&want, 1, STR("k"));
    pb_put_bytes(&want, 2, bytes);
    pb_end(&want, attribute);
    pb_end(&want, resource);
    pb_end(&want, resource_metrics);
    if (!otlp_json_to_pb(buf_str(&text), &m, &out, &e)) {
        fail_msg("%s: %s", json, e.msg);
    }
    assert_str(buf_str(&out), buf_str(&want));
    buf_release(&text);
    buf_release(&out);
    buf_release(&want);
    assert_int_equal(m.bytes, 0);
}

TEST(otlp_json_values_become_protobuf)
{
    value_gives("{}", STR(""));
    value_gives("{\"stringValue\":\"a\\u00e9\"}", STR("\x0a\x03"
                                                      "a\xc3\xa9"));
    value_gives("{\"stringValue\":null,\"boolValue\":true}", STR("\x10\x01"));
    value_gives("{\"boolValue\":false}", STR("\x10\x00"));
    value_gives("{\"intValue\":\"-1\"}", STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    value_gives("{\"intValue\":-1}", STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    value_gives("{\"intValue\":\"9223372036854775807\"}",
                STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
    value_gives("{\"intValue\":9223372036854775807}",
                STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
    value_gives("{\"intValue\":1e3}", STR("\x18\xe8\x07"));
    value_gives("{\"intValue\":\"1e3\"}", STR("\x18\xe8\x07"));
    value_gives("{\"intValue\":-2.0}", STR("\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    value_gives("{\"doubleValue\":1}", STR("\x21\0\0\0\0\0\0\xf0\x3f"));
    value_gives("{\"doubleValue\":\"1.5\"}", STR("\x21\0\0\0\0\0\0\xf8\x3f"));
    value_gives("{\"doubleValue\":-0.0}", STR("\x21\0\0\0\0\0\0\0\x80"));
    value_gives("{\"doubleValue\":\"NaN\"}", STR("\x21\0\0\0\0\0\0\xf8\x7f"));
    value_gives("{\"doubleValue\":\"Infinity\"}", STR("\x21\0\0\0\0\0\0\xf0\x7f"));
    value_gives("{\"doubleValue\":\"-Infinity\"}", STR("\x21\0\0\0\0\0\0\xf0\xff"));
    value_gives("{\"bytesValue\":\"+/8=\"}", STR("\x3a\x02\xfb\xff"));
    value_gives("{\"bytesValue\":\"-_8\"}", STR("\x3a\x02\xfb\xff")); /* the other alphabet */
    value_gives("{\"bytesValue\":\"QUJD\"}", STR("\x3a\x03"
                                                 "ABC"));
    value_gives("{\"bytesValue\":\"\"}", STR("\x3a\x00"));
    value_gives("{\"arrayValue\":{\"values\":[{\"intValue\":1},{\"boolValue\":false}]}}",
                STR("\x2a\x08\x0a\x02\x18\x01\x0a\x02\x10\x00"));
    value_gives("{\"kvlistValue\":{\"values\":[{\"key\":\"x\",\"value\":{\"intValue\":2}}]}}",
                STR("\x32\x09\x0a\x07\x0a\x01x\x12\x02\x18\x02"));
    value_gives("{\"novelty\":{\"deep\":[1,{\"intValue\":\"no\"}]},\"int_value\":4,\"intValue\":1}",
                STR("\x18\x01"));
}

/* -- Refusals. -- */

static void refused(struct str json, enum err_code code, uint32_t line, uint32_t col,
                    const char *message)
{
    struct mem m;
    struct buf out;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&out, &m, 1 << 20);
    assert_false(otlp_json_to_pb(json, &m, &out, &e));
    if (!strstr(e.msg, message)) {
        fail_msg("expected \"%s\", found \"%s\"", message, e.msg);
    }
    assert_int_equal(e.code, code);
    assert_int_equal(e.line, line);
    assert_int_equal(e.col, col);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

/* The column is that of the value behind the key "intValue" and the like, the path its own. */
static void value_refused(const char *key, const char *value, const char *message)
{
    char text[512], want[256];
    snprintf(text, sizeof text, "%s{\"%s\":%s}%s", around_head, key, value, around_tail);
    snprintf(want, sizeof want, "resourceMetrics[0].resource.attributes[0].value.%s: %s", key,
             message);
    refused(str_from_c(text), ERR_INPUT, 1,
            (uint32_t)(sizeof around_head - 1 + strlen(key) + strlen("{\"\":") + 1), want);
}

TEST(otlp_json_says_what_is_wrong_and_where)
{
    value_refused("intValue", "\"x\"", "expected an integer of 64 bits, found a string");
    value_refused("intValue", "\"\"", "expected an integer of 64 bits, found a string");
    value_refused("intValue", "1.5", "expected an integer of 64 bits, found a number");
    value_refused("intValue", "9223372036854775808", "expected an integer of 64 bits");
    value_refused("intValue", "\"18446744073709551616\"", "expected an integer of 64 bits");
    value_refused("intValue", "true", "expected an integer of 64 bits, found true");
    value_refused("doubleValue", "\"fast\"", "expected a number, found a string");
    value_refused("doubleValue", "[]", "expected a number, found an array");
    value_refused("boolValue", "\"true\"", "expected true or false, found a string");
    value_refused("stringValue", "1", "expected a string, found a number");
    value_refused("bytesValue", "\"a\"", "expected bytes in base64");
    value_refused("bytesValue", "\"ab*d\"", "expected bytes in base64");
    value_refused("bytesValue", "\"a===\"", "expected bytes in base64");
    value_refused("arrayValue", "[]", "expected an object, found an array");
    refused(STR("[]"), ERR_INPUT, 0, 0, "expected an object, found an array");
    refused(STR("{\n \"resourceMetrics\": 7}"), ERR_INPUT, 2, 21,
            "resourceMetrics: expected an array, found a number");
    refused(STR("{\n\"resourceMetrics\": [{]}"), ERR_INPUT, 2, 22, "expected");
    refused(STR("{\"resourceMetrics\":[null]}"), ERR_INPUT, 1, 21,
            "expected an object, found null");
}

TEST(otlp_json_is_bounded)
{
    struct mem m;
    struct buf text, out;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&text, &m, 64U << 20);
    buf_init(&out, &m, 8);
    BUF_LIT(&text, "{\"x\":[0");
    while (text.n < OTLP_JSON_BYTES_MAX / 2) {
        BUF_LIT(&text, ",0");
    }
    BUF_LIT(&text, "]}");
    refused(buf_str(&text), ERR_LIMIT, 0, 0, "JSON values");
    while (text.n <= OTLP_JSON_BYTES_MAX) {
        buf_char(&text, ' ');
    }
    refused(buf_str(&text), ERR_LIMIT, 0, 0, "at most 16777216 are read");
    buf_reset(&text);
    buf_fmt(&text, "%s{\"stringValue\":\"long\"}%s", around_head, around_tail);
    assert_false(otlp_json_to_pb(buf_str(&text), &m, &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    for (size_t room = 16; room < 4096; room *= 2) { /* memory ends sooner or later */
        struct mem small;
        struct buf to;
        e = (struct err){0};
        mem_init(&small, room);
        buf_init(&to, &m, 1 << 16);
        assert_true(otlp_json_to_pb(buf_str(&text), &small, &to, &e) || e.code == ERR_NOMEM ||
                    e.code == ERR_LIMIT);
        assert_int_equal(small.bytes, 0);
        buf_release(&to);
    }
    buf_reset(&text);
    BUF_LIT(&text, "{\"resourceMetrics\":");
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++) {
        buf_char(&text, '[');
    }
    assert_false(otlp_json_to_pb(buf_str(&text), &m, &out, &e));
    buf_release(&text);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

/* -- Over HTTP. -- */

#define RESOURCE                                                                               \
    "{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":"     \
    "\"pix\"}},{\"key\":\"service.namespace\",\"value\":{\"stringValue\":\"bank\"}},{\"key\":" \
    "\"service.instance.id\",\"value\":{\"stringValue\":\"i-1\"}},{\"key\":\"host.name\","     \
    "\"value\":{\"stringValue\":\"h1\"}}]},\"scopeMetrics\":[{\"metrics\":["
#define TIMES \
    "\"startTimeUnixNano\":\"1767225599000000000\",\"timeUnixNano\":\"1767225600000000000\""
#define REQUEST(metrics) "{\"resourceMetrics\":[" RESOURCE metrics "]}]}]}"

/* Numbers are written as senders do: 64-bit integers as strings here, as numbers there. */
static const char all_kinds[] = REQUEST(
    "{\"name\":\"g\",\"gauge\":{\"dataPoints\":[{" TIMES ",\"asDouble\":0.5},{\"timeUnixNano\":"
    "1767225600001000000,\"asInt\":\"-7\"},{\"timeUnixNano\":1767225600002000000,\"flags\":1}]}},"
    "{\"name\":\"s\",\"unit\":\"By\",\"description\":\"read over\",\"sum\":{\"dataPoints\":[{" TIMES
    ",\"asInt\":9,\"attributes\":[{\"key\":\"dir\",\"value\":{\"intValue\":\"3\"}}]}],"
    "\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_CUMULATIVE\",\"isMonotonic\":true}},"
    "{\"name\":\"h\",\"histogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{" TIMES
    ",\"count\":\"3\",\"sum\":4.5,\"bucketCounts\":[\"1\",2],\"explicitBounds\":[0.25],"
    "\"exemplars\":[{\"timeUnixNano\":\"1767225600000000000\",\"asDouble\":0.3,\"traceId\":"
    "\"01AB\",\"spanId\":\"ff\"}]}]}},"
    "{\"name\":\"x\",\"exponentialHistogram\":{\"aggregationTemporality\":2,\"dataPoints\":[{" TIMES
    ",\"count\":\"6\",\"sum\":9,\"scale\":1,\"zeroCount\":1,\"positive\":{\"offset\":-3,"
    "\"bucketCounts\":[\"2\",\"3\"]}}]}},"
    "{\"name\":\"q\",\"summary\":{\"dataPoints\":[{" TIMES ",\"count\":\"4\",\"sum\":8,"
    "\"quantileValues\":[{\"quantile\":0.5,\"value\":2}]}]}}");

static const char all_stored[] = "g 0:0.5 1:-7 2:stale\n"
                                 "h_bucket,le=+Inf 0:3@-1000\n"
                                 "h_bucket,le=0.25 0:1@-1000\n"
                                 "h_count 0:3@-1000\n"
                                 "h_sum 0:4.5@-1000\n"
                                 "q,quantile=0.5 0:2@-1000\n"
                                 "q_count 0:4@-1000\n"
                                 "q_sum 0:8@-1000\n"
                                 "s_bytes_total,dir=3 0:9@-1000\n"
                                 "x 0:hist(1,6,9,1 -2+2 2 3)@-1000\n";

static void answered(const struct world *w, const char *body)
{
    assert_str(buf_str(&w->answer.body), str_from_c(body));
}

TEST(otlp_json_requests_are_stored_and_answered_in_json)
{
    struct world w;
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    struct tsdb_exemplar *x;
    uint32_t n;
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    assert_int_equal(post(&w, "/v1/metrics", str_from_c(all_kinds),
                          "Content-Type: application/json; charset=utf-8", NULL),
                     200);
    answered(&w, "{}");
    expect(&w, all_stored);
    const struct matcher le = {MATCH_EQ, STR("le"), STR("+Inf")};
    arena_init(&a, &w.test_mem, 1 << 20);
    assert_true(tsdb_view_open(w.db, &v, &e));
    assert_true(tsdb_exemplars(v, &le, 1, T0, T0, &a, &x, &n, &e));
    assert_int_equal(n, 1);
    assert_str(labels_get(x[0].labels, STR("trace_id")), STR("01ab"));
    assert_str(labels_get(x[0].labels, STR("span_id")), STR("ff"));
    tsdb_view_close(v);
    arena_release(&a);
    assert_int_equal(post(&w, "/api/v1/otlp/v1/metrics", STR("{}"), JSON, NULL), 200);
    answered(&w, "{}");
    world_close(&w);
}

TEST(otlp_json_may_be_packed)
{
    struct world w;
    unsigned char packed[4096];
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)all_kinds,
                  .avail_in = sizeof all_kinds - 1,
                  .next_out = packed,
                  .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const struct str body = str_of((const char *)packed, sizeof packed - z.avail_out);
    deflateEnd(&z);
    world_open(&w, "UnderscoreEscapingWithSuffixes");
    assert_int_equal(post(&w, "/v1/metrics", body, JSON, "Content-Encoding: gzip"), 200);
    answered(&w, "{}");
    expect(&w, all_stored);
    world_close(&w);
}

TEST(otlp_json_refusals_are_json)
{
    struct world w;
    world_open(&w, "NoTranslation");
    const char *path = "/v1/metrics";
    assert_int_equal(
        post(&w, path,
             STR(REQUEST("{\"name\":\"d\",\"sum\":{\"dataPoints\":[{" TIMES ",\"asInt\":1}],"
                         "\"aggregationTemporality\":\"AGGREGATION_TEMPORALITY_DELTA\"}},"
                         "{\"name\":\"g\",\"gauge\":{\"dataPoints\":[{" TIMES ",\"asInt\":1}]}}")),
             JSON, NULL),
        200);
    assert_true(
        str_starts(buf_str(&w.answer.body), STR("{\"partialSuccess\":{\"rejectedDataPoints\""
                                                ":\"1\",\"errorMessage\":\"")));
    assert_true(str_contains(buf_str(&w.answer.body), STR("delta")));
    assert_true(str_ends(buf_str(&w.answer.body), STR("\"}}")));
    expect(&w, "g 0:1\n");
    static const struct {
        struct str body;
        const char *answer;
    } bad[] = {
        {STR_INIT("{\"resourceMetrics\":7}"),
         "{\"message\":\"1:20: resourceMetrics: expected an array, found a number\"}"},
        {STR_INIT(REQUEST("{\"name\":\"g\",\"sum\":{\"aggregationTemporality\":\"NOW\"}}")), NULL},
        {STR_INIT(REQUEST("{\"name\":\"g\",\"gauge\":{\"dataPoints\":[{\"flags\":-1}]}}")), NULL},
        {STR_INIT(REQUEST("{\"name\":\"g\",\"gauge\":{\"dataPoints\":[{\"exemplars\":[{\"traceId\":"
                          "\"abc\"}]}]}}")),
         NULL},
        {STR_INIT(""), NULL},
        {STR_INIT("{\"resourceMetrics\":["), NULL},
        {STR_INIT("\x0a\x00"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(post(&w, path, bad[i].body, JSON, NULL), 400);
        assert_true(str_starts(buf_str(&w.answer.body), STR("{\"message\":\"")));
        if (bad[i].answer) {
            answered(&w, bad[i].answer);
        }
    }
    assert_int_equal(post(&w, path, STR("{}"), "Content-Type: application/x-protobuf", NULL), 400);
    assert_int_equal(post(&w, path, STR("{}"), JSON, "Content-Encoding: br"), 415);
    answered(&w, "{\"message\":\"expected Content-Encoding gzip, zstd or none\"}");
    expect(&w, "g 0:1\n");
    world_close(&w);
}
