/* irate and idelta: the last two samples of the range. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

static bool hist_step(struct fn_call *c, const struct window *w, bool rate, struct value *out,
                      struct err *e)
{
    const struct nhist *a = w->h[w->n - 2];
    const struct nhist *b = w->h[w->n - 1];
    const bool gauge = a->reset == NHIST_GAUGE || b->reset == NHIST_GAUGE;
    const bool gauges = a->reset == NHIST_GAUGE && b->reset == NHIST_GAUGE;
    if (rate && gauge) {
        fn_note(c, FN_NOTE_NOT_COUNTER);
    }
    if (!rate && !gauges) {
        fn_note(c, FN_NOTE_NOT_GAUGE);
    }
    const bool st_reset = w->st != NULL && fn_st_reset(w->st[w->n - 2], w->t[w->n - 2],
                                                       w->st[w->n - 1], w->t[w->n - 1]);
    struct hist_acc sum;
    if (!hist_acc_init(&sum, b, false, c->arena)) {
        return fn_no_memory(e);
    }
    if (!rate || (!st_reset && !hist_detect_reset(b, a))) {
        const bool ok = hist_acc_sub(&sum, a);
        fn_note_trouble(c, sum.trouble, "subtraction", false);
        if (!ok) {
            const bool mixed = (sum.trouble & HIST_INCOMPATIBLE_SCHEMA) != 0;
            return mixed ? fn_none(out) : fn_no_memory(e);
        }
    }
    sum.h.reset = NHIST_GAUGE;
    hist_acc_compact(&sum);
    if (rate) {
        hist_acc_div(&sum, (double)(w->t[w->n - 1] - w->t[w->n - 2]) / 1000);
    }
    return fn_hist(out, hist_acc_value(&sum), e);
}

static bool last_step(struct fn_call *c, const struct window *w, bool rate, struct value *out,
                      struct err *e)
{
    if (w->n < 2 || w->t[w->n - 1] == w->t[w->n - 2]) {
        return fn_none(out);
    }
    const uint32_t i = w->n - 1;
    const bool hist = fn_hist_at(w, i) != NULL;
    if (hist != (fn_hist_at(w, i - 1) != NULL)) {
        fn_note(c, FN_NOTE_MIXED);
        return fn_none(out);
    }
    if (hist) {
        return hist_step(c, w, rate, out, e);
    }
    const bool reset = w->v[i] < w->v[i - 1] ||
                       (w->st != NULL && fn_st_reset(w->st[i - 1], w->t[i - 1], w->st[i], w->t[i]));
    const double step = rate && reset ? w->v[i] : w->v[i] - w->v[i - 1];
    return fn_float(out, rate ? step / ((double)(w->t[i] - w->t[i - 1]) / 1000) : step);
}

bool fn_irate(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return last_step(c, w, true, out, e);
}

bool fn_idelta(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    return last_step(c, w, false, out, e);
}
