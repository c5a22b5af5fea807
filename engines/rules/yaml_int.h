/* Reading YAML trees strictly, collecting problems. Private to engines/rules. */
#ifndef ENGINES_RULES_YAML_INT_H
#define ENGINES_RULES_YAML_INT_H

#include "engines/rules/rules.h"

struct yaml_read {
    const char *path;
    struct arena *arena;
    unsigned promql_flags;
    bool unknown_keys, legacy;
    bool full; /* memory: stop */
    void (*each)(void *ctx, const struct err *e);
    void *ctx;
    struct err *e; /* gets the first problem */
    uint32_t problems;
};

/* Both return false. The place is that of the value, or of its key when it has one. */
PRINTF_LIKE(3, 4)
bool yaml_problem(struct yaml_read *r, const struct yaml_node *n, const char *fmt, ...);
bool yaml_full(struct yaml_read *r);
/* Each key that is not in the list is a problem, with the nearest one suggested. */
void yaml_read_keys(struct yaml_read *r, const struct yaml_node *n, const struct str *keys,
                    size_t count, const char *what);
/* Text of a scalar; empty for NULL, null and (a problem) anything else. */
struct str yaml_read_text(struct yaml_read *r, const struct yaml_node *n);
/* Leaves *ms when n is NULL or null. */
void yaml_read_duration(struct yaml_read *r, const struct yaml_node *n, int64_t max_ms,
                        int64_t *ms);
/* Sorted by name. false only for memory or a value that is no mapping. */
bool yaml_read_pairs(struct yaml_read *r, const struct yaml_node *n, struct rule_pair **out,
                     uint32_t *count);

#endif
