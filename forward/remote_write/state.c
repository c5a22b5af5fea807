/* NAME.position: how far a destination has got, and the round that is on its way.
 *
 *   off  size  field
 *     0     8  "FAROLFWD"
 *     8     8  from: position in the log, everything before it was sent or given up
 *    16     8  to: end of the round that is on its way; = from: none is
 *    24     4  shards the round was cut into
 *    28     4  samples of a request at most
 *    32     4  0
 *    36     4  crc32c of bytes 0..35
 *
 * Little-endian, replaced as a whole. A round that is read again between the same positions and cut
 * the same way gives the same requests, so the other side, which stored a request whole or not at
 * all, meets nothing that is half new. */
#include "forward/remote_write/forward_int.h"

#include "base/hash.h"

static const char magic[8] = {'F', 'A', 'R', 'O', 'L', 'F', 'W', 'D'};

void forward_state_write(const struct forward_state *s, char out[static FORWARD_STATE_BYTES])
{
    ASSERT(s->from <= s->to);
    memset(out, 0, FORWARD_STATE_BYTES);
    memcpy(out, magic, sizeof magic);
    put_u64le(out + 8, s->from);
    put_u64le(out + 16, s->to);
    put_u32le(out + 24, s->shards);
    put_u32le(out + 28, s->samples_max);
    put_u32le(out + 36, hash_crc32c(str_of(out, 36)));
}

bool forward_state_read(struct str bytes, struct forward_state *out, struct err *e)
{
    if (bytes.n != FORWARD_STATE_BYTES || memcmp(bytes.p, magic, sizeof magic) != 0 ||
        get_u32le(bytes.p + 36) != hash_crc32c(str_sub(bytes, 0, 36))) {
        return err_set(e, ERR_CORRUPT, "expected the position of a remote write, found %zu bytes",
                       bytes.n);
    }
    *out = (struct forward_state){.from = get_u64le(bytes.p + 8),
                                  .to = get_u64le(bytes.p + 16),
                                  .shards = get_u32le(bytes.p + 24),
                                  .samples_max = get_u32le(bytes.p + 28)};
    const bool idle = out->from == out->to;
    if (out->from > out->to || out->from == 0 ||
        (!idle &&
         (out->shards == 0 || out->shards > FORWARD_SHARDS_MAX || out->samples_max == 0))) {
        return err_set(e, ERR_CORRUPT, "a position of remote write that cannot be");
    }
    return true;
}
