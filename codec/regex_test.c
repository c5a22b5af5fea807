#include "codec/regex.h"

#include "base/test.h"
#include "codec/regex_int.h"

struct row {
    const char *pattern, *text;
    bool match;
};

static struct regex *make(struct mem *m, const char *pattern, bool anchored)
{
    struct regex *r = NULL;
    struct err e = {0};
    if (!regex_new(m, str_from_c(pattern), anchored, &r, &e)) {
        print_error("%s: %s\n", pattern, e.msg);
        fail();
    }
    return r;
}

TEST(regex_anchored_matches)
{
    static const struct row rows[] = {
        {"", "", true},
        {"", "a", false},
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"a|b|cd", "cd", true},
        {"a|b|cd", "c", false},
        {"a|", "", true},
        {"(a|b)c", "bc", true},
        {"x(?:a|b|)y", "xy", true},
        {"x(a|b)y", "xby", true},
        {"x(a|b)y", "xbz", false},
        {"a.*", "a", true},
        {"a.+", "a", false},
        {"a.+", "a\n", true},
        {".*b", "ab", true},
        {".*b", "ba", false},
        {".*x.*", "axb", true},
        {".*x.*", "ab", false},
        {".+x.+", "xx", false},
        {".+x.+", "axb", true},
        {".*a.*b.*", "xaxbx", true},
        {".*a.*b.*", "xbxax", false},
        {"a.*a", "a", false},
        {"a.*a", "aa", true},
        {"a.+a", "aa", false},
        {"^a$", "a", true},
        {"^(?:a|b)$", "b", true},
        {"a\\.b", "a.b", true},
        {"a\\.b", "axb", false},
        {"a\\+", "a+", true},
        {"[ab]+", "abba", true},
        {"(?i)abc", "AbC", true},
        {"a.c", "a\nc", true},
        {"5..", "503", true},
        {"5..", "50", false},
        {".*", "", true},
        {".+", "", false},
        {".*.+", "a", true},
        {".*.+", "", false},
        {".+.+", "a", false},
        {".+.+", "ab", true},
        {"a{2}", "aa", true},
        {"a?", "", true},
        {"^a|b$", "b", true},
        {"(foo.*)bar", "fooxbar", true},
        {"\xc3\xa9.+", "\xc3\xa9x", true},
    };
    struct mem mem;
    mem_init(&mem, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *r = make(&mem, rows[i].pattern, true);
        if (regex_match(r, str_from_c(rows[i].text)) != rows[i].match) {
            print_error("/%s/ on \"%s\": not %d\n", rows[i].pattern, rows[i].text, rows[i].match);
            fail();
        }
        regex_free(r);
    }
    assert_int_equal(mem.bytes, 0);
}

TEST(regex_plan_takes_the_usual_shapes)
{
    static const struct {
        const char *pattern;
        enum regex_kind kind;
    } rows[] = {
        {"abc", REGEX_LITERALS},     {"a|b", REGEX_LITERALS},   {"(a|b|c)", REGEX_LITERALS},
        {"x(a|b)y", REGEX_LITERALS}, {"a\\.b", REGEX_LITERALS}, {"a.*", REGEX_GLOB},
        {"a.+", REGEX_GLOB},         {".*a.*", REGEX_GLOB},     {".*a", REGEX_GLOB},
        {"(.*)", REGEX_GLOB},        {"(?i)a", REGEX_RE2},      {"a*", REGEX_RE2},
        {"[ab]", REGEX_RE2},         {"a|b.*", REGEX_RE2},      {"(a)(b)", REGEX_RE2},
        {"\\d", REGEX_RE2},          {"a{2}", REGEX_RE2},       {".*(a|b)", REGEX_RE2},
        {"(a|b)+", REGEX_RE2},       {".*?a", REGEX_RE2},
    };
    struct mem mem;
    mem_init(&mem, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex_plan p;
        assert_true(regex_plan_make(&mem, str_from_c(rows[i].pattern), &p));
        if (p.kind != rows[i].kind) {
            print_error("/%s/ is of kind %d\n", rows[i].pattern, p.kind);
            fail();
        }
        regex_plan_release(&mem, &p);
    }
    assert_int_equal(mem.bytes, 0);
}

TEST(regex_literals_are_sorted_and_whole)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct regex *r = make(&mem, "x_(?:b|a|b|)_y", true);
    const struct str *v;
    assert_int_equal(regex_literals(r, &v), 3);
    assert_str(v[0], STR("x__y"));
    assert_str(v[1], STR("x_a_y"));
    assert_str(v[2], STR("x_b_y"));
    assert_str(regex_prefix(r), STR("x_"));
    regex_free(r);
    r = make(&mem, "node_[cd]isk", true);
    assert_int_equal(regex_literals(r, &v), 0);
    assert_str(regex_prefix(r), STR("node_"));
    regex_free(r);
    r = make(&mem, "node_.*", true);
    assert_int_equal(regex_literals(r, &v), 0);
    assert_str(regex_prefix(r), STR("node_"));
    regex_free(r);
    assert_int_equal(mem.bytes, 0);
}

TEST(regex_expand_is_that_of_go)
{
    static const struct {
        const char *pattern, *text, *replacement, *out; /* out NULL: no match */
    } rows[] = {
        {"(.*)", "abc", "$1", "abc"},
        {"(.*)", "abc", "${1}x$1x", "abcx"},
        {"node-(.*)", "node-7", "n$1$$", "n7$"},
        {"(a|b)_total", "b_total", "<$1|$0|$2>", "<b|b_total|>"},
        {"(.*)-x", "q-x", "$1", "q"},
        {"([^:]+):(\\d+)", "host:9100", "$2/$1", "9100/host"},
        {"([^:]+):(\\d+)", "host", "$2", NULL},
        {"(?P<h>[^:]+):.*", "host:9100", "${h}$h_x$ ${h", "host$ ${h"},
        {"(?<h>[^:]+):[(?<]\\(?\\Q(?<\\E(?<x>.)", "host:<((?<9", "$h/$x", "host/9"},
        {"[[:alpha:](?<]+(?<y>b)", "P(a<b", "$y", "b"},
        {"[[:digit:](?<]+(?<y>b)", "P(b", "$y", NULL},
        {"[](?<]+(?<y>b)[^](?<]", "](b.", "$y", "b"},
        {"(?:(a)|(b))c", "bc", "[$1][$2]", "[][b]"},
        {"abc", "abc", "$", "$"},
        {"abc", "abc", "${}$-", "${}$-"},
        {"foo.*", "foobar", "$0", "foobar"},
    };
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *r = make(&mem, rows[i].pattern, true);
        buf_reset(&out);
        bool ok = regex_expand(r, str_from_c(rows[i].text), str_from_c(rows[i].replacement), &out);
        assert_int_equal(ok, rows[i].out != NULL);
        assert_str(buf_str(&out), str_from_c(rows[i].out));
        regex_free(r);
    }
    buf_release(&out);
    assert_int_equal(mem.bytes, 0);
}

TEST(regex_replace_all_is_that_of_go)
{
    static const struct {
        const char *pattern, *text, *replacement, *out;
    } rows[] = {
        {"a", "banana", "<$0>", "b<a>n<a>n<a>"},
        {"a*", "baac", "x", "xbxcx"},
        {"", "ab", "-", "-a-b-"},
        {"(a)(n)?", "ana", "[$2$1]", "[na][a]"},
        {"z", "abc", "x", "abc"},
        {"$", "ab", "!", "ab!"},
        {"", "\xc3\xa9", "-", "-\xc3\xa9-"},
        {"a+", "", "x", ""},
    };
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct regex *r = make(&mem, rows[i].pattern, false);
        buf_reset(&out);
        regex_replace_all(r, str_from_c(rows[i].text), str_from_c(rows[i].replacement), &out);
        assert_str(buf_str(&out), str_from_c(rows[i].out));
        regex_free(r);
    }
    buf_release(&out);
    assert_int_equal(mem.bytes, 0);
}

static struct err refusal(const char *pattern)
{
    struct mem mem;
    struct err e = {0};
    struct regex *r;
    mem_init(&mem, 0);
    assert_false(regex_new(&mem, str_from_c(pattern), true, &r, &e));
    assert_null(r);
    assert_int_equal(mem.bytes, 0);
    return e;
}

TEST(regex_refuses_with_the_reason)
{
    assert_int_equal(refusal("a(b").code, ERR_INPUT);
    assert_non_null(strstr(refusal("a(b").msg, "missing )"));
    assert_int_equal(refusal("*").code, ERR_INPUT);
    assert_int_equal(refusal("a\xff").code, ERR_INPUT);
    assert_int_equal(refusal("a)|(b").code, ERR_INPUT);
    assert_int_equal(refusal("((a{100}){100}){100}").code, ERR_INPUT);
    assert_int_equal(refusal("(\\pL{900}|\\pN{900}){1}[ab]{999}(\\PL{700})").code, ERR_LIMIT);
    static char big[REGEX_BYTES_MAX + 2];
    memset(big, 'x', REGEX_BYTES_MAX + 1);
    assert_int_equal(refusal(big).code, ERR_LIMIT);
}

TEST(regex_unanchored_searches)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct regex *r = make(&mem, "b+", false);
    assert_true(regex_match(r, STR("abbc")));
    assert_false(regex_match(r, STR("ac")));
    assert_int_equal(regex_groups(r), 0);
    regex_free(r);
    assert_int_equal(mem.bytes, 0);
}

FAULT_TEST(regex_new_survives_any_fault)
{
    static const char *const patterns[] = {"a|b|c", "a.*b", "[a]+", "(x|y)z"};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct regex *r;
        struct err e = {0};
        bool made = regex_new(&w->mem, str_from_c(patterns[i]), true, &r, &e);
        assert_true(made || e.code == ERR_NOMEM);
        assert_int_equal(made, r != NULL);
        regex_free(r);
        ok = ok && made;
    }
    return ok;
}
