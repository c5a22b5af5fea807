/* Saved states of drift: any bytes must return within bounds; what is accepted must be the same
 * when it is saved and loaded again. */
#include "model/drift/drift_int.h"

#include <math.h>
#include <stdlib.h>

static double no_fallback(const void *ctx, struct str feature)
{
    (void)ctx;
    (void)feature;
    return (double)NAN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str dims[2] = {STR("channel"), STR("form")};
    const struct drift_config c = {.enabled = true,
                                   .hours = true,
                                   .reference_days = 2,
                                   .segments_max = 16,
                                   .categories_max = 8,
                                   .retention_days = 30,
                                   .effect_min = 0.05,
                                   .q_max = 0.01};
    const struct drift_setup setup = {
        .config = &c, .dims = {dims, 2}, .features_max = 16, .fallback = no_fallback};
    struct mem m;
    struct drift *d = NULL;
    struct err e = {0};
    struct buf first;
    struct buf again;
    mem_init(&m, 256 << 20);
    buf_init(&first, &m, 64 << 20);
    buf_init(&again, &m, 64 << 20);
    if (!drift_new(&setup, &m, &d, &e)) {
        return 0;
    }
    struct drift_shard *shard = drift_shard_new(d, &m);
    struct rd r = rd_of(str_of((const char *)data, size));
    if (shard != NULL && drift_load(d, &shard, 1, &r, &e) && drift_save(d, &shard, 1, &first)) {
        struct rd back = rd_of(buf_str(&first));
        if (!drift_load(d, &shard, 1, &back, &e) || !drift_save(d, &shard, 1, &again) ||
            !str_eq(buf_str(&first), buf_str(&again))) {
            abort();
        }
        drift_tick(d, &shard, 1, ns_from_day(20030));
    }
    drift_shard_free(shard);
    drift_free(d);
    buf_release(&first);
    buf_release(&again);
    ASSERT(m.bytes == 0);
    return 0;
}
