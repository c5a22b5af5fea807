/* Quantiles and fractions of classic histograms. */
#include "engines/promql/fn/classic_int.h"

#include "base/test.h"

#include <math.h>

#define INF ((double)INFINITY)

static double quantile(double q, uint32_t n, const struct classic_bucket *b,
                       struct classic_lift *lift)
{
    struct classic_bucket copy[16];
    memcpy(copy, b, n * sizeof *b);
    return classic_quantile(q, copy, n, lift);
}

static double fraction(double lower, double upper, uint32_t n, const struct classic_bucket *b)
{
    struct classic_bucket copy[16];
    memcpy(copy, b, n * sizeof *b);
    return classic_fraction(lower, upper, copy, n);
}

TEST(classic_quantile_interpolates_within_buckets_in_any_order)
{
    static const struct classic_bucket b[] = {{INF, 12}, {0.2, 8}, {0.1, 4}, {1, 10}};
    assert_true(quantile(0, 4, b, NULL) == 0);
    assert_true(fabs(quantile(0.25, 4, b, NULL) - 0.075) < 1e-12);
    assert_true(fabs(quantile(0.5, 4, b, NULL) - 0.15) < 1e-12);
    assert_true(quantile(1, 4, b, NULL) == 1); /* the greatest finite bound */
    assert_true(isnan(quantile((double)NAN, 4, b, NULL)));
    assert_true(quantile(-1, 4, b, NULL) == -INF);
    assert_true(quantile(2, 4, b, NULL) == INF);
}

TEST(classic_quantile_needs_an_infinite_bucket_and_observations)
{
    static const struct classic_bucket open[] = {{0.1, 1}, {0.2, 2}};
    static const struct classic_bucket empty[] = {{0.1, 0}, {INF, 0}};
    static const struct classic_bucket only[] = {{INF, 5}};
    static const struct classic_bucket negative[] = {{-1, 5}, {INF, 5}};
    assert_true(isnan(quantile(0.5, 2, open, NULL)));
    assert_true(isnan(quantile(0.5, 2, empty, NULL)));
    assert_true(isnan(quantile(0.5, 1, only, NULL)));
    assert_true(quantile(0.5, 2, negative, NULL) == -1);
    assert_true(isnan(fraction(0, 1, 2, open)));
    assert_true(isnan(fraction(0, 1, 2, empty)));
}

TEST(classic_quantile_joins_equal_bounds)
{
    static const struct classic_bucket b[] = {{1, 2}, {1, 2}, {2, 8}, {INF, 8}};
    assert_true(quantile(0.5, 4, b, NULL) == 1);
}

TEST(classic_quantile_lifts_falling_counts_and_ignores_rounding)
{
    static const struct classic_bucket fall[] = {{1, 5}, {2, 3}, {4, 4}, {8, 10}, {INF, 10}};
    struct classic_lift lift;
    assert_true(quantile(0.5, 5, fall, &lift) == 1);
    assert_true(lift.forced);
    assert_true(lift.upper_min == 2 && lift.upper_max == 4 && lift.diff_max == 2);
    static const struct classic_bucket noise[] = {{1, 5}, {2, 5 * (1 - 1e-14)}, {INF, 10}};
    (void)quantile(0.5, 3, noise, &lift);
    assert_false(lift.forced);
}

TEST(classic_fraction_counts_between_two_values)
{
    static const struct classic_bucket b[] = {{1, 4}, {2, 8}, {INF, 10}};
    assert_true(fraction(0, 1, 3, b) == 0.4);
    assert_true(fabs(fraction(0.5, 1.5, 3, b) - 0.4) < 1e-12);
    assert_true(fraction(-INF, INF, 3, b) == 1);
    assert_true(fraction(2, INF, 3, b) == 0.2 || fabs(fraction(2, INF, 3, b) - 0.2) < 1e-12);
    assert_true(fraction(1, 1, 3, b) == 0);
    assert_true(isnan(fraction((double)NAN, 1, 3, b)));
}
