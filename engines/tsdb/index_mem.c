/* The index' memory: tables that grow without moving, blocks without headers, hash tables.
 *
 * Readers hold pointers into these while writers add, so nothing is ever reallocated: a table adds
 * chunks, the slab keeps freed blocks for the next of the same size. Only hash tables are replaced
 * when they grow, and those are read under the lock. */
#include "engines/tsdb/index_core_int.h"

#define HASH_CAP_MIN ((size_t)64)

struct slab_chunk {
    struct slab_chunk *next;
    _Alignas(16) char data[];
};

static uint32_t chunk_elements(uint32_t chunk)
{
    return UINT32_C(1) << (TAB_BITS + chunk / 4 - 2);
}

bool index_tab_grow(struct mem *m, struct tab *t, uint32_t want, size_t element_bytes)
{
    while (t->cap < want) {
        if (t->chunks_n >= TAB_CHUNKS_MAX - 4) { /* the last four would pass 2^31 */
            return false;
        }
        uint32_t n = chunk_elements(t->chunks_n);
        void *p = mem_take(m, n * element_bytes);
        if (p == NULL) {
            return false;
        }
        t->chunks[t->chunks_n++] = p;
        t->cap += n;
    }
    return true;
}

void index_tab_release(struct mem *m, struct tab *t, size_t element_bytes)
{
    for (uint32_t i = 0; i < t->chunks_n; i++) {
        mem_give(m, t->chunks[i], chunk_elements(i) * element_bytes);
    }
    *t = (struct tab){0};
}

static size_t slab_round(size_t bytes)
{
    return bytes == 0 ? 8 : (bytes + 7) & ~(size_t)7;
}

void *index_slab_take(struct mem *m, struct slab *s, size_t bytes)
{
    bytes = slab_round(bytes);
    ASSERT(bytes <= SLAB_BLOCK_MAX);
    void **head = &s->free[bytes / 8];
    if (*head != NULL) {
        void *p = *head;
        memcpy(head, p, sizeof *head);
        return p;
    }
    if (s->left < bytes) {
        struct slab_chunk *c = mem_take(m, SLAB_CHUNK_BYTES);
        if (c == NULL) {
            return NULL;
        }
        if (s->left >= 8 && s->left <= SLAB_BLOCK_MAX) {
            index_slab_give(s, s->p, s->left);
        }
        c->next = s->chunks;
        s->chunks = c;
        s->p = c->data;
        s->left = SLAB_CHUNK_BYTES - offsetof(struct slab_chunk, data);
    }
    void *p = s->p;
    s->p += bytes;
    s->left -= bytes;
    return p;
}

void index_slab_give(struct slab *s, void *p, size_t bytes)
{
    if (p == NULL) {
        return;
    }
    void **head = &s->free[slab_round(bytes) / 8];
    memcpy(p, head, sizeof *head);
    *head = p;
}

void index_slab_release(struct mem *m, struct slab *s)
{
    while (s->chunks != NULL) {
        struct slab_chunk *next = s->chunks->next;
        mem_give(m, s->chunks, SLAB_CHUNK_BYTES);
        s->chunks = next;
    }
    *s = (struct slab){0};
}

static void slot_put(struct hash_slot *v, size_t cap, struct hash_slot slot)
{
    size_t i = slot.hash & (cap - 1);
    while (v[i].id != 0) {
        i = (i + 1) & (cap - 1);
    }
    v[i] = slot;
}

bool index_hash_room(struct mem *m, struct hash_tab *t, size_t more)
{
    size_t cap = size_max(t->cap, HASH_CAP_MIN);
    while ((t->used + more) * 4 > cap * 3) {
        cap *= 2;
    }
    if (cap == t->cap) {
        return true;
    }
    struct hash_slot *v = mem_take(m, cap * sizeof *v);
    if (v == NULL) {
        return false;
    }
    for (size_t i = 0; i < t->cap; i++) {
        if (t->v[i].id != 0) {
            slot_put(v, cap, t->v[i]);
        }
    }
    mem_give(m, t->v, t->cap * sizeof *v);
    t->v = v;
    t->cap = cap;
    return true;
}

void index_hash_add(struct hash_tab *t, uint32_t hash, uint32_t id)
{
    ASSERT((t->used + 1) * 4 <= t->cap * 3);
    slot_put(t->v, t->cap, (struct hash_slot){.hash = hash, .id = id});
    t->used++;
}

/* Later slots of the run move up over the hole when they may, so that probing needs no marks.
 * Source: Knuth, The Art of Computer Programming 3, section 6.4, algorithm R. */
void index_hash_remove(struct hash_tab *t, uint32_t hash, uint32_t id)
{
    size_t mask = t->cap - 1;
    size_t hole = hash & mask;
    while (t->v[hole].id != id) {
        ASSERT(t->v[hole].id != 0);
        hole = (hole + 1) & mask;
    }
    for (size_t i = (hole + 1) & mask; t->v[i].id != 0; i = (i + 1) & mask) {
        size_t home = t->v[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->v[hole] = t->v[i];
            hole = i;
        }
    }
    t->v[hole] = (struct hash_slot){0};
    t->used--;
}

void index_hash_release(struct mem *m, struct hash_tab *t)
{
    mem_give(m, t->v, t->cap * sizeof *t->v);
    *t = (struct hash_tab){0};
}
