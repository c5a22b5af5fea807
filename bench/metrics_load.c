/* Load for bench/metrics: units of 500 series shaped like a host with node_exporter and a Pix
 * pipeline, pushed by Prometheus remote write 1.0 (snappy, 2,000 series a request, one sample
 * each).
 *
 *   metrics_load --to HOST:PORT --path /api/v1/write --series N --from-ms T --steps N [--step-ms
 * 15000]
 *                [--connections 2] [--seed 1]
 *   metrics_load --text N      one text exposition of N series on standard output, as a scrape
 * sees it
 *
 * Prints one JSON line: samples, seconds, bytes before and after snappy, and the CPU seconds of the
 * loader itself. Any answer but 2xx ends it with an error. The classes of values and their shares
 * are those of the design (constant, counters with and without decimals, gauges in steps, full
 * doubles, histograms); every value depends on seed, series and step only. */
#include "base/rng.h"
#include "codec/pb.h"
#include "codec/snappy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UNIT            500
#define PER_REQUEST     2000
#define BUCKETS         11
#define HISTOGRAMS      8
#define BODY_MAX        (1U << 20)
#define CONNECTIONS_MAX 16

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
    enum class class;
    uint32_t labels_off, labels_n; /* in the block of label bytes */
    uint32_t text_off, text_n;     /* in the block of texts */
    double value, scale;
};

struct load {
    struct sockaddr_in to;
    const char *path;
    uint32_t series_n, steps, connections;
    int64_t from_ms, step_ms;
    struct series *series;
    struct buf labels, texts;
    struct rng rng;
    uint32_t units;
};

static const char *const les[BUCKETS] = {"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
                                         "0.1",   "0.25",   "0.5",   "1",    "+Inf"};
static const char *const stages[8] = {"ingest", "enrich", "features", "score",
                                      "decide", "act",    "settle",   "feedback"};
static const char *const modes[5] = {"idle", "iowait", "system", "user", "softirq"};

noreturn static void die(const char *what)
{
    fprintf(stderr, "metrics_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put_label(struct load *l, const char *name, const char *value)
{
    const size_t mark = pb_begin(&l->labels, 1);
    pb_put_bytes(&l->labels, 1, str_from_c(name));
    pb_put_bytes(&l->labels, 2, str_from_c(value));
    pb_end(&l->labels, mark);
}

struct tag {
    const char *name, *value;
};

/* Labels in order of names, as the protocol wants: __name__ first, then a merge of the fixed ones
 * (cluster, env, instance, job) with the series' own. */
static void add_series(struct load *l, uint32_t unit, enum class class, const char *name,
                       const struct tag *own, int own_n)
{
    char instance[48];
    snprintf(instance, sizeof instance, "fraud-%04u:9100", unit);
    struct tag all[8] = {{"cluster", "prod-a"},
                         {"env", "production"},
                         {"instance", instance},
                         {"job", "pix-pipeline"}};
    int n = 4;
    for (int i = 0; i < own_n; i++) {
        all[n++] = own[i];
    }
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0 && strcmp(all[j].name, all[j - 1].name) < 0; j--) {
            const struct tag t = all[j];
            all[j] = all[j - 1];
            all[j - 1] = t;
        }
    }
    struct series *s = &l->series[l->series_n++];
    *s = (struct series){.class = class, .labels_off = (uint32_t)l->labels.n};
    put_label(l, "__name__", name);
    s->text_off = (uint32_t)l->texts.n;
    buf_fmt(&l->texts, "%s{", name);
    for (int i = 0; i < n; i++) {
        put_label(l, all[i].name, all[i].value);
        buf_fmt(&l->texts, "%s%s=\"%s\"", i > 0 ? "," : "", all[i].name, all[i].value);
    }
    BUF_LIT(&l->texts, "} ");
    s->labels_n = (uint32_t)l->labels.n - s->labels_off;
    s->text_n = (uint32_t)l->texts.n - s->text_off;
    s->scale = 0.5 + rng_f64(&l->rng);
}

/* Values of the label: prefix, two digits. */
static void add_many(struct load *l, uint32_t unit, enum class class, const char *name,
                     const char *label, const char *prefix, int n)
{
    for (int i = 0; i < n; i++) {
        char value[48];
        snprintf(value, sizeof value, "%s%d", prefix, i);
        const struct tag own = {label, value};
        add_series(l, unit, class, name, &own, 1);
    }
}

static void add_histograms(struct load *l, uint32_t unit)
{
    for (int h = 0; h < HISTOGRAMS; h++) {
        for (int b = 0; b < BUCKETS; b++) {
            const struct tag own[2] = {{"stage", stages[h]}, {"le", les[b]}};
            add_series(l, unit, BUCKET, "payment_stage_seconds_bucket", own, 2);
        }
        const struct tag own = {"stage", stages[h]};
        add_series(l, unit, HIST_COUNT, "payment_stage_seconds_count", &own, 1);
        add_series(l, unit, HIST_SUM, "payment_stage_seconds_sum", &own, 1);
    }
}

static void add_unit(struct load *l, uint32_t unit)
{
    add_many(l, unit, CONSTANT, "node_filesystem_size_bytes", "device", "/dev/nvme", 40);
    add_many(l, unit, CONSTANT, "payment_stage_info", "version", "2.8.", 36);
    add_many(l, unit, CONSTANT, "node_network_up", "device", "eth", 40);
    for (int c = 0; c < 11; c++) {
        for (int m = 0; m < 5; m++) {
            char cpu[8];
            snprintf(cpu, sizeof cpu, "%d", c);
            const struct tag own[2] = {{"cpu", cpu}, {"mode", modes[m]}};
            add_series(l, unit, CPU_SECONDS, "node_cpu_seconds_total", own, 2);
        }
    }
    add_many(l, unit, GAUGE_4K, "node_memory_bytes", "kind", "kind_", 40);
    add_many(l, unit, COUNTER_SMALL, "payment_errors_total", "reason", "AB", 30);
    add_many(l, unit, COUNTER_BIG, "node_network_receive_bytes_total", "device", "eth", 15);
    add_many(l, unit, BYTES_512, "node_disk_written_bytes_total", "device", "nvme", 10);
    add_many(l, unit, DECIMALS_2, "node_load_percent", "shard", "", 15);
    add_many(l, unit, DOUBLE, "fraud_feature_mean", "feature", "feature_", 40);
    add_many(l, unit, MOSTLY_ZERO, "payment_inflight", "partition", "", 35);
    for (int p = 0; p < 20; p++) {
        char psp[16];
        snprintf(psp, sizeof psp, "%08u", 10000000 + (unit * 7 + (unsigned)p * 31) % 200);
        for (int r = 0; r < 2; r++) {
            const struct tag own[2] = {{"psp", psp}, {"result", r == 0 ? "ok" : "error"}};
            add_series(l, unit, TRANSACTIONS, "payment_transactions_total", own, 2);
        }
    }
    add_histograms(l, unit);
}

static double uniform(struct load *l)
{
    return rng_f64(&l->rng);
}

/* Moves a series one step on. A histogram's buckets come one after the other: below keeps what the
 * bucket before counted in this step, so that counts stay cumulative. */
static double step_value(struct load *l, struct series *s, double *below, uint32_t step)
{
    switch (s->class) {
    case CONSTANT:
        if (step == 0) {
            s->value = floor(s->scale * 1e9);
        }
        break;
    case CPU_SECONDS:
        s->value = round((s->value + floor(uniform(l) * 150 * s->scale) / 100) * 100) / 100;
        break;
    case GAUGE_4K:
        s->value = fabs(s->value + 4096 * floor((uniform(l) - 0.5) * 60 * s->scale));
        break;
    case COUNTER_SMALL: s->value += floor(uniform(l) * 12 * s->scale); break;
    case COUNTER_BIG: s->value += floor(uniform(l) * 3e6 * s->scale); break;
    case BYTES_512: s->value += 512 * floor(uniform(l) * 700 * s->scale); break;
    case DECIMALS_2: s->value = round(uniform(l) * 10000 * s->scale) / 100; break;
    case DOUBLE: s->value = 0.9 * s->value + uniform(l) * s->scale; break;
    case MOSTLY_ZERO: s->value = uniform(l) < 0.03 ? ceil(uniform(l) * 5) : 0; break;
    case TRANSACTIONS: s->value += floor(uniform(l) * 4 * s->scale); break;
    case BUCKET: {
        *below += floor(uniform(l) * 6 * s->scale);
        s->value += *below;
        break;
    }
    case HIST_COUNT: s->value += *below; break;
    case HIST_SUM:
        s->value += *below * 0.0137 * (0.5 + uniform(l));
        *below = 0;
        break;
    }
    return s->value;
}

/* -- Pushing. -- */

struct job {
    struct load *l;
    struct buf raw, body;
};

static void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        const ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
        if (put <= 0) {
            die("cannot send");
        }
        p += put;
        n -= (size_t)put;
    }
}

static int dial(const struct load *l)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&l->to, sizeof l->to) != 0) {
        die("cannot connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Reads one answer whose body is short; true when 2xx. */
static bool answered(int fd)
{
    char text[8192];
    size_t n = 0;
    for (;;) {
        const ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) {
            die("connection ended");
        }
        n += (size_t)got;
        text[n] = 0;
        const char *end = strstr(text, "\r\n\r\n");
        if (!end) {
            continue;
        }
        const char *length = strcasestr(text, "content-length:");
        const size_t body = length && length < end ? (size_t)strtoul(length + 15, NULL, 10) : 0;
        if (n >= (size_t)(end + 4 - text) + body) {
            if (text[9] != '2') {
                fprintf(stderr, "metrics_load: %.400s\n", text);
            }
            return text[9] == '2';
        }
    }
}

/* One request may be on its way per connection: its answer is read before the connection is used
 * again. Requests of one step hold different series, so order is kept. */
static void push(struct job *j, int fd, bool *waiting, const char *host)
{
    char head[512];
    struct err e = {0};
    buf_reset(&j->body);
    if (!snappy_pack(buf_str(&j->raw), &j->body, &e)) {
        die(e.msg);
    }
    const int n =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-protobuf\r\n"
                 "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
                 "User-Agent: metrics-load\r\nContent-Length: %zu\r\n\r\n",
                 j->l->path, host, j->body.n);
    if (*waiting && !answered(fd)) {
        exit(1);
    }
    send_all(fd, head, (size_t)n);
    send_all(fd, j->body.p, j->body.n);
    *waiting = true;
}

static void put_sample(struct job *j, const struct series *s, double v, int64_t t_ms)
{
    const size_t mark = pb_begin(&j->raw, 1);
    buf_add(&j->raw, j->l->labels.p + s->labels_off, s->labels_n);
    const size_t sample = pb_begin(&j->raw, 2);
    pb_put_f64(&j->raw, 1, v);
    pb_put_varint(&j->raw, 2, (uint64_t)t_ms);
    pb_end(&j->raw, sample);
    pb_end(&j->raw, mark);
}

static void load_all(struct load *l, const char *host)
{
    struct mem m;
    mem_init(&m, 0);
    struct job j = {.l = l};
    buf_init(&j.raw, &m, BODY_MAX);
    buf_init(&j.body, &m, BODY_MAX);
    int fds[CONNECTIONS_MAX];
    bool waiting[CONNECTIONS_MAX] = {false};
    for (uint32_t i = 0; i < l->connections; i++) {
        fds[i] = dial(l);
    }
    /* At least as many requests a step as connections, or two of one series could overtake. */
    const uint32_t share = l->series_n / l->connections;
    const uint32_t per_request = share > 0 && share < PER_REQUEST ? share : PER_REQUEST;
    uint64_t samples = 0, raw = 0, packed = 0, requests = 0;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (uint32_t step = 0; step < l->steps; step++) {
        double below = 0;
        const int64_t t_ms = l->from_ms + (int64_t)step * l->step_ms;
        for (uint32_t i = 0; i < l->series_n; i++) {
            put_sample(&j, &l->series[i], step_value(l, &l->series[i], &below, step), t_ms);
            samples++;
            if ((i + 1) % per_request == 0 || i + 1 == l->series_n) {
                const uint64_t at = requests++ % l->connections;
                push(&j, fds[at], &waiting[at], host);
                raw += j.raw.n;
                packed += j.body.n;
                buf_reset(&j.raw);
            }
        }
    }
    for (uint32_t i = 0; i < l->connections; i++) {
        if (waiting[i] && !answered(fds[i])) {
            exit(1);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"samples\":%llu,\"requests\":%llu,\"seconds\":%.3f,\"raw_bytes\":%llu,\"packed_"
           "bytes\":%llu,"
           "\"loader_cpu_s\":%.3f}\n",
           (unsigned long long)samples, (unsigned long long)requests,
           (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9,
           (unsigned long long)raw, (unsigned long long)packed,
           (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    for (uint32_t i = 0; i < l->connections; i++) {
        close(fds[i]);
    }
    buf_release(&j.raw);
    buf_release(&j.body);
}

static void print_text(struct load *l, uint32_t step)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, 1U << 30);
    double below = 0;
    for (uint32_t i = 0; i < l->series_n; i++) {
        struct series *s = &l->series[i];
        buf_add(&b, l->texts.p + s->text_off, s->text_n);
        buf_f64(&b, step_value(l, s, &below, step));
        buf_char(&b, '\n');
    }
    fwrite(b.p, 1, b.n, stdout);
    buf_release(&b);
}

static void build(struct load *l, struct mem *m, uint32_t series)
{
    l->units = (series + UNIT - 1) / UNIT;
    l->series = calloc((size_t)l->units * UNIT, sizeof *l->series);
    buf_init(&l->labels, m, 4ULL << 30);
    buf_init(&l->texts, m, 4ULL << 30);
    if (!l->series) {
        die("no memory");
    }
    for (uint32_t u = 0; u < l->units; u++) {
        add_unit(l, u);
    }
    if (l->labels.failed || l->texts.failed) {
        die("no memory");
    }
    l->series_n = series < l->series_n ? series : l->series_n;
}

static const char *value_of(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return fallback;
}

int main(int argc, char **argv)
{
    struct load l = {.path = value_of(argc, argv, "--path", "/api/v1/write")};
    struct mem m;
    mem_init(&m, 0);
    rng_init(&l.rng, strtoull(value_of(argc, argv, "--seed", "1"), NULL, 10));
    const char *text = value_of(argc, argv, "--text", NULL);
    const char *n = value_of(argc, argv, "--series", "10000");
    build(&l, &m, (uint32_t)strtoul(text ? text : n, NULL, 10));
    if (text) {
        print_text(&l, 0);
        return 0;
    }
    char host[64];
    snprintf(host, sizeof host, "%s", value_of(argc, argv, "--to", "127.0.0.1:9480"));
    char address[64];
    snprintf(address, sizeof address, "%s", host);
    char *colon = strrchr(address, ':');
    if (!colon) {
        fprintf(stderr, "metrics_load: expected --to HOST:PORT, found %s\n", host);
        return 2;
    }
    *colon = 0;
    l.to.sin_family = AF_INET;
    l.to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, address, &l.to.sin_addr) != 1) {
        fprintf(stderr, "metrics_load: expected an IPv4 address, found %s\n", address);
        return 2;
    }
    l.from_ms = strtoll(value_of(argc, argv, "--from-ms", "0"), NULL, 10);
    l.step_ms = strtoll(value_of(argc, argv, "--step-ms", "15000"), NULL, 10);
    l.steps = (uint32_t)strtoul(value_of(argc, argv, "--steps", "10"), NULL, 10);
    l.connections = (uint32_t)strtoul(value_of(argc, argv, "--connections", "2"), NULL, 10);
    if (l.connections == 0 || l.connections > CONNECTIONS_MAX) {
        fprintf(stderr, "metrics_load: expected 1 to %d connections\n", CONNECTIONS_MAX);
        return 2;
    }
    load_all(&l, host);
    return 0;
}
