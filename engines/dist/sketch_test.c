/* Sketches against the raw values: cells, exact figures, quantiles, independence of order and
 * split, bounds, and the saved form. */
#include "engines/dist/dist_testing_int.h"

#include "engines/dist/dist_int.h"

#define N 20000

static void save_to(const struct dist_sketch *s, struct mem *m, struct buf *out)
{
    buf_init(out, m, 1 << 24);
    dist_sketch_save(s, out);
}

/* Exponent and first mantissa bits by arithmetic instead of bits of the format. */
static bool same_cell(double a, double b, int bits)
{
    int ea = 0, eb = 0;
    if ((a < 0) != (b < 0) || a == 0 || b == 0) {
        return a == b;
    }
    if (fabs(a) < 0x1p-1022 && fabs(b) < 0x1p-1022) { /* below the normal numbers: equal steps */
        return floor(ldexp(fabs(a), 1022 + bits)) == floor(ldexp(fabs(b), 1022 + bits));
    }
    double ma = frexp(fabs(a), &ea);
    double mb = frexp(fabs(b), &eb);
    return ea == eb && floor(ldexp(ma * 2 - 1, bits)) == floor(ldexp(mb * 2 - 1, bits));
}

TEST(every_value_is_within_its_cell_and_counted_once)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        struct mem m;
        struct dist_sketch s;
        double *v = shape_sample((enum shape)shape, test_seed(), N);
        mem_init(&m, 0);
        dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS_MAX);
        fill_sketch(&s, v, N);
        sort_sample(v, N);
        assert_int_equal(s.bits, DIST_BITS);
        size_t at = 0;
        for (uint32_t i = 0; i < s.cells_count; i++) {
            struct dist_cell c = dist_sketch_cell(&s, i);
            assert_true(c.n > 0 && at + c.n <= N);
            assert_true(c.lo <= v[at] && v[at + c.n - 1] <= c.hi);
            assert_true(same_cell(v[at], v[at + c.n - 1], DIST_BITS));
            assert_true(at == 0 || !same_cell(v[at - 1], v[at], DIST_BITS));
            at += c.n;
        }
        assert_int_equal(at, N);
        assert_int_equal(s.n, N);
        dist_sketch_release(&s);
        assert_int_equal(m.bytes, 0);
        free(v);
    }
}

TEST(cells_joined_for_a_reader_hold_their_values)
{
    struct mem m;
    struct dist_sketch s;
    struct dist_reader r;
    struct dist_reading x;
    double *v = shape_sample(SHAPE_NORMAL, test_seed(), N);
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS_MAX, DIST_CELLS_MAX);
    fill_sketch(&s, v, N);
    sort_sample(v, N);
    for (int bits = DIST_BITS_BOTTOM; bits <= DIST_BITS_MAX; bits += 3) {
        size_t at = 0;
        dist_reader_init(&r, &s, bits);
        while (dist_reader_next(&r, &x)) {
            assert_true(x.cell.n > 0 && at + x.cell.n <= N);
            assert_true(x.cell.lo <= v[at] && v[at + x.cell.n - 1] <= x.cell.hi);
            assert_true(bits < 0 || same_cell(v[at], v[at + x.cell.n - 1], bits));
            at += x.cell.n;
        }
        assert_int_equal(at, N);
    }
    dist_sketch_release(&s);
    free(v);
}

TEST(small_whole_numbers_are_atoms)
{
    struct mem m;
    struct dist_sketch s;
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    for (int i = -200; i <= 200; i++) {
        assert_true(dist_sketch_add(&s, i));
    }
    assert_int_equal(s.granule_exp, 0);
    for (uint32_t i = 0; i < s.cells_count; i++) {
        struct dist_cell c = dist_sketch_cell(&s, i);
        assert_true(c.lo == c.hi);
        assert_true(c.lo == (double)i - 200);
    }
    assert_true(dist_sketch_quantile(&s, 0.25) == -100);
    assert_true(dist_sketch_add(&s, 0.5)); /* and now they may be halves */
    assert_int_equal(s.granule_exp, -1);
    assert_true(dist_sketch_cell(&s, 0).lo == -200);
    dist_sketch_release(&s);
}

TEST(mean_and_deviation_are_exact)
{
    for (int shape = 0; shape < SHAPES - 1; shape++) {
        struct mem m;
        struct dist_sketch s;
        double *v = shape_sample((enum shape)shape, test_seed() + 1, N);
        long double sum = 0, spread = 0;
        mem_init(&m, 0);
        dist_sketch_init(&s, &m, DIST_BITS_MIN, DIST_CELLS_MIN);
        fill_sketch(&s, v, N);
        for (int i = 0; i < N; i++) {
            sum += (long double)v[i];
        }
        for (int i = 0; i < N; i++) {
            long double off = (long double)v[i] - sum / N;
            spread += off * off;
        }
        double mean = (double)(sum / N);
        double std = (double)sqrtl(spread / N);
        assert_near(dist_sketch_mean(&s), mean, fabs(mean) * 4e-16);
        assert_near(dist_sketch_std(&s), std, std * 1e-14);
        dist_sketch_release(&s);
        free(v);
    }
}

/* Where sums of squares in doubles give 0, a negative number, or infinity. */
TEST(deviation_survives_cancelling_and_the_ends_of_the_range)
{
    struct mem m;
    struct dist_sketch s;
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    assert_true(isnan(dist_sketch_mean(&s)) && isnan(dist_sketch_std(&s)));
    assert_true(dist_sketch_add(&s, 1e15) && dist_sketch_add(&s, 1e15 + 0.25));
    assert_true(dist_sketch_mean(&s) == 1e15 + 0.125 && dist_sketch_std(&s) == 0.125);
    dist_sketch_clear(&s);
    assert_true(dist_sketch_add(&s, 1.7e308) && dist_sketch_add(&s, -1.7e308));
    assert_true(dist_sketch_mean(&s) == 0 && dist_sketch_std(&s) == 1.7e308);
    assert_true(dist_sketch_add(&s, 0x1p-1074) && dist_sketch_add(&s, -0x1p-1074));
    assert_true(dist_sketch_mean(&s) == 0);
    dist_sketch_clear(&s);
    assert_true(dist_sketch_add(&s, 0x1p-1074) && dist_sketch_add(&s, 0x3p-1074));
    assert_true(dist_sketch_mean(&s) == 0x2p-1074 && dist_sketch_std(&s) == 0x1p-1074);
    dist_sketch_clear(&s);
    assert_true(dist_sketch_add_n(&s, -3, 1u << 30) && dist_sketch_add_n(&s, 5, 1u << 30));
    assert_true(dist_sketch_mean(&s) == 1 && dist_sketch_std(&s) == 4);
    dist_sketch_release(&s);
}

TEST(quantiles_are_within_half_a_cell)
{
    static const double qs[] = {0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.99, 0.9999, 1};
    for (int bits = 6; bits <= DIST_BITS_MAX; bits++) {
        for (int shape = 0; shape < SHAPE_WILD; shape++) {
            struct mem m;
            struct dist_sketch s;
            double *v = shape_sample((enum shape)shape, test_seed() + 2, N);
            mem_init(&m, 0);
            dist_sketch_init(&s, &m, bits, DIST_CELLS_MAX);
            fill_sketch(&s, v, N);
            sort_sample(v, N);
            for (size_t i = 0; i < ARRAY_LEN(qs); i++) {
                double exact = brute_quantile(v, N, qs[i]);
                double got = dist_sketch_quantile(&s, qs[i]);
                bool atom = shape == SHAPE_COUNT || qs[i] == 0 || qs[i] == 1;
                assert_near(got, exact, atom ? 0 : fabs(exact) * ldexp(1.001, -bits - 1));
            }
            dist_sketch_release(&s);
            free(v);
        }
    }
}

TEST(share_below_is_within_a_cell_of_the_count)
{
    struct mem m;
    struct dist_sketch s;
    double *v = shape_sample(SHAPE_MONEY, test_seed(), N);
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    fill_sketch(&s, v, N);
    sort_sample(v, N);
    for (double at = 0.5; at < 5000; at *= 1.37) {
        size_t below = 0;
        while (below < N && v[below] <= at) {
            below++;
        }
        assert_near(dist_sketch_share_below(&s, at), (double)below / N, 0.006);
    }
    assert_true(dist_sketch_share_below(&s, v[0] - 1) == 0);
    assert_true(dist_sketch_share_below(&s, v[N - 1]) == 1);
    dist_sketch_release(&s);
    free(v);
}

/* Parts of the values, in another order, merged from the last to the first. */
static void split_and_merge(struct dist_sketch *out, struct mem *m, const double *v, int parts,
                            int bits, uint32_t cells_max)
{
    struct dist_sketch part[7];
    struct err e = {0};
    for (int i = 0; i < parts; i++) {
        dist_sketch_init(&part[i], m, bits, cells_max);
    }
    for (int i = N - 1; i >= 0; i--) {
        assert_true(dist_sketch_add(&part[(unsigned)i * 2654435761u % (unsigned)parts], v[i]));
    }
    dist_sketch_init(out, m, bits, cells_max);
    for (int i = parts - 1; i >= 0; i--) {
        assert_true(dist_sketch_merge(out, &part[i], &e));
        dist_sketch_release(&part[i]);
    }
}

TEST(order_and_split_do_not_change_a_bit)
{
    static const uint32_t bounds[] = {DIST_CELLS_MIN, 300, DIST_CELLS_MAX};
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t b = 0; b < ARRAY_LEN(bounds); b++) {
            struct mem m;
            struct dist_sketch one, many;
            struct buf saved, again;
            double *v = shape_sample((enum shape)shape, test_seed() + b, N);
            mem_init(&m, 0);
            dist_sketch_init(&one, &m, 8, bounds[b]);
            fill_sketch(&one, v, N);
            split_and_merge(&many, &m, v, 2 + (int)b * 2, 8, bounds[b]);
            save_to(&one, &m, &saved);
            save_to(&many, &m, &again);
            assert_same_bytes(&saved, &again);
            buf_release(&saved);
            buf_release(&again);
            dist_sketch_release(&one);
            dist_sketch_release(&many);
            assert_int_equal(m.bytes, 0);
            free(v);
        }
    }
}

TEST(the_bound_costs_as_few_bits_as_possible)
{
    struct mem m;
    struct dist_sketch s, finer;
    double *v = shape_sample(SHAPE_WILD, test_seed(), N);
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, 6, 1000);
    dist_sketch_init(&finer, &m, 6, DIST_CELLS_MAX);
    fill_sketch(&s, v, N);
    fill_sketch(&finer, v, N);
    assert_int_equal(finer.bits, 6);
    uint32_t left = finer.cells_count;
    int bits = 6;
    while (left > 1000) {
        left = dist_cells_coarsen(finer.cells, left);
        bits--;
    }
    assert_int_equal(s.bits, bits);
    assert_int_equal(s.cells_count, left);
    assert_memory_equal(s.cells, finer.cells, left * sizeof *s.cells);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.n, N);
    dist_sketch_release(&s);
    dist_sketch_release(&finer);
    free(v);
}

TEST(what_is_no_number_is_counted_apart)
{
    struct mem m;
    struct dist_sketch s;
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    assert_true(dist_sketch_add(&s, (double)NAN) && dist_sketch_add(&s, (double)INFINITY));
    assert_true(dist_sketch_add(&s, -(double)INFINITY) && dist_sketch_add_n(&s, (double)NAN, 4));
    dist_sketch_null(&s);
    assert_true(dist_sketch_add_n(&s, 1, 0));
    assert_int_equal(s.n, 0);
    assert_int_equal(s.nans, 5);
    assert_int_equal(s.infs_up, 1);
    assert_int_equal(s.infs_down, 1);
    assert_int_equal(s.nulls, 1);
    assert_true(isnan(dist_sketch_quantile(&s, 0.5)) && s.cells_count == 0);
    assert_true(dist_sketch_add(&s, -0.0) && dist_sketch_add(&s, 0));
    assert_int_equal(s.cells_count, 1);
    assert_true(!signbit(s.min) && !signbit(s.max) && s.granule_exp == DIST_GRANULE_NONE);
    assert_true(dist_sketch_add_n(&s, -0.0, 3));
    assert_int_equal(dist_sketch_cell(&s, 0).n, 5);
    dist_sketch_release(&s);
}

TEST(values_beyond_the_largest_count_are_lost_and_said_so)
{
    struct mem m;
    struct err e = {0};
    struct dist_sketch s, more;
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    dist_sketch_init(&more, &m, DIST_BITS, DIST_CELLS);
    assert_true(dist_sketch_add_n(&s, -1.75e308, DIST_N_MAX - 1) && dist_sketch_add(&s, 2));
    assert_true(!dist_sketch_add(&s, 3) && !dist_sketch_add_n(&s, 3, 7));
    assert_int_equal(s.lost, 8);
    assert_true(s.n == DIST_N_MAX && s.max == 2);
    assert_true(dist_sketch_add(&more, 1));
    assert_false(dist_sketch_merge(&s, &more, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_near(dist_sketch_mean(&s), -1.75e308, 1e296);
    dist_sketch_release(&s);
    dist_sketch_release(&more);
    dist_sketch_init(&more, &m, DIST_BITS - 1, DIST_CELLS);
    dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS);
    assert_false(dist_sketch_merge(&s, &more, &e));
    assert_int_equal(e.code, ERR_INPUT);
}

TEST(many_at_once_and_a_cleared_sketch_are_as_one_by_one)
{
    struct mem m;
    struct dist_sketch one, many;
    struct buf saved, again;
    struct rng r;
    mem_init(&m, 0);
    dist_sketch_init(&one, &m, DIST_BITS, 100);
    dist_sketch_init(&many, &m, DIST_BITS, 100);
    rng_init(&r, test_seed());
    for (int i = 0; i < 3000; i++) {
        assert_true(dist_sketch_add(&many, shape_value(SHAPE_WILD, &r)));
    }
    dist_sketch_clear(&many);
    for (int i = 0; i < 500; i++) {
        double v = shape_value(i % 2 == 0 ? SHAPE_NORMAL : SHAPE_WILD, &r);
        uint64_t times = rng_below(&r, 9);
        assert_true(dist_sketch_add_n(&many, v, times));
        for (uint64_t k = 0; k < times; k++) {
            assert_true(dist_sketch_add(&one, v));
        }
    }
    save_to(&one, &m, &saved);
    save_to(&many, &m, &again);
    assert_same_bytes(&saved, &again);
    buf_release(&saved);
    buf_release(&again);
    dist_sketch_release(&one);
    dist_sketch_release(&many);
}

/* Any byte changed: refused, or something that is a sketch and saves as what was read. */
TEST(a_damaged_sketch_is_refused_or_consistent)
{
    struct mem m;
    struct err e = {0};
    struct dist_sketch s, back;
    struct buf saved, again;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    dist_sketch_init(&s, &m, DIST_BITS, 64);
    for (int i = 0; i < 300; i++) {
        assert_true(dist_sketch_add(&s, shape_value(SHAPE_NORMAL, &r)));
    }
    save_to(&s, &m, &saved);
    unsigned refused = 0;
    for (size_t i = 0; i < saved.n; i++) {
        saved.p[i] ^= (char)(1 << i % 8);
        struct rd rd = rd_of(buf_str(&saved));
        if (dist_sketch_load(&back, &m, &rd, &e)) {
            save_to(&back, &m, &again);
            assert_same_bytes(&saved, &again);
            buf_release(&again);
            dist_sketch_release(&back);
        } else {
            assert_int_equal(e.code, ERR_CORRUPT);
            refused++;
        }
        saved.p[i] ^= (char)(1 << i % 8);
    }
    assert_true(refused > 50);
    for (size_t n = 0; n < saved.n; n++) {
        struct rd rd = rd_of(str_of(saved.p, n));
        assert_false(dist_sketch_load(&back, &m, &rd, &e));
    }
    struct rd rd = rd_of(buf_str(&saved));
    assert_true(dist_sketch_load(&back, &m, &rd, &e) && rd_left(&rd) == 0);
    assert_true(dist_sketch_std(&back) == dist_sketch_std(&s));
    dist_sketch_release(&back);
    dist_sketch_release(&s);
    buf_release(&saved);
    assert_int_equal(m.bytes, 0);
}

/* Whole and in order, but of no values: what would later break a promise or overflow a sum. */
TEST(a_saved_sketch_that_cannot_be_is_refused)
{
    enum { MIN_AT = 52 };
    static const unsigned char two[8] = {0, 0, 0, 0, 0, 0, 0, 0x40};
    struct mem m;
    struct err e = {0};
    struct dist_sketch s, back;
    struct buf saved;
    mem_init(&m, 0);
    dist_sketch_init(&s, &m, DIST_BITS, 64);
    for (int i = 1; i <= 5; i++) {
        assert_true(dist_sketch_add(&s, i));
    }
    for (int what = 0; what < 3; what++) {
        save_to(&s, &m, &saved);
        if (what == 1) { /* the least value is not in the first cell */
            memcpy(saved.p + MIN_AT, two, sizeof two);
        } else if (what == 2) { /* a sum of squares that five values of at most 5 cannot have */
            memset(saved.p + saved.n - 8, 0x7f, 8);
        }
        struct rd r = rd_of(buf_str(&saved));
        assert_int_equal(dist_sketch_load(&back, &m, &r, &e), what == 0);
        dist_sketch_release(&back);
        buf_release(&saved);
    }
    dist_sketch_release(&s);
    assert_int_equal(m.bytes, 0);
}

/* What was taken stays what it was, whichever allocation fails. */
FAULT_TEST(sketches_survive_a_lack_of_memory)
{
    struct dist_sketch s, other, back;
    struct err e = {0};
    struct buf saved;
    uint64_t taken = 0;
    dist_sketch_init(&s, &w->mem, DIST_BITS, 512);
    dist_sketch_init(&other, &w->mem, DIST_BITS, 512);
    for (int i = 0; i < 200; i++) {
        taken += dist_sketch_add(&s, i * 1.37);
        dist_sketch_add(&other, -i);
    }
    assert_int_equal(s.n, taken);
    assert_int_equal(s.lost, 200 - taken);
    bool ok = s.lost == 0 && other.lost == 0;
    uint64_t n = s.n;
    bool merged = dist_sketch_merge(&s, &other, &e);
    assert_int_equal(s.n, merged ? n + other.n : n);
    buf_init(&saved, &w->mem, 1 << 20);
    dist_sketch_save(&s, &saved);
    ok = ok && merged && buf_ok(&saved, &e);
    if (ok) {
        struct rd rd = rd_of(buf_str(&saved));
        ok = dist_sketch_load(&back, &w->mem, &rd, &e);
        assert_int_equal(ok ? back.n : s.n, s.n);
        dist_sketch_release(&back);
    }
    buf_release(&saved);
    dist_sketch_release(&s);
    dist_sketch_release(&other);
    return ok;
}
