/* The source of testing_int.h: arrays of series, a linear search, text compared as text. */
#include "engines/promql/testing_int.h"

#include "codec/regex.h"

#include <stdlib.h>

#define SERIES_MAX   (1U << 24)
#define SAMPLES_MAX  (1U << 28)
#define MATCHERS_MAX 64

struct sample {
    int64_t t, st;
    double v;
    struct nhist *h;
};
struct series {
    uint32_t *pairs;
    uint32_t n;
    struct sample *samples;
    size_t samples_cap;
    uint32_t samples_n;
};
struct memory_source {
    struct mem *mem;
    struct arena arena; /* labels, histograms */
    struct label *pairs;
    size_t pairs_cap;
    uint32_t pairs_n;
    struct series *series;
    size_t series_cap;
    uint32_t series_n;
};

struct memory_source *memory_source_new(struct mem *m)
{
    struct memory_source *s = mem_take(m, sizeof *s);
    if (s != NULL) {
        s->mem = m;
        arena_init(&s->arena, m, SIZE_MAX / 2);
    }
    return s;
}

void memory_source_clear(struct memory_source *s)
{
    for (uint32_t i = 0; i < s->series_n; i++) {
        mem_give(s->mem, s->series[i].samples,
                 s->series[i].samples_cap * sizeof *s->series[i].samples);
    }
    s->series_n = 0;
    s->pairs_n = 0;
    arena_reset(&s->arena);
}

void memory_source_free(struct memory_source *s)
{
    if (s == NULL) {
        return;
    }
    memory_source_clear(s);
    arena_release(&s->arena);
    mem_give(s->mem, s->pairs, s->pairs_cap * sizeof *s->pairs);
    mem_give(s->mem, s->series, s->series_cap * sizeof *s->series);
    mem_give(s->mem, s, sizeof *s);
}

static uint32_t pair_of(struct memory_source *s, struct label l)
{
    for (uint32_t i = 0; i < s->pairs_n; i++) {
        if (str_eq(s->pairs[i].name, l.name) && str_eq(s->pairs[i].value, l.value)) {
            return i;
        }
    }
    void *p = s->pairs;
    if (!mem_array_grow(s->mem, &p, &s->pairs_cap, (size_t)s->pairs_n + 1, SERIES_MAX,
                        sizeof *s->pairs)) {
        return UINT32_MAX;
    }
    s->pairs = p;
    s->pairs[s->pairs_n] =
        (struct label){arena_str(&s->arena, l.name), arena_str(&s->arena, l.value)};
    return s->pairs_n++;
}

uint32_t memory_source_series(struct memory_source *s, struct labels ls)
{
    struct label v[LABELS_COUNT_MAX];
    uint32_t ids[LABELS_COUNT_MAX];
    uint32_t n = ls.n;
    struct err e;
    if (n > LABELS_COUNT_MAX) {
        return 0;
    }
    memcpy(v, ls.v, n * sizeof *v);
    if (!labels_normalize(v, &n, &e)) {
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = pair_of(s, v[i]);
        if (ids[i] == UINT32_MAX) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < s->series_n; i++) {
        if (s->series[i].n == n && memcmp(s->series[i].pairs, ids, n * sizeof *ids) == 0) {
            return i + 1;
        }
    }
    void *p = s->series;
    uint32_t *copy = ARENA_ARRAY(&s->arena, uint32_t, size_max(n, 1));
    if (copy == NULL || !mem_array_grow(s->mem, &p, &s->series_cap, (size_t)s->series_n + 1,
                                        SERIES_MAX, sizeof *s->series)) {
        return 0;
    }
    s->series = p;
    memcpy(copy, ids, n * sizeof *ids);
    s->series[s->series_n] = (struct series){.pairs = copy, .n = n};
    return ++s->series_n;
}

bool memory_source_add(struct memory_source *s, uint32_t id, int64_t t_ms, int64_t st_ms, double v,
                       const struct nhist *h)
{
    struct series *x = &s->series[id - 1];
    void *p = x->samples;
    struct sample fresh = {t_ms, st_ms, v, NULL};
    if (h != NULL) {
        fresh.h = nhist_copy(h, &s->arena);
        fresh.v = h->sum;
        if (fresh.h == NULL) {
            return false;
        }
    }
    uint32_t at = x->samples_n;
    while (at > 0 && x->samples[at - 1].t >= t_ms) {
        at--;
    }
    if (at < x->samples_n && x->samples[at].t == t_ms) {
        x->samples[at] = fresh;
        return true;
    }
    if (!mem_array_grow(s->mem, &p, &x->samples_cap, (size_t)x->samples_n + 1, SAMPLES_MAX,
                        sizeof *x->samples)) {
        return false;
    }
    x->samples = p;
    memmove(&x->samples[at + 1], &x->samples[at], (x->samples_n - at) * sizeof *x->samples);
    x->samples[at] = fresh;
    x->samples_n++;
    return true;
}

static struct str value_of(const struct memory_source *s, const struct series *x, struct str name)
{
    for (uint32_t i = 0; i < x->n; i++) {
        if (str_eq(s->pairs[x->pairs[i]].name, name)) {
            return s->pairs[x->pairs[i]].value;
        }
    }
    return (struct str){0};
}

static bool holds(const struct matcher *m, const struct regex *re, struct str value)
{
    switch (m->op) {
    case MATCH_EQ: return str_eq(m->value, value);
    case MATCH_NE: return !str_eq(m->value, value);
    case MATCH_RE: return regex_match(re, value);
    case MATCH_NRE: return !regex_match(re, value);
    }
    return false;
}

static bool in_time(const struct series *x, int64_t from_ms, int64_t to_ms)
{
    return x->samples_n > 0 && from_ms <= to_ms && x->samples[0].t <= to_ms &&
           x->samples[x->samples_n - 1].t >= from_ms;
}

struct by_labels {
    const struct memory_source *s;
    uint32_t id;
};

static int label_order(const struct memory_source *s, uint32_t a, uint32_t b)
{
    int c = str_cmp(s->pairs[a].name, s->pairs[b].name);
    return c != 0 ? c : str_cmp(s->pairs[a].value, s->pairs[b].value);
}

static int order(const void *pa, const void *pb)
{
    const struct by_labels *a = pa;
    const struct by_labels *b = pb;
    const struct series *x = &a->s->series[a->id - 1];
    const struct series *y = &b->s->series[b->id - 1];
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        int c = label_order(a->s, x->pairs[i], y->pairs[i]);
        if (c != 0) {
            return c;
        }
    }
    return x->n < y->n ? -1 : x->n > y->n;
}

static bool find(struct memory_source *s, const struct matcher *m, uint32_t m_n,
                 struct regex *const *re, int64_t from_ms, int64_t to_ms, struct arena *a,
                 uint32_t **ids, uint32_t *n)
{
    struct by_labels *found = ARENA_ARRAY(a, struct by_labels, size_max(s->series_n, 1));
    *ids = ARENA_ARRAY(a, uint32_t, size_max(s->series_n, 1));
    *n = 0;
    if (found == NULL || *ids == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < s->series_n; i++) {
        bool all = in_time(&s->series[i], from_ms, to_ms);
        for (uint32_t j = 0; all && j < m_n; j++) {
            all = holds(&m[j], re[j], value_of(s, &s->series[i], m[j].name));
        }
        if (all) {
            found[(*n)++] = (struct by_labels){s, i + 1};
        }
    }
    qsort(found, *n, sizeof *found, order);
    for (uint32_t i = 0; i < *n; i++) {
        (*ids)[i] = found[i].id;
    }
    return true;
}

static bool source_select(void *ctx, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                          int64_t to_ms, uint32_t series_max, struct arena *a, uint32_t **ids,
                          uint32_t *n, struct err *e)
{
    struct memory_source *s = ctx;
    struct regex *re[MATCHERS_MAX] = {0};
    if (m_n > MATCHERS_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d matchers", MATCHERS_MAX);
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < m_n; i++) {
        if (m[i].op == MATCH_RE || m[i].op == MATCH_NRE) {
            ok = regex_new(s->mem, m[i].value, true, &re[i], e);
        }
    }
    if (ok && !find(s, m, m_n, re, from_ms, to_ms, a, ids, n)) {
        ok = err_set(e, ERR_LIMIT, "no memory for a selection");
    }
    for (uint32_t i = 0; i < m_n; i++) {
        regex_free(re[i]);
    }
    return ok && (*n <= series_max || err_set(e, ERR_LIMIT, "more than %u series", series_max));
}

static const uint32_t *source_pairs(void *ctx, uint32_t id, uint32_t *n)
{
    const struct memory_source *s = ctx;
    *n = s->series[id - 1].n;
    return s->series[id - 1].pairs;
}

static struct label source_pair(void *ctx, uint32_t pair)
{
    const struct memory_source *s = ctx;
    return s->pairs[pair];
}

/* Histograms and start timestamps live in the column's arena until the next read. */
static bool column_room(struct tsdb_column *c, size_t n, bool hists, bool starts)
{
    void *t = c->t;
    void *v = c->v;
    bool ok = mem_array_grow(c->mem, &t, &c->t_cap, n, SAMPLES_MAX, sizeof *c->t);
    c->t = t;
    ok = ok && mem_array_grow(c->mem, &v, &c->v_cap, n, SAMPLES_MAX, sizeof *c->v);
    c->v = v;
    arena_reset(&c->hists);
    c->h = hists ? ARENA_ARRAY(&c->hists, struct nhist *, n) : NULL;
    c->st = starts ? ARENA_ARRAY(&c->hists, int64_t, n) : NULL;
    return ok && (!hists || c->h != NULL) && (!starts || c->st != NULL);
}

static bool source_read(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms,
                        uint32_t samples_max, struct tsdb_column *c, struct err *e)
{
    const struct memory_source *s = ctx;
    const struct series *x = &s->series[id - 1];
    uint32_t lo = 0;
    while (lo < x->samples_n && x->samples[lo].t < from_ms) {
        lo++;
    }
    uint32_t hi = lo;
    bool hists = false;
    bool starts = false;
    for (; hi < x->samples_n && x->samples[hi].t <= to_ms; hi++) {
        hists = hists || x->samples[hi].h != NULL;
        starts = starts || x->samples[hi].st != 0;
    }
    if (hi - lo > samples_max) {
        return err_set(e, ERR_LIMIT, "more than %u samples", samples_max);
    }
    if (!column_room(c, size_max(hi - lo, 1), hists, starts)) {
        return err_set(e, ERR_NOMEM, "no memory for a column");
    }
    c->n = hi - lo;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct sample *p = &x->samples[lo + i];
        c->t[i] = p->t;
        c->v[i] = p->v;
        if (hists) {
            c->h[i] = p->h;
        }
        if (starts) {
            c->st[i] = p->st;
        }
    }
    return true;
}

struct promql_source memory_source_of(struct memory_source *s)
{
    return (struct promql_source){s, source_select, source_pairs, source_pair, source_read, NULL};
}
