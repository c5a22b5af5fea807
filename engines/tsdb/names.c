/* Raw bytes to series id: what a sender writes for a series is nearly always what it wrote before.
 *
 *     slot (24 bytes): hash, check, id, tag of id, used
 *
 * The bytes themselves are not kept: at 170 bytes a label block they would be the largest part of a
 * series' memory, where a slot with its share of empty ones is 33. A name is known by two hashes
 * instead: hash64, which the caller has anyway, and hash64 again with a seed that is drawn when the
 * cache is made and never leaves the process, 128 bits together. One hash alone would merge series:
 * among billions of names 64 bits meet by chance, and names that meet can be worked out at home. Of
 * both hashes, two among ten million names meet once in 10^24 starts, and nobody who does not know
 * the seed can look for them.
 *
 * Open addressing, linear probing; the home slot is where the hash's high half falls in the table,
 * whatever its length, so that it grows by a quarter at a time. A find reads one or two lines. They
 * may miss the cache; so a caller that has many to find prefetches all hashes first.
 *
 * A series that was dropped is recognised by the tag that the index keeps per id (index_tag): it
 * changes when the id gets a new owner, so a slot is never taken for another series.
 *
 * At the bound only one in ADMIT_EVERY new names is taken, in place of one that was not found since
 * the hand of a clock passed it. So a sender that goes round more series than fit still finds those
 * that are there, where strict age would forget each just before it is asked for, and names that
 * nobody sends any more leave.
 *
 * Invariants: bytes counted by mem stay below bytes_max; at most four fifths of the slots are used,
 * and a name lies in the run that begins at its home slot. */
#include "engines/tsdb/names_int.h"

#include "base/hash.h"

#define SLOTS_MIN   ((size_t)64)
#define SLOTS_MAX   ((size_t)UINT32_MAX)
#define ADMIT_EVERY 8

struct slot {
    uint64_t hash;
    uint64_t check; /* hash64_seed of the same bytes */
    uint32_t ref;   /* 0 = empty */
    uint16_t tag;   /* of the series when it was put */
    bool used;      /* found since the hand passed */
};
_Static_assert(sizeof(struct slot) == 24, "a name costs 24 bytes and its share of empty slots");

struct tsdb_names {
    struct mem mem;
    const struct index *index; /* borrows */
    struct slot *slots;
    size_t slots_n;
    size_t count;
    size_t hand;      /* of the clock */
    uint32_t refused; /* new names since the last one was taken at the bound */
    uint64_t seed;
};

bool names_new_in(const struct index *x, uint64_t seed, size_t bytes_max,
                  bool (*allow)(void *ctx, size_t bytes), void *allow_ctx, struct tsdb_names **out,
                  struct err *e)
{
    *out = NULL;
    struct mem mem;
    mem_init(&mem, bytes_max);
    mem.allow = allow;
    mem.allow_ctx = allow_ctx;
    struct tsdb_names *n = mem_take(&mem, sizeof *n);
    if (n == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for a cache of series names");
    }
    n->mem = mem;
    n->index = x;
    n->seed = seed;
    n->slots = mem_take(&n->mem, SLOTS_MIN * sizeof *n->slots);
    n->slots_n = n->slots != NULL ? SLOTS_MIN : 0;
    if (n->slots == NULL) {
        tsdb_names_free(n);
        return err_set(e, ERR_LIMIT, "no memory for a cache of series names");
    }
    *out = n;
    return true;
}

void tsdb_names_free(struct tsdb_names *n)
{
    if (n == NULL) {
        return;
    }
    mem_give(&n->mem, n->slots, n->slots_n * sizeof *n->slots);
    struct mem mem = n->mem;
    mem_give(&mem, n, sizeof *n);
    ASSERT(mem.bytes == 0);
}

size_t names_bytes(const struct tsdb_names *n)
{
    return n->mem.bytes;
}

uint32_t names_count(const struct tsdb_names *n)
{
    return (uint32_t)n->count;
}

static size_t home_of(size_t slots_n, uint64_t hash)
{
    return (size_t)((hash >> 32) * slots_n >> 32);
}

static size_t next_of(const struct tsdb_names *n, size_t i)
{
    return i + 1 < n->slots_n ? i + 1 : 0;
}

void tsdb_names_prefetch(const struct tsdb_names *n, uint64_t hash)
{
    const char *p = (const char *)&n->slots[home_of(n->slots_n, hash)];
    __builtin_prefetch(p);
    __builtin_prefetch(p + 64); /* a run of a few slots is often on two lines */
}

/* The slot with this name, or the empty one at the end of its run. */
static struct slot *slot_find(const struct tsdb_names *n, uint64_t hash, uint64_t check)
{
    size_t i = home_of(n->slots_n, hash);
    while (n->slots[i].ref != 0 && (n->slots[i].hash != hash || n->slots[i].check != check)) {
        i = next_of(n, i);
    }
    return &n->slots[i];
}

/* How far slot i is behind slot `from`, going round. */
static size_t behind(const struct tsdb_names *n, size_t from, size_t i)
{
    return i >= from ? i - from : i + n->slots_n - from;
}

/* Takes a name out; those behind it in the run move up when they may. */
static void slot_drop(struct tsdb_names *n, struct slot *slot)
{
    size_t hole = (size_t)(slot - n->slots);
    for (size_t i = next_of(n, hole); n->slots[i].ref != 0; i = next_of(n, i)) {
        size_t home = home_of(n->slots_n, n->slots[i].hash);
        if (behind(n, home, i) >= behind(n, hole, i)) {
            n->slots[hole] = n->slots[i];
            hole = i;
        }
    }
    n->slots[hole] = (struct slot){0};
    n->count--;
}

uint32_t tsdb_names_find(struct tsdb_names *n, uint64_t hash, struct str raw)
{
    struct slot *slot = slot_find(n, hash, hash64_seed(raw, n->seed));
    if (slot->ref == 0) {
        return 0;
    }
    uint32_t ref = slot->ref;
    if (index_tag(n->index, ref) != slot->tag) {
        slot_drop(n, slot);
        return 0;
    }
    slot->used = true;
    return ref;
}

/* false: no memory; the table stays as it is. */
static bool table_grow(struct tsdb_names *n)
{
    size_t slots_n = size_min(n->slots_n + n->slots_n / 4, SLOTS_MAX);
    struct slot *slots = mem_take(&n->mem, slots_n * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < n->slots_n; i++) {
        if (n->slots[i].ref == 0) {
            continue;
        }
        size_t j = home_of(slots_n, n->slots[i].hash);
        while (slots[j].ref != 0) {
            j = j + 1 < slots_n ? j + 1 : 0;
        }
        slots[j] = n->slots[i];
    }
    mem_give(&n->mem, n->slots, n->slots_n * sizeof *slots);
    n->slots = slots;
    n->slots_n = slots_n;
    n->hand = 0;
    return true;
}

/* Forgets the next name that was not found since the hand passed it last. */
static void evict(struct tsdb_names *n)
{
    ASSERT(n->count > 0);
    for (;;) {
        struct slot *slot = &n->slots[n->hand];
        n->hand = next_of(n, n->hand);
        if (slot->ref != 0 && !slot->used) {
            slot_drop(n, slot);
            return;
        }
        slot->used = false;
    }
}

/* Room for one more; false: at the bound, and it is not this one's turn. */
static bool room(struct tsdb_names *n)
{
    bool full = (n->count + 1) * 5 > n->slots_n * 4;
    if (!full || (n->slots_n < SLOTS_MAX && table_grow(n))) {
        return true;
    }
    if (++n->refused < ADMIT_EVERY) {
        return false;
    }
    n->refused = 0;
    evict(n);
    return true;
}

void tsdb_names_put(struct tsdb_names *n, uint64_t hash, struct str raw, uint32_t ref)
{
    uint16_t tag = index_tag(n->index, ref);
    uint64_t check = hash64_seed(raw, n->seed);
    if (tag == 0) {
        return;
    }
    struct slot *slot = slot_find(n, hash, check);
    if (slot->ref == 0) {
        if (!room(n)) {
            return;
        }
        slot = slot_find(n, hash, check); /* the table may have changed */
        n->count++;
    }
    *slot = (struct slot){.hash = hash, .check = check, .ref = ref, .tag = tag};
}
