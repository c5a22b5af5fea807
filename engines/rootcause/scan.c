/* Scan: causes of changes in counts that are thin, as frauds are: leaves hold one case or none.
 *
 * A cause is a set of combinations of one cuboid whose counts are all q times what is expected.
 * Both counts are random, so that of the n cases of a set those of now are Binomial(n, qs / (1 +
 * qs)) with s the scale; by the ripple effect the likelihood depends on the set's sums alone,
 * however they are spread over leaves. Against "as expected" (q = 1) a set with b cases before and
 * v now gains
 *
 *     gain = v ln q - (v + b) ln((1 + q s) / (1 + s)),   best at q = v / (b s).
 *
 * For one q the gain is a sum over combinations, so the best set is simply all whose gain is above
 * their price; q and the set are improved in turn, from the best single combinations.
 *
 * Price: the logarithm of how many sets there are of that kind: layers, cuboids, combinations. A
 * gain of g comes by chance with a probability below exp(-g) (2 g is a chi2 of one degree), so that
 * what is left after the price is a corrected significance: above ln(20) it comes by chance in at
 * most one answer of twenty (rootcause_test.c measures it).
 *
 * Ripple needs to know how a set's cases were spread before; of a few cases nobody does, and a wave
 * of frauds in web and SP of a small bank looks like one of the bank. So a single combination is
 * refined: when nearly all of its cases of now have one value of another dimension, beyond the
 * share that the value had before (of the combination, filled up with SCAN_PRIOR cases spread as
 * all are), and beyond the price of looking, the value joins the combination.
 *
 * After a cause its leaves are put aside. "Everything" (no dimensions) moves the level instead:
 * then the search goes on for what deviates from the new level.
 *
 * Sources: Kulldorff 1997 (the statistic); Neill 2012, Speakman et al. 2016 (subsets in linear time
 * with penalties); the prior is ours. */
#include "engines/rootcause/rootcause_int.h"

#include <math.h>
#include <string.h>

#define SCAN_PRIOR   10.0
#define SCAN_NEARLY  0.9
#define SCAN_STARTS  3
#define SCAN_STEPS   8
#define SCAN_ANOTHER 20.0 /* another combination must be so much likelier than not */

/* Cases by value of a dimension: of the combination that is refined, and of all before. */
struct value_sum {
    double now, before, all;
};

struct scan {
    struct rootcause_work w;
    struct value_sum *by_value; /* scratch, for the values of one dimension */
    uint32_t values;            /* the largest number of a value, plus 1 */
    double *gains;              /* by cell */
    double level;               /* of what was expected */
    double scale;               /* of the cube, times level */
    bool everything;            /* found already */
};

struct best {
    double score;
    struct rootcause_cuboid q;
    uint32_t cells[ROOTCAUSE_ELEMENTS_MAX];
    uint32_t count;
};

static double now_of(const struct scan *s, const struct rootcause_sum *c)
{
    return c->now / s->w.c->unit;
}

/* Cases before, as counted. */
static double before_of(const struct scan *s, const struct rootcause_sum *c)
{
    return c->before / s->w.c->scale / s->w.c->unit;
}

/* x ln(x / of), 0 at 0. */
static double xlogx(double x, double of)
{
    return x > 0 ? x * log(x / of) : 0;
}

static double gain_best(const struct scan *s, double now, double before)
{
    double n = now + before;
    double gain = xlogx(now, n * s->scale / (1 + s->scale)) + xlogx(before, n / (1 + s->scale));
    return gain > 0 ? gain : 0;
}

/* Cells with the greatest of s->gains above `over`, best first. */
static uint32_t top_cells(const struct scan *s, double over, uint32_t max, uint32_t *top)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->w.cells_count; k++) {
        if (!(s->gains[k] > over) || (count == max && !(s->gains[k] > s->gains[top[max - 1]]))) {
            continue;
        }
        uint32_t at = count < max ? count++ : max - 1;
        for (; at > 0 && s->gains[k] > s->gains[top[at - 1]]; at--) {
            top[at] = top[at - 1];
        }
        top[at] = k;
    }
    return count;
}

/* Of a set of `count` of the cuboid's cells. */
static double price_of(const struct scan *s, const struct rootcause_cuboid *q, uint32_t count)
{
    double price =
        log(ROOTCAUSE_LAYERS_MAX + 1) + log(rootcause_cuboids(q->dims_count, s->w.c->dims_count));
    for (uint32_t k = 1; k <= count && q->dims_count > 0; k++) {
        price += log((k == 1 ? 2.0 : SCAN_ANOTHER) * s->w.cells_count / k);
    }
    return price;
}

static void try_set(const struct scan *s, const struct rootcause_cuboid *q, const uint32_t *cells,
                    uint32_t count, struct best *best)
{
    double now = 0;
    double before = 0;
    for (uint32_t k = 0; k < count; k++) {
        now += now_of(s, &s->w.cells[cells[k]]);
        before += before_of(s, &s->w.cells[cells[k]]);
    }
    double score = gain_best(s, now, before) - price_of(s, q, count);
    if (score > best->score) {
        *best = (struct best){.score = score, .q = *q, .count = count};
        memcpy(best->cells, cells, count * sizeof *cells);
    }
}

/* Gains of all cells at the ratio of this set. Half a case on both sides keeps the ratio finite. */
static void gains_at(struct scan *s, const uint32_t *cells, uint32_t count)
{
    double now = 0.5 * s->scale;
    double before = 0.5;
    for (uint32_t k = 0; k < count; k++) {
        now += now_of(s, &s->w.cells[cells[k]]);
        before += before_of(s, &s->w.cells[cells[k]]);
    }
    double q = now / (before * s->scale);
    double of_now = log(q);
    double of_each = log((1 + q * s->scale) / (1 + s->scale));
    for (uint32_t k = 0; k < s->w.cells_count; k++) {
        double v = now_of(s, &s->w.cells[k]);
        s->gains[k] = v * of_now - (v + before_of(s, &s->w.cells[k])) * of_each;
    }
}

/* From one cell to a set that cannot be improved. */
static void improve(struct scan *s, const struct rootcause_cuboid *q, uint32_t start,
                    struct best *best)
{
    uint32_t cells[ROOTCAUSE_ELEMENTS_MAX] = {start};
    uint32_t count = 1;
    double price = log(2.0 * s->w.cells_count);
    for (uint32_t step = 0; step < SCAN_STEPS; step++) {
        uint32_t next[ROOTCAUSE_ELEMENTS_MAX] = {0};
        gains_at(s, cells, count);
        uint32_t next_count = top_cells(s, price, ROOTCAUSE_ELEMENTS_MAX, next);
        if (next_count == 0 ||
            (next_count == count && memcmp(next, cells, count * sizeof *cells) == 0)) {
            return;
        }
        memcpy(cells, next, sizeof cells);
        count = next_count;
        for (uint32_t k = 1; k <= count; k++) {
            try_set(s, q, cells, k, best); /* the last ones may not be worth their price */
        }
    }
}

static void try_cuboid(struct scan *s, const struct rootcause_cuboid *q, struct best *best)
{
    uint32_t starts[SCAN_STARTS];
    rootcause_cells(&s->w, q, s->w.state);
    /* A case gains at most this, which spares most cells of deep cuboids their logarithms. */
    double each = log1p(s->scale > 1 ? s->scale : 1 / s->scale);
    double least = 0;
    for (uint32_t k = 0; k < s->w.cells_count; k++) {
        double v = now_of(s, &s->w.cells[k]);
        double b = before_of(s, &s->w.cells[k]);
        s->gains[k] = (v + b) * each > least ? gain_best(s, v, b) : 0;
    }
    uint32_t count = top_cells(s, 0, SCAN_STARTS, starts);
    for (uint32_t i = 0; i < count; i++) {
        try_set(s, q, &starts[i], 1, best);
        improve(s, q, starts[i], best);
    }
}

static void find(struct scan *s, struct best *best)
{
    struct rootcause_cuboid q = {0};
    const uint32_t everything = 0;
    rootcause_cells(&s->w, &q, s->w.state);
    if (s->w.cells_count == 0) {
        return;
    }
    if (!s->everything) {
        try_set(s, &q, &everything, 1, best);
    }
    for (uint32_t layer = 1; layer <= ROOTCAUSE_LAYERS_MAX; layer++) {
        while (rootcause_cuboid_next(&q, layer, s->w.c->dims_count)) {
            try_cuboid(s, &q, best);
        }
    }
}

struct refined {
    double gain;
    uint32_t dim;
    uint16_t value;
};

static double share_gain(double hits, double n, double share)
{
    double gain = xlogx(hits, n * share) + xlogx(n - hits, n * (1 - share));
    return hits > n * share && gain > 0 ? gain : 0;
}

static bool in_cause(const struct scan *s, const struct best *best, uint32_t leaf)
{
    const struct rootcause_leaf *first = &s->w.c->leaves[s->w.cells[best->cells[0]].first];
    for (uint32_t i = 0; i < best->q.dims_count; i++) {
        uint32_t d = best->q.dims[i];
        if (s->w.c->leaves[leaf].values[d] != first->values[d]) {
            return false;
        }
    }
    return s->w.state[leaf] == 0;
}

/* The best value of dimension `dim` for the combination, when it is better than *out. */
static void refine_dim(struct scan *s, const struct best *best, uint32_t dim, struct refined *out)
{
    const struct rootcause_cube *c = s->w.c;
    double now = 0;
    double before = 0;
    double all = 0;
    double values = 0;
    memset(s->by_value, 0, s->values * sizeof *s->by_value);
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        const struct rootcause_leaf *l = &c->leaves[i];
        struct value_sum *v = &s->by_value[l->values[dim]];
        if (in_cause(s, best, i)) {
            v->now += l->now / c->unit;
            v->before += l->before / c->unit;
        }
        v->all += l->before / c->unit;
    }
    for (uint32_t k = 0; k < s->values; k++) {
        now += s->by_value[k].now;
        before += s->by_value[k].before;
        all += s->by_value[k].all;
        values += s->by_value[k].all > 0 || s->by_value[k].now > 0;
    }
    for (uint32_t k = 0; k < s->values; k++) {
        const struct value_sum *v = &s->by_value[k];
        double usual = all > 0 ? (v->all + 0.5) / (all + 0.5 * values) : 1 / values;
        double share = (v->before + SCAN_PRIOR * usual) / (before + SCAN_PRIOR);
        double gain = share_gain(v->now, now, share) - log(values) - log(c->dims_count);
        if (v->now >= SCAN_NEARLY * now && gain > out->gain) {
            *out = (struct refined){gain, dim, (uint16_t)k};
        }
    }
}

/* Adds the dimension and finds the combination anew. */
static void add_value(struct scan *s, struct best *best, const struct refined *r)
{
    uint32_t leaf = 0;
    while (!in_cause(s, best, leaf) || s->w.c->leaves[leaf].values[r->dim] != r->value) {
        leaf++;
    }
    uint32_t at = best->q.dims_count++;
    for (; at > 0 && best->q.dims[at - 1] > r->dim; at--) {
        best->q.dims[at] = best->q.dims[at - 1];
    }
    best->q.dims[at] = r->dim;
    rootcause_cells(&s->w, &best->q, s->w.state);
    best->cells[0] = s->w.cell_of[leaf];
}

static void refine(struct scan *s, struct best *best)
{
    while (best->count == 1 && best->q.dims_count > 0 &&
           best->q.dims_count < ROOTCAUSE_LAYERS_MAX) {
        struct refined r = {.gain = ROOTCAUSE_SCAN_MIN};
        bool found = false;
        for (uint32_t d = 0; d < s->w.c->dims_count; d++) {
            bool in = false;
            for (uint32_t i = 0; i < best->q.dims_count; i++) {
                in = in || best->q.dims[i] == d;
            }
            double had = r.gain;
            if (!in) {
                refine_dim(s, best, d, &r);
            }
            found = found || r.gain > had;
        }
        if (!found) {
            return;
        }
        add_value(s, best, &r);
    }
}

/* Puts the cause's leaves aside, or moves the level. */
static void settle(struct scan *s, const struct best *best)
{
    struct rootcause_work *w = &s->w;
    if (best->q.dims_count == 0) {
        const struct rootcause_sum *all = &w->cells[0];
        s->everything = true;
        s->level = (all->now + 0.5 * w->c->unit) / (all->before + 0.5 * w->c->unit);
        s->scale = w->c->scale * s->level;
        return;
    }
    for (uint32_t i = 0; i < w->c->leaves_count; i++) {
        for (uint32_t k = 0; k < best->count; k++) {
            w->state[i] |= w->cell_of[i] == best->cells[k];
        }
    }
}

bool rootcause_scan(const struct rootcause_cube *c, struct arena *a, struct rootcause_causes *out,
                    struct err *e)
{
    struct scan s = {.level = 1, .scale = c->scale};
    out->count = 0;
    if (!rootcause_work_init(&s.w, c, a, e)) {
        return false;
    }
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        for (uint32_t d = 0; d < c->dims_count; d++) {
            uint32_t value = c->leaves[i].values[d];
            s.values = value >= s.values ? value + 1 : s.values;
        }
    }
    s.gains = ARENA_ARRAY(a, double, c->leaves_count);
    s.by_value = ARENA_ARRAY(a, struct value_sum, s.values);
    if (s.gains == NULL || s.by_value == NULL) {
        return err_set(e, ERR_LIMIT, "no memory to search %u leaves", c->leaves_count);
    }
    while (out->count < ROOTCAUSE_CAUSES_MAX) {
        struct best best = {.score = -(double)INFINITY};
        find(&s, &best);
        if (best.score < ROOTCAUSE_SCAN_MIN) {
            return true;
        }
        struct rootcause_cause *cause = &out->v[out->count++];
        rootcause_cells(&s.w, &best.q, s.w.state);
        refine(&s, &best);
        rootcause_cause_of(&s.w, &best.q, best.cells, best.count, cause);
        cause->score = best.score;
        settle(&s, &best);
    }
    return true;
}
