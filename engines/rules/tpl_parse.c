/* Templates, from text to tree: Go's text/template as far as rules can use it.
 *
 *     text {{ action }} text {{- if pipe }} ... {{ else if pipe }} ... {{ end -}} text
 *
 * Scanner and parser are one: a recursive descent over the bytes, which takes white space away where
 * "{{- " and " -}}" ask for it. Names of variables become places in a frame here, so that running
 * needs no search, and a variable or function that does not exist is an error of the text, as in Go.
 *
 * Invariants: the tree borrows the text; nesting is at most TPL_DEPTH_MAX; a place is below its
 * frame. Source: the documentation of Go's text/template, and its behaviour. */
#include "engines/rules/tpl_int.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES_MAX 128 /* variables of one template */

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

struct parser {
    struct str text;
    size_t at;  /* of the token */
    size_t end; /* behind it */
    enum tok tok;
    bool trim; /* the last action ended with "-}}" */
    struct arena *arena;
    struct err *e;
    bool failed;
    struct str names[NAMES_MAX];
    uint32_t names_n, frame;
    uint32_t depth, loops;
    struct tpl *out;
};

enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static struct tnode *parse_list(struct parser *p, enum stop *stop);
static struct tpipe *parse_pipe(struct parser *p, enum tok until, bool range);

PRINTF_LIKE(3, 4)
static bool fail(struct parser *p, size_t at, const char *fmt, ...)
{
    if (p->failed) {
        return false;
    }
    p->failed = true;
    char msg[sizeof p->e->msg];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    uint32_t line = 1;
    uint32_t col = 1;
    for (size_t i = 0; i < at && i < p->text.n; i++) {
        col = p->text.p[i] == '\n' ? 1 : col + 1;
        line += p->text.p[i] == '\n';
    }
    return err_at(p->e, ERR_INPUT, line, col, "%s", msg);
}

static void *no_memory(struct parser *p)
{
    if (!p->failed) {
        p->failed = true;
        (void)err_set(p->e, ERR_LIMIT, "the template needs more memory than it may have");
    }
    return NULL;
}

static bool deeper(struct parser *p)
{
    if (p->depth == TPL_DEPTH_MAX) {
        return fail(p, p->at, "template is nested more than %d levels", TPL_DEPTH_MAX);
    }
    p->depth++;
    return true;
}

/* --- scanning --------------------------------------------------------------------------------- */

static char byte_at(const struct parser *p, size_t i)
{
    return i < p->text.n ? p->text.p[i] : 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str tok_text(const struct parser *p)
{
    return str_sub(p->text, p->at, p->end - p->at);
}

/* Is "}}" or " -}}" at i? */
static bool is_close(const struct parser *p, size_t i, bool *trim)
{
    *trim = is_space(byte_at(p, i)) && byte_at(p, i + 1) == '-' && byte_at(p, i + 2) == '}' &&
            byte_at(p, i + 3) == '}';
    return *trim || (byte_at(p, i) == '}' && byte_at(p, i + 1) == '}');
}

static bool scan_quoted(struct parser *p, char quote, const char *what)
{
    size_t i = p->at + 1;
    while (i < p->text.n && p->text.p[i] != quote) {
        if (p->text.p[i] == '\n' && quote != '`') {
            return fail(p, p->at, "unterminated %s", what);
        }
        i += p->text.p[i] == '\\' && quote != '`' ? 2 : 1;
    }
    if (i >= p->text.n) {
        return fail(p, p->at, "unterminated %s", what);
    }
    p->end = i + 1;
    return true;
}

static bool scan_number(struct parser *p)
{
    size_t i = p->at;
    i += byte_at(p, i) == '+' || byte_at(p, i) == '-';
    bool hex = byte_at(p, i) == '0' && (byte_at(p, i + 1) | 32) == 'x';
    while (is_word(byte_at(p, i)) || byte_at(p, i) == '.' ||
           ((byte_at(p, i) == '+' || byte_at(p, i) == '-') &&
            ((byte_at(p, i - 1) | 32) == (hex ? 'p' : 'e')))) {
        i++;
    }
    p->end = i;
    p->tok = T_NUMBER;
    return true;
}

static bool one(struct parser *p, enum tok t, size_t n)
{
    p->tok = t;
    p->end = p->at + n;
    return true;
}

static bool scan_name(struct parser *p, enum tok t)
{
    size_t i = p->at + 1;
    while (is_word(byte_at(p, i))) {
        i++;
    }
    p->end = i;
    p->tok = t;
    char c = byte_at(p, i);
    bool trim = false;
    if (c && !is_space(c) && !strchr(".,|:=()", c) && !is_close(p, i, &trim)) {
        return fail(p, i, "bad character %#x", (unsigned)(unsigned char)c);
    }
    return true;
}

/* The next token inside an action; runs of white space are one. */
static bool next(struct parser *p)
{
    p->at = p->end;
    char c = byte_at(p, p->at);
    char d = byte_at(p, p->at + 1);
    bool trim = false;
    if (p->failed) {
        return false;
    }
    if (p->at >= p->text.n) {
        return fail(p, p->at, "unclosed action");
    }
    if (is_close(p, p->at, &trim)) {
        p->trim = trim;
        return one(p, T_CLOSE, trim ? 4 : 2);
    }
    if (is_space(c)) {
        size_t i = p->at;
        while (is_space(byte_at(p, i)) && !is_close(p, i, &trim)) {
            i++;
        }
        p->end = i;
        p->tok = T_SPACE;
        return true;
    }
    switch (c) {
    case '|': return one(p, T_PIPE, 1);
    case ',': return one(p, T_COMMA, 1);
    case '(': return one(p, T_LPAREN, 1);
    case ')': return one(p, T_RPAREN, 1);
    case '=': return one(p, T_ASSIGN, 1);
    case ':': return d == '=' ? one(p, T_DECLARE, 2) : fail(p, p->at, "expected :=");
    case '"': p->tok = T_STRING; return scan_quoted(p, c, "quoted string");
    case '`': p->tok = T_STRING; return scan_quoted(p, c, "raw quoted string");
    case '\'': p->tok = T_CHAR; return scan_quoted(p, c, "character constant");
    case '$': return scan_name(p, T_VAR);
    case '.':
        if (is_digit(d)) {
            return scan_number(p);
        }
        return is_word(d) ? scan_name(p, T_FIELD) : one(p, T_DOT, 1);
    default: break;
    }
    if (is_digit(c) || ((c == '+' || c == '-') && (is_digit(d) || d == '.'))) {
        return scan_number(p);
    }
    return is_word(c) ? scan_name(p, T_WORD)
                      : fail(p, p->at, "unexpected bad character %#x in action",
                             (unsigned)(unsigned char)c);
}

static bool next_solid(struct parser *p)
{
    bool ok = next(p);
    return ok && p->tok == T_SPACE ? next(p) : ok;
}

/* --- constants -------------------------------------------------------------------------------- */

static void put_rune(struct buf *b, uint32_t r)
{
    if (r < 0x80) {
        buf_char(b, (char)r);
    } else if (r < 0x800) {
        buf_char(b, (char)(0xc0 | r >> 6));
        buf_char(b, (char)(0x80 | (r & 63)));
    } else if (r < 0x10000) {
        buf_char(b, (char)(0xe0 | r >> 12));
        buf_char(b, (char)(0x80 | (r >> 6 & 63)));
        buf_char(b, (char)(0x80 | (r & 63)));
    } else {
        buf_char(b, (char)(0xf0 | r >> 18));
        buf_char(b, (char)(0x80 | (r >> 12 & 63)));
        buf_char(b, (char)(0x80 | (r >> 6 & 63)));
        buf_char(b, (char)(0x80 | (r & 63)));
    }
}

static bool digits(struct str s, size_t at, size_t n, int base, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = at + i < s.n ? s.p[at + i] : 'z';
        int v = is_digit(c)                            ? c - '0'
                : ((c | 32) >= 'a' && (c | 32) <= 'f') ? (c | 32) - 'a' + 10
                                                       : 99;
        if (v >= base) {
            return false;
        }
        *out = *out * (uint32_t)base + (uint32_t)v;
    }
    return true;
}

/* One escape behind a backslash at s[*i]; moves *i behind it. */
static bool unescape(struct str s, size_t *i, struct buf *b)
{
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = *i < s.n ? s.p[*i] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        buf_char(b, to[known - from]);
        (*i)++;
        return true;
    }
    size_t n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 3;
    size_t skip = c == 'x' || c == 'u' || c == 'U';
    uint32_t v = 0;
    if (!digits(s, *i + skip, n, skip ? 16 : 8, &v)) {
        return false;
    }
    *i += skip + n;
    if (n == 2 || n == 3) {
        buf_char(b, (char)v);
        return v < 256;
    }
    put_rune(b, v);
    return v < 0x110000 && (v < 0xd800 || v > 0xdfff);
}

/* The bytes between the quotes of the token. */
static bool unquote(struct parser *p, struct str *out)
{
    struct str t = tok_text(p);
    struct str in = str_sub(t, 1, t.n - 2);
    if (t.p[0] == '`') {
        *out = in;
        return true;
    }
    struct buf b;
    buf_init(&b, p->arena->mem, TPL_BYTES_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < in.n;) {
        if (in.p[i] != '\\') {
            buf_char(&b, in.p[i++]);
            continue;
        }
        i++;
        ok = unescape(in, &i, &b);
    }
    if (!ok) {
        (void)fail(p, p->at, "invalid syntax in the string %.*s", STR_FMT(str_sub(t, 0, 60)));
    } else {
        *out = b.n ? arena_str(p->arena, buf_str(&b)) : STR("");
        ok = out->p || no_memory(p);
    }
    buf_release(&b);
    return ok && !p->failed;
}

static bool char_value(struct parser *p, struct tval *out)
{
    struct str s = {0};
    if (!unquote(p, &s)) {
        return false;
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = s.n ? (unsigned char)s.p[0] : 0;
    uint32_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t v = n == 1 ? c : c & (0xffU >> (n + 1));
    for (uint32_t i = 1; i < n && i < s.n; i++) {
        v = v << 6 | ((unsigned char)s.p[i] & 63);
    }
    if (s.n != n || v < least[n]) {
        return fail(p, p->at, "malformed character constant: %.*s",
                    STR_FMT(str_sub(tok_text(p), 0, 40)));
    }
    *out = tv_int(v);
    return true;
}

static bool number_value(struct parser *p, struct tval *out)
{
    struct str t = tok_text(p);
    char s[80];
    size_t n = 0;
    for (size_t i = 0; i < t.n && n < sizeof s - 1; i++) {
        if (t.p[i] != '_') {
            s[n++] = t.p[i];
        }
    }
    s[n] = 0;
    size_t sign = n && (s[0] == '+' || s[0] == '-');
    bool zero = s[sign] == '0';
    char kind = (char)(s[sign + (n > sign)] ? s[sign + 1] | 32 : 0);
    int base = !zero ? 10 : kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    size_t skip = zero && (kind == 'x' || kind == 'b' || kind == 'o') ? 2 : 0;
    char *end = NULL;
    unsigned long long u = strtoull(s + sign + skip, &end, base);
    if (n < sizeof s - 1 && end && *end == 0 && end > s + sign + skip - (skip == 0 && zero) &&
        u <= INT64_MAX) {
        *out = tv_int(s[0] == '-' ? -(int64_t)u : (int64_t)u);
        return true;
    }
    double f = strtod(s, &end);
    bool words = (s[sign] | 32) == 'n' || (s[sign] | 32) == 'i';
    if (n == sizeof s - 1 || words || end == s || *end != 0) {
        return fail(p, p->at, "bad number syntax: \"%.*s\"", STR_FMT(str_sub(t, 0, 60)));
    }
    /* Go: a constant that is a whole number is an int, however it is written. */
    bool whole = f >= -9e18 && f <= 9e18 && f == (double)(int64_t)f && !strpbrk(s, ".") &&
                 skip == 0 && !strpbrk(s, "eE");
    *out = whole ? tv_int((int64_t)f) : tv_float(f);
    return true;
}

/* --- pipelines -------------------------------------------------------------------------------- */

static bool var_place(struct parser *p, struct str name, uint32_t *out)
{
    for (uint32_t i = p->names_n; i-- > 0;) {
        if (str_eq(p->names[i], name)) {
            *out = i;
            return true;
        }
    }
    return fail(p, p->at, "undefined variable \"%.*s\"", STR_FMT(str_sub(name, 0, 60)));
}

static bool var_add(struct parser *p, struct str name, uint32_t *out)
{
    if (p->names_n == NAMES_MAX) {
        return fail(p, p->at, "template has more than %d variables", NAMES_MAX);
    }
    p->names[p->names_n] = name;
    *out = p->names_n++;
    p->frame = p->names_n > p->frame ? p->names_n : p->frame;
    return true;
}

static bool take_word(struct parser *p, struct targ *a)
{
    struct str w = tok_text(p);
    if (str_eq(w, STR("true")) || str_eq(w, STR("false"))) {
        a->kind = TA_VALUE;
        a->value = tv_bool(w.n == 4);
        return true;
    }
    if (str_eq(w, STR("nil"))) {
        a->kind = TA_NIL;
        return true;
    }
    a->kind = TA_FN;
    a->fn = tpl_fn_find(w);
    return a->fn || fail(p, p->at, "function \"%.*s\" not defined", STR_FMT(str_sub(w, 0, 60)));
}

/* .a.b.c straight behind a term. */
static bool take_fields(struct parser *p, struct targ *a)
{
    while (p->tok == T_FIELD) {
        if (a->fields_n == TPL_FIELDS_MAX) {
            return fail(p, p->at, "more than %d fields in a row", TPL_FIELDS_MAX);
        }
        if (a->kind == TA_VALUE || a->kind == TA_NIL) {
            return fail(p, p->at, "unexpected . after term %.*s", STR_FMT(str_sub(a->src, 0, 60)));
        }
        if (!a->fields) {
            a->fields = ARENA_ARRAY(p->arena, struct str, TPL_FIELDS_MAX);
            if (!a->fields) {
                return no_memory(p);
            }
        }
        a->fields[a->fields_n++] = str_sub(tok_text(p), 1, SIZE_MAX);
        a->src.n = p->end - a->pos;
        if (!next(p)) {
            return false;
        }
    }
    return true;
}

static bool take_parens(struct parser *p, struct targ *a)
{
    a->kind = TA_PIPE;
    if (!deeper(p) || !next(p)) {
        return false;
    }
    a->pipe = parse_pipe(p, T_RPAREN, false);
    p->depth--;
    return a->pipe != NULL;
}

/* One operand; the token behind it is read. NULL without failure: here is none. */
static struct targ *parse_arg(struct parser *p)
{
    struct targ *a = ARENA_NEW(p->arena, struct targ);
    if (!a) {
        return no_memory(p);
    }
    a->pos = (uint32_t)p->at;
    a->src = tok_text(p);
    bool ok = true;
    switch (p->tok) {
    case T_DOT: a->kind = TA_DOT; break;
    case T_FIELD: /* of the dot */ a->kind = TA_DOT; return take_fields(p, a) ? a : NULL;
    case T_VAR:
        a->kind = TA_VAR;
        ok = var_place(p, a->src, &a->var);
        break;
    case T_WORD: ok = take_word(p, a); break;
    case T_NUMBER:
        a->kind = TA_VALUE;
        ok = number_value(p, &a->value);
        break;
    case T_CHAR:
        a->kind = TA_VALUE;
        ok = char_value(p, &a->value);
        break;
    case T_STRING:
        a->kind = TA_VALUE;
        a->value.kind = TV_STR;
        ok = unquote(p, &a->value.u.s);
        break;
    case T_LPAREN: ok = take_parens(p, a); break;
    case T_EOF:
    case T_CLOSE:
    case T_PIPE:
    case T_DECLARE:
    case T_ASSIGN:
    case T_COMMA:
    case T_RPAREN:
    case T_SPACE: return NULL;
    }
    if (!ok || !next(p)) {
        return NULL;
    }
    a->src.n = p->at - a->pos;
    return take_fields(p, a) ? a : NULL;
}

/* Operands until | or the end of the pipeline. */
static struct tcmd *parse_cmd(struct parser *p, enum tok until)
{
    struct tcmd *c = ARENA_NEW(p->arena, struct tcmd);
    if (!c) {
        return no_memory(p);
    }
    struct targ **end = &c->args;
    c->pos = (uint32_t)p->at;
    while (p->tok != T_PIPE && p->tok != until) {
        size_t at = p->at;
        struct targ *a = parse_arg(p);
        if (!a) {
            (void)fail(p, at, "unexpected \"%.*s\" in operand",
                       STR_FMT(str_sub(tok_text(p), 0, 40)));
            return NULL;
        }
        *end = a;
        end = &a->next;
        c->src = str_sub(p->text, c->pos, a->pos + a->src.n - c->pos);
        if (++c->args_n > TPL_ARGS_MAX) {
            (void)fail(p, at, "more than %d arguments", TPL_ARGS_MAX);
            return NULL;
        }
        if (p->tok != T_SPACE && p->tok != T_PIPE && p->tok != until) {
            (void)fail(p, p->at, "unexpected \"%.*s\" in operand",
                       STR_FMT(str_sub(tok_text(p), 0, 40)));
            return NULL;
        }
        if (p->tok == T_SPACE && !next(p)) {
            return NULL;
        }
    }
    if (c->args_n == 0) {
        (void)fail(p, p->at, "missing value for command");
        return NULL;
    }
    return c;
}

/* "$x :=", "$x =", "$i, $x :=" before a pipeline, or nothing. Looks ahead and goes back. */
static bool take_decls(struct parser *p, struct tpipe *t, bool range)
{
    size_t back_at = p->at;
    size_t back_end = p->end;
    struct str names[2];
    uint32_t n = 0;
    while (p->tok == T_VAR && n < 2) {
        names[n++] = tok_text(p);
        if (!next_solid(p)) {
            return false;
        }
        if (p->tok != T_COMMA) {
            break;
        }
        if (!range || n == 2) {
            return fail(p, p->at, "too many declarations");
        }
        if (!next_solid(p)) {
            return false;
        }
    }
    if (n == 0 || (p->tok != T_DECLARE && p->tok != T_ASSIGN)) {
        if (n > 1) {
            return fail(p, p->at, "range can only initialize variables");
        }
        p->at = back_at;
        p->end = back_end;
        p->tok = n ? T_VAR : p->tok;
        return true;
    }
    bool declare = p->tok == T_DECLARE;
    t->decls = n;
    for (uint32_t i = 0; i < n; i++) {
        if (!(declare ? var_add(p, names[i], &t->vars[i]) : var_place(p, names[i], &t->vars[i]))) {
            return false;
        }
    }
    return next_solid(p);
}

static bool is_literal(const struct targ *a)
{
    return a->kind == TA_DOT ? a->fields_n == 0 : a->kind == TA_VALUE || a->kind == TA_NIL;
}

/* From the current token to `until`, which is left as the current token. */
static struct tpipe *parse_pipe(struct parser *p, enum tok until, bool range)
{
    struct tpipe *t = ARENA_NEW(p->arena, struct tpipe);
    if (!t) {
        return no_memory(p);
    }
    if (p->tok == T_SPACE && !next(p)) {
        return NULL;
    }
    t->pos = (uint32_t)p->at;
    /* In Go "$x := f $x" sees the variable it declares; so here. */
    if (!take_decls(p, t, range)) {
        return NULL;
    }
    struct tcmd **end = &t->cmds;
    for (uint32_t stage = 1;; stage++) {
        struct tcmd *c = parse_cmd(p, until);
        if (!c) {
            return NULL;
        }
        if (stage > 1 && is_literal(c->args)) {
            (void)fail(p, c->pos, "non executable command in pipeline stage %u", stage);
            return NULL;
        }
        *end = c;
        end = &c->next;
        t->src = str_sub(p->text, t->pos, c->pos + c->src.n - t->pos);
        if (p->tok == until) {
            return t;
        }
        if (!next_solid(p)) {
            return NULL;
        }
    }
}

/* --- actions ---------------------------------------------------------------------------------- */

static struct tnode *node_new(struct parser *p, enum tn_kind kind)
{
    struct tnode *n = ARENA_NEW(p->arena, struct tnode);
    if (!n) {
        return no_memory(p);
    }
    n->kind = kind;
    n->pos = (uint32_t)p->at;
    return n;
}

static bool expect_close(struct parser *p, const char *where)
{
    if (p->tok == T_SPACE && !next(p)) {
        return false;
    }
    return p->tok == T_CLOSE ||
           fail(p, p->at, "unexpected \"%.*s\" in %s", STR_FMT(str_sub(tok_text(p), 0, 40)), where);
}

/* if, with, range: the current token is the word. else_is: after "else" in "else if". */
static struct tnode *parse_control(struct parser *p, enum tn_kind kind)
{
    struct tnode *n = node_new(p, kind);
    uint32_t names = p->names_n;
    enum stop stop = STOP_EOF;
    if (!n || !deeper(p) || !next(p)) {
        return NULL;
    }
    n->pipe = parse_pipe(p, T_CLOSE, kind == TN_RANGE);
    if (!n->pipe) {
        return NULL;
    }
    p->loops += kind == TN_RANGE;
    n->body = parse_list(p, &stop);
    p->loops -= kind == TN_RANGE;
    if (stop == STOP_ELSE && !p->failed) {
        if (!next_solid(p)) {
            return NULL;
        }
        struct str w = tok_text(p);
        bool again = p->tok == T_WORD && ((kind == TN_IF && str_eq(w, STR("if"))) ||
                                          (kind == TN_WITH && str_eq(w, STR("with"))));
        if (again) {
            n->orelse = parse_control(p, kind);
            stop = STOP_END;
        } else if (expect_close(p, "else")) {
            n->orelse = parse_list(p, &stop);
        }
    }
    p->depth--;
    p->names_n = names;
    if (!p->failed && stop != STOP_END) {
        (void)fail(p, p->at, stop == STOP_EOF ? "unexpected EOF" : "expected end; found {{else}}");
    }
    return p->failed ? NULL : n;
}

static bool take_name(struct parser *p, struct str *out, const char *where)
{
    if (!next_solid(p)) {
        return false;
    }
    if (p->tok != T_STRING) {
        return fail(p, p->at, "unexpected \"%.*s\" in %s", STR_FMT(str_sub(tok_text(p), 0, 40)),
                    where);
    }
    return unquote(p, out) && next_solid(p);
}

/* A template of its own with its own variables. */
static bool parse_define(struct parser *p, struct str name)
{
    struct str names[NAMES_MAX];
    uint32_t names_n = p->names_n;
    uint32_t frame = p->frame;
    memcpy(names, p->names, sizeof names);
    struct tdef *d = ARENA_NEW(p->arena, struct tdef);
    enum stop stop = STOP_EOF;
    if (!d || !deeper(p)) {
        return d ? false : no_memory(p) != NULL;
    }
    d->name = name;
    p->names[0] = STR("$");
    p->names_n = 1;
    p->frame = 1;
    uint32_t loops = p->loops;
    p->loops = 0;
    d->body = parse_list(p, &stop);
    p->loops = loops;
    d->frame = p->frame;
    p->depth--;
    memcpy(p->names, names, sizeof names);
    p->names_n = names_n;
    p->frame = frame;
    d->next = p->out->defs;
    p->out->defs = d;
    return p->failed ? false
                     : stop == STOP_END || fail(p, p->at, "unexpected %s in define clause",
                                                stop == STOP_EOF ? "EOF" : "{{else}}");
}

static struct tnode *parse_template(struct parser *p, bool block)
{
    struct tnode *n = node_new(p, TN_TEMPLATE);
    if (!n || !take_name(p, &n->text, block ? "block clause" : "template clause")) {
        return NULL;
    }
    if (p->tok != T_CLOSE) {
        n->pipe = parse_pipe(p, T_CLOSE, false);
        if (!n->pipe) {
            return NULL;
        }
    } else if (block) {
        (void)fail(p, p->at, "missing value for block clause");
        return NULL;
    }
    return !block || parse_define(p, n->text) ? n : NULL;
}

static struct tnode *parse_action(struct parser *p)
{
    struct tnode *n = node_new(p, TN_ACTION);
    if (!n) {
        return NULL;
    }
    n->pipe = parse_pipe(p, T_CLOSE, false);
    return n->pipe ? n : NULL;
}

static struct tnode *parse_jump(struct parser *p, enum tn_kind kind)
{
    struct tnode *n = node_new(p, kind);
    struct str w = tok_text(p);
    if (p->loops == 0) {
        (void)fail(p, p->at, "{{%.*s}} outside {{range}}", STR_FMT(w));
        return NULL;
    }
    return n && next(p) && expect_close(p, kind == TN_BREAK ? "break" : "continue") ? n : NULL;
}

/* --- lists ------------------------------------------------------------------------------------ */

/* What stands in the braces, the first token read. *stop: it was end or else. NULL and no failure:
 * nothing to run. */
static struct tnode *parse_braces(struct parser *p, enum stop *stop, bool *stopped)
{
    struct str w = p->tok == T_WORD ? tok_text(p) : STR("");
    if (str_eq(w, STR("if"))) {
        return parse_control(p, TN_IF);
    }
    if (str_eq(w, STR("with"))) {
        return parse_control(p, TN_WITH);
    }
    if (str_eq(w, STR("range"))) {
        return parse_control(p, TN_RANGE);
    }
    if (str_eq(w, STR("template")) || str_eq(w, STR("block"))) {
        return parse_template(p, w.p[0] == 'b');
    }
    if (str_eq(w, STR("break")) || str_eq(w, STR("continue"))) {
        return parse_jump(p, w.p[0] == 'b' ? TN_BREAK : TN_CONTINUE);
    }
    if (str_eq(w, STR("define"))) {
        struct str name = {0};
        if (p->depth > 0) {
            (void)fail(p, p->at, "unexpected {{define}}");
        } else if (take_name(p, &name, "define clause") && expect_close(p, "define clause")) {
            (void)parse_define(p, name);
        }
        return NULL;
    }
    if (str_eq(w, STR("else"))) {
        *stop = STOP_ELSE;
        *stopped = true;
        return NULL;
    }
    if (str_eq(w, STR("end"))) {
        *stop = STOP_END;
        *stopped = next(p) && expect_close(p, "end");
        return NULL;
    }
    return parse_action(p);
}

/* A comment stands alone in its braces: {{/ * ... * /}} with or without trim marks. */
static bool skip_comment(struct parser *p)
{
    size_t i = p->end + 2;
    while (i + 1 < p->text.n && !(p->text.p[i] == '*' && p->text.p[i + 1] == '/')) {
        i++;
    }
    if (i + 1 >= p->text.n) {
        return fail(p, p->end, "unclosed comment");
    }
    bool trim = false;
    if (!is_close(p, i + 2, &trim)) {
        return fail(p, p->end, "comment ends before closing delimiter");
    }
    p->trim = trim;
    p->end = i + 2 + (trim ? 4 : 2);
    return true;
}

/* Text up to the next "{{", without the space that trim marks take. true: braces follow. */
static bool take_text(struct parser *p, struct tnode ***end)
{
    size_t from = p->end;
    size_t to = from;
    while (to < p->text.n && !(p->text.p[to] == '{' && byte_at(p, to + 1) == '{')) {
        to++;
    }
    bool braces = to < p->text.n;
    bool trim = braces && byte_at(p, to + 2) == '-' && is_space(byte_at(p, to + 3));
    struct str s = str_sub(p->text, from, to - from);
    while (p->trim && s.n && is_space(s.p[0])) {
        s = str_sub(s, 1, s.n);
    }
    while (trim && s.n && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    p->trim = false;
    p->at = from;
    if (s.n) {
        struct tnode *n = node_new(p, TN_TEXT);
        if (n) {
            n->text = s;
            **end = n;
            *end = &n->next;
        }
    }
    p->at = to;
    p->end = to + (trim ? 4 : 2);
    return braces;
}

static struct tnode *parse_list(struct parser *p, enum stop *stop)
{
    struct tnode *first = NULL;
    struct tnode **end = &first;
    bool stopped = false;
    *stop = STOP_EOF;
    while (!p->failed && !stopped && take_text(p, &end) && !p->failed) {
        if (byte_at(p, p->end) == '/' && byte_at(p, p->end + 1) == '*') {
            (void)skip_comment(p);
            continue;
        }
        if (!next_solid(p)) {
            break;
        }
        struct tnode *n = parse_braces(p, stop, &stopped);
        if (n) {
            *end = n;
            end = &n->next;
        }
    }
    return p->failed ? NULL : first;
}

bool tpl_parse(struct str text, struct arena *a, struct tpl *out, struct err *e)
{
    *out = (struct tpl){.text = text};
    if (text.n > TPL_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "template is longer than %u bytes", TPL_BYTES_MAX);
    }
    struct err own = {0};
    struct parser p = {.text = text, .arena = a, .e = e ? e : &own, .out = out};
    p.names[p.names_n++] = STR("$");
    p.frame = 1;
    enum stop stop = STOP_EOF;
    struct tdef *d = ARENA_NEW(a, struct tdef);
    if (!d) {
        (void)no_memory(&p);
        return false;
    }
    d->body = parse_list(&p, &stop);
    if (!p.failed && stop != STOP_EOF) {
        (void)fail(&p, p.at, "unexpected {{%s}}", stop == STOP_END ? "end" : "else");
    }
    d->frame = p.frame;
    out->main = d;
    return !p.failed;
}
