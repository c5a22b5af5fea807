/* Tests of server/num.c: what people read, in both languages. */
#include "server/num_int.h"

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
    BOTH(server_num_i64(out, lang, 0), "0", "0");
    BOTH(server_num_i64(out, lang, 999), "999", "999");
    BOTH(server_num_i64(out, lang, 1000), "1.000", "1,000");
    BOTH(server_num_i64(out, lang, -1234567), "-1.234.567", "-1,234,567");
    BOTH(server_num_i64(out, lang, INT64_MIN), "-9.223.372.036.854.775.808",
         "-9,223,372,036,854,775,808");
    WORLD_END();
}

TEST(num_has_the_decimal_sign_of_the_language)
{
    WORLD();
    BOTH(server_num_f64(out, lang, 1284.5, 1), "1.284,5", "1,284.5");
    BOTH(server_num_f64(out, lang, 0.005, 2), "0,01", "0.01");
    BOTH(server_num_f64(out, lang, -0.004, 2), "0,00", "0.00");
    BOTH(server_num_f64(out, lang, 999.96, 1), "1.000,0", "1,000.0");
    BOTH(server_num_f64(out, lang, 12.3456789, 6), "12,345679", "12.345679");
    BOTH(server_num_f64(out, lang, (double)NAN, 1), "-", "-");
    BOTH(server_num_f64(out, lang, (double)INFINITY, 1), "-", "-");
    BOTH(server_num_f64(out, lang, 1e15, 0), "1000000000000000", "1000000000000000");
    WORLD_END();
}

TEST(num_short_keeps_about_three_digits)
{
    WORLD();
    BOTH(server_num_short(out, lang, 0), "0", "0");
    BOTH(server_num_short(out, lang, 0.424), "0,42", "0.42");
    BOTH(server_num_short(out, lang, 7.51), "7,5", "7.5");
    BOTH(server_num_short(out, lang, 998.4), "998", "998");
    BOTH(server_num_short(out, lang, 84.34), "84,3", "84.3");
    BOTH(server_num_short(out, lang, 7), "7", "7");
    BOTH(server_num_short(out, lang, 552), "552", "552");
    BOTH(server_num_short(out, lang, 1284.4), "1.284", "1,284");
    BOTH(server_num_short(out, lang, 12345), "12,3 mil", "12.3k");
    BOTH(server_num_short(out, lang, 999960), "1,0 mi", "1.0M");
    BOTH(server_num_short(out, lang, 4.1e9), "4,1 bi", "4.1B");
    BOTH(server_num_short(out, lang, (double)NAN), "-", "-");
    WORLD_END();
}

TEST(num_writes_money_shares_and_times)
{
    WORLD();
    BOTH(server_num_brl(out, lang, 512.3), "R$ 512,30", "R$512.30");
    BOTH(server_num_brl(out, lang, 9999.99), "R$ 9.999,99", "R$9,999.99");
    BOTH(server_num_brl(out, lang, 61400), "R$ 61,4 mil", "R$61.4k");
    BOTH(server_num_brl(out, lang, 1234567), "R$ 1,2 mi", "R$1.2M");
    BOTH(server_num_brl(out, lang, -5), "-R$ 5,00", "-R$5.00");
    BOTH(server_num_brl(out, lang, (double)NAN), "-", "-");
    BOTH(server_num_percent(out, lang, 0.8432, 1), "84,3%", "84.3%");
    BOTH(server_num_percent(out, lang, (double)NAN, 1), "-", "-");
    BOTH(server_num_ms(out, lang, 0.424), "0,42 ms", "0.42 ms");
    BOTH(server_num_ms(out, lang, 8.44), "8,4 ms", "8.4 ms");
    BOTH(server_num_ms(out, lang, 87.4), "87 ms", "87 ms");
    BOTH(server_num_ms(out, lang, 999.6), "1,00 s", "1.00 s");
    BOTH(server_num_ms(out, lang, 61250), "61,3 s", "61.3 s");
    BOTH(server_num_ms(out, lang, 120000), "120 s", "120 s");
    WORLD_END();
}

TEST(num_span_names_the_two_largest_units)
{
    WORLD();
    enum lang lang = LANG_EN;
    (void)lang;
    server_num_span(out, 0);
    check(&w, "0 s");
    server_num_span(out, -5);
    check(&w, "0 s");
    server_num_span(out, 59);
    check(&w, "59 s");
    server_num_span(out, 123);
    check(&w, "2 min 3 s");
    server_num_span(out, 7200);
    check(&w, "2 h");
    server_num_span(out, 6 * 86400 + 4 * 3600 + 59);
    check(&w, "6 d 4 h");
    WORLD_END();
}
