/* Any bytes as protobuf: fields stay inside the input, reading ends, and what was read without
 * failure is read the same after being written again. */
#include "codec/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_field(struct buf *b, const struct pb_field *f)
{
    switch (f->wire) {
    case PB_VARINT: pb_put_varint(b, f->number, f->u); break;
    case PB_I64: pb_put_f64(b, f->number, pb_f64(f->u)); break;
    case PB_LEN: pb_put_bytes(b, f->number, f->bytes); break;
    case PB_I32: break; /* nobody writes these */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct buf out;
    mem_init(&m, 1U << 20);
    buf_init(&out, &m, 1U << 20);
    const struct str in = str_of((const char *)data, size);
    struct pb p = pb_of(in);
    struct pb_field f;
    size_t fields = 0;
    while (pb_next(&p, &f)) {
        ASSERT(p.p <= p.end);
        ASSERT(f.wire != PB_LEN || (f.bytes.p >= in.p && f.bytes.p + f.bytes.n <= in.p + in.n));
        write_field(&out, &f);
        fields += f.wire == PB_I32 ? 0 : 1;
    }
    if (!p.failed && !out.failed) {
        struct pb a = pb_of(in), b = pb_of(buf_str(&out));
        struct pb_field x, y;
        size_t again = 0;
        while (pb_next(&b, &y)) {
            do {
                const bool more = pb_next(&a, &x);
                ASSERT(more);
            } while (x.wire == PB_I32);
            ASSERT(x.number == y.number && x.wire == y.wire);
            ASSERT(x.wire == PB_LEN ? str_eq(x.bytes, y.bytes) : x.u == y.u);
            again++;
        }
        ASSERT(!b.failed && again == fields);
    }
    buf_release(&out);
    return 0;
}
