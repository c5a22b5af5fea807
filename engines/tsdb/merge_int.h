/* Which blocks to merge, and the merge: few large blocks instead of many small ones, without the
 * deleted and the too old, in bounded memory. Which to retire stands here too (retain.c). */
#ifndef ENGINES_TSDB_MERGE_INT_H
#define ENGINES_TSDB_MERGE_INT_H

#include "engines/tsdb/block_int.h"
#include "engines/tsdb/family_int.h"
#include "engines/tsdb/tombs_int.h"

struct merge_policy {
    int64_t block_ms;         /* span aimed at first */
    int64_t retention_ms;     /* 0 = for ever */
    uint64_t retention_bytes; /* 0 = no bound */
    int64_t now_ms;
    bool all; /* also what is not worth it yet (tsdb_flush with merge) */
};

struct merge_pick {
    uint32_t from, n; /* of the list, which is sorted by seq */
    uint32_t level;   /* of the result */
};
/* b: by seq. false: nothing to merge. Picks are neighbours by seq, so that the result takes their
 * place in the order of age. */
bool merge_pick(const struct block_info *b, uint32_t n, const struct merge_policy *p,
                struct merge_pick *out);

struct merge_job {
    struct mem *mem;
    const struct os *os;
    const char *dir;
    struct block *const *in; /* by seq */
    uint32_t in_n;
    uint64_t id;
    uint32_t level;
    int64_t block_ms;
    int64_t from_ms;                 /* older samples are dropped; INT64_MIN = none */
    const struct tombs *tombs;       /* may be NULL */
    const struct family_ref *family; /* writing order; series that are not in it go last */
    uint32_t family_n;
    bool (*stop)(void *ctx); /* asked now and then; NULL = never. A stopped merge is ERR_BUSY */
    void *stop_ctx;
};
struct merge_result {
    struct block_info info; /* columns 0: nothing was left, and there is no file */
    uint64_t damaged;       /* columns that could not be read and are not in the result */
    uint64_t dropped;       /* samples deleted or too old */
    uint64_t copied;        /* columns that were taken over without decoding */
};
MUST_USE bool merge_run(const struct merge_job *j, struct merge_result *out, struct err *e);

/* At most one merge, or retirement, of a store: takes keep_mu, publishes, counts. */
MUST_USE bool merge_round(struct tsdb *db, bool *did, struct err *e);
/* The same without waiting for windows to be over (tsdb_flush with merge). */
MUST_USE bool merge_round_all(struct tsdb *db, bool *did, struct err *e);
MUST_USE bool retain_round(struct tsdb *db, bool *did, struct err *e);

/* --- retain.c: what is too old or too much ---------------------------------------------------- */

/* How many blocks to retire, and which (indexes into b, ascending, at most n): those that end
 * before now - retention_ms, and then the oldest until the rest fits in retention_bytes. */
uint32_t retain_pick(const struct block_info *b, uint32_t n, const struct merge_policy *p,
                     uint32_t *out);
/* The time before which samples are to be dropped; INT64_MIN = none. */
int64_t retain_from_ms(const struct merge_policy *p);
/* Sets bit ref (of 64-bit words, refs below refs_end) for every series with a column in b. */
void retain_mark(const struct block *b, uint64_t *bits, uint32_t refs_end);

#endif
