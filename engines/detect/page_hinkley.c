/* page_hinkley: the cumulated distance of the events from their running mean.
 *
 * Why: it is the cheapest detector for a mean that is not known beforehand, and the one most used.
 * With m the mean of the run so far, including this event:
 *
 *   clamped   up:  S <- max(0, alpha S + x - m - delta)       alarm at S >= threshold
 *             down: S <- max(0, alpha S - x + m - delta)
 *   extremes  up:  S <- alpha S + x - m - delta               alarm at S - min S >= threshold
 *             down: S <- alpha S - x + m - delta
 *
 * With alpha = 1 both are Page's test. With alpha < 1 they differ much: the free sum of the second
 * form settles around -delta / (1 - alpha) and its noise is then measured from the lowest point
 * ever, so that a quiet stream needs a far higher threshold (bench/drift prints both).
 *
 * Saved: mean, then for up and down: S, least S, the event of the run when S was last at rest.
 * Sources: Page, Biometrika 41, 1954; Gama et al., ACM CSUR 46(4), 2014, 3.2; river,
 * PageHinkley. */
#include "engines/detect/detect_int.h"

#include <math.h>

struct ph_side {
    double sum, least;
    uint64_t rest_event; /* of this run; 0 = before the first */
};

struct ph {
    struct detect base;
    double mean;
    struct ph_side side[2]; /* up, down */
};

static size_t ph_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct ph);
}

static void ph_clear(struct detect *d, bool after_alarm)
{
    struct ph *p = (struct ph *)d;
    (void)after_alarm;
    p->mean = 0;
    memset(p->side, 0, sizeof p->side);
}

/* How far the sum has risen. */
static double ph_step(const struct detect *d, struct ph_side *s, double dev)
{
    s->sum = d->cfg.u.ph.alpha * s->sum + dev - d->cfg.u.ph.delta;
    if (d->cfg.u.ph.form == DETECT_PH_CLAMPED) {
        if (s->sum <= 0) {
            s->sum = 0;
            s->rest_event = d->run_events;
        }
        return s->sum;
    }
    if (d->run_events == 1 || s->sum < s->least) {
        s->least = s->sum;
        s->rest_event = d->run_events;
    }
    return s->sum - s->least;
}

static enum detect_verdict ph_update(struct detect *d, double x)
{
    struct ph *p = (struct ph *)d;
    p->mean += (x - p->mean) / (double)d->run_events;
    double dev = x - p->mean;
    double up = d->cfg.u.ph.side != DETECT_DOWN ? ph_step(d, &p->side[0], dev) : 0;
    double down = d->cfg.u.ph.side != DETECT_UP ? ph_step(d, &p->side[1], -dev) : 0;
    if (d->run_events < d->cfg.u.ph.min_events || fmax(up, down) < d->cfg.u.ph.threshold) {
        return DETECT_CALM;
    }
    const struct ph_side *s = up >= down ? &p->side[0] : &p->side[1];
    d->onset = detect_event_of_run(d, s->rest_event + 1);
    d->onset = d->onset > d->events ? d->events : d->onset;
    return DETECT_ALARM;
}

static void ph_save(const struct detect *d, struct buf *out)
{
    const struct ph *p = (const struct ph *)d;
    buf_f64le(out, p->mean);
    for (int i = 0; i < 2; i++) {
        buf_f64le(out, p->side[i].sum);
        buf_f64le(out, p->side[i].least);
        buf_u64le(out, p->side[i].rest_event);
    }
}

static bool ph_load(struct detect *d, struct rd *r)
{
    struct ph *p = (struct ph *)d;
    bool ok = detect_read_f64(r, &p->mean, 1, -1e100, 1e100) && (d->run_events > 0 || p->mean == 0);
    for (int i = 0; i < 2; i++) {
        ok = ok && detect_read_f64(r, &p->side[i].sum, 1, -1e120, 1e120) &&
             detect_read_f64(r, &p->side[i].least, 1, -1e120, 1e120);
        p->side[i].rest_event = rd_u64le(r);
        ok = ok && p->side[i].rest_event <= d->run_events && p->side[i].least <= p->side[i].sum &&
             (d->cfg.u.ph.form == DETECT_PH_EXTREMES || p->side[i].least == 0);
    }
    return ok;
}

const struct detect_ops detect_ops_ph = {.bytes = ph_bytes,
                                         .takes = detect_takes_any,
                                         .clear = ph_clear,
                                         .update = ph_update,
                                         .save = ph_save,
                                         .load = ph_load};
