/* Any bytes as a snappy block within a bound; and any bytes packed come back. */
#include "codec/snappy.h"

#define BYTES_MAX (1U << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > BYTES_MAX / 2) {
        return 0;
    }
    struct mem m;
    struct buf a, b;
    struct err e = {0};
    mem_init(&m, 1U << 20);
    buf_init(&a, &m, BYTES_MAX);
    buf_init(&b, &m, BYTES_MAX);
    const struct str in = str_of((const char *)data, size);
    if (snappy_unpack(in, BYTES_MAX, &a, &e)) {
        ASSERT(a.n <= BYTES_MAX);
    } else {
        ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
    }
    buf_reset(&a);
    bool ok = snappy_pack(in, &a, &e);
    ASSERT(ok);
    ok = snappy_unpack(buf_str(&a), BYTES_MAX, &b, &e);
    ASSERT(ok);
    ASSERT(str_eq(buf_str(&b), in));
    buf_release(&a);
    buf_release(&b);
    return 0;
}
