/* The names cache of one target: raw bytes of a series to its id, in page order.
 *
 *   order_old   entries as the last good page gave them      order   as this page gives them
 *   raw         the names, one behind the other              slots   open addressing by hash
 *
 * A page that names what it named before, in the same order, costs one comparison per series, no
 * hash, and nothing is written: as long as it is `same`, what was noted are the first same_n of
 * order_old, and only at the first difference are they put into `order` and marked as seen. A page
 * that was the same to its end leaves the number of the scrape as it was, so the marks stay true.
 * A name that moved is found by hash, and the expectation goes on behind its old place.
 *
 * Stale is what was tracked in the last good scrape and is not in this one. Two names can mean one
 * series ({a="b"} and {a="b",}); therefore a ref is stale only when no entry that was seen has it.
 *
 * Entries of names that are not given any more are dropped when they are more than the living ones
 * and 1,000; then everything is built anew. Hashes are of 32 bits and compared by bytes
 * afterwards. */
#include "ingest/scrape/loop_int.h"

#include "base/hash.h"

#include <stdlib.h>

#define SLOTS_FIRST   64
#define ENTRIES_MAX   (64U << 20)
#define RAW_BYTES_MAX (UINT32_MAX - 1)
#define DEAD_FREE     1000

void cache_init(struct cache *c, struct mem *m)
{
    *c = (struct cache){.mem = m};
}

void cache_release(struct cache *c)
{
    mem_give(c->mem, c->raw, c->raw_cap);
    mem_give(c->mem, c->v, c->cap * sizeof *c->v);
    mem_give(c->mem, c->slots, c->slots_n * sizeof *c->slots);
    mem_give(c->mem, c->order, c->order_cap * sizeof *c->order);
    mem_give(c->mem, c->order_old, c->order_old_cap * sizeof *c->order_old);
    cache_init(c, c->mem);
}

size_t cache_bytes(const struct cache *c)
{
    return c->raw_cap + c->cap * sizeof *c->v + c->slots_n * sizeof *c->slots +
           (c->order_cap + c->order_old_cap) * sizeof *c->order;
}

static struct str raw_of(const struct cache *c, const struct cache_entry *x)
{
    return str_of(c->raw + x->raw_off, x->raw_n);
}

void cache_begin(struct cache *c)
{
    void *order = c->order;
    c->scrape++;
    c->order_n = 0;
    c->next = 0;
    c->same_n = 0;
    c->same = mem_array_grow(c->mem, &order, &c->order_cap, c->order_old_n, ENTRIES_MAX,
                             sizeof *c->order);
    c->order = order;
}

/* Says what was noted so far in the common way. */
static void differ(struct cache *c)
{
    for (uint32_t i = 0; c->same && i < c->same_n; i++) {
        struct cache_entry *x = &c->v[c->order_old[i]];
        x->seen = c->scrape;
        x->pos = i;
        c->order[i] = c->order_old[i];
        c->order_n = i + 1;
    }
    c->same = false;
}

struct str cache_expect(const struct cache *c)
{
    if (c->next >= c->order_old_n) {
        return str_of(NULL, 0);
    }
    const struct cache_entry *x = &c->v[c->order_old[c->next]];
    return x->orphan ? str_of(NULL, 0) : raw_of(c, x);
}

uint32_t cache_take_expected(struct cache *c)
{
    ASSERT(c->next < c->order_old_n);
    return c->order_old[c->next++];
}

uint32_t cache_find(struct cache *c, struct str raw)
{
    differ(c);
    if (c->slots_n == 0) {
        return UINT32_MAX;
    }
    uint32_t hash = (uint32_t)hash64(raw);
    for (size_t i = hash & (c->slots_n - 1); c->slots[i]; i = (i + 1) & (c->slots_n - 1)) {
        uint32_t at = c->slots[i] - 1;
        const struct cache_entry *x = &c->v[at];
        if (x->hash == hash && str_eq(raw_of(c, x), raw)) {
            c->next = x->seen + 1 == c->scrape ? x->pos + 1 : c->next;
            return at;
        }
    }
    return UINT32_MAX;
}

static void slot_put(struct cache *c, uint32_t hash, uint32_t at)
{
    size_t i = hash & (c->slots_n - 1);
    while (c->slots[i]) {
        i = (i + 1) & (c->slots_n - 1);
    }
    c->slots[i] = at + 1;
}

/* At most two thirds full. */
static bool slots_grow(struct cache *c)
{
    if ((c->n + 1) * 3 <= c->slots_n * 2) {
        return true;
    }
    size_t want = c->slots_n ? c->slots_n * 2 : SLOTS_FIRST;
    uint32_t *slots = mem_take(c->mem, want * sizeof *slots);
    if (!slots) {
        return false;
    }
    mem_give(c->mem, c->slots, c->slots_n * sizeof *c->slots);
    c->slots = slots;
    c->slots_n = want;
    for (size_t i = 0; i < c->n; i++) {
        if (!c->v[i].orphan) {
            slot_put(c, c->v[i].hash, (uint32_t)i);
        }
    }
    return true;
}

uint32_t cache_add(struct cache *c, struct str raw, uint32_t ref)
{
    void *v = c->v;
    void *bytes = c->raw;
    size_t cap = c->cap;
    size_t raw_cap = c->raw_cap;
    bool ok = mem_array_grow(c->mem, &v, &cap, c->n + 1, ENTRIES_MAX, sizeof *c->v);
    c->v = v;
    c->cap = cap;
    ok = ok && mem_array_grow(c->mem, &bytes, &raw_cap, c->raw_n + raw.n, RAW_BYTES_MAX, 1);
    c->raw = bytes;
    c->raw_cap = raw_cap;
    if (!ok || !slots_grow(c)) {
        return UINT32_MAX;
    }
    uint32_t at = (uint32_t)c->n++;
    uint32_t hash = (uint32_t)hash64(raw);
    memcpy(c->raw + c->raw_n, raw.p, raw.n);
    c->v[at] = (struct cache_entry){
        .ref = ref, .raw_off = (uint32_t)c->raw_n, .raw_n = (uint32_t)raw.n, .hash = hash};
    c->raw_n += raw.n;
    slot_put(c, hash, at);
    return at;
}

bool cache_note(struct cache *c, uint32_t entry, bool track)
{
    if (c->same && c->same_n + 1 == c->next && c->order_old[c->same_n] == entry &&
        c->v[entry].track == track) {
        c->same_n++;
        return true;
    }
    differ(c);
    void *order = c->order;
    bool ok = mem_array_grow(c->mem, &order, &c->order_cap, c->order_n + 1, ENTRIES_MAX,
                             sizeof *c->order);
    c->order = order;
    if (!ok) {
        return false;
    }
    struct cache_entry *x = &c->v[entry];
    x->seen = c->scrape;
    x->pos = (uint32_t)c->order_n;
    x->track = track;
    c->order[c->order_n++] = entry;
    return true;
}

/* --- the end of a scrape ------------------------------------------------------------------ */

static int by_ref(const void *a, const void *b)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static uint32_t ref_at(const struct buf *stale, size_t i)
{
    return get_u32le(stale->p + i * sizeof(uint32_t));
}

/* Takes out of the refs those that this page gave under another name, and repetitions: two old
 * names of one series are one marker. */
static void remove_seen(const struct cache *c, struct buf *stale)
{
    size_t n = stale->n / sizeof(uint32_t);
    char *gone = buf_room(stale, n); /* one flag a ref, behind them */
    if (!gone) {
        return;
    }
    memset(gone, 0, n);
    qsort(stale->p, n, sizeof(uint32_t), by_ref);
    for (size_t i = 1; i < n; i++) {
        gone[i] = ref_at(stale, i) == ref_at(stale, i - 1);
    }
    for (size_t i = 0; i < c->order_n; i++) {
        uint32_t ref = c->v[c->order[i]].ref;
        const char *hit = ref ? bsearch(&ref, stale->p, n, sizeof ref, by_ref) : NULL;
        size_t at = hit ? (size_t)(hit - stale->p) / sizeof ref : n;
        while (at > 0 && at < n && ref_at(stale, at - 1) == ref) {
            at--;
        }
        for (; at < n && ref_at(stale, at) == ref; at++) {
            gone[at] = 1;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!gone[i]) {
            put_u32le(stale->p + kept++ * sizeof(uint32_t), ref_at(stale, i));
        }
    }
    stale->n = kept * sizeof(uint32_t);
}

/* Keeps only the entries of `order`, renumbered in page order. Without memory all stay. */
static void rebuild(struct cache *c)
{
    struct cache fresh;
    cache_init(&fresh, c->mem);
    fresh.scrape = c->scrape;
    bool ok = true;
    for (size_t i = 0; ok && i < c->order_old_n; i++) {
        const struct cache_entry *x = &c->v[c->order_old[i]];
        uint32_t at = x->orphan ? UINT32_MAX : cache_find(&fresh, raw_of(c, x));
        at = at == UINT32_MAX ? cache_add(&fresh, raw_of(c, x), x->ref) : at;
        ok = at != UINT32_MAX && cache_note(&fresh, at, x->track);
    }
    if (!ok) {
        cache_release(&fresh);
        return;
    }
    fresh.order_old = fresh.order;
    fresh.order_old_n = fresh.order_n;
    fresh.order_old_cap = fresh.order_cap;
    fresh.order = NULL;
    fresh.order_n = fresh.order_cap = 0;
    cache_release(c);
    *c = fresh;
}

bool cache_end(struct cache *c, bool ok, struct buf *stale)
{
    ASSERT(stale->n == 0);
    if (ok && c->same && c->same_n == c->order_old_n) {
        c->scrape--;
        c->same = false;
        return true;
    }
    differ(c);
    for (size_t i = 0; i < c->order_old_n; i++) {
        const struct cache_entry *x = &c->v[c->order_old[i]];
        if (x->track && x->ref && (!ok || x->seen != c->scrape)) {
            buf_u32le(stale, x->ref);
        }
    }
    if (!ok) {
        c->order_n = 0;
    }
    if (stale->n > 0) {
        remove_seen(c, stale);
    }
    uint32_t *order = c->order_old;
    size_t cap = c->order_old_cap;
    c->order_old = c->order;
    c->order_old_n = c->order_n;
    c->order_old_cap = c->order_cap;
    c->order = order;
    c->order_cap = cap;
    c->order_n = 0;
    if (ok && c->n > c->order_old_n * 2 + DEAD_FREE) {
        rebuild(c);
    }
    return !stale->failed;
}

void cache_forget(struct cache *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->v[i].orphan = true;
        c->v[i].hash = 0;
    }
    if (c->slots_n) {
        memset(c->slots, 0, c->slots_n * sizeof *c->slots);
    }
}
