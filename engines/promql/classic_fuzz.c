/* Any buckets give a quantile and a fraction, or NaN, and stay within their array. */
#include "engines/promql/fn/classic_int.h"

#include "base/buf.h"

#include <math.h>

#define BUCKETS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(str_of((const char *)data, size));
    const double q = rd_f64le(&r);
    const double to = rd_f64le(&r);
    struct classic_bucket b[BUCKETS_MAX];
    struct classic_bucket copy[BUCKETS_MAX];
    uint32_t n = 0;
    while (n < BUCKETS_MAX && rd_left(&r) >= 16) {
        b[n].upper = rd_f64le(&r);
        b[n].count = rd_f64le(&r);
        n += isnan(b[n].upper) ? 0U : 1U;
    }
    if (n == 0) {
        return 0;
    }
    bool plain = q >= 0 && q <= 1;
    double least = 0;
    double greatest = 0;
    for (uint32_t i = 0; i < n; i++) {
        plain = plain && b[i].count >= 0 && b[i].count < 1e300 && b[i].upper > -1e300;
        least = b[i].upper < least ? b[i].upper : least;
        greatest = b[i].upper > greatest && !isinf(b[i].upper) ? b[i].upper : greatest;
    }
    memcpy(copy, b, n * sizeof *b);
    struct classic_lift lift;
    const double v = classic_quantile(q, b, n, &lift);
    ASSERT(!lift.forced || lift.upper_min <= lift.upper_max);
    /* Between the bounds, but for the rounding of the interpolation. */
    ASSERT(!plain || isnan(v) || (v >= least * (1 + 1e-9) && v <= greatest * (1 + 1e-9)));
    const double share = classic_fraction(q, to, copy, n);
    ASSERT(!(q >= to) || isnan(share) || share == 0);
    return 0;
}
