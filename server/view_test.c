/* Tests of reading a status for the terminal (server/view.c). */
#include "server/view_int.h"

#include "base/file.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>

static bool read_text(const char *json, struct server_view *v, struct err *e)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct json_parser *p = json_parser_new(&mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    assert_non_null(p);
    bool ok = server_view_read(p, str_from_c(json), v, e);
    json_parser_free(p);
    assert_int_equal(mem.bytes, 0);
    return ok;
}

TEST(view_reads_the_whole_status)
{
    struct mem mem;
    struct buf text;
    struct err e = {0};
    struct server_view v;
    mem_init(&mem, 0);
    buf_init(&text, &mem, 1U << 20);
    assert_true(file_read(os_real(), test_path("server/testdata/status.json"), &text, &e));
    buf_char(&text, '\0');
    assert_true(read_text(text.p, &v, &e));
    assert_str(view_str(&v.version), STR("0.1.0"));
    assert_int_equal(v.state, VIEW_CRIT);
    assert_int_equal(v.t_ns, 1795412590250000000LL);
    assert_int_equal(v.pipeline.state, VIEW_WARN);
    assert_int_equal(v.pipeline.reasons_count, 1);
    assert_int_equal(v.model.reasons_count, 2);
    assert_int_equal(v.model.reasons[0].level, VIEW_CRIT);
    assert_true(str_starts(view_str(&v.model.reasons[1].text[LANG_EN]), STR("Feature device")));
    assert_true(v.closes);
    assert_int_equal((int64_t)v.entered, 1284512);
    assert_int_equal((int64_t)v.lost, 3);
    assert_int_equal(v.stages_count, 7);
    assert_str(view_str(&v.stages[1].name), STR("enrich"));
    assert_true(v.stages[1].p99_ms > 87.3 && v.stages[1].p99_ms < 87.5);
    assert_true(isnan(v.stages[6].queue_p99_ms));
    assert_str(view_str(&v.stages[2].version), STR("2.8.1"));
    assert_int_equal(v.stages[2].version_since_ns, v.t_ns - 722750 * NS_PER_MS);
    assert_int_equal(v.stages[1].version_since_ns, T_NS_NONE);
    assert_true(server_view_is_changed(&v, &v.stages[2]));
    assert_false(server_view_is_changed(&v, &v.stages[3])); /* was there before */
    assert_false(server_view_is_changed(&v, &v.stages[1])); /* no word of a version */
    assert_int_equal(v.decisions_count, 5);
    assert_true(v.decisions[1].share > 0.0209 && v.decisions[1].share < 0.0211);
    assert_str(view_str(&v.feature_name), STR("device_age_days"));
    assert_true(v.precision.lo > 0.82 && v.precision.hi < 0.863);
    assert_str(view_str(&v.precision.cohort), STR("d1"));
    assert_true(isnan(v.recall.value));
    assert_int_equal(v.versions_count, 2);
    assert_str(view_str(&v.versions[1]), STR("7.3.2"));
    buf_release(&text);
}

TEST(view_takes_no_data_for_what_is_absent)
{
    struct server_view v;
    struct err e = {0};
    assert_true(read_text("{\"state\":\"ok\",\"pipeline\":null,\"model\":7}", &v, &e));
    assert_int_equal(v.state, VIEW_OK);
    assert_int_equal(v.pipeline.state, VIEW_NONE);
    assert_true(isnan(v.tx_per_s));
    assert_true(isnan(v.entered));
    assert_false(v.closes);
    assert_false(v.ledger_given);
    assert_int_equal(v.t_ns, T_NS_NONE);
    assert_true(read_text("{\"state\":\"purple\"}", &v, &e));
    assert_int_equal(v.state, VIEW_NONE);
}

TEST(view_refuses_what_is_no_status)
{
    struct server_view v;
    struct err e = {0};
    assert_false(read_text("", &v, &e));
    assert_false(read_text("[]", &v, &e));
    assert_false(read_text("{}", &v, &e));
    assert_false(read_text("{\"state\":3}", &v, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_false(read_text("<html>", &v, &e));
}

TEST(view_does_the_sum_again)
{
    struct server_view v;
    struct err e = {0};
    assert_true(read_text("{\"state\":\"ok\",\"pipeline\":{\"ledger\":{\"entered\":10,\"left\":7,"
                          "\"in_flight\":2,\"lost\":2,\"closes\":true}}}",
                          &v, &e));
    assert_false(v.closes);
}

TEST(view_reads_what_fires)
{
    struct server_view v;
    struct err e = {0};
    assert_true(read_text("{\"state\":\"ok\",\"alerts\":{\"firing\":3,\"pending\":1,"
                          "\"names\":[\"PixDictDown\",7,\"A\\u001b[2J\"]}}",
                          &v, &e));
    assert_true(v.alerts_firing == 3 && v.alerts_pending == 1);
    assert_int_equal(v.alerts_count, 2);
    assert_str(view_str(&v.alerts[0]), STR("PixDictDown"));
    assert_true(memchr(v.alerts[1].p, 0x1b, v.alerts[1].n) == NULL);
    assert_true(read_text("{\"state\":\"ok\"}", &v, &e));
    assert_true(isnan(v.alerts_firing));
    assert_int_equal(v.alerts_count, 0);
}

TEST(view_puts_the_worst_reason_first)
{
    struct server_view v;
    struct err e = {0};
    assert_true(
        read_text("{\"state\":\"crit\",\"model\":{\"reasons\":[{\"level\":\"warn\",\"pt\":\"a\"},"
                  "{\"level\":\"crit\",\"pt\":\"b\"},{\"level\":\"warn\",\"pt\":\"c\"},{\"level\":"
                  "\"crit\",\"code\":\"d\"}]}}",
                  &v, &e));
    assert_int_equal(v.model.reasons_count, 4);
    assert_str(view_str(&v.model.reasons[0].text[LANG_PT]), STR("b"));
    assert_str(view_str(&v.model.reasons[1].text[LANG_PT]), STR("d"));
    assert_str(view_str(&v.model.reasons[2].text[LANG_PT]), STR("a"));
    assert_str(view_str(&v.model.reasons[3].text[LANG_PT]), STR("c"));
}

/* A hostile server must not steer the terminal of who looks at it. */
TEST(view_replaces_what_steers_terminals)
{
    struct server_view v;
    struct err e = {0};
    assert_true(read_text("{\"state\":\"ok\",\"version\":\"a\\u001b[31mb\\u0000c\\u009bd\\u202ee"
                          "\\u200bf\\ud83d\\ude00g\\u4e2dh\\u0301\\u00e7\\u2013\"}",
                          &v, &e));
    assert_str(view_str(&v.version), STR("a?[31mb?c?d?e?f?g?h?ç–"));
}

TEST(view_cuts_long_texts_between_characters)
{
    char json[2048];
    size_t n = (size_t)snprintf(json, sizeof json, "{\"state\":\"ok\",\"version\":\"x");
    for (int i = 0; i < 200; i++) {
        memcpy(json + n, "ç", 2);
        n += 2;
    }
    memcpy(json + n, "\"}", 3);
    struct server_view v;
    struct err e = {0};
    assert_true(read_text(json, &v, &e));
    assert_int_equal(v.version.n, VIEW_TEXT_BYTES - 1);
    assert_true(str_is_utf8(view_str(&v.version)));
}
