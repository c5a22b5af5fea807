/* The simulator's clock: takes the next thing in simulated time - an arrival, a stage that ends, a
 * payment of a campaign, a label - until one of them is a line.
 *
 * A transaction keeps one entry in the queue, for its next step; a delayed or doubled event gets a
 * further entry and a reference on the slot, so the queue holds about one entry per transaction
 * under way. Lines leave in order of emission time. Event times inside them may be out of order:
 * that is what faults reorder, duplicates and clock_skew are for.
 * Invariant: emission times never decrease; every slot with refs == 0 is in the free list. */
#include "sim/sim.h"

#include "sim/sim_int.h"

#include <math.h>

#define CAMPAIGNS_MAX 65536 /* under way at once; more are shed and counted */

static void choices_init(struct sim *s)
{
    const struct sim_config *c = &s->c;
    double kinds[SIM_KINDS], kinds_weekend[SIM_KINDS], ispbs[SIM_PARTICIPANTS_MAX];
    for (int i = 0; i < SIM_KINDS; i++) {
        kinds[i] = kinds_weekend[i] = c->amounts.kind[i].weight;
    }
    kinds_weekend[KIND_B2B] *= c->amounts.weekend_b2b;
    for (uint32_t i = 0; i < c->participants.count; i++) {
        ispbs[i] = c->participants.v[i].weight;
    }
    const double delays[] = {c->labels.day_share, c->labels.week_share, c->labels.month_share,
                             c->labels.late_share};
    sim_choice_init(&s->kinds, kinds, SIM_KINDS);
    sim_choice_init(&s->kinds_weekend, kinds_weekend, SIM_KINDS);
    sim_choice_init(&s->forms, c->mix.form, FORMS);
    sim_choice_init(&s->keys, c->mix.key, SIM_KEYS - 1);
    sim_choice_init(&s->ispbs, ispbs, c->participants.count);
    sim_choice_init(&s->rejects, c->stages.reject, SIM_REJECTS);
    sim_choice_init(&s->label_delays, delays, 4);
}

static int64_t time_add(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_add_overflow(a, b, &out) ? INT64_MAX : out;
}

/* An arrival that the supplier fault turns into its campaign is queued like any other campaign. */
static bool campaign_start(struct sim *s, struct rng *r, enum pattern p, int64_t t, uint32_t fault)
{
    uint32_t slot = sim_pool_take(&s->campaigns);
    if (slot == POOL_FULL) {
        s->totals.shed++;
        return true;
    }
    struct campaign *c = sim_pool_at(&s->campaigns, slot);
    sim_campaign_init(s, r, p, slot, c);
    c->fault = fault;
    return sim_queue_push(&s->queue, (struct entry){.t = t, .slot = slot, .kind = Q_CAMPAIGN});
}

static bool faults_init(struct sim *s, const struct sim_run *r, struct err *e)
{
    if (r->faults_count > SIM_FAULTS_MAX) {
        return err_set(e, ERR_LIMIT, "at most %d faults in a run", SIM_FAULTS_MAX);
    }
    for (uint32_t i = 0; i < r->faults_count; i++) {
        struct sim_fault f = r->faults[i];
        ASSERT(f.id < SIM_FAULT_KINDS);
        f.start_ns = time_add(r->from_ns, f.start_ns);
        f.end_ns = f.end_ns == SIM_TO_THE_END ? INT64_MAX : time_add(r->from_ns, f.end_ns);
        s->faults[s->faults_count++] = (struct fault_state){.f = f};
        s->fault_mask |= 1U << f.id;
        if (f.id == SIM_SUPPLIER && f.start_ns < s->until_ns) {
            struct rng g;
            rng_fork(&g, r->seed, 0x737570ULL + i);
            if (!campaign_start(s, &g, PAT_SUPPLIER, f.start_ns, i + 1)) {
                return err_set(e, ERR_NOMEM, "no memory for the queue of events");
            }
        }
    }
    return true;
}

/* Campaigns that began before the run: without them the first hours would have too few frauds, as
 * one of a mule lasts up to six hours. */
static bool campaigns_under_way(struct sim *s, struct rng *r)
{
    const double back_s = 6 * 3600;
    int hour = (int)sim_local_hour(&s->calendar, s->run.from_ns);
    double rate = sim_rate_at(&s->calendar, s->run.from_ns) * s->campaign_rate[hour];
    uint64_t n = rng_poisson(r, fmin(rate * back_s, CAMPAIGNS_MAX / 2));
    for (uint64_t i = 0; i < n; i++) {
        enum pattern p = (enum pattern)sim_choose(&s->patterns[hour], rng_f64(r));
        struct campaign c;
        sim_campaign_init(s, r, p, (uint32_t)i, &c);
        int64_t t = s->run.from_ns - (int64_t)(back_s * 1e9 * rng_f64(r));
        while (t < s->run.from_ns && c.done < c.count) {
            c.done++;
            t += sim_campaign_gap(&c, r);
        }
        if (c.done >= c.count) {
            continue;
        }
        uint32_t slot = sim_pool_take(&s->campaigns);
        if (slot == POOL_FULL) {
            return false;
        }
        *(struct campaign *)sim_pool_at(&s->campaigns, slot) = c;
        if (!sim_queue_push(&s->queue, (struct entry){.t = t, .slot = slot, .kind = Q_CAMPAIGN})) {
            return false;
        }
    }
    return true;
}

static bool sim_start(struct sim *s, const struct sim_run *r, struct err *e)
{
    s->until_ns = r->duration_ns > 0 ? time_add(r->from_ns, r->duration_ns) : INT64_MAX;
    choices_init(s);
    sim_calendar_init(&s->calendar, &s->c, r->seed, r->from_ns);
    sim_patterns_init(s);
    if (!sim_people_init(&s->people, &s->c, r->seed, s->mem)) {
        return err_set(e, ERR_NOMEM, "no memory for payers and payees");
    }
    if (!sim_scorer_init(s, e) || !faults_init(s, r, e)) {
        return false;
    }
    struct rng past;
    rng_fork(&past, r->seed, 0x70617374ULL);
    if (!campaigns_under_way(s, &past)) {
        return err_set(e, ERR_NOMEM, "no memory for the queue of events");
    }
    rng_fork(&s->arrivals, r->seed, 0x61727269ULL);
    s->arrival_ns = sim_next_arrival(&s->calendar, &s->arrivals, r->from_ns, s->until_ns);
    return true;
}

bool sim_new(const struct sim_config *c, const struct sim_run *r, struct mem *m, struct sim **out,
             struct err *e)
{
    *out = NULL;
    if (r->from_ns < 0 || r->from_ns > 4000000000LL * NS_PER_S || r->duration_ns < 0 ||
        r->duration_ns > 3660 * NS_PER_DAY) {
        return err_set(e, ERR_INPUT, "a run begins in 1970..2096 and lasts at most ten years");
    }
    struct sim *s = mem_take(m, sizeof *s);
    if (!s) {
        return err_set(e, ERR_NOMEM, "no memory for a simulator");
    }
    s->mem = m;
    s->c = *c;
    s->run = *r;
    s->run.faults = NULL;
    s->emitted_ns = r->from_ns;
    size_t txs = (size_t)c->limits.transactions_max, labels = (size_t)c->limits.labels_max;
    sim_queue_init(&s->queue, m, 3 * txs + labels + 65536);
    sim_pool_init(&s->txs, m, sizeof(struct tx), txs);
    sim_pool_init(&s->labels, m, sizeof(struct label_slot), labels);
    sim_pool_init(&s->campaigns, m, sizeof(struct campaign), CAMPAIGNS_MAX);
    if (!sim_start(s, r, e)) {
        sim_free(s);
        return false;
    }
    *out = s;
    return true;
}

void sim_free(struct sim *s)
{
    if (!s) {
        return;
    }
    struct mem *m = s->mem;
    sim_queue_release(&s->queue);
    sim_pool_release(&s->txs);
    sim_pool_release(&s->labels);
    sim_pool_release(&s->campaigns);
    sim_people_release(&s->people, m);
    mem_give(m, s->lost, s->lost_cap * sizeof *s->lost);
    mem_give(m, s, sizeof *s);
}

static bool dict_abandons(struct sim *s, const struct tx *t)
{
    struct fault_state *f = sim_fault_at(s, SIM_DICT, t->t0);
    return f && t->key != KEY_NONE && t->form == FORM_DICT &&
           sim_u01(s->run.seed ^ 0x61626eULL, t->number) < f->f.value;
}

/* Draws the transaction that arrives at t0 and queues its first step. c: its campaign, or NULL. */
static bool tx_start(struct sim *s, int64_t t0, const struct campaign *c)
{
    struct rng r;
    uint32_t slot = sim_pool_take(&s->txs);
    uint64_t number = s->numbers++;
    if (slot == POOL_FULL) {
        s->totals.shed++;
        return true;
    }
    struct tx *t = sim_pool_at(&s->txs, slot);
    struct campaign look = {.pattern = PAT_NONE};
    rng_fork(&r, s->run.seed, number << 8);
    t->number = number;
    t->t0 = t0;
    sim_tx_legit(s, &r, t);
    if (c) {
        sim_campaign_people(s, &r, c, t);
    } else if (rng_f64(&r) < s->scorer.lookalike_rate) {
        uint32_t p = sim_choose(&s->fraud_mix, rng_f64(&r));
        sim_campaign_init(s, &r, (enum pattern)p, slot, &look);
        look.done = (uint32_t)rng_below(&r, look.count);
        t->looks_like = (uint8_t)p;
    }
    struct fault_state *f = sim_fault_at(s, SIM_LOCAL_TIME, t0);
    t->local_id = f && sim_fault_strikes(s, f, number, 0);
    sim_tx_seal(s, t);
    sim_tx_features(s, &r, t);
    sim_campaign_shape(s, &r, c ? c : &look, t);
    sim_signal_draw(&s->scorer, &r, t);
    if (dict_abandons(s, t)) {
        s->totals.abandoned++;
        sim_pool_give(&s->txs, slot);
        return true;
    }
    sim_velocity_note(s, t);
    sim_plan(s, &r, t);
    t->refs = 1;
    int64_t first = t->steps[0].end;
    return sim_queue_push(&s->queue, (struct entry){.t = first, .slot = slot, .kind = Q_STEP}) &&
           sim_labels_plan(s, &r, t);
}

static bool arrival_take(struct sim *s)
{
    int64_t t = s->arrival_ns;
    struct rng r;
    bool ok = true;
    rng_fork(&r, s->run.seed, s->numbers << 8 | 1);
    double u = rng_f64(&r);
    int hour = (int)sim_local_hour(&s->calendar, t);
    struct fault_state *f = sim_fault_at(s, SIM_MULES, t);
    double wave = f ? f->f.value * s->c.fraud.rate / sim_campaign_size_mean(PAT_MULE) : 0;
    if (u < s->campaign_rate[hour]) {
        enum pattern p = (enum pattern)sim_choose(&s->patterns[hour], rng_f64(&r));
        s->numbers++;
        ok = campaign_start(s, &r, p, t, 0);
    } else {
        ok = tx_start(s, t, NULL);
        if (u > 1 - wave) {
            f->affected++;
            ok = ok && campaign_start(s, &r, PAT_MULE, t, 0);
        }
    }
    bool more = s->run.transactions_max == 0 || s->numbers < s->run.transactions_max;
    s->arrival_ns = more ? sim_next_arrival(&s->calendar, &s->arrivals, t, s->until_ns) : INT64_MAX;
    return ok;
}

static bool campaign_take(struct sim *s, struct entry q)
{
    struct campaign c = *(struct campaign *)sim_pool_at(&s->campaigns, q.slot);
    struct rng r;
    bool stop = q.t >= s->until_ns ||
                (s->run.transactions_max != 0 && s->numbers >= s->run.transactions_max);
    if (stop) {
        sim_pool_give(&s->campaigns, q.slot);
        return true;
    }
    rng_fork(&r, s->run.seed, s->numbers << 8 | 2);
    bool ok = tx_start(s, q.t, &c);
    if (c.fault) {
        s->faults[c.fault - 1].affected++;
    }
    if (++c.done >= c.count) {
        sim_pool_give(&s->campaigns, q.slot);
        return ok;
    }
    *(struct campaign *)sim_pool_at(&s->campaigns, q.slot) = c;
    q.t += sim_campaign_gap(&c, &r);
    return ok && sim_queue_push(&s->queue, q);
}

static void count_decision(struct sim *s, const struct tx *t)
{
    struct sim_totals *n = &s->totals;
    bool fraud = t->pattern != PAT_NONE;
    bool flagged = t->verdict == VERDICT_HOLD || t->verdict == VERDICT_DENY ||
                   t->verdict == VERDICT_CAUTELAR_BLOCK;
    n->decisions++;
    n->verdict[t->verdict]++;
    n->fallback[t->fallback]++;
    n->tp += fraud && flagged;
    n->fp += !fraud && flagged;
    n->fn += fraud && !flagged;
    n->tn += !fraud && !flagged;
}

static void count_step(struct sim *s, const struct tx *t, const struct step *q, bool dup)
{
    struct sim_totals *n = &s->totals;
    bool decision = q->stage == STEP_DECISION;
    n->lines++;
    if (dup) {
        n->decision_duplicates += decision;
        n->duplicates[decision ? ST_DECIDE : q->stage] += !decision;
        return;
    }
    if (decision) {
        count_decision(s, t);
        return;
    }
    n->stage_events++;
    n->stage[q->stage]++;
    n->outcome[q->stage][q->outcome]++;
    if (q->stage == ST_INGEST) {
        n->transactions++;
        n->fraud += t->pattern != PAT_NONE;
        if (t->pattern != PAT_NONE) {
            n->pattern[t->pattern]++;
        }
    }
}

static bool lost_note(struct sim *s, const struct tx *t, struct err *e)
{
    struct sim_totals *n = &s->totals;
    n->lost++;
    n->lost_centavos += t->amount;
    size_t max = (size_t)s->c.limits.lost_max;
    if (n->lost_listed >= max) {
        return true; /* counted; the truth says that the list is shorter */
    }
    void *v = s->lost;
    if (n->lost_listed == s->lost_cap &&
        !mem_array_grow(s->mem, &v, &s->lost_cap, s->lost_cap + 1, max, sizeof *s->lost)) {
        return err_set(e, ERR_NOMEM, "no memory for the list of lost transactions");
    }
    s->lost = v;
    s->lost[n->lost_listed++] = (struct lost){.id = t->id,
                                              .t = t->steps[t->steps_count - 1].end,
                                              .amount = t->amount,
                                              .from = (uint8_t)(t->lost_to - 1),
                                              .to = t->lost_to};
    return true;
}

static void tx_unref(struct sim *s, uint32_t slot)
{
    struct tx *t = sim_pool_at(&s->txs, slot);
    ASSERT(t->refs > 0);
    if (--t->refs == 0) {
        sim_pool_give(&s->txs, slot);
    }
}

/* Whether the event leaves now, later, or twice: queues what is later. */
static bool step_deliver(struct sim *s, struct tx *t, struct entry q, bool *now)
{
    uint64_t salt = q.step + 1U;
    struct fault_state *f = sim_fault_at(s, SIM_DUPLICATES, q.t);
    const struct step *step = &t->steps[q.step];
    bool stage = f && (f->f.stage < 0 || f->f.stage == step->stage);
    *now = true;
    if (stage && sim_fault_strikes(s, f, t->number, salt)) {
        double u = 0.1 + 0.9 * sim_u01(s->run.seed ^ salt, t->number);
        struct entry again = q;
        again.kind = Q_AGAIN;
        again.dup = true;
        again.t += (int64_t)(u * (double)f->f.ns);
        t->refs++;
        if (!sim_queue_push(&s->queue, again)) {
            return false;
        }
    }
    f = sim_fault_at(s, SIM_REORDER, q.t);
    if (f && sim_fault_strikes(s, f, t->number, salt)) {
        struct entry later = q;
        later.kind = Q_AGAIN;
        later.t += (int64_t)(sim_u01(s->run.seed ^ (salt << 8), t->number) * (double)f->f.ns);
        t->refs++;
        *now = false;
        return sim_queue_push(&s->queue, later);
    }
    return true;
}

/* 1: a line was written, 0: none yet, -1: error */
static int step_take(struct sim *s, struct entry q, struct buf *out, struct err *e)
{
    struct tx *t = sim_pool_at(&s->txs, q.slot);
    bool now = true, ok = true;
    if (q.kind == Q_STEP) {
        q.step = t->next++;
        if (t->next < t->steps_count) {
            struct entry next = q;
            next.t = t->steps[t->next].end;
            t->refs++;
            ok = sim_queue_push(&s->queue, next);
        } else if (t->lost_to < SIM_STAGES && !lost_note(s, t, e)) {
            return -1;
        }
        if (!ok || !step_deliver(s, t, q, &now)) {
            (void)err_set(e, ERR_NOMEM, "no memory for the queue of events");
            return -1;
        }
    }
    if (now) {
        sim_line_step(s, t, &t->steps[q.step], out);
        count_step(s, t, &t->steps[q.step], q.dup);
    }
    tx_unref(s, q.slot);
    return now;
}

/* Fault 56 holds the label back: for good, or to the end of its window. */
static bool label_withheld(struct sim *s, struct entry q, bool *requeued)
{
    struct label_slot *l = sim_pool_at(&s->labels, q.slot);
    struct fault_state *f = q.step == 0 ? sim_fault_at(s, SIM_LABELS, q.t) : NULL;
    *requeued = false;
    if (!f || !sim_fault_strikes(s, f, l->number, l->sequence)) {
        return false;
    }
    if (f->f.value > 0 && f->f.end_ns != INT64_MAX) {
        q.t = f->f.end_ns + (int64_t)(sim_mix(9, l->number) % (uint64_t)(60 * NS_PER_S));
        q.step = 1; /* it is not withheld again */
        *requeued = sim_queue_push(&s->queue, q);
    }
    return true;
}

static int label_take(struct sim *s, struct entry q, struct buf *out)
{
    bool requeued;
    bool withheld = label_withheld(s, q, &requeued);
    struct label_slot *l = sim_pool_at(&s->labels, q.slot);
    if (!withheld) {
        struct sim_totals *n = &s->totals;
        sim_line_label(s, l, out);
        n->lines++;
        n->labels++;
        n->label[l->truth]++;
        n->labels_corrected += l->supersedes;
        n->labels_agreed += l->source == SOURCE_MED_INFRACTION && l->truth == TRUTH_FRAUD;
        n->labels_disagreed += l->source == SOURCE_MED_INFRACTION && l->truth == TRUTH_LEGIT;
    }
    if (!requeued) {
        sim_pool_give(&s->labels, q.slot);
    }
    return withheld ? 0 : 1;
}

bool sim_next(struct sim *s, struct buf *out, int64_t *emit_ns, struct err *e)
{
    err_clear(e);
    for (;;) {
        int64_t head = s->queue.n > 0 ? s->queue.v[0].t : INT64_MAX;
        int64_t t = i64_min(head, s->arrival_ns);
        if (t == INT64_MAX) {
            return false;
        }
        if (s->arrival_ns < head) {
            if (!arrival_take(s)) {
                return err_set(e, ERR_NOMEM, "no memory for the queue of events");
            }
            continue;
        }
        struct entry q = sim_queue_pop(&s->queue);
        int line = 0;
        if (q.kind == Q_CAMPAIGN) {
            line = campaign_take(s, q) ? 0 : -1;
        } else if (q.kind == Q_LABEL && !s->run.labels_all && q.t >= s->until_ns) {
            sim_pool_give(&s->labels, q.slot);
        } else if (q.kind == Q_LABEL) {
            line = label_take(s, q, out);
        } else {
            line = step_take(s, q, out, e);
        }
        if (line < 0) {
            return e && e->code ? false
                                : err_set(e, ERR_NOMEM, "no memory for the queue of events");
        }
        if (line > 0) {
            ASSERT(q.t >= s->emitted_ns);
            s->emitted_ns = *emit_ns = q.t;
            return buf_ok(out, e);
        }
    }
}

const struct sim_totals *sim_totals(const struct sim *s)
{
    return &s->totals;
}
