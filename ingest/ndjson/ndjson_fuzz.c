/* Any bytes as a body of lines, through the built-in mapping and a user's: must return within its
 * bounds; a refusal has a code, a reason and a message; what is accepted must be read back by
 * record_next, count for count. */
#include "base/base.h"
#include "base/buf.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "flow/record.h"
#include "ingest/ndjson/ndjson.h"

#include <stdlib.h>
#include <string.h>

static const char user_yaml[] =
    "line_bytes_max: 1KiB\n"
    "features_max: 8\n"
    "mapping:\n"
    "  type: {field: k, values: {d: decision, \"1\": label, s: stage}}\n"
    "  decision: {id: i, ts: {field: t, unit: s}, score: r.s, decision: {field: a, values: {r: "
    "hold,\n"
    "    \"true\": deny}}, amount: {field: f.v, unit: reais}, features: [f, r.x], form: r.form,\n"
    "    hold_deadline: h, latency_us: {field: l, unit: ms}, dims: {seg: r.seg}}\n"
    "  label: {id: i, ts: t, label: {field: y, values: {\"1\": fraud, \"0\": legit}}, source: "
    "src}\n"
    "  stage: {id: i, stage: g, outcome: {value: ok}, end_ts: t, queue_ns: q, work_ns: w}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_payload(const struct buf *payload, const struct ndjson_counts *c)
{
    struct record_reader *r = malloc(sizeof *r);
    struct record rec;
    struct err e = {0};
    uint64_t kinds[RECORD_KINDS] = {0};
    ASSERT(r != NULL);
    ASSERT(!payload->failed);
    record_reader_init(r, buf_str(payload), 0, 1);
    while (record_next(r, &rec, &e)) {
        kinds[rec.kind]++;
    }
    ASSERT(e.code == ERR_NONE);
    for (uint32_t k = RECORD_DECISION; k < RECORD_KINDS; k++) {
        ASSERT(kinds[k] == c->accepted[k]);
    }
    free(r);
}

static void decode_body(const struct ndjson_config *config, struct str body, struct mem *m)
{
    struct buf payload;
    struct ndjson_decoder *d = ndjson_decoder_new(config, m);
    ASSERT(d != NULL);
    buf_init(&payload, m, 1 << 26);
    ndjson_decoder_begin(d);
    const struct ndjson_counts *c = ndjson_decoder_counts(d);
    uint64_t refused = 0;
    while (body.n > 0) {
        struct str_cut cut = str_cut(body, '\n');
        struct err e = {0};
        body = cut.tail;
        if (!ndjson_decode_line(d, cut.head, false, &payload, &e)) {
            ASSERT(e.code == ERR_INPUT);
            ASSERT(e.msg[0] != '\0');
            ASSERT(e.col <= cut.head.n + 1);
            refused++;
        }
    }
    ASSERT(refused == c->rejected[0] + c->rejected[1] + c->rejected[2] + c->rejected[3]);
    check_payload(&payload, c);
    buf_release(&payload);
    ndjson_decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct err e = {0};
    struct yaml_node *doc = NULL;
    struct ndjson_config builtin;
    struct ndjson_config user;
    struct str dims[] = {STR("form"), STR("channel"), STR("features.uf"), STR("a.b"), STR("seg")};
    struct conf_strs list = {dims, ARRAY_LEN(dims)};
    if (size > 1 << 16) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    bool ok = yaml_parse(str_from_c(user_yaml), "fuzz", &a, &doc, &e) &&
              ndjson_config_read(doc, &list, &a, &user, &e) &&
              ndjson_config_read(NULL, &list, &a, &builtin, &e);
    ASSERT(ok);
    struct str body = str_of((const char *)data, size);
    decode_body(&builtin, body, &m);
    decode_body(&user, body, &m);
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
