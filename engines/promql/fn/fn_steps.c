/* rate, increase, delta, irate and idelta of one series at every step of a range query, with the
 * very bits that the functions for single windows give.
 *
 * Where windows begin and end, and by which factor a growth is extrapolated, depends on the times
 * of the samples only, and most series of a query have the same: they were scraped together. So
 * this is computed once (the plan) and kept as long as the times stay equal; what is left per
 * series and step is a subtraction, a comparison and a product. Resets are found once per series.
 * The bound at the zero point of a counter needs a division only where a multiplication cannot rule
 * it out.
 *
 * Invariant: plan.t is the copy of the times that the other arrays were made from. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

/* One window: samples lo .. hi - 1 of the series. */
struct fn_step {
    uint32_t lo, hi;
    double sampled; /* seconds between first and last */
    double reach;   /* seconds to extrapolate to the left, a counter's zero aside */
    double to_end;  /* and to the right */
    double factor;  /* of the growth when reach counts; without rate's division */
    double rate_factor;
    double gap; /* seconds between the last two samples */
};

static double factor_of(const struct fn_step *s, double reach)
{
    return s->sampled != 0 ? (s->sampled + reach + s->to_end) / s->sampled : 1;
}

static void fill_step(struct fn_step *s, const struct fn_steps *f, const int64_t *t, int64_t to_ms)
{
    if (s->hi - s->lo < 2) {
        return;
    }
    const int64_t first = t[s->lo];
    const int64_t last = t[s->hi - 1];
    s->sampled = (double)(last - first) / 1000;
    const double average = s->sampled / (double)(s->hi - s->lo - 1);
    const double limit = average * 1.1;
    const double to_start = (double)(first - (to_ms - f->range_ms)) / 1000;
    const double to_end = (double)(to_ms - last) / 1000;
    s->reach = to_start >= limit ? average / 2 : to_start;
    s->to_end = to_end >= limit ? average / 2 : to_end;
    s->factor = factor_of(s, s->reach);
    s->rate_factor = s->factor / f->range_s;
    s->gap = (double)(last - t[s->hi - 2]) / 1000;
}

bool fn_steps_init(struct fn_steps *f, int64_t first_ms, int64_t step_ms, uint32_t n,
                   int64_t range_ms, struct arena *a)
{
    const struct window w = {.range_ms = range_ms};
    *f = (struct fn_steps){.first_ms = first_ms,
                           .step_ms = step_ms,
                           .n = n,
                           .range_ms = range_ms,
                           .range_s = fn_range_s(&w),
                           .arena = a};
    f->steps = ARENA_ARRAY(a, struct fn_step, n);
    return f->steps != NULL;
}

/* The plan for these times; false when memory ran out. */
static bool plan(struct fn_steps *f, const int64_t *t, uint32_t n)
{
    if (f->planned && f->t_n == n && (n == 0 || memcmp(f->t, t, n * sizeof *t) == 0)) {
        return true;
    }
    f->planned = false;
    if (n > f->t_cap) {
        const size_t cap = size_max(n, 2 * (size_t)f->t_cap);
        f->t = ARENA_ARRAY(f->arena, int64_t, cap);
        f->resets = ARENA_ARRAY(f->arena, uint32_t, cap);
        f->t_cap = f->t != NULL && f->resets != NULL ? (uint32_t)cap : 0;
        if (f->t_cap == 0) {
            return false;
        }
    }
    if (n > 0) {
        memcpy(f->t, t, n * sizeof *t);
    }
    f->t_n = n;
    uint32_t lo = 0;
    uint32_t hi = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const int64_t to_ms = f->first_ms + (int64_t)i * f->step_ms;
        while (lo < n && t[lo] <= to_ms - f->range_ms) {
            lo++;
        }
        hi = hi < lo ? lo : hi;
        while (hi < n && t[hi] <= to_ms) {
            hi++;
        }
        f->steps[i] = (struct fn_step){.lo = lo, .hi = hi};
        fill_step(&f->steps[i], f, t, to_ms);
    }
    f->planned = true;
    return true;
}

/* The factor where the counter would have been 0 before the left edge that the plan assumes. */
static double clamped_factor(const struct fn_steps *f, const struct fn_step *s, double first,
                             double growth, bool rate)
{
    const double to_zero = s->sampled * (first / growth);
    if (!(to_zero < s->reach)) {
        return rate ? s->rate_factor : s->factor;
    }
    const double factor = factor_of(s, to_zero);
    return rate ? factor / f->range_s : factor;
}

/* Surely sampled * (first / growth) >= reach, whatever the rounding. */
static bool zero_is_far(const struct fn_step *s, double first, double growth)
{
    const double product = first * s->sampled;
    return product > 1e-280 && product > growth * s->reach * (1 + 1e-12);
}

/* Places of samples that are less than the one before. */
static uint32_t find_resets(uint32_t *out, const double *v, uint32_t n)
{
    uint32_t k = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (v[i] < v[i - 1]) {
            out[k] = i;
            k++;
        }
    }
    return k;
}

/* The growth of the window plus what it lost at the resets inside it; *r: the first that may be. */
static double with_resets(const struct fn_steps *f, const double *v, uint32_t resets_n, uint32_t *r,
                          const struct fn_step *s, double growth)
{
    while (*r < resets_n && f->resets[*r] <= s->lo) {
        ++*r;
    }
    for (uint32_t k = *r; k < resets_n && f->resets[k] < s->hi; k++) {
        growth += v[f->resets[k] - 1];
    }
    return growth;
}

static void counter_steps(const struct fn_steps *f, const double *restrict v, uint32_t resets_n,
                          bool rate, uint8_t *restrict has, double *restrict out)
{
    const struct fn_step *steps = f->steps;
    const uint32_t n = f->n;
    uint32_t r = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct fn_step *s = &steps[i];
        const bool some = s->hi - s->lo >= 2;
        has[i] = some;
        if (!some) {
            continue;
        }
        const double first = v[s->lo];
        double growth = v[s->hi - 1] - first;
        if (resets_n > 0) {
            growth = with_resets(f, v, resets_n, &r, s, growth);
        }
        double factor = rate ? s->rate_factor : s->factor;
        if (growth > 0 && first >= 0 && !zero_is_far(s, first, growth)) {
            factor = clamped_factor(f, s, first, growth, rate);
        }
        out[i] = growth * factor;
    }
}

static void gauge_steps(const struct fn_steps *f, const double *restrict v, uint8_t *restrict has,
                        double *restrict out)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct fn_step *s = &f->steps[i];
        has[i] = s->hi - s->lo >= 2;
        if (has[i] != 0) {
            out[i] = (v[s->hi - 1] - v[s->lo]) * s->factor;
        }
    }
}

static void last_steps(const struct fn_steps *f, const double *v, bool rate, uint8_t *has,
                       double *out)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct fn_step *s = &f->steps[i];
        has[i] = s->hi - s->lo >= 2 && s->gap != 0;
        if (has[i] != 0) {
            const double a = v[s->hi - 2];
            const double b = v[s->hi - 1];
            const double step = rate && b < a ? b : b - a;
            out[i] = rate ? step / s->gap : step;
        }
    }
}

bool fn_steps_can(fn_range fn)
{
    return fn == fn_rate || fn == fn_increase || fn == fn_delta || fn == fn_irate ||
           fn == fn_idelta;
}

bool fn_steps_run(struct fn_steps *f, fn_range fn, const int64_t *t, const double *v, uint32_t n,
                  uint8_t *has, double *out)
{
    ASSERT(fn_steps_can(fn));
    if (!plan(f, t, n)) {
        return false;
    }
    if (fn == fn_rate || fn == fn_increase) {
        counter_steps(f, v, find_resets(f->resets, v, n), fn == fn_rate, has, out);
    } else if (fn == fn_delta) {
        gauge_steps(f, v, has, out);
    } else {
        last_steps(f, v, fn == fn_irate, has, out);
    }
    return true;
}
