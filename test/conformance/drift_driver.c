/* The distances of engines/dist over a labelled stream, for test/conformance/drift.
 *
 * Lines on standard input, fields apart by tabs:
 *
 *   h NUMBERS CATEGORIES    how many of each a decision has
 *   d FIELDS                a decision: its numbers, then its categories; an empty field is a null
 *   e                       end of the reference (the first), or of a day: figures are printed
 *   p D N M                 the chance of a KS distance D of N and M values
 *
 * Printed are lines "FIELD KEY VALUE", a figure each; "." ends a day. Decisions of a day go to two
 * sketches in turn, which are then merged. */
#include "base/str.h"
#include "engines/dist/dist.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX     512
#define LINE_BYTES_MAX ((size_t)1 << 20)
#define PARTS          2

struct number {
    struct dist_sketch ref, part[PARTS];
    struct dist_values values;
    struct dist_edges edges;
    uint64_t ref_slots[DIST_SLOTS], slots[DIST_SLOTS];
};

struct category {
    struct dist_cats ref, day;
};

struct driver {
    struct mem mem;
    struct number *numbers;
    struct category *cats;
    uint32_t numbers_count, cats_count;
    bool sealed; /* the reference is complete */
    uint64_t line;
};

static noreturn void stop(const struct driver *d, const char *why)
{
    fprintf(stderr, "line %llu: %s\n", (unsigned long long)d->line, why);
    exit(1);
}

static double number_of(const struct driver *d, struct str text)
{
    double v = 0;
    if (!str_to_f64(text, &v)) {
        stop(d, "not a number");
    }
    return v;
}

static uint32_t split(struct str line, struct str *out)
{
    uint32_t n = 0;
    struct str_cut cut = {.tail = line, .ok = true};
    while (cut.ok && n < FIELDS_MAX) {
        cut = str_cut(cut.tail, '\t');
        out[n++] = cut.head;
    }
    return n;
}

static void head(struct driver *d, const struct str *f, uint32_t n, int bits)
{
    uint64_t numbers = 0;
    uint64_t cats = 0;
    if (n != 3 || d->numbers != NULL || !str_to_u64(f[1], &numbers) || !str_to_u64(f[2], &cats) ||
        numbers + cats >= FIELDS_MAX) {
        stop(d, "expected h NUMBERS CATEGORIES, once");
    }
    d->numbers_count = (uint32_t)numbers;
    d->cats_count = (uint32_t)cats;
    d->numbers = mem_take(&d->mem, numbers * sizeof *d->numbers);
    d->cats = mem_take(&d->mem, cats * sizeof *d->cats);
    if (d->numbers == NULL || d->cats == NULL) {
        stop(d, "no memory");
    }
    for (uint32_t i = 0; i < d->numbers_count; i++) {
        dist_sketch_init(&d->numbers[i].ref, &d->mem, bits, DIST_CELLS);
        for (int k = 0; k < PARTS; k++) {
            dist_sketch_init(&d->numbers[i].part[k], &d->mem, bits, DIST_CELLS);
        }
        dist_values_init(&d->numbers[i].values, &d->mem, 1 << 20);
    }
    for (uint32_t i = 0; i < d->cats_count; i++) {
        dist_cats_init(&d->cats[i].ref, &d->mem, 1024);
        dist_cats_init_like(&d->cats[i].day, &d->mem, &d->cats[i].ref, 1024);
    }
}

static void add_number(struct driver *d, struct number *x, struct str text)
{
    struct dist_sketch *s = d->sealed ? &x->part[d->line % PARTS] : &x->ref;
    if (text.n == 0) {
        dist_sketch_null(s);
        x->slots[DIST_SLOT_NULL]++;
        return;
    }
    double v = number_of(d, text);
    if (!dist_sketch_add(s, v)) {
        stop(d, "no memory");
    }
    if (d->sealed) {
        x->slots[dist_edges_slot(&x->edges, v)]++;
    } else {
        dist_values_add(&x->values, v);
    }
}

static void decision(struct driver *d, const struct str *f, uint32_t n)
{
    if (n != 1 + d->numbers_count + d->cats_count) {
        stop(d, "not as many fields as said");
    }
    for (uint32_t i = 0; i < d->numbers_count; i++) {
        add_number(d, &d->numbers[i], f[1 + i]);
    }
    for (uint32_t i = 0; i < d->cats_count; i++) {
        struct dist_cats *c = d->sealed ? &d->cats[i].day : &d->cats[i].ref;
        struct str value = f[1 + d->numbers_count + i];
        if (value.n == 0) {
            dist_cats_null(c);
        } else if (!dist_cats_add(c, value)) {
            stop(d, "no memory");
        }
    }
}

static void seal(struct driver *d)
{
    for (uint32_t i = 0; i < d->numbers_count; i++) {
        struct number *x = &d->numbers[i];
        if (!dist_values_settle(&x->values)) {
            stop(d, "too many distinct values in the reference");
        }
        dist_edges_from_values(&x->edges, &x->values, DIST_EDGE_CELLS);
        dist_edges_count_values(&x->edges, &x->values, x->ref_slots);
        for (uint32_t k = 0, last = 0; x->edges.coarse_count > 0 && k < x->edges.cells; k++) {
            if (x->edges.coarse[k] != last) {
                last = x->edges.coarse[k];
                printf("%u edge %.17g\n", i, x->edges.edge[k]);
            }
        }
        dist_values_release(&x->values);
        memset(x->slots, 0, sizeof x->slots);
    }
    d->sealed = true;
}

static void print(uint32_t field, const char *key, double value)
{
    printf("%u %s %.17g\n", field, key, value);
}

static void print_number(struct driver *d, uint32_t i)
{
    static const double qs[7] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
    struct number *x = &d->numbers[i];
    struct dist_sketch *s = &x->part[0];
    struct dist_distances dist;
    struct dist_shares shares;
    struct err e = {0};
    uint64_t ref[DIST_COARSE];
    uint64_t cur[DIST_COARSE];
    if (!dist_sketch_merge(s, &x->part[1], &e)) {
        stop(d, e.msg);
    }
    uint32_t bins = dist_edges_coarse(&x->edges, x->ref_slots, ref);
    dist_edges_coarse(&x->edges, x->slots, cur);
    dist_counts_compare(ref, cur, bins, &shares);
    dist_sketch_compare(&x->ref, s, &dist);
    print(i, "n", (double)s->n);
    print(i, "nulls", (double)x->slots[DIST_SLOT_NULL]);
    print(i, "mean", dist_sketch_mean(s));
    print(i, "std", dist_sketch_std(s));
    print(i, "min", s->min);
    print(i, "max", s->max);
    for (int k = 0; k < 7; k++) {
        print(i, "q", dist_sketch_quantile(s, qs[k]));
    }
    print(i, "out_of_range", (double)(x->slots[DIST_SLOT_UNDER] + x->slots[DIST_SLOT_OVER]));
    print(i, "psi_ref10", shares.psi);
    print(i, "ks", dist.ks.value);
    print(i, "ks_lo", dist.ks.lo);
    print(i, "ks_hi", dist.ks.hi);
    print(i, "w1_norm", dist.w1_norm);
    print(i, "w1_norm_err", dist.w1_norm_err);
    print(i, "cells", s->cells_count);
    for (int k = 0; k < PARTS; k++) {
        dist_sketch_clear(&x->part[k]);
    }
    memset(x->slots, 0, sizeof x->slots);
}

static void print_category(struct driver *d, uint32_t i)
{
    struct dist_cats *c = &d->cats[i].day;
    struct dist_shares s;
    uint32_t field = d->numbers_count + i;
    dist_cats_compare(&d->cats[i].ref, c, &s);
    print(field, "n", (double)c->n);
    print(field, "psi", s.psi);
    print(field, "js", s.js);
    print(field, "hellinger", s.hellinger);
    print(field, "chi2", s.chi2);
    print(field, "chi2_p", s.chi2_p);
    print(field, "linf", s.linf);
    print(field, "tvd", s.tvd);
    for (uint32_t k = dist_cats_new_from(c); k < dist_cats_count(c); k++) {
        printf("%u new:%.*s %llu\n", field, STR_FMT(dist_cats_value(c, k)),
               (unsigned long long)dist_cats_n(c, k));
    }
    dist_cats_clear(c);
}

static void end(struct driver *d)
{
    if (!d->sealed) {
        seal(d);
    } else {
        for (uint32_t i = 0; i < d->numbers_count; i++) {
            print_number(d, i);
        }
        for (uint32_t i = 0; i < d->cats_count; i++) {
            print_category(d, i);
        }
    }
    printf(".\n");
}

static void chance(struct driver *d, const struct str *f, uint32_t n)
{
    if (n != 4) {
        stop(d, "expected p D N M");
    }
    printf("%.17g\n", dist_ks_p(number_of(d, f[1]), (uint64_t)number_of(d, f[2]),
                                (uint64_t)number_of(d, f[3])));
}

static void release(struct driver *d)
{
    for (uint32_t i = 0; i < d->numbers_count; i++) {
        dist_sketch_release(&d->numbers[i].ref);
        for (int k = 0; k < PARTS; k++) {
            dist_sketch_release(&d->numbers[i].part[k]);
        }
        dist_values_release(&d->numbers[i].values);
    }
    for (uint32_t i = 0; i < d->cats_count; i++) {
        dist_cats_release(&d->cats[i].day);
        dist_cats_release(&d->cats[i].ref);
    }
    mem_give(&d->mem, d->numbers, d->numbers_count * sizeof *d->numbers);
    mem_give(&d->mem, d->cats, d->cats_count * sizeof *d->cats);
    ASSERT(d->mem.bytes == 0);
}

int main(int argc, char **argv)
{
    struct driver d = {0};
    struct str f[FIELDS_MAX];
    uint64_t bits = DIST_BITS;
    if (argc > 1 &&
        (!str_to_u64(str_from_c(argv[1]), &bits) || bits < DIST_BITS_MIN || bits > DIST_BITS_MAX)) {
        fprintf(stderr, "usage: drift_driver [BITS %d..%d] < LINES\n", DIST_BITS_MIN,
                DIST_BITS_MAX);
        return 2;
    }
    mem_init(&d.mem, 0);
    char *line = mem_take(&d.mem, LINE_BYTES_MAX);
    while (line != NULL && fgets(line, (int)LINE_BYTES_MAX, stdin) != NULL) {
        struct str text = str_from_c(line);
        text.n -= text.n > 0 && text.p[text.n - 1] == '\n';
        uint32_t n = split(text, f);
        d.line++;
        if (str_eq(f[0], STR("h"))) {
            head(&d, f, n, (int)bits);
        } else if (str_eq(f[0], STR("d"))) {
            decision(&d, f, n);
        } else if (str_eq(f[0], STR("e"))) {
            end(&d);
        } else if (str_eq(f[0], STR("p"))) {
            chance(&d, f, n);
        } else {
            stop(&d, "expected h, d, e or p");
        }
    }
    fflush(stdout);
    mem_give(&d.mem, line, LINE_BYTES_MAX);
    release(&d);
    return 0;
}
