/* Any bytes as a block: opening and reading every column returns. Checksums would stop nearly all
 * inputs at the door, so they are put right first, from the outside in; with the first bit of the
 * input set they are left as they are. block_record_validate and the rest are reached by reading.
 * */
#include "base/hash.h"
#include "engines/tsdb/block_file_int.h"

#include <stdlib.h>

#define BYTES_MAX (1U << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void crc_put(unsigned char *at, const unsigned char *p, size_t n)
{
    put_u32le(at, hash_crc32c(str_of((const char *)p, n)));
}

static void sums_outer(unsigned char *p, size_t n, uint64_t *data_end)
{
    unsigned char *f = p + n - BLOCK_FOOTER_BYTES;
    crc_put(p + 20, p, 20);
    *data_end = get_u64le(f + 48);
    if (*data_end <= n - BLOCK_FOOTER_BYTES) {
        crc_put(f + 76, p + *data_end, n - BLOCK_FOOTER_BYTES - *data_end);
    }
    crc_put(f + 96, f, 96);
}

/* Sums of records and lists of times; b is open, so its directory is sound. */
static void sums_inner(struct block *b)
{
    unsigned char *p = (unsigned char *)(uintptr_t)b->map.p;
    for (uint32_t k = 0; k < b->times_n; k++) {
        struct block_times t = block_times_at(b, k);
        crc_put((unsigned char *)(uintptr_t)b->times + (size_t)k * BLOCK_TIMES_BYTES + 28,
                p + t.off, t.len);
    }
    for (uint32_t i = 0; i < block_columns(b); i++) {
        uint32_t off = get_u32le(b->offs + (size_t)i * 4);
        struct block_record r = {0};
        struct rd rd = rd_of(str_of((char *)p + off, b->data_end - off));
        (void)rd_u32le(&rd);
        if (!rd.failed && block_record_split(&rd, &r)) {
            crc_put(p + off, p + off + 4, (size_t)(rd.p - (p + off + 4)));
        }
    }
}

static void read_all(struct block *b, struct mem *m)
{
    struct err e = {0};
    struct block_cursor *c = block_cursor_new(m);
    size_t room = COL_VALUES_MAX + COL_SLACK;
    double *v = calloc(room, sizeof *v);
    int64_t *st = calloc(room, sizeof *st);
    struct nhist **h = calloc(room, sizeof(struct nhist *));
    ASSERT(c != NULL && v != NULL && st != NULL && h != NULL);
    for (uint32_t i = 0; i < block_columns(b) && i < 64; i++) {
        const int64_t *t = NULL;
        struct block_entry x;
        struct arena a;
        struct block_record r;
        uint32_t first = 0;
        arena_init(&a, m, 1 << 22);
        block_entry(b, i, &x);
        uint32_t n = block_find(b, x.ref, i, &first);
        ASSERT(n >= 1 && i >= first && i < first + n);
        bool sound = block_record_validate(b, get_u32le(b->offs + (size_t)i * 4), &r, &e);
        if (block_read(b, c, i, &t, v, h, &a, st, &e)) {
            ASSERT(sound);
            ASSERT(t[0] == x.min_ms && t[x.n - 1] == x.max_ms);
            for (uint32_t k = 1; k < x.n; k++) {
                ASSERT(t[k - 1] < t[k]);
            }
        }
        arena_release(&a);
    }
    free(v);
    free(st);
    free(h);
    block_cursor_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct err e = {0};
    struct block *b = NULL;
    uint64_t data_end = 0;
    if (size < 1 + BLOCK_HEADER_BYTES + BLOCK_FOOTER_BYTES || size > BYTES_MAX) {
        return 0;
    }
    bool honest = (data[0] & 1) != 0;
    size_t n = size - 1;
    unsigned char *p = malloc(n);
    ASSERT(p != NULL);
    memcpy(p, data + 1, n);
    if (!honest) {
        sums_outer(p, n, &data_end);
    }
    mem_init(&m, 0);
    if (block_open_bytes(&b, &m, str_of((char *)p, n), 1, &e)) {
        if (!honest) {
            sums_inner(b);
        }
        read_all(b, &m);
        block_close(b);
    }
    ASSERT(m.bytes == 0);
    free(p);
    return 0;
}
