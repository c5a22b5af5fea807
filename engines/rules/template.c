/* Templates of labels and annotations: the two entrances. A rule's text sees $labels, $value,
 * $externalLabels and $externalURL because their definitions are put before it, as Prometheus does,
 * which also makes places in error messages agree. */
#include "engines/rules/rules.h"

#include "engines/rules/tpl_int.h"

#define DEFS                                                       \
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}" \
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}"

static bool has_action(struct str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '{' && s.p[i + 1] == '{') {
            return true;
        }
    }
    return false;
}

static struct str with_defs(struct str text, struct arena *a)
{
    size_t n = 0;
    if (!size_add(text.n, sizeof DEFS, &n)) {
        return (struct str){0};
    }
    char *p = arena_take(a, n, 1);
    if (!p) {
        return (struct str){0};
    }
    memcpy(p, DEFS, sizeof DEFS - 1);
    memcpy(p + sizeof DEFS - 1, text.p, text.n);
    return str_of(p, n - 1);
}

bool rules_template_check(struct str text, struct err *e)
{
    if (!has_action(text)) {
        return true;
    }
    struct mem mem;
    struct arena a;
    struct tpl t;
    mem_init(&mem, 0);
    arena_init(&a, &mem, TPL_ARENA_MAX);
    struct str whole = with_defs(text, &a);
    bool ok = whole.p ? tpl_parse(whole, &a, &t, e)
                      : err_set(e, ERR_LIMIT, "template needs more memory than it may have");
    if (!ok && e && e->line == 1 && e->col >= sizeof DEFS) {
        e->col -= (uint32_t)sizeof DEFS - 1;
    }
    arena_release(&a);
    return ok;
}

static bool run(struct texec *x, struct arena *a, struct str text, struct str name)
{
    struct tpl t;
    struct err e = {0};
    struct str whole = with_defs(text, a);
    x->msg = tpl_buf(x);
    if (!whole.p) {
        BUF_LIT(&x->msg, "out of memory");
        return false;
    }
    if (!tpl_parse(whole, a, &t, &e)) {
        buf_fmt(&x->msg, "error parsing template %.*s: template: %.*s:%u: %s", STR_FMT(name),
                STR_FMT(name), e.line, e.msg);
        return false;
    }
    x->tpl = &t;
    const struct rules_template_data *d = x->data;
    if (!tpl_map_of(a, d->labels, &x->labels) ||
        !tpl_map_of(a, d->external_labels, &x->external_labels)) {
        BUF_LIT(&x->msg, "out of memory");
        return false;
    }
    x->value = d->hist ? (struct tval){.kind = TV_HIST, .u.hist = d->hist} : tv_float(d->value);
    return tpl_exec(x);
}

void rules_template_expand(struct str name, struct str text, const struct rules_template_data *d,
                           struct arena *a, struct buf *out)
{
    if (!has_action(text)) {
        buf_str_add(out, text);
        return;
    }
    struct buf own;
    struct texec *x = ARENA_NEW(a, struct texec);
    if (!x) {
        BUF_LIT(out, "<error expanding template: out of memory>");
        return;
    }
    buf_init(&own, a->mem, TPL_BYTES_MAX);
    x->data = d;
    x->arena = a;
    x->out = &own;
    x->name = name;
    if (run(x, a, text, name)) {
        buf_str_add(out, buf_str(&own));
    } else {
        BUF_LIT(out, "<error expanding template: ");
        buf_str_add(out, buf_str(&x->msg));
        buf_char(out, '>');
    }
    buf_release(&x->msg);
    buf_release(&own);
}
