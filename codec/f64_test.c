/* Numbers as text: the three styles at their borders, and that every text reads back. */
#include "codec/f64.h"

#include "base/rng.h"
#include "base/test.h"

#include <math.h>
#include <stdlib.h>

#define BYTES_MAX 4096

static void check(double v, enum f64_style style, const char *want)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, BYTES_MAX);
    f64_write(&b, v, style);
    assert_str(buf_str(&b), str_from_c(want));
    buf_release(&b);
}

TEST(f64_styles_at_their_borders)
{
    check(0, F64_JSON, "0");
    check(-0.0, F64_JSON, "-0");
    check(1, F64_PLAIN, "1");
    check(-1.5, F64_GENERAL, "-1.5");
    check(0.1, F64_JSON, "0.1");
    check(1e20, F64_JSON, "100000000000000000000");
    check(1e21, F64_JSON, "1e+21");
    check(1e21, F64_GENERAL, "1e+21");
    check(1e21, F64_PLAIN, "1000000000000000000000");
    check(0.000001, F64_JSON, "0.000001");
    check(0.0000001, F64_JSON, "1e-7");
    check(0.00001, F64_GENERAL, "1e-05");
    check(0.00001, F64_PLAIN, "0.00001");
    check(0.0001, F64_GENERAL, "0.0001");
    check(999999, F64_GO_G, "999999");
    check(1e6, F64_GO_G, "1e+06");
    check(1234567, F64_GO_G, "1.234567e+06");
    check(123456.789, F64_GENERAL, "123456.789");
    check(5e-324, F64_JSON, "5e-324");
    check(1.7976931348623157e308, F64_JSON, "1.7976931348623157e+308");
    check((double)NAN, F64_JSON, "NaN");
    check((double)INFINITY, F64_JSON, "+Inf");
    check(-(double)INFINITY, F64_GENERAL, "-Inf");
}

TEST(f64_every_text_reads_back)
{
    struct rng r;
    struct mem m;
    struct buf b;
    rng_init(&r, test_seed());
    mem_init(&m, 0);
    buf_init(&b, &m, BYTES_MAX);
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = rng_u64(&r);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) {
            continue;
        }
        buf_reset(&b);
        f64_write(&b, v, (enum f64_style)(i % 4));
        buf_char(&b, 0);
        assert_true(buf_ok(&b, NULL));
        assert_true(strtod(b.p, NULL) == v);
    }
    buf_release(&b);
}
