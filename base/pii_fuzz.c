/* Fuzz target: detection and masking of any bytes. What is shown is short, printable UTF-8, and of
 * something personal it never holds the whole. */
#include "base/pii.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 32);
    struct str s = str_of((const char *)data, size);
    enum pii_kind kind = pii_detect(s);
    ASSERT(pii_kind_name(kind) != NULL);
    pii_mask(&b, s);
    ASSERT(!b.failed);
    ASSERT(str_is_utf8(buf_str(&b)));
    for (size_t i = 0; i < b.n; i++) {
        ASSERT((unsigned char)b.p[i] >= 0x20);
        ASSERT(b.p[i] != 0x7F);
    }
    if (kind != PII_NONE) {
        ASSERT(str_contains(buf_str(&b), STR("***")));
        ASSERT(pii_detect(buf_str(&b)) == PII_NONE);
        size_t digits = 0;
        for (size_t i = 0; i < b.n; i++) {
            digits += b.p[i] >= '0' && b.p[i] <= '9' ? 1 : 0;
        }
        ASSERT(digits <= 3);
    }
    buf_release(&b);
    ASSERT(m.bytes == 0);
    return 0;
}
