/* model_load on any bytes: returns, within bounds; what it accepts answers queries, publishes
 * nothing that aborts, and survives saving and loading again into another number of shards. */
#include "base/simos.h"
#include "model/model_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void init(struct model_config *c, struct str segments[2])
{
    segments[0] = STR("channel");
    segments[1] = STR("form");
    *c = (struct model_config){.segments = {segments, 2},
                               .positive = 0x1e,
                               .retention_days = 97,
                               .mature_days = 87,
                               .cohort_days_max = 16,
                               .labels_max = 1000,
                               .labels_pending_max = 100,
                               .join_rows_max = 1000,
                               .join_filter_bytes = 4096,
                               .versions_max = 8,
                               .segment_values_max = 8,
                               .features_max = 16,
                               .labels_silent_ms = 1000};
}

static void use(struct model *m, struct pillar *p, void **states, uint32_t n, struct mem *mem)
{
    struct buf b;
    struct arena a;
    struct expo x;
    struct model_query q = {
        .day_from = INT32_MIN, .day_to = INT32_MAX, .as_of_ns = T_NS_NONE, .age_ns = 0};
    buf_init(&b, mem, 1 << 24);
    arena_init(&a, mem, 1 << 24);
    expo_init(&x, &a, 0);
    model_quality_json(m, states, n, &q, &b);
    model_calibration_json(m, states, n, &q, &b);
    model_thresholds_json(m, states, n, &q, &b);
    p->tick(p->app, states, n, 1000);
    p->publish(p->app, states, n, 1000, &x);
    p->status(p->app, states, n, 1000, &b);
    buf_release(&b);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str segments[2];
    struct model_config c;
    struct mem mem;
    struct err e = {0};
    struct model *m = NULL;
    void *states[2];
    struct buf saved;
    struct simos *sim = simos_new(1);
    init(&c, segments);
    mem_init(&mem, (size_t)256 << 20);
    buf_init(&saved, &mem, 1 << 26);
    if (!model_new(&c, simos_os(sim), "join", NULL, &mem, &m, &e)) {
        abort();
    }
    struct pillar p = model_pillar(m);
    for (uint32_t k = 0; k < 2; k++) {
        states[k] = p.shard_new(m, k, 2, &mem, &e);
        ASSERT(states[k] != NULL);
    }
    if (p.load(m, states, 2, str_of((const char *)data, size), &e)) {
        p.save(m, states, 2, &saved);
        use(m, &p, states, 2, &mem);
        ASSERT(!saved.failed);
        /* One shard of two has half the bounds: all the labels may not fit it. */
        if (p.load(m, states, 1, buf_str(&saved), &e)) {
            use(m, &p, states, 1, &mem);
        } else {
            ASSERT(e.code == ERR_NOMEM);
        }
    } else {
        ASSERT(e.code == ERR_CORRUPT || e.code == ERR_NOMEM);
    }
    buf_release(&saved);
    p.shard_free(states[0]);
    p.shard_free(states[1]);
    model_free(m);
    ASSERT(mem.bytes == 0);
    simos_free(sim);
    return 0;
}
