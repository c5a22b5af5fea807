/* The checkpoint's format: comes back as written; any changed or missing byte is noticed. */
#include "base/hash.h"
#include "base/test.h"
#include "flow/river_int.h"

#include <stdlib.h>

static void write_two(struct buf *b)
{
    river_saved_begin(b, 77, 123456789, 2);
    size_t at = river_saved_section_begin(b, STR("pipeline"));
    BUF_LIT(b, "the state of the pipeline");
    river_saved_section_end(b, at);
    at = river_saved_section_begin(b, STR("model"));
    river_saved_section_end(b, at); /* empty is allowed */
    river_saved_end(b);
}

TEST(checkpoint_comes_back)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    write_two(&b);
    struct river_saved s;
    struct err e = {.code = ERR_NONE};
    assert_true(river_saved_validate(buf_str(&b), &s, &e));
    assert_int_equal(s.seq, 77);
    assert_int_equal(s.t_ns, 123456789);
    assert_int_equal(s.sections, 2);
    struct str name;
    struct str bytes;
    assert_true(river_saved_next(&s, &name, &bytes));
    assert_str(name, STR("pipeline"));
    assert_str(bytes, STR("the state of the pipeline"));
    assert_true(river_saved_next(&s, &name, &bytes));
    assert_str(name, STR("model"));
    assert_int_equal(bytes.n, 0);
    assert_false(river_saved_next(&s, &name, &bytes));
    buf_release(&b);
}

TEST(checkpoint_notices_every_changed_or_missing_byte)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    write_two(&b);
    struct river_saved s;
    struct err e = {.code = ERR_NONE};
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
        assert_false(river_saved_validate(buf_str(&b), &s, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
    }
    for (size_t n = 0; n < b.n; n++) {
        char *copy = malloc(n > 0 ? n : 1);
        assert_non_null(copy);
        memcpy(copy, b.p, n);
        assert_false(river_saved_validate(str_of(copy, n), &s, &e));
        free(copy);
    }
    buf_release(&b);
}

TEST(checkpoint_of_another_version_is_not_called_damaged)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    write_two(&b);
    put_u32le(b.p + 8, 2);
    put_u64le(b.p + b.n - 8, hash64(str_of(b.p, b.n - 8)));
    struct river_saved s;
    struct err e = {.code = ERR_NONE};
    assert_false(river_saved_validate(buf_str(&b), &s, &e));
    assert_int_equal(e.code, ERR_INPUT);
    buf_release(&b);
}

/* Right checksum, wrong inside: lengths are still not believed. */
TEST(checkpoint_does_not_believe_lengths)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    for (size_t at = 12; at < 32 + 4 + 8 + 8; at++) {
        if (at >= 16 && at < 32) {
            continue; /* seq and time may be anything */
        }
        if (at >= 36 && at < 44) {
            continue; /* the name too */
        }
        buf_reset(&b);
        write_two(&b);
        b.p[at] = (char)(b.p[at] + 1);
        put_u64le(b.p + b.n - 8, hash64(str_of(b.p, b.n - 8)));
        struct river_saved s;
        struct err e = {.code = ERR_NONE};
        assert_false(river_saved_validate(buf_str(&b), &s, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
    buf_release(&b);
}
