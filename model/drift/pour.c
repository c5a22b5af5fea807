/* From a shard's counts to the tables that shards share. Packing: arrays by id of one window become
 * tables by key, still the shard's and under its names. Pouring, at rest: all of them are added to
 * the shared hours and days, under shared names. */
#include "model/drift/drift_int.h"

#define IDS_KEPT 4096 /* a dictionary that is larger begins again after pouring */

/* ---- packing ---- */

static bool pack_counts(const struct drift_dict *t, const uint32_t *n, uint32_t ids,
                        struct drift_cells *to, struct mem *m)
{
    for (uint32_t id = 1; id < ids && id < t->count; id++) {
        if (n[id] != 0 && !drift_cells_add(to, m, t->ids[id].key, n[id])) {
            return false;
        }
    }
    return true;
}

/* What is packed is given back feature by feature, so that it is never held twice. */
static bool pack_window(struct drift_shard *s, struct drift_counts *w, bool days)
{
    struct drift_grid *g = drift_grids_at(days ? &s->days_packed : &s->hours_packed, s->mem, w->at);
    bool ok = g != NULL;
    for (uint32_t f = 0; f < w->cap && ok; f++) {
        struct drift_dense *c = &w->v[f];
        struct drift_cells *row =
            c->n == NULL ? NULL : drift_grid_row(g, s->mem, days ? s->drift->stride : 1, f);
        ok = row != NULL || c->n == NULL;
        for (uint32_t i = days ? 1 : 0; row != NULL && ok && i < c->segments; i++) {
            ok = pack_counts(&s->columns[f]->dict, c->n + (size_t)i * c->ids, c->ids, &row[i],
                             s->mem);
        }
        drift_dense_release(c, s->mem);
    }
    return ok;
}

void drift_pack(struct drift_shard *s, struct drift_open *t, uint32_t keep)
{
    uint32_t gone = 0;
    for (; t->count - gone > keep; gone++) {
        if (!pack_window(s, &t->v[gone], t == &s->days_open)) {
            s->left[DRIFT_LEFT_MEMORY]++;
        }
        drift_counts_release(&t->v[gone], s->mem);
    }
    t->count -= gone;
    if (gone > 0 && t->count > 0) {
        memmove(t->v, t->v + gone, t->count * sizeof *t->v);
    }
}

/* ---- pouring ---- */

struct pour {
    struct drift_names *names; /* shared */
    const struct drift_names *own;
    uint32_t from, to; /* the feature's number: own, shared */
};

static bool pour_cells(const struct pour *p, const struct drift_cells *from, struct drift_cells *to)
{
    for (uint32_t i = 0; i < from->cap; i++) {
        uint64_t slot = from->slots[i];
        uint32_t key = drift_slot_key(slot);
        uint32_t payload = drift_key_payload(key);
        if (slot == 0) {
            continue;
        }
        if (drift_key_kind(key) == DRIFT_CATEGORY && payload != DRIFT_CATEGORY_OTHER) {
            struct str text = intern_str(&p->own->categories[p->from], payload);
            key = drift_key(DRIFT_CATEGORY, drift_names_category(p->names, p->to, text));
        }
        if (!drift_cells_add(to, p->names->mem, key, drift_slot_count(slot))) {
            return false;
        }
    }
    return true;
}

/* Tables of `from` are given back as they are poured. A feature and a segment over a bound of the
 * shared names are in no table; of the segment, all decisions have it still. */
static bool pour_grid(struct drift_names *names, const struct drift_names *own,
                      struct drift_grid *from, struct drift_grid *to, uint32_t stride)
{
    bool ok = true;
    for (uint32_t f = 0; f < from->rows_cap && ok; f++) {
        if (from->rows[f] == NULL) {
            continue;
        }
        struct pour p = {.names = names, .own = own, .from = f};
        p.to = drift_names_feature(names, intern_str(&own->features, f));
        struct drift_cells *row =
            p.to == INTERN_FULL ? NULL : drift_grid_row(to, names->mem, stride, p.to);
        ok = row != NULL || p.to == INTERN_FULL;
        for (uint32_t i = 0; row != NULL && ok && i < stride; i++) {
            if (from->rows[f][i].used == 0) {
                continue;
            }
            uint32_t segment =
                i == 0 ? 0 : drift_names_segment_text(names, drift_names_segment_str(own, i));
            ok = (i > 0 && segment == 0) || pour_cells(&p, &from->rows[f][i], &row[segment]);
            drift_cells_release(&from->rows[f][i], own->mem);
        }
    }
    return ok;
}

static bool pour_grids(struct drift *d, const struct drift_shard *s, struct drift_grids *from,
                       struct drift_grids *to, uint32_t stride)
{
    bool ok = true;
    for (uint32_t i = 0; i < from->count; i++) {
        struct drift_grid *g = drift_grids_at(to, d->mem, from->v[i].at);
        ok = g != NULL && pour_grid(&d->names, &s->names, &from->v[i], g, stride) && ok;
    }
    return ok;
}

bool drift_pour(struct drift *d, struct drift_shard *s)
{
    drift_shard_flush(s);
    drift_pack(s, &s->hours_open, 0);
    drift_pack(s, &s->days_open, 0);
    bool ok = pour_grids(d, s, &s->hours_packed, &d->hours, 1);
    ok = pour_grids(d, s, &s->days_packed, &d->days, d->stride) && ok;
    drift_grids_release(&s->hours_packed, s->mem, 1);
    drift_grids_release(&s->days_packed, s->mem, d->stride);
    for (size_t f = 0; f < s->columns_cap; f++) {
        if (s->columns[f] != NULL && s->columns[f]->dict.count > IDS_KEPT) {
            drift_dict_release(&s->columns[f]->dict, s->mem);
        }
    }
    return ok;
}
