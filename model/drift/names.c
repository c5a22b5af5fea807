/* Names of features, segments and categories as small numbers. Each shard has its own; what shards
 * share has the numbers that results and the reference use. */
#include "model/drift/drift_int.h"

void drift_names_init(struct drift_names *t, struct mem *m, uint32_t features_max,
                      uint32_t segments_max, uint32_t categories_max)
{
    ASSERT(categories_max < DRIFT_CATEGORY_OTHER);
    *t = (struct drift_names){.mem = m,
                              .features_max = features_max,
                              .segments_max = segments_max,
                              .categories_max = categories_max};
    intern_init(&t->features, m, features_max);
    intern_init(&t->segments, m, segments_max);
}

void drift_names_release(struct drift_names *t)
{
    intern_release(&t->features);
    intern_release(&t->segments);
    for (size_t i = 0; i < t->categories_cap; i++) {
        if (t->categories[i].mem != NULL) {
            intern_release(&t->categories[i]);
        }
    }
    mem_give(t->mem, t->categories, t->categories_cap * sizeof *t->categories);
    drift_names_init(t, t->mem, t->features_max, t->segments_max, t->categories_max);
}

uint32_t drift_names_feature(struct drift_names *t, struct str name)
{
    return intern_add(&t->features, name);
}

uint32_t drift_names_segment_text(struct drift_names *t, struct str text)
{
    uint32_t id = intern_add(&t->segments, text);
    return id == INTERN_FULL ? 0 : id + 1;
}

uint32_t drift_names_segment(struct drift_names *t, struct str dim, struct str value)
{
    struct buf text;
    uint32_t id = 0;
    buf_init(&text, t->mem, 2 * RECORD_STR_MAX + 2);
    buf_str_add(&text, dim);
    buf_char(&text, ':');
    buf_str_add(&text, value);
    if (!text.failed) {
        id = drift_names_segment_text(t, buf_str(&text));
    }
    buf_release(&text);
    return id;
}

struct intern *drift_names_categories(struct drift_names *t, uint32_t feature)
{
    void *p = t->categories;
    bool ok = mem_array_grow(t->mem, &p, &t->categories_cap, (size_t)feature + 1, t->features_max,
                             sizeof *t->categories);
    t->categories = p;
    if (!ok) {
        return NULL;
    }
    if (t->categories[feature].mem == NULL) {
        intern_init(&t->categories[feature], t->mem, t->categories_max);
    }
    return &t->categories[feature];
}

uint32_t drift_names_category(struct drift_names *t, uint32_t feature, struct str value)
{
    struct intern *own = drift_names_categories(t, feature);
    uint32_t id = own == NULL ? INTERN_FULL : intern_add(own, value);
    return id == INTERN_FULL ? DRIFT_CATEGORY_OTHER : id;
}

uint64_t drift_decisions(const struct drift_names *t, const struct drift_grid *g, uint32_t segment)
{
    uint32_t feature = intern_find(&t->features, STR("fraud.decision"));
    const struct drift_cells *c =
        feature == INTERN_FULL ? NULL : drift_grid_at(g, feature, segment);
    uint64_t n = 0;
    for (uint32_t i = 0; c != NULL && i < c->cap; i++) {
        n += drift_slot_count(c->slots[i]);
    }
    return n;
}
