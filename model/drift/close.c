/* Closing windows: what shards counted is poured together; a closed hour is tested and added to its
 * day; a closed day makes the reference or is tested against it.
 *
 * A window closes when the watermark is grace past its end. The reference is made of whole days:
 * the first day of a stream does not count when its first hour had none. Before a day joins the
 * reference it is compared with the days before it: how far the reference's own days lie apart is
 * what later days are measured with.
 *
 * Results of segments are kept for a week; those that drifted, and those of all decisions, for
 * retention_days. Hours are kept for a week. */
#include "model/drift/drift_int.h"

#define HOUR_NS     (3600 * NS_PER_S)
#define DETAIL_DAYS 7
#define HOURS_KEPT  168

static void init(struct drift *d)
{
    const struct drift_config *c = d->setup.config;
    d->stride = (uint32_t)c->segments_max + 1;
    d->spreads.stride = d->stride;
    d->hour_spreads.stride = 1;
    d->from = INT32_MIN;
    d->to = INT32_MAX;
    if (c->reference_from.n > 0 && date_parse(c->reference_from, &d->from) &&
        date_parse(c->reference_to, &d->to)) {
        ASSERT(d->from <= d->to);
    }
    d->hour_first = INT32_MIN;
    d->day_partial = INT32_MIN;
    /* fraud.score, fraud.model_version and fraud.decision beside the sender's own. */
    drift_names_init(&d->names, d->mem, d->setup.features_max + 3, (uint32_t)c->segments_max,
                     (uint32_t)c->categories_max);
}

bool drift_new(const struct drift_setup *setup, struct mem *m, struct drift **out, struct err *e)
{
    ASSERT(setup->dims.count <= DRIFT_DIMS_MAX);
    struct drift *d = mem_take(m, sizeof *d);
    if (d == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for drift");
    }
    d->mem = m;
    d->setup = *setup;
    init(d);
    *out = d;
    return true;
}

void drift_window_release(struct drift_window *w, struct mem *m)
{
    mem_give(m, w->v, w->cap * sizeof *w->v);
    *w = (struct drift_window){.at = w->at};
}

static void windows_release(struct drift_windows *t, struct mem *m)
{
    for (uint32_t i = 0; i < t->count; i++) {
        drift_window_release(&t->v[i], m);
    }
    mem_give(m, t->v, t->cap * sizeof *t->v);
    *t = (struct drift_windows){0};
}

void drift_reference_forget(struct drift *d)
{
    drift_grid_release(&d->ref, d->mem, d->stride);
    drift_grids_release(&d->hour_refs, d->mem, 1);
    drift_spreads_release(&d->spreads, d->mem);
    drift_spreads_release(&d->hour_spreads, d->mem);
    d->sealed = false;
    d->ref_days = 0;
    d->ref_from = d->ref_to = 0;
}

static void release(struct drift *d)
{
    drift_names_release(&d->names);
    drift_grids_release(&d->hours, d->mem, 1);
    drift_grids_release(&d->days, d->mem, d->stride);
    drift_reference_forget(d);
    windows_release(&d->day_results, d->mem);
    windows_release(&d->hour_results, d->mem);
}

void drift_free(struct drift *d)
{
    if (d != NULL) {
        release(d);
        mem_give(d->mem, d, sizeof *d);
    }
}

void drift_reset(struct drift *d, struct drift_shard *const *shards, uint32_t n)
{
    const struct drift_setup setup = d->setup;
    struct mem *m = d->mem;
    release(d);
    *d = (struct drift){.mem = m, .setup = setup};
    init(d);
    for (uint32_t k = 0; k < n; k++) {
        drift_shard_reset(shards[k]);
    }
}

/* ---- windows ---- */

static bool results_push(struct drift *d, struct drift_windows *t, struct drift_window *w)
{
    void *p = t->v;
    bool ok =
        mem_array_grow(d->mem, &p, &t->cap, (size_t)t->count + 1, DRIFT_OPEN_MAX, sizeof *t->v);
    t->v = p;
    if (ok) {
        t->v[t->count++] = *w;
        *w = (struct drift_window){0};
    }
    return ok;
}

/* Keeps what is worth keeping of an old window. */
static void trim(struct drift_window *w, struct mem *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->v[i].segment == 0 || w->v[i].drifted) {
            w->v[kept++] = w->v[i];
        }
    }
    if (kept == w->count) {
        return;
    }
    w->count = kept;
    void *smaller = mem_take(m, kept * sizeof *w->v);
    if (smaller != NULL) {
        memcpy(smaller, w->v, kept * sizeof *w->v);
        mem_give(m, w->v, w->cap * sizeof *w->v);
        w->v = smaller;
        w->cap = kept;
    }
}

static void results_age(struct drift *d, struct drift_windows *t, int32_t oldest, int32_t detail)
{
    uint32_t gone = 0;
    while (gone < t->count && t->v[gone].at < oldest) {
        drift_window_release(&t->v[gone++], d->mem);
    }
    t->count -= gone;
    if (gone > 0) {
        memmove(t->v, t->v + gone, t->count * sizeof *t->v);
    }
    for (uint32_t i = 0; i < t->count && t->v[i].at < detail; i++) {
        trim(&t->v[i], d->mem);
    }
}

static struct drift_against against_days(const struct drift *d)
{
    return (struct drift_against){
        .d = d, .ref = &d->ref, .spreads = &d->spreads, .segments = d->names.segments.count};
}

static void test_window(struct drift *d, const struct drift_grid *g, bool hour)
{
    struct drift_windows *t = hour ? &d->hour_results : &d->day_results;
    struct drift_window w = {.at = g->at};
    const struct drift_against days = against_days(d);
    bool ok = hour ? drift_hours_eval(d, g, &w) : drift_eval(&days, g, &w);
    if (!ok || !results_push(d, t, &w)) {
        d->memory_failures++;
    }
    drift_window_release(&w, d->mem);
    if (hour) {
        results_age(d, t, g->at - HOURS_KEPT + 1, INT32_MIN);
    } else {
        results_age(d, t, g->at - (int32_t)d->setup.config->retention_days + 1,
                    g->at - DETAIL_DAYS + 1);
    }
}

static bool in_reference(const struct drift *d, int32_t day)
{
    return d->from != INT32_MIN ? day >= d->from && day <= d->to : day != d->day_partial;
}

static void to_reference(struct drift *d, const struct drift_grid *g)
{
    const bool named = d->from != INT32_MIN;
    const int64_t want = named ? d->to - d->from + 1 : d->setup.config->reference_days;
    const struct drift_against days = against_days(d);
    bool ok = d->ref_days == 0 ||
              drift_eval_spread(&days, g, (double)d->ref_days / (double)want, &d->spreads);
    ok = drift_grid_merge(&d->ref, d->stride, g, d->stride, d->mem) && ok;
    d->memory_failures += !ok;
    d->ref_from = d->ref_days == 0 ? g->at : d->ref_from;
    d->ref_to = g->at;
    d->ref_days++;
}

static void close_day(struct drift *d, const struct drift_grid *g)
{
    const bool named = d->from != INT32_MIN;
    if (!d->sealed && named && g->at > d->to && d->ref_days > 0) {
        d->sealed = true;
    }
    if (d->sealed) {
        test_window(d, g, false);
    } else if (in_reference(d, g->at)) {
        to_reference(d, g);
        d->sealed = named ? g->at == d->to : d->ref_days >= d->setup.config->reference_days;
    }
}

static void close_hour(struct drift *d, const struct drift_grid *g)
{
    const int32_t day = g->at / DRIFT_HOURS_PER_DAY;
    /* The very first hour. */
    if (d->hour_first == INT32_MIN && d->day_partial == INT32_MIN && d->ref_days == 0 &&
        g->at % DRIFT_HOURS_PER_DAY != 0 && !d->day_seen) {
        d->day_partial = day;
    }
    d->day_seen = true;
    if (d->setup.config->hours && d->sealed) {
        test_window(d, g, true);
    } else if (d->setup.config->hours && in_reference(d, day)) {
        d->memory_failures += !drift_hours_learn(d, g);
    }
    struct drift_grid *to = drift_grids_at(&d->days, d->mem, day);
    bool ok = to != NULL && drift_grid_merge(to, d->stride, g, 1, d->mem);
    d->memory_failures += !ok;
}

void drift_tick(struct drift *d, struct drift_shard *const *shards, uint32_t n,
                int64_t watermark_ns)
{
    const int64_t by_ns = watermark_ns - ns_from_ms(d->setup.config->grace_ms);
    if (watermark_ns == T_NS_NONE || by_ns < 0) {
        return;
    }
    const int32_t hours_end = (int32_t)(by_ns / HOUR_NS); /* hours below it are over */
    if (hours_end <= d->hour_first) {
        return;
    }
    for (uint32_t k = 0; k < n; k++) {
        d->memory_failures += !drift_pour(d, shards[k]);
    }
    for (;;) {
        const int32_t hour = d->hours.count > 0 ? d->hours.v[0].at : INT32_MAX;
        const int32_t next = hour < hours_end ? hour : hours_end;
        while (d->days.count > 0 && (d->days.v[0].at + 1) * DRIFT_HOURS_PER_DAY <= next) {
            close_day(d, &d->days.v[0]);
            drift_grids_drop_first(&d->days, d->mem, d->stride);
        }
        if (hour >= hours_end) {
            break;
        }
        close_hour(d, &d->hours.v[0]);
        drift_grids_drop_first(&d->hours, d->mem, 1);
    }
    d->hour_first = hours_end;
}
