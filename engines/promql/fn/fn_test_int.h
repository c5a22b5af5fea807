/* A call without a query around it, for the tests of single functions. */
#ifndef ENGINES_PROMQL_FN_TEST_INT_H
#define ENGINES_PROMQL_FN_TEST_INT_H

#include "base/test.h"
#include "engines/promql/eval_int.h"
#include "engines/promql/fn/fn_int.h"
#include "engines/promql/hist_test_int.h"

struct fn_test {
    struct mem mem;
    struct arena arena;
    struct notes notes;
    struct promql_node node, arg;
    struct promql_node *args_of_node[4];
    double args[4];
    struct fn_call call;
    struct err e;
};

static inline void fn_test_begin(struct fn_test *t, uint32_t args_n)
{
    *t = (struct fn_test){0};
    mem_init(&t->mem, 0);
    arena_init(&t->arena, &t->mem, HIST_TEST_BYTES);
    notes_init(&t->notes, &t->arena);
    for (uint32_t i = 0; i < ARRAY_LEN(t->args_of_node); i++) {
        t->args_of_node[i] = &t->arg;
    }
    t->node.u.call.args = (struct node_list){t->args_of_node, args_n};
    t->call = (struct fn_call){.node = &t->node,
                               .arena = &t->arena,
                               .notes = &t->notes,
                               .metric = STR("m"),
                               .args = t->args};
}

static inline void fn_test_end(struct fn_test *t)
{
    arena_release(&t->arena);
    assert_int_equal(t->mem.bytes, 0);
}

static inline bool fn_test_noted(const struct fn_test *t, const char *text)
{
    for (const struct note *n = t->notes.first; n != NULL; n = n->next) {
        if (str_eq(n->text, str_from_c(text))) {
            return true;
        }
    }
    return false;
}

/* A window of the samples in (from, to]. */
static inline struct window fn_test_window(uint32_t n, const int64_t *t, const double *v,
                                           int64_t from, int64_t to)
{
    return (struct window){
        .t = t, .v = v, .n = n, .from_ms = from, .to_ms = to, .range_ms = to - from};
}

/* The function's float answer, which must be there. */
static inline double fn_test_float(struct fn_test *t, fn_range f, const struct window *w)
{
    struct value out = {0};
    assert_true(f(&t->call, w, &out, &t->e));
    assert_int_equal(out.kind, VALUE_FLOAT);
    return out.f;
}

static inline bool fn_test_none(struct fn_test *t, fn_range f, const struct window *w)
{
    struct value out = {.kind = VALUE_FLOAT};
    assert_true(f(&t->call, w, &out, &t->e));
    return out.kind == VALUE_NONE;
}

static inline const struct nhist *fn_test_hist(struct fn_test *t, fn_range f,
                                               const struct window *w)
{
    struct value out = {0};
    assert_true(f(&t->call, w, &out, &t->e));
    assert_int_equal(out.kind, VALUE_HIST);
    return out.h;
}

#endif
