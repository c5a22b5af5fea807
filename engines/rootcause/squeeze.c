/* Squeeze: from leaves up to groups that deviate alike, from each group down to the combination
 * that explains it.
 *
 * Generalised ripple effect: when a combination S changes, each leaf below it changes in proportion
 * to what was expected of it, v = f * v(S) / f(S). So all its leaves have one deviation score
 * d = (f - v) / (f + v), in -1..1, and leaves of one cause lie near each other on that line.
 *
 * Up: leaves whose residual |f - v| is within chance are normal. The density of the others' scores
 * is cut at its valleys; a group whose mean |d| is under SQUEEZE_NORMAL is dropped. A group takes
 * every leaf between its least and greatest score.
 *
 * Down: for each cuboid, combinations in the order of how much of their leaves is in the group; the
 * first 1, 2 .. of them are the candidates S1, all other leaves (of no other group) are S2. The
 * potential score is the part of the distance that the ripple effect, a, takes away:
 *
 *     1 - (sum D(v, a) in S1 + sum D(v, f) in S2) / sum D(v, f),   D = |v - x| beyond chance
 *
 * The winner has the greatest score * weight - elements * layer, so that a longer answer must
 * explain more. Layers end when the score exceeds SQUEEZE_ENOUGH.
 *
 * Ours: chance, where the paper takes the knee of all residuals, which loses the small leaves of a
 * cause; sums of distances, where it takes the means of S1 and of S2, which favour the few largest
 * leaves of a cause and forget its second element among many normal leaves (injection_test.c: with
 * means half of the causes were named where leaves hold 60, 88 % where they hold 3,000); valleys
 * that must be deep; "everything" as the cuboid without dimensions; a floor of the weight.
 * Source: Li et al., ISSRE 2019, sections III and IV. */
#include "engines/rootcause/rootcause_int.h"

#include <math.h>
#include <string.h>

#define SQUEEZE_CHANCE     3.0 /* standard deviations */
#define SQUEEZE_NORMAL     0.10
#define SQUEEZE_BANDWIDTH  0.05
#define SQUEEZE_GRID       201 /* points of -1..1 */
#define SQUEEZE_VALLEY     0.7 /* of the lower of the peaks beside it */
#define SQUEEZE_ENOUGH     0.9
#define SQUEEZE_SCORE_MIN  0.5
#define SQUEEZE_WEIGHT_MIN 10.0

struct group {
    double lo, hi; /* least and greatest deviation */
    uint32_t leaves;
};

struct squeeze {
    struct rootcause_work w;
    double *deviation; /* by leaf */
    uint8_t *kept;     /* by leaf: deviates more than normal; later: is left out of the search */
    uint32_t *top_leaves;
    struct group groups[ROOTCAUSE_CAUSES_MAX];
    uint32_t groups_count;
    double weight;
};

static double expected(const struct squeeze *s, uint32_t leaf)
{
    return s->w.c->leaves[leaf].before * s->w.c->scale;
}

/* |v - x| less what counts of both periods vary by chance; the expectation's by scale^2 *
 * before. */
static double beyond_chance(const struct squeeze *s, uint32_t leaf, double x)
{
    const struct rootcause_cube *c = s->w.c;
    double v = c->leaves[leaf].now;
    double off = fabs(v - x) - SQUEEZE_CHANCE * sqrt(c->unit * (v + x * c->scale));
    return off > 0 ? off : 0;
}

static uint32_t keep_deviating(struct squeeze *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
        double f = expected(s, i);
        double v = s->w.c->leaves[i].now;
        s->deviation[i] = f + v > 0 ? (f - v) / (f + v) : 0;
        s->kept[i] = beyond_chance(s, i, f) > 0;
        kept += s->kept[i];
    }
    return kept;
}

/* Density of the kept scores, by a histogram and a Gaussian kernel. */
static void density(const struct squeeze *s, double out[SQUEEZE_GRID])
{
    const double step = 2.0 / (SQUEEZE_GRID - 1);
    double bins[SQUEEZE_GRID] = {0};
    double kernel[SQUEEZE_GRID];
    for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
        if (s->kept[i] != 0) {
            bins[(uint32_t)((s->deviation[i] + 1) / step + 0.5)]++;
        }
    }
    for (uint32_t i = 0; i < SQUEEZE_GRID; i++) {
        double z = i * step / SQUEEZE_BANDWIDTH;
        kernel[i] = exp(-z * z / 2);
    }
    for (uint32_t i = 0; i < SQUEEZE_GRID; i++) {
        out[i] = 0;
        for (uint32_t k = 0; k < SQUEEZE_GRID; k++) {
            out[i] += bins[k] * kernel[i > k ? i - k : k - i];
        }
    }
}

/* Takes the kept leaves with scores in (from, to]. */
static void add_group(struct squeeze *s, double from, double to)
{
    struct group g = {.lo = 2, .hi = -2};
    double sum = 0;
    for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
        double d = s->deviation[i];
        if (s->kept[i] != 0 && d > from && d <= to) {
            g.lo = d < g.lo ? d : g.lo;
            g.hi = d > g.hi ? d : g.hi;
            g.leaves++;
            sum += fabs(d);
        }
    }
    if (g.leaves > 0 && sum / g.leaves >= SQUEEZE_NORMAL &&
        s->groups_count < ROOTCAUSE_CAUSES_MAX) {
        s->groups[s->groups_count++] = g;
    }
}

/* Cuts the density at its deep valleys. More groups than ROOTCAUSE_CAUSES_MAX: a grid of 201 points
 * with this kernel has room for a dozen; those of the greatest scores are then left out. */
static void find_groups(struct squeeze *s)
{
    double d[SQUEEZE_GRID];
    density(s, d);
    double peak = d[0];
    double low = d[0];
    uint32_t low_at = 0;
    double from = -2;
    for (uint32_t i = 1; i < SQUEEZE_GRID; i++) {
        bool valley = low < SQUEEZE_VALLEY * peak && low < SQUEEZE_VALLEY * d[i];
        if (valley) {
            double to = -1 + 2.0 * low_at / (SQUEEZE_GRID - 1);
            add_group(s, from, to);
            from = to;
        }
        if (valley || d[i] > peak) {
            peak = low = d[i];
            low_at = i;
        } else if (d[i] < low) {
            low = d[i];
            low_at = i;
        }
    }
    add_group(s, from, 2);
}

/* state: 0 normal, g + 1 in group g. */
static uint32_t mark_groups(struct squeeze *s)
{
    uint32_t marked = 0;
    for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
        s->w.state[i] = 0;
        for (uint32_t g = 0; g < s->groups_count && s->w.state[i] == 0; g++) {
            if (s->deviation[i] >= s->groups[g].lo && s->deviation[i] <= s->groups[g].hi) {
                s->w.state[i] = (uint8_t)(g + 1);
            }
        }
        marked += s->w.state[i] != 0;
    }
    return marked;
}

/* How dear an element is, from how much deviates and how many values there are; the fewer groups
 * and leaves, the more a better fit may cost. */
static double weight_of(const struct squeeze *s, uint32_t marked)
{
    uint32_t values = 0;
    for (uint32_t d = 0; d < s->w.c->dims_count; d++) {
        uint32_t top = 0;
        for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
            uint32_t v = s->w.c->leaves[i].values[d];
            top = v > top ? v : top;
        }
        values += top + 1;
    }
    double share = (double)s->groups_count * marked / s->w.c->leaves_count;
    double w = values > 1 ? -log(share) / log(values) * values : 0;
    return w > SQUEEZE_WEIGHT_MIN ? w : SQUEEZE_WEIGHT_MIN;
}

static bool within(const struct squeeze *s, double now, double before, double sigmas)
{
    const struct rootcause_cube *c = s->w.c;
    return fabs(now - before) <= sigmas * sqrt(c->unit * (now + before * c->scale));
}

static bool more_marked(const struct rootcause_sum *x, const struct rootcause_sum *y)
{
    uint64_t a = (uint64_t)x->marked * y->leaves;
    uint64_t b = (uint64_t)y->marked * x->leaves;
    return a != b ? a > b : x->marked > y->marked;
}

/* The cells with the greatest share of marked leaves, best first. */
static uint32_t top_cells(struct squeeze *s, uint8_t group, uint32_t top[ROOTCAUSE_ELEMENTS_MAX])
{
    struct rootcause_work *w = &s->w;
    for (uint32_t i = 0; i < w->c->leaves_count; i++) {
        if (w->cell_of[i] != ROOTCAUSE_NIL && w->state[i] == group) {
            w->cells[w->cell_of[i]].marked++;
        }
    }
    uint32_t count = 0;
    for (uint32_t k = 0; k < w->cells_count; k++) {
        if (w->cells[k].marked == 0 || (count == ROOTCAUSE_ELEMENTS_MAX &&
                                        !more_marked(&w->cells[k], &w->cells[top[count - 1]]))) {
            continue;
        }
        uint32_t at = count < ROOTCAUSE_ELEMENTS_MAX ? count++ : count - 1;
        for (; at > 0 && more_marked(&w->cells[k], &w->cells[top[at - 1]]); at--) {
            top[at] = top[at - 1];
        }
        top[at] = k;
    }
    return count;
}

struct best {
    double score, rank;
    struct rootcause_cuboid q;
    uint32_t cells[ROOTCAUSE_ELEMENTS_MAX];
    uint32_t count;
};

/* Potential score of the first `count` top cells. order: the place of a cell among them;
 * top_leaves: the leaves of all top cells; off: the distance of all leaves. */
static double potential(const struct squeeze *s, const uint32_t *top, uint32_t count,
                        uint32_t leaves, double off)
{
    const struct rootcause_work *w = &s->w;
    double now = 0;
    double before = 0;
    uint32_t n = 0;
    for (uint32_t k = 0; k < count; k++) {
        now += w->cells[top[k]].now;
        before += w->cells[top[k]].before;
        n += w->cells[top[k]].leaves;
    }
    double taken = 0;
    for (uint32_t i = 0; i < leaves; i++) {
        uint32_t leaf = s->top_leaves[i];
        if (w->order[w->cell_of[leaf]] < count) {
            double f = expected(s, leaf);
            taken += beyond_chance(s, leaf, f) -
                     beyond_chance(s, leaf, before > 0 ? f * now / before : now / n);
        }
    }
    return taken / off;
}

/* The best of one cuboid against the best so far. */
static void try_cuboid(struct squeeze *s, uint8_t group, const struct rootcause_cuboid *q,
                       struct best *best)
{
    struct rootcause_work *w = &s->w;
    uint32_t top[ROOTCAUSE_ELEMENTS_MAX];
    rootcause_cells(w, q, s->kept);
    uint32_t count = top_cells(s, group, top);
    if (q->dims_count > 0 && count >= w->cells_count) {
        count = w->cells_count - 1; /* all combinations together are "everything" */
    }
    for (uint32_t k = 0; k < w->cells_count; k++) {
        w->order[k] = ROOTCAUSE_NIL;
    }
    for (uint32_t k = 0; k < count; k++) {
        w->order[top[k]] = k;
    }
    uint32_t leaves = 0;
    double off = 0;
    for (uint32_t i = 0; i < w->c->leaves_count; i++) {
        if (w->cell_of[i] == ROOTCAUSE_NIL) {
            continue;
        }
        off += beyond_chance(s, i, expected(s, i));
        if (w->order[w->cell_of[i]] != ROOTCAUSE_NIL) {
            s->top_leaves[leaves++] = i;
        }
    }
    double score_of_cuboid = -(double)INFINITY;
    uint32_t prefix = 0;
    for (uint32_t k = 1; k <= count && off > 0; k++) {
        double score = potential(s, top, k, leaves, off);
        if (score > score_of_cuboid) {
            score_of_cuboid = score;
            prefix = k;
        }
    }
    double rank =
        score_of_cuboid * s->weight - (double)prefix * (q->dims_count > 0 ? q->dims_count : 1);
    if (prefix > 0 && rank > best->rank) {
        *best = (struct best){.score = score_of_cuboid, .rank = rank, .q = *q, .count = prefix};
        memcpy(best->cells, top, prefix * sizeof *top);
    }
}

static bool same_cause(const struct rootcause_cause *x, const struct rootcause_cause *y)
{
    return x->dims_count == y->dims_count && memcmp(x->dims, y->dims, sizeof x->dims) == 0 &&
           x->elements_count == y->elements_count &&
           memcmp(x->elements, y->elements, sizeof x->elements) == 0;
}

/* By how much the elements changed. Two groups may have one cause. */
static void insert(struct rootcause_causes *out, const struct rootcause_cause *cause)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (same_cause(&out->v[i], cause)) {
            return;
        }
    }
    uint32_t at = out->count++;
    double size = fabs(cause->now - cause->before);
    for (; at > 0 && fabs(out->v[at - 1].now - out->v[at - 1].before) < size; at--) {
        out->v[at] = out->v[at - 1];
    }
    out->v[at] = *cause;
}

static void explain_group(struct squeeze *s, uint8_t group, struct rootcause_causes *out)
{
    struct best best = {.rank = -(double)INFINITY};
    for (uint32_t i = 0; i < s->w.c->leaves_count; i++) {
        s->kept[i] = s->w.state[i] != 0 && s->w.state[i] != group;
    }
    struct rootcause_cuboid q = {0};
    try_cuboid(s, group, &q, &best);
    for (uint32_t layer = 1; layer <= ROOTCAUSE_LAYERS_MAX && best.score <= SQUEEZE_ENOUGH;
         layer++) {
        while (rootcause_cuboid_next(&q, layer, s->w.c->dims_count)) {
            try_cuboid(s, group, &q, &best);
        }
    }
    if (best.count == 0 || best.score < SQUEEZE_SCORE_MIN) {
        return;
    }
    struct rootcause_cause cause;
    rootcause_cells(&s->w, &best.q, s->kept);
    rootcause_cause_of(&s->w, &best.q, best.cells, best.count, &cause);
    cause.score = best.score;
    /* Beyond what chance does with so many combinations to choose from. */
    if (!within(s, cause.now, cause.before, sqrt(2 * log(92.0 * s->w.c->leaves_count)))) {
        insert(out, &cause);
    }
}

bool rootcause_squeeze(const struct rootcause_cube *c, struct arena *a,
                       struct rootcause_causes *out, struct err *e)
{
    struct squeeze s = {0};
    out->count = 0;
    if (!rootcause_work_init(&s.w, c, a, e)) {
        return false;
    }
    s.deviation = ARENA_ARRAY(a, double, c->leaves_count);
    s.kept = ARENA_ARRAY(a, uint8_t, c->leaves_count);
    s.top_leaves = ARENA_ARRAY(a, uint32_t, c->leaves_count);
    if (s.deviation == NULL || s.kept == NULL || s.top_leaves == NULL) {
        return err_set(e, ERR_LIMIT, "no memory to search %u leaves", c->leaves_count);
    }
    if (c->leaves_count == 0 || keep_deviating(&s) == 0) {
        return true;
    }
    find_groups(&s);
    if (s.groups_count == 0) {
        return true;
    }
    s.weight = weight_of(&s, mark_groups(&s));
    for (uint32_t g = 0; g < s.groups_count; g++) {
        explain_group(&s, (uint8_t)(g + 1), out);
    }
    return true;
}
