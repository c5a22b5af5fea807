/* Distances of two vectors of counts, pair by pair.
 *
 * Why one place: each of these figures has several forms in use that differ in the base of the
 * logarithm, a square root or what becomes of an empty cell. Here they are written once, in the
 * form that dist.h states.
 *
 * Sources: Siddiqi, Credit Risk Scorecards, 2006 (PSI); Lin, IEEE Trans. IT 37 (1991), and Endres,
 * Schindelin 2003 (JS, its root is a metric); Pearson 1900, Yates, JRSS suppl. 1 (1934). */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

void dist_pairs_begin(struct dist_pairs *p, uint64_t ref_total, uint64_t cur_total)
{
    *p = (struct dist_pairs){.ref_n = (double)ref_total,
                             .cur_n = (double)cur_total,
                             .ref_left = ref_total,
                             .cur_left = cur_total};
}

/* x ln(x / mean), 0 for 0. */
static double entropy_part(double x, double mean)
{
    return x > 0 ? x * log(x / mean) : 0;
}

static double chi2_part(double seen, double expected, double yates)
{
    double off = fabs(seen - expected);
    off -= fmin(off, yates);
    return off * off / expected;
}

static double chi2_pair(const struct dist_pairs *p, double ref, double cur, double yates)
{
    double all = p->ref_n + p->cur_n;
    double both = ref + cur;
    return chi2_part(ref, both * (p->ref_n / all), yates) +
           chi2_part(cur, both * (p->cur_n / all), yates);
}

void dist_pairs_add(struct dist_pairs *p, uint64_t ref, uint64_t cur)
{
    ASSERT(ref <= p->ref_left && cur <= p->cur_left);
    p->ref_left -= ref;
    p->cur_left -= cur;
    if (ref == 0 && cur == 0) {
        return;
    }
    if (p->pairs < 2) {
        p->pair[p->pairs][0] = (double)ref;
        p->pair[p->pairs][1] = (double)cur;
    }
    p->pairs++;
    if (p->ref_n <= 0 || p->cur_n <= 0) {
        return;
    }
    double r = (double)ref / p->ref_n;
    double c = (double)cur / p->cur_n;
    double rf = fmax(r, DIST_SHARE_FLOOR);
    double cf = fmax(c, DIST_SHARE_FLOOR);
    double ratio = log(cf / rf);
    double root = sqrt(r) - sqrt(c);
    double mean = (r + c) / 2;
    p->psi += (cf - rf) * ratio;
    p->kl += cf * ratio;
    p->js += entropy_part(r, mean) + entropy_part(c, mean);
    p->hellinger += root * root;
    p->tvd += fabs(c - r);
    p->linf = fmax(p->linf, fabs(c - r));
    p->chi2 += chi2_pair(p, (double)ref, (double)cur, 0);
}

void dist_pairs_end(const struct dist_pairs *p, struct dist_shares *out)
{
    ASSERT(p->ref_left == 0 && p->cur_left == 0);
    const double nan = (double)NAN;
    *out = (struct dist_shares){.ref_n = (uint64_t)p->ref_n,
                                .cur_n = (uint64_t)p->cur_n,
                                .pairs = p->pairs,
                                .dof = p->pairs > 0 ? p->pairs - 1 : 0};
    if (p->ref_n <= 0 || p->cur_n <= 0) {
        out->psi = out->kl = out->js = out->hellinger = nan;
        out->tvd = out->linf = out->chi2 = out->chi2_p = nan;
        return;
    }
    out->psi = p->psi;
    out->kl = p->kl;
    out->js = sqrt(fmax(0, p->js / 2 / log(2)));
    out->hellinger = sqrt(p->hellinger / 2);
    out->tvd = p->tvd / 2;
    out->linf = p->linf;
    out->chi2 = out->dof == 0 ? 0 : p->chi2;
    if (out->dof == 1) {
        out->chi2 = chi2_pair(p, p->pair[0][0], p->pair[0][1], 0.5) +
                    chi2_pair(p, p->pair[1][0], p->pair[1][1], 0.5);
    }
    out->chi2_p = out->dof == 0 ? 1 : dist_chi2_sf(out->chi2, out->dof);
}

void dist_counts_compare(const uint64_t *ref, const uint64_t *cur, size_t n,
                         struct dist_shares *out)
{
    struct dist_pairs p;
    uint64_t ref_total = 0;
    uint64_t cur_total = 0;
    for (size_t i = 0; i < n; i++) {
        ref_total += ref[i];
        cur_total += cur[i];
    }
    dist_pairs_begin(&p, ref_total, cur_total);
    for (size_t i = 0; i < n; i++) {
        dist_pairs_add(&p, ref[i], cur[i]);
    }
    dist_pairs_end(&p, out);
}
