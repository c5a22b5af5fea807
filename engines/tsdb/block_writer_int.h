/* A block being written, for block_write.c (columns) and block_finish.c (directory, footer, name).
 * */
#ifndef ENGINES_TSDB_BLOCK_WRITER_INT_H
#define ENGINES_TSDB_BLOCK_WRITER_INT_H

#include "base/file.h"
#include "engines/tsdb/block_file_int.h"

#define BLOCK_OUT_BYTES (256U << 10)

struct block_wentry {
    uint32_t ref, off, tim;
    uint32_t flags;
};

/* The column before, for the next of its family. */
struct block_wlast {
    uint32_t family; /* 0 = none */
    uint32_t tim;
    uint32_t depth; /* columns of the chain before it */
    uint64_t off;
    double *v;
    size_t v_cap;
};

/* thread: one */
struct block_writer {
    struct mem *mem;
    const struct os *os;
    int fd;     /* -1: closed */
    bool named; /* the .tmp exists */
    char dir[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX]; /* .tmp */
    struct block_info info;
    struct col_scratch *scratch;
    struct block_wtimes times;
    struct block_wentry *v;
    size_t n, cap;
    struct block_wlast last;
    uint64_t off;      /* of the file's end, with what is in out */
    bool in_directory; /* out_flush sums up what it writes */
    uint32_t dir_crc;
    struct buf out, values, rest;
    double *floats; /* the values of a column with histograms */
    size_t floats_cap;
};

/* Appends to the file, through a buffer of BLOCK_OUT_BYTES. */
MUST_USE bool block_out_add(struct block_writer *w, struct str s, struct err *e);
MUST_USE bool block_out_flush(struct block_writer *w, struct err *e);
void block_writer_free(struct block_writer *w);

#endif
