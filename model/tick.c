/* Once a tick, the river at rest: the watermark moves, old days go, run files that nobody needs
 * are deleted.
 *
 * Watermark: the K-th latest event time over all shards, so that single wild clocks move nothing
 * and the number of shards does not matter.
 *
 * Files: a run leaves the manifest when its hour is behind the retention. It is deleted only
 * when two saved checkpoints in a row no longer name it, because recovery may fall back to the
 * checkpoint before the newest. Files that neither the loaded checkpoint nor the state names are
 * leftovers of a crash: after a load (or a start without one) they are swept once. A failure to
 * delete is logged and tried again after the next start. */
#include "model/model_int.h"

#include "base/file.h"

#include <stdlib.h>

#define SAVES_BEFORE_DELETE 2
#define HOURS_PER_DAY       24

static int by_hour(const void *a, const void *b)
{
    const struct model_run *x = a;
    const struct model_run *y = b;
    if (x->hour != y->hour) {
        return x->hour < y->hour ? -1 : 1;
    }
    if (x->shard != y->shard) {
        return x->shard < y->shard ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

bool model_runs_add(struct model *m, const struct model_run *run)
{
    void *p = m->runs;
    bool ok = mem_array_grow(m->mem, &p, &m->runs_cap, (size_t)m->runs_count + 1,
                             MODEL_RUNS_MAX * 4, sizeof *m->runs);
    m->runs = p;
    if (ok) {
        m->runs[m->runs_count++] = *run;
    }
    return ok;
}

void model_runs_sort(struct model *m)
{
    if (m->runs_count > 1) {
        qsort(m->runs, m->runs_count, sizeof *m->runs, by_hour);
    }
}

static bool leave(struct model *m, const struct model_run *run)
{
    void *p = m->leaving;
    bool ok = mem_array_grow(m->mem, &p, &m->leaving_cap, (size_t)m->leaving_count + 1,
                             MODEL_RUNS_MAX * 4, sizeof *m->leaving);
    m->leaving = p;
    if (ok) {
        m->leaving[m->leaving_count++] = (struct model_leaving){*run, 0};
    }
    return ok;
}

/* Moves runs of hours before `hour` out of a list. Without memory they stay until the next tick. */
static void runs_drop_before(struct model *m, struct model_filters *f, struct model_run *runs,
                             uint32_t *count, int32_t hour)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (runs[i].hour < hour) {
            model_filters_drop(f, &runs[i]);
            if (leave(m, &runs[i])) {
                continue;
            }
        }
        runs[kept++] = runs[i];
    }
    *count = kept;
}

static void run_delete(struct model *m, const struct model_run *run)
{
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    struct err e = {0};
    model_run_file(run, file);
    if (path_join(path, sizeof path, m->dir, file, &e)) {
        int rc = m->os->unlink(m->os->ctx, path);
        if (rc != 0) {
            err_errno(&e, rc, "cannot delete '%s'", file);
            log_err(m->log, LOG_WARN, "model", &e);
        }
    }
}

static void delete_left(struct model *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->leaving_count; i++) {
        if (m->leaving[i].saves >= SAVES_BEFORE_DELETE) {
            run_delete(m, &m->leaving[i].run);
        } else {
            m->leaving[kept++] = m->leaving[i];
        }
    }
    m->leaving_count = kept;
}

/* ---- sweep ---- */

struct sweep {
    struct model *m;
    struct model_run *found;
    size_t cap;
    uint32_t count;
};

static void sweep_name(void *arg, const char *name)
{
    struct sweep *w = arg;
    struct model_run run;
    if (!model_run_file_parse(str_from_c(name), &run)) {
        return;
    }
    void *p = w->found;
    if (mem_array_grow(w->m->mem, &p, &w->cap, (size_t)w->count + 1, MODEL_RUNS_MAX * 4,
                       sizeof run)) {
        w->found = p;
        w->found[w->count++] = run;
    }
}

static bool named(const struct model *m, void *const *states, uint32_t n,
                  const struct model_run *run)
{
    if (m->runs_count > 0 && bsearch(run, m->runs, m->runs_count, sizeof *run, by_hour) != NULL) {
        return true;
    }
    for (uint32_t i = 0; i < m->leaving_count; i++) {
        if (by_hour(run, &m->leaving[i].run) == 0) {
            return true;
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        const struct model_join *j = &model_shard_of(states, k)->join;
        for (uint32_t i = 0; i < j->runs_count; i++) {
            if (by_hour(run, &j->runs[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void sweep_files(struct model *m, void *const *states, uint32_t n)
{
    struct sweep w = {.m = m};
    if (m->os->list(m->os->ctx, m->dir, sweep_name, &w) == 0) {
        for (uint32_t i = 0; i < w.count; i++) {
            if (!named(m, states, n, &w.found[i])) {
                run_delete(m, &w.found[i]);
            }
        }
    }
    mem_give(m->mem, w.found, w.cap * sizeof *w.found);
    m->sweep = false;
}

/* ---- the tick ---- */

static int64_t watermark(void *const *states, uint32_t n)
{
    int64_t top[MODEL_WATERMARK_K];
    uint32_t have = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        for (uint32_t i = 0; i < MODEL_WATERMARK_K; i++) {
            int64_t t = s->times[i];
            if (t == T_NS_NONE || (have == MODEL_WATERMARK_K && t <= top[have - 1])) {
                continue;
            }
            uint32_t at = have < MODEL_WATERMARK_K ? have++ : have - 1;
            for (; at > 0 && top[at - 1] < t; at--) {
                top[at] = top[at - 1];
            }
            top[at] = t;
        }
    }
    return have == 0 ? T_NS_NONE : top[have - 1];
}

static void retain(struct model *m, void *const *states, uint32_t n)
{
    int32_t first = day_from_ns(m->watermark_ns) - (int32_t)m->c->retention_days;
    if (first <= m->day_first) {
        return;
    }
    m->day_first = first;
    /* An id's minute may be up to 12 h from its decision's time: a day of hours more. */
    int32_t hour = (first - 1) * HOURS_PER_DAY;
    for (uint32_t k = 0; k < n; k++) {
        struct model_shard *s = model_shard_of(states, k);
        model_cohorts_drop_before(&s->cohorts, first);
        s->label_drops[MODEL_DROP_EXPIRED] +=
            model_labels_drop_before(&s->labels, first, ns_from_day(first));
        model_join_drop_before(&s->join, hour);
        runs_drop_before(m, &s->join.filters, s->join.runs, &s->join.runs_count, hour);
    }
    runs_drop_before(m, &m->filters, m->runs, &m->runs_count, hour);
}

static void windows_clear(struct model_shard *s)
{
    memset(s->slots, 0, sizeof s->slots);
    for (uint32_t i = 0; i < s->features.cap; i++) {
        memset(s->features.v[i].slots, 0, sizeof s->features.v[i].slots);
    }
    for (size_t i = 0; i < s->versions_cap; i++) {
        if (s->versions[i] != NULL) {
            memset(s->versions[i]->seen_slot, 0, sizeof s->versions[i]->seen_slot);
        }
    }
}

size_t model_filters_share(const struct model *m, uint32_t shards)
{
    size_t budget = (size_t)m->c->join_filter_bytes;
    return m->filters.bytes < budget ? (budget - m->filters.bytes) / shards : 0;
}

void model_filters_balance(struct model *m, void *const *states, uint32_t n)
{
    bool short_of = false;
    for (uint32_t k = 0; k < n; k++) {
        struct model_join *j = &model_shard_of(states, k)->join;
        short_of = short_of || j->filters.refused;
        j->filters.refused = false;
    }
    if (short_of) {
        model_filters_drop_oldest(&m->filters, m->runs, m->runs_count, INT32_MAX);
    }
    for (uint32_t k = 0; k < n; k++) {
        struct model_join *j = &model_shard_of(states, k)->join;
        model_filters_bound(&j->filters, j->runs, j->runs_count, model_filters_share(m, n));
    }
}

void model_tick(void *app, void *const *states, uint32_t n, int64_t now_ns)
{
    struct model *m = app;
    if (!m->ticked) {
        /* What was replayed from the journal at start-up did not arrive in the last minute. */
        for (uint32_t k = 0; k < n; k++) {
            windows_clear(model_shard_of(states, k));
        }
        m->ticked = true;
        m->tick_ns_first = now_ns;
    }
    int64_t t = watermark(states, n);
    if (t != T_NS_NONE && t > m->watermark_ns) {
        m->watermark_ns = t;
        retain(m, states, n);
        model_drift_tick(m, states, n);
    }
    model_filters_balance(m, states, n);
    if (m->sweep) {
        sweep_files(m, states, n);
    }
    delete_left(m);
}
