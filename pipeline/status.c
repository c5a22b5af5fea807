/* The pillar in one JSON object, for the board: a state, why, and the numbers behind it.
 *
 *   {"state":"ok|warn|crit|none","reasons":[{"code","level","pt","en"}],
 *    "ledger":{"entered","left","in_flight","lost","lost_brl","closes","settled","denied",
 *              "dropped","dlq","failed","too_old","shed"},
 *    "stages":[{"name","rate_per_s","errors_per_s","p50_ms","p99_ms","queue_p99_ms","duplicates",
 *               "retries","lost_after","version","version_since","version_deployed","versions"}],
 *    "tx_per_s","decisions_per_s","decision_p50_ms","decision_p99_ms","hold_open",
 *    "hold_expiring_5m","watermark","window_s"}
 *
 * decision_p50_ms and decision_p99_ms are of the decisions' whole latency (latency_us.total, else
 * the sum of latency_us), null without one. Rates, quantiles, duplicates and retries are of the
 * last 60 seconds of arrivals; lost_after counts what is lost now with that stage as the last one
 * passed. version is the one first seen last among those with events in the last 60 seconds,
 * versions their number; version_deployed: it was not there when the stage was first seen
 * (versions.c). Without arrivals the state is "none": no data is not green. Sentences write numbers
 * as their language does; JSON numbers are JSON's. */
#include "base/num.h"
#include "pipeline/pipeline_int.h"

#include <math.h>
#include <stdio.h>

#define LOST_SHARE_CRIT  1e-4 /* domain.md 5.2 number 3 */
#define ERROR_SHARE_WARN 0.05
#define ERROR_SHARE_CRIT 0.20
#define SLA_SAMPLES_MIN  100

enum level { LEVEL_NONE, LEVEL_OK, LEVEL_WARN, LEVEL_CRIT };

struct board {
    struct buf *out;
    const struct pipeline_plan *plan;
    enum level level;
    uint32_t reasons;
};

static void reason(struct board *b, enum level level, const char *code, const char *pt,
                   const char *en)
{
    buf_fmt(b->out, "%s{\"code\":\"%s\",\"level\":\"%s\",\"pt\":", b->reasons > 0 ? "," : "", code,
            level == LEVEL_CRIT   ? "crit"
            : level == LEVEL_WARN ? "warn"
                                  : "none");
    buf_json_str(b->out, str_from_c(pt));
    BUF_LIT(b->out, ",\"en\":");
    buf_json_str(b->out, str_from_c(en));
    buf_char(b->out, '}');
    b->reasons++;
    b->level = level > b->level ? level : b->level;
}

/* What stands before a number, and what follows it. */
struct words {
    const char *before[LANGS];
    struct num_words after;
};

static void reason_counted(struct board *b, enum level level, const char *code, uint64_t n,
                           const struct words *w)
{
    char text[LANGS][256];
    for (int i = 0; i < LANGS; i++) {
        snprintf(text[i], sizeof text[i], "%s%s %s", w->before[i] ? w->before[i] : "",
                 num_text_u64((enum lang)i, n).text, num_word(&w->after, (enum lang)i, n));
    }
    reason(b, level, code, text[LANG_PT], text[LANG_EN]);
}

static const struct words ledger_full = {
    .before = {"o livro de transações está cheio: ", "the ledger is full: "},
    .after.one = {"evento recusado no último minuto", "event refused in the last minute"},
    .after.many = {"eventos recusados no último minuto", "events refused in the last minute"},
};
static const struct words too_old = {
    .after.one = {"evento chegou tarde demais e não entrou no livro",
                  "event came too late and was not entered"},
    .after.many = {"eventos chegaram tarde demais e não entraram no livro",
                   "events came too late and were not entered"},
};
static const struct words unknown_stage = {
    .after.one = {"evento de uma etapa que não está em pipeline.stages",
                  "event of a stage that is not in pipeline.stages"},
    .after.many = {"eventos de etapas que não estão em pipeline.stages",
                   "events of stages that are not in pipeline.stages"},
};
static const struct words holds_expiring = {
    .after.one = {"retenção vence em menos de 5 minutos", "hold ends within 5 minutes"},
    .after.many = {"retenções vencem em menos de 5 minutos", "holds end within 5 minutes"},
};

static const struct num_words lost_words = {
    .one = {"transação se perdeu", "transaction was"},
    .many = {"transações se perderam", "transactions were"},
};

static void lost_reason(struct board *b, const struct pipeline_snapshot *d, int64_t centavos)
{
    bool many = (double)d->lost > LOST_SHARE_CRIT * (double)d->entered;
    char pt[256];
    char en[256];
    snprintf(pt, sizeof pt, "%s %s no último minuto; %s perdidos no total",
             num_text_u64(LANG_PT, d->lost).text, num_word(&lost_words, LANG_PT, d->lost),
             num_text_centavos(LANG_PT, centavos).text);
    snprintf(en, sizeof en, "%s %s lost in the last minute; %s lost in total",
             num_text_u64(LANG_EN, d->lost).text, num_word(&lost_words, LANG_EN, d->lost),
             num_text_centavos(LANG_EN, centavos).text);
    reason(b, many ? LEVEL_CRIT : LEVEL_WARN, "lost_transactions", pt, en);
}

static void ledger_reasons(struct board *b, const struct pipeline_rates *r,
                           const struct pipeline_total *t)
{
    const struct pipeline_snapshot *d = &r->d;
    if (d->lost > 0) {
        lost_reason(b, d, pipeline_lost_centavos(&t->ledger));
    }
    if (d->shed > 0) {
        reason_counted(b, LEVEL_CRIT, "ledger_full", d->shed, &ledger_full);
    }
    if (d->too_old > 0) {
        reason_counted(b, LEVEL_WARN, "too_old", d->too_old, &too_old);
    }
    if (d->unknown > 0) {
        reason_counted(b, LEVEL_WARN, "unknown_stage", d->unknown, &unknown_stage);
    }
    if (t->hold_due_5m > 0) {
        reason_counted(b, LEVEL_WARN, "holds_expiring", t->hold_due_5m, &holds_expiring);
    }
}

static void stage_reasons(struct board *b, const struct pipeline_rates *r)
{
    for (uint32_t i = 0; i < b->plan->stages_count; i++) {
        const struct pipeline_window_stage *s = &r->d.stage[i];
        double share = s->events >= 20 ? (double)s->errors / (double)s->events : 0;
        if (share > ERROR_SHARE_WARN) {
            struct str name = b->plan->config->stages.v[i];
            char pt[256];
            char en[256];
            snprintf(pt, sizeof pt, "%s de erros na etapa %.*s",
                     num_text_percent(LANG_PT, share, 1).text, STR_FMT(name));
            snprintf(en, sizeof en, "%s errors at stage %.*s",
                     num_text_percent(LANG_EN, share, 1).text, STR_FMT(name));
            reason(b, share > ERROR_SHARE_CRIT ? LEVEL_CRIT : LEVEL_WARN, "stage_errors", pt, en);
        }
    }
}

/* Share of samples above the edge with index `edge`, NaN with too few samples. */
static double share_over(const uint64_t buckets[26], uint32_t edge)
{
    uint64_t total = 0;
    uint64_t over = 0;
    for (uint32_t i = 0; i < 26; i++) {
        total += buckets[i];
        over += i > edge ? buckets[i] : 0;
    }
    return total >= SLA_SAMPLES_MIN ? (double)over / (double)total : (double)NAN;
}

static void sla_reasons(struct board *b, const struct pipeline_rates *r)
{
    /* Limits of the Manual de Tempos: percentile allowed above the limit. */
    static const struct {
        enum sla_segment segment;
        uint32_t edge;
        double allowed;
        const char *name;
        const char *limit[LANGS];
    } limits[] = {
        {SLA_T1_T0, 15, 0.05, "t1-t0", {"1,5", "1.5"}},
        {SLA_T3_T2, 17, 0.05, "t3-t2", {"2,3", "2.3"}},
        {SLA_T6A_T0, 21, 0.01, "t6a-t0", {"10", "10"}},
    };
    for (uint32_t i = 0; i < ARRAY_LEN(limits); i++) {
        double share = share_over(r->d.sla[limits[i].segment], limits[i].edge);
        if (share > limits[i].allowed) { /* false for NaN */
            double allowed = limits[i].allowed;
            char pt[256];
            char en[256];
            snprintf(pt, sizeof pt, "%s do segmento %s acima de %s s (permitido %s)",
                     num_text_percent(LANG_PT, share, 1).text, limits[i].name,
                     limits[i].limit[LANG_PT], num_text_percent(LANG_PT, allowed, 0).text);
            snprintf(en, sizeof en, "%s of segment %s above %s s (allowed %s)",
                     num_text_percent(LANG_EN, share, 1).text, limits[i].name,
                     limits[i].limit[LANG_EN], num_text_percent(LANG_EN, allowed, 0).text);
            reason(b, LEVEL_CRIT, "sla", pt, en);
        }
    }
}

static void put_ms(struct buf *out, const char *key, double s)
{
    buf_fmt(out, ",\"%s\":", key);
    buf_json_f64(out, s * 1000);
}

static void put_rate(struct buf *out, const char *key, uint64_t n, double seconds)
{
    buf_fmt(out, ",\"%s\":", key);
    buf_json_f64(out, seconds > 0 ? (double)n / seconds : 0);
}

static void put_version(struct buf *out, const struct pipeline_versions *s, int64_t watermark_ns)
{
    uint32_t live;
    const struct pipeline_version *v = pipeline_versions_newest(s, watermark_ns, &live);
    if (v) {
        BUF_LIT(out, ",\"version\":");
        buf_json_str(out, pipeline_version_text(v));
        BUF_LIT(out, ",\"version_since\":\"");
        time_format(out, v->first_ns);
        buf_fmt(out, "\",\"version_deployed\":%s",
                pipeline_version_is_deploy(s, v) ? "true" : "false");
    } else {
        BUF_LIT(out, ",\"version\":null,\"version_since\":null,\"version_deployed\":false");
    }
    buf_fmt(out, ",\"versions\":%u", live);
}

static void put_stages(struct buf *out, const struct pipeline *p, const struct pipeline_rates *r,
                       const struct pipeline_total *t)
{
    BUF_LIT(out, ",\"stages\":[");
    for (uint32_t i = 0; i < p->plan.stages_count; i++) {
        const struct pipeline_window_stage *s = &r->d.stage[i];
        buf_fmt(out, "%s{\"name\":", i > 0 ? "," : "");
        buf_json_str(out, p->plan.config->stages.v[i]);
        put_rate(out, "rate_per_s", s->events, r->seconds);
        put_rate(out, "errors_per_s", s->errors, r->seconds);
        put_ms(out, "p50_ms", pipeline_quantile_s(s->duration, 0.50));
        put_ms(out, "p99_ms", pipeline_quantile_s(s->duration, 0.99));
        put_ms(out, "queue_p99_ms", pipeline_quantile_s(s->queue, 0.99));
        /* The last position has no next stage, so nothing is lost after it. */
        uint64_t lost = t->ledger.lost[i + 1] - t->ledger.recovered[i + 1];
        buf_fmt(out, ",\"duplicates\":%llu,\"retries\":%llu,\"lost_after\":%llu",
                (unsigned long long)s->duplicates, (unsigned long long)s->retries,
                (unsigned long long)lost);
        put_version(out, &t->stages.stage[i].versions, p->watermark_ns);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void put_ledger(struct buf *out, const struct pipeline_ledger_counts *c)
{
    int64_t centavos = pipeline_lost_centavos(c);
    buf_fmt(out, ",\"ledger\":{\"entered\":%llu,\"left\":%llu,\"in_flight\":%llu,\"lost\":%llu",
            (unsigned long long)c->entered, (unsigned long long)pipeline_ledger_left(c),
            (unsigned long long)c->state[PIPELINE_IN_FLIGHT],
            (unsigned long long)pipeline_ledger_lost_now(c));
    buf_fmt(out, ",\"lost_brl\":%lld.%02lld,\"closes\":%s", (long long)(centavos / 100),
            (long long)(centavos % 100), pipeline_ledger_closes(c) ? "true" : "false");
    for (uint32_t s = PIPELINE_SETTLED; s < PIPELINE_STATES; s++) {
        buf_fmt(out, ",\"%.*s\":%llu", STR_FMT(pipeline_state_text(s)),
                (unsigned long long)c->state[s]);
    }
    buf_fmt(out, ",\"too_old\":%llu,\"shed\":%llu}", (unsigned long long)c->too_old,
            (unsigned long long)c->shed);
}

static void arrivals(struct board *b, const struct pipeline_rates *r,
                     const struct pipeline_total *t)
{
    if (t->records == 0 && t->ledger.entered == 0) {
        reason(b, LEVEL_NONE, "no_data", "nenhum evento do pipeline chegou ainda",
               "no pipeline event has arrived yet");
    } else if (r->d.stage_events + r->d.decisions == 0) {
        char pt[256];
        char en[256];
        snprintf(pt, sizeof pt, "nenhum evento do pipeline nos últimos %.0f s", r->seconds);
        snprintf(en, sizeof en, "no pipeline event in the last %.0f s", r->seconds);
        reason(b, LEVEL_NONE, "no_arrivals", pt, en);
    } else {
        b->level = LEVEL_OK;
    }
}

void pipeline_status(void *app, void *const *states, uint32_t n, int64_t now_ns, struct buf *out)
{
    const struct pipeline *p = app;
    struct pipeline_total t;
    pipeline_total_of(p, states, n, &t);
    struct pipeline_snapshot now;
    pipeline_snapshot_of(&t, &p->plan, now_ns, &now);
    struct pipeline_rates r;
    pipeline_window_rates(&p->window, &now, &r);
    static const char *const levels[] = {"none", "ok", "warn", "crit"};
    BUF_LIT(out, "{\"reasons\":[");
    struct board b = {.out = out, .plan = &p->plan, .level = LEVEL_NONE};
    arrivals(&b, &r, &t);
    ledger_reasons(&b, &r, &t);
    stage_reasons(&b, &r);
    sla_reasons(&b, &r);
    buf_fmt(out, "],\"state\":\"%s\"", levels[b.level]);
    put_ledger(out, &t.ledger);
    put_stages(out, p, &r, &t);
    put_rate(out, "tx_per_s", r.d.entered > 0 ? r.d.entered : r.d.decisions, r.seconds);
    put_rate(out, "decisions_per_s", r.d.decisions, r.seconds);
    put_ms(out, "decision_p50_ms", pipeline_quantile_s(r.d.decision_latency, 0.50));
    put_ms(out, "decision_p99_ms", pipeline_quantile_s(r.d.decision_latency, 0.99));
    buf_fmt(out, ",\"hold_open\":%llu,\"hold_expiring_5m\":%llu,\"watermark\":",
            (unsigned long long)t.hold_open, (unsigned long long)t.hold_due_5m);
    if (p->watermark_ns == T_NS_NONE) {
        BUF_LIT(out, "null");
    } else {
        buf_char(out, '"');
        time_format(out, p->watermark_ns);
        buf_char(out, '"');
    }
    buf_fmt(out, ",\"window_s\":%.0f}", r.seconds);
}
