/* The inside of a batch, for the committer and the log. batch.c draws it. */
#ifndef ENGINES_TSDB_BATCH_INT_H
#define ENGINES_TSDB_BATCH_INT_H

#include "base/buf.h"
#include "engines/tsdb/tsdb_int.h"

struct batch_run {
    int64_t t;
    uint32_t first; /* sample; the run ends where the next begins */
    uint32_t kind;  /* enum batch_kind */
};

struct batch_exemplar {
    uint32_t ref;
    int64_t t;
    double v;
    size_t off, bytes; /* of the labels in blob: count, then name and value as str32 each */
};

enum verdict { VERDICT_APPEND, VERDICT_LATE, VERDICT_DUPLICATE, VERDICT_REFUSED };

struct tsdb_batch {
    struct mem *owner; /* gave this struct */
    struct mem mem;    /* of the arrays; its cap is bytes_max */
    struct buf blob;
    uint32_t *refs;
    uint64_t *bits;
    int64_t *st;
    uint8_t *verdict;
    struct batch_run *runs;
    struct batch_exemplar *exemplars;
    size_t refs_cap, bits_cap, st_cap, verdict_cap, runs_cap, exemplars_cap;
    size_t n, runs_n, exemplars_n, hists_n;
    bool has_st;

    /* The committer's, from tsdb_commit to done. */
    struct tsdb_batch *next;
    unsigned flags;
    void (*done)(void *ctx, const struct tsdb_result *r, const struct err *e);
    void *done_ctx;
    size_t bytes; /* counted in the queue */
    struct tsdb_result result;
    bool refused;    /* all or nothing, and something was refused */
    bool clean;      /* every verdict is APPEND */
    uint32_t *taken; /* late samples and blobs made while checking, in order (commit.c) */
    size_t taken_from;
};

static inline size_t batch_run_end(const struct tsdb_batch *b, size_t run)
{
    return run + 1 < b->runs_n ? b->runs[run + 1].first : b->n;
}
size_t tsdb_batch_bytes(const struct tsdb_batch *b);
struct str tsdb_batch_hist(const struct tsdb_batch *b, uint64_t off);

#endif
