/* Views: what could be seen at one moment, and the questions about series that are asked of one.
 *
 * Opening takes view_mu, which the committer holds while it applies one batch, and copies a few
 * pointers; nothing else here takes a lock of the writers. The index is not part of the moment: a
 * series that was defined later can be selected when no range is given, but has no samples. */
#include "engines/tsdb/view_int.h"

#include "engines/tsdb/exemplar_int.h"
#include "engines/tsdb/merge_int.h"

#include <string.h>

/* -- life -- */

static struct view_gen gen_ref(struct gen *g)
{
    if (g == NULL) {
        return (struct view_gen){.gen = NULL, .min_ms = INT64_MAX, .max_ms = INT64_MIN};
    }
    g->refs++;
    return (struct view_gen){g, g->min_ms, g->max_ms};
}

bool tsdb_view_open(struct tsdb *db, struct tsdb_view **out, struct err *e)
{
    pthread_mutex_lock(&db->view_mu);
    struct tsdb_view *v = mem_take(&db->view_mem, sizeof *v);
    if (v != NULL) {
        v->db = db;
        v->epoch = db->epoch;
        v->gens[0] = gen_ref(db->frozen);
        v->gens[1] = gen_ref(db->active);
        v->blocks = db->blocks;
        v->blocks->refs++;
        v->tombs = db->tombs != NULL ? tombs_ref(db->tombs) : NULL;
        v->prev = db->views_last;
        *(v->prev != NULL ? &v->prev->next : &db->views_first) = v;
        db->views_last = v;
    }
    pthread_mutex_unlock(&db->view_mu);
    *out = v;
    return v != NULL || err_set(e, ERR_NOMEM, "no memory for a view");
}

void tsdb_view_close(struct tsdb_view *v)
{
    if (v == NULL) {
        return;
    }
    struct tsdb *db = v->db;
    struct gen *gens[2] = {v->gens[0].gen, v->gens[1].gen};
    struct block_list *blocks = v->blocks;
    pthread_mutex_lock(&db->view_mu);
    *(v->prev != NULL ? &v->prev->next : &db->views_first) = v->next;
    *(v->next != NULL ? &v->next->prev : &db->views_last) = v->prev;
    tombs_unref(v->tombs);
    mem_give(&db->view_mem, v, sizeof *v);
    pthread_mutex_unlock(&db->view_mu);
    tsdb_gen_unref(db, gens[0]);
    tsdb_gen_unref(db, gens[1]);
    tsdb_blocks_unref(db, blocks);
}

struct block_list *tsdb_view_blocks(const struct tsdb_view *v)
{
    return v->blocks;
}

/* -- bounds of one series -- */

static void widen(int64_t *min_ms, int64_t *max_ms, int64_t from, int64_t to)
{
    *min_ms = i64_min(*min_ms, from);
    *max_ms = i64_max(*max_ms, to);
}

static void gen_bounds(const struct gen *g, uint32_t ref, uint64_t epoch, int64_t *min_ms,
                       int64_t *max_ms)
{
    uint32_t n = gen_count(g, ref, epoch);
    const struct slot_page *p = gen_slot_page(g, ref);
    if (p == NULL) {
        return;
    }
    const struct slot *s = &p->slots[ref % SLOTS_PER_PAGE];
    uint32_t at = n > 0 ? atomic_load_explicit(&s->chunk, memory_order_acquire) : 0;
    while (at != 0) {
        const struct chunk *c = gen_at(g, at);
        const struct time_col *col = gen_at(g, c->col);
        if (c->base < n) {
            widen(min_ms, max_ms, col->t[c->start], col->t[c->start + (n - c->base) - 1]);
            n = c->base;
        }
        at = c->prev;
    }
    at = atomic_load_explicit(&s->late, memory_order_acquire);
    while (at != 0) {
        const struct late *l = gen_at(g, at);
        if (l->epoch <= epoch) {
            widen(min_ms, max_ms, l->t, l->t);
        }
        at = l->next;
    }
}

bool tsdb_view_bounds(const struct tsdb_view *v, uint32_t ref, int64_t *min_ms, int64_t *max_ms)
{
    *min_ms = INT64_MAX;
    *max_ms = INT64_MIN;
    for (size_t k = 0; k < 2; k++) {
        if (v->gens[k].gen != NULL) {
            gen_bounds(v->gens[k].gen, ref, v->epoch, min_ms, max_ms);
        }
    }
    for (uint32_t k = 0; k < v->blocks->n; k++) {
        uint32_t first = 0;
        uint32_t n = block_find(v->blocks->v[k]->block, ref, 0, &first);
        for (uint32_t i = first; n > 0 && i < first + n; i++) {
            struct block_entry en;
            block_entry(v->blocks->v[k]->block, i, &en);
            widen(min_ms, max_ms, en.min_ms, en.max_ms);
        }
    }
    return *min_ms <= *max_ms;
}

/* -- which series -- */

bool view_filter_init(struct view_filter *f, const struct tsdb_view *v, int64_t from_ms,
                      int64_t to_ms, struct arena *a, struct err *e)
{
    *f = (struct view_filter){.v = v, .from_ms = from_ms, .to_ms = to_ms};
    f->hints = ARENA_ARRAY(a, uint32_t, v->blocks->n);
    return f->hints != NULL || err_set(e, ERR_LIMIT, "the query may not use more memory");
}

static bool block_may(struct view_filter *f, uint32_t k, uint32_t ref)
{
    struct block *b = f->v->blocks->v[k]->block;
    const struct block_info *info = block_info(b);
    if (info->min_ms > f->to_ms || info->max_ms < f->from_ms) {
        return false;
    }
    uint32_t first = 0;
    uint32_t n = block_find(b, ref, f->hints[k], &first);
    if (n > 0) {
        f->hints[k] = first;
    }
    for (uint32_t i = first; n > 0 && i < first + n; i++) {
        struct block_entry en;
        block_entry(b, i, &en);
        if (en.min_ms <= f->to_ms && en.max_ms >= f->from_ms) {
            return true;
        }
    }
    return false;
}

bool view_filter_keep(void *filter, uint32_t ref)
{
    struct view_filter *f = filter;
    const struct tsdb_view *v = f->v;
    for (size_t k = 2; k > 0; k--) {
        const struct view_gen *g = &v->gens[k - 1];
        if (g->gen != NULL && g->min_ms <= f->to_ms && g->max_ms >= f->from_ms &&
            (gen_count(g->gen, ref, v->epoch) > 0 || gen_has_late(g->gen, ref, v->epoch))) {
            return true;
        }
    }
    if (ref < f->ref) { /* hints are for walks upward */
        memset(f->hints, 0, v->blocks->n * sizeof *f->hints);
    }
    f->ref = ref;
    for (uint32_t k = v->blocks->n; k > 0; k--) {
        if (block_may(f, k - 1, ref)) {
            return true;
        }
    }
    return false;
}

bool tsdb_select(struct tsdb_view *v, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                 int64_t to_ms, uint32_t series_max, bool sorted, struct arena *a, uint32_t **ids,
                 uint32_t *n, struct err *e)
{
    struct view_filter f;
    if (!view_filter_init(&f, v, from_ms, to_ms, a, e) ||
        !index_select(v->db->index, m, m_n, from_ms <= to_ms ? view_filter_keep : NULL, &f,
                      series_max, a, ids, n, e)) {
        return false;
    }
    if (sorted) {
        index_sort(v->db->index, *ids, *n);
    }
    return true;
}

bool tsdb_label_names(struct tsdb_view *v, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                      int64_t to_ms, uint32_t limit, struct arena *a, struct str **out, uint32_t *n,
                      struct err *e)
{
    struct view_filter f;
    return view_filter_init(&f, v, from_ms, to_ms, a, e) &&
           index_label_names(v->db->index, m, m_n, from_ms <= to_ms ? view_filter_keep : NULL, &f,
                             limit, a, out, n, e);
}

bool tsdb_label_values(struct tsdb_view *v, struct str name, const struct matcher *m, uint32_t m_n,
                       int64_t from_ms, int64_t to_ms, uint32_t limit, struct arena *a,
                       struct str **out, uint32_t *n, struct err *e)
{
    struct view_filter f;
    return view_filter_init(&f, v, from_ms, to_ms, a, e) &&
           index_label_values(v->db->index, name, m, m_n,
                              from_ms <= to_ms ? view_filter_keep : NULL, &f, limit, a, out, n, e);
}

bool tsdb_exemplars(struct tsdb_view *v, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                    int64_t to_ms, struct arena *a, struct tsdb_exemplar **out, uint32_t *n,
                    struct err *e)
{
    uint32_t *ids;
    uint32_t ids_n;
    return index_select(v->db->index, m, m_n, NULL, NULL, UINT32_MAX, a, &ids, &ids_n, e) &&
           exemplars_select(v->db->exemplars, v->epoch, ids, ids_n, from_ms, to_ms, a, out, n, e);
}

/* -- labels -- */

const uint32_t *tsdb_pairs(struct tsdb_view *v, uint32_t ref, uint32_t *n)
{
    return index_pairs(v->db->index, ref, n);
}

struct label tsdb_pair(struct tsdb_view *v, uint32_t pair)
{
    return index_pair(v->db->index, pair);
}

struct labels tsdb_labels(struct tsdb_view *v, uint32_t ref, struct arena *a)
{
    return index_labels(v->db->index, ref, a);
}

bool tsdb_top(struct tsdb_view *v, enum tsdb_top_kind kind, uint32_t limit, struct arena *a,
              struct tsdb_top **out, uint32_t *n, struct err *e)
{
    return index_top(v->db->index, kind, limit, a, out, n, e);
}
