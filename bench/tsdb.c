/* The sample store alone: CPU nanoseconds a sample through batches of 2,000, log and fdatasync
 * included, until everything is merged; memory; time from a killed process to the first right
 * answer; nanoseconds to read a sample.
 *
 *     bench_tsdb [SERIES [SCRAPES [FOLDER]]]     default: 10000 1440 and a new folder below /tmp
 *
 * A child process writes SCRAPES scrapes of SERIES series, 15 s apart, like node_exporter's and a
 * pipeline's (constants, counters, gauges with two decimals, full doubles, ten labels each), eight
 * batches in flight, and then _exit()s without closing. The parent opens what it left. Beside the
 * writing stands what its CPU time is made of at least: the same samples copied into the batch. */
#include "engines/tsdb/tsdb.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "base/rng.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH     2000
#define IN_FLIGHT 8
#define STEP_MS   15000

struct bench {
    const struct os *os;
    struct log log;
    struct tsdb_config config;
    uint32_t series, scrapes;
    int64_t t0_ms;
    struct tsdb *db;
    uint32_t *ref;
    double *value;
    struct rng rng;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    struct tsdb_batch *free[IN_FLIGHT];
    int free_n;
    uint64_t stored, failed;
};

struct flight {
    struct bench *b;
    struct tsdb_batch *batch;
};

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double rss_mb(const char *key)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char name[64];
        double v;
        if (sscanf(line, "%63[^:]: %lf", name, &v) == 2 && strcmp(name, key) == 0) {
            kb = v;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kb / 1024;
}

static void check(bool ok, const struct err *e)
{
    if (!ok) {
        fprintf(stderr, "bench_tsdb: %s\n", e->msg);
        _exit(1);
    }
}

static void define(struct bench *b)
{
    static const char *const names[] = {"__name__", "cluster", "env", "instance", "job",
                                        "le",       "mode",    "pod", "region",   "stage"};
    for (uint32_t i = 0; i < b->series; i++) {
        char text[10][48];
        struct label l[10];
        uint32_t host = i / 500;
        uint32_t of = i % 500;
        snprintf(text[0], 48, "pix_metric_%u_total", of / 10);
        snprintf(text[1], 48, "sp-%u", host % 3);
        snprintf(text[2], 48, "production");
        snprintf(text[3], 48, "host-%u.bank.example:9100", host);
        snprintf(text[4], 48, "node-%u", host % 7);
        snprintf(text[5], 48, "%u.5", of % 10);
        snprintf(text[6], 48, "mode-%u", of % 4);
        snprintf(text[7], 48, "pod-%u-%u", host, of % 20);
        snprintf(text[8], 48, "sa-east-%u", host % 2);
        snprintf(text[9], 48, "stage-%u", of % 8);
        for (int k = 0; k < 10; k++) {
            l[k] = (struct label){str_from_c(names[k]), str_from_c(text[k])};
        }
        struct err e = {.code = ERR_NONE};
        check(tsdb_series(b->db, 0, (struct labels){l, 10}, &b->ref[i], &e), &e);
        b->value[i] = (double)(i % 97);
    }
}

/* Next value of a series: constant, counter, step gauge, two decimals, full double. */
static double next(struct bench *b, uint32_t i)
{
    uint64_t r = rng_u64(&b->rng);
    switch (i % 10) {
    case 0:
    case 1:
    case 2: break;
    case 3:
    case 4:
    case 5:
    case 6: b->value[i] += (double)(r % 16); break;
    case 7: b->value[i] = (double)(r % 64) * 4096; break;
    case 8: b->value[i] = (double)(r % 10000) / 100; break;
    default: b->value[i] = rng_f64(&b->rng); break;
    }
    return b->value[i];
}

static void done(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct flight *f = ctx;
    struct bench *b = f->b;
    pthread_mutex_lock(&b->mu);
    b->stored += r->samples;
    b->failed += e != NULL ? 1 : 0;
    b->free[b->free_n++] = f->batch;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->mu);
}

static struct tsdb_batch *batch_take(struct bench *b)
{
    pthread_mutex_lock(&b->mu);
    while (b->free_n == 0) {
        pthread_cond_wait(&b->wake, &b->mu);
    }
    struct tsdb_batch *x = b->free[--b->free_n];
    pthread_mutex_unlock(&b->mu);
    return x;
}

static void write_all(struct bench *b, bool commit)
{
    struct mem m;
    struct flight flights[IN_FLIGHT];
    struct tsdb_batch *all[IN_FLIGHT];
    mem_init(&m, 0);
    for (int i = 0; i < IN_FLIGHT; i++) {
        all[i] = tsdb_batch_new(&m, 1 << 20);
        b->free[i] = all[i];
    }
    b->free_n = IN_FLIGHT;
    struct err e = {.code = ERR_NONE};
    for (uint32_t k = 0; k < b->scrapes; k++) {
        for (uint32_t i = 0; i < b->series; i += BATCH) {
            struct tsdb_batch *x = batch_take(b);
            int slot = 0;
            while (all[slot] != x) {
                slot++;
            }
            tsdb_batch_reset(x);
            for (uint32_t j = i; j < b->series && j < i + BATCH; j++) {
                check(tsdb_batch_add(x, b->ref[j], b->t0_ms + (int64_t)k * STEP_MS, next(b, j), &e),
                      &e);
            }
            flights[slot] = (struct flight){b, x};
            if (commit) {
                check(tsdb_commit(b->db, x, TSDB_NO_FUTURE_CHECK, done, &flights[slot], &e), &e);
            } else {
                b->free[b->free_n++] = x;
            }
        }
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        (void)batch_take(b);
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        tsdb_batch_free(all[i]);
    }
}

static void child(struct bench *b)
{
    struct err e = {.code = ERR_NONE};
    double n = (double)b->series * b->scrapes;
    check(tsdb_open(&b->db, &b->config, b->os, &b->log, &e), &e);
    double c0 = cpu_s();
    define(b);
    double c1 = cpu_s();
    write_all(b, false);
    double c2 = cpu_s();
    int64_t t = os_mono_ns(b->os);
    write_all(b, true);
    double wall = s_from_ns(os_mono_ns(b->os) - t);
    double c3 = cpu_s();
    struct tsdb_stats st;
    tsdb_stats(b->db, &st);
    if (b->failed > 0 || st.samples != (uint64_t)n) {
        fprintf(stderr, "bench_tsdb: %llu batches failed, %llu samples stored\n",
                (unsigned long long)b->failed, (unsigned long long)st.samples);
        _exit(1);
    }
    printf("define a series               %8.0f ns\n", (c1 - c0) * 1e9 / b->series);
    printf("make values, fill batches     %8.1f ns a sample (part of the next)\n",
           (c2 - c1) * 1e9 / n);
    printf("write, log, sync, flush       %8.1f ns CPU a sample; %.2f M samples/s; %llu syncs\n",
           (c3 - c2) * 1e9 / n, n / wall / 1e6, (unsigned long long)st.log_syncs);
    printf("  without making the values   %8.1f ns CPU a sample\n", (c3 - 2 * c2 + c1) * 1e9 / n);
    printf("memory at the end             %8.1f MB, peak %.1f MB; index %.1f MB, head %.1f MB\n",
           rss_mb("VmRSS"), rss_mb("VmHWM"), (double)st.index_bytes / 1e6,
           (double)st.head_bytes / 1e6);
    printf("flushes %llu, merges %llu, last flush %.0f ms; blocks %llu, %.3f B a sample; log %.1f "
           "MB\n",
           (unsigned long long)st.flushes, (unsigned long long)st.merges,
           (double)st.flush_ns_last / 1e6, (unsigned long long)st.blocks,
           (double)st.block_bytes / (double)(st.block_samples > 0 ? st.block_samples : 1),
           (double)st.log_bytes / 1e6);
    fflush(stdout);
    _exit(0);
}

static double read_all(struct bench *b, int64_t from_ms, uint64_t *samples)
{
    struct err e = {.code = ERR_NONE};
    struct mem m;
    struct arena a;
    struct tsdb_view *v;
    struct tsdb_column c;
    uint32_t *ids;
    uint32_t n;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 30);
    tsdb_column_init(&c, &m);
    struct matcher match = {MATCH_NE, STR("__name__"), STR("")};
    double c0 = cpu_s();
    check(tsdb_view_open(b->db, &v, &e), &e);
    check(tsdb_select(v, &match, 1, from_ms, INT64_MAX, UINT32_MAX, true, &a, &ids, &n, &e), &e);
    double c1 = cpu_s();
    *samples = 0;
    for (uint32_t i = 0; i < n; i++) {
        check(tsdb_read(v, ids[i], from_ms, INT64_MAX, UINT32_MAX, &c, &e), &e);
        *samples += c.n;
    }
    double c2 = cpu_s();
    tsdb_view_close(v);
    printf("select %u series, sorted   %8.1f ms\n", n, (c1 - c0) * 1e3);
    tsdb_column_release(&c);
    arena_release(&a);
    return c2 - c1;
}

static void parent(struct bench *b)
{
    struct err e = {.code = ERR_NONE};
    uint64_t samples;
    uint64_t want = (uint64_t)b->series * b->scrapes;
    int64_t t = os_mono_ns(b->os);
    check(tsdb_open(&b->db, &b->config, b->os, &b->log, &e), &e);
    int64_t opened = os_mono_ns(b->os);
    struct tsdb_view *v;
    struct tsdb_column c;
    struct mem m;
    mem_init(&m, 0);
    tsdb_column_init(&c, &m);
    check(tsdb_view_open(b->db, &v, &e), &e);
    check(tsdb_read(v, 1, INT64_MIN, INT64_MAX, UINT32_MAX, &c, &e), &e);
    int64_t answered = os_mono_ns(b->os);
    struct tsdb_stats st;
    tsdb_stats(b->db, &st);
    printf("killed to open                %8.1f ms (%llu samples replayed), first answer %.1f ms, "
           "%s\n",
           (double)(opened - t) / 1e6, (unsigned long long)st.head_samples,
           (double)(answered - t) / 1e6, c.n == b->scrapes ? "complete" : "WRONG");
    tsdb_column_release(&c);
    tsdb_view_close(v);
    printf("memory after opening          %8.1f MB\n", rss_mb("VmRSS"));
    double cpu = read_all(b, INT64_MIN, &samples);
    printf("read everything               %8.2f ns CPU a sample, %.0f ns a series, %s\n",
           cpu * 1e9 / (double)samples, cpu * 1e9 / b->series,
           samples == want ? "complete" : "WRONG");
    int64_t last = b->t0_ms + (int64_t)b->scrapes * STEP_MS;
    cpu = read_all(b, last - 300000, &samples);
    printf("read the last 5 minutes       %8.2f ns CPU a sample, %.0f ns a series\n",
           cpu * 1e9 / (double)samples, cpu * 1e9 / b->series);
    double c0 = cpu_s();
    check(tsdb_flush(b->db, true, &e), &e);
    tsdb_stats(b->db, &st);
    printf("flush and merge all           %8.1f ns CPU a sample; %llu blocks, %.3f B a sample\n",
           (cpu_s() - c0) * 1e9 / (double)want, (unsigned long long)st.blocks,
           (double)st.block_bytes / (double)st.block_samples);
    cpu = read_all(b, INT64_MIN, &samples);
    printf("read everything, merged       %8.2f ns CPU a sample, %.0f ns a series, %s\n",
           cpu * 1e9 / (double)samples, cpu * 1e9 / b->series,
           samples == want ? "complete" : "WRONG");
    printf("peak memory                   %8.1f MB\n", rss_mb("VmHWM"));
    tsdb_close(b->db);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/bench-tsdb-XXXXXX";
    struct bench b = {.os = os_real(), .series = 10000, .scrapes = 1440};
    uint64_t n;
    if (argc > 1 && str_to_u64(str_from_c(argv[1]), &n)) {
        b.series = (uint32_t)n;
    }
    if (argc > 2 && str_to_u64(str_from_c(argv[2]), &n)) {
        b.scrapes = (uint32_t)n;
    }
    tsdb_config_default(&b.config);
    b.config.dir = argc > 3 ? argv[3] : mkdtemp(folder);
    b.config.retention_ms = 0;
    b.t0_ms = ms_from_ns(os_now_ns(b.os)) - (int64_t)b.scrapes * STEP_MS;
    b.ref = malloc(b.series * sizeof *b.ref);
    b.value = malloc(b.series * sizeof *b.value);
    log_init(&b.log, b.os, 2, LOG_WARN);
    rng_init(&b.rng, 1);
    pthread_mutex_init(&b.mu, NULL);
    pthread_cond_init(&b.wake, NULL);
    printf("%u series x %u scrapes in %s\n", b.series, b.scrapes, b.config.dir);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        child(&b);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    if (status != 0) {
        return 1;
    }
    parent(&b);
    free(b.ref);
    free(b.value);
    return 0;
}
