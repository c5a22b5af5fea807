#include "engines/tsdb/index_core_int.h"

#include "base/test.h"
#include "engines/tsdb/index_testing_int.h"

#include <stdlib.h>

static void save(struct ix *t, struct buf *out)
{
    struct err e = {0};
    buf_init(out, &t->mem, 64 << 20);
    if (!index_save(t->x, out, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

/* Every id of a is in b with the same labels and state, and nothing else is; selecting agrees. */
static void check_same(struct ix *a, struct ix *b)
{
    struct mem mem;
    struct arena arena;
    assert_int_equal(index_count(a->x), index_count(b->x));
    assert_int_equal(index_refs_end(a->x), index_refs_end(b->x));
    mem_init(&mem, 0);
    arena_init(&arena, &mem, 64 << 20);
    for (uint32_t ref = 1; ref < index_refs_end(a->x); ref++) {
        assert_int_equal(index_has(a->x, ref), index_has(b->x, ref));
        assert_int_equal(index_series_at(a->x, ref)->state, index_series_at(b->x, ref)->state);
        if (index_has(a->x, ref)) {
            struct labels ls = index_labels(a->x, ref, &arena);
            assert_true(labels_eq(ls, index_labels(b->x, ref, &arena)));
            assert_int_equal(index_find(b->x, ls), ref);
        }
    }
    for (uint32_t id = 1; id < b->x->pairs_end; id++) {
        struct label l = index_pair(b->x, id);
        struct matcher m = {MATCH_EQ, l.name, l.value};
        uint32_t *ids[2];
        uint32_t n[2];
        struct err e;
        assert_true(index_select(a->x, &m, 1, NULL, NULL, 0, &arena, &ids[0], &n[0], &e));
        assert_true(index_select(b->x, &m, 1, NULL, NULL, 0, &arena, &ids[1], &n[1], &e));
        assert_true(n[1] > 0);
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(ids[0], ids[1], n[0] * sizeof **ids);
    }
    arena_release(&arena);
}

static void some_series(struct ix *t, struct rng *r)
{
    uint32_t s = index_source(t->x, STR("node"), 0);
    assert_int_equal(s, 1);
    for (int i = 0; i < 700; i++) {
        ix_add_any(t, r);
    }
    struct label v[] = {{STR("from"), STR("node")}};
    uint32_t ref;
    bool is_new;
    struct err e;
    assert_true(index_series(t->x, s, (struct labels){v, 1}, &ref, &is_new, &e));
}

TEST(index_save_and_load_keep_everything)
{
    struct ix a;
    struct ix b;
    struct buf out;
    struct buf again;
    struct rng r;
    struct err e = {0};
    rng_init(&r, test_seed());
    ix_init(&a, 0);
    some_series(&a, &r);
    ix_drop_some(&a, &r, 4);
    index_reuse(a.x);
    for (int i = 0; i < 30; i++) {
        ix_add_any(&a, &r);
    }
    ix_drop_some(&a, &r, 9);
    save(&a, &out);
    ix_init(&b, 0);
    assert_int_equal(index_source(b.x, STR("early"), 7), 1);
    assert_true(index_load(b.x, buf_str(&out), &e));
    check_same(&a, &b);
    assert_int_equal(index_source_series(b.x, index_source(b.x, STR("node"), 0), NULL),
                     index_source_series(a.x, 1, NULL));
    save(&b, &again);
    buf_release(&again);
    /* What goes on goes on alike: free ids in the same order, then the dropped ones. */
    for (int i = 0; i < 400; i++) {
        struct rng same = r;
        uint32_t ref = ix_add_any(&a, &r);
        assert_int_equal(ix_add_any(&b, &same), ref);
        if (i == 300) {
            index_reuse(a.x);
            index_reuse(b.x);
        }
    }
    check_same(&a, &b);
    buf_release(&out);
    ix_release(&a);
    ix_release(&b);
}

TEST(index_save_of_nothing_loads)
{
    struct ix a;
    struct ix b;
    struct buf out;
    struct err e = {0};
    ix_init(&a, 0);
    ix_init(&b, 0);
    save(&a, &out);
    assert_true(index_load(b.x, buf_str(&out), &e));
    assert_int_equal(index_count(b.x), 0);
    assert_int_equal(ix_add(&b, "a=1"), 1);
    buf_release(&out);
    ix_release(&a);
    ix_release(&b);
}

TEST(index_load_refuses_damage_and_stays_empty)
{
    struct ix a;
    struct ix b;
    struct buf out;
    struct rng r;
    struct err e;
    rng_init(&r, test_seed());
    ix_init(&a, 0);
    some_series(&a, &r);
    save(&a, &out);
    ix_init(&b, 0);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 400; i++) {
        size_t at = rng_below(&r, out.n);
        char before = out.p[at];
        out.p[at] = (char)(before ^ 1 << rng_below(&r, 8));
        if (index_load(b.x, buf_str(&out), &e)) {
            ix_release(&b); /* a change that means something is the caller's checksum to find */
            ix_init(&b, 0);
        } else {
            assert_true(e.code == ERR_CORRUPT);
            assert_int_equal(index_count(b.x), 0);
            assert_int_equal(index_refs_end(b.x), 1);
            refused++;
        }
        out.p[at] = before;
    }
    assert_true(refused > 300);
    for (size_t n = 0; n < out.n; n += 1 + out.n / 50) {
        assert_false(index_load(b.x, str_of(out.p, n), &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
    assert_true(index_load(b.x, buf_str(&out), &e));
    check_same(&a, &b);
    buf_release(&out);
    ix_release(&a);
    ix_release(&b);
}

FAULT_TEST(index_load_is_whole_or_not_at_all)
{
    struct ix a;
    struct buf out;
    struct rng r;
    struct err e = {0};
    struct index *x;
    rng_init(&r, 7);
    ix_init(&a, 0);
    for (int i = 0; i < 200; i++) {
        ix_add_any(&a, &r);
    }
    buf_init(&out, &w->mem, 64 << 20);
    bool ok = index_new(&w->mem, 0, &x, &e);
    if (ok) {
        ok = index_save(a.x, &out, &e);
        assert_true(ok || e.code == ERR_NOMEM || e.code == ERR_LIMIT);
        bool loaded = ok && index_load(x, buf_str(&out), &e);
        assert_int_equal(index_count(x), loaded ? index_count(a.x) : 0);
        assert_true(!ok || loaded || e.code == ERR_LIMIT);
        ok = ok && loaded;
        index_free(x);
    }
    buf_release(&out);
    ix_release(&a);
    return ok;
}
