/* A compiled mapping: which path of the JSON feeds which field of a record. map.c describes it.
 * Immutable after it was built; shared by all decoders. */
#ifndef INGEST_NDJSON_MAP_INT_H
#define INGEST_NDJSON_MAP_INT_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/conf.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "flow/record.h"
#include "ingest/ndjson/ndjson.h"

#define NDJSON_NODES_MAX    512 /* path elements of one mapping; the built-in one has about 60 */
#define NDJSON_SLOTS        1024
#define NDJSON_SLOT_SHIFT   22  /* the top 10 bits of a hash */
#define NDJSON_DEPTH_MAX    16  /* elements of one path */
#define NDJSON_WORDS_MAX    64  /* `values:` of one field */
#define NDJSON_FEATURES_MAX 256 /* paths of `features:` */
#define NDJSON_BINDINGS_MAX 32  /* fields of one kind */

_Static_assert(NDJSON_SLOTS == 1u << (32 - NDJSON_SLOT_SHIFT), "one slot per value of the bits");
_Static_assert(NDJSON_SLOTS >= 2 * NDJSON_NODES_MAX, "the table of paths stays half empty");

enum ndjson_type {
    NDJSON_T_E2E,     /* struct e2e */
    NDJSON_T_TIME,    /* int64_t ns */
    NDJSON_T_UNIT,    /* double 0..1 */
    NDJSON_T_WORD,    /* enumeration */
    NDJSON_T_SOURCE,  /* enumeration with "other"; the word itself is kept too */
    NDJSON_T_STR,     /* struct str */
    NDJSON_T_MONEY,   /* int64_t centavos */
    NDJSON_T_SPAN,    /* int64_t ns */
    NDJSON_T_I64,     /* int64_t */
    NDJSON_T_U32,     /* uint32_t */
    NDJSON_T_I32,     /* int32_t */
    NDJSON_T_NAME,    /* uint16_t: id of a name of the batch */
    NDJSON_T_LATENCY, /* object: stage -> time */
};

enum ndjson_unit {
    NDJSON_U_DEFAULT, /* the schema's: ns for times and spans, us for latencies, centavos */
    NDJSON_U_NS,
    NDJSON_U_US,
    NDJSON_U_MS,
    NDJSON_U_S,
    NDJSON_U_CENTAVOS,
    NDJSON_U_REAIS
};

enum ndjson_words {
    NDJSON_W_NONE,
    NDJSON_W_VERDICT,
    NDJSON_W_FALLBACK,
    NDJSON_W_DIRECTION,
    NDJSON_W_SETTLEMENT,
    NDJSON_W_FORM,
    NDJSON_W_TRUTH,
    NDJSON_W_SOURCE,
    NDJSON_W_OUTCOME,
    NDJSON_W_SLA,
    NDJSON_W_KIND
};

/* A field of the schema (fields.c). */
struct ndjson_field {
    struct str name, alias; /* alias may be empty */
    enum ndjson_type type;
    bool required;
    bool unless_fallback; /* the value may lack where fallback is not none: the model was out */
    uint32_t offset;
    enum ndjson_words words;
    int64_t min, max; /* I64, U32, I32, SPAN (ns) */
};

struct ndjson_field_list {
    const struct ndjson_field *v;
    uint32_t count;
};

struct ndjson_word {
    struct str text;
    uint32_t code;
};

struct ndjson_word_list {
    const struct ndjson_word *v;
    uint32_t count;
};

/* What one field reads. Node 0 is the root of the line and means "no path". */
struct ndjson_binding {
    const struct ndjson_field *field;
    uint32_t node, node_alt;
    struct str path, path_alt;
    struct json_token constant; /* when has_constant */
    bool has_constant;
    bool mapped_words; /* `values:` was given: numbers and true/false are words too */
    enum ndjson_unit unit;
    struct ndjson_word_list words;
};

/* A segment dimension: the first of these that has a value. */
struct ndjson_dim {
    const struct ndjson_field *field; /* STR or WORD of struct decision, or NULL */
    uint32_t node;                    /* 0 = none */
    struct str feature;               /* empty = none */
};

struct ndjson_features {
    uint32_t node;
    struct str name;  /* of the feature when the value is a scalar: the last path element */
    bool object_only; /* not in a list of paths: the value is the object of all features */
};

struct ndjson_kind_map {
    bool used;
    struct ndjson_binding *bindings;
    uint32_t bindings_count;
    struct ndjson_features *features;
    uint32_t features_count;
    struct ndjson_dim dims[RECORD_DIMS_MAX];
    uint32_t dims_count;
};

struct ndjson_node {
    struct str key;
    uint32_t parent;
    bool inner; /* has children */
    uint64_t
        child_lengths; /* bit n % 64: a child's key has n bytes; refuses most other keys at once */
};

struct ndjson_slot {
    uint32_t hash, node; /* node 0: free */
};

struct ndjson_map {
    struct ndjson_node *nodes; /* [0] is the root */
    uint32_t nodes_count;
    struct ndjson_slot *slots; /* open addressing by (parent, key) */
    uint32_t schema_node;      /* always the key "schema" */
    uint32_t type_node;        /* 0: `type` is constant */
    struct str type_path;
    enum record_kind type_constant;
    struct ndjson_word_list kinds;
    struct ndjson_kind_map kind[RECORD_KINDS];
};

/* fields.c */
struct ndjson_field_list ndjson_schema_fields(enum record_kind k);
struct str ndjson_kind_text(enum record_kind k);
/* Field by name or alias; NULL when there is none. */
const struct ndjson_field *ndjson_field_find(enum record_kind k, struct str name);
/* Fields of domain.md 6.1 that may become dimensions but are not carried otherwise. */
bool ndjson_dim_field(struct str name);
/* The schema's words of a set; {NULL, 0} at the end of the set. */
struct str ndjson_word_at(enum ndjson_words set, uint32_t code);
uint32_t ndjson_words_count(enum ndjson_words set);
bool ndjson_word_code(struct ndjson_word_list words, struct str text, uint32_t *code);

/* Equality of short keys, inline: a call of memcmp costs more than the comparison. */
static inline bool ndjson_key_eq(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    if (a.n < 8 || a.n > 16) {
        return a.n == 0 || (a.p[0] == b.p[0] && memcmp(a.p, b.p, a.n) == 0);
    }
    /* 8 to 16 bytes: two words, which overlap. */
    return get_u64le(a.p) == get_u64le(b.p) && get_u64le(a.p + a.n - 8) == get_u64le(b.p + b.n - 8);
}

/* map.c */
MUST_USE bool ndjson_map_builtin(const struct conf_strs *dims, struct arena *a,
                                 const struct ndjson_map **out, struct err *e);
MUST_USE bool ndjson_map_read(const struct yaml_node *n, const struct conf_strs *dims,
                              struct arena *a, const struct ndjson_map **out, struct err *e);
/* Node of (parent, key), 0 when not mapped. */
uint32_t ndjson_map_find(const struct ndjson_map *m, uint32_t parent, struct str key);

/* value.c */
#define NDJSON_TEXTS      24
#define NDJSON_TEXT_BYTES 32

/* Numbers written as text live here until the record is put. */
struct ndjson_texts {
    char text[NDJSON_TEXTS][NDJSON_TEXT_BYTES];
    uint32_t used;
};

/* Why a value was refused; `expected` NULL: the words of the binding. */
struct ndjson_issue {
    enum ndjson_reason reason;
    const char *expected;
    uint32_t inner_col; /* 1-based byte inside the string value, 0 = none */
    struct err inner;   /* E2E: what e2e_parse said */
};

/* Puts a value of any type but NAME and LATENCY into the record. Pure; linear in the value. */
MUST_USE bool ndjson_value_put(const struct ndjson_binding *b, const struct json_token *t,
                               void *record, struct ndjson_counts *counts,
                               struct ndjson_texts *texts, struct ndjson_issue *issue);
/* A scalar as text: strings as they are (cut, personal data dropped), numbers and booleans written
 * out; empty for the rest. */
struct str ndjson_value_text(const struct json_token *t, struct ndjson_counts *counts,
                             struct ndjson_texts *texts);
/* Cuts at RECORD_STR_MAX on a UTF-8 boundary, empties personal data; counts both. */
struct str ndjson_text_clean(struct str s, struct ndjson_counts *counts);
/* A number with a unit as ns; false: not a number, not whole enough or out of range. */
MUST_USE bool ndjson_span_ns(const struct json_token *t, enum ndjson_unit unit, int64_t *ns);
void ndjson_expected_words(const struct ndjson_binding *b, struct buf *out);

#endif
