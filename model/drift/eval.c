/* The tests of one closed window.
 *
 * Every feature x segment that the reference has gives at most six p-values: its distribution (KS
 * of numbers, chi2 of categories) and five shares (missing, default, new values, out of range,
 * another type). They go through Benjamini-Hochberg: those of all decisions together at q_max,
 * those of all segments together at a tenth of it, as segments are many and none of them stands
 * for the whole. What is rejected and has the minimum effect has drifted. Rules without a p-value:
 * a change of unit, a constant, an absent feature.
 *
 * Days of one stream differ by more than sampling. The statistic is divided by what the
 * reference's own days showed, each against the days before it: the larger of their median and
 * their 90 % point over that of the law, and for segments of a numeric feature the 99 % point of
 * all of them. A share is tested against the worst of those days (Poisson tail), so that features
 * with a bad day a week do not alarm every week. New and out of range is what no decision of the
 * reference had, in whatever segment. */
#include "engines/dist/dist.h"
#include "model/drift/drift_int.h"
#include "model/drift/view_int.h"

#include <math.h>
#include <stdlib.h>

#define N_MIN          30  /* values below which a distribution is not tested */
#define N_EXACT_MIN    100 /* for rules without a p-value */
#define SHARE_EFFECT   0.005
#define SHARE_COUNT    5
#define SPREADS_MIN    3
#define KS_MEDIAN      0.82757 /* of Kolmogorov's law */
#define KS_Q99         1.62762
#define POOLED_MIN     100 /* days of all segments that make a tail */
#define SEGMENT_STRICT 10  /* false discoveries of segments are to be so much rarer */
#define KS_Q90         1.22385
#define NORMAL_Q90     1.2815515655446004
#define CHI2_LEAST     5.0 /* reference counts below this share one cell in the test */
#define UNIT_TOLERANCE 0.15
#define TESTS_EACH     (1 + DRIFT_RATES)

const struct str drift_rule_text[DRIFT_RULES] = {
    STR_INIT("missing"),  STR_INIT("default"),      STR_INIT("new_values"), STR_INIT("range"),
    STR_INIT("type"),     STR_INIT("distribution"), STR_INIT("unit_x100"),  STR_INIT("unit_x1000"),
    STR_INIT("constant"), STR_INIT("absent")};

/* Wilson-Hilferty: the z-point of chi2 with dof. */
static double chi2_point(double dof, double z)
{
    double a = 2 / (9 * dof);
    double root = 1 - a + z * sqrt(a);
    return dof * root * root * root;
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* How much larger than by sampling the statistic of a day is. dof 0: KS. */
static double dispersion(const struct drift_against *a, uint32_t feature, uint32_t segment,
                         double dof)
{
    const struct drift_spread *s = drift_spread_find(a->spreads, feature, segment);
    float v[DRIFT_SPREAD_MAX];
    if (s == NULL || s->days < SPREADS_MIN) {
        s = drift_spread_find(a->spreads, feature, 0);
    }
    if (s == NULL || s->days < SPREADS_MIN) {
        return 1;
    }
    const uint32_t n = s->days < DRIFT_SPREAD_MAX ? s->days : DRIFT_SPREAD_MAX;
    memcpy(v, s->stats, n * sizeof *v);
    qsort(v, n, sizeof *v, by_value);
    double tail = dof == 0 ? KS_MEDIAN / KS_Q90 : chi2_point(dof, 0) / chi2_point(dof, NORMAL_Q90);
    double median = (double)(n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2);
    double high = (double)v[(n - 1) * 9 / 10] * tail;
    return fmax(1, fmax(median, high));
}

/* The same for the segments of a numeric feature together: what their worst days have in common, as
 * when a few customers make most of a segment and their days resemble each other. 1: too few. */
static double dispersion_pooled(const struct drift_against *a, uint32_t feature)
{
    float *v = mem_take(a->d->mem, ((size_t)a->segments + 1) * DRIFT_SPREAD_MAX * sizeof *v);
    uint32_t n = 0;
    double factor = 1;
    for (uint32_t i = 1; v != NULL && i <= a->segments; i++) {
        const struct drift_spread *s = drift_spread_find(a->spreads, feature, i);
        for (uint32_t k = 0; s != NULL && k < s->days && k < DRIFT_SPREAD_MAX; k++) {
            v[n++] = s->stats[k];
        }
    }
    if (n >= POOLED_MIN) {
        qsort(v, n, sizeof *v, by_value);
        factor = fmax(1, (double)v[(uint64_t)(n - 1) * 99 / 100] * KS_MEDIAN / KS_Q99);
    }
    mem_give(a->d->mem, v, ((size_t)a->segments + 1) * DRIFT_SPREAD_MAX * sizeof *v);
    return factor;
}

/* P(Poisson(mean) >= x), an upper bound of the binomial's for the shares that matter. */
static double poisson_sf(double x, double mean)
{
    double p = 1 - dist_chi2_sf(2 * mean, 2 * x);
    return x <= 0 ? 1 : fmax(p, 1e-16);
}

static bool numeric(const struct drift_view *v, const struct drift_view *ref, struct dist_sketch *a,
                    struct dist_sketch *b, struct drift_result *r)
{
    struct dist_edges edges;
    struct dist_distances far;
    struct dist_shares fine;
    struct dist_shares ten;
    uint64_t slots[2][DIST_SLOTS] = {{0}};
    uint64_t counts[2][DIST_EDGE_CELLS_MAX];
    if (!drift_view_sketch(ref, a) || !drift_view_sketch(v, b)) {
        return false;
    }
    if (!dist_sketch_compare(a, b, &far)) {
        return true; /* no numbers */
    }
    dist_edges_from_sketch(&edges, a, DIST_EDGE_CELLS);
    dist_edges_count_sketch(&edges, a, slots[0]);
    dist_edges_count_sketch(&edges, b, slots[1]);
    uint32_t n = dist_edges_fine(&edges, slots[0], counts[0]);
    (void)dist_edges_fine(&edges, slots[1], counts[1]);
    dist_counts_compare(counts[0], counts[1], n, &fine);
    n = dist_edges_coarse(&edges, slots[0], counts[0]);
    (void)dist_edges_coarse(&edges, slots[1], counts[1]);
    dist_counts_compare(counts[0], counts[1], n, &ten);
    r->psi = ten.psi;
    r->js = fine.js;
    r->kl = fine.kl;
    r->hellinger = fine.hellinger;
    r->chi2 = fine.chi2;
    r->tvd = fine.tvd;
    r->linf = fine.linf;
    r->ks = far.ks.value;
    r->w1 = far.w1.value;
    r->w1_norm = far.w1_norm;
    r->cvm = far.cvm.value;
    r->ad = far.ad.value;
    return true;
}

/* ---- categories ---- */

struct pair {
    uint64_t n[2];
};

static int by_counts(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    if (x->n[0] != y->n[0]) {
        return x->n[0] < y->n[0] ? -1 : 1;
    }
    return x->n[1] < y->n[1] ? -1 : x->n[1] > y->n[1];
}

/* Sums over the pairs of counts; pairs of which fewer than thin_below are expected in a side are
 * one. The pairs go in the order of their counts, as numbers of names depend on the shards, and
 * sums of doubles on their order. false without memory. */
static bool categoric(const struct drift_against *a, const struct drift_view *v,
                      const struct drift_view *ref, double thin_below, struct dist_shares *out)
{
    struct dist_pairs sums;
    struct drift_walk w = drift_walk_of(ref, v);
    struct pair thin = {0};
    uint32_t n = 0;
    const uint32_t most = ref->end - ref->first + v->end - v->first;
    const double share = (double)v->main / (double)(v->main + ref->main);
    struct pair *pairs = mem_take(a->d->mem, most * sizeof *pairs);
    if (pairs == NULL) {
        return false;
    }
    while (drift_walk_next(&w)) {
        if ((double)(w.n[0] + w.n[1]) * fmin(share, 1 - share) < thin_below) {
            thin.n[0] += w.n[0];
            thin.n[1] += w.n[1];
        } else {
            pairs[n++] = (struct pair){{w.n[0], w.n[1]}};
        }
    }
    if (n > 1) {
        qsort(pairs, n, sizeof *pairs, by_counts);
    }
    dist_pairs_begin(&sums, ref->main, v->main);
    for (uint32_t i = 0; i < n; i++) {
        dist_pairs_add(&sums, pairs[i].n[0], pairs[i].n[1]);
    }
    dist_pairs_add(&sums, thin.n[0], thin.n[1]);
    dist_pairs_end(&sums, out);
    mem_give(a->d->mem, pairs, most * sizeof *pairs);
    return true;
}

static bool categories(const struct drift_against *a, const struct drift_view *v,
                       const struct drift_view *ref, struct drift_result *r)
{
    struct dist_shares all;
    struct dist_shares pooled;
    if (!categoric(a, v, ref, 0, &all) || !categoric(a, v, ref, CHI2_LEAST, &pooled)) {
        return false;
    }
    r->psi = all.psi;
    r->js = all.js;
    r->kl = all.kl;
    r->hellinger = all.hellinger;
    r->chi2 = all.chi2;
    r->tvd = all.tvd;
    r->linf = all.linf;
    r->chi2_pooled = pooled.chi2;
    r->dof_pooled = pooled.dof;
    return true;
}

/* Statistic of the distribution over its median under pure sampling, and its degrees of freedom (0:
 * KS). false: too few values. */
static bool statistic(const struct drift_view *v, const struct drift_view *ref,
                      const struct drift_result *r, double *stat, double *dof)
{
    const double n = (double)v->main;
    const double m = (double)ref->main;
    *dof = 0;
    if (v->main < N_MIN || ref->main < N_MIN) {
        return false;
    }
    if (ref->kind == DRIFT_NUMBER) {
        *stat = r->ks * sqrt(n * m / (n + m)) / KS_MEDIAN;
        return !isnan(r->ks);
    }
    *dof = r->dof_pooled;
    *stat = *dof > 0 ? r->chi2_pooled / chi2_point(*dof, 0) : 0;
    return *dof > 0 && !isnan(r->chi2_pooled);
}

static double p_of(double stat, double dof, double factor)
{
    return dof == 0 ? dist_kolmogorov_sf(stat * KS_MEDIAN / factor)
                    : dist_chi2_sf(stat * chi2_point(dof, 0) / factor, dof);
}

/* Both views of one feature and segment. */
struct both {
    struct drift_view now, ref;
    const struct drift_view *whole; /* borrows: the reference of all decisions */
};

/* whole: the reference of all decisions, as only what nobody ever sent is new. */
static void rates(const struct drift_view *v, const struct drift_view *whole,
                  uint64_t out[DRIFT_RATES])
{
    out[DRIFT_RATE_MISSING] = v->total - v->present;
    out[DRIFT_RATE_DEFAULT] = v->defaults;
    out[DRIFT_RATE_NEW] = drift_view_fresh(v, whole);
    out[DRIFT_RATE_RANGE] = drift_view_outside(v, whole);
    out[DRIFT_RATE_TYPE] = v->present - v->main;
}

static void test_rates(const struct drift_against *a, const struct both *b, struct drift_result *r)
{
    const struct drift_view *v = &b->now;
    const struct drift_view *ref = &b->ref;
    uint64_t now[DRIFT_RATES];
    uint64_t then[DRIFT_RATES];
    rates(v, b->whole, now);
    rates(ref, b->whole, then);
    const struct drift_spread *s = drift_spread_find(a->spreads, r->feature, r->segment);
    for (uint32_t i = 0; i < DRIFT_RATES; i++) {
        double usual = (double)(then[i] + 1) / (double)(ref->total + 2);
        usual = fmax(usual, s == NULL ? 0 : (double)s->worst[i]);
        double x = (double)now[i];
        double n = (double)v->total;
        bool enough = now[i] >= SHARE_COUNT && x / n - usual >= SHARE_EFFECT;
        r->p_rate[i] = enough ? poisson_sf(x, n * usual) : 1;
    }
    r->fresh = now[DRIFT_RATE_NEW];
    r->outside = now[DRIFT_RATE_RANGE];
}

static uint32_t exact_rules(const struct drift_view *v, const struct drift_view *ref)
{
    uint32_t rules = 0;
    bool usual = (double)ref->present >= 0.5 * (double)ref->total;
    if (v->total >= N_MIN && v->present == 0 && usual) {
        rules |= 1u << DRIFT_RULE_ABSENT;
    }
    if (v->main >= N_EXACT_MIN && v->top == v->main && (double)ref->top < 0.9 * (double)ref->main) {
        rules |= 1u << DRIFT_RULE_CONSTANT;
    }
    if (v->kind == DRIFT_NUMBER && v->positive >= N_EXACT_MIN && ref->positive >= N_EXACT_MIN) {
        double shift = fabs(v->log10_mean - ref->log10_mean);
        rules |= fabs(shift - 2) < UNIT_TOLERANCE ? 1u << DRIFT_RULE_UNIT_X100 : 0u;
        rules |= fabs(shift - 3) < UNIT_TOLERANCE ? 1u << DRIFT_RULE_UNIT_X1000 : 0u;
    }
    return rules;
}

static void result_begin(struct drift_result *r, uint32_t feature, uint32_t segment)
{
    const double none = (double)NAN;
    *r = (struct drift_result){.feature = (uint16_t)feature, .segment = (uint16_t)segment};
    r->psi = r->js = r->kl = r->hellinger = r->ks = r->w1 = r->w1_norm = r->cvm = r->ad = none;
    r->chi2 = r->tvd = r->linf = r->p = r->q = none;
}

static bool distances(const struct drift_against *a, const struct drift_view *v,
                      const struct drift_view *ref, struct drift_result *r)
{
    bool ok = true;
    if (ref->kind == DRIFT_NUMBER) {
        struct dist_sketch then;
        struct dist_sketch now;
        int bits = ref->coarse ? 6 : 7;
        dist_sketch_init(&then, a->d->mem, bits, DIST_CELLS);
        dist_sketch_init(&now, a->d->mem, bits, DIST_CELLS);
        ok = numeric(v, ref, &then, &now, r);
        dist_sketch_release(&then);
        dist_sketch_release(&now);
    } else if (v->main > 0 && ref->main > 0) {
        ok = categories(a, v, ref, r);
    }
    return ok;
}

/* false without memory. */
static bool both_of(const struct drift_against *a, const struct drift_grid *g, uint32_t feature,
                    uint32_t segment, const struct drift_view *whole, struct both *b)
{
    *b = (struct both){.now.coarse = a->coarse, .ref.coarse = a->coarse, .whole = whole};
    return drift_view_of(a->d, a->ref, feature, segment, DRIFT_KINDS, &b->ref) &&
           drift_view_of(a->d, g, feature, segment, b->ref.kind, &b->now);
}

static void both_release(const struct drift_against *a, struct both *b)
{
    drift_view_release(&b->now, a->d->mem);
    drift_view_release(&b->ref, a->d->mem);
}

static bool eval_one(const struct drift_against *a, const struct both *b, double pooled,
                     struct drift_result *r)
{
    double stat = 0;
    double dof = 0;
    if (!distances(a, &b->now, &b->ref, r)) {
        return false;
    }
    r->kind = (uint8_t)b->ref.kind;
    r->n = b->now.total;
    r->present = b->now.present;
    r->nulls = b->now.nulls;
    r->rules = exact_rules(&b->now, &b->ref);
    test_rates(a, b, r);
    if (statistic(&b->now, &b->ref, r, &stat, &dof)) {
        double effect = dof == 0 ? r->ks : r->tvd;
        double factor = dispersion(a, r->feature, r->segment, dof);
        factor = dof == 0 && r->segment != 0 ? fmax(factor, pooled) : factor;
        r->p = p_of(stat, dof, factor);
        r->p = effect < a->d->setup.config->effect_min ? fmax(r->p, 0.5) : r->p;
    }
    return true;
}

/* What of a result's tests is rejected at alpha, by its adjusted p-values. */
static void decide_one(struct drift_result *r, const double *q, double alpha)
{
    const uint32_t units = 1u << DRIFT_RULE_UNIT_X100 | 1u << DRIFT_RULE_UNIT_X1000;
    r->q = q[0];
    r->rules |= q[0] <= alpha ? 1u << DRIFT_RULE_DISTRIBUTION : 0u;
    for (uint32_t k = 0; k < DRIFT_RATES; k++) {
        r->rules |= q[1 + k] <= alpha ? 1u << k : 0u;
    }
    /* A change of unit without a change of distribution is none. */
    r->rules &= r->rules & 1u << DRIFT_RULE_DISTRIBUTION ? ~0u : ~units;
    r->drifted = r->rules != 0;
}

/* One decision over the tests of all decisions, and one over those of all segments: these are many
 * and of few values, and must not lend each other's rejections to the former. */
static bool decide(const struct drift *d, struct drift_window *w, bool segments)
{
    const uint32_t most = w->count * TESTS_EACH;
    const double alpha = d->setup.config->q_max / (segments ? SEGMENT_STRICT : 1);
    double *p = mem_take(d->mem, most * sizeof *p);
    uint32_t *order = mem_take(d->mem, most * sizeof *order);
    bool ok = p != NULL && order != NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->count && ok; i++) {
        if ((w->v[i].segment != 0) == segments) {
            w->tests += isnan(w->v[i].p) ? DRIFT_RATES : DRIFT_RATES + 1u;
            p[n] = w->v[i].p;
            memcpy(&p[n + 1], w->v[i].p_rate, sizeof w->v[i].p_rate);
            n += TESTS_EACH;
        }
    }
    if (ok) {
        w->rejected += dist_fdr_adjust(DIST_BH, p, n, alpha, p, order);
    }
    n = 0;
    for (uint32_t i = 0; i < w->count && ok; i++) {
        if ((w->v[i].segment != 0) == segments) {
            decide_one(&w->v[i], &p[n], alpha);
            n += TESTS_EACH;
        }
    }
    mem_give(d->mem, p, most * sizeof *p);
    mem_give(d->mem, order, most * sizeof *order);
    return ok;
}

static double median_dispersion(const struct drift_against *a)
{
    double v[RECORD_FEATURES_MAX + 4];
    uint32_t n = 0;
    for (uint32_t f = 0; f < a->d->names.features.count && n < ARRAY_LEN(v); f++) {
        const struct drift_cells *c = drift_grid_at(a->ref, f, 0);
        if (c != NULL && c->used > 0) {
            double x = dispersion(a, f, 0, 0);
            uint32_t i = n++;
            for (; i > 0 && v[i - 1] > x; i--) {
                v[i] = v[i - 1];
            }
            v[i] = x;
        }
    }
    return n == 0 ? 1 : v[n / 2];
}

bool drift_eval(const struct drift_against *a, const struct drift_grid *g, struct drift_window *out)
{
    bool ok = true;
    for (uint32_t f = 0; f < a->d->names.features.count && ok; f++) {
        const double pooled = dispersion_pooled(a, f);
        struct drift_view whole = {.coarse = a->coarse};
        ok = drift_view_of(a->d, a->ref, f, 0, DRIFT_KINDS, &whole);
        for (uint32_t s = 0; s <= a->segments && ok; s++) {
            struct drift_result r;
            struct both b;
            result_begin(&r, f, s);
            ok = both_of(a, g, f, s, &whole, &b);
            if (ok && b.ref.total > 0 && b.now.total > 0) {
                void *p = out->v;
                ok = eval_one(a, &b, pooled, &r) &&
                     mem_array_grow(a->d->mem, &p, &out->cap, (size_t)out->count + 1,
                                    (size_t)1 << 24, sizeof r);
                out->v = p;
                if (ok) {
                    out->v[out->count++] = r;
                }
            }
            both_release(a, &b);
        }
        drift_view_release(&whole, a->d->mem);
    }
    out->dispersion = median_dispersion(a);
    return ok && (out->count == 0 || (decide(a->d, out, false) && decide(a->d, out, true)));
}

/* ---- the reference's own windows ---- */

static void note_spread(const struct both *b, double grown, struct drift_spread *s,
                        const struct drift_result *r)
{
    double stat = 0;
    double dof = 0;
    uint64_t now[DRIFT_RATES];
    if (statistic(&b->now, &b->ref, r, &stat, &dof)) {
        s->stats[s->days++ % DRIFT_SPREAD_MAX] = (float)stat;
    }
    rates(&b->now, b->whole, now);
    for (uint32_t i = 0; i < DRIFT_RATES && b->now.total >= N_MIN; i++) {
        double share = (double)now[i] / (double)b->now.total;
        /* New values and new extremes get rarer as the reference grows. */
        share *= i == DRIFT_RATE_NEW || i == DRIFT_RATE_RANGE ? fmin(1, grown) : 1;
        s->worst[i] = fmaxf(s->worst[i], (float)share);
    }
}

bool drift_eval_spread(const struct drift_against *a, const struct drift_grid *g, double grown,
                       struct drift_spreads *to)
{
    bool ok = true;
    for (uint32_t f = 0; f < a->d->names.features.count && ok; f++) {
        struct drift_view whole = {.coarse = a->coarse};
        ok = drift_view_of(a->d, a->ref, f, 0, DRIFT_KINDS, &whole);
        for (uint32_t s = 0; s <= a->segments && ok; s++) {
            struct drift_result r;
            struct both b;
            result_begin(&r, f, s);
            ok = both_of(a, g, f, s, &whole, &b);
            if (ok && b.ref.total > 0 && b.now.total > 0) {
                struct drift_spread *spread = drift_spread_at(to, a->d->mem, f, s);
                ok = spread != NULL && distances(a, &b.now, &b.ref, &r);
                if (ok) {
                    note_spread(&b, grown, spread, &r);
                }
            }
            both_release(a, &b);
        }
        drift_view_release(&whole, a->d->mem);
    }
    return ok;
}
