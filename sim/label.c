/* What becomes known afterwards: contests through the MED and labels of analysts, at their own
 * pace.
 *
 *   completed fraud   - contested (70 %) after a mixture of delays, analysed 0-7 days: AGREED
 *   completed payment - contested in error, as often as makes 38 % AGREED:              DISAGREED
 *   held              - the analyst who decided labels it at once
 *   denied, blocked   - a share is labelled by an analyst after a review
 *
 * A corrected label is first wrong, then superseded by the truth (append, never overwrite). All
 * delays but those of analysts are multiplied by labels.delay_scale. */
#include "sim/sim_int.h"

#include <math.h>

static int64_t contest_delay(const struct sim *s, struct rng *r)
{
    static const double from_d[] = {0.01, 1, 7, 30}, to_d[] = {1, 7, 30, 80};
    uint32_t i = sim_choose(&s->label_delays, rng_f64(r));
    double days = from_d[i] + (to_d[i] - from_d[i]) * rng_f64(r);
    return (int64_t)(days * s->c.labels.delay_scale * (double)NS_PER_DAY);
}

static bool label_push(struct sim *s, struct label_slot l)
{
    uint32_t slot = sim_pool_take(&s->labels);
    if (slot == POOL_FULL) {
        s->totals.labels_shed++;
        return true;
    }
    *(struct label_slot *)sim_pool_at(&s->labels, slot) = l;
    return sim_queue_push(&s->queue, (struct entry){.t = l.t, .slot = slot, .kind = Q_LABEL});
}

static bool push_with_correction(struct sim *s, struct rng *r, struct label_slot l)
{
    double wrong = rng_f64(r), later = rng_f64(r);
    l.first_t = l.t;
    if (wrong >= s->c.labels.correction) {
        return label_push(s, l);
    }
    struct label_slot fix = l;
    fix.sequence = fix.supersedes = 1;
    fix.t += 1 + (int64_t)(later * 3 * s->c.labels.delay_scale * (double)NS_PER_DAY);
    l.truth = l.truth == TRUTH_FRAUD ? TRUTH_LEGIT : TRUTH_FRAUD;
    return label_push(s, l) && label_push(s, fix);
}

static bool plan_contest(struct sim *s, struct rng *r, const struct tx *t, struct label_slot l)
{
    double share = t->pattern != PAT_NONE ? s->c.labels.contested : s->scorer.claim_share;
    if (rng_f64(r) >= share) {
        return true;
    }
    double analysis = rng_f64(r) * (double)s->c.labels.analysis_max_ms * 1e6;
    l.contested = l.t + contest_delay(s, r);
    l.t = l.contested + (int64_t)(analysis * s->c.labels.delay_scale);
    l.source = SOURCE_MED_INFRACTION;
    return push_with_correction(s, r, l);
}

bool sim_labels_plan(struct sim *s, struct rng *r, const struct tx *t)
{
    const struct step *last = &t->steps[t->steps_count - 1];
    struct label_slot l = {.id = t->id,
                           .t = last->end,
                           .contested = T_NS_NONE,
                           .amount = t->amount,
                           .number = t->number,
                           .pattern = t->pattern};
    l.truth = t->pattern != PAT_NONE ? TRUTH_FRAUD : TRUTH_LEGIT;
    if (t->lost_to < SIM_STAGES) { /* nobody can contest or review it */
        return true;
    }
    if (t->verdict == VERDICT_HOLD) {
        const struct step *act = last->stage == ST_ACT ? last : last - 1;
        if (act->reason && strcmp(act->reason, "hold_expired") != 0) {
            bool fraud = act->outcome == OUTCOME_DROP;
            l.truth = fraud ? TRUTH_FRAUD : TRUTH_LEGIT;
            l.t = act->end;
            l.source = SOURCE_ANALYST;
            return push_with_correction(s, r, l);
        }
    }
    if (t->verdict == VERDICT_DENY || t->verdict == VERDICT_CAUTELAR_BLOCK) {
        if (rng_f64(r) >= s->c.labels.deny_review) {
            return true;
        }
        bool wrong = rng_f64(r) < s->c.labels.analyst_error;
        l.truth = wrong ? (l.truth == TRUTH_FRAUD ? TRUTH_LEGIT : TRUTH_FRAUD) : l.truth;
        l.t += (int64_t)((double)s->c.holds.review_ms * 1e6 * (0.5 + rng_exp(r)));
        l.source = SOURCE_ANALYST;
        return push_with_correction(s, r, l);
    }
    if (last->outcome == OUTCOME_ERROR || last->outcome == OUTCOME_DROP) {
        return true; /* no money moved */
    }
    return plan_contest(s, r, t, l);
}
