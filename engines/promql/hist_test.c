/* Arithmetic on native histograms: values known from Prometheus' documentation and tests,
 * invariants on random histograms, and memory running out at every allocation. */
#include "engines/promql/hist_int.h"

#include "base/rng.h"
#include "base/test.h"
#include "engines/promql/hist_side_int.h"
#include "engines/promql/hist_test_int.h"

#include <math.h>

#define D(...)                                                                 \
    (sizeof((const double[]){__VA_ARGS__}) / sizeof(double)), (const double[]) \
    {                                                                          \
        __VA_ARGS__                                                            \
    }

struct world {
    struct mem mem;
    struct arena a;
    unsigned trouble;
};

static void begin(struct world *w)
{
    *w = (struct world){0};
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, HIST_TEST_BYTES);
}

static void end(struct world *w)
{
    arena_release(&w->a);
    assert_int_equal(w->mem.bytes, 0);
}

static void assert_print(const struct nhist *h, const char *text)
{
    assert_non_null(h);
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 1U << 20);
    hist_print(h, &b);
    assert_str(buf_str(&b), str_from_c(text));
    buf_release(&b);
}

TEST(hist_bounds_are_powers_and_the_last_is_the_largest_double)
{
    assert_true(hist_bound(0, 0) == 1);
    assert_true(hist_bound(1, 0) == 2);
    assert_true(hist_bound(-1, 0) == 0.5);
    assert_true(hist_bound(3, -1) == 64);
    assert_true(hist_bound(1, 8) > 1);
    assert_true(hist_test_near(hist_bound(1, 1), sqrt(2)));
    assert_true(hist_bound(1024, 0) == DBL_MAX);
    assert_true(isinf(hist_bound(1025, 0)));
    assert_true(hist_bound(64, -4) == DBL_MAX);
    assert_true(hist_bound(1024 * 256, 8) == DBL_MAX);
    for (int32_t schema = NHIST_SCHEMA_MIN; schema <= NHIST_SCHEMA_MAX; schema++) {
        for (int32_t i = -600; i < 600; i++) {
            const double lower = hist_bound(i, schema);
            const double upper = hist_bound(i + 1, schema);
            assert_true(lower < upper || lower == 0 || isinf(lower) || lower == DBL_MAX);
            if (schema < NHIST_SCHEMA_MAX && upper < 1e300) {
                assert_true(upper == hist_bound(2 * (i + 1), schema + 1));
            }
        }
    }
}

TEST(hist_add_of_one_layout_adds_bucket_by_bucket)
{
    struct world w;
    begin(&w);
    const struct nhist *a = hist_test_exp(&w.a, 0, 5, 0, D(1, 2, 1));
    const struct nhist *b = hist_test_exp(&w.a, 0, 6, 0, D(4, 0, 1));
    assert_print(hist_add(a, b, &w.a, &w.trouble),
                 "{count:9, sum:11, (0.5,1]:5, (1,2]:2, (2,4]:2}");
    assert_print(hist_sub(a, b, &w.a, &w.trouble), "{count:-1, sum:-1, (0.5,1]:-3, (1,2]:2}");
    assert_int_equal(w.trouble, HIST_OK);
    end(&w);
}

TEST(hist_add_inserts_missing_buckets_in_order)
{
    struct world w;
    begin(&w);
    struct nhist *a = hist_test_exp(&w.a, 0, 0, 3, D(1));
    struct nhist *b = hist_test_exp(&w.a, 0, 0, -2, D(1, 0, 0, 2));
    hist_test_side(&b->neg, &w.a, 1, D(7));
    struct nhist *sum = hist_add(a, b, &w.a, &w.trouble);
    assert_print(sum, "{count:4, sum:0, [-2,-1):7, (0.125,0.25]:1, (1,2]:2, (4,8]:1}");
    assert_int_equal(sum->pos.counts_n, 5); /* the empty ones of b stay explicit */
    assert_int_equal(hist_compact(sum, &w.a)->pos.counts_n, 3);
    assert_int_equal(hist_compact(sum, &w.a)->pos.spans_n, 3);
    end(&w);
}

TEST(hist_add_goes_to_the_coarser_schema)
{
    struct world w;
    begin(&w);
    const struct nhist *fine = hist_test_exp(&w.a, 1, 0, 1, D(1, 2, 3, 4));
    const struct nhist *coarse = hist_test_exp(&w.a, 0, 0, 1, D(10, 20));
    const char *want = "{count:40, sum:0, (1,2]:13, (2,4]:27}";
    assert_print(hist_add(fine, coarse, &w.a, &w.trouble), want);
    assert_print(hist_add(coarse, fine, &w.a, &w.trouble), want);
    assert_print(hist_to_schema(fine, 0, &w.a), "{count:10, sum:0, (1,2]:3, (2,4]:7}");
    assert_print(hist_to_schema(fine, -1, &w.a), "{count:10, sum:0, (1,4]:10}");
    end(&w);
}

TEST(hist_add_widens_the_zero_bucket_to_a_bound_that_cuts_nothing)
{
    struct world w;
    begin(&w);
    struct nhist *a = hist_test_exp(&w.a, 0, 0, 0, D(1, 2, 4)); /* (0.5,1] (1,2] (2,4] */
    struct nhist *b = hist_test_exp(&w.a, 0, 0, 2, D(5));
    b->zero_threshold = 1.5; /* inside (1,2], which is populated in a */
    b->zero_count = 3;
    b->count += 3;
    const char *want = "{count:15, sum:0, [-2,2]:6, (2,4]:9}";
    assert_print(hist_add(a, b, &w.a, &w.trouble), want);
    assert_print(hist_add(b, a, &w.a, &w.trouble), want);
    end(&w);
}

TEST(hist_add_of_other_custom_bounds_keeps_the_common_ones)
{
    struct world w;
    begin(&w);
    double ba[] = {1, 2, 5, 10};
    double bb[] = {1, 5, 20};
    const struct nhist *a = hist_test_custom(&w.a, 4, ba, 0, D(1, 2, 3, 4, 5));
    const struct nhist *b = hist_test_custom(&w.a, 3, bb, 0, D(10, 20, 30, 40));
    struct nhist *sum = hist_add(a, b, &w.a, &w.trouble);
    assert_print(sum, "{count:115, sum:0, [-Inf,1]:11, (1,5]:25, (5,+Inf]:79}");
    assert_int_equal(w.trouble, HIST_BOUNDS_RECONCILED);
    assert_int_equal(sum->custom_n, 2);
    end(&w);
}

TEST(hist_add_of_both_kinds_is_refused)
{
    struct world w;
    begin(&w);
    double bounds[] = {1};
    const struct nhist *a = hist_test_custom(&w.a, 1, bounds, 0, D(1));
    const struct nhist *b = hist_test_exp(&w.a, 0, 0, 0, D(1));
    assert_null(hist_add(a, b, &w.a, &w.trouble));
    assert_int_equal(w.trouble, HIST_INCOMPATIBLE_SCHEMA);
    w.trouble = 0;
    assert_null(hist_sub(b, a, &w.a, &w.trouble));
    assert_int_equal(w.trouble, HIST_INCOMPATIBLE_SCHEMA);
    end(&w);
}

TEST(hist_add_combines_reset_hints)
{
    static const struct {
        enum nhist_reset a, b, sum;
        bool conflict;
    } cases[] = {
        {NHIST_RESET, NHIST_RESET, NHIST_RESET, false},
        {NHIST_RESET, NHIST_NO_RESET, NHIST_UNKNOWN, true},
        {NHIST_NO_RESET, NHIST_UNKNOWN, NHIST_UNKNOWN, false},
        {NHIST_UNKNOWN, NHIST_GAUGE, NHIST_GAUGE, false},
        {NHIST_GAUGE, NHIST_RESET, NHIST_GAUGE, false},
    };
    struct world w;
    begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nhist *a = hist_test_exp(&w.a, 0, 0, 0, D(1));
        struct nhist *b = hist_test_exp(&w.a, 0, 0, 0, D(1));
        a->reset = cases[i].a;
        b->reset = cases[i].b;
        w.trouble = 0;
        assert_int_equal(hist_add(a, b, &w.a, &w.trouble)->reset, cases[i].sum);
        assert_int_equal(w.trouble, cases[i].conflict ? HIST_RESET_CONFLICT : HIST_OK);
        assert_int_equal(hist_add(b, a, &w.a, &w.trouble)->reset, cases[i].sum);
    }
    end(&w);
}

TEST(hist_kahan_keeps_what_plain_sums_lose)
{
    struct world w;
    begin(&w);
    const struct nhist *big = hist_test_exp(&w.a, 0, 1e16, 0, D(1e16));
    const struct nhist *one = hist_test_exp(&w.a, 0, 1, 0, D(1));
    const struct nhist *less = hist_test_exp(&w.a, 0, -1e16, 0, D(-1e16));
    struct nhist *comp = NULL;
    struct nhist *sum = hist_add_kahan(big, &comp, one, &w.a, &w.trouble);
    sum = hist_add_kahan(sum, &comp, one, &w.a, &w.trouble);
    sum = hist_add_kahan(sum, &comp, less, &w.a, &w.trouble);
    assert_print(hist_add(sum, comp, &w.a, &w.trouble), "{count:2, sum:2, (0.5,1]:2}");

    struct hist_acc acc;
    assert_true(hist_acc_init(&acc, big, true, &w.a));
    assert_true(hist_acc_add(&acc, one) && hist_acc_add(&acc, one) && hist_acc_add(&acc, less));
    assert_print(hist_acc_value(&acc), "{count:2, sum:2, (0.5,1]:2}");
    end(&w);
}

TEST(hist_mean_survives_an_overflowing_sum)
{
    struct world w;
    begin(&w);
    const struct nhist *huge = hist_test_exp(&w.a, 0, 1.5e308, 0, D(1.5e308));
    const struct nhist *half = hist_test_exp(&w.a, 0, 0.5e308, 0, D(0.5e308));
    struct hist_mean m;
    assert_true(hist_mean_init(&m, huge, &w.a));
    assert_true(hist_mean_add(&m, huge));
    assert_true(hist_mean_add(&m, half));
    assert_true(hist_mean_add(&m, half));
    const struct nhist *v = hist_mean_value(&m);
    assert_true(hist_test_near(v->count, 1e308));
    assert_true(hist_test_near(v->sum, 1e308));
    assert_true(hist_test_near(v->pos.counts[0], 1e308));

    assert_true(hist_mean_init(&m, hist_test_exp(&w.a, 0, 2, 0, D(1, 3)), &w.a));
    assert_true(hist_mean_add(&m, hist_test_exp(&w.a, 0, 4, 1, D(5))));
    assert_print(hist_mean_value(&m), "{count:4.5, sum:3, (0.5,1]:0.5, (1,2]:4}");
    end(&w);
}

TEST(hist_scale_and_div_touch_every_count)
{
    struct world w;
    begin(&w);
    struct nhist *h = hist_test_exp(&w.a, 0, 3, 0, D(1, 2));
    h->zero_count = 5;
    h->count = 8;
    h->reset = NHIST_RESET;
    const struct nhist *twice = hist_scale(h, 2, &w.a);
    assert_print(twice, "{count:16, sum:6, [-0,0]:10, (0.5,1]:2, (1,2]:4}");
    assert_int_equal(twice->reset, NHIST_RESET);
    assert_int_equal(hist_scale(h, -1, &w.a)->reset, NHIST_GAUGE);
    assert_print(hist_div(h, 2, &w.a), "{count:4, sum:1.5, [-0,0]:2.5, (0.5,1]:0.5, (1,2]:1}");
    assert_print(hist_div(h, 0, &w.a), "{count:+Inf, sum:+Inf, [-0,0]:+Inf}");
    end(&w);
}

TEST(hist_equal_looks_at_bits_and_explicit_buckets)
{
    struct world w;
    begin(&w);
    struct nhist *a = hist_test_exp(&w.a, 0, 1, 0, D(1, 2));
    struct nhist *b = hist_test_exp(&w.a, 0, 1, 0, D(1, 2));
    assert_true(hist_equal(a, b));
    b->reset = NHIST_GAUGE;
    assert_true(hist_equal(a, b));
    struct nhist_span two[] = {{0, 1}, {0, 1}};
    b->pos.spans = two;
    b->pos.spans_n = 2;
    assert_true(hist_equal(a, b));
    b->zero_threshold = 0.1;
    assert_false(hist_equal(a, b));
    assert_false(hist_equal(a, hist_test_exp(&w.a, 0, 1, 0, D(1, 2, 0))));
    assert_false(hist_equal(a, hist_test_exp(&w.a, 1, 1, 0, D(1, 2))));
    assert_false(hist_equal(a, hist_test_exp(&w.a, 0, 2, 0, D(1, 2))));
    end(&w);
}

TEST(hist_detect_reset_by_hint_count_bucket_and_shape)
{
    struct world w;
    begin(&w);
    struct nhist *a = hist_test_exp(&w.a, 0, 1, 0, D(1, 2, 0));
    struct nhist *more = hist_test_exp(&w.a, 0, 1, 0, D(1, 3));
    struct nhist *moved = hist_test_exp(&w.a, 0, 1, 0, D(0, 9));
    assert_false(hist_detect_reset(more, a));
    assert_true(hist_detect_reset(a, more));
    assert_true(hist_detect_reset(moved, a));
    more->reset = NHIST_RESET;
    assert_true(hist_detect_reset(more, a));
    moved->reset = NHIST_NO_RESET;
    assert_false(hist_detect_reset(moved, a));
    /* A bucket that vanished, a finer schema, a narrower zero bucket. */
    assert_true(hist_detect_reset(hist_test_exp(&w.a, 0, 1, 1, D(9)), a));
    assert_true(hist_detect_reset(hist_test_exp(&w.a, 1, 1, -1, D(9, 9, 9, 9)), a));
    assert_false(hist_detect_reset(hist_test_exp(&w.a, -1, 1, 0, D(1, 2)), a));
    struct nhist *zero = hist_test_exp(&w.a, 0, 1, 1, D(2));
    zero->zero_threshold = 1;
    zero->zero_count = 1;
    zero->count = 3;
    assert_false(hist_detect_reset(zero, a));
    zero->zero_threshold = 1.5; /* cuts a populated bucket */
    assert_true(hist_detect_reset(zero, a));
    end(&w);
}

TEST(hist_detect_reset_of_custom_buckets_between_common_bounds)
{
    struct world w;
    begin(&w);
    double ba[] = {1, 2, 5};
    double bb[] = {1, 5};
    const struct nhist *a = hist_test_custom(&w.a, 3, ba, 0, D(1, 2, 3, 4));
    assert_false(hist_detect_reset(hist_test_custom(&w.a, 2, bb, 0, D(1, 5, 4)), a));
    assert_true(hist_detect_reset(hist_test_custom(&w.a, 2, bb, 0, D(2, 4, 4)), a));
    assert_true(hist_detect_reset(hist_test_exp(&w.a, 0, 0, 0, D(99)), a));
    assert_true(hist_detect_reset(a, hist_test_exp(&w.a, 0, 0, 0, D(1))));
    end(&w);
}

TEST(hist_quantile_interpolates_on_the_scale_of_the_buckets)
{
    struct world w;
    begin(&w);
    struct nhist *h = hist_test_exp(&w.a, 0, 100, 2, D(1, 1)); /* (2,4] (4,8] */
    h->zero_threshold = 0.001;
    h->zero_count = 2;
    h->count = 4;
    assert_true(hist_test_near(hist_quantile(0.25, h, NULL), 0.0005));
    assert_true(hist_test_near(hist_quantile(0.625, h, NULL), exp2(1.5)));
    assert_true(hist_quantile(1, h, NULL) == 8);
    assert_true(isnan(hist_quantile((double)NAN, h, NULL)));
    assert_true(hist_quantile(-0.1, h, NULL) == -(double)INFINITY);
    assert_true(hist_quantile(1.1, h, NULL) == (double)INFINITY);
    double bounds[] = {5, 10, 15};
    const struct nhist *c = hist_test_custom(&w.a, 3, bounds, 0, D(1, 2, 0, 1));
    assert_true(hist_quantile(0.5, c, NULL) == 7.5);
    assert_true(hist_quantile(0.125, c, NULL) == 2.5);
    assert_true(hist_quantile(1, c, NULL) == 15);
    end(&w);
}

TEST(hist_quantile_and_fraction_tell_of_nan_observations)
{
    struct world w;
    begin(&w);
    struct nhist *h = hist_test_exp(&w.a, 0, (double)NAN, 0, D(12));
    h->count = 15;
    unsigned nan = 0;
    assert_true(isnan(hist_quantile(0.81, h, &nan)));
    assert_int_equal(nan, HIST_NAN_RESULT);
    nan = 0;
    assert_true(hist_quantile(0.8, h, &nan) == 1);
    assert_int_equal(nan, HIST_NAN_SKEW);
    nan = 0;
    assert_true(hist_test_near(hist_fraction(-(double)INFINITY, (double)INFINITY, h, &nan), 0.8));
    assert_int_equal(nan, HIST_NAN_EXCLUDED);
    end(&w);
}

TEST(hist_fraction_is_the_inverse_of_quantile)
{
    struct world w;
    begin(&w);
    struct nhist *h = hist_test_exp(&w.a, 2, 0, -3, D(3, 1, 4, 0, 1, 5, 9, 2, 6));
    hist_test_side(&h->neg, &w.a, 0, D(5, 3, 5));
    h->zero_count = 8;
    h->zero_threshold = 0.01;
    h->count += 13 + 8;
    for (double q = 0.01; q < 1; q += 0.01) {
        const double v = hist_quantile(q, h, NULL);
        const double back = hist_fraction(-(double)INFINITY, v, h, NULL);
        assert_true(fabs(back - q) < 1e-9);
    }
    assert_true(hist_fraction(1, 1, h, NULL) == 0);
    assert_true(hist_fraction(-(double)INFINITY, (double)INFINITY, h, NULL) == 1);
    end(&w);
}

TEST(hist_stddev_uses_the_middles_of_buckets)
{
    struct world w;
    begin(&w);
    double bounds[] = {0, 2, 4};
    const struct nhist *c = hist_test_custom(&w.a, 3, bounds, 8, D(0, 2, 2)); /* middles 1 and 3 */
    assert_true(hist_stdvar(c) == 1);
    assert_true(hist_stddev(c) == 1);
    end(&w);
}

TEST(hist_trim_divides_the_bucket_it_hits)
{
    struct world w;
    begin(&w);
    double bounds[] = {0, 10, 20};
    const struct nhist *c = hist_test_custom(&w.a, 3, bounds, 999, D(0, 4, 8));
    assert_print(hist_trim(c, 15, true, &w.a), "{count:8, sum:70, (0,10]:4, (10,20]:4}");
    assert_print(hist_trim(c, 15, false, &w.a), "{count:4, sum:70, (10,20]:4}");
    assert_print(hist_trim(c, 20, true, &w.a), "{count:12, sum:999, (0,10]:4, (10,20]:8}");
    const struct nhist *h = hist_test_exp(&w.a, 0, 999, 1, D(4));
    assert_print(hist_trim(h, 1, true, &w.a), "{count:0, sum:0}");
    const struct nhist *half = hist_trim(h, sqrt(2), true, &w.a);
    assert_true(hist_test_near(half->count, 2));
    assert_true(hist_test_near(half->sum, 2 * sqrt(sqrt(2))));
    end(&w);
}

TEST(hist_iter_goes_up_and_down_over_the_same_buckets)
{
    struct world w;
    begin(&w);
    struct nhist *h = hist_test_exp(&w.a, 0, 0, 0, D(1, 0, 2));
    hist_test_side(&h->neg, &w.a, -1, D(3, 4));
    h->zero_threshold = 0.6;
    h->zero_count = 5;
    static const struct hist_bucket want[] = {
        {-1, -0.6, 4, true, false}, {-0.5, -0.6, 3, true, false}, {-0.6, 0.6, 5, true, true},
        {0.6, 1, 1, false, true},   {1, 2, 0, false, true},       {2, 4, 2, false, true},
    };
    struct hist_iter it;
    struct hist_bucket b;
    hist_iter_init(&it, h);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(hist_iter_next(&it, &b));
        assert_true(b.lower == want[i].lower && b.upper == want[i].upper);
        assert_true(b.count == want[i].count);
        assert_int_equal(b.lower_inclusive, want[i].lower_inclusive);
        assert_int_equal(b.upper_inclusive, want[i].upper_inclusive);
    }
    assert_false(hist_iter_next(&it, &b));
    assert_false(hist_iter_next(&it, &b));
    hist_iter_init_reverse(&it, h);
    for (size_t i = ARRAY_LEN(want); i > 0; i--) {
        assert_true(hist_iter_next(&it, &b));
        assert_true(b.count == want[i - 1].count);
    }
    assert_false(hist_iter_next(&it, &b));
    end(&w);
}

/* A histogram of whole counts, so that sums are exact, and with a zero bucket that ends at a bound
 * of every schema it can have: at others Prometheus counts some observations twice when it goes to
 * a coarser schema, and so do we. */
static struct nhist *random_hist(struct rng *r, struct arena *a)
{
    struct nhist *h = ARENA_NEW(a, struct nhist);
    assert_non_null(h);
    h->schema = (int32_t)rng_below(r, 9);
    if (rng_below(r, 2) == 0) {
        h->zero_threshold = exp2((double)rng_below(r, 4) - 2);
        h->zero_count = (double)rng_below(r, 9);
    }
    h->count = h->zero_count;
    h->sum = (double)rng_below(r, 1000);
    for (int side = 0; side < 2; side++) {
        double counts[6];
        const uint32_t n = (uint32_t)rng_below(r, ARRAY_LEN(counts) + 1);
        const int32_t first = (int32_t)rng_below(r, 30) - 15;
        for (uint32_t i = 0; i < n; i++) {
            /* What lies within the zero bucket is counted there. */
            const bool within = hist_bound(first + (int32_t)i - 1, h->schema) < h->zero_threshold;
            counts[i] = within ? 0 : (double)rng_below(r, 4);
            h->count += counts[i];
        }
        hist_test_side(side == 0 ? &h->pos : &h->neg, a, first, n, counts);
    }
    return h;
}

static double total(const struct nhist *h)
{
    double sum = h->zero_count;
    for (uint32_t i = 0; i < h->pos.counts_n; i++) {
        sum += h->pos.counts[i];
    }
    for (uint32_t i = 0; i < h->neg.counts_n; i++) {
        sum += h->neg.counts[i];
    }
    return sum;
}

TEST(hist_random_sums_keep_every_observation)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    begin(&w);
    for (int round = 0; round < 3000; round++) {
        arena_reset(&w.a);
        const struct nhist *a = random_hist(&r, &w.a);
        const struct nhist *b = random_hist(&r, &w.a);
        unsigned trouble = 0;
        const struct nhist *sum = hist_add(a, b, &w.a, &trouble);
        const struct nhist *mirror = hist_add(b, a, &w.a, &trouble);
        assert_int_equal(trouble, HIST_OK);
        struct err e = {0};
        assert_true(nhist_validate(sum, &e));
        assert_true(total(sum) == a->count + b->count);
        assert_true(hist_equal(hist_compact(sum, &w.a), hist_compact(mirror, &w.a)));
        const struct nhist *back = hist_compact(hist_sub(sum, b, &w.a, &trouble), &w.a);
        assert_true(total(back) == a->count);
        const struct nhist *compact = hist_compact(sum, &w.a);
        assert_true(nhist_validate(compact, &e));
        assert_true(total(compact) == total(sum));
        struct nhist *counter = nhist_copy(sum, &w.a);
        assert_false(hist_detect_reset(counter, a));
        const double q = rng_f64(&r);
        assert_true(hist_quantile(q, sum, NULL) <= hist_quantile(1, sum, NULL) || sum->count == 0);
        struct nhist *low = hist_trim(sum, rng_f64(&r) * 4 - 2, true, &w.a);
        assert_true(nhist_validate(low, &e) && low->count <= sum->count);
    }
    end(&w);
}

FAULT_TEST(hist_functions_report_lack_of_memory)
{
    struct arena a;
    arena_init(&a, &w->mem, HIST_TEST_BYTES);
    struct world good;
    begin(&good);
    double ba[] = {1, 2};
    double bb[] = {2, 3};
    const struct nhist *x = hist_test_exp(&good.a, 2, 1, 0, D(1, 2, 3));
    const struct nhist *y = hist_test_exp(&good.a, 1, 1, 5, D(1, 2, 3));
    const struct nhist *c = hist_test_custom(&good.a, 2, ba, 0, D(1, 2, 3));
    const struct nhist *d = hist_test_custom(&good.a, 2, bb, 0, D(1, 2, 3));
    unsigned trouble = 0;
    struct nhist *comp = NULL;
    struct hist_mean m;
    bool ok = hist_add(x, y, &a, &trouble) != NULL;
    arena_release(&a);
    ok = ok && hist_add(c, d, &a, &trouble) != NULL;
    arena_release(&a);
    ok = ok && hist_add_kahan(x, &comp, y, &a, &trouble) != NULL;
    arena_release(&a);
    ok = ok && hist_scale(x, 2, &a) != NULL;
    arena_release(&a);
    ok = ok && hist_compact(x, &a) != NULL;
    arena_release(&a);
    ok = ok && hist_to_schema(x, 0, &a) != NULL;
    arena_release(&a);
    ok = ok && hist_trim(x, 1.5, true, &a) != NULL;
    arena_release(&a);
    ok = ok && hist_mean_init(&m, x, &a) && hist_mean_add(&m, y) && hist_mean_value(&m) != NULL;
    assert_int_equal(trouble & HIST_INCOMPATIBLE_SCHEMA, 0);
    arena_release(&a);
    end(&good);
    return ok;
}

/* Each size of arena that is too small, one allocation after the other. */
TEST(hist_functions_stop_at_the_cap_of_the_arena)
{
    struct world good;
    begin(&good);
    const struct nhist *x = hist_test_exp(&good.a, 2, 1, 0, D(1, 2, 3));
    struct nhist *y = hist_test_exp(&good.a, 1, 1, 5, D(1, 2, 3));
    y->zero_threshold = 1;
    bool worked = false;
    for (size_t cap = 0; cap < 4096; cap += 8) {
        struct mem mem;
        mem_init(&mem, 0);
        struct arena a;
        arena_init(&a, &mem, cap);
        unsigned trouble = 0;
        struct nhist *comp = NULL;
        const struct nhist *sum = hist_add_kahan(x, &comp, y, &a, &trouble);
        assert_true(sum != NULL || !worked);
        assert_true((sum == NULL) == (comp == NULL));
        worked = sum != NULL;
        arena_release(&a);
        assert_int_equal(mem.bytes, 0);
    }
    assert_true(worked);
    end(&good);
}
