/* The pillar's functions: applying records to a shard, and the tick that gives the river one event
 * time.
 *
 * The watermark of the river is the K-th largest event time over all shards (each keeps its own K
 * largest), so it is the same for any number of shards. At the tick it is handed to every shard,
 * which then decides its losses to the nanosecond: between ticks a shard uses what it has seen
 * itself, and may only be later. When no record has arrived for idle_after, event time follows the
 * wall clock from where it stood: otherwise the last transactions before a silence would be in
 * flight for ever. Downtime of Farol is not silence: the idle clock starts at the first tick after
 * a start.
 *
 * Invariants: thread: apply, the shard's; the rest, any, at rest. */
#include "pipeline/pipeline.h"

#include "pipeline/pipeline_int.h"

#define BEHIND_RUN \
    65536 /* events in a row older than anything remembered: the watermark was wrong */

static void shard_free(void *state)
{
    struct pipeline_shard *s = state;
    if (!s) {
        return;
    }
    pipeline_ledger_release(&s->ledger);
    pipeline_stages_release(&s->stages);
    mem_give(s->mem, s, sizeof *s);
}

static void *shard_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e)
{
    const struct pipeline *p = app;
    ASSERT(shard < shards);
    struct pipeline_shard *s = mem_take(m, sizeof *s);
    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for shard %u of the pipeline pillar", shard);
        return NULL;
    }
    s->mem = m;
    pipeline_ledger_init(&s->ledger, &p->plan, m);
    if (!pipeline_stages_init(&s->stages, &p->plan, m, e)) {
        shard_free(s);
        return NULL;
    }
    return s;
}

static void batch_begin(void *state, const struct record_reader *r)
{
    struct pipeline_shard *s = state;
    (void)r; /* names arrive as the batch is read, so they are looked up at first use */
    memset(s->names, 0, s->names_used);
    s->names_used = 0;
}

/* 1-based position of a configured stage, or 0; *total: the name is "total". */
static uint32_t position_of(struct pipeline_shard *s, const struct record_reader *r, uint16_t name,
                            bool *total)
{
    ASSERT(name < r->names_count && name < RECORD_NAMES_MAX);
    uint8_t code = s->names[name];
    if (code == 0) {
        const struct pipeline_plan *p = s->ledger.plan;
        code = str_eq(r->names[name], STR("total")) ? PIPELINE_NAME_TOTAL : PIPELINE_NAME_OTHER;
        for (uint32_t i = 0; i < p->stages_count; i++) {
            if (str_eq(p->config->stages.v[i], r->names[name])) {
                code = (uint8_t)(i + 2);
            }
        }
        s->names[name] = code;
        if (name >= s->names_used) {
            s->names_used = (uint16_t)(name + 1);
        }
    }
    *total = code == PIPELINE_NAME_TOTAL;
    return code == PIPELINE_NAME_OTHER || code == PIPELINE_NAME_TOTAL ? 0 : code - 1u;
}

static bool time_ok(int64_t t_ns)
{
    return t_ns >= 0 && t_ns <= PIPELINE_T_MAX;
}

/* Feeds event time; true when t is credible. A host that says its own clock is off is not asked. */
static bool note_time(struct pipeline_shard *s, int64_t t_ns, int64_t offset_us, struct str host)
{
    const struct pipeline_plan *p = s->ledger.plan;
    if (offset_us > p->clock_error_us || offset_us < -p->clock_error_us) {
        return false;
    }
    struct pipeline_watermark *w = &s->ledger.watermark;
    bool credible = pipeline_watermark_note(w, p, t_ns, host);
    if (w->t_ns != T_NS_NONE && w->t_ns / NS_PER_S > s->ledger.wheel_s) {
        pipeline_ledger_advance(&s->ledger, w->t_ns, false);
    }
    return credible;
}

static void apply_stage(struct pipeline_shard *s, const struct record *rec,
                        const struct record_reader *r)
{
    const struct stage_event *ev = &rec->u.stage;
    if (!time_ok(ev->end_ns) || !time_ok(ev->start_ns)) {
        s->stages.bad_times++;
        return;
    }
    bool total;
    uint32_t position = position_of(s, r, ev->stage_name, &total);
    if (position == 0) {
        pipeline_counted_add(&s->stages.unknown, r->names[ev->stage_name], 1);
        return;
    }
    bool first = false;
    enum pipeline_seen seen = pipeline_ledger_stage(&s->ledger, rec->hash, ev, position, &first);
    pipeline_stages_event(&s->stages, ev, position, seen, first);
    pipeline_stages_host(&s->stages, ev->host, ev->end_ns, ev->clock_offset_us);
    if (note_time(s, ev->end_ns, ev->clock_offset_us, ev->host)) {
        struct pipeline_stage *st = &s->stages.stage[position - 1];
        st->watermark_ns = i64_max(st->watermark_ns, ev->end_ns);
        if (seen != PIPELINE_SEEN_TOO_OLD) {
            pipeline_versions_note(&st->versions, ev->version, ev->end_ns,
                                   seen == PIPELINE_SEEN_DUP);
        }
    }
}

static void apply_decision(struct pipeline_shard *s, const struct record *rec,
                           const struct record_reader *r)
{
    const struct decision *d = &rec->u.decision;
    s->stages.decisions[d->form]++;
    int64_t sum = 0;
    int64_t given = -1;
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        int64_t ns = d->latencies[i].ns;
        if (ns < 0 || ns > PIPELINE_T_MAX / RECORD_LATENCIES_MAX) {
            s->stages.latency_negative++;
            continue;
        }
        bool total;
        uint32_t position = position_of(s, r, d->latencies[i].stage_name, &total);
        if (position > 0) {
            pipeline_hist_add(&s->stages.stage[position - 1].decision_latency, ns);
        }
        if (total) {
            given = ns;
        } else {
            sum += ns;
        }
    }
    if (d->latencies_count > 0) {
        pipeline_hist_add(&s->stages.decision_latency, given >= 0 ? given : sum);
    }
    if (!time_ok(d->t_ns) || (d->hold_deadline_ns != T_NS_NONE && !time_ok(d->hold_deadline_ns))) {
        s->stages.bad_times++;
        return;
    }
    pipeline_ledger_decision(&s->ledger, rec->hash, d);
    pipeline_stages_host(&s->stages, d->host, d->t_ns, d->clock_offset_us);
    note_time(s, d->t_ns, d->clock_offset_us, d->host);
}

static void apply(void *state, const struct record *rec, const struct record_reader *r)
{
    struct pipeline_shard *s = state;
    switch (rec->kind) {
    case RECORD_STAGE:
        s->records++;
        apply_stage(s, rec, r);
        break;
    case RECORD_DECISION:
        s->records++;
        apply_decision(s, rec, r);
        break;
    case RECORD_LABEL: /* the model pillar's */
    case RECORD_NAME: break;
    }
}

/* The watermark was set by clocks that nobody followed: every shard goes back to the others' time.
 * */
static void step_back(struct pipeline *p, void *const *states, uint32_t n)
{
    int64_t to = T_NS_NONE;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_watermark *w =
            &((struct pipeline_shard *)states[i])->ledger.watermark;
        if (w->behind_run >= BEHIND_RUN) {
            to = i64_max(to, w->behind_max_ns);
        }
    }
    if (to == T_NS_NONE) {
        return;
    }
    to = i64_max(to - p->plan.lateness_ns, 0);
    for (uint32_t i = 0; i < n; i++) {
        struct pipeline_shard *s = states[i];
        uint64_t ahead_total = s->ledger.watermark.ahead_total;
        pipeline_watermark_init(&s->ledger.watermark);
        s->ledger.watermark.ahead_total = ahead_total;
        pipeline_ledger_rebase(&s->ledger, to);
    }
    p->watermark_ns = to;
    p->active_ns = T_NS_NONE;
    p->watermark_resets++;
}

/* Event time of the river from the shards' K largest; *smallest when fewer than K were ever seen.
 * */
static int64_t merged_watermark(void *const *states, uint32_t n, int64_t *few)
{
    struct pipeline_top top = {.count = 0};
    int64_t t = T_NS_NONE;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_watermark *w =
            &((struct pipeline_shard *)states[i])->ledger.watermark;
        t = i64_max(t, w->t_ns);
        for (uint32_t j = 0; j < w->top.count; j++) {
            pipeline_top_add(&top, w->top.t[j]);
        }
    }
    *few = top.count > 0 ? top.t[0] : T_NS_NONE;
    return top.count == PIPELINE_WATERMARK_K ? i64_max(t, top.t[0]) : t;
}

static void tick(void *app, void *const *states, uint32_t n, int64_t now_ns)
{
    struct pipeline *p = app;
    uint64_t records = 0;
    for (uint32_t i = 0; i < n; i++) {
        records += ((struct pipeline_shard *)states[i])->records;
    }
    step_back(p, states, n);
    int64_t few;
    p->watermark_ns = i64_max(p->watermark_ns, merged_watermark(states, n, &few));
    if (records != p->records_last || p->active_ns == T_NS_NONE || now_ns < p->active_ns) {
        p->records_last = records;
        p->active_ns = now_ns;
        p->active_watermark_ns = p->watermark_ns;
    } else if (now_ns - p->active_ns > p->plan.idle_ns) {
        int64_t base = p->active_watermark_ns != T_NS_NONE ? p->active_watermark_ns : few;
        if (base != T_NS_NONE) {
            int64_t idle = now_ns - p->active_ns - p->plan.idle_ns;
            p->watermark_ns = i64_max(p->watermark_ns, base + idle);
        }
    }
    for (uint32_t i = 0; p->watermark_ns != T_NS_NONE && i < n; i++) {
        pipeline_ledger_advance(&((struct pipeline_shard *)states[i])->ledger, p->watermark_ns,
                                true);
    }
    struct pipeline_total total;
    pipeline_total_of(p, states, n, &total);
    struct pipeline_snapshot snap;
    pipeline_snapshot_of(&total, &p->plan, now_ns, &snap);
    pipeline_window_tick(&p->window, &snap);
}

void pipeline_total_of(const struct pipeline *p, void *const *states, uint32_t n,
                       struct pipeline_total *out)
{
    *out = (struct pipeline_total){.records = 0};
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        out->stages.stage[i].watermark_ns = T_NS_NONE;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_shard *s = states[i];
        const struct pipeline_ledger *l = &s->ledger;
        ASSERT(pipeline_ledger_closes(&l->counts));
        pipeline_ledger_counts_merge(&out->ledger, &l->counts);
        pipeline_hist_merge(&out->hold_hist, &l->hold_hist);
        pipeline_sla_merge(&out->sla, &l->sla);
        out->hold_open += l->hold_open;
        out->hold_due_5m += pipeline_ledger_holds_due(l, p->watermark_ns, 300 * NS_PER_S);
        out->remembered += l->table.count;
        out->records += s->records;
        out->ahead += l->watermark.ahead_total;
        out->table_bytes += pipeline_table_bytes(&l->table);
        for (uint32_t j = 0; j <= PIPELINE_UNKNOWN_MAX; j++) {
            out->unknown += s->stages.unknown.counts[j];
        }
        pipeline_stages_merge_numbers(&out->stages, &s->stages);
    }
    ASSERT(pipeline_ledger_closes(&out->ledger));
}

void pipeline_snapshot_of(const struct pipeline_total *t, const struct pipeline_plan *p,
                          int64_t now_ns, struct pipeline_snapshot *out)
{
    *out = (struct pipeline_snapshot){
        .t_ns = now_ns,
        .entered = t->ledger.entered,
        .too_old = t->ledger.too_old,
        .shed = t->ledger.shed,
        .unknown = t->unknown,
    };
    for (uint32_t i = 0; i <= PIPELINE_STAGES_MAX; i++) {
        out->lost += t->ledger.lost[i];
    }
    for (uint32_t i = 0; i < FORMS; i++) {
        out->decisions += t->stages.decisions[i];
    }
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        memcpy(out->sla[i], t->sla.segment[i].buckets, sizeof out->sla[i]);
    }
    memcpy(out->decision_latency, t->stages.decision_latency.buckets, sizeof out->decision_latency);
    for (uint32_t i = 0; i < p->stages_count; i++) {
        const struct pipeline_stage *s = &t->stages.stage[i];
        struct pipeline_window_stage *w = &out->stage[i];
        for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
            w->events += s->events[o];
        }
        out->stage_events += w->events;
        w->errors = s->events[OUTCOME_ERROR] + s->events[OUTCOME_DROP] + s->events[OUTCOME_DLQ];
        w->duplicates = s->duplicates;
        w->retries = s->retries;
        const struct pipeline_hist *duration = w->events > 0 ? &s->duration : &s->decision_latency;
        memcpy(w->duration, duration->buckets, sizeof w->duration);
        memcpy(w->queue, s->queue.buckets, sizeof w->queue);
        if (w->events == 0) {
            w->events = pipeline_hist_count(duration);
        }
    }
}

bool pipeline_new(const struct pipeline_config *c, struct mem *m, struct pipeline **out,
                  struct err *e)
{
    struct pipeline *p = mem_take(m, sizeof *p);
    if (!p) {
        return err_set(e, ERR_NOMEM, "no memory for the pipeline pillar");
    }
    p->mem = m;
    p->watermark_ns = T_NS_NONE;
    p->active_ns = T_NS_NONE;
    p->active_watermark_ns = T_NS_NONE;
    pipeline_plan_init(&p->plan, c);
    *out = p;
    return true;
}

void pipeline_free(struct pipeline *p)
{
    if (p) {
        mem_give(p->mem, p, sizeof *p);
    }
}

struct pillar pipeline_pillar(struct pipeline *p)
{
    return (struct pillar){
        .name = "pipeline",
        .app = p,
        .shard_new = shard_new,
        .shard_free = shard_free,
        .batch_begin = batch_begin,
        .apply = apply,
        .tick = tick,
        .publish = pipeline_publish,
        .status = pipeline_status,
        .save = pipeline_save,
        .load = pipeline_load,
    };
}
