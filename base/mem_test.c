#include "base/mem.h"
#include "base/rng.h"
#include "base/test.h"

#include <stdio.h>

TEST(mem_counts_exactly_and_zeroes)
{
    struct mem m;
    mem_init(&m, 0);
    unsigned char *p = mem_take(&m, 100);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    assert_int_equal(m.bytes, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    memset(p, 0xEE, 100);
    p = mem_grow(&m, p, 100, 300);
    assert_non_null(p);
    assert_int_equal(m.bytes, 300);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(p[i], i < 100 ? 0xEE : 0);
    }
    p = mem_grow(&m, p, 300, 10);
    assert_int_equal(m.bytes, 10);
    assert_int_equal(p[9], 0xEE);
    mem_give(&m, p, 10);
    mem_give(&m, NULL, 77);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(m.bytes_top, 300);
    void *empty = mem_take(&m, 0);
    assert_non_null(empty);
    mem_give(&m, empty, 0);
}

TEST(mem_stops_at_the_cap)
{
    struct mem m;
    mem_init(&m, 1000);
    void *p = mem_take(&m, 600);
    assert_non_null(p);
    assert_null(mem_take(&m, 401));
    assert_null(mem_take(&m, SIZE_MAX));
    assert_null(mem_grow(&m, p, 600, 1001));
    assert_int_equal(m.bytes, 600);
    void *q = mem_take(&m, 400);
    assert_non_null(q);
    assert_int_equal(m.bytes_top, 1000);
    mem_give(&m, p, 600);
    mem_give(&m, q, 400);
    mem_init(&m, 0);
    assert_null(mem_take(&m, SIZE_MAX / 2));
}

TEST(mem_array_grows_by_doubling_up_to_its_max)
{
    struct mem m;
    mem_init(&m, 0);
    void *p = NULL;
    size_t cap = 0;
    assert_true(mem_array_grow(&m, &p, &cap, 1, 100, 8));
    assert_int_equal(cap, 8);
    ((uint64_t *)p)[7] = 77;
    assert_true(mem_array_grow(&m, &p, &cap, 9, 100, 8));
    assert_int_equal(cap, 16);
    assert_int_equal(((uint64_t *)p)[7], 77);
    assert_int_equal(((uint64_t *)p)[15], 0);
    assert_true(mem_array_grow(&m, &p, &cap, 99, 100, 8));
    assert_int_equal(cap, 99);
    assert_true(mem_array_grow(&m, &p, &cap, 100, 100, 8));
    assert_int_equal(cap, 100);
    assert_false(mem_array_grow(&m, &p, &cap, 101, 100, 8));
    assert_false(mem_array_grow(&m, &p, &cap, SIZE_MAX / 4, SIZE_MAX, 8));
    assert_int_equal(cap, 100);
    assert_int_equal(m.bytes, 800);
    mem_give(&m, p, cap * 8);
    assert_int_equal(m.bytes, 0);
}

TEST(arena_gives_zeroed_aligned_separate_memory)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 64U << 20);
    struct rng r;
    rng_init(&r, test_seed());
    struct {
        unsigned char *p;
        size_t n;
        unsigned char fill;
    } parts[400];
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            size_t align = (size_t)1 << rng_below(&r, 8);
            size_t n = rng_below(&r, 20) == 0 ? rng_below(&r, 40000) : rng_below(&r, 200);
            unsigned char *p = arena_take(&a, n, align);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            for (size_t j = 0; j < n; j++) {
                assert_int_equal(p[j], 0);
            }
            parts[i].p = p;
            parts[i].n = n;
            parts[i].fill = (unsigned char)(1 + i % 255);
            memset(p, parts[i].fill, n);
        }
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            for (size_t j = 0; j < parts[i].n; j++) {
                assert_int_equal(parts[i].p[j], parts[i].fill);
            }
        }
        arena_reset(&a);
        assert_int_equal(a.bytes, 0);
        assert_true(m.bytes <= 64U << 10);
    }
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
    arena_release(&a);
}

TEST(arena_stops_at_its_cap_and_lives_on)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 1000);
    assert_non_null(arena_take(&a, 900, 1));
    assert_null(arena_take(&a, 101, 1));
    assert_int_equal(a.bytes, 900);
    assert_non_null(arena_take(&a, 100, 1));
    assert_null(arena_take(&a, 1, 1));
    assert_null(ARENA_ARRAY(&a, uint64_t, SIZE_MAX / 4));
    assert_null(arena_cstr(&a, STR("x")));
    struct str none = arena_str(&a, STR("x"));
    assert_null(none.p);
    assert_int_equal(none.n, 0);
    arena_reset(&a);
    assert_non_null(arena_take(&a, 1000, 1));
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

TEST(arena_puts_big_requests_behind_the_current_chunk)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 64U << 20);
    char *first = arena_take(&a, 10, 1);
    char *big = arena_take(&a, 3U << 20, 16);
    char *second = arena_take(&a, 10, 1);
    assert_non_null(big);
    big[(3U << 20) - 1] = 'x';
    assert_ptr_equal(second, first + 10);
    arena_reset(&a);
    assert_int_equal(m.bytes, 4096);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

TEST(arena_copies_strings)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 1000);
    struct str s = arena_str(&a, STR("x\0y"));
    assert_str(s, STR("x\0y"));
    assert_string_equal(arena_cstr(&a, STR("abc")), "abc");
    assert_string_equal(arena_cstr(&a, str_of(NULL, 0)), "");
    struct str empty = arena_str(&a, str_of(NULL, 0));
    assert_int_equal(empty.n, 0);
    assert_non_null(empty.p);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(arena_and_arrays_survive_failed_allocations)
{
    struct arena a;
    arena_init(&a, &w->mem, 1U << 20);
    bool ok = true;
    for (int i = 0; i < 200; i++) {
        uint64_t *p = ARENA_ARRAY(&a, uint64_t, 100);
        ok = ok && p != NULL;
    }
    void *array = NULL;
    size_t cap = 0;
    for (size_t i = 1; i < 100; i++) {
        ok = mem_array_grow(&w->mem, &array, &cap, i, 1000, 4) && ok;
    }
    mem_give(&w->mem, array, cap * 4);
    arena_release(&a);
    return ok;
}

/* Pages of files in memory, in pages; /proc/self/statm, third number. */
static long file_pages(void)
{
    long all = 0, resident = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld %ld", &all, &resident, &shared), 3);
    assert_int_equal(fclose(f), 0);
    return shared;
}

TEST(mem_code_cool_gives_back_pages_and_breaks_nothing)
{
    static const char text[] = "constants are where they were";
    const long before = file_pages();
    mem_code_cool();
    const long after = file_pages();
    assert_true(after < before);
    assert_string_equal(text, "constants are where they were");
    struct mem m;
    mem_init(&m, 0);
    char *p = mem_take(&m, 100);
    assert_non_null(p);
    snprintf(p, 100, "%d %.3f", 42, 0.125);
    assert_string_equal(p, "42 0.125");
    mem_give(&m, p, 100);
    assert_int_equal(m.bytes, 0);
}
