/* Writing a block: columns go out as they come, then the directory and the footer (block_finish.c);
 * the file has its name only when all of that is on the disk.
 *
 * blocks/ID.blk, all little-endian:
 *
 *     off  size
 *       0     8  "FROLBLK1"
 *       8     8  id
 *      16     4  version, 1
 *      20     4  crc32c of bytes 0..19
 *      24        data: records and time columns, in the order of writing (families together)
 *     data_end   directory
 *       4 * columns  refs, ascending; a series may have several columns
 *       4 * columns  offsets of the records
 *       w * columns  numbers of the time columns, w = 1, 2 or 4 bytes
 *       0 or 1 * columns  flags: 1 histograms, 2 start times; absent when all are 0
 *       32 * times   table of time columns: min i64, max i64, offset, bytes, count, crc32c u32 each
 *     footer    100 bytes, the last of the file
 *       0     8  id               40     8  max_ms            68     1  w
 *       8     8  seq              48     8  data_end          69     1  1: the flags are there
 *      16     8  log_upto         56     4  columns           70     2  0
 *      24     8  samples          60     4  time columns      72     4  version
 *      32     8  min_ms           64     4  level             76     4  crc32c of the directory
 *                                                             80     8  seq_min
 *                                                             88     8  "FROLEND1"
 *                                                             96     4  crc32c of footer 0..95
 *
 * A record:
 *
 *       0     4  crc32c of all after it
 *       4     v  bytes of the values * 2 + (1 when flags follow)
 *             1  flags: 1 histograms, 2 start times, 4 chained, 8 of a family
 *             v  chained: distance back to the record that the values are coded against
 *             v  histograms: their bytes
 *             v  start times: their bytes
 *                values (none when every sample is a histogram), histograms, start times: col_*.c
 *
 * v: seven bits a byte, lowest first, top bit = more. A column costs 4 + 4 + 1 (up to 256 distinct
 * lists of times) bytes in the directory and 6 in its record.
 *
 * Every byte is under one checksum. A damaged record or time column loses the columns that need it;
 * a chain ends after BLOCK_CHAIN_MAX columns, so that reading the last bucket of a histogram
 * decodes at most 15 others, and damage spreads no further.
 *
 * Sources: the order data, directory, footer and the rename after the sync are those of LevelDB's
 * and Parquet's tables; chains of buckets are our own (docs: histogram families). */
#include "base/hash.h"
#include "engines/tsdb/block_writer_int.h"

#define TMP_MAX (1U << 30) /* of one record: 65,536 histograms of many buckets */

static void varint_put(struct buf *b, uint64_t v)
{
    while (v >= 0x80) {
        buf_u8(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_u8(b, (uint8_t)v);
}

bool block_out_flush(struct block_writer *w, struct err *e)
{
    if (!buf_ok(&w->out, e) || !file_write_all(w->os, w->fd, buf_str(&w->out), w->path, e)) {
        return false;
    }
    if (w->in_directory) {
        w->dir_crc = hash_crc32c_add(w->dir_crc, buf_str(&w->out));
    }
    buf_reset(&w->out);
    return true;
}

bool block_out_add(struct block_writer *w, struct str s, struct err *e)
{
    buf_str_add(&w->out, s);
    w->off += s.n;
    return w->out.n < BLOCK_OUT_BYTES || block_out_flush(w, e);
}

void block_writer_free(struct block_writer *w)
{
    col_scratch_free(w->scratch);
    block_wtimes_release(&w->times);
    mem_give(w->mem, w->v, w->cap * sizeof *w->v);
    mem_give(w->mem, w->last.v, w->last.v_cap * sizeof *w->last.v);
    mem_give(w->mem, w->floats, w->floats_cap * sizeof *w->floats);
    buf_release(&w->out);
    buf_release(&w->values);
    buf_release(&w->rest);
    mem_give(w->mem, w, sizeof *w);
}

void block_writer_abort(struct block_writer *w)
{
    if (w->fd >= 0) {
        (void)w->os->close(w->os->ctx, w->fd); /* nobody wants these bytes */
    }
    if (w->named) {
        (void)w->os->unlink(w->os->ctx, w->path); /* if it stays, block_list removes it */
    }
    block_writer_free(w);
}

static bool writer_start(struct block_writer *w, struct err *e)
{
    char folder[PATH_BYTES_MAX];
    if (!path_join(folder, sizeof folder, w->dir, "blocks", e) || !dir_make(w->os, folder, e) ||
        !block_path(w->path, w->dir, w->info.id, ".tmp", e)) {
        return false;
    }
    w->scratch = col_scratch_new(w->mem);
    if (w->scratch == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a block writer");
    }
    w->times.scratch = w->scratch;
    col_scratch_quick(w->scratch, w->info.level < BLOCK_LEVEL_DENSE);
    int rc = w->os->open(w->os->ctx, w->path, OS_WRITE | OS_CREATE | OS_TRUNCATE, &w->fd);
    if (rc != 0) {
        w->fd = -1;
        return err_errno(e, rc, "cannot create '%s'", w->path);
    }
    w->named = true;
    char header[BLOCK_HEADER_BYTES];
    put_u64le(header, BLOCK_MAGIC);
    put_u64le(header + 8, w->info.id);
    put_u32le(header + 16, BLOCK_VERSION);
    put_u32le(header + 20, hash_crc32c(str_of(header, 20)));
    return block_out_add(w, str_of(header, sizeof header), e);
}

bool block_writer_open(struct block_writer **out, struct mem *m, const struct os *os,
                       const char *dir, uint64_t id, uint32_t level, struct err *e)
{
    *out = NULL;
    struct block_writer *w = mem_take(m, sizeof *w);
    if (w == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a block writer");
    }
    w->mem = m;
    w->os = os;
    w->fd = -1;
    w->info = (struct block_info){.id = id,
                                  .seq = id,
                                  .seq_min = id,
                                  .level = level,
                                  .min_ms = INT64_MAX,
                                  .max_ms = INT64_MIN};
    block_wtimes_init(&w->times, m, NULL);
    buf_init(&w->out, m, 2 * BLOCK_OUT_BYTES + TMP_MAX);
    buf_init(&w->values, m, TMP_MAX / 2);
    buf_init(&w->rest, m, TMP_MAX / 2);
    size_t n = strlen(dir);
    bool ok = n < sizeof w->dir || err_set(e, ERR_LIMIT, "path '%.80s...' is too long", dir);
    if (ok) {
        memcpy(w->dir, dir, n + 1);
        ok = writer_start(w, e);
    }
    if (!ok) {
        block_writer_abort(w);
        return false;
    }
    *out = w;
    return true;
}

void block_writer_seq(struct block_writer *w, uint64_t seq_min, uint64_t seq)
{
    ASSERT(seq_min <= seq);
    w->info.seq_min = seq_min;
    w->info.seq = seq;
}

static bool doubles_room(struct mem *m, double **v, size_t *cap, size_t n, struct err *e)
{
    void *p = *v;
    if (!mem_array_grow(m, &p, cap, n + COL_SLACK, COL_VALUES_MAX + COL_SLACK, sizeof **v)) {
        return err_set(e, ERR_NOMEM, "no memory for a column of %zu values", n);
    }
    *v = p;
    return true;
}

static bool column_times(struct block_writer *w, const int64_t *t, uint32_t n, uint32_t *tim,
                         struct err *e)
{
    struct str bytes;
    if (!block_wtimes_put(&w->times, t, n, w->off, tim, &bytes, e)) {
        return false;
    }
    return bytes.n == 0 || block_out_add(w, bytes, e);
}

/* Values and start times of the samples, with zeros where histograms stand; *v is NULL when all are
 * histograms. */
static bool column_floats(struct block_writer *w, const struct block_column *c, unsigned *flags,
                          const double **v, struct err *e)
{
    *v = c->v;
    if (c->h == NULL) {
        return true;
    }
    uint32_t hists = 0;
    if (!doubles_room(w->mem, &w->floats, &w->floats_cap, c->n, e)) {
        return false;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        bool is = c->h[i] != NULL;
        hists += is;
        w->floats[i] = is ? 0 : c->v[i];
    }
    if (hists > 0) {
        *flags |= BLOCK_HAS_HISTS;
        *v = hists == c->n ? NULL : w->floats;
    }
    return true;
}

static bool has_starts(const struct block_column *c)
{
    for (uint32_t i = 0; c->st != NULL && i < c->n; i++) {
        if (c->st[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Encodes the parts into w->values and w->rest, which r then borrows. */
static bool column_encode(struct block_writer *w, const struct block_column *c, uint32_t tim,
                          struct block_record *r, struct err *e)
{
    unsigned *flags = &r->flags;
    const double *v = NULL;
    buf_reset(&w->values);
    buf_reset(&w->rest);
    if (!column_floats(w, c, flags, &v, e)) {
        return false;
    }
    const struct block_wlast *last = &w->last;
    bool near = c->family != 0 && last->family == c->family && last->tim == tim &&
                last->depth + 1 < BLOCK_CHAIN_MAX && *flags == 0 && w->off - last->off < UINT32_MAX;
    if (v != NULL) {
        if (!col_values_encode(w->scratch, v, near ? last->v : NULL, c->n, &w->values, e)) {
            return false;
        }
        if (near && col_values_uses_ref(buf_str(&w->values))) {
            *flags |= BLOCK_CHAINED;
        }
    }
    if ((*flags & BLOCK_HAS_HISTS) != 0 &&
        !col_nhists_encode(w->scratch, c->h, c->n, &w->rest, e)) {
        return false;
    }
    size_t hists = w->rest.n;
    if (has_starts(c)) {
        *flags |= BLOCK_HAS_ST;
        if (!col_ints_encode(w->scratch, c->st, c->n, &w->rest, e)) {
            return false;
        }
    }
    if (c->family != 0 && (*flags & BLOCK_HAS_HISTS) == 0) {
        *flags |= BLOCK_FAMILY;
    }
    if (!buf_ok(&w->values, e) || !buf_ok(&w->rest, e)) {
        return false;
    }
    r->values = buf_str(&w->values);
    r->hists = str_sub(buf_str(&w->rest), 0, hists);
    r->st = str_sub(buf_str(&w->rest), hists, SIZE_MAX);
    return true;
}

static bool record_write(struct block_writer *w, const struct block_record *r, struct err *e)
{
    struct buf *b = &w->out;
    size_t from = b->n;
    buf_u32le(b, 0);
    varint_put(b, r->values.n << 1 | (r->flags != 0));
    if (r->flags != 0) {
        buf_u8(b, (uint8_t)r->flags);
        if ((r->flags & BLOCK_CHAINED) != 0) {
            varint_put(b, w->off - w->last.off);
        }
        if ((r->flags & BLOCK_HAS_HISTS) != 0) {
            varint_put(b, r->hists.n);
        }
        if ((r->flags & BLOCK_HAS_ST) != 0) {
            varint_put(b, r->st.n);
        }
    }
    buf_str_add(b, r->values);
    buf_str_add(b, r->hists);
    buf_str_add(b, r->st);
    if (!buf_ok(b, e)) {
        return false;
    }
    put_u32le(b->p + from, hash_crc32c(str_of(b->p + from + 4, b->n - from - 4)));
    w->off += b->n - from;
    return b->n < BLOCK_OUT_BYTES || block_out_flush(w, e);
}

/* Keeps the column for the next of its family; off: of its record. */
static bool last_keep(struct block_writer *w, const struct block_column *c, uint32_t tim,
                      unsigned flags, uint64_t off, struct err *e)
{
    struct block_wlast *l = &w->last;
    if ((flags & BLOCK_FAMILY) == 0) {
        l->family = 0;
        return true;
    }
    if (!doubles_room(w->mem, &l->v, &l->v_cap, c->n, e)) {
        return false;
    }
    memcpy(l->v, c->v, c->n * sizeof *c->v);
    l->depth = (flags & BLOCK_CHAINED) != 0 ? l->depth + 1 : 0;
    l->family = c->family;
    l->tim = tim;
    l->off = off;
    return true;
}

static bool entry_room(struct block_writer *w, struct err *e)
{
    void *p = w->v;
    if (!mem_array_grow(w->mem, &p, &w->cap, w->n + 1, BLOCK_COLUMNS_MAX, sizeof *w->v)) {
        return err_set(e, ERR_NOMEM, "no memory for %zu columns", w->n + 1);
    }
    w->v = p;
    return true;
}

/* The file's end must be a place that an offset can name. */
static bool offset_room(const struct block_writer *w, struct err *e)
{
    return w->off <= BLOCK_DATA_MAX || err_set(e, ERR_LIMIT, "block '%s' has reached %llu bytes",
                                               w->path, (unsigned long long)w->off);
}

/* Writes the record and its entry in the directory. */
static bool column_put(struct block_writer *w, uint32_t ref, uint32_t tim,
                       const struct block_record *r, const int64_t *t, uint32_t n, struct err *e)
{
    w->v[w->n++] = (struct block_wentry){
        .ref = ref, .off = (uint32_t)w->off, .tim = tim, .flags = r->flags & BLOCK_DIR_FLAGS};
    w->info.samples += n;
    w->info.min_ms = i64_min(w->info.min_ms, t[0]);
    w->info.max_ms = i64_max(w->info.max_ms, t[n - 1]);
    return record_write(w, r, e);
}

bool block_writer_add(struct block_writer *w, const struct block_column *c, struct err *e)
{
    ASSERT(c->n >= 1);
    ASSERT(c->n <= COL_VALUES_MAX);
    ASSERT(c->ref != 0);
    uint32_t tim = 0;
    struct block_record r = {0};
    if (!offset_room(w, e) || !entry_room(w, e) || !column_times(w, c->t, c->n, &tim, e) ||
        !column_encode(w, c, tim, &r, e) || !offset_room(w, e)) {
        return false;
    }
    uint64_t off = w->off;
    return column_put(w, c->ref, tim, &r, c->t, c->n, e) && last_keep(w, c, tim, r.flags, off, e);
}

bool block_writer_copy(struct block_writer *w, uint32_t ref, const struct block_record *r,
                       const int64_t *t, uint32_t n, struct err *e)
{
    uint32_t tim = 0;
    if (!offset_room(w, e) || !entry_room(w, e) || !column_times(w, t, n, &tim, e) ||
        !offset_room(w, e)) {
        return false;
    }
    uint64_t off = w->off;
    if (!column_put(w, ref, tim, r, t, n, e)) {
        return false;
    }
    w->last.family = 0; /* its values are not known here */
    w->last.off = off;
    return true;
}
