/* What the store remembers of the verdict: runs without a hole, over days, and numbers by query. */
#include "server/past_int.h"

#include "base/simos.h"
#include "base/test.h"

#include <math.h>

#define NOW_MS  1700000000000
#define HOUR_MS (3600 * MS_PER_S)

struct rig {
    struct simos *simos;
    struct log log;
    struct mem mem;
    struct tsdb *db;
    struct tsdb_batch *batch;
};

static void rig_init(struct rig *r)
{
    struct tsdb_config c;
    struct err e = {0};
    memset(r, 0, sizeof *r);
    r->simos = simos_new(1);
    simos_clock_set(r->simos, NOW_MS * NS_PER_MS);
    log_init(&r->log, simos_os(r->simos), -1, LOG_ERROR);
    mem_init(&r->mem, 0);
    tsdb_config_default(&c);
    c.dir = "db";
    c.retention_ms = 0;
    assert_true(tsdb_open(&r->db, &c, simos_os(r->simos), &r->log, &e));
    r->batch = tsdb_batch_new(&r->mem, (size_t)64 << 20);
    assert_non_null(r->batch);
}

static void rig_release(struct rig *r)
{
    tsdb_batch_free(r->batch);
    tsdb_close(r->db);
    simos_free(r->simos);
    assert_int_equal(r->mem.bytes, 0);
}

/* Samples of farol_state or farol_reason, one every `step`, from..to before now. */
static void put(struct rig *r, const char *code, double v, int64_t from_ms, int64_t to_ms,
                int64_t step_ms)
{
    struct label pairs[] = {{STR("__name__"), code ? STR("farol_reason") : STR("farol_state")},
                            {STR("code"), str_from_c(code ? code : "")},
                            {STR("job"), STR("farol")},
                            {STR("pillar"), STR("model")}};
    struct label without[] = {pairs[0], pairs[2], pairs[3]};
    struct labels ls = code ? (struct labels){pairs, 4} : (struct labels){without, 3};
    struct tsdb_result result;
    struct err e = {0};
    uint32_t ref;
    assert_true(tsdb_series(r->db, 0, ls, &ref, &e));
    tsdb_batch_reset(r->batch);
    for (int64_t t = NOW_MS - from_ms; t <= NOW_MS - to_ms; t += step_ms) {
        assert_true(tsdb_batch_add(r->batch, ref, t, v, &e));
    }
    assert_true(tsdb_commit_wait(r->db, r->batch, 0, &result, &e));
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        assert_int_equal(result.refused[i], 0);
    }
}

/* Hours before now that the run began; -1: there is none. */
static double since_h(struct rig *r, const char *code, double lo, double hi)
{
    int64_t ns = server_past_since(r->db, code ? STR("farol_reason") : STR("farol_state"),
                                   STR("model"), str_from_c(code ? code : ""), lo, hi, NOW_MS);
    return ns == T_NS_NONE ? -1 : (double)(NOW_MS - ns / NS_PER_MS) / (double)HOUR_MS;
}

TEST(past_run_goes_back_over_days)
{
    struct rig r;
    rig_init(&r);
    put(&r, NULL, VIEW_CRIT, 80 * HOUR_MS, 76 * HOUR_MS + MS_PER_S, 60 * MS_PER_S);
    put(&r, NULL, VIEW_OK, 76 * HOUR_MS, 0, 60 * MS_PER_S);
    assert_true(since_h(&r, NULL, VIEW_OK, VIEW_OK) == 76);
    assert_true(since_h(&r, NULL, VIEW_WARN, VIEW_CRIT) == -1); /* it is not so now */
    assert_true(since_h(&r, "fallback", VIEW_WARN, VIEW_CRIT) == -1);
    rig_release(&r);
}

TEST(past_run_ends_at_a_hole)
{
    struct rig r;
    rig_init(&r);
    put(&r, NULL, VIEW_OK, 10 * HOUR_MS, 5 * HOUR_MS, 60 * MS_PER_S);
    /* A restart of four minutes is bridged, one of six is not. */
    put(&r, NULL, VIEW_OK, 5 * HOUR_MS - 6 * 60 * MS_PER_S, 2 * HOUR_MS, 60 * MS_PER_S);
    put(&r, NULL, VIEW_OK, 2 * HOUR_MS - 4 * 60 * MS_PER_S, 0, 60 * MS_PER_S);
    assert_true(fabs(since_h(&r, NULL, VIEW_OK, VIEW_OK) - 4.9) < 1e-9);
    rig_release(&r);
}

TEST(past_run_that_stopped_is_none)
{
    struct rig r;
    rig_init(&r);
    put(&r, "fallback", VIEW_CRIT, 2 * HOUR_MS, 6 * 60 * MS_PER_S, 15 * MS_PER_S);
    assert_true(since_h(&r, "fallback", VIEW_WARN, VIEW_CRIT) == -1);
    rig_release(&r);
}

TEST(past_stale_marker_ends_a_run)
{
    struct rig r;
    rig_init(&r);
    put(&r, "fallback", VIEW_CRIT, 3 * HOUR_MS, 2 * HOUR_MS, 60 * MS_PER_S);
    put(&r, "fallback", stale_nan(), 2 * HOUR_MS - MS_PER_S, 2 * HOUR_MS - MS_PER_S, MS_PER_S);
    put(&r, "fallback", VIEW_WARN, 2 * HOUR_MS - 2 * MS_PER_S, 0, 60 * MS_PER_S);
    assert_true(since_h(&r, "fallback", VIEW_WARN, VIEW_CRIT) * 3600 == 7198);
    rig_release(&r);
}

TEST(past_ask_takes_one_number_only)
{
    struct rig r;
    double v = -1;
    rig_init(&r);
    put(&r, "fallback", VIEW_CRIT, HOUR_MS, 0, 60 * MS_PER_S);
    put(&r, "sla", VIEW_WARN, HOUR_MS, 0, 60 * MS_PER_S);
    const struct os *os = simos_os(r.simos);
    assert_true(server_past_ask(r.db, os, STR("sum(farol_reason)"), NOW_MS, &v));
    assert_true(v == VIEW_CRIT + VIEW_WARN);
    assert_true(server_past_ask(r.db, os, STR("scalar(farol_reason{code=\"sla\"})"), NOW_MS, &v));
    assert_true(v == VIEW_WARN);
    assert_false(server_past_ask(r.db, os, STR("farol_reason"), NOW_MS, &v));
    assert_false(server_past_ask(r.db, os, STR("nothing"), NOW_MS, &v));
    assert_false(server_past_ask(r.db, os, STR("sum("), NOW_MS, &v));
    assert_false(server_past_ask(r.db, os, STR("vector(0) / 0"), NOW_MS, &v));
    assert_false(server_past_ask(r.db, os, STR(""), NOW_MS, &v));
    rig_release(&r);
}

TEST(past_fills_what_the_story_did_not_see)
{
    static const char status[] =
        "{\"time\":\"2023-11-14T22:13:20Z\",\"state\":\"crit\",\"pipeline\":{\"state\":\"none\"},"
        "\"model\":{\"state\":\"crit\",\"reasons\":[{\"code\":\"fallback\",\"level\":\"crit\","
        "\"pt\":\"p\",\"en\":\"e\"},{\"code\":\"recall_low\",\"level\":\"warn\",\"pt\":\"p\","
        "\"en\":\"e\"}],\"precision\":{\"value\":0.5,\"lo\":0.4,\"hi\":0.6,\"cohort\":\"d0\"}}}";
    struct rig r;
    struct server_view view;
    struct server_story story;
    struct err e = {0};
    struct verdict_pillar pipeline = {VIEW_NONE, T_NS_NONE}, model = {VIEW_CRIT, T_NS_NONE};
    rig_init(&r);
    put(&r, NULL, VIEW_WARN, 3 * HOUR_MS, 2 * HOUR_MS, 15 * MS_PER_S);
    put(&r, NULL, VIEW_CRIT, 2 * HOUR_MS - MS_PER_S, 0, 15 * MS_PER_S);
    put(&r, "fallback", VIEW_CRIT, 2 * HOUR_MS, 0, 15 * MS_PER_S);
    struct json_parser *p = json_parser_new(&r.mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    assert_true(server_view_read(p, str_from_c(status), &view, &e));
    memset(&story, 0, sizeof story);
    server_story_add(&story, &view);
    server_past_fill(r.db, simos_os(r.simos), &view, &story, &pipeline, &model);
    assert_true(pipeline.since_ns == T_NS_NONE);
    assert_true(model.since_ns == (NOW_MS - 3 * HOUR_MS) * NS_PER_MS);
    assert_true(server_story_since(&story, &view) == (NOW_MS - 2 * HOUR_MS) * NS_PER_MS);
    assert_true(story.causes[VIEW_CAUSE_RECALL].since_ns == T_NS_NONE);
    assert_true(isnan(story.causes[VIEW_CAUSE_FALLBACK].before.hold_share));
    json_parser_free(p);
    rig_release(&r);
}
