/* What one decision costs the model pillar: apply() of decisions with 18 features and two
 * segments, and of labels, on one thread, in batches of 500 as doors make them. Reading the
 * batch is measured apart in the same rounds, so that the difference is the pillar's. Prints
 * nanoseconds per record and memory held.
 *
 *     build/bench_model_apply [decisions, default 400000] */
#include "model/model.h"

#include "base/clock.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FEATURES 18
#define BATCH    500

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct e2e id_of(int64_t t_ns, uint32_t k)
{
    struct civil c = civil_from_ns(t_ns);
    struct e2e id;
    char text[64];
    snprintf(text, sizeof text, "E12345678%04d%02u%02u%02u%02uB%010u", (int)c.year, c.month, c.day,
             c.hour, c.minute, k);
    memcpy(id.c, text, sizeof id.c);
    return id;
}

static void fill(struct buf *b, struct rng *r, uint32_t from)
{
    static const struct str channels[4] = {STR_INIT("app"), STR_INIT("web"), STR_INIT("api"),
                                           STR_INIT("pos")};
    struct feature f[FEATURES];
    char names[FEATURES][16];
    buf_reset(b);
    for (int i = 0; i < FEATURES; i++) {
        snprintf(names[i], sizeof names[i], "feature_%d", i);
        record_put_name(b, str_from_c(names[i]));
    }
    for (uint32_t k = from; k < from + BATCH; k++) {
        int64_t t_ns = ns_from_day(20000) + (int64_t)k * 20 * NS_PER_S;
        double z = rng_normal(r) * 1.5 - 6;
        for (uint16_t i = 0; i < FEATURES; i++) {
            f[i] = (struct feature){.name = i, .kind = FEATURE_NUMBER, .number = rng_exp(r) * 50};
        }
        struct decision d = {.id = id_of(t_ns, k),
                             .t_ns = t_ns,
                             .score = 1 / (1 + exp(-z)),
                             .threshold = 0.6,
                             .verdict = z > 0 ? VERDICT_HOLD : VERDICT_APPROVE,
                             .amount_centavos = (int64_t)rng_below(r, 100000),
                             .hold_deadline_ns = T_NS_NONE,
                             .model_version = STR("v1"),
                             .dims = {channels[k % 4], STR("DICT")},
                             .dims_count = 2,
                             .features = f,
                             .features_count = FEATURES};
        record_put_decision(b, &d);
        if (k % 100 == 0) {
            struct fraud_label l = {.id = d.id,
                                    .t_ns = t_ns + NS_PER_DAY,
                                    .truth = TRUTH_FRAUD,
                                    .source = SOURCE_ANALYST};
            record_put_label(b, &l);
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t decisions = 400000;
    if (argc > 1 && !str_to_u64(str_from_c(argv[1]), &decisions)) {
        fprintf(stderr, "usage: bench_model_apply [decisions]\n");
        return 2;
    }
    struct mem mem;
    struct arena a;
    struct model_config c;
    struct model *m = NULL;
    struct buf batch;
    struct rng r;
    struct err e = {0};
    struct record rec;
    struct record_reader *reader = malloc(sizeof *reader);
    double read_ns = 0;
    double both_ns = 0;
    uint64_t records = 0;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 20);
    buf_init(&batch, &mem, 64 << 20);
    rng_init(&r, 1);
    if (reader == NULL || !model_config_read(NULL, &a, &c, &e) ||
        !model_new(&c, os_real(), "bench-join", NULL, &mem, &m, &e)) {
        return 1;
    }
    struct pillar p = model_pillar(m);
    void *s = p.shard_new(p.app, 0, 1, &mem, &e);
    for (uint32_t k = 0; s != NULL && k < decisions; k += BATCH) {
        fill(&batch, &r, k);
        double t0 = cpu_ns();
        record_reader_init(reader, buf_str(&batch), 0, 1);
        while (record_next(reader, &rec, &e)) {
            records++;
        }
        double t1 = cpu_ns();
        record_reader_init(reader, buf_str(&batch), 0, 1);
        p.batch_begin(s, reader);
        while (record_next(reader, &rec, &e)) {
            p.apply(s, &rec, reader);
        }
        double t2 = cpu_ns();
        read_ns += t1 - t0;
        both_ns += t2 - t1;
    }
    double n = (double)records;
    printf(
        "%llu records: reading %.0f ns, reading and applying %.0f ns, applying %.0f ns a record; "
        "%.1f MiB held\n",
        (unsigned long long)records, read_ns / n, both_ns / n, (both_ns - read_ns) / n,
        (double)mem.bytes / 1048576);
    p.shard_free(s);
    model_free(m);
    buf_release(&batch);
    arena_release(&a);
    free(reader);
    return 0;
}
