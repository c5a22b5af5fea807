/* Tests of the verdict: golden files with every member of the JSON, a line each, in both languages
 * (testdata/verdict_*.txt; FAROL_GOLDEN=write writes them anew: read the difference). */
#include "server/verdict_int.h"

#include "base/file.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REASON(code, level, pt, en) \
    "{\"code\":\"" code "\",\"level\":\"" level "\",\"pt\":\"" pt "\",\"en\":\"" en "\"}"
#define PIPELINE_OK                                                                               \
    "{\"state\":\"ok\",\"reasons\":[],\"stages\":[{\"name\":\"features\",\"version\":\"2.8.1\","  \
    "\"version_since\":\"2026-11-23T17:40:40Z\",\"version_deployed\":true}],\"tx_per_s\":1284.5," \
    "\"ledger\":{\"entered\":100,\"left\":96,\"in_flight\":4,\"lost\":0,\"lost_brl\":0,"          \
    "\"closes\":true},\"decision_p99_ms\":54.2}"
#define MODEL(state, reasons, hold, fallback, precision)                                \
    "{\"state\":\"" state "\",\"reasons\":[" reasons "],\"hold_share\":" hold           \
    ",\"fallback_share\":" fallback ",\"feature_worst\":{\"name\":\"device_age_days\"," \
    "\"null_or_default_share\":0.126},\"precision\":" precision "}"
#define STATUS(time, state, pipeline, model)                                            \
    "{\"time\":\"2026-11-23T" time "Z\",\"state\":\"" state "\",\"pipeline\":" pipeline \
    ",\"model\":" model "}"
#define WELL "{\"value\":0.842,\"lo\":0.79,\"hi\":0.88,\"cohort\":\"d0\",\"n\":300}"
#define FELL "{\"value\":0.531,\"lo\":0.49,\"hi\":0.57,\"cohort\":\"d0\",\"n\":320}"
#define CALM STATUS("17:40:50", "ok", PIPELINE_OK, MODEL("ok", "", "0.01", "0", WELL))
#define REDIS                                                                                     \
    STATUS(                                                                                       \
        "17:41:05", "crit", PIPELINE_OK,                                                          \
        MODEL("crit",                                                                             \
              REASON("precision_low", "crit", "Precisão baixa.", "Precision is low.") "," REASON( \
                  "feature_missing", "warn", "Falta.",                                            \
                  "Missing.") "," REASON("fallback", "crit", "Contingência.", "Fallback."),       \
              "0.021", "0.124", FELL))

struct rig {
    struct mem mem;
    struct json_parser *parser;
    struct server_story story;
    struct server_view view;
    struct verdict_facts facts;
    struct buf json, lines;
};

static void rig_init(struct rig *r)
{
    double nan = (double)NAN;
    memset(r, 0, sizeof *r);
    mem_init(&r->mem, 0);
    r->parser = json_parser_new(&r->mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    buf_init(&r->json, &r->mem, 1U << 20);
    buf_init(&r->lines, &r->mem, 1U << 20);
    r->facts = (struct verdict_facts){
        .view = &r->view,
        .story = &r->story,
        .pipeline = {VIEW_OK, T_NS_NONE},
        .model = {VIEW_OK, T_NS_NONE},
        .risk = {nan, nan, nan, T_NS_NONE, {NULL, 0}, TEXT_RISK_LOST},
        .guarded = {nan, nan, nan, T_NS_NONE, {NULL, 0}, TEXT_GUARDED_DENIED},
        .utc_offset_s = -3 * 3600};
}

static void rig_release(struct rig *r)
{
    buf_release(&r->json);
    buf_release(&r->lines);
    json_parser_free(r->parser);
    assert_int_equal(r->mem.bytes, 0);
}

static void see(struct rig *r, const char *status)
{
    struct err e = {0};
    assert_true(server_view_read(r->parser, str_from_c(status), &r->view, &e));
    server_story_add(&r->story, &r->view);
    r->facts.pipeline.state = r->view.pipeline.state;
    r->facts.model.state = r->view.model.state;
}

/* "text.pt.0.query = sum(...)" for every scalar below token i; returns the token after it. */
static void print(const struct json_doc *d, uint32_t i, const char *path, struct buf *out)
{
    const struct json_token *t = &d->tokens[i];
    char below[256];
    if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY) {
        int n = 0;
        for (uint32_t k = i + 1; k < t->next; k = d->tokens[k].next) {
            const struct json_token *x = &d->tokens[k];
            if (t->kind == JSON_OBJECT) {
                (void)snprintf(below, sizeof below, "%s%s%.*s", path, *path ? "." : "",
                               STR_FMT(x->key));
            } else {
                (void)snprintf(below, sizeof below, "%s.%d", path, n++);
            }
            print(d, k, below, out);
        }
        return;
    }
    buf_fmt(out, "%s = ", path);
    if (t->kind == JSON_STR) {
        buf_str_add(out, t->v.str);
    } else if (json_is_number(t)) {
        buf_f64(out, json_as_f64(t));
    } else {
        buf_str_add(out, t->kind == JSON_NULL ? STR("null") : STR("?"));
    }
    buf_char(out, '\n');
}

static void judge(struct rig *r)
{
    struct json_doc d;
    struct err e = {0};
    buf_reset(&r->json);
    buf_reset(&r->lines);
    server_verdict_json(&r->facts, &r->json);
    assert_true(buf_ok(&r->json, &e));
    assert_true(json_parse(r->parser, buf_str(&r->json), false, &d, &e));
    print(&d, 0, "", &r->lines);
}

static void golden(struct rig *r, const char *name)
{
    char path[256];
    struct buf want;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "server/testdata/verdict_%s.txt", name);
    buf_init(&want, &r->mem, 1U << 20);
    const char *mode = getenv("FAROL_GOLDEN");
    if (mode && str_eq(str_from_c(mode), STR("write"))) {
        assert_true(file_replace(os_real(), test_path(path), buf_str(&r->lines), &e));
    }
    assert_true(file_read(os_real(), test_path(path), &want, &e));
    assert_str(buf_str(&r->lines), buf_str(&want));
    buf_release(&want);
}

static void assert_line(struct rig *r, const char *line)
{
    if (!str_contains(buf_str(&r->lines), str_from_c(line))) {
        print_error("expected %s in\n%.*s", line, STR_FMT(buf_str(&r->lines)));
        fail();
    }
}

TEST(verdict_of_the_redis_night)
{
    struct rig r;
    rig_init(&r);
    see(&r, CALM);
    see(&r, REDIS);
    r.facts.model.since_ns = r.view.t_ns;
    r.facts.risk.brl = 61412.5;
    r.facts.risk.since_ns = r.view.t_ns;
    r.facts.risk.query = STR("sum(increase(fraud_decision_brl_total[60s]))");
    r.facts.risk.label = TEXT_RISK_DECIDED;
    judge(&r);
    golden(&r, "redis");
    rig_release(&r);
}

TEST(verdict_when_all_is_well)
{
    struct rig r;
    rig_init(&r);
    see(&r, CALM);
    r.story.ok_since_ns = r.view.t_ns - (6 * 24 + 4) * 3600 * NS_PER_S;
    judge(&r);
    golden(&r, "ok");
    assert_line(&r, "title.pt = Tudo normal há 6 d 4 h.\n");
    rig_release(&r);
}

TEST(verdict_without_data_is_not_green)
{
    struct rig r;
    rig_init(&r);
    see(&r, STATUS("17:40:50", "none",
                   "{\"state\":\"none\",\"reasons\":[" REASON(
                       "no_data", "none", "nenhum evento do pipeline chegou ainda",
                       "no pipeline event has arrived yet") "]}",
                   "{\"state\":\"none\",\"reasons\":[]}"));
    judge(&r);
    golden(&r, "none");
    /* One pillar alone: what is silent is named. */
    see(&r, STATUS("17:40:51", "ok", PIPELINE_OK, "{\"state\":\"none\",\"reasons\":[]}"));
    judge(&r);
    assert_line(&r, "title.pt = O pipeline está normal; do modelo não há dados.\n");
    assert_line(&r, "title.en = The pipeline is normal; there are no data of the model.\n");
    assert_line(&r, "pillars.1.text.pt = Sem dados.\n");
    rig_release(&r);
}

TEST(verdict_remembers_the_deploy_of_an_old_incident)
{
    struct rig r;
    rig_init(&r);
    see(&r, CALM);
    see(&r, REDIS);
    /* An hour later the deploy is old, but it still came just before the begin. */
    for (int minute = 42; minute < 60; minute++) {
        r.view.t_ns += 60 * NS_PER_S;
        server_story_add(&r.story, &r.view);
    }
    judge(&r);
    assert_line(&r, "since = 2026-11-23T17:41:05Z\n");
    assert_line(&r, "cause.stage = features\n");
    assert_line(&r, "next.pt = Confira o deploy 2.8.1 da etapa features; se for a causa, "
                    "volte à versão anterior.\n");
    rig_release(&r);
}

TEST(verdict_of_a_reason_that_blinks_is_one_incident)
{
    struct rig r;
    rig_init(&r);
    see(&r, CALM);
    see(&r, REDIS);
    int64_t began = r.view.t_ns;
    see(&r, STATUS("17:41:45", "ok", PIPELINE_OK, MODEL("ok", "", "0.01", "0", WELL)));
    see(&r, STATUS("17:42:00", "crit", PIPELINE_OK,
                   MODEL("crit", REASON("fallback", "crit", "C.", "F."), "0.02", "0.1", FELL)));
    assert_true(server_story_since(&r.story, &r.view) == began);
    see(&r, STATUS("17:42:05", "ok", PIPELINE_OK, MODEL("ok", "", "0.01", "0", WELL)));
    see(&r, STATUS("17:43:06", "crit", PIPELINE_OK,
                   MODEL("crit", REASON("fallback", "crit", "C.", "F."), "0.02", "0.1", FELL)));
    assert_true(server_story_since(&r.story, &r.view) == r.view.t_ns);
    rig_release(&r);
}

/* Title and next step of every cause, as the pillars name them. */
TEST(verdict_has_words_for_every_cause)
{
    static const struct {
        const char *code;
        bool model;
    } codes[] = {{"lost_transactions", false}, {"ledger_full", false},
                 {"stage_errors", false},      {"sla", false},
                 {"too_old", false},           {"unknown_stage", false},
                 {"holds_expiring", false},    {"of_a_newer_server", false},
                 {"fallback", true},           {"feature_missing", true},
                 {"score_constant", true},     {"labels_silent", true},
                 {"precision_low", true},      {"recall_low", true},
                 {"of_a_newer_server", true}};
    struct rig r;
    struct buf all;
    rig_init(&r);
    buf_init(&all, &r.mem, 1U << 20);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        char status[2048];
        char bad[512];
        (void)snprintf(bad, sizeof bad,
                       "{\"state\":\"warn\",\"reasons\":[{\"code\":\"%s\",\"level\":\"warn\","
                       "\"pt\":\"Motivo 5%%.\",\"en\":\"Reason 5%%.\"}]}",
                       codes[i].code);
        (void)snprintf(status, sizeof status,
                       "{\"time\":\"2026-11-23T17:40:50Z\",\"state\":\"warn\",\"pipeline\":%s,"
                       "\"model\":%s}",
                       codes[i].model ? "{\"state\":\"ok\"}" : bad,
                       codes[i].model ? bad : "{\"state\":\"ok\"}");
        memset(&r.story, 0, sizeof r.story);
        see(&r, status);
        judge(&r);
        buf_fmt(&all, "# %s\n", codes[i].code);
        struct str rest = buf_str(&r.lines);
        while (rest.n > 0) {
            struct str_cut line = str_cut(rest, '\n');
            if (str_starts(line.head, STR("title.")) || str_starts(line.head, STR("next.")) ||
                str_starts(line.head, STR("text.en."))) {
                buf_str_add(&all, line.head);
                buf_char(&all, '\n');
            }
            rest = line.tail;
        }
    }
    buf_reset(&r.lines);
    buf_str_add(&r.lines, buf_str(&all));
    golden(&r, "causes");
    buf_release(&all);
    rig_release(&r);
}
