/* The write-ahead log of Prometheus: samples that are newer than its blocks.
 *
 *     wal/checkpoint.00000007/00000000..    what of the segments up to 7 is still needed
 *     wal/00000008, 00000009, ..            segments, of pages of 32 KiB
 *
 *     a page holds fragments: u8 kind, u16 bytes, u32 crc32c of the bytes; kind: the low three bits
 *     1 whole, 2 first, 3 middle, 4 last, 0 the page ends here; 8 snappy, 16 zstd (of the whole
 *     record)
 *
 *     a record: u8 type
 *       1  series            u64 ref, uvarint labels, per label name and value (length, bytes)
 *       2  samples           u64 ref, u64 time; per sample varint ref and time difference, f64
 *       3  tombstones        u64 ref, varint from, varint to
 *       7, 9  histograms     u64 ref, u64 time; per sample varint differences, histogram
 *       8, 10 float histograms
 *
 * Numbers are big-endian. Exemplars, metadata and markers (4, 5, 6) are passed over. As Prometheus
 * does, samples not newer than the newest block are left out: they are in a block. Deletions
 * concern what the log holds before them; the log is therefore walked twice, for them and for
 * samples.
 *
 * Reading ends at the first damage, as Prometheus' own repair cuts there; it is counted.
 * Source: tsdb/docs/format/wal.md and tsdb/record of Prometheus. */
#include "base/hash.h"
#include "codec/snappy.h"
#include "engines/tsdb/import_prom_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#define PAGE_BYTES    32768
#define FRAGMENT_HEAD 7
#define RECORD_MAX    (256U << 20)
#define SEGMENTS_MAX  1000000
#define REFS_MAX      (1U << 26)
#define DELETIONS_MAX (1U << 20)

enum fragment { FRAG_END, FRAG_WHOLE, FRAG_FIRST, FRAG_MIDDLE, FRAG_LAST };

struct wal_tomb {
    uint64_t ref;
    int64_t from_ms, to_ms;
    uint64_t record; /* concerns records before this one */
};

/* thread: one */
struct wal {
    struct import_prom *p;
    bool samples;    /* the second walk */
    uint64_t record; /* number of the current one */
    uint64_t *keys;  /* refs of Prometheus, open addressing; 0 = free */
    uint32_t *refs;  /* ours; 0 = refused */
    size_t table_n, used;
    struct wal_tomb *tombs;
    size_t tombs_n, tombs_cap;
    struct buf joined, plain; /* fragments of a record, and it unpacked */
    bool damaged;
};

/* --- series ----------------------------------------------------------------------------------- */

static size_t place_of(const struct wal *w, uint64_t key)
{
    size_t at = (key * 0x9e3779b97f4a7c15ULL >> 20) & (w->table_n - 1);
    while (w->keys[at] != 0 && w->keys[at] != key) {
        at = (at + 1) & (w->table_n - 1);
    }
    return at;
}

static bool table_room(struct wal *w, struct err *e)
{
    if ((w->used + 1) * 2 <= w->table_n) {
        return true;
    }
    struct mem *m = &w->p->mem;
    struct wal bigger = {.table_n = w->table_n == 0 ? 1024 : w->table_n * 2};
    bigger.keys = bigger.table_n <= REFS_MAX ? mem_take(m, bigger.table_n * sizeof *w->keys) : NULL;
    bigger.refs = bigger.keys != NULL ? mem_take(m, bigger.table_n * sizeof *w->refs) : NULL;
    if (bigger.refs == NULL) {
        mem_give(m, bigger.keys, bigger.keys != NULL ? bigger.table_n * sizeof *w->keys : 0);
        return err_set(e, ERR_NOMEM, "no memory for %zu series of the log", w->used + 1);
    }
    for (size_t i = 0; i < w->table_n; i++) {
        if (w->keys[i] != 0) {
            size_t at = place_of(&bigger, w->keys[i]);
            bigger.keys[at] = w->keys[i];
            bigger.refs[at] = w->refs[i];
        }
    }
    mem_give(m, w->keys, w->table_n * sizeof *w->keys);
    mem_give(m, w->refs, w->table_n * sizeof *w->refs);
    w->keys = bigger.keys;
    w->refs = bigger.refs;
    w->table_n = bigger.table_n;
    return true;
}

static struct str text_get(struct rd *r)
{
    return rd_bytes(r, import_uvarint(r));
}

static bool series_take(struct wal *w, struct rd *r, struct err *e)
{
    struct label l[LABELS_COUNT_MAX];
    struct err why = {0};
    uint64_t key = import_u64be(r);
    uint64_t n = import_uvarint(r);
    uint32_t ref = 0;
    if (n > LABELS_COUNT_MAX) {
        r->failed = true;
        return true;
    }
    for (uint64_t i = 0; i < n; i++) {
        l[i].name = text_get(r);
        l[i].value = text_get(r);
    }
    if (r->failed || key == 0) {
        r->failed = true;
        return true;
    }
    uint32_t labels_n = (uint32_t)n;
    bool ok =
        labels_normalize(l, &labels_n, &why) &&
        (labels_n > 0 || err_set(&why, ERR_INPUT, "a series without labels")) &&
        tsdb_series(w->p->sink.db, w->p->sink.source, (struct labels){l, labels_n}, &ref, &why);
    if (!ok && why.code != ERR_LIMIT && why.code != ERR_INPUT) {
        return err_set(e, why.code, "%s", why.msg);
    }
    if (!table_room(w, e)) {
        return false;
    }
    size_t at = place_of(w, key);
    w->used += w->keys[at] == 0;
    w->keys[at] = key;
    w->refs[at] = ok ? ref : 0;
    w->p->sink.counts->series++;
    return true;
}

/* --- samples ---------------------------------------------------------------------------------- */

static bool is_deleted(const struct wal *w, uint64_t key, int64_t t_ms)
{
    for (size_t i = 0; i < w->tombs_n; i++) {
        const struct wal_tomb *t = &w->tombs[i];
        if (t->ref == key && w->record < t->record && t_ms >= t->from_ms && t_ms <= t->to_ms) {
            return true;
        }
    }
    return false;
}

static bool sample_take(struct wal *w, uint64_t key, const struct import_sample *s, struct err *e)
{
    struct tsdb_import *counts = w->p->sink.counts;
    if (s->t_ms <= w->p->last_ms) {
        return true; /* a block has it */
    }
    if (is_deleted(w, key, s->t_ms)) {
        counts->deleted++;
        return true;
    }
    uint32_t ref = w->table_n > 0 && key != 0 ? w->refs[place_of(w, key)] : 0;
    if (ref == 0) {
        counts->refused++; /* a bound, or a series that the log has lost */
        return true;
    }
    return import_sink_add(&w->p->sink, ref, s, 0, e);
}

static double double_be(struct rd *r)
{
    uint64_t v = import_u64be(r);
    double d;
    memcpy(&d, &v, sizeof d);
    return d;
}

static void spans_get(struct rd *r, struct arena *a, struct nhist_side *s)
{
    uint64_t n = import_uvarint(r);
    s->spans = n <= rd_left(r) ? ARENA_ARRAY(a, struct nhist_span, n) : NULL;
    if (s->spans == NULL) {
        r->failed = true;
        return;
    }
    s->spans_n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        s->spans[i].offset = (int32_t)import_varint(r);
        s->spans[i].length = (uint32_t)import_uvarint(r);
    }
}

static void counts_get(struct rd *r, struct arena *a, bool floats, struct nhist_side *s)
{
    uint64_t n = import_uvarint(r);
    uint64_t sum = 0;
    s->counts = n <= rd_left(r) && n <= NHIST_BUCKETS_MAX ? ARENA_ARRAY(a, double, n) : NULL;
    if (s->counts == NULL) {
        r->failed = true;
        return;
    }
    s->counts_n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        if (floats) {
            s->counts[i] = double_be(r);
        } else {
            sum += (uint64_t)import_varint(r); /* each is the difference to the one before */
            s->counts[i] = (double)(int64_t)sum;
        }
    }
}

static void hist_get(struct rd *r, struct arena *a, bool floats, struct nhist *h)
{
    static const enum nhist_reset resets[] = {NHIST_UNKNOWN, NHIST_RESET, NHIST_NO_RESET,
                                              NHIST_GAUGE};
    uint8_t reset = rd_u8(r);
    *h = (struct nhist){.reset = resets[reset & 3], .integer = !floats};
    h->schema = (int32_t)import_varint(r);
    h->zero_threshold = double_be(r);
    h->zero_count = floats ? double_be(r) : (double)import_uvarint(r);
    h->count = floats ? double_be(r) : (double)import_uvarint(r);
    h->sum = double_be(r);
    spans_get(r, a, &h->pos);
    spans_get(r, a, &h->neg);
    counts_get(r, a, floats, &h->pos);
    counts_get(r, a, floats, &h->neg);
    if (h->schema == NHIST_SCHEMA_CUSTOM) {
        uint64_t n = import_uvarint(r);
        h->custom = n <= rd_left(r) ? ARENA_ARRAY(a, double, n) : NULL;
        if (h->custom == NULL) {
            r->failed = true;
            return;
        }
        h->custom_n = (uint32_t)n;
        for (uint64_t i = 0; i < n; i++) {
            h->custom[i] = double_be(r);
        }
    }
}

static bool samples_take(struct wal *w, struct rd *r, unsigned type, struct err *e)
{
    bool floats = type == 8 || type == 10;
    if (rd_left(r) == 0) {
        return true;
    }
    uint64_t ref = import_u64be(r);
    uint64_t t_ms = import_u64be(r);
    while (rd_left(r) > 0 && !r->failed) {
        struct nhist h;
        struct import_sample s = {0};
        struct err why = {0};
        uint64_t key = ref + (uint64_t)import_varint(r);
        s.t_ms = (int64_t)(t_ms + (uint64_t)import_varint(r));
        if (type == 2) {
            s.v = double_be(r);
        } else {
            arena_reset(&w->p->hists);
            hist_get(r, &w->p->hists, floats, &h);
            s.v = h.sum;
            s.h = &h;
        }
        if (r->failed) {
            break;
        }
        if (s.h != NULL && !is_stale_nan(h.sum) && !nhist_validate(&h, &why)) {
            w->p->sink.counts->refused++;
        } else if (!sample_take(w, key, &s, e)) {
            return false;
        }
    }
    return true;
}

static bool tombs_take(struct wal *w, struct rd *r, struct err *e)
{
    while (rd_left(r) > 0) {
        struct wal_tomb t = {.ref = import_u64be(r), .record = w->record};
        t.from_ms = import_varint(r);
        t.to_ms = import_varint(r);
        void *p = w->tombs;
        if (r->failed) {
            return true;
        }
        if (!mem_array_grow(&w->p->mem, &p, &w->tombs_cap, w->tombs_n + 1, DELETIONS_MAX,
                            sizeof t)) {
            return err_set(e, ERR_LIMIT, "the log has more than %u deletions", DELETIONS_MAX);
        }
        w->tombs = p;
        w->tombs[w->tombs_n++] = t;
    }
    return true;
}

static bool record_take(struct wal *w, struct str record, struct err *e)
{
    struct rd r = rd_of(record);
    unsigned type = rd_u8(&r);
    bool ok = true;
    w->record++;
    switch (type) {
    case 1:
        while (ok && w->samples && rd_left(&r) > 0 && !r.failed) {
            ok = series_take(w, &r, e);
        }
        break;
    case 2:
    case 7:
    case 8:
    case 9:
    case 10: ok = !w->samples || samples_take(w, &r, type, e); break;
    case 3: ok = w->samples || tombs_take(w, &r, e); break;
    case 4:
    case 5:
    case 6: break;
    default: w->p->sink.counts->chunks_damaged += w->samples; break; /* of a later version */
    }
    w->p->sink.counts->chunks_damaged += ok && r.failed && w->samples;
    return ok;
}

/* --- fragments and files ---------------------------------------------------------------------- */

static bool record_unpack(struct wal *w, unsigned kind, struct str packed, struct err *e)
{
    struct err why = {0};
    if ((kind & 24) == 0) {
        return record_take(w, packed, e);
    }
    buf_reset(&w->plain);
    if ((kind & 8) != 0) {
        w->damaged = !snappy_unpack(packed, RECORD_MAX, &w->plain, &why);
    } else {
        unsigned long long n = ZSTD_getFrameContentSize(packed.p, packed.n);
        char *to = n <= RECORD_MAX ? buf_room(&w->plain, (size_t)n) : NULL;
        w->damaged = to == NULL || ZSTD_decompress(to, (size_t)n, packed.p, packed.n) != n;
        w->plain.n = w->damaged ? 0 : (size_t)n;
    }
    if (w->damaged && why.code == ERR_NOMEM) {
        return err_set(e, why.code, "%s", why.msg);
    }
    return w->damaged || record_take(w, buf_str(&w->plain), e);
}

static bool fragment_take(struct wal *w, unsigned kind, struct str bytes, struct err *e)
{
    enum fragment f = kind & 7;
    bool begins = f == FRAG_WHOLE || f == FRAG_FIRST;
    if (begins != (w->joined.n == 0) || f > FRAG_LAST) {
        w->damaged = true;
        return true;
    }
    if (f == FRAG_WHOLE) {
        return record_unpack(w, kind, bytes, e);
    }
    buf_str_add(&w->joined, bytes);
    if (!buf_ok(&w->joined, NULL)) {
        w->damaged = true;
        return true;
    }
    bool ok = f != FRAG_LAST || record_unpack(w, kind, buf_str(&w->joined), e);
    if (f == FRAG_LAST) {
        buf_reset(&w->joined);
    }
    return ok;
}

static bool segment_take(struct wal *w, struct str bytes, struct err *e)
{
    size_t at = 0;
    while (at < bytes.n && !w->damaged) {
        size_t page_left = PAGE_BYTES - at % PAGE_BYTES;
        struct rd r = rd_of(str_sub(bytes, at, page_left));
        unsigned kind = rd_u8(&r);
        if ((kind & 7) == FRAG_END) {
            at += page_left; /* zeros up to the next page */
            continue;
        }
        size_t n = (size_t)rd_u8(&r) << 8;
        n |= rd_u8(&r);
        uint32_t crc = import_u32be(&r);
        struct str body = rd_bytes(&r, n);
        if (r.failed || hash_crc32c(body) != crc) {
            w->damaged = true;
        } else if (!fragment_take(w, kind, body, e)) {
            return false;
        }
        at += FRAGMENT_HEAD + n;
    }
    return true;
}

struct segments {
    uint64_t first, end; /* numbers of the files there */
    uint64_t checkpoint; /* the newest, + 1; 0 = none */
};

static void segment_each(void *arg, const char *name)
{
    struct segments *s = arg;
    struct str n = str_from_c(name);
    uint64_t number = 0;
    if (str_starts(n, STR("checkpoint.")) &&
        str_to_u64(str_sub(n, STR("checkpoint.").n, SIZE_MAX), &number) && number < SEGMENTS_MAX) {
        s->checkpoint = number + 1 > s->checkpoint ? number + 1 : s->checkpoint;
    } else if (n.n >= 6 && str_to_u64(n, &number) && number < SEGMENTS_MAX) {
        s->first = s->end == 0 || number < s->first ? number : s->first;
        s->end = number + 1 > s->end ? number + 1 : s->end;
    }
}

/* The segments from number `from` on. A gap or an unreadable file ends the reading. */
static bool folder_take(struct wal *w, const char *dir, uint64_t from, struct err *e)
{
    struct segments s = {0};
    const struct os *os = w->p->os;
    char path[PATH_BYTES_MAX];
    int rc = os->list(os->ctx, dir, segment_each, &s);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", dir);
    }
    for (uint64_t i = from > s.first ? from : s.first; i < s.end && !w->damaged; i++) {
        struct block_map map = {0};
        struct err why = {0};
        char name[32];
        snprintf(name, sizeof name, "%08llu", (unsigned long long)i);
        if (!path_join(path, sizeof path, dir, name, e)) {
            return false;
        }
        if (!block_map_open(&map, &w->p->mem, os, path, 1, &why)) {
            w->damaged = why.code != ERR_CORRUPT; /* an empty segment is the last, just begun */
            continue;
        }
        bool ok = segment_take(w, str_of((const char *)map.p, map.n), e);
        block_map_close(&map);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool walk(struct wal *w, const char *dir, const struct segments *s, struct err *e)
{
    char checkpoint[PATH_BYTES_MAX];
    char name[32];
    w->record = 0;
    w->damaged = false;
    buf_reset(&w->joined);
    if (s->checkpoint > 0) {
        snprintf(name, sizeof name, "checkpoint.%08llu", (unsigned long long)(s->checkpoint - 1));
        if (!path_join(checkpoint, sizeof checkpoint, dir, name, e) ||
            !folder_take(w, checkpoint, 0, e)) {
            return false;
        }
    }
    return w->damaged || folder_take(w, dir, s->checkpoint, e);
}

bool import_wal(struct import_prom *p, const char *dir, struct err *e)
{
    struct segments s = {0};
    struct wal w = {.p = p};
    int rc = p->os->list(p->os->ctx, dir, segment_each, &s);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", dir);
    }
    buf_init(&w.joined, &p->mem, RECORD_MAX);
    buf_init(&w.plain, &p->mem, RECORD_MAX);
    bool ok = walk(&w, dir, &s, e);
    if (ok) {
        w.samples = true;
        ok = walk(&w, dir, &s, e) && import_sink_flush(&p->sink, e);
    }
    p->sink.counts->blocks_damaged += ok && w.damaged;
    mem_give(&p->mem, w.keys, w.table_n * sizeof *w.keys);
    mem_give(&p->mem, w.refs, w.table_n * sizeof *w.refs);
    mem_give(&p->mem, w.tombs, w.tombs_cap * sizeof *w.tombs);
    buf_release(&w.joined);
    buf_release(&w.plain);
    return ok;
}
