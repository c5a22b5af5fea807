/* The model pillar: how good the fraud model's decisions are, as of any age, with intervals.
 *
 * It joins labels (analysts' findings, MED outcomes, up to months late) to the decisions they
 * judge and answers for any decision day, model version and segment value: confusion counts,
 * money, ranking and calibration figures. Decisions write a day's base statistics once; labels
 * are an append-only list beside them, so that corrections, reversals and "as it was known on
 * day X" are exact by construction. It also counts features (nulls, defaults, scale), verdicts
 * and scores. No estimate is without its interval, and a figure that is not defined is null,
 * never 0.
 *
 * State is one struct per shard, touched by that shard's thread; sums are integers (fixed
 * point), so any number of shards gives the same bits. README.md tells the rest. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "codec/conf.h"
#include "flow/pillar.h"
#include "model/drift/drift.h"

#define MODEL_FEATURE_DEFAULTS_MAX 1024

struct model_default {
    struct str feature;
    double value;
};

/* Filled by model_config_read; strings borrow its arena. */
struct model_config {
    struct conf_strs segments; /* names of segment dimensions, at most RECORD_DIMS_MAX */
    struct model_default *defaults;
    uint32_t defaults_count;
    uint32_t positive; /* bit v set: enum verdict v counts as "predicted positive" */
    int64_t retention_days, mature_days;
    int64_t cohort_days_max, labels_max, labels_pending_max, join_rows_max, join_filter_bytes;
    int64_t versions_max, segment_values_max, features_max;
    int64_t labels_silent_ms; /* no label for so long while decisions flow: the feed has stopped */
    struct model_objectives {
        double precision, recall; /* 0 = no objective */
    } objectives;
    struct drift_config drift;
};

extern const struct conf_field model_fields[];
extern const size_t model_fields_count;

/* section: the mapping under `model:`, NULL for all defaults. e gets line and column. */
MUST_USE bool model_config_read(const struct yaml_node *section, struct arena *a,
                                struct model_config *out, struct err *e);

struct model;

/* c, os, log and m are borrowed until model_free. dir is the folder for join-*.run files
 * (copied); it is made when the first file is written. Bounds of c are for the whole program;
 * shards get equal parts, each at least 64. */
MUST_USE bool model_new(const struct model_config *c, const struct os *os, const char *dir,
                        struct log *log, struct mem *m, struct model **out, struct err *e);
/* The pillar's functions; app is the model. Its states need the model alive. */
struct pillar model_pillar(struct model *m);
void model_free(struct model *m); /* NULL does nothing */

#define MODEL_WORTHS 4

/* What GET /farol/v1/model/{quality,calibration,thresholds} asks. Strings borrow the request. */
struct model_query {
    int32_t day_from, day_to; /* days since 1970, both included; INT32_MIN/MAX: no bound */
    int64_t as_of_ns;         /* labels known by then; T_NS_NONE: all */
    int64_t age_ns;           /* >= 0: labels known by the end of each decision day + age */
    struct str version;       /* empty: all */
    struct str dim, value;    /* empty: all decisions */
    bool reference;           /* what to learn the meaning of scores from is said: */
    int32_t reference_from, reference_to;
    bool worth; /* R$ won per R$ of fraud caught, fraud missed, false alarm, genuine let through: */
    double worth_of[MODEL_WORTHS];
};

/* Parameters as text, empty = not given. day: YYYY-MM-DD (= from and to); as_of: RFC 3339 or a
 * date (its end); age: a duration ("3d"); segment: "channel:web". ERR_INPUT names the parameter. */
MUST_USE bool model_query_parse(struct str day, struct str from, struct str to, struct str as_of,
                                struct str age, struct str version, struct str segment,
                                struct model_query *out, struct err *e);

/* More of them, for calibration and thresholds. reference_from and reference_to: dates, both or
 * none; worth: four numbers with commas between. */
MUST_USE bool model_query_more(struct str reference_from, struct str reference_to, struct str worth,
                               struct model_query *q, struct err *e);

/* River at rest. Appends one JSON object (README.md, "quality"); out->failed when it did not
 * fit. Work: the cohorts and labels of the days asked for. */
void model_quality_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                        struct buf *out);
/* Drift of features; drift_query_parse makes q (model/drift/drift.h). */
void model_drift_json(void *app, const struct drift_query *q, struct buf *out);
/* The same for what scores mean and which figures follow from them without labels (README.md,
 * "Estimates"), and for what other thresholds would have done ("Thresholds"). */
void model_calibration_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                            struct buf *out);
void model_thresholds_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                           struct buf *out);

/* What GET /farol/v1/model/causes asks. The string borrows the request. */
enum model_causes_figure {
    MODEL_CAUSES_LOSS, /* R$ of frauds let through */
    MODEL_CAUSES_FALSE_NEGATIVES,
    MODEL_CAUSES_HOLD_RATE /* share of decisions that are predicted positive */
};
#define MODEL_CAUSES_FIGURES      3
#define MODEL_CAUSES_AGAINST_DAYS 14 /* compared with, when nothing is said */
struct model_causes_query {
    enum model_causes_figure figure;
    int32_t day_from, day_to;         /* both included; day_from INT32_MIN: the newest day */
    int32_t against_from, against_to; /* against_from INT32_MIN: the days before day_from */
    int64_t age_ns;     /* labels known by the end of each day + age; below 0: the age of day_to */
    struct str version; /* empty: all */
};

/* Parameters as text, empty = not given; the two of a range both or none, ranges do not overlap.
 * ERR_INPUT names the parameter. */
MUST_USE bool model_causes_parse(struct str figure, struct str from, struct str to,
                                 struct str against_from, struct str against_to, struct str age,
                                 struct str version, struct model_causes_query *out, struct err *e);
/* River at rest. Appends one JSON object (README.md, "Causes"); out->failed when it did not fit or
 * memory was short. Work: all cohorts, the labels of both ranges, and at most 92 passes over the
 * missed frauds per cause (engines/rootcause). */
void model_causes_json(void *app, void *const *states, uint32_t n,
                       const struct model_causes_query *q, struct buf *out);

#endif
