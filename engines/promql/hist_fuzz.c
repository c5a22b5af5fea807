/* Any histograms that decode, sound or not, go through every operation within bounds; results of
 * valid ones are valid, and no observation appears or vanishes. */
#include "engines/promql/hist_int.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The result's own shape is sound: it survives encoding, and compaction changes nothing more. */
static void check_result(const struct nhist *h, struct arena *a, struct mem *mem)
{
    struct err e = {0};
    struct buf b;
    buf_init(&b, mem, 16U << 20);
    nhist_encode(h, &b);
    ASSERT(!b.failed);
    struct rd r = rd_of(buf_str(&b));
    struct nhist *again = NULL;
    ASSERT(nhist_decode(&r, a, &again, &e));
    ASSERT(nhist_same(h, again));
    buf_reset(&b);
    hist_print(h, &b);
    buf_release(&b);
    const struct nhist *compact = hist_compact(h, a);
    ASSERT(compact != NULL);
    for (uint32_t i = 0; i < compact->pos.counts_n; i++) {
        ASSERT(compact->pos.counts[i] != 0);
    }
    const struct nhist *twice = hist_compact(compact, a);
    ASSERT(twice != NULL);
    ASSERT(nhist_same(compact, twice));
}

static void two(const struct nhist *x, const struct nhist *y, struct arena *a, struct mem *mem)
{
    struct err e = {0};
    unsigned trouble = 0;
    const bool valid = nhist_validate(x, &e) && nhist_validate(y, &e);
    const struct nhist *sum = hist_add(x, y, a, &trouble);
    ASSERT(sum != NULL || (trouble & HIST_INCOMPATIBLE_SCHEMA) != 0);
    if (sum != NULL) {
        check_result(sum, a, mem);
        struct nhist *plain = nhist_copy(sum, a);
        ASSERT(plain != NULL);
        plain->reset =
            x->reset == NHIST_GAUGE || y->reset == NHIST_GAUGE ? NHIST_GAUGE : NHIST_UNKNOWN;
        ASSERT(!valid || nhist_validate(plain, &e));
        const struct nhist *back = hist_sub(sum, y, a, &trouble);
        ASSERT(back != NULL);
        check_result(back, a, mem);
        struct nhist *comp = NULL;
        const struct nhist *kahan = hist_add_kahan(x, &comp, y, a, &trouble);
        ASSERT(kahan != NULL);
        ASSERT(comp != NULL);
        check_result(kahan, a, mem);
    }
    struct hist_mean mean;
    ASSERT(hist_mean_init(&mean, x, a));
    if (hist_mean_add(&mean, y)) {
        const struct nhist *m = hist_mean_value(&mean);
        ASSERT(m != NULL);
        check_result(m, a, mem);
    }
    (void)hist_detect_reset(x, y);
    ASSERT(hist_equal(x, y) == hist_equal(y, x));
}

static void one(const struct nhist *h, double at, struct arena *a, struct mem *mem)
{
    unsigned nan = 0;
    check_result(h, a, mem);
    (void)hist_quantile(at, h, &nan);
    (void)hist_fraction(-at, at, h, &nan);
    (void)hist_stddev(h);
    struct hist_iter it;
    struct hist_bucket b;
    uint32_t up = 0;
    uint32_t down = 0;
    hist_iter_init(&it, h);
    while (hist_iter_next(&it, &b)) {
        up++;
    }
    hist_iter_init_reverse(&it, h);
    while (hist_iter_next(&it, &b)) {
        down++;
    }
    struct err e = {0};
    ASSERT(up == down || !nhist_validate(h, &e));
    const struct nhist *trimmed = hist_trim(h, at, true, a);
    const struct nhist *rest = hist_trim(h, at, false, a);
    const struct nhist *coarse = hist_to_schema(h, h->schema > 0 ? 0 : NHIST_SCHEMA_MIN, a);
    const struct nhist *half = hist_div(h, 2, a);
    ASSERT(trimmed != NULL);
    ASSERT(rest != NULL);
    ASSERT(coarse != NULL);
    ASSERT(half != NULL);
    check_result(trimmed, a, mem);
    check_result(rest, a, mem);
    check_result(coarse, a, mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct arena a;
    arena_init(&a, &mem, 256U << 20);
    struct rd r = rd_of(str_of((const char *)data, size));
    const double at = rd_f64le(&r);
    struct nhist *h[2] = {NULL, NULL};
    struct err e = {0};
    for (int i = 0; i < 2 && !r.failed && nhist_decode(&r, &a, &h[i], &e); i++) {
        one(h[i], at, &a, &mem);
    }
    if (h[0] != NULL && h[1] != NULL) {
        two(h[0], h[1], &a, &mem);
        two(h[1], h[0], &a, &mem);
        two(h[0], h[0], &a, &mem);
    }
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
