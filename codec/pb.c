/* Protobuf's wire format without schemas or copies: remote write, remote read, OTLP and the
 * protobuf exposition are loops over pb_next.
 *
 *   field  = tag value        tag = varint: number << 3 | wire type
 *   varint = 7 bits a byte, low first, high bit "more follows", at most 10 bytes
 *   LEN    = varint length, then that many bytes
 *
 * Every read is checked against the end; a length can never reach past it. Source:
 * protobuf.dev/programming-guides/encoding. */
#include "codec/pb.h"

bool pb_varint_long(struct pb *p, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p->p == p->end) {
            break;
        }
        const unsigned char byte = *p->p++;
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    p->failed = true;
    p->p = p->end;
    return false;
}

static bool fixed(struct pb *p, size_t n, uint64_t *out)
{
    if ((size_t)(p->end - p->p) < n) {
        p->failed = true;
        p->p = p->end;
        return false;
    }
    *out = 0;
    memcpy(out, p->p, n);
    p->p += n;
    return true;
}

static bool bytes(struct pb *p, struct str *out)
{
    uint64_t n;
    if (!pb_varint(p, &n)) {
        return false;
    }
    if (n > (uint64_t)(p->end - p->p)) {
        p->failed = true;
        p->p = p->end;
        return false;
    }
    *out = str_of((const char *)p->p, (size_t)n);
    p->p += n;
    return true;
}

bool pb_next(struct pb *p, struct pb_field *f)
{
    if (p->p == p->end || p->failed) {
        return false;
    }
    uint64_t tag;
    if (!pb_varint(p, &tag)) {
        return false;
    }
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum pb_wire)(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 > (1U << 29) - 1) {
        p->failed = true;
        return false;
    }
    switch (tag & 7) {
    case PB_VARINT: return pb_varint(p, &f->u);
    case PB_I64: return fixed(p, 8, &f->u);
    case PB_LEN: return bytes(p, &f->bytes);
    case PB_I32: return fixed(p, 4, &f->u);
    default: p->failed = true; return false;
    }
}

void pb_raw_varint(struct buf *b, uint64_t v)
{
    char *to = buf_room(b, 10);
    if (!to) {
        return;
    }
    size_t n = 0;
    while (v >= 0x80) {
        to[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    to[n++] = (char)v;
    b->n += n;
}

static void tag(struct buf *b, uint32_t number, enum pb_wire wire)
{
    pb_raw_varint(b, (uint64_t)number << 3 | (uint64_t)wire);
}

void pb_put_varint(struct buf *b, uint32_t number, uint64_t v)
{
    tag(b, number, PB_VARINT);
    pb_raw_varint(b, v);
}

void pb_put_sint(struct buf *b, uint32_t number, int64_t v)
{
    pb_put_varint(b, number, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void pb_put_f64(struct buf *b, uint32_t number, double v)
{
    tag(b, number, PB_I64);
    buf_f64le(b, v);
}

void pb_put_bytes(struct buf *b, uint32_t number, struct str s)
{
    tag(b, number, PB_LEN);
    pb_raw_varint(b, s.n);
    buf_str_add(b, s);
}

size_t pb_begin(struct buf *b, uint32_t number)
{
    tag(b, number, PB_LEN);
    return b->n;
}

/* The length is only known now: the message moves up by as many bytes as its length takes. */
void pb_end(struct buf *b, size_t mark)
{
    if (b->failed) {
        return;
    }
    ASSERT(mark <= b->n);
    const size_t n = b->n - mark;
    pb_raw_varint(b, n);
    if (b->failed) {
        return;
    }
    const size_t length_n = b->n - mark - n;
    char length[10];
    ASSERT(length_n <= sizeof length);
    memcpy(length, b->p + mark + n, length_n);
    memmove(b->p + mark + length_n, b->p + mark, n);
    memcpy(b->p + mark, length, length_n);
}
