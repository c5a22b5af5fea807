/* The table of functions (fn/functions.def) and how the evaluator calls them.
 *
 * FN(name, kind, returns, args, flags, impl, help): `args` is a string of types, one letter each: s
 * scalar, v instant vector, m range vector, t string; "?" makes the one before optional, "*" lets
 * it come any number of times, also none. Kinds:
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

/* histogram_quantile and histogram_fraction of one native histogram, with the notes on NaN
 * observations. pos is the histogram argument's, metric the series' name. */
double note_hist_quantile(double q, const struct nhist *h, struct notes *n, struct pos pos,
                          struct str metric);
double note_hist_fraction(double lower, double upper, const struct nhist *h, struct notes *n,
                          struct pos pos, struct str metric);
/* The warning about a quantile outside 0..1; nothing when it is inside. */
void note_bad_quantile(double q, struct notes *n, struct pos pos);
/* A double as Go's %g: shortest digits, exponent form ("1e+06") below 1e-4 and from 1e6 on; NaN,
 * +Inf, -Inf. For annotations and the text of histograms. */
struct g_text {
    char text[32];
};
struct g_text g_text(double v);

/* What a function sees beside its values. */
struct fn_call {
    const struct promql_node *node; /* the call; arguments' positions are in it */
    struct arena *arena;            /* of the step or batch: results live here */
    struct notes *notes;
    struct str metric;   /* name of the series at hand, for annotations; may be empty */
    const double *args;  /* scalar arguments at this step, by argument place (0 for others) */
    int64_t step_t_ms;   /* evaluation time of the step */
    int64_t sample_t_ms; /* MAP: time of the input sample (timestamp()) */
    /* MAP: start timestamp of the input sample, 0 when it has none; NULL when the query does not
     * use start timestamps or the argument is not a selector (start_timestamp() is then empty). */
    const int64_t *sample_st_ms;
    unsigned flags;
};

/* false: memory ran out, or an argument is refused (ERR_INPUT, e has the text of the query's
 * error). out->kind VALUE_NONE: no sample at this step. */
typedef bool (*fn_range)(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e);
typedef bool (*fn_map)(struct fn_call *c, const struct value *in, struct value *out, struct err *e);

/* rate, increase, delta, irate and idelta of many series at the same steps (fn/fn_steps.c): bit for
 * bit as fn_range gives them window by window, but at a few nanoseconds a step while the series
 * have the same times. Only for floats without start timestamps, over plain ranges (neither
 * anchored nor smoothed). Step i is the window (to - range_ms, to] with to = first_ms + i *
 * step_ms, after offset; with @ use step_ms 0. */
struct fn_step;
struct fn_steps {
    int64_t first_ms, step_ms, range_ms;
    double range_s;
    uint32_t n;
    struct arena *arena; /* outlives it; takes no memory per series */
    struct fn_step *steps;
    int64_t *t; /* times that steps were made for */
    uint32_t *resets;
    uint32_t t_n, t_cap;
    bool planned;
};
bool fn_steps_can(fn_range fn); /* is it one of the five? */
/* false: memory ran out. */
MUST_USE bool fn_steps_init(struct fn_steps *f, int64_t first_ms, int64_t step_ms, uint32_t n,
                            int64_t range_ms, struct arena *a);
/* n samples of a series, stale markers removed, also before and after the windows. has[i] is 1 and
 * v_out[i] set where there is an answer, else has[i] is 0. false: memory ran out. */
MUST_USE bool fn_steps_run(struct fn_steps *f, fn_range fn, const int64_t *t, const double *v,
                           uint32_t n, uint8_t *has, double *v_out);

enum function_flags {
    FUNCTION_EXPERIMENTAL = 1, /* parsed only with PROMQL_EXPERIMENTAL_FUNCTIONS */
    FUNCTION_KEEPS_NAME = 2,   /* the result keeps the metric name */
    FUNCTION_AT_UNSAFE = 4,    /* result depends on the step even when its arguments do not (@) */
    FUNCTION_ANCHORED = 8,     /* allowed over anchored ranges */
    FUNCTION_SMOOTHED = 16,    /* allowed over smoothed ranges */
};

enum function_kind { FUNCTION_RANGE, FUNCTION_MAP, FUNCTION_WHOLE };

struct function {
    const char *name;
    enum function_kind kind;
    enum promql_type returns;
    const char *args;
    bool experimental; /* the same as FUNCTION_EXPERIMENTAL in flags */
    unsigned flags;
    fn_range range;
    fn_map map;
    const char *help;
};
/* NULL when unknown. The table is sorted by name. */
const struct function *function_find(struct str name);
const struct function *function_table(uint32_t *count);

#endif
