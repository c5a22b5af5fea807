/* Deleting: intervals of series are marked at once and durably (tombs.c), and their bytes go when
 * merges write the blocks anew, or all of them now (tsdb_clean).
 *
 * A deletion is of what is stored when it is asked for: the head is flushed first, and the mark
 * holds for blocks up to the youngest there is. So the mark needs no times of its own to spare what
 * comes later, and a backfill into a deleted hour is seen.
 *
 * tsdb_clean, so that no crash brings back what was deleted: new blocks, files of the old ones
 * removed, and only then the marks. */
#include "engines/tsdb/round_int.h"
#include "engines/tsdb/tombs_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <errno.h>

#define IDS_BYTES_MAX (1U << 30)

/* Makes t (one reference, consumed) the store's, on disk and then for views. */
static bool tombs_publish(struct tsdb *db, struct tombs *t, struct err *e)
{
    if (tombs_save(t, &db->keep_mem, db->os, db->dir, e)) {
        tsdb_tombs_set(db, t);
        return true;
    }
    pthread_mutex_lock(&db->view_mu);
    tombs_unref(t);
    pthread_mutex_unlock(&db->view_mu);
    return false;
}

static bool tombs_aside(struct tsdb *db, struct err *e)
{
    char from[PATH_BYTES_MAX];
    char to[PATH_BYTES_MAX];
    if (!path_join(from, sizeof from, db->dir, "tombs.bin", e) ||
        !path_join(to, sizeof to, db->dir, "tombs.bad", e)) {
        return false;
    }
    int rc = db->os->rename(db->os->ctx, from, to);
    if (rc != 0) {
        return err_errno(e, rc, "cannot rename '%s' to '%s'", from, to);
    }
    rc = db->os->dirsync(db->os->ctx, db->dir);
    return rc == 0 || err_errno(e, rc, "cannot sync folder '%s'", db->dir);
}

bool tombs_load(struct tsdb *db, struct err *e)
{
    struct err damage = {0};
    if (tombs_read(&db->tombs, &db->view_mem, db->os, db->dir, &damage)) {
        return true;
    }
    if (damage.code != ERR_CORRUPT) {
        return err_set(e, damage.code, "%s", damage.msg);
    }
    db->counters.blocks_damaged++;
    log_line(db->log, LOG_ERROR, "tsdb", "%s: deleted samples may show again", damage.msg);
    return tombs_aside(db, e) && tombs_read(&db->tombs, &db->view_mem, db->os, db->dir, e);
}

/* --- deleting --------------------------------------------------------------------------------- */

static bool has_samples(const struct block_list *l, uint32_t ref, int64_t from_ms, int64_t to_ms)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const struct block *b = l->v[i]->block;
        uint32_t first = 0;
        uint32_t n = block_find(b, ref, 0, &first);
        for (uint32_t k = first; k < first + n; k++) {
            struct block_entry x;
            block_entry(b, k, &x);
            if (x.min_ms <= to_ms && x.max_ms >= from_ms) {
                return true;
            }
        }
    }
    return false;
}

static bool mark(struct tsdb *db, const uint32_t *ids, uint32_t n, const struct tomb *like,
                 const struct block_list *l, uint64_t *series, struct err *e)
{
    size_t bytes = n * sizeof(struct tomb);
    struct tomb *add = mem_take(&db->keep_mem, bytes);
    uint32_t add_n = 0;
    if (add == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to delete of %u series", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (has_samples(l, ids[i], like->from_ms, like->to_ms)) {
            add[add_n] = *like;
            add[add_n++].ref = ids[i];
        }
    }
    struct tombs *t = NULL;
    bool ok = true;
    if (add_n > 0) {
        pthread_mutex_lock(&db->view_mu);
        ok = tombs_add(&t, &db->view_mem, db->tombs, add, add_n, e);
        pthread_mutex_unlock(&db->view_mu);
        ok = ok && tombs_publish(db, t, e);
    }
    mem_give(&db->keep_mem, add, bytes);
    *series = add_n;
    return ok;
}

bool tsdb_delete(struct tsdb *db, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                 int64_t to_ms, uint64_t *series, struct err *e)
{
    struct arena a;
    uint32_t *ids = NULL;
    uint32_t n = 0;
    *series = 0;
    if (from_ms > to_ms) {
        return err_set(e, ERR_INPUT, "an interval that ends at %lld before it begins at %lld",
                       (long long)to_ms, (long long)from_ms);
    }
    if (!tsdb_head_flush(db, e)) {
        return false;
    }
    pthread_mutex_lock(&db->keep_mu);
    struct block_list *l = tsdb_blocks_ref(db);
    struct tomb like = {.from_ms = from_ms, .to_ms = to_ms};
    for (uint32_t i = 0; i < l->n; i++) {
        uint64_t seq = block_info(l->v[i]->block)->seq;
        like.seq = seq > like.seq ? seq : like.seq;
    }
    arena_init(&a, &db->keep_mem, IDS_BYTES_MAX);
    bool ok = index_select(db->index, m, m_n, NULL, NULL, UINT32_MAX, &a, &ids, &n, e) &&
              mark(db, ids, n, &like, l, series, e);
    arena_release(&a);
    tsdb_blocks_unref(db, l);
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}

/* --- cleaning --------------------------------------------------------------------------------- */

static bool block_has_deleted(const struct block *b, const struct tombs *t)
{
    uint64_t seq = block_info(b)->seq;
    uint32_t hint = 0;
    for (uint32_t i = 0; i < tombs_count(t); i++) {
        const struct tomb *x = tombs_at(t, i); /* by ref: the hint is good */
        uint32_t n = seq <= x->seq ? block_find(b, x->ref, hint, &hint) : 0;
        for (uint32_t k = hint; k < hint + n; k++) {
            struct block_entry c;
            block_entry(b, k, &c);
            if (c.min_ms <= x->to_ms && c.max_ms >= x->from_ms) {
                return true;
            }
        }
    }
    return false;
}

/* Writes one block anew without the deleted; the file of the old is gone afterwards. */
static bool clean_block(struct tsdb *db, const struct block_list *l, uint32_t i, struct err *e)
{
    struct merge_result res;
    struct merge_pick pick = {.from = i, .n = 1, .level = block_info(l->v[i]->block)->level};
    return round_merge(db, l, pick, &res, e);
}

static bool clean(struct tsdb *db, const struct block_list *l, struct err *e)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (block_has_deleted(l->v[i]->block, db->tombs) && !clean_block(db, l, i, e)) {
            return false;
        }
    }
    struct tombs *none = NULL;
    pthread_mutex_lock(&db->view_mu);
    bool ok = tombs_add(&none, &db->view_mem, NULL, NULL, 0, e);
    pthread_mutex_unlock(&db->view_mu);
    return ok && tombs_publish(db, none, e);
}

bool tsdb_clean(struct tsdb *db, struct err *e)
{
    pthread_mutex_lock(&db->keep_mu);
    struct block_list *l = tsdb_blocks_ref(db);
    bool ok = tombs_count(db->tombs) == 0 || clean(db, l, e);
    tsdb_blocks_unref(db, l);
    tsdb_blocks_sweep(db);
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}

/* --- forgetting ------------------------------------------------------------------------------- */

static bool still_needed(void *ctx, const struct tomb *t)
{
    const struct block_list *l = ctx;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct block *b = l->v[i]->block;
        uint32_t first = 0;
        uint32_t n = block_info(b)->seq <= t->seq ? block_find(b, t->ref, 0, &first) : 0;
        for (uint32_t k = first; k < first + n; k++) {
            struct block_entry x;
            block_entry(b, k, &x);
            if (x.min_ms <= t->to_ms && x.max_ms >= t->from_ms) {
                return true;
            }
        }
    }
    return false;
}

bool round_tombs_prune(struct tsdb *db, struct err *e)
{
    struct tombs *t = NULL;
    uint32_t before = tombs_count(db->tombs);
    if (before == 0) {
        return true;
    }
    struct block_list *l = tsdb_blocks_ref(db);
    pthread_mutex_lock(&db->view_mu);
    bool ok = tombs_keep(&t, &db->view_mem, db->tombs, still_needed, l, e);
    bool same = ok && tombs_count(t) == before;
    if (same) {
        tombs_unref(t);
    }
    pthread_mutex_unlock(&db->view_mu);
    tsdb_blocks_unref(db, l);
    return ok && (same || tombs_publish(db, t, e));
}
