#include "base/rng.h"
#include "base/str.h"
#include "base/test.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

TEST(str_compares_like_memcmp_with_prefix_first)
{
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("b"), STR("a")) > 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR("x\0y"), STR("x\0y")), 0);
    assert_int_equal(str_cmp(str_of(NULL, 0), STR("")), 0);
    assert_true(str_eq(str_from_c(NULL), STR("")));
    assert_false(str_eq(STR("x\0y"), STR("x\0z")));
}

TEST(str_ignores_case_of_ascii_only)
{
    assert_true(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("\xC3\xA9"), STR("\xC3\x89")));
}

TEST(str_finds_parts)
{
    assert_true(str_starts(STR("farol"), STR("far")));
    assert_true(str_starts(STR("farol"), STR("")));
    assert_false(str_starts(STR("far"), STR("farol")));
    assert_true(str_ends(STR("farol"), STR("ol")));
    assert_false(str_ends(STR("ol"), STR("farol")));
    assert_true(str_ends(str_of(NULL, 0), str_of(NULL, 0)));
    assert_true(str_contains(STR("farol"), STR("aro")));
    assert_false(str_contains(STR("farol"), STR("arx")));
    assert_true(str_contains(str_of(NULL, 0), STR("")));
}

TEST(str_trims_cuts_and_clamps)
{
    assert_str(str_trim(STR(" \t\r\n a b \n")), STR("a b"));
    assert_str(str_trim(STR(" \n ")), STR(""));
    assert_str(str_sub(STR("farol"), 1, 3), STR("aro"));
    assert_str(str_sub(STR("farol"), 4, 99), STR("l"));
    assert_str(str_sub(STR("farol"), 99, 1), STR(""));
    struct str_cut c = str_cut(STR("a=b=c"), '=');
    assert_true(c.ok);
    assert_str(c.head, STR("a"));
    assert_str(c.tail, STR("b=c"));
    c = str_cut(STR("abc"), '=');
    assert_false(c.ok);
    assert_str(c.head, STR("abc"));
    assert_int_equal(c.tail.n, 0);
    assert_false(str_cut(str_of(NULL, 0), '=').ok);
    c = str_cut(STR("="), '=');
    assert_true(c.ok && c.head.n == 0 && c.tail.n == 0);
}

TEST(str_to_u64_takes_the_whole_range_and_nothing_else)
{
    uint64_t v = 7;
    assert_true(str_to_u64(STR("0"), &v) && v == 0);
    assert_true(str_to_u64(STR("007"), &v) && v == 7);
    assert_true(str_to_u64(STR("18446744073709551615"), &v) && v == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "1e3"};
    v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_u64(str_from_c(bad[i]), &v));
        assert_true(v == 7);
    }
}

TEST(str_to_i64_takes_the_whole_range_and_nothing_else)
{
    int64_t v = 7;
    assert_true(str_to_i64(STR("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_true(str_to_i64(STR("9223372036854775807"), &v) && v == INT64_MAX);
    assert_true(str_to_i64(STR("-0"), &v) && v == 0);
    static const char *const bad[] = {
        "", "-", "--1", "+1", "9223372036854775808", "-9223372036854775809"};
    v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_i64(str_from_c(bad[i]), &v));
        assert_true(v == 7);
    }
}

TEST(str_to_f64_accepts_numbers)
{
    static const struct {
        const char *text;
        double v;
    } rows[] = {
        {"0", 0},
        {"1", 1},
        {"-1.5", -1.5},
        {".5", .5},
        {"5.", 5},
        {"1e3", 1000},
        {"1E+3", 1000},
        {"25e-1", 2.5},
        {"0.1", 0.1},
        {"123456789012345678901234567890", 123456789012345678901234567890.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"5e-324", 5e-324},
        {"1e-400", 0},
        {"9007199254740993", 9007199254740993.0},
        {"0.000000000000000000000000000000000000000000000000000000001", 1e-57},
        {"12345678901234567890.5", 12345678901234567890.5},
        {"0e999999999999999999", 0},
        {"8.98846567431158e307", 8.98846567431158e307},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double v = -7;
        assert_true(str_to_f64(str_from_c(rows[i].text), &v));
        assert_true(v == rows[i].v);
    }
    double v = 1;
    assert_true(str_to_f64(STR("-0"), &v));
    assert_true(v == 0 && signbit(v));
}

TEST(str_to_f64_refuses_the_rest)
{
    static const char *const bad[] = {
        "",      "-",   "+1", " 1", "1 ", "inf",  "-inf", "nan",   "Infinity",        "0x1p3",
        "1e",    "1e+", "e5", ".",  "-.", "1..2", "1,5",  "1e309", "-1e999999999999", "1_000",
        "1e5.5", "--1"};
    double v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_f64(str_from_c(bad[i]), &v));
        assert_true(v == 7);
    }
    char long_text[66];
    memset(long_text, '1', sizeof long_text);
    assert_true(str_to_f64(str_of(long_text, 64), &v));
    assert_false(str_to_f64(str_of(long_text, 65), &v));
    assert_false(str_to_f64(str_of("1\0", 2), &v));
}

TEST(str_to_f64_agrees_with_the_library)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        char text[64];
        uint64_t digits = rng_u64(&r) >> rng_below(&r, 64);
        int exp10 = (int)rng_below(&r, 60) - 30;
        int n =
            snprintf(text, sizeof text, "%s%llu.%06llue%d", rng_below(&r, 2) ? "-" : "",
                     (unsigned long long)digits, (unsigned long long)rng_below(&r, 1000000), exp10);
        double v = 0;
        assert_true(str_to_f64(str_of(text, n), &v));
        assert_true(v == strtod(text, NULL));
    }
}

TEST(str_to_f64_does_not_follow_the_locale)
{
    /* Not every machine has it; the "C" locale then stays and the test still holds. */
    const char *set = setlocale(LC_NUMERIC, "pt_BR.UTF-8");
    double v = 0;
    assert_true(str_to_f64(STR("1.5"), &v) && v == 1.5);
    assert_true(str_to_f64(STR("1.2345678901234567890123"), &v) && v == 1.2345678901234567890123);
    assert_false(str_to_f64(STR("1,5"), &v));
    (void)set;
    setlocale(LC_NUMERIC, "C");
}

TEST(str_to_duration_reads_prometheus_syntax)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"10s", 10000},
        {"5m", 300000},
        {"1h30m", 5400000},
        {"250ms", 250},
        {"90d", 7776000000},
        {"1w", 604800000},
        {"1y", 31536000000},
        {"1y2w3d4h5m6s7ms", 31536000000 + 1209600000 + 259200000 + 14400000 + 300000 + 6000 + 7},
        {"292471208y", 292471208LL * 31536000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = -1;
        assert_true(str_to_duration_ms(str_from_c(rows[i].text), &v));
        assert_true(v == rows[i].ms);
    }
    static const char *const bad[] = {"",    "s",    "10",   "00",         "1.5h",
                                      "-1s", "1s1m", "1s1s", "1 s",        "1h 30m",
                                      "1x",  "1mss", "1S",   "292471209y", "99999999999999999999s",
                                      "1m1"};
    int64_t v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_duration_ms(str_from_c(bad[i]), &v));
        assert_true(v == 7);
    }
}

TEST(str_to_bytes_reads_binary_units)
{
    uint64_t v = 0;
    assert_true(str_to_bytes(STR("1000"), &v) && v == 1000);
    assert_true(str_to_bytes(STR("7B"), &v) && v == 7);
    assert_true(str_to_bytes(STR("512KiB"), &v) && v == 512U << 10);
    assert_true(str_to_bytes(STR("64MiB"), &v) && v == 64U << 20);
    assert_true(str_to_bytes(STR("2GiB"), &v) && v == 2ULL << 30);
    assert_true(str_to_bytes(STR("3TiB"), &v) && v == 3ULL << 40);
    assert_true(str_to_bytes(STR("16383PiB"), &v) && v == 16383ULL << 50);
    static const char *const bad[] = {"",   "KiB",    "1KB",      "1kib", "1 KiB",
                                      "-1", "1.5GiB", "16384PiB", "1KiBx"};
    v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(str_to_bytes(str_from_c(bad[i]), &v));
        assert_true(v == 7);
    }
}

/* All sequences of up to 4 bytes are too many; all of 2, and all 3rd/4th bytes at the edges, are
 * not. */
TEST(str_is_utf8_knows_the_table_of_rfc_3629)
{
    static const struct {
        const char *text;
        size_t n;
        bool ok;
    } rows[] = {
        {"", 0, true},
        {"ascii ascii ascii", 17, true},
        {"a\0b", 3, true},
        {"\xC2\x80", 2, true},
        {"\xDF\xBF", 2, true},
        {"\xE0\xA0\x80", 3, true},
        {"\xED\x9F\xBF", 3, true},
        {"\xEE\x80\x80", 3, true},
        {"\xEF\xBF\xBF", 3, true},
        {"\xF0\x90\x80\x80", 4, true},
        {"\xF4\x8F\xBF\xBF", 4, true},
        {"12345678\xC3\xA9", 10, true},
        {"\x80", 1, false},
        {"\xC0\x80", 2, false},
        {"\xC1\xBF", 2, false},
        {"\xC2", 1, false},
        {"\xC2\x41", 2, false},
        {"\xE0\x9F\xBF", 3, false},
        {"\xED\xA0\x80", 3, false},
        {"\xE2\x82", 2, false},
        {"\xE2\x82\x41", 3, false},
        {"\xF0\x8F\xBF\xBF", 4, false},
        {"\xF4\x90\x80\x80", 4, false},
        {"\xF5\x80\x80\x80", 4, false},
        {"\xF0\x90\x80", 3, false},
        {"\xFF", 1, false},
        {"12345678\xFF", 9, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(str_is_utf8(str_of(rows[i].text, rows[i].n)), rows[i].ok);
    }
    size_t accepted = 0;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char two[2] = {(char)a, (char)b};
            accepted += str_is_utf8(str_of(two, 2));
        }
    }
    assert_int_equal(accepted, 128 * 128 + 30 * 64);
}

TEST(str_distance_counts_edits)
{
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
    assert_int_equal(str_distance(STR("abc"), STR("")), 3);
    assert_int_equal(str_distance(STR("abc"), STR("abc")), 0);
    assert_int_equal(str_distance(STR("flaw"), STR("lawn")), 2);
    assert_int_equal(str_distance(STR("0123456789abcdefX"), STR("0123456789abcdefY")), 0);
}
