/* rate and its kin on single windows. */
#include "engines/promql/fn/fn_test_int.h"

#include "base/rng.h"

static const int64_t minute[] = {60000, 120000, 180000, 240000, 300000};

TEST(rate_extrapolates_to_the_edges_of_a_full_window)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {10, 20, 30, 40, 50};
    const struct window w = fn_test_window(5, minute, v, 0, 300000);
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), 50));
    assert_true(hist_test_near(fn_test_float(&t, fn_rate, &w), 50.0 / 300));
    assert_true(hist_test_near(fn_test_float(&t, fn_delta, &w), 50));
    fn_test_end(&t);
}

TEST(rate_does_not_extrapolate_below_zero)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {2, 12, 22, 32, 42};
    const struct window w = fn_test_window(5, minute, v, 0, 300000);
    /* 40 in 240 s; the counter was 0 only 12 s before the first sample. */
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), 40 * (240.0 + 12) / 240));
    assert_true(hist_test_near(fn_test_float(&t, fn_delta, &w), 50));
    fn_test_end(&t);
}

TEST(rate_stops_half_a_gap_outside_when_samples_are_missing)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {100, 110, 120, 130, 140};
    const struct window w = fn_test_window(5, minute, v, -100000, 400000);
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), 40 * (240.0 + 30 + 30) / 240));
    fn_test_end(&t);
}

TEST(rate_adds_what_was_lost_at_resets)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {50, 60, 5, 15, 3};
    const struct window w = fn_test_window(5, minute, v, 0, 300000);
    const double growth = 3 - 50 + 60 + 15;
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), growth * 300 / 240));
    assert_true(fn_test_float(&t, fn_resets, &w) == 2);
    assert_true(fn_test_float(&t, fn_changes, &w) == 4);
    fn_test_end(&t);
}

TEST(rate_needs_two_samples_or_a_start_in_the_range)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {7};
    const int64_t st[] = {30000};
    struct window w = fn_test_window(1, minute, v, 0, 300000);
    assert_true(fn_test_none(&t, fn_rate, &w));
    w.st = st;
    assert_true(fn_test_float(&t, fn_increase, &w) == 7);
    assert_true(fn_test_none(&t, fn_delta, &w));
    w.from_ms = 30000; /* the start is at the excluded edge */
    assert_true(fn_test_none(&t, fn_increase, &w));
    w.n = 0;
    assert_true(fn_test_none(&t, fn_rate, &w));
    fn_test_end(&t);
}

TEST(rate_sees_resets_by_start_timestamps)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {5, 6, 7};
    const int64_t st[] = {50000, 50000, 150000}; /* restarted between the last two */
    struct window w = fn_test_window(3, minute, v, 55000, 180000);
    w.st = st;
    const double grown = fn_test_float(&t, fn_increase, &w);
    w.st = NULL;
    assert_true(hist_test_near(grown, fn_test_float(&t, fn_increase, &w) / 2 * 8));
    w.st = st;
    assert_true(fn_test_float(&t, fn_resets, &w) == 1);
    assert_true(hist_test_near(fn_test_float(&t, fn_irate, &w), 7.0 / 60));
    assert_null(t.notes.first);
    const int64_t overlapping[] = {50000, 55000, 70000};
    w.st = overlapping;
    (void)fn_test_float(&t, fn_increase, &w);
    assert_true(fn_test_noted(&t,
                              "PromQL warning: sample has start time that overlaps with previous "
                              "sample timestamp for metric \"m\""));
    fn_test_end(&t);
}

TEST(start_timestamps_of_deltas_and_unknown_ones_are_told_apart)
{
    assert_false(fn_st_reset(1, 10, 0, 20));  /* not set */
    assert_false(fn_st_reset(1, 10, 20, 20)); /* unknown */
    assert_false(fn_st_reset(1, 10, 25, 20)); /* senseless */
    assert_false(fn_st_reset(1, 10, 1, 20));  /* the same */
    assert_true(fn_st_reset(1, 10, 15, 20));
    assert_true(fn_st_reset(1, 10, 10, 20));   /* a delta */
    assert_false(fn_st_reset(0, 10, 10, 20));  /* the first start is not known */
    assert_false(fn_st_reset(10, 10, 10, 20)); /* nor here */
    assert_false(fn_st_reset(11, 10, 10, 20));
    assert_true(fn_st_overlap(1, 10, 5));
    assert_false(fn_st_overlap(5, 10, 5));
    assert_false(fn_st_overlap(1, 10, 10));
    assert_false(fn_st_overlap(1, 10, 0));
}

TEST(irate_and_idelta_take_the_last_two)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {1, 2, 3, 10, 4};
    struct window w = fn_test_window(5, minute, v, 0, 300000);
    assert_true(hist_test_near(fn_test_float(&t, fn_irate, &w), 4.0 / 60));
    assert_true(fn_test_float(&t, fn_idelta, &w) == -6);
    w.n = 4;
    assert_true(hist_test_near(fn_test_float(&t, fn_irate, &w), 7.0 / 60));
    w.n = 1;
    assert_true(fn_test_none(&t, fn_irate, &w));
    fn_test_end(&t);
}

TEST(rate_of_mixed_kinds_is_nothing_and_a_warning)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double one[] = {1};
    struct nhist *h[] = {NULL, hist_test_exp(&t.arena, 0, 1, 0, 1, one)};
    const double v[] = {1, 0};
    struct window w = fn_test_window(2, minute, v, 0, 300000);
    w.h = h;
    static const fn_range all[] = {fn_rate,   fn_increase,      fn_delta,        fn_irate,
                                   fn_idelta, fn_sum_over_time, fn_avg_over_time};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        t.notes.first = t.notes.last = NULL;
        t.notes.n = 0;
        assert_true(fn_test_none(&t, all[i], &w));
        assert_true(fn_test_noted(&t, "PromQL warning: encountered a mix of histograms and floats "
                                      "for metric name \"m\""));
    }
    assert_true(fn_test_float(&t, fn_changes, &w) == 1);
    assert_true(fn_test_float(&t, fn_resets, &w) == 1);
    fn_test_end(&t);
}

TEST(rate_of_histograms_grows_by_bucket_and_ends_as_gauge)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double a[] = {10, 10};
    const double b[] = {10, 14};
    const double c[] = {1, 1};
    const double d[] = {3, 1};
    struct nhist *h[] = {
        hist_test_exp(&t.arena, 0, 5, 0, 2, a), hist_test_exp(&t.arena, 0, 6, 0, 2, b),
        hist_test_exp(&t.arena, 0, 1, 0, 2, c), hist_test_exp(&t.arena, 0, 2, 0, 2, d)};
    const double v[4] = {0};
    struct window w = fn_test_window(4, minute, v, 60000 - 60000, 240000 + 60000);
    w.h = h;
    const struct nhist *grown = fn_test_hist(&t, fn_increase, &w);
    /* 4 before the reset, 4 after it, over 180 s, extrapolated by 60 s to the right and by what is
     * left of 60 s to the left. */
    assert_int_equal(grown->reset, NHIST_GAUGE);
    assert_true(hist_test_near(grown->count, 8.0 * (180 + 60 + 60) / 180));
    assert_true(hist_test_near(grown->sum, (6 - 5 + 2) * 300.0 / 180));
    assert_null(t.notes.first);
    (void)fn_test_hist(&t, fn_delta, &w);
    assert_true(
        fn_test_noted(&t, "PromQL warning: this native histogram metric is not a gauge: \"m\""));
    h[1]->reset = NHIST_GAUGE;
    (void)fn_test_hist(&t, fn_rate, &w);
    assert_true(
        fn_test_noted(&t, "PromQL warning: this native histogram metric is not a counter: \"m\""));
    fn_test_end(&t);
}

TEST(rate_of_histograms_of_two_kinds_is_nothing_unless_a_reset_parts_them)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    double bounds[] = {1};
    const double one[] = {1};
    const double two[] = {2};
    struct nhist *exp1 = hist_test_exp(&t.arena, 0, 5, 0, 1, one);
    struct nhist *exp2 = hist_test_exp(&t.arena, 0, 5, 0, 1, two);
    struct nhist *custom = hist_test_custom(&t.arena, 1, bounds, 5, 1, one);
    const double v[3] = {0};
    struct window w = fn_test_window(3, minute, v, 0, 180000);
    struct nhist *late[] = {exp1, exp2, custom};
    w.h = late;
    assert_true(fn_test_none(&t, fn_rate, &w));
    assert_true(fn_test_noted(&t, "PromQL warning: vector contains a mix of histograms with "
                                  "exponential and custom buckets schemas for metric name \"m\""));
    t.notes.first = NULL;
    struct nhist *early[] = {custom, exp1, exp2};
    w.h = early;
    assert_true(hist_test_near(fn_test_hist(&t, fn_increase, &w)->count, 2 * 1.5));
    assert_null(t.notes.first);
    fn_test_end(&t);
}

TEST(smoothed_and_anchored_ranges_are_not_extrapolated)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double v[] = {10, 20, 30, 5, 15};
    struct window w = fn_test_window(5, minute, v, 90000, 270000);
    w.smoothed = true;
    /* 15 at 90 s; at 270 s 10; 30 lost at the reset. */
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), 10 - 15 + 30));
    assert_true(hist_test_near(fn_test_float(&t, fn_rate, &w), 25.0 / 180));
    assert_true(hist_test_near(fn_test_float(&t, fn_delta, &w), -5));
    w.smoothed = false;
    w.anchored = true;
    w.n = 4; /* up to the end of the range */
    assert_true(hist_test_near(fn_test_float(&t, fn_increase, &w), 5 - 10 + 30));
    assert_true(fn_test_float(&t, fn_changes, &w) == 3);
    assert_true(fn_test_float(&t, fn_resets, &w) == 1);
    w.from_ms = 240000;
    assert_true(fn_test_none(&t, fn_increase, &w));
    assert_true(fn_test_none(&t, fn_changes, &w));
    fn_test_end(&t);
}

TEST(smoothed_histograms_are_interpolated_at_both_edges)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    const double a[] = {10};
    const double b[] = {20};
    const double c[] = {40};
    struct nhist *h[] = {hist_test_exp(&t.arena, 0, 1, 0, 1, a),
                         hist_test_exp(&t.arena, 0, 2, 0, 1, b),
                         hist_test_exp(&t.arena, 0, 4, 0, 1, c)};
    const double v[3] = {0};
    struct window w = fn_test_window(3, minute, v, 90000, 150000);
    w.h = h;
    w.smoothed = true;
    const struct nhist *grown = fn_test_hist(&t, fn_increase, &w);
    assert_true(hist_test_near(grown->count, 30 - 15));
    assert_true(hist_test_near(grown->sum, 3 - 1.5));
    assert_int_equal(grown->reset, NHIST_GAUGE);
    fn_test_end(&t);
}

/* A series of mostly growing values with resets, zeros, NaN and infinities. */
static uint32_t random_series(struct rng *r, int64_t *t, double *v, uint32_t max)
{
    const uint32_t n = (uint32_t)rng_below(r, max + 1);
    int64_t at = (int64_t)rng_below(r, 100000);
    double value = rng_below(r, 3) == 0 ? 0 : rng_f64(r) * 1000;
    for (uint32_t i = 0; i < n; i++) {
        at += rng_below(r, 6) == 0 ? (int64_t)rng_below(r, 90000) + 1 : 15000;
        value += rng_below(r, 4) == 0 ? 0 : rng_f64(r) * 50;
        switch (rng_below(r, 60)) {
        case 0: value = rng_f64(r); break;
        case 1: value = 0; break;
        case 2: value = -value; break;
        default: break;
        }
        t[i] = at;
        v[i] = value;
        switch (rng_below(r, 400)) {
        case 0: v[i] = (double)NAN; break;
        case 1: v[i] = (double)INFINITY; break;
        case 2: v[i] = 1e-310; break;
        case 3: v[i] = 1.7e308; break;
        default: break;
        }
    }
    return n;
}

TEST(rate_at_all_steps_has_the_bits_of_rate_at_each)
{
    enum { SAMPLES = 120, STEPS = 50 };
    static const fn_range all[] = {fn_rate, fn_increase, fn_delta, fn_irate, fn_idelta};
    struct rng r;
    rng_init(&r, test_seed());
    struct fn_test t;
    fn_test_begin(&t, 1);
    for (int round = 0; round < 400; round++) {
        arena_reset(&t.arena);
        notes_init(&t.notes, &t.arena);
        struct fn_steps f;
        const int64_t range = 1000 * ((int64_t)rng_below(&r, 600) + 1) + (int64_t)rng_below(&r, 2);
        const int64_t step = (int64_t)rng_below(&r, 4) * 20000;
        const int64_t first = (int64_t)rng_below(&r, 900000);
        assert_true(fn_steps_init(&f, first, step, STEPS, range, &t.arena));
        int64_t times[SAMPLES];
        double v[SAMPLES];
        uint32_t n = 0;
        for (int series = 0; series < 6; series++) {
            int64_t other[SAMPLES];
            /* Every second series has the times of the one before. */
            const uint32_t got = random_series(&r, other, v, SAMPLES);
            if (series % 2 == 0) {
                memcpy(times, other, sizeof times);
                n = got;
            } else {
                n = got < n ? got : n;
            }
            for (size_t k = 0; k < ARRAY_LEN(all); k++) {
                uint8_t has[STEPS];
                double out[STEPS];
                assert_true(fn_steps_run(&f, all[k], times, v, n, has, out));
                for (uint32_t i = 0; i < STEPS; i++) {
                    const int64_t to = first + (int64_t)i * step;
                    uint32_t lo = 0;
                    while (lo < n && times[lo] <= to - range) {
                        lo++;
                    }
                    uint32_t hi = lo;
                    while (hi < n && times[hi] <= to) {
                        hi++;
                    }
                    const struct window w =
                        fn_test_window(hi - lo, times + lo, v + lo, to - range, to);
                    struct value want = {0};
                    assert_true(all[k](&t.call, &w, &want, &t.e));
                    assert_int_equal(has[i] != 0, want.kind == VALUE_FLOAT);
                    assert_true(has[i] == 0 || memcmp(&out[i], &want.f, sizeof out[i]) == 0 ||
                                (isnan(out[i]) && isnan(want.f)));
                }
            }
        }
    }
    assert_false(fn_steps_can(fn_sum_over_time));
    fn_test_end(&t);
}
