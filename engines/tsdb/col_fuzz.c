/* Columns. The first byte says what the rest is; the next two are the number of values.
 *   0 values, 1 values with a neighbour, 2 integers, 3 times, 4 histograms: any bytes decode or are
 *     refused as damaged, and what decodes survives encoding and decoding
 *   5 any doubles, 6 small integers over a power of ten, 7 any integers, 8 differences of integers:
 *     survive encoding and decoding, with and without a neighbour */
#include "engines/tsdb/col_int.h"

#include <stdlib.h>

#define BYTES_MAX  ((size_t)32 << 20)
#define VALUES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct mem mem;
    struct col_scratch *s;
    struct buf out;
    struct arena a;
    double ref[VALUES_MAX + COL_SLACK];
    double v[VALUES_MAX + COL_SLACK], v2[VALUES_MAX + COL_SLACK];
    int64_t i[VALUES_MAX + COL_SLACK], i2[VALUES_MAX + COL_SLACK];
    struct nhist *h[VALUES_MAX], *h2[VALUES_MAX];
};

static void values_survive(struct world *w, const double *ref, uint32_t n)
{
    struct err e = {0};
    buf_reset(&w->out);
    ASSERT(col_values_encode(w->s, w->v, ref, n, &w->out, &e));
    /* A copy of its exact size, so that a read behind it is seen. */
    char *copy = malloc(w->out.n);
    ASSERT(copy != NULL);
    memcpy(copy, w->out.p, w->out.n);
    ASSERT(col_values_decode(w->s, str_of(copy, w->out.n), ref, n, w->v2, &e));
    ASSERT(memcmp(w->v, w->v2, n * sizeof(double)) == 0);
    const uint32_t lo = n / 2 + n % 7 < n ? n / 2 + n % 7 : 0;
    const uint32_t hi = n - n % 5 > lo ? n - n % 5 : n;
    ASSERT(col_values_decode_part(w->s, str_of(copy, w->out.n), ref != NULL ? ref + lo : NULL, n,
                                  lo, hi, w->v2, &e));
    ASSERT(memcmp(w->v + lo, w->v2, (hi - lo) * sizeof(double)) == 0);
    free(copy);
}

static void ints_survive(struct world *w, uint32_t n)
{
    struct err e = {0};
    buf_reset(&w->out);
    ASSERT(col_ints_encode(w->s, w->i, n, &w->out, &e));
    char *copy = malloc(w->out.n);
    ASSERT(copy != NULL);
    memcpy(copy, w->out.p, w->out.n);
    ASSERT(col_ints_decode(w->s, str_of(copy, w->out.n), n, w->i2, &e));
    ASSERT(memcmp(w->i, w->i2, n * sizeof(int64_t)) == 0);
    free(copy);
}

static void histograms_survive(struct world *w, uint32_t n)
{
    struct err e = {0};
    buf_reset(&w->out);
    ASSERT(col_nhists_encode(w->s, (const struct nhist *const *)w->h, n, &w->out, &e));
    ASSERT(col_nhists_decode(w->s, buf_str(&w->out), n, &w->a, w->h2, &e));
    for (uint32_t k = 0; k < n; k++) {
        ASSERT((w->h[k] == NULL) == (w->h2[k] == NULL));
        ASSERT(w->h[k] == NULL || nhist_same(w->h[k], w->h2[k]));
    }
}

static void decode(struct world *w, unsigned mode, struct str bytes, uint32_t n)
{
    struct err e = {0};
    for (uint32_t k = 0; k < n; k++) {
        w->ref[k] = (double)(k * 7 % 100);
    }
    bool ok;
    if (mode <= 1) {
        ok = col_values_decode(w->s, bytes, mode == 1 ? w->ref : NULL, n, w->v, &e);
        if (n > 0) {
            const uint32_t lo = (uint32_t)bytes.n % n;
            const uint32_t hi = lo + n / 3 < n ? lo + n / 3 : n;
            const double *ref = mode == 1 ? w->ref + lo : NULL;
            const bool part = col_values_decode_part(w->s, bytes, ref, n, lo, hi, w->v2, &e);
            ASSERT(part || !ok);
        }
    } else if (mode == 2) {
        ok = col_ints_decode(w->s, bytes, n, w->i, &e);
    } else if (mode == 3) {
        ok = col_times_decode(w->s, bytes, n, w->i, &e);
    } else {
        ok = col_nhists_decode(w->s, bytes, n, &w->a, w->h, &e);
    }
    if (!ok) {
        ASSERT(e.code == ERR_CORRUPT || e.code == ERR_LIMIT);
        return;
    }
    if (mode <= 1) {
        values_survive(w, w->ref, n);
    } else if (mode <= 3) {
        ints_survive(w, n);
    } else {
        histograms_survive(w, n);
    }
}

static void encode(struct world *w, unsigned mode, struct str bytes)
{
    static const double powers[] = {1, 10, 100, 1e4, 1e9, 1e15, 0.125, 1e-3};
    struct rd in = rd_of(bytes);
    uint32_t n = 0;
    double power = powers[rd_u8(&in) % ARRAY_LEN(powers)];
    size_t each = mode == 5 || mode == 7 ? 8 : 2;
    for (; n < VALUES_MAX && rd_left(&in) >= each; n++) {
        uint64_t b = each == 8 ? rd_u64le(&in) : rd_u16le(&in);
        if (mode == 5) {
            memcpy(&w->v[n], &b, sizeof b);
        } else {
            w->v[n] = (double)(int16_t)b / power;
        }
        uint64_t before = mode == 8 && n > 0 ? (uint64_t)w->i[n - 1] : 0;
        w->i[n] = (int64_t)(before + b);
        w->ref[n] = n % 3 == 0 ? w->v[n] : w->v[n / 2];
    }
    if (mode <= 6) {
        values_survive(w, NULL, n);
        values_survive(w, w->ref, n);
    } else {
        ints_survive(w, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    struct world *w = calloc(1, sizeof *w);
    ASSERT(w != NULL);
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, BYTES_MAX);
    buf_init(&w->out, &w->mem, BYTES_MAX);
    w->s = col_scratch_new(&w->mem);
    ASSERT(w->s != NULL);
    unsigned mode = data[0] % 9;
    uint32_t n = (data[1] | (uint32_t)data[2] << 8) % VALUES_MAX;
    struct str bytes = str_of((const char *)data + 3, size - 3);
    if (mode <= 4) {
        decode(w, mode, bytes, n);
    } else {
        encode(w, mode, bytes);
    }
    col_scratch_free(w->s);
    buf_release(&w->out);
    arena_release(&w->a);
    ASSERT(w->mem.bytes == 0);
    free(w);
    return 0;
}
