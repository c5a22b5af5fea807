/* Answers of the query API as `farol query` shows them: every type read, tables, CSV, plots, text
 * that tries to write to the terminal. */
#include "server/answer_int.h"

#include "base/test.h"

#include <math.h>

struct rig {
    struct mem mem;
    struct arena arena;
    struct json_parser *json;
    struct buf out;
    struct server_answer x;
    struct err e;
};

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    mem_init(&r->mem, 0);
    arena_init(&r->arena, &r->mem, 4U << 20);
    buf_init(&r->out, &r->mem, 1U << 20);
    r->json = json_parser_new(&r->mem, 10000, 1U << 20);
    assert_non_null(r->json);
}

static void rig_release(struct rig *r)
{
    json_parser_free(r->json);
    buf_release(&r->out);
    arena_release(&r->arena);
    assert_int_equal(r->mem.bytes, 0);
}

static bool read(struct rig *r, const char *json)
{
    arena_reset(&r->arena);
    err_clear(&r->e);
    return server_answer_read(r->json, str_from_c(json), &r->arena, &r->x, &r->e);
}

static void table(struct rig *r, const char *json, const char *expected)
{
    assert_true(read(r, json));
    buf_reset(&r->out);
    server_answer_table(&r->x, &r->out);
    assert_str(buf_str(&r->out), str_from_c(expected));
}

static void csv(struct rig *r, const char *json, const char *expected)
{
    assert_true(read(r, json));
    buf_reset(&r->out);
    server_answer_csv(&r->x, &r->out);
    assert_str(buf_str(&r->out), str_from_c(expected));
}

#define ANSWER(type, result) \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"" type "\",\"result\":" result "}}"
#define TWO                                                                                       \
    ANSWER("vector", "[{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":[10,\"1\"]},{"   \
                     "\"metric\":{\"job\":\"\xc3\xa7\xc3\xa3o\",\"x\":\"y\"},\"value\":[10.5,\"-" \
                     "Inf\"]}]")
#define LINES                                                                       \
    ANSWER(                                                                         \
        "matrix",                                                                   \
        "[{\"metric\":{\"__name__\":\"m\"},\"values\":[[0,\"0\"],[60,\"10\"],[120," \
        "\"20\"]]},{\"metric\":{\"a\":\"b\"},\"values\":[[0,\"20\"],[60,\"NaN\"],[120,\"0\"]]}]")

TEST(answer_tables_of_every_type)
{
    struct rig r;
    rig_init(&r);
    table(&r, ANSWER("vector", "[]"), "");
    assert_int_equal(r.x.series_n, 0);
    table(&r, TWO,
          "up{job=\"a\"}        1\n"
          "{job=\"\xc3\xa7\xc3\xa3o\",x=\"y\"}  -Inf\n");
    assert_true(r.x.series[1].points[0].v == -(double)INFINITY);
    table(&r, ANSWER("scalar", "[7,\"2.5\"]"), "2.5\n");
    table(&r, ANSWER("string", "[7,\"a b\"]"), "a b\n");
    table(&r, ANSWER("vector", "[{\"metric\":{},\"value\":[1,\"3\"]}]"), "{}  3\n");
    table(&r,
          ANSWER("vector",
                 "[{\"metric\":{\"__name__\":\"h\"},\"histogram\":[1,{\"count\":\"6\",\"sum\":"
                 "\"3\",\"buckets\":[]}]}]"),
          "h  count 6\n");
    table(&r, LINES,
          "m        1970-01-01T00:00:00Z  0\n"
          "         1970-01-01T00:01:00Z  10\n"
          "         1970-01-01T00:02:00Z  20\n"
          "{a=\"b\"}  1970-01-01T00:00:00Z  20\n"
          "         1970-01-01T00:01:00Z  NaN\n"
          "         1970-01-01T00:02:00Z  0\n");
    rig_release(&r);
}

TEST(answer_csv_quotes_labels)
{
    struct rig r;
    rig_init(&r);
    csv(&r, ANSWER("vector", "[]"), "series,time,value\n");
    csv(&r, TWO,
        "series,time,value\n"
        "\"up{job=\"\"a\"\"}\",1970-01-01T00:00:10Z,1\n"
        "\"{job=\"\"\xc3\xa7\xc3\xa3o\"\",x=\"\"y\"\"}\",1970-01-01T00:00:10.500Z,-Inf\n");
    rig_release(&r);
}

TEST(answer_text_cannot_write_to_the_terminal)
{
    struct rig r;
    rig_init(&r);
    table(&r,
          ANSWER("vector", "[{\"metric\":{\"__name__\":\"a\\u001b\",\"q\":\"\\\"\\\\\\n\\u009b\"},"
                           "\"value\":[1,\"1\"]}]"),
          "a\\x1b{q=\"\\\"\\\\\\x0a\\xc2\\x9b\"}  1\n");
    table(&r, ANSWER("string", "[7,\"\\u001b[2J\xc3\xa7\"]"), "\\x1b[2J\xc3\xa7\n");
    assert_true(
        read(&r, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"no\\u0007\"}"));
    assert_str(r.x.error, STR("no\\x07"));
    rig_release(&r);
}

TEST(answer_notes_and_errors_are_read)
{
    struct rig r;
    rig_init(&r);
    assert_true(read(&r,
                     "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},"
                     "\"infos\":[\"i\"],\"warnings\":[\"w\",3,\"v\"]}"));
    assert_int_equal(r.x.notes_n, 3);
    assert_str(r.x.notes[0], STR("w"));
    assert_str(r.x.notes[1], STR("v"));
    assert_str(r.x.notes[2], STR("i"));
    assert_int_equal(r.x.error.n, 0);
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "7",
        "{\"data\":7}",
        "{\"data\":{\"resultType\":\"vector\"}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":{}}}",
        ANSWER("vector", "[{\"metric\":{},\"value\":[1]}]"),
        ANSWER("vector", "[{\"metric\":{},\"value\":[1,2]}]"),
        ANSWER("vector", "[{\"metric\":{},\"value\":[\"1\",\"2\"]}]"),
        ANSWER("vector", "[{\"metric\":{},\"value\":[1e300,\"2\"]}]"),
        ANSWER("matrix", "[{\"metric\":{},\"values\":[[1,\"2\"],[2]]}]"),
        ANSWER("scalar", "[]"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (read(&r, bad[i])) {
            print_error("read: %s\n", bad[i]);
            fail();
        }
        assert_true(r.e.code != ERR_NONE);
    }
    rig_release(&r);
}

static void plot(struct rig *r, const char *json, uint32_t columns, uint32_t rows, bool color)
{
    assert_true(read(r, json));
    buf_reset(&r->out);
    server_answer_plot(&r->x, columns, rows, color, &r->out);
    assert_false(r->out.failed);
}

TEST(answer_plot_draws_lines_with_scales_and_a_legend)
{
    struct rig r;
    rig_init(&r);
    plot(&r,
         ANSWER("matrix",
                "[{\"metric\":{\"__name__\":\"m\"},\"values\":[[0,\"0\"],[60,\"10\"],[120,\"20\"]]"
                "}]"),
         32, 4, false);
    assert_str(buf_str(&r.out), STR("        20 |               ⢀⣠⠔⠒⠉\n"
                                    "           |          ⣀⠤⠔⠒⠉⠁    \n"
                                    "     6.667 |    ⢀⣀⠤⠔⠒⠉⠁         \n"
                                    "         0 |⣀⠤⠔⠚⠁               \n"
                                    "            00:00:00    00:02:00\n"
                                    "  ■ m  20\n"));
    rig_release(&r);
}

TEST(answer_plot_stays_within_its_columns)
{
    static const uint32_t widths[] = {0, 33, 80, 200, 100000};
    struct rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        plot(&r, LINES, widths[i], 14, false);
        uint32_t lines = 0, columns = 0, widest = 0;
        for (size_t k = 0; k < r.out.n; k++) {
            const unsigned char c = (unsigned char)r.out.p[k];
            assert_true(c >= 0x20 || c == '\n');
            lines += c == '\n';
            columns = c == '\n' ? 0 : columns + ((c & 0xc0) != 0x80);
            widest = columns > widest ? columns : widest;
        }
        assert_int_equal(lines, 14 + 1 + 2); /* rows, axis, legend of two */
        const uint32_t most = widths[i] < 33 ? 32 : widths[i] > 524 ? 524 : widths[i];
        assert_true(widest <= most);
    }
    plot(&r, LINES, 80, 14, true);
    assert_true(str_contains(buf_str(&r.out), STR("\033[36m")));
    assert_true(str_contains(buf_str(&r.out), STR("\033[33m")));
    plot(&r, TWO, 80, 14, false); /* single points are no line: the table is for them */
    assert_true(r.out.n == 0 || !str_contains(buf_str(&r.out), STR("up{job")));
    plot(&r, ANSWER("vector", "[]"), 80, 14, false);
    assert_int_equal(r.out.n, 0);
    rig_release(&r);
}
