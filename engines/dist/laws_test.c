/* Laws against closed forms, published tables, other tools' figures and other formulas. */
#include "engines/dist/dist_testing_int.h"

#define PI 3.14159265358979323846

static void assert_relative(double got, double want, double limit)
{
    assert_near(got, want, fabs(want) * limit);
}

/* Steps of two from exp and erfc: Q(a + 1, z) = Q(a, z) + z^a e^-z / gamma(a + 1) (DLMF 8.8.6). */
static double chi2_brute(double x, int dof)
{
    double z = x / 2;
    bool odd = dof % 2 == 1;
    double a = odd ? 0.5 : 1;
    double q = odd ? erfc(sqrt(z)) : exp(-z);
    double term = exp(-z) * (odd ? 2 * sqrt(z / PI) : z);
    while (a < dof / 2.0) {
        q += term;
        a += 1;
        term *= z / a;
    }
    return q;
}

TEST(chi2_against_closed_forms)
{
    for (int dof = 1; dof <= 60; dof++) {
        for (double x = 0.01; x < 1300; x *= 1.7) {
            double want = chi2_brute(x, dof);
            if (want > 1e-290) {
                assert_relative(dist_chi2_sf(x, dof), want, 1e-12);
            }
        }
    }
    assert_near(dist_chi2_sf(3.841458820694124, 1), 0.05, 1e-15);
    assert_near(dist_chi2_sf(18.307038053275146, 10), 0.05, 1e-15);
    assert_true(dist_chi2_sf(0, 3) == 1 && dist_chi2_sf(5, 0) == 1);
    assert_true(dist_chi2_sf(HUGE_VAL, 3) == 0 && isnan(dist_chi2_sf((double)NAN, 3)));
}

/* Large dof: the chance is near that of the normal law for the cube root (Wilson, Hilferty). */
TEST(chi2_with_many_degrees_of_freedom)
{
    for (double dof = 100; dof < 1e6; dof *= 10) {
        for (double z = -3; z <= 3; z += 0.5) {
            double x = dof * pow(1 - 2 / (9 * dof) + z * sqrt(2 / (9 * dof)), 3);
            assert_near(dist_chi2_sf(x, dof), dist_normal_sf(z), 1e-3);
        }
    }
}

TEST(normal_and_kolmogorov_tables)
{
    assert_near(dist_normal_sf(1.959963984540054), 0.025, 1e-15);
    assert_relative(dist_normal_sf(10), 7.619853024160527e-24, 1e-13);
    assert_near(dist_kolmogorov_sf(0.8275735551899077), 0.5, 1e-15);
    assert_near(dist_kolmogorov_sf(1.3580986393225507), 0.05, 1e-12);
    assert_near(dist_kolmogorov_sf(1.6276236115189503), 0.01, 1e-12);
    for (double t = 0.9; t < 1.1; t += 0.01) { /* both forms at where they meet */
        double sum = 0;
        for (int k = 1; k < 60; k++) {
            sum += (k % 2 == 1 ? 2 : -2) * exp(-2.0 * k * k * t * t);
        }
        assert_near(dist_kolmogorov_sf(t), sum, 1e-14);
    }
    assert_true(dist_kolmogorov_sf(0) == 1 && dist_kolmogorov_sf(0.05) == 1);
}

/* Marsaglia, Tsang, Wang 2003 give P(D < d). */
TEST(kolmogorov_for_n_values_as_published)
{
    assert_near(dist_kolmogorov_n_sf(0.274, 10), 1 - 0.62847961544, 1e-10);
    assert_relative(dist_kolmogorov_n_sf(0.04, 2000), 1 - 0.99676943191713676985, 1e-5);
    assert_relative(dist_kolmogorov_n_sf(0.06, 2000), 1 - 0.9999989395692991107, 1e-4);
    assert_relative(dist_kolmogorov_n_sf(0.016, 16000), 1 - 0.99945234913828052085, 1e-6);
}

/* What scipy 1.10 gives: ks_2samp(method='asymp') of 134,525 and 9,569 values. */
TEST(two_samples_as_scipy)
{
    assert_relative(dist_ks_p(0.0051965854, 134525, 9569), 0.9682884026313962, 1e-6);
    assert_relative(dist_ks_p(0.0069460330, 134525, 9569), 0.7790602532883636, 1e-6);
    assert_relative(dist_ks_p(0.0099417556, 134525, 9569), 0.3380931226416337, 1e-6);
    assert_relative(dist_ks_p(0.0127586144, 134525, 9569), 0.10816008301453217, 1e-6);
    assert_relative(dist_ks_p(0.0164106811, 134525, 9569), 0.016082853048092982, 1e-6);
    assert_relative(dist_ks_p(0.0199946084, 134525, 9569), 0.0015585675307885555, 1e-6);
    assert_true(dist_ks_p(0.0009364751, 134525, 9569) == 1);
    assert_true(dist_ks_p(1, 50, 50) == 0 && isnan(dist_ks_p(0.1, 0, 5)));
    assert_true(dist_ks_p(0.5, 1, 1) == 1);
}

/* n = 2 by hand, n = 1 is 2 - 2d from 1/2 on. */
TEST(kolmogorov_of_one_and_two_values)
{
    for (double d = 0.505; d < 1; d += 0.01) {
        assert_near(dist_kolmogorov_n_sf(d, 1), 2 - 2 * d, 1e-14);
        assert_near(dist_kolmogorov_n_sf(d, 2), 2 * (1 - d) * (1 - d), 1e-14);
    }
    for (double d = 0.26; d < 0.5; d += 0.01) {
        assert_near(dist_kolmogorov_n_sf(d, 2), 1 - 2 * (2 * d - 0.5) * (2 * d - 0.5), 1e-14);
    }
}

/* The ways of ks.c meet: no jump in d, and n = 140 to 141 and 1000 to 1001 change little. */
TEST(kolmogorov_has_no_seams)
{
    static const double ns[] = {5, 20, 100, 140, 141, 500, 1000, 1001, 20000};
    for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
        double before = 1;
        for (double t = 0.3; t < 3; t += 0.001) {
            double p = dist_kolmogorov_n_sf(t / sqrt(ns[i]), ns[i]);
            assert_true(p <= before + 1e-7 && before - p < 0.0021);
            before = p;
        }
    }
    for (double t = 0.5; t < 4; t += 0.1) {
        double at = dist_kolmogorov_n_sf(t / sqrt(140), 140);
        assert_near(dist_kolmogorov_n_sf(t / sqrt(141), 141), at, 2e-4);
        at = dist_kolmogorov_n_sf(t / sqrt(1000), 1000);
        assert_relative(dist_kolmogorov_n_sf(t / sqrt(1001), 1001), at, 2e-3);
        assert_near(dist_kolmogorov_n_sf(t / sqrt(1e9), 1e9), dist_kolmogorov_sf(t), 1e-4);
    }
}

/* Tables of Anderson and Darling, 1952 and 1954. */
TEST(quadratic_laws_as_published)
{
    assert_near(dist_cvm_sf(0.34730), 0.10, 2e-5);
    assert_near(dist_cvm_sf(0.46136), 0.05, 2e-5);
    assert_near(dist_cvm_sf(0.74346), 0.01, 2e-6);
    assert_near(dist_cvm_sf(1.16786), 0.001, 2e-6);
    assert_near(dist_cvm_sf(0.11888), 0.50, 2e-5);
    assert_near(dist_ad_sf(1.933), 0.10, 2e-4);
    assert_near(dist_ad_sf(2.492), 0.05, 1e-4);
    assert_near(dist_ad_sf(3.878), 0.01, 1e-5); /* Lewis 1961 */
    assert_true(dist_cvm_sf(0) == 1 && dist_ad_sf(0) == 1 && dist_ad_sf(-3) == 1);
}

/* Csorgo, Faraway 1996: sums of Bessel functions K of order 1/4, here by their integral. */
static double cvm_brute(double x)
{
    double cdf = 0;
    double front = 1; /* gamma(k + 1/2) / (gamma(1/2) k!) */
    for (int k = 0; k < 80; k++) {
        double y = (4.0 * k + 1) * (4.0 * k + 1) / (16 * x);
        double sum = 0;
        for (int i = 0; i < 4000; i++) {
            double t = i * 0.005;
            double f = exp(-y * (1 + cosh(t))) * cosh(t / 4);
            sum += (i == 0 ? 0.5 : 1) * f * 0.005;
        }
        cdf += front * sqrt(4.0 * k + 1) * sum;
        front *= (k + 0.5) / (k + 1);
    }
    return 1 - cdf / (PI * sqrt(x));
}

/* Anderson and Darling 1954: the other end's series, whose terms fall fast for small z. */
static double ad_brute(double z)
{
    double cdf = 0;
    double front = 1; /* of j: gamma(j + 1/2) / (gamma(1/2) j!), with its sign */
    for (int j = 0; j < 60; j++) {
        double t = (4.0 * j + 1) * (4.0 * j + 1) * PI * PI / (8 * z);
        double step = 0.01 / sqrt(t);
        double sum = 0;
        for (int i = 0; i < 1000; i++) {
            double w = i * step;
            sum += (i == 0 ? 0.5 : 1) * exp(z / (8 * (w * w + 1)) - t * w * w - t) * step;
        }
        cdf += front * (4.0 * j + 1) * sum;
        front *= -(j + 0.5) / (j + 1);
    }
    return 1 - cdf * sqrt(2 * PI) / z;
}

TEST(quadratic_laws_by_other_formulas)
{
    for (double x = 0.02; x < 2; x *= 1.2) {
        assert_near(dist_cvm_sf(x), cvm_brute(x), 1e-11);
    }
    for (double z = 0.1; z < 12; z *= 1.1) {
        assert_near(dist_ad_sf(z), ad_brute(z), 1e-10);
    }
    double before_cvm = 1;
    double before_ad = 1;
    for (double x = 0.004; x < 100; x *= 1.01) { /* falls all the way down, past where 1 - p is 1 */
        double cvm = dist_cvm_sf(x);
        double ad = dist_ad_sf(x);
        assert_true(cvm <= before_cvm + 1e-13 && cvm > 0);
        assert_true(ad <= before_ad + 1e-13 && ad > 0);
        before_cvm = cvm;
        before_ad = ad;
    }
    /* The tail is that of its largest term, times sqrt 2 and sqrt 3. */
    assert_relative(dist_cvm_sf(30), sqrt(2) * erfc(PI * sqrt(15)), 0.02);
    assert_relative(dist_ad_sf(80), sqrt(3) * erfc(sqrt(80)), 0.02);
}

TEST(two_sample_cvm_is_near_the_limit_for_large_samples)
{
    for (double t = 0.05; t < 2; t *= 1.3) {
        assert_near(dist_cvm_p(t, 1000000, 1000000), dist_cvm_sf(t), 1e-5);
    }
    assert_true(isnan(dist_cvm_p(0.3, 0, 9)));
}

/* Draws of two equal samples: p-values are uniform, from counts and from sketches. */
TEST(p_values_of_equal_laws_are_uniform)
{
    enum { DRAWS = 400, SIZE = 300 };
    struct rng r;
    unsigned low[3] = {0};
    rng_init(&r, test_seed());
    for (int i = 0; i < DRAWS; i++) {
        struct mem m;
        struct dist_sketch a, b;
        struct dist_distances d;
        mem_init(&m, 0);
        dist_sketch_init(&a, &m, 8, DIST_CELLS_MAX);
        dist_sketch_init(&b, &m, 8, DIST_CELLS_MAX);
        for (int k = 0; k < SIZE; k++) {
            assert_true(dist_sketch_add(&a, rng_normal(&r)) && dist_sketch_add(&b, rng_normal(&r)));
        }
        assert_true(dist_sketch_compare(&a, &b, &d));
        low[0] += dist_ks_p(d.ks.value, SIZE, SIZE) < 0.2;
        low[1] += dist_cvm_p(d.cvm.value, SIZE, SIZE) < 0.2;
        low[2] += dist_ad_p(d.ad.value) < 0.2;
        dist_sketch_release(&a);
        dist_sketch_release(&b);
    }
    for (int i = 0; i < 3; i++) { /* 80 +- 8 expected; ks is conservative */
        assert_true(low[i] > DRAWS * 0.2 - 36 && low[i] < DRAWS * 0.2 + 32);
    }
}
