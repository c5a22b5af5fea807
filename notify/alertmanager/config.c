/* The keys of `alerting`, as in prometheus.yml. What we cannot do is refused by name, never
 * ignored. */
#include "notify/alertmanager/alertmanager.h"

#include "codec/conf.h"

/* What conf_read fills before the parts are taken over. */
struct raw {
    struct notify_am_target out;
    struct http_conf_raw http;
    struct str scheme, path_prefix, api_version;
    const struct yaml_node *targets, *relabel, *refused;
};

struct raw_alerting {
    const struct yaml_node *relabel, *alertmanagers;
};

static const struct conf_field fields[] = {
    CONF_CUSTOM(struct raw, targets, "static_configs", "targets: host:port of Alertmanagers",
                conf_node),
    CONF_STR(struct raw, scheme, "scheme", "http", "http or https"),
    CONF_STR(struct raw, path_prefix, "path_prefix", "/", "before /api/v2/alerts"),
    CONF_DURATION(struct raw, out.timeout_ms, "timeout", "10s", 1, 600000, "of one request"),
    CONF_STR(struct raw, api_version, "api_version", "v2", "v2"),
    HTTP_CONF_ROWS(struct raw, http),
    CONF_CUSTOM(struct raw, relabel, "alert_relabel_configs",
                "rules that rewrite or drop alerts for these Alertmanagers", conf_node),
    CONF_CUSTOM(struct raw, refused, "relabel_configs", "refused", conf_refuse),
    CONF_CUSTOM(struct raw, refused, "sigv4", "refused", conf_refuse),
    CONF_CUSTOM(struct raw, refused, "dns_sd_configs", "refused: list static_configs", conf_refuse),
    CONF_CUSTOM(struct raw, refused, "file_sd_configs", "refused: list static_configs",
                conf_refuse),
    CONF_CUSTOM(struct raw, refused, "kubernetes_sd_configs", "refused: list static_configs",
                conf_refuse),
    CONF_CUSTOM(struct raw, refused, "consul_sd_configs", "refused: list static_configs",
                conf_refuse),
};

static const struct conf_field alerting_fields[] = {
    CONF_CUSTOM(struct raw_alerting, relabel, "alert_relabel_configs",
                "rules that rewrite or drop alerts before they are sent", conf_node),
    CONF_CUSTOM(struct raw_alerting, alertmanagers, "alertmanagers", "where alerts go", conf_node),
};

static bool given(const struct yaml_node *n)
{
    return n && !yaml_is_null(n);
}

/* host, host:port, [v6]:port: nothing that would end the authority of a URL. */
static bool host_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || strchr("/?#@\"\\", s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

static bool add_target(const struct raw *r, const struct yaml_node *n, struct arena *a,
                       struct notify_am_config *out, struct err *e)
{
    if (n->kind != YAML_SCALAR || !host_ok(n->text)) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected host:port of an Alertmanager");
    }
    if (out->targets_n == NOTIFY_AM_TARGETS_MAX) {
        return err_at(e, ERR_LIMIT, n->line, n->col, "more than %d Alertmanagers",
                      NOTIFY_AM_TARGETS_MAX);
    }
    struct str prefix = r->path_prefix;
    while (prefix.n && prefix.p[prefix.n - 1] == '/') {
        prefix.n--;
    }
    struct buf b;
    buf_init(&b, a->mem, 4096);
    buf_str_add(&b, r->scheme);
    BUF_LIT(&b, "://");
    buf_str_add(&b, n->text);
    if (prefix.n && prefix.p[0] != '/') {
        buf_char(&b, '/');
    }
    buf_str_add(&b, prefix);
    struct notify_am_target *t = &out->targets[out->targets_n];
    *t = r->out;
    t->url = arena_str(a, buf_str(&b));
    bool ok = !b.failed && t->url.p;
    buf_release(&b);
    for (uint32_t i = 0; ok && i < out->targets_n; i++) {
        if (str_eq(out->targets[i].url, t->url)) {
            return true; /* listed twice: alerts go there once */
        }
    }
    out->targets_n += ok;
    return ok || conf_no_memory(e);
}

static bool read_static(const struct raw *r, const struct yaml_node *n, struct arena *a,
                        struct notify_am_config *out, struct err *e)
{
    for (const struct yaml_node *s = n->first; s; s = s->next) {
        const struct yaml_node *list = yaml_get(s, STR("targets"));
        for (const struct yaml_node *k = s->first; k; k = k->next) {
            if (!str_eq(k->key, STR("targets")) && !str_eq(k->key, STR("labels"))) {
                return err_at(e, ERR_INPUT, k->line, k->col, "expected targets or labels");
            }
        }
        if (!list || list->kind != YAML_SEQUENCE) {
            return err_at(e, ERR_INPUT, s->line, s->col, "expected targets, a list of host:port");
        }
        for (const struct yaml_node *t = list->first; t; t = t->next) {
            if (!add_target(r, t, a, out, e)) {
                return false;
            }
        }
    }
    return true;
}

static bool read_entry(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct notify_am_config *out, struct err *e)
{
    struct raw r;
    memset(&r, 0, sizeof r);
    if (!conf_read(fields, ARRAY_LEN(fields), n, &r, a, e)) {
        return false;
    }
    if (!str_eq(r.scheme, STR("http")) && !str_eq(r.scheme, STR("https"))) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected scheme http or https");
    }
    if (!str_eq(r.api_version, STR("v2"))) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected api_version v2, found \"%.*s\"",
                      STR_FMT(str_sub(r.api_version, 0, 40)));
    }
    r.out.entry = out->entries_n;
    out->entry_relabel[out->entries_n++] = given(r.relabel) ? r.relabel : NULL;
    if (!http_conf_read(&r.http, n, dir, HTTP_CONF_SEND, a, &r.out.http, e)) {
        return false;
    }
    if (given(r.targets) && r.targets->kind != YAML_SEQUENCE) {
        return err_at(e, ERR_INPUT, r.targets->line, r.targets->col, "expected a list");
    }
    return !given(r.targets) || read_static(&r, r.targets, a, out, e);
}

bool notify_am_config_read(const struct yaml_node *node, const char *dir, struct arena *a,
                           struct notify_am_config *out, struct err *e)
{
    struct raw_alerting r = {0};
    *out = (struct notify_am_config){0};
    if (!given(node)) {
        return true;
    }
    if (!conf_read(alerting_fields, ARRAY_LEN(alerting_fields), node, &r, a, e)) {
        return false;
    }
    out->relabel = given(r.relabel) ? r.relabel : NULL;
    const struct yaml_node *list = r.alertmanagers;
    if (!given(list)) {
        return true;
    }
    if (list->kind != YAML_SEQUENCE || list->children_count > NOTIFY_AM_TARGETS_MAX) {
        return err_at(e, ERR_INPUT, list->line, list->col, "expected a list of at most %d entries",
                      NOTIFY_AM_TARGETS_MAX);
    }
    out->targets = ARENA_ARRAY(a, struct notify_am_target, NOTIFY_AM_TARGETS_MAX + 1);
    out->entry_relabel = ARENA_ARRAY(a, const struct yaml_node *, list->children_count + 1);
    if (!out->targets || !out->entry_relabel) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (!read_entry(n, dir, a, out, e)) {
            return false;
        }
    }
    return true;
}
