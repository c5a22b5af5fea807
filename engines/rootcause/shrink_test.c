/* Shrinkage: special cases by hand, the weight against the law the rates were drawn from, and the
 * error of the shrunk rates against that of the raw ones. */
#include "base/rng.h"
#include "base/test.h"
#include "engines/rootcause/rootcause.h"

#include <math.h>

TEST(rates_without_a_spread_are_all_the_mean)
{
    const struct rootcause_rate rates[] = {{10, 100}, {20, 200}, {0, 0}, {1, 10}};
    struct rootcause_prior p;
    rootcause_prior_fit(rates, 4, &p);
    assert_true(p.mean == 0.1);
    assert_true(isinf(p.weight));
    assert_true(rootcause_shrunk(&p, rates[3]) == 0.1);
    assert_true(rootcause_shrunk(&p, rates[2]) == 0.1);
}

TEST(rates_that_have_nothing_in_common_stay)
{
    const struct rootcause_rate rates[] = {{0, 1000}, {1000, 1000}, {0, 500}, {500, 500}};
    struct rootcause_prior p;
    rootcause_prior_fit(rates, 4, &p);
    assert_true(p.weight < 0.5);
    assert_true(rootcause_shrunk(&p, rates[0]) < 0.001);
    assert_true(rootcause_shrunk(&p, rates[1]) > 0.999);
}

TEST(nothing_known_says_nothing)
{
    struct rootcause_prior p;
    rootcause_prior_fit(NULL, 0, &p);
    assert_true(isnan(p.mean));
    assert_true(isnan(rootcause_shrunk(&p, (struct rootcause_rate){0, 0})));
    const struct rootcause_rate one[] = {{3, 4}};
    rootcause_prior_fit(one, 1, &p);
    assert_true(rootcause_shrunk(&p, one[0]) == 0.75);
    const struct rootcause_rate singles[] = {{0, 1}, {1, 1}, {0, 1}, {1, 1}, {1, 1}};
    rootcause_prior_fit(singles, 5, &p);
    assert_true(isinf(p.weight)); /* one case each shows no spread */
}

static double gamma_draw(struct rng *r, uint32_t shape)
{
    double sum = 0;
    for (uint32_t i = 0; i < shape; i++) {
        sum += rng_exp(r);
    }
    return sum;
}

/* Rates drawn from Beta(2, 18), of few or many cases: the weight is near 20 in the median, and the
 * shrunk rates are much nearer to the truth than the raw ones. */
TEST(the_weight_is_that_of_the_law_and_shrunk_rates_are_nearer)
{
    struct rng r;
    rng_init(&r, test_seed());
    double raw = 0;
    double shrunk = 0;
    uint32_t near = 0;
    for (uint32_t round = 0; round < 100; round++) {
        struct rootcause_rate rates[60];
        double truth[60];
        struct rootcause_prior p;
        for (uint32_t i = 0; i < 60; i++) {
            double x = gamma_draw(&r, 2);
            truth[i] = x / (x + gamma_draw(&r, 18));
            rates[i] = (struct rootcause_rate){.n = i % 3 == 0 ? 200 : 8};
            for (uint64_t k = 0; k < rates[i].n; k++) {
                rates[i].hits += rng_f64(&r) < truth[i];
            }
        }
        rootcause_prior_fit(rates, 60, &p);
        near += p.weight > 10 && p.weight < 40;
        for (uint32_t i = 0; i < 60; i++) {
            double one = (double)rates[i].hits / (double)rates[i].n - truth[i];
            double two = rootcause_shrunk(&p, rates[i]) - truth[i];
            raw += one * one;
            shrunk += two * two;
        }
    }
    assert_true(near >= 85);
    assert_true(shrunk < 0.5 * raw);
}
