/* Tests of packed answers: who gets one, and that it unpacks to the same bytes. */
#include "codec/gzip.h"

#include "base/test.h"
#include "codec/unpack.h"

TEST(gzip_is_for_who_asks)
{
    static const struct {
        const char *header;
        bool wanted;
    } cases[] = {{"gzip", true},
                 {"identity, GZip", true},
                 {"deflate;q=1, x-gzip ; q=0.5", true},
                 {"*", true},
                 {"gzip;q=0, *", false}, /* named beats the star */
                 {"gzip; Q=0.000", false},
                 {"gzip;q=often", false},
                 {"gzipped", false},
                 {"br, zstd", false},
                 {"*;q=0", false},
                 {",,;,", false},
                 {"", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(gzip_wanted(str_from_c(cases[i].header)), cases[i].wanted);
    }
    assert_false(gzip_wanted((struct str){NULL, 0}));
}

static bool collect(void *ctx, struct str piece, struct err *e)
{
    buf_str_add(ctx, piece);
    return buf_ok(ctx, e);
}

static void assert_unpacks(struct mem *m, struct str packed, struct str expected)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, m, 4U << 20);
    struct unpack *u = unpack_new(m, UNPACK_GZIP, 4U << 20);
    assert_non_null(u);
    unpack_trust(u);
    assert_true(unpack_feed(u, packed, collect, &out, &e) && unpack_finish(u, &e));
    assert_str(buf_str(&out), expected);
    unpack_free(u);
    buf_release(&out);
}

TEST(gzip_round_trip)
{
    struct mem mem;
    struct buf body;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&body, &mem, 4U << 20);
    buf_init(&out, &mem, 4U << 20);
    assert_true(gzip_pack(STR(""), &out));
    assert_unpacks(&mem, buf_str(&out), STR(""));
    for (int i = 0; i < 5000; i++) {
        buf_fmt(&body, "pix_stage_work_seconds_bucket{stage=\"score\",le=\"%d\"} %d\n", i, i * i);
    }
    buf_reset(&out);
    BUF_LIT(&out, "before");
    assert_true(gzip_pack(buf_str(&body), &out));
    assert_true(out.n * 4 < body.n);
    assert_unpacks(&mem, str_sub(buf_str(&out), 6, out.n), buf_str(&body));
    buf_release(&out);
    buf_init(&out, &mem, 64); /* no room: nothing is left behind */
    assert_false(gzip_pack(buf_str(&body), &out));
    assert_int_equal(out.n, 0);
    buf_release(&out);
    buf_release(&body);
    assert_int_equal(mem.bytes, 0);
}
