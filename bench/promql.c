/* PromQL in one process, without HTTP: medians of the queries that the design measures peers with,
 * over a store of units of 500 series shaped like a host with node_exporter and a Pix pipeline.
 *
 *     bench_promql [--series=N] [--steps=N] [--threads=N] [--tail=N] [--dir=FOLDER] [--only=r5]
 *
 * Default: 100,000 series of 480 samples (2 h of 15 s steps), the last 24 of which are still in the
 * head (--tail), as in a store that is written to; 1 and 2 threads, 7 repetitions (--repeat).
 * FOLDER is made and filled when it does not exist, and kept, so that a second run starts at once;
 * without it a new folder below /tmp is used and removed. For each query: milliseconds (median),
 * samples read, series in the answer, and a checksum of it, which must not depend on the threads.
 * */
#include "engines/promql/promql.h"
#include "base/hash.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT          500
#define STEP_MS       15000
#define T0_MS         1700000000000
#define BATCH         2000
#define BATCH_BYTES   (8U << 20)
#define DIR_DEPTH_MAX 4
#define REPEAT_MAX    99
#define FLUSH_SAMPLES 1500000
#define ANSWER_BYTES  (1ULL << 31)

enum class {
    CONSTANT,
    CPU_SECONDS,
    GAUGE_4K,
    COUNTER_SMALL,
    COUNTER_BIG,
    BYTES_512,
    DECIMALS_2,
    DOUBLE,
    MOSTLY_ZERO,
    TRANSACTIONS,
    BUCKET,
    HIST_COUNT,
    HIST_SUM
};

struct series {
    uint32_t ref;
    enum class class;
    double value, scale;
};

struct bench {
    const struct os *os;
    struct mem mem;
    struct tsdb *db;
    struct series *series;
    uint32_t series_n, series_max, steps, tail, threads, repeat;
    const char *dir, *only;
    struct rng rng;
    double below;
};

static const char *const les[] = {"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
                                  "0.1",   "0.25",   "0.5",   "1.0",  "+Inf"};
static const char *const stages[] = {"ingest", "enrich", "features", "score",
                                     "decide", "act",    "settle",   "feedback"};
static const char *const modes[] = {"idle", "iowait", "system", "user", "softirq"};

static const struct {
    const char *name, *text;
    int64_t back_ms, step_ms;
} queries[] = {
    {"i1",
     "payment_transactions_total{instance=\"fraud-0001:9100\",result=\"ok\",psp=\"10000007\"}", 0,
     0},
    {"i2", "sum(node_memory_bytes)", 0, 0},
    {"i3", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", 0, 0},
    {"i4", "histogram_quantile(0.99, sum by (le, stage) (rate(payment_stage_seconds_bucket[5m])))",
     0, 0},
    {"i5", "topk(5, rate(payment_errors_total[5m]))", 0, 0},
    {"i6", "sum({__name__=~\"node_(memory|load).*\",instance=~\"fraud-00[0-4].*\"})", 0, 0},
    {"i7", "node_load_percent * on (instance) group_left () sum by (instance) (node_network_up)", 0,
     0},
    {"i8", "max_over_time(sum(rate(payment_transactions_total[5m]))[1h:1m])", 0, 0},
    {"i9", "quantile_over_time(0.9, node_load_percent[1h])", 0, 0},
    {"r1", "node_load_percent{instance=\"fraud-0001:9100\",shard=\"3\"}", 3600000, 60000},
    {"r2", "rate(node_cpu_seconds_total{instance=\"fraud-0002:9100\"}[5m])", 3600000, 60000},
    {"r3", "sum by (stage) (rate(payment_stage_seconds_count[5m]))", 3600000, 60000},
    {"r4", "histogram_quantile(0.99, sum by (le) (rate(payment_stage_seconds_bucket[5m])))",
     3600000, 60000},
    {"r5",
     "sum by (psp) (rate(payment_transactions_total{result=\"error\"}[5m])) / "
     "sum by (psp) (rate(payment_transactions_total[5m]))",
     3600000, 15000},
    {"r6", "sum by (instance) ({__name__=~\"node_memory_.*\"})", 3600000, 60000},
};

noreturn static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "bench_promql: %s: %s\n", what, e->msg);
    exit(1);
}

/* --- data ------------------------------------------------------------------------------------- */

static void add(struct bench *b, uint32_t unit, enum class class, const char *name,
                const char *own_names[2], const char *own_values[2], uint32_t own)
{
    struct err e = {0};
    char instance[48];
    struct label v[8];
    uint32_t n = 5 + own;
    if (b->series_n == b->series_max) {
        return;
    }
    snprintf(instance, sizeof instance, "fraud-%04u:9100", unit);
    v[0] = (struct label){STR("__name__"), str_from_c(name)};
    v[1] = (struct label){STR("cluster"), STR("prod-a")};
    v[2] = (struct label){STR("env"), STR("production")};
    v[3] = (struct label){STR("instance"), str_from_c(instance)};
    v[4] = (struct label){STR("job"), STR("pix-pipeline")};
    for (uint32_t i = 0; i < own; i++) {
        v[5 + i] = (struct label){str_from_c(own_names[i]), str_from_c(own_values[i])};
    }
    struct series *s = &b->series[b->series_n++];
    *s = (struct series){.class = class, .scale = 0.5 + rng_f64(&b->rng)};
    if (!labels_normalize(v, &n, &e) ||
        !tsdb_series(b->db, 0, (struct labels){v, n}, &s->ref, &e)) {
        die("series", &e);
    }
}

static void add_many(struct bench *b, uint32_t unit, enum class class, const char *name,
                     const char *label, const char *prefix, int n)
{
    for (int i = 0; i < n; i++) {
        char value[48];
        const char *names[2] = {label, NULL};
        const char *values[2] = {value, NULL};
        snprintf(value, sizeof value, "%s%d", prefix, i);
        add(b, unit, class, name, names, values, 1);
    }
}

static void add_pairs(struct bench *b, uint32_t unit)
{
    for (int c = 0; c < 11; c++) {
        for (int m = 0; m < 5; m++) {
            char cpu[8];
            const char *names[2] = {"cpu", "mode"};
            const char *values[2] = {cpu, modes[m]};
            snprintf(cpu, sizeof cpu, "%d", c);
            add(b, unit, CPU_SECONDS, "node_cpu_seconds_total", names, values, 2);
        }
    }
    for (unsigned p = 0; p < 40; p++) {
        char psp[16];
        const char *names[2] = {"psp", "result"};
        const char *values[2] = {psp, p % 2 == 0 ? "ok" : "error"};
        snprintf(psp, sizeof psp, "%08u", 10000000 + (unit * 7 + p / 2 * 31) % 200);
        add(b, unit, TRANSACTIONS, "payment_transactions_total", names, values, 2);
    }
    for (size_t h = 0; h < ARRAY_LEN(stages); h++) {
        const char *names[2] = {"stage", "le"};
        const char *values[2] = {stages[h], NULL};
        for (size_t l = 0; l < ARRAY_LEN(les); l++) {
            values[1] = les[l];
            add(b, unit, BUCKET, "payment_stage_seconds_bucket", names, values, 2);
        }
        add(b, unit, HIST_COUNT, "payment_stage_seconds_count", names, values, 1);
        add(b, unit, HIST_SUM, "payment_stage_seconds_sum", names, values, 1);
    }
}

static void add_unit(struct bench *b, uint32_t unit)
{
    add_many(b, unit, CONSTANT, "node_filesystem_size_bytes", "device", "/dev/nvme", 40);
    add_many(b, unit, CONSTANT, "payment_stage_info", "version", "2.8.", 36);
    add_many(b, unit, CONSTANT, "node_network_up", "device", "eth", 40);
    add_many(b, unit, GAUGE_4K, "node_memory_bytes", "kind", "kind_", 40);
    add_many(b, unit, COUNTER_SMALL, "payment_errors_total", "reason", "AB", 30);
    add_many(b, unit, COUNTER_BIG, "node_network_receive_bytes_total", "device", "eth", 15);
    add_many(b, unit, BYTES_512, "node_disk_written_bytes_total", "device", "nvme", 10);
    add_many(b, unit, DECIMALS_2, "node_load_percent", "shard", "", 15);
    add_many(b, unit, DOUBLE, "fraud_feature_mean", "feature", "feature_", 40);
    add_many(b, unit, MOSTLY_ZERO, "payment_inflight", "partition", "", 35);
    add_pairs(b, unit);
}

static double next_value(struct bench *b, struct series *s, uint32_t step)
{
    double u = rng_f64(&b->rng);
    switch (s->class) {
    case CONSTANT: s->value = step == 0 ? floor(s->scale * 1e9) : s->value; break;
    case CPU_SECONDS:
        s->value = round((s->value + floor(u * 150 * s->scale) / 100) * 100) / 100;
        break;
    case GAUGE_4K: s->value = fabs(s->value + 4096 * floor((u - 0.5) * 60 * s->scale)); break;
    case COUNTER_SMALL: s->value += floor(u * 12 * s->scale); break;
    case COUNTER_BIG: s->value += floor(u * 3e6 * s->scale); break;
    case BYTES_512: s->value += 512 * floor(u * 700 * s->scale); break;
    case DECIMALS_2: s->value = round(u * 10000 * s->scale) / 100; break;
    case DOUBLE: s->value = 0.9 * s->value + u * s->scale; break;
    case MOSTLY_ZERO: s->value = u < 0.03 ? ceil(u * 100) : 0; break;
    case TRANSACTIONS: s->value += floor(u * 4 * s->scale); break;
    case BUCKET:
        b->below += floor(u * 6 * s->scale);
        s->value += b->below;
        break;
    case HIST_COUNT: s->value += b->below; break;
    case HIST_SUM:
        s->value += b->below * 0.0137 * (0.5 + u);
        b->below = 0;
        break;
    }
    return s->value;
}

static void fill(struct bench *b)
{
    struct err e = {0};
    struct tsdb_result r;
    struct tsdb_batch *batch = tsdb_batch_new(&b->mem, BATCH_BYTES);
    b->series = mem_take(&b->mem, b->series_max * sizeof *b->series);
    if (batch == NULL || b->series == NULL) {
        fprintf(stderr, "bench_promql: no memory\n");
        exit(1);
    }
    for (uint32_t unit = 0; b->series_n < b->series_max; unit++) {
        add_unit(b, unit);
    }
    uint64_t held = 0;
    for (uint32_t step = 0; step < b->steps; step++) {
        if (step + b->tail == b->steps && !tsdb_flush(b->db, true, &e)) {
            die("flush", &e);
        }
        for (uint32_t i = 0; i < b->series_n; i++) {
            double v = next_value(b, &b->series[i], step);
            if (!tsdb_batch_add(batch, b->series[i].ref, T0_MS + (int64_t)step * STEP_MS, v, &e)) {
                die("batch", &e);
            }
            if (tsdb_batch_count(batch) == BATCH || i + 1 == b->series_n) {
                if (!tsdb_commit_wait(b->db, batch, TSDB_NO_SYNC | TSDB_NO_FUTURE_CHECK, &r, &e)) {
                    die("commit", &e);
                }
                tsdb_batch_reset(batch);
            }
        }
        held += b->series_n;
        if (held > FLUSH_SAMPLES &&
            step + b->tail <
                b->steps) { /* or the committer would wait for the flusher now and then */
            held = 0;
            if (!tsdb_flush(b->db, false, &e)) {
                die("flush", &e);
            }
        }
    }
    tsdb_batch_free(batch);
    mem_give(&b->mem, b->series, b->series_max * sizeof *b->series);
    if (b->tail == 0 && !tsdb_flush(b->db, true, &e)) {
        die("flush", &e);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static uint64_t checksum(const struct promql_result *r)
{
    uint64_t h = r->series_n;
    for (uint32_t i = 0; i < r->series_n; i++) {
        h = hash64_seed(str_of((const char *)&h, sizeof h), labels_hash(r->series[i].labels));
        for (uint32_t j = 0; j < r->series[i].n; j++) {
            const struct promql_sample *s = &r->series[i].samples[j];
            struct {
                int64_t t;
                double v;
            } x = {s->t_ms, s->v};
            h = hash64_seed(str_of((const char *)&x, sizeof x), h);
        }
    }
    return h;
}

static int by_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void run(struct bench *b, uint32_t at, uint32_t threads)
{
    struct err e = {0};
    int64_t ns[REPEAT_MAX];
    struct promql_result r = {0};
    uint64_t sum = 0;
    int64_t end = T0_MS + (int64_t)(b->steps - 1) * STEP_MS;
    for (uint32_t i = 0; i < b->repeat; i++) {
        struct arena a;
        struct tsdb_view *view;
        struct promql_node *n;
        enum promql_failure why;
        int64_t began = os_mono_ns(b->os);
        arena_init(&a, &b->mem, ANSWER_BYTES);
        if (!promql_parse(str_from_c(queries[at].text), PROMQL_ALL_FLAGS, &a, &n, &e) ||
            !tsdb_view_open(b->db, &view, &e)) {
            die(queries[at].name, &e);
        }
        struct promql_query q = {.expr = n,
                                 .text = str_from_c(queries[at].text),
                                 .source = promql_source_tsdb(view),
                                 .start_ms = end - queries[at].back_ms,
                                 .end_ms = end,
                                 .step_ms = queries[at].step_ms,
                                 .bytes_max = ANSWER_BYTES,
                                 .os = b->os,
                                 .threads = threads,
                                 .mem = &b->mem};
        if (!promql_eval(&q, &a, &r, &why, &e)) {
            die(queries[at].name, &e);
        }
        ns[i] = os_mono_ns(b->os) - began;
        sum = checksum(&r);
        tsdb_view_close(view);
        arena_release(&a);
    }
    qsort(ns, b->repeat, sizeof *ns, by_ns);
    printf("%s  threads %u  %9.3f ms  samples %10llu  series %6u  sum %016llx\n", queries[at].name,
           threads, (double)ns[b->repeat / 2] / 1e6, (unsigned long long)r.stats.samples_read,
           r.series_n, (unsigned long long)sum);
    fflush(stdout);
}

struct doomed {
    const char *dir;
    uint32_t depth;
};

static void remove_tree(const char *dir, uint32_t depth);

static void remove_entry(void *arg, const char *name)
{
    const struct doomed *d = arg;
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", d->dir, name);
    if (n > 0 && (size_t)n < sizeof path && os_real()->unlink(NULL, path) != 0) {
        remove_tree(path, d->depth + 1);
    }
}

static void remove_tree(const char *dir, uint32_t depth)
{
    struct doomed d = {dir, depth};
    if (depth < DIR_DEPTH_MAX) {
        (void)os_real()->list(NULL, dir, remove_entry, &d);
        (void)os_real()->unlink(NULL, dir);
    }
}

static bool number_option(struct str arg, const char *name, uint32_t *out)
{
    uint64_t n;
    struct str key = str_from_c(name);
    if (!str_starts(arg, key) || !str_to_u64(str_sub(arg, key.n, arg.n), &n) || n > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static void options(struct bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct str arg = str_from_c(argv[i]);
        if (str_starts(arg, STR("--dir="))) {
            b->dir = argv[i] + 6;
        } else if (str_starts(arg, STR("--only="))) {
            b->only = argv[i] + 7;
        } else if (!number_option(arg, "--series=", &b->series_max) &&
                   !number_option(arg, "--steps=", &b->steps) &&
                   !number_option(arg, "--tail=", &b->tail) &&
                   !number_option(arg, "--threads=", &b->threads) &&
                   !number_option(arg, "--repeat=", &b->repeat)) {
            fprintf(stderr, "unknown option %s\n", argv[i]);
            exit(2);
        }
    }
    b->repeat = b->repeat == 0 || b->repeat > REPEAT_MAX ? 7 : b->repeat;
}

int main(int argc, char **argv)
{
    struct bench b = {.os = os_real(), .series_max = 100000, .steps = 480, .tail = 24, .repeat = 7};
    struct err e = {0};
    struct stat st;
    struct tsdb_config c;
    char dir[64];
    options(&b, argc, argv);
    mem_init(&b.mem, 0);
    rng_init(&b.rng, 1);
    bool keep = b.dir != NULL;
    if (!keep) {
        snprintf(dir, sizeof dir, "/tmp/bench_promql.%ld", (long)getpid());
        b.dir = dir;
    }
    bool there = stat(b.dir, &st) == 0;
    tsdb_config_default(&c);
    c.dir = b.dir;
    c.retention_ms = 0;
    c.series_max = b.series_max + 1000;
    if (!tsdb_open(&b.db, &c, b.os, NULL, &e)) {
        die("open", &e);
    }
    if (!there) {
        int64_t began = os_mono_ns(b.os);
        fill(&b);
        printf("filled %u series x %u steps in %.1f s\n", b.series_max, b.steps,
               (double)(os_mono_ns(b.os) - began) / 1e9);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(queries); i++) {
        if (b.only != NULL && strcmp(b.only, queries[i].name) != 0) {
            continue;
        }
        if (b.threads != 0) {
            run(&b, i, b.threads);
        } else {
            run(&b, i, 1);
            run(&b, i, 2);
        }
    }
    tsdb_close(b.db);
    if (!keep) {
        remove_tree(b.dir, 0);
    }
    return 0;
}
