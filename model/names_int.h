/* Names of a shard as small numbers: model versions and values of each segment dimension.
 * Private. */
#ifndef MODEL_NAMES_INT_H
#define MODEL_NAMES_INT_H

#include "base/intern.h"
#include "flow/record.h"

#define MODEL_NAME_NONE  0 /* missing: "unknown" version, or a value in no cohort */
#define MODEL_NAME_OTHER 1 /* over the bound */
#define MODEL_NAME_FIRST 2

struct model_names {
    struct intern kinds[RECORD_DIMS_MAX + 1]; /* 0: versions, 1 + i: values of dimension i */
};

void model_names_init(struct model_names *t, struct mem *m, uint32_t versions_max,
                      uint32_t values_max);
void model_names_release(struct model_names *t);
/* Adds when new; MODEL_NAME_NONE for "", MODEL_NAME_OTHER at the bound or without memory. */
uint16_t model_names_add(struct model_names *t, uint32_t kind, struct str s);
/* false when absent. */
MUST_USE bool model_names_find(const struct model_names *t, uint32_t kind, struct str s,
                               uint16_t *out);
struct str model_names_str(const struct model_names *t, uint32_t kind, uint16_t id);
static inline uint32_t model_names_count(const struct model_names *t, uint32_t kind)
{
    return MODEL_NAME_FIRST + t->kinds[kind].count;
}

#endif
