/* Any bytes as a batch. The first byte gives shard and shards. What is accepted is encoded again,
 * decoded again, and must be the same field for field; a second encoding must have the same
 * bytes. */
#include "flow/record.h"

#include "flow/record_gen.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct buf *b, const struct record *rec)
{
    switch (rec->kind) {
    case RECORD_DECISION: record_put_decision(b, &rec->u.decision); break;
    case RECORD_LABEL: record_put_label(b, &rec->u.label); break;
    case RECORD_STAGE: record_put_stage(b, &rec->u.stage); break;
    case RECORD_NAME: break;
    }
}

static bool same(const struct record *a, const struct record *b)
{
    if (a->kind != b->kind || a->route != b->route || !hash128_eq(a->hash, b->hash)) {
        return false;
    }
    switch (a->kind) {
    case RECORD_DECISION: return record_same_decision(&a->u.decision, &b->u.decision);
    case RECORD_LABEL: return record_same_label(&a->u.label, &b->u.label);
    case RECORD_STAGE: return record_same_stage(&a->u.stage, &b->u.stage);
    case RECORD_NAME: break;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct record_reader *r = malloc(2 * sizeof *r);
    ASSERT(r != NULL);
    struct record_reader *again = r + 1;
    uint32_t shards = 1u + (data[0] >> 4);
    struct mem mem;
    struct buf b;
    struct buf c;
    mem_init(&mem, 0);
    buf_init(&b, &mem, (size_t)64 << 20);
    buf_init(&c, &mem, (size_t)64 << 20);
    record_reader_init(r, str_of((const char *)data + 1, size - 1), data[0] % shards, shards);
    struct record rec;
    struct record copy;
    struct err e = {.code = ERR_NONE};
    while (record_next(r, &rec, &e)) {
        ASSERT(rec.kind != RECORD_DECISION || rec.u.decision.fallback != FALLBACK_NONE ||
               (rec.u.decision.score >= 0 && rec.u.decision.score <= 1));
        buf_reset(&b);
        for (uint32_t i = 0; i < r->names_count; i++) {
            record_put_name(&b, r->names[i]);
        }
        put(&b, &rec);
        ASSERT(!b.failed);
        record_reader_init(again, buf_str(&b), data[0] % shards, shards);
        ASSERT(record_next(again, &copy, &e));
        ASSERT(same(&rec, &copy));
        ASSERT(again->names_count == r->names_count);
        buf_reset(&c);
        for (uint32_t i = 0; i < again->names_count; i++) {
            ASSERT(str_eq(r->names[i], again->names[i]));
            record_put_name(&c, again->names[i]);
        }
        put(&c, &copy);
        ASSERT(str_eq(buf_str(&b), buf_str(&c)));
        ASSERT(!record_next(again, &copy, &e) && e.code == ERR_NONE);
    }
    ASSERT(e.code == ERR_NONE || e.code == ERR_CORRUPT);
    buf_release(&b);
    buf_release(&c);
    free(r);
    return 0;
}
