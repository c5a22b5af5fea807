/* EXPLAIN: what is counted at which node, that the counts sum up to those of the query on any
 * number of threads, that asking changes no answer and not asking costs no look at the clock. */
#include "engines/promql/eval_test_int.h"

#include "base/os.h"
#include "codec/json.h"

#include <stdio.h>

#define MINUTE_MS 60000
#define T         (10 * MINUTE_MS)
#define NOT       UINT32_MAX /* selects nothing */

/* What one node is expected to be. */
struct told {
    int kind;
    uint32_t depth, parent;
    const char *head;
    uint32_t start, end; /* of the text */
    uint32_t steps, matched;
    uint64_t samples, series, points;
    unsigned ways;
};

static void fill(struct world *w)
{
    assert_true(load(w, "a_total{g=\"1\", i=\"1\"} 0+60x10"));
    assert_true(load(w, "a_total{g=\"1\", i=\"2\"} 0+30x10"));
    assert_true(load(w, "a_total{g=\"2\", i=\"3\"} 0+10x10"));
    assert_true(load(w, "b{i=\"1\", z=\"p\"} 2x10"));
    assert_true(load(w, "b{i=\"2\", z=\"q\"} 4x10"));
    assert_true(load(w, "h{i=\"1\"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x10"));
    assert_true(load(w, "target_info{instance=\"x\", job=\"y\", k=\"v\"} 1x10"));
    assert_true(load(w, "up{instance=\"x\", job=\"y\"} 1x10"));
}

static void world_open(struct world *w, struct mem *m)
{
    mem_init(m, 0);
    world_init(w, m);
    fill(w);
    w->q.flags = PROMQL_DELAYED_NAME_REMOVAL;
    w->q.explain = PROMQL_EXPLAIN_RUN;
}

static struct str json_of(struct world *w)
{
    struct buf b;
    buf_init(&b, w->mem, 8U << 20);
    promql_explain_json(w->r.explain, &b);
    assert_false(b.failed);
    struct str s = arena_str(&w->arena, buf_str(&b));
    buf_release(&b);
    return s;
}

/* The text of "head" of each node, as it stands in the JSON. */
static void expect_head(struct world *w, uint32_t i, const char *head)
{
    struct json_doc d;
    struct err e = {0};
    uint32_t node = 0;
    struct json_parser *p = json_parser_new(w->mem, 100000, 8U << 20);
    assert_non_null(p);
    assert_true(json_parse(p, json_of(w), false, &d, &e));
    for (uint32_t k = 0; k < d.tokens_count; k++) {
        if (str_eq(d.tokens[k].key, STR("head")) && node++ == i) {
            assert_str(d.tokens[k].v.str, str_from_c(head));
        }
    }
    assert_true(node > i);
    json_parser_free(p);
}

static void expect(struct world *w, const char *text, int64_t start, int64_t end, int64_t step,
                   const struct told *v, uint32_t n)
{
    assert_true(eval_at(w, text, start, end, step));
    const struct promql_explain *x = w->r.explain;
    assert_non_null(x);
    assert_int_equal(x->nodes_n, n);
    assert_int_equal(x->nodes_all, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct explain_node *o = &x->nodes[i];
        assert_int_equal(o->kind, v[i].kind);
        assert_int_equal(o->depth, v[i].depth);
        assert_int_equal(o->parent, v[i].parent);
        assert_int_equal(o->start, v[i].start);
        assert_int_equal(o->end, v[i].end);
        assert_int_equal(o->steps, v[i].steps);
        assert_int_equal(o->selected, v[i].matched != NOT);
        assert_int_equal(o->series_matched, v[i].matched == NOT ? 0 : v[i].matched);
        assert_int_equal(o->samples_read, v[i].samples);
        assert_int_equal(o->series_out, v[i].series);
        assert_int_equal(o->points_out, v[i].points);
        assert_int_equal(o->ways, v[i].ways);
        expect_head(w, i, v[i].head);
    }
}

TEST(explain_counts_an_aggregation_of_a_rate)
{
    static const struct told v[] = {
        {PLAN_AGGREGATE, 0, 0, "sum by (g)", 0, 30, 1, NOT, 0, 2, 2, EXPLAIN_STREAMED},
        {PLAN_CALL, 1, 0, "rate()", 12, 29, 1, NOT, 0, 3, 3, EXPLAIN_RUNNING},
        {PLAN_RANGE, 2, 1, "a_total[5m]", 17, 28, 1, 3, 15, 3, 15, 0},
    };
    struct mem m;
    struct world w;
    world_open(&w, &m);
    expect(&w, "sum by (g) (rate(a_total[5m]))", T, T, 0, v, ARRAY_LEN(v));
    const struct promql_explain *x = w.r.explain;
    assert_int_equal(x->nodes[2].from_ms, 5 * MINUTE_MS + 1);
    assert_int_equal(x->nodes[2].to_ms, T);
    assert_int_equal(x->nodes[2].range_ms, 5 * MINUTE_MS);
    assert_int_equal(x->stats.samples_read, 15);
    assert_int_equal(x->stats.series_read, 3);
    assert_int_equal(x->series_out, 2);
    assert_int_equal(x->points_out, 2);
    w.q.flags = 0; /* names go at once: rate() gathers its rows */
    expect(&w, "sum by (g) (rate(a_total[5m]))", T, T, 0, v, ARRAY_LEN(v));
    world_release(&w);
}

TEST(explain_counts_both_sides_of_a_matching)
{
    static const struct told v[] = {
        {PLAN_BINARY, 0, 0, "/ on (i) group_left (z)", 0, 33, 11, NOT, 0, 2, 22,
         EXPLAIN_WHOLE_ROWS},
        {PLAN_SELECTOR, 1, 0, "a_total", 0, 7, 11, 3, 33, 3, 33, EXPLAIN_SAME_TIMES},
        {PLAN_SELECTOR, 1, 0, "b", 32, 33, 11, 2, 22, 2, 22, EXPLAIN_SAME_TIMES},
    };
    struct mem m;
    struct world w;
    world_open(&w, &m);
    expect(&w, "a_total / on (i) group_left (z) b", 0, T, MINUTE_MS, v, ARRAY_LEN(v));
    assert_true(
        str_contains(json_of(&w), STR("\"name\":\"/\",\"bool\":false,\"matching\":{\"cardinality\":"
                                      "\"many-to-one\",\"on\":[\"i\"],\"include\":[\"z\"]}")));
    world_release(&w);
}

TEST(explain_counts_the_steps_of_a_subquery)
{
    static const struct told v[] = {
        {PLAN_CALL, 0, 0, "max_over_time()", 0, 45, 1, NOT, 0, 1, 1, 0},
        {PLAN_SUBQUERY, 1, 0, "[3m:1m] offset 1m", 14, 41, 1, NOT, 0, 1, 3, 0},
        {PLAN_AGGREGATE, 2, 1, "sum", 14, 26, 3, NOT, 0, 1, 3, EXPLAIN_STREAMED},
        {PLAN_SELECTOR, 3, 2, "a_total", 18, 25, 3, 3, 21, 3, 9, EXPLAIN_SAME_TIMES},
    };
    struct mem m;
    struct world w;
    world_open(&w, &m);
    expect(&w, "max_over_time(sum(a_total)[3m:] offset 1m   )", T, T, 0, v, ARRAY_LEN(v));
    assert_true(str_contains(
        json_of(&w), STR("\"range_ms\":180000,\"step_ms\":60000,\"offset_ms\":60000,\"samples")));
    world_release(&w);
}

TEST(explain_tells_what_is_evaluated_once)
{
    static const struct told v[] = {
        {PLAN_FIXED, 0, 0, "step_invariant", 0, 13, 11, NOT, 0, 3, 33, EXPLAIN_ONCE},
        {PLAN_SELECTOR, 1, 0, "a_total @ 120.000", 0, 13, 1, 3, 9, 3, 3, 0},
    };
    struct mem m;
    struct world w;
    world_open(&w, &m);
    expect(&w, "a_total @ 120", 0, T, MINUTE_MS, v, ARRAY_LEN(v));
    assert_int_equal(w.r.explain->nodes[1].at_ms, 2 * MINUTE_MS);
    assert_int_equal(w.r.explain->nodes[1].from_ms, -3 * MINUTE_MS + 1);
    world_release(&w);
}

TEST(explain_counts_scalars_times_and_matrices)
{
    static const struct told scalars[] = {
        {PLAN_BINARY, 0, 0, "*", 0, 20, 1, NOT, 0, 1, 1, 0},
        {PLAN_CALL, 1, 0, "scalar()", 0, 16, 1, NOT, 0, 1, 1, 0},
        {PLAN_SELECTOR, 2, 1, "b{i=\"1\"}", 7, 15, 1, 1, 5, 1, 1, 0},
        {PLAN_NUMBER, 1, 0, "2", 19, 20, 1, NOT, 0, 1, 1, 0},
    };
    static const struct told times[] = {
        {PLAN_CALL, 0, 0, "timestamp()", 0, 18, 1, NOT, 0, 3, 3, 0},
        {PLAN_SELECTOR, 1, 0, "a_total", 10, 17, 1, 3, 15, 3, 3, 0},
    };
    static const struct told matrix[] = {
        {PLAN_RANGE, 0, 0, "a_total[2m]", 0, 11, 1, 3, 6, 3, 6, 0},
    };
    static const struct told inner[] = {
        {PLAN_SUBQUERY, 0, 0, "[2m:1m]", 0, 9, 1, NOT, 0, 2, 4, 0},
        {PLAN_NEGATE, 1, 0, "-", 1, 3, 2, NOT, 0, 2, 4, 0},
        {PLAN_SELECTOR, 2, 1, "b", 2, 3, 2, 2, 12, 2, 4, EXPLAIN_SAME_TIMES},
    };
    static const struct told infos[] = {
        {PLAN_CALL, 0, 0, "info()", 0, 8, 1, 1, 5, 1, 1, 0},
        {PLAN_SELECTOR, 1, 0, "up", 5, 7, 1, 1, 5, 1, 1, 0},
    };
    static const struct told buckets[] = {
        {PLAN_CALL, 0, 0, "histogram_count()", 0, 18, 1, NOT, 0, 1, 1, 0},
        {PLAN_SELECTOR, 1, 0, "h", 16, 17, 1, 1, 5, 1, 1, EXPLAIN_NO_BUCKETS},
    };
    struct mem m;
    struct world w;
    world_open(&w, &m);
    expect(&w, "scalar(b{i=\"1\"}) * 2", T, T, 0, scalars, ARRAY_LEN(scalars));
    assert_int_equal(w.r.explain->points_out, 1);
    expect(&w, "timestamp(a_total)", T, T, 0, times, ARRAY_LEN(times));
    expect(&w, "a_total[2m]", T, T, 0, matrix, ARRAY_LEN(matrix));
    assert_int_equal(w.r.explain->points_out, 6);
    expect(&w, "(-b)[2m:]", T, T, 0, inner, ARRAY_LEN(inner));
    expect(&w, "info(up)", T, T, 0, infos, ARRAY_LEN(infos));
    expect(&w, "histogram_count(h)", T, T, 0, buckets, ARRAY_LEN(buckets));
    world_release(&w);
}

TEST(explain_as_json_is_this)
{
    static const char want[] =
        "{\"mode\":\"run\",\"type\":\"vector\",\"lookback_ms\":300000,\"nodes\":["
        "{\"id\":0,\"parent\":null,\"depth\":0,\"kind\":\"negation\",\"head\":\"-\","
        "\"text\":\"-a_total{i=~\\\"1|2\\\"} offset 1m\",\"line\":1,\"column\":1,\"start\":0,"
        "\"end\":31,\"type\":\"vector\",\"steps\":1,\"samples_read\":0,\"series\":2,\"points\":2,"
        "\"self_ns\":0,\"total_ns\":0,\"ways\":[]},"
        "{\"id\":1,\"parent\":0,\"depth\":1,\"kind\":\"selector\","
        "\"head\":\"a_total{i=~\\\"1|2\\\"} offset 1m\","
        "\"text\":\"a_total{i=~\\\"1|2\\\"} offset 1m\",\"line\":2,\"column\":3,\"start\":4,"
        "\"end\":31,\"type\":\"vector\",\"steps\":1,\"matchers\":["
        "{\"name\":\"i\",\"op\":\"=~\",\"value\":\"1|2\"},"
        "{\"name\":\"__name__\",\"op\":\"=\",\"value\":\"a_total\"}],\"offset_ms\":60000,"
        "\"from_ms\":240001,\"to_ms\":540000,\"series_matched\":2,\"samples_read\":10,"
        "\"series\":2,\"points\":2,\"self_ns\":0,\"total_ns\":0,\"ways\":[]}],\"nodes_all\":2,"
        "\"totals\":{\"eval_ns\":0,\"series_read\":2,\"busy_ns\":0,\"waited_ns\":0,\"threads\":1,"
        "\"samples_read\":10,\"samples_peak\":2,\"series\":2,\"points\":2,\"bytes\":";
    struct mem m;
    struct world w;
    world_open(&w, &m);
    assert_true(eval_at(&w, "-\n  a_total{i=~'1|2'} offset 1m", T, T, 0));
    struct str got = json_of(&w);
    assert_str(str_sub(got, 0, sizeof want - 1), str_from_c(want));
    assert_true(str_ends(got, STR("}}")));
    world_release(&w);
}

/* --- sums ------------------------------------------------------------------------------------- */

static const char *const texts[] = {
    "sum by (g) (rate(a_total[5m]))",
    "avg(a_total) + scalar(b{i=\"1\"})",
    "max_over_time(sum(rate(a_total[3m]))[10m:1m])",
    "topk(2, rate(a_total[5m])) or sum without (i) (a_total @ 300)",
    "rate(a_total[5m]) / on (i) group_left (z) (b > 3)",
    "a_total + on (i) fill (0) b",
    "sum by (g) (max_over_time(a_total[5m:30s] offset 1m))",
    "histogram_quantile(0.9, h) or label_replace(a_total, \"z\", \"$1\", \"i\", \"(.*)\")",
    "info(up) or absent(nothing) or absent_over_time(nothing[5m])",
    "count_values(\"v\", a_total) unless quantile(0.5, a_total @ end())",
    "sort_desc(-abs(a_total)) or timestamp(b @ 60 offset 5m) or vector(time())",
    "sum_over_time(timestamp(b)[4m:] @ 300) or rate(a_total[5m] anchored) or a_total smoothed",
    "histogram_count(h) + 1 or stddev by (g) (deriv(a_total[4m]))",
    "pi() * 2",
    "quantile(2, a_total)",
};

static void check_sums(struct world *w)
{
    const struct promql_explain *x = w->r.explain;
    struct err e = {0};
    struct json_doc d;
    uint64_t samples = 0;
    int64_t self_ns = 0;
    assert_non_null(x);
    for (uint32_t i = 0; i < x->nodes_n; i++) {
        int64_t below_ns = 0;
        for (uint32_t k = i + 1; k < x->nodes_n; k++) {
            below_ns += x->nodes[k].parent == i ? x->nodes[k].total_ns : 0;
        }
        assert_true(x->nodes[i].self_ns >= 0);
        assert_int_equal(x->nodes[i].total_ns, x->nodes[i].self_ns + below_ns);
        assert_true(i == 0 || x->nodes[i].parent < i);
        samples += x->nodes[i].samples_read;
        self_ns += x->nodes[i].self_ns;
    }
    assert_int_equal(samples, w->r.stats.samples_read);
    assert_int_equal(samples, x->stats.samples_read);
    assert_int_equal(self_ns, x->busy_ns);
    assert_int_equal(x->nodes[0].total_ns, x->busy_ns);
    struct json_parser *p = json_parser_new(w->mem, 100000, 8U << 20);
    assert_non_null(p);
    assert_true(json_parse(p, json_of(w), false, &d, &e));
    json_parser_free(p);
}

static void expect_same(struct world *w, const struct promql_result *plain, const char *text)
{
    const struct promql_result *r = &w->r;
    if (!same_results(plain, r) || plain->notes_n != r->notes_n) {
        print_error("%s: another answer when explained\n", text);
        fail();
    }
    for (uint32_t i = 0; i < r->notes_n; i++) {
        assert_str(r->notes[i].text, plain->notes[i].text);
    }
    assert_int_equal(plain->type, r->type);
    assert_memory_equal(&plain->scalar, &r->scalar, sizeof r->scalar);
    assert_int_equal(plain->stats.samples_read, r->stats.samples_read);
    assert_int_equal(plain->stats.samples_peak, r->stats.samples_peak);
    assert_int_equal(plain->stats.series_read, r->stats.series_read);
    assert_null(plain->explain);
}

TEST(explain_changes_no_answer_and_sums_up)
{
    struct mem m;
    struct world w;
    char line[128];
    world_open(&w, &m);
    for (unsigned i = 0; i < 600; i++) { /* batches for several threads */
        (void)snprintf(line, sizeof line, "a_total{g=\"%u\", i=\"x%u\"} 0+%ux10", i % 7, i, i % 9);
        assert_true(load(&w, line));
    }
    w.q.os = os_real();
    for (size_t i = 0; i < ARRAY_LEN(texts) * 4; i++) {
        const char *text = texts[i / 4];
        const int64_t step = i % 2 == 0 ? 0 : MINUTE_MS;
        w.q.flags = (i & 2) != 0 ? PROMQL_DELAYED_NAME_REMOVAL : 0;
        w.q.explain = PROMQL_EXPLAIN_OFF;
        w.q.threads = 1;
        assert_true(eval_at(&w, text, step == 0 ? T : 0, T, step));
        const struct promql_result plain = w.r;
        w.q.explain = PROMQL_EXPLAIN_RUN;
        uint64_t points = 0;
        for (uint32_t threads = 1; threads <= 3; threads++) {
            w.q.threads = threads;
            assert_true(eval_at(&w, text, step == 0 ? T : 0, T, step));
            expect_same(&w, &plain, text);
            check_sums(&w);
            for (uint32_t k = 0; k < w.r.explain->nodes_n; k++) {
                points += threads == 1   ? w.r.explain->nodes[k].points_out
                          : threads == 2 ? 0 - w.r.explain->nodes[k].points_out
                                         : 0;
            }
        }
        assert_int_equal(points, 0); /* the same on one thread and on two */
    }
    world_release(&w);
}

TEST(explain_tells_of_threads)
{
    struct mem m;
    struct world w;
    char line[128];
    world_open(&w, &m);
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(line, sizeof line, "many{i=\"%u\"} 0+%ux10", i, i % 9);
        assert_true(load(&w, line));
    }
    w.q.threads = 2;
    assert_true(eval_at(&w, "pi()", 0, T, MINUTE_MS));
    assert_int_equal(w.r.explain->threads, 1); /* nobody was needed */
    assert_true(eval_at(&w, "sum(many)", 0, T, MINUTE_MS));
    assert_int_equal(w.r.explain->threads, 2);
    assert_int_equal(w.r.explain->nodes[0].ways, EXPLAIN_STREAMED | EXPLAIN_PARALLEL);
    assert_int_equal(w.r.explain->nodes[1].samples_read, 600 * 11);
    assert_int_equal(w.r.explain->nodes[1].points_out, 600 * 11);
    world_release(&w);
}

/* --- the clock -------------------------------------------------------------------------------- */

/* Every look takes a microsecond. */
static int64_t ticking(void *ctx)
{
    int64_t *looks = ctx;
    return ++*looks * 1000;
}

TEST(explain_looks_at_the_clock_and_nobody_else_does)
{
    struct mem m;
    struct world w;
    int64_t looks = 0;
    const struct os os = {.ctx = &looks, .mono_ns = ticking};
    world_open(&w, &m);
    w.q.os = &os;
    w.q.explain = PROMQL_EXPLAIN_OFF;
    assert_true(eval_at(&w, "sum by (g) (rate(a_total[5m]))", 0, T, MINUTE_MS));
    assert_int_equal(looks, 2); /* when it began and when it ended */
    looks = 0;
    w.q.explain = PROMQL_EXPLAIN_RUN;
    assert_true(eval_at(&w, "sum by (g) (rate(a_total[5m]))", 0, T, MINUTE_MS));
    /* Pairs: sum, rate (prepared, rows), the selector (selected, three series). */
    assert_int_equal(looks, 2 + 2 + 4 + 8);
    const struct promql_explain *x = w.r.explain;
    assert_int_equal(x->stats.eval_ns, (looks - 1) * 1000);
    assert_int_equal(x->nodes[0].total_ns, (looks - 3) * 1000);
    assert_int_equal(x->nodes[2].self_ns, 4 * 1000);
    assert_int_equal(x->nodes[1].self_ns, (2 * 1 + 2 * 4 - 4 + 1 * 1 - 1) * 1000);
    check_sums(&w);
    world_release(&w);
}

/* Every look takes a step of the clock, on any thread. */
struct strides {
    atomic_int_fast64_t now_ns;
    int64_t stride_ns;
};

static int64_t striding(void *ctx)
{
    struct strides *s = ctx;
    return (int64_t)atomic_fetch_add(&s->now_ns, s->stride_ns);
}

/* The caller's thread is alone for 100 microseconds; what is left then is shared. */
TEST(explain_tells_when_threads_join_in)
{
    static const struct {
        int64_t stride_ns;
        bool shared;
    } cases[] = {
        {0, false},     /* time stands: it is never late */
        {1000, false},  /* done before */
        {30000, true},  /* some batches were done */
        {100000, true}, /* not one */
    };
    static const char *const asked[] = {"many", "sum by (g) (rate(many[5m]))", "-many",
                                        "max_over_time(sum(many)[5m:1m])"};
    struct mem m;
    struct world w;
    char line[128];
    world_open(&w, &m);
    for (unsigned i = 0; i < 12 * EVAL_BATCH_ROWS; i++) {
        (void)snprintf(line, sizeof line, "many{g=\"%u\", i=\"%u\"} 0.1+%u.3x3", i % 7, i, i % 9);
        assert_true(load(&w, line));
    }
    for (size_t i = 0; i < ARRAY_LEN(asked) * ARRAY_LEN(cases); i++) {
        const char *text = asked[i / ARRAY_LEN(cases)];
        struct strides clock = {.stride_ns = cases[i % ARRAY_LEN(cases)].stride_ns};
        const struct os os = {.ctx = &clock, .mono_ns = striding};
        w.q.os = &os;
        w.q.explain = PROMQL_EXPLAIN_OFF;
        w.q.threads = 1;
        assert_true(eval_at(&w, text, 0, 4 * MINUTE_MS, MINUTE_MS));
        const struct promql_result one = w.r;
        w.q.threads = 3;
        assert_true(eval_at(&w, text, 0, 4 * MINUTE_MS, MINUTE_MS));
        assert_true(same_results(&one, &w.r));
        assert_int_equal(one.stats.samples_read, w.r.stats.samples_read);
        w.q.explain = PROMQL_EXPLAIN_RUN;
        clock.stride_ns = cases[i % ARRAY_LEN(cases)].stride_ns;
        assert_true(eval_at(&w, text, 0, 4 * MINUTE_MS, MINUTE_MS));
        assert_true(same_results(&one, &w.r));
        check_sums(&w);
        unsigned ways = 0;
        for (uint32_t k = 0; k < w.r.explain->nodes_n; k++) {
            ways |= w.r.explain->nodes[k].ways;
        }
        assert_int_equal((ways & EXPLAIN_PARALLEL) != 0, w.r.explain->threads > 1);
        if (i < 2 * ARRAY_LEN(cases) && cases[i % ARRAY_LEN(cases)].stride_ns != 1000) {
            assert_int_equal(w.r.explain->threads > 1, cases[i % ARRAY_LEN(cases)].shared);
        }
    }
    world_release(&w);
}

/* A query as deep as the parser takes, each level wrapped for @. */
TEST(explain_goes_as_deep_as_the_parser)
{
    struct mem m;
    struct world w;
    struct buf b;
    world_open(&w, &m);
    buf_init(&b, &m, 1U << 20);
    for (unsigned i = 0; i < PROMQL_DEPTH_MAX; i++) {
        buf_reset(&b);
        for (unsigned k = 0; k < i; k++) {
            BUF_LIT(&b, "-(");
        }
        BUF_LIT(&b, "sum(b @ 60) + b");
        for (unsigned k = 0; k < i; k++) {
            BUF_LIT(&b, ")");
        }
        BUF_LIT(&b, "\0");
        if (!eval_at(&w, b.p, T, T, 0)) {
            assert_int_equal(w.e.code, ERR_LIMIT);
            assert_true(i > PROMQL_DEPTH_MAX / 4);
            break;
        }
        assert_int_equal(w.r.explain->nodes_n, i + 5);
        arena_reset(&w.arena);
    }
    buf_release(&b);
    world_release(&w);
}

/* --- the plan alone --------------------------------------------------------------------------- */

struct unread {
    struct promql_source inner;
    uint32_t reads;
};

static bool unread_select(void *ctx, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                          int64_t to_ms, uint32_t series_max, struct arena *a, uint32_t **ids,
                          uint32_t *n, struct err *e)
{
    const struct unread *u = ctx;
    return u->inner.select(u->inner.ctx, m, m_n, from_ms, to_ms, series_max, a, ids, n, e);
}

static bool unread_read(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms,
                        uint32_t samples_max, struct tsdb_column *c, struct err *e)
{
    struct unread *u = ctx;
    u->reads++;
    return u->inner.read(u->inner.ctx, id, from_ms, to_ms, samples_max, c, e);
}

static bool plan_at(struct world *w, struct unread *u, const char *text, int64_t step)
{
    struct promql_node *n;
    assert_true(promql_parse(str_from_c(text), PROMQL_ALL_FLAGS, &w->arena, &n, &w->e));
    *u = (struct unread){memory_source_of(w->source), 0};
    w->q.source = u->inner;
    w->q.source.ctx = u;
    w->q.source.select = unread_select;
    w->q.source.read = unread_read;
    w->q.expr = n;
    w->q.text = str_from_c(text);
    w->q.start_ms = step == 0 ? T : 0;
    w->q.end_ms = T;
    w->q.step_ms = step;
    w->q.mem = w->mem;
    w->q.explain = PROMQL_EXPLAIN_PLAN;
    return promql_eval(&w->q, &w->arena, &w->r, &w->why, &w->e);
}

TEST(explain_plan_selects_and_reads_nothing)
{
    struct mem m;
    struct world w;
    struct unread u;
    world_open(&w, &m);
    assert_true(plan_at(&w, &u, "sum(rate(a_total[5m])) / max_over_time(b[3m:1m] @ 120)", 60000));
    const struct promql_explain *x = w.r.explain;
    assert_int_equal(u.reads, 0);
    assert_int_equal(w.r.series_n, 0);
    assert_false(x->ran);
    assert_int_equal(x->nodes_n, 8);
    assert_int_equal(x->nodes[3].kind, PLAN_RANGE);
    assert_int_equal(x->nodes[3].series_matched, 3);
    assert_int_equal(x->nodes[3].from_ms, -5 * MINUTE_MS + 1);
    assert_int_equal(x->nodes[4].kind, PLAN_FIXED);
    assert_int_equal(x->nodes[4].ways, EXPLAIN_ONCE);
    assert_int_equal(x->nodes[6].kind, PLAN_SUBQUERY);
    assert_int_equal(x->nodes[6].steps, 1);
    assert_int_equal(x->nodes[7].series_matched, 2);
    assert_int_equal(x->nodes[7].steps, 3); /* minutes 0, 1 and 2: in (-1, 2] */
    assert_false(str_contains(json_of(&w), STR("samples_read")));
    assert_true(str_starts(json_of(&w), STR("{\"mode\":\"plan\",\"type\":\"vector\"")));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(plan_at(&w, &u, texts[i], MINUTE_MS));
        assert_int_equal(u.reads, 0);
        assert_int_equal(w.r.explain->stats.samples_read, 0);
    }
    assert_false(plan_at(&w, &u, "a_total[5m]", MINUTE_MS));
    assert_int_equal(w.why, PROMQL_BAD);
    assert_true(plan_at(&w, &u, "a_total[5m]", 0));
    w.q.series_max = 2;
    assert_false(plan_at(&w, &u, "a_total", 0));
    assert_int_equal(w.why, PROMQL_LIMIT);
    world_release(&w);
}

TEST(explain_is_bounded)
{
    struct mem m;
    struct world w;
    struct buf b;
    world_open(&w, &m);
    buf_init(&b, &m, 1U << 20);
    BUF_LIT(&b, "label_join(b, \"x\", \",\"");
    for (unsigned i = 0; i < EXPLAIN_NODES_MAX + 500; i++) {
        BUF_LIT(&b, ",\n\"i\"");
    }
    BUF_LIT(&b, ")\0");
    assert_true(eval_at(&w, b.p, T, T, 0));
    assert_int_equal(w.r.explain->nodes_n, EXPLAIN_NODES_MAX);
    assert_int_equal(w.r.explain->nodes_all, EXPLAIN_NODES_MAX + 500 + 4);
    struct str json = json_of(&w);
    /* Cut after EXPLAIN_TEXT_MAX bytes: 24 before the labels, 5 of each, a quote. */
    assert_true(str_contains(json, STR("\\\"i\\\", \\\"...\",\"line\":1,\"column\":1,")));
    assert_true(str_contains(json, STR("\"text\":\"\\\"i\\\"\",\"line\":1997,\"column\":1,")));
    assert_true(json.n < EXPLAIN_NODES_MAX * 400);
    buf_release(&b);
    world_release(&w);
}

FAULT_TEST(explain_gives_back_its_memory)
{
    struct world x;
    struct buf b;
    world_init(&x, &w->mem);
    buf_init(&b, &w->mem, 1U << 20);
    x.q.explain = PROMQL_EXPLAIN_RUN;
    bool ok = load(&x, "a_total{g=\"1\", i=\"1\"} 0+5x10") &&
              eval_at(&x, "sum by (g) (rate(a_total[5m])) + 1", 0, 300000, 60000);
    if (ok) {
        promql_explain_json(x.r.explain, &b);
        ok = buf_ok(&b, &x.e);
    }
    buf_release(&b);
    world_release(&x);
    return ok;
}
