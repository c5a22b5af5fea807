/* What the tests of rootcause/ share: cubes with seeded contents. Not linked into the program. */
#ifndef ENGINES_ROOTCAUSE_CUBES_TESTING_INT_H
#define ENGINES_ROOTCAUSE_CUBES_TESTING_INT_H

#include "base/rng.h"
#include "base/test.h"
#include "engines/rootcause/rootcause.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CUBES_LEAVES_MAX 8192

/* A cube over all combinations of `values`; the caller fills before and now. */
struct cube_world {
    struct mem mem;
    struct arena a;
    struct rng rng;
    uint32_t values[ROOTCAUSE_DIMS_MAX];
    struct rootcause_leaf leaves[CUBES_LEAVES_MAX];
    struct rootcause_cube c;
};

/* The caller frees it with cube_world_free. */
static inline struct cube_world *cube_world_new(uint64_t seed)
{
    struct cube_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, 64 << 20);
    rng_init(&w->rng, seed);
    return w;
}

static inline void cube_world_free(struct cube_world *w)
{
    arena_release(&w->a);
    assert_int_equal(w->mem.bytes, 0);
    free(w);
}

static inline void cube_fill(struct cube_world *w, const uint32_t *values, uint32_t dims)
{
    uint32_t count = 1;
    for (uint32_t d = 0; d < dims; d++) {
        w->values[d] = values[d];
        count *= values[d];
    }
    assert_in_range(count, 1, CUBES_LEAVES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rest = i;
        w->leaves[i] = (struct rootcause_leaf){0};
        for (uint32_t d = 0; d < dims; d++) {
            w->leaves[i].values[d] = (uint16_t)(rest % values[d]);
            rest /= values[d];
        }
    }
    w->c = (struct rootcause_cube){
        .leaves = w->leaves, .leaves_count = count, .dims_count = dims, .scale = 1, .unit = 1};
}

/* A cause to be found. */
struct cube_truth {
    uint32_t dims_count, dims[ROOTCAUSE_LAYERS_MAX];
    uint32_t elements_count;
    uint16_t elements[ROOTCAUSE_ELEMENTS_MAX][ROOTCAUSE_LAYERS_MAX];
    double factor;
};

static inline bool cube_in(const struct cube_truth *t, const struct rootcause_leaf *l)
{
    for (uint32_t i = 0; i < t->elements_count; i++) {
        bool in = true;
        for (uint32_t d = 0; d < t->dims_count; d++) {
            in = in && l->values[t->dims[d]] == t->elements[i][d];
        }
        if (in) {
            return true;
        }
    }
    return false;
}

static inline bool cube_has(const struct rootcause_cause *c, const uint16_t *element)
{
    for (uint32_t i = 0; i < c->elements_count; i++) {
        if (memcmp(c->elements[i], element, c->dims_count * sizeof *element) == 0) {
            return true;
        }
    }
    return false;
}

/* The same cuboid and the same elements. */
static inline bool cube_named(const struct rootcause_cause *c, const struct cube_truth *t)
{
    if (c->dims_count != t->dims_count || c->elements_count != t->elements_count ||
        memcmp(c->dims, t->dims, t->dims_count * sizeof *t->dims) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < t->elements_count; i++) {
        if (!cube_has(c, t->elements[i])) {
            return false;
        }
    }
    return true;
}

/* Random distinct dimensions in rising order, and distinct elements. */
static inline void cube_truth_draw(struct cube_world *w, uint32_t layer, uint32_t elements,
                                   struct cube_truth *t)
{
    *t = (struct cube_truth){.dims_count = layer};
    while (t->elements_count == 0) {
        uint32_t mask = 0;
        while ((uint32_t)__builtin_popcount(mask) < layer) {
            mask |= 1u << rng_below(&w->rng, w->c.dims_count);
        }
        for (uint32_t d = 0, k = 0; d < w->c.dims_count; d++) {
            if ((mask >> d & 1) != 0) {
                t->dims[k++] = d;
            }
        }
        while (t->elements_count < elements) {
            struct rootcause_cause seen = {.dims_count = layer,
                                           .elements_count = t->elements_count};
            memcpy(seen.elements, t->elements, sizeof seen.elements);
            uint16_t *to = t->elements[t->elements_count];
            for (uint32_t d = 0; d < layer; d++) {
                to[d] = (uint16_t)rng_below(&w->rng, w->values[t->dims[d]]);
            }
            t->elements_count += !cube_has(&seen, to);
        }
    }
}

#endif
