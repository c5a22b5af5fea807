/* The section `alerting`: any YAML gives targets within bounds, or an error. */
#include "notify/alertmanager/alertmanager.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena a;
    struct yaml_node *root = NULL;
    struct notify_am_config c;
    struct err e = {0};
    if (size > 8192) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 16U << 20);
    if (yaml_parse(str_of((const char *)data, size), "f", &a, &root, &e)) {
        if (notify_am_config_read(root, "/etc", &a, &c, &e)) {
            ASSERT(c.targets_n <= NOTIFY_AM_TARGETS_MAX);
            for (uint32_t i = 0; i < c.targets_n; i++) {
                ASSERT(str_starts(c.targets[i].url, STR("http")));
                ASSERT(c.targets[i].entry < c.entries_n && c.targets[i].timeout_ms > 0);
            }
        } else {
            ASSERT(e.msg[0]);
        }
    }
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
