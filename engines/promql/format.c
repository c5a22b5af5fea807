/* Expressions for people: broken into lines where they are longer than LINE_CHARS_MAX, two blanks
 * per level. What Prometheus answers at /api/v1/format_query and promtool writes.
 *
 * An operand on its own line is indented one level deeper than its operator; a call, an aggregation
 * and a parenthesis put their inside between lines of their own. What fits a line stays on it.
 *
 * Whether a node fits is found by printing it into a buffer of one line, so formatting is linear in
 * the text times the line length, and the depth of the tree bounds the recursion.
 *
 * Source: Prometheus 3.14. */
#include "engines/promql/ast_int.h"

#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

#define LINE_CHARS_MAX 100
/* 2e+09, as Prometheus 2.42 writes it, whose answers we are compared with; since 3.3 F64_PLAIN. */
#define NUMBERS F64_GO_G

static bool fits(const struct promql_node *n, struct buf *out)
{
    struct buf line;
    buf_init(&line, out->mem, LINE_CHARS_MAX);
    promql_print_as(n, NUMBERS, &line);
    const bool ok = !line.failed;
    buf_release(&line);
    return ok;
}

static void indent(struct buf *out, uint32_t level)
{
    for (uint32_t i = 0; i < level; i++) {
        BUF_LIT(out, "  ");
    }
}

static void format(const struct promql_node *n, uint32_t level, struct buf *out);

static void format_aggregate(const struct promql_node *n, uint32_t level, struct buf *out)
{
    promql_print_aggregate_head(out, n);
    BUF_LIT(out, "(\n");
    if (n->u.agg.param != NULL) {
        format(n->u.agg.param, level + 1, out);
        BUF_LIT(out, ",\n");
    }
    format(n->u.agg.expr, level + 1, out);
    buf_char(out, '\n');
    indent(out, level);
    buf_char(out, ')');
}

static void format_call(const struct promql_node *n, uint32_t level, struct buf *out)
{
    buf_fmt(out, "%s(\n", n->u.call.fn->name);
    for (uint32_t i = 0; i < n->u.call.args.n; i++) {
        if (i > 0) {
            BUF_LIT(out, ",\n");
        }
        format(n->u.call.args.v[i], level + 1, out);
    }
    buf_char(out, '\n');
    indent(out, level);
    buf_char(out, ')');
}

static void format_binary(const struct promql_node *n, uint32_t level, struct buf *out)
{
    if (promql_wants_parens(n)) {
        indent(out, level + 1);
        BUF_LIT(out, "(\n");
        format(n->u.binary.lhs, level + 2, out);
        buf_char(out, '\n');
        indent(out, level + 1);
        buf_char(out, ')');
    } else {
        format(n->u.binary.lhs, level + 1, out);
    }
    buf_char(out, '\n');
    indent(out, level);
    promql_print_operator(out, n);
    buf_char(out, '\n');
    format(n->u.binary.rhs, level + 1, out);
}

/* The operand without the blanks at both ends that its own level would give it. */
static void format_unary(const struct promql_node *n, uint32_t level, struct buf *out)
{
    indent(out, level);
    buf_str_add(out, str_from_c(op_text(n->u.unary.op)));
    struct buf inner;
    buf_init(&inner, out->mem, out->bytes_max);
    format(n->u.unary.expr, level, &inner);
    out->failed = out->failed || inner.failed;
    buf_str_add(out, str_trim(buf_str(&inner)));
    buf_release(&inner);
}

/* Nodes that are longer than a line and have an inside to break. */
static void format_long(const struct promql_node *n, uint32_t level, struct buf *out)
{
    if (n->kind == NODE_BINARY) {
        format_binary(n, level, out);
        return;
    }
    indent(out, level);
    if (n->kind == NODE_AGGREGATE) {
        format_aggregate(n, level, out);
    } else if (n->kind == NODE_CALL) {
        format_call(n, level, out);
    } else {
        ASSERT(n->kind == NODE_PAREN);
        BUF_LIT(out, "(\n");
        format(n->u.paren, level + 1, out);
        buf_char(out, '\n');
        indent(out, level);
        buf_char(out, ')');
    }
}

static void format(const struct promql_node *n, uint32_t level, struct buf *out)
{
    if (out->failed) {
        return;
    }
    if (n->kind == NODE_UNARY) {
        format_unary(n, level, out);
        return;
    }
    if (n->kind == NODE_SUBQUERY) {
        /* A subquery that fits is not indented: so it is in Prometheus. */
        if (fits(n, out)) {
            promql_print_as(n, NUMBERS, out);
        } else {
            format(n->u.subquery.expr, level, out);
            promql_print_subquery_tail(out, n);
        }
        return;
    }
    const bool breakable = n->kind == NODE_BINARY || n->kind == NODE_AGGREGATE ||
                           n->kind == NODE_CALL || n->kind == NODE_PAREN;
    if (breakable && !fits(n, out)) {
        format_long(n, level, out);
    } else {
        indent(out, level);
        promql_print_as(n, NUMBERS, out);
    }
}

void promql_format(const struct promql_node *n, struct buf *out)
{
    format(n, 0, out);
}
