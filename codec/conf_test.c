/* Sections from tables: values, defaults, bounds, suggestions, and how errors are shown. */
#include "codec/conf.h"

#include "base/test.h"

#include <math.h>
#include <string.h>

struct settings {
    bool on;
    int64_t shards;
    double share;
    int64_t window_ms, idle_ms;
    uint64_t journal_bytes;
    struct str path;
    struct conf_strs stages, hosts;
    int64_t doubled;
};

static bool read_doubled(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    static const struct conf_field f = {.key = "doubled", .type = CONF_T_I64, .min = 1, .max = 10};
    int64_t v = 0;
    if (!conf_scalar(&f, n, &v, a, e)) {
        return false;
    }
    v *= 2;
    memcpy(dst, &v, sizeof v);
    return true;
}

static const struct conf_field fields[] = {
    CONF_BOOL(struct settings, on, "on", "yes", "switches it on"),
    CONF_I64(struct settings, shards, "shards", "2", 1, 64, "worker threads"),
    CONF_F64(struct settings, share, "share", "0.25", 0, 1, "a share"),
    CONF_DURATION(struct settings, window_ms, "window", "60s", 1000, 3600000, "how long to wait"),
    CONF_DURATION(struct settings, idle_ms, "idle_after", "1h30m", 0, 0, "then time goes on alone"),
    CONF_BYTES(struct settings, journal_bytes, "journal_max", "64MiB", 1048576, 1073741824, "cap"),
    CONF_STR(struct settings, path, "path", "./farol-data", "folder"),
    CONF_STR_LIST(struct settings, stages, "stages", "[ingest, score]", 1, 3, "stages in order"),
    CONF_STR_LIST(struct settings, hosts, "hosts", NULL, 0, 0, "host names"),
    CONF_CUSTOM(struct settings, doubled, "doubled", "a number, doubled", read_doubled),
};

struct fixture {
    struct mem mem;
    struct arena arena;
    struct settings s;
    struct err e;
    struct buf out;
};

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 1 << 20);
    buf_init(&f->out, &f->mem, 1 << 16);
}

static void fixture_close(struct fixture *f)
{
    buf_release(&f->out);
    arena_release(&f->arena);
    assert_int_equal(f->mem.bytes, 0);
}

/* Reads section "pipeline" of a text. */
static bool read_text(struct fixture *f, const char *text)
{
    struct yaml_node *root = NULL;
    err_clear(&f->e);
    f->s = (struct settings){0};
    assert_true(yaml_parse(str_from_c(text), "farol.yml", &f->arena, &root, &f->e));
    f->e.where = "farol.yml";
    return conf_read(fields, ARRAY_LEN(fields), yaml_get(root, STR("pipeline")), &f->s, &f->arena,
                     &f->e);
}

static void check_defaults(const struct settings *s)
{
    assert_true(s->on);
    assert_int_equal(s->shards, 2);
    assert_true(s->share == 0.25);
    assert_int_equal(s->window_ms, 60000);
    assert_int_equal(s->idle_ms, 5400000);
    assert_int_equal(s->journal_bytes, 64 << 20);
    assert_str(s->path, STR("./farol-data"));
    assert_int_equal(s->stages.count, 2);
    assert_str(s->stages.v[1], STR("score"));
    assert_int_equal(s->hosts.count, 0);
    assert_int_equal(s->doubled, 0);
}

TEST(conf_defaults_hold_without_a_section_and_without_values)
{
    struct fixture f;
    fixture_open(&f);
    assert_true(read_text(&f, "other: 1\n"));
    check_defaults(&f.s);
    assert_true(read_text(&f, "pipeline:\n"));
    check_defaults(&f.s);
    assert_true(read_text(&f, "pipeline: {}\n"));
    check_defaults(&f.s);
    assert_true(read_text(&f, "pipeline: {window: , stages: ~, doubled: null, path: }\n"));
    check_defaults(&f.s);
    fixture_close(&f);
}

TEST(conf_values_of_every_type)
{
    struct fixture f;
    fixture_open(&f);
    assert_true(read_text(&f, "pipeline:\n  on: Off\n  shards: 64\n  share: 1\n  window: \"1h\"\n"
                              "  idle_after: 0\n  journal_max: 1GiB\n  path: ''\n"
                              "  stages: [a, 'b c', 3]\n  hosts: []\n  doubled: 10\n"));
    assert_false(f.s.on);
    assert_int_equal(f.s.shards, 64);
    assert_true(f.s.share == 1);
    assert_int_equal(f.s.window_ms, 3600000);
    assert_int_equal(f.s.idle_ms, 0);
    assert_int_equal(f.s.journal_bytes, 1 << 30);
    assert_true(f.s.path.p && f.s.path.n == 0);
    assert_int_equal(f.s.stages.count, 3);
    assert_str(f.s.stages.v[1], STR("b c"));
    assert_str(f.s.stages.v[2], STR("3"));
    assert_int_equal(f.s.hosts.count, 0);
    assert_int_equal(f.s.doubled, 20);
    fixture_close(&f);
}

TEST(conf_errors_say_what_was_expected_and_found)
{
    static const struct {
        const char *text;
        uint32_t line, col;
        const char *msg;
    } cases[] = {
        {"pipeline: {window: 90}", 1, 20,
         "pipeline.window: expected a duration from 1s to 1h, found \"90\""},
        {"pipeline: {window: 2h}", 1, 20,
         "pipeline.window: expected a duration from 1s to 1h, found \"2h\""},
        {"pipeline: {window: 0}", 1, 20,
         "pipeline.window: expected a duration from 1s to 1h, found \"0\""},
        {"pipeline: {idle_after: soon}", 1, 24,
         "pipeline.idle_after: expected a duration, found \"soon\""},
        {"pipeline: {shards: 0}", 1, 20,
         "pipeline.shards: expected an integer from 1 to 64, found \"0\""},
        {"pipeline: {shards: 65}", 1, 20,
         "pipeline.shards: expected an integer from 1 to 64, found \"65\""},
        {"pipeline: {shards: '3'}", 1, 20,
         "pipeline.shards: expected an integer from 1 to 64, found \"3\""},
        {"pipeline: {shards: 2.5}", 1, 20,
         "pipeline.shards: expected an integer from 1 to 64, found \"2.5\""},
        {"pipeline: {share: 1.01}", 1, 19,
         "pipeline.share: expected a number from 0 to 1, found \"1.01\""},
        {"pipeline: {share: .nan}", 1, 19,
         "pipeline.share: expected a number from 0 to 1, found \".nan\""},
        {"pipeline: {on: maybe}", 1, 16, "pipeline.on: expected true or false, found \"maybe\""},
        {"pipeline: {on: 'true'}", 1, 16, "pipeline.on: expected true or false, found \"true\""},
        {"pipeline: {journal_max: 1KiB}", 1, 25,
         "pipeline.journal_max: expected a size from 1MiB to 1GiB, found \"1KiB\""},
        {"pipeline: {path: [a]}", 1, 18, "pipeline.path: expected a string, found a list"},
        {"pipeline: {window: {a: 1}}", 1, 20,
         "pipeline.window: expected a duration from 1s to 1h, found a mapping"},
        {"pipeline: {stages: []}", 1, 20,
         "pipeline.stages: expected a list of 1 to 3 strings, found a list"},
        {"pipeline: {stages: [a, b, c, d]}", 1, 20,
         "pipeline.stages: expected a list of 1 to 3 strings, found a list"},
        {"pipeline: {stages: score}", 1, 20,
         "pipeline.stages: expected a list of 1 to 3 strings, found \"score\""},
        {"pipeline: {hosts: [a, [b]]}", 1, 23,
         "pipeline.hosts: expected a list of strings, found a list"},
        {"pipeline: {doubled: 11}", 1, 21,
         "doubled: expected an integer from 1 to 10, found \"11\""},
        {"pipeline: {windw: 1s}", 1, 12,
         "pipeline: unknown key \"windw\", did you mean \"window\"?"},
        {"pipeline: {shard: 1}", 1, 12,
         "pipeline: unknown key \"shard\", did you mean \"shards\"?"},
        {"pipeline: {completely_else: 1}", 1, 12, "pipeline: unknown key \"completely_else\""},
        {"pipeline: 5", 1, 11, "pipeline: expected a mapping, found a single value"},
        {"pipeline: [1]", 1, 11, "pipeline: expected a mapping, found a list"},
        {"pipeline: {path: x, on: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", 1, 25,
         "pipeline.on: expected true or false, found "
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"..."},
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (read_text(&f, cases[i].text)) {
            print_error("accepted: %s\n", cases[i].text);
            fail();
        }
        assert_string_equal(f.e.msg, cases[i].msg);
        assert_int_equal(f.e.line, cases[i].line);
        assert_int_equal(f.e.col, cases[i].col);
        assert_int_equal(f.e.code, ERR_INPUT);
        assert_string_equal(f.e.where, "farol.yml");
    }
    fixture_close(&f);
}

static void check_shown(struct fixture *f, struct err e, struct str text, const char *expected)
{
    buf_reset(&f->out);
    conf_err_show(&e, text, &f->out);
    assert_str(buf_str(&f->out), str_from_c(expected));
}

TEST(conf_errors_are_shown_with_line_and_caret)
{
    struct fixture f;
    struct err e = {.code = ERR_INPUT, .line = 2, .col = 11, .where = "farol.yml", .msg = "wrong"};
    fixture_open(&f);
    check_shown(&f, e, STR("pipeline:\n  window: 90\nmore: 1\n"),
                "farol.yml:2:11: wrong\n   2 |   window: 90\n     |           ^\n");
    check_shown(&f, e, STR("a\r\n\tw\xc3\xa9ndow:\t90\r\n"),
                "farol.yml:2:11: wrong\n   2 | \tw\xc3\xa9ndow:\t90\n     | \t       \t ^\n");
    e.col = 0;
    check_shown(&f, e, STR("a\nb"), "farol.yml:2: wrong\n   2 | b\n");
    e.col = 99;
    check_shown(&f, e, STR("a\nb\n"), "farol.yml:2:99: wrong\n   2 | b\n     |  ^\n");
    e.line = 9;
    check_shown(&f, e, STR("a\nb\n"), "farol.yml:9:99: wrong\n");
    e.line = 0;
    e.col = 0;
    check_shown(&f, e, STR("a\nb\n"), "farol.yml: wrong\n");
    e.line = 1;
    e.col = 2;
    check_shown(&f, e, STR("a\x1b[31mb\n"), "farol.yml:1:2: wrong\n   1 | a?[31mb\n     |  ^\n");
    /* A long line becomes a window, and the caret stays under its character. */
    char line[500];
    memset(line, '.', sizeof line);
    line[299] = 'X';
    e.col = 300;
    buf_reset(&f.out);
    conf_err_show(&e, str_of(line, sizeof line), &f.out);
    struct str_cut head = str_cut(buf_str(&f.out), '\n');
    struct str_cut shown = str_cut(head.tail, '\n');
    const char *x = memchr(shown.head.p, 'X', shown.head.n);
    const char *caret = memchr(shown.tail.p, '^', shown.tail.n);
    assert_non_null(x);
    assert_non_null(caret);
    assert_int_equal(x - shown.head.p, caret - shown.tail.p);
    assert_true(shown.head.n < 140);
    assert_true(str_starts(shown.head, STR("   1 | ...")) && str_ends(shown.head, STR("...")));
    fixture_close(&f);
}

TEST(conf_paths_begin_in_their_directory)
{
    static const struct {
        const char *dir;
        struct str path, is;
    } rows[] = {
        {"/d", STR_INIT("p/q"), STR_INIT("/d/p/q")}, {"/d/", STR_INIT("p"), STR_INIT("/d/p")},
        {"", STR_INIT("p"), STR_INIT("p")},          {"/d", STR_INIT("/p"), STR_INIT("/p")},
        {"/d", STR_INIT(""), STR_INIT("")},
    };
    struct mem m;
    struct arena a;
    mem_init(&m, 0);
    arena_init(&a, &m, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct str s = conf_path(rows[i].dir, rows[i].path, &a);
        assert_str(s, rows[i].is);
        assert_true(s.p && (s.n == 0 || s.p != rows[i].path.p)); /* a copy */
    }
    while (arena_take(&a, 16, 1)) {
    }
    assert_null(conf_path("/directory/of/it", STR("and a name"), &a).p);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

TEST(conf_describe_writes_one_line_per_key)
{
    struct fixture f;
    fixture_open(&f);
    conf_describe(fields, ARRAY_LEN(fields), STR("pipeline"), &f.out);
    assert_str(buf_str(&f.out),
               STR("pipeline.on\tyes\tswitches it on (true or false)\n"
                   "pipeline.shards\t2\tworker threads (an integer from 1 to 64)\n"
                   "pipeline.share\t0.25\ta share (a number from 0 to 1)\n"
                   "pipeline.window\t60s\thow long to wait (a duration from 1s to 1h)\n"
                   "pipeline.idle_after\t1h30m\tthen time goes on alone (a duration)\n"
                   "pipeline.journal_max\t64MiB\tcap (a size from 1MiB to 1GiB)\n"
                   "pipeline.path\t./farol-data\tfolder (a string)\n"
                   "pipeline.stages\t[ingest, score]\tstages in order (a list of 1 to 3 strings)\n"
                   "pipeline.hosts\t\thost names (a list of strings)\n"
                   "pipeline.doubled\t\ta number, doubled\n"));
    fixture_close(&f);
}

FAULT_TEST(conf_survives_lack_of_memory)
{
    struct arena a;
    struct yaml_node *root = NULL;
    struct settings s = {0};
    struct err e = {0};
    arena_init(&a, &w->mem, 1 << 20);
    bool ok = yaml_parse(STR("p: {stages: [a, b], path: x}"), "f", &a, &root, &e) &&
              conf_read(fields, ARRAY_LEN(fields), yaml_get(root, STR("p")), &s, &a, &e);
    assert_true(ok || e.code == ERR_LIMIT || e.code == ERR_NOMEM);
    arena_release(&a);
    return ok;
}
