/* EXPLAIN: which node of a query did what. See explain_int.h for how it is counted.
 *
 * The nodes are told as a flat list, parents before children, because a tree as deep as a query may
 * be does not fit what readers of JSON allow. A node's total is its own time plus that of the nodes
 * below, over all threads; the query's time on the clock is among the totals.
 *
 * Bounds: EXPLAIN_NODES_MAX nodes are told; recursion is as deep as the plan, which the parser
 * bounds. */
#include "engines/promql/eval_int.h"

#include "base/os.h"

/* The plan wraps what @ fixes, at most once a level. */
#define PLAN_DEPTH_MAX (2 * PROMQL_DEPTH_MAX + 2)

/* --- hooks ------------------------------------------------------------------------------------ */

static int64_t clock_ns(const struct query *q)
{
    return q->q->os == NULL ? 0 : os_mono_ns(q->q->os);
}

void explain_begin(struct query *q, struct explain_seen *x, struct explain_frame *f)
{
    if (q->frame != NULL && q->frame->of == x) {
        return;
    }
    *f = (struct explain_frame){
        .up = q->frame, .of = x, .began_ns = clock_ns(q), .began_samples = q->stats.samples_read};
    q->frame = f;
}

void explain_end(struct query *q, struct explain_frame *f)
{
    ASSERT(q->frame == f);
    const int64_t ns = clock_ns(q) - f->began_ns;
    const uint64_t samples = q->stats.samples_read - f->began_samples;
    ASSERT(samples >= f->below_samples);
    atomic_fetch_add_explicit(&f->of->self_ns, ns - f->below_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->of->samples_read, samples - f->below_samples,
                              memory_order_relaxed);
    q->frame = f->up;
    if (f->up != NULL) {
        f->up->below_ns += ns;
        f->up->below_samples += samples;
    }
}

void explain_rows(struct explain_seen *x, const struct mat *m, uint32_t from, uint32_t steps)
{
    uint64_t series = 0;
    uint64_t points = 0;
    if (x == NULL) {
        return;
    }
    for (uint32_t i = from; i < m->n; i++) {
        uint64_t n = 0;
        for (uint32_t j = 0; j < steps; j++) {
            n += m->rows[i].has[j] != HAS_NONE;
        }
        series += n > 0;
        points += n;
    }
    atomic_fetch_add_explicit(&x->series_out, series, memory_order_relaxed);
    atomic_fetch_add_explicit(&x->points_out, points, memory_order_relaxed);
}

void explain_made(struct explain_seen *x, const struct mat *m, uint32_t steps)
{
    if (x != NULL) {
        atomic_store_explicit(&x->series_out, 0, memory_order_relaxed);
        atomic_store_explicit(&x->points_out, 0, memory_order_relaxed);
        explain_rows(x, m, 0, steps);
    }
}

void explain_scalar(struct explain_seen *x, uint32_t steps)
{
    if (x != NULL) {
        x->steps = steps;
        atomic_store_explicit(&x->series_out, 1, memory_order_relaxed);
        atomic_store_explicit(&x->points_out, steps, memory_order_relaxed);
    }
}

void explain_series(struct explain_seen *x, uint32_t n)
{
    if (x != NULL && n > 0) {
        atomic_fetch_add_explicit(&x->series_out, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&x->points_out, n, memory_order_relaxed);
    }
}

/* --- before ----------------------------------------------------------------------------------- */

static bool attach(struct query *q, struct plan *p, uint32_t depth, struct err *e)
{
    ASSERT(depth <= PLAN_DEPTH_MAX);
    p->seen = ARENA_NEW(q->arena, struct explain_seen);
    if (p->seen == NULL) {
        return eval_no_memory(q, e);
    }
    if (p->stats_only) {
        explain_way(p->seen, EXPLAIN_NO_BUCKETS);
    }
    if (p->kind == PLAN_FIXED) {
        explain_way(p->seen, EXPLAIN_ONCE);
    }
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (!attach(q, p->arg[i], depth + 1, e)) {
            return false;
        }
    }
    return true;
}

bool explain_attach(struct query *q, struct plan *p, struct err *e)
{
    q->waiting = ARENA_NEW(q->arena, struct explain_seen);
    return q->waiting == NULL ? eval_no_memory(q, e) : attach(q, p, 0, e);
}

bool explain_select(struct eval *ev, struct plan *p, struct err *e)
{
    struct eval one = {ev->q, {ev->grid.start, ev->grid.step, 1}};
    struct eval *below = p->kind == PLAN_FIXED ? &one : ev;
    if (!eval_check(ev->q, e)) {
        return false;
    }
    p->seen->steps = ev->grid.n;
    if (p->kind == PLAN_SELECTOR || p->kind == PLAN_RANGE) {
        return eval_select(ev, p, e);
    }
    if (p->kind == PLAN_SUBQUERY) {
        if (!eval_subquery_grid(ev, p, e)) {
            return false;
        }
        below = p->sub;
    }
    eval_select_times_offset(p);
    /* What info() selects besides its first argument depends on the rows of that. */
    const uint32_t args = p->whole == WHOLE_INFO ? 1 : p->args_n;
    for (uint32_t i = 0; below->grid.n > 0 && i < args; i++) {
        if (!explain_select(below, p->arg[i], e)) {
            return false;
        }
    }
    return true;
}

/* --- after ------------------------------------------------------------------------------------ */

static uint32_t count(const struct plan *p)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < p->args_n; i++) {
        n += count(p->arg[i]);
    }
    return n;
}

static void fill(struct explain_node *x, const struct plan *p, uint32_t parent, uint32_t depth)
{
    struct explain_seen *s = p->seen;
    *x = (struct explain_node){
        .node = p->written,
        .kind = (int)p->kind,
        .type = p->type,
        .start = p->written->pos.start,
        .end = p->written->pos.end,
        .parent = parent,
        .depth = depth,
        .range_ms = p->range_ms,
        .offset_ms = p->offset_ms,
        .step_ms = p->step_ms,
        .at_ms = p->at_ms,
        .number = p->number,
        .at = p->at,
        .selected = s->selected,
        .from_ms = s->from_ms,
        .to_ms = s->to_ms,
        .steps = s->steps,
        .series_matched = s->series_matched,
        .samples_read = atomic_load_explicit(&s->samples_read, memory_order_relaxed),
        .series_out = atomic_load_explicit(&s->series_out, memory_order_relaxed),
        .points_out = atomic_load_explicit(&s->points_out, memory_order_relaxed),
        .self_ns = atomic_load_explicit(&s->self_ns, memory_order_relaxed),
        .ways = atomic_load_explicit(&s->ways, memory_order_relaxed),
    };
}

/* Adds the nodes of p while there is room. Returns the time of them all, told or not. */
static int64_t put(struct promql_explain *x, const struct plan *p, uint32_t parent, uint32_t depth)
{
    int64_t total_ns = atomic_load_explicit(&p->seen->self_ns, memory_order_relaxed);
    const uint32_t at = x->nodes_n;
    const bool told = at < EXPLAIN_NODES_MAX;
    if (told) {
        fill(&x->nodes[at], p, parent, depth);
        x->nodes_n++;
    }
    for (uint32_t i = 0; i < p->args_n; i++) {
        total_ns += put(x, p->arg[i], at, depth + 1);
    }
    if (told) {
        x->nodes[at].total_ns = total_ns;
    }
    return total_ns;
}

bool explain_take(const struct query *q, struct plan *p, struct arena *a, struct promql_result *out,
                  struct err *e)
{
    struct promql_explain *x = ARENA_NEW(a, struct promql_explain);
    const uint32_t all = count(p);
    struct explain_node *nodes =
        ARENA_ARRAY(a, struct explain_node, all < EXPLAIN_NODES_MAX ? all : EXPLAIN_NODES_MAX);
    if (x == NULL || nodes == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the plan of a query");
    }
    *x = (struct promql_explain){.ran = q->q->explain == PROMQL_EXPLAIN_RUN,
                                 .type = p->type,
                                 .text = q->q->text,
                                 .lookback_ms = q->lookback_ms,
                                 .nodes = nodes,
                                 .nodes_all = all,
                                 .series_out = out->series_n,
                                 .waited_ns = atomic_load(&q->waiting->self_ns),
                                 .bytes = q->arena->bytes + eval_workers_bytes(q),
                                 .threads = eval_threads_used(q)};
    x->busy_ns = put(x, p, 0, 0);
    for (uint32_t i = 0; i < out->series_n; i++) {
        x->points_out += out->series[i].n;
    }
    if (x->ran && (out->type == PROMQL_SCALAR || out->type == PROMQL_STRING)) {
        x->series_out = 1;
        x->points_out = 1;
    }
    out->explain = x;
    return true;
}
