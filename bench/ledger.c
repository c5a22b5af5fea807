/* Stage events a second of one shard of the pipeline pillar, and what a transaction costs in
 * memory.
 *
 *     bench_ledger [TX_PER_S] [SECONDS]
 *
 * A healthy stream of event time: TX_PER_S transactions start each second, each passes seven
 * stages a second apart, so that consecutive events are of different transactions and the table is
 * walked at random. Encoded batches of 5,000 records are timed twice: read only (record_next), and
 * read and applied; the difference is the pillar's. Figures of the last quarter, when the table is
 * full, are printed beside those of the whole run. */
#include "base/os.h"
#include "codec/yaml.h"
#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#define STAGES 7
#define BATCH  5000
#define T0     1795435200000000000LL

struct run {
    struct pillar pillar;
    void *state;
    struct record_reader *reader;
    struct buf batch;
    uint32_t in_batch;
    uint64_t events;
    int64_t read_ns, apply_ns; /* both with reading */
};

static void flush(struct run *r)
{
    const struct os *os = os_real();
    struct record rec;
    int64_t start = os_mono_ns(os);
    record_reader_init(r->reader, buf_str(&r->batch), 0, 1);
    while (record_next(r->reader, &rec, NULL)) {
    }
    int64_t middle = os_mono_ns(os);
    record_reader_init(r->reader, buf_str(&r->batch), 0, 1);
    r->pillar.batch_begin(r->state, r->reader);
    while (record_next(r->reader, &rec, NULL)) {
        r->pillar.apply(r->state, &rec, r->reader);
        r->events++;
    }
    r->read_ns += middle - start;
    r->apply_ns += os_mono_ns(os) - middle;
    buf_reset(&r->batch);
    r->in_batch = 0;
}

static void put(struct run *r, const struct pipeline_config *c, uint64_t number, uint32_t stage,
                int64_t t)
{
    if (r->in_batch == 0) {
        for (uint32_t i = 0; i < c->stages.count; i++) {
            record_put_name(&r->batch, c->stages.v[i]);
        }
    }
    char text[48];
    snprintf(text, sizeof text, "E00416968202611231200%011llu", (unsigned long long)number);
    struct stage_event s = {
        .stage_name = (uint16_t)stage,
        .outcome = OUTCOME_OK,
        .attempt = 1,
        .start_ns = t - (int64_t)(5 + number % 90) * NS_PER_MS,
        .end_ns = t,
        .queue_ns = 2 * NS_PER_MS,
        .work_ns = 3 * NS_PER_MS,
        .amount_centavos = stage == 0 ? 12345 : AMOUNT_NONE,
        .partition = -1,
    };
    memcpy(s.id.c, text, E2E_BYTES);
    record_put_stage(&r->batch, &s);
    if (++r->in_batch == BATCH) {
        flush(r);
    }
}

static void report(const char *what, uint64_t events, int64_t read_ns, int64_t apply_ns)
{
    double own = (double)(apply_ns - read_ns) / (double)events;
    printf("%-12s %9llu events: read %5.0f ns, apply %5.0f ns an event = %.2f M events/s "
           "(apply), %.2f M/s (read and apply)\n",
           what, (unsigned long long)events, (double)read_ns / (double)events, own, 1e3 / own,
           1e3 / ((double)apply_ns / (double)events));
}

int main(int argc, char **argv)
{
    uint64_t rate = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
    uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    struct mem m;
    struct mem shard_mem;
    mem_init(&m, 0);
    mem_init(&shard_mem, 0);
    struct arena a;
    arena_init(&a, &m, 1 << 20);
    struct pipeline_config c;
    struct pipeline *p = NULL;
    struct run r = {.reader = mem_take(&m, sizeof *r.reader)};
    struct err e = {.code = ERR_NONE};
    bool ok = r.reader && rate > 0 && pipeline_config_read(NULL, &a, &c, &e);
    c.transactions_max = 100000000;
    if (!ok || !pipeline_new(&c, &m, &p, &e)) {
        fprintf(stderr, "bench_ledger: %s\n", e.msg);
        return 1;
    }
    buf_init(&r.batch, &m, 8 << 20);
    r.pillar = pipeline_pillar(p);
    r.state = r.pillar.shard_new(p, 0, 1, &shard_mem, &e);
    struct run before = {.events = 0};
    for (uint64_t k = 0; k < rate * seconds; k++) {
        int64_t t = T0 + (int64_t)(k * (uint64_t)NS_PER_S / rate);
        for (uint32_t s = 0; s < STAGES && k >= s * rate; s++) {
            put(&r, &c, k - s * rate, s, t);
        }
        if (k == rate * seconds / 4 * 3) {
            before = r;
        }
    }
    flush(&r);
    report("all", r.events, r.read_ns, r.apply_ns);
    report("last quarter", r.events - before.events, r.read_ns - before.read_ns,
           r.apply_ns - before.apply_ns);
    /* 727 s: six of path, then window + lateness + remember. */
    printf("shard memory %.1f MB, %llu transactions remembered at most\n",
           (double)shard_mem.bytes / 1e6, (unsigned long long)(rate * 727));
    struct buf saved;
    buf_init(&saved, &m, (size_t)2 << 30);
    buf_room(&saved, (size_t)rate * 727 * 80 + 65536); /* as the river does, before the rest */
    int64_t start = os_mono_ns(os_real());
    r.pillar.save(p, &r.state, 1, &saved);
    int64_t middle = os_mono_ns(os_real());
    bool loaded = buf_ok(&saved, &e) && r.pillar.load(p, &r.state, 1, buf_str(&saved), &e);
    printf("save %.0f ms, %.1f MB; load %.0f ms%s\n", (double)(middle - start) / 1e6,
           (double)saved.n / 1e6, (double)(os_mono_ns(os_real()) - middle) / 1e6,
           loaded ? "" : ", which failed");
    return loaded ? 0 : 1;
}
