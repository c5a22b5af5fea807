/* Drift: has a feature, anywhere, left the distribution that the model was built for?
 *
 * Per feature (numeric, categorical, boolean; the score, the model version and the verdict are
 * features too: fraud.score, fraud.model_version, fraud.decision) x segment (all decisions, and
 * each value of a declared dimension) the module counts cells of an hour, adds closed hours to
 * their day and compares a closed day (all segments) or hour (all decisions) with a frozen
 * reference: distances, exact rules (missing, default, new, out of range, another type, change of
 * unit, constant, absent) and one decision per window over all tests together (over-dispersion of
 * the reference's own days, minimum effect, Benjamini-Hochberg).
 *
 * Counts are integers per cell: order and split of events do not matter, and N shards give the
 * bits of one stream (while no bound of names is hit). Windows close by event time: the
 * watermark, not the clock.
 *
 * struct drift is shared and changes at rest only; struct drift_shard is its shard's thread's. */
#ifndef MODEL_DRIFT_DRIFT_H
#define MODEL_DRIFT_DRIFT_H

#include "base/mem.h"
#include "codec/conf.h"
#include "codec/expo.h"
#include "flow/record.h"

#define DRIFT_DIMS_MAX RECORD_DIMS_MAX

/* The mapping under `model.drift`. */
struct drift_config {
    bool enabled, hours;
    int64_t reference_days; /* complete days that make the reference, from the first on */
    struct str reference_from, reference_to; /* dates; both or none: that range instead */
    int64_t segments_max, categories_max;    /* per shard and in all; of one feature */
    int64_t grace_ms;                        /* a window closes so long after its end */
    int64_t retention_days;                  /* results of closed days that are kept */
    double effect_min; /* KS, or total variation, below which nothing counts */
    double q_max;      /* false discovery rate of a window */
};
extern const struct conf_field drift_fields[];
extern const size_t drift_fields_count;

/* section NULL: all defaults. Checks dates too; strings borrow a. */
MUST_USE bool drift_config_read(const struct yaml_node *section, struct arena *a,
                                struct drift_config *out, struct err *e);

/* What the pillar lends; all borrowed until drift_free. */
struct drift_setup {
    const struct drift_config *config;
    struct conf_strs dims; /* names of segment dimensions */
    uint32_t features_max;
    /* The number that stands for "no value" of a feature, NaN = none. */
    double (*fallback)(const void *ctx, struct str feature);
    const void *ctx;
};

struct drift;
struct drift_shard;

MUST_USE bool drift_new(const struct drift_setup *setup, struct mem *m, struct drift **out,
                        struct err *e);
void drift_free(struct drift *d); /* NULL does nothing */
/* d is borrowed and outlives the shard. NULL without memory. */
struct drift_shard *drift_shard_new(const struct drift *d, struct mem *m);
void drift_shard_free(struct drift_shard *s); /* NULL does nothing */

/* Hot path. Names of a batch change from batch to batch. dims: small stable numbers of the
 * decision's segment values (0 and 1: in no segment), so that text is looked at once. What has
 * no room is counted. */
void drift_batch_begin(struct drift_shard *s);
void drift_add(struct drift_shard *s, const struct record_reader *r, const struct decision *x,
               const uint16_t *dims);

/* All below: at rest. Closes what the watermark has passed. */
void drift_tick(struct drift *d, struct drift_shard *const *shards, uint32_t n,
                int64_t watermark_ns);

/* What GET /farol/v1/model/drift asks; strings borrow the request. */
struct drift_query {
    int32_t day_from, day_to; /* both included; INT32_MIN, MAX: no bound */
    struct str feature;       /* empty: all */
    struct str segment;       /* "dimension:value"; empty: all decisions; "*": every one */
    bool hours;
};
/* Parameters as text, empty = not given; ERR_INPUT names the parameter. */
MUST_USE bool drift_query_parse(struct str from, struct str to, struct str feature,
                                struct str segment, struct str window, struct drift_query *out,
                                struct err *e);
/* One JSON object; out->failed when it did not fit. */
void drift_json(const struct drift *d, const struct drift_query *q, struct buf *out);
/* Series of the newest closed day. */
void drift_publish(const struct drift *d, struct drift_shard *const *shards, uint32_t n,
                   struct expo *x);

/* Part of a checkpoint: open hours of all shards, open days, reference, results. Does not depend
 * on n. drift_load validates, and after a failure everything is empty. false in drift_save:
 * no memory (out->failed says the rest). */
MUST_USE bool drift_save(struct drift *d, struct drift_shard *const *shards, uint32_t n,
                         struct buf *out);
MUST_USE bool drift_load(struct drift *d, struct drift_shard *const *shards, uint32_t n,
                         struct rd *r, struct err *e);
/* Forgets everything. */
void drift_reset(struct drift *d, struct drift_shard *const *shards, uint32_t n);

#endif
