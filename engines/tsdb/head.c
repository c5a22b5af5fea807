/* The head: what was committed and is not in a block yet, laid out so that appending touches two
 * cache lines of a series and readers need no lock.
 *
 *   slots (by series id, pages of 1024)      chunks, newest first          time columns, shared
 *   +-------+-------+------+------+          +------+------+               +---------------+
 *   | count | chunk | late | used |--------->| v v v|..    |--col,start--->| t t t t t t t |-next->
 *   +-------+-------+------+------+          +------+------+               +---------------+
 *                       |                       | prev
 *                       v                       v
 *                  late samples             older chunk
 *
 * Series that are sampled together share a time column: a chunk says where in the column it begins,
 * and its i-th sample has the column's time start + i. When a series' next time is not what the
 * column has there, a new chunk begins, in the column where the sample before in the batch with the
 * same time went (the cache), or in a column of its own. Columns hold 10, 15, 20 and so on to 32
 * times, and a chunk is never longer than what is left of its column: a generation that is flushed
 * early has little empty space, and none when every series has filled its first chunk (freeze.c).
 *
 * Publication: the committer fills value and time, then stores count with release; a reader loads
 * count with acquire and looks at nothing beyond it. Memory is never moved or reused while a view
 * refers to the generation.
 *
 * A view must not see what was committed after it was opened, and counts go on rising. So before a
 * page of slots changes for the first time after a view was opened, its counts are copied aside
 * (struct slot_old), about 1 ns a series. A reader loads the count, then the page's epoch: when
 * that is not newer than the view's, the count is the view's (a newer count would have brought the
 * newer epoch along); otherwise it asks the copies.
 *
 * Invariants: chunk->base + used == count for the newest chunk; times of a series ascend along its
 * chunks; start + cap <= the column's cap. */
#include "engines/tsdb/head_int.h"

#include "base/hash.h"

#include <string.h>

#define LATE_GONE      UINT32_MAX
#define LATE_SET_START 64

/* -- life -- */

struct gen *gen_new(struct pool *p)
{
    struct gen *g = pool_take_bytes(p, sizeof *g);
    if (g == NULL) {
        return NULL;
    }
    g->pool = p;
    g->refs = 1;
    g->min_ms = INT64_MAX;
    g->max_ms = INT64_MIN;
    g->pages = pool_take_bytes(p, GEN_PAGES_MAX * sizeof *g->pages);
    g->page_bytes = pool_take_bytes(p, GEN_PAGES_MAX * sizeof *g->page_bytes);
    g->slots = pool_take_bytes(p, SLOT_PAGES_MAX * sizeof *g->slots);
    for (size_t i = 0; i < COL_CACHE; i++) {
        g->cache[i].t = NO_TIME;
    }
    if (g->pages == NULL || g->page_bytes == NULL || g->slots == NULL) {
        gen_free(g);
        return NULL;
    }
    return g;
}

static void old_free(struct gen *g, struct slot_old *o)
{
    while (o != NULL) {
        struct slot_old *next = o->next;
        pool_give_bytes(g->pool, o, sizeof *o);
        o = next;
    }
}

static void slots_free(struct gen *g)
{
    uint32_t pages = (g->refs_end + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    for (uint32_t i = 0; i < pages; i++) {
        struct slot_page *p = atomic_load_explicit(&g->slots[i], memory_order_relaxed);
        if (p != NULL) {
            old_free(g, atomic_load_explicit(&p->old, memory_order_relaxed));
            pool_give_bytes(g->pool, p, sizeof *p);
        }
    }
}

void gen_free(struct gen *g)
{
    if (g == NULL) {
        return;
    }
    struct pool *p = g->pool;
    if (g->slots != NULL) {
        slots_free(g);
    }
    for (uint32_t i = 0; g->pages != NULL && i < g->pages_n; i++) {
        char *page = atomic_load_explicit(&g->pages[i], memory_order_relaxed);
        if (g->page_bytes[i] != 0) {
            pool_give_bytes(p, page, g->page_bytes[i]);
        } else {
            pool_give(p, page);
        }
    }
    pool_give_bytes(p, g->lates.v, g->lates.cap * sizeof *g->lates.v);
    pool_give_bytes(p, g->pages, g->pages != NULL ? GEN_PAGES_MAX * sizeof *g->pages : 0);
    pool_give_bytes(p, g->page_bytes,
                    g->page_bytes != NULL ? GEN_PAGES_MAX * sizeof *g->page_bytes : 0);
    pool_give_bytes(p, g->slots, g->slots != NULL ? SLOT_PAGES_MAX * sizeof *g->slots : 0);
    pool_give_bytes(p, g, sizeof *g);
}

/* -- memory of a generation -- */

/* Address of `bytes`, not zeroed; 0 without memory. */
static uint32_t gen_take(struct gen *g, size_t bytes)
{
    uint32_t units = (uint32_t)((bytes + GEN_UNIT_BYTES - 1) / GEN_UNIT_BYTES);
    ASSERT(bytes <= POOL_PAGE_BYTES - GEN_UNIT_BYTES);
    if (__builtin_expect(g->unit_end - g->unit < units, 0)) {
        if (g->pages_n == GEN_PAGES_MAX) {
            return 0;
        }
        char *page = pool_take(g->pool);
        if (page == NULL) {
            return 0;
        }
        atomic_store_explicit(&g->pages[g->pages_n], page, memory_order_relaxed);
        /* Unit 0 of a page is left out, so that no address is 0. */
        g->unit = (g->pages_n << GEN_UNIT_BITS) + 1;
        g->unit_end = (g->pages_n + 1) << GEN_UNIT_BITS;
        g->pages_n++;
        g->bytes += POOL_PAGE_BYTES;
    }
    uint32_t at = g->unit;
    g->unit += units;
    return at;
}

/* A page of its own for something larger than a page. */
static uint32_t gen_take_large(struct gen *g, size_t bytes)
{
    size_t with = bytes + GEN_UNIT_BYTES;
    if (g->pages_n == GEN_PAGES_MAX || with > UINT32_MAX) {
        return 0;
    }
    char *page = pool_take_bytes(g->pool, with);
    if (page == NULL) {
        return 0;
    }
    /* The page that is being filled stays the current one: its addresses do not depend on order. */
    atomic_store_explicit(&g->pages[g->pages_n], page, memory_order_relaxed);
    g->page_bytes[g->pages_n] = (uint32_t)with;
    uint32_t at = (g->pages_n << GEN_UNIT_BITS) + 1;
    g->pages_n++;
    g->bytes += with;
    return at;
}

uint32_t gen_blob(struct gen *g, struct str bytes)
{
    size_t n = sizeof(struct blob) + bytes.n;
    ASSERT(bytes.n <= UINT32_MAX);
    uint32_t at = n <= POOL_PAGE_BYTES - GEN_UNIT_BYTES ? gen_take(g, n) : gen_take_large(g, n);
    if (at != 0) {
        struct blob *b = gen_at(g, at);
        b->n = (uint32_t)bytes.n;
        memcpy(b->p, bytes.p, bytes.n);
    }
    return at;
}

struct str gen_blob_str(const struct gen *g, uint32_t address)
{
    const struct blob *b = gen_at(g, address);
    return str_of(b->p, b->n);
}

struct slot *gen_slot(struct gen *g, uint32_t ref)
{
    ASSERT(ref < REFS_MAX);
    struct slot_page *p =
        atomic_load_explicit(&g->slots[ref / SLOTS_PER_PAGE], memory_order_relaxed);
    if (__builtin_expect(p == NULL, 0)) {
        p = pool_take_bytes(g->pool, sizeof *p);
        if (p == NULL) {
            return NULL;
        }
        g->bytes += sizeof *p;
        atomic_store_explicit(&g->slots[ref / SLOTS_PER_PAGE], p, memory_order_release);
    }
    if (ref >= g->refs_end) {
        g->refs_end = (ref / SLOTS_PER_PAGE + 1) * SLOTS_PER_PAGE;
    }
    return &p->slots[ref % SLOTS_PER_PAGE];
}

/* -- appending -- */

static struct col_place *cache_of(struct gen *g, int64_t t)
{
    return &g->cache[((uint64_t)t * 0x9e3779b97f4a7c15ULL) >> 58];
}
_Static_assert(COL_CACHE == 64, "the six highest bits choose");

static uint32_t col_new(struct gen *g, uint32_t cap, int64_t t)
{
    uint32_t at = gen_take(g, sizeof(struct time_col) + cap * sizeof(int64_t));
    ASSERT(at != 0); /* reserved */
    struct time_col *c = gen_at(g, at);
    c->next = 0;
    c->n = 1;
    c->cap = (uint16_t)cap;
    c->t[0] = t;
    return at;
}

/* Where a chunk that begins with time t can begin. `full`: the column that the series filled, or
 * NULL when it left one in the middle. */
static struct col_place place_of(struct gen *g, struct time_col *full, int64_t t)
{
    struct col_place *cached = cache_of(g, t);
    if (cached->t == t) {
        return *cached;
    }
    uint32_t at = full != NULL ? full->next : 0;
    if (at == 0 || ((const struct time_col *)gen_at(g, at))->t[0] != t) {
        uint32_t cap = CHUNK_SAMPLES_LO;
        if (full != NULL && full->cap < CHUNK_SAMPLES) {
            cap = (uint32_t)size_min((size_t)full->cap + CHUNK_SAMPLES_LO / 2, CHUNK_SAMPLES);
        } else if (full != NULL) {
            cap = CHUNK_SAMPLES;
        }
        uint32_t made = col_new(g, cap, t);
        if (full != NULL && at == 0) {
            full->next = made;
        }
        at = made;
    }
    *cached = (struct col_place){t, at, 0};
    return *cached;
}

static struct chunk *chunk_new(struct gen *g, struct slot *s, struct chunk *last, int64_t t,
                               unsigned kind)
{
    struct time_col *full = NULL;
    if (last != NULL) {
        struct time_col *col = gen_at(g, last->col);
        if (last->start + s->used == col->cap) {
            full = col;
        }
    }
    struct col_place at = place_of(g, full, t);
    const struct time_col *col = gen_at(g, at.col);
    uint32_t cap = (uint32_t)col->cap - at.pos;
    ASSERT(cap > 0);
    size_t sample_bytes = (kind & CHUNK_ST) != 0 ? 16 : 8;
    uint32_t address = gen_take(g, sizeof(struct chunk) + cap * sample_bytes);
    ASSERT(address != 0); /* reserved */
    struct chunk *c = gen_at(g, address);
    c->prev = atomic_load_explicit(&s->chunk, memory_order_relaxed);
    c->col = at.col;
    c->base = atomic_load_explicit(&s->count, memory_order_relaxed);
    c->start = (uint16_t)at.pos;
    c->cap = (uint8_t)cap;
    c->kind = (uint8_t)kind;
    s->used = 0;
    s->cap = (uint8_t)cap;
    s->kind = (uint8_t)kind;
    atomic_store_explicit(&s->chunk, address, memory_order_release);
    return c;
}

/* Whether the chunk's next sample may have this time: the column has it there, or ends there. */
static inline bool col_continues(struct gen *g, struct time_col *col, uint32_t col_at, uint32_t pos,
                                 int64_t t)
{
    if (pos < col->n) {
        return col->t[pos] == t;
    }
    ASSERT(pos == col->n && pos < col->cap);
    col->t[pos] = t;
    col->n++;
    *cache_of(g, t) = (struct col_place){t, col_at, pos};
    return true;
}

void gen_append(struct gen *g, struct slot *s, int64_t t_ms, int64_t st_ms, unsigned kind,
                uint64_t bits)
{
    uint32_t at = atomic_load_explicit(&s->chunk, memory_order_relaxed);
    struct chunk *c = at != 0 ? gen_at(g, at) : NULL;
    /* A chunk that has room for start timestamps goes on without them. */
    if (c == NULL || s->used == s->cap || (s->kind != kind && s->kind != (kind | CHUNK_ST)) ||
        !col_continues(g, gen_at(g, c->col), c->col, (uint32_t)c->start + s->used, t_ms)) {
        c = chunk_new(g, s, c, t_ms, kind);
    }
    c->v[s->used] = bits;
    if ((c->kind & CHUNK_ST) != 0) {
        c->v[c->cap + s->used] = (uint64_t)st_ms;
    }
    s->used++;
    uint32_t count = atomic_load_explicit(&s->count, memory_order_relaxed) + 1;
    ASSERT_SLOW(count == c->base + s->used);
    atomic_store_explicit(&s->count, count, memory_order_release);
}

/* -- late samples -- */

static uint64_t late_hash(uint32_t ref, int64_t t)
{
    uint64_t h = ((uint64_t)ref << 32 | ref) ^ (uint64_t)t * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9ULL;
    return h ^ h >> 32;
}

/* The place of (ref, t), or the empty one where it belongs. cap > n, so the walk ends. */
static size_t late_place(const struct gen *g, const struct late_set *set, uint32_t ref, int64_t t)
{
    size_t i = (size_t)late_hash(ref, t) & (set->cap - 1);
    while (set->v[i] != 0) {
        if (set->v[i] != LATE_GONE) {
            const struct late *l = gen_at(g, set->v[i]);
            if (l->ref == ref && l->t == t) {
                return i;
            }
        }
        i = (i + 1) & (set->cap - 1);
    }
    return i;
}

static bool late_grow(struct gen *g)
{
    struct late_set *set = &g->lates;
    if ((set->n + 1) * 2 <= set->cap) {
        return true;
    }
    struct late_set wider = {.cap = set->cap == 0 ? LATE_SET_START : set->cap * 2};
    wider.v = pool_take_bytes(g->pool, wider.cap * sizeof *wider.v);
    if (wider.v == NULL) {
        return false;
    }
    for (size_t i = 0; i < set->cap; i++) {
        if (set->v[i] != 0 && set->v[i] != LATE_GONE) {
            const struct late *l = gen_at(g, set->v[i]);
            wider.v[late_place(g, &wider, l->ref, l->t)] = set->v[i];
            wider.n++;
        }
    }
    pool_give_bytes(g->pool, set->v, set->cap * sizeof *set->v);
    g->bytes += (wider.cap - set->cap) * sizeof *set->v;
    *set = wider;
    return true;
}

uint32_t gen_late_add(struct gen *g, uint32_t ref, int64_t t_ms, int64_t st_ms, unsigned kind,
                      uint64_t bits)
{
    if (!late_grow(g)) {
        return 0;
    }
    uint32_t at = gen_take(g, sizeof(struct late));
    if (at == 0) {
        return 0;
    }
    struct late *l = gen_at(g, at);
    *l = (struct late){.t = t_ms, .st = st_ms, .bits = bits, .kind = kind, .ref = ref};
    size_t i = late_place(g, &g->lates, ref, t_ms);
    ASSERT(g->lates.v[i] == 0);
    g->lates.v[i] = at;
    g->lates.n++;
    return at;
}

void gen_late_publish(struct gen *g, uint32_t late, uint64_t epoch)
{
    struct late *l = gen_at(g, late);
    struct slot *s = gen_slot(g, l->ref);
    ASSERT(s != NULL); /* made when the sample was checked */
    l->epoch = epoch;
    l->next = atomic_load_explicit(&s->late, memory_order_relaxed);
    atomic_store_explicit(&s->late, late, memory_order_release);
}

void gen_late_undo(struct gen *g, uint32_t late)
{
    const struct late *l = gen_at(g, late);
    size_t i = late_place(g, &g->lates, l->ref, l->t);
    ASSERT(g->lates.v[i] == late);
    g->lates.v[i] = LATE_GONE;
}

const struct late *gen_late_find(const struct gen *g, uint32_t ref, int64_t t_ms)
{
    if (g->lates.cap == 0) {
        return NULL;
    }
    uint32_t at = g->lates.v[late_place(g, &g->lates, ref, t_ms)];
    return at != 0 ? gen_at(g, at) : NULL;
}

bool gen_find(const struct gen *g, uint32_t ref, int64_t t_ms, unsigned *kind, uint64_t *bits)
{
    const struct slot_page *p = gen_slot_page(g, ref);
    if (p == NULL) {
        return false;
    }
    const struct slot *s = &p->slots[ref % SLOTS_PER_PAGE];
    uint32_t n = atomic_load_explicit(&s->count, memory_order_acquire);
    uint32_t at = atomic_load_explicit(&s->chunk, memory_order_acquire);
    while (at != 0) {
        const struct chunk *c = gen_at(g, at);
        const int64_t *t = ((const struct time_col *)gen_at(g, c->col))->t + c->start;
        uint32_t used = n - c->base;
        if (t[0] <= t_ms) {
            for (uint32_t i = 0; i < used; i++) {
                if (t[i] == t_ms) {
                    *kind = c->kind;
                    *bits = c->v[i];
                    return true;
                }
            }
            return false;
        }
        n = c->base;
        at = c->prev;
    }
    return false;
}

/* -- epochs -- */

void gen_page_touch(struct gen *g, struct slot_page *p, uint64_t epoch, uint64_t views_newest,
                    uint64_t views_oldest, bool views_open)
{
    uint64_t modified = atomic_load_explicit(&p->modified, memory_order_relaxed);
    if (modified == epoch) {
        return;
    }
    struct slot_old *old = atomic_load_explicit(&p->old, memory_order_relaxed);
    /* Copies that no open view can ask for are at the end of the list: a reader goes on to the next
     * copy only while the one at hand is too new for it, so it never comes to them. */
    struct slot_old **cut = &old;
    while (*cut != NULL && (p->blurred || (views_open && (*cut)->until > views_oldest))) {
        cut = &(*cut)->next;
    }
    old_free(g, *cut);
    *cut = NULL;
    if (views_open && views_newest >= modified) {
        struct slot_old *o = pool_take_bytes(g->pool, sizeof *o);
        if (o != NULL) {
            o->from = modified;
            o->until = epoch;
            o->next = old;
            for (uint32_t i = 0; i < SLOTS_PER_PAGE; i++) {
                o->counts[i] = atomic_load_explicit(&p->slots[i].count, memory_order_relaxed);
            }
            old = o;
        } else {
            p->blurred = true;
        }
    }
    atomic_store_explicit(&p->old, old, memory_order_release);
    atomic_store_explicit(&p->modified, epoch, memory_order_release);
}

uint32_t gen_count(const struct gen *g, uint32_t ref, uint64_t epoch)
{
    const struct slot_page *p = gen_slot_page(g, ref);
    if (p == NULL) {
        return 0;
    }
    uint32_t i = ref % SLOTS_PER_PAGE;
    uint32_t n = atomic_load_explicit(&p->slots[i].count, memory_order_acquire);
    if (atomic_load_explicit(&p->modified, memory_order_acquire) <= epoch) {
        return n;
    }
    const struct slot_old *o = atomic_load_explicit(&p->old, memory_order_acquire);
    while (o != NULL && o->from > epoch) {
        o = o->next;
    }
    /* None: the memory for a copy was not there (blurred). Later samples may be seen then, which is
     * better than none. */
    return o != NULL && o->until > epoch ? o->counts[i] : n;
}

bool gen_has_late(const struct gen *g, uint32_t ref, uint64_t epoch)
{
    const struct slot_page *p = gen_slot_page(g, ref);
    uint32_t at =
        p != NULL ? atomic_load_explicit(&p->slots[ref % SLOTS_PER_PAGE].late, memory_order_acquire)
                  : 0;
    while (at != 0) {
        const struct late *l = gen_at(g, at);
        if (l->epoch <= epoch) {
            return true;
        }
        at = l->next;
    }
    return false;
}

/* -- series -- */

bool head_new(struct head **out, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct head *h = mem_take(&m, sizeof *h);
    if (h == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the head");
    }
    h->own = m;
    pool_init(&h->pool);
    h->pages = mem_take(&h->pool.mem, SERIES_PAGES * sizeof(struct series_page *));
    if (h->pages == NULL) {
        head_free(h);
        return err_set(e, ERR_NOMEM, "no memory for the head");
    }
    *out = h;
    return true;
}

void head_free(struct head *h)
{
    if (h == NULL) {
        return;
    }
    for (uint32_t i = 0; h->pages != NULL && i < SERIES_PAGES; i++) {
        mem_give(&h->pool.mem, h->pages[i], h->pages[i] != NULL ? sizeof *h->pages[i] : 0);
    }
    mem_give(&h->pool.mem, h->pages,
             h->pages != NULL ? SERIES_PAGES * sizeof(struct series_page *) : 0);
    pool_release(&h->pool);
    ASSERT(h->pool.mem.bytes == 0);
    struct mem m = h->own;
    mem_give(&m, h, sizeof *h);
}

struct series_page *head_page(struct head *h, uint32_t ref)
{
    if (ref >= REFS_MAX) {
        return NULL;
    }
    struct series_page *p = h->pages[ref / SERIES_PER_PAGE];
    if (__builtin_expect(p == NULL, 0)) {
        p = pool_take_bytes(&h->pool, sizeof *p);
        if (p == NULL) {
            return NULL;
        }
        for (uint32_t i = 0; i < SERIES_PER_PAGE; i++) {
            p->v[i].last_t = NO_TIME;
        }
        h->pages[ref / SERIES_PER_PAGE] = p;
    }
    return p;
}
