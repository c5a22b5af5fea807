/* State of a shard: made, reset, freed; and the one way a label enters it. */
#include "model/model_int.h"

#include <math.h>

#define SHARE_MIN 64 /* a shard's part of a bound is never below this */

const double model_score_edges[MODEL_SCORE_EDGES] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.3,  0.4,
                                                     0.5,  0.6,  0.7,  0.8, 0.9, 0.95, 0.99};
/* Edges of domain.md 2.3: every regulatory limit is one. */
const double model_latency_edges[MODEL_LATENCY_EDGES] = {
    .005, .01, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, .9,
    1,    1.4, 1.5, 2,   2.3, 2.8, 4.6,  6,  10,  20, 40, 60};
/* Hours of MED, 1 6 24 48 96 168 264 1920, in seconds. */
const double model_delay_edges[MODEL_DELAY_EDGES] = {3600,   21600,  86400,  172800,
                                                     345600, 604800, 950400, 6912000};

const struct str model_drop_text[MODEL_DROPS] = {STR_INIT("duplicate"), STR_INIT("full"),
                                                 STR_INIT("waiting_full"), STR_INIT("too_many"),
                                                 STR_INIT("expired")};
const struct str model_refusal_text[MODEL_REFUSALS] = {STR_INIT("duplicate"), STR_INIT("conflict"),
                                                       STR_INIT("too_old"), STR_INIT("memory"),
                                                       STR_INIT("unjoined")};

static uint32_t share(int64_t max, uint32_t shards)
{
    int64_t part = i64_max(SHARE_MIN, (max + shards - 1) / shards);
    return (uint32_t)i64_min(part, INT32_MAX);
}

static void init(struct model_shard *s)
{
    struct model *m = s->model;
    const struct model_config *c = m->c;
    model_names_init(&s->names, s->mem, (uint32_t)c->versions_max, (uint32_t)c->segment_values_max);
    model_cohorts_init(&s->cohorts, s->mem);
    model_labels_init(&s->labels, s->mem, share(c->labels_max, s->shards),
                      share(c->labels_pending_max, s->shards), (uint32_t)c->cohort_days_max);
    model_join_init(&s->join, s->mem, m->os, m->dir, m->log, s->shard,
                    share(c->join_rows_max, s->shards), model_filters_share(m, s->shards),
                    m->dims_hash);
    model_features_init(&s->features, s->mem, (uint32_t)c->features_max, m->log10_table);
    for (uint32_t i = 0; i < MODEL_WATERMARK_K; i++) {
        s->times[i] = T_NS_NONE;
    }
    s->label_seen_ns = T_NS_NONE;
}

static void release(struct model_shard *s)
{
    model_names_release(&s->names);
    model_cohorts_release(&s->cohorts);
    model_labels_release(&s->labels);
    model_join_release(&s->join);
    model_features_release(&s->features);
    for (size_t i = 0; i < s->versions_cap; i++) {
        mem_give(s->mem, s->versions[i], sizeof **s->versions);
    }
    mem_give(s->mem, s->versions, s->versions_cap * sizeof *s->versions);
}

void *model_shard_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e)
{
    ASSERT(shard < shards);
    struct model_shard *s = mem_take(m, sizeof *s);
    if (s == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a shard of the model pillar");
        return NULL;
    }
    s->model = app;
    s->mem = m;
    s->shard = shard;
    s->shards = shards;
    s->drift = drift_shard_new(s->model->drift, m);
    if (s->drift == NULL) {
        mem_give(m, s, sizeof *s);
        err_set(e, ERR_NOMEM, "no memory for a shard of the model pillar");
        return NULL;
    }
    init(s);
    return s;
}

void model_shard_free(void *state)
{
    struct model_shard *s = state;
    if (s != NULL) {
        release(s);
        drift_shard_free(s->drift);
        mem_give(s->mem, s, sizeof *s);
    }
}

void model_shard_reset(struct model_shard *s)
{
    release(s);
    struct model_shard fresh = {.model = s->model,
                                .mem = s->mem,
                                .shard = s->shard,
                                .shards = s->shards,
                                .drift = s->drift};
    *s = fresh;
    init(s);
}

struct model_version *model_version_at(struct model_shard *s, uint16_t id)
{
    void *p = s->versions;
    bool ok = mem_array_grow(s->mem, &p, &s->versions_cap, (size_t)id + 1, UINT16_MAX + 1u,
                             sizeof *s->versions);
    s->versions = p;
    if (!ok) {
        return NULL;
    }
    if (s->versions[id] == NULL) {
        s->versions[id] = mem_take(s->mem, sizeof **s->versions);
        if (s->versions[id] != NULL) {
            s->versions[id]->threshold = (double)NAN;
            s->versions[id]->threshold_ns = T_NS_NONE;
        }
    }
    return s->versions[id];
}

bool model_label_join(struct model_shard *s, const struct model_row *row,
                      const struct model_waiting *w)
{
    struct model_label l = {.id = row->id,
                            .t_ns = w->t_ns,
                            .score = row->score,
                            .amount_centavos = row->amount_centavos,
                            .event = w->event,
                            .supersedes = w->supersedes,
                            .day = day_from_ns(row->t_ns),
                            .version = row->version,
                            .truth = w->truth,
                            .source = w->source,
                            .verdict = row->verdict};
    memcpy(l.dims, row->dims, sizeof l.dims);
    if (l.day < s->model->day_first) {
        s->label_drops[MODEL_DROP_EXPIRED]++;
        return false;
    }
    switch (model_labels_add(&s->labels, &l)) {
    case MODEL_LABEL_ADDED: return true;
    case MODEL_LABEL_DUPLICATE: s->label_drops[MODEL_DROP_DUPLICATE]++; return false;
    case MODEL_LABEL_TOO_MANY: s->label_drops[MODEL_DROP_TOO_MANY]++; return false;
    case MODEL_LABEL_WAITS:
    case MODEL_LABEL_FULL: break;
    }
    s->label_drops[MODEL_DROP_FULL]++;
    return false;
}
