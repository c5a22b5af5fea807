/* Snappy's block format (libsnappy): the bodies of remote write and remote read. */
#ifndef CODEC_SNAPPY_H
#define CODEC_SNAPPY_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the decompressed bytes. ERR_LIMIT when they would be more than bytes_max (said by the
 * header, before any work); ERR_INPUT when damaged. */
MUST_USE bool snappy_unpack(struct str in, size_t bytes_max, struct buf *out, struct err *e);
MUST_USE bool snappy_pack(struct str in, struct buf *out, struct err *e);

#endif
