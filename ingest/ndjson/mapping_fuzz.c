/* Any bytes as the YAML of an `ingest:` section: must be refused with a message or give a mapping
 * that a decoder can use on a line without surprise. */
#include "base/base.h"
#include "base/buf.h"
#include "codec/yaml.h"
#include "flow/record.h"
#include "ingest/ndjson/ndjson.h"

static const char lines[] =
    "{\"type\":\"decision\",\"id\":\"E10002877201805140000KH5FHKLEC67\",\"ts\":1526256001023000000,"
    "\"score\":0.5,\"decision\":\"hold\",\"features\":{\"amount\":1.5,\"uf\":\"MG\",\"x\":null}}\n"
    "{\"type\":\"label\",\"id\":\"E10002877201805140000KH5FHKLEC67\",\"ts\":\"2018-05-15T00:00:"
    "00Z\","
    "\"label\":1,\"source\":\"med\"}\n"
    "{\"a\":{\"b\":{\"c\":1}},\"d\":[1,2],\"e\":\"x\",\"when\":1,\"i\":"
    "\"E10002877201805140000KH5FHKLEC67\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct ndjson_config *c, struct mem *m)
{
    struct buf payload;
    struct ndjson_decoder *d = ndjson_decoder_new(c, m);
    ASSERT(d != NULL);
    buf_init(&payload, m, 1 << 20);
    ndjson_decoder_begin(d);
    for (struct str rest = str_from_c(lines); rest.n > 0;) {
        struct str_cut cut = str_cut(rest, '\n');
        struct err e = {0};
        rest = cut.tail;
        if (!ndjson_decode_line(d, cut.head, false, &payload, &e)) {
            ASSERT(e.code == ERR_INPUT);
        }
    }
    ASSERT(!payload.failed);
    buf_release(&payload);
    ndjson_decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct err e = {0};
    struct yaml_node *doc = NULL;
    struct ndjson_config c;
    struct str dims[] = {STR("form"), STR("uf")};
    struct conf_strs list = {dims, ARRAY_LEN(dims)};
    if (size > 1 << 14) {
        return 0;
    }
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 23);
    if (yaml_parse(str_of((const char *)data, size), "fuzz", &a, &doc, &e) &&
        ndjson_config_read(doc, &list, &a, &c, &e)) {
        use(&c, &m);
    } else {
        ASSERT(e.code != ERR_NONE);
        ASSERT(e.msg[0] != '\0');
    }
    arena_release(&a);
    ASSERT(m.bytes == 0);
    return 0;
}
