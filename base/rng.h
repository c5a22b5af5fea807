/* A seeded random generator: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. Same seed,
 * same numbers, on every machine. Not for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/base.h"

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
/* An independent stream for a named purpose, so that adding draws to one leaves the others
 * alone. */
void rng_fork(struct rng *out, uint64_t seed, uint64_t purpose);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0..n-1 without bias; n > 0 */
double rng_f64(struct rng *r);                 /* [0, 1), 53 bits */
double rng_normal(struct rng *r);              /* mean 0, sigma 1; Box-Muller, one value per call */
double rng_exp(struct rng *r);                 /* mean 1 */
uint64_t rng_poisson(struct rng *r, double mean);

#endif
