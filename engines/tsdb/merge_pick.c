/* Which blocks to merge next. Only sizes and times are looked at, so the choice needs no memory of
 * earlier ones and survives a restart.
 *
 *     span      1     12    84 times block_ms: 2 h, 1 day, 1 week
 *     level  0  1     2     3
 *
 * A block belongs to the window of a span in which its last sample lies. The blocks of one window
 * are merged into one when the window is over, that is, when a block of a later window exists: then
 * nothing but late samples can come to it. A sample is so written four times in a week.
 *
 * EARLY flushed blocks (with the usual ten minutes between flushes, just a window of them) are
 * merged at once, because each block costs a query a search, and whatever their windows: a sender
 * that catches up with hours writes blocks that hold both its old times and everybody's new ones.
 *
 * Only neighbours by age are merged, and a block longer than the span stops a run: long blocks are
 * not written again for a short one. Spans stop at an eighth of the retention time, so that what is
 * past it can go by whole files, and at BYTES_MAX. */
#include "engines/tsdb/merge_int.h"

#define EARLY     12
#define RUN_MAX   64
#define BYTES_MAX (1ULL << 30)

static const int64_t spans[] = {1, 12, 84};

static int64_t window_of(int64_t t_ms, int64_t span_ms)
{
    int64_t q = t_ms / span_ms;
    return t_ms % span_ms < 0 ? q - 1 : q;
}

/* Longer than the span, or with times that no sum can stand. */
static bool too_long(const struct block_info *b, int64_t span_ms)
{
    int64_t length;
    return __builtin_sub_overflow(b->max_ms, b->min_ms, &length) || length > span_ms;
}

/* The run of blocks from `from` on that share a window. */
static uint32_t run_of(const struct block_info *b, uint32_t n, uint32_t from, int64_t span_ms)
{
    uint64_t bytes = 0;
    uint32_t end = from;
    while (end < n && end - from < RUN_MAX && !too_long(&b[end], span_ms) &&
           window_of(b[end].max_ms, span_ms) == window_of(b[from].max_ms, span_ms)) {
        bytes += b[end].bytes;
        if (bytes > BYTES_MAX) {
            break;
        }
        end++;
    }
    return end - from;
}

static bool window_is_over(const struct block_info *b, uint32_t n, int64_t t_ms, int64_t span_ms)
{
    for (uint32_t i = 0; i < n; i++) {
        if (window_of(b[i].max_ms, span_ms) > window_of(t_ms, span_ms)) {
            return true;
        }
    }
    return false;
}

/* The flushed blocks from `from` on that may become one. */
static uint32_t flushed_of(const struct block_info *b, uint32_t n, uint32_t from)
{
    uint64_t bytes = 0;
    uint32_t end = from;
    while (end < n && end - from < RUN_MAX && b[end].level == 0 &&
           bytes + b[end].bytes <= BYTES_MAX) {
        bytes += b[end++].bytes;
    }
    return end - from;
}

static bool early(const struct block_info *b, uint32_t n, struct merge_pick *out)
{
    uint32_t run = 0;
    for (uint32_t from = 0; from<n; from += run> 0 ? run : 1) {
        run = flushed_of(b, n, from);
        if (run >= EARLY) {
            *out = (struct merge_pick){.from = from, .n = run, .level = 1};
            return true;
        }
    }
    return false;
}

bool merge_pick(const struct block_info *b, uint32_t n, const struct merge_policy *p,
                struct merge_pick *out)
{
    for (uint32_t k = 0; k < ARRAY_LEN(spans); k++) {
        int64_t span_ms;
        if (__builtin_mul_overflow(p->block_ms, spans[k], &span_ms) ||
            (k > 0 && p->retention_ms > 0 && span_ms > p->retention_ms / 8)) {
            return false;
        }
        uint32_t run = 0;
        for (uint32_t from = 0; from<n; from += run> 0 ? run : 1) {
            run = run_of(b, n, from, span_ms);
            if (run < 2) {
                continue;
            }
            *out = (struct merge_pick){.from = from, .n = run, .level = k + 1};
            if (p->all || window_is_over(b, n, b[from].max_ms, span_ms)) {
                return true;
            }
        }
        if (k == 0 && early(b, n, out)) {
            return true;
        }
    }
    return false;
}
