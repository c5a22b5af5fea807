/* The parser against the triples in testdata/, and what data cannot say: flags, bounds, durations
 * resolved, memory that runs out. */
#include "engines/promql/promql.h"

#include "base/file.h"
#include "base/test.h"
#include "engines/promql/ast_int.h"
#include "engines/promql/functions_int.h"
#include "engines/promql/hist_int.h"
#include "engines/promql/parser_int.h"

#define ARENA_MAX ((size_t)64 << 20)

struct world {
    struct mem mem;
    struct arena arena;
    struct buf text, out;
};

static void world_init(struct world *w)
{
    mem_init(&w->mem, 0);
    arena_init(&w->arena, &w->mem, ARENA_MAX);
    buf_init(&w->text, &w->mem, ARENA_MAX);
    buf_init(&w->out, &w->mem, ARENA_MAX);
}

static void world_release(struct world *w)
{
    buf_release(&w->text);
    buf_release(&w->out);
    arena_release(&w->arena);
    assert_int_equal(w->mem.bytes, 0);
}

/* --- triples ---------------------------------------------------------------------------------- */

typedef void (*answer)(struct world *w, struct str text, char kind, struct buf *out);

/* One case: the lines of '?' joined, the lines of the answer joined; kind is the answer's mark. */
static unsigned check_case(struct world *w, struct str text, char kind, struct str want,
                           answer answer_of)
{
    buf_reset(&w->out);
    arena_reset(&w->arena);
    answer_of(w, text, kind, &w->out);
    if (str_eq(buf_str(&w->out), want)) {
        return 0;
    }
    print_error("? %.*s\n  expected %c %.*s\n  found    %c %.*s\n", STR_FMT(text), kind,
                STR_FMT(want), kind, STR_FMT(buf_str(&w->out)));
    return 1;
}

static void append_line(struct buf *b, struct str line)
{
    if (b->n > 0) {
        buf_char(b, '\n');
    }
    buf_str_add(b, line.n > 2 ? str_sub(line, 2, line.n) : (struct str){"", 0});
}

/* Number of cases; all must agree. */
static unsigned check_file(const char *name, answer answer_of)
{
    struct world w;
    struct buf file;
    struct buf want;
    struct err e = {0};
    world_init(&w);
    buf_init(&file, &w.mem, ARENA_MAX);
    buf_init(&want, &w.mem, ARENA_MAX);
    assert_true(file_read(os_real(), test_path(name), &file, &e));
    unsigned cases = 0;
    unsigned wrong = 0;
    char kind = '\0';
    struct str_cut cut = {.tail = buf_str(&file)};
    while (cut.tail.n > 0 || kind != '\0') {
        cut = str_cut(cut.tail, '\n');
        const char mark = cut.head.n > 0 ? cut.head.p[0] : '#';
        const bool question = mark == '?';
        if (kind != '\0' && mark != kind) { /* the case before is whole */
            wrong += check_case(&w, buf_str(&w.text), kind, buf_str(&want), answer_of);
            cases++;
            kind = '\0';
            buf_reset(&w.text);
            buf_reset(&want);
        }
        if (question) {
            append_line(&w.text, cut.head);
        } else if (mark != '#') {
            kind = mark;
            append_line(&want, cut.head);
        }
    }
    buf_release(&file);
    buf_release(&want);
    world_release(&w);
    assert_int_equal(wrong, 0);
    return cases;
}

static void put_error(struct buf *out, const struct err *e)
{
    buf_fmt(out, "%u:%u: %s", e->line, e->col, e->msg);
}

static void expression_answer(struct world *w, struct str text, char kind, struct buf *out)
{
    struct promql_node *n = NULL;
    struct err e = {0};
    if (!promql_parse(text, PROMQL_ALL_FLAGS, &w->arena, &n, &e)) {
        put_error(out, &e);
    } else if (kind == '|') {
        promql_format(n, out);
    } else if (kind == '=') {
        promql_json(n, out);
    } else {
        promql_print(n, out);
    }
}

static void series_answer(struct world *w, struct str text, char kind, struct buf *out)
{
    struct promql_points points;
    struct err e = {0};
    (void)kind;
    if (!promql_series_line(text, &w->arena, &points, &e)) {
        buf_fmt(out, "%u: %s", e.col, e.msg);
        return;
    }
    labels_print(points.labels, out);
    for (uint32_t i = 0; i < points.n; i++) {
        buf_char(out, ' ');
        if (points.gap[i]) {
            buf_char(out, '_');
        } else if (points.h[i] != NULL) {
            hist_print(points.h[i], out);
        } else if (is_stale_nan(points.v[i])) {
            BUF_LIT(out, "stale");
        } else {
            buf_f64(out, points.v[i]);
        }
    }
}

TEST(expressions_parse_and_print)
{
    assert_true(check_file("engines/promql/testdata/parse.test", expression_answer) > 200);
}

TEST(long_expressions_are_broken_into_lines)
{
    assert_int_equal(check_file("engines/promql/testdata/format.test", expression_answer), 6);
}

TEST(trees_become_json)
{
    assert_int_equal(check_file("engines/promql/testdata/json.test", expression_answer), 7);
}

TEST(series_lines_become_points)
{
    assert_true(check_file("engines/promql/testdata/series.test", series_answer) > 20);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void expect_error(const char *text, unsigned flags, enum err_code code, uint32_t line,
                         uint32_t col, const char *msg)
{
    struct world w;
    struct err e = {0};
    struct promql_node *n = NULL;
    world_init(&w);
    assert_false(promql_parse(str_from_c(text), flags, &w.arena, &n, &e));
    assert_null(n);
    assert_str(str_from_c(e.msg), str_from_c(msg));
    assert_int_equal(e.code, code);
    assert_int_equal(e.line, line);
    assert_int_equal(e.col, col);
    world_release(&w);
}

TEST(errors_know_line_and_column)
{
    expect_error("foo +\n  bar{a=b}", PROMQL_ALL_FLAGS, ERR_INPUT, 2, 9,
                 "unexpected identifier \"b\" in label matching, expected string");
    expect_error("\"\xC3\xA9\" + \xC3\xA9", PROMQL_ALL_FLAGS, ERR_INPUT, 1, 8,
                 "unexpected character: '\xC3\xA9'");
    expect_error("", PROMQL_ALL_FLAGS, ERR_INPUT, 0, 0, "no expression found in input");
    expect_error("# only a comment", PROMQL_ALL_FLAGS, ERR_INPUT, 1, 1,
                 "no expression found in input");
}

TEST(what_has_a_flag_needs_it)
{
    expect_error("step()", 0, ERR_INPUT, 1, 1, "function \"step\" is not enabled");
    expect_error("sum(limitk(1, a))", 0, ERR_INPUT, 1, 5,
                 "limitk() is experimental and must be enabled with "
                 "--enable-feature=promql-experimental-functions");
    expect_error("a[5m * 2]", 0, ERR_INPUT, 1, 3,
                 "experimental duration expression is not enabled");
    expect_error("a offset -step()", 0, ERR_INPUT, 1, 11,
                 "experimental duration expression is not enabled");
    expect_error("a[5m] smoothed", 0, ERR_INPUT, 1, 1,
                 "smoothed modifier is experimental and not enabled");
    expect_error("1 + a + fill(0) b", 0, ERR_INPUT, 1, 1,
                 "binop fill modifiers are experimental and not enabled");
}

TEST(a_nul_byte_is_a_character_like_others)
{
    struct world w;
    struct err e = {0};
    struct promql_node *n = NULL;
    world_init(&w);
    assert_false(promql_parse(STR("a\0b"), 0, &w.arena, &n, &e));
    assert_str(str_from_c(e.msg), STR("unexpected character: '\\x00'"));
    assert_int_equal(e.col, 2);
    assert_true(promql_parse(STR("a{b=\"\0\"}"), 0, &w.arena, &n, &e));
    assert_int_equal(n->u.selector.matchers[0].value.n, 1);
    world_release(&w);
}

/* --- bounds ----------------------------------------------------------------------------------- */

/* `count` times `open`, "a", `count` times `close`. */
static bool parse_nested(const char *open, const char *close, unsigned count, struct err *e)
{
    struct world w;
    struct promql_node *n = NULL;
    world_init(&w);
    for (unsigned i = 0; i < count; i++) {
        buf_str_add(&w.text, str_from_c(open));
    }
    buf_char(&w.text, 'a');
    for (unsigned i = 0; i < count; i++) {
        buf_str_add(&w.text, str_from_c(close));
    }
    const bool ok = promql_parse(buf_str(&w.text), PROMQL_ALL_FLAGS, &w.arena, &n, e);
    world_release(&w);
    return ok;
}

TEST(nesting_is_bounded)
{
    static const struct {
        const char *open, *close;
    } kinds[] = {{"(", ")"},   {"-", ""},    {"sum by (x) (", ")"}, {"b + ", ""},
                 {"2 ^ ", ""}, {"", " + b"}, {"abs(", ")"}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct err e = {0};
        assert_true(parse_nested(kinds[i].open, kinds[i].close, PROMQL_DEPTH_MAX - 1, &e));
        for (unsigned n = PROMQL_DEPTH_MAX; n <= 100000; n = n * 22) {
            e = (struct err){0};
            assert_false(parse_nested(kinds[i].open, kinds[i].close, n, &e));
            assert_int_equal(e.code, ERR_LIMIT);
        }
    }
}

TEST(text_is_bounded)
{
    struct world w;
    struct err e = {0};
    struct promql_node *n = NULL;
    world_init(&w);
    char *room = buf_room(&w.text, PROMQL_TEXT_BYTES_MAX + 1);
    assert_non_null(room);
    memset(room, ' ', PROMQL_TEXT_BYTES_MAX + 1);
    room[0] = '1';
    assert_true(promql_parse((struct str){room, PROMQL_TEXT_BYTES_MAX}, 0, &w.arena, &n, &e));
    assert_false(promql_parse((struct str){room, PROMQL_TEXT_BYTES_MAX + 1}, 0, &w.arena, &n, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    world_release(&w);
}

TEST(many_matchers_come_sorted)
{
    struct world w;
    struct err e = {0};
    struct promql_node *n = NULL;
    world_init(&w);
    BUF_LIT(&w.text, "a{");
    for (int i = 999; i >= 100; i--) {
        buf_fmt(&w.text, "l%d=\"v\",", i);
    }
    BUF_LIT(&w.text, "}");
    assert_true(promql_parse(buf_str(&w.text), 0, &w.arena, &n, &e));
    promql_print(n, &w.out);
    assert_true(str_starts(buf_str(&w.out), STR("a{l100=\"v\",l101=\"v\",l102=")));
    assert_true(str_ends(buf_str(&w.out), STR(",l998=\"v\",l999=\"v\"}")));
    world_release(&w);
}

/* --- durations -------------------------------------------------------------------------------- */

/* The range of foo[text], resolved for a step of 30 s and a query of 1 h. */
static bool resolve(const char *text, enum dur_use use, int64_t *ms, struct err *e)
{
    struct world w;
    struct promql_node *n = NULL;
    world_init(&w);
    buf_fmt(&w.text, use == DUR_OFFSET ? "foo offset %s" : "foo[%s]", text);
    assert_true(promql_parse(buf_str(&w.text), PROMQL_ALL_FLAGS, &w.arena, &n, e));
    const struct dur *d = use == DUR_OFFSET ? &n->u.selector.offset : &n->u.range.range;
    assert_true(d->given);
    const bool ok = dur_resolve(d, use, 30000, 3600000, ms, e);
    world_release(&w);
    return ok;
}

TEST(duration_expressions_are_resolved)
{
    static const struct {
        const char *text;
        enum dur_use use;
        int64_t ms;
    } cases[] = {
        {"5m", DUR_RANGE, 300000},
        {"1.5", DUR_RANGE, 1500},
        {"0.0029", DUR_RANGE, 2},
        {"step() * 2", DUR_RANGE, 60000},
        {"range() - 5m", DUR_RANGE, 3300000},
        {"min_of(step(), 10s) + max_of(1, 2)", DUR_RANGE, 12000},
        {"2 ^ 3 ^ 2", DUR_RANGE, 512000},
        {"-2 ^ 2 + 10", DUR_RANGE, 6000},
        {"100 % 30s", DUR_RANGE, 10000},
        {"1h / 7", DUR_RANGE, 514285},
        {"-(5m)", DUR_OFFSET, -300000},
        {"- -5m", DUR_OFFSET, 300000},
        {"-step()", DUR_OFFSET, -30000},
        {"(1m - 1m)", DUR_OFFSET, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = -1;
        struct err e = {0};
        assert_true(resolve(cases[i].text, cases[i].use, &ms, &e));
        assert_int_equal(ms, cases[i].ms);
    }
}

TEST(impossible_durations_are_told)
{
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"step() - 30s", "4:16: duration must be greater than 0"},
        {"1m / (step() - 30)", "4:21: division by zero"},
        {"1m % (step() - 30)", "4:21: modulo by zero"},
        {"1e9 * 1e9", "4:13: duration is out of range"},
        {"(-8) ^ 0.5", "4:14: duration is NaN or infinite"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = -1;
        struct err e = {0};
        assert_false(resolve(cases[i].text, DUR_RANGE, &ms, &e));
        assert_str(str_from_c(e.msg), str_from_c(cases[i].msg));
    }
}

/* --- the smaller doors ------------------------------------------------------------------------ */

TEST(selectors_are_taken_apart)
{
    struct world w;
    struct err e = {0};
    struct matcher *m = NULL;
    uint32_t n = 0;
    world_init(&w);
    assert_true(promql_selector(STR("up{a!=\"b\",c=~\"d\"}"), &w.arena, &m, &n, &e));
    assert_int_equal(n, 3);
    assert_int_equal(m[0].op, MATCH_NE);
    assert_str(m[0].name, STR("a"));
    assert_int_equal(m[1].op, MATCH_RE);
    assert_str(m[1].value, STR("d"));
    assert_str(m[2].name, STR("__name__"));
    assert_str(m[2].value, STR("up"));
    assert_true(promql_selector(STR("{}"), &w.arena, &m, &n, &e)); /* the caller's to refuse */
    assert_int_equal(n, 0);
    assert_false(promql_selector(STR("up[5m]"), &w.arena, &m, &n, &e));
    assert_int_equal(e.col, 3);
    assert_false(promql_selector(STR("up + 1"), &w.arena, &m, &n, &e));
    assert_false(promql_selector(STR(""), &w.arena, &m, &n, &e));
    world_release(&w);
}

TEST(metrics_become_labels)
{
    struct world w;
    struct err e = {0};
    struct labels l = {0};
    world_init(&w);
    assert_true(promql_metric(STR("sum{z=\"1\", a=\"2\",}"), &w.arena, &l, &e));
    labels_print(l, &w.out);
    assert_str(buf_str(&w.out), STR("{__name__=\"sum\", a=\"2\", z=\"1\"}"));
    assert_true(promql_metric(STR("{\"x y\"}"), &w.arena, &l, &e));
    assert_str(labels_get(l, STR("__name__")), STR("x y"));
    assert_true(promql_metric(STR("{}"), &w.arena, &l, &e));
    assert_int_equal(l.n, 0);
    assert_false(promql_metric(STR("a{b=~\"c\"}"), &w.arena, &l, &e));
    assert_false(promql_metric(STR("{a=\"1\",a=\"2\"}"), &w.arena, &l, &e));
    world_release(&w);
}

static void count_selectors(void *ctx, const struct matcher *m, uint32_t n)
{
    unsigned *count = ctx;
    *count += n > 0 && m[n - 1].value.n > 0;
}

TEST(every_selector_is_visited)
{
    struct world w;
    struct err e = {0};
    struct promql_node *n = NULL;
    unsigned count = 0;
    world_init(&w);
    assert_true(promql_parse(STR("topk(scalar(a), -b + (rate(c[5m]) or max_over_time(d[5m:])))"), 0,
                             &w.arena, &n, &e));
    promql_selectors(n, count_selectors, &count);
    assert_int_equal(count, 4);
    assert_int_equal(promql_node_type(n), PROMQL_VECTOR);
    world_release(&w);
}

FAULT_TEST(parsing_survives_without_memory)
{
    struct arena arena;
    struct buf out;
    struct promql_node *n = NULL;
    struct err e = {0};
    arena_init(&arena, &w->mem, ARENA_MAX);
    buf_init(&out, &w->mem, ARENA_MAX);
    bool ok =
        promql_parse(STR("sum by (a, \"b.c\") (rate(x{y=~\"z.+\"}[step() * 2] offset -(5m))) / "
                         "on (q) group_left (r) fill (1) \"\\u00e9\" > topk(2, m)"),
                     PROMQL_ALL_FLAGS, &arena, &n, &e);
    assert_false(ok); /* a string is no operand: the check runs to its end */
    ok = e.code == ERR_INPUT &&
         promql_parse(STR("quantile(0.5, {\"m\", a=\"b\", c!=\"d\"} @ 5 + 1)"), PROMQL_ALL_FLAGS,
                      &arena, &n, &e);
    if (ok) {
        promql_print(n, &out);
        promql_format(n, &out);
        promql_json(n, &out);
        ok = !out.failed;
    }
    struct promql_points points;
    ok = ok && promql_series_line(STR("m{a=\"b\"} 1x20 {{buckets:[1 2]}}+{{buckets:[1 1]}}x3"),
                                  &arena, &points, &e);
    buf_release(&out);
    arena_release(&arena);
    return ok;
}
