#include "base/intern.h"
#include "base/test.h"

#include <stdio.h>

TEST(intern_numbers_in_order_of_first_sight)
{
    struct mem m;
    mem_init(&m, 0);
    struct intern t;
    intern_init(&t, &m, 10000);
    assert_int_equal(intern_find(&t, STR("a")), INTERN_FULL);
    assert_int_equal(intern_add(&t, STR("a")), 0);
    assert_int_equal(intern_add(&t, STR("")), 1);
    assert_int_equal(intern_add(&t, STR("x\0y")), 2);
    assert_int_equal(intern_add(&t, STR("a")), 0);
    assert_int_equal(intern_add(&t, str_of(NULL, 0)), 1);
    assert_int_equal(intern_find(&t, STR("x\0y")), 2);
    assert_int_equal(intern_find(&t, STR("x\0z")), INTERN_FULL);
    char text[32];
    for (uint32_t i = 3; i < 5000; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "label-%u", i);
        assert_int_equal(intern_add(&t, str_of(text, n)), i);
    }
    for (uint32_t i = 3; i < 5000; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "label-%u", i);
        assert_int_equal(intern_find(&t, str_of(text, n)), i);
        assert_str(intern_str(&t, i), str_of(text, n));
    }
    assert_int_equal(t.count, 5000);
    assert_true(t.slots_cap >= 2 * t.count);
    intern_release(&t);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(t.count, 0);
    assert_int_equal(intern_add(&t, STR("again")), 0);
    intern_release(&t);
    assert_int_equal(m.bytes, 0);
}

TEST(intern_is_full_at_its_cap_but_still_finds)
{
    struct mem m;
    mem_init(&m, 0);
    struct intern t;
    intern_init(&t, &m, 2);
    assert_int_equal(intern_add(&t, STR("a")), 0);
    assert_int_equal(intern_add(&t, STR("b")), 1);
    assert_int_equal(intern_add(&t, STR("c")), INTERN_FULL);
    assert_int_equal(intern_add(&t, STR("b")), 1);
    assert_int_equal(t.count, 2);
    intern_release(&t);
    intern_init(&t, &m, 0);
    assert_int_equal(intern_add(&t, STR("a")), INTERN_FULL);
    intern_release(&t);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(intern_keeps_what_it_has_when_memory_fails)
{
    struct intern t;
    intern_init(&t, &w->mem, 1000);
    bool ok = true;
    for (uint32_t i = 0; i < 40; i++) {
        char text[16];
        size_t n = (size_t)snprintf(text, sizeof text, "s%u", i);
        uint32_t before = t.count;
        uint32_t id = intern_add(&t, str_of(text, n));
        if (id == INTERN_FULL) {
            ok = false;
            assert_int_equal(t.count, before);
            assert_int_equal(intern_find(&t, str_of(text, n)), INTERN_FULL);
        } else {
            assert_int_equal(id, before);
            assert_str(intern_str(&t, id), str_of(text, n));
        }
    }
    intern_release(&t);
    return ok;
}
