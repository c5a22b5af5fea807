/* What the river needs of a pillar: one state per shard, touched by that shard's thread only, and a
 * few functions that see all shards while the river stands still. No locks in pillars.
 *
 * apply never fails: at a bound of its memory a pillar sheds, counts by reason and goes on. */
#ifndef FLOW_PILLAR_H
#define FLOW_PILLAR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "flow/record.h"

struct expo; /* codec/expo.h: the river only passes it on */

struct pillar {
    const char *name; /* "pipeline", "model" */
    void *app; /* configuration and what shards share read-only; borrows, outlives the river */

    void *(*shard_new)(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e);
    void (*shard_free)(void *state);
    /* thread: the shard's. `r->names` is valid for the batch; name ids change from batch to
     * batch. */
    void (*batch_begin)(void *state, const struct record_reader *r);
    void (*apply)(void *state, const struct record *rec, const struct record_reader *r);

    /* All below: river at rest, any thread. states[0..n-1] are the shards in order. */
    void (*tick)(void *app, void *const *states, uint32_t n, int64_t now_ns);
    void (*publish)(void *app, void *const *states, uint32_t n, int64_t now_ns, struct expo *x);
    /* One JSON object: {"state":"ok|warn|crit|none","reasons":[{"code","level","pt","en"}...],
     * ...}. */
    void (*status)(void *app, void *const *states, uint32_t n, int64_t now_ns, struct buf *out);
    /* The saved form does not depend on n: load spreads entries by hash % n. load validates. */
    void (*save)(void *app, void *const *states, uint32_t n, struct buf *out);
    bool (*load)(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e);
};

#endif
