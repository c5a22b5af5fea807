/* Categories against plain counts: exact while named, within the bounds of the sketches beyond. */
#include "engines/dist/dist_testing_int.h"

#include <stdio.h>

struct text {
    char c[32];
};

static struct str word(struct text *t, uint64_t i)
{
    int n = snprintf(t->c, sizeof t->c, "value-%llu", (unsigned long long)i);
    return str_of(t->c, (size_t)n);
}

/* Few are frequent: i with weight 1 / (i + 1). */
static uint64_t zipf(struct rng *r, uint64_t n)
{
    double u = rng_f64(r) * log((double)n + 1);
    uint64_t i = (uint64_t)(exp(u) - 1);
    return i < n ? i : n - 1;
}

static uint64_t named(const struct dist_cats *c, struct str value)
{
    uint32_t idx = dist_cats_find(c, value);
    return idx == DIST_OPEN ? 0 : dist_cats_n(c, idx);
}

TEST(windows_count_known_and_new_values)
{
    struct mem m;
    struct dist_cats ref, win;
    mem_init(&m, 0);
    dist_cats_init(&ref, &m, 10);
    assert_true(dist_cats_add(&ref, STR("app")) && dist_cats_add(&ref, STR("web")));
    assert_true(dist_cats_add(&ref, STR("app")) && dist_cats_add(&ref, STR("")));
    dist_cats_init_like(&win, &m, &ref, 2);
    assert_true(dist_cats_add(&win, STR("web")) && dist_cats_add(&win, STR("nfc")));
    assert_true(dist_cats_add(&win, STR("nfc")) && dist_cats_add_at(&win, 0));
    dist_cats_null(&win);
    assert_int_equal(dist_cats_count(&win), 4);
    assert_int_equal(dist_cats_new_from(&win), 3);
    assert_str(dist_cats_value(&win, 1), STR("web"));
    assert_str(dist_cats_value(&win, 3), STR("nfc"));
    assert_int_equal(named(&win, STR("app")), 1);
    assert_int_equal(named(&win, STR("")), 0);
    assert_int_equal(named(&win, STR("nfc")), 2);
    assert_true(win.n == 4 && win.nulls == 1 && win.open == 0 && win.more == NULL);
    assert_true(dist_cats_distinct(&win) == 3);
    assert_true(dist_cats_add(&win, STR("pos")) && dist_cats_add(&win, STR("atm")));
    assert_int_equal(win.open, 1);
    assert_int_equal(dist_cats_find(&win, STR("atm")), DIST_OPEN);
    struct dist_heavy h[2];
    assert_int_equal(dist_cats_heavy(&win, h, 2), 1);
    assert_str(h[0].value, STR("atm"));
    dist_cats_clear(&win);
    assert_true(win.n == 0 && dist_cats_count(&win) == 3 && named(&win, STR("web")) == 0);
    assert_true(dist_cats_add(&win, STR("chip")) && dist_cats_new_from(&win) == 3);
    dist_cats_release(&win);
    dist_cats_release(&ref);
    assert_int_equal(m.bytes, 0);
}

TEST(long_values_are_told_apart_by_all_their_bytes)
{
    struct mem m;
    struct dist_cats c;
    char text[200];
    mem_init(&m, 0);
    dist_cats_init(&c, &m, 10);
    memset(text, 'x', sizeof text);
    assert_true(dist_cats_add(&c, str_of(text, 200)) && dist_cats_add(&c, str_of(text, 200)));
    text[199] = 'y';
    assert_true(dist_cats_add(&c, str_of(text, 200)) && dist_cats_add(&c, str_of(text, 199)));
    assert_true(dist_cats_add(&c, str_of(text, DIST_VALUE_BYTES)));
    assert_int_equal(dist_cats_count(&c), 4);
    assert_int_equal(named(&c, str_of(text, 200)), 1);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(dist_cats_value(&c, i).n <= DIST_VALUE_BYTES);
    }
    dist_cats_release(&c);
}

/* true counts in seen[0..n-1]; every counter within its bounds, every heavy value there. */
static void assert_heavy(const struct dist_cats *c, const uint64_t *seen, uint64_t n)
{
    struct dist_heavy h[DIST_HEAVY];
    struct text t;
    uint32_t count = dist_cats_heavy(c, h, DIST_HEAVY);
    assert_int_equal(count, DIST_HEAVY);
    for (uint32_t k = 0; k < count; k++) {
        uint64_t i = 0;
        while (i < n && !str_eq(h[k].value, word(&t, i))) {
            i++;
        }
        assert_true(i < n && h[k].n >= seen[i] && h[k].n - h[k].over <= seen[i]);
        assert_true(h[k].over <= c->open / DIST_HEAVY);
        assert_true(k == 0 || h[k].n <= h[k - 1].n);
    }
    for (uint64_t i = 0; i < n; i++) {
        bool found = false;
        for (uint32_t k = 0; k < count; k++) {
            found = found || str_eq(h[k].value, word(&t, i));
        }
        assert_true(found || seen[i] <= c->open / DIST_HEAVY);
    }
}

TEST(open_sets_keep_their_bounds_also_when_merged)
{
    enum { VALUES = 20000, ADDED = 60000, PARTS = 3 };
    struct mem m;
    struct err e = {0};
    struct dist_cats one, part[PARTS];
    struct text t;
    struct rng r;
    uint64_t *seen = calloc(VALUES, sizeof *seen);
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    dist_cats_init(&one, &m, 0);
    for (int i = 0; i < PARTS; i++) {
        dist_cats_init(&part[i], &m, 0);
    }
    uint64_t distinct = 0;
    for (uint32_t i = 0; i < ADDED; i++) {
        uint64_t v = zipf(&r, VALUES);
        distinct += seen[v]++ == 0;
        assert_true(dist_cats_add(&one, word(&t, v)));
        assert_true(dist_cats_add(&part[rng_below(&r, PARTS)], word(&t, v)));
    }
    for (int i = 1; i < PARTS; i++) {
        assert_true(dist_cats_merge(&part[0], &part[i], &e));
        dist_cats_release(&part[i]);
    }
    assert_int_equal(one.open, ADDED);
    assert_int_equal(part[0].open, ADDED);
    assert_heavy(&one, seen, VALUES);
    assert_heavy(&part[0], seen, VALUES);
    assert_near(dist_cats_distinct(&one), (double)distinct, 0.05 * (double)distinct);
    assert_true(dist_cats_distinct(&one) == dist_cats_distinct(&part[0]));
    dist_cats_release(&one);
    dist_cats_release(&part[0]);
    assert_int_equal(m.bytes, 0);
    free(seen);
}

TEST(few_distinct_open_values_are_estimated_well)
{
    struct mem m;
    struct dist_cats c;
    struct text t;
    mem_init(&m, 0);
    dist_cats_init(&c, &m, 5);
    for (uint64_t i = 0; i < 900; i++) {
        assert_true(dist_cats_add(&c, word(&t, i % 305)));
    }
    assert_near(dist_cats_distinct(&c), 305, 9);
    dist_cats_release(&c);
}

static void save_to(const struct dist_cats *c, struct mem *m, struct buf *out)
{
    buf_init(out, m, 1 << 24);
    dist_cats_save(c, out);
}

TEST(named_counts_do_not_depend_on_order_or_split)
{
    struct mem m;
    struct err e = {0};
    struct dist_cats ref, one, a, b;
    struct buf saved, again;
    struct text t;
    struct rng r;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    dist_cats_init(&ref, &m, 100);
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(dist_cats_add(&ref, word(&t, i * 2)));
    }
    dist_cats_init_like(&one, &m, &ref, 60);
    dist_cats_init_like(&a, &m, &ref, 60);
    dist_cats_init_like(&b, &m, &ref, 60);
    for (int i = 0; i < 5000; i++) {
        uint64_t v = zipf(&r, 110);
        assert_true(dist_cats_add(&one, word(&t, v)));
        assert_true(dist_cats_add(i % 3 == 0 ? &a : &b, word(&t, v)));
    }
    dist_cats_null(&one);
    dist_cats_null(&b);
    assert_true(dist_cats_merge(&b, &a, &e));
    save_to(&one, &m, &saved);
    save_to(&b, &m, &again);
    assert_same_bytes(&saved, &again);
    buf_release(&saved);
    buf_release(&again);
    dist_cats_release(&one);
    dist_cats_release(&a);
    dist_cats_release(&b);
    dist_cats_init(&one, &m, 60);
    assert_false(dist_cats_merge(&one, &ref, &e));
    assert_int_equal(e.code, ERR_INPUT);
    dist_cats_release(&ref);
    assert_int_equal(m.bytes, 0);
}

/* Reference and window against the union of names counted by hand. */
TEST(categories_are_compared_by_value)
{
    struct mem m;
    struct dist_cats ref, win, apart;
    struct dist_shares by_index, by_name, by_hand;
    struct text t;
    struct rng r;
    uint64_t a[40] = {0}, b[40] = {0};
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    dist_cats_init(&ref, &m, 100);
    for (int i = 0; i < 3000; i++) {
        uint64_t v = zipf(&r, 30);
        a[v]++;
        assert_true(dist_cats_add(&ref, word(&t, v)));
    }
    dist_cats_init_like(&win, &m, &ref, 100);
    dist_cats_init(&apart, &m, 100);
    for (int i = 0; i < 900; i++) {
        uint64_t v = 5 + zipf(&r, 35);
        b[v]++;
        assert_true(dist_cats_add(&win, word(&t, v)) && dist_cats_add(&apart, word(&t, v)));
    }
    dist_cats_compare(&ref, &win, &by_index);
    dist_cats_compare(&ref, &apart, &by_name);
    dist_counts_compare(a, b, 40, &by_hand);
    assert_int_equal(by_index.pairs, by_hand.pairs);
    assert_near(by_index.psi, by_hand.psi, 1e-12);
    assert_near(by_index.js, by_hand.js, 1e-12);
    assert_near(by_index.chi2, by_hand.chi2, 1e-9);
    assert_near(by_name.psi, by_hand.psi, 1e-12);
    assert_near(by_name.hellinger, by_hand.hellinger, 1e-12);
    assert_near(by_name.linf, by_hand.linf, 0);
    dist_cats_release(&win);
    dist_cats_release(&apart);
    dist_cats_release(&ref);
}

TEST(what_the_reference_did_not_name_is_one_value)
{
    struct mem m;
    struct dist_cats ref, win;
    struct dist_shares s;
    const uint64_t a[2] = {4, 6};
    const uint64_t b[2] = {1, 3};
    struct dist_shares want;
    mem_init(&m, 0);
    dist_cats_init(&ref, &m, 1);
    dist_cats_init_like(&win, &m, &ref, 1);
    for (int i = 0; i < 10; i++) {
        assert_true(dist_cats_add(&ref, i < 4 ? STR("a") : i < 7 ? STR("b") : STR("c")));
    }
    assert_true(dist_cats_add(&win, STR("a")) && dist_cats_add(&win, STR("b")));
    assert_true(dist_cats_add(&win, STR("d")) && dist_cats_add(&win, STR("e")));
    dist_cats_compare(&ref, &win, &s);
    dist_counts_compare(a, b, 2, &want);
    assert_int_equal(s.pairs, 2);
    assert_near(s.psi, want.psi, 1e-15);
    dist_cats_release(&win);
    dist_cats_release(&ref);
}

TEST(saved_categories_come_back_or_are_refused)
{
    struct mem m;
    struct err e = {0};
    struct dist_cats ref, win, back;
    struct buf saved, again;
    struct text t;
    mem_init(&m, 0);
    dist_cats_init(&ref, &m, 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(dist_cats_add(&ref, word(&t, i)));
    }
    dist_cats_init_like(&win, &m, &ref, 3);
    for (uint64_t i = 0; i < 600; i++) {
        assert_true(dist_cats_add(&win, word(&t, i * i % 310)));
    }
    save_to(&win, &m, &saved);
    struct rd r = rd_of(buf_str(&saved));
    assert_true(dist_cats_load(&back, &m, &ref, &r, &e) && rd_left(&r) == 0);
    assert_true(back.n == win.n && back.open == win.open);
    assert_int_equal(named(&back, word(&t, 4)), named(&win, word(&t, 4)));
    assert_true(dist_cats_distinct(&back) == dist_cats_distinct(&win));
    save_to(&back, &m, &again);
    assert_same_bytes(&saved, &again);
    buf_release(&again);
    dist_cats_release(&back);
    r = rd_of(buf_str(&saved)); /* of another reference */
    assert_false(dist_cats_load(&back, &m, NULL, &r, &e));
    for (size_t n = 0; n < saved.n; n += 7) {
        r = rd_of(str_of(saved.p, n));
        assert_false(dist_cats_load(&back, &m, &ref, &r, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
    }
    buf_release(&saved);
    dist_cats_release(&win);
    dist_cats_release(&ref);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(categories_survive_a_lack_of_memory)
{
    struct dist_cats ref, win, other, back;
    struct buf saved;
    struct err e = {0};
    struct text t;
    uint64_t taken = 0;
    dist_cats_init(&ref, &w->mem, 8);
    dist_cats_init_like(&win, &w->mem, &ref, 30);
    dist_cats_init_like(&other, &w->mem, &ref, 30);
    for (uint64_t i = 0; i < 100; i++) {
        taken += dist_cats_add(&win, word(&t, i % 40));
        dist_cats_add(&other, word(&t, i));
    }
    assert_int_equal(win.n, taken);
    assert_int_equal(win.n + win.lost, 100);
    bool ok = win.lost == 0 && other.lost == 0;
    bool merged = dist_cats_merge(&win, &other, &e);
    assert_int_equal(win.n, merged ? taken + other.n : taken);
    buf_init(&saved, &w->mem, 1 << 20);
    dist_cats_save(&win, &saved);
    ok = buf_ok(&saved, &e) && ok && merged;
    if (ok) {
        struct rd r = rd_of(buf_str(&saved));
        ok = dist_cats_load(&back, &w->mem, &ref, &r, &e);
        assert_int_equal(ok ? back.n : 200, 200);
        dist_cats_release(&back);
    }
    buf_release(&saved);
    dist_cats_release(&win);
    dist_cats_release(&other);
    dist_cats_release(&ref);
    return ok;
}
