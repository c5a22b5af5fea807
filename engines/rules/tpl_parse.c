/* Templates, from text to tree: Go's text/template as far as rules can use it.
 *
 *     text {{ action }} text {{- if pipe }} ... {{ else if pipe }} ... {{ end -}} text
 *
 * A recursive descent that drives the scanner and takes white space away where "{{- " and " -}}"
 * ask for it. Names of variables become places in a frame here, so that running
 * needs no search, and a variable or function that does not exist is an error of the text, as in
 * Go.
 *
 * Invariants: the tree borrows the text; nesting is at most TPL_DEPTH_MAX; a place is below its
 * frame. Source: the documentation of Go's text/template, and its behaviour. */
#include "engines/rules/tpl_scan_int.h"

enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static struct tnode *parse_list(struct tpl_scan *p, enum stop *stop);
static struct tpipe *parse_pipe(struct tpl_scan *p, enum tok until, bool range);

static bool deeper(struct tpl_scan *p)
{
    if (p->depth == TPL_DEPTH_MAX) {
        return tpl_scan_fail(p, p->at, "template is nested more than %d levels", TPL_DEPTH_MAX);
    }
    p->depth++;
    return true;
}

/* --- pipelines -------------------------------------------------------------------------------- */

static bool var_place(struct tpl_scan *p, struct str name, uint32_t *out)
{
    for (uint32_t i = p->names_n; i-- > 0;) {
        if (str_eq(p->names[i], name)) {
            *out = i;
            return true;
        }
    }
    return tpl_scan_fail(p, p->at, "undefined variable \"%.*s\"", STR_FMT(str_sub(name, 0, 60)));
}

static bool var_add(struct tpl_scan *p, struct str name, uint32_t *out)
{
    if (p->names_n == TPL_NAMES_MAX) {
        return tpl_scan_fail(p, p->at, "template has more than %d variables", TPL_NAMES_MAX);
    }
    p->names[p->names_n] = name;
    *out = p->names_n++;
    p->frame = p->names_n > p->frame ? p->names_n : p->frame;
    return true;
}

static bool take_word(struct tpl_scan *p, struct targ *a)
{
    struct str w = tpl_scan_text(p);
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
    return a->fn ||
           tpl_scan_fail(p, p->at, "function \"%.*s\" not defined", STR_FMT(str_sub(w, 0, 60)));
}

/* .a.b.c straight behind a term. */
static bool take_fields(struct tpl_scan *p, struct targ *a)
{
    while (p->tok == T_FIELD) {
        if (a->fields_n == TPL_FIELDS_MAX) {
            return tpl_scan_fail(p, p->at, "more than %d fields in a row", TPL_FIELDS_MAX);
        }
        if (a->kind == TA_VALUE || a->kind == TA_NIL) {
            return tpl_scan_fail(p, p->at, "unexpected . after term %.*s",
                                 STR_FMT(str_sub(a->src, 0, 60)));
        }
        if (!a->fields) {
            a->fields = ARENA_ARRAY(p->arena, struct str, TPL_FIELDS_MAX);
            if (!a->fields) {
                return tpl_scan_full(p);
            }
        }
        a->fields[a->fields_n++] = str_sub(tpl_scan_text(p), 1, SIZE_MAX);
        a->src.n = p->end - a->pos;
        if (!tpl_scan_next(p)) {
            return false;
        }
    }
    return true;
}

static bool take_parens(struct tpl_scan *p, struct targ *a)
{
    a->kind = TA_PIPE;
    if (!deeper(p) || !tpl_scan_next(p)) {
        return false;
    }
    a->pipe = parse_pipe(p, T_RPAREN, false);
    p->depth--;
    return a->pipe != NULL;
}

/* One operand; the token behind it is read. NULL without failure: here is none. */
static struct targ *parse_arg(struct tpl_scan *p)
{
    struct targ *a = ARENA_NEW(p->arena, struct targ);
    if (!a) {
        return tpl_scan_full(p);
    }
    a->pos = (uint32_t)p->at;
    a->src = tpl_scan_text(p);
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
        ok = tpl_number_value(p, &a->value);
        break;
    case T_CHAR:
        a->kind = TA_VALUE;
        ok = tpl_char_value(p, &a->value);
        break;
    case T_STRING:
        a->kind = TA_VALUE;
        a->value.kind = TV_STR;
        ok = tpl_unquote(p, &a->value.u.s);
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
    if (!ok || !tpl_scan_next(p)) {
        return NULL;
    }
    a->src.n = p->at - a->pos;
    return take_fields(p, a) ? a : NULL;
}

/* Operands until | or the end of the pipeline. */
static struct tcmd *parse_cmd(struct tpl_scan *p, enum tok until)
{
    struct tcmd *c = ARENA_NEW(p->arena, struct tcmd);
    if (!c) {
        return tpl_scan_full(p);
    }
    struct targ **end = &c->args;
    c->pos = (uint32_t)p->at;
    while (p->tok != T_PIPE && p->tok != until) {
        size_t at = p->at;
        struct targ *a = parse_arg(p);
        if (!a) {
            (void)tpl_scan_fail(p, at, "unexpected \"%.*s\" in operand",
                                STR_FMT(str_sub(tpl_scan_text(p), 0, 40)));
            return NULL;
        }
        *end = a;
        end = &a->next;
        c->src = str_sub(p->text, c->pos, a->pos + a->src.n - c->pos);
        if (++c->args_n > TPL_ARGS_MAX) {
            (void)tpl_scan_fail(p, at, "more than %d arguments", TPL_ARGS_MAX);
            return NULL;
        }
        if (p->tok != T_SPACE && p->tok != T_PIPE && p->tok != until) {
            (void)tpl_scan_fail(p, p->at, "unexpected \"%.*s\" in operand",
                                STR_FMT(str_sub(tpl_scan_text(p), 0, 40)));
            return NULL;
        }
        if (p->tok == T_SPACE && !tpl_scan_next(p)) {
            return NULL;
        }
    }
    if (c->args_n == 0) {
        (void)tpl_scan_fail(p, p->at, "missing value for command");
        return NULL;
    }
    return c;
}

/* "$x :=", "$x =", "$i, $x :=" before a pipeline, or nothing. Looks ahead and goes back. */
static bool take_decls(struct tpl_scan *p, struct tpipe *t, bool range)
{
    size_t back_at = p->at;
    size_t back_end = p->end;
    struct str names[2];
    uint32_t n = 0;
    while (p->tok == T_VAR && n < 2) {
        names[n++] = tpl_scan_text(p);
        if (!tpl_scan_solid(p)) {
            return false;
        }
        if (p->tok != T_COMMA) {
            break;
        }
        if (!range || n == 2) {
            return tpl_scan_fail(p, p->at, "too many declarations");
        }
        if (!tpl_scan_solid(p)) {
            return false;
        }
    }
    if (n == 0 || (p->tok != T_DECLARE && p->tok != T_ASSIGN)) {
        if (n > 1) {
            return tpl_scan_fail(p, p->at, "range can only initialize variables");
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
    return tpl_scan_solid(p);
}

static bool is_literal(const struct targ *a)
{
    return a->kind == TA_DOT ? a->fields_n == 0 : a->kind == TA_VALUE || a->kind == TA_NIL;
}

/* From the current token to `until`, which is left as the current token. */
static struct tpipe *parse_pipe(struct tpl_scan *p, enum tok until, bool range)
{
    struct tpipe *t = ARENA_NEW(p->arena, struct tpipe);
    if (!t) {
        return tpl_scan_full(p);
    }
    if (p->tok == T_SPACE && !tpl_scan_next(p)) {
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
            (void)tpl_scan_fail(p, c->pos, "non executable command in pipeline stage %u", stage);
            return NULL;
        }
        *end = c;
        end = &c->next;
        t->src = str_sub(p->text, t->pos, c->pos + c->src.n - t->pos);
        if (p->tok == until) {
            return t;
        }
        if (!tpl_scan_solid(p)) {
            return NULL;
        }
    }
}

/* --- actions ---------------------------------------------------------------------------------- */

static struct tnode *node_new(struct tpl_scan *p, enum tn_kind kind)
{
    struct tnode *n = ARENA_NEW(p->arena, struct tnode);
    if (!n) {
        return tpl_scan_full(p);
    }
    n->kind = kind;
    n->pos = (uint32_t)p->at;
    return n;
}

static bool expect_close(struct tpl_scan *p, const char *where)
{
    if (p->tok == T_SPACE && !tpl_scan_next(p)) {
        return false;
    }
    return p->tok == T_CLOSE || tpl_scan_fail(p, p->at, "unexpected \"%.*s\" in %s",
                                              STR_FMT(str_sub(tpl_scan_text(p), 0, 40)), where);
}

/* if, with, range: the current token is the word. else_is: after "else" in "else if". */
static struct tnode *parse_control(struct tpl_scan *p, enum tn_kind kind)
{
    struct tnode *n = node_new(p, kind);
    uint32_t names = p->names_n;
    enum stop stop = STOP_EOF;
    if (!n || !deeper(p) || !tpl_scan_next(p)) {
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
        if (!tpl_scan_solid(p)) {
            return NULL;
        }
        struct str w = tpl_scan_text(p);
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
        (void)tpl_scan_fail(p, p->at,
                            stop == STOP_EOF ? "unexpected EOF" : "expected end; found {{else}}");
    }
    return p->failed ? NULL : n;
}

static bool take_name(struct tpl_scan *p, struct str *out, const char *where)
{
    if (!tpl_scan_solid(p)) {
        return false;
    }
    if (p->tok != T_STRING) {
        return tpl_scan_fail(p, p->at, "unexpected \"%.*s\" in %s",
                             STR_FMT(str_sub(tpl_scan_text(p), 0, 40)), where);
    }
    return tpl_unquote(p, out) && tpl_scan_solid(p);
}

/* A template of its own with its own variables. */
static bool parse_define(struct tpl_scan *p, struct str name)
{
    struct str names[TPL_NAMES_MAX];
    uint32_t names_n = p->names_n;
    uint32_t frame = p->frame;
    memcpy(names, p->names, sizeof names);
    struct tdef *d = ARENA_NEW(p->arena, struct tdef);
    enum stop stop = STOP_EOF;
    if (!d || !deeper(p)) {
        return d ? false : tpl_scan_full(p) != NULL;
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
                     : stop == STOP_END || tpl_scan_fail(p, p->at, "unexpected %s in define clause",
                                                         stop == STOP_EOF ? "EOF" : "{{else}}");
}

static struct tnode *parse_template(struct tpl_scan *p, bool block)
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
        (void)tpl_scan_fail(p, p->at, "missing value for block clause");
        return NULL;
    }
    return !block || parse_define(p, n->text) ? n : NULL;
}

static struct tnode *parse_action(struct tpl_scan *p)
{
    struct tnode *n = node_new(p, TN_ACTION);
    if (!n) {
        return NULL;
    }
    n->pipe = parse_pipe(p, T_CLOSE, false);
    return n->pipe ? n : NULL;
}

static struct tnode *parse_jump(struct tpl_scan *p, enum tn_kind kind)
{
    struct tnode *n = node_new(p, kind);
    struct str w = tpl_scan_text(p);
    if (p->loops == 0) {
        (void)tpl_scan_fail(p, p->at, "{{%.*s}} outside {{range}}", STR_FMT(w));
        return NULL;
    }
    return n && tpl_scan_next(p) && expect_close(p, kind == TN_BREAK ? "break" : "continue") ? n
                                                                                             : NULL;
}

/* --- lists ------------------------------------------------------------------------------------ */

/* What stands in the braces, the first token read. *stop: it was end or else. NULL and no failure:
 * nothing to run. */
static struct tnode *parse_braces(struct tpl_scan *p, enum stop *stop, bool *stopped)
{
    struct str w = p->tok == T_WORD ? tpl_scan_text(p) : STR("");
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
            (void)tpl_scan_fail(p, p->at, "unexpected {{define}}");
        } else if (take_name(p, &name, "define clause") && expect_close(p, "define clause")) {
            (void)parse_define(p, name);
        }
        return NULL;
    }
    p->stop_at = p->at;
    if (str_eq(w, STR("else"))) {
        *stop = STOP_ELSE;
        *stopped = true;
        return NULL;
    }
    if (str_eq(w, STR("end"))) {
        *stop = STOP_END;
        *stopped = tpl_scan_next(p) && expect_close(p, "end");
        return NULL;
    }
    return parse_action(p);
}

/* A comment stands alone in its braces: {{/ * ... * /}} with or without trim marks. */
static bool skip_comment(struct tpl_scan *p)
{
    size_t i = p->end + 2;
    while (i + 1 < p->text.n && !(p->text.p[i] == '*' && p->text.p[i + 1] == '/')) {
        i++;
    }
    if (i + 1 >= p->text.n) {
        return tpl_scan_fail(p, p->end, "unclosed comment");
    }
    bool trim = false;
    if (!tpl_is_close(p, i + 2, &trim)) {
        return tpl_scan_fail(p, p->end, "comment ends before closing delimiter");
    }
    p->trim = trim;
    p->end = i + 2 + (trim ? 4 : 2);
    return true;
}

/* Text up to the next "{{", without the space that trim marks take. true: braces follow. */
static bool take_text(struct tpl_scan *p, struct tnode ***end)
{
    size_t from = p->end;
    size_t to = from;
    while (to < p->text.n && !(p->text.p[to] == '{' && tpl_scan_byte(p, to + 1) == '{')) {
        to++;
    }
    bool braces = to < p->text.n;
    bool trim = braces && tpl_scan_byte(p, to + 2) == '-' && tpl_is_space(tpl_scan_byte(p, to + 3));
    struct str s = str_sub(p->text, from, to - from);
    while (p->trim && s.n && tpl_is_space(s.p[0])) {
        s = str_sub(s, 1, s.n);
    }
    while (trim && s.n && tpl_is_space(s.p[s.n - 1])) {
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

static struct tnode *parse_list(struct tpl_scan *p, enum stop *stop)
{
    struct tnode *first = NULL;
    struct tnode **end = &first;
    bool stopped = false;
    *stop = STOP_EOF;
    while (!p->failed && !stopped && take_text(p, &end) && !p->failed) {
        if (tpl_scan_byte(p, p->end) == '/' && tpl_scan_byte(p, p->end + 1) == '*') {
            (void)skip_comment(p);
            continue;
        }
        if (!tpl_scan_solid(p)) {
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
    struct tpl_scan p = {.text = text, .arena = a, .e = e ? e : &own, .out = out};
    p.names[p.names_n++] = STR("$");
    p.frame = 1;
    enum stop stop = STOP_EOF;
    struct tdef *d = ARENA_NEW(a, struct tdef);
    if (!d) {
        (void)tpl_scan_full(&p);
        return false;
    }
    d->body = parse_list(&p, &stop);
    if (!p.failed && stop != STOP_EOF) {
        (void)tpl_scan_fail(&p, p.stop_at, "unexpected {{%s}}", stop == STOP_END ? "end" : "else");
    }
    d->frame = p.frame;
    out->main = d;
    return !p.failed;
}
