/* The saved form of categories.
 *
 *   off  size  field (little-endian)
 *     0     4  "FDC1"
 *     4    16  nulls, lost: 8 each
 *    20     4  values of the reference, 0 without one; then a count of 8 each
 *     n     4  own_max
 *   n+4     4  own values, in byte order: length (4), bytes, count (8) each
 *     m     8  open; when it is not 0, its sketches follow (open.c)
 *
 * Invariants checked by the loader: own values are sorted, counted, and not the reference's; all
 * counts add up without overflow. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define SAVED_MAGIC "FDC1"
#define COUNT_MAX   (UINT64_MAX / 2)

/* Own indexes by the bytes of their values: heap sort. */
static void sink(const struct intern *t, uint32_t *order, uint32_t at, uint32_t n)
{
    uint32_t x = order[at];
    for (uint32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        struct str value = intern_str(t, order[child]);
        if (child + 1 < n && str_cmp(value, intern_str(t, order[child + 1])) < 0) {
            value = intern_str(t, order[++child]);
        }
        if (str_cmp(intern_str(t, x), value) >= 0) {
            break;
        }
        order[at] = order[child];
        at = child;
    }
    order[at] = x;
}

static void sort_names(const struct intern *t, uint32_t *order)
{
    for (uint32_t i = 0; i < t->count; i++) {
        order[i] = i;
    }
    for (uint32_t i = t->count / 2; i-- > 0;) {
        sink(t, order, i, t->count);
    }
    for (uint32_t left = t->count; left > 1; left--) {
        uint32_t x = order[0];
        order[0] = order[left - 1];
        order[left - 1] = x;
        sink(t, order, 0, left - 1);
    }
}

void dist_cats_save(const struct dist_cats *c, struct buf *out)
{
    uint32_t from = dist_cats_new_from(c);
    uint32_t *order = mem_take(c->mem, c->own.count * sizeof *order);
    if (order == NULL) {
        out->failed = true; /* as when the buffer itself finds no memory */
        return;
    }
    sort_names(&c->own, order);
    buf_add(out, SAVED_MAGIC, 4);
    buf_u64le(out, c->nulls);
    buf_u64le(out, c->lost);
    buf_u32le(out, from);
    for (uint32_t i = 0; i < from; i++) {
        buf_u64le(out, dist_cats_n(c, i));
    }
    buf_u32le(out, c->own_max);
    buf_u32le(out, c->own.count);
    for (uint32_t i = 0; i < c->own.count; i++) {
        buf_str32(out, intern_str(&c->own, order[i]));
        buf_u64le(out, dist_cats_n(c, from + order[i]));
    }
    buf_u64le(out, c->open);
    if (c->open > 0) {
        dist_open_save(c->more, out);
    }
    mem_give(c->mem, order, c->own.count * sizeof *order);
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for saved categories");
}

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "saved categories have %s", what);
}

static bool load_counts(struct dist_cats *c, uint32_t count, struct rd *r, struct err *e)
{
    if (count > rd_left(r) / sizeof *c->counts) {
        return damaged(e, "fewer counts than values");
    }
    if (count > 0) {
        c->counts = mem_take(c->mem, count * sizeof *c->counts);
        if (c->counts == NULL) {
            return no_memory(e);
        }
        c->counts_cap = count;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t n = rd_u64le(r);
        if (r->failed || n > COUNT_MAX - c->n) {
            return damaged(e, "counts that overflow");
        }
        c->counts[i] = n;
        c->n += n;
    }
    return true;
}

static bool load_own(struct dist_cats *c, uint32_t count, struct rd *r, struct err *e)
{
    struct str last = {NULL, 0};
    uint32_t from = dist_cats_new_from(c);
    for (uint32_t i = 0; i < count; i++) {
        struct str value = rd_str32(r);
        uint64_t n = rd_u64le(r);
        if (r->failed || n == 0 || n > COUNT_MAX - c->n || value.n > DIST_VALUE_BYTES ||
            (i > 0 && str_cmp(last, value) >= 0) ||
            (c->like != NULL && intern_find(&c->like->own, value) != INTERN_FULL)) {
            return damaged(e, "values that are not sorted, not new or not counted");
        }
        void *p = c->counts;
        bool ok = mem_array_grow(c->mem, &p, &c->counts_cap, (size_t)from + i + 1,
                                 (size_t)from + c->own_max, sizeof *c->counts);
        c->counts = p;
        if (!ok || intern_add(&c->own, value) != i) {
            return no_memory(e);
        }
        c->counts[from + i] = n;
        c->n += n;
        last = value;
    }
    return true;
}

static bool load_parts(struct dist_cats *c, struct rd *r, struct err *e)
{
    uint32_t from = dist_cats_new_from(c);
    const unsigned char *magic = rd_take(r, 4);
    c->nulls = rd_u64le(r);
    c->lost = rd_u64le(r);
    uint32_t known = rd_u32le(r);
    if (magic == NULL || r->failed || memcmp(magic, SAVED_MAGIC, 4) != 0 || known != from) {
        return damaged(e, "no valid head or another reference");
    }
    if (!load_counts(c, known, r, e)) {
        return false;
    }
    uint32_t own_max = rd_u32le(r);
    uint32_t count = rd_u32le(r);
    if (r->failed || own_max > DIST_KNOWN_MAX || count > own_max) {
        return damaged(e, "more values than their bound");
    }
    c->own_max = own_max;
    intern_init(&c->own, c->mem, own_max);
    if (!load_own(c, count, r, e)) {
        return false;
    }
    uint64_t open = rd_u64le(r);
    if (r->failed || open > COUNT_MAX - c->n || (open > 0 && count < own_max)) {
        return damaged(e, "open values that do not fit");
    }
    c->open = open;
    c->n += open;
    return open == 0 || dist_open_load(&c->more, c->mem, r, open, e);
}

bool dist_cats_load(struct dist_cats *c, struct mem *m, const struct dist_cats *like, struct rd *r,
                    struct err *e)
{
    dist_cats_init(c, m, 0);
    ASSERT(like == NULL || like->like == NULL);
    c->like = like;
    if (!load_parts(c, r, e)) {
        dist_cats_release(c);
        return false;
    }
    return true;
}
