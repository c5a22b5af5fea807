/* The inside of a view. view.c. */
#ifndef ENGINES_TSDB_VIEW_INT_H
#define ENGINES_TSDB_VIEW_INT_H

#include "engines/tsdb/head_int.h"
#include "engines/tsdb/tsdb_int.h"

/* A generation as the view sees it. */
struct view_gen {
    struct gen *gen; /* shares; NULL = none */
    int64_t min_ms, max_ms;
};

/* Immutable once opened, but for the links (view_mu). */
struct tsdb_view {
    struct tsdb *db;
    uint64_t epoch;
    struct view_gen gens[2]; /* the frozen one first: it is older */
    struct block_list *blocks;
    struct tombs *tombs;
    struct tsdb_view *prev, *next;
};

static inline uint64_t view_epoch(const struct tsdb_view *v)
{
    return v->epoch;
}

/* Whether the view may have samples of series in a range: for selects. hints: one per block. */
struct view_filter {
    const struct tsdb_view *v;
    int64_t from_ms, to_ms;
    uint32_t ref; /* of the question before */
    uint32_t *hints;
};
MUST_USE bool view_filter_init(struct view_filter *f, const struct tsdb_view *v, int64_t from_ms,
                               int64_t to_ms, struct arena *a, struct err *e);
bool view_filter_keep(void *filter, uint32_t ref);

#endif
