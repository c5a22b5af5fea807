/* Hashes: XXH3 compiled into this file, so that short keys do not pay a call through the library's
 * jump table. The values are those of XXH3_64bits and XXH3_128bits and may be stored.
 *
 * CRC-32C: the processor's own instruction where it has SSE4.2 (asked at run time, the build aims
 * at any x86-64), else four bits at a time from a table of 16. */
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

/* Entry i: the remainder of i, four bits, by the reversed polynomial 0x82f63b78. */
static const uint32_t crc_nibble[16] = {
    0x00000000U, 0x105ec76fU, 0x20bd8edeU, 0x30e349b1U, 0x417b1dbcU, 0x5125dad3U,
    0x61c69362U, 0x7198540dU, 0x82f63b78U, 0x92a8fc17U, 0xa24bb5a6U, 0xb21572c9U,
    0xc38d26c4U, 0xd3d3e1abU, 0xe330a81aU, 0xf36e6f75U,
};

static uint32_t crc_plain(uint32_t c, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = (c >> 4) ^ crc_nibble[c & 15];
        c = (c >> 4) ^ crc_nibble[c & 15];
    }
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t c, const unsigned char *p,
                                                          size_t n)
{
    uint64_t wide = c;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, sizeof v);
        wide = __builtin_ia32_crc32di(wide, v);
    }
    c = (uint32_t)wide;
    for (; i < n; i++) {
        c = __builtin_ia32_crc32qi(c, p[i]);
    }
    return c;
}

static uint32_t crc_run(uint32_t c, const unsigned char *p, size_t n)
{
    /* Short ones go the plain way on every machine, so that its table is in use (and tested). */
    return n >= 8 && __builtin_cpu_supports("sse4.2") ? crc_sse(c, p, n) : crc_plain(c, p, n);
}
#else
static uint32_t crc_run(uint32_t c, const unsigned char *p, size_t n)
{
    return crc_plain(c, p, n);
}
#endif

uint32_t hash_crc32c_add(uint32_t sum, struct str s)
{
    return ~crc_run(~sum, (const unsigned char *)bytes_of(s), s.n);
}

uint32_t hash_crc32c(struct str s)
{
    return hash_crc32c_add(0, s);
}
