/* Freezing: the active generation becomes the frozen one, which the flusher writes into a block,
 * and an empty one takes its place. Between groups, so that everything before the log's position is
 * in the generation and nothing behind it.
 *
 * The head is bounded: at head_bytes_max the generation is frozen; while the one before is still
 * being written the active one may grow to twice that, then committing waits for the flusher, and
 * when the flusher cannot write (the disk is full), samples are refused (TSDB_HEAD_FULL).
 * thread: committer, or open before it runs. */
#include "engines/tsdb/commit_int.h"

#include "base/clock.h"

#define HEAD_SERIES_BYTES 140

bool freeze_at(struct tsdb *db, uint64_t position)
{
    struct gen *fresh = gen_new(&db->head->pool);
    if (fresh == NULL) {
        return false;
    }
    fresh->born_mono_ns = os_mono_ns(db->os);
    pthread_mutex_lock(&db->view_mu);
    ASSERT(db->frozen == NULL);
    db->active->log_upto = position;
    db->frozen = db->active;
    db->active = fresh;
    pthread_mutex_unlock(&db->view_mu);
    db->wal->roll = db->wal->fd >= 0;
    return true;
}

/* A head of few samples of many series makes blocks of short columns, which cost more to write and
 * merge than the memory they save: it may hold HEAD_SERIES_BYTES of each series, about 14 samples.
 * */
uint64_t freeze_bound(struct tsdb *db)
{
    struct tsdb_config config;
    tsdb_config_get(db, &config);
    const uint64_t want = (uint64_t)index_count(db->index) * HEAD_SERIES_BYTES;
    return config.head_bytes_max > want ? config.head_bytes_max : want;
}

static bool has_frozen(struct tsdb *db)
{
    pthread_mutex_lock(&db->view_mu);
    bool frozen = db->frozen != NULL;
    pthread_mutex_unlock(&db->view_mu);
    return frozen;
}

bool freeze_if_due(struct tsdb *db)
{
    pthread_mutex_lock(&db->queue_mu);
    bool asked = db->freezes_wanted > db->freezes_done;
    pthread_mutex_unlock(&db->queue_mu);
    const struct gen *g = db->active;
    struct tsdb_config config;
    tsdb_config_get(db, &config);
    bool any = g->samples > 0;
    bool due = any && (g->bytes >= freeze_bound(db) ||
                       os_mono_ns(db->os) - g->born_mono_ns >= ns_from_ms(config.head_ms));
    if ((!asked && !due) || has_frozen(db)) {
        return true;
    }
    bool frozen = any && freeze_at(db, wal_position(db->wal));
    pthread_mutex_lock(&db->queue_mu);
    if (frozen) {
        db->freeze_number++;
    }
    if (asked && (frozen || !any)) {
        /* Everybody who asked until now is served by this one. */
        db->freezes_done = db->freezes_wanted;
    } else if (asked) {
        db->freeze_failed = true;
        db->freezes_done = db->freezes_wanted;
    }
    db->flush_wanted |= frozen;
    pthread_cond_signal(&db->flush_wake);
    pthread_cond_broadcast(&db->flush_done);
    pthread_mutex_unlock(&db->queue_mu);
    return frozen || !any;
}

/* Waits while a generation is being written. false: the flusher could not. */
static bool wait_flushed(struct tsdb *db)
{
    pthread_mutex_lock(&db->queue_mu);
    while (db->flush_wanted && !db->flush_failed) {
        pthread_cond_wait(&db->flush_done, &db->queue_mu);
    }
    bool ok = !db->flush_wanted;
    pthread_mutex_unlock(&db->queue_mu);
    return ok;
}

bool freeze_wait_room(struct tsdb *db)
{
    for (;;) {
        /* When the flusher gets done between the two looks, the next round freezes. */
        if (!freeze_if_due(db)) {
            return false;
        }
        if (db->active->bytes < freeze_bound(db) * 2) {
            return true;
        }
        if (!wait_flushed(db)) {
            return false;
        }
    }
}
