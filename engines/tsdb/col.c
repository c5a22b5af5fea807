/* Memory of the column codecs: one scratch per encoder or decoder, grown to the largest column it
 * has seen and reused, so that a column costs no allocation.
 *
 * Invariant: the three arrays have the same capacity, which includes COL_SLACK elements that loops
 * may overwrite; `room` is large enough for every column of that many values. */
#include "engines/tsdb/col_priv_int.h"

struct col_scratch *col_scratch_new(struct mem *m)
{
    struct col_scratch *s = mem_take(m, sizeof *s);
    if (s != NULL) {
        s->mem = m;
    }
    return s;
}

void col_scratch_quick(struct col_scratch *s, bool quick)
{
    s->quick = quick;
}

static void arrays_give(struct col_scratch *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->ints); i++) {
        mem_give(s->mem, s->ints[i], s->cap * sizeof *s->ints[i]);
        s->ints[i] = NULL;
    }
    mem_give(s->mem, s->room, s->room_bytes);
    mem_give(s->mem, s->ans.symbols, s->cap * sizeof *s->ans.symbols);
    mem_give(s->mem, s->ans.steps, s->cap * sizeof *s->ans.steps);
    s->room = NULL;
    s->ans.symbols = NULL;
    s->ans.steps = NULL;
    s->room_bytes = 0;
    s->cap = 0;
}

void col_scratch_free(struct col_scratch *s)
{
    if (s != NULL) {
        arrays_give(s);
        mem_give(s->mem, s, sizeof *s);
    }
}

bool col_scratch_room(struct col_scratch *s, uint32_t n, struct err *e)
{
    if (n > COL_VALUES_MAX) {
        return err_set(e, ERR_LIMIT, "column of %u values, more than %d", n, COL_VALUES_MAX);
    }
    if ((size_t)n + COL_SLACK <= s->cap) {
        return true;
    }
    /* Nothing in them outlives a call, so they are replaced, not grown. */
    size_t cap = size_max((size_t)n + COL_SLACK, 512 + COL_SLACK);
    cap = size_min(size_max(cap, s->cap * 2), COL_VALUES_MAX + COL_SLACK);
    arrays_give(s);
    s->cap = cap;
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(s->ints); i++) {
        s->ints[i] = mem_take(s->mem, cap * sizeof *s->ints[i]);
        ok = ok && s->ints[i] != NULL;
    }
    s->room_bytes = cap * COL_BYTES_PER_VALUE + COL_BYTES_EXTRA;
    s->room = mem_take(s->mem, s->room_bytes);
    s->ans.symbols = mem_take(s->mem, cap * sizeof *s->ans.symbols);
    s->ans.steps = mem_take(s->mem, cap * sizeof *s->ans.steps);
    if (!ok || s->room == NULL || s->ans.symbols == NULL || s->ans.steps == NULL) {
        arrays_give(s);
        return err_set(e, ERR_NOMEM, "no memory for a column of %u values", n);
    }
    return true;
}

bool col_corrupt(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "damaged column: %s", what);
}

uint64_t col_get_long_varint(struct rd *r)
{
    uint64_t v = 0;
    const unsigned char *p = r->p;
    for (unsigned shift = 0; shift < 64 && p < r->end; shift += 7) {
        unsigned char byte = *p++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            r->p = p;
            return v;
        }
    }
    r->failed = true;
    return 0;
}
