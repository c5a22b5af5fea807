/* The table of functions (fn/functions.def) and how the evaluator calls them.
 *
 * FN(name, kind, returns, args, experimental, impl, help): `args` is a string of types, one letter
 * each: s scalar, v instant vector, m range vector, t string; "?" makes the one before optional,
 * "*" repeats it. Kinds:
 *   RANGE   one series and one window in, one value out (rate, sum_over_time ...)
 *   MAP     one value in, one value out, labels kept without the name (abs, clamp, hour ...)
 *   WHOLE   the rest: implemented by the evaluator (eval_whole.c) or the histogram file, which see
 *           whole vectors of one step or labels (label_replace, absent, sort, histogram_quantile,
 *           info, time, vector, scalar ...) */
#ifndef ENGINES_PROMQL_FUNCTIONS_INT_H
#define ENGINES_PROMQL_FUNCTIONS_INT_H

#include "engines/promql/ast_int.h"

enum value_kind { VALUE_NONE, VALUE_FLOAT, VALUE_HIST };

/* A sample without its time. h borrows the step's arena or the column. */
struct value {
    enum value_kind kind;
    double f;
    const struct nhist *h;
};

/* Samples of one series inside (from_ms, to_ms], stale markers removed. For anchored and smoothed
 * selectors the samples just outside are there too (extended), as the modifier wants. */
struct window {
    const int64_t *t;
    const double *v;
    struct nhist *const *h; /* NULL: all floats */
    const int64_t *st;      /* NULL: no start timestamps */
    uint32_t n;
    int64_t from_ms, to_ms; /* range start (exclusive) and end, after offset and @ */
    int64_t range_ms;
    bool anchored, smoothed;
};

/* Annotations, kept once each (annotations.c). pos is the node's place in the query. */
struct notes;
void note_warn(struct notes *n, struct pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
void note_info(struct notes *n, struct pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What a function sees beside its values. */
struct fn_call {
    const struct promql_node *node; /* the call; arguments' positions are in it */
    struct arena *arena;            /* of the step or batch: results live here */
    struct notes *notes;
    struct str metric;   /* name of the series at hand, for annotations; may be empty */
    const double *args;  /* scalar arguments at this step, by argument place (0 for others) */
    int64_t step_t_ms;   /* evaluation time of the step */
    int64_t sample_t_ms; /* MAP: time of the input sample (timestamp()) */
    unsigned flags;
};

/* false only when memory ran out (e set). out->kind VALUE_NONE: no sample at this step. */
typedef bool (*fn_range)(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e);
typedef bool (*fn_map)(struct fn_call *c, const struct value *in, struct value *out, struct err *e);

enum function_kind { FUNCTION_RANGE, FUNCTION_MAP, FUNCTION_WHOLE };

struct function {
    const char *name;
    enum function_kind kind;
    enum promql_type returns;
    const char *args;
    bool experimental;
    fn_range range;
    fn_map map;
    const char *help;
};
/* NULL when unknown. The table is sorted by name. */
const struct function *function_find(struct str name);
const struct function *function_table(uint32_t *count);

#endif
