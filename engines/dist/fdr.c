/* What many tests at once, on data that is more restless than chance, are worth.
 *
 * Over-dispersion: days of a real stream differ by more than sampling, so a p-value that only knows
 * of sampling is small every day. The reference days, each against the reference, show the scale:
 * the median of their figures over the median of the law. A median, because a day of the reference
 * may itself be odd. Source of the median of Kolmogorov's law: K(0.8275735551899077) = 1/2.
 *
 * Benjamini, Hochberg, JRSS B 57 (1995); Benjamini, Yekutieli, AoS 29 (2001), theorem 1.3; Wang,
 * Ramdas, JRSS B 84 (2022) for e-BH; Vovk, Wang, AoS 49 (2021), section 2 for the calibrator. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define KOLMOGOROV_MEDIAN 0.8275735551899077
#define HALVINGS          60

/* Of sorted values; n > 0. */
static double median(const double *v, size_t n)
{
    return n % 2 == 1 ? v[n / 2] : v[n / 2 - 1] / 2 + v[n / 2] / 2;
}

double dist_dispersion_ks(double *d, const double *en, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        d[i] *= sqrt(en[i]);
    }
    dist_sort_f64(d, n);
    return n == 0 ? 1 : fmax(1, median(d, n) / KOLMOGOROV_MEDIAN);
}

static double chi2_median(double dof)
{
    double lo = 0;
    double hi = dof + 1;
    for (int i = 0; i < HALVINGS; i++) {
        double mid = (lo + hi) / 2;
        *(dist_chi2_sf(mid, dof) > 0.5 ? &lo : &hi) = mid;
    }
    return hi;
}

double dist_dispersion_chi2(double *chi2, const double *dof, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (dof[i] > 0) {
            chi2[kept++] = chi2[i] / chi2_median(dof[i]);
        }
    }
    dist_sort_f64(chi2, kept);
    return kept == 0 ? 1 : fmax(1, median(chi2, kept));
}

double dist_ks_p_adjusted(double d, uint64_t ref_n, uint64_t cur_n, double dispersion,
                          double effect_min)
{
    double p = dist_ks_p(d / fmax(1, dispersion), ref_n, cur_n);
    return d < effect_min && !isnan(p) ? 1 : p;
}

/* The indexes of what is a number, in order; returns how many. */
static uint32_t ordered(const double *v, uint32_t n, uint32_t *order, bool falling)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!isnan(v[i])) {
            order[count++] = i;
        }
    }
    dist_sort_order(v, order, count, falling);
    return count;
}

/* Goes from the weakest to the strongest: no test has a larger q than a weaker one. */
static uint32_t settle(double q, double *worst, double alpha)
{
    *worst = fmin(*worst, q);
    return *worst <= alpha;
}

uint32_t dist_fdr_adjust(enum dist_fdr how, const double *p, uint32_t n, double alpha, double *q,
                         uint32_t *order)
{
    uint32_t count = ordered(p, n, order, false);
    uint32_t held = 0;
    double worst = 1;
    double factor = how == DIST_BY ? 0 : 1;
    for (uint32_t k = 1; how == DIST_BY && k <= count; k++) {
        factor += 1.0 / k;
    }
    for (uint32_t i = 0; i < n; i++) {
        q[i] = isnan(p[i]) ? (double)NAN : p[i];
    }
    for (uint32_t k = count; k > 0; k--) {
        held += settle(q[order[k - 1]] * factor * count / k, &worst, alpha);
        q[order[k - 1]] = worst;
    }
    return held;
}

uint32_t dist_ebh_adjust(const double *e, uint32_t n, double alpha, double *q, uint32_t *order)
{
    uint32_t count = ordered(e, n, order, true);
    uint32_t held = 0;
    double worst = 1;
    for (uint32_t i = 0; i < n; i++) {
        q[i] = isnan(e[i]) ? (double)NAN : e[i];
    }
    for (uint32_t k = count; k > 0; k--) {
        double evidence = q[order[k - 1]];
        held += settle(evidence > 0 ? count / (evidence * k) : 1, &worst, alpha);
        q[order[k - 1]] = worst;
    }
    return held;
}

double dist_e_from_p(double p)
{
    return isnan(p) ? p : 1 / (2 * sqrt(fmax(p, 0)));
}
