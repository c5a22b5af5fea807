/* Deleted intervals of series, durable in the file tombs.bin (tombs.c draws it), until merges have
 * dropped the samples themselves.
 *
 * A deletion concerns what was stored when it was made: blocks with seq up to its own. tsdb_delete
 * therefore flushes the head first, takes the newest block's seq, and later samples of the same
 * series and times are not hidden. A struct tombs is immutable and shared by views; adding makes a
 * new one. thread: any reads; making, _ref and _unref under the lock of m (view_mu in a store). */
#ifndef ENGINES_TSDB_TOMBS_INT_H
#define ENGINES_TSDB_TOMBS_INT_H

#include "base/os.h"
#include "codec/nhist.h"
#include "engines/tsdb/block_int.h"

#define TOMBS_MAX (1U << 22)

struct tsdb;

struct tomb {
    uint32_t ref;
    int64_t from_ms, to_ms; /* both deleted */
    uint64_t seq;
};

struct tombs;

/* Of dir; a missing file is an empty set, a damaged one is ERR_CORRUPT. */
MUST_USE bool tombs_read(struct tombs **out, struct mem *m, const struct os *os, const char *dir,
                         struct err *e);
/* The file's bytes; checks everything. */
MUST_USE bool tombs_decode(struct tombs **out, struct mem *m, struct str bytes, struct err *e);
/* At open, single-threaded: db->tombs from db->dir. A damaged file is renamed to tombs.bad, counted
 * and logged, and then no deletion is known. */
MUST_USE bool tombs_load(struct tsdb *db, struct err *e);
/* old (borrowed, may be NULL) and add, in any order, as a new set; contiguous intervals are joined.
 * */
MUST_USE bool tombs_add(struct tombs **out, struct mem *m, const struct tombs *old,
                        const struct tomb *add, uint32_t n, struct err *e);
/* Those of old for which keep says so. */
MUST_USE bool tombs_keep(struct tombs **out, struct mem *m, const struct tombs *old,
                         bool (*keep)(void *ctx, const struct tomb *t), void *ctx, struct err *e);
/* Durable on return, whole or not at all. m: for the bytes. */
MUST_USE bool tombs_save(const struct tombs *t, struct mem *m, const struct os *os, const char *dir,
                         struct err *e);
struct tombs *tombs_ref(struct tombs *t);
void tombs_unref(struct tombs *t); /* NULL is nothing */
uint32_t tombs_count(const struct tombs *t);
const struct tomb *tombs_at(const struct tombs *t, uint32_t i);
/* Intervals of a series, by time; NULL and 0 when it has none. t may be NULL. O(log n). */
const struct tomb *tombs_of(const struct tombs *t, uint32_t ref, uint32_t *n);
/* Is the sample of a block of that seq deleted? list as from tombs_of. */
bool tombs_hit(const struct tomb *list, uint32_t n, uint64_t seq, int64_t t_ms);
/* Does any interval touch [min_ms, max_ms] of a block of that seq? */
bool tombs_touch(const struct tomb *list, uint32_t n, uint64_t seq, int64_t min_ms, int64_t max_ms);
/* Closes the holes in place and returns the samples left; h and st may be NULL. t_in may be t. */
uint32_t tombs_filter(const struct tomb *list, uint32_t list_n, uint64_t seq, const int64_t *t_in,
                      int64_t *t, double *v, struct nhist **h, int64_t *st, uint32_t n);

#endif
