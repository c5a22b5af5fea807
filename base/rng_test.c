#include "base/rng.h"
#include "base/test.h"

#include <math.h>

TEST(rng_repeats_for_a_seed_and_differs_between_seeds)
{
    struct rng a, b;
    rng_init(&a, 42);
    rng_init(&b, 42);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_u64(&a) == rng_u64(&b));
    }
    rng_init(&b, 43);
    assert_true(rng_u64(&a) != rng_u64(&b));
}

TEST(rng_matches_the_published_algorithm)
{
    /* From state {1, 2, 3, 4}, worked out by hand: rotl(2 * 5, 7) * 9 = 11520; the step makes s1 =
     * 0, so 0 comes next; then s1 = 262149 gives rotl(262149 * 5, 7) * 9. */
    struct rng r = {{1, 2, 3, 4}};
    assert_true(rng_u64(&r) == 11520);
    assert_true(rng_u64(&r) == 0);
    assert_true(rng_u64(&r) == 1509978240);
    /* splitmix64 from 0 begins with E220A8397B1DCDAF (its authors' test value). */
    rng_init(&r, 0);
    assert_true(r.s[0] == 0xE220A8397B1DCDAFULL);
    assert_true(r.s[1] == 0x6E789E6AA1B965F4ULL);
}

TEST(rng_forks_are_independent_of_order)
{
    struct rng a, b, c;
    rng_fork(&a, 1, 2);
    rng_fork(&b, 2, 1);
    rng_fork(&c, 1, 2);
    assert_true(rng_u64(&a) == rng_u64(&c));
    assert_true(rng_u64(&a) != rng_u64(&b));
}

TEST(rng_below_is_even)
{
    struct rng r;
    rng_init(&r, test_seed());
    uint32_t counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        counts[rng_below(&r, 7)]++;
    }
    double chi2 = 0;
    for (int i = 0; i < 7; i++) {
        chi2 += (counts[i] - 10000.0) * (counts[i] - 10000.0) / 10000.0;
    }
    assert_true(chi2 < 35); /* 6 degrees of freedom: above 35 once in 200,000 seeds */
    assert_true(rng_below(&r, 1) == 0);
    uint64_t most = (1ULL << 63) + 1;
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_below(&r, most) < most);
    }
}

struct moments {
    double mean, variance;
};

static struct moments moments_of(struct rng *r, double (*draw)(struct rng *r, double arg),
                                 double arg)
{
    const int n = 200000;
    double sum = 0, sum2 = 0;
    for (int i = 0; i < n; i++) {
        double v = draw(r, arg);
        sum += v;
        sum2 += v * v;
    }
    double mean = sum / n;
    return (struct moments){mean, sum2 / n - mean * mean};
}

static double draw_f64(struct rng *r, double arg)
{
    (void)arg;
    double v = rng_f64(r);
    assert_true(v >= 0 && v < 1);
    return v;
}

static double draw_normal(struct rng *r, double arg)
{
    (void)arg;
    return rng_normal(r);
}

static double draw_exp(struct rng *r, double arg)
{
    (void)arg;
    double v = rng_exp(r);
    assert_true(v >= 0);
    return v;
}

static double draw_poisson(struct rng *r, double arg)
{
    return (double)rng_poisson(r, arg);
}

TEST(rng_distributions_have_their_moments)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct moments m = moments_of(&r, draw_f64, 0);
    assert_true(fabs(m.mean - 0.5) < 0.005 && fabs(m.variance - 1.0 / 12) < 0.002);
    m = moments_of(&r, draw_normal, 0);
    assert_true(fabs(m.mean) < 0.015 && fabs(m.variance - 1) < 0.03);
    m = moments_of(&r, draw_exp, 0);
    assert_true(fabs(m.mean - 1) < 0.015 && fabs(m.variance - 1) < 0.06);
    static const double means[] = {0.1, 3, 9.9, 10, 40, 1000};
    for (size_t i = 0; i < ARRAY_LEN(means); i++) {
        m = moments_of(&r, draw_poisson, means[i]);
        assert_true(fabs(m.mean - means[i]) < 6 * sqrt(means[i] / 200000));
        assert_true(fabs(m.variance / means[i] - 1) < 0.05);
    }
    assert_true(rng_poisson(&r, 0) == 0);
    assert_true(rng_poisson(&r, -1) == 0);
    assert_true(rng_poisson(&r, (double)NAN) == 0);
    assert_true(rng_poisson(&r, 1e12) > 900000000000ULL);
}
