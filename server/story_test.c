/* Tests of the sentence (server/story.c): golden in both languages, and silent about what the
 * status does not say. */
#include "server/story_int.h"

#include "base/test.h"

#include <math.h>
#include <stdio.h>

#define CALM                                                                               \
    "{\"time\":\"2026-11-23T17:40:50Z\",\"state\":\"ok\",\"pipeline\":{\"state\":\"ok\","  \
    "\"reasons\":[],\"decision_p99_ms\":54.2},\"model\":{\"state\":\"ok\",\"reasons\":[]," \
    "\"hold_share\":0.01,\"fallback_share\":0,\"precision\":{\"value\":0.842,\"lo\":0.79," \
    "\"hi\":0.88}}}"
#define REASON(code, level) \
    "{\"code\":\"" code "\",\"level\":\"" level "\",\"pt\":\"Motivo.\",\"en\":\"Reason.\"}"
#define TROUBLE(stages, p99, hold, precision, reasons)                                      \
    "{\"time\":\"2026-11-23T17:41:05Z\",\"state\":\"crit\",\"pipeline\":{\"state\":\"ok\"," \
    "\"reasons\":[],\"stages\":[" stages "],"                                               \
    "\"ledger\":{\"lost\":3,\"lost_brl\":61412.5},\"decision_p99_ms\":" p99                 \
    "},\"model\":{\"state\":\"crit\",\"reasons\":[" reasons "],\"hold_share\":" hold        \
    ",\"fallback_share\":0.124,\"feature_worst\":{\"name\":\"device_age_days\","            \
    "\"null_or_default_share\":0.126},\"precision\":" precision "}}"
#define WRONG(p99, hold, precision, reasons) TROUBLE("", p99, hold, precision, reasons)
#define STAGE(name, version, since, deployed)                                                  \
    "{\"name\":\"" name "\",\"version\":\"" version "\",\"version_since\":\"2026-11-23T" since \
    "Z\",\"version_deployed\":" deployed "}"
#define FELL "{\"value\":0.531,\"lo\":0.49,\"hi\":0.57}"

static void read_view(const char *json, struct server_view *v)
{
    struct mem mem;
    struct err e = {0};
    mem_init(&mem, 0);
    struct json_parser *p = json_parser_new(&mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    assert_true(server_view_read(p, str_from_c(json), v, &e));
    json_parser_free(p);
    assert_int_equal(mem.bytes, 0);
}

/* The sentences of `now` for somebody who saw `before` first; before NULL: who asks once. */
static void says(const char *before, const char *now, const char *pt, const char *en)
{
    struct server_story story;
    struct server_view v;
    struct mem mem;
    struct buf out;
    memset(&story, 0, sizeof story);
    mem_init(&mem, 0);
    buf_init(&out, &mem, 4096);
    if (before) {
        read_view(before, &v);
        server_story_add(&story, &v);
    }
    read_view(now, &v);
    server_story_add(&story, &v);
    for (int lang = 0; lang < LANGS; lang++) {
        buf_reset(&out);
        server_story_text(before ? &story : NULL, &v, (enum lang)lang, -3 * 3600, &out);
        assert_str(buf_str(&out), str_from_c(lang == LANG_PT ? pt : en));
    }
    buf_release(&out);
    assert_int_equal(mem.bytes, 0);
}

TEST(story_of_the_redis_night)
{
    says(CALM,
         WRONG("55.1", "0.021", FELL,
               REASON("precision_low", "crit") "," REASON("feature_missing",
                                                          "warn") "," REASON("fallback", "crit")),
         "12,4% das decisões usam contingência e device_age_days está nula ou no valor padrão em "
         "12,6% desde 14:41; retenções 2,1x, precisão 53,1% (era 84,2%), latência sem mudança "
         "(p99 55 ms).",
         "12.4% of decisions use a fallback and device_age_days is null or at its default in 12.6% "
         "since 14:41; holds 2.1x, precision 53.1% (was 84.2%), latency unchanged (p99 55 ms).");
}

TEST(story_claims_only_what_changed)
{
    /* Holds within the noise, a precision whose interval still meets the earlier one, and a
     * latency that is not green. */
    says(CALM,
         WRONG("140", "0.011", "{\"value\":0.80,\"lo\":0.74,\"hi\":0.85}",
               REASON("fallback", "warn")),
         "12,4% das decisões usam contingência (fallback) desde 14:41; decisão p99 140 ms (era 54 "
         "ms).",
         "12.4% of decisions use a fallback since 14:41; decision p99 140 ms (was 54 ms).");
    says(CALM, WRONG("null", "0.004", "null", REASON("feature_missing", "warn")),
         "device_age_days está nula ou no valor padrão em 12,6% das decisões desde 14:41; "
         "retenções 0,4x.",
         "device_age_days is null or at its default in 12.6% of decisions since 14:41; holds "
         "0.4x.");
}

#define DEPLOYED(stages) TROUBLE(stages, "55.1", "0.021", FELL, REASON("fallback", "crit"))
#define SAID_PT                                                                         \
    "12,4% das decisões usam contingência (fallback) desde 14:41; retenções 2,1x, " \
    "precisão 53,1% (era 84,2%), latência sem mudança (p99 55 ms)"
#define SAID_EN                                                                              \
    "12.4% of decisions use a fallback since 14:41; holds 2.1x, precision 53.1% (was 84.2%)" \
    ", latency unchanged (p99 55 ms)"

TEST(story_tells_a_deploy_of_the_last_fifteen_minutes)
{
    says(CALM, DEPLOYED(STAGE("features", "2.8.1", "17:41:00", "true")),
         SAID_PT "; features em 2.8.1 desde 14:41.", SAID_EN "; features at 2.8.1 since 14:41.");
    /* Fifteen minutes are in, a second more is not; nor is what comes after the status. */
    says(CALM, DEPLOYED(STAGE("act", "3", "17:26:05", "true")), SAID_PT "; act em 3 desde 14:26.",
         SAID_EN "; act at 3 since 14:26.");
    says(CALM, DEPLOYED(STAGE("act", "3", "17:26:04", "true")), SAID_PT ".", SAID_EN ".");
    says(CALM, DEPLOYED(STAGE("act", "3", "17:41:06", "true")), SAID_PT ".", SAID_EN ".");
    /* What was there when the stage was first seen is no deploy. */
    says(CALM, DEPLOYED(STAGE("act", "3", "17:40:00", "false")), SAID_PT ".", SAID_EN ".");
    /* The newest of several, the first of equally new ones. */
    says(CALM,
         DEPLOYED(STAGE("enrich", "1", "17:30:00", "true") "," STAGE(
             "features", "2.8.1", "17:40:00", "true") "," STAGE("act", "3", "17:40:00", "true")),
         SAID_PT "; features em 2.8.1 desde 14:40.", SAID_EN "; features at 2.8.1 since 14:40.");
    /* Without an onset there is nothing that it came before. */
    says(NULL, DEPLOYED(STAGE("features", "2.8.1", "17:41:00", "true")),
         "12,4% das decisões usam contingência (fallback); decisão p99 55 ms.",
         "12.4% of decisions use a fallback; decision p99 55 ms.");
}

TEST(story_of_one_look_has_no_past)
{
    says(NULL,
         WRONG("55.1", "0.021", FELL,
               REASON("precision_low", "crit") "," REASON("fallback", "warn")),
         "12,4% das decisões usam contingência (fallback); precisão 53,1%, decisão p99 55 ms.",
         "12.4% of decisions use a fallback; precision 53.1%, decision p99 55 ms.");
    says(NULL, CALM, "Tudo normal.", "All is normal.");
    /* Somebody who began to look in the middle of it knows as little. */
    says(WRONG("55.1", "0.02", FELL, REASON("fallback", "warn")),
         WRONG("55.1", "0.021", FELL, REASON("fallback", "warn")),
         "12,4% das decisões usam contingência (fallback); decisão p99 55 ms.",
         "12.4% of decisions use a fallback; decision p99 55 ms.");
}

TEST(story_lead_is_the_cause)
{
    says(NULL,
         WRONG("null", "0.02", "null",
               REASON("fallback", "warn") "," REASON("lost_transactions", "crit")),
         "Transações perdidas: 3 (R$ 61,4 mil).", "Transactions lost: 3 (R$61.4k).");
    says(NULL, WRONG("null", "0.02", "null", REASON("precision_low", "crit")), "Motivo.",
         "Reason.");
    says(NULL, WRONG("null", "0.02", "null", REASON("of_a_newer_server", "warn")), "Motivo.",
         "Reason.");
    says(NULL, "{\"state\":\"none\"}", "", "");
}

TEST(story_counts_how_long_all_is_well)
{
    says(CALM,
         "{\"time\":\"2026-11-23T17:42:55Z\",\"state\":\"ok\",\"pipeline\":{\"state\":\"ok\"},"
         "\"model\":{\"state\":\"ok\"}}",
         "Tudo normal há 2 min 5 s.", "All has been normal for 2 min 5 s.");
    /* A warning in between starts the count anew; a warning without a reason has no sentence. */
    says("{\"time\":\"2026-11-23T17:41:00Z\",\"state\":\"warn\"}",
         "{\"time\":\"2026-11-23T17:42:55Z\",\"state\":\"ok\",\"pipeline\":{\"state\":\"ok\"},"
         "\"model\":{\"state\":\"ok\"}}",
         "Tudo normal há 0 s.", "All has been normal for 0 s.");
}
