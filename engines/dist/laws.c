/* The laws of the tests: normal, chi2, Kolmogorov's limit, and the quadratic ones (Cramer-von
 * Mises, Anderson-Darling).
 *
 * chi2: the upper incomplete gamma function, by its series where the argument is below the shape
 * (DLMF 8.7.1) and by the continued fraction (8.9.2, evaluated by Lentz's method) above; both times
 * z^a e^-z / gamma(a + 1), which is computed by Stirling's series with the difference z - a taken
 * out first, so that nothing cancels (Loader, Fast and accurate computation of binomial
 * probabilities, 2000).
 *
 * Quadratic laws: sums of lambda_j Z_j^2 with lambda_j = 1 / (j pi)^2 (CvM) and 1 / (j (j + 1))
 * (AD). Smirnov's formula (1937; Anderson, Darling, AMS 1952) gives the tail as an alternating sum
 *
 *   P(Q > x) = 1/pi * sum_k (-1)^(k+1) * integral, y from 1/lambda_(2k-1) to 1/lambda_(2k),
 *              of e^(-xy/2) / (y sqrt|D(y)|) dy,    D(y) = prod (1 - lambda_j y),
 *
 * where D is sin(sqrt y) / sqrt y, and -cos(pi/2 sqrt(1 + 4y)) / (pi y). With y by the root whose
 * sine or cosine it is, and that root by an angle, the integrand is smooth and periodic, and
 * equal steps converge faster than any power. All terms of the tail are of its size: relative error
 * about 1e-13 for p down to 1e-300, absolute for p near 1. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define PI              3.14159265358979323846
#define GAMMA_TERMS_MAX 100000
#define LAW_STEPS       128
#define LAW_TERMS_MAX   64
#define CVM_LEAST       0.003 /* below, the chance of less is under 1e-17 (scipy's bound) */
#define AD_LEAST        0.03

double dist_normal_sf(double z)
{
    return 0.5 * erfc(z / sqrt(2));
}

/* log(1 + x) - x. */
static double log1p_less(double x)
{
    if (fabs(x) > 0.3) {
        return log1p(x) - x;
    }
    double power = x * x;
    double sum = 0;
    for (int k = 2; k < 60; k++) {
        double term = power / k;
        sum += k % 2 == 0 ? -term : term;
        if (fabs(term) < 1e-18 * fabs(sum)) {
            break;
        }
        power *= x;
    }
    return sum;
}

/* z^a e^-z / gamma(a + 1). */
static double gamma_front(double a, double z)
{
    if (a < 10) {
        int sign = 0;
        return exp(a * log(z) - z - lgamma_r(a + 1, &sign));
    }
    double b = 1 / (a * a);
    double series =
        (1 / 12.0 - b * (1 / 360.0 - b * (1 / 1260.0 - b * (1 / 1680.0 - b / 1188.0)))) / a;
    return exp(a * log1p_less((z - a) / a) - series) / sqrt(2 * PI * a);
}

/* Gamma(a, z) / Gamma(a). */
static double gamma_upper(double a, double z)
{
    double front = gamma_front(a, z);
    if (z < a + 1) {
        double term = 1;
        double sum = 1;
        for (int k = 1; k < GAMMA_TERMS_MAX && term > 1e-17 * sum; k++) {
            term *= z / (a + k);
            sum += term;
        }
        return 1 - front * sum;
    }
    double b = z + 1 - a;
    double c = 1e300;
    double d = 1 / b;
    double f = d;
    for (int k = 1; k < GAMMA_TERMS_MAX; k++) {
        double an = -k * (k - a);
        b += 2;
        d = an * d + b;
        c = b + an / c;
        d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
        c = fabs(c) < 1e-300 ? 1e-300 : c;
        f *= c * d;
        if (fabs(c * d - 1) < 4e-16) {
            break;
        }
    }
    return front * a * f;
}

double dist_chi2_sf(double x, double dof)
{
    if (isnan(x) || isnan(dof) || dof < 0) {
        return (double)NAN;
    }
    if (x <= 0 || dof <= 0) {
        return 1;
    }
    if (isinf(x)) {
        return 0;
    }
    double p = gamma_upper(dof / 2, x / 2);
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

double dist_kolmogorov_sf(double t)
{
    if (isnan(t) || t <= 0) {
        return isnan(t) ? t : 1;
    }
    double sum = 0;
    if (t < 1) { /* theta's other form: few terms where the usual one needs many */
        for (int k = 1; k < 20; k += 2) {
            sum += exp(-k * k * PI * PI / (8 * t * t));
        }
        return 1 - sqrt(2 * PI) / t * sum;
    }
    for (int k = 1; k < 20; k++) {
        double term = exp(-2.0 * k * k * t * t);
        sum += k % 2 == 1 ? term : -term;
    }
    return 2 * sum;
}

/* The k-th integral of the quadratic laws, k from 1. */
static double cvm_term(double x, int k)
{
    double sum = 0;
    for (int i = 0; i < LAW_STEPS; i++) {
        double angle = PI * ((i + 0.5) / LAW_STEPS - 0.5);
        double off = PI / 2 * sin(angle);
        double u = (2 * k - 0.5) * PI + off; /* sqrt y, between its zeros of the sine */
        sum += exp(-x * u * u / 2) / sqrt(u * cos(off)) * cos(angle);
    }
    return 2 * (PI / 2) * sum * (PI / LAW_STEPS);
}

static double ad_term(double x, int k)
{
    double sum = 0;
    for (int i = 0; i < LAW_STEPS; i++) {
        double angle = PI * ((i + 0.5) / LAW_STEPS - 0.5);
        double off = sin(angle);
        double w = 4 * k + off; /* sqrt(1 + 4y), between its zeros of the cosine */
        double y = (w * w - 1) / 4;
        sum += exp(-x * y / 2) * w / 2 * sqrt(PI / (y * cos(PI / 2 * off))) * cos(angle);
    }
    return sum * (PI / LAW_STEPS);
}

static double quadratic_sf(double x, double (*term)(double x, int k))
{
    double sum = 0;
    for (int k = 1; k < LAW_TERMS_MAX; k++) {
        double t = term(x, k);
        sum += k % 2 == 1 ? t : -t;
        if (t < 1e-17 * sum || t <= 0) {
            break;
        }
    }
    double p = sum / PI;
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

double dist_cvm_sf(double x)
{
    return isnan(x) ? x : x < CVM_LEAST ? 1 : quadratic_sf(x, cvm_term);
}

double dist_ad_sf(double x)
{
    return isnan(x) ? x : x < AD_LEAST ? 1 : quadratic_sf(x, ad_term);
}

double dist_cvm_p(double t, uint64_t ref_n, uint64_t cur_n)
{
    double n = (double)ref_n;
    double m = (double)cur_n;
    double all = n + m;
    if (ref_n == 0 || cur_n == 0 || isnan(t)) {
        return (double)NAN;
    }
    double mean = (1 + 1 / all) / 6;
    double var = (all + 1) * (4 * m * n * all - 3 * (m * m + n * n) - 2 * m * n);
    var /= 45 * all * all * 4 * m * n;
    return dist_cvm_sf(1 / 6.0 + (t - mean) / sqrt(45 * var));
}

double dist_ad_p(double a2)
{
    return dist_ad_sf(a2);
}
