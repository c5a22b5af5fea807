/* The lexer of PromQL: text to tokens, with the errors that only characters can tell.
 *
 * Three sublanguages, chosen by what is open: expressions, matchers between braces, and durations
 * after a bracket (until the first number of the bracket, then the expression's rules again with
 * fewer words; Prometheus does the same, and its error texts depend on it). Keywords are such in
 * any case. fill, fill_left and fill_right are keywords only before a parenthesis, so that metrics
 * may have these names.
 *
 * Invariants: p->text has a NUL behind its end, which no rule but the one for NUL matches; a call
 * moves p->at forward or ends the text, so lexing is linear (the look-ahead of fill stops at the
 * first byte that is not a space). Made by re2c.
 *
 * Source: the tokens of the PromQL documentation; error texts as Prometheus 3.14 words them. */
#include "engines/promql/parser_int.h"

#include "engines/promql/parse_int.h"

static const unsigned char *at_cursor(const struct parser *p)
{
    return (const unsigned char *)p->text.p + p->at;
}

static void move_to(struct parser *p, const unsigned char *cursor)
{
    p->at = (uint32_t)(cursor - (const unsigned char *)p->text.p);
}

/* A token that shares a rule with others, and which of them it is. */
static int meaning(struct parser *p, const unsigned char *cursor, int kind, int code)
{
    move_to(p, cursor);
    p->code = code;
    return kind;
}

static bool is_word(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* p->at stands behind '#'. */
static void skip_comment(struct parser *p)
{
    while (p->at < p->text.n && p->text.p[p->at] != '\n' && p->text.p[p->at] != '\r') {
        p->at++;
    }
}

static bool before_paren(const struct parser *p)
{
    size_t at = p->at;
    while (at < p->text.n && is_space(p->text.p[at])) {
        at++;
    }
    return at < p->text.n && p->text.p[at] == '(';
}

static int fill_or_name(const struct parser *p, int keyword)
{
    return before_paren(p) ? keyword : T_IDENTIFIER;
}

/* Errors whose token Prometheus has already passed stand behind the character. */
static int fail_behind(struct parser *p, const char *what)
{
    return promql_fail(p, (struct pos){p->at, p->at}, "%s", what);
}

static int fail_here(struct parser *p, const char *what)
{
    return promql_fail(p, (struct pos){p->start, p->at}, "%s", what);
}

static int open_paren(struct parser *p)
{
    p->paren_depth++;
    return T_LPAREN;
}

static int close_paren(struct parser *p)
{
    p->paren_depth--;
    return p->paren_depth < 0 ? fail_behind(p, "unexpected right parenthesis ')'") : T_RPAREN;
}

static int open_bracket(struct parser *p)
{
    if (p->bracket_open) {
        return fail_here(p, "unexpected left bracket '['");
    }
    p->got_colon = false;
    p->bracket_open = true;
    p->in_duration = true;
    return T_LBRACKET;
}

static int close_bracket(struct parser *p)
{
    if (!p->bracket_open) {
        return fail_here(p, "unexpected right bracket ']'");
    }
    p->bracket_open = false;
    return T_RBRACKET;
}

static int end_of_text(struct parser *p)
{
    p->at = (uint32_t)p->text.n;
    if (p->paren_depth != 0) {
        return fail_here(p, "unclosed left parenthesis");
    }
    if (p->bracket_open) {
        return fail_here(p, "unclosed left bracket");
    }
    p->ended = true;
    return T_END;
}

/* step, range, min_of or max_of at p->at in any case, or 0; moves behind the letters anyway. */
static int duration_word(struct parser *p)
{
    const size_t from = p->at;
    while (p->at < p->text.n && is_word(p->text.p[p->at]) &&
           !(p->text.p[p->at] >= '0' && p->text.p[p->at] <= '9')) {
        p->at++;
    }
    const struct str word = {p->text.p + from, p->at - from};
    if (str_eq_nocase(word, STR("step"))) {
        return T_STEP;
    }
    if (str_eq_nocase(word, STR("range"))) {
        return T_RANGE;
    }
    if (str_eq_nocase(word, STR("min_of"))) {
        return T_MIN_OF;
    }
    return str_eq_nocase(word, STR("max_of")) ? T_MAX_OF : 0;
}

static int lex_string(struct parser *p)
{
    return promql_lex_string(p) ? T_STRING : 0;
}

static int lex_number(struct parser *p)
{
    bool duration = false;
    if (!promql_lex_number(p, &duration)) {
        return 0;
    }
    return duration ? T_DURATION : T_NUMBER;
}

/* A letter or colon between brackets behind a number. */
static int bracket_word(struct parser *p)
{
    const char c = p->text.p[p->start];
    p->at = p->start;
    if (c == ':') {
        p->at++;
        if (p->got_colon) {
            return fail_here(p, "unexpected colon ':'");
        }
        p->got_colon = true;
        return T_COLON;
    }
    const int kind = duration_word(p);
    if (kind != 0) {
        return kind;
    }
    return promql_fail(p, (struct pos){p->start, p->at}, "unexpected character: '%c', expected ':'",
                       c);
}

/* 0 with !p->failed: a space or comment was passed. */
static int lex_expression(struct parser *p)
{
    const unsigned char *YYCURSOR = at_cursor(p);
    /*!re2c
    re2c:define:YYCTYPE = "unsigned char";
    re2c:yyfill:enable = 0;
    word = [a-zA-Z_:][a-zA-Z0-9_:]*;
    name = [a-zA-Z_][a-zA-Z0-9_]*;

    [ \t\r\n]+ { move_to(p, YYCURSOR); return 0; }
    "#"        { move_to(p, YYCURSOR); skip_comment(p); return 0; }
    ","        { move_to(p, YYCURSOR); return T_COMMA; }
    "*"        { return meaning(p, YYCURSOR, T_MUL, OP_MUL); }
    "/"        { return meaning(p, YYCURSOR, T_DIV, OP_DIV); }
    "%"        { return meaning(p, YYCURSOR, T_MOD, OP_MOD); }
    "+"        { return meaning(p, YYCURSOR, T_ADD, OP_ADD); }
    "-"        { return meaning(p, YYCURSOR, T_SUB, OP_SUB); }
    "^"        { return meaning(p, YYCURSOR, T_POW, OP_POW); }
    "@"        { move_to(p, YYCURSOR); return T_AT; }
    "=="       { return meaning(p, YYCURSOR, T_EQLC, OP_EQ); }
    "=~"       { p->at++; (void)promql_bad_char(p, "unexpected character after '=': "); return 0; }
    "="        { return meaning(p, YYCURSOR, T_EQL, MATCH_EQ); }
    "!="       { return meaning(p, YYCURSOR, T_NEQ, OP_NE); }
    "!"        { p->at++; (void)promql_bad_char(p, "unexpected character after '!': "); return 0; }
    "<="       { return meaning(p, YYCURSOR, T_LTE, OP_LE); }
    "</"       { return meaning(p, YYCURSOR, T_TRIM_UPPER, OP_TRIM_UPPER); }
    "<"        { return meaning(p, YYCURSOR, T_LSS, OP_LT); }
    ">="       { return meaning(p, YYCURSOR, T_GTE, OP_GE); }
    ">/"       { return meaning(p, YYCURSOR, T_TRIM_LOWER, OP_TRIM_LOWER); }
    ">"        { return meaning(p, YYCURSOR, T_GTR, OP_GT); }
    "("        { move_to(p, YYCURSOR); return open_paren(p); }
    ")"        { move_to(p, YYCURSOR); return close_paren(p); }
    "{"        { move_to(p, YYCURSOR); p->brace_open = true; return T_LBRACE; }
    "["        { move_to(p, YYCURSOR); return open_bracket(p); }
    "]"        { move_to(p, YYCURSOR); return close_bracket(p); }
    ["'`]      { return lex_string(p); }
    "."?[0-9]  { return lex_number(p); }

    'and'          { return meaning(p, YYCURSOR, T_AND, OP_AND); }
    'or'           { return meaning(p, YYCURSOR, T_OR, OP_OR); }
    'unless'       { return meaning(p, YYCURSOR, T_UNLESS, OP_UNLESS); }
    'atan2'        { return meaning(p, YYCURSOR, T_ATAN2, OP_ATAN2); }
    'sum'          { return meaning(p, YYCURSOR, T_SUM, AGG_SUM); }
    'avg'          { return meaning(p, YYCURSOR, T_AVG, AGG_AVG); }
    'count'        { return meaning(p, YYCURSOR, T_COUNT, AGG_COUNT); }
    'min'          { return meaning(p, YYCURSOR, T_MIN, AGG_MIN); }
    'max'          { return meaning(p, YYCURSOR, T_MAX, AGG_MAX); }
    'group'        { return meaning(p, YYCURSOR, T_GROUP, AGG_GROUP); }
    'stddev'       { return meaning(p, YYCURSOR, T_STDDEV, AGG_STDDEV); }
    'stdvar'       { return meaning(p, YYCURSOR, T_STDVAR, AGG_STDVAR); }
    'topk'         { return meaning(p, YYCURSOR, T_TOPK, AGG_TOPK); }
    'bottomk'      { return meaning(p, YYCURSOR, T_BOTTOMK, AGG_BOTTOMK); }
    'count_values' { return meaning(p, YYCURSOR, T_COUNT_VALUES, AGG_COUNT_VALUES); }
    'quantile'     { return meaning(p, YYCURSOR, T_QUANTILE, AGG_QUANTILE); }
    'limitk'       { return meaning(p, YYCURSOR, T_LIMITK, AGG_LIMITK); }
    'limit_ratio'  { return meaning(p, YYCURSOR, T_LIMIT_RATIO, AGG_LIMIT_RATIO); }
    'offset'       { move_to(p, YYCURSOR); return T_OFFSET; }
    'smoothed'     { move_to(p, YYCURSOR); return T_SMOOTHED; }
    'anchored'     { move_to(p, YYCURSOR); return T_ANCHORED; }
    'by'           { move_to(p, YYCURSOR); return T_BY; }
    'without'      { move_to(p, YYCURSOR); return T_WITHOUT; }
    'on'           { move_to(p, YYCURSOR); return T_ON; }
    'ignoring'     { move_to(p, YYCURSOR); return T_IGNORING; }
    'group_left'   { move_to(p, YYCURSOR); return T_GROUP_LEFT; }
    'group_right'  { move_to(p, YYCURSOR); return T_GROUP_RIGHT; }
    'fill'         { move_to(p, YYCURSOR); return fill_or_name(p, T_FILL); }
    'fill_left'    { move_to(p, YYCURSOR); return fill_or_name(p, T_FILL_LEFT); }
    'fill_right'   { move_to(p, YYCURSOR); return fill_or_name(p, T_FILL_RIGHT); }
    'bool'         { move_to(p, YYCURSOR); return T_BOOL; }
    'start'        { move_to(p, YYCURSOR); return T_START; }
    'end'          { move_to(p, YYCURSOR); return T_FINISH; }
    'step'         { move_to(p, YYCURSOR); return T_STEP; }
    'range'        { move_to(p, YYCURSOR); return T_RANGE; }
    'max_of'       { move_to(p, YYCURSOR); return T_MAX_OF; }
    'min_of'       { move_to(p, YYCURSOR); return T_MIN_OF; }
    'inf' | 'nan'  { move_to(p, YYCURSOR); return T_NUMBER; }
    name           { move_to(p, YYCURSOR); return T_IDENTIFIER; }
    word           { move_to(p, YYCURSOR); return T_METRIC_IDENTIFIER; }
    "\x00"         { if (p->at == p->text.n) { return end_of_text(p); }
                     (void)promql_bad_char(p, "unexpected character: "); return 0; }
    *              { (void)promql_bad_char(p, "unexpected character: "); return 0; }
    */
}

static int lex_braces(struct parser *p)
{
    const unsigned char *YYCURSOR = at_cursor(p);
    /*!re2c
    [ \t\r\n]+ { move_to(p, YYCURSOR); return 0; }
    "#"        { move_to(p, YYCURSOR); skip_comment(p); return 0; }
    name       { move_to(p, YYCURSOR); return T_IDENTIFIER; }
    ","        { move_to(p, YYCURSOR); return T_COMMA; }
    ["'`]      { return lex_string(p); }
    "=~"       { return meaning(p, YYCURSOR, T_EQL_REGEX, MATCH_RE); }
    "="        { return meaning(p, YYCURSOR, T_EQL, MATCH_EQ); }
    "!~"       { return meaning(p, YYCURSOR, T_NEQ_REGEX, MATCH_NRE); }
    "!="       { return meaning(p, YYCURSOR, T_NEQ, MATCH_NE); }
    "!"        { p->at++;
                 (void)promql_bad_char(p, "unexpected character after '!' inside braces: ");
                 return 0; }
    "{"        { move_to(p, YYCURSOR); return fail_here(p, "unexpected left brace '{'"); }
    "}"        { move_to(p, YYCURSOR); p->brace_open = false; return T_RBRACE; }
    "\x00"     { if (p->at == p->text.n) {
                     return fail_here(p, "unexpected end of input inside braces");
                 }
                 (void)promql_bad_char(p, "unexpected character inside braces: "); return 0; }
    *          { (void)promql_bad_char(p, "unexpected character inside braces: "); return 0; }
    */
}

static int duration_colon(struct parser *p)
{
    if (!p->got_duration) {
        return fail_behind(p, "unexpected colon before duration in duration expression");
    }
    if (p->got_colon) {
        return fail_behind(p, "unexpected repeated colon in duration expression");
    }
    p->got_colon = true;
    return T_COLON;
}

static int duration_number(struct parser *p)
{
    p->got_duration = true;
    p->in_duration = false;
    return lex_number(p);
}

static int duration_letter(struct parser *p)
{
    const size_t first = p->at;
    const int kind = duration_word(p);
    if (kind == 0) {
        p->at = (uint32_t)first;
        (void)promql_bad_char(p, "unexpected character in duration expression: ");
    }
    return kind;
}

static int lex_duration(struct parser *p)
{
    const unsigned char *YYCURSOR = at_cursor(p);
    /*!re2c
    [ \t\r\n]+ { move_to(p, YYCURSOR); return 0; }
    "]"        { move_to(p, YYCURSOR); p->bracket_open = false; p->in_duration = false;
                 p->got_colon = false; return T_RBRACKET; }
    ":"        { move_to(p, YYCURSOR); return duration_colon(p); }
    "("        { move_to(p, YYCURSOR); return open_paren(p); }
    ")"        { move_to(p, YYCURSOR); return close_paren(p); }
    "+"        { return meaning(p, YYCURSOR, T_ADD, OP_ADD); }
    "-"        { return meaning(p, YYCURSOR, T_SUB, OP_SUB); }
    "*"        { return meaning(p, YYCURSOR, T_MUL, OP_MUL); }
    "/"        { return meaning(p, YYCURSOR, T_DIV, OP_DIV); }
    "%"        { return meaning(p, YYCURSOR, T_MOD, OP_MOD); }
    "^"        { return meaning(p, YYCURSOR, T_POW, OP_POW); }
    ","        { move_to(p, YYCURSOR); return T_COMMA; }
    [sSrRmM]   { return duration_letter(p); }
    "."?[0-9]  { return duration_number(p); }
    "\x00"     { if (p->at == p->text.n) {
                     return fail_here(p, "unexpected end of input in duration expression");
                 }
                 (void)promql_bad_char(p, "unexpected character in duration expression: ");
                 return 0; }
    *          { (void)promql_bad_char(p, "unexpected character in duration expression: ");
                 return 0; }
    */
}

static int lex_one(struct parser *p)
{
    if (p->brace_open) {
        return lex_braces(p);
    }
    if (p->in_duration) {
        return lex_duration(p);
    }
    const char c = p->at < p->text.n ? p->text.p[p->at] : '\0';
    if (p->bracket_open && (c == ':' || (is_word(c) && !(c >= '0' && c <= '9')))) {
        return bracket_word(p);
    }
    return lex_expression(p);
}

enum token_class promql_token_class(int kind)
{
    switch (kind) {
    case T_END: return TOKEN_END;
    case T_IDENTIFIER: return TOKEN_NAME;
    case T_METRIC_IDENTIFIER: return TOKEN_METRIC_NAME;
    case T_STRING: return TOKEN_STRING;
    case T_NUMBER: return TOKEN_NUMBER;
    case T_DURATION: return TOKEN_DURATION;
    default: break;
    }
    if (kind >= T_ADD && kind <= T_ATAN2) { /* in the order of parse.y */
        return TOKEN_OPERATOR;
    }
    if (kind >= T_AVG && kind <= T_LIMIT_RATIO) {
        return TOKEN_AGGREGATION;
    }
    return kind >= T_BOOL && kind <= T_WITHOUT ? TOKEN_KEYWORD : TOKEN_OTHER;
}

static int start_token(enum start start)
{
    return start == START_METRIC_TEXT       ? T_START_METRIC
           : start == START_EXPRESSION_TEXT ? T_START_EXPRESSION
                                            : T_START_SELECTOR;
}

struct item promql_lex(struct parser *p)
{
    if (p->start_text != START_NONE) {
        const int kind = start_token(p->start_text);
        p->start_text = START_NONE;
        return (struct item){.kind = kind};
    }
    int kind = 0;
    while (kind == 0 && !p->failed && !p->ended) {
        p->start = p->at;
        p->code = 0;
        kind = lex_one(p);
    }
    if (p->failed || kind == 0) {
        return (struct item){.kind = 0};
    }
    ASSERT(p->at > p->start || kind == T_END);
    p->item = (struct item){kind, p->code, {p->start, p->at}};
    if (kind == T_RBRACE || kind == T_RPAREN || kind == T_RBRACKET || kind == T_DURATION ||
        kind == T_NUMBER) {
        p->last_closing = p->at;
    }
    return p->item;
}
