/* Runs one eval of a script: as it is written; with @ put on every selector, at several times; and
 * each of these instants again as the middle of a range query. All must give the same answer. */
#include "test/conformance/script.h"

#include "engines/promql/ast_int.h"
#include "engines/promql/functions_int.h"

#define BYTES_MAX   (256U << 20)
#define SAMPLES_MAX 10000
#define MINUTE_MS   60000

struct attempt {
    struct str text;
    const struct promql_node *expr;
    int64_t at_ms;
};

/* --- @ on everything -------------------------------------------------------------------------- */

/* Below a subquery with @ nothing is changed, nor looked at. false: a function depends on the
 * step. */
static bool put_at(struct promql_node *n, int64_t at_ms)
{
    bool ok = true;
    switch (n->kind) {
    case NODE_SELECTOR:
        if (n->u.selector.at != AT_TIME) {
            n->u.selector.at = AT_TIME;
            n->u.selector.at_ms = at_ms;
        }
        return true;
    case NODE_RANGE: return put_at(n->u.range.selector, at_ms);
    case NODE_SUBQUERY:
        if (n->u.subquery.at != AT_TIME) {
            n->u.subquery.at = AT_TIME;
            n->u.subquery.at_ms = at_ms;
        }
        return true;
    case NODE_CALL:
        ok = (n->u.call.fn->flags & FUNCTION_AT_UNSAFE) == 0;
        for (uint32_t i = 0; i < n->u.call.args.n; i++) {
            ok = put_at(n->u.call.args.v[i], at_ms) && ok;
        }
        return ok;
    case NODE_AGGREGATE:
        ok = put_at(n->u.agg.expr, at_ms);
        return n->u.agg.param == NULL || (put_at(n->u.agg.param, at_ms) && ok);
    case NODE_BINARY:
        ok = put_at(n->u.binary.lhs, at_ms);
        return put_at(n->u.binary.rhs, at_ms) && ok;
    case NODE_UNARY: return put_at(n->u.unary.expr, at_ms);
    case NODE_PAREN: return put_at(n->u.paren, at_ms);
    case NODE_NUMBER:
    case NODE_STRING: return true;
    }
    return false;
}

static bool parse(struct str text, struct arena *a, struct promql_node **out, struct buf *why)
{
    struct err e = {0};
    if (!promql_parse(text, PROMQL_ALL_FLAGS, a, out, &e)) {
        buf_fmt(why, "%u:%u: parse error: %s", e.line, e.col, e.msg);
        return false;
    }
    return true;
}

/* The text with @, and its tree; text empty when the expression depends on the step. */
static bool with_at(struct evaluation *v, struct arena *a, struct attempt *out, struct buf *why)
{
    struct promql_node *n;
    struct buf b;
    *out = (struct attempt){0};
    if (!parse(v->expr, a, &n, why)) {
        return false;
    }
    if (!put_at(n, v->at_ms)) {
        return true;
    }
    buf_init(&b, a->mem, PROMQL_TEXT_BYTES_MAX);
    promql_print(n, &b);
    out->text = arena_str(a, buf_str(&b));
    buf_release(&b);
    if (!parse(out->text, a, &n, why)) {
        buf_fmt(why, " in \"%.*s\"", STR_FMT(out->text));
        return false;
    }
    out->expr = n;
    return true;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool run(struct runner *r, const struct attempt *t, int64_t start, int64_t end, int64_t step,
                struct arena *a, struct promql_result *out, struct err *e)
{
    enum promql_failure kind;
    *out = (struct promql_result){0};
    struct promql_query q = {.expr = t->expr,
                             .text = t->text,
                             .start_ms = start,
                             .end_ms = end,
                             .step_ms = step,
                             .lookback_ms = 5 * MINUTE_MS,
                             .subquery_step_ms = MINUTE_MS,
                             .flags = SCRIPT_FLAGS,
                             .samples_max = SAMPLES_MAX,
                             .bytes_max = BYTES_MAX,
                             .os = os_real(),
                             .threads = r->threads,
                             .mem = r->mem};
    return store_source(r->store, &q.source, e) && promql_eval(&q, a, out, &kind, e);
}

static bool has_context_call(struct str s)
{
    return str_contains(s, STR("start()")) || str_contains(s, STR("end()")) ||
           str_contains(s, STR("range()")) || str_contains(s, STR("step()"));
}

/* The middle step of a range answer as an instant one. */
static void middle(const struct promql_result *in, int64_t at_ms, enum promql_type type,
                   struct arena *a, struct promql_result *out)
{
    *out = (struct promql_result){.type = PROMQL_VECTOR};
    out->series = ARENA_ARRAY(a, struct promql_series, size_max(in->series_n, 1));
    ASSERT(out->series != NULL);
    for (uint32_t i = 0; i < in->series_n; i++) {
        for (uint32_t j = 0; j < in->series[i].n; j++) {
            if (in->series[i].samples[j].t_ms == at_ms) {
                out->series[out->series_n++] =
                    (struct promql_series){in->series[i].labels, &in->series[i].samples[j], 1};
            }
        }
    }
    if (type == PROMQL_SCALAR && out->series_n == 1) {
        out->type = PROMQL_SCALAR;
        out->scalar = out->series[0].samples[0];
    }
}

static bool instant(struct runner *r, struct evaluation *v, const struct attempt *t,
                    struct arena *a, struct buf *why)
{
    struct promql_result got;
    struct promql_result range;
    struct promql_result mid;
    struct err e = {0};
    bool fails = v->fail || check_expects(v, EXPECT_FAIL);
    if (!run(r, t, t->at_ms, t->at_ms, 0, a, &got, &e)) {
        if (fails) {
            return check_failure(v, got.string, why);
        }
        buf_fmt(why, "error: %.*s", STR_FMT(got.string.n > 0 ? got.string : str_from_c(e.msg)));
        return false;
    }
    if (fails) {
        BUF_LIT(why, "expected an error, got none");
        return false;
    }
    if (!check_notes(v, &got, why) || !check_result(v, &got, a, why)) {
        return false;
    }
    if (v->range_vector || v->string_given || has_context_call(t->text)) {
        return true;
    }
    if (!run(r, t, t->at_ms - MINUTE_MS, t->at_ms + MINUTE_MS, MINUTE_MS, a, &range, &e)) {
        buf_fmt(why, "as a range: error: %.*s", STR_FMT(range.string));
        return false;
    }
    if (v->ordered || check_expects(v, EXPECT_ORDERED)) {
        return true;
    }
    if (!check_sorted(&range, why)) {
        return false;
    }
    middle(&range, t->at_ms, got.type, a, &mid);
    if (!check_result(v, &mid, a, why)) {
        BUF_LIT(why, " (in the middle of a range)");
        return false;
    }
    return true;
}

static bool all_instants(struct runner *r, struct evaluation *v, const struct attempt *first,
                         struct arena *a, struct buf *why)
{
    struct attempt at;
    int64_t t = v->at_ms;
    int64_t times[5] = {-10 * t, 0, t / 5, t, 10 * t};
    uint32_t n = 5;
    if (t == 0) {
        times[0] = -1000;
        times[1] = 0;
        times[2] = 1000;
        n = 3;
    }
    if (!instant(r, v, first, a, why) || !with_at(v, a, &at, why)) {
        return false;
    }
    for (uint32_t i = 0; at.text.n > 0 && i < n; i++) {
        at.at_ms = times[i];
        if (!instant(r, v, &at, a, why)) {
            buf_fmt(why, " (as \"%.*s\" at %lld ms)", STR_FMT(at.text), (long long)times[i]);
            return false;
        }
    }
    return true;
}

static bool over_range(struct runner *r, struct evaluation *v, const struct attempt *t,
                       struct arena *a, struct buf *why)
{
    struct promql_result got;
    struct err e = {0};
    bool fails = v->fail || check_expects(v, EXPECT_FAIL);
    if (!run(r, t, v->start_ms, v->end_ms, v->step_ms, a, &got, &e)) {
        if (fails) {
            return check_failure(v, got.string, why);
        }
        buf_fmt(why, "error: %.*s", STR_FMT(got.string.n > 0 ? got.string : str_from_c(e.msg)));
        return false;
    }
    if (fails) {
        BUF_LIT(why, "expected an error, got none");
        return false;
    }
    return check_notes(v, &got, why) && check_result(v, &got, a, why);
}

bool script_evaluate(struct runner *r, struct evaluation *v, struct buf *why)
{
    struct arena a;
    struct promql_node *n;
    arena_init(&a, r->mem, BYTES_MAX);
    bool ok = parse(v->expr, &a, &n, why);
    if (ok) {
        struct attempt first = {v->expr, n, v->at_ms};
        ok = v->range ? over_range(r, v, &first, &a, why) : all_instants(r, v, &first, &a, why);
    }
    arena_release(&a);
    return ok;
}
