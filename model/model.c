/* The pillar as the river sees it, and what its shards share. model.h is the manual. */
#include "model/model.h"

#include "model/model_int.h"

#include <string.h>

bool model_new(const struct model_config *c, const struct os *os, const char *dir, struct log *log,
               struct mem *m, struct model **out, struct err *e)
{
    ASSERT(c->segments.count <= RECORD_DIMS_MAX);
    struct model *x = mem_take(m, sizeof *x);
    size_t dir_bytes = strlen(dir) + 1;
    char *copy = mem_take(m, dir_bytes);
    if (x == NULL || copy == NULL) {
        mem_give(m, x, sizeof *x);
        mem_give(m, copy, dir_bytes);
        return err_set(e, ERR_NOMEM, "no memory for the model pillar");
    }
    memcpy(copy, dir, dir_bytes);
    *x = (struct model){.c = c,
                        .os = os,
                        .log = log,
                        .mem = m,
                        .dir = copy,
                        .dir_bytes = dir_bytes,
                        .watermark_ns = T_NS_NONE,
                        .day_first = INT32_MIN,
                        .filters = {.mem = m},
                        .sweep = true};
    intern_init(&x->baseline_names, m, (uint32_t)c->features_max + 1);
    model_log10_table(x->log10_table);
    for (uint32_t i = 0; i < c->segments.count; i++) {
        x->dims_hash = hash64_seed(c->segments.v[i], x->dims_hash + 1);
    }
    if (!model_drift_new(x, e)) {
        model_free(x);
        return false;
    }
    *out = x;
    return true;
}

struct pillar model_pillar(struct model *m)
{
    return (struct pillar){.name = "model",
                           .app = m,
                           .shard_new = model_shard_new,
                           .shard_free = model_shard_free,
                           .batch_begin = model_batch_begin,
                           .apply = model_apply,
                           .tick = model_tick,
                           .publish = model_publish,
                           .status = model_status,
                           .save = model_save,
                           .load = model_load};
}

void model_free(struct model *m)
{
    if (m == NULL) {
        return;
    }
    model_baselines_release(m);
    drift_free(m->drift);
    for (uint32_t i = 0; i < m->runs_count; i++) {
        model_filters_drop(&m->filters, &m->runs[i]);
    }
    mem_give(m->mem, m->runs, m->runs_cap * sizeof *m->runs);
    mem_give(m->mem, m->leaving, m->leaving_cap * sizeof *m->leaving);
    mem_give(m->mem, m->work, sizeof *m->work);
    mem_give(m->mem, m->flagged, sizeof *m->flagged);
    mem_give(m->mem, m->positives, m->positives_cap * sizeof *m->positives);
    mem_give(m->mem, m->dir, m->dir_bytes);
    mem_give(m->mem, m, sizeof *m);
}
