/* The river: batches from the doors go to the journal, are synced in groups, acknowledged, and
 * applied by the shards; a ticker publishes; a checkpoint now and then shortens the journal.
 *
 *     door threads --submit--> [queue] --> committer: append, append, sync --> done(batch)
 *                                              |
 *                                              +--> shard 0..N-1: apply in journal order
 *     ticker: rest { tick, publish } go on   |   checkpoint: rest { save } go on, write, trim
 *
 * "Rest" = every shard has applied the same prefix of the journal, so that totals and checkpoints
 * are consistent without locks. The queue is bounded: submit refuses (ERR_BUSY) and the door tells
 * the sender to come back. Recovery = newest valid checkpoint + replay of the journal after it. */
#ifndef FLOW_RIVER_H
#define FLOW_RIVER_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "flow/journal.h"
#include "flow/pillar.h"

struct river;

struct river_config {
    const char *dir;          /* storage: journal/, checkpoint-*.bin */
    uint32_t shards;          /* 1..64 */
    uint64_t queue_bytes_max; /* memory of batches submitted and not yet applied by all */
    /* A segment is at most a quarter of the journal, and so is checkpoint_bytes: larger values are
     * lowered. */
    uint64_t segment_bytes_max, journal_bytes_max;
    int64_t checkpoint_ms;      /* at most this long between checkpoints when something changed */
    uint64_t checkpoint_bytes;  /* ... and at most this much journal */
    size_t shard_mem_bytes_max; /* memory of each shard's pillars */
};

struct river_stats {
    uint64_t batches, records, bytes;  /* acknowledged */
    uint64_t refused_busy, refused_io; /* submissions */
    uint64_t damaged;                  /* times that a shard could not read a batch to its end */
    uint64_t queue_bytes;
    uint64_t checkpoints, checkpoint_failures;
    int64_t checkpoint_ns_last,
        rest_ns_last;    /* how long the last one took; how long shards stood */
    int64_t recovery_ns; /* start-up: load and replay */
    uint64_t recovered_batches;
    struct journal_stats journal;
};

/* A batch as the door made it. The door allocates it with river_batch_new and gives it away in
 * river_submit. payload is names and records (record.h). */
struct batch {
    struct buf payload;
    uint32_t records;
    /* Called once, from the committer's thread, after the sync (e == NULL) or with the reason it
     * was not stored. Must not block, must not touch the batch: it is the river's, or gone. */
    void (*done)(void *ctx, const struct err *e);
    void *ctx;
    struct mem mem; /* the payload's */
    struct batch *next;
    uint64_t seq;
    uint32_t shards_left;
};

/* bytes_max is the cap of payload. */
struct batch *river_batch_new(size_t bytes_max); /* NULL without memory */
void river_batch_free(struct batch *b);          /* only if never submitted */

/* Recovers, then starts the threads. Pillars are borrowed until river_stop; their batch_begin, tick
 * and publish may be NULL. ERR_BUSY: another process uses the folder. ERR_CORRUPT: a checkpoint
 * holds a pillar that is not given here, or a pillar refused its section. Damaged checkpoints and
 * lost batches are logged and counted, not an error. */
MUST_USE bool river_start(struct river **out, const struct river_config *c,
                          const struct pillar *pillars, uint32_t pillars_count, const struct os *os,
                          struct log *log, struct err *e);
/* thread: any. consumes b on success; on failure (ERR_BUSY: queue or journal full, or stopping;
 * ERR_LIMIT: b is too large to ever fit; ERR_INPUT: its payload failed or is empty) b is still the
 * caller's and done is not called. When done(NULL) runs, the batch is durable and already handed to
 * the shards. */
MUST_USE bool river_submit(struct river *r, struct batch *b, struct err *e);
/* Runs fn while every shard rests. thread: any; calls are serialised. fn must be short
 * (milliseconds). states[p][s] is the state of pillar p in shard s. */
void river_rest(struct river *r, void (*fn)(void *ctx, void *const *const *states, uint32_t shards),
                void *ctx);
/* Waits until everything acknowledged so far is applied. Not from inside a rest. */
void river_drain(struct river *r);
/* Calls the pillars' tick and publish at rest. x may be NULL (tick only). Starts a checkpoint when
 * one is due. */
void river_tick(struct river *r, int64_t now_ns, struct expo *x);
/* Writes a checkpoint if due (force: now). Blocks for the write. The river also does so by itself,
 * on a thread of its own, when one is due at a commit or a tick. */
MUST_USE bool river_checkpoint(struct river *r, bool force, struct err *e);
void river_stats(struct river *r, struct river_stats *out);
/* Refuses new batches, finishes the queue, writes a checkpoint, joins threads, frees. */
void river_stop(struct river *r);

#endif
