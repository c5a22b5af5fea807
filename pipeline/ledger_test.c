/* Single definitions of the ledger, one test each; the oracle (oracle_test.c) covers their mixture.
 * */
#include "pipeline/rig_int.h"

#define S NS_PER_S

struct world {
    struct mem mem;
    struct rig g;
};

static void open_world(struct world *w, uint32_t n)
{
    mem_init(&w->mem, 0);
    assert_true(rig_init(&w->g, &w->mem, n, NULL));
}

static void close_world(struct world *w)
{
    rig_release(&w->g);
    assert_int_equal(w->mem.bytes, 0);
}

/* Moves event time to t by events of transactions that settle at once; on the way by decisions,
 * which enter nothing, in steps that are not taken for a wild clock. */
static void move_time(struct rig *g, int64_t t, uint64_t numbers_from)
{
    for (int64_t step = i64_max(g->p->watermark_ns, RIG_T0) + 500 * S; step + 130 * S < t;
         step += 500 * S) {
        for (uint64_t i = 0; i < 8; i++) {
            struct decision d = rig_decision(1000000 + i, VERDICT_APPROVE, step);
            rig_decide(g, &d);
        }
    }
    for (uint64_t i = 0; i < 8; i++) {
        rig_put(g, numbers_from + i, 7, OUTCOME_OK, t);
    }
    rig_tick(g, t);
    assert_int_equal(g->p->watermark_ns, t);
}

TEST(lost_after_window_and_lateness_to_the_nanosecond)
{
    struct world w;
    open_world(&w, 1);
    struct stage_event s = rig_event(1, 3, OUTCOME_OK, RIG_T0);
    s.amount_centavos = 123456;
    rig_stage(&w.g, &s);
    move_time(&w.g, RIG_T0 + 120 * S, 100);
    assert_int_equal(rig_lost_now(&w.g), 0);
    move_time(&w.g, RIG_T0 + 120 * S + 1, 200);
    assert_int_equal(rig_lost_now(&w.g), 1);
    assert_int_equal(rig_total(&w.g).ledger.lost[3], 1);
    assert_int_equal(rig_total(&w.g).ledger.lost_centavos, 123456);
    close_world(&w);
}

TEST(a_late_event_brings_a_lost_transaction_back)
{
    struct world w;
    open_world(&w, 1);
    struct stage_event s = rig_event(1, 3, OUTCOME_OK, RIG_T0);
    s.amount_centavos = 500;
    rig_stage(&w.g, &s);
    move_time(&w.g, RIG_T0 + 300 * S, 100);
    assert_int_equal(rig_lost_now(&w.g), 1);
    /* Delivered again: still lost. A later stage in time: on its way again, and counted once. */
    rig_stage(&w.g, &s);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_lost_now(&w.g), 1);
    assert_int_equal(rig_total(&w.g).ledger.recovered[3], 0);
    rig_put(&w.g, 1, 4, OUTCOME_OK, RIG_T0 + 290 * S);
    rig_tick(&w.g, RIG_T0);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(rig_lost_now(&w.g), 0);
    assert_int_equal(t.ledger.recovered[3], 1);
    assert_int_equal(t.ledger.recovered_centavos, 500);
    assert_int_equal(t.ledger.state[PIPELINE_IN_FLIGHT], 1);
    move_time(&w.g, RIG_T0 + 420 * S, 200);
    assert_int_equal(rig_total(&w.g).ledger.lost[4], 1);
    assert_int_equal(rig_total(&w.g).ledger.entered, 17);
    close_world(&w);
}

TEST(a_late_but_old_event_moves_the_place_of_the_loss)
{
    struct world w;
    open_world(&w, 1);
    rig_put(&w.g, 1, 3, OUTCOME_OK, RIG_T0);
    move_time(&w.g, RIG_T0 + 500 * S, 100);
    rig_put(&w.g, 1, 4, OUTCOME_OK, RIG_T0 + 1);
    rig_tick(&w.g, RIG_T0);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(t.ledger.lost[3], 1);
    assert_int_equal(t.ledger.recovered[3], 1);
    assert_int_equal(t.ledger.lost[4], 1);
    assert_int_equal(rig_lost_now(&w.g), 1);
    close_world(&w);
}

TEST(a_failed_transaction_is_not_lost_and_can_be_repaired)
{
    struct world w;
    open_world(&w, 1);
    rig_put(&w.g, 1, 2, OUTCOME_OK, RIG_T0);
    rig_put(&w.g, 1, 3, OUTCOME_ERROR, RIG_T0);
    move_time(&w.g, RIG_T0 + 200 * S, 100);
    assert_int_equal(rig_total(&w.g).ledger.state[PIPELINE_FAILED], 1);
    assert_int_equal(rig_lost_now(&w.g), 0);
    struct stage_event s = rig_event(1, 3, OUTCOME_OK, RIG_T0 + 190 * S);
    s.attempt = 2;
    rig_stage(&w.g, &s);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_total(&w.g).ledger.state[PIPELINE_FAILED], 0);
    assert_int_equal(rig_total(&w.g).ledger.reopened[PIPELINE_FAILED], 1);
    assert_int_equal(rig_total(&w.g).ledger.state[PIPELINE_IN_FLIGHT], 1);
    close_world(&w);
}

TEST(a_ghost_does_not_enter)
{
    struct world w;
    open_world(&w, 1);
    for (uint32_t p = 1; p <= 7; p++) {
        rig_put(&w.g, 1, p, OUTCOME_OK, RIG_T0);
    }
    move_time(&w.g, RIG_T0 + 721 * S, 100); /* 60 + 60 + 600 s, and over */
    assert_int_equal(rig_total(&w.g).remembered, 8);
    rig_put(&w.g, 1, 3, OUTCOME_OK, RIG_T0); /* redelivered after it was forgotten */
    rig_tick(&w.g, RIG_T0);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(t.ledger.too_old, 1);
    assert_int_equal(t.ledger.entered, 9);
    move_time(&w.g, RIG_T0 + 2000 * S, 200);
    move_time(&w.g, RIG_T0 + 4000 * S, 300);
    assert_int_equal(rig_lost_now(&w.g), 0);
    close_world(&w);
}

TEST(duplicates_are_recognised_while_remembered)
{
    struct world w;
    open_world(&w, 1);
    rig_put(&w.g, 1, 7, OUTCOME_OK, RIG_T0);
    move_time(&w.g, RIG_T0 + 719 * S, 100);
    rig_put(&w.g, 1, 7, OUTCOME_OK, RIG_T0);    /* the same attempt */
    rig_put(&w.g, 1, 7, OUTCOME_ERROR, RIG_T0); /* the same attempt with another outcome */
    struct stage_event s = rig_event(1, 7, OUTCOME_OK, RIG_T0);
    s.attempt = 2;
    rig_stage(&w.g, &s); /* a retry */
    rig_put(&w.g, 1, 6, OUTCOME_DUP, RIG_T0);
    for (uint32_t i = 0; i < 3;
         i++) { /* beyond the fourth attempt nothing is taken for a duplicate */
        s.attempt = 7 - i;
        rig_stage(&w.g, &s);
    }
    rig_tick(&w.g, RIG_T0);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(t.stages.stage[6].duplicates, 2);
    assert_int_equal(t.stages.stage[5].duplicates, 1);
    assert_int_equal(t.stages.stage[6].retries, 4);
    assert_int_equal(t.stages.stage[6].entered, 9);
    assert_int_equal(t.ledger.entered, 9);
    close_world(&w);
}

TEST(a_decision_alone_enters_nothing_and_still_counts)
{
    struct world w;
    open_world(&w, 2);
    for (uint64_t i = 0; i < 50; i++) {
        struct decision d = rig_decision(i, VERDICT_APPROVE, RIG_T0 + (int64_t)i);
        rig_decide(&w.g, &d);
    }
    rig_silence(&w.g, RIG_T0, 3600 * S);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(t.ledger.entered, 0);
    assert_int_equal(t.remembered, 0);
    assert_int_equal(t.stages.decisions[FORM_DICT], 50);
    close_world(&w);
}

TEST(a_decision_before_its_stage_events_is_remembered)
{
    struct world w;
    open_world(&w, 1);
    struct decision d = rig_decision(1, VERDICT_CAUTELAR_BLOCK, RIG_T0);
    rig_decide(&w.g, &d);
    rig_put(&w.g, 1, 6, OUTCOME_OK, RIG_T0 + 50 * S);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_total(&w.g).ledger.state[PIPELINE_DENIED], 1);
    close_world(&w);
}

TEST(a_hold_waits_for_its_deadline_and_is_shown_before_it)
{
    struct world w;
    open_world(&w, 1);
    rig_put(&w.g, 1, 6, OUTCOME_OK, RIG_T0);
    struct decision d = rig_decision(1, VERDICT_HOLD, RIG_T0);
    d.hold_deadline_ns = RIG_T0 + 1800 * S;
    rig_decide(&w.g, &d);
    rig_put(&w.g, 2, 6, OUTCOME_OK, RIG_T0);
    d = rig_decision(2, VERDICT_HOLD, RIG_T0); /* no deadline: pipeline.hold_window, 60 min */
    rig_decide(&w.g, &d);
    move_time(&w.g, RIG_T0 + 1400 * S, 100);
    assert_int_equal(rig_total(&w.g).hold_open, 2);
    assert_int_equal(rig_total(&w.g).hold_due_5m, 0);
    move_time(&w.g, RIG_T0 + 1600 * S, 200);
    assert_int_equal(rig_total(&w.g).hold_due_5m, 1);
    move_time(&w.g, RIG_T0 + 1860 * S, 300);
    assert_int_equal(rig_lost_now(&w.g), 0);
    move_time(&w.g, RIG_T0 + 1860 * S + 1, 400);
    assert_int_equal(rig_total(&w.g).ledger.lost[6], 1);
    assert_int_equal(rig_total(&w.g).hold_open, 1);
    /* The other is released: from then on the common window counts. */
    d = rig_decision(2, VERDICT_APPROVE, RIG_T0 + 1870 * S);
    rig_decide(&w.g, &d);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_total(&w.g).hold_open, 0);
    assert_int_equal(rig_total(&w.g).hold_hist.buckets[5], 1); /* 1800 < 1870 <= 2700 s */
    move_time(&w.g, RIG_T0 + 1990 * S + 1, 500);
    assert_int_equal(rig_total(&w.g).ledger.lost[6], 2);
    close_world(&w);
}

TEST(two_final_decisions_that_differ_are_a_conflict)
{
    struct world w;
    open_world(&w, 1);
    struct decision d = rig_decision(1, VERDICT_HOLD, RIG_T0);
    rig_decide(&w.g, &d);
    rig_decide(&w.g, &d);
    d = rig_decision(1, VERDICT_APPROVE, RIG_T0 + S);
    rig_decide(&w.g, &d);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_total(&w.g).ledger.decision_duplicates, 1);
    assert_int_equal(rig_total(&w.g).ledger.decision_conflicts, 0);
    d = rig_decision(1, VERDICT_DENY, RIG_T0 + 2 * S);
    rig_decide(&w.g, &d);
    rig_tick(&w.g, RIG_T0);
    assert_int_equal(rig_total(&w.g).ledger.decision_conflicts, 1);
    close_world(&w);
}

TEST(at_the_cap_new_transactions_are_shed_and_the_sums_close)
{
    struct world w;
    open_world(&w, 1);
    w.g.p->plan.transactions_max = 100;
    ((struct pipeline_shard *)w.g.states[0])->ledger.table.max = 100;
    for (uint64_t i = 0; i < 250; i++) {
        rig_put(&w.g, i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i);
    }
    rig_put(&w.g, 5, 2, OUTCOME_OK, RIG_T0 + 10); /* a known one goes on */
    rig_silence(&w.g, RIG_T0, 3600 * S);
    struct pipeline_total t = rig_total(&w.g);
    assert_int_equal(t.ledger.entered, 100);
    assert_int_equal(t.ledger.shed, 150);
    assert_int_equal(t.ledger.lost[1], 99);
    assert_int_equal(t.ledger.lost[2], 1);
    assert_int_equal(t.stages.stage[0].events[OUTCOME_OK], 250);
    close_world(&w);
}

TEST(event_times_at_the_ends_of_the_range_harm_nothing)
{
    struct world w;
    open_world(&w, 1);
    rig_put(&w.g, 1, 1, OUTCOME_OK, 10 * NS_PER_MS);
    rig_put(&w.g, 2, 1, OUTCOME_OK, PIPELINE_T_MAX);
    rig_put(&w.g, 3, 1, OUTCOME_OK, RIG_T0);
    rig_tick(&w.g, RIG_T0);
    rig_tick(&w.g, RIG_T0 + 3600 * S);
    assert_int_equal(rig_total(&w.g).ledger.entered, 3);
    close_world(&w);
}
