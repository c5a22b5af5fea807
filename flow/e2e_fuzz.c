/* Any bytes as an EndToEndId: what is accepted is 32 bytes, comes back the same, and names a minute
 * that exists. */
#include "flow/e2e.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    struct e2e id;
    struct err e = {.code = ERR_NONE};
    if (!e2e_parse(s, &id, &e)) {
        ASSERT(e.code == ERR_INPUT && e.col >= 1 && e.col <= E2E_BYTES + 1);
        return 0;
    }
    ASSERT(str_eq(e2e_str(&id), s));
    struct civil c = civil_from_ns(e2e_minute_ns(&id));
    ASSERT(civil_is_valid(&c) && c.second == 0 && c.ns == 0);
    ASSERT(c.year ==
           (s.p[9] - '0') * 1000 + (s.p[10] - '0') * 100 + (s.p[11] - '0') * 10 + (s.p[12] - '0'));
    ASSERT(c.minute == (s.p[19] - '0') * 10 + (s.p[20] - '0'));
    return 0;
}
