/* model/drift as a part of the pillar: its configuration, its shards put together, its saved part.
 * Everything but drift_add and drift_batch_begin runs at rest. */
#include "model/model_int.h"

#define SHARDS_MAX 64 /* as the river */

struct parts {
    struct drift_shard *v[SHARDS_MAX];
};

static struct parts parts_of(void *const *states, uint32_t n)
{
    struct parts p = {0};
    ASSERT(n <= SHARDS_MAX);
    for (uint32_t k = 0; k < n; k++) {
        p.v[k] = model_shard_of(states, k)->drift;
    }
    return p;
}

static double fallback_of(const void *ctx, struct str feature)
{
    return model_default_of(ctx, feature);
}

bool model_drift_new(struct model *m, struct err *e)
{
    const struct drift_setup setup = {.config = &m->c->drift,
                                      .dims = m->c->segments,
                                      .features_max = (uint32_t)m->c->features_max,
                                      .fallback = fallback_of,
                                      .ctx = m->c};
    return drift_new(&setup, m->mem, &m->drift, e);
}

void model_drift_tick(struct model *m, void *const *states, uint32_t n)
{
    const struct parts p = parts_of(states, n);
    drift_tick(m->drift, p.v, n, m->watermark_ns);
}

void model_drift_publish(const struct model *m, void *const *states, uint32_t n, struct expo *x)
{
    const struct parts p = parts_of(states, n);
    if (m->c->drift.enabled) {
        drift_publish(m->drift, p.v, n, x);
    }
}

void model_drift_reset(struct model *m, void *const *states, uint32_t n)
{
    const struct parts p = parts_of(states, n);
    drift_reset(m->drift, p.v, n);
}

void model_drift_save(struct model *m, void *const *states, uint32_t n, struct buf *out)
{
    const struct parts p = parts_of(states, n);
    out->failed = !drift_save(m->drift, p.v, n, out) || out->failed;
}

bool model_drift_load(struct model *m, void *const *states, uint32_t n, struct rd *r, struct err *e)
{
    const struct parts p = parts_of(states, n);
    return drift_load(m->drift, p.v, n, r, e);
}

void model_drift_json(void *app, const struct drift_query *q, struct buf *out)
{
    const struct model *m = app;
    drift_json(m->drift, q, out);
}
