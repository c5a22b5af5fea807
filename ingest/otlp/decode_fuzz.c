/* Any bytes as a request: decoding returns, stays within its memory, and what it accepts can be
 * committed. */
#include "ingest/otlp/decode_int.h"

#include "base/simos.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct buf text;
    struct tsdb *db;
    struct tsdb_config c;
    struct err e = {0};
    struct str promoted = STR("host.name");
    if (size == 0 || size > 4096) {
        return 0;
    }
    struct simos *sim = simos_new(1);
    tsdb_config_default(&c);
    c.dir = "data";
    const bool open = tsdb_open(&db, &c, simos_os(sim), NULL, &e);
    ASSERT(open);
    mem_init(&m, 64U << 20);
    arena_init(&a, &m, 16U << 20);
    buf_init(&text, &m, 64U << 10);
    const struct otlp_config config = {.promote_resource_attributes = {&promoted, 1},
                                       .keep_identifying_resource_attributes = data[0] & 4};
    struct otlp_decoder *d = mem_take(&m, sizeof *d);
    ASSERT(d != NULL);
    d->config = &config;
    d->naming = (struct otlp_naming){.escape = !(data[0] & 1), .suffixes = !(data[0] & 2)};
    d->db = db;
    d->arena = &a;
    d->text = &text;
    d->source = tsdb_source(db, STR("fuzz"), 1000);
    d->batch = tsdb_batch_new(&m, 8U << 20);
    ASSERT(d->batch != NULL);
    if (otlp_decode(d, str_of((const char *)data + 1, size - 1), &e)) {
        struct tsdb_result r;
        const bool ok = tsdb_commit_wait(db, d->batch, TSDB_NO_FUTURE_CHECK, &r, &e);
        ASSERT(ok);
    } else {
        ASSERT(e.code != ERR_NONE);
        ASSERT(e.msg[0] != 0);
    }
    tsdb_batch_free(d->batch);
    buf_release(&text);
    arena_release(&a);
    mem_give(&m, d, sizeof *d);
    ASSERT(m.bytes == 0);
    tsdb_close(db);
    simos_free(sim);
    return 0;
}
