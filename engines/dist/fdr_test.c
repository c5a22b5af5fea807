/* Many tests at once, against the definitions of the procedures and published examples. */
#include "engines/dist/dist_testing_int.h"

#define N 40

/* Step-up by definition: the largest k whose k-th smallest p is at most alpha k / (n c). */
static uint32_t brute_rejected(const double *p, uint32_t n, double alpha, double c, double *line)
{
    double sorted[N];
    memcpy(sorted, p, n * sizeof *p);
    sort_sample(sorted, n);
    for (uint32_t k = n; k > 0; k--) {
        if (sorted[k - 1] <= alpha * k / (n * c)) {
            *line = sorted[k - 1];
            return k;
        }
    }
    *line = -1;
    return 0;
}

/* The example of Benjamini and Hochberg 1995, section 3.2: four of fifteen at 5 %. */
TEST(fdr_example_as_published)
{
    double p[15] = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
    double q[15];
    uint32_t order[15];
    assert_int_equal(dist_fdr_adjust(DIST_BH, p, 15, 0.05, q, order), 4);
    assert_near(q[0], 0.0015, 1e-15);
    assert_near(q[3], 0.035625, 1e-15);
    assert_near(q[4], 0.0201 * 15 / 5 < 0.0344 * 15 / 8 ? 0.0603 : 0.0645, 1e-15);
    assert_true(q[14] == 1);
}

TEST(fdr_is_the_step_up_rule_at_every_alpha)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int run = 0; run < 200; run++) {
        double p[N], q[N], line = 0;
        uint32_t order[N];
        uint32_t n = 1 + (uint32_t)rng_below(&r, N);
        double by = 0;
        for (uint32_t i = 0; i < n; i++) {
            p[i] = pow(rng_f64(&r), 1 + (double)rng_below(&r, 4));
            p[i] = i > 0 && rng_below(&r, 5) == 0 ? p[i - 1] : p[i];
            by += 1.0 / (i + 1);
        }
        for (double alpha = 0.01; alpha < 0.9; alpha *= 1.9) {
            for (int how = 0; how < 2; how++) {
                uint32_t want = brute_rejected(p, n, alpha, how == 0 ? 1 : by, &line);
                assert_int_equal(
                    dist_fdr_adjust(how == 0 ? DIST_BH : DIST_BY, p, n, alpha, q, order), want);
                for (uint32_t i = 0; i < n; i++) {
                    assert_true((q[i] <= alpha) == (p[i] <= line));
                }
            }
        }
    }
}

TEST(what_is_no_test_does_not_count)
{
    double p[4] = {0.04, (double)NAN, 0.01, (double)NAN};
    uint32_t order[4];
    assert_int_equal(dist_fdr_adjust(DIST_BH, p, 4, 0.05, p, order), 2); /* in place */
    assert_true(isnan(p[1]) && isnan(p[3]));
    assert_near(p[0], 0.04, 1e-16);
    assert_near(p[2], 0.02, 1e-16);
    assert_int_equal(dist_fdr_adjust(DIST_BH, p, 0, 0.05, p, order), 0);
}

/* e-BH by definition: the largest k with k e_(k) / n >= 1 / alpha. */
TEST(e_values_by_definition)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int run = 0; run < 200; run++) {
        double e[N], sorted[N], q[N];
        uint32_t order[N];
        uint32_t n = 1 + (uint32_t)rng_below(&r, N);
        for (uint32_t i = 0; i < n; i++) {
            e[i] = rng_below(&r, 6) == 0 ? 0 : exp(3 * rng_normal(&r));
        }
        memcpy(sorted, e, n * sizeof *e);
        sort_sample(sorted, n);
        for (double alpha = 0.02; alpha < 0.9; alpha *= 2.3) {
            uint32_t want = 0;
            for (uint32_t k = 1; k <= n; k++) {
                want = k * sorted[n - k] / n >= 1 / alpha ? k : want;
            }
            assert_int_equal(dist_ebh_adjust(e, n, alpha, q, order), want);
            for (uint32_t i = 0; i < n; i++) {
                assert_true((q[i] <= alpha) == (want > 0 && e[i] >= sorted[n - want]));
            }
        }
    }
    assert_near(dist_e_from_p(0.0025), 10, 1e-13);
    assert_true(isinf(dist_e_from_p(0)) && isnan(dist_e_from_p((double)NAN)));
}

/* Figures drawn from the law, stretched by a factor: the factor comes back; and never under 1. */
TEST(dispersion_is_the_factor_of_restless_days)
{
    struct rng r;
    double d[999], en[999], chi2[999], dof[999];
    rng_init(&r, test_seed());
    for (int stretch = 1; stretch <= 3; stretch++) {
        for (int i = 0; i < 999; i++) {
            double t = 0.8; /* the law's t of a uniform draw, by halving */
            double u = rng_f64(&r);
            double lo = 0, hi = 4;
            for (int k = 0; k < 40; k++) {
                t = (lo + hi) / 2;
                *(dist_kolmogorov_sf(t) > u ? &lo : &hi) = t;
            }
            en[i] = 500 + (double)rng_below(&r, 5000);
            d[i] = stretch * t / sqrt(en[i]);
            dof[i] = i % 10 == 0 ? 0 : 1 + (double)rng_below(&r, 30);
            chi2[i] = 0;
            for (double k = 0; k < dof[i]; k++) {
                double z = rng_normal(&r);
                chi2[i] += stretch * z * z;
            }
        }
        assert_near(dist_dispersion_ks(d, en, 999), stretch, 0.06 * stretch);
        assert_near(dist_dispersion_chi2(chi2, dof, 999), stretch, 0.12 * stretch);
    }
    assert_true(dist_dispersion_ks(d, en, 0) == 1);
    d[0] = 1e-9;
    assert_true(dist_dispersion_ks(d, en, 1) == 1);
    dof[0] = 0;
    assert_true(dist_dispersion_chi2(chi2, dof, 1) == 1);
}

TEST(a_small_effect_is_no_finding)
{
    double p = dist_ks_p(0.04, 100000, 100000);
    assert_true(p < 1e-20);
    assert_true(dist_ks_p_adjusted(0.04, 100000, 100000, 1, 0.05) == 1);
    assert_true(dist_ks_p_adjusted(0.04, 100000, 100000, 1, 0.04) == p);
    assert_true(dist_ks_p_adjusted(0.04, 100000, 100000, 0.5, 0) == p);
    assert_true(dist_ks_p_adjusted(0.04, 100000, 100000, 2, 0) == dist_ks_p(0.02, 100000, 100000));
    assert_true(isnan(dist_ks_p_adjusted(0.01, 0, 5, 1, 0.05)));
}

/* 3,200 tests of nothing: at 5 % a finding is rare. */
TEST(nothing_is_found_in_noise)
{
    static const uint32_t tests = 3200;
    double *p = calloc(tests, sizeof *p);
    uint32_t *order = calloc(tests, sizeof *order);
    struct rng r;
    unsigned days = 0;
    rng_init(&r, test_seed());
    for (int day = 0; day < 100; day++) {
        for (uint32_t i = 0; i < tests; i++) {
            p[i] = rng_f64(&r);
        }
        days += dist_fdr_adjust(DIST_BH, p, tests, 0.05, p, order) > 0;
    }
    assert_true(days <= 14);
    free(p);
    free(order);
}
