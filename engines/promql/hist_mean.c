/* Scaling of native histograms, and the mean of many.
 *
 * The mean is a compensated sum divided once at the end, which is more exact than an incremental
 * mean, until the sum would leave the range of a double; from there on it is incremental. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

/* Histograms with a larger number in them could overflow a sum of fewer than 10^17. */
#define SAFE_MAX 1e290

static void scale_list(struct hist_list *l, double by, bool divide)
{
    for (uint32_t i = 0; i < l->n; i++) {
        l->count[i] = divide ? l->count[i] / by : l->count[i] * by;
        l->comp[i] = divide ? l->comp[i] / by : l->comp[i] * by;
    }
}

void hist_acc_scale(struct hist_acc *s, double by)
{
    s->h.zero_count *= by;
    s->h.count *= by;
    s->h.sum *= by;
    s->zero_comp *= by;
    s->count_comp *= by;
    s->sum_comp *= by;
    scale_list(&s->pos, by, false);
    scale_list(&s->neg, by, false);
}

void hist_acc_div(struct hist_acc *s, double by)
{
    s->h.zero_count /= by;
    s->h.count /= by;
    s->h.sum /= by;
    s->zero_comp /= by;
    s->count_comp /= by;
    s->sum_comp /= by;
    scale_list(&s->pos, by, true);
    scale_list(&s->neg, by, true);
}

static bool list_overflowed(const struct hist_list *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (isinf(l->count[i])) {
            return true;
        }
    }
    return false;
}

bool hist_acc_overflowed(const struct hist_acc *s)
{
    return isinf(s->h.zero_count) || isinf(s->h.count) || isinf(s->h.sum) ||
           list_overflowed(&s->pos) || list_overflowed(&s->neg);
}

static bool side_is_large(const struct nhist_side *side)
{
    for (uint32_t i = 0; i < side->counts_n; i++) {
        if (fabs(side->counts[i]) > SAFE_MAX) {
            return true;
        }
    }
    return false;
}

static bool is_large(const struct nhist *h)
{
    return fabs(h->zero_count) > SAFE_MAX || fabs(h->count) > SAFE_MAX || fabs(h->sum) > SAFE_MAX ||
           side_is_large(&h->pos) || side_is_large(&h->neg);
}

bool hist_mean_init(struct hist_mean *a, const struct nhist *first, struct arena *m)
{
    *a = (struct hist_mean){.n = 1, .careful = is_large(first)};
    return hist_acc_init(&a->sum, first, true, m);
}

/* One step of the incremental mean: mean * (n - 1) / n + h / n. */
static bool incremental_add(struct hist_mean *a, const struct nhist *h)
{
    hist_acc_scale(&a->sum, (a->n - 1) / a->n);
    const struct nhist *part = hist_div(h, a->n, a->sum.arena);
    return part != NULL && hist_acc_add(&a->sum, part);
}

bool hist_mean_add(struct hist_mean *a, const struct nhist *h)
{
    if (hist_custom(&a->sum.h) != hist_custom(h) || !hist_sound(&a->sum.h) || !hist_sound(h)) {
        a->sum.trouble |= HIST_INCOMPATIBLE_SCHEMA;
        return false;
    }
    a->n += 1;
    if (a->incremental) {
        return incremental_add(a, h);
    }
    a->careful = a->careful || is_large(h);
    if (!a->careful) {
        return hist_acc_add(&a->sum, h);
    }
    struct hist_acc next;
    if (!hist_acc_copy(&next, &a->sum) || !hist_acc_add(&next, h)) {
        return false;
    }
    if (!hist_acc_overflowed(&next)) {
        a->sum = next;
        return true;
    }
    a->sum.trouble |= next.trouble;
    a->incremental = true;
    hist_acc_div(&a->sum, a->n - 1);
    return incremental_add(a, h);
}

struct nhist *hist_mean_value(struct hist_mean *a)
{
    if (!a->incremental) {
        hist_acc_div(&a->sum, a->n);
        a->incremental = true;
    }
    return hist_acc_value(&a->sum);
}

static void scale_side(struct nhist_side *side, double by, bool divide)
{
    for (uint32_t i = 0; i < side->counts_n; i++) {
        side->counts[i] = divide ? side->counts[i] / by : side->counts[i] * by;
    }
}

struct nhist *hist_scale(const struct nhist *h, double by, struct arena *m)
{
    struct nhist *out = nhist_copy(h, m);
    if (out == NULL) {
        return NULL;
    }
    out->integer = false;
    out->zero_count *= by;
    out->count *= by;
    out->sum *= by;
    scale_side(&out->pos, by, false);
    scale_side(&out->neg, by, false);
    if (by < 0) {
        out->reset = NHIST_GAUGE;
    }
    return out;
}

struct nhist *hist_div(const struct nhist *h, double by, struct arena *m)
{
    struct nhist *out = nhist_copy(h, m);
    if (out == NULL) {
        return NULL;
    }
    out->integer = false;
    out->zero_count /= by;
    out->count /= by;
    out->sum /= by;
    if (by == 0) {
        /* Buckets of infinity and NaN would say nothing. */
        out->pos = out->neg = (struct nhist_side){0};
        return out;
    }
    scale_side(&out->pos, by, true);
    scale_side(&out->neg, by, true);
    if (by < 0) {
        out->reset = NHIST_GAUGE;
    }
    return out;
}
