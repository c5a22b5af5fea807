/* Grids: the cells of all features and segments of one window, and lists of open windows. */
#include "model/drift/drift_int.h"

struct drift_cells *drift_grid_row(struct drift_grid *g, struct mem *m, uint32_t stride,
                                   uint32_t feature)
{
    void *p = g->rows;
    bool ok =
        mem_array_grow(m, &p, &g->rows_cap, (size_t)feature + 1, RECORD_NAMES_MAX, sizeof *g->rows);
    g->rows = p;
    if (ok && g->rows[feature] == NULL) {
        g->rows[feature] = mem_take(m, stride * sizeof **g->rows);
    }
    return ok ? g->rows[feature] : NULL;
}

void drift_grid_release(struct drift_grid *g, struct mem *m, uint32_t stride)
{
    for (size_t f = 0; f < g->rows_cap; f++) {
        for (uint32_t i = 0; g->rows[f] != NULL && i < stride; i++) {
            drift_cells_release(&g->rows[f][i], m);
        }
        mem_give(m, g->rows[f], stride * sizeof **g->rows);
    }
    mem_give(m, g->rows, g->rows_cap * sizeof *g->rows);
    *g = (struct drift_grid){.at = g->at};
}

static bool cells_merge(struct drift_cells *to, const struct drift_cells *from, struct mem *m)
{
    for (uint32_t i = 0; i < from->cap; i++) {
        uint64_t slot = from->slots[i];
        if (slot != 0 && !drift_cells_add(to, m, drift_slot_key(slot), drift_slot_count(slot))) {
            return false;
        }
    }
    return true;
}

bool drift_grid_merge(struct drift_grid *to, uint32_t stride, const struct drift_grid *from,
                      uint32_t from_stride, struct mem *m)
{
    ASSERT(from_stride <= stride);
    for (uint32_t f = 0; f < from->rows_cap; f++) {
        struct drift_cells *row = from->rows[f] == NULL ? NULL : drift_grid_row(to, m, stride, f);
        if (from->rows[f] != NULL && row == NULL) {
            return false;
        }
        for (uint32_t i = 0; row != NULL && i < from_stride; i++) {
            if (!cells_merge(&row[i], &from->rows[f][i], m)) {
                return false;
            }
        }
    }
    return true;
}

bool drift_grid_merge_all(struct drift_grid *to, const struct drift_grid *from, struct mem *m)
{
    for (uint32_t f = 0; f < from->rows_cap; f++) {
        struct drift_cells *row = from->rows[f] == NULL ? NULL : drift_grid_row(to, m, 1, f);
        if (from->rows[f] != NULL && row == NULL) {
            return false;
        }
        for (uint32_t i = 0; row != NULL && i < from->rows[f][0].cap; i++) {
            uint64_t slot = from->rows[f][0].slots[i];
            if (slot != 0 && !drift_cells_add(&row[0], m, drift_key_coarse(drift_slot_key(slot)),
                                              drift_slot_count(slot))) {
                return false;
            }
        }
    }
    return true;
}

struct drift_grid *drift_grids_at(struct drift_grids *t, struct mem *m, int32_t at)
{
    uint32_t i = t->count;
    while (i > 0 && t->v[i - 1].at > at) {
        i--;
    }
    if (i > 0 && t->v[i - 1].at == at) {
        return &t->v[i - 1];
    }
    void *p = t->v;
    bool ok = mem_array_grow(m, &p, &t->cap, (size_t)t->count + 1, DRIFT_OPEN_MAX, sizeof *t->v);
    t->v = p;
    if (!ok) {
        return NULL;
    }
    memmove(&t->v[i + 1], &t->v[i], (t->count - i) * sizeof *t->v);
    t->v[i] = (struct drift_grid){.at = at};
    t->count++;
    return &t->v[i];
}

void drift_grids_drop_first(struct drift_grids *t, struct mem *m, uint32_t stride)
{
    ASSERT(t->count > 0);
    drift_grid_release(&t->v[0], m, stride);
    t->count--;
    memmove(&t->v[0], &t->v[1], t->count * sizeof *t->v);
}

void drift_grids_release(struct drift_grids *t, struct mem *m, uint32_t stride)
{
    for (uint32_t i = 0; i < t->count; i++) {
        drift_grid_release(&t->v[i], m, stride);
    }
    mem_give(m, t->v, t->cap * sizeof *t->v);
    *t = (struct drift_grids){0};
}

/* ---- spreads ---- */

struct drift_spread *drift_spread_at(struct drift_spreads *t, struct mem *m, uint32_t feature,
                                     uint32_t segment)
{
    void *p = t->v;
    bool ok = mem_array_grow(m, &p, &t->cap, (size_t)feature + 1, RECORD_NAMES_MAX, sizeof *t->v);
    ASSERT(segment < t->stride);
    t->v = p;
    if (ok && t->v[feature] == NULL) {
        t->v[feature] = mem_take(m, t->stride * sizeof **t->v);
    }
    return ok && t->v[feature] != NULL ? &t->v[feature][segment] : NULL;
}

void drift_spreads_release(struct drift_spreads *t, struct mem *m)
{
    for (size_t f = 0; f < t->cap; f++) {
        mem_give(m, t->v[f], t->stride * sizeof **t->v);
    }
    mem_give(m, t->v, t->cap * sizeof *t->v);
    *t = (struct drift_spreads){.stride = t->stride};
}
