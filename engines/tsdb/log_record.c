/* Records of the write-ahead log. All integers are varints (7 bits a byte, low first) unless a
 * width is given; z() is zigzag; texts are length, bytes.
 *
 *     LOG_SOURCE     number, text
 *     LOG_SERIES     until the end: ref, source, labels n, (name text, value text) * n
 *     LOG_SAMPLES    until the end, runs of samples with one time and kind:
 *                      kind u8 (bit 0: histograms, bit 1: start timestamps), z(t - the run's
 *                      before), n, then n * z(ref - the one before), then n values (8 bytes each,
 *                      or a histogram as text), then n * z(start - the one before) with bit 1
 *     LOG_EXEMPLARS  until the end: ref, z(t), value u64, labels n, (name text, value text) * n
 *
 * Series that were defined together have neighbouring ids, so a sample of a scrape takes 9 bytes:
 * one for the id, eight for the value. A batch is one LOG_SAMPLES record: it is there whole or not
 * at all. Decoders bound everything they read and take no more memory than the record has bytes. */
#include "engines/tsdb/log_int.h"

#include "engines/tsdb/head_int.h"

#include <string.h>

#define KIND_HIST 1u
#define KIND_ST   2u

/* -- numbers -- */

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* Differences wrap around, so that any two times have one. */
static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static char *varint_put(char *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (char)(v | 0x80);
        v >>= 7;
    }
    *p++ = (char)v;
    return p;
}

static void put(struct buf *b, uint64_t v)
{
    char bytes[10];
    buf_add(b, bytes, (size_t)(varint_put(bytes, v) - bytes));
}

static void put_text(struct buf *b, struct str s)
{
    put(b, s.n);
    buf_str_add(b, s);
}

static uint64_t get_long(struct rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = rd_u8(r);
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

static inline uint64_t get(struct rd *r)
{
    if (__builtin_expect(r->p < r->end && *r->p < 0x80, 1)) {
        return *r->p++;
    }
    return get_long(r);
}

static uint32_t get_u32(struct rd *r)
{
    uint64_t v = get(r);
    if (v > UINT32_MAX) {
        r->failed = true;
        return 0;
    }
    return (uint32_t)v;
}

static struct str get_text(struct rd *r)
{
    uint64_t n = get(r);
    if (n > rd_left(r)) {
        r->failed = true;
        return (struct str){NULL, 0};
    }
    return rd_bytes(r, (size_t)n);
}

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "the log has a damaged record of %s", what);
}

/* -- series -- */

void log_put_source(struct buf *b, uint32_t source, struct str name)
{
    put(b, source);
    put_text(b, name);
}

bool log_get_source(struct str payload, uint32_t *source, struct str *name, struct err *e)
{
    struct rd r = rd_of(payload);
    *source = get_u32(&r);
    *name = get_text(&r);
    return (!r.failed && rd_left(&r) == 0) || damaged(e, "a source");
}

static void put_labels(struct buf *b, struct labels ls)
{
    put(b, ls.n);
    for (uint32_t i = 0; i < ls.n; i++) {
        put_text(b, ls.v[i].name);
        put_text(b, ls.v[i].value);
    }
}

/* normal: in order of names and without empty values, as the index needs them. */
static bool get_labels(struct rd *r, struct arena *a, bool normal, struct labels *ls, struct err *e)
{
    uint32_t n = get_u32(r);
    if (r->failed || n > LABELS_COUNT_MAX) {
        return damaged(e, "labels");
    }
    struct label *v = ARENA_ARRAY(a, struct label, n);
    if (v == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the labels of a series");
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i].name = get_text(r);
        v[i].value = get_text(r);
        bool ok = !r->failed && v[i].name.n <= LABEL_BYTES_MAX && v[i].value.n <= LABEL_BYTES_MAX;
        bool sorted = i == 0 || str_cmp(v[i - 1].name, v[i].name) < 0;
        if (!ok || (normal && (!sorted || v[i].value.n == 0))) {
            return damaged(e, "labels");
        }
    }
    *ls = (struct labels){v, n};
    return true;
}

void log_put_series(struct buf *b, uint32_t ref, uint32_t source, struct labels ls)
{
    put(b, ref);
    put(b, source);
    put_labels(b, ls);
}

bool log_get_series(struct rd *r, struct arena *a, uint32_t *ref, uint32_t *source,
                    struct labels *ls, struct err *e)
{
    *ref = get_u32(r);
    *source = get_u32(r);
    if (r->failed || *ref == 0 || *ref >= REFS_MAX) {
        return damaged(e, "a series");
    }
    return get_labels(r, a, true, ls, e) && (ls->n > 0 || damaged(e, "a series"));
}

/* -- samples, writing -- */

struct subset { /* samples of a run that go into the log, as one run of the record */
    const struct tsdb_batch *b;
    size_t from, to, n;
};

static bool stored(const struct tsdb_batch *b, size_t i)
{
    return b->verdict[i] == VERDICT_APPEND || b->verdict[i] == VERDICT_LATE;
}

static void put_refs(struct buf *out, const struct subset *s, uint32_t *ref)
{
    char *start = buf_room(out, s->n * 5);
    if (start == NULL) {
        return;
    }
    char *p = start;
    uint32_t before = *ref;
    bool all = s->n == s->to - s->from;
    for (size_t i = s->from; i < s->to; i++) {
        if (!all && !stored(s->b, i)) {
            continue;
        }
        uint32_t now = s->b->refs[i];
        uint64_t z = zigzag((int64_t)now - (int64_t)before);
        if (z < 0x80) {
            *p++ = (char)z;
        } else {
            p = varint_put(p, z);
        }
        before = now;
    }
    out->n += (size_t)(p - start);
    *ref = before;
}

static void put_values(struct buf *out, const struct subset *s, bool hist)
{
    if (!hist && s->n == s->to - s->from) {
        buf_add(out, s->b->bits + s->from, s->n * 8);
        return;
    }
    for (size_t i = s->from; i < s->to; i++) {
        if (!stored(s->b, i)) {
            continue;
        }
        if (hist) {
            put_text(out, tsdb_batch_hist(s->b, s->b->bits[i]));
        } else {
            buf_u64le(out, s->b->bits[i]);
        }
    }
}

static void put_starts(struct buf *out, const struct subset *s, int64_t *st)
{
    for (size_t i = s->from; i < s->to; i++) {
        if (stored(s->b, i)) {
            put(out, zigzag(minus(s->b->st[i], *st)));
            *st = s->b->st[i];
        }
    }
}

void log_put_samples(struct buf *out, const struct tsdb_batch *b)
{
    int64_t t = 0;
    int64_t st = 0;
    uint32_t ref = 0;
    for (size_t r = 0; r < b->runs_n; r++) {
        struct subset s = {.b = b, .from = b->runs[r].first, .to = batch_run_end(b, r)};
        s.n = s.to - s.from;
        bool any_st = false;
        for (size_t i = s.from; i < s.to && !(b->clean && !b->has_st); i++) {
            bool in = stored(b, i);
            s.n -= in ? 0 : 1;
            any_st |= in && b->has_st && b->st[i] != 0;
        }
        if (s.n == 0) {
            continue;
        }
        bool hist = b->runs[r].kind == BATCH_HIST;
        buf_u8(out, (uint8_t)((hist ? KIND_HIST : 0) | (any_st ? KIND_ST : 0)));
        put(out, zigzag(minus(b->runs[r].t, t)));
        put(out, s.n);
        t = b->runs[r].t;
        put_refs(out, &s, &ref);
        put_values(out, &s, hist);
        if (any_st) {
            put_starts(out, &s, &st);
        }
    }
}

/* -- samples, reading -- */

void log_reader_init(struct log_reader *r, struct mem *m)
{
    *r = (struct log_reader){.mem = m};
}

void log_reader_release(struct log_reader *r)
{
    mem_give(r->mem, r->refs, r->refs_cap * sizeof *r->refs);
    mem_give(r->mem, r->hists, r->hists_cap * sizeof *r->hists);
    mem_give(r->mem, r->sts, r->sts_cap * sizeof *r->sts);
    *r = (struct log_reader){.mem = r->mem};
}

void log_reader_start(struct log_reader *r, struct str payload)
{
    r->rd = rd_of(payload);
    r->t = 0;
    r->st = 0;
    r->ref = 0;
}

static bool room(struct mem *m, void **p, size_t *cap, size_t n, size_t element, struct err *e)
{
    return mem_array_grow(m, p, cap, n, LOG_RECORD_BYTES_MAX, element) ||
           err_set(e, ERR_NOMEM, "no memory to read the log");
}

static bool get_refs(struct log_reader *r, uint32_t n)
{
    uint32_t ref = r->ref;
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        int64_t next = (int64_t)ref + unzigzag(get(&r->rd));
        ok &= next > 0 && next < (int64_t)REFS_MAX;
        ref = ok ? (uint32_t)next : 1;
        r->refs[i] = ref;
    }
    r->ref = ref;
    return ok && !r->rd.failed;
}

static bool get_hists(struct log_reader *r, uint32_t n, struct err *e)
{
    void *p = r->hists;
    bool ok = room(r->mem, &p, &r->hists_cap, n, sizeof *r->hists, e);
    r->hists = p;
    for (uint32_t i = 0; ok && i < n; i++) {
        r->hists[i] = get_text(&r->rd);
        ok = !r->rd.failed || damaged(e, "samples");
    }
    return ok;
}

static bool get_starts(struct log_reader *r, uint32_t n, struct err *e)
{
    void *p = r->sts;
    bool ok = room(r->mem, &p, &r->sts_cap, n, sizeof *r->sts, e);
    r->sts = p;
    for (uint32_t i = 0; ok && i < n; i++) {
        r->st = plus(r->st, unzigzag(get(&r->rd)));
        r->sts[i] = r->st;
    }
    return ok && (!r->rd.failed || damaged(e, "samples"));
}

bool log_reader_next(struct log_reader *r, struct log_run *out, struct err *e)
{
    if (rd_left(&r->rd) == 0 && !r->rd.failed) {
        err_clear(e);
        return false;
    }
    unsigned kind = rd_u8(&r->rd);
    r->t = plus(r->t, unzigzag(get(&r->rd)));
    uint32_t n = get_u32(&r->rd);
    /* An id takes a byte at least, which bounds what is allocated. */
    if (r->rd.failed || kind > (KIND_HIST | KIND_ST) || n == 0 || n > rd_left(&r->rd)) {
        return damaged(e, "samples");
    }
    void *p = r->refs;
    bool ok = room(r->mem, &p, &r->refs_cap, n, sizeof *r->refs, e);
    r->refs = p;
    if (!ok) {
        return false;
    }
    if (!get_refs(r, n)) {
        return damaged(e, "samples");
    }
    *out = (struct log_run){.t = r->t, .n = n, .refs = r->refs, .hist = (kind & KIND_HIST) != 0};
    if (out->hist) {
        if (!get_hists(r, n, e)) {
            return false;
        }
        out->hists = r->hists;
    } else {
        out->values = rd_bytes(&r->rd, (size_t)n * 8).p;
        if (r->rd.failed) {
            return damaged(e, "samples");
        }
    }
    if ((kind & KIND_ST) != 0) {
        if (!get_starts(r, n, e)) {
            return false;
        }
        out->st = r->sts;
    }
    return true;
}

/* -- exemplars -- */

void log_put_exemplars(struct buf *out, const struct tsdb_batch *b)
{
    for (size_t i = 0; i < b->exemplars_n; i++) {
        const struct batch_exemplar *x = &b->exemplars[i];
        if (x->ref == 0) {
            continue; /* refused */
        }
        put(out, x->ref);
        put(out, zigzag(x->t));
        buf_f64le(out, x->v);
        struct rd r = rd_of(str_of(b->blob.p + x->off, x->bytes));
        uint32_t n = rd_u32le(&r);
        put(out, n);
        for (uint32_t k = 0; k < n * 2; k++) {
            put_text(out, rd_str32(&r));
        }
        ASSERT(!r.failed);
    }
}

bool log_get_exemplar(struct rd *r, struct arena *a, struct tsdb_exemplar *out, struct err *e)
{
    out->ref = get_u32(r);
    out->t_ms = unzigzag(get(r));
    out->v = rd_f64le(r);
    if (r->failed || out->ref == 0 || out->ref >= REFS_MAX) {
        return damaged(e, "an exemplar");
    }
    return get_labels(r, a, false, &out->labels, e);
}
