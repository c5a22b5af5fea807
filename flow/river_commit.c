/* The committer and the saver: two threads that stand between the doors and the disk.
 *
 * Committer: takes every batch that is waiting (that is the group), appends each to the journal,
 * syncs once, hands the group to the shards and acknowledges it. While it syncs, the next group
 * gathers, so the rate of syncs adapts to the disk by itself. It alone touches the journal; trims
 * are asked of it.
 *
 * Saver: writes a checkpoint when the committer or a tick finds one due. On its own thread, because
 * a door waiting for an acknowledgement must not wait for a checkpoint.
 *
 * When the journal is full the doors are refused (ERR_BUSY), the saver is woken, and since the
 * journal is only trimmed up to the older of two checkpoints, it writes two. The committer then
 * trims and lifts the refusal. Nothing waits for anything that waits for it. */
#include "flow/river_int.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/os.h"
#include "flow/journal.h"

static const char *const mod = "river";

/* After a failed checkpoint (a full disk), at most one attempt in this time. */
#define SAVE_RETRY_NS (2 * NS_PER_S)

/* -- the group -- */

struct group {
    struct batch *first, *last;
    uint32_t count;
};

static void group_add(struct group *g, struct batch *b)
{
    b->next = NULL;
    if (g->last != NULL) {
        g->last->next = b;
    } else {
        g->first = b;
    }
    g->last = b;
    g->count++;
}

static void batch_fail(struct river *r, struct batch *b, const struct err *e)
{
    void (*done)(void *, const struct err *) = b->done;
    void *ctx = b->ctx;
    pthread_mutex_lock(&r->mu);
    if (e->code == ERR_BUSY) {
        r->stats.refused_busy++;
    } else {
        r->stats.refused_io++;
    }
    ASSERT(r->queue_bytes >= b->mem.bytes);
    r->queue_bytes -= b->mem.bytes;
    pthread_mutex_unlock(&r->mu);
    river_batch_free(b);
    if (done != NULL) {
        done(ctx, e);
    }
}

/* Appends the whole queue; what could not be appended is told so at once. */
static struct group group_append(struct river *r, struct batch *b, bool *full)
{
    struct group g = {NULL, NULL, 0};
    while (b != NULL) {
        struct batch *next = b->next;
        struct err e = {.code = ERR_NONE};
        if (journal_append(r->journal, buf_str(&b->payload), &b->seq, &e)) {
            group_add(&g, b);
        } else {
            log_err(r->log, LOG_ERROR, mod, &e);
            if (e.code == ERR_LIMIT) {
                *full = true;
                e.code = ERR_BUSY;
            }
            batch_fail(r, b, &e);
        }
        b = next;
    }
    return g;
}

static void group_fail(struct river *r, struct group *g, const struct err *e)
{
    struct batch *b = g->first;
    while (b != NULL) {
        struct batch *next = b->next;
        batch_fail(r, b, e);
        b = next;
    }
}

/* Durable: to the shards, then to the doors. The committer keeps a reference while it walks the
 * chain. */
static void group_deliver(struct river *r, const struct group *g)
{
    pthread_mutex_lock(&r->mu);
    for (struct batch *b = g->first; b != NULL; b = b->next) {
        r->stats.batches++;
        r->stats.records += b->records;
        r->stats.bytes += b->payload.n;
    }
    river_hand(r, g->first, g->last, 1);
    pthread_mutex_unlock(&r->mu);
    struct batch *b = g->first;
    for (uint32_t i = 0; i < g->count; i++) {
        if (b->done != NULL) {
            b->done(b->ctx, NULL);
        }
        pthread_mutex_lock(&r->mu);
        struct batch *next = b->next;
        river_batch_drop(r, b);
        pthread_mutex_unlock(&r->mu);
        b = next;
    }
}

static void commit(struct river *r, struct batch *queue)
{
    bool full = false;
    struct group g = group_append(r, queue, &full);
    struct err e = {.code = ERR_NONE};
    if (!journal_sync(r->journal, &e)) {
        log_err(r->log, LOG_ERROR, mod, &e);
        group_fail(r, &g, &e);
    } else if (g.count > 0) {
        group_deliver(r, &g);
    }
    pthread_mutex_lock(&r->mu);
    journal_stats(r->journal, &r->stats.journal);
    r->journal_full |= full;
    if (river_save_due(r)) {
        r->save_wanted = true;
        pthread_cond_signal(&r->save_wake);
    }
    pthread_mutex_unlock(&r->mu);
}

static void trim(struct river *r, uint64_t before)
{
    struct err e = {.code = ERR_NONE};
    struct journal_stats was;
    struct journal_stats is;
    journal_stats(r->journal, &was);
    if (!journal_trim(r->journal, before, &e)) {
        log_err(r->log, LOG_WARN, mod, &e);
    }
    journal_stats(r->journal, &is);
    pthread_mutex_lock(&r->mu);
    r->stats.journal = is;
    if (is.bytes < was.bytes || is.bytes <= r->config.journal_bytes_max / 2) {
        r->journal_full = false;
    }
    pthread_mutex_unlock(&r->mu);
}

void *river_commit_run(void *arg)
{
    struct river *r = arg;
    pthread_mutex_lock(&r->mu);
    for (;;) {
        while (r->queue_head == NULL && r->trim_before == 0 && !r->stopping) {
            pthread_cond_wait(&r->commit_wake, &r->mu);
        }
        struct batch *queue = r->queue_head;
        uint64_t before = r->trim_before;
        if (queue == NULL && before == 0) {
            break; /* stopping, and nothing is left */
        }
        r->queue_head = NULL;
        r->queue_tail = NULL;
        r->trim_before = 0;
        pthread_mutex_unlock(&r->mu);
        if (before > 0) {
            trim(r, before);
        }
        if (queue != NULL) {
            commit(r, queue);
        }
        pthread_mutex_lock(&r->mu);
    }
    pthread_mutex_unlock(&r->mu);
    return NULL;
}

/* -- checkpoints -- */

bool river_save_due(const struct river *r)
{
    int64_t now = os_mono_ns(r->os);
    if (now < r->save_tried_mono_ns + SAVE_RETRY_NS && r->save_tried_mono_ns > r->saved_mono_ns) {
        return false;
    }
    if (r->journal_full) {
        /* Only if it would let the journal be trimmed further than it is. */
        uint64_t furthest = 0;
        for (uint32_t i = 0; i < r->shards_count; i++) {
            furthest = r->shards[i].taken > furthest ? r->shards[i].taken : furthest;
        }
        return furthest > r->saved_seq_older;
    }
    uint64_t journal_bytes = r->stats.journal.appended_bytes - r->saved_journal_bytes;
    return r->seq_handed > r->saved_seq &&
           (journal_bytes >= r->config.checkpoint_bytes ||
            now - r->saved_mono_ns >= ns_from_ms(r->config.checkpoint_ms));
}

struct save {
    struct river *r;
    struct buf *out;
    uint64_t seq, journal_bytes;
};

/* thread: the caller's, at rest. */
static void save_states(void *ctx, void *const *const *states, uint32_t shards)
{
    struct save *s = ctx;
    struct river *r = s->r;
    pthread_mutex_lock(&r->mu);
    s->seq = r->rest_target;
    s->journal_bytes = r->stats.journal.appended_bytes;
    pthread_mutex_unlock(&r->mu);
    river_saved_begin(s->out, s->seq, os_now_ns(r->os), r->pillars_count);
    for (uint32_t p = 0; p < r->pillars_count; p++) {
        const struct pillar *pillar = &r->pillars[p];
        size_t at = river_saved_section_begin(s->out, str_from_c(pillar->name));
        pillar->save(pillar->app, states[p], shards, s->out);
        river_saved_section_end(s->out, at);
    }
}

/* The slot that is not the newest valid one. */
static size_t slot_to_write(const struct river *r)
{
    const struct river_slot *s = r->slots;
    if (!s[0].valid) {
        return 0;
    }
    return !s[1].valid || s[1].seq < s[0].seq ? 1 : 0;
}

uint64_t river_slots_older(const struct river *r)
{
    const struct river_slot *s = r->slots;
    if (!s[0].valid || !s[1].valid) {
        return 0;
    }
    return s[0].seq < s[1].seq ? s[0].seq : s[1].seq;
}

static bool save_write(struct river *r, struct save *s, struct err *e)
{
    char path[PATH_BYTES_MAX];
    size_t slot = slot_to_write(r);
    river_saved_end(s->out);
    if (!buf_ok(s->out, e) || !river_slot_path(r, slot, path, e) ||
        !file_replace(r->os, path, buf_str(s->out), e)) {
        return false;
    }
    r->slots[slot] = (struct river_slot){true, s->seq};
    r->saved_bytes_last = s->out->n;
    return true;
}

/* lock: checkpoint_mu */
static bool save(struct river *r, struct err *e)
{
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 2 * r->config.shard_mem_bytes_max * r->shards_count + ((size_t)16 << 20));
    /* Room before the shards stand still, so that they do not wait for it. */
    if (buf_room(&out, r->saved_bytes_last + r->saved_bytes_last / 8 + 4096) == NULL) {
        buf_reset(&out);
    }
    struct save s = {.r = r, .out = &out};
    int64_t t0 = os_mono_ns(r->os);
    river_rest(r, save_states, &s);
    bool ok = save_write(r, &s, e);
    buf_release(&out);

    pthread_mutex_lock(&r->mu);
    r->save_tried_mono_ns = os_mono_ns(r->os);
    if (ok) {
        r->stats.checkpoints++;
        r->stats.checkpoint_ns_last = r->save_tried_mono_ns - t0;
        r->saved_mono_ns = r->save_tried_mono_ns;
        r->saved_seq = s.seq;
        r->saved_journal_bytes = s.journal_bytes;
        r->saved_seq_older = river_slots_older(r);
        if (r->saved_seq_older > 0) {
            r->trim_before = r->saved_seq_older + 1;
            pthread_cond_signal(&r->commit_wake);
        }
    } else {
        r->stats.checkpoint_failures++;
    }
    pthread_mutex_unlock(&r->mu);
    return ok;
}

static bool journal_full(struct river *r)
{
    pthread_mutex_lock(&r->mu);
    bool full = r->journal_full;
    pthread_mutex_unlock(&r->mu);
    return full;
}

bool river_checkpoint(struct river *r, bool force, struct err *e)
{
    pthread_mutex_lock(&r->checkpoint_mu);
    bool ok = true;
    if (!force) {
        pthread_mutex_lock(&r->mu);
        force = river_save_due(r);
        pthread_mutex_unlock(&r->mu);
    }
    if (force) {
        ok = save(r, e);
        if (ok && journal_full(r) && r->slots[0].seq != r->slots[1].seq) {
            ok = save(r, e);
        }
    }
    pthread_mutex_unlock(&r->checkpoint_mu);
    return ok;
}

void *river_saver_run(void *arg)
{
    struct river *r = arg;
    pthread_mutex_lock(&r->mu);
    for (;;) {
        while (!r->save_wanted && !r->saver_stop) {
            pthread_cond_wait(&r->save_wake, &r->mu);
        }
        if (r->saver_stop) {
            break;
        }
        r->save_wanted = false;
        pthread_mutex_unlock(&r->mu);
        struct err e = {.code = ERR_NONE};
        if (!river_checkpoint(r, false, &e)) {
            log_err(r->log, LOG_ERROR, mod, &e);
        }
        pthread_mutex_lock(&r->mu);
    }
    pthread_mutex_unlock(&r->mu);
    return NULL;
}
