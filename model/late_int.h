/* Figures corrected for labels that have not come yet. Private to model/. */
#ifndef MODEL_LATE_INT_H
#define MODEL_LATE_INT_H

#include "flow/record.h"
#include "model/quality_int.h"

/* What a question's decisions will look like when all labels are in. Figures are NaN while less
 * than one fraud in fifty is expected to be known (always on the decision day itself). */
struct model_late {
    struct model_figure precision, recall;  /* 95 %, on the logit scale */
    struct model_figure frauds, missed_brl; /* in all; R$ of those that were let through */
    /* Share of frauds expected to be known: [0] let through, [1] predicted; NaN: none known. */
    double expected[2], expected_all;
    /* T_NS_NONE, or sources are silent for longer than they ever are: their labels are taken to
     * end here (the earliest), so that silence is not read as "no more frauds". */
    int64_t frozen_ns;
    bool frozen[LABEL_SOURCES];
};

/* Everything not known. */
void model_late_none(struct model_late *out);

#endif
