/* Unit tests of rules, running them: each test has a store of its own on a simulated disk, gets its
 * series up to the time of each evaluation, and is asked for alerts and expressions.
 *
 * As promtool does: evaluations are at start, start + evaluation_interval, ... up to the latest
 * eval_time; samples after the last of them are not seen by expressions; a rule that fails ends the
 * test. A hint of counter reset is compared only when both sides have one, since it says how
 * samples were stored rather than what they are. */
#include "engines/rules/rules.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/simos.h"
#include "engines/rules/tpl_int.h"
#include "engines/rules/unit_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct unit_run {
    const struct unit_file *file;
    const struct unit_test *test;
    const struct os *os;
    const char *dir;
    unsigned flags;
    struct mem mem;
    struct arena arena;
    struct simos *sim;
    struct tsdb *db;
    struct rules *rules;
    struct group **order;
    struct promql_points *points;
    uint32_t *refs;
    uint64_t next; /* point of the input that is loaded next */
    uint32_t rows; /* points of the longest series */
    struct tsdb_batch *batch;
    struct buf *out;
    uint32_t failures;
};

static void fail_begin(struct unit_run *u)
{
    u->failures++;
    if (u->test->name.n) {
        buf_fmt(u->out, "    name: %.*s,\n", STR_FMT(u->test->name));
    }
}

static bool fail_err(struct unit_run *u, const struct err *e)
{
    fail_begin(u);
    BUF_LIT(u->out, "    ");
    if (e->where) {
        buf_str_add(u->out, str_from_c(e->where));
        BUF_LIT(u->out, ":");
    }
    if (e->line) {
        buf_fmt(u->out, "%u:%u: ", e->line, e->col);
    }
    buf_str_add(u->out, str_from_c(e->msg));
    BUF_LIT(u->out, "\n\n");
    return false;
}

/* --- the store -------------------------------------------------------------------------------- */

static bool open_store(struct unit_run *u, struct err *e)
{
    struct tsdb_config c;
    tsdb_config_default(&c);
    u->sim = simos_new(1);
    simos_clock_set(u->sim, ns_from_ms(u->test->start_ms > 0 ? u->test->start_ms : 0));
    if (!dir_make(simos_os(u->sim), "/unit", e)) {
        return false;
    }
    c.dir = "/unit/db";
    c.retention_ms = 0;
    c.out_of_order_ms = 0;
    c.future_ms = 0;
    c.head_bytes_max = (uint64_t)1 << 30;
    c.head_ms = INT64_C(9000000000000); /* never by its span */
    c.exemplars_max = 0;
    return tsdb_open(&u->db, &c, simos_os(u->sim), NULL, e);
}

static bool parse_series(struct unit_run *u, uint32_t i, struct err *e)
{
    const struct unit_series *s = &u->test->series[i];
    struct buf line;
    buf_init(&line, &u->mem, PROMQL_TEXT_BYTES_MAX);
    buf_str_add(&line, s->series);
    buf_char(&line, ' ');
    buf_str_add(&line, s->values);
    bool ok = promql_series_line(buf_str(&line), &u->arena, &u->points[i], e);
    buf_release(&line);
    if (!ok) {
        return false;
    }
    u->rows = u->points[i].n > u->rows ? u->points[i].n : u->rows;
    return tsdb_series(u->db, 0, u->points[i].labels, &u->refs[i], e);
}

static bool prepare_input(struct unit_run *u, struct err *e)
{
    uint32_t n = u->test->series_n;
    u->points = ARENA_ARRAY(&u->arena, struct promql_points, n + 1);
    u->refs = ARENA_ARRAY(&u->arena, uint32_t, n + 1);
    u->batch = tsdb_batch_new(&u->mem, RULES_BATCH_BYTES);
    if (!u->points || !u->refs || !u->batch) {
        return err_set(e, ERR_LIMIT, "no memory for the input series");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!parse_series(u, i, e)) {
            return false;
        }
    }
    return true;
}

/* Every sample up to t_ms that is not loaded yet. */
static bool load_till(struct unit_run *u, int64_t t_ms, struct err *e)
{
    struct tsdb_result res = {0};
    tsdb_batch_reset(u->batch);
    for (; u->next < u->rows; u->next++) {
        int64_t at = u->test->start_ms + (int64_t)u->next * u->test->interval_ms;
        if (at > t_ms) {
            break;
        }
        for (uint32_t i = 0; i < u->test->series_n; i++) {
            const struct promql_points *p = &u->points[i];
            if (u->next >= p->n || (p->gap && p->gap[u->next])) {
                continue;
            }
            const struct nhist *h = p->h ? p->h[u->next] : NULL;
            bool ok = h ? tsdb_batch_add_nhist(u->batch, u->refs[i], at, 0, h, e)
                        : tsdb_batch_add(u->batch, u->refs[i], at, p->v[u->next], e);
            if (!ok) {
                return false;
            }
        }
    }
    return tsdb_batch_count(u->batch) == 0 ||
           tsdb_commit_wait(u->db, u->batch, TSDB_NO_FUTURE_CHECK | TSDB_NO_SYNC, &res, e);
}

/* --- rules ------------------------------------------------------------------------------------ */

static uint32_t rank(const struct unit_file *f, struct str name)
{
    for (uint32_t i = 0; i < f->order_n; i++) {
        if (str_eq(f->order[i], name)) {
            return i;
        }
    }
    return 0;
}

/* By group_eval_order; groups that it does not name stay first, in the order of the files. */
static bool order_groups(struct unit_run *u, struct err *e)
{
    struct rules *r = u->rules;
    u->order = ARENA_ARRAY(&u->arena, struct group *, r->groups_n + 1);
    if (!u->order) {
        return err_set(e, ERR_LIMIT, "no memory for the groups");
    }
    for (uint32_t i = 0; i < r->groups_n; i++) {
        struct group *g = r->groups[i];
        uint32_t at = i;
        while (at > 0 && rank(u->file, u->order[at - 1]->g->name) > rank(u->file, g->g->name)) {
            u->order[at] = u->order[at - 1];
            at--;
        }
        u->order[at] = g;
        for (uint32_t k = 0; k < g->rules_n; k++) {
            g->rules[k].restored = true;
        }
        g->restore = false;
    }
    return true;
}

static bool open_rules(struct unit_run *u, struct err *e)
{
    const struct rules_config c = {.interval_ms = u->file->interval_ms,
                                   .external_labels = u->test->external,
                                   .external_labels_n = u->test->external_n,
                                   .external_url = u->test->external_url,
                                   .threads = 1,
                                   .promql_flags = u->flags};
    return rules_new(&c, u->db, u->os, NULL, NULL, &u->rules, e) &&
           rules_load(u->rules, u->dir, u->file->rule_files, u->file->rule_files_n, e) &&
           order_groups(u, e);
}

static bool eval_groups(struct unit_run *u, int64_t ts_ms)
{
    bool ok = true;
    for (uint32_t i = 0; i < u->rules->groups_n; i++) {
        struct group *g = u->order[i];
        group_eval(g, ts_ms);
        for (uint32_t k = 0; k < g->rules_n; k++) {
            const struct rule_state *s = &g->rules[k];
            if (!s->failed) {
                continue;
            }
            ok = false;
            u->failures++;
            buf_fmt(u->out, "    rule: %.*s, time: ", STR_FMT(s->rule->name));
            tpl_duration(u->out, ns_from_ms(ts_ms));
            buf_fmt(u->out, ", err: %s\n\n", s->error);
        }
    }
    return ok;
}

/* --- alerts ----------------------------------------------------------------------------------- */

static int by_alert(const void *a, const void *b)
{
    const struct unit_alert *x = a;
    const struct unit_alert *y = b;
    int order = labels_cmp(x->labels, y->labels);
    return order ? order : labels_cmp(x->notes, y->notes);
}

/* Firing alerts of the name in all groups. */
static struct unit_alert *firing(struct unit_run *u, struct str name, uint32_t *n)
{
    uint32_t most = 0;
    *n = 0;
    for (uint32_t i = 0; i < u->rules->groups_n; i++) {
        for (uint32_t k = 0; k < u->order[i]->rules_n; k++) {
            most += u->order[i]->rules[k].alerts_n;
        }
    }
    struct unit_alert *v = ARENA_ARRAY(&u->arena, struct unit_alert, most + 1);
    for (uint32_t i = 0; v && i < u->rules->groups_n; i++) {
        for (uint32_t k = 0; k < u->order[i]->rules_n; k++) {
            const struct rule_state *s = &u->order[i]->rules[k];
            for (uint32_t j = 0; j < s->alerts_n && str_eq(s->rule->name, name); j++) {
                if (s->alerts[j].state == ALERT_FIRING) {
                    v[(*n)++] = (struct unit_alert){s->alerts[j].labels.ls, s->alerts[j].notes.ls};
                }
            }
        }
    }
    if (v) {
        qsort(v, *n, sizeof v[0], by_alert);
    }
    return v;
}

static void check_alert(struct unit_run *u, const struct unit_alert_test *t)
{
    uint32_t n = 0;
    struct unit_alert *got = firing(u, t->name, &n);
    bool same = got && n == t->want_n;
    qsort(t->want, t->want_n, sizeof t->want[0], by_alert);
    for (uint32_t i = 0; same && i < n; i++) {
        same = by_alert(&got[i], &t->want[i]) == 0;
    }
    if (same) {
        return;
    }
    fail_begin(u);
    buf_fmt(u->out, "    alertname: %.*s, time: ", STR_FMT(t->name));
    unit_put_duration(u->out, t->eval_ms);
    BUF_LIT(u->out, ", \n        exp:");
    unit_put_alerts(u->out, t->want, t->want_n);
    BUF_LIT(u->out, ", \n        got:");
    unit_put_alerts(u->out, got, got ? n : 0);
    BUF_LIT(u->out, "\n\n");
}

static int64_t last_eval(const struct unit_test *t)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < t->alerts_n; i++) {
        most = i64_max(most, t->alerts[i].eval_ms);
    }
    for (uint32_t i = 0; i < t->exprs_n; i++) {
        most = i64_max(most, t->exprs[i].eval_ms);
    }
    return most;
}

static bool run_evals(struct unit_run *u, struct err *e)
{
    const struct unit_test *t = u->test;
    int64_t step = u->file->interval_ms;
    int64_t end = last_eval(t);
    uint32_t next = 0;
    if (end / step > UNIT_EVALS_MAX) {
        return err_set(e, ERR_LIMIT, "the test needs more than %d evaluations", UNIT_EVALS_MAX);
    }
    for (int64_t at = 0; at <= end; at += step) {
        if (!load_till(u, t->start_ms + at, e)) {
            return false;
        }
        if (!eval_groups(u, t->start_ms + at)) {
            return true;
        }
        for (; next < t->alerts_n && t->alerts[next].eval_ms < at + step; next++) {
            check_alert(u, &t->alerts[next]);
        }
    }
    return true;
}

/* --- expressions ------------------------------------------------------------------------------ */

struct sample {
    struct labels labels;
    double value;
    const struct nhist *h;
    bool hint;
};

static int by_sample(const void *a, const void *b)
{
    return labels_cmp(((const struct sample *)a)->labels, ((const struct sample *)b)->labels);
}

static bool same_hist(struct unit_run *u, const struct sample *a, const struct sample *b)
{
    struct buf x;
    struct buf y;
    bool hints = a->h->reset != NHIST_UNKNOWN && b->h->reset != NHIST_UNKNOWN;
    buf_init(&x, &u->mem, UNIT_OUT_MAX);
    buf_init(&y, &u->mem, UNIT_OUT_MAX);
    unit_put_hist(&x, a->h, hints);
    unit_put_hist(&y, b->h, hints);
    bool same = str_eq(buf_str(&x), buf_str(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

static bool same_sample(struct unit_run *u, const struct sample *a, const struct sample *b)
{
    if (!labels_eq(a->labels, b->labels) || !a->h != !b->h) {
        return false;
    }
    if (a->h) {
        return same_hist(u, a, b);
    }
    return a->value == b->value || (u->file->fuzzy && (nextafter(a->value, -HUGE_VAL) == b->value ||
                                                       nextafter(a->value, HUGE_VAL) == b->value));
}

static void put_samples(struct buf *b, const struct sample *v, uint32_t n)
{
    if (n == 0) {
        BUF_LIT(b, "nil");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i) {
            BUF_LIT(b, ", ");
        }
        labels_print(v[i].labels, b);
        buf_char(b, ' ');
        if (v[i].h) {
            unit_put_hist(b, v[i].h, true);
        } else {
            unit_put_float(b, v[i].value);
        }
    }
}

static void put_expr(struct unit_run *u, const struct unit_expr_test *t)
{
    fail_begin(u);
    BUF_LIT(u->out, "    expr: ");
    buf_json_str(u->out, t->expr);
    BUF_LIT(u->out, ", time: ");
    unit_put_duration(u->out, t->eval_ms);
    buf_char(u->out, ',');
}

static bool want_sample(struct unit_run *u, const struct unit_sample *s, struct sample *out,
                        struct err *e)
{
    *out = (struct sample){.value = s->value};
    if (str_trim(s->labels).n && !promql_metric(s->labels, &u->arena, &out->labels, e)) {
        return false;
    }
    if (s->histogram.n == 0) {
        return true;
    }
    struct buf line;
    struct promql_points p = {0};
    buf_init(&line, &u->mem, PROMQL_TEXT_BYTES_MAX);
    BUF_LIT(&line, "{} ");
    buf_str_add(&line, s->histogram);
    bool ok = promql_series_line(buf_str(&line), &u->arena, &p, e);
    buf_release(&line);
    if (ok && (p.n != 1 || !p.h || !p.h[0])) {
        return err_set(e, ERR_INPUT, "expected one histogram");
    }
    out->h = ok ? p.h[0] : NULL;
    return ok;
}

static bool want_samples(struct unit_run *u, const struct unit_expr_test *t, struct sample **out)
{
    struct err e = {0};
    *out = ARENA_ARRAY(&u->arena, struct sample, t->want_n + 1);
    bool ok = *out || err_set(&e, ERR_LIMIT, "no memory for the expected samples");
    for (uint32_t i = 0; ok && i < t->want_n; i++) {
        ok = want_sample(u, &t->want[i], &(*out)[i], &e);
        if (!ok) {
            put_expr(u, t);
            BUF_LIT(u->out, " err: labels ");
            buf_json_str(u->out, t->want[i].labels);
            buf_fmt(u->out, ": %u:%u: parse error: %s\n\n", e.line, e.col, e.msg);
        }
    }
    if (ok) {
        qsort(*out, t->want_n, sizeof(*out)[0], by_sample);
    }
    return ok;
}

static bool eval_expr(struct unit_run *u, const struct unit_expr_test *t, struct tsdb_view *v,
                      struct promql_result *res, struct err *e)
{
    struct promql_node *n = NULL;
    enum promql_failure why = PROMQL_BAD;
    if (!promql_parse(t->expr, u->flags & PROMQL_ALL_FLAGS, &u->arena, &n, e)) {
        char msg[sizeof e->msg];
        (void)snprintf(msg, sizeof msg, "%u:%u: parse error: %.150s", e->line, e->col, e->msg);
        return err_set(e, ERR_INPUT, "%s", msg);
    }
    int64_t at = u->test->start_ms + t->eval_ms;
    const struct promql_query q = {.expr = n,
                                   .text = t->expr,
                                   .source = promql_source_tsdb(v),
                                   .start_ms = at,
                                   .end_ms = at,
                                   .subquery_step_ms = u->file->interval_ms,
                                   .flags = u->flags & PROMQL_ALL_FLAGS,
                                   .os = u->os,
                                   .threads = 1,
                                   .mem = &u->mem};
    return promql_eval(&q, &u->arena, res, &why, e) &&
           (res->type == PROMQL_VECTOR || res->type == PROMQL_SCALAR ||
            err_set(e, ERR_INPUT, "rule result is not a vector or scalar"));
}

static void compare(struct unit_run *u, const struct unit_expr_test *t,
                    const struct promql_result *res, const struct sample *want)
{
    uint32_t n = res->type == PROMQL_SCALAR ? 1 : res->series_n;
    struct sample *got = ARENA_ARRAY(&u->arena, struct sample, n + 1);
    bool same = got && n == t->want_n;
    for (uint32_t i = 0; got && i < n; i++) {
        const struct promql_sample *p =
            res->type == PROMQL_SCALAR ? &res->scalar : res->series[i].samples;
        got[i].value = p->v;
        got[i].h = p->h;
        if (res->type != PROMQL_SCALAR) {
            got[i].labels = res->series[i].labels;
        }
    }
    if (got) {
        qsort(got, n, sizeof got[0], by_sample);
    }
    for (uint32_t i = 0; same && i < n; i++) {
        same = same_sample(u, &got[i], &want[i]);
    }
    if (!same) {
        put_expr(u, t);
        BUF_LIT(u->out, "\n        exp: ");
        put_samples(u->out, want, t->want_n);
        BUF_LIT(u->out, "\n        got: ");
        put_samples(u->out, got, got ? n : 0);
        BUF_LIT(u->out, "\n\n");
    }
}

static bool run_exprs(struct unit_run *u, struct err *e)
{
    struct tsdb_view *v = NULL;
    if (u->test->exprs_n == 0) {
        return true;
    }
    if (!tsdb_view_open(u->db, &v, e)) {
        return false;
    }
    for (uint32_t i = 0; i < u->test->exprs_n; i++) {
        const struct unit_expr_test *t = &u->test->exprs[i];
        struct promql_result res = {0};
        struct sample *want = NULL;
        struct err bad = {0};
        if (!eval_expr(u, t, v, &res, &bad)) {
            put_expr(u, t);
            BUF_LIT(u->out, " err: ");
            buf_str_add(u->out, res.string.n ? res.string : str_from_c(bad.msg));
            BUF_LIT(u->out, "\n\n");
        } else if (want_samples(u, t, &want)) {
            compare(u, t, &res, want);
        }
    }
    tsdb_view_close(v);
    return true;
}

/* --- a file ----------------------------------------------------------------------------------- */

static bool run_test(struct unit_run *u)
{
    struct err e = {0};
    bool ok = open_store(u, &e) && prepare_input(u, &e) && open_rules(u, &e);
    ok = ok && run_evals(u, &e);
    /* A rule that failed ends the test; an alert that differs does not. */
    bool broken = false;
    for (uint32_t i = 0; ok && i < u->rules->groups_n; i++) {
        for (uint32_t k = 0; k < u->order[i]->rules_n; k++) {
            broken |= u->order[i]->rules[k].failed;
        }
    }
    ok = ok && (broken || run_exprs(u, &e));
    if (!ok) {
        (void)fail_err(u, &e);
    }
    rules_free(u->rules);
    tsdb_batch_free(u->batch);
    if (u->db) {
        tsdb_close(u->db);
    }
    simos_free(u->sim);
    arena_release(&u->arena);
    return u->failures == 0;
}

bool rules_test_file(struct str text, const char *path, const struct os *os, unsigned promql_flags,
                     struct buf *out, struct rules_test_result *r, struct err *e)
{
    struct mem mem;
    struct arena a;
    struct unit_file f;
    mem_init(&mem, 0);
    arena_init(&a, &mem, UNIT_ARENA_MAX);
    *r = (struct rules_test_result){0};
    const char *slash = strrchr(path, '/');
    const char *dir = slash ? arena_cstr(&a, str_of(path, (size_t)(slash - path))) : "";
    bool ok = dir || err_set(e, ERR_LIMIT, "path is too long");
    ok = ok && unit_file_parse(text, path, (promql_flags & RULES_UNKNOWN_KEYS) != 0, &a, &f, e);
    for (uint32_t i = 0; ok && i < f.tests_n; i++) {
        struct unit_run u = {.file = &f,
                             .test = &f.tests[i],
                             .os = os,
                             .dir = dir[0] || !slash ? dir : "/",
                             .flags = promql_flags,
                             .out = out};
        mem_init(&u.mem, 0);
        arena_init(&u.arena, &u.mem, UNIT_ARENA_MAX);
        bool passed = run_test(&u);
        r->passed += passed;
        r->failed += !passed;
    }
    arena_release(&a);
    return ok;
}
