/* Expressions of public rule packs and dashboards against the verdict and canonical text of a real
 * Prometheus: promql_exprs FILE.jsonl...
 *
 * A line is an object with "expr", maybe "expr_substituted" (dashboard variables replaced; used
 * when present), "prom242_parses" (bool), and for what parses "prom242_format", the answer of
 * /api/v1/format_query. Every line must give the same verdict, the same text, and a text that
 * parses again to the same text, both canonical and formatted. Each failure is shown; the last line
 * says "N passed, N failed"; 1 when one failed. */
#include "base/file.h"
#include "codec/json.h"
#include "engines/promql/promql.h"

#include <stdio.h>

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define LINE_BYTES_MAX ((size_t)4 << 20)
#define TOKENS_MAX     4096
#define ARENA_MAX      ((size_t)64 << 20)
#define TEXT_BYTES_MAX ((size_t)16 << 20)

struct run {
    struct mem mem;
    struct arena arena;
    struct json_parser *json;
    struct buf text, again;
    uint64_t passed, failed;
};

struct line {
    struct str expr, substituted, format;
    bool parses, has_verdict;
};

static void read_line(const struct json_doc *doc, struct line *out)
{
    *out = (struct line){0};
    for (uint32_t i = 1; i < doc->tokens_count; i++) {
        const struct json_token *t = &doc->tokens[i];
        if (t->parent != 0) {
            continue;
        }
        if (t->kind == JSON_STR && str_eq(t->key, STR("expr"))) {
            out->expr = t->v.str;
        } else if (t->kind == JSON_STR && str_eq(t->key, STR("expr_substituted"))) {
            out->substituted = t->v.str;
        } else if (t->kind == JSON_STR && str_eq(t->key, STR("prom242_format"))) {
            out->format = t->v.str;
        } else if (str_eq(t->key, STR("prom242_parses"))) {
            out->has_verdict = t->kind == JSON_TRUE || t->kind == JSON_FALSE;
            out->parses = t->kind == JSON_TRUE;
        }
    }
}

static bool complain(const char *what, struct str expr, struct str want, struct str got)
{
    printf("FAIL %s\n  expression: %.*s\n  expected: %.*s\n  found: %.*s\n", what, STR_FMT(expr),
           STR_FMT(want), STR_FMT(got));
    return false;
}

/* The text must parse, and print as itself. */
static bool survives(struct run *r, struct str expr, bool format)
{
    struct promql_node *n = NULL;
    struct err e = {0};
    if (!promql_parse(buf_str(&r->text), PROMQL_ALL_FLAGS, &r->arena, &n, &e)) {
        return complain("printed text does not parse", expr, buf_str(&r->text), str_from_c(e.msg));
    }
    buf_reset(&r->again);
    if (format) {
        promql_format(n, &r->again);
    } else {
        promql_print(n, &r->again);
    }
    if (!str_eq(buf_str(&r->text), buf_str(&r->again))) {
        return complain("printed text prints differently", expr, buf_str(&r->text),
                        buf_str(&r->again));
    }
    return true;
}

static bool check_line(struct run *r, const struct line *l)
{
    const struct str expr = l->substituted.n > 0 ? l->substituted : l->expr;
    struct promql_node *n = NULL;
    struct err e = {0};
    arena_reset(&r->arena);
    const bool parses = promql_parse(expr, PROMQL_ALL_FLAGS, &r->arena, &n, &e);
    if (!l->has_verdict || parses != l->parses) {
        return complain("verdict", expr, l->parses ? STR("parses") : STR("an error"),
                        parses ? STR("parses") : str_from_c(e.msg));
    }
    if (!parses) {
        return true;
    }
    buf_reset(&r->text);
    promql_format(n, &r->text);
    if (!str_eq(buf_str(&r->text), l->format)) {
        return complain("text", expr, l->format, buf_str(&r->text));
    }
    if (!survives(r, expr, true)) {
        return false;
    }
    buf_reset(&r->text);
    promql_print(n, &r->text);
    return survives(r, expr, false);
}

static bool check_file(struct run *r, const char *path)
{
    struct buf file;
    struct err e = {0};
    buf_init(&file, &r->mem, FILE_BYTES_MAX);
    if (!file_read(os_real(), path, &file, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        buf_release(&file);
        return false;
    }
    struct str_cut cut = {.tail = buf_str(&file)};
    uint64_t number = 0;
    bool ok = true;
    while (ok && cut.tail.n > 0) {
        cut = str_cut(cut.tail, '\n');
        number++;
        if (str_trim(cut.head).n == 0) {
            continue;
        }
        struct json_doc doc;
        struct line line;
        ok = json_parse(r->json, cut.head, false, &doc, &e);
        if (ok) {
            read_line(&doc, &line);
            const bool good = check_line(r, &line);
            r->passed += good;
            r->failed += !good;
        } else {
            fprintf(stderr, "%s:%llu: %s\n", path, (unsigned long long)number, e.msg);
        }
    }
    buf_release(&file);
    return ok;
}

int main(int argc, char **argv)
{
    struct run r = {0};
    mem_init(&r.mem, 0);
    arena_init(&r.arena, &r.mem, ARENA_MAX);
    buf_init(&r.text, &r.mem, TEXT_BYTES_MAX);
    buf_init(&r.again, &r.mem, TEXT_BYTES_MAX);
    r.json = json_parser_new(&r.mem, TOKENS_MAX, LINE_BYTES_MAX);
    bool ok = r.json != NULL && argc > 1;
    for (int i = 1; ok && i < argc; i++) {
        ok = check_file(&r, argv[i]);
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)r.passed,
           (unsigned long long)r.failed);
    json_parser_free(r.json);
    buf_release(&r.text);
    buf_release(&r.again);
    arena_release(&r.arena);
    return ok && r.failed == 0 && r.passed > 0 ? 0 : 1;
}
