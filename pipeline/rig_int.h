/* A river in miniature for the tests: records go through their encoded form to N shards, then
 * ticks. Included by tests only; every function is static, so that each test program uses what it
 * needs. */
#ifndef PIPELINE_RIG_INT_H
#define PIPELINE_RIG_INT_H

#include "base/rng.h"
#include "base/test.h"
#include "codec/expo.h"
#include "pipeline/pipeline_int.h"

#include <stdio.h>
#include <stdlib.h>

#define RIG_SHARDS_MAX 8
#define RIG_UNUSED     __attribute__((unused))
/* 2026-11-23T12:00:00Z */
#define RIG_T0 1795435200000000000LL

struct rig {
    struct mem *mem;
    struct arena arena;
    struct pipeline_config config;
    struct pipeline *p;
    struct pillar pillar;
    uint32_t n;
    void *states[RIG_SHARDS_MAX];
    struct buf batch;
    bool names_done;
    struct record_reader *reader;
};

RIG_UNUSED static bool rig_shards(struct rig *g, uint32_t n, struct err *e)
{
    if (!pipeline_new(&g->config, g->mem, &g->p, e)) {
        return false;
    }
    g->pillar = pipeline_pillar(g->p);
    g->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        g->states[i] = g->pillar.shard_new(g->p, i, n, g->mem, e);
        if (!g->states[i]) {
            return false;
        }
        g->n++;
    }
    return true;
}

RIG_UNUSED static void rig_shards_free(struct rig *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        g->pillar.shard_free(g->states[i]);
    }
    g->n = 0;
    pipeline_free(g->p);
    g->p = NULL;
}

RIG_UNUSED static bool rig_init(struct rig *g, struct mem *m, uint32_t n, struct err *e)
{
    *g = (struct rig){.mem = m};
    arena_init(&g->arena, m, 1 << 20);
    buf_init(&g->batch, m, 64 << 20);
    g->reader = mem_take(m, sizeof *g->reader);
    return g->reader && pipeline_config_read(NULL, &g->arena, &g->config, e) && rig_shards(g, n, e);
}

RIG_UNUSED static void rig_release(struct rig *g)
{
    rig_shards_free(g);
    mem_give(g->mem, g->reader, sizeof *g->reader);
    buf_release(&g->batch);
    arena_release(&g->arena);
}

RIG_UNUSED static struct e2e rig_id(uint64_t number)
{
    char text[40];
    snprintf(text, sizeof text, "E00416968202611231200%011llu", (unsigned long long)number);
    struct e2e id;
    memcpy(id.c, text, E2E_BYTES);
    return id;
}

/* Names 0..count-1 are the configured stages, then "mystery", then "total". */
RIG_UNUSED static void rig_names(struct rig *g)
{
    if (!g->names_done) {
        for (uint32_t i = 0; i < g->config.stages.count; i++) {
            record_put_name(&g->batch, g->config.stages.v[i]);
        }
        record_put_name(&g->batch, STR("mystery"));
        record_put_name(&g->batch, STR("total"));
        g->names_done = true;
    }
}

RIG_UNUSED static struct stage_event rig_event(uint64_t number, uint32_t position,
                                               enum stage_outcome outcome, int64_t end_ns)
{
    return (struct stage_event){
        .id = rig_id(number),
        .stage_name = (uint16_t)(position - 1),
        .outcome = outcome,
        .attempt = 1,
        .start_ns = end_ns - 10 * NS_PER_MS,
        .end_ns = end_ns,
        .queue_ns = 1 * NS_PER_MS,
        .work_ns = 9 * NS_PER_MS,
        .amount_centavos = AMOUNT_NONE,
        .partition = -1,
    };
}

RIG_UNUSED static struct decision rig_decision(uint64_t number, enum verdict v, int64_t t_ns)
{
    return (struct decision){
        .id = rig_id(number),
        .t_ns = t_ns,
        .score = 0.5,
        .threshold = 0.7,
        .verdict = v,
        .form = FORM_DICT,
        .amount_centavos = AMOUNT_NONE,
        .hold_deadline_ns = T_NS_NONE,
    };
}

RIG_UNUSED static void rig_stage(struct rig *g, const struct stage_event *s)
{
    rig_names(g);
    record_put_stage(&g->batch, s);
}

RIG_UNUSED static void rig_decide(struct rig *g, const struct decision *d)
{
    rig_names(g);
    record_put_decision(&g->batch, d);
}

RIG_UNUSED static void rig_put(struct rig *g, uint64_t number, uint32_t position,
                               enum stage_outcome outcome, int64_t end_ns)
{
    struct stage_event s = rig_event(number, position, outcome, end_ns);
    rig_stage(g, &s);
}

/* Applies what was put since the last flush; false when the batch could not be built. */
RIG_UNUSED static bool rig_flush(struct rig *g)
{
    if (!buf_ok(&g->batch, NULL)) {
        buf_reset(&g->batch);
        g->names_done = false;
        return false;
    }
    for (uint32_t i = 0; i < g->n; i++) {
        record_reader_init(g->reader, buf_str(&g->batch), i, g->n);
        g->pillar.batch_begin(g->states[i], g->reader);
        struct record rec;
        struct err e = {.code = ERR_NONE};
        while (record_next(g->reader, &rec, &e)) {
            g->pillar.apply(g->states[i], &rec, g->reader);
        }
        assert_int_equal(e.code, ERR_NONE);
    }
    buf_reset(&g->batch);
    g->names_done = false;
    return true;
}

RIG_UNUSED static void rig_tick(struct rig *g, int64_t now_ns)
{
    rig_flush(g);
    g->pillar.tick(g->p, g->states, g->n, now_ns);
    for (uint32_t i = 0; FAROL_SLOW_ASSERTS && i < g->n; i++) {
        pipeline_ledger_check(&((struct pipeline_shard *)g->states[i])->ledger);
    }
}

/* Silence until event time has passed every window: what is not lost now never will be. */
RIG_UNUSED static void rig_silence(struct rig *g, int64_t from_ns, int64_t ns)
{
    rig_tick(g, from_ns);
    rig_tick(g, from_ns + ns);
}

RIG_UNUSED static struct pipeline_total rig_total(const struct rig *g)
{
    struct pipeline_total t;
    pipeline_total_of(g->p, g->states, g->n, &t);
    return t;
}

RIG_UNUSED static uint64_t rig_lost_now(const struct rig *g)
{
    struct pipeline_total t = rig_total(g);
    return pipeline_ledger_lost_now(&t.ledger);
}

/* kill -9: everything but the saved bytes is gone. */
RIG_UNUSED static bool rig_restart(struct rig *g, uint32_t n, struct err *e)
{
    struct buf saved;
    buf_init(&saved, g->mem, 256 << 20);
    g->pillar.save(g->p, g->states, g->n, &saved);
    bool ok = buf_ok(&saved, e);
    if (ok) {
        rig_shards_free(g);
        ok = rig_shards(g, n, e) && g->pillar.load(g->p, g->states, g->n, buf_str(&saved), e);
    }
    buf_release(&saved);
    return ok;
}

/* Value of a series; -1 when it is absent. */
RIG_UNUSED static double rig_series(struct rig *g, const char *family, const char *l1,
                                    const char *v1, const char *l2, const char *v2)
{
    struct arena a;
    arena_init(&a, g->mem, 16 << 20);
    struct expo x;
    expo_init(&x, &a, 0);
    g->pillar.publish(g->p, g->states, g->n, RIG_T0, &x);
    assert_false(x.failed);
    struct label l[2] = {{str_from_c(l1), str_from_c(v1)}, {str_from_c(l2), str_from_c(v2)}};
    const struct expo_sample *s = expo_find(&x, str_from_c(family), l, l2 ? 2 : l1 ? 1 : 0);
    double v = s ? s->value : -1;
    arena_release(&a);
    return v;
}

#endif
