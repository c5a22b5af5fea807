/* The e-detectors against their definition: sums over every start time of products of bets, with
 * the bets derived here from what the header promises; and the property that everything rests on,
 * that the expected evidence after one more event is one more, from any state. */
#include "engines/detect/detect.h"

#include "base/rng.h"
#include "base/test.h"
#include "engines/detect/detect_int.h"

#include <math.h>

static struct detect *made(const struct detect_config *c, struct mem *m)
{
    struct err e = {0};
    struct detect *d = NULL;
    if (!detect_new(c, m, &d, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return d;
}

static struct detect_config bernoulli(double p_lo, double p_hi, enum detect_side side, double arl)
{
    struct detect_config c = detect_config_of(DETECT_SR_BERNOULLI);
    c.u.bernoulli.p_lo = p_lo;
    c.u.bernoulli.p_hi = p_hi;
    c.u.bernoulli.side = side;
    c.u.bernoulli.arl_events = arl;
    c.u.bernoulli.warn_events = arl / 10;
    return c;
}

static struct detect_config bounded(double mean_lo, double mean_hi, double arl)
{
    struct detect_config c = detect_config_of(DETECT_SR_BOUNDED);
    c.u.bounded.lo = 10;
    c.u.bounded.hi = 30;
    c.u.bounded.mean_lo = mean_lo;
    c.u.bounded.mean_hi = mean_hi;
    c.u.bounded.arl_events = arl;
    c.u.bounded.warn_events = arl / 10;
    return c;
}

static struct detect_config cells(uint32_t n, uint32_t ordered, double slack, double arl)
{
    struct detect_config c = detect_config_of(DETECT_SR_CELLS);
    c.u.cells.cells = n;
    c.u.cells.ordered = ordered;
    c.u.cells.mass_slack = slack;
    c.u.cells.arl_events = arl;
    c.u.cells.warn_events = arl / 10;
    for (uint32_t i = 0; i < n; i++) {
        c.u.cells.mass[i] = i < ordered ? 10 + i % 3 : 3 + i % 2;
    }
    return c;
}

static double evidence(const struct detect *d)
{
    return exp(detect_status(d).log_evidence);
}

/* One bet: weight, and what it pays on x. */
struct bet {
    double w, lambda, centre;
};

/* Sum over bets of w times the sum over start times of the product since; the mean age too. */
static double definition(const struct bet *bets, int n, const double *y, int events, double *age)
{
    double sum = 0;
    double aged = 0;
    for (int k = 0; k < n; k++) {
        double product = 1;
        for (int j = events - 1; j >= 0; j--) {
            product *= 1 + bets[k].lambda * (y[j] - bets[k].centre);
            sum += bets[k].w * product;
            aged += bets[k].w * product * (events - j);
        }
    }
    *age = aged / sum;
    return sum;
}

static void assert_is_definition(const struct detect_config *c, const struct bet *bets, int n,
                                 double (*draw)(struct rng *), double offset, double scale)
{
    static double y[1500];
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, 1);
    struct detect *d = made(c, &m);
    int from = 0;
    int alarms = 0;
    for (int i = 0; i < 1500; i++) {
        double x = draw(&r);
        double age;
        y[i] = (x - offset) * scale;
        enum detect_verdict v = detect_update(d, x);
        double want = definition(bets, n, y + from, i + 1 - from, &age);
        struct detect_status s = detect_status(d);
        assert_true(fabs(s.log_evidence - log(want)) < 1e-9);
        assert_int_equal(v, want >= 1e4   ? DETECT_ALARM
                            : want >= 1e3 ? DETECT_WARNING
                                          : DETECT_CALM);
        double onset = v == DETECT_CALM ? 0 : i + 2 - age;
        assert_true(fabs((double)s.onset_event - onset) < 0.5 + 1e-6 || s.onset_event == 1);
        if (v == DETECT_ALARM) {
            alarms++;
            from = i + 1;
        }
    }
    assert_true(alarms > 2);
    detect_free(d);
}

static double draw_bit(struct rng *r)
{
    return rng_f64(r) < 0.35;
}

static double draw_low_bit(struct rng *r)
{
    return rng_f64(r) < 0.02;
}

static double draw_high(struct rng *r)
{
    return 10 + 20 * sqrt(rng_f64(r));
}

/* The odds of the grid, and their weights, are the method's own (sr.c); what a bet with given odds
 * pays is the likelihood ratio. */
TEST(sr_bernoulli_is_the_sum_over_start_times_of_likelihood_ratios)
{
    static const double odds[4] = {1.25, 1.6, 2.3, 4.5};
    static const double weight[4] = {0.15, 0.3, 0.35, 0.2};
    struct bet bets[8];
    for (int i = 0; i < 8; i++) {
        double p = i < 4 ? 0.22 : 0.18;
        double r = i < 4 ? odds[i] : 1 / odds[i - 4];
        double q = r * p / (1 - p + r * p);
        bets[i] = (struct bet){weight[i % 4] / 2, q / p - (1 - q) / (1 - p), p};
    }
    struct detect_config c = bernoulli(0.18, 0.22, DETECT_BOTH, 1e4);
    assert_is_definition(&c, bets, 8, draw_bit, 0, 1);
    assert_is_definition(&c, bets, 8, draw_low_bit, 0, 1);
    c.u.bernoulli.side = DETECT_UP;
    for (int i = 0; i < 4; i++) {
        bets[i].w *= 2;
    }
    assert_is_definition(&c, bets, 4, draw_bit, 0, 1);
}

TEST(sr_bounded_is_the_sum_over_start_times_of_bets_on_the_mean)
{
    struct bet bets[16];
    for (int i = 0; i < 8; i++) {
        bets[i] = (struct bet){1.0 / 16, 0.9 / 0.5 * pow(0.5, i), 0.5};
        bets[i + 8] = (struct bet){1.0 / 16, -0.9 / 0.6 * pow(0.5, i), 0.4};
    }
    struct detect_config c = bounded(18, 20, 1e4);
    assert_is_definition(&c, bets, 16, draw_high, 10, 1.0 / 20);
}

static struct detect *copy(const struct detect *d, struct mem *m)
{
    struct buf b;
    struct err e = {0};
    struct detect *out = NULL;
    buf_init(&b, m, 1 << 20);
    detect_save(d, &b);
    assert_true(detect_load(buf_str(&b), m, &out, &e));
    buf_release(&b);
    return out;
}

/* What the evidence becomes on average over the law mass[0..n) of values at[0..n). */
static double expected(const struct detect *d, struct mem *m, const double *mass, const double *at,
                       uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct detect *c = copy(d, m);
        detect_update(c, at[i]);
        sum += mass[i] * evidence(c);
        detect_free(c);
    }
    return sum;
}

/* E[R_{n+1} | past] = R_n + 1 under the reference, after any past, also one that is not of the
 * reference: then ARL >= A whatever the bets are. */
TEST(sr_cells_bets_are_fair_from_any_state)
{
    static const struct {
        uint32_t n, ordered;
    } of[] = {{9, 9}, {10, 7}, {5, 0}, {2, 2}, {3, 1}, {128, 120}};
    struct mem m;
    mem_init(&m, 0);
    for (size_t t = 0; t < ARRAY_LEN(of); t++) {
        struct detect_config c = cells(of[t].n, of[t].ordered, 0, 1e12);
        struct detect *d = made(&c, &m);
        double at[DETECT_CELLS_MAX];
        double mass[DETECT_CELLS_MAX];
        double all = 0;
        for (uint32_t i = 0; i < of[t].n; i++) {
            at[i] = i;
            all += c.u.cells.mass[i];
        }
        for (uint32_t i = 0; i < of[t].n; i++) {
            mass[i] = c.u.cells.mass[i] / all;
        }
        struct rng r;
        rng_init(&r, t);
        double before = 0;
        for (int i = 0; i < 130; i++) {
            if (i < 3 || i % 16 == 15 || i % 16 == 0 || i == 129) { /* the learnt bets change */
                double now = expected(d, &m, mass, at, of[t].n);
                assert_true(fabs(now - (before + 1)) < 1e-9 * (before + 1));
            }
            double x = (double)rng_below(&r, (of[t].n + 1) / 2); /* the lower half only */
            before = detect_update(d, x) == DETECT_ALARM ? 0 : evidence(d);
        }
        detect_free(d);
    }
    assert_int_equal(m.bytes, 0);
}

/* With a slack no law inside it is better than fair; at the edge the slack is not wasted either. */
TEST(sr_references_with_a_slack_are_fair_over_the_whole_of_it)
{
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, 9);
    struct detect_config c = cells(8, 6, 0.1, 1e12);
    struct detect *d = made(&c, &m);
    double at[8];
    double all = 0;
    for (int i = 0; i < 8; i++) {
        at[i] = i;
        all += c.u.cells.mass[i];
    }
    for (int i = 0; i < 100; i++) {
        detect_update(d, (double)rng_below(&r, 3));
    }
    double most = 0;
    for (int t = 0; t < 256; t++) { /* each mass up or down by the slack, balanced */
        double mass[8];
        double up = 0;
        double down = 0;
        for (int i = 0; i < 8; i++) {
            mass[i] = c.u.cells.mass[i] / all;
            *((t >> i & 1) != 0 ? &up : &down) += mass[i];
        }
        for (int i = 0; i < 8 && up > 0 && down > 0; i++) {
            bool rises = (t >> i & 1) != 0;
            mass[i] *= 1 + 0.1 * fmin(up, down) / (rises ? up : -down);
        }
        double now = expected(d, &m, mass, at, 8) / (evidence(d) + 1);
        assert_true(now <= 1 + 1e-9);
        most = fmax(most, now);
    }
    assert_true(most > 0.9);
    detect_free(d);
    c = bernoulli(0.1, 0.14, DETECT_BOTH, 1e12);
    d = made(&c, &m);
    for (int i = 0; i < 200; i++) {
        detect_update(d, i % 7 == 0);
        for (int k = 0; k <= 4; k++) {
            double p[2] = {0.9 - 0.01 * k, 0.1 + 0.01 * k};
            double bit[2] = {0, 1};
            assert_true(expected(d, &m, p, bit, 2) <= (evidence(d) + 1) * (1 + 1e-9));
        }
    }
    detect_free(d);
    assert_int_equal(m.bytes, 0);
}

/* Mean run length of a detector over `runs` runs. */
static double run_length(const struct detect_config *c, uint64_t seed, int runs)
{
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, seed);
    struct detect *d = made(c, &m);
    while (detect_status(d).alarms < (uint64_t)runs) {
        double x = rng_f64(&r);
        if (c->kind == DETECT_SR_BERNOULLI) {
            x = x < 0.1;
        } else if (c->kind == DETECT_SR_BOUNDED) {
            x = 10 + 20 * x * x; /* mean 16.67 */
        } else {
            x = floor(x * 16);
        }
        detect_update(d, x);
    }
    double mean = (double)detect_status(d).events / runs;
    detect_free(d);
    return mean;
}

TEST(sr_mean_run_lengths_are_at_least_as_asked_and_not_far_above)
{
    struct detect_config c = bernoulli(0.1, 0.1, DETECT_BOTH, 1000);
    double bits = run_length(&c, 1, 800);
    assert_true(bits >= 1000 && bits < 1600);
    c.u.bernoulli.side = DETECT_DOWN;
    bits = run_length(&c, 2, 800);
    assert_true(bits >= 1000 && bits < 1600);
    c = bounded(50.0 / 3, 50.0 / 3, 1000);
    double values = run_length(&c, 3, 800);
    assert_true(values >= 1000 && values < 2000);
    c = cells(16, 16, 0, 1000);
    for (int i = 0; i < 16; i++) {
        c.u.cells.mass[i] = 1;
    }
    double shapes = run_length(&c, 4, 800);
    assert_true(shapes >= 1000 && shapes < 2000);
}

/* Onset and delay over 200 streams that change at event 3,001. */
static void assert_onsets(const struct detect_config *c, int within, int late)
{
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, 21);
    int near = 0;
    int streams = 0;
    while (streams < 200) {
        struct detect *d = made(c, &m);
        int i = 0;
        bool early = false;
        enum detect_verdict v = DETECT_CALM;
        for (; v != DETECT_ALARM && i < 5000; i++) {
            double u = rng_f64(&r);
            double x = i < 3000 ? u < 0.1 : u < 0.25;
            if (c->kind == DETECT_SR_CELLS) {
                x = floor((i < 3000 ? u : u < 0.5 ? u * 0.6 : 1 - (1 - u) * 0.6) * 16);
            }
            v = detect_update(d, x);
            early = early || (v == DETECT_ALARM && i < 3000);
        }
        if (!early) {
            assert_int_equal(v, DETECT_ALARM);
            int off = (int)detect_status(d).onset_event - 3001;
            near += off >= -within && off <= within;
            assert_true(i - 3000 <= late);
            streams++;
        }
        detect_free(d);
    }
    assert_true(near >= 180);
}

TEST(sr_onsets_are_near_the_change)
{
    struct detect_config c = bernoulli(0.1, 0.1, DETECT_BOTH, 50000);
    assert_onsets(&c, 150, 500);
    c = cells(16, 16, 0, 50000);
    for (int i = 0; i < 16; i++) {
        c.u.cells.mass[i] = 1;
    }
    assert_onsets(&c, 40, 500);
}

/* A new value without order (null, an unknown category) is found although no shape changes. */
TEST(sr_cells_finds_a_share_that_was_never_seen)
{
    struct mem m;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, 2);
    struct detect_config c = cells(11, 10, 0, 50000);
    for (int i = 0; i < 11; i++) {
        c.u.cells.mass[i] = i < 10;
    }
    struct detect *d = made(&c, &m);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(detect_update(d, (double)rng_below(&r, 10)), DETECT_CALM);
    }
    int seen = 0;
    for (enum detect_verdict v = DETECT_CALM; v != DETECT_ALARM; seen++) {
        assert_true(seen < 8);
        v = detect_update(d, 10);
        assert_true(v == DETECT_ALARM || detect_update(d, seen % 10) != DETECT_ALARM);
    }
    detect_free(d);
    assert_int_equal(m.bytes, 0);
}

/* Saved bets that pay more than they may are refused: one would break the promise on alarms. */
TEST(sr_cells_load_refuses_unfair_bets)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 20);
    struct detect_config c = cells(4, 0, 0, 50000);
    struct detect *d = made(&c, &m);
    detect_update(d, 1);
    detect_save(d, &b);
    detect_free(d);
    /* The last 8 numbers are count and bet of the second horizon, 4 groups each. */
    double bet;
    char *last = b.p + b.n - 8;
    memcpy(&bet, last, sizeof bet);
    assert_true(bet == 1);
    assert_true(detect_load(buf_str(&b), &m, &d, NULL));
    detect_free(d);
    bet = 1.001;
    memcpy(last, &bet, sizeof bet);
    assert_false(detect_load(buf_str(&b), &m, &d, NULL));
    bet = 0.999;
    memcpy(last, &bet, sizeof bet);
    assert_true(detect_load(buf_str(&b), &m, &d, NULL));
    detect_free(d);
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

/* An age beyond the run, or evidence past the threshold that gave no alarm. */
TEST(sr_load_refuses_sums_that_no_run_leaves)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 20);
    struct detect_config c = bernoulli(0.1, 0.1, DETECT_UP, 50000);
    struct detect *d = made(&c, &m);
    for (int i = 0; i < 20; i++) {
        detect_update(d, i % 8 == 0);
    }
    detect_save(d, &b);
    detect_free(d);
    double s[8]; /* S of four components, V of four */
    char *at = b.p + b.n - sizeof s;
    static const struct {
        int field;
        double by;
    } bad[] = {{0, 1e6}, {3, -1}, {4, 1000}, {7, 0.001}, {5, (double)INFINITY}, {2, (double)NAN}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memcpy(s, at, sizeof s);
        double was = s[bad[i].field];
        s[bad[i].field] *= bad[i].by;
        memcpy(at, s, sizeof s);
        assert_false(detect_load(buf_str(&b), &m, &d, NULL));
        s[bad[i].field] = was;
        memcpy(at, s, sizeof s);
    }
    assert_true(detect_load(buf_str(&b), &m, &d, NULL));
    detect_free(d);
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}
