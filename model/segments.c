/* Segments ranked: every value of every dimension with its rate now, how sure that is, what it was
 * before, and whether it changed, with all of them tested together.
 *
 * The rate is of decisions: predicted positive (hold_rate) or frauds let through (the others).
 * A segment of three decisions would head every list, so that rates are drawn to the mean of their
 * dimension (engines/rootcause, empirical Bayes) before they are ranked. A segment differs when its
 * p-value survives Benjamini-Hochberg at 5 % over all segments tested and its Wilson interval
 * excludes the rate before.
 *
 * Sources: Fisher's exact test; Benjamini, Hochberg, J. R. Statist. Soc. B 57 (1995); Wilson, JASA
 * 22 (1927). */
#include "model/causes_int.h"

#include "engines/dist/dist.h"

#include <math.h>
#include <stdlib.h>

#define FDR 0.05

struct segment {
    uint32_t dim, value;
    struct rootcause_rate now, before;
    double shrunk, p, q;
};

static double log_choose(uint64_t n, uint64_t k)
{
    int sign = 0;
    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
           lgamma_r((double)(n - k) + 1, &sign);
}

double model_fisher_p(uint64_t hits1, uint64_t n1, uint64_t hits0, uint64_t n0)
{
    if (n1 == 0 || n0 == 0) {
        return 1;
    }
    const uint64_t hits = hits1 + hits0;
    const uint64_t least = hits > n0 ? hits - n0 : 0;
    const uint64_t most = hits < n1 ? hits : n1;
    const double n = (double)n1 + (double)n0;
    const bool above = (double)hits1 * n >= (double)hits * (double)n1;
    double term = exp(log_choose(n1, hits1) + log_choose(n0, hits0) - log_choose(n1 + n0, hits));
    double tail = term;
    /* Away from the mean terms fall, soon faster than by half. */
    for (uint64_t k = hits1; k != (above ? most : least) && term > tail * 1e-17;
         k = above ? k + 1 : k - 1) {
        double kd = (double)k;
        double not_hit = (double)n0 - (double)hits + kd; /* of the other side */
        term *= above ? ((double)n1 - kd) * ((double)hits - kd) / ((kd + 1) * (not_hit + 1))
                      : kd * not_hit / (((double)n1 - kd + 1) * ((double)hits - kd + 1));
        tail += term;
    }
    return tail >= 0.5 ? 1 : 2 * tail;
}

static struct rootcause_rate rate_of(const struct model_causes *c,
                                     const struct model_segment_sum *sum)
{
    uint64_t hits = c->q.figure == MODEL_CAUSES_HOLD_RATE ? sum->held : sum->missed;
    return (struct rootcause_rate){.hits = hits < sum->n ? hits : sum->n, .n = sum->n};
}

/* Those without decisions on a side were not tested: their q is 1. */
static bool adjust(struct arena *a, struct segment *v, uint32_t count)
{
    double *p = ARENA_ARRAY(a, double, count);
    uint32_t *order = ARENA_ARRAY(a, uint32_t, count);
    if (p == NULL || order == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        p[i] = v[i].now.n > 0 && v[i].before.n > 0 ? v[i].p : (double)NAN;
    }
    (void)dist_fdr_adjust(DIST_BH, p, count, FDR, p, order);
    for (uint32_t i = 0; i < count; i++) {
        v[i].q = isnan(p[i]) ? 1 : p[i];
    }
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const struct segment *x = a;
    const struct segment *y = b;
    if (x->shrunk != y->shrunk) {
        return x->shrunk > y->shrunk ? -1 : 1;
    }
    if (x->dim != y->dim) {
        return x->dim < y->dim ? -1 : 1;
    }
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Segments with decisions now. *out may be NULL when there are none. */
static bool collect(const struct model_causes *c, struct segment **out, uint32_t *count)
{
    size_t all = 0;
    for (uint32_t d = 0; d < c->dims_count; d++) {
        all += c->dims[d].count;
    }
    *count = 0;
    *out = ARENA_ARRAY(c->a, struct segment, all);
    struct rootcause_rate *rates = ARENA_ARRAY(c->a, struct rootcause_rate, all);
    if (*out == NULL || rates == NULL) {
        return false;
    }
    for (uint32_t d = 0; d < c->dims_count; d++) {
        struct rootcause_prior prior;
        uint32_t first = *count;
        for (uint32_t i = 0; i < c->dims[d].count; i++) {
            struct segment s = {.dim = d,
                                .value = i,
                                .now = rate_of(c, &c->dims[d].sums[MODEL_NOW][i]),
                                .before = rate_of(c, &c->dims[d].sums[MODEL_BEFORE][i])};
            if (s.now.n > 0) {
                s.p = model_fisher_p(s.now.hits, s.now.n, s.before.hits, s.before.n);
                rates[*count - first] = s.now;
                (*out)[(*count)++] = s;
            }
        }
        rootcause_prior_fit(rates, *count - first, &prior);
        for (uint32_t i = first; i < *count; i++) {
            (*out)[i].shrunk = rootcause_shrunk(&prior, (*out)[i].now);
        }
    }
    return true;
}

static void put_segment(struct buf *b, const struct model *m, const struct model_causes *c,
                        const struct segment *s)
{
    struct model_figure now;
    model_wilson(s->now.hits, s->now.n, &now);
    double before = s->before.n > 0 ? (double)s->before.hits / (double)s->before.n : (double)NAN;
    BUF_LIT(b, "{\"dimension\":");
    buf_json_str(b, m->c->segments.v[s->dim]);
    BUF_LIT(b, ",\"value\":");
    if (s->value == MODEL_CAUSES_MISSING) {
        BUF_LIT(b, "null");
    } else {
        buf_json_str(b, c->dims[s->dim].values[s->value]);
    }
    buf_fmt(b, ",\"n\":%llu,\"hits\":%llu,\"rate\":", (unsigned long long)s->now.n,
            (unsigned long long)s->now.hits);
    buf_json_f64(b, now.value);
    BUF_LIT(b, ",\"lo\":");
    buf_json_f64(b, now.lo);
    BUF_LIT(b, ",\"hi\":");
    buf_json_f64(b, now.hi);
    BUF_LIT(b, ",\"shrunk\":");
    buf_json_f64(b, s->shrunk);
    buf_fmt(b,
            ",\"before_n\":%llu,\"before_hits\":%llu,\"before\":", (unsigned long long)s->before.n,
            (unsigned long long)s->before.hits);
    buf_json_f64(b, before);
    BUF_LIT(b, ",\"p\":");
    buf_json_f64(b, s->p);
    BUF_LIT(b, ",\"q\":");
    buf_json_f64(b, s->q);
    bool differs = s->q <= FDR && (now.lo > before || now.hi < before);
    buf_fmt(b, ",\"differs\":%s}", differs ? "true" : "false");
}

bool model_segments_json(const struct model *m, const struct model_causes *c, struct buf *out)
{
    struct segment *v = NULL;
    uint32_t count = 0;
    if (!collect(c, &v, &count) || !adjust(c->a, v, count)) {
        return false;
    }
    qsort(v, count, sizeof *v, by_rank);
    buf_fmt(out, ",\"segments_total\":%u,\"segments\":[", count);
    for (uint32_t i = 0; i < count && i < MODEL_CAUSES_SEGMENTS_MAX; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        put_segment(out, m, c, &v[i]);
    }
    buf_char(out, ']');
    return true;
}
