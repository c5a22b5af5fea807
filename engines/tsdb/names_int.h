/* The cache behind tsdb_names_*: what it is made of is in names.c; struct tsdb only lends its index
 * and its memory.
 *
 * tsdb_names_new stands in the file that knows struct tsdb and draws the seed; names.c defines the
 * other tsdb_names_ functions. */
#ifndef ENGINES_TSDB_NAMES_INT_H
#define ENGINES_TSDB_NAMES_INT_H

#include "engines/tsdb/index_int.h"

/* seed: a secret drawn at random; two names with one hash64 are told apart by it.
 * The cache counts its memory by itself, up to bytes_max, and does not touch a shared struct mem:
 * it belongs to its owner's thread. allow and allow_ctx are those of struct mem (tests), or NULL.
 * Borrows x. */
MUST_USE bool names_new_in(const struct index *x, uint64_t seed, size_t bytes_max,
                           bool (*allow)(void *ctx, size_t bytes), void *allow_ctx,
                           struct tsdb_names **out, struct err *e);
/* For statistics; thread: the owner's. */
size_t names_bytes(const struct tsdb_names *n);
uint32_t names_count(const struct tsdb_names *n);

#endif
