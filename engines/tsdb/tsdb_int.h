/* The inside of a store: what its parts share, and who may touch what when.
 *
 *     threads        callers (doors, queries)   committer (commit.c)   flusher (flush.c)
 *     queue_mu       queue, stopping, wakes: held for a few instructions, never with another lock
 *     keep_mu        block files, tombs.bin, series-*.bin, numbering, keep_mem: held by whoever
 *                    changes what is on disk beside the log, for the whole operation (a flush, one
 *                    merge, one deletion, a snapshot). Taken before view_mu.
 *     view_mu        what a view refers to: generations, block list, tombs, epoch, the list of open
 *                    views, view_mem. Held by the committer while it applies ONE batch, by others
 *                    for a few instructions. Nothing is read from disk under it.
 *
 * A view (view.c) is (epoch, active generation, frozen generation or none, block list, tombs), all
 * counted under view_mu; reading it takes no lock. What was replaced lives until the last view that
 * refers to it is closed; blocks that nobody refers to any more are then closed, and their files
 * removed, by the next holder of keep_mu (tsdb_blocks_sweep).
 *
 * Files in the store's folder:
 *     lock                    flock of the process that has the store
 *     log/%010u.log           write-ahead log (log.c)
 *     series-%010u.bin        newest complete one counts (series.c)
 *     blocks/%016llx.blk      as block_write.c says; ids rise, never used twice
 *     tombs.bin               deletions (tombs.c)
 *
 * Positions in the log are uint64_t: segment number << 32 | byte offset; they only rise. A block's
 * log_upto says: every record before it is in this block, in one with a smaller log_upto, or was
 * dropped by retention. Recovery replays what is at or after the largest log_upto. Blocks are
 * listed ascending by (seq, id): a later one was written later, and wins where both have a time;
 * the head wins over blocks. A merge takes the largest log_upto of its inputs; a backfilled block
 * takes tsdb_covered(db). */
#ifndef ENGINES_TSDB_TSDB_INT_H
#define ENGINES_TSDB_TSDB_INT_H

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "engines/tsdb/block_int.h"
#include "engines/tsdb/index_int.h"
#include "engines/tsdb/tsdb.h"

#include <pthread.h>
#include <stdatomic.h>

struct head;   /* head_int.h */
struct gen;    /* head_int.h: a generation of the head */
struct wal;    /* log_int.h */
struct tombs;  /* tombs_int.h */
struct family; /* family_int.h */
struct commit; /* commit_int.h: queue and working memory of the committer */
struct exemplars;
struct source; /* commit_int.h */

/* One open block. lock: view_mu (refs); the block itself is immutable. */
struct block_ref {
    struct block *block;  /* owns */
    uint32_t refs;        /* lists that hold it */
    bool doomed;          /* replaced or retired: its file goes with it */
    _Atomic bool damaged; /* a column could not be read; counted once */
    struct block_ref *next_idle;
};

/* Immutable but for refs (view_mu): ascending by (seq, id). */
struct block_list {
    uint32_t refs; /* views that hold it, and 1 while it is the current one */
    uint32_t n;
    int64_t min_ms, max_ms; /* INT64_MAX, INT64_MIN when empty */
    struct block_ref *v[];
};

/* Counters that any thread adds to. */
struct tsdb_counters {
    _Atomic uint64_t samples, histograms, exemplars, duplicates, refused[TSDB_REFUSALS];
    _Atomic uint64_t records_damaged, log_failures, log_syncs, log_bytes;
    _Atomic uint64_t columns_damaged, blocks_damaged;
    _Atomic uint64_t flushes, merges, retired, flush_failures;
    _Atomic int64_t flush_ns_last, merge_ns_last, recovery_ns;
};

struct tsdb {
    /* Set at open. */
    const struct os *os;
    struct log *log;
    char dir[PATH_BYTES_MAX]; /* the store's folder */
    int lock_fd;
    struct index *index;  /* locks itself */
    struct mem index_mem; /* index's own */
    struct mem open_mem;  /* thread: open and close */

    pthread_mutex_t config_mu;
    struct tsdb_config config; /* lock: config_mu; see tsdb_config_get */

    /* lock: keep_mu */
    pthread_mutex_t keep_mu;
    struct mem keep_mem; /* blocks, writers, cursors of flush and merge */
    uint64_t block_id_next;
    uint64_t covered;         /* everything logged before this position is in blocks */
    uint32_t series_number;   /* of the newest series-*.bin */
    uint64_t series_log_upto; /* definitions logged before this position are in it */
    struct family *family;    /* writing order, in keep_mem; NULL until the first flush */
    uint32_t series_saved, series_saved_end; /* count and end of ids that it has */
    bool series_dropped;                     /* since it was written */
    /* drop.c */
    int64_t drop_mono_ns; /* when series were last dropped; 0 = all ids are free for use again */
    uint64_t drop_epoch;
    uint64_t *looked; /* series that had samples at the last look */
    size_t looked_bytes;
    uint32_t looked_end;
    int64_t looked_ns;
    bool retired_since, look_again;

    /* lock: view_mu */
    pthread_mutex_t view_mu;
    struct mem view_mem; /* views, lists */
    struct block_list *blocks;
    struct block_ref *idle; /* to be closed by tsdb_blocks_sweep */
    struct tombs *tombs;    /* NULL = no deletions; tombs_ref and _unref under view_mu */
    struct gen *active, *frozen;
    uint64_t epoch;                             /* batches applied */
    struct tsdb_view *views_first, *views_last; /* open ones, by epoch */

    struct head *head;             /* thread: committer, but for what head_int.h says */
    struct wal *wal;               /* thread: committer; open and close */
    struct commit *commit;         /* commit.c */
    struct exemplars *exemplars;   /* locks itself */
    _Atomic uint64_t covered_log;  /* = covered */
    _Atomic uint64_t log_position; /* everything logged so far is before it */
    uint64_t recovered_end; /* position behind the last record that recovery found; set at open */

    /* lock: source_mu */
    pthread_mutex_t source_mu;
    struct source **sources; /* by id; NULL where this run has not heard the name */
    uint32_t sources_n;
    size_t sources_cap;

    /* lock: queue_mu */
    pthread_mutex_t queue_mu;
    pthread_cond_t commit_wake, flush_wake, flush_done;
    bool stopping; /* committer: finish the queue and end */
    bool flusher_stop;
    bool chore_wanted, chore_runs; /* series to be dropped wait in `dropping` */
    uint32_t *dropping;
    uint32_t dropping_n;
    uint64_t freezes_wanted, freezes_done; /* tsdb_head_flush asks the committer to freeze */
    uint64_t freeze_number, flush_number;  /* generations frozen, and of these in blocks */
    uint64_t flush_rounds;                 /* attempts of the flusher that ended */
    bool flush_wanted;                     /* there is a frozen generation */
    bool flush_failed;                     /* the last one, see flush_err */
    bool freeze_failed;
    struct err flush_err;

    pthread_t committer, flusher;
    bool committer_runs, flusher_runs;
    struct tsdb_counters counters;
};

/* A copy of the configuration as it is now. */
void tsdb_config_get(struct tsdb *db, struct tsdb_config *out);

/* --- the block list and the numbers (keep.c; lock: keep_mu held by the caller) ---------------- */

uint64_t tsdb_block_number(struct tsdb *db); /* next free id */
uint64_t tsdb_covered(const struct tsdb *db);
/* The current list with one reference for the caller; any thread, no lock. It stays the current one
 * while keep_mu is held. */
struct block_list *tsdb_blocks_ref(struct tsdb *db);
void tsdb_blocks_unref(struct tsdb *db, struct block_list *l);
/* Later views see the list without `gone` (ids) and with `added`. Consumes `added` (open blocks) on
 * success; on failure (memory) nothing changed. Files of `gone` are removed once no view reads
 * them, by tsdb_blocks_sweep. */
MUST_USE bool tsdb_blocks_replace(struct tsdb *db, const uint64_t *gone, uint32_t gone_n,
                                  struct block *const *added, uint32_t added_n, struct err *e);
/* The same, and in the same moment the frozen generation goes: its samples are in `added`. */
MUST_USE bool tsdb_blocks_flushed(struct tsdb *db, struct block *const *added, uint32_t added_n,
                                  struct err *e);
/* Lets go of one reference; NULL is nothing. lock: none */
void tsdb_gen_unref(struct tsdb *db, struct gen *g);
/* Closes blocks that no view refers to any more and unlinks the doomed among them. */
void tsdb_blocks_sweep(struct tsdb *db);
/* Makes t what later views see (one reference is consumed) and lets go of the old. */
void tsdb_tombs_set(struct tsdb *db, struct tombs *t);

/* --- the head, for those who keep (flush.c) --------------------------------------------------- */

/* Writes all that was committed before the call into blocks: freezes, flushes, waits. The series
 * table is saved too. Takes keep_mu itself: do not hold it. */
MUST_USE bool tsdb_head_flush(struct tsdb *db, struct err *e);
/* Saves series-*.bin when the index changed since (always: force). lock: keep_mu held. */
MUST_USE bool tsdb_series_save(struct tsdb *db, bool force, struct err *e);
/* The same when many are new: reading the table is faster than replaying definitions. */
MUST_USE bool tsdb_series_save_grown(struct tsdb *db, struct err *e);
/* Writes the index as it is to DIR/series-0000000001.bin, once (snapshots). lock: keep_mu held. */
MUST_USE bool tsdb_series_write(struct tsdb *db, const char *dir, uint32_t number,
                                uint64_t log_upto, struct err *e);

/* --- views, for those who delete, clean and export (view.c, read.c) --------------------------- */

/* Bounds of what the view has of a series, tombs not looked at; false: nothing. To delete "all" of
 * a live series without hiding what comes later, cut the deletion at *max_ms. */
bool tsdb_view_bounds(const struct tsdb_view *v, uint32_t ref, int64_t *min_ms, int64_t *max_ms);
struct block_list *tsdb_view_blocks(const struct tsdb_view *v); /* borrows */

/* --- a batch (batch.c), for backfill ---------------------------------------------------------- */

enum batch_kind { BATCH_FLOAT, BATCH_HIST };

/* One sample of a batch as it was added. */
struct batch_sample {
    uint32_t ref;
    enum batch_kind kind;
    int64_t t_ms, st_ms;
    double v;         /* BATCH_FLOAT */
    struct str nhist; /* BATCH_HIST: nhist_encode's bytes; borrows the batch */
};
/* Sample i < tsdb_batch_count(b). Walk with i = 0, 1, 2...: the cursor makes that O(1) a step. */
struct batch_cursor {
    uint64_t i;
    uint32_t run; /* batch.c */
};
MUST_USE bool tsdb_batch_next(const struct tsdb_batch *b, struct batch_cursor *c,
                              struct batch_sample *out);

/* --- who writes what of tsdb.h ----------------------------------------------------------------
 *
 * Here: tsdb_open .. tsdb_commit_wait, views, tsdb_select, tsdb_read, names and values, exemplars,
 * stats, top; tsdb_flush(merge) in flush.c: tsdb_head_flush, then merge_round until *did is false.
 * The flusher thread calls retain_round and merge_round (merge_int.h) when it has nothing to flush.
 * Keeping side: tsdb_snapshot, tsdb_backfill, tsdb_delete, tsdb_clean. A deletion flushes the head
 * first (tsdb_head_flush), so the head is never filtered: tombs_int.h.
 *
 * For recovery: a block x for which another y has block_supersedes(y, x) was merged into y before a
 * crash: recover.c closes and removes it. */

#endif
