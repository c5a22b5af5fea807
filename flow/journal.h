/* The journal: a write-ahead log of batches in segments, group commit, torn tails cut, damage
 * skipped and reported. journal.c draws the format.
 *
 * What journal_sync acknowledged is there after kill -9 and power loss. thread: one (the
 * river's). */
#ifndef FLOW_JOURNAL_H
#define FLOW_JOURNAL_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

struct journal;

#define JOURNAL_PAYLOAD_MAX ((size_t)64 << 20)

struct journal_stats {
    uint64_t seq_first, seq_next; /* what is on disk: [first, next) */
    uint64_t bytes, segments;
    uint64_t appended, appended_bytes, syncs, sync_ns_total;
    /* Of writes that were never acknowledged: cut while opening, passed over while reading. */
    uint64_t torn_bytes;
    /* Acknowledged batches that the last journal_replay did not find, and the bytes in their place:
     * loss. */
    uint64_t damaged_frames, damaged_bytes;
};

struct journal_config {
    const char *dir;
    uint64_t segment_bytes_max; /* a new file from here on, e.g. 64 MiB */
    uint64_t bytes_max;         /* whole journal; append is ERR_LIMIT above (checkpoints trim it) */
    /* The next seq is at least this (0: no demand). A checkpoint may know of batches that a damaged
     * journal has forgotten; their numbers must not be given again. */
    uint64_t seq_min;
};

/* Opens or creates (dir must exist); cuts a torn tail of the newest segment and makes the rest
 * durable. seq numbers start at 1. Copies c->dir; borrows os, m, log until journal_close. Each
 * opening writes to new segments. ERR_CORRUPT only for a segment that another version of Farol
 * wrote; damage is not an error here. */
MUST_USE bool journal_open(struct journal **out, const struct journal_config *c,
                           const struct os *os, struct mem *m, struct log *log, struct err *e);
/* Calls each for every whole batch with seq >= from (0: whatever is there; 1: from the very first),
 * in order; payload is valid during the call. Stops, and is false, when each returns false. What is
 * missing or damaged is passed over, counted and logged. */
MUST_USE bool journal_replay(struct journal *j, uint64_t from,
                             bool (*each)(void *ctx, uint64_t seq, struct str payload,
                                          struct err *e),
                             void *ctx, struct err *e);
/* Writes, does not sync. After a failed write the file is cut back, nothing of the batch remains.
 * ERR_LIMIT: the payload is over JOURNAL_PAYLOAD_MAX or the journal over bytes_max. */
MUST_USE bool journal_append(struct journal *j, struct str payload, uint64_t *seq, struct err *e);
/* After success everything appended before is durable. After failure none of what was appended
 * since the last success may be acknowledged; it is cut away, and the next append starts a new
 * segment. ERR_IO also when the file was removed or replaced: no start would find its bytes. */
MUST_USE bool journal_sync(struct journal *j, struct err *e);
/* Deletes segments whose batches all have seq < before; never the newest. */
MUST_USE bool journal_trim(struct journal *j, uint64_t before, struct err *e);
void journal_stats(const struct journal *j, struct journal_stats *out);
void journal_close(struct journal *j);

#endif
