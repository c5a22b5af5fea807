/* The *_over_time functions: one number (or histogram) from all samples of the range.
 *
 * Sums are compensated (Kahan, Neumaier). Functions that know what to do with floats only leave
 * histograms out and say so when there are floats beside them. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

#include <math.h>

/* Floats and histograms mixed give no answer; else *hists tells which. */
static bool is_mixed(struct fn_call *c, const struct window *w, bool *hists)
{
    const uint32_t n = fn_hists(w);
    *hists = n > 0;
    if (n > 0 && n < w->n) {
        fn_note(c, FN_NOTE_MIXED);
        return true;
    }
    return false;
}

static double float_sum(const struct window *w)
{
    double sum = 0;
    double comp = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        kahan_inc(w->v[i], &sum, &comp);
    }
    return isinf(sum) ? sum : sum + comp;
}

/* Sum divided by count, until the sum overflows: incremental from there on. */
static double float_mean(const struct window *w)
{
    double sum = w->v[0];
    double comp = 0;
    uint32_t i = 1;
    for (; i < w->n; i++) {
        double next = sum;
        double next_comp = comp;
        kahan_inc(w->v[i], &next, &next_comp);
        if (isinf(next)) {
            break;
        }
        sum = next;
        comp = next_comp;
    }
    if (i == w->n) {
        return sum / (double)w->n + comp / (double)w->n;
    }
    double mean = sum / (double)i;
    comp /= (double)i;
    for (; i < w->n; i++) {
        const double count = (double)i + 1;
        const double q = (count - 1) / count;
        mean *= q;
        comp *= q;
        kahan_inc(w->v[i] / count, &mean, &comp);
    }
    return mean + comp;
}

/* Which contradicting hints a window of histograms has, as enum hist_trouble. */
static unsigned hint_conflict(const struct window *w)
{
    bool reset = false;
    bool no_reset = false;
    for (uint32_t i = 0; i < w->n; i++) {
        reset = reset || w->h[i]->reset == NHIST_RESET;
        no_reset = no_reset || w->h[i]->reset == NHIST_NO_RESET;
    }
    return reset && no_reset ? HIST_RESET_CONFLICT : HIST_OK;
}

/* After adding up histograms: notes, and the answer or none. */
static bool finish(struct fn_call *c, const struct window *w, bool ok, unsigned trouble,
                   const struct nhist *sum, struct value *out, struct err *e)
{
    if (!ok && (trouble & HIST_INCOMPATIBLE_SCHEMA) != 0) {
        fn_note(c, FN_NOTE_MIXED_SCHEMAS);
        return fn_none(out);
    }
    fn_note_trouble(c, (trouble & HIST_BOUNDS_RECONCILED) | hint_conflict(w), "aggregation", true);
    return ok ? fn_hist(out, sum, e) : fn_no_memory(e);
}

static bool hist_sum_of(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    struct hist_acc sum;
    bool ok = hist_acc_init(&sum, w->h[0], true, c->arena);
    for (uint32_t i = 1; ok && i < w->n; i++) {
        ok = hist_acc_add(&sum, w->h[i]);
    }
    return finish(c, w, ok, sum.trouble, ok ? hist_acc_value(&sum) : NULL, out, e);
}

static bool hist_mean_of(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e)
{
    struct hist_mean mean;
    bool ok = hist_mean_init(&mean, w->h[0], c->arena);
    for (uint32_t i = 1; ok && i < w->n; i++) {
        ok = hist_mean_add(&mean, w->h[i]);
    }
    return finish(c, w, ok, mean.sum.trouble, ok ? hist_mean_value(&mean) : NULL, out, e);
}

bool fn_sum_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    bool hists = false;
    if (w->n == 0 || is_mixed(c, w, &hists)) {
        return fn_none(out);
    }
    return hists ? hist_sum_of(c, w, out, e) : fn_float(out, float_sum(w));
}

bool fn_avg_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    bool hists = false;
    if (w->n == 0 || is_mixed(c, w, &hists)) {
        return fn_none(out);
    }
    return hists ? hist_mean_of(c, w, out, e) : fn_float(out, float_mean(w));
}

bool fn_count_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : fn_float(out, (double)w->n);
}

bool fn_present_over_time(struct fn_call *c, const struct window *w, struct value *out,
                          struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : fn_float(out, 1);
}

/* One sample of the window as it is. */
static bool sample_at(const struct window *w, uint32_t i, struct value *out)
{
    const struct nhist *h = fn_hist_at(w, i);
    if (h == NULL) {
        return fn_float(out, w->v[i]);
    }
    *out = (struct value){.kind = VALUE_HIST, .h = h};
    return true;
}

bool fn_first_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : sample_at(w, 0, out);
}

bool fn_last_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : sample_at(w, w->n - 1, out);
}

bool fn_ts_of_first_over_time(struct fn_call *c, const struct window *w, struct value *out,
                              struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : fn_float(out, (double)w->t[0] / 1000);
}

bool fn_ts_of_last_over_time(struct fn_call *c, const struct window *w, struct value *out,
                             struct err *e)
{
    (void)c;
    (void)e;
    return w->n == 0 ? fn_none(out) : fn_float(out, (double)w->t[w->n - 1] / 1000);
}

/* The floats of the window, with the note about histograms left out; n == 0: no answer, no note. */
static bool floats_noted(struct fn_call *c, const struct window *w, struct fn_floats *f,
                         struct err *e)
{
    if (!fn_floats_of(c, w, f, e)) {
        return false;
    }
    if (f->mixed && f->n > 0) {
        fn_note(c, FN_NOTE_IGNORED);
    }
    return true;
}

enum extreme { GREATEST, LEAST };

/* Place of the extreme value; NaN only when all are. The last of equals when wanted. */
static uint32_t extreme_of(const struct fn_floats *f, enum extreme what, bool last)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const double v = f->v[i];
        const double b = f->v[best];
        const bool better = what == GREATEST ? v > b : v < b;
        if (better || (last && v == b) || isnan(b)) {
            best = i;
        }
    }
    return best;
}

static bool extreme_over_time(struct fn_call *c, const struct window *w, enum extreme what,
                              bool time, struct value *out, struct err *e)
{
    struct fn_floats f;
    if (!floats_noted(c, w, &f, e)) {
        return false;
    }
    if (f.n == 0) {
        return fn_none(out);
    }
    const uint32_t i = extreme_of(&f, what, time);
    return fn_float(out, time ? (double)f.t[i] / 1000 : f.v[i]);
}

bool fn_max_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return extreme_over_time(c, w, GREATEST, false, out, e);
}

bool fn_min_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return extreme_over_time(c, w, LEAST, false, out, e);
}

bool fn_ts_of_max_over_time(struct fn_call *c, const struct window *w, struct value *out,
                            struct err *e)
{
    return extreme_over_time(c, w, GREATEST, true, out, e);
}

bool fn_ts_of_min_over_time(struct fn_call *c, const struct window *w, struct value *out,
                            struct err *e)
{
    return extreme_over_time(c, w, LEAST, true, out, e);
}

/* Welford's algorithm, compensated. */
static double variance_of(const struct fn_floats *f)
{
    double mean = 0;
    double mean_comp = 0;
    double sum = 0;
    double sum_comp = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const double delta = f->v[i] - (mean + mean_comp);
        kahan_inc(delta / ((double)i + 1), &mean, &mean_comp);
        kahan_inc(delta * (f->v[i] - (mean + mean_comp)), &sum, &sum_comp);
    }
    return (sum + sum_comp) / (double)f->n;
}

static bool variance_over_time(struct fn_call *c, const struct window *w, bool root,
                               struct value *out, struct err *e)
{
    struct fn_floats f;
    if (!floats_noted(c, w, &f, e)) {
        return false;
    }
    if (f.n == 0) {
        return fn_none(out);
    }
    const double variance = variance_of(&f);
    return fn_float(out, root ? sqrt(variance) : variance);
}

bool fn_stddev_over_time(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e)
{
    return variance_over_time(c, w, true, out, e);
}

bool fn_stdvar_over_time(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e)
{
    return variance_over_time(c, w, false, out, e);
}

/* A copy of the values that may be sorted; NULL at the arena's cap. */
static double *copy_values(const struct fn_call *c, const struct fn_floats *f)
{
    double *v = ARENA_ARRAY(c->arena, double, f->n);
    if (v != NULL) {
        memcpy(v, f->v, f->n * sizeof *v);
    }
    return v;
}

bool fn_quantile_over_time(struct fn_call *c, const struct window *w, struct value *out,
                           struct err *e)
{
    struct fn_floats f;
    if (!fn_floats_of(c, w, &f, e)) {
        return false;
    }
    if (f.n == 0) {
        return fn_none(out);
    }
    note_bad_quantile(c->args[0], c->notes, fn_pos(c));
    if (f.mixed) {
        fn_note(c, FN_NOTE_IGNORED);
    }
    double *v = copy_values(c, &f);
    return v != NULL ? fn_float(out, fn_quantile(c->args[0], v, f.n)) : fn_no_memory(e);
}

/* Median of the distances from the median. */
bool fn_mad_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    struct fn_floats f;
    if (!floats_noted(c, w, &f, e)) {
        return false;
    }
    if (f.n == 0) {
        return fn_none(out);
    }
    double *v = copy_values(c, &f);
    if (v == NULL) {
        return fn_no_memory(e);
    }
    for (uint32_t i = 0; i < f.n; i++) {
        if (isnan(v[i])) {
            return fn_float(out, (double)NAN);
        }
    }
    const double median = fn_quantile(0.5, v, f.n);
    for (uint32_t i = 0; i < f.n; i++) {
        v[i] = fabs(v[i] - median);
    }
    return fn_float(out, fn_quantile(0.5, v, f.n));
}
