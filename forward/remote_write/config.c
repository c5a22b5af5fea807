/* The keys of `remote_write`, as in prometheus.yml. What we cannot do is refused by name, never
 * ignored; what has no meaning here (metadata is not stored) is accepted. */
#include "forward/remote_write/forward_int.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

/* What conf_read fills before the parts are taken over. */
struct raw {
    struct forward_config out;
    const struct yaml_node *headers, *basic_auth, *authorization, *tls, *queue, *metadata, *refused;
    struct str message;
    bool accepted;
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
    CONF_STR(struct raw, out.url, "url", NULL, "where POST goes: http://host:port/api/v1/write"),
    CONF_STR(struct raw, out.name, "name", NULL, "of its series and of its file of positions"),
    CONF_DURATION(struct raw, out.timeout_ms, "remote_timeout", "30s", 100, 600000,
                  "of one request"),
    CONF_CUSTOM(struct raw, headers, "headers", "headers to send: name and value", read_node),
    CONF_CUSTOM(struct raw, out.relabel, "write_relabel_configs",
                "rules that rewrite or drop series before they are sent", read_node),
    CONF_CUSTOM(struct raw, basic_auth, "basic_auth", "username, password, password_file",
                read_node),
    CONF_CUSTOM(struct raw, authorization, "authorization",
                "type (Bearer), credentials, credentials_file", read_node),
    CONF_CUSTOM(struct raw, tls, "tls_config", "ca_file, cert_file, key_file, insecure_skip_verify",
                read_node),
    CONF_BOOL(struct raw, out.exemplars, "send_exemplars", "false", "send exemplars too"),
    CONF_BOOL(struct raw, out.histograms, "send_native_histograms", "false",
              "send native histograms too; else they are counted as dropped"),
    CONF_STR(struct raw, message, "protobuf_message", "prometheus.WriteRequest",
             "prometheus.WriteRequest (1.0) or io.prometheus.write.v2.Request (2.0)"),
    CONF_CUSTOM(struct raw, queue, "queue_config",
                "capacity, min_shards, max_shards, max_samples_per_send, batch_send_deadline, "
                "min_backoff, max_backoff, sample_age_limit, retry_on_http_429",
                read_node),
    CONF_CUSTOM(struct raw, metadata, "metadata_config", "accepted; metadata is not sent",
                read_node),
    CONF_BYTES(struct raw, out.log_bytes_max, "log_bytes_max", "4GiB", 1 << 20, 1024 * GIB,
               "log that may wait during an outage; above it the oldest is lost and counted"),
    CONF_BOOL(struct raw, accepted, "follow_redirects", "true",
              "accepted; redirects are not followed"),
    CONF_BOOL(struct raw, accepted, "enable_http2", "true", "accepted"),
    CONF_CUSTOM(struct raw, refused, "oauth2", "refused: use authorization", refuse),
    CONF_CUSTOM(struct raw, refused, "sigv4", "refused", refuse),
    CONF_CUSTOM(struct raw, refused, "azuread", "refused", refuse),
    CONF_CUSTOM(struct raw, refused, "proxy_url", "refused", refuse),
};

const struct conf_field *forward_config_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "configuration needs more memory than it may have");
}

static bool given(const struct yaml_node *n)
{
    return n && !yaml_is_null(n);
}

/* Relative paths begin in dir. */
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
                       struct forward_config *c, struct err *e)
{
    static const struct conf_field basic[] = {
        CONF_STR(struct forward_config, username, "username", NULL, "user"),
        CONF_STR(struct forward_config, password, "password", NULL, "password"),
        CONF_STR(struct forward_config, password_file, "password_file", NULL,
                 "file with the password"),
    };
    struct forward_config got = {.url = {NULL, 0}};
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
    c->username = got.username;
    c->password = got.password;
    c->password_file = got.password_file;
    return join(dir, &c->password_file, a, e);
}

static bool read_authorization(const struct yaml_node *n, const char *dir, struct arena *a,
                               struct forward_config *c, struct err *e)
{
    static const struct conf_field auth[] = {
        CONF_STR(struct forward_config, auth_type, "type", "Bearer", "first word of the header"),
        CONF_STR(struct forward_config, credentials, "credentials", NULL, "second word"),
        CONF_STR(struct forward_config, credentials_file, "credentials_file", NULL,
                 "file with it, read before each round"),
    };
    struct forward_config got = {.url = {NULL, 0}};
    if (!given(n)) {
        return true;
    }
    if (c->username.n > 0) {
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
    c->auth_type = got.auth_type;
    c->credentials = got.credentials;
    c->credentials_file = got.credentials_file;
    return join(dir, &c->credentials_file, a, e);
}

static bool read_tls(const struct yaml_node *n, const char *dir, struct arena *a,
                     struct forward_config *c, struct err *e)
{
    static const struct conf_field tls[] = {
        CONF_STR(struct forward_config, ca_file, "ca_file", NULL, "certificates to trust"),
        CONF_STR(struct forward_config, cert_file, "cert_file", NULL, "our certificate"),
        CONF_STR(struct forward_config, key_file, "key_file", NULL, "its key"),
        CONF_BOOL(struct forward_config, insecure_skip_verify, "insecure_skip_verify", "false",
                  "do not check the other side's certificate"),
        CONF_CUSTOM(struct forward_config, relabel, "server_name", "refused", refuse),
    };
    struct forward_config got = {.url = {NULL, 0}};
    if (!given(n)) {
        return true;
    }
    if (!conf_read(tls, ARRAY_LEN(tls), n, &got, a, e)) {
        return false;
    }
    c->ca_file = got.ca_file;
    c->cert_file = got.cert_file;
    c->key_file = got.key_file;
    c->insecure_skip_verify = got.insecure_skip_verify;
    return join(dir, &c->ca_file, a, e) && join(dir, &c->cert_file, a, e) &&
           join(dir, &c->key_file, a, e);
}

struct queue {
    int64_t capacity, shards_min, shards_max, samples_max, deadline_ms, backoff_min_ms,
        backoff_max_ms, age_limit_ms;
    bool retry_429;
};

static bool read_queue(const struct yaml_node *n, struct arena *a, struct forward_config *c,
                       struct err *e)
{
    static const struct conf_field queue[] = {
        CONF_I64(struct queue, capacity, "capacity", "10000", 1, 1e6,
                 "samples of a shard in memory"),
        CONF_I64(struct queue, shards_min, "min_shards", "1", 1, FORWARD_SHARDS_MAX,
                 "requests at once, always"),
        CONF_I64(struct queue, shards_max, "max_shards", "8", 1, 1000,
                 "requests at once when behind; at most 64"),
        CONF_I64(struct queue, samples_max, "max_samples_per_send", "2000", 1, 100000,
                 "samples of a request"),
        CONF_DURATION(struct queue, deadline_ms, "batch_send_deadline", "5s", 10, 600000,
                      "how long samples wait for a request to be full"),
        CONF_DURATION(struct queue, backoff_min_ms, "min_backoff", "30ms", 1, 600000,
                      "first pause after a failure; it doubles"),
        CONF_DURATION(struct queue, backoff_max_ms, "max_backoff", "5s", 1, 3600000,
                      "longest pause"),
        CONF_DURATION(struct queue, age_limit_ms, "sample_age_limit", "0s", 0, 3.2e12,
                      "older samples are dropped and counted; 0 = none"),
        CONF_BOOL(struct queue, retry_429, "retry_on_http_429", "true",
                  "accepted; 429 is always tried again"),
    };
    struct queue q;
    if (!conf_read(queue, ARRAY_LEN(queue), given(n) ? n : NULL, &q, a, e)) {
        return false;
    }
    c->capacity = q.capacity;
    c->shards_min = q.shards_min;
    c->shards_max = q.shards_max > FORWARD_SHARDS_MAX ? FORWARD_SHARDS_MAX : q.shards_max;
    c->samples_max = q.samples_max;
    c->deadline_ms = q.deadline_ms;
    c->backoff_min_ms = q.backoff_min_ms;
    c->backoff_max_ms = q.backoff_max_ms;
    c->age_limit_ms = q.age_limit_ms;
    return (q.shards_min <= q.shards_max && q.backoff_min_ms <= q.backoff_max_ms) ||
           err_at(e, ERR_INPUT, n ? n->line : 0, n ? n->col : 0,
                  "expected min_shards and min_backoff not above max_shards and max_backoff");
}

static bool header_ok(struct str name, struct str value)
{
    static const struct str ours[] = {STR_INIT("content-type"),
                                      STR_INIT("content-encoding"),
                                      STR_INIT("content-length"),
                                      STR_INIT("host"),
                                      STR_INIT("x-prometheus-remote-write-version"),
                                      STR_INIT("authorization")};
    bool ok = name.n > 0;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        ok = ok && !str_eq_nocase(name, ours[i]);
    }
    for (size_t i = 0; i < name.n; i++) {
        ok = ok && name.p[i] > ' ' && name.p[i] < 127 && name.p[i] != ':';
    }
    for (size_t i = 0; i < value.n; i++) {
        ok = ok && value.p[i] != '\r' && value.p[i] != '\n' && value.p[i] != 0;
    }
    return ok;
}

static bool read_headers(const struct yaml_node *n, struct arena *a, struct forward_config *c,
                         struct err *e)
{
    if (!given(n)) {
        return true;
    }
    if (n->kind != YAML_MAPPING || n->children_count > 64) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected at most 64 headers, name: value");
    }
    c->headers = ARENA_ARRAY(a, struct forward_header, n->children_count + 1);
    if (!c->headers) {
        return no_memory(e);
    }
    for (const struct yaml_node *h = n->first; h; h = h->next) {
        if (h->kind != YAML_SCALAR || !header_ok(h->key, h->text)) {
            return err_at(e, ERR_INPUT, h->key_line, h->key_col,
                          "header \"%.*s\" cannot be set, or its value is not one line",
                          STR_FMT(h->key));
        }
        c->headers[c->headers_n++] = (struct forward_header){h->key, h->text};
    }
    return true;
}

/* A name that can be a file's: letters, digits and -_. ; others become _. */
static bool name_set(struct forward_config *c, struct arena *a, struct err *e)
{
    struct str from = c->name;
    if (from.n == 0) {
        const struct str_cut scheme = str_cut(c->url, '/');
        from = str_cut(str_sub(scheme.tail, 1, scheme.tail.n), '?').head;
        const struct str_cut host = str_cut(from, '/');
        const struct str_cut user = str_cut(host.head, '@'); /* a password may stand before it */
        from = user.ok ? str_sub(from, user.head.n + 1, from.n) : from;
    }
    c->name = arena_str(a, str_sub(from, 0, 100));
    if (!c->name.p) {
        return no_memory(e);
    }
    char *p = arena_cstr(a, c->name);
    for (size_t i = 0; p && i < c->name.n; i++) {
        const bool ok = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
                        (p[i] >= '0' && p[i] <= '9') || p[i] == '-' || (p[i] == '.' && i > 0);
        p[i] = ok ? p[i] : '_';
    }
    c->name.p = p;
    return p || no_memory(e);
}

static bool read_entry(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct forward_config *c, struct err *e)
{
    struct raw r;
    memset(&r, 0, sizeof r);
    if (!conf_read(fields, ARRAY_LEN(fields), n, &r, a, e)) {
        return false;
    }
    *c = r.out;
    if (!str_starts(c->url, STR("http://")) && !str_starts(c->url, STR("https://"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected url: http://... or https://..., found \"%.*s\"", STR_FMT(c->url));
    }
    c->version_2 = str_eq(r.message, STR("io.prometheus.write.v2.Request"));
    if (!c->version_2 && !str_eq(r.message, STR("prometheus.WriteRequest"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected protobuf_message prometheus.WriteRequest or "
                      "io.prometheus.write.v2.Request, found \"%.*s\"",
                      STR_FMT(r.message));
    }
    return read_headers(r.headers, a, c, e) && read_basic(r.basic_auth, dir, a, c, e) &&
           read_authorization(r.authorization, dir, a, c, e) && read_tls(r.tls, dir, a, c, e) &&
           read_queue(r.queue, a, c, e) && name_set(c, a, e);
}

bool forward_config_read(const struct yaml_node *list, const char *dir, struct arena *a,
                         struct forward_config **out, uint32_t *n, struct err *e)
{
    *n = 0;
    *out = NULL;
    if (!given(list)) {
        return true;
    }
    if (list->kind != YAML_SEQUENCE || list->children_count > 32) {
        return err_at(e, ERR_INPUT, list->line, list->col,
                      "expected a list of at most 32 destinations");
    }
    *out = ARENA_ARRAY(a, struct forward_config, list->children_count + 1);
    if (!*out) {
        return no_memory(e);
    }
    for (const struct yaml_node *i = list->first; i; i = i->next) {
        struct forward_config *c = &(*out)[*n];
        if (!read_entry(i, dir, a, c, e)) {
            return false;
        }
        for (uint32_t k = 0; k < *n; k++) {
            if (str_eq((*out)[k].name, c->name)) {
                return err_at(e, ERR_INPUT, i->line, i->col,
                              "two destinations are called \"%.*s\": give each a name",
                              STR_FMT(c->name));
            }
        }
        ++*n;
    }
    return true;
}

uint64_t forward_log_bytes(const struct forward_config *c, uint32_t n)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        most = c[i].log_bytes_max > most ? c[i].log_bytes_max : most;
    }
    return most;
}
