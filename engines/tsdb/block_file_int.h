/* The file of a block, for the files that write and read it. block_write.c draws it. */
#ifndef ENGINES_TSDB_BLOCK_FILE_INT_H
#define ENGINES_TSDB_BLOCK_FILE_INT_H

#include "engines/tsdb/block_int.h"

#define BLOCK_MAGIC        0x314b4c424c4f5246ULL /* "FROLBLK1" */
#define BLOCK_END_MAGIC    0x31444e454c4f5246ULL /* "FROLEND1" */
#define BLOCK_VERSION      1
#define BLOCK_HEADER_BYTES 24
#define BLOCK_TIMES_BYTES  32 /* an entry of the table of time columns */
#define BLOCK_FOOTER_BYTES 100
#define BLOCK_DATA_MAX     0xf0000000ULL /* offsets are 32 bits */
#define BLOCK_COLUMNS_MAX  (1U << 27)
#define BLOCK_CHAIN_MAX    16 /* columns coded one against the other before one stands alone */
#define BLOCK_SEEN_BYTES   (1U << 20) /* of encoded times that the writer can find again */

/* Flags of a column: in the directory HISTS and ST, in the record all. */
enum block_flag {
    BLOCK_HAS_HISTS = 1,
    BLOCK_HAS_ST = 2,
    BLOCK_CHAINED = 4, /* values are coded against the column `back` bytes before */
    BLOCK_FAMILY = 8,  /* the next column may be coded against this one: worth remembering */
};
#define BLOCK_DIR_FLAGS (BLOCK_HAS_HISTS | BLOCK_HAS_ST)
#define BLOCK_FLAGS     (BLOCK_DIR_FLAGS | BLOCK_CHAINED | BLOCK_FAMILY)

struct block_times {
    int64_t min_ms, max_ms;
    uint32_t off, len, n, crc;
};

/* A file as bytes in memory: mapped, or read when the machine is not the real one. */
struct block_map {
    const unsigned char *p;
    size_t n;
    struct mem *mem; /* not mapped: owns p, taken from it */
    size_t taken;
};
/* A second name (or, where that cannot be, a synced copy) of block id in another store's folder. */
MUST_USE bool block_copy(const struct block *b, const struct os *os, const char *from_dir,
                         const char *to_dir, struct err *e);
/* ERR_CORRUPT for files of fewer bytes than bytes_min (at least 1). */
MUST_USE bool block_map_open(struct block_map *out, struct mem *m, const struct os *os,
                             const char *path, size_t bytes_min, struct err *e);
void block_map_close(struct block_map *f);

struct block {
    struct mem *mem;
    struct block_map map;
    struct block_info info;
    uint64_t data_end;
    uint32_t times_n;
    unsigned tim_width; /* bytes of a column's time number: 1, 2 or 4 */
    /* Slices of the map; flags is NULL when no column has any. */
    const unsigned char *refs, *offs, *tims, *flags, *times;
};

static inline uint32_t block_ref_at(const struct block *b, uint32_t i)
{
    return get_u32le(b->refs + (size_t)i * 4);
}

static inline uint32_t block_tim_at(const struct block *b, uint32_t i)
{
    const unsigned char *p = b->tims + (size_t)i * b->tim_width;
    switch (b->tim_width) {
    case 1: return p[0];
    case 2: return (uint32_t)(p[0] | p[1] << 8);
    default: return get_u32le(p);
    }
}

static inline struct block_times block_times_at(const struct block *b, uint32_t k)
{
    const unsigned char *p = b->times + (size_t)k * BLOCK_TIMES_BYTES;
    return (struct block_times){.min_ms = (int64_t)get_u64le(p),
                                .max_ms = (int64_t)get_u64le(p + 8),
                                .off = get_u32le(p + 16),
                                .len = get_u32le(p + 20),
                                .n = get_u32le(p + 24),
                                .crc = get_u32le(p + 28)};
}

/* A record taken apart; the slices borrow the block. */
struct block_record {
    unsigned flags;
    uint32_t back;  /* BLOCK_CHAINED */
    uint32_t bytes; /* of the whole record */
    struct str values, hists, st;
};
/* r is at the record's second field and ends up behind the record. false: it has no end. */
MUST_USE bool block_record_split(struct rd *r, struct block_record *out);
/* Bounds and checksum. */
MUST_USE bool block_record_validate(const struct block *b, uint32_t off, struct block_record *out,
                                    struct err *e);

/* The times of column i; they borrow the cursor until the next call. */
MUST_USE bool block_cursor_times(struct block *b, struct block_cursor *c, uint32_t i,
                                 const int64_t **t, uint32_t *n, struct err *e);
/* Adds a column of another block without decoding its values: r is its validated record, t its
 * times. A chained record must follow the copy of the one it is coded against. */
MUST_USE bool block_writer_copy(struct block_writer *w, uint32_t ref, const struct block_record *r,
                                const int64_t *t, uint32_t n, struct err *e);
/* A cursor with less to remember: slots are powers of two. block_cursor_new is (64, 256). */
struct block_cursor *block_cursor_sized(struct mem *m, uint32_t time_slots, uint32_t chain_slots);

/* A copy of bytes as a block: for fuzzing. */
MUST_USE bool block_open_bytes(struct block **out, struct mem *m, struct str bytes, uint64_t id,
                               struct err *e);

/* --- block_times.c: the time columns of a writer ------------------------------------------- */

struct block_wtime {
    struct block_times t;
    uint64_t hash;
    uint32_t seen_off; /* of the encoded bytes in `seen` */
};

/* thread: one */
struct block_wtimes {
    struct mem *mem;
    struct col_scratch *scratch; /* borrows */
    struct block_wtime *v;
    size_t n, cap;
    uint32_t *table; /* number + 1 by hash, open addressing; 0 = free */
    size_t table_n;  /* a power of two, or 0 */
    size_t table_used;
    struct buf seen;
    int64_t *decoded; /* room for decoded_cap times */
    size_t decoded_cap;
    uint32_t decoded_idx; /* which column `decoded` holds; UINT32_MAX: none */
};

void block_wtimes_init(struct block_wtimes *w, struct mem *m, struct col_scratch *s);
void block_wtimes_release(struct block_wtimes *w);
/* The number of the column of these times. *bytes is what is to be written to the file at off,
 * empty when the column is known already; it borrows w until the next call. */
MUST_USE bool block_wtimes_put(struct block_wtimes *w, const int64_t *t, uint32_t n, uint64_t off,
                               uint32_t *idx, struct str *bytes, struct err *e);

#endif
