/* An index from 128-bit ids to slots of somebody else's array: open addressing, linear probing,
 * removal by backward shift. A slot holds 32 bits of the hash and the index, so growing needs no
 * look at the rows. Several indexes may have one id: model_ids_next walks the candidates. */
#ifndef MODEL_IDS_INT_H
#define MODEL_IDS_INT_H

#include "base/hash.h"
#include "base/mem.h"

#define MODEL_NIL UINT32_MAX

struct model_ids {
    struct mem *mem; /* borrows */
    uint64_t *slots; /* owns; 0 = free, else tag << 32 | index + 1 */
    size_t cap;      /* power of two, or 0 */
    size_t count;
};

void model_ids_init(struct model_ids *t, struct mem *m);
void model_ids_release(struct model_ids *t);
/* false without memory. */
MUST_USE bool model_ids_add(struct model_ids *t, struct hash128 h, uint32_t idx);
/* Candidates for h in turn: start with *at = SIZE_MAX; MODEL_NIL at the end. The caller compares
 * ids. */
uint32_t model_ids_next(const struct model_ids *t, struct hash128 h, size_t *at);
/* The pair must be in the table. */
void model_ids_remove(struct model_ids *t, struct hash128 h, uint32_t idx);
void model_ids_replace(struct model_ids *t, struct hash128 h, uint32_t idx, uint32_t idx_new);

#endif
