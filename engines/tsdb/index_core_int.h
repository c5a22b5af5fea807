/* What the index is made of: tables that never move, a slab, hash tables, names, pairs, postings,
 * series. Shared by index*.c only.
 *
 * Who may touch what: everything is written under the write lock. Without any lock a thread may
 * read the text and name of a pair, the list and source of a series and the tag, for ids that it
 * was given: these are written before the id is handed out and stay until index_reuse. All else is
 * read under the lock, shared. */
#ifndef ENGINES_TSDB_INDEX_CORE_INT_H
#define ENGINES_TSDB_INDEX_CORE_INT_H

#include "base/buf.h"
#include "base/mem.h"
#include "codec/regex.h"
#include "engines/tsdb/index_int.h"

#include <pthread.h>
#include <stdatomic.h>

/* --- a table whose elements never move ------------------------------------------------------ */

/* Chunks grow by a quarter of what is there, so that at most that much is idle. Element i lies in
 * the chunk given by the three highest bits of i + 2^TAB_BITS. */
#define TAB_BITS       10
#define TAB_CHUNKS_MAX (4 * (32 - TAB_BITS))
#define TAB_IDS_MAX    (UINT32_C(1) << 31) /* also the bound of pair ids that PromQL relies on */

struct tab {
    void *chunks[TAB_CHUNKS_MAX];
    uint32_t chunks_n;
    uint32_t cap;
};

static inline void *tab_at(const struct tab *t, uint32_t i, size_t element_bytes)
{
    uint32_t j = i + (UINT32_C(1) << TAB_BITS);
    uint32_t top = 31U - (uint32_t)__builtin_clz(j);
    uint32_t quarter = top - 2;
    uint32_t chunk = (top - TAB_BITS) * 4 + (j >> quarter & 3U);
    uint32_t off = j & ((UINT32_C(1) << quarter) - 1);
    return (char *)t->chunks[chunk] + off * element_bytes;
}

/* Memory for elements 0..want-1; false without. */
MUST_USE bool index_tab_grow(struct mem *m, struct tab *t, uint32_t want, size_t element_bytes);
void index_tab_release(struct mem *m, struct tab *t, size_t element_bytes);

/* --- small blocks ---------------------------------------------------------------------------- */

#define SLAB_BLOCK_MAX   LABEL_BYTES_MAX
#define SLAB_CLASSES     (SLAB_BLOCK_MAX / 8 + 1)
#define SLAB_CHUNK_BYTES ((size_t)64 << 10)

/* Blocks of up to SLAB_BLOCK_MAX bytes without an allocator's header; freed ones are kept by
 * size. */
struct slab {
    struct slab_chunk *chunks;
    char *p;
    size_t left;
    void *free[SLAB_CLASSES];
};

void *index_slab_take(struct mem *m, struct slab *s, size_t bytes); /* not zeroed */
void index_slab_give(struct slab *s, void *p, size_t bytes);
void index_slab_release(struct mem *m, struct slab *s);

/* --- hash tables ------------------------------------------------------------------------------ */

/* Open addressing, linear probing, at most three quarters full. id 0 = empty slot. */
struct hash_slot {
    uint32_t hash, id;
};
struct hash_tab {
    struct hash_slot *v;
    size_t cap; /* power of two */
    size_t used;
};

MUST_USE bool index_hash_room(struct mem *m, struct hash_tab *t, size_t more);
void index_hash_add(struct hash_tab *t, uint32_t hash, uint32_t id); /* after index_hash_room */
void index_hash_remove(struct hash_tab *t, uint32_t hash, uint32_t id);
void index_hash_release(struct mem *m, struct hash_tab *t);

/* --- names, pairs, series --------------------------------------------------------------------- */

struct name {
    const char *text;
    uint32_t bytes;
    uint32_t rank;    /* in the order of names; valid while !names_unranked */
    uint32_t *values; /* pair ids in order of first sight */
    uint32_t *sorted; /* the first sorted_n of them (as of the last ranking) by text */
    size_t values_cap, sorted_cap;
    uint32_t values_n, sorted_n;
    uint32_t series;   /* that have this label */
    uint32_t removals; /* changes when values lost one: what was remembered about them is void */
    uint64_t value_bytes;
};

enum post_kind { POST_FREE, POST_FEW, POST_ARRAY, POST_MAP };
#define POST_FEW_MAX   2
#define POST_ARRAY_MAX 64

struct post_map;
/* One (name, value) and the ids of the series that have it: up to two in place, up to 64 in an
 * array, else a roaring bitmap. */
struct pair {
    const char *text;
    union {
        uint32_t few[POST_FEW_MAX];
        uint32_t *array;
        struct post_map *map;
        uint32_t next_free;
    } post;
    uint32_t name;
    uint32_t n;
    uint32_t rank; /* 1-based among the name's values by text; 0 = not ranked yet */
    uint16_t bytes;
    uint8_t kind;
    uint8_t array_log2;
};
_Static_assert(sizeof(struct pair) == 32, "two pairs in a cache line");

enum series_state { SERIES_NONE, SERIES_LIVE, SERIES_DROPPED, SERIES_FREE };
struct series {
    union {
        uint32_t *list; /* pair ids in the order of label names */
        uint32_t next_free;
    } u;
    uint16_t n;
    uint16_t source;
    _Atomic uint16_t tag; /* 0 = not there; else differs from that of the id's last owner */
    uint8_t state;
};
_Static_assert(sizeof(struct series) == 16, "four series in a cache line");

struct source {
    char *text;
    size_t bytes;
    uint32_t series_max; /* 0 = only the common bound */
    uint32_t series;
    uint64_t refused;
};

struct regex_cache;

/* lock: all fields under mu, except as the comment at the top says. */
struct index {
    struct mem *mem; /* borrows; this index' alone, under the write lock */
    pthread_rwlock_t mu;
    struct slab slab;
    struct tab names, pairs, series;
    struct hash_tab names_hash, pairs_hash, series_hash;
    uint32_t names_end, pairs_end;
    _Atomic uint32_t series_end;
    _Atomic uint32_t count;
    uint32_t series_max;
    uint32_t names_free, pairs_free, series_free; /* heads of lists, 0 = none */
    uint32_t names_n, pairs_n;
    uint32_t dropped; /* waiting for index_reuse */
    uint16_t tag;     /* for series made now */
    bool names_unranked, values_unranked;
    struct source *sources;
    size_t sources_cap;
    uint32_t sources_n;
    size_t map_bytes;            /* what roaring took by itself */
    struct regex_cache *regexes; /* has a lock of its own */
};

static inline struct name *index_name_at(const struct index *x, uint32_t id)
{
    return tab_at(&x->names, id, sizeof(struct name));
}
static inline struct pair *index_pair_at(const struct index *x, uint32_t id)
{
    return tab_at(&x->pairs, id, sizeof(struct pair));
}
static inline struct series *index_series_at(const struct index *x, uint32_t ref)
{
    return tab_at(&x->series, ref, sizeof(struct series));
}
static inline struct str index_name_text(const struct name *n)
{
    return str_of(n->text, n->bytes);
}
static inline struct str index_pair_text(const struct pair *p)
{
    return str_of(p->text, p->bytes);
}

void index_lock_shared(struct index *x);
void index_lock(struct index *x);
void index_unlock(struct index *x);

/* 0 = none. */
uint32_t index_name_find(const struct index *x, struct str name);
uint32_t index_pair_find(const struct index *x, uint32_t name, struct str value);
/* 0 = no memory. A pair made and not used is taken back with index_pair_unmake. */
uint32_t index_name_make(struct index *x, struct str name);
uint32_t index_pair_make(struct index *x, uint32_t name, struct str value);
void index_pair_unmake(struct index *x, uint32_t pair);
void index_name_unmake(struct index *x, uint32_t name); /* that has no pair */
uint32_t index_pair_hash(uint32_t name, struct str value);
/* Frees pairs without series and names without pairs. */
void index_pairs_sweep(struct index *x);
void index_pairs_release(struct index *x);
/* Sorts names and values that came since the last time; false without memory (some stay
 * unranked). lock: write */
bool index_rank(struct index *x);

/* Postings. reserve makes the next add need no memory. */
MUST_USE bool index_post_reserve(struct index *x, struct pair *p);
void index_post_add(struct index *x, struct pair *p, uint32_t ref);
void index_post_remove(struct index *x, struct pair *p, uint32_t ref);
void index_post_release(struct index *x, struct pair *p);
/* All ids at once, ascending; p is empty. */
MUST_USE bool index_post_fill(struct index *x, struct pair *p, const uint32_t *refs, uint32_t n);
/* Writes p->n ids, ascending. */
void index_post_read(const struct pair *p, uint32_t *out);
/* Sets the bits of all ids. */
void index_post_mark(const struct pair *p, uint64_t *bits);
/* Calls until one says false; false then. */
bool index_post_each(const struct pair *p, bool (*each)(void *ctx, uint32_t ref), void *ctx);

/* Locks shared, after ranking what was not ranked yet; true when all is. */
bool index_lock_ranked(struct index *x);

/* index_select without the lock. lock: shared */
MUST_USE bool index_select_locked(struct index *x, const struct matcher *m, uint32_t m_n,
                                  bool (*keep)(void *ctx, uint32_t ref), void *ctx,
                                  uint32_t series_max, struct arena *a, uint32_t **ids, uint32_t *n,
                                  struct err *e);

uint32_t index_list_hash(const uint32_t *list, uint32_t n);
uint32_t index_list_find(const struct index *x, const uint32_t *list, uint32_t n, uint32_t hash);
/* Adds the series with this id, which nobody has; list is copied. All or nothing. lock: write */
MUST_USE bool index_series_put(struct index *x, uint32_t ref, uint32_t source, const uint32_t *list,
                               uint32_t n, struct err *e);
void index_clear(struct index *x); /* as new, without sources and bounds kept */
MUST_USE bool index_source_put(struct index *x, struct str name, uint32_t *out);

/* --- regular expressions of selectors --------------------------------------------------------- */

struct regex_entry;
struct regex_cache *index_regexes_new(void);
void index_regexes_free(struct regex_cache *c);
size_t index_regexes_bytes(struct regex_cache *c);
/* What a pattern says about the values of one name, valid until released and while the index is
 * locked: the pairs whose value matches, and whether the empty value does. lock: shared */
struct regex_pairs {
    struct regex_entry *entry;
    const uint32_t *v;
    uint32_t n;
    bool matches_empty;
};
MUST_USE bool index_regex_pairs(struct index *x, uint32_t name, struct str pattern,
                                struct regex_pairs *out, struct err *e);
void index_regex_release(struct index *x, struct regex_pairs *r);

#endif
