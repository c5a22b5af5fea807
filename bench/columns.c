/* Columns: bytes per sample and time per value of each class of data, for several column lengths.
 *
 *     bench_columns [ROUNDS] [CLASS]
 *
 * Data: engines/tsdb/col_gen_int.h; the entropy column is that of its random source, the least that
 * any lossless code without knowledge of the future can take. The total weighs classes by their
 * share. Times are the best of the rounds, all columns of a class in one go. */
#include "base/os.h"
#include "engines/tsdb/col_gen_int.h"
#include "engines/tsdb/col_int.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_WANTED  50000
#define COLUMNS_MAX    2048
#define ROUNDS_DEFAULT 15
#define OUT_BYTES_MAX  ((size_t)64 << 20)

struct column {
    double *v;
    const double *ref;
    size_t off, n;
};

struct figures {
    double bytes, encode_ns, decode_ns; /* per sample */
};

struct bench {
    struct mem mem;
    struct col_scratch *s;
    struct buf out;
    struct column columns[COLUMNS_MAX];
    double *values, *back;
};

/* Columns of one class; returns how many. */
static uint32_t make(struct bench *b, enum col_gen_class c, uint32_t n)
{
    struct rng r;
    uint32_t count = VALUES_WANTED / n < COLUMNS_MAX ? VALUES_WANTED / n : COLUMNS_MAX;
    rng_init(&r, 1);
    count -= count % GEN_BUCKETS;
    for (uint32_t i = 0; i < count; i++) {
        b->columns[i].v = b->values + (size_t)i * n;
        b->columns[i].ref = NULL;
    }
    if (c != GEN_BUCKET && c != GEN_COUNT) {
        for (uint32_t i = 0; i < count; i++) {
            col_gen_values(c, &r, n, b->columns[i].v);
        }
        return count;
    }
    for (uint32_t i = 0; i < count; i += GEN_BUCKETS) {
        double *rows[GEN_BUCKETS];
        for (uint32_t k = 0; k < GEN_BUCKETS; k++) {
            rows[k] = b->columns[i + k].v;
        }
        col_gen_family(&r, n, rows);
        for (uint32_t k = 0; k < GEN_BUCKETS; k++) {
            b->columns[i + k].ref = k > 0 ? rows[k - 1] : NULL;
            if (c == GEN_COUNT) {
                b->columns[i + k].v = rows[GEN_BUCKETS - 1];
                b->columns[i + k].ref = rows[GEN_BUCKETS - 1];
            }
        }
    }
    return count;
}

static struct figures measure(struct bench *b, uint32_t count, uint32_t n, int64_t rounds)
{
    struct figures f = {0, 1e30, 1e30};
    double samples = (double)count * n;
    struct err e = {0};
    for (int64_t round = 0; round < rounds; round++) {
        buf_reset(&b->out);
        int64_t t0 = os_mono_ns(os_real());
        for (uint32_t i = 0; i < count; i++) {
            b->columns[i].off = b->out.n;
            ASSERT(col_values_encode(b->s, b->columns[i].v, b->columns[i].ref, n, &b->out, &e));
            b->columns[i].n = b->out.n - b->columns[i].off;
        }
        int64_t t1 = os_mono_ns(os_real());
        for (uint32_t i = 0; i < count; i++) {
            struct str bytes = str_of(b->out.p + b->columns[i].off, b->columns[i].n);
            ASSERT(col_values_decode(b->s, bytes, b->columns[i].ref, n, b->back, &e));
        }
        int64_t t2 = os_mono_ns(os_real());
        ASSERT(memcmp(b->back, b->columns[count - 1].v, n * sizeof(double)) == 0);
        f.encode_ns = fmin(f.encode_ns, (double)(t1 - t0) / samples);
        f.decode_ns = fmin(f.decode_ns, (double)(t2 - t1) / samples);
    }
    f.bytes = (double)b->out.n / samples;
    return f;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {32, 120, 480, 1440};
    int64_t rounds = ROUNDS_DEFAULT;
    int64_t only = -1;
    struct bench *b = calloc(1, sizeof *b);
    if (b == NULL || (argc > 1 && !str_to_i64(str_from_c(argv[1]), &rounds)) ||
        (argc > 2 && !str_to_i64(str_from_c(argv[2]), &only)) || rounds < 1) {
        fprintf(stderr, "usage: bench_columns [ROUNDS] [CLASS]\n");
        free(b);
        return 1;
    }
    mem_init(&b->mem, 0);
    b->s = col_scratch_new(&b->mem);
    buf_init(&b->out, &b->mem, OUT_BYTES_MAX);
    b->values = calloc(VALUES_WANTED, sizeof *b->values);
    b->back = calloc(VALUES_WANTED + COL_SLACK, sizeof *b->back);
    ASSERT(b->s != NULL && b->values != NULL && b->back != NULL);
    printf("%-26s share entropy", "bytes/sample, ns/value:");
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        printf(" | n=%-5u encode decode", sizes[k]);
    }
    printf("\n");
    struct figures all[ARRAY_LEN(sizes)] = {0};
    double shares = 0.0;
    double entropy = 0.0;
    for (int c = 0; c < GEN_CLASSES; c++) {
        const struct col_gen_kind *kind = &col_gen_kinds[c];
        if (only >= 0 && c != only) {
            continue;
        }
        shares += kind->share;
        entropy += kind->share * kind->entropy;
        printf("%-26s  %.2f   %5.2f", kind->name, kind->share, kind->entropy);
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            uint32_t count = make(b, (enum col_gen_class)c, sizes[k]);
            struct figures f = measure(b, count, sizes[k], rounds);
            printf(" | %7.3f %6.2f %6.2f", f.bytes, f.encode_ns, f.decode_ns);
            all[k].bytes += kind->share * f.bytes;
            all[k].encode_ns += kind->share * f.encode_ns;
            all[k].decode_ns += kind->share * f.decode_ns;
        }
        printf("\n");
    }
    printf("%-26s  %.2f   %5.2f", "all, by share", shares, entropy / shares);
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        printf(" | %7.3f %6.2f %6.2f", all[k].bytes / shares, all[k].encode_ns / shares,
               all[k].decode_ns / shares);
    }
    printf("\n");
    free(b->values);
    free(b->back);
    col_scratch_free(b->s);
    buf_release(&b->out);
    free(b);
    return 0;
}
