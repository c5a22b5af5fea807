/* Names of labels and values of one label, among all series or those that match. */
#include "engines/tsdb/index_core_int.h"

#include <stdlib.h>

static int text_order(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Which pairs have a series that counts. */
struct wanted {
    struct index *x;
    bool (*keep)(void *ctx, uint32_t ref);
    void *ctx;
    uint64_t *seen; /* by pair id; NULL: no matchers, ask each pair */
};

static bool not_kept(void *ctx, uint32_t ref)
{
    const struct wanted *w = ctx;
    return !w->keep(w->ctx, ref);
}

static bool pair_counts(struct wanted *w, uint32_t pair)
{
    if (w->seen != NULL) {
        return w->seen[pair / 64] >> (pair % 64) & 1;
    }
    const struct pair *p = index_pair_at(w->x, pair);
    return p->n > 0 && (w->keep == NULL || !index_post_each(p, not_kept, w));
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "listing labels needs more memory than the query may use");
}

/* lock: shared */
static bool wanted_make(struct wanted *w, const struct matcher *m, uint32_t m_n, struct arena *a,
                        struct err *e)
{
    if (m_n == 0) {
        return true;
    }
    uint32_t *ids;
    uint32_t n;
    if (!index_select_locked(w->x, m, m_n, w->keep, w->ctx, 0, a, &ids, &n, e)) {
        return false;
    }
    w->seen = ARENA_ARRAY(a, uint64_t, (size_t)w->x->pairs_end / 64 + 1);
    if (w->seen == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct series *s = index_series_at(w->x, ids[i]);
        for (uint32_t k = 0; k < s->n; k++) {
            w->seen[s->u.list[k] / 64] |= UINT64_C(1) << (s->u.list[k] % 64);
        }
    }
    return true;
}

static bool name_counts(struct wanted *w, const struct name *n)
{
    if (n->series == 0) {
        return false;
    }
    for (uint32_t i = 0; i < n->values_n; i++) {
        if (pair_counts(w, n->values[i])) {
            return true;
        }
    }
    return false;
}

static bool names_collect(struct wanted *w, struct arena *a, struct str **out, uint32_t *n,
                          struct err *e)
{
    *out = ARENA_ARRAY(a, struct str, (size_t)w->x->names_n + 1);
    if (*out == NULL) {
        return no_memory(e);
    }
    for (uint32_t id = 1; id < w->x->names_end; id++) {
        const struct name *name = index_name_at(w->x, id);
        if (name->text != NULL && name_counts(w, name)) {
            (*out)[(*n)++] = index_name_text(name);
        }
    }
    qsort(*out, *n, sizeof **out, text_order);
    return true;
}

bool index_label_names(struct index *x, const struct matcher *m, uint32_t m_n,
                       bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t limit,
                       struct arena *a, struct str **out, uint32_t *n, struct err *e)
{
    struct wanted w = {.x = x, .keep = keep, .ctx = ctx};
    *out = NULL;
    *n = 0;
    index_lock_shared(x);
    bool ok = wanted_make(&w, m, m_n, a, e) && names_collect(&w, a, out, n, e);
    index_unlock(x);
    if (limit != 0 && *n > limit) {
        *n = limit;
    }
    return ok;
}

/* Values in order of text when ranked, until there are `limit`; else all, to be sorted. */
static bool values_collect(struct wanted *w, const struct name *name, bool ranked, uint32_t limit,
                           struct arena *a, struct str **out, uint32_t *n, struct err *e)
{
    size_t bound = limit != 0 && ranked ? size_min(limit, name->values_n) : name->values_n;
    *out = ARENA_ARRAY(a, struct str, bound + 1);
    if (*out == NULL) {
        return no_memory(e);
    }
    const uint32_t *values = ranked ? name->sorted : name->values;
    for (uint32_t i = 0; i < name->values_n && *n < bound; i++) {
        if (pair_counts(w, values[i])) {
            (*out)[(*n)++] = index_pair_text(index_pair_at(w->x, values[i]));
        }
    }
    if (!ranked) {
        qsort(*out, *n, sizeof **out, text_order);
    }
    return true;
}

bool index_label_values(struct index *x, struct str name, const struct matcher *m, uint32_t m_n,
                        bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t limit,
                        struct arena *a, struct str **out, uint32_t *n, struct err *e)
{
    struct wanted w = {.x = x, .keep = keep, .ctx = ctx};
    *out = NULL;
    *n = 0;
    bool ranked = index_lock_ranked(x);
    bool ok = wanted_make(&w, m, m_n, a, e);
    uint32_t id = ok ? index_name_find(x, name) : 0;
    if (id != 0) {
        const struct name *at = index_name_at(x, id);
        ASSERT(!ranked || at->sorted_n == at->values_n);
        ok = values_collect(&w, at, ranked, limit, a, out, n, e);
    }
    index_unlock(x);
    if (limit != 0 && *n > limit) {
        *n = limit;
    }
    return ok;
}
