/* info(): labels of info metrics (target_info, build_info ...) added to the series of the same
 * instance and job.
 *
 * The info series are selected by the second argument's matchers (or target_info), read at the time
 * that the first argument's innermost selector has, and joined step by step: of several series of
 * one info metric the newest sample counts, and two equally new ones are an error. */
#include "engines/promql/eval_int.h"

#include "codec/regex.h"

enum { ID_INSTANCE, ID_JOB, IDS };

struct info_row {
    struct row r;    /* v: time of the sample in ms */
    uint32_t metric; /* number of its name */
    uint32_t sig;    /* number of instance, job and name */
};

struct info {
    struct eval *ev;
    struct plan *p;
    struct matcher *data; /* of labels, without the name */
    struct regex **data_re;
    uint32_t data_n;
    struct matcher *names; /* of the name, as they are used */
    struct regex **names_re;
    uint32_t names_n;
    struct name_set data_names;
    uint32_t id[IDS];
    struct mat base;
    bool *ignored; /* by base row: it is an info series itself */
    struct info_row *infos;
    uint32_t infos_n;
    struct set_map sigs;
    struct set_map metrics;
    uint32_t *newest; /* by signature: info row, + 1 */
    bool at;
    int64_t at_ms, offset_ms;
};

/* --- matchers --------------------------------------------------------------------------------- */

static bool compile(struct query *q, const struct matcher *m, uint32_t n, struct regex ***out,
                    struct err *e)
{
    *out = ARENA_ARRAY(q->arena, struct regex *, size_max(n, 1));
    if (*out == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < n; i++) {
        if ((m[i].op == MATCH_RE || m[i].op == MATCH_NRE) &&
            !regex_new(q->arena->mem, m[i].value, true, &(*out)[i], e)) {
            return false;
        }
    }
    return true;
}

static void release(struct regex **re, uint32_t n)
{
    for (uint32_t i = 0; re != NULL && i < n; i++) {
        regex_free(re[i]);
    }
}

static bool matches(const struct matcher *m, const struct regex *re, struct str value)
{
    switch (m->op) {
    case MATCH_EQ: return str_eq(m->value, value);
    case MATCH_NE: return !str_eq(m->value, value);
    case MATCH_RE: return regex_match(re, value);
    case MATCH_NRE: return !regex_match(re, value);
    }
    return false;
}

static bool split_matchers(struct info *f, struct err *e)
{
    struct query *q = f->ev->q;
    const struct promql_node *n = f->p->args_n > 1 ? f->p->arg[1]->node : NULL;
    uint32_t all = n == NULL ? 0 : n->u.selector.matchers_n;
    struct str *labels = ARENA_ARRAY(q->arena, struct str, (size_t)all + 1);
    f->data = ARENA_ARRAY(q->arena, struct matcher, (size_t)all + 1);
    f->names = ARENA_ARRAY(q->arena, struct matcher, (size_t)all + 2);
    if (labels == NULL || f->data == NULL || f->names == NULL) {
        return eval_no_memory(q, e);
    }
    bool positive = false;
    for (uint32_t i = 0; i < all; i++) {
        const struct matcher *m = &n->u.selector.matchers[i];
        if (str_eq(m->name, STR(LABEL_NAME))) {
            f->names[f->names_n++] = *m;
            positive = positive || m->op == MATCH_EQ || m->op == MATCH_RE;
        } else {
            labels[f->data_n] = m->name;
            f->data[f->data_n++] = *m;
        }
    }
    if (f->names_n == 0) {
        f->names[f->names_n++] = (struct matcher){MATCH_EQ, STR(LABEL_NAME), STR("target_info")};
    } else if (!positive) {
        f->names[f->names_n++] = (struct matcher){MATCH_RE, STR(LABEL_NAME), STR(".+_info")};
    }
    return eval_names(q, labels, f->data_n, &f->data_names, e) &&
           compile(q, f->data, f->data_n, &f->data_re, e) &&
           compile(q, f->names, f->names_n, &f->names_re, e);
}

/* --- when ------------------------------------------------------------------------------------- */

/* The first selector in the argument, with the offsets and the @ of the subqueries around it. */
static bool first_selector(const struct plan *p, struct info *f)
{
    if (p->kind == PLAN_SELECTOR || p->kind == PLAN_RANGE) {
        f->at = p->at;
        f->at_ms = p->at_ms;
        f->offset_ms = p->offset_ms;
        return true;
    }
    for (uint32_t i = 0; i < p->args_n; i++) {
        if (first_selector(p->arg[i], f)) {
            if (p->kind == PLAN_SUBQUERY && !f->at) {
                f->offset_ms += p->offset_ms;
                f->at = p->at;
                f->at_ms = p->at_ms;
            }
            return true;
        }
    }
    return false;
}

/* --- the info series -------------------------------------------------------------------------- */

/* (a|b|c) of the values that the base rows have for the label; empty when they have none. */
static bool values_regex(struct info *f, uint32_t id, struct str *out, struct err *e)
{
    struct query *q = f->ev->q;
    struct set_map seen;
    struct buf b;
    if (!eval_map_init(q, &seen, f->base.n, e)) {
        return false;
    }
    buf_init(&b, q->arena->mem, REGEX_BYTES_MAX);
    bool ok = true;
    for (uint32_t i = 0; ok && i < f->base.n; i++) {
        uint32_t *pair = ARENA_NEW(q->arena, uint32_t);
        if (pair == NULL) {
            ok = eval_no_memory(q, e);
            break;
        }
        *pair = f->ignored[i] ? UINT32_MAX : eval_find(q, f->base.rows[i].ls, f->id[id]);
        uint32_t before = seen.n;
        if (*pair == UINT32_MAX || eval_map_put(q, &seen, (struct lset){pair, 1}) < before) {
            continue;
        }
        struct str v = eval_label(q, *pair).value;
        if (b.n > 0) {
            buf_char(&b, '|');
        }
        for (size_t j = 0; j < v.n; j++) {
            if (memchr("\\.+*?()|[]{}^$", v.p[j], 14) != NULL) {
                buf_char(&b, '\\');
            }
            buf_char(&b, v.p[j]);
        }
    }
    if (b.failed) {
        *out = STR(".+"); /* too many to name: the join itself sorts them out */
    } else {
        *out = arena_str(q->arena, buf_str(&b));
    }
    buf_release(&b);
    return ok;
}

static bool select_infos(struct info *f, uint32_t **ids, uint32_t *n, struct err *e)
{
    static const struct str id_names[IDS] = {STR_INIT("instance"), STR_INIT("job")};
    struct query *q = f->ev->q;
    uint32_t m_n = 0;
    struct matcher *m = ARENA_ARRAY(q->arena, struct matcher, (size_t)f->data_n + f->names_n + IDS);
    *n = 0;
    if (m == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < IDS; i++) {
        struct str re;
        if (!values_regex(f, i, &re, e)) {
            return false;
        }
        if (re.n > 0) {
            m[m_n++] = (struct matcher){MATCH_RE, id_names[i], re};
        }
    }
    if (m_n == 0) {
        return true;
    }
    memcpy(m + m_n, f->data, f->data_n * sizeof *m);
    m_n += f->data_n;
    memcpy(m + m_n, f->names, f->names_n * sizeof *m);
    m_n += f->names_n;
    int64_t last = f->at ? f->at_ms : grid_t(&f->ev->grid, f->ev->grid.n - 1);
    int64_t first = f->at ? f->at_ms : f->ev->grid.start;
    const int64_t from = first - f->offset_ms - q->lookback_ms + 1;
    const int64_t to = last - f->offset_ms;
    if (!q->q->source.select(q->q->source.ctx, m, m_n, from, to, q->series_max, q->arena, ids, n,
                             e)) {
        return false;
    }
    explain_selected(f->p->seen, from, to, *n);
    return true;
}

/* Number of the labels that must agree: instance, job, and the info metric's name. */
static uint32_t signature(struct info *f, struct lset ls, uint32_t name_pair)
{
    struct query *q = f->ev->q;
    uint32_t *key = ARENA_ARRAY(q->arena, uint32_t, IDS + 1);
    if (key == NULL) {
        return UINT32_MAX;
    }
    uint32_t n = 0;
    key[n++] = name_pair;
    for (uint32_t i = 0; i < IDS; i++) {
        uint32_t pair = eval_find(q, ls, f->id[i]);
        if (pair != UINT32_MAX) {
            key[n++] = pair;
        }
    }
    return eval_map_put(q, &f->sigs, (struct lset){key, n});
}

static bool read_info(struct info *f, uint32_t id, struct info_row *out, struct err *e)
{
    struct query *q = f->ev->q;
    struct eval *ev = f->ev;
    struct mat m = {0};
    struct samples s;
    int64_t first = (f->at ? f->at_ms : ev->grid.start) - f->offset_ms;
    int64_t last = (f->at ? f->at_ms : grid_t(&ev->grid, ev->grid.n - 1)) - f->offset_ms;
    if (!eval_read(q, f->p, id, first - q->lookback_ms + 1, last, true, q->arena, &s, e)) {
        return false;
    }
    struct row *r = eval_row_add(ev, &m, q->arena, false);
    if (r == NULL) {
        return eval_no_memory(q, e);
    }
    r->ls.p = q->q->source.pairs(q->q->source.ctx, id, &r->ls.n);
    uint32_t next = 0;
    for (uint32_t i = 0; i < ev->grid.n; i++) {
        int64_t ref = (f->at ? f->at_ms : grid_t(&ev->grid, i)) - f->offset_ms;
        while (next < s.n && s.t[next] <= ref) {
            next++;
        }
        if (next == 0 || s.t[next - 1] <= ref - q->lookback_ms) {
            continue;
        }
        const struct nhist *h = s.h == NULL ? NULL : s.h[next - 1];
        if (is_stale_nan(h == NULL ? s.v[next - 1] : h->sum)) {
            continue;
        }
        if (h != NULL) {
            return eval_fail(q, e, "this should be an info metric, with float samples");
        }
        r->has[i] = HAS_FLOAT;
        r->v[i] = (double)s.t[next - 1];
    }
    out->r = *r;
    uint32_t *name = ARENA_NEW(q->arena, uint32_t);
    if (name == NULL) {
        return eval_no_memory(q, e);
    }
    *name = eval_find(q, r->ls, NAME_METRIC);
    out->metric = eval_map_put(q, &f->metrics, (struct lset){name, 1});
    out->sig = signature(f, r->ls, *name);
    return (out->metric != UINT32_MAX && out->sig != UINT32_MAX) || eval_no_memory(q, e);
}

static bool read_infos(struct info *f, struct err *e)
{
    struct query *q = f->ev->q;
    uint32_t *ids = NULL;
    uint32_t n;
    if (!select_infos(f, &ids, &n, e)) {
        return false;
    }
    f->infos = ARENA_ARRAY(q->arena, struct info_row, size_max(n, 1));
    if (f->infos == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct info_row *r = &f->infos[f->infos_n];
        if (!read_info(f, ids[i], r, e)) {
            return false;
        }
        f->infos_n += !eval_row_empty(&r->r, f->ev->grid.n);
    }
    return true;
}

/* --- joining ---------------------------------------------------------------------------------- */

static bool conflict(struct info *f, const struct info_row *a, const struct info_row *b,
                     uint32_t step, struct err *e)
{
    struct query *q = f->ev->q;
    struct buf text[2];
    struct labels la;
    struct labels lb;
    if (!eval_lset_labels(q, a->r.ls, q->arena, &la, e) ||
        !eval_lset_labels(q, b->r.ls, q->arena, &lb, e)) {
        return false;
    }
    buf_init(&text[0], q->arena->mem, 16384);
    buf_init(&text[1], q->arena->mem, 16384);
    labels_print(la, &text[0]);
    labels_print(lb, &text[1]);
    (void)eval_fail(q, e,
                    "found duplicate series for info metric: existing %.*s @ %lld, new %.*s @ %lld",
                    STR_FMT(buf_str(&text[0])), (long long)a->r.v[step], STR_FMT(buf_str(&text[1])),
                    (long long)b->r.v[step]);
    buf_release(&text[0]);
    buf_release(&text[1]);
    return false;
}

static bool newest_of_step(struct info *f, uint32_t step, struct err *e)
{
    memset(f->newest, 0, f->sigs.n * sizeof *f->newest);
    for (uint32_t i = 0; i < f->infos_n; i++) {
        const struct info_row *r = &f->infos[i];
        if (r->r.has[step] == HAS_NONE) {
            continue;
        }
        uint32_t *at = &f->newest[r->sig];
        const struct info_row *old = *at == 0 ? NULL : &f->infos[*at - 1];
        if (old != NULL && old->r.v[step] == r->r.v[step]) {
            return conflict(f, old, r, step, e);
        }
        if (old == NULL || old->r.v[step] < r->r.v[step]) {
            *at = i + 1;
        }
    }
    return true;
}

/* Adds the labels of one info series. */
static bool add_labels(struct info *f, const struct row *base, const struct info_row *r,
                       struct lset *out, struct err *e)
{
    struct query *q = f->ev->q;
    for (uint32_t i = 0; i < r->r.ls.n; i++) {
        uint32_t pair = r->r.ls.p[i];
        uint32_t name = eval_name_of(q, pair);
        if (name == NAME_METRIC || (f->data_n > 0 && !name_set_has(&f->data_names, name))) {
            continue;
        }
        if (eval_find(q, base->ls, name) != UINT32_MAX) {
            continue;
        }
        uint32_t there = eval_find(q, *out, name);
        if (there == pair) {
            continue;
        }
        if (there != UINT32_MAX && !str_eq(eval_label(q, there).value, eval_label(q, pair).value)) {
            struct str text = eval_label(q, pair).name;
            return eval_fail(q, e, "conflicting label: %.*s", STR_FMT(text));
        }
        if (!eval_lset_put_pair(q, *out, name, pair, out, e)) {
            return false;
        }
    }
    return true;
}

static bool put(struct info *f, const struct row *base, struct lset ls, uint32_t step,
                struct set_map *map, struct mat *out, struct err *e)
{
    struct query *q = f->ev->q;
    uint32_t at = eval_map_put(q, map, ls);
    if (at == UINT32_MAX) {
        return eval_no_memory(q, e);
    }
    if (at == out->n) {
        struct row *r = eval_row_add(f->ev, out, q->arena, false);
        if (r == NULL) {
            return eval_no_memory(q, e);
        }
        r->ls = ls;
        r->drop_name = base->drop_name;
    }
    struct row *r = &out->rows[at];
    if (r->has[step] != HAS_NONE) {
        return eval_fail(q, e, "vector cannot contain metrics with the same labelset");
    }
    r->has[step] = base->has[step];
    r->v[step] = base->v[step];
    if (base->has[step] == HAS_HIST) {
        if (!eval_row_hists(f->ev, r, q->arena)) {
            return eval_no_memory(q, e);
        }
        r->h[step] = base->h[step];
    }
    return true;
}

/* A series without info series stays only if every data matcher would take an absent label. */
static bool may_lack(const struct info *f)
{
    for (uint32_t i = 0; i < f->data_n; i++) {
        if (!matches(&f->data[i], f->data_re[i], (struct str){0})) {
            return false;
        }
    }
    return true;
}

static bool join_rows(struct info *f, struct mat *out, struct err *e)
{
    struct query *q = f->ev->q;
    struct set_map map;
    uint32_t metrics = f->metrics.n;
    size_t sigs = size_max((size_t)f->base.n * metrics, 1);
    uint32_t *sig = ARENA_ARRAY(q->arena, uint32_t, sigs);
    if (sig == NULL || !eval_map_init(q, &map, f->base.n, e)) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < f->base.n; i++) {
        for (uint32_t k = 0; k < metrics; k++) {
            uint32_t s = signature(f, f->base.rows[i].ls, f->metrics.sets[k].p[0]);
            if (s == UINT32_MAX) {
                return eval_no_memory(q, e);
            }
            sig[(size_t)i * metrics + k] = s;
        }
    }
    f->newest = ARENA_ARRAY(q->arena, uint32_t, size_max(f->sigs.n, 1));
    if (f->newest == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t step = 0; step < f->ev->grid.n; step++) {
        if (!eval_check(q, e) || !newest_of_step(f, step, e)) {
            return false;
        }
        for (uint32_t i = 0; i < f->base.n; i++) {
            const struct row *base = &f->base.rows[i];
            struct lset ls = base->ls;
            bool found = f->ignored[i];
            if (base->has[step] == HAS_NONE) {
                continue;
            }
            for (uint32_t k = 0; !f->ignored[i] && k < metrics; k++) {
                uint32_t at = f->newest[sig[(size_t)i * metrics + k]];
                if (at == 0) {
                    continue;
                }
                found = true;
                if (!add_labels(f, base, &f->infos[at - 1], &ls, e)) {
                    return false;
                }
            }
            if ((found || may_lack(f)) && !put(f, base, ls, step, &map, out, e)) {
                return false;
            }
        }
    }
    return true;
}

static bool run(struct info *f, struct mat *out, struct err *e)
{
    struct query *q = f->ev->q;
    f->id[ID_INSTANCE] = eval_name(q, STR("instance"));
    f->id[ID_JOB] = eval_name(q, STR("job"));
    if (f->id[ID_INSTANCE] == UINT32_MAX || f->id[ID_JOB] == UINT32_MAX) {
        return eval_no_memory(q, e);
    }
    (void)first_selector(f->p->arg[0], f);
    if (!split_matchers(f, e) || !eval_all(f->ev, f->p->arg[0], &f->base, e) ||
        !eval_canon(q, &f->base, e) || !eval_map_init(q, &f->sigs, f->base.n, e) ||
        !eval_map_init(q, &f->metrics, 16, e)) {
        return false;
    }
    f->ignored = ARENA_ARRAY(q->arena, bool, size_max(f->base.n, 1));
    if (f->ignored == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < f->base.n; i++) {
        struct str name = eval_metric(q, f->base.rows[i].ls);
        f->ignored[i] = true;
        for (uint32_t k = 0; k < f->names_n; k++) {
            f->ignored[i] = f->ignored[i] && matches(&f->names[k], f->names_re[k], name);
        }
    }
    return read_infos(f, e) && join_rows(f, out, e);
}

bool eval_info(struct eval *ev, struct plan *p, struct mat *out, struct err *e)
{
    struct info f = {.ev = ev, .p = p};
    bool ok = run(&f, out, e);
    release(f.data_re, f.data_n);
    release(f.names_re, f.names_n);
    return ok;
}
