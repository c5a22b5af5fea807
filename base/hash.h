/* Hashes: XXH3 (xxhash 0.8.1). Stable across machines and versions, so they may be stored. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash64(struct str s);
uint64_t hash64_seed(struct str s, uint64_t seed);
struct hash128 hash128(struct str s);

static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

#endif
