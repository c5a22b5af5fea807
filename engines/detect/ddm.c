/* ddm and eddm: control charts over a stream of errors (1) and successes (0).
 *
 * Why: the two oldest detectors for classifiers, which people ask for by name.
 *
 * ddm: p = errors / events of the run, s = sqrt(p (1 - p) / n). The lowest p + s of the run is kept
 * as p_min, s_min; warning and alarm when p + s > p_min + level s_min, from min_events on.
 * eddm: the distances between errors have mean m and standard deviation s; the highest m + 2 s is
 * kept; warning and alarm when (m + 2 s) / highest < level, from min_events errors on. Looked at
 * only at errors; between them the last answer but an alarm stands.
 *
 * Both tell as onset the event at which the present warning zone was entered (the papers start
 * their new concept there), or the alarm itself when there was no warning.
 *
 * Saved: the fields of each struct in order, 8 bytes each.
 * Sources: Gama et al., SBIA 2004, section 3; Baena-Garcia et al., IWKDDS 2006, section 3 (the
 * sample variance and the order of the tests are river's). */
#include "engines/detect/detect_int.h"

#include <math.h>

struct ddm {
    struct detect base;
    uint64_t errors;
    uint64_t warn_from;  /* event of the run, 0 = not in the warning zone */
    double p_min, s_min; /* s_min < 0: none yet */
};

struct eddm {
    struct detect base;
    uint64_t errors;
    uint64_t warn_from;
    uint64_t last_error; /* event of the run */
    double mean, m2;     /* of the distances: mean, sum of squared deviations */
    double best;         /* < 0: none yet */
};

/* Enters, stays in or leaves the warning zone. */
static enum detect_verdict zone(struct detect *d, uint64_t *warn_from, bool alarm, bool warning)
{
    if (!alarm && !warning) {
        *warn_from = 0;
        return DETECT_CALM;
    }
    if (*warn_from == 0) {
        *warn_from = d->run_events;
    }
    d->onset = detect_event_of_run(d, *warn_from);
    return alarm ? DETECT_ALARM : DETECT_WARNING;
}

static size_t ddm_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct ddm);
}

static void ddm_clear(struct detect *d, bool after_alarm)
{
    struct ddm *s = (struct ddm *)d;
    (void)after_alarm;
    s->errors = 0;
    s->warn_from = 0;
    s->p_min = 0;
    s->s_min = -1;
}

static enum detect_verdict ddm_update(struct detect *d, double x)
{
    struct ddm *s = (struct ddm *)d;
    s->errors += x == 1;
    if (d->run_events <= d->cfg.u.ddm.min_events) {
        return DETECT_CALM;
    }
    double n = (double)d->run_events;
    double p = (double)s->errors / n;
    double dev = sqrt(p * (1 - p) / n);
    if (s->s_min < 0 || p + dev <= s->p_min + s->s_min) {
        s->p_min = p;
        s->s_min = dev;
    }
    double now = p + dev;
    return zone(d, &s->warn_from, now > s->p_min + d->cfg.u.ddm.alarm_level * s->s_min,
                now > s->p_min + d->cfg.u.ddm.warn_level * s->s_min);
}

static void ddm_save(const struct detect *d, struct buf *out)
{
    const struct ddm *s = (const struct ddm *)d;
    buf_u64le(out, s->errors);
    buf_u64le(out, s->warn_from);
    buf_f64le(out, s->p_min);
    buf_f64le(out, s->s_min);
}

static bool ddm_load(struct detect *d, struct rd *r)
{
    struct ddm *s = (struct ddm *)d;
    s->errors = rd_u64le(r);
    s->warn_from = rd_u64le(r);
    return s->errors <= d->run_events && s->warn_from <= d->run_events &&
           detect_read_f64(r, &s->p_min, 1, 0, 1) && detect_read_f64(r, &s->s_min, 1, -1, 1);
}

const struct detect_ops detect_ops_ddm = {.bytes = ddm_bytes,
                                          .takes = detect_takes_bit,
                                          .clear = ddm_clear,
                                          .update = ddm_update,
                                          .save = ddm_save,
                                          .load = ddm_load};

static size_t eddm_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct eddm);
}

static void eddm_clear(struct detect *d, bool after_alarm)
{
    struct eddm *s = (struct eddm *)d;
    (void)after_alarm;
    s->errors = 0;
    s->warn_from = 0;
    s->last_error = 0;
    s->mean = 0;
    s->m2 = 0;
    s->best = -1;
}

/* The share of the best m + 2 s that the present one is; 1 while there is nothing to compare. */
static double eddm_level(struct detect *d, struct eddm *s)
{
    double distance = (double)(d->run_events - s->last_error);
    s->errors++;
    s->last_error = d->run_events;
    double off = distance - s->mean;
    s->mean += off / (double)s->errors;
    s->m2 += off * (distance - s->mean);
    if (d->run_events <= d->cfg.u.eddm.min_events) {
        return 1;
    }
    double dev = s->errors > 1 ? sqrt(s->m2 / (double)(s->errors - 1)) : 0;
    double now = s->mean + 2 * dev;
    if (now > s->best) {
        s->best = now;
        return 1;
    }
    return s->errors > d->cfg.u.eddm.min_events ? now / s->best : 1;
}

static enum detect_verdict eddm_update(struct detect *d, double x)
{
    struct eddm *s = (struct eddm *)d;
    if (x == 0) {
        return zone(d, &s->warn_from, false, s->warn_from != 0);
    }
    double level = eddm_level(d, s);
    return zone(d, &s->warn_from, level < d->cfg.u.eddm.alarm_level,
                level < d->cfg.u.eddm.warn_level);
}

static void eddm_save(const struct detect *d, struct buf *out)
{
    const struct eddm *s = (const struct eddm *)d;
    buf_u64le(out, s->errors);
    buf_u64le(out, s->warn_from);
    buf_u64le(out, s->last_error);
    buf_f64le(out, s->mean);
    buf_f64le(out, s->m2);
    buf_f64le(out, s->best);
}

static bool eddm_load(struct detect *d, struct rd *r)
{
    struct eddm *s = (struct eddm *)d;
    s->errors = rd_u64le(r);
    s->warn_from = rd_u64le(r);
    s->last_error = rd_u64le(r);
    /* A distance is at most the event of the last error, and the mean and deviation with it. */
    double most = (double)s->last_error * (1 + 1e-9);
    double n = (double)s->errors;
    return s->last_error <= d->run_events && s->errors <= s->last_error &&
           (s->errors > 0) == (s->last_error > 0) && s->warn_from <= d->run_events &&
           detect_read_f64(r, &s->mean, 1, 0, most) &&
           detect_read_f64(r, &s->m2, 1, 0, n * most * most) &&
           detect_read_f64(r, &s->best, 1, -1, 4 * most);
}

const struct detect_ops detect_ops_eddm = {.bytes = eddm_bytes,
                                           .takes = detect_takes_bit,
                                           .clear = eddm_clear,
                                           .update = eddm_update,
                                           .save = eddm_save,
                                           .load = eddm_load};
