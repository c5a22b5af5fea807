/* Empirical Bayes for rates of small segments: a beta prior around the mean of all, whose weight is
 * estimated from how much more the rates differ than chance makes them.
 *
 * With x of n hits and p the rate of all together, S = sum n (x/n - p)^2 has the expectation
 *
 *     p (1 - p) ((k - 1) + rho (N - sum n^2 / N - (k - 1))),   rho = 1 / (weight + 1)
 *
 * over k segments with N cases in all; solved for rho.
 * Source: Kleinman, JASA 68 (1973), with the cases as weights. */
#include "engines/rootcause/rootcause.h"

#include <math.h>

void rootcause_prior_fit(const struct rootcause_rate *rates, uint32_t count,
                         struct rootcause_prior *out)
{
    double hits = 0;
    double cases = 0;
    double squares = 0;
    uint32_t segments = 0;
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(rates[i].hits <= rates[i].n);
        hits += (double)rates[i].hits;
        cases += (double)rates[i].n;
        squares += (double)rates[i].n * (double)rates[i].n;
        segments += rates[i].n > 0;
    }
    *out = (struct rootcause_prior){.mean = cases > 0 ? hits / cases : (double)NAN,
                                    .weight = (double)INFINITY};
    double chance = out->mean * (1 - out->mean);
    if (!(chance > 0) || segments < 2) {
        return; /* one segment, or no difference at all: nothing to learn a spread from */
    }
    double spread = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (rates[i].n > 0) {
            double off = (double)rates[i].hits / (double)rates[i].n - out->mean;
            spread += (double)rates[i].n * off * off;
        }
    }
    double free = segments - 1.0;
    double room = cases - squares / cases - free;
    if (room < 0.1) {
        return; /* one case in each (room 0; the next larger is 1/3): nothing shows a spread */
    }
    double rho = (spread / chance - free) / room;
    if (rho > 0) {
        out->weight = rho < 1 ? 1 / rho - 1 : 0;
    }
}

double rootcause_shrunk(const struct rootcause_prior *prior, struct rootcause_rate rate)
{
    if (rate.n == 0 || isinf(prior->weight)) {
        return prior->mean;
    }
    return ((double)rate.hits + prior->mean * prior->weight) / ((double)rate.n + prior->weight);
}
