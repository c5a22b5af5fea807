/* The saved index: one block of bytes that loads in milliseconds.
 *
 *   off  size  field
 *     0     8  "FARIDX1\n"
 *     8     8  bytes of the payload, little-endian
 *    16     n  the payload as one zstd frame
 *
 * Payload; v is an unsigned LEB128 number, text is v bytes and the bytes:
 *
 *   v sources, then each: text
 *   v names, v pairs, then each name in order: text, v values (1 or more),
 *       then each value in order: v bytes shared with the one before, text of the rest
 *   v end of ids, v series, then each series by ascending id:
 *       v (id - id before - 1) * 4 + 2 * (another number of labels) + (another source)
 *       v labels   when another number
 *       v source   when another
 *       one bit per label that the series before has too, set = differs, as bytes of 8
 *       v per label that differs: zigzag (pair - pair of the series before at this place)
 *       v per label beyond those of the series before: pair
 *   v dropped ids, then each: v (id - id before - 1)
 *   v free ids, then each: likewise
 *
 * Pairs are numbered in the order of the file, which is the order of names and values: so pairs of
 * one place differ little, the loader gets all ranks for nothing, and "strictly ascending" is all
 * that must be checked to know that nothing is there twice. Ids of pairs change when loaded; ids of
 * series do not.
 *
 * A checksum is the caller's. */
#include "engines/tsdb/index_core_int.h"
#include "engines/tsdb/index_save_int.h"

#include <zstd.h>

#define ZSTD_LEVEL   3
#define RANK_TRIES   3
#define VARINT_BYTES 10

static void put_v(struct buf *b, uint64_t v)
{
    char *p = buf_room(b, VARINT_BYTES);
    if (p == NULL) {
        return;
    }
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) {
        p[n++] = (char)(v | 0x80);
    }
    p[n++] = (char)v;
    b->n += n;
}

static void put_text(struct buf *b, struct str s)
{
    put_v(b, s.n);
    buf_str_add(b, s);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

struct saver {
    const struct index *x;
    struct buf *b;
    uint32_t *number; /* by pair id; 1-based */
};

static uint32_t names_in_order(const struct saver *s, uint32_t *ids)
{
    uint32_t n = 0;
    for (uint32_t id = 1; id < s->x->names_end; id++) {
        const struct name *name = index_name_at(s->x, id);
        if (name->text != NULL) {
            ids[name->rank - 1] = name->series > 0 ? id : 0;
            n += name->series > 0;
        }
    }
    return n;
}

static uint32_t pairs_used(const struct index *x)
{
    uint32_t n = 0;
    for (uint32_t id = 1; id < x->pairs_end; id++) {
        const struct pair *p = index_pair_at(x, id);
        n += p->kind != POST_FREE && p->n > 0;
    }
    return n;
}

static void save_values(struct saver *s, const struct name *n, uint32_t *number)
{
    struct str before = {NULL, 0};
    uint32_t used = 0;
    for (uint32_t i = 0; i < n->sorted_n; i++) {
        used += index_pair_at(s->x, n->sorted[i])->n > 0;
    }
    put_v(s->b, used);
    for (uint32_t i = 0; i < n->sorted_n; i++) {
        const struct pair *p = index_pair_at(s->x, n->sorted[i]);
        if (p->n == 0) {
            continue;
        }
        struct str text = index_pair_text(p);
        size_t shared = 0;
        while (shared < before.n && shared < text.n && before.p[shared] == text.p[shared]) {
            shared++;
        }
        put_v(s->b, shared);
        put_text(s->b, str_sub(text, shared, text.n));
        before = text;
        s->number[n->sorted[i]] = ++*number;
    }
}

static bool save_names(struct saver *s, struct err *e)
{
    size_t bytes = ((size_t)s->x->names_n + 1) * sizeof(uint32_t);
    uint32_t *ids = mem_take(s->b->mem, bytes);
    if (ids == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to save the index");
    }
    put_v(s->b, names_in_order(s, ids));
    put_v(s->b, pairs_used(s->x));
    uint32_t number = 0;
    for (uint32_t i = 0; i < s->x->names_n; i++) {
        if (ids[i] != 0) {
            const struct name *n = index_name_at(s->x, ids[i]);
            put_text(s->b, index_name_text(n));
            save_values(s, n, &number);
        }
    }
    mem_give(s->b->mem, ids, bytes);
    return true;
}

/* The series before, by which the next one is written. */
struct previous {
    uint32_t pairs[LABELS_COUNT_MAX];
    uint32_t ref, n, source;
};

static void save_one(struct saver *s, struct previous *prev, uint32_t ref)
{
    const struct series *series = index_series_at(s->x, ref);
    bool n_differs = series->n != prev->n;
    bool source_differs = series->source != prev->source;
    put_v(s->b, (uint64_t)(ref - prev->ref - 1) << 2 | (unsigned)n_differs << 1 |
                    (unsigned)source_differs);
    if (n_differs) {
        put_v(s->b, series->n);
    }
    if (source_differs) {
        put_v(s->b, series->source);
    }
    uint32_t both = (uint32_t)size_min(series->n, prev->n);
    uint8_t mask[LABELS_COUNT_MAX / 8] = {0};
    for (uint32_t i = 0; i < both; i++) {
        bool differs = s->number[series->u.list[i]] != prev->pairs[i];
        mask[i / 8] |= (uint8_t)(differs << (i % 8));
    }
    buf_add(s->b, mask, (both + 7) / 8);
    for (uint32_t i = 0; i < series->n; i++) {
        uint32_t pair = s->number[series->u.list[i]];
        ASSERT(pair != 0);
        if (i >= both) {
            put_v(s->b, pair);
        } else if (pair != prev->pairs[i]) {
            put_v(s->b, zigzag((int64_t)pair - (int64_t)prev->pairs[i]));
        }
        prev->pairs[i] = pair;
    }
    prev->ref = ref;
    prev->n = series->n;
    prev->source = series->source;
}

static void save_series(struct saver *s)
{
    struct previous prev = {.ref = 0};
    put_v(s->b, s->x->series_end);
    put_v(s->b, s->x->count);
    for (uint32_t ref = 1; ref < s->x->series_end; ref++) {
        if (index_series_at(s->x, ref)->state == SERIES_LIVE) {
            save_one(s, &prev, ref);
        }
    }
}

static void save_ids(struct saver *s, enum series_state state)
{
    uint32_t n = 0;
    for (uint32_t ref = 1; ref < s->x->series_end; ref++) {
        n += index_series_at(s->x, ref)->state == state;
    }
    put_v(s->b, n);
    uint32_t before = 0;
    for (uint32_t ref = 1; ref < s->x->series_end; ref++) {
        if (index_series_at(s->x, ref)->state == state) {
            put_v(s->b, ref - before - 1);
            before = ref;
        }
    }
}

/* lock: shared or more, all ranked */
static bool save_locked(const struct index *x, struct buf *raw, struct err *e)
{
    size_t bytes = (size_t)x->pairs_end * sizeof(uint32_t);
    struct saver s = {.x = x, .b = raw, .number = mem_take(raw->mem, bytes)};
    if (s.number == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to save the index");
    }
    put_v(raw, x->sources_n);
    for (uint32_t i = 0; i < x->sources_n; i++) {
        put_text(raw, str_of(x->sources[i].text, x->sources[i].bytes));
    }
    bool ok = save_names(&s, e);
    if (ok) {
        save_series(&s);
        save_ids(&s, SERIES_DROPPED);
        save_ids(&s, SERIES_FREE);
    }
    mem_give(raw->mem, s.number, bytes);
    return ok && buf_ok(raw, e);
}

static bool compress(const struct buf *raw, struct buf *out, struct err *e)
{
    size_t bound = ZSTD_compressBound(raw->n);
    buf_add(out, INDEX_MAGIC, INDEX_MAGIC_BYTES);
    buf_u64le(out, raw->n);
    char *p = buf_room(out, bound);
    if (p == NULL) {
        return buf_ok(out, e);
    }
    size_t n = ZSTD_compress(p, bound, raw->p, raw->n, ZSTD_LEVEL);
    if (ZSTD_isError(n)) {
        return err_set(e, ERR_NOMEM, "cannot compress the index: %s", ZSTD_getErrorName(n));
    }
    out->n += n;
    return true;
}

bool index_save(struct index *x, struct buf *out, struct err *e)
{
    struct buf raw;
    buf_init(&raw, out->mem, INDEX_RAW_MAX);
    bool ranked = index_lock_ranked(x);
    for (int i = 1; !ranked && i < RANK_TRIES; i++) {
        index_unlock(x);
        ranked = index_lock_ranked(x);
    }
    if (!ranked) {
        /* New values come faster than they are ranked: keep them out for the time of it. */
        index_unlock(x);
        index_lock(x);
        ranked = index_rank(x);
    }
    bool ok = ranked ? save_locked(x, &raw, e)
                     : err_set(e, ERR_NOMEM, "no memory to sort the index before saving");
    index_unlock(x);
    ok = ok && compress(&raw, out, e);
    buf_release(&raw);
    return ok;
}
