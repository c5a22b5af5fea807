/* The keys of `alerting`, as in prometheus.yml. What we cannot do is refused by name, never
 * ignored. */
#include "notify/alertmanager/alertmanager.h"

#include "base/file.h"
#include "codec/conf.h"

/* What conf_read fills before the parts are taken over. */
struct raw {
    struct notify_am_target out;
    struct str scheme, path_prefix, api_version;
    const struct yaml_node *targets, *basic_auth, *authorization, *tls, *relabel, *refused;
    bool accepted;
};

struct raw_alerting {
    const struct yaml_node *relabel, *alertmanagers;
};

static bool read_node(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)a;
    (void)e;
    *(const struct yaml_node **)dst = n;
    return true;
}

static bool refuse(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)dst;
    (void)a;
    return yaml_is_null(n) ||
           err_at(e, ERR_INPUT, n->line, n->col, "%.*s is not supported here", STR_FMT(n->key));
}

static const struct conf_field fields[] = {
    CONF_CUSTOM(struct raw, targets, "static_configs", "targets: host:port of Alertmanagers",
                read_node),
    CONF_STR(struct raw, scheme, "scheme", "http", "http or https"),
    CONF_STR(struct raw, path_prefix, "path_prefix", "/", "before /api/v2/alerts"),
    CONF_DURATION(struct raw, out.timeout_ms, "timeout", "10s", 1, 600000, "of one request"),
    CONF_STR(struct raw, api_version, "api_version", "v2", "v2"),
    CONF_CUSTOM(struct raw, basic_auth, "basic_auth", "username, password, password_file",
                read_node),
    CONF_CUSTOM(struct raw, authorization, "authorization",
                "type (Bearer), credentials, credentials_file", read_node),
    CONF_CUSTOM(struct raw, tls, "tls_config", "ca_file, cert_file, key_file, insecure_skip_verify",
                read_node),
    CONF_CUSTOM(struct raw, relabel, "alert_relabel_configs",
                "rules that rewrite or drop alerts for these Alertmanagers", read_node),
    CONF_BOOL(struct raw, accepted, "follow_redirects", "true",
              "accepted; redirects are not followed"),
    CONF_BOOL(struct raw, accepted, "enable_http2", "true", "accepted"),
    CONF_CUSTOM(struct raw, refused, "relabel_configs", "refused", refuse),
    CONF_CUSTOM(struct raw, refused, "oauth2", "refused: use authorization", refuse),
    CONF_CUSTOM(struct raw, refused, "sigv4", "refused", refuse),
    CONF_CUSTOM(struct raw, refused, "proxy_url", "refused", refuse),
    CONF_CUSTOM(struct raw, refused, "dns_sd_configs", "refused: list static_configs", refuse),
    CONF_CUSTOM(struct raw, refused, "file_sd_configs", "refused: list static_configs", refuse),
    CONF_CUSTOM(struct raw, refused, "kubernetes_sd_configs", "refused: list static_configs",
                refuse),
    CONF_CUSTOM(struct raw, refused, "consul_sd_configs", "refused: list static_configs", refuse),
};

static const struct conf_field alerting_fields[] = {
    CONF_CUSTOM(struct raw_alerting, relabel, "alert_relabel_configs",
                "rules that rewrite or drop alerts before they are sent", read_node),
    CONF_CUSTOM(struct raw_alerting, alertmanagers, "alertmanagers", "where alerts go", read_node),
};

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "configuration needs more memory than it may have");
}

static bool given(const struct yaml_node *n)
{
    return n && !yaml_is_null(n);
}

static bool join(const char *dir, struct str *path, struct arena *a, struct err *e)
{
    char text[PATH_BYTES_MAX];
    if (path->n == 0 || path->p[0] == '/') {
        return true;
    }
    const char *name = arena_cstr(a, *path);
    if (!name || !path_join(text, sizeof text, dir, name, e)) {
        return name ? false : no_memory(e);
    }
    *path = arena_str(a, str_from_c(text));
    return path->p || no_memory(e);
}

static bool read_basic(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct notify_am_target *t, struct err *e)
{
    static const struct conf_field basic[] = {
        CONF_STR(struct notify_am_target, username, "username", NULL, "user"),
        CONF_STR(struct notify_am_target, password, "password", NULL, "password"),
        CONF_STR(struct notify_am_target, password_file, "password_file", NULL,
                 "file with the password"),
    };
    struct notify_am_target got = {0};
    if (!given(n)) {
        return true;
    }
    if (!conf_read(basic, ARRAY_LEN(basic), n, &got, a, e)) {
        return false;
    }
    if (got.username.n == 0 || (got.password.n > 0 && got.password_file.n > 0)) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected username and one of password, password_file");
    }
    t->username = got.username;
    t->password = got.password;
    t->password_file = got.password_file;
    return join(dir, &t->password_file, a, e);
}

static bool read_authorization(const struct yaml_node *n, const char *dir, struct arena *a,
                               struct notify_am_target *t, struct err *e)
{
    static const struct conf_field auth[] = {
        CONF_STR(struct notify_am_target, auth_type, "type", "Bearer", "first word of the header"),
        CONF_STR(struct notify_am_target, credentials, "credentials", NULL, "second word"),
        CONF_STR(struct notify_am_target, credentials_file, "credentials_file", NULL,
                 "file with it, read before each request"),
    };
    struct notify_am_target got = {0};
    if (!given(n)) {
        return true;
    }
    if (t->username.n > 0) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected only one of basic_auth and authorization");
    }
    if (!conf_read(auth, ARRAY_LEN(auth), n, &got, a, e)) {
        return false;
    }
    if (got.credentials.n > 0 && got.credentials_file.n > 0) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected only one of credentials and credentials_file");
    }
    t->auth_type = got.auth_type;
    t->credentials = got.credentials;
    t->credentials_file = got.credentials_file;
    return join(dir, &t->credentials_file, a, e);
}

static bool read_tls(const struct yaml_node *n, const char *dir, struct arena *a,
                     struct notify_am_target *t, struct err *e)
{
    static const struct conf_field tls[] = {
        CONF_STR(struct notify_am_target, ca_file, "ca_file", NULL, "certificates to trust"),
        CONF_STR(struct notify_am_target, cert_file, "cert_file", NULL, "our certificate"),
        CONF_STR(struct notify_am_target, key_file, "key_file", NULL, "its key"),
        CONF_BOOL(struct notify_am_target, insecure_skip_verify, "insecure_skip_verify", "false",
                  "do not check the other side's certificate"),
        CONF_CUSTOM(struct notify_am_target, entry, "server_name", "refused", refuse),
    };
    struct notify_am_target got = {0};
    if (!given(n)) {
        return true;
    }
    if (!conf_read(tls, ARRAY_LEN(tls), n, &got, a, e)) {
        return false;
    }
    t->ca_file = got.ca_file;
    t->cert_file = got.cert_file;
    t->key_file = got.key_file;
    t->insecure_skip_verify = got.insecure_skip_verify;
    return join(dir, &t->ca_file, a, e) && join(dir, &t->cert_file, a, e) &&
           join(dir, &t->key_file, a, e);
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
    return ok || no_memory(e);
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
    if (!read_basic(r.basic_auth, dir, a, &r.out, e) ||
        !read_authorization(r.authorization, dir, a, &r.out, e) ||
        !read_tls(r.tls, dir, a, &r.out, e)) {
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
        return no_memory(e);
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (!read_entry(n, dir, a, out, e)) {
            return false;
        }
    }
    return true;
}
