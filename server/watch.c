/* See watch_int.h.
 *
 *   status (river at rest) -> view -> story, past -> verdict -> /farol/v1/verdict
 *                                                            -> /farol/v1/live, with the status
 *                                                            -> farol_state, farol_reason
 *
 * The last ones are what a restart reads back (past.c), and what boards draw. */
#include "server/watch_int.h"

#include "base/hash.h"
#include "server/fact_int.h"
#include "server/past_int.h"
#include "server/service_int.h"

#include <math.h>
#include <time.h>

#define STATUS_BYTES_MAX  ((size_t)4 << 20)
#define VERDICT_BYTES_MAX ((size_t)256 << 10)
#define QUERY_BYTES_MAX   4096
#define MONEY_PERIOD_NS   (15 * NS_PER_S)
#define BEAT_PERIOD_NS    (10 * NS_PER_S) /* pages call 15 s of silence old */
#define RISK_S_MAX        (24 * 3600)
#define GUARDED_QUERY \
    "sum(increase(fraud_decision_brl_total{decision=~\"deny|cautelar_block\"}[24h]))"

static const struct str pillar_names[] = {STR_INIT("pipeline"), STR_INIT("model")};

static struct verdict_money no_money(void)
{
    double nan = (double)NAN;
    return (struct verdict_money){nan, nan, nan, T_NS_NONE, {NULL, 0}, TEXT_RISK_LOST};
}

void server_watch_init(struct server_watch *w)
{
    memset(w, 0, sizeof *w);
    (void)pthread_mutex_init(&w->mu, NULL);
    mem_init(&w->mem, 0);
    mem_init(&w->verdict_mem, 0);
    buf_init(&w->status, &w->mem, STATUS_BYTES_MAX);
    buf_init(&w->frame, &w->mem, STATUS_BYTES_MAX);
    buf_init(&w->risk_query, &w->mem, QUERY_BYTES_MAX);
    buf_init(&w->verdict, &w->verdict_mem, VERDICT_BYTES_MAX);
    w->risk = w->guarded = no_money();
    w->started = true;
}

void server_watch_release(struct server_watch *w)
{
    if (!w->started) {
        return;
    }
    buf_release(&w->status);
    buf_release(&w->frame);
    buf_release(&w->risk_query);
    buf_release(&w->verdict);
    (void)pthread_mutex_destroy(&w->mu);
    w->started = false;
}

/* Of this machine's zone now, for clock times in sentences. */
static int32_t zone_offset_s(int64_t t_ns)
{
    time_t seconds = (time_t)(t_ns / NS_PER_S);
    struct tm tm;
    return localtime_r(&seconds, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/* Well, not well, or unknown: a warning that becomes critical did not begin then. */
static void pillar_move(struct verdict_pillar *p, enum view_state now, int64_t t_ns)
{
    bool was_bad = p->state >= VIEW_WARN, is_bad = now >= VIEW_WARN;
    if (was_bad != is_bad || (!is_bad && p->state != now)) {
        p->since_ns = t_ns;
    }
    p->state = now;
}

static void remember(struct service *s)
{
    struct server_watch *w = &s->watch;
    const struct server_view *v = &w->view;
    server_story_add(&w->story, v);
    if (w->seen) {
        pillar_move(&w->pipeline, v->pipeline.state, v->t_ns);
        pillar_move(&w->model, v->model.state, v->t_ns);
        return;
    }
    w->pipeline = (struct verdict_pillar){v->pipeline.state, T_NS_NONE};
    w->model = (struct verdict_pillar){v->model.state, T_NS_NONE};
    if (s->metrics.db) {
        server_past_fill(s->metrics.db, s->os, v, &w->story, &w->pipeline, &w->model);
    }
    w->seen = true;
}

/* --- money ------------------------------------------------------------------------------------ */

/* R$ decided since the lead began: what the trouble has touched, exactly. */
static void risk_decided(struct service *s, int64_t since_ns)
{
    struct server_watch *w = &s->watch;
    int64_t age_s = (w->view.t_ns - since_ns) / NS_PER_S;
    double brl;
    if (since_ns == T_NS_NONE || age_s < 1) {
        return;
    }
    buf_reset(&w->risk_query);
    buf_fmt(&w->risk_query, "sum(increase(fraud_decision_brl_total[%llds]))",
            (long long)i64_min(age_s, RISK_S_MAX));
    if (server_past_ask(s->metrics.db, s->os, buf_str(&w->risk_query), ms_from_ns(w->view.t_ns),
                        &brl)) {
        w->risk.brl = brl;
        w->risk.since_ns = since_ns;
        w->risk.query = buf_str(&w->risk_query);
        w->risk.label = TEXT_RISK_DECIDED;
    }
}

/* R$ of fraud let through, once all labels are in: an estimate with its interval. */
static void risk_missed(struct service *s)
{
    struct server_watch *w = &s->watch;
    static const char *const bounds[] = {"lo", "hi", "value"};
    double figures[3];
    bool ok = w->view.recall.cohort.n > 0;
    for (int i = 0; i < 3 && ok; i++) {
        buf_reset(&w->risk_query);
        BUF_LIT(&w->risk_query, "fraud_cohort_missed_brl_corrected{cohort=");
        buf_json_str(&w->risk_query, view_str(&w->view.recall.cohort));
        buf_fmt(&w->risk_query, ",bound=\"%s\"}", bounds[i]);
        ok = server_past_ask(s->metrics.db, s->os, buf_str(&w->risk_query),
                             ms_from_ns(w->view.t_ns), &figures[i]);
    }
    if (ok) {
        w->risk = (struct verdict_money){
            figures[2],      figures[0], figures[1], T_NS_NONE, buf_str(&w->risk_query),
            TEXT_RISK_MISSED};
    }
}

static void count_money(struct service *s)
{
    struct server_watch *w = &s->watch;
    const struct server_view *v = &w->view;
    bool of_model = false;
    const struct view_reason *lead = server_story_lead(v, &of_model);
    w->risk = w->guarded = no_money();
    if (lead && lead->cause == VIEW_CAUSE_LOST && v->lost_brl > 0) {
        buf_reset(&w->risk_query);
        server_fact_query(v, FACT_LOST_BRL, &w->risk_query);
        w->risk.brl = v->lost_brl;
        w->risk.query = buf_str(&w->risk_query);
    } else if (lead && s->metrics.db && lead->cause == VIEW_CAUSE_RECALL) {
        risk_missed(s);
    } else if (lead && s->metrics.db && of_model) {
        risk_decided(s, server_story_since(&w->story, v));
    }
    double brl;
    if (s->metrics.db &&
        server_past_ask(s->metrics.db, s->os, STR(GUARDED_QUERY), ms_from_ns(v->t_ns), &brl)) {
        w->guarded.brl = brl;
        w->guarded.query = STR(GUARDED_QUERY);
        w->guarded.label = TEXT_GUARDED_DENIED;
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static void show(struct server_watch *w)
{
    const struct verdict_facts f = {.view = &w->view,
                                    .story = &w->story,
                                    .pipeline = w->pipeline,
                                    .model = w->model,
                                    .risk = w->risk,
                                    .guarded = w->guarded,
                                    .utc_offset_s = zone_offset_s(w->view.t_ns)};
    const struct view_pillar *p[] = {&w->view.pipeline, &w->view.model};
    (void)pthread_mutex_lock(&w->mu);
    buf_reset(&w->verdict);
    server_verdict_json(&f, &w->verdict);
    w->shown[0] = w->pipeline;
    w->shown[1] = w->model;
    memset(w->reasons, 0, sizeof w->reasons);
    for (int i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < p[i]->reasons_count; k++) {
            const struct view_reason *r = &p[i]->reasons[k];
            enum view_state *level = &w->reasons[i][r->cause];
            *level = r->level > *level ? r->level : *level;
        }
    }
    w->shown_once = true;
    (void)pthread_mutex_unlock(&w->mu);
}

/* The status with the verdict in it, to whoever listens: when it changed, and now and then anyway,
 * because a page must know that silence is not death. */
static void tell(struct service *s)
{
    struct server_watch *w = &s->watch;
    struct str status = str_trim(buf_str(&w->status));
    int64_t now = os_mono_ns(s->os);
    struct err e = {0};
    if (!s->live || !str_ends(status, STR("}"))) {
        return;
    }
    buf_reset(&w->frame);
    buf_str_add(&w->frame, str_sub(status, 0, status.n - 1));
    BUF_LIT(&w->frame, ",\"verdict\":");
    if (!server_watch_verdict(w, &w->frame, &e)) {
        return;
    }
    BUF_LIT(&w->frame, "}");
    /* Of equal states only the time differs, which stands before the first "state". */
    const char *from = memmem(w->frame.p, w->frame.n, "\"state\":", 8);
    uint64_t hash =
        hash64(str_sub(buf_str(&w->frame), from ? (size_t)(from - w->frame.p) : 0, w->frame.n));
    if (hash != w->told_hash || now - w->told_mono_ns >= BEAT_PERIOD_NS) {
        w->told_hash = hash;
        w->told_mono_ns = now;
        web_live_tell(s->live, "status", buf_str(&w->frame));
    }
}

void server_watch_look(struct service *s)
{
    struct server_watch *w = &s->watch;
    struct err e = {0};
    buf_reset(&w->status);
    server_api_status(s, &w->status);
    if (!buf_ok(&w->status, &e) || !server_view_read(s->json, buf_str(&w->status), &w->view, &e)) {
        log_err(s->log, LOG_WARN, "server", &e);
        if (s->live) {
            web_live_beat(s->live);
        }
        return;
    }
    remember(s);
    int64_t now = os_mono_ns(s->os);
    if (w->money_mono_ns == 0 || now - w->money_mono_ns >= MONEY_PERIOD_NS) {
        w->money_mono_ns = now;
        count_money(s);
    }
    show(w);
    tell(s);
}

bool server_watch_verdict(struct server_watch *w, struct buf *out, struct err *e)
{
    (void)pthread_mutex_lock(&w->mu);
    bool ok = w->verdict.n > 0 && buf_ok(&w->verdict, e);
    if (ok) {
        buf_str_add(out, buf_str(&w->verdict));
    }
    (void)pthread_mutex_unlock(&w->mu);
    return ok || err_set(e, ERR_BUSY, "no verdict yet: the server has just started");
}

void server_watch_publish(struct server_watch *w, struct expo *x)
{
    struct expo_family *state =
        expo_family(x, EXPO_GAUGE, STR("farol_state"), STR(""),
                    STR("State of a pillar: 0 ok, 1 no data, 2 warning, 3 critical."));
    struct expo_family *reason =
        expo_family(x, EXPO_GAUGE, STR("farol_reason"), STR(""),
                    STR("Reasons why a pillar is not ok, by code: 2 warning, 3 critical."));
    (void)pthread_mutex_lock(&w->mu);
    for (int i = 0; i < 2 && w->shown_once; i++) {
        const struct label pillar = {STR("pillar"), pillar_names[i]};
        expo_add(x, state, &pillar, 1, (double)w->shown[i].state);
        for (int c = 0; c < VIEW_CAUSES; c++) {
            const struct label l[] = {
                {STR("code"), str_from_c(server_view_cause_code((enum view_cause)c))}, pillar};
            if (w->reasons[i][c] >= VIEW_WARN) {
                expo_add(x, reason, l, 2, (double)w->reasons[i][c]);
            }
        }
    }
    (void)pthread_mutex_unlock(&w->mu);
}
