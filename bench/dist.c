/* What the drift statistics cost: nanoseconds per feature value (one thread) of the sketch at 6, 7
 * and 8 bits, of the slot among frozen edges and its count in nine windows (all and eight
 * segments), of categories by text and by index; and per comparison of a day with its reference, of
 * p-values and of 3,200 adjusted ones. 50 features of the kinds that fraud models have; the
 * contenders take turns, the best of several rounds is printed.
 *
 *     build/bench_dist [decisions a round, default 20000] */
#include "engines/dist/dist.h"

#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FEATURES 50
#define ROWS     1024 /* decisions that are repeated; each round has others of the same law */
#define SEGMENTS 9
#define ROUNDS   7
#define WIDTHS   3
#define TESTS    3200

struct bench {
    struct mem mem;
    struct rng rng;
    double values[ROWS][FEATURES];
    struct dist_sketch ref[FEATURES], day[WIDTHS][FEATURES];
    struct dist_edges edges[FEATURES];
    uint32_t slots[FEATURES][SEGMENTS][DIST_SLOTS];
    struct dist_cats cats;
    double best[8];
    double p[TESTS];
    uint32_t order[TESTS];
};

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Money, counts, shares, averages, a score: by the number of the feature. */
static double value_of(struct rng *r, uint32_t feature)
{
    double z = rng_normal(r);
    switch (feature % 5) {
    case 0: return rint(100 * exp(3.7 + 0.9 * z)) / 100;
    case 1: return (double)rng_poisson(r, 3 + feature);
    case 2: return rng_f64(r) < 0.95 ? 0 : rint(rng_f64(r) * 1e4) / 1e4;
    case 3: return 50 + 20 * z;
    default: return 1 / (1 + exp(6 - 1.5 * z));
    }
}

static void fill(struct bench *b)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t k = 0; k < FEATURES; k++) {
            b->values[i][k] = value_of(&b->rng, k);
        }
    }
}

static void reference(struct bench *b)
{
    for (uint32_t k = 0; k < FEATURES; k++) {
        dist_sketch_init(&b->ref[k], &b->mem, DIST_BITS, DIST_CELLS);
        for (int w = 0; w < WIDTHS; w++) {
            dist_sketch_init(&b->day[w][k], &b->mem, 6 + w, DIST_CELLS);
        }
        for (int i = 0; i < 100000; i++) {
            if (!dist_sketch_add(&b->ref[k], value_of(&b->rng, k))) {
                abort();
            }
        }
        dist_edges_from_sketch(&b->edges[k], &b->ref[k], DIST_EDGE_CELLS);
    }
}

static void note(struct bench *b, int what, double from_ns, double count)
{
    double ns = (cpu_ns() - from_ns) / count;
    b->best[what] = b->best[what] <= 0 || ns < b->best[what] ? ns : b->best[what];
}

static void sketches(struct bench *b, int width, uint64_t decisions)
{
    double t = cpu_ns();
    for (uint64_t i = 0; i < decisions; i++) {
        for (uint32_t k = 0; k < FEATURES; k++) {
            dist_sketch_add(&b->day[width][k], b->values[i % ROWS][k]);
        }
    }
    note(b, width, t, (double)decisions * FEATURES);
}

static void frozen(struct bench *b, uint64_t decisions)
{
    double t = cpu_ns();
    for (uint64_t i = 0; i < decisions; i++) {
        for (uint32_t k = 0; k < FEATURES; k++) {
            uint32_t slot = dist_edges_slot(&b->edges[k], b->values[i % ROWS][k]);
            for (uint32_t s = 0; s < SEGMENTS; s++) {
                b->slots[k][s][slot]++;
            }
        }
    }
    note(b, 3, t, (double)decisions * FEATURES);
}

static void categories(struct bench *b, uint64_t decisions)
{
    static const struct str values[8] = {
        STR_INIT("app"),      STR_INIT("web"),   STR_INIT("api"), STR_INIT("10000274"),
        STR_INIT("10002877"), STR_INIT("phone"), STR_INIT("evp"), STR_INIT("SP")};
    double t = cpu_ns();
    for (uint64_t i = 0; i < decisions * 8; i++) {
        dist_cats_add(&b->cats, values[(i * 2654435761u >> 7) % 8]);
    }
    note(b, 4, t, (double)decisions * 8);
    t = cpu_ns();
    for (uint64_t i = 0; i < decisions * 8; i++) {
        dist_cats_add_at(&b->cats, (uint32_t)((i * 2654435761u >> 7) % 8));
    }
    note(b, 5, t, (double)decisions * 8);
}

static double compare_all(struct bench *b, int width)
{
    struct dist_distances d;
    double sum = 0;
    double t = cpu_ns();
    for (uint32_t k = 0; k < FEATURES; k++) {
        dist_sketch_compare(&b->ref[k], &b->day[width][k], &d);
        sum += d.ks.value;
    }
    note(b, 6, t, FEATURES);
    return sum;
}

static double chances(struct bench *b)
{
    double t = cpu_ns();
    for (int i = 0; i < TESTS; i++) {
        b->p[i] = dist_ks_p(0.005 + 0.03 * rng_f64(&b->rng), 100000, 9000);
    }
    double held = dist_fdr_adjust(DIST_BH, b->p, TESTS, 0.05, b->p, b->order);
    note(b, 7, t, TESTS);
    return held;
}

int main(int argc, char **argv)
{
    uint64_t decisions = 20000;
    if (argc > 1 && !str_to_u64(str_from_c(argv[1]), &decisions)) {
        fprintf(stderr, "usage: bench_dist [decisions]\n");
        return 2;
    }
    struct bench *b = calloc(1, sizeof *b);
    double kept = 0;
    if (b == NULL) {
        return 1;
    }
    mem_init(&b->mem, 0);
    rng_init(&b->rng, 1);
    reference(b);
    dist_cats_init(&b->cats, &b->mem, 1024);
    for (int round = 0; round < ROUNDS; round++) {
        fill(b);
        for (int w = 0; w < WIDTHS; w++) {
            sketches(b, w, decisions);
        }
        frozen(b, decisions);
        categories(b, decisions);
        kept += compare_all(b, 1) + chances(b);
    }
    size_t cells = 0, bytes = 0;
    for (uint32_t k = 0; k < FEATURES; k++) {
        const struct dist_sketch *s = &b->day[1][k];
        cells += s->cells_count;
        bytes +=
            sizeof *s + s->cells_cap * sizeof *s->cells + (s->hints_mask + 1) * sizeof *s->hints;
    }
    printf(
        "sketch, a value:       %5.1f ns (6 bits) %5.1f (7) %5.1f (8); %zu cells and %zu bytes a "
        "feature at 7\n",
        b->best[0], b->best[1], b->best[2], cells / FEATURES, bytes / FEATURES);
    printf("frozen edges, a value: %5.1f ns with %d counts\n", b->best[3], SEGMENTS);
    printf("category:              %5.1f ns by text, %.1f by index\n", b->best[4], b->best[5]);
    printf("a day against its reference: %.1f us; a KS p-value of 100,000 and 9,000, adjusted: "
           "%.2f us (%g)\n",
           b->best[6] / 1e3, b->best[7] / 1e3, kept);
    double total = b->best[1] + b->best[3];
    printf("sketch and frozen edges of %d features: %.0f decisions/s on one core\n", FEATURES,
           1e9 / (total * FEATURES));
    for (uint32_t k = 0; k < FEATURES; k++) {
        dist_sketch_release(&b->ref[k]);
        for (int w = 0; w < WIDTHS; w++) {
            dist_sketch_release(&b->day[w][k]);
        }
    }
    dist_cats_release(&b->cats);
    ASSERT(b->mem.bytes == 0);
    free(b);
    return 0;
}
