/* Threads of one query: rows are made in batches, and batches do not need each other.
 *
 *     batches 0 1 2 3 ...  --> taken one by one by the caller's thread and the workers
 *     results by batch     --> used by the caller in order of batches: any number of threads gives
 *                              the same answer
 *
 * A worker has a struct query of its own, so that nothing is written by two: the symbols are shared
 * but only read (eval_warm fills what will be asked), and memory comes from a struct mem per worker
 * with a share of the query's cap. Threads live for one call: starting one costs what some hundred
 * series cost, so the caller begins alone, and what is soon done stays with it. */
#include "engines/promql/eval_int.h"

#include <pthread.h>

#define THREADS_MAX 64
#define ALONE_NS    100000

struct worker {
    struct mem mem;
    struct arena arena, scratch;
    struct query q;
    pthread_t thread;
    bool started;
    struct work *work;
};

struct workers {
    struct worker *v;
    uint32_t n; /* threads beside the caller's */
};

struct work {
    eval_task task;
    void *ctx;
    uint32_t items;
    atomic_uint next;
    struct explain_seen *owner; /* the node whose work it is, when somebody asked */
    pthread_mutex_t mu;         /* of what follows */
    bool failed;
    uint32_t failed_item;
    struct err err;
    enum promql_failure why;
    struct str message;
};

uint32_t eval_threads(const struct query *q)
{
    uint32_t n = q->q->threads;
    return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
}

/* Of several failures the one that comes first in the order of items is told. */
static void fail(struct work *w, const struct query *q, uint32_t item, const struct err *e)
{
    pthread_mutex_lock(&w->mu);
    if (!w->failed || item < w->failed_item) {
        w->failed = true;
        w->failed_item = item;
        w->err = *e;
        w->why = q->why;
        w->message = q->message;
    }
    pthread_mutex_unlock(&w->mu);
    atomic_store(&w->next, w->items);
}

static void take_items(struct work *w, struct query *q)
{
    for (;;) {
        struct err e = {0};
        uint32_t item = atomic_fetch_add(&w->next, 1);
        if (item >= w->items) {
            return;
        }
        if (!eval_check(q, &e) || !w->task(w->ctx, q, item, &e)) {
            fail(w, q, item, &e);
            return;
        }
    }
}

static void *worker_run(void *arg)
{
    struct worker *x = arg;
    struct explain_frame f;
    explain_enter(&x->q, x->work->owner, &f);
    take_items(x->work, &x->q);
    explain_leave(&x->q, &f);
    return NULL;
}

static bool workers_new(struct query *q)
{
    uint32_t n = eval_threads(q) - 1;
    struct workers *w = ARENA_NEW(q->arena, struct workers);
    if (w == NULL) {
        return false;
    }
    w->v = ARENA_ARRAY(q->arena, struct worker, n);
    if (w->v == NULL) {
        return false;
    }
    w->n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct worker *x = &w->v[i];
        size_t share = q->arena->bytes_max / (n + 1);
        mem_init(&x->mem, share);
        arena_init(&x->arena, &x->mem, share);
        arena_init(&x->scratch, &x->mem, share);
        x->q = (struct query){.q = q->q,
                              .arena = &x->arena,
                              .scratch = &x->scratch,
                              .lookback_ms = q->lookback_ms,
                              .samples_max = q->samples_max,
                              .series_max = q->series_max,
                              .delayed = q->delayed};
        notes_init(&x->q.notes, &x->arena);
        tsdb_column_init(&x->q.column, &x->mem);
    }
    q->workers = w;
    return true;
}

void eval_workers_release(struct query *q)
{
    for (uint32_t i = 0; q->workers != NULL && i < q->workers->n; i++) {
        struct worker *x = &q->workers->v[i];
        tsdb_column_release(&x->q.column);
        arena_release(&x->scratch);
        arena_release(&x->arena);
    }
    q->workers = NULL;
}

uint32_t eval_threads_used(const struct query *q)
{
    uint32_t n = 1;
    for (uint32_t i = 0; q->workers != NULL && i < q->workers->n; i++) {
        n += q->workers->v[i].started;
    }
    return n;
}

uint64_t eval_workers_bytes(const struct query *q)
{
    uint64_t n = 0;
    for (uint32_t i = 0; q->workers != NULL && i < q->workers->n; i++) {
        n += q->workers->v[i].arena.bytes;
    }
    return n;
}

void eval_scratch_reset(struct query *q)
{
    arena_reset(q->scratch);
    for (uint32_t i = 0; q->workers != NULL && i < q->workers->n; i++) {
        arena_reset(&q->workers->v[i].scratch);
    }
}

/* Brings back what a worker counted and remarked. */
static void collect(struct query *q, struct worker *x)
{
    q->stats.samples_read += x->q.stats.samples_read;
    x->q.stats = (struct promql_stats){0};
    notes_merge(&q->notes, &x->q.notes);
    notes_init(&x->q.notes, &x->arena);
}

/* Items on the caller's thread from *next on: all, or those of the first ALONE_NS. */
static bool each_here(struct query *q, uint32_t items, bool all, uint32_t *next, eval_task task,
                      void *ctx, struct err *e)
{
    const struct os *os = q->q->os;
    const int64_t until_ns = all || os == NULL ? 0 : os_mono_ns(os) + ALONE_NS;
    while (*next < items && (all || (os != NULL && os_mono_ns(os) < until_ns))) {
        const uint32_t item = (*next)++;
        if (!eval_check(q, e) || !task(ctx, q, item, e)) {
            return false;
        }
    }
    return true;
}

bool eval_each(struct query *q, uint32_t items, eval_task task, void *ctx, struct err *e)
{
    uint32_t next = 0;
    const bool alone = items < 2 || eval_threads(q) < 2;
    if (!each_here(q, items, alone, &next, task, ctx, e)) {
        return false;
    }
    if (items - next < 2 || (q->workers == NULL && !workers_new(q))) {
        return each_here(q, items, true, &next, task, ctx, e);
    }
    struct work w = {.task = task, .ctx = ctx, .items = items, .next = next};
    struct explain_frame f;
    pthread_mutex_init(&w.mu, NULL);
    if (q->frame != NULL) {
        w.owner = q->frame->of;
        explain_way(w.owner, EXPLAIN_PARALLEL);
    }
    for (uint32_t i = 0; i < q->workers->n; i++) {
        struct worker *x = &q->workers->v[i];
        x->work = &w;
        x->q.sym = q->sym;
        x->q.why = PROMQL_EXECUTION;
        x->started = pthread_create(&x->thread, NULL, worker_run, x) == 0;
    }
    take_items(&w, q);
    /* What others read comes to q in here, so that the node at work does not count it too. */
    explain_enter(q, q->waiting, &f);
    for (uint32_t i = 0; i < q->workers->n; i++) {
        struct worker *x = &q->workers->v[i];
        if (x->started) {
            pthread_join(x->thread, NULL);
        }
        ASSERT(x->q.sym.slots_n == q->sym.slots_n);
        ASSERT(x->q.sym.name_of_cap == q->sym.name_of_cap);
        collect(q, x);
    }
    explain_leave(q, &f);
    pthread_mutex_destroy(&w.mu);
    if (w.failed) {
        *e = w.err;
        q->why = w.why;
        q->message = arena_str(q->arena, w.message);
        return false;
    }
    return true;
}

static void warm_set(struct query *q, struct lset ls)
{
    for (uint32_t i = 0; i < ls.n; i++) {
        (void)eval_name_of(q, ls.p[i]);
    }
}

void eval_warm(struct query *q, const struct plan *p, uint32_t first, uint32_t n)
{
    while (!p->made && eval_plan_below(p) != NULL) {
        p = eval_plan_below(p);
    }
    for (uint32_t i = first; i < first + n; i++) {
        struct lset ls;
        if (p->made) {
            ls = p->mat.rows[i].ls;
        } else {
            ls.p = q->q->source.pairs(q->q->source.ctx, p->ids[i], &ls.n);
        }
        warm_set(q, ls);
    }
}
