/* Relabelling: rules that rewrite, keep or drop a label set, as in relabel_configs and
 * metric_relabel_configs of Prometheus. Private to ingest/scrape. */
#ifndef INGEST_SCRAPE_RELABEL_INT_H
#define INGEST_SCRAPE_RELABEL_INT_H

#include "codec/conf.h"
#include "codec/labels.h"
#include "codec/regex.h"

enum relabel_action {
    RELABEL_REPLACE,
    RELABEL_KEEP,
    RELABEL_DROP,
    RELABEL_KEEPEQUAL,
    RELABEL_DROPEQUAL,
    RELABEL_HASHMOD,
    RELABEL_LABELMAP,
    RELABEL_LABELDROP,
    RELABEL_LABELKEEP,
    RELABEL_LOWERCASE,
    RELABEL_UPPERCASE,
};
#define RELABEL_ACTIONS 11

/* lifetime: the configuration's; texts borrow its arena, regex is owned. */
struct relabel_rule {
    enum relabel_action action;
    struct conf_strs source;
    struct str separator, pattern, target, replacement;
    struct regex *regex;
    bool matches_all; /* the pattern is (.*) */
    uint64_t modulus;
    bool regex_given;
    uint32_t line, col;                   /* in the configuration */
    bool legacy_names;                    /* metric_name_validation_scheme: legacy */
    bool plain_target, plain_replacement; /* without $ */
};

struct relabel_rules {
    struct relabel_rule *v;
    uint32_t n;
};

/* A label set that is being changed: names differ, no value is empty. Bytes borrow whatever they
 * came from or the arena. */
struct lset {
    struct label *v;
    uint32_t n, cap;
    struct arena *arena; /* borrows */
    bool failed;         /* the arena's cap was reached: something is missing */
};
void lset_init(struct lset *l, struct arena *a);
struct str lset_get(const struct lset *l, struct str name); /* {NULL, 0} when absent */
/* An empty value deletes. */
void lset_set(struct lset *l, struct str name, struct str value);
void lset_del(struct lset *l, struct str name);

/* Reads a list of rules (NULL or null: none). Regular expressions take memory of m. */
MUST_USE bool relabel_read(const struct yaml_node *n, bool legacy_names, struct mem *m,
                           struct arena *a, struct relabel_rules *out, struct err *e);
/* Checks rules for a naming scheme that is known only later. */
MUST_USE bool relabel_check(struct relabel_rules *r, bool legacy_names, struct err *e);
void relabel_release(struct relabel_rules *r);
/* Applies the rules in order. false: dropped. scratch is cleared and used. */
bool relabel_apply(const struct relabel_rules *r, struct lset *l, struct buf *scratch);
/* Same rules, text by text. */
bool relabel_same(const struct relabel_rules *a, const struct relabel_rules *b);

/* A label name by the naming scheme: not empty and UTF-8, or [a-zA-Z_][a-zA-Z0-9_]*. */
bool label_name_is_valid(struct str s, bool legacy);

/* MD5 (RFC 1321) of s, its last eight bytes as a big-endian number: what hashmod divides. */
uint64_t md5_tail(struct str s);

#endif
