/* The check of a whole tree: types of operands and arguments, numbers of arguments, rules of
 * matching, selectors that would select everything. Runs once behind the grammar, in the order in
 * which Prometheus looks, because only the first error is told.
 *
 * Bound: depth of the tree, PROMQL_DEPTH_MAX.
 *
 * Source: Prometheus 3.14, behaviour and error texts. */
#include "engines/promql/ast_int.h"

#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

/* Type in error texts that do not use the documentation's words. */
static const char *short_type(enum promql_type t)
{
    static const char *const names[] = {"none", "scalar", "vector", "matrix", "string"};
    return names[t];
}

static bool expect_type(struct parser *p, struct promql_node *n, enum promql_type want,
                        const char *context)
{
    if (!promql_check(p, n)) {
        return false;
    }
    if (n->type != want) {
        return promql_fail(p, n->pos, "expected type %s in %s, got %s", promql_type_name(want),
                           context, promql_type_name(n->type));
    }
    return true;
}

static bool check_aggregate(struct parser *p, struct promql_node *n)
{
    const enum agg op = n->u.agg.op;
    if (!expect_type(p, n->u.agg.expr, PROMQL_VECTOR, "aggregation expression")) {
        return false;
    }
    if (!agg_has_param(op)) {
        return true;
    }
    const enum promql_type want = op == AGG_COUNT_VALUES ? PROMQL_STRING : PROMQL_SCALAR;
    return expect_type(p, n->u.agg.param, want, "aggregation parameter");
}

/* --- binary expressions ----------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct pos operator_pos(const struct parser *p, const struct promql_node *n)
{
    struct pos pos = {n->u.binary.lhs->pos.end, n->u.binary.rhs->pos.start};
    while (pos.start < p->text.n && is_space(p->text.p[pos.start])) {
        pos.start++;
    }
    return pos;
}

static bool check_matching_labels(struct parser *p, const struct promql_node *n)
{
    const struct matching *m = n->u.binary.matching;
    for (uint32_t i = 0; i < m->labels_n && m->on; i++) {
        for (uint32_t k = 0; k < m->include_n; k++) {
            if (str_eq(m->labels[i], m->include[k])) {
                return promql_fail(p, operator_pos(p, n),
                                   "label %s must not occur in ON and GROUP clause at once",
                                   promql_quoted(p, m->labels[i], 0));
            }
        }
    }
    return true;
}

/* The sets' rules: both sides are vectors. */
static bool check_set(struct parser *p, const struct promql_node *n)
{
    const struct matching *m = n->u.binary.matching;
    if (m->card == CARD_ONE_TO_MANY || m->card == CARD_MANY_TO_ONE) {
        return promql_fail(p, n->pos, "no grouping allowed for \"%s\" operation",
                           op_text(n->u.binary.op));
    }
    if (m->fill_left_given || m->fill_right_given) {
        return promql_fail(p, n->pos, "filling in missing series not allowed for set operators");
    }
    return true;
}

static bool check_scalar_matching(struct parser *p, const struct promql_node *n)
{
    const struct matching *m = n->u.binary.matching;
    if (m->labels_n > 0) {
        return promql_fail(p, n->pos, "vector matching only allowed between instant vectors");
    }
    if (m->fill_left_given || m->fill_right_given) {
        return promql_fail(p, n->pos,
                           "filling in missing series only allowed between instant vectors");
    }
    return true;
}

static bool is_operand(enum promql_type t)
{
    return t == PROMQL_SCALAR || t == PROMQL_VECTOR;
}

static bool check_operands(struct parser *p, const struct promql_node *n)
{
    const struct promql_node *lhs = n->u.binary.lhs;
    const struct promql_node *rhs = n->u.binary.rhs;
    const enum op op = n->u.binary.op;
    if (n->u.binary.return_bool && !op_is_comparison(op)) {
        return promql_fail(p, operator_pos(p, n),
                           "bool modifier can only be used on comparison operators");
    }
    if (op_is_comparison(op) && !n->u.binary.return_bool && n->type == PROMQL_SCALAR) {
        return promql_fail(p, operator_pos(p, n),
                           "comparisons between scalars must use BOOL modifier");
    }
    if (!check_matching_labels(p, n)) {
        return false;
    }
    if (!is_operand(lhs->type) || !is_operand(rhs->type)) {
        return promql_fail(p, is_operand(lhs->type) ? rhs->pos : lhs->pos,
                           "binary expression must contain only scalar and instant vector types");
    }
    return true;
}

static bool check_binary(struct parser *p, struct promql_node *n)
{
    const struct promql_node *lhs = n->u.binary.lhs;
    const struct promql_node *rhs = n->u.binary.rhs;
    const enum op op = n->u.binary.op;
    if (!promql_check(p, n->u.binary.lhs) || !promql_check(p, n->u.binary.rhs) ||
        !check_operands(p, n)) {
        return false;
    }
    const bool vectors = lhs->type == PROMQL_VECTOR && rhs->type == PROMQL_VECTOR;
    if (vectors) {
        if (op_is_set(op) && n->u.binary.matching->card == CARD_ONE_TO_ONE) {
            n->u.binary.matching->card = CARD_MANY_TO_MANY;
        }
        return !op_is_set(op) || check_set(p, n);
    }
    if (!check_scalar_matching(p, n)) {
        return false;
    }
    if (op_is_set(op)) {
        return promql_fail(p, n->pos, "set operator \"%s\" not allowed in binary scalar expression",
                           op_text(op));
    }
    n->u.binary.matching = NULL;
    return true;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* What the letters of functions.def allow. */
struct arity {
    uint32_t least, most, letters;
    bool varies;
};

static struct arity arity_of(const struct function *fn)
{
    struct arity a = {0};
    for (const char *c = fn->args; *c != '\0'; c++) {
        if (*c == '?') {
            a.least--;
            a.varies = true;
        } else if (*c == '*') {
            a.least--;
            a.varies = true;
            a.most = UINT32_MAX;
        } else {
            a.letters++;
            a.least++;
            a.most = a.most == UINT32_MAX ? UINT32_MAX : a.most + 1;
        }
    }
    return a;
}

/* Type of argument i, the last letter standing for all behind it. */
static enum promql_type arg_type(const struct function *fn, uint32_t i)
{
    char letter = 'v';
    uint32_t at = 0;
    for (const char *c = fn->args; *c != '\0' && at <= i; c++) {
        if (*c != '?' && *c != '*') {
            letter = *c;
            at++;
        }
    }
    return letter == 's'   ? PROMQL_SCALAR
           : letter == 't' ? PROMQL_STRING
           : letter == 'm' ? PROMQL_MATRIX
                           : PROMQL_VECTOR;
}

static bool check_count(struct parser *p, const struct promql_node *n)
{
    const struct function *fn = n->u.call.fn;
    const struct arity a = arity_of(fn);
    const uint32_t got = n->u.call.args.n;
    if (!a.varies && got != a.letters) {
        return promql_fail(p, n->pos, "expected %u argument(s) in call to \"%s\", got %u",
                           a.letters, fn->name, got);
    }
    if (got < a.least) {
        return promql_fail(p, n->pos, "expected at least %u argument(s) in call to \"%s\", got %u",
                           a.least, fn->name, got);
    }
    if (got > a.most) {
        return promql_fail(p, n->pos, "expected at most %u argument(s) in call to \"%s\", got %u",
                           a.most, fn->name, got);
    }
    return true;
}

/* The second argument of info() is not evaluated: its matchers select labels. */
static bool check_info(struct parser *p, const struct promql_node *n)
{
    struct promql_node *second = n->u.call.args.v[1];
    if (second->type != PROMQL_VECTOR) {
        return promql_fail(p, n->pos, "expected type %s in call to function \"info\", got %s",
                           promql_type_name(PROMQL_VECTOR), promql_type_name(second->type));
    }
    if (second->kind != NODE_SELECTOR) {
        return promql_fail(p, second->pos, "expected label selectors only");
    }
    if (second->u.selector.name.n > 0) {
        return promql_fail(p, second->pos,
                           "expected label selectors only, got vector selector instead");
    }
    return true;
}

static bool check_call(struct parser *p, struct promql_node *n)
{
    const struct function *fn = n->u.call.fn;
    const bool info = str_eq(str_from_c(fn->name), STR("info"));
    if (!check_count(p, n) || (info && n->u.call.args.n > 1 && !check_info(p, n))) {
        return false;
    }
    for (uint32_t i = 0; i < n->u.call.args.n; i++) {
        struct promql_node *arg = n->u.call.args.v[i];
        if (info && i == 1) {
            continue; /* may select everything, and is nothing but matchers */
        }
        if (!promql_check(p, arg)) {
            return false;
        }
        const enum promql_type want = arg_type(fn, i);
        if (arg->type != want) {
            return promql_fail(p, arg->pos, "expected type %s in call to function \"%s\", got %s",
                               promql_type_name(want), fn->name, promql_type_name(arg->type));
        }
    }
    return true;
}

/* --- selectors -------------------------------------------------------------------------------- */

static bool check_selector(struct parser *p, const struct promql_node *n)
{
    if (n->u.selector.name.n == 0) {
        return n->u.selector.selective ||
               promql_fail(p, n->pos,
                           "vector selector must contain at least one non-empty matcher");
    }
    for (uint32_t i = 0; i + 1 < n->u.selector.matchers_n; i++) {
        const struct matcher *m = &n->u.selector.matchers[i];
        if (str_eq(m->name, STR(LABEL_NAME))) {
            return promql_fail(p, n->pos, "metric name must not be set twice: %s or %s",
                               promql_quoted(p, n->u.selector.name, 0),
                               promql_quoted(p, m->value, 0));
        }
    }
    return true;
}

static bool check_unary(struct parser *p, struct promql_node *n)
{
    if (!promql_check(p, n->u.unary.expr)) {
        return false;
    }
    return is_operand(n->type) ||
           promql_fail(p, n->pos,
                       "unary expression only allowed on expressions of type scalar or instant "
                       "vector, got \"%s\"",
                       promql_type_name(n->type));
}

static bool check_subquery(struct parser *p, struct promql_node *n)
{
    if (!promql_check(p, n->u.subquery.expr)) {
        return false;
    }
    const enum promql_type type = n->u.subquery.expr->type;
    return type == PROMQL_VECTOR ||
           promql_fail(p, n->pos, "subquery is only allowed on instant vector, got %s instead",
                       short_type(type));
}

bool promql_check(struct parser *p, struct promql_node *n)
{
    ASSERT(n->depth <= PROMQL_DEPTH_MAX);
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING: return true;
    case NODE_SELECTOR: return check_selector(p, n);
    case NODE_RANGE: return check_selector(p, n->u.range.selector);
    case NODE_SUBQUERY: return check_subquery(p, n);
    case NODE_CALL: return check_call(p, n);
    case NODE_AGGREGATE: return check_aggregate(p, n);
    case NODE_BINARY: return check_binary(p, n);
    case NODE_UNARY: return check_unary(p, n);
    case NODE_PAREN: return promql_check(p, n->u.paren);
    }
    return true;
}
