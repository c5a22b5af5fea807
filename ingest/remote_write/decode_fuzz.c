/* Any bytes as a request of 1.0 and of 2.0: decoding returns, stays within its memory, and what it
 * accepts can be committed. */
#include "ingest/remote_write/decode_int.h"

#include "base/simos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct tsdb *db, struct tsdb_names *names, struct str bytes, bool v2)
{
    struct mem m;
    struct arena a;
    struct err e = {0};
    mem_init(&m, 64U << 20);
    arena_init(&a, &m, 16U << 20);
    struct decoder *d = mem_take(&m, sizeof *d);
    ASSERT(d != NULL);
    d->db = db;
    d->names = names;
    d->mem = &m;
    d->arena = &a;
    d->source = tsdb_source(db, STR("fuzz"), 1000);
    d->batch = tsdb_batch_new(&m, 8U << 20);
    ASSERT(d->batch != NULL);
    if (v2 ? decode_v2(d, bytes, &e) : decode_v1(d, bytes, &e)) {
        struct tsdb_result r;
        const bool ok = tsdb_commit_wait(db, d->batch, TSDB_NO_FUTURE_CHECK, &r, &e);
        ASSERT(ok);
    } else {
        ASSERT(e.code != ERR_NONE);
        ASSERT(e.msg[0] != 0);
    }
    mem_give(&m, d->items, d->items_cap * sizeof *d->items);
    mem_give(&m, d->symbols, d->symbols_cap * sizeof *d->symbols);
    tsdb_batch_free(d->batch);
    arena_release(&a);
    mem_give(&m, d, sizeof *d);
    ASSERT(m.bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    struct simos *sim = simos_new(1);
    struct tsdb *db;
    struct tsdb_config c;
    struct err e = {0};
    tsdb_config_default(&c);
    c.dir = "data";
    const bool open = tsdb_open(&db, &c, simos_os(sim), NULL, &e);
    ASSERT(open);
    struct tsdb_names *names;
    const bool made = tsdb_names_new(db, 1 << 20, &names, &e);
    ASSERT(made);
    const struct str bytes = str_of((const char *)data + 1, size - 1);
    run(db, names, bytes, data[0] & 1);
    run(db, names, bytes, data[0] & 1); /* again: now the names are known */
    tsdb_names_free(names);
    tsdb_close(db);
    simos_free(sim);
    return 0;
}
