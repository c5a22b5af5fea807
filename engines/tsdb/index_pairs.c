/* Names and pairs: texts interned once, found by hash, ranked by text.
 *
 * A pair belongs to one name, which lists its values: a regular expression or != looks at that list
 * only. Ranks make sorting series a comparison of integers; new values get theirs when somebody
 * sorts next (index_rank), by sorting the new ones and merging, so that insertion pays nothing.
 *
 * Ids are 1-based and reused after index_reuse only: nobody holds a pair of a dropped series then.
 *
 * Invariants: a pair in pairs_hash has n > 0, or lost its last series since the last index_reuse.
 * sorted[0..sorted_n) holds the values whose rank is not 0, in order. */
#include "engines/tsdb/index_core_int.h"

#include "base/hash.h"

#include <stdlib.h>

static uint32_t name_hash(struct str name)
{
    return (uint32_t)hash64(name);
}

uint32_t index_pair_hash(uint32_t name, struct str value)
{
    return (uint32_t)hash64_seed(value, name);
}

uint32_t index_name_find(const struct index *x, struct str name)
{
    const struct hash_tab *t = &x->names_hash;
    uint32_t hash = name_hash(name);
    for (size_t i = hash & (t->cap - 1); t->cap > 0 && t->v[i].id != 0;
         i = (i + 1) & (t->cap - 1)) {
        if (t->v[i].hash == hash && str_eq(index_name_text(index_name_at(x, t->v[i].id)), name)) {
            return t->v[i].id;
        }
    }
    return 0;
}

uint32_t index_pair_find(const struct index *x, uint32_t name, struct str value)
{
    const struct hash_tab *t = &x->pairs_hash;
    uint32_t hash = index_pair_hash(name, value);
    for (size_t i = hash & (t->cap - 1); t->cap > 0 && t->v[i].id != 0;
         i = (i + 1) & (t->cap - 1)) {
        if (t->v[i].hash != hash) {
            continue;
        }
        const struct pair *p = index_pair_at(x, t->v[i].id);
        if (p->name == name && str_eq(index_pair_text(p), value)) {
            return t->v[i].id;
        }
    }
    return 0;
}

/* A free id of a table: from the list of freed ones (next_free tells the list's next), else the
 * end. */
static uint32_t id_next(uint32_t free_head, uint32_t end)
{
    return free_head != 0 ? free_head : end;
}

uint32_t index_name_make(struct index *x, struct str name)
{
    uint32_t id = id_next(x->names_free, x->names_end);
    if (!index_tab_grow(x->mem, &x->names, id + 1, sizeof(struct name)) ||
        !index_hash_room(x->mem, &x->names_hash, 1)) {
        return 0;
    }
    char *text = index_slab_take(x->mem, &x->slab, name.n);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, name.p, name.n);
    struct name *n = index_name_at(x, id);
    if (id == x->names_end) {
        x->names_end++;
    } else {
        x->names_free = n->rank; /* where a free name keeps the list */
    }
    *n = (struct name){.text = text, .bytes = (uint32_t)name.n, .removals = n->removals + 1};
    index_hash_add(&x->names_hash, name_hash(name), id);
    x->names_n++;
    x->names_unranked = true;
    return id;
}

uint32_t index_pair_make(struct index *x, uint32_t name, struct str value)
{
    uint32_t id = id_next(x->pairs_free, x->pairs_end);
    struct name *n = index_name_at(x, name);
    void *values = n->values;
    if (!index_tab_grow(x->mem, &x->pairs, id + 1, sizeof(struct pair)) ||
        !index_hash_room(x->mem, &x->pairs_hash, 1) ||
        !mem_array_grow(x->mem, &values, &n->values_cap, (size_t)n->values_n + 1, TAB_IDS_MAX,
                        sizeof *n->values)) {
        return 0;
    }
    n->values = values;
    char *text = index_slab_take(x->mem, &x->slab, value.n);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, value.p, value.n);
    struct pair *p = index_pair_at(x, id);
    if (id == x->pairs_end) {
        x->pairs_end++;
    } else {
        x->pairs_free = p->post.next_free;
    }
    *p = (struct pair){.text = text, .name = name, .bytes = (uint16_t)value.n, .kind = POST_FEW};
    n->values[n->values_n++] = id;
    n->value_bytes += value.n;
    index_hash_add(&x->pairs_hash, index_pair_hash(name, value), id);
    x->pairs_n++;
    x->values_unranked = true;
    return id;
}

/* Takes the pair out of the hash and gives its memory back; its name's lists are the caller's. */
static void pair_free(struct index *x, uint32_t id)
{
    struct pair *p = index_pair_at(x, id);
    ASSERT(p->n == 0);
    index_hash_remove(&x->pairs_hash, index_pair_hash(p->name, index_pair_text(p)), id);
    index_name_at(x, p->name)->value_bytes -= p->bytes;
    index_post_release(x, p);
    index_slab_give(&x->slab, (void *)(uintptr_t)p->text, p->bytes);
    *p = (struct pair){.kind = POST_FREE, .post.next_free = x->pairs_free};
    x->pairs_free = id;
    x->pairs_n--;
}

static void name_free(struct index *x, uint32_t id)
{
    struct name *n = index_name_at(x, id);
    ASSERT(n->values_n == 0);
    ASSERT(n->series == 0);
    index_hash_remove(&x->names_hash, name_hash(index_name_text(n)), id);
    index_slab_give(&x->slab, (void *)(uintptr_t)n->text, n->bytes);
    mem_give(x->mem, n->values, n->values_cap * sizeof *n->values);
    mem_give(x->mem, n->sorted, n->sorted_cap * sizeof *n->sorted);
    *n = (struct name){.rank = x->names_free, .removals = n->removals + 1};
    x->names_free = id;
    x->names_n--;
    x->names_unranked = true;
}

void index_name_unmake(struct index *x, uint32_t name)
{
    name_free(x, name);
}

void index_pair_unmake(struct index *x, uint32_t pair)
{
    struct name *n = index_name_at(x, index_pair_at(x, pair)->name);
    uint32_t name = index_pair_at(x, pair)->name;
    /* It was made a moment ago, so it is the last of its name's values and has no rank. */
    ASSERT(n->values_n > 0 && n->values[n->values_n - 1] == pair);
    n->values_n--;
    n->removals++;
    pair_free(x, pair);
    if (n->values_n == 0) {
        name_free(x, name);
    }
}

static uint32_t keep_used(const struct index *x, uint32_t *v, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (index_pair_at(x, v[i])->n > 0) {
            v[kept++] = v[i];
        }
    }
    return kept;
}

void index_pairs_sweep(struct index *x)
{
    for (uint32_t id = 1; id < x->names_end; id++) {
        struct name *n = index_name_at(x, id);
        if (n->text == NULL) {
            continue;
        }
        uint32_t before = n->values_n;
        n->sorted_n = keep_used(x, n->sorted, n->sorted_n);
        n->values_n = keep_used(x, n->values, n->values_n);
        if (n->values_n != before) {
            n->removals++;
        }
    }
    for (uint32_t id = 1; id < x->pairs_end; id++) {
        const struct pair *p = index_pair_at(x, id);
        if (p->kind != POST_FREE && p->n == 0) {
            pair_free(x, id);
        }
    }
    for (uint32_t id = 1; id < x->names_end; id++) {
        const struct name *n = index_name_at(x, id);
        if (n->text != NULL && n->values_n == 0) {
            name_free(x, id);
        }
    }
}

void index_pairs_release(struct index *x)
{
    for (uint32_t id = 1; id < x->pairs_end; id++) {
        struct pair *p = index_pair_at(x, id);
        if (p->kind != POST_FREE) {
            index_post_release(x, p);
        }
    }
    for (uint32_t id = 1; id < x->names_end; id++) {
        struct name *n = index_name_at(x, id);
        mem_give(x->mem, n->values, n->values_cap * sizeof *n->values);
        mem_give(x->mem, n->sorted, n->sorted_cap * sizeof *n->sorted);
    }
    index_tab_release(x->mem, &x->names, sizeof(struct name));
    index_tab_release(x->mem, &x->pairs, sizeof(struct pair));
    index_hash_release(x->mem, &x->names_hash);
    index_hash_release(x->mem, &x->pairs_hash);
}

static int order_values(const void *a, const void *b, void *arg)
{
    const struct index *x = arg;
    return str_cmp(index_pair_text(index_pair_at(x, *(const uint32_t *)a)),
                   index_pair_text(index_pair_at(x, *(const uint32_t *)b)));
}

static int order_names(const void *a, const void *b, void *arg)
{
    const struct index *x = arg;
    return str_cmp(index_name_text(index_name_at(x, *(const uint32_t *)a)),
                   index_name_text(index_name_at(x, *(const uint32_t *)b)));
}

/* Merges the sorted `fresh` from behind into sorted[0..sorted_n), which has room. */
static void merge_sorted(const struct index *x, struct name *n, const uint32_t *fresh, uint32_t m)
{
    uint32_t i = n->sorted_n;
    uint32_t out = i + m;
    while (m > 0) {
        bool old =
            i > 0 && order_values(&n->sorted[i - 1], &fresh[m - 1], (void *)(uintptr_t)x) > 0;
        n->sorted[--out] = old ? n->sorted[--i] : fresh[--m];
    }
}

static bool name_rank(struct index *x, struct name *n)
{
    uint32_t fresh_n = n->values_n - n->sorted_n;
    size_t bytes = fresh_n * sizeof(uint32_t);
    void *sorted = n->sorted;
    if (!mem_array_grow(x->mem, &sorted, &n->sorted_cap, n->values_n, TAB_IDS_MAX,
                        sizeof *n->sorted)) {
        return false;
    }
    n->sorted = sorted;
    uint32_t *fresh = mem_take(x->mem, bytes);
    if (fresh == NULL) {
        return false;
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < n->values_n; i++) {
        if (index_pair_at(x, n->values[i])->rank == 0) {
            ASSERT(k < fresh_n);
            fresh[k++] = n->values[i];
        }
    }
    qsort_r(fresh, k, sizeof *fresh, order_values, x);
    merge_sorted(x, n, fresh, k);
    mem_give(x->mem, fresh, bytes);
    n->sorted_n += k;
    ASSERT(n->sorted_n == n->values_n);
    for (uint32_t i = 0; i < n->sorted_n; i++) {
        index_pair_at(x, n->sorted[i])->rank = i + 1;
    }
    return true;
}

static bool names_rank(struct index *x)
{
    size_t bytes = x->names_n * sizeof(uint32_t);
    uint32_t *ids = mem_take(x->mem, bytes);
    if (ids == NULL) {
        return false;
    }
    uint32_t n = 0;
    for (uint32_t id = 1; id < x->names_end; id++) {
        if (index_name_at(x, id)->text != NULL) {
            ids[n++] = id;
        }
    }
    ASSERT(n == x->names_n);
    qsort_r(ids, n, sizeof *ids, order_names, x);
    for (uint32_t i = 0; i < n; i++) {
        index_name_at(x, ids[i])->rank = i + 1;
    }
    mem_give(x->mem, ids, bytes);
    x->names_unranked = false;
    return true;
}

bool index_rank(struct index *x)
{
    bool ok = !x->names_unranked || names_rank(x);
    for (uint32_t id = 1; ok && id < x->names_end; id++) {
        struct name *n = index_name_at(x, id);
        if (n->text != NULL && n->sorted_n < n->values_n) {
            ok = name_rank(x, n);
        }
    }
    x->values_unranked = !ok;
    return ok;
}

bool index_lock_ranked(struct index *x)
{
    index_lock_shared(x);
    if (x->names_unranked || x->values_unranked) {
        index_unlock(x);
        index_lock(x);
        (void)index_rank(x); /* asked again below: somebody may add in between, too */
        index_unlock(x);
        index_lock_shared(x);
    }
    return !x->names_unranked && !x->values_unranked;
}
