/* changes and resets: how often something happened from one sample to the next. A sample of the
 * other kind, float or histogram, is always a change and a reset. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

#include <math.h>

/* The first sample to look at. Of an anchored range, the last at or before its start; false when
 * nothing comes after that. */
static bool first_of(const struct window *w, uint32_t *first)
{
    *first = 0;
    if (w->n == 0) {
        return false;
    }
    if (!w->anchored) {
        return true;
    }
    uint32_t i = 0;
    while (i < w->n && w->t[i] <= w->from_ms) {
        i++;
    }
    *first = i > 0 ? i - 1 : 0;
    return i < w->n;
}

bool fn_resets(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    uint32_t first = 0;
    if (!first_of(w, &first)) {
        return fn_none(out);
    }
    uint32_t n = 0;
    for (uint32_t i = first + 1; i < w->n; i++) {
        const struct nhist *a = fn_hist_at(w, i - 1);
        const struct nhist *b = fn_hist_at(w, i);
        const bool st_reset =
            w->st != NULL && fn_st_reset(w->st[i - 1], w->t[i - 1], w->st[i], w->t[i]);
        if ((a == NULL) != (b == NULL)) {
            n++;
        } else if (st_reset) {
            n++;
        } else if (b != NULL ? hist_detect_reset(b, a) : w->v[i] < w->v[i - 1]) {
            n++;
        }
    }
    return fn_float(out, (double)n);
}

bool fn_changes(struct fn_call *c, const struct window *w, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    uint32_t first = 0;
    if (!first_of(w, &first)) {
        return fn_none(out);
    }
    uint32_t n = 0;
    for (uint32_t i = first + 1; i < w->n; i++) {
        const struct nhist *a = fn_hist_at(w, i - 1);
        const struct nhist *b = fn_hist_at(w, i);
        if ((a == NULL) != (b == NULL)) {
            n++;
        } else if (b != NULL) {
            n += !hist_equal(b, a);
        } else {
            n += w->v[i] != w->v[i - 1] && !(isnan(w->v[i]) && isnan(w->v[i - 1]));
        }
    }
    return fn_float(out, (double)n);
}
