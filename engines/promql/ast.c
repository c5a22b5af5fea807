/* Constructors of the tree: each production of the grammar that makes a node calls one. What can be
 * told wrong as soon as a node is whole is told here (unknown functions, counts of an aggregation's
 * arguments, modifiers on what cannot have them); what needs types waits for check.c.
 *
 * Invariants: after the first error every constructor returns NULL and does nothing; without one no
 * child is NULL. All memory is the arena's.
 *
 * Source: Prometheus 3.14, behaviour and error texts. */
#include "engines/promql/ast_int.h"

#include "codec/regex.h"
#include "engines/promql/functions_int.h"
#include "engines/promql/parser_int.h"

#include <math.h>

/* In the order of enum op and enum agg. */
static const char *const op_texts[] = {"+", "-", "*",  "/",  "%",   "^",  "atan2",  "==", "!=",
                                       ">", "<", ">=", "<=", "and", "or", "unless", "</", ">/"};
static const char *const agg_texts[] = {
    "sum",    "avg",  "count",   "min",          "max",      "group",  "stddev",
    "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"};
_Static_assert(ARRAY_LEN(op_texts) == OP_TRIM_LOWER + 1, "one text per operator");
_Static_assert(ARRAY_LEN(agg_texts) == AGG_LIMIT_RATIO + 1, "one text per aggregation");

const char *op_text(enum op op)
{
    return op_texts[op];
}

const char *agg_text(enum agg op)
{
    return agg_texts[op];
}

bool op_is_comparison(enum op op)
{
    return op >= OP_EQ && op <= OP_LE;
}

bool op_is_set(enum op op)
{
    return op == OP_AND || op == OP_OR || op == OP_UNLESS;
}

bool agg_has_param(enum agg op)
{
    return op >= AGG_TOPK;
}

/* --- lists and names -------------------------------------------------------------------------- */

struct chain *promql_chain(struct parser *p, struct chain *c, void *v)
{
    if (p->failed) {
        return NULL;
    }
    if (c == NULL) {
        c = promql_take(p, sizeof *c);
        if (c == NULL) {
            return NULL;
        }
        c->last = &c->first;
    }
    if (v != NULL) {
        struct link *l = promql_take(p, sizeof *l);
        if (l == NULL) {
            return NULL;
        }
        l->v = v;
        *c->last = l;
        c->last = &l->next;
        c->n++;
    }
    return c;
}

struct chain *promql_chain_span(struct parser *p, struct chain *c, struct item open,
                                struct item close)
{
    if (p->failed) {
        return NULL;
    }
    c->span = (struct pos){open.pos.start, close.pos.end};
    return c;
}

struct name *promql_name(struct parser *p, struct item it)
{
    struct name *n = promql_take(p, sizeof *n);
    if (n != NULL) {
        *n = (struct name){promql_item_text(p, it), it.pos};
    }
    return n;
}

struct name *promql_name_quoted(struct parser *p, struct item it)
{
    struct name *n = promql_take(p, sizeof *n);
    if (n != NULL) {
        *n = (struct name){promql_unquote(p, promql_item_text(p, it)), it.pos};
    }
    return n;
}

struct name *promql_group_label(struct parser *p, struct name *n, struct item it)
{
    if (p->failed) {
        return NULL;
    }
    if (n->text.n == 0 || !str_is_utf8(n->text)) {
        promql_fail(p, it.pos, "invalid label name for grouping: %s", promql_quoted(p, n->text, 0));
        return NULL;
    }
    return n;
}

/* The texts of a chain of names as an array. */
static struct str *names(struct parser *p, const struct chain *c, uint32_t *n)
{
    *n = c == NULL ? 0 : c->n;
    struct str *out = promql_take(p, (*n + 1) * sizeof *out);
    if (out == NULL) {
        *n = 0;
        return NULL;
    }
    uint32_t i = 0;
    for (const struct link *l = c == NULL ? NULL : c->first; l != NULL; l = l->next) {
        const struct name *name = l->v;
        out[i++] = name->text;
    }
    return out;
}

/* --- nodes ------------------------------------------------------------------------------------ */

struct promql_node *promql_node_new(struct parser *p, enum node_kind kind, enum promql_type type,
                                    struct pos pos, const struct promql_node *a,
                                    const struct promql_node *b)
{
    if (p->failed) {
        return NULL;
    }
    const uint16_t below_a = a != NULL ? a->depth : 0;
    const uint16_t below_b = b != NULL ? b->depth : 0;
    const unsigned depth = 1U + (below_a > below_b ? below_a : below_b);
    if (depth > PROMQL_DEPTH_MAX) {
        promql_fail(p, pos, "expression is nested more than %d levels", PROMQL_DEPTH_MAX);
        p->e->code = ERR_LIMIT;
        return NULL;
    }
    struct promql_node *n = promql_take(p, sizeof *n);
    if (n != NULL) {
        n->kind = kind;
        n->type = type;
        n->pos = pos;
        n->depth = (uint16_t)depth;
    }
    return n;
}

struct promql_node *promql_number(struct parser *p, struct item it)
{
    struct promql_node *n = promql_node_new(p, NODE_NUMBER, PROMQL_SCALAR, it.pos, NULL, NULL);
    if (n == NULL) {
        return NULL;
    }
    const struct str text = promql_item_text(p, it);
    const char *why = NULL;
    if (!promql_number_text(text, &n->u.number, &why)) {
        promql_fail(p, p->item.pos, "error parsing number: strconv.ParseFloat: parsing %s: %s",
                    promql_quoted(p, text, 0), why);
        return NULL;
    }
    return n;
}

struct promql_node *promql_duration(struct parser *p, struct item it)
{
    struct promql_node *n = promql_node_new(p, NODE_NUMBER, PROMQL_SCALAR, it.pos, NULL, NULL);
    if (n == NULL) {
        return NULL;
    }
    const struct str text = promql_item_text(p, it);
    struct str unit = {0};
    int64_t ms = 0;
    const enum dur_fault fault = promql_duration_text(text, &ms, &unit);
    if (fault == DUR_UNIT) {
        promql_fail(p, it.pos, "unknown unit %s in duration %s", promql_quoted(p, unit, 0),
                    promql_quoted(p, text, 0));
    } else if (fault == DUR_OVERFLOW) {
        promql_fail(p, it.pos, "duration out of range");
    } else if (fault != DUR_OK) {
        promql_fail(p, it.pos, "not a valid duration string: %s", promql_quoted(p, text, 0));
    }
    if (p->failed) {
        return NULL;
    }
    /* Whole seconds and the rest apart, so that the rounding is Go's. */
    n->u.number = (double)(ms / 1000) + (double)(ms % 1000) * 1e6 / 1e9;
    n->duration = true;
    return n;
}

struct promql_node *promql_string(struct parser *p, struct item it)
{
    struct promql_node *n = promql_node_new(p, NODE_STRING, PROMQL_STRING, it.pos, NULL, NULL);
    if (n != NULL) {
        n->u.string = promql_unquote(p, promql_item_text(p, it));
    }
    return n;
}

struct promql_node *promql_paren(struct parser *p, struct item open, struct promql_node *n,
                                 struct item close)
{
    if (p->failed) {
        return NULL;
    }
    const struct pos pos = {open.pos.start, close.pos.end};
    struct promql_node *out = promql_node_new(p, NODE_PAREN, n->type, pos, n, NULL);
    if (out != NULL) {
        out->u.paren = n;
    }
    return out;
}

struct promql_node *promql_unary(struct parser *p, struct item op, struct promql_node *n)
{
    if (p->failed) {
        return NULL;
    }
    if (n->kind == NODE_NUMBER) {
        n->u.number = op.code == OP_SUB ? -n->u.number : n->u.number;
        n->pos.start = op.pos.start;
        return n;
    }
    const struct pos pos = {op.pos.start, n->pos.end};
    struct promql_node *out = promql_node_new(p, NODE_UNARY, n->type, pos, n, NULL);
    if (out != NULL) {
        out->u.unary.op = (enum op)op.code;
        out->u.unary.expr = n;
    }
    return out;
}

struct promql_node *promql_binary(struct parser *p, struct promql_node *lhs, struct item op,
                                  struct modifiers *mods, struct promql_node *rhs)
{
    if (p->failed) {
        return NULL;
    }
    const struct pos pos = {lhs->pos.start, rhs->pos.end};
    if ((mods->m.fill_left_given || mods->m.fill_right_given) &&
        (p->flags & PROMQL_BINOP_FILL) == 0) {
        promql_fail(p, pos, "binop fill modifiers are experimental and not enabled");
        return NULL;
    }
    const bool scalar = lhs->type == PROMQL_SCALAR && rhs->type == PROMQL_SCALAR;
    struct promql_node *out =
        promql_node_new(p, NODE_BINARY, scalar ? PROMQL_SCALAR : PROMQL_VECTOR, pos, lhs, rhs);
    if (out != NULL) {
        out->u.binary.op = (enum op)op.code;
        out->u.binary.lhs = lhs;
        out->u.binary.rhs = rhs;
        out->u.binary.return_bool = mods->return_bool;
        out->u.binary.matching = &mods->m;
    }
    return out;
}

/* The nodes of a chain as an array, and the deepest of them. */
static struct node_list node_array(struct parser *p, const struct chain *c,
                                   const struct promql_node **deepest)
{
    struct node_list out = {NULL, c->n};
    *deepest = NULL;
    out.v = promql_take(p, (c->n + 1) * sizeof(struct promql_node *));
    if (out.v == NULL) {
        return (struct node_list){NULL, 0};
    }
    uint32_t i = 0;
    for (const struct link *l = c->first; l != NULL; l = l->next) {
        out.v[i] = l->v;
        if (*deepest == NULL || out.v[i]->depth > (*deepest)->depth) {
            *deepest = out.v[i];
        }
        i++;
    }
    return out;
}

struct promql_node *promql_call(struct parser *p, struct item name, struct chain *args)
{
    if (p->failed) {
        return NULL;
    }
    const struct str text = promql_item_text(p, name);
    const struct function *fn = function_find(text);
    if (fn == NULL) {
        promql_fail(p, name.pos, "unknown function with name %s", promql_quoted(p, text, 0));
        return NULL;
    }
    if (fn->experimental && (p->flags & PROMQL_EXPERIMENTAL_FUNCTIONS) == 0) {
        promql_fail(p, name.pos, "function %s is not enabled", promql_quoted(p, text, 0));
        return NULL;
    }
    const struct promql_node *deepest = NULL;
    const struct node_list list = node_array(p, args, &deepest);
    const struct pos pos = {name.pos.start, args->span.end};
    struct promql_node *out = promql_node_new(p, NODE_CALL, fn->returns, pos, deepest, NULL);
    if (out != NULL) {
        out->u.call.fn = fn;
        out->u.call.args = list;
    }
    return out;
}

struct grouping *promql_grouping(struct parser *p, bool without, struct chain *labels)
{
    if (p->failed) {
        return NULL;
    }
    struct grouping *g = promql_take(p, sizeof *g);
    if (g != NULL) {
        *g = (struct grouping){labels, without, p->last_closing};
    }
    return g;
}

/* What an aggregation's arguments may be in number; false: failed. */
static bool aggregate_args(struct parser *p, enum agg op, uint32_t n, struct pos pos)
{
    const uint32_t wanted = agg_has_param(op) ? 2 : 1;
    const bool experimental = op == AGG_LIMITK || op == AGG_LIMIT_RATIO;
    if (n == 0) {
        return promql_fail(p, pos, "no arguments for aggregate expression provided");
    }
    if (experimental && (p->flags & PROMQL_EXPERIMENTAL_FUNCTIONS) == 0) {
        return promql_fail(p, pos,
                           "%s() is experimental and must be enabled with "
                           "--enable-feature=promql-experimental-functions",
                           agg_text(op));
    }
    if (n != wanted) {
        return promql_fail(p, pos,
                           "wrong number of arguments for aggregate expression provided, "
                           "expected %u, got %u",
                           wanted, n);
    }
    return true;
}

struct promql_node *promql_aggregate(struct parser *p, struct item op, struct grouping *by,
                                     struct chain *args)
{
    if (p->failed) {
        return NULL;
    }
    const enum agg agg = (enum agg)op.code;
    const uint32_t end = by != NULL && by->end > args->span.end ? by->end : args->span.end;
    const struct pos pos = {op.pos.start, end};
    if (!aggregate_args(p, agg, args->n, pos)) {
        return NULL;
    }
    struct promql_node *first = args->first->v;
    struct promql_node *second = args->n == 2 ? args->first->next->v : NULL;
    struct promql_node *out = promql_node_new(p, NODE_AGGREGATE, PROMQL_VECTOR, pos, first, second);
    if (out == NULL) {
        return NULL;
    }
    out->u.agg.op = agg;
    out->u.agg.expr = second != NULL ? second : first;
    out->u.agg.param = second != NULL ? first : NULL;
    out->u.agg.without = by != NULL && by->without;
    out->u.agg.grouping = names(p, by != NULL ? by->labels : NULL, &out->u.agg.grouping_n);
    return out;
}

/* --- matching --------------------------------------------------------------------------------- */

struct modifiers *promql_modifiers(struct parser *p, bool return_bool)
{
    struct modifiers *m = promql_take(p, sizeof *m);
    if (m != NULL) {
        m->return_bool = return_bool;
        m->m.card = CARD_ONE_TO_ONE;
    }
    return m;
}

void promql_match_on(struct parser *p, struct modifiers *m, bool on, struct chain *labels)
{
    if (!p->failed) {
        m->m.given = true;
        m->m.on = on;
        m->m.labels = names(p, labels, &m->m.labels_n);
    }
}

void promql_match_group(struct parser *p, struct modifiers *m, enum card card,
                        struct chain *include)
{
    if (!p->failed) {
        m->m.card = card;
        m->m.include = names(p, include, &m->m.include_n);
    }
}

struct modifiers *promql_fill(struct parser *p, struct modifiers *m, const double *left,
                              const double *right)
{
    if (p->failed) {
        return NULL;
    }
    if (left != NULL) {
        m->m.fill_left_given = true;
        m->m.fill_left = *left;
    }
    if (right != NULL) {
        m->m.fill_right_given = true;
        m->m.fill_right = *right;
    }
    return m;
}

/* --- labels of a metric ----------------------------------------------------------------------- */

struct label *promql_label(struct parser *p, struct name *name, struct item value)
{
    struct label *l = promql_take(p, sizeof *l);
    if (l != NULL) {
        *l = (struct label){name->text, promql_unquote(p, promql_item_text(p, value))};
    }
    return l;
}

struct label *promql_label_name_only(struct parser *p, struct name *name)
{
    struct label *l = promql_take(p, sizeof *l);
    if (l != NULL) {
        *l = (struct label){STR(LABEL_NAME), name->text};
    }
    return l;
}

/* The name before the braces is the name, whatever __name__ stands between them. */
struct chain *promql_metric_labels(struct parser *p, struct name *metric, struct chain *labels)
{
    if (p->failed) {
        return NULL;
    }
    struct chain *out = promql_chain(p, NULL, promql_label_name_only(p, metric));
    for (const struct link *l = labels->first; l != NULL && out != NULL; l = l->next) {
        struct label *label = l->v;
        if (!str_eq(label->name, STR(LABEL_NAME))) {
            out = promql_chain(p, out, label);
        }
    }
    return out;
}
