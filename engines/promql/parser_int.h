/* What lexer, grammar and constructors of the tree share while one text is parsed. Private to the
 * parser's files (lex.re, lex_text.c, parse.y, ast.c, parser.c, check.c, quote.c).
 *
 * Errors: the first one counts and is kept in p->e; from then on the lexer reports the end of the
 * text and every constructor returns NULL, so nothing after it is looked at. */
#ifndef ENGINES_PROMQL_PARSER_INT_H
#define ENGINES_PROMQL_PARSER_INT_H

#include "codec/f64.h"
#include "engines/promql/ast_int.h"

/* A token: its kind (a code of the generated parse_int.h, which only lex.re and parse.y know), what
 * it means where tokens share a rule (enum op, enum agg or enum match_op), and its bytes. */
struct item {
    int kind, code;
    struct pos pos;
};

/* Which of the four texts is parsed. */
enum start { START_NONE, START_METRIC_TEXT, START_EXPRESSION_TEXT, START_SELECTOR_TEXT };

/* How a token is told in errors. */
enum token_class {
    TOKEN_OTHER,
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_METRIC_NAME,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_DURATION,
    TOKEN_OPERATOR,
    TOKEN_AGGREGATION,
    TOKEN_KEYWORD,
};

/* Lists under construction: linked in order, made into arrays when complete. */
struct link {
    struct link *next;
    void *v;
};
struct chain {
    struct link *first, **last;
    uint32_t n;
    struct pos span; /* from the opening to behind the closing parenthesis or brace, where known */
};

/* A name with its place: an identifier, or a string in quotes already unquoted. */
struct name {
    struct str text;
    struct pos pos;
};

/* A matcher and what the check of selectors needs to know about it. */
struct match_item {
    struct matcher m;
    bool selective; /* refuses the empty value */
};

struct grouping {
    struct chain *labels;
    bool without;
    uint32_t end;
};

/* bool, on, ignoring, group_left, group_right, fill: what stands between operator and operand. */
struct modifiers {
    bool return_bool;
    struct matching m;
};

struct parser {
    struct str text; /* a copy in the arena with a NUL behind it */
    unsigned flags;
    struct arena *arena;
    struct err *e;
    bool failed;

    /* Lexer. */
    uint32_t at, start;    /* next byte; first byte of the token at hand */
    enum start start_text; /* told once before the text, chooses the start symbol */
    int code;              /* of the token at hand */
    bool ended;            /* the END token was given */
    int32_t paren_depth;   /* may become -1 for a moment before the error */
    bool brace_open;       /* between { and } */
    bool bracket_open;     /* between [ and ] */
    bool in_duration;      /* between [ and the first number: only duration tokens are known */
    bool got_colon;        /* after [ */
    bool got_duration;     /* a number stood after some [ */
    struct item item;      /* last token given to the grammar */
    uint32_t last_closing; /* byte behind the last token that can end an expression */

    /* Results. */
    struct promql_node *result;
    struct chain *labels; /* of a metric: struct label */
};

/* Always false. Keeps the first error: ERR_INPUT at pos.start. */
bool promql_fail(struct parser *p, struct pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool promql_fail_memory(struct parser *p);
/* "unexpected <the last token> in CONTEXT, expected WHAT"; both may be NULL. */
void promql_unexpected(struct parser *p, const char *context, const char *expected);
/* Zeroed memory of the parse, NULL (and failed) at the arena's cap. */
void *promql_take(struct parser *p, size_t bytes);
struct str promql_item_text(const struct parser *p, struct item it);
/* 1-based place of a byte; columns count bytes. */
void promql_place(struct str text, uint32_t off, uint32_t *line, uint32_t *col);

/* --- quote.c: text as Go's strconv.Quote writes it, which is what Prometheus prints ---------- */

void promql_quote(struct buf *out, struct str s);
void promql_quote_rune(struct buf *out, int32_t rune);   /* 'x' */
void promql_unicode_rune(struct buf *out, int32_t rune); /* U+0078 'x' */
/* For messages: NUL-terminated in the arena, at most `chars` characters (0 = all). */
const char *promql_quoted(struct parser *p, struct str s, uint32_t chars);
/* Next character of s[at..]: its bytes in *n (1 for a byte that is not UTF-8, then U+FFFD; 0 at the
 * end, then -1). */
int32_t promql_rune(struct str s, size_t at, size_t *n);
/* UTF-8 of a code point; bytes written. */
size_t promql_put_rune(char out[4], uint32_t c);

/* --- lex.re, lex_text.c ----------------------------------------------------------------------- */

/* The next token; kind 0 at the end and after an error. */
struct item promql_lex(struct parser *p);
enum token_class promql_token_class(int kind);
/* Of the generated parser: 0, or a failed parser. */
int promql_yyparse(struct parser *p);
/* Each is called with p->at on the first byte and leaves it behind the last; false: failed. */
bool promql_lex_number(struct parser *p, bool *duration);
bool promql_lex_string(struct parser *p); /* three kinds of quotes */
/* false: failed, with a message about the character at p->at ("unexpected character: 'x'"). */
bool promql_bad_char(struct parser *p, const char *what);
struct str promql_unquote(struct parser *p, struct str quoted);
/* A number's text as Prometheus reads it: 1_000, 0x1F, 017, 1e3, Inf, NaN. why: the reason. */
MUST_USE bool promql_number_text(struct str s, double *out, const char **why);

/* --- duration.c ------------------------------------------------------------------------------- */

enum dur_fault { DUR_OK, DUR_EMPTY, DUR_SYNTAX, DUR_UNIT, DUR_OVERFLOW };
/* "1h30m": milliseconds. DUR_UNIT: *unknown_unit is what is no unit. */
enum dur_fault promql_duration_text(struct str s, int64_t *ms, struct str *unknown_unit);
void promql_duration_print(struct buf *out, int64_t ms); /* ms >= 0 */
void promql_dur_print(struct buf *out, const struct dur *d);
void promql_dur_expr_print(struct buf *out, const struct promql_node *n);

struct promql_node *promql_dur_literal(struct parser *p, struct promql_node *n);
struct promql_node *promql_dur_unary(struct parser *p, struct item op, struct promql_node *n);
struct promql_node *promql_dur_binary(struct parser *p, struct promql_node *lhs, struct item op,
                                      struct promql_node *rhs);
struct promql_node *promql_dur_paren(struct parser *p, struct item open, struct promql_node *n,
                                     struct item close);
/* As promql_dur_paren, without a word about the feature flag: after a sign. */
struct promql_node *promql_dur_wrap(struct parser *p, struct promql_node *n);
struct promql_node *promql_dur_signed_call(struct parser *p, struct item op, struct promql_node *n);
/* step(), range(): lhs and rhs NULL; min_of(a, b), max_of(a, b). */
struct promql_node *promql_dur_call(struct parser *p, const char *function, struct pos pos,
                                    struct promql_node *lhs, struct promql_node *rhs);
struct promql_node *promql_dur_positive(struct parser *p, struct promql_node *n);
struct dur promql_dur_of(const struct promql_node *n);

/* --- ast.c, ast_selector.c: constructors used by the grammar ---------------------------------- */

struct chain *promql_chain(struct parser *p, struct chain *c, void *v); /* c NULL: a new one */
struct chain *promql_chain_span(struct parser *p, struct chain *c, struct item open,
                                struct item close);
struct name *promql_name(struct parser *p, struct item it);
struct name *promql_name_quoted(struct parser *p, struct item it);
struct name *promql_group_label(struct parser *p, struct name *n, struct item it);
struct promql_node *promql_number(struct parser *p, struct item it);
struct promql_node *promql_duration(struct parser *p, struct item it);
struct promql_node *promql_string(struct parser *p, struct item it);
struct promql_node *promql_paren(struct parser *p, struct item open, struct promql_node *n,
                                 struct item close);
struct promql_node *promql_unary(struct parser *p, struct item op, struct promql_node *n);
struct promql_node *promql_binary(struct parser *p, struct promql_node *lhs, struct item op,
                                  struct modifiers *mods, struct promql_node *rhs);
struct promql_node *promql_call(struct parser *p, struct item name, struct chain *args);
struct promql_node *promql_aggregate(struct parser *p, struct item op, struct grouping *by,
                                     struct chain *args);
struct match_item *promql_matcher(struct parser *p, struct name *name, struct item op,
                                  struct item value);
struct match_item *promql_name_matcher(struct parser *p, struct name *name);
struct promql_node *promql_vector(struct parser *p, struct name *metric, struct chain *matchers);
struct promql_node *promql_matrix(struct parser *p, struct promql_node *n, struct item open,
                                  struct promql_node *range, struct item close);
struct promql_node *promql_subquery(struct parser *p, struct promql_node *n,
                                    struct promql_node *range, struct promql_node *step,
                                    struct item close);
void promql_offset(struct parser *p, struct promql_node *n, struct promql_node *offset);
void promql_at(struct parser *p, struct promql_node *n, double t_s);
void promql_at_edge(struct parser *p, struct promql_node *n, enum at_kind at);
void promql_anchored(struct parser *p, struct promql_node *n);
void promql_smoothed(struct parser *p, struct promql_node *n);
struct modifiers *promql_modifiers(struct parser *p, bool return_bool);
void promql_match_on(struct parser *p, struct modifiers *m, bool on, struct chain *labels);
void promql_match_group(struct parser *p, struct modifiers *m, enum card card,
                        struct chain *include);
struct grouping *promql_grouping(struct parser *p, bool without, struct chain *labels);
struct modifiers *promql_fill(struct parser *p, struct modifiers *m, const double *left,
                              const double *right);
/* Labels of a metric: name="value", and "name" alone. */
struct label *promql_label(struct parser *p, struct name *name, struct item value);
struct label *promql_label_name_only(struct parser *p, struct name *name);
struct chain *promql_metric_labels(struct parser *p, struct name *metric, struct chain *labels);
/* A node of the tree; depth counts from its deepest child (each may be NULL). */
struct promql_node *promql_node_new(struct parser *p, enum node_kind kind, enum promql_type type,
                                    struct pos pos, const struct promql_node *a,
                                    const struct promql_node *b);

/* --- check.c ---------------------------------------------------------------------------------- */

/* Types, arities and matching rules of the whole tree; false: failed. Sets matching to NULL where
 * an operand is not a vector. */
bool promql_check(struct parser *p, struct promql_node *n);

/* --- print.c ---------------------------------------------------------------------------------- */

void promql_label_name(struct buf *out, struct str name); /* quoted unless legacy */
/* promql_print with another style of numbers. */
void promql_print_as(const struct promql_node *n, enum f64_style numbers, struct buf *out);
/* True when a binary node must print its left side in parentheses to be read again: Prometheus does
 * not, and cannot read its own text then (a @ 1 offset (5m * 2) + b). */
bool promql_wants_parens(const struct promql_node *n);
/* "sum by (a) ", " bool on (x) group_left ()", "[5m:1m] @ 1.000 offset 5m". */
void promql_print_aggregate_head(struct buf *out, const struct promql_node *n);
void promql_print_operator(struct buf *out, const struct promql_node *n);
void promql_print_subquery_tail(struct buf *out, const struct promql_node *n);

#endif
