/* Any text as a fault: it is refused with a message and a column inside it, or its values are in
 * range. */
#include "sim/sim_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sim_fault f;
    struct err e = {0};
    if (!sim_fault_parse(str_of((const char *)p, n), &f, &e)) {
        ASSERT(e.code == ERR_INPUT);
        ASSERT(e.col >= 1 && e.col <= n + 1);
        return 0;
    }
    ASSERT(f.id < SIM_FAULT_KINDS);
    ASSERT(f.start_ns >= 0 && f.end_ns > f.start_ns);
    ASSERT(f.share >= 0 && f.share <= 1);
    ASSERT(f.value >= 0 && f.value <= 1e6);
    ASSERT(f.stage >= -1 && f.stage < SIM_STAGES);
    ASSERT(f.feature >= -1 && f.feature < SIM_NUMBERS);
    ASSERT(f.host[sizeof f.host - 1] == 0 && f.version[sizeof f.version - 1] == 0);
    return 0;
}
