/* Any bytes as tombs.bin: decoding returns, and what it accepts is sorted and is found again. The
 * checksum is put right unless the first bit of the input is set. */
#include "base/hash.h"
#include "engines/tsdb/tombs_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct err e = {0};
    struct tombs *t = NULL;
    if (size < 5) {
        return 0;
    }
    char *p = malloc(size - 1);
    ASSERT(p != NULL);
    memcpy(p, data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        put_u32le(p + size - 5, hash_crc32c(str_of(p, size - 5)));
    }
    mem_init(&m, 0);
    if (tombs_decode(&t, &m, str_of(p, size - 1), &e)) {
        for (uint32_t i = 0; i < tombs_count(t); i++) {
            const struct tomb *x = tombs_at(t, i);
            uint32_t n = 0;
            const struct tomb *list = tombs_of(t, x->ref, &n);
            ASSERT(list <= x && x < list + n);
            ASSERT(tombs_hit(list, n, x->seq, x->from_ms));
            ASSERT(tombs_hit(list, n, x->seq, x->to_ms));
        }
        tombs_unref(t);
    }
    ASSERT(m.bytes == 0);
    free(p);
    return 0;
}
