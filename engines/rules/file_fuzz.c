/* Rule files: any bytes give groups within bounds, or problems with places. */
#include "engines/rules/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void each(void *ctx, const struct err *e)
{
    uint32_t *n = ctx;
    ASSERT(e->msg[0] != 0);
    (*n)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena a;
    struct rule_file f;
    struct err e = {0};
    uint32_t problems = 0;
    if (size > 16384) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64U << 20);
    bool ok = rule_file_parse(str_of((const char *)data, size), "f", PROMQL_ALL_FLAGS, &a, &f, each,
                              &problems, &e);
    ASSERT(ok == (e.code == ERR_NONE));
    for (uint32_t i = 0; ok && i < f.groups_n; i++) {
        ASSERT(f.groups[i].name.n > 0);
        for (uint32_t k = 0; k < f.groups[i].rules_n; k++) {
            const struct rule *r = &f.groups[i].rules[k];
            ASSERT(r->expr);
            ASSERT(r->name.n > 0 && r->for_ms >= 0);
        }
    }
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
