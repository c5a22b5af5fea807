/* Isotonic regression against its min-max formula, expected figures against pairs of single
 * decisions, intervals against simulated truths and moved probabilities. */
#include "engines/calib/calib.h"

#include "base/rng.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELLS_MAX       60
#define NEAR(a, b, eps) assert_true(fabs((a) - (b)) <= (eps))

/* Rising scores with gaps; positives more likely in higher cells, with noise. */
static size_t random_cells(struct rng *r, struct calib_cell *v, size_t max, uint64_t n_max)
{
    const size_t count = 1 + rng_below(r, max);
    double score = 0;
    for (size_t i = 0; i < count; i++) {
        score += (1 + (double)rng_below(r, 1000)) / (1001.0 * (double)max);
        v[i] = (struct calib_cell){.score = score, .n = (double)rng_below(r, n_max + 1)};
        for (double k = 0; k < v[i].n; k++) {
            v[i].positives += rng_f64(r) < 0.02 + 0.9 * (double)i / (double)count;
            v[i].flagged += rng_f64(r) < (double)i / (double)count;
        }
        v[i].squares = v[i].positives;
    }
    return count;
}

/* max over j <= i of min over k >= i of the mean of j..k. */
static double min_max(const struct calib_cell *v, size_t count, size_t i)
{
    double best = -1;
    for (size_t j = 0; j <= i; j++) {
        double least = 2;
        double n = 0;
        double positives = 0;
        for (size_t k = j; k < count; k++) {
            n += v[k].n;
            positives += v[k].positives;
            if (k >= i && n > 0 && positives / n < least) {
                least = positives / n;
            }
        }
        best = v[j].n > 0 && least > best ? least : best;
    }
    return best;
}

TEST(calib_fit_is_the_isotonic_regression)
{
    struct mem mem;
    struct calib c;
    struct rng r;
    rng_init(&r, test_seed());
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    for (int round = 0; round < 300; round++) {
        struct calib_cell v[CELLS_MAX];
        const size_t count = random_cells(&r, v, CELLS_MAX, 9);
        assert_true(calib_fit(&c, v, count));
        double sum = 0;
        double positives = 0;
        for (size_t i = 0; i < count; i++) {
            positives += v[i].positives;
            if (v[i].n > 0) {
                NEAR(calib_at(&c, v[i].score), min_max(v, count, i), 1e-12);
                sum += v[i].n * calib_at(&c, v[i].score);
            }
        }
        NEAR(sum, positives, 1e-9); /* what is learnt is right on average */
        NEAR(c.positives, positives, 1e-9);
        for (size_t b = 1; b < c.count; b++) {
            assert_true(c.blocks[b - 1].p < c.blocks[b].p);
            assert_true(c.blocks[b - 1].hi < c.blocks[b].lo);
        }
    }
    calib_release(&c);
    assert_int_equal(mem.bytes, 0);
}

TEST(calib_is_a_line_between_blocks_and_flat_beyond_the_ends)
{
    struct mem mem;
    struct calib c;
    const struct calib_cell v[] = {{.score = 0.2, .n = 10, .positives = 1, .squares = 1},
                                   {.score = 0.3, .n = 10, .positives = 1, .squares = 1},
                                   {.score = 0.7, .n = 10, .positives = 9, .squares = 9}};
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    assert_true(isnan(calib_at(&c, 0.5)));
    assert_true(calib_fit(&c, v, 3));
    assert_int_equal(c.count, 2);
    NEAR(calib_at(&c, 0), 0.1, 1e-15);
    NEAR(calib_at(&c, 0.25), 0.1, 1e-15);
    NEAR(calib_at(&c, 0.3), 0.1, 1e-15);
    NEAR(calib_at(&c, 0.5), 0.5, 1e-12);
    NEAR(calib_at(&c, 0.6), 0.7, 1e-12);
    NEAR(calib_at(&c, 0.7), 0.9, 1e-15);
    NEAR(calib_at(&c, 1), 0.9, 1e-15);
    assert_true(calib_fit(&c, v, 0)); /* learns anew */
    assert_true(isnan(calib_at(&c, 0.5)));
    calib_release(&c);
}

/* ---- expected figures ---- */

struct brute {
    double precision, recall, f1, auc, ap, positives;
};

/* From a probability per cell, by the definitions: every pair of cells; every threshold. */
static struct brute brute_force(const struct calib_cell *v, const double *p, size_t count)
{
    struct brute x = {0};
    double flagged = 0;
    double tp = 0;
    double pairs = 0;
    for (size_t i = 0; i < count; i++) {
        flagged += v[i].flagged;
        tp += v[i].flagged * p[i];
        x.positives += v[i].n * p[i];
        for (size_t j = 0; j < count; j++) {
            const double both = v[i].n * p[i] * v[j].n * (1 - p[j]);
            pairs += both;
            x.auc += i > j ? both : i == j ? both / 2 : 0;
        }
    }
    for (size_t i = 0; i < count; i++) {
        double above = 0;
        double above_n = 0;
        for (size_t j = i; j < count; j++) {
            above += v[j].n * p[j];
            above_n += v[j].n;
        }
        x.ap += v[i].n > 0 ? v[i].n * p[i] * above / above_n : 0;
    }
    x.precision = tp / flagged;
    x.recall = tp / x.positives;
    x.f1 = tp / (tp + 0.5 * (flagged - tp + x.positives - tp));
    x.auc /= pairs;
    x.ap /= x.positives;
    return x;
}

TEST(calib_estimate_agrees_with_the_definitions)
{
    struct mem mem;
    struct calib c;
    struct rng r;
    rng_init(&r, test_seed());
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    for (int round = 0; round < 300; round++) {
        struct calib_cell learnt[CELLS_MAX];
        struct calib_cell v[CELLS_MAX];
        double p[CELLS_MAX];
        struct calib_estimate e;
        assert_true(calib_fit(&c, learnt, random_cells(&r, learnt, CELLS_MAX, 40)));
        const size_t count = random_cells(&r, v, CELLS_MAX, 20);
        calib_estimate(&c, v, count, &e);
        for (size_t i = 0; i < count; i++) {
            p[i] = calib_at(&c, v[i].score);
        }
        const struct brute x = brute_force(v, p, count);
        if (c.count == 0 || !(x.positives > 0) || !(e.flagged > 0) || !(e.tn + e.fp > 0)) {
            continue;
        }
        NEAR(e.precision.value, x.precision, 1e-12);
        NEAR(e.recall.value, x.recall, 1e-12);
        NEAR(e.f1.value, x.f1, 1e-12);
        NEAR(e.roc_auc.value, x.auc, 1e-12);
        NEAR(e.average_precision.value, x.ap, 1e-12);
        NEAR(e.positives.value, x.positives, 1e-9);
        NEAR(e.tp + e.fp + e.fn + e.tn, e.n, 1e-9);
    }
    calib_release(&c);
}

static const struct calib_figure *figure_of(const struct calib_estimate *e, int f)
{
    const struct calib_figure *all[] = {&e->precision,         &e->recall,   &e->f1, &e->roc_auc,
                                        &e->average_precision, &e->positives};
    return all[f];
}

/* Moves each block's probability and looks what every figure does: no formula of derivatives. */
TEST(calib_interval_follows_every_block_of_the_map)
{
    struct mem mem;
    struct calib c;
    struct rng r;
    rng_init(&r, test_seed());
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    for (int round = 0; round < 40; round++) {
        struct calib_cell learnt[CELLS_MAX];
        struct calib_cell v[CELLS_MAX];
        struct calib_estimate e;
        const size_t count_learnt = random_cells(&r, learnt, CELLS_MAX, 40);
        const size_t count = random_cells(&r, v, CELLS_MAX, 20);
        assert_true(calib_fit(&c, learnt, count_learnt));
        calib_estimate(&c, v, count, &e);
        if (c.count < 3 || isnan(e.precision.value) || isnan(e.roc_auc.value)) {
            continue;
        }
        double var[6] = {0};
        for (size_t b = 0; b < c.count; b++) {
            struct calib_block *x = &c.blocks[b];
            const double p = x->p;
            const double h = 1e-6;
            struct calib_estimate up;
            struct calib_estimate down;
            x->p = p + h;
            calib_estimate(&c, v, count, &up);
            x->p = p - h;
            calib_estimate(&c, v, count, &down);
            x->p = p;
            for (int f = 0; f < 6; f++) {
                const double slope =
                    (figure_of(&up, f)->value - figure_of(&down, f)->value) / (2 * h);
                var[f] += slope * slope * (x->squares + 0.5) * (1 - p) / (x->n + 1) / (x->n + 1);
            }
        }
        for (int f = 0; f < 6; f++) {
            const double sd = figure_of(&e, f)->calibration_sd;
            NEAR(sd, sqrt(var[f]), 1e-4 * sd + 1e-7);
        }
    }
    calib_release(&c);
}

/* Figures of drawn truths, as often as asked: their spread is what sampling_sd says. */
TEST(calib_interval_holds_the_draw_of_truths)
{
    enum { DRAWS = 3000, CELLS = 40 };
    struct mem mem;
    struct calib c;
    struct rng r;
    struct calib_cell v[CELLS];
    struct calib_estimate e;
    double mean[6] = {0};
    double square[6] = {0};
    int inside[6] = {0};
    rng_init(&r, test_seed());
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    for (int i = 0; i < CELLS; i++) {
        const double at = (i + 1) / (double)(CELLS + 1);
        const double n = 400 * (1 - at) + 10;
        v[i] = (struct calib_cell){.score = at,
                                   .n = round(n),
                                   .positives = round(n) * at * at,
                                   .squares = round(n) * at * at,
                                   .flagged = i > 25 ? round(n) : 0};
    }
    assert_true(calib_fit(&c, v, CELLS));
    calib_estimate(&c, v, CELLS, &e);
    for (int k = 0; k < DRAWS; k++) {
        struct calib_cell drawn[CELLS];
        double truth[CELLS];
        for (int i = 0; i < CELLS; i++) {
            double positives = 0;
            const double p = calib_at(&c, v[i].score);
            for (double j = 0; j < v[i].n; j++) {
                positives += rng_f64(&r) < p;
            }
            drawn[i] = v[i];
            truth[i] = positives / v[i].n;
        }
        const struct brute b = brute_force(drawn, truth, CELLS);
        const double x[6] = {b.precision, b.recall, b.f1, b.auc, b.ap, b.positives};
        for (int f = 0; f < 6; f++) {
            const struct calib_figure *g = figure_of(&e, f);
            mean[f] += x[f] / DRAWS;
            square[f] += x[f] * x[f] / DRAWS;
            inside[f] += x[f] >= g->lo && x[f] <= g->hi;
        }
    }
    for (int f = 0; f < 6; f++) {
        const struct calib_figure *g = figure_of(&e, f);
        const double sd = sqrt(square[f] - mean[f] * mean[f]);
        NEAR(sd / g->sampling_sd, 1, 0.1);
        assert_true(inside[f] >= DRAWS * 0.94);
    }
    calib_release(&c);
}

TEST(calib_says_nothing_of_nothing)
{
    struct mem mem;
    struct calib c;
    struct calib_estimate e;
    const struct calib_cell honest[] = {{.score = 0.1, .n = 50}, {.score = 0.9, .n = 50}};
    const struct calib_cell fraud[] = {{.score = 0.1, .n = 50, .positives = 1, .squares = 1},
                                       {.score = 0.9, .n = 50, .positives = 40, .squares = 40}};
    mem_init(&mem, 0);
    calib_init(&c, &mem);
    calib_estimate(&c, fraud, 2, &e); /* nothing learnt */
    assert_true(isnan(e.recall.value) && isnan(e.recall.lo) && isnan(e.positives.value));
    assert_true(calib_fit(&c, honest, 2));
    calib_estimate(&c, fraud, 2, &e); /* no fraud to expect, none flagged */
    assert_true(isnan(e.recall.value) && isnan(e.precision.value) && isnan(e.roc_auc.value));
    NEAR(e.positives.value, 0, 0);
    assert_true(e.positives.hi > 0); /* 100 honest ones do not prove that there is none */
    assert_true(calib_fit(&c, fraud, 2));
    calib_estimate(&c, fraud, 2, &e); /* none flagged */
    assert_true(isnan(e.precision.value));
    NEAR(e.recall.value, 0, 0);
    calib_estimate(&c, fraud, 0, &e); /* no decision */
    assert_true(isnan(e.positives.value));
    NEAR(e.n, 0, 0);
    calib_release(&c);
}

FAULT_TEST(calib_survives_lack_of_memory)
{
    struct calib c;
    struct calib_cell v[CELLS_MAX];
    for (int i = 0; i < CELLS_MAX; i++) {
        v[i] = (struct calib_cell){
            .score = (i + 1) / 61.0, .n = 100, .positives = i + 1, .squares = i + 1};
    }
    calib_init(&c, &w->mem);
    const bool first = calib_fit(&c, v, CELLS_MAX);
    assert_int_equal(c.count, first ? CELLS_MAX : 0);
    const bool second = calib_fit(&c, v, 3);
    assert_int_equal(c.count, second ? 3 : 0);
    calib_release(&c);
    return first && second;
}
