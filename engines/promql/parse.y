/* The grammar of PromQL. Constructors (ast.c, duration.c) build the tree in the arena; productions
 * with `error` exist only to say what was expected where.
 *
 * One parser for four texts: the lexer gives a start token first (parser.c chooses it).
 *
 * Conflicts, all settled by shifting: an opening parenthesis after group_left and group_right
 * belongs to it (2), and fill before a parenthesis is a modifier and not a metric of that name (5).
 *
 * Bounds: the stack holds PARSE_STACK_MAX symbols, in the arena; a level of nesting takes at most
 * eight. Made by bison.
 *
 * Source: the PromQL documentation; precedences and error contexts as Prometheus 3.14. */
%code requires {
#include "engines/promql/parser_int.h"
}

%code {
#define PARSE_STACK_MAX 2048
#define YYINITDEPTH     64
#define YYMAXDEPTH      PARSE_STACK_MAX
/* Stacks that were outgrown stay in the arena until the request ends. */
#define YYSTACK_ALLOC(bytes) promql_take(p, (bytes))

/* The skeleton's own conversions. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#ifndef __clang__
#    pragma GCC diagnostic ignored "-Wduplicated-branches"
#endif

static int promql_yylex(PROMQL_YYSTYPE *v, struct parser *p)
{
    v->item = promql_lex(p);
    return v->item.kind;
}

/* Syntax errors are told by the productions; only the stack's bound comes here otherwise. */
static void promql_yyerror(struct parser *p, const char *msg)
{
    if (strcmp(msg, "syntax error") != 0 && !p->failed) {
        promql_fail(p, p->item.pos, "expression is nested more than %d levels", PROMQL_DEPTH_MAX);
        p->e->code = ERR_LIMIT;
    }
}

static struct pos span(struct item first, struct item last)
{
    return (struct pos){first.pos.start, last.pos.end};
}

static bool is_max(struct item it)
{
    return it.kind == T_MAX_OF;
}

static bool is_minus(struct item it)
{
    return it.kind == T_SUB;
}
}

%define api.pure full
%define api.prefix {promql_yy}
%define api.token.prefix {T_}
%define api.header.include {"engines/promql/parse_int.h"}
%define parse.error simple
%param {struct parser *p}
%expect 7

%union {
    struct item item;
    struct promql_node *node;
    struct chain *chain;
    struct name *name;
    struct match_item *matcher;
    struct modifiers *mods;
    struct grouping *grouping;
    struct label *label;
    double number;
}

%token START_METRIC START_EXPRESSION START_SELECTOR
%token <item> END
%token <item> EQL COLON COMMA DURATION IDENTIFIER LBRACE LBRACKET LPAREN METRIC_IDENTIFIER NUMBER
%token <item> RBRACE RBRACKET RPAREN STRING
%token <item> ADD DIV EQLC EQL_REGEX GTE GTR TRIM_UPPER TRIM_LOWER AND OR LSS LTE UNLESS MOD MUL NEQ
%token <item> NEQ_REGEX POW SUB AT ATAN2
%token <item> AVG BOTTOMK COUNT COUNT_VALUES GROUP MAX MIN QUANTILE STDDEV STDVAR SUM TOPK LIMITK
%token <item> LIMIT_RATIO
%token <item> BOOL BY GROUP_LEFT GROUP_RIGHT FILL FILL_LEFT FILL_RIGHT IGNORING OFFSET SMOOTHED
%token <item> ANCHORED ON WITHOUT
%token <item> START FINISH STEP RANGE MAX_OF MIN_OF

%type <item> aggregation word_of_label match_op sign edge extreme function_name word_of_metric
%type <node> expr literal vector duration plain_duration offset_duration long_duration duration_call
%type <chain> call_args arg_list group_labels group_label_list include_labels matcher_list
%type <chain> label_list label_set
%type <name> metric_name quoted_name group_label
%type <matcher> matcher
%type <mods> modifiers group_modifiers on_modifiers bool_modifier
%type <grouping> grouping
%type <label> label
%type <number> fill_value at_time number
%type <chain> matchers

%left OR
%left AND UNLESS
%left EQLC GTE GTR LSS LTE NEQ TRIM_UPPER TRIM_LOWER
%left ADD SUB
%left MUL DIV MOD ATAN2
%right POW
%precedence OFFSET AT ANCHORED SMOOTHED LBRACKET

%%

start
    : START_METRIC metric END
    | START_EXPRESSION END
        { promql_fail(p, (struct pos){0, 0}, "no expression found in input"); }
    | START_EXPRESSION expr END { p->result = $2; }
    | START_SELECTOR vector END { p->result = $2; }
    | error { promql_unexpected(p, NULL, NULL); }
    ;

/* --- expressions ------------------------------------------------------------------------------ */

expr
    : aggregation grouping call_args { $$ = promql_aggregate(p, $1, $2, $3); }
    | aggregation call_args grouping { $$ = promql_aggregate(p, $1, $3, $2); }
    | aggregation call_args { $$ = promql_aggregate(p, $1, NULL, $2); }
    | aggregation error { promql_unexpected(p, "aggregation", NULL); $$ = NULL; }
    | expr ADD modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr ATAN2 modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr DIV modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr EQLC modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr GTE modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr GTR modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr TRIM_UPPER modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr TRIM_LOWER modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr AND modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr OR modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr LSS modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr LTE modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr UNLESS modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr MOD modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr MUL modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr NEQ modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr POW modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | expr SUB modifiers expr { $$ = promql_binary(p, $1, $2, $3, $4); }
    | function_name call_args { $$ = promql_call(p, $1, $2); }
    | literal
    | STRING { $$ = promql_string(p, $1); }
    | LPAREN expr RPAREN { $$ = promql_paren(p, $1, $2, $3); }
    | sign expr %prec MUL { $$ = promql_unary(p, $1, $2); }
    | vector
    | expr OFFSET offset_duration { promql_offset(p, $1, $3); $$ = $1; }
    | expr OFFSET error
        { promql_unexpected(p, "offset", "number, duration, step(), or range()"); $$ = $1; }
    | expr ANCHORED { promql_anchored(p, $1); $$ = $1; }
    | expr SMOOTHED { promql_smoothed(p, $1); $$ = $1; }
    | expr AT at_time { promql_at(p, $1, $3); $$ = $1; }
    | expr AT edge LPAREN RPAREN
        { promql_at_edge(p, $1, $3.kind == T_START ? AT_START : AT_END); $$ = $1; }
    | expr AT error { promql_unexpected(p, "@", "timestamp"); $$ = $1; }
    | expr LBRACKET duration RBRACKET { $$ = promql_matrix(p, $1, $2, $3, $4); }
    | expr LBRACKET duration COLON duration RBRACKET { $$ = promql_subquery(p, $1, $3, $5, $6); }
    | expr LBRACKET duration COLON RBRACKET { $$ = promql_subquery(p, $1, $3, NULL, $5); }
    | expr LBRACKET duration COLON duration error
        { promql_unexpected(p, "subquery selector", "\"]\""); $$ = $1; }
    | expr LBRACKET duration COLON error
        { promql_unexpected(p, "subquery selector",
                            "number, duration, step(), range(), or \"]\""); $$ = $1; }
    | expr LBRACKET duration error
        { promql_unexpected(p, "subquery or range", "\":\" or \"]\""); $$ = $1; }
    | expr LBRACKET error
        { promql_unexpected(p, "subquery or range selector",
                            "number, duration, step(), or range()"); $$ = $1; }
    ;

literal
    : NUMBER { $$ = promql_number(p, $1); }
    | DURATION { $$ = promql_duration(p, $1); }
    ;

number: literal { $$ = $1 != NULL ? $1->u.number : 0; };

at_time
    : number
    | ADD number { $$ = $2; }
    | SUB number { $$ = -$2; }
    ;

edge: START | FINISH;
sign: ADD | SUB;
extreme: MAX_OF | MIN_OF;

/* --- calls and aggregations ------------------------------------------------------------------- */

function_name: IDENTIFIER | START | FINISH | STEP | RANGE | extreme;

call_args
    : LPAREN arg_list RPAREN { $$ = promql_chain_span(p, $2, $1, $3); }
    | LPAREN RPAREN { $$ = promql_chain_span(p, promql_chain(p, NULL, NULL), $1, $2); }
    ;

arg_list
    : arg_list COMMA expr { $$ = promql_chain(p, $1, $3); }
    | expr { $$ = promql_chain(p, NULL, $1); }
    | arg_list COMMA
        { promql_fail(p, $2.pos, "trailing commas not allowed in function call args"); $$ = $1; }
    ;

grouping
    : BY group_labels { $$ = promql_grouping(p, false, $2); }
    | WITHOUT group_labels { $$ = promql_grouping(p, true, $2); }
    ;

group_labels
    : LPAREN group_label_list RPAREN { $$ = $2; }
    | LPAREN group_label_list COMMA RPAREN { $$ = $2; }
    | LPAREN RPAREN { $$ = promql_chain(p, NULL, NULL); }
    | error { promql_unexpected(p, "grouping opts", "\"(\""); $$ = NULL; }
    ;

group_label_list
    : group_label_list COMMA group_label { $$ = promql_chain(p, $1, $3); }
    | group_label { $$ = promql_chain(p, NULL, $1); }
    | group_label_list error
        { promql_unexpected(p, "grouping opts", "\",\" or \")\""); $$ = $1; }
    ;

group_label
    : word_of_label { $$ = promql_group_label(p, promql_name(p, $1), $1); }
    | STRING { $$ = promql_group_label(p, promql_name_quoted(p, $1), $1); }
    | error { promql_unexpected(p, "grouping opts", "label"); $$ = NULL; }
    ;

/* --- what stands between a binary operator and its right side --------------------------------- */

bool_modifier
    : %empty { $$ = promql_modifiers(p, false); }
    | BOOL { $$ = promql_modifiers(p, true); }
    ;

on_modifiers
    : bool_modifier IGNORING group_labels { $$ = $1; promql_match_on(p, $$, false, $3); }
    | bool_modifier ON group_labels { $$ = $1; promql_match_on(p, $$, true, $3); }
    ;

include_labels
    : %empty { $$ = NULL; }
    | group_labels
    ;

group_modifiers
    : bool_modifier
    | on_modifiers
    | on_modifiers GROUP_LEFT include_labels
        { $$ = $1; promql_match_group(p, $$, CARD_MANY_TO_ONE, $3); }
    | on_modifiers GROUP_RIGHT include_labels
        { $$ = $1; promql_match_group(p, $$, CARD_ONE_TO_MANY, $3); }
    ;

modifiers
    : group_modifiers
    | group_modifiers FILL fill_value { $$ = promql_fill(p, $1, &$3, &$3); }
    | group_modifiers FILL_LEFT fill_value { $$ = promql_fill(p, $1, &$3, NULL); }
    | group_modifiers FILL_RIGHT fill_value { $$ = promql_fill(p, $1, NULL, &$3); }
    | group_modifiers FILL_LEFT fill_value FILL_RIGHT fill_value
        { $$ = promql_fill(p, $1, &$3, &$5); }
    | group_modifiers FILL_RIGHT fill_value FILL_LEFT fill_value
        { $$ = promql_fill(p, $1, &$5, &$3); }
    ;

fill_value
    : LPAREN number RPAREN { $$ = $2; }
    | LPAREN sign number RPAREN { $$ = is_minus($2) ? -$3 : $3; }
    ;

/* --- selectors -------------------------------------------------------------------------------- */

vector
    : metric_name matchers { $$ = promql_vector(p, $1, $2); }
    | metric_name { $$ = promql_vector(p, $1, NULL); }
    | matchers { $$ = promql_vector(p, NULL, $1); }
    ;

matchers
    : LBRACE matcher_list RBRACE { $$ = promql_chain_span(p, $2, $1, $3); }
    | LBRACE matcher_list COMMA RBRACE { $$ = promql_chain_span(p, $2, $1, $4); }
    | LBRACE RBRACE { $$ = promql_chain_span(p, promql_chain(p, NULL, NULL), $1, $2); }
    ;

matcher_list
    : matcher_list COMMA matcher { $$ = promql_chain(p, $1, $3); }
    | matcher { $$ = promql_chain(p, NULL, $1); }
    | matcher_list error { promql_unexpected(p, "label matching", "\",\" or \"}\""); $$ = $1; }
    ;

matcher
    : IDENTIFIER match_op STRING { $$ = promql_matcher(p, promql_name(p, $1), $2, $3); }
    | quoted_name match_op STRING { $$ = promql_matcher(p, $1, $2, $3); }
    | quoted_name { $$ = promql_name_matcher(p, $1); }
    | quoted_name match_op error { promql_unexpected(p, "label matching", "string"); $$ = NULL; }
    | IDENTIFIER match_op error { promql_unexpected(p, "label matching", "string"); $$ = NULL; }
    | IDENTIFIER error
        { promql_unexpected(p, "label matching", "label matching operator"); $$ = NULL; }
    | error { promql_unexpected(p, "label matching", "identifier or \"}\""); $$ = NULL; }
    ;

match_op: EQL | NEQ | EQL_REGEX | NEQ_REGEX;

quoted_name: STRING { $$ = promql_name_quoted(p, $1); };

metric_name: word_of_metric { $$ = promql_name(p, $1); };

/* Every keyword but bool, on, ignoring, group_left, group_right and atan2 may name a metric... */
word_of_metric
    : AVG | BOTTOMK | BY | COUNT | COUNT_VALUES | FILL | FILL_LEFT | FILL_RIGHT | GROUP | IDENTIFIER
    | AND | OR | UNLESS | MAX | METRIC_IDENTIFIER | MIN | OFFSET | QUANTILE | STDDEV | STDVAR | SUM
    | TOPK | WITHOUT | START | FINISH | LIMITK | LIMIT_RATIO | STEP | RANGE | ANCHORED | SMOOTHED
    | MAX_OF | MIN_OF
    ;

/* ... and every one but without a label to group or match by. */
word_of_label
    : AVG | BOOL | BOTTOMK | BY | COUNT | COUNT_VALUES | GROUP | GROUP_LEFT | GROUP_RIGHT | FILL
    | FILL_LEFT | FILL_RIGHT | IDENTIFIER | IGNORING | AND | OR | UNLESS | MAX | METRIC_IDENTIFIER
    | MIN | OFFSET | ON | QUANTILE | STDDEV | STDVAR | SUM | TOPK | START | FINISH | ATAN2 | LIMITK
    | LIMIT_RATIO | STEP | RANGE | ANCHORED | SMOOTHED | MAX_OF | MIN_OF
    ;

aggregation
    : AVG | BOTTOMK | COUNT | COUNT_VALUES | GROUP | MAX | MIN | QUANTILE | STDDEV | STDVAR | SUM
    | TOPK | LIMITK | LIMIT_RATIO
    ;

/* --- metrics: a name and labels, nothing to match --------------------------------------------- */

metric
    : metric_name label_set { p->labels = promql_metric_labels(p, $1, $2); }
    | label_set { p->labels = $1; }
    ;

label_set
    : LBRACE label_list RBRACE { $$ = $2; }
    | LBRACE label_list COMMA RBRACE { $$ = $2; }
    | LBRACE RBRACE { $$ = promql_chain(p, NULL, NULL); }
    | %empty { $$ = promql_chain(p, NULL, NULL); }
    ;

label_list
    : label_list COMMA label { $$ = promql_chain(p, $1, $3); }
    | label { $$ = promql_chain(p, NULL, $1); }
    | label_list error { promql_unexpected(p, "label set", "\",\" or \"}\""); $$ = $1; }
    ;

label
    : IDENTIFIER EQL STRING { $$ = promql_label(p, promql_name(p, $1), $3); }
    | quoted_name EQL STRING { $$ = promql_label(p, $1, $3); }
    | quoted_name { $$ = promql_label_name_only(p, $1); }
    | IDENTIFIER EQL error { promql_unexpected(p, "label set", "string"); $$ = NULL; }
    | quoted_name EQL error { promql_unexpected(p, "label set", "string"); $$ = NULL; }
    | IDENTIFIER error { promql_unexpected(p, "label set", "\"=\""); $$ = NULL; }
    | error { promql_unexpected(p, "label set", "identifier or \"}\""); $$ = NULL; }
    ;

/* --- durations -------------------------------------------------------------------------------- */

/* Of a range or the step of a subquery. */
duration: plain_duration { $$ = promql_dur_positive(p, $1); };

/* After `offset` a literal or call ends the duration, whatever operator follows; what begins with a
 * parenthesis or two signs goes on as far as it can. */
offset_duration
    : literal { $$ = promql_dur_literal(p, $1); }
    | sign literal { $$ = promql_dur_unary(p, $1, $2); }
    | duration_call
    | sign duration_call { $$ = promql_dur_signed_call(p, $1, $2); }
    | sign LPAREN plain_duration RPAREN { $$ = promql_dur_unary(p, $1, promql_dur_wrap(p, $3)); }
    | long_duration %prec OR
    ;

long_duration
    : LPAREN plain_duration RPAREN { $$ = promql_dur_paren(p, $1, $2, $3); }
    | sign sign plain_duration %prec MUL
        { $$ = promql_dur_unary(p, $1, promql_dur_unary(p, $2, $3)); }
    | long_duration ADD plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | long_duration SUB plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | long_duration MUL plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | long_duration DIV plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | long_duration MOD plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | long_duration POW plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    ;

plain_duration
    : literal { $$ = promql_dur_literal(p, $1); }
    | sign plain_duration %prec MUL { $$ = promql_dur_unary(p, $1, $2); }
    | plain_duration ADD plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | plain_duration SUB plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | plain_duration MUL plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | plain_duration DIV plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | plain_duration MOD plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | plain_duration POW plain_duration { $$ = promql_dur_binary(p, $1, $2, $3); }
    | duration_call
    | LPAREN plain_duration RPAREN { $$ = promql_dur_paren(p, $1, $2, $3); }
    ;

duration_call
    : STEP LPAREN RPAREN { $$ = promql_dur_call(p, "step", span($1, $3), NULL, NULL); }
    | RANGE LPAREN RPAREN { $$ = promql_dur_call(p, "range", span($1, $3), NULL, NULL); }
    | extreme LPAREN plain_duration COMMA plain_duration RPAREN
        { $$ = promql_dur_call(p, is_max($1) ? "max_of" : "min_of", span($1, $6), $3, $5); }
    ;

%%
