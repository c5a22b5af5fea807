/* query, query_range, query_exemplars, format_query, parse_query. */
#include "server/api/prom/prom_int.h"

#include "base/clock.h"
#include "codec/f64.h"

#include <stdio.h>

#define FORM_BYTES_MAX (4U << 20)

#define IN_QUERY "invalid parameter \"query\": "

/* The parameter `query`, parsed. NULL: the error is set, with `where` in front. */
static struct promql_node *parse(struct prom_call *c, const char *where)
{
    struct promql_node *n = NULL;
    struct err e = {0};
    if (!promql_parse(prom_get(c, "query"), c->api->config.flags, &c->arena, &n, &e)) {
        if (e.code == ERR_LIMIT) {
            prom_fail(c, PROM_BAD_DATA, "%s%s", where, e.msg);
        } else {
            prom_fail(c, PROM_BAD_DATA, "%s%u:%u: parse error: %s", where, e.line ? e.line : 1,
                      e.col ? e.col : 1, e.msg);
        }
        return NULL;
    }
    return n;
}

/* explain=plan, explain=run. */
static bool explain_of(struct prom_call *c, enum promql_explain_mode *mode)
{
    const struct str v = prom_get(c, "explain");
    if (v.n == 0) {
        *mode = PROMQL_EXPLAIN_OFF;
    } else if (str_eq(v, STR("plan"))) {
        *mode = PROMQL_EXPLAIN_PLAN;
    } else if (str_eq(v, STR("run"))) {
        *mode = PROMQL_EXPLAIN_RUN;
    } else {
        return prom_fail(
            c, PROM_BAD_DATA,
            "invalid parameter \"explain\": expected \"plan\" or \"run\", found \"%.*s\"",
            STR_FMT(str_sub(v, 0, 100)));
    }
    return true;
}

/* Limits, clock and source of an evaluation. false: the error is set. */
static bool prepare(struct prom_call *c, struct tsdb_view *view, struct promql_query *q)
{
    const struct prom_config *config = &c->api->config;
    const struct str lookback = prom_get(c, "lookback_delta");
    int64_t timeout_ms;
    if (!prom_duration(c, "timeout", config->timeout_ms, &timeout_ms) ||
        !explain_of(c, &q->explain)) {
        return false;
    }
    q->lookback_ms = 0;
    const char *wrong = lookback.n > 0 ? prom_duration_of(lookback, &q->lookback_ms) : NULL;
    if (wrong) {
        return prom_fail(c, PROM_BAD_DATA,
                         "error parsing lookback delta duration: cannot parse \"%.*s\" to a valid "
                         "duration%s",
                         STR_FMT(str_sub(lookback, 0, 100)), wrong);
    }
    if (q->lookback_ms <= 0) {
        q->lookback_ms = config->lookback_ms;
    }
    timeout_ms = i64_min(i64_max(timeout_ms, 0), config->timeout_ms);
    q->text = prom_get(c, "query");
    q->source = promql_source_tsdb(view);
    q->flags = config->flags;
    q->samples_max = (uint64_t)config->samples_max;
    q->series_max = (uint32_t)i64_min(config->series_max, UINT32_MAX);
    q->bytes_max = config->query_bytes_max;
    q->os = c->api->deps.os;
    q->deadline_mono_ns = c->began_mono_ns + ns_from_ms(timeout_ms);
    q->cancel = &c->api->cancel;
    q->threads = c->api->cores; /* answers do not depend on it */
    q->mem = &c->mem;
    return true;
}

static bool fail_evaluation(struct prom_call *c, enum promql_failure why, struct str whole,
                            const struct err *e)
{
    static const enum prom_error kinds[] = {
        [PROMQL_BAD] = PROM_BAD_DATA,          [PROMQL_EXECUTION] = PROM_EXECUTION_ERROR,
        [PROMQL_TIMEOUT] = PROM_TIMEOUT_ERROR, [PROMQL_CANCELED] = PROM_CANCELED_ERROR,
        [PROMQL_LIMIT] = PROM_EXECUTION_ERROR,
    };
    const struct str text = whole.n > 0 ? whole : str_from_c(e->msg);
    return prom_fail(c, kinds[why], "%s%.*s", why == PROMQL_BAD ? IN_QUERY : "",
                     STR_FMT(str_sub(text, 0, sizeof c->message - 1)));
}

static void write_stats(struct prom_call *c, const struct promql_stats *s)
{
    const double eval_s = s_from_ns(s->eval_ns);
    /* Selecting and sorting are part of the evaluation here. */
    buf_fmt(&c->out,
            ",\"stats\":{\"timings\":{\"evalTotalTime\":%.9f,\"resultSortTime\":0,"
            "\"queryPreparationTime\":0,\"innerEvalTime\":%.9f,\"execQueueTime\":%.9f,"
            "\"execTotalTime\":%.9f},"
            "\"samples\":{\"totalQueryableSamples\":%llu,\"peakSamples\":%llu},"
            "\"series\":%llu}",
            eval_s, eval_s, s_from_ns(c->taken_mono_ns - c->began_mono_ns),
            s_from_ns(os_mono_ns(c->api->deps.os) - c->began_mono_ns),
            (unsigned long long)s->samples_read, (unsigned long long)s->samples_peak,
            (unsigned long long)s->series_read);
}

/* Any value but these two means what "true" does, for now. */
static void warn_of_stats(struct prom_call *c)
{
    const struct str v = prom_get(c, "stats");
    struct buf b;
    if (v.n == 0 || str_eq(v, STR("true")) || str_eq(v, STR("all"))) {
        return;
    }
    buf_init(&b, &c->mem, 1024);
    buf_fmt(&b,
            "value \"%.*s\" for parameter \"stats\" is deprecated and will be rejected in the next "
            "major release, use \"true\" or \"all\"",
            STR_FMT(str_sub(v, 0, 100)));
    c->warning = arena_str(&c->arena, buf_str(&b));
    buf_release(&b);
}

static bool evaluate(struct prom_call *c, struct promql_query *q, uint32_t limit)
{
    struct prom_api *p = c->api;
    struct promql_result r = {0};
    enum promql_failure why = PROMQL_EXECUTION;
    struct err e = {0};
    if (!promql_eval(q, &c->arena, &r, &why, &e)) {
        return fail_evaluation(c, why, r.string, &e);
    }
    atomic_fetch_add(&p->queries, 1);
    atomic_fetch_add(&p->query_ns, (uint64_t)r.stats.eval_ns);
    atomic_fetch_add(&p->samples_read, r.stats.samples_read);
    r.scalar.t_ms = r.type == PROMQL_STRING ? q->start_ms : r.scalar.t_ms;
    if (limit > 0 && r.series_n > limit) {
        r.series_n = limit;
        c->truncated = true;
    }
    c->notes = r.notes;
    c->notes_n = r.notes_n;
    BUF_LIT(&c->out, "{");
    promql_result_json(&r, &c->out);
    if (prom_has(c, "stats")) {
        write_stats(c, &r.stats);
        warn_of_stats(c);
    }
    if (r.explain) {
        BUF_LIT(&c->out, ",\"explain\":");
        promql_explain_json(r.explain, &c->out);
    }
    BUF_LIT(&c->out, "}");
    return true;
}

static bool with_view(struct prom_call *c, struct promql_query *q, uint32_t limit)
{
    struct tsdb_view *view;
    struct err e = {0};
    if (!tsdb_view_open(c->api->deps.db, &view, &e)) {
        return prom_fail_err(c, &e);
    }
    const bool ok = prepare(c, view, q) && evaluate(c, q, limit);
    tsdb_view_close(view);
    return ok;
}

static bool run_query(struct prom_call *c)
{
    struct promql_query q = {0};
    uint32_t limit;
    if (!prom_limit(c, &limit) ||
        !prom_time(c, "time", ms_from_ns(os_now_ns(c->api->deps.os)), &q.start_ms)) {
        return false;
    }
    q.end_ms = q.start_ms;
    q.expr = parse(c, IN_QUERY);
    return q.expr && with_view(c, &q, limit);
}

static bool steps_fit(struct prom_call *c, const struct promql_query *q)
{
    const int64_t max = c->api->config.steps_max;
    int64_t span_ms;
    if (!__builtin_sub_overflow(q->end_ms, q->start_ms, &span_ms) && span_ms / q->step_ms <= max) {
        return true;
    }
    char text[32] = "", digits[24];
    const int n = snprintf(digits, sizeof digits, "%lld", (long long)max);
    for (int i = 0, at = 0; i < n; i++) { /* 11,000 */
        text[at++] = digits[i];
        if (i + 1 < n && (n - i - 1) % 3 == 0) {
            text[at++] = ',';
        }
    }
    return prom_fail(c, PROM_BAD_DATA,
                     "exceeded maximum resolution of %s points per timeseries. Try decreasing the "
                     "query resolution (?step=XX)",
                     text);
}

static bool run_query_range(struct prom_call *c)
{
    struct promql_query q = {0};
    uint32_t limit;
    if (!prom_limit(c, &limit) || !prom_time_wanted(c, "start", &q.start_ms) ||
        !prom_time_wanted(c, "end", &q.end_ms)) {
        return false;
    }
    if (q.end_ms < q.start_ms) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"end\": end timestamp must not be before start time");
    }
    if (!prom_has(c, "step")) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"step\": cannot parse \"\" to a valid duration");
    }
    if (!prom_duration(c, "step", 0, &q.step_ms)) {
        return false;
    }
    if (q.step_ms <= 0) {
        return prom_fail(
            c, PROM_BAD_DATA,
            "invalid parameter \"step\": zero or negative query resolution step widths "
            "are not accepted. Try a positive integer");
    }
    if (!steps_fit(c, &q)) {
        return false;
    }
    q.expr = parse(c, IN_QUERY);
    return q.expr && with_view(c, &q, limit);
}

static bool run_format_query(struct prom_call *c)
{
    struct promql_node *n = parse(c, IN_QUERY);
    if (!n) {
        return false;
    }
    struct buf text;
    buf_init(&text, &c->mem, PROMQL_TEXT_BYTES_MAX * 4U);
    promql_format(n, &text);
    buf_json_str(&c->out, buf_str(&text));
    c->out.failed = c->out.failed || text.failed;
    buf_release(&text);
    return true;
}

static bool run_parse_query(struct prom_call *c)
{
    struct promql_node *n = parse(c, IN_QUERY);
    if (n) {
        promql_json(n, &c->out);
    }
    return n != NULL;
}

/* -- Exemplars. -- */

struct exemplars {
    struct prom_call *c;
    struct tsdb_view *view;
    int64_t from_ms, to_ms;
    uint32_t selectors, written;
    bool ok;
};

static void count_selector(void *ctx, const struct matcher *m, uint32_t m_n)
{
    uint32_t *n = ctx;
    (void)m;
    (void)m_n;
    (*n)++;
}

static void write_exemplar(struct buf *b, const struct tsdb_exemplar *x)
{
    BUF_LIT(b, "{\"labels\":");
    prom_json_labels(b, x->labels);
    BUF_LIT(b, ",\"value\":\"");
    f64_write(b, x->v, F64_JSON);
    BUF_LIT(b, "\",\"timestamp\":");
    promql_json_time(x->t_ms, b);
    BUF_LIT(b, "}");
}

static void add_exemplars(void *ctx, const struct matcher *m, uint32_t m_n)
{
    struct exemplars *x = ctx;
    struct buf *b = &x->c->out;
    struct tsdb_exemplar *v;
    uint32_t n;
    struct err e = {0};
    if (!x->ok) {
        return;
    }
    if (!tsdb_exemplars(x->view, m, m_n, x->from_ms, x->to_ms, &x->c->arena, &v, &n, &e)) {
        x->ok = prom_fail_err(x->c, &e);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || v[i].ref != v[i - 1].ref) {
            buf_str_add(b,
                        x->written++ > 0 ? STR(",{\"seriesLabels\":") : STR("{\"seriesLabels\":"));
            prom_json_labels(b, tsdb_labels(x->view, v[i].ref, &x->c->arena));
            BUF_LIT(b, ",\"exemplars\":[");
        } else {
            BUF_LIT(b, ",");
        }
        write_exemplar(b, &v[i]);
        if (i + 1 == n || v[i + 1].ref != v[i].ref) {
            BUF_LIT(b, "]}");
        }
    }
}

static bool run_query_exemplars(struct prom_call *c)
{
    struct exemplars x = {.c = c, .ok = true};
    struct err e = {0};
    if (!prom_range(c, &x.from_ms, &x.to_ms)) {
        return false;
    }
    if (x.to_ms < x.from_ms) {
        return prom_fail(c, PROM_BAD_DATA, "end timestamp must not be before start timestamp");
    }
    const struct promql_node *n = parse(c, "");
    if (!n) {
        return false;
    }
    promql_selectors(n, count_selector, &x.selectors);
    if (x.selectors == 0) {
        c->status = 204;
        return true;
    }
    if (!tsdb_view_open(c->api->deps.db, &x.view, &e)) {
        return prom_fail_err(c, &e);
    }
    BUF_LIT(&c->out, "[");
    promql_selectors(n, add_exemplars, &x);
    BUF_LIT(&c->out, "]");
    tsdb_view_close(x.view);
    return x.ok;
}

#define BOTH(path, help, run)                          \
    {"GET", path, help, 0, false, run},                \
    {                                                  \
        "POST", path, help, FORM_BYTES_MAX, false, run \
    }

const struct prom_endpoint prom_endpoints_query[] = {
    BOTH("/api/v1/query", "a PromQL query at one instant: query, time, timeout", run_query),
    BOTH("/api/v1/query_range", "a PromQL query over a range: query, start, end, step, timeout",
         run_query_range),
    BOTH("/api/v1/query_exemplars", "exemplars of the series a query reads: query, start, end",
         run_query_exemplars),
    BOTH("/api/v1/format_query", "a PromQL query in its canonical layout: query", run_format_query),
    BOTH("/api/v1/parse_query", "the syntax tree of a PromQL query: query", run_parse_query),
};
const uint32_t prom_endpoints_query_n = ARRAY_LEN(prom_endpoints_query);
