/* Names, published defaults, bounds and the saved form of a detector's configuration.
 *
 * Why: the parameters of ten methods are written down once, beside the reason for each bound; a
 * saved detector carries its own configuration, so loading needs nothing else.
 *
 * Saved: kind, 1 byte; then the fields in the order of detect.h, numbers and integers as 8 bytes,
 * sides, forms and flags as 1 byte; masses: `cells` numbers.
 *
 * Sources of the defaults: river 0.8 and later (online-ml/river, river/drift), scikit-multiflow. */
#include "engines/detect/detect.h"

#include "engines/detect/detect_int.h"

#include <float.h>
#include <math.h>

static const struct str names[DETECT_KINDS] = {
    [DETECT_SR_BERNOULLI] = STR_INIT("sr_bernoulli"),
    [DETECT_SR_BOUNDED] = STR_INIT("sr_bounded"),
    [DETECT_SR_CELLS] = STR_INIT("sr_cells"),
    [DETECT_ADWIN] = STR_INIT("adwin"),
    [DETECT_PAGE_HINKLEY] = STR_INIT("page_hinkley"),
    [DETECT_DDM] = STR_INIT("ddm"),
    [DETECT_EDDM] = STR_INIT("eddm"),
    [DETECT_HDDM_A] = STR_INIT("hddm_a"),
    [DETECT_HDDM_W] = STR_INIT("hddm_w"),
    [DETECT_KSWIN] = STR_INIT("kswin"),
};

const char *detect_kind_name(enum detect_kind kind)
{
    ASSERT((unsigned)kind < DETECT_KINDS);
    return names[kind].p;
}

bool detect_kind_from(struct str name, enum detect_kind *out)
{
    for (unsigned i = 0; i < DETECT_KINDS; i++) {
        if (str_eq(name, names[i])) {
            *out = (enum detect_kind)i;
            return true;
        }
    }
    return false;
}

struct detect_config detect_config_of(enum detect_kind kind)
{
    struct detect_config c = {.kind = kind};
    switch (kind) {
    case DETECT_SR_BERNOULLI:
        c.u.bernoulli.arl_events = 50000;
        c.u.bernoulli.warn_events = 5000;
        break;
    case DETECT_SR_BOUNDED:
        c.u.bounded.arl_events = 50000;
        c.u.bounded.warn_events = 5000;
        c.u.bounded.hi = 1;
        break;
    case DETECT_SR_CELLS:
        c.u.cells.arl_events = 50000;
        c.u.cells.warn_events = 5000;
        break;
    case DETECT_ADWIN:
        c.u.adwin.delta = 0.002;
        c.u.adwin.clock = 32;
        c.u.adwin.row_buckets = 5;
        c.u.adwin.min_window = 5;
        c.u.adwin.grace_events = 10;
        break;
    case DETECT_PAGE_HINKLEY:
        c.u.ph.delta = 0.005;
        c.u.ph.threshold = 50;
        c.u.ph.alpha = 0.9999;
        c.u.ph.min_events = 30;
        c.u.ph.side = DETECT_UP;
        break;
    case DETECT_DDM:
        c.u.ddm.warn_level = 2;
        c.u.ddm.alarm_level = 3;
        c.u.ddm.min_events = 30;
        break;
    case DETECT_EDDM:
        c.u.eddm.warn_level = 0.95;
        c.u.eddm.alarm_level = 0.9;
        c.u.eddm.min_events = 30;
        break;
    case DETECT_HDDM_A:
    case DETECT_HDDM_W:
        c.u.hddm.alarm_confidence = 0.001;
        c.u.hddm.warn_confidence = 0.005;
        c.u.hddm.lambda = 0.05;
        break;
    case DETECT_KSWIN:
        c.u.kswin.alpha = 0.005;
        c.u.kswin.min_distance = 0.1;
        c.u.kswin.window = 100;
        c.u.kswin.stat = 30;
        c.u.kswin.seed = 1;
        break;
    }
    return c;
}

static bool number(double v, double lo, double hi, const char *name, struct err *e)
{
    if (!(v >= lo && v <= hi)) {
        return err_set(e, ERR_INPUT, "expected %s between %g and %g, found %g", name, lo, hi, v);
    }
    return true;
}

/* The least share that a rate, a mean or a distance from a bound may be: below it one event of the
 * rare kind would be evidence enough by itself, and the arithmetic would run out of digits. */
#define SHARE_MIN 1e-9

static bool arl_validate(double arl, double warn, enum detect_side side, struct err *e)
{
    if ((unsigned)side >= DETECT_SIDES) {
        return err_set(e, ERR_INPUT, "expected a side, found %u", (unsigned)side);
    }
    return number(arl, 10, DETECT_ARL_MAX, "arl_events", e) &&
           number(warn, 1, arl, "warn_events", e);
}

static bool bounded_validate(const struct detect_config *c, struct err *e)
{
    double lo = c->u.bounded.lo;
    double hi = c->u.bounded.hi;
    if (!arl_validate(c->u.bounded.arl_events, c->u.bounded.warn_events, c->u.bounded.side, e) ||
        !number(lo, -1e100, 1e100, "lo", e) || !number(hi, -1e100, 1e100, "hi", e)) {
        return false;
    }
    if (!(lo < hi) || !isnormal(hi - lo)) {
        return err_set(e, ERR_INPUT, "expected lo below hi, found %g and %g", lo, hi);
    }
    double a = (c->u.bounded.mean_lo - lo) / (hi - lo);
    double b = (c->u.bounded.mean_hi - lo) / (hi - lo);
    if (!(a >= SHARE_MIN && a <= b && b <= 1 - SHARE_MIN)) {
        return err_set(e, ERR_INPUT, "expected lo < mean_lo <= mean_hi < hi, found means %g and %g",
                       c->u.bounded.mean_lo, c->u.bounded.mean_hi);
    }
    return true;
}

static bool cells_validate(const struct detect_config *c, struct err *e)
{
    uint32_t n = c->u.cells.cells;
    if (!arl_validate(c->u.cells.arl_events, c->u.cells.warn_events, DETECT_BOTH, e) ||
        !number(c->u.cells.mass_slack, 0, 0.999, "mass_slack", e)) {
        return false;
    }
    if (n < 2 || n > DETECT_CELLS_MAX || c->u.cells.ordered > n) {
        return err_set(e, ERR_INPUT, "expected 2 to %d cells, found %u, of them %u ordered",
                       DETECT_CELLS_MAX, n, c->u.cells.ordered);
    }
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!number(c->u.cells.mass[i], 0, 1e300, "mass", e)) {
            return false;
        }
        sum += c->u.cells.mass[i];
    }
    if (!(sum >= 1e-300 && sum <= DBL_MAX)) {
        return err_set(e, ERR_INPUT, "expected masses with a sum, found %g", sum);
    }
    return true;
}

static bool adwin_validate(const struct detect_config *c, struct err *e)
{
    return number(c->u.adwin.delta, 1e-300, 1, "delta", e) &&
           number(c->u.adwin.clock, 1, 1e9, "clock", e) &&
           number(c->u.adwin.row_buckets, 2, 8, "row_buckets", e) &&
           number(c->u.adwin.min_window, 1, 1e9, "min_window", e) &&
           number(c->u.adwin.grace_events, 0, 1e9, "grace_events", e);
}

static bool ph_validate(const struct detect_config *c, struct err *e)
{
    if ((unsigned)c->u.ph.side >= DETECT_SIDES || (unsigned)c->u.ph.form >= DETECT_PH_FORMS) {
        return err_set(e, ERR_INPUT, "expected a side and a form, found %u and %u",
                       (unsigned)c->u.ph.side, (unsigned)c->u.ph.form);
    }
    return number(c->u.ph.delta, 0, 1e100, "delta", e) &&
           number(c->u.ph.threshold, 1e-100, 1e100, "threshold", e) &&
           number(c->u.ph.alpha, 0, 1, "alpha", e) &&
           number(c->u.ph.min_events, 1, 1e9, "min_events", e);
}

static bool hddm_validate(const struct detect_config *c, struct err *e)
{
    return number(c->u.hddm.alarm_confidence, 1e-300, 1, "alarm_confidence", e) &&
           number(c->u.hddm.warn_confidence, c->u.hddm.alarm_confidence, 1, "warn_confidence", e) &&
           number(c->u.hddm.lambda, 1e-9, 1, "lambda", e);
}

static bool kswin_validate(const struct detect_config *c, struct err *e)
{
    return number(c->u.kswin.alpha, 1e-300, 1, "alpha", e) &&
           number(c->u.kswin.min_distance, 0, 1, "min_distance", e) &&
           number(c->u.kswin.stat, 2, DETECT_KSWIN_STAT_MAX, "stat", e) &&
           number(c->u.kswin.window, 2.0 * c->u.kswin.stat, DETECT_KSWIN_WINDOW_MAX, "window", e);
}

bool detect_config_validate(const struct detect_config *c, struct err *e)
{
    switch (c->kind) {
    case DETECT_SR_BERNOULLI:
        return arl_validate(c->u.bernoulli.arl_events, c->u.bernoulli.warn_events,
                            c->u.bernoulli.side, e) &&
               number(c->u.bernoulli.p_lo, SHARE_MIN, 1 - SHARE_MIN, "p_lo", e) &&
               number(c->u.bernoulli.p_hi, c->u.bernoulli.p_lo, 1 - SHARE_MIN, "p_hi", e);
    case DETECT_SR_BOUNDED: return bounded_validate(c, e);
    case DETECT_SR_CELLS: return cells_validate(c, e);
    case DETECT_ADWIN: return adwin_validate(c, e);
    case DETECT_PAGE_HINKLEY: return ph_validate(c, e);
    case DETECT_DDM:
        return number(c->u.ddm.alarm_level, 1e-9, 1e9, "alarm_level", e) &&
               number(c->u.ddm.warn_level, 0, c->u.ddm.alarm_level, "warn_level", e) &&
               number(c->u.ddm.min_events, 1, 1e9, "min_events", e);
    case DETECT_EDDM:
        return number(c->u.eddm.warn_level, 0, 1, "warn_level", e) &&
               number(c->u.eddm.alarm_level, 0, c->u.eddm.warn_level, "alarm_level", e) &&
               number(c->u.eddm.min_events, 1, 1e9, "min_events", e);
    case DETECT_HDDM_A:
    case DETECT_HDDM_W: return hddm_validate(c, e);
    case DETECT_KSWIN: return kswin_validate(c, e);
    }
    return err_set(e, ERR_INPUT, "expected a kind of detector, found %u", (unsigned)c->kind);
}

/* One walk over the fields serves both directions, so that they cannot drift apart. */
struct walk {
    struct buf *out; /* writing, or NULL */
    struct rd *in;
};

static void f64(struct walk *w, double *v)
{
    if (w->out != NULL) {
        buf_f64le(w->out, *v);
    } else {
        *v = rd_f64le(w->in);
    }
}

static void u64(struct walk *w, uint64_t *v)
{
    if (w->out != NULL) {
        buf_u64le(w->out, *v);
    } else {
        *v = rd_u64le(w->in);
    }
}

static void u32(struct walk *w, uint32_t *v)
{
    uint64_t wide = *v;
    u64(w, &wide);
    if (wide > UINT32_MAX && w->in != NULL) {
        w->in->failed = true;
        wide = 0;
    }
    *v = (uint32_t)wide;
}

/* A value below `count`; anything else fails before it becomes an enum. */
static unsigned small(struct walk *w, unsigned v, unsigned count)
{
    if (w->out != NULL) {
        buf_u8(w->out, (uint8_t)v);
        return v;
    }
    v = rd_u8(w->in);
    if (v >= count) {
        w->in->failed = true;
        return 0;
    }
    return v;
}

static void walk_cells(struct walk *w, struct detect_config *c)
{
    f64(w, &c->u.cells.arl_events);
    f64(w, &c->u.cells.warn_events);
    u32(w, &c->u.cells.cells);
    u32(w, &c->u.cells.ordered);
    f64(w, &c->u.cells.mass_slack);
    for (uint32_t i = 0; i < c->u.cells.cells && i < DETECT_CELLS_MAX; i++) {
        f64(w, &c->u.cells.mass[i]);
    }
}

static void walk_sr(struct walk *w, struct detect_config *c)
{
    if (c->kind == DETECT_SR_BERNOULLI) {
        f64(w, &c->u.bernoulli.arl_events);
        f64(w, &c->u.bernoulli.warn_events);
        c->u.bernoulli.side = (enum detect_side)small(w, c->u.bernoulli.side, DETECT_SIDES);
        f64(w, &c->u.bernoulli.p_lo);
        f64(w, &c->u.bernoulli.p_hi);
        return;
    }
    f64(w, &c->u.bounded.arl_events);
    f64(w, &c->u.bounded.warn_events);
    c->u.bounded.side = (enum detect_side)small(w, c->u.bounded.side, DETECT_SIDES);
    f64(w, &c->u.bounded.lo);
    f64(w, &c->u.bounded.hi);
    f64(w, &c->u.bounded.mean_lo);
    f64(w, &c->u.bounded.mean_hi);
}

/* long: one case per kind, each only the list of its fields */
static void walk_config(struct walk *w, struct detect_config *c)
{
    switch (c->kind) {
    case DETECT_SR_BERNOULLI:
    case DETECT_SR_BOUNDED: walk_sr(w, c); break;
    case DETECT_SR_CELLS: walk_cells(w, c); break;
    case DETECT_ADWIN:
        f64(w, &c->u.adwin.delta);
        u32(w, &c->u.adwin.clock);
        u32(w, &c->u.adwin.row_buckets);
        u32(w, &c->u.adwin.min_window);
        u32(w, &c->u.adwin.grace_events);
        break;
    case DETECT_PAGE_HINKLEY:
        f64(w, &c->u.ph.delta);
        f64(w, &c->u.ph.threshold);
        f64(w, &c->u.ph.alpha);
        u32(w, &c->u.ph.min_events);
        c->u.ph.side = (enum detect_side)small(w, c->u.ph.side, DETECT_SIDES);
        c->u.ph.form = (enum detect_ph_form)small(w, c->u.ph.form, DETECT_PH_FORMS);
        break;
    case DETECT_DDM:
        f64(w, &c->u.ddm.warn_level);
        f64(w, &c->u.ddm.alarm_level);
        u32(w, &c->u.ddm.min_events);
        break;
    case DETECT_EDDM:
        f64(w, &c->u.eddm.warn_level);
        f64(w, &c->u.eddm.alarm_level);
        u32(w, &c->u.eddm.min_events);
        break;
    case DETECT_HDDM_A:
    case DETECT_HDDM_W:
        f64(w, &c->u.hddm.alarm_confidence);
        f64(w, &c->u.hddm.warn_confidence);
        f64(w, &c->u.hddm.lambda);
        c->u.hddm.two_sided = small(w, c->u.hddm.two_sided, 2) != 0;
        break;
    case DETECT_KSWIN:
        f64(w, &c->u.kswin.alpha);
        f64(w, &c->u.kswin.min_distance);
        u32(w, &c->u.kswin.window);
        u32(w, &c->u.kswin.stat);
        u64(w, &c->u.kswin.seed);
        break;
    }
}

void detect_config_write(const struct detect_config *c, struct buf *out)
{
    struct detect_config copy = *c;
    struct walk w = {.out = out};
    buf_u8(out, (uint8_t)c->kind);
    walk_config(&w, &copy);
}

bool detect_config_read(struct detect_config *c, struct rd *r, struct err *e)
{
    struct walk w = {.in = r};
    *c = (struct detect_config){.kind = (enum detect_kind)small(&w, 0, DETECT_KINDS)};
    if (!r->failed) {
        walk_config(&w, c);
    }
    if (r->failed) {
        return err_set(e, ERR_CORRUPT, "the configuration of a saved detector is cut or unknown");
    }
    struct err why = {.code = ERR_NONE};
    if (!detect_config_validate(c, &why)) {
        return err_set(e, ERR_CORRUPT, "a saved detector cannot be run: %.140s", why.msg);
    }
    return true;
}
