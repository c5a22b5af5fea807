/* Hashes: XXH3 (xxhash 0.8.1), and CRC-32C for bytes on disk. Stable across machines and versions,
 * so they may be stored. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash64(struct str s);
uint64_t hash64_seed(struct str s, uint64_t seed);
struct hash128 hash128(struct str s);

/* CRC-32C (Castagnoli; RFC 3720 appendix B.4): finds every change of up to 32 bits in a row, which
 * a hash does not promise. 0 for no bytes. About 8 bytes per 3 cycles with SSE4.2. */
uint32_t hash_crc32c(struct str s);
/* The sum of a + b from the sum of a: hash_crc32c_add(hash_crc32c(a), b). */
uint32_t hash_crc32c_add(uint32_t sum, struct str s);

static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

#endif
