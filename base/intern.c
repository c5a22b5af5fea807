/* The interner: open addressing with linear probing, load at most one half.
 *
 * A slot is 16 bytes (hash, length, id + 1; 0 = empty), four to a cache line, so that a lookup
 * rarely leaves the line it begins in, and the bytes of a string are compared only when hash and
 * length already agree. Nothing is ever removed, so probing ends at the first empty slot.
 *
 * Invariants: slots_cap is 0 or a power of two above 2 * count; strs[0..count) own their bytes. */
#include "base/intern.h"

#include "base/hash.h"

#define SLOTS_MIN ((size_t)16)

struct intern_slot {
    uint64_t hash;
    uint32_t bytes;
    uint32_t id_plus_1;
};

void intern_init(struct intern *t, struct mem *m, uint32_t max)
{
    *t = (struct intern){.mem = m, .max = max == INTERN_FULL ? max - 1 : max};
}

static char *owned_bytes(struct str s)
{
    /* The copies were made here from a char *; str is const for everybody else. */
    return (char *)(uintptr_t)s.p;
}

void intern_release(struct intern *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        mem_give(t->mem, owned_bytes(t->strs[i]), t->strs[i].n);
    }
    mem_give(t->mem, t->strs, t->strs_cap * sizeof *t->strs);
    mem_give(t->mem, t->slots, t->slots_cap * sizeof *t->slots);
    intern_init(t, t->mem, t->max);
}

/* The slot that holds s, or the empty one where it belongs. */
static struct intern_slot *slot_find(const struct intern *t, struct str s, uint64_t hash)
{
    size_t mask = t->slots_cap - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct intern_slot *slot = &t->slots[i];
        if (slot->id_plus_1 == 0) {
            return slot;
        }
        if (slot->hash == hash && slot->bytes == s.n && str_eq(t->strs[slot->id_plus_1 - 1], s)) {
            return slot;
        }
    }
}

static bool slots_grow(struct intern *t)
{
    size_t cap_new = size_max(t->slots_cap * 2, SLOTS_MIN);
    struct intern_slot *slots = mem_take(t->mem, cap_new * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    size_t mask = cap_new - 1;
    for (size_t i = 0; i < t->slots_cap; i++) {
        if (t->slots[i].id_plus_1 == 0) {
            continue;
        }
        size_t j = (size_t)t->slots[i].hash & mask;
        while (slots[j].id_plus_1 != 0) {
            j = (j + 1) & mask;
        }
        slots[j] = t->slots[i];
    }
    mem_give(t->mem, t->slots, t->slots_cap * sizeof *t->slots);
    t->slots = slots;
    t->slots_cap = cap_new;
    return true;
}

/* Room for one more string, before anything is changed. */
static bool room_for_one(struct intern *t)
{
    size_t want = (size_t)t->count + 1;
    if (want * 2 >= t->slots_cap && !slots_grow(t)) {
        return false;
    }
    void *strs = t->strs;
    if (!mem_array_grow(t->mem, &strs, &t->strs_cap, want, t->max, sizeof *t->strs)) {
        return false;
    }
    t->strs = strs;
    return true;
}

uint32_t intern_add(struct intern *t, struct str s)
{
    uint64_t hash = hash64(s);
    if (t->slots_cap > 0) {
        const struct intern_slot *slot = slot_find(t, s, hash);
        if (slot->id_plus_1 != 0) {
            return slot->id_plus_1 - 1;
        }
    }
    if (t->count >= t->max || s.n > UINT32_MAX || !room_for_one(t)) {
        return INTERN_FULL;
    }
    char *copy = mem_take(t->mem, s.n);
    if (copy == NULL) {
        return INTERN_FULL;
    }
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    struct intern_slot *slot = slot_find(t, s, hash);
    ASSERT(slot->id_plus_1 == 0);
    t->strs[t->count] = str_of(copy, s.n);
    t->count++;
    *slot = (struct intern_slot){.hash = hash, .bytes = (uint32_t)s.n, .id_plus_1 = t->count};
    return t->count - 1;
}

uint32_t intern_find(const struct intern *t, struct str s)
{
    if (t->slots_cap == 0) {
        return INTERN_FULL;
    }
    const struct intern_slot *slot = slot_find(t, s, hash64(s));
    return slot->id_plus_1 != 0 ? slot->id_plus_1 - 1 : INTERN_FULL;
}

struct str intern_str(const struct intern *t, uint32_t id)
{
    ASSERT(id < t->count);
    return t->strs[id];
}
