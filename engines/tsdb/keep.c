/* The block list and what is counted under view_mu: how a new list is published, how what was
 * replaced is kept for the views that read it, and how it goes at last.
 *
 *     db->blocks --> list (refs: 1 + views) --> block_ref (refs: lists) --> block
 *
 * A block whose last list is gone is put on db->idle; closing it unmaps a file and takes keep_mem,
 * so that is left to whoever holds keep_mu next (tsdb_blocks_sweep). */
#include "engines/tsdb/head_int.h"
#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <string.h>

#define BLOCKS_MAX 65536

static size_t list_bytes(uint32_t n)
{
    return sizeof(struct block_list) + n * sizeof(struct block_ref *);
}

uint64_t tsdb_block_number(struct tsdb *db)
{
    return db->block_id_next++;
}

uint64_t tsdb_covered(const struct tsdb *db)
{
    return db->covered;
}

/* -- references -- */

struct block_list *tsdb_blocks_ref(struct tsdb *db)
{
    pthread_mutex_lock(&db->view_mu);
    struct block_list *l = db->blocks;
    l->refs++;
    pthread_mutex_unlock(&db->view_mu);
    return l;
}

/* lock: view_mu */
static void list_unref(struct tsdb *db, struct block_list *l)
{
    ASSERT(l->refs > 0);
    l->refs--;
    if (l->refs > 0) {
        return;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        struct block_ref *r = l->v[i];
        ASSERT(r->refs > 0);
        r->refs--;
        if (r->refs == 0) {
            r->next_idle = db->idle;
            db->idle = r;
        }
    }
    mem_give(&db->view_mem, l, list_bytes(l->n));
}

void tsdb_blocks_unref(struct tsdb *db, struct block_list *l)
{
    pthread_mutex_lock(&db->view_mu);
    list_unref(db, l);
    pthread_mutex_unlock(&db->view_mu);
}

void tsdb_gen_unref(struct tsdb *db, struct gen *g)
{
    if (g == NULL) {
        return;
    }
    pthread_mutex_lock(&db->view_mu);
    ASSERT(g->refs > 0);
    g->refs--;
    bool dead = g->refs == 0;
    pthread_mutex_unlock(&db->view_mu);
    if (dead) {
        gen_free(g);
    }
}

/* -- publishing -- */

static bool is_gone(uint64_t id, const uint64_t *gone, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (gone[i] == id) {
            return true;
        }
    }
    return false;
}

static bool older(const struct block_ref *a, const struct block_ref *b)
{
    const struct block_info *x = block_info(a->block);
    const struct block_info *y = block_info(b->block);
    return x->seq != y->seq ? x->seq < y->seq : x->id < y->id;
}

static void list_put(struct block_list *l, struct block_ref *r)
{
    uint32_t at = l->n;
    while (at > 0 && older(r, l->v[at - 1])) {
        l->v[at] = l->v[at - 1];
        at--;
    }
    l->v[at] = r;
    l->n++;
    r->refs++;
    l->min_ms = i64_min(l->min_ms, block_info(r->block)->min_ms);
    l->max_ms = i64_max(l->max_ms, block_info(r->block)->max_ms);
}

/* A list with room for n blocks and n_new fresh block_refs in it, from the end; NULL without
 * memory. lock: view_mu */
static struct block_list *list_new(struct tsdb *db, uint32_t n, uint32_t n_new)
{
    struct block_list *l = mem_take(&db->view_mem, list_bytes(n));
    if (l == NULL) {
        return NULL;
    }
    l->refs = 1;
    l->min_ms = INT64_MAX;
    l->max_ms = INT64_MIN;
    for (uint32_t i = 0; i < n_new; i++) {
        l->v[n - 1 - i] = mem_take(&db->view_mem, sizeof **l->v);
        if (l->v[n - 1 - i] == NULL) {
            for (uint32_t k = 0; k < i; k++) {
                mem_give(&db->view_mem, l->v[n - 1 - k], sizeof **l->v);
            }
            mem_give(&db->view_mem, l, list_bytes(n));
            return NULL;
        }
    }
    return l;
}

/* lock: view_mu */
static bool replace(struct tsdb *db, const uint64_t *gone, uint32_t gone_n,
                    struct block *const *added, uint32_t added_n, struct err *e)
{
    struct block_list *was = db->blocks;
    uint32_t kept = 0;
    for (uint32_t i = 0; was != NULL && i < was->n; i++) {
        kept += is_gone(block_info(was->v[i]->block)->id, gone, gone_n) ? 0 : 1;
    }
    uint32_t n = kept + added_n;
    struct block_list *l = n <= BLOCKS_MAX ? list_new(db, n, added_n) : NULL;
    if (l == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a list of %u blocks", n);
    }
    struct block_ref *fresh = NULL; /* off the list before it is filled over them */
    for (uint32_t i = 0; i < added_n; i++) {
        l->v[n - 1 - i]->next_idle = fresh;
        fresh = l->v[n - 1 - i];
    }
    for (uint32_t i = 0; was != NULL && i < was->n; i++) {
        if (is_gone(block_info(was->v[i]->block)->id, gone, gone_n)) {
            was->v[i]->doomed = true;
        } else {
            list_put(l, was->v[i]);
        }
    }
    for (uint32_t i = 0; i < added_n; i++) {
        struct block_ref *r = fresh;
        fresh = r->next_idle;
        r->next_idle = NULL;
        r->block = added[i];
        list_put(l, r);
    }
    ASSERT(l->n == n);
    db->blocks = l;
    if (was != NULL) {
        list_unref(db, was);
    }
    return true;
}

bool tsdb_blocks_replace(struct tsdb *db, const uint64_t *gone, uint32_t gone_n,
                         struct block *const *added, uint32_t added_n, struct err *e)
{
    pthread_mutex_lock(&db->view_mu);
    bool ok = replace(db, gone, gone_n, added, added_n, e);
    pthread_mutex_unlock(&db->view_mu);
    return ok;
}

bool tsdb_blocks_flushed(struct tsdb *db, struct block *const *added, uint32_t added_n,
                         struct err *e)
{
    pthread_mutex_lock(&db->view_mu);
    bool ok = replace(db, NULL, 0, added, added_n, e);
    struct gen *g = NULL;
    if (ok) {
        g = db->frozen;
        db->frozen = NULL;
    }
    pthread_mutex_unlock(&db->view_mu);
    tsdb_gen_unref(db, g);
    return ok;
}

void tsdb_blocks_sweep(struct tsdb *db)
{
    pthread_mutex_lock(&db->view_mu);
    struct block_ref *idle = db->idle;
    db->idle = NULL;
    pthread_mutex_unlock(&db->view_mu);
    while (idle != NULL) {
        struct block_ref *r = idle;
        idle = r->next_idle;
        uint64_t id = block_info(r->block)->id;
        block_close(r->block);
        r->block = NULL;
        struct err e = {.code = ERR_NONE};
        if (r->doomed && !block_remove(db->os, db->dir, id, &e)) {
            /* A restart finds it, sees that newer blocks cover it, and merges it away again. */
            log_err(db->log, LOG_WARN, "tsdb", &e);
        }
        pthread_mutex_lock(&db->view_mu);
        mem_give(&db->view_mem, r, sizeof *r);
        pthread_mutex_unlock(&db->view_mu);
    }
}

void tsdb_tombs_set(struct tsdb *db, struct tombs *t)
{
    pthread_mutex_lock(&db->view_mu);
    tombs_unref(db->tombs);
    db->tombs = t;
    pthread_mutex_unlock(&db->view_mu);
}
