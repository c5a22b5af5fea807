/* Any payload as a saved index: it is refused and the index stays empty, or it is whole: every
 * series is found by its labels and by each of its pairs, and saving it gives something that loads
 * to the same. The first byte chooses between the payload itself (which is then framed here, so
 * that the fuzzer need not find zstd's frames) and the file. */
#include "engines/tsdb/index_core_int.h"
#include "engines/tsdb/index_save_int.h"

#include <zstd.h>

#define MEM_BYTES_MAX ((size_t)48 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_series(struct index *x, struct arena *a)
{
    uint32_t live = 0;
    for (uint32_t ref = 1; ref < index_refs_end(x); ref++) {
        if (!index_has(x, ref)) {
            continue;
        }
        live++;
        struct labels ls = index_labels(x, ref, a);
        ASSERT(index_find(x, ls) == ref);
        for (uint32_t i = 0; i < ls.n; i++) {
            struct matcher m = {MATCH_EQ, ls.v[i].name, ls.v[i].value};
            uint32_t *ids;
            uint32_t n;
            struct err e;
            ASSERT(index_select(x, &m, 1, NULL, NULL, 0, a, &ids, &n, &e));
            uint32_t k = 0;
            while (k < n && ids[k] != ref) {
                k++;
            }
            ASSERT(k < n);
        }
        arena_reset(a);
    }
    ASSERT(live == index_count(x));
}

static void check_again(struct index *x, struct mem *m)
{
    struct mem own;
    struct buf first;
    struct buf second;
    struct index *y;
    struct err e;
    mem_init(&own, 0);
    buf_init(&first, m, MEM_BYTES_MAX);
    buf_init(&second, m, MEM_BYTES_MAX);
    ASSERT(index_save(x, &first, &e));
    ASSERT(index_new(&own, 0, &y, &e));
    ASSERT(index_load(y, buf_str(&first), &e));
    ASSERT(index_count(x) == index_count(y));
    ASSERT(index_save(y, &second, &e));
    ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    uint32_t n = index_refs_end(y) - 1;
    for (uint32_t ref = 1; ref <= n; ref++) {
        index_drop(y, &ref, 1);
    }
    index_reuse(y);
    ASSERT(index_count(y) == 0 && y->pairs_n == 0 && y->names_n == 0);
    index_free(y);
    ASSERT(own.bytes == 0);
    buf_release(&first);
    buf_release(&second);
}

static void frame(struct str payload, struct buf *out)
{
    buf_add(out, INDEX_MAGIC, INDEX_MAGIC_BYTES);
    buf_u64le(out, payload.n);
    size_t bound = ZSTD_compressBound(payload.n);
    char *p = buf_room(out, bound);
    ASSERT(p != NULL);
    out->n += ZSTD_compress(p, bound, payload.p, payload.n, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) {
        return 0;
    }
    struct str in = str_of((const char *)data + 1, size - 1);
    struct mem m;
    struct mem other;
    struct err e = {0};
    struct index *x;
    struct buf file;
    struct arena a;
    mem_init(&m, MEM_BYTES_MAX);
    mem_init(&other, 0);
    buf_init(&file, &other, 1 << 20);
    arena_init(&a, &other, 16 << 20);
    ASSERT(index_new(&m, 0, &x, &e));
    if (data[0] % 2 == 0) {
        frame(in, &file);
    } else {
        buf_str_add(&file, in);
    }
    if (index_load(x, buf_str(&file), &e)) {
        if (index_refs_end(x) < 100000) {
            check_series(x, &a);
            check_again(x, &other);
        }
    } else {
        ASSERT(e.code == ERR_CORRUPT || e.code == ERR_LIMIT);
        ASSERT(index_count(x) == 0 && index_refs_end(x) == 1 && x->pairs_n == 0);
    }
    index_free(x);
    arena_release(&a);
    buf_release(&file);
    ASSERT(m.bytes == 0 && other.bytes == 0);
    return 0;
}
