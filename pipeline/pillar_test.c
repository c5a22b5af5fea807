/* The board: states, reasons and the window of 60 seconds, as other programs read them. */
#include "pipeline/rig_int.h"

static struct str status(struct rig *g, int64_t now_ns, struct buf *out)
{
    buf_reset(out);
    g->pillar.status(g->p, g->states, g->n, now_ns, out);
    assert_true(buf_ok(out, NULL));
    return buf_str(out);
}

static void healthy_second(struct rig *g, uint64_t second)
{
    for (uint64_t i = 0; i < 20; i++) {
        int64_t t = RIG_T0 + (int64_t)second * NS_PER_S + (int64_t)i * NS_PER_MS;
        for (uint32_t p = 1; p <= 7; p++) {
            rig_put(g, second * 100 + i, p, OUTCOME_OK, t + p);
        }
    }
    rig_tick(g, RIG_T0 + (int64_t)(second + 1) * NS_PER_S);
}

TEST(board_is_grey_then_green_then_red_then_grey)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 2, NULL));
    buf_init(&out, &m, 1 << 20);
    rig_tick(&g, RIG_T0);
    struct str s = status(&g, RIG_T0, &out);
    assert_true(str_contains(s, STR("\"state\":\"none\"")));
    assert_true(str_contains(s, STR("\"code\":\"no_data\"")));
    uint64_t second = 0;
    for (; second < 70; second++) {
        healthy_second(&g, second);
    }
    int64_t now = RIG_T0 + 70 * NS_PER_S;
    s = status(&g, now, &out);
    assert_true(str_contains(s, STR("{\"reasons\":[],\"state\":\"ok\"")));
    assert_true(str_contains(s, STR("\"tx_per_s\":20,")));
    assert_true(str_contains(
        s, STR("\"name\":\"score\",\"rate_per_s\":20,\"errors_per_s\":0,\"p50_ms\":7.5")));
    assert_true(str_contains(s, STR("\"entered\":1400,\"left\":1400,\"in_flight\":0,\"lost\":0,"
                                    "\"lost_brl\":0.00,\"closes\":true")));
    struct stage_event lost = rig_event(999999, 4, OUTCOME_OK, now);
    lost.amount_centavos = 1234;
    rig_stage(&g, &lost);
    for (; second < 195; second++) {
        healthy_second(&g, second);
    }
    s = status(&g, RIG_T0 + 195 * NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"state\":\"crit\"")));
    assert_true(str_contains(s, STR("\"code\":\"lost_transactions\",\"level\":\"crit\"")));
    assert_true(str_contains(s, STR("R$12.34 lost in total")));
    assert_true(str_contains(s, STR("R$ 12,34 perdidos")));
    assert_true(str_contains(s, STR("\"retries\":0,\"lost_after\":1,")));
    for (int i = 0; i < 14; i++) {
        rig_tick(&g, RIG_T0 + (200 + i * 5) * NS_PER_S);
    }
    s = status(&g, RIG_T0 + 266 * NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"state\":\"none\"")));
    assert_true(str_contains(s, STR("\"code\":\"no_arrivals\"")));
    buf_release(&out);
    rig_release(&g);
    assert_int_equal(m.bytes, 0);
}

TEST(board_names_the_stage_with_errors_and_the_broken_limit)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 1, NULL));
    buf_init(&out, &m, 1 << 20);
    rig_tick(&g, RIG_T0);
    for (uint64_t i = 0; i < 200; i++) {
        struct stage_event first = rig_event(i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i);
        first.start_ns = first.end_ns - (i % 10 == 0 ? 2000 : 300) * NS_PER_MS;
        rig_stage(&g, &first);
        struct stage_event s = rig_event(i, 6, OUTCOME_OK, RIG_T0 + (int64_t)i);
        s.sla = SLA_T1_T0;
        rig_stage(&g, &s);
        rig_put(&g, i, 2, i % 10 == 0 ? OUTCOME_ERROR : OUTCOME_OK, RIG_T0 + (int64_t)i);
    }
    rig_tick(&g, RIG_T0 + NS_PER_S);
    struct str s = status(&g, RIG_T0 + NS_PER_S, &out);
    assert_true(str_contains(s, STR("10.0% errors at stage enrich")));
    assert_true(str_contains(s, STR("10.0% of segment t1-t0 above 1.5 s (allowed 5%)")));
    assert_true(str_contains(s, STR("\"10,0% de erros na etapa enrich\"")));
    assert_true(str_contains(s, STR("\"10,0% do segmento t1-t0 acima de 1,5 s (permitido 5%)\"")));
    assert_true(str_contains(s, STR("\"state\":\"crit\"")));
    buf_release(&out);
    rig_release(&g);
}

TEST(sentences_count_and_group_as_each_language_does)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 2, NULL));
    buf_init(&out, &m, 1 << 20);
    rig_tick(&g, RIG_T0);
    struct stage_event lost = rig_event(1, 4, OUTCOME_OK, RIG_T0);
    lost.amount_centavos = 16314538;
    rig_stage(&g, &lost);
    struct decision d = rig_decision(2, VERDICT_HOLD, RIG_T0 + 130 * NS_PER_S);
    d.hold_deadline_ns = RIG_T0 + 200 * NS_PER_S;
    rig_decide(&g, &d);
    rig_put(&g, 2, 6, OUTCOME_OK, RIG_T0 + 130 * NS_PER_S);
    rig_put(&g, 3, 8, OUTCOME_OK, RIG_T0);
    for (uint64_t i = 0; i < 8; i++) {
        rig_put(&g, 100 + i, 7, OUTCOME_OK, RIG_T0 + 130 * NS_PER_S);
    }
    rig_tick(&g, RIG_T0 + NS_PER_S);
    struct str s = status(&g, RIG_T0 + NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"1 transação se perdeu no último minuto; R$ 163.145,38 "
                                    "perdidos no total\"")));
    assert_true(str_contains(s, STR("\"1 transaction was lost in the last minute; R$163,145.38 "
                                    "lost in total\"")));
    assert_true(str_contains(s, STR("\"1 retenção vence em menos de 5 minutos\"")));
    assert_true(str_contains(s, STR("\"1 hold ends within 5 minutes\"")));
    assert_true(str_contains(s, STR("\"1 evento de uma etapa que não está em pipeline.stages\"")));
    for (uint64_t i = 0; i < 1233; i++) {
        lost = rig_event(1000 + i, 4, OUTCOME_OK, RIG_T0);
        rig_stage(&g, &lost);
        rig_put(&g, 3, 8, OUTCOME_OK, RIG_T0);
    }
    d.id = rig_id(4);
    rig_decide(&g, &d);
    rig_put(&g, 4, 6, OUTCOME_OK, RIG_T0 + 130 * NS_PER_S);
    rig_tick(&g, RIG_T0 + 2 * NS_PER_S);
    s = status(&g, RIG_T0 + 2 * NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"1.234 transações se perderam no último minuto;")));
    assert_true(str_contains(s, STR("\"1,234 transactions were lost in the last minute;")));
    assert_true(str_contains(s, STR("\"2 retenções vencem em menos de 5 minutos\"")));
    assert_true(str_contains(s, STR("\"1,234 events of stages that are not in")));
    buf_release(&out);
    rig_release(&g);
}

TEST(board_shows_the_latency_of_decisions_of_the_last_minute)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 2, NULL));
    buf_init(&out, &m, 1 << 20);
    rig_tick(&g, RIG_T0);
    struct str s = status(&g, RIG_T0, &out);
    assert_true(str_contains(s, STR("\"decision_p50_ms\":null,\"decision_p99_ms\":null,")));
    for (uint64_t i = 0; i < 100; i++) {
        struct latency l = {8, i < 50 ? 15 * NS_PER_MS : 150 * NS_PER_MS}; /* "total" */
        struct decision d = rig_decision(i, VERDICT_APPROVE, RIG_T0 + (int64_t)i);
        d.latencies = &l;
        d.latencies_count = 1;
        rig_decide(&g, &d);
    }
    rig_tick(&g, RIG_T0 + NS_PER_S);
    s = status(&g, RIG_T0 + NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"decision_p50_ms\":20,\"decision_p99_ms\":149,")));
    for (int i = 1; i < 16; i++) {
        rig_tick(&g, RIG_T0 + (1 + i * 5) * NS_PER_S);
    }
    s = status(&g, RIG_T0 + 76 * NS_PER_S, &out);
    assert_true(str_contains(s, STR("\"decision_p50_ms\":null,")));
    buf_release(&out);
    rig_release(&g);
}

TEST(the_page_has_every_fixed_series_from_the_start)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    assert_true(rig_series(&g, "pix_stage_lost", "from", "decide", "to", "act") == 0);
    assert_true(rig_series(&g, "pix_stage_lost", "from", "start", "to", "ingest") == 0);
    assert_true(rig_series(&g, "pix_stage_events", "stage", "settle", "outcome", "dlq") == 0);
    assert_true(rig_series(&g, "pix_ledger_transactions", "state", "left", "end", "denied") == 0);
    assert_true(rig_series(&g, "pix_events_ingested", "form", "DICT", NULL, NULL) == 0);
    assert_true(rig_series(&g, "pix_sla_invalid", "reason", "clock", NULL, NULL) == 0);
    assert_true(rig_series(&g, "pix_lost_brl", NULL, NULL, NULL, NULL) == 0);
    rig_release(&g);
}
