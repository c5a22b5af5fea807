/* The seeded generator, and the distributions that the simulator and the tests draw from.
 *
 * Sources: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018
 * (xoshiro256**, splitmix64 for seeding); Lemire, "Fast random integer generation in an interval",
 * 2019 (rng_below); Hoermann, "The transformed rejection method for generating Poisson random
 * variables", 1993 (algorithm PTRS, for means of 10 and more). */
#include "base/rng.h"

#include <math.h>

#define POISSON_PTRS_FROM 10.0
#define POISSON_MEAN_MAX  1e15

static uint64_t splitmix_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(r->s); i++) {
        r->s[i] = splitmix_next(&seed);
    }
}

void rng_fork(struct rng *out, uint64_t seed, uint64_t purpose)
{
    /* Both numbers go through the mixer before they meet, or (1, 2) and (2, 1) would be one
     * stream. */
    uint64_t mixed = splitmix_next(&seed);
    mixed ^= purpose;
    rng_init(out, splitmix_next(&mixed));
}

static uint64_t rotate_left(uint64_t v, unsigned by)
{
    return (v << by) | (v >> (64 - by));
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    ASSERT(n > 0);
    u128 m = (u128)rng_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t floor = (0 - n) % n;
        while ((uint64_t)m < floor) {
            m = (u128)rng_u64(r) * n;
        }
    }
    return (uint64_t)(m >> 64);
}

double rng_f64(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1.0p-53;
}

double rng_normal(struct rng *r)
{
    const double two_pi = 6.283185307179586476925;
    double u = 1.0 - rng_f64(r); /* (0, 1]: the logarithm is finite */
    double v = rng_f64(r);
    return sqrt(-2.0 * log(u)) * cos(two_pi * v);
}

double rng_exp(struct rng *r)
{
    return -log(1.0 - rng_f64(r));
}

static uint64_t poisson_by_product(struct rng *r, double mean)
{
    double floor = exp(-mean);
    double product = rng_f64(r);
    uint64_t k = 0;
    while (product > floor) {
        product *= rng_f64(r);
        k++;
    }
    return k;
}

static uint64_t poisson_ptrs(struct rng *r, double mean)
{
    double b = 0.931 + 2.53 * sqrt(mean);
    double a = -0.059 + 0.02483 * b;
    double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    double v_r = 0.9277 - 3.6224 / (b - 2.0);
    double log_mean = log(mean);
    for (;;) {
        double u = rng_f64(r) - 0.5;
        double v = 1.0 - rng_f64(r);
        double us = 0.5 - fabs(u);
        double k = floor((2.0 * a / us + b) * u + mean + 0.43);
        if (us >= 0.07 && v <= v_r) {
            return (uint64_t)k;
        }
        if (k < 0.0 || (us < 0.013 && v > us)) {
            continue;
        }
        int sign;
        double accept = log(v) + log(inverse_alpha) - log(a / (us * us) + b);
        if (accept <= k * log_mean - mean - lgamma_r(k + 1.0, &sign)) {
            return (uint64_t)k;
        }
    }
}

uint64_t rng_poisson(struct rng *r, double mean)
{
    if (!(mean > 0.0)) {
        return 0;
    }
    if (mean < POISSON_PTRS_FROM) {
        return poisson_by_product(r, mean);
    }
    return poisson_ptrs(r, fmin(mean, POISSON_MEAN_MAX));
}
