/* label_replace and label_join: labels from labels. Values are looked up once per row, whatever the
 * number of steps. */
#include "engines/promql/eval_int.h"

#include "codec/regex.h"

#define LABEL_VALUE_MAX (1U << 20)

static struct str string_arg(const struct plan *p, uint32_t i)
{
    return p->arg[i]->node->u.string;
}

static bool is_label_name(struct str s)
{
    return s.n > 0 && str_is_utf8(s);
}

static bool put(struct eval *ev, struct row *r, struct str dst, struct str value, struct err *e)
{
    if (str_eq(dst, STR(LABEL_NAME))) {
        r->drop_name = false;
    }
    return eval_lset_put(ev->q, r->ls, dst, value, &r->ls, e);
}

static bool replace_rows(struct eval *ev, struct plan *p, struct regex *re, struct mat *m,
                         struct err *e)
{
    struct query *q = ev->q;
    struct str dst = string_arg(p, 1);
    uint32_t src = eval_name(q, string_arg(p, 3));
    struct buf b;
    if (src == UINT32_MAX) {
        return eval_no_memory(q, e);
    }
    buf_init(&b, q->arena->mem, LABEL_VALUE_MAX);
    bool ok = true;
    for (uint32_t i = 0; ok && i < m->n; i++) {
        buf_reset(&b);
        if (((i & 255) == 255 && !eval_check(q, e))) {
            ok = false;
        } else if (regex_expand(re, eval_get(q, m->rows[i].ls, src), string_arg(p, 2), &b)) {
            ok = buf_ok(&b, e) && put(ev, &m->rows[i], dst, buf_str(&b), e);
        }
    }
    buf_release(&b);
    return ok;
}

bool eval_label_replace(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    struct regex *re;
    if (!regex_new(q->arena->mem, string_arg(p, 4), true, &re, e)) {
        return eval_fail(q, e, "invalid regular expression in label_replace(): %.*s",
                         STR_FMT(string_arg(p, 4)));
    }
    bool ok = is_label_name(string_arg(p, 1)) ||
              eval_fail(q, e, "invalid destination label name in label_replace(): %.*s",
                        STR_FMT(string_arg(p, 1)));
    ok = ok && eval_all(ev, p->arg[0], out, e) && replace_rows(ev, p, re, out, e);
    regex_free(re);
    return ok && eval_merge(ev, out, true, e);
}

static bool join_row(struct eval *ev, struct plan *p, const uint32_t *src, struct row *r,
                     struct buf *b, struct err *e)
{
    buf_reset(b);
    for (uint32_t i = 3; i < p->args_n; i++) {
        if (i > 3) {
            buf_str_add(b, string_arg(p, 2));
        }
        buf_str_add(b, eval_get(ev->q, r->ls, src[i]));
    }
    return buf_ok(b, e) && put(ev, r, string_arg(p, 1), buf_str(b), e);
}

bool eval_label_join(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    uint32_t *src = ARENA_ARRAY(q->arena, uint32_t, p->args_n);
    if (src == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 3; i < p->args_n; i++) {
        if (!is_label_name(string_arg(p, i))) {
            return eval_fail(q, e, "invalid source label name in label_join(): %.*s",
                             STR_FMT(string_arg(p, i)));
        }
        src[i] = eval_name(q, string_arg(p, i));
        if (src[i] == UINT32_MAX) {
            return eval_no_memory(q, e);
        }
    }
    if (!is_label_name(string_arg(p, 1))) {
        return eval_fail(q, e, "invalid destination label name in label_join(): %.*s",
                         STR_FMT(string_arg(p, 1)));
    }
    if (!eval_all(ev, p->arg[0], out, e)) {
        return false;
    }
    struct buf b;
    buf_init(&b, q->arena->mem, LABEL_VALUE_MAX);
    bool ok = true;
    for (uint32_t i = 0; ok && i < out->n; i++) {
        ok = ((i & 255) != 255 || eval_check(q, e)) && join_row(ev, p, src, &out->rows[i], &b, e);
    }
    buf_release(&b);
    return ok && eval_merge(ev, out, true, e);
}
