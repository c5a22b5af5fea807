/* How far two sketches are apart: one pass over the cells of both.
 *
 * F and G are the shares of the reference's and the window's values not above a point, D = F - G.
 * Between cells D is known. Within a cell that holds values of either, D goes from D0 to D1 by an
 * unknown way; the figure takes the straight one, and its interval what the worst and the best way
 * would give: at any point of the cell D is in [F0 - G1, F1 - G0], F0 to F1 being what F is before
 * and after the cell. In an atom, a cell with room for one value, there is no way to go: D jumps.
 *
 *   KS   max |D|
 *   W1   integral of |D|
 *   CvM  T  = nm / N^2 * sum over all values of D^2                     (Anderson, AMS 1962)
 *   AD   A2 = nm / N^2 * sum over all values but the last of D^2 / (H (1 - H)), H = (nF + mG) / N
 *                                                     (Pettitt, Biometrika 1976; with ties, Scholz
 *                                                      and Stephens, JASA 1987, equation 6)
 *
 * D at the value itself; equal values are one point that counts for each. Without ties this is what
 * scipy's functions give; where values are equal scipy takes mid-ranks, which move with the number
 * of ties and are not comparable from day to day. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#include <float.h>

struct pass {
    double n, m, total; /* values of each, and together */
    uint64_t below_ref, below_cur;
    double d;    /* D after the last cell */
    double high; /* where the last cell ended */
    bool any;
    struct dist_bound ks, w1, cvm, ad; /* cvm, ad: sums, not yet times nm / N^2 */
};

/* One cell of both. */
struct step {
    double lo, hi;
    double count;       /* values of both */
    double d0, d1;      /* before and after */
    double least, most; /* of |D| in it */
    double h0, h1;      /* H before and after */
};

static void add_way(struct dist_bound *b, double value, double lo, double hi)
{
    b->value += value;
    b->lo += lo;
    b->hi += hi;
}

static void add_ks(struct pass *p, const struct step *s)
{
    double end = fabs(s->d1);
    p->ks.value = fmax(p->ks.value, end);
    p->ks.hi = fmax(p->ks.hi, s->most);
}

static void add_w1(struct pass *p, const struct step *s)
{
    double width = s->hi - s->lo;
    double a = fabs(s->d0);
    double b = fabs(s->d1);
    bool crosses = (s->d0 < 0) != (s->d1 < 0) && a + b > 0;
    double mean = crosses ? (a * a + b * b) / (2 * (a + b)) : (a + b) / 2;
    add_way(&p->w1, width * mean, width * s->least, width * s->most);
}

static void add_cvm(struct pass *p, const struct step *s)
{
    double mean =
        s->lo == s->hi ? s->d1 * s->d1 : (s->d0 * s->d0 + s->d0 * s->d1 + s->d1 * s->d1) / 3;
    add_way(&p->cvm, s->count * mean, s->count * s->least * s->least, s->count * s->most * s->most);
}

static double weighed(double d, double h)
{
    return h > 0 && h < 1 ? d * d / (h * (1 - h)) : 0;
}

/* The mean of the weighed squares along the straight way: the values themselves while they are
 * few, then Gauss' five points. */
static double ad_mean(const struct step *s)
{
    static const double at[5] = {0.046910077030668, 0.230765344947158, 0.5, 0.769234655052842,
                                 0.953089922969332};
    static const double weight[5] = {0.118463442528095, 0.239314335249683, 0.284444444444444,
                                     0.239314335249683, 0.118463442528095};
    double sum = 0;
    if (s->lo == s->hi) {
        return weighed(s->d1, s->h1);
    }
    if (s->count <= 5) {
        for (double k = 1; k <= s->count; k++) {
            double t = k / s->count;
            sum += weighed(s->d0 + t * (s->d1 - s->d0), s->h0 + t * (s->h1 - s->h0));
        }
        return sum / s->count;
    }
    for (int i = 0; i < 5; i++) {
        double d = s->d0 + at[i] * (s->d1 - s->d0);
        sum += weight[i] * weighed(d, s->h0 + at[i] * (s->h1 - s->h0));
    }
    return sum;
}

/* |D| is at most H N / min(n, m), and the same from above: without that the tails would have no
 * bound. */
static void add_ad(struct pass *p, const struct step *s)
{
    double mean = ad_mean(s);
    if (s->lo == s->hi) {
        add_way(&p->ad, s->count * mean, s->count * mean, s->count * mean);
        return;
    }
    double from = s->h0 + 1 / p->total;                  /* the first value of the cell */
    double to = s->h1 >= 1 ? 1 - 1 / p->total : s->h1;   /* the last, but the last of all */
    double count = s->h1 >= 1 ? s->count - 1 : s->count; /* has no term */
    if (count <= 0) {
        return;
    }
    double share = p->total / fmin(p->n, p->m);
    double at_ends = fmin(from * (1 - from), to * (1 - to));
    double widest = from <= 0.5 && to >= 0.5 ? 0.25 : fmax(from * (1 - from), to * (1 - to));
    double most = s->most * s->most / at_ends;
    most = fmin(most, share * share * to / (1 - to));
    most = fmin(most, share * share * (1 - from) / from);
    add_way(&p->ad, s->count * mean, count * s->least * s->least / widest, count * most);
}

static void take(struct pass *p, const struct dist_cell *ref, const struct dist_cell *cur)
{
    double f0 = (double)p->below_ref / p->n;
    double g0 = (double)p->below_cur / p->m;
    struct step s = {.d0 = p->d, .h0 = (double)(p->below_ref + p->below_cur) / p->total};
    s.lo = ref == NULL ? cur->lo : cur == NULL ? ref->lo : fmin(ref->lo, cur->lo);
    s.hi = ref == NULL ? cur->hi : cur == NULL ? ref->hi : fmax(ref->hi, cur->hi);
    p->below_ref += ref != NULL ? ref->n : 0;
    p->below_cur += cur != NULL ? cur->n : 0;
    s.count = (double)((ref != NULL ? ref->n : 0) + (cur != NULL ? cur->n : 0));
    double f1 = (double)p->below_ref / p->n;
    double g1 = (double)p->below_cur / p->m;
    s.d1 = f1 - g1;
    s.h1 = (double)(p->below_ref + p->below_cur) / p->total;
    if (s.lo == s.hi) {
        s.least = s.most = fabs(s.d1);
    } else {
        s.most = fmax(fabs(f1 - g0), fabs(f0 - g1));
        s.least = fmax(0, fmax(f0 - g1, g0 - f1));
    }
    if (p->any) {
        double gap = (s.lo - p->high) * fabs(p->d);
        add_way(&p->w1, gap, gap, gap);
    }
    add_ks(p, &s);
    add_w1(p, &s);
    add_cvm(p, &s);
    add_ad(p, &s);
    p->d = s.d1;
    p->high = s.hi;
    p->any = true;
}

static void both(const struct dist_sketch *ref, const struct dist_sketch *cur, struct pass *p)
{
    struct dist_reader a, b;
    struct dist_reading x, y;
    int bits = ref->bits < cur->bits ? ref->bits : cur->bits;
    dist_reader_init(&a, ref, bits);
    dist_reader_init(&b, cur, bits);
    bool in_a = dist_reader_next(&a, &x);
    bool in_b = dist_reader_next(&b, &y);
    while (in_a || in_b) {
        bool of_a = in_a && (!in_b || x.key <= y.key);
        bool of_b = in_b && (!in_a || y.key <= x.key);
        take(p, of_a ? &x.cell : NULL, of_b ? &y.cell : NULL);
        in_a = of_a ? dist_reader_next(&a, &x) : in_a;
        in_b = of_b ? dist_reader_next(&b, &y) : in_b;
    }
}

static struct dist_bound scaled(struct dist_bound b, double by)
{
    return (struct dist_bound){b.value * by, b.lo * by, b.hi * by};
}

bool dist_sketch_compare(const struct dist_sketch *ref, const struct dist_sketch *cur,
                         struct dist_distances *out)
{
    const struct dist_bound none = {(double)NAN, (double)NAN, (double)NAN};
    *out = (struct dist_distances){.ref_n = ref->n,
                                   .cur_n = cur->n,
                                   .ks = none,
                                   .w1 = none,
                                   .cvm = none,
                                   .ad = none,
                                   .w1_norm = (double)NAN,
                                   .w1_norm_err = (double)NAN};
    if (ref->n == 0 || cur->n == 0) {
        return false;
    }
    struct pass p = {.n = (double)ref->n, .m = (double)cur->n};
    p.total = p.n + p.m;
    both(ref, cur, &p);
    double scale = p.n / p.total * (p.m / p.total);
    double std = fmax(dist_sketch_std(ref), DIST_STD_FLOOR);
    out->ks = (struct dist_bound){p.ks.value, p.ks.value, p.ks.hi};
    out->w1 = p.w1;
    out->cvm = scaled(p.cvm, scale);
    out->ad = scaled(p.ad, scale);
    out->w1_norm = p.w1.value / std;
    out->w1_norm_err = fmax(p.w1.hi - p.w1.value, p.w1.value - p.w1.lo) / std;
    return true;
}
