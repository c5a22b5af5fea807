/* Templates, running: a walk over the tree with a stack of variables, bounded in nodes, nesting and
 * output. Errors are worded as Go words them, with the place in the template and what stands there.
 *
 * Invariants: base + frame <= TPL_VARS_MAX; after a failure nothing more is written. */
#include "engines/rules/tpl_int.h"

#include <stdarg.h>
#include <stdio.h>

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

static enum flow run_list(struct texec *x, const struct tnode *n, const struct tval *dot);
static bool eval_pipe(struct texec *x, const struct tpipe *p, const struct tval *dot,
                      struct tval *out);

/* template: NAME:LINE:COL: executing "NAME" at <WHAT>: why */
bool tpl_fail(struct texec *x, const char *fmt, ...)
{
    if (x->msg.n > 0) {
        return false;
    }
    uint32_t line = 1;
    uint32_t start = 0;
    for (uint32_t i = 0; i < x->pos && i < x->tpl->text.n; i++) {
        if (x->tpl->text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    struct str running = x->running.n ? x->running : x->name;
    char why[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    buf_fmt(&x->msg, "error executing template %.*s: template: %.*s:%u:%u: executing \"%.*s\" at ",
            STR_FMT(x->name), STR_FMT(x->name), line, x->pos - start, STR_FMT(running));
    buf_fmt(&x->msg, "<%.*s>: %s", STR_FMT(str_sub(x->src, 0, 200)), why);
    return false;
}

static void at(struct texec *x, uint32_t pos, struct str src)
{
    x->pos = pos;
    x->src = src;
}

bool tpl_truth(const struct tval *v)
{
    switch (v->kind) {
    case TV_NONE: return false;
    case TV_BOOL: return v->u.b;
    case TV_INT:
    case TV_DURATION: return v->u.i != 0;
    case TV_FLOAT: return v->u.f != 0;
    case TV_STR:
    case TV_HTML: return v->u.s.n > 0;
    case TV_LIST: return v->u.list->n > 0;
    case TV_MAP: return v->u.map->n > 0;
    case TV_SAMPLE:
    case TV_TIME:
    case TV_HIST:
    case TV_DATA: return true;
    }
    return false;
}

bool tpl_map_of(struct arena *a, struct labels l, struct tval *out)
{
    struct tv_map *m = ARENA_NEW(a, struct tv_map);
    struct tv_entry *v = ARENA_ARRAY(a, struct tv_entry, l.n ? l.n : 1);
    if (!m || !v) {
        return false;
    }
    for (uint32_t i = 0; i < l.n; i++) {
        v[i] = (struct tv_entry){l.v[i].name, tv_str(l.v[i].value)};
    }
    *m = (struct tv_map){v, l.n, false};
    *out = (struct tval){.kind = TV_MAP, .u.map = m};
    return true;
}

struct tval tpl_map_get(const struct tv_map *m, struct str key, bool *found)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (str_eq(m->v[i].key, key)) {
            *found = true;
            return m->v[i].value;
        }
    }
    *found = false;
    return m->any ? (struct tval){0} : tv_str(STR(""));
}

static bool get_field(struct texec *x, struct str name, const struct tval *of, struct tval *out)
{
    bool found = false;
    if (of->kind == TV_MAP) {
        *out = tpl_map_get(of->u.map, name, &found);
        return true;
    }
    if (of->kind == TV_DATA) {
        found = true;
        if (str_eq(name, STR("Labels"))) {
            *out = x->labels;
        } else if (str_eq(name, STR("ExternalLabels"))) {
            *out = x->external_labels;
        } else if (str_eq(name, STR("ExternalURL"))) {
            *out = tv_str(x->data->external_url);
        } else if (str_eq(name, STR("Value"))) {
            *out = x->value;
        } else {
            found = false;
        }
    } else if (of->kind == TV_SAMPLE) {
        found = true;
        if (str_eq(name, STR("Labels"))) {
            *out = of->u.sample->labels;
        } else if (str_eq(name, STR("Value"))) {
            *out = of->u.sample->value;
        } else {
            found = false;
        }
    } else if (of->kind == TV_NONE) {
        return tpl_fail(x, "nil data; no entry for key \"%.*s\"", STR_FMT(name));
    }
    return found || tpl_fail(x, "can't evaluate field %.*s in type %.*s", STR_FMT(name),
                             STR_FMT(tpl_type(of)));
}

static bool get_fields(struct texec *x, const struct targ *a, struct tval v, struct tval *out)
{
    for (uint32_t i = 0; i < a->fields_n; i++) {
        struct tval of = v;
        if (!get_field(x, a->fields[i], &of, &v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

static bool call(struct texec *x, const struct tfn *f, const struct tval *v, uint32_t n,
                 struct tval *out);

/* The value of one operand; a function's name alone is a call without arguments. */
static bool eval_arg(struct texec *x, const struct targ *a, const struct tval *dot,
                     struct tval *out)
{
    struct tval v = {0};
    at(x, a->pos, a->src);
    switch (a->kind) {
    case TA_DOT: v = *dot; break;
    case TA_NIL: break;
    case TA_VALUE: v = a->value; break;
    case TA_VAR:
        ASSERT(a->var < x->frame);
        v = x->vars[x->base + a->var];
        break;
    case TA_FN:
        if (!call(x, a->fn, NULL, 0, &v)) {
            return false;
        }
        break;
    case TA_PIPE:
        if (!eval_pipe(x, a->pipe, dot, &v)) {
            return false;
        }
        at(x, a->pos, a->src);
        break;
    }
    return get_fields(x, a, v, out);
}

/* In text/template a value of the wrong type is an error before the call. */
static bool check_types(struct texec *x, const struct tfn *f, const struct tval *v, uint32_t n)
{
    for (uint32_t i = 0; f->types && i < n; i++) {
        size_t last = strlen(f->types) - 1;
        char want = f->types[i < last ? i : last];
        bool ok = true;
        const char *name = "string";
        if (want == 's') {
            ok = v[i].kind == TV_STR || v[i].kind == TV_HTML;
        } else if (want == 'l') {
            ok = v[i].kind == TV_LIST;
            name = "template.queryResult";
        } else if (want == 'p') {
            ok = v[i].kind == TV_SAMPLE;
            name = "*template.sample";
        }
        if (!ok && v[i].kind == TV_NONE) {
            return tpl_fail(x, "invalid value; expected %s", name);
        }
        if (!ok) {
            return tpl_fail(x, "wrong type for value; expected %s; got %.*s", name,
                            STR_FMT(tpl_type(&v[i])));
        }
    }
    return true;
}

static bool call(struct texec *x, const struct tfn *f, const struct tval *v, uint32_t n,
                 struct tval *out)
{
    if (n < f->args_min || n > f->args_max) {
        return tpl_fail(x, "wrong number of args for %.*s: want %s%u got %u", STR_FMT(f->name),
                        f->args_max == UINT32_MAX ? "at least " : "",
                        n < f->args_min ? f->args_min : f->args_max, n);
    }
    if (!check_types(x, f, v, n) || !f->call(x, v, n, out)) {
        return x->msg.n == 0 ? tpl_fail(x, "error calling %.*s: out of memory", STR_FMT(f->name))
                             : false;
    }
    return true;
}

/* and, or: arguments are evaluated until the answer is known. */
static bool short_circuit(struct texec *x, const struct tcmd *c, const struct tval *dot,
                          const struct tval *last, struct tval *out)
{
    bool is_or = tpl_is_or(c->args->fn);
    bool have = false;
    for (const struct targ *a = c->args->next; a; a = a->next) {
        if (!eval_arg(x, a, dot, out)) {
            return false;
        }
        have = true;
        if (tpl_truth(out) == is_or) {
            return true;
        }
    }
    if (last) {
        *out = *last;
        have = true;
    }
    at(x, c->pos, c->src);
    return have ||
           tpl_fail(x, "wrong number of args for %s: want at least 1 got 0", is_or ? "or" : "and");
}

/* last: the value of the stage before, the last argument of this one. */
static bool eval_cmd(struct texec *x, const struct tcmd *c, const struct tval *dot,
                     const struct tval *last, struct tval *out)
{
    const struct targ *first = c->args;
    if (++x->steps > TPL_STEPS_MAX) {
        return tpl_fail(x, "template ran more than %d steps", TPL_STEPS_MAX);
    }
    if (first->kind != TA_FN || first->fields_n) {
        at(x, first->pos, first->src);
        if (c->args_n > 1 || last) {
            return tpl_fail(x, "can't give argument to non-function %.*s", STR_FMT(first->src));
        }
        if (first->kind == TA_NIL) {
            return tpl_fail(x, "nil is not a command");
        }
        return eval_arg(x, first, dot, out);
    }
    if (tpl_is_and(first->fn) || tpl_is_or(first->fn)) {
        return short_circuit(x, c, dot, last, out);
    }
    struct tval v[TPL_ARGS_MAX + 1];
    uint32_t n = 0;
    for (const struct targ *a = first->next; a; a = a->next) {
        if (!eval_arg(x, a, dot, &v[n++])) {
            return false;
        }
    }
    if (last) {
        v[n++] = *last;
    }
    at(x, first->pos, first->next || last ? c->src : first->src);
    return call(x, first->fn, v, n, out);
}

static bool eval_pipe(struct texec *x, const struct tpipe *p, const struct tval *dot,
                      struct tval *out)
{
    struct tval v = {0};
    bool have = false;
    if (x->depth == TPL_DEPTH_MAX) {
        return tpl_fail(x, "template is nested more than %d levels", TPL_DEPTH_MAX);
    }
    x->depth++;
    for (const struct tcmd *c = p->cmds; c; c = c->next) {
        struct tval last = v;
        if (!eval_cmd(x, c, dot, have ? &last : NULL, &v)) {
            return false;
        }
        have = true;
    }
    x->depth--;
    *out = v;
    return true;
}

static void set_var(struct texec *x, uint32_t place, struct tval v)
{
    ASSERT(place < x->frame);
    x->vars[x->base + place] = v;
}

static enum flow run_items(struct texec *x, const struct tnode *n, const struct tval *over)
{
    const struct tpipe *p = n->pipe;
    uint32_t count = 0;
    if (over->kind == TV_LIST) {
        count = over->u.list->n;
    } else if (over->kind == TV_MAP) {
        count = over->u.map->n;
    } else if (over->kind == TV_INT) {
        count = over->u.i > TPL_STEPS_MAX ? TPL_STEPS_MAX : over->u.i > 0 ? (uint32_t)over->u.i : 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tval key = tv_int(i);
        struct tval value = key;
        if (over->kind == TV_LIST) {
            value = over->u.list->v[i];
        } else if (over->kind == TV_MAP) {
            key = tv_str(over->u.map->v[i].key);
            value = over->u.map->v[i].value;
        }
        if (p->decls == 1) {
            set_var(x, p->vars[0], value);
        } else if (p->decls == 2) {
            set_var(x, p->vars[0], key);
            set_var(x, p->vars[1], value);
        }
        enum flow f = run_list(x, n->body, &value);
        if (f == FLOW_FAILED || f == FLOW_BREAK) {
            return f == FLOW_BREAK ? FLOW_ON : f;
        }
        if (++x->steps > TPL_STEPS_MAX) {
            (void)tpl_fail(x, "template ran more than %d steps", TPL_STEPS_MAX);
            return FLOW_FAILED;
        }
    }
    return FLOW_ON;
}

static enum flow run_range(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    struct tval v = {0};
    if (!eval_pipe(x, n->pipe, dot, &v)) {
        return FLOW_FAILED;
    }
    at(x, n->pipe->pos, n->pipe->src);
    if (v.kind != TV_LIST && v.kind != TV_MAP && v.kind != TV_INT && v.kind != TV_NONE) {
        struct buf b = tpl_buf(x);
        tpl_print(&b, &v);
        (void)tpl_fail(x, "range can't iterate over %.*s", STR_FMT(str_sub(buf_str(&b), 0, 100)));
        buf_release(&b);
        return FLOW_FAILED;
    }
    bool empty = (v.kind == TV_LIST && v.u.list->n == 0) || (v.kind == TV_MAP && v.u.map->n == 0) ||
                 v.kind == TV_NONE || (v.kind == TV_INT && v.u.i <= 0);
    if (empty) {
        return n->orelse ? run_list(x, n->orelse, dot) : FLOW_ON;
    }
    return run_items(x, n, &v);
}

static enum flow run_if(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    struct tval v = {0};
    if (!eval_pipe(x, n->pipe, dot, &v)) {
        return FLOW_FAILED;
    }
    if (n->pipe->decls) {
        set_var(x, n->pipe->vars[0], v);
    }
    bool yes = tpl_truth(&v);
    return run_list(x, yes ? n->body : n->orelse, yes && n->kind == TN_WITH ? &v : dot);
}

static enum flow run_template(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    const struct tdef *d = x->tpl->defs;
    while (d && !str_eq(d->name, n->text)) {
        d = d->next;
    }
    struct tval v = {0};
    at(x, n->pos, n->text);
    if (!d) {
        (void)tpl_fail(x, "template \"%.*s\" not defined", STR_FMT(n->text));
        return FLOW_FAILED;
    }
    if (n->pipe && !eval_pipe(x, n->pipe, dot, &v)) {
        return FLOW_FAILED;
    }
    uint32_t base = x->base;
    uint32_t frame = x->frame;
    struct str running = x->running;
    if (x->depth == TPL_DEPTH_MAX || base + frame + d->frame > TPL_VARS_MAX) {
        (void)tpl_fail(x, "exceeded maximum template depth");
        return FLOW_FAILED;
    }
    x->depth++;
    x->base = base + frame;
    x->frame = d->frame;
    x->running = d->name;
    memset(x->vars + x->base, 0, d->frame * sizeof x->vars[0]);
    set_var(x, 0, v);
    enum flow f = run_list(x, d->body, &v);
    x->running = running;
    x->base = base;
    x->frame = frame;
    x->depth--;
    return f;
}

static enum flow run_action(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    struct tval v = {0};
    if (!eval_pipe(x, n->pipe, dot, &v)) {
        return FLOW_FAILED;
    }
    if (n->pipe->decls) {
        set_var(x, n->pipe->vars[0], v);
        return FLOW_ON;
    }
    if (v.kind == TV_NONE) {
        BUF_LIT(x->out, "<no value>");
    } else {
        tpl_print(x->out, &v);
    }
    return FLOW_ON;
}

static enum flow run_node(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    switch (n->kind) {
    case TN_TEXT: buf_str_add(x->out, n->text); return FLOW_ON;
    case TN_ACTION: return run_action(x, n, dot);
    case TN_IF:
    case TN_WITH: return run_if(x, n, dot);
    case TN_RANGE: return run_range(x, n, dot);
    case TN_TEMPLATE: return run_template(x, n, dot);
    case TN_BREAK: return FLOW_BREAK;
    case TN_CONTINUE: return FLOW_CONTINUE;
    }
    return FLOW_FAILED;
}

static enum flow run_list(struct texec *x, const struct tnode *n, const struct tval *dot)
{
    static const struct tval none = {0};
    for (; n; n = n->next) {
        if (++x->steps > TPL_STEPS_MAX) {
            at(x, n->pos, STR(""));
            (void)tpl_fail(x, "template ran more than %d steps", TPL_STEPS_MAX);
            return FLOW_FAILED;
        }
        enum flow f = run_node(x, n, dot ? dot : &none);
        if (x->out->failed) {
            (void)tpl_fail(x, "the result is longer than %u bytes", TPL_BYTES_MAX);
            return FLOW_FAILED;
        }
        if (f != FLOW_ON) {
            return f;
        }
    }
    return FLOW_ON;
}

bool tpl_exec(struct texec *x)
{
    const struct tval data = {.kind = TV_DATA};
    x->frame = x->tpl->main->frame;
    ASSERT(x->frame <= TPL_VARS_MAX);
    set_var(x, 0, data);
    return run_list(x, x->tpl->main->body, &data) != FLOW_FAILED;
}
