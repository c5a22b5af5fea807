/* Reading columns. A cursor remembers what the next columns are likely to need: decoded lists of
 * times (the series of one scrape share one) and the values of histogram buckets (the next bucket
 * is coded against them). Both are small direct-mapped caches: a collision costs a second decoding,
 * never a wrong answer, because a slot says whose it is.
 *
 * A bucket whose neighbour is not remembered is decoded from the beginning of its chain, at most
 * BLOCK_CHAIN_MAX columns. Walks in the order of writing, by id (a scrape lists its buckets in
 * order) and by label set (where equal bounds of many histograms follow each other) all find the
 * neighbour in the cache as long as fewer than chain_slots histograms are walked at a time. */
#include "base/hash.h"
#include "engines/tsdb/block_file_int.h"

#define TIME_SLOTS  64
#define TIME_WAYS   4 /* places beside each other where a list of times may be */
#define CHAIN_SLOTS 256
#define SLOT_N_MAX  1024 /* longer columns share the one slot beyond the table */

struct tslot {
    uint64_t block; /* 0 = empty */
    uint32_t tim, n;
    int64_t *t;
    size_t cap;
    /* The range that was asked for last, and its places: the next series asks for it too. */
    int64_t from_ms, to_ms;
    uint32_t lo, hi;
};

struct vslot {
    uint64_t block; /* 0 = empty */
    uint32_t off, lo, hi;
    double *v;
    size_t cap;
};

struct block_cursor {
    struct mem *mem;
    struct col_scratch *scratch;
    uint32_t tslots_n, vslots_n; /* powers of two; one more stands behind each table */
    struct tslot *tslots;
    struct vslot *vslots;
    double *work[2]; /* links of a chain on the way to the one asked for */
    size_t work_cap[2];
};

struct block_cursor *block_cursor_sized(struct mem *m, uint32_t time_slots, uint32_t chain_slots)
{
    struct block_cursor *c = mem_take(m, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->mem = m;
    c->tslots_n = time_slots;
    c->vslots_n = chain_slots;
    c->scratch = col_scratch_new(m);
    c->tslots = mem_take(m, (time_slots + 1) * sizeof *c->tslots);
    c->vslots = mem_take(m, (chain_slots + 1) * sizeof *c->vslots);
    if (c->scratch == NULL || c->tslots == NULL || c->vslots == NULL) {
        block_cursor_free(c);
        return NULL;
    }
    return c;
}

struct block_cursor *block_cursor_new(struct mem *m)
{
    return block_cursor_sized(m, TIME_SLOTS, CHAIN_SLOTS);
}

void block_cursor_free(struct block_cursor *c)
{
    if (c == NULL) {
        return;
    }
    for (uint32_t i = 0; c->tslots != NULL && i <= c->tslots_n; i++) {
        mem_give(c->mem, c->tslots[i].t, c->tslots[i].cap * sizeof *c->tslots[i].t);
    }
    for (uint32_t i = 0; c->vslots != NULL && i <= c->vslots_n; i++) {
        mem_give(c->mem, c->vslots[i].v, c->vslots[i].cap * sizeof *c->vslots[i].v);
    }
    mem_give(c->mem, c->tslots, c->tslots != NULL ? (c->tslots_n + 1) * sizeof *c->tslots : 0);
    mem_give(c->mem, c->vslots, c->vslots != NULL ? (c->vslots_n + 1) * sizeof *c->vslots : 0);
    mem_give(c->mem, c->work[0], c->work_cap[0] * sizeof *c->work[0]);
    mem_give(c->mem, c->work[1], c->work_cap[1] * sizeof *c->work[1]);
    if (c->scratch != NULL) {
        col_scratch_free(c->scratch);
    }
    mem_give(c->mem, c, sizeof *c);
}

static bool damaged(struct err *e, const struct block *b, const char *what)
{
    return err_set(e, ERR_CORRUPT, "block %016llx is damaged: %s", (unsigned long long)b->info.id,
                   what);
}

static bool room(struct mem *m, void **p, size_t *cap, size_t n, struct err *e)
{
    _Static_assert(sizeof(double) == sizeof(int64_t), "one size of element");
    return mem_array_grow(m, p, cap, n + COL_SLACK, 2 * COL_VALUES_MAX, sizeof(double)) ||
           err_set(e, ERR_NOMEM, "no memory for a column of %zu samples", n);
}

static uint32_t slot_of(uint64_t block, uint32_t number, uint32_t n, uint32_t slots)
{
    uint64_t x = (block << 32 ^ number) * 0x9e3779b97f4a7c15ULL;
    return n > SLOT_N_MAX ? slots : (uint32_t)(x >> 40) & (slots - 1);
}

/* --- times ------------------------------------------------------------------------------------ */

static bool times_ascend(const int64_t *t, const struct block_times *want)
{
    bool ok = t[0] == want->min_ms && t[want->n - 1] == want->max_ms;
    for (uint32_t i = 1; i < want->n; i++) {
        ok &= t[i - 1] < t[i];
    }
    return ok;
}

/* The slot that holds the list, or else the one it is to have: the blocks of a query are few, and
 * two that take turns in one slot would decode their times for every series. */
static struct tslot *times_slot(struct block_cursor *c, uint64_t block, uint32_t tim, uint32_t n)
{
    const uint32_t home = slot_of(block, tim, n, c->tslots_n);
    const uint32_t ways = home < c->tslots_n ? TIME_WAYS : 1;
    struct tslot *free = &c->tslots[home];
    for (uint32_t i = 0; i < ways; i++) {
        struct tslot *s = &c->tslots[home + i < c->tslots_n ? home + i : home];
        if (s->block == block && s->tim == tim && s->n == n) {
            return s;
        }
        free = free->block != 0 && s->block == 0 ? s : free;
    }
    return free;
}

static bool times_read(const struct block *b, struct block_cursor *c, uint32_t tim,
                       struct tslot **out, struct err *e)
{
    struct block_times x = block_times_at(b, tim);
    struct tslot *s = times_slot(c, b->info.id, tim, x.n);
    *out = s;
    if (s->block == b->info.id && s->tim == tim && s->n == x.n) {
        return true;
    }
    struct str bytes = str_of((const char *)b->map.p + x.off, x.len);
    void *p = s->t;
    s->block = 0;
    if (hash_crc32c(bytes) != x.crc) {
        return damaged(e, b, "checksum of a list of times");
    }
    if (!room(c->mem, &p, &s->cap, x.n, e)) {
        return false;
    }
    s->t = p;
    if (!col_times_decode(c->scratch, bytes, x.n, s->t, e)) {
        return false;
    }
    if (!times_ascend(s->t, &x)) {
        return damaged(e, b, "times that do not ascend");
    }
    s->block = b->info.id;
    s->tim = tim;
    s->n = x.n;
    s->from_ms = INT64_MIN;
    s->to_ms = INT64_MAX;
    s->lo = 0;
    s->hi = x.n;
    return true;
}

/* First place of t whose time is not before at. */
static uint32_t lower(const int64_t *t, uint32_t n, int64_t at)
{
    uint32_t low = 0;
    uint32_t high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t[middle] < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void times_range(struct tslot *s, int64_t from_ms, int64_t to_ms)
{
    if (s->from_ms != from_ms || s->to_ms != to_ms) {
        s->from_ms = from_ms;
        s->to_ms = to_ms;
        s->lo = lower(s->t, s->n, from_ms);
        s->hi = to_ms == INT64_MAX ? s->n : lower(s->t, s->n, to_ms + 1);
        s->hi = s->hi > s->lo ? s->hi : s->lo;
    }
}

/* --- values ----------------------------------------------------------------------------------- */

/* Places [lo, hi) of columns of n. */
struct part {
    uint32_t n, lo, hi;
};

static struct vslot *chain_slot(struct block_cursor *c, const struct block *b, uint32_t off,
                                const struct part *p)
{
    return &c->vslots[slot_of(b->info.id, off, p->hi - p->lo, c->vslots_n)];
}

static const double *chain_find(struct block_cursor *c, const struct block *b, uint32_t off,
                                const struct part *p)
{
    const struct vslot *s = chain_slot(c, b, off, p);
    bool same = s->block == b->info.id && s->off == off && s->lo == p->lo && s->hi == p->hi;
    return same ? s->v : NULL;
}

/* Best effort: without memory nothing is remembered. */
static void chain_keep(struct block_cursor *c, const struct block *b, uint32_t off, const double *v,
                       const struct part *part)
{
    const uint32_t n = part->hi - part->lo;
    struct vslot *s = chain_slot(c, b, off, part);
    void *p = s->v;
    s->block = 0;
    if (!room(c->mem, &p, &s->cap, n, NULL)) {
        return;
    }
    s->v = p;
    memcpy(s->v, v, n * sizeof *v);
    s->block = b->info.id;
    s->off = off;
    s->lo = part->lo;
    s->hi = part->hi;
}

/* The values that the record at off is coded against: from the cache, or by decoding its chain.
 * They borrow the cursor. */
static bool chain_read(const struct block *b, struct block_cursor *c, uint32_t off,
                       const struct part *part, const double **out, struct err *e)
{
    struct str links[BLOCK_CHAIN_MAX];
    uint32_t depth = 0;
    const double *v = chain_find(c, b, off, part);
    while (v == NULL) {
        struct block_record r;
        if (depth == BLOCK_CHAIN_MAX) {
            return damaged(e, b, "a chain of columns is too long");
        }
        if (!block_record_validate(b, off, &r, e)) {
            return false;
        }
        links[depth++] = r.values;
        if ((r.flags & BLOCK_CHAINED) == 0) {
            break;
        }
        off -= r.back;
        v = chain_find(c, b, off, part);
    }
    for (unsigned k = 0; depth > 0; k ^= 1) {
        void *p = c->work[k];
        if (!room(c->mem, &p, &c->work_cap[k], part->hi - part->lo, e)) {
            return false;
        }
        c->work[k] = p;
        depth--;
        if (col_values_uses_ref(links[depth]) != (v != NULL)) {
            return damaged(e, b, "a column and its codec do not agree");
        }
        if (!col_values_decode_part(c->scratch, links[depth], v, part->n, part->lo, part->hi,
                                    c->work[k], e)) {
            return false;
        }
        v = c->work[k];
    }
    *out = v;
    return true;
}

static bool floats_read(const struct block *b, struct block_cursor *c, uint32_t off,
                        const struct block_record *r, const struct part *p, double *v,
                        struct err *e)
{
    const double *ref = NULL;
    if (r->values.n == 0 && (r->flags & BLOCK_HAS_HISTS) != 0) {
        memset(v, 0, (p->hi - p->lo) * sizeof *v); /* every sample is a histogram */
        return true;
    }
    if (((r->flags & BLOCK_CHAINED) != 0) != col_values_uses_ref(r->values)) {
        return damaged(e, b, "a column and its codec do not agree");
    }
    if ((r->flags & BLOCK_CHAINED) != 0 && !chain_read(b, c, off - r->back, p, &ref, e)) {
        return false;
    }
    if (!col_values_decode_part(c->scratch, r->values, ref, p->n, p->lo, p->hi, v, e)) {
        return false;
    }
    if ((r->flags & BLOCK_FAMILY) != 0) {
        chain_keep(c, b, off, v, p);
    }
    return true;
}

/* Histograms and start times are decoded whole, and cut. */
static bool rest_read(struct block_cursor *c, const struct block_record *r, const struct part *p,
                      double *v, struct nhist **h, struct arena *hists, int64_t *st, struct err *e)
{
    const uint32_t n = p->hi - p->lo;
    if ((r->flags & BLOCK_HAS_HISTS) != 0) {
        ASSERT(h != NULL);
        if (!col_nhists_decode(c->scratch, r->hists, p->n, hists, h, e)) {
            return false;
        }
        memmove(h, h + p->lo, n * sizeof(struct nhist *));
        for (uint32_t i = 0; i < n; i++) {
            v[i] = h[i] != NULL ? h[i]->sum : v[i];
        }
    }
    if ((r->flags & BLOCK_HAS_ST) != 0) {
        ASSERT(st != NULL);
        if (!col_ints_decode(c->scratch, r->st, p->n, st, e)) {
            return false;
        }
        memmove(st, st + p->lo, n * sizeof *st);
    }
    return true;
}

bool block_read_part(struct block *b, struct block_cursor *c, uint32_t i, int64_t from_ms,
                     int64_t to_ms, struct block_span *out, double *v, struct nhist **h,
                     struct arena *hists, int64_t *st, struct err *e)
{
    ASSERT(i < b->info.columns);
    uint32_t off = get_u32le(b->offs + (size_t)i * 4);
    unsigned flags = b->flags != NULL ? b->flags[i] : 0;
    struct block_record r;
    struct tslot *s;
    if (!block_record_validate(b, off, &r, e) || !times_read(b, c, block_tim_at(b, i), &s, e)) {
        return false;
    }
    if ((r.flags & BLOCK_DIR_FLAGS) != (flags & BLOCK_DIR_FLAGS)) {
        return damaged(e, b, "a column and the directory do not agree");
    }
    times_range(s, from_ms, to_ms);
    const struct part p = {s->n, s->lo, s->hi};
    *out = (struct block_span){s->t + s->lo, s->hi - s->lo};
    if (out->n == 0) {
        return true;
    }
    return floats_read(b, c, off, &r, &p, v, e) && rest_read(c, &r, &p, v, h, hists, st, e);
}

bool block_read(struct block *b, struct block_cursor *c, uint32_t i, const int64_t **t, double *v,
                struct nhist **h, struct arena *hists, int64_t *st, struct err *e)
{
    struct block_span all;
    if (!block_read_part(b, c, i, INT64_MIN, INT64_MAX, &all, v, h, hists, st, e)) {
        return false;
    }
    *t = all.t;
    return true;
}

bool block_cursor_times(struct block *b, struct block_cursor *c, uint32_t i, const int64_t **t,
                        uint32_t *n, struct err *e)
{
    struct tslot *s;
    ASSERT(i < b->info.columns);
    if (!times_read(b, c, block_tim_at(b, i), &s, e)) {
        return false;
    }
    *t = s->t;
    *n = s->n;
    return true;
}
