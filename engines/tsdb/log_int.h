/* The write-ahead log: what was acknowledged and is not in a block yet. log.c draws the segments
 * and writes them, log_record.c draws the records, log_read.c reads after a restart. */
#ifndef ENGINES_TSDB_LOG_INT_H
#define ENGINES_TSDB_LOG_INT_H

#include "base/buf.h"
#include "engines/tsdb/batch_int.h"
#include "engines/tsdb/tsdb_int.h"

#define LOG_MAGIC             "FAROLWAL"
#define LOG_VERSION           1u
#define LOG_HEAD              48
#define LOG_RECORD_MAGIC      0x314c4157u /* "WAL1" */
#define LOG_RECORD_HEAD       12
#define LOG_RECORD_BYTES_MAX  ((size_t)1 << 30)
#define LOG_SEGMENT_BYTES     ((uint64_t)16 << 20) /* a new one begins at the next group above it */
#define LOG_SEGMENT_BYTES_MAX ((uint64_t)1 << 31)  /* what a reader takes into memory */
#define LOG_SEGMENTS_MAX      65536

static inline uint64_t log_position(uint32_t id, uint64_t off)
{
    ASSERT(off <= UINT32_MAX);
    return (uint64_t)id << 32 | off;
}
static inline uint32_t log_position_id(uint64_t position)
{
    return (uint32_t)(position >> 32);
}
static inline uint32_t log_position_off(uint64_t position)
{
    return (uint32_t)position;
}

enum log_record {
    LOG_SOURCE = 1,
    LOG_SERIES = 2,
    LOG_SAMPLES = 3,
    LOG_EXEMPLARS = 4,
    LOG_CLEAN = 5, /* the store was closed; nothing is torn after it */
};

/* --- segments, writing (log.c; thread: committer) ----------------------------------------------
 * */

struct log_segment {
    uint32_t id;
    uint64_t bytes;
};

struct wal {
    const struct os *os;
    struct log *log;
    struct mem mem;
    char dir[PATH_BYTES_MAX]; /* the folder of the segments */
    int fd;                   /* of the newest segment, -1 = the next group makes one */
    uint32_t id, id_next;
    uint64_t off;     /* bytes of the segment that count */
    uint64_t synced;  /* of these */
    uint64_t prev;    /* position where the segment before this one ends */
    bool roll;        /* the next group begins a segment */
    struct buf group; /* records of the group */
    size_t record_at; /* of the record that is being put together */
    uint64_t group_bytes_max;
    pthread_mutex_t mu; /* of the list, which the flusher shortens */
    struct log_segment *segments;
    size_t segments_n, segments_cap;
    uint64_t bytes;         /* of all segments; lock: mu */
    struct tsdb_tap *taps;  /* lock: mu */
    uint64_t tap_bytes_max; /* lock: mu; segments that only taps need; 0 = none are kept */
};

/* Makes the folder. id_next and prev are set by recovery before the first group. */
MUST_USE bool wal_open(struct wal **out, const struct os *os, const char *store, uint64_t bytes_max,
                       struct log *log, struct err *e);
void wal_close(struct wal *w);
/* For recovery: a segment that was found. */
MUST_USE bool wal_found(struct wal *w, uint32_t id, uint64_t bytes, struct err *e);
/* Makes sure that a segment is open. covered goes into the head of a new one. */
MUST_USE bool wal_begin(struct wal *w, uint64_t covered, struct err *e);
/* A record of the group: put its bytes into w->group between the two. */
void wal_record_begin(struct wal *w, enum log_record kind);
void wal_record_end(struct wal *w);
/* Takes back what was put since the group had n bytes. */
void wal_rewind(struct wal *w, size_t n);
/* One write and, with sync, one datasync. false: nothing of the group counts, now or after a
 * restart. */
MUST_USE bool wal_commit(struct wal *w, bool sync, struct err *e);
/* Everything written is before it. */
uint64_t wal_position(const struct wal *w);
/* Removes segments that lie before the position. thread: any */
void wal_trim(struct wal *w, uint64_t upto);
uint64_t wal_bytes(struct wal *w);
/* tap.c, lock: mu. From where taps need the log (UINT64_MAX: nothing); and that a segment they need
 * goes all the same. */
uint64_t wal_taps_from(const struct wal *w);
void wal_taps_lose(struct wal *w, struct log_segment s);
MUST_USE bool wal_path(const char *dir, uint32_t id, char out[static PATH_BYTES_MAX],
                       struct err *e);
uint32_t wal_record_crc(uint32_t segment, const char *head, struct str payload);

/* --- reading (log_read.c) ----------------------------------------------------------------------
 * */

struct log_scan {
    /* The caller's. */
    const struct os *os;
    struct mem *mem;
    struct log *log;
    const char *dir;  /* of the segments */
    uint64_t covered; /* records before this position are passed over */
    /* One record, in order. payload is without the kind, and borrows until return. */
    bool (*record)(void *ctx, uint64_t position, unsigned kind, struct str payload, struct err *e);
    void (*segment)(void *ctx, uint32_t id, uint64_t bytes); /* each one found; may be NULL */
    void *ctx;
    /* Found. */
    uint64_t damaged; /* records, or what stood where some should be */
    uint64_t torn;    /* bytes behind the last record of the last segment */
    uint64_t end;     /* position behind the last record; 0 = none */
    uint32_t id_max;
    bool cut_failed; /* the torn tail could not be cut away */
};
MUST_USE bool log_scan_run(struct log_scan *s, struct err *e);

/* --- records (log_record.c) ---------------------------------------------------------------------
 * */

void log_put_source(struct buf *b, uint32_t source, struct str name);
void log_put_series(struct buf *b, uint32_t ref, uint32_t source, struct labels ls);
/* The samples of a batch that were not refused. */
void log_put_samples(struct buf *b, const struct tsdb_batch *batch);
void log_put_exemplars(struct buf *b, const struct tsdb_batch *batch);

MUST_USE bool log_get_source(struct str payload, uint32_t *source, struct str *name, struct err *e);
/* The next of a LOG_SERIES record; labels are the arena's, texts borrow the payload. */
MUST_USE bool log_get_series(struct rd *r, struct arena *a, uint32_t *ref, uint32_t *source,
                             struct labels *ls, struct err *e);

/* Samples of one time and kind. */
struct log_run {
    int64_t t;
    bool hist;
    uint32_t n;
    const uint32_t *refs;
    const char *values;      /* 8 bytes each, little-endian; NULL with hist */
    const struct str *hists; /* nhist_encode's bytes, not validated */
    const int64_t *st;       /* NULL = none known */
};
/* Walks a LOG_SAMPLES record; owns its arrays, which are reused. */
struct log_reader {
    struct mem *mem;
    struct rd rd;
    int64_t t, st;
    uint32_t ref;
    uint32_t *refs;
    struct str *hists;
    int64_t *sts;
    size_t refs_cap, hists_cap, sts_cap;
};
void log_reader_init(struct log_reader *r, struct mem *m);
void log_reader_release(struct log_reader *r);
void log_reader_start(struct log_reader *r, struct str payload);
/* false at the end (e->code ERR_NONE) or at damage. */
MUST_USE bool log_reader_next(struct log_reader *r, struct log_run *out, struct err *e);

MUST_USE bool log_get_exemplar(struct rd *r, struct arena *a, struct tsdb_exemplar *out,
                               struct err *e);

#endif
