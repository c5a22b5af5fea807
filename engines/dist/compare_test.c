/* Distances of sketches against the same figures from the raw values: within the interval always,
 * equal where cells are atoms, near where they are not. */
#include "engines/dist/dist_testing_int.h"

#define N 40000
#define M 7000

/* One pair of samples as sketches and as exact figures. */
struct pair {
    struct mem m;
    struct dist_sketch ref, cur;
    struct brute exact;
    struct dist_distances got;
};

static void pair_of(struct pair *p, double *x, size_t n, double *y, size_t k, int bits_ref,
                    int bits_cur)
{
    mem_init(&p->m, 0);
    dist_sketch_init(&p->ref, &p->m, bits_ref, DIST_CELLS_MAX);
    dist_sketch_init(&p->cur, &p->m, bits_cur, DIST_CELLS_MAX);
    fill_sketch(&p->ref, x, n);
    fill_sketch(&p->cur, y, k);
    sort_sample(x, n);
    sort_sample(y, k);
    p->exact = brute_distances(x, n, y, k);
    assert_true(dist_sketch_compare(&p->ref, &p->cur, &p->got));
}

static void pair_release(struct pair *p)
{
    dist_sketch_release(&p->ref);
    dist_sketch_release(&p->cur);
    assert_int_equal(p->m.bytes, 0);
}

static void assert_encloses(struct dist_bound b, double exact, double slack)
{
    if (!(b.lo <= b.value + slack && b.value <= b.hi + slack && b.lo <= exact + slack &&
          exact <= b.hi + slack)) {
        print_error("[%.12g %.12g %.12g] does not hold %.12g\n", b.lo, b.value, b.hi, exact);
        fail();
    }
}

/* A window that differs by its scale, or not at all. */
static double *window(enum shape shape, uint64_t seed, double factor)
{
    double *y = shape_sample(shape, seed, M);
    for (int i = 0; i < M; i++) {
        y[i] = shape == SHAPE_COUNT ? rint(y[i] * factor) : y[i] * factor;
    }
    return y;
}

TEST(intervals_hold_the_exact_figures_and_figures_are_near)
{
    static const double factors[] = {1, 1.03, 1.4};
    static const int bits[] = {6, 7, 8};
    for (int shape = 0; shape < SHAPE_LARGE; shape++) {
        for (size_t i = 0; i < ARRAY_LEN(factors) * ARRAY_LEN(bits); i++) {
            struct pair p;
            double *x = shape_sample((enum shape)shape, test_seed(), N);
            double *y = window((enum shape)shape, test_seed() + 9, factors[i % 3]);
            pair_of(&p, x, N, y, M, bits[i / 3], bits[i / 3]);
            double std = dist_sketch_std(&p.ref);
            assert_encloses(p.got.ks, p.exact.ks, 1e-12);
            assert_encloses(p.got.w1, p.exact.w1, 1e-9 * std);
            assert_encloses(p.got.cvm, p.exact.cvm, 1e-9 * (1 + p.exact.cvm));
            assert_encloses(p.got.ad, p.exact.ad, 1e-9 * (1 + p.exact.ad));
            double fine = ldexp(1, 6 - bits[i / 3]);
            assert_near(p.got.ks.value, p.exact.ks, 0.002 * fine);
            assert_near(p.got.w1_norm, p.exact.w1 / std, 0.001 * fine);
            assert_near(p.got.cvm.value, p.exact.cvm, 0.03 * (0.2 + p.exact.cvm));
            assert_near(p.got.ad.value, p.exact.ad, 0.03 * (2 + p.exact.ad));
            assert_true(p.got.w1_norm_err * std >= fabs(p.got.w1.value - p.exact.w1) - 1e-9 * std);
            pair_release(&p);
            free(x);
            free(y);
        }
    }
}

TEST(atoms_have_no_error)
{
    struct pair p;
    double *x = shape_sample(SHAPE_COUNT, test_seed(), N);
    double *y = window(SHAPE_COUNT, test_seed() + 1, 1.2);
    pair_of(&p, x, N, y, M, 7, 7);
    assert_near(p.got.ks.value, p.exact.ks, 1e-14);
    assert_near(p.got.w1.value, p.exact.w1, 1e-12);
    assert_near(p.got.cvm.value, p.exact.cvm, 1e-9 * p.exact.cvm);
    assert_near(p.got.ad.value, p.exact.ad, 1e-9 * p.exact.ad);
    assert_true(p.got.ks.lo == p.got.ks.hi && p.got.w1.lo == p.got.w1.hi);
    pair_release(&p);
    free(x);
    free(y);
}

TEST(bits_may_differ)
{
    struct pair p;
    double *x = shape_sample(SHAPE_NORMAL, test_seed(), N);
    double *y = window(SHAPE_NORMAL, test_seed() + 5, 1.1);
    pair_of(&p, x, N, y, M, 8, 6);
    assert_encloses(p.got.ks, p.exact.ks, 1e-12);
    assert_encloses(p.got.w1, p.exact.w1, 1e-9);
    assert_near(p.got.ks.value, p.exact.ks, 0.002);
    assert_near(p.got.w1.value, p.exact.w1, 0.001);
    pair_release(&p);
    free(x);
    free(y);
    for (uint64_t seed = 0; seed < 20; seed++) {
        x = shape_sample(SHAPE_NORMAL, test_seed() + seed, 300);
        y = shape_sample(SHAPE_NORMAL, test_seed() + 50 + seed, 40);
        pair_of(&p, x, 300, y, 40, 10, 4);
        assert_encloses(p.got.ks, p.exact.ks, 1e-12);
        assert_encloses(p.got.w1, p.exact.w1, 1e-12);
        assert_encloses(p.got.cvm, p.exact.cvm, 1e-12);
        assert_encloses(p.got.ad, p.exact.ad, 1e-12);
        assert_near(p.got.w1.value, p.exact.w1, 0.01);
        pair_release(&p);
        free(x);
        free(y);
    }
}

/* Values of all sizes in 64 cells: the figures are poor and the intervals say so. */
TEST(intervals_hold_with_hardly_any_cells)
{
    for (int seed = 0; seed < 20; seed++) {
        struct pair p;
        double *x = shape_sample(SHAPE_NORMAL, test_seed() + (uint64_t)seed, 500);
        double *y = shape_sample(SHAPE_NORMAL, test_seed() + 77 + (uint64_t)seed, 30);
        mem_init(&p.m, 0);
        dist_sketch_init(&p.ref, &p.m, 4, 64);
        dist_sketch_init(&p.cur, &p.m, 4, 64);
        fill_sketch(&p.ref, x, 500);
        fill_sketch(&p.cur, y, 30);
        sort_sample(x, 500);
        sort_sample(y, 30);
        p.exact = brute_distances(x, 500, y, 30);
        assert_true(dist_sketch_compare(&p.ref, &p.cur, &p.got));
        assert_encloses(p.got.ks, p.exact.ks, 1e-12);
        assert_encloses(p.got.w1, p.exact.w1, 1e-12);
        assert_encloses(p.got.cvm, p.exact.cvm, 1e-12);
        assert_encloses(p.got.ad, p.exact.ad, 1e-12);
        pair_release(&p);
        free(x);
        free(y);
    }
}

TEST(equal_sketches_are_at_no_distance_and_disjoint_ones_at_the_largest)
{
    struct pair p;
    double x[4] = {1, 2, 3, 1000.7};
    double y[4] = {1, 2, 3, 1000.7};
    pair_of(&p, x, 4, y, 4, 7, 7);
    assert_true(p.got.ks.value == 0 && p.got.w1.value == 0 && p.got.cvm.value == 0);
    assert_true(p.got.ad.value == 0);
    pair_release(&p);
    double z[4] = {-5, -6, -7, -8.25}; /* the ends are known, the rest are multiples of 1/4 */
    x[3] = 1000.5;
    x[2] = 3.25;
    pair_of(&p, x, 4, z, 4, 7, 7);
    assert_true(p.got.ks.value == 1 && p.got.ks.lo == 1 && p.got.ks.hi == 1);
    assert_near(p.got.w1.value, (1 + 2 + 3.25 + 1000.5) / 4 + 6.5625, 1e-12 * 258);
    assert_near(p.got.w1.lo, p.got.w1.hi, 1e-12 * 258);
    pair_release(&p);
}

/* Alone in its cell the least and the largest value is known, however wide the cell. */
TEST(lonely_ends_are_exact)
{
    struct pair p;
    double x[2] = {1, 1000.7};
    double y[2] = {-2000.9, -5.3};
    pair_of(&p, x, 2, y, 2, 6, 6);
    assert_near(p.got.w1.lo, (1 + 1000.7 + 2000.9 + 5.3) / 2, 1e-12 * 1504);
    assert_near(p.got.w1.hi, (1 + 1000.7 + 2000.9 + 5.3) / 2, 1e-12 * 1504);
    pair_release(&p);
}

TEST(without_values_there_is_no_figure)
{
    struct mem m;
    struct dist_sketch a, b;
    struct dist_distances d;
    mem_init(&m, 0);
    dist_sketch_init(&a, &m, DIST_BITS, DIST_CELLS);
    dist_sketch_init(&b, &m, DIST_BITS, DIST_CELLS);
    assert_false(dist_sketch_compare(&a, &b, &d));
    assert_true(isnan(d.ks.value) && isnan(d.w1.hi) && isnan(d.w1_norm));
    assert_true(dist_sketch_add(&b, 1));
    assert_false(dist_sketch_compare(&a, &b, &d));
    assert_int_equal(d.cur_n, 1);
    dist_sketch_release(&b);
}

/* ---- counts */

TEST(shares_of_two_pairs_by_hand)
{
    const uint64_t ref[3] = {50, 50, 0};
    const uint64_t cur[3] = {30, 10, 0};
    struct dist_shares s;
    dist_counts_compare(ref, cur, 3, &s);
    double js = 0.5 * (0.5 * log2(0.5 / 0.625) + 0.5 * log2(0.5 / 0.375)) +
                0.5 * (0.75 * log2(0.75 / 0.625) + 0.25 * log2(0.25 / 0.375));
    assert_int_equal(s.pairs, 2);
    assert_near(s.psi, 0.25 * log(1.5) - 0.25 * log(0.5), 1e-15);
    assert_near(s.kl, 0.75 * log(1.5) + 0.25 * log(0.5), 1e-15);
    assert_near(s.js, sqrt(js), 1e-15);
    assert_near(s.hellinger, sqrt(1 - (sqrt(0.375) + sqrt(0.125))), 1e-14);
    assert_near(s.tvd, 0.25, 1e-15);
    assert_near(s.linf, 0.25, 1e-15);
    /* Expected 400/7 of 80, with Yates' half taken off: |30 - 22.857| - 0.5. */
    double off = 30 - 80.0 * 40 / 140 - 0.5;
    double chi2 = off * off *
                  (1 / (80.0 * 100 / 140) + 1 / (80.0 * 40 / 140) + 1 / (60.0 * 100 / 140) +
                   1 / (60.0 * 40 / 140));
    assert_near(s.chi2, chi2, 1e-12);
    assert_near(s.chi2_p, erfc(sqrt(chi2 / 2)), 1e-14);
}

/* The example of scipy's chi2_contingency. */
TEST(chi2_as_scipy)
{
    const uint64_t ref[3] = {10, 10, 20};
    const uint64_t cur[3] = {20, 20, 20};
    struct dist_shares s;
    dist_counts_compare(ref, cur, 3, &s);
    assert_near(s.chi2, 2.7777777777777777, 1e-14);
    assert_near(s.chi2_p, 0.24935220877729619, 1e-14);
    assert_int_equal(s.dof, 2);
}

TEST(shares_that_are_missing_count_as_the_floor)
{
    const uint64_t ref[2] = {1000, 0};
    const uint64_t cur[2] = {500, 500};
    struct dist_shares s;
    dist_counts_compare(ref, cur, 2, &s);
    assert_near(s.psi, -0.5 * log(0.5) + (0.5 - 1e-4) * log(0.5 / 1e-4), 1e-12);
    assert_near(s.js, sqrt(0.5 * log2(4 / 3.0) + 0.25 * log2(2 / 3.0) + 0.25), 1e-12);
    assert_near(s.linf, 0.5, 0);
    double psi = s.psi;
    dist_counts_compare(cur, ref, 2, &s); /* gone instead of new */
    assert_near(s.psi, psi, 1e-12);
    assert_near(s.kl, log(2) + 1e-4 * log(1e-4 / 0.5), 1e-12);
}

TEST(counts_without_a_total_or_with_one_pair)
{
    const uint64_t none[2] = {0, 0};
    const uint64_t one[2] = {0, 9};
    struct dist_shares s;
    dist_counts_compare(none, one, 2, &s);
    assert_true(isnan(s.psi) && isnan(s.js) && isnan(s.chi2_p) && s.cur_n == 9);
    dist_counts_compare(one, one, 2, &s);
    assert_true(s.psi == 0 && s.js == 0 && s.chi2 == 0 && s.chi2_p == 1 && s.dof == 0);
}
