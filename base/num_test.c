/* Tests of base/num.c: what people read, in both languages. */
#include "base/num.h"

#include "base/test.h"

#include <math.h>

struct world {
    struct mem mem;
    struct buf out;
};

static void check(struct world *w, const char *expected)
{
    assert_false(w->out.failed);
    assert_str(buf_str(&w->out), str_from_c(expected));
    buf_reset(&w->out);
}

/* One call, its text, in Portuguese and in English. */
#define BOTH(call, pt, en)        \
    do {                          \
        enum lang lang = LANG_PT; \
        call;                     \
        check(&w, pt);            \
        lang = LANG_EN;           \
        call;                     \
        check(&w, en);            \
    } while (0)

static struct world world_new(void)
{
    struct world w;
    memset(&w, 0, sizeof w);
    return w;
}

#define WORLD()                     \
    struct world w = world_new();   \
    mem_init(&w.mem, 0);            \
    buf_init(&w.out, &w.mem, 4096); \
    struct buf *out = &w.out
#define WORLD_END()      \
    buf_release(&w.out); \
    assert_int_equal(w.mem.bytes, 0)

TEST(num_groups_thousands)
{
    WORLD();
    BOTH(num_u64(out, lang, 0), "0", "0");
    BOTH(num_u64(out, lang, 999), "999", "999");
    BOTH(num_u64(out, lang, 1000), "1.000", "1,000");
    BOTH(num_u64(out, lang, 1234567), "1.234.567", "1,234,567");
    BOTH(num_u64(out, lang, UINT64_MAX), "18.446.744.073.709.551.615",
         "18,446,744,073,709,551,615");
    WORLD_END();
}

TEST(num_has_the_decimal_sign_of_the_language)
{
    WORLD();
    BOTH(num_f64(out, lang, 1284.5, 1), "1.284,5", "1,284.5");
    BOTH(num_f64(out, lang, 0.005, 2), "0,01", "0.01");
    BOTH(num_f64(out, lang, -0.004, 2), "0,00", "0.00");
    BOTH(num_f64(out, lang, 999.96, 1), "1.000,0", "1,000.0");
    BOTH(num_f64(out, lang, 12.3456789, 6), "12,345679", "12.345679");
    BOTH(num_f64(out, lang, (double)NAN, 1), "-", "-");
    BOTH(num_f64(out, lang, (double)INFINITY, 1), "-", "-");
    BOTH(num_f64(out, lang, 1e15, 0), "1000000000000000", "1000000000000000");
    WORLD_END();
}

TEST(num_short_keeps_about_three_digits)
{
    WORLD();
    BOTH(num_short(out, lang, 0), "0", "0");
    BOTH(num_short(out, lang, 0.424), "0,42", "0.42");
    BOTH(num_short(out, lang, 7.51), "7,5", "7.5");
    BOTH(num_short(out, lang, 998.4), "998", "998");
    BOTH(num_short(out, lang, 84.34), "84,3", "84.3");
    BOTH(num_short(out, lang, 7), "7", "7");
    BOTH(num_short(out, lang, 552), "552", "552");
    BOTH(num_short(out, lang, 1284.4), "1.284", "1,284");
    BOTH(num_short(out, lang, 12345), "12,3 mil", "12.3k");
    BOTH(num_short(out, lang, 999960), "1,0 mi", "1.0M");
    BOTH(num_short(out, lang, 4.1e9), "4,1 bi", "4.1B");
    BOTH(num_short(out, lang, (double)NAN), "-", "-");
    WORLD_END();
}

TEST(num_writes_money_shares_and_times)
{
    WORLD();
    BOTH(num_brl(out, lang, 512.3), "R$ 512,30", "R$512.30");
    BOTH(num_brl(out, lang, 9999.99), "R$ 9.999,99", "R$9,999.99");
    BOTH(num_brl(out, lang, 61400), "R$ 61,4 mil", "R$61.4k");
    BOTH(num_brl(out, lang, 1234567), "R$ 1,2 mi", "R$1.2M");
    BOTH(num_brl(out, lang, -5), "-R$ 5,00", "-R$5.00");
    BOTH(num_brl(out, lang, (double)NAN), "-", "-");
    BOTH(num_centavos(out, lang, 16314538), "R$ 163.145,38", "R$163,145.38");
    BOTH(num_centavos(out, lang, 7), "R$ 0,07", "R$0.07");
    BOTH(num_centavos(out, lang, -120050), "-R$ 1.200,50", "-R$1,200.50");
    BOTH(num_centavos(out, lang, INT64_MIN), "-R$ 92.233.720.368.547.758,08",
         "-R$92,233,720,368,547,758.08");
    BOTH(num_percent(out, lang, 0.8432, 1), "84,3%", "84.3%");
    BOTH(num_percent(out, lang, 0.05, 0), "5%", "5%");
    BOTH(num_percent(out, lang, 12.5, 1), "1.250,0%", "1,250.0%");
    BOTH(num_percent(out, lang, (double)NAN, 1), "-", "-");
    BOTH(num_ms(out, lang, 0.424), "0,42 ms", "0.42 ms");
    BOTH(num_ms(out, lang, 8.44), "8,4 ms", "8.4 ms");
    BOTH(num_ms(out, lang, 87.4), "87 ms", "87 ms");
    BOTH(num_ms(out, lang, 999.6), "1,00 s", "1.00 s");
    BOTH(num_ms(out, lang, 61250), "61,3 s", "61.3 s");
    BOTH(num_ms(out, lang, 120000), "120 s", "120 s");
    WORLD_END();
}

TEST(num_span_names_the_two_largest_units)
{
    WORLD();
    enum lang lang = LANG_EN;
    (void)lang;
    num_span(out, 0);
    check(&w, "0 s");
    num_span(out, -5);
    check(&w, "0 s");
    num_span(out, 59);
    check(&w, "59 s");
    num_span(out, 123);
    check(&w, "2 min 3 s");
    num_span(out, 7200);
    check(&w, "2 h");
    num_span(out, 6 * 86400 + 4 * 3600 + 59);
    check(&w, "6 d 4 h");
    WORLD_END();
}

TEST(num_counts_with_the_word_of_the_number)
{
    static const struct num_words batches = {.one = {"lote", "batch"},
                                             .many = {"lotes", "batches"}};
    WORLD();
    BOTH(num_counted(out, lang, 0, &batches), "0 lotes", "0 batches");
    BOTH(num_counted(out, lang, 1, &batches), "1 lote", "1 batch");
    BOTH(num_counted(out, lang, 1001, &batches), "1.001 lotes", "1,001 batches");
    assert_string_equal(num_word(&batches, LANG_PT, 1), "lote");
    assert_string_equal(num_word(&batches, LANG_EN, 2), "batches");
    WORLD_END();
}

/* The longest of each kind fits, and is the same text as in a growing buffer. */
TEST(num_text_holds_the_longest)
{
    assert_string_equal(num_text_u64(LANG_PT, UINT64_MAX).text, "18.446.744.073.709.551.615");
    assert_string_equal(num_text_u64(LANG_EN, 0).text, "0");
    assert_string_equal(num_text_centavos(LANG_PT, INT64_MIN).text,
                        "-R$ 92.233.720.368.547.758,08");
    assert_string_equal(num_text_centavos(LANG_EN, 1234).text, "R$12.34");
    assert_string_equal(num_text_percent(LANG_PT, -89e9, 6).text, "-8.900.000.000.000,000000%");
    assert_string_equal(num_text_percent(LANG_EN, 0.0786, 1).text, "7.9%");
    assert_string_equal(num_text_percent(LANG_EN, (double)NAN, 1).text, "-");
    assert_string_equal(num_text_percent(LANG_PT, -1.2345678901234567e-300, 6).text, "0,000000%");
    /* Seventeen digits; times 100 rounds the last one. */
    assert_string_equal(num_text_percent(LANG_PT, -1.2345678901234567e300, 6).text,
                        "-1.2345678901234566e+302%");
}
