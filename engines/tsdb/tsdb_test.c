/* The store as its callers see it. */
#include "engines/tsdb/tsdb.h"

#include "engines/tsdb/tsdb_testing_int.h"

#include "base/clock.h"

#define T0 MODEL_T0

static void add(struct store *s, uint32_t k, int64_t t, double v)
{
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_batch_add(s->batch, s->ref[k], t, v, &e));
}

static struct tsdb_result commit_ok(struct store *s, unsigned flags)
{
    struct tsdb_result r;
    struct err e = {.code = ERR_NONE};
    if (!tsdb_commit_wait(s->db, s->batch, flags, &r, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    tsdb_batch_reset(s->batch);
    return r;
}

static void begin(struct store *s)
{
    store_init(s, test_seed());
    store_open_ok(s);
    struct err e = {.code = ERR_NONE};
    assert_true(store_refs(s, &e));
}

static void end(struct store *s)
{
    store_close(s);
    store_release(s);
}

static uint32_t count(struct store *s, struct tsdb_view *v, uint32_t k, int64_t from, int64_t to)
{
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    tsdb_column_init(&c, &s->mem);
    assert_true(tsdb_read(v, s->ref[k], from, to, 1000000, &c, &e));
    uint32_t n = c.n;
    tsdb_column_release(&c);
    return n;
}

static double value_at(struct store *s, uint32_t k, int64_t t)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_view_open(s->db, &v, &e));
    tsdb_column_init(&c, &s->mem);
    assert_true(tsdb_read(v, s->ref[k], t, t, 10, &c, &e));
    assert_int_equal(c.n, 1);
    double x = c.v[0];
    tsdb_column_release(&c);
    tsdb_view_close(v);
    return x;
}

TEST(tsdb_a_view_sees_what_was_committed_before_it_and_nothing_later)
{
    struct store s;
    struct tsdb_view *v1;
    struct tsdb_view *v2;
    struct err e = {.code = ERR_NONE};
    begin(&s);
    for (int64_t i = 0; i < 10; i++) {
        for (uint32_t k = 0; k < MODEL_SERIES; k++) {
            add(&s, k, T0 + i * 15000, (double)i);
        }
    }
    struct tsdb_result r = commit_ok(&s, 0);
    assert_int_equal(r.samples, 10 * MODEL_SERIES);
    assert_true(tsdb_view_open(s.db, &v1, &e));
    for (uint32_t k = 0; k < MODEL_SERIES; k += 2) {
        add(&s, k, T0 + 10 * 15000, 10);
        add(&s, k, T0 + 5000, -1); /* late */
    }
    commit_ok(&s, 0);
    assert_true(tsdb_view_open(s.db, &v2, &e));
    assert_true(tsdb_flush(s.db, false, &e));
    for (uint32_t k = 0; k < MODEL_SERIES; k++) {
        assert_int_equal(count(&s, v1, k, INT64_MIN, INT64_MAX), 10);
        assert_int_equal(count(&s, v2, k, INT64_MIN, INT64_MAX), k % 2 == 0 ? 12 : 10);
        assert_int_equal(count(&s, v2, k, T0 + 15000, T0 + 30000), 2);
        assert_int_equal(count(&s, v2, k, T0 + 15001, T0 + 29999), 0);
    }
    tsdb_view_close(v1);
    tsdb_view_close(v2);
    end(&s);
}

TEST(tsdb_refuses_by_reason_and_names_the_first)
{
    struct store s;
    begin(&s);
    add(&s, 0, T0, 1);
    add(&s, 1, T0, 1);
    commit_ok(&s, 0);
    add(&s, 0, T0, 1); /* the same again */
    add(&s, 1, T0, 2); /* another value */
    add(&s, 0, T0 - s.config.out_of_order_ms - 1, 1);
    add(&s, 0, T0 - s.config.out_of_order_ms, 3); /* just within */
    add(&s, 0, T0 - s.config.out_of_order_ms, 3); /* again, in the same batch */
    add(&s, 0, T0 - s.config.out_of_order_ms, 4);
    add(&s, 2, T0 + s.config.future_ms + 1, 1);
    add(&s, 2, T0 + s.config.future_ms, 1);
    struct tsdb_result r = commit_ok(&s, 0);
    assert_int_equal(r.samples, 4);
    assert_int_equal(r.refused[TSDB_DUPLICATE], 2);
    assert_int_equal(r.refused[TSDB_OUT_OF_ORDER], 1);
    assert_int_equal(r.refused[TSDB_TOO_NEW], 1);
    assert_int_equal(r.first_ref, s.ref[1]);
    assert_int_equal(r.first_t_ms, T0);
    assert_int_equal(r.first_why, TSDB_DUPLICATE);
    add(&s, 2, T0 + s.config.future_ms + 1, 1);
    r = commit_ok(&s, TSDB_NO_FUTURE_CHECK);
    assert_int_equal(r.samples, 1);
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_int_equal(st.refused[TSDB_DUPLICATE], 2);
    assert_int_equal(st.duplicates, 2);
    assert_int_equal(st.samples, 7);
    assert_int_equal(st.head_samples, 5);
    /* The same, when what is there has gone into a block, and after a restart. */
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_flush(s.db, true, &e));
    for (int round = 0; round < 2; round++) {
        add(&s, 0, T0, 1);
        add(&s, 0, T0, 2);
        add(&s, 0, T0 - s.config.out_of_order_ms, 3);
        add(&s, 0, T0 - s.config.out_of_order_ms, 5);
        r = commit_ok(&s, 0);
        assert_int_equal(r.samples, 2);
        assert_int_equal(r.refused[TSDB_DUPLICATE], 2);
        tsdb_stats(s.db, &st);
        assert_int_equal(st.head_samples, 0);
        assert_int_equal(st.block_samples, 5);
        store_close(&s);
        store_open_ok(&s);
        assert_true(store_refs(&s, &e));
    }
    end(&s);
}

TEST(tsdb_all_or_nothing_is_that)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    begin(&s);
    add(&s, 0, T0, 1);
    commit_ok(&s, 0);
    for (int round = 0; round < 2; round++) {
        add(&s, 1, T0 + 10, 1);
        add(&s, 0, T0 - 10, 1);
        add(&s, 0, T0, 2); /* contradicts */
        add(&s, 0, T0 + 10, 1);
        assert_false(tsdb_commit_wait(s.db, s.batch, TSDB_ALL_OR_NOTHING, &r, &e));
        tsdb_batch_reset(s.batch);
        assert_int_equal(e.code, ERR_INPUT);
        assert_int_equal(r.samples, 0);
        assert_int_equal(r.refused[TSDB_DUPLICATE], 1);
        assert_int_equal(r.first_ref, s.ref[0]);
    }
    /* Nothing of it stayed behind in what is known of the series. */
    add(&s, 1, T0 + 10, 7);
    add(&s, 0, T0 - 10, 7);
    add(&s, 0, T0 + 5, 7);
    r = commit_ok(&s, TSDB_ALL_OR_NOTHING);
    assert_int_equal(r.samples, 3);
    assert_true(value_at(&s, 0, T0 - 10) == 7);
    assert_true(value_at(&s, 1, T0 + 10) == 7);
    end(&s);
}

TEST(tsdb_keeps_every_bit_histograms_starts_and_order_of_kinds)
{
    struct store s;
    struct model m = {0};
    struct arena a;
    struct err e = {.code = ERR_NONE};
    begin(&s);
    arena_init(&a, &s.mem, 1 << 20);
    static const uint64_t odd[] = {STALE_NAN_BITS,        NORMAL_NAN_BITS,       0x7ff0000000000000,
                                   0xfff0000000000000,    0x8000000000000000,    1,
                                   0xfff8000000000001ULL, 0x7ff4deadfa401001ULL, 0};
    for (uint32_t i = 0; i < 60; i++) {
        int64_t t = T0 + i * 1000;
        struct model_sample x = {.t = t, .bits = odd[i % ARRAY_LEN(odd)]};
        x.st = i % 10 > 6 ? t - 500 : 0;
        x.hist = i % 7 > 4;
        if (x.hist) {
            x.bits = i;
            assert_true(tsdb_batch_add_nhist(s.batch, s.ref[3], t, x.st, testing_hist(i, &a), &e));
        } else {
            double v;
            memcpy(&v, &x.bits, sizeof v);
            assert_true(tsdb_batch_add_st(s.batch, s.ref[3], t, x.st, v, &e));
        }
        model_put(&m, 3, x);
        if (i % 8 == 0) {
            commit_ok(&s, 0);
        }
    }
    commit_ok(&s, 0);
    assert_model(&s, &m, false);
    store_close(&s);
    store_open_ok(&s);
    assert_model(&s, &m, false);
    assert_true(tsdb_flush(s.db, false, &e));
    assert_model(&s, &m, false);
    store_close(&s);
    store_open_ok(&s);
    assert_model(&s, &m, false);
    arena_release(&a);
    model_release(&m);
    end(&s);
}

TEST(tsdb_selects_by_range_of_head_and_blocks)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_view *v;
    struct arena a;
    uint32_t *ids;
    uint32_t n;
    begin(&s);
    arena_init(&a, &s.mem, 1 << 20);
    add(&s, 0, T0, 1);
    add(&s, 5, T0, 1);
    commit_ok(&s, 0);
    assert_true(tsdb_flush(s.db, false, &e));
    add(&s, 10, T0 + 100000, 1);
    add(&s, 1, T0 + 100000, 1);
    commit_ok(&s, 0);
    assert_true(tsdb_view_open(s.db, &v, &e));
    struct matcher m = {MATCH_EQ, STR("__name__"), STR("metric_0")};
    assert_true(tsdb_select(v, &m, 1, T0, T0 + 1000, 10, true, &a, &ids, &n, &e));
    assert_int_equal(n, 2);
    assert_int_equal(ids[0], s.ref[0]);
    assert_int_equal(ids[1], s.ref[5]);
    assert_true(tsdb_select(v, &m, 1, T0 + 100000, T0 + 100000, 10, true, &a, &ids, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], s.ref[10]);
    assert_true(tsdb_select(v, &m, 1, T0 + 1, T0 + 99999, 10, true, &a, &ids, &n, &e));
    assert_int_equal(n, 0);
    assert_true(tsdb_select(v, &m, 1, 1, 0, 10, true, &a, &ids, &n, &e)); /* no range */
    assert_int_equal(n, 5);
    assert_false(tsdb_select(v, &m, 1, 1, 0, 4, true, &a, &ids, &n, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    struct str *values;
    assert_true(tsdb_label_values(v, STR("instance"), NULL, 0, T0, T0, 0, &a, &values, &n, &e));
    assert_int_equal(n, 2);
    assert_str(values[0], STR("host-0"));
    assert_str(values[1], STR("host-5"));
    int64_t min_ms;
    int64_t max_ms;
    assert_true(tsdb_view_bounds(v, s.ref[10], &min_ms, &max_ms));
    assert_int_equal(min_ms, T0 + 100000);
    assert_int_equal(max_ms, T0 + 100000);
    assert_false(tsdb_view_bounds(v, s.ref[11], &min_ms, &max_ms));
    tsdb_view_close(v);
    arena_release(&a);
    end(&s);
}

TEST(tsdb_exemplars_come_back_by_series_then_time)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_view *v;
    struct arena a;
    begin(&s);
    arena_init(&a, &s.mem, 1 << 20);
    struct label l = {STR("trace_id"), STR("abc")};
    for (int i = 0; i < 6; i++) {
        add(&s, (uint32_t)i % 2, T0 + i, i);
        assert_true(tsdb_batch_add_exemplar(s.batch, s.ref[i % 2], (struct labels){&l, 1}, T0 + i,
                                            i * 0.5, &e));
    }
    assert_int_equal(commit_ok(&s, 0).exemplars, 6);
    for (int round = 0; round < 2; round++) {
        struct tsdb_exemplar *x;
        uint32_t n;
        struct matcher m = {MATCH_NE, STR("job"), STR("")};
        assert_true(tsdb_view_open(s.db, &v, &e));
        assert_true(tsdb_exemplars(v, &m, 1, T0 + 1, T0 + 10, &a, &x, &n, &e));
        assert_int_equal(n, 5);
        assert_int_equal(x[0].ref, s.ref[0]);
        assert_int_equal(x[0].t_ms, T0 + 2);
        assert_true(x[0].v == 1.0);
        assert_str(x[4].labels.v[0].value, STR("abc"));
        assert_int_equal(x[4].t_ms, T0 + 5);
        tsdb_view_close(v);
        store_close(&s);
        store_open_ok(&s);
    }
    arena_release(&a);
    end(&s);
}

TEST(tsdb_one_process_has_a_store)
{
    struct store s;
    struct tsdb *other;
    struct err e = {.code = ERR_NONE};
    begin(&s);
    assert_false(tsdb_open(&other, &s.config, s.os, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    end(&s);
}

static uint64_t syncs_of(struct store *s, unsigned flags, int64_t t, int64_t wait_ns)
{
    struct tsdb_stats before;
    struct tsdb_stats after;
    tsdb_stats(s->db, &before);
    simos_clock_add(s->sim, wait_ns);
    add(s, 0, t, 1);
    (void)commit_ok(s, flags);
    tsdb_stats(s->db, &after);
    return after.log_syncs - before.log_syncs;
}

TEST(tsdb_who_wants_a_sync_soon_shares_those_of_others)
{
    struct store s;
    begin(&s);
    assert_int_equal(syncs_of(&s, TSDB_NO_SYNC, T0, 0), 0);
    assert_int_equal(syncs_of(&s, TSDB_SYNC_SOON, T0 + 1, 0), 1); /* there was none */
    assert_int_equal(syncs_of(&s, TSDB_SYNC_SOON, T0 + 2, 100 * NS_PER_MS), 0);
    assert_int_equal(syncs_of(&s, TSDB_NO_SYNC, T0 + 3, NS_PER_S), 0);
    assert_int_equal(syncs_of(&s, TSDB_SYNC_SOON, T0 + 4, 0), 1);
    assert_int_equal(syncs_of(&s, 0, T0 + 5, 800 * NS_PER_MS), 1);
    assert_int_equal(syncs_of(&s, TSDB_SYNC_SOON, T0 + 6, 800 * NS_PER_MS), 0);
    assert_int_equal(syncs_of(&s, TSDB_SYNC_SOON, T0 + 7, 200 * NS_PER_MS), 1);
    end(&s);
}

TEST(tsdb_sources_keep_their_limits_and_counts_over_a_restart)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    begin(&s);
    uint32_t a = tsdb_source(s.db, STR("job-a"), 2);
    uint32_t b = tsdb_source(s.db, STR("job-b"), 0);
    assert_true(a != 0 && b != 0 && a != b);
    assert_int_equal(tsdb_source(s.db, STR("job-a"), 2), a);
    uint32_t ref[3];
    for (int i = 0; i < 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "of-a-%d", i);
        struct label l = {STR("x"), str_from_c(text)};
        bool ok = tsdb_series(s.db, a, (struct labels){&l, 1}, &ref[i], &e);
        assert_int_equal(ok, i < 2);
        if (ok) {
            assert_true(tsdb_batch_add(s.batch, ref[i], T0, i, &e));
        }
    }
    assert_int_equal(e.code, ERR_LIMIT);
    commit_ok(&s, 0);
    uint64_t refused;
    assert_int_equal(tsdb_source_series(s.db, a, &refused), 2);
    assert_int_equal(refused, 1);
    struct tsdb_stats stats;
    tsdb_stats(s.db, &stats);
    assert_int_equal(stats.series_refused, 1);
    store_close(&s);
    store_open_ok(&s);
    uint32_t again = tsdb_source(s.db, STR("job-a"), 2);
    assert_int_equal(tsdb_source_series(s.db, again, NULL), 2);
    end(&s);
}

TEST(tsdb_flushes_when_the_head_is_full_and_stays_bounded)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    store_init(&s, test_seed());
    s.config.head_bytes_max = 1 << 20;
    store_open_ok(&s);
    assert_true(store_refs(&s, &e));
    for (int64_t i = 0; i < 20000; i++) {
        for (uint32_t k = 0; k < MODEL_SERIES; k++) {
            add(&s, k, T0 + i, (double)i);
        }
        if (i % 100 == 99) {
            assert_int_equal(commit_ok(&s, TSDB_NO_FUTURE_CHECK).samples, 100 * MODEL_SERIES);
        }
    }
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_true(st.flushes >= 3);
    assert_true(st.head_bytes < 8 << 20);
    assert_int_equal(st.head_samples + st.block_samples, 20000 * MODEL_SERIES);
    struct tsdb_view *v;
    assert_true(tsdb_view_open(s.db, &v, &e));
    assert_int_equal(count(&s, v, 7, INT64_MIN, INT64_MAX), 20000);
    assert_int_equal(count(&s, v, 7, T0 + 500, T0 + 999), 500);
    tsdb_view_close(v);
    end(&s);
}
