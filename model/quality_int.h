/* Quality figures from merged base statistics and the positives known as of some time. Private. */
#ifndef MODEL_QUALITY_INT_H
#define MODEL_QUALITY_INT_H

#include "model/cohort_int.h"

#define MODEL_Z 1.959963984540054 /* 97.5 % quantile of the normal distribution */

/* A decision whose truth is fraud. */
struct model_positive {
    double score; /* NaN: none */
    int64_t amount_centavos;
    bool predicted;
};

struct model_quality_in {
    struct model_base base;
    uint64_t predicted; /* decisions that count as predicted fraud */
    i128 predicted_amount;
    uint32_t coarse; /* of the cells */
    bool exact;      /* scores are in the list, else in the cells */
    uint64_t scores_count;
    double scores[MODEL_EXACT_MAX];
    struct model_cell cells[MODEL_CELLS];
    i128 money[MODEL_MONEY_CELLS];    /* centavos by score; not of a segment */
    struct model_positive *positives; /* sorted by model_quality_sort; borrows */
    size_t positives_count;
    uint64_t judged_positive; /* predicted positives with a determined truth (fraud or legit) */
    uint64_t judged_legit;    /* truth legit, any verdict */
};

/* NaN = not defined. lo..hi is a 95 % interval. */
struct model_figure {
    double value, lo, hi;
};

struct model_quality {
    uint64_t n, tp, fp, fn, tn, unverified;
    uint64_t n_scored; /* of n: what AUC, average precision, Brier, log-loss and ECE are of */
    bool damaged;      /* counts contradict each other: nothing is defined */
    i128 amount_caught, amount_missed, amount_false_alarm; /* centavos */
    struct model_figure precision, recall, specificity;    /* Wilson */
    struct model_figure precision_judged; /* Wilson; of predicted positives with a verdict */
    uint64_t judged;                      /* how many those are */
    struct model_figure f1;               /* Wilson on tp/(tp+fp+fn), mapped */
    struct model_figure f2, f05, mcc, balanced_accuracy; /* delta method on the four counts */
    struct model_figure roc_auc;                         /* DeLong, widened by the bound */
    double auc_lo, auc_hi;                 /* encloses the exact figure: ties inside cells */
    struct model_figure average_precision; /* logit interval, widened by the bound */
    double ap_lo, ap_hi;
    struct model_figure brier, log_loss;         /* normal, per-event variance */
    struct model_figure ece_width10, ece_mass10; /* delta method on the bins' rates */
    /* Share of frauds among the 100 best scores, and how often that of the best hundredth (rounded
     * down) is the share of all; Wilson on the best. Not defined with fewer decisions. Scores that
     * are equal at the edge count in proportion. */
    struct model_figure precision_at_100, lift_at_1pct;
    double precision_floor, precision_ceiling; /* blocked but not verified: legit or fraud */
};

/* Decisions of one tenth of the scores: how many, sum of their scores, frauds. */
#define MODEL_BINS 10
struct model_bin {
    double n, score, positives;
};
void model_quality_bins(const struct model_quality_in *in, struct model_bin out[MODEL_BINS]);

void model_wilson(uint64_t hits, uint64_t n, struct model_figure *out);
/* A score into the list, when in->exact, or into the cells. */
void model_quality_put_score(struct model_quality_in *in, double score);
/* Sorts scores and positives, best first; positives without a score last. */
void model_quality_sort(struct model_quality_in *in);
void model_quality_compute(const struct model_quality_in *in, struct model_quality *out);

#endif
