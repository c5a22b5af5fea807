/* The engine: its life, its threads and the slots of its groups.
 *
 * Each thread takes the group whose slot is due first and evaluates it at the slot's time; a group
 * is with one thread at a time. Slots that passed while a group ran, or while the machine slept,
 * are counted as missed and the newest one is evaluated. When the clock steps back by more than an
 * interval the slots are laid anew.
 *
 * lock: mu guards the list of groups, their slots and who is busy; a group's own mu its state. */
#include "engines/rules/rules.h"

#include "base/clock.h"
#include "engines/rules/engine_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX     64
#define PATHS_MAX       1000000
#define ARENA_BYTES_MAX (1U << 20)
#define WAIT_MAX_MS     1000 /* the wall clock may be set meanwhile */

/* --- slots ------------------------------------------------------------------------------------ */

static int64_t slot_offset(const struct group *g)
{
    struct hash128 h = {hash64(g->g->file), hash64(g->g->name)};
    uint64_t both = h.lo * 31 + h.hi;
    return (int64_t)(both % (uint64_t)g->interval_ms);
}

int64_t group_slot_after(const struct group *g, int64_t t_ms)
{
    int64_t offset = slot_offset(g);
    int64_t since = t_ms - offset;
    int64_t into = since % g->interval_ms;
    into += into < 0 ? g->interval_ms : 0;
    return t_ms - into + g->interval_ms;
}

/* The slot to evaluate at now_ms: the newest one that has come. Counts the ones before it. */
static int64_t take_slot(struct group *g, int64_t now_ms)
{
    int64_t late = (now_ms - g->next_ms) / g->interval_ms;
    int64_t slot = g->next_ms + late * g->interval_ms;
    g->missed += (uint64_t)late;
    g->next_ms = slot + g->interval_ms;
    return slot;
}

static void run_slot(struct group *g, int64_t slot_ms)
{
    group_eval(g, slot_ms);
    if (g->restore && ++g->evals_before_restore == 2) {
        group_restore(g, slot_ms);
    }
}

/* --- series of groups that went away -----------------------------------------------------------
 * */

/* Nobody wrote the series after at_ms? */
static bool still_gone(struct tsdb_view *v, struct tsdb_column *c, const struct gone *g,
                       int64_t now)
{
    struct err e = {0};
    return tsdb_read(v, g->ref, g->at_ms + 1, now, UINT32_MAX, c, &e) && c->n == 0;
}

/* lock: mu. Their number is bounded and they are written once. */
static void mark_gone(struct rules *r, int64_t now_ms)
{
    struct mem m;
    struct err e = {0};
    struct tsdb_view *v = NULL;
    uint32_t due = 0;
    for (uint32_t i = 0; i < r->gone_n; i++) {
        due += r->gone[i].due_ms <= now_ms;
    }
    if (due == 0 || !tsdb_view_open(r->db, &v, &e)) {
        return;
    }
    struct tsdb_column c;
    mem_init(&m, r->c.query_bytes_max);
    tsdb_column_init(&c, &m);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->gone_n; i++) {
        if (r->gone[i].due_ms > now_ms) {
            r->gone[kept++] = r->gone[i];
        } else if (still_gone(v, &c, &r->gone[i], now_ms)) {
            group_mark_stale(r, &r->gone[i].ref, 1, r->gone[i].at_ms);
        }
    }
    r->gone_n = kept;
    tsdb_column_release(&c);
    tsdb_view_close(v);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* lock: mu. The group that is due and waits longest; *wait_ms: until the next one is. */
static struct group *next_group(struct rules *r, int64_t now_ms, int64_t *wait_ms)
{
    struct group *best = NULL;
    *wait_ms = WAIT_MAX_MS;
    for (uint32_t i = 0; i < r->groups_n && !r->paused; i++) {
        struct group *g = r->groups[i];
        if (g->busy) {
            continue;
        }
        if (g->next_ms - now_ms > g->interval_ms) {
            g->next_ms = group_slot_after(g, now_ms);
        }
        if (g->next_ms > now_ms) {
            *wait_ms = i64_min(*wait_ms, g->next_ms - now_ms);
        } else if (!best || g->next_ms < best->next_ms) {
            best = g;
        }
    }
    return best;
}

static void wait_for(struct rules *r, int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ns_from_ms(ms > 0 ? ms : 1);
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    (void)pthread_cond_timedwait(&r->wake, &r->mu, &t);
}

static void *work(void *arg)
{
    struct rules *r = arg;
    (void)pthread_mutex_lock(&r->mu);
    while (!r->stopping) {
        int64_t wait_ms = 0;
        int64_t now_ms = ms_from_ns(os_now_ns(r->os));
        mark_gone(r, now_ms);
        struct group *g = next_group(r, now_ms, &wait_ms);
        if (!g) {
            wait_for(r, wait_ms);
            continue;
        }
        int64_t slot = take_slot(g, now_ms);
        g->busy = true;
        r->busy++;
        (void)pthread_mutex_unlock(&r->mu);
        run_slot(g, slot);
        (void)pthread_mutex_lock(&r->mu);
        g->busy = false;
        r->busy--;
        if (r->busy == 0) {
            (void)pthread_cond_broadcast(&r->idle);
        }
    }
    (void)pthread_mutex_unlock(&r->mu);
    return NULL;
}

bool rules_start(struct rules *r, struct err *e)
{
    ASSERT(!r->started);
    uint32_t n = r->c.threads > THREADS_MAX ? THREADS_MAX : r->c.threads ? r->c.threads : 1;
    r->threads = mem_take(&r->mem, n * sizeof r->threads[0]);
    if (!r->threads) {
        return err_set(e, ERR_NOMEM, "no memory for the threads of the rules");
    }
    r->started = true;
    for (; r->threads_n < n; r->threads_n++) {
        int failed = pthread_create(&r->threads[r->threads_n], NULL, work, r);
        if (failed) {
            return r->threads_n > 0 || err_errno(e, failed, "cannot start a thread for rules");
        }
    }
    return true;
}

void rules_run_slots(struct rules *r, int64_t now_ms)
{
    ASSERT(!r->started);
    int64_t wait_ms = 0;
    struct group *g = NULL;
    (void)pthread_mutex_lock(&r->mu);
    mark_gone(r, now_ms);
    while ((g = next_group(r, now_ms, &wait_ms))) {
        int64_t slot = take_slot(g, now_ms);
        (void)pthread_mutex_unlock(&r->mu);
        run_slot(g, slot);
        (void)pthread_mutex_lock(&r->mu);
    }
    (void)pthread_mutex_unlock(&r->mu);
}

/* --- life ------------------------------------------------------------------------------------- */

static bool copy_config(struct rules *r, struct err *e)
{
    struct rules_config *c = &r->c;
    uint32_t n = c->external_labels_n;
    struct label *v = ARENA_ARRAY(&r->arena, struct label, n + 1);
    struct labels own = {0};
    c->external_url = c->external_url.n ? arena_str(&r->arena, c->external_url) : STR("");
    if (!v || !c->external_url.p) {
        return err_set(e, ERR_LIMIT, "the external labels or the external URL are too long");
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] = (struct label){c->external_labels[i].name, c->external_labels[i].value};
    }
    if (!labels_normalize(v, &n, e)) {
        return false;
    }
    own = (struct labels){v, n};
    c->external_labels = NULL; /* borrowed only for this call */
    c->external_labels_n = 0;
    c->interval_ms = c->interval_ms > 0 ? c->interval_ms : 60000;
    c->resend_delay_ms = c->resend_delay_ms > 0 ? c->resend_delay_ms : 60000;
    return labels_copy(own, &r->arena, &r->external, e);
}

bool rules_new(const struct rules_config *c, struct tsdb *db, const struct os *os, struct log *log,
               const struct rules_sink *sink, struct rules **out, struct err *e)
{
    struct rules *r = calloc(1, sizeof *r);
    pthread_condattr_t attr;
    *out = NULL;
    if (!r) {
        return err_set(e, ERR_NOMEM, "no memory for the rules");
    }
    r->c = *c;
    r->db = db;
    r->os = os;
    r->log = log;
    r->sink = sink ? *sink : (struct rules_sink){0};
    mem_init(&r->mem, c->bytes_max);
    arena_init(&r->arena, &r->mem, ARENA_BYTES_MAX);
    intern_init(&r->paths, &r->mem, PATHS_MAX);
    (void)pthread_mutex_init(&r->mu, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->wake, &attr);
    (void)pthread_cond_init(&r->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (!copy_config(r, e)) {
        rules_free(r);
        return false;
    }
    r->source = tsdb_source(db, STR("rules"), TSDB_SERIES_OWN);
    *out = r;
    return true;
}

void rules_free(struct rules *r)
{
    if (!r) {
        return;
    }
    (void)pthread_mutex_lock(&r->mu);
    r->stopping = true;
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->mu);
    for (uint32_t i = 0; i < r->threads_n; i++) {
        (void)pthread_join(r->threads[i], NULL);
    }
    for (uint32_t i = 0; i < r->groups_n; i++) {
        group_free(r->groups[i]);
    }
    intern_release(&r->paths);
    arena_release(&r->arena);
    (void)pthread_cond_destroy(&r->wake);
    (void)pthread_cond_destroy(&r->idle);
    (void)pthread_mutex_destroy(&r->mu);
    free(r->threads);
    free(r->groups);
    free(r->gone);
    free(r);
}
