/* The committer: one thread that takes the batches that are waiting (that is the group), checks
 * them, writes them to the log, syncs once, applies them to the head, and tells the callers.
 *
 *     queue --> check (check.c) --> log buffer --> write, datasync --> apply --> done
 *                  |                                   | failed
 *                  '-- undo <--------------------------'   every batch of the group is told so
 *
 * While it syncs the next group gathers, so the rate of syncs adapts to the disk by itself. Each
 * pass goes over a batch once and fetches ahead what the samples to come will touch. A batch is
 * applied under view_mu and raises the epoch by one: a view sees it whole or not at all.
 *
 * Between groups the committer freezes the head when that is due (freeze.c). Nothing it waits for
 * waits for it, but the flusher's progress when the head is at its bound. */
#include "engines/tsdb/commit_int.h"

#include "base/clock.h"
#include "engines/tsdb/exemplar_int.h"
#include "engines/tsdb/view_int.h"

#include <string.h>

static const char *const mod = "tsdb";

#define GROUP_SAMPLES 65536
/* A little less than a second, so that what comes once a second is not a moment too early. */
#define SYNC_SOON_NS (900 * NS_PER_MS)
/* How far ahead memory is fetched: a slot tells where its chunk is, so it comes first. 16 and 8, or
 * 64 and 32, are a little slower (bench/tsdb). */
#define SLOTS_AHEAD      32
#define CHUNKS_AHEAD     16
#define LABELS_BYTES_MAX ((size_t)64 << 20)

bool commit_new(struct tsdb *db, struct err *e)
{
    struct commit *c = mem_take(&db->open_mem, sizeof *c);
    if (c == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the committer");
    }
    mem_init(&c->mem, 0);
    arena_init(&c->arena, &c->mem, LABELS_BYTES_MAX);
    c->group = 1;
    db->commit = c;
    return true;
}

void commit_free(struct tsdb *db)
{
    struct commit *c = db->commit;
    if (c == NULL) {
        return;
    }
    ASSERT(c->first == NULL);
    find_done(db);
    finder_free(c->finder);
    arena_release(&c->arena);
    mem_give(&c->mem, c->undo, c->undo_cap * sizeof *c->undo);
    mem_give(&c->mem, c->taken, c->taken_cap * sizeof *c->taken);
    mem_give(&c->mem, c->met, c->met_cap * sizeof *c->met);
    ASSERT(c->mem.bytes == 0);
    mem_give(&db->open_mem, c, sizeof *c);
    db->commit = NULL;
}

/* -- the door -- */

bool tsdb_commit(struct tsdb *db, struct tsdb_batch *b, unsigned flags,
                 void (*done)(void *ctx, const struct tsdb_result *r, const struct err *e),
                 void *ctx, struct err *e)
{
    struct tsdb_config config;
    tsdb_config_get(db, &config);
    b->flags = flags;
    b->done = done;
    b->done_ctx = ctx;
    b->next = NULL;
    b->bytes = tsdb_batch_bytes(b);
    struct commit *c = db->commit;
    pthread_mutex_lock(&db->queue_mu);
    size_t waiting = c->queue_bytes;
    /* One batch always goes in, or a large one never would. */
    bool busy = db->stopping || (waiting > 0 && waiting + b->bytes > config.queue_bytes_max);
    if (!busy) {
        if (c->last != NULL) {
            c->last->next = b;
        } else {
            c->first = b;
        }
        c->last = b;
        c->queue_bytes += b->bytes;
        pthread_cond_signal(&db->commit_wake);
    }
    pthread_mutex_unlock(&db->queue_mu);
    return !busy || err_set(e, ERR_BUSY, "the queue of samples is full: %zu bytes", waiting);
}

struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool done, failed;
    struct tsdb_result *result;
    struct err *e;
};

static void wake_waiter(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct waiter *w = ctx;
    pthread_mutex_lock(&w->mu);
    if (w->result != NULL) {
        *w->result = *r;
    }
    w->failed = e != NULL;
    if (e != NULL && w->e != NULL) {
        *w->e = *e;
    }
    w->done = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mu);
}

bool tsdb_commit_wait(struct tsdb *db, struct tsdb_batch *b, unsigned flags, struct tsdb_result *r,
                      struct err *e)
{
    struct waiter w = {.result = r, .e = e};
    pthread_mutex_init(&w.mu, NULL);
    pthread_cond_init(&w.wake, NULL);
    bool ok = tsdb_commit(db, b, flags, wake_waiter, &w, e);
    if (ok) {
        pthread_mutex_lock(&w.mu);
        while (!w.done) {
            pthread_cond_wait(&w.wake, &w.mu);
        }
        pthread_mutex_unlock(&w.mu);
        ok = !w.failed;
    }
    pthread_cond_destroy(&w.wake);
    pthread_mutex_destroy(&w.mu);
    return ok;
}

/* -- applying -- */

struct apply {
    struct tsdb *db;
    struct gen *g;
    uint64_t epoch, newest, oldest;
    bool views;
    const uint32_t *taken; /* the next one */
};

static void apply_run(struct apply *a, const struct tsdb_batch *b, size_t run)
{
    struct gen *g = a->g;
    size_t to = batch_run_end(b, run);
    int64_t t = b->runs[run].t;
    bool hist = b->runs[run].kind == BATCH_HIST;
    for (size_t i = b->runs[run].first; i < to; i++) {
        if (i + SLOTS_AHEAD < b->n) {
            gen_fetch_slot(g, b->refs[i + SLOTS_AHEAD]);
            gen_fetch_chunk(g, b->refs[i + CHUNKS_AHEAD]);
        }
        uint8_t verdict = b->verdict[i];
        if (verdict == VERDICT_LATE) {
            gen_late_publish(g, *a->taken++, a->epoch);
            continue;
        }
        if (verdict != VERDICT_APPEND) {
            continue;
        }
        uint32_t ref = b->refs[i];
        struct slot_page *p = gen_slot_page(g, ref);
        if (atomic_load_explicit(&p->modified, memory_order_relaxed) != a->epoch) {
            gen_page_touch(g, p, a->epoch, a->newest, a->oldest, a->views);
        }
        int64_t st = b->has_st ? b->st[i] : 0;
        unsigned kind = (hist ? CHUNK_HIST : CHUNK_FLOAT) | (st != 0 ? CHUNK_ST : 0);
        uint64_t bits = hist ? *a->taken++ : b->bits[i];
        gen_append(g, &p->slots[ref % SLOTS_PER_PAGE], t, st, kind, bits);
    }
}

static void apply_bounds(struct gen *g, const struct tsdb_batch *b)
{
    for (size_t r = 0; r < b->runs_n; r++) {
        bool any = b->clean;
        for (size_t i = b->runs[r].first; !any && i < batch_run_end(b, r); i++) {
            any = b->verdict[i] <= VERDICT_LATE;
        }
        if (any) {
            g->min_ms = i64_min(g->min_ms, b->runs[r].t);
            g->max_ms = i64_max(g->max_ms, b->runs[r].t);
        }
    }
}

static void apply_exemplars(struct tsdb *db, struct tsdb_batch *b, uint64_t epoch)
{
    struct commit *c = db->commit;
    for (size_t i = 0; i < b->exemplars_n; i++) {
        const struct batch_exemplar *x = &b->exemplars[i];
        if (x->ref == 0) {
            continue;
        }
        struct rd r = rd_of(str_of(b->blob.p + x->off, x->bytes));
        uint32_t n = rd_u32le(&r);
        arena_reset(&c->arena);
        struct label *v = ARENA_ARRAY(&c->arena, struct label, n);
        for (uint32_t k = 0; v != NULL && k < n; k++) {
            v[k].name = rd_str32(&r);
            v[k].value = rd_str32(&r);
        }
        struct tsdb_exemplar one = {.ref = x->ref, .t_ms = x->t, .v = x->v, .labels = {v, n}};
        if (v == NULL || !exemplars_add(db->exemplars, epoch, &one)) {
            b->result.exemplars--;
            b->result.refused_exemplars++;
        }
    }
}

static uint64_t applied(const struct tsdb_batch *b)
{
    uint64_t n = b->n;
    for (size_t i = 0; !b->clean && i < b->n; i++) {
        n -= b->verdict[i] <= VERDICT_LATE ? 0 : 1;
    }
    return n;
}

static void apply(struct tsdb *db, struct tsdb_batch *b)
{
    struct gen *g = db->active;
    uint64_t n = applied(b);
    pthread_mutex_lock(&db->view_mu);
    struct apply a = {.db = db, .g = g, .epoch = db->epoch + 1, .views = db->views_last != NULL};
    a.taken = db->commit->taken ? db->commit->taken + b->taken_from : NULL;
    if (a.views) {
        a.newest = view_epoch(db->views_last);
        a.oldest = view_epoch(db->views_first);
    }
    for (size_t r = 0; r < b->runs_n; r++) {
        apply_run(&a, b, r);
    }
    apply_bounds(g, b);
    g->samples += n;
    db->epoch = a.epoch;
    pthread_mutex_unlock(&db->view_mu);
    apply_exemplars(db, b, a.epoch);
    struct tsdb_counters *k = &db->counters;
    k->samples += b->result.samples;
    k->histograms += b->result.histograms;
    k->duplicates += b->result.samples + b->result.histograms - n;
    k->exemplars += b->result.exemplars;
}

/* -- the group -- */

static struct tsdb_batch *group_take(struct tsdb *db)
{
    struct commit *c = db->commit;
    struct tsdb_batch *first = c->first;
    struct tsdb_batch *last = first;
    size_t n = last != NULL ? last->n : 0;
    while (last != NULL && last->next != NULL && n + last->next->n <= GROUP_SAMPLES) {
        last = last->next;
        n += last->n;
    }
    if (last != NULL) {
        c->first = last->next;
        c->last = last->next != NULL ? c->last : NULL;
        last->next = NULL;
    }
    return first;
}

static void put_sources(struct tsdb *db)
{
    for (uint32_t i = 1; i < db->sources_n; i++) {
        struct source *s = db->sources[i];
        if (s != NULL && !s->logged) {
            wal_record_begin(db->wal, LOG_SOURCE);
            log_put_source(&db->wal->group, i, s->name);
            wal_record_end(db->wal);
            s->logged = true;
        }
    }
}

/* Checks a batch and puts it into the group. */
static void group_add(struct tsdb *db, struct tsdb_batch *b)
{
    struct wal *w = db->wal;
    check_batch(db, b);
    check_put_met(db);
    if (b->refused) {
        return;
    }
    if (applied(b) > 0) {
        wal_record_begin(w, LOG_SAMPLES);
        log_put_samples(&w->group, b);
        wal_record_end(w);
    }
    if (b->result.exemplars > 0) {
        wal_record_begin(w, LOG_EXEMPLARS);
        log_put_exemplars(&w->group, b);
        wal_record_end(w);
    }
}

static void refuse_all(struct tsdb_batch *b)
{
    b->result = (struct tsdb_result){.refused_exemplars = b->exemplars_n};
    b->refused = true;
    if (b->n > 0) {
        b->result.refused[TSDB_HEAD_FULL] = b->n;
        b->result.first_ref = b->refs[0];
        b->result.first_t_ms = b->runs[0].t;
        b->result.first_why = TSDB_HEAD_FULL;
    }
}

static bool wants_sync(const struct tsdb *db, const struct tsdb_batch *b, int64_t mono_ns)
{
    if ((b->flags & TSDB_SYNC_SOON) != 0) {
        const struct commit *c = db->commit;
        return !c->synced || mono_ns - c->synced_ns >= SYNC_SOON_NS;
    }
    return (b->flags & TSDB_NO_SYNC) == 0;
}

static bool group_log(struct tsdb *db, struct tsdb_batch *first, struct err *e)
{
    struct commit *c = db->commit;
    tsdb_config_get(db, &c->config);
    c->now_ms = ms_from_ns(os_now_ns(db->os));
    bool room = freeze_wait_room(db);
    if (!wal_begin(db->wal, atomic_load(&db->covered_log), e)) {
        return false;
    }
    bool sync = false;
    int64_t mono_ns = os_mono_ns(db->os);
    pthread_mutex_lock(&db->source_mu);
    put_sources(db);
    pthread_mutex_unlock(&db->source_mu);
    for (struct tsdb_batch *b = first; b != NULL; b = b->next) {
        if (room) {
            group_add(db, b);
        } else {
            refuse_all(b);
        }
        sync |= wants_sync(db, b, mono_ns);
    }
    find_done(db);
    if (!pool_reserve(&db->head->pool, gen_pages_of(c->reserved))) {
        return err_set(e, ERR_NOMEM, "no memory for the samples of a group");
    }
    if (!wal_commit(db->wal, sync, e)) {
        return false;
    }
    if (sync) {
        db->counters.log_syncs++;
        c->synced = true;
        c->synced_ns = mono_ns;
    }
    atomic_store(&db->log_position, wal_position(db->wal));
    return true;
}

/* Nothing of the group counts. */
static void group_undo(struct tsdb *db)
{
    struct commit *c = db->commit;
    find_done(db);
    check_undo(db, 0);
    for (size_t i = 0; i < c->met_n; i++) {
        struct series_page *p = head_page(db->head, c->met[i]);
        bit_clear(p->logged, c->met[i] % SERIES_PER_PAGE);
        bit_clear(p->known, c->met[i] % SERIES_PER_PAGE);
    }
    pthread_mutex_lock(&db->source_mu);
    for (uint32_t i = 1; i < db->sources_n; i++) {
        if (db->sources[i] != NULL) {
            db->sources[i]->logged = false;
        }
    }
    pthread_mutex_unlock(&db->source_mu);
    db->counters.log_failures++;
}

static void count_refused(struct tsdb *db, const struct tsdb_batch *b)
{
    for (size_t i = 0; i < TSDB_REFUSALS && b->result.first_ref != 0; i++) {
        db->counters.refused[i] += b->result.refused[i];
    }
}

static void batch_done(struct tsdb *db, struct tsdb_batch *b, const struct err *failed)
{
    struct tsdb_result r = b->result;
    struct err e = {.code = ERR_NONE};
    const struct err *why = failed;
    if (failed != NULL) {
        r = (struct tsdb_result){.samples = 0};
    } else if (b->refused && (b->flags & TSDB_ALL_OR_NOTHING) != 0) {
        err_set(&e, r.first_why == TSDB_HEAD_FULL ? ERR_BUSY : ERR_INPUT,
                "a sample was refused, and so all of the batch");
        why = &e;
    }
    void (*done)(void *, const struct tsdb_result *, const struct err *) = b->done;
    void *ctx = b->done_ctx;
    pthread_mutex_lock(&db->queue_mu);
    db->commit->queue_bytes -= b->bytes;
    pthread_mutex_unlock(&db->queue_mu);
    if (done != NULL) {
        done(ctx, &r, why); /* the batch is the caller's again */
    }
}

static void group_commit(struct tsdb *db, struct tsdb_batch *first)
{
    struct commit *c = db->commit;
    struct err e = {.code = ERR_NONE};
    bool ok = group_log(db, first, &e);
    if (!ok) {
        group_undo(db);
        log_err(db->log, LOG_ERROR, mod, &e);
    }
    for (struct tsdb_batch *b = first; ok && b != NULL; b = b->next) {
        if (!b->refused) {
            apply(db, b);
        }
        count_refused(db, b);
    }
    for (struct tsdb_batch *b = first; b != NULL;) {
        struct tsdb_batch *next = b->next;
        batch_done(db, b, ok ? NULL : &e);
        b = next;
    }
    c->undo_n = 0;
    c->taken_n = 0;
    c->met_n = 0;
    c->met_put = 0;
    c->reserved = 0;
    c->group = c->group == UINT32_MAX ? 1 : c->group + 1;
}

/* -- the thread -- */

static bool idle(const struct tsdb *db)
{
    return db->commit->first == NULL && db->freezes_wanted == db->freezes_done &&
           !db->chore_wanted && !db->stopping;
}

void *commit_run(void *arg)
{
    struct tsdb *db = arg;
    pthread_mutex_lock(&db->queue_mu);
    for (;;) {
        while (idle(db)) {
            pthread_cond_wait(&db->commit_wake, &db->queue_mu);
        }
        struct tsdb_batch *group = group_take(db);
        bool asked = db->freezes_wanted > db->freezes_done;
        bool chore = db->chore_wanted;
        if (group == NULL && db->stopping) {
            break;
        }
        pthread_mutex_unlock(&db->queue_mu);
        if (group != NULL) {
            group_commit(db, group);
        }
        if (chore) {
            drop_run(db);
        }
        if (group != NULL || asked) {
            (void)freeze_if_due(db); /* without memory now, the next group tries again */
        }
        pthread_mutex_lock(&db->queue_mu);
        /* A freeze that is asked for waits until the generation before is in its block. */
        while (group == NULL && asked && db->freezes_wanted > db->freezes_done && !db->stopping &&
               db->commit->first == NULL && !db->chore_wanted && db->flush_wanted) {
            pthread_cond_wait(&db->commit_wake, &db->queue_mu);
        }
    }
    pthread_mutex_unlock(&db->queue_mu);
    return NULL;
}
