/* Taps: what is committed comes out once, in order, across flushes, restarts and crashes, as long
 * as the log is kept for them; what had to go is counted. */
#include "engines/tsdb/tsdb_testing_int.h"

#define T0 MODEL_T0

struct got {
    uint32_t n, hists, exemplars;
    uint32_t ref[256];
    int64_t t[256];
    double v[256];
    bool fail;
};

static bool take(void *ctx, const struct tsdb_tapped *x, struct err *e)
{
    struct got *g = ctx;
    if (g->fail) {
        return err_set(e, ERR_NOMEM, "full");
    }
    if (x->exemplar) {
        g->exemplars++;
        return true;
    }
    assert_true(g->n < 256);
    g->ref[g->n] = x->ref;
    g->t[g->n] = x->t_ms;
    g->v[g->n++] = x->h ? x->h->sum : x->v;
    g->hists += x->h != NULL;
    return true;
}

static void commit(struct store *s, uint32_t k, int64_t t, double v)
{
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    assert_true(tsdb_batch_add(s->batch, s->ref[k], t, v, &e));
    assert_true(tsdb_commit_wait(s->db, s->batch, 0, &r, &e));
    tsdb_batch_reset(s->batch);
}

static void begin(struct store *s, uint64_t tap_bytes_max)
{
    struct err e = {.code = ERR_NONE};
    store_init(s, test_seed());
    s->config.tap_bytes_max = tap_bytes_max;
    store_open_ok(s);
    assert_true(store_refs(s, &e));
}

static struct tsdb_tap *tap_at(struct store *s, uint64_t from)
{
    struct tsdb_tap *t;
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_tap_open(s->db, from, &t, &e));
    return t;
}

static struct got read_all(struct tsdb_tap *t, uint64_t upto, uint64_t max)
{
    struct got g = {.n = 0};
    struct err e = {.code = ERR_NONE};
    assert_true(tsdb_tap_read(t, upto, max, take, &g, &e));
    return g;
}

TEST(a_tap_gives_what_is_committed_after_it_in_order)
{
    struct store s;
    begin(&s, 1 << 20);
    commit(&s, 0, T0, 1);
    struct tsdb_tap *t = tap_at(&s, 0);
    assert_int_equal(read_all(t, 0, 100).n, 0);
    commit(&s, 1, T0 + 1, 2);
    commit(&s, 2, T0 + 1, 3);
    commit(&s, 1, T0 + 2, 4);
    struct tsdb_tap_stats st;
    tsdb_tap_stats(t, &st);
    assert_true(st.behind_bytes > 0);
    struct got g = read_all(t, 0, 1); /* one batch at a time */
    assert_int_equal(g.n, 1);
    assert_int_equal(g.ref[0], s.ref[1]);
    const uint64_t from = tsdb_tap_position(t);
    g = read_all(t, 0, 100);
    assert_int_equal(g.n, 2);
    assert_int_equal(g.ref[0], s.ref[2]);
    assert_int_equal(g.t[1], T0 + 2);
    assert_true(g.v[1] == 4);
    tsdb_tap_stats(t, &st);
    assert_int_equal(st.behind_bytes, 0);
    assert_int_equal(st.lost_bytes, 0);
    const uint64_t upto = tsdb_tap_position(t);
    commit(&s, 3, T0 + 3, 5);
    tsdb_tap_close(t);
    t = tap_at(&s, from); /* again, and no further than before */
    g = read_all(t, upto, 100);
    assert_int_equal(g.n, 2);
    assert_int_equal(tsdb_tap_position(t), upto);
    assert_int_equal(read_all(t, 0, 100).n, 1);
    tsdb_tap_close(t);
    store_close(&s);
    store_release(&s);
}

TEST(a_tap_gives_histograms_and_exemplars)
{
    struct store s;
    struct arena a;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    begin(&s, 1 << 20);
    struct tsdb_tap *t = tap_at(&s, 0);
    arena_init(&a, &s.mem, 1 << 20);
    struct nhist *h = testing_hist(7, &a);
    const struct label l = {STR("trace_id"), STR("x")};
    assert_true(tsdb_batch_add_nhist(s.batch, s.ref[0], T0, 0, h, &e));
    assert_true(tsdb_batch_add_exemplar(s.batch, s.ref[0], (struct labels){&l, 1}, T0, 1, &e));
    assert_true(tsdb_commit_wait(s.db, s.batch, 0, &r, &e));
    tsdb_batch_reset(s.batch);
    struct got g = read_all(t, 0, 100);
    assert_int_equal(g.n, 1);
    assert_int_equal(g.hists, 1);
    assert_true(g.v[0] == h->sum);
    assert_int_equal(g.exemplars, 1);
    arena_release(&a);
    tsdb_tap_close(t);
    store_close(&s);
    store_release(&s);
}

TEST(the_log_is_kept_for_a_tap_over_flushes_and_restarts)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    begin(&s, 1 << 20);
    struct tsdb_tap *t = tap_at(&s, 0);
    const uint64_t from = tsdb_tap_position(t);
    for (int i = 0; i < 5; i++) {
        commit(&s, 0, T0 + i, i);
        assert_true(tsdb_flush(s.db, false, &e)); /* covers the log, a new segment begins */
    }
    tsdb_tap_close(t);
    store_close(&s);
    store_open_ok(&s);
    t = tap_at(&s, from);
    struct got g = read_all(t, 0, 100);
    assert_int_equal(g.n, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(g.t[i], T0 + i);
    }
    commit(&s, 0, T0 + 5, 5);
    assert_int_equal(read_all(t, 0, 100).n, 1);
    struct tsdb_stats before, after;
    tsdb_stats(s.db, &before);
    tsdb_tap_keep(t, tsdb_tap_position(t));
    assert_true(tsdb_flush(s.db, false, &e));
    tsdb_stats(s.db, &after);
    assert_true(after.log_bytes < before.log_bytes);
    tsdb_tap_close(t);
    store_close(&s);
    store_release(&s);
}

TEST(above_its_bound_the_oldest_log_goes_and_is_counted)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    begin(&s, 600);
    struct tsdb_tap *t = tap_at(&s, 0);
    for (int i = 0; i < 40; i++) {
        commit(&s, 0, T0 + i, i);
        assert_true(tsdb_flush(s.db, false, &e));
    }
    struct tsdb_tap_stats st;
    tsdb_tap_stats(t, &st);
    assert_true(st.lost_bytes > 0);
    struct got g = read_all(t, 0, 100);
    assert_true(g.n >= 1);
    assert_true(g.n < 40);
    assert_int_equal(g.t[g.n - 1], T0 + 39); /* the newest are there */
    tsdb_tap_close(t);
    store_close(&s);
    store_release(&s);
}

TEST(after_a_crash_a_tap_goes_on_where_it_was)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct store s;
        begin(&s, 1 << 20);
        struct tsdb_tap *t = tap_at(&s, 0);
        for (int i = 0; i < 10; i++) {
            commit(&s, 0, T0 + i, i);
        }
        assert_int_equal(read_all(t, 0, 4).n, 4);
        const uint64_t from = tsdb_tap_position(t);
        simos_crash(s.sim);
        tsdb_tap_close(t);
        store_close(&s);
        store_open_ok(&s);
        t = tap_at(&s, from);
        struct got g = read_all(t, 0, 100);
        assert_int_equal(g.n, 6);
        assert_int_equal(g.t[0], T0 + 4);
        tsdb_tap_close(t);
        store_close(&s);
        store_release(&s);
    }
}

TEST(a_batch_that_could_not_be_taken_comes_again)
{
    struct store s;
    begin(&s, 1 << 20);
    struct tsdb_tap *t = tap_at(&s, 0);
    struct err e = {.code = ERR_NONE};
    commit(&s, 0, T0, 1);
    struct got g = {.fail = true};
    assert_false(tsdb_tap_read(t, 0, 100, take, &g, &e));
    assert_int_equal(read_all(t, 0, 100).n, 1);
    tsdb_tap_close(t);
    store_close(&s);
    store_release(&s);
}
