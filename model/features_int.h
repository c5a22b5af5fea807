/* Counters per feature name of a shard. Private to model/. */
#ifndef MODEL_FEATURES_INT_H
#define MODEL_FEATURES_INT_H

#include "base/intern.h"
#include "flow/record.h"
#include "model/model.h"

/* Windows: 13 slots of 5 s, of which 12 are complete: the last 60 s of arrivals. */
#define MODEL_SLOTS   13
#define MODEL_SLOT_NS (5 * NS_PER_S)
#define MODEL_LOG_FIX 0x1p20 /* fixed point of log10 */

struct model_feature_slot {
    int64_t slot, log10_sum;
    uint32_t log10_n, n, bad; /* bad: null or default */
};

struct model_feature {
    uint64_t values, nulls, defaults; /* values: not null; defaults are values too */
    double fallback;                  /* configured default, NaN = none */
    struct model_feature_slot slots[MODEL_SLOTS];
};

struct model_features {
    struct mem *mem; /* borrows */
    struct intern names;
    struct model_feature *v; /* owns; the last of features_max + 1 is "other" */
    size_t cap;
    uint32_t max;
    uint16_t map[RECORD_NAMES_MAX]; /* name of the batch + 1 -> feature + 1; 0 = not looked up */
    uint32_t map_count;
    const float *log10_table; /* borrows: model_log10_table */
};

#define MODEL_LOG10_TABLE 256
void model_log10_table(float out[MODEL_LOG10_TABLE]);
/* log10 of a positive, finite, normal x: off by at most 0.0009. */
static inline float model_log10(const float *table, double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    return (float)exponent * 0.30103f + table[bits >> 44 & (MODEL_LOG10_TABLE - 1)];
}

void model_features_init(struct model_features *f, struct mem *m, uint32_t max,
                         const float *log10_table);
void model_features_release(struct model_features *f);
void model_features_batch(struct model_features *f);
/* The number that stands for "no value" of a feature, NaN = none. */
double model_default_of(const struct model_config *c, struct str name);
/* slot: of the arrival; counted: false while old journal is replayed. */
void model_features_add(struct model_features *f, const struct model_config *c,
                        const struct record_reader *r, const struct decision *d, int64_t slot);
/* The feature of a name, made when new; index max is "other". NULL without memory. */
struct model_feature *model_feature_at(struct model_features *f, const struct model_config *c,
                                       struct str name, uint32_t *idx);
struct str model_feature_name(const struct model_features *f, uint32_t idx);

#endif
