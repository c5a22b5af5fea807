/* What the tests of the evaluator share: series in memory, queries of them, answers compared. For
 * tests only. */
#ifndef ENGINES_PROMQL_EVAL_TEST_INT_H
#define ENGINES_PROMQL_EVAL_TEST_INT_H

#include "base/test.h"
#include "engines/promql/eval_int.h"
#include "engines/promql/testing_int.h"

#define WORLD_BYTES_MAX (64U << 20)

struct world {
    struct mem *mem;
    struct arena arena;
    struct memory_source *source;
    struct promql_query q;
    struct promql_result r;
    enum promql_failure why;
    struct err e;
};

static inline void world_init(struct world *w, struct mem *m)
{
    *w = (struct world){.mem = m};
    arena_init(&w->arena, m, WORLD_BYTES_MAX);
    w->source = memory_source_new(m);
}

static inline void world_release(struct world *w)
{
    memory_source_free(w->source);
    arena_release(&w->arena);
}

/* "name{a="b"} 1 2 3", a sample a minute. */
static inline bool load(struct world *w, const char *line)
{
    struct promql_points p;
    if (w->source == NULL || !promql_series_line(str_from_c(line), &w->arena, &p, &w->e)) {
        return false;
    }
    uint32_t id = memory_source_series(w->source, p.labels);
    for (uint32_t i = 0; i < p.n; i++) {
        if (id == 0 || (!p.gap[i] &&
                        !memory_source_add(w->source, id, (int64_t)i * 60000, 0, p.v[i], p.h[i]))) {
            return false;
        }
    }
    return true;
}

static inline bool eval_at(struct world *w, const char *text, int64_t start, int64_t end,
                           int64_t step)
{
    struct promql_node *n;
    if (!promql_parse(str_from_c(text), PROMQL_ALL_FLAGS, &w->arena, &n, &w->e)) {
        return false;
    }
    w->q.expr = n;
    w->q.text = str_from_c(text);
    w->q.source = memory_source_of(w->source);
    w->q.start_ms = start;
    w->q.end_ms = end;
    w->q.step_ms = step;
    w->q.mem = w->mem;
    return promql_eval(&w->q, &w->arena, &w->r, &w->why, &w->e);
}

static inline struct str labels_text(struct world *w, uint32_t i)
{
    struct buf b;
    buf_init(&b, w->mem, 4096);
    labels_print(w->r.series[i].labels, &b);
    struct str s = arena_str(&w->arena, buf_str(&b));
    buf_release(&b);
    return s;
}

static inline bool same_results(const struct promql_result *a, const struct promql_result *b)
{
    if (a->series_n != b->series_n) {
        return false;
    }
    for (uint32_t i = 0; i < a->series_n; i++) {
        const struct promql_series *x = &a->series[i];
        const struct promql_series *y = &b->series[i];
        if (!labels_eq(x->labels, y->labels) || x->n != y->n) {
            return false;
        }
        for (uint32_t j = 0; j < x->n; j++) {
            if (x->samples[j].t_ms != y->samples[j].t_ms ||
                memcmp(&x->samples[j].v, &y->samples[j].v, sizeof(double)) != 0) {
                return false;
            }
        }
    }
    return true;
}

#endif
