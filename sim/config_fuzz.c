/* Any text as configuration: it is refused with a message, or a short run works with it. */
#include "sim/sim_int.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct mem m;
    struct arena a;
    struct sim_config c;
    struct err e = {0};
    mem_init(&m, 256U << 20);
    arena_init(&a, &m, 16U << 20);
    if (!sim_config_read(str_of((const char *)p, n), "fuzz", &a, &c, &e)) {
        ASSERT(e.code != ERR_NONE);
    } else {
        ASSERT(c.participants.count > 0);
        ASSERT(isfinite(c.volume.rate) && c.volume.rate > 0);
        struct sim_run r = {.seed = 1, .duration_ns = 2 * NS_PER_S, .transactions_max = 20};
        struct sim *s = NULL;
        struct buf b;
        int64_t at;
        buf_init(&b, &m, 1U << 20);
        if (sim_new(&c, &r, &m, &s, &e)) {
            for (int i = 0; i < 100 && sim_next(s, &b, &at, &e); i++) {
                ASSERT(b.p[b.n - 1] == '\n');
            }
        }
        sim_free(s);
        buf_release(&b);
    }
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
