/* The index alone: nanoseconds to insert, to find again, to find by raw bytes; selections, sorting,
 * saving and loading; memory.
 *
 *     bench_index [SERIES [CELLS]]        default 100,000 and 20,000
 *
 * Series look like a node exporter's and a Pix pipeline's: 10 labels, 500 metrics per host, and one
 * label (cell) with CELLS values in no order. Hosts come in turns, so ids of a host lie apart.
 * Beside the insertion stands the floor: hashing the same texts. Figures are the median and best of
 * ROUNDS rounds. */
#include "base/base.h"
#include "base/hash.h"
#include "base/os.h"
#include "engines/tsdb/index_int.h"
#include "engines/tsdb/names_int.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS   9
#define LABELS   10
#define TEXT     32
#define PER_HOST 500

struct one {
    char text[LABELS][TEXT];
    struct label v[LABELS];
    char raw[256];
    struct str key;
    uint64_t hash;
};

static void one_make(struct one *o, uint32_t i, uint32_t hosts, uint32_t cells)
{
    static const char *const names[LABELS] = {"__name__", "cell", "cluster", "env",    "instance",
                                              "job",      "le",   "mode",    "region", "stage"};
    static const char *const les[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                      "0.5",   "1",    "2.5",   "5",    "10",  "+Inf"};
    static const char *const modes[] = {"idle", "user", "system", "iowait", "irq", "steal"};
    uint32_t host = i * 7919 % hosts;
    uint32_t k = i / hosts;
    snprintf(o->text[0], TEXT, "pix_metric_%u_total", k / 24);
    snprintf(o->text[1], TEXT, "%08x",
             (uint32_t)hash64(str_of((const char *)&i, 4)) % cells * 214013U);
    snprintf(o->text[2], TEXT, "sp-%u", host % 3);
    snprintf(o->text[3], TEXT, "prod");
    snprintf(o->text[4], TEXT, "10.1.%u.%u:9100", host / 250, host % 250);
    snprintf(o->text[5], TEXT, "node");
    snprintf(o->text[6], TEXT, "%s", les[k % 12]);
    snprintf(o->text[7], TEXT, "%s", modes[k % 6]);
    snprintf(o->text[8], TEXT, "sa-east-1");
    snprintf(o->text[9], TEXT, "stage-%u", k / 50);
    size_t n = 0;
    for (uint32_t l = 0; l < LABELS; l++) {
        o->v[l] = (struct label){str_from_c(names[l]), str_from_c(o->text[l])};
        n += (size_t)snprintf(o->raw + n, sizeof o->raw - n, "%s=%s,", names[l], o->text[l]);
    }
    o->key = str_of(o->raw, n);
    o->hash = hash64(o->key);
}

static double now_ns(void)
{
    return (double)os_mono_ns(os_real());
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, double *v, double per, const char *unit)
{
    qsort(v, ROUNDS, sizeof *v, order);
    printf("%-44s median %10.2f  best %10.2f  %s\n", name, v[ROUNDS / 2] / per, v[0] / per, unit);
}

static void failed(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static struct index *index_make(struct mem *m)
{
    struct index *x;
    struct err e;
    if (!index_new(m, 0, &x, &e)) {
        failed("index_new");
    }
    return x;
}

static void add_all(struct index *x, const struct one *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t ref;
        bool is_new;
        struct err e;
        if (!index_series(x, 0, (struct labels){all[i].v, LABELS}, &ref, &is_new, &e)) {
            failed("index_series");
        }
    }
}

static void bench_insert(const struct one *all, uint32_t n)
{
    double insert[ROUNDS];
    double again[ROUNDS];
    double hash[ROUNDS];
    uint64_t sum = 0;
    for (int r = 0; r < ROUNDS; r++) {
        struct mem m;
        mem_init(&m, 0);
        struct index *x = index_make(&m);
        double t0 = now_ns();
        for (uint32_t i = 0; i < n; i++) {
            sum += labels_hash((struct labels){all[i].v, LABELS});
        }
        double t1 = now_ns();
        add_all(x, all, n);
        double t2 = now_ns();
        add_all(x, all, n);
        double t3 = now_ns();
        hash[r] = t1 - t0;
        insert[r] = t2 - t1;
        again[r] = t3 - t2;
        if (r == 0) {
            printf("memory: %.1f MB, %.0f bytes per series\n", (double)index_bytes(x) / 1e6,
                   (double)index_bytes(x) / n);
        }
        index_free(x);
    }
    print("hash of the label texts (floor)", hash, n, "ns per series");
    print("insert", insert, n, "ns per series");
    print("insert again (known)", again, n, "ns per series");
    printf("(sum %llu)\n", (unsigned long long)sum);
}

static void bench_names(struct index *x, const struct one *all, uint32_t n)
{
    struct tsdb_names *names;
    struct err e;
    if (!names_new_in(x, 7, (size_t)64 << 20, NULL, NULL, &names, &e)) {
        failed("names_new_in");
    }
    double find[ROUNDS];
    uint64_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        tsdb_names_put(names, all[i].hash, all[i].key, i + 1);
    }
    for (int r = 0; r < ROUNDS; r++) {
        double t0 = now_ns();
        for (uint32_t from = 0; from < n; from += 64) {
            uint32_t end = from + 64 < n ? from + 64 : n;
            for (uint32_t i = from; i < end; i++) {
                tsdb_names_prefetch(names, all[i].hash);
            }
            for (uint32_t i = from; i < end; i++) {
                found += tsdb_names_find(names, all[i].hash, all[i].key) != 0;
            }
        }
        find[r] = now_ns() - t0;
    }
    print("find by raw bytes, prefetched by 64", find, n, "ns per series");
    printf("names: %.1f MB for %u, %.4f found\n", (double)names_bytes(names) / 1e6,
           names_count(names), (double)found / ROUNDS / n);
    tsdb_names_free(names);
}

static void bench_select(struct index *x, const char *name, const struct matcher *m, uint32_t m_n)
{
    double select[ROUNDS];
    double sort[ROUNDS];
    double first = 0;
    struct mem mem;
    struct arena a;
    uint32_t n = 0;
    mem_init(&mem, 0);
    arena_init(&a, &mem, (size_t)256 << 20);
    for (int r = -1; r < ROUNDS; r++) {
        uint32_t *ids;
        struct err e;
        double t0 = now_ns();
        if (!index_select(x, m, m_n, NULL, NULL, 0, &a, &ids, &n, &e)) {
            failed(e.msg);
        }
        double t1 = now_ns();
        index_sort(x, ids, n);
        if (r >= 0) {
            select[r] = t1 - t0;
            sort[r] = now_ns() - t1;
        } else {
            first = t1 - t0;
        }
        arena_reset(&a);
    }
    char line[96];
    snprintf(line, sizeof line, "select %s: %u", name, n);
    print(line, select, 1e6, "ms");
    print("  sort", sort, 1e6, "ms");
    printf("  first time %.2f ms\n", first / 1e6);
    arena_release(&a);
}

static void bench_load(struct index *x, uint32_t n)
{
    double save[ROUNDS];
    double load[ROUNDS];
    struct mem mem;
    struct buf out;
    struct err e;
    mem_init(&mem, 0);
    buf_init(&out, &mem, (size_t)1 << 30);
    for (int r = 0; r < ROUNDS; r++) {
        struct mem own;
        mem_init(&own, 0);
        struct index *y = index_make(&own);
        buf_reset(&out);
        double t0 = now_ns();
        if (!index_save(x, &out, &e)) {
            failed(e.msg);
        }
        double t1 = now_ns();
        if (!index_load(y, buf_str(&out), &e)) {
            failed(e.msg);
        }
        load[r] = now_ns() - t1;
        save[r] = t1 - t0;
        if (r == 0) {
            printf("saved: %.2f bytes per series; loaded it takes %.1f MB, %.1f at the top\n",
                   (double)out.n / n, (double)own.bytes / 1e6, (double)own.bytes_top / 1e6);
        }
        index_free(y);
    }
    print("save", save, 1e6, "ms");
    print("load", load, 1e6, "ms");
    buf_release(&out);
}

int main(int argc, char **argv)
{
    uint64_t n = 100000;
    uint64_t cells = 20000;
    if ((argc > 1 && !str_to_u64(str_from_c(argv[1]), &n)) ||
        (argc > 2 && !str_to_u64(str_from_c(argv[2]), &cells)) || n == 0 || cells == 0) {
        fprintf(stderr, "usage: %s [SERIES [CELLS]]\n", argv[0]);
        return 2;
    }
    struct one *all = calloc(n, sizeof *all);
    if (all == NULL) {
        return 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        one_make(&all[i], i, (uint32_t)(n / PER_HOST + 1), (uint32_t)cells);
    }
    struct mem m;
    mem_init(&m, 0);
    bench_insert(all, (uint32_t)n);
    struct index *x = index_make(&m);
    add_all(x, all, (uint32_t)n);
    bench_names(x, all, (uint32_t)n);
    struct matcher name = {MATCH_EQ, STR("__name__"), STR("pix_metric_3_total")};
    struct matcher family = {MATCH_RE, STR("__name__"), STR("pix_metric_1.*")};
    struct matcher host = {MATCH_RE, STR("instance"), STR("10\\.1\\.0\\.1[0-4]?:9100")};
    struct matcher mode = {MATCH_NE, STR("mode"), STR("idle")};
    struct matcher les = {MATCH_RE, STR("le"), STR("0.1|0.5|1")};
    struct matcher job = {MATCH_EQ, STR("job"), STR("node")};
    bench_select(x, "one name", &name, 1);
    bench_select(x, "name=~prefix.*", &family, 1);
    bench_select(x, "name and job", (struct matcher[]){name, job}, 2);
    bench_select(x, "name=~, mode!=", (struct matcher[]){family, mode}, 2);
    bench_select(x, "name=~, instance=~ RE2", (struct matcher[]){family, host}, 2);
    bench_select(x, "le=~a|b|c", &les, 1);
    bench_select(x, "job, mode!=", (struct matcher[]){job, mode}, 2);
    bench_load(x, (uint32_t)n);
    index_free(x);
    free(all);
    return 0;
}
