/* deriv and predict_linear: a straight line through the floats of the range by least squares;
 * double_exponential_smoothing: a smoothed value with a smoothed trend. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

#include <math.h>

struct line {
    double slope, at; /* per second; value at the time asked for */
};

/* Times are taken relative to at_ms, so that their squares stay small. */
static struct line fit(const struct fn_floats *f, int64_t at_ms)
{
    double x_sum = 0;
    double x_comp = 0;
    double y_sum = 0;
    double y_comp = 0;
    double xy_sum = 0;
    double xy_comp = 0;
    double xx_sum = 0;
    double xx_comp = 0;
    bool constant = true;
    for (uint32_t i = 0; i < f->n; i++) {
        const double x = (double)(f->t[i] - at_ms) / 1e3;
        constant = constant && (i == 0 || !(f->v[i] != f->v[0]));
        kahan_inc(x, &x_sum, &x_comp);
        kahan_inc(f->v[i], &y_sum, &y_comp);
        kahan_inc(x * f->v[i], &xy_sum, &xy_comp);
        kahan_inc(x * x, &xx_sum, &xx_comp);
    }
    if (constant) {
        const bool inf = isinf(f->v[0]);
        return (struct line){inf ? (double)NAN : 0, inf ? (double)NAN : f->v[0]};
    }
    const double n = (double)f->n;
    x_sum += x_comp;
    y_sum += y_comp;
    xy_sum += xy_comp;
    xx_sum += xx_comp;
    const double covariance = xy_sum - x_sum * y_sum / n;
    const double variance = xx_sum - x_sum * x_sum / n;
    const double slope = covariance / variance;
    return (struct line){slope, y_sum / n - slope * x_sum / n};
}

/* The floats of the window; *enough: there are two at least. Histograms beside them are noted. */
static bool two_floats(struct fn_call *c, const struct window *w, struct fn_floats *f, bool *enough,
                       struct err *e)
{
    if (!fn_floats_of(c, w, f, e)) {
        return false;
    }
    if (f->mixed && f->n > 0) {
        fn_note(c, FN_NOTE_IGNORED);
    }
    *enough = f->n >= 2;
    return true;
}

bool fn_deriv(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    struct fn_floats f;
    bool enough = false;
    if (!two_floats(c, w, &f, &enough, e)) {
        return false;
    }
    return enough ? fn_float(out, fit(&f, f.t[0]).slope) : fn_none(out);
}

bool fn_predict_linear(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    struct fn_floats f;
    bool enough = false;
    if (!two_floats(c, w, &f, &enough, e)) {
        return false;
    }
    if (!enough) {
        return fn_none(out);
    }
    const struct line line = fit(&f, c->step_t_ms);
    return fn_float(out, line.slope * c->args[1] + line.at);
}

/* The text of the query's error; an infinity as Go writes it. */
static bool bad_factor(struct err *e, const char *name, const char *letters, double v)
{
    if (isinf(v)) {
        return err_set(e, ERR_INPUT, "invalid %s factor. Expected: 0 < %s < 1, got: %cInf", name,
                       letters, v > 0 ? '+' : '-');
    }
    return err_set(e, ERR_INPUT, "invalid %s factor. Expected: 0 < %s < 1, got: %f", name, letters,
                   v);
}

bool fn_double_exponential_smoothing(struct fn_call *c, const struct window *w, struct value *out,
                                     struct err *e)
{
    const double smoothing = c->args[1];
    const double trend = c->args[2];
    if (smoothing <= 0 || smoothing >= 1) {
        return bad_factor(e, "smoothing", "sf", smoothing);
    }
    if (trend <= 0 || trend >= 1) {
        return bad_factor(e, "trend", "tf", trend);
    }
    struct fn_floats f;
    bool enough = false;
    if (!two_floats(c, w, &f, &enough, e)) {
        return false;
    }
    if (!enough) {
        return fn_none(out);
    }
    double before = 0;
    double level = f.v[0];
    double slope = f.v[1] - f.v[0];
    for (uint32_t i = 1; i < f.n; i++) {
        const double part = smoothing * f.v[i];
        if (i > 1) {
            slope = trend * (level - before) + (1 - trend) * slope;
        }
        const double rest = (1 - smoothing) * (level + slope);
        before = level;
        level = part + rest;
    }
    return fn_float(out, level);
}
