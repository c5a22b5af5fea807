/* YAML (libyaml) to a tree that remembers where each value stands, for configuration and rule
 * files.
 *
 * Plain JSON-like YAML 1.1: mappings with unique string keys, sequences, scalars; anchors and
 * aliases are expanded within bounds (the billion-laughs bomb is ERR_LIMIT); several documents are
 * an error. Merge keys (<<) and tags but the core ones are errors. Everything lives in the arena,
 * nothing borrows the text. Lines and columns count from 1, columns in characters. */
#ifndef CODEC_YAML_H
#define CODEC_YAML_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define YAML_DEPTH_MAX 32
#define YAML_NODES_MAX 200000

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted; /* a quoted scalar is a string, whatever it looks like */
    uint32_t line, col;
    struct str text; /* scalar */
    struct str key;  /* when it is a value of a mapping */
    uint32_t key_line, key_col;
    struct yaml_node *first; /* children, in order; shared between an anchor and its aliases */
    struct yaml_node *next;
    uint32_t children_count;
};

/* e gets where, line, col. An empty document gives an empty mapping. */
MUST_USE bool yaml_parse(struct str text, const char *where, struct arena *a,
                         struct yaml_node **out, struct err *e);
/* The same for files of the Prometheus world: a merge key (<<) adds the entries of the mapping, or
 * of the list of mappings, that it names and that are not set beside it; only the first document
 * counts and *more says whether others follow. */
MUST_USE bool yaml_parse_first(struct str text, const char *where, struct arena *a,
                               struct yaml_node **out, bool *more, struct err *e);
/* Child of a mapping, NULL when absent. */
const struct yaml_node *yaml_get(const struct yaml_node *n, struct str key);
/* true for a plain scalar that is empty, ~ or null. */
bool yaml_is_null(const struct yaml_node *n);

#endif
