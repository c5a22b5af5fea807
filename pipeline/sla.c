/* Segments of the Manual de Tempos: from the start of the transaction to the end of the event that
 * carries the segment, each segment of a transaction once.
 *
 * What the regulator measures starts when the transaction starts (t0' at the payer, t2 at the
 * payee), not when the stage that ends the segment starts. The start is start_ns of attempt 1 of
 * the first stage: a later attempt starts later, and would make the segment look short. The end is
 * the first event with outcome ok that carries the segment; attempts that failed end nothing.
 *
 * An end may arrive before the start (hosts ship at their own pace): it then waits in the entry.
 * The field `sla` of an entry is the start once it is known, and before that two ends of 32 bits,
 * in microseconds modulo 71 minutes: only their distance to the start counts, and no end is later
 * than the entry's newest time, which tells a wrapped distance from a real one. So everything is
 * measured in whole microseconds, whichever came first; the order of arrival changes no number.
 *
 *   bits 0..31   end of t1_t0 or t3_t2 (payer's or payee's side; tx->sla_wait says which)
 *   bits 32..63  end of t6a_t0 (tx->sla_wait6)
 *
 * Invariant: every segment that a transaction ended is in exactly one of observed, invalid by
 * reason, waiting; what still waits when the transaction is forgotten is counted as no_start.
 * Source: domain.md section 2.1 (definitions), section 0 item 8 (clocks). */
#include "pipeline/pipeline_int.h"

#define WAIT_NS_MAX (1800 * NS_PER_S) /* far from where 32 bits of microseconds wrap */

struct str pipeline_sla_invalid_text(enum pipeline_sla_invalid v)
{
    static const struct str texts[PIPELINE_SLA_INVALIDS] = {
        STR_INIT("clock"), STR_INIT("negative"), STR_INIT("no_start"), STR_INIT("exempt")};
    ASSERT((uint32_t)v < PIPELINE_SLA_INVALIDS);
    return texts[v];
}

static bool clock_is_bad(const struct pipeline_plan *p, const struct stage_event *ev)
{
    return ev->clock_offset_us > p->clock_error_us || ev->clock_offset_us < -p->clock_error_us;
}

static void observe(struct pipeline_sla *s, uint32_t segment, int64_t us)
{
    if (us < 0) {
        s->invalid[PIPELINE_SLA_NEGATIVE]++;
    } else {
        pipeline_hist_add(&s->segment[segment], us * NS_PER_US);
    }
}

/* An end that waited, now that the start is known. */
static void observe_waiting(struct pipeline_sla *s, const struct pipeline_tx *tx, uint32_t segment,
                            uint32_t end_us, int64_t start_ns)
{
    if (start_ns == T_NS_NONE) {
        s->invalid[PIPELINE_SLA_CLOCK]++;
        return;
    }
    if (tx->newest_ns - start_ns > WAIT_NS_MAX) {
        s->invalid[PIPELINE_SLA_NO_START]++;
        return;
    }
    int64_t start_us = start_ns / NS_PER_US;
    int64_t us = (int64_t)(uint32_t)(end_us - (uint32_t)start_us);
    observe(s, segment, us <= tx->newest_ns / NS_PER_US - start_us ? us : -1);
}

static void start(struct pipeline_sla *s, struct pipeline_tx *tx, int64_t start_ns)
{
    if (tx->sla_wait != SLA_NONE) {
        observe_waiting(s, tx, tx->sla_wait, (uint32_t)tx->sla, start_ns);
    }
    if (tx->sla_wait6) {
        observe_waiting(s, tx, SLA_T6A_T0, (uint32_t)(tx->sla >> 32), start_ns);
    }
    tx->sla_wait = SLA_NONE;
    tx->sla_wait6 = 0;
    tx->sla_started = 1;
    tx->sla = (uint64_t)start_ns;
}

static void wait(struct pipeline_sla *s, struct pipeline_tx *tx, uint32_t segment, int64_t end_ns)
{
    uint64_t end_us = (uint32_t)(end_ns / NS_PER_US);
    if (segment == SLA_T6A_T0) {
        tx->sla_wait6 = 1;
        tx->sla |= end_us << 32;
    } else if (tx->sla_wait == SLA_NONE) {
        tx->sla_wait = segment & 3u;
        tx->sla |= end_us;
    } else {
        s->invalid[PIPELINE_SLA_NO_START]++; /* both sides of one payment: only one can wait */
    }
}

void pipeline_sla_event(struct pipeline_sla *s, const struct pipeline_plan *p,
                        struct pipeline_tx *tx, const struct stage_event *ev, uint32_t position)
{
    bool bad = clock_is_bad(p, ev);
    if (position == 1 && ev->attempt <= 1 && !tx->sla_started) {
        start(s, tx, bad ? T_NS_NONE : ev->start_ns);
    }
    uint32_t bit = 1u << ev->sla >> 1; /* 0 for SLA_NONE */
    if (ev->outcome != OUTCOME_OK || bit == 0 || (tx->sla_seen & bit) != 0) {
        return;
    }
    tx->sla_seen = (tx->sla_seen | bit) & 7u;
    int64_t start_ns = (int64_t)tx->sla;
    if (tx->sla_exempt) {
        s->invalid[PIPELINE_SLA_EXEMPT]++;
    } else if (bad || (tx->sla_started && start_ns == T_NS_NONE)) {
        s->invalid[PIPELINE_SLA_CLOCK]++;
    } else if (tx->sla_started) {
        observe(s, ev->sla, ev->end_ns / NS_PER_US - start_ns / NS_PER_US);
    } else {
        wait(s, tx, ev->sla, ev->end_ns);
    }
}

void pipeline_sla_refused(struct pipeline_sla *s, const struct stage_event *ev)
{
    s->invalid[PIPELINE_SLA_NO_START] += ev->outcome == OUTCOME_OK && ev->sla != SLA_NONE;
}

void pipeline_sla_forget(struct pipeline_sla *s, const struct pipeline_tx *tx)
{
    s->invalid[PIPELINE_SLA_NO_START] += (uint64_t)(tx->sla_wait != SLA_NONE) + tx->sla_wait6;
}

void pipeline_sla_merge(struct pipeline_sla *to, const struct pipeline_sla *from)
{
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        pipeline_hist_merge(&to->segment[i], &from->segment[i]);
    }
    for (uint32_t i = 0; i < PIPELINE_SLA_INVALIDS; i++) {
        to->invalid[i] += from->invalid[i];
    }
}
