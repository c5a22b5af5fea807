/* See past_int.h. The verdict's own series (watch.c) are read as they were written, a day at a
 * time and backwards, until a sample says otherwise or is missing for too long. */
#include "server/past_int.h"

#include "engines/promql/promql.h"
#include "server/fact_int.h"

#include <math.h>

#define ASK_BYTES_MAX   ((size_t)64 << 20)
#define ASK_SAMPLES_MAX 5000000
#define ASK_SERIES_MAX  2000
#define ASK_TIMEOUT_NS  (2 * NS_PER_S)
#define READ_BYTES_MAX  ((size_t)16 << 20)
#define DAY_MS          (24 * 3600 * MS_PER_S)
#define DAY_SAMPLES_MAX 200000 /* one a second is 86,400 */
#define BEFORE_MS       (60 * MS_PER_S)

static bool one_number(const struct promql_result *r, double *out)
{
    if (r->type == PROMQL_SCALAR) {
        *out = r->scalar.v;
        return isfinite(*out);
    }
    if (r->type != PROMQL_VECTOR || r->series_n != 1 || r->series[0].n != 1 ||
        r->series[0].samples[0].h) {
        return false;
    }
    *out = r->series[0].samples[0].v;
    return isfinite(*out);
}

bool server_past_ask(struct tsdb *db, const struct os *os, struct str query, int64_t t_ms,
                     double *out)
{
    struct mem mem;
    struct arena a;
    struct tsdb_view *view = NULL;
    struct promql_node *expr = NULL;
    struct promql_result r = {0};
    enum promql_failure why;
    struct err e = {0};
    mem_init(&mem, ASK_BYTES_MAX);
    arena_init(&a, &mem, ASK_BYTES_MAX);
    bool ok = query.n > 0 && promql_parse(query, 0, &a, &expr, &e) && tsdb_view_open(db, &view, &e);
    if (ok) {
        const struct promql_query q = {.expr = expr,
                                       .text = query,
                                       .source = promql_source_tsdb(view),
                                       .start_ms = t_ms,
                                       .end_ms = t_ms,
                                       .samples_max = ASK_SAMPLES_MAX,
                                       .series_max = ASK_SERIES_MAX,
                                       .bytes_max = ASK_BYTES_MAX,
                                       .os = os,
                                       .deadline_mono_ns = os_mono_ns(os) + ASK_TIMEOUT_NS,
                                       .threads = 1,
                                       .mem = &mem};
        ok = promql_eval(&q, &a, &r, &why, &e) && one_number(&r, out);
    }
    if (view) {
        tsdb_view_close(view);
    }
    arena_release(&a);
    return ok;
}

/* One series and the run of samples within [lo, hi] that ends at its newest. */
struct run {
    double lo, hi;
    int64_t next_ms;  /* the sample after those that are still to be looked at */
    int64_t since_ms; /* T_NS_NONE: none yet */
};

/* Goes back over the samples of a day; false: the run is over. */
static bool run_back(struct run *r, const struct tsdb_column *c)
{
    for (uint32_t i = c->n; i > 0; i--) {
        double v = c->v[i - 1]; /* stale markers are NaN and end the run */
        if (r->next_ms - c->t[i - 1] > PAST_GAP_MS || !(v >= r->lo && v <= r->hi)) {
            return false;
        }
        r->since_ms = r->next_ms = c->t[i - 1];
    }
    return true;
}

static void run_of(struct tsdb_view *view, uint32_t id, struct run *r, int64_t now_ms,
                   struct mem *mem)
{
    struct tsdb_column c;
    struct err e = {0};
    bool go_on = true;
    tsdb_column_init(&c, mem);
    for (int day = 0; day < PAST_DAYS_MAX && go_on; day++) {
        int64_t to_ms = now_ms - day * DAY_MS;
        go_on = tsdb_read(view, id, to_ms - DAY_MS + 1, to_ms, DAY_SAMPLES_MAX, &c, &e) &&
                run_back(r, &c) && r->next_ms - (to_ms - DAY_MS) <= PAST_GAP_MS;
    }
    tsdb_column_release(&c);
}

int64_t server_past_since(struct tsdb *db, struct str metric, struct str pillar, struct str code,
                          double lo, double hi, int64_t now_ms)
{
    const struct matcher m[] = {{MATCH_EQ, STR("__name__"), metric},
                                {MATCH_EQ, STR("job"), STR("farol")},
                                {MATCH_EQ, STR("pillar"), pillar},
                                {MATCH_EQ, STR("code"), code}};
    struct run r = {.lo = lo, .hi = hi, .next_ms = now_ms, .since_ms = T_NS_NONE};
    struct mem mem;
    struct arena a;
    struct tsdb_view *view = NULL;
    struct err e = {0};
    uint32_t *ids = NULL;
    uint32_t n = 0;
    mem_init(&mem, READ_BYTES_MAX);
    arena_init(&a, &mem, READ_BYTES_MAX);
    if (tsdb_view_open(db, &view, &e)) {
        if (tsdb_select(view, m, ARRAY_LEN(m), now_ms - PAST_DAYS_MAX * DAY_MS, now_ms,
                        ASK_SERIES_MAX, true, &a, &ids, &n, &e) &&
            n == 1) {
            run_of(view, ids[0], &r, now_ms, &mem);
        }
        tsdb_view_close(view);
    }
    arena_release(&a);
    return r.since_ms == T_NS_NONE ? T_NS_NONE : ns_from_ms(r.since_ms);
}

/* The number of a fact a minute before t_ns; NaN when the store does not have it. */
static double number_before(struct tsdb *db, const struct os *os, const struct server_view *v,
                            enum fact f, int64_t t_ns)
{
    double value = (double)NAN;
    struct mem mem;
    struct buf query;
    mem_init(&mem, 0);
    buf_init(&query, &mem, 4096);
    server_fact_query(v, f, &query);
    if (query.failed ||
        !server_past_ask(db, os, buf_str(&query), ms_from_ns(t_ns) - BEFORE_MS, &value)) {
        value = (double)NAN;
    }
    buf_release(&query);
    return value;
}

static void fill_cause(struct tsdb *db, const struct os *os, const struct server_view *v,
                       enum view_cause cause, struct story_cause *c)
{
    static const struct str pillars[] = {STR_INIT("pipeline"), STR_INIT("model")};
    struct str code = str_from_c(server_view_cause_code(cause));
    int64_t now_ms = ms_from_ns(v->t_ns);
    for (int i = 0; i < 2 && c->since_ns == T_NS_NONE; i++) {
        c->since_ns = server_past_since(db, STR("farol_reason"), pillars[i], code, VIEW_WARN,
                                        VIEW_CRIT, now_ms);
    }
    if (c->since_ns != T_NS_NONE) {
        c->before.hold_share = number_before(db, os, v, FACT_HOLDS, c->since_ns);
        c->before.decision_p99_ms = 1000 * number_before(db, os, v, FACT_LATENCY, c->since_ns);
        c->before.precision = number_before(db, os, v, FACT_PRECISION, c->since_ns);
        c->before.precision_lo = number_before(db, os, v, FACT_PRECISION_LO, c->since_ns);
    }
}

/* A warning that became critical did not begin then. */
static void fill_pillar(struct tsdb *db, struct str name, struct verdict_pillar *p, int64_t now_ms)
{
    bool bad = p->state >= VIEW_WARN;
    p->since_ns = server_past_since(db, STR("farol_state"), name, STR(""),
                                    bad ? VIEW_WARN : p->state, bad ? VIEW_CRIT : p->state, now_ms);
}

void server_past_fill(struct tsdb *db, const struct os *os, const struct server_view *v,
                      struct server_story *story, struct verdict_pillar *pipeline,
                      struct verdict_pillar *model)
{
    if (v->t_ns == T_NS_NONE) {
        return;
    }
    int64_t now_ms = ms_from_ns(v->t_ns);
    fill_pillar(db, STR("pipeline"), pipeline, now_ms);
    fill_pillar(db, STR("model"), model, now_ms);
    for (int i = 0; i < VIEW_CAUSES; i++) {
        if (story->causes[i].present && story->causes[i].since_ns == T_NS_NONE) {
            fill_cause(db, os, v, (enum view_cause)i, &story->causes[i]);
        }
    }
    /* All is well since the later of the two became so. */
    if (v->state == VIEW_OK && pipeline->state == VIEW_OK && model->state == VIEW_OK &&
        pipeline->since_ns != T_NS_NONE && model->since_ns != T_NS_NONE) {
        story->ok_since_ns = i64_max(pipeline->since_ns, model->since_ns);
    }
}
