/* Freezing: the active generation becomes the frozen one, which the flusher writes into a block,
 * and an empty one takes its place. Between groups, so that everything before the log's position is
 * in the generation and nothing behind it.
 *
 * The head is bounded: at head_bytes_max the generation is frozen; while the one before is still
 * being written the active one may grow to the same bound, then committing waits for the flusher,
 * and when the flusher cannot write (the disk is full), samples are refused (TSDB_HEAD_FULL).
 * thread: committer, or open before it runs. */
#include "engines/tsdb/commit_int.h"

#include "base/clock.h"

#define HEAD_SERIES_BYTES 140 /* slot, chunk of CHUNK_SAMPLES_LO, and a share of further ones */
_Static_assert(sizeof(struct slot) + sizeof(struct chunk) + CHUNK_SAMPLES_LO * 8 <
                   HEAD_SERIES_BYTES - HEAD_SERIES_BYTES / 16,
               "a generation is not at its bound when every series has only begun");

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
 * merge than the memory they save: it may hold HEAD_SERIES_BYTES of each series. */
uint64_t freeze_bound(struct tsdb *db)
{
    struct tsdb_config config;
    tsdb_config_get(db, &config);
    const uint64_t want = (uint64_t)index_count(db->index) * HEAD_SERIES_BYTES;
    return config.head_bytes_max > want ? config.head_bytes_max : want;
}

/* Every series has filled its first chunk, on the average, and about as much memory is in use as
 * the head may have: the next samples would begin chunks half as long again, most of them empty
 * when the bound is reached. */
static bool first_chunks_full(struct tsdb *db, const struct tsdb_config *c)
{
    const struct gen *g = db->active;
    const uint64_t series = index_count(db->index);
    const uint64_t full = series * CHUNK_SAMPLES_LO;
    return g->bytes >= c->head_bytes_max / 4 * 3 && g->samples >= full &&
           g->samples < full + series;
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
    /* What was undone leaves its memory in the generation. */
    bool any = g->samples > 0 || g->bytes >= freeze_bound(db);
    bool due = any && (g->bytes >= freeze_bound(db) || first_chunks_full(db, &config) ||
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
        if (db->active->bytes < freeze_bound(db)) {
            return true;
        }
        if (!wait_flushed(db)) {
            return false;
        }
    }
}
