#include "pipeline/rig_int.h"

static void lost_json(struct rig *g, uint32_t limit, struct buf *out)
{
    buf_reset(out);
    pipeline_lost_json(g->p, g->states, g->n, limit, out);
    assert_true(buf_ok(out, NULL));
}

TEST(lost_list_is_newest_first_and_says_what_it_left_out)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 2, NULL));
    buf_init(&out, &m, 1 << 20);
    lost_json(&g, 10, &out);
    assert_str(buf_str(&out), STR("{\"lost\":[],\"count\":0,\"brl\":0.00,\"truncated\":false}"));
    for (uint64_t i = 0; i < 3; i++) {
        struct stage_event s = rig_event(i, 5, OUTCOME_OK, RIG_T0 + (int64_t)i * NS_PER_S);
        s.amount_centavos = i == 2 ? AMOUNT_NONE : 150005;
        rig_stage(&g, &s);
    }
    rig_silence(&g, RIG_T0, 400 * NS_PER_S);
    assert_int_equal(rig_lost_now(&g), 3);
    lost_json(&g, 2, &out);
    assert_str(
        buf_str(&out),
        STR("{\"lost\":[{\"e2e_id\":\"E0041696820261123120000000000002\",\"from\":\"decide\","
            "\"to\":\"act\",\"last_ts\":\"2026-11-23T12:00:02Z\",\"age_s\":368,"
            "\"amount_centavos\":null},{\"e2e_id\":\"E0041696820261123120000000000001\","
            "\"from\":\"decide\",\"to\":\"act\",\"last_ts\":\"2026-11-23T12:00:01Z\","
            "\"age_s\":369,\"amount_centavos\":150005}],\"count\":3,\"brl\":3000.10,"
            "\"truncated\":true}"));
    /* One comes back: it leaves the list, the sum and the count. */
    rig_put(&g, 1, 6, OUTCOME_OK, RIG_T0 + 360 * NS_PER_S);
    rig_flush(&g);
    lost_json(&g, 10, &out);
    assert_false(str_contains(buf_str(&out), STR("000000001\"")));
    assert_true(
        str_contains(buf_str(&out), STR("\"count\":2,\"brl\":1500.05,\"truncated\":false")));
    buf_release(&out);
    rig_release(&g);
    assert_int_equal(m.bytes, 0);
}

TEST(lost_ring_keeps_the_last_ten_thousand_and_the_counters_all)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    struct buf out;
    assert_true(rig_init(&g, &m, 1, NULL));
    buf_init(&out, &m, 8 << 20);
    for (uint64_t i = 0; i < PIPELINE_LOST_MAX + 500; i++) {
        rig_put(&g, i, 1, OUTCOME_OK, RIG_T0 + (int64_t)i * NS_PER_S / 100);
    }
    int64_t end = RIG_T0 + 105 * NS_PER_S;
    rig_silence(&g, end, 200 * NS_PER_S);
    assert_int_equal(rig_lost_now(&g), PIPELINE_LOST_MAX + 500);
    lost_json(&g, UINT32_MAX, &out);
    assert_true(str_contains(buf_str(&out), STR("00000010499\"")));
    assert_true(str_contains(buf_str(&out), STR("00000000500\"")));
    assert_false(str_contains(buf_str(&out), STR("00000000499\"")));
    assert_true(str_contains(buf_str(&out), STR("\"count\":10500,")));
    /* A slot that was written over belongs to another: its old owner comes back and takes none
     * away. */
    rig_put(&g, 499, 2, OUTCOME_OK, end + 150 * NS_PER_S);
    rig_flush(&g);
    assert_int_equal(rig_lost_now(&g), PIPELINE_LOST_MAX + 499);
    lost_json(&g, UINT32_MAX, &out);
    assert_true(str_contains(buf_str(&out), STR("00000010499\"")));
    buf_release(&out);
    rig_release(&g);
}
