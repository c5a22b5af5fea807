/* Categories: values that are counted by name, and what to do with the rest.
 *
 * Why: a window is compared with its reference value by value, and a value that the reference never
 * had is the first sign of a client that sends something else: both need exact counts. A field that
 * turns out to be an identifier must not cost memory for ever: names are bounded, and what comes
 * after goes to sketches (open.c).
 *
 * A window holds no copy of its reference's names: index i below the reference's count is the
 * reference's value i.
 *
 * Invariants: the counts and `open` add up to n; `more` is there exactly while open is not 0; own
 * names are none of the reference's; the reference of a window has no reference itself. */
#include "engines/dist/dist.h"

#include "base/hash.h"
#include "engines/dist/dist_int.h"

#include <stdio.h>

#define HASH_TEXT_BYTES 17 /* ~ and 16 digits */

struct str dist_name_of(struct str value, struct dist_name *room)
{
    if (value.n <= DIST_VALUE_BYTES) {
        return value;
    }
    char hash[HASH_TEXT_BYTES + 1];
    size_t kept = DIST_VALUE_BYTES - HASH_TEXT_BYTES;
    snprintf(hash, sizeof hash, "~%016llx", (unsigned long long)hash64(value));
    memcpy(room->text, value.p, kept);
    memcpy(room->text + kept, hash, HASH_TEXT_BYTES);
    return str_of(room->text, DIST_VALUE_BYTES);
}

void dist_cats_init(struct dist_cats *c, struct mem *m, uint32_t known_max)
{
    ASSERT(known_max <= DIST_KNOWN_MAX);
    *c = (struct dist_cats){.mem = m, .own_max = known_max};
    intern_init(&c->own, m, known_max);
}

void dist_cats_init_like(struct dist_cats *c, struct mem *m, const struct dist_cats *reference,
                         uint32_t new_max)
{
    ASSERT(reference->like == NULL);
    dist_cats_init(c, m, new_max);
    c->like = reference;
}

void dist_cats_release(struct dist_cats *c)
{
    const struct dist_cats *like = c->like;
    intern_release(&c->own);
    mem_give(c->mem, c->counts, c->counts_cap * sizeof *c->counts);
    dist_open_free(c->more, c->mem);
    dist_cats_init(c, c->mem, c->own_max);
    c->like = like;
}

void dist_cats_clear(struct dist_cats *c)
{
    uint64_t *counts = c->counts;
    size_t cap = c->counts_cap;
    c->counts = NULL;
    c->counts_cap = 0;
    dist_cats_release(c);
    if (cap > 0) {
        memset(counts, 0, cap * sizeof *counts);
    }
    c->counts = counts;
    c->counts_cap = cap;
}

uint32_t dist_cats_new_from(const struct dist_cats *c)
{
    return c->like != NULL ? c->like->own.count : 0;
}

uint32_t dist_cats_count(const struct dist_cats *c)
{
    return dist_cats_new_from(c) + c->own.count;
}

struct str dist_cats_value(const struct dist_cats *c, uint32_t idx)
{
    uint32_t from = dist_cats_new_from(c);
    return idx < from ? intern_str(&c->like->own, idx) : intern_str(&c->own, idx - from);
}

uint64_t dist_cats_n(const struct dist_cats *c, uint32_t idx)
{
    ASSERT(idx < dist_cats_count(c));
    return idx < c->counts_cap ? c->counts[idx] : 0;
}

/* Index of a name, or DIST_OPEN. */
static uint32_t find(const struct dist_cats *c, struct str name)
{
    uint32_t id = c->like != NULL ? intern_find(&c->like->own, name) : INTERN_FULL;
    if (id != INTERN_FULL) {
        return id;
    }
    id = intern_find(&c->own, name);
    return id != INTERN_FULL ? dist_cats_new_from(c) + id : DIST_OPEN;
}

uint32_t dist_cats_find(const struct dist_cats *c, struct str value)
{
    struct dist_name room;
    return find(c, dist_name_of(value, &room));
}

static bool counts_room(struct dist_cats *c, uint32_t idx)
{
    void *p = c->counts;
    size_t max = (size_t)dist_cats_new_from(c) + c->own_max;
    bool ok = idx < c->counts_cap ||
              mem_array_grow(c->mem, &p, &c->counts_cap, (size_t)idx + 1, max, sizeof *c->counts);
    c->counts = p;
    return ok;
}

static bool add(struct dist_cats *c, struct str name, uint64_t times)
{
    uint32_t idx = find(c, name);
    if (idx == DIST_OPEN && c->own.count == c->own_max) {
        if (!dist_open_add(&c->more, c->mem, name, times)) {
            return false;
        }
        c->open += times;
        c->n += times;
        return true;
    }
    uint32_t at = idx == DIST_OPEN ? dist_cats_count(c) : idx;
    if (!counts_room(c, at) || (idx == DIST_OPEN && intern_add(&c->own, name) == INTERN_FULL)) {
        return false;
    }
    c->counts[at] += times;
    c->n += times;
    return true;
}

bool dist_cats_add(struct dist_cats *c, struct str value)
{
    struct dist_name room;
    bool ok = add(c, dist_name_of(value, &room), 1);
    c->lost += !ok;
    return ok;
}

bool dist_cats_add_at(struct dist_cats *c, uint32_t idx)
{
    ASSERT(idx < dist_cats_count(c));
    if (!counts_room(c, idx)) {
        c->lost++;
        return false;
    }
    c->counts[idx]++;
    c->n++;
    return true;
}

double dist_cats_distinct(const struct dist_cats *c)
{
    double distinct = c->more != NULL ? dist_open_distinct(c->more) : 0;
    for (uint32_t i = 0; i < dist_cats_count(c); i++) {
        distinct += dist_cats_n(c, i) > 0;
    }
    return distinct;
}

uint32_t dist_cats_heavy(const struct dist_cats *c, struct dist_heavy *out, uint32_t max)
{
    return c->more != NULL ? dist_open_heavy(c->more, out, max) : 0;
}

/* Adds what `from` counted by name, then what it did not. */
static bool pour(struct dist_cats *to, const struct dist_cats *from)
{
    for (uint32_t i = 0; i < dist_cats_count(from); i++) {
        uint64_t n = dist_cats_n(from, i);
        if (n > 0 && !add(to, dist_cats_value(from, i), n)) {
            return false;
        }
    }
    if (from->more != NULL && !dist_open_merge(&to->more, to->mem, from->more)) {
        return false;
    }
    to->open += from->open;
    to->n += from->open;
    return true;
}

bool dist_cats_merge(struct dist_cats *to, const struct dist_cats *from, struct err *e)
{
    if (to->like != from->like || to->own_max != from->own_max) {
        return err_set(e, ERR_INPUT, "expected categories of the same reference and bound");
    }
    if (from->n > UINT64_MAX / 2 - to->n) {
        return err_set(e, ERR_LIMIT, "too many values in categories that are merged");
    }
    struct dist_cats joint;
    dist_cats_init(&joint, to->mem, to->own_max);
    joint.like = to->like;
    if (!pour(&joint, to) || !pour(&joint, from)) {
        dist_cats_release(&joint);
        return err_set(e, ERR_NOMEM, "no memory to merge %u and %u categories", dist_cats_count(to),
                       dist_cats_count(from));
    }
    joint.nulls = dist_count_add(to->nulls, from->nulls);
    joint.lost = dist_count_add(to->lost, from->lost);
    dist_cats_release(to);
    *to = joint;
    return true;
}

void dist_cats_compare(const struct dist_cats *ref, const struct dist_cats *cur,
                       struct dist_shares *out)
{
    struct dist_pairs p;
    uint64_t unnamed = cur->open; /* what may be among the open ones of the reference */
    dist_pairs_begin(&p, ref->n, cur->n);
    for (uint32_t i = 0; i < dist_cats_count(ref); i++) {
        uint32_t at = cur->like == ref ? i : find(cur, dist_cats_value(ref, i));
        dist_pairs_add(&p, dist_cats_n(ref, i), at == DIST_OPEN ? 0 : dist_cats_n(cur, at));
    }
    for (uint32_t i = cur->like == ref ? dist_cats_new_from(cur) : 0; i < dist_cats_count(cur);
         i++) {
        if (cur->like != ref && find(ref, dist_cats_value(cur, i)) != DIST_OPEN) {
            continue;
        }
        if (ref->open > 0) {
            unnamed += dist_cats_n(cur, i);
        } else {
            dist_pairs_add(&p, 0, dist_cats_n(cur, i));
        }
    }
    dist_pairs_add(&p, ref->open, unnamed);
    dist_pairs_end(&p, out);
}
