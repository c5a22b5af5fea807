/* The evaluator as a whole: names removed at once or late, limits, cancellation, answers that do
 * not depend on threads, and memory that runs out at every place. What the language means is
 * tested by scripts (testdata/eval.test, test/conformance/promql). */
#include "base/test.h"
#include "engines/promql/eval_test_int.h"

#include <math.h>
#include <stdio.h>

TEST(names_go_at_once_without_the_flag)
{
    struct mem m;
    struct world w;
    mem_init(&m, 0);
    world_init(&w, &m);
    assert_true(load(&w, "a_total{x=\"1\"} 0 60 120"));
    assert_true(load(&w, "b_total{x=\"2\"} 0 30 60"));
    assert_true(load(&w, "b_total{x=\"1\"} 0 30 60"));
    assert_true(eval_at(&w, "sum by (__name__) (rate(a_total[2m]))", 120000, 120000, 0));
    assert_int_equal(w.r.series_n, 1);
    assert_str(labels_text(&w, 0), STR("{}"));
    assert_true(eval_at(&w,
                        "label_replace(rate(a_total[2m]), \"n\", \"[$1]\", \"__name__\", \"(.*)\")",
                        120000, 120000, 0));
    assert_str(labels_text(&w, 0), STR("{n=\"[]\", x=\"1\"}"));
    assert_false(eval_at(&w, "sum(rate({x=\"1\"}[2m]))", 120000, 120000, 0));
    assert_int_equal(w.why, PROMQL_EXECUTION);
    assert_str(w.r.string, STR("vector cannot contain metrics with the same labelset"));
    w.q.flags = PROMQL_DELAYED_NAME_REMOVAL;
    assert_true(eval_at(&w, "sum(rate({x=\"1\"}[2m]))", 120000, 120000, 0));
    assert_int_equal(w.r.series_n, 1);
    world_release(&w);
}

TEST(a_comparison_keeps_the_name_and_arithmetic_does_not)
{
    struct mem m;
    struct world w;
    mem_init(&m, 0);
    world_init(&w, &m);
    assert_true(load(&w, "a{x=\"1\"} 5"));
    for (unsigned late = 0; late < 2; late++) {
        w.q.flags = late == 0 ? 0 : PROMQL_DELAYED_NAME_REMOVAL;
        assert_true(eval_at(&w, "a > 1", 0, 0, 0));
        assert_str(labels_text(&w, 0), STR("{__name__=\"a\", x=\"1\"}"));
        assert_true(eval_at(&w, "a > bool 1", 0, 0, 0));
        assert_str(labels_text(&w, 0), STR("{x=\"1\"}"));
        assert_true(eval_at(&w, "abs(a) * 2", 0, 0, 0));
        assert_str(labels_text(&w, 0), STR("{x=\"1\"}"));
        assert_true(w.r.series[0].samples[0].v == 10);
    }
    world_release(&w);
}

TEST(made_labels_meet_those_of_the_source)
{
    struct mem m;
    struct world w;
    mem_init(&m, 0);
    world_init(&w, &m);
    assert_true(load(&w, "a{x=\"1\"} 5"));
    assert_true(load(&w, "b{x=\"2\", y=\"1\"} 7"));
    assert_true(
        eval_at(&w, "a + on (x) label_replace(b, \"x\", \"$1\", \"y\", \"(.*)\")", 0, 0, 0));
    assert_int_equal(w.r.series_n, 1);
    assert_true(w.r.series[0].samples[0].v == 12);
    assert_true(
        eval_at(&w,
                "sum by (x) (label_replace(b, \"x\", \"1\", \"\", \"\") or on (nothing) a or "
                "label_replace(b, \"x\", \"1\", \"\", \"\"))",
                0, 0, 0));
    assert_int_equal(w.r.series_n, 1);
    assert_true(eval_at(&w, "count_values(\"x\", b) * on (x) group_left () vector(1)", 0, 0, 0));
    world_release(&w);
}

TEST(limits_and_cancellation_are_told_apart)
{
    struct mem m;
    struct world w;
    atomic_bool cancel = true;
    mem_init(&m, 0);
    world_init(&w, &m);
    assert_true(load(&w, "a{x=\"1\"} 5x100"));
    assert_true(load(&w, "a{x=\"2\"} 5x100"));
    w.q.samples_max = 150;
    assert_true(eval_at(&w, "a", 0, 60 * 60000, 60000));
    assert_false(eval_at(&w, "a", 0, 90 * 60000, 60000));
    assert_str(w.r.string,
               STR("query processing would load too many samples into memory in query execution"));
    w.q.samples_max = 0;
    w.q.series_max = 1;
    assert_false(eval_at(&w, "a", 0, 0, 0));
    assert_int_equal(w.why, PROMQL_LIMIT);
    w.q.series_max = 0;
    w.q.bytes_max = 20000;
    assert_false(eval_at(&w, "a * 2", 0, 90 * 60000, 60));
    assert_int_equal(w.why, PROMQL_LIMIT);
    w.q.bytes_max = 0;
    w.q.cancel = &cancel;
    assert_false(eval_at(&w, "a", 0, 0, 0));
    assert_int_equal(w.why, PROMQL_CANCELED);
    assert_str(w.r.string, STR("query was canceled in expression evaluation"));
    w.q.cancel = NULL;
    w.q.os = os_real();
    w.q.deadline_mono_ns = 1;
    assert_false(eval_at(&w, "a", 0, 0, 0));
    assert_int_equal(w.why, PROMQL_TIMEOUT);
    w.q.deadline_mono_ns = 0;
    assert_false(eval_at(&w, "a[5m]", 0, 60000, 60000));
    assert_int_equal(w.why, PROMQL_BAD);
    world_release(&w);
}

TEST(notes_have_lines_and_columns)
{
    struct mem m;
    struct world w;
    mem_init(&m, 0);
    world_init(&w, &m);
    assert_true(load(&w, "a{x=\"1\"} 5x100"));
    assert_true(eval_at(&w, "1 +\n  quantile(2, a) + rate(a[5m])", 600000, 600000, 0));
    assert_int_equal(w.r.notes_n, 2);
    assert_str(w.r.notes[0].text,
               STR("PromQL warning: quantile value should be between 0 and 1, got 2 (2:12)"));
    assert_true(w.r.notes[0].warning);
    assert_str(w.r.notes[1].text,
               STR("PromQL info: metric might not be a counter, name does not end in "
                   "_total/_sum/_count/_bucket: \"a\" (2:25)"));
    assert_false(w.r.notes[1].warning);
    world_release(&w);
}

TEST(threads_do_not_change_an_answer)
{
    static const char *const texts[] = {
        "sum by (g) (rate(a_total[5m]))",
        "avg(a_total)",
        "stddev by (g) (deriv(a_total[4m]))",
        "max_over_time(sum(rate(a_total[3m]))[10m:1m])",
        "topk(3, rate(a_total[5m])) or sum without (i) (a_total @ 600)",
        "rate(a_total[5m]) / on (i) (a_total > 3)",
        "sum by (g) (max_over_time(a_total[5m:30s]))",
    };
    struct mem m;
    struct world w;
    char line[256];
    mem_init(&m, 0);
    world_init(&w, &m);
    for (unsigned i = 0; i < 900; i++) {
        snprintf(line, sizeof line, "a_total{g=\"%u\", i=\"%u\"} 0+%u.%ux%u 0+%ux5", i % 7, i,
                 1 + i % 13, 1 + i % 9, 6 + i % 9, i % 5);
        assert_true(load(&w, line));
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        w.q.flags = PROMQL_DELAYED_NAME_REMOVAL;
        w.q.threads = 1;
        assert_true(eval_at(&w, texts[i], 0, 20 * 60000, 30000));
        struct promql_result one = w.r;
        assert_true(one.series_n > 0);
        for (uint32_t t = 2; t <= 5; t++) {
            w.q.threads = t;
            assert_true(eval_at(&w, texts[i], 0, 20 * 60000, 30000));
            assert_true(same_results(&one, &w.r));
            assert_int_equal(one.notes_n, w.r.notes_n);
            assert_int_equal(one.stats.samples_read, w.r.stats.samples_read);
        }
    }
    world_release(&w);
}

TEST(a_row_of_sums_has_the_bits_of_single_sums)
{
    static const double odd[] = {0,     -0.0,        1e308, -1e308, HUGE_VAL, -HUGE_VAL,
                                 1e-17, (double)NAN, 1,     -1,     3.3e200,  1.7e308};
    enum { N = 13, ROUNDS = 400 };
    double sum[N] = {0};
    double c[N] = {0};
    double one_sum[N] = {0};
    double one_c[N] = {0};
    uint64_t seed = test_seed();
    for (unsigned k = 0; k < ROUNDS; k++) {
        double x[N];
        for (unsigned i = 0; i < N; i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            unsigned pick = (unsigned)(seed >> 40);
            x[i] = pick % 11 == 0 ? odd[pick % ARRAY_LEN(odd)]
                                  : ldexp((double)(int64_t)seed, (int)(pick % 60) - 80);
            kahan_inc(x[i], &one_sum[i], &one_c[i]);
        }
        eval_kahan_row(sum, c, x, N);
        for (unsigned i = 0; i < N; i++) {
            bool nan = isnan(sum[i]) && isnan(one_sum[i]);
            assert_true(nan || memcmp(&sum[i], &one_sum[i], sizeof(double)) == 0);
            assert_true((isnan(c[i]) && isnan(one_c[i])) ||
                        memcmp(&c[i], &one_c[i], sizeof(double)) == 0);
            if (k % 40 == 39) {
                sum[i] = one_sum[i] = c[i] = one_c[i] = 0;
            }
        }
    }
}

FAULT_TEST(a_query_gives_back_its_memory)
{
    static const char *const texts[] = {
        "sum by (g) (rate(a_total[5m])) / on (g) group_left () count by (g) (h)",
        "histogram_quantile(0.9, h) or label_replace(a_total, \"z\", \"$1\", \"i\", \"(.*)\")",
        "topk(1, info(a_total)) and on () count_values(\"v\", a_total)",
        "sort_desc(sum(h) + avg(h)) unless absent(a_total)",
    };
    struct world x;
    bool ok = true;
    world_init(&x, &w->mem);
    ok = load(&x, "a_total{g=\"1\", i=\"1\", instance=\"a\", job=\"b\"} 0+5x10") &&
         load(&x, "target_info{instance=\"a\", job=\"b\", k=\"v\"} 1x10") &&
         load(&x, "h{g=\"1\"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x10") &&
         load(&x, "h{g=\"2\"} {{schema:1 sum:5 count:4 buckets:[1 2 1]}}x10");
    for (size_t i = 0; ok && i < ARRAY_LEN(texts); i++) {
        ok = eval_at(&x, texts[i], 0, 300000, 60000);
    }
    world_release(&x);
    return ok;
}
