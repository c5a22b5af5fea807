/* The canonical text of an expression, on one line: Prometheus' Expr.String(). Rules are compared,
 * templates and pages show, and caches may key by it.
 *
 * Matchers come sorted by their text; the metric's name stands before the braces only when it was
 * written there. A printer stops early once the buffer has failed, so that format.c can ask whether
 * an expression fits a line at the cost of that line.
 *
 * Bound: depth of the tree. Source: Prometheus 3.14. */
#include "engines/promql/ast_int.h"

#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

#include <math.h>
#include <stdlib.h>

/* --- numbers ---------------------------------------------------------------------------------- */

static void print_number(struct buf *out, const struct promql_node *n, enum f64_style numbers)
{
    const double v = n->u.number;
    if (!n->duration) {
        f64_write(out, v, numbers);
        return;
    }
    if (v < 0) {
        buf_char(out, '-');
    }
    promql_duration_print(out, (int64_t)(fabs(v) * 1e9) / 1000000);
}

/* --- names and matchers ----------------------------------------------------------------------- */

void promql_label_name(struct buf *out, struct str name)
{
    if (label_is_legacy_name(name)) {
        buf_str_add(out, name);
    } else {
        promql_quote(out, name);
    }
}

/* Words that between the parentheses of by, on and group_left are no labels unless quoted. */
static bool is_reserved_label(struct str name)
{
    return str_eq_nocase(name, STR("without")) || str_eq_nocase(name, STR("inf")) ||
           str_eq_nocase(name, STR("nan"));
}

static void print_names(struct buf *out, const struct str *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) {
            BUF_LIT(out, ", ");
        }
        if (is_reserved_label(names[i])) {
            promql_quote(out, names[i]);
        } else {
            promql_label_name(out, names[i]);
        }
    }
}

static void print_matcher(struct buf *out, const struct matcher *m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    promql_label_name(out, m->name);
    buf_str_add(out, str_from_c(ops[m->op]));
    promql_quote(out, m->value);
}

static int compare_str(const void *a, const void *b)
{
    const struct str *x = a;
    const struct str *y = b;
    return str_cmp(*x, *y);
}

static bool is_written_name(const struct promql_node *n, const struct matcher *m)
{
    return m->op == MATCH_EQ && m->value.n > 0 && str_eq(m->name, STR(LABEL_NAME)) &&
           str_eq(m->value, n->u.selector.name);
}

/* Texts of the matchers, one behind the other in all; v borrows from it. Returns how many. */
static uint32_t matcher_texts(const struct promql_node *n, struct buf *all, struct str *v)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->u.selector.matchers_n; i++) {
        const struct matcher *m = &n->u.selector.matchers[i];
        if (!is_written_name(n, m)) {
            const size_t from = all->n;
            print_matcher(all, m);
            v[count++] = (struct str){NULL, all->n - from};
        }
    }
    size_t from = 0;
    for (uint32_t i = 0; i < count; i++) {
        v[i].p = all->p + from;
        from += v[i].n;
    }
    return count;
}

static void print_matchers(struct buf *out, const struct promql_node *n)
{
    const size_t bytes = (n->u.selector.matchers_n + 1) * sizeof(struct str);
    struct str *v = mem_take(out->mem, bytes);
    if (v == NULL) {
        out->failed = true;
        return;
    }
    struct buf all;
    buf_init(&all, out->mem, 0);
    all.bytes_max = (size_t)8 * PROMQL_TEXT_BYTES_MAX;
    const uint32_t count = matcher_texts(n, &all, v);
    out->failed = out->failed || all.failed;
    if (count > 0 && !all.failed) {
        qsort(v, count, sizeof *v, compare_str);
        buf_char(out, '{');
        for (uint32_t i = 0; i < count; i++) {
            if (i > 0) {
                buf_char(out, ',');
            }
            buf_str_add(out, v[i]);
        }
        buf_char(out, '}');
    }
    buf_release(&all);
    mem_give(out->mem, v, bytes);
}

/* --- modifiers -------------------------------------------------------------------------------- */

static void print_at(struct buf *out, enum at_kind at, int64_t at_ms)
{
    if (at == AT_TIME) {
        buf_fmt(out, " @ %.3f", (double)at_ms / 1000);
    } else if (at != AT_NONE) {
        buf_str_add(out, at == AT_START ? STR(" @ start()") : STR(" @ end()"));
    }
}

/* Behind offset, only what begins with a parenthesis or two signs goes on over an operator. Other
 * operations came from signs that cancelled out (offset - -5m * 2). */
static bool offset_wants_parens(const struct promql_node *n)
{
    if (n->kind == NODE_UNARY) {
        return n->u.unary.expr->kind == NODE_BINARY;
    }
    if (n->kind != NODE_BINARY) {
        return false;
    }
    while (n->kind == NODE_BINARY) {
        n = n->u.binary.lhs;
    }
    return n->kind != NODE_PAREN && !(n->kind == NODE_UNARY && n->u.unary.expr->kind == NODE_UNARY);
}

static void print_offset(struct buf *out, const struct dur *d)
{
    if (d->expr == NULL && d->ms == 0) {
        return;
    }
    const bool parens = d->expr != NULL && offset_wants_parens(d->expr);
    buf_str_add(out, parens ? STR(" offset (") : STR(" offset "));
    promql_dur_print(out, d);
    if (parens) {
        buf_char(out, ')');
    }
}

static void print_extended(struct buf *out, const struct promql_node *s)
{
    if (s->u.selector.anchored) {
        BUF_LIT(out, " anchored");
    } else if (s->u.selector.smoothed) {
        BUF_LIT(out, " smoothed");
    }
}

static void print_name_and_matchers(struct buf *out, const struct promql_node *s)
{
    buf_str_add(out, s->u.selector.name);
    if (s->u.selector.matchers_n == 0) {
        BUF_LIT(out, "{}"); /* the second argument of info() may be that */
    } else {
        print_matchers(out, s);
    }
}

static void print_selector(struct buf *out, const struct promql_node *n)
{
    print_name_and_matchers(out, n);
    print_at(out, n->u.selector.at, n->u.selector.at_ms);
    print_extended(out, n);
    print_offset(out, &n->u.selector.offset);
}

static void print_range(struct buf *out, const struct promql_node *n)
{
    const struct promql_node *s = n->u.range.selector;
    print_name_and_matchers(out, s);
    buf_char(out, '[');
    promql_dur_print(out, &n->u.range.range);
    buf_char(out, ']');
    print_extended(out, s);
    print_at(out, s->u.selector.at, s->u.selector.at_ms);
    print_offset(out, &s->u.selector.offset);
}

void promql_print_subquery_tail(struct buf *out, const struct promql_node *n)
{
    buf_char(out, '[');
    promql_dur_print(out, &n->u.subquery.range);
    buf_char(out, ':');
    if (n->u.subquery.step.given) {
        promql_dur_print(out, &n->u.subquery.step);
    }
    buf_char(out, ']');
    print_at(out, n->u.subquery.at, n->u.subquery.at_ms);
    print_offset(out, &n->u.subquery.offset);
}

/* --- operators and aggregations --------------------------------------------------------------- */

void promql_print_aggregate_head(struct buf *out, const struct promql_node *n)
{
    buf_str_add(out, str_from_c(agg_text(n->u.agg.op)));
    if (n->u.agg.without || n->u.agg.grouping_n > 0) {
        buf_str_add(out, n->u.agg.without ? STR(" without (") : STR(" by ("));
        print_names(out, n->u.agg.grouping, n->u.agg.grouping_n);
        BUF_LIT(out, ") ");
    }
}

static void print_fill(struct buf *out, const struct matching *m)
{
    if (m->fill_left_given && m->fill_right_given && m->fill_left == m->fill_right) {
        buf_fmt(out, " fill (%s)", g_text(m->fill_left).text);
        return;
    }
    if (m->fill_left_given) {
        buf_fmt(out, " fill_left (%s)", g_text(m->fill_left).text);
    }
    if (m->fill_right_given) {
        buf_fmt(out, " fill_right (%s)", g_text(m->fill_right).text);
    }
}

void promql_print_operator(struct buf *out, const struct promql_node *n)
{
    const struct matching *m = n->u.binary.matching;
    buf_str_add(out, str_from_c(op_text(n->u.binary.op)));
    if (n->u.binary.return_bool) {
        BUF_LIT(out, " bool");
    }
    if (m == NULL) {
        return;
    }
    const bool grouped = m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY;
    if (m->labels_n > 0 || m->on || grouped) {
        buf_str_add(out, m->on ? STR(" on (") : STR(" ignoring ("));
        print_names(out, m->labels, m->labels_n);
        buf_char(out, ')');
    }
    if (grouped) {
        buf_str_add(out,
                    m->card == CARD_MANY_TO_ONE ? STR(" group_left (") : STR(" group_right ("));
        print_names(out, m->include, m->include_n);
        buf_char(out, ')');
    }
    print_fill(out, m);
}

static void print_list(struct buf *out, const struct node_list *list, enum f64_style numbers)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (i > 0) {
            BUF_LIT(out, ", ");
        }
        promql_print_as(list->v[i], numbers, out);
    }
}

static void print_aggregate(struct buf *out, const struct promql_node *n, enum f64_style numbers)
{
    promql_print_aggregate_head(out, n);
    buf_char(out, '(');
    if (n->u.agg.param != NULL) {
        promql_print_as(n->u.agg.param, numbers, out);
        BUF_LIT(out, ", ");
    }
    promql_print_as(n->u.agg.expr, numbers, out);
    buf_char(out, ')');
}

/* True when the text of n ends in an offset that an arithmetic operator behind it would continue:
 * (5m * 2), --step(). */
static bool ends_in_open_offset(const struct promql_node *n)
{
    while (n->kind == NODE_BINARY || n->kind == NODE_UNARY) {
        n = n->kind == NODE_BINARY ? n->u.binary.rhs : n->u.unary.expr;
    }
    const struct promql_node *s = n->kind == NODE_RANGE ? n->u.range.selector : n;
    const struct promql_node *offset = s->kind == NODE_SELECTOR   ? s->u.selector.offset.expr
                                       : s->kind == NODE_SUBQUERY ? s->u.subquery.offset.expr
                                                                  : NULL;
    if (offset != NULL && offset->kind == NODE_UNARY) {
        offset = offset->u.unary.expr;
        return offset->kind == NODE_BINARY || offset->kind == NODE_UNARY;
    }
    return offset != NULL && (offset->kind == NODE_BINARY || offset->kind == NODE_PAREN);
}

bool promql_wants_parens(const struct promql_node *n)
{
    const enum op op = n->u.binary.op;
    return op <= OP_POW && ends_in_open_offset(n->u.binary.lhs);
}

static void print_lhs(struct buf *out, const struct promql_node *n, enum f64_style numbers)
{
    const struct promql_node *lhs = n->u.binary.lhs;
    if (n->u.binary.op == OP_POW && lhs->kind == NODE_NUMBER && isinf(lhs->u.number)) {
        BUF_LIT(out, "Inf"); /* +Inf ^ 2 would be +(Inf ^ 2) */
    } else if (promql_wants_parens(n)) {
        buf_char(out, '(');
        promql_print_as(lhs, numbers, out);
        buf_char(out, ')');
    } else {
        promql_print_as(lhs, numbers, out);
    }
}

static void print_binary(struct buf *out, const struct promql_node *n, enum f64_style numbers)
{
    print_lhs(out, n, numbers);
    buf_char(out, ' ');
    promql_print_operator(out, n);
    buf_char(out, ' ');
    promql_print_as(n->u.binary.rhs, numbers, out);
}

void promql_print_as(const struct promql_node *n, enum f64_style numbers, struct buf *out)
{
    if (out->failed) {
        return;
    }
    switch (n->kind) {
    case NODE_NUMBER: print_number(out, n, numbers); return;
    case NODE_STRING: promql_quote(out, n->u.string); return;
    case NODE_SELECTOR: print_selector(out, n); return;
    case NODE_RANGE: print_range(out, n); return;
    case NODE_SUBQUERY:
        promql_print_as(n->u.subquery.expr, numbers, out);
        promql_print_subquery_tail(out, n);
        return;
    case NODE_CALL:
        buf_str_add(out, str_from_c(n->u.call.fn->name));
        buf_char(out, '(');
        print_list(out, &n->u.call.args, numbers);
        buf_char(out, ')');
        return;
    case NODE_AGGREGATE: print_aggregate(out, n, numbers); return;
    case NODE_BINARY: print_binary(out, n, numbers); return;
    case NODE_UNARY:
        buf_str_add(out, str_from_c(op_text(n->u.unary.op)));
        promql_print_as(n->u.unary.expr, numbers, out);
        return;
    case NODE_PAREN:
        buf_char(out, '(');
        promql_print_as(n->u.paren, numbers, out);
        buf_char(out, ')');
        return;
    }
}

void promql_print(const struct promql_node *n, struct buf *out)
{
    promql_print_as(n, F64_PLAIN, out);
}
