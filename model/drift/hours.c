/* The reference of hours: each hour of the week has its own, as nights and Sundays differ from
 * working hours by more than most drifts.
 *
 * Few weeks make few events per slot. An hour is compared with the same hour of the week when that
 * holds EVENTS_MIN decisions, else with the same hour of all days, else with the whole reference.
 * Over-dispersion comes from every SAMPLE_HOURS-th hour of the reference, compared in the same way
 * with the hours before it. Only all decisions; coarse keys. */
#include "model/drift/drift_int.h"

#define EVENTS_MIN   2000
#define SAMPLE_HOURS 5 /* with 24 and 168 it has no divisor in common: all hours are met */

_Static_assert(DRIFT_HOURS_PER_WEEK % SAMPLE_HOURS != 0, "samples would always be the same hours");

static int32_t slot_of(int32_t hour)
{
    return hour % DRIFT_HOURS_PER_WEEK;
}

static const struct drift_grid *find(const struct drift_grids *t, int32_t at)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->v[i].at == at) {
            return &t->v[i];
        }
    }
    return NULL;
}

/* What an hour is compared with, put together in `own` when need be. NULL without memory. */
static const struct drift_grid *reference_of(const struct drift *d, int32_t hour,
                                             struct drift_grid *own)
{
    const struct drift_grid *slot = find(&d->hour_refs, slot_of(hour));
    if (slot != NULL && drift_decisions(&d->names, slot, 0) >= EVENTS_MIN) {
        return slot;
    }
    for (uint32_t i = 0; i < d->hour_refs.count; i++) {
        const struct drift_grid *other = &d->hour_refs.v[i];
        if (other->at % DRIFT_HOURS_PER_DAY == hour % DRIFT_HOURS_PER_DAY &&
            !drift_grid_merge(own, 1, other, 1, d->mem)) {
            return NULL;
        }
    }
    return drift_decisions(&d->names, own, 0) >= EVENTS_MIN ? own : &d->ref;
}

bool drift_hours_learn(struct drift *d, const struct drift_grid *g)
{
    struct drift_grid own = {0};
    bool ok = true;
    if (g->at % SAMPLE_HOURS == 0) {
        const struct drift_grid *ref = reference_of(d, g->at, &own);
        const struct drift_against a = {
            .d = d, .ref = ref, .spreads = &d->hour_spreads, .coarse = true};
        /* Without enough of its own hour there is nothing to learn yet. */
        ok = ref != NULL && (ref == &d->ref || drift_eval_spread(&a, g, 1, &d->hour_spreads));
    }
    drift_grid_release(&own, d->mem, 1);
    struct drift_grid *to = drift_grids_at(&d->hour_refs, d->mem, slot_of(g->at));
    return to != NULL && drift_grid_merge_all(to, g, d->mem) && ok;
}

bool drift_hours_eval(const struct drift *d, const struct drift_grid *g, struct drift_window *out)
{
    struct drift_grid own = {0};
    const struct drift_grid *ref = reference_of(d, g->at, &own);
    const struct drift_against a = {
        .d = d, .ref = ref, .spreads = &d->hour_spreads, .coarse = true};
    bool ok = ref != NULL && drift_eval(&a, g, out);
    drift_grid_release(&own, d->mem, 1);
    return ok;
}
