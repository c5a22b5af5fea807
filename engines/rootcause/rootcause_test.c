/* Adtributor against its formulas and the paper's example; Squeeze and the scan against brute force
 * over every set of small cubes; bounds, order of leaves, memory that runs out. */
#include "engines/rootcause/cubes_testing_int.h"

static void assert_near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within)) {
        print_error("%.17g is not within %g of %.17g\n", a, within, b);
        fail();
    }
}

/* ---- Adtributor ---- */

static double kl(double p, double m)
{
    return p > 0 ? p * log(p / m) : 0;
}

static double js(double p, double q)
{
    return 0.5 * (kl(p, (p + q) / 2) + kl(q, (p + q) / 2));
}

/* The example of the paper's figure 3: revenue fell from 100 to 50. Data centres and advertisers
 * changed too, but the devices changed their parts. */
TEST(adtributor_names_the_dimension_of_the_papers_example)
{
    struct mem mem;
    struct arena a;
    struct err e = {0};
    struct rootcause_causes out;
    const struct rootcause_cell centres[] = {{94, 47, 0, 0}, {6, 3, 0, 0}};
    const struct rootcause_cell advertisers[] = {
        {50, 24, 0, 0}, {20, 21, 0, 0}, {20, 4, 0, 0}, {10, 1, 0, 0}};
    const struct rootcause_cell devices[] = {{50, 49, 0, 0}, {25, 1, 0, 0}, {25, 0, 0, 0}};
    const struct rootcause_table tables[] = {{centres, 2}, {advertisers, 4}, {devices, 3}};
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 20);
    assert_true(rootcause_adtributor(tables, 3, false, &a, &out, &e));
    assert_int_equal(out.count, 3);
    assert_int_equal(out.v[0].dims_count, 1);
    assert_int_equal(out.v[0].dims[0], 2);
    assert_int_equal(out.v[0].elements_count, 2);
    assert_int_equal(out.v[0].elements[0][0], 2); /* tablets: the most surprising */
    assert_int_equal(out.v[0].elements[1][0], 1);
    assert_near(out.v[0].explained, 0.98, 1e-12);
    assert_near(out.v[0].surprise, js(0.25, 0) + js(0.25, 0.02), 1e-12);
    assert_true(out.v[0].before == 50 && out.v[0].now == 1);
    assert_int_equal(out.v[1].dims[0], 1);
    /* All data centres halved: much explained, nothing surprising. */
    assert_int_equal(out.v[2].dims[0], 0);
    assert_near(out.v[2].surprise, 0, 1e-12);
    arena_release(&a);
}

/* What the rate would be when only these elements had changed: the partial derivative in
 * differences is exactly that. */
TEST(adtributor_of_a_rate_agrees_with_changing_one_element_at_a_time)
{
    struct mem mem;
    struct arena a;
    struct rng r;
    struct err e = {0};
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 20);
    rng_init(&r, test_seed());
    uint32_t named = 0;
    for (uint32_t round = 0; round < 500; round++) {
        struct rootcause_cell v[6];
        struct rootcause_causes out;
        double f1 = 0;
        double f2 = 0;
        double a1 = 0;
        double a2 = 0;
        for (uint32_t i = 0; i < 6; i++) {
            double of = 100 + (double)rng_below(&r, 900);
            double of_now = 100 + (double)rng_below(&r, 900);
            v[i] = (struct rootcause_cell){floor(of * 0.05), floor(of_now * 0.05), of, of_now};
        }
        v[round % 6].now *= 4;
        for (uint32_t i = 0; i < 6; i++) {
            f1 += v[i].before;
            f2 += v[i].before_of;
            a1 += v[i].now;
            a2 += v[i].now_of;
        }
        double all = 0;
        double power[6];
        for (uint32_t i = 0; i < 6; i++) {
            power[i] =
                (f1 + v[i].now - v[i].before) / (f2 + v[i].now_of - v[i].before_of) - f1 / f2;
            all += power[i];
        }
        struct rootcause_table t = {v, 6};
        assert_true(rootcause_adtributor(&t, 1, true, &a, &out, &e));
        if (out.count == 0) {
            continue;
        }
        double explained = 0;
        double surprise = 0;
        for (uint32_t i = 0; i < out.v[0].elements_count; i++) {
            uint32_t k = out.v[0].elements[i][0];
            assert_true(power[k] / all > ROOTCAUSE_EP_ELEMENT);
            explained += power[k] / all;
            surprise +=
                js(v[k].before / f1, v[k].now / a1) + js(v[k].before_of / f2, v[k].now_of / a2);
        }
        assert_true(explained > ROOTCAUSE_EP_SET);
        assert_near(out.v[0].explained, explained, 1e-9);
        assert_near(out.v[0].surprise, surprise, 1e-12);
        for (uint32_t i = 0; i < out.v[0].elements_count; i++) {
            named += out.v[0].elements[i][0] == round % 6;
        }
        arena_reset(&a);
    }
    assert_true(named >= 475);
    arena_release(&a);
}

TEST(adtributor_says_nothing_when_nothing_changed_or_too_much_did)
{
    struct mem mem;
    struct arena a;
    struct err e = {0};
    struct rootcause_causes out;
    const struct rootcause_cell same[] = {{5, 5, 0, 0}, {7, 7, 0, 0}};
    struct rootcause_cell many[200];
    struct rootcause_table t = {same, 2};
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 20);
    assert_true(rootcause_adtributor(&t, 1, false, &a, &out, &e));
    assert_int_equal(out.count, 0);
    for (uint32_t i = 0; i < 200; i++) {
        many[i] = (struct rootcause_cell){10, 20, 0, 0};
    }
    t = (struct rootcause_table){many, 200};
    assert_true(rootcause_adtributor(&t, 1, false, &a, &out, &e));
    assert_int_equal(out.count, 0); /* no value explains a tenth */
    t.count = 0;
    assert_true(rootcause_adtributor(&t, 1, false, &a, &out, &e));
    assert_int_equal(out.count, 0);
    t.count = ROOTCAUSE_VALUES_MAX + 1;
    assert_false(rootcause_adtributor(&t, 1, false, &a, &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    arena_release(&a);
}

/* ---- Squeeze ---- */

static double distance(const struct rootcause_cube *c, const struct rootcause_leaf *l, double x)
{
    double off = fabs(l->now - x) - 3 * sqrt(c->unit * (l->now + x));
    return off > 0 ? off : 0;
}

static double potential_of(const struct rootcause_cube *c, const struct cube_truth *t)
{
    double before = 0;
    double now = 0;
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        if (cube_in(t, &c->leaves[i])) {
            before += c->leaves[i].before;
            now += c->leaves[i].now;
        }
    }
    double was = 0;
    double is = 0;
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        const struct rootcause_leaf *l = &c->leaves[i];
        was += distance(c, l, l->before);
        is += distance(c, l, cube_in(t, l) ? l->before * now / before : l->before);
    }
    return 1 - is / was;
}

TEST(squeeze_finds_what_was_changed_in_small_cubes)
{
    const uint32_t values[] = {4, 3, 5};
    struct cube_world *w = cube_world_new(test_seed());
    for (uint32_t round = 0; round < 300; round++) {
        struct cube_truth t;
        struct rootcause_causes out;
        struct err e = {0};
        cube_fill(w, values, 3);
        w->c.unit = 1e-4; /* next to no chance */
        cube_truth_draw(w, 1 + round % 3, 1 + round % 2, &t);
        t.factor = round % 5 < 3 ? 0.3 : 2.5;
        for (uint32_t i = 0; i < w->c.leaves_count; i++) {
            struct rootcause_leaf *l = &w->leaves[i];
            l->before = 50 + (double)rng_below(&w->rng, 200);
            l->now = cube_in(&t, l) ? l->before * t.factor : l->before;
        }
        rootcause_leaves_merge(&w->c);
        assert_true(rootcause_squeeze(&w->c, &w->a, &out, &e));
        if (t.dims_count == 1 && t.elements_count + 1 == values[t.dims[0]]) {
            continue; /* two of three values: "everything but one" may be as good */
        }
        assert_int_equal(out.count, 1);
        assert_true(cube_named(&out.v[0], &t));
        assert_near(out.v[0].score, potential_of(&w->c, &t), 1e-9);
        assert_near(out.v[0].explained, 1, 1e-9);
        arena_reset(&w->a);
    }
    cube_world_free(w);
}

TEST(squeeze_tells_two_causes_apart)
{
    const uint32_t values[] = {6, 6, 6};
    struct cube_world *w = cube_world_new(1);
    struct rootcause_causes out;
    struct err e = {0};
    struct cube_truth more = {.dims_count = 1, .dims = {0}, .elements_count = 1, .elements = {{2}}};
    struct cube_truth less = {
        .dims_count = 2, .dims = {1, 2}, .elements_count = 1, .elements = {{3, 1}}};
    cube_fill(w, values, 3);
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        struct rootcause_leaf *l = &w->leaves[i];
        l->before = 50 + (double)rng_below(&w->rng, 200);
        l->now = cube_in(&more, l) ? 3 * l->before : cube_in(&less, l) ? l->before / 4 : l->before;
    }
    rootcause_leaves_merge(&w->c);
    assert_true(rootcause_squeeze(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 2);
    assert_true(cube_named(&out.v[0], &more)); /* it changed more */
    assert_true(cube_named(&out.v[1], &less));
    assert_true(out.v[1].explained < 0);
    cube_world_free(w);
}

TEST(squeeze_says_everything_and_nothing)
{
    const uint32_t values[] = {5, 5, 5};
    struct cube_world *w = cube_world_new(2);
    struct rootcause_causes out;
    struct err e = {0};
    cube_fill(w, values, 3);
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        w->leaves[i].before = 100 + (double)rng_below(&w->rng, 100);
        w->leaves[i].now = w->leaves[i].before;
    }
    assert_true(rootcause_squeeze(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 0);
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        w->leaves[i].now *= 2;
    }
    assert_true(rootcause_squeeze(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 1);
    assert_int_equal(out.v[0].dims_count, 0);
    assert_near(out.v[0].explained, 1, 1e-12);
    w->c.leaves_count = 0;
    assert_true(rootcause_squeeze(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 0);
    cube_world_free(w);
}

/* ---- the scan ---- */

static double log_lik(double v, double b, double share)
{
    return (v > 0 ? v * log(share) : 0) + (b > 0 ? b * log(1 - share) : 0);
}

struct brute {
    double best;
    const struct rootcause_cube *c;
};

static void brute_set(struct brute *x, const struct cube_truth *t, uint32_t cells, uint32_t cuboids)
{
    double v = 0;
    double b = 0;
    for (uint32_t i = 0; i < x->c->leaves_count; i++) {
        if (cube_in(t, &x->c->leaves[i])) {
            v += x->c->leaves[i].now;
            b += x->c->leaves[i].before;
        }
    }
    if (v + b == 0) {
        return;
    }
    double expected = x->c->scale / (1 + x->c->scale);
    double score = log_lik(v, b, v / (v + b)) - log_lik(v, b, expected) - log(4.0) - log(cuboids);
    for (uint32_t k = 1; k <= t->elements_count; k++) {
        score -= log((k == 1 ? 2.0 : 20.0) * cells / k);
    }
    x->best = score > x->best ? score : x->best;
}

/* Every set of one, two or three of the cuboid's elements. */
static void brute_cuboid(struct brute *x, const uint32_t *values, uint32_t layer,
                         const uint32_t *dims, uint32_t cuboids)
{
    uint32_t cells = 1;
    for (uint32_t i = 0; i < layer; i++) {
        cells *= values[dims[i]];
    }
    for (uint32_t i = 0; i < cells; i++) {
        for (uint32_t j = i; j < cells; j++) {
            for (uint32_t k = j; k < cells; k++) {
                const uint32_t of[3] = {i, j, k};
                struct cube_truth t = {.dims_count = layer};
                memcpy(t.dims, dims, layer * sizeof *dims);
                for (uint32_t n = 0; n < 3; n++) {
                    if (n > 0 && of[n] == of[n - 1]) {
                        continue;
                    }
                    uint32_t rest = of[n];
                    for (uint32_t d = 0; d < layer; d++) {
                        t.elements[t.elements_count][d] = (uint16_t)(rest % values[dims[d]]);
                        rest /= values[dims[d]];
                    }
                    t.elements_count++;
                }
                brute_set(x, &t, cells, cuboids);
            }
        }
    }
}

static double brute_scan(const struct rootcause_cube *c, const uint32_t *values)
{
    static const uint32_t sets[7][4] = {{1, 0, 0, 0}, {1, 1, 0, 0}, {1, 2, 0, 0}, {2, 0, 1, 0},
                                        {2, 0, 2, 0}, {2, 1, 2, 0}, {3, 0, 1, 2}};
    struct brute x = {.best = -1e9, .c = c};
    struct cube_truth all = {.dims_count = 0, .elements_count = 1};
    brute_set(&x, &all, 1, 1);
    x.best += log(2.0); /* "everything" has no elements to choose */
    for (uint32_t i = 0; i < 7; i++) {
        brute_cuboid(&x, values, sets[i][0], &sets[i][1], sets[i][0] == 3 ? 1 : 3);
    }
    return x.best;
}

TEST(scan_finds_the_best_of_all_sets)
{
    const uint32_t values[] = {3, 3, 2};
    struct cube_world *w = cube_world_new(test_seed());
    uint32_t asked = 0;
    uint32_t best = 0;
    for (uint32_t round = 0; round < 200; round++) {
        struct cube_truth t;
        struct rootcause_causes out;
        struct err e = {0};
        cube_fill(w, values, 3);
        cube_truth_draw(w, 1 + round % 3, 1 + round % 2, &t);
        w->c.scale = round % 2 == 0 ? 1 : 0.5;
        for (uint32_t i = 0; i < w->c.leaves_count; i++) {
            struct rootcause_leaf *l = &w->leaves[i];
            /* No cell is empty, so that the cells are those of brute force. */
            l->before = 1 + (double)rng_poisson(&w->rng, 4);
            l->now = (double)rng_poisson(&w->rng, 4 * w->c.scale * (cube_in(&t, l) ? 4 : 1));
        }
        rootcause_leaves_merge(&w->c);
        assert_true(rootcause_scan(&w->c, &w->a, &out, &e));
        double want = brute_scan(&w->c, values);
        if (out.count == 0) {
            assert_true(want < ROOTCAUSE_SCAN_MIN + 1e-9);
        } else {
            asked++;
            /* Sets of more than three elements are not in brute force, but may be better. */
            if (out.v[0].elements_count <= 3) {
                assert_true(out.v[0].score <= want + 1e-9);
            }
            best += out.v[0].score >= want - 1e-9;
        }
        arena_reset(&w->a);
    }
    assert_true(asked >= 60);
    assert_true(best * 100 >= asked * 97);
    cube_world_free(w);
}

TEST(scan_rarely_names_a_cause_when_there_is_none)
{
    const uint32_t values[] = {3, 5, 12, 27};
    struct cube_world *w = cube_world_new(test_seed());
    uint32_t named = 0;
    for (uint32_t round = 0; round < 200; round++) {
        struct rootcause_causes out;
        struct err e = {0};
        cube_fill(w, values, 4);
        w->c.scale = 0.5;
        for (uint32_t i = 0; i < w->c.leaves_count; i++) {
            struct rootcause_leaf *l = &w->leaves[i];
            double mean = 0.3 / (1 + l->values[2]) * (l->values[0] == 0 ? 3 : 1);
            l->before = (double)rng_poisson(&w->rng, 2 * mean);
            l->now = (double)rng_poisson(&w->rng, mean);
        }
        rootcause_leaves_merge(&w->c);
        assert_true(rootcause_scan(&w->c, &w->a, &out, &e));
        named += out.count > 0;
        arena_reset(&w->a);
    }
    print_message("causes named in 200 cubes without one: %u\n", named);
    assert_true(named <= 16); /* 10 expected at most; 16 is its 97.5 % quantile */
    cube_world_free(w);
}

TEST(scan_says_everything_and_then_what_deviates_from_it)
{
    const uint32_t values[] = {4, 30, 4};
    struct cube_world *w = cube_world_new(5);
    struct rootcause_causes out;
    struct err e = {0};
    struct cube_truth t = {.dims_count = 1, .dims = {1}, .elements_count = 1, .elements = {{2}}};
    cube_fill(w, values, 3);
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        w->leaves[i].before = 6;
        w->leaves[i].now = cube_in(&t, &w->leaves[i]) ? 3 : 12;
    }
    assert_true(rootcause_scan(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 2);
    assert_int_equal(out.v[0].dims_count, 0);
    assert_near(out.v[0].explained, 1, 1e-12);
    assert_true(cube_named(&out.v[1], &t));
    /* As expected: nothing. */
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        w->leaves[i].now = w->leaves[i].before * 2;
    }
    w->c.scale = 2;
    assert_true(rootcause_scan(&w->c, &w->a, &out, &e));
    assert_int_equal(out.count, 0);
    cube_world_free(w);
}

/* ---- both ---- */

TEST(order_of_leaves_and_how_they_are_split_do_not_matter)
{
    const uint32_t values[] = {4, 5, 6};
    struct cube_world *w = cube_world_new(9);
    struct rootcause_leaf *one = malloc(sizeof w->leaves);
    assert_non_null(one);
    for (uint32_t dense = 0; dense < 2; dense++) {
        struct rootcause_causes want;
        struct rootcause_causes got;
        struct err e = {0};
        bool (*find)(const struct rootcause_cube *, struct arena *, struct rootcause_causes *,
                     struct err *) = dense ? rootcause_squeeze : rootcause_scan;
        cube_fill(w, values, 3);
        for (uint32_t i = 0; i < w->c.leaves_count; i++) {
            w->leaves[i].before = (double)rng_poisson(&w->rng, dense ? 160 : 3);
            w->leaves[i].now = (double)rng_poisson(
                &w->rng, (dense ? 160 : 3) * (w->leaves[i].values[1] == 3 ? 3 : 1));
        }
        rootcause_leaves_merge(&w->c);
        assert_int_equal(rootcause_dense(&w->c), dense);
        uint32_t count = w->c.leaves_count;
        memcpy(one, w->leaves, sizeof w->leaves);
        memset(&want, 0, sizeof want);
        memset(&got, 0, sizeof got);
        assert_true(find(&w->c, &w->a, &want, &e));
        assert_true(want.count >= 1);
        /* Each leaf in two parts, shuffled. */
        for (uint32_t i = 0; i < count; i++) {
            w->leaves[i] = one[i];
            w->leaves[i].before = floor(one[i].before / 3);
            w->leaves[i].now = floor(one[i].now / 2);
            w->leaves[count + i] = one[i];
            w->leaves[count + i].before -= w->leaves[i].before;
            w->leaves[count + i].now -= w->leaves[i].now;
        }
        for (uint32_t i = 2 * count; i-- > 1;) {
            uint32_t k = (uint32_t)rng_below(&w->rng, i + 1);
            struct rootcause_leaf x = w->leaves[i];
            w->leaves[i] = w->leaves[k];
            w->leaves[k] = x;
        }
        w->c.leaves_count = 2 * count;
        rootcause_leaves_merge(&w->c);
        assert_int_equal(w->c.leaves_count, count);
        assert_true(find(&w->c, &w->a, &got, &e));
        assert_memory_equal(&got, &want, sizeof want);
        arena_reset(&w->a);
    }
    free(one);
    cube_world_free(w);
}

TEST(what_is_out_of_bounds_is_refused)
{
    const uint32_t values[] = {2, 2};
    struct cube_world *w = cube_world_new(3);
    struct rootcause_causes out;
    struct err e = {0};
    cube_fill(w, values, 2);
    w->leaves[1].now = (double)NAN;
    assert_false(rootcause_scan(&w->c, &w->a, &out, &e));
    assert_int_equal(e.code, ERR_INPUT);
    w->leaves[1].now = -1;
    assert_false(rootcause_squeeze(&w->c, &w->a, &out, &e));
    w->leaves[1].now = 1;
    w->c.scale = 0;
    assert_false(rootcause_squeeze(&w->c, &w->a, &out, &e));
    w->c.scale = 1;
    w->c.leaves_count = ROOTCAUSE_LEAVES_MAX + 1;
    assert_false(rootcause_scan(&w->c, &w->a, &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    w->c.leaves_count = 4;
    w->c.dims_count = ROOTCAUSE_DIMS_MAX + 1;
    assert_false(rootcause_scan(&w->c, &w->a, &out, &e));
    w->c.dims_count = 2;
    assert_true(rootcause_scan(&w->c, &w->a, &out, &e));
    cube_world_free(w);
}

FAULT_TEST(searches_give_up_without_memory)
{
    struct arena a;
    struct err e = {0};
    struct rootcause_causes out;
    struct rootcause_leaf leaves[600];
    struct rootcause_cell cells[3] = {{5, 50, 0, 0}, {5, 5, 0, 0}, {9, 9, 0, 0}};
    struct rootcause_table t = {cells, 3};
    for (uint32_t i = 0; i < 600; i++) {
        leaves[i] = (struct rootcause_leaf){.before = 30, .now = i % 5 == 0 ? 90 : 30};
        leaves[i].values[0] = (uint16_t)(i % 5);
        leaves[i].values[1] = (uint16_t)(i / 5);
    }
    struct rootcause_cube c = {
        .leaves = leaves, .leaves_count = 600, .dims_count = 2, .scale = 1, .unit = 1};
    rootcause_leaves_merge(&c);
    arena_init(&a, &w->mem, 1 << 20);
    bool ok = rootcause_adtributor(&t, 1, false, &a, &out, &e) && out.count == 1;
    arena_release(&a);
    arena_init(&a, &w->mem, 1 << 20);
    ok = ok && rootcause_squeeze(&c, &a, &out, &e) && out.count == 1;
    arena_release(&a);
    arena_init(&a, &w->mem, 1 << 20);
    ok = ok && rootcause_scan(&c, &a, &out, &e) && out.count == 1;
    arena_release(&a);
    assert_true(ok || e.code == ERR_LIMIT);
    return ok;
}
