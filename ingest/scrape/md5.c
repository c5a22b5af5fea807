/* MD5 (RFC 1321), only because hashmod must spread targets over servers exactly as a neighbouring
 * Prometheus does. Not for security. */
#include "ingest/scrape/relabel_int.h"

struct md5 {
    uint32_t s[4];
};

static uint32_t rotate(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

static void block(struct md5 *m, const unsigned char *p)
{
    /* floor(2^32 * |sin(i + 1)|), section 3.4 */
    static const uint32_t k[64] = {
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613,
        0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193,
        0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d,
        0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
        0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122,
        0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
        0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244,
        0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
        0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
        0xeb86d391};
    static const unsigned char turn[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = m->s[0];
    uint32_t b = m->s[1];
    uint32_t c = m->s[2];
    uint32_t d = m->s[3];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f = 0;
        unsigned g = 0;
        switch (i / 16) {
        case 0: f = (b & c) | (~b & d), g = i; break;
        case 1: f = (d & b) | (~d & c), g = (5 * i + 1) % 16; break;
        case 2: f = b ^ c ^ d, g = (3 * i + 5) % 16; break;
        default: f = c ^ (b | ~d), g = 7 * i % 16; break;
        }
        f += a + k[i] + get_u32le(p + (size_t)g * 4);
        a = d;
        d = c;
        c = b;
        b += rotate(f, turn[i / 16][i % 4]);
    }
    m->s[0] += a;
    m->s[1] += b;
    m->s[2] += c;
    m->s[3] += d;
}

uint64_t md5_tail(struct str s)
{
    struct md5 m = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
    unsigned char last[128] = {0};
    size_t whole = s.n / 64 * 64;
    size_t rest = s.n - whole;
    size_t last_n = rest < 56 ? 64 : 128;
    for (size_t i = 0; i < whole; i += 64) {
        block(&m, (const unsigned char *)s.p + i);
    }
    if (rest > 0) {
        memcpy(last, s.p + whole, rest);
    }
    last[rest] = 0x80;
    put_u64le(last + last_n - 8, (uint64_t)s.n * 8);
    for (size_t i = 0; i < last_n; i += 64) {
        block(&m, last + i);
    }
    uint64_t low_first = (uint64_t)m.s[3] << 32 | m.s[2]; /* bytes 8..15, little-endian */
    return __builtin_bswap64(low_first);
}
