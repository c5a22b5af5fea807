/* What a query sees of itself while it runs, node by node; asked for by promql_query.explain.
 *
 * Each node of the plan has a struct explain_seen, NULL when nothing was asked: the hooks in
 * eval*.c then cost one comparison a batch (a range selector: one a series) and no look at the
 * clock. A node's own time is what passes between explain_enter and explain_leave less what passed
 * in such pairs inside; samples read are told apart the same way. So both sum up: over all nodes
 * they give what the query did, on however many threads.
 *
 * thread: a seen is written by all threads of its query; a frame belongs to one. */
#ifndef ENGINES_PROMQL_EXPLAIN_INT_H
#define ENGINES_PROMQL_EXPLAIN_INT_H

#include "engines/promql/promql.h"

#define EXPLAIN_NODES_MAX 2000 /* told; a query of more is not read by a person */
#define EXPLAIN_TEXT_MAX  1000 /* bytes of one node's text, then "..." */

struct eval;
struct query;
struct plan;
struct mat;

/* Roads that the evaluator took instead of the general one. */
enum explain_way {
    EXPLAIN_NEWEST = 1,      /* only the newest sample of a series was decoded */
    EXPLAIN_NO_BUCKETS = 2,  /* of histograms, only count and sum were looked at */
    EXPLAIN_SAME_TIMES = 4,  /* series with equal times share the search for samples */
    EXPLAIN_RUNNING = 8,     /* windows of a range move on instead of being read again */
    EXPLAIN_ONCE = 16,       /* evaluated for one step, the same at all (@) */
    EXPLAIN_STREAMED = 32,   /* rows were added up as they came, the input was never held */
    EXPLAIN_WHOLE_ROWS = 64, /* rows met rows for all steps at once */
    EXPLAIN_PARALLEL = 128,  /* batches were shared between threads */
};
#define EXPLAIN_WAYS 8

struct explain_seen {
    atomic_int_fast64_t self_ns;
    atomic_uint_fast64_t samples_read, series_out, points_out;
    atomic_uint ways; /* enum explain_way */
    /* Written by the thread that prepares the node. */
    uint32_t steps;
    uint32_t series_matched; /* selected: by a selector, or by info() for itself */
    bool selected;
    int64_t from_ms, to_ms; /* selected: samples in [from, to] were looked for */
};

struct explain_frame {
    struct explain_frame *up;
    struct explain_seen *of; /* NULL: nothing is measured */
    int64_t began_ns, below_ns;
    uint64_t began_samples, below_samples;
};

/* One node as it is told, in order of the text's tree: parents before children. */
struct explain_node {
    const struct promql_node *node; /* borrows the query's tree */
    int kind;                       /* enum plan_kind */
    enum promql_type type;
    uint32_t start, end; /* bytes of the text */
    uint32_t parent, depth;
    int64_t range_ms, offset_ms, step_ms, at_ms;
    double number;
    bool at, selected;
    int64_t from_ms, to_ms;
    uint32_t steps, series_matched;
    uint64_t samples_read, series_out, points_out;
    int64_t self_ns, total_ns;
    unsigned ways;
};

struct promql_explain {
    bool ran;
    enum promql_type type;
    struct str text; /* borrows the query's */
    int64_t lookback_ms;
    struct explain_node *nodes;
    uint32_t nodes_n;
    uint32_t nodes_all; /* more than nodes_n: the rest is not told */
    struct promql_stats stats;
    uint64_t series_out, points_out; /* of the answer */
    int64_t busy_ns, waited_ns;
    uint64_t bytes;
    uint32_t threads; /* that worked */
};

/* Gives every node of the plan a seen. */
MUST_USE bool explain_attach(struct query *q, struct plan *p, struct err *e);
/* Selects the series of every selector, reads no sample: PROMQL_EXPLAIN_PLAN. */
MUST_USE bool explain_select(struct eval *ev, struct plan *p, struct err *e);
/* out->explain from what was seen, in the arena of the result. */
MUST_USE bool explain_take(const struct query *q, struct plan *p, struct arena *a,
                           struct promql_result *out, struct err *e);

/* The slow halves of the hooks below. */
void explain_begin(struct query *q, struct explain_seen *x, struct explain_frame *f);
void explain_end(struct query *q, struct explain_frame *f);
/* Adds rows from..: series and points. */
void explain_rows(struct explain_seen *x, const struct mat *m, uint32_t from, uint32_t steps);
/* The rows of a node that holds them all: replaces what batches may have added. */
void explain_made(struct explain_seen *x, const struct mat *m, uint32_t steps);
void explain_scalar(struct explain_seen *x, uint32_t steps);
/* A series of a range selector with n samples. */
void explain_series(struct explain_seen *x, uint32_t n);

/* x NULL: nothing. A node inside itself is one. */
static inline void explain_enter(struct query *q, struct explain_seen *x, struct explain_frame *f)
{
    f->of = NULL;
    if (x != NULL) {
        explain_begin(q, x, f);
    }
}
static inline void explain_leave(struct query *q, struct explain_frame *f)
{
    if (f->of != NULL) {
        explain_end(q, f);
    }
}
static inline void explain_way(struct explain_seen *x, enum explain_way way)
{
    if (x != NULL) {
        atomic_fetch_or_explicit(&x->ways, (unsigned)way, memory_order_relaxed);
    }
}
static inline void explain_selected(struct explain_seen *x, int64_t from_ms, int64_t to_ms,
                                    uint32_t series)
{
    if (x != NULL) {
        x->selected = true;
        x->from_ms = from_ms;
        x->to_ms = to_ms;
        x->series_matched = series;
    }
}

#endif
