#include "pipeline/rig_int.h"

#include <math.h>

TEST(regulatory_limits_are_edges_and_belong_to_the_bucket_below)
{
    struct pipeline_hist h = {.sum_ns = 0};
    for (uint32_t i = 0; i < 25; i++) {
        int64_t ns = (int64_t)llround(pipeline_edges_s[i] * 1e9);
        pipeline_hist_add(&h, ns);
        pipeline_hist_add(&h, ns + 1);
    }
    pipeline_hist_add(&h, 0);
    assert_int_equal(h.buckets[0], 2);
    for (uint32_t i = 1; i < 25; i++) {
        assert_int_equal(h.buckets[i], 2);
    }
    assert_int_equal(h.buckets[25], 1);
    assert_int_equal(pipeline_hist_count(&h), 51);
}

TEST(quantiles_interpolate_inside_a_bucket)
{
    uint64_t b[26] = {0};
    assert_true(isnan(pipeline_quantile_s(b, 0.5)));
    b[2] = 100; /* 10..20 ms */
    assert_true(fabs(pipeline_quantile_s(b, 0.5) - 0.015) < 1e-12);
    b[25] = 100;
    assert_true(pipeline_quantile_s(b, 0.99) == 60);
}

TEST(a_duplicate_bends_no_statistic)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    struct stage_event s = rig_event(1, 4, OUTCOME_ERROR, RIG_T0);
    s.attempt = 2;
    s.reason = STR("AB03");
    for (int i = 0; i < 5; i++) {
        rig_stage(&g, &s);
    }
    rig_flush(&g);
    struct pipeline_total t = rig_total(&g);
    const struct pipeline_stage *st = &t.stages.stage[3];
    assert_int_equal(st->events[OUTCOME_ERROR], 5);
    assert_int_equal(st->duplicates, 4);
    assert_int_equal(st->retries, 1);
    assert_int_equal(pipeline_hist_count(&st->duration), 1);
    assert_int_equal(pipeline_hist_count(&st->work), 1);
    assert_true(rig_series(&g, "pix_stage_errors", "stage", "score", "reason", "AB03") == 1);
    assert_true(rig_series(&g, "pix_stage_duplicates", "stage", "score", NULL, NULL) == 4);
    rig_release(&g);
}

TEST(reasons_are_bounded_and_never_personal)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 3, NULL));
    for (uint64_t i = 0; i < 200; i++) {
        char text[32];
        snprintf(text, sizeof text, "reason-%llu", (unsigned long long)(i % 100));
        struct stage_event s = rig_event(i, 2, OUTCOME_ERROR, RIG_T0);
        s.reason = i == 199 ? STR("529.982.247-25") : str_from_c(text);
        rig_stage(&g, &s);
    }
    rig_put(&g, 900, 2, OUTCOME_DLQ, RIG_T0);
    rig_flush(&g);
    assert_true(rig_series(&g, "pix_stage_errors", "stage", "enrich", "reason", "529.982.247-25") ==
                -1);
    double sum = rig_series(&g, "pix_stage_errors", "stage", "enrich", "reason", "other");
    assert_true(sum > 0);
    uint32_t named = 0;
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "reason-%d", i);
        double v = rig_series(&g, "pix_stage_errors", "stage", "enrich", "reason", text);
        named += v > 0;
        sum += v > 0 ? v : 0;
    }
    double none = rig_series(&g, "pix_stage_errors", "stage", "enrich", "reason", "none");
    sum += none > 0 ? none : 0;
    assert_true(named <= PIPELINE_REASONS_MAX);
    assert_true(sum == 201); /* nothing is dropped, only named "other" */
    rig_release(&g);
}

TEST(unknown_stages_are_counted_and_do_not_enter)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    for (uint64_t i = 0; i < 10; i++) {
        rig_put(&g, i, 8, OUTCOME_OK, RIG_T0);
    }
    rig_flush(&g);
    assert_int_equal(rig_total(&g).ledger.entered, 0);
    assert_true(rig_series(&g, "pix_stage_unknown", "name", "mystery", NULL, NULL) == 10);
    rig_release(&g);
}

TEST(clock_offset_is_the_newest_of_a_host_over_all_shards)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 4, NULL));
    for (uint64_t i = 0; i < 40; i++) {
        struct stage_event s = rig_event(i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i);
        s.host = STR("gw-1");
        s.clock_offset_us = (int64_t)i * 100;
        rig_stage(&g, &s);
    }
    rig_tick(&g, RIG_T0);
    double v = rig_series(&g, "pix_clock_offset_seconds", "host", "gw-1", NULL, NULL);
    assert_true(fabs(v - 0.0039) < 1e-9);
    rig_release(&g);
}

TEST(decision_latency_stands_in_for_stages_without_events)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    struct latency l[3] = {{3, 30 * NS_PER_MS}, {4, 20 * NS_PER_MS}, {8, 90 * NS_PER_MS}};
    struct decision d = rig_decision(1, VERDICT_APPROVE, RIG_T0);
    d.latencies = l;
    d.latencies_count = 3; /* score, decide, total */
    rig_decide(&g, &d);
    d.latencies_count = 2; /* without a total it is the sum, 50 ms */
    d.id = rig_id(2);
    rig_decide(&g, &d);
    rig_put(&g, 3, 5, OUTCOME_OK, RIG_T0); /* decide sends events of its own: 10 ms */
    rig_tick(&g, RIG_T0);
    struct pipeline_total t = rig_total(&g);
    assert_int_equal(t.stages.decision_latency.buckets[5], 1); /* 50 ms */
    assert_int_equal(t.stages.decision_latency.buckets[7], 1); /* 90 ms */
    assert_int_equal(t.stages.stage[3].decision_latency.buckets[3], 2);
    assert_int_equal(t.stages.stage[4].duration.buckets[1], 1);
    rig_release(&g);
}
