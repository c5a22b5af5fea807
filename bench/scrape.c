/* What a scraped sample costs, everything included: HTTP, reading the page, the store with its log
 * synced to disk.
 *
 *     bench_scrape [TARGETS [SERIES [SECONDS]]]      60 targets of 500 series, 15 seconds
 *
 * A child process serves the pages (names and labels as an exporter's, values that move); this one
 * scrapes every target once a second and reports its own CPU time (user and system, all threads)
 * per million samples. Then the parser alone on the same page: every name read, the last page's
 * names expected, and known lines taken the short way. */
#include "ingest/scrape/scrape.h"

#include "base/clock.h"
#include "base/file.h"
#include "net/http_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct pages {
    uint32_t series;
};

static void put_page(struct buf *out, uint32_t series, uint64_t turn)
{
    for (uint32_t i = 0; i < series; i++) {
        uint64_t v = (uint64_t)i * 7919 + turn * (i % 7);
        buf_fmt(out,
                "pix_stage_seconds_total{stage=\"stage-%u\",psp=\"psp-%02u\",outcome=\"approved\","
                "region=\"sao-paulo\"} %llu.%02u\n",
                i / 20, i % 20, (unsigned long long)v, i % 100);
    }
}

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    const struct pages *p = app;
    struct mem m;
    struct buf body;
    (void)state;
    (void)failed;
    mem_init(&m, 0);
    buf_init(&body, &m, 1 << 28);
    put_page(&body, p->series, (uint64_t)time(NULL));
    http_respond(rq, 200, "text/plain; version=0.0.4", &body, NULL);
}

static void serve(uint32_t series, int out)
{
    static const struct http_route routes[] = {
        {.method = "GET", .path = "/*", .help = "pages", .end = on_end}};
    struct http_server_config c = {.address = "127.0.0.1",
                                   .threads = 1,
                                   .connections_max = 4096,
                                   .idle_timeout_s = 60,
                                   .request_bytes_max = 16384};
    struct pages pages = {series};
    struct http_server *s = NULL;
    struct err e;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    uint16_t port =
        http_server_start(&s, &c, routes, 1, &pages, NULL, &e) ? http_server_port(s) : 0;
    ssize_t put = write(out, &port, sizeof port);
    while (put == sizeof port) {
        pause();
    }
    _exit(1);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static bool configure(struct scrape *s, struct mem *m, uint16_t port, uint32_t targets,
                      struct err *e)
{
    struct buf text;
    struct scrape_config *c = NULL;
    struct scrape_config_options o = {.dir = "/", .os = os_real()};
    buf_init(&text, m, 1 << 24);
    BUF_LIT(&text,
            "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  static_configs:\n");
    for (uint32_t i = 0; i < targets; i++) {
        buf_fmt(&text, "  - {targets: ['127.0.0.1:%u'], labels: {instance: 'host-%03u:9100'}}\n",
                port, i);
    }
    bool ok = scrape_config_parse(buf_str(&text), "bench", &o, m, &c, e);
    buf_release(&text);
    if (ok) {
        scrape_apply(s, c);
    }
    return ok;
}

enum way { EVERY_NAME, EXPECTED, KNOWN };

static void parser_alone(struct mem *m, uint32_t series, enum way way)
{
    static const char *const texts[] = {"every name read", "names expected", "lines known"};
    struct buf body;
    struct expo_parse p;
    struct err e;
    struct str *names = calloc(series, sizeof *names);
    uint64_t samples = 0;
    buf_init(&body, m, 1 << 28);
    put_page(&body, series, 1);
    double before = 0;
    for (int round = -1; round < 400 && names; round++) {
        uint32_t i = 0;
        before = round == 0 ? cpu_s() : before;
        expo_parse_init(&p, EXPO_PARSE_TEXT, buf_str(&body), m);
        while (way == KNOWN && round >= 0 && i < series && expo_parse_known(&p, names[i])) {
            i++;
        }
        while (i < series && expo_parse_next(&p, &e) && p.entry == EXPO_PARSE_SAMPLE) {
            names[i++] = p.raw;
            p.expect = way == EXPECTED && i < series ? names[i] : str_of(NULL, 0);
        }
        expo_parse_release(&p);
        samples += round >= 0 ? i : 0;
    }
    printf("parser alone, %s: %.4f CPU-s per million samples\n", texts[way],
           (cpu_s() - before) / (double)samples * 1e6);
    buf_release(&body);
    free(names);
}

static int run(uint32_t targets, uint32_t series, uint32_t seconds, uint16_t port, const char *dir)
{
    struct mem m;
    struct tsdb *db = NULL;
    struct scrape *s = NULL;
    struct tsdb_config tc;
    struct scrape_stats a;
    struct scrape_stats b;
    struct err e;
    mem_init(&m, 0);
    tsdb_config_default(&tc);
    tc.dir = dir;
    struct scrape_options o = {.os = os_real(), .mem = &m};
    if (!tsdb_open(&db, &tc, os_real(), NULL, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    o.db = db;
    if (!scrape_new(&o, &s, &e) || !configure(s, &m, port, targets, &e) || !scrape_start(s, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    sleep(4); /* every target twice: the caches are warm */
    scrape_stats(s, &a);
    double before = cpu_s();
    sleep(seconds);
    double cpu = cpu_s() - before;
    scrape_stats(s, &b);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double samples = (double)(b.samples - a.samples);
    printf(
        "scrape of %u targets x %u series: %.0f samples in %u s, %.3f CPU-s per million, %.0f us "
        "per scrape, peak RSS %.0f MB, %llu missed, %llu failed\n",
        targets, series, samples, seconds, cpu / samples * 1e6,
        cpu / (double)(b.scrapes - a.scrapes) * 1e6, (double)u.ru_maxrss / 1024,
        (unsigned long long)b.slots_missed,
        (unsigned long long)(b.failed_connect + b.failed_parse + b.failed_status));
    scrape_stop(s);
    tsdb_close(db);
    parser_alone(&m, series, EVERY_NAME);
    parser_alone(&m, series, EXPECTED);
    parser_alone(&m, series, KNOWN);
    return 0;
}

static uint32_t number(int argc, char **argv, int i, uint32_t fallback)
{
    uint64_t v = 0;
    return argc > i && str_to_u64(str_from_c(argv[i]), &v) && v > 0 && v < 1000000 ? (uint32_t)v
                                                                                   : fallback;
}

int main(int argc, char **argv)
{
    uint32_t targets = number(argc, argv, 1, 60);
    uint32_t series = number(argc, argv, 2, 500);
    uint32_t seconds = number(argc, argv, 3, 15);
    char dir[] = "/tmp/farol-bench-scrape-XXXXXX";
    int pipes[2];
    uint16_t port = 0;
    if (!mkdtemp(dir) || pipe(pipes) != 0) {
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        serve(series, pipes[1]);
    }
    if (child < 0 || read(pipes[0], &port, sizeof port) != sizeof port || port == 0) {
        fprintf(stderr, "no server\n");
        return 1;
    }
    int rc = run(targets, series, seconds, port, dir);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    printf("the store stays in %s\n", dir);
    return rc;
}
