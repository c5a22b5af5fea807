/* Recovery: the newest checkpoint that is whole, then the journal after it.
 *
 * Both checkpoints are read and validated, so that a damaged one is reported and never trusted.
 * Where one is damaged the other is older, and the journal still has what follows it. The journal
 * is told the newest seq that any checkpoint has seen, so that numbers of forgotten batches are not
 * given twice.
 *
 * Replay hands copies of the batches to the shard threads through the same list as live traffic,
 * bounded by queue_bytes_max; decoding runs on all shards while this thread reads and checks the
 * journal. */
#include "flow/river_int.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/os.h"
#include "flow/journal.h"

#include <errno.h>

static const char *const mod = "river";

bool river_slot_path(const struct river *r, size_t slot, char out[static PATH_BYTES_MAX],
                     struct err *e)
{
    return path_join(out, PATH_BYTES_MAX, r->dir,
                     slot == 0 ? "checkpoint-a.bin" : "checkpoint-b.bin", e);
}

/* One slot's file while recovering. */
struct found {
    struct buf bytes;
    struct river_saved saved;
    struct err why; /* it is not valid */
    bool exists, valid;
};

/* false only when we cannot go on: no memory, or a checkpoint of another version, which must not be
 * overwritten. A file that is damaged or unreadable is logged and counts as not there. */
static bool slot_read(struct river *r, size_t slot, struct found *f, struct err *e)
{
    char path[PATH_BYTES_MAX];
    int fd;
    if (!river_slot_path(r, slot, path, e)) {
        return false;
    }
    int rc = r->os->open(r->os->ctx, path, OS_READ, &fd);
    if (rc == ENOENT) {
        return true;
    }
    f->exists = true;
    if (rc == 0) {
        r->os->close(r->os->ctx, fd);
    }
    struct err *why = &f->why;
    f->valid = file_read(r->os, path, &f->bytes, why) &&
               river_saved_validate(buf_str(&f->bytes), &f->saved, why);
    if (!f->valid && why->code != ERR_CORRUPT && why->code != ERR_IO) {
        return err_set(e, why->code, "checkpoint '%s': %s", path, why->msg);
    }
    if (!f->valid) {
        log_line(r->log, LOG_ERROR, mod, "checkpoint '%s' cannot be used: %s", path, why->msg);
        buf_release(&f->bytes);
    }
    return true;
}

static bool section_load(struct river *r, struct str name, struct str bytes, struct err *e)
{
    for (uint32_t p = 0; p < r->pillars_count; p++) {
        const struct pillar *pillar = &r->pillars[p];
        if (str_eq(name, str_from_c(pillar->name))) {
            return pillar->load(pillar->app, r->states_of[p], r->shards_count, bytes, e);
        }
    }
    return err_set(e, ERR_CORRUPT,
                   "the checkpoint has a section '%.*s' that this farol does not know",
                   (int)size_min(name.n, 64), name.p);
}

static bool states_load(struct river *r, struct found *f, struct err *e)
{
    struct str name;
    struct str bytes;
    struct river_saved walk = f->saved;
    while (river_saved_next(&walk, &name, &bytes)) {
        if (!section_load(r, name, bytes, e)) {
            return false;
        }
    }
    if (f->saved.sections < r->pillars_count) {
        log_line(r->log, LOG_WARN, mod,
                 "the checkpoint knows %u of %u pillars; the others begin empty", f->saved.sections,
                 r->pillars_count);
    }
    return true;
}

static bool checkpoint_load(struct river *r, struct err *e)
{
    bool ok = false;
    struct found found[RIVER_SLOTS] = {0};
    size_t cap = 2 * r->config.shard_mem_bytes_max * r->shards_count + ((size_t)16 << 20);
    struct found *best = NULL;
    const struct err *unread = NULL;
    for (size_t i = 0; i < RIVER_SLOTS; i++) {
        buf_init(&found[i].bytes, &r->mem, cap);
    }
    for (size_t i = 0; i < RIVER_SLOTS; i++) {
        if (!slot_read(r, i, &found[i], e)) {
            goto out;
        }
        if (found[i].valid) {
            r->slots[i] = (struct river_slot){true, found[i].saved.seq};
            best = best == NULL || found[i].saved.seq > best->saved.seq ? &found[i] : best;
        } else if (found[i].exists && found[i].why.code == ERR_IO) {
            unread = &found[i].why;
        }
    }
    if (best == NULL && unread != NULL) {
        /* The bytes may be good and the disk not: to begin empty would overwrite them. */
        err_set(e, ERR_IO, "%s", unread->msg);
        goto out;
    }
    if (best != NULL) {
        if (!states_load(r, best, e)) {
            goto out;
        }
        r->saved_seq = best->saved.seq;
        r->saved_bytes_last = best->bytes.n;
    }
    ok = true;
out:
    for (size_t i = 0; i < RIVER_SLOTS; i++) {
        buf_release(&found[i].bytes);
    }
    return ok;
}

/* thread: the one that starts the river. */
static bool replay_each(void *ctx, uint64_t seq, struct str payload, struct err *e)
{
    struct river *r = ctx;
    struct batch *b = river_batch_new(payload.n);
    if (b == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to replay batch %llu", (unsigned long long)seq);
    }
    buf_str_add(&b->payload, payload);
    if (!buf_ok(&b->payload, e)) {
        river_batch_free(b);
        return false;
    }
    b->seq = seq;
    pthread_mutex_lock(&r->mu);
    while (r->queue_bytes > 0 && r->queue_bytes + b->mem.bytes > r->config.queue_bytes_max) {
        river_wait_progress(r);
    }
    r->queue_bytes += b->mem.bytes;
    r->stats.recovered_batches++;
    r->saved_journal_bytes -= payload.n; /* so that a long replay is followed by a checkpoint */
    river_hand(r, b, b, 0);
    pthread_mutex_unlock(&r->mu);
    return true;
}

bool river_recover(struct river *r, struct err *e)
{
    int64_t t0 = os_mono_ns(r->os);
    if (!checkpoint_load(r, e)) {
        return false;
    }
    struct journal_config jc = {.dir = r->journal_dir,
                                .segment_bytes_max = r->config.segment_bytes_max,
                                .bytes_max = r->config.journal_bytes_max,
                                .seq_min = r->saved_seq + 1};
    if (!journal_open(&r->journal, &jc, r->os, &r->journal_mem, r->log, e)) {
        return false;
    }
    pthread_mutex_lock(&r->mu);
    r->seq_handed = r->saved_seq;
    r->saved_seq_older = river_slots_older(r);
    for (uint32_t i = 0; i < r->shards_count; i++) {
        r->shards[i].taken = r->saved_seq;
        r->shards[i].applied = r->saved_seq;
    }
    pthread_mutex_unlock(&r->mu);
    if (!river_shards_start(r, e) ||
        !journal_replay(r->journal, r->saved_seq + 1, replay_each, r, e)) {
        return false;
    }
    river_drain(r);
    pthread_mutex_lock(&r->mu);
    journal_stats(r->journal, &r->stats.journal);
    r->saved_mono_ns = os_mono_ns(r->os);
    r->save_tried_mono_ns = r->saved_mono_ns;
    r->stats.recovery_ns = r->saved_mono_ns - t0;
    if (r->stats.recovered_batches > 0) {
        /* Due at the first tick: who is killed again and again, each time before a checkpoint,
         * would otherwise replay a journal that only grows. */
        r->saved_mono_ns -= ns_from_ms(r->config.checkpoint_ms);
        r->save_tried_mono_ns = r->saved_mono_ns; /* it is not a failed attempt that has to wait */
    }
    struct river_stats st = r->stats;
    pthread_mutex_unlock(&r->mu);
    log_line(r->log, LOG_INFO, mod,
             "recovered to batch %llu: checkpoint at %llu, %llu batches replayed in %.3f s",
             (unsigned long long)(st.journal.seq_next - 1), (unsigned long long)r->saved_seq,
             (unsigned long long)st.recovered_batches, s_from_ns(st.recovery_ns));
    return true;
}
