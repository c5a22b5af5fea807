/* The door to the parser: sets up lexer and grammar for one text, keeps the first error and its
 * place, and answers the questions about a finished tree that need no evaluation.
 *
 * Source: error places as Prometheus counts them: lines from 1, columns in bytes from 1. */
#include "engines/promql/promql.h"

#include "engines/promql/parser_int.h"

#include <stdarg.h>
#include <stdio.h>

void promql_place(struct str text, uint32_t off, uint32_t *line, uint32_t *col)
{
    *line = 1;
    *col = 1;
    for (uint32_t i = 0; i < off && i < text.n; i++) {
        *line += text.p[i] == '\n';
        *col = text.p[i] == '\n' ? 1 : *col + 1;
    }
}

bool promql_fail(struct parser *p, struct pos pos, const char *fmt, ...)
{
    if (p->failed) {
        return false;
    }
    p->failed = true;
    *p->e = (struct err){.code = ERR_INPUT};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(p->e->msg, sizeof p->e->msg, fmt, args);
    va_end(args);
    if (p->text.n > 0) { /* else: unknown position */
        promql_place(p->text, pos.start, &p->e->line, &p->e->col);
    }
    return false;
}

bool promql_fail_memory(struct parser *p)
{
    if (!p->failed) {
        p->failed = true;
        *p->e = (struct err){.code = ERR_LIMIT};
        (void)err_set(p->e, ERR_LIMIT, "expression needs more memory than allowed");
    }
    return false;
}

void *promql_take(struct parser *p, size_t bytes)
{
    void *v = p->failed ? NULL : arena_take(p->arena, bytes, _Alignof(max_align_t));
    if (v == NULL) {
        (void)promql_fail_memory(p);
    }
    return v;
}

struct str promql_item_text(const struct parser *p, struct item it)
{
    return (struct str){p->text.p + it.pos.start, it.pos.end - it.pos.start};
}

/* --- what a token is called in errors --------------------------------------------------------- */

/* Operators <op:+>, aggregations <aggr:sum>, keywords <by>; the rest in quotes, ten characters of
 * it unless it is a name. */
static const char *describe(struct parser *p, struct item it)
{
    static const char *const words[] = {"",        "",        "identifier ", "metric identifier ",
                                        "string ", "number ", "duration ",   "<op:",
                                        "<aggr:",  "<"};
    const enum token_class class = promql_token_class(it.kind);
    if (class == TOKEN_END) {
        return "end of input";
    }
    const struct str text = promql_item_text(p, it);
    struct buf b;
    buf_init(&b, p->arena->mem, 4096);
    buf_str_add(&b, str_from_c(words[class]));
    if (class >= TOKEN_OPERATOR) {
        buf_fmt(&b, "%.*s>", STR_FMT(text));
    } else if (class == TOKEN_NAME || class == TOKEN_METRIC_NAME || text.n <= 10) {
        buf_str_add(&b, str_from_c(promql_quoted(p, text, 0)));
    } else {
        buf_fmt(&b, "%s...", promql_quoted(p, text, 10));
    }
    const char *out = arena_cstr(p->arena, buf_str(&b));
    buf_release(&b);
    return out != NULL ? out : "token";
}

void promql_unexpected(struct parser *p, const char *context, const char *expected)
{
    if (p->failed) {
        return;
    }
    promql_fail(p, p->item.pos, "unexpected %s%s%s%s%s", describe(p, p->item),
                context != NULL ? " in " : "", context != NULL ? context : "",
                expected != NULL ? ", expected " : "", expected != NULL ? expected : "");
}

/* --- entries ---------------------------------------------------------------------------------- */

static bool run(struct parser *p, struct str text, enum start start, unsigned flags,
                struct arena *a, struct err *e)
{
    *p = (struct parser){.start_text = start, .flags = flags, .arena = a, .e = e};
    if (text.n > PROMQL_TEXT_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "expression is longer than %u bytes", PROMQL_TEXT_BYTES_MAX);
    }
    char *copy = promql_take(p, text.n + 1);
    if (copy == NULL) {
        return false;
    }
    if (text.n > 0) {
        memcpy(copy, text.p, text.n);
    }
    p->text = (struct str){copy, text.n};
    const int rc = promql_yyparse(p);
    ASSERT(rc == 0 || p->failed);
    return !p->failed;
}

bool promql_parse(struct str text, unsigned flags, struct arena *a, struct promql_node **out,
                  struct err *e)
{
    struct err local = {0};
    struct parser p;
    *out = NULL;
    if (!run(&p, text, START_EXPRESSION_TEXT, flags, a, e != NULL ? e : &local) ||
        !promql_check(&p, p.result)) {
        return false;
    }
    *out = p.result;
    return true;
}

bool promql_selector(struct str text, struct arena *a, struct matcher **out, uint32_t *n,
                     struct err *e)
{
    struct err local = {0};
    struct parser p;
    if (!run(&p, text, START_SELECTOR_TEXT, PROMQL_ALL_FLAGS, a, e != NULL ? e : &local)) {
        return false;
    }
    *out = p.result->u.selector.matchers;
    *n = p.result->u.selector.matchers_n;
    return true;
}

bool promql_metric(struct str text, struct arena *a, struct labels *out, struct err *e)
{
    struct err local = {0};
    struct parser p;
    if (!run(&p, text, START_METRIC_TEXT, PROMQL_ALL_FLAGS, a, e != NULL ? e : &local)) {
        return false;
    }
    struct label *v = promql_take(&p, (p.labels->n + 1) * sizeof *v);
    if (v == NULL) {
        return false;
    }
    uint32_t n = 0;
    for (const struct link *l = p.labels->first; l != NULL; l = l->next) {
        const struct label *label = l->v;
        v[n++] = *label;
    }
    if (!labels_normalize(v, &n, e)) {
        return false;
    }
    *out = (struct labels){v, n};
    return true;
}

enum promql_type promql_node_type(const struct promql_node *n)
{
    return n->type;
}

const char *promql_type_name(enum promql_type t)
{
    static const char *const names[] = {"none", "scalar", "instant vector", "range vector",
                                        "string"};
    return names[t];
}

void promql_selectors(const struct promql_node *n,
                      void (*each)(void *ctx, const struct matcher *m, uint32_t m_n), void *ctx)
{
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING: return;
    case NODE_SELECTOR: each(ctx, n->u.selector.matchers, n->u.selector.matchers_n); return;
    case NODE_RANGE: promql_selectors(n->u.range.selector, each, ctx); return;
    case NODE_SUBQUERY: promql_selectors(n->u.subquery.expr, each, ctx); return;
    case NODE_CALL:
        for (uint32_t i = 0; i < n->u.call.args.n; i++) {
            promql_selectors(n->u.call.args.v[i], each, ctx);
        }
        return;
    case NODE_AGGREGATE:
        promql_selectors(n->u.agg.expr, each, ctx);
        if (n->u.agg.param != NULL) {
            promql_selectors(n->u.agg.param, each, ctx);
        }
        return;
    case NODE_BINARY:
        promql_selectors(n->u.binary.lhs, each, ctx);
        promql_selectors(n->u.binary.rhs, each, ctx);
        return;
    case NODE_UNARY: promql_selectors(n->u.unary.expr, each, ctx); return;
    case NODE_PAREN: promql_selectors(n->u.paren, each, ctx); return;
    }
}
