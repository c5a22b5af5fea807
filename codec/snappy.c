/* Snappy blocks through libsnappy's C interface. The decoded length stands in the first bytes, so a
 * bomb is refused before any memory is taken. */
#include "codec/snappy.h"

#include <snappy-c.h>

bool snappy_unpack(struct str in, size_t bytes_max, struct buf *out, struct err *e)
{
    size_t n = 0;
    if (in.n == 0 || snappy_uncompressed_length(in.p, in.n, &n) != SNAPPY_OK) {
        return err_set(e, ERR_INPUT, "expected a snappy block, found %zu bytes without its header",
                       in.n);
    }
    if (n > bytes_max) {
        return err_set(e, ERR_LIMIT, "snappy block would unpack to %zu bytes, more than %zu", n,
                       bytes_max);
    }
    char *to = buf_room(out, n ? n : 1);
    if (!to) {
        return buf_ok(out, e);
    }
    if (snappy_uncompress(in.p, in.n, to, &n) != SNAPPY_OK) {
        return err_set(e, ERR_INPUT, "damaged snappy block of %zu bytes", in.n);
    }
    out->n += n;
    return true;
}

bool snappy_pack(struct str in, struct buf *out, struct err *e)
{
    size_t n = snappy_max_compressed_length(in.n);
    char *to = buf_room(out, n);
    if (!to) {
        return buf_ok(out, e);
    }
    if (snappy_compress(in.p ? in.p : "", in.n, to, &n) != SNAPPY_OK) {
        return err_set(e, ERR_LIMIT, "cannot pack %zu bytes with snappy", in.n);
    }
    out->n += n;
    return true;
}
