/* What journal.c (writes) and journal_read.c (reads) share. journal.c draws the format. */
#ifndef FLOW_JOURNAL_INT_H
#define FLOW_JOURNAL_INT_H

#include "base/file.h"
#include "flow/journal.h"

#define JOURNAL_VERSION  1u
#define SEGMENT_HEAD     48
#define FRAME_HEAD       32
#define FRAME_MAGIC      0x314d5246u /* "FRM1" */
#define SEQ_MAX          ((uint64_t)1 << 62)
#define SEGMENTS_MAX     65536
#define SEGMENT_NAME_MAX 40

struct segment {
    uint64_t first; /* seq of its first frame; also its name */
    uint64_t bytes; /* of the file, as far as it counts */
};

/* thread: the river's. Owns its memory and fd. */
struct journal {
    const struct os *os;
    struct mem *mem;
    struct log *log;
    struct journal_config config;
    char dir[PATH_BYTES_MAX];

    struct segment *segments; /* by first; the last one is written when fd >= 0 */
    size_t segments_count, segments_cap;
    uint64_t bytes; /* sum over segments */

    int fd;             /* of the newest segment, or -1: the next append makes one */
    bool broken;        /* the open segment ends in bytes that could not be cut away */
    bool poisoned;      /* part of the group is lost: the next sync must say so */
    uint64_t session;   /* first seq that this opening may write */
    uint64_t seq_read;  /* newest batch that this opening found (or a checkpoint has), 0 = none */
    uint64_t seq_next;  /* what the next append gets */
    uint64_t seq_acked; /* everything up to here was synced and said to be */
    /* Where the group (what was appended since the last sync) begins. */
    uint64_t group_segment_first, group_off;
    bool group_open;
    uint64_t synced_bytes; /* of the open segment */

    char *scratch; /* small frames are put together here, so that one write carries them */
    struct journal_stats stats; /* counters; the rest is filled in by journal_stats */
    uint64_t cut_bytes, passed_bytes;
};

#define SCRATCH_BYTES ((size_t)64 << 10)

static inline uint64_t journal_frame_bytes(uint64_t payload_bytes)
{
    return (FRAME_HEAD + payload_bytes + 7) & ~(uint64_t)7;
}
/* The checksum that a frame with this head (its first 24 bytes) and payload must carry. */
uint64_t journal_frame_hash(const char *head, struct str payload);
uint64_t journal_segment_hash(const char *head);
MUST_USE bool journal_segment_path(const struct journal *j, uint64_t first,
                                   char out[static PATH_BYTES_MAX], struct err *e);

/* One frame as found. payload borrows the scan's buffer. */
struct journal_frame {
    uint64_t seq;
    uint64_t acked; /* what had been acknowledged when it was written */
    struct str payload;
};

/* A walk over one segment. The caller sets what is above the line. */
struct journal_scan {
    uint64_t first; /* of the segment, from its name */
    uint64_t limit; /* frames with seq >= limit are leftovers of a failed sync */
    bool (*frame)(void *ctx, const struct journal_frame *f, struct err *e); /* may be NULL */
    /* Frames [from, to) are not there; skipped bytes stood in their place. May be NULL. */
    void (*gap)(void *ctx, uint64_t from, uint64_t to, uint64_t skipped);
    /* The segment's head was read; not called when it is damaged. May be NULL. */
    void (*session)(void *ctx, uint64_t session, uint64_t seq_read);
    void *ctx;
    /* -- found -- */
    uint64_t next;      /* seq after the last whole frame, or first */
    uint64_t valid_end; /* file offset after the last whole frame, or 0 without one */
    uint64_t bytes;     /* of the file */
    uint64_t tail;      /* bytes after the last whole frame (or after the head) */
};
MUST_USE bool journal_scan_run(const struct journal *j, struct journal_scan *s, struct err *e);

#endif
