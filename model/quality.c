/* Quality figures of one cohort, or of several merged.
 *
 * Everything is derived from integers: base sums of all decisions, score cells, and the list of
 * positives (decisions known to be fraud) with their exact scores. What is not known to be fraud
 * counts as genuine; predicted positives without a verdict are shown apart, because a blocked
 * payment never brings a MED.
 *
 * Exact: counts, money, Brier, log-loss, ECE with equal widths (tenths are cell edges). From
 * cells: ROC AUC, average precision, ECE with equal masses; the first two come with bounds that
 * enclose the exact figure whatever the order inside a cell.
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

static int by_score(const void *a, const void *b)
{
    const struct model_positive *x = a;
    const struct model_positive *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

void model_quality_sort(struct model_positive *p, size_t n)
{
    if (n > 1) {
        qsort(p, n, sizeof *p, by_score);
    }
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

/* ---- ranking: one walk over the cells, best score first ---- */

struct walk {
    double pos, neg;               /* totals */
    double tp, fp;                 /* before the cell */
    double auc, auc_lo, auc_hi;    /* sums of pairs */
    double v10, v10_2, v01, v01_2; /* DeLong: placement values and squares */
    double ap, ap_lo, ap_hi;
};

/* Negatives of a cell that rank before a positive of score s, when they lie evenly in the cell's
 * width. */
static double before(double s, double lo, double hi, double negatives)
{
    if (!isfinite(lo) || !isfinite(hi)) {
        return negatives / 2;
    }
    double p = model_score_clip(s);
    double share = (hi - (log(p) - log1p(-p))) / (hi - lo);
    return negatives * fmin(1, fmax(0, share));
}

static void walk_cell_positives(struct walk *w, const struct model_positive *p, size_t n,
                                uint32_t cell, double negatives, bool tied)
{
    double below = w->neg - w->fp - negatives; /* negatives ranked after the cell */
    double lo = 0;
    double hi = 0;
    if (!tied) {
        model_cell_bounds(cell, &lo, &hi);
    }
    for (size_t i = 0; i < n;) {
        size_t same = i + 1;
        while (same < n && (tied || !(p[same].score < p[i].score))) {
            same++;
        }
        double tp = w->tp + (double)same;
        double k = (double)(same - i);
        double mid = tied ? negatives : before(p[i].score, lo, hi, negatives);
        w->auc += k * (tied ? below + negatives / 2 : below + negatives - mid);
        w->ap += k * tp / (tp + w->fp + mid);
        w->ap_lo += k * tp / (tp + w->fp + negatives);
        w->ap_hi += k * tp / (tp + w->fp + (tied ? negatives : 0));
        i = same;
    }
}

static void walk_cell(struct walk *w, const struct model_positive *p, size_t n, uint32_t cell,
                      double negatives, bool tied)
{
    double k = (double)n;
    double below = w->neg - w->fp - negatives;
    double v10 = (below + negatives / 2) / w->neg;
    double v01 = (w->tp + k / 2) / w->pos;
    w->auc_lo += k * (below + (tied ? negatives / 2 : 0));
    w->auc_hi += k * (below + (tied ? negatives / 2 : negatives));
    w->v10 += k * v10;
    w->v10_2 += k * v10 * v10;
    w->v01 += negatives * v01;
    w->v01_2 += negatives * v01 * v01;
    walk_cell_positives(w, p, n, cell, negatives, tied);
    w->tp += k;
    w->fp += negatives;
}

static void ranking(const struct model_quality_in *in, struct model_quality *q)
{
    struct walk w = {.pos = (double)in->positives_count,
                     .neg = (double)(q->n - in->positives_count)};
    size_t at = 0;
    for (uint32_t c = MODEL_CELLS; c-- > 0;) {
        size_t end = at;
        while (end < in->positives_count && model_score_cell(in->positives[end].score) == c) {
            end++;
        }
        const struct model_cell *cell = &in->cells[c];
        double negatives = (double)cell->n - (double)(end - at);
        if (cell->n > 0 || end > at) {
            walk_cell(&w, end > at ? in->positives + at : NULL, end - at, c, fmax(0, negatives),
                      cell->tag != MODEL_TAG_MIXED);
        }
        at = end;
    }
    if (in->positives_count == 0 || w.neg <= 0) {
        return;
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
    double spread = MODEL_Z / sqrt(w.pos * fmax(1e-12, ap * (1 - ap)));
    q->average_precision =
        (struct model_figure){ap, 1 / (1 + (1 / fmax(1e-12, q->ap_lo) - 1) * exp(spread)),
                              1 / (1 + (1 / fmax(1e-12, q->ap_hi) - 1) * exp(-spread))};
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
    q->brier = mean_of(brier, MODEL_FIX, brier_sq, MODEL_FIX_SQ, q->n);
    q->log_loss = mean_of(nll, MODEL_FIX, nll_sq, MODEL_FIX_SQ, q->n);
}

struct bin {
    double n, score, positives;
};

static struct model_figure ece_of(const struct bin *bins, double n)
{
    double ece = 0;
    double var = 0;
    for (int i = 0; i < 10; i++) {
        const struct bin *b = &bins[i];
        if (b->n > 0) {
            double rate = fmin(1, b->positives / b->n);
            ece += fabs(b->score - b->positives) / n;
            var += b->n * rate * (1 - rate) / (n * n);
        }
    }
    double half = MODEL_Z * sqrt(var);
    return (struct model_figure){ece, fmax(0, ece - half), fmin(1, ece + half)};
}

/* One cell on its way into the bins: its decisions, sum of scores, and positives (best first). */
struct part {
    double n, score;
    const struct model_positive *p;
    size_t positives;
    uint32_t cell;
    bool tied;
};

/* How many positives are among the lowest `share` of the cell: by their exact scores, when
 * decisions lie evenly in the cell's width; in proportion, when all are tied or the cell has no
 * end. */
static double positives_below(const struct part *c, double share)
{
    double lo = 0;
    double hi = 0;
    double below = 0;
    if (c->positives == 0 || share >= 1) {
        return (double)c->positives;
    }
    model_cell_bounds(c->cell, &lo, &hi);
    if (c->tied || !isfinite(lo) || !isfinite(hi)) {
        return (double)c->positives * share;
    }
    for (size_t i = 0; i < c->positives; i++) {
        below += 1 - before(c->p[i].score, lo, hi, 1) < share;
    }
    return below;
}

/* Spreads one cell over the bins of equal mass, in order of score: bin i holds
 * numpy.array_split's count. A cell that straddles an edge gives each side its share. */
static void mass_cell(struct bin *bins, int *at, const double *room_of, const struct part *c)
{
    double done = 0;
    while (c->n - done > 0.5 && *at < 10) {
        struct bin *b = &bins[*at];
        double take = fmin(c->n - done, room_of[*at] - b->n);
        b->n += take;
        b->score += c->score * take / c->n;
        b->positives += positives_below(c, (done + take) / c->n) -
                        (done > 0 ? positives_below(c, done / c->n) : 0);
        done += take;
        if (b->n >= room_of[*at]) {
            (*at)++;
        }
    }
}

static void calibration(const struct model_quality_in *in, struct model_quality *q)
{
    struct bin width[10] = {0};
    struct bin mass[10] = {0};
    double room_of[10];
    for (uint64_t i = 0; i < 10; i++) {
        room_of[i] = (double)(q->n / 10 + (i < q->n % 10));
    }
    int at = 0;
    while (at < 10 && room_of[at] <= 0) {
        at++;
    }
    uint32_t tenth = 0;
    uint32_t tenth_end = model_score_cell(0.1);
    size_t next = in->positives_count; /* positives are best first; cells go upwards */
    for (uint32_t c = 0; c < MODEL_CELLS; c++) {
        struct part part = {.cell = c, .n = (double)in->cells[c].n};
        while (tenth < 9 && c >= tenth_end) {
            tenth++;
            tenth_end = model_score_cell(tenth < 9 ? (tenth + 1) / 10.0 : 1.0);
        }
        while (next > 0 && model_score_cell(in->positives[next - 1].score) == c) {
            next--;
            part.p = &in->positives[next];
            part.positives++;
        }
        if (in->cells[c].n == 0) {
            continue;
        }
        part.tied = in->cells[c].tag != MODEL_TAG_MIXED;
        part.score = (double)in->cells[c].sum / MODEL_CELL_FIX;
        width[tenth].n += part.n;
        width[tenth].score += part.score;
        width[tenth].positives += (double)part.positives;
        mass_cell(mass, &at, room_of, &part);
    }
    q->ece_width10 = ece_of(width, (double)q->n);
    q->ece_mass10 = ece_of(mass, (double)q->n);
}

static void all_undefined(struct model_quality *q)
{
    q->precision = q->recall = q->specificity = q->f1 = q->f2 = q->f05 = undefined;
    q->precision_judged = q->mcc = q->balanced_accuracy = q->roc_auc = q->average_precision =
        undefined;
    q->brier = q->log_loss = q->ece_width10 = q->ece_mass10 = undefined;
    q->auc_lo = q->auc_hi = q->ap_lo = q->ap_hi = (double)NAN;
    q->precision_floor = q->precision_ceiling = (double)NAN;
}

void model_quality_compute(const struct model_quality_in *in, struct model_quality *q)
{
    *q = (struct model_quality){.n = in->base.n};
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
        in->judged_positive > in->predicted || in->predicted > q->n) {
        /* Labels of decisions that no cohort has: a checkpoint was damaged. Say nothing, not
         * nonsense. */
        *q = (struct model_quality){.n = q->n, .damaged = true};
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
    if (q->n > 0) {
        losses(in, q);
        calibration(in, q);
    }
}
