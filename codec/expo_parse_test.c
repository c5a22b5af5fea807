/* Exposition in: every rule of the text forms as input and what must come out, written as text. */
#include "codec/expo_parse.h"

#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One line per entry, the labels sorted, or "error LINE:COL MESSAGE" as the last. */
static void dump_sample(struct expo_parse *p, struct arena *a, struct buf *out)
{
    struct label *v = NULL;
    uint32_t n = 0;
    struct err e;
    struct expo_exemplar x;
    bool found = false;
    assert_true(expo_parse_labels(p, a, &v, &n, &e));
    if (!labels_normalize(v, &n, &e)) {
        buf_fmt(out, "bad labels: %s\n", e.msg);
        return;
    }
    assert_str(v[0].name, STR(LABEL_NAME)); /* it sorts first among these */
    buf_str_add(out, v[0].value);
    if (n > 1) {
        labels_print((struct labels){v + 1, n - 1}, out);
    }
    BUF_LIT(out, " ");
    buf_f64(out, p->value);
    if (p->has_t) {
        buf_fmt(out, " @%lld", (long long)p->t_ms);
    }
    for (uint32_t i = 0; expo_parse_exemplar(p, i, a, &found, &x, &e) && found; i++) {
        BUF_LIT(out, " # ");
        labels_print((struct labels){x.labels, x.labels_n}, out);
        BUF_LIT(out, " ");
        buf_f64(out, x.value);
        if (x.has_t) {
            buf_fmt(out, " @%lld", (long long)x.t_ms);
        }
    }
    int64_t start = expo_parse_start_ms(p);
    if (start) {
        buf_fmt(out, " start %lld", (long long)start);
    }
    BUF_LIT(out, "\n");
}

static void dump(enum expo_parse_form form, struct str in, struct arena *a, struct buf *out)
{
    struct expo_parse p;
    struct err e = {.code = ERR_NONE};
    struct mem m;
    bool ok = true;
    mem_init(&m, 0);
    /* Exactly the input's size, so that AddressSanitizer sees a read behind its end. */
    char *copy = mem_take(&m, in.n);
    memcpy(copy, in.p, in.n);
    expo_parse_init(&p, form, str_of(copy, in.n), &m);
    while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        switch (p.entry) {
        case EXPO_PARSE_TYPE:
            buf_fmt(out, "type %.*s %.*s\n", STR_FMT(p.family), STR_FMT(expo_kind_name(p.type)));
            break;
        case EXPO_PARSE_HELP:
            buf_fmt(out, "help %.*s [%.*s]\n", STR_FMT(p.family), STR_FMT(p.text));
            break;
        case EXPO_PARSE_UNIT:
            buf_fmt(out, "unit %.*s [%.*s]\n", STR_FMT(p.family), STR_FMT(p.text));
            break;
        case EXPO_PARSE_SAMPLE: dump_sample(&p, a, out); break;
        case EXPO_PARSE_HIST:
        case EXPO_PARSE_END: fail();
        }
    }
    if (!ok) {
        buf_fmt(out, "error %u:%u %s\n", e.line, e.col, e.msg);
    }
    expo_parse_release(&p);
    mem_give(&m, copy, in.n);
    assert_int_equal(m.bytes, 0);
}

struct row {
    struct str in;
    const char *want;
};
#define ROW(in, want)      \
    {                      \
        STR_INIT(in), want \
    }

static void check(enum expo_parse_form form, const struct row *rows, size_t count)
{
    struct mem m;
    struct arena a;
    struct buf out;
    int bad = 0;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    buf_init(&out, &m, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&out);
        arena_reset(&a);
        dump(form, rows[i].in, &a, &out);
        if (!str_eq(buf_str(&out), str_from_c(rows[i].want))) {
            print_error("input  \"%.*s\"\nexpected %sfound    %.*s\n", STR_FMT(rows[i].in),
                        rows[i].want, STR_FMT(buf_str(&out)));
            bad++;
        }
    }
    buf_release(&out);
    arena_release(&a);
    assert_int_equal(bad, 0);
    assert_int_equal(m.bytes, 0);
}

TEST(text_reads_what_prometheus_reads)
{
    static const struct row rows[] = {
        ROW("", ""),
        ROW("\n \n\t\n", ""),
        ROW("a 1\n", "a 1\n"),
        ROW("a 1", "a 1\n"),
        ROW("a{} 1\n", "a 1\n"),
        ROW("a\t \t1\t2 \t\n", "a 1 @2\n"),
        ROW("a{b=\"c\"}1\n", "a{b=\"c\"} 1\n"),
        ROW("a+3\n", "a 3\n"),
        ROW("a-.5e1\n", "a -5\n"),
        ROW("a { b = \"c\" , d = \"e\" , } 1\n", "a{b=\"c\", d=\"e\"} 1\n"),
        ROW("a{b=\"c\"d=\"e\"} 1\n", "a{b=\"c\", d=\"e\"} 1\n"),
        ROW("a{b=\"c\" d=\"e\"} 1\n", "a{b=\"c\", d=\"e\"} 1\n"),
        ROW("  a 1\n", "a 1\n"),
        ROW("a{b=\"x\\\\y\\\"z\\nw\\q\"} 1\n", "a{b=\"x\\\\y\\\"z\\nw\\\\q\"} 1\n"),
        ROW("a{b=\"line\nbreak\"} 1\n", "a{b=\"line\\nbreak\"} 1\n"),
        ROW("a{b=\"z\0z\"} 1\n", "a{b=\"z\\x00z\"} 1\n"),
        ROW("a{b=\"\"} 1\n", "a 1\n"),
        ROW("a{b=\"}, # {\"} 1\n", "a{b=\"}, # {\"} 1\n"),
        ROW(":a:b 1\n", ":a:b 1\n"),
        ROW("{\"a\"} 1\n", "a 1\n"),
        ROW("{\"a.b\", x=\"y\"} 1\n", "a.b{x=\"y\"} 1\n"),
        ROW("{x=\"y\", \"a.b\"} 1 7\n", "a.b{x=\"y\"} 1 @7\n"),
        ROW("a{\"b.c\"=\"d\"} 1\n", "a{\"b.c\"=\"d\"} 1\n"),
        ROW("{\"a \\\"q\\\"\"} 1\n", "a \"q\" 1\n"),
        ROW("a 1\0\n", "error 1:3 expected a number, found \"1\"\n"),
        ROW("a 1\n\0b 2\n", "a 1\n"),
        ROW("a 1\n# \0 x\nb 2\n", "a 1\nb 2\n"),
        ROW("a 1\n#x\0y\nb 2\n", "a 1\n"),
        ROW("# just words\n#\n#HELP a b\n# HELP\n# HELPa b\n# help a b\na 1\n", "a 1\n"),
        ROW("# HELP a\n", "help a []\n"),
        ROW("# HELP a \n", "help a []\n"),
        ROW("#\tHELP\ta\tb c \n", "help a [b c ]\n"),
        ROW("# HELP a x\\\\y\\nz\\q\\\"\n", "help a [x\\y\nz\\q\\\"]\n"),
        ROW("# HELP \"a.b\" text\n", "help a.b [text]\n"),
        ROW("# HELP \"a\\\"b\" a long text with \\\\ that needs more room than the name did\n",
            "help a\"b [a long text with \\ that needs more room than the name did]\n"),
        ROW("# HELP a{b} c\n", "help a [b} c]\n"),
        ROW("# TYPE a counter\n# TYPE b gauge\n# TYPE c histogram\n# TYPE d summary\n"
            "# TYPE e untyped\n",
            "type a counter\ntype b gauge\ntype c histogram\ntype d summary\ntype e unknown\n"),
        ROW("# TYPE a counter", "type a counter\n"),
        ROW("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na 2\n# TYPE a gauge\na 3\n",
            "type a gauge\na 1\ntype b gauge\nb 1\na 2\ntype a gauge\na 3\n"),
        ROW("a NaN\na +Inf\na -inf\na iNfInItY\na 1e400000 5\n",
            "a NaN\na +Inf\na -Inf\na +Inf\nerror 5:3 expected a number, found \"1e400000\"\n"),
        ROW("a 9007199254740993\n", "a 9007199254740992\n"),
        ROW("a 0.1 9223372036854775807\n", "a 0.1 @9223372036854775807\n"),
    };
    check(EXPO_PARSE_TEXT, rows, ARRAY_LEN(rows));
}

TEST(text_refuses_with_a_place)
{
    static const struct row rows[] = {
        ROW("a\n", "error 1:2 expected a value after the metric, found a line break\n"),
        ROW("a", "error 1:2 expected a value after the metric, found the end\n"),
        ROW("a{b=\"c\"}\n", "error 1:9 expected a value after the metric, found a line break\n"),
        ROW("ok 1\na 0x1p3\n", "ok 1\nerror 2:3 expected a number, found \"0x1p3\"\n"),
        ROW("a 0x10\n", "error 1:3 expected a number, found \"0x10\"\n"),
        ROW("a 1_2\n", "error 1:3 expected a number, found \"1_2\"\n"),
        ROW("a +NaN\n", "error 1:3 expected a number, found \"+NaN\"\n"),
        ROW("a 1e\n", "error 1:3 expected a number, found \"1e\"\n"),
        ROW("a .\n", "error 1:3 expected a number, found \".\"\n"),
        ROW("a 1 -2\n", "error 1:5 expected a timestamp or the end of the line, found \"-2\"\n"),
        ROW("a 1 1.5\n",
            "error 1:6 expected the end of the line after a timestamp, found \".5\"\n"),
        ROW("a 1 2 3\n", "error 1:7 expected the end of the line after a timestamp, found \"3\"\n"),
        ROW("a 1 9223372036854775808\n",
            "error 1:5 expected a timestamp in milliseconds, found \"9223372036854775808\"\n"),
        ROW("a 1{b=\"c\"}\n",
            "error 1:4 expected a timestamp or the end of the line, found \"{b=\"c\"}\"\n"),
        ROW("a{,b=\"c\"} 1\n",
            "error 1:3 expected a label name, a metric name in quotes or '}', found "
            "\",b=\"c\"}\"\n"),
        ROW("a{b=\"c\",,} 1\n",
            "error 1:9 expected a label name, a metric name in quotes or '}', found \",}\"\n"),
        ROW("a{1b=\"c\"} 1\n",
            "error 1:3 expected a label name, a metric name in quotes or '}', found "
            "\"1b=\"c\"}\"\n"),
        ROW("a{b:c=\"d\"} 1\n", "error 1:4 expected '=', found \":c=\"d\"}\"\n"),
        ROW("a{b=c} 1\n", "error 1:5 expected a label value in quotes, found \"c}\"\n"),
        ROW("a{b='c'} 1\n", "error 1:5 expected a label value in quotes, found \"'c'}\"\n"),
        ROW("a{b} 1\n", "error 1:4 expected '=', found \"}\"\n"),
        ROW("a{b=\"c 1\n", "error 1:5 expected a label value in quotes, found \"\"c\"\n"),
        ROW("a{b=\"c\\\n\"} 1\n", "error 1:5 expected a label value in quotes, found \"\"c\\\"\n"),
        ROW("a{b=\"c\"", "error 1:8 expected '}', found the end\n"),
        ROW("a{b=\"c\"\nd=\"e\"} 1\n",
            "error 1:8 expected a label name, a metric name in quotes or '}', found a line "
            "break\n"),
        ROW("a{b=\"\xff\"} 1\n", "error 1:5 expected valid UTF-8, found \"\"\"\n"),
        ROW("{b=\"c\"} 1\n", "error 1:8 expected a metric name, found \" \"\n"),
        ROW("{} 1\n", "error 1:3 expected a metric name, found \" \"\n"),
        ROW("{\"\"} 1\n", "error 1:2 expected a name that is not empty and has no zero byte, found "
                          "\"\"\"}\"\n"),
        ROW("{\"a\",\"b\"} 1\n", "error 1:6 expected one metric name only, found \"\"b\"}\"\n"),
        ROW("a{\"b\"} 1\n", "error 1:3 expected one metric name only, found \"\"b\"}\"\n"),
        ROW("{\"a} 1\n", "error 1:2 expected a closing quote, found \"\"a}\"\n"),
        ROW("1a 1\n", "error 1:1 expected a metric name, '#' or '{', found \"1a\"\n"),
        ROW("\r\n", "error 1:1 expected a metric name, '#' or '{', found byte 0x0d\n"),
        ROW("a 1\r\n", "error 1:3 expected a number, found \"1\"\n"),
        ROW("# HELP \n", "error 1:8 expected a metric name after HELP, found a line break\n"),
        ROW("# TYPE 1 gauge\n", "error 1:8 expected a metric name after TYPE, found \"1\"\n"),
        ROW("# HELP \"a b\n", "error 1:8 expected a metric name after HELP, found \"\"a\"\n"),
        ROW("# HELP a \xff\n", "error 1:10 expected a help text in valid UTF-8\n"),
        ROW("# TYPE a\n", "error 1:9 expected counter, gauge, histogram, summary or untyped, "
                          "found \"\"\n"),
        ROW("# TYPE a  gauge\n", "error 1:10 expected counter, gauge, histogram, summary or "
                                 "untyped, found \" gauge\"\n"),
        ROW("# TYPE a gauge \n", "error 1:10 expected counter, gauge, histogram, summary or "
                                 "untyped, found \"gauge \"\n"),
        ROW("# TYPE a Gauge\n", "error 1:10 expected counter, gauge, histogram, summary or "
                                "untyped, found \"Gauge\"\n"),
        ROW("# TYPE a unknown\n", "error 1:10 expected counter, gauge, histogram, summary or "
                                  "untyped, found \"unknown\"\n"),
    };
    check(EXPO_PARSE_TEXT, rows, ARRAY_LEN(rows));
}

TEST(bounds_of_buckets_and_quantiles_are_normalised)
{
    static const struct row rows[] = {
        ROW("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
            "h_bucket{le=\"1e6\"} 1\nh_bucket{le=\"0.50\"} 1\nh_bucket{le=\"x\"} 1\n"
            "h{quantile=\"1\"} 1\n",
            "type h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n"
            "h_bucket{le=\"1e+06\"} 1\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"x\"} 1\n"
            "h{quantile=\"1\"} 1\n"),
        ROW("# TYPE s summary\ns{quantile=\"0\"} 1\ns{quantile=\"0.99\",le=\"1\"} 1\n",
            "type s summary\ns{quantile=\"0.0\"} 1\ns{le=\"1\", quantile=\"0.99\"} 1\n"),
        ROW("# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n",
            "type g gauge\ng{le=\"1\", quantile=\"1\"} 1\n"),
    };
    check(EXPO_PARSE_TEXT, rows, ARRAY_LEN(rows));
}

TEST(numbers_are_written_as_openmetrics_does)
{
    static const struct {
        double v;
        const char *want;
    } rows[] = {{1, "1.0"},           {0, "0.0"},
                {-0.0, "0.0"},        {-1, "-1.0"},
                {100000, "100000.0"}, {999999, "999999.0"},
                {1000000, "1e+06"},   {1234567, "1.234567e+06"},
                {0.0001, "0.0001"},   {0.00012345, "0.00012345"},
                {0.00001, "1e-05"},   {-0.000123, "-0.000123"},
                {0.1, "0.1"},         {12.5, "12.5"},
                {120, "120.0"},       {8.999999999999998, "8.999999999999998"},
                {1e100, "1e+100"},    {-2.5e-300, "-2.5e-300"},
                {5e-324, "5e-324"},   {HUGE_VAL, "+Inf"},
                {-HUGE_VAL, "-Inf"},  {(double)NAN, "NaN"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct expo_number got = expo_format_number(rows[i].v);
        assert_str(str_of(got.text, got.n), str_from_c(rows[i].want));
    }
}

TEST(numbers_read_as_strtod_reads_them)
{
    static const char *const rows[] = {"0",
                                       "-0",
                                       "1.",
                                       ".5",
                                       "00012.50",
                                       "1e22",
                                       "1e23",
                                       "123456789012345678901234567890",
                                       "9007199254740993e-1",
                                       "4.9406564584124654e-324",
                                       "1e-400",
                                       "1.7976931348623157e308",
                                       "3.141592653589793238462643383279",
                                       "0.000000000000000000000000000000000000000001e30",
                                       "1E+05"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double want = strtod(rows[i], NULL);
        double got = 0;
        assert_true(expo_parse_number(str_from_c(rows[i]), &got));
        assert_memory_equal(&got, &want, sizeof want);
    }
    uint64_t seed = test_seed();
    for (int i = 0; i < 20000; i++) {
        char text[64];
        double v = 0;
        double got = 0;
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        uint64_t bits = seed ^ (seed >> 29);
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) {
            continue;
        }
        snprintf(text, sizeof text, i % 2 ? "%.17g" : "%.6g", v);
        double want = strtod(text, NULL);
        if (isfinite(want)) {
            assert_true(expo_parse_number(str_from_c(text), &got));
            assert_memory_equal(&got, &want, sizeof want);
        }
    }
}

TEST(openmetrics_reads)
{
    static const struct row rows[] = {
        ROW("# EOF\n", ""),
        ROW("# EOF", ""),
        ROW("a 1\n# EOF\n", "a 1\n"),
        ROW("a{} 1 2.5\n# EOF\n", "a 1 @2500\n"),
        ROW("a 1 -1.0015\n# EOF\n", "a 1 @-1001\n"),
        ROW("a{b=\"c\",d=\"e\",} 1e3\n# EOF\n", "a{b=\"c\", d=\"e\"} 1000\n"),
        ROW("{\"a.b\",x=\"y\"} 1\n# EOF\n", "a.b{x=\"y\"} 1\n"),
        ROW("# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x \\\"y\\\"\n"
            "a_seconds_total 1\n# EOF\n",
            "type a_seconds counter\nunit a_seconds [seconds]\nhelp a_seconds [x \"y\"]\n"
            "a_seconds_total 1\n"),
        ROW("# TYPE a info\n# TYPE b stateset\n# TYPE c gaugehistogram\n# TYPE d unknown\n"
            "# UNIT a \n# HELP a \n# EOF\n",
            "type a info\ntype b stateset\ntype c gaugehistogram\ntype d unknown\nunit a []\n"
            "help a []\n"),
        ROW("a 1 # {} 2\n# EOF\n", "a 1 # {} 2\n"),
        ROW("a{b=\"#\"} 1 5 # {t=\"x\\\"y\",\"u.v\"=\"z\"} 0.5 1.25\n# EOF\n",
            "a{b=\"#\"} 1 @5000 # {t=\"x\\\"y\", \"u.v\"=\"z\"} 0.5 @1250\n"),
        ROW("# TYPE a counter\na_total{x=\"1\"} 1\na_created{x=\"1\"} 1.5\na_total{x=\"2\"} 1\n"
            "a_total{x=\"3\"} 3\na_created{x=\"3\"} 2\n# TYPE b counter\nb_total 1\n# EOF\n",
            "type a counter\na_total{x=\"1\"} 1 start 1500\na_created{x=\"1\"} 1.5\n"
            "a_total{x=\"2\"} 1\na_total{x=\"3\"} 3 start 2000\na_created{x=\"3\"} 2\n"
            "type b counter\nb_total 1\n"),
        ROW("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n"
            "h_sum 3\nh_created 7\n# EOF\n",
            "type h histogram\nh_bucket{le=\"1.0\"} 1 start 7000\n"
            "h_bucket{le=\"+Inf\"} 2 start 7000\nh_count 2 start 7000\nh_sum 3 start 7000\n"
            "h_created 7\n"),
    };
    check(EXPO_PARSE_OPENMETRICS, rows, ARRAY_LEN(rows));
}

TEST(openmetrics_is_strict)
{
    static const struct row rows[] = {
        ROW("", "error 1:1 expected \"# EOF\" at the end of the page\n"),
        ROW("a 1\n", "a 1\nerror 2:1 expected \"# EOF\" at the end of the page\n"),
        ROW("a 1", "error 1:4 expected \"# EOF\" at the end of the page\n"),
        ROW("a 1 # {} 1", "error 1:11 expected \"# EOF\" at the end of the page\n"),
        ROW("# EOF\n\n", "error 2:1 expected nothing after \"# EOF\", found a line break\n"),
        ROW("# EOF\na 1\n", "error 2:1 expected nothing after \"# EOF\", found \"a\"\n"),
        ROW("# EOFx\n", "error 1:6 expected nothing after \"# EOF\", found \"x\"\n"),
        ROW("\n# EOF\n", "error 1:1 expected a metric name, '#' or '{', found a line break\n"),
        ROW(" a 1\n# EOF\n", "error 1:1 expected a metric name, '#' or '{', found \" \"\n"),
        ROW("a\t1\n# EOF\n", "error 1:2 expected a blank and a value after the metric, found byte "
                             "0x09\n"),
        ROW("a  1\n# EOF\n",
            "error 1:2 expected a blank and a value after the metric, found \" \"\n"),
        ROW("a 1 \n# EOF\n", "error 1:4 expected a blank and a time in seconds, found \" \"\n"),
        ROW("a 1 2 3\n# EOF\n", "error 1:6 expected the end of the line, found \" \"\n"),
        ROW("a 1 NaN\n# EOF\n", "error 1:5 expected a time in seconds, found \"NaN\"\n"),
        ROW("a 1 Inf\n# EOF\n", "error 1:5 expected a time in seconds, found \"Inf\"\n"),
        ROW("a 1 0x1\n# EOF\n", "error 1:5 expected a time in seconds, found \"0x1\"\n"),
        ROW("a{b=\"c\" ,d=\"e\"} 1\n# EOF\n", "error 1:8 expected ',' or '}', found \" \"\n"),
        ROW("a{b=\"c\"d=\"e\"} 1\n# EOF\n", "error 1:8 expected ',' or '}', found \"d=\"e\"}\"\n"),
        ROW("a {b=\"c\"} 1\n# EOF\n",
            "error 1:3 expected a value after the metric, found \"{b=\"c\"}\"\n"),
        ROW("a{b=\"c\nd\"} 1\n# EOF\n",
            "error 1:5 expected a label value in quotes, found \"\"c\"\n"),
        ROW("a 1_0\n# EOF\n", "error 1:3 expected a value after the metric, found \"1_0\"\n"),
        ROW("# comment\n# EOF\n",
            "error 1:1 expected HELP, TYPE, UNIT or EOF after '#', found \"comment\"\n"),
        ROW("#TYPE a gauge\n# EOF\n",
            "error 1:1 expected HELP, TYPE, UNIT or EOF after '#', found \"YPE\"\n"),
        ROW("#  TYPE a gauge\n# EOF\n",
            "error 1:1 expected HELP, TYPE, UNIT or EOF after '#', found \" \"\n"),
        ROW("# TYPE a untyped\n# EOF\n",
            "error 1:10 expected counter, gauge, histogram, gaugehistogram, summary, info, "
            "stateset or unknown, found \"untyped\"\n"),
        ROW("# TYPE a\n# EOF\n",
            "error 1:9 expected a blank and a text after TYPE, found a line break\n"),
        ROW("# HELP a", "error 1:9 expected a blank and a text after HELP, found the end\n"),
        ROW("# HELP 1 x\n# EOF\n", "error 1:8 expected a metric name after HELP, found \"1\"\n"),
        ROW("# UNIT a_b seconds\n# EOF\n",
            "error 1:12 expected a unit that \"a_b\" ends with, found \"seconds\"\n"),
        ROW("# UNIT aseconds seconds\n# EOF\n",
            "error 1:17 expected a unit that \"aseconds\" ends with, found \"seconds\"\n"),
        ROW("# UNIT seconds seconds\n# EOF\n",
            "error 1:16 expected a unit that \"seconds\" ends with, found \"seconds\"\n"),
        ROW("a 1 # {b=\"c\"}\n# EOF\n",
            "error 1:14 expected a blank and the value of an exemplar, found a line break\n"),
        ROW("a 1 # {b=\"c\"} x\n# EOF\n",
            "error 1:15 expected the value of an exemplar, found \"x\"\n"),
        ROW("a 1 # {b} 1\n# EOF\n", "error 1:9 expected '=', found \"}\"\n"),
        ROW("a 1 # {\"b\"} 1\n# EOF\n", "error 1:11 expected '=', found \"}\"\n"),
        ROW("a 1 # {b=\"c\"} 1 x\n# EOF\n", "error 1:17 expected a time in seconds, found \"x\"\n"),
        ROW("a 1 # {b=\"c\"} 1 Inf\n# EOF\n",
            "error 1:17 expected a time in seconds, found \"Inf\"\n"),
        ROW("a 1 #{b=\"c\"} 1\n# EOF\n",
            "error 1:5 expected a time in seconds, found \"#{b=\"c\"}\"\n"),
    };
    check(EXPO_PARSE_OPENMETRICS, rows, ARRAY_LEN(rows));
}

TEST(created_lines_can_be_left_out)
{
    struct mem m;
    struct expo_parse p;
    struct err e;
    mem_init(&m, 0);
    expo_parse_init(&p, EXPO_PARSE_OPENMETRICS,
                    STR("# TYPE a counter\na_total 1\na_created 5\n"
                        "# TYPE g gauge\ng_created 5\n# EOF\n"),
                    &m);
    p.skip_created = true;
    static const char *const want[] = {"a", "a_total", "g", "g_created"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(expo_parse_next(&p, &e));
        assert_str(p.entry == EXPO_PARSE_TYPE ? p.family : p.raw, str_from_c(want[i]));
    }
    assert_true(expo_parse_next(&p, &e));
    assert_int_equal(p.entry, EXPO_PARSE_END);
    expo_parse_release(&p);
}

/* What is expected is taken without looking only where it is the whole series. */
TEST(an_expected_series_is_taken_only_whole)
{
    static const struct {
        struct str body, expect, raw;
        bool expected;
    } rows[] = {
        {STR_INIT("a{b=\"c\"} 1\n"), STR_INIT("a{b=\"c\"}"), STR_INIT("a{b=\"c\"}"), true},
        {STR_INIT("a{b=\"c\"}1\n"), STR_INIT("a{b=\"c\"}"), STR_INIT("a{b=\"c\"}"), true},
        {STR_INIT("a{b=\"d\"} 1\n"), STR_INIT("a{b=\"c\"}"), STR_INIT("a{b=\"d\"}"), false},
        {STR_INIT("a 1\n"), STR_INIT("a"), STR_INIT("a"), true},
        {STR_INIT("ab 1\n"), STR_INIT("a"), STR_INIT("ab"), false},
        {STR_INIT("a{b=\"c\"} 1\n"), STR_INIT("a"), STR_INIT("a{b=\"c\"}"), false},
        {STR_INIT("a {b=\"c\"} 1\n"), STR_INIT("a"), STR_INIT("a {b=\"c\"}"), false},
        {STR_INIT("a  {b=\"c\"} 1\n"), STR_INIT("a"), STR_INIT("a  {b=\"c\"}"), false},
        {STR_INIT("a-1\n"), STR_INIT("a"), STR_INIT("a"), false},
        {STR_INIT("a 1"), STR_INIT("a 1"), STR_INIT("a"), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mem m;
        struct expo_parse p;
        struct err e;
        mem_init(&m, 0);
        expo_parse_init(&p, EXPO_PARSE_TEXT, rows[i].body, &m);
        p.expect = rows[i].expect;
        assert_true(expo_parse_next(&p, &e));
        assert_int_equal(p.entry, EXPO_PARSE_SAMPLE);
        assert_str(p.raw, rows[i].raw);
        assert_int_equal(p.expected, rows[i].expected);
        assert_true(p.value > 0 || p.value < 0);
        expo_parse_release(&p);
    }
}

TEST(a_known_line_is_taken_only_when_nothing_else_is_on_it)
{
    static const struct {
        struct str body, raw;
        const char *value; /* NULL: not taken */
        size_t at;
    } rows[] = {
        {STR_INIT("a 1\nb 2\n"), STR_INIT("a"), "1", 4},
        {STR_INIT("a{b=\"c\"} -12.50\n"), STR_INIT("a{b=\"c\"}"), "-12.5", 16},
        {STR_INIT("a 123456789012345678\n"), STR_INIT("a"), "123456789012345678", 21},
        {STR_INIT("a 1234567890123456789\n"), STR_INIT("a"), "1234567890123456789", 22},
        {STR_INIT("a 0.30000000000000004\n"), STR_INIT("a"), "0.30000000000000004", 22},
        {STR_INIT("a 0.1234567890123456789012345\n"), STR_INIT("a"), "0.1234567890123456789012345",
         30},
        {STR_INIT("a 9007199254740993\n"), STR_INIT("a"), "9007199254740993", 19},
        {STR_INIT("a 937096067762228.86\n"), STR_INIT("a"), "937096067762228.86", 21},
        {STR_INIT("a 1.\n"), STR_INIT("a"), "1", 5},
        {STR_INIT("a .5\n"), STR_INIT("a"), "0.5", 5},
        {STR_INIT("a 1e+06\n"), STR_INIT("a"), "1e6", 8},
        {STR_INIT("a +Inf\n"), STR_INIT("a"), "inf", 7},
        {STR_INIT("a -0\n"), STR_INIT("a"), "-0", 5},
        {STR_INIT("a 1 1767225500000\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1 \n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1{"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a  1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a\t1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a {b=\"c\"} 1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("ab 1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("b 1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a \n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a -\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1e999\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 0x1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1_0\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a 1 # {} 1\n"), STR_INIT("a"), NULL, 0},
        {STR_INIT("a"), STR_INIT("a"), NULL, 0},
        {STR_INIT(""), STR_INIT("a"), NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        struct mem m;
        struct expo_parse p;
        struct str body = rows[i / 2].body;
        mem_init(&m, 0);
        char *copy = mem_take(&m, body.n + 1); /* AddressSanitizer sees a read behind it */
        memcpy(copy + 1, body.p, body.n);
        expo_parse_init(&p, i % 2 ? EXPO_PARSE_OPENMETRICS : EXPO_PARSE_TEXT,
                        str_of(copy + 1, body.n), &m);
        assert_int_equal(expo_parse_known(&p, rows[i / 2].raw), rows[i / 2].value != NULL);
        assert_int_equal(p.at - p.start, rows[i / 2].at);
        if (rows[i / 2].value) {
            double want = strtod(rows[i / 2].value, NULL);
            assert_memory_equal(&p.value, &want, sizeof want);
        }
        expo_parse_release(&p);
        mem_give(&m, copy, body.n + 1);
    }
}

TEST(nobody_can_send_a_stale_marker)
{
    struct mem m;
    struct expo_parse p;
    struct err e;
    uint64_t bits = 0;
    mem_init(&m, 0);
    expo_parse_init(&p, EXPO_PARSE_TEXT, STR("a NaN\n"), &m);
    assert_true(expo_parse_next(&p, &e));
    memcpy(&bits, &p.value, sizeof bits);
    assert_int_equal(bits, NORMAL_NAN_BITS);
    expo_parse_release(&p);
}

TEST(too_many_labels_are_refused)
{
    struct mem m;
    struct arena a;
    struct buf body;
    struct expo_parse p;
    struct err e;
    struct label *v = NULL;
    uint32_t n = 0;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    buf_init(&body, &m, 1 << 20);
    BUF_LIT(&body, "a{");
    for (int i = 0; i < LABELS_COUNT_MAX; i++) {
        buf_fmt(&body, "l%d=\"x\",", i);
    }
    BUF_LIT(&body, "} 1\n");
    expo_parse_init(&p, EXPO_PARSE_TEXT, buf_str(&body), &m);
    assert_true(expo_parse_next(&p, &e));
    assert_false(expo_parse_labels(&p, &a, &v, &n, &e));
    assert_int_equal(e.code, ERR_INPUT);
    expo_parse_release(&p);
    buf_release(&body);
    arena_release(&a);
}

TEST(content_type_decides_the_form)
{
    static const struct {
        const char *type;
        int with, without; /* fallback text or none; -1 = refused */
    } rows[] = {
        {"text/plain", EXPO_PARSE_TEXT, EXPO_PARSE_TEXT},
        {"text/plain; version=0.0.4; charset=utf-8", EXPO_PARSE_TEXT, EXPO_PARSE_TEXT},
        {"Text/Plain;version=1.0.0;escaping=allow-utf-8", EXPO_PARSE_TEXT, EXPO_PARSE_TEXT},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", EXPO_PARSE_OPENMETRICS,
         EXPO_PARSE_OPENMETRICS},
        {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
         "encoding=delimited",
         EXPO_PARSE_PROTOBUF, EXPO_PARSE_PROTOBUF},
        {"text/plain; charset=\"utf-8\"", EXPO_PARSE_TEXT, EXPO_PARSE_TEXT},
        {"text/plain;", EXPO_PARSE_TEXT, EXPO_PARSE_TEXT},
        {"", EXPO_PARSE_TEXT, -1},
        {"text/html", EXPO_PARSE_TEXT, -1},
        {"application/openmetrics-text; version", EXPO_PARSE_TEXT, -1},
        {"invalid//type", EXPO_PARSE_TEXT, -1},
    };
    const enum expo_parse_form fallback = EXPO_PARSE_TEXT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum expo_parse_form form = EXPO_PARSE_TEXT;
        struct err e;
        struct str type = str_from_c(rows[i].type);
        assert_true(expo_parse_form_of(type, &fallback, &form, &e));
        assert_int_equal((int)form, rows[i].with);
        bool ok = expo_parse_form_of(type, NULL, &form, &e);
        assert_int_equal(ok ? (int)form : -1, rows[i].without);
    }
}
