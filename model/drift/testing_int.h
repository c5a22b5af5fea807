/* What the tests of model/drift share: shards fed with decisions as the pillar would. Not linked
 * into the program. */
#ifndef MODEL_DRIFT_TESTING_INT_H
#define MODEL_DRIFT_TESTING_INT_H

#include "base/rng.h"
#include "base/test.h"
#include "model/drift/drift_int.h"

#include <math.h>
#include <stdlib.h>

#define TESTING_SHARDS_MAX 4
#define TESTING_DAY0       20000
#define TESTING_FEATURES   5

struct testing {
    struct mem mem;
    struct mem *m;
    struct str dims[2];
    struct drift_config c;
    struct drift *d;
    struct drift_shard *shards[TESTING_SHARDS_MAX];
    uint32_t n;
    struct record_reader *reader; /* names only */
};

/* Of a made decision; what a test changes before it gives it. */
struct testing_event {
    int64_t t_ns;
    double score;
    struct str version, channel, form;
    struct feature f[TESTING_FEATURES];
    uint32_t count;
};

static inline double testing_fallback(const void *ctx, struct str feature)
{
    (void)ctx;
    return str_eq(feature, STR("age")) ? -1 : (double)NAN;
}

static inline bool testing_start(struct testing *t, struct mem *m, uint32_t shards)
{
    static const struct str names[TESTING_FEATURES] = {STR_INIT("amount"), STR_INIT("age"),
                                                       STR_INIT("key_type"), STR_INIT("known"),
                                                       STR_INIT("risk")};
    struct err e = {0};
    *t = (struct testing){.m = m, .dims = {STR("channel"), STR("form")}};
    t->c = (struct drift_config){.enabled = true,
                                 .hours = true,
                                 .reference_days = 5,
                                 .segments_max = 16,
                                 .categories_max = 8,
                                 .grace_ms = 600000,
                                 .retention_days = 30,
                                 .effect_min = 0.05,
                                 .q_max = 0.01};
    const struct drift_setup setup = {
        .config = &t->c, .dims = {t->dims, 2}, .features_max = 16, .fallback = testing_fallback};
    t->reader = calloc(1, sizeof *t->reader);
    assert_non_null(t->reader);
    for (uint32_t i = 0; i < TESTING_FEATURES; i++) {
        t->reader->names[i] = names[i];
    }
    t->reader->names_count = TESTING_FEATURES;
    if (!drift_new(&setup, m, &t->d, &e)) {
        t->d = NULL;
        return false;
    }
    while (t->n < shards) {
        t->shards[t->n] = drift_shard_new(t->d, m);
        if (t->shards[t->n] == NULL) {
            return false;
        }
        t->n++;
    }
    return true;
}

static inline void testing_stop(struct testing *t)
{
    while (t->n > 0) {
        drift_shard_free(t->shards[--t->n]);
    }
    drift_free(t->d);
    t->d = NULL;
    free(t->reader);
    t->reader = NULL;
}

static inline void testing_init(struct testing *t, uint32_t shards)
{
    struct mem *m = malloc(sizeof *m);
    assert_non_null(m);
    mem_init(m, 0);
    assert_true(testing_start(t, m, shards));
}

static inline void testing_release(struct testing *t)
{
    testing_stop(t);
    assert_int_equal(t->m->bytes, 0);
    free(t->m);
}

/* An event of the usual law. */
static inline struct testing_event testing_event(struct rng *r, int64_t t_ns)
{
    static const struct str keys[4] = {STR_INIT("cpf"), STR_INIT("phone"), STR_INIT("email"),
                                       STR_INIT("evp")};
    struct testing_event x = {.t_ns = t_ns,
                              .score = 1 / (1 + exp(4 - rng_normal(r))),
                              .version = STR("v1"),
                              .channel = rng_below(r, 4) == 0 ? STR("web") : STR("app"),
                              .form = rng_below(r, 2) == 0 ? STR("DICT") : STR("MANU"),
                              .count = TESTING_FEATURES};
    x.f[0] = (struct feature){0, FEATURE_NUMBER, exp(4 + rng_normal(r)), {NULL, 0}};
    x.f[1] = (struct feature){1, FEATURE_NUMBER, (double)rng_below(r, 90), {NULL, 0}};
    x.f[2] = (struct feature){2, FEATURE_CATEGORY, 0, keys[rng_below(r, 4)]};
    x.f[3] = (struct feature){3, FEATURE_BOOL, (double)(rng_below(r, 10) < 7), {NULL, 0}};
    x.f[4] = (struct feature){4, FEATURE_NUMBER, rng_normal(r) * 2, {NULL, 0}};
    return x;
}

/* Numbers of segment values as the pillar would give them: 2 and up. */
static inline void testing_give(struct testing *t, uint32_t shard, const struct testing_event *x)
{
    struct decision d = {.t_ns = x->t_ns,
                         .score = x->score,
                         .model_version = x->version,
                         .verdict = x->score > 0.1 ? VERDICT_HOLD : VERDICT_APPROVE,
                         .dims = {x->channel, x->form},
                         .dims_count = 2,
                         .features = x->f,
                         .features_count = x->count};
    const uint16_t dims[RECORD_DIMS_MAX] = {str_eq(x->channel, STR("web")) ? 2 : 3,
                                            str_eq(x->form, STR("DICT")) ? 2 : 3};
    drift_add(t->shards[shard], t->reader, &d, dims);
}

#define TESTING_EACH_DAY 1500

typedef void (*testing_change)(struct testing_event *x, struct rng *r);

/* A day of the usual law, each event changed by `change` (NULL: none); then a tick after it. */
static inline void testing_day(struct testing *t, int32_t day, uint64_t seed, testing_change change)
{
    struct rng r;
    struct rng other; /* so that a change draws without moving the rest */
    rng_init(&r, seed ^ (uint64_t)day * 7919);
    rng_init(&other, seed + 1);
    for (uint32_t k = 0; k < t->n; k++) {
        drift_batch_begin(t->shards[k]);
    }
    for (uint32_t i = 0; i < TESTING_EACH_DAY; i++) {
        int64_t t_ns = ns_from_day(day) + NS_PER_DAY / TESTING_EACH_DAY * i;
        struct testing_event x = testing_event(&r, t_ns);
        if (change != NULL) {
            change(&x, &other);
        }
        testing_give(t, i * 31 % 7 % t->n, &x);
    }
    drift_tick(t->d, t->shards, t->n, ns_from_day(day + 1) + 700 * NS_PER_S);
}

/* Reference days 0..4, nothing else. */
static inline void testing_reference(struct testing *t, uint64_t seed)
{
    for (int32_t i = 0; i < 5; i++) {
        testing_day(t, TESTING_DAY0 + i, seed, NULL);
    }
    assert_true(t->d->sealed);
}

static inline const struct drift_result *testing_result(const struct testing *t, int32_t day,
                                                        struct str feature, struct str segment)
{
    const struct drift_windows *w = &t->d->day_results;
    for (uint32_t i = 0; i < w->count; i++) {
        for (uint32_t k = 0; k < w->v[i].count && w->v[i].at == day; k++) {
            const struct drift_result *r = &w->v[i].v[k];
            if (str_eq(intern_str(&t->d->names.features, r->feature), feature) &&
                str_eq(drift_names_segment_str(&t->d->names, r->segment), segment)) {
                return r;
            }
        }
    }
    return NULL;
}

static inline uint32_t testing_flags(const struct testing *t, int32_t day)
{
    const struct drift_windows *w = &t->d->day_results;
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        for (uint32_t k = 0; k < w->v[i].count && w->v[i].at == day; k++) {
            n += w->v[i].v[k].drifted ? 1 : 0;
        }
    }
    return n;
}

#endif
