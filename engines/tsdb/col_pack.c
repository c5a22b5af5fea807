/* Bit packing: n numbers of w bits one after the other, least significant bit first, so that number
 * i begins at bit i * w. Any width, no padding but to the last byte.
 *
 * Reading takes one unaligned load per number; numbers are independent of each other, so the
 * processor overlaps them. Up to 56 bits fit a load of 8 bytes at every bit offset; wider ones take
 * a second. Source of the idea of frame-of-reference packing: Zukowski et al., Super-Scalar RAM-CPU
 * Cache Compression, ICDE 2006. */
#include "engines/tsdb/col_priv_int.h"

unsigned char *col_pack(const uint64_t *x, size_t n, unsigned w, unsigned char *to)
{
    ASSERT(w <= 64);
    uint64_t acc = 0;
    unsigned fill = 0;
    unsigned char *end = to + col_packed_bytes(n, w);
    for (size_t i = 0; i < n && w > 0; i++) {
        acc |= x[i] << fill;
        fill += w;
        if (fill >= 64) {
            put_u64le(to, acc);
            to += 8;
            fill -= 64;
            acc = fill > 0 ? x[i] >> (w - fill) : 0;
        }
    }
    if (fill > 0) {
        put_u64le(to, acc);
    }
    return end;
}

static void unpack_wide(const unsigned char *from, size_t n, unsigned w, uint64_t base,
                        int64_t *out)
{
    uint64_t mask = w == 64 ? UINT64_MAX : ((uint64_t)1 << w) - 1;
    for (size_t i = 0; i < n; i++) {
        size_t bit = i * w;
        u128 wide = (u128)get_u64le(from + bit / 8) | (u128)from[bit / 8 + 8] << 64;
        out[i] = (int64_t)(base + ((uint64_t)(wide >> (bit & 7)) & mask));
    }
}

/* Eight numbers fill w bytes: from group to group only the pointer moves. */
COL_CLONES static void unpack_groups(const unsigned char *from, size_t n, unsigned w, uint64_t base,
                                     int64_t *out)
{
    uint64_t mask = ((uint64_t)1 << w) - 1;
    size_t o[8];
    uint64_t sh[8];
    for (unsigned k = 0; k < 8; k++) {
        o[k] = (size_t)k * w / 8;
        sh[k] = k * w & 7;
    }
    col_v4u sh0 = {sh[0], sh[1], sh[2], sh[3]};
    col_v4u sh1 = {sh[4], sh[5], sh[6], sh[7]};
    for (size_t i = 0; i < n; i += 8, from += w) {
        col_v4u a = {get_u64le(from + o[0]), get_u64le(from + o[1]), get_u64le(from + o[2]),
                     get_u64le(from + o[3])};
        col_v4u b = {get_u64le(from + o[4]), get_u64le(from + o[5]), get_u64le(from + o[6]),
                     get_u64le(from + o[7])};
        *(col_v4u *)(out + i) = ((a >> sh0) & mask) + base;
        *(col_v4u *)(out + i + 4) = ((b >> sh1) & mask) + base;
    }
}

void col_unpack(const unsigned char *from, size_t n, unsigned w, uint64_t base, int64_t *out)
{
    ASSERT(w <= 64);
    if (w > 56) {
        unpack_wide(from, n, w, base, out);
    } else if (w == 0) {
        for (size_t i = 0; i < n; i += 4) {
            *(col_v4u *)(out + i) = (col_v4u){base, base, base, base};
        }
    } else {
        unpack_groups(from, n, w, base, out);
    }
}
