/* Looking for one sample by its time, for the committer: is a late sample new, a repetition, or a
 * contradiction? And what is the newest time of a series that this run has not seen yet?
 *
 * Rare on live data, frequent while somebody sends an old hour again, so the last column that was
 * decoded is kept: late samples of one series come together. thread: committer. */
#include "engines/tsdb/commit_int.h"

#include "base/hash.h"

#include <string.h>

#define FINDER_HISTS_BYTES_MAX ((size_t)256 << 20)

struct finder {
    struct mem *mem;
    struct block_cursor *cursor;
    struct arena hists;
    struct buf bytes; /* of one histogram */
    /* The column at hand. */
    uint64_t block_id;
    uint32_t column; /* UINT32_MAX = none */
    uint32_t n;
    int64_t *t;
    double *v;
    struct nhist **h;
    int64_t *st;
    bool has_hists;
};

#define FINDER_VALUES (COL_VALUES_MAX + COL_SLACK)

static bool finder_arrays(struct finder *f)
{
    f->t = mem_take(f->mem, FINDER_VALUES * sizeof *f->t);
    f->v = mem_take(f->mem, FINDER_VALUES * sizeof *f->v);
    f->h = mem_take(f->mem, FINDER_VALUES * sizeof *f->h);
    f->st = mem_take(f->mem, FINDER_VALUES * sizeof *f->st);
    f->cursor = block_cursor_new(f->mem);
    return f->t != NULL && f->v != NULL && f->h != NULL && f->st != NULL && f->cursor != NULL;
}

bool finder_new(struct finder **out, struct mem *m)
{
    struct finder *f = mem_take(m, sizeof *f);
    if (f == NULL) {
        return false;
    }
    f->mem = m;
    f->column = UINT32_MAX;
    arena_init(&f->hists, m, FINDER_HISTS_BYTES_MAX);
    buf_init(&f->bytes, m, (size_t)16 << 20);
    if (!finder_arrays(f)) {
        finder_free(f);
        return false;
    }
    *out = f;
    return true;
}

void finder_free(struct finder *f)
{
    if (f == NULL) {
        return;
    }
    block_cursor_free(f->cursor);
    arena_release(&f->hists);
    buf_release(&f->bytes);
    mem_give(f->mem, f->t, FINDER_VALUES * sizeof *f->t);
    mem_give(f->mem, f->v, FINDER_VALUES * sizeof *f->v);
    mem_give(f->mem, f->h, FINDER_VALUES * sizeof *f->h);
    mem_give(f->mem, f->st, FINDER_VALUES * sizeof *f->st);
    mem_give(f->mem, f, sizeof *f);
}

uint64_t find_hist_bits(struct str bytes)
{
    return hash64_seed(bytes, 1);
}

/* -- in a generation -- */

static uint64_t gen_bits(const struct gen *g, unsigned kind, uint64_t stored)
{
    if ((kind & CHUNK_HIST) == 0) {
        return stored;
    }
    return find_hist_bits(gen_blob_str(g, (uint32_t)stored));
}

static bool find_in_gen(const struct gen *g, uint32_t ref, int64_t t_ms, uint64_t *bits)
{
    unsigned kind;
    uint64_t stored;
    if (gen_find(g, ref, t_ms, &kind, &stored)) {
        *bits = gen_bits(g, kind, stored);
        return true;
    }
    const struct late *l = gen_late_find(g, ref, t_ms);
    if (l != NULL) {
        *bits = gen_bits(g, l->kind, l->bits);
        return true;
    }
    return false;
}

/* -- in blocks -- */

static bool column_load(struct finder *f, struct block *b, uint32_t i, const struct block_entry *en)
{
    uint64_t id = block_info(b)->id;
    if (f->column == i && f->block_id == id) {
        return true;
    }
    f->column = UINT32_MAX;
    arena_reset(&f->hists);
    const int64_t *t;
    struct err e = {.code = ERR_NONE};
    if (!block_read(b, f->cursor, i, &t, f->v, f->h, &f->hists, f->st, &e)) {
        return false; /* readers count the damage */
    }
    memcpy(f->t, t, en->n * sizeof *t);
    f->n = en->n;
    f->has_hists = en->has_nhists;
    f->block_id = id;
    f->column = i;
    return true;
}

static bool column_find(struct finder *f, int64_t t_ms, uint64_t *bits)
{
    uint32_t low = 0;
    uint32_t high = f->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (f->t[middle] < t_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == f->n || f->t[low] != t_ms) {
        return false;
    }
    if (f->has_hists && f->h[low] != NULL) {
        buf_reset(&f->bytes);
        nhist_encode(f->h[low], &f->bytes);
        *bits = find_hist_bits(buf_str(&f->bytes));
    } else {
        memcpy(bits, &f->v[low], sizeof *bits);
    }
    return true;
}

/* What is frozen and in blocks, as of one moment: a generation that becomes a block between two
 * looks must not be missed by both. */
static const struct block_list *blocks_of(struct tsdb *db)
{
    struct commit *c = db->commit;
    if (c->blocks == NULL) {
        pthread_mutex_lock(&db->view_mu);
        c->blocks = db->blocks;
        c->blocks->refs++;
        c->frozen = db->frozen;
        if (c->frozen != NULL) {
            c->frozen->refs++;
        }
        pthread_mutex_unlock(&db->view_mu);
    }
    return c->blocks;
}

void find_done(struct tsdb *db)
{
    struct commit *c = db->commit;
    if (c->blocks != NULL) {
        tsdb_blocks_unref(db, c->blocks);
        c->blocks = NULL;
        tsdb_gen_unref(db, c->frozen);
        c->frozen = NULL;
    }
}

static bool find_in_blocks(struct tsdb *db, uint32_t ref, int64_t t_ms, uint64_t *bits)
{
    struct commit *c = db->commit;
    const struct block_list *l = blocks_of(db);
    for (uint32_t k = l->n; k > 0; k--) { /* the newest word counts */
        struct block *b = l->v[k - 1]->block;
        const struct block_info *info = block_info(b);
        if (t_ms < info->min_ms || t_ms > info->max_ms) {
            continue;
        }
        uint32_t first = 0;
        uint32_t n = block_find(b, ref, 0, &first);
        for (uint32_t i = first; i < first + n; i++) {
            struct block_entry en;
            block_entry(b, i, &en);
            if (t_ms < en.min_ms || t_ms > en.max_ms) {
                continue;
            }
            if (c->finder == NULL && !finder_new(&c->finder, &c->mem)) {
                return false; /* without memory to look, a repetition is stored once more */
            }
            if (column_load(c->finder, b, i, &en) && column_find(c->finder, t_ms, bits)) {
                return true;
            }
        }
    }
    return false;
}

/* -- both -- */

bool find_sample(struct tsdb *db, uint32_t ref, int64_t t_ms, bool blocks, uint64_t *bits)
{
    if (find_in_gen(db->active, ref, t_ms, bits)) {
        return true;
    }
    (void)blocks_of(db);
    const struct gen *frozen = db->commit->frozen;
    return (frozen != NULL && find_in_gen(frozen, ref, t_ms, bits)) ||
           (blocks && find_in_blocks(db, ref, t_ms, bits));
}

bool find_newest(struct tsdb *db, uint32_t ref, int64_t *t_ms)
{
    const struct block_list *l = blocks_of(db);
    int64_t newest = NO_TIME;
    for (uint32_t k = 0; k < l->n; k++) {
        struct block *b = l->v[k]->block;
        uint32_t first = 0;
        uint32_t n = block_info(b)->max_ms > newest ? block_find(b, ref, 0, &first) : 0;
        for (uint32_t i = first; n > 0 && i < first + n; i++) {
            struct block_entry en;
            block_entry(b, i, &en);
            newest = i64_max(newest, en.max_ms);
        }
    }
    *t_ms = newest;
    return newest != NO_TIME;
}
