/* Cells: a small table of counts by key, made for being hit a few hundred times per decision.
 * drift_int.h draws the slot. Growth rehashes to twice the size; the first has eight slots, as
 * most feature x segment x hour are thin. */
#include "model/drift/drift_int.h"

#include <stdlib.h>

#define CAP_FIRST 8

double drift_key_number(uint32_t key, bool coarse)
{
    const uint64_t half = DRIFT_PAYLOADS >> 1;
    uint64_t payload = drift_key_payload(key);
    uint64_t top = payload < half ? ~payload & (DRIFT_PAYLOADS - 1) : payload & (half - 1);
    uint64_t bits = top << 45;
    double x = 0;
    if ((key & DRIFT_EXACT) == 0) {
        bits =
            coarse ? (bits & ~((uint64_t)1 << 45)) | (uint64_t)1 << 45 : bits | (uint64_t)1 << 44;
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void put(uint64_t *slots, uint32_t cap, uint64_t slot)
{
    uint32_t i = drift_slot_key(slot) * 0x9e3779b1u >> 7;
    while (slots[i & (cap - 1)] != 0) {
        i++;
    }
    slots[i & (cap - 1)] = slot;
}

bool drift_cells_grow(struct drift_cells *c, struct mem *m)
{
    uint32_t cap = c->cap == 0 ? CAP_FIRST : 2 * c->cap;
    if (c->used >= DRIFT_CELLS_MAX) {
        return false;
    }
    uint64_t *slots = mem_take(m, cap * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < c->cap; i++) {
        if (c->slots[i] != 0) {
            put(slots, cap, c->slots[i]);
        }
    }
    mem_give(m, c->slots, c->cap * sizeof *c->slots);
    c->slots = slots;
    c->cap = cap;
    return true;
}

void drift_cells_release(struct drift_cells *c, struct mem *m)
{
    mem_give(m, c->slots, c->cap * sizeof *c->slots);
    *c = (struct drift_cells){0};
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void drift_cells_sorted(const struct drift_cells *c, uint64_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->cap; i++) {
        if (c->slots[i] != 0) {
            out[n++] = c->slots[i];
        }
    }
    ASSERT(n == c->used);
    if (n > 1) {
        qsort(out, n, sizeof *out, by_value);
    }
}
