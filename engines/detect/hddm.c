/* hddm_a and hddm_w: the mean before a moving cut against the mean after it, with bounds that hold
 * for any values in [0, 1].
 *
 * Why: the published detectors with a guarantee that does not ask for the law of the stream.
 *
 * A-test: the cut is the past moment with the lowest mean + Hoeffding bound eps(n) (for decreases:
 * the highest mean - eps). With n events in all and m before the cut, an increase is an alarm when
 * mean_n - mean_m >= sqrt((n - m) / (2 n m) ln(2 / confidence)).
 * W-test: the same with exponentially weighted means (weight lambda for the newest) and McDiarmid's
 * bound; b is the sum of the squared weights of one mean, 1 before the first event:
 * b <- lambda^2 + (1 - lambda)^2 b. Alarm when mean_after - mean_before >
 * sqrt((b_before + b_after) ln(1 / confidence) / 2).
 *
 * Saved: A: events and sum up to the cut, for increases and decreases, and the sum of the run;
 * W: five means (run; before and after for increases; the same for decreases): mean, b, events.
 * Source: Frias-Blanco et al., TKDE 27(3), 2015, A-test and W-test; the constants are those of MOA
 * and river. */
#include "engines/detect/detect_int.h"

#include <math.h>

struct upto {
    uint64_t n;
    double sum;
};

struct hddm_a {
    struct detect base;
    double sum;         /* of the run */
    struct upto lo, hi; /* the run up to the cut, for increases and for decreases */
    double log_alarm, log_warn, log_cut;
};

static double mean_of(struct upto u)
{
    return u.sum / (double)u.n;
}

static size_t hddm_a_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct hddm_a);
}

static void hddm_a_prepare(struct detect *d)
{
    struct hddm_a *h = (struct hddm_a *)d;
    h->log_alarm = log(2 / d->cfg.u.hddm.alarm_confidence);
    h->log_warn = log(2 / d->cfg.u.hddm.warn_confidence);
    h->log_cut = log(1 / d->cfg.u.hddm.alarm_confidence);
}

static void hddm_a_clear(struct detect *d, bool after_alarm)
{
    struct hddm_a *h = (struct hddm_a *)d;
    (void)after_alarm;
    h->sum = 0;
    h->lo = (struct upto){0, 0};
    h->hi = (struct upto){0, 0};
}

/* The larger of both rises over the cut, as a multiple of the bound without its logarithm. */
static double rise(struct upto cut, struct upto all, double sign)
{
    if (cut.n == all.n) {
        return 0;
    }
    double n = (double)all.n;
    double m = (double)cut.n;
    double by = sign * (mean_of(all) - mean_of(cut));
    return by <= 0 ? 0 : by * by / ((n - m) / (2 * n * m));
}

static enum detect_verdict hddm_a_update(struct detect *d, double x)
{
    struct hddm_a *h = (struct hddm_a *)d;
    h->sum += x;
    struct upto all = {d->run_events, h->sum};
    if (h->lo.n == 0) {
        h->lo = all;
        h->hi = all;
    }
    double eps = sqrt(h->log_cut / (2 * (double)all.n));
    if (mean_of(h->lo) + sqrt(h->log_cut / (2 * (double)h->lo.n)) >= mean_of(all) + eps) {
        h->lo = all;
    }
    if (mean_of(h->hi) - sqrt(h->log_cut / (2 * (double)h->hi.n)) <= mean_of(all) - eps) {
        h->hi = all;
    }
    double up = rise(h->lo, all, 1);
    double down = d->cfg.u.hddm.two_sided ? rise(h->hi, all, -1) : 0;
    double most = fmax(up, down);
    if (most < h->log_warn) {
        return DETECT_CALM;
    }
    d->onset = detect_event_of_run(d, (up >= down ? h->lo.n : h->hi.n) + 1);
    return most >= h->log_alarm ? DETECT_ALARM : DETECT_WARNING;
}

static void hddm_a_save(const struct detect *d, struct buf *out)
{
    const struct hddm_a *h = (const struct hddm_a *)d;
    buf_u64le(out, h->lo.n);
    buf_f64le(out, h->lo.sum);
    buf_u64le(out, h->hi.n);
    buf_f64le(out, h->hi.sum);
    buf_f64le(out, h->sum);
}

/* A run has a cut from its first event on. */
static bool upto_read(const struct detect *d, struct upto *u, struct rd *r)
{
    u->n = rd_u64le(r);
    return u->n <= d->run_events && (u->n == 0) == (d->run_events == 0) &&
           detect_read_f64(r, &u->sum, 1, 0, (double)u->n);
}

static bool hddm_a_load(struct detect *d, struct rd *r)
{
    struct hddm_a *h = (struct hddm_a *)d;
    return upto_read(d, &h->lo, r) && upto_read(d, &h->hi, r) &&
           detect_read_f64(r, &h->sum, 1, fmax(h->lo.sum, h->hi.sum), (double)d->run_events);
}

const struct detect_ops detect_ops_hddm_a = {.bytes = hddm_a_bytes,
                                             .prepare = hddm_a_prepare,
                                             .takes = detect_takes_share,
                                             .clear = hddm_a_clear,
                                             .update = hddm_a_update,
                                             .save = hddm_a_save,
                                             .load = hddm_a_load};

struct ewma {
    double mean, b;
    uint64_t n;
};

/* One direction; means of decreases are of 1 - x, so that both directions look for a rise. */
struct w_side {
    struct ewma before, after;
    double cut; /* the lowest mean + bound so far; above 1 + any bound: none */
};

#define NO_CUT 1e9

struct hddm_w {
    struct detect base;
    struct ewma all;
    struct w_side side[2];
    double log_alarm, log_warn;
};

static size_t hddm_w_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct hddm_w);
}

static void hddm_w_prepare(struct detect *d)
{
    struct hddm_w *h = (struct hddm_w *)d;
    h->log_alarm = log(1 / d->cfg.u.hddm.alarm_confidence);
    h->log_warn = log(1 / d->cfg.u.hddm.warn_confidence);
}

static const struct ewma ewma_none = {.mean = 0, .b = 1, .n = 0};

static void hddm_w_clear(struct detect *d, bool after_alarm)
{
    struct hddm_w *h = (struct hddm_w *)d;
    (void)after_alarm;
    h->all = ewma_none;
    for (int i = 0; i < 2; i++) {
        h->side[i] = (struct w_side){ewma_none, ewma_none, NO_CUT};
    }
}

static void ewma_add(struct ewma *w, double x, double lambda)
{
    w->mean = w->n == 0 ? x : lambda * x + (1 - lambda) * w->mean;
    w->b = lambda * lambda + (1 - lambda) * (1 - lambda) * w->b;
    w->n++;
}

/* Squared rise over the bound without its logarithm. */
static double w_step(const struct hddm_w *h, struct w_side *s, double x, bool down)
{
    struct ewma all = h->all;
    all.mean = down ? 1 - all.mean : all.mean;
    double top = all.mean + sqrt(all.b * h->log_alarm / 2);
    if (top < s->cut) {
        s->cut = top;
        s->before = all;
        s->after = ewma_none;
        return 0;
    }
    ewma_add(&s->after, x, h->base.cfg.u.hddm.lambda);
    double by = s->after.mean - s->before.mean;
    return by <= 0 ? 0 : by * by / ((s->before.b + s->after.b) / 2);
}

static enum detect_verdict hddm_w_update(struct detect *d, double x)
{
    struct hddm_w *h = (struct hddm_w *)d;
    ewma_add(&h->all, x, d->cfg.u.hddm.lambda);
    double up = w_step(h, &h->side[0], x, false);
    double down = d->cfg.u.hddm.two_sided ? w_step(h, &h->side[1], 1 - x, true) : 0;
    double most = fmax(up, down);
    if (most == 0 || most <= h->log_warn) {
        return DETECT_CALM;
    }
    d->onset = detect_event_of_run(d, (up >= down ? h->side[0] : h->side[1]).before.n + 1);
    return most > h->log_alarm ? DETECT_ALARM : DETECT_WARNING;
}

static void ewma_write(struct buf *out, const struct ewma *w)
{
    buf_f64le(out, w->mean);
    buf_f64le(out, w->b);
    buf_u64le(out, w->n);
}

static bool ewma_read(const struct detect *d, struct ewma *w, struct rd *r)
{
    bool ok = detect_read_f64(r, &w->mean, 1, 0, 1) && detect_read_f64(r, &w->b, 1, 0, 1);
    w->n = rd_u64le(r);
    return ok && w->n <= d->run_events && w->b > 0 && (w->n > 0 || w->b == 1);
}

static void hddm_w_save(const struct detect *d, struct buf *out)
{
    const struct hddm_w *h = (const struct hddm_w *)d;
    ewma_write(out, &h->all);
    for (int i = 0; i < 2; i++) {
        ewma_write(out, &h->side[i].before);
        ewma_write(out, &h->side[i].after);
        buf_f64le(out, h->side[i].cut);
    }
}

static bool hddm_w_load(struct detect *d, struct rd *r)
{
    struct hddm_w *h = (struct hddm_w *)d;
    bool ok = ewma_read(d, &h->all, r) && h->all.n == d->run_events;
    for (int i = 0; i < 2; i++) {
        struct w_side *s = &h->side[i];
        ok = ok && ewma_read(d, &s->before, r) && ewma_read(d, &s->after, r) &&
             detect_read_f64(r, &s->cut, 1, 0, NO_CUT) && s->before.n < UINT64_MAX - s->after.n &&
             s->before.n + s->after.n <= d->run_events;
    }
    return ok;
}

const struct detect_ops detect_ops_hddm_w = {.bytes = hddm_w_bytes,
                                             .prepare = hddm_w_prepare,
                                             .takes = detect_takes_share,
                                             .clear = hddm_w_clear,
                                             .update = hddm_w_update,
                                             .save = hddm_w_save,
                                             .load = hddm_w_load};
