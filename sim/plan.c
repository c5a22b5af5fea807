/* What happens to one transaction: when each stage starts and ends, what the model answers, what is
 * decided, how it ends, and where a fault changes that.
 *
 *   ingest - enrich - features - score - decide (+ the decision event) - act - settle
 *
 * All randomness of the plan is drawn first (struct draws), in fixed order: so a fault that, say,
 * adds a retry does not shift the later draws, and outside its window a run keeps its bytes.
 * A fault acts on a stage when the time at which that stage ends (enrich and settle under timeouts:
 * starts) is inside its window. Invariant: steps are in time order; at most STEPS_MAX. */
#include "sim/sim_int.h"

#include <math.h>

#define DICT_TIMEOUT_NS  (250 * NS_PER_MS)
#define SCORE_TIMEOUT_NS (300 * NS_PER_MS)
#define AB03_NS          (40 * NS_PER_S)
#define REDIS_SHARDS     8

static const char *const reject_names[SIM_REJECTS] = {"AC03", "AC06", "AB03", "DS04",
                                                      "AM02", "BE01", "AM04", "RR04"};

struct draws {
    int64_t queue[SIM_STAGES], work[SIM_STAGES];
    double retry, reject, reason, expired, analyst, redis, redis_height;
    double review, step_up_s;
    uint8_t host[SIM_STAGES];
};

struct plan {
    struct sim *s;
    struct tx *t;
    const struct draws *d;
    int64_t at;
};

static void draws_make(const struct sim *s, struct rng *r, const struct tx *t, struct draws *d)
{
    double common = exp(s->c.stages.common_sigma * rng_normal(r));
    for (int i = 0; i < SIM_STAGES; i++) {
        double slow = i == ST_SETTLE ? 1 : common;
        double work = s->c.stages.stage[i].work_ms * slow;
        work *= exp(s->c.stages.stage[i].sigma * rng_normal(r));
        double queue = s->c.stages.stage[i].queue_ms * slow * rng_exp(r);
        d->work[i] = 1000 + (int64_t)(work * 1e6);
        d->queue[i] = (int64_t)(queue * 1e6);
        d->host[i] = (uint8_t)(sim_mix(t->number, (uint64_t)i) % (uint64_t)s->c.stages.hosts);
    }
    d->retry = rng_f64(r);
    d->reject = rng_f64(r);
    d->reason = rng_f64(r);
    d->expired = rng_f64(r);
    d->analyst = rng_f64(r);
    d->redis = rng_f64(r);
    d->redis_height = rng_f64(r);
    d->review = exp(s->c.holds.review_sigma * rng_normal(r));
    d->step_up_s = 5 + 10 * rng_f64(r);
}

/* Appends one attempt of a stage; the plan's time moves to its end. */
static struct step *step_add(struct plan *p, enum stage_idx stage, enum stage_outcome outcome,
                             int64_t queue, int64_t work, const char *reason)
{
    struct tx *t = p->t;
    ASSERT(t->steps_count < STEPS_MAX);
    struct step *q = &t->steps[t->steps_count++];
    uint8_t attempt = 1;
    if (t->steps_count > 1 && q[-1].stage == stage) {
        attempt = (uint8_t)(q[-1].attempt + 1);
    }
    *q = (struct step){.start = p->at,
                       .end = p->at + queue + work,
                       .queue = queue,
                       .reason = reason,
                       .stage = (uint8_t)stage,
                       .outcome = (uint8_t)outcome,
                       .attempt = attempt,
                       .host = p->d->host[stage]};
    p->at = q->end;
    t->latency_ns[stage] += queue + work;
    return q;
}

static void plan_enrich(struct plan *p)
{
    struct tx *t = p->t;
    int64_t queue = p->d->queue[ST_ENRICH], work = p->d->work[ST_ENRICH];
    if (t->key == KEY_NONE) {
        step_add(p, ST_ENRICH, OUTCOME_SKIP, queue, 100000, NULL);
        return;
    }
    struct fault_state *f = sim_fault_at(p->s, SIM_DICT, p->at);
    if (f && sim_fault_strikes(p->s, f, t->number, 0)) {
        step_add(p, ST_ENRICH, OUTCOME_ERROR, queue, DICT_TIMEOUT_NS, "dict_timeout");
        step_add(p, ST_ENRICH, OUTCOME_OK, 0, NS_PER_MS, "fallback_dict");
        t->fallback = FALLBACK_DICT;
        for (int i = 0; i < SIM_NUMBERS; i++) {
            t->values[i] = sim_numbers[i].dict ? NUMBER_NULL : t->values[i];
        }
        return;
    }
    if (p->d->retry < p->s->c.stages.retry_share) {
        step_add(p, ST_ENRICH, OUTCOME_RETRY, queue, work, "http_503");
        queue = 5 * NS_PER_MS;
    }
    step_add(p, ST_ENRICH, OUTCOME_OK, queue, work, NULL);
}

static void redis_apply(struct plan *p, struct step *q)
{
    struct tx *t = p->t;
    struct fault_state *f = sim_fault_at(p->s, SIM_REDIS, q->end);
    if (!f) {
        return;
    }
    q->version = sim_fault_index(p->s, f);
    if (t->payer % REDIS_SHARDS != 0) {
        return;
    }
    f->affected++;
    t->redis = true;
    t->fallback = FALLBACK_FEATURES;
    for (int i = 0; i < SIM_NUMBERS; i++) {
        if (sim_numbers[i].store) {
            static const int64_t unit[] = {1, 10, 100, 1000};
            t->values[i] = -unit[sim_numbers[i].dp];
        }
    }
}

static void plan_features(struct plan *p)
{
    struct tx *t = p->t;
    struct step *q = step_add(p, ST_FEATURES, OUTCOME_OK, p->d->queue[ST_FEATURES],
                              p->d->work[ST_FEATURES], NULL);
    redis_apply(p, q);
    struct fault_state *f = sim_fault_at(p->s, SIM_NULLS, q->end);
    if (f && sim_fault_strikes(p->s, f, t->number, 0)) {
        t->values[f->f.feature] = NUMBER_NULL;
    }
    f = sim_fault_at(p->s, SIM_UNIT, q->end);
    if (f && t->values[f->f.feature] != NUMBER_NULL && sim_fault_strikes(p->s, f, t->number, 0)) {
        double v = (double)t->values[f->f.feature] * f->f.value;
        t->values[f->f.feature] = (int64_t)llround(fmin(fmax(v, -9e17), 9e17));
    }
}

/* A good payment of the broken shard: with defaults in place of its history the model holds as many
 * more of these as there are holds without the fault. */
static double redis_logit(const struct plan *p, const struct fault_state *f, double z)
{
    double at = log(p->s->c.model.threshold / (1 - p->s->c.model.threshold));
    double deny = fmin(p->s->c.model.deny, 0.999999);
    double q = p->s->scorer.redis_share * (f ? f->f.value : 1);
    if (p->t->pattern != PAT_NONE || p->d->redis >= q) {
        return z;
    }
    return at + p->d->redis_height * (log(deny / (1 - deny)) - at) * 0.999;
}

static void plan_score(struct plan *p)
{
    struct sim *s = p->s;
    struct tx *t = p->t;
    int64_t queue = p->d->queue[ST_SCORE], work = p->d->work[ST_SCORE];
    int64_t end = p->at + queue + work;
    struct fault_state *f = sim_fault_at(s, SIM_FAIL_OPEN, end);
    if (f && sim_fault_strikes(s, f, t->number, 0)) {
        step_add(p, ST_SCORE, OUTCOME_ERROR, queue, SCORE_TIMEOUT_NS, "timeout");
        step_add(p, ST_SCORE, OUTCOME_SKIP, 0, 100000, "fallback_timeout");
        t->fallback = FALLBACK_TIMEOUT;
        t->score = 0;
        return;
    }
    f = sim_fault_at(s, SIM_SLOW_SCORE, end);
    if (f && sim_fault_strikes(s, f, t->number, 0)) {
        work = (int64_t)fmin((double)work * f->f.value, 60e9);
        t->model_version = sim_fault_index(s, f);
    }
    struct step *q = step_add(p, ST_SCORE, OUTCOME_OK, queue, work, NULL);
    q->version = t->model_version;
    double z = sim_logit(&s->scorer, t);
    if (t->redis) {
        z = redis_logit(p, sim_fault_at(s, SIM_REDIS, p->at), z);
    }
    t->score = 1 / (1 + exp(-z));
    f = sim_fault_at(s, SIM_CONSTANT, end);
    if (f && sim_fault_strikes(s, f, t->number, 0)) {
        t->score = f->f.value;
    }
}

static void hold_deadline_set(struct plan *p, const struct fault_state *forced)
{
    struct sim *s = p->s;
    struct tx *t = p->t;
    if (forced) {
        t->hold_deadline = p->at + forced->f.ns;
        return;
    }
    if (t->verdict == VERDICT_CAUTELAR_BLOCK) {
        t->hold_deadline = p->at + ns_from_ms(s->c.holds.cautelar_ms);
        return;
    }
    double hour = sim_local_hour(&s->calendar, p->at);
    bool day = hour >= s->c.holds.day_from_h && hour < s->c.holds.day_to_h;
    int64_t local = p->at + (int64_t)(s->c.volume.utc_offset_h * 3600) * NS_PER_S;
    day = day && sim_is_business_day(&s->calendar, day_from_ns(local));
    t->hold_deadline =
        p->at + ns_from_ms(day ? s->c.holds.day_window_ms : s->c.holds.night_window_ms);
}

static void plan_decide(struct plan *p)
{
    struct sim *s = p->s;
    struct tx *t = p->t;
    struct step *q =
        step_add(p, ST_DECIDE, OUTCOME_OK, p->d->queue[ST_DECIDE], p->d->work[ST_DECIDE], NULL);
    double deny = s->c.model.deny, step_up = s->c.model.step_up;
    t->threshold = s->c.model.threshold;
    struct fault_state *f = sim_fault_at(s, SIM_THRESHOLD, q->end);
    if (f) { /* the wrong decimal is in every limit of the same file */
        f->affected++;
        double wrong = f->f.value / t->threshold;
        deny = fmin(1, deny * wrong);
        step_up *= wrong;
        t->threshold = f->f.value;
    }
    bool in = t->direction == DIRECTION_IN;
    bool timeout = t->fallback == FALLBACK_TIMEOUT;
    t->verdict = t->score >= deny             ? VERDICT_DENY
                 : t->score >= t->threshold   ? (in ? VERDICT_CAUTELAR_BLOCK : VERDICT_HOLD)
                 : t->score >= step_up && !in ? VERDICT_STEP_UP
                                              : VERDICT_APPROVE;
    f = sim_fault_at(s, SIM_HOLDS, q->end);
    bool held = t->verdict == VERDICT_HOLD;
    if (f && (held || (!in && t->verdict == VERDICT_APPROVE && !timeout &&
                       sim_fault_strikes(s, f, t->number, 0)))) {
        f->affected += held;
        t->forced_hold = true;
        t->verdict = VERDICT_HOLD;
    }
    if (timeout) {
        t->verdict = VERDICT_APPROVE;
    }
    if (t->verdict == VERDICT_HOLD || t->verdict == VERDICT_CAUTELAR_BLOCK) {
        hold_deadline_set(p, t->forced_hold ? f : NULL);
    }
    struct step *dec = &t->steps[t->steps_count++];
    *dec = *q;
    dec->stage = STEP_DECISION;
}

/* true when the payment goes on to settlement. */
static bool plan_act(struct plan *p)
{
    struct sim *s = p->s;
    struct tx *t = p->t;
    int64_t queue = p->d->queue[ST_ACT], work = p->d->work[ST_ACT];
    if (t->verdict == VERDICT_DENY || t->verdict == VERDICT_CAUTELAR_BLOCK) {
        step_add(p, ST_ACT, OUTCOME_OK, queue, work,
                 t->verdict == VERDICT_DENY ? "denied" : "blocked");
        return false;
    }
    if (t->verdict != VERDICT_HOLD) {
        if (t->verdict == VERDICT_STEP_UP) { /* the payer is asked for a second factor */
            queue += (int64_t)(p->d->step_up_s * 1e9);
        }
        step_add(p, ST_ACT, OUTCOME_OK, queue, work, NULL);
        return t->settlement != SETTLEMENT_INTERNAL;
    }
    int64_t room = t->hold_deadline - p->at - work;
    int64_t review = (int64_t)(p->d->review * (double)s->c.holds.review_ms * 1e6);
    if (t->forced_hold) { /* everybody looks away until the last tenth of the window */
        review = room - room / 10 - (int64_t)(p->d->expired * (double)(room / 20));
    }
    if (review >= room || (!t->forced_hold && p->d->expired < s->c.holds.expired_share)) {
        step_add(p, ST_ACT, OUTCOME_OK, i64_max(room, 0), work, "hold_expired");
        return t->settlement != SETTLEMENT_INTERNAL;
    }
    bool fraud = (t->pattern != PAT_NONE) != (p->d->analyst < s->c.labels.analyst_error);
    if (fraud) {
        step_add(p, ST_ACT, OUTCOME_DROP, review, work, "denied_after_review");
        return false;
    }
    step_add(p, ST_ACT, OUTCOME_OK, review, work, "released");
    return t->settlement != SETTLEMENT_INTERNAL;
}

static void plan_settle(struct plan *p)
{
    struct sim *s = p->s;
    struct tx *t = p->t;
    int64_t queue = p->d->queue[ST_SETTLE], work = p->d->work[ST_SETTLE];
    const char *reason = NULL;
    if (p->d->reject < s->c.stages.reject_share) {
        reason = reject_names[sim_choose(&s->rejects, p->d->reason)];
        work /= 2;
    }
    struct fault_state *f = sim_fault_at(s, SIM_LOCAL_TIME, t->t0);
    if (t->local_id && f && p->d->reason < f->f.value) {
        reason = "FF08";
        work /= 2;
    }
    f = sim_fault_at(s, SIM_AB03, p->at);
    if (f && sim_fault_strikes(s, f, t->number, 0)) {
        reason = reject_names[2];
    }
    if (reason == reject_names[2]) {
        work = AB03_NS - queue;
    }
    step_add(p, ST_SETTLE, reason ? OUTCOME_ERROR : OUTCOME_OK, queue, i64_max(work, 0), reason);
}

/* Fault 3: the transaction is cut before the stage it never finishes. */
static void plan_lose(struct plan *p)
{
    struct tx *t = p->t;
    for (uint8_t i = 1; i < t->steps_count; i++) {
        const struct step *q = &t->steps[i];
        if (q->stage == STEP_DECISION || q->attempt > 1) {
            continue;
        }
        struct fault_state *f = sim_fault_at(p->s, SIM_LOST, q->end);
        int32_t stage = !f ? -1
                        : f->f.stage >= 0
                            ? f->f.stage
                            : ST_ENRICH + (int32_t)(sim_mix(11, t->number) % (SIM_STAGES - 1));
        if (stage == q->stage && sim_fault_strikes(p->s, f, t->number, 0)) {
            t->lost_to = q->stage;
            t->steps_count = i;
            return;
        }
    }
}

void sim_plan(struct sim *s, struct rng *r, struct tx *t)
{
    struct draws d;
    draws_make(s, r, t, &d);
    struct plan p = {s, t, &d, t->t0};
    step_add(&p, ST_INGEST, OUTCOME_OK, d.queue[ST_INGEST], d.work[ST_INGEST], NULL);
    plan_enrich(&p);
    plan_features(&p);
    plan_score(&p);
    plan_decide(&p);
    if (plan_act(&p)) {
        plan_settle(&p);
    }
    if ((s->fault_mask >> SIM_LOST & 1) != 0) {
        plan_lose(&p);
    }
}
