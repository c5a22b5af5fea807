/* Expected figures of decisions without truth, from the probabilities of calib.c.
 *
 * With p of each decision: TP = sum of p over the flagged, positives P = sum of p over all,
 * precision = TP / flagged, recall = TP / P, F1 = 2 TP / (flagged + P). ROC AUC and average
 * precision are those of a stream in which each decision is p frauds and 1 - p genuine payments;
 * a cell is a group of equal rank.
 *
 * Intervals by the delta method. d = derivative of a figure by the probability of one decision.
 *   sampling:    truths are independent draws: sum over decisions of p (1 - p) d^2
 *   calibration: p of a block is a mean of n draws: sum over blocks of var(p) (sum of d over the
 *                block)^2, var(p) = (squares + 1/2) (1 - p) / (n + 1)^2. The half keeps blocks in
 *                which no fraud was seen from being certain. A decision on the line between two
 *                blocks belongs to both in its proportion.
 * Where blocks lie is taken as given.
 *
 * Two walks, best score first: sums, then derivatives. For AUC and a decision of group g,
 *   d(P N AUC) = negatives below + half of those in g - positives above - half of those in g,
 * and for average precision, with C = decisions down to a group,
 *   d(P AP) = TP(g) / C(g) + sum over g and all groups below it of P(h) / C(h).
 *
 * Sources: the estimator is described in NannyML's documentation ("Confidence-based Performance
 * Estimation"); the derivatives are ours. */
#include "engines/calib/calib.h"

#include <math.h>

enum { PRECISION, RECALL, F1, AUC, AP, POSITIVES, FIGURES };

/* Where a score lies: in block `b`, or `share` of the way to the next one. */
struct place {
    size_t b;
    double share, p;
};

/* From the place of a higher score (b = count at first) downward. */
static struct place place_below(const struct calib *c, size_t b, double score)
{
    b = b < c->count ? b : c->count - 1;
    while (b > 0 && score < c->blocks[b].lo) {
        b--;
    }
    const struct calib_block *x = &c->blocks[b];
    struct place at = {.b = b, .p = x->p};
    if (score > x->hi && b + 1 < c->count) {
        at.share = (score - x->hi) / (x[1].lo - x->hi);
        at.p = x->p + (x[1].p - x->p) * at.share;
    }
    return at;
}

struct totals {
    double n, flagged, tp, positives;
    double auc;   /* sum of pairs ranked right */
    double ap;    /* sum of P(g) TP(g) / C(g) */
    double ranks; /* sum of P(g) / C(g) */
};

static struct totals totals_of(const struct calib *c, const struct calib_cell *v, size_t count)
{
    struct totals t = {0};
    double all = 0;
    for (size_t i = 0; i < count; i++) {
        all += v[i].n;
    }
    double positives_all = 0;
    size_t b = c->count;
    for (size_t i = count; i-- > 0;) {
        const struct place at = place_below(c, b, v[i].score);
        b = at.b;
        positives_all += v[i].n * at.p;
    }
    const double negatives_all = all - positives_all;
    b = c->count;
    for (size_t i = count; i-- > 0;) {
        const struct place at = place_below(c, b, v[i].score);
        const double positives = v[i].n * at.p;
        const double negatives = v[i].n - positives;
        b = at.b;
        if (!(v[i].n > 0)) {
            continue;
        }
        t.auc += positives * (negatives_all - (t.n - t.positives) - negatives / 2);
        t.n += v[i].n;
        t.flagged += v[i].flagged;
        t.tp += v[i].flagged * at.p;
        t.positives += positives;
        t.ap += positives * t.positives / t.n;
        t.ranks += positives / t.n;
    }
    return t;
}

struct variances {
    const struct calib *c;
    size_t b;                               /* the block that `in` is of */
    double in[FIGURES], next[FIGURES];      /* sums of d over block b and over b + 1 */
    double sampling[FIGURES], map[FIGURES]; /* variances */
};

static void block_done(struct variances *w, size_t b, const double *d)
{
    if (b >= w->c->count) {
        return;
    }
    const struct calib_block *x = &w->c->blocks[b];
    const double var = (x->squares + 0.5) * (1 - x->p) / ((x->n + 1) * (x->n + 1));
    for (int f = 0; f < FIGURES; f++) {
        w->map[f] += var * d[f] * d[f];
    }
}

static void move_to(struct variances *w, size_t b)
{
    while (w->b > b) {
        block_done(w, w->b + 1, w->next);
        for (int f = 0; f < FIGURES; f++) {
            w->next[f] = w->in[f];
            w->in[f] = 0;
        }
        w->b--;
    }
}

/* n decisions at a place, each with derivatives d. */
static void add(struct variances *w, const struct place *at, double n, const double *d)
{
    for (int f = 0; f < FIGURES; f++) {
        w->sampling[f] += n * at->p * (1 - at->p) * d[f] * d[f];
        w->in[f] += n * (1 - at->share) * d[f];
        w->next[f] += n * at->share * d[f];
    }
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

/* Derivatives of the figures that depend on the flag. */
static void flag_derivatives(const struct totals *t, double flagged, double *d)
{
    const double both = t->flagged + t->positives;
    d[PRECISION] = flagged / t->flagged;
    d[RECALL] = (flagged - t->tp / t->positives) / t->positives;
    d[F1] = 2 * (flagged - t->tp / both) / both;
}

static void derive(const struct calib *c, const struct calib_cell *v, size_t count,
                   const struct totals *t, struct variances *w)
{
    const double negatives_all = t->n - t->positives;
    const double auc = t->auc / (t->positives * negatives_all);
    const double ap = t->ap / t->positives;
    double n = 0;
    double above = 0;
    double ranks = 0;
    *w = (struct variances){.c = c, .b = c->count - 1};
    for (size_t i = count; i-- > 0;) {
        if (!(v[i].n > 0)) {
            continue;
        }
        const struct place at = place_below(c, w->b, v[i].score);
        const double positives = v[i].n * at.p;
        const double negatives = v[i].n - positives;
        const double below = negatives_all - (n - above) - negatives;
        double d[FIGURES] = {[POSITIVES] = 1};
        n += v[i].n;
        d[AUC] = (below + negatives / 2 - above - positives / 2) / (t->positives * negatives_all) -
                 auc * (1 / t->positives - 1 / negatives_all);
        above += positives;
        d[AP] = (above / n + t->ranks - ranks - ap) / t->positives;
        ranks += positives / n;
        move_to(w, at.b);
        flag_derivatives(t, 1, d);
        add(w, &at, v[i].flagged, d);
        flag_derivatives(t, 0, d);
        add(w, &at, v[i].n - v[i].flagged, d);
    }
    move_to(w, 0);
    block_done(w, 1, w->next);
    block_done(w, 0, w->in);
}

static struct calib_figure figure(const struct variances *w, int f, double value)
{
    struct calib_figure x = {.value = value, .lo = value, .hi = value};
    if (!isfinite(value)) {
        x.value = x.lo = x.hi = x.sampling_sd = x.calibration_sd = (double)NAN;
        return x;
    }
    x.sampling_sd = sqrt(w->sampling[f]);
    x.calibration_sd = sqrt(w->map[f]);
    const double half = CALIB_Z * sqrt(w->sampling[f] + w->map[f]);
    if (f == POSITIVES) {
        x.lo = fmax(0, value - half);
        x.hi = value + half;
    } else if (value > 0 && value < 1) {
        const double spread = exp(half / (value * (1 - value)));
        x.lo = 1 / (1 + (1 / value - 1) * spread);
        x.hi = 1 / (1 + (1 / value - 1) / spread);
    } else {
        x.lo = fmax(0, value - half);
        x.hi = fmin(1, value + half);
    }
    return x;
}

void calib_estimate(const struct calib *c, const struct calib_cell *v, size_t count,
                    struct calib_estimate *out)
{
    struct totals t = {0};
    struct variances w = {0};
    if (c->count > 0) {
        t = totals_of(c, v, count);
    }
    if (t.n > 0) {
        derive(c, v, count, &t, &w);
    }
    *out = (struct calib_estimate){.n = t.n,
                                   .flagged = t.flagged,
                                   .tp = t.tp,
                                   .fp = t.flagged - t.tp,
                                   .fn = t.positives - t.tp,
                                   .tn = t.n - t.positives - t.flagged + t.tp};
    const double none = (double)NAN;
    const double pairs = t.positives * (t.n - t.positives);
    out->precision = figure(&w, PRECISION, ratio(t.tp, t.flagged));
    out->recall = figure(&w, RECALL, ratio(t.tp, t.positives));
    out->f1 = figure(&w, F1, ratio(2 * t.tp, t.flagged + t.positives));
    out->roc_auc = figure(&w, AUC, ratio(t.auc, pairs));
    out->average_precision = figure(&w, AP, ratio(t.ap, t.positives));
    out->positives = figure(&w, POSITIVES, t.n > 0 ? t.positives : none);
}
