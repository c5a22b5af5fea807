/* Functions over all samples of a window. */
#include "engines/promql/fn/fn_test_int.h"

#include "base/rng.h"

#include <stdlib.h>

static const int64_t times[] = {1000, 2000, 3000, 4000, 5000, 6000};

TEST(over_time_sums_are_compensated)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {1, 1e100, 1, -1e100};
    const struct window w = fn_test_window(4, times, v, 0, 6000);
    assert_true(fn_test_float(&t, fn_sum_over_time, &w) == 2);
    assert_true(fn_test_float(&t, fn_avg_over_time, &w) == 0.5);
    assert_true(fn_test_float(&t, fn_count_over_time, &w) == 4);
    assert_true(fn_test_float(&t, fn_present_over_time, &w) == 1);
    fn_test_end(&t);
}

TEST(over_time_mean_does_not_overflow)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {9.988465674311579e307, 9.988465674311579e307, 1e307};
    const struct window w = fn_test_window(3, times, v, 0, 6000);
    assert_true(hist_test_near(fn_test_float(&t, fn_avg_over_time, &w), 6.992310449541053e307));
    const double inf[] = {1, (double)INFINITY, 3};
    const struct window wi = fn_test_window(3, times, inf, 0, 6000);
    assert_true(fn_test_float(&t, fn_avg_over_time, &wi) == (double)INFINITY);
    assert_true(fn_test_float(&t, fn_sum_over_time, &wi) == (double)INFINITY);
    const double both[] = {(double)INFINITY, -(double)INFINITY};
    const struct window wb = fn_test_window(2, times, both, 0, 6000);
    assert_true(isnan(fn_test_float(&t, fn_avg_over_time, &wb)));
    fn_test_end(&t);
}

TEST(over_time_extremes_pass_over_nan_and_keep_the_last_of_equals)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {(double)NAN, 3, 1, 3, 1, 2};
    struct window w = fn_test_window(6, times, v, 0, 6000);
    assert_true(fn_test_float(&t, fn_max_over_time, &w) == 3);
    assert_true(fn_test_float(&t, fn_min_over_time, &w) == 1);
    assert_true(fn_test_float(&t, fn_ts_of_max_over_time, &w) == 4);
    assert_true(fn_test_float(&t, fn_ts_of_min_over_time, &w) == 5);
    assert_true(fn_test_float(&t, fn_ts_of_first_over_time, &w) == 1);
    assert_true(fn_test_float(&t, fn_ts_of_last_over_time, &w) == 6);
    assert_true(isnan(fn_test_float(&t, fn_first_over_time, &w)));
    assert_true(fn_test_float(&t, fn_last_over_time, &w) == 2);
    w.n = 1;
    assert_true(isnan(fn_test_float(&t, fn_max_over_time, &w)));
    fn_test_end(&t);
}

TEST(over_time_spread_and_quantiles)
{
    struct fn_test t;
    fn_test_begin(&t, 2);
    const double v[] = {4, 6, 2, 1, 999, 1};
    const struct window w = fn_test_window(6, times, v, 0, 6000);
    assert_true(fn_test_float(&t, fn_mad_over_time, &w) == 2);
    t.args[0] = 0.5;
    assert_true(fn_test_float(&t, fn_quantile_over_time, &w) == 3);
    t.args[0] = 1;
    assert_true(fn_test_float(&t, fn_quantile_over_time, &w) == 999);
    assert_null(t.notes.first);
    t.args[0] = 1.5;
    assert_true(fn_test_float(&t, fn_quantile_over_time, &w) == (double)INFINITY);
    assert_true(
        fn_test_noted(&t, "PromQL warning: quantile value should be between 0 and 1, got 1.5"));
    const struct window w4 = fn_test_window(4, times, v, 0, 6000);
    assert_true(hist_test_near(fn_test_float(&t, fn_stdvar_over_time, &w4), 3.6875));
    assert_true(hist_test_near(fn_test_float(&t, fn_stddev_over_time, &w4), sqrt(3.6875)));
    fn_test_end(&t);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

TEST(over_time_quantile_finds_what_sorting_finds)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int round = 0; round < 2000; round++) {
        double v[100];
        double sorted[100];
        const uint32_t n = (uint32_t)rng_below(&r, 100) + 1;
        for (uint32_t i = 0; i < n; i++) {
            v[i] = round % 2 == 0 ? (double)rng_below(&r, 5) : rng_normal(&r);
        }
        memcpy(sorted, v, sizeof v);
        qsort(sorted, n, sizeof *sorted, by_value);
        const uint32_t k = (uint32_t)rng_below(&r, n);
        const double q = n == 1 ? 0 : (double)k / (double)(n - 1);
        assert_true(hist_test_near(fn_quantile(q, v, n), sorted[k]) ||
                    fabs(fn_quantile(q, v, n) - sorted[k]) < 1e-12);
    }
    double nan[] = {5, (double)NAN, 1};
    assert_true(isnan(fn_quantile(0, nan, 3)));
    assert_true(fn_quantile(1, nan, 3) == 5);
}

TEST(over_time_regression_follows_a_line)
{
    struct fn_test t;
    fn_test_begin(&t, 2);
    const double v[] = {10, 12, 14, 16, 18, 20};
    const struct window w = fn_test_window(6, times, v, 0, 6000);
    assert_true(hist_test_near(fn_test_float(&t, fn_deriv, &w), 2));
    t.call.step_t_ms = 6000;
    t.args[1] = 10;
    assert_true(hist_test_near(fn_test_float(&t, fn_predict_linear, &w), 40));
    const double flat[] = {7, 7, 7};
    const struct window wf = fn_test_window(3, times, flat, 0, 6000);
    assert_true(fn_test_float(&t, fn_deriv, &wf) == 0);
    assert_true(fn_test_float(&t, fn_predict_linear, &wf) == 7);
    const struct window one = fn_test_window(1, times, v, 0, 6000);
    assert_true(fn_test_none(&t, fn_deriv, &one));
    fn_test_end(&t);
}

TEST(over_time_smoothing_checks_its_factors)
{
    struct fn_test t;
    fn_test_begin(&t, 3);
    const double v[] = {0, 10, 20, 30, 40, 50};
    const struct window w = fn_test_window(6, times, v, 0, 6000);
    t.args[1] = 0.01;
    t.args[2] = 0.1;
    assert_true(hist_test_near(fn_test_float(&t, fn_double_exponential_smoothing, &w), 50));
    struct value out;
    t.args[1] = 1;
    assert_false(fn_double_exponential_smoothing(&t.call, &w, &out, &t.e));
    assert_int_equal(t.e.code, ERR_INPUT);
    assert_string_equal(t.e.msg, "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000");
    t.args[1] = 0.5;
    t.args[2] = 0;
    assert_false(fn_double_exponential_smoothing(&t.call, &w, &out, &t.e));
    assert_string_equal(t.e.msg, "invalid trend factor. Expected: 0 < tf < 1, got: 0.000000");
    fn_test_end(&t);
}

TEST(over_time_histograms_beside_floats_are_left_out_with_a_note)
{
    static const fn_range all[] = {fn_max_over_time,
                                   fn_min_over_time,
                                   fn_stddev_over_time,
                                   fn_stdvar_over_time,
                                   fn_mad_over_time,
                                   fn_quantile_over_time,
                                   fn_deriv,
                                   fn_ts_of_max_over_time,
                                   fn_predict_linear};
    struct fn_test t;
    fn_test_begin(&t, 2);
    const double one[] = {1};
    struct nhist *hist = hist_test_exp(&t.arena, 0, 1, 0, 1, one);
    struct nhist *h[] = {NULL, hist, NULL};
    const double v[] = {1, 99, 3};
    struct window w = fn_test_window(3, times, v, 0, 6000);
    w.h = h;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        t.notes = (struct notes){.arena = &t.arena};
        assert_true(fn_test_float(&t, all[i], &w) < 99);
        assert_true(fn_test_noted(&t, "PromQL info: ignored histograms in a range containing both "
                                      "floats and histograms for metric name \"m\""));
        struct nhist *only[] = {hist};
        struct window wh = fn_test_window(1, times, v, 0, 6000);
        wh.h = only;
        t.notes = (struct notes){.arena = &t.arena};
        assert_true(fn_test_none(&t, all[i], &wh));
        assert_null(t.notes.first);
    }
    assert_true(fn_test_float(&t, fn_count_over_time, &w) == 3);
    fn_test_end(&t);
}

TEST(over_time_sums_and_means_of_histograms)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double a[] = {1, 2};
    const double b[] = {3, 4};
    struct nhist *h[] = {hist_test_exp(&t.arena, 0, 5, 0, 2, a),
                         hist_test_exp(&t.arena, 0, 7, 0, 2, b)};
    const double v[2] = {0};
    struct window w = fn_test_window(2, times, v, 0, 6000);
    w.h = h;
    const struct nhist *sum = fn_test_hist(&t, fn_sum_over_time, &w);
    assert_true(sum->count == 10 && sum->sum == 12 && sum->pos.counts[1] == 6);
    const struct nhist *mean = fn_test_hist(&t, fn_avg_over_time, &w);
    assert_true(mean->count == 5 && mean->sum == 6 && mean->pos.counts[0] == 2);
    assert_null(t.notes.first);
    h[0]->reset = NHIST_RESET;
    h[1]->reset = NHIST_NO_RESET;
    (void)fn_test_hist(&t, fn_sum_over_time, &w);
    assert_true(fn_test_noted(
        &t, "PromQL warning: conflicting counter resets during histogram aggregation"));
    double bounds[] = {1};
    h[1] = hist_test_custom(&t.arena, 1, bounds, 0, 2, a);
    assert_true(fn_test_none(&t, fn_avg_over_time, &w));
    assert_true(fn_test_noted(&t, "PromQL warning: vector contains a mix of histograms with "
                                  "exponential and custom buckets schemas for metric name \"m\""));
    fn_test_end(&t);
}

TEST(over_time_names_with_quotes_are_quoted_in_notes)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    t.call.metric = STR("a\"b\\c");
    fn_note(&t.call, FN_NOTE_NOT_GAUGE);
    assert_true(fn_test_noted(
        &t, "PromQL warning: this native histogram metric is not a gauge: \"a\\\"b\\\\c\""));
    fn_test_end(&t);
}

/* All functions over ranges, with memory failing at every allocation. */
FAULT_TEST(over_time_functions_report_lack_of_memory)
{
    struct fn_test t;
    fn_test_begin(&t, 3);
    struct arena a;
    arena_init(&a, &w->mem, HIST_TEST_BYTES);
    t.args[0] = t.args[1] = t.args[2] = 0.5;
    const double counts[] = {1, 2, 3};
    struct nhist *x = hist_test_exp(&t.arena, 1, 5, 0, 3, counts);
    struct nhist *y = hist_test_exp(&t.arena, 0, 5, 2, 3, counts);
    struct nhist *mixed[] = {NULL, x, NULL, y, NULL, x};
    struct nhist *hists[] = {x, y, x, y, y, x};
    const double v[] = {1, 0, 2, 0, 3, 0};
    bool ok = true;
    uint32_t n = 0;
    const struct function *table = function_table(&n);
    for (uint32_t i = 0; ok && i < n; i++) {
        for (int kind = 0; ok && table[i].range != NULL && kind < 3; kind++) {
            struct window win = fn_test_window(6, times, v, 1500, 5500);
            win.h = kind == 0 ? mixed : hists;
            win.smoothed = kind == 2 && (table[i].flags & FUNCTION_SMOOTHED) != 0;
            struct value out = {0};
            t.call.arena = &a;
            ok = table[i].range(&t.call, &win, &out, &t.e);
            assert_true(ok || t.e.code == ERR_LIMIT);
            arena_release(&a);
        }
    }
    arena_release(&a);
    fn_test_end(&t);
    return ok;
}
