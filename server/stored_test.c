/* Reading a stopped store to its end (server/stored.c): nothing is left out between windows, damage
 * is counted, whoever asks to stop is heard. */
#include "server/stored_int.h"

#include "base/clock.h"
#include "base/simos.h"
#include "base/test.h"

#include <string.h>

#define NOW_MS  1795453455000LL
#define WEEK_MS (7 * MS_PER_DAY)

struct rig {
    struct simos *sim;
    struct command_args args;
    struct tsdb *db;
    struct tsdb_batch *batch;
    struct mem mem;
};

static void open_store(struct rig *r)
{
    struct err e = {0};
    assert_true(server_stored_open(&r->args, "store", NULL, &r->db, &e));
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    mem_init(&r->mem, 0);
    r->sim = simos_new(1);
    simos_clock_set(r->sim, ns_from_ms(NOW_MS));
    r->args.os = simos_os(r->sim);
    r->batch = tsdb_batch_new(&r->mem, 1 << 20);
    open_store(r);
}

static void rig_release(struct rig *r)
{
    tsdb_close(r->db);
    tsdb_batch_free(r->batch);
    simos_free(r->sim);
    assert_int_equal(r->mem.bytes, 0);
}

static void put(struct rig *r, const char *name, int64_t t_ms, double v)
{
    struct label l = {STR("__name__"), str_from_c(name)};
    struct err e = {0};
    uint32_t ref;
    assert_true(tsdb_series(r->db, 0, (struct labels){&l, 1}, &ref, &e));
    assert_true(tsdb_batch_add(r->batch, ref, t_ms, v, &e));
}

static void keep(struct rig *r)
{
    struct tsdb_result result;
    struct err e = {0};
    assert_true(tsdb_backfill(r->db, r->batch, &result, &e));
    tsdb_batch_reset(r->batch);
}

TEST(stored_reads_every_sample_once_whatever_its_age)
{
    static const int64_t times[] = {0, 1, WEEK_MS - 1, WEEK_MS, WEEK_MS + 1, NOW_MS - 1, NOW_MS};
    struct rig r;
    struct server_stored_sums s;
    struct err e = {0};
    rig_init(&r);
    assert_true(server_stored_read(r.db, NULL, NULL, &s, &e));
    assert_int_equal(s.samples, 0);
    assert_true(s.min_ms > s.max_ms);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        put(&r, "a", times[i], (double)i);
        put(&r, "b", times[i], 1);
    }
    put(&r, "b", NOW_MS / 2, 2);
    keep(&r);
    assert_true(server_stored_read(r.db, NULL, NULL, &s, &e));
    assert_int_equal(s.series, 2);
    assert_int_equal(s.samples, 2 * ARRAY_LEN(times) + 1);
    assert_int_equal(s.histograms, 0);
    assert_int_equal(s.min_ms, 0);
    assert_int_equal(s.max_ms, NOW_MS);
    assert_int_equal(s.damaged, 0);
    assert_true(s.blocks > 0 && s.block_bytes > 0);
    rig_release(&r);
}

TEST(stored_counts_damage_and_reads_on)
{
    struct rig r;
    struct server_stored_sums s;
    struct err e = {0};
    rig_init(&r);
    for (int i = 0; i < 300; i++) {
        put(&r, "a", NOW_MS - i * 15000, (double)i * 0.37);
    }
    keep(&r);
    tsdb_close(r.db);
    /* Behind the header, in the columns. */
    assert_true(simos_flip(r.sim, "store/blocks/0000000000000001.blk", 100, 3));
    open_store(&r);
    assert_true(server_stored_read(r.db, NULL, NULL, &s, &e));
    assert_true(s.damaged > 0);
    assert_true(s.samples < 300);
    rig_release(&r);
}

static bool never(void *ctx, double share)
{
    *(double *)ctx = share;
    return false;
}

TEST(stored_stops_when_asked_to)
{
    struct rig r;
    struct server_stored_sums s;
    struct err e = {0};
    double share = -1;
    rig_init(&r);
    put(&r, "a", NOW_MS, 1);
    keep(&r);
    assert_false(server_stored_read(r.db, never, &share, &s, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(share >= 0 && share < 1);
    rig_release(&r);
}

TEST(stored_is_opened_by_one)
{
    struct rig r;
    struct tsdb *second = NULL;
    struct err e = {0};
    rig_init(&r);
    assert_false(server_stored_open(&r.args, "store", NULL, &second, &e));
    assert_int_equal(e.code, ERR_BUSY);
    rig_release(&r);
}
