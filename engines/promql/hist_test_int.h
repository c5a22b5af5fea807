/* Builders of histograms for the tests of this module. */
#ifndef ENGINES_PROMQL_HIST_TEST_INT_H
#define ENGINES_PROMQL_HIST_TEST_INT_H

#include "base/test.h"
#include "engines/promql/hist_int.h"

#include <math.h>

#define HIST_TEST_BYTES (16U << 20)

static inline bool hist_test_near(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return isnan(a) && isnan(b);
    }
    return a == b || fabs(a - b) <= 1e-12 * (fabs(a) + fabs(b));
}

/* A side of one span. counts[n]. */
static inline void hist_test_side(struct nhist_side *s, struct arena *a, int32_t first, uint32_t n,
                                  const double *counts)
{
    *s = (struct nhist_side){0};
    if (n == 0) {
        return;
    }
    s->spans = ARENA_NEW(a, struct nhist_span);
    s->counts = ARENA_ARRAY(a, double, n);
    assert_non_null(s->spans);
    assert_non_null(s->counts);
    s->spans[0] = (struct nhist_span){first, n};
    memcpy(s->counts, counts, n * sizeof *counts);
    s->spans_n = 1;
    s->counts_n = n;
}

/* Exponential, positive buckets from index `first`; count is their sum. */
static inline struct nhist *hist_test_exp(struct arena *a, int32_t schema, double sum,
                                          int32_t first, uint32_t n, const double *counts)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    assert_non_null(h);
    *h = (struct nhist){.schema = schema, .sum = sum};
    hist_test_side(&h->pos, a, first, n, counts);
    for (uint32_t i = 0; i < n; i++) {
        h->count += counts[i];
    }
    return h;
}

/* Custom bounds, buckets from the first on. */
static inline struct nhist *hist_test_custom(struct arena *a, uint32_t bounds_n, double *bounds,
                                             double sum, uint32_t n, const double *counts)
{
    struct nhist *h = hist_test_exp(a, NHIST_SCHEMA_CUSTOM, sum, 0, n, counts);
    h->custom = bounds;
    h->custom_n = bounds_n;
    return h;
}

#endif
