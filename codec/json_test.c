/* JSON: tokens, numbers, bounds, places of errors. */
#include "codec/json.h"

#include "base/buf.h"
#include "base/rng.h"
#include "base/test.h"
#include "codec/json_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct fixture {
    struct mem mem;
    struct json_parser *parser;
    struct json_doc doc;
    struct err e;
};

static void open_parser(struct fixture *f, uint32_t tokens_max, size_t line_bytes_max)
{
    *f = (struct fixture){0};
    mem_init(&f->mem, 0);
    f->parser = json_parser_new(&f->mem, tokens_max, line_bytes_max);
    assert_non_null(f->parser);
}

static void close_parser(struct fixture *f)
{
    json_parser_free(f->parser);
    assert_int_equal(f->mem.bytes, 0);
}

static bool parse(struct fixture *f, struct str text)
{
    err_clear(&f->e);
    return json_parse(f->parser, text, false, &f->doc, &f->e);
}

/* What tokens say, written back: parents, order and next are all used, so a wrong one shows. */
static void write_token(const struct json_doc *d, uint32_t i, struct buf *out)
{
    const struct json_token *t = &d->tokens[i];
    if (t->key.p) {
        buf_json_str(out, t->key);
        buf_char(out, ':');
    }
    switch (t->kind) {
    case JSON_NULL: BUF_LIT(out, "null"); break;
    case JSON_FALSE: BUF_LIT(out, "false"); break;
    case JSON_TRUE: BUF_LIT(out, "true"); break;
    case JSON_I64: buf_fmt(out, "i%lld", (long long)t->v.i64); break;
    case JSON_U64: buf_fmt(out, "u%llu", (unsigned long long)t->v.u64); break;
    case JSON_F64: buf_char(out, 'f'), buf_f64(out, t->v.f64); break;
    case JSON_STR: buf_json_str(out, t->v.str); break;
    case JSON_OBJECT:
    case JSON_ARRAY: {
        buf_char(out, t->kind == JSON_OBJECT ? '{' : '[');
        for (uint32_t c = i + 1; c < t->next; c = d->tokens[c].next) {
            assert_int_equal(d->tokens[c].parent, i);
            if (c > i + 1) {
                buf_char(out, ',');
            }
            write_token(d, c, out);
        }
        buf_char(out, t->kind == JSON_OBJECT ? '}' : ']');
        break;
    }
    }
}

static void check_tokens(struct fixture *f, struct str text, const char *expected)
{
    if (!parse(f, text)) {
        print_error("%.*s: col %u: %s\n", STR_FMT(text), f->e.col, f->e.msg);
        fail();
    }
    struct buf out;
    buf_init(&out, &f->mem, 1 << 20);
    write_token(&f->doc, 0, &out);
    assert_str(buf_str(&out), str_from_c(expected));
    assert_int_equal(f->doc.tokens[0].next, f->doc.tokens_count);
    buf_release(&out);
}

TEST(json_tokens_say_what_the_text_says)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"{}", "{}"},
        {"[]", "[]"},
        {" \t\r\n[ ] \n", "[]"},
        {"null", "null"},
        {"true", "true"},
        {"\"a\"", "\"a\""},
        {"-0", "i0"},
        {"12", "i12"},
        {"-12.5", "f-12.5"},
        {"1e3", "f1000"},
        {"[[],{},[[]],1]", "[[],{},[[]],i1]"},
        {"{\"a\":{\"b\":[1,{\"c\":null}],\"d\":false},\"e\":\"f\"}",
         "{\"a\":{\"b\":[i1,{\"c\":null}],\"d\":false},\"e\":\"f\"}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":i1,\"a\":i2}"},
        {"{\"\":1}", "{\"\":i1}"},
        {"\"\\u00e9\\n\\\"\\/\\ud83d\\ude00\"", "\"\xc3\xa9\\n\\\"/\xf0\x9f\x98\x80\""},
        {"{\"a\\tb\":\"\"}", "{\"a\\tb\":\"\"}"},
    };
    struct fixture f;
    open_parser(&f, 100, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_tokens(&f, str_from_c(cases[i].text), cases[i].expected);
    }
    close_parser(&f);
}

TEST(json_integers_keep_every_digit_up_to_64_bits)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    check_tokens(&f, STR("9223372036854775807"), "i9223372036854775807");
    check_tokens(&f, STR("-9223372036854775808"), "i-9223372036854775808");
    check_tokens(&f, STR("9223372036854775808"), "u9223372036854775808");
    check_tokens(&f, STR("18446744073709551615"), "u18446744073709551615");
    close_parser(&f);
}

TEST(json_integers_above_64_bits_are_doubles)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    assert_true(parse(&f, STR("18446744073709551616")));
    assert_int_equal(f.doc.tokens[0].kind, JSON_F64);
    assert_true(f.doc.tokens[0].v.f64 == 18446744073709551616.0);
    check_tokens(&f,
                 STR("{\"a\":\"99999999999999999999 \\\" 1\",\"b\":[1,-9223372036854775809,7]}"),
                 "{\"a\":\"99999999999999999999 \\\" 1\",\"b\":[i1,f-9.223372036854776e+18,i7]}");
    close_parser(&f);
}

TEST(json_numbers_beyond_a_double_are_refused_with_their_place)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    assert_true(parse(&f, STR("1.7976931348623157e308")));
    assert_true(parse(&f, STR("[0.00e999, 1e-999]")));
    assert_false(parse(&f, STR("[1,1e309]")));
    assert_int_equal(f.e.code, ERR_INPUT);
    assert_int_equal(f.e.col, 4);
    assert_false(parse(&f, STR("[123456789012345678901234567890e300]")));
    assert_int_equal(f.e.col, 2);
    assert_false(parse(&f, STR("1.7976931348623159e308")));
    assert_int_equal(f.e.col, 1);
    close_parser(&f);
}

struct bad {
    const char *text;
    uint32_t col;
    const char *msg;
};

static const struct bad bad_texts[] = {
    {"", 1, "expected a value, found the end"},
    {"   ", 4, "expected a value, found the end"},
    {"{", 2, "expected a key in '\"' or '}', found the end"},
    {"{\"a\":1]", 7, "expected ',' or '}' after a value, found ']'"},
    {"[1}", 3, "expected ',' or ']' after a value, found '}'"},
    {"[1,]", 4, "expected a value, found ']'"},
    {"[,1]", 2, "expected a value or ']', found ','"},
    {"{\"a\":1,}", 8, "expected a key in '\"', found '}'"},
    {"{a:1}", 2, "expected a key in '\"' or '}', found 'a'"},
    {"{\"a\" 1}", 6, "expected ':' after a key, found '1'"},
    {"{\"a\":}", 6, "expected a value, found '}'"},
    {"01", 1, "expected a number without leading zeros, found '0'"},
    {"-", 2, "expected a digit, found the end"},
    {"1.", 3, "expected a digit after the decimal point, found the end"},
    {"1.x", 3, "expected a digit after the decimal point, found 'x'"},
    {"2e+", 4, "expected a digit of the exponent, found the end"},
    {"+1", 1, "expected a value, found '+'"},
    {".5", 1, "expected a value, found '.'"},
    {"tru", 4, "expected 'true', found the end"},
    {"nulx", 4, "expected 'null', found 'x'"},
    {"NaN", 1, "expected a value, found 'N'"},
    {"1 2", 3, "expected the end after the value, found '2'"},
    {"{} x", 4, "expected the end after the value, found 'x'"},
    {"\"abc", 5, "expected a closing '\"', found the end"},
    {"\"a\x01\"", 3,
     "expected a closing '\"' (control characters must be escaped), found byte 0x01"},
    {"\"\\x\"", 3, "expected one of \" \\ / b f n r t u after '\\', found 'x'"},
    {"\"\\u12g4\"", 6, "expected four hexadecimal digits after '\\u', found 'g'"},
    {"\"\\ud800\"", 2, "expected a pair of surrogates, found half of one (\\ud800)"},
    {"\"\\udc00\"", 2, "expected a pair of surrogates, found half of one (\\udc00)"},
    {"\"\\ud800\\u0041\"", 2, "expected a pair of surrogates, found half of one (\\ud800)"},
    {"\"\xff\"", 2, "expected UTF-8, found byte 0xff"},
    {"\"\xc0\x80\"", 2, "expected UTF-8, found byte 0xc0"},
    {"\"\xed\xa0\x80\"", 2, "expected UTF-8, found byte 0xed"},
    {"\"\xe2\x82\"", 2, "expected UTF-8, found byte 0xe2"},
    {"{\"a\":1}\x00", 0, NULL},
};

TEST(json_errors_name_column_expected_and_found)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    for (size_t i = 0; i < ARRAY_LEN(bad_texts) - 1; i++) {
        const struct bad *b = &bad_texts[i];
        if (parse(&f, str_from_c(b->text))) {
            print_error("accepted: %s\n", b->text);
            fail();
        }
        assert_int_equal(f.e.code, ERR_INPUT);
        assert_int_equal(f.e.col, b->col);
        if (b->msg) {
            assert_string_equal(f.e.msg, b->msg);
        }
        struct err again = {0};
        assert_false(json_explain(str_from_c(b->text), &again));
        assert_string_equal(again.msg, f.e.msg);
    }
    assert_false(parse(&f, str_of("{\"a\":1}\0", 8)));
    assert_int_equal(f.e.col, 8);
    assert_string_equal(f.e.msg, "expected the end after the value, found byte 0x00");
    close_parser(&f);
}

TEST(json_nesting_is_bounded_exactly)
{
    struct fixture f;
    open_parser(&f, 1000, 4096);
    char text[2 * (JSON_DEPTH_MAX + 1)];
    for (int innermost = 0; innermost < 2; innermost++) {
        memset(text, '[', JSON_DEPTH_MAX);
        memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
        assert_true(parse(&f, str_of(text, 2 * JSON_DEPTH_MAX)));
        assert_int_equal(f.doc.tokens_count, JSON_DEPTH_MAX);
        memset(text, '[', JSON_DEPTH_MAX + 1);
        memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
        assert_false(parse(&f, str_of(text, sizeof text)));
        assert_int_equal(f.e.code, ERR_LIMIT);
        assert_string_equal(f.e.msg, "JSON is nested more than 32 levels");
    }
    /* Far beyond simdjson's own bound: still our words. */
    static char deep[4000];
    memset(deep, '[', sizeof deep);
    assert_false(parse(&f, str_of(deep, sizeof deep)));
    assert_int_equal(f.e.code, ERR_LIMIT);
    close_parser(&f);
}

TEST(json_values_and_bytes_are_bounded)
{
    struct fixture f;
    open_parser(&f, 4, 20);
    assert_true(parse(&f, STR("[1,2,3]")));
    assert_false(parse(&f, STR("[1,2,3,4]")));
    assert_int_equal(f.e.code, ERR_LIMIT);
    assert_string_equal(f.e.msg, "line has more than 4 JSON values");
    assert_true(parse(&f, STR("[1,2,      3]       ")));
    assert_false(parse(&f, STR("[1,2,      3]        ")));
    assert_int_equal(f.e.code, ERR_LIMIT);
    assert_true(parse(&f, STR("[]"))); /* and it goes on after errors */
    close_parser(&f);
}

TEST(json_padded_lines_are_read_in_place_beside_their_neighbours)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    char text[256] = "{\"a\":1}\n{\"a\":12}\n1\n23\n\"x\n";
    struct str rest = str_of(text, strlen(text));
    int64_t seen[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        struct str_cut cut = str_cut(rest, '\n');
        rest = cut.tail;
        assert_true(json_parse(f.parser, cut.head, true, &f.doc, &f.e));
        const struct json_token *t = &f.doc.tokens[f.doc.tokens_count - 1];
        assert_int_equal(t->kind, JSON_I64);
        seen[i] = t->v.i64;
    }
    assert_true(seen[0] == 1 && seen[1] == 12 && seen[2] == 1 && seen[3] == 23);
    assert_false(json_parse(f.parser, str_of(rest.p, 2), true, &f.doc, &f.e));
    assert_int_equal(f.e.col, 3);
    assert_false(json_parse(f.parser, str_of(rest.p, 0), true, &f.doc, &f.e));
    close_parser(&f);
}

TEST(json_numbers_read_as_doubles)
{
    struct fixture f;
    open_parser(&f, 100, 4096);
    assert_true(parse(&f, STR("[-3, 18446744073709551615, 2.5, \"1\", null]")));
    const struct json_token *t = f.doc.tokens;
    assert_true(json_as_f64(&t[1]) == -3);
    assert_true(json_as_f64(&t[2]) == 18446744073709551615.0);
    assert_true(json_as_f64(&t[3]) == 2.5);
    assert_true(json_is_number(&t[1]) && json_is_number(&t[2]) && json_is_number(&t[3]));
    assert_false(json_is_number(&t[4]) || json_is_number(&t[5]) || json_is_number(&t[0]));
    close_parser(&f);
}

TEST(json_locate_finds_the_column_of_a_path)
{
    struct str text =
        STR("{\"type\": \"x\", \"features\": {\"amount\": 12.5, \"amount\": 1, \"a\\tb\": 3},"
            " \"list\": [10, [20, 21], {\"k\": null}]}");
    static const struct {
        const char *path, *at;
    } cases[] = {
        {"type", "\"x\""},
        {"features", "{\"amount\""},
        {"features.amount", "12.5"},
        {"features.a\tb", "3}"},
        {"list.0", "10"},
        {"list.1.1", "21"},
        {"list.2.k", "null"},
        {"", "{\"type\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t col = json_locate(text, str_from_c(cases[i].path));
        const char *want = strstr(text.p, cases[i].at);
        assert_non_null(want);
        assert_int_equal(col, want - text.p + 1);
    }
    assert_int_equal(json_locate(text, STR("absent")), 0);
    assert_int_equal(json_locate(text, STR("features.b")), 0);
    assert_int_equal(json_locate(text, STR("list.3")), 0);
    assert_int_equal(json_locate(text, STR("list.x")), 0);
    assert_int_equal(json_locate(text, STR("type.a")), 0);
    assert_int_equal(json_locate(STR("{\"a\":"), STR("a")), 0);
    assert_int_equal(json_locate(STR(""), STR("a")), 0);
    assert_int_equal(json_locate(STR("[]"), STR("0")), 0);
}

/* Valid lines with one byte changed: both readers must agree on every one. */
TEST(json_fast_and_slow_path_agree_on_damaged_lines)
{
    static const char line[] =
        "{\"id\":\"E1\",\"s\":0.5e-3,\"n\":[1,-2,true,null,{\"k\":\"\\u00e9\xc3\xa9\"}],"
        "\"d\":{\"x\":18446744073709551616}}";
    struct fixture f;
    struct rng r;
    open_parser(&f, 100, 4096);
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        char text[sizeof line];
        memcpy(text, line, sizeof line);
        size_t n = sizeof line - 1 - rng_below(&r, 3);
        for (uint64_t k = rng_below(&r, 3); k > 0; k--) {
            static const char alphabet[] = "{}[],:\"\\ 0123456789eE+-.tfnu\xc3\xff\x01\t";
            text[rng_below(&r, n)] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        }
        bool fast = parse(&f, str_of(text, n));
        bool slow = json_scan_valid(str_of(text, n), NULL);
        if (fast != slow) {
            print_error("fast %d slow %d: %.*s\n", fast, slow, (int)n, text);
            fail();
        }
    }
    close_parser(&f);
}

FAULT_TEST(json_survives_lack_of_memory)
{
    struct err e = {0};
    struct json_doc doc;
    struct json_parser *p = json_parser_new(&w->mem, 10000, 1 << 16);
    if (!p) {
        return false;
    }
    static char text[12000];
    size_t n = 0;
    text[n++] = '[';
    for (int i = 0; i < 2000; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", i ? "," : "", i);
    }
    text[n++] = ']';
    bool ok = json_parse(p, STR("{\"a\":123456789012345678901}"), false, &doc, &e);
    ok = ok && json_parse(p, str_of(text, n), false, &doc, &e);
    assert_true(!ok || doc.tokens_count == 2001);
    assert_true(ok || e.code == ERR_NOMEM);
    json_parser_free(p);
    return ok;
}
