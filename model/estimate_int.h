/* Figures to expect without labels, and the alarm when those that labels will give are others.
 * Private to model/. */
#ifndef MODEL_ESTIMATE_INT_H
#define MODEL_ESTIMATE_INT_H

#include "engines/calib/calib.h"
#include "model/late_int.h"
#include "model/quality_int.h"

#define MODEL_LEARN_FRAUDS_MIN 30 /* of fewer known frauds nothing is learnt */

struct model_estimate {
    struct calib_estimate figures; /* of the decisions with a score; NaN: nothing was learnt */
    struct model_bin bins[MODEL_BINS];
    struct model_quality now;        /* as labels stand */
    bool flags_known;                /* else the best scores stand for the predicted positives */
    int32_t learnt_from, learnt_to;  /* decision days; from > to: none is old enough */
    bool learnt_mature;              /* their labels are complete */
    bool learnt_version, learnt_dim; /* from the asked version and segment alone, not from all */
    uint64_t learnt_n, learnt_frauds;
    double learnt_share; /* of the frauds expected to be known; the others are allowed for */
};

/* A corrected figure against the estimate, in deviations of their difference (logit scale). */
struct model_leave {
    struct model_figure corrected;
    double z; /* NaN: cannot be told */
    bool leaves;
};

struct model_concept {
    bool judged, drift;
    struct model_leave recall, precision;
};

/* What is published: expected figures of the newest decision day, and whether the labels of the
 * days before tell of concept drift. */
struct model_watch {
    int64_t at_ns; /* when it was computed */
    bool valid;
    struct model_estimate today;
    bool judged, drift; /* concept, of two days or of a week */
};

#endif
