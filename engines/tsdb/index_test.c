/* The index against a slow one: a list of label sets, matched by reading. */
#include "engines/tsdb/index_int.h"

#include "base/rng.h"
#include "base/test.h"
#include "codec/regex.h"
#include "engines/tsdb/index_core_int.h"
#include "engines/tsdb/index_testing_int.h"

#include <pthread.h>
#include <stdlib.h>

static bool slow_match(const struct matcher *m, struct labels ls)
{
    struct mem mem;
    struct regex *r;
    struct err e;
    struct str v = labels_get(ls, m->name);
    if (m->op == MATCH_EQ || m->op == MATCH_NE) {
        return str_eq(v, m->value) == (m->op == MATCH_EQ);
    }
    mem_init(&mem, 0);
    assert_true(regex_new(&mem, m->value, true, &r, &e));
    bool match = regex_match(r, v) == (m->op == MATCH_RE);
    regex_free(r);
    return match;
}

static bool slow_matches(const struct matcher *m, uint32_t n, struct labels ls)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!slow_match(&m[i], ls)) {
            return false;
        }
    }
    return true;
}

static void matchers_any(struct rng *r, struct matcher *m, uint32_t n)
{
    static const char *const names[] = {"__name__", "a", "b", "job", "le", "zone", "nobody", "A"};
    static const char *const values[] = {"", "v0", "v1", "v2", "v12", "up", "nowhere"};
    static const char *const patterns[] = {"",       ".*",        ".+",  "v.*",   "v.+",
                                           ".*1",    "v0|v1",     "v0|", "v[01]", "(v1|v2|v77)",
                                           ".*1.*",  "|v3|v4|v5", "x",   "v1?",   "up|v0",
                                           "[^v].*", "(?i)V1"};
    for (uint32_t i = 0; i < n; i++) {
        m[i].op = (enum match_op)rng_below(r, 4);
        m[i].name = str_from_c(names[rng_below(r, ARRAY_LEN(names))]);
        bool regex = m[i].op == MATCH_RE || m[i].op == MATCH_NRE;
        m[i].value = str_from_c(regex ? patterns[rng_below(r, ARRAY_LEN(patterns))]
                                      : values[rng_below(r, ARRAY_LEN(values))]);
    }
}

static bool odd(void *ctx, uint32_t ref)
{
    (void)ctx;
    return ref % 2 == 1;
}

/* Compares one selection, its names and values, with the slow ones. */
static void check_select(struct ix *t, const struct matcher *m, uint32_t m_n, bool filter)
{
    struct arena a;
    struct mem mem;
    struct err e;
    uint32_t *ids;
    uint32_t n;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64 << 20);
    assert_true(index_select(t->x, m, m_n, filter ? odd : NULL, NULL, 0, &a, &ids, &n, &e));
    uint32_t k = 0;
    for (uint32_t ref = 1; ref < index_refs_end(t->x); ref++) {
        bool want = index_has(t->x, ref) && (!filter || odd(NULL, ref)) &&
                    slow_matches(m, m_n, index_labels(t->x, ref, &a));
        bool got = k < n && ids[k] == ref;
        if (want != got) {
            for (uint32_t i = 0; i < m_n; i++) {
                print_error("%.*s op %d '%.*s'\n", STR_FMT(m[i].name), m[i].op,
                            STR_FMT(m[i].value));
            }
            fail();
        }
        k += got;
    }
    assert_int_equal(k, n);
    if (n > 1) {
        assert_false(
            index_select(t->x, m, m_n, filter ? odd : NULL, NULL, n - 1, &a, &ids, &k, &e));
        assert_int_equal(e.code, ERR_LIMIT);
    }
    arena_release(&a);
    assert_int_equal(mem.bytes, 0);
}

static void check_names(struct ix *t, const struct matcher *m, uint32_t m_n, bool filter)
{
    struct arena a;
    struct mem mem;
    struct err e;
    struct str *names;
    struct str *values;
    uint32_t names_n;
    uint32_t values_n;
    uint64_t pairs = 0;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64 << 20);
    bool (*keep)(void *, uint32_t) = filter ? odd : NULL;
    assert_true(index_label_names(t->x, m, m_n, keep, NULL, 0, &a, &names, &names_n, &e));
    for (uint32_t i = 0; i < names_n; i++) {
        assert_true(i == 0 || str_cmp(names[i - 1], names[i]) < 0);
        assert_true(
            index_label_values(t->x, names[i], m, m_n, keep, NULL, 0, &a, &values, &values_n, &e));
        assert_true(values_n > 0);
        for (uint32_t k = 0; k < values_n; k++) {
            assert_true(k == 0 || str_cmp(values[k - 1], values[k]) < 0);
        }
        pairs += values_n;
    }
    /* The same pairs from the series that match. */
    uint8_t *seen = calloc(t->x->pairs_end, 1);
    uint64_t want = 0;
    for (uint32_t ref = 1; ref < index_refs_end(t->x); ref++) {
        if (!index_has(t->x, ref) || (filter && !odd(NULL, ref)) ||
            !slow_matches(m, m_n, index_labels(t->x, ref, &a))) {
            continue;
        }
        uint32_t n;
        const uint32_t *list = index_pairs(t->x, ref, &n);
        for (uint32_t i = 0; i < n; i++) {
            want += seen[list[i]] == 0;
            seen[list[i]] = 1;
        }
    }
    assert_int_equal(pairs, want);
    free(seen);
    arena_release(&a);
    assert_int_equal(mem.bytes, 0);
}

static void check_sorted(struct ix *t)
{
    uint32_t end = index_refs_end(t->x);
    uint32_t *ids = calloc(end, sizeof *ids);
    uint32_t n = 0;
    for (uint32_t ref = end; --ref > 0;) {
        if (index_has(t->x, ref)) {
            ids[n++] = ref;
        }
    }
    index_sort(t->x, ids, n);
    for (uint32_t i = 1; i < n; i++) {
        assert_true(index_cmp(t->x, ids[i - 1], ids[i]) < 0);
    }
    free(ids);
}

TEST(index_selects_what_reading_selects)
{
    struct ix t;
    struct rng r;
    rng_init(&r, test_seed());
    ix_init(&t, 0);
    for (int phase = 0; phase < 6; phase++) {
        for (int i = 0; i < 300; i++) {
            ix_add_any(&t, &r);
        }
        if (phase % 2 == 1) {
            ix_drop_some(&t, &r, 3);
        }
        if (phase == 3) {
            index_reuse(t.x);
        }
        for (int i = 0; i < 60; i++) {
            struct matcher m[4];
            uint32_t m_n = (uint32_t)rng_below(&r, 4);
            matchers_any(&r, m, m_n);
            check_select(&t, m, m_n, i % 3 == 0);
            if (i % 6 == 0) {
                check_names(&t, m, m_n, i % 12 == 0);
            }
        }
        check_sorted(&t);
    }
    ix_release(&t);
}

static void check_post(const struct pair *p, const uint64_t *want, uint32_t words)
{
    static uint64_t got[8192];
    static uint32_t ids[8192 * 64];
    uint32_t n = 0;
    memset(got, 0, sizeof got);
    index_post_mark(p, got);
    assert_memory_equal(got, want, words * sizeof *got);
    index_post_read(p, ids);
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t left = want[w]; left != 0; left &= left - 1) {
            assert_int_equal(ids[n], w * 64 + (uint32_t)__builtin_ctzll(left));
            n++;
        }
    }
    assert_int_equal(p->n, n);
}

TEST(index_postings_are_a_set_at_any_size)
{
    static uint64_t want[8192];
    struct ix t;
    struct rng r;
    rng_init(&r, test_seed());
    ix_init(&t, 0);
    ix_add(&t, "a=1");
    struct pair *p = index_pair_at(t.x, 1);
    index_post_remove(t.x, p, 1);
    size_t before = t.mem.bytes;
    /* Grows and shrinks through all forms, dense and sparse, over several containers. */
    static const uint32_t spans[] = {100, 5000, 300000, 70000};
    for (uint32_t phase = 0; phase < ARRAY_LEN(spans); phase++) {
        memset(want, 0, sizeof want);
        for (uint32_t i = 0; i < 12000; i++) {
            uint32_t ref = 1 + (uint32_t)rng_below(&r, spans[phase] - 1);
            uint64_t bit = UINT64_C(1) << (ref % 64);
            bool has = want[ref / 64] & bit;
            bool remove = i > 8000 || rng_below(&r, 4) == 0;
            if (remove && has) {
                index_post_remove(t.x, p, ref);
                want[ref / 64] &= ~bit;
            } else if (!remove && !has) {
                assert_true(index_post_reserve(t.x, p));
                index_post_add(t.x, p, ref);
                want[ref / 64] |= bit;
            }
            if (i % 997 == 0) {
                check_post(p, want, 8192);
            }
        }
        for (uint32_t ref = 0; ref < spans[phase]; ref++) {
            if (want[ref / 64] >> (ref % 64) & 1) {
                index_post_remove(t.x, p, ref);
                want[ref / 64] &= ~(UINT64_C(1) << (ref % 64));
                if (p->n == 20 || p->n == 10) {
                    check_post(p, want, 8192);
                }
            }
        }
        assert_int_equal(p->n, 0);
        assert_int_equal(t.x->map_bytes, 0);
    }
    assert_true(t.mem.bytes <= before + SLAB_CHUNK_BYTES);
    assert_true(index_post_reserve(t.x, p));
    index_post_add(t.x, p, 1); /* what ix_release expects */
    ix_release(&t);
}

TEST(index_ids_are_dense_and_stable)
{
    struct ix t;
    ix_init(&t, 0);
    uint32_t a = ix_add(&t, "__name__=up,job=a");
    uint32_t b = ix_add(&t, "__name__=up,job=b");
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(ix_add(&t, "__name__=up,job=a"), a);
    assert_int_equal(index_count(t.x), 2);
    assert_int_equal(ix_find(&t, "__name__=up,job=b"), b);
    assert_int_equal(ix_find(&t, "__name__=up"), 0);
    assert_int_equal(ix_find(&t, "job=b"), 0);
    uint32_t n;
    const uint32_t *pairs = index_pairs(t.x, b, &n);
    assert_int_equal(n, 2);
    assert_str(index_pair(t.x, pairs[1]).name, STR("job"));
    assert_str(index_pair(t.x, pairs[1]).value, STR("b"));
    ix_release(&t);
}

TEST(index_drop_hides_at_once_and_reuse_gives_ids_again)
{
    struct ix t;
    ix_init(&t, 0);
    uint32_t a = ix_add(&t, "__name__=up,job=a");
    uint32_t b = ix_add(&t, "__name__=up,job=b,only=b");
    uint16_t tag = index_tag(t.x, a);
    assert_true(tag != 0);
    index_drop(t.x, (uint32_t[]){a, a, 77}, 3);
    assert_false(index_has(t.x, a));
    assert_int_equal(index_count(t.x), 1);
    assert_int_equal(ix_find(&t, "__name__=up,job=a"), 0);
    /* A view that holds the id can still name it, and the id is nobody else's. */
    uint32_t n;
    const uint32_t *pairs = index_pairs(t.x, a, &n);
    assert_int_equal(n, 2);
    assert_str(index_pair(t.x, pairs[1]).value, STR("a"));
    assert_int_equal(ix_add(&t, "x=y"), 3);
    index_reuse(t.x);
    uint32_t c = ix_add(&t, "__name__=down");
    assert_int_equal(c, a);
    assert_true(index_tag(t.x, c) != 0);
    assert_true(index_tag(t.x, c) != tag);
    assert_int_equal(ix_find(&t, "__name__=down"), c);
    assert_int_equal(ix_add(&t, "__name__=up,job=a"), 4);
    /* Names and pairs that nobody has any more are gone. */
    index_drop(t.x, &b, 1);
    uint32_t pairs_n = t.x->pairs_n;
    uint32_t names_n = t.x->names_n;
    index_reuse(t.x);
    assert_int_equal(t.x->pairs_n, pairs_n - 2); /* job=b, only=b */
    assert_int_equal(t.x->names_n, names_n - 1);
    ix_release(&t);
}

TEST(index_churn_does_not_grow)
{
    struct ix t;
    ix_init(&t, 0);
    size_t bytes = 0;
    for (int round = 0; round < 40; round++) {
        uint32_t refs[200];
        for (uint32_t i = 0; i < 200; i++) {
            char text[96];
            snprintf(text, sizeof text, "__name__=up,instance=host-%04d-%u,job=a,pod=p%d", round, i,
                     round);
            refs[i] = ix_add(&t, text);
        }
        index_drop(t.x, refs, 200);
        index_reuse(t.x);
        if (round == 2) {
            bytes = t.mem.bytes;
        }
    }
    assert_int_equal(t.mem.bytes, bytes);
    assert_int_equal(index_refs_end(t.x), 201);
    ix_release(&t);
}

TEST(index_bounds_are_counted_by_source)
{
    struct ix t;
    struct err e;
    uint32_t ref;
    bool is_new;
    uint64_t refused;
    ix_init(&t, 3);
    uint32_t s = index_source(t.x, STR("node"), 2);
    assert_int_equal(index_source(t.x, STR("node"), 2), s);
    assert_true(s != 0);
    struct label v[] = {{STR("a"), STR("1")}};
    static const char *const values[] = {"1", "2", "3", "1"};
    static const bool allowed[] = {true, true, false, true};
    for (int i = 0; i < 4; i++) {
        v[0].value = str_from_c(values[i]);
        bool ok = index_series(t.x, s, (struct labels){v, 1}, &ref, &is_new, &e);
        assert_int_equal(ok, allowed[i]);
        assert_true(ok || e.code == ERR_LIMIT);
        assert_int_equal(ref != 0, ok);
        assert_int_equal(is_new, i < 2);
    }
    assert_int_equal(index_source_series(t.x, s, &refused), 2);
    assert_int_equal(refused, 1);
    v[0].value = STR("3");
    assert_true(index_series(t.x, 0, (struct labels){v, 1}, &ref, &is_new, &e));
    assert_int_equal(index_source_of(t.x, ref), 0);
    v[0].value = STR("4");
    assert_false(index_series(t.x, 0, (struct labels){v, 1}, &ref, &is_new, &e));
    assert_int_equal(index_source_series(t.x, 0, &refused), 1);
    assert_int_equal(refused, 1);
    assert_int_equal(ix_find(&t, "a=4"), 0);
    uint32_t own = index_source(t.x, STR("own"), TSDB_SERIES_OWN);
    assert_true(index_series(t.x, own, (struct labels){v, 1}, &ref, &is_new, &e));
    assert_int_equal(index_source_series(t.x, own, &refused), 1);
    assert_int_equal(refused, 0);
    v[0].value = STR("5");
    assert_false(index_series(t.x, 0, (struct labels){v, 1}, &ref, &is_new, &e));
    index_series_max(t.x, 10);
    assert_true(index_series(t.x, 0, (struct labels){v, 1}, &ref, &is_new, &e));
    ix_release(&t);
}

TEST(index_restore_keeps_ids_and_refuses_contradictions)
{
    struct ix t;
    struct err e;
    struct label a[] = {{STR("a"), STR("1")}};
    struct label b[] = {{STR("a"), STR("2")}};
    ix_init(&t, 0);
    assert_true(index_restore(t.x, 5, 0, (struct labels){a, 1}, &e));
    assert_true(index_restore(t.x, 5, 0, (struct labels){a, 1}, &e));
    assert_false(index_restore(t.x, 5, 0, (struct labels){b, 1}, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_false(index_restore(t.x, 6, 0, (struct labels){a, 1}, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_false(index_restore(t.x, 0, 0, (struct labels){b, 1}, &e));
    assert_false(index_restore(t.x, 0x7fffffff, 0, (struct labels){b, 1}, &e));
    assert_false(index_has(t.x, 4));
    assert_int_equal(ix_add(&t, "a=2"), 6); /* ids below 5 may have samples of somebody */
    assert_true(
        index_restore(t.x, 3, 0, (struct labels){(struct label[]){{STR("a"), STR("9")}}, 1}, &e));
    assert_int_equal(ix_find(&t, "a=9"), 3);
    index_drop(t.x, (uint32_t[]){3, 5, 6}, 3);
    index_reuse(t.x);
    assert_true(index_restore(t.x, 5, 0, (struct labels){b, 1}, &e));
    assert_int_equal(ix_add(&t, "x=1"), 3);
    assert_int_equal(ix_add(&t, "x=2"), 6);
    assert_int_equal(ix_add(&t, "x=3"), 7);
    ix_release(&t);
}

TEST(index_select_tells_of_bad_patterns)
{
    struct ix t;
    struct err e;
    struct arena a;
    uint32_t *ids;
    uint32_t n;
    ix_init(&t, 0);
    ix_add(&t, "a=1");
    arena_init(&a, &t.mem, 1 << 20);
    struct matcher m[] = {{MATCH_EQ, STR("none"), STR("x")}, {MATCH_RE, STR("none"), STR("a(")}};
    assert_false(index_select(t.x, m, 2, NULL, NULL, 0, &a, &ids, &n, &e));
    assert_int_equal(e.code, ERR_INPUT);
    arena_release(&a);
    ix_release(&t);
}

TEST(index_top_lists)
{
    struct ix t;
    struct err e;
    struct arena a;
    struct mem mem;
    struct tsdb_top *top;
    uint32_t n;
    ix_init(&t, 0);
    for (int i = 0; i < 100; i++) {
        char text[64];
        snprintf(text, sizeof text, "__name__=m%d,i=%d,job=a", i % 10 < 6 ? 0 : i % 10, i);
        ix_add(&t, text);
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 20);
    assert_true(index_top(t.x, TSDB_TOP_METRICS, 2, &a, &top, &n, &e));
    assert_int_equal(n, 2);
    assert_str(top[0].name, STR("m0"));
    assert_int_equal(top[0].count, 60);
    assert_int_equal(top[1].count, 10);
    assert_true(index_top(t.x, TSDB_TOP_PAIRS, 2, &a, &top, &n, &e));
    assert_str(top[0].name, STR("job=a"));
    assert_int_equal(top[0].count, 100);
    assert_str(top[1].name, STR("__name__=m0"));
    assert_true(index_top(t.x, TSDB_TOP_LABELS, 10, &a, &top, &n, &e));
    assert_int_equal(n, 3);
    assert_str(top[0].name, STR("i"));
    assert_int_equal(top[0].count, 100);
    assert_int_equal(top[1].count, 5);
    assert_true(index_top(t.x, TSDB_TOP_MEMORY, 10, &a, &top, &n, &e));
    assert_str(top[0].name, STR("i"));
    assert_true(index_top(t.x, TSDB_TOP_SOURCES, 10, &a, &top, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(top[0].count, 100);
    arena_release(&a);
    ix_release(&t);
}

#define RACE_SERIES 1500

static void *race_insert(void *arg)
{
    struct ix *t = arg;
    for (uint32_t i = 0; i < RACE_SERIES; i++) {
        char text[64];
        snprintf(text, sizeof text, "__name__=m%u,b=x,i=v%u", i % 3, i);
        uint32_t ref = ix_add(t, text);
        /* The id is good at once, without a lock. */
        uint32_t n;
        const uint32_t *pairs = index_pairs(t->x, ref, &n);
        assert_int_equal(n, 3);
        assert_str(index_pair(t->x, pairs[1]).name, STR("b"));
        assert_true(index_has(t->x, ref));
    }
    return NULL;
}

static void *race_select(void *arg)
{
    struct ix *t = arg;
    struct mem mem;
    struct arena a;
    uint32_t before = 0;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64 << 20);
    for (int i = 0; i < 60; i++) {
        struct matcher m[] = {{MATCH_EQ, STR("b"), STR("x")},
                              {MATCH_RE, STR("i"), STR("v.*[0-9]")},
                              {MATCH_RE, STR("__name__"), STR("m0|m1|m2")}};
        uint32_t *ids;
        uint32_t n;
        struct str *values;
        struct err e;
        assert_true(index_select(t->x, m, 3, NULL, NULL, 0, &a, &ids, &n, &e));
        assert_true(n >= before);
        before = n;
        index_sort(t->x, ids, n);
        for (uint32_t k = 1; k < n; k++) {
            assert_true(index_cmp(t->x, ids[k - 1], ids[k]) < 0);
        }
        assert_true(index_label_values(t->x, STR("i"), m, 1, NULL, NULL, 0, &a, &values, &n, &e));
        assert_true(n >= before);
        arena_reset(&a);
    }
    arena_release(&a);
    return NULL;
}

TEST(index_is_read_while_it_is_written)
{
    struct ix t;
    pthread_t threads[4];
    ix_init(&t, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? race_insert : race_select, &t),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(index_count(t.x), RACE_SERIES);
    ix_release(&t);
}

TEST(index_cap_refuses_and_keeps_what_is_there)
{
    struct ix t;
    struct err e;
    struct rng r;
    ix_init(&t, 0);
    rng_init(&r, test_seed());
    t.mem.bytes_max = 400000;
    uint32_t n = 0;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        char value[16];
        uint32_t ref;
        bool is_new;
        int k = snprintf(value, sizeof value, "%u", i);
        struct label v[] = {{STR("a"), str_of(value, (size_t)k)}, {STR("b"), STR("x")}};
        bool ok = index_series(t.x, 0, (struct labels){v, 2}, &ref, &is_new, &e);
        n += ok;
        refused += !ok;
        assert_true(ok || e.code == ERR_LIMIT);
        assert_int_equal(index_find(t.x, (struct labels){v, 2}), ok ? n : 0);
    }
    assert_true(n > 1000);
    assert_true(refused > 1000);
    assert_int_equal(index_count(t.x), n);
    assert_true(t.mem.bytes_top <= t.mem.bytes_max);
    check_select(&t, (struct matcher[]){{MATCH_EQ, STR("b"), STR("x")}}, 1, false);
    check_names(&t, NULL, 0, false);
    check_sorted(&t);
    ix_release(&t);
}

FAULT_TEST(index_insertion_is_whole_or_not_at_all)
{
    struct index *x;
    struct err e = {0};
    bool ok = true;
    if (!index_new(&w->mem, 0, &x, &e)) {
        assert_int_equal(e.code, ERR_NOMEM);
        return false;
    }
    for (uint32_t i = 0; i < 150; i++) {
        char value[16];
        char name[16];
        uint32_t ref;
        bool is_new;
        int k = snprintf(value, sizeof value, "%u", i);
        int l = snprintf(name, sizeof name, "n%u", i % 7);
        struct label v[] = {{STR("a"), str_of(value, (size_t)k)},
                            {STR("b"), STR("x")},
                            {str_of(name, (size_t)l), STR("y")}};
        struct labels ls = {v, 3};
        uint32_t before = index_count(x);
        bool one = index_series(x, 0, ls, &ref, &is_new, &e);
        ok = ok && one;
        assert_true(one || e.code == ERR_LIMIT);
        assert_int_equal(index_count(x), before + one);
        assert_int_equal(index_find(x, ls), one ? ref : 0);
        assert_true(index_series(x, 0, ls, &ref, &is_new, &e)); /* the fault was one */
        assert_int_equal(is_new, !one);
    }
    uint32_t b = index_pair_find(x, index_name_find(x, STR("b")), STR("x"));
    assert_int_equal(index_pair_at(x, b)->n, 150);
    assert_int_equal(x->pairs_n, 158);
    uint32_t ids[] = {150, 1, 77, 3};
    index_sort(x, ids, 4);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 150);
    uint32_t refs[150];
    for (uint32_t i = 0; i < 150; i++) {
        refs[i] = i + 1;
    }
    index_drop(x, refs, 140);
    assert_int_equal(index_pair_at(x, b)->n, 10);
    index_reuse(x);
    assert_int_equal(index_count(x), 10);
    index_free(x);
    return ok;
}
