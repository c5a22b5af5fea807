/* Runs PromQL test scripts (the language of Prometheus' promqltest) against our evaluator.
 *
 *     promql_script [--source=memory|head|block] [--threads N] [--verbose] FILE...
 *
 *     load <step> | load_with_nhcb <step>     series lines until an empty line
 *     clear
 *     eval instant at <t> <expr>              expect lines, then series lines or one number
 *     eval range from <a> to <b> step <s> <expr>
 *
 * Lines are trimmed, one that begins with # counts as empty. Each eval counts as passed or failed;
 * a failure is printed with file and line. Ends with "N passed, N failed", exit code 1 on a
 * failure. Nothing here knows a particular file. */
#include "test/conformance/script.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (64U << 20)
#define WHY_MAX        65536

struct script {
    struct runner *r;
    struct str *lines;
    uint32_t n, at;
};

bool script_duration(struct str s, int64_t *ms)
{
    if (str_eq(s, STR("0"))) {
        *ms = 0;
        return true;
    }
    return str_to_duration_ms(s, ms);
}

static void complain(struct script *s, uint32_t line, const char *what, struct str detail)
{
    printf("%s:%u: %s%.*s\n", s->r->file, line, what, STR_FMT(detail));
    s->r->failed++;
}

/* The first word, and the rest without the blanks between. */
static struct str word(struct str *s)
{
    size_t i = 0;
    while (i < s->n && s->p[i] != ' ' && s->p[i] != '\t') {
        i++;
    }
    struct str w = str_of(s->p, i);
    *s = str_trim(str_sub(*s, i, s->n));
    return w;
}

/* --- load ------------------------------------------------------------------------------------- */

static void load(struct script *s, struct str line)
{
    struct err e = {0};
    int64_t step;
    uint32_t first = s->at + 1;
    struct str command = word(&line);
    uint32_t end = first;
    while (end < s->n && s->lines[end].n > 0) {
        end++;
    }
    s->at = end;
    if (!script_duration(line, &step)) {
        complain(s, first, "invalid step of a load: ", line);
    } else if (!store_load(s->r->store, s->lines + first, end - first, step,
                           str_eq(command, STR("load_with_nhcb")), s->r->arena, &e)) {
        complain(s, first, "load: ", str_from_c(e.msg));
    }
}

/* --- eval ------------------------------------------------------------------------------------- */

static bool number(struct str s, double *out)
{
    static const struct {
        const char *text;
        double v;
    } names[] = {{"nan", (double)__builtin_nanf("")},
                 {"inf", (double)__builtin_inff()},
                 {"+inf", (double)__builtin_inff()},
                 {"-inf", -(double)__builtin_inff()}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(s, str_from_c(names[i].text))) {
            *out = names[i].v;
            return true;
        }
    }
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'X')) {
        char text[32] = {0};
        char *end;
        memcpy(text, s.p, size_min(s.n, sizeof text - 1));
        *out = (double)strtoll(text, &end, 16);
        return *end == 0;
    }
    return str_to_f64(s.n > 1 && s.p[0] == '+' ? str_sub(s, 1, s.n) : s, out);
}

static bool add_expect(struct script *s, struct evaluation *v, struct str line, struct err *e)
{
    static const struct str kinds[EXPECT_KINDS] = {STR_INIT("ordered"), STR_INIT("fail"),
                                                   STR_INIT("warn"),    STR_INIT("no_warn"),
                                                   STR_INIT("info"),    STR_INIT("no_info")};
    struct expect *x = ARENA_NEW(s->r->arena, struct expect);
    struct str kind = word(&line);
    if (x == NULL) {
        return err_set(e, ERR_NOMEM, "no memory");
    }
    x->kind = EXPECT_KINDS;
    for (uint32_t i = 0; i < EXPECT_KINDS; i++) {
        if (str_eq(kind, kinds[i])) {
            x->kind = (enum expect_kind)i;
        }
    }
    if (x->kind == EXPECT_KINDS) {
        return err_set(e, ERR_INPUT, "unknown expectation '%.*s'", STR_FMT(kind));
    }
    x->next = v->expects;
    v->expects = x;
    if (str_starts(line, STR("msg:"))) {
        x->message = str_trim(str_sub(line, 4, line.n));
        return true;
    }
    struct str pattern = STR(".*");
    if (str_starts(line, STR("regex:"))) {
        pattern = str_trim(str_sub(line, 6, line.n));
    } else if (line.n > 0) {
        return err_set(e, ERR_INPUT, "unknown expectation '%.*s'", STR_FMT(line));
    }
    x->message = pattern;
    return regex_new(s->r->mem, pattern, false, &x->pattern, e);
}

static bool add_old_fail(struct script *s, struct evaluation *v, struct str text, bool regex,
                         struct err *e)
{
    struct expect *x = ARENA_NEW(s->r->arena, struct expect);
    if (x == NULL) {
        return err_set(e, ERR_NOMEM, "no memory");
    }
    x->kind = EXPECT_FAIL;
    x->message = str_trim(text);
    x->next = v->expects;
    v->expects = x;
    return !regex || regex_new(s->r->mem, x->message, false, &x->pattern, e);
}

/* from <a> to <b> step <c>, and what follows. */
static bool times(struct str *line, int64_t *from, int64_t *to, int64_t *step, struct err *e)
{
    static const struct str words[] = {STR_INIT("from"), STR_INIT("to"), STR_INIT("step")};
    int64_t *into[] = {from, to, step};
    for (size_t i = 0; i < 3; i++) {
        struct str w = word(line);
        struct str d = word(line);
        if (!str_eq(w, words[i]) || !script_duration(d, into[i])) {
            return err_set(e, ERR_INPUT, "expected '%.*s <duration>', found '%.*s %.*s'",
                           STR_FMT(words[i]), STR_FMT(w), STR_FMT(d));
        }
    }
    return true;
}

static bool string_literal(struct script *s, struct str text, struct str *out, struct err *e)
{
    struct promql_node *n;
    struct promql_query q = {.mem = s->r->mem};
    struct promql_result r;
    enum promql_failure why;
    if (!promql_parse(text, PROMQL_ALL_FLAGS, s->r->arena, &n, e)) {
        return false;
    }
    q.expr = n;
    if (promql_node_type(n) != PROMQL_STRING || !promql_eval(&q, s->r->arena, &r, &why, e)) {
        return err_set(e, ERR_INPUT, "expected a string literal");
    }
    *out = r.string;
    return true;
}

/* One line below an eval; *last: nothing after it belongs to the eval. */
static bool eval_line(struct script *s, struct evaluation *v, struct str line, uint32_t *place,
                      bool *last, struct err *e)
{
    struct str rest = line;
    if (v->fail && str_starts(line, STR("expected_fail_message"))) {
        *last = true;
        return add_old_fail(s, v, str_sub(line, 21, line.n), false, e);
    }
    if (v->fail && str_starts(line, STR("expected_fail_regexp"))) {
        *last = true;
        return add_old_fail(s, v, str_sub(line, 20, line.n), true, e);
    }
    if (str_starts(line, STR("expect range vector"))) {
        rest = str_trim(str_sub(line, 19, line.n));
        v->range_vector = true;
        ++*place;
        if (!times(&rest, &v->start_ms, &v->end_ms, &v->step_ms, e)) {
            return false;
        }
        v->at_ms = v->end_ms;
        return true;
    }
    if (str_starts(line, STR("expect string"))) {
        v->string_given = true;
        ++*place;
        return string_literal(s, str_trim(str_sub(line, 13, line.n)), &v->string, e);
    }
    if (str_eq(word(&rest), STR("expect"))) {
        return add_expect(s, v, rest, e);
    }
    if (number(line, &v->number)) {
        v->number_given = true;
        *last = true;
        return true;
    }
    struct expected *x = ARENA_NEW(s->r->arena, struct expected);
    if (x == NULL) {
        return err_set(e, ERR_NOMEM, "no memory");
    }
    x->place = ++*place;
    if (!promql_series_line(line, s->r->arena, &x->points, e)) {
        return false;
    }
    if (x->points.n > 1 && !v->range && !v->range_vector) {
        return err_set(e, ERR_INPUT, "several values expected of an instant query");
    }
    x->next = v->series; /* the last of two with equal labels counts */
    v->series = x;
    v->number_given = false;
    return true;
}

static bool eval_head(struct evaluation *v, struct str line, struct err *e)
{
    struct str command = word(&line);
    struct str kind = word(&line);
    v->ordered = str_eq(command, STR("eval_ordered"));
    v->fail = str_eq(command, STR("eval_fail"));
    v->warn = str_eq(command, STR("eval_warn"));
    v->info = str_eq(command, STR("eval_info"));
    if (str_eq(kind, STR("range"))) {
        v->range = true;
        if (!times(&line, &v->start_ms, &v->end_ms, &v->step_ms, e)) {
            return false;
        }
    } else if (str_eq(kind, STR("instant"))) {
        struct str rest = line;
        if (str_eq(word(&rest), STR("at"))) {
            struct str at = word(&rest);
            if (!script_duration(at, &v->at_ms)) {
                return err_set(e, ERR_INPUT, "invalid time '%.*s'", STR_FMT(at));
            }
            line = rest;
        }
        v->start_ms = v->end_ms = v->at_ms;
    } else {
        return err_set(e, ERR_INPUT, "expected eval instant or eval range");
    }
    v->expr = line;
    return line.n > 0 || err_set(e, ERR_INPUT, "eval without an expression");
}

static void release_patterns(struct evaluation *v)
{
    for (struct expect *x = v->expects; x != NULL; x = x->next) {
        regex_free(x->pattern);
    }
}

static void eval(struct script *s)
{
    struct err e = {0};
    struct evaluation v = {.line = s->at + 1};
    struct buf why;
    uint32_t place = 0;
    bool last = false;
    bool ok = eval_head(&v, s->lines[s->at], &e);
    for (s->at++; s->at < s->n && s->lines[s->at].n > 0 && !last; s->at++) {
        ok = ok && eval_line(s, &v, s->lines[s->at], &place, &last, &e);
    }
    buf_init(&why, s->r->mem, WHY_MAX);
    if (!ok) {
        complain(s, v.line, "", str_from_c(e.msg));
    } else if (script_evaluate(s->r, &v, &why)) {
        s->r->passed++;
    } else {
        printf("%s:%u: %.*s\n    %.*s\n", s->r->file, v.line, STR_FMT(v.expr),
               STR_FMT(buf_str(&why)));
        s->r->failed++;
    }
    buf_release(&why);
    release_patterns(&v);
}

/* --- files ------------------------------------------------------------------------------------ */

static void commands(struct script *s)
{
    while (s->at < s->n) {
        struct str line = s->lines[s->at];
        struct str rest = line;
        struct str command = word(&rest);
        struct err e = {0};
        if (line.n == 0) {
            s->at++;
        } else if (str_eq(command, STR("clear"))) {
            s->at++;
            if (!store_clear(s->r->store, &e)) {
                complain(s, s->at, "clear: ", str_from_c(e.msg));
            }
        } else if (str_starts(command, STR("load"))) {
            load(s, line);
        } else if (str_starts(command, STR("eval"))) {
            eval(s);
        } else {
            s->at++;
            complain(s, s->at, "invalid command: ", line);
        }
    }
}

static bool split(struct str text, struct arena *a, struct script *s)
{
    uint32_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    s->lines = ARENA_ARRAY(a, struct str, n);
    if (s->lines == NULL) {
        return false;
    }
    for (bool more = true; more;) {
        struct str_cut c = str_cut(text, '\n');
        struct str line = str_trim(c.head);
        s->lines[s->n++] = line.n > 0 && line.p[0] == '#' ? (struct str){0} : line;
        text = c.tail;
        more = c.ok;
    }
    return true;
}

static void run_file(struct runner *r, const char *path)
{
    struct arena a;
    struct buf text;
    struct err e = {0};
    struct script s = {.r = r};
    uint32_t before = r->failed;
    uint32_t passed = r->passed;
    r->file = path;
    r->arena = &a;
    arena_init(&a, r->mem, SIZE_MAX / 2);
    buf_init(&text, r->mem, FILE_BYTES_MAX);
    if (!file_read(os_real(), path, &text, &e)) {
        complain(&s, 0, "", str_from_c(e.msg));
    } else if (!store_clear(r->store, &e) || !split(buf_str(&text), &a, &s)) {
        complain(&s, 0, "", str_from_c(e.msg));
    } else {
        commands(&s);
    }
    if (r->verbose) {
        printf("%s: %u passed, %u failed\n", path, r->passed - passed, r->failed - before);
    }
    buf_release(&text);
    arena_release(&a);
}

static bool option(struct runner *r, const char *text, enum store_kind *kind)
{
    struct str s = str_from_c(text);
    uint64_t n;
    if (str_eq(s, STR("--source=memory"))) {
        *kind = STORE_MEMORY;
    } else if (str_eq(s, STR("--source=head"))) {
        *kind = STORE_HEAD;
    } else if (str_eq(s, STR("--source=block"))) {
        *kind = STORE_BLOCK;
    } else if (str_eq(s, STR("--verbose"))) {
        r->verbose = true;
    } else if (str_starts(s, STR("--threads=")) && str_to_u64(str_sub(s, 10, s.n), &n) && n <= 64) {
        r->threads = (uint32_t)n;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct mem m;
    struct err e = {0};
    struct runner r = {.mem = &m, .threads = 1};
    enum store_kind kind = STORE_MEMORY;
    int first = 1;
    mem_init(&m, 0);
    for (; first < argc && str_starts(str_from_c(argv[first]), STR("--")); first++) {
        if (!option(&r, argv[first], &kind)) {
            fprintf(stderr, "unknown option %s\n", argv[first]);
            return 2;
        }
    }
    r.store = store_new(&m, kind, &e);
    if (r.store == NULL) {
        fprintf(stderr, "cannot open a store: %s\n", e.msg);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        run_file(&r, argv[i]);
    }
    store_free(r.store);
    printf("%u passed, %u failed\n", r.passed, r.failed);
    return r.failed > 0 ? 1 : 0;
}
