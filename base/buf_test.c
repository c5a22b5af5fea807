#include "base/buf.h"
#include "base/rng.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct mem mem;
    struct buf b;
};

static void fixture_init(struct fixture *f, size_t bytes_max)
{
    mem_init(&f->mem, 0);
    buf_init(&f->b, &f->mem, bytes_max);
}

static void fixture_release(struct fixture *f)
{
    buf_release(&f->b);
    assert_int_equal(f->mem.bytes, 0);
}

TEST(buf_grows_and_keeps_its_bytes)
{
    struct fixture f;
    fixture_init(&f, 100000);
    for (int i = 0; i < 100000; i++) {
        buf_char(&f.b, (char)('a' + i % 26));
    }
    assert_true(buf_ok(&f.b, NULL));
    assert_int_equal(f.b.n, 100000);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(f.b.p[i], 'a' + i % 26);
    }
    assert_int_equal(f.b.cap, 100000);
    fixture_release(&f);
}

TEST(buf_at_its_cap_fails_and_changes_nothing_else)
{
    struct fixture f;
    fixture_init(&f, 10);
    buf_add(&f.b, NULL, 0);
    BUF_LIT(&f.b, "12345678");
    BUF_LIT(&f.b, "abc");
    BUF_LIT(&f.b, "9");
    assert_str(buf_str(&f.b), STR("12345678"));
    struct err e;
    assert_false(buf_ok(&f.b, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_null(buf_room(&f.b, 1));
    buf_reset(&f.b);
    assert_true(buf_ok(&f.b, &e));
    BUF_LIT(&f.b, "0123456789");
    assert_true(buf_ok(&f.b, &e));
    assert_null(buf_room(&f.b, SIZE_MAX));
    fixture_release(&f);
}

TEST(buf_writers_are_all_or_nothing)
{
    struct fixture f;
    for (size_t cap = 0; cap < 12; cap++) {
        fixture_init(&f, cap);
        buf_json_str(&f.b, STR("a\"b\nc\xff"));
        assert_int_equal(f.b.n, 0);
        fixture_release(&f);
        fixture_init(&f, cap);
        buf_str32(&f.b, STR("12345678"));
        assert_int_equal(f.b.n, cap >= 12 ? 12 : 0);
        fixture_release(&f);
    }
}

TEST(buf_fmt_writes_short_and_long_text_exactly)
{
    for (int n = 0; n < 3000; n += n < 600 && n > 400 ? 1 : 101) {
        struct fixture f;
        fixture_init(&f, (size_t)n + 2);
        buf_fmt(&f.b, "<%*s>", n, "x");
        size_t want = (size_t)(n > 1 ? n : 1) + 2;
        if (want > (size_t)n + 2) {
            assert_false(buf_ok(&f.b, NULL));
        } else {
            assert_true(buf_ok(&f.b, NULL));
            assert_int_equal(f.b.n, want);
            assert_true(str_starts(buf_str(&f.b), STR("<")));
            assert_true(str_ends(buf_str(&f.b), STR("x>")));
        }
        fixture_release(&f);
    }
}

TEST(buf_prints_integers)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        struct fixture f;
        fixture_init(&f, 100);
        uint64_t u = rng_u64(&r) >> rng_below(&r, 64);
        char text[64];
        buf_u64(&f.b, u);
        buf_char(&f.b, ' ');
        buf_i64(&f.b, (int64_t)u);
        buf_char(&f.b, ' ');
        buf_i64(&f.b, (int64_t)(0 - u));
        snprintf(text, sizeof text, "%llu %lld %lld", (unsigned long long)u, (long long)u,
                 (long long)(0 - u));
        assert_str(buf_str(&f.b), str_from_c(text));
        fixture_release(&f);
    }
    struct fixture f;
    fixture_init(&f, 100);
    buf_u64(&f.b, 0);
    buf_char(&f.b, ' ');
    buf_u64(&f.b, UINT64_MAX);
    buf_char(&f.b, ' ');
    buf_i64(&f.b, INT64_MIN);
    assert_str(buf_str(&f.b), STR("0 18446744073709551615 -9223372036854775808"));
    fixture_release(&f);
}

TEST(buf_f64_prints_the_shortest_text)
{
    static const struct {
        double v;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {100, "100"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1234567.891, "1234567.891"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {9007199254740991, "9007199254740991"},
        {9007199254740992, "9007199254740992"},
        {1e21, "1e+21"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {1.0 / 3, "0.3333333333333333"},
        {(double)INFINITY, "+Inf"},
        {-(double)INFINITY, "-Inf"},
        {(double)NAN, "NaN"},
        {0.05, "0.05"},
        {1.005, "1.005"},
        {99.99, "99.99"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        fixture_init(&f, 100);
        buf_f64(&f.b, rows[i].v);
        assert_str(buf_str(&f.b), str_from_c(rows[i].text));
        buf_reset(&f.b);
        buf_json_f64(&f.b, rows[i].v);
        assert_str(buf_str(&f.b), isfinite(rows[i].v) ? str_from_c(rows[i].text) : STR("null"));
        fixture_release(&f);
    }
}

TEST(buf_f64_reads_back)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct fixture f;
    fixture_init(&f, 100);
    for (int i = 0; i < 40000; i++) {
        double v;
        if (i % 2 == 0) {
            uint64_t bits = rng_u64(&r);
            memcpy(&v, &bits, sizeof v);
        } else {
            v = (double)rng_below(&r, 100000000) / (double)(1 + rng_below(&r, 100000));
        }
        if (!isfinite(v)) {
            continue;
        }
        buf_reset(&f.b);
        buf_f64(&f.b, v);
        double back = 0;
        assert_true(str_to_f64(buf_str(&f.b), &back));
        assert_true(back == v);
    }
    fixture_release(&f);
}

TEST(buf_json_str_escapes_and_repairs)
{
    struct fixture f;
    fixture_init(&f, 1000);
    buf_json_str(&f.b, STR("a\"b\\c\n\r\t\x01\x1f\x7f/\0é"));
    assert_str(buf_str(&f.b), STR("\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001f\x7f/\\u0000é\""));
    buf_reset(&f.b);
    buf_json_str(&f.b, STR("x\xffy\xc3"));
    assert_str(buf_str(&f.b), STR("\"x\xEF\xBF\xBDy\xEF\xBF\xBD\""));
    buf_reset(&f.b);
    buf_json_str(&f.b, str_of(NULL, 0));
    assert_str(buf_str(&f.b), STR("\"\""));
    fixture_release(&f);
}

TEST(buf_binary_reads_back)
{
    struct fixture f;
    fixture_init(&f, 1000);
    buf_u8(&f.b, 0xAB);
    buf_u16le(&f.b, 0x1234);
    buf_u32le(&f.b, 0xDEADBEEF);
    buf_u64le(&f.b, 0x0123456789ABCDEF);
    buf_f64le(&f.b, -1.5);
    buf_str32(&f.b, STR("pix"));
    buf_str32(&f.b, str_of(NULL, 0));
    assert_int_equal((unsigned char)f.b.p[1], 0x34);
    assert_int_equal(f.b.n, 1 + 2 + 4 + 8 + 8 + 4 + 3 + 4);
    struct rd r = rd_of(buf_str(&f.b));
    assert_int_equal(rd_u8(&r), 0xAB);
    assert_int_equal(rd_u16le(&r), 0x1234);
    assert_int_equal(rd_u32le(&r), 0xDEADBEEF);
    assert_true(rd_u64le(&r) == 0x0123456789ABCDEF);
    assert_true(rd_f64le(&r) == -1.5);
    assert_str(rd_str32(&r), STR("pix"));
    assert_int_equal(rd_str32(&r).n, 0);
    assert_false(r.failed);
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(rd_u8(&r), 0);
    assert_true(r.failed);
    fixture_release(&f);
}

TEST(rd_fails_for_good_and_moves_no_more)
{
    struct rd r = rd_of(STR("\x05\0\0\0abc"));
    struct str s = rd_str32(&r);
    assert_true(r.failed);
    assert_null(s.p);
    assert_int_equal(s.n, 0);
    assert_int_equal(rd_u8(&r), 0);
    r = rd_of(STR("abc"));
    assert_true(rd_u64le(&r) == 0);
    assert_true(r.failed);
    assert_int_equal(rd_u8(&r), 0); /* three bytes were left, but it has failed */
    r = rd_of(str_of(NULL, 0));
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(rd_bytes(&r, 0).n, 0);
    assert_false(r.failed);
    assert_int_equal(rd_bytes(&r, SIZE_MAX).n, 0);
    assert_true(r.failed);
}

FAULT_TEST(buf_survives_failed_allocations)
{
    struct buf b;
    buf_init(&b, &w->mem, 100000);
    for (int i = 0; i < 50; i++) {
        buf_json_str(&b, STR("line\n"));
        buf_fmt(&b, "%700d", i);
    }
    bool ok = buf_ok(&b, NULL);
    assert_true(!ok || b.n == 50 * 708);
    buf_release(&b);
    return ok;
}
