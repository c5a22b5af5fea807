/* Adtributor: the dimension whose values changed their parts of the whole most, and explain the
 * change.
 *
 * Three notions. Explanatory power: which part of the whole's change comes from a value; all values
 * of a dimension add up to 1. Surprise: how far the value's part of the whole moved, by its term of
 * the Jensen-Shannon divergence; a value that grew with all others explains much but surprises
 * nobody. Succinctness: the most surprising values are taken first, until together they explain
 * ROOTCAUSE_EP_SET; dimensions whose values do not get there are not named.
 *
 * Of a rate m1/m2 the power is the partial derivative in differences (the paper's section 4.3):
 * with d1, d2 the value's changes of numerator and denominator and F1, F2 the totals before,
 *
 *     (d1 F2 - d2 F1) / (F2 (F2 + d2)), made to add up to 1,
 *
 * and the surprise is that of the numerators plus that of the denominators.
 *
 * Source: Bhagwan et al., NSDI 2014, sections 4.1 to 4.3. */
#include "engines/rootcause/rootcause_int.h"

#include <math.h>
#include <stdlib.h>

struct totals {
    double before, now, before_of, now_of;
};

struct ranked {
    double explained, surprise;
    uint32_t value;
};

double rootcause_surprise(double p, double q)
{
    double m = p + q;
    double s = 0;
    if (p > 0) {
        s += p * log(2 * p / m);
    }
    if (q > 0) {
        s += q * log(2 * q / m);
    }
    return s > 0 ? s / 2 : 0; /* rounding may leave -1e-17 */
}

static struct totals totals_of(const struct rootcause_table *t)
{
    struct totals sum = {0};
    for (uint32_t i = 0; i < t->count; i++) {
        sum.before += t->cells[i].before;
        sum.now += t->cells[i].now;
        sum.before_of += t->cells[i].before_of;
        sum.now_of += t->cells[i].now_of;
    }
    return sum;
}

static double part(double of, double whole)
{
    return whole > 0 ? of / whole : 0;
}

static double surprise_of(const struct rootcause_cell *c, const struct totals *t, bool rate)
{
    double s = rootcause_surprise(part(c->before, t->before), part(c->now, t->now));
    if (rate) {
        s += rootcause_surprise(part(c->before_of, t->before_of), part(c->now_of, t->now_of));
    }
    return s;
}

/* Not yet made to add up to 1. */
static double power_of(const struct rootcause_cell *c, const struct totals *t, bool rate)
{
    double d1 = c->now - c->before;
    if (!rate) {
        return d1;
    }
    double d2 = c->now_of - c->before_of;
    double below = t->before_of * (t->before_of + d2);
    return below > 0 ? (d1 * t->before_of - d2 * t->before) / below : 0;
}

static int ranked_cmp(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->surprise != y->surprise) {
        return x->surprise > y->surprise ? -1 : 1;
    }
    return x->value < y->value ? -1 : x->value > y->value;
}

/* false: no few values of this dimension explain the change. */
static bool explain(const struct rootcause_table *t, bool rate, struct ranked *ranked,
                    struct rootcause_cause *out)
{
    struct totals totals = totals_of(t);
    double power = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        ranked[i] = (struct ranked){.value = i,
                                    .surprise = surprise_of(&t->cells[i], &totals, rate),
                                    .explained = power_of(&t->cells[i], &totals, rate)};
        power += ranked[i].explained;
    }
    if (power == 0) {
        return false;
    }
    qsort(ranked, t->count, sizeof *ranked, ranked_cmp);
    for (uint32_t i = 0; i < t->count && out->elements_count < ROOTCAUSE_ELEMENTS_MAX; i++) {
        double explained = ranked[i].explained / power;
        if (!(explained > ROOTCAUSE_EP_ELEMENT)) {
            continue;
        }
        const struct rootcause_cell *c = &t->cells[ranked[i].value];
        out->elements[out->elements_count++][0] = (uint16_t)ranked[i].value;
        out->before += c->before;
        out->now += c->now;
        out->explained += explained;
        out->surprise += ranked[i].surprise;
        if (out->explained > ROOTCAUSE_EP_SET) {
            out->score = out->surprise;
            return true;
        }
    }
    return false;
}

/* Into its place; equal surprise: the dimension that comes first stays first. */
static void insert(struct rootcause_causes *out, const struct rootcause_cause *cause)
{
    uint32_t at = out->count++;
    for (; at > 0 && out->v[at - 1].score < cause->score; at--) {
        out->v[at] = out->v[at - 1];
    }
    out->v[at] = *cause;
}

bool rootcause_adtributor(const struct rootcause_table *tables, uint32_t tables_count, bool rate,
                          struct arena *a, struct rootcause_causes *out, struct err *e)
{
    out->count = 0;
    uint32_t values = 0;
    for (uint32_t i = 0; i < tables_count; i++) {
        if (tables_count > ROOTCAUSE_DIMS_MAX || tables[i].count > ROOTCAUSE_VALUES_MAX) {
            return err_set(e, ERR_LIMIT, "expected at most %d dimensions of at most %u values",
                           ROOTCAUSE_DIMS_MAX, ROOTCAUSE_VALUES_MAX);
        }
        values = tables[i].count > values ? tables[i].count : values;
    }
    _Static_assert(ROOTCAUSE_DIMS_MAX <= ROOTCAUSE_CAUSES_MAX, "one cause per dimension fits");
    struct ranked *ranked = ARENA_ARRAY(a, struct ranked, values);
    if (ranked == NULL) {
        return err_set(e, ERR_LIMIT, "no memory to rank %u values", values);
    }
    for (uint32_t i = 0; i < tables_count; i++) {
        struct rootcause_cause cause = {.dims_count = 1, .dims = {i}};
        if (explain(&tables[i], rate, ranked, &cause)) {
            insert(out, &cause);
        }
    }
    return true;
}
