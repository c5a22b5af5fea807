/* sr_cells: the Shiryaev-Roberts mixture e-detector for the shape of a distribution.
 *
 * Why: a change that keeps the mean is invisible to the detectors of means, and a window test
 * (kswin, KS per hour) either waits for its window or cries for every window. Here the events are
 * cells of a frozen reference with masses pi, and each component bets on another shape q against
 * it: L = q(x) / pi(x), E[L] = 1 while the reference holds. Sum over start times, weights and ARL
 * >= A are those of sr.c.
 *
 * Three families of bets, together of weight 1:
 *
 *   smooth   (ordered cells) L = 1 + theta phi_d(x): phi_d is the Legendre polynomial of degree d =
 *            1..8 over the rank scale, averaged over each cell, so its mean under pi is 0. Degree 1
 *            is a change of level, 2 of spread, 3 of skew, 4 of tails and humps (Neyman's smooth
 *            test, 1937, as bets). Three sizes of theta, both signs.
 *   single   (cells without order) L = (1 - q) / (1 - pi) or q / pi for one cell: its odds times 2,
 *            times 16, or divided by 2.5.
 *   learnt   L = 1 - g + g q(x) / pi(x) with q from the last ~128 and ~512 events, as shares of at
 *            most 16 groups of ordered cells and of each other cell. q uses only events before the
 *            bet (it is refreshed every 16 events), so the bet stays fair. It finds what no fixed
 *            bet is made for, once it has seen some of it.
 *
 * mass_slack t: if every mass may be off by a share t, E[L] is at most 1 + t sum_x pi(x) |L(x) -
 * 1|; L is divided by that (single: the reference mass is moved to the worse end instead).
 *
 * S stays within (0, A L_max] as in sr.c; L_max is 1 / DETECT_MASS_MIN.
 *
 * Saved: components of each family, 4 bytes each; S and V of each; events since the last refresh, 4
 * bytes; counts and shares of each horizon and group.
 * Invariants: sum of w = 1; E[L] <= 1 for every component, also for loaded shares. */
#include "engines/detect/detect_int.h"

#include <math.h>

#define DEGREES    8
#define TILTS      (6 * DEGREES) /* 3 sizes x 2 signs */
#define SINGLES    3
#define HORIZONS   2
#define GROUPS_MAX 16 /* of ordered cells; the other cells are groups of their own */
#define REFRESH    16

struct tilts {
    double s[TILTS], v[TILTS], w[TILTS], base[TILTS], slope[TILTS]; /* L = base + slope phi */
};

struct single {
    double s, v, w, miss, hit;
};

struct learnt {
    double s[HORIZONS], v[HORIZONS], w[HORIZONS];
    uint32_t since; /* events since the last refresh */
    uint32_t groups;
};

struct cells {
    struct detect base;
    double arl, warn;
    uint32_t tilts; /* 0 or TILTS */
    uint32_t singles;
    struct tilts t;
    struct learnt l;
    uint8_t group[DETECT_CELLS_MAX];
    /* Arrays behind the struct. */
    double *pi;              /* cells */
    double (*phi)[DEGREES];  /* cells */
    struct single *single;   /* singles */
    double *group_pi;        /* groups */
    double *count[HORIZONS]; /* groups: events, older ones fading */
    double *bet[HORIZONS];   /* groups: L */
};

static const double degree_weight[DEGREES] = {0.26, 0.22, 0.15, 0.12, 0.08, 0.07, 0.05, 0.05};
static const double size_share[3] = {0.15, 0.4, 0.85}; /* of the largest theta */
static const double size_weight[3] = {0.25, 0.45, 0.3};
static const double single_odds[SINGLES] = {2, 16, 0.4};
static const double horizon_events[HORIZONS] = {128, 512};
#define LEARNT_SHARE 0.2
#define LEARNT_BET   0.8 /* g */

static uint32_t groups_most(const struct detect_config *c)
{
    uint32_t ordered = c->u.cells.ordered < GROUPS_MAX ? c->u.cells.ordered : GROUPS_MAX;
    return ordered + (c->u.cells.cells - c->u.cells.ordered);
}

static uint32_t singles_of(const struct detect_config *c)
{
    return SINGLES * (c->u.cells.cells - c->u.cells.ordered);
}

static size_t cells_bytes(const struct detect_config *c)
{
    size_t cells = c->u.cells.cells;
    return sizeof(struct cells) + cells * (1 + DEGREES) * sizeof(double) +
           singles_of(c) * sizeof(struct single) +
           groups_most(c) * (1 + 2 * (size_t)HORIZONS) * sizeof(double);
}

static void arrays_lay(struct cells *s)
{
    const struct detect_config *c = &s->base.cfg;
    uint32_t groups = groups_most(c);
    s->pi = (double *)(s + 1);
    s->phi = (double(*)[DEGREES])(s->pi + c->u.cells.cells);
    s->single = (struct single *)(s->phi + c->u.cells.cells);
    s->group_pi = (double *)(s->single + singles_of(c));
    for (int h = 0; h < HORIZONS; h++) {
        s->count[h] = s->group_pi + groups * (1 + 2 * (size_t)h);
        s->bet[h] = s->count[h] + groups;
    }
}

static void masses_make(struct cells *s)
{
    const struct detect_config *c = &s->base.cfg;
    uint32_t n = c->u.cells.cells;
    for (int pass = 0; pass < 2; pass++) { /* scale, raise the never seen, scale again */
        double sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            double m = pass == 0 ? c->u.cells.mass[i] : s->pi[i];
            s->pi[i] = pass == 0 ? m : fmax(m, DETECT_MASS_MIN);
            sum += s->pi[i];
        }
        for (uint32_t i = 0; i < n; i++) {
            s->pi[i] /= sum;
        }
    }
}

/* Groups of consecutive ordered cells of about equal mass, then every other cell alone. */
static void groups_make(struct cells *s)
{
    uint32_t ordered = s->base.cfg.u.cells.ordered;
    double all = 0;
    for (uint32_t i = 0; i < ordered; i++) {
        all += s->pi[i];
    }
    uint32_t g = 0;
    double before = 0;
    for (uint32_t i = 0; i < s->base.cfg.u.cells.cells; i++) {
        bool opens = i >= ordered || (before + s->pi[i] / 2) * GROUPS_MAX >= all * g;
        if (i > 0 && opens && (i >= ordered || g < GROUPS_MAX)) {
            g++;
        } else if (i == 0) {
            g = 1;
        }
        s->group[i] = (uint8_t)(g - 1);
        s->group_pi[g - 1] += s->pi[i];
        before += s->pi[i];
    }
    s->l.groups = g;
    ASSERT(g <= groups_most(&s->base.cfg));
}

/* Integrals of the Legendre polynomials from -1 to x: (P_{d+1}(x) - P_{d-1}(x)) / (2 d + 1). */
static void legendre_integrals(double x, double out[DEGREES])
{
    double p[DEGREES + 2] = {1, x};
    for (int d = 1; d <= DEGREES; d++) {
        p[d + 1] = ((2 * d + 1) * x * p[d] - d * p[d - 1]) / (d + 1);
    }
    for (int d = 1; d <= DEGREES; d++) {
        out[d - 1] = (p[d + 1] - p[d - 1]) / (2 * d + 1);
    }
}

static void phi_make(struct cells *s)
{
    uint32_t ordered = s->base.cfg.u.cells.ordered;
    double all = 0;
    double rank = 0;
    double lower[DEGREES] = {0};
    for (uint32_t i = 0; i < ordered; i++) {
        all += s->pi[i];
    }
    for (uint32_t i = 0; i < ordered; i++) {
        double upper[DEGREES] = {0}; /* the last cell ends at 1, where all integrals are 0 */
        rank += s->pi[i];
        if (i + 1 < ordered) {
            legendre_integrals(2 * rank / all - 1, upper);
        }
        for (uint32_t d = 0; d < DEGREES; d++) {
            /* du = dx / 2. Fewer cells than degrees cannot tell the high ones apart. */
            s->phi[i][d] = d + 1 < ordered ? (upper[d] - lower[d]) / 2 / (s->pi[i] / all) : 0;
        }
        memcpy(lower, upper, sizeof lower);
    }
}

/* Sets the bets 1 + theta phi of one degree; share is the weight of all smooth bets. */
static void tilts_degree(struct cells *s, uint32_t degree, double share)
{
    double top = 0;
    double bottom = 0;
    double spread = 0; /* E |phi| */
    for (uint32_t i = 0; i < s->base.cfg.u.cells.ordered; i++) {
        double f = s->phi[i][degree];
        top = fmax(top, f);
        bottom = fmax(bottom, -f);
        spread += s->pi[i] * fabs(f);
    }
    for (uint32_t k = 0; k < 6; k++) {
        uint32_t at = k * DEGREES + degree;
        double limit = k < 3 ? bottom : top;
        /* A degree that the cells cannot show has phi = 0: its bet is L = 1, and loses nothing. */
        double theta = limit > 0 ? size_share[k % 3] / limit : 0;
        double fair = 1 + s->base.cfg.u.cells.mass_slack * theta * spread;
        s->t.w[at] = share * degree_weight[degree] * size_weight[k % 3] / 2;
        s->t.base[at] = 1 / fair;
        s->t.slope[at] = (k < 3 ? theta : -theta) / fair;
    }
}

static void singles_make(struct cells *s, double share)
{
    uint32_t ordered = s->base.cfg.u.cells.ordered;
    double slack = s->base.cfg.u.cells.mass_slack;
    for (uint32_t k = 0; k < s->singles; k++) {
        double odds = single_odds[k % SINGLES];
        double p = s->pi[ordered + k / SINGLES];
        p = odds > 1 ? fmin(p * (1 + slack), 1 - DETECT_MASS_MIN) : p * (1 - slack);
        double q = odds * p / (1 - p + odds * p);
        s->single[k].w = share / s->singles;
        s->single[k].miss = (1 - q) / (1 - p);
        s->single[k].hit = q / p;
    }
}

static void cells_prepare(struct detect *d)
{
    struct cells *s = (struct cells *)d;
    s->arl = d->cfg.u.cells.arl_events;
    s->warn = d->cfg.u.cells.warn_events;
    arrays_lay(s);
    masses_make(s);
    groups_make(s);
    s->tilts = d->cfg.u.cells.ordered > 1 ? TILTS : 0;
    s->singles = singles_of(&d->cfg);
    double fixed = 1 - LEARNT_SHARE;
    double singles = s->tilts == 0 ? fixed : s->singles > 0 ? 0.25 * fixed : 0;
    if (s->tilts > 0) {
        phi_make(s);
        for (uint32_t i = 0; i < DEGREES; i++) {
            tilts_degree(s, i, fixed - singles);
        }
    }
    singles_make(s, singles);
    for (int h = 0; h < HORIZONS; h++) {
        s->l.w[h] = LEARNT_SHARE / HORIZONS;
    }
}

static void cells_clear(struct detect *d, bool after_alarm)
{
    struct cells *s = (struct cells *)d;
    (void)after_alarm;
    memset(s->t.s, 0, sizeof s->t.s);
    memset(s->t.v, 0, sizeof s->t.v);
    for (uint32_t k = 0; k < s->singles; k++) {
        s->single[k].s = 0;
        s->single[k].v = 0;
    }
    s->l.since = 0;
    for (int h = 0; h < HORIZONS; h++) {
        s->l.s[h] = 0;
        s->l.v[h] = 0;
        for (uint32_t g = 0; g < s->l.groups; g++) {
            s->count[h][g] = 0;
            s->bet[h][g] = 1;
        }
    }
}

static bool cells_takes(const struct detect *d, double x)
{
    return x >= 0 && x < d->cfg.u.cells.cells && x == floor(x);
}

/* The learnt bets from what has been seen so far; then the counts fade. */
static void refresh(struct cells *s)
{
    for (int h = 0; h < HORIZONS; h++) {
        double prior = horizon_events[h] / 4;
        double seen = prior;
        for (uint32_t g = 0; g < s->l.groups; g++) {
            seen += s->count[h][g];
        }
        double spread = 0;
        for (uint32_t g = 0; g < s->l.groups; g++) {
            double q = (prior * s->group_pi[g] + s->count[h][g]) / seen;
            s->bet[h][g] = 1 - LEARNT_BET + LEARNT_BET * q / s->group_pi[g];
            spread += s->group_pi[g] * fabs(s->bet[h][g] - 1);
        }
        double fair = 1 + s->base.cfg.u.cells.mass_slack * spread;
        double keep = 1 - REFRESH / horizon_events[h];
        for (uint32_t g = 0; g < s->l.groups; g++) {
            s->bet[h][g] /= fair;
            s->count[h][g] *= keep;
        }
    }
}

/* Sums over all components. */
struct sums {
    double s, v;
};

static struct sums tilts_step(struct tilts *t, const double *restrict phi)
{
    double sum[DEGREES] = {0};
    double age[DEGREES] = {0};
    for (uint32_t from = 0; from < TILTS; from += DEGREES) {
        double *restrict ps = t->s + from;
        double *restrict pv = t->v + from;
        const double *restrict w = t->w + from;
        const double *restrict base = t->base + from;
        const double *restrict slope = t->slope + from;
        for (int i = 0; i < DEGREES; i++) {
            double l = base[i] + slope[i] * phi[i];
            double a = ps[i] + w[i];
            pv[i] = (pv[i] + a) * l;
            ps[i] = a * l;
            sum[i] += ps[i];
            age[i] += pv[i];
        }
    }
    struct sums r = {0, 0};
    for (int i = 0; i < DEGREES; i++) {
        r.s += sum[i];
        r.v += age[i];
    }
    return r;
}

static struct sums singles_step(struct cells *s, uint32_t x)
{
    struct sums r = {0, 0};
    uint32_t ordered = s->base.cfg.u.cells.ordered;
    for (uint32_t k = 0; k < s->singles; k++) {
        struct single *p = &s->single[k];
        double l = ordered + k / SINGLES == x ? p->hit : p->miss;
        double a = p->s + p->w;
        p->v = (p->v + a) * l;
        p->s = a * l;
        r.s += p->s;
        r.v += p->v;
    }
    return r;
}

static struct sums learnt_step(struct cells *s, uint32_t x)
{
    struct sums r = {0, 0};
    uint32_t g = s->group[x];
    for (int h = 0; h < HORIZONS; h++) {
        double a = s->l.s[h] + s->l.w[h];
        double l = s->bet[h][g];
        s->l.v[h] = (s->l.v[h] + a) * l;
        s->l.s[h] = a * l;
        s->count[h][g] += 1;
        r.s += s->l.s[h];
        r.v += s->l.v[h];
    }
    s->l.since++;
    if (s->l.since == REFRESH) {
        s->l.since = 0;
        refresh(s);
    }
    return r;
}

static enum detect_verdict cells_update(struct detect *d, double x)
{
    struct cells *s = (struct cells *)d;
    uint32_t cell = (uint32_t)x;
    struct sums t = {0, 0};
    if (s->tilts > 0) {
        t = tilts_step(&s->t, s->phi[cell]);
    }
    struct sums one = singles_step(s, cell);
    struct sums l = learnt_step(s, cell);
    return detect_sr_verdict(d, t.s + one.s + l.s, t.v + one.v + l.v, s->warn, s->arl);
}

static double evidence(const struct cells *s)
{
    double sum = 0;
    for (uint32_t k = 0; k < s->tilts; k++) {
        sum += s->t.s[k];
    }
    for (uint32_t k = 0; k < s->singles; k++) {
        sum += s->single[k].s;
    }
    for (int h = 0; h < HORIZONS; h++) {
        sum += s->l.s[h];
    }
    return sum;
}

static double cells_log_evidence(const struct detect *d)
{
    return log(evidence((const struct cells *)d));
}

static void cells_save(const struct detect *d, struct buf *out)
{
    const struct cells *s = (const struct cells *)d;
    buf_u32le(out, s->tilts);
    buf_u32le(out, s->singles);
    buf_u32le(out, s->l.groups);
    detect_write_f64(out, s->t.s, s->tilts);
    detect_write_f64(out, s->t.v, s->tilts);
    for (uint32_t k = 0; k < s->singles; k++) {
        buf_f64le(out, s->single[k].s);
        buf_f64le(out, s->single[k].v);
    }
    detect_write_f64(out, s->l.s, HORIZONS);
    detect_write_f64(out, s->l.v, HORIZONS);
    buf_u32le(out, s->l.since);
    for (int h = 0; h < HORIZONS; h++) {
        detect_write_f64(out, s->count[h], s->l.groups);
        detect_write_f64(out, s->bet[h], s->l.groups);
    }
}

/* Bets that were not learnt but made up could be unfair: their mean over every law that the slack
 * allows must be at most 1, as refresh() makes it. */
static bool learnt_read(struct cells *s, struct rd *r)
{
    s->l.since = rd_u32le(r);
    if (s->l.since >= REFRESH || s->l.since > s->base.run_events) {
        return false;
    }
    for (int h = 0; h < HORIZONS; h++) {
        if (!detect_read_f64(r, s->count[h], s->l.groups, 0, 2 * horizon_events[h]) ||
            !detect_read_f64(r, s->bet[h], s->l.groups, 0, 2 / DETECT_MASS_MIN)) {
            return false;
        }
        double mean = 0;
        double seen = 0;
        for (uint32_t g = 0; g < s->l.groups; g++) {
            mean += s->group_pi[g] * s->bet[h][g];
            seen += s->count[h][g];
        }
        /* What fades at a refresh is at least what came since the last. */
        if (seen > horizon_events[h] - REFRESH + s->l.since + 1e-6) {
            return false;
        }
        double spread = 0;
        for (uint32_t g = 0; g < s->l.groups; g++) {
            spread += s->group_pi[g] * fabs(s->bet[h][g] - mean);
        }
        if (mean + s->base.cfg.u.cells.mass_slack * spread > 1 + 1e-9) {
            return false;
        }
    }
    return true;
}

static bool cells_load(struct detect *d, struct rd *r)
{
    struct cells *s = (struct cells *)d;
    if (rd_u32le(r) != s->tilts || rd_u32le(r) != s->singles || rd_u32le(r) != s->l.groups ||
        !detect_sr_read(d, r, s->t.s, s->t.v, s->tilts)) {
        return false;
    }
    for (uint32_t k = 0; k < s->singles; k++) {
        if (!detect_sr_read(d, r, &s->single[k].s, &s->single[k].v, 1)) {
            return false;
        }
    }
    return detect_sr_read(d, r, s->l.s, s->l.v, HORIZONS) && learnt_read(s, r) &&
           (d->ended || evidence(s) < s->arl * (1 + 1e-9));
}

const struct detect_ops detect_ops_cells = {.bytes = cells_bytes,
                                            .prepare = cells_prepare,
                                            .takes = cells_takes,
                                            .clear = cells_clear,
                                            .update = cells_update,
                                            .save = cells_save,
                                            .load = cells_load,
                                            .log_evidence = cells_log_evidence};
