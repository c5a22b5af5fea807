/* Rates and quantiles over the last 60 seconds of arrivals.
 *
 * The shards only ever count up. At rest, every 5 seconds, the sums are kept in a ring of 13; the
 * difference to the oldest is what arrived in the last 55 to 65 seconds, and each rate is divided
 * by the time that really passed. Nothing here is saved: after a start the window begins anew, so
 * that the replay of a journal does not look like a burst. */
#include "pipeline/pipeline_int.h"

#include <math.h>

#define STEP_NS (5 * NS_PER_S)

void pipeline_window_reset(struct pipeline_window *w)
{
    w->count = 0;
    w->head = 0;
}

static const struct pipeline_snapshot *newest(const struct pipeline_window *w)
{
    return &w->ring[(w->head + PIPELINE_WINDOW_SLOTS - 1) % PIPELINE_WINDOW_SLOTS];
}

void pipeline_window_tick(struct pipeline_window *w, const struct pipeline_snapshot *now)
{
    if (w->count > 0 && now->t_ns < newest(w)->t_ns) {
        pipeline_window_reset(w); /* the wall clock was set back */
    }
    if (w->count > 0 && now->t_ns - newest(w)->t_ns < STEP_NS) {
        return;
    }
    w->ring[w->head] = *now;
    w->head = (w->head + 1) % PIPELINE_WINDOW_SLOTS;
    w->count += w->count < PIPELINE_WINDOW_SLOTS;
}

static void subtract(uint64_t *v, const uint64_t *old, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* A sum falls only when a whole state was loaded; then there is nothing to show. */
        v[i] = v[i] >= old[i] ? v[i] - old[i] : 0;
    }
}

void pipeline_window_rates(const struct pipeline_window *w, const struct pipeline_snapshot *now,
                           struct pipeline_rates *out)
{
    out->d = *now;
    out->seconds = 0;
    const struct pipeline_snapshot *old = now;
    if (w->count > 0) {
        uint32_t first = w->head + PIPELINE_WINDOW_SLOTS - w->count;
        old = &w->ring[first % PIPELINE_WINDOW_SLOTS];
        out->seconds = now->t_ns > old->t_ns ? s_from_ns(now->t_ns - old->t_ns) : 0;
    }
    struct pipeline_snapshot *d = &out->d;
    subtract(&d->entered, &old->entered, 1);
    subtract(&d->decisions, &old->decisions, 1);
    subtract(&d->stage_events, &old->stage_events, 1);
    subtract(&d->lost, &old->lost, 1);
    subtract(&d->too_old, &old->too_old, 1);
    subtract(&d->shed, &old->shed, 1);
    subtract(&d->unknown, &old->unknown, 1);
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        subtract(d->sla[i], old->sla[i], ARRAY_LEN(d->sla[i]));
    }
    subtract(d->decision_latency, old->decision_latency, ARRAY_LEN(d->decision_latency));
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        struct pipeline_window_stage *s = &d->stage[i];
        const struct pipeline_window_stage *o = &old->stage[i];
        subtract(&s->events, &o->events, 1);
        subtract(&s->errors, &o->errors, 1);
        subtract(&s->duplicates, &o->duplicates, 1);
        subtract(&s->retries, &o->retries, 1);
        subtract(s->duration, o->duration, ARRAY_LEN(s->duration));
        subtract(s->queue, o->queue, ARRAY_LEN(s->queue));
    }
}

double pipeline_quantile_s(const uint64_t buckets[26], double q)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < 26; i++) {
        total += buckets[i];
    }
    if (total == 0) {
        return (double)NAN;
    }
    double rank = q * (double)total;
    double below = 0;
    for (uint32_t i = 0; i < 25; i++) {
        double in = (double)buckets[i];
        if (in > 0 && below + in >= rank) {
            double lo = i == 0 ? 0 : pipeline_edges_s[i - 1];
            return lo + (pipeline_edges_s[i] - lo) * (rank - below) / in;
        }
        below += in;
    }
    return pipeline_edges_s[24];
}
