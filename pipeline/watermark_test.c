#include "pipeline/rig_int.h"

#define FEED(w, p, t, host) ((void)pipeline_watermark_note((w), (p), (t), STR(host)))

TEST(watermark_is_the_eighth_largest)
{
    struct pipeline_watermark w;
    pipeline_watermark_init(&w);
    struct pipeline_plan p = {.ahead_ns = 600 * NS_PER_S,
                              .window_ns = 60 * NS_PER_S,
                              .lateness_ns = 60 * NS_PER_S,
                              .remember_ns = 600 * NS_PER_S};
    static const int order[] = {5, 3, 9, 1, 7, 2, 8};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        FEED(&w, &p, RIG_T0 + order[i], "a");
        assert_true(w.t_ns == T_NS_NONE);
    }
    FEED(&w, &p, RIG_T0 + 4, "a");
    assert_int_equal(w.t_ns, RIG_T0 + 1);
    FEED(&w, &p, RIG_T0 + 10, "a"); /* 2 3 4 5 7 8 9 10 */
    assert_int_equal(w.t_ns, RIG_T0 + 2);
    FEED(&w, &p, RIG_T0 + 1, "a");
    assert_int_equal(w.t_ns, RIG_T0 + 2);
}

TEST(a_wild_host_among_healthy_ones_moves_nothing)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    int64_t t = RIG_T0;
    for (uint64_t i = 0; i < 4000; i++) {
        t += 10 * NS_PER_MS;
        struct stage_event s = rig_event(i, 1, OUTCOME_OK, t);
        s.host = STR("healthy");
        rig_stage(&g, &s);
        if (i % 4 == 0) { /* one in five events is an hour ahead */
            struct stage_event wild = rig_event(100000 + i, 1, OUTCOME_OK, t + 3600 * NS_PER_S);
            wild.host = STR("wild");
            rig_stage(&g, &wild);
        }
    }
    rig_tick(&g, t);
    assert_true(g.p->watermark_ns <= t);
    assert_true(rig_total(&g).ahead >= 990); /* all but those before there was a watermark */
    assert_int_equal(rig_lost_now(&g), 0);
    rig_release(&g);
}

TEST(after_a_gap_event_time_jumps)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    for (uint64_t i = 0; i < 20; i++) {
        rig_put(&g, i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i);
    }
    int64_t later = RIG_T0 + 7 * 3600 * NS_PER_S;
    for (uint64_t i = 0; i < 100; i++) {
        struct stage_event s = rig_event(1000 + i, 1, OUTCOME_OK, later + (int64_t)i);
        s.host = i % 2 ? STR("a") : STR("b");
        rig_stage(&g, &s);
    }
    rig_tick(&g, later);
    assert_true(g.p->watermark_ns >= later);
    assert_int_equal(rig_lost_now(&g), 20);
    rig_release(&g);
}

TEST(a_watermark_that_nobody_follows_goes_back)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    /* The very first events come from a clock a year ahead, enough of them for both shards. */
    int64_t wild = RIG_T0 + 365LL * 86400 * NS_PER_S;
    for (uint64_t i = 0; i < 64; i++) {
        rig_put(&g, i, 1, OUTCOME_OK, wild);
    }
    rig_tick(&g, RIG_T0);
    assert_true(g.p->watermark_ns >= wild);
    int64_t t = RIG_T0;
    for (uint64_t round = 0; round < 40; round++) {
        for (uint64_t i = 0; i < 5000; i++) {
            t += NS_PER_MS;
            rig_put(&g, 1000 + round * 5000 + i, 1, OUTCOME_OK, t);
        }
        rig_tick(&g, t);
    }
    assert_int_equal(g.p->watermark_resets, 1);
    assert_true(g.p->watermark_ns <= t && g.p->watermark_ns > t - 120 * NS_PER_S);
    assert_true(rig_total(&g).ledger.too_old >= 65536);
    assert_true(rig_total(&g).ledger.entered > 50000);
    rig_release(&g);
}

TEST(silence_lets_event_time_follow_the_wall_clock_and_downtime_does_not)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    rig_put(&g, 1, 1, OUTCOME_OK, RIG_T0); /* fewer events than K */
    rig_tick(&g, RIG_T0);
    rig_tick(&g, RIG_T0 + 149 * NS_PER_S); /* idle 30 s, window 60 s, lateness 60 s */
    assert_int_equal(rig_lost_now(&g), 0);
    assert_true(rig_restart(&g, 1, NULL));
    rig_tick(&g, RIG_T0 + 3600 * NS_PER_S); /* an hour down: no loss is invented */
    assert_int_equal(rig_lost_now(&g), 0);
    rig_tick(&g, RIG_T0 + 3632 * NS_PER_S); /* 119 s before the stop, 2 s since */
    assert_int_equal(rig_lost_now(&g), 1);
    rig_release(&g);
}

TEST(river_watermark_is_the_same_for_any_number_of_shards_and_after_a_restart)
{
    for (uint32_t n = 1; n <= 5; n += 2) {
        struct mem m;
        mem_init(&m, 0);
        struct rig g;
        assert_true(rig_init(&g, &m, n, NULL));
        for (uint64_t i = 0; i < 8; i++) {
            rig_put(&g, i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i);
        }
        rig_tick(&g, RIG_T0);
        assert_int_equal(g.p->watermark_ns, RIG_T0);
        assert_true(rig_restart(&g, 6 - n, NULL));
        rig_put(&g, 100, 1, OUTCOME_OK, RIG_T0 + 100);
        rig_tick(&g, RIG_T0);
        assert_int_equal(g.p->watermark_ns, RIG_T0 + 1);
        rig_release(&g);
    }
}
