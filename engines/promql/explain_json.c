/* What a query did, as JSON:
 *
 *   {"mode":"run","type":"vector","lookback_ms":300000,"nodes":[NODE...],"nodes_all":3,
 *    "totals":{"eval_ns":..,"busy_ns":..,"waited_ns":..,"threads":1,"samples_read":..,
 *              "samples_peak":..,"series_read":..,"series":..,"points":..,"bytes":..}}
 *
 *   NODE  "id" "parent" (null: the root) "depth"; parents come before children
 *         "kind" number string selector range subquery function aggregation binary negation
 *                step_invariant
 *         "head" a few words for a tree, "text" the canonical text, "line" "column" "start" "end"
 *         where it stands (columns and bytes, end excluded), "type", "steps"
 *         what it is: "name", "by" | "without", "matching", "matchers", "range_ms", "step_ms",
 *         "offset_ms", "at_ms", "from_ms", "to_ms", "series_matched"
 *         what it did (mode run): "samples_read" (itself), "series" and "points" (given to the node
 *         above), "self_ns", "total_ns" (with the nodes below), "ways"
 *
 * Texts longer than EXPLAIN_TEXT_MAX end in "...". Times are milliseconds since 1970. */
#include "engines/promql/eval_int.h"
#include "engines/promql/parser_int.h"

static const char *const kinds[] = {
    [PLAN_NUMBER] = "number",        [PLAN_STRING] = "string",         [PLAN_SELECTOR] = "selector",
    [PLAN_RANGE] = "range",          [PLAN_SUBQUERY] = "subquery",     [PLAN_CALL] = "function",
    [PLAN_BINARY] = "binary",        [PLAN_AGGREGATE] = "aggregation", [PLAN_NEGATE] = "negation",
    [PLAN_FIXED] = "step_invariant",
};
static const char *const types[] = {
    [PROMQL_NONE] = "none",     [PROMQL_SCALAR] = "scalar", [PROMQL_VECTOR] = "vector",
    [PROMQL_MATRIX] = "matrix", [PROMQL_STRING] = "string",
};
static const char *const ways[EXPLAIN_WAYS] = {
    "newest_sample", "no_buckets", "same_times", "running_windows",
    "once",          "streamed",   "whole_rows", "parallel",
};
static const char *const cards[] = {
    [CARD_ONE_TO_ONE] = "one-to-one",
    [CARD_MANY_TO_ONE] = "many-to-one",
    [CARD_ONE_TO_MANY] = "one-to-many",
    [CARD_MANY_TO_MANY] = "many-to-many",
};

/* --- texts ------------------------------------------------------------------------------------ */

/* "by (a, b)" */
static void head_names(struct buf *b, const char *word, const struct str *names, uint32_t n)
{
    buf_fmt(b, " %s (", word);
    for (uint32_t i = 0; i < n; i++) {
        buf_str_add(b, i > 0 ? STR(", ") : STR(""));
        promql_label_name(b, names[i]);
    }
    buf_char(b, ')');
}

static void head_matching(struct buf *b, const struct matching *m)
{
    if (m->given && (m->on || m->labels_n > 0)) {
        head_names(b, m->on ? "on" : "ignoring", m->labels, m->labels_n);
    }
    if (m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY) {
        head_names(b, m->card == CARD_MANY_TO_ONE ? "group_left" : "group_right", m->include,
                   m->include_n);
    }
}

/* As in effect: durations that were expressions or defaults are numbers here. */
static void head_subquery(struct buf *b, const struct explain_node *x)
{
    buf_char(b, '[');
    promql_duration_print(b, x->range_ms);
    buf_char(b, ':');
    promql_duration_print(b, x->step_ms);
    buf_char(b, ']');
    if (x->at) {
        BUF_LIT(b, " @ ");
        promql_json_time(x->at_ms, b);
    }
    if (x->offset_ms != 0) {
        buf_str_add(b, x->offset_ms < 0 ? STR(" offset -") : STR(" offset "));
        promql_duration_print(b, x->offset_ms < 0 ? -x->offset_ms : x->offset_ms);
    }
}

static void head(struct buf *b, const struct explain_node *x)
{
    const struct promql_node *n = x->node;
    switch ((enum plan_kind)x->kind) {
    case PLAN_SUBQUERY: head_subquery(b, x); break;
    case PLAN_CALL: buf_fmt(b, "%s()", n->u.call.fn->name); break;
    case PLAN_AGGREGATE:
        buf_fmt(b, "%s", agg_text(n->u.agg.op));
        if (n->u.agg.without || n->u.agg.grouping_n > 0) {
            head_names(b, n->u.agg.without ? "without" : "by", n->u.agg.grouping,
                       n->u.agg.grouping_n);
        }
        break;
    case PLAN_BINARY:
        buf_fmt(b, "%s%s", op_text(n->u.binary.op), n->u.binary.return_bool ? " bool" : "");
        if (n->u.binary.matching != NULL) {
            head_matching(b, n->u.binary.matching);
        }
        break;
    case PLAN_NEGATE: BUF_LIT(b, "-"); break;
    case PLAN_FIXED: BUF_LIT(b, "step_invariant"); break;
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE: promql_print(n, b); break;
    }
}

static void text(struct buf *b, const struct explain_node *x)
{
    promql_print(x->node, b);
}

static void put_text(struct buf *out, const char *key, const struct explain_node *x,
                     void (*write)(struct buf *b, const struct explain_node *x))
{
    struct buf b;
    buf_init(&b, out->mem, EXPLAIN_TEXT_MAX);
    write(&b, x);
    if (b.failed) {
        b.failed = false;
        b.bytes_max += 3;
        BUF_LIT(&b, "...");
    }
    buf_fmt(out, ",\"%s\":", key);
    buf_json_str(out, buf_str(&b));
    out->failed = out->failed || b.failed;
    buf_release(&b);
}

static void put_u64(struct buf *out, const char *key, uint64_t v)
{
    buf_fmt(out, ",\"%s\":%llu", key, (unsigned long long)v);
}

static void put_i64(struct buf *out, const char *key, int64_t v)
{
    buf_fmt(out, ",\"%s\":%lld", key, (long long)v);
}

static void put_names(struct buf *out, const char *key, const struct str *names, uint32_t n)
{
    buf_fmt(out, ",\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++) {
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        buf_json_str(out, names[i]);
    }
    buf_char(out, ']');
}

/* Where lines were last counted to: nodes come nearly in order of the text, so each count goes on
 * from the one before. */
struct place {
    struct str query;
    uint32_t at, line;
};

static uint32_t lines_in(struct str s)
{
    uint32_t n = 0;
    const char *p = s.p;
    const char *end = s.p + s.n;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        n++;
        p++;
    }
    return n;
}

/* Lines and columns count from 1, columns in bytes. */
static void put_place(struct buf *out, struct place *w, const struct explain_node *x)
{
    const uint32_t to = x->start < w->query.n ? x->start : (uint32_t)w->query.n;
    if (to >= w->at) {
        w->line += lines_in(str_sub(w->query, w->at, to - w->at));
    } else {
        w->line -= lines_in(str_sub(w->query, to, w->at - to));
    }
    w->at = to;
    const char *before = to > 0 ? memrchr(w->query.p, '\n', to) : NULL;
    const uint32_t begins = before == NULL ? 0 : (uint32_t)(before - w->query.p) + 1;
    put_u64(out, "line", w->line);
    put_u64(out, "column", x->start - begins + 1);
    put_u64(out, "start", x->start);
    put_u64(out, "end", x->end);
}

/* --- what a node is --------------------------------------------------------------------------- */

static void put_matchers(struct buf *out, const struct promql_node *selector)
{
    static const char *const ops[] = {
        [MATCH_EQ] = "=", [MATCH_NE] = "!=", [MATCH_RE] = "=~", [MATCH_NRE] = "!~"};
    BUF_LIT(out, ",\"matchers\":[");
    for (uint32_t i = 0; i < selector->u.selector.matchers_n; i++) {
        const struct matcher *m = &selector->u.selector.matchers[i];
        buf_str_add(out, i > 0 ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json_str(out, m->name);
        buf_fmt(out, ",\"op\":\"%s\",\"value\":", ops[m->op]);
        buf_json_str(out, m->value);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void put_matching(struct buf *out, const struct matching *m)
{
    buf_fmt(out, ",\"matching\":{\"cardinality\":\"%s\"", cards[m->card]);
    put_names(out, m->on ? "on" : "ignoring", m->labels, m->labels_n);
    if (m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY) {
        put_names(out, "include", m->include, m->include_n);
    }
    if (m->fill_left_given) {
        BUF_LIT(out, ",\"fill_left\":");
        buf_json_f64(out, m->fill_left);
    }
    if (m->fill_right_given) {
        BUF_LIT(out, ",\"fill_right\":");
        buf_json_f64(out, m->fill_right);
    }
    buf_char(out, '}');
}

static void put_selector(struct buf *out, const struct explain_node *x)
{
    const bool range = x->kind == PLAN_RANGE;
    const struct promql_node *n = range ? x->node->u.range.selector : x->node;
    put_matchers(out, n);
    if (range) {
        put_i64(out, "range_ms", x->range_ms);
    }
    if (n->u.selector.anchored || n->u.selector.smoothed) {
        buf_fmt(out, ",\"modifier\":\"%s\"", n->u.selector.anchored ? "anchored" : "smoothed");
    }
    put_i64(out, "offset_ms", x->offset_ms);
}

static void put_what(struct buf *out, const struct explain_node *x)
{
    const struct promql_node *n = x->node;
    switch ((enum plan_kind)x->kind) {
    case PLAN_SELECTOR:
    case PLAN_RANGE: put_selector(out, x); break;
    case PLAN_SUBQUERY:
        put_i64(out, "range_ms", x->range_ms);
        put_i64(out, "step_ms", x->step_ms);
        put_i64(out, "offset_ms", x->offset_ms);
        break;
    case PLAN_CALL: buf_fmt(out, ",\"name\":\"%s\"", n->u.call.fn->name); break;
    case PLAN_AGGREGATE:
        buf_fmt(out, ",\"name\":\"%s\"", agg_text(n->u.agg.op));
        put_names(out, n->u.agg.without ? "without" : "by", n->u.agg.grouping, n->u.agg.grouping_n);
        break;
    case PLAN_BINARY:
        buf_fmt(out, ",\"name\":\"%s\",\"bool\":%s", op_text(n->u.binary.op),
                n->u.binary.return_bool ? "true" : "false");
        if (n->u.binary.matching != NULL) {
            put_matching(out, n->u.binary.matching);
        }
        break;
    case PLAN_NUMBER:
        BUF_LIT(out, ",\"value\":"); /* also of start(), end(), range(), step() */
        buf_json_f64(out, x->number);
        break;
    case PLAN_STRING:
    case PLAN_NEGATE:
    case PLAN_FIXED: break;
    }
    if (x->at) {
        put_i64(out, "at_ms", x->at_ms);
    }
    if (x->selected) {
        put_i64(out, "from_ms", x->from_ms);
        put_i64(out, "to_ms", x->to_ms);
        put_u64(out, "series_matched", x->series_matched);
    }
}

/* --- what it did ------------------------------------------------------------------------------ */

static void put_ways(struct buf *out, unsigned set)
{
    bool some = false;
    BUF_LIT(out, ",\"ways\":[");
    for (unsigned i = 0; i < EXPLAIN_WAYS; i++) {
        if ((set & (1U << i)) != 0) {
            buf_fmt(out, "%s\"%s\"", some ? "," : "", ways[i]);
            some = true;
        }
    }
    buf_char(out, ']');
}

static void put_node(struct buf *out, const struct promql_explain *e, struct place *w, uint32_t at)
{
    const struct explain_node *x = &e->nodes[at];
    buf_fmt(out, "%s{\"id\":%u", at > 0 ? "," : "", at);
    if (at == 0) {
        BUF_LIT(out, ",\"parent\":null");
    } else {
        put_u64(out, "parent", x->parent);
    }
    put_u64(out, "depth", x->depth);
    buf_fmt(out, ",\"kind\":\"%s\"", kinds[x->kind]);
    put_text(out, "head", x, head);
    put_text(out, "text", x, text);
    put_place(out, w, x);
    buf_fmt(out, ",\"type\":\"%s\"", types[x->type]);
    put_u64(out, "steps", x->steps);
    put_what(out, x);
    if (e->ran) {
        put_u64(out, "samples_read", x->samples_read);
        put_u64(out, "series", x->series_out);
        put_u64(out, "points", x->points_out);
        put_i64(out, "self_ns", x->self_ns);
        put_i64(out, "total_ns", x->total_ns);
    }
    put_ways(out, x->ways);
    buf_char(out, '}');
}

void promql_explain_json(const struct promql_explain *x, struct buf *out)
{
    buf_fmt(out, "{\"mode\":\"%s\",\"type\":\"%s\",\"lookback_ms\":%lld,\"nodes\":[",
            x->ran ? "run" : "plan", types[x->type], (long long)x->lookback_ms);
    struct place w = {x->text, 0, 1};
    for (uint32_t i = 0; i < x->nodes_n; i++) {
        put_node(out, x, &w, i);
    }
    buf_fmt(out, "],\"nodes_all\":%u,\"totals\":{\"eval_ns\":%lld", x->nodes_all,
            (long long)x->stats.eval_ns);
    put_u64(out, "series_read", x->stats.series_read);
    if (x->ran) {
        put_i64(out, "busy_ns", x->busy_ns);
        put_i64(out, "waited_ns", x->waited_ns);
        put_u64(out, "threads", x->threads);
        put_u64(out, "samples_read", x->stats.samples_read);
        put_u64(out, "samples_peak", x->stats.samples_peak);
        put_u64(out, "series", x->series_out);
        put_u64(out, "points", x->points_out);
        put_u64(out, "bytes", x->bytes);
    }
    BUF_LIT(out, "}}");
}
