/* What each stage costs: events by outcome, errors by reason, and histograms of work, waiting and
 * duration.
 *
 * The edges are those of the Manual de Tempos (domain.md section 2.3): every regulatory limit is
 * an edge, so "share within the limit" is counted, not interpolated. Sums are 128-bit integers of
 * nanoseconds: exact, and therefore the same for any number of shards and any order. A duplicate
 * counts as an event and as a duplicate and nowhere else, so that redelivery does not bend errors,
 * retries and latencies. */
#include "base/pii.h"
#include "pipeline/pipeline_int.h"

const double pipeline_edges_s[25] = {.005, .01, .02, .03, .04, .05, .075, .1, .15, .2, .3, .5, .9,
                                     1,    1.4, 1.5, 2,   2.3, 2.8, 4.6,  6,  10,  20, 40, 60};
const double pipeline_hold_edges_s[PIPELINE_HOLD_EDGES] = {60,   300,  900,  1500,
                                                           1800, 2700, 3300, 3600};

#define MS NS_PER_MS
static const int64_t edges_ns[25] = {
    5 * MS,     10 * MS,    20 * MS,    30 * MS,    40 * MS,   50 * MS,   75 * MS,
    100 * MS,   150 * MS,   200 * MS,   300 * MS,   500 * MS,  900 * MS,  1000 * MS,
    1400 * MS,  1500 * MS,  2000 * MS,  2300 * MS,  2800 * MS, 4600 * MS, 6000 * MS,
    10000 * MS, 20000 * MS, 40000 * MS, 60000 * MS,
};

void pipeline_hist_add(struct pipeline_hist *h, int64_t ns)
{
    ASSERT(ns >= 0);
    uint32_t i = 0;
    /* Two steps: the median of a healthy stage is among the first twelve edges. */
    if (ns > edges_ns[11]) {
        i = 12;
    } else if (ns > edges_ns[5]) {
        i = 6;
    }
    while (i < ARRAY_LEN(edges_ns) && ns > edges_ns[i]) {
        i++;
    }
    h->buckets[i]++;
    h->sum_ns += ns;
}

void pipeline_hold_hist_add(struct pipeline_hist *h, int64_t ns)
{
    ASSERT(ns >= 0);
    uint32_t i = 0;
    while (i < PIPELINE_HOLD_EDGES && (double)ns > pipeline_hold_edges_s[i] * 1e9) {
        i++;
    }
    h->buckets[i]++;
    h->sum_ns += ns;
}

void pipeline_hist_merge(struct pipeline_hist *to, const struct pipeline_hist *from)
{
    for (uint32_t i = 0; i < ARRAY_LEN(to->buckets); i++) {
        to->buckets[i] += from->buckets[i];
    }
    to->sum_ns += from->sum_ns;
}

uint64_t pipeline_hist_count(const struct pipeline_hist *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(h->buckets); i++) {
        n += h->buckets[i];
    }
    return n;
}

bool pipeline_counted_init(struct pipeline_counted *c, struct mem *m, uint32_t max)
{
    intern_init(&c->names, m, max);
    c->max = max;
    c->counts = mem_take(m, (max + 1u) * sizeof *c->counts);
    return c->counts != NULL;
}

void pipeline_counted_release(struct pipeline_counted *c, struct mem *m)
{
    intern_release(&c->names);
    mem_give(m, c->counts, (c->max + 1u) * sizeof *c->counts);
    c->counts = NULL;
}

void pipeline_counted_add(struct pipeline_counted *c, struct str name, uint64_t n)
{
    uint32_t id = name.n > PIPELINE_LABEL_MAX ? INTERN_FULL : intern_find(&c->names, name);
    if (id == INTERN_FULL && name.n <= PIPELINE_LABEL_MAX && c->names.count < c->max) {
        /* A label value lives for years in the series database: no personal data may become one. */
        if (pii_detect(name) == PII_NONE && str_is_utf8(name)) {
            id = intern_add(&c->names, name);
        }
    }
    c->counts[id == INTERN_FULL ? c->max : id] += n;
}

void pipeline_counted_merge(struct pipeline_counted *to, const struct pipeline_counted *from)
{
    for (uint32_t i = 0; i < from->names.count; i++) {
        pipeline_counted_add(to, intern_str(&from->names, i), from->counts[i]);
    }
    to->counts[to->max] += from->counts[from->max];
}

static void counted_reset(struct pipeline_counted *c, struct mem *m)
{
    intern_release(&c->names);
    intern_init(&c->names, m, c->max);
    memset(c->counts, 0, (c->max + 1u) * sizeof *c->counts);
}

void pipeline_stages_reset(struct pipeline_stages *s)
{
    struct pipeline_stages kept = *s;
    *s = (struct pipeline_stages){.plan = kept.plan, .mem = kept.mem};
    s->unknown = kept.unknown;
    counted_reset(&s->unknown, s->mem);
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        s->stage[i].watermark_ns = T_NS_NONE;
        s->stage[i].reasons = kept.stage[i].reasons;
        counted_reset(&s->stage[i].reasons, s->mem);
    }
    intern_release(&kept.hosts);
    intern_init(&s->hosts, s->mem, PIPELINE_HOSTS_MAX);
    s->host = kept.host;
    memset(s->host, 0, PIPELINE_HOSTS_MAX * sizeof *s->host);
}

bool pipeline_stages_init(struct pipeline_stages *s, const struct pipeline_plan *p, struct mem *m,
                          struct err *e)
{
    *s = (struct pipeline_stages){.plan = p, .mem = m};
    intern_init(&s->hosts, m, PIPELINE_HOSTS_MAX);
    bool ok = pipeline_counted_init(&s->unknown, m, PIPELINE_UNKNOWN_MAX);
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        s->stage[i].watermark_ns = T_NS_NONE;
        ok = pipeline_counted_init(&s->stage[i].reasons, m, PIPELINE_REASONS_MAX) && ok;
    }
    s->host = mem_take(m, PIPELINE_HOSTS_MAX * sizeof *s->host);
    if (!ok || !s->host) {
        return err_set(e, ERR_NOMEM, "no memory for the stages of a shard");
    }
    return true;
}

void pipeline_stages_release(struct pipeline_stages *s)
{
    pipeline_counted_release(&s->unknown, s->mem);
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        pipeline_counted_release(&s->stage[i].reasons, s->mem);
    }
    intern_release(&s->hosts);
    mem_give(s->mem, s->host, PIPELINE_HOSTS_MAX * sizeof *s->host);
    s->host = NULL;
}

/* An offset of 0 also means "not given": it only updates a host that gave another before. */
void pipeline_stages_host(struct pipeline_stages *s, struct str host, int64_t t_ns,
                          int64_t offset_us)
{
    if (host.n == 0 || (offset_us == 0 && s->hosts.count == 0)) {
        return;
    }
    uint32_t id = intern_find(&s->hosts, host);
    if (id == INTERN_FULL && offset_us != 0) {
        bool fits =
            host.n <= PIPELINE_LABEL_MAX && str_is_utf8(host) && pii_detect(host) == PII_NONE;
        id = fits ? intern_add(&s->hosts, host) : INTERN_FULL;
        s->hosts_shed += id == INTERN_FULL;
    }
    if (id == INTERN_FULL) {
        return;
    }
    struct pipeline_host *h = &s->host[id];
    /* At equal times the larger wins, so that the order of arrival does not matter. */
    if (t_ns > h->t_ns || (t_ns == h->t_ns && offset_us > h->offset_us)) {
        *h = (struct pipeline_host){t_ns, offset_us};
    }
}

void pipeline_stages_event(struct pipeline_stages *s, const struct stage_event *ev,
                           uint32_t position, enum pipeline_seen seen, bool first_at_stage)
{
    struct pipeline_stage *st = &s->stage[position - 1];
    st->events[ev->outcome]++;
    st->entered += first_at_stage;
    if (seen == PIPELINE_SEEN_DUP) {
        st->duplicates++;
        return;
    }
    if (seen == PIPELINE_SEEN_TOO_OLD) {
        return; /* maybe seen long ago: it would count twice */
    }
    st->retries += ev->attempt > 1 || ev->outcome == OUTCOME_RETRY;
    if (ev->outcome == OUTCOME_ERROR || ev->outcome == OUTCOME_DROP || ev->outcome == OUTCOME_DLQ) {
        pipeline_counted_add(&st->reasons, ev->reason.n > 0 ? ev->reason : STR("none"), 1);
    }
    if (ev->outcome != OUTCOME_SKIP) {
        if (ev->end_ns >= ev->start_ns) {
            pipeline_hist_add(&st->duration, ev->end_ns - ev->start_ns);
        } else {
            st->negative++;
        }
        if (ev->work_ns >= 0) {
            pipeline_hist_add(&st->work, ev->work_ns);
        }
        if (ev->queue_ns >= 0) {
            pipeline_hist_add(&st->queue, ev->queue_ns);
        }
    }
}

void pipeline_stages_merge_numbers(struct pipeline_stages *to, const struct pipeline_stages *from)
{
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        struct pipeline_stage *t = &to->stage[i];
        const struct pipeline_stage *f = &from->stage[i];
        for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
            t->events[o] += f->events[o];
        }
        t->entered += f->entered;
        t->duplicates += f->duplicates;
        t->retries += f->retries;
        t->negative += f->negative;
        t->watermark_ns = i64_max(t->watermark_ns, f->watermark_ns);
        pipeline_hist_merge(&t->work, &f->work);
        pipeline_hist_merge(&t->queue, &f->queue);
        pipeline_hist_merge(&t->duration, &f->duration);
        pipeline_hist_merge(&t->decision_latency, &f->decision_latency);
        pipeline_versions_merge(&t->versions, &f->versions);
    }
    for (uint32_t i = 0; i < FORMS; i++) {
        to->decisions[i] += from->decisions[i];
    }
    pipeline_hist_merge(&to->decision_latency, &from->decision_latency);
    to->hosts_shed += from->hosts_shed;
    to->bad_times += from->bad_times;
    to->latency_negative += from->latency_negative;
}
