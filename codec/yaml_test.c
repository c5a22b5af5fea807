/* YAML trees, places, bounds and the words of errors. */
#include "codec/yaml.h"

#include "base/buf.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct mem mem;
    struct arena arena;
    struct yaml_node *root;
    struct err e;
};

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 64 << 20);
}

static void fixture_close(struct fixture *f)
{
    arena_release(&f->arena);
    assert_int_equal(f->mem.bytes, 0);
}

static bool parse(struct fixture *f, struct str text)
{
    err_clear(&f->e);
    return yaml_parse(text, "f.yml", &f->arena, &f->root, &f->e);
}

static void write_node(const struct yaml_node *n, struct buf *out)
{
    uint32_t count = 0;
    if (n->kind == YAML_SCALAR) {
        buf_fmt(out, n->quoted ? "'%.*s'" : "%.*s", STR_FMT(n->text));
        return;
    }
    buf_char(out, n->kind == YAML_MAPPING ? '{' : '[');
    for (const struct yaml_node *c = n->first; c; c = c->next, count++) {
        if (c != n->first) {
            buf_char(out, ',');
        }
        if (n->kind == YAML_MAPPING) {
            buf_fmt(out, "%.*s:", STR_FMT(c->key));
        }
        write_node(c, out);
    }
    assert_int_equal(count, n->children_count);
    buf_char(out, n->kind == YAML_MAPPING ? '}' : ']');
}

TEST(yaml_trees_say_what_the_text_says)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "{}"},
        {"# only a comment\n", "{}"},
        {"---\n", "{}"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         "{a:1}"},
        {"a: 1\nb:\n  - x\n  - 'y'\n  - \"z\\n\"\nc: {d: , e: [1, 2]}\n",
         "{a:1,b:[x,'y','z\n'],c:{d:,e:[1,2]}}"},
        {"- - 1\n- {}\n- []\n", "[[1],{},[]]"},
        {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{a:'one\ntwo\n',b:'one two\n'}"},
        {"x: &a {k: [1, 2]}\ny: *a\nz: [*a, *a]\n",
         "{x:{k:[1,2]},y:{k:[1,2]},z:[{k:[1,2]},{k:[1,2]}]}"},
        {"a: &v one\nb: *v\nc: &v two\nd: *v\n", "{a:one,b:one,c:two,d:two}"},
        {"a: !!str 5\nb: !!int 5\nc: ! 5\n", "{a:'5',b:5,c:'5'}"},
        {"\"quoted key\": 1\n\"<<\": 2\n", "{quoted key:1,<<:2}"},
        {"just text\n", "just text"},
        {"{\"json\": [true, null, 1.5, \"s\"]}", "{json:[true,null,1.5,'s']}"},
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, &f.mem, 4096);
        if (!parse(&f, str_from_c(cases[i].text))) {
            print_error("%s\n%u:%u: %s\n", cases[i].text, f.e.line, f.e.col, f.e.msg);
            fail();
        }
        write_node(f.root, &out);
        assert_str(buf_str(&out), str_from_c(cases[i].expected));
        buf_release(&out);
    }
    fixture_close(&f);
}

TEST(yaml_nodes_know_where_they_stand)
{
    struct fixture f;
    fixture_open(&f);
    assert_true(parse(&f, STR("a: 1\n\xc3\xa9\xc3\xa9:\n  - x\n  -   y\nz: &q [w]\nlast: *q\n")));
    const struct yaml_node *list = yaml_get(f.root, STR("\xc3\xa9\xc3\xa9"));
    assert_int_equal(f.root->line, 1);
    assert_int_equal(f.root->col, 1);
    assert_int_equal(list->key_line, 2);
    assert_int_equal(list->key_col, 1);
    assert_int_equal(list->line, 3);
    assert_int_equal(list->first->next->line, 4);
    assert_int_equal(list->first->next->col, 7);
    const struct yaml_node *last = yaml_get(f.root, STR("last"));
    assert_int_equal(last->line, 6);
    assert_int_equal(last->col, 7);
    assert_int_equal(last->first->line, 5); /* where the value stands, not where it is named */
    assert_null(yaml_get(f.root, STR("b")));
    assert_null(yaml_get(list, STR("x")));
    assert_null(yaml_get(NULL, STR("x")));
    fixture_close(&f);
}

TEST(yaml_null_is_plain_and_empty_tilde_or_null)
{
    struct fixture f;
    fixture_open(&f);
    assert_true(parse(&f, STR("[~, null, Null, , '', '~', nul, {}]")) ||
                parse(&f, STR("- ~\n- null\n- Null\n-\n- ''\n- '~'\n- nul\n- {}\n")));
    static const bool expected[] = {true, true, true, true, false, false, false, false};
    size_t i = 0;
    for (const struct yaml_node *c = f.root->first; c; c = c->next) {
        assert_int_equal(yaml_is_null(c), expected[i++]);
    }
    assert_int_equal(i, ARRAY_LEN(expected));
    fixture_close(&f);
}

TEST(yaml_errors_name_the_place_and_what_is_wrong)
{
    static const struct {
        const char *text;
        uint32_t line, col;
        const char *msg;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", 3, 1, "key \"a\" is already set on line 1"},
        {"x:\n  k: 1\n  k: 2\n", 3, 3, "key \"k\" is already set on line 2"},
        {"{b: 1, a: 2, b: 3}", 1, 14, "key \"b\" is already set on line 1"},
        {"a:\n\t- b\n", 2, 1, "expected spaces, found a tab"},
        {"a: 1\n---\nb: 2\n", 2, 1, "expected one document, found a second"},
        {"? [a]\n: 1\n", 1, 3, "expected a key, found a list"},
        {"? {a: 1}\n: 1\n", 1, 3, "expected a key, found a mapping"},
        {"a: &x 1\n*x : 2\n", 2, 1, "expected a key, found an alias"},
        {"&x a: 1\n", 1, 1, "expected a key without an anchor"},
        {"a: *nope\n", 1, 4, "alias *nope has no anchor before it"},
        {"a: &x [*x]\n", 1, 8, "alias *x stands inside what it names"},
        {"b: &x {c: 1}\na:\n  <<: *x\n", 3, 3,
         "merge keys (<<) are not supported, write the keys out"},
        {"a: !!python/object 1\n", 1, 4, "expected a plain value, found the tag \"python/object\""},
        {"a: !mine 1\n", 1, 4, "expected a plain value, found the tag \"!mine\""},
        {"a: \"x\n", 2, 1, NULL},
        {"a: b: c\n", 1, 5, NULL},
        {"a: [1, 2\nb: 3\n", 2, 2, NULL},
        {"a: 1\n  b: 2\n", 2, 4, NULL},
        {"ok: 1\nbad: \xff\n", 2, 6, NULL},
        {"ok: 1\nbad: \x01\n", 2, 6, NULL},
        {"a: %x\n", 1, 4, NULL},
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (parse(&f, str_from_c(cases[i].text))) {
            print_error("accepted: %s\n", cases[i].text);
            fail();
        }
        if (f.e.line != cases[i].line || f.e.col != cases[i].col ||
            (cases[i].msg && strcmp(f.e.msg, cases[i].msg) != 0)) {
            print_error("%sgave %u:%u: %s\n", cases[i].text, f.e.line, f.e.col, f.e.msg);
            fail();
        }
        assert_int_equal(f.e.code, ERR_INPUT);
        assert_string_equal(f.e.where, "f.yml");
        assert_null(f.root);
    }
    fixture_close(&f);
}

TEST(yaml_bombs_are_limits)
{
    struct fixture f;
    char text[4096];
    size_t n = 0;
    fixture_open(&f);
    n += (size_t)snprintf(text, sizeof text, "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "l%d: &l%d [*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d]\n", i,
                              i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                              i - 1);
    }
    assert_false(parse(&f, str_of(text, n)));
    assert_int_equal(f.e.code, ERR_LIMIT);
    assert_string_equal(f.e.msg, "file has more than 200000 values, aliases expanded");
    fixture_close(&f);
}

TEST(yaml_nesting_is_bounded_with_aliases_followed)
{
    struct fixture f;
    char text[512];
    fixture_open(&f);
    memset(text, '[', 40);
    memset(text + 40, ']', 40);
    assert_true(parse(&f, str_of(text + 40 - YAML_DEPTH_MAX, 2 * YAML_DEPTH_MAX)));
    assert_false(parse(&f, str_of(text + 39 - YAML_DEPTH_MAX, 2 * YAML_DEPTH_MAX + 2)));
    assert_int_equal(f.e.code, ERR_LIMIT);
    assert_string_equal(f.e.msg, "values are nested more than 32 levels");
    /* 20 levels, named from level 13: 1 (root) + 12 + 20 is one too many. */
    for (int levels = 11; levels <= 12; levels++) {
        int n = snprintf(text, sizeof text, "- &a %.20s%.20s\n- %.*s*a%.*s\n",
                         "[[[[[[[[[[[[[[[[[[[[[[", "]]]]]]]]]]]]]]]]]]]]]]", levels,
                         "[[[[[[[[[[[[[[[[[[[[[[", levels, "]]]]]]]]]]]]]]]]]]]]]]");
        assert_int_equal(parse(&f, str_of(text, (size_t)n)), levels == 11);
    }
    assert_int_equal(f.e.code, ERR_LIMIT);
    fixture_close(&f);
}

TEST(yaml_values_are_bounded_and_many_keys_are_quick)
{
    struct fixture f;
    struct buf text;
    fixture_open(&f);
    buf_init(&text, &f.mem, 32 << 20);
    for (int i = 0; i < YAML_NODES_MAX - 1; i++) {
        buf_fmt(&text, "k%d: 1\n", i);
    }
    assert_true(parse(&f, buf_str(&text)));
    assert_int_equal(f.root->children_count, YAML_NODES_MAX - 1);
    BUF_LIT(&text, "last: 1\n");
    assert_false(parse(&f, buf_str(&text)));
    assert_int_equal(f.e.code, ERR_LIMIT);
    buf_release(&text);
    fixture_close(&f);
}

FAULT_TEST(yaml_survives_lack_of_memory)
{
    struct arena a;
    struct yaml_node *root = NULL;
    struct err e = {0};
    struct buf text;
    struct mem own;
    mem_init(&own, 0);
    buf_init(&text, &own, 1 << 20);
    for (int i = 0; i < 800; i++) {
        buf_fmt(&text, "key%d: &a%d [value, 'other', {k: v}]\n", i, i % 200);
    }
    text.n = (size_t)((char *)memrchr(text.p, '\n', text.n / 4) - text.p);
    arena_init(&a, &w->mem, 1 << 20);
    bool ok = yaml_parse(buf_str(&text), "f", &a, &root, &e);
    assert_true(ok || e.code == ERR_LIMIT || e.code == ERR_NOMEM);
    arena_release(&a);
    buf_release(&text);
    return ok;
}

/* Files of the Prometheus world: merge keys, and only the first document. */
TEST(yaml_first_document_with_merge_keys)
{
    struct fixture f;
    bool more = false;
    fixture_open(&f);
    assert_true(yaml_parse_first(STR("- &a {x: 1, y: 2}\n- &b {y: 3, z: 4}\n- {<<: *a, y: 9}\n"
                                     "- {<<: [*b, *a]}\n---\nsecond: [\n"),
                                 "t.yml", &f.arena, &f.root, &more, &f.e));
    assert_true(more);
    assert_int_equal(f.root->children_count, 4);
    const struct yaml_node *third = f.root->first->next->next;
    assert_int_equal(third->children_count, 2);
    assert_str(yaml_get(third, STR("x"))->text, STR("1"));
    assert_str(yaml_get(third, STR("y"))->text, STR("9"));
    const struct yaml_node *fourth = third->next;
    assert_int_equal(fourth->children_count, 3);
    assert_str(yaml_get(fourth, STR("y"))->text, STR("3"));
    assert_null(yaml_get(fourth, STR("<<")));
    /* What they name is left as it was. */
    assert_int_equal(f.root->first->children_count, 2);
    assert_true(yaml_parse_first(STR("a: 1\n"), "t.yml", &f.arena, &f.root, &more, &f.e));
    assert_false(more);
    assert_false(
        yaml_parse_first(STR("a: &x 1\nb: {<<: *x}\n"), "t.yml", &f.arena, &f.root, &more, &f.e));
    assert_string_equal(f.e.msg, "expected a mapping for the merge key, found a value");
    fixture_close(&f);
}
