/* The series of a store: label pairs interned once, series as lists of pair ids, postings (roaring)
 * by pair, and the matching of selectors. One index for head and blocks: a series has one id
 * wherever its samples are.
 *
 * Writers take the index' lock for the time of one insertion; readers of existing ids (pairs, pair
 * texts) need none, because tables are chunked and never move; selects take it shared.
 *
 * The saved form is the file series-*.bin (index_save.c draws it), plus what the log holds of
 * series defined since. */
#ifndef ENGINES_TSDB_INDEX_INT_H
#define ENGINES_TSDB_INDEX_INT_H

#include "engines/tsdb/tsdb.h"

struct index;

/* m is the index' alone (its cap is the index' cap): nobody else takes from it meanwhile. */
MUST_USE bool index_new(struct mem *m, uint32_t series_max, struct index **out, struct err *e);
void index_free(struct index *x);
void index_series_max(struct index *x, uint32_t series_max);

uint32_t index_source(struct index *x, struct str name, uint32_t series_max);
uint32_t index_source_series(struct index *x, uint32_t source, uint64_t *refused);
/* New series refused at a bound, of all sources. */
uint64_t index_refused(struct index *x);

/* Find or add. *is_new tells; ids are dense from 1 and reused only after index_drop. */
MUST_USE bool index_series(struct index *x, uint32_t source, struct labels ls, uint32_t *out,
                           bool *is_new, struct err *e);
/* Recovery: adds the series with this very id; ERR_CORRUPT when others have the id, or another id
 * the labels. */
MUST_USE bool index_restore(struct index *x, uint32_t ref, uint32_t source, struct labels ls,
                            struct err *e);
/* Recovery: gives no id below end to a new series, because something on disk may still use it whose
 * definition is lost. ERR_LIMIT: no memory. */
MUST_USE bool index_reserve(struct index *x, uint32_t end, struct err *e);
uint32_t index_find(struct index *x, struct labels ls);
bool index_has(const struct index *x, uint32_t ref);
/* 0 when there is no such series; else a number that differs between the owners of an id (it comes
 * round after 65,535 calls of index_reuse), so that (ref, tag) names a series. Lock-free. */
uint16_t index_tag(const struct index *x, uint32_t ref);
uint32_t index_refs_end(const struct index *x); /* ids are below this */
uint32_t index_count(const struct index *x);
uint32_t index_pairs_count(struct index *x); /* distinct (name, value) in use */
/* Forgets series; ids may be given again after index_reuse (when no view can hold them). */
void index_drop(struct index *x, const uint32_t *refs, uint32_t n);
void index_reuse(struct index *x);

const uint32_t *index_pairs(const struct index *x, uint32_t ref, uint32_t *n);
struct label index_pair(const struct index *x, uint32_t pair);
uint32_t index_source_of(const struct index *x, uint32_t ref);
struct labels index_labels(const struct index *x, uint32_t ref, struct arena *a);
/* Position in the order of labels, for sorting: ids a and b, <0 0 >0. */
int index_cmp(const struct index *x, uint32_t a, uint32_t b);

/* Ids that match, ascending by id. keep (may be NULL) filters before the limit is counted; keep is
 * called under the index' lock, so it may use what needs none (index_has, index_pairs, index_pair)
 * and nothing else here. series_max 0 = no bound. */
MUST_USE bool index_select(struct index *x, const struct matcher *m, uint32_t m_n,
                           bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t series_max,
                           struct arena *a, uint32_t **ids, uint32_t *n, struct err *e);
void index_sort(struct index *x, uint32_t *ids, uint32_t n); /* by labels */
MUST_USE bool index_label_names(struct index *x, const struct matcher *m, uint32_t m_n,
                                bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t limit,
                                struct arena *a, struct str **out, uint32_t *n, struct err *e);
MUST_USE bool index_label_values(struct index *x, struct str name, const struct matcher *m,
                                 uint32_t m_n, bool (*keep)(void *ctx, uint32_t ref), void *ctx,
                                 uint32_t limit, struct arena *a, struct str **out, uint32_t *n,
                                 struct err *e);
MUST_USE bool index_top(struct index *x, enum tsdb_top_kind kind, uint32_t limit, struct arena *a,
                        struct tsdb_top **out, uint32_t *n, struct err *e);
uint64_t index_bytes(const struct index *x);

/* The whole table as bytes for a file (about 25 B per series), and back; load validates everything
 * and is fast: 100,000 series in well under 50 ms. */
MUST_USE bool index_save(struct index *x, struct buf *out, struct err *e);
MUST_USE bool index_load(struct index *x, struct str bytes, struct err *e);

#endif
