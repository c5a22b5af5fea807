/* Decompression of request bodies and files as a stream with bounds: identity, gzip (RFC 1952,
 * several members), zstd (RFC 8878, several frames).
 *
 * Bombs are refused: output is bounded absolutely and by ratio, zstd windows by 8 MiB. thread:
 * one. */
#ifndef CODEC_UNPACK_H
#define CODEC_UNPACK_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum unpack_kind { UNPACK_IDENTITY, UNPACK_GZIP, UNPACK_ZSTD };

/* Ratio output/input above which a stream is refused once it has produced 1 MiB. */
#define UNPACK_RATIO_MAX 200

struct unpack;

/* From a Content-Encoding value ("gzip", "x-gzip", "zstd", "identity", ""); false: not
 * supported. */
MUST_USE bool unpack_kind_parse(struct str name, enum unpack_kind *out);
/* From the first bytes of a file (magic numbers); anything else is identity. */
enum unpack_kind unpack_kind_sniff(struct str head);

struct unpack *unpack_new(struct mem *m, enum unpack_kind kind, uint64_t out_bytes_max);
void unpack_free(struct unpack *u);
/* For a file that the user chose, not a stranger's body: zstd windows up to 128 MiB (zstd --long)
 * and any ratio; out_bytes_max still holds. Before the first feed. */
void unpack_trust(struct unpack *u);

/* Feeds input; calls each(ctx, piece) with pieces of output of at most 64 KiB, borrowed for the
 * call. each returning false stops with false and leaves e as each set it. ERR_INPUT: damaged
 * stream; ERR_LIMIT: bomb. */
MUST_USE bool unpack_feed(struct unpack *u, struct str in,
                          bool (*each)(void *ctx, struct str piece, struct err *e), void *ctx,
                          struct err *e);
/* ERR_INPUT when the stream stops in the middle. */
MUST_USE bool unpack_finish(struct unpack *u, struct err *e);

#endif
