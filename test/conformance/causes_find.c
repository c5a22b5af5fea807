/* Causes of many cubes, for the runner `causes` beside this file. Standard input, numbers with
 * spaces between:
 *
 *     WAY DIMS SCALE UNIT LEAVES          WAY: squeeze, scan, adtributor, rate
 *     VALUE... BEFORE NOW BEFORE_OF NOW_OF      LEAVES lines; the last two matter for a rate
 *
 * Standard output, a line per cube: how many causes, then of the first its score, dimensions and
 * elements: "N SCORE DIMS DIM... ELEMENTS VALUE...". Numbers of values must be dense. */
#include "engines/rootcause/rootcause.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 4096

struct input {
    char way[16];
    struct rootcause_cube c;
    struct rootcause_cell *of; /* denominators, by leaf */
};

static bool read_cube(struct input *in)
{
    struct rootcause_cube *c = &in->c;
    if (scanf("%15s %u %lf %lf %u", in->way, &c->dims_count, &c->scale, &c->unit,
              &c->leaves_count) != 5 ||
        c->dims_count > ROOTCAUSE_DIMS_MAX || c->leaves_count > ROOTCAUSE_LEAVES_MAX) {
        return false;
    }
    c->leaves = calloc(c->leaves_count + 1, sizeof *c->leaves);
    in->of = calloc(c->leaves_count + 1, sizeof *in->of);
    if (c->leaves == NULL || in->of == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < c->leaves_count; i++) {
        struct rootcause_leaf *l = &c->leaves[i];
        for (uint32_t d = 0; d < c->dims_count; d++) {
            if (scanf("%hu", &l->values[d]) != 1 || l->values[d] >= VALUES_MAX) {
                return false;
            }
        }
        if (scanf("%lf %lf %lf %lf", &l->before, &l->now, &in->of[i].before_of,
                  &in->of[i].now_of) != 4) {
            return false;
        }
    }
    return true;
}

/* Single dimensions from the leaves. */
static bool adtributor(const struct input *in, struct arena *a, struct rootcause_causes *out,
                       struct err *e)
{
    const struct rootcause_cube *c = &in->c;
    struct rootcause_table tables[ROOTCAUSE_DIMS_MAX];
    for (uint32_t d = 0; d < c->dims_count; d++) {
        struct rootcause_cell *cells = ARENA_ARRAY(a, struct rootcause_cell, VALUES_MAX);
        if (cells == NULL) {
            return err_set(e, ERR_LIMIT, "too many values");
        }
        for (uint32_t i = 0; i < c->leaves_count; i++) {
            struct rootcause_cell *cell = &cells[c->leaves[i].values[d]];
            cell->before += c->leaves[i].before * c->scale;
            cell->now += c->leaves[i].now;
            cell->before_of += in->of[i].before_of * c->scale;
            cell->now_of += in->of[i].now_of;
        }
        tables[d] = (struct rootcause_table){cells, VALUES_MAX};
    }
    return rootcause_adtributor(tables, c->dims_count, strcmp(in->way, "rate") == 0, a, out, e);
}

static void put(const struct rootcause_causes *out)
{
    printf("%u", out->count);
    if (out->count > 0) {
        const struct rootcause_cause *v = &out->v[0];
        printf(" %.6g %u", v->score, v->dims_count);
        for (uint32_t d = 0; d < v->dims_count; d++) {
            printf(" %u", v->dims[d]);
        }
        printf(" %u", v->elements_count);
        for (uint32_t i = 0; i < v->elements_count; i++) {
            for (uint32_t d = 0; d < v->dims_count; d++) {
                printf(" %u", v->elements[i][d]);
            }
        }
    }
    printf("\n");
}

int main(void)
{
    struct mem mem;
    struct arena a;
    struct err e = {0};
    mem_init(&mem, 0);
    arena_init(&a, &mem, (size_t)256 << 20);
    struct input in;
    memset(&in, 0, sizeof in);
    while (read_cube(&in)) {
        struct rootcause_causes out;
        bool ok;
        if (strcmp(in.way, "squeeze") == 0 || strcmp(in.way, "scan") == 0) {
            rootcause_leaves_merge(&in.c);
            ok = strcmp(in.way, "scan") == 0 ? rootcause_scan(&in.c, &a, &out, &e)
                                             : rootcause_squeeze(&in.c, &a, &out, &e);
        } else {
            ok = adtributor(&in, &a, &out, &e);
        }
        if (!ok) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        put(&out);
        free(in.c.leaves);
        free(in.of);
        memset(&in, 0, sizeof in);
        arena_reset(&a);
    }
    free(in.c.leaves);
    free(in.of);
    arena_release(&a);
    return feof(stdin) ? 0 : 1;
}
