/* Run files: rows of the join store that left memory, immutable, one hour of EndToEndIds each.
 *
 * They exist because a label may come 80 + 7 days after its decision, and 90 days of decisions
 * do not fit in memory. The id carries its minute, so a label leads to its hour's files without
 * an index; ids are hashes, hence uniform, so that interpolation finds the block in one or two
 * reads. A filter at the end, kept in memory as far as there is room (filter.c), spares most of
 * them.
 *
 *   off  size  field
 *     0     8  magic "FRLJOIN2"; "FRLJOIN1" is the same without the filter, and still read
 *     8     8  XXH3-64 of the bytes from 16 to the first block
 *    16     4  hour since 1970 (int32), of the minute in the ids
 *    20     4  rows, 1..2^28
 *    24     4  bytes of the dictionary
 *    28     4  names in it, 0..65535
 *    32     8  XXH3-64 of the names of the segment dimensions (model.c)
 *    40     n  dictionary: per name kind u8 (0 version, 1.. value of that dimension), length u8,
 *              text
 *   then       blocks of 63 rows (the last may be shorter):
 *     0     8  XXH3-64 of the rows of the block, seeded with the block's number
 *     8   64k  rows: id hi, id lo, t_ns, score (f64, NaN = none), amount in centavos,
 *              8 x u16 value, u16 version, u8 verdict, u8 0, u32 0. Values and version are
 *              0 = missing, 1 = other, or 2 + name.
 *   then       the filter:
 *     0     8  XXH3-64 of its bytes, seeded with hour << 32 | rows
 *     8  64 b  b = ceil(12 x rows / 512) blocks of 64 bytes. Of an id: block
 *              ((hi >> 32) x b) >> 32; with x = lo ^ lo >> 32, bits x >> 9 i & 511 of the block
 *              for i = 0..6, bit n in byte n / 8 with weight 1 << n % 8.
 *
 * Invariants: ids strictly increase by (hi, lo). A file is written whole, synced and renamed
 * before any checkpoint names it, and never changed. Little-endian. */
#include "model/join_int.h"
#include "model/names_int.h"

#include "base/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define HEADER_BYTES 40u
#define BLOCK_BYTES  (8u + MODEL_RUN_BLOCK_ROWS * MODEL_RUN_ROW_BYTES)
#define DICT_MAX     (MODEL_RUN_NAMES_MAX * 257u)

static const char magic[8] = {'F', 'R', 'L', 'J', 'O', 'I', 'N', '2'};
static const char magic_1[8] = {'F', 'R', 'L', 'J', 'O', 'I', 'N', '1'};

int model_row_cmp(const void *a, const void *b)
{
    const struct model_row *x = a;
    const struct model_row *y = b;
    if (x->id.hi != y->id.hi) {
        return x->id.hi < y->id.hi ? -1 : 1;
    }
    return x->id.lo < y->id.lo ? -1 : x->id.lo > y->id.lo;
}

void model_run_file(const struct model_run *r, char out[MODEL_RUN_FILE_BYTES])
{
    int n = snprintf(out, MODEL_RUN_FILE_BYTES, "join-%" PRId32 "-%" PRIu32 "-%" PRIu32 ".run",
                     r->hour, r->shard, r->number);
    ASSERT(n > 0);
    ASSERT(n < MODEL_RUN_FILE_BYTES);
}

static bool u32_of(struct str s, uint32_t *out)
{
    uint64_t v = 0;
    if (!str_to_u64(s, &v) || v > UINT32_MAX || (s.n > 1 && s.p[0] == '0')) {
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

bool model_run_file_parse(struct str name, struct model_run *out)
{
    if (!str_starts(name, STR("join-")) || !str_ends(name, STR(".run")) || name.n < 10) {
        return false;
    }
    struct str s = str_sub(name, 5, name.n - 9);
    bool minus = s.n > 0 && s.p[0] == '-';
    struct str_cut hour = str_cut(minus ? str_sub(s, 1, s.n - 1) : s, '-');
    struct str_cut rest = str_cut(hour.tail, '-');
    uint32_t h = 0;
    *out = (struct model_run){0};
    if (!hour.ok || !rest.ok || !u32_of(hour.head, &h) || h > INT32_MAX || (minus && h == 0) ||
        !u32_of(rest.head, &out->shard) || !u32_of(rest.tail, &out->number)) {
        return false;
    }
    out->hour = minus ? -(int32_t)h : (int32_t)h;
    return true;
}

static void row_write(struct buf *b, const struct model_row *r)
{
    buf_u64le(b, r->id.hi);
    buf_u64le(b, r->id.lo);
    buf_u64le(b, (uint64_t)r->t_ns);
    buf_f64le(b, r->score);
    buf_u64le(b, (uint64_t)r->amount_centavos);
    for (int i = 0; i < RECORD_DIMS_MAX; i++) {
        buf_u16le(b, r->dims[i]);
    }
    buf_u16le(b, r->version);
    buf_u8(b, r->verdict);
    buf_u8(b, 0);
    buf_u32le(b, 0);
}

static void filter_write(struct buf *b, int32_t hour, const struct model_row *rows,
                         uint32_t rows_count)
{
    size_t bytes = model_filter_bytes(rows_count);
    char *p = buf_room(b, 8 + bytes);
    if (p == NULL) {
        return;
    }
    memset(p, 0, 8 + bytes);
    for (uint32_t i = 0; i < rows_count; i++) {
        model_filter_add(p + 8, bytes, rows[i].id);
    }
    put_u64le(p, model_filter_sum(p + 8, hour, rows_count));
    b->n += 8 + bytes;
}

void model_run_write(struct buf *b, int32_t hour, uint64_t dims_hash,
                     const struct model_run_name *names, uint32_t names_count,
                     const struct model_row *rows, uint32_t rows_count)
{
    size_t start = b->n;
    buf_add(b, magic, sizeof magic);
    buf_u64le(b, 0);
    buf_u32le(b, (uint32_t)hour);
    buf_u32le(b, rows_count);
    buf_u32le(b, 0);
    buf_u32le(b, names_count);
    buf_u64le(b, dims_hash);
    for (uint32_t i = 0; i < names_count; i++) {
        ASSERT(names[i].text.n <= UINT8_MAX);
        buf_u8(b, names[i].kind);
        buf_u8(b, (uint8_t)names[i].text.n);
        buf_str_add(b, names[i].text);
    }
    if (b->failed) {
        return;
    }
    put_u32le(b->p + start + 24, (uint32_t)(b->n - start - HEADER_BYTES));
    put_u64le(b->p + start + 8, hash64(str_of(b->p + start + 16, b->n - start - 16)));
    for (uint32_t at = 0; at < rows_count && !b->failed; at += MODEL_RUN_BLOCK_ROWS) {
        size_t block = b->n;
        buf_u64le(b, 0);
        for (uint32_t i = at; i < rows_count && i < at + MODEL_RUN_BLOCK_ROWS; i++) {
            row_write(b, &rows[i]);
        }
        if (!b->failed) {
            struct str body = str_of(b->p + block + 8, b->n - block - 8);
            put_u64le(b->p + block, hash64_seed(body, at / MODEL_RUN_BLOCK_ROWS));
        }
    }
    filter_write(b, hour, rows, rows_count);
}

bool model_run_header_read(struct str bytes, struct model_run_header *out,
                           struct model_run_name *names, struct err *e)
{
    struct rd r = rd_of(bytes);
    struct str m = rd_bytes(&r, sizeof magic);
    uint64_t sum = rd_u64le(&r);
    *out = (struct model_run_header){.hour = (int32_t)rd_u32le(&r)};
    out->rows = rd_u32le(&r);
    uint32_t dict_bytes = rd_u32le(&r);
    out->names = rd_u32le(&r);
    out->dims_hash = rd_u64le(&r);
    out->filter = str_eq(m, str_of(magic, sizeof magic));
    if (r.failed || !(out->filter || str_eq(m, str_of(magic_1, sizeof magic_1)))) {
        return err_set(e, ERR_CORRUPT, "expected a join run, found other bytes");
    }
    if (out->rows == 0 || out->rows > MODEL_RUN_ROWS_MAX || out->names > MODEL_RUN_NAMES_MAX ||
        dict_bytes > DICT_MAX) {
        return err_set(e, ERR_CORRUPT, "a join run has impossible sizes");
    }
    struct str dict = rd_bytes(&r, dict_bytes);
    if (r.failed || hash64(str_of(bytes.p + 16, HEADER_BYTES - 16 + (size_t)dict_bytes)) != sum) {
        return err_set(e, ERR_CORRUPT, "checksum of a join run's header does not match");
    }
    struct rd d = rd_of(dict);
    for (uint32_t i = 0; i < out->names; i++) {
        uint8_t kind = rd_u8(&d);
        struct str text = rd_bytes(&d, rd_u8(&d));
        if (d.failed || kind >= MODEL_RUN_KINDS || text.n == 0) {
            return err_set(e, ERR_CORRUPT, "name %u of a join run is damaged", (unsigned)i);
        }
        if (names != NULL) {
            names[i] = (struct model_run_name){kind, text};
        }
    }
    if (rd_left(&d) != 0) {
        return err_set(e, ERR_CORRUPT, "a join run's dictionary is longer than its names");
    }
    out->data_off = HEADER_BYTES + dict_bytes;
    return true;
}

static bool row_read(const void *p, uint32_t names, struct model_row *out, struct err *e)
{
    struct rd r = rd_of(str_of(p, MODEL_RUN_ROW_BYTES));
    *out = (struct model_row){0};
    out->id.hi = rd_u64le(&r);
    out->id.lo = rd_u64le(&r);
    out->t_ns = (int64_t)rd_u64le(&r);
    out->score = rd_f64le(&r);
    out->amount_centavos = (int64_t)rd_u64le(&r);
    bool ok = isnan(out->score) || (out->score >= 0 && out->score <= 1);
    for (int i = 0; i < RECORD_DIMS_MAX; i++) {
        out->dims[i] = rd_u16le(&r);
        ok = ok && out->dims[i] < names + MODEL_NAME_FIRST;
    }
    out->version = rd_u16le(&r);
    out->verdict = rd_u8(&r);
    ok = ok && out->version < names + MODEL_NAME_FIRST && out->verdict < VERDICTS;
    if (!ok || rd_u8(&r) != 0 || rd_u32le(&r) != 0) {
        return err_set(e, ERR_CORRUPT, "a row of a join run is out of range");
    }
    return true;
}

static uint32_t block_rows(const struct model_run_header *h, uint32_t block)
{
    uint32_t left = h->rows - block * MODEL_RUN_BLOCK_ROWS;
    return left < MODEL_RUN_BLOCK_ROWS ? left : MODEL_RUN_BLOCK_ROWS;
}

static bool block_check(const char *p, uint32_t rows, uint32_t block, struct err *e)
{
    if (get_u64le(p) != hash64_seed(str_of(p + 8, (size_t)rows * MODEL_RUN_ROW_BYTES), block)) {
        return err_set(e, ERR_CORRUPT, "checksum of block %u of a join run does not match",
                       (unsigned)block);
    }
    return true;
}

/* Offset of the filter's checksum. */
static uint64_t filter_off(uint64_t data_off, uint32_t rows)
{
    uint64_t blocks = (rows + MODEL_RUN_BLOCK_ROWS - 1) / MODEL_RUN_BLOCK_ROWS;
    return data_off + blocks * 8 + (uint64_t)rows * MODEL_RUN_ROW_BYTES;
}

/* Only the sizes are taken from the header: were they wrong, so would be the checksum. */
bool model_run_filter_read(const struct os *os, int fd, const char *path,
                           const struct model_run *run, char *to, struct err *e)
{
    char head[HEADER_BYTES];
    char sum[8];
    if (!file_pread_all(os, fd, head, sizeof head, 0, path, e)) {
        return false;
    }
    uint64_t dict_bytes = get_u32le(head + 24);
    uint64_t off = filter_off(HEADER_BYTES + dict_bytes, run->rows);
    if (memcmp(head, magic, sizeof magic) != 0 || get_u32le(head + 20) != run->rows ||
        dict_bytes > DICT_MAX) {
        return err_set(e, ERR_CORRUPT, "'%s' has no filter", path);
    }
    if (!file_pread_all(os, fd, sum, sizeof sum, off, path, e) ||
        !file_pread_all(os, fd, to, model_filter_bytes(run->rows), off + sizeof sum, path, e)) {
        return false;
    }
    if (get_u64le(sum) != model_filter_sum(to, run->hour, run->rows)) {
        return err_set(e, ERR_CORRUPT, "checksum of the filter of '%s' does not match", path);
    }
    return true;
}

bool model_run_validate(struct str bytes, struct err *e)
{
    struct model_run_header h;
    if (!model_run_header_read(bytes, &h, NULL, e)) {
        return false;
    }
    uint32_t blocks = (h.rows + MODEL_RUN_BLOCK_ROWS - 1) / MODEL_RUN_BLOCK_ROWS;
    size_t rows_end = filter_off(h.data_off, h.rows);
    size_t filter_bytes = model_filter_bytes(h.rows);
    size_t want = rows_end + (h.filter ? 8 + filter_bytes : 0);
    if (bytes.n != want) {
        return err_set(e, ERR_CORRUPT, "a join run should have %zu bytes, found %zu", want,
                       bytes.n);
    }
    const char *filter = h.filter ? bytes.p + rows_end + 8 : NULL;
    if (filter != NULL && get_u64le(filter - 8) != model_filter_sum(filter, h.hour, h.rows)) {
        return err_set(e, ERR_CORRUPT, "checksum of a join run's filter does not match");
    }
    struct model_row last = {0};
    for (uint32_t block = 0; block < blocks; block++) {
        const char *p = bytes.p + h.data_off + (size_t)block * BLOCK_BYTES;
        uint32_t rows = block_rows(&h, block);
        if (!block_check(p, rows, block, e)) {
            return false;
        }
        for (uint32_t i = 0; i < rows; i++) {
            struct model_row row;
            if (!row_read(p + 8 + (size_t)i * MODEL_RUN_ROW_BYTES, h.names, &row, e)) {
                return false;
            }
            if ((block > 0 || i > 0) && model_row_cmp(&last, &row) >= 0) {
                return err_set(e, ERR_CORRUPT, "ids of a join run are out of order");
            }
            if (filter != NULL && !model_filter_may(filter, filter_bytes, row.id)) {
                return err_set(e, ERR_CORRUPT, "an id of a join run is not in its filter");
            }
            last = row;
        }
    }
    return true;
}

/* Order of the id to the id of row i of a block: only the key is read. */
static int key_cmp(struct hash128 id, const char *block, uint32_t i)
{
    const char *p = block + 8 + (size_t)i * MODEL_RUN_ROW_BYTES;
    uint64_t hi = get_u64le(p);
    uint64_t lo = get_u64le(p + 8);
    if (id.hi != hi) {
        return id.hi < hi ? -1 : 1;
    }
    return id.lo < lo ? -1 : id.lo > lo;
}

/* First row of the block that is not below the id; rows when all are. */
static uint32_t row_at(struct hash128 id, const char *block, uint32_t rows)
{
    uint32_t lo = 0;
    for (uint32_t hi = rows; lo < hi;) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (key_cmp(id, block, mid) > 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Blocks that n ids of a space of 2^64 are apart, when there are `blocks`. */
static uint32_t blocks_apart(uint64_t n, uint32_t blocks)
{
    return (uint32_t)((double)n / 18446744073709551616.0 * blocks);
}

/* Reads block by block: guesses where the id lies, then again from the first key found there,
 * and halves when guesses do not help (ids that are not uniform). */
static bool find_in_blocks(const struct os *os, int fd, const char *path,
                           const struct model_run_header *h, struct hash128 id,
                           struct model_row *out, bool *found, struct err *e)
{
    char block[BLOCK_BYTES];
    const uint32_t blocks = (h->rows + MODEL_RUN_BLOCK_ROWS - 1) / MODEL_RUN_BLOCK_ROWS;
    uint32_t lo = 0;
    uint32_t hi = blocks;
    uint32_t at = blocks_apart(id.hi, blocks);
    for (uint32_t step = 0; lo < hi; step++) {
        at = step < 4 ? at : lo + (hi - lo) / 2;
        at = at < lo ? lo : at >= hi ? hi - 1 : at;
        uint32_t rows = block_rows(h, at);
        if (!file_pread_all(os, fd, block, 8 + (size_t)rows * MODEL_RUN_ROW_BYTES,
                            h->data_off + (uint64_t)at * BLOCK_BYTES, path, e) ||
            !block_check(block, rows, at, e)) {
            return false;
        }
        uint32_t i = row_at(id, block, rows);
        if (i < rows && key_cmp(id, block, i) == 0) {
            *found = row_read(block + 8 + (size_t)i * MODEL_RUN_ROW_BYTES, h->names, out, e);
            return *found;
        }
        if (i > 0 && i < rows) {
            return true; /* between two rows of one block: it is not there */
        }
        uint64_t key = get_u64le(block + 8);
        if (i == 0) {
            hi = at;
            uint32_t back = blocks_apart(key - id.hi, blocks) + 1;
            at = back < at ? at - back : 0;
        } else {
            lo = at + 1;
            uint32_t on = blocks_apart(id.hi - key, blocks);
            at += on > 0 ? on : 1;
        }
    }
    return true;
}

bool model_run_find(const struct os *os, const char *path, struct hash128 id, uint64_t dims_hash,
                    struct buf *head, struct model_run_name *names, struct model_row *out,
                    bool *found, struct err *e)
{
    int fd = -1;
    *found = false;
    int rc = os->open(os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    bool ok = false;
    struct model_run_header h;
    buf_reset(head);
    char *p = buf_room(head, HEADER_BYTES);
    if (p == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the header of '%s'", path);
        goto out;
    }
    if (!file_pread_all(os, fd, p, HEADER_BYTES, 0, path, e)) {
        goto out;
    }
    uint32_t dict_bytes = get_u32le(p + 24);
    p = dict_bytes <= DICT_MAX ? buf_room(head, HEADER_BYTES + (size_t)dict_bytes) : NULL;
    if (p == NULL) {
        err_set(e, ERR_CORRUPT, "the header of '%s' is damaged", path);
        goto out;
    }
    head->n = HEADER_BYTES + (size_t)dict_bytes;
    if (file_pread_all(os, fd, p, head->n, 0, path, e) &&
        model_run_header_read(buf_str(head), &h, names, e)) {
        ok = find_in_blocks(os, fd, path, &h, id, out, found, e);
        if (ok && *found && h.dims_hash != dims_hash) {
            memset(out->dims, 0, sizeof out->dims);
        }
    }
out:
    os->close(os->ctx, fd);
    return ok;
}
