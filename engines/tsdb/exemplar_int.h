/* Exemplars: a ring of the newest ones over all series. exemplar.c. */
#ifndef ENGINES_TSDB_EXEMPLAR_INT_H
#define ENGINES_TSDB_EXEMPLAR_INT_H

#include "engines/tsdb/tsdb.h"

struct exemplars; /* locks itself */

MUST_USE bool exemplars_new(struct exemplars **out, uint32_t max, struct err *e);
void exemplars_free(struct exemplars *x);
/* Another bound: the newest ones stay. Without memory the old bound stays too. */
void exemplars_max(struct exemplars *x, uint32_t max);
bool exemplars_wanted(struct exemplars *x);
/* Copies. Not stored when it repeats the series' newest; false without memory. epoch: views of an
 * older one do not see it. */
bool exemplars_add(struct exemplars *x, uint64_t epoch, const struct tsdb_exemplar *one);
/* Those of series in ids (ascending) with from <= t <= to that a view of the epoch sees, by series
 * then time. Memory: arena. */
MUST_USE bool exemplars_select(struct exemplars *x, uint64_t epoch, const uint32_t *ids,
                               uint32_t ids_n, int64_t from_ms, int64_t to_ms, struct arena *a,
                               struct tsdb_exemplar **out, uint32_t *n, struct err *e);

#endif
