/* What merging, retiring, deleting and cleaning of a store share (merge_round.c). lock: keep_mu. */
#ifndef ENGINES_TSDB_ROUND_INT_H
#define ENGINES_TSDB_ROUND_INT_H

#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/tsdb_int.h"

#define ROUND_BLOCKS_MAX 64 /* of one merge */

void round_policy(struct tsdb *db, struct merge_policy *out);
/* l->n copies, of keep_mem; the caller gives them back. */
MUST_USE bool round_infos(struct tsdb *db, const struct block_list *l, struct block_info **out,
                          struct err *e);
/* Brings db->family up to date (and makes it). */
MUST_USE bool round_family(struct tsdb *db, struct err *e);
/* Merges the picked blocks of l (the current list) and publishes the result. */
MUST_USE bool round_merge(struct tsdb *db, const struct block_list *l, struct merge_pick pick,
                          struct merge_result *out, struct err *e);
/* For merge_job.stop: the store is closing. ctx: the store. */
bool round_stop(void *ctx);
/* Forgets deletions that no block needs any more. */
MUST_USE bool round_tombs_prune(struct tsdb *db, struct err *e);

#endif
