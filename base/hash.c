/* Hashes: XXH3 compiled into this file, so that short keys do not pay a call through the library's
 * jump table. The values are those of XXH3_64bits and XXH3_128bits and may be stored. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char *bytes_of(struct str s)
{
    return s.p != NULL ? s.p : "";
}

uint64_t hash64(struct str s)
{
    return XXH3_64bits(bytes_of(s), s.n);
}

uint64_t hash64_seed(struct str s, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes_of(s), s.n, seed);
}

struct hash128 hash128(struct str s)
{
    XXH128_hash_t h = XXH3_128bits(bytes_of(s), s.n);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}
