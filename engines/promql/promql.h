/* PromQL: text to tree, tree to canonical text, and one evaluator for instant queries, ranges,
 * rules and backtests.
 *
 * The language is Prometheus' of 3.14 (metrics.md section 3): the newest functions and modifiers
 * are parsed when their flag is set. A query is bounded in nesting, samples, series, steps, memory
 * and time, and can be cancelled from another thread. Answers do not depend on the number of
 * threads.
 *
 * thread: a struct promql_node is read-only after promql_parse and may be evaluated by many. */
#ifndef ENGINES_PROMQL_PROMQL_H
#define ENGINES_PROMQL_PROMQL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/labels.h"
#include "codec/nhist.h"
#include "engines/tsdb/tsdb.h"

#include <stdatomic.h>

#define PROMQL_TEXT_BYTES_MAX (1U << 20)
#define PROMQL_DEPTH_MAX      200
#define PROMQL_STEPS_MAX      11000 /* of a range query through the API */

/* Feature flags, named as Prometheus names them (promql-...). */
enum promql_flags {
    PROMQL_EXPERIMENTAL_FUNCTIONS = 1,
    PROMQL_DURATION_EXPR = 2,
    PROMQL_EXTENDED_RANGES = 4, /* anchored, smoothed */
    PROMQL_BINOP_FILL = 8,
    PROMQL_DELAYED_NAME_REMOVAL = 16,
    PROMQL_TYPE_AND_UNIT = 32,
    PROMQL_START_TIMESTAMPS = 64,
};
#define PROMQL_ALL_FLAGS 127

enum promql_type { PROMQL_NONE, PROMQL_SCALAR, PROMQL_VECTOR, PROMQL_MATRIX, PROMQL_STRING };
const char *promql_type_name(enum promql_type t); /* "instant vector"... as in error texts */

struct promql_node;

/* The whole text must be one expression. e: line and col of the trouble, message after "parse
 * error: " as Prometheus words it. The tree lives in the arena and borrows nothing from text.
 * Linear in the text. */
MUST_USE bool promql_parse(struct str text, unsigned flags, struct arena *a,
                           struct promql_node **out, struct err *e);
enum promql_type promql_node_type(const struct promql_node *n);
/* One line, Prometheus' Expr.String(). */
void promql_print(const struct promql_node *n, struct buf *out);
/* Lines of at most 100 columns, Prometheus' Prettify (format_query). */
void promql_format(const struct promql_node *n, struct buf *out);
/* The JSON of /api/v1/parse_query. */
void promql_json(const struct promql_node *n, struct buf *out);
/* {__name__="up",job="x"} or up{job="x"}: matchers of a selector text (match[], series, federate);
 * ERR_INPUT when it is more than a plain selector. */
MUST_USE bool promql_selector(struct str text, struct arena *a, struct matcher **out, uint32_t *n,
                              struct err *e);
/* "metric{label="value"} 1 2x3 stale {{...}}": one line of promqltest and unit-test files. */
struct promql_points {
    struct labels labels;
    uint32_t n;
    bool *gap; /* "_": no sample at this place */
    double *v;
    struct nhist **h; /* NULL where a number stands */
    bool *hint_given; /* counter_reset_hint was written: expected values are then compared in it */
};
MUST_USE bool promql_series_line(struct str text, struct arena *a, struct promql_points *out,
                                 struct err *e);
/* "{__name__="a", b="c"}" or "a{b="c"}" without values. */
MUST_USE bool promql_metric(struct str text, struct arena *a, struct labels *out, struct err *e);

/* Calls each(ctx, ...) for every selector, with the earliest and latest sample it can touch when
 * evaluated at t (relative to t, ms; @ makes it absolute). For rule dependencies and checks. */
void promql_selectors(const struct promql_node *n,
                      void (*each)(void *ctx, const struct matcher *m, uint32_t m_n), void *ctx);

/* --- where samples come from ---------------------------------------------------------------- */

/* Ids and pairs as in tsdb.h: equal pair ids are equal labels. All calls may come from several
 * threads at once. */
struct promql_source {
    void *ctx;
    /* ids in order of labels. */
    bool (*select)(void *ctx, const struct matcher *m, uint32_t m_n, int64_t from_ms, int64_t to_ms,
                   uint32_t series_max, struct arena *a, uint32_t **ids, uint32_t *n,
                   struct err *e);
    const uint32_t *(*pairs)(void *ctx, uint32_t id, uint32_t *n); /* in order of names */
    struct label (*pair)(void *ctx, uint32_t pair);                /* pair < 2^31 */
    bool (*read)(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms, uint32_t samples_max,
                 struct tsdb_column *c, struct err *e);
    /* Only the newest sample of the range (n 0 or 1). NULL: read does. */
    bool (*newest)(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms, struct tsdb_column *c,
                   struct err *e);
};
/* A view as a source; the view outlives it. */
struct promql_source promql_source_tsdb(struct tsdb_view *v);

/* --- evaluation ----------------------------------------------------------------------------- */

/* Whether a query tells what each of its nodes did. */
enum promql_explain_mode {
    PROMQL_EXPLAIN_OFF,  /* costs nothing */
    PROMQL_EXPLAIN_RUN,  /* the same answer, and what it took */
    PROMQL_EXPLAIN_PLAN, /* an empty vector or matrix: series are selected, no sample is read */
};
struct promql_explain;

struct promql_query {
    const struct promql_node *expr;
    struct str text; /* of expr, for line and column in notes; empty: taken as one line */
    struct promql_source source;
    int64_t start_ms, end_ms, step_ms; /* step 0: one instant, start = end */
    int64_t lookback_ms;               /* 0 = 5 min */
    int64_t subquery_step_ms;          /* default step of subqueries: 1 min */
    unsigned flags;
    uint64_t samples_max;     /* decoded or held at once; 0 = 50,000,000 */
    uint32_t series_max;      /* of one selector or result; 0 = 1,000,000 */
    uint64_t bytes_max;       /* memory; 0 = 1 GiB */
    int64_t deadline_mono_ns; /* 0 = none */
    const struct os *os;
    const atomic_bool *cancel; /* may be NULL */
    uint32_t threads;          /* 0 or 1: the caller's only */
    struct mem *mem;           /* takes memory of the evaluation from here */
    enum promql_explain_mode explain;
};

struct promql_sample {
    int64_t t_ms;
    double v;
    const struct nhist *h; /* NULL: a float */
};
struct promql_series {
    struct labels labels;
    struct promql_sample *samples;
    uint32_t n;
};
/* An annotation as Prometheus prints it, " (1:5)" included. */
struct promql_note {
    struct str text;
    bool warning; /* else info */
};
struct promql_stats {
    uint64_t samples_read, samples_peak, series_read;
    int64_t eval_ns;
};
/* Lives in the arena given to promql_eval. A range query gives PROMQL_MATRIX sorted by labels (a
 * scalar becomes one series without labels); an instant one its own type, vectors in the order of
 * evaluation (sort, topk). */
struct promql_result {
    enum promql_type type;
    struct promql_series *series; /* vector: one sample each */
    uint32_t series_n;
    struct promql_sample scalar;
    struct str string;
    struct promql_note *notes;
    uint32_t notes_n;
    struct promql_stats stats;
    /* NULL unless asked for, and for a range that ends before it begins; borrows expr and text of
     * the query. */
    struct promql_explain *explain;
};

enum promql_failure { PROMQL_BAD, PROMQL_EXECUTION, PROMQL_TIMEOUT, PROMQL_CANCELED, PROMQL_LIMIT };
/* false: *why is the kind, e the message; out->string has it whole, should e have had to cut it. */
MUST_USE bool promql_eval(const struct promql_query *q, struct arena *a, struct promql_result *out,
                          enum promql_failure *why, struct err *e);

/* --- answers as JSON (result_json.c) -------------------------------------------------------- */

/* "resultType":"...","result":... without braces around, as in the HTTP API. */
void promql_result_json(const struct promql_result *r, struct buf *out);
/* {"mode":"run","nodes":[...],"totals":{...}}: see explain_json.c. While expr and text live. */
void promql_explain_json(const struct promql_explain *x, struct buf *out);
/* {"count":"...","sum":"...","buckets":[...]} */
void promql_nhist_json(const struct nhist *h, struct buf *out);
/* Seconds with three decimals when there are any: 1435781451.781 */
void promql_json_time(int64_t t_ms, struct buf *out);

#endif
