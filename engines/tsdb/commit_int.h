/* The committer's working memory and what recovery and flushing share with it. */
#ifndef ENGINES_TSDB_COMMIT_INT_H
#define ENGINES_TSDB_COMMIT_INT_H

#include "engines/tsdb/batch_int.h"
#include "engines/tsdb/head_int.h"
#include "engines/tsdb/log_int.h"

/* Put in last_bits when only the time of the newest sample is known: a NaN nobody sends. Should
 * somebody, the sample is looked up, which is right too. */
#define BITS_UNKNOWN 0x7ff4deadfa401001ULL

#define UNDO_NONE UINT32_MAX

/* What a series was before a sample of the group was checked in; or, with ref 0, a late sample. */
struct undo {
    uint32_t ref;
    uint32_t late; /* address, with ref 0 */
    struct last was;
};

struct source {
    struct str name; /* owns */
    bool logged;     /* in the log of the segments that are kept; committer's */
};

struct commit {
    /* lock: queue_mu */
    struct tsdb_batch *first, *last;
    size_t queue_bytes;
    size_t busy_bytes; /* of the group that is being committed */

    /* thread: committer (and open) */
    struct mem mem;
    struct undo *undo;
    uint32_t
        *taken;    /* addresses of late samples and blobs made by the check, in order of samples */
    uint32_t *met; /* series whose definition is in the group, met_put of them already */
    size_t undo_n, undo_cap, taken_n, taken_cap, met_n, met_put, met_cap;
    uint32_t group; /* number, for series.undo; never 0 */
    struct arena arena;
    struct block_list *blocks; /* shared for a group, when needed, with frozen */
    struct gen *frozen;
    struct finder *finder;     /* find.c */
    size_t reserved;           /* bytes of the head for the batches of the group */
    int64_t now_ms;            /* when the group began */
    int64_t synced_ns;         /* monotonic; when the last group that was synced began */
    bool synced;               /* there was one */
    struct tsdb_config config; /* as when the group began */
};

MUST_USE bool commit_new(struct tsdb *db, struct err *e);
void commit_free(struct tsdb *db);
void *commit_run(void *db);

/* check.c: gives every sample of the batch its verdict and counts; reserves what applying needs.
 * Marks b->refused with TSDB_ALL_OR_NOTHING. */
void check_batch(struct tsdb *db, struct tsdb_batch *b);
/* Takes back what checking did to series since undo had n records. */
void check_undo(struct tsdb *db, size_t n);
/* Puts the definitions that the log does not have into the group, ahead of the samples. */
void check_put_met(struct tsdb *db);

/* find.c: is there a sample of the series at this very time, in head or (with blocks) in blocks?
 * bits as check.c compares them: of the double, or the hash of a histogram. */
struct finder;
MUST_USE bool finder_new(struct finder **out, struct mem *m);
void finder_free(struct finder *f);
bool find_sample(struct tsdb *db, uint32_t ref, int64_t t_ms, bool blocks, uint64_t *bits);
/* Newest time that blocks have of a series. */
bool find_newest(struct tsdb *db, uint32_t ref, int64_t *t_ms);
/* Ends the borrowing of the block list. */
void find_done(struct tsdb *db);
uint64_t find_hist_bits(struct str bytes);

/* freeze.c: swaps generations when one is due. lock: none; thread: committer, or open. */
/* Bytes of samples at which the active generation is frozen. */
uint64_t freeze_bound(struct tsdb *db);
MUST_USE bool freeze_at(struct tsdb *db, uint64_t position);
/* false: there was no memory for it. */
bool freeze_if_due(struct tsdb *db);
/* Waits while the head is at its bound. false: the flusher cannot write, samples are refused. */
MUST_USE bool freeze_wait_room(struct tsdb *db);

/* flush.c: the frozen generation into a block, its log away. Takes keep_mu. true when there is
 * none. */
MUST_USE bool flush_frozen(struct tsdb *db, struct err *e);
void *flush_run(void *db);

/* recover.c */
MUST_USE bool recover(struct tsdb *db, struct err *e);
/* series.c: the newest table that is whole, into db->index; none is fine. */
MUST_USE bool series_load(struct tsdb *db, struct err *e);

/* drop.c: the flusher looks for series without samples and hands them over; the committer, which
 * alone knows what is on its way, forgets those that still have none. */
void drop_run(struct tsdb *db);                     /* thread: committer */
void drop_look(struct tsdb *db, bool after_retire); /* thread: flusher */

#endif
