/* Calibration of scores, and what a classifier's figures should be before any label is in.
 *
 * calib_fit turns decisions with known truth into a map from score to probability of fraud: the
 * isotonic regression (pool adjacent violators), linear between its blocks. calib_estimate reads
 * that map for decisions without truth: expected true positives are the sum of probabilities over
 * what was predicted positive, and so on (confidence-based performance estimation, CBPE). ROC AUC
 * and average precision follow from the expected counts above each score.
 *
 * Every figure has a 95 % interval of two parts: the truth of these decisions is a draw
 * (sampling), and the map was learnt from few positives (calibration).
 *
 * The estimate supposes that a score still means what it meant where the map was learnt. It sees
 * changes of who comes (covariate shift) and is blind to changes of what is fraud (concept drift).
 * A caller who shows it must say so.
 *
 * Input is cells by strictly rising score: one score, or a narrow range with its mean. Pure
 * arithmetic in the order of the cells: the same cells give the same bits. thread: any, one at a
 * time for a struct calib. */
#ifndef ENGINES_CALIB_CALIB_H
#define ENGINES_CALIB_CALIB_H

#include "base/base.h"
#include "base/mem.h"

#define CALIB_Z 1.959963984540054 /* 97.5 % quantile of the normal distribution */

/* Decisions with one score, or in one narrow cell. Numbers are >= 0 and finite. */
struct calib_cell {
    double score;     /* for a cell the mean */
    double n;         /* decisions */
    double positives; /* sum of the weights of those known to be positive; <= n (more is cut) */
    double squares;   /* sum of the squared weights: equals positives where all weights are 1 */
    double flagged;   /* of n: predicted positive; only calib_estimate reads it */
};

/* Probability p for scores from lo to hi. */
struct calib_block {
    double lo, hi, n, positives, squares, p;
};

struct calib {
    struct mem *mem;            /* borrows */
    struct calib_block *blocks; /* owns; scores and p increase */
    size_t cap, count;
    double n, positives, squares; /* of all that was learnt from */
};

void calib_init(struct calib *c, struct mem *m);
void calib_release(struct calib *c);
/* Forgets what was learnt. */
void calib_reset(struct calib *c);
/* Learns one more cell, of a higher score than all before (with n = 0 it is passed over). false
 * without memory: c is then empty. Amortised constant. */
MUST_USE bool calib_learn(struct calib *c, const struct calib_cell *x);
/* Forgets, and learns all of v. */
MUST_USE bool calib_fit(struct calib *c, const struct calib_cell *v, size_t count);
/* Probability at a score: p inside a block, on the line between two blocks, the end's p beyond the
 * ends. NaN when nothing was learnt. Logarithmic. */
double calib_at(const struct calib *c, double score);

/* NaN: not defined. lo..hi: 95 %, on the logit scale for shares. */
struct calib_figure {
    double value, lo, hi;
    double sampling_sd, calibration_sd;
};

struct calib_estimate {
    double n, flagged;
    double tp, fp, fn, tn; /* expected counts */
    struct calib_figure precision, recall, f1, roc_auc, average_precision;
    struct calib_figure positives; /* how many are fraud */
};

/* Figures to expect of decisions v, flagged as each cell says. All NaN when nothing was learnt or v
 * is empty. Linear in cells and blocks. */
void calib_estimate(const struct calib *c, const struct calib_cell *v, size_t count,
                    struct calib_estimate *out);

#endif
