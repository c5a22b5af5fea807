/* The tree of an expression. Made by the parser (parse.y), read by printer and evaluator. */
#ifndef ENGINES_PROMQL_AST_INT_H
#define ENGINES_PROMQL_AST_INT_H

#include "engines/promql/promql.h"

/* Bytes of the text, half open; line and column are counted when an error or a note needs them. */
struct pos {
    uint32_t start, end;
};

enum node_kind {
    NODE_NUMBER,
    NODE_STRING,
    NODE_SELECTOR, /* instant vector */
    NODE_RANGE,    /* selector[5m] */
    NODE_SUBQUERY, /* expr[1h:5m] */
    NODE_CALL,
    NODE_AGGREGATE,
    NODE_BINARY,
    NODE_UNARY,
    NODE_PAREN,
};

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_ATAN2,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_LT,
    OP_GE,
    OP_LE,
    OP_AND,
    OP_OR,
    OP_UNLESS,
    OP_TRIM_UPPER, /* </ */
    OP_TRIM_LOWER, /* >/ */
};

enum agg {
    AGG_SUM,
    AGG_AVG,
    AGG_COUNT,
    AGG_MIN,
    AGG_MAX,
    AGG_GROUP,
    AGG_STDDEV,
    AGG_STDVAR,
    AGG_TOPK,
    AGG_BOTTOMK,
    AGG_COUNT_VALUES,
    AGG_QUANTILE,
    AGG_LIMITK,
    AGG_LIMIT_RATIO,
};

/* A duration: a constant, or an expression (duration expressions) that duration.c resolves before
 * evaluation, when start, end and step of the query are known. */
struct dur {
    bool given;
    int64_t ms;
    struct promql_node *expr; /* NULL: ms counts. Else number, unary, binary, parenthesis and call
                                 nodes (step() range() min_of() max_of()) of scalar type */
};

/* What the duration of one node may be. */
enum dur_use { DUR_RANGE, DUR_STEP, DUR_OFFSET }; /* only an offset may be zero or negative */

/* Milliseconds of d for a query of this step and range (end - start; both 0 for an instant query).
 * ERR_INPUT as Prometheus words it ("12:20: duration must be greater than 0"). */
MUST_USE bool dur_resolve(const struct dur *d, enum dur_use use, int64_t step_ms, int64_t range_ms,
                          int64_t *ms, struct err *e);

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

struct node_list {
    struct promql_node **v;
    uint32_t n;
};

enum card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY };

struct matching {
    bool given; /* on or ignoring was written */
    bool on;    /* else ignoring */
    enum card card;
    struct str *labels;
    uint32_t labels_n;
    struct str *include; /* group_left(...) */
    uint32_t include_n;
    bool fill_left_given, fill_right_given;
    double fill_left, fill_right;
};

struct function; /* functions_int.h */

struct promql_node {
    enum node_kind kind;
    enum promql_type type;
    struct pos pos;
    uint16_t depth; /* levels below and including this node, at most PROMQL_DEPTH_MAX */
    bool duration;  /* NODE_NUMBER: written as a duration and printed so */
    union {
        double number; /* NODE_NUMBER; duration literals too (seconds) */
        struct str string;
        struct {
            struct str name; /* metric name when written before the braces; also a matcher */
            struct matcher *matchers; /* __name__ included */
            uint32_t matchers_n;
            bool selective; /* some matcher refuses the empty value */
            struct dur offset;
            enum at_kind at;
            int64_t at_ms;
            bool anchored, smoothed; /* of a bare selector with a modifier, and of ranges */
        } selector;
        struct {
            struct promql_node *selector;
            struct dur range;
        } range;
        struct {
            struct promql_node *expr;
            struct dur range, step, offset;
            enum at_kind at;
            int64_t at_ms;
        } subquery;
        struct {
            const struct function *fn;
            struct node_list args;
        } call;
        struct {
            enum agg op;
            struct promql_node *expr, *param; /* param may be NULL */
            bool without;
            struct str *grouping;
            uint32_t grouping_n;
        } agg;
        struct {
            enum op op;
            struct promql_node *lhs, *rhs;
            bool return_bool;
            struct matching *matching; /* NULL unless both sides are vectors */
        } binary;
        struct {
            enum op op; /* OP_ADD or OP_SUB */
            struct promql_node *expr;
        } unary;
        struct promql_node *paren;
    } u;
};

const char *op_text(enum op op);
const char *agg_text(enum agg op);
bool op_is_comparison(enum op op);
bool op_is_set(enum op op); /* and, or, unless */
bool agg_has_param(enum agg op);

#endif
