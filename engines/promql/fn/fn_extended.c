/* rate, increase and delta over anchored and smoothed ranges: nothing is extrapolated.
 *
 * The window holds samples outside the range too. anchored: the difference between the last sample
 * in the range and the last one at or before its start (or the first in it). smoothed: the values
 * exactly at both edges, found on the line between the samples around each. Across a reset a
 * counter is taken to have climbed from 0.
 * Source: Prometheus' proposal on extended range selectors. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

/* First and last sample that count; false: there is nothing to measure. */
static bool pick(const struct window *w, uint32_t *first, uint32_t *last)
{
    const uint32_t n = w->n - 1;
    uint32_t i = 0;
    while (i < n && w->t[i] <= w->from_ms) {
        i++;
    }
    *first = i > 0 ? i - 1 : 0;
    *last = n;
    if (w->smoothed) {
        for (i = 0; i < n && w->t[i] < w->to_ms; i++) {
        }
        *last = i;
    }
    return w->t[*last] > w->from_ms && !(w->smoothed && w->t[*first] > w->to_ms);
}

static double on_line(const struct window *w, uint32_t i, int64_t t, bool counter)
{
    const double from = counter && w->v[i + 1] < w->v[i] ? 0 : w->v[i];
    return from + (w->v[i + 1] - from) * (double)(t - w->t[i]) / (double)(w->t[i + 1] - w->t[i]);
}

static bool extended_floats(const struct window *w, uint32_t first, uint32_t last,
                            struct fn_growth g, struct value *out)
{
    double left = w->v[first];
    double right = w->v[last];
    if (w->smoothed && w->t[first] < w->from_ms) {
        left = on_line(w, first, w->from_ms, g.counter);
    }
    if (w->smoothed && last > 0 && w->t[last] > w->to_ms) {
        right = on_line(w, last - 1, w->to_ms, g.counter);
    }
    double growth = right - left;
    if (g.counter) {
        /* Resets at the edges are in left and right already. */
        const uint32_t from = w->t[first] <= w->from_ms ? first + 1 : first;
        const uint32_t to = w->t[last] >= w->to_ms ? last : last + 1;
        double lost = 0;
        double prev = left;
        for (uint32_t i = from; i < to; i++) {
            lost += w->v[i] < prev ? prev : 0;
            prev = w->v[i];
        }
        lost += right < prev ? prev : 0;
        growth += lost;
    }
    return fn_float(out, g.per_second ? growth / fn_range_s(w) : growth);
}

/* What histogram steps end with. */
enum outcome { DONE, NOTHING, NO_MEMORY };

/* After a failed addition or subtraction. */
static enum outcome failed(struct fn_call *c, unsigned trouble)
{
    if ((trouble & HIST_INCOMPATIBLE_SCHEMA) == 0) {
        return NO_MEMORY;
    }
    fn_note(c, FN_NOTE_MIXED_SCHEMAS);
    return NOTHING;
}

static enum outcome sub_noted(struct fn_call *c, struct nhist **h, const struct nhist *other)
{
    unsigned trouble = 0;
    *h = hist_sub(*h, other, c->arena, &trouble);
    if (*h == NULL) {
        return failed(c, trouble);
    }
    fn_note_trouble(c, trouble, "subtraction", false);
    return DONE;
}

static enum outcome add_noted(struct fn_call *c, struct nhist **h, const struct nhist *other)
{
    unsigned trouble = 0;
    *h = hist_add(*h, other, c->arena, &trouble);
    if (*h == NULL) {
        return failed(c, trouble);
    }
    fn_note_trouble(c, trouble, "addition", false);
    return DONE;
}

static enum outcome hist_on_line(struct fn_call *c, const struct window *w, uint32_t i, int64_t t,
                                 bool counter, struct nhist **out)
{
    const struct nhist *a = w->h[i];
    const struct nhist *b = w->h[i + 1];
    const double share = (double)(t - w->t[i]) / (double)(w->t[i + 1] - w->t[i]);
    if (t == w->t[i] || t == w->t[i + 1]) {
        *out = nhist_copy(t == w->t[i] ? a : b, c->arena);
        return *out != NULL ? DONE : NO_MEMORY;
    }
    if (counter && hist_detect_reset(b, a)) {
        *out = hist_scale(b, share, c->arena);
        return *out != NULL ? DONE : NO_MEMORY;
    }
    *out = nhist_copy(b, c->arena);
    if (*out == NULL) {
        return NO_MEMORY;
    }
    const enum outcome o = sub_noted(c, out, a);
    if (o != DONE) {
        return o;
    }
    *out = hist_scale(*out, share, c->arena);
    return *out == NULL ? NO_MEMORY : add_noted(c, out, a);
}

static enum outcome edges(struct fn_call *c, const struct window *w, uint32_t first, uint32_t last,
                          bool counter, struct nhist **left, struct nhist **right)
{
    enum outcome o = DONE;
    if (w->smoothed && w->t[first] < w->from_ms) {
        o = hist_on_line(c, w, first, w->from_ms, counter, left);
    } else {
        *left = nhist_copy(w->h[first], c->arena);
        o = *left != NULL ? DONE : NO_MEMORY;
    }
    if (o != DONE) {
        return o;
    }
    if (w->smoothed && last > 0 && w->t[last] > w->to_ms) {
        return hist_on_line(c, w, last - 1, w->to_ms, counter, right);
    }
    *right = nhist_copy(w->h[last], c->arena);
    return *right != NULL ? DONE : NO_MEMORY;
}

static bool one_kind(struct fn_call *c, const struct window *w, uint32_t first, uint32_t last,
                     bool counter)
{
    const bool custom = w->h[first]->schema == NHIST_SCHEMA_CUSTOM;
    bool gauge = false;
    for (uint32_t i = first; i <= last; i++) {
        if ((w->h[i]->schema == NHIST_SCHEMA_CUSTOM) != custom) {
            fn_note(c, FN_NOTE_MIXED_SCHEMAS);
            return false;
        }
        if (counter && !gauge && w->h[i]->reset == NHIST_GAUGE) {
            gauge = true;
            fn_note(c, FN_NOTE_NOT_COUNTER);
        }
    }
    return true;
}

/* Adds one histogram to what resets lost. */
static enum outcome add_lost(struct fn_call *c, struct nhist **lost, const struct nhist *h)
{
    if (*lost != NULL) {
        return add_noted(c, lost, h);
    }
    *lost = nhist_copy(h, c->arena);
    return *lost != NULL ? DONE : NO_MEMORY;
}

/* What the counter had before each reset inside the range. left and right stand for the first and
 * the last sample: these take no part themselves, or right would find its own reset twice. */
static enum outcome lost_at_resets(struct fn_call *c, const struct window *w, uint32_t first,
                                   uint32_t last, const struct nhist *left,
                                   const struct nhist *right, struct nhist **lost)
{
    *lost = NULL;
    uint32_t i = first + 1;
    const struct nhist *prev = left;
    if (w->smoothed && w->t[first] < w->from_ms &&
        hist_detect_reset(w->h[first + 1], w->h[first])) {
        /* The left edge lies between a sample and its reset, and climbed from 0 already. */
        prev = w->h[first + 1];
        i++;
    }
    if (i > last) {
        return DONE;
    }
    for (; i < last; i++) {
        if (hist_detect_reset(w->h[i], prev)) {
            const enum outcome o = add_lost(c, lost, prev);
            if (o != DONE) {
                return o;
            }
        }
        prev = w->h[i];
    }
    return hist_detect_reset(right, prev) ? add_lost(c, lost, prev) : DONE;
}

static enum outcome extended_hists(struct fn_call *c, const struct window *w, uint32_t first,
                                   uint32_t last, struct fn_growth g, struct nhist **out)
{
    struct nhist *left = NULL;
    struct nhist *right = NULL;
    if (!one_kind(c, w, first, last, g.counter)) {
        return NOTHING;
    }
    enum outcome o = edges(c, w, first, last, g.counter, &left, &right);
    if (o != DONE) {
        return o;
    }
    if (!g.counter && (left->reset != NHIST_GAUGE || right->reset != NHIST_GAUGE)) {
        fn_note(c, FN_NOTE_NOT_GAUGE);
    }
    struct nhist *growth = right;
    o = sub_noted(c, &growth, left);
    if (o == DONE && g.counter) {
        struct nhist *lost = NULL;
        o = lost_at_resets(c, w, first, last, left, right, &lost);
        if (o == DONE && lost != NULL) {
            o = add_noted(c, &growth, lost);
        }
    }
    if (o != DONE) {
        return o;
    }
    if (g.per_second) {
        growth = hist_div(growth, fn_range_s(w), c->arena);
    }
    *out = growth != NULL ? hist_compact(growth, c->arena) : NULL;
    if (*out == NULL) {
        return NO_MEMORY;
    }
    (*out)->reset = NHIST_GAUGE;
    return DONE;
}

bool fn_extended(struct fn_call *c, const struct window *w, struct fn_growth g, struct value *out,
                 struct err *e)
{
    uint32_t first = 0;
    uint32_t last = 0;
    if (!pick(w, &first, &last)) {
        return fn_none(out);
    }
    if (fn_hist_at(w, first) == NULL) {
        return extended_floats(w, first, last, g, out);
    }
    struct nhist *h = NULL;
    switch (extended_hists(c, w, first, last, g, &h)) {
    case DONE: return fn_hist(out, h, e);
    case NOTHING: return fn_none(out);
    case NO_MEMORY: break;
    }
    return fn_no_memory(e);
}
