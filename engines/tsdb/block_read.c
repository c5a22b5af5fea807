/* Opening a block and reading its directory. Nothing in the file is believed before it is checked:
 * header, footer, directory and every number in them once, when the block is opened (about a
 * millisecond for 100,000 columns); a record when it is read.
 *
 * Looking for a series costs one or two cache misses: ids are dense, so the place of an id in the
 * sorted list is mostly where arithmetic says; where it is not, the search gallops from the hint.
 * */
#include "base/file.h"
#include "base/hash.h"
#include "engines/tsdb/block_file_int.h"

static bool bad(struct err *e, const struct block *b, const char *what)
{
    return err_set(e, ERR_CORRUPT, "block %016llx is damaged: %s", (unsigned long long)b->info.id,
                   what);
}

static bool header_validate(const struct block *b, struct err *e)
{
    const unsigned char *p = b->map.p;
    if (get_u64le(p) != BLOCK_MAGIC) {
        return bad(e, b, "it does not begin as a block");
    }
    if (get_u32le(p + 20) != hash_crc32c(str_of((const char *)p, 20))) {
        return bad(e, b, "checksum of the header");
    }
    if (get_u32le(p + 16) != BLOCK_VERSION || get_u64le(p + 8) != b->info.id) {
        return bad(e, b, "its header names another version or number");
    }
    return true;
}

/* Where the parts of the directory begin; they must end where the footer begins. */
static bool directory_place(struct block *b, bool flags, struct err *e)
{
    size_t n = (size_t)b->info.columns;
    size_t end = b->map.n - BLOCK_FOOTER_BYTES;
    size_t want = n * (8 + b->tim_width + (flags ? 1 : 0)) + (size_t)b->times_n * BLOCK_TIMES_BYTES;
    if (b->data_end < BLOCK_HEADER_BYTES || b->data_end > end || end - b->data_end != want) {
        return bad(e, b, "the directory is not as long as the footer says");
    }
    b->refs = b->map.p + b->data_end;
    b->offs = b->refs + n * 4;
    b->tims = b->offs + n * 4;
    b->flags = flags ? b->tims + n * b->tim_width : NULL;
    b->times = b->tims + n * b->tim_width + (flags ? n : 0);
    return true;
}

static bool footer_validate(struct block *b, struct err *e)
{
    const unsigned char *f = b->map.p + b->map.n - BLOCK_FOOTER_BYTES;
    if (get_u64le(f + 88) != BLOCK_END_MAGIC) {
        return bad(e, b, "it does not end as a block");
    }
    if (get_u32le(f + 96) != hash_crc32c(str_of((const char *)f, 96))) {
        return bad(e, b, "checksum of the footer");
    }
    if (get_u64le(f) != b->info.id || get_u32le(f + 72) != BLOCK_VERSION) {
        return bad(e, b, "its footer names another version or number");
    }
    struct block_info *i = &b->info;
    i->seq = get_u64le(f + 8);
    i->log_upto = get_u64le(f + 16);
    i->samples = get_u64le(f + 24);
    i->min_ms = (int64_t)get_u64le(f + 32);
    i->max_ms = (int64_t)get_u64le(f + 40);
    b->data_end = get_u64le(f + 48);
    i->columns = get_u32le(f + 56);
    b->times_n = get_u32le(f + 60);
    i->level = get_u32le(f + 64);
    i->seq_min = get_u64le(f + 80);
    i->bytes = b->map.n;
    b->tim_width = f[68];
    bool widths = (f[68] == 1 || f[68] == 2 || f[68] == 4) && f[69] <= 1;
    if (!widths || i->columns == 0 || i->columns > BLOCK_COLUMNS_MAX || b->times_n == 0 ||
        b->times_n > i->columns || i->seq_min > i->seq) {
        return bad(e, b, "numbers of the footer");
    }
    if (!directory_place(b, f[69] == 1, e)) {
        return false;
    }
    size_t dir_bytes = b->map.n - BLOCK_FOOTER_BYTES - b->data_end;
    if (get_u32le(f + 76) != hash_crc32c(str_of((const char *)b->refs, dir_bytes))) {
        return bad(e, b, "checksum of the directory");
    }
    return true;
}

static bool times_validate(const struct block *b, struct err *e)
{
    int64_t min_ms = INT64_MAX;
    int64_t max_ms = INT64_MIN;
    for (uint32_t k = 0; k < b->times_n; k++) {
        struct block_times t = block_times_at(b, k);
        bool ok = t.n >= 1 && t.n <= COL_VALUES_MAX && t.min_ms <= t.max_ms &&
                  t.off >= BLOCK_HEADER_BYTES && t.off <= b->data_end &&
                  t.len <= b->data_end - t.off;
        if (!ok) {
            return bad(e, b, "an entry of the table of times");
        }
        min_ms = i64_min(min_ms, t.min_ms);
        max_ms = i64_max(max_ms, t.max_ms);
    }
    if (min_ms != b->info.min_ms || max_ms != b->info.max_ms) {
        return bad(e, b, "bounds of time");
    }
    return true;
}

static bool columns_validate(const struct block *b, struct err *e)
{
    uint32_t before = 1; /* 0 is no id */
    uint64_t samples = 0;
    for (uint32_t i = 0; i < b->info.columns; i++) {
        uint32_t ref = block_ref_at(b, i);
        uint32_t off = get_u32le(b->offs + (size_t)i * 4);
        uint32_t tim = block_tim_at(b, i);
        if (ref < before || off < BLOCK_HEADER_BYTES || off >= b->data_end || tim >= b->times_n) {
            return bad(e, b, "an entry of the directory");
        }
        before = ref;
        samples += block_times_at(b, tim).n;
    }
    if (samples != b->info.samples) {
        return bad(e, b, "number of samples");
    }
    return true;
}

static bool block_validate(struct block *b, struct err *e)
{
    return header_validate(b, e) && footer_validate(b, e) && times_validate(b, e) &&
           columns_validate(b, e);
}

/* Consumes b. */
static bool opened(struct block **out, struct block *b, struct err *e)
{
    if (!block_validate(b, e)) {
        block_close(b);
        return false;
    }
    *out = b;
    return true;
}

bool block_open(struct block **out, struct mem *m, const struct os *os, const char *dir,
                uint64_t id, struct err *e)
{
    char path[PATH_BYTES_MAX];
    *out = NULL;
    if (!block_path(path, dir, id, ".blk", e)) {
        return false;
    }
    struct block *b = mem_take(m, sizeof *b);
    if (b == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a block");
    }
    b->mem = m;
    b->info.id = id;
    if (!block_map_open(&b->map, m, os, path, BLOCK_HEADER_BYTES + BLOCK_FOOTER_BYTES, e)) {
        mem_give(m, b, sizeof *b);
        return false;
    }
    if (!opened(out, b, e)) {
        return false;
    }
    block_cool(*out); /* the directory was read to be checked, not yet to be used */
    return true;
}

bool block_open_bytes(struct block **out, struct mem *m, struct str bytes, uint64_t id,
                      struct err *e)
{
    *out = NULL;
    if (bytes.n < BLOCK_HEADER_BYTES + BLOCK_FOOTER_BYTES) {
        return err_set(e, ERR_CORRUPT, "%zu bytes are no block", bytes.n);
    }
    struct block *b = mem_take(m, sizeof *b);
    void *p = mem_take(m, bytes.n);
    if (b == NULL || p == NULL) {
        mem_give(m, b, sizeof *b);
        mem_give(m, p, bytes.n);
        return err_set(e, ERR_NOMEM, "no memory for a block");
    }
    memcpy(p, bytes.p, bytes.n);
    *b = (struct block){.mem = m, .map = {p, bytes.n, m, bytes.n}, .info = {.id = id}};
    return opened(out, b, e);
}

void block_close(struct block *b)
{
    if (b == NULL) {
        return;
    }
    block_map_close(&b->map);
    mem_give(b->mem, b, sizeof *b);
}

const struct block_info *block_info(const struct block *b)
{
    return &b->info;
}

uint32_t block_columns(const struct block *b)
{
    return (uint32_t)b->info.columns;
}

void block_entry(const struct block *b, uint32_t i, struct block_entry *out)
{
    ASSERT(i < b->info.columns);
    struct block_times t = block_times_at(b, block_tim_at(b, i));
    unsigned flags = b->flags != NULL ? b->flags[i] : 0;
    *out = (struct block_entry){.ref = block_ref_at(b, i),
                                .n = t.n,
                                .min_ms = t.min_ms,
                                .max_ms = t.max_ms,
                                .has_nhists = (flags & BLOCK_HAS_HISTS) != 0,
                                .has_st = (flags & BLOCK_HAS_ST) != 0};
}

/* First place in [lo, hi) whose id is not below ref. */
static uint32_t lower_bound(const struct block *b, uint32_t lo, uint32_t hi, uint32_t ref)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (block_ref_at(b, mid) < ref) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The same by doubling steps from `from`, whose id is below ref. */
static uint32_t gallop(const struct block *b, uint32_t from, uint32_t ref)
{
    uint32_t n = block_columns(b);
    uint32_t step = 1;
    uint32_t lo = from;
    while (n - lo > step && block_ref_at(b, lo + step) < ref) {
        lo += step;
        step *= 2;
    }
    return lower_bound(b, lo + 1, n - lo > step ? lo + step : n, ref);
}

uint32_t block_find(const struct block *b, uint32_t ref, uint32_t hint, uint32_t *first)
{
    uint32_t n = block_columns(b);
    uint32_t at = hint < n && block_ref_at(b, hint) <= ref ? hint : 0;
    uint32_t here = block_ref_at(b, at);
    *first = at;
    if (here > ref) {
        return 0;
    }
    /* With one column a series and no gaps, the distance of ids is the distance of places. */
    uint32_t guess = ref - here < n - at ? at + (ref - here) : at;
    if (guess > at && block_ref_at(b, guess) == ref && block_ref_at(b, guess - 1) < ref) {
        at = guess;
    } else if (here < ref) {
        at = gallop(b, at, ref);
    } else {
        while (at > 0 && block_ref_at(b, at - 1) == ref) {
            at--;
        }
    }
    uint32_t end = at;
    while (end < n && block_ref_at(b, end) == ref) {
        end++;
    }
    *first = at;
    return end - at;
}

/* Seven bits a byte; false: it does not end, or is over 32 bits. */
static bool varint_get(struct rd *r, uint32_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t c = rd_u8(r);
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *out = (uint32_t)v;
            return !r->failed && v <= UINT32_MAX;
        }
    }
    return false;
}

/* The slices of a record, whose length nobody has told: it is in the record. */
bool block_record_split(struct rd *r, struct block_record *out)
{
    uint32_t head = 0;
    uint32_t hists = 0;
    uint32_t st = 0;
    if (!varint_get(r, &head)) {
        return false;
    }
    if ((head & 1) != 0) {
        out->flags = rd_u8(r);
        if ((out->flags & ~(unsigned)BLOCK_FLAGS) != 0 ||
            ((out->flags & BLOCK_CHAINED) != 0 && !varint_get(r, &out->back)) ||
            ((out->flags & BLOCK_HAS_HISTS) != 0 && !varint_get(r, &hists)) ||
            ((out->flags & BLOCK_HAS_ST) != 0 && !varint_get(r, &st))) {
            return false;
        }
    }
    out->values = rd_bytes(r, head >> 1);
    out->hists = rd_bytes(r, hists);
    out->st = rd_bytes(r, st);
    return !r->failed;
}

bool block_record_validate(const struct block *b, uint32_t off, struct block_record *out,
                           struct err *e)
{
    *out = (struct block_record){0};
    ASSERT(off < b->data_end);
    struct rd r = rd_of(str_of((const char *)b->map.p + off, b->data_end - off));
    const unsigned char *from = r.p;
    uint32_t crc = rd_u32le(&r);
    const unsigned char *summed = r.p;
    if (r.failed || !block_record_split(&r, out)) {
        return bad(e, b, "a column is longer than the data");
    }
    if (hash_crc32c(str_of((const char *)summed, (size_t)(r.p - summed))) != crc) {
        return bad(e, b, "checksum of a column");
    }
    bool ok = (out->flags & BLOCK_CHAINED) == 0 ||
              (out->back > 0 && out->back <= off - BLOCK_HEADER_BYTES);
    if (!ok) {
        return bad(e, b, "a column refers to one outside the data");
    }
    out->bytes = (uint32_t)(r.p - from);
    return true;
}
