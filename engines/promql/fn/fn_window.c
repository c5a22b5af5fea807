/* What functions over ranges share: the floats of a window, quantiles of values, and what start
 * timestamps tell about counter resets. */
#include "engines/promql/fn/fn_int.h"

#include <math.h>
#include <stdlib.h>

bool fn_no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "query needs more memory than it may have");
}

bool fn_hist(struct value *out, const struct nhist *h, struct err *e)
{
    *out = (struct value){.kind = VALUE_HIST, .h = h};
    return h != NULL || fn_no_memory(e);
}

uint32_t fn_hists(const struct window *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; w->h != NULL && i < w->n; i++) {
        n += w->h[i] != NULL;
    }
    return n;
}

bool fn_floats_of(const struct fn_call *c, const struct window *w, struct fn_floats *out,
                  struct err *e)
{
    const uint32_t hists = fn_hists(w);
    if (hists == 0) {
        *out = (struct fn_floats){w->t, w->v, w->n, false};
        return true;
    }
    const uint32_t n = w->n - hists;
    int64_t *t = ARENA_ARRAY(c->arena, int64_t, n);
    double *v = ARENA_ARRAY(c->arena, double, n);
    if (t == NULL || v == NULL) {
        return fn_no_memory(e);
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->h[i] == NULL) {
            t[k] = w->t[i];
            v[k] = w->v[i];
            k++;
        }
    }
    *out = (struct fn_floats){t, v, n, true};
    return true;
}

/* Seconds as Go's Duration.Seconds adds them up, which may differ in the last bit from dividing. */
double fn_range_s(const struct window *w)
{
    return (double)(w->range_ms / 1000) + (double)(w->range_ms % 1000 * 1000000) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = 0;
    double y = 0;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void swap(double *a, double *b)
{
    const double was = *a;
    *a = *b;
    *b = was;
}

/* Middle of the first, the middle and the last value. */
static double pivot_of(const double *v, uint32_t n)
{
    const double a = v[0];
    const double b = v[n / 2];
    const double c = v[n - 1];
    if ((a <= b) == (b <= c)) {
        return b;
    }
    return (b <= a) == (a <= c) ? a : c;
}

/* Puts the value that sorting would put there at v[k], no greater ones before it and no lesser ones
 * after it (Hoare's quickselect; sorts when the pivots are unlucky). No value is NaN. */
static void select_nth(double *v, uint32_t n, uint32_t k)
{
    for (unsigned rounds = 0; n > 1; rounds++) {
        if (n <= 8 || rounds > 64) {
            qsort(v, n, sizeof *v, by_value);
            return;
        }
        const double pivot = pivot_of(v, n);
        uint32_t i = 0;
        uint32_t j = n - 1;
        for (;;) {
            while (v[i] < pivot) {
                i++;
            }
            while (v[j] > pivot) {
                j--;
            }
            if (i >= j) {
                break;
            }
            swap(&v[i], &v[j]);
            i++;
            j--;
        }
        /* All before i are at most the pivot, all from i on at least. i is 0 only when v[0] is the
         * pivot and the least: then it is in place. */
        const uint32_t cut = i > 0 ? i : 1;
        if (k < cut) {
            n = cut;
        } else {
            v += cut;
            n -= cut;
            k -= cut;
        }
    }
}

/* NaN counts as less than everything: moves them to the front and returns how many. */
static uint32_t nan_first(double *v, uint32_t n)
{
    uint32_t nans = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(v[i])) {
            swap(&v[nans], &v[i]);
            nans++;
        }
    }
    return nans;
}

double fn_quantile(double q, double *v, uint32_t n)
{
    if (n == 0 || isnan(q)) {
        return (double)NAN;
    }
    if (q < 0 || q > 1) {
        return q < 0 ? -(double)INFINITY : (double)INFINITY;
    }
    const double rank = q * ((double)n - 1);
    const double weight = rank - floor(rank);
    const uint32_t low = (uint32_t)floor(rank);
    const uint32_t high = low + 1 < n ? low + 1 : n - 1;
    const uint32_t nans = nan_first(v, n);
    if (low < nans) {
        return (double)NAN;
    }
    select_nth(v + nans, n - nans, low - nans);
    double next = v[low];
    if (high > low) {
        next = v[high];
        for (uint32_t i = high + 1; i < n; i++) {
            next = v[i] < next ? v[i] : next;
        }
    }
    return v[low] * (1 - weight) + next * weight;
}

bool fn_st_reset(int64_t prev_st, int64_t prev_t, int64_t st, int64_t t)
{
    /* Not set, senseless, or what OpenTelemetry writes for "unknown": says nothing. */
    if (st == 0 || st >= t || st < prev_t) {
        return false;
    }
    if (st > prev_t) {
        return true;
    }
    /* It begins where the sample before it ended: a delta, unless the first start was unknown. */
    return prev_st != 0 && prev_st < prev_t;
}

bool fn_st_overlap(int64_t prev_st, int64_t prev_t, int64_t st)
{
    return st != 0 && st < prev_t && st != prev_st;
}
