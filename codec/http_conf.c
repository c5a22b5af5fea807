/* The keys that say how to ask over HTTP, for scraping and for senders: see http_conf.h.
 *
 * The same keys and rules as Prometheus' http_config. Senders (HTTP_CONF_SEND) have a client that
 * can do less, so more is refused; where they take what Prometheus would not (a type Basic, one
 * file with certificate and key), that client can do it. Invariant of what is read: at most one of
 * basic_auth and authorization, at most one of a secret and its file, a type of authorization that
 * is not empty, paths that fit in PATH_BYTES_MAX, headers of one line.
 *
 * Source: Prometheus' documentation, "<http_config>" and "<tls_config>" of its configuration. */
#include "codec/http_conf.h"

#include "base/file.h"

static bool both(const struct yaml_node *n, const char *a, const char *b, struct err *e)
{
    return err_at(e, ERR_INPUT, n->line, n->col, "expected only one of %s and %s", a, b);
}

/* n: the mapping that names the file. */
static bool path(struct str *out, const struct yaml_node *n, const char *dir, struct str name,
                 struct arena *a, struct err *e)
{
    *out = conf_path(dir, name, a);
    if (!out->p) {
        return conf_no_memory(e);
    }
    return out->n < PATH_BYTES_MAX ||
           err_at(e, ERR_INPUT, n->line, n->col, "expected a path of less than %d bytes",
                  PATH_BYTES_MAX);
}

static bool refuse_keys(const struct yaml_node *n, const char *const *keys, size_t count,
                        struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *c = yaml_get(n, str_from_c(keys[i]));
        if (c && !conf_refuse(c, NULL, NULL, e)) {
            return false;
        }
    }
    return true;
}

static bool read_basic(const struct yaml_node *n, const char *dir, enum http_conf_client client,
                       struct arena *a, struct http_conf *out, struct err *e)
{
    struct basic {
        struct str username, username_file, password, password_file;
    } b = {.username = {NULL, 0}};
    static const struct conf_field fields[] = {
        CONF_STR(struct basic, username, "username", NULL, "user"),
        CONF_STR(struct basic, username_file, "username_file", NULL, "refused"),
        CONF_STR(struct basic, password, "password", NULL, "password"),
        CONF_STR(struct basic, password_file, "password_file", NULL, "file with the password"),
    };
    if (!conf_read(fields, ARRAY_LEN(fields), n, &b, a, e)) {
        return false;
    }
    if (b.username_file.n) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "username_file is not supported: write username");
    }
    if (b.username.n == 0 && client == HTTP_CONF_SEND) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected username and one of password, password_file");
    }
    if (b.password.n && b.password_file.n) {
        return both(n, "password", "password_file", e);
    }
    out->basic_auth = true;
    out->username = b.username;
    out->password = b.password;
    return path(&out->password_file, n, dir, b.password_file, a, e);
}

static bool read_authorization(const struct yaml_node *n, const char *dir,
                               enum http_conf_client client, struct arena *a, struct http_conf *out,
                               struct err *e)
{
    struct auth {
        struct str type, credentials, file;
    } t = {.type = {NULL, 0}};
    static const struct conf_field fields[] = {
        CONF_STR(struct auth, type, "type", "Bearer", "first word of the header"),
        CONF_STR(struct auth, credentials, "credentials", NULL, "second word"),
        CONF_STR(struct auth, file, "credentials_file", NULL, "file with it, read at every use"),
    };
    if (!conf_read(fields, ARRAY_LEN(fields), n, &t, a, e)) {
        return false;
    }
    if (t.credentials.n && t.file.n) {
        return both(n, "credentials", "credentials_file", e);
    }
    const struct str type = str_trim(t.type);
    if (client == HTTP_CONF_FETCH && str_eq_nocase(type, STR("basic"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "authorization type \"basic\" is not allowed: use basic_auth");
    }
    out->authorization = true;
    out->auth_type = type.n ? type : STR("Bearer");
    out->credentials = t.credentials;
    return path(&out->credentials_file, n, dir, t.file, a, e);
}

static bool read_version(const struct yaml_node *n, struct str s, int *out, struct err *e)
{
    static const struct {
        struct str name;
        int version;
    } rows[] = {{STR_INIT("TLS10"), 10},
                {STR_INIT("TLS11"), 11},
                {STR_INIT("TLS12"), 12},
                {STR_INIT("TLS13"), 13}};
    *out = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(s, rows[i].name)) {
            *out = rows[i].version;
        }
    }
    return *out || s.n == 0 ||
           err_at(e, ERR_INPUT, n->line, n->col, "expected TLS10, TLS11, TLS12 or TLS13");
}

struct raw_tls {
    struct str ca, cert, key, ca_file, cert_file, key_file, server_name, min, max;
    bool insecure;
};

static const struct conf_field tls_fields[] = {
    CONF_STR(struct raw_tls, ca, "ca", NULL, "refused: use ca_file"),
    CONF_STR(struct raw_tls, cert, "cert", NULL, "refused: use cert_file"),
    CONF_STR(struct raw_tls, key, "key", NULL, "refused: use key_file"),
    CONF_STR(struct raw_tls, ca_file, "ca_file", NULL, "certificates to trust"),
    CONF_STR(struct raw_tls, cert_file, "cert_file", NULL, "our certificate"),
    CONF_STR(struct raw_tls, key_file, "key_file", NULL, "its key"),
    CONF_STR(struct raw_tls, server_name, "server_name", NULL, "name to ask for and to verify"),
    CONF_BOOL(struct raw_tls, insecure, "insecure_skip_verify", "false", "do not verify"),
    CONF_STR(struct raw_tls, min, "min_version", NULL, "TLS10, TLS11, TLS12, TLS13"),
    CONF_STR(struct raw_tls, max, "max_version", NULL, "TLS10, TLS11, TLS12, TLS13"),
};

static bool read_tls(const struct yaml_node *n, const char *dir, enum http_conf_client client,
                     struct arena *a, struct http_conf_tls *out, struct err *e)
{
    static const char *const fetch_only[] = {"server_name", "min_version", "max_version"};
    struct raw_tls t = {.insecure = false};
    if (!conf_read(tls_fields, ARRAY_LEN(tls_fields), n, &t, a, e) ||
        (client == HTTP_CONF_SEND && !refuse_keys(n, fetch_only, ARRAY_LEN(fetch_only), e))) {
        return false;
    }
    if (t.ca.n || t.cert.n || t.key.n) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "certificates inside the configuration are not supported: use ca_file, "
                      "cert_file, key_file");
    }
    if (client == HTTP_CONF_FETCH && (t.cert_file.n == 0) != (t.key_file.n == 0)) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected both of cert_file and key_file");
    }
    out->server_name = t.server_name;
    out->insecure_skip_verify = t.insecure;
    return path(&out->ca_file, n, dir, t.ca_file, a, e) &&
           path(&out->cert_file, n, dir, t.cert_file, a, e) &&
           path(&out->key_file, n, dir, t.key_file, a, e) &&
           read_version(n, t.min, &out->tls_min, e) && read_version(n, t.max, &out->tls_max, e);
}

/* Headers that HTTP or a scrape itself decides about. */
static bool reserved_header(struct str name)
{
    static const struct str rows[] = {
        STR_INIT("Accept"),           STR_INIT("Accept-Encoding"),
        STR_INIT("Authorization"),    STR_INIT("Connection"),
        STR_INIT("Content-Length"),   STR_INIT("Host"),
        STR_INIT("User-Agent"),       STR_INIT("X-Prometheus-Scrape-Timeout-Seconds"),
        STR_INIT("Transfer-Encoding")};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq_nocase(name, rows[i])) {
            return true;
        }
    }
    return false;
}

static bool one_line(struct str s)
{
    return !(s.n > 0 && (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n)));
}

static bool read_header(const struct yaml_node *n, struct arena *a, struct http_conf_header *out,
                        struct err *e)
{
    struct header {
        struct conf_strs values, secrets, files;
    } h = {.values = {NULL, 0}};
    static const struct conf_field fields[] = {
        CONF_STR_LIST(struct header, values, "values", NULL, 0, 0, "values"),
        CONF_STR_LIST(struct header, secrets, "secrets", NULL, 0, 0, "values that are not shown"),
        CONF_STR_LIST(struct header, files, "files", NULL, 0, 0, "refused"),
    };
    if (!conf_read(fields, ARRAY_LEN(fields), n, &h, a, e)) {
        return false;
    }
    if (h.files.count) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "files of http_headers are not supported: use values or secrets");
    }
    if (reserved_header(n->key) || !one_line(n->key) || str_cut(n->key, ':').ok) {
        return err_at(e, ERR_INPUT, n->key_line, n->key_col,
                      "this header cannot be set by http_headers");
    }
    out->name = arena_str(a, n->key);
    out->values.v = ARENA_ARRAY(a, struct str, (size_t)h.values.count + h.secrets.count);
    if (!out->name.p || (h.values.count + h.secrets.count > 0 && !out->values.v)) {
        return conf_no_memory(e);
    }
    for (uint32_t i = 0; i < h.values.count + h.secrets.count; i++) {
        struct str v = i < h.values.count ? h.values.v[i] : h.secrets.v[i - h.values.count];
        if (!one_line(v)) {
            return err_at(e, ERR_INPUT, n->line, n->col, "expected a header of one line");
        }
        out->values.v[out->values.count++] = v;
    }
    return true;
}

static bool read_headers(const struct yaml_node *n, struct arena *a, struct http_conf *out,
                         struct err *e)
{
    if (n->kind != YAML_MAPPING) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a mapping of headers");
    }
    out->headers = ARENA_ARRAY(a, struct http_conf_header, n->children_count);
    if (n->children_count > 0 && !out->headers) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (!read_header(c, a, &out->headers[out->headers_n++], e)) {
            return false;
        }
    }
    return true;
}

static bool check_refused(const struct http_conf_raw *r, const struct yaml_node *n,
                          enum http_conf_client client, struct err *e)
{
    static const char *const fetch_only[] = {
        "proxy_url",    "no_proxy",     "proxy_from_environment",
        "bearer_token", "http_headers", "bearer_token_file"};
    if (r->oauth2) {
        return err_at(e, ERR_INPUT, r->oauth2->line, r->oauth2->col,
                      "oauth2 is not supported: use authorization with a credentials_file that "
                      "another program keeps fresh");
    }
    if (r->proxy_headers) {
        return err_at(e, ERR_INPUT, r->proxy_headers->line, r->proxy_headers->col,
                      "proxy_connect_header is not supported");
    }
    return client == HTTP_CONF_FETCH || refuse_keys(n, fetch_only, ARRAY_LEN(fetch_only), e);
}

static bool check_combination(const struct yaml_node *n, const struct http_conf_raw *r,
                              struct err *e)
{
    const bool bearer = r->bearer_token.n || r->bearer_token_file.n;
    if (r->bearer_token.n && r->bearer_token_file.n) {
        return both(n, "bearer_token", "bearer_token_file", e);
    }
    if (r->basic_auth && (r->authorization || bearer)) {
        return both(r->authorization ? r->authorization : n, "basic_auth", "authorization", e);
    }
    if (r->authorization && bearer) {
        return both(n, "authorization", "bearer_token", e);
    }
    if (r->proxy_from_environment && (r->proxy_url.n || r->no_proxy.n)) {
        return both(n, "proxy_from_environment", "proxy_url or no_proxy", e);
    }
    if (r->no_proxy.n && !r->proxy_url.n) {
        return err_at(e, ERR_INPUT, n->line, n->col, "no_proxy needs a proxy_url");
    }
    if (r->proxy_url.n && !str_starts(r->proxy_url, STR("http://")) &&
        !str_starts(r->proxy_url, STR("https://")) && !str_starts(r->proxy_url, STR("socks5://"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected a proxy_url of http, https or socks5");
    }
    return true;
}

bool http_conf_read(const struct http_conf_raw *raw, const struct yaml_node *n, const char *dir,
                    enum http_conf_client client, struct arena *a, struct http_conf *out,
                    struct err *e)
{
    *out = (struct http_conf){.proxy_url = raw->proxy_url,
                              .no_proxy = raw->no_proxy,
                              .proxy_from_environment = raw->proxy_from_environment,
                              .follow_redirects = raw->follow_redirects};
    if (!check_refused(raw, n, client, e) || !check_combination(n, raw, e)) {
        return false;
    }
    if (raw->bearer_token.n || raw->bearer_token_file.n) {
        out->authorization = true;
        out->auth_type = STR("Bearer");
        out->credentials = raw->bearer_token;
        if (!path(&out->credentials_file, n, dir, raw->bearer_token_file, a, e)) {
            return false;
        }
    }
    return (!raw->basic_auth || read_basic(raw->basic_auth, dir, client, a, out, e)) &&
           (!raw->authorization ||
            read_authorization(raw->authorization, dir, client, a, out, e)) &&
           (!raw->tls || read_tls(raw->tls, dir, client, a, &out->tls, e)) &&
           (!raw->headers || read_headers(raw->headers, a, out, e));
}
