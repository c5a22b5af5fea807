/* The table of functions: complete, sorted, well formed. */
#include "engines/promql/functions_int.h"

#include "base/test.h"

#include <math.h>

TEST(functions_are_sorted_and_found_by_name)
{
    uint32_t n = 0;
    const struct function *table = function_table(&n);
    assert_int_equal(n, 90);
    for (uint32_t i = 0; i < n; i++) {
        const struct str name = str_from_c(table[i].name);
        assert_ptr_equal(function_find(name), &table[i]);
        assert_true(i == 0 || str_cmp(str_from_c(table[i - 1].name), name) < 0);
    }
    assert_null(function_find(STR("")));
    assert_null(function_find(STR("rat")));
    assert_null(function_find(STR("rates")));
    assert_null(function_find(STR("zzz")));
    assert_null(function_find(STR("holt_winters")));
}

TEST(functions_have_an_implementation_of_their_kind_and_known_types)
{
    uint32_t n = 0;
    const struct function *table = function_table(&n);
    for (uint32_t i = 0; i < n; i++) {
        const struct function *f = &table[i];
        assert_true((f->kind == FUNCTION_RANGE) == (f->range != NULL));
        assert_true((f->kind == FUNCTION_MAP) == (f->map != NULL));
        assert_true(f->returns == PROMQL_VECTOR || f->returns == PROMQL_SCALAR);
        assert_true(f->experimental == ((f->flags & FUNCTION_EXPERIMENTAL) != 0));
        assert_true(strlen(f->help) > 10);
        bool ranges = false;
        for (const char *p = f->args; *p != '\0'; p++) {
            assert_non_null(strchr("svmt?*", *p));
            assert_true(p > f->args || (*p != '?' && *p != '*'));
            ranges = ranges || *p == 'm';
        }
        assert_true(ranges == (f->kind == FUNCTION_RANGE) ||
                    strcmp(f->name, "absent_over_time") == 0);
        assert_true(ranges || (f->flags & (FUNCTION_ANCHORED | FUNCTION_SMOOTHED)) == 0);
    }
}

TEST(functions_text_of_numbers_is_the_shortest)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {100000, "100000"},
        {1000000, "1e+06"},
        {1234567, "1.234567e+06"},
        {123456.7, "123456.7"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1.0 / 3, "0.3333333333333333"},
        {0x1p-24, "5.960464477539063e-08"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {(double)INFINITY, "+Inf"},
        {-(double)INFINITY, "-Inf"},
        {(double)NAN, "NaN"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(g_text(cases[i].v).text, cases[i].text);
    }
}
