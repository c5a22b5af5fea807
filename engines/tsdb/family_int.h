/* The order in which series are written into blocks: by metric and labels, the _count of
 * one histogram and then its buckets by falling bound, so that columns can be coded against their
 * neighbours and a query reads what lies together.
 *
 * The order of all series is kept and brought up to date, not sorted anew: sorting 100,000 label
 * sets takes a tenth of a second. 12 bytes per series. thread: one (the flusher). */
#ifndef ENGINES_TSDB_FAMILY_INT_H
#define ENGINES_TSDB_FAMILY_INT_H

#include "engines/tsdb/index_int.h"

struct family_ref {
    uint32_t ref;
    uint32_t family; /* for block_column.family; 0 = none */
};

struct family;
MUST_USE bool family_new(struct family **out, struct mem *m, struct err *e);
void family_free(struct family *f);
/* Everything is forgotten: after index_drop or index_reuse, when ids may mean other series. */
void family_reset(struct family *f);
/* Takes in the series that the index has got since. O(all + new log new). */
MUST_USE bool family_update(struct family *f, struct index *x, struct err *e);
/* All series known, in writing order; borrows f until the next update. */
const struct family_ref *family_all(const struct family *f, uint32_t *n);

#endif
