#include "pipeline/rig_int.h"

/* A bit of everything, so that every part of the saved form has something in it. */
static void fill(struct rig *g)
{
    for (uint64_t i = 0; i < 200; i++) {
        int64_t t = RIG_T0 + (int64_t)i * NS_PER_S;
        for (uint32_t p = 1; p <= 1 + i % 7; p++) {
            struct stage_event s = rig_event(i, p, OUTCOME_OK, t);
            s.amount_centavos = (int64_t)i * 10;
            s.host = i % 3 ? STR("host-a") : STR("host-b");
            s.clock_offset_us = (int64_t)(i % 5) * 1000;
            s.sla = p == 6 ? SLA_T1_T0 : p == 7 ? SLA_T6A_T0 : SLA_NONE;
            if (p > 1 || i % 9 != 8) { /* some wait for their start */
                rig_stage(g, &s);
            }
        }
        struct stage_event bad = rig_event(1000 + i, 2, (enum stage_outcome)(1 + i % 5), t);
        bad.reason = i % 2 ? STR("AB03") : STR("timeout");
        rig_stage(g, &bad);
        rig_put(g, 5000 + i, 8, OUTCOME_OK, t); /* the unknown stage "mystery" */
        struct decision d = rig_decision(i, (enum verdict)(i % VERDICTS), t);
        struct latency l[2] = {{3, 20 * NS_PER_MS}, {8, 90 * NS_PER_MS}};
        d.latencies = l;
        d.latencies_count = 2;
        rig_decide(g, &d);
        if (i % 50 == 49) {
            rig_tick(g, t);
        }
    }
}

static void page(struct rig *g, struct buf *out)
{
    struct arena a;
    arena_init(&a, g->mem, 16 << 20);
    struct expo x;
    expo_init(&x, &a, 0);
    g->pillar.publish(g->p, g->states, g->n, RIG_T0, &x);
    expo_write(&x, EXPO_OPENMETRICS_1_0_0, out);
    arena_release(&a);
}

/* The page but for memory in use and the order of names inside a family, which arrival decides. */
static void assert_same_page(struct rig *a, struct rig *b)
{
    struct buf pa, pb;
    buf_init(&pa, a->mem, 16 << 20);
    buf_init(&pb, b->mem, 16 << 20);
    page(a, &pa);
    page(b, &pb);
    struct str rest = buf_str(&pa);
    size_t lines = 0;
    while (rest.n > 0) {
        struct str_cut cut = str_cut(rest, '\n');
        if (!str_contains(cut.head, STR("pix_ledger_bytes")) &&
            !str_contains(buf_str(&pb), cut.head)) {
            print_error("missing: %.*s\n", STR_FMT(cut.head));
            fail();
        }
        lines++;
        rest = cut.tail;
    }
    assert_true(lines > 500);
    assert_true(pa.n > pb.n ? pa.n - pb.n < 8 : pb.n - pa.n < 8);
    buf_release(&pa);
    buf_release(&pb);
}

TEST(a_restart_changes_no_series_and_no_later_one)
{
    struct mem m;
    mem_init(&m, 0);
    static const uint32_t shards[] = {1, 2, 5};
    for (size_t i = 0; i < ARRAY_LEN(shards); i++) {
        struct rig a, b;
        assert_true(rig_init(&a, &m, 2, NULL));
        assert_true(rig_init(&b, &m, 2, NULL));
        fill(&a);
        fill(&b);
        int64_t now = RIG_T0 + 199 * NS_PER_S; /* the last tick of fill: idleness starts there */
        rig_tick(&a, now);
        rig_tick(&b, now);
        assert_true(rig_restart(&b, shards[i], NULL));
        rig_tick(&b, now);
        assert_same_page(&a, &b);
        rig_silence(&a, now, 7200 * NS_PER_S);
        rig_silence(&b, now, 7200 * NS_PER_S);
        assert_same_page(&a, &b);
        struct pipeline_total t = rig_total(&b);
        assert_true(rig_lost_now(&b) > 50);
        assert_int_equal(t.ledger.state[PIPELINE_IN_FLIGHT], 0);
        rig_release(&a);
        rig_release(&b);
    }
    assert_int_equal(m.bytes, 0);
}

static void save(struct rig *g, struct buf *out)
{
    buf_init(out, g->mem, 64 << 20);
    g->pillar.save(g->p, g->states, g->n, out);
    assert_true(buf_ok(out, NULL));
}

TEST(saving_what_was_loaded_gives_the_same_bytes)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    fill(&g);
    rig_tick(&g, RIG_T0 + 200 * NS_PER_S);
    struct buf first, second;
    assert_true(rig_restart(&g, 1, NULL)); /* the pool now has the order of the file */
    save(&g, &first);
    struct err e = {.code = ERR_NONE};
    assert_true(g.pillar.load(g.p, g.states, g.n, buf_str(&first), &e));
    save(&g, &second);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.p, second.p, first.n);
    buf_release(&first);
    buf_release(&second);
    rig_release(&g);
}

TEST(damage_is_refused_or_harmless_and_leaves_nothing_behind)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    fill(&g);
    rig_tick(&g, RIG_T0 + 200 * NS_PER_S);
    struct buf b;
    save(&g, &b);
    for (size_t cut = 0; cut < b.n; cut += 1 + b.n / 300) {
        struct err e = {.code = ERR_NONE};
        assert_false(g.pillar.load(g.p, g.states, g.n, str_of(b.p, cut), &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        struct pipeline_total t = rig_total(&g);
        assert_int_equal(t.ledger.entered, 0);
        assert_int_equal(t.remembered, 0);
    }
    struct rng r;
    rng_init(&r, test_seed());
    uint32_t refused = 0;
    for (int i = 0; i < 400; i++) {
        size_t at = rng_below(&r, b.n);
        char old = b.p[at];
        b.p[at] = (char)(old ^ (1 << rng_below(&r, 8)));
        struct err e = {.code = ERR_NONE};
        refused += !g.pillar.load(g.p, g.states, g.n, buf_str(&b), &e);
        b.p[at] = old;
        rig_silence(&g, RIG_T0, 9000 * NS_PER_S); /* whatever was accepted must keep its sums */
    }
    assert_true(refused > 20);
    assert_true(g.pillar.load(g.p, g.states, g.n, buf_str(&b), NULL));
    buf_release(&b);
    rig_release(&g);
    assert_int_equal(m.bytes, 0);
}

TEST(other_stages_keep_the_totals_and_forget_what_is_open)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    fill(&g);
    rig_tick(&g, RIG_T0 + 200 * NS_PER_S);
    struct pipeline_total before = rig_total(&g);
    static struct str names[] = {STR_INIT("ingest"), STR_INIT("score"), STR_INIT("act"),
                                 STR_INIT("settle")};
    struct buf b;
    save(&g, &b);
    rig_shards_free(&g);
    g.config.stages = (struct conf_strs){names, 4};
    assert_true(rig_shards(&g, 3, NULL));
    assert_true(g.pillar.load(g.p, g.states, g.n, buf_str(&b), NULL));
    buf_release(&b);
    struct pipeline_total after = rig_total(&g);
    assert_true(before.ledger.state[PIPELINE_IN_FLIGHT] > 0);
    assert_int_equal(after.ledger.forgotten, before.ledger.state[PIPELINE_IN_FLIGHT]);
    assert_int_equal(after.ledger.entered + after.ledger.forgotten, before.ledger.entered);
    assert_int_equal(pipeline_ledger_left(&after.ledger), pipeline_ledger_left(&before.ledger));
    assert_int_equal(pipeline_ledger_lost_now(&after.ledger),
                     pipeline_ledger_lost_now(&before.ledger));
    assert_int_equal(after.stages.stage[1].events[OUTCOME_OK],
                     before.stages.stage[3].events[OUTCOME_OK]);
    rig_release(&g);
}

TEST(a_smaller_cap_than_what_was_saved_is_said)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    fill(&g);
    rig_tick(&g, RIG_T0 + 200 * NS_PER_S);
    struct buf b;
    save(&g, &b);
    g.p->plan.transactions_max = 10;
    struct err e = {.code = ERR_NONE};
    assert_false(g.pillar.load(g.p, g.states, g.n, buf_str(&b), &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(str_contains(str_from_c(e.msg), STR("transactions_max")));
    buf_release(&b);
    rig_release(&g);
}

FAULT_TEST(pipeline_survives_lack_of_memory)
{
    struct rig g;
    bool ok = rig_init(&g, &w->mem, 2, NULL);
    if (ok) {
        for (uint64_t i = 0; i < 40; i++) {
            struct stage_event s =
                rig_event(i, 1 + (uint32_t)(i % 3), OUTCOME_OK, RIG_T0 + (int64_t)i);
            s.host = STR("host-a");
            s.clock_offset_us = 3;
            rig_stage(&g, &s);
            rig_put(&g, 100 + i, 2, OUTCOME_DROP, RIG_T0);
        }
        ok = rig_flush(&g);
        /* apply never fails: what found no room was shed and counted, and the sums close. */
        struct pipeline_total t = rig_total(&g);
        if (ok) {
            assert_int_equal(t.ledger.entered + t.ledger.shed, 80);
            ok = t.ledger.shed == 0;
        }
        rig_silence(&g, RIG_T0, 3600 * NS_PER_S);
        ok = rig_restart(&g, 1, NULL) && ok;
    }
    rig_release(&g);
    return ok;
}
