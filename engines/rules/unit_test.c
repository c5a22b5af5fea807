/* Unit tests of rules: verdicts and the words of a difference. */
#include "engines/rules/rules.h"

#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

static const char rules_text[] =
    "groups:\n- name: g\n  rules:\n"
    "  - {alert: Down, expr: up == 0, for: 2m, annotations: {s: '{{ $labels.job }}'}}\n"
    "  - {record: job:up, expr: sum by (job) (up)}\n";

static struct rules_test_result run(const char *text, struct buf *out, struct err *e, bool *ok)
{
    struct simos *s = simos_new(1);
    const struct os *os = simos_os(s);
    struct rules_test_result r = {0};
    assert_true(file_replace(os, "r.yml", str_from_c(rules_text), e));
    *ok = rules_test_file(str_from_c(text), "t.yml", os, 0, out, &r, e);
    simos_free(s);
    return r;
}

static void expect(const char *text, uint32_t passed, uint32_t failed, const char *words)
{
    struct mem m;
    struct buf out;
    struct err e = {0};
    bool ok = false;
    mem_init(&m, 0);
    buf_init(&out, &m, 1U << 20);
    struct rules_test_result r = run(text, &out, &e, &ok);
    assert_true(ok);
    if (words) {
        assert_str(buf_str(&out), str_from_c(words));
    }
    assert_int_equal(r.passed, passed);
    assert_int_equal(r.failed, failed);
    buf_release(&out);
}

#define HEAD                                                                            \
    "rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  name: t\n" \
    "  input_series: [{series: 'up{job=\"a\"}', values: '1 0 0 0 0 1'}]\n"

TEST(unit_tests_pass)
{
    expect(HEAD
           "  alert_rule_test:\n"
           "  - {eval_time: 2m, alertname: Down}\n"
           "  - {eval_time: 3m, alertname: Down, exp_alerts: [{exp_labels: {job: a}, "
           "exp_annotations: {s: a}}]}\n"
           "  - {eval_time: 5m, alertname: Down}\n"
           "  promql_expr_test:\n"
           "  - {expr: 'job:up', eval_time: 5m, exp_samples: [{labels: 'job:up{job=\"a\"}', value: "
           "1}]}\n"
           "  - {expr: 'nothing', eval_time: 5m}\n",
           1, 0, "");
}

TEST(unit_tests_say_what_differs)
{
    expect(HEAD
           "  alert_rule_test:\n  - {eval_time: 3m, alertname: Down}\n"
           "  promql_expr_test:\n"
           "  - {expr: up, eval_time: 1m, exp_samples: [{labels: 'up{job=\"a\"}', value: 1}]}\n",
           0, 1,
           "    name: t,\n"
           "    alertname: Down, time: 3m, \n"
           "        exp:[], \n"
           "        got:[\n"
           "            0:\n"
           "              Labels:{alertname=\"Down\", job=\"a\"}\n"
           "              Annotations:{s=\"a\"}\n"
           "            ]\n\n"
           "    name: t,\n"
           "    expr: \"up\", time: 1m,\n"
           "        exp: {__name__=\"up\", job=\"a\"} 1E+00\n"
           "        got: {__name__=\"up\", job=\"a\"} 0E+00\n\n");
}

TEST(unit_tests_time_and_histograms)
{
    expect("tests:\n- start_timestamp: 2024-01-01T00:00:00Z\n  promql_expr_test:\n"
           "  - {expr: time(), eval_time: 5m, exp_samples: [{value: 1704067500}]}\n"
           "- input_series: [{series: h, values: '{{schema:1 sum:3 count:4 buckets:[1 0 3] "
           "offset:2}}'}]\n"
           "  promql_expr_test:\n"
           "  - {expr: h, eval_time: 0, exp_samples: [{labels: h, histogram: '{{schema:1 sum:3 "
           "count:4 "
           "buckets:[1 0 3] offset:2}}'}]}\n"
           "  - {expr: h, eval_time: 0, exp_samples: [{labels: h, histogram: '{{schema:1 sum:3 "
           "count:4 "
           "buckets:[1 1 3] offset:2}}'}]}\n",
           1, 1,
           "    expr: \"h\", time: 0s,\n"
           "        exp: {__name__=\"h\"} {{schema:1 count:4 sum:3 offset:2 buckets:[1 1 3]}}\n"
           "        got: {__name__=\"h\"} {{schema:1 count:4 sum:3 offset:2 buckets:[1 0 3]}}\n\n");
}

TEST(unit_tests_refuse_bad_files)
{
    static const char *const bad[] = {"tests: [{nme: x}]\n", "tests: 1\n",
                                      "tests: [{alert_rule_test: [{eval_time: 1m}]}]\n",
                                      "group_eval_order: [a, a]\n", "x: 1\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct mem m;
        struct buf out;
        struct err e = {0};
        bool ok = true;
        mem_init(&m, 0);
        buf_init(&out, &m, 1U << 20);
        (void)run(bad[i], &out, &e, &ok);
        assert_false(ok);
        assert_true(e.line >= 1);
        buf_release(&out);
    }
}
