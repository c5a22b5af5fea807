/* The model pillar inside: state of a shard and what the shards share. Private to model/. */
#ifndef MODEL_MODEL_INT_H
#define MODEL_MODEL_INT_H

#include "codec/expo.h"
#include "model/cohort_int.h"
#include "model/estimate_int.h"
#include "model/features_int.h"
#include "model/join_int.h"
#include "model/labels_int.h"
#include "model/late_int.h"
#include "model/model.h"
#include "model/names_int.h"
#include "model/quality_int.h"

#define MODEL_SCORE_EDGES   14
#define MODEL_LATENCY_EDGES 25
#define MODEL_DELAY_EDGES   8
#define MODEL_WATERMARK_K   8
#define MODEL_FUTURE_NS     (600 * NS_PER_S)
#define MODEL_SHAS_MAX      32
#define MODEL_SHA_TEXT_MAX  64
#define MODEL_NAME_TEXT_MAX 64

extern const double model_score_edges[MODEL_SCORE_EDGES];
extern const double model_latency_edges[MODEL_LATENCY_EDGES];
extern const double model_delay_edges[MODEL_DELAY_EDGES];

/* What is published per model version. */
struct model_version {
    bool used;
    uint64_t decisions[VERDICTS][FALLBACKS][FORMS];
    uint64_t scores[MODEL_SCORE_EDGES + 1];
    i128 score_sum; /* MODEL_FIX */
    uint64_t latencies[MODEL_LATENCY_EDGES + 1];
    i128 latency_ns;
    double threshold; /* newest by event time; NaN = never given */
    int64_t threshold_ns;
    int64_t seen_slot[MODEL_COARSE_CELLS]; /* last slot in which a score fell there */
};

/* A model file seen live: model, version, digest. */
struct model_sha {
    char model[MODEL_NAME_TEXT_MAX], sha[MODEL_SHA_TEXT_MAX];
    uint8_t model_n, sha_n;
    uint16_t version;
    int64_t seen_slot;
};

/* Arrivals of 5 s. */
struct model_slot {
    int64_t slot;
    uint64_t verdicts[VERDICTS], fallback, decisions;
};

enum model_drop {
    MODEL_DROP_DUPLICATE,
    MODEL_DROP_FULL,
    MODEL_DROP_WAITING_FULL,
    MODEL_DROP_TOO_MANY,
    MODEL_DROP_EXPIRED
};
#define MODEL_DROPS 5
extern const struct str model_drop_text[MODEL_DROPS];

enum model_refusal {
    MODEL_REFUSE_DUPLICATE, /* same id, same verdict and score */
    MODEL_REFUSE_CONFLICT,  /* same id, another verdict or score: the first wins */
    MODEL_REFUSE_TOO_OLD,   /* before the retention */
    MODEL_REFUSE_MEMORY,    /* a bound or no memory: not in any cohort */
    MODEL_REFUSE_UNJOINED   /* counted in cohorts, but labels will not find it */
};
#define MODEL_REFUSALS 5
extern const struct str model_refusal_text[MODEL_REFUSALS];

/* thread: the shard's while the river flows, any while it rests. Owns everything below. */
struct model_shard {
    struct model *model; /* borrows */
    struct mem *mem;     /* borrows */
    uint32_t shard, shards;
    struct model_names names;
    struct model_cohorts cohorts;
    struct model_labels labels;
    struct model_join join;
    struct model_features features;
    struct drift_shard *drift;       /* owns */
    struct model_version **versions; /* by number of the name; owns each */
    size_t versions_cap;
    struct model_slot slots[MODEL_SLOTS];
    struct model_sha shas[MODEL_SHAS_MAX];
    uint32_t shas_count;
    int64_t times[MODEL_WATERMARK_K]; /* latest event times, unordered; T_NS_NONE = none */
    uint32_t times_min;               /* index of the earliest of them */
    int64_t now_ns, slot;             /* arrival of the batch */
    uint64_t labels_in[TRUTHS][LABEL_SOURCES];
    uint64_t judged[2][TRUTHS]; /* first and later labels as joined: [predicted positive][truth] */
    uint64_t delays[MODEL_DELAY_EDGES + 1];
    i128 delay_ns;
    uint64_t label_drops[MODEL_DROPS];
    uint64_t refusals[MODEL_REFUSALS];
    i128 brl[VERDICTS];    /* centavos */
    int64_t label_seen_ns; /* arrival of the last label; T_NS_NONE = never */
};

/* Age bands of published quality (README.md): cohorts of days_n days, read at a fixed age. */
#define MODEL_BANDS 5
struct model_band {
    int32_t day_from, day_to; /* day_from > day_to: no such days yet */
    int64_t age_ns;           /* -1: all labels so far */
    uint64_t changes;         /* of its days when it was computed */
    bool valid;
    struct model_quality q;
    int64_t late_ns; /* when it was computed */
    struct model_late late;
};
extern const struct str model_band_text[MODEL_BANDS];

/* What shards share. Written at rest only. */
struct model {
    const struct model_config *c; /* borrows, as os, log, mem */
    const struct os *os;
    struct log *log;
    struct mem *mem;
    char *dir; /* owns */
    size_t dir_bytes;
    uint64_t dims_hash;
    float log10_table[MODEL_LOG10_TABLE];
    int64_t watermark_ns; /* T_NS_NONE before the first tick with decisions */
    int32_t day_first;    /* decisions of earlier days are too old; INT32_MIN = none */
    bool ticked;
    int64_t tick_ns_first;
    struct model_run *runs; /* owns, by hour: files of the checkpoint that was loaded */
    size_t runs_cap;
    uint32_t runs_count;
    struct model_filters
        filters; /* of runs: at most half of the budget, the shards have the rest */
    /* Files on their way out: dropped from the manifest, deleted when two checkpoints do not
     * name them. */
    struct model_leaving {
        struct model_run run;
        uint32_t saves;
    } * leaving; /* owns */
    size_t leaving_cap;
    uint32_t leaving_count;
    bool sweep; /* a checkpoint was loaded: files that it does not know go at the next tick */
    uint64_t runs_lost;
    /* Usual share of nulls and defaults per feature: merge.c. */
    struct intern baseline_names;
    double *baselines; /* owns */
    size_t baselines_cap;
    struct model_band bands[MODEL_BANDS];
    struct drift *drift; /* owns */
    struct model_watch watch;
    struct model_quality_in *work;    /* owns; scratch at rest */
    struct model_quality_in *flagged; /* owns; scratch at rest: the predicted positives of work */
    struct model_positive *positives; /* owns; scratch at rest */
    size_t positives_cap;
};

/* Times that leave room for arithmetic: 1824 to 2116. Others come from broken clocks and damaged
 * files. */
#define MODEL_T_NS_SANE ((int64_t)1 << 62)
static inline bool model_time_sane(int64_t t_ns)
{
    return t_ns > -MODEL_T_NS_SANE && t_ns < MODEL_T_NS_SANE;
}
static inline bool model_day_sane(int32_t day)
{
    return day > -MODEL_T_NS_SANE / NS_PER_DAY && day < MODEL_T_NS_SANE / NS_PER_DAY - 1;
}

static inline bool model_is_positive(const struct model_config *c, enum verdict v)
{
    return (c->positive >> v & 1) != 0;
}
static inline struct model_shard *model_shard_of(void *const *states, uint32_t i)
{
    return states[i];
}

/* shard.c */
void *model_shard_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e);
void model_shard_free(void *state);
void model_shard_reset(struct model_shard *s);
struct model_version *model_version_at(struct model_shard *s, uint16_t id);
/* Adds a joined label; false when it was dropped (and counted). Used by apply and by load. */
bool model_label_join(struct model_shard *s, const struct model_row *row,
                      const struct model_waiting *w);

/* apply.c */
void model_batch_begin(void *state, const struct record_reader *r);
void model_apply(void *state, const struct record *rec, const struct record_reader *r);

/* tick.c */
void model_tick(void *app, void *const *states, uint32_t n, int64_t now_ns);
bool model_runs_add(struct model *m, const struct model_run *run);
void model_runs_sort(struct model *m);
/* A shard's part of what the filters of the manifest leave of the budget. */
size_t model_filters_share(const struct model *m, uint32_t shards);
/* At rest: when a shard had no room, the manifest gives up the oldest of its filters. */
void model_filters_balance(struct model *m, void *const *states, uint32_t n);

/* What a query means to one shard. */
struct model_filter {
    uint16_t version_from, version_to; /* numbers, both included */
    uint8_t dim;
    uint16_t value;
    int64_t as_of_ns, age_ns;
    bool none; /* nothing here has such a version or value */
};
struct model_filter model_filter_of(const struct model *m, const struct model_shard *s,
                                    const struct model_query *q);
static inline bool model_filter_takes(const struct model_filter *f, const struct model_label *l)
{
    return !f->none && l->version >= f->version_from && l->version <= f->version_to &&
           (f->dim == MODEL_ALL_DIM || l->dims[f->dim - 1] == f->value);
}
/* Until when labels of a decision day count. */
int64_t model_horizon(const struct model_filter *f, int32_t day);

/* late.c: the figures of a query when all labels will be in; now: those of model_gather. false
 * without memory. Work: all labels within 100 days of the question, and days x strata x ages. */
MUST_USE bool model_late_figures(struct model *m, void *const *states, uint32_t n,
                                 const struct model_query *q, const struct model_quality *now,
                                 struct model_late *out);
/* Until when anything is known to a question: its as-of time, or the newest decision or label. */
int64_t model_known_ns(const struct model *m, void *const *states, uint32_t n,
                       const struct model_query *q);
/* INT32_MIN when there are no decisions. */
int32_t model_day_newest(void *const *states, uint32_t n);

/* drifts.c: model/drift as a part of the pillar */
MUST_USE bool model_drift_new(struct model *m, struct err *e);
void model_drift_tick(struct model *m, void *const *states, uint32_t n);
void model_drift_publish(const struct model *m, void *const *states, uint32_t n, struct expo *x);
void model_drift_reset(struct model *m, void *const *states, uint32_t n);
void model_drift_save(struct model *m, void *const *states, uint32_t n, struct buf *out);
MUST_USE bool model_drift_load(struct model *m, void *const *states, uint32_t n, struct rd *r,
                               struct err *e);

/* gather.c: quality of what a query names, all shards merged. false without memory. */
MUST_USE bool model_gather(struct model *m, void *const *states, uint32_t n,
                           const struct model_query *q, struct model_quality *out);
/* Scores of the predicted positives among what the last model_gather was asked, into m->flagged: a
 * list or cells as in m->work. *known: false when not all are there (segments; decisions of an
 * older checkpoint or of another model.positive). false without memory. */
MUST_USE bool model_gather_flagged(struct model *m, void *const *states, uint32_t n,
                                   const struct model_query *q, bool *known);

/* All scores of a question of at most MODEL_SCORES_DAYS_MAX days, lowest first; count 0: some day
 * has too many to be kept one by one, or they are too many in all. That hangs on totals alone, not
 * on shards. false without memory. */
#define MODEL_SCORES_MAX      (1u << 18)
#define MODEL_SCORES_DAYS_MAX 1000
struct model_scores {
    struct mem *mem; /* borrows */
    double *v;       /* owns */
    size_t cap, count;
};
MUST_USE bool model_gather_scores(struct model *m, void *const *states, uint32_t n,
                                  const struct model_query *q, struct model_scores *out);
void model_scores_release(struct model_scores *s);

/* estimate.c: q's figures from scores alone. false without memory. Work: two gatherings, and late
 * figures while nothing learnt from is mature. */
MUST_USE bool model_estimate_find(struct model *m, void *const *states, uint32_t n,
                                  const struct model_query *q, struct model_estimate *out);
/* Do the figures that labels will give leave what was to be expected of q? */
MUST_USE bool model_concept_find(struct model *m, void *const *states, uint32_t n,
                                 const struct model_query *q, const struct model_estimate *expected,
                                 struct model_concept *out);
/* m->watch anew, when it is older than a minute. */
void model_watch_update(struct model *m, void *const *states, uint32_t n, int64_t now_ns);
uint64_t model_changes(void *const *states, uint32_t n, int32_t day_from, int32_t day_to);
void model_bands_update(struct model *m, void *const *states, uint32_t n, int64_t now_ns);

/* merge.c: shards' counters added up by name; arrays are of the merged names. */
struct model_merged_feature {
    uint64_t values, nulls, defaults;
    int64_t log10_sum;
    uint64_t log10_n, n, bad; /* last 60 s */
};
struct model_merged {
    struct model_names names;
    struct model_version **versions;
    size_t versions_cap;
    struct intern feature_names;
    struct model_merged_feature *features;
    size_t features_cap;
    struct mem *mem;
};
MUST_USE bool model_merge(struct model *m, void *const *states, uint32_t n, int64_t now_ns,
                          struct model_merged *out);
void model_merged_release(struct model_merged *g);
/* Share of nulls and defaults that is usual for a feature; NaN while too little was seen. */
double model_baseline(const struct model *m, struct str feature);
void model_baselines_update(struct model *m, const struct model_merged *g);
void model_baselines_release(struct model *m);
static inline struct str model_merged_name(const struct model_merged *g, uint32_t i)
{
    return i < g->feature_names.count ? intern_str(&g->feature_names, i) : STR("other");
}
/* Scores' cells used in the last 60 s. */
uint32_t model_distinct(const struct model_version *v, int64_t now_ns);
void model_slots_sum(void *const *states, uint32_t n, int64_t now_ns, struct model_slot *out);

/* publish.c, status.c, save.c, load.c */
void model_publish(void *app, void *const *states, uint32_t n, int64_t now_ns, struct expo *x);
void model_status(void *app, void *const *states, uint32_t n, int64_t now_ns, struct buf *out);
void model_save(void *app, void *const *states, uint32_t n, struct buf *out);
bool model_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e);

static inline int64_t model_slot_of(int64_t now_ns)
{
    return now_ns / MODEL_SLOT_NS;
}
/* true for a slot within the last 60 s of now. */
static inline bool model_slot_recent(int64_t slot, int64_t now_ns)
{
    int64_t now = model_slot_of(now_ns);
    return slot <= now && slot > now - MODEL_SLOTS + 1;
}

#endif
