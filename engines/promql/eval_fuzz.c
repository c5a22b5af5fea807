/* Any text that parses is evaluated over a few series, at once and over a range, with names removed
 * late and early: it must return within its bounds, a matrix sorted and without equal series, and
 * the same again with three threads. */
#include "engines/promql/eval_int.h"

/* A fuzz target is one file, and the source of tests is in no library. */
#include "engines/promql/memory_source.c"

#include <stdlib.h>

#define ARENA_MAX ((size_t)64 << 20)
#define MINUTE_MS 60000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lines[] = {
    "a{x=\"1\", instance=\"i\", job=\"j\"} 0+5x10 stale 3 2 1",
    "a{x=\"2\", instance=\"i\", job=\"j\"} 10-1x5 NaN Inf -Inf _x2 7",
    "b_total{x=\"1\"} 0+1x4 0+2x9",
    "bucket{le=\"1\", x=\"1\"} 1+1x9",
    "bucket{le=\"+Inf\", x=\"1\"} 2+1x9",
    "bucket{le=\"oops\", x=\"1\"} 2+1x9",
    "target_info{instance=\"i\", job=\"j\", data=\"d\"} 1x9",
    "h{x=\"1\"} {{sum:5 count:4 buckets:[1 2 1]}}+{{sum:5 count:4 buckets:[1 2 1]}}x8",
    "h{x=\"2\"} {{schema:-53 sum:1 count:3 custom_values:[5 10] buckets:[1 2]}}x9",
    "h{x=\"3\"} 1 2 {{schema:2 sum:5 count:5 buckets:[1 2 1] n_buckets:[1]}}x3 4 5",
};

static void fill(struct memory_source *s, struct arena *a)
{
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct promql_points p;
        struct err e = {0};
        bool ok = promql_series_line(str_from_c(lines[i]), a, &p, &e);
        ASSERT(ok);
        uint32_t id = memory_source_series(s, p.labels);
        for (uint32_t k = 0; k < p.n; k++) {
            ok = p.gap[k] || memory_source_add(s, id, (int64_t)k * MINUTE_MS, 0, p.v[k], p.h[k]);
            ASSERT(ok);
        }
    }
}

static void check_sorted(const struct promql_result *r)
{
    for (uint32_t i = 1; i < r->series_n; i++) {
        ASSERT(labels_cmp(r->series[i - 1].labels, r->series[i].labels) < 0);
    }
}

static void run(struct promql_query *q, struct arena *a, uint32_t threads, uint32_t *series,
                bool *ok)
{
    struct promql_result r;
    enum promql_failure why;
    struct err e = {0};
    q->threads = threads;
    *ok = promql_eval(q, a, &r, &why, &e);
    ASSERT(*ok || e.msg[0] != 0);
    *series = r.series_n;
    if (*ok && r.type == PROMQL_MATRIX) {
        check_sorted(&r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct promql_node *n;
    struct err e = {0};
    if (size < 2 || size > 4096) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, ARENA_MAX);
    struct str text = str_of((const char *)data + 1, size - 1);
    if (promql_parse(text, PROMQL_ALL_FLAGS, &a, &n, &e)) {
        struct memory_source *s = memory_source_new(&m);
        ASSERT(s != NULL);
        fill(s, &a);
        struct promql_query q = {.expr = n,
                                 .text = text,
                                 .source = memory_source_of(s),
                                 .start_ms = 5 * MINUTE_MS,
                                 .end_ms = 5 * MINUTE_MS,
                                 .flags = data[0],
                                 .samples_max = 20000,
                                 .bytes_max = ARENA_MAX / 4,
                                 .mem = &m};
        uint32_t one;
        uint32_t three;
        bool ok;
        bool again;
        run(&q, &a, 1, &one, &ok);
        q.start_ms = 0;
        q.end_ms = 14 * MINUTE_MS;
        q.step_ms = 45000;
        run(&q, &a, 1, &one, &ok);
        run(&q, &a, 3, &three, &again);
        ASSERT(ok == again);
        ASSERT(!ok || one == three);
        memory_source_free(s);
    }
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
