/* Shards' counters added up by name, for publishing and for checkpoints. Runs at rest. */
#include "model/model_int.h"

#include <math.h>

static bool merge_version(struct model_merged *g, uint16_t id, const struct model_version *from)
{
    void *p = g->versions;
    bool ok = mem_array_grow(g->mem, &p, &g->versions_cap, (size_t)id + 1, UINT16_MAX + 1u,
                             sizeof *g->versions);
    g->versions = p;
    if (!ok) {
        return false;
    }
    struct model_version *to = g->versions[id];
    if (to == NULL) {
        to = g->versions[id] = mem_take(g->mem, sizeof *to);
        if (to == NULL) {
            return false;
        }
        to->threshold = (double)NAN;
        to->threshold_ns = T_NS_NONE;
    }
    to->used = to->used || from->used;
    for (uint32_t i = 0; i < VERDICTS * FALLBACKS * FORMS; i++) {
        (&to->decisions[0][0][0])[i] += (&from->decisions[0][0][0])[i];
    }
    for (uint32_t i = 0; i <= MODEL_SCORE_EDGES; i++) {
        to->scores[i] += from->scores[i];
    }
    for (uint32_t i = 0; i <= MODEL_LATENCY_EDGES; i++) {
        to->latencies[i] += from->latencies[i];
    }
    to->score_sum += from->score_sum;
    to->latency_ns += from->latency_ns;
    if (!isnan(from->threshold) &&
        (from->threshold_ns > to->threshold_ns ||
         (from->threshold_ns == to->threshold_ns && !(from->threshold <= to->threshold)))) {
        to->threshold = from->threshold;
        to->threshold_ns = from->threshold_ns;
    }
    for (uint32_t i = 0; i < MODEL_COARSE_CELLS; i++) {
        to->seen_slot[i] = i64_max(to->seen_slot[i], from->seen_slot[i]);
    }
    return true;
}

static bool merge_features(struct model_merged *g, const struct model_features *f, int64_t now_ns)
{
    for (uint32_t i = 0; i < f->cap; i++) {
        const struct model_feature *from = &f->v[i];
        bool other = i == f->max;
        if ((i >= f->names.count && !other) || from->values + from->nulls == 0) {
            continue;
        }
        uint32_t id =
            other ? g->feature_names.max : intern_add(&g->feature_names, model_feature_name(f, i));
        if (id == INTERN_FULL) {
            id = g->feature_names.max;
        }
        void *p = g->features;
        bool ok = mem_array_grow(g->mem, &p, &g->features_cap, (size_t)id + 1,
                                 (size_t)g->feature_names.max + 1, sizeof *g->features);
        g->features = p;
        if (!ok) {
            return false;
        }
        struct model_merged_feature *to = &g->features[id];
        to->values += from->values;
        to->nulls += from->nulls;
        to->defaults += from->defaults;
        for (uint32_t k = 0; k < MODEL_SLOTS; k++) {
            const struct model_feature_slot *s = &from->slots[k];
            if (s->n > 0 && model_slot_recent(s->slot, now_ns)) {
                to->log10_sum += s->log10_sum;
                to->log10_n += s->log10_n;
                to->n += s->n;
                to->bad += s->bad;
            }
        }
    }
    return true;
}

bool model_merge(struct model *m, void *const *states, uint32_t n, int64_t now_ns,
                 struct model_merged *out)
{
    *out = (struct model_merged){.mem = m->mem};
    const struct model_config *c = m->c;
    uint32_t versions = (uint32_t)i64_min(c->versions_max * n, INT16_MAX);
    model_names_init(&out->names, m->mem, versions,
                     (uint32_t)i64_min(c->segment_values_max * n, INT16_MAX));
    intern_init(&out->feature_names, m->mem, (uint32_t)c->features_max);
    bool ok = true;
    for (uint32_t k = 0; k < n && ok; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        for (uint32_t v = 0; v < s->versions_cap && ok; v++) {
            if (s->versions[v] != NULL && s->versions[v]->used) {
                struct str name = model_names_str(&s->names, 0, (uint16_t)v);
                ok = merge_version(out, model_names_add(&out->names, 0, name), s->versions[v]);
            }
        }
        ok = ok && merge_features(out, &s->features, now_ns);
    }
    return ok;
}

void model_merged_release(struct model_merged *g)
{
    for (size_t i = 0; i < g->versions_cap; i++) {
        mem_give(g->mem, g->versions[i], sizeof **g->versions);
    }
    mem_give(g->mem, g->versions, g->versions_cap * sizeof *g->versions);
    mem_give(g->mem, g->features, g->features_cap * sizeof *g->features);
    model_names_release(&g->names);
    intern_release(&g->feature_names);
}

/* ---- what is usual ----
 *
 * Some features are null by nature (a payment without a Pix key has no age of the key), so a
 * share of nulls means something only against the usual one. The baseline starts as the share of
 * the first 500 values, follows small changes within minutes, and large ones within about a day:
 * an incident does not become usual while it lasts, a feature that was redesigned does in the
 * end. */
#define BASELINE_N_MIN  500
#define WINDOW_N_MIN    100
#define BASELINE_NEAR   0.03
#define BASELINE_FOLLOW 0.01 /* a publication, twice a second */
#define BASELINE_CREEP  1e-5

double model_baseline(const struct model *m, struct str feature)
{
    uint32_t id = intern_find(&m->baseline_names, feature);
    return id < m->baselines_cap ? m->baselines[id] : (double)NAN;
}

static void baseline_update(struct model *m, struct str name, const struct model_merged_feature *f)
{
    uint64_t seen = f->values + f->nulls;
    double share = f->n < WINDOW_N_MIN ? (double)NAN : (double)f->bad / (double)f->n;
    double now = model_baseline(m, name);
    if (seen < BASELINE_N_MIN || isnan(share)) {
        return;
    }
    if (!isnan(now)) {
        double step = fabs(share - now) < BASELINE_NEAR ? BASELINE_FOLLOW : BASELINE_CREEP;
        m->baselines[intern_find(&m->baseline_names, name)] += step * (share - now);
        return;
    }
    uint32_t id = intern_add(&m->baseline_names, name);
    void *p = m->baselines;
    size_t had = m->baselines_cap;
    if (id == INTERN_FULL || !mem_array_grow(m->mem, &p, &m->baselines_cap, (size_t)id + 1,
                                             m->baseline_names.max, sizeof *m->baselines)) {
        return;
    }
    m->baselines = p;
    for (size_t i = had; i < m->baselines_cap; i++) {
        m->baselines[i] = (double)NAN;
    }
    m->baselines[id] = (double)(f->nulls + f->defaults) / (double)seen;
}

void model_baselines_update(struct model *m, const struct model_merged *g)
{
    for (uint32_t i = 0; i < g->features_cap; i++) {
        baseline_update(m, model_merged_name(g, i), &g->features[i]);
    }
}

void model_baselines_release(struct model *m)
{
    uint32_t max = m->baseline_names.max;
    intern_release(&m->baseline_names);
    intern_init(&m->baseline_names, m->mem, max);
    mem_give(m->mem, m->baselines, m->baselines_cap * sizeof *m->baselines);
    m->baselines = NULL;
    m->baselines_cap = 0;
}

uint32_t model_distinct(const struct model_version *v, int64_t now_ns)
{
    uint32_t cells = 0;
    for (uint32_t i = 0; i < MODEL_COARSE_CELLS; i++) {
        cells += v->seen_slot[i] != 0 && model_slot_recent(v->seen_slot[i] - 1, now_ns);
    }
    return cells;
}

void model_slots_sum(void *const *states, uint32_t n, int64_t now_ns, struct model_slot *out)
{
    *out = (struct model_slot){0};
    for (uint32_t k = 0; k < n; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        for (uint32_t i = 0; i < MODEL_SLOTS; i++) {
            const struct model_slot *x = &s->slots[i];
            if (!model_slot_recent(x->slot, now_ns)) {
                continue;
            }
            out->decisions += x->decisions;
            out->fallback += x->fallback;
            for (uint32_t v = 0; v < VERDICTS; v++) {
                out->verdicts[v] += x->verdicts[v];
            }
        }
    }
}
