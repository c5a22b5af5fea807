/* Quality figures of one cohort, or of several merged.
 *
 * Counts and money are of all decisions; ranking and calibration are of those with a score. What
 * is not known to be fraud counts as genuine; predicted positives without a verdict are shown
 * apart, because a blocked payment never brings a MED.
 *
 * Scores come as a list or as cells (in->exact), positives (decisions known to be fraud) always
 * with their exact scores. From a list everything is exact. From cells these are: counts, money,
 * Brier, log-loss, ECE with equal widths (tenths are cell edges); ROC AUC, average precision and
 * ECE with equal masses take decisions to lie evenly in a cell, unless all its scores are equal.
 * AUC and average precision come with bounds that enclose the exact figure whatever the order
 * inside a cell. Where equal scores straddle an edge of equal masses no order is right: each
 * side gets its share of the positives.
 *
 * Intervals (95 %): Wilson, JASA 1927, for shares; F1 is monotone in the share tp/(tp+fp+fn), so
 * its interval is Wilson's, mapped (Takahashi et al., Applied Intelligence 2022, use the same
 * share); delta method on multinomial counts for F2, F0.5, MCC, balanced accuracy; DeLong et
 * al., Biometrics 1988, for AUC, on cells; logit interval for average precision (Boyd, Eng,
 * Page, ECML 2013); normal on the per-event variance for Brier and log-loss; delta method on the
 * rates of the bins for ECE, which does not correct the bias of a sum of absolute values: with
 * few positives its lower end may be 0. */
#include "model/quality_int.h"

#include <math.h>
#include <stdlib.h>

static const struct model_figure undefined = {(double)NAN, (double)NAN, (double)NAN};

void model_wilson(uint64_t hits, uint64_t n, struct model_figure *out)
{
    if (n == 0) {
        *out = undefined;
        return;
    }
    double k = (double)n;
    double p = (double)hits / k;
    double z2 = MODEL_Z * MODEL_Z;
    double mid = (p + z2 / (2 * k)) / (1 + z2 / k);
    double half = MODEL_Z * sqrt(p * (1 - p) / k + z2 / (4 * k * k)) / (1 + z2 / k);
    *out = (struct model_figure){p, hits == 0 ? 0 : fmax(0, mid - half),
                                 hits == n ? 1 : fmin(1, mid + half)};
}

static double rank(double score)
{
    return isnan(score) ? -1 : score;
}

static int by_score(const void *a, const void *b)
{
    const double x = rank(((const struct model_positive *)a)->score);
    const double y = rank(((const struct model_positive *)b)->score);
    return (x < y) - (x > y);
}

static int best_first(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x < y) - (x > y);
}

void model_quality_put_score(struct model_quality_in *in, double score)
{
    if (in->exact) {
        ASSERT(in->scores_count < MODEL_EXACT_MAX);
        in->scores[in->scores_count++] = score;
    } else {
        struct model_event ev;
        model_event_of(score, VERDICT_APPROVE, AMOUNT_NONE, &ev);
        model_cell_merge(&in->cells[in->coarse == 0 ? ev.cell : ev.cell_coarse], 1, ev.tag,
                         ev.cell_sum);
    }
}

void model_quality_sort(struct model_quality_in *in)
{
    if (in->positives_count > 1) {
        qsort(in->positives, in->positives_count, sizeof *in->positives, by_score);
    }
    qsort(in->scores, in->scores_count, sizeof *in->scores, best_first);
}

/* ---- groups of decisions that are not told apart: equal scores, or a cell ---- */

struct group {
    double n, score;                /* decisions and the sum of their scores */
    const struct model_positive *p; /* best first */
    size_t positives;
    double lo, hi; /* logits between which the scores lie; not of a tied group */
    bool tied;     /* all scores are equal */
    uint32_t tenth;
};

struct groups {
    const struct model_quality_in *in;
    size_t positives; /* with a score */
    size_t at;        /* next score, or cells left */
    size_t p;         /* next positive */
    uint32_t tenth;   /* of the last cell */
};

static struct groups groups_of(const struct model_quality_in *in)
{
    struct groups g = {.in = in, .positives = in->positives_count, .tenth = 9};
    while (g.positives > 0 && isnan(in->positives[g.positives - 1].score)) {
        g.positives--;
    }
    g.at = in->exact ? 0 : MODEL_CELLS;
    return g;
}

static uint32_t tenth_of(double score)
{
    uint32_t tenth = (uint32_t)(score * 10);
    return tenth > 9 ? 9 : tenth;
}

/* The positives not yet grouped; NULL when there are none, as their array may be. */
static const struct model_positive *rest_of(const struct groups *it)
{
    return it->p < it->positives ? &it->in->positives[it->p] : NULL;
}

static bool next_equal(struct groups *it, struct group *out)
{
    const struct model_quality_in *in = it->in;
    double s = it->at < in->scores_count ? in->scores[it->at] : -1;
    s = it->p < it->positives ? fmax(s, in->positives[it->p].score) : s;
    if (s < 0) {
        return false;
    }
    *out = (struct group){.p = rest_of(it), .tied = true, .tenth = tenth_of(s)};
    for (; it->at < in->scores_count && !(in->scores[it->at] < s); it->at++) {
        out->n++;
    }
    for (; it->p < it->positives && !(in->positives[it->p].score < s); it->p++) {
        out->positives++;
    }
    out->score = out->n * s;
    return true;
}

/* Best score first; false at the end. */
static bool group_next(struct groups *it, struct group *out)
{
    const struct model_quality_in *in = it->in;
    if (in->exact) {
        return next_equal(it, out);
    }
    while (it->at > 0) {
        uint32_t c = (uint32_t)--it->at;
        const struct model_cell *cell = &in->cells[c];
        size_t from = it->p;
        const struct model_positive *first = rest_of(it);
        while (it->p < it->positives &&
               model_score_cell(in->positives[it->p].score, in->coarse) == c) {
            it->p++;
        }
        if (cell->n == 0 && it->p == from) {
            continue;
        }
        *out = (struct group){.n = (double)cell->n,
                              .score = (double)cell->sum / MODEL_CELL_FIX,
                              .p = first,
                              .positives = it->p - from,
                              .tied = cell->tag != MODEL_TAG_MIXED};
        model_cell_bounds(c, in->coarse, &out->lo, &out->hi);
        while (it->tenth > 0 && c < model_score_cell(it->tenth / 10.0, in->coarse)) {
            it->tenth--;
        }
        out->tenth = it->tenth;
        return true;
    }
    return false;
}

/* ---- figures of the four counts ---- */

enum { TP, FP, FN, TN, COUNTS };

static double f_beta(const double *x, double beta2)
{
    return (1 + beta2) * x[TP] / ((1 + beta2) * x[TP] + beta2 * x[FN] + x[FP]);
}
static double f2_of(const double *x)
{
    return f_beta(x, 4);
}
static double f05_of(const double *x)
{
    return f_beta(x, 0.25);
}
static double mcc_of(const double *x)
{
    double below =
        sqrt(x[TP] + x[FP]) * sqrt(x[TP] + x[FN]) * sqrt(x[TN] + x[FP]) * sqrt(x[TN] + x[FN]);
    return (x[TP] * x[TN] - x[FP] * x[FN]) / below;
}
static double balanced_of(const double *x)
{
    return (x[TP] / (x[TP] + x[FN]) + x[TN] / (x[TN] + x[FP])) / 2;
}

/* Figures are homogeneous of degree 0 in the counts, so that the multinomial variance is the sum of
 * count x gradient^2. Gradients by central differences. */
static struct model_figure delta(double (*figure)(const double *), const double *counts,
                                 double floor)
{
    double v = figure(counts);
    if (!isfinite(v)) {
        return undefined;
    }
    double var = 0;
    for (int i = 0; i < COUNTS; i++) {
        double x[COUNTS] = {counts[0], counts[1], counts[2], counts[3]};
        double h = fmin(1e-3 * fmax(1, counts[i]), counts[i] / 2);
        if (h <= 0) {
            continue;
        }
        x[i] = counts[i] + h;
        double up = figure(x);
        x[i] = counts[i] - h;
        double slope = (up - figure(x)) / (2 * h);
        var += counts[i] * slope * slope;
    }
    double half = MODEL_Z * sqrt(var);
    return (struct model_figure){v, fmax(floor, v - half), fmin(1, v + half)};
}

static void counts_figures(struct model_quality *q)
{
    const double x[COUNTS] = {(double)q->tp, (double)q->fp, (double)q->fn, (double)q->tn};
    model_wilson(q->tp, q->tp + q->fp, &q->precision);
    model_wilson(q->tp, q->tp + q->fn, &q->recall);
    model_wilson(q->tn, q->tn + q->fp, &q->specificity);
    model_wilson(q->tp, q->tp + q->fp + q->fn, &q->f1);
    q->f1.value = 2 * q->f1.value / (1 + q->f1.value); /* NaN stays NaN */
    q->f1.lo = 2 * q->f1.lo / (1 + q->f1.lo);
    q->f1.hi = 2 * q->f1.hi / (1 + q->f1.hi);
    q->f2 = delta(f2_of, x, 0);
    q->f05 = delta(f05_of, x, 0);
    q->mcc = delta(mcc_of, x, -1);
    q->balanced_accuracy = delta(balanced_of, x, 0);
}

/* ---- ranking: one walk over the groups ---- */

struct walk {
    double pos, neg;               /* totals */
    double tp, fp;                 /* before the group */
    double auc, auc_lo, auc_hi;    /* sums of pairs */
    double v10, v10_2, v01, v01_2; /* DeLong: placement values and squares */
    double ap, ap_lo, ap_hi;
};

/* Share of the group's width that lies above a score. */
static double above(double s, double lo, double hi)
{
    if (!isfinite(lo) || !isfinite(hi)) {
        return 0.5;
    }
    double p = model_score_clip(s);
    return fmin(1, fmax(0, (hi - (log(p) - log1p(-p))) / (hi - lo)));
}

static void walk_positives(struct walk *w, const struct group *g, double negatives)
{
    double below = w->neg - w->fp - negatives; /* negatives ranked after the group */
    for (size_t i = 0; i < g->positives;) {
        size_t same = i + 1;
        while (same < g->positives && (g->tied || !(g->p[same].score < g->p[i].score))) {
            same++;
        }
        double tp = w->tp + (double)same;
        double k = (double)(same - i);
        double mid = g->tied ? negatives : negatives * above(g->p[i].score, g->lo, g->hi);
        w->auc += k * (g->tied ? below + negatives / 2 : below + negatives - mid);
        w->ap += k * tp / (tp + w->fp + mid);
        w->ap_lo += k * tp / (tp + w->fp + negatives);
        w->ap_hi += k * tp / (tp + w->fp + (g->tied ? negatives : 0));
        i = same;
    }
}

static void walk_group(struct walk *w, const struct group *g)
{
    double negatives = fmax(0, g->n - (double)g->positives);
    double k = (double)g->positives;
    double below = w->neg - w->fp - negatives;
    double v10 = (below + negatives / 2) / w->neg;
    double v01 = (w->tp + k / 2) / w->pos;
    w->auc_lo += k * (below + (g->tied ? negatives / 2 : 0));
    w->auc_hi += k * (below + (g->tied ? negatives / 2 : negatives));
    w->v10 += k * v10;
    w->v10_2 += k * v10 * v10;
    w->v01 += negatives * v01;
    w->v01_2 += negatives * v01 * v01;
    walk_positives(w, g, negatives);
    w->tp += k;
    w->fp += negatives;
}

/* Logit interval around the enclosing bounds. At 0 and 1 the logit has no end: it is taken half a
 * positive away from there, and the interval still reaches the bounds. */
static struct model_figure ap_interval(double ap, double positives, double lo, double hi)
{
    double edge = 0.5 / (positives + 1);
    double near = fmin(1 - edge, fmax(edge, ap));
    double spread = MODEL_Z / sqrt(positives * near * (1 - near));
    double from = fmin(1 - edge, fmax(1e-12, lo));
    double to = fmin(1 - 1e-12, fmax(edge, hi));
    return (struct model_figure){ap, fmin(lo, 1 / (1 + (1 / from - 1) * exp(spread))),
                                 fmax(hi, 1 / (1 + (1 / to - 1) * exp(-spread)))};
}

static void ranking(const struct model_quality_in *in, struct model_quality *q)
{
    struct groups it = groups_of(in);
    struct walk w = {.pos = (double)it.positives, .neg = (double)(q->n_scored - it.positives)};
    struct group g;
    if (w.pos <= 0 || w.neg <= 0) {
        return;
    }
    while (group_next(&it, &g)) {
        walk_group(&w, &g);
    }
    double pairs = w.pos * w.neg;
    double auc = w.auc / pairs;
    q->auc_lo = w.auc_lo / pairs;
    q->auc_hi = w.auc_hi / pairs;
    double var = 0;
    if (w.pos > 1) {
        var += fmax(0, w.v10_2 - w.v10 * w.v10 / w.pos) / (w.pos - 1) / w.pos;
    }
    if (w.neg > 1) {
        var += fmax(0, w.v01_2 - w.v01 * w.v01 / w.neg) / (w.neg - 1) / w.neg;
    }
    double half = MODEL_Z * sqrt(var);
    q->roc_auc = (struct model_figure){auc, fmax(0, q->auc_lo - half), fmin(1, q->auc_hi + half)};
    double ap = w.ap / w.pos;
    q->ap_lo = w.ap_lo / w.pos;
    q->ap_hi = w.ap_hi / w.pos;
    q->average_precision = ap_interval(ap, w.pos, q->ap_lo, q->ap_hi);
}

/* ---- calibration ---- */

static struct model_figure mean_of(i128 sum, double unit, i128 sum_sq, double unit_sq, uint64_t n)
{
    double k = (double)n;
    double mean = (double)sum / unit / k;
    double var = fmax(0, (double)sum_sq / unit_sq / k - mean * mean);
    double half = MODEL_Z * sqrt(var / k);
    return (struct model_figure){mean, fmax(0, mean - half), mean + half};
}

static void losses(const struct model_quality_in *in, struct model_quality *q)
{
    i128 brier = in->base.s2;
    i128 brier_sq = in->base.s4;
    i128 nll = in->base.nll;
    i128 nll_sq = in->base.nll2;
    for (size_t i = 0; i < in->positives_count; i++) {
        if (isnan(in->positives[i].score)) {
            break; /* they are last */
        }
        struct model_event ev;
        struct model_event other; /* the same decision had its score been 1 - s */
        model_event_of(in->positives[i].score, VERDICT_APPROVE, 0, &ev);
        model_event_of(1 - in->positives[i].score, VERDICT_APPROVE, 0, &other);
        double hit = -log(ev.score_clip);
        brier += other.s2 - ev.s2;
        brier_sq += other.s4 - ev.s4;
        nll += (int64_t)(hit * MODEL_FIX + 0.5) - ev.nll;
        nll_sq += (int64_t)(hit * hit * MODEL_FIX_SQ + 0.5) - ev.nll2;
    }
    q->brier = mean_of(brier, MODEL_FIX, brier_sq, MODEL_FIX_SQ, q->n_scored);
    q->log_loss = mean_of(nll, MODEL_FIX, nll_sq, MODEL_FIX_SQ, q->n_scored);
}

static struct model_figure ece_of(const struct model_bin *bins, double n)
{
    double ece = 0;
    double var = 0;
    for (int i = 0; i < 10; i++) {
        const struct model_bin *b = &bins[i];
        if (b->n > 0) {
            double rate = fmin(1, b->positives / b->n);
            ece += fabs(b->score - b->positives) / n;
            var += b->n * rate * (1 - rate) / (n * n);
        }
    }
    double half = MODEL_Z * sqrt(var);
    return (struct model_figure){ece, fmax(0, ece - half), fmin(1, ece + half)};
}

/* How many positives are among the best `share` of the group: by their exact scores, when
 * decisions lie evenly in its width; in proportion, when all are tied or the width has no end. */
static double positives_above(const struct group *g, double share)
{
    double sum = 0;
    if (g->positives == 0 || share >= 1) {
        return (double)g->positives;
    }
    if (g->tied || !isfinite(g->lo) || !isfinite(g->hi)) {
        return (double)g->positives * share;
    }
    for (size_t i = 0; i < g->positives; i++) {
        sum += above(g->p[i].score, g->lo, g->hi) < share;
    }
    return sum;
}

/* Spreads one group over the bins of equal mass, best scores into the last bin: bin i holds
 * numpy.array_split's count. A group that straddles an edge gives each side its share. */
static void mass_group(struct model_bin *bins, int *at, const double *room_of,
                       const struct group *g)
{
    double done = 0;
    while (g->n - done > 0.5 && *at >= 0) {
        struct model_bin *b = &bins[*at];
        double take = fmin(g->n - done, room_of[*at] - b->n);
        b->n += take;
        b->score += g->score * take / g->n;
        b->positives += positives_above(g, (done + take) / g->n) -
                        (done > 0 ? positives_above(g, done / g->n) : 0);
        done += take;
        if (b->n >= room_of[*at]) {
            (*at)--;
        }
    }
}

void model_quality_bins(const struct model_quality_in *in, struct model_bin out[MODEL_BINS])
{
    memset(out, 0, MODEL_BINS * sizeof *out);
    struct groups it = groups_of(in);
    struct group g;
    while (group_next(&it, &g)) {
        struct model_bin *b = &out[g.tenth];
        b->n += g.n;
        b->score += g.score;
        b->positives += g.n > 0 ? (double)g.positives : 0;
    }
}

static void calibration(const struct model_quality_in *in, struct model_quality *q)
{
    struct model_bin width[MODEL_BINS];
    struct model_bin mass[10] = {0};
    double room_of[10];
    for (uint64_t i = 0; i < 10; i++) {
        room_of[i] = (double)(q->n_scored / 10 + (i < q->n_scored % 10));
    }
    int at = 9;
    while (at >= 0 && room_of[at] <= 0) {
        at--;
    }
    struct groups it = groups_of(in);
    struct group g;
    while (group_next(&it, &g)) {
        mass_group(mass, &at, room_of, &g);
    }
    model_quality_bins(in, width);
    q->ece_width10 = ece_of(width, (double)q->n_scored);
    q->ece_mass10 = ece_of(mass, (double)q->n_scored);
}

/* ---- the best scores ---- */

/* Share of frauds among the k best. */
static struct model_figure best_share(const struct model_quality_in *in, double k)
{
    struct groups it = groups_of(in);
    struct group g;
    double hits = 0;
    for (double taken = 0; taken < k && group_next(&it, &g);) {
        const double take = fmin(g.n, k - taken);
        hits += take > 0 ? positives_above(&g, take / g.n) : 0;
        taken += take;
    }
    struct model_figure x;
    model_wilson((uint64_t)(hits + 0.5), (uint64_t)k, &x);
    x.value = hits / k;
    return x;
}

static void best_scores(const struct model_quality_in *in, struct model_quality *q)
{
    const uint64_t hundredth = q->n_scored / 100;
    const double rate = (double)groups_of(in).positives / (double)q->n_scored;
    if (q->n_scored >= 100) {
        q->precision_at_100 = best_share(in, 100);
    }
    if (hundredth > 0 && rate > 0) {
        q->lift_at_1pct = best_share(in, (double)hundredth);
        q->lift_at_1pct.value /= rate;
        q->lift_at_1pct.lo /= rate;
        q->lift_at_1pct.hi /= rate;
    }
}

static void all_undefined(struct model_quality *q)
{
    q->precision = q->recall = q->specificity = q->f1 = q->f2 = q->f05 = undefined;
    q->precision_judged = q->mcc = q->balanced_accuracy = q->roc_auc = q->average_precision =
        undefined;
    q->brier = q->log_loss = q->ece_width10 = q->ece_mass10 = undefined;
    q->precision_at_100 = q->lift_at_1pct = undefined;
    q->auc_lo = q->auc_hi = q->ap_lo = q->ap_hi = (double)NAN;
    q->precision_floor = q->precision_ceiling = (double)NAN;
}

void model_quality_compute(const struct model_quality_in *in, struct model_quality *q)
{
    size_t scored = groups_of(in).positives;
    *q = (struct model_quality){.n = in->base.n, .n_scored = in->base.scored};
    for (size_t i = 0; i < in->positives_count; i++) {
        const struct model_positive *p = &in->positives[i];
        int64_t amount = p->amount_centavos == AMOUNT_NONE ? 0 : p->amount_centavos;
        if (p->predicted) {
            q->tp++;
            q->amount_caught += amount;
        } else {
            q->fn++;
            q->amount_missed += amount;
        }
    }
    if (q->tp > in->predicted || q->fn > q->n - in->predicted ||
        in->judged_positive > in->predicted || in->predicted > q->n || q->n_scored > q->n ||
        scored > q->n_scored) {
        /* Labels of decisions that no cohort has: a checkpoint was damaged. Say nothing, not
         * nonsense. */
        *q = (struct model_quality){.n = q->n, .n_scored = q->n_scored, .damaged = true};
        all_undefined(q);
        return;
    }
    q->fp = in->predicted - q->tp;
    q->tn = q->n - q->tp - q->fp - q->fn;
    q->amount_false_alarm = in->predicted_amount - q->amount_caught;
    q->unverified = in->predicted - in->judged_positive;
    all_undefined(q);
    counts_figures(q);
    q->judged = in->judged_positive;
    model_wilson(q->tp, q->judged, &q->precision_judged);
    q->precision_floor = q->precision.value;
    q->precision_ceiling = (double)(q->tp + q->unverified) / (double)in->predicted;
    ranking(in, q);
    if (q->n_scored > 0) {
        losses(in, q);
        calibration(in, q);
        best_scores(in, q);
    }
}
