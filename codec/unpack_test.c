/* Decompression: members and frames, torn and damaged streams, bombs, one byte at a time. */
#include "codec/unpack.h"

#include "base/buf.h"
#include "base/rng.h"
#include "base/test.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define MIB (1024 * 1024)

static void pack_gzip(struct buf *out, struct str in)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong bound = deflateBound(&z, in.n);
    char *p = buf_room(out, bound);
    assert_non_null(p);
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)p;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += z.total_out;
    deflateEnd(&z);
}

static void pack_zstd(struct buf *out, struct str in, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(in.n);
    char *p = buf_room(out, bound);
    assert_non_null(p);
    if (window_log) {
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
        ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    }
    size_t n = ZSTD_compress2(c, p, bound, in.p, in.n);
    assert_false(ZSTD_isError(n));
    out->n += n;
    ZSTD_freeCCtx(c);
}

static void pack(enum unpack_kind kind, struct buf *out, struct str in)
{
    if (kind == UNPACK_GZIP) {
        pack_gzip(out, in);
    } else if (kind == UNPACK_ZSTD) {
        pack_zstd(out, in, 0);
    } else {
        buf_str_add(out, in);
    }
}

static bool collect(void *ctx, struct str piece, struct err *e)
{
    (void)e;
    assert_true(piece.n > 0 && piece.n <= 64 * 1024);
    buf_str_add(ctx, piece);
    return true;
}

/* Feeds in steps; the whole stream's verdict. */
static bool unpack_all(struct mem *m, enum unpack_kind kind, struct str in, size_t step,
                       uint64_t out_max, struct buf *out, struct err *e)
{
    struct unpack *u = unpack_new(m, kind, out_max);
    assert_non_null(u);
    bool ok = true;
    for (size_t i = 0; ok && i < in.n; i += step) {
        ok = unpack_feed(u, str_sub(in, i, step), collect, out, e);
    }
    ok = ok && unpack_finish(u, e);
    unpack_free(u);
    return ok;
}

/* Text that compresses about as events do. */
static void make_text(struct buf *b, size_t bytes, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    while (b->n < bytes) {
        buf_fmt(b, "{\"id\":\"E%016llx\",\"score\":0.%05llu}\n", (unsigned long long)rng_u64(&r),
                (unsigned long long)rng_below(&r, 100000));
    }
    b->n = bytes;
}

static const enum unpack_kind packed_kinds[] = {UNPACK_GZIP, UNPACK_ZSTD};

TEST(unpack_names_and_magic_numbers)
{
    static const struct {
        const char *name;
        bool ok;
        enum unpack_kind kind;
    } names[] = {
        {"", true, UNPACK_IDENTITY},
        {"identity", true, UNPACK_IDENTITY},
        {"gzip", true, UNPACK_GZIP},
        {" GZip ", true, UNPACK_GZIP},
        {"x-gzip", true, UNPACK_GZIP},
        {"zstd", true, UNPACK_ZSTD},
        {"br", false, 0},
        {"gzip, gzip", false, 0},
        {"deflate", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum unpack_kind kind = UNPACK_IDENTITY;
        assert_int_equal(unpack_kind_parse(str_from_c(names[i].name), &kind), names[i].ok);
        assert_true(!names[i].ok || kind == names[i].kind);
    }
    assert_int_equal(unpack_kind_sniff(STR("\x1f\x8b\x08")), UNPACK_GZIP);
    assert_int_equal(unpack_kind_sniff(STR("\x28\xb5\x2f\xfd")), UNPACK_ZSTD);
    assert_int_equal(unpack_kind_sniff(STR("\x5a\x2a\x4d\x18")), UNPACK_ZSTD);
    assert_int_equal(unpack_kind_sniff(STR("{\"a\":1}")), UNPACK_IDENTITY);
    assert_int_equal(unpack_kind_sniff(STR("\x28\xb5\x2f")), UNPACK_IDENTITY);
    assert_int_equal(unpack_kind_sniff(STR("")), UNPACK_IDENTITY);
}

TEST(unpack_gives_back_what_was_packed_at_any_step)
{
    static const size_t steps[] = {1, 7, 4096, SIZE_MAX / 2};
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 400000};
    struct mem m;
    struct err e = {0};
    mem_init(&m, 0);
    for (enum unpack_kind kind = UNPACK_IDENTITY; kind <= UNPACK_ZSTD; kind++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct buf text, packed, out;
            buf_init(&text, &m, 2 * MIB);
            buf_init(&packed, &m, 2 * MIB);
            make_text(&text, sizes[s], test_seed());
            pack(kind, &packed, buf_str(&text));
            for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                buf_init(&out, &m, 2 * MIB);
                /* The bound is exactly the size: it must suffice. */
                assert_true(unpack_all(&m, kind, buf_str(&packed), steps[i], sizes[s], &out, &e));
                assert_true(str_eq(buf_str(&out), buf_str(&text)));
                buf_release(&out);
            }
            buf_release(&text);
            buf_release(&packed);
        }
    }
    assert_int_equal(m.bytes, 0);
}

TEST(unpack_reads_members_and_frames_one_after_the_other)
{
    struct mem m;
    struct err e = {0};
    mem_init(&m, 0);
    for (size_t k = 0; k < ARRAY_LEN(packed_kinds); k++) {
        struct buf packed, out;
        buf_init(&packed, &m, MIB);
        pack(packed_kinds[k], &packed, STR("one "));
        pack(packed_kinds[k], &packed, STR(""));
        pack(packed_kinds[k], &packed, STR("two"));
        for (size_t step = 1; step <= packed.n; step++) {
            buf_init(&out, &m, MIB);
            assert_true(unpack_all(&m, packed_kinds[k], buf_str(&packed), step, 7, &out, &e));
            assert_str(buf_str(&out), STR("one two"));
            buf_release(&out);
        }
        buf_release(&packed);
    }
}

TEST(unpack_says_that_a_stream_is_torn_at_every_length)
{
    struct mem m;
    mem_init(&m, 0);
    for (size_t k = 0; k < ARRAY_LEN(packed_kinds); k++) {
        struct buf packed, out;
        buf_init(&packed, &m, MIB);
        pack(packed_kinds[k], &packed, STR("a stream that will be cut somewhere"));
        for (size_t n = 0; n < packed.n; n++) {
            struct err e = {0};
            buf_init(&out, &m, MIB);
            assert_false(unpack_all(&m, packed_kinds[k], str_of(packed.p, n), 5, MIB, &out, &e));
            assert_int_equal(e.code, ERR_INPUT);
            assert_non_null(strstr(e.msg, "found the end"));
            buf_release(&out);
        }
        buf_release(&packed);
    }
}

TEST(unpack_refuses_damage_and_rubbish_behind_the_end)
{
    struct mem m;
    mem_init(&m, 0);
    for (size_t k = 0; k < ARRAY_LEN(packed_kinds); k++) {
        struct buf packed, out;
        struct err e = {0};
        buf_init(&packed, &m, MIB);
        buf_init(&out, &m, MIB);
        pack(packed_kinds[k], &packed, STR("fine"));
        buf_char(&packed, 'x');
        buf_char(&packed, 'y');
        assert_false(unpack_all(&m, packed_kinds[k], buf_str(&packed), 1, MIB, &out, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_str(buf_str(&out), STR("fine"));
        buf_reset(&out);
        assert_false(unpack_all(&m, packed_kinds[k], STR("not packed at all"), 3, MIB, &out, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_int_equal(out.n, 0);
        buf_release(&packed);
        buf_release(&out);
    }
    /* gzip carries a CRC: a flipped bit of the content is found. */
    struct buf packed, out;
    struct err e = {0};
    buf_init(&packed, &m, MIB);
    buf_init(&out, &m, MIB);
    pack_gzip(&packed, STR("0123456789"));
    packed.p[packed.n - 8] ^= 1;
    assert_false(unpack_all(&m, UNPACK_GZIP, buf_str(&packed), 100, MIB, &out, &e));
    assert_int_equal(e.code, ERR_INPUT);
    buf_release(&packed);
    buf_release(&out);
}

TEST(unpack_stays_failed)
{
    struct mem m;
    struct err e = {0};
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, MIB);
    struct unpack *u = unpack_new(&m, UNPACK_ZSTD, MIB);
    assert_false(unpack_feed(u, STR("rubbish"), collect, &out, &e));
    assert_false(unpack_feed(u, STR(""), collect, &out, &e));
    assert_false(unpack_finish(u, &e));
    unpack_free(u);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

TEST(unpack_never_gives_more_than_its_bound)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf text;
    buf_init(&text, &m, 2 * MIB);
    make_text(&text, 300000, 1);
    for (enum unpack_kind kind = UNPACK_IDENTITY; kind <= UNPACK_ZSTD; kind++) {
        struct buf packed, out;
        struct err e = {0};
        buf_init(&packed, &m, 2 * MIB);
        buf_init(&out, &m, 2 * MIB);
        pack(kind, &packed, buf_str(&text));
        assert_false(unpack_all(&m, kind, buf_str(&packed), 1000, 299999, &out, &e));
        assert_int_equal(e.code, ERR_LIMIT);
        assert_true(out.n <= 299999);
        buf_release(&packed);
        buf_release(&out);
    }
    buf_release(&text);
}

TEST(unpack_refuses_bombs_by_ratio)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf zeros;
    buf_init(&zeros, &m, 32 * MIB);
    memset(buf_room(&zeros, 16 * MIB), 0, 16 * MIB);
    zeros.n = 16 * MIB;
    for (size_t k = 0; k < ARRAY_LEN(packed_kinds); k++) {
        struct buf packed, out;
        struct err e = {0};
        buf_init(&packed, &m, 32 * MIB);
        buf_init(&out, &m, 32 * MIB);
        pack(packed_kinds[k], &packed, buf_str(&zeros));
        assert_true(packed.n < 16 * MIB / UNPACK_RATIO_MAX);
        assert_false(unpack_all(&m, packed_kinds[k], buf_str(&packed), 64, 1 << 30, &out, &e));
        assert_int_equal(e.code, ERR_LIMIT);
        assert_true(out.n < 8 * MIB);
        /* 1 MiB is free: small files of zeros are not bombs. */
        buf_reset(&packed);
        buf_reset(&out);
        pack(packed_kinds[k], &packed, str_of(zeros.p, MIB));
        assert_true(unpack_all(&m, packed_kinds[k], buf_str(&packed), 64, 1 << 30, &out, &e));
        assert_int_equal(out.n, MIB);
        buf_release(&packed);
        buf_release(&out);
    }
    buf_release(&zeros);
}

TEST(unpack_refuses_zstd_windows_above_8_mib)
{
    struct mem m;
    struct err e = {0};
    struct buf packed, out;
    mem_init(&m, 0);
    buf_init(&packed, &m, 4 * MIB);
    buf_init(&out, &m, 4 * MIB);
    /* A frame header that promises a 16 MiB window: magic, descriptor, window log 24 (14 << 3). */
    static const char head[] = "\x28\xb5\x2f\xfd\x00\x70\x09\x00\x00x";
    assert_false(unpack_all(&m, UNPACK_ZSTD, str_of(head, sizeof head - 1), 100, MIB, &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    static const char fits[] = "\x28\xb5\x2f\xfd\x00\x68\x09\x00\x00x"; /* 8 MiB */
    err_clear(&e);
    assert_true(unpack_all(&m, UNPACK_ZSTD, str_of(fits, sizeof fits - 1), 100, MIB, &out, &e));
    assert_str(buf_str(&out), STR("x"));
    assert_true(m.bytes_top < 16 * MIB);
    buf_release(&packed);
    buf_release(&out);
}

TEST(unpack_refuses_old_zstd_formats)
{
    struct mem m;
    struct err e = {0};
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, MIB);
    assert_false(unpack_all(&m, UNPACK_ZSTD, STR("\x27\xb5\x2f\xfd\x00\x00"), 100, MIB, &out, &e));
    assert_int_equal(e.code, ERR_INPUT);
    buf_release(&out);
}

static bool stop_second(void *ctx, struct str piece, struct err *e)
{
    int *calls = ctx;
    (void)piece;
    ++*calls;
    return *calls < 2 || err_set(e, ERR_BUSY, "enough");
}

TEST(unpack_stops_when_told_and_keeps_the_reason)
{
    struct mem m;
    struct err e = {0};
    int calls = 0;
    mem_init(&m, 0);
    struct buf text;
    buf_init(&text, &m, MIB);
    make_text(&text, 300000, 2);
    struct unpack *u = unpack_new(&m, UNPACK_IDENTITY, MIB);
    assert_false(unpack_feed(u, buf_str(&text), stop_second, &calls, &e));
    assert_int_equal(calls, 2);
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.msg, "enough");
    unpack_free(u);
    buf_release(&text);
}

static bool swallow(void *ctx, struct str piece, struct err *e)
{
    (void)e;
    *(size_t *)ctx += piece.n;
    return true;
}

FAULT_TEST(unpack_survives_lack_of_memory)
{
    struct err e = {0};
    struct mem own;
    struct buf packed;
    bool ok = true;
    mem_init(&own, 0);
    for (size_t k = 0; ok && k < ARRAY_LEN(packed_kinds); k++) {
        buf_init(&packed, &own, MIB);
        pack(packed_kinds[k], &packed, STR("some text, some text, some text"));
        struct unpack *u = unpack_new(&w->mem, packed_kinds[k], MIB);
        size_t n = 0;
        ok = u && unpack_feed(u, buf_str(&packed), swallow, &n, &e) && unpack_finish(u, &e);
        assert_true(!ok || n == 31);
        assert_true(ok || !u || e.code == ERR_NOMEM);
        unpack_free(u);
        buf_release(&packed);
    }
    return ok;
}
