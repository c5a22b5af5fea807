/* Any bytes as an index of Prometheus, or (second bit of the first byte) as its tombstones: reading
 * all series returns. Checksums are put right unless the first bit is set. */
#include "base/hash.h"
#include "engines/tsdb/import_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void crc_put(char *p, size_t n)
{
    put_u32le(p + n, __builtin_bswap32(hash_crc32c(str_of(p, n))));
}

static uint64_t u64_at(const char *p)
{
    return __builtin_bswap64(get_u64le(p));
}

/* The end, the symbols, and every series as far as lengths lead. */
static void sums_put(char *p, size_t n)
{
    if (n < 60) {
        return;
    }
    crc_put(p + n - 52, 48);
    uint64_t at = u64_at(p + n - 52);
    if (at < n - 8) {
        uint32_t len = __builtin_bswap32(get_u32le(p + at));
        if (len <= n - 8 - at) {
            crc_put(p + at + 4, len);
        }
    }
    for (uint64_t s = (u64_at(p + n - 44) + 15) & ~15ULL; s < n - 60; s = (s + 15) & ~15ULL) {
        struct rd r = rd_of(str_of(p + s, n - s));
        uint64_t len = import_uvarint(&r);
        if (r.failed || len == 0 || rd_left(&r) < 4 || len > rd_left(&r) - 4) {
            return;
        }
        size_t body = (size_t)((const char *)r.p - p);
        crc_put(p + body, len);
        s = body + len + 4;
    }
}

static void index_all(struct mem *m, struct str bytes)
{
    struct import_index x;
    struct import_series *s = calloc(1, sizeof *s);
    struct err e = {0};
    bool end = false;
    size_t at = 0;
    ASSERT(s != NULL);
    bool ok = import_index_open(&x, m, bytes, &e);
    while (ok && import_index_next(&x, &at, s, &end, &e) && !end) {
        ASSERT(at > x.series_at && at <= x.series_end);
        for (uint32_t i = 0; i < s->chunks_n; i++) {
            ASSERT(s->chunks[i].min_ms <= INT64_MAX);
        }
    }
    import_index_release(&x);
    import_series_release(s, m);
    free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct err e = {0};
    if (size < 6) {
        return 0;
    }
    char *p = malloc(size - 1);
    ASSERT(p != NULL);
    memcpy(p, data + 1, size - 1);
    mem_init(&m, 0);
    if ((data[0] & 2) != 0) {
        struct import_tomb *t = NULL;
        size_t n = 0;
        size_t cap = 0;
        if ((data[0] & 1) == 0 && size >= 10) {
            crc_put(p + 5, size - 10);
        }
        if (import_tombs_decode(str_of(p, size - 1), &m, &t, &n, &cap, &e)) {
            mem_give(&m, t, cap * sizeof *t);
        }
    } else {
        if ((data[0] & 1) == 0) {
            sums_put(p, size - 1);
        }
        index_all(&m, str_of(p, size - 1));
    }
    ASSERT(m.bytes == 0);
    free(p);
    return 0;
}
