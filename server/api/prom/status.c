/* The pages below status: what runs, since when, with what, and how the store stands. */
#include "server/api/prom/prom_int.h"

#include "base/clock.h"

#include <sys/resource.h>
#include <unistd.h>

/* The Prometheus whose API and language this is; clients choose their features by it. */
#define COMPATIBLE_VERSION "3.14.0"
#define TOP_DEFAULT        10
#define TOP_MAX            10000

static bool run_buildinfo(struct prom_call *c)
{
    const struct prom_deps *d = &c->api->deps;
    /* No "features" key: a filled one would mean Mimir to Grafana. */
    BUF_LIT(&c->out, "{\"version\":\"" COMPATIBLE_VERSION "\",\"revision\":");
    buf_json_str(&c->out, str_from_c(d->commit));
    BUF_LIT(&c->out, ",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\","
                     "\"application\":\"farol\",\"applicationVersion\":");
    buf_json_str(&c->out, str_from_c(d->version));
    BUF_LIT(&c->out, "}");
    return true;
}

static bool run_runtimeinfo(struct prom_call *c)
{
    const struct prom_api *p = c->api;
    struct buf *b = &c->out;
    struct tsdb_stats s;
    char dir[4096], host[256];
    tsdb_stats(p->deps.db, &s);
    if (!getcwd(dir, sizeof dir)) {
        dir[0] = 0;
    }
    if (gethostname(host, sizeof host) != 0) {
        host[0] = 0;
    }
    host[sizeof host - 1] = 0;
    BUF_LIT(b, "{\"startTime\":\"");
    time_format(b, p->started_ns);
    BUF_LIT(b, "\",\"CWD\":");
    buf_json_str(b, str_from_c(dir));
    BUF_LIT(b, ",\"hostname\":");
    buf_json_str(b, str_from_c(host));
    BUF_LIT(b, ",\"serverTime\":\"");
    time_format(b, os_now_ns(p->deps.os));
    buf_fmt(b, "\",\"reloadConfigSuccess\":true,\"lastConfigTime\":\"");
    time_format(b, p->started_ns);
    buf_fmt(b,
            "\",\"corruptionCount\":%llu,\"goroutineCount\":%u,\"GOMAXPROCS\":%ld,\"GOMEMLIMIT\":0,"
            "\"GOGC\":\"\",\"GODEBUG\":\"\",\"storageRetention\":\"\"}",
            (unsigned long long)(s.log_records_damaged + s.blocks_damaged), p->workers_n,
            sysconf(_SC_NPROCESSORS_ONLN));
    return true;
}

static void write_top(struct prom_call *c, struct tsdb_view *view, enum tsdb_top_kind kind,
                      const char *name, uint32_t limit)
{
    struct tsdb_top *v = NULL;
    uint32_t n = 0;
    struct err e = {0};
    if (!tsdb_top(view, kind, limit, &c->arena, &v, &n, &e)) {
        n = 0;
    }
    buf_fmt(&c->out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        buf_str_add(&c->out, i > 0 ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json_str(&c->out, v[i].name);
        buf_fmt(&c->out, ",\"value\":%llu}", (unsigned long long)v[i].count);
    }
    BUF_LIT(&c->out, "]");
}

static bool run_tsdb(struct prom_call *c)
{
    struct tsdb_stats s;
    struct tsdb_view *view;
    struct err e = {0};
    int64_t limit = TOP_DEFAULT;
    if (prom_has(c, "limit") && (prom_int_of(prom_get(c, "limit"), &limit) || limit < 1)) {
        return prom_fail(c, PROM_BAD_DATA, "limit must be a positive number");
    }
    if (limit > TOP_MAX) {
        return prom_fail(c, PROM_BAD_DATA, "limit must not exceed %d", TOP_MAX);
    }
    if (!tsdb_view_open(c->api->deps.db, &view, &e)) {
        return prom_fail_err(c, &e);
    }
    tsdb_stats(c->api->deps.db, &s);
    buf_fmt(&c->out,
            "{\"headStats\":{\"numSeries\":%llu,\"numLabelPairs\":%llu,\"chunkCount\":%llu,"
            "\"minTime\":%lld,\"maxTime\":%lld}",
            (unsigned long long)s.series, (unsigned long long)s.label_pairs,
            (unsigned long long)s.head_samples, (long long)s.min_ms, (long long)s.max_ms);
    write_top(c, view, TSDB_TOP_METRICS, "seriesCountByMetricName", (uint32_t)limit);
    write_top(c, view, TSDB_TOP_LABELS, "labelValueCountByLabelName", (uint32_t)limit);
    write_top(c, view, TSDB_TOP_MEMORY, "memoryInBytesByLabelName", (uint32_t)limit);
    write_top(c, view, TSDB_TOP_PAIRS, "seriesCountByLabelValuePair", (uint32_t)limit);
    write_top(c, view, TSDB_TOP_SOURCES, "seriesCountBySource", (uint32_t)limit);
    BUF_LIT(&c->out, "}");
    tsdb_view_close(view);
    return true;
}

/* The log is read before the API answers, so a client only ever sees the end of it. */
static bool run_walreplay(struct prom_call *c)
{
    BUF_LIT(&c->out, "{\"min\":0,\"max\":0,\"current\":0}");
    return true;
}

static bool run_features(struct prom_call *c)
{
    static const struct {
        const char *name;
        unsigned flag;
    } promql[] = {{"experimental_functions", PROMQL_EXPERIMENTAL_FUNCTIONS},
                  {"duration_expr", PROMQL_DURATION_EXPR},
                  {"extended_range_selectors", PROMQL_EXTENDED_RANGES},
                  {"binop_fill_modifiers", PROMQL_BINOP_FILL},
                  {"delayed_name_removal", PROMQL_DELAYED_NAME_REMOVAL},
                  {"type_and_unit_labels", PROMQL_TYPE_AND_UNIT}};
    BUF_LIT(&c->out, "{\"api\":{\"admin\":");
    buf_str_add(&c->out, c->api->config.admin ? STR("true") : STR("false"));
    BUF_LIT(&c->out, ",\"remote_write_receiver\":true},\"promql\":{");
    for (size_t i = 0; i < ARRAY_LEN(promql); i++) {
        buf_fmt(&c->out, "%s\"%s\":%s", i > 0 ? "," : "", promql[i].name,
                (c->api->config.flags & promql[i].flag) ? "true" : "false");
    }
    BUF_LIT(&c->out, "}}");
    return true;
}

const struct prom_endpoint prom_endpoints_status[] = {
    {"GET", "/api/v1/status/buildinfo", "version and commit", 0, false, run_buildinfo},
    {"GET", "/api/v1/status/runtimeinfo", "start, host and store in short", 0, false,
     run_runtimeinfo},
    {"GET", "/api/v1/status/tsdb", "series by metric, label and source: limit", 0, false, run_tsdb},
    {"GET", "/api/v1/status/walreplay", "state of recovery", 0, false, run_walreplay},
    {"GET", "/api/v1/features", "what is switched on", 0, false, run_features},
};
const uint32_t prom_endpoints_status_n = ARRAY_LEN(prom_endpoints_status);
