/* Functions of one float: rounding, logarithms, trigonometry, limits. Histograms give nothing. */
#include "engines/promql/fn/fn_int.h"

#include <math.h>

#define PI 3.14159265358979323846

static bool apply(double (*f)(double), const struct value *in, struct value *out)
{
    return in->kind == VALUE_FLOAT ? fn_float(out, f(in->f)) : fn_none(out);
}

static double sign_of(double v)
{
    if (v < 0) {
        return -1;
    }
    return v > 0 ? 1 : v;
}

static double to_degrees(double v)
{
    return v * 180 / PI;
}

static double to_radians(double v)
{
    return v * PI / 180;
}

bool fn_abs(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(fabs, in, out);
}

bool fn_acos(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(acos, in, out);
}

bool fn_acosh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(acosh, in, out);
}

bool fn_asin(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(asin, in, out);
}

bool fn_asinh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(asinh, in, out);
}

bool fn_atan(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(atan, in, out);
}

bool fn_atanh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(atanh, in, out);
}

bool fn_ceil(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(ceil, in, out);
}

bool fn_cos(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(cos, in, out);
}

bool fn_cosh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(cosh, in, out);
}

bool fn_deg(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(to_degrees, in, out);
}

bool fn_exp(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(exp, in, out);
}

bool fn_floor(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(floor, in, out);
}

bool fn_ln(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(log, in, out);
}

bool fn_log10(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(log10, in, out);
}

bool fn_log2(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(log2, in, out);
}

bool fn_rad(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(to_radians, in, out);
}

bool fn_sgn(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(sign_of, in, out);
}

bool fn_sin(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(sin, in, out);
}

bool fn_sinh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(sinh, in, out);
}

bool fn_sqrt(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(sqrt, in, out);
}

bool fn_tan(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(tan, in, out);
}

bool fn_tanh(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return apply(tanh, in, out);
}

/* Go's Min and Max, which differ from fmin and fmax: NaN wins, but an infinity that is the extreme
 * wins over NaN; -0 is less than 0. */
static double least(double a, double b)
{
    if ((isinf(a) && a < 0) || (isinf(b) && b < 0)) {
        return -(double)INFINITY;
    }
    if (isnan(a) || isnan(b)) {
        return (double)NAN;
    }
    if (a == 0 && b == 0) {
        return signbit(a) ? a : b;
    }
    return a < b ? a : b;
}

static double greatest(double a, double b)
{
    if ((isinf(a) && a > 0) || (isinf(b) && b > 0)) {
        return (double)INFINITY;
    }
    if (isnan(a) || isnan(b)) {
        return (double)NAN;
    }
    if (a == 0 && b == 0) {
        return signbit(a) ? b : a;
    }
    return a > b ? a : b;
}

static bool clamp_between(const struct value *in, double min, double max, struct value *out)
{
    if (in->kind != VALUE_FLOAT || max < min) {
        return fn_none(out);
    }
    return fn_float(out, greatest(min, least(max, in->f)));
}

bool fn_clamp(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    return clamp_between(in, c->args[1], c->args[2], out);
}

bool fn_clamp_max(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    return clamp_between(in, -(double)INFINITY, c->args[1], out);
}

bool fn_clamp_min(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    return clamp_between(in, c->args[1], (double)INFINITY, out);
}

/* Ties go up. Multiplying by the inverse is what Prometheus does; the quotient would differ in the
 * last bits. */
bool fn_round(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const bool given = c->node != NULL && c->node->u.call.args.n > 1;
    const double inverse = 1.0 / (given ? c->args[1] : 1.0);
    return fn_float(out, floor(in->f * inverse + 0.5) / inverse);
}
