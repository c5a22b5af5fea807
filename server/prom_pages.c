/* What the Prometheus API shows of the modules around it: targets and metadata of scraping, the
 * running configuration without its secrets, settings as Prometheus' flags. */
#include "server/service_int.h"

#include "base/clock.h"
#include "server/commands_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_BYTES_MAX ((size_t)256 << 20)
#define NEVER          "0001-01-01T00:00:00Z" /* a time that has not been */
#define METADATA_MAX   1000000

static void put_labels(struct buf *out, struct labels l)
{
    BUF_LIT(out, "{");
    for (uint32_t i = 0; i < l.n; i++) {
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        buf_json_str(out, l.v[i].name);
        BUF_LIT(out, ":");
        buf_json_str(out, l.v[i].value);
    }
    BUF_LIT(out, "}");
}

static void put_text(struct buf *out, const char *key, struct str value)
{
    buf_fmt(out, ",\"%s\":", key);
    buf_json_str(out, value);
}

/* As Prometheus prints durations: 15s, 1m, 1h30m, 1d. */
static void put_duration(struct buf *out, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
        bool exact; /* only when nothing is left over */
    } units[] = {{"y", 31536000000, true}, {"w", 604800000, true}, {"d", 86400000, true},
                 {"h", 3600000, false},    {"m", 60000, false},    {"s", 1000, false},
                 {"ms", 1, false}};
    if (ms == 0) {
        BUF_LIT(out, "0s");
    }
    for (size_t i = 0; i < ARRAY_LEN(units) && ms > 0; i++) {
        if (ms >= units[i].ms && (!units[i].exact || ms % units[i].ms == 0)) {
            buf_fmt(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
            ms %= units[i].ms;
        }
    }
}

/* -- Targets -- */

/* The URL as others reach it: a name of this machine instead of the loopback's. */
static void put_global_url(struct buf *out, struct str url)
{
    static const char *const loopback[] = {"://localhost", "://127.0.0.1", "://[::1]"};
    char host[256];
    for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
        const struct str name = str_from_c(loopback[i]);
        const struct str_cut cut = str_cut(url, ':');
        const struct str rest = str_sub(url, cut.head.n, SIZE_MAX);
        const char after = rest.n > name.n ? rest.p[name.n] : '/';
        if (str_starts(rest, name) && (after == ':' || after == '/') &&
            gethostname(host, sizeof host) == 0) {
            host[sizeof host - 1] = 0;
            buf_fmt(out, ",\"globalUrl\":\"%.*s://%s", STR_FMT(cut.head), host);
            struct buf tail;
            struct mem m;
            mem_init(&m, 0);
            buf_init(&tail, &m, PAGE_BYTES_MAX);
            buf_json_str(&tail, str_sub(rest, name.n, SIZE_MAX));
            buf_str_add(out, str_sub(buf_str(&tail), 1, SIZE_MAX));
            buf_release(&tail);
            return;
        }
    }
    put_text(out, "globalUrl", url);
}

static void put_target(struct buf *out, const struct scrape_target_status *t)
{
    static const char *const healths[] = {
        [SCRAPE_UNKNOWN] = "unknown", [SCRAPE_UP] = "up", [SCRAPE_DOWN] = "down"};
    BUF_LIT(out, "{\"discoveredLabels\":");
    put_labels(out, t->discovered);
    BUF_LIT(out, ",\"labels\":");
    put_labels(out, t->labels);
    put_text(out, "scrapePool", t->pool);
    put_text(out, "scrapeUrl", t->url);
    put_global_url(out, t->url);
    put_text(out, "lastError", t->last_error);
    BUF_LIT(out, ",\"lastScrape\":\"");
    if (t->last_scrape_ms > 0) {
        time_format(out, ns_from_ms(t->last_scrape_ms));
    } else {
        BUF_LIT(out, NEVER);
    }
    buf_fmt(out, "\",\"lastScrapeDuration\":%.9g,\"health\":\"%s\",\"scrapeInterval\":\"",
            t->last_duration_s, healths[t->health]);
    put_duration(out, t->interval_ms);
    BUF_LIT(out, "\",\"scrapeTimeout\":\"");
    put_duration(out, t->timeout_ms);
    BUF_LIT(out, "\"}");
}

static void put_dropped(struct buf *out, const struct scrape_targets *v)
{
    for (uint32_t i = 0; i < v->dropped_n; i++) {
        buf_str_add(out, i > 0 ? STR(",{\"discoveredLabels\":") : STR("{\"discoveredLabels\":"));
        put_labels(out, v->dropped[i].discovered);
        put_text(out, "scrapePool", v->dropped[i].pool);
        BUF_LIT(out, "}");
    }
}

static void page_targets(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    struct scrape_targets v = {0};
    struct arena a;
    struct mem mem;
    struct err e = {0};
    const struct str state = prom_get(c, "state");
    const bool all = state.n == 0 || str_eq_nocase(state, STR("any"));
    const bool dropped = all || str_eq_nocase(state, STR("dropped"));
    mem_init(&mem, 0);
    arena_init(&a, &mem, PAGE_BYTES_MAX);
    if (!scrape_targets(m->scraping.scrape, prom_get(c, "scrapePool"), &a, &v, &e)) {
        out->failed = true;
    }
    BUF_LIT(out, "{\"activeTargets\":[");
    for (uint32_t i = 0; i < v.active_n && (all || str_eq_nocase(state, STR("active"))); i++) {
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        put_target(out, &v.active[i]);
    }
    BUF_LIT(out, "],\"droppedTargets\":[");
    if (dropped) {
        put_dropped(out, &v);
    }
    BUF_LIT(out, "],\"droppedTargetCounts\":{");
    for (uint32_t i = 0; i < v.pools_n && dropped; i++) {
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        buf_json_str(out, v.pools[i]);
        buf_fmt(out, ":%llu", (unsigned long long)v.pool_dropped_n[i]);
    }
    BUF_LIT(out, "}}");
    arena_release(&a);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void page_scrape_pools(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    struct scrape_targets v = {0};
    struct arena a;
    struct mem mem;
    struct err e = {0};
    (void)c;
    mem_init(&mem, 0);
    arena_init(&a, &mem, PAGE_BYTES_MAX);
    if (!scrape_targets(m->scraping.scrape, STR(""), &a, &v, &e)) {
        out->failed = true;
    }
    if (v.pools_n > 0) {
        qsort(v.pools, v.pools_n, sizeof *v.pools, by_text);
    }
    BUF_LIT(out, "{\"scrapePools\":[");
    for (uint32_t i = 0; i < v.pools_n; i++) {
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        buf_json_str(out, v.pools[i]);
    }
    BUF_LIT(out, "]}");
    arena_release(&a);
}

/* -- Metadata -- */

static uint32_t number_of(const struct prom_call *c, const char *name, uint32_t none)
{
    int64_t n;
    if (!str_to_i64(prom_get(c, name), &n) || n < 0) {
        return none;
    }
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void put_metadata(struct buf *out, const struct scrape_metadata *v)
{
    BUF_LIT(out, "{\"type\":");
    buf_json_str(out, expo_kind_name(v->type));
    put_text(out, "help", v->help);
    put_text(out, "unit", v->unit);
    BUF_LIT(out, "}");
}

static void page_targets_metadata(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    struct scrape_metadata *v = NULL;
    struct matcher *matchers = NULL;
    struct arena a;
    struct mem mem;
    struct err e = {0};
    uint32_t n = 0, matchers_n = 0;
    const struct str text = prom_get(c, "match_target"), metric = prom_get(c, "metric");
    mem_init(&mem, 0);
    arena_init(&a, &mem, PAGE_BYTES_MAX);
    if ((text.n > 0 && !promql_selector(text, &a, &matchers, &matchers_n, &e)) ||
        !scrape_metadata(m->scraping.scrape, matchers, matchers_n, metric, number_of(c, "limit", 0),
                         &a, &v, &n, &e)) {
        out->failed = true;
    }
    BUF_LIT(out, "[");
    for (uint32_t i = 0; i < n; i++) {
        buf_str_add(out, i > 0 ? STR(",{\"target\":") : STR("{\"target\":"));
        put_labels(out, v[i].target);
        if (metric.n == 0) {
            put_text(out, "metric", v[i].metric);
        }
        put_text(out, "type", expo_kind_name(v[i].type));
        put_text(out, "help", v[i].help);
        put_text(out, "unit", v[i].unit);
        BUF_LIT(out, "}");
    }
    BUF_LIT(out, "]");
    arena_release(&a);
}

static int by_metric(const void *a, const void *b)
{
    const struct scrape_metadata *x = a, *y = b;
    int d = str_cmp(x->metric, y->metric);
    d = d ? d : (int)x->type - (int)y->type;
    d = d ? d : str_cmp(x->help, y->help);
    return d ? d : str_cmp(x->unit, y->unit);
}

/* The families of Farol's own series; v has room. */
static uint32_t own_metadata(const struct expo *x, struct str metric, struct arena *a,
                             struct scrape_metadata *v, uint32_t max)
{
    static const enum expo_kind kinds[] = {[EXPO_COUNTER] = EXPO_KIND_COUNTER,
                                           [EXPO_GAUGE] = EXPO_KIND_GAUGE,
                                           [EXPO_HISTOGRAM] = EXPO_KIND_HISTOGRAM,
                                           [EXPO_INFO] = EXPO_KIND_GAUGE};
    static const char *const suffixes[] = {
        [EXPO_COUNTER] = "_total", [EXPO_GAUGE] = "", [EXPO_HISTOGRAM] = "", [EXPO_INFO] = "_info"};
    uint32_t n = 0;
    for (const struct expo_family *f = x->first; f && n < max; f = f->next) {
        const struct str suffix = str_from_c(suffixes[f->type]);
        char *name = arena_take(a, f->name.n + suffix.n + 1, 1);
        if (!name) {
            break;
        }
        memcpy(name, f->name.p, f->name.n);
        memcpy(name + f->name.n, suffix.p, suffix.n);
        const struct str whole = str_of(name, f->name.n + suffix.n);
        if (metric.n == 0 || str_eq(metric, whole)) {
            v[n++] = (struct scrape_metadata){
                .metric = whole, .help = f->help, .unit = f->unit, .type = kinds[f->type]};
        }
    }
    return n;
}

static void put_grouped(struct buf *out, const struct scrape_metadata *v, uint32_t n,
                        uint32_t limit, uint32_t limit_each)
{
    uint32_t metrics = 0, each = 0;
    BUF_LIT(out, "{");
    for (uint32_t i = 0; i < n; i++) {
        const bool first = i == 0 || !str_eq(v[i].metric, v[i - 1].metric);
        if (first && metrics == limit) {
            break;
        }
        if (first) {
            buf_str_add(out, metrics > 0 ? STR("],") : STR(""));
            buf_json_str(out, v[i].metric);
            BUF_LIT(out, ":[");
            metrics++;
            each = 0;
        } else if (by_metric(&v[i], &v[i - 1]) == 0 || (limit_each > 0 && each >= limit_each)) {
            continue;
        }
        buf_str_add(out, each++ > 0 ? STR(",") : STR(""));
        put_metadata(out, &v[i]);
    }
    buf_str_add(out, metrics > 0 ? STR("]}") : STR("}"));
}

static void page_metadata(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    struct snapshot *snapshot = server_snapshots_take(m->snapshots);
    struct scrape_metadata *scraped = NULL;
    struct arena a;
    struct mem mem;
    struct err e = {0};
    uint32_t n = 0, own = 0;
    const struct str metric = prom_get(c, "metric");
    mem_init(&mem, 0);
    arena_init(&a, &mem, PAGE_BYTES_MAX);
    if (!scrape_metadata(m->scraping.scrape, NULL, 0, metric, 0, &a, &scraped, &n, &e)) {
        out->failed = true;
    }
    for (const struct expo_family *f = snapshot ? snapshot->expo.first : NULL; f; f = f->next) {
        own++;
    }
    struct scrape_metadata *v =
        n < METADATA_MAX ? ARENA_ARRAY(&a, struct scrape_metadata, (size_t)n + own + 1) : NULL;
    if (v) {
        if (n > 0) {
            memcpy(v, scraped, n * sizeof *v);
        }
        n += snapshot ? own_metadata(&snapshot->expo, metric, &a, v + n, own) : 0;
        qsort(v, n, sizeof *v, by_metric);
        put_grouped(out, v, n, number_of(c, "limit", UINT32_MAX),
                    number_of(c, "limit_per_metric", 0));
    } else {
        out->failed = true;
    }
    arena_release(&a);
    if (snapshot) {
        server_snapshots_give(m->snapshots, snapshot);
    }
}

/* -- Rules -- */

static bool page_rules(void *ctx, const struct rules_filter *f, struct buf *out, struct err *e)
{
    struct server_metrics *m = ctx;
    return rules_json(m->rulebook.rules, f, out, e);
}

static void page_alerts(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    (void)c;
    rules_alerts_json(m->rulebook.rules, out);
}

/* -- Configuration -- */

static bool is_secret(struct str key)
{
    static const char *const keys[] = {"password",   "credentials", "bearer_token", "client_secret",
                                       "secret_key", "api_key",     "token",        "proxy_url"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (str_eq(key, str_from_c(keys[i]))) {
            return true;
        }
    }
    return false;
}

/* What stands between :// and @ can be a password. */
static bool has_userinfo(struct str s)
{
    return str_contains(s, STR("://")) && str_contains(s, STR("@"));
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char ch = s.p[i];
        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
              ch == '_' || ch == '.' || ch == '/' || (ch == '-' && i > 0))) {
            return false;
        }
    }
    return s.n > 0;
}

static void put_scalar(struct buf *out, const struct yaml_node *n)
{
    if (is_secret(n->key) || has_userinfo(n->text)) {
        BUF_LIT(out, "<secret>");
    } else if (!n->quoted && is_plain(n->text)) {
        buf_str_add(out, n->text);
    } else if (yaml_is_null(n)) {
        BUF_LIT(out, "null");
    } else {
        buf_json_str(out, n->text);
    }
    BUF_LIT(out, "\n");
}

/* Block YAML; every node on lines of its own, indented by depth. */
static void put_yaml(struct buf *out, const struct yaml_node *n, int depth)
{
    if (depth > YAML_DEPTH_MAX) {
        return;
    }
    for (const struct yaml_node *k = n->first; k; k = k->next) {
        buf_fmt(out, "%*s", depth * 2, "");
        if (n->kind == YAML_SEQUENCE) {
            BUF_LIT(out, "-");
        } else {
            if (is_plain(k->key)) {
                buf_str_add(out, k->key);
            } else {
                buf_json_str(out, k->key);
            }
            BUF_LIT(out, ":");
        }
        if (k->kind == YAML_SCALAR) {
            BUF_LIT(out, " ");
            put_scalar(out, k);
        } else if (!k->first) {
            buf_str_add(out, k->kind == YAML_SEQUENCE ? STR(" []\n") : STR(" {}\n"));
        } else {
            BUF_LIT(out, "\n");
            put_yaml(out, k, depth + 1);
        }
    }
}

bool server_pages_config_set(struct server_metrics *m, const struct yaml_node *root, struct err *e)
{
    struct buf text;
    buf_init(&text, &m->pages_mem, PAGE_BYTES_MAX);
    if (root) {
        put_yaml(&text, root, 0);
    }
    if (!buf_ok(&text, e)) {
        buf_release(&text);
        return false;
    }
    pthread_mutex_lock(&m->pages_mu);
    struct buf old = m->config_text;
    m->config_text = text;
    pthread_mutex_unlock(&m->pages_mu);
    buf_release(&old);
    return true;
}

static void page_config(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    (void)c;
    BUF_LIT(out, "{\"yaml\":");
    pthread_mutex_lock(&m->pages_mu);
    buf_json_str(out, buf_str(&m->config_text));
    pthread_mutex_unlock(&m->pages_mu);
    BUF_LIT(out, "}");
}

static void put_flag_duration(struct buf *out, const char *name, int64_t ms)
{
    buf_fmt(out, ",\"%s\":\"", name);
    put_duration(out, ms);
    BUF_LIT(out, "\"");
}

static void page_flags(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    const struct server_config *config = m->config;
    (void)c;
    buf_fmt(out,
            "{\"query.max-concurrency\":\"%lld\",\"query.max-samples\":\"%lld\","
            "\"storage.tsdb.retention.size\":\"%lluB\",\"web.enable-admin-api\":\"%s\","
            "\"web.enable-lifecycle\":\"true\",\"web.enable-remote-write-receiver\":\"true\","
            "\"web.max-connections\":\"%lld\"",
            (long long)config->query.threads, (long long)config->query.samples_max,
            (unsigned long long)config->metrics.retention_bytes,
            config->query.admin ? "true" : "false", (long long)config->server.connections_max);
    put_text(out, "config.file", str_from_c(m->config_path ? m->config_path : ""));
    put_text(out, "storage.tsdb.path", str_from_c(m->dir));
    put_text(out, "web.listen-address", config->server.listen);
    put_flag_duration(out, "query.lookback-delta", config->query.lookback_ms);
    put_flag_duration(out, "query.timeout", config->query.timeout_ms);
    put_flag_duration(out, "storage.tsdb.retention.time", config->metrics.retention_ms);
    BUF_LIT(out, "}");
}

static void page_alertmanagers(void *ctx, const struct prom_call *c, struct buf *out)
{
    struct server_metrics *m = ctx;
    (void)c;
    server_sending_json(&m->sending, out);
}

void server_pages_of(struct server_metrics *m, struct prom_pages *out)
{
    *out = (struct prom_pages){.ctx = m,
                               .targets = page_targets,
                               .targets_metadata = page_targets_metadata,
                               .metadata = page_metadata,
                               .alertmanagers = page_alertmanagers,
                               .scrape_pools = page_scrape_pools,
                               .rules = page_rules,
                               .alerts = page_alerts,
                               .config = page_config,
                               .flags = page_flags};
}
