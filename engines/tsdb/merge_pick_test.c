#include "base/rng.h"
#include "base/test.h"
#include "engines/tsdb/merge_int.h"

#define HOUR_MS 3600000LL

static struct block_info info(uint64_t seq, uint32_t level, double from_h, double to_h)
{
    return (struct block_info){.id = seq,
                               .seq = seq,
                               .seq_min = seq,
                               .level = level,
                               .min_ms = (int64_t)(from_h * (double)HOUR_MS),
                               .max_ms = (int64_t)(to_h * (double)HOUR_MS) - 1,
                               .bytes = 1 << 20};
}

TEST(merge_pick_waits_for_the_window_to_be_over)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS};
    struct merge_pick pick = {0};
    struct block_info b[20];
    for (uint32_t i = 0; i < 11; i++) {
        b[i] = info(i + 1, 0, i * 0.125, (i + 1) * 0.125);
    }
    assert_false(merge_pick(b, 11, &p, &pick));
    b[11] = info(12, 0, 1.5, 1.75);
    assert_true(merge_pick(b, 12, &p, &pick)); /* twelve: not worth waiting */
    assert_true(pick.from == 0 && pick.n == 12 && pick.level == 1);
    b[4] = info(5, 0, 2.0, 2.25); /* one of the next window */
    assert_true(merge_pick(b, 5, &p, &pick));
    assert_true(pick.from == 0 && pick.n == 4 && pick.level == 1);
    p.all = true;
    assert_true(merge_pick(b, 2, &p, &pick));
    assert_true(pick.from == 0 && pick.n == 2);
    assert_false(merge_pick(b, 1, &p, &pick));
    assert_false(merge_pick(b, 0, &p, &pick));
}

/* A sender catches up with six hours in a minute, and the store's own series are of now: flushed
 * blocks are long and their windows take turns. */
TEST(merge_pick_takes_many_flushed_blocks_whatever_their_windows)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS};
    struct merge_pick pick = {0};
    struct block_info b[30];
    for (uint32_t i = 0; i < 30; i++) {
        double from = 16 + i * 0.2;
        b[i] = info(i + 1, 0, from, i % 4 == 1 ? from + 0.2 : 22.5);
    }
    assert_true(merge_pick(b, 30, &p, &pick));
    assert_true(pick.from == 0 && pick.n == 30 && pick.level == 1);
    b[12].level = 1;
    assert_true(merge_pick(b, 24, &p, &pick));
    assert_true(pick.from == 0 && pick.n == 12 && pick.level == 1);
    b[0].level = 1;
    assert_false(merge_pick(b, 24, &p, &pick));
}

TEST(merge_pick_leaves_long_blocks_alone)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS, .all = true};
    struct merge_pick pick = {0};
    /* A day that is done, late flushes behind it in the same window of 2 h and a day. */
    struct block_info b[] = {info(1, 3, 0, 24), info(2, 0, 23, 23.9), info(3, 0, 23.2, 23.8)};
    assert_true(merge_pick(b, 3, &p, &pick));
    assert_true(pick.from == 1 && pick.n == 2 && pick.level == 1);
}

TEST(merge_pick_spans_stop_at_an_eighth_of_retention)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS, .all = true};
    struct merge_pick pick = {0};
    struct block_info b[] = {info(1, 1, 0, 2), info(2, 1, 2, 4), info(3, 1, 4, 6)};
    assert_true(merge_pick(b, 3, &p, &pick));
    assert_true(pick.n == 3 && pick.level == 2);
    p.retention_ms = 191 * HOUR_MS;
    assert_false(merge_pick(b, 3, &p, &pick));
    p.retention_ms = 192 * HOUR_MS;
    assert_true(merge_pick(b, 3, &p, &pick));
}

/* A month of flushes every 15 minutes: merging ends, nothing is lost, few blocks are left and no
 * sample was written more than four times (the flush and three merges). */
TEST(merge_pick_of_a_month_ends_with_few_blocks)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS};
    struct merge_pick pick = {0};
    struct block_info b[400];
    uint32_t n = 0;
    uint64_t written = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < 30 * 96; i++) {
        b[n++] = info(i + 1, 0, i * 0.25, (i + 1) * 0.25);
        b[n - 1].bytes = 1000;
        while (merge_pick(b, n, &p, &pick)) {
            assert_true(pick.n >= 2 && pick.from + pick.n <= n);
            struct block_info to = b[pick.from];
            for (uint32_t k = pick.from + 1; k < pick.from + pick.n; k++) {
                assert_true(b[k].min_ms == to.max_ms + 1);
                to.max_ms = b[k].max_ms;
                to.bytes += b[k].bytes;
                to.seq = b[k].seq;
            }
            to.level = pick.level;
            written += to.bytes;
            memmove(&b[pick.from + 1], &b[pick.from + pick.n],
                    (n - pick.from - pick.n) * sizeof b[0]);
            b[pick.from] = to;
            n -= pick.n - 1;
        }
        most = n > most ? n : most;
    }
    assert_true(most <= 32);
    assert_true(written <= 3ULL * 30 * 96 * 1000);
}

TEST(retain_pick_by_time_and_by_bytes)
{
    struct merge_policy p = {.block_ms = 2 * HOUR_MS, .now_ms = 20 * HOUR_MS};
    uint32_t out[6];
    struct block_info b[] = {info(1, 1, 4, 6), info(2, 1, 0, 2), info(3, 1, 6, 8), info(4, 1, 2, 4),
                             info(5, 1, 8, 10)};
    assert_int_equal(retain_pick(b, 5, &p, out), 0);
    assert_true(retain_from_ms(&p) == INT64_MIN);
    p.retention_ms = 16 * HOUR_MS;
    assert_true(retain_from_ms(&p) == 4 * HOUR_MS);
    assert_int_equal(retain_pick(b, 5, &p, out), 2);
    assert_true(out[0] == 1 && out[1] == 3);
    p.retention_bytes = (2 << 20) + 1;
    assert_int_equal(retain_pick(b, 5, &p, out), 3);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 3);
    p.retention_bytes = 1;
    assert_int_equal(retain_pick(b, 5, &p, out), 5);
    p.retention_ms = INT64_MAX;
    p.retention_bytes = 0;
    p.now_ms = -5;
    assert_int_equal(retain_pick(b, 5, &p, out), 0);
}
