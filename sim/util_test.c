/* The queue keeps time order, pools reuse slots, choices follow their weights. */
#include "base/test.h"
#include "sim/sim_int.h"

TEST(queue_pops_by_time_then_by_insertion)
{
    struct mem m;
    struct queue q;
    struct rng r;
    mem_init(&m, 0);
    sim_queue_init(&q, &m, 5000);
    rng_init(&r, test_seed());
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(
            sim_queue_push(&q, (struct entry){.t = (int64_t)rng_below(&r, 300), .slot = i}));
    }
    assert_false(sim_queue_push(&q, (struct entry){.t = 0}));
    int64_t t = -1;
    uint32_t slot = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        struct entry e = sim_queue_pop(&q);
        assert_true(e.t >= t);
        assert_true(e.t > t || e.slot > slot); /* inserted in order of slot */
        t = e.t;
        slot = e.slot;
    }
    assert_int_equal(q.n, 0);
    sim_queue_release(&q);
    assert_int_equal(m.bytes, 0);
}

TEST(pool_reuses_slots_and_stops_at_its_cap)
{
    struct mem m;
    struct pool p;
    mem_init(&m, 0);
    sim_pool_init(&p, &m, 24, 100);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(sim_pool_take(&p), i);
        memset(sim_pool_at(&p, i), 0xff, 24);
    }
    assert_int_equal(sim_pool_take(&p), POOL_FULL);
    sim_pool_give(&p, 42);
    assert_int_equal(sim_pool_take(&p), 42);
    static const char zero[24];
    assert_memory_equal(sim_pool_at(&p, 42), zero, 24);
    sim_pool_release(&p);
    assert_int_equal(m.bytes, 0);
}

TEST(choice_never_picks_a_zero_weight)
{
    struct choice c;
    const double w[] = {0, 3, 0, 1, 0};
    sim_choice_init(&c, w, 5);
    uint32_t seen[5] = {0};
    for (uint32_t i = 0; i < 40000; i++) {
        seen[sim_choose(&c, sim_u01(1, i))]++;
    }
    assert_int_equal(sim_choose(&c, 1.0), 3);
    assert_int_equal(sim_choose(&c, 0.0), 1);
    assert_int_equal(seen[0] + seen[2] + seen[4], 0);
    assert_in_range(seen[1], 29500, 30500);
}

TEST(gamma_has_its_mean_and_deviation)
{
    struct rng r;
    rng_init(&r, 7);
    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; i++) {
        double x = sim_gamma(&r, 400) / 400;
        sum += x;
        squares += (x - 1) * (x - 1);
    }
    assert_true(sum / 20000 > 0.998 && sum / 20000 < 1.002);
    assert_true(squares / 20000 > 0.0024 && squares / 20000 < 0.0026); /* 0.05 squared */
}
