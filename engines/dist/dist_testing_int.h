/* What the tests of this module share: samples of several shapes, and figures computed from the
 * raw values by their definitions. */
#ifndef ENGINES_DIST_DIST_TESTING_INT_H
#define ENGINES_DIST_DIST_TESTING_INT_H

#include "base/rng.h"
#include "base/test.h"
#include "engines/dist/dist.h"

#include <math.h>
#include <stdlib.h>

enum shape {
    SHAPE_MONEY,  /* log-normal, two decimals */
    SHAPE_COUNT,  /* small whole numbers */
    SHAPE_NORMAL, /* both signs */
    SHAPE_SPARSE, /* mostly 0, else a share */
    SHAPE_LARGE,  /* near 1e9, far from 0 for its width */
    SHAPE_WILD,   /* any finite double */
};
#define SHAPES 6

static inline double shape_value(enum shape shape, struct rng *r)
{
    double z = rng_normal(r);
    switch (shape) {
    case SHAPE_MONEY: return rint(100 * exp(3.5 + 1.1 * z)) / 100;
    case SHAPE_COUNT: return (double)rng_poisson(r, 6);
    case SHAPE_NORMAL: return 0.3 + z;
    case SHAPE_SPARSE: return rng_f64(r) < 0.9 ? 0 : rint(rng_f64(r) * 1e4) / 1e4;
    case SHAPE_LARGE: return 1e9 + 1e6 * z;
    case SHAPE_WILD: break;
    }
    for (;;) {
        uint64_t bits = rng_u64(r);
        double v = 0;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) {
            return v;
        }
    }
}

static inline int f64_order(const void *a, const void *b)
{
    double x = 0, y = 0;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Sorted values of one sample; the caller frees. */
static inline double *shape_sample(enum shape shape, uint64_t seed, size_t n)
{
    double *v = calloc(n, sizeof *v);
    struct rng r;
    assert_non_null(v);
    rng_init(&r, seed);
    for (size_t i = 0; i < n; i++) {
        v[i] = shape_value(shape, &r);
    }
    return v;
}

static inline void sort_sample(double *v, size_t n)
{
    qsort(v, n, sizeof *v, f64_order);
}

/* By definition: numpy.quantile of sorted values. */
static inline double brute_quantile(const double *v, size_t n, double q)
{
    double rank = (double)(n - 1) * q;
    size_t k = (size_t)floor(rank);
    double t = rank - (double)k;
    double a = v[k];
    double b = v[k + 1 < n ? k + 1 : k];
    return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

struct brute {
    double ks, w1, cvm, ad;
};

/* From both sorted samples, point by point. */
static inline struct brute brute_distances(const double *x, size_t n, const double *y, size_t m)
{
    struct brute b = {0};
    double all = (double)(n + m);
    size_t i = 0;
    size_t j = 0;
    double before = 0;
    double d = 0;
    while (i < n || j < m) {
        double at = i == n ? y[j] : j == m ? x[i] : fmin(x[i], y[j]);
        b.w1 += i + j > 0 ? (at - before) * fabs(d) : 0;
        size_t from = i + j;
        while (i < n && x[i] == at) {
            i++;
        }
        while (j < m && y[j] == at) {
            j++;
        }
        d = (double)i / (double)n - (double)j / (double)m;
        double count = (double)(i + j - from);
        double h = (double)(i + j) / all;
        b.ks = fmax(b.ks, fabs(d));
        b.cvm += count * d * d;
        b.ad += h < 1 ? count * d * d / (h * (1 - h)) : 0;
        before = at;
    }
    double scale = (double)n * (double)m / (all * all);
    b.cvm *= scale;
    b.ad *= scale;
    return b;
}

static inline void fill_sketch(struct dist_sketch *s, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(dist_sketch_add(s, v[i]));
    }
}

/* |a - b| <= limit, with both on failure. */
static inline void assert_near(double a, double b, double limit)
{
    if (!(fabs(a - b) <= limit)) {
        print_error("%.17g is not within %g of %.17g\n", a, limit, b);
        fail();
    }
}

static inline void assert_same_bytes(struct buf *a, struct buf *b)
{
    assert_true(buf_ok(a, NULL) && buf_ok(b, NULL));
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->p, b->p, a->n);
}

#endif
