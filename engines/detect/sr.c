/* sr_bernoulli and sr_bounded: the Shiryaev-Roberts mixture e-detector for a mean.
 *
 * Why: while the mean m of x in [0, 1] is as in the reference, a bet L = 1 + lambda (x - m) with
 * |lambda| small enough to keep L >= 0 is fair: E[L] = 1. Its product from start time j on is an
 * e-process that says how much the events since j look like a change. The e-detector is the sum
 * over all start times and the weighted mean over several lambda:
 *
 *     R_n = sum_k w_k sum_{j<=n} prod_{i=j..n} (1 + lambda_k (x_i - m_k)),   sum_k w_k = 1,
 *
 * and needs one multiplication per component: S <- (S + w) L. E[R_n - n] <= 0 gives ARL >= A for
 * the alarm at R_n >= A (paper, section 2). For bits the bet is the likelihood ratio q/p,
 * (1-q)/(1-p) with q = p + lambda p (1 - p), so the components are changes of the rate.
 *
 * A reference known as an interval bets up against its top and down against its bottom; E[L] is
 * then at most 1 for every mean inside.
 *
 * No logarithms are needed to be safe: S is at least w L > 0 and below A L_max, since an alarm ends
 * the run at A; with A <= 1e15 and L_max <= 1e9 nothing can leave the range of a double.
 *
 * The grid. Evidence grows by KL(q, p) - KL(q, bet) per event, which is flat around the right bet:
 * four factors of the odds up and four down cover changes from x1.15 to x10 within a few percent of
 * the rate of the exact bet, and each component beyond those costs log of its share in every delay.
 * For bounded values the spread is unknown, so lambda is halved from 0.9 of its limit, 8 a side.
 *
 * V_k = sum over start times of (age x product) follows by V <- (V + S + w) L (with S of before):
 * V/S is the mean age of the change, from which the onset is told.
 *
 * Saved: components, 4 bytes; then S and V of each.
 * Invariants: 0 <= S <= V <= S x events of the run; sum of S below arl_events unless the run has
 * ended. */
#include "engines/detect/detect_int.h"

#include <math.h>

#define LANES      8 /* the inner loop has a constant length, so that it becomes vectors */
#define PARTS_MAX  16
#define PARTS_BETS 8

struct sr {
    struct detect base;
    double offset, scale; /* x in [0, 1] = (x - offset) * scale */
    double arl, warn;
    uint32_t parts, padded;
    double s[PARTS_MAX], v[PARTS_MAX], w[PARTS_MAX];
    double bet0[PARTS_MAX], bet1[PARTS_MAX]; /* L = bet0 + bet1 * x */
};

/* Odds after : before the change, and the share of the side's weight. Likely sizes have more. */
static const double odds[4] = {1.25, 1.6, 2.3, 4.5};
static const double odds_weight[4] = {0.15, 0.3, 0.35, 0.2};

static void part_add(struct sr *s, double w, double lambda, double centre)
{
    ASSERT(s->parts < PARTS_MAX);
    s->w[s->parts] = w;
    s->bet0[s->parts] = 1 - lambda * centre;
    s->bet1[s->parts] = lambda;
    s->parts++;
}

static void bits_side(struct sr *s, double weight, double p, bool up)
{
    for (unsigned i = 0; i < ARRAY_LEN(odds); i++) {
        double r = up ? odds[i] : 1 / odds[i];
        double q = r * p / (1 - p + r * p);
        part_add(s, weight * odds_weight[i], (q - p) / (p * (1 - p)), p);
    }
}

static void bounded_side(struct sr *s, double weight, double mean, bool up)
{
    double lambda = up ? 0.9 / mean : -0.9 / (1 - mean);
    for (unsigned i = 0; i < PARTS_BETS; i++) {
        part_add(s, weight / PARTS_BETS, lambda, mean);
        lambda /= 2;
    }
}

static void sr_prepare(struct detect *d)
{
    struct sr *s = (struct sr *)d;
    bool bits = d->cfg.kind == DETECT_SR_BERNOULLI;
    enum detect_side side = bits ? d->cfg.u.bernoulli.side : d->cfg.u.bounded.side;
    double share = side == DETECT_BOTH ? 0.5 : 1;
    double lo;
    double hi;
    if (bits) {
        s->offset = 0;
        s->scale = 1;
        s->arl = d->cfg.u.bernoulli.arl_events;
        s->warn = d->cfg.u.bernoulli.warn_events;
        lo = d->cfg.u.bernoulli.p_lo;
        hi = d->cfg.u.bernoulli.p_hi;
    } else {
        s->offset = d->cfg.u.bounded.lo;
        s->scale = 1 / (d->cfg.u.bounded.hi - d->cfg.u.bounded.lo);
        s->arl = d->cfg.u.bounded.arl_events;
        s->warn = d->cfg.u.bounded.warn_events;
        lo = (d->cfg.u.bounded.mean_lo - s->offset) * s->scale;
        hi = (d->cfg.u.bounded.mean_hi - s->offset) * s->scale;
    }
    if (side != DETECT_DOWN) {
        (bits ? bits_side : bounded_side)(s, share, hi, true);
    }
    if (side != DETECT_UP) {
        (bits ? bits_side : bounded_side)(s, share, lo, false);
    }
    s->padded = (s->parts + LANES - 1) / LANES * LANES;
    for (uint32_t i = s->parts; i < s->padded; i++) {
        s->bet0[i] = 1; /* weight 0: S and V stay 0 */
    }
}

enum detect_verdict detect_sr_verdict(struct detect *d, double r, double v, double warn, double arl)
{
    if (r < warn) {
        return DETECT_CALM;
    }
    double age = fmin(fmax(floor(v / r + 0.5), 1), (double)d->run_events);
    d->onset = d->events + 1 - (uint64_t)age;
    return r >= arl ? DETECT_ALARM : DETECT_WARNING;
}

/* No product passes the largest threshold by more than the largest bet, 1e9 (config.c). */
#define PRODUCT_MAX (DETECT_ARL_MAX * 1e10)

bool detect_sr_read(const struct detect *d, struct rd *r, double *s, double *v, size_t n)
{
    double run = (double)d->run_events * (1 + 1e-9);
    if (!detect_read_f64(r, s, n, 0, PRODUCT_MAX) ||
        !detect_read_f64(r, v, n, 0, PRODUCT_MAX * (run + 1))) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i] < s[i] || v[i] > s[i] * run) {
            return false;
        }
    }
    return true;
}

static size_t sr_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct sr);
}

static bool sr_takes(const struct detect *d, double x)
{
    if (d->cfg.kind == DETECT_SR_BERNOULLI) {
        return detect_takes_bit(d, x);
    }
    return x >= d->cfg.u.bounded.lo && x <= d->cfg.u.bounded.hi;
}

static void sr_clear(struct detect *d, bool after_alarm)
{
    struct sr *s = (struct sr *)d;
    (void)after_alarm;
    memset(s->s, 0, sizeof s->s);
    memset(s->v, 0, sizeof s->v);
}

static double total(const double *p, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += p[i];
    }
    return sum;
}

static enum detect_verdict sr_update(struct detect *d, double x)
{
    struct sr *s = (struct sr *)d;
    double y = (x - s->offset) * s->scale;
    double sum[LANES] = {0};
    for (uint32_t from = 0; from < s->padded; from += LANES) {
        double *restrict ps = s->s + from;
        double *restrict pv = s->v + from;
        const double *restrict w = s->w + from;
        const double *restrict b0 = s->bet0 + from;
        const double *restrict b1 = s->bet1 + from;
        for (int i = 0; i < LANES; i++) {
            double l = b0[i] + b1[i] * y;
            double a = ps[i] + w[i];
            pv[i] = (pv[i] + a) * l;
            ps[i] = a * l;
            sum[i] += ps[i];
        }
    }
    double r = total(sum, LANES);
    return r < s->warn ? DETECT_CALM
                       : detect_sr_verdict(d, r, total(s->v, s->parts), s->warn, s->arl);
}

static double sr_log_evidence(const struct detect *d)
{
    const struct sr *s = (const struct sr *)d;
    return log(total(s->s, s->parts));
}

static void sr_save(const struct detect *d, struct buf *out)
{
    const struct sr *s = (const struct sr *)d;
    buf_u32le(out, s->parts);
    detect_write_f64(out, s->s, s->parts);
    detect_write_f64(out, s->v, s->parts);
}

static bool sr_load(struct detect *d, struct rd *r)
{
    struct sr *s = (struct sr *)d;
    return rd_u32le(r) == s->parts && detect_sr_read(d, r, s->s, s->v, s->parts) &&
           (d->ended || total(s->s, s->parts) < s->arl * (1 + 1e-9));
}

const struct detect_ops detect_ops_sr = {.bytes = sr_bytes,
                                         .prepare = sr_prepare,
                                         .takes = sr_takes,
                                         .clear = sr_clear,
                                         .update = sr_update,
                                         .save = sr_save,
                                         .load = sr_load,
                                         .log_evidence = sr_log_evidence};
