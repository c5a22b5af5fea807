/* The `ingest:` section of farol.yml: bounds of the door, and the mapping of a user's own JSON. */
#include "ingest/ndjson/ndjson.h"

#include "base/base.h"
#include "ingest/ndjson/map_int.h"

#include <stddef.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

/* Compiled later, when model.segments is known; here only kept. */
static bool read_mapping(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)a;
    (void)e;
    const struct yaml_node **out = dst;
    *out = n;
    return true;
}

const struct conf_field ndjson_fields[] = {
    CONF_BYTES(struct ndjson_config, body_bytes_max, "body_bytes_max", "32MiB", KIB, 64 * MIB,
               "largest body of one request, as sent"),
    CONF_BYTES(struct ndjson_config, unpacked_bytes_max, "unpacked_bytes_max", "64MiB", KIB,
               256 * MIB, "largest body of one request after decompression"),
    CONF_BYTES(struct ndjson_config, line_bytes_max, "line_bytes_max", "64KiB", 256, MIB,
               "longest line; a longer one is refused and counted, the rest of the body is read"),
    CONF_I64(struct ndjson_config, features_max, "features_max", "1024", 1, RECORD_FEATURES_MAX,
             "most features of one decision"),
    CONF_I64(struct ndjson_config, requests_max, "requests_max", "64", 1, 1024,
             "requests received at the same time; more are told to come back (503)"),
    CONF_BYTES(struct ndjson_config, receiving_bytes_max, "receiving_bytes_max", "256MiB", MIB,
               64 * 1024 * MIB, "memory of all requests while they are received"),
    CONF_CUSTOM(struct ndjson_config, mapping_node, "mapping",
                "which fields of your own JSON are which fields of schema farol.pix/1",
                read_mapping),
};
const size_t ndjson_fields_count = ARRAY_LEN(ndjson_fields);

bool ndjson_config_read(const struct yaml_node *section, const struct conf_strs *dims,
                        struct arena *a, struct ndjson_config *out, struct err *e)
{
    *out = (struct ndjson_config){0};
    if (!conf_read(ndjson_fields, ndjson_fields_count, section, out, a, e)) {
        return false;
    }
    if (!ndjson_map_builtin(dims, a, &out->builtin, e)) {
        return false;
    }
    return out->mapping_node == NULL || yaml_is_null(out->mapping_node) ||
           ndjson_map_read(out->mapping_node, dims, a, &out->user, e);
}
