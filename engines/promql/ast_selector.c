/* Constructors of selectors, ranges and subqueries, and of the modifiers behind them: @, offset,
 * anchored, smoothed. A range's modifiers live in its selector, as the evaluator wants them.
 *
 * Source: Prometheus 3.14, behaviour and error texts. */
#include "engines/promql/ast_int.h"

#include "codec/regex.h"
#include "engines/promql/parser_int.h"

#include <math.h>

/* --- matchers --------------------------------------------------------------------------------- */

/* RE2's reasons in C++ and in Go, which Prometheus shows. */
static const struct {
    struct str re2, go;
} reasons[] = {
    {STR_INIT("missing ]"), STR_INIT("missing closing ]")},
    {STR_INIT("missing )"), STR_INIT("missing closing )")},
    {STR_INIT("no argument for repetition operator"),
     STR_INIT("missing argument to repetition operator")},
    {STR_INIT("invalid repetition size"), STR_INIT("invalid repeat count")},
    {STR_INIT("bad repetition operator"), STR_INIT("invalid nested repetition operator")},
    {STR_INIT("invalid perl operator"), STR_INIT("invalid or unsupported Perl syntax")},
    {STR_INIT("invalid named capture group"), STR_INIT("invalid named capture")},
    {STR_INIT("trailing \\"), STR_INIT("trailing backslash at end of expression")},
};

/* "bad regular expression '(foo': missing ): (foo" as Prometheus words it: error parsing regexp:
 * missing closing ): `(foo`. Other messages (limits) stay. */
static bool fail_regex(struct parser *p, struct pos pos, const char *msg)
{
    const char *colon = strstr(msg, "': ");
    for (const char *next = colon; next != NULL; next = strstr(next + 1, "': ")) {
        colon = next; /* the pattern may hold one too */
    }
    if (!str_starts(str_from_c(msg), STR("bad regular expression")) || colon == NULL) {
        return promql_fail(p, pos, "%s", msg);
    }
    struct str reason = str_from_c(colon + 3);
    const char *sep = strstr(colon + 3, ": ");
    struct str what = {0};
    if (sep != NULL) {
        what = str_from_c(sep + 2);
        reason.n = (size_t)(sep - (colon + 3));
    }
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (str_eq(reason, reasons[i].re2)) {
            reason = reasons[i].go;
            break;
        }
    }
    return promql_fail(p, pos, "error parsing regexp: %.*s: `%.*s`", STR_FMT(reason),
                       STR_FMT(what));
}

static bool compile(struct parser *p, struct match_item *m, struct pos pos)
{
    struct regex *r = NULL;
    struct err e = {0};
    if (!regex_new(p->arena->mem, m->m.value, true, &r, &e)) {
        return fail_regex(p, pos, e.msg);
    }
    const bool matches_empty = regex_match(r, STR(""));
    m->selective = (m->m.op == MATCH_RE) != matches_empty;
    regex_free(r);
    return true;
}

struct match_item *promql_matcher(struct parser *p, struct name *name, struct item op,
                                  struct item value)
{
    struct match_item *m = promql_take(p, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->m.name = name->text;
    m->m.value = promql_unquote(p, promql_item_text(p, value));
    m->m.op = (enum match_op)op.code;
    if (m->m.op == MATCH_EQ || m->m.op == MATCH_NE) {
        m->selective = (m->m.op == MATCH_EQ) == (m->m.value.n > 0);
        return m;
    }
    return compile(p, m, (struct pos){name->pos.start, value.pos.end}) ? m : NULL;
}

struct match_item *promql_name_matcher(struct parser *p, struct name *name)
{
    struct match_item *m = promql_take(p, sizeof *m);
    if (m != NULL) {
        m->m = (struct matcher){MATCH_EQ, STR(LABEL_NAME), name->text};
        m->selective = name->text.n > 0;
    }
    return m;
}

static bool selector_fill(struct parser *p, struct promql_node *n, const struct name *metric,
                          const struct chain *matchers)
{
    const uint32_t count = (matchers != NULL ? matchers->n : 0) + (metric != NULL ? 1 : 0);
    struct matcher *m = promql_take(p, (count + 1) * sizeof *m);
    if (m == NULL) {
        return false;
    }
    uint32_t i = 0;
    for (const struct link *l = matchers != NULL ? matchers->first : NULL; l != NULL; l = l->next) {
        const struct match_item *item = l->v;
        n->u.selector.selective = n->u.selector.selective || item->selective;
        m[i++] = item->m;
    }
    if (metric != NULL) {
        n->u.selector.selective = true;
        n->u.selector.name = metric->text;
        m[i++] = (struct matcher){MATCH_EQ, STR(LABEL_NAME), metric->text};
    }
    ASSERT(i == count);
    n->u.selector.matchers = m;
    n->u.selector.matchers_n = count;
    return true;
}

struct promql_node *promql_vector(struct parser *p, struct name *metric, struct chain *matchers)
{
    if (p->failed) {
        return NULL;
    }
    struct pos pos = matchers != NULL ? matchers->span : metric->pos;
    if (metric != NULL) {
        pos.start = metric->pos.start;
    }
    struct promql_node *n = promql_node_new(p, NODE_SELECTOR, PROMQL_VECTOR, pos, NULL, NULL);
    return n != NULL && selector_fill(p, n, metric, matchers) ? n : NULL;
}

/* --- ranges ----------------------------------------------------------------------------------- */

static const char *range_fault(const struct promql_node *n)
{
    if (n->kind != NODE_SELECTOR) {
        return "ranges only allowed for vector selectors";
    }
    if (n->u.selector.offset.ms != 0 || n->u.selector.offset.expr != NULL) {
        return "no offset modifiers allowed before range";
    }
    return n->u.selector.at != AT_NONE ? "no @ modifiers allowed before range" : NULL;
}

struct promql_node *promql_matrix(struct parser *p, struct promql_node *n, struct item open,
                                  struct promql_node *range, struct item close)
{
    if (p->failed) {
        return NULL;
    }
    const char *fault = range_fault(n);
    if (fault != NULL) {
        promql_fail(p, (struct pos){open.pos.start, close.pos.end}, "%s", fault);
        return NULL;
    }
    const struct pos pos = {n->pos.start, close.pos.end};
    struct promql_node *out = promql_node_new(p, NODE_RANGE, PROMQL_MATRIX, pos, n, range);
    if (out != NULL) {
        out->u.range.selector = n;
        out->u.range.range = promql_dur_of(range);
    }
    return out;
}

struct promql_node *promql_subquery(struct parser *p, struct promql_node *n,
                                    struct promql_node *range, struct promql_node *step,
                                    struct item close)
{
    if (p->failed) {
        return NULL;
    }
    const struct pos pos = {n->pos.start, close.pos.end};
    const struct promql_node *deeper = step != NULL && step->depth > range->depth ? step : range;
    struct promql_node *out = promql_node_new(p, NODE_SUBQUERY, PROMQL_MATRIX, pos, n, deeper);
    if (out != NULL) {
        out->u.subquery.expr = n;
        out->u.subquery.range = promql_dur_of(range);
        if (step != NULL) {
            out->u.subquery.step = promql_dur_of(step);
        }
    }
    return out;
}

/* --- modifiers -------------------------------------------------------------------------------- */

/* The selector that modifiers of n go to; NULL when n is none (a subquery has its own). */
static struct promql_node *selector_of(struct promql_node *n)
{
    if (n->kind == NODE_SELECTOR) {
        return n;
    }
    return n->kind == NODE_RANGE ? n->u.range.selector : NULL;
}

void promql_offset(struct parser *p, struct promql_node *n, struct promql_node *offset)
{
    if (p->failed) {
        return;
    }
    struct promql_node *s = selector_of(n);
    if (s == NULL && n->kind != NODE_SUBQUERY) {
        promql_fail(p, n->pos,
                    "offset modifier must be preceded by an instant vector selector or range "
                    "vector selector or a subquery");
        return;
    }
    struct dur *d = s != NULL ? &s->u.selector.offset : &n->u.subquery.offset;
    if (d->ms != 0 || d->expr != NULL) {
        promql_fail(p, n->pos, "offset may not be set multiple times");
        return;
    }
    *d = promql_dur_of(offset);
    n->pos.end = p->last_closing;
}

/* Where @ of n is kept, NULL (failed) when it cannot have one or has one. */
static enum at_kind *at_slot(struct parser *p, struct promql_node *n, int64_t **at_ms)
{
    struct promql_node *s = selector_of(n);
    if (s == NULL && n->kind != NODE_SUBQUERY) {
        promql_fail(p, n->pos,
                    "@ modifier must be preceded by an instant vector selector or range vector "
                    "selector or a subquery");
        return NULL;
    }
    enum at_kind *at = s != NULL ? &s->u.selector.at : &n->u.subquery.at;
    *at_ms = s != NULL ? &s->u.selector.at_ms : &n->u.subquery.at_ms;
    if (*at != AT_NONE) {
        promql_fail(p, n->pos, "@ <timestamp> may not be set multiple times");
        return NULL;
    }
    return at;
}

/* Milliseconds, rounded; what does not fit becomes the least number, as on the machines that
 * Prometheus runs on. */
static int64_t ms_of_seconds(double t_s)
{
    const double ms = round(t_s * 1000);
    return ms < 9223372036854775808.0 && ms >= -9223372036854775808.0 ? (int64_t)ms : INT64_MIN;
}

void promql_at(struct parser *p, struct promql_node *n, double t_s)
{
    if (p->failed) {
        return;
    }
    if (!isfinite(t_s) || t_s >= 9223372036854775808.0 || t_s <= -9223372036854775808.0) {
        if (isfinite(t_s)) {
            promql_fail(p, n->pos, "timestamp out of bounds for @ modifier: %f", t_s);
        } else {
            promql_fail(p, n->pos, "timestamp out of bounds for @ modifier: %s",
                        isnan(t_s) ? "NaN" : (t_s > 0 ? "+Inf" : "-Inf"));
        }
        return;
    }
    int64_t *at_ms = NULL;
    enum at_kind *at = at_slot(p, n, &at_ms);
    if (at != NULL) {
        *at = AT_TIME;
        *at_ms = ms_of_seconds(t_s);
        n->pos.end = p->last_closing;
    }
}

void promql_at_edge(struct parser *p, struct promql_node *n, enum at_kind kind)
{
    if (p->failed) {
        return;
    }
    int64_t *at_ms = NULL;
    enum at_kind *at = at_slot(p, n, &at_ms);
    if (at != NULL) {
        *at = kind;
        n->pos.end = p->last_closing;
    }
}

/* anchored and smoothed: which of the two is set, and which must not be. */
static void extend(struct parser *p, struct promql_node *n, bool anchored)
{
    if (p->failed) {
        return;
    }
    const char *word = anchored ? "anchored" : "smoothed";
    if ((p->flags & PROMQL_EXTENDED_RANGES) == 0) {
        promql_fail(p, n->pos, "%s modifier is experimental and not enabled", word);
        return;
    }
    struct promql_node *s = selector_of(n);
    if (s == NULL) {
        promql_fail(p, n->pos,
                    n->kind == NODE_SUBQUERY ? "%s modifier is not supported for subqueries"
                                             : "%s modifier not implemented",
                    word);
        return;
    }
    s->u.selector.anchored = s->u.selector.anchored || anchored;
    s->u.selector.smoothed = s->u.selector.smoothed || !anchored;
    if (s->u.selector.anchored && s->u.selector.smoothed) {
        promql_fail(p, n->pos, "anchored and smoothed modifiers cannot be used together");
    }
}

void promql_anchored(struct parser *p, struct promql_node *n)
{
    extend(p, n, true);
}

void promql_smoothed(struct parser *p, struct promql_node *n)
{
    extend(p, n, false);
}
