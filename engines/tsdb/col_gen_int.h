/* Data of the kinds that machines and a payment pipeline expose, for tests of columns and for
 * bench/columns.c, which print and assert bytes per class. The share of each class among the series
 * is that of a fleet of hosts and services; each class is drawn from a random source with about the
 * entropy that was measured on such data, written beside it. */
#ifndef ENGINES_TSDB_COL_GEN_INT_H
#define ENGINES_TSDB_COL_GEN_INT_H

#include "base/rng.h"

#include <math.h>

enum col_gen_class {
    GEN_CONSTANT,
    GEN_CPU_SECONDS,
    GEN_PAGES,
    GEN_SMALL_COUNTER,
    GEN_BIG_COUNTER,
    GEN_BYTES_512,
    GEN_TWO_DECIMALS,
    GEN_FULL_DOUBLE,
    GEN_HISTOGRAM_SUM,
    GEN_MOSTLY_ZERO,
    GEN_TRANSACTIONS,
    GEN_BUCKET, /* with its neighbour as ref */
    GEN_COUNT,  /* with the +Inf bucket as ref */
};
#define GEN_CLASSES 13
#define GEN_BUCKETS 12

struct col_gen_kind {
    const char *name;
    double share;        /* of the series */
    double entropy;      /* bytes per sample, of the source below */
    double bytes_max[3]; /* what 32, 120 and 480 samples may cost each */
};

static const struct col_gen_kind col_gen_kinds[GEN_CLASSES] = {
    {"constant", 0.23, 0.00, {0.12, 0.03, 0.01}},
    {"CPU seconds, 2 decimals", 0.11, 0.78, {1.15, 1.00, 0.86}},
    {"gauge in 4 KiB steps", 0.08, 0.75, {1.25, 1.04, 0.85}},
    {"small counter", 0.06, 0.65, {1.00, 0.86, 0.74}},
    {"big counter", 0.03, 2.40, {2.82, 2.68, 2.55}},
    {"bytes in 512 steps", 0.02, 1.20, {1.72, 1.50, 1.33}},
    {"two decimals", 0.03, 1.01, {1.37, 1.24, 1.11}},
    {"full double", 0.08, 6.50, {7.16, 6.83, 6.70}},
    {"histogram sum", 0.02, 5.56, {7.30, 6.80, 6.20}},
    {"mostly zero", 0.07, 0.12, {0.48, 0.30, 0.24}},
    {"transaction counter", 0.08, 0.34, {0.67, 0.49, 0.40}},
    {"histogram bucket", 0.19, 0.38, {0.69, 0.54, 0.45}},
    {"histogram count", 0.02, 0.00, {0.18, 0.05, 0.02}},
};

static inline double col_gen_laplace(struct rng *r, double b)
{
    double x = rng_exp(r) * b;
    return (rng_u64(r) & 1) != 0 ? x : -x;
}

static inline double col_gen_cents(double x)
{
    return rint(x) / 100.0;
}

/* v[0..n) of a class; buckets and count come from col_gen_family. */
static inline void col_gen_values(enum col_gen_class c, struct rng *r, uint32_t n, double *v)
{
    double at = 1000.0 + (double)rng_below(r, 1000000);
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        switch (c) {
        case GEN_CONSTANT: v[i] = floor(at / 5000.0); break;
        case GEN_CPU_SECONDS:
            at += rint(fabs(300.0 + 18.0 * rng_normal(r)));
            v[i] = col_gen_cents(at);
            break;
        case GEN_PAGES:
            at = fmax(at + rint(col_gen_laplace(r, 11.8)), 0.0);
            v[i] = at * 4096.0;
            break;
        case GEN_SMALL_COUNTER:
            at += (double)rng_poisson(r, 79.0);
            v[i] = at;
            break;
        case GEN_BIG_COUNTER:
            at += rint(fabs(1e6 + 145e3 * rng_normal(r)));
            v[i] = at;
            break;
        case GEN_BYTES_512:
            at += rint(fabs(4000.0 + col_gen_laplace(r, 143.0)));
            v[i] = at * 512.0;
            break;
        case GEN_TWO_DECIMALS: v[i] = col_gen_cents(at / 100.0 + 66.0 * rng_normal(r)); break;
        case GEN_FULL_DOUBLE: v[i] = 0.55 + 0.12 * rng_normal(r); break;
        case GEN_HISTOGRAM_SUM:
            sum += fabs(2000.0 + 700.0 * rng_normal(r));
            v[i] = sum;
            break;
        case GEN_MOSTLY_ZERO:
            sum += rng_f64(r) < 0.08 ? ceil(rng_exp(r) * 47.0) : 0.0;
            v[i] = sum;
            break;
        case GEN_TRANSACTIONS:
            at += (double)rng_poisson(r, 2.5);
            v[i] = at;
            break;
        case GEN_BUCKET:
        case GEN_COUNT: v[i] = 0.0; break;
        }
    }
}

/* Cumulative buckets, bounds ascending: buckets[b][i]. The last is +Inf and equals _count. */
static inline void col_gen_family(struct rng *r, uint32_t n, double *const buckets[GEN_BUCKETS])
{
    static const double share[GEN_BUCKETS] = {.02,   .55,   .33,   .08, .015, .003,
                                              .0008, .0002, .0001, 0,   0,    0};
    double own[GEN_BUCKETS];
    for (uint32_t b = 0; b < GEN_BUCKETS; b++) {
        own[b] = rint(share[b] * (double)rng_below(r, 1u << 24));
    }
    for (uint32_t i = 0; i < n; i++) {
        double all = 0.0;
        for (uint32_t b = 0; b < GEN_BUCKETS; b++) {
            own[b] += share[b] > 0.0 ? (double)rng_poisson(r, share[b] * 2000.0) : 0.0;
            all += own[b];
            buckets[b][i] = all;
        }
    }
}

#endif
