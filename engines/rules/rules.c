/* The engine: its life, its threads and the slots of its groups.
 *
 * A thread takes the group whose slot is due first and evaluates its rules at the slot's time, in
 * order. One that finds no group due helps with another's: it takes a rule that needs nothing of
 * those that are not done (deps.c). Whoever is done with the last rule ends the slot. With one
 * thread that is: group by group, rule by rule. Slots that passed while a group ran, or while the
 * machine slept, are counted as missed and the newest one is evaluated. When the clock
 * steps back by more than an interval the slots are laid anew.
 *
 * lock: mu guards the list of groups, their slots and who is busy; a group's own mu its state. */
#include "engines/rules/rules.h"

#include "base/clock.h"
#include "engines/rules/engine_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

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
    for (uint32_t i = 0; i < r->groups_n && !r->paused && !r->stopping; i++) {
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

/* lock: mu */
static void begin_slot(struct rules *r, struct group *g, int64_t now_ms)
{
    ASSERT(!g->busy);
    ASSERT(r->busy < RULES_THREADS_MAX);
    rule_turn_begin(g, take_slot(g, now_ms));
    g->turn.begin_ns = os_mono_ns(r->os);
    g->busy = true;
    r->running[r->busy++] = g;
}

/* lock: mu */
static bool take_rule(struct rules *r, struct group *g, uint32_t *i)
{
    *i = rule_turn_next(g);
    if (*i == RULE_NONE) {
        return false;
    }
    rule_turn_take(g, *i);
    if (r->waiting > 0 && rule_turn_next(g) != RULE_NONE) {
        (void)pthread_cond_signal(&r->wake);
    }
    return true;
}

/* lock: mu. The next thing to do: a rule of *own, the group the caller is with; else of a group
 * that is due; else of one that others are with. *rule RULE_NONE: a group without rules.
 * false: nothing for *wait_ms, unless a rule gets done before. */
static bool next_task(struct rules *r, struct group **own, int64_t now_ms, uint32_t *rule,
                      int64_t *wait_ms)
{
    if (*own && take_rule(r, *own, rule)) {
        return true;
    }
    *own = r->busy < RULES_THREADS_MAX ? next_group(r, now_ms, wait_ms) : NULL;
    if (*own) {
        begin_slot(r, *own, now_ms);
        return take_rule(r, *own, rule) || (*own)->rules_n == 0;
    }
    for (uint32_t i = 0; i < r->busy; i++) {
        if (take_rule(r, r->running[i], rule)) {
            *own = r->running[i];
            r->side_by_side++;
            return true;
        }
    }
    return false;
}

/* lock: mu, given up meanwhile. The last rule of g is done. */
static void end_slot(struct rules *r, struct group *g)
{
    (void)pthread_mutex_unlock(&r->mu);
    group_eval_end(g);
    if (g->restore && ++g->evals_before_restore == 2) {
        group_restore(g, g->turn.ts_ms);
    }
    (void)pthread_mutex_lock(&r->mu);
    uint32_t at = 0;
    while (r->running[at] != g) {
        at++;
    }
    memmove(&r->running[at], &r->running[at + 1], (r->busy - at - 1) * sizeof r->running[0]);
    g->busy = false;
    r->busy--;
    if (r->busy == 0) {
        (void)pthread_cond_broadcast(&r->idle);
    }
    if (r->waiting > 0) {
        (void)pthread_cond_broadcast(&r->wake);
    }
}

/* lock: mu, given up meanwhile. *own becomes NULL when that was the last one. */
static void run_task(struct rules *r, struct group **own, uint32_t rule)
{
    struct group *g = *own;
    if (rule != RULE_NONE) {
        const int64_t ts_ms = g->turn.ts_ms;
        (void)pthread_mutex_unlock(&r->mu);
        group_eval_rule(g, rule, ts_ms);
        (void)pthread_mutex_lock(&r->mu);
        rule_turn_done(g, rule);
    }
    if (g->turn.done == g->rules_n) {
        end_slot(r, g);
        *own = NULL;
    }
}

/* lock: mu */
static void wait_for(struct rules *r, int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ns_from_ms(ms > 0 ? ms : 1);
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    r->waiting++;
    (void)pthread_cond_timedwait(&r->wake, &r->mu, &t);
    r->waiting--;
}

static void *work(void *arg)
{
    struct rules *r = arg;
    struct group *own = NULL;
    (void)pthread_mutex_lock(&r->mu);
    while (!r->stopping || own) {
        int64_t wait_ms = WAIT_MAX_MS;
        int64_t now_ms = ms_from_ns(os_now_ns(r->os));
        uint32_t rule = RULE_NONE;
        if (!own) {
            mark_gone(r, now_ms);
        }
        if (next_task(r, &own, now_ms, &rule, &wait_ms)) {
            run_task(r, &own, rule);
        } else if (!r->stopping) {
            wait_for(r, wait_ms);
        }
    }
    (void)pthread_mutex_unlock(&r->mu);
    return NULL;
}

bool rules_start(struct rules *r, struct err *e)
{
    ASSERT(!r->started);
    uint32_t n = r->c.threads > RULES_THREADS_MAX ? RULES_THREADS_MAX
                 : r->c.threads                   ? r->c.threads
                                                  : 1;
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
    struct group *own = NULL;
    (void)pthread_mutex_lock(&r->mu);
    mark_gone(r, now_ms);
    for (;;) {
        int64_t wait_ms = 0;
        uint32_t rule = RULE_NONE;
        if (next_task(r, &own, now_ms, &rule, &wait_ms)) {
            run_task(r, &own, rule);
        } else if (r->busy > 0) {
            r->waiting++;
            (void)pthread_cond_wait(&r->wake, &r->mu);
            r->waiting--;
        } else {
            break;
        }
    }
    (void)pthread_mutex_unlock(&r->mu);
}

/* --- life ------------------------------------------------------------------------------------- */

void external_free(struct external *x)
{
    if (x) {
        arena_release(&x->arena);
        free(x);
    }
}

bool external_new(const struct rule_pair *v, uint32_t n, struct external **out, struct err *e)
{
    struct external *x = calloc(1, sizeof *x);
    *out = NULL;
    if (!x) {
        return err_set(e, ERR_NOMEM, "no memory for the external labels");
    }
    mem_init(&x->mem, 0);
    arena_init(&x->arena, &x->mem, ARENA_BYTES_MAX);
    struct label *l = ARENA_ARRAY(&x->arena, struct label, (size_t)n + 1);
    bool ok = l || err_set(e, ERR_LIMIT, "the external labels are too long");
    for (uint32_t i = 0; ok && i < n; i++) {
        l[i] = (struct label){v[i].name, v[i].value};
    }
    ok = ok && labels_normalize(l, &n, e) &&
         labels_copy((struct labels){l, n}, &x->arena, &x->ls, e);
    if (!ok) {
        external_free(x);
        return false;
    }
    *out = x;
    return true;
}

static bool copy_config(struct rules *r, struct err *e)
{
    struct rules_config *c = &r->c;
    c->external_url = c->external_url.n ? arena_str(&r->arena, c->external_url) : STR("");
    if (!c->external_url.p) {
        return err_set(e, ERR_LIMIT, "the external URL is too long");
    }
    if (!external_new(c->external_labels, c->external_labels_n, &r->external, e)) {
        return false;
    }
    c->external_labels = NULL; /* borrowed only for this call */
    c->external_labels_n = 0;
    c->interval_ms = c->interval_ms > 0 ? c->interval_ms : RULES_INTERVAL_MS;
    c->resend_delay_ms = c->resend_delay_ms > 0 ? c->resend_delay_ms : 60000;
    return true;
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
    external_free(r->external);
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
