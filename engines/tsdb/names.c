/* Raw bytes to series id: what a sender writes for a series is nearly always what it wrote before.
 *
 *     slot (16 bytes): entry, high hash bits, used ---> entry: hash, id, tag of id, bytes
 *
 * Open addressing, linear probing. A find reads one line of slots and, for a hit, one entry, whose
 * bytes it compares. Both may miss the cache; so a caller that has many to find prefetches all
 * hashes first. tsdb_names_prefetch asks for the slot of this hash, and for the entry of the hash
 * PREFETCH_DISTANCE calls ago, whose slot has come by now.
 *
 * A series that was dropped is recognised by the tag that the index keeps per id (index_tag): it
 * changes when the id gets a new owner, so an entry is never taken for another series.
 *
 * At the bound only one in ADMIT_EVERY new names is taken, in place of one that was not found since
 * the hand of a clock passed it. So a sender that goes round more series than fit still finds those
 * that are there, where strict age would forget each just before it is asked for, and names that
 * nobody sends any more leave.
 *
 * Invariants: bytes counted by mem stay below bytes_max; at most three quarters of the slots are
 * used, and an entry lies in the run that begins at its home slot. */
#include "engines/tsdb/names_int.h"

#define SLOTS_MIN         ((size_t)64)
#define PREFETCH_DISTANCE 8
#define ADMIT_EVERY       8
#define EVICT_MAX         64                 /* entries given up for one */
#define RAW_BYTES_MAX     ((size_t)64 << 10) /* of one key; longer ones are not worth it */

struct entry {
    uint64_t hash;
    uint32_t ref;
    uint32_t bytes;
    uint16_t tag; /* of the series when it was put */
    char raw[];
};

struct slot {
    struct entry *entry; /* NULL = empty */
    uint32_t hash;       /* the high bits */
    bool used;           /* found since the hand passed */
};
_Static_assert(sizeof(struct slot) == 16, "four slots in a cache line");

/* The hashes asked for last; apart, so that prefetching leaves the cache itself constant. */
struct recent {
    uint64_t hashes[PREFETCH_DISTANCE];
    uint32_t at;
};

struct tsdb_names {
    struct mem mem;
    const struct index *index; /* borrows */
    struct slot *slots;
    size_t slots_n; /* power of two */
    size_t count;
    size_t hand;      /* of the clock */
    uint32_t refused; /* new names since the last one was taken at the bound */
    struct recent *recent;
};

bool names_new_in(const struct index *x, size_t bytes_max, bool (*allow)(void *ctx, size_t bytes),
                  void *allow_ctx, struct tsdb_names **out, struct err *e)
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
    n->recent = mem_take(&n->mem, sizeof *n->recent);
    n->slots = mem_take(&n->mem, SLOTS_MIN * sizeof *n->slots);
    n->slots_n = n->slots != NULL ? SLOTS_MIN : 0;
    if (n->recent == NULL || n->slots == NULL) {
        tsdb_names_free(n);
        return err_set(e, ERR_LIMIT, "no memory for a cache of series names");
    }
    *out = n;
    return true;
}

static size_t entry_bytes(size_t raw)
{
    return sizeof(struct entry) + raw;
}

void tsdb_names_free(struct tsdb_names *n)
{
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < n->slots_n; i++) {
        struct entry *e = n->slots[i].entry;
        if (e != NULL) {
            mem_give(&n->mem, e, entry_bytes(e->bytes));
        }
    }
    mem_give(&n->mem, n->slots, n->slots_n * sizeof *n->slots);
    mem_give(&n->mem, n->recent, n->recent != NULL ? sizeof *n->recent : 0);
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

/* The home slot is chosen by low bits; the high ones stand in the slot. */
static size_t home_of(const struct tsdb_names *n, uint64_t hash)
{
    return (size_t)hash & (n->slots_n - 1);
}

static size_t next_of(const struct tsdb_names *n, size_t i)
{
    return (i + 1) & (n->slots_n - 1);
}

void tsdb_names_prefetch(const struct tsdb_names *n, uint64_t hash)
{
    struct recent *r = n->recent;
    uint32_t at = r->at++ % PREFETCH_DISTANCE;
    uint64_t before = r->hashes[at];
    r->hashes[at] = hash;
    __builtin_prefetch(&n->slots[home_of(n, hash)]);
    for (size_t i = home_of(n, before); n->slots[i].entry != NULL; i = next_of(n, i)) {
        if (n->slots[i].hash == (uint32_t)(before >> 32)) {
            const char *p = (const char *)n->slots[i].entry;
            __builtin_prefetch(p);
            __builtin_prefetch(p + 64);
            __builtin_prefetch(p + 128);
            break;
        }
    }
}

static bool entry_is(const struct entry *e, uint64_t hash, struct str raw)
{
    return e->hash == hash && e->bytes == raw.n &&
           (raw.n == 0 || memcmp(e->raw, raw.p, raw.n) == 0);
}

/* The slot with this name, or the empty one at the end of its run. */
static struct slot *slot_find(const struct tsdb_names *n, uint64_t hash, struct str raw)
{
    size_t i = home_of(n, hash);
    while (n->slots[i].entry != NULL) {
        bool same = n->slots[i].hash == (uint32_t)(hash >> 32);
        if (same && entry_is(n->slots[i].entry, hash, raw)) {
            break;
        }
        i = next_of(n, i);
    }
    return &n->slots[i];
}

/* Takes an entry out; those behind it in the run move up when they may. */
static void slot_drop(struct tsdb_names *n, struct slot *slot)
{
    struct entry *e = slot->entry;
    size_t mask = n->slots_n - 1;
    size_t hole = (size_t)(slot - n->slots);
    for (size_t i = next_of(n, hole); n->slots[i].entry != NULL; i = next_of(n, i)) {
        size_t home = home_of(n, n->slots[i].entry->hash);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            n->slots[hole] = n->slots[i];
            hole = i;
        }
    }
    n->slots[hole] = (struct slot){0};
    mem_give(&n->mem, e, entry_bytes(e->bytes));
    n->count--;
}

uint32_t tsdb_names_find(struct tsdb_names *n, uint64_t hash, struct str raw)
{
    struct slot *slot = slot_find(n, hash, raw);
    if (slot->entry == NULL) {
        return 0;
    }
    uint32_t ref = slot->entry->ref;
    if (index_tag(n->index, ref) != slot->entry->tag) {
        slot_drop(n, slot);
        return 0;
    }
    slot->used = true;
    return ref;
}

/* false: no memory; the table stays as it is. */
static bool table_grow(struct tsdb_names *n)
{
    size_t slots_n = n->slots_n * 2;
    struct slot *slots = mem_take(&n->mem, slots_n * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < n->slots_n; i++) {
        if (n->slots[i].entry == NULL) {
            continue;
        }
        size_t j = (size_t)n->slots[i].entry->hash & (slots_n - 1);
        while (slots[j].entry != NULL) {
            j = (j + 1) & (slots_n - 1);
        }
        slots[j] = n->slots[i];
    }
    mem_give(&n->mem, n->slots, n->slots_n * sizeof *slots);
    n->slots = slots;
    n->slots_n = slots_n;
    return true;
}

/* Forgets the next entry that was not found since the hand passed it last. */
static void evict(struct tsdb_names *n)
{
    ASSERT(n->count > 0);
    for (;;) {
        struct slot *slot = &n->slots[n->hand];
        n->hand = next_of(n, n->hand);
        if (slot->entry != NULL && !slot->used) {
            slot_drop(n, slot);
            return;
        }
        slot->used = false;
    }
}

/* Room in the table for one more; false: at the bound. The table may take half of the memory. */
static bool slots_room(struct tsdb_names *n)
{
    if ((n->count + 1) * 4 <= n->slots_n * 3) {
        return true;
    }
    return n->slots_n * 4 * sizeof(struct slot) <= n->mem.bytes_max && table_grow(n);
}

static struct entry *entry_take(struct tsdb_names *n, size_t raw)
{
    bool room = slots_room(n);
    struct entry *e = room ? mem_take(&n->mem, entry_bytes(raw)) : NULL;
    if (e != NULL || n->count == 0 || ++n->refused < ADMIT_EVERY) {
        return e;
    }
    n->refused = 0;
    for (int i = 0; e == NULL && n->count > 0 && i < EVICT_MAX; i++) {
        evict(n);
        e = mem_take(&n->mem, entry_bytes(raw));
    }
    return e;
}

void tsdb_names_put(struct tsdb_names *n, uint64_t hash, struct str raw, uint32_t ref)
{
    uint16_t tag = index_tag(n->index, ref);
    if (tag == 0 || raw.n > RAW_BYTES_MAX) {
        return;
    }
    struct slot *slot = slot_find(n, hash, raw);
    if (slot->entry != NULL) {
        slot->entry->ref = ref;
        slot->entry->tag = tag;
        return;
    }
    struct entry *e = entry_take(n, raw.n);
    if (e == NULL) {
        return;
    }
    e->hash = hash;
    e->ref = ref;
    e->tag = tag;
    e->bytes = (uint32_t)raw.n;
    if (raw.n > 0) {
        memcpy(e->raw, raw.p, raw.n);
    }
    slot = slot_find(n, hash, raw); /* the table may have changed */
    *slot = (struct slot){.entry = e, .hash = (uint32_t)(hash >> 32)};
    n->count++;
}
