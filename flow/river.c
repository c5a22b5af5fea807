/* The river: start, submit, tick, stop. river_commit.c is the way to the disk, shard.c the way to
 * the pillars, river_recover.c the way back after a stop, checkpoint.c the file format.
 *
 * Life of a batch: river_batch_new (door) -> river_submit -> queue -> journal, synced -> handed to
 * all shards -> done -> the last shard frees it. At every point exactly one of door, committer and
 * list owns it. queue_bytes counts it from submit until it is freed.
 *
 * A file `lock` in the folder is held while the river lives: two processes in one folder would give
 * the same numbers to different batches. */
#include "flow/river.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "flow/journal.h"
#include "flow/river_int.h"

#include <errno.h>
#include <string.h>

static const char *const mod = "river";

/* -- batches -- */

struct batch *river_batch_new(size_t bytes_max)
{
    struct mem m;
    mem_init(&m, 0);
    struct batch *b = mem_take(&m, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    b->mem = m; /* goes on counting where m stopped */
    buf_init(&b->payload, &b->mem, bytes_max);
    return b;
}

void river_batch_free(struct batch *b)
{
    if (b == NULL) {
        return;
    }
    buf_release(&b->payload);
    struct mem m = b->mem; /* outlives b */
    mem_give(&m, b, sizeof *b);
}

bool river_submit(struct river *r, struct batch *b, struct err *e)
{
    if (b->payload.failed || b->payload.n == 0) {
        return err_set(e, ERR_INPUT, "the batch is empty or did not fit");
    }
    uint64_t bytes = b->mem.bytes;
    if (bytes > r->config.queue_bytes_max || b->payload.n > JOURNAL_PAYLOAD_MAX ||
        b->payload.n > r->config.journal_bytes_max / 4) {
        return err_set(e, ERR_LIMIT, "a batch of %llu bytes never fits the queue",
                       (unsigned long long)bytes);
    }
    const char *why = NULL;
    pthread_mutex_lock(&r->mu);
    if (r->stopping) {
        why = "farol is stopping";
    } else if (r->journal_full) {
        why = "the journal is full";
        if (river_save_due(r)) {
            r->save_wanted = true;
            pthread_cond_signal(&r->save_wake);
        } else { /* perhaps an earlier trim failed */
            r->trim_before = r->saved_seq_older + 1;
            pthread_cond_signal(&r->commit_wake);
        }
    } else if (r->queue_bytes + bytes > r->config.queue_bytes_max) {
        why = "the queue is full";
    }
    if (why != NULL) {
        r->stats.refused_busy++;
        pthread_mutex_unlock(&r->mu);
        return err_set(e, ERR_BUSY, "%s", why);
    }
    b->next = NULL;
    if (r->queue_tail != NULL) {
        r->queue_tail->next = b;
    } else {
        r->queue_head = b;
    }
    r->queue_tail = b;
    r->queue_bytes += bytes;
    pthread_cond_signal(&r->commit_wake);
    pthread_mutex_unlock(&r->mu);
    return true;
}

/* -- ticking -- */

struct tick {
    struct river *r;
    int64_t now_ns;
    struct expo *x;
};

static void tick_states(void *ctx, void *const *const *states, uint32_t shards)
{
    const struct tick *t = ctx;
    for (uint32_t p = 0; p < t->r->pillars_count; p++) {
        const struct pillar *pillar = &t->r->pillars[p];
        if (pillar->tick != NULL) {
            pillar->tick(pillar->app, states[p], shards, t->now_ns);
        }
        if (t->x != NULL && pillar->publish != NULL) {
            pillar->publish(pillar->app, states[p], shards, t->now_ns, t->x);
        }
    }
}

void river_tick(struct river *r, int64_t now_ns, struct expo *x)
{
    struct tick t = {r, now_ns, x};
    river_rest(r, tick_states, &t);
    pthread_mutex_lock(&r->mu);
    if (river_save_due(r)) {
        r->save_wanted = true;
        pthread_cond_signal(&r->save_wake);
    }
    pthread_mutex_unlock(&r->mu);
}

void river_stats(struct river *r, struct river_stats *out)
{
    pthread_mutex_lock(&r->mu);
    *out = r->stats;
    out->queue_bytes = r->queue_bytes;
    pthread_mutex_unlock(&r->mu);
}

/* -- starting -- */

static bool folder_lock(struct river *r, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!dir_make(r->os, r->dir, e) || !dir_make(r->os, r->journal_dir, e) ||
        !path_join(path, sizeof path, r->dir, "lock", e)) {
        return false;
    }
    int rc = r->os->dirsync(r->os->ctx, r->dir);
    if (rc != 0) {
        return err_errno(e, rc, "cannot sync '%s'", r->dir);
    }
    rc = r->os->open(r->os->ctx, path, OS_WRITE | OS_CREATE, &r->lock_fd);
    if (rc != 0) {
        r->lock_fd = -1;
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    rc = r->os->lock(r->os->ctx, r->lock_fd);
    if (rc == EWOULDBLOCK) {
        return err_set(e, ERR_BUSY, "another farol is using the storage folder '%s'", r->dir);
    }
    return rc == 0 || err_errno(e, rc, "cannot lock '%s'", path);
}

static bool shards_new(struct river *r, struct err *e)
{
    r->shards = mem_take(&r->mem, r->shards_count * sizeof *r->shards);
    r->states = mem_take(&r->mem, (size_t)r->pillars_count * r->shards_count * sizeof *r->states);
    r->states_of = mem_take(&r->mem, r->pillars_count * sizeof *r->states_of);
    if (r->shards == NULL || r->states == NULL || r->states_of == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for %u shards", r->shards_count);
    }
    for (uint32_t p = 0; p < r->pillars_count; p++) {
        r->states_of[p] = r->states + (size_t)p * r->shards_count;
    }
    for (uint32_t i = 0; i < r->shards_count; i++) {
        struct river_shard *s = &r->shards[i];
        s->river = r;
        s->idx = i;
        mem_init(&s->mem, r->config.shard_mem_bytes_max);
        s->reader = mem_take(&r->mem, sizeof *s->reader);
        if (s->reader == NULL) {
            return err_set(e, ERR_NOMEM, "no memory for shard %u", i);
        }
        for (uint32_t p = 0; p < r->pillars_count; p++) {
            const struct pillar *pillar = &r->pillars[p];
            void **state = &r->states[(size_t)p * r->shards_count + i];
            *state = pillar->shard_new(pillar->app, i, r->shards_count, &s->mem, e);
            if (*state == NULL) {
                return false;
            }
        }
    }
    return true;
}

static bool threads_start(struct river *r, struct err *e)
{
    int rc = pthread_create(&r->committer, NULL, river_commit_run, r);
    if (rc != 0) {
        return err_errno(e, rc, "cannot start the committer");
    }
    r->committer_started = true;
    rc = pthread_create(&r->saver, NULL, river_saver_run, r);
    if (rc != 0) {
        return err_errno(e, rc, "cannot start the saver");
    }
    r->saver_started = true;
    return true;
}

static bool config_take(struct river *r, const struct river_config *c, struct err *e)
{
    r->config = *c;
    struct str dir = str_from_c(c->dir);
    if (dir.n == 0 || dir.n >= sizeof r->dir) {
        return err_set(e, ERR_INPUT, "the storage folder's path has %zu bytes, expected 1 to %zu",
                       dir.n, sizeof r->dir - 1);
    }
    memcpy(r->dir, dir.p, dir.n);
    r->config.dir = r->dir;
    if (c->shards < 1 || c->shards > RIVER_SHARDS_MAX) {
        return err_set(e, ERR_INPUT, "expected 1 to %d shards, found %u", RIVER_SHARDS_MAX,
                       c->shards);
    }
    r->shards_count = c->shards;
    uint64_t quarter = c->journal_bytes_max / 4;
    if (quarter == 0 || c->queue_bytes_max == 0) {
        return err_set(e, ERR_INPUT, "the bounds of journal and queue must be above zero");
    }
    if (r->config.segment_bytes_max > quarter || r->config.segment_bytes_max == 0) {
        r->config.segment_bytes_max = quarter;
    }
    if (r->config.checkpoint_bytes > quarter || r->config.checkpoint_bytes == 0) {
        r->config.checkpoint_bytes = quarter;
    }
    return path_join(r->journal_dir, sizeof r->journal_dir, r->dir, "journal", e);
}

static void sync_init(struct river *r)
{
    pthread_mutex_init(&r->mu, NULL);
    pthread_mutex_init(&r->rest_mu, NULL);
    pthread_mutex_init(&r->checkpoint_mu, NULL);
    pthread_cond_init(&r->commit_wake, NULL);
    pthread_cond_init(&r->work, NULL);
    pthread_cond_init(&r->progress, NULL);
    pthread_cond_init(&r->save_wake, NULL);
}

static void states_free(struct river *r)
{
    size_t n = r->states != NULL ? (size_t)r->pillars_count * r->shards_count : 0;
    for (size_t i = 0; i < n; i++) {
        if (r->states[i] != NULL) {
            r->pillars[i / r->shards_count].shard_free(r->states[i]);
            r->states[i] = NULL;
        }
    }
}

/* Threads are joined. Frees everything, gives the folder back. */
static void river_free(struct river *r)
{
    states_free(r);
    for (uint32_t i = 0; r->shards != NULL && i < r->shards_count; i++) {
        mem_give(&r->mem, r->shards[i].reader,
                 r->shards[i].reader != NULL ? sizeof *r->shards[i].reader : 0);
    }
    mem_give(&r->mem, r->shards, r->shards_count * sizeof *r->shards);
    mem_give(&r->mem, r->states, (size_t)r->pillars_count * r->shards_count * sizeof *r->states);
    mem_give(&r->mem, r->states_of, r->pillars_count * sizeof *r->states_of);
    journal_close(r->journal);
    if (r->lock_fd >= 0) {
        r->os->close(r->os->ctx, r->lock_fd);
    }
    pthread_cond_destroy(&r->save_wake);
    pthread_cond_destroy(&r->progress);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->commit_wake);
    pthread_mutex_destroy(&r->checkpoint_mu);
    pthread_mutex_destroy(&r->rest_mu);
    pthread_mutex_destroy(&r->mu);
    struct mem m = r->mem;
    mem_give(&m, r, sizeof *r);
}

static void committer_join(struct river *r)
{
    pthread_mutex_lock(&r->mu);
    r->stopping = true;
    pthread_cond_broadcast(&r->commit_wake);
    pthread_mutex_unlock(&r->mu);
    if (r->committer_started) {
        pthread_join(r->committer, NULL);
        r->committer_started = false;
    }
}

static void saver_join(struct river *r)
{
    pthread_mutex_lock(&r->mu);
    r->saver_stop = true;
    pthread_cond_broadcast(&r->save_wake);
    pthread_mutex_unlock(&r->mu);
    if (r->saver_started) {
        pthread_join(r->saver, NULL);
        r->saver_started = false;
    }
}

bool river_start(struct river **out, const struct river_config *c, const struct pillar *pillars,
                 uint32_t pillars_count, const struct os *os, struct log *log, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct river *r = mem_take(&m, sizeof *r);
    if (r == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the river");
    }
    r->mem = m;
    r->os = os;
    r->log = log;
    r->lock_fd = -1;
    r->pillars = pillars;
    r->pillars_count = pillars_count;
    mem_init(&r->journal_mem, 0);
    sync_init(r);
    if (!config_take(r, c, e) || !folder_lock(r, e) || !shards_new(r, e) || !river_recover(r, e) ||
        !threads_start(r, e)) {
        committer_join(r);
        saver_join(r);
        river_shards_join(r);
        river_free(r);
        return false;
    }
    *out = r;
    return true;
}

void river_stop(struct river *r)
{
    if (r == NULL) {
        return;
    }
    saver_join(r);
    committer_join(r);
    river_drain(r);
    struct err e = {.code = ERR_NONE};
    if (!river_checkpoint(r, true, &e)) {
        log_line(r->log, LOG_ERROR, mod, "no checkpoint at the end (%s); the journal has it all",
                 e.msg);
    } else if (r->trim_before > 0 && !journal_trim(r->journal, r->trim_before, &e)) {
        log_err(r->log, LOG_WARN, mod, &e);
    }
    river_shards_join(r);
    river_free(r);
}
