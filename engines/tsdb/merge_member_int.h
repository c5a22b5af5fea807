/* One series on its way through a merge (merge_member.c). Private to merge*.c. */
#ifndef ENGINES_TSDB_MERGE_MEMBER_INT_H
#define ENGINES_TSDB_MERGE_MEMBER_INT_H

#include "engines/tsdb/block_file_int.h"
#include "engines/tsdb/merge_int.h"

/* Samples as parallel arrays. Owns them. h and st are written only when has_h, has_st. */
struct merge_cols {
    int64_t *t;
    double *v;
    struct nhist **h;
    int64_t *st;
    size_t t_cap, v_cap, h_cap, st_cap;
    uint32_t from, n; /* samples in use: [from, n) */
    bool has_h, has_st;
};

struct merge_source {
    uint32_t in, col; /* input of the job, its column */
    uint32_t n;
    int64_t min_ms, max_ms;
};

/* Where an input has the column of a series, without looking at its list of ids: writing order
 * jumps about in that, so all of it would be in memory, and every look a miss of the cache. A bit
 * for each id, and the number of bits before each word. */
struct merge_place {
    uint64_t *bits;   /* NULL: few ids, or several columns of one; block_find knows */
    uint32_t *before; /* same length */
    uint32_t hint;    /* last answer of block_find */
};

/* thread: one */
struct merge_member {
    uint32_t ref;
    struct merge_source *sources; /* by min_ms; owns */
    size_t sources_n, sources_cap, next;
    struct merge_cols cols;
    struct arena hists, hists_old; /* what cols.h points to */
    const struct tomb *tombs;
    uint32_t tombs_n;
};

/* What all members share. */
struct merge_work {
    const struct merge_job *job;
    struct block_cursor **cursors; /* one for each input */
    struct merge_place *places;    /* one for each input */
    uint32_t refs_end;             /* ids in the inputs are below this */
    struct merge_cols one, two;    /* a column that overlaps, and the mix */
    uint64_t damaged, dropped;
};

/* Looks at all ids of all inputs once. */
MUST_USE bool merge_places_new(struct merge_work *w, struct err *e);
void merge_places_free(struct merge_work *w);
/* Columns of the series in an input: first index and count; 0 when absent. */
uint32_t merge_place_find(struct merge_work *w, uint32_t in, uint32_t ref, uint32_t *first);

void merge_member_init(struct merge_member *s, struct mem *m);
void merge_member_release(struct merge_member *s, struct mem *m);
void merge_cols_release(struct merge_cols *c, struct mem *m);
/* Finds the series' columns in all inputs; the member is then at its beginning. */
MUST_USE bool merge_member_start(struct merge_member *s, struct merge_work *w, uint32_t ref,
                                 struct err *e);
static inline uint32_t merge_member_left(const struct merge_member *s)
{
    return s->cols.n - s->cols.from;
}
/* Reads on until at least n samples are at hand, or one at or after until_ms, or nothing is left.
 * */
MUST_USE bool merge_member_fill(struct merge_member *s, struct merge_work *w, uint32_t n,
                                int64_t until_ms, struct err *e);

#endif
