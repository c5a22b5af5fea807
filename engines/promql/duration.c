/* Durations: their text (1h30m), and duration expressions ([step() * 2], offset (1h - 5m)), which
 * are parsed, printed, and resolved when the query's step and range are known.
 *
 * A duration expression is a tree of the same nodes as any expression: numbers in seconds, unary
 * and binary nodes, calls of step, range, min_of, max_of. NODE_PAREN remembers parentheses; two
 * pairs are one, and a pair around a sign or operation does not widen its place in error texts, as
 * in Prometheus.
 *
 * Invariant: a literal is in the range of Go's time.Duration (64-bit nanoseconds), so milliseconds
 * fit easily.
 *
 * Source: Prometheus 3.14 (durations as common/model writes and reads them), behaviour and error
 * texts. */
#include "engines/promql/ast_int.h"

#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

#include <math.h>

#define DUR_MS_MAX      (INT64_MAX / 1000000)
#define DUR_SECONDS_MAX 9223372036.854775807 /* of 64-bit nanoseconds */

struct unit {
    const char *name;
    int64_t ms;
    bool exact; /* printed only when nothing is left: 90d and not 12w6d */
};

static const struct unit units[] = {
    {"y", 365LL * 86400000, true},
    {"w", 7LL * 86400000, true},
    {"d", 86400000, false},
    {"h", 3600000, false},
    {"m", 60000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};

/* --- text ------------------------------------------------------------------------------------- */

/* Digits at the start of s (or, with digits false, what is between them). */
static struct str run_of(struct str s, bool digits)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] >= '0' && s.p[n] <= '9') == digits) {
        n++;
    }
    return str_sub(s, 0, n);
}

/* Place of a unit in the table, ARRAY_LEN(units) when there is none of that name. */
static size_t unit_index(struct str name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(units) && !str_eq(name, str_from_c(units[i].name))) {
        i++;
    }
    return i;
}

enum dur_fault promql_duration_text(struct str s, int64_t *ms, struct str *unknown_unit)
{
    *ms = 0;
    if (s.n == 0) {
        return DUR_EMPTY;
    }
    if (str_eq(s, STR("0"))) {
        return DUR_OK;
    }
    int64_t sum = 0;
    size_t next = 0; /* units come in falling order */
    while (s.n > 0) {
        const struct str digits = run_of(s, true);
        const struct str unit = run_of(str_sub(s, digits.n, s.n), false);
        const size_t i = unit_index(unit);
        uint64_t count = 0;
        if (!str_to_u64(digits, &count) || unit.n == 0) {
            return DUR_SYNTAX;
        }
        if (i == ARRAY_LEN(units)) {
            *unknown_unit = unit;
            return DUR_UNIT;
        }
        if (i < next) {
            return DUR_SYNTAX;
        }
        if (count > (uint64_t)(DUR_MS_MAX / units[i].ms) ||
            (int64_t)count * units[i].ms > DUR_MS_MAX - sum) {
            return DUR_OVERFLOW;
        }
        sum += (int64_t)count * units[i].ms;
        next = i + 1;
        s = str_sub(s, digits.n + unit.n, s.n);
    }
    *ms = sum;
    return DUR_OK;
}

void promql_duration_print(struct buf *out, int64_t ms)
{
    if (ms == 0) {
        BUF_LIT(out, "0s");
    }
    for (size_t i = 0; i < ARRAY_LEN(units) && ms > 0; i++) {
        if (ms < units[i].ms || (units[i].exact && ms % units[i].ms != 0)) {
            continue;
        }
        buf_i64(out, ms / units[i].ms);
        buf_str_add(out, str_from_c(units[i].name));
        ms %= units[i].ms;
    }
}

void promql_dur_expr_print(struct buf *out, const struct promql_node *n)
{
    switch (n->kind) {
    case NODE_PAREN:
        buf_char(out, '(');
        promql_dur_expr_print(out, n->u.paren);
        buf_char(out, ')');
        return;
    case NODE_UNARY:
        if (n->u.unary.op == OP_SUB) {
            buf_char(out, '-');
        }
        promql_dur_expr_print(out, n->u.unary.expr);
        return;
    case NODE_BINARY:
        promql_dur_expr_print(out, n->u.binary.lhs);
        buf_fmt(out, " %s ", op_text(n->u.binary.op));
        promql_dur_expr_print(out, n->u.binary.rhs);
        return;
    case NODE_CALL:
        buf_fmt(out, "%s(", n->u.call.fn->name);
        for (uint32_t i = 0; i < n->u.call.args.n; i++) {
            if (i > 0) {
                BUF_LIT(out, ", ");
            }
            promql_dur_expr_print(out, n->u.call.args.v[i]);
        }
        buf_char(out, ')');
        return;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_SELECTOR:
    case NODE_RANGE:
    case NODE_SUBQUERY:
    case NODE_AGGREGATE: promql_print(n, out); return;
    }
}

void promql_dur_print(struct buf *out, const struct dur *d)
{
    if (d->expr != NULL) {
        promql_dur_expr_print(out, d->expr);
        return;
    }
    if (d->ms < 0) {
        buf_char(out, '-');
    }
    promql_duration_print(out, d->ms < 0 ? -d->ms : d->ms);
}

/* --- construction ----------------------------------------------------------------------------- */

static bool out_of_range(double s)
{
    return !(s <= DUR_SECONDS_MAX && s >= -DUR_SECONDS_MAX); /* NaN is out too */
}

static bool enabled(struct parser *p, struct pos pos)
{
    if ((p->flags & PROMQL_DURATION_EXPR) == 0) {
        return promql_fail(p, pos, "experimental duration expression is not enabled");
    }
    return true;
}

struct promql_node *promql_dur_literal(struct parser *p, struct promql_node *n)
{
    if (p->failed) {
        return NULL;
    }
    if (out_of_range(n->u.number)) {
        promql_fail(p, n->pos, "duration out of range");
        return NULL;
    }
    return n;
}

static struct promql_node *unary_node(struct parser *p, struct item op, struct promql_node *n)
{
    const struct pos pos = {op.pos.start, n->pos.end};
    struct promql_node *out = promql_node_new(p, NODE_UNARY, PROMQL_SCALAR, pos, n, NULL);
    if (out != NULL) {
        out->u.unary.op = (enum op)op.code;
        out->u.unary.expr = n;
    }
    return out;
}

struct promql_node *promql_dur_unary(struct parser *p, struct item op, struct promql_node *n)
{
    if (p->failed) {
        return NULL;
    }
    if (n->kind != NODE_NUMBER) {
        return op.code == OP_SUB ? unary_node(p, op, n) : n;
    }
    n->u.number = op.code == OP_SUB ? -n->u.number : n->u.number;
    if (out_of_range(n->u.number)) {
        promql_fail(p, op.pos, "duration out of range");
        return NULL;
    }
    n->pos.start = op.pos.start;
    return n;
}

struct promql_node *promql_dur_signed_call(struct parser *p, struct item op, struct promql_node *n)
{
    return p->failed ? NULL : unary_node(p, op, n);
}

struct promql_node *promql_dur_binary(struct parser *p, struct promql_node *lhs, struct item op,
                                      struct promql_node *rhs)
{
    if (p->failed || !enabled(p, lhs->pos)) {
        return NULL;
    }
    const bool zero = rhs->kind == NODE_NUMBER && rhs->u.number == 0;
    if (zero && (op.code == OP_DIV || op.code == OP_MOD)) {
        promql_fail(p, op.pos, op.code == OP_DIV ? "division by zero" : "modulo by zero");
        return NULL;
    }
    const struct pos pos = {lhs->pos.start, rhs->pos.end};
    struct promql_node *out = promql_node_new(p, NODE_BINARY, PROMQL_SCALAR, pos, lhs, rhs);
    if (out != NULL) {
        out->u.binary.op = (enum op)op.code;
        out->u.binary.lhs = lhs;
        out->u.binary.rhs = rhs;
    }
    return out;
}

static struct promql_node *wrap(struct parser *p, struct promql_node *n, struct pos pos)
{
    if (n->kind == NODE_PAREN) {
        return n;
    }
    struct promql_node *out = promql_node_new(p, NODE_PAREN, PROMQL_SCALAR, pos, n, NULL);
    if (out != NULL) {
        out->u.paren = n;
    }
    return out;
}

struct promql_node *promql_dur_paren(struct parser *p, struct item open, struct promql_node *n,
                                     struct item close)
{
    (void)close;
    if (p->failed || !enabled(p, n->pos)) {
        return NULL;
    }
    const struct pos pos = {open.pos.start, n->pos.end};
    return wrap(p, n, n->kind == NODE_NUMBER ? pos : n->pos);
}

struct promql_node *promql_dur_wrap(struct parser *p, struct promql_node *n)
{
    return p->failed ? NULL : wrap(p, n, n->pos);
}

struct promql_node *promql_dur_call(struct parser *p, const char *function, struct pos pos,
                                    struct promql_node *lhs, struct promql_node *rhs)
{
    if (p->failed) {
        return NULL;
    }
    if (lhs != NULL) {
        pos = (struct pos){lhs->pos.start, rhs->pos.end};
    }
    if (!enabled(p, pos)) {
        return NULL;
    }
    struct promql_node *out = promql_node_new(p, NODE_CALL, PROMQL_SCALAR, pos, lhs, rhs);
    struct promql_node **args = promql_take(p, 2 * sizeof(struct promql_node *));
    if (out == NULL || args == NULL) {
        return NULL;
    }
    out->u.call.fn = function_find(str_from_c(function));
    ASSERT(out->u.call.fn != NULL);
    args[0] = lhs;
    args[1] = rhs;
    out->u.call.args = (struct node_list){args, lhs != NULL ? 2 : 0};
    return out;
}

struct promql_node *promql_dur_positive(struct parser *p, struct promql_node *n)
{
    if (p->failed) {
        return NULL;
    }
    if (n->kind == NODE_NUMBER && !(n->u.number > 0)) {
        promql_fail(p, n->pos, "duration must be greater than 0");
        return NULL;
    }
    return n;
}

struct dur promql_dur_of(const struct promql_node *n)
{
    struct dur d = {.given = true};
    const double ns = n->kind == NODE_NUMBER ? round(n->u.number * 1e9) : 0;
    if (n->kind == NODE_NUMBER && fabs(ns) < 9223372036854775808.0) {
        d.ms = (int64_t)ns / 1000000;
    } else if (n->kind == NODE_NUMBER) {
        d.ms = ns > 0 ? DUR_MS_MAX : -DUR_MS_MAX;
    }
    if (n->kind != NODE_NUMBER || (d.ms == 0 && ns != 0)) {
        /* Less than a millisecond stays an expression, so that it prints as what it was and not as
         * 0s. Read-only from here on; the tree has no other owner. */
        memcpy(&d.expr, &n, sizeof d.expr);
    }
    return d;
}

/* --- resolution ------------------------------------------------------------------------------- */

struct dur_query {
    double step_s, range_s;
};

/* Go's math.Min and math.Max: NaN when one is. */
static double lesser(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b);
}

static double greater(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b);
}

static bool calculate(const struct promql_node *n, const struct dur_query *q, double *out,
                      struct err *e);

static bool calculate_call(const struct promql_node *n, const struct dur_query *q, double *out,
                           struct err *e)
{
    const struct str name = str_from_c(n->u.call.fn->name);
    if (n->u.call.args.n == 0) {
        *out = str_eq(name, STR("step")) ? q->step_s : q->range_s;
        return true;
    }
    double a = 0;
    double b = 0;
    if (!calculate(n->u.call.args.v[0], q, &a, e) || !calculate(n->u.call.args.v[1], q, &b, e)) {
        return false;
    }
    *out = str_eq(name, STR("min_of")) ? lesser(a, b) : greater(a, b);
    return true;
}

static bool calculate_binary(const struct promql_node *n, const struct dur_query *q, double *out,
                             struct err *e)
{
    double a = 0;
    double b = 0;
    if (!calculate(n->u.binary.lhs, q, &a, e) || !calculate(n->u.binary.rhs, q, &b, e)) {
        return false;
    }
    const enum op op = n->u.binary.op;
    if (b == 0 && (op == OP_DIV || op == OP_MOD)) {
        return err_set(e, ERR_INPUT, "%u:%u: %s by zero", n->pos.start, n->pos.end,
                       op == OP_DIV ? "division" : "modulo");
    }
    *out = op == OP_ADD   ? a + b
           : op == OP_SUB ? a - b
           : op == OP_MUL ? a * b
           : op == OP_DIV ? a / b
           : op == OP_MOD ? fmod(a, b)
                          : pow(a, b);
    return true;
}

static bool calculate(const struct promql_node *n, const struct dur_query *q, double *out,
                      struct err *e)
{
    if (n->kind == NODE_NUMBER) {
        *out = n->u.number;
        return true;
    }
    if (n->kind == NODE_PAREN) {
        return calculate(n->u.paren, q, out, e);
    }
    if (n->kind == NODE_UNARY) {
        if (!calculate(n->u.unary.expr, q, out, e)) {
            return false;
        }
        *out = n->u.unary.op == OP_SUB ? -*out : *out;
        return true;
    }
    if (n->kind == NODE_CALL) {
        return calculate_call(n, q, out, e);
    }
    ASSERT(n->kind == NODE_BINARY);
    return calculate_binary(n, q, out, e);
}

bool dur_resolve(const struct dur *d, enum dur_use use, int64_t step_ms, int64_t range_ms,
                 int64_t *ms, struct err *e)
{
    if (d->expr == NULL) {
        *ms = d->ms;
        return true;
    }
    const struct dur_query q = {(double)step_ms / 1000, (double)range_ms / 1000};
    const struct pos pos = d->expr->pos;
    double s = 0;
    if (!calculate(d->expr, &q, &s, e)) {
        return false;
    }
    const char *fault = NULL;
    if (!isfinite(s)) {
        fault = "duration is NaN or infinite";
    } else if (s <= 0 && use != DUR_OFFSET) {
        fault = "duration must be greater than 0";
    } else if (out_of_range(s)) {
        fault = "duration is out of range";
    }
    if (fault != NULL) {
        return err_set(e, ERR_INPUT, "%u:%u: %s", pos.start, pos.end, fault);
    }
    *ms = (int64_t)(s * 1000);
    return true;
}
