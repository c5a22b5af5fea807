/* The names cache: what is expected, what is found, what becomes stale. */
#include "ingest/scrape/loop_int.h"

#include "base/test.h"

#include <stdio.h>

/* Plays one page, names separated by blanks, each getting the ref that its first digits say; the
 * result is "hits/finds/adds stale:refs". */
static bool play(struct cache *c, const char *names, bool ok, struct buf *out)
{
    struct str rest = str_from_c(names);
    unsigned hits = 0;
    unsigned finds = 0;
    unsigned adds = 0;
    struct buf stale;
    bool whole = true;
    buf_init(&stale, out->mem, 1 << 16);
    cache_begin(c);
    while (rest.n > 0 && whole) {
        struct str_cut cut = str_cut(rest, ' ');
        uint64_t ref = 0;
        uint32_t at = UINT32_MAX;
        (void)!str_to_u64(str_cut(cut.head, '.').head, &ref);
        if (str_eq(cache_expect(c), cut.head)) {
            at = cache_take_expected(c);
            hits++;
        } else if ((at = cache_find(c, cut.head)) != UINT32_MAX) {
            finds++;
        } else {
            at = cache_add(c, cut.head, (uint32_t)ref);
            adds++;
        }
        whole = at != UINT32_MAX && c->v[at].ref == ref && cache_note(c, at, true);
        rest = cut.tail;
    }
    whole = cache_end(c, ok && whole, &stale) && whole;
    buf_fmt(out, "%u/%u/%u stale:", hits, finds, adds);
    for (size_t i = 0; i < stale.n; i += 4) {
        buf_fmt(out, " %u", get_u32le(stale.p + i));
    }
    buf_release(&stale);
    return whole && !out->failed;
}

struct turn {
    const char *names;
    bool ok;
    const char *want;
};

static void check(const struct turn *turns, size_t count)
{
    struct mem m;
    struct cache c;
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, 1 << 16);
    cache_init(&c, &m);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&out);
        assert_true(play(&c, turns[i].names, turns[i].ok, &out));
        assert_str(buf_str(&out), str_from_c(turns[i].want));
    }
    cache_release(&c);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

TEST(the_same_page_is_expected)
{
    static const struct turn turns[] = {
        {"1 2 3", true, "0/0/3 stale:"},
        {"1 2 3", true, "3/0/0 stale:"},
        {"1 4 2 3", true, "3/0/1 stale:"}, /* what is new does not disturb the rest */
        {"1 4 2 3", true, "4/0/0 stale:"},
        {"3 1 4 2", true, "2/2/0 stale:"}, /* 3 and 1 are found; behind each the order goes on */
        {"3 4 2", true, "2/1/0 stale: 1"},
    };
    check(turns, ARRAY_LEN(turns));
}

/* While a page is the same nothing is noted one by one; what comes after must not see that. */
TEST(a_page_that_differs_late_is_noted_from_its_beginning)
{
    static const struct turn turns[] = {
        {"1 2 3 4", true, "0/0/4 stale:"},
        {"1 2 3 4", true, "4/0/0 stale:"},
        {"1 2 3 4", true, "4/0/0 stale:"},
        {"1 2 3", true, "3/0/0 stale: 4"}, /* it ends early */
        {"1 2 3 4", true, "3/1/0 stale:"},
        {"1 2 4 3", true, "2/2/0 stale:"},
        {"1 2 4 3", true, "4/0/0 stale:"},
        {"1 2 9 4 3", false, "4/0/1 stale: 1 2 3 4"}, /* what differs fails */
        {"1 2", true, "0/2/0 stale:"},
        {"1 2", false, "2/0/0 stale: 1 2"}, /* what is the same fails */
        {"1 2", true, "0/2/0 stale:"},
        {"2 1", true, "0/2/0 stale:"},
    };
    check(turns, ARRAY_LEN(turns));
}

TEST(a_name_that_comes_twice_is_known_as_seen)
{
    struct mem m;
    struct cache c;
    struct buf stale;
    mem_init(&m, 0);
    cache_init(&c, &m);
    buf_init(&stale, &m, 4096);
    for (int turn = 0; turn < 3; turn++) { /* the third is after one that was the same */
        cache_begin(&c);
        for (uint32_t i = 0; i < 2; i++) {
            struct str name = i ? STR("b") : STR("a");
            bool expected = str_eq(cache_expect(&c), name);
            assert_int_equal(expected, turn > 0);
            uint32_t at = expected ? cache_take_expected(&c) : cache_add(&c, name, i + 1);
            assert_true(c.v[at].seen != c.scrape);
            assert_true(cache_note(&c, at, true));
        }
        if (turn == 2) {
            uint32_t a = cache_find(&c, STR("a"));
            assert_true(a != UINT32_MAX && c.v[a].seen == c.scrape);
        }
        assert_true(cache_end(&c, true, &stale));
        assert_int_equal(stale.n, 0);
    }
    buf_release(&stale);
    cache_release(&c);
    assert_int_equal(m.bytes, 0);
}

TEST(what_vanishes_is_stale_once)
{
    static const struct turn turns[] = {
        {"1 2 3", true, "0/0/3 stale:"},
        {"1 3", true, "1/1/0 stale: 2"},
        {"1 3", true, "2/0/0 stale:"},
        {"1 9", false, "1/0/1 stale: 1 3"}, /* a page that failed counts for nothing */
        {"", false, "0/0/0 stale:"},
        {"1 9", true, "0/2/0 stale:"},
        {"", true, "0/0/0 stale: 1 9"},
    };
    check(turns, ARRAY_LEN(turns));
}

TEST(two_names_of_one_series_are_one)
{
    static const struct turn turns[] = {
        {"1.a 1.b 2", true, "0/0/3 stale:"}, {"1.b 2", true, "1/1/0 stale:"}, /* 1 is still given */
        {"1.c 2", true, "0/1/1 stale:"},     {"1.a 1.b 1.c", true, "1/2/0 stale: 2"},
        {"", true, "0/0/0 stale: 1"},
    };
    check(turns, ARRAY_LEN(turns));
}

TEST(a_forgotten_cache_still_knows_what_becomes_stale)
{
    struct mem m;
    struct cache c;
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, 1 << 16);
    cache_init(&c, &m);
    assert_true(play(&c, "1.a 2.a 3.a", true, &out));
    cache_forget(&c);
    buf_reset(&out);
    assert_true(play(&c, "1.a 3.z", true, &out));
    assert_str(buf_str(&out), STR("0/0/2 stale: 2"));
    buf_reset(&out);
    assert_true(play(&c, "1.a 3.z", true, &out));
    assert_str(buf_str(&out), STR("2/0/0 stale:"));
    cache_release(&c);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

/* Names that change with every page do not make the cache grow. */
TEST(churn_is_forgotten)
{
    struct mem m;
    struct cache c;
    struct buf out;
    char names[4096];
    size_t top = 0;
    mem_init(&m, 0);
    buf_init(&out, &m, 1 << 20);
    cache_init(&c, &m);
    for (unsigned turn = 0; turn < 200; turn++) {
        size_t n = 0;
        for (unsigned i = 0; i < 100; i++) {
            int put = snprintf(names + n, sizeof names - n, "%s%u.%u", i ? " " : "", i + 1,
                               i < 50 ? 0 : turn);
            n += (size_t)put;
        }
        buf_reset(&out);
        assert_true(play(&c, names, true, &out));
        assert_true(str_ends(buf_str(&out), STR("stale:")));
        top = size_max(top, cache_bytes(&c));
        assert_true(c.n <= 100 * 2 + 1000 + 100);
    }
    assert_true(top < 256 << 10);
    cache_release(&c);
    buf_release(&out);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(a_cache_survives_a_lack_of_memory)
{
    struct cache c;
    struct buf out;
    bool ok = true;
    cache_init(&c, &w->mem);
    buf_init(&out, &w->mem, 1 << 16);
    for (unsigned turn = 0; turn < 3; turn++) {
        ok = play(&c, turn == 1 ? "2 1 5" : "1 2 3 4", true, &out) && ok;
    }
    cache_release(&c);
    buf_release(&out);
    return ok;
}
