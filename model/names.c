/* Names of a shard: see names_int.h. Numbers are private to a shard; whatever leaves it (run files,
 * checkpoints, merged answers) carries the text. At a bound the rest share one name, "other". */
#include "model/names_int.h"

void model_names_init(struct model_names *t, struct mem *m, uint32_t versions_max,
                      uint32_t values_max)
{
    for (uint32_t k = 0; k <= RECORD_DIMS_MAX; k++) {
        intern_init(&t->kinds[k], m, k == 0 ? versions_max : values_max);
    }
}

void model_names_release(struct model_names *t)
{
    for (uint32_t k = 0; k <= RECORD_DIMS_MAX; k++) {
        intern_release(&t->kinds[k]);
    }
}

static struct str reserved_name(uint32_t kind, uint16_t id)
{
    if (id == MODEL_NAME_OTHER) {
        return STR("other");
    }
    return kind == 0 ? STR("unknown") : STR("");
}

uint16_t model_names_add(struct model_names *t, uint32_t kind, struct str s)
{
    for (uint16_t id = 0; id < MODEL_NAME_FIRST; id++) {
        if (s.n == 0 || str_eq(s, reserved_name(kind, id))) {
            return id;
        }
    }
    uint32_t id = intern_add(&t->kinds[kind], s);
    return id == INTERN_FULL ? MODEL_NAME_OTHER : (uint16_t)(id + MODEL_NAME_FIRST);
}

bool model_names_find(const struct model_names *t, uint32_t kind, struct str s, uint16_t *out)
{
    for (uint16_t id = 0; id < MODEL_NAME_FIRST; id++) {
        if (str_eq(s, reserved_name(kind, id))) {
            *out = id;
            return true;
        }
    }
    uint32_t id = intern_find(&t->kinds[kind], s);
    if (id == INTERN_FULL) {
        return false;
    }
    *out = (uint16_t)(id + MODEL_NAME_FIRST);
    return true;
}

struct str model_names_str(const struct model_names *t, uint32_t kind, uint16_t id)
{
    return id < MODEL_NAME_FIRST ? reserved_name(kind, id)
                                 : intern_str(&t->kinds[kind], (uint32_t)id - MODEL_NAME_FIRST);
}
