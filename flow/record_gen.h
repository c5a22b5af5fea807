/* Random records for tests, fuzzers' seeds and benchmarks of flow. Not part of the program. */
#ifndef FLOW_RECORD_GEN_H
#define FLOW_RECORD_GEN_H

#include "base/clock.h"
#include "base/rng.h"
#include "flow/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct record_gen {
    struct rng rng;
    char text[1 << 16]; /* what the strings of the newest record borrow */
    size_t used;
    struct feature features[RECORD_FEATURES_MAX];
    struct latency latencies[RECORD_LATENCIES_MAX];
};

static inline struct e2e record_gen_id(struct rng *rng)
{
    static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char text[64];
    struct e2e id = {{0}};
    snprintf(text, sizeof text, "E%08u2026%02u%02u%02u%02u", (unsigned)rng_below(rng, 100000000),
             (unsigned)rng_below(rng, 12) + 1, (unsigned)rng_below(rng, 28) + 1,
             (unsigned)rng_below(rng, 24), (unsigned)rng_below(rng, 60));
    memcpy(id.c, text, 21);
    for (int i = 21; i < E2E_BYTES; i++) {
        id.c[i] = set[rng_below(rng, 62)];
    }
    return id;
}

static inline struct str record_gen_str(struct record_gen *g, size_t n_max)
{
    size_t n = (size_t)rng_below(&g->rng, n_max + 1);
    if (g->used + n > sizeof g->text) {
        n = 0;
    }
    char *p = g->text + g->used;
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)rng_below(&g->rng, 256);
    }
    g->used += n;
    return (struct str){p, n};
}

static inline int64_t record_gen_t(struct rng *rng)
{
    return (int64_t)rng_below(rng, (uint64_t)RECORD_T_NS_MAX + 1);
}

static inline void record_gen_decision(struct record_gen *g, struct decision *d, uint32_t names,
                                       uint32_t features, size_t str_max)
{
    struct rng *rng = &g->rng;
    g->used = 0;
    memset(d, 0, sizeof *d);
    d->id = record_gen_id(rng);
    d->t_ns = record_gen_t(rng);
    d->score = rng_f64(rng);
    d->threshold = rng_below(rng, 3) == 0 ? (double)NAN : rng_f64(rng);
    d->verdict = (enum verdict)rng_below(rng, VERDICTS);
    d->fallback = (enum fallback)rng_below(rng, FALLBACKS);
    if (d->fallback != FALLBACK_NONE && rng_below(rng, 2) == 0) {
        d->score = (double)NAN;
    }
    d->direction = (enum direction)rng_below(rng, DIRECTIONS);
    d->settlement = (enum settlement)rng_below(rng, SETTLEMENTS);
    d->form = (enum form)rng_below(rng, FORMS);
    d->amount_centavos = rng_below(rng, 4) == 0
                             ? AMOUNT_NONE
                             : (int64_t)rng_below(rng, (uint64_t)RECORD_AMOUNT_MAX + 1);
    d->hold_deadline_ns = rng_below(rng, 2) == 0 ? T_NS_NONE : record_gen_t(rng);
    d->clock_offset_us = (int64_t)rng_below(rng, 2000) - 1000;
    d->model = record_gen_str(g, str_max);
    d->model_version = record_gen_str(g, str_max);
    d->model_sha256 = record_gen_str(g, str_max);
    d->host = record_gen_str(g, str_max);
    d->dims_count = (uint32_t)rng_below(rng, RECORD_DIMS_MAX + 1);
    for (uint32_t i = 0; i < d->dims_count; i++) {
        d->dims[i] = record_gen_str(g, str_max);
    }
    d->features = g->features;
    d->features_count = features;
    for (uint32_t i = 0; i < features; i++) {
        struct feature *f = &g->features[i];
        *f = (struct feature){.name = (uint16_t)rng_below(rng, names),
                              .kind = (enum feature_kind)rng_below(rng, 4)};
        if (f->kind == FEATURE_NUMBER) {
            f->number = rng_normal(rng) * 1e6;
        } else if (f->kind == FEATURE_BOOL) {
            f->number = (double)rng_below(rng, 2);
        } else if (f->kind == FEATURE_CATEGORY) {
            f->category = record_gen_str(g, str_max < 20 ? str_max : 20);
        }
    }
    d->latencies = g->latencies;
    d->latencies_count = (uint32_t)rng_below(rng, RECORD_LATENCIES_MAX + 1);
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        g->latencies[i].stage_name = (uint16_t)rng_below(rng, names);
        g->latencies[i].ns = (int64_t)rng_below(rng, 1000000000) - 1000;
    }
}

static inline void record_gen_label(struct record_gen *g, struct fraud_label *l, size_t str_max)
{
    struct rng *rng = &g->rng;
    g->used = 0;
    memset(l, 0, sizeof *l);
    l->id = record_gen_id(rng);
    l->t_ns = record_gen_t(rng);
    l->truth = (enum truth)rng_below(rng, TRUTHS);
    l->source = (enum label_source)rng_below(rng, LABEL_SOURCES);
    l->source_name = record_gen_str(g, str_max);
    l->event_id = record_gen_str(g, str_max);
    l->supersedes = record_gen_str(g, str_max);
}

static inline void record_gen_stage(struct record_gen *g, struct stage_event *s, uint32_t names,
                                    size_t str_max)
{
    struct rng *rng = &g->rng;
    g->used = 0;
    memset(s, 0, sizeof *s);
    s->id = record_gen_id(rng);
    s->stage_name = (uint16_t)rng_below(rng, names);
    s->outcome = (enum stage_outcome)rng_below(rng, STAGE_OUTCOMES);
    s->sla = (enum sla_segment)rng_below(rng, SLA_SEGMENTS);
    s->attempt = (uint32_t)rng_u64(rng);
    s->start_ns = record_gen_t(rng);
    s->end_ns = record_gen_t(rng);
    s->queue_ns = (int64_t)rng_below(rng, 1000) - 1;
    s->work_ns = (int64_t)rng_below(rng, 1000) - 1;
    s->amount_centavos = rng_below(rng, 2) == 0 ? AMOUNT_NONE : (int64_t)rng_below(rng, 100000);
    s->clock_offset_us = -(int64_t)rng_below(rng, 1000);
    s->partition = (int32_t)rng_below(rng, 100) - 1;
    s->reason = record_gen_str(g, str_max);
    s->version = record_gen_str(g, str_max);
    s->host = record_gen_str(g, str_max);
}

static inline bool record_same_f64(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static inline bool record_same_feature(const struct feature *a, const struct feature *b)
{
    return a->name == b->name && a->kind == b->kind && record_same_f64(a->number, b->number) &&
           str_eq(a->category, b->category);
}

static inline bool record_same_decision(const struct decision *a, const struct decision *b)
{
    bool same =
        str_eq(e2e_str(&a->id), e2e_str(&b->id)) && a->t_ns == b->t_ns &&
        record_same_f64(a->score, b->score) && record_same_f64(a->threshold, b->threshold) &&
        a->verdict == b->verdict && a->fallback == b->fallback && a->direction == b->direction &&
        a->settlement == b->settlement && a->form == b->form &&
        a->amount_centavos == b->amount_centavos && a->hold_deadline_ns == b->hold_deadline_ns &&
        a->clock_offset_us == b->clock_offset_us && str_eq(a->model, b->model) &&
        str_eq(a->model_version, b->model_version) && str_eq(a->model_sha256, b->model_sha256) &&
        str_eq(a->host, b->host) && a->dims_count == b->dims_count &&
        a->features_count == b->features_count && a->latencies_count == b->latencies_count;
    for (uint32_t i = 0; same && i < a->dims_count; i++) {
        same = str_eq(a->dims[i], b->dims[i]);
    }
    for (uint32_t i = 0; same && i < a->features_count; i++) {
        same = record_same_feature(&a->features[i], &b->features[i]);
    }
    for (uint32_t i = 0; same && i < a->latencies_count; i++) {
        same = a->latencies[i].stage_name == b->latencies[i].stage_name &&
               a->latencies[i].ns == b->latencies[i].ns;
    }
    return same;
}

static inline bool record_same_label(const struct fraud_label *a, const struct fraud_label *b)
{
    return str_eq(e2e_str(&a->id), e2e_str(&b->id)) && a->t_ns == b->t_ns && a->truth == b->truth &&
           a->source == b->source && str_eq(a->source_name, b->source_name) &&
           str_eq(a->event_id, b->event_id) && str_eq(a->supersedes, b->supersedes);
}

static inline bool record_same_stage(const struct stage_event *a, const struct stage_event *b)
{
    return str_eq(e2e_str(&a->id), e2e_str(&b->id)) && a->stage_name == b->stage_name &&
           a->outcome == b->outcome && a->sla == b->sla && a->attempt == b->attempt &&
           a->start_ns == b->start_ns && a->end_ns == b->end_ns && a->queue_ns == b->queue_ns &&
           a->work_ns == b->work_ns && a->amount_centavos == b->amount_centavos &&
           a->clock_offset_us == b->clock_offset_us && a->partition == b->partition &&
           str_eq(a->reason, b->reason) && str_eq(a->version, b->version) &&
           str_eq(a->host, b->host);
}

#endif
