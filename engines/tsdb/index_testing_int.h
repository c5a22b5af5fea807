/* An index with helpers, for the tests and the benchmark of it. */
#ifndef ENGINES_TSDB_INDEX_TESTING_INT_H
#define ENGINES_TSDB_INDEX_TESTING_INT_H

#include "base/rng.h"
#include "engines/tsdb/index_int.h"

#include <stdio.h>
#include <stdlib.h>

struct ix {
    struct mem mem;
    struct index *x;
};

static inline void ix_init(struct ix *t, uint32_t series_max)
{
    struct err e;
    mem_init(&t->mem, 0);
    if (!index_new(&t->mem, series_max, &t->x, &e)) {
        abort();
    }
}

static inline void ix_release(struct ix *t)
{
    index_free(t->x);
    ASSERT(t->mem.bytes == 0);
}

/* "a=1,b=2" in order of names. */
static inline uint32_t ix_labels(const char *text, struct label *v)
{
    uint32_t n = 0;
    struct str s = str_from_c(text);
    while (s.n > 0) {
        struct str_cut pair = str_cut(s, ',');
        struct str_cut value = str_cut(pair.head, '=');
        v[n++] = (struct label){value.head, value.tail};
        s = pair.tail;
    }
    return n;
}

static inline uint32_t ix_add(struct ix *t, const char *text)
{
    struct label v[32];
    uint32_t n = ix_labels(text, v);
    uint32_t ref = 0;
    bool is_new;
    struct err e;
    ASSERT(index_series(t->x, 0, (struct labels){v, n}, &ref, &is_new, &e));
    return ref;
}

static inline uint32_t ix_find(struct ix *t, const char *text)
{
    struct label v[32];
    uint32_t n = ix_labels(text, v);
    return index_find(t->x, (struct labels){v, n});
}

/* A random set out of a few names and values, so that sets overlap. */
static inline uint32_t ix_add_any(struct ix *t, struct rng *r)
{
    static const char *const names[] = {"A", "__name__", "a", "b", "job", "le", "zone"};
    static const uint32_t values[] = {3, 20, 6, 40, 2, 200, 3};
    char text[7][16];
    struct label v[7];
    uint32_t n = 0;
    while (n == 0) {
        for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
            if (rng_below(r, 3) == 0) {
                continue;
            }
            int k = snprintf(text[n], sizeof text[n], "v%u", (uint32_t)rng_below(r, values[i]));
            v[n] = (struct label){str_from_c(names[i]), str_of(text[n], (size_t)k)};
            n++;
        }
    }
    uint32_t ref = 0;
    bool is_new;
    struct err e;
    ASSERT(index_series(t->x, 0, (struct labels){v, n}, &ref, &is_new, &e));
    return ref;
}

/* Drops about one series in `part`. */
static inline void ix_drop_some(struct ix *t, struct rng *r, uint32_t part)
{
    for (uint32_t ref = 1; ref < index_refs_end(t->x); ref++) {
        if (rng_below(r, part) == 0) {
            index_drop(t->x, &ref, 1);
        }
    }
}

#endif
