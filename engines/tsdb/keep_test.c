#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/round_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <stdio.h>
#include <stdlib.h>

#define DIR_NAME "store"
#define NOW_MS   1700000000000LL
#define STEP_MS  15000LL
#define BYTES    (1U << 20)

static bool store_open(struct tsdb **db, struct simos *s, const char *dir, int64_t retention_ms,
                       struct err *e)
{
    struct tsdb_config c;
    tsdb_config_default(&c);
    c.dir = dir;
    c.retention_ms = retention_ms;
    c.block_ms = 7200000;
    return tsdb_open(db, &c, simos_os(s), NULL, e);
}

static struct simos *machine(uint64_t seed)
{
    struct simos *s = simos_new(seed);
    simos_clock_set(s, NOW_MS * 1000000);
    return s;
}

/* The k-th series of the tests. */
static bool series_of(struct tsdb *db, uint32_t k, uint32_t *ref, struct err *e)
{
    char name[16];
    snprintf(name, sizeof name, "s%u", k);
    struct label l[] = {{STR(LABEL_NAME), str_from_c(name)}, {STR("job"), STR("test")}};
    return tsdb_series(db, 0, (struct labels){l, 2}, ref, e);
}

/* n samples of series 0 .. series_n - 1, every STEP_MS from from_ms on; the value tells both. */
static double value_of(uint32_t k, int64_t t_ms)
{
    return (double)k * 1e6 + (double)((t_ms - NOW_MS) / STEP_MS);
}

static bool fill(struct tsdb *db, uint32_t series_n, int64_t from_ms, uint32_t n, bool backfill,
                 struct tsdb_result *r, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct tsdb_batch *b = tsdb_batch_new(&m, BYTES);
    bool ok = b != NULL;
    for (uint32_t i = 0; ok && i < n; i++) {
        for (uint32_t k = 0; ok && k < series_n; k++) {
            uint32_t ref = 0;
            int64_t t_ms = from_ms + (int64_t)i * STEP_MS;
            ok = series_of(db, k, &ref, e) && tsdb_batch_add(b, ref, t_ms, value_of(k, t_ms), e);
        }
    }
    ok = ok && (backfill ? tsdb_backfill(db, b, r, e) : tsdb_commit_wait(db, b, 0, r, e));
    if (b != NULL) {
        tsdb_batch_free(b);
    }
    assert_int_equal(m.bytes, 0);
    return ok;
}

static bool commit(struct tsdb *db, uint32_t series_n, int64_t from_ms, uint32_t n, struct err *e)
{
    struct tsdb_result r;
    return fill(db, series_n, from_ms, n, false, &r, e) && r.samples == (uint64_t)series_n * n;
}

/* How many samples of series k lie in the range; each must have its own value. */
static uint32_t count_in(struct tsdb_view *v, uint32_t k, int64_t from_ms, int64_t to_ms)
{
    struct mem m;
    struct err e = {0};
    struct arena a;
    struct tsdb_column c;
    char name[16];
    uint32_t *ids = NULL;
    uint32_t n = 0;
    mem_init(&m, 0);
    arena_init(&a, &m, BYTES);
    snprintf(name, sizeof name, "s%u", k);
    struct matcher match = {MATCH_EQ, STR(LABEL_NAME), str_from_c(name)};
    assert_true(tsdb_select(v, &match, 1, from_ms, to_ms, 100, false, &a, &ids, &n, &e));
    uint32_t samples = 0;
    tsdb_column_init(&c, &m);
    if (n > 0) {
        assert_int_equal(n, 1);
        assert_true(tsdb_read(v, ids[0], from_ms, to_ms, UINT32_MAX, &c, &e));
        samples = c.n;
        for (uint32_t i = 0; i < c.n; i++) {
            assert_true(c.t[i] >= from_ms && c.t[i] <= to_ms);
            assert_true(i == 0 || c.t[i - 1] < c.t[i]);
            assert_true(c.v[i] == value_of(k, c.t[i]));
        }
    }
    tsdb_column_release(&c);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
    return samples;
}

static uint32_t count(struct tsdb *db, uint32_t k, int64_t from_ms, int64_t to_ms)
{
    struct tsdb_view *v = NULL;
    struct err e = {0};
    assert_true(tsdb_view_open(db, &v, &e));
    uint32_t n = count_in(v, k, from_ms, to_ms);
    tsdb_view_close(v);
    return n;
}

static uint32_t count_all(struct tsdb *db, uint32_t k)
{
    return count(db, k, INT64_MIN, INT64_MAX);
}

static bool delete_of(struct tsdb *db, const char *name, int64_t from_ms, int64_t to_ms,
                      uint64_t *n, struct err *e)
{
    struct matcher m = {MATCH_EQ, STR(LABEL_NAME), str_from_c(name)};
    return tsdb_delete(db, &m, 1, from_ms, to_ms, n, e);
}

TEST(keep_delete_hides_what_is_stored_and_nothing_that_comes_later)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb_result r;
    uint64_t n = 0;
    struct simos *s = machine(test_seed());
    int64_t from_ms = NOW_MS - 100 * STEP_MS;
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_true(commit(db, 3, from_ms, 90, &e));
    struct tsdb_view *before = NULL;
    assert_true(tsdb_view_open(db, &before, &e));
    assert_true(delete_of(db, "s1", from_ms + 10 * STEP_MS, NOW_MS + 1000 * STEP_MS, &n, &e));
    assert_int_equal(n, 1);
    assert_true(delete_of(db, "none", INT64_MIN, INT64_MAX, &n, &e));
    assert_int_equal(n, 0);
    assert_false(delete_of(db, "s1", 5, 4, &n, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_int_equal(count_all(db, 0), 90);
    assert_int_equal(count_all(db, 1), 10);
    assert_int_equal(count_in(before, 1, INT64_MIN, INT64_MAX), 90);
    tsdb_view_close(before);
    assert_true(commit(db, 3, from_ms + 90 * STEP_MS, 10, &e));
    assert_int_equal(count_all(db, 1), 20);
    /* Given again, the deleted is there again. */
    assert_true(fill(db, 2, from_ms + 20 * STEP_MS, 5, true, &r, &e));
    assert_int_equal(r.samples, 10);
    assert_int_equal(count_all(db, 1), 25);
    assert_int_equal(count_all(db, 0), 100);
    tsdb_close(db);
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_int_equal(count_all(db, 1), 25);
    assert_int_equal(tombs_count(db->tombs), 1);
    assert_true(tsdb_clean(db, &e));
    assert_int_equal(tombs_count(db->tombs), 0);
    assert_int_equal(count_all(db, 1), 25);
    assert_true(tsdb_flush(db, true, &e));
    assert_int_equal(count_all(db, 1), 25);
    assert_int_equal(count_all(db, 0), 100);
    tsdb_close(db);
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_int_equal(count_all(db, 1), 25);
    assert_int_equal(count_all(db, 2), 100);
    tsdb_close(db);
    simos_free(s);
}

TEST(keep_clean_removes_blocks_of_which_nothing_is_left)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb_stats st;
    uint64_t n = 0;
    struct simos *s = machine(test_seed());
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_true(commit(db, 2, NOW_MS - 50 * STEP_MS, 50, &e));
    assert_true(tsdb_delete(db, NULL, 0, INT64_MIN, INT64_MAX, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(count_all(db, 0), 0);
    tsdb_stats(db, &st);
    assert_true(st.blocks >= 1);
    assert_true(tsdb_clean(db, &e));
    tsdb_stats(db, &st);
    assert_true(st.blocks == 0 && st.block_samples == 0);
    assert_true(commit(db, 2, NOW_MS, 20, &e));
    assert_int_equal(count_all(db, 0), 20);
    tsdb_close(db);
    simos_free(s);
}

/* A view opened before goes on seeing the same, whatever is merged and removed beneath it. */
TEST(keep_merging_changes_no_answer)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb_view *old = NULL;
    struct tsdb_stats st;
    struct simos *s = machine(test_seed());
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(commit(db, 3, NOW_MS - (int64_t)(60 - i * 10) * STEP_MS, 10, &e));
        assert_true(tsdb_flush(db, false, &e));
    }
    tsdb_stats(db, &st);
    assert_int_equal(st.blocks, 6);
    assert_true(tsdb_view_open(db, &old, &e));
    assert_true(tsdb_flush(db, true, &e));
    tsdb_stats(db, &st);
    assert_true(st.blocks < 6 && st.merges >= 1);
    assert_int_equal(st.block_samples, 180);
    assert_int_equal(count_in(old, 2, INT64_MIN, INT64_MAX), 60);
    assert_int_equal(count_all(db, 2), 60);
    tsdb_view_close(old);
    bool did = true;
    assert_true(merge_round_all(db, &did, &e));
    assert_false(did);
    tsdb_close(db);
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_int_equal(count_all(db, 1), 60);
    tsdb_close(db);
    simos_free(s);
}

TEST(keep_retention_lets_whole_blocks_go)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb_stats st;
    struct tsdb_result r;
    bool did = false;
    struct simos *s = machine(test_seed());
    assert_true(store_open(&db, s, DIR_NAME, 40 * 86400000LL, &e));
    assert_true(fill(db, 2, NOW_MS - 30 * 86400000LL, 20, true, &r, &e));
    assert_int_equal(r.samples, 40);
    assert_true(fill(db, 2, NOW_MS - 41 * 86400000LL, 20, true, &r, &e));
    assert_int_equal(r.samples, 0);
    assert_int_equal(r.refused[TSDB_TOO_OLD], 40);
    assert_true(r.first_why == TSDB_TOO_OLD && r.first_ref != 0);
    assert_true(commit(db, 2, NOW_MS - 20 * STEP_MS, 20, &e));
    assert_int_equal(count_all(db, 1), 40);
    uint64_t n = 0;
    assert_true(delete_of(db, "s0", NOW_MS - 31 * 86400000LL, NOW_MS - 29 * 86400000LL, &n, &e));
    assert_true(n == 1 && tombs_count(db->tombs) == 1);
    simos_clock_add(s, 11LL * 86400 * 1000000000);
    assert_true(retain_round(db, &did, &e));
    assert_int_equal(tombs_count(db->tombs), 0); /* nothing is left that it could hide */
    assert_true(did);
    tsdb_stats(db, &st);
    assert_int_equal(st.retired, 1);
    assert_int_equal(count_all(db, 1), 20);
    tsdb_close(db);
    simos_free(s);
}

TEST(keep_backfill_sorts_and_refuses)
{
    struct err e = {0};
    struct mem m;
    struct tsdb *db = NULL;
    struct tsdb_result r;
    struct tsdb_stats st;
    uint32_t ref = 0;
    struct simos *s = machine(test_seed());
    mem_init(&m, 0);
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_true(series_of(db, 7, &ref, &e));
    struct tsdb_batch *b = tsdb_batch_new(&m, BYTES);
    int64_t at = NOW_MS - 100 * 86400000LL;
    /* Two days, backwards, one time twice with its value and once with another. */
    for (uint32_t i = 600; i-- > 0;) {
        int64_t t_ms = at + (int64_t)i * 20 * STEP_MS;
        assert_true(tsdb_batch_add(b, ref, t_ms, value_of(7, t_ms), &e));
    }
    assert_true(tsdb_batch_add(b, ref, at, value_of(7, at), &e));
    assert_true(tsdb_batch_add(b, ref, at, -1, &e));
    assert_true(tsdb_batch_add(b, ref + 1000, at, 1, &e));
    assert_true(tsdb_backfill(db, b, &r, &e));
    assert_int_equal(r.samples, 601);
    assert_int_equal(r.refused[TSDB_DUPLICATE], 1);
    assert_int_equal(r.refused[TSDB_GONE], 1);
    tsdb_batch_reset(b);
    assert_true(tsdb_backfill(db, b, &r, &e));
    assert_int_equal(r.samples, 0);
    tsdb_batch_free(b);
    assert_int_equal(count_all(db, 7), 600);
    tsdb_stats(db, &st);
    assert_true(st.blocks == 3 || st.blocks == 4);
    tsdb_close(db);
    /* Nothing of it was in the log, and it is there after a loss of power. */
    simos_crash(s);
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_int_equal(count_all(db, 7), 600);
    tsdb_close(db);
    assert_int_equal(m.bytes, 0);
    simos_free(s);
}

TEST(keep_snapshot_opens_as_a_store)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb *copy = NULL;
    uint64_t n = 0;
    struct simos *s = machine(test_seed());
    assert_true(store_open(&db, s, DIR_NAME, 0, &e));
    assert_true(commit(db, 3, NOW_MS - 100 * STEP_MS, 50, &e));
    assert_true(delete_of(db, "s2", INT64_MIN, NOW_MS - 90 * STEP_MS, &n, &e));
    assert_true(commit(db, 3, NOW_MS - 50 * STEP_MS, 50, &e));
    assert_true(tsdb_snapshot(db, "copies", &e));
    assert_false(tsdb_snapshot(db, "copies", &e));
    assert_int_equal(e.code, ERR_INPUT);
    /* What comes later is not in it. */
    assert_true(commit(db, 3, NOW_MS, 5, &e));
    simos_crash(s);
    assert_true(store_open(&copy, s, "copies", 0, &e));
    assert_int_equal(count_all(copy, 0), 100);
    assert_int_equal(count_all(copy, 2), 89);
    tsdb_close(copy);
    simos_fault_from(s, 1, SIMOS_FAIL); /* its descriptors died with the crash */
    tsdb_close(db);
    simos_free(s);
}

/* Power is lost at every operation of deleting, cleaning and merging: what was acknowledged as
 * deleted stays so, and nothing else is lost. */
TEST(keep_deletion_survives_a_crash_anywhere)
{
    bool finished = false;
    for (uint64_t at = 1; !finished; at += 1 + at / 40) {
        struct err e = {0};
        struct tsdb *db = NULL;
        uint64_t n = 0;
        struct simos *s = machine(test_seed() + at);
        int64_t from_ms = NOW_MS - 40 * STEP_MS;
        assert_true(store_open(&db, s, DIR_NAME, 0, &e));
        assert_true(commit(db, 2, from_ms, 20, &e) && tsdb_flush(db, false, &e));
        assert_true(commit(db, 2, from_ms + 20 * STEP_MS, 20, &e));
        simos_fault_from(s, simos_ops(s) + at, SIMOS_FAIL);
        bool deleted = delete_of(db, "s1", from_ms, from_ms + 29 * STEP_MS, &n, &e);
        finished = deleted && tsdb_clean(db, &e) && tsdb_flush(db, true, &e);
        simos_crash(s);
        tsdb_close(db);
        simos_fault_from(s, 0, SIMOS_OK);
        db = NULL;
        assert_true(store_open(&db, s, DIR_NAME, 0, &e));
        uint32_t left = count_all(db, 1);
        assert_true(left == 10 || (left == 40 && !deleted));
        assert_int_equal(count_all(db, 0), 40);
        tsdb_close(db);
        simos_free(s);
    }
}

struct sweeping {
    const char *dir;
};

static void sweep_each(void *arg, const char *name)
{
    const struct sweeping *s = arg;
    char path[PATH_BYTES_MAX];
    assert_true(path_join(path, sizeof path, s->dir, name, NULL));
    (void)os_real()->list(NULL, path, sweep_each, &(struct sweeping){path});
    (void)os_real()->unlink(NULL, path);
}

/* Mapped files and second names are only on the real machine. */
TEST(keep_maps_and_links_on_the_real_machine)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb *copy = NULL;
    struct tsdb_config c;
    char dir[] = "/tmp/farol-keep-XXXXXX";
    char store[64];
    char copies[64];
    assert_non_null(mkdtemp(dir));
    snprintf(store, sizeof store, "%s/store", dir);
    snprintf(copies, sizeof copies, "%s/copies", dir);
    tsdb_config_default(&c);
    c.dir = store;
    c.retention_ms = 0;
    assert_true(tsdb_open(&db, &c, os_real(), NULL, &e));
    assert_true(commit(db, 3, NOW_MS, 40, &e));
    assert_true(tsdb_flush(db, false, &e));
    assert_true(commit(db, 3, NOW_MS + 40 * STEP_MS, 40, &e));
    struct tsdb_view *old = NULL;
    assert_true(tsdb_view_open(db, &old, &e));
    assert_true(tsdb_snapshot(db, copies, &e));
    assert_true(tsdb_flush(db, true, &e));
    /* The files that the view and the copy read have lost their names here. */
    assert_int_equal(count_in(old, 1, INT64_MIN, INT64_MAX), 80);
    tsdb_view_close(old);
    assert_int_equal(count_all(db, 1), 80);
    tsdb_close(db);
    c.dir = copies;
    assert_true(tsdb_open(&copy, &c, os_real(), NULL, &e));
    assert_int_equal(count_all(copy, 2), 80);
    tsdb_close(copy);
    (void)os_real()->list(NULL, dir, sweep_each, &(struct sweeping){dir});
    assert_int_equal(os_real()->unlink(NULL, dir), 0);
}
