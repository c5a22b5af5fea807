/* sort, sort_desc, sort_by_label, sort_by_label_desc: the order of an instant vector. A range
 * result is ordered by labels anyway, which a warning says.
 *
 * Labels sort naturally: runs of digits by their number. The rules, odd ones included (a text that
 * is the beginning of another counts as less from both sides' view only when asked first), are
 * those of the library that Prometheus uses, so that both give one order. */
#include "engines/promql/eval_int.h"

#include <math.h>

struct sorter {
    struct query *q;
    const uint32_t *names;
    uint32_t names_n;
    bool by_label, desc;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The run of digits, or of anything else, that begins s. */
static struct str chunk_of(struct str s)
{
    size_t n = 1;
    while (n < s.n && is_digit(s.p[n]) == is_digit(s.p[0])) {
        n++;
    }
    return str_of(s.p, n);
}

static bool natural_less(struct str a, struct str b)
{
    while (a.n > 0) {
        if (b.n == 0) {
            return false;
        }
        struct str x = chunk_of(a);
        struct str y = chunk_of(b);
        int64_t i;
        int64_t j;
        bool numbers =
            is_digit(x.p[0]) && is_digit(y.p[0]) && str_to_i64(x, &i) && str_to_i64(y, &j);
        bool equal = numbers ? i == j : str_eq(x, y);
        if (!equal) {
            return numbers ? i < j : str_cmp(x, y) < 0;
        }
        a = str_sub(a, x.n, a.n);
        b = str_sub(b, y.n, b.n);
        if (a.n == 0) {
            return true;
        }
        if (b.n == 0) {
            return false;
        }
    }
    return false;
}

static int by_labels(const struct sorter *s, const struct row *a, const struct row *b)
{
    for (uint32_t i = 0; i < s->names_n; i++) {
        struct str x = eval_get(s->q, a->ls, s->names[i]);
        struct str y = eval_get(s->q, b->ls, s->names[i]);
        if (!str_eq(x, y)) {
            return natural_less(x, y) ? -1 : 1;
        }
    }
    return eval_lset_cmp(s->q, a->ls, b->ls);
}

static int compare(const void *pa, const void *pb, void *ctx)
{
    const struct sorter *s = ctx;
    const struct row *a = pa;
    const struct row *b = pb;
    if (s->by_label) {
        int c = by_labels(s, a, b);
        return s->desc ? -c : c;
    }
    if (isnan(a->v[0]) || isnan(b->v[0])) {
        return isnan(a->v[0]) - isnan(b->v[0]); /* at the end in both orders */
    }
    int c = a->v[0] < b->v[0] ? -1 : a->v[0] > b->v[0];
    return s->desc ? -c : c;
}

/* Stable: equal values keep their order. */
static bool merge_sort(struct sorter *s, struct row *v, uint32_t n, struct err *e)
{
    struct row *tmp = ARENA_ARRAY(s->q->arena, struct row, size_max(n, 1));
    if (tmp == NULL) {
        return eval_no_memory(s->q, e);
    }
    for (uint64_t width = 1; width < n; width *= 2) {
        for (uint64_t lo = 0; lo < n; lo += 2 * width) {
            uint64_t mid = lo + width < n ? lo + width : n;
            uint64_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            uint64_t i = lo;
            uint64_t j = mid;
            for (uint64_t k = lo; k < hi; k++) {
                bool left = i < mid && (j == hi || compare(&v[i], &v[j], s) <= 0);
                tmp[k] = left ? v[i++] : v[j++];
            }
        }
        memcpy(v, tmp, n * sizeof *v);
    }
    return true;
}

bool eval_sort(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct query *q = ev->q;
    struct sorter s = {.q = q};
    s.by_label = p->whole == WHOLE_SORT_BY_LABEL || p->whole == WHOLE_SORT_BY_LABEL_DESC;
    s.desc = p->whole == WHOLE_SORT_DESC || p->whole == WHOLE_SORT_BY_LABEL_DESC;
    if (!eval_all(ev, p->arg[0], out, e)) {
        return false;
    }
    for (uint32_t i = 0; !s.by_label && i < out->n; i++) {
        for (uint32_t j = 0; j < ev->grid.n; j++) {
            struct row *r = &out->rows[i];
            r->has[j] = r->has[j] == HAS_HIST ? HAS_NONE : r->has[j];
        }
    }
    eval_drop_empty(ev, out);
    if (ev->grid.n > 1) {
        note_warn(&q->notes, p->pos,
                  "sort is ineffective for range queries since results are always ordered by "
                  "labels");
        return true;
    }
    uint32_t *names = ARENA_ARRAY(q->arena, uint32_t, p->args_n);
    if (names == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 1; i < p->args_n; i++) {
        names[i - 1] = eval_name(q, p->arg[i]->node->u.string);
        if (names[i - 1] == UINT32_MAX) {
            return eval_no_memory(q, e);
        }
    }
    s.names = names;
    s.names_n = p->args_n - 1;
    return merge_sort(&s, out->rows, out->n, e);
}
