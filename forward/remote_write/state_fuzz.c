/* Any bytes as a position: refused, or written again as they were. */
#include "forward/remote_write/forward_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forward_state s;
    struct err e = {0};
    char again[FORWARD_STATE_BYTES];
    if (!forward_state_read(str_of((const char *)data, size), &s, &e)) {
        ASSERT(e.code == ERR_CORRUPT);
        return 0;
    }
    forward_state_write(&s, again);
    struct forward_state same;
    const bool ok = forward_state_read(str_of(again, sizeof again), &same, &e);
    ASSERT(ok);
    ASSERT(same.from == s.from && same.to == s.to && same.shards == s.shards);
    return 0;
}
