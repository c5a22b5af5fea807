/* 200 injections each: a cube with the noise of counts, one cause changed by a factor, and the
 * cause must be named first and exactly in at least 95 %. For Squeeze in dense cubes, for the scan
 * in thin ones. The same on a stream's own leaves: test/conformance/causes. */
#include "engines/rootcause/cubes_testing_int.h"

#define INJECTIONS 200

/* Uneven dimensions, as segments are. */
static double size_of(const struct rootcause_leaf *l, uint32_t dims)
{
    double size = 1;
    for (uint32_t d = 0; d < dims; d++) {
        size /= 1 + 0.3 * l->values[d];
    }
    return size;
}

struct law {
    uint32_t values[4];
    double total;   /* cases expected before */
    double scale;   /* of now */
    double expects; /* least cases expected now in an element of the cause */
    double factor_from, factor_to;
};

/* The least of the elements' expected cases now: an element that nobody can see is not asked
 * for. */
static double least_element(const struct cube_world *w, const struct law *law, double all,
                            const struct cube_truth *t)
{
    double least = (double)INFINITY;
    for (uint32_t k = 0; k < t->elements_count; k++) {
        struct cube_truth one = *t;
        double inside = 0;
        one.elements_count = 1;
        memcpy(one.elements[0], t->elements[k], sizeof one.elements[0]);
        for (uint32_t i = 0; i < w->c.leaves_count; i++) {
            inside += cube_in(&one, &w->leaves[i]) ? size_of(&w->leaves[i], 4) : 0;
        }
        least = fmin(least, inside / all * law->total * law->scale);
    }
    return least;
}

/* One world; returns whether its cause is the first named. */
static bool inject(struct cube_world *w, const struct law *law, uint32_t layer, uint32_t elements,
                   bool (*find)(const struct rootcause_cube *, struct arena *,
                                struct rootcause_causes *, struct err *))
{
    struct cube_truth t;
    struct rootcause_causes out;
    struct err e = {0};
    double all = 0;
    cube_fill(w, law->values, 4);
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        all += size_of(&w->leaves[i], 4);
    }
    do {
        cube_truth_draw(w, layer, elements, &t);
    } while (least_element(w, law, all, &t) < law->expects);
    t.factor = law->factor_from + rng_f64(&w->rng) * (law->factor_to - law->factor_from);
    w->c.scale = law->scale;
    for (uint32_t i = 0; i < w->c.leaves_count; i++) {
        struct rootcause_leaf *l = &w->leaves[i];
        double mean = size_of(l, 4) / all * law->total;
        l->before = (double)rng_poisson(&w->rng, mean);
        l->now = (double)rng_poisson(&w->rng, mean * law->scale * (cube_in(&t, l) ? t.factor : 1));
    }
    rootcause_leaves_merge(&w->c);
    assert_true(find(&w->c, &w->a, &out, &e));
    bool right = out.count > 0 && cube_named(&out.v[0], &t);
    arena_reset(&w->a);
    return right;
}

static void inject_all(const struct law *law, const char *name,
                       bool (*find)(const struct rootcause_cube *, struct arena *,
                                    struct rootcause_causes *, struct err *))
{
    uint64_t seed = test_seed();
    uint32_t right[ROOTCAUSE_LAYERS_MAX] = {0};
    uint32_t all[ROOTCAUSE_LAYERS_MAX] = {0};
    struct cube_world *w = cube_world_new(seed);
    for (uint32_t i = 0; i < INJECTIONS; i++) {
        uint32_t layer = 1 + i % ROOTCAUSE_LAYERS_MAX;
        all[layer - 1]++;
        right[layer - 1] += inject(w, law, layer, 1 + i / 3 % 2, find);
    }
    print_message("%s, seed %llu: named right %u of %u, %u of %u, %u of %u (1, 2, 3 dimensions)\n",
                  name, (unsigned long long)seed, right[0], all[0], right[1], all[1], right[2],
                  all[2]);
    assert_true((right[0] + right[1] + right[2]) * 100 >= INJECTIONS * 95);
    cube_world_free(w);
}

TEST(squeeze_names_95_of_100_injections_into_dense_cubes)
{
    const struct law more = {{4, 5, 6, 8}, 200000, 1, 200, 1.6, 3};
    const struct law less = {{4, 5, 6, 8}, 400000, 0.5, 200, 0.2, 0.6};
    inject_all(&more, "squeeze, more", rootcause_squeeze);
    inject_all(&less, "squeeze, less", rootcause_squeeze);
}

TEST(scan_names_95_of_100_injections_into_thin_cubes)
{
    const struct law law = {{4, 5, 6, 27}, 1200, 0.5, 12, 4, 8};
    inject_all(&law, "scan", rootcause_scan);
}
