/* Versions of stages: what was first seen when, whatever the order and the number of shards. */
#include "pipeline/rig_int.h"

#define FEATURES 3
#define DEPLOY_S 60

static void put(struct rig *g, uint64_t number, struct str version, int64_t end_ns)
{
    struct stage_event s = rig_event(number, FEATURES, OUTCOME_OK, end_ns);
    s.version = version;
    rig_stage(g, &s);
}

static const struct pipeline_versions *sum(struct rig *g, struct pipeline_total *t)
{
    *t = rig_total(g);
    return &t->stages.stage[FEATURES - 1].versions;
}

static void status_has(struct rig *g, int64_t now_ns, const char *text, bool wanted)
{
    struct buf out;
    buf_init(&out, g->mem, 1 << 20);
    g->pillar.status(g->p, g->states, g->n, now_ns, &out);
    if (str_contains(buf_str(&out), str_from_c(text)) != wanted) {
        print_error("%s: %.*s\n", text, STR_FMT(buf_str(&out)));
        fail();
    }
    buf_release(&out);
}

/* 120 events, one a second; 2.8.1 from second 60 on, in a shuffled order. */
static void play_shuffled(struct rig *g, uint64_t seed)
{
    uint64_t order[120];
    struct rng r;
    rng_init(&r, seed);
    for (uint64_t i = 0; i < ARRAY_LEN(order); i++) {
        uint64_t k = rng_below(&r, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (uint64_t i = 0; i < ARRAY_LEN(order); i++) {
        bool late = order[i] >= DEPLOY_S;
        put(g, order[i], late ? STR("2.8.1") : STR("2.8.0"), RIG_T0 + (int64_t)order[i] * NS_PER_S);
    }
    rig_tick(g, RIG_T0 + 120 * NS_PER_S);
}

TEST(version_first_seen_is_the_minimum_in_any_order_and_number_of_shards)
{
    struct mem m;
    mem_init(&m, 0);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig g;
        assert_true(rig_init(&g, &m, 1 + (uint32_t)(seed % 5), NULL));
        play_shuffled(&g, seed);
        if (seed % 2 == 0) {
            assert_true(rig_restart(&g, 1 + (uint32_t)(seed % 3), NULL));
            rig_tick(&g, RIG_T0 + 120 * NS_PER_S);
        }
        const char *first = "pix_stage_version_first_seen_seconds";
        const char *events = "pix_stage_version_events";
        double t0 = s_from_ns(RIG_T0);
        assert_true(rig_series(&g, first, "stage", "features", "version", "2.8.0") == t0);
        assert_true(rig_series(&g, first, "stage", "features", "version", "2.8.1") ==
                    t0 + DEPLOY_S);
        assert_true(rig_series(&g, events, "stage", "features", "version", "2.8.0") == 60);
        assert_true(rig_series(&g, events, "stage", "features", "version", "2.8.1") == 60);
        status_has(&g, RIG_T0 + 120 * NS_PER_S,
                   "\"version\":\"2.8.1\",\"version_since\":\"2026-11-23T12:01:00Z\","
                   "\"version_deployed\":true,\"versions\":2}",
                   true);
        rig_release(&g);
    }
    assert_int_equal(m.bytes, 0);
}

/* `before`: what the first event of the stage says, at second 0; then 2.8.1 at second `at`. */
static void deployed(struct str before, int64_t at_ns, bool wanted)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    put(&g, 1, before, RIG_T0);
    for (uint64_t i = 0; i < 10; i++) {
        put(&g, 2 + i, STR("2.8.1"), RIG_T0 + at_ns);
    }
    rig_tick(&g, RIG_T0 + at_ns);
    status_has(&g, RIG_T0 + at_ns, "\"version_deployed\":true", wanted);
    rig_release(&g);
}

TEST(version_is_a_deploy_from_thirty_seconds_after_the_stage)
{
    deployed(STR("2.8.0"), 30 * NS_PER_S, true);
    deployed(STR("2.8.0"), 30 * NS_PER_S - 1, false);
    deployed(STR(""), 30 * NS_PER_S, true); /* before, the stage gave no version */
    deployed(STR("2.8.1"), 90 * NS_PER_S, false);
}

TEST(version_that_is_silent_for_a_minute_is_not_live)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 2, NULL));
    status_has(&g, RIG_T0, "\"version\":null,\"version_since\":null", true);
    for (uint64_t i = 0; i < 10; i++) {
        put(&g, i, STR("2.8.0"), RIG_T0);
        put(&g, 100 + i, STR("2.8.1"), RIG_T0 + 40 * NS_PER_S);
        put(&g, 200 + i, STR("2.8.0"), RIG_T0 + 100 * NS_PER_S); /* rolled back */
    }
    rig_tick(&g, RIG_T0);
    status_has(&g, RIG_T0, "\"version\":\"2.8.1\"", true);
    for (uint64_t i = 0; i < 10; i++) {
        put(&g, 300 + i, STR("2.8.0"), RIG_T0 + 101 * NS_PER_S);
    }
    rig_tick(&g, RIG_T0);
    status_has(&g, RIG_T0,
               "\"version\":\"2.8.0\",\"version_since\":\"2026-11-23T12:00:00Z\","
               "\"version_deployed\":false,\"versions\":1}",
               true);
    rig_release(&g);
}

TEST(versions_are_bounded_and_what_goes_is_counted)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    char text[32];
    for (uint64_t i = 0; i < 10; i++) {
        snprintf(text, sizeof text, "v%llu", (unsigned long long)i);
        put(&g, i, str_from_c(text), RIG_T0 + (int64_t)i * NS_PER_S);
    }
    put(&g, 20, STR("older"), RIG_T0); /* would have to go at once */
    put(&g, 21, STR("529.982.247-25"), RIG_T0 + 10 * NS_PER_S);
    put(&g, 22, STR("x23456789012345678901234567890123456789012345678901234567890123456"),
        RIG_T0 + 10 * NS_PER_S);
    put(&g, 9, STR("v9"), RIG_T0 + 20 * NS_PER_S); /* the same id and attempt */
    rig_flush(&g);
    struct pipeline_total t;
    const struct pipeline_versions *s = sum(&g, &t);
    assert_int_equal(s->count, PIPELINE_VERSIONS_MAX);
    assert_int_equal(s->replaced, 3);
    assert_int_equal(s->refused, 2);
    bool seen[10] = {false};
    for (uint32_t i = 0; i < s->count; i++) {
        assert_int_equal(s->v[i].n, 2);
        seen[s->v[i].text[1] - '0'] = true;
        assert_int_equal(s->v[i].events, 1);
    }
    assert_false(seen[0] || seen[1]);
    const char *shed = "pix_stage_version_shed";
    assert_true(rig_series(&g, shed, "stage", "features", "reason", "replaced") == 3);
    assert_true(rig_series(&g, shed, "stage", "features", "reason", "refused") == 2);
    rig_release(&g);
}

TEST(versions_saved_are_checked)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 4096);
    struct pipeline_versions s = {.count = 0};
    pipeline_versions_note(&s, STR("2.8.0"), 100, false);
    pipeline_versions_note(&s, STR("2.8.1"), 200, false);
    struct pipeline_versions again = {.count = 0};
    pipeline_versions_put(&b, &s);
    struct rd r = rd_of(buf_str(&b));
    assert_true(pipeline_versions_get(&r, &again));
    assert_memory_equal(&again, &s, sizeof s);
    struct pipeline_versions wrong[5] = {s, s, s, s, s};
    wrong[0].v[1].text[4] = '0'; /* the same text twice */
    wrong[1].v[1].last_ns = 199; /* before its first */
    wrong[2].first_ns = 101;     /* the stage began later than its version */
    wrong[3].v[0].n = 0;
    wrong[4].seen = false;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_reset(&b);
        pipeline_versions_put(&b, &wrong[i]);
        r = rd_of(buf_str(&b));
        assert_false(pipeline_versions_get(&r, &again));
    }
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}
