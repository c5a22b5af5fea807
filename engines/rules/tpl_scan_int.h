/* Templates: the scanner that the parser drives, and the values of constants. Private. */
#ifndef ENGINES_RULES_TPL_SCAN_INT_H
#define ENGINES_RULES_TPL_SCAN_INT_H

#include "engines/rules/tpl_int.h"

#define TPL_NAMES_MAX 128 /* variables of one template */

enum tok {
    T_EOF,
    T_CLOSE,
    T_PIPE,
    T_DECLARE,
    T_ASSIGN,
    T_COMMA,
    T_LPAREN,
    T_RPAREN,
    T_DOT,
    T_FIELD,
    T_VAR,
    T_WORD,
    T_NUMBER,
    T_CHAR,
    T_STRING,
    T_SPACE
};

/* Position in the text, and what the parser knows at it. */
struct tpl_scan {
    struct str text;
    size_t at;  /* of the token */
    size_t end; /* behind it */
    enum tok tok;
    bool trim; /* the last action ended with "-}}" */
    struct arena *arena;
    struct err *e;
    bool failed;
    struct str names[TPL_NAMES_MAX];
    uint32_t names_n, frame;
    uint32_t depth, loops;
    size_t stop_at; /* of the newest {{end}} or {{else}} */
    struct tpl *out;
};

/* Keeps the first problem, with its place. Returns false. */
PRINTF_LIKE(3, 4)
bool tpl_scan_fail(struct tpl_scan *p, size_t at, const char *fmt, ...);
void *tpl_scan_full(struct tpl_scan *p); /* out of memory: NULL */
/* The next token inside an action; runs of white space are one. solid: without them. */
bool tpl_scan_next(struct tpl_scan *p);
bool tpl_scan_solid(struct tpl_scan *p);
struct str tpl_scan_text(const struct tpl_scan *p);
char tpl_scan_byte(const struct tpl_scan *p, size_t i); /* 0 behind the end */
bool tpl_is_space(char c);
/* Is "}}" or " -}}" at i? */
bool tpl_is_close(const struct tpl_scan *p, size_t i, bool *trim);

/* The token as a constant. */
bool tpl_unquote(struct tpl_scan *p, struct str *out);
bool tpl_char_value(struct tpl_scan *p, struct tval *out);
bool tpl_number_value(struct tpl_scan *p, struct tval *out);

#endif
