/* A source of samples in memory, for tests, the script runner and benchmarks only: series are
 * added, then queried. Small and plain on purpose: what the store answers is compared with it. */
#ifndef ENGINES_PROMQL_TESTING_INT_H
#define ENGINES_PROMQL_TESTING_INT_H

#include "engines/promql/promql.h"

struct memory_source;

/* NULL without memory. */
struct memory_source *memory_source_new(struct mem *m);
void memory_source_free(struct memory_source *s);
/* Labels need not be sorted; an empty value is dropped. The id, 0 without memory. */
uint32_t memory_source_series(struct memory_source *s, struct labels ls);
/* Samples of a series in any order; the same time again replaces. h NULL: a float; st 0: none. */
MUST_USE bool memory_source_add(struct memory_source *s, uint32_t id, int64_t t_ms, int64_t st_ms,
                                double v, const struct nhist *h);
void memory_source_clear(struct memory_source *s);
/* Read-only while queries run: any thread. */
struct promql_source memory_source_of(struct memory_source *s);

#endif
