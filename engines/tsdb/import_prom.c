/* A data folder of Prometheus: its blocks, one after the other, and in each the days (as
 * tsdb_backfill cuts them), one after the other, so that what is written together belongs together.
 * The index is walked once for each day, which costs little beside the samples.
 *
 *     DIR/<26 letters and digits>/{meta.json, index, chunks/000001.., tombstones}
 *     DIR/wal/...                     import_wal.c
 *
 *     a chunk file: u32 0x85bd40dd, u8 1, three zeros, chunks: uvarint bytes, u8 encoding, bytes,
 *     u32 crc of encoding and bytes
 *
 * A chunk that is damaged costs its samples, a damaged index the rest of its block; both are
 * counted and the import goes on. Source: tsdb/docs/format of Prometheus. */
#include "base/hash.h"
#include "codec/xor_chunk.h"
#include "engines/tsdb/import_prom_int.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MAGIC     0x85bd40ddU
#define CHUNK_FILES_MAX 4096
#define CHUNK_HISTS_MAX (256U << 20)
#define BLOCKS_MAX      65536
#define ULID_BYTES      26
#define DAY_SPANS       12
#define DAYS_MAX        100000

/* A block that is being read. */
struct pblock {
    struct import_prom *p;
    struct block_map index_map;
    struct import_index index;
    struct block_map *files; /* chunk files, by number */
    uint32_t files_n;
    struct import_tomb *tombs;
    size_t tombs_n, tombs_cap;
    struct import_series series;
    uint32_t ref;           /* of the series, 0 = refused */
    int64_t from_ms, to_ms; /* the day; both belong to it */
};

/* --- samples ---------------------------------------------------------------------------------- */

static bool is_deleted(const struct pblock *b, int64_t t_ms)
{
    size_t lo = 0;
    size_t hi = b->tombs_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->tombs[mid].id < b->series.id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (; lo < b->tombs_n && b->tombs[lo].id == b->series.id; lo++) {
        if (t_ms >= b->tombs[lo].from_ms && t_ms <= b->tombs[lo].to_ms) {
            return true;
        }
    }
    return false;
}

static bool sample_take(void *ctx, const struct import_sample *s, struct err *e)
{
    struct pblock *b = ctx;
    if (s->t_ms < b->from_ms || s->t_ms > b->to_ms) {
        return true; /* of another day */
    }
    if (is_deleted(b, s->t_ms)) {
        b->p->sink.counts->deleted++;
        return true;
    }
    if (b->ref == 0) {
        b->p->sink.counts->refused++;
        return true;
    }
    return import_sink_add(&b->p->sink, b->ref, s, 0, e);
}

/* Lets only failures of the store through; what is wrong with the chunk is for the caller to count.
 * */
struct taking {
    struct pblock *b;
    bool failed; /* by the store */
};

static bool taking_each(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct taking *t = ctx;
    const struct import_sample x = {s->t_ms, s->v, s->h};
    t->failed = !sample_take(t->b, &x, e);
    return !t->failed;
}

static bool chunk_find(const struct pblock *b, const struct import_chunk_ref *c, unsigned *encoding,
                       struct str *data)
{
    if (c->file >= b->files_n || b->files[c->file].p == NULL) {
        return false;
    }
    const struct block_map *f = &b->files[c->file];
    struct str bytes = str_of((const char *)f->p, f->n);
    struct rd r = rd_of(bytes);
    if (import_u32be(&r) != CHUNK_MAGIC || rd_u8(&r) != 1 || c->off < 8 || c->off >= f->n) {
        return false;
    }
    r = rd_of(str_sub(bytes, c->off, SIZE_MAX));
    uint64_t n = import_uvarint(&r);
    if (r.failed || n >= rd_left(&r)) {
        return false;
    }
    struct str summed = rd_bytes(&r, n + 1);
    uint32_t crc = import_u32be(&r);
    if (r.failed || hash_crc32c(summed) != crc) {
        return false;
    }
    *encoding = (unsigned char)summed.p[0];
    *data = str_sub(summed, 1, n);
    return true;
}

static bool chunk_take(struct pblock *b, const struct import_chunk_ref *c, struct err *e)
{
    unsigned encoding = 0;
    struct str data;
    struct err why = {0};
    struct taking t = {.b = b};
    arena_reset(&b->p->hists);
    bool ok = chunk_find(b, c, &encoding, &data) &&
              xor_chunk_decode(encoding, data, &b->p->hists, taking_each, &t, &why);
    if (!ok && (t.failed || why.code == ERR_NOMEM)) {
        return err_set(e, why.code, "%s", why.msg);
    }
    b->p->sink.counts->chunks_damaged += ok ? 0 : 1;
    return true;
}

/* --- series ----------------------------------------------------------------------------------- */

static bool series_ref(struct pblock *b, struct err *e)
{
    struct import_series *s = &b->series;
    struct err why = {0};
    uint32_t n = s->labels_n;
    b->ref = 0;
    bool ok =
        labels_normalize(s->labels, &n, &why) &&
        (n > 0 || err_set(&why, ERR_INPUT, "a series without labels")) &&
        tsdb_series(b->p->sink.db, b->p->sink.source, (struct labels){s->labels, n}, &b->ref, &why);
    if (!ok) {
        b->ref = 0;
    }
    /* Bounds and bad names cost the series, and its samples are counted as refused. */
    return ok || why.code == ERR_LIMIT || why.code == ERR_INPUT ||
           err_set(e, why.code, "%s", why.msg);
}

static bool series_take(struct pblock *b, struct err *e)
{
    bool known = false;
    for (uint32_t i = 0; i < b->series.chunks_n; i++) {
        const struct import_chunk_ref *c = &b->series.chunks[i];
        if (c->max_ms < b->from_ms || c->min_ms > b->to_ms) {
            continue;
        }
        if (!known && !series_ref(b, e)) {
            return false;
        }
        known = true;
        if (!chunk_take(b, c, e)) {
            return false;
        }
    }
    return true;
}

/* Calls take for all series. *sound: the index could be read to its end. */
static bool series_each(struct pblock *b, bool (*take)(struct pblock *b, struct err *e),
                        bool *sound, struct err *e)
{
    size_t at = 0;
    for (;;) {
        bool end = false;
        struct err why = {0};
        *sound = import_index_next(&b->index, &at, &b->series, &end, &why);
        if (!*sound && why.code == ERR_NOMEM) {
            return err_set(e, why.code, "%s", why.msg);
        }
        if (!*sound || end) {
            return true;
        }
        if (!take(b, e)) {
            return false;
        }
    }
}

static bool bounds_take(struct pblock *b, struct err *e)
{
    (void)e;
    b->p->sink.counts->series++;
    for (uint32_t i = 0; i < b->series.chunks_n; i++) {
        b->from_ms = i64_min(b->from_ms, b->series.chunks[i].min_ms);
        b->to_ms = i64_max(b->to_ms, b->series.chunks[i].max_ms);
    }
    return true;
}

/* --- a block ---------------------------------------------------------------------------------- */

static bool days_take(struct pblock *b, bool *sound, struct err *e)
{
    int64_t day_ms = b->p->day_ms;
    b->from_ms = INT64_MAX;
    b->to_ms = INT64_MIN;
    if (!series_each(b, bounds_take, sound, e) || b->from_ms > b->to_ms) {
        return b->from_ms > b->to_ms;
    }
    int64_t first_ms = b->from_ms;
    int64_t last_ms = b->to_ms;
    int64_t at = first_ms - ((first_ms % day_ms) + day_ms) % day_ms;
    if (first_ms < INT64_MIN + day_ms || last_ms > INT64_MAX - day_ms ||
        (last_ms - at) / day_ms > DAYS_MAX) {
        *sound = false; /* times that no clock has shown */
        return true;
    }
    for (; at <= last_ms; at += day_ms) {
        bool again = false;
        b->from_ms = at;
        b->to_ms = at + day_ms - 1;
        if (!series_each(b, series_take, &again, e) || !import_sink_flush(&b->p->sink, e)) {
            return false;
        }
        *sound = *sound && again;
    }
    b->p->last_ms = i64_max(b->p->last_ms, last_ms);
    return true;
}

struct file_count {
    uint32_t top; /* greatest number */
};

static void file_each(void *arg, const char *name)
{
    struct file_count *f = arg;
    uint64_t number = 0;
    if (strlen(name) == 6 && str_to_u64(str_from_c(name), &number) && number <= CHUNK_FILES_MAX) {
        f->top = (uint32_t)number > f->top ? (uint32_t)number : f->top;
    }
}

/* A chunk file that cannot be opened costs its chunks, which are then counted. */
static bool files_open(struct pblock *b, const char *dir, struct err *e)
{
    char folder[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    struct file_count count = {0};
    const struct os *os = b->p->os;
    if (!path_join(folder, sizeof folder, dir, "chunks", e)) {
        return false;
    }
    (void)os->list(os->ctx, folder, file_each, &count);
    b->files = mem_take(&b->p->mem, count.top * sizeof *b->files);
    if (b->files == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for %u chunk files", count.top);
    }
    b->files_n = count.top;
    for (uint32_t i = 0; i < count.top; i++) {
        char name[16];
        struct err why = {0};
        snprintf(name, sizeof name, "%06u", i + 1);
        if (!path_join(path, sizeof path, folder, name, e)) {
            return false;
        }
        if (!block_map_open(&b->files[i], &b->p->mem, os, path, 8, &why) && why.code == ERR_NOMEM) {
            return err_set(e, why.code, "%s", why.msg);
        }
    }
    return true;
}

static int tomb_order(const void *a, const void *b)
{
    const struct import_tomb *x = a;
    const struct import_tomb *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* A block mostly has none. Damage makes the block unreadable: it must not bring back what was
 * deleted. */
static bool tombs_open(struct pblock *b, const char *dir, bool *sound, struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct block_map map = {0};
    struct err why = {0};
    if (!path_join(path, sizeof path, dir, "tombstones", e)) {
        return false;
    }
    if (!block_map_open(&map, &b->p->mem, b->p->os, path, 1, &why)) {
        return why.code != ERR_NOMEM || err_set(e, why.code, "%s", why.msg);
    }
    *sound = import_tombs_decode(str_of((const char *)map.p, map.n), &b->p->mem, &b->tombs,
                                 &b->tombs_n, &b->tombs_cap, &why);
    block_map_close(&map);
    if (!*sound && why.code == ERR_NOMEM) {
        return err_set(e, why.code, "%s", why.msg);
    }
    if (b->tombs_n > 0) {
        qsort(b->tombs, b->tombs_n, sizeof *b->tombs, tomb_order);
    }
    return true;
}

static bool index_open(struct pblock *b, const char *dir, bool *sound, struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct err why = {0};
    if (!path_join(path, sizeof path, dir, "index", e)) {
        return false;
    }
    *sound = block_map_open(&b->index_map, &b->p->mem, b->p->os, path, 1, &why) &&
             import_index_open(&b->index, &b->p->mem,
                               str_of((const char *)b->index_map.p, b->index_map.n), &why);
    return *sound || why.code != ERR_NOMEM || err_set(e, why.code, "%s", why.msg);
}

static void pblock_close(struct pblock *b)
{
    struct mem *m = &b->p->mem;
    for (uint32_t i = 0; i < b->files_n; i++) {
        block_map_close(&b->files[i]);
    }
    mem_give(m, b->files, b->files_n * sizeof *b->files);
    mem_give(m, b->tombs, b->tombs_cap * sizeof *b->tombs);
    import_series_release(&b->series, m);
    if (b->index.mem != NULL) {
        import_index_release(&b->index);
    }
    block_map_close(&b->index_map);
    mem_give(m, b, sizeof *b);
}

static bool block_take(struct import_prom *p, const char *dir, struct err *e)
{
    struct pblock *b = mem_take(&p->mem, sizeof *b); /* too large for a stack */
    if (b == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to import a block");
    }
    b->p = p;
    bool sound = true;
    bool ok = index_open(b, dir, &sound, e);
    if (ok && sound) {
        ok = tombs_open(b, dir, &sound, e);
    }
    if (ok && sound) {
        ok = files_open(b, dir, e) && days_take(b, &sound, e);
    }
    pblock_close(b);
    p->sink.counts->blocks += ok && sound;
    p->sink.counts->blocks_damaged += ok && !sound;
    return ok;
}

/* --- the folder ------------------------------------------------------------------------------- */

struct names {
    struct import_prom *p;
    char (*v)[ULID_BYTES + 1];
    size_t n, cap;
    bool failed, wal;
};

static bool is_ulid(struct str s)
{
    bool ok = s.n == ULID_BYTES;
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z');
    }
    return ok;
}

static void name_each(void *arg, const char *name)
{
    struct names *n = arg;
    n->wal = n->wal || str_eq(str_from_c(name), STR("wal"));
    if (!is_ulid(str_from_c(name))) {
        return;
    }
    void *v = n->v;
    if (!mem_array_grow(&n->p->mem, &v, &n->cap, n->n + 1, BLOCKS_MAX, sizeof *n->v)) {
        n->failed = true;
        return;
    }
    n->v = v;
    memcpy(n->v[n->n++], name, ULID_BYTES + 1);
}

static bool folder_take(struct import_prom *p, const char *dir, struct names *n, struct err *e)
{
    char path[PATH_BYTES_MAX];
    int rc = p->os->list(p->os->ctx, dir, name_each, n);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", dir);
    }
    if (n->failed) {
        return err_set(e, ERR_LIMIT, "'%s' has more than %d blocks, or there is no memory", dir,
                       BLOCKS_MAX);
    }
    if (n->n == 0 && !n->wal) {
        return err_set(e, ERR_INPUT, "'%s' has neither blocks of Prometheus nor its log", dir);
    }
    for (size_t i = 0; i < n->n; i++) {
        if (!path_join(path, sizeof path, dir, n->v[i], e) || !block_take(p, path, e)) {
            return false;
        }
    }
    return !n->wal || (path_join(path, sizeof path, dir, "wal", e) && import_wal(p, path, e));
}

bool tsdb_import_prometheus(struct tsdb *db, const struct os *os, const char *dir,
                            bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                            void *progress_ctx, struct tsdb_import *out, struct err *e)
{
    struct tsdb_config config;
    struct import_prom p = {.os = os, .last_ms = INT64_MIN};
    struct names n = {.p = &p};
    *out = (struct tsdb_import){0};
    mem_init(&p.mem, 0);
    tsdb_config_get(db, &config);
    p.day_ms = config.block_ms * DAY_SPANS;
    arena_init(&p.hists, &p.mem, CHUNK_HISTS_MAX);
    bool ok = import_sink_open(&p.sink, db, &p.mem, out, progress, progress_ctx, e) &&
              folder_take(&p, dir, &n, e) && import_sink_flush(&p.sink, e);
    import_sink_close(&p.sink);
    mem_give(&p.mem, n.v, n.cap * sizeof *n.v);
    arena_release(&p.hists);
    ASSERT(p.mem.bytes == 0);
    return ok;
}
