/* Any bytes as a chunk of Prometheus: the first is the encoding. Decoding returns, times ascend,
 * and histograms have as many counts as their spans say. What it accepts is encoded and decoded
 * again: the same samples, bit for bit. */
#include "codec/xor_chunk.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SAMPLES_MAX 2000

struct seen {
    struct arena *a;
    int64_t t_ms[SAMPLES_MAX];
    double v[SAMPLES_MAX];
    struct nhist *h[SAMPLES_MAX];
    uint32_t n, at; /* at: how many came again */
    bool full;
};

static bool each(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct seen *seen = ctx;
    ASSERT(seen->n == 0 || s->t_ms > seen->t_ms[seen->n - 1]);
    if (s->h != NULL) {
        uint64_t counts = 0;
        for (uint32_t i = 0; i < s->h->pos.spans_n; i++) {
            counts += s->h->pos.spans[i].length;
        }
        ASSERT(counts == s->h->pos.counts_n);
    }
    if (seen->n == SAMPLES_MAX) {
        seen->full = true;
        return err_set(e, ERR_LIMIT, "enough");
    }
    seen->t_ms[seen->n] = s->t_ms;
    seen->v[seen->n] = s->v;
    seen->h[seen->n] = NULL;
    if (s->h != NULL) {
        seen->h[seen->n] = nhist_copy(s->h, seen->a);
        if (seen->h[seen->n] == NULL) {
            seen->full = true;
            return err_set(e, ERR_LIMIT, "enough");
        }
    }
    seen->n++;
    return true;
}

/* Hints say what readers may skip; an encoder may say less. A count that was no whole number made
 * the histogram one of floats. */
static bool same(const struct nhist *a, const struct nhist *b)
{
    struct nhist x = *a;
    x.reset = b->reset;
    x.integer = b->integer;
    return nhist_same(&x, b);
}

static bool again(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct seen *seen = ctx;
    (void)e;
    ASSERT(seen->at < seen->n);
    ASSERT(s->t_ms == seen->t_ms[seen->at]);
    ASSERT(memcmp(&s->v, &seen->v[seen->at], sizeof s->v) == 0);
    ASSERT((s->h == NULL) == (seen->h[seen->at] == NULL));
    if (s->h != NULL) {
        ASSERT(same(seen->h[seen->at], s->h));
    }
    seen->at++;
    return true;
}

static void round_trip(struct seen *seen, struct mem *m)
{
    const struct xor_chunk_column c = {seen->t_ms, seen->v, seen->h, seen->n};
    struct arena a;
    struct buf out;
    struct err e = {0};
    arena_init(&a, m, 1 << 26);
    buf_init(&out, m, 1 << 26);
    while (seen->at < seen->n) {
        struct xor_chunk chunk;
        const uint32_t at = seen->at;
        buf_reset(&out);
        arena_reset(&a);
        bool ok = xor_chunk_encode(&c, at, &a, &out, &chunk, &e);
        ASSERT(ok);
        ok = xor_chunk_decode(chunk.encoding, buf_str(&out), &a, again, seen, &e);
        ASSERT(ok);
        ASSERT(seen->at == at + chunk.samples_count);
        ASSERT(chunk.samples_count <= XOR_CHUNK_SAMPLES_MAX);
    }
    buf_release(&out);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a, kept;
    struct err e = {0};
    if (size < 1 || size > 65536) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 24);
    arena_init(&kept, &m, 1 << 24);
    struct seen *seen = mem_take(&m, sizeof *seen);
    ASSERT(seen != NULL);
    seen->a = &kept;
    if (!xor_chunk_decode(data[0], str_of((const char *)data + 1, size - 1), &a, each, seen, &e)) {
        ASSERT(e.code != ERR_NONE);
    }
    round_trip(seen, &m);
    mem_give(&m, seen, sizeof *seen);
    arena_release(&kept);
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
