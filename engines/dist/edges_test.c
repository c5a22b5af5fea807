/* Every value, frozen edges and what is counted on them, against sorted samples and plain loops. */
#include "engines/dist/dist_testing_int.h"

#define N 30000

static void values_of(struct dist_values *v, struct mem *m, const double *x, size_t n,
                      uint32_t distinct_max)
{
    dist_values_init(v, m, distinct_max);
    for (size_t i = 0; i < n; i++) {
        dist_values_add(v, x[i]);
    }
}

/* numpy.unique(numpy.quantile(x, numpy.linspace(0, 1, 11))) without its ends. */
static uint32_t ten_bins(const double *sorted, size_t n, double *out)
{
    double all[11];
    uint32_t count = 0;
    uint32_t inner = 0;
    for (int i = 0; i <= 10; i++) {
        double q = brute_quantile(sorted, n, i == 10 ? 1 : i * 0.1);
        if (count == 0 || q > all[count - 1]) {
            all[count++] = q;
        }
    }
    for (uint32_t i = 1; i + 1 < count; i++) {
        out[inner++] = all[i];
    }
    return inner;
}

TEST(coarse_cells_are_the_ten_reference_bins)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        struct mem m;
        struct dist_values v;
        struct dist_edges e;
        double inner[10];
        uint64_t slots[DIST_SLOTS] = {0}, coarse[DIST_COARSE], want[DIST_COARSE] = {0};
        double *x = shape_sample((enum shape)shape, test_seed(), N);
        mem_init(&m, 0);
        values_of(&v, &m, x, N, N);
        assert_true(dist_values_settle(&v));
        sort_sample(x, N);
        dist_edges_from_values(&e, &v, DIST_EDGE_CELLS);
        uint32_t bins = ten_bins(x, N, inner) + 1;
        double *y = shape_sample((enum shape)shape, test_seed() + 1, N);
        for (int i = 0; i < N; i++) {
            uint32_t at = 0;
            while (at + 1 < bins && inner[at] <= y[i]) {
                at++;
            }
            want[at]++;
            slots[dist_edges_slot(&e, y[i])]++;
        }
        assert_int_equal(e.coarse_count, bins);
        assert_int_equal(dist_edges_coarse(&e, slots, coarse), bins);
        assert_memory_equal(coarse, want, bins * sizeof *want);
        dist_values_release(&v);
        assert_int_equal(m.bytes, 0);
        free(x);
        free(y);
    }
}

TEST(edges_are_quantiles_and_slots_are_between_edges)
{
    static const uint32_t cells[] = {1, 2, 10, 60, 64};
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t c = 0; c < ARRAY_LEN(cells); c++) {
            struct dist_edges e;
            double *x = shape_sample((enum shape)shape, test_seed() + c, N);
            sort_sample(x, N);
            dist_edges_from_sorted(&e, x, N, cells[c]);
            assert_true(e.cells >= 1 && e.cells <= cells[c]);
            assert_true(e.edge[0] == x[0] && e.edge[e.cells] == x[N - 1]);
            assert_true(shape != SHAPE_NORMAL || e.cells == cells[c]);
            for (uint32_t i = 1; shape == SHAPE_NORMAL && i < e.cells; i++) {
                assert_near(e.edge[i], brute_quantile(x, N, (double)i / cells[c]), 1e-12);
            }
            for (uint32_t i = 0; i <= e.cells; i++) {
                double beside[3] = {nextafter(e.edge[i], -HUGE_VAL), e.edge[i],
                                    nextafter(e.edge[i], HUGE_VAL)};
                for (int k = 0; k < 3; k++) {
                    uint32_t want = 0;
                    while (want + 1 < e.cells && e.edge[want + 1] <= beside[k]) {
                        want++;
                    }
                    want = beside[k] < e.edge[0]         ? DIST_SLOT_UNDER
                           : beside[k] > e.edge[e.cells] ? DIST_SLOT_OVER
                                                         : want;
                    want = isinf(beside[k]) ? DIST_SLOT_NEW : want;
                    assert_int_equal(dist_edges_slot(&e, beside[k]), want);
                }
            }
            assert_int_equal(dist_edges_slot(&e, (double)NAN), DIST_SLOT_NEW);
            free(x);
        }
    }
}

TEST(values_are_the_sorted_sample)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        struct mem m;
        struct dist_values v;
        double *x = shape_sample((enum shape)shape, test_seed() + 3, N);
        mem_init(&m, 0);
        values_of(&v, &m, x, N, N);
        dist_values_add(&v, (double)NAN);
        dist_values_add(&v, (double)INFINITY);
        assert_true(dist_values_settle(&v));
        sort_sample(x, N);
        size_t at = 0;
        for (size_t i = 0; i < v.count; i++) {
            assert_true(i == 0 || v.atoms[i].v > v.atoms[i - 1].v);
            for (uint64_t k = 0; k < v.atoms[i].n; k++) {
                assert_true(x[at++] == v.atoms[i].v);
            }
        }
        assert_int_equal(at, N);
        assert_int_equal(v.n, N);
        for (int i = 0; i <= 100; i++) {
            assert_true(dist_values_quantile(&v, i / 100.0) == brute_quantile(x, N, i / 100.0));
        }
        dist_values_release(&v);
        free(x);
    }
}

TEST(values_over_their_bound_are_over_however_they_are_split)
{
    for (uint32_t distinct = 99; distinct <= 101; distinct++) {
        struct mem m;
        struct dist_values one, a, b;
        mem_init(&m, 0);
        dist_values_init(&one, &m, 100);
        dist_values_init(&a, &m, 100);
        dist_values_init(&b, &m, 100);
        for (uint32_t i = 0; i < 5000; i++) {
            dist_values_add(&one, i % distinct);
            dist_values_add(i % 3 == 0 ? &a : &b, i % distinct);
        }
        dist_values_merge(&a, &b);
        assert_int_equal(dist_values_settle(&one), distinct <= 100);
        assert_int_equal(dist_values_settle(&a), distinct <= 100);
        struct buf saved, again;
        buf_init(&saved, &m, 1 << 20);
        buf_init(&again, &m, 1 << 20);
        dist_values_save(&one, &saved);
        dist_values_save(&a, &again);
        assert_same_bytes(&saved, &again);
        assert_true(isnan(dist_values_quantile(&one, 0.5)) == (distinct > 100));
        buf_release(&saved);
        buf_release(&again);
        dist_values_release(&one);
        dist_values_release(&a);
        dist_values_release(&b);
        assert_int_equal(m.bytes, 0);
    }
}

TEST(edges_of_a_sketch_cut_none_of_its_cells)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        struct mem m;
        struct dist_sketch s;
        struct dist_edges e;
        uint64_t slots[DIST_SLOTS] = {0}, want[DIST_SLOTS] = {0}, fine[64];
        double *x = shape_sample((enum shape)shape, test_seed(), N);
        mem_init(&m, 0);
        dist_sketch_init(&s, &m, DIST_BITS, DIST_CELLS_MAX);
        fill_sketch(&s, x, N);
        dist_edges_from_sketch(&e, &s, DIST_EDGE_CELLS);
        for (int i = 0; i < N; i++) {
            want[dist_edges_slot(&e, x[i])]++;
        }
        dist_sketch_null(&s);
        dist_sketch_add(&s, (double)NAN);
        want[DIST_SLOT_NULL] = want[DIST_SLOT_NEW] = 1;
        dist_edges_count_sketch(&e, &s, slots);
        assert_memory_equal(slots, want, sizeof want);
        uint32_t cells = dist_edges_fine(&e, slots, fine);
        for (uint32_t i = 0; shape <= SHAPE_NORMAL && shape != SHAPE_COUNT && i < cells; i++) {
            assert_true(cells > 20 && fine[i] < N / 8);
        }
        assert_true(e.coarse_count >= 1 && e.coarse_count <= 10);
        dist_sketch_release(&s);
        free(x);
    }
}

TEST(a_constant_and_nothing_have_edges_too)
{
    struct dist_edges e;
    const double same[3] = {7, 7, 7};
    uint64_t slots[DIST_SLOTS] = {0}, out[64];
    dist_edges_from_sorted(&e, same, 3, DIST_EDGE_CELLS);
    assert_int_equal(e.cells, 1);
    assert_int_equal(e.coarse_count, 1);
    assert_int_equal(dist_edges_slot(&e, 7), 0);
    assert_int_equal(dist_edges_slot(&e, 6.9), DIST_SLOT_UNDER);
    assert_int_equal(dist_edges_slot(&e, 7.1), DIST_SLOT_OVER);
    slots[DIST_SLOT_UNDER] = 1;
    slots[0] = 2;
    slots[DIST_SLOT_OVER] = 4;
    assert_int_equal(dist_edges_fine(&e, slots, out), 1);
    assert_int_equal(out[0], 7);
    dist_edges_from_sorted(&e, same, 0, DIST_EDGE_CELLS);
    assert_int_equal(dist_edges_slot(&e, 7), DIST_SLOT_NEW);
    assert_int_equal(dist_edges_fine(&e, slots, out), 0);
    assert_int_equal(dist_edges_coarse(&e, slots, out), 0);
    dist_edges_from_sorted(&e, same, 3, 7);
    assert_int_equal(e.coarse_count, 0);
}

TEST(edges_come_back_as_they_were)
{
    static const uint32_t cells[] = {1, 7, 10, 60, 64};
    for (int shape = 0; shape < SHAPES; shape++) {
        for (size_t c = 0; c <= ARRAY_LEN(cells); c++) {
            struct mem m;
            struct err err = {0};
            struct buf saved;
            struct dist_edges e, back;
            double *x = shape_sample((enum shape)shape, test_seed() + c, 500);
            sort_sample(x, 500);
            bool empty = c == ARRAY_LEN(cells);
            dist_edges_from_sorted(&e, x, empty ? 0 : 500, empty ? 60 : cells[c]);
            mem_init(&m, 0);
            buf_init(&saved, &m, 4096);
            dist_edges_save(&e, &saved);
            struct rd r = rd_of(buf_str(&saved));
            assert_true(dist_edges_load(&back, &r, &err) && rd_left(&r) == 0);
            assert_memory_equal(&back, &e, sizeof e);
            r = rd_of(str_of(saved.p, saved.n - 1));
            assert_false(dist_edges_load(&back, &r, &err));
            assert_int_equal(back.cells, 0);
            buf_release(&saved);
            free(x);
        }
    }
}

/* Short of memory a multiset is over, and says so; nothing else may happen. */
FAULT_TEST(values_survive_a_lack_of_memory)
{
    struct dist_values v, other, back;
    struct buf saved;
    struct err e = {0};
    dist_values_init(&v, &w->mem, 5000);
    dist_values_init(&other, &w->mem, 5000);
    for (int i = 0; i < 3000; i++) {
        dist_values_add(&v, i % 700);
        dist_values_add(&other, i % 900);
    }
    dist_values_merge(&v, &other);
    bool ok = dist_values_settle(&v);
    assert_int_equal(v.n, ok ? 6000 : 0);
    buf_init(&saved, &w->mem, 1 << 20);
    dist_values_save(&v, &saved);
    ok = buf_ok(&saved, &e) && ok;
    if (ok) {
        struct rd r = rd_of(buf_str(&saved));
        ok = dist_values_load(&back, &w->mem, &r, &e);
        assert_int_equal(ok ? back.count : 900, 900);
        dist_values_release(&back);
    }
    buf_release(&saved);
    dist_values_release(&v);
    dist_values_release(&other);
    return ok;
}
