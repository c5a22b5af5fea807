/* The table of transactions: an index of 8-byte slots over a pool of 80-byte entries.
 *
 * The pool grows by chunks of 4,096 entries, and pool numbers never change, so that the expiry
 * wheel can link entries by 32-bit numbers. The index is 64 segments, each open addressing with
 * linear probing, backward-shift deletion (no tombstones, so it never slows down with age) and
 * growing by half at 7/8: the load stays above 7/12, so a slot costs at most 14 bytes of the 96.
 * Only one segment grows at a time: at two million transactions that is a pass over some 50,000
 * slots, well under a millisecond, instead of one long stall for the whole table. An entry's home
 * is tag * cap / 2^32, which needs no power of two and keeps the order of tags, so that growing
 * reads and writes in order.
 *
 * An id is packed from 32 bytes to 24: 'E' is constant and the 12 digits of the minute fit 40 bits.
 *
 *   id[0]  bytes 1..8    the ISPB as it is
 *   id[1]  bits 0..39    the 12 digits as a number; bits 40..63: bytes 21..23
 *   id[2]  bytes 24..31
 *
 * Invariants: a slot's tag is the low half of hash.hi of its entry; count = sum of the segments'
 * counts; no empty slot stands between an entry's home slot and its slot. Source: Knuth, TAOCP
 * vol. 3, 6.4, algorithm R (deletion with linear probing). */
#include "pipeline/pipeline_int.h"

#define CHUNK         (1u << PIPELINE_CHUNK_BITS)
#define SEGMENT_SLOTS 64u

void pipeline_table_init(struct pipeline_table *t, struct mem *m, uint32_t max)
{
    *t = (struct pipeline_table){.mem = m, .max = max, .free_head = PIPELINE_NIL};
}

void pipeline_table_release(struct pipeline_table *t)
{
    for (uint32_t i = 0; i < t->chunks_count; i++) {
        mem_give(t->mem, t->chunks[i], CHUNK * sizeof(struct pipeline_tx));
    }
    mem_give(t->mem, t->chunks, t->chunks_cap * sizeof *t->chunks);
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        struct pipeline_segment *s = &t->segments[i];
        mem_give(t->mem, s->slots, s->cap * sizeof *s->slots);
    }
    *t = (struct pipeline_table){.free_head = PIPELINE_NIL};
}

size_t pipeline_table_bytes(const struct pipeline_table *t)
{
    size_t bytes = t->chunks_cap * sizeof *t->chunks;
    bytes += (size_t)t->chunks_count * CHUNK * sizeof(struct pipeline_tx);
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        bytes += t->segments[i].cap * sizeof(struct pipeline_slot);
    }
    return bytes;
}

bool pipeline_id_pack(const struct e2e *id, uint64_t out[3])
{
    if (id->c[0] != 'E') {
        return false;
    }
    uint64_t minute = 0;
    for (int i = 9; i < 21; i++) {
        unsigned digit = (unsigned)(unsigned char)id->c[i] - '0';
        if (digit > 9) {
            return false;
        }
        minute = minute * 10 + digit;
    }
    out[0] = get_u64le(id->c + 1);
    /* Bytes 20..23 in one load; byte 20 is the last digit and is shifted out. */
    out[1] = minute | (uint64_t)(get_u32le(id->c + 20) >> 8) << 40;
    out[2] = get_u64le(id->c + 24);
    return true;
}

void pipeline_id_unpack(const uint64_t id[3], struct e2e *out)
{
    uint64_t minute = id[1] & ((1ULL << 40) - 1);
    out->c[0] = 'E';
    put_u64le(out->c + 1, id[0]);
    for (int i = 20; i >= 9; i--) {
        out->c[i] = (char)('0' + minute % 10);
        minute /= 10;
    }
    for (int i = 0; i < 3; i++) {
        out->c[21 + i] = (char)(id[1] >> (40 + 8 * i) & 0xff);
    }
    put_u64le(out->c + 24, id[2]);
}

struct hash128 pipeline_id_hash(const uint64_t id[3])
{
    struct e2e e;
    pipeline_id_unpack(id, &e);
    return e2e_hash(&e);
}

static bool same_id(const struct pipeline_tx *tx, const uint64_t id[3])
{
    return ((tx->id[0] ^ id[0]) | (tx->id[1] ^ id[1]) | (tx->id[2] ^ id[2])) == 0;
}

static uint32_t home_of(const struct pipeline_segment *s, uint32_t tag)
{
    return (uint32_t)((uint64_t)tag * s->cap >> 32);
}

static uint32_t after(const struct pipeline_segment *s, uint32_t slot)
{
    return slot + 1 == s->cap ? 0 : slot + 1;
}

/* Slots from `from` on to `to`, going round. */
static uint32_t distance(const struct pipeline_segment *s, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + s->cap - from;
}

/* The slot that holds id, or PIPELINE_NIL. */
static uint32_t slot_of(const struct pipeline_table *t, const struct pipeline_segment *s,
                        uint32_t tag, const uint64_t id[3])
{
    if (s->cap == 0) {
        return PIPELINE_NIL;
    }
    for (uint32_t i = home_of(s, tag);; i = after(s, i)) {
        if (s->slots[i].idx1 == 0) {
            return PIPELINE_NIL;
        }
        if (s->slots[i].tag == tag && same_id(pipeline_table_at(t, s->slots[i].idx1 - 1), id)) {
            return i;
        }
    }
}

uint32_t pipeline_table_find(const struct pipeline_table *t, struct hash128 h, const uint64_t id[3])
{
    const struct pipeline_segment *s = &t->segments[h.hi >> 58];
    uint32_t slot = slot_of(t, s, (uint32_t)h.hi, id);
    return slot == PIPELINE_NIL ? PIPELINE_NIL : s->slots[slot].idx1 - 1;
}

static void segment_put(struct pipeline_segment *s, struct pipeline_slot x)
{
    uint32_t i = home_of(s, x.tag);
    while (s->slots[i].idx1 != 0) {
        i = after(s, i);
    }
    s->slots[i] = x;
}

static bool segment_resize(struct pipeline_table *t, struct pipeline_segment *s, uint32_t cap)
{
    struct pipeline_segment bigger = {.cap = cap, .count = s->count};
    bigger.slots = mem_take(t->mem, bigger.cap * sizeof *bigger.slots);
    if (!bigger.slots) {
        return false;
    }
    for (uint32_t i = 0; i < s->cap; i++) {
        if (s->slots[i].idx1 != 0) {
            segment_put(&bigger, s->slots[i]);
        }
    }
    mem_give(t->mem, s->slots, s->cap * sizeof *s->slots);
    *s = bigger;
    return true;
}

static bool segment_grow(struct pipeline_table *t, struct pipeline_segment *s)
{
    return segment_resize(t, s, s->cap ? s->cap + s->cap / 2 : SEGMENT_SLOTS);
}

static bool chunk_add(struct pipeline_table *t)
{
    void *chunks = t->chunks;
    if (!mem_array_grow(t->mem, &chunks, &t->chunks_cap, t->chunks_count + 1u,
                        (size_t)t->max / CHUNK + 1, sizeof *t->chunks)) {
        return false;
    }
    t->chunks = chunks;
    t->chunks[t->chunks_count] = mem_take(t->mem, CHUNK * sizeof(struct pipeline_tx));
    if (!t->chunks[t->chunks_count]) {
        return false;
    }
    t->chunks_count++;
    return true;
}

/* A free pool number, or PIPELINE_NIL. */
static uint32_t pool_take(struct pipeline_table *t)
{
    if (t->free_head != PIPELINE_NIL) {
        uint32_t idx = t->free_head;
        t->free_head = pipeline_table_at(t, idx)->next;
        return idx;
    }
    if (t->used_top == t->chunks_count * CHUNK && !chunk_add(t)) {
        return PIPELINE_NIL;
    }
    return t->used_top++;
}

void pipeline_table_reserve(struct pipeline_table *t, uint64_t more)
{
    uint32_t room = t->max > t->count ? t->max - t->count : 0;
    uint32_t each = (uint32_t)(more < room ? more : room) / PIPELINE_SEGMENTS;
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        struct pipeline_segment *s = &t->segments[i];
        /* 5/4: ids do not spread evenly, and 7/8 must not be reached by the fullest. */
        uint64_t cap = ((uint64_t)s->count + each) * 5 / 4 + SEGMENT_SLOTS;
        if (each > 0 && cap > s->cap && !segment_resize(t, s, (uint32_t)cap)) {
            return;
        }
    }
}

void pipeline_table_prefetch(const struct pipeline_table *t, struct hash128 h)
{
    const struct pipeline_segment *s = &t->segments[h.hi >> 58];
    if (s->cap > 0) {
        __builtin_prefetch(&s->slots[home_of(s, (uint32_t)h.hi)]);
    }
}

uint32_t pipeline_table_add(struct pipeline_table *t, struct hash128 h, const uint64_t id[3])
{
    struct pipeline_segment *s = &t->segments[h.hi >> 58];
    ASSERT_SLOW(pipeline_table_find(t, h, id) == PIPELINE_NIL);
    if (t->count >= t->max) {
        return PIPELINE_NIL;
    }
    if (s->count >= s->cap / 8 * 7 && !segment_grow(t, s)) {
        return PIPELINE_NIL;
    }
    uint32_t idx = pool_take(t);
    if (idx == PIPELINE_NIL) {
        return PIPELINE_NIL;
    }
    *pipeline_table_at(t, idx) = (struct pipeline_tx){.id = {id[0], id[1], id[2]}};
    segment_put(s, (struct pipeline_slot){(uint32_t)h.hi, idx + 1});
    s->count++;
    t->count++;
    return idx;
}

void pipeline_table_remove(struct pipeline_table *t, uint32_t idx)
{
    struct pipeline_tx *tx = pipeline_table_at(t, idx);
    struct hash128 h = pipeline_id_hash(tx->id);
    struct pipeline_segment *s = &t->segments[h.hi >> 58];
    uint32_t hole = slot_of(t, s, (uint32_t)h.hi, tx->id);
    ASSERT(hole != PIPELINE_NIL);
    for (uint32_t i = after(s, hole); s->slots[i].idx1 != 0; i = after(s, i)) {
        /* An entry may move back into the hole only if that is not before its home slot. */
        uint32_t home = home_of(s, s->slots[i].tag);
        if (distance(s, home, i) >= distance(s, hole, i)) {
            s->slots[hole] = s->slots[i];
            hole = i;
        }
    }
    s->slots[hole] = (struct pipeline_slot){0, 0};
    s->count--;
    t->count--;
    tx->id[2] = 0;
    tx->next = t->free_head;
    t->free_head = idx;
}
