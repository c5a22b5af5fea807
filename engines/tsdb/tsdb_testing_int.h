/* What the tests of the store share: a store on a simulated machine, and the model it is compared
 * with (a map of series to samples). For tests only. */
#ifndef ENGINES_TSDB_TSDB_TESTING_INT_H
#define ENGINES_TSDB_TSDB_TESTING_INT_H

#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/commit_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_SERIES 24
#define MODEL_T0     1767225600000LL /* the simulated clock's start */

/* A sample of the model. `maybe`: its batch was answered with an error or not at all, so that it
 * may be stored or not. */
struct model_sample {
    int64_t t;
    uint64_t bits; /* of a double; or the seed of a histogram */
    int64_t st;
    bool hist, maybe;
};

struct model_series {
    struct model_sample *v; /* by t */
    size_t n, cap;
};

struct model {
    struct model_series s[MODEL_SERIES];
};

static inline struct model_sample *model_find(struct model *m, uint32_t k, int64_t t)
{
    for (size_t i = 0; i < m->s[k].n; i++) {
        if (m->s[k].v[i].t == t) {
            return &m->s[k].v[i];
        }
    }
    return NULL;
}

static inline void model_put(struct model *m, uint32_t k, struct model_sample x)
{
    struct model_series *s = &m->s[k];
    if (s->n == s->cap) {
        s->cap = s->cap * 2 + 16;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        assert_non_null(s->v);
    }
    size_t at = s->n;
    while (at > 0 && s->v[at - 1].t > x.t) {
        s->v[at] = s->v[at - 1];
        at--;
    }
    s->v[at] = x;
    s->n++;
}

static inline void model_release(struct model *m)
{
    for (size_t i = 0; i < MODEL_SERIES; i++) {
        free(m->s[i].v);
    }
    memset(m, 0, sizeof *m);
}

/* Histogram number `seed`, small. */
static inline struct nhist *testing_hist(uint64_t seed, struct arena *a)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    h->schema = (int32_t)(seed % 5);
    h->integer = true;
    h->zero_threshold = 1e-9;
    h->zero_count = (double)(seed % 3);
    h->pos.spans_n = 1;
    h->pos.spans = ARENA_ARRAY(a, struct nhist_span, 1);
    h->pos.spans[0] = (struct nhist_span){(int32_t)(seed % 11) - 5, 3};
    h->pos.counts_n = 3;
    h->pos.counts = ARENA_ARRAY(a, double, 3);
    h->count = h->zero_count;
    for (uint32_t i = 0; i < 3; i++) {
        h->pos.counts[i] = (double)((seed >> i) % 100);
        h->count += h->pos.counts[i];
    }
    h->sum = (double)seed * 0.25;
    return h;
}

struct store {
    struct simos *sim;
    const struct os *os;
    struct tsdb_config config;
    struct tsdb *db;
    struct mem mem;
    struct tsdb_batch *batch;
    uint32_t ref[MODEL_SERIES];
};

#define STORE_DIR "/store"

static inline struct labels testing_labels(uint32_t k, struct label out[3], char text[3][32])
{
    snprintf(text[0], 32, "metric_%u", k % 5);
    snprintf(text[1], 32, "host-%u", k);
    snprintf(text[2], 32, "job-%u", k % 3);
    out[0] = (struct label){STR("__name__"), str_from_c(text[0])};
    out[1] = (struct label){STR("instance"), str_from_c(text[1])};
    out[2] = (struct label){STR("job"), str_from_c(text[2])};
    return (struct labels){out, 3};
}

static inline void store_init(struct store *s, uint64_t seed)
{
    *s = (struct store){.sim = simos_new(seed)};
    s->os = simos_os(s->sim);
    mem_init(&s->mem, 0);
    s->batch = tsdb_batch_new(&s->mem, 1 << 22);
    assert_non_null(s->batch);
    tsdb_config_default(&s->config);
    s->config.dir = STORE_DIR;
    s->config.retention_ms = 0;
}

static inline bool store_open(struct store *s, struct err *e)
{
    *e = (struct err){.code = ERR_NONE};
    return tsdb_open(&s->db, &s->config, s->os, NULL, e);
}

static inline void store_open_ok(struct store *s)
{
    struct err e;
    if (!store_open(s, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

static inline void store_close(struct store *s)
{
    tsdb_close(s->db);
    s->db = NULL;
}

static inline void store_release(struct store *s)
{
    tsdb_batch_free(s->batch);
    assert_int_equal(s->mem.bytes, 0);
    simos_free(s->sim);
}

/* The ids of the model's series; false when the store cannot say. */
static inline bool store_refs(struct store *s, struct err *e)
{
    for (uint32_t k = 0; k < MODEL_SERIES; k++) {
        struct label l[3];
        char text[3][32];
        if (!tsdb_series(s->db, 0, testing_labels(k, l, text), &s->ref[k], e)) {
            return false;
        }
    }
    return true;
}

static inline void assert_sample(const struct tsdb_column *c, uint32_t i,
                                 const struct model_sample *x)
{
    assert_int_equal(c->t[i], x->t);
    assert_int_equal(c->st != NULL ? c->st[i] : 0, x->st);
    if (x->hist) {
        struct mem m;
        struct arena a;
        mem_init(&m, 0);
        arena_init(&a, &m, 1 << 20);
        assert_non_null(c->h);
        assert_non_null(c->h[i]);
        assert_true(nhist_same(c->h[i], testing_hist(x->bits, &a)));
        arena_release(&a);
    } else {
        uint64_t bits;
        assert_true(c->h == NULL || c->h[i] == NULL);
        memcpy(&bits, &c->v[i], sizeof bits);
        assert_int_equal(bits, x->bits);
    }
}

/* What a view reads of series k in [from, to] is what the model has, in order, once; of what may be
 * there, some. With settle, the model learns which. */
static inline void assert_series(struct store *s, struct tsdb_view *v, struct model *m, uint32_t k,
                                 int64_t from, int64_t to, bool settle)
{
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    tsdb_column_init(&c, &s->mem);
    if (!tsdb_read(v, s->ref[k], from, to, 1000000, &c, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    struct model_series *x = &m->s[k];
    uint32_t i = 0;
    size_t kept = 0;
    for (size_t j = 0; j < x->n; j++) {
        bool in = x->v[j].t >= from && x->v[j].t <= to;
        bool there = in && i < c.n && c.t[i] == x->v[j].t;
        if (in && !there && !x->v[j].maybe) {
            print_error("series %u: sample at %lld is missing (%u of %zu read)\n", k,
                        (long long)x->v[j].t, c.n, x->n);
            fail();
        }
        if (there) {
            assert_sample(&c, i, &x->v[j]);
            i++;
        }
        if (settle && in && !there) {
            continue;
        }
        x->v[kept] = x->v[j];
        x->v[kept].maybe &= !(settle && in);
        kept++;
    }
    x->n = kept;
    if (i != c.n) {
        print_error("series %u: a sample at %lld that nobody wrote\n", k, (long long)c.t[i]);
        fail();
    }
    tsdb_column_release(&c);
}

static inline void assert_model(struct store *s, struct model *m, bool settle)
{
    struct tsdb_view *v;
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_view_open(s->db, &v, &e));
    for (uint32_t k = 0; k < MODEL_SERIES; k++) {
        assert_series(s, v, m, k, INT64_MIN, INT64_MAX, settle);
    }
    tsdb_view_close(v);
}

#endif
