/* Functions of one sample. */
#include "engines/promql/fn/fn_test_int.h"

static double map(struct fn_test *t, const char *name, double v)
{
    const struct function *f = function_find(str_from_c(name));
    assert_non_null(f);
    const struct value in = {.kind = VALUE_FLOAT, .f = v};
    struct value out = {0};
    assert_true(f->map(&t->call, &in, &out, &t->e));
    assert_int_equal(out.kind, VALUE_FLOAT);
    return out.f;
}

TEST(map_functions_of_floats)
{
    static const struct {
        const char *name;
        double in, out;
    } cases[] = {
        {"abs", -2, 2},
        {"ceil", 1.2, 2},
        {"floor", -1.2, -2},
        {"exp", 0, 1},
        {"sqrt", 9, 3},
        {"ln", 1, 0},
        {"log2", 8, 3},
        {"log10", 1000, 3},
        {"sgn", -7, -1},
        {"sgn", 0.5, 1},
        {"sgn", 0, 0},
        {"sin", 0, 0},
        {"cos", 0, 1},
        {"tan", 0, 0},
        {"asin", 1, 1.5707963267948966},
        {"acos", 1, 0},
        {"atan", 1, 0.7853981633974483},
        {"sinh", 0, 0},
        {"cosh", 0, 1},
        {"tanh", 0, 0},
        {"asinh", 0, 0},
        {"acosh", 1, 0},
        {"atanh", 0, 0},
        {"deg", 3.14159265358979323846, 180},
        {"rad", 180, 3.141592653589793},
        {"round", 2.5, 3},
        {"round", -2.5, -2},
        {"round", 0.4, 0},
    };
    struct fn_test t;
    fn_test_begin(&t, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(hist_test_near(map(&t, cases[i].name, cases[i].in), cases[i].out));
    }
    assert_true(isnan(map(&t, "ln", -1)));
    assert_true(map(&t, "ln", 0) == -(double)INFINITY);
    assert_true(isnan(map(&t, "acosh", 0.5)));
    fn_test_end(&t);
}

TEST(map_round_goes_to_multiples)
{
    struct fn_test t;
    fn_test_begin(&t, 2);
    t.args[1] = 5;
    assert_true(map(&t, "round", 12) == 10);
    assert_true(map(&t, "round", 12.5) == 15);
    t.args[1] = 0.1;
    assert_true(hist_test_near(map(&t, "round", 2.55), 2.6));
    fn_test_end(&t);
}

TEST(map_clamps_and_gives_nothing_when_the_limits_cross)
{
    struct fn_test t;
    fn_test_begin(&t, 3);
    t.args[1] = -5;
    t.args[2] = 5;
    assert_true(map(&t, "clamp", 9) == 5);
    assert_true(map(&t, "clamp", -9) == -5);
    assert_true(map(&t, "clamp", 3) == 3);
    assert_true(isnan(map(&t, "clamp", (double)NAN)));
    assert_true(map(&t, "clamp_max", -9) == -9);
    assert_true(map(&t, "clamp_max", 9) == -5);
    assert_true(map(&t, "clamp_min", -9) == -5);
    t.args[2] = -6;
    const struct value in = {.kind = VALUE_FLOAT, .f = 1};
    struct value out = in;
    assert_true(fn_clamp(&t.call, &in, &out, &t.e));
    assert_int_equal(out.kind, VALUE_NONE);
    t.args[2] = (double)NAN;
    assert_true(isnan(map(&t, "clamp", 1)));
    fn_test_end(&t);
}

TEST(map_parts_of_dates)
{
    static const struct {
        double s;
        int year, month, day, weekday, yearday, in_month, hour, minute;
    } cases[] = {
        {0, 1970, 1, 1, 4, 1, 31, 0, 0},
        {1, 1970, 1, 1, 4, 1, 31, 0, 0},
        {951782400, 2000, 2, 29, 2, 60, 29, 0, 0},
        {1454284800, 2016, 2, 1, 1, 32, 29, 0, 0},
        {1485907200, 2017, 2, 1, 3, 32, 28, 0, 0},
        {1136239445.7, 2006, 1, 2, 1, 2, 31, 22, 4},
        {4107542399, 2100, 2, 28, 0, 59, 28, 23, 59},
        {4107542400, 2100, 3, 1, 1, 60, 31, 0, 0},
        {-1, 1969, 12, 31, 3, 365, 31, 23, 59},
        {-2203977600, 1900, 2, 28, 3, 59, 28, 0, 0},
        {1735603200, 2024, 12, 31, 2, 366, 31, 0, 0},
    };
    struct fn_test t;
    fn_test_begin(&t, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const double s = cases[i].s;
        assert_int_equal(map(&t, "year", s), cases[i].year);
        assert_int_equal(map(&t, "month", s), cases[i].month);
        assert_int_equal(map(&t, "day_of_month", s), cases[i].day);
        assert_int_equal(map(&t, "day_of_week", s), cases[i].weekday);
        assert_int_equal(map(&t, "day_of_year", s), cases[i].yearday);
        assert_int_equal(map(&t, "days_in_month", s), cases[i].in_month);
        assert_int_equal(map(&t, "hour", s), cases[i].hour);
        assert_int_equal(map(&t, "minute", s), cases[i].minute);
    }
    (void)map(&t, "month", (double)NAN);
    (void)map(&t, "month", -1e300);
    (void)map(&t, "month", 1e300);
    fn_test_end(&t);
}

TEST(map_times_of_samples)
{
    struct fn_test t;
    fn_test_begin(&t, 1);
    t.call.sample_t_ms = 1500;
    assert_true(map(&t, "timestamp", 7) == 1.5);
    const struct value in = {.kind = VALUE_FLOAT};
    struct value out = in;
    assert_true(fn_start_timestamp(&t.call, &in, &out, &t.e));
    assert_int_equal(out.kind, VALUE_NONE);
    const int64_t st = 250;
    t.call.sample_st_ms = &st;
    assert_true(map(&t, "start_timestamp", 7) == 0.25);
    fn_test_end(&t);
}

/* Functions of floats give nothing for histograms, and the other way round. */
TEST(map_functions_keep_to_their_kind)
{
    struct fn_test t;
    fn_test_begin(&t, 3);
    const double counts[] = {1, 3};
    const struct nhist *h = hist_test_exp(&t.arena, 0, 8, 0, 2, counts);
    const struct value hist = {.kind = VALUE_HIST, .h = h};
    const struct value number = {.kind = VALUE_FLOAT, .f = 1};
    uint32_t n = 0;
    const struct function *table = function_table(&n);
    for (uint32_t i = 0; i < n; i++) {
        if (table[i].map == NULL || strstr(table[i].name, "timestamp") != NULL) {
            continue;
        }
        const bool of_hist = strncmp(table[i].name, "histogram_", 10) == 0;
        struct value out = {0};
        assert_true(table[i].map(&t.call, of_hist ? &number : &hist, &out, &t.e));
        assert_int_equal(out.kind, VALUE_NONE);
        assert_true(table[i].map(&t.call, of_hist ? &hist : &number, &out, &t.e));
        assert_int_equal(out.kind, VALUE_FLOAT);
    }
    struct value out;
    assert_true(fn_histogram_avg(&t.call, &hist, &out, &t.e) && out.f == 2);
    assert_true(fn_histogram_count(&t.call, &hist, &out, &t.e) && out.f == 4);
    assert_true(fn_histogram_sum(&t.call, &hist, &out, &t.e) && out.f == 8);
    fn_test_end(&t);
}
