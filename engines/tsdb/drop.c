/* Dropping series of which nothing is stored any more, so that names of things long gone do not
 * stay in lists and in memory.
 *
 * The flusher looks: a series is a candidate when no block and no generation has a sample of it, in
 * two looks in a row, ten minutes apart (one that was only just defined waits for its first
 * sample). The committer decides, because it alone knows what is on its way: it drops the
 * candidates that still have nothing in the head. The flusher holds keep_mu meanwhile, so that no
 * block appears.
 *
 * Ids are given again an hour after the last drop, when the table was saved without them and no
 * view is open that may know them: a batch that a door filled before the drop is long gone. */
#include "engines/tsdb/commit_int.h"
#include "engines/tsdb/family_int.h"
#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/view_int.h"

#include "base/clock.h"

#include <string.h>

static const char *const mod = "tsdb";

#define LOOK_MS  (10 * 60 * MS_PER_S)
#define REUSE_MS (60 * 60 * MS_PER_S)

static bool gen_has(const struct gen *g, uint32_t ref)
{
    return g != NULL && (gen_count(g, ref, UINT64_MAX) > 0 || gen_has_late(g, ref, UINT64_MAX));
}

void drop_run(struct tsdb *db)
{
    pthread_mutex_lock(&db->queue_mu);
    bool run = db->chore_wanted && !db->chore_runs;
    db->chore_runs = run;
    pthread_mutex_unlock(&db->queue_mu);
    if (!run) {
        return;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < db->dropping_n; i++) {
        uint32_t ref = db->dropping[i];
        struct series_page *p = head_page(db->head, ref);
        /* Nothing was frozen away since the look: the flusher is waiting for us. */
        if (p == NULL || gen_has(db->active, ref) || gen_has(db->frozen, ref)) {
            continue;
        }
        uint32_t k = ref % SERIES_PER_PAGE;
        bit_clear(p->known, k);
        bit_clear(p->logged, k);
        p->v[k] = (struct last){.last_t = NO_TIME};
        db->dropping[n++] = ref;
    }
    index_drop(db->index, db->dropping, n);
    pthread_mutex_lock(&db->queue_mu);
    db->dropping_n = n;
    db->chore_wanted = false;
    db->chore_runs = false;
    pthread_cond_broadcast(&db->flush_done);
    pthread_mutex_unlock(&db->queue_mu);
}

/* lock: keep_mu. Number of series that the committer dropped. */
static uint32_t hand_over(struct tsdb *db, uint32_t *refs, uint32_t n)
{
    pthread_mutex_lock(&db->queue_mu);
    db->dropping = refs;
    db->dropping_n = n;
    db->chore_wanted = true;
    pthread_cond_signal(&db->commit_wake);
    /* A committer that waits for a flush cannot come to this: take it back then. */
    while (db->chore_wanted && (db->chore_runs || (!db->flush_wanted && !db->flusher_stop))) {
        pthread_cond_wait(&db->flush_done, &db->queue_mu);
    }
    uint32_t dropped = db->chore_wanted ? 0 : db->dropping_n;
    db->chore_wanted = false;
    db->dropping = NULL;
    pthread_mutex_unlock(&db->queue_mu);
    return dropped;
}

/* lock: keep_mu. Marks every series that has a sample somewhere; the rest are the candidates. */
static void mark(struct tsdb *db, uint64_t *bits, uint32_t end)
{
    struct block_list *l = tsdb_blocks_ref(db);
    for (uint32_t i = 0; i < l->n; i++) {
        retain_mark(l->v[i]->block, bits, end);
    }
    tsdb_blocks_unref(db, l);
    struct tsdb_view *v;
    if (!tsdb_view_open(db, &v, NULL)) {
        memset(bits, 0xff, (end / 64 + 1) * sizeof *bits);
        return;
    }
    for (uint32_t ref = 1; ref < end; ref++) {
        if (gen_has(v->gens[0].gen, ref) || gen_has(v->gens[1].gen, ref)) {
            bit_set(bits, ref);
        }
    }
    tsdb_view_close(v);
}

/* lock: keep_mu */
static uint32_t look(struct tsdb *db, uint64_t *bits, uint32_t end)
{
    mark(db, bits, end);
    uint32_t n = 0;
    for (uint32_t ref = 1; ref < end && ref < db->looked_end; ref++) {
        bool candidate = !bit_get(bits, ref) && !bit_get(db->looked, ref);
        n += candidate && index_has(db->index, ref) ? 1 : 0;
    }
    uint32_t *refs = n > 0 ? mem_take(&db->keep_mem, n * sizeof *refs) : NULL;
    if (refs == NULL) {
        return 0;
    }
    uint32_t k = 0;
    for (uint32_t ref = 1; ref < end && ref < db->looked_end && k < n; ref++) {
        if (!bit_get(bits, ref) && !bit_get(db->looked, ref) && index_has(db->index, ref)) {
            refs[k++] = ref;
        }
    }
    uint32_t dropped = hand_over(db, refs, k);
    mem_give(&db->keep_mem, refs, n * sizeof *refs);
    return dropped;
}

/* lock: keep_mu */
static void reuse_if_due(struct tsdb *db, int64_t now_ns)
{
    if (db->drop_mono_ns == 0 || now_ns - db->drop_mono_ns < ns_from_ms(REUSE_MS) ||
        db->series_dropped) {
        return;
    }
    pthread_mutex_lock(&db->view_mu);
    bool old = db->views_first != NULL && db->views_first->epoch <= db->drop_epoch;
    pthread_mutex_unlock(&db->view_mu);
    if (!old) {
        index_reuse(db->index);
        if (db->family != NULL) {
            family_reset(db->family);
        }
        db->drop_mono_ns = 0;
    }
}

static void after_drop(struct tsdb *db, uint32_t dropped, int64_t now_ns)
{
    struct err e = {.code = ERR_NONE};
    pthread_mutex_lock(&db->view_mu);
    db->drop_epoch = db->epoch;
    pthread_mutex_unlock(&db->view_mu);
    db->drop_mono_ns = now_ns;
    db->series_dropped = true;
    if (db->family != NULL) {
        family_reset(db->family);
    }
    log_line(db->log, LOG_INFO, mod, "%u series without samples dropped", dropped);
    if (!tsdb_series_save(db, true, &e)) {
        log_err(db->log, LOG_WARN, mod, &e); /* the next flush tries again */
    }
}

void drop_look(struct tsdb *db, bool after_retire)
{
    int64_t now = os_mono_ns(db->os);
    pthread_mutex_lock(&db->keep_mu);
    db->retired_since |= after_retire || db->looked == NULL;
    reuse_if_due(db, now);
    bool due = now - db->looked_ns >= ns_from_ms(LOOK_MS) || db->looked == NULL;
    uint32_t end = index_refs_end(db->index);
    size_t bytes = ((size_t)end / 64 + 1) * sizeof *db->looked;
    uint64_t *bits =
        due && (db->retired_since || db->look_again) ? mem_take(&db->keep_mem, bytes) : NULL;
    if (bits != NULL) {
        uint32_t dropped = look(db, bits, end);
        db->look_again = db->retired_since; /* the second look that a drop needs */
        db->retired_since = false;
        mem_give(&db->keep_mem, db->looked, db->looked_bytes);
        db->looked = bits;
        db->looked_bytes = bytes;
        db->looked_end = end;
        db->looked_ns = now;
        if (dropped > 0) {
            after_drop(db, dropped, now);
        }
    }
    pthread_mutex_unlock(&db->keep_mu);
}
