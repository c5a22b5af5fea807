/* The law of Kolmogorov's distance for n values, not only in the limit.
 *
 * Why: scipy's ks_2samp uses it, and for a day of a thousand decisions the limit law is wrong in
 * the second digit. Ways, by n and t = sqrt(n) d (as Simard and L'Ecuyer, JSS 39(11), 2011, divide
 * them):
 *
 *   d <= 1/n, d >= 1/2, d >= 1 - 1/n   closed forms and the one-sided law, exact
 *   t^2 above 4 (n <= 140) or 2.2      twice the one-sided law: exact sum (Smirnov 1944, Birnbaum
 *                                      and Tingey 1951) up to n = 1000, then its expansion in
 *                                      1/sqrt(n), in the exponent, with the n^-2 t^6 of the large
 *                                      deviations (relative error 0.3 t^4 / n^2: 1e-5 at t = 2.5,
 *                                      2 % where p is 1e-89, for n = 1000)
 *   n <= 140                           Durbin's matrix (Marsaglia, Tsang, Wang, JSS 8(18), 2003),
 *                                      as n products with a vector, nothing stored but the vector
 *   n > 140                            Pelz and Good, JRSS B 38 (1976): terms to n^(-3/2) */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define PI          3.14159265358979323846
#define SMALL_N     140
#define SUM_N_MAX   1000
#define DURBIN_SIDE 49    /* 2 * ceil(sqrt(4 * 140)) + 1 */
#define TAIL_MAX    370.0 /* n d^2 of a chance under 1e-320 */

/* P(D+ >= d), the exact sum; n * (1 - d) terms, in logarithms. */
static double one_sided_sum(double d, double n)
{
    double sum = 0;
    double choose = 0; /* log of n over j */
    for (double j = 0; j <= floor(n * (1 - d)); j++) {
        double at = d + j / n;
        if (at < 1) {
            sum += exp(choose + (j - 1) * log(at) + (n - j) * log1p(-at));
        }
        choose += log((n - j) / (j + 1));
    }
    return d * sum;
}

static double one_sided_sf(double d, double n)
{
    if (n <= SUM_N_MAX) {
        return one_sided_sum(d, n);
    }
    double root = sqrt(n);
    double t = d * root;
    double t2 = t * t;
    double log_p = -2 * t2 - 2 * t / (3 * root);
    log_p += 4 / 9.0 * (t2 - t2 * t2) / n;
    log_p += (4 * t / 45 - 88 * t2 * t / 405) / (n * root);
    return exp(log_p - 32 / 135.0 * t2 * t2 * t2 / (n * n));
}

/* P(D < d): entry (k, k) of the n-th power of H, times n! / n^n. */
static double durbin_cdf(double d, double n)
{
    double vector[DURBIN_SIDE] = {0};
    double next[DURBIN_SIDE];
    double inverse[DURBIN_SIDE + 2]; /* 1 / i! */
    double power[DURBIN_SIDE + 1];   /* h^i */
    int k = (int)(n * d) + 1;
    int side = 2 * k - 1;
    double h = k - n * d;
    ASSERT(side <= DURBIN_SIDE);
    inverse[0] = power[0] = 1;
    for (int i = 1; i <= side; i++) {
        inverse[i] = inverse[i - 1] / i;
        power[i] = power[i - 1] * h;
    }
    double corner = 1 - 2 * power[side] + (2 * h > 1 ? pow(2 * h - 1, side) : 0);
    vector[k - 1] = 1;
    for (int step = 1; step <= (int)n; step++) {
        for (int col = 0; col < side; col++) {
            double sum = 0;
            for (int row = col > 0 ? col - 1 : 0; row < side; row++) {
                double entry = col == 0 && row == side - 1 ? corner
                               : col == 0                  ? 1 - power[row + 1]
                               : row == side - 1           ? 1 - power[side - col]
                                                           : 1;
                sum += vector[row] * entry * inverse[row - col + 1];
            }
            next[col] = sum * step / n;
        }
        memcpy(vector, next, sizeof next);
    }
    return vector[k - 1];
}

static double pelz_good_cdf(double d, double n)
{
    double z = d * sqrt(n);
    double z2 = z * z, z4 = z2 * z2, z6 = z4 * z2;
    double p2 = PI * PI;
    double k0 = 0, k1 = 0, k2 = 0, k2b = 0, k3 = 0, k3b = 0;
    for (int i = 0; i < 12; i++) { /* both signs of k + 1/2, and of k, are the same term */
        double a = (i + 0.5) * (i + 0.5) * p2;
        double e = 2 * exp(-a / (2 * z2));
        double b = (i + 1.0) * (i + 1.0) * p2;
        double f = 2 * exp(-b / (2 * z2));
        k0 += e;
        k1 += (a - z2) * e;
        k2 += (6 * z6 + 2 * z4 + a * (2 * z4 - 5 * z2) + a * a * (1 - 2 * z2)) * e;
        k2b += b * f;
        k3 += (-30 * z6 - 90 * z4 * z4 + a * (135 * z4 - 96 * z6) + a * a * (212 * z4 - 60 * z2) +
               a * a * a * (5 - 30 * z2)) *
              e;
        k3b += (3 * b * z2 - b * b) * f;
    }
    double c = sqrt(PI / 2);
    double z3 = z2 * z, z7 = z6 * z;
    double cdf = c / z * k0 + c / (6 * z4) * k1 / sqrt(n);
    cdf += (c / (72 * z7) * k2 - c / (36 * z3) * k2b) / n;
    return cdf + (c / (6480 * z7 * z3) * k3 + c / (216 * z6) * k3b) / (n * sqrt(n));
}

static double clipped(double p)
{
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

double dist_kolmogorov_n_sf(double d, double n)
{
    double nd = n * d;
    double t2 = nd * d;
    if (isnan(d) || isnan(n) || n < 1 || isinf(n)) {
        return (double)NAN;
    }
    if (d >= 1 || nd <= 0.5) {
        return d >= 1 ? 0 : 1;
    }
    if (nd <= 1) { /* n! / n^n (2 n d - 1)^n */
        int sign = 0;
        return clipped(1 - exp(lgamma_r(n + 1, &sign) - n * log(n) + n * log(2 * nd - 1)));
    }
    if (nd >= n - 1) {
        return clipped(2 * pow(1 - d, n));
    }
    if (t2 >= TAIL_MAX && n > SMALL_N) {
        return 0;
    }
    if (d >= 0.5 || t2 > 4 || (n > SMALL_N && t2 >= 2.2)) {
        return clipped(2 * one_sided_sf(d, n));
    }
    return clipped(1 - (n <= SMALL_N ? durbin_cdf(d, n) : pelz_good_cdf(d, n)));
}

double dist_ks_p(double d, uint64_t ref_n, uint64_t cur_n)
{
    double n = (double)ref_n;
    double m = (double)cur_n;
    if (ref_n == 0 || cur_n == 0) {
        return (double)NAN;
    }
    double both = rint(n * m / (n + m)); /* to even, as numpy rounds */
    return both < 1 ? 1 : dist_kolmogorov_n_sf(d, both);
}
