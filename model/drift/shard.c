/* The hot path: a decision's features become keys in columns; when the columns are full (or the
 * river rests) they are counted (dense.c), feature by feature and dimension by dimension, so that
 * the counts of one feature are in the cache while many decisions are added.
 *
 * What comes for an hour that is closed is counted as late. */
#include "model/drift/drift_int.h"

#include <math.h>

#define HOUR_NS (3600 * NS_PER_S)

static void init(struct drift_shard *s, const struct drift *d, struct mem *m)
{
    s->drift = d;
    s->mem = m;
    drift_names_init(&s->names, m, d->names.features_max, d->names.segments_max,
                     d->names.categories_max);
}

struct drift_shard *drift_shard_new(const struct drift *d, struct mem *m)
{
    struct drift_shard *s = mem_take(m, sizeof *s);
    if (s != NULL) {
        init(s, d, m);
    }
    return s;
}

static void release(struct drift_shard *s)
{
    drift_names_release(&s->names);
    for (size_t i = 0; i < s->columns_cap; i++) {
        if (s->columns[i] != NULL) {
            drift_dict_release(&s->columns[i]->dict, s->mem);
            mem_give(s->mem, s->columns[i], sizeof **s->columns);
        }
    }
    mem_give(s->mem, s->columns, s->columns_cap * sizeof *s->columns);
    for (int i = 0; i < DRIFT_DIMS_MAX; i++) {
        mem_give(s->mem, s->segment_of[i], s->segment_of_cap[i] * sizeof **s->segment_of);
    }
    drift_open_release(&s->hours_open, s->mem);
    drift_open_release(&s->days_open, s->mem);
    drift_grids_release(&s->hours_packed, s->mem, 1);
    drift_grids_release(&s->days_packed, s->mem, s->drift->stride);
}

void drift_shard_free(struct drift_shard *s)
{
    if (s != NULL) {
        release(s);
        mem_give(s->mem, s, sizeof *s);
    }
}

void drift_shard_reset(struct drift_shard *s)
{
    const struct drift *d = s->drift;
    struct mem *m = s->mem;
    release(s);
    memset(s, 0, sizeof *s);
    init(s, d, m);
}

void drift_batch_begin(struct drift_shard *s)
{
    memset(s->map, 0, s->map_count * sizeof *s->map);
    s->map_count = 0;
}

/* ---- from columns to counts ---- */

static bool column_used(const struct drift_column *c, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (c->keys[i] != 0) {
            return true;
        }
    }
    return false;
}

void drift_shard_flush(struct drift_shard *s)
{
    for (uint32_t from = 0; from < s->rows;) {
        uint32_t to = from + 1;
        while (to < s->rows && s->hours[to] == s->hours[from]) {
            to++;
        }
        for (uint32_t f = 0; f < s->columns_cap; f++) {
            if (s->columns[f] != NULL && column_used(s->columns[f], from, to)) {
                drift_count(s, f, from, to);
            }
        }
        from = to;
    }
    for (size_t f = 0; f < s->columns_cap; f++) {
        if (s->columns[f] != NULL) {
            memset(s->columns[f]->keys, 0, s->rows * sizeof *s->columns[f]->keys);
        }
    }
    s->rows = 0;
}

/* ---- from a decision to columns ---- */

static struct drift_column *column_at(struct drift_shard *s, struct str name, uint32_t *feature)
{
    uint32_t id = drift_names_feature(&s->names, name);
    if (id == INTERN_FULL) {
        s->left[DRIFT_LEFT_NAMES]++;
        return NULL;
    }
    void *p = s->columns;
    bool ok = mem_array_grow(s->mem, &p, &s->columns_cap, (size_t)id + 1, s->names.features_max,
                             sizeof *s->columns);
    s->columns = p;
    if (ok && s->columns[id] == NULL) {
        s->columns[id] = mem_take(s->mem, sizeof **s->columns);
        if (s->columns[id] != NULL) {
            const struct drift_setup *u = &s->drift->setup;
            s->columns[id]->fallback = u->fallback(u->ctx, name);
        }
    }
    *feature = id;
    if (!ok || s->columns[id] == NULL) {
        s->left[DRIFT_LEFT_MEMORY]++;
        return NULL;
    }
    return s->columns[id];
}

static struct drift_column *from_batch(struct drift_shard *s, const struct record_reader *r,
                                       uint16_t name, uint32_t *feature)
{
    if (s->map[name] != 0) {
        *feature = s->map[name] - 1u;
        return s->columns[*feature];
    }
    struct drift_column *c = column_at(s, r->names[name], feature);
    if (c != NULL) {
        s->map[name] = (uint16_t)(*feature + 1);
        s->map_count = name >= s->map_count ? (uint32_t)name + 1 : s->map_count;
    }
    return c;
}

static uint32_t key_of(struct drift_shard *s, const struct drift_column *c, uint32_t feature,
                       const struct feature *f)
{
    switch (f->kind) {
    case FEATURE_NUMBER:
        if (!isfinite(f->number)) {
            break;
        }
        return drift_number_key(f->number) | (f->number == c->fallback ? DRIFT_DEFAULT : 0);
    case FEATURE_BOOL: return drift_key(DRIFT_BOOL, f->number != 0);
    case FEATURE_CATEGORY:
        return drift_key(DRIFT_CATEGORY, drift_names_category(&s->names, feature, f->category));
    case FEATURE_NULL: break;
    }
    return drift_key(DRIFT_NULL, 0);
}

/* The score, the version and the verdict drift as features do. */
static void add_own(struct drift_shard *s, const struct decision *x)
{
    const struct feature own[] = {
        {.kind = isnan(x->score) ? FEATURE_NULL : FEATURE_NUMBER, .number = x->score},
        {.kind = x->model_version.n > 0 ? FEATURE_CATEGORY : FEATURE_NULL,
         .category = x->model_version},
        {.kind = FEATURE_CATEGORY, .category = verdict_text(x->verdict)}};
    const struct str names[] = {STR("fraud.score"), STR("fraud.model_version"),
                                STR("fraud.decision")};
    for (uint32_t i = 0; i < ARRAY_LEN(own); i++) {
        uint32_t feature = 0;
        struct drift_column *c = column_at(s, names[i], &feature);
        if (c != NULL) {
            c->keys[s->rows] = key_of(s, c, feature, &own[i]) + 1;
        }
    }
}

static uint16_t segment_of(struct drift_shard *s, uint32_t dim, uint16_t number, struct str value)
{
    void *p = s->segment_of[dim];
    if (number < 2) {
        return 0; /* missing, or other: no segment */
    }
    if (number >= s->segment_of_cap[dim] &&
        !mem_array_grow(s->mem, &p, &s->segment_of_cap[dim], (size_t)number + 1, UINT16_MAX + 1u,
                        sizeof **s->segment_of)) {
        s->left[DRIFT_LEFT_MEMORY]++;
        return 0;
    }
    s->segment_of[dim] = p;
    uint16_t *at = &s->segment_of[dim][number];
    if (*at == 0) {
        *at = (uint16_t)(1 + drift_names_segment(&s->names, s->drift->setup.dims.v[dim], value));
        s->left[DRIFT_LEFT_NAMES] += *at == 1;
    }
    return (uint16_t)(*at - 1);
}

void drift_add(struct drift_shard *s, const struct record_reader *r, const struct decision *x,
               const uint16_t *dims)
{
    const int64_t hour = x->t_ns / HOUR_NS; /* times of records are not negative */
    if (!s->drift->setup.config->enabled) {
        return;
    }
    if (hour < s->drift->hour_first) {
        s->left[DRIFT_LEFT_LATE]++;
        return;
    }
    s->hours[s->rows] = (int32_t)hour;
    for (uint32_t i = 0; i < s->drift->setup.dims.count; i++) {
        s->segments[i][s->rows] =
            i < x->dims_count ? segment_of(s, i, dims[i], x->dims[i]) : (uint16_t)0;
    }
    add_own(s, x);
    for (uint32_t i = 0; i < x->features_count; i++) {
        uint32_t feature = 0;
        struct drift_column *c = from_batch(s, r, x->features[i].name, &feature);
        if (c != NULL) {
            c->keys[s->rows] = key_of(s, c, feature, &x->features[i]) + 1;
        }
    }
    if (++s->rows == DRIFT_PEND_ROWS) {
        drift_shard_flush(s);
    }
}
