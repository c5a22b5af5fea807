/* The implementations named in functions.def, and what they share. A RANGE function sees the window
 * of one series, a MAP function one sample; both put one value in *out (VALUE_NONE: no sample).
 * They return false when memory ran out (ERR_LIMIT) or, for the few that refuse arguments, with
 * ERR_INPUT and the text of the query's error. */
#ifndef ENGINES_PROMQL_FN_INT_H
#define ENGINES_PROMQL_FN_INT_H

#include "engines/promql/functions_int.h"

bool fn_avg_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_changes(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_count_over_time(struct fn_call *c, const struct window *w, struct value *out,
                        struct err *e);
bool fn_delta(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_deriv(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_double_exponential_smoothing(struct fn_call *c, const struct window *w, struct value *out,
                                     struct err *e);
bool fn_first_over_time(struct fn_call *c, const struct window *w, struct value *out,
                        struct err *e);
bool fn_idelta(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_increase(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_irate(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_last_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_mad_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_max_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_min_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_predict_linear(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_present_over_time(struct fn_call *c, const struct window *w, struct value *out,
                          struct err *e);
bool fn_quantile_over_time(struct fn_call *c, const struct window *w, struct value *out,
                           struct err *e);
bool fn_rate(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_resets(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_stddev_over_time(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e);
bool fn_stdvar_over_time(struct fn_call *c, const struct window *w, struct value *out,
                         struct err *e);
bool fn_sum_over_time(struct fn_call *c, const struct window *w, struct value *out, struct err *e);
bool fn_ts_of_first_over_time(struct fn_call *c, const struct window *w, struct value *out,
                              struct err *e);
bool fn_ts_of_last_over_time(struct fn_call *c, const struct window *w, struct value *out,
                             struct err *e);
bool fn_ts_of_max_over_time(struct fn_call *c, const struct window *w, struct value *out,
                            struct err *e);
bool fn_ts_of_min_over_time(struct fn_call *c, const struct window *w, struct value *out,
                            struct err *e);
bool fn_abs(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_acos(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_acosh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_asin(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_asinh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_atan(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_atanh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_ceil(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_clamp(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_clamp_max(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_clamp_min(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_cos(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_cosh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_day_of_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_day_of_week(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_day_of_year(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_days_in_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_deg(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_exp(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_floor(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_histogram_avg(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_histogram_count(struct fn_call *c, const struct value *in, struct value *out,
                        struct err *e);
bool fn_histogram_stddev(struct fn_call *c, const struct value *in, struct value *out,
                         struct err *e);
bool fn_histogram_stdvar(struct fn_call *c, const struct value *in, struct value *out,
                         struct err *e);
bool fn_histogram_sum(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_hour(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_ln(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_log10(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_log2(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_minute(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_rad(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_round(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_sgn(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_sin(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_sinh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_sqrt(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_start_timestamp(struct fn_call *c, const struct value *in, struct value *out,
                        struct err *e);
bool fn_tan(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_tanh(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_timestamp(struct fn_call *c, const struct value *in, struct value *out, struct err *e);
bool fn_year(struct fn_call *c, const struct value *in, struct value *out, struct err *e);

/* --- shared by the implementations ------------------------------------------------------------ */

/* Annotations about the series at hand, at the place of the call's first argument. */
enum fn_note {
    FN_NOTE_MIXED,         /* floats and histograms in one range */
    FN_NOTE_MIXED_SCHEMAS, /* exponential and custom buckets */
    FN_NOTE_NOT_COUNTER,
    FN_NOTE_NOT_GAUGE,
    FN_NOTE_IGNORED, /* histograms beside floats were left out */
    FN_NOTE_OVERLAP, /* start timestamps before the sample before */
};
void fn_note(const struct fn_call *c, enum fn_note what);
/* Notes for enum hist_trouble, HIST_INCOMPATIBLE_SCHEMA as FN_NOTE_MIXED_SCHEMAS. operation:
 * "addition", "subtraction", "aggregation". conflicts false: contradicting reset hints are no news
 * to this function. */
void fn_note_trouble(const struct fn_call *c, unsigned trouble, const char *operation,
                     bool conflicts);
struct pos fn_pos(const struct fn_call *c);
bool fn_no_memory(struct err *e); /* false */

static inline bool fn_float(struct value *out, double v)
{
    *out = (struct value){.kind = VALUE_FLOAT, .f = v};
    return true;
}
static inline bool fn_none(struct value *out)
{
    *out = (struct value){.kind = VALUE_NONE};
    return true;
}
/* h NULL: memory ran out. */
bool fn_hist(struct value *out, const struct nhist *h, struct err *e);
static inline const struct nhist *fn_hist_at(const struct window *w, uint32_t i)
{
    return w->h != NULL ? w->h[i] : NULL;
}
uint32_t fn_hists(const struct window *w); /* how many of the samples are histograms */

/* The floats of a window; borrowed from it when it has nothing else, else in the call's arena. */
struct fn_floats {
    const int64_t *t;
    const double *v;
    uint32_t n;
    bool mixed; /* there are histograms too */
};
MUST_USE bool fn_floats_of(const struct fn_call *c, const struct window *w, struct fn_floats *out,
                           struct err *e);
double fn_range_s(const struct window *w);
/* Reorders v. NaN of no values or NaN q; infinite outside 0..1. Linear on average. */
double fn_quantile(double q, double *v, uint32_t n);

/* Has a counter been reset between two samples, judged by their start timestamps? */
bool fn_st_reset(int64_t prev_st, int64_t prev_t, int64_t st, int64_t t);
/* Does a sample claim to have begun before the sample before it? */
bool fn_st_overlap(int64_t prev_st, int64_t prev_t, int64_t st);

/* rate, increase and delta: what is counted over the range. */
struct fn_growth {
    bool counter;    /* resets are added up; else a gauge */
    bool per_second; /* rate */
};
/* Over anchored and smoothed ranges (fn_extended.c). */
bool fn_extended(struct fn_call *c, const struct window *w, struct fn_growth g, struct value *out,
                 struct err *e);

#endif
