/* The pillar's series. Sums over shards, never per shard, so that the number of shards shows
 * nowhere.
 *
 * Every counter with a fixed set of labels is there from the start with 0, so that increase() sees
 * the first step; counters by reason, host and unknown stage appear with their first value. */
#include "codec/expo.h"
#include "pipeline/pipeline_int.h"

#define L(n, v)          \
    (struct label)       \
    {                    \
        STR_INIT(n), (v) \
    }

struct page {
    struct expo *x;
    const struct pipeline *p;
    void *const *states;
    uint32_t n;
    const struct pipeline_total *t;
};

static struct expo_family *family(const struct page *g, enum expo_type type, struct str name,
                                  struct str help)
{
    bool seconds = str_ends(name, STR("_seconds"));
    bool bytes = str_ends(name, STR("_bytes"));
    struct str unit = seconds ? STR("seconds") : bytes ? STR("bytes") : STR("");
    return expo_family(g->x, type, name, unit, help);
}

static void add1(const struct page *g, struct expo_family *f, struct label l, double v)
{
    expo_add(g->x, f, &l, 1, v);
}

static void single(const struct page *g, enum expo_type type, struct str name, double v,
                   struct str help)
{
    expo_add(g->x, family(g, type, name, help), NULL, 0, v);
}

static void histogram(const struct page *g, struct expo_family *f, const struct label *l,
                      uint32_t count, const struct pipeline_hist *h)
{
    expo_add_histogram(g->x, f, l, count, pipeline_edges_s, ARRAY_LEN(pipeline_edges_s), h->buckets,
                       (double)h->sum_ns / 1e9);
}

static struct str stage_name(const struct page *g, uint32_t stage)
{
    return g->p->plan.config->stages.v[stage];
}

/* One sample per stage of a number at an offset in struct pipeline_stage. */
static void by_stage(const struct page *g, struct str name, size_t offset, struct str help)
{
    struct expo_family *f = family(g, EXPO_COUNTER, name, help);
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        uint64_t v;
        memcpy(&v, (const char *)&g->t->stages.stage[i] + offset, sizeof v);
        add1(g, f, L("stage", stage_name(g, i)), (double)v);
    }
}

static void stage_histograms(const struct page *g)
{
    struct expo_family *work = family(g, EXPO_HISTOGRAM, STR("pix_stage_work_seconds"),
                                      STR("Time a stage worked on an attempt."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        struct label l = L("stage", stage_name(g, i));
        histogram(g, work, &l, 1, &g->t->stages.stage[i].work);
    }
    struct expo_family *queue = family(g, EXPO_HISTOGRAM, STR("pix_stage_queue_seconds"),
                                       STR("Time an attempt waited before a stage."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        struct label l = L("stage", stage_name(g, i));
        histogram(g, queue, &l, 1, &g->t->stages.stage[i].queue);
    }
    struct expo_family *duration = family(
        g, EXPO_HISTOGRAM, STR("pix_stage_duration_seconds"),
        STR("Start to end of an attempt; latency_us of decisions where a stage sends no events."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        const struct pipeline_stage *s = &g->t->stages.stage[i];
        struct label l = L("stage", stage_name(g, i));
        bool events = false;
        for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
            events = events || s->events[o] > 0;
        }
        histogram(g, duration, &l, 1, events ? &s->duration : &s->decision_latency);
    }
}

static void version_series(const struct page *g)
{
    struct expo_family *first =
        family(g, EXPO_GAUGE, STR("pix_stage_version_first_seen_seconds"),
               STR("Event time of a version's first event at a stage, Unix time."));
    struct expo_family *events =
        family(g, EXPO_COUNTER, STR("pix_stage_version_events"),
               STR("Stage events by version, without duplicates; at most 8 versions a stage."));
    struct expo_family *shed = family(g, EXPO_COUNTER, STR("pix_stage_version_shed"),
                                      STR("Versions that made room for others, and events with a "
                                          "version that cannot be a label."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        const struct pipeline_versions *s = &g->t->stages.stage[i].versions;
        struct label l[2] = {L("stage", stage_name(g, i)), L("version", STR(""))};
        for (uint32_t k = 0; k < s->count; k++) {
            l[1].value = pipeline_version_text(&s->v[k]);
            expo_add(g->x, first, l, 2, s_from_ns(s->v[k].first_ns));
            expo_add(g->x, events, l, 2, (double)s->v[k].events);
        }
        struct label why[2] = {L("stage", stage_name(g, i)), L("reason", STR("replaced"))};
        expo_add(g->x, shed, why, 2, (double)s->replaced);
        why[1].value = STR("refused");
        expo_add(g->x, shed, why, 2, (double)s->refused);
    }
}

static void stage_counters(const struct page *g)
{
    struct expo_family *f = family(g, EXPO_COUNTER, STR("pix_stage_events"),
                                   STR("Stage events by outcome, duplicates included."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
            struct label l[2] = {L("stage", stage_name(g, i)),
                                 L("outcome", stage_outcome_text((enum stage_outcome)o))};
            expo_add(g->x, f, l, 2, (double)g->t->stages.stage[i].events[o]);
        }
    }
    by_stage(g, STR("pix_stage_entered"), offsetof(struct pipeline_stage, entered),
             STR("Distinct transactions seen at a stage."));
    by_stage(g, STR("pix_stage_duplicates"), offsetof(struct pipeline_stage, duplicates),
             STR("Stage events seen before (same id and attempt) or with outcome dup."));
    by_stage(g, STR("pix_stage_retries"), offsetof(struct pipeline_stage, retries),
             STR("Stage events with attempt above 1 or outcome retry."));
    by_stage(g, STR("pix_stage_negative_durations"), offsetof(struct pipeline_stage, negative),
             STR("Stage events that end before they start: counted, not observed."));
    struct expo_family *w = family(g, EXPO_GAUGE, STR("pix_stage_watermark_seconds"),
                                   STR("Newest credible event time of a stage, Unix time."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        if (g->t->stages.stage[i].watermark_ns != T_NS_NONE) {
            add1(g, w, L("stage", stage_name(g, i)), s_from_ns(g->t->stages.stage[i].watermark_ns));
        }
    }
}

/* Adds the counted names of all shards under one label; `l` has room for the last label. */
static void counted(const struct page *g, struct expo_family *f, struct label *l, uint32_t count,
                    const struct pipeline_counted *c)
{
    for (uint32_t i = 0; i < c->names.count; i++) {
        l[count - 1].value = intern_str(&c->names, i);
        expo_add(g->x, f, l, count, (double)c->counts[i]);
    }
    if (c->counts[c->max] > 0) {
        l[count - 1].value = STR("other");
        expo_add(g->x, f, l, count, (double)c->counts[c->max]);
    }
}

static void names_of_shards(const struct page *g)
{
    struct pipeline_counted sum = {.counts = NULL};
    struct expo_family *errors =
        family(g, EXPO_COUNTER, STR("pix_stage_errors"),
               STR("Outcomes error, drop and dlq by reason; at most 64 reasons a stage."));
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        if (pipeline_counted_init(&sum, g->p->mem, PIPELINE_REASONS_MAX)) {
            for (uint32_t s = 0; s < g->n; s++) {
                pipeline_counted_merge(
                    &sum, &((const struct pipeline_shard *)g->states[s])->stages.stage[i].reasons);
            }
            struct label l[2] = {L("stage", stage_name(g, i)), L("reason", STR(""))};
            counted(g, errors, l, 2, &sum);
        } else {
            g->x->failed = true;
        }
        pipeline_counted_release(&sum, g->p->mem);
    }
    struct expo_family *unknown =
        family(g, EXPO_COUNTER, STR("pix_stage_unknown"),
               STR("Events of stages that are not configured; at most 16 names."));
    if (pipeline_counted_init(&sum, g->p->mem, PIPELINE_UNKNOWN_MAX)) {
        for (uint32_t s = 0; s < g->n; s++) {
            pipeline_counted_merge(&sum,
                                   &((const struct pipeline_shard *)g->states[s])->stages.unknown);
        }
        struct label l = L("name", STR(""));
        counted(g, unknown, &l, 1, &sum);
    } else {
        g->x->failed = true;
    }
    pipeline_counted_release(&sum, g->p->mem);
}

static void lost_counters(const struct page *g)
{
    struct expo_family *lost = family(g, EXPO_COUNTER, STR("pix_stage_lost"),
                                      STR("Transactions declared lost between two stages."));
    struct expo_family *back = family(g, EXPO_COUNTER, STR("pix_stage_recovered"),
                                      STR("Lost transactions that came back later."));
    const struct pipeline_ledger_counts *c = &g->t->ledger;
    for (uint32_t i = 0; i < g->p->plan.stages_count; i++) {
        struct label l[2] = {L("from", pipeline_position_name(&g->p->plan, i)),
                             L("to", pipeline_position_name(&g->p->plan, i + 1))};
        expo_add(g->x, lost, l, 2, (double)c->lost[i]);
        expo_add(g->x, back, l, 2, (double)c->recovered[i]);
    }
    single(g, EXPO_COUNTER, STR("pix_lost_brl"), (double)c->lost_centavos / 100,
           STR("R$ of the transactions declared lost."));
    single(g, EXPO_COUNTER, STR("pix_recovered_brl"), (double)c->recovered_centavos / 100,
           STR("R$ of the lost transactions that came back."));
}

static void ledger_series(const struct page *g)
{
    const struct pipeline_ledger_counts *c = &g->t->ledger;
    struct expo_family *f =
        family(g, EXPO_GAUGE, STR("pix_ledger_transactions"),
               STR("Where the transactions that entered are; their sum is entered."));
    struct expo_family *reopened = family(g, EXPO_COUNTER, STR("pix_ledger_reopened"),
                                          STR("Transactions that had left and were taken back."));
    for (uint32_t i = PIPELINE_IN_FLIGHT; i < PIPELINE_STATES; i++) {
        bool left = pipeline_is_left(i);
        struct label l[2] = {L("state", left ? STR("left") : pipeline_state_text(i)),
                             L("end", left ? pipeline_state_text(i) : STR(""))};
        expo_add(g->x, f, l, 2, (double)c->state[i]);
        if (left) {
            add1(g, reopened, L("end", pipeline_state_text(i)), (double)c->reopened[i]);
        }
    }
    single(g, EXPO_COUNTER, STR("pix_ledger_entered"), (double)c->entered,
           STR("Distinct transactions seen in stage events."));
    single(g, EXPO_COUNTER, STR("pix_ledger_shed"), (double)c->shed,
           STR("Stage events of new transactions refused at transactions_max."));
    single(g, EXPO_COUNTER, STR("pix_ledger_too_old"), (double)c->too_old,
           STR("Stage events of unknown ids older than what is remembered: not entered."));
    single(g, EXPO_COUNTER, STR("pix_ledger_forgotten"), (double)c->forgotten,
           STR("Transactions in flight given up because the list of stages changed."));
    single(g, EXPO_GAUGE, STR("pix_ledger_remembered"), (double)g->t->remembered,
           STR("Ids in memory: in flight, and those that left or were lost lately."));
    single(g, EXPO_GAUGE, STR("pix_ledger_bytes"), (double)g->t->table_bytes,
           STR("Memory of the table of transactions."));
    single(g, EXPO_COUNTER, STR("pix_decision_duplicates"), (double)c->decision_duplicates,
           STR("Decisions seen before: same id, time and verdict."));
    single(g, EXPO_COUNTER, STR("pix_decision_conflicts"), (double)c->decision_conflicts,
           STR("Second decisions that contradict a final one of the same transaction."));
    single(g, EXPO_GAUGE, STR("pix_hold_open"), (double)g->t->hold_open,
           STR("Transactions held now."));
    single(g, EXPO_GAUGE, STR("pix_hold_expiring_5m"), (double)g->t->hold_due_5m,
           STR("Open holds whose deadline is over or within 5 minutes."));
    struct expo_family *holds = family(g, EXPO_HISTOGRAM, STR("pix_hold_seconds"),
                                       STR("From the decision to hold until release or denial."));
    expo_add_histogram(g->x, holds, NULL, 0, pipeline_hold_edges_s, PIPELINE_HOLD_EDGES,
                       g->t->hold_hist.buckets, (double)g->t->hold_hist.sum_ns / 1e9);
}

static void decision_series(const struct page *g)
{
    const struct pipeline_stages *s = &g->t->stages;
    struct expo_family *f = family(g, EXPO_COUNTER, STR("pix_events_ingested"),
                                   STR("Decisions by form of initiation."));
    for (uint32_t i = 0; i < FORMS; i++) {
        add1(g, f, L("form", i == FORM_NONE ? STR("none") : form_text((enum form)i)),
             (double)s->decisions[i]);
    }
    struct expo_family *latency = family(g, EXPO_HISTOGRAM, STR("pix_decision_latency_seconds"),
                                         STR("Total of latency_us of decisions."));
    histogram(g, latency, NULL, 0, &s->decision_latency);
    struct expo_family *sla =
        family(g, EXPO_HISTOGRAM, STR("pix_sla_segment_seconds"),
               STR("From the start of the transaction to the end of the segment."));
    for (uint32_t i = SLA_NONE + 1; i < SLA_SEGMENTS; i++) {
        struct label l = L("segment", sla_segment_text((enum sla_segment)i));
        histogram(g, sla, &l, 1, &g->t->sla.segment[i]);
    }
    struct expo_family *invalid = family(g, EXPO_COUNTER, STR("pix_sla_invalid"),
                                         STR("SLA samples not observed, by reason."));
    for (uint32_t i = 0; i < PIPELINE_SLA_INVALIDS; i++) {
        struct str why = pipeline_sla_invalid_text((enum pipeline_sla_invalid)i);
        add1(g, invalid, L("reason", why), (double)g->t->sla.invalid[i]);
    }
}

static void clock_series(const struct page *g)
{
    const struct pipeline *p = g->p;
    struct expo_family *f =
        family(g, EXPO_GAUGE, STR("pix_clock_offset_seconds"),
               STR("Clock offset a host last reported; 10 minutes without: absent."));
    for (uint32_t i = 0; i < g->n; i++) {
        const struct pipeline_stages *s = &((const struct pipeline_shard *)g->states[i])->stages;
        for (uint32_t j = 0; j < s->hosts.count; j++) {
            struct str name = intern_str(&s->hosts, j);
            bool newest =
                p->watermark_ns == T_NS_NONE || s->host[j].t_ns >= p->watermark_ns - 600 * NS_PER_S;
            for (uint32_t k = 0; newest && k < g->n; k++) {
                const struct pipeline_stages *o =
                    &((const struct pipeline_shard *)g->states[k])->stages;
                uint32_t id = k == i ? INTERN_FULL : intern_find(&o->hosts, name);
                if (id != INTERN_FULL) {
                    const struct pipeline_host *mine = &s->host[j];
                    const struct pipeline_host *other = &o->host[id];
                    /* At equal times and offsets the first shard speaks. */
                    newest = other->t_ns != mine->t_ns ? other->t_ns < mine->t_ns
                             : other->offset_us != mine->offset_us
                                 ? other->offset_us < mine->offset_us
                                 : i < k;
                }
            }
            if (newest) {
                add1(g, f, L("host", name), (double)s->host[j].offset_us / 1e6);
            }
        }
    }
    single(g, EXPO_COUNTER, STR("pix_events_ahead"), (double)g->t->ahead,
           STR("Events too far ahead of event time to be believed: wild clocks."));
    single(g, EXPO_COUNTER, STR("pix_watermark_resets"), (double)p->watermark_resets,
           STR("Times event time was set back because nobody followed it."));
    struct expo_family *bad = family(g, EXPO_COUNTER, STR("pix_events_invalid"),
                                     STR("Values of events that could not be used, by reason."));
    add1(g, bad, L("reason", STR("time")), (double)g->t->stages.bad_times);
    add1(g, bad, L("reason", STR("latency")), (double)g->t->stages.latency_negative);
    add1(g, bad, L("reason", STR("host_limit")), (double)g->t->stages.hosts_shed);
    if (p->watermark_ns != T_NS_NONE) {
        single(g, EXPO_GAUGE, STR("pix_watermark_seconds"), s_from_ns(p->watermark_ns),
               STR("Event time of the whole stream, Unix time."));
    }
}

void pipeline_publish(void *app, void *const *states, uint32_t n, int64_t now_ns, struct expo *x)
{
    (void)now_ns;
    struct pipeline_total total;
    struct page g = {.x = x, .p = app, .states = states, .n = n, .t = &total};
    pipeline_total_of(g.p, states, n, &total); /* asserts that the sums close */
    decision_series(&g);
    stage_counters(&g);
    version_series(&g);
    names_of_shards(&g);
    stage_histograms(&g);
    lost_counters(&g);
    ledger_series(&g);
    clock_series(&g);
}
