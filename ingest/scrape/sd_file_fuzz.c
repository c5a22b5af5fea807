/* Any bytes as a file of targets are read or refused within bounds. */
#include "ingest/scrape/scrape_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct scrape_group *g = NULL;
    uint32_t n = 0;
    struct err e = {.code = ERR_NONE};
    if (size > 1 << 14) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 16 << 20);
    if (scrape_sd_parse(str_of((const char *)data, size), "fuzz", &a, &g, &n, &e)) {
        for (uint32_t i = 0; i < n; i++) {
            ASSERT(g[i].targets.count == 0 || g[i].targets.v);
            ASSERT(g[i].labels_n == 0 || g[i].labels[0].name.n > 0);
        }
    } else {
        ASSERT(e.code != ERR_NONE);
    }
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
