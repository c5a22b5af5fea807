/* What the store does at its bounds: memory, retention, damage. */
#include "engines/tsdb/tsdb.h"

#include "engines/tsdb/tsdb_testing_int.h"

#include "base/clock.h"

static bool commit_one(struct store *s, uint32_t k, int64_t t, double v, struct tsdb_result *r,
                       struct err *e)
{
    tsdb_batch_reset(s->batch);
    assert_true(tsdb_batch_add(s->batch, s->ref[k], t, v, e));
    return tsdb_commit_wait(s->db, s->batch, TSDB_NO_FUTURE_CHECK, r, e);
}

TEST(tsdb_refuses_when_the_head_is_full_and_blocks_cannot_be_written)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    store_init(&s, test_seed());
    s.config.head_bytes_max = 1 << 20;
    store_open_ok(&s);
    assert_true(store_refs(&s, &e));
    /* The log can be written, blocks cannot. */
    int fd;
    assert_int_equal(s.os->unlink(s.os->ctx, STORE_DIR "/blocks"), 0);
    assert_int_equal(s.os->open(s.os->ctx, STORE_DIR "/blocks", OS_WRITE | OS_CREATE, &fd), 0);
    s.os->close(s.os->ctx, fd);
    uint64_t stored = 0;
    uint64_t refused = 0;
    int64_t t = MODEL_T0;
    while (refused == 0) {
        tsdb_batch_reset(s.batch);
        for (int i = 0; i < 5000; i++) {
            assert_true(tsdb_batch_add(s.batch, s.ref[i % 3], t + i, i, &e));
        }
        t += 5000;
        assert_true(tsdb_commit_wait(s.db, s.batch, TSDB_NO_FUTURE_CHECK, &r, &e));
        stored += r.samples;
        refused = r.refused[TSDB_HEAD_FULL];
        assert_int_equal(r.samples + refused, 5000);
        assert_true(stored < 2000000);
    }
    assert_int_equal(r.first_why, TSDB_HEAD_FULL);
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_int_equal(st.refused[TSDB_HEAD_FULL], refused);
    assert_int_equal(st.head_samples, stored);
    assert_true(st.flush_failures > 0);
    assert_true(st.head_bytes < 8 << 20);
    assert_false(
        tsdb_commit_wait(s.db, s.batch, TSDB_NO_FUTURE_CHECK | TSDB_ALL_OR_NOTHING, &r, &e));
    assert_int_equal(e.code, ERR_BUSY);
    /* And when they can again, it goes on, with all that was acknowledged. */
    assert_int_equal(s.os->unlink(s.os->ctx, STORE_DIR "/blocks"), 0);
    assert_int_equal(s.os->mkdir(s.os->ctx, STORE_DIR "/blocks"), 0);
    assert_true(tsdb_flush(s.db, false, &e));
    assert_true(commit_one(&s, 0, t + 5000000, 1, &r, &e));
    assert_int_equal(r.samples, 1);
    tsdb_stats(s.db, &st);
    assert_int_equal(st.block_samples + st.head_samples, stored + 1);
    store_close(&s);
    store_open_ok(&s);
    tsdb_stats(s.db, &st);
    assert_int_equal(st.block_samples + st.head_samples, stored + 1);
    store_close(&s);
    store_release(&s);
}

/* Histograms that were taken back leave their bytes in the head, which then holds no sample. */
TEST(tsdb_batches_that_are_refused_do_not_fill_the_head_for_good)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    struct arena a;
    store_init(&s, test_seed());
    s.config.head_bytes_max = 1 << 20;
    store_open_ok(&s);
    assert_true(store_refs(&s, &e));
    arena_init(&a, &s.mem, 1 << 20);
    const struct nhist *h = testing_hist(1, &a);
    for (uint32_t round = 0; round < 60; round++) {
        tsdb_batch_reset(s.batch);
        for (uint32_t i = 0; i < 1000; i++) {
            assert_true(tsdb_batch_add_nhist(s.batch, s.ref[0], MODEL_T0 + i, 0, h, &e));
        }
        assert_true(tsdb_batch_add(s.batch, 999999, MODEL_T0, 1, &e)); /* nobody has this id */
        assert_false(tsdb_commit_wait(s.db, s.batch, TSDB_ALL_OR_NOTHING, &r, &e));
    }
    assert_true(commit_one(&s, 0, MODEL_T0, 1, &r, &e));
    assert_int_equal(r.samples, 1);
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_true(st.head_bytes < 4 << 20);
    assert_int_equal(st.head_samples, 1);
    arena_release(&a);
    store_close(&s);
    store_release(&s);
}

static uint32_t instances(struct store *s)
{
    struct tsdb_view *v;
    struct arena a;
    struct str *values;
    uint32_t n;
    struct err e = {.code = ERR_NONE};
    arena_init(&a, &s->mem, 1 << 20);
    assert_true(tsdb_view_open(s->db, &v, &e));
    assert_true(tsdb_label_values(v, STR("instance"), NULL, 0, 1, 0, 0, &a, &values, &n, &e));
    tsdb_view_close(v);
    arena_release(&a);
    return n;
}

static void look_later(struct store *s)
{
    simos_clock_add(s->sim, ns_from_s(660));
    drop_look(s->db, true);
}

TEST(tsdb_retention_drops_samples_and_then_series_without_any)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    store_init(&s, test_seed());
    s.config.retention_ms = 4 * 3600 * 1000;
    s.config.block_ms = 3600 * 1000;
    store_open_ok(&s);
    assert_true(store_refs(&s, &e));
    int64_t t0 = ms_from_ns(os_now_ns(s.os));
    for (uint32_t k = 0; k < 10; k++) {
        assert_true(commit_one(&s, k, t0, 1, &r, &e));
    }
    assert_true(tsdb_flush(s.db, true, &e));
    /* The flusher looks around by itself too, so series 3 has its sample before time passes. */
    int64_t t1 = t0 + 5 * 3600 * 1000;
    assert_true(commit_one(&s, 3, t1, 2, &r, &e));
    assert_int_equal(r.samples, 1);
    simos_clock_add(s.sim, ns_from_s(5 * 3600));
    assert_true(commit_one(&s, 4, t0 + 1, 2, &r, &e)); /* nobody needs that any more */
    assert_int_equal(r.refused[TSDB_TOO_OLD], 1);
    assert_true(tsdb_flush(s.db, true, &e));
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_int_equal(st.block_samples, 1);
    assert_int_equal(st.min_ms, t1);
    look_later(&s);
    look_later(&s);
    look_later(&s);
    assert_int_equal(instances(&s), 1);
    tsdb_stats(s.db, &st);
    assert_int_equal(st.series, 1);
    assert_true(commit_one(&s, 4, t1, 2, &r, &e)); /* the id means nothing now */
    assert_int_equal(r.refused[TSDB_GONE], 1);
    store_close(&s);
    store_open_ok(&s);
    assert_int_equal(instances(&s), 1);
    uint32_t was = s.ref[3];
    assert_true(store_refs(&s, &e));
    assert_int_equal(s.ref[3], was);
    assert_true(commit_one(&s, 4, t1, 2, &r, &e));
    assert_int_equal(r.samples, 1);
    store_close(&s);
    store_release(&s);
}

/* Reads all; a series is there whole or not at all, and what is there is right. */
static uint32_t series_whole(struct store *s, uint32_t n)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    uint32_t whole = 0;
    assert_true(tsdb_view_open(s->db, &v, &e));
    tsdb_column_init(&c, &s->mem);
    for (uint32_t k = 0; k < MODEL_SERIES; k++) {
        assert_true(tsdb_read(v, s->ref[k], INT64_MIN, INT64_MAX, 1000, &c, &e));
        assert_true(c.n == n || c.n == 0);
        for (uint32_t i = 0; i < c.n; i++) {
            assert_int_equal(c.t[i], MODEL_T0 + i * 1000);
            assert_true(c.v[i] == i * 1.5 + k * k);
        }
        whole += c.n == n;
    }
    tsdb_column_release(&c);
    tsdb_view_close(v);
    return whole;
}

TEST(tsdb_a_damaged_block_loses_columns_or_is_set_aside_and_is_counted)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    char path[] = STORE_DIR "/blocks/0000000000000001.blk";
    uint64_t bytes = 0;
    for (uint64_t at = 0; at == 0 || at < bytes; at += 13) {
        store_init(&s, test_seed());
        store_open_ok(&s);
        assert_true(store_refs(&s, &e));
        tsdb_batch_reset(s.batch);
        for (uint32_t i = 0; i < 50; i++) {
            for (uint32_t k = 0; k < MODEL_SERIES; k++) {
                assert_true(
                    tsdb_batch_add(s.batch, s.ref[k], MODEL_T0 + i * 1000, i * 1.5 + k * k, &e));
            }
        }
        assert_true(tsdb_commit_wait(s.db, s.batch, 0, &r, &e));
        assert_true(tsdb_flush(s.db, false, &e));
        struct tsdb_stats st;
        tsdb_stats(s.db, &st);
        assert_int_equal(st.blocks, 1);
        bytes = st.block_bytes;
        assert_int_equal(series_whole(&s, 50), MODEL_SERIES);
        store_close(&s);
        if (!simos_flip(s.sim, path, at, (unsigned)(at % 8))) {
            print_error("no byte %llu of %s\n", (unsigned long long)at, path);
            fail();
        }
        store_open_ok(&s);
        uint32_t whole = series_whole(&s, 50);
        tsdb_stats(s.db, &st);
        assert_true(whole == MODEL_SERIES || st.blocks_damaged > 0);
        assert_true(commit_one(&s, 0, MODEL_T0 + 99000, 1, &r, &e));
        store_close(&s);
        store_release(&s);
    }
}
