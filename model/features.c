/* Feature counters: values, nulls, defaults, and the mean log10 of positive values over the last
 * 60 s.
 *
 * A rename upstream makes nulls, a dead store makes defaults, a change of unit (centavos for
 * reais, milliseconds for seconds) shifts the mean log10 by 2 or 3. None of them raises an error
 * anywhere else.
 *
 * The logarithm comes from the exponent and a table of 256 mantissas: at most 0.0009 off, and
 * the errors average out; alerts ask about shifts of 2. Sums are integers, so that shards merge
 * exactly. Names are numbers of a batch (record.h); the map from them to features is remade with
 * each batch. */
#include "model/features_int.h"

#include <math.h>

void model_log10_table(float out[MODEL_LOG10_TABLE])
{
    for (int i = 0; i < MODEL_LOG10_TABLE; i++) {
        out[i] = (float)log10(1 + (i + 0.5) / MODEL_LOG10_TABLE);
    }
}

void model_features_init(struct model_features *f, struct mem *m, uint32_t max,
                         const float *log10_table)
{
    *f = (struct model_features){.mem = m, .max = max, .log10_table = log10_table};
    intern_init(&f->names, m, max);
}

void model_features_release(struct model_features *f)
{
    intern_release(&f->names);
    mem_give(f->mem, f->v, f->cap * sizeof *f->v);
    model_features_init(f, f->mem, f->max, f->log10_table);
}

void model_features_batch(struct model_features *f)
{
    memset(f->map, 0, f->map_count * sizeof *f->map);
    f->map_count = 0;
}

double model_default_of(const struct model_config *c, struct str name)
{
    for (uint32_t i = 0; i < c->defaults_count; i++) {
        if (str_eq(c->defaults[i].feature, name)) {
            return c->defaults[i].value;
        }
    }
    return (double)NAN;
}

struct model_feature *model_feature_at(struct model_features *f, const struct model_config *c,
                                       struct str name, uint32_t *idx)
{
    uint32_t id = intern_add(&f->names, name);
    id = id == INTERN_FULL ? f->max : id;
    size_t had = f->cap;
    void *p = f->v;
    bool ok = mem_array_grow(f->mem, &p, &f->cap, (size_t)id + 1, (size_t)f->max + 1, sizeof *f->v);
    f->v = p;
    if (!ok) {
        return NULL;
    }
    for (size_t i = had; i < f->cap; i++) {
        f->v[i].fallback = i < f->names.count
                               ? model_default_of(c, intern_str(&f->names, (uint32_t)i))
                               : (double)NAN;
    }
    if (id < f->max) {
        f->v[id].fallback = model_default_of(c, name);
    }
    *idx = id;
    return &f->v[id];
}

struct str model_feature_name(const struct model_features *f, uint32_t idx)
{
    return idx < f->names.count ? intern_str(&f->names, idx) : STR("other");
}

static struct model_feature *from_batch(struct model_features *f, const struct model_config *c,
                                        const struct record_reader *r, uint16_t name)
{
    if (f->map[name] != 0) {
        return &f->v[f->map[name] - 1];
    }
    uint32_t idx = 0;
    struct model_feature *v = model_feature_at(f, c, r->names[name], &idx);
    if (v != NULL) {
        f->map[name] = (uint16_t)(idx + 1);
        f->map_count = name >= f->map_count ? (uint32_t)name + 1 : f->map_count;
    }
    return v;
}

void model_features_add(struct model_features *f, const struct model_config *c,
                        const struct record_reader *r, const struct decision *d, int64_t slot)
{
    for (uint32_t i = 0; i < d->features_count; i++) {
        const struct feature *in = &d->features[i];
        struct model_feature *v = from_batch(f, c, r, in->name);
        if (v == NULL) {
            continue;
        }
        struct model_feature_slot *s = &v->slots[slot % MODEL_SLOTS];
        if (s->slot != slot) {
            *s = (struct model_feature_slot){.slot = slot};
        }
        bool null = in->kind == FEATURE_NULL || (in->kind == FEATURE_NUMBER && isnan(in->number));
        bool fallback = !null && in->kind == FEATURE_NUMBER && in->number == v->fallback;
        v->values += !null;
        v->nulls += null;
        v->defaults += fallback;
        s->n++;
        s->bad += null || fallback;
        if (in->kind == FEATURE_NUMBER && !fallback && isnormal(in->number) && in->number > 0) {
            s->log10_n++;
            s->log10_sum +=
                (int64_t)((double)model_log10(f->log10_table, in->number) * MODEL_LOG_FIX);
        }
    }
}
