/* The store against a model: random commits, flushes, merges, restarts, crashes and failing disks;
 * what was acknowledged is there, bit for bit, and nothing else is. */
#include "engines/tsdb/tsdb.h"

#include "engines/tsdb/tsdb_testing_int.h"

#include "base/clock.h"

#define SAMPLES_MAX 40

struct game {
    struct store s;
    struct model m;
    struct rng rng;
    int64_t now_ms; /* of the samples; rises */
    bool faulty;    /* errors are to be expected */
    /* What the batch holds, in order. */
    struct {
        uint32_t k;
        struct model_sample x;
    } batch[SAMPLES_MAX];
    uint32_t batch_n;
    struct arena arena;
};

/* A view taken earlier, and what the model was then. */
struct memory {
    struct tsdb_view *v;
    struct model m;
};

static void model_copy(struct model *to, const struct model *from)
{
    for (size_t i = 0; i < MODEL_SERIES; i++) {
        to->s[i] = from->s[i];
        to->s[i].cap = from->s[i].n;
        to->s[i].v = malloc((from->s[i].n + 1) * sizeof *to->s[i].v);
        assert_non_null(to->s[i].v);
        if (from->s[i].n > 0) {
            memcpy(to->s[i].v, from->s[i].v, from->s[i].n * sizeof *to->s[i].v);
        }
    }
}

static void game_init(struct game *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    store_init(&g->s, seed);
    rng_init(&g->rng, seed);
    arena_init(&g->arena, &g->s.mem, 1 << 24);
    g->now_ms = MODEL_T0;
    g->s.config.head_bytes_max = 1 << 20;
    g->s.config.out_of_order_ms = 600000;
}

static void game_release(struct game *g)
{
    arena_release(&g->arena);
    model_release(&g->m);
    store_release(&g->s);
}

/* -- what should happen -- */

static int64_t last_of(struct model *m, uint32_t k)
{
    int64_t last = NO_TIME;
    for (size_t i = 0; i < m->s[k].n; i++) {
        if (!m->s[k].v[i].maybe) {
            last = i64_max(last, m->s[k].v[i].t);
        }
    }
    return last;
}

static bool same(const struct model_sample *a, const struct model_sample *b)
{
    return a->hist == b->hist && a->bits == b->bits;
}

/* Puts what is accepted into the model, as `maybe` or for certain; counts. */
static struct tsdb_result predict(struct game *g, struct model *m, bool maybe)
{
    struct tsdb_result r = {.samples = 0};
    for (uint32_t i = 0; i < g->batch_n; i++) {
        uint32_t k = g->batch[i].k;
        struct model_sample x = g->batch[i].x;
        struct model_sample *is = model_find(m, k, x.t);
        int64_t last = last_of(m, k);
        x.maybe = maybe;
        int refused = -1;
        if (is != NULL && !is->maybe) {
            refused = same(is, &x) ? -1 : TSDB_DUPLICATE;
        } else if (last != NO_TIME && x.t < last - g->s.config.out_of_order_ms) {
            refused = TSDB_OUT_OF_ORDER;
        } else if (is != NULL) {
            *is = x; /* what may be there is overwritten, or stays a repetition */
        } else {
            model_put(m, k, x);
        }
        if (refused >= 0) {
            r.refused[refused]++;
            if (r.first_ref == 0) {
                r.first_ref = g->s.ref[k];
                r.first_t_ms = x.t;
                r.first_why = (enum tsdb_refusal)refused;
            }
        } else if (x.hist) {
            r.histograms++;
        } else {
            r.samples++;
        }
    }
    return r;
}

/* -- moves -- */

static void batch_fill(struct game *g)
{
    struct err e = {.code = ERR_NONE};
    struct rng *r = &g->rng;
    tsdb_batch_reset(g->s.batch);
    arena_reset(&g->arena);
    g->batch_n = 1 + (uint32_t)rng_below(r, SAMPLES_MAX - 1);
    uint32_t k = (uint32_t)rng_below(r, MODEL_SERIES);
    g->now_ms += (int64_t)rng_below(r, 3) * 5000;
    for (uint32_t i = 0; i < g->batch_n; i++) {
        struct model_sample x = {.t = g->now_ms, .bits = rng_u64(r)};
        k = rng_below(r, 8) == 0 ? (uint32_t)rng_below(r, MODEL_SERIES) : (k + 1) % MODEL_SERIES;
        switch (rng_below(r, 10)) {
        case 0: x.t -= (int64_t)rng_below(r, 100) * 5000; break; /* often a time that is there */
        case 1: x.t += 1 + (int64_t)rng_below(r, 100); break;
        case 2: x.t -= g->s.config.out_of_order_ms + 5000000 + (int64_t)rng_below(r, 1000); break;
        default: break;
        }
        const struct model_sample *is = model_find(&g->m, k, x.t);
        if (is != NULL && rng_below(r, 2) == 0) {
            x = *is; /* a repetition */
        } else if (k % 8 == 7 && rng_below(r, 4) != 0) {
            x.hist = true;
            x.bits = rng_below(r, 1000);
        }
        x.st = k % 4 == 3 && is == NULL && rng_below(r, 2) == 0 ? x.t - 1000 : x.st;
        x.maybe = false;
        g->batch[i].k = k;
        g->batch[i].x = x;
        double v;
        memcpy(&v, &x.bits, sizeof v);
        bool ok = x.hist ? tsdb_batch_add_nhist(g->s.batch, g->s.ref[k], x.t, x.st,
                                                testing_hist(x.bits, &g->arena), &e)
                         : tsdb_batch_add_st(g->s.batch, g->s.ref[k], x.t, x.st, v, &e);
        assert_true(ok);
    }
}

static void move_commit(struct game *g)
{
    batch_fill(g);
    unsigned flags = TSDB_NO_FUTURE_CHECK;
    flags |= rng_below(&g->rng, 4) == 0 ? TSDB_ALL_OR_NOTHING : 0;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    struct model after = {0};
    model_copy(&after, &g->m);
    struct tsdb_result want = predict(g, &after, false);
    bool ok = tsdb_commit_wait(g->s.db, g->s.batch, flags, &r, &e);
    if (ok) {
        assert_int_equal(r.samples, want.samples);
        assert_int_equal(r.histograms, want.histograms);
        assert_memory_equal(r.refused, want.refused, sizeof r.refused);
        assert_int_equal(r.first_ref, want.first_ref);
        assert_int_equal(r.first_t_ms, want.first_t_ms);
        assert_int_equal(r.first_why, want.first_why);
        assert_true((flags & TSDB_ALL_OR_NOTHING) == 0 || want.first_ref == 0);
        model_release(&g->m);
        g->m = after;
        return;
    }
    if (e.code == ERR_INPUT) {
        assert_true((flags & TSDB_ALL_OR_NOTHING) != 0 && want.first_ref != 0);
        assert_int_equal(r.samples + r.histograms, 0);
        assert_memory_equal(r.refused, want.refused, sizeof r.refused);
    } else {
        if (!g->faulty) {
            print_error("%s\n", e.msg);
        }
        assert_true(g->faulty);
        if ((flags & TSDB_ALL_OR_NOTHING) == 0 || want.first_ref == 0) {
            (void)predict(g, &g->m, true);
        }
    }
    model_release(&after);
}

static bool move_restart(struct game *g, bool crash)
{
    struct err e;
    if (crash) {
        simos_fault_from(g->s.sim, 1, SIMOS_FAIL);
    }
    store_close(&g->s);
    if (crash) {
        simos_crash(g->s.sim);
        simos_fault_from(g->s.sim, 0, SIMOS_OK);
    }
    if (!store_open(&g->s, &e)) {
        if (!g->faulty) {
            print_error("%s\n", e.msg);
        }
        assert_true(g->faulty);
        return false;
    }
    assert_true(store_refs(&g->s, &e));
    return true;
}

static void memory_check(struct game *g, struct memory *mem)
{
    for (uint32_t k = 0; k < MODEL_SERIES; k++) {
        int64_t a = MODEL_T0 + (int64_t)rng_below(&g->rng, 2000000) - 100000;
        int64_t b = a + (int64_t)rng_below(&g->rng, 1000000);
        bool all = rng_below(&g->rng, 2) == 0;
        assert_series(&g->s, mem->v, &mem->m, k, all ? INT64_MIN : a, all ? INT64_MAX : b, false);
    }
    tsdb_view_close(mem->v);
    mem->v = NULL;
    model_release(&mem->m);
}

static void play(struct game *g, int moves, bool crashes)
{
    struct memory mem = {.v = NULL};
    struct err e = {.code = ERR_NONE};
    store_open_ok(&g->s);
    assert_true(store_refs(&g->s, &e));
    for (int i = 0; i < moves; i++) {
        uint64_t move = rng_below(&g->rng, 100);
        if (move < 75) {
            move_commit(g);
        } else if (move < 80 && mem.v == NULL) {
            assert_true(tsdb_view_open(g->s.db, &mem.v, &e));
            model_copy(&mem.m, &g->m);
        } else if (move < 85 && mem.v != NULL) {
            memory_check(g, &mem);
        } else if (move < 92) {
            assert_true(tsdb_flush(g->s.db, move >= 89, &e) || g->faulty);
        } else if (move < 96) {
            assert_model(&g->s, &g->m, false);
        } else {
            if (mem.v != NULL) {
                memory_check(g, &mem);
            }
            assert_true(move_restart(g, crashes && move > 97));
            assert_model(&g->s, &g->m, true);
        }
    }
    if (mem.v != NULL) {
        memory_check(g, &mem);
    }
    assert_model(&g->s, &g->m, false);
    assert_true(move_restart(g, false));
    assert_model(&g->s, &g->m, true);
    store_close(&g->s);
}

TEST(tsdb_model_holds_over_commits_flushes_merges_restarts_and_crashes)
{
    for (uint64_t i = 0; i < 40; i++) {
        struct game g;
        game_init(&g, test_seed() + i);
        play(&g, 150, i % 2 == 0);
        game_release(&g);
    }
}

/* -- a disk that dies at every point -- */

/* May fail while the disk does. */
static void flush_perhaps(struct game *g, bool merge)
{
    struct err e = {.code = ERR_NONE};
    bool ok = tsdb_flush(g->s.db, merge, &e);
    assert_true(ok || e.code != ERR_NONE);
}

static void scenario(struct game *g)
{
    struct err e;
    for (int i = 0; i < 18 && g->s.db != NULL; i++) {
        if (i == 6 || i == 11) {
            flush_perhaps(g, i == 11);
        } else if (i == 9) {
            store_close(&g->s);
            if (!store_open(&g->s, &e)) {
                return;
            }
        } else {
            move_commit(g);
        }
    }
}

/* The disk fails from operation `at` on (or that one alone); then power is lost; then all that was
 * acknowledged is there. true while the fault was met. */
static bool die_at(uint64_t at, enum simos_fault fault, bool once)
{
    struct game g;
    struct err e;
    game_init(&g, test_seed());
    g.faulty = true;
    if (once) {
        simos_fault_at(g.s.sim, at, fault);
    } else {
        simos_fault_from(g.s.sim, at, fault);
    }
    if (store_open(&g.s, &e)) {
        if (store_refs(&g.s, &e)) {
            scenario(&g);
        }
        if (g.s.db != NULL) {
            assert_model(&g.s, &g.m, false);
            store_close(&g.s);
        }
    }
    bool met = simos_ops(g.s.sim) >= at;
    simos_crash(g.s.sim);
    simos_fault_at(g.s.sim, 0, SIMOS_OK);
    simos_fault_from(g.s.sim, 0, SIMOS_OK);
    g.faulty = false;
    store_open_ok(&g.s);
    assert_true(store_refs(&g.s, &e));
    assert_model(&g.s, &g.m, true);
    /* And it goes on. */
    for (int i = 0; i < 3; i++) {
        move_commit(&g);
    }
    assert_true(tsdb_flush(g.s.db, true, &e));
    assert_model(&g.s, &g.m, false);
    store_close(&g.s);
    game_release(&g);
    return met;
}

TEST(tsdb_survives_power_loss_at_every_operation)
{
    uint64_t at = 1;
    while (die_at(at, SIMOS_FAIL, false)) {
        at++;
    }
    assert_true(at > 50);
}

TEST(tsdb_survives_any_one_fault_at_every_operation)
{
    uint64_t at = 1;
    while (die_at(at, SIMOS_FAIL, true)) {
        at++;
    }
    at = 1;
    while (die_at(at, SIMOS_SHORT, true)) {
        at++;
    }
}

TEST(tsdb_goes_on_when_a_full_disk_has_space_again)
{
    struct game g;
    struct err e = {.code = ERR_NONE};
    game_init(&g, test_seed());
    store_open_ok(&g.s);
    assert_true(store_refs(&g.s, &e));
    for (int i = 0; i < 10; i++) {
        move_commit(&g);
    }
    g.faulty = true;
    for (int round = 0; round < 3; round++) {
        simos_fault_from(g.s.sim, 1 + rng_below(&g.rng, 9), SIMOS_FULL);
        for (int i = 0; i < 8; i++) {
            move_commit(&g);
        }
        flush_perhaps(&g, false);
        assert_model(&g.s, &g.m, false);
        simos_fault_from(g.s.sim, 0, SIMOS_OK);
        assert_true(tsdb_flush(g.s.db, true, &e));
        g.faulty = false;
        for (int i = 0; i < 8; i++) {
            move_commit(&g);
        }
        g.faulty = true;
        assert_model(&g.s, &g.m, false);
    }
    struct tsdb_stats st;
    tsdb_stats(g.s.db, &st);
    assert_true(st.log_failures > 0);
    simos_crash(g.s.sim);
    store_close(&g.s);
    g.faulty = false;
    store_open_ok(&g.s);
    assert_true(store_refs(&g.s, &e));
    assert_model(&g.s, &g.m, true);
    store_close(&g.s);
    game_release(&g);
}
