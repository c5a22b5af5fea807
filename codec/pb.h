/* Protobuf's wire format, read without copying and written into a buf. No schemas: a decoder is a
 * loop over fields with a switch. Malformed input sets `failed` and ends the loop; the caller asks
 * once. Source: protobuf.dev/programming-guides/encoding. */
#ifndef CODEC_PB_H
#define CODEC_PB_H

#include "base/buf.h"
#include "base/str.h"

enum pb_wire { PB_VARINT = 0, PB_I64 = 1, PB_LEN = 2, PB_I32 = 5 };

struct pb {
    const unsigned char *p, *end;
    bool failed;
};

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t u;       /* VARINT, I64, I32: the bits */
    struct str bytes; /* LEN */
};

static inline struct pb pb_of(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return (struct pb){p, p ? p + s.n : p, false};
}
/* false at the end or when malformed (then p->failed). Groups are malformed; unknown numbers are
 * for the caller to skip. */
bool pb_next(struct pb *p, struct pb_field *f);
bool pb_varint_long(struct pb *p, uint64_t *out);
/* One varint of a packed field. Lengths and tags are one byte, so that case is inline. */
static inline bool pb_varint(struct pb *p, uint64_t *out)
{
    if (p->p < p->end && *p->p < 0x80) {
        *out = *p->p++;
        return true;
    }
    return pb_varint_long(p, out);
}
static inline int64_t pb_zigzag(uint64_t u)
{
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}
static inline double pb_f64(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void pb_put_varint(struct buf *b, uint32_t number, uint64_t v); /* written also when 0 */
void pb_put_sint(struct buf *b, uint32_t number, int64_t v);    /* zigzag */
void pb_put_f64(struct buf *b, uint32_t number, double v);
void pb_put_bytes(struct buf *b, uint32_t number, struct str s);
/* A nested message: begin returns a mark, end puts its length before what was written since. */
size_t pb_begin(struct buf *b, uint32_t number);
void pb_end(struct buf *b, size_t mark);
void pb_raw_varint(struct buf *b, uint64_t v);

#endif
