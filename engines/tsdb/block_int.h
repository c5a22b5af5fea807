/* Blocks: immutable files of columns by series id, with shared timestamps. block_write.c draws the
 * file. A block is written under a temporary name, synced, renamed, and the folder synced.
 *
 * A series may have several columns in one block (overlapping or not, each ascending): readers
 * merge. Every section has a CRC32C; the footer comes last. Damage costs the column it hits:
 * reading it gives ERR_CORRUPT, the caller counts it. */
#ifndef ENGINES_TSDB_BLOCK_INT_H
#define ENGINES_TSDB_BLOCK_INT_H

#include "base/os.h"
#include "engines/tsdb/col_int.h"
#include "engines/tsdb/tsdb.h"

/* One column to write, all arrays borrowed for the call. h, st may be NULL. */
struct block_column {
    uint32_t ref;
    uint32_t n;
    const int64_t *t;
    const double *v; /* with h: the sums, not stored where h[i] is set */
    const struct nhist *const *h;
    const int64_t *st;
    /* Histogram families: columns with the same family number, given one after the other with
     * neighbouring bounds together (_count, then buckets by falling le), are coded against each
     * other when their times are equal. 0 = none. */
    uint32_t family;
};

struct block_info {
    uint64_t id;            /* number in the file's name */
    uint32_t level;         /* 0 flushed, 1.. merged */
    int64_t min_ms, max_ms; /* of the samples */
    uint64_t samples, columns, bytes;
    uint64_t log_upto; /* the log before this position is covered by this block */
    /* Age of the data: its own id for a flushed block, the greatest of the inputs for a merged one.
     * Where two blocks have the same time, the greater seq wins; a deletion concerns the blocks up
     * to the seq it was made at (tombs_int.h). A merged block holds all that blocks with seq_min to
     * seq held: see block_supersedes. */
    uint64_t seq, seq_min;
};

/* x was merged into y, and a crash came before x was removed: to be asked at open for each pair,
 * and x is then to be removed. Merges take neighbours by seq, so the ranges say it all. */
static inline bool block_supersedes(const struct block_info *y, const struct block_info *x)
{
    return y->id > x->id && y->seq_min <= x->seq_min && x->seq <= y->seq;
}

/* From this level on columns are coded for size; below, where most queries look, for speed. */
#define BLOCK_LEVEL_DENSE 2

struct block_writer;
/* dir: the store's folder. The file is blocks/ID.tmp until finished. */
MUST_USE bool block_writer_open(struct block_writer **out, struct mem *m, const struct os *os,
                                const char *dir, uint64_t id, uint32_t level, struct err *e);
/* For merges; without it both are the id. */
void block_writer_seq(struct block_writer *w, uint64_t seq_min, uint64_t seq);
/* Equal time arrays are found by content and stored once. Columns in any order; close ones (same
 * metric) should come together, they share pages. */
MUST_USE bool block_writer_add(struct block_writer *w, const struct block_column *c, struct err *e);
/* Directory, footer, sync, rename, sync. Frees w, also on failure (the file is then removed). */
MUST_USE bool block_writer_finish(struct block_writer *w, uint64_t log_upto, struct block_info *out,
                                  struct err *e);
void block_writer_abort(struct block_writer *w);

/* Path of a block's file, suffix ".blk", ".tmp" or ".bad", into out (PATH_BYTES_MAX). */
MUST_USE bool block_path(char *out, const char *dir, uint64_t id, const char *suffix,
                         struct err *e);
/* Ids of the blocks in dir, ascending, at most max; half-written files (.tmp) are removed. Makes
 * the folder when it is not there. *id_top: the greatest number any name there carries. */
MUST_USE bool block_list(struct mem *m, const struct os *os, const char *dir, uint32_t max,
                         uint64_t **ids, uint32_t *n, uint32_t *cap, uint64_t *id_top,
                         struct err *e);
/* Removing is safe while somebody reads: an open block needs its file's name no more. A file that
 * is not there is no error. */
MUST_USE bool block_remove(const struct os *os, const char *dir, uint64_t id, struct err *e);
MUST_USE bool block_remove_all(const struct os *os, const char *dir, const uint64_t *ids,
                               uint32_t n, struct err *e);
/* Renames a damaged block to .bad, where nothing reads it. */
MUST_USE bool block_set_aside(const struct os *os, const char *dir, uint64_t id, struct err *e);

struct block;
/* Maps (or reads, when os is not the real one) and validates header, footer and directory. */
MUST_USE bool block_open(struct block **out, struct mem *m, const struct os *os, const char *dir,
                         uint64_t id, struct err *e);
void block_close(struct block *b);
/* Gives back the memory of pages that were read: they stay in the system's cache. For whoever walks
 * over whole blocks once, as merging does. */
void block_cool(const struct block *b);
/* The same without the directory, which a merge goes on looking into. */
void block_cool_data(const struct block *b);
const struct block_info *block_info(const struct block *b);
/* Columns of a series: first index and count in the directory; 0 when absent. hint: the last answer
 * for a smaller id, for ascending walks (0 at first). */
uint32_t block_find(const struct block *b, uint32_t ref, uint32_t hint, uint32_t *first);
/* What the directory knows of column i. */
struct block_entry {
    uint32_t ref;
    uint32_t n;
    int64_t min_ms, max_ms;
    bool has_nhists, has_st;
};
void block_entry(const struct block *b, uint32_t i, struct block_entry *out);
uint32_t block_columns(const struct block *b);

/* Decoder state: scratch, the last time column, the last column of a family. thread: one. */
struct block_cursor;
struct block_cursor *block_cursor_new(struct mem *m);
void block_cursor_free(struct block_cursor *c);
/* The whole column i: v gets h[i]'s sum where a histogram stands. A cursor serves the blocks of one
 * store (it remembers by id). h may be NULL only when the column has none, st likewise.
 * *t borrows the cursor until the next call; v (n + COL_SLACK), h (n; when
 * has_nhists), st (n + COL_SLACK; when has_st) are the caller's. */
MUST_USE bool block_read(struct block *b, struct block_cursor *c, uint32_t i, const int64_t **t,
                         double *v, struct nhist **h, struct arena *hists, int64_t *st,
                         struct err *e);

struct block_span {
    const int64_t *t; /* borrows the cursor until the next call */
    uint32_t n;
};
/* The samples of column i in [from_ms, to_ms]: v, h and st get out->n of them, and need the room of
 * the whole column. Decodes no more floats than it must (col_values_decode_part). */
MUST_USE bool block_read_part(struct block *b, struct block_cursor *c, uint32_t i, int64_t from_ms,
                              int64_t to_ms, struct block_span *out, double *v, struct nhist **h,
                              struct arena *hists, int64_t *st, struct err *e);

#endif
