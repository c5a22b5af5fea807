/* Segments of the Manual de Tempos: measured from the start of the transaction, each once, in any
 * order of arrival; what cannot be measured is counted. */
#include "pipeline/rig_int.h"

#define S  NS_PER_S
#define MS NS_PER_MS

struct world {
    struct mem mem;
    struct rig g;
};

static void open_world(struct world *w)
{
    mem_init(&w->mem, 0);
    assert_true(rig_init(&w->g, &w->mem, 2, NULL));
}

static void close_world(struct world *w)
{
    rig_release(&w->g);
    assert_int_equal(w->mem.bytes, 0);
}

/* The path of one transaction: ingest starts at RIG_T0, act ends 1,400 ms and settle 6 s later, and
 * both took only 10 ms themselves. */
static struct stage_event ingest(uint64_t number)
{
    return rig_event(number, 1, OUTCOME_OK, RIG_T0 + 10 * MS);
}

static struct stage_event act(uint64_t number)
{
    struct stage_event s = rig_event(number, 6, OUTCOME_OK, RIG_T0 + 1400 * MS);
    s.sla = SLA_T1_T0;
    return s;
}

static struct stage_event settle(uint64_t number)
{
    struct stage_event s = rig_event(number, 7, OUTCOME_OK, RIG_T0 + 6000 * MS);
    s.sla = SLA_T6A_T0;
    return s;
}

static struct pipeline_sla sla_of(struct rig *g)
{
    rig_flush(g);
    return rig_total(g).sla;
}

static void assert_measured(const struct pipeline_sla *s, uint64_t times)
{
    /* Exactly on the edges 1.4 s and 6 s. */
    assert_int_equal(s->segment[SLA_T1_T0].buckets[14], times);
    assert_int_equal(s->segment[SLA_T6A_T0].buckets[20], times);
    assert_int_equal(pipeline_hist_count(&s->segment[SLA_T1_T0]), times);
    assert_int_equal(pipeline_hist_count(&s->segment[SLA_T6A_T0]), times);
    assert_true(s->segment[SLA_T1_T0].sum_ns == (i128)times * 1400 * MS);
    assert_true(s->segment[SLA_T6A_T0].sum_ns == (i128)times * 6000 * MS);
}

static void assert_invalid(const struct pipeline_sla *s, uint64_t clock, uint64_t negative,
                           uint64_t no_start, uint64_t exempt)
{
    assert_int_equal(s->invalid[PIPELINE_SLA_CLOCK], clock);
    assert_int_equal(s->invalid[PIPELINE_SLA_NEGATIVE], negative);
    assert_int_equal(s->invalid[PIPELINE_SLA_NO_START], no_start);
    assert_int_equal(s->invalid[PIPELINE_SLA_EXEMPT], exempt);
}

TEST(segments_count_from_the_start_of_the_transaction_in_any_order)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct world w;
    open_world(&w);
    for (uint64_t i = 0; i < 6; i++) {
        struct stage_event events[3] = {ingest(i), act(i), settle(i)};
        for (uint32_t j = 0; j < 3; j++) {
            rig_stage(&w.g, &events[orders[i][j]]);
        }
    }
    struct pipeline_sla s = sla_of(&w.g);
    assert_measured(&s, 6);
    assert_invalid(&s, 0, 0, 0, 0);
    close_world(&w);
}

TEST(a_segment_waits_for_its_start_through_a_restart)
{
    struct world w;
    open_world(&w);
    struct stage_event t3 = act(2);
    t3.sla = SLA_T3_T2;
    struct stage_event events[4] = {act(1), settle(1), t3, settle(2)};
    for (uint32_t i = 0; i < 4; i++) {
        rig_stage(&w.g, &events[i]);
    }
    struct pipeline_sla s = sla_of(&w.g);
    assert_int_equal(pipeline_hist_count(&s.segment[SLA_T1_T0]), 0);
    assert_true(rig_restart(&w.g, 3, NULL));
    for (uint64_t i = 1; i <= 2; i++) {
        struct stage_event first = ingest(i);
        rig_stage(&w.g, &first);
    }
    s = sla_of(&w.g);
    assert_invalid(&s, 0, 0, 0, 0);
    assert_int_equal(s.segment[SLA_T1_T0].buckets[14], 1);
    assert_int_equal(s.segment[SLA_T3_T2].buckets[14], 1);
    assert_int_equal(s.segment[SLA_T6A_T0].buckets[20], 2);
    /* The start too survives: what ends after the restart is measured from it. */
    struct stage_event e[2] = {ingest(3), act(3)};
    rig_stage(&w.g, &e[0]);
    rig_flush(&w.g);
    assert_true(rig_restart(&w.g, 1, NULL));
    rig_stage(&w.g, &e[1]);
    s = sla_of(&w.g);
    assert_int_equal(s.segment[SLA_T1_T0].buckets[14], 2);
    close_world(&w);
}

TEST(duplicates_and_other_attempts_are_measured_once)
{
    struct world w;
    open_world(&w);
    struct stage_event first = ingest(1);
    struct stage_event failed = act(1);
    failed.outcome = OUTCOME_ERROR;
    failed.end_ns -= 900 * MS;
    struct stage_event passed = act(1);
    passed.attempt = 2;
    struct stage_event again = act(1);
    again.attempt = 3;
    again.end_ns += 500 * MS;
    struct stage_event later_start = ingest(1);
    later_start.attempt = 2;
    later_start.start_ns += 300 * MS;
    struct stage_event end = settle(1);
    struct stage_event events[] = {failed, later_start, passed, passed, first,
                                   passed, again,       end,    end};
    for (uint32_t i = 0; i < ARRAY_LEN(events); i++) {
        rig_stage(&w.g, &events[i]);
    }
    struct pipeline_sla s = sla_of(&w.g);
    assert_measured(&s, 1);
    assert_invalid(&s, 0, 0, 0, 0);
    close_world(&w);
}

TEST(without_a_start_nothing_is_observed_and_everything_counted)
{
    struct world w;
    open_world(&w);
    struct stage_event e1[2] = {act(1), settle(1)};
    struct stage_event second = ingest(2); /* attempt 1 of the first stage was lost */
    second.attempt = 2;
    struct stage_event e2 = act(2);
    struct stage_event both[2] = {act(3), act(3)}; /* both sides: only one can wait */
    both[1].sla = SLA_T3_T2;
    both[1].attempt = 2;
    rig_stage(&w.g, &e1[0]);
    rig_stage(&w.g, &e1[1]);
    rig_stage(&w.g, &second);
    rig_stage(&w.g, &e2);
    rig_stage(&w.g, &both[0]);
    rig_stage(&w.g, &both[1]);
    struct pipeline_sla s = sla_of(&w.g);
    assert_invalid(&s, 0, 0, 1, 0);
    rig_silence(&w.g, RIG_T0, 1800 * S);
    s = sla_of(&w.g);
    assert_invalid(&s, 0, 0, 5, 0);
    assert_int_equal(rig_total(&w.g).remembered, 0);
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        assert_int_equal(pipeline_hist_count(&s.segment[i]), 0);
    }
    assert_true(rig_series(&w.g, "pix_sla_invalid", "reason", "no_start", NULL, NULL) == 5);
    close_world(&w);
}

TEST(bad_clocks_and_negative_times_are_counted_only)
{
    struct world w;
    open_world(&w);
    for (uint64_t i = 0; i < 12; i++) {
        struct stage_event a = ingest(i);
        struct stage_event b = act(i);
        uint64_t kind = i % 6; /* from 6 on the end comes first */
        a.clock_offset_us = kind == 0 ? -50001 : kind == 1 ? 50000 : 0;
        b.clock_offset_us = kind == 2 ? 50001 : kind == 3 ? -50000 : 0;
        b.end_ns = kind == 4 ? a.start_ns - 1 * MS : kind == 5 ? a.start_ns : b.end_ns;
        rig_stage(&w.g, i < 6 ? &a : &b);
        rig_stage(&w.g, i < 6 ? &b : &a);
    }
    struct pipeline_sla s = sla_of(&w.g);
    assert_invalid(&s, 4, 2, 0, 0);
    assert_int_equal(s.segment[SLA_T1_T0].buckets[14], 4);
    assert_int_equal(s.segment[SLA_T1_T0].buckets[0], 2);
    close_world(&w);
}

TEST(held_and_secondary_channel_transactions_have_other_limits)
{
    struct world w;
    open_world(&w);
    for (uint64_t i = 0; i < 3; i++) {
        struct stage_event events[3] = {ingest(i), act(i), settle(i)};
        struct decision d = rig_decision(i, i == 0 ? VERDICT_HOLD : VERDICT_APPROVE, RIG_T0);
        d.settlement = i == 1 ? SETTLEMENT_SPI_SECONDARY : SETTLEMENT_SPI_PRIMARY;
        rig_stage(&w.g, &events[0]);
        rig_decide(&w.g, &d);
        d = rig_decision(i, VERDICT_APPROVE, RIG_T0 + 1 * MS);
        rig_decide(&w.g, &d);
        rig_stage(&w.g, &events[1]);
        rig_stage(&w.g, &events[2]);
    }
    struct pipeline_sla s = sla_of(&w.g);
    assert_measured(&s, 1);
    assert_invalid(&s, 0, 0, 0, 4);
    close_world(&w);
}

TEST(a_wait_longer_than_the_words_can_tell_is_not_observed)
{
    struct world w;
    open_world(&w);
    struct stage_event end = act(1);
    end.end_ns = RIG_T0 + 4294967296LL * NS_PER_US + 200 * MS; /* 71 min: wraps to 200 ms */
    struct stage_event first = ingest(1);
    rig_stage(&w.g, &end);
    rig_stage(&w.g, &first);
    struct pipeline_sla s = sla_of(&w.g);
    assert_invalid(&s, 0, 0, 1, 0);
    assert_int_equal(pipeline_hist_count(&s.segment[SLA_T1_T0]), 0);
    close_world(&w);
}
