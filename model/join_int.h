/* Join store: which decision does a label judge, and has this decision been seen? Private to
 * model/. */
#ifndef MODEL_JOIN_INT_H
#define MODEL_JOIN_INT_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "flow/record.h"
#include "model/ids_int.h"

/* What a label needs of its decision. Immutable. Numbers of names are the shard's (names_int.h). */
struct model_row {
    struct hash128 id;
    int64_t t_ns;
    double score; /* NaN: none */
    int64_t amount_centavos;
    uint16_t dims[RECORD_DIMS_MAX];
    uint16_t version;
    uint8_t verdict;
    uint8_t reserved;
    uint32_t next; /* in memory: next row of the hour, or next free row */
};
_Static_assert(sizeof(struct model_row) == 64, "one row is one cache line");

/* ---- run files: join_run.c ---- */

#define MODEL_RUN_BLOCK_ROWS 63
#define MODEL_RUN_ROW_BYTES  64
#define MODEL_RUN_ROWS_MAX   (1u << 28)
#define MODEL_RUN_NAMES_MAX  65535u
#define MODEL_RUN_KINDS      (RECORD_DIMS_MAX + 1) /* 0: versions, 1 + i: values of dimension i */

struct model_run {
    int32_t hour; /* since 1970, of the ids' minute */
    uint32_t shard, number;
    uint32_t rows;
    char *filter; /* what model_filters_take took, NULL = none in memory; filter.c */
};

/* A name of the file's own dictionary. */
struct model_run_name {
    uint8_t kind;
    struct str text;
};

struct model_run_header {
    int32_t hour;
    uint32_t rows, names;
    uint32_t data_off; /* where the blocks begin */
    bool filter;       /* the file ends with one */
    uint64_t dims_hash;
};

#define MODEL_RUN_FILE_BYTES 48
/* "join-<hour>-<shard>-<number>.run" */
void model_run_file(const struct model_run *r, char out[MODEL_RUN_FILE_BYTES]);
MUST_USE bool model_run_file_parse(struct str name, struct model_run *out);

/* Appends a file's bytes. rows are sorted by id (hi, then lo), without repeats; versions and
 * dims are indexes into names. */
void model_run_write(struct buf *b, int32_t hour, uint64_t dims_hash,
                     const struct model_run_name *names, uint32_t names_count,
                     const struct model_row *rows, uint32_t rows_count);
/* Header and dictionary; names (may be NULL) has room for MODEL_RUN_NAMES_MAX. bytes may be
 * longer. */
MUST_USE bool model_run_header_read(struct str bytes, struct model_run_header *out,
                                    struct model_run_name *names, struct err *e);
/* The whole file: header, every block's checksum, order of ids, ranges of fields. */
MUST_USE bool model_run_validate(struct str bytes, struct err *e);
/* One row of a file by id: interpolation search over blocks, each verified as it is read. Values
 * of a file written with other segment dimensions (dims_hash) come back as missing. *found says
 * whether it is there. names: see model_run_header_read; their text lives in *head. */
MUST_USE bool model_run_find(const struct os *os, const char *path, struct hash128 id,
                             uint64_t dims_hash, struct buf *head, struct model_run_name *names,
                             struct model_row *out, bool *found, struct err *e);
int model_row_cmp(const void *a, const void *b);
/* The filter of an open file into `to` (model_filter_bytes(run->rows)), checked. Files of version 1
 * have none: ERR_CORRUPT. */
MUST_USE bool model_run_filter_read(const struct os *os, int fd, const char *path,
                                    const struct model_run *run, char *to, struct err *e);

/* ---- filters of runs: filter.c ---- */

size_t model_filter_bytes(uint32_t rows);
void model_filter_add(char *filter, size_t bytes, struct hash128 id);
bool model_filter_may(const char *filter, size_t bytes, struct hash128 id);
uint64_t model_filter_sum(const char *filter, int32_t hour, uint32_t rows);

/* The filters in memory of one list of runs. */
struct model_filters {
    struct mem *mem; /* borrows */
    size_t bytes, bytes_max;
    bool refused; /* a filter found no room; cleared by the tick */
};

/* false: the id is certainly not in the run. */
bool model_run_may(const struct model_run *run, struct hash128 id);
/* Room for the filter of run, zeroed; filters of earlier hours in the list (and of the same one)
 * make room. NULL: no room or no memory. run may be outside the list. */
char *model_filters_take(struct model_filters *f, struct model_run *runs, uint32_t count,
                         struct model_run *run);
void model_filters_drop(struct model_filters *f, struct model_run *run);
/* Drops one filter of the oldest hour, up to hour_max. false: there is none. */
bool model_filters_drop_oldest(struct model_filters *f, struct model_run *runs, uint32_t count,
                               int32_t hour_max);
/* A new bound; the oldest hours go until it holds. */
void model_filters_bound(struct model_filters *f, struct model_run *runs, uint32_t count,
                         size_t bytes_max);
/* Reads only the filter of the file. true without a filter when there is no room. */
MUST_USE bool model_filters_load(struct model_filters *f, const struct os *os, const char *dir,
                                 struct model_run *run, struct err *e);

/* ---- rows of a shard: join.c ---- */

#define MODEL_ROWS_CHUNK 2048u
#define MODEL_PARTS_MAX  8192u
#define MODEL_RUNS_MAX   65536u
#define MODEL_PART_ROWS_MIN \
    64u /* smaller hours are written to a run only when nothing else is left */

struct model_part {
    int32_t hour;
    uint32_t first, rows;
};

struct model_join {
    struct mem *mem; /* borrows, as the three below */
    const struct os *os;
    const char *dir;
    struct log *log;
    struct model_row **chunks; /* owns, each MODEL_ROWS_CHUNK rows */
    size_t chunks_cap;
    uint32_t rows_made, rows_free, rows_used, rows_max;
    struct model_ids ids;
    struct model_part *parts; /* owns, by hour */
    size_t parts_cap;
    uint32_t parts_count;
    struct model_run *runs; /* owns; written by this shard since it was made */
    size_t runs_cap;
    uint32_t runs_count;
    struct model_filters filters; /* of runs */
    uint32_t shard, run_next;
    uint64_t dims_hash; /* of the configured segment dimensions */
    bool dir_made;
    struct model_run_name *names; /* owns, scratch of MODEL_RUN_NAMES_MAX, made when first needed */
    struct buf head;              /* scratch: a run's header */
    uint64_t spilled, spill_failures, read_failures, shed;
};

struct model_names;

void model_join_init(struct model_join *j, struct mem *m, const struct os *os, const char *dir,
                     struct log *log, uint32_t shard, uint32_t rows_max, size_t filter_bytes_max,
                     uint64_t dims_hash);
void model_join_release(struct model_join *j);
static inline struct model_row *model_join_row(const struct model_join *j, uint32_t idx)
{
    return &j->chunks[idx / MODEL_ROWS_CHUNK][idx % MODEL_ROWS_CHUNK];
}
int32_t model_hour_of(const struct e2e *id);
/* In memory, then in the runs of the hour (own and `shared`, sorted by hour). NULL: not there.
 * *scratch holds a row that came from a file. Names of files become the shard's. */
const struct model_row *model_join_find(struct model_join *j, struct model_names *names,
                                        const struct model_run *shared, uint32_t shared_count,
                                        struct hash128 id, int32_t hour, struct model_row *scratch);
/* Adds a row; spills the oldest hours when full. false: shed (counted), the label will not find
 * it. */
bool model_join_add(struct model_join *j, struct model_names *names, int32_t hour,
                    const struct model_row *row);
/* Forgets rows of hours before `hour`. Runs of the shard are dropped by the owner of the
 * manifest. */
void model_join_drop_before(struct model_join *j, int32_t hour);

#endif
