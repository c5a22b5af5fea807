/* Templates, the functions that Go's text/template always has: comparing, joining, indexing,
 * printing, escaping. Types are compared as strictly as there: 1 and 1.0 are not comparable. */
#include "engines/rules/tpl_int.h"

#include <math.h>

struct buf tpl_buf(struct texec *x)
{
    struct buf b;
    buf_init(&b, x->arena->mem, TPL_BYTES_MAX);
    return b;
}

bool tpl_keep(struct texec *x, struct buf *b, struct tval *out)
{
    struct str s = b->n && !b->failed ? arena_str(x->arena, buf_str(b)) : STR("");
    bool ok = !b->failed && s.p;
    buf_release(b);
    *out = tv_str(s);
    return ok || tpl_fail(x, "the result is longer than %u bytes", TPL_BYTES_MAX);
}

static bool is_str(const struct tval *v)
{
    return v->kind == TV_STR || v->kind == TV_HTML;
}

/* Kinds that compare: 0 = none does. */
static int basic(const struct tval *v)
{
    switch (v->kind) {
    case TV_BOOL: return 1;
    case TV_INT: return 2;
    case TV_FLOAT: return 3;
    case TV_STR:
    case TV_HTML: return 4;
    case TV_NONE:
    case TV_LIST:
    case TV_MAP:
    case TV_SAMPLE:
    case TV_TIME:
    case TV_DURATION:
    case TV_HIST:
    case TV_DATA: return 0;
    }
    return 0;
}

static bool compare(struct texec *x, const char *fn, const struct tval *a, const struct tval *b,
                    int *order, bool *same)
{
    int ka = basic(a);
    int kb = basic(b);
    bool ranks = fn[0] != 'e';
    *same = false;
    *order = 1;
    if (!ranks && (a->kind == TV_NONE || b->kind == TV_NONE)) {
        *same = a->kind == b->kind;
        return true;
    }
    if (ka == 0 || kb == 0 || (ranks && ka == 1)) {
        return tpl_fail(x, "error calling %s: invalid type for comparison", fn);
    }
    if (ka != kb) {
        return tpl_fail(x, "error calling %s: incompatible types for comparison", fn);
    }
    if (ka == 1) {
        *same = a->u.b == b->u.b;
    } else if (ka == 2) {
        *order = (a->u.i > b->u.i) - (a->u.i < b->u.i);
        *same = *order == 0;
    } else if (ka == 3) {
        *order = a->u.f < b->u.f ? -1 : a->u.f > b->u.f;
        *same = a->u.f == b->u.f;
        if (isnan(a->u.f) || isnan(b->u.f)) {
            *order = 2; /* nothing is less, nothing is equal */
        }
    } else {
        *order = str_cmp(a->u.s, b->u.s);
        *same = *order == 0;
    }
    return true;
}

static bool fn_eq(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    int order = 0;
    bool same = false;
    for (uint32_t i = 1; i < n && !same; i++) {
        if (!compare(x, "eq", &v[0], &v[i], &order, &same)) {
            return false;
        }
    }
    *out = tv_bool(same);
    return true;
}

static bool fn_ne(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    if (!fn_eq(x, v, n, out)) {
        return false;
    }
    out->u.b = !out->u.b;
    return true;
}

/* As in Go, gt is "not le" and ge is "not lt", for NaN too. */
static bool ordered(struct texec *x, const char *fn, const struct tval *v, struct tval *out)
{
    int order = 0;
    bool same = false;
    if (!compare(x, fn, &v[0], &v[1], &order, &same)) {
        return false;
    }
    bool equal_counts = fn[0] == 'l' ? fn[1] == 'e' : fn[1] == 't';
    bool less = order < 0 || (equal_counts && same);
    *out = tv_bool(fn[0] == 'l' ? less : !less);
    return true;
}

static bool fn_lt(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return ordered(x, "lt", v, out);
}

static bool fn_le(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return ordered(x, "le", v, out);
}

static bool fn_gt(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return ordered(x, "gt", v, out);
}

static bool fn_ge(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return ordered(x, "ge", v, out);
}

static bool fn_not(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = tv_bool(!tpl_truth(&v[0]));
    return true;
}

/* Only their names matter: the runner evaluates their arguments one by one. */
static bool fn_and(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    *out = v[n - 1];
    return true;
}

static bool fn_or(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = v[0];
    return true;
}

bool tpl_is_and(const struct tfn *f)
{
    return f->call == fn_and;
}

bool tpl_is_or(const struct tfn *f)
{
    return f->call == fn_or;
}

static bool fn_len(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    if (is_str(v)) {
        *out = tv_int((int64_t)v->u.s.n);
    } else if (v->kind == TV_LIST) {
        *out = tv_int(v->u.list->n);
    } else if (v->kind == TV_MAP) {
        *out = tv_int(v->u.map->n);
    } else {
        return tpl_fail(x, "error calling len: len of %s%.*s",
                        v->kind == TV_NONE ? "nil " : "type ",
                        STR_FMT(v->kind == TV_NONE ? STR("pointer") : tpl_type(v)));
    }
    return true;
}

static bool place(struct texec *x, const char *fn, const struct tval *v, size_t len, bool end,
                  size_t *out)
{
    if (v->kind != TV_INT) {
        return tpl_fail(x, "error calling %s: cannot index slice/array with %s%.*s", fn,
                        v->kind == TV_NONE ? "" : "type ",
                        STR_FMT(v->kind == TV_NONE ? STR("nil") : tpl_type(v)));
    }
    if (v->u.i < 0 || (uint64_t)v->u.i > len || (!end && (uint64_t)v->u.i == len)) {
        return tpl_fail(x, "error calling %s: index out of range: %lld", fn, (long long)v->u.i);
    }
    *out = (size_t)v->u.i;
    return true;
}

static bool fn_index(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct tval at = v[0];
    for (uint32_t i = 1; i < n; i++) {
        size_t k = 0;
        bool found = false;
        if (at.kind == TV_MAP) {
            if (!is_str(&v[i])) {
                return tpl_fail(x, "error calling index: value has type %.*s; should be string",
                                STR_FMT(tpl_type(&v[i])));
            }
            at = tpl_map_get(at.u.map, v[i].u.s, &found);
        } else if (at.kind == TV_LIST) {
            if (!place(x, "index", &v[i], at.u.list->n, false, &k)) {
                return false;
            }
            at = at.u.list->v[k];
        } else if (is_str(&at)) {
            if (!place(x, "index", &v[i], at.u.s.n, false, &k)) {
                return false;
            }
            at = tv_int((unsigned char)at.u.s.p[k]);
        } else if (at.kind == TV_NONE) {
            return tpl_fail(x, "error calling index: index of untyped nil");
        } else {
            return tpl_fail(x, "error calling index: can't index item of type %.*s",
                            STR_FMT(tpl_type(&at)));
        }
    }
    *out = at;
    return true;
}

static bool fn_slice(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    size_t len = 0;
    size_t from = 0;
    if (is_str(v)) {
        len = v->u.s.n;
    } else if (v->kind == TV_LIST) {
        len = v->u.list->n;
    } else {
        return tpl_fail(x, "error calling slice: can't slice item of type %.*s",
                        STR_FMT(tpl_type(v)));
    }
    size_t to = len;
    size_t most = len;
    if ((n > 1 && !place(x, "slice", &v[1], len, true, &from)) ||
        (n > 2 && !place(x, "slice", &v[2], len, true, &to)) ||
        (n > 3 && !place(x, "slice", &v[3], len, true, &most))) {
        return false;
    }
    if (n > 3 && is_str(v)) {
        return tpl_fail(x, "error calling slice: cannot 3-index slice a string");
    }
    if (from > to || to > most) {
        return tpl_fail(x, "error calling slice: invalid slice index: %zu > %zu",
                        from > to ? from : to, from > to ? to : most);
    }
    *out = v[0];
    if (is_str(v)) {
        out->u.s = str_sub(v->u.s, from, to - from);
        return true;
    }
    struct tv_list *l = ARENA_NEW(x->arena, struct tv_list);
    if (!l) {
        return false;
    }
    *l = (struct tv_list){v->u.list->v + from, (uint32_t)(to - from)};
    out->u.list = l;
    return true;
}

static void print_any(struct buf *b, const struct tval *v)
{
    tpl_print(b, v);
}

/* fmt.Sprint: a blank between operands when neither is a string. */
static void join(struct buf *b, const struct tval *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i && v[i].kind != TV_STR && v[i - 1].kind != TV_STR) {
            buf_char(b, ' ');
        }
        print_any(b, &v[i]);
    }
}

static bool fn_print(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf b = tpl_buf(x);
    join(&b, v, n);
    return tpl_keep(x, &b, out);
}

static bool fn_println(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf b = tpl_buf(x);
    for (uint32_t i = 0; i < n; i++) {
        if (i) {
            buf_char(&b, ' ');
        }
        print_any(&b, &v[i]);
    }
    buf_char(&b, '\n');
    return tpl_keep(x, &b, out);
}

static bool fn_printf(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf b = tpl_buf(x);
    (void)tpl_sprintf(x, v[0].u.s, v + 1, n - 1, &b);
    return tpl_keep(x, &b, out);
}

static bool fn_html(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf in = tpl_buf(x);
    struct buf b = tpl_buf(x);
    join(&in, v, n);
    for (size_t i = 0; i < in.n; i++) {
        switch (in.p[i]) {
        case '"': BUF_LIT(&b, "&#34;"); break;
        case '\'': BUF_LIT(&b, "&#39;"); break;
        case '&': BUF_LIT(&b, "&amp;"); break;
        case '<': BUF_LIT(&b, "&lt;"); break;
        case '>': BUF_LIT(&b, "&gt;"); break;
        case 0: BUF_LIT(&b, "\xef\xbf\xbd"); break;
        default: buf_char(&b, in.p[i]); break;
        }
    }
    buf_release(&in);
    return tpl_keep(x, &b, out);
}

static bool fn_js(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf in = tpl_buf(x);
    struct buf b = tpl_buf(x);
    join(&in, v, n);
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (c == '\\' || c == '\'' || c == '"') {
            buf_char(&b, '\\');
            buf_char(&b, (char)c);
        } else if (c == '<' || c == '>' || c == '&' || c == '=' || c < 0x20) {
            buf_fmt(&b, "\\u%04X", c);
        } else {
            buf_char(&b, (char)c);
        }
    }
    buf_release(&in);
    return tpl_keep(x, &b, out);
}

static bool fn_urlquery(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf in = tpl_buf(x);
    struct buf b = tpl_buf(x);
    join(&in, v, n);
    rules_url_escape(&b, buf_str(&in));
    buf_release(&in);
    return tpl_keep(x, &b, out);
}

/* There are no values that are functions here, so Go's answer is always this one. */
static bool fn_call(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    (void)out;
    if (v->kind == TV_NONE) {
        return tpl_fail(x, "error calling call: call of nil");
    }
    return tpl_fail(x, "error calling call: non-function of type %.*s", STR_FMT(tpl_type(v)));
}

const struct tfn tpl_go_fns[] = {
    {STR_INIT("and"), 1, UINT32_MAX, fn_and, NULL},
    {STR_INIT("call"), 1, UINT32_MAX, fn_call, NULL},
    {STR_INIT("eq"), 2, UINT32_MAX, fn_eq, NULL},
    {STR_INIT("ge"), 2, 2, fn_ge, NULL},
    {STR_INIT("gt"), 2, 2, fn_gt, NULL},
    {STR_INIT("html"), 0, UINT32_MAX, fn_html, NULL},
    {STR_INIT("index"), 1, UINT32_MAX, fn_index, NULL},
    {STR_INIT("js"), 0, UINT32_MAX, fn_js, NULL},
    {STR_INIT("le"), 2, 2, fn_le, NULL},
    {STR_INIT("len"), 1, 1, fn_len, NULL},
    {STR_INIT("lt"), 2, 2, fn_lt, NULL},
    {STR_INIT("ne"), 2, 2, fn_ne, NULL},
    {STR_INIT("not"), 1, 1, fn_not, NULL},
    {STR_INIT("or"), 1, UINT32_MAX, fn_or, NULL},
    {STR_INIT("print"), 0, UINT32_MAX, fn_print, NULL},
    {STR_INIT("printf"), 1, UINT32_MAX, fn_printf, "s*"},
    {STR_INIT("println"), 0, UINT32_MAX, fn_println, NULL},
    {STR_INIT("slice"), 1, 4, fn_slice, NULL},
    {STR_INIT("urlquery"), 0, UINT32_MAX, fn_urlquery, NULL},
};
const uint32_t tpl_go_fns_n = ARRAY_LEN(tpl_go_fns);

const struct tfn *tpl_fn_find(struct str name)
{
    const struct {
        const struct tfn *v;
        uint32_t n;
    } tables[] = {{tpl_go_fns, tpl_go_fns_n},
                  {tpl_prom_fns, tpl_prom_fns_n},
                  {tpl_human_fns, tpl_human_fns_n}};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (uint32_t i = 0; i < tables[t].n; i++) {
            if (str_eq(tables[t].v[i].name, name)) {
                return &tables[t].v[i];
            }
        }
    }
    return NULL;
}
