/* Any bytes as a request in JSON: converting returns, and what it accepts is a request in protobuf,
 * which the decoder reads without finding it malformed, and which can be committed. */
#include "ingest/otlp/json_int.h"

#include "base/simos.h"
#include "ingest/otlp/decode_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store(struct str message, struct mem *m)
{
    struct arena a;
    struct buf text;
    struct tsdb *db;
    struct tsdb_config c;
    struct tsdb_result r;
    struct err e = {0};
    const struct otlp_config config = {.keep_identifying_resource_attributes = true};
    struct simos *sim = simos_new(1);
    tsdb_config_default(&c);
    c.dir = "data";
    bool ok = tsdb_open(&db, &c, simos_os(sim), NULL, &e);
    ASSERT(ok);
    arena_init(&a, m, 16U << 20);
    buf_init(&text, m, 64U << 10);
    struct otlp_decoder *d = mem_take(m, sizeof *d);
    ASSERT(d != NULL);
    *d = (struct otlp_decoder){.config = &config,
                               .naming = {.escape = true, .suffixes = true},
                               .db = db,
                               .batch = tsdb_batch_new(m, 8U << 20),
                               .arena = &a,
                               .text = &text,
                               .source = tsdb_source(db, STR("fuzz"), 1000)};
    ASSERT(d->batch != NULL);
    ok = otlp_decode(d, message, &e);
    ASSERT(ok || e.code == ERR_LIMIT);
    if (ok) {
        ok = tsdb_commit_wait(db, d->batch, TSDB_NO_FUTURE_CHECK, &r, &e);
        ASSERT(ok);
    }
    tsdb_batch_free(d->batch);
    mem_give(m, d, sizeof *d);
    buf_release(&text);
    arena_release(&a);
    tsdb_close(db);
    simos_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct buf out;
    struct err e = {0};
    if (size > 4096) {
        return 0;
    }
    mem_init(&m, 64U << 20);
    buf_init(&out, &m, 1U << 20);
    if (otlp_json_to_pb(str_of((const char *)data, size), &m, &out, &e)) {
        if (out.n > 0) {
            store(buf_str(&out), &m);
        }
    } else {
        ASSERT(e.code != ERR_NONE && e.msg[0] != 0);
        ASSERT(e.line <= size + 1 && e.col <= size + 1);
    }
    buf_release(&out);
    ASSERT(m.bytes == 0);
    return 0;
}
