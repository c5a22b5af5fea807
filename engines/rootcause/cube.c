/* Leaves and their sums over the combinations of some dimensions (a cuboid).
 *
 * A combination is found by a hash of its values, so that a cuboid costs one pass over the leaves
 * whatever its dimensions could hold. Cells appear in the order of their first leaf: the order of
 * the leaves alone decides all results. */
#include "engines/rootcause/rootcause_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int leaf_cmp(const void *a, const void *b)
{
    const struct rootcause_leaf *x = a;
    const struct rootcause_leaf *y = b;
    for (uint32_t d = 0; d < ROOTCAUSE_DIMS_MAX; d++) {
        if (x->values[d] != y->values[d]) {
            return x->values[d] < y->values[d] ? -1 : 1;
        }
    }
    return 0;
}

void rootcause_leaves_merge(struct rootcause_cube *c)
{
    if (c->leaves_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        for (uint32_t d = c->dims_count; d < ROOTCAUSE_DIMS_MAX; d++) {
            c->leaves[i].values[d] = 0; /* what is beyond the dimensions does not separate leaves */
        }
    }
    qsort(c->leaves, c->leaves_count, sizeof *c->leaves, leaf_cmp);
    uint32_t to = 0;
    for (uint32_t i = 1; i < c->leaves_count; i++) {
        if (leaf_cmp(&c->leaves[to], &c->leaves[i]) == 0) {
            c->leaves[to].before += c->leaves[i].before;
            c->leaves[to].now += c->leaves[i].now;
        } else {
            c->leaves[++to] = c->leaves[i];
        }
    }
    c->leaves_count = to + 1;
}

bool rootcause_dense(const struct rootcause_cube *c)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        sum += c->leaves[i].before * c->scale + c->leaves[i].now;
    }
    return c->leaves_count > 0 && sum / 2 / c->unit / c->leaves_count >= ROOTCAUSE_DENSE;
}

static bool leaves_good(const struct rootcause_cube *c)
{
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        const struct rootcause_leaf *l = &c->leaves[i];
        if (!(l->before >= 0 && l->now >= 0) || isinf(l->before) || isinf(l->now)) {
            return false;
        }
    }
    return c->scale > 0 && c->unit > 0 && !isinf(c->scale) && !isinf(c->unit);
}

bool rootcause_work_init(struct rootcause_work *w, const struct rootcause_cube *c, struct arena *a,
                         struct err *e)
{
    *w = (struct rootcause_work){.c = c, .slots_cap = 16};
    if (c->dims_count > ROOTCAUSE_DIMS_MAX || c->leaves_count > ROOTCAUSE_LEAVES_MAX) {
        return err_set(e, ERR_LIMIT, "expected at most %d dimensions and %u leaves, found %u, %u",
                       ROOTCAUSE_DIMS_MAX, ROOTCAUSE_LEAVES_MAX, c->dims_count, c->leaves_count);
    }
    if (!leaves_good(c)) {
        return err_set(e, ERR_INPUT, "expected finite figures that are not negative");
    }
    while (w->slots_cap < 2 * c->leaves_count) {
        w->slots_cap *= 2;
    }
    w->slots = ARENA_ARRAY(a, uint32_t, w->slots_cap);
    w->cell_of = ARENA_ARRAY(a, uint32_t, c->leaves_count);
    w->cells = ARENA_ARRAY(a, struct rootcause_sum, c->leaves_count);
    w->order = ARENA_ARRAY(a, uint32_t, c->leaves_count);
    w->state = ARENA_ARRAY(a, uint8_t, c->leaves_count);
    if (w->slots == NULL || w->cell_of == NULL || w->cells == NULL || w->order == NULL ||
        w->state == NULL) {
        return err_set(e, ERR_LIMIT, "no memory to search %u leaves", c->leaves_count);
    }
    return true;
}

static bool same_cell(const struct rootcause_cuboid *q, const struct rootcause_leaf *x,
                      const struct rootcause_leaf *y)
{
    for (uint32_t i = 0; i < q->dims_count; i++) {
        if (x->values[q->dims[i]] != y->values[q->dims[i]]) {
            return false;
        }
    }
    return true;
}

static uint32_t home(const struct rootcause_work *w, const struct rootcause_cuboid *q,
                     const struct rootcause_leaf *l)
{
    uint64_t key = 0;
    for (uint32_t i = 0; i < q->dims_count; i++) {
        key = key << 16 | l->values[q->dims[i]];
    }
    return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (w->slots_cap - 1);
}

void rootcause_cells(struct rootcause_work *w, const struct rootcause_cuboid *q,
                     const uint8_t *skip)
{
    memset(w->slots, 0xff, w->slots_cap * sizeof *w->slots);
    w->cells_count = 0;
    for (uint32_t i = 0; i < w->c->leaves_count; i++) {
        const struct rootcause_leaf *l = &w->c->leaves[i];
        w->cell_of[i] = ROOTCAUSE_NIL;
        if (skip[i] != 0) {
            continue;
        }
        uint32_t at = home(w, q, l);
        while (w->slots[at] != ROOTCAUSE_NIL &&
               !same_cell(q, l, &w->c->leaves[w->cells[w->slots[at]].first])) {
            at = (at + 1) & (w->slots_cap - 1);
        }
        if (w->slots[at] == ROOTCAUSE_NIL) {
            w->slots[at] = w->cells_count;
            w->cells[w->cells_count++] = (struct rootcause_sum){.first = i};
        }
        struct rootcause_sum *cell = &w->cells[w->slots[at]];
        cell->before += l->before * w->c->scale;
        cell->now += l->now;
        cell->leaves++;
        w->cell_of[i] = w->slots[at];
    }
}

bool rootcause_cuboid_next(struct rootcause_cuboid *q, uint32_t layer, uint32_t dims)
{
    if (layer > dims || layer > ROOTCAUSE_LAYERS_MAX) {
        return false;
    }
    if (q->dims_count != layer) {
        q->dims_count = layer;
        for (uint32_t i = 0; i < layer; i++) {
            q->dims[i] = i;
        }
        return true;
    }
    for (uint32_t i = layer; i-- > 0;) {
        if (q->dims[i] + (layer - i) < dims) {
            q->dims[i]++;
            for (uint32_t k = i + 1; k < layer; k++) {
                q->dims[k] = q->dims[k - 1] + 1;
            }
            return true;
        }
    }
    return false;
}

uint32_t rootcause_cuboids(uint32_t layer, uint32_t dims)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < layer; i++) {
        n = n * (dims - i) / (i + 1);
    }
    return n;
}

static int element_cmp(const void *a, const void *b)
{
    const uint16_t *x = a;
    const uint16_t *y = b;
    for (uint32_t i = 0; i < ROOTCAUSE_LAYERS_MAX; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

void rootcause_cause_of(const struct rootcause_work *w, const struct rootcause_cuboid *q,
                        const uint32_t *cells, uint32_t count, struct rootcause_cause *out)
{
    double before = 0;
    double now = 0;
    for (uint32_t i = 0; i < w->c->leaves_count; i++) {
        before += w->c->leaves[i].before;
        now += w->c->leaves[i].now;
    }
    before *= w->c->scale;
    *out = (struct rootcause_cause){.dims_count = q->dims_count, .elements_count = count};
    memcpy(out->dims, q->dims, sizeof out->dims);
    ASSERT(count <= ROOTCAUSE_ELEMENTS_MAX);
    for (uint32_t k = 0; k < count; k++) {
        const struct rootcause_sum *cell = &w->cells[cells[k]];
        for (uint32_t i = 0; i < q->dims_count; i++) {
            out->elements[k][i] = w->c->leaves[cell->first].values[q->dims[i]];
        }
        out->before += cell->before;
        out->now += cell->now;
        out->surprise += rootcause_surprise(before > 0 ? cell->before / before : 0,
                                            now > 0 ? cell->now / now : 0);
    }
    qsort(out->elements, count, sizeof *out->elements, element_cmp);
    out->explained = now == before ? 0 : (out->now - out->before) / (now - before);
}
