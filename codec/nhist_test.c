#include "codec/nhist.h"

#include "base/test.h"

#include <math.h>

#define BYTES_MAX (1 << 20)

static const struct nhist_span pos_spans[] = {{-3, 2}, {4, 3}};
static const struct nhist_span neg_spans[] = {{7, 1}};
static const double pos_counts[] = {3, 4, 0, 1, 2};
static const double neg_counts[] = {5};

/* The arrays are copied, so that a test may change them. */
static struct nhist *sample(struct arena *a)
{
    union {
        const void *c;
        void *p;
    } ps = {pos_spans}, ns = {neg_spans}, pc = {pos_counts}, nc = {neg_counts};
    struct nhist h = {
        .schema = 3,
        .reset = NHIST_NO_RESET,
        .integer = true,
        .zero_threshold = 0x1.0p-128,
        .zero_count = 2,
        .count = 17,
        .sum = -12.75,
        .pos = {ps.p, pc.p, ARRAY_LEN(pos_spans), ARRAY_LEN(pos_counts)},
        .neg = {ns.p, nc.p, ARRAY_LEN(neg_spans), ARRAY_LEN(neg_counts)},
    };
    struct nhist *copy = nhist_copy(&h, a);
    assert_non_null(copy);
    return copy;
}

struct world {
    struct mem mem;
    struct arena a;
    struct buf b;
};

static void world_init(struct world *w)
{
    mem_init(&w->mem, 0);
    arena_init(&w->a, &w->mem, BYTES_MAX);
    buf_init(&w->b, &w->mem, BYTES_MAX);
}

static void world_release(struct world *w)
{
    buf_release(&w->b);
    arena_release(&w->a);
    assert_int_equal(w->mem.bytes, 0);
}

static void survives(struct world *w, const struct nhist *h)
{
    struct nhist *back = NULL;
    struct err e = {0};
    buf_reset(&w->b);
    nhist_encode(h, &w->b);
    assert_false(w->b.failed);
    struct rd r = rd_of(buf_str(&w->b));
    assert_true(nhist_decode(&r, &w->a, &back, &e));
    assert_int_equal(rd_left(&r), 0);
    assert_true(nhist_same(h, back));
    /* Each shorter piece is refused, whatever was cut. */
    for (size_t n = 0; n < w->b.n; n++) {
        struct rd cut = rd_of(str_of(w->b.p, n));
        assert_false(nhist_decode(&cut, &w->a, &back, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
}

TEST(nhist_bytes_come_back)
{
    struct world w;
    world_init(&w);
    struct nhist *h = sample(&w.a);
    survives(&w, h);
    assert_true(w.b.n < 42); /* 18 of them two doubles */
    const double odd[] = {-0.0, 0.5, 1e300, -INFINITY, NAN, 9007199254740993.0 * 2, 5e-324};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        h = sample(&w.a);
        h->pos.counts[1] = odd[i];
        survives(&w, h);
        h->neg.counts[0] = odd[i];
        survives(&w, h);
        h->count = odd[i];
        h->sum = odd[i];
        survives(&w, h);
    }
    h = sample(&w.a);
    h->pos.counts[0] = -0x1.0p53;
    h->pos.counts[1] = 0x1.0p53;
    h->reset = NHIST_GAUGE;
    survives(&w, h);
    world_release(&w);
}

TEST(nhist_bytes_of_special_histograms)
{
    struct world w;
    world_init(&w);
    struct nhist empty = {.schema = NHIST_SCHEMA_MIN, .sum = stale_nan()};
    survives(&w, &empty);
    struct nhist *back = NULL;
    struct rd r = rd_of(buf_str(&w.b));
    assert_true(nhist_decode(&r, &w.a, &back, NULL));
    assert_true(is_stale_nan(back->sum));
    struct nhist_span span = {0, 3};
    double counts[] = {1, 2.5, 3};
    double bounds[] = {-1, 0.25};
    struct nhist custom = {.schema = NHIST_SCHEMA_CUSTOM,
                           .reset = NHIST_GAUGE,
                           .count = 6.5,
                           .sum = 1,
                           .pos = {&span, counts, 1, 3},
                           .custom = bounds,
                           .custom_n = 2};
    survives(&w, &custom);
    assert_true(nhist_validate(&custom, NULL));
    world_release(&w);
}

TEST(nhist_same_sees_every_field)
{
    struct world w;
    world_init(&w);
    struct nhist *a = sample(&w.a);
    assert_true(nhist_same(a, sample(&w.a)));
    struct nhist *b[12];
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        b[i] = sample(&w.a);
    }
    b[0]->schema = 4;
    b[1]->reset = NHIST_RESET;
    b[2]->integer = false;
    b[3]->zero_threshold = 0;
    b[4]->zero_count = 3;
    b[5]->count = 18;
    b[6]->sum = 12.75;
    b[7]->pos.spans[1].offset = 5;
    b[8]->pos.counts[2] = -0.0;
    b[9]->neg.spans[0].length = 2;
    b[10]->neg.counts[0] = 6;
    b[11]->custom = a->pos.counts;
    b[11]->custom_n = 1;
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        assert_false(nhist_same(a, b[i]));
        survives(&w, b[i]->neg.spans[0].length == 2 ? a : b[i]);
    }
    world_release(&w);
}

static void refused(const struct nhist *h, const char *why)
{
    struct err e = {0};
    assert_false(nhist_validate(h, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, why);
}

TEST(nhist_validate_says_what_is_wrong)
{
    struct world w;
    world_init(&w);
    struct nhist *h = sample(&w.a);
    assert_true(nhist_validate(h, NULL));
    h->schema = 9;
    refused(h, "schema 9 is neither -4 to 8 nor -53");
    h = sample(&w.a);
    h->pos.spans[1].offset = -1;
    refused(h, "positive side: span number 2 has the negative offset -1");
    h = sample(&w.a);
    h->neg.spans[0].length = 2;
    refused(h, "negative side: spans need 2 buckets, have 1 buckets");
    h = sample(&w.a);
    h->pos.counts[2] = -1;
    refused(h, "positive side: bucket number 3 has the observation count -1");
    h->reset = NHIST_GAUGE;
    h->count = 16;
    assert_true(nhist_validate(h, NULL));
    h = sample(&w.a);
    h->count = 18;
    refused(h, "17 observations found in buckets, but the count is 18");
    h->sum = NAN; /* one observation was NaN */
    assert_true(nhist_validate(h, NULL));
    h->count = 16;
    refused(h, "17 observations found in buckets, but the count is 16");
    h->integer = false;
    assert_true(nhist_validate(h, NULL));
    h = sample(&w.a);
    h->custom = h->pos.counts;
    h->custom_n = 1;
    refused(h, "schema 3 has no custom bounds, found 1");
    world_release(&w);
}

TEST(nhist_validate_wants_whole_counts_of_an_integer_histogram)
{
    static const double bad[] = {-1, 0.5, 0x1.0p63, (double)NAN};
    struct nhist h = {.integer = true};
    assert_true(nhist_validate(&h, NULL));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        h.zero_count = bad[i];
        h.count = bad[i] > 0 ? bad[i] : 0;
        h.sum = (double)NAN; /* observations of NaN are in no bucket */
        assert_false(nhist_validate(&h, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
}

TEST(nhist_validate_of_custom_bounds)
{
    struct nhist_span span = {0, 3};
    double counts[] = {1, 2, 3};
    double bounds[] = {-1, 0.25, 1};
    struct nhist h = {.schema = NHIST_SCHEMA_CUSTOM,
                      .integer = true,
                      .count = 6,
                      .pos = {&span, counts, 1, 3},
                      .custom = bounds,
                      .custom_n = 2};
    assert_true(nhist_validate(&h, NULL));
    h.custom_n = 1;
    refused(&h, "custom buckets: 1 bounds are too few for spans that end at 3");
    h.custom_n = 3;
    bounds[1] = -1;
    refused(&h, "custom buckets: bound number 2 is -1 after -1");
    bounds[1] = NAN;
    refused(&h, "custom buckets: bound number 2 is nan after -1");
    bounds[1] = 0;
    bounds[2] = INFINITY;
    refused(&h, "custom buckets: last bound must not be infinite");
    bounds[2] = 1;
    h.zero_count = 1;
    h.count = 7;
    refused(&h, "custom buckets: must have no zero bucket");
    h.zero_count = 0;
    h.neg = h.pos;
    refused(&h, "custom buckets: must not have negative buckets");
}

/* "schema | offset+length... | counts | negative counts" after reducing, or "error: MESSAGE". */
static struct str reduced(struct world *w, const struct nhist *h, int32_t schema)
{
    struct nhist *copy = nhist_copy(h, &w->a);
    struct err e;
    buf_reset(&w->b);
    if (!nhist_reduce(copy, schema, &e)) {
        buf_fmt(&w->b, "error: %s", e.msg);
        return buf_str(&w->b);
    }
    buf_fmt(&w->b, "%d |", copy->schema);
    for (uint32_t i = 0; i < copy->pos.spans_n; i++) {
        buf_fmt(&w->b, " %d+%u", copy->pos.spans[i].offset, copy->pos.spans[i].length);
    }
    BUF_LIT(&w->b, " |");
    for (uint32_t i = 0; i < copy->pos.counts_n; i++) {
        buf_fmt(&w->b, " %g", copy->pos.counts[i]);
    }
    for (uint32_t i = 0; i < copy->neg.spans_n; i++) {
        buf_fmt(&w->b, " | %d+%u: %g", copy->neg.spans[i].offset, copy->neg.spans[i].length,
                copy->neg.counts[0]);
    }
    assert_true(nhist_validate(copy, &e));
    return buf_str(&w->b);
}

TEST(nhist_reduce_joins_neighbours)
{
    struct world w;
    world_init(&w);
    struct nhist *h = sample(&w.a); /* schema 3: 3 and 4 at -3, -2; 0, 1, 2 at 3, 4, 5; 5 at 7 */
    assert_str(reduced(&w, h, 2), STR("2 | -1+1 2+2 | 7 1 2 | 4+1: 5"));
    assert_str(reduced(&w, h, 1), STR("1 | 0+3 | 7 1 2 | 2+1: 5"));
    assert_str(reduced(&w, h, 0), STR("0 | 0+2 | 7 3 | 1+1: 5"));
    assert_str(reduced(&w, h, -4), STR("-4 | 0+2 | 7 3 | 1+1: 5"));
    h->pos.spans[1].offset = 2;
    assert_str(reduced(&w, h, 2), STR("2 | -1+1 1+2 | 7 1 2 | 4+1: 5"));
    h->schema = 52; /* far more than is stored, and the index of 2^31 - 1 buckets */
    h->pos.spans[1].offset = INT32_MAX;
    assert_str(reduced(&w, h, 8), STR("8 | 0+2 | 7 3 | 1+1: 5"));
    assert_str(reduced(&w, h, 3), STR("3 | 0+2 | 7 3 | 1+1: 5"));
    h->pos.spans[0] = (struct nhist_span){0, 0}; /* empty spans vanish */
    h->pos.spans[1].length = 5;
    h->pos.spans[1].offset = 1;
    h->schema = 1;
    assert_str(reduced(&w, h, 0), STR("0 | 1+3 | 7 1 2 | 4+1: 5"));
    world_release(&w);
}

TEST(nhist_reduce_refuses_what_cannot_be)
{
    struct world w;
    world_init(&w);
    struct nhist *h = sample(&w.a);
    assert_str(reduced(&w, h, 3), STR("error: schema 3 cannot become schema 3"));
    assert_str(reduced(&w, h, 8), STR("error: schema 3 cannot become schema 8"));
    assert_str(reduced(&w, h, -5), STR("error: schema 3 cannot become schema -5"));
    h->schema = NHIST_SCHEMA_CUSTOM;
    assert_str(reduced(&w, h, -4), STR("error: schema -53 cannot become schema -4"));
    h->schema = 53;
    assert_str(reduced(&w, h, 8), STR("error: schema 53 cannot become schema 8"));
    h = sample(&w.a);
    h->pos.spans[1].offset = -1;
    assert_str(reduced(&w, h, 0), STR("error: span number 2 has no place or no counts"));
    h = sample(&w.a);
    h->pos.spans[1].length = 4;
    assert_str(reduced(&w, h, 0), STR("error: span number 2 has no place or no counts"));
    world_release(&w);
}

TEST(nhist_decode_refuses_what_is_too_large)
{
    struct world w;
    world_init(&w);
    struct nhist_span spans[] = {{0, NHIST_BUCKETS_MAX}, {0, 1}};
    double *counts = mem_take(&w.mem, (NHIST_BUCKETS_MAX + 1) * sizeof *counts);
    struct nhist h = {.pos = {spans, counts, 1, NHIST_BUCKETS_MAX}};
    struct nhist *back = NULL;
    struct err e = {0};
    nhist_encode(&h, &w.b);
    struct rd r = rd_of(buf_str(&w.b));
    assert_true(nhist_decode(&r, &w.a, &back, &e));
    assert_true(nhist_same(&h, back));
    buf_reset(&w.b);
    h.pos.spans_n = 2;
    h.pos.counts_n++;
    nhist_encode(&h, &w.b);
    r = rd_of(buf_str(&w.b));
    assert_false(nhist_decode(&r, &w.a, &back, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    /* A count beyond 2^53 cannot have been written as a whole number. */
    const unsigned char huge[] = {64,   0,    0,    0,    0,    0,    0,    0, 0, 0,
                                  0,    0,    0,    0,    0,    0,    0,    0, 0, 0x80,
                                  0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0};
    r = rd_of(str_of((const char *)huge, sizeof huge));
    assert_false(nhist_decode(&r, &w.a, &back, &e));
    assert_string_equal(e.msg, "damaged histogram: counts");
    mem_give(&w.mem, counts, (NHIST_BUCKETS_MAX + 1) * sizeof *counts);
    world_release(&w);
}

FAULT_TEST(nhist_without_memory)
{
    struct arena a;
    struct buf b;
    struct nhist_span span = {1, 2};
    double counts[] = {1, 2};
    struct nhist h = {.count = 3, .integer = true, .pos = {&span, counts, 1, 2}};
    struct nhist *back = NULL;
    arena_init(&a, &w->mem, 1 << 20);
    buf_init(&b, &w->mem, 1 << 20);
    nhist_encode(&h, &b);
    bool ok = buf_ok(&b, NULL);
    struct rd r = rd_of(buf_str(&b));
    ok = ok && nhist_decode(&r, &a, &back, NULL) && nhist_copy(back, &a) != NULL;
    assert_true(!ok || nhist_same(back, &h));
    buf_release(&b);
    arena_release(&a);
    return ok;
}
