/* page_hinkley, ddm, eddm and hddm_* against reference implementations that follow the papers with
 * all past events at hand: no running sums, no merged statistics, no shortcuts. */
#include "engines/detect/detect.h"

#include "base/test.h"
#include "engines/detect/peers_testing_int.h"

#include <math.h>

/* page_hinkley with alpha = 1 is the largest sum of x - mean - delta over the last events: found
 * here by looking at every start. */
TEST(page_hinkley_is_the_largest_sum_over_all_starts)
{
    static double x[EVENTS];
    static double step[2][EVENTS + 1];
    static struct answers a, b;
    for (int form = 0; form < 2; form++) {
        struct detect_config c = detect_config_of(DETECT_PAGE_HINKLEY);
        c.u.ph.alpha = 1;
        c.u.ph.threshold = 25;
        c.u.ph.delta = 0.1;
        c.u.ph.side = DETECT_BOTH;
        c.u.ph.form = (enum detect_ph_form)form;
        values(x, 3);
        run(&c, x, &a);
        int from = 0;
        for (int i = 0; i < EVENTS; i++) {
            b.verdict[i] = DETECT_CALM;
            b.onset[i] = 0;
            double mean = mean_of(x + from, i + 1 - from);
            step[0][i] = x[i] - mean - 0.1;
            step[1][i] = mean - x[i] - 0.1;
            double most = 0;
            for (int side = 0; side < 2; side++) {
                double sum = 0;
                for (int k = i; k >= from; k--) {
                    sum += step[side][k];
                    /* The clamped form may start at the first event, the other only after it. */
                    if (sum > most && (form == DETECT_PH_CLAMPED || k > from)) {
                        most = sum;
                        b.onset[i] = (uint64_t)k + 1;
                    }
                }
            }
            if (most >= 25 && i + 1 - from >= 30) {
                b.verdict[i] = DETECT_ALARM;
                from = i + 1;
            } else {
                b.onset[i] = 0;
            }
        }
        assert_answers(&a, &b, 2);
    }
}

/* With alpha < 1 the clamped sum of a constant step s settles at s / (1 - alpha). */
TEST(page_hinkley_forgets_by_alpha)
{
    struct mem m;
    struct err e = {0};
    mem_init(&m, 0);
    for (int above = 0; above < 2; above++) {
        struct detect_config c = detect_config_of(DETECT_PAGE_HINKLEY);
        struct detect *d;
        c.u.ph.alpha = 0.9;
        c.u.ph.delta = 0;
        c.u.ph.threshold = above ? 10.1 : 9.8;
        assert_true(detect_new(&c, &m, &d, &e));
        bool alarm = false;
        for (int i = 0; i < 100000; i++) {
            detect_update(d, 0);
        }
        for (int i = 0; i < 100; i++) { /* the mean moves by 1/1000 only */
            alarm = alarm || detect_update(d, 1) == DETECT_ALARM;
        }
        assert_true(alarm == (above == 0));
        detect_free(d);
    }
}

TEST(ddm_compares_with_the_lowest_rate_and_deviation)
{
    static double x[EVENTS];
    static struct answers a, b;
    struct detect_config c = detect_config_of(DETECT_DDM);
    bits(x, 4);
    run(&c, x, &a);
    int from = 0;
    uint64_t entered = 0;
    for (int i = 0; i < EVENTS; i++) {
        double best = 1e9;
        double p_min = 0;
        double s_min = 0;
        double now = 0;
        for (int k = from + 30; k <= i; k++) { /* min_events are passed */
            double n = k + 1 - from;
            double p = mean_of(x + from, k + 1 - from);
            double s = sqrt(p * (1 - p) / n);
            now = p + s;
            if (now <= best) {
                best = now;
                p_min = p;
                s_min = s;
            }
        }
        b.verdict[i] = now > p_min + 3 * s_min   ? DETECT_ALARM
                       : now > p_min + 2 * s_min ? DETECT_WARNING
                                                 : DETECT_CALM;
        entered = b.verdict[i] == DETECT_CALM ? 0 : entered > 0 ? entered : (uint64_t)i + 1;
        b.onset[i] = entered;
        if (b.verdict[i] == DETECT_ALARM) {
            from = i + 1;
            entered = 0;
        }
        if (i - from > 1200) {
            break; /* the reference is quadratic */
        }
    }
    assert_true(from > 900 && from < 1100);
    for (int i = 0; i < from; i++) {
        assert_int_equal(a.verdict[i], b.verdict[i]);
        assert_int_equal(a.onset[i], b.onset[i]);
    }
}

/* The level m + 2 s of the distances between the errors of x[from..i]. */
static double distance_level(const double *x, int from, int i, int *errors)
{
    double gap[EVENTS];
    int n = 0;
    int last = from - 1;
    for (int k = from; k <= i; k++) {
        if (x[k] == 1) {
            gap[n++] = k - last;
            last = k;
        }
    }
    double mean = mean_of(gap, n);
    double square = 0;
    for (int k = 0; k < n; k++) {
        square += (gap[k] - mean) * (gap[k] - mean);
    }
    *errors = n;
    return mean + (n > 1 ? 2 * sqrt(square / (n - 1)) : 0);
}

TEST(eddm_compares_with_the_longest_distances)
{
    static double x[EVENTS];
    static struct answers a, b;
    struct detect_config c = detect_config_of(DETECT_EDDM);
    bits(x, 5);
    run(&c, x, &a);
    int from = 0;
    double best = -1;
    uint64_t entered = 0;
    for (int i = 0; i < EVENTS; i++) {
        double share = entered > 0 ? 0.92 : 1; /* between errors the zone stays */
        if (x[i] == 1) {
            int errors;
            double level = distance_level(x, from, i, &errors);
            share = 1;
            if (i + 1 - from > 30) {
                share = level > best || errors <= 30 ? 1 : level / best;
                best = fmax(best, level);
            }
        }
        b.verdict[i] = share < 0.9 ? DETECT_ALARM : share < 0.95 ? DETECT_WARNING : DETECT_CALM;
        entered = b.verdict[i] == DETECT_CALM ? 0 : entered > 0 ? entered : (uint64_t)i + 1;
        b.onset[i] = entered;
        if (b.verdict[i] == DETECT_ALARM) {
            from = i + 1;
            best = -1;
            entered = 0;
        }
    }
    assert_answers(&a, &b, 1);
}

/* hddm_a: the cut is looked for among all past moments. sign: -1 for decreases. */
static double a_test(const double *x, int n, double sign, double log_cut, int *cut)
{
    double best = 1e9;
    double sum = 0;
    double cut_mean = 0;
    for (int k = 1; k <= n; k++) {
        sum += x[k - 1];
        double top = sign * sum / k + sqrt(log_cut / (2.0 * k));
        if (top <= best) {
            best = top;
            *cut = k;
            cut_mean = sum / k;
        }
    }
    return *cut == n ? 0 : sign * (sum / n - cut_mean);
}

TEST(hddm_a_cuts_at_the_best_past_moment)
{
    static double x[EVENTS];
    static struct answers a, b;
    struct detect_config c = detect_config_of(DETECT_HDDM_A);
    c.u.hddm.two_sided = true;
    bits(x, 6);
    run(&c, x, &a);
    int from = 0;
    for (int i = 0; i < EVENTS; i++) {
        int n = i + 1 - from;
        b.verdict[i] = DETECT_CALM;
        b.onset[i] = 0;
        double strongest = 0;
        for (int side = 0; side < 2; side++) {
            int cut = 0;
            double by = a_test(x + from, n, side == 0 ? 1 : -1, log(1 / 0.001), &cut);
            double root = sqrt((n - cut) / (2.0 * n * cut));
            enum detect_verdict v = by <= 0                             ? DETECT_CALM
                                    : by >= root * sqrt(log(2 / 0.001)) ? DETECT_ALARM
                                    : by >= root * sqrt(log(2 / 0.005)) ? DETECT_WARNING
                                                                        : DETECT_CALM;
            if (v != DETECT_CALM && by / root > strongest) {
                strongest = by / root;
                b.verdict[i] = v;
                b.onset[i] = (uint64_t)(from + cut + 1);
            }
        }
        from = b.verdict[i] == DETECT_ALARM ? i + 1 : from;
    }
    assert_answers(&a, &b, 3);
}

/* A weighted mean of x[0..n) and the sum of its squared weights, from the weights themselves; as
 * published, that sum also has what is left of a weight of 1 before the first event. */
static double weighted(const double *x, int n, double lambda, double *squares)
{
    double mean = n > 0 ? pow(1 - lambda, n - 1) * x[0] : 0;
    *squares = pow(1 - lambda, 2 * n);
    for (int k = 0; k < n; k++) {
        double w = lambda * pow(1 - lambda, n - 1 - k);
        mean += k > 0 ? w * x[k] : 0;
        *squares += w * w;
    }
    return mean;
}

TEST(hddm_w_compares_weighted_means_around_the_best_past_moment)
{
    static double x[EVENTS];
    static struct answers a, b;
    struct detect_config c = detect_config_of(DETECT_HDDM_W);
    const double log_alarm = log(1 / 0.001);
    bits(x, 7);
    run(&c, x, &a);
    int from = 0;
    int cut = 0;
    double best = 1e9;
    for (int i = 0; i < EVENTS; i++) {
        double squares;
        double mean = weighted(x + from, i + 1 - from, 0.05, &squares);
        double top = mean + sqrt(squares * log_alarm / 2);
        b.verdict[i] = DETECT_CALM;
        b.onset[i] = 0;
        if (top < best) {
            best = top;
            cut = i + 1;
            continue;
        }
        double squares_after;
        double before = weighted(x + from, cut - from, 0.05, &squares);
        double after = weighted(x + cut, i + 1 - cut, 0.05, &squares_after);
        double bound = sqrt((squares + squares_after) / 2);
        if (after - before > bound * sqrt(log(1 / 0.005))) {
            bool alarm = after - before > bound * sqrt(log_alarm);
            b.verdict[i] = alarm ? DETECT_ALARM : DETECT_WARNING;
            b.onset[i] = (uint64_t)cut + 1;
            if (alarm) {
                from = i + 1;
                cut = from;
                best = 1e9;
            }
        }
    }
    assert_answers(&a, &b, 2);
}

/* Decreases are increases of 1 - x. */
TEST(hddm_looks_both_ways_alike)
{
    static double x[EVENTS];
    static struct answers a, b;
    for (unsigned k = DETECT_HDDM_A; k <= DETECT_HDDM_W; k++) {
        struct detect_config c = detect_config_of(k);
        c.u.hddm.two_sided = true;
        bits(x, 8);
        run(&c, x, &a);
        for (int i = 0; i < EVENTS; i++) {
            x[i] = 1 - x[i];
        }
        run(&c, x, &b);
        assert_answers(&a, &b, 3);
    }
}
