/* The time columns of a block that is being written: each distinct list of times is encoded and
 * stored once, and columns refer to it by number. The series of one scrape have equal times, so a
 * block of 100,000 series has a few hundred of them.
 *
 * Found by hash and then compared in full: two lists that only share a hash must not share times.
 * To compare, the encoded bytes are kept and decoded (a third of a nanosecond per time), which is
 * far less memory than the times themselves; BLOCK_SEEN_BYTES of them, then all are forgotten at
 * once and later equal lists are stored a second time, which costs only space. */
#include "base/hash.h"
#include "engines/tsdb/block_file_int.h"

#define FORGOTTEN UINT32_MAX

void block_wtimes_init(struct block_wtimes *w, struct mem *m, struct col_scratch *s)
{
    *w = (struct block_wtimes){.mem = m, .scratch = s, .decoded_idx = FORGOTTEN};
    buf_init(&w->seen, m, BLOCK_SEEN_BYTES + (1U << 20));
}

void block_wtimes_release(struct block_wtimes *w)
{
    mem_give(w->mem, w->v, w->cap * sizeof *w->v);
    mem_give(w->mem, w->table, w->table_n * sizeof *w->table);
    mem_give(w->mem, w->decoded, w->decoded_cap * sizeof *w->decoded);
    buf_release(&w->seen);
    *w = (struct block_wtimes){0};
}

static struct str times_bytes(const int64_t *t, uint32_t n)
{
    return str_of((const char *)t, (size_t)n * sizeof *t);
}

static bool decoded_room(struct block_wtimes *w, size_t n, struct err *e)
{
    void *p = w->decoded;
    if (!mem_array_grow(w->mem, &p, &w->decoded_cap, n + COL_SLACK, COL_VALUES_MAX + COL_SLACK,
                        sizeof *w->decoded)) {
        return err_set(e, ERR_NOMEM, "no memory for %zu times", n);
    }
    w->decoded = p;
    return true;
}

/* Whether column k has just these times; *same is the answer. */
static bool times_same(struct block_wtimes *w, uint32_t k, const int64_t *t, uint32_t n, bool *same,
                       struct err *e)
{
    const struct block_wtime *c = &w->v[k];
    *same = false;
    if (c->t.n != n || c->t.min_ms != t[0] || c->t.max_ms != t[n - 1]) {
        return true;
    }
    if (w->decoded_idx != k) {
        w->decoded_idx = FORGOTTEN;
        if (!decoded_room(w, n, e) ||
            !col_times_decode(w->scratch, str_of(w->seen.p + c->seen_off, c->t.len), n, w->decoded,
                              e)) {
            return false;
        }
        w->decoded_idx = k;
    }
    *same = memcmp(w->decoded, t, (size_t)n * sizeof *t) == 0;
    return true;
}

static bool times_find(struct block_wtimes *w, uint64_t hash, const int64_t *t, uint32_t n,
                       uint32_t *idx, bool *found, struct err *e)
{
    *found = false;
    if (w->table_n == 0) {
        return true;
    }
    for (size_t at = hash & (w->table_n - 1);; at = (at + 1) & (w->table_n - 1)) {
        if (w->table[at] == 0) {
            return true;
        }
        uint32_t k = w->table[at] - 1;
        if (w->v[k].hash == hash) {
            if (!times_same(w, k, t, n, found, e)) {
                return false;
            }
            if (*found) {
                *idx = k;
                return true;
            }
        }
    }
}

static void table_put(uint32_t *table, size_t table_n, uint64_t hash, uint32_t k)
{
    size_t at = hash & (table_n - 1);
    while (table[at] != 0) {
        at = (at + 1) & (table_n - 1);
    }
    table[at] = k + 1;
}

/* Room for one more in the table, which is at most half full. */
static bool table_room(struct block_wtimes *w, struct err *e)
{
    if ((w->table_used + 1) * 2 <= w->table_n) {
        return true;
    }
    size_t n = w->table_n == 0 ? 64 : w->table_n * 2;
    uint32_t *table = mem_take(w->mem, n * sizeof *table);
    if (table == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a table of %zu time columns", n);
    }
    for (size_t i = 0; i < w->table_n; i++) {
        if (w->table[i] != 0) {
            table_put(table, n, w->v[w->table[i] - 1].hash, w->table[i] - 1);
        }
    }
    mem_give(w->mem, w->table, w->table_n * sizeof *table);
    w->table = table;
    w->table_n = n;
    return true;
}

static void times_forget(struct block_wtimes *w)
{
    buf_reset(&w->seen);
    if (w->table_n > 0) {
        memset(w->table, 0, w->table_n * sizeof *w->table);
    }
    w->table_used = 0;
    w->decoded_idx = FORGOTTEN;
}

static bool times_new(struct block_wtimes *w, uint64_t hash, const int64_t *t, uint32_t n,
                      uint64_t off, struct str *bytes, struct err *e)
{
    if (w->seen.n > BLOCK_SEEN_BYTES) {
        times_forget(w);
    }
    void *v = w->v;
    if (!mem_array_grow(w->mem, &v, &w->cap, w->n + 1, BLOCK_COLUMNS_MAX, sizeof *w->v)) {
        return err_set(e, ERR_NOMEM, "no memory for %zu time columns", w->n + 1);
    }
    w->v = v;
    size_t seen_off = w->seen.n;
    if (!table_room(w, e) || !col_times_encode(w->scratch, t, n, &w->seen, e) ||
        !buf_ok(&w->seen, e)) {
        return false;
    }
    *bytes = str_of(w->seen.p + seen_off, w->seen.n - seen_off);
    w->v[w->n] = (struct block_wtime){.t = {.min_ms = t[0],
                                            .max_ms = t[n - 1],
                                            .off = (uint32_t)off,
                                            .len = (uint32_t)bytes->n,
                                            .n = n,
                                            .crc = hash_crc32c(*bytes)},
                                      .hash = hash,
                                      .seen_off = (uint32_t)seen_off};
    table_put(w->table, w->table_n, hash, (uint32_t)w->n);
    w->table_used++;
    w->n++;
    return true;
}

bool block_wtimes_put(struct block_wtimes *w, const int64_t *t, uint32_t n, uint64_t off,
                      uint32_t *idx, struct str *bytes, struct err *e)
{
    ASSERT(n >= 1);
    ASSERT(off <= BLOCK_DATA_MAX);
    uint64_t hash = hash64(times_bytes(t, n));
    bool found = false;
    *bytes = str_of(NULL, 0);
    if (!times_find(w, hash, t, n, idx, &found, e)) {
        return false;
    }
    if (found) {
        return true;
    }
    *idx = (uint32_t)w->n;
    return times_new(w, hash, t, n, off, bytes, e);
}
