/* The evaluator's own words: rows of dense arrays, label sets as lists of pair ids, the plan made
 * from the tree, and what its files call in each other.
 *
 *     tree --eval_plan--> plan --eval_prepare--> row count --eval_rows--> rows, a batch at a time
 *
 * A plan node is either row-wise (selector, function over a range, function of one sample,
 * negation, vector with scalar): its rows correspond to the rows below it, so that a batch of any
 * size can be made without the others; or whole (aggregation, matching, sort...): prepared at
 * once, then handed out by batches like the rest. eval_all gathers everything.
 *
 * Memory: everything lives in the query's arena, except batches of a streaming aggregation, which
 * live in a scratch arena. thread: one query is evaluated by its caller's thread. */
#ifndef ENGINES_PROMQL_EVAL_INT_H
#define ENGINES_PROMQL_EVAL_INT_H

#include "base/intern.h"
#include "engines/promql/ast_int.h"
#include "engines/promql/explain_int.h"
#include "engines/promql/functions_int.h"
#include "engines/promql/hist_int.h"

#define EVAL_BATCH_ROWS 256
#define EVAL_FAR        (1LL << 53) /* ms: 285,000 years */

/* --- labels ----------------------------------------------------------------------------------- */

/* A label set: ids of pairs in order of label names. Ids from EVAL_LOCAL on were made by this query
 * (label_replace, count_values...). */
struct lset {
    const uint32_t *p;
    uint32_t n;
};
#define EVAL_LOCAL (1U << 31)

/* Names that every query knows. */
enum name_id { NAME_METRIC, NAME_TYPE, NAME_UNIT, NAME_LE, NAMES_KNOWN };

struct symbols {
    const struct promql_source *source;
    struct mem *mem;
    struct intern names;
    uint32_t *name_of; /* by pair of the source: name id + 1, 0 = not asked yet */
    size_t name_of_cap;
    struct label *locals; /* by id - EVAL_LOCAL */
    uint32_t *local_names;
    size_t locals_cap, local_names_cap;
    uint32_t locals_n;
    /* Text of a pair to its id, for the names a query has made pairs of: there the ids of the
     * source are looked up by text too, so that equal texts have one id. */
    struct pair_slot *slots;
    size_t slots_cap;
    uint32_t slots_n;
    uint8_t *dirty; /* by name id */
    size_t dirty_cap;
    bool failed; /* a name could not be kept: whatever comes out is wrong */
};

/* Names in a list, as flags by id. */
struct name_set {
    uint8_t *in;
    uint32_t n;
};

struct set_map { /* label sets to numbers */
    struct lset *sets;
    uint32_t *slots; /* number + 1 */
    uint32_t *hashes;
    uint32_t cap, n, sets_cap;
};

/* --- rows ------------------------------------------------------------------------------------- */

enum has { HAS_NONE, HAS_FLOAT, HAS_HIST };

struct row {
    struct lset ls;
    bool drop_name;         /* the metric name goes when the query is done (or earlier) */
    uint8_t *has;           /* enum has, one per step */
    double *v;              /* one per step */
    const struct nhist **h; /* one per step, or NULL: no histograms */
};
struct mat {
    struct row *rows;
    uint32_t n, cap;
};

/* Steps of an evaluation: start, start + step, ... n of them. */
struct grid {
    int64_t start, step;
    uint32_t n;
};
static inline int64_t grid_t(const struct grid *g, uint32_t i)
{
    return g->start + (int64_t)i * g->step;
}

/* --- the plan --------------------------------------------------------------------------------- */

enum plan_kind {
    PLAN_NUMBER,
    PLAN_STRING,
    PLAN_SELECTOR,
    PLAN_RANGE,
    PLAN_SUBQUERY,
    PLAN_CALL,
    PLAN_AGGREGATE,
    PLAN_BINARY,
    PLAN_NEGATE,
    PLAN_FIXED, /* the same at every step (@): made once, repeated */
};

/* WHOLE functions, and those of other kinds that the evaluator treats apart. */
enum whole {
    WHOLE_NONE,
    WHOLE_ABSENT,
    WHOLE_ABSENT_OVER_TIME,
    WHOLE_HISTOGRAM_FRACTION,
    WHOLE_HISTOGRAM_QUANTILE,
    WHOLE_HISTOGRAM_QUANTILES,
    WHOLE_INFO,
    WHOLE_LABEL_JOIN,
    WHOLE_LABEL_REPLACE,
    WHOLE_MAX_OF,
    WHOLE_MIN_OF,
    WHOLE_PI,
    WHOLE_SCALAR,
    WHOLE_SORT,
    WHOLE_SORT_BY_LABEL,
    WHOLE_SORT_BY_LABEL_DESC,
    WHOLE_SORT_DESC,
    WHOLE_TIME,
    WHOLE_TIMESTAMP,       /* of a selector: times of the samples themselves */
    WHOLE_START_TIMESTAMP, /* the same with start timestamps */
    WHOLE_VECTOR,
    WHOLE_RATE, /* rate and increase: they remark on names that are not a counter's */
};

struct eval;
struct plan {
    enum plan_kind kind;
    enum promql_type type;
    const struct promql_node *node;    /* where it came from */
    const struct promql_node *written; /* the same, but foo[5m] where node is its foo */
    struct pos pos;
    double number;
    int64_t range_ms, offset_ms, step_ms, at_ms;
    bool at;         /* evaluated at at_ms whatever the step */
    bool stats_only; /* selector: only count and sum of histograms are needed */
    enum whole whole;
    struct plan **arg;
    uint32_t args_n;

    /* While evaluating. */
    struct eval *sub; /* subquery, fixed: the grid inside */
    bool prepared;
    bool made; /* rows are in mat */
    uint32_t rows_n;
    struct mat mat;
    uint32_t *ids;             /* selector, range */
    double **scalars;          /* by argument place: a value per step, NULL for others */
    struct explain_seen *seen; /* NULL: nobody asked */
};

/* --- the query -------------------------------------------------------------------------------- */

struct note {
    struct note *next;
    struct str text; /* without the place; what makes it one of a kind */
    struct pos pos;
    bool warning;
    uint32_t count;
    /* Forced monotonicity: what is merged. */
    bool lift;
    int64_t t_min, t_max;
    double lift_min, lift_max, lift_diff;
};
struct notes {
    struct arena *arena;
    struct note *first, *last;
    uint32_t n;
};

/* Plans of running functions (fn_steps), one per call in the query. */
#define STEPS_KEPT 8
struct kept_steps {
    const struct plan *plan;
    struct fn_steps steps;
};

/* Which sample stands for which step, while the times of the series stay the same. */
struct kept_picks {
    const struct plan *plan;
    int64_t *t;
    uint32_t *at; /* by step, UINT32_MAX: none */
    uint32_t t_n, t_cap;
    bool made;
};

struct query {
    const struct promql_query *q;
    struct arena *arena;   /* until the end of the query */
    struct arena *scratch; /* a batch of a streaming aggregation */
    struct notes notes;
    struct symbols sym;
    struct tsdb_column column;
    int64_t lookback_ms;
    uint64_t samples_max, samples_now;
    uint32_t series_max;
    bool delayed; /* names are removed at the end */
    struct promql_stats stats;
    enum promql_failure why;
    struct str message; /* of a failure, whole */
    struct kept_steps steps[STEPS_KEPT];
    uint32_t steps_n;
    struct kept_picks picks[STEPS_KEPT];
    uint32_t picks_n;
    struct workers *workers;      /* NULL until several threads are of use */
    struct explain_frame *frame;  /* the node at work, when somebody asked */
    struct explain_seen *waiting; /* for other threads */
};

struct eval {
    struct query *q;
    struct grid grid;
};

/* eval.c */
/* Both return false. why: the kind that promql_eval reports. */
bool eval_fail(struct query *q, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool eval_no_memory(struct query *q, struct err *e);
/* Cancelled, out of time? Called every few hundred rows. */
MUST_USE bool eval_check(struct query *q, struct err *e);
/* Samples held; false at the limit. */
MUST_USE bool eval_hold(struct query *q, uint64_t samples, struct err *e);
/* Rows of the plan; scalar arguments below are evaluated, series selected. */
MUST_USE bool eval_prepare(struct eval *ev, struct plan *p, struct err *e);
/* Rows first .. first + n of a prepared plan, appended to out; arrays live in a. */
MUST_USE bool eval_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n,
                        struct arena *a, struct mat *out, struct err *e);
/* All rows, names removed when the query does not delay that. */
MUST_USE bool eval_all(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
/* A scalar: one value per step. */
MUST_USE bool eval_scalar(struct eval *ev, struct plan *p, double **out, struct err *e);

/* eval_workers.c */
/* A worker's view of a query is a struct query of its own: same source, symbols and limits, but own
 * arenas, notes, column and memory. */
typedef bool (*eval_task)(void *ctx, struct query *worker, uint32_t item, struct err *e);
/* Runs task for 0 .. items - 1, on several threads when the query has them. Notes and counts come
 * back to q. false: one failed, its error is in e. */
MUST_USE bool eval_each(struct query *q, uint32_t items, eval_task task, void *ctx, struct err *e);
uint32_t eval_threads(const struct query *q);
/* Threads that worked so far, with the caller's: small queries need no other. */
uint32_t eval_threads_used(const struct query *q);
/* Forgets what the tasks made in their scratch arenas. */
void eval_scratch_reset(struct query *q);
void eval_workers_release(struct query *q);
uint64_t eval_workers_bytes(const struct query *q);
/* What eval_rows will look up in the symbols for these rows is looked up here: workers only
 * read. */
void eval_warm(struct query *q, const struct plan *p, uint32_t first, uint32_t n);

/* eval_plan.c */
MUST_USE bool eval_plan(struct query *q, const struct promql_node *n, struct plan **out,
                        struct err *e);
bool eval_plan_rowwise(const struct plan *p);
/* The plan whose rows the rows of p correspond to, NULL: none. */
const struct plan *eval_plan_below(const struct plan *p);
/* The only metric name that the rows of a row-wise plan can have is known. */
bool eval_plan_one_name(const struct plan *p);

/* eval_mat.c */
/* A row with room for the steps, all of them empty; NULL without memory. */
struct row *eval_row_add(struct eval *ev, struct mat *m, struct arena *a, bool hists);
/* A row without arrays. */
struct row *eval_row_bare(struct mat *m, struct arena *a);
MUST_USE bool eval_row_hists(struct eval *ev, struct row *r, struct arena *a);
bool eval_row_empty(const struct row *r, uint32_t steps);
/* Removes name (type, unit) of the rows that are to drop them. */
MUST_USE bool eval_strip(struct query *q, struct mat *m, struct err *e);
/* Rows with equal labels: joined when they never meet at one step, else the error about equal
 * label sets. join false: always the error. */
MUST_USE bool eval_merge(struct eval *ev, struct mat *m, bool join, struct err *e);
/* What a range evaluation does with the output of a function of vectors: as eval_merge with several
 * steps; with one step, duplicates stay until the end when names are removed late. */
MUST_USE bool eval_settle(struct eval *ev, struct mat *m, struct err *e);
void eval_drop_empty(struct eval *ev, struct mat *m);

/* eval_labels.c */
MUST_USE bool eval_symbols_init(struct symbols *s, const struct promql_source *src, struct mem *m);
void eval_symbols_release(struct symbols *s);
uint32_t eval_name(struct query *q, struct str name); /* UINT32_MAX without memory */
uint32_t eval_name_of(struct query *q, uint32_t pair);
struct label eval_label(const struct query *q, uint32_t pair);
/* 0 .. is a valid id; UINT32_MAX without memory. */
uint32_t eval_pair(struct query *q, struct str name, struct str value);
struct str eval_get(struct query *q, struct lset ls, uint32_t name);
uint32_t eval_find(struct query *q, struct lset ls, uint32_t name); /* pair, UINT32_MAX: absent */
struct str eval_metric(struct query *q, struct lset ls);
MUST_USE bool eval_names(struct query *q, const struct str *v, uint32_t n, struct name_set *out,
                         struct err *e);
static inline bool name_set_has(const struct name_set *s, uint32_t name)
{
    return name < s->n && s->in[name];
}
/* The pairs whose names are in the set (keep) or are not; a new list, or ls itself if all stay. */
MUST_USE bool eval_lset_filter(struct query *q, struct lset ls, const struct name_set *s, bool keep,
                               struct lset *out, struct err *e);
MUST_USE bool eval_lset_drop_meta(struct query *q, struct lset ls, struct lset *out, struct err *e);
/* The pair takes the place of the one of its name; pair UINT32_MAX removes that. */
MUST_USE bool eval_lset_put_pair(struct query *q, struct lset ls, uint32_t name, uint32_t pair,
                                 struct lset *out, struct err *e);
/* An empty value removes. */
MUST_USE bool eval_lset_put(struct query *q, struct lset ls, struct str name, struct str value,
                            struct lset *out, struct err *e);
/* Gives the pairs whose names this query has made pairs of one id per text. Before comparing. */
MUST_USE bool eval_canon(struct query *q, struct mat *m, struct err *e);
MUST_USE bool eval_lset_labels(struct query *q, struct lset ls, struct arena *a, struct labels *out,
                               struct err *e);
/* As Prometheus orders labels. */
int eval_lset_cmp(const struct query *q, struct lset a, struct lset b);
uint32_t eval_lset_hash(struct lset ls);
static inline bool lset_eq(struct lset a, struct lset b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n * sizeof *a.p) == 0);
}
MUST_USE bool eval_map_init(struct query *q, struct set_map *m, uint32_t sets, struct err *e);
/* Number of the set, the next free one when it is new. UINT32_MAX without memory. */
uint32_t eval_map_put(struct query *q, struct set_map *m, struct lset ls);

/* eval_select.c */
MUST_USE bool eval_select(struct eval *ev, struct plan *p, struct err *e);
MUST_USE bool eval_select_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n,
                               struct arena *a, struct mat *out, struct err *e);
/* Takes the offset off a selector whose times are asked for at a fixed time; others stay. */
void eval_select_times_offset(struct plan *call);
/* Times of the samples that a selector finds, or their start timestamps. */
MUST_USE bool eval_select_times(struct eval *ev, struct plan *call, struct mat *out, struct err *e);
/* foo[5m] and foo[5m:1m] as the result of a query. */
MUST_USE bool eval_matrix(struct eval *ev, struct plan *p, struct arena *a,
                          struct promql_result *out, struct err *e);
/* Samples of one series, without stale markers; the arrays may be the column's. */
struct samples {
    int64_t *t;
    double *v;
    struct nhist **h;
    int64_t *st;
    uint32_t n;
};
MUST_USE bool eval_read(struct query *q, const struct plan *p, uint32_t id, int64_t from_ms,
                        int64_t to_ms, bool keep_stale, struct arena *a, struct samples *out,
                        struct err *e);

/* eval_smooth.c */
MUST_USE bool eval_smooth_row(struct eval *ev, struct plan *p, const struct samples *s,
                              struct row *r, struct arena *a, struct err *e);
/* What a query foo[5m] anchored answers: samples inside plus one at each end. */
MUST_USE bool eval_extend(const struct samples *in, int64_t from_ms, int64_t to_ms, bool smoothed,
                          struct arena *a, struct samples *out);
MUST_USE bool eval_smoothable(struct query *q, const struct plan *sel, const struct function *fn,
                              struct err *e);

/* eval_range.c */
MUST_USE bool eval_range_prepare(struct eval *ev, struct plan *p, struct err *e);
MUST_USE bool eval_range_rows(struct eval *ev, struct plan *p, uint32_t first, uint32_t n,
                              struct arena *a, struct mat *out, struct err *e);
/* The inner grid, in sub->sub. */
MUST_USE bool eval_subquery_grid(struct eval *ev, struct plan *sub, struct err *e);
MUST_USE bool eval_subquery_prepare(struct eval *ev, struct plan *sub, struct err *e);
MUST_USE bool eval_absent_over_time(struct eval *ev, struct plan *p, struct mat *out,
                                    struct err *e);

/* eval_map.c */
MUST_USE bool eval_map_rows(struct eval *ev, struct plan *p, struct mat *m, uint32_t from,
                            struct arena *a, struct err *e);
MUST_USE bool eval_date_now(struct eval *ev, struct plan *p, struct mat *out, struct err *e);

/* eval_whole.c */
MUST_USE bool eval_whole(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
MUST_USE bool eval_absent_labels(struct query *q, const struct plan *arg, struct lset *out,
                                 struct err *e);

/* eval_relabel.c */
MUST_USE bool eval_label_replace(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
MUST_USE bool eval_label_join(struct eval *ev, struct plan *p, struct mat *out, struct err *e);

/* eval_sort.c */
MUST_USE bool eval_sort(struct eval *ev, struct plan *p, struct mat *out, struct err *e);

/* eval_hist.c */
MUST_USE bool eval_hist_call(struct eval *ev, struct plan *p, struct mat *out, struct err *e);

/* eval_info.c */
MUST_USE bool eval_info(struct eval *ev, struct plan *p, struct mat *out, struct err *e);

/* eval_agg.c */
MUST_USE bool eval_aggregate(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
/* Which group each row belongs to. */
struct groups_by {
    struct query *q;
    struct name_set names;
    bool without;
    bool all; /* one group */
    struct set_map map;
    uint32_t *key; /* scratch of one row */
    uint32_t key_cap;
};
MUST_USE bool eval_grouping_init(struct query *q, const struct promql_node *n,
                                 struct groups_by *out, struct err *e);
/* UINT32_MAX: no memory, e set. */
uint32_t eval_group_of(struct groups_by *g, const struct row *r, struct err *e);
static inline uint32_t grouping_count(const struct groups_by *g)
{
    return g->map.n;
}

/* eval_kahan.c: sum[i] += x[i], what is lost goes to c[i] */
void eval_kahan_row(double *restrict sum, double *restrict c, const double *restrict x, uint32_t n);
bool eval_any_stale(const double *v, uint32_t n);

/* eval_agg_hist.c: sum and avg of one group at one step where it holds histograms */
struct hist_cell {
    struct hist_acc acc;
    struct hist_mean mean;
    bool reset_seen, no_reset_seen, broken;
};
MUST_USE bool eval_hist_cell_add(struct eval *ev, const struct plan *p, struct hist_cell **c,
                                 const struct nhist *h, const struct row *r, struct err *e);
/* *out NULL: nothing. */
MUST_USE bool eval_hist_cell_done(struct eval *ev, const struct plan *p, struct hist_cell *c,
                                  const struct nhist **out, struct err *e);

/* eval_agg_k.c */
MUST_USE bool eval_aggregate_k(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
MUST_USE bool eval_count_values(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
MUST_USE bool eval_quantile(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
double eval_quantile_of(double q, double *v, uint32_t n); /* sorts v */

/* eval_binary.c */
MUST_USE bool eval_binary(struct eval *ev, struct plan *p, struct mat *out, struct err *e);
MUST_USE bool eval_binary_scalar_rows(struct eval *ev, struct plan *p, struct mat *m, uint32_t from,
                                      struct arena *a, struct err *e);
MUST_USE bool eval_binary_scalars(struct eval *ev, struct plan *p, double **out, struct err *e);

/* eval_match.c */
/* Both operands, and by row the number of its matching labels: equal numbers match. */
struct sides {
    struct mat l, r;
    uint32_t *lsig, *rsig;
    uint32_t sigs;
    const struct matching *m;
    struct name_set names; /* on(...), or ignoring(...) and the name */
    struct name_set drop;  /* ignoring(...) alone: what a result loses */
};
MUST_USE bool eval_sides(struct eval *ev, struct plan *p, struct sides *s, struct err *e);
MUST_USE bool eval_match(struct eval *ev, struct plan *p, struct sides *s, struct mat *out,
                         struct err *e);

/* eval_elem.c */
enum elem_note {
    ELEM_FINE,
    ELEM_FLOAT_FLOAT, /* operands that the operator does not take */
    ELEM_FLOAT_HIST,
    ELEM_HIST_FLOAT,
    ELEM_HIST_HIST,
    ELEM_LAYOUT, /* exponential with custom buckets */
    ELEM_RESETS, /* conflicting counter resets */
    ELEM_BOUNDS, /* custom bounds were reconciled */
};
struct elem {
    double v;
    const struct nhist *h;
    bool keep;    /* comparison: true; else always */
    bool nothing; /* no result, the note says why */
    enum elem_note note;
};
void eval_elem_note(struct query *q, const struct plan *p, enum elem_note note);
/* One sample with another. */
MUST_USE bool eval_elem(struct query *q, const struct plan *p, double l, double r,
                        const struct nhist *hl, const struct nhist *hr, struct arena *a,
                        struct elem *out, struct err *e);
double eval_op(enum op op, double l, double r); /* arithmetic; comparisons give 0 or 1 */
bool eval_op_compares(enum op op);
bool eval_op_holds(enum op op, double l, double r);
bool eval_op_changes_metric(enum op op);

/* annotations.c */
void notes_init(struct notes *n, struct arena *a);
void note_lift(struct notes *n, struct pos pos, struct str metric, int64_t t_ms, double min,
               double max, double diff);
/* Adds what another list holds. */
void notes_merge(struct notes *to, const struct notes *from);
MUST_USE bool notes_take(const struct notes *n, struct str text, struct arena *a,
                         struct promql_note **out, uint32_t *count, struct err *e);

#endif
