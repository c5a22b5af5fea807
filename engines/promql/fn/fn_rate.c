/* rate, increase and delta.
 *
 * The difference between the last and the first sample, plus what was lost at resets of a counter,
 * is extrapolated to the edges of the range: all the way where a sample can be missing only by the
 * usual gap between samples (110 % of the average), else by half an average gap, and for a counter
 * never to before its value would have been 0. A start timestamp within the range replaces the
 * guess at the left edge: there the counter was 0.
 * Source: Prometheus' documentation of rate(); its proposals on start timestamps. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

#include <math.h>

static bool st_reset_at(const struct window *w, uint32_t i)
{
    return w->st != NULL && fn_st_reset(w->st[i - 1], w->t[i - 1], w->st[i], w->t[i]);
}

static void note_overlap(const struct fn_call *c, const struct window *w)
{
    for (uint32_t i = 1; w->st != NULL && i < w->n; i++) {
        if (fn_st_overlap(w->st[i - 1], w->t[i - 1], w->st[i])) {
            fn_note(c, FN_NOTE_OVERLAP);
            return;
        }
    }
}

static double float_growth(const struct fn_call *c, const struct window *w, bool counter)
{
    double growth = w->v[w->n - 1] - w->v[0];
    if (!counter) {
        return growth;
    }
    note_overlap(c, w);
    for (uint32_t i = 1; i < w->n; i++) {
        if (w->v[i] < w->v[i - 1] || st_reset_at(w, i)) {
            growth += w->v[i - 1];
        }
    }
    return growth;
}

/* A histogram window under way. The first sample is left out of all comparisons when the counter
 * was reset right after it: `first` is then empty, in the shape of the second. */
struct hist_range {
    const struct window *w;
    const struct nhist *first, *last;
    struct nhist empty;
    int32_t schema;
    bool custom, not_counter;
};

static void begin_range(struct hist_range *r, const struct window *w, bool counter)
{
    *r = (struct hist_range){.w = w, .first = w->h[0], .last = w->h[w->n - 1]};
    r->not_counter = counter && (r->first->reset == NHIST_GAUGE || r->last->reset == NHIST_GAUGE);
    const struct nhist *second = w->h[1];
    if (counter && (st_reset_at(w, 1) || hist_detect_reset(second, r->first))) {
        r->empty = (struct nhist){
            .schema = second->schema, .custom = second->custom, .custom_n = second->custom_n};
        r->first = &r->empty;
    }
    r->custom = r->first->schema == NHIST_SCHEMA_CUSTOM;
    r->schema = r->last->schema < r->first->schema ? r->last->schema : r->first->schema;
}

/* Looks at the samples between the ends; false (and the only note then) when kinds are mixed. */
static bool check_range(struct fn_call *c, struct hist_range *r, bool counter)
{
    const struct window *w = r->w;
    if ((r->last->schema == NHIST_SCHEMA_CUSTOM) != r->custom) {
        if (r->not_counter) {
            fn_note(c, FN_NOTE_NOT_COUNTER);
        }
        fn_note(c, FN_NOTE_MIXED_SCHEMAS);
        return false;
    }
    for (uint32_t i = 1; counter && i + 1 < w->n; i++) {
        const struct nhist *h = w->h[i];
        r->not_counter = r->not_counter || h->reset == NHIST_GAUGE;
        r->schema = h->schema < r->schema ? h->schema : r->schema;
        if ((h->schema == NHIST_SCHEMA_CUSTOM) != r->custom) {
            fn_note(c, FN_NOTE_MIXED_SCHEMAS);
            return false;
        }
    }
    if (r->not_counter) {
        fn_note(c, FN_NOTE_NOT_COUNTER);
    }
    return true;
}

/* Adds what the counter had before each reset. */
static bool add_resets(struct fn_call *c, const struct hist_range *r, struct hist_acc *sum)
{
    const struct window *w = r->w;
    note_overlap(c, w);
    const struct nhist *prev = r->first;
    sum->trouble = HIST_OK;
    for (uint32_t i = 1; i < w->n; i++) {
        if ((st_reset_at(w, i) || hist_detect_reset(w->h[i], prev)) && !hist_acc_add(sum, prev)) {
            return false;
        }
        prev = w->h[i];
    }
    fn_note_trouble(c, sum->trouble & HIST_BOUNDS_RECONCILED, "addition", false);
    return true;
}

/* The growth of two or more histograms. *out NULL with true: none, noted why. */
static bool hist_growth(struct fn_call *c, const struct window *w, bool counter,
                        struct hist_acc *sum, bool *some, struct err *e)
{
    struct hist_range r;
    *some = false;
    begin_range(&r, w, counter);
    if (!check_range(c, &r, counter)) {
        return true;
    }
    const struct nhist *last = r.last;
    if (last->schema != r.schema) {
        last = hist_to_schema(last, r.schema, c->arena);
    }
    if (last == NULL || !hist_acc_init(sum, last, false, c->arena)) {
        return fn_no_memory(e);
    }
    bool ok = hist_acc_sub(sum, r.first);
    if (ok) {
        fn_note_trouble(c, sum->trouble & HIST_BOUNDS_RECONCILED, "subtraction", false);
        ok = !counter || add_resets(c, &r, sum);
    }
    if (!ok) {
        if ((sum->trouble & HIST_INCOMPATIBLE_SCHEMA) == 0) {
            return fn_no_memory(e);
        }
        fn_note(c, FN_NOTE_MIXED_SCHEMAS);
        return true;
    }
    if (!counter && (w->h[0]->reset != NHIST_GAUGE || w->h[w->n - 1]->reset != NHIST_GAUGE)) {
        fn_note(c, FN_NOTE_NOT_GAUGE);
    }
    sum->h.reset = NHIST_GAUGE;
    hist_acc_compact(sum);
    *some = true;
    return true;
}

/* Times in seconds of a window, and what the growth is of. */
struct span {
    double sampled, average, to_start, to_end;
};

static struct span span_of(const struct window *w)
{
    struct span s = {.sampled = (double)(w->t[w->n - 1] - w->t[0]) / 1000,
                     .to_start = (double)(w->t[0] - w->from_ms) / 1000,
                     .to_end = (double)(w->to_ms - w->t[w->n - 1]) / 1000};
    s.average = w->n > 1 ? s.sampled / (double)(w->n - 1) : 0;
    return s;
}

/* How far to extrapolate to the left. first: the counter's first value; growth: over the window. */
static double reach_left(const struct span *s, bool counter, double first, double growth)
{
    double reach = s->to_start >= s->average * 1.1 ? s->average / 2 : s->to_start;
    if (counter && growth > 0 && first >= 0) {
        const double to_zero = s->sampled * (first / growth);
        reach = to_zero < reach ? to_zero : reach;
    }
    return reach;
}

/* A start timestamp inside the range: the counter was 0 there. */
static bool starts_inside(const struct window *w, bool counter)
{
    return counter && w->st != NULL && w->st[0] != 0 && w->st[0] > w->from_ms && w->st[0] < w->t[0];
}

static double factor_of(const struct window *w, const struct span *s, double reach, bool per_second)
{
    const double to_end = s->to_end >= s->average * 1.1 ? s->average / 2 : s->to_end;
    double factor = 1;
    if (s->sampled != 0) {
        factor = (s->sampled + reach + to_end) / s->sampled;
    }
    return per_second ? factor / fn_range_s(w) : factor;
}

static bool float_rate(struct fn_call *c, const struct window *w, struct fn_growth g,
                       struct value *out)
{
    const bool inside = starts_inside(w, g.counter);
    if (w->n < 2 && !inside) {
        return fn_none(out);
    }
    double growth = float_growth(c, w, g.counter);
    struct span s = span_of(w);
    double reach = 0;
    if (inside) {
        growth += w->v[0];
        s.sampled = (double)(w->t[w->n - 1] - w->st[0]) / 1000;
    } else {
        reach = reach_left(&s, g.counter, w->v[0], growth);
    }
    return fn_float(out, growth * factor_of(w, &s, reach, g.per_second));
}

static bool hist_rate(struct fn_call *c, const struct window *w, struct fn_growth g,
                      struct value *out, struct err *e)
{
    const bool inside = starts_inside(w, g.counter);
    if (w->n < 2 && !inside) {
        return fn_none(out);
    }
    struct hist_acc sum;
    if (w->n > 1) {
        bool some = false;
        if (!hist_growth(c, w, g.counter, &sum, &some, e)) {
            return false;
        }
        if (!some) {
            return fn_none(out);
        }
    } else if (!hist_acc_init(&sum, w->h[0], false, c->arena)) {
        return fn_no_memory(e);
    }
    struct span s = span_of(w);
    double reach = 0;
    if (inside) {
        sum.trouble = HIST_OK;
        const bool ok = w->n == 1 || hist_acc_add(&sum, w->h[0]);
        fn_note_trouble(c, sum.trouble, "addition", false);
        if (!ok) {
            const bool mixed = (sum.trouble & HIST_INCOMPATIBLE_SCHEMA) != 0;
            return mixed ? fn_none(out) : fn_no_memory(e);
        }
        s.sampled = (double)(w->t[w->n - 1] - w->st[0]) / 1000;
    } else {
        reach = reach_left(&s, g.counter, w->h[0]->count, sum.h.count);
    }
    hist_acc_scale(&sum, factor_of(w, &s, reach, g.per_second));
    return fn_hist(out, hist_acc_value(&sum), e);
}

static bool growth_of(struct fn_call *c, const struct window *w, struct fn_growth g,
                      struct value *out, struct err *e)
{
    const uint32_t hists = fn_hists(w);
    if (w->n == 0) {
        return fn_none(out);
    }
    if (hists > 0 && hists < w->n) {
        fn_note(c, FN_NOTE_MIXED);
        return fn_none(out);
    }
    if (w->anchored || w->smoothed) {
        return fn_extended(c, w, g, out, e);
    }
    return hists > 0 ? hist_rate(c, w, g, out, e) : float_rate(c, w, g, out);
}

bool fn_rate(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return growth_of(c, w, (struct fn_growth){.counter = true, .per_second = true}, out, e);
}

bool fn_increase(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return growth_of(c, w, (struct fn_growth){.counter = true}, out, e);
}

bool fn_delta(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return growth_of(c, w, (struct fn_growth){0}, out, e);
}
