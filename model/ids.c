/* Index of ids: see ids_int.h. The hash is already uniform (XXH3), so its low bits are the
 * position and the next 32 the tag. Load at most 7/8: one lookup touches one or two cache lines.
 *
 * Invariant: no free slot between a pair's home and its place. */
#include "model/ids_int.h"

#define SLOTS_MIN 64u

void model_ids_init(struct model_ids *t, struct mem *m)
{
    *t = (struct model_ids){.mem = m};
}

void model_ids_release(struct model_ids *t)
{
    mem_give(t->mem, t->slots, t->cap * sizeof *t->slots);
    *t = (struct model_ids){.mem = t->mem};
}

static uint32_t tag_of(struct hash128 h)
{
    return (uint32_t)h.hi;
}

static size_t home(const struct model_ids *t, uint32_t tag)
{
    return (size_t)(tag * 0x9E3779B1u) & (t->cap - 1);
}

static void place(struct model_ids *t, uint64_t slot)
{
    size_t i = home(t, (uint32_t)(slot >> 32));
    while (t->slots[i] != 0) {
        i = (i + 1) & (t->cap - 1);
    }
    t->slots[i] = slot;
}

static bool grow(struct model_ids *t)
{
    size_t cap = t->cap == 0 ? SLOTS_MIN : t->cap * 2;
    if (cap > (size_t)1 << 31) {
        return false;
    }
    uint64_t *slots = mem_take(t->mem, cap * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    struct model_ids old = *t;
    t->slots = slots;
    t->cap = cap;
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i] != 0) {
            place(t, old.slots[i]);
        }
    }
    mem_give(t->mem, old.slots, old.cap * sizeof *old.slots);
    return true;
}

bool model_ids_add(struct model_ids *t, struct hash128 h, uint32_t idx)
{
    ASSERT(idx != MODEL_NIL);
    if ((t->count + 1) * 8 > t->cap * 7 && !grow(t)) {
        return false;
    }
    place(t, (uint64_t)tag_of(h) << 32 | (idx + 1));
    t->count++;
    return true;
}

uint32_t model_ids_next(const struct model_ids *t, struct hash128 h, size_t *at)
{
    if (t->cap == 0) {
        return MODEL_NIL;
    }
    size_t i = *at == SIZE_MAX ? home(t, tag_of(h)) : (*at + 1) & (t->cap - 1);
    for (; t->slots[i] != 0; i = (i + 1) & (t->cap - 1)) {
        if (t->slots[i] >> 32 == tag_of(h)) {
            *at = i;
            return (uint32_t)t->slots[i] - 1;
        }
    }
    return MODEL_NIL;
}

static size_t slot_of(const struct model_ids *t, struct hash128 h, uint32_t idx)
{
    size_t at = SIZE_MAX;
    uint32_t found = MODEL_NIL;
    do {
        found = model_ids_next(t, h, &at);
        ASSERT(found != MODEL_NIL);
    } while (found != idx);
    return at;
}

void model_ids_replace(struct model_ids *t, struct hash128 h, uint32_t idx, uint32_t idx_new)
{
    t->slots[slot_of(t, h, idx)] = (uint64_t)tag_of(h) << 32 | (idx_new + 1);
}

void model_ids_remove(struct model_ids *t, struct hash128 h, uint32_t idx)
{
    size_t mask = t->cap - 1;
    size_t hole = slot_of(t, h, idx);
    for (size_t i = (hole + 1) & mask; t->slots[i] != 0; i = (i + 1) & mask) {
        size_t from_home = (i - home(t, (uint32_t)(t->slots[i] >> 32))) & mask;
        if (from_home >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = 0;
    t->count--;
}
