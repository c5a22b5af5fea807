/* The saved form of the pillar from a damaged disk: load must return, leave nothing behind when it
 * refuses, and what it accepts must publish, tick, be saved and loaded again. */
#include "codec/expo.h"
#include "pipeline/pipeline_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    mem_init(&m, 64 << 20);
    struct arena a;
    arena_init(&a, &m, 8 << 20);
    struct pipeline_config config;
    struct pipeline *p = NULL;
    bool ok = pipeline_config_read(NULL, &a, &config, NULL) && pipeline_new(&config, &m, &p, NULL);
    ASSERT(ok);
    struct pillar pillar = pipeline_pillar(p);
    void *states[2] = {pillar.shard_new(p, 0, 2, &m, NULL), pillar.shard_new(p, 1, 2, &m, NULL)};
    ASSERT(states[0] && states[1]);
    struct buf out;
    buf_init(&out, &m, 32 << 20);
    if (pillar.load(p, states, 2, str_of((const char *)data, size), NULL)) {
        int64_t now = 1795435200000000000LL;
        pillar.tick(p, states, 2, now);
        pillar.save(p, states, 2, &out);
        ASSERT(buf_ok(&out, NULL));
        bool again = pillar.load(p, states, 2, buf_str(&out), NULL);
        ASSERT(again);
        pillar.tick(p, states, 2, now);
        pillar.tick(p, states, 2, now + 86400 * NS_PER_S);
        for (uint32_t i = 0; i < 2; i++) {
            pipeline_ledger_check(&((struct pipeline_shard *)states[i])->ledger);
        }
        struct expo x;
        expo_init(&x, &a, 0);
        pillar.publish(p, states, 2, now, &x);
        buf_reset(&out);
        pillar.status(p, states, 2, now, &out);
        pipeline_lost_json(p, states, 2, 100, &out);
    }
    buf_release(&out);
    pillar.shard_free(states[0]);
    pillar.shard_free(states[1]);
    pipeline_free(p);
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
