#include "codec/labels.h"

#include "base/rng.h"
#include "base/test.h"

#include <stdlib.h>

static struct label lab(const char *name, const char *value)
{
    return (struct label){str_from_c(name), str_from_c(value)};
}

TEST(labels_normalize_sorts_and_drops_empty_values)
{
    struct label v[] = {lab("job", "x"), lab("empty", ""), lab("__name__", "up"), lab("a", "1")};
    uint32_t n = 4;
    struct err e = {0};
    assert_true(labels_normalize(v, &n, &e));
    assert_int_equal(n, 3);
    assert_str(v[0].name, STR("__name__"));
    assert_str(v[1].name, STR("a"));
    assert_str(v[2].name, STR("job"));
    assert_str(v[2].value, STR("x"));
}

static enum err_code normalize_code(struct label *v, uint32_t n)
{
    struct err e = {0};
    return labels_normalize(v, &n, &e) ? ERR_NONE : e.code;
}

TEST(labels_normalize_refuses_what_is_no_label_set)
{
    struct label twice[] = {lab("a", "1"), lab("b", "2"), lab("a", "")};
    assert_int_equal(normalize_code(twice, 3), ERR_INPUT);
    struct label unnamed[] = {lab("", "1")};
    assert_int_equal(normalize_code(unnamed, 1), ERR_INPUT);
    struct label bad_name[] = {lab("a\xff", "1")};
    assert_int_equal(normalize_code(bad_name, 1), ERR_INPUT);
    struct label bad_value[] = {lab("a", "\xed\xa0\x80")};
    assert_int_equal(normalize_code(bad_value, 1), ERR_INPUT);
    static char big[LABEL_BYTES_MAX + 1];
    memset(big, 'x', sizeof big);
    struct label huge[] = {{STR("a"), str_of(big, sizeof big)}};
    assert_int_equal(normalize_code(huge, 1), ERR_LIMIT);
    struct label fits[] = {{STR("a"), str_of(big, LABEL_BYTES_MAX)}};
    assert_int_equal(normalize_code(fits, 1), ERR_NONE);
    static struct label many[LABELS_COUNT_MAX + 1];
    assert_int_equal(normalize_code(many, LABELS_COUNT_MAX + 1), ERR_LIMIT);
}

TEST(labels_get_finds_values)
{
    struct label v[] = {lab("__name__", "up"), lab("job", "x")};
    struct labels l = {v, 2};
    assert_str(labels_get(l, STR("job")), STR("x"));
    assert_null(labels_get(l, STR("jo")).p);
}

TEST(labels_cmp_is_the_order_of_prometheus)
{
    struct label a[] = {lab("a", "1"), lab("b", "1")};
    struct label b[] = {lab("a", "1"), lab("b", "2")};
    struct label c[] = {lab("a", "1"), lab("c", "0")};
    struct label d[] = {lab("a", "10")};
    assert_true(labels_cmp((struct labels){a, 2}, (struct labels){b, 2}) < 0);
    assert_true(labels_cmp((struct labels){b, 2}, (struct labels){c, 2}) < 0);
    assert_true(labels_cmp((struct labels){a, 1}, (struct labels){a, 2}) < 0);
    assert_true(labels_cmp((struct labels){a, 2}, (struct labels){d, 1}) < 0);
    assert_int_equal(labels_cmp((struct labels){a, 2}, (struct labels){a, 2}), 0);
    assert_true(labels_eq((struct labels){a, 2}, (struct labels){a, 2}));
    assert_false(labels_eq((struct labels){a, 2}, (struct labels){b, 2}));
    assert_false(labels_eq((struct labels){a, 1}, (struct labels){a, 2}));
}

TEST(labels_hash_tells_where_texts_end)
{
    struct label a[] = {lab("ab", "c")};
    struct label b[] = {lab("a", "bc")};
    struct label c[] = {lab("a", "b"), lab("c", "d")};
    struct label d[] = {lab("a", "bc"), lab("c", "d")};
    struct labels all[] = {{a, 1}, {b, 1}, {c, 2}, {d, 2}, {c, 1}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t j = 0; j < ARRAY_LEN(all); j++) {
            assert_int_equal(labels_hash(all[i]) == labels_hash(all[j]), i == j);
        }
    }
}

static struct str printed(struct labels l, struct buf *out)
{
    buf_reset(out);
    labels_print(l, out);
    return buf_str(out);
}

TEST(labels_print_quotes_as_go_does)
{
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 1 << 16);
    struct label v[] = {
        lab("__name__", "up"), lab("a.b", "x"), lab("job", "a\"b\\c\nd\te\x01\x7f"),
        lab("u", "caf\xc3\xa9 \xc2\xa0\xe2\x80\x8b\xf0\x9f\x98\x80\xf3\xa0\x80\x81")};
    assert_str(printed((struct labels){v, 0}, &out), STR("{}"));
    assert_str(printed((struct labels){v, 3}, &out),
               STR("{__name__=\"up\", \"a.b\"=\"x\", job=\"a\\\"b\\\\c\\nd\\te\\x01\\x7f\"}"));
    assert_str(printed((struct labels){v + 3, 1}, &out),
               STR("{u=\"caf\xc3\xa9 \\u00a0\\u200b\xf0\x9f\x98\x80\\U000e0001\"}"));
    buf_release(&out);
    assert_int_equal(mem.bytes, 0);
}

TEST(label_legacy_names)
{
    assert_true(label_is_legacy_metric(STR("a:b_c9")));
    assert_false(label_is_legacy_name(STR("a:b")));
    assert_true(label_is_legacy_name(STR("_a9")));
    assert_false(label_is_legacy_name(STR("9a")));
    assert_false(label_is_legacy_name(STR("")));
    assert_false(label_is_legacy_metric(STR("a.b")));
}

TEST(labels_normalize_of_any_permutation_is_the_same)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int round = 0; round < 200; round++) {
        struct label v[40];
        char names[40][4];
        uint32_t n = (uint32_t)rng_below(&r, 40);
        for (uint32_t i = 0; i < n; i++) {
            memcpy(names[i], (char[]){(char)('a' + i / 26), (char)('a' + i % 26), 0}, 3);
            v[i] = (struct label){str_of(names[i], 2), str_of("v", i % 3 == 0 ? 0 : 1)};
        }
        for (uint32_t i = n; i > 1; i--) {
            uint32_t j = (uint32_t)rng_below(&r, i);
            struct label t = v[i - 1];
            v[i - 1] = v[j];
            v[j] = t;
        }
        uint32_t kept = n;
        struct err e;
        assert_true(labels_normalize(v, &kept, &e));
        assert_int_equal(kept, n - (n + 2) / 3);
        for (uint32_t i = 1; i < kept; i++) {
            assert_true(str_cmp(v[i - 1].name, v[i].name) < 0);
        }
    }
}

FAULT_TEST(labels_copy_owns_its_bytes_or_fails)
{
    char text[] = "jobx";
    struct label v[] = {{str_of(text, 3), str_of(text + 3, 1)}, {STR("k"), STR("")}};
    struct arena a;
    struct labels out;
    struct err e = {0};
    arena_init(&a, &w->mem, 1 << 16);
    bool ok = labels_copy((struct labels){v, 2}, &a, &out, &e);
    if (ok) {
        memset(text, '-', 4);
        assert_int_equal(out.n, 2);
        assert_str(out.v[0].name, STR("job"));
        assert_str(out.v[0].value, STR("x"));
        assert_int_equal(out.v[1].value.n, 0);
    } else {
        assert_int_equal(e.code, ERR_LIMIT);
    }
    arena_release(&a);
    return ok;
}
