/* Strings to small dense numbers and back: 0, 1, 2... in order of first sight.
 *
 * For label values, stage reasons, model versions, feature names: sets that must stay bounded. At
 * the cap a new string gets INTERN_FULL, and the caller counts it and uses its "other" slot.
 * Owns the copies. Lookup is O(1), one cache line in the common case. */
#ifndef BASE_INTERN_H
#define BASE_INTERN_H

#include "base/mem.h"
#include "base/str.h"

#define INTERN_FULL UINT32_MAX

struct intern {
    struct mem *mem; /* borrows */
    struct intern_slot *slots;
    size_t slots_cap; /* power of two, or 0 */
    struct str *strs; /* by id */
    size_t strs_cap;
    uint32_t count, max;
};

void intern_init(struct intern *t, struct mem *m, uint32_t max);
void intern_release(struct intern *t);
/* Id of s, adding it when new. INTERN_FULL at the cap or without memory. */
uint32_t intern_add(struct intern *t, struct str s);
/* INTERN_FULL when absent. */
uint32_t intern_find(const struct intern *t, struct str s);
/* Borrows, valid until intern_release. id < count. */
struct str intern_str(const struct intern *t, uint32_t id);

#endif
