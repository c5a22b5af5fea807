#include "base/clock.h"
#include "base/rng.h"
#include "base/test.h"

#include <time.h>

TEST(clock_days_agree_with_the_library)
{
    for (int32_t day = -800000; day < 800000; day += 97) {
        time_t t = (time_t)day * 86400;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        assert_int_equal(day_from_civil(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday), day);
        assert_int_equal(weekday_from_day(day), (tm.tm_wday + 6) % 7);
    }
    assert_int_equal(day_from_civil(1970, 1, 1), 0);
    assert_int_equal(day_from_civil(2000, 2, 29), 11016);
    assert_int_equal(weekday_from_day(0), 3);
    assert_int_equal(weekday_from_day(-1), 2);
}

TEST(clock_civil_round_trips)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t ns = (int64_t)rng_u64(&r);
        struct civil c = civil_from_ns(ns);
        assert_true(civil_is_valid(&c));
        i128 back = (i128)day_from_civil(c.year, c.month, c.day) * NS_PER_DAY +
                    ((c.hour * 60LL + c.minute) * 60 + c.second) * NS_PER_S + c.ns;
        assert_true(back == ns);
        time_t t = day_from_ns(ns) * 86400LL;
        struct tm tm;
        gmtime_r(&t, &tm);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
    }
}

TEST(clock_conversions_round_down)
{
    assert_int_equal(ms_from_ns(1999999), 1);
    assert_int_equal(ms_from_ns(-1), -1);
    assert_int_equal(ms_from_ns(-1000000), -1);
    assert_int_equal(ms_from_ns(-1000001), -2);
    assert_int_equal(day_from_ns(-1), -1);
    assert_int_equal(day_from_ns(-NS_PER_DAY), -1);
    assert_int_equal(day_from_ns(NS_PER_DAY - 1), 0);
    assert_int_equal(day_from_ns(INT64_MIN), -106752);
}

TEST(clock_civil_is_valid_knows_the_calendar)
{
    static const struct {
        struct civil c;
        bool ok;
    } rows[] = {
        {{2024, 2, 29, 0, 0, 0, 0}, true},  {{2023, 2, 29, 0, 0, 0, 0}, false},
        {{2000, 2, 29, 0, 0, 0, 0}, true},  {{1900, 2, 29, 0, 0, 0, 0}, false},
        {{2024, 4, 31, 0, 0, 0, 0}, false}, {{2024, 12, 31, 23, 59, 59, 999999999}, true},
        {{2024, 13, 1, 0, 0, 0, 0}, false}, {{2024, 0, 1, 0, 0, 0, 0}, false},
        {{2024, 1, 0, 0, 0, 0, 0}, false},  {{2024, 1, 1, 24, 0, 0, 0}, false},
        {{2024, 1, 1, 0, 60, 0, 0}, false}, {{2024, 1, 1, 0, 0, 60, 0}, false},
        {{2024, 1, 1, 0, 0, 0, -1}, false}, {{2024, 1, 1, 0, 0, 0, 1000000000}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(civil_is_valid(&rows[i].c), rows[i].ok);
    }
}

TEST(clock_time_parse_accepts_rfc_3339)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2018-05-14T00:00:01.023Z", 1526256001023000000},
        {"2018-05-14T00:00:01Z", 1526256001000000000},
        {"2018-05-14 00:00:01z", 1526256001000000000},
        {"2018-05-14t00:00:01.0Z", 1526256001000000000},
        {"2018-05-14T00:00:01.123456789Z", 1526256001123456789},
        {"2018-05-13T21:00:01-03:00", 1526256001000000000},
        {"2018-05-14T05:30:01.5+05:30", 1526256001500000000},
        {"2018-05-14T00:00:01-00:00", 1526256001000000000},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"1677-09-21T00:12:43.145224193Z", INT64_MIN + 1},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
        {"2262-04-11T20:47:16.854775807-03:00", INT64_MAX},
        {"1677-09-20T21:12:44-03:00", -9223372036000000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = 7;
        assert_true(time_parse(str_from_c(rows[i].text), &ns));
        assert_true(ns == rows[i].ns);
    }
}

TEST(clock_time_parse_refuses_the_rest)
{
    static const char *const bad[] = {"",
                                      "2018-05-14",
                                      "2018-05-14T00:00:01",
                                      "2018-05-14T00:00Z",
                                      "2018-05-14T00:00:01.Z",
                                      "2018-05-14T00:00:01.1234567890Z",
                                      "2018-05-14T00:00:60Z",
                                      "2018-05-14T24:00:00Z",
                                      "2018-05-32T00:00:00Z",
                                      "2018-02-29T00:00:00Z",
                                      "2018-05-14T00:00:0aZ",
                                      "2018-05-14T00:00:01.0a3Z",
                                      "2018-05-14T00:00:01.02aZ",
                                      "2018-05-14T00:00:01.a23Z",
                                      "2018-05-14T00:00:01,023Z",
                                      "2018/05/14T00:00:01Z",
                                      "2018-05-14X00:00:01Z",
                                      "2018-05-14T00:00:01Z ",
                                      " 2018-05-14T00:00:01Z",
                                      "2018-05-14T00:00:01+0300",
                                      "2018-05-14T00:00:01+24:00",
                                      "2018-05-14T00:00:01+03:60",
                                      "2018-05-14T00:00:01+03:0x",
                                      "2018-05-14T00-00:01Z",
                                      "2018-05-14T00:00-01Z",
                                      "1677-09-21T00:12:43.145224192Z",
                                      "1677-09-21T00:12:43.145Z",
                                      "1677-09-20T00:00:00Z",
                                      "2262-04-11T23:47:16.854775808Z",
                                      "2262-04-11T23:47:16.855Z",
                                      "2262-04-12T00:00:00Z",
                                      "0000-01-01T00:00:00Z",
                                      "9999-12-31T23:59:59Z",
                                      "2018-05-14T00:00:01.023",
                                      "+018-05-14T00:00:01Z",
                                      "2018-05-14T00:00:01.023+03:00Z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = 7;
        assert_false(time_parse(str_from_c(bad[i]), &ns));
        assert_true(ns == 7);
    }
}

TEST(clock_date_parse_and_format)
{
    int32_t day = 7;
    assert_true(date_parse(STR("2018-05-14"), &day));
    assert_int_equal(day, 17665);
    assert_true(date_parse(STR("0001-01-01"), &day));
    assert_int_equal(day, -719162);
    static const char *const bad[] = {"",           "2018-5-14", "2018-05-14 ", "2018-02-30",
                                      "2018-00-01", "20180514",  "2018-05-1x",  "x018-05-14"};
    day = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(date_parse(str_from_c(bad[i]), &day));
        assert_int_equal(day, 7);
    }
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 1000);
    date_format(&b, 17665);
    buf_char(&b, ' ');
    date_format(&b, INT32_MAX);
    buf_char(&b, ' ');
    date_format(&b, -719529);
    assert_str(buf_str(&b), STR("2018-05-14 5881580-07-11 -0001-12-31"));
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

TEST(clock_time_format_writes_what_is_needed)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {1526256001023000000, "2018-05-14T00:00:01.023Z"},
        {1526256001000001000, "2018-05-14T00:00:01.000001Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
    };
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        time_format(&b, rows[i].ns);
        assert_str(buf_str(&b), str_from_c(rows[i].text));
    }
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t ns = (int64_t)rng_u64(&r);
        ns = rng_below(&r, 2) ? ns / NS_PER_MS * NS_PER_MS : ns;
        buf_reset(&b);
        time_format(&b, ns);
        int64_t back = 0;
        assert_true(time_parse(buf_str(&b), &back));
        assert_true(back == ns);
    }
    buf_release(&b);
    buf_init(&b, &m, 15);
    time_format(&b, 0);
    assert_int_equal(b.n, 0);
    assert_false(buf_ok(&b, NULL));
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}
