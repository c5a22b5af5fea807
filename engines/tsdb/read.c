/* Reading one series: its columns in blocks, chunks in the head and late samples, as one column.
 *
 * Every piece (a column of a block, a chunk, a run of late samples) has bounds. Where pieces do not
 * overlap, which is the rule, they are put one behind the other in order of time. Where some do,
 * they are put in order of age (blocks by seq, then the frozen generation, then the active one),
 * sorted by time with age as the second key, and of equal times the youngest stays.
 *
 * A column of a block that is damaged is left out and counted; the rest of the series is answered.
 * Deletions concern blocks only (tombs_int.h): they are filtered as a piece is put. */
#include "engines/tsdb/view_int.h"

#include "engines/tsdb/merge_int.h"

#include <stdlib.h>
#include <string.h>

#define HISTS_BYTES_MAX ((size_t)1 << 30)
#define PIECES_MAX      ((size_t)1 << 20)

enum piece_kind { PIECE_BLOCK, PIECE_CHUNK, PIECE_LATE };

struct piece {
    enum piece_kind kind;
    uint32_t at; /* column of the block, address of the chunk or late sample */
    uint32_t n;  /* samples, before the range is looked at */
    const struct gen *gen;
    struct block_ref *block;
    int64_t min_ms, max_ms;
    uint32_t age; /* position in order of age */
    bool has_h, has_st;
};

struct order { /* of one sample, when pieces overlap */
    int64_t t;
    uint32_t i;
};

struct read_scratch {
    struct block_cursor *cursor;
    struct piece *pieces;
    size_t pieces_n, pieces_cap;
    struct order *order;
    void *spare; /* of the same size as order */
    size_t order_cap, spare_cap;
    /* The arrays behind c->h and c->st, which are NULL when the range has none. */
    struct nhist **h;
    int64_t *st;
};

void tsdb_column_init(struct tsdb_column *c, struct mem *m)
{
    *c = (struct tsdb_column){.mem = m};
    arena_init(&c->hists, m, HISTS_BYTES_MAX);
}

void tsdb_column_release(struct tsdb_column *c)
{
    struct read_scratch *s = c->scratch;
    mem_give(c->mem, c->t, c->t_cap * sizeof *c->t);
    mem_give(c->mem, c->v, c->v_cap * sizeof *c->v);
    if (s != NULL) {
        block_cursor_free(s->cursor);
        mem_give(c->mem, s->pieces, s->pieces_cap * sizeof *s->pieces);
        mem_give(c->mem, s->order, s->order_cap * sizeof *s->order);
        mem_give(c->mem, s->spare, s->spare_cap);
        mem_give(c->mem, s->h, c->h_cap * sizeof(struct nhist *));
        mem_give(c->mem, s->st, c->st_cap * sizeof *s->st);
        mem_give(c->mem, s, sizeof *s);
    }
    arena_release(&c->hists);
    struct mem *m = c->mem;
    *c = (struct tsdb_column){.mem = m};
}

static bool nomem(struct err *e)
{
    return err_set(e, ERR_LIMIT, "reading needs more memory than the query may use");
}

static struct read_scratch *scratch(struct tsdb_column *c)
{
    if (c->scratch == NULL) {
        c->scratch = mem_take(c->mem, sizeof(struct read_scratch));
    }
    return c->scratch;
}

/* -- pieces -- */

static struct piece *piece_add(struct tsdb_column *c)
{
    struct read_scratch *s = c->scratch;
    void *p = s->pieces;
    if (s->pieces_n == s->pieces_cap && !mem_array_grow(c->mem, &p, &s->pieces_cap, s->pieces_n + 1,
                                                        PIECES_MAX, sizeof *s->pieces)) {
        return NULL;
    }
    s->pieces = p;
    struct piece *x = &s->pieces[s->pieces_n];
    *x = (struct piece){.age = (uint32_t)s->pieces_n};
    s->pieces_n++;
    return x;
}

static bool pieces_of_block(struct tsdb_column *c, struct block_ref *r, uint32_t ref,
                            int64_t from_ms, int64_t to_ms)
{
    const struct block_info *info = block_info(r->block);
    if (info->min_ms > to_ms || info->max_ms < from_ms) {
        return true;
    }
    uint32_t first = 0;
    uint32_t n = block_find(r->block, ref, 0, &first);
    for (uint32_t i = first; i < first + n; i++) {
        struct block_entry en;
        block_entry(r->block, i, &en);
        if (en.min_ms > to_ms || en.max_ms < from_ms || en.n == 0) {
            continue;
        }
        struct piece *x = piece_add(c);
        if (x == NULL) {
            return false;
        }
        x->kind = PIECE_BLOCK;
        x->at = i;
        x->n = en.n;
        x->block = r;
        x->min_ms = en.min_ms;
        x->max_ms = en.max_ms;
        x->has_h = en.has_nhists;
        x->has_st = en.has_st;
    }
    return true;
}

static bool piece_of_chunk(struct tsdb_column *c, const struct gen *g, uint32_t at, uint32_t n)
{
    const struct chunk *k = gen_at(g, at);
    const int64_t *t = ((const struct time_col *)gen_at(g, k->col))->t + k->start;
    struct piece *x = piece_add(c);
    if (x == NULL) {
        return false;
    }
    x->kind = PIECE_CHUNK;
    x->at = at;
    x->n = n;
    x->gen = g;
    x->min_ms = t[0];
    x->max_ms = t[n - 1];
    x->has_h = (k->kind & CHUNK_HIST) != 0;
    x->has_st = (k->kind & CHUNK_ST) != 0;
    return true;
}

static bool pieces_of_gen(struct tsdb_column *c, const struct view_gen *vg, uint64_t epoch,
                          uint32_t ref, int64_t from_ms, int64_t to_ms)
{
    const struct gen *g = vg->gen;
    const struct slot_page *p = g != NULL ? gen_slot_page(g, ref) : NULL;
    if (p == NULL || vg->min_ms > to_ms || vg->max_ms < from_ms) {
        return true;
    }
    const struct slot *s = &p->slots[ref % SLOTS_PER_PAGE];
    uint32_t n = gen_count(g, ref, epoch);
    uint32_t at = n > 0 ? atomic_load_explicit(&s->chunk, memory_order_acquire) : 0;
    while (at != 0) {
        const struct chunk *k = gen_at(g, at);
        if (k->base < n) {
            const int64_t *t = ((const struct time_col *)gen_at(g, k->col))->t + k->start;
            uint32_t used = n - k->base;
            if (t[used - 1] < from_ms) {
                break; /* older ones too */
            }
            if (t[0] <= to_ms && !piece_of_chunk(c, g, at, used)) {
                return false;
            }
            n = k->base;
        }
        at = k->prev;
    }
    at = atomic_load_explicit(&s->late, memory_order_acquire);
    while (at != 0) {
        const struct late *l = gen_at(g, at);
        if (l->epoch <= epoch && l->t >= from_ms && l->t <= to_ms) {
            struct piece *x = piece_add(c);
            if (x == NULL) {
                return false;
            }
            *x = (struct piece){.kind = PIECE_LATE,
                                .at = at,
                                .n = 1,
                                .gen = g,
                                .age = x->age,
                                .min_ms = l->t,
                                .max_ms = l->t,
                                .has_h = (l->kind & CHUNK_HIST) != 0,
                                .has_st = l->st != 0};
        }
        at = l->next;
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct piece *x = a;
    const struct piece *y = b;
    if (x->min_ms != y->min_ms) {
        return x->min_ms < y->min_ms ? -1 : 1;
    }
    return x->age < y->age ? -1 : x->age > y->age;
}

static int by_age(const void *a, const void *b)
{
    const struct piece *x = a;
    const struct piece *y = b;
    return x->age < y->age ? -1 : x->age > y->age;
}

/* Puts the pieces in order of time; false when some overlap, and then in order of age. */
static bool pieces_order(struct read_scratch *s)
{
    bool sorted = true;
    for (size_t i = 1; i < s->pieces_n && sorted; i++) {
        sorted = s->pieces[i - 1].max_ms < s->pieces[i].min_ms;
    }
    if (sorted) {
        return true;
    }
    qsort(s->pieces, s->pieces_n, sizeof *s->pieces, by_time);
    for (size_t i = 1; i < s->pieces_n; i++) {
        if (s->pieces[i - 1].max_ms >= s->pieces[i].min_ms) {
            qsort(s->pieces, s->pieces_n, sizeof *s->pieces, by_age);
            return false;
        }
    }
    return true;
}

/* -- room -- */

static bool grow(struct tsdb_column *c, void **p, size_t *cap, size_t want, size_t element)
{
    return *cap >= want || mem_array_grow(c->mem, p, cap, want, SIZE_MAX / 16, element);
}

static bool column_room(struct tsdb_column *c, size_t n, bool has_h, bool has_st)
{
    struct read_scratch *s = c->scratch;
    void *t = c->t;
    void *v = c->v;
    void *h = s->h;
    void *st = s->st;
    bool ok = grow(c, &t, &c->t_cap, n, sizeof *c->t);
    c->t = t;
    ok = ok && grow(c, &v, &c->v_cap, n, sizeof *c->v);
    c->v = v;
    ok = ok && (!has_h || grow(c, &h, &c->h_cap, n, sizeof *c->h));
    s->h = h;
    ok = ok && (!has_st || grow(c, &st, &c->st_cap, n, sizeof *c->st));
    s->st = st;
    c->h = has_h ? s->h : NULL;
    c->st = has_st ? s->st : NULL;
    return ok;
}

/* -- putting a piece behind what is there -- */

static bool damaged(struct tsdb *db, struct block_ref *r, const struct err *why, struct err *e)
{
    if (why->code != ERR_CORRUPT) {
        if (e != NULL) {
            *e = *why;
        }
        return false;
    }
    if (!atomic_exchange(&r->damaged, true)) {
        db->counters.blocks_damaged++;
        log_err(db->log, LOG_ERROR, "tsdb", why);
    }
    db->counters.columns_damaged++;
    return true;
}

static bool put_block(struct tsdb_view *v, struct tsdb_column *c, const struct piece *x,
                      int64_t from_ms, int64_t to_ms, struct err *e)
{
    struct read_scratch *s = c->scratch;
    if (s->cursor == NULL && (s->cursor = block_cursor_new(c->mem)) == NULL) {
        return nomem(e);
    }
    struct block_span in;
    struct err why = {.code = ERR_NONE};
    if (!block_read_part(x->block->block, s->cursor, x->at, from_ms, to_ms, &in, c->v + c->n,
                         x->has_h ? c->h + c->n : NULL, &c->hists, x->has_st ? c->st + c->n : NULL,
                         &why)) {
        return damaged(v->db, x->block, &why, e);
    }
    if (c->h != NULL && !x->has_h) {
        memset(c->h + c->n, 0, in.n * sizeof(struct nhist *));
    }
    if (c->st != NULL && !x->has_st) {
        memset(c->st + c->n, 0, in.n * sizeof *c->st);
    }
    memcpy(c->t + c->n, in.t, in.n * sizeof *in.t);
    uint32_t before = c->n;
    c->n += in.n;
    if (v->tombs == NULL) {
        return true;
    }
    struct block_entry en;
    block_entry(x->block->block, x->at, &en);
    uint32_t list_n = 0;
    const struct tomb *list = tombs_of(v->tombs, en.ref, &list_n);
    if (list_n > 0) {
        c->n =
            before + tombs_filter(list, list_n, block_info(x->block->block)->seq, c->t + before,
                                  c->t + before, c->v + before, c->h != NULL ? c->h + before : NULL,
                                  c->st != NULL ? c->st + before : NULL, c->n - before);
    }
    return true;
}

static bool put_value(struct tsdb_column *c, const struct gen *g, uint32_t at, bool hist,
                      uint64_t bits, struct err *e)
{
    if (c->h != NULL) {
        c->h[at] = NULL;
    }
    if (!hist) {
        memcpy(&c->v[at], &bits, sizeof bits);
        return true;
    }
    struct rd r = rd_of(gen_blob_str(g, (uint32_t)bits));
    if (!nhist_decode(&r, &c->hists, &c->h[at], e)) {
        return false;
    }
    c->v[at] = c->h[at]->sum;
    return true;
}

static bool put_chunk(struct tsdb_column *c, const struct piece *x, int64_t from_ms, int64_t to_ms,
                      struct err *e)
{
    const struct chunk *k = gen_at(x->gen, x->at);
    const int64_t *t = ((const struct time_col *)gen_at(x->gen, k->col))->t + k->start;
    uint32_t lo = 0;
    uint32_t hi = x->n;
    while (lo < hi && t[lo] < from_ms) {
        lo++;
    }
    while (hi > lo && t[hi - 1] > to_ms) {
        hi--;
    }
    uint32_t n = hi - lo;
    memcpy(c->t + c->n, t + lo, n * sizeof *t);
    if (x->has_h) {
        for (uint32_t i = 0; i < n; i++) {
            if (!put_value(c, x->gen, c->n + i, true, k->v[lo + i], e)) {
                return false;
            }
        }
    } else {
        memcpy(c->v + c->n, k->v + lo, n * sizeof *c->v);
        if (c->h != NULL) {
            memset(c->h + c->n, 0, n * sizeof(struct nhist *));
        }
    }
    if (c->st != NULL) {
        if (x->has_st) {
            memcpy(c->st + c->n, k->v + k->cap + lo, n * sizeof *c->st);
        } else {
            memset(c->st + c->n, 0, n * sizeof *c->st);
        }
    }
    c->n += n;
    return true;
}

static bool put_late(struct tsdb_column *c, const struct piece *x, struct err *e)
{
    const struct late *l = gen_at(x->gen, x->at);
    c->t[c->n] = l->t;
    if (c->st != NULL) {
        c->st[c->n] = l->st;
    }
    if (!put_value(c, x->gen, c->n, x->has_h, l->bits, e)) {
        return false;
    }
    c->n++;
    return true;
}

/* -- overlap -- */

static int order_cmp(const void *a, const void *b)
{
    const struct order *x = a;
    const struct order *y = b;
    if (x->t != y->t) {
        return x->t < y->t ? -1 : 1;
    }
    return x->i < y->i ? -1 : x->i > y->i;
}

/* Gathers 8-byte elements in the new order. */
static void permute(void *array, void *spare, const struct order *o, uint32_t n)
{
    uint64_t *from = array;
    uint64_t *to = spare;
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[o[i].i];
    }
    memcpy(from, to, n * sizeof *to);
}

/* The samples stand in order of age: sorts by time, and of equal times keeps the youngest. */
static bool column_sort(struct tsdb_column *c, struct err *e)
{
    struct read_scratch *s = c->scratch;
    void *o = s->order;
    void *spare = s->spare;
    bool ok = grow(c, &o, &s->order_cap, c->n, sizeof *s->order);
    s->order = o;
    ok = ok && grow(c, &spare, &s->spare_cap, (size_t)c->n * 8, 1);
    s->spare = spare;
    if (!ok) {
        return nomem(e);
    }
    for (uint32_t i = 0; i < c->n; i++) {
        s->order[i] = (struct order){c->t[i], i};
    }
    if (c->n < 2) {
        return true;
    }
    qsort(s->order, c->n, sizeof *s->order, order_cmp);
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (i + 1 == c->n || s->order[i].t != s->order[i + 1].t) {
            s->order[n++] = s->order[i];
        }
    }
    permute(c->t, s->spare, s->order, n);
    permute(c->v, s->spare, s->order, n);
    if (c->h != NULL) {
        permute(c->h, s->spare, s->order, n);
    }
    if (c->st != NULL) {
        permute(c->st, s->spare, s->order, n);
    }
    c->n = n;
    return true;
}
_Static_assert(sizeof(struct nhist *) == 8, "permute moves elements of 8 bytes");

/* -- the whole -- */

static bool pieces_find(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
                        struct tsdb_column *c)
{
    struct read_scratch *s = c->scratch;
    s->pieces_n = 0;
    for (uint32_t k = 0; k < v->blocks->n; k++) {
        if (!pieces_of_block(c, v->blocks->v[k], ref, from_ms, to_ms)) {
            return false;
        }
    }
    for (size_t k = 0; k < 2; k++) {
        size_t from = s->pieces_n;
        if (!pieces_of_gen(c, &v->gens[k], v->epoch, ref, from_ms, to_ms)) {
            return false;
        }
        /* Chunks come newest first. */
        for (size_t i = from, j = s->pieces_n; i + 1 < j; i++, j--) {
            struct piece swap = s->pieces[i];
            s->pieces[i] = s->pieces[j - 1];
            s->pieces[j - 1] = swap;
        }
        for (size_t i = from; i < s->pieces_n; i++) {
            s->pieces[i].age = (uint32_t)i;
        }
    }
    return true;
}

static void hists_drop(struct tsdb_column *c)
{
    for (uint32_t i = 0; c->h != NULL && i < c->n; i++) {
        if (c->h[i] != NULL) {
            return;
        }
    }
    c->h = NULL;
}

static void starts_drop(struct tsdb_column *c)
{
    for (uint32_t i = 0; c->st != NULL && i < c->n; i++) {
        if (c->st[i] != 0) {
            return;
        }
    }
    c->st = NULL;
}

/* Pieces of the head alone, when it reaches past every block: then no block has anything newer. */
static bool pieces_find_newest(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
                               struct tsdb_column *c)
{
    struct read_scratch *s = c->scratch;
    s->pieces_n = 0;
    int64_t blocks_ms = INT64_MIN, head_ms = INT64_MIN;
    for (uint32_t k = 0; k < v->blocks->n; k++) {
        blocks_ms = i64_max(blocks_ms, block_info(v->blocks->v[k]->block)->max_ms);
    }
    for (size_t k = 0; k < 2; k++) {
        if (!pieces_of_gen(c, &v->gens[k], v->epoch, ref, from_ms, to_ms)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->pieces_n; i++) {
        head_ms = i64_max(head_ms, s->pieces[i].min_ms);
    }
    return head_ms > blocks_ms || pieces_find(v, ref, from_ms, to_ms, c);
}

/* The newest sample up to to_ms is at this time or later: a piece that ends before to_ms has its
 * last one there, any other has at least its first. Pieces that end earlier are dropped. */
static int64_t pieces_keep_newest(struct read_scratch *s, int64_t to_ms)
{
    int64_t floor_ms = INT64_MIN;
    size_t n = 0;
    for (size_t i = 0; i < s->pieces_n; i++) {
        const struct piece *x = &s->pieces[i];
        floor_ms = i64_max(floor_ms, x->max_ms <= to_ms ? x->max_ms : x->min_ms);
    }
    for (size_t i = 0; i < s->pieces_n; i++) {
        if (s->pieces[i].max_ms >= floor_ms) {
            s->pieces[n++] = s->pieces[i];
        }
    }
    s->pieces_n = n;
    return floor_ms;
}

static bool column_begin(struct tsdb_column *c, struct err *e)
{
    c->n = 0;
    c->h = NULL;
    c->st = NULL;
    arena_reset(&c->hists);
    return scratch(c) != NULL || nomem(e);
}

/* Everything of the pieces that is in the range. */
static bool pieces_read(struct tsdb_view *v, int64_t from_ms, int64_t to_ms, uint32_t samples_max,
                        struct tsdb_column *c, struct err *e)
{
    struct read_scratch *s = c->scratch;
    size_t total = 0;
    bool has_h = false;
    bool has_st = false;
    for (size_t i = 0; i < s->pieces_n; i++) {
        total += s->pieces[i].n;
        has_h |= s->pieces[i].has_h;
        has_st |= s->pieces[i].has_st;
    }
    if (s->pieces_n == 0) {
        return true;
    }
    /* Pieces that overlap the range's ends are read whole, so the bound is checked at the end too;
     * here it bounds the memory. */
    if (total > (size_t)samples_max + 2 * COL_VALUES_MAX || total > UINT32_MAX / 2) {
        return err_set(e, ERR_LIMIT, "a series has more than %u samples in the range", samples_max);
    }
    if (!column_room(c, total + COL_SLACK, has_h, has_st)) {
        return nomem(e);
    }
    bool in_order = pieces_order(s);
    for (size_t i = 0; i < s->pieces_n; i++) {
        const struct piece *x = &s->pieces[i];
        bool ok = false;
        switch (x->kind) {
        case PIECE_BLOCK: ok = put_block(v, c, x, from_ms, to_ms, e); break;
        case PIECE_CHUNK: ok = put_chunk(c, x, from_ms, to_ms, e); break;
        case PIECE_LATE: ok = put_late(c, x, e); break;
        }
        if (!ok) {
            return false;
        }
    }
    if (!in_order && !column_sort(c, e)) {
        return false;
    }
    hists_drop(c);
    starts_drop(c);
    return c->n <= samples_max || err_set(e, ERR_LIMIT,
                                          "a series has more than %u samples in "
                                          "the range",
                                          samples_max);
}

bool tsdb_read(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
               uint32_t samples_max, struct tsdb_column *c, struct err *e)
{
    if (!column_begin(c, e)) {
        return false;
    }
    return pieces_find(v, ref, from_ms, to_ms, c)
               ? pieces_read(v, from_ms, to_ms, samples_max, c, e)
               : nomem(e);
}

bool tsdb_read_newest(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
                      struct tsdb_column *c, struct err *e)
{
    if (!column_begin(c, e)) {
        return false;
    }
    if (!pieces_find_newest(v, ref, from_ms, to_ms, c)) {
        return nomem(e);
    }
    struct read_scratch *s = c->scratch;
    const bool some = s->pieces_n > 0;
    const int64_t floor_ms = i64_max(from_ms, pieces_keep_newest(s, to_ms));
    if (!pieces_read(v, floor_ms, to_ms, UINT32_MAX / 4, c, e)) {
        return false;
    }
    if (some && c->n == 0) { /* what stood there was deleted or is damaged */
        if (!tsdb_read(v, ref, from_ms, to_ms, UINT32_MAX / 4, c, e)) {
            return false;
        }
    }
    if (c->n > 1) {
        const uint32_t last = c->n - 1;
        c->t[0] = c->t[last];
        c->v[0] = c->v[last];
        if (c->h != NULL) {
            c->h[0] = c->h[last];
        }
        if (c->st != NULL) {
            c->st[0] = c->st[last];
        }
        c->n = 1;
    }
    return true;
}
