/* The journal: a write-ahead log of batches in segments, group commit, torn tails cut, damage skipped
 * and reported. journal.c draws the format.
 *
 * What journal_sync acknowledged is there after kill -9 and power loss. thread: one (the river's). */
#ifndef FLOW_JOURNAL_H
#define FLOW_JOURNAL_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

struct journal;

struct journal_stats {
    uint64_t seq_first, seq_next; /* what is on disk: [first, next) */
    uint64_t bytes, segments;
    uint64_t appended, appended_bytes, syncs, sync_ns_total;
    uint64_t torn_bytes;                    /* cut at the tail while opening: never acknowledged */
    uint64_t damaged_frames, damaged_bytes; /* skipped while reading: loss, reported */
};

struct journal_config {
    const char *dir;
    uint64_t segment_bytes_max; /* a new file from here on, e.g. 64 MiB */
    uint64_t bytes_max;         /* whole journal; append is ERR_LIMIT above (checkpoints trim it) */
};

/* Opens or creates; cuts a torn tail of the newest segment. seq numbers start at 1. */
MUST_USE bool journal_open(struct journal **out, const struct journal_config *c,
                           const struct os *os, struct mem *m, struct log *log, struct err *e);
/* Calls each for every whole batch with seq >= from, in order. Stops when each returns false. */
MUST_USE bool journal_replay(struct journal *j, uint64_t from,
                             bool (*each)(void *ctx, uint64_t seq, struct str payload,
                                          struct err *e),
                             void *ctx, struct err *e);
/* Writes, does not sync. After a failed write the file is cut back, nothing of the batch remains. */
MUST_USE bool journal_append(struct journal *j, struct str payload, uint64_t *seq, struct err *e);
/* After success everything appended before is durable. After failure none of what was appended since the
 * last success may be acknowledged; it is cut away, and the next append starts a new segment. */
MUST_USE bool journal_sync(struct journal *j, struct err *e);
/* Deletes segments whose batches all have seq < before. */
MUST_USE bool journal_trim(struct journal *j, uint64_t before, struct err *e);
void journal_stats(const struct journal *j, struct journal_stats *out);
void journal_close(struct journal *j);

#endif
