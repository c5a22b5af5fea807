/* Quality figures against brute force on the exact scores, and by hand. */
#include "base/rng.h"
#include "model/model_testing_int.h"

#define EVENTS_MAX 4000

struct event {
    double score;
    bool fraud, predicted;
    int64_t amount;
};

/* Share of frauds in the k best of sorted events, equal scores at the edge in proportion. */
static double best_share(const struct event *v, size_t n, size_t k)
{
    size_t from = k - 1;
    size_t to = k - 1;
    double above = 0;
    double tied = 0;
    while (from > 0 && v[from - 1].score == v[k - 1].score) {
        from--;
    }
    while (to + 1 < n && v[to + 1].score == v[k - 1].score) {
        to++;
    }
    for (size_t i = 0; i <= to; i++) {
        *(i < from ? &above : &tied) += v[i].fraud;
    }
    return (above + tied * (double)(k - from) / (double)(to - from + 1)) / (double)k;
}

struct exact {
    double auc, ap, brier, log_loss, ece_width, ece_mass;
};

static int best_first(const void *a, const void *b)
{
    const struct event *x = a;
    const struct event *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

/* The definitions, on every event: pairs for AUC (ties count one half), distinct thresholds for
 * AP. */
static struct exact brute_force(struct event *v, size_t n)
{
    struct exact x = {0};
    double pos = 0;
    double pairs = 0;
    for (size_t i = 0; i < n; i++) {
        double p = model_score_clip(v[i].score);
        double y = v[i].fraud;
        pos += y;
        x.brier += (v[i].score - y) * (v[i].score - y) / (double)n;
        x.log_loss -= log(v[i].fraud ? p : 1 - p) / (double)n;
        for (size_t j = 0; v[i].fraud && j < n; j++) {
            if (!v[j].fraud) {
                x.auc += v[i].score > v[j].score ? 1 : v[i].score == v[j].score ? 0.5 : 0;
                pairs++;
            }
        }
    }
    x.auc /= pairs;
    qsort(v, n, sizeof *v, best_first);
    double tp = 0;
    for (size_t i = 0; i < n;) {
        double group = 0;
        size_t j = i;
        for (; j < n && v[j].score == v[i].score; j++) {
            group += v[j].fraud;
        }
        tp += group;
        x.ap += group / pos * tp / (double)j;
        i = j;
    }
    for (int b = 0; b < 10; b++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            int bin = (int)(v[i].score * 10);
            sum += (bin > 9 ? 9 : bin) == b ? v[i].score - v[i].fraud : 0;
        }
        x.ece_width += fabs(sum) / (double)n;
    }
    size_t at = n; /* ascending score = from the end */
    for (size_t b = 0; b < 10; b++) {
        double sum = 0;
        for (size_t k = n / 10 + (b < n % 10); k > 0; k--) {
            at--;
            sum += v[at].score - v[at].fraud;
        }
        x.ece_mass += fabs(sum) / (double)n;
    }
    return x;
}

/* exact: figures from the list of scores, else from cells. */
static void fill(struct model_quality_in *in, const struct event *v, size_t n, bool exact,
                 uint32_t coarse)
{
    struct model_cohorts t;
    struct mem mem;
    mem_init(&mem, 0);
    model_cohorts_init(&t, &mem);
    struct model_cohort *c = model_cohort_at(&t, 1, 2, 0, 0);
    memset(in, 0, sizeof *in);
    in->positives = calloc(n, sizeof *in->positives);
    for (size_t i = 0; i < n; i++) {
        struct model_event ev;
        model_event_of(v[i].score, v[i].predicted ? VERDICT_HOLD : VERDICT_APPROVE, v[i].amount,
                       &ev);
        assert_true(model_cohort_reserve(&t, c, &ev));
        model_cohort_add(c, &ev);
        if (v[i].fraud) {
            in->positives[in->positives_count++] =
                (struct model_positive){v[i].score, v[i].amount, v[i].predicted};
            in->judged_positive += v[i].predicted;
        }
        in->predicted += v[i].predicted;
        in->predicted_amount += v[i].predicted ? v[i].amount : 0;
    }
    model_base_merge(&in->base, &c->base);
    assert_int_equal(c->celled, n > MODEL_EXACT_MAX);
    in->coarse = coarse;
    in->exact = exact;
    for (size_t i = 0; i < c->base.scored; i++) {
        model_quality_put_score(in, model_cohort_score(c, i));
    }
    model_quality_sort(in);
    model_cohorts_release(&t);
    assert_int_equal(mem.bytes, 0);
}

/* Kinds of score streams: smooth, badly calibrated, rounded to two decimals, saturated,
 * constant. */
static double score_of(struct rng *r, int kind, bool fraud)
{
    double z = rng_normal(r) * 2 + (fraud ? 1.5 : -4);
    switch (kind) {
    case 0: return 1 / (1 + exp(-z));
    case 1: return 1 / (1 + exp(-(z * 0.3 + 1)));
    case 2: return round(100 / (1 + exp(-z))) / 100;
    case 3: return z > 0 ? 1 : z < -5 ? 0 : 0.25;
    default: return 0.3;
    }
}

static double brute_rate(const struct event *v, size_t n)
{
    double frauds = 0;
    for (size_t i = 0; i < n; i++) {
        frauds += v[i].fraud;
    }
    return frauds / (double)n;
}

static void check_best(const struct model_quality *q, const struct event *v, size_t n, bool exact)
{
    if (n < 100) {
        assert_true(isnan(q->precision_at_100.value));
        assert_true(isnan(q->lift_at_1pct.value));
        return;
    }
    const double k = floor((double)n / 100);
    const double rate = brute_rate(v, n);
    const double at_100 = best_share(v, n, 100);
    const double lift = best_share(v, n, n / 100) / rate;
    assert_true(fabs(q->precision_at_100.value - at_100) < (exact ? 1e-12 : 0.03));
    assert_true(fabs(q->lift_at_1pct.value - lift) < (exact ? 1e-9 : 1.5 / k / rate));
}

static void check_stream(struct rng *r, int kind, size_t n, bool exact, uint32_t coarse)
{
    struct event *v = calloc(n, sizeof *v);
    struct model_quality_in *in = calloc(1, sizeof *in);
    for (size_t i = 0; i < n; i++) {
        v[i].fraud = rng_f64(r) < 0.05 || i == 0;
        v[i].fraud = v[i].fraud && i != 1;
        v[i].score = score_of(r, kind, v[i].fraud);
        v[i].predicted = v[i].score > 0.6;
        v[i].amount = (int64_t)rng_below(r, 100000);
    }
    struct exact x = brute_force(v, n);
    struct model_quality q;
    fill(in, v, n, exact, coarse);
    model_quality_compute(in, &q);
    assert_true(q.auc_lo <= x.auc + 1e-12);
    assert_true(q.auc_hi >= x.auc - 1e-12);
    assert_true(q.ap_lo <= x.ap + 1e-12);
    assert_true(q.ap_hi >= x.ap - 1e-12);
    assert_true(fabs(q.roc_auc.value - x.auc) < (exact ? 1e-12 : 0.003));
    assert_true(fabs(q.average_precision.value - x.ap) < (exact ? 1e-12 : 0.03));
    assert_true(fabs(q.brier.value - x.brier) < 1e-12);
    assert_true(fabs(q.log_loss.value - x.log_loss) < 1e-10);
    assert_true(fabs(q.ece_width10.value - x.ece_width) < 1e-9);
    assert_true(q.average_precision.lo <= x.ap + 1e-12); /* NaN fails */
    assert_true(q.average_precision.hi >= x.ap - 1e-12);
    assert_true(q.roc_auc.lo <= q.roc_auc.value);
    assert_true(q.roc_auc.hi >= q.roc_auc.value);
    check_best(&q, v, n, exact || kind >= 3);
    if (kind >= 3) { /* nothing but ties: exact */
        assert_true(fabs(q.roc_auc.value - x.auc) < 1e-12);
        assert_true(fabs(q.average_precision.value - x.ap) < 1e-12);
    } else if (kind < 2) { /* ties at the edges of equal masses may go either way, in both */
        assert_true(fabs(q.ece_mass10.value - x.ece_mass) < (exact ? 1e-12 : 0.01));
    }
    free(in->positives);
    free(in);
    free(v);
}

TEST(quality_agrees_with_brute_force_on_random_streams)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int round = 0; round < 12; round++) {
        for (int kind = 0; kind < 5; kind++) {
            size_t n = 20 + rng_below(&r, 600);
            check_stream(&r, kind, n, true, 0);
            check_stream(&r, kind, n, false, 0);
            check_stream(&r, kind, n, false, MODEL_COARSE);
        }
    }
}

TEST(quality_counts_money_and_figures_by_hand)
{
    /* tp 2, fp 1, fn 1, tn 4. */
    struct event v[] = {{0.9, true, true, 100},    {0.8, true, true, 250},  {0.7, false, true, 40},
                        {0.2, true, false, 7},     {0.1, false, false, 1},  {0.05, false, false, 1},
                        {0.02, false, false, 100}, {0.01, false, false, 12}};
    struct model_quality_in *in = calloc(1, sizeof *in);
    struct model_quality q;
    fill(in, v, ARRAY_LEN(v), true, 0);
    model_quality_compute(in, &q);
    assert_int_equal(q.n, 8);
    assert_int_equal(q.tp, 2);
    assert_int_equal(q.fp, 1);
    assert_int_equal(q.fn, 1);
    assert_int_equal(q.tn, 4);
    assert_int_equal(q.unverified, 1);
    assert_true(q.amount_caught == 350 && q.amount_missed == 7 && q.amount_false_alarm == 40);
    assert_true(fabs(q.precision.value - 2.0 / 3) < 1e-15);
    assert_true(fabs(q.precision_ceiling - 1) < 1e-15);
    assert_true(fabs(q.recall.value - 2.0 / 3) < 1e-15);
    assert_true(fabs(q.specificity.value - 0.8) < 1e-15);
    assert_true(fabs(q.f1.value - 2.0 / 3) < 1e-15);
    assert_true(fabs(q.f2.value - 2.0 / 3) < 1e-15);
    assert_true(fabs(q.mcc.value - (2.0 * 4 - 1) / 15) < 1e-12);
    assert_true(fabs(q.balanced_accuracy.value - (2.0 / 3 + 0.8) / 2) < 1e-15);
    assert_true(fabs(q.roc_auc.value - 14.0 / 15) < 1e-12);
    assert_true(fabs(q.average_precision.value - (1 + 1 + 0.75) / 3) < 1e-12);
    free(in->positives);
    free(in);
}

/* All positives first: average precision is 1, which has no logit. */
TEST(quality_perfect_ranking_has_an_interval)
{
    struct event v[40];
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = (struct event){0.9 - 0.02 * (double)i, i < 2, false, 1};
    }
    struct model_quality_in *in = calloc(1, sizeof *in);
    struct model_quality q;
    fill(in, v, ARRAY_LEN(v), true, 0);
    model_quality_compute(in, &q);
    assert_true(q.average_precision.value >= 1 && q.average_precision.hi >= 1);
    assert_true(q.average_precision.lo > 0.01 && q.average_precision.lo < 0.9);
    free(in->positives);
    free(in);
}

TEST(quality_is_undefined_rather_than_zero)
{
    struct model_quality_in *in = calloc(1, sizeof *in);
    struct model_quality q;
    model_quality_compute(in, &q);
    assert_int_equal(q.n, 0);
    assert_true(isnan(q.precision.value) && isnan(q.recall.value) && isnan(q.f1.value));
    assert_true(isnan(q.mcc.value) && isnan(q.roc_auc.value) && isnan(q.auc_lo));
    assert_true(isnan(q.brier.value) && isnan(q.ece_mass10.value) && isnan(q.precision_ceiling));
    in->positives = &(struct model_positive){0.5, 1, true};
    in->positives_count = 1; /* a label of a decision that no cohort has */
    model_quality_compute(in, &q);
    assert_true(q.damaged);
    assert_true(isnan(q.precision.value));
    free(in);
}

TEST(quality_wilson_matches_published_values)
{
    struct model_figure f;
    model_wilson(180, 300, &f);
    assert_true(fabs(f.hi - 0.6538) < 5e-5); /* domain.md 5.3 */
    model_wilson(6, 12, &f);
    assert_true(fabs(f.hi - 0.7462) < 5e-5);
    model_wilson(0, 10, &f);
    assert_true(f.lo == 0 && f.hi > 0.2);
    model_wilson(10, 10, &f);
    assert_true(f.hi == 1 && f.lo < 0.8);
}

/* Decisions without a score count in verdicts and confusion, not in figures of scores. */
TEST(quality_leaves_decisions_without_score_out_of_their_figures)
{
    struct event v[] = {{0.9, true, true, 100},        {0.7, false, true, 40},
                        {0.2, true, false, 7},         {0.1, false, false, 1},
                        {(double)NAN, true, false, 5}, {(double)NAN, false, false, 6},
                        {(double)NAN, true, true, 9}};
    for (int exact = 0; exact < 2; exact++) {
        struct model_quality_in *in = calloc(1, sizeof *in);
        struct model_quality all;
        struct model_quality scored;
        fill(in, v, ARRAY_LEN(v), exact == 1, 0);
        model_quality_compute(in, &all);
        free(in->positives);
        fill(in, v, 4, exact == 1, 0);
        model_quality_compute(in, &scored);
        assert_true(all.n == 7 && all.n_scored == 4 && scored.n == 4 && scored.n_scored == 4);
        assert_true(all.tp == 2 && all.fp == 1 && all.fn == 2 && all.tn == 2);
        assert_true(all.amount_caught == 109 && all.amount_missed == 12);
        assert_true(fabs(all.roc_auc.value - scored.roc_auc.value) < 1e-15);
        assert_true(fabs(all.roc_auc.lo - scored.roc_auc.lo) < 1e-15);
        assert_true(fabs(all.average_precision.value - scored.average_precision.value) < 1e-15);
        assert_true(fabs(all.brier.value - scored.brier.value) < 1e-15);
        assert_true(fabs(all.log_loss.value - scored.log_loss.value) < 1e-15);
        assert_true(fabs(all.ece_width10.value - scored.ece_width10.value) < 1e-15);
        assert_true(fabs(all.ece_mass10.value - scored.ece_mass10.value) < 1e-15);
        free(in->positives);
        fill(in, v + 4, 3, exact == 1, 0);
        model_quality_compute(in, &all);
        assert_true(all.n == 3 && all.n_scored == 0 && all.tp == 1 && all.fn == 1);
        assert_true(isnan(all.roc_auc.value) && isnan(all.brier.value) && isnan(all.ap_lo));
        assert_true(isnan(all.ece_width10.value) && isnan(all.log_loss.value));
        free(in->positives);
        free(in);
    }
}

static void check_cells(uint32_t coarse, uint32_t end)
{
    uint32_t last = 0;
    for (int i = 0; i <= 100000; i++) {
        uint32_t c = model_score_cell(i / 100000.0, coarse);
        assert_true(c >= last);
        assert_true(c < end);
        last = c;
    }
    for (int t = 1; t < 10; t++) {
        assert_true(model_score_cell(t / 10.0, coarse) > model_score_cell(t / 10.0 - 1e-9, coarse));
    }
    assert_int_equal(model_score_cell(0, coarse), 0);
    assert_int_equal(model_score_cell(1e-300, coarse), 1);
    assert_int_equal(model_score_cell(1, coarse), end - 1);
    assert_int_equal(model_score_cell(1 - 1e-16, coarse), end - 2);
    for (uint32_t c = 0; c < end; c++) {
        double lo = 0;
        double hi = 0;
        model_cell_bounds(c, coarse, &lo, &hi);
        if (isfinite(lo) && isfinite(hi) && lo < hi) {
            double mid = (lo + hi) / 2;
            assert_int_equal(model_score_cell(1 / (1 + exp(-mid)), coarse), c);
        }
    }
}

TEST(quality_score_cells_are_monotone_with_tenths_as_edges)
{
    check_cells(0, MODEL_CELLS);
    check_cells(MODEL_COARSE, MODEL_COARSE_CELLS);
    /* Scores rounded to three decimals have a cell each, so that ties stay ties. */
    for (int i = 1; i < 1000; i++) {
        assert_true(model_score_cell(i / 1000.0, 0) > model_score_cell((i - 1) / 1000.0, 0));
    }
    struct model_event ev;
    for (int i = 0; i <= 1000; i++) {
        model_event_of(i / 1000.0, VERDICT_APPROVE, 0, &ev);
        assert_int_equal(ev.cell, model_score_cell(i / 1000.0, 0));
        assert_int_equal(ev.cell_coarse, model_score_cell(i / 1000.0, MODEL_COARSE));
    }
}
