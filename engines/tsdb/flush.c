/* The flusher: a thread that writes the frozen generation into a block of level 0, lets its log go,
 * and when it has nothing to write, merges and retires (merge_int.h) and drops series that have no
 * samples left.
 *
 * Order of a flush, each step durable before the next:
 *     series table (when there are new series)  ->  block  ->  list of blocks published, the
 *     generation gone from new views, in one moment  ->  log segments before it removed
 * A crash in between repeats work: a block that is there covers its log by its log_upto.
 *
 * When the disk is full the generation stays frozen and is tried again every second; commits go on
 * until the head is at its bound (freeze.c). */
#include "engines/tsdb/commit_int.h"
#include "engines/tsdb/family_int.h"
#include "engines/tsdb/merge_int.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const mod = "tsdb";

#define RETRY_MS        1000
#define HOUSEKEEPING_MS 15000
#define HISTS_BYTES_MAX ((size_t)1 << 30)

/* One series as a column. */
struct gather {
    struct mem *mem;
    const struct gen *g;
    uint32_t n;
    bool has_h, has_st;
    int64_t *t, *st;
    double *v;
    struct nhist **h;
    uint32_t *chunks; /* addresses, oldest last */
    struct late **late;
    size_t t_cap, st_cap, v_cap, h_cap, chunks_cap, late_cap;
    struct arena hists;
};

static void gather_release(struct gather *x)
{
    mem_give(x->mem, x->t, x->t_cap * sizeof *x->t);
    mem_give(x->mem, x->st, x->st_cap * sizeof *x->st);
    mem_give(x->mem, x->v, x->v_cap * sizeof *x->v);
    mem_give(x->mem, x->h, x->h_cap * sizeof *x->h);
    mem_give(x->mem, x->chunks, x->chunks_cap * sizeof *x->chunks);
    mem_give(x->mem, x->late, x->late_cap * sizeof *x->late);
    arena_release(&x->hists);
}

static bool grow(struct gather *x, void **p, size_t *cap, size_t want, size_t element)
{
    return *cap >= want || mem_array_grow(x->mem, p, cap, want, UINT32_MAX, element);
}

static bool gather_room(struct gather *x, size_t n, struct err *e)
{
    void *t = x->t;
    void *v = x->v;
    void *st = x->st;
    void *h = x->h;
    bool ok = grow(x, &t, &x->t_cap, n, sizeof *x->t);
    x->t = t;
    ok = ok && grow(x, &v, &x->v_cap, n, sizeof *x->v);
    x->v = v;
    ok = ok && grow(x, &st, &x->st_cap, n, sizeof *x->st);
    x->st = st;
    ok = ok && grow(x, &h, &x->h_cap, n, sizeof *x->h);
    x->h = h;
    return ok || err_set(e, ERR_NOMEM, "no memory to write the head into a block");
}

static bool gather_value(struct gather *x, uint32_t i, bool hist, uint64_t bits, struct err *e)
{
    x->h[i] = NULL;
    if (!hist) {
        memcpy(&x->v[i], &bits, sizeof bits);
        return true;
    }
    struct rd r = rd_of(gen_blob_str(x->g, (uint32_t)bits));
    if (!nhist_decode(&r, &x->hists, &x->h[i], e)) {
        return false;
    }
    x->v[i] = x->h[i]->sum;
    x->has_h = true;
    return true;
}

/* Writes what was gathered, in columns of at most COL_VALUES_MAX. */
static bool gather_write(struct gather *x, struct block_writer *w, uint32_t ref, uint32_t family,
                         struct err *e)
{
    for (uint32_t at = 0; at < x->n; at += COL_VALUES_MAX) {
        uint32_t n = x->n - at < COL_VALUES_MAX ? x->n - at : COL_VALUES_MAX;
        struct block_column c = {.ref = ref,
                                 .n = n,
                                 .t = x->t + at,
                                 .v = x->v + at,
                                 .h = x->has_h ? (const struct nhist *const *)x->h + at : NULL,
                                 .st = x->has_st ? x->st + at : NULL,
                                 .family = x->n <= COL_VALUES_MAX ? family : 0};
        if (!block_writer_add(w, &c, e)) {
            return false;
        }
    }
    return true;
}

static bool gather_chunks(struct gather *x, const struct slot *s, uint32_t n, struct err *e)
{
    uint32_t chunks = 0;
    uint32_t at = atomic_load_explicit(&s->chunk, memory_order_acquire);
    while (at != 0) {
        void *p = x->chunks;
        if (!grow(x, &p, &x->chunks_cap, chunks + 1, sizeof *x->chunks)) {
            return err_set(e, ERR_NOMEM, "no memory to write the head into a block");
        }
        x->chunks = p;
        x->chunks[chunks++] = at;
        at = ((const struct chunk *)gen_at(x->g, at))->prev;
    }
    for (uint32_t k = chunks; k > 0; k--) {
        const struct chunk *c = gen_at(x->g, x->chunks[k - 1]);
        const int64_t *t = ((const struct time_col *)gen_at(x->g, c->col))->t + c->start;
        uint32_t end = k > 1 ? ((const struct chunk *)gen_at(x->g, x->chunks[k - 2]))->base : n;
        uint32_t used = end - c->base;
        memcpy(x->t + c->base, t, used * sizeof *t);
        bool hist = (c->kind & CHUNK_HIST) != 0;
        for (uint32_t i = 0; i < used; i++) {
            if (!gather_value(x, c->base + i, hist, c->v[i], e)) {
                return false;
            }
            x->st[c->base + i] = (c->kind & CHUNK_ST) != 0 ? (int64_t)c->v[c->cap + i] : 0;
            x->has_st |= x->st[c->base + i] != 0;
        }
    }
    return true;
}

static void gather_start(struct gather *x, uint32_t n)
{
    x->n = n;
    x->has_h = false;
    x->has_st = false;
    arena_reset(&x->hists);
}

static int late_order(const void *a, const void *b)
{
    const struct late *x = *(const struct late *const *)a;
    const struct late *y = *(const struct late *const *)b;
    return x->t < y->t ? -1 : x->t > y->t;
}

/* Late samples of a series have times of their own, so they are a column of their own. */
static bool write_late(struct gather *x, struct block_writer *w, const struct slot *s, uint32_t ref,
                       struct err *e)
{
    uint32_t n = 0;
    uint32_t at = atomic_load_explicit(&s->late, memory_order_acquire);
    while (at != 0) {
        void *p = x->late;
        if (!grow(x, &p, &x->late_cap, n + 1, sizeof *x->late)) {
            return err_set(e, ERR_NOMEM, "no memory to write the head into a block");
        }
        x->late = p;
        x->late[n] = gen_at(x->g, at);
        at = x->late[n++]->next;
    }
    if (n == 0) {
        return true;
    }
    if (n > 1) {
        qsort(x->late, n, sizeof(struct late *), late_order);
    }
    gather_start(x, n);
    if (!gather_room(x, n, e)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct late *l = x->late[i];
        x->t[i] = l->t;
        x->st[i] = l->st;
        x->has_st |= l->st != 0;
        if (!gather_value(x, i, (l->kind & CHUNK_HIST) != 0, l->bits, e)) {
            return false;
        }
    }
    return gather_write(x, w, ref, 0, e);
}

static bool write_series(struct gather *x, struct block_writer *w, struct family_ref f,
                         struct err *e)
{
    const struct slot_page *p = f.ref < x->g->refs_end ? gen_slot_page(x->g, f.ref) : NULL;
    if (p == NULL) {
        return true;
    }
    const struct slot *s = &p->slots[f.ref % SLOTS_PER_PAGE];
    uint32_t n = atomic_load_explicit(&s->count, memory_order_acquire);
    if (n > 0) {
        gather_start(x, n);
        if (!gather_room(x, n, e) || !gather_chunks(x, s, n, e) ||
            !gather_write(x, w, f.ref, f.family, e)) {
            return false;
        }
    }
    return write_late(x, w, s, f.ref, e);
}

/* lock: keep_mu */
static bool write_block(struct tsdb *db, const struct gen *g, struct block **out, struct err *e)
{
    if (db->family == NULL && !family_new(&db->family, &db->keep_mem, e)) {
        return false;
    }
    if (!family_update(db->family, db->index, e)) {
        return false;
    }
    uint64_t id = tsdb_block_number(db);
    struct block_writer *w;
    if (!block_writer_open(&w, &db->keep_mem, db->os, db->dir, id, 0, e)) {
        return false;
    }
    struct gather x = {.mem = &db->keep_mem, .g = g};
    arena_init(&x.hists, &db->keep_mem, HISTS_BYTES_MAX);
    uint32_t n;
    const struct family_ref *f = family_all(db->family, &n);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = write_series(&x, w, f[i], e);
    }
    gather_release(&x);
    if (!ok) {
        block_writer_abort(w);
        return false;
    }
    struct block_info info;
    return block_writer_finish(w, g->log_upto, &info, e) &&
           block_open(out, &db->keep_mem, db->os, db->dir, id, e);
}

/* lock: keep_mu */
static bool flush_locked(struct tsdb *db, struct gen *g, struct err *e)
{
    struct block *b = NULL;
    if (!tsdb_series_save(db, false, e)) {
        return false;
    }
    if (g->samples > 0 && !write_block(db, g, &b, e)) {
        return false;
    }
    uint64_t upto = g->log_upto;
    if (!tsdb_blocks_flushed(db, &b, b != NULL ? 1 : 0, e)) {
        if (b != NULL) {
            /* The file stays: after a restart it covers the log, until then it is written again. */
            block_close(b);
        }
        return false;
    }
    db->covered = upto;
    atomic_store(&db->covered_log, upto);
    wal_trim(db->wal, upto);
    return true;
}

bool flush_frozen(struct tsdb *db, struct err *e)
{
    int64_t t0 = os_mono_ns(db->os);
    pthread_mutex_lock(&db->keep_mu);
    pthread_mutex_lock(&db->view_mu);
    struct gen *g = db->frozen;
    pthread_mutex_unlock(&db->view_mu);
    bool ok = g == NULL || flush_locked(db, g, e);
    tsdb_blocks_sweep(db);
    pthread_mutex_unlock(&db->keep_mu);
    if (g != NULL && ok) {
        db->counters.flushes++;
        db->counters.flush_ns_last = os_mono_ns(db->os) - t0;
    } else if (!ok) {
        db->counters.flush_failures++;
    }
    return ok;
}

/* -- the thread -- */

/* Pages of blocks that something looked into since: they stay in the system's cache, and what is
 * wanted again comes back at the price of a fault. Not more often than blocks are written, so that
 * queries over a quiet store find everything mapped. */
static void blocks_cool(struct tsdb *db)
{
    struct block_list *l = tsdb_blocks_ref(db);
    for (uint32_t i = 0; i < l->n; i++) {
        block_cool(l->v[i]->block);
    }
    tsdb_blocks_unref(db, l);
}

/* lock: queue_mu */
static void wait_ms(struct tsdb *db, int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ns_from_ms(ms);
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    (void)pthread_cond_timedwait(&db->flush_wake, &db->queue_mu, &t);
}

static void flush_step(struct tsdb *db)
{
    struct err e = {.code = ERR_NONE};
    bool ok = flush_frozen(db, &e);
    if (!ok) {
        log_err(db->log, LOG_ERROR, mod, &e);
    }
    if (ok) {
        blocks_cool(db);
    }
    pthread_mutex_lock(&db->queue_mu);
    db->flush_rounds++;
    db->flush_failed = !ok;
    db->flush_err = e;
    if (ok) {
        /* The committer may have frozen the next one as soon as this one was gone. */
        db->flush_number++;
        ASSERT(db->flush_number <= db->freeze_number);
        db->flush_wanted = db->flush_number < db->freeze_number;
    }
    pthread_cond_broadcast(&db->flush_done);
    pthread_cond_signal(&db->commit_wake);
    if (!ok && !db->flusher_stop) {
        wait_ms(db, RETRY_MS);
    }
    pthread_mutex_unlock(&db->queue_mu);
}

static bool wanted(struct tsdb *db)
{
    pthread_mutex_lock(&db->queue_mu);
    bool yes = db->flush_wanted || db->flusher_stop;
    pthread_mutex_unlock(&db->queue_mu);
    return yes;
}

static void housekeeping(struct tsdb *db)
{
    bool did = true;
    bool retired = false;
    struct err e = {.code = ERR_NONE};
    bool ok = true;
    while (ok && did && !wanted(db)) {
        ok = retain_round(db, &did, &e);
        retired |= ok && did;
    }
    did = true;
    while (ok && did && !wanted(db)) {
        ok = merge_round(db, &did, &e);
    }
    if (!ok && e.code != ERR_BUSY) {
        log_err(db->log, LOG_ERROR, mod, &e);
    }
    pthread_mutex_lock(&db->keep_mu);
    tsdb_blocks_sweep(db);
    if (!tsdb_series_save_grown(db, &e)) {
        log_err(db->log, LOG_WARN, mod, &e);
    }
    pthread_mutex_unlock(&db->keep_mu);
    if (!wanted(db)) {
        drop_look(db, retired);
    }
}

void *flush_run(void *arg)
{
    struct tsdb *db = arg;
    pthread_mutex_lock(&db->queue_mu);
    while (!db->flusher_stop) {
        bool flush = db->flush_wanted;
        pthread_mutex_unlock(&db->queue_mu);
        if (flush) {
            flush_step(db);
        } else {
            housekeeping(db);
        }
        pthread_mutex_lock(&db->queue_mu);
        if (!flush && !db->flush_wanted && !db->flusher_stop) {
            wait_ms(db, HOUSEKEEPING_MS);
        }
    }
    pthread_mutex_unlock(&db->queue_mu);
    return NULL;
}

/* -- for callers -- */

static bool gave_up(struct tsdb *db, uint64_t round, struct err *e)
{
    if (db->flush_failed && db->flush_rounds > round) {
        if (e != NULL) {
            *e = db->flush_err;
        }
        return true;
    }
    return false;
}

bool tsdb_head_flush(struct tsdb *db, struct err *e)
{
    pthread_mutex_lock(&db->queue_mu);
    uint64_t ticket = ++db->freezes_wanted;
    uint64_t round = db->flush_rounds;
    db->freeze_failed = false;
    pthread_cond_signal(&db->commit_wake);
    pthread_cond_signal(&db->flush_wake);
    bool ok = true;
    while (ok && db->freezes_done < ticket) {
        pthread_cond_wait(&db->flush_done, &db->queue_mu);
        ok = !gave_up(db, round, e);
    }
    if (ok && db->freeze_failed) {
        ok = err_set(e, ERR_NOMEM, "no memory to freeze the head");
    }
    uint64_t number = db->freeze_number;
    while (ok && db->flush_number < number) {
        pthread_cond_wait(&db->flush_done, &db->queue_mu);
        ok = db->flush_number >= number || !gave_up(db, round, e);
    }
    pthread_mutex_unlock(&db->queue_mu);
    return ok;
}

bool tsdb_flush(struct tsdb *db, bool merge, struct err *e)
{
    bool did = true;
    if (!tsdb_head_flush(db, e)) {
        return false;
    }
    while (merge && did) {
        if (!retain_round(db, &did, e)) {
            return false;
        }
    }
    did = merge;
    while (did) {
        if (!merge_round_all(db, &did, e)) {
            return false;
        }
    }
    pthread_mutex_lock(&db->keep_mu);
    tsdb_blocks_sweep(db);
    pthread_mutex_unlock(&db->keep_mu);
    return true;
}
