/* Parts of the importers (import_*.c). */
#ifndef ENGINES_TSDB_IMPORT_INT_H
#define ENGINES_TSDB_IMPORT_INT_H

#include "engines/tsdb/block_file_int.h"
#include "engines/tsdb/tsdb_int.h"

/* One sample on its way in; h NULL: a float. Borrowed for the call. */
struct import_sample {
    int64_t t_ms;
    double v;
    const struct nhist *h;
};

/* --- import_index.c: the index file of a block of Prometheus -----------------------------------
 * */

struct import_index {
    struct mem *mem;
    struct str bytes;    /* borrows: the file */
    struct str *symbols; /* owns the array; slices of bytes */
    uint32_t symbols_n;
    size_t series_at, series_end;
};

struct import_chunk_ref {
    int64_t min_ms, max_ms;
    uint32_t file, off; /* 0-based number of the chunk file, place in it */
};

struct import_series {
    uint64_t id; /* as tombstones name it */
    struct label labels[LABELS_COUNT_MAX];
    uint32_t labels_n;
    struct import_chunk_ref *chunks; /* owned by the reader, until the next series */
    uint32_t chunks_n;
    size_t chunks_cap;
};

/* Header, table of contents and symbols are checked; x->symbols is to be released. */
MUST_USE bool import_index_open(struct import_index *x, struct mem *m, struct str bytes,
                                struct err *e);
void import_index_release(struct import_index *x);
/* The series at *at (begin with 0), and *at moves behind it; *end: there is none any more. */
MUST_USE bool import_index_next(const struct import_index *x, size_t *at, struct import_series *s,
                                bool *end, struct err *e);
void import_series_release(struct import_series *s, struct mem *m);

/* Deleted intervals of a block, by series id then time. */
struct import_tomb {
    uint64_t id;
    int64_t from_ms, to_ms;
};
MUST_USE bool import_tombs_decode(struct str bytes, struct mem *m, struct import_tomb **out,
                                  size_t *n, size_t *cap, struct err *e);

/* Big-endian, and Go's varints, with bounds (rd.failed). */
uint32_t import_u32be(struct rd *r);
uint64_t import_u64be(struct rd *r);
uint64_t import_uvarint(struct rd *r);
int64_t import_varint(struct rd *r);

/* --- import.c: batches into blocks -------------------------------------------------------------
 * */

struct import_sink {
    struct tsdb *db;
    struct tsdb_batch *batch;
    struct tsdb_import *counts;
    bool (*progress)(void *ctx, const struct tsdb_import *so_far);
    void *progress_ctx;
    uint32_t source;
};
MUST_USE bool import_sink_open(struct import_sink *s, struct tsdb *db, struct mem *m,
                               struct tsdb_import *counts,
                               bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                               void *progress_ctx, struct err *e);
/* Writes what is in the batch into blocks. */
MUST_USE bool import_sink_flush(struct import_sink *s, struct err *e);
/* A full batch is flushed first. */
MUST_USE bool import_sink_add(struct import_sink *s, uint32_t ref, const struct import_sample *x,
                              int64_t st_ms, struct err *e);
void import_sink_close(struct import_sink *s);

#endif
