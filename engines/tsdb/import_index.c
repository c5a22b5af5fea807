/* The index file of a block of Prometheus (versions 1 and 2 of it differ in nothing that is read
 * here but the unit of series ids), and its tombstones.
 *
 *     u32 0xbaaad700, u8 version
 *     symbols      u32 bytes, u32 count, per symbol uvarint length and bytes, u32 crc
 *     series       each at a multiple of 16: uvarint bytes, body, u32 crc
 *     ...          postings and such, not needed to read everything
 *     the end      six u64 places: symbols, series, label indices, label table, postings, postings
 *                  table; u32 crc
 *
 *     a body: uvarint labels, per label two uvarint symbols; uvarint chunks, per chunk
 *         first: varint min, uvarint max - min, uvarint place
 *         then:  uvarint min - max before, uvarint max - min, varint place - place before
 *
 *     tombstones: u32 0x0130ba30, u8 1, entries (uvarint id, varint from, varint to), u32 crc
 *
 * Numbers are big-endian. Source: tsdb/docs/format/index.md, tombstones.md of Prometheus. */
#include "base/hash.h"
#include "engines/tsdb/import_int.h"

#define INDEX_MAGIC 0xbaaad700U
#define TOMBS_MAGIC 0x0130ba30U
#define TOC_BYTES   52
#define ALIGN       16
#define CHUNKS_MAX  (1U << 22)
#define TOMBS_COUNT (1U << 22)

uint32_t import_u32be(struct rd *r)
{
    return __builtin_bswap32(rd_u32le(r));
}

uint64_t import_u64be(struct rd *r)
{
    return __builtin_bswap64(rd_u64le(r));
}

uint64_t import_uvarint(struct rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t c = rd_u8(r);
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

int64_t import_varint(struct rd *r)
{
    uint64_t v = import_uvarint(r);
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "index of a Prometheus block is damaged: %s", what);
}

static bool crc_is(struct str body, uint32_t crc)
{
    return hash_crc32c(body) == crc;
}

static bool symbols_read(struct import_index *x, uint64_t at, struct err *e)
{
    struct rd r = rd_of(str_sub(x->bytes, at, SIZE_MAX));
    struct str body = rd_bytes(&r, import_u32be(&r));
    uint32_t crc = import_u32be(&r);
    if (r.failed || !crc_is(body, crc)) {
        return damaged(e, "checksum of the symbols");
    }
    r = rd_of(body);
    uint32_t n = import_u32be(&r);
    if (r.failed || n > rd_left(&r)) {
        return damaged(e, "number of symbols");
    }
    x->symbols = mem_take(x->mem, n * sizeof *x->symbols);
    if (x->symbols == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for %u symbols", n);
    }
    x->symbols_n = n;
    for (uint32_t i = 0; i < n; i++) {
        x->symbols[i] = rd_bytes(&r, import_uvarint(&r));
    }
    return !r.failed || damaged(e, "a symbol is longer than the symbols");
}

bool import_index_open(struct import_index *x, struct mem *m, struct str bytes, struct err *e)
{
    *x = (struct import_index){.mem = m, .bytes = bytes};
    if (bytes.n < 5 + TOC_BYTES) {
        return damaged(e, "it is too short");
    }
    struct rd r = rd_of(bytes);
    uint32_t magic = import_u32be(&r);
    uint8_t version = rd_u8(&r);
    if (magic != INDEX_MAGIC || version < 1 || version > 2) {
        return err_set(e, ERR_INPUT, "not an index of Prometheus, version 1 or 2");
    }
    struct str toc = str_sub(bytes, bytes.n - TOC_BYTES, TOC_BYTES);
    uint64_t at[6];
    r = rd_of(toc);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        at[i] = import_u64be(&r);
    }
    if (!crc_is(str_sub(toc, 0, TOC_BYTES - 4), import_u32be(&r))) {
        return damaged(e, "checksum of the table of contents");
    }
    /* Series end where the next part begins, whichever that is. */
    uint64_t end = bytes.n - TOC_BYTES;
    for (size_t i = 2; i < ARRAY_LEN(at); i++) {
        end = at[i] > at[1] && at[i] < end ? at[i] : end;
    }
    if (at[0] > end || at[1] > end) {
        return damaged(e, "table of contents");
    }
    x->series_at = (size_t)at[1];
    x->series_end = (size_t)end;
    return at[0] == 0 || symbols_read(x, at[0], e);
}

void import_index_release(struct import_index *x)
{
    mem_give(x->mem, x->symbols, x->symbols_n * sizeof *x->symbols);
    x->symbols = NULL;
    x->symbols_n = 0;
}

void import_series_release(struct import_series *s, struct mem *m)
{
    mem_give(m, s->chunks, s->chunks_cap * sizeof *s->chunks);
    s->chunks = NULL;
    s->chunks_cap = 0;
}

static bool labels_read(const struct import_index *x, struct rd *r, struct import_series *s,
                        struct err *e)
{
    uint64_t n = import_uvarint(r);
    if (n > LABELS_COUNT_MAX) {
        return err_set(e, ERR_LIMIT, "a series has %llu labels, at most %d", (unsigned long long)n,
                       LABELS_COUNT_MAX);
    }
    s->labels_n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t name = import_uvarint(r);
        uint64_t value = import_uvarint(r);
        if (name >= x->symbols_n || value >= x->symbols_n) {
            return damaged(e, "a label names a symbol that is not there");
        }
        s->labels[i] = (struct label){x->symbols[name], x->symbols[value]};
    }
    return !r->failed || damaged(e, "labels of a series");
}

static bool chunks_read(const struct import_index *x, struct rd *r, struct import_series *s,
                        struct err *e)
{
    uint64_t n = import_uvarint(r);
    uint64_t place = 0;
    int64_t at_ms = 0;
    void *p = s->chunks;
    if (r->failed || n > CHUNKS_MAX || n > rd_left(r)) {
        return damaged(e, "number of chunks");
    }
    if (!mem_array_grow(x->mem, &p, &s->chunks_cap, n, CHUNKS_MAX, sizeof *s->chunks)) {
        return err_set(e, ERR_NOMEM, "no memory for %llu chunks", (unsigned long long)n);
    }
    s->chunks = p;
    s->chunks_n = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        bool over = false;
        int64_t from = 0;
        int64_t to = 0;
        if (i == 0) {
            from = import_varint(r);
        } else {
            over = __builtin_add_overflow(at_ms, import_uvarint(r), &from);
        }
        over = __builtin_add_overflow(from, import_uvarint(r), &to) || over;
        place = i == 0 ? import_uvarint(r) : place + (uint64_t)import_varint(r);
        if (r->failed || over) {
            return damaged(e, "chunks of a series");
        }
        s->chunks[i] = (struct import_chunk_ref){
            .min_ms = from, .max_ms = to, .file = (uint32_t)(place >> 32), .off = (uint32_t)place};
        at_ms = to;
    }
    return true;
}

bool import_index_next(const struct import_index *x, size_t *at, struct import_series *s, bool *end,
                       struct err *e)
{
    size_t from = *at == 0 ? x->series_at : *at;
    size_t rest = from % ALIGN;
    from += rest > 0 ? ALIGN - rest : 0;
    *end = from >= x->series_end;
    if (*end) {
        return true;
    }
    struct rd r = rd_of(str_of(x->bytes.p + from, x->series_end - from));
    uint64_t n = import_uvarint(&r);
    if (!r.failed && n == 0) {
        *end = true; /* zeros up to the next part */
        return true;
    }
    struct str body = rd_bytes(&r, n);
    uint32_t crc = import_u32be(&r);
    if (r.failed || !crc_is(body, crc)) {
        return damaged(e, "checksum of a series");
    }
    *at = (size_t)((const char *)r.p - x->bytes.p);
    s->id = from / ALIGN;
    r = rd_of(body);
    return labels_read(x, &r, s, e) && chunks_read(x, &r, s, e);
}

bool import_tombs_decode(struct str bytes, struct mem *m, struct import_tomb **out, size_t *n,
                         size_t *cap, struct err *e)
{
    *out = NULL;
    *n = 0;
    *cap = 0;
    struct rd r = rd_of(bytes);
    uint32_t magic = import_u32be(&r);
    uint8_t version = rd_u8(&r);
    if (r.failed || magic != TOMBS_MAGIC || version != 1 || rd_left(&r) < 4) {
        return err_set(e, ERR_CORRUPT, "not a file of tombstones of Prometheus");
    }
    struct str body = rd_bytes(&r, rd_left(&r) - 4);
    if (!crc_is(body, import_u32be(&r))) {
        return err_set(e, ERR_CORRUPT, "checksum of the tombstones of a Prometheus block");
    }
    r = rd_of(body);
    while (rd_left(&r) > 0) {
        struct import_tomb t;
        t.id = import_uvarint(&r);
        t.from_ms = import_varint(&r);
        t.to_ms = import_varint(&r);
        void *p = *out;
        bool ok = !r.failed && mem_array_grow(m, &p, cap, *n + 1, TOMBS_COUNT, sizeof **out);
        *out = p;
        if (!ok) {
            mem_give(m, *out, *cap * sizeof **out);
            *out = NULL;
            return err_set(e, r.failed ? ERR_CORRUPT : ERR_LIMIT,
                           "tombstones of a Prometheus block cannot be read");
        }
        (*out)[(*n)++] = t;
    }
    return true;
}
