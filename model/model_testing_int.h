/* What the tests of model/ share: a pillar with n shards, fed with records as the river would.
 * Not linked into the program. */
#ifndef MODEL_TESTING_INT_H
#define MODEL_TESTING_INT_H

#include "base/simos.h"
#include "base/test.h"
#include "model/model_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TESTING_SHARDS_MAX 8
#define TESTING_DAY0       17000 /* 2016-07-18 */
#define TESTING_HOUR_NS    (3600 * NS_PER_S)

struct testing {
    struct mem mem;
    struct mem *m;
    struct simos *simos; /* owned when own_simos */
    bool own_simos;
    const struct os *os;
    struct str segments[2];
    struct model_config c;
    struct model *model;
    struct pillar p;
    void *states[TESTING_SHARDS_MAX];
    uint32_t n;
    struct record_reader *reader;
    struct buf batch;
};

static inline void testing_config(struct testing *t)
{
    t->segments[0] = STR("channel");
    t->segments[1] = STR("form");
    t->c = (struct model_config){.segments = {t->segments, 2},
                                 .positive = 0x1e,
                                 .retention_days = 97,
                                 .mature_days = 87,
                                 .cohort_days_max = 128,
                                 .labels_max = 100000,
                                 .labels_pending_max = 10000,
                                 .join_rows_max = 400000,
                                 .join_filter_bytes = 16 << 20,
                                 .versions_max = 8,
                                 .segment_values_max = 16,
                                 .features_max = 64,
                                 .labels_silent_ms = 7200000};
}

/* false without memory; then everything was given back. */
static inline bool testing_start(struct testing *t, uint32_t shards)
{
    struct err e = {0};
    t->n = 0;
    t->reader = NULL;
    buf_init(&t->batch, t->m, 64 << 20);
    if (!model_new(&t->c, t->os, "join", NULL, t->m, &t->model, &e)) {
        t->model = NULL;
        return false;
    }
    t->p = model_pillar(t->model);
    for (; t->n < shards; t->n++) {
        t->states[t->n] = t->p.shard_new(t->p.app, t->n, shards, t->m, &e);
        if (t->states[t->n] == NULL) {
            return false;
        }
    }
    t->reader = malloc(sizeof *t->reader);
    return t->reader != NULL;
}

static inline void testing_stop(struct testing *t)
{
    while (t->n > 0) {
        t->p.shard_free(t->states[--t->n]);
    }
    model_free(t->model);
    t->model = NULL;
    buf_release(&t->batch);
    free(t->reader);
    t->reader = NULL;
}

/* A whole world of its own. */
static inline void testing_init(struct testing *t, uint32_t shards)
{
    *t = (struct testing){.own_simos = true};
    mem_init(&t->mem, 0);
    t->m = &t->mem;
    t->simos = simos_new(7);
    t->os = simos_os(t->simos);
    simos_clock_set(t->simos, ns_from_day(TESTING_DAY0 + 400));
    testing_config(t);
    assert_true(testing_start(t, shards));
}

static inline void testing_release(struct testing *t)
{
    testing_stop(t);
    assert_int_equal(t->mem.bytes, 0);
    simos_free(t->simos);
}

static inline struct e2e testing_id(int64_t t_ns, uint32_t k)
{
    struct civil c = civil_from_ns(t_ns);
    char text[64];
    struct e2e id;
    snprintf(text, sizeof text, "E12345678%04d%02u%02u%02u%02uA%010u", (int)c.year, c.month, c.day,
             c.hour, c.minute, k);
    memcpy(id.c, text, sizeof id.c);
    return id;
}

static inline struct decision testing_decision(int64_t t_ns, uint32_t k, double score,
                                               enum verdict v)
{
    return (struct decision){.id = testing_id(t_ns, k),
                             .t_ns = t_ns,
                             .score = score,
                             .threshold = 0.5,
                             .verdict = v,
                             .amount_centavos = 1000 + k,
                             .hold_deadline_ns = T_NS_NONE,
                             .model_version = STR("v1"),
                             .dims = {k % 3 == 0 ? STR("web") : STR("app"), STR("DICT")},
                             .dims_count = 2};
}

static inline struct fraud_label testing_label(int64_t decision_t_ns, uint32_t k, int64_t t_ns,
                                               enum truth truth)
{
    return (struct fraud_label){
        .id = testing_id(decision_t_ns, k), .t_ns = t_ns, .truth = truth, .source = SOURCE_ANALYST};
}

/* Applies what is in t->batch to all shards, then empties it. */
static inline void testing_apply(struct testing *t)
{
    for (uint32_t k = 0; k < t->n && !t->batch.failed; k++) {
        struct record rec;
        struct err e = {0};
        record_reader_init(t->reader, buf_str(&t->batch), k, t->n);
        t->p.batch_begin(t->states[k], t->reader);
        while (record_next(t->reader, &rec, &e)) {
            t->p.apply(t->states[k], &rec, t->reader);
        }
        assert_int_equal(e.code, ERR_NONE);
    }
    buf_reset(&t->batch);
}

static inline void testing_give_decision(struct testing *t, const struct decision *d)
{
    record_put_decision(&t->batch, d);
    testing_apply(t);
}

static inline void testing_give_label(struct testing *t, const struct fraud_label *l)
{
    record_put_label(&t->batch, l);
    testing_apply(t);
}

static inline void testing_tick(struct testing *t)
{
    t->p.tick(t->p.app, t->states, t->n, os_now_ns(t->os));
}

/* All decisions and labels: the figures. */
static inline struct model_quality testing_quality(struct testing *t, int64_t as_of_ns,
                                                   int64_t age_ns)
{
    struct model_query q = {
        .day_from = INT32_MIN, .day_to = INT32_MAX, .as_of_ns = as_of_ns, .age_ns = age_ns};
    struct model_quality out = {0};
    assert_true(model_gather(t->model, t->states, t->n, &q, &out));
    return out;
}

static inline uint64_t testing_refused(const struct testing *t, enum model_refusal r)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < t->n; k++) {
        sum += model_shard_of(t->states, k)->refusals[r];
    }
    return sum;
}

static inline uint64_t testing_dropped(const struct testing *t, enum model_drop r)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < t->n; k++) {
        sum += model_shard_of(t->states, k)->label_drops[r];
    }
    return sum;
}

#endif
