/* Any bytes as a line of a series: it must return within its memory, and every point of what it
 * accepts is a gap, a number or a histogram whose spans fit its counts. */
#include "engines/promql/promql.h"

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_side(const struct nhist_side *s)
{
    uint64_t buckets = 0;
    for (uint32_t i = 0; i < s->spans_n; i++) {
        buckets += s->spans[i].length;
    }
    ASSERT(buckets == s->counts_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena arena;
    struct promql_points points;
    struct err e = {0};
    mem_init(&mem, 0);
    arena_init(&arena, &mem, (size_t)8 << 20);
    if (promql_series_line((struct str){(const char *)data, size}, &arena, &points, &e)) {
        for (uint32_t i = 0; i < points.n; i++) {
            ASSERT(!points.gap[i] || points.h[i] == NULL);
            if (points.h[i] != NULL) {
                check_side(&points.h[i]->pos);
                check_side(&points.h[i]->neg);
            }
        }
    } else {
        ASSERT(e.code != ERR_NONE);
    }
    arena_release(&arena);
    ASSERT(mem.bytes == 0);
    return 0;
}
