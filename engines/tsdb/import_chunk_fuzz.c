/* Any bytes as a chunk of Prometheus: the first is the encoding. Decoding returns, times ascend,
 * and histograms have as many counts as their spans say. */
#include "engines/tsdb/import_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint32_t n;
    int64_t last_ms;
};

static bool each(void *ctx, const struct import_sample *s, struct err *e)
{
    struct seen *seen = ctx;
    (void)e;
    ASSERT(seen->n == 0 || s->t_ms > seen->last_ms);
    seen->last_ms = s->t_ms;
    seen->n++;
    ASSERT(seen->n <= UINT16_MAX);
    if (s->h != NULL) {
        uint64_t counts = 0;
        for (uint32_t i = 0; i < s->h->pos.spans_n; i++) {
            counts += s->h->pos.spans[i].length;
        }
        ASSERT(counts == s->h->pos.counts_n);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct err e = {0};
    struct seen seen = {0};
    if (size < 1) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 24);
    if (!import_chunk_decode(data[0], str_of((const char *)data + 1, size - 1), &a, each, &seen,
                             &e)) {
        ASSERT(e.code != ERR_NONE);
    }
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
