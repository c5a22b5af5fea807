/* The pillar in the real river on a simulated machine: power losses in the middle of writing,
 * recovery, other numbers of shards, unacknowledged batches sent again. The sums must be those of a
 * run that nobody disturbed. */
#include "base/simos.h"
#include "flow/river.h"
#include "pipeline/rig_int.h"

#include <sched.h>
#include <stdatomic.h>

#define BATCHES 120
#define PER     40 /* transactions a batch */

enum { PENDING, STORED, REFUSED };

static void on_done(void *ctx, const struct err *e)
{
    atomic_store((atomic_int *)ctx, e ? REFUSED : STORED);
}

/* Every tenth transaction stops after stage 1 + number % 6; the rest settle. */
static void fill_batch(const struct pipeline_config *c, struct buf *out, uint32_t batch)
{
    for (uint32_t i = 0; i < c->stages.count; i++) {
        record_put_name(out, c->stages.v[i]);
    }
    for (uint64_t i = 0; i < PER; i++) {
        uint64_t number = batch * PER + i;
        uint32_t last = number % 10 == 3 ? 1 + (uint32_t)(number / 10 % 6) : 7;
        for (uint32_t p = 1; p <= last; p++) {
            int64_t t = RIG_T0 + (int64_t)batch * NS_PER_S + (int64_t)(i * 10 + p) * NS_PER_MS;
            struct stage_event s = rig_event(number, p, OUTCOME_OK, t);
            s.amount_centavos = (int64_t)number;
            record_put_stage(out, &s);
        }
    }
}

static void sum_of(void *ctx, void *const *const *states, uint32_t shards)
{
    struct pipeline_total *t = ctx;
    const struct pipeline *p =
        (const struct pipeline *)((const struct pipeline_shard *)states[0][0])->ledger.plan;
    pipeline_total_of(p, states[0], shards, t); /* plan is the first field of struct pipeline */
}

_Static_assert(offsetof(struct pipeline, plan) == 0, "sum_of finds the pipeline by its plan");

struct life {
    struct simos *sim;
    struct mem mem;
    struct arena arena;
    struct pipeline_config config;
    struct pipeline *p;
    struct pillar pillar; /* the river borrows it */
    struct river *river;
    atomic_int fate[BATCHES];
};

static void start(struct life *l, uint32_t shards)
{
    struct err e = {.code = ERR_NONE};
    assert_true(pipeline_new(&l->config, &l->mem, &l->p, NULL));
    l->pillar = pipeline_pillar(l->p);
    struct river_config c = {.dir = "/farol",
                             .shards = shards,
                             .queue_bytes_max = 8 << 20,
                             .segment_bytes_max = 64 << 10,
                             .journal_bytes_max = 64 << 20,
                             .checkpoint_ms = 60000,
                             .checkpoint_bytes = 64 << 20,
                             .shard_mem_bytes_max = 64 << 20};
    if (!river_start(&l->river, &c, &l->pillar, 1, simos_os(l->sim), NULL, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

static bool send(struct life *l, uint32_t batch)
{
    struct batch *b = river_batch_new(1 << 20);
    assert_non_null(b);
    fill_batch(&l->config, &b->payload, batch);
    b->done = on_done;
    b->ctx = &l->fate[batch];
    atomic_store(&l->fate[batch], PENDING);
    if (!river_submit(l->river, b, NULL)) {
        river_batch_free(b);
        atomic_store(&l->fate[batch], REFUSED);
        return false;
    }
    while (atomic_load(&l->fate[batch]) == PENDING) {
        sched_yield();
    }
    return atomic_load(&l->fate[batch]) == STORED;
}

static struct pipeline_total play_river(uint32_t power_losses, uint32_t shards, bool *resent)
{
    struct life *l = calloc(1, sizeof *l);
    assert_non_null(l);
    mem_init(&l->mem, 0);
    arena_init(&l->arena, &l->mem, 1 << 20);
    assert_true(pipeline_config_read(NULL, &l->arena, &l->config, NULL));
    l->sim = simos_new(test_seed());
    struct rng r;
    rng_init(&r, test_seed());
    start(l, shards);
    uint32_t next = 0;
    for (uint32_t life = 0; life <= power_losses; life++) {
        uint32_t until = BATCHES * (life + 1) / (power_losses + 1);
        if (life < power_losses) {
            simos_fault_from(l->sim, simos_ops(l->sim) ? 1 + rng_below(&r, 60) : 0, SIMOS_FAIL);
        }
        while (next < until && send(l, next)) {
            next++;
            if (next % 10 == 0) {
                (void)!river_checkpoint(l->river, true, NULL);
                river_tick(l->river, RIG_T0 + (int64_t)next * NS_PER_S, NULL);
            }
        }
        *resent = *resent || next < until;
        if (life < power_losses) {
            river_stop(l->river);
            pipeline_free(l->p);
            simos_fault_from(l->sim, 0, SIMOS_OK);
            simos_crash(l->sim);
            start(l, 1 + (shards + life) % 3);
        }
    }
    while (next < BATCHES) {
        assert_true(send(l, next++));
    }
    river_tick(l->river, RIG_T0 + BATCHES * NS_PER_S, NULL);
    river_tick(l->river, RIG_T0 + (BATCHES + 1800) * NS_PER_S, NULL);
    struct pipeline_total t;
    river_rest(l->river, sum_of, &t);
    river_stop(l->river);
    pipeline_free(l->p);
    simos_free(l->sim);
    arena_release(&l->arena);
    assert_int_equal(l->mem.bytes, 0);
    free(l);
    return t;
}

TEST(power_losses_and_resent_batches_change_no_sum)
{
    bool resent = false;
    struct pipeline_total calm = play_river(0, 1, &resent);
    assert_false(resent);
    struct pipeline_total rough = play_river(6, 2, &resent);
    assert_true(resent); /* else nothing was tried */
    assert_int_equal(calm.ledger.entered, BATCHES * PER);
    assert_int_equal(pipeline_ledger_lost_now(&calm.ledger), BATCHES * PER / 10);
    assert_int_equal(calm.ledger.state[PIPELINE_SETTLED], BATCHES * PER / 10 * 9);
    assert_memory_equal(&calm.ledger, &rough.ledger, sizeof calm.ledger);
    for (uint32_t i = 0; i < 7; i++) {
        const struct pipeline_stage *a = &calm.stages.stage[i];
        const struct pipeline_stage *b = &rough.stages.stage[i];
        assert_int_equal(a->entered, b->entered);
        /* A batch stored just before its acknowledgement was lost is sent again: duplicates. */
        assert_int_equal(b->events[OUTCOME_OK] - b->duplicates, a->events[OUTCOME_OK]);
        assert_memory_equal(&a->duration, &b->duration, sizeof a->duration);
        assert_memory_equal(&a->queue, &b->queue, sizeof a->queue);
    }
}
