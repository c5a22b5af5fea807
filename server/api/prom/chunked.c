/* Remote read's second kind of answer: frames of chunks, which cost their receiver a tenth of what
 * samples cost.
 *
 *   frame                uvarint length, u32 big-endian CRC-32C of the message, the message
 *   ChunkedReadResponse  1 series {1 labels {1 name, 2 value},
 *                                  2 chunks {1 first ms, 2 last ms, 3 encoding, 4 data}},
 *                        2 index of the query
 *
 * A frame holds chunks of one series, a series takes as many frames as it needs, each with its
 * labels. Series come sorted, query by query. Sources: prompb/remote.proto and
 * storage/remote/chunked.go of Prometheus. */
#include "server/api/prom/chunked_int.h"

#include "base/hash.h"
#include "codec/pb.h"
#include "codec/xor_chunk.h"

#define SCRATCH_BYTES_MAX (16U << 20)

void chunked_init(struct chunked *c, struct mem *m, size_t frame_bytes_max)
{
    buf_init(&c->frame, m, frame_bytes_max);
    arena_init(&c->scratch, m, SCRATCH_BYTES_MAX);
}

void chunked_release(struct chunked *c)
{
    buf_release(&c->frame);
    arena_release(&c->scratch);
}

static void frame_put(struct buf *out, struct str message)
{
    const uint32_t crc = hash_crc32c(message);
    pb_raw_varint(out, message.n);
    for (int shift = 24; shift >= 0; shift -= 8) {
        buf_char(out, (char)(unsigned char)(crc >> shift));
    }
    buf_str_add(out, message);
}

static void labels_put(struct buf *b, struct labels l)
{
    for (uint32_t i = 0; i < l.n; i++) {
        const size_t label = pb_begin(b, 1);
        pb_put_bytes(b, 1, l.v[i].name);
        pb_put_bytes(b, 2, l.v[i].value);
        pb_end(b, label);
    }
}

/* The chunk that begins with sample *at, which moves behind its last. */
static bool chunk_put(struct chunked *c, const struct tsdb_column *col, uint32_t *at, struct err *e)
{
    struct buf *b = &c->frame;
    const struct xor_chunk_column column = {col->t, col->v, col->h, col->n};
    struct xor_chunk made;
    arena_reset(&c->scratch);
    const size_t chunk = pb_begin(b, 2);
    const size_t data = pb_begin(b, 4);
    if (!xor_chunk_encode(&column, *at, &c->scratch, b, &made, e)) {
        return false;
    }
    pb_end(b, data);
    pb_put_varint(b, 1, (uint64_t)col->t[*at]);
    pb_put_varint(b, 2, (uint64_t)col->t[*at + made.samples_count - 1]);
    pb_put_varint(b, 3, made.encoding);
    pb_end(b, chunk);
    *at += made.samples_count;
    return buf_ok(b, e);
}

bool chunked_series(struct chunked *c, uint64_t query, struct labels l,
                    const struct tsdb_column *col, struct buf *out, struct err *e)
{
    ASSERT(col->n > 0);
    for (uint32_t at = 0; at < col->n;) {
        buf_reset(&c->frame);
        const size_t series = pb_begin(&c->frame, 1);
        labels_put(&c->frame, l);
        do {
            if (!chunk_put(c, col, &at, e)) {
                return false;
            }
        } while (at < col->n && c->frame.n < CHUNKED_FRAME_BYTES);
        pb_end(&c->frame, series);
        if (query > 0) {
            pb_put_varint(&c->frame, 2, query);
        }
        if (!buf_ok(&c->frame, e)) {
            return false;
        }
        frame_put(out, buf_str(&c->frame));
    }
    return buf_ok(out, e);
}
