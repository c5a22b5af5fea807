/* One merge, or retirement, of a store: chosen, run and published under keep_mu. The replaced files
 * lose their names at once (views that read them have them open); a crash before that leaves them
 * beside the merged block, which the next open sees by their numbers (block_supersedes). */
#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/round_int.h"
#include "engines/tsdb/tsdb_int.h"

bool round_stop(void *ctx)
{
    struct tsdb *db = ctx;
    pthread_mutex_lock(&db->queue_mu);
    bool stop = db->flusher_stop;
    pthread_mutex_unlock(&db->queue_mu);
    return stop;
}

void round_policy(struct tsdb *db, struct merge_policy *out)
{
    struct tsdb_config c;
    tsdb_config_get(db, &c);
    *out = (struct merge_policy){.block_ms = c.block_ms,
                                 .retention_ms = c.retention_ms,
                                 .retention_bytes = c.retention_bytes,
                                 .now_ms = os_now_ns(db->os) / 1000000};
}

bool round_infos(struct tsdb *db, const struct block_list *l, struct block_info **out,
                 struct err *e)
{
    *out = mem_take(&db->keep_mem, l->n * sizeof **out);
    if (*out == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to look at %u blocks", l->n);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        (*out)[i] = *block_info(l->v[i]->block);
    }
    return true;
}

bool round_family(struct tsdb *db, struct err *e)
{
    return (db->family != NULL || family_new(&db->family, &db->keep_mem, e)) &&
           family_update(db->family, db->index, e);
}

bool round_merge(struct tsdb *db, const struct block_list *l, struct merge_pick pick,
                 struct merge_result *out, struct err *e)
{
    struct block *in[ROUND_BLOCKS_MAX];
    uint64_t gone[ROUND_BLOCKS_MAX];
    struct merge_policy p;
    struct block *made = NULL;
    ASSERT(pick.n <= ROUND_BLOCKS_MAX);
    for (uint32_t i = 0; i < pick.n; i++) {
        in[i] = l->v[pick.from + i]->block;
        gone[i] = block_info(in[i])->id;
    }
    round_policy(db, &p);
    struct merge_job j = {.mem = &db->keep_mem,
                          .os = db->os,
                          .dir = db->dir,
                          .in = in,
                          .in_n = pick.n,
                          .id = tsdb_block_number(db),
                          .level = pick.level,
                          .block_ms = p.block_ms,
                          .from_ms = retain_from_ms(&p),
                          .tombs = db->tombs, /* changes only under keep_mu */
                          .stop = round_stop,
                          .stop_ctx = db};
    if (!round_family(db, e)) {
        return false;
    }
    j.family = family_all(db->family, &j.family_n);
    if (!merge_run(&j, out, e)) {
        return false;
    }
    db->counters.columns_damaged += out->damaged;
    uint32_t made_n = out->info.columns > 0 ? 1 : 0;
    if (made_n > 0 && !block_open(&made, &db->keep_mem, db->os, db->dir, j.id, e)) {
        return false;
    }
    if (!tsdb_blocks_replace(db, gone, pick.n, &made, made_n, e)) {
        uint64_t id = j.id; /* the inputs still hold it all */
        block_close(made);
        struct err again = {0};
        if (!block_remove_all(db->os, db->dir, &id, made_n, &again)) {
            log_err(db->log, LOG_WARN, "tsdb", &again);
        }
        return false;
    }
    return block_remove_all(db->os, db->dir, gone, pick.n, e);
}

static bool merge_one(struct tsdb *db, const struct block_list *l, bool all, bool *did,
                      struct err *e)
{
    struct block_info *infos = NULL;
    struct merge_policy p;
    struct merge_pick pick;
    struct merge_result res;
    round_policy(db, &p);
    p.all = all;
    if (!round_infos(db, l, &infos, e)) {
        return false;
    }
    *did = merge_pick(infos, l->n, &p, &pick);
    mem_give(&db->keep_mem, infos, l->n * sizeof *infos);
    if (!*did) {
        return true;
    }
    int64_t from_ns = os_mono_ns(db->os);
    if (!round_merge(db, l, pick, &res, e)) {
        return false;
    }
    db->counters.merges++;
    db->counters.merge_ns_last = os_mono_ns(db->os) - from_ns;
    return true;
}

static bool round_of(struct tsdb *db, bool all, bool *did, struct err *e)
{
    *did = false;
    pthread_mutex_lock(&db->keep_mu);
    struct block_list *l = tsdb_blocks_ref(db);
    bool ok = merge_one(db, l, all, did, e);
    tsdb_blocks_unref(db, l);
    tsdb_blocks_sweep(db);
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}

bool merge_round(struct tsdb *db, bool *did, struct err *e)
{
    return round_of(db, false, did, e);
}

bool merge_round_all(struct tsdb *db, bool *did, struct err *e)
{
    return round_of(db, true, did, e);
}

/* --- retiring --------------------------------------------------------------------------------- */

static bool retire(struct tsdb *db, const struct block_list *l, const uint32_t *idx, uint32_t n,
                   struct err *e)
{
    uint64_t *gone = mem_take(&db->keep_mem, n * sizeof *gone);
    if (gone == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to retire %u blocks", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        gone[i] = block_info(l->v[idx[i]]->block)->id;
    }
    bool ok = tsdb_blocks_replace(db, gone, n, NULL, 0, e) &&
              block_remove_all(db->os, db->dir, gone, n, e);
    mem_give(&db->keep_mem, gone, n * sizeof *gone);
    return ok;
}

static bool retire_some(struct tsdb *db, const struct block_list *l, bool *did, struct err *e)
{
    struct block_info *infos = NULL;
    struct merge_policy p;
    round_policy(db, &p);
    size_t idx_bytes = l->n * sizeof(uint32_t);
    uint32_t *idx = mem_take(&db->keep_mem, idx_bytes);
    if (idx == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to look at %u blocks", l->n);
    }
    bool ok = round_infos(db, l, &infos, e);
    if (ok) {
        uint32_t n = retain_pick(infos, l->n, &p, idx);
        ok = n == 0 || retire(db, l, idx, n, e);
        *did = ok && n > 0;
        db->counters.retired += ok ? n : 0;
        mem_give(&db->keep_mem, infos, l->n * sizeof *infos);
    }
    mem_give(&db->keep_mem, idx, idx_bytes);
    return ok;
}

bool retain_round(struct tsdb *db, bool *did, struct err *e)
{
    *did = false;
    pthread_mutex_lock(&db->keep_mu);
    struct block_list *l = tsdb_blocks_ref(db);
    bool ok = retire_some(db, l, did, e);
    tsdb_blocks_unref(db, l);
    tsdb_blocks_sweep(db);
    ok = ok && (!*did || round_tombs_prune(db, e));
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}
