/* Decompression as a stream with bounds, for bodies and files that strangers sent.
 *
 * Two libraries do the work (zlib for RFC 1952, zstd for RFC 8878); this file adds what they do
 * not: several gzip members, a cap on the output, a cap on the ratio, our memory and our errors.
 *
 * Invariants: output is handed on in pieces of at most PIECE_BYTES, and only after both bounds were
 * checked with the piece counted, so no caller ever sees a byte above out_bytes_max. After an error
 * the stream stays failed. `open` is true while a member or frame has begun and has not ended.
 *
 * zstd's allocator hooks are in its static API; Debian's shared library exports them, and the build
 * fails to link where one does not. Old zstd formats (before 0.8) are refused by their magic
 * number: their decoders are not worth their attack surface. */
#define ZLIB_CONST
#define ZSTD_STATIC_LINKING_ONLY

#include "codec/unpack.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define PIECE_BYTES          (64 * 1024)
#define RATIO_FREE_BYTES     (1024 * 1024) /* the ratio is not looked at before */
#define ZSTD_WINDOW_LOG_MAX  23            /* 8 MiB */
#define ZSTD_WINDOW_LOG_FILE 27            /* 128 MiB: what zstd itself accepts unasked */
#define GZIP_WINDOW_BITS     (15 + 16)     /* the largest window, gzip header required */
#define BLOCK_HEADER_BYTES   16            /* keeps the size; and the alignment */
#define GZIP_INPUT_BYTES_MAX (1u << 30)    /* zlib counts in unsigned int */

struct unpack {
    struct mem *mem; /* borrows */
    enum unpack_kind kind;
    uint64_t out_bytes_max;
    uint64_t in_bytes, out_bytes;
    bool open;    /* in the middle of a member or frame */
    bool begun;   /* at least one has begun */
    bool failed;  /* an error was reported: the rest is not looked at */
    bool trusted; /* a file of the user: any ratio */
    z_stream gzip;
    ZSTD_DStream *zstd;
    char *piece;
};

bool unpack_kind_parse(struct str name, enum unpack_kind *out)
{
    name = str_trim(name);
    if (name.n == 0 || str_eq_nocase(name, STR("identity"))) {
        *out = UNPACK_IDENTITY;
    } else if (str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip"))) {
        *out = UNPACK_GZIP;
    } else if (str_eq_nocase(name, STR("zstd"))) {
        *out = UNPACK_ZSTD;
    } else {
        return false;
    }
    return true;
}

/* First byte of a zstd frame (28 B5 2F FD) or of a skippable one (5x 2A 4D 18). */
static bool zstd_starts(unsigned char first)
{
    return first == 0x28 || (first & 0xf0) == 0x50;
}

enum unpack_kind unpack_kind_sniff(struct str head)
{
    if (str_starts(head, STR("\x1f\x8b"))) {
        return UNPACK_GZIP;
    }
    if (str_starts(head, STR("\x28\xb5\x2f\xfd"))) {
        return UNPACK_ZSTD;
    }
    bool skippable = head.n >= 4 && zstd_starts((unsigned char)head.p[0]) &&
                     memcmp(head.p + 1, "\x2a\x4d\x18", 3) == 0;
    return skippable ? UNPACK_ZSTD : UNPACK_IDENTITY;
}

/* Both libraries free without a size, struct mem wants one: it stands before the block. */
static void *block_take(void *mem, size_t bytes)
{
    size_t whole = 0;
    if (!size_add(bytes, BLOCK_HEADER_BYTES, &whole)) {
        return NULL;
    }
    char *p = mem_take(mem, whole);
    if (!p) {
        return NULL;
    }
    memcpy(p, &whole, sizeof whole);
    return p + BLOCK_HEADER_BYTES;
}

static void block_give(void *mem, void *block)
{
    if (!block) {
        return;
    }
    char *p = (char *)block - BLOCK_HEADER_BYTES;
    size_t whole;
    memcpy(&whole, p, sizeof whole);
    mem_give(mem, p, whole);
}

static void *gzip_take(void *mem, unsigned count, unsigned bytes)
{
    size_t whole = 0;
    return size_mul(count, bytes, &whole) ? block_take(mem, whole) : NULL;
}

struct unpack *unpack_new(struct mem *m, enum unpack_kind kind, uint64_t out_bytes_max)
{
    struct unpack *u = mem_take(m, sizeof *u);
    if (!u) {
        return NULL;
    }
    u->mem = m;
    u->kind = kind;
    u->out_bytes_max = out_bytes_max;
    if (kind == UNPACK_IDENTITY) {
        return u;
    }
    u->piece = mem_take(m, PIECE_BYTES);
    bool ok = u->piece != NULL;
    if (ok && kind == UNPACK_GZIP) {
        u->gzip.zalloc = gzip_take;
        u->gzip.zfree = block_give;
        u->gzip.opaque = m;
        ok = inflateInit2(&u->gzip, GZIP_WINDOW_BITS) == Z_OK;
    } else if (ok) {
        u->zstd = ZSTD_createDStream_advanced((ZSTD_customMem){block_take, block_give, m});
        ok = u->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax,
                                                             ZSTD_WINDOW_LOG_MAX));
    }
    if (!ok) {
        unpack_free(u);
        return NULL;
    }
    return u;
}

void unpack_free(struct unpack *u)
{
    if (!u) {
        return;
    }
    if (u->gzip.state) {
        inflateEnd(&u->gzip);
    }
    ZSTD_freeDStream(u->zstd);
    mem_give(u->mem, u->piece, u->piece ? PIECE_BYTES : 0);
    mem_give(u->mem, u, sizeof *u);
}

void unpack_trust(struct unpack *u)
{
    ASSERT(u->in_bytes == 0);
    u->trusted = true;
    if (u->zstd) {
        size_t rc = ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_FILE);
        ASSERT(!ZSTD_isError(rc));
    }
}

struct sink {
    bool (*each)(void *ctx, struct str piece, struct err *e);
    void *ctx;
};

/* Counts a piece, holds it against the bounds, hands it on. */
static bool emit(struct unpack *u, struct str piece, const struct sink *sink, struct err *e)
{
    if (piece.n == 0) {
        return true;
    }
    if (piece.n > u->out_bytes_max - u->out_bytes) {
        return err_set(e, ERR_LIMIT, "expected at most %llu bytes when unpacked, found more",
                       (unsigned long long)u->out_bytes_max);
    }
    u->out_bytes += piece.n;
    if (u->kind != UNPACK_IDENTITY && !u->trusted && u->out_bytes > RATIO_FREE_BYTES &&
        u->out_bytes / UNPACK_RATIO_MAX > u->in_bytes) {
        return err_set(e, ERR_LIMIT, "expected a compression ratio of at most %d, found more",
                       UNPACK_RATIO_MAX);
    }
    return sink->each(sink->ctx, piece, e);
}

static bool gzip_failed(int code, struct err *e)
{
    if (code == Z_MEM_ERROR) {
        return err_set(e, ERR_NOMEM, "no memory to unpack gzip");
    }
    return err_set(e, ERR_INPUT, "expected a gzip stream, found damage or something else");
}

static bool feed_gzip(struct unpack *u, struct str in, const struct sink *sink, struct err *e)
{
    z_stream *z = &u->gzip;
    while (in.n > 0) {
        unsigned take = (unsigned)size_min(in.n, GZIP_INPUT_BYTES_MAX);
        z->next_in = (const Bytef *)in.p;
        z->avail_in = take;
        z->next_out = (Bytef *)u->piece;
        z->avail_out = PIECE_BYTES;
        if (!u->open && inflateReset(z) != Z_OK) {
            return gzip_failed(Z_STREAM_ERROR, e);
        }
        u->open = true;
        u->begun = true;
        /* inflate may hold output back when the piece is full: call again until it is not. */
        int code = Z_OK;
        do {
            unsigned before = z->avail_in;
            code = inflate(z, Z_NO_FLUSH);
            u->in_bytes += before - z->avail_in;
            if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
                return gzip_failed(code, e);
            }
            bool full = z->avail_out == 0;
            if (!emit(u, str_of(u->piece, PIECE_BYTES - z->avail_out), sink, e)) {
                return false;
            }
            z->next_out = (Bytef *)u->piece;
            z->avail_out = PIECE_BYTES;
            if (code == Z_STREAM_END || (z->avail_in == 0 && !full)) {
                break;
            }
        } while (code != Z_BUF_ERROR);
        u->open = code != Z_STREAM_END;
        in = str_sub(in, take - z->avail_in, in.n);
    }
    return true;
}

static bool zstd_failed(size_t code, struct err *e)
{
    ZSTD_ErrorCode kind = ZSTD_getErrorCode(code);
    if (kind == ZSTD_error_memory_allocation) {
        return err_set(e, ERR_NOMEM, "no memory to unpack zstd");
    }
    if (kind == ZSTD_error_frameParameter_windowTooLarge) {
        return err_set(e, ERR_LIMIT, "expected a zstd window of at most 8 MiB, found a larger one");
    }
    return err_set(e, ERR_INPUT, "expected a zstd stream, found damage or something else");
}

static bool feed_zstd(struct unpack *u, struct str in, const struct sink *sink, struct err *e)
{
    ZSTD_inBuffer src = {in.p, in.n, 0};
    size_t produced = 0;
    /* A full piece may mean that more is held back, but not when the frame has ended. */
    while (src.pos < src.size || (u->open && produced == PIECE_BYTES)) {
        if (!u->open && !zstd_starts((unsigned char)in.p[src.pos])) {
            return err_set(e, ERR_INPUT, "expected a zstd frame, found byte 0x%02x",
                           (unsigned char)in.p[src.pos]);
        }
        u->open = true;
        u->begun = true;
        ZSTD_outBuffer dst = {u->piece, PIECE_BYTES, 0};
        size_t before = src.pos;
        size_t code = ZSTD_decompressStream(u->zstd, &dst, &src);
        u->in_bytes += src.pos - before;
        if (ZSTD_isError(code)) {
            return zstd_failed(code, e);
        }
        u->open = code != 0;
        produced = dst.pos;
        if (!emit(u, str_of(u->piece, produced), sink, e)) {
            return false;
        }
    }
    return true;
}

static bool feed_identity(struct unpack *u, struct str in, const struct sink *sink, struct err *e)
{
    while (in.n > 0) {
        struct str piece = str_sub(in, 0, PIECE_BYTES);
        u->in_bytes += piece.n;
        if (!emit(u, piece, sink, e)) {
            return false;
        }
        in = str_sub(in, piece.n, in.n);
    }
    return true;
}

bool unpack_feed(struct unpack *u, struct str in,
                 bool (*each)(void *ctx, struct str piece, struct err *e), void *ctx, struct err *e)
{
    if (u->failed) {
        return err_set(e, ERR_INPUT, "expected nothing after a damaged stream");
    }
    const struct sink sink = {each, ctx};
    bool ok = false;
    switch (u->kind) {
    case UNPACK_IDENTITY: ok = feed_identity(u, in, &sink, e); break;
    case UNPACK_GZIP: ok = feed_gzip(u, in, &sink, e); break;
    case UNPACK_ZSTD: ok = feed_zstd(u, in, &sink, e); break;
    }
    u->failed = !ok;
    return ok;
}

bool unpack_finish(struct unpack *u, struct err *e)
{
    if (u->failed) {
        return err_set(e, ERR_INPUT, "expected an undamaged stream");
    }
    if (u->open || (u->kind != UNPACK_IDENTITY && !u->begun)) {
        u->failed = true;
        return err_set(e, ERR_INPUT,
                       "expected the rest of a %s stream, found the end after %llu bytes",
                       u->kind == UNPACK_GZIP ? "gzip" : "zstd", (unsigned long long)u->in_bytes);
    }
    return true;
}
