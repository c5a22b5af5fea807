/* Counting on the hot path. A decision with 50 features in 8 segments is 450
 * counts, so that each must be one addition at a known place: a feature's keys
 * have small numbers (ids) from a dictionary that is asked once per value, and
 * counts are arrays by id, of an hour (all decisions) and of a day (each
 * segment). At rest, when an hour closes or the state is saved, everything is
 * poured into the tables that shards share, under shared names.
 *
 * Id 0 and segment 0 are for what does not count (absent values, decisions
 * without a segment of the dimension), so that the loops have no branches; they
 * are not poured. */
#include "model/drift/drift_int.h"

#define SLOTS_FIRST 64
#define HOURS_OPEN  3 /* events of few hours come mixed */
#define DAYS_OPEN   2

/* ---- dictionary ---- */

static uint32_t hash_of(uint32_t key)
{
    return key * 0x9e3779b1u >> 7;
}

static bool slots_grow(struct drift_dict *t, struct mem *m)
{
    const uint32_t cap = t->slots_cap == 0 ? SLOTS_FIRST : 2 * t->slots_cap;
    uint32_t *slots = mem_take(m, cap * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t id = 1; id < t->count; id++) {
        uint32_t i = hash_of(t->ids[id].key);
        while (slots[i & (cap - 1)] != 0) {
            i++;
        }
        slots[i & (cap - 1)] = id;
    }
    mem_give(m, t->slots, t->slots_cap * sizeof *t->slots);
    t->slots = slots;
    t->slots_cap = cap;
    return true;
}

/* The id of a key that is there, else 0. */
static inline uint32_t dict_find(const struct drift_dict *t, uint32_t key)
{
    const uint32_t mask = t->slots_cap - 1;
    for (uint32_t i = hash_of(key); t->slots_cap > 0; i++) {
        uint32_t id = t->slots[i & mask];
        if (id == 0 || t->ids[id].key == key) {
            return id;
        }
    }
    return 0;
}

/* 0 without memory or at the bound. */
static uint32_t dict_add_one(struct drift_dict *t, struct mem *m, uint32_t key)
{
    const uint32_t id = t->count == 0 ? 1 : t->count;
    void *p = t->ids;
    bool ok = mem_array_grow(m, &p, &t->ids_cap, (size_t)id + 1, DRIFT_CELLS_MAX, sizeof *t->ids);
    t->ids = p;
    if (!ok || (2 * (id + 1) > t->slots_cap && !slots_grow(t, m))) {
        return 0;
    }
    uint32_t i = hash_of(key);
    while (t->slots[i & (t->slots_cap - 1)] != 0) {
        i++;
    }
    t->slots[i & (t->slots_cap - 1)] = id;
    t->ids[id] = (struct drift_id){key, id};
    t->count = id + 1;
    return id;
}

static uint32_t dict_add(struct drift_dict *t, struct mem *m, uint32_t key)
{
    const uint32_t rough = drift_key_coarse(key);
    uint32_t coarse = 0;
    if (rough != key) {
        coarse = dict_find(t, rough);
        coarse = coarse != 0 ? coarse : dict_add_one(t, m, rough);
        if (coarse == 0) {
            return 0;
        }
    }
    uint32_t id = dict_add_one(t, m, key);
    if (id != 0 && coarse != 0) {
        t->ids[id].coarse = coarse;
    }
    return id;
}

void drift_dict_release(struct drift_dict *t, struct mem *m)
{
    mem_give(m, t->slots, t->slots_cap * sizeof *t->slots);
    mem_give(m, t->ids, t->ids_cap * sizeof *t->ids);
    *t = (struct drift_dict){0};
}

/* ---- counts ---- */

void drift_dense_release(struct drift_dense *c, struct mem *m)
{
    mem_give(m, c->n, (size_t)c->ids * c->segments * sizeof *c->n);
    *c = (struct drift_dense){0};
}

void drift_counts_release(struct drift_counts *w, struct mem *m)
{
    for (size_t f = 0; f < w->cap; f++) {
        drift_dense_release(&w->v[f], m);
    }
    mem_give(m, w->v, w->cap * sizeof *w->v);
    *w = (struct drift_counts){0};
}

/* Room for ids and segments below these numbers. */
static bool dense_room(struct drift_dense *c, struct mem *m, uint32_t ids, uint32_t segments)
{
    if (ids <= c->ids && segments <= c->segments) {
        return true;
    }
    struct drift_dense to = {.ids = c->ids == 0 ? 64 : c->ids, .segments = c->segments};
    while (to.ids < ids) {
        to.ids += to.ids / 2;
    }
    to.segments = segments > to.segments ? segments : to.segments;
    to.n = mem_take(m, (size_t)to.ids * to.segments * sizeof *to.n);
    if (to.n == NULL) {
        return false;
    }
    for (uint32_t s = 0; s < c->segments; s++) {
        memcpy(to.n + (size_t)s * to.ids, c->n + (size_t)s * c->ids, c->ids * sizeof *c->n);
    }
    drift_dense_release(c, m);
    *c = to;
    return true;
}

void drift_open_release(struct drift_open *t, struct mem *m)
{
    for (uint32_t i = 0; i < t->count; i++) {
        drift_counts_release(&t->v[i], m);
    }
    mem_give(m, t->v, t->cap * sizeof *t->v);
    *t = (struct drift_open){0};
}

/* The counts of a window and feature; of more than `most` windows the first opened is packed. NULL
 * without memory. */
static struct drift_dense *open_at(struct drift_shard *s, struct drift_open *t, uint32_t most,
                                   int32_t at, uint32_t feature)
{
    uint32_t i = t->count;
    while (i > 0 && t->v[i - 1].at != at) {
        i--;
    }
    if (i == 0) {
        drift_pack(s, t, most - 1);
        void *p = t->v;
        bool ok = mem_array_grow(s->mem, &p, &t->cap, (size_t)t->count + 1, most, sizeof *t->v);
        t->v = p;
        if (!ok) {
            return NULL;
        }
        t->v[t->count++] = (struct drift_counts){.at = at};
        i = t->count;
    }
    struct drift_counts *w = &t->v[i - 1];
    void *p = w->v;
    bool ok =
        mem_array_grow(s->mem, &p, &w->cap, (size_t)feature + 1, RECORD_NAMES_MAX, sizeof *w->v);
    w->v = p;
    return ok ? &w->v[feature] : NULL;
}

/* Rows [from, to) are of one hour. */
void drift_count(struct drift_shard *s, uint32_t feature, uint32_t from, uint32_t to)
{
    struct drift_column *c = s->columns[feature];
    uint32_t ids[DRIFT_PEND_ROWS];
    uint32_t lost = 0;
    for (uint32_t i = from; i < to; i++) {
        ids[i] = 0;
        if (c->keys[i] != 0) {
            ids[i] = dict_find(&c->dict, c->keys[i] - 1);
            ids[i] = ids[i] != 0 ? ids[i] : dict_add(&c->dict, s->mem, c->keys[i] - 1);
            lost += ids[i] == 0 ? 1u : 0u;
        }
    }
    const uint32_t segments = s->names.segments.count + 1;
    const uint32_t dims = s->drift->setup.dims.count;
    const int32_t hour_at = s->hours[from];
    const int32_t day_at = hour_at / DRIFT_HOURS_PER_DAY;
    struct drift_dense *hour = open_at(s, &s->hours_open, HOURS_OPEN, hour_at, feature);
    if (c->dict.count == 0 || hour == NULL || !dense_room(hour, s->mem, c->dict.count, 1)) {
        s->left[DRIFT_LEFT_MEMORY] += to - from;
        return;
    }
    for (uint32_t i = from; i < to; i++) {
        hour->n[ids[i]]++;
    }
    s->left[DRIFT_LEFT_MEMORY] += lost;
    if (dims == 0) {
        return;
    }
    struct drift_dense *day = open_at(s, &s->days_open, DAYS_OPEN, day_at, feature);
    if (day == NULL || !dense_room(day, s->mem, c->dict.count, segments)) {
        s->left[DRIFT_LEFT_MEMORY] += to - from;
        return;
    }
    for (uint32_t i = from; i < to; i++) {
        ids[i] = c->dict.ids[ids[i]].coarse;
    }
    for (uint32_t d = 0; d < dims; d++) {
        const uint16_t *of = s->segments[d];
        for (uint32_t i = from; i < to; i++) {
            day->n[(size_t)of[i] * day->ids + ids[i]]++;
        }
    }
}
