/* Pages whose content other modules know: targets and metadata (scraping), rules and alerts, the
 * configuration. An absent module is an empty page, never an error: clients ask for all of them. */
#include "server/api/prom/prom_int.h"

static bool page(struct prom_call *c,
                 void (*write)(void *ctx, const struct prom_call *c, struct buf *out),
                 struct str empty)
{
    if (write) {
        write(c->api->deps.pages.ctx, c, &c->out);
    } else {
        buf_str_add(&c->out, empty);
    }
    return true;
}

static bool number(struct prom_call *c, const char *name)
{
    int64_t n;
    return !prom_has(c, name) || !prom_int_of(prom_get(c, name), &n) ||
           prom_fail(c, PROM_BAD_DATA, "%s must be a number", name);
}

static bool run_targets(struct prom_call *c)
{
    return page(c, c->api->deps.pages.targets,
                STR("{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}"));
}

static bool run_targets_metadata(struct prom_call *c)
{
    const struct str text = prom_get(c, "match_target");
    struct matcher *m;
    uint32_t n;
    struct err e = {0};
    if (!number(c, "limit")) {
        return false;
    }
    if (text.n > 0 && !promql_selector(text, &c->arena, &m, &n, &e)) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"match_target\": %u:%u: parse error: %s",
                         e.line ? e.line : 1, e.col ? e.col : 1, e.msg);
    }
    return page(c, c->api->deps.pages.targets_metadata, STR("[]"));
}

static bool run_metadata(struct prom_call *c)
{
    return number(c, "limit") && number(c, "limit_per_metric") &&
           page(c, c->api->deps.pages.metadata, STR("{}"));
}

static bool run_scrape_pools(struct prom_call *c)
{
    return page(c, c->api->deps.pages.scrape_pools, STR("{\"scrapePools\":[]}"));
}

static bool run_rules(struct prom_call *c)
{
    const struct prom_pages *pages = &c->api->deps.pages;
    struct rules_filter f;
    struct err e = {0};
    if (!prom_rules_wanted(c, &f)) {
        return false;
    }
    if (!pages->rules) {
        BUF_LIT(&c->out, "{\"groups\":[]}");
        return true;
    }
    return pages->rules(pages->ctx, &f, &c->out, &e) || prom_fail_err(c, &e);
}

static bool run_alerts(struct prom_call *c)
{
    return page(c, c->api->deps.pages.alerts, STR("{\"alerts\":[]}"));
}

static bool run_alertmanagers(struct prom_call *c)
{
    return page(c, c->api->deps.pages.alertmanagers,
                STR("{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}"));
}

static bool run_config(struct prom_call *c)
{
    return page(c, c->api->deps.pages.config, STR("{\"yaml\":\"\"}"));
}

static bool run_flags(struct prom_call *c)
{
    return page(c, c->api->deps.pages.flags, STR("{}"));
}

const struct prom_endpoint prom_endpoints_pages[] = {
    {"GET", "/api/v1/targets", "scrape targets and their health", 0, false, run_targets},
    {"GET", "/api/v1/targets/metadata", "type, help and unit of metrics by target", 0, false,
     run_targets_metadata},
    {"GET", "/api/v1/metadata", "type, help and unit of metrics: metric, limit", 0, false,
     run_metadata},
    {"GET", "/api/v1/scrape_pools", "names of the scrape jobs", 0, false, run_scrape_pools},
    {"GET", "/api/v1/rules", "rule groups: type, rule_name[], rule_group[], file[], match[]", 0,
     false, run_rules},
    {"GET", "/api/v1/alerts", "alerts that are pending or firing", 0, false, run_alerts},
    {"GET", "/api/v1/alertmanagers", "where alerts are sent", 0, false, run_alertmanagers},
    {"GET", "/api/v1/status/config", "the running configuration as YAML", 0, false, run_config},
    {"GET", "/api/v1/status/flags", "settings as text", 0, false, run_flags},
};
const uint32_t prom_endpoints_pages_n = ARRAY_LEN(prom_endpoints_pages);
