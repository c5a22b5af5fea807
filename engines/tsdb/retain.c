/* Retention: which blocks are too old, or too many bytes. A block goes when all of it is too old;
 * merges drop the too old samples of blocks that stay. merge_round.c does it. */
#include "engines/tsdb/merge_int.h"

int64_t retain_from_ms(const struct merge_policy *p)
{
    int64_t from_ms;
    if (p->retention_ms <= 0 || __builtin_sub_overflow(p->now_ms, p->retention_ms, &from_ms)) {
        return INT64_MIN;
    }
    return from_ms;
}

/* The block with the oldest end among those that are not chosen; n: none. */
static uint32_t oldest(const struct block_info *b, uint32_t n, const uint32_t *chosen,
                       uint32_t chosen_n)
{
    uint32_t best = n;
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (at < chosen_n && chosen[at] == i) {
            at++;
            continue;
        }
        if (best == n || b[i].max_ms < b[best].max_ms) {
            best = i;
        }
    }
    return best;
}

/* Keeps the list of chosen ones ascending. */
static void choose(uint32_t *out, uint32_t n, uint32_t i)
{
    while (n > 0 && out[n - 1] > i) {
        out[n] = out[n - 1];
        n--;
    }
    out[n] = i;
}

uint32_t retain_pick(const struct block_info *b, uint32_t n, const struct merge_policy *p,
                     uint32_t *out)
{
    int64_t from_ms = retain_from_ms(p);
    uint32_t chosen = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (b[i].max_ms < from_ms) {
            out[chosen++] = i;
        } else {
            bytes += b[i].bytes;
        }
    }
    while (p->retention_bytes > 0 && bytes > p->retention_bytes) {
        uint32_t i = oldest(b, n, out, chosen);
        ASSERT(i < n);
        bytes -= b[i].bytes;
        choose(out, chosen++, i);
    }
    return chosen;
}

void retain_mark(const struct block *b, uint64_t *bits, uint32_t refs_end)
{
    uint32_t n = block_columns(b);
    for (uint32_t i = 0; i < n; i++) {
        struct block_entry x;
        block_entry(b, i, &x);
        if (x.ref < refs_end) {
            bits[x.ref / 64] |= 1ULL << (x.ref % 64);
        }
    }
}
