/* Inside the river: its state, and what its files call of each other. */
#ifndef FLOW_RIVER_INT_H
#define FLOW_RIVER_INT_H

#include "base/file.h"
#include "flow/river.h"

#include <pthread.h>

#define RIVER_SHARDS_MAX 64
#define RIVER_SEQ_MAX    ((uint64_t)1 << 62)
#define RIVER_SLOTS      2

/* -- checkpoint.c: the format -- */

struct river_saved {
    uint64_t seq;
    int64_t t_ns;
    uint32_t sections;
    struct rd rd; /* the sections not yet read */
};
void river_saved_begin(struct buf *b, uint64_t seq, int64_t t_ns, uint32_t sections);
size_t river_saved_section_begin(struct buf *b, struct str name);
void river_saved_section_end(struct buf *b, size_t at);
void river_saved_end(struct buf *b);
/* Checks all of it; *out borrows bytes. ERR_INPUT: whole, but of another version; else
 * ERR_CORRUPT. */
MUST_USE bool river_saved_validate(struct str bytes, struct river_saved *out, struct err *e);
/* Next section of a validated checkpoint; false at the end. */
bool river_saved_next(struct river_saved *s, struct str *name, struct str *bytes);

/* -- the river -- */

/* lock: river->mu, except what is said to be the thread's own. */
struct river_shard {
    struct river *river;
    uint32_t idx;
    pthread_t thread;
    bool started;
    struct batch *cur;            /* next to apply; NULL = has applied all that was handed out */
    uint64_t taken;               /* seq of the batch being applied, or applied */
    uint64_t applied;             /* seq of the newest batch applied */
    struct mem mem;               /* the pillars' (own; any thread at rest) */
    struct record_reader *reader; /* own */
};

/* What is known of checkpoint-a and -b. lock: checkpoint_mu. */
struct river_slot {
    bool valid; /* read and validated, or written, by this process */
    uint64_t seq;
};

/* Lock order: rest_mu or checkpoint_mu, checkpoint_mu before rest_mu, mu last. */
struct river {
    struct river_config config;
    char dir[PATH_BYTES_MAX], journal_dir[PATH_BYTES_MAX];
    const struct os *os;
    struct log *log;
    const struct pillar *pillars;
    uint32_t pillars_count;
    int lock_fd;
    struct mem mem;          /* start and stop only */
    void **states;           /* [pillar * shards + shard] */
    void *const **states_of; /* [pillar], what pillars are shown */
    struct river_shard *shards;
    uint32_t shards_count;

    /* thread: committer (while it runs) */
    struct journal *journal;
    struct mem journal_mem;

    pthread_mutex_t mu;
    pthread_cond_t commit_wake; /* to the committer: queue, trim, stop */
    pthread_cond_t work;        /* to shards: batches, end of rest, stop */
    pthread_cond_t progress;    /* from shards: a batch was applied or freed */
    pthread_cond_t save_wake;   /* to the saver */
    bool threads_ready;         /* mutexes exist */
    /* lock: mu for all below */
    struct batch *queue_head, *queue_tail; /* submitted, not yet taken by the committer */
    struct batch *tail;                    /* newest batch handed to shards and not yet freed */
    uint64_t queue_bytes;
    uint64_t seq_handed;
    bool stopping; /* no more submissions; the committer ends when the queue is empty */
    bool shards_stop, saver_stop;
    bool resting;
    uint64_t rest_target; /* shards stop after this batch while resting */
    uint32_t waiters;     /* on progress */
    bool journal_full;
    uint64_t trim_before; /* asked of the committer; 0 = nothing */
    bool save_wanted;
    uint64_t saved_seq;       /* of the newest checkpoint */
    uint64_t saved_seq_older; /* of the other; 0 without one. The journal begins here */
    uint64_t
        saved_journal_bytes; /* journal appended_bytes at that time; wraps below 0 after a replay */
    int64_t saved_mono_ns, save_tried_mono_ns;
    struct river_stats stats;

    pthread_t committer, saver;
    bool committer_started, saver_started;
    pthread_mutex_t rest_mu;       /* serialises rests */
    pthread_mutex_t checkpoint_mu; /* serialises checkpoints */
    struct river_slot slots[RIVER_SLOTS];
    size_t saved_bytes_last;
};

/* shard.c */
MUST_USE bool river_shards_start(struct river *r, struct err *e);
void river_shards_join(struct river *r); /* after the queue is drained */
/* Gives a chain of batches (seq set, `next`-linked up to `last`) to all shards. holds: 1 when the
 * caller keeps a reference of its own and gives it back with river_batch_drop. lock: mu held. */
void river_hand(struct river *r, struct batch *first, struct batch *last, uint32_t holds);
void river_batch_drop(struct river *r, struct batch *b); /* lock: mu held */
void river_wait_progress(struct river *r);               /* lock: mu held */

/* river_commit.c */
void *river_commit_run(void *arg);
void *river_saver_run(void *arg);
/* Is a checkpoint due? lock: mu held. */
bool river_save_due(const struct river *r);
/* seq of the older of two valid checkpoints, else 0. lock: checkpoint_mu, or before the threads
 * run. */
uint64_t river_slots_older(const struct river *r);

/* river_recover.c */
MUST_USE bool river_recover(struct river *r, struct err *e);
MUST_USE bool river_slot_path(const struct river *r, size_t slot, char out[static PATH_BYTES_MAX],
                              struct err *e);

#endif
