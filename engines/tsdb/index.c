/* The index: label sets to series ids and back.
 *
 *     label set --names, pairs--> list of pair ids --hash--> series id
 *                                      |
 *                                      +-- each pair: postings, for selectors
 *
 * An insertion first makes sure of all the memory that it needs, taking back the pairs it made when
 * there is none, and then changes everything: no series is ever half there.
 *
 * A dropped series leaves hash and postings at once, so nobody finds it again, while its list and
 * pairs stay for views that still hold the id, until index_reuse.
 *
 * Life of an id: NONE --put--> LIVE --drop--> DROPPED --reuse--> FREE --put--> LIVE. An id that
 * recovery skipped stays NONE for good: blocks may hold samples of a series whose definition was
 * lost, and nobody else must inherit them. */
#include "engines/tsdb/index_core_int.h"

#include "base/hash.h"

#define SOURCES_MAX 65535
#define GAP_MAX     (UINT32_C(1) << 24) /* ids are dense: a jump this far is damage */

void index_lock_shared(struct index *x)
{
    ASSERT(pthread_rwlock_rdlock(&x->mu) == 0);
}

void index_lock(struct index *x)
{
    ASSERT(pthread_rwlock_wrlock(&x->mu) == 0);
}

void index_unlock(struct index *x)
{
    ASSERT(pthread_rwlock_unlock(&x->mu) == 0);
}

/* Selects come in crowds; an insertion must not wait until none is left. */
static bool lock_make(pthread_rwlock_t *mu)
{
    pthread_rwlockattr_t a;
    if (pthread_rwlockattr_init(&a) != 0) {
        return false;
    }
    bool ok =
        pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0 &&
        pthread_rwlock_init(mu, &a) == 0;
    pthread_rwlockattr_destroy(&a);
    return ok;
}

bool index_new(struct mem *m, uint32_t series_max, struct index **out, struct err *e)
{
    *out = NULL;
    struct index *x = mem_take(m, sizeof *x);
    if (x == NULL || !lock_make(&x->mu)) {
        mem_give(m, x, sizeof *x);
        return err_set(e, ERR_NOMEM, "no memory for the index");
    }
    x->mem = m;
    x->series_max = series_max;
    x->names_end = 1;
    x->pairs_end = 1;
    x->series_end = 1;
    x->tag = 1;
    uint32_t other;
    x->regexes = index_regexes_new();
    if (x->regexes == NULL || !index_source_put(x, STR("other"), &other)) {
        index_free(x);
        return err_set(e, ERR_NOMEM, "no memory for the index");
    }
    *out = x;
    return true;
}

static void sources_release(struct index *x)
{
    for (uint32_t i = 0; i < x->sources_n; i++) {
        mem_give(x->mem, x->sources[i].text, x->sources[i].bytes);
    }
    mem_give(x->mem, x->sources, x->sources_cap * sizeof *x->sources);
    x->sources = NULL;
    x->sources_cap = 0;
    x->sources_n = 0;
}

static void tables_release(struct index *x)
{
    index_pairs_release(x);
    index_tab_release(x->mem, &x->series, sizeof(struct series));
    index_hash_release(x->mem, &x->series_hash);
    index_slab_release(x->mem, &x->slab);
    ASSERT(x->map_bytes == 0);
}

void index_free(struct index *x)
{
    if (x == NULL) {
        return;
    }
    tables_release(x);
    sources_release(x);
    index_regexes_free(x->regexes);
    pthread_rwlock_destroy(&x->mu);
    mem_give(x->mem, x, sizeof *x);
}

void index_clear(struct index *x)
{
    tables_release(x);
    x->names_end = 1;
    x->pairs_end = 1;
    x->series_end = 1;
    x->count = 0;
    x->names_free = 0;
    x->pairs_free = 0;
    x->series_free = 0;
    x->names_n = 0;
    x->pairs_n = 0;
    x->dropped = 0;
    x->names_unranked = false;
    x->values_unranked = false;
    for (uint32_t i = 0; i < x->sources_n; i++) {
        x->sources[i].series = 0;
    }
}

void index_series_max(struct index *x, uint32_t series_max)
{
    index_lock(x);
    x->series_max = series_max;
    index_unlock(x);
}

/* --- sources ---------------------------------------------------------------------------------- */

static uint32_t source_find(const struct index *x, struct str name)
{
    for (uint32_t i = 0; i < x->sources_n; i++) {
        if (str_eq(str_of(x->sources[i].text, x->sources[i].bytes), name)) {
            return i;
        }
    }
    return x->sources_n;
}

bool index_source_put(struct index *x, struct str name, uint32_t *out)
{
    *out = source_find(x, name);
    if (*out < x->sources_n) {
        return true;
    }
    void *sources = x->sources;
    if (!mem_array_grow(x->mem, &sources, &x->sources_cap, (size_t)x->sources_n + 1, SOURCES_MAX,
                        sizeof *x->sources)) {
        return false;
    }
    x->sources = sources;
    char *text = mem_take(x->mem, name.n);
    if (text == NULL) {
        return false;
    }
    if (name.n > 0) {
        memcpy(text, name.p, name.n);
    }
    x->sources[x->sources_n++] = (struct source){.text = text, .bytes = name.n};
    return true;
}

uint32_t index_source(struct index *x, struct str name, uint32_t series_max)
{
    index_lock(x);
    uint32_t id;
    if (index_source_put(x, name, &id)) {
        x->sources[id].series_max = series_max;
    } else {
        id = 0;
    }
    index_unlock(x);
    return id;
}

uint32_t index_source_series(struct index *x, uint32_t source, uint64_t *refused)
{
    index_lock_shared(x);
    bool known = source < x->sources_n;
    uint32_t n = known ? x->sources[source].series : 0;
    if (refused != NULL) {
        *refused = known ? x->sources[source].refused : 0;
    }
    index_unlock(x);
    return n;
}

uint64_t index_refused(struct index *x)
{
    uint64_t n = 0;
    index_lock_shared(x);
    for (uint32_t i = 0; i < x->sources_n; i++) {
        n += x->sources[i].refused;
    }
    index_unlock(x);
    return n;
}

/* --- series ----------------------------------------------------------------------------------- */

uint32_t index_list_hash(const uint32_t *list, uint32_t n)
{
    return (uint32_t)hash64(str_of((const char *)list, n * sizeof *list));
}

uint32_t index_list_find(const struct index *x, const uint32_t *list, uint32_t n, uint32_t hash)
{
    const struct hash_tab *t = &x->series_hash;
    for (size_t i = hash & (t->cap - 1); t->cap > 0 && t->v[i].id != 0;
         i = (i + 1) & (t->cap - 1)) {
        if (t->v[i].hash != hash) {
            continue;
        }
        const struct series *s = index_series_at(x, t->v[i].id);
        if (s->n == n && memcmp(s->u.list, list, n * sizeof *list) == 0) {
            return t->v[i].id;
        }
    }
    return 0;
}

/* The pairs of ls, as far as all are known; false: one is not, so no series has this set. */
static bool list_of(const struct index *x, struct labels ls, uint32_t *list)
{
    for (uint32_t i = 0; i < ls.n; i++) {
        uint32_t name = index_name_find(x, ls.v[i].name);
        list[i] = name != 0 ? index_pair_find(x, name, ls.v[i].value) : 0;
        if (list[i] == 0) {
            return false;
        }
    }
    return true;
}

static uint32_t series_find(const struct index *x, struct labels ls)
{
    uint32_t list[LABELS_COUNT_MAX];
    return ls.n <= LABELS_COUNT_MAX && list_of(x, ls, list)
               ? index_list_find(x, list, ls.n, index_list_hash(list, ls.n))
               : 0;
}

static bool labels_check(struct labels ls, struct err *e)
{
    if (ls.n == 0 || ls.n > LABELS_COUNT_MAX) {
        return err_set(e, ERR_INPUT, "a series has %u labels, expected 1 to %d", ls.n,
                       LABELS_COUNT_MAX);
    }
    for (uint32_t i = 0; i < ls.n; i++) {
        const struct label *l = &ls.v[i];
        bool bounds = l->name.n > 0 && l->name.n <= LABEL_BYTES_MAX && l->value.n > 0 &&
                      l->value.n <= LABEL_BYTES_MAX;
        if (!bounds) {
            return err_set(e, ERR_INPUT, "label '%.*s' has %zu bytes of value, expected 1 to %d",
                           STR_FMT(str_sub(l->name, 0, 64)), l->value.n, LABEL_BYTES_MAX);
        }
        if (i > 0 && str_cmp(ls.v[i - 1].name, l->name) >= 0) {
            return err_set(e, ERR_INPUT, "label '%.*s' is out of order",
                           STR_FMT(str_sub(l->name, 0, 64)));
        }
    }
    return true;
}

static uint32_t pair_intern(struct index *x, struct label l, bool *made)
{
    uint32_t name = index_name_find(x, l.name);
    uint32_t pair = name != 0 ? index_pair_find(x, name, l.value) : 0;
    *made = pair == 0;
    if (pair != 0) {
        return pair;
    }
    bool name_made = name == 0;
    name = name_made ? index_name_make(x, l.name) : name;
    pair = name != 0 ? index_pair_make(x, name, l.value) : 0;
    if (pair == 0 && name_made && name != 0) {
        index_name_unmake(x, name);
    }
    return pair;
}

/* The list of ls with what is new interned; made[] tells which. false: no memory, nothing made. */
static bool list_make(struct index *x, struct labels ls, uint32_t *list, bool *made)
{
    for (uint32_t i = 0; i < ls.n; i++) {
        list[i] = pair_intern(x, ls.v[i], &made[i]);
        if (list[i] == 0) {
            while (i-- > 0) {
                if (made[i]) {
                    index_pair_unmake(x, list[i]);
                }
            }
            return false;
        }
    }
    return true;
}

bool index_series_put(struct index *x, uint32_t ref, uint32_t source, const uint32_t *list,
                      uint32_t n, struct err *e)
{
    size_t bytes = n * sizeof *list;
    bool room = index_tab_grow(x->mem, &x->series, ref + 1, sizeof(struct series)) &&
                index_hash_room(x->mem, &x->series_hash, 1);
    for (uint32_t i = 0; room && i < n; i++) {
        room = index_post_reserve(x, index_pair_at(x, list[i]));
    }
    uint32_t *own = room ? index_slab_take(x->mem, &x->slab, bytes) : NULL;
    if (own == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for another series, %zu bytes are taken",
                       x->mem->bytes);
    }
    memcpy(own, list, bytes);
    for (uint32_t i = 0; i < n; i++) {
        struct pair *p = index_pair_at(x, list[i]);
        index_post_add(x, p, ref);
        index_name_at(x, p->name)->series++;
    }
    index_hash_add(&x->series_hash, index_list_hash(list, n), ref);
    struct series *s = index_series_at(x, ref);
    s->u.list = own;
    s->n = (uint16_t)n;
    s->source = (uint16_t)source;
    s->state = SERIES_LIVE;
    atomic_store_explicit(&s->tag, x->tag, memory_order_release);
    x->sources[source].series++;
    atomic_store_explicit(&x->count, x->count + 1, memory_order_relaxed);
    if (ref >= x->series_end) {
        atomic_store_explicit(&x->series_end, ref + 1, memory_order_release);
    }
    return true;
}

static bool series_add(struct index *x, uint32_t ref, uint32_t source, struct labels ls,
                       struct err *e)
{
    uint32_t list[LABELS_COUNT_MAX] = {0};
    bool made[LABELS_COUNT_MAX] = {false};
    if (!list_make(x, ls, list, made)) {
        return err_set(e, ERR_LIMIT,
                       "no memory for the labels of another series, %zu bytes are taken",
                       x->mem->bytes);
    }
    if (index_series_put(x, ref, source, list, ls.n, e)) {
        return true;
    }
    for (uint32_t i = ls.n; i-- > 0;) {
        if (made[i]) {
            index_pair_unmake(x, list[i]);
        }
    }
    return false;
}

static bool bounds_allow(struct index *x, uint32_t source, struct err *e)
{
    struct source *s = &x->sources[source];
    bool own = s->series_max == TSDB_SERIES_OWN;
    if (!own && x->series_max != 0 && x->count >= x->series_max) {
        s->refused++;
        return err_set(e, ERR_LIMIT, "the store holds %u series, at most %u", x->count,
                       x->series_max);
    }
    if (s->series_max != 0 && s->series >= s->series_max) {
        s->refused++;
        return err_set(e, ERR_LIMIT, "source '%.*s' has %u series, at most %u",
                       STR_FMT(str_of(s->text, size_min(s->bytes, 64))), s->series, s->series_max);
    }
    if (x->series_free == 0 && x->series_end >= TAB_IDS_MAX) {
        s->refused++;
        return err_set(e, ERR_LIMIT, "all %u series ids are taken", TAB_IDS_MAX);
    }
    return true;
}

static bool series_insert(struct index *x, uint32_t source, struct labels ls, uint32_t *out,
                          struct err *e)
{
    source = source < x->sources_n ? source : 0;
    if (!bounds_allow(x, source, e)) {
        return false;
    }
    uint32_t ref = x->series_free != 0 ? x->series_free : x->series_end;
    uint32_t next = x->series_free != 0 ? index_series_at(x, ref)->u.next_free : 0;
    if (!series_add(x, ref, source, ls, e)) {
        x->sources[source].refused++;
        return false;
    }
    x->series_free = next;
    *out = ref;
    return true;
}

bool index_series(struct index *x, uint32_t source, struct labels ls, uint32_t *out, bool *is_new,
                  struct err *e)
{
    *is_new = false;
    *out = 0;
    index_lock_shared(x);
    uint32_t ref = series_find(x, ls);
    index_unlock(x);
    if (ref != 0) {
        *out = ref;
        return true;
    }
    if (!labels_check(ls, e)) {
        return false;
    }
    index_lock(x);
    ref = series_find(x, ls); /* somebody else may have come first */
    bool ok = ref != 0;
    if (!ok) {
        ok = series_insert(x, source, ls, &ref, e);
        *is_new = ok;
    }
    index_unlock(x);
    *out = ok ? ref : 0;
    return ok;
}

/* Takes ref out of the list of free ids. Recovery only: O(free ids). */
static void free_list_remove(struct index *x, uint32_t ref)
{
    uint32_t *at = &x->series_free;
    while (*at != ref) {
        ASSERT(*at != 0);
        at = &index_series_at(x, *at)->u.next_free;
    }
    *at = index_series_at(x, ref)->u.next_free;
}

static bool restore_locked(struct index *x, uint32_t ref, uint32_t source, struct labels ls,
                           struct err *e)
{
    uint32_t found = series_find(x, ls);
    if (found == ref) {
        return true;
    }
    uint8_t state = ref < x->series_end ? index_series_at(x, ref)->state : SERIES_NONE;
    if (found != 0 || state == SERIES_LIVE || state == SERIES_DROPPED) {
        return err_set(e, ERR_CORRUPT, "series id %u is defined again, its labels have id %u", ref,
                       found);
    }
    if (state == SERIES_FREE) {
        free_list_remove(x, ref);
    }
    if (series_add(x, ref, source < x->sources_n ? source : 0, ls, e)) {
        return true;
    }
    if (state == SERIES_FREE) {
        index_series_at(x, ref)->u.next_free = x->series_free;
        x->series_free = ref;
    }
    return false;
}

bool index_restore(struct index *x, uint32_t ref, uint32_t source, struct labels ls, struct err *e)
{
    if (ref == 0 || ref >= TAB_IDS_MAX || ref - 1 > index_refs_end(x) + GAP_MAX) {
        return err_set(e, ERR_CORRUPT, "series id %u is out of range", ref);
    }
    if (!labels_check(ls, e)) {
        if (e != NULL) {
            e->code = ERR_CORRUPT;
        }
        return false;
    }
    index_lock(x);
    bool ok = restore_locked(x, ref, source, ls, e);
    index_unlock(x);
    return ok;
}

bool index_reserve(struct index *x, uint32_t end, struct err *e)
{
    index_lock(x);
    bool ok = end <= TAB_IDS_MAX && index_tab_grow(x->mem, &x->series, end, sizeof(struct series));
    if (ok && end > x->series_end) {
        atomic_store_explicit(&x->series_end, end, memory_order_release);
    }
    index_unlock(x);
    return ok || err_set(e, ERR_LIMIT, "no memory to keep %u series ids from being used", end);
}

uint32_t index_find(struct index *x, struct labels ls)
{
    index_lock_shared(x);
    uint32_t ref = series_find(x, ls);
    index_unlock(x);
    return ref;
}

uint32_t index_refs_end(const struct index *x)
{
    return atomic_load_explicit(&x->series_end, memory_order_acquire);
}

uint32_t index_count(const struct index *x)
{
    return atomic_load_explicit(&x->count, memory_order_relaxed);
}

uint32_t index_pairs_count(struct index *x)
{
    index_lock_shared(x);
    uint32_t n = x->pairs_n;
    index_unlock(x);
    return n;
}

uint16_t index_tag(const struct index *x, uint32_t ref)
{
    if (ref == 0 || ref >= index_refs_end(x)) {
        return 0;
    }
    return atomic_load_explicit(&index_series_at(x, ref)->tag, memory_order_acquire);
}

bool index_has(const struct index *x, uint32_t ref)
{
    return index_tag(x, ref) != 0;
}

static void series_drop(struct index *x, uint32_t ref)
{
    struct series *s = index_series_at(x, ref);
    for (uint32_t i = 0; i < s->n; i++) {
        struct pair *p = index_pair_at(x, s->u.list[i]);
        index_post_remove(x, p, ref);
        index_name_at(x, p->name)->series--;
    }
    index_hash_remove(&x->series_hash, index_list_hash(s->u.list, s->n), ref);
    atomic_store_explicit(&s->tag, 0, memory_order_release);
    s->state = SERIES_DROPPED;
    x->sources[s->source].series--;
    atomic_store_explicit(&x->count, x->count - 1, memory_order_relaxed);
    x->dropped++;
}

void index_drop(struct index *x, const uint32_t *refs, uint32_t n)
{
    index_lock(x);
    for (uint32_t i = 0; i < n; i++) {
        if (index_has(x, refs[i])) {
            series_drop(x, refs[i]);
        }
    }
    index_unlock(x);
}

void index_reuse(struct index *x)
{
    index_lock(x);
    if (x->dropped > 0) {
        /* Backwards, so that the list of free ids begins with the smallest. */
        for (uint32_t ref = x->series_end; --ref > 0;) {
            struct series *s = index_series_at(x, ref);
            if (s->state == SERIES_DROPPED) {
                index_slab_give(&x->slab, s->u.list, s->n * sizeof *s->u.list);
                s->u.next_free = x->series_free;
                s->state = SERIES_FREE;
                x->series_free = ref;
            }
        }
        x->dropped = 0;
        index_pairs_sweep(x);
        x->tag = x->tag == UINT16_MAX ? 1 : (uint16_t)(x->tag + 1);
    }
    index_unlock(x);
}

/* --- reading ---------------------------------------------------------------------------------- */

const uint32_t *index_pairs(const struct index *x, uint32_t ref, uint32_t *n)
{
    ASSERT(ref != 0 && ref < index_refs_end(x));
    const struct series *s = index_series_at(x, ref);
    *n = s->n;
    return s->u.list;
}

struct label index_pair(const struct index *x, uint32_t pair)
{
    const struct pair *p = index_pair_at(x, pair);
    return (struct label){.name = index_name_text(index_name_at(x, p->name)),
                          .value = index_pair_text(p)};
}

uint32_t index_source_of(const struct index *x, uint32_t ref)
{
    ASSERT(ref != 0 && ref < index_refs_end(x));
    return index_series_at(x, ref)->source;
}

struct labels index_labels(const struct index *x, uint32_t ref, struct arena *a)
{
    uint32_t n;
    const uint32_t *list = index_pairs(x, ref, &n);
    struct label *v = ARENA_ARRAY(a, struct label, size_max(n, 1));
    if (v == NULL) {
        return (struct labels){NULL, 0};
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] = index_pair(x, list[i]);
    }
    return (struct labels){v, n};
}

uint64_t index_bytes(const struct index *x)
{
    struct index *locked = (struct index *)(uintptr_t)x; /* only its lock changes */
    index_lock_shared(locked);
    uint64_t bytes = x->mem->bytes;
    index_unlock(locked);
    return bytes + index_regexes_bytes(x->regexes);
}
