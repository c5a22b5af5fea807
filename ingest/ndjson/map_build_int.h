/* A mapping while it is being built: shared by map.c (tree, dimensions, built-in mapping) and
 * map_read.c (a user's YAML). */
#ifndef INGEST_NDJSON_MAP_BUILD_INT_H
#define INGEST_NDJSON_MAP_BUILD_INT_H

#include "ingest/ndjson/map_int.h"

#define NDJSON_WORD_SETS (NDJSON_W_KIND + 1)
#define MAP_DIMS_MAX     32

/* A dimension the user gave a path for. */
struct map_dim {
    struct str name;
    uint32_t node;
};

struct map_build {
    struct ndjson_map *map;
    struct arena *arena;
    const struct conf_strs *dims; /* may be NULL */
    struct map_dim given[MAP_DIMS_MAX];
    uint32_t given_count;
    struct ndjson_word_list words[NDJSON_WORD_SETS];
};

/* err_at the node's place; `at` may be NULL. */
#define map_err(at, code, e, ...) \
    err_at((e), (code), (at) ? (at)->line : 0, (at) ? (at)->col : 0, __VA_ARGS__)

MUST_USE bool ndjson_build_init(struct map_build *b, const struct conf_strs *dims, struct arena *a,
                                struct err *e);
/* Adds the path's nodes; *last (may be NULL) is its last key. */
MUST_USE bool ndjson_build_path(struct map_build *b, struct str path, const struct yaml_node *at,
                                uint32_t *node, struct str *last, struct err *e);
/* The kind's binding of f, new when there was none. */
struct ndjson_binding *ndjson_build_binding(struct map_build *b, enum record_kind k,
                                            const struct ndjson_field *f);
/* Resolves the configured dimensions, after all bindings exist. */
MUST_USE bool ndjson_build_dims(struct map_build *b, bool builtin, struct err *e);

#endif
