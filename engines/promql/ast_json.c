/* The tree as JSON, for /api/v1/parse_query and the tree view of a query. Members of an object come
 * in alphabetical order, as Prometheus' encoder writes them.
 *
 * Bound: depth of the tree. Source: Prometheus 3.14, web/api/v1. */
#include "engines/promql/ast_int.h"

#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

#include <math.h>

static const char *type_word(enum promql_type t)
{
    static const char *const words[] = {"none", "scalar", "vector", "matrix", "string"};
    return words[t];
}

static void bool_member(struct buf *out, const char *key, bool v)
{
    buf_fmt(out, "\"%s\":%s", key, v ? "true" : "false");
}

static void string_list(struct buf *out, const struct str *v, uint32_t n)
{
    buf_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        buf_json_str(out, v[i]);
    }
    buf_char(out, ']');
}

static void number_text(struct buf *out, double v)
{
    buf_char(out, '"');
    f64_write(out, v, F64_PLAIN);
    buf_char(out, '"');
}

/* --- durations -------------------------------------------------------------------------------- */

static void duration_node(struct buf *out, const struct promql_node *n, bool wrapped);

static void duration_operation(struct buf *out, const struct promql_node *lhs, const char *op,
                               const struct promql_node *rhs, bool wrapped)
{
    BUF_LIT(out, "{\"lhs\":");
    duration_node(out, lhs, false);
    buf_fmt(out, ",\"op\":\"%s\",\"rhs\":", op);
    duration_node(out, rhs, false);
    BUF_LIT(out, ",\"type\":\"durationExpr\",");
    bool_member(out, "wrapped", wrapped);
    buf_char(out, '}');
}

/* Parentheses are a mark on what they hold; around a number they become a plus sign's. */
static void duration_node(struct buf *out, const struct promql_node *n, bool wrapped)
{
    if (n == NULL) {
        BUF_LIT(out, "null");
    } else if (n->kind == NODE_NUMBER && wrapped) {
        duration_operation(out, NULL, "+", n, true);
    } else if (n->kind == NODE_NUMBER) {
        buf_char(out, '{');
        bool_member(out, "duration", n->duration);
        BUF_LIT(out, ",\"type\":\"numberLiteral\",\"val\":");
        number_text(out, n->u.number);
        buf_char(out, '}');
    } else if (n->kind == NODE_PAREN) {
        duration_node(out, n->u.paren, true);
    } else if (n->kind == NODE_UNARY) {
        duration_operation(out, NULL, op_text(n->u.unary.op), n->u.unary.expr, wrapped);
    } else if (n->kind == NODE_CALL) {
        const bool two = n->u.call.args.n == 2;
        duration_operation(out, two ? n->u.call.args.v[0] : NULL, n->u.call.fn->name,
                           two ? n->u.call.args.v[1] : NULL, wrapped);
    } else {
        ASSERT(n->kind == NODE_BINARY);
        duration_operation(out, n->u.binary.lhs, op_text(n->u.binary.op), n->u.binary.rhs, wrapped);
    }
}

static void duration_members(struct buf *out, const char *name, const struct dur *d)
{
    buf_fmt(out, "\"%s\":%lld,\"%sExpr\":", name, (long long)(d->expr == NULL ? d->ms : 0), name);
    duration_node(out, d->expr, false);
}

/* --- selectors -------------------------------------------------------------------------------- */

static void matchers(struct buf *out, const struct promql_node *s)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    BUF_LIT(out, "\"matchers\":[");
    for (uint32_t i = 0; i < s->u.selector.matchers_n; i++) {
        const struct matcher *m = &s->u.selector.matchers[i];
        buf_str_add(out, i > 0 ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json_str(out, m->name);
        buf_fmt(out, ",\"type\":\"%s\",\"value\":", ops[m->op]);
        buf_json_str(out, m->value);
        buf_char(out, '}');
    }
    BUF_LIT(out, "],");
}

static void edge_member(struct buf *out, enum at_kind at)
{
    BUF_LIT(out, "\"startOrEnd\":");
    buf_str_add(out, at == AT_START ? STR("\"start\"")
                     : at == AT_END ? STR("\"end\"")
                                    : STR("null"));
}

static void time_member(struct buf *out, enum at_kind at, int64_t at_ms)
{
    BUF_LIT(out, "\"timestamp\":");
    if (at == AT_TIME) {
        buf_i64(out, at_ms);
    } else {
        BUF_LIT(out, "null");
    }
}

/* A selector, alone or of a range (range not NULL). */
static void selector(struct buf *out, const struct promql_node *s, const struct dur *range)
{
    buf_char(out, '{');
    bool_member(out, "anchored", s->u.selector.anchored);
    buf_char(out, ',');
    matchers(out, s);
    BUF_LIT(out, "\"name\":");
    buf_json_str(out, s->u.selector.name);
    buf_char(out, ',');
    duration_members(out, "offset", &s->u.selector.offset);
    buf_char(out, ',');
    if (range != NULL) {
        duration_members(out, "range", range);
        buf_char(out, ',');
    }
    bool_member(out, "smoothed", s->u.selector.smoothed);
    buf_char(out, ',');
    edge_member(out, s->u.selector.at);
    buf_char(out, ',');
    time_member(out, s->u.selector.at, s->u.selector.at_ms);
    buf_fmt(out, ",\"type\":\"%s\"}", range != NULL ? "matrixSelector" : "vectorSelector");
}

static void subquery(struct buf *out, const struct promql_node *n)
{
    BUF_LIT(out, "{\"expr\":");
    promql_json(n->u.subquery.expr, out);
    buf_char(out, ',');
    duration_members(out, "offset", &n->u.subquery.offset);
    buf_char(out, ',');
    duration_members(out, "range", &n->u.subquery.range);
    buf_char(out, ',');
    edge_member(out, n->u.subquery.at);
    buf_char(out, ',');
    duration_members(out, "step", &n->u.subquery.step);
    buf_char(out, ',');
    time_member(out, n->u.subquery.at, n->u.subquery.at_ms);
    BUF_LIT(out, ",\"type\":\"subquery\"}");
}

/* --- the rest --------------------------------------------------------------------------------- */

static void aggregation(struct buf *out, const struct promql_node *n)
{
    BUF_LIT(out, "{\"expr\":");
    promql_json(n->u.agg.expr, out);
    BUF_LIT(out, ",\"grouping\":");
    string_list(out, n->u.agg.grouping, n->u.agg.grouping_n);
    buf_fmt(out, ",\"op\":\"%s\",\"param\":", agg_text(n->u.agg.op));
    if (n->u.agg.param != NULL) {
        promql_json(n->u.agg.param, out);
    } else {
        BUF_LIT(out, "null");
    }
    BUF_LIT(out, ",\"type\":\"aggregation\",");
    bool_member(out, "without", n->u.agg.without);
    buf_char(out, '}');
}

static void fill_value(struct buf *out, bool given, double v)
{
    if (given) {
        buf_json_f64(out, v);
    } else {
        BUF_LIT(out, "null");
    }
}

static void matching(struct buf *out, const struct matching *m)
{
    static const char *const cards[] = {"one-to-one", "many-to-one", "one-to-many", "many-to-many"};
    if (m == NULL) {
        BUF_LIT(out, "null");
        return;
    }
    buf_fmt(out, "{\"card\":\"%s\",\"fillValues\":{\"lhs\":", cards[m->card]);
    fill_value(out, m->fill_left_given, m->fill_left);
    BUF_LIT(out, ",\"rhs\":");
    fill_value(out, m->fill_right_given, m->fill_right);
    BUF_LIT(out, "},\"include\":");
    string_list(out, m->include, m->include_n);
    BUF_LIT(out, ",\"labels\":");
    string_list(out, m->labels, m->labels_n);
    buf_char(out, ',');
    bool_member(out, "on", m->on);
    buf_char(out, '}');
}

static void binary(struct buf *out, const struct promql_node *n)
{
    buf_char(out, '{');
    bool_member(out, "bool", n->u.binary.return_bool);
    BUF_LIT(out, ",\"lhs\":");
    promql_json(n->u.binary.lhs, out);
    BUF_LIT(out, ",\"matching\":");
    matching(out, n->u.binary.matching);
    buf_fmt(out, ",\"op\":\"%s\",\"rhs\":", op_text(n->u.binary.op));
    promql_json(n->u.binary.rhs, out);
    BUF_LIT(out, ",\"type\":\"binaryExpr\"}");
}

static const char *arg_word(char letter)
{
    return letter == 's'   ? "scalar"
           : letter == 't' ? "string"
           : letter == 'm' ? "matrix"
                           : "vector";
}

/* Prometheus lists each type once and says how many arguments may be missing or follow: 1 for an
 * optional last one, -1 for any number. Several optional ones count from the first of them. */
static void signature(struct buf *out, const struct function *fn)
{
    int variadic = 0;
    bool first = true;
    BUF_LIT(out, "{\"argTypes\":[");
    for (const char *c = fn->args; *c != '\0'; c++) {
        if (*c == '?' || *c == '*') {
            variadic = *c == '*' ? -1 : variadic + 1;
        } else if (variadic == 0) {
            buf_fmt(out, "%s\"%s\"", first ? "" : ",", arg_word(*c));
            first = false;
        }
    }
    buf_fmt(out, "],\"name\":\"%s\",\"returnType\":\"%s\",\"variadic\":%d}", fn->name,
            type_word(fn->returns), variadic);
}

static void call(struct buf *out, const struct promql_node *n)
{
    BUF_LIT(out, "{\"args\":[");
    for (uint32_t i = 0; i < n->u.call.args.n; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        promql_json(n->u.call.args.v[i], out);
    }
    BUF_LIT(out, "],\"func\":");
    signature(out, n->u.call.fn);
    BUF_LIT(out, ",\"type\":\"call\"}");
}

void promql_json(const struct promql_node *n, struct buf *out)
{
    switch (n->kind) {
    case NODE_NUMBER:
        BUF_LIT(out, "{\"type\":\"numberLiteral\",\"val\":");
        number_text(out, n->u.number);
        buf_char(out, '}');
        return;
    case NODE_STRING:
        BUF_LIT(out, "{\"type\":\"stringLiteral\",\"val\":");
        buf_json_str(out, n->u.string);
        buf_char(out, '}');
        return;
    case NODE_SELECTOR: selector(out, n, NULL); return;
    case NODE_RANGE: selector(out, n->u.range.selector, &n->u.range.range); return;
    case NODE_SUBQUERY: subquery(out, n); return;
    case NODE_CALL: call(out, n); return;
    case NODE_AGGREGATE: aggregation(out, n); return;
    case NODE_BINARY: binary(out, n); return;
    case NODE_UNARY:
        BUF_LIT(out, "{\"expr\":");
        promql_json(n->u.unary.expr, out);
        buf_fmt(out, ",\"op\":\"%s\",\"type\":\"unaryExpr\"}", op_text(n->u.unary.op));
        return;
    case NODE_PAREN:
        BUF_LIT(out, "{\"expr\":");
        promql_json(n->u.paren, out);
        BUF_LIT(out, ",\"type\":\"parenExpr\"}");
        return;
    }
}
