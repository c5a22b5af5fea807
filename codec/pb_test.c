/* Protobuf and snappy: numbers of every length, nested messages, malformed input. */
#include "codec/pb.h"

#include "base/test.h"
#include "codec/prompb.h"
#include "codec/snappy.h"

#define BYTES_MAX (1U << 20)

TEST(pb_fields_come_back_as_written)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, BYTES_MAX);
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    for (uint32_t i = 0; i < ARRAY_LEN(values); i++) {
        pb_put_varint(&b, i + 1, values[i]);
    }
    pb_put_sint(&b, 100, -3);
    pb_put_f64(&b, 536870911, 1.5);
    const size_t outer = pb_begin(&b, 7);
    pb_put_bytes(&b, 1, STR("abc"));
    for (int i = 0; i < 200; i++) { /* long enough for a length of two bytes */
        pb_put_varint(&b, 2, 1);
    }
    pb_end(&b, outer);
    struct pb p = pb_of(buf_str(&b));
    struct pb_field f;
    for (uint32_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_true(pb_next(&p, &f));
        assert_int_equal(f.number, i + 1);
        assert_true(f.u == values[i]);
    }
    assert_true(pb_next(&p, &f));
    assert_int_equal(pb_zigzag(f.u), -3);
    assert_true(pb_next(&p, &f));
    assert_int_equal(f.number, 536870911);
    assert_true(pb_f64(f.u) == 1.5);
    assert_true(pb_next(&p, &f));
    assert_int_equal(f.bytes.n, 5 + 400);
    struct pb inner = pb_of(f.bytes);
    assert_true(pb_next(&inner, &f));
    assert_str(f.bytes, STR("abc"));
    assert_false(pb_next(&p, &f));
    assert_false(p.failed);
    buf_release(&b);
}

TEST(pb_malformed_input_fails_and_ends)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x08", 1},                                              /* no value */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},     /* above 64 bits */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* 11 bytes */
        {"\x0a\x05zip", 5},                                       /* length past the end */
        {"\x09\x01\x02", 3},                                      /* half a double */
        {"\x0d\x01", 2},                                          /* half an i32 */
        {"\x0b\x01", 2},                                          /* a group */
        {"\x00\x01", 2},                                          /* field 0 */
        {"\x80\x80\x80\x80\x80\x01\x01", 7},                      /* number too large */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 12}, /* length of 2^64 - 1 */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct pb p = pb_of(str_of(bad[i].bytes, bad[i].n));
        struct pb_field f;
        while (pb_next(&p, &f)) {
        }
        assert_true(p.failed);
        assert_false(pb_next(&p, &f));
    }
}

TEST(snappy_bombs_are_refused_before_memory_is_taken)
{
    struct mem m;
    struct buf b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&b, &m, BYTES_MAX);
    assert_false(snappy_unpack(STR("\xff\xff\xff\xff\x0f"), BYTES_MAX, &b, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(m.bytes_top, 0);
    assert_false(snappy_unpack(STR(""), BYTES_MAX, &b, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_false(snappy_unpack(STR("\x05\x00"), BYTES_MAX, &b, &e));
    assert_int_equal(e.code, ERR_INPUT);
    buf_release(&b);
}

TEST(prompb_integer_buckets_are_deltas_and_float_buckets_absolute)
{
    struct mem m;
    struct arena a;
    struct buf b;
    struct err e = {0};
    mem_init(&m, 0);
    arena_init(&a, &m, BYTES_MAX);
    buf_init(&b, &m, BYTES_MAX);
    struct nhist_span spans[] = {{-2, 2}, {1, 1}}, custom_span = {0, 2};
    double counts[] = {4, 1, 3}, bounds[] = {0.5};
    struct nhist h = {.schema = 3,
                      .integer = true,
                      .zero_threshold = 0.001,
                      .zero_count = 2,
                      .count = 10,
                      .sum = 1.25,
                      .reset = NHIST_NO_RESET,
                      .pos = {spans, counts, 2, 3}};
    for (int pass = 0; pass < 3; pass++) {
        if (pass == 2) { /* custom bounds */
            h.schema = NHIST_SCHEMA_CUSTOM;
            h.zero_threshold = h.zero_count = 0;
            h.pos = (struct nhist_side){&custom_span, counts, 1, 2};
            h.custom = bounds;
            h.custom_n = 1;
            h.count = 5;
        }
        h.integer = pass == 0;
        buf_reset(&b);
        prompb_histogram_write(&b, 4, &h, 1700000000123, pass == 1 ? 1600000000000 : 0);
        struct pb p = pb_of(buf_str(&b));
        struct pb_field f;
        assert_true(pb_next(&p, &f));
        struct nhist *back;
        int64_t t_ms, st_ms;
        if (!prompb_histogram_read(f.bytes, &a, &back, &t_ms, &st_ms, &e)) {
            fail_msg("pass %d: %s", pass, e.msg);
        }
        assert_true(nhist_same(&h, back));
        assert_int_equal(t_ms, 1700000000123);
        assert_int_equal(st_ms, pass == 1 ? 1600000000000 : 0);
    }
    buf_release(&b);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}
