/* The durable path alone: nanoseconds to encode and decode a record, to parse an EndToEndId,
 * megabytes a second through the journal with one sync a group, and records a second on a restart's
 * replay.
 *
 *     bench_flow [FOLDER]        default: a new folder below /tmp
 *
 * Beside each stands what it is measured against in the same run: memcpy of the same bytes for the
 * encoder, write and fdatasync of the same bytes in one file for the journal. Figures are the best
 * and the median of ROUNDS rounds, contenders taking turns. */
#include "base/base.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/os.h"
#include "flow/e2e.h"
#include "flow/journal.h"
#include "flow/record.h"
#include "flow/record_gen.h"
#include "flow/river.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS        15
#define RECORDS       2000
#define FEATURES      18
#define NAMES         24
#define GROUPS        64
#define BATCH_BYTES   ((size_t)256 << 10)
#define REPLAY_COPIES 1000
#define LIVE_BATCHES  500

struct figures {
    const char *name, *unit;
    double v[ROUNDS];
};

static int order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print(struct figures *f)
{
    qsort(f->v, ROUNDS, sizeof f->v[0], order);
    printf("%-34s median %10.1f  best %10.1f  worst %10.1f  %s\n", f->name, f->v[ROUNDS / 2],
           f->v[0], f->v[ROUNDS - 1], f->unit);
}

static double ns_since(int64_t t0)
{
    return (double)(os_mono_ns(os_real()) - t0);
}

/* Decisions like a door makes them: 18 features, 5 stage latencies, 2 dimensions, short strings. */
static void decisions(struct decision *d, struct record_gen *g)
{
    static const struct str dims[2] = {STR_INIT("DICT"), STR_INIT("out")};
    for (uint32_t i = 0; i < RECORDS; i++) {
        record_gen_decision(g, &d[i], NAMES, 0, 0);
        d[i].model = STR("pix-gbm");
        d[i].model_version = STR("2026.11.3");
        d[i].host = STR("scorer-7");
        d[i].dims[0] = dims[0];
        d[i].dims[1] = dims[1];
        d[i].dims_count = 2;
        d[i].latencies_count = 5;
        d[i].features_count = FEATURES;
    }
    for (uint32_t i = 0; i < FEATURES; i++) {
        g->features[i] = (struct feature){.name = (uint16_t)i,
                                          .kind = i % 9 == 8 ? FEATURE_CATEGORY : FEATURE_NUMBER,
                                          .number = rng_f64(&g->rng),
                                          .category = STR("SP")};
    }
    for (uint16_t i = 0; i < 5; i++) {
        g->latencies[i] = (struct latency){.stage_name = (uint16_t)(18 + i), .ns = 1000000};
    }
}

static void put_all(struct buf *b, const struct decision *d)
{
    buf_reset(b);
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "feature_%d", i);
        record_put_name(b, str_of(name, (size_t)n));
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        record_put_decision(b, &d[i]);
    }
}

static uint64_t read_all(struct record_reader *r, struct str payload, uint32_t shards)
{
    struct record rec;
    struct err e = {.code = ERR_NONE};
    record_reader_init(r, payload, 0, shards);
    while (record_next(r, &rec, &e)) {
    }
    ASSERT(e.code == ERR_NONE);
    return r->records;
}

static void bench_records(struct buf *b, const struct decision *d)
{
    struct figures put = {.name = "encode a decision", .unit = "ns"};
    struct figures copy = {.name = "  memcpy of the same bytes", .unit = "ns"};
    struct figures get = {.name = "decode a decision", .unit = "ns"};
    struct figures pass = {.name = "pass over 3 of 4, decode 1", .unit = "ns a record"};
    struct figures ids = {.name = "parse an EndToEndId", .unit = "ns"};
    struct record_reader *r = malloc(sizeof *r);
    struct e2e *id_of = malloc(RECORDS * sizeof *id_of);
    ASSERT(id_of != NULL);
    for (uint32_t i = 0; i < RECORDS; i++) {
        id_of[i] = d[i].id;
    }
    put_all(b, d);
    char *to = malloc(b->n);
    ASSERT(r != NULL && to != NULL);
    memset(to, 0, b->n);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t t0 = os_mono_ns(os_real());
        put_all(b, d);
        put.v[i] = ns_since(t0) / RECORDS;
        t0 = os_mono_ns(os_real());
        memcpy(to, b->p, b->n);
        copy.v[i] = ns_since(t0) / RECORDS;
        t0 = os_mono_ns(os_real());
        ASSERT(read_all(r, buf_str(b), 1) == RECORDS);
        get.v[i] = ns_since(t0) / RECORDS;
        t0 = os_mono_ns(os_real());
        ASSERT(read_all(r, buf_str(b), 4) > RECORDS / 8);
        pass.v[i] = ns_since(t0) / RECORDS;
        t0 = os_mono_ns(os_real());
        for (uint32_t k = 0; k < RECORDS; k++) {
            struct e2e id;
            bool ok = e2e_parse(e2e_str(&id_of[k]), &id, NULL);
            ASSERT(ok);
        }
        ids.v[i] = ns_since(t0) / RECORDS;
    }
    printf("%.1f bytes a decision of %d features\n", (double)b->n / RECORDS, FEATURES);
    print(&put);
    print(&copy);
    print(&get);
    print(&pass);
    print(&ids);
    free(id_of);
    free(to);
    free(r);
}

static void fail_with(const struct err *e)
{
    fprintf(stderr, "bench_flow: %s\n", e->msg);
    exit(1);
}

static double plain_file(const char *dir, struct str bytes)
{
    const struct os *os = os_real();
    char path[PATH_BYTES_MAX];
    struct err e = {.code = ERR_NONE};
    int fd = -1;
    if (!path_join(path, sizeof path, dir, "plain", &e)) {
        fail_with(&e);
    }
    int64_t t0 = os_mono_ns(os);
    int rc = os->open(os->ctx, path, OS_WRITE | OS_CREATE | OS_TRUNCATE, &fd);
    ASSERT(rc == 0);
    for (int i = 0; i < GROUPS; i++) {
        if (!file_write_all(os, fd, bytes, path, &e)) {
            fail_with(&e);
        }
        rc = os->datasync(os->ctx, fd);
        ASSERT(rc == 0);
    }
    double ns = ns_since(t0);
    os->close(os->ctx, fd);
    os->unlink(os->ctx, path);
    return ns;
}

static double journal_file(const char *dir, struct str bytes)
{
    struct mem mem;
    struct err e = {.code = ERR_NONE};
    struct journal *j = NULL;
    struct journal_config c = {
        .dir = dir, .segment_bytes_max = (uint64_t)64 << 20, .bytes_max = (uint64_t)8 << 30};
    mem_init(&mem, 0);
    if (!journal_open(&j, &c, os_real(), &mem, NULL, &e)) {
        fail_with(&e);
    }
    int64_t t0 = os_mono_ns(os_real());
    for (int i = 0; i < GROUPS; i++) {
        uint64_t seq;
        if (!journal_append(j, bytes, &seq, &e) || !journal_sync(j, &e)) {
            fail_with(&e);
        }
    }
    double ns = ns_since(t0);
    journal_close(j);
    return ns;
}

static void bench_journal(const char *dir, struct str payload)
{
    struct str bytes = str_sub(payload, 0, BATCH_BYTES);
    double mb = (double)bytes.n * GROUPS / 1e6;
    struct figures jf = {.name = "journal, 256 KiB and a sync each", .unit = "MB/s"};
    struct figures pf = {.name = "  plain file, the same writes", .unit = "MB/s"};
    for (int i = 0; i < ROUNDS; i++) {
        jf.v[i] = mb / (journal_file(dir, bytes) / 1e9);
        pf.v[i] = mb / (plain_file(dir, bytes) / 1e9);
    }
    print(&jf);
    print(&pf);
}

/* -- replay: a pillar that only counts -- */

static void *count_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e)
{
    (void)app;
    (void)shard;
    (void)shards;
    (void)m;
    uint64_t *n = calloc(1, sizeof *n);
    if (n == NULL) {
        err_set(e, ERR_NOMEM, "no memory");
    }
    return n;
}

static void count_apply(void *state, const struct record *rec, const struct record_reader *r)
{
    (void)rec;
    (void)r;
    uint64_t *n = state;
    ++*n;
}

static void count_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    (void)app;
    (void)states;
    (void)n;
    buf_u64le(out, 0);
}

static bool count_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e)
{
    (void)app;
    (void)states;
    (void)n;
    (void)bytes;
    (void)e;
    return true;
}

static void bench_replay(const char *dir, const char *journal_dir, struct str payload)
{
    struct mem mem;
    struct err e = {.code = ERR_NONE};
    struct journal *j = NULL;
    struct journal_config c = {.dir = journal_dir,
                               .segment_bytes_max = (uint64_t)64 << 20,
                               .bytes_max = (uint64_t)8 << 30};
    mem_init(&mem, 0);
    if (!dir_make(os_real(), journal_dir, &e) || !journal_open(&j, &c, os_real(), &mem, NULL, &e)) {
        fail_with(&e);
    }
    for (int i = 0; i < REPLAY_COPIES; i++) {
        uint64_t seq;
        if (!journal_append(j, payload, &seq, &e)) {
            fail_with(&e);
        }
    }
    if (!journal_sync(j, &e)) {
        fail_with(&e);
    }
    journal_close(j);
    for (uint32_t shards = 1; shards <= 2; shards++) {
        struct pillar p = {.name = "count",
                           .shard_new = count_new,
                           .shard_free = free,
                           .apply = count_apply,
                           .save = count_save,
                           .load = count_load};
        struct river_config rc = {.dir = dir,
                                  .shards = shards,
                                  .queue_bytes_max = (uint64_t)64 << 20,
                                  .segment_bytes_max = (uint64_t)64 << 20,
                                  .journal_bytes_max = (uint64_t)8 << 30,
                                  .checkpoint_ms = 60000,
                                  .checkpoint_bytes = (uint64_t)4 << 30,
                                  .shard_mem_bytes_max = 1 << 20};
        struct river *r = NULL;
        struct river_stats st;
        if (!river_start(&r, &rc, &p, 1, os_real(), NULL, &e)) {
            fail_with(&e);
        }
        river_stats(r, &st);
        double s = (double)st.recovery_ns / 1e9;
        printf("restart, %u shard%s: %d decisions, %.0f MB in %.3f s = %.2f M/s, %.0f MB/s\n",
               shards, shards == 1 ? "" : "s", RECORDS * REPLAY_COPIES,
               (double)st.journal.bytes / 1e6, s, RECORDS * REPLAY_COPIES / s / 1e6,
               (double)st.journal.bytes / 1e6 / s);
        river_stop(r);
        char path[PATH_BYTES_MAX];
        if (path_join(path, sizeof path, dir, "checkpoint-a.bin", NULL)) {
            os_real()->unlink(NULL, path); /* so that the second start replays as well */
        }
    }
}

static void stored(void *ctx, const struct err *e)
{
    (void)ctx;
    if (e != NULL) {
        fail_with(e);
    }
}

/* One door, batches of RECORDS decisions, everything durable: the whole way. */
static void bench_live(const char *dir, struct str payload)
{
    struct pillar p = {.name = "count",
                       .shard_new = count_new,
                       .shard_free = free,
                       .apply = count_apply,
                       .save = count_save,
                       .load = count_load};
    struct river_config rc = {.dir = dir,
                              .shards = 2,
                              .queue_bytes_max = (uint64_t)64 << 20,
                              .segment_bytes_max = (uint64_t)64 << 20,
                              .journal_bytes_max = (uint64_t)8 << 30,
                              .checkpoint_ms = 60000,
                              .checkpoint_bytes = (uint64_t)4 << 30,
                              .shard_mem_bytes_max = 1 << 20};
    struct river *r = NULL;
    struct river_stats st;
    struct err e = {.code = ERR_NONE};
    if (!river_start(&r, &rc, &p, 1, os_real(), NULL, &e)) {
        fail_with(&e);
    }
    int64_t t0 = os_mono_ns(os_real());
    for (int i = 0; i < LIVE_BATCHES; i++) {
        struct batch *b = river_batch_new(payload.n);
        ASSERT(b != NULL);
        buf_str_add(&b->payload, payload);
        b->records = RECORDS;
        b->done = stored;
        while (!river_submit(r, b, &e)) {
            os_real()->sleep_ns(NULL, 100000);
        }
    }
    river_stats(r, &st);
    while (st.batches < LIVE_BATCHES) {
        os_real()->sleep_ns(NULL, 100000);
        river_stats(r, &st);
    }
    river_drain(r);
    double s = ns_since(t0) / 1e9;
    printf("live, 2 shards: %d decisions stored and applied in %.3f s = %.2f M/s, %llu syncs\n",
           RECORDS * LIVE_BATCHES, s, RECORDS * LIVE_BATCHES / s / 1e6,
           (unsigned long long)st.journal.syncs);
    river_stop(r);
}

static void remove_name(void *arg, const char *name)
{
    char path[PATH_BYTES_MAX];
    if (path_join(path, sizeof path, arg, name, NULL)) {
        os_real()->unlink(NULL, path);
    }
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/bench-flow-XXXXXX";
    char river_dir[PATH_BYTES_MAX];
    char journal_dir[PATH_BYTES_MAX];
    char *dir = argc > 1 ? argv[1] : mkdtemp(made);
    struct err e = {.code = ERR_NONE};
    if (dir == NULL || !path_join(river_dir, sizeof river_dir, dir, "river", &e) ||
        !path_join(journal_dir, sizeof journal_dir, river_dir, "journal", &e)) {
        fprintf(stderr, "bench_flow: no folder\n");
        return 1;
    }
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, (size_t)64 << 20);
    struct decision *d = calloc(RECORDS, sizeof *d);
    struct record_gen *g = calloc(1, sizeof *g);
    ASSERT(d != NULL && g != NULL);
    rng_init(&g->rng, 1);
    decisions(d, g);
    bench_records(&b, d);
    bench_journal(dir, buf_str(&b));
    bench_replay(river_dir, journal_dir, buf_str(&b));
    bench_live(river_dir, buf_str(&b));
    const struct os *os = os_real();
    os->list(os->ctx, journal_dir, remove_name, journal_dir);
    os->list(os->ctx, river_dir, remove_name, river_dir);
    rmdir(journal_dir);
    rmdir(river_dir);
    os->list(os->ctx, dir, remove_name, dir);
    rmdir(dir);
    buf_release(&b);
    free(d);
    free(g);
    return 0;
}
