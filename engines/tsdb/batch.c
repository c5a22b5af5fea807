/* A batch: samples on their way to the committer, as columns in the order they were added.
 *
 *     runs     t, kind, first sample    |  0: t=1000 float  |  3: t=1000 histogram  |  5: ...
 *     refs     u32 a sample
 *     bits     u64 a sample: the double, or the offset of the histogram's bytes in `blob`
 *     st       i64 a sample, only once one was given
 *     verdict  u8 a sample, the committer's
 *
 * Samples that share a time share a run, so a scrape costs 13 bytes a sample here and its time is
 * written once to the log. Exemplars stand in `blob` too: their labels as counted texts.
 * thread: one at a time: the caller's, then the committer's until done. */
#include "engines/tsdb/batch_int.h"

#include <string.h>

#define BATCH_SAMPLES_MAX ((size_t)1 << 26)
#define EXEMPLARS_MAX     ((size_t)1 << 20) /* of one batch */

struct tsdb_batch *tsdb_batch_new(struct mem *m, size_t bytes_max)
{
    struct tsdb_batch *b = mem_take(m, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    b->owner = m;
    mem_init(&b->mem, bytes_max);
    b->mem.allow = m->allow;
    b->mem.allow_ctx = m->allow_ctx;
    buf_init(&b->blob, &b->mem, bytes_max);
    return b;
}

void tsdb_batch_reset(struct tsdb_batch *b)
{
    b->n = 0;
    b->runs_n = 0;
    b->exemplars_n = 0;
    b->hists_n = 0;
    b->has_st = false;
    buf_reset(&b->blob);
}

void tsdb_batch_free(struct tsdb_batch *b)
{
    if (b == NULL) {
        return;
    }
    buf_release(&b->blob);
    mem_give(&b->mem, b->refs, b->refs_cap * sizeof *b->refs);
    mem_give(&b->mem, b->bits, b->bits_cap * sizeof *b->bits);
    mem_give(&b->mem, b->st, b->st_cap * sizeof *b->st);
    mem_give(&b->mem, b->verdict, b->verdict_cap);
    mem_give(&b->mem, b->runs, b->runs_cap * sizeof *b->runs);
    mem_give(&b->mem, b->exemplars, b->exemplars_cap * sizeof *b->exemplars);
    ASSERT(b->mem.bytes == 0);
    mem_give(b->owner, b, sizeof *b);
}

uint64_t tsdb_batch_count(const struct tsdb_batch *b)
{
    return b->n;
}

size_t tsdb_batch_bytes(const struct tsdb_batch *b)
{
    return sizeof *b + b->mem.bytes;
}

static bool full(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the batch is full");
}

static bool grow(struct tsdb_batch *b, void **p, size_t *cap, size_t want, size_t element)
{
    return mem_array_grow(&b->mem, p, cap, want, BATCH_SAMPLES_MAX, element);
}

static bool samples_grow(struct tsdb_batch *b)
{
    void *refs = b->refs;
    void *bits = b->bits;
    void *verdict = b->verdict;
    bool ok = grow(b, &refs, &b->refs_cap, b->n + 1, sizeof *b->refs);
    b->refs = refs;
    ok = ok && grow(b, &bits, &b->bits_cap, b->n + 1, sizeof *b->bits);
    b->bits = bits;
    ok = ok && grow(b, &verdict, &b->verdict_cap, b->n + 1, sizeof *b->verdict);
    b->verdict = verdict;
    return ok;
}

static bool st_grow(struct tsdb_batch *b)
{
    void *st = b->st;
    bool ok = grow(b, &st, &b->st_cap, b->n + 1, sizeof *b->st);
    b->st = st;
    if (ok && !b->has_st) {
        memset(b->st, 0, b->n * sizeof *b->st);
        b->has_st = true;
    }
    return ok;
}

static bool run_new(struct tsdb_batch *b, int64_t t_ms, enum batch_kind kind)
{
    void *runs = b->runs;
    bool ok = grow(b, &runs, &b->runs_cap, b->runs_n + 1, sizeof *b->runs);
    b->runs = runs;
    if (ok) {
        b->runs[b->runs_n++] =
            (struct batch_run){.t = t_ms, .first = (uint32_t)b->n, .kind = (uint32_t)kind};
    }
    return ok;
}

static bool add(struct tsdb_batch *b, uint32_t ref, enum batch_kind kind, int64_t t_ms,
                int64_t st_ms, uint64_t bits, struct err *e)
{
    ASSERT(ref != 0);
    bool room = b->n < b->refs_cap && b->n < b->bits_cap && b->n < b->verdict_cap;
    if (!room && !samples_grow(b)) {
        return full(e);
    }
    if ((b->has_st || st_ms != 0) && (!b->has_st || b->n >= b->st_cap) && !st_grow(b)) {
        return full(e);
    }
    const struct batch_run *r = b->runs_n > 0 ? &b->runs[b->runs_n - 1] : NULL;
    if ((r == NULL || r->t != t_ms || r->kind != (uint32_t)kind) && !run_new(b, t_ms, kind)) {
        return full(e);
    }
    b->refs[b->n] = ref;
    b->bits[b->n] = bits;
    if (b->has_st) {
        b->st[b->n] = st_ms;
    }
    b->n++;
    return true;
}

bool tsdb_batch_add(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, double v, struct err *e)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return add(b, ref, BATCH_FLOAT, t_ms, 0, bits, e);
}

bool tsdb_batch_add_st(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, int64_t st_ms, double v,
                       struct err *e)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return add(b, ref, BATCH_FLOAT, t_ms, st_ms, bits, e);
}

bool tsdb_batch_add_nhist(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, int64_t st_ms,
                          const struct nhist *h, struct err *e)
{
    size_t at = b->blob.n;
    buf_u32le(&b->blob, 0);
    nhist_encode(h, &b->blob);
    size_t n = b->blob.n - at - 4;
    if (b->blob.failed || n > UINT32_MAX) {
        b->blob.failed = false;
        b->blob.n = at;
        return full(e);
    }
    put_u32le(b->blob.p + at, (uint32_t)n);
    if (!add(b, ref, BATCH_HIST, t_ms, st_ms, at, e)) {
        b->blob.n = at;
        return false;
    }
    b->hists_n++;
    return true;
}

bool tsdb_batch_add_exemplar(struct tsdb_batch *b, uint32_t ref, struct labels ls, int64_t t_ms,
                             double v, struct err *e)
{
    ASSERT(ref != 0);
    void *list = b->exemplars;
    if (!mem_array_grow(&b->mem, &list, &b->exemplars_cap, b->exemplars_n + 1, EXEMPLARS_MAX,
                        sizeof *b->exemplars)) {
        return full(e);
    }
    b->exemplars = list;
    size_t at = b->blob.n;
    buf_u32le(&b->blob, ls.n);
    for (uint32_t i = 0; i < ls.n; i++) {
        buf_str32(&b->blob, ls.v[i].name);
        buf_str32(&b->blob, ls.v[i].value);
    }
    if (b->blob.failed) {
        b->blob.failed = false;
        b->blob.n = at;
        return full(e);
    }
    b->exemplars[b->exemplars_n++] =
        (struct batch_exemplar){.ref = ref, .t = t_ms, .v = v, .off = at, .bytes = b->blob.n - at};
    return true;
}

struct str tsdb_batch_hist(const struct tsdb_batch *b, uint64_t off)
{
    ASSERT(off + 4 <= b->blob.n);
    return str_of(b->blob.p + off + 4, get_u32le(b->blob.p + off));
}

bool tsdb_batch_next(const struct tsdb_batch *b, struct batch_cursor *c, struct batch_sample *out)
{
    if (c->i >= b->n) {
        return false;
    }
    while (c->run + 1 < b->runs_n && b->runs[c->run + 1].first <= c->i) {
        c->run++;
    }
    const struct batch_run *r = &b->runs[c->run];
    *out = (struct batch_sample){.ref = b->refs[c->i],
                                 .kind = (enum batch_kind)r->kind,
                                 .t_ms = r->t,
                                 .st_ms = b->has_st ? b->st[c->i] : 0};
    if (out->kind == BATCH_HIST) {
        out->nhist = tsdb_batch_hist(b, b->bits[c->i]);
    } else {
        memcpy(&out->v, &b->bits[c->i], sizeof out->v);
    }
    c->i++;
    return true;
}
