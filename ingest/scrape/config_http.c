/* The keys of a scrape configuration that say how to ask: authentication, TLS, proxies, redirects,
 * headers. The same keys and rules as Prometheus' http_config; what we cannot do (OAuth 2, inline
 * certificates) is refused by name, never ignored. */
#include "ingest/scrape/scrape_int.h"

#include "base/file.h"

struct raw_http {
    const struct yaml_node *basic_auth, *authorization, *oauth2, *tls, *headers, *proxy_headers;
    struct str bearer_token, bearer_token_file;
    struct str proxy_url, no_proxy;
    bool proxy_from_environment, follow_redirects, http2;
};

static const struct conf_field http_fields[] = {
    CONF_CUSTOM(struct raw_http, basic_auth, "basic_auth", "username, password, password_file",
                scrape_read_node),
    CONF_CUSTOM(struct raw_http, authorization, "authorization",
                "type (Bearer), credentials, credentials_file", scrape_read_node),
    CONF_CUSTOM(struct raw_http, oauth2, "oauth2", "refused: use authorization", scrape_read_node),
    CONF_STR(struct raw_http, bearer_token, "bearer_token", NULL,
             "old form of authorization.credentials"),
    CONF_STR(struct raw_http, bearer_token_file, "bearer_token_file", NULL,
             "old form of authorization.credentials_file"),
    CONF_CUSTOM(struct raw_http, tls, "tls_config",
                "ca_file, cert_file, key_file, server_name, insecure_skip_verify, min_version, "
                "max_version",
                scrape_read_node),
    CONF_BOOL(struct raw_http, follow_redirects, "follow_redirects", "true", "follow redirects"),
    CONF_BOOL(struct raw_http, http2, "enable_http2", "true",
              "accepted; libcurl decides about HTTP/2"),
    CONF_STR(struct raw_http, proxy_url, "proxy_url", NULL, "proxy to ask through"),
    CONF_STR(struct raw_http, no_proxy, "no_proxy", NULL, "hosts asked without the proxy"),
    CONF_BOOL(struct raw_http, proxy_from_environment, "proxy_from_environment", "false",
              "take HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment"),
    CONF_CUSTOM(struct raw_http, proxy_headers, "proxy_connect_header", "refused",
                scrape_read_node),
    CONF_CUSTOM(struct raw_http, headers, "http_headers", "headers to send: name, then values",
                scrape_read_node),
};

bool scrape_http_key(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(http_fields); i++) {
        if (str_eq(key, str_from_c(http_fields[i].key))) {
            return true;
        }
    }
    return false;
}

static bool given(const struct yaml_node *n)
{
    return n && !yaml_is_null(n);
}

static bool both(const struct yaml_node *n, const char *a, const char *b, struct err *e)
{
    return err_at(e, ERR_INPUT, n->line, n->col, "expected only one of %s and %s", a, b);
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "configuration needs more memory than it may have");
}

static bool read_basic(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct scrape_http *out, struct err *e)
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
    if (b.password.n && b.password_file.n) {
        return both(n, "password", "password_file", e);
    }
    out->basic_auth = true;
    out->username = b.username;
    out->password = b.password;
    out->password_file = scrape_join(dir, b.password_file, a);
    return out->password_file.p || no_memory(e);
}

static bool read_authorization(const struct yaml_node *n, const char *dir, struct arena *a,
                               struct scrape_http *out, struct err *e)
{
    struct auth {
        struct str type, credentials, file;
    } t = {.type = {NULL, 0}};
    static const struct conf_field fields[] = {
        CONF_STR(struct auth, type, "type", "Bearer", "first word of the header"),
        CONF_STR(struct auth, credentials, "credentials", NULL, "second word"),
        CONF_STR(struct auth, file, "credentials_file", NULL, "file with it, read at every scrape"),
    };
    if (!conf_read(fields, ARRAY_LEN(fields), n, &t, a, e)) {
        return false;
    }
    if (t.credentials.n && t.file.n) {
        return both(n, "credentials", "credentials_file", e);
    }
    if (str_eq_nocase(str_trim(t.type), STR("basic"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "authorization type \"basic\" is not allowed: use basic_auth");
    }
    out->authorization = true;
    out->auth_type = str_trim(t.type);
    out->credentials = t.credentials;
    out->credentials_file = scrape_join(dir, t.file, a);
    return out->credentials_file.p || no_memory(e);
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

static bool read_tls(const struct yaml_node *n, const char *dir, struct arena *a,
                     struct scrape_tls *out, struct err *e)
{
    struct tls {
        struct str ca, cert, key, ca_file, cert_file, key_file, server_name, min, max;
        bool insecure;
    } t = {.insecure = false};
    static const struct conf_field fields[] = {
        CONF_STR(struct tls, ca, "ca", NULL, "refused: use ca_file"),
        CONF_STR(struct tls, cert, "cert", NULL, "refused: use cert_file"),
        CONF_STR(struct tls, key, "key", NULL, "refused: use key_file"),
        CONF_STR(struct tls, ca_file, "ca_file", NULL, "certificates to trust"),
        CONF_STR(struct tls, cert_file, "cert_file", NULL, "our certificate"),
        CONF_STR(struct tls, key_file, "key_file", NULL, "its key"),
        CONF_STR(struct tls, server_name, "server_name", NULL, "name to ask for and to verify"),
        CONF_BOOL(struct tls, insecure, "insecure_skip_verify", "false", "do not verify"),
        CONF_STR(struct tls, min, "min_version", NULL, "TLS10, TLS11, TLS12, TLS13"),
        CONF_STR(struct tls, max, "max_version", NULL, "TLS10, TLS11, TLS12, TLS13"),
    };
    if (!conf_read(fields, ARRAY_LEN(fields), n, &t, a, e)) {
        return false;
    }
    if (t.ca.n || t.cert.n || t.key.n) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "certificates inside the configuration are not supported: use ca_file, "
                      "cert_file, key_file");
    }
    if ((t.cert_file.n == 0) != (t.key_file.n == 0)) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected both of cert_file and key_file");
    }
    out->ca_file = scrape_join(dir, t.ca_file, a);
    out->cert_file = scrape_join(dir, t.cert_file, a);
    out->key_file = scrape_join(dir, t.key_file, a);
    out->server_name = t.server_name;
    out->insecure_skip_verify = t.insecure;
    if (!out->ca_file.p || !out->cert_file.p || !out->key_file.p) {
        return no_memory(e);
    }
    return read_version(n, t.min, &out->tls_min, e) && read_version(n, t.max, &out->tls_max, e);
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

static bool read_header(const struct yaml_node *n, struct arena *a, struct scrape_header *out,
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
        return no_memory(e);
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

static bool read_headers(const struct yaml_node *n, struct arena *a, struct scrape_http *out,
                         struct err *e)
{
    if (n->kind != YAML_MAPPING) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a mapping of headers");
    }
    out->headers = ARENA_ARRAY(a, struct scrape_header, n->children_count);
    if (n->children_count > 0 && !out->headers) {
        return no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (!read_header(c, a, &out->headers[out->headers_n++], e)) {
            return false;
        }
    }
    return true;
}

static bool check_refused(const struct raw_http *r, struct err *e)
{
    if (given(r->oauth2)) {
        return err_at(e, ERR_INPUT, r->oauth2->line, r->oauth2->col,
                      "oauth2 is not supported: use authorization with a credentials_file that "
                      "another program keeps fresh");
    }
    if (given(r->proxy_headers)) {
        return err_at(e, ERR_INPUT, r->proxy_headers->line, r->proxy_headers->col,
                      "proxy_connect_header is not supported");
    }
    return true;
}

static bool check_combination(const struct yaml_node *job, const struct raw_http *r, struct err *e)
{
    bool bearer = r->bearer_token.n || r->bearer_token_file.n;
    if (r->bearer_token.n && r->bearer_token_file.n) {
        return both(job, "bearer_token", "bearer_token_file", e);
    }
    if (given(r->basic_auth) && (given(r->authorization) || bearer)) {
        return both(job, "basic_auth", "authorization", e);
    }
    if (given(r->authorization) && bearer) {
        return both(job, "authorization", "bearer_token", e);
    }
    if (r->proxy_from_environment && (r->proxy_url.n || r->no_proxy.n)) {
        return both(job, "proxy_from_environment", "proxy_url or no_proxy", e);
    }
    if (r->no_proxy.n && !r->proxy_url.n) {
        return err_at(e, ERR_INPUT, job->line, job->col, "no_proxy needs a proxy_url");
    }
    if (r->proxy_url.n && !str_starts(r->proxy_url, STR("http://")) &&
        !str_starts(r->proxy_url, STR("https://")) && !str_starts(r->proxy_url, STR("socks5://"))) {
        return err_at(e, ERR_INPUT, job->line, job->col,
                      "expected a proxy_url of http, https or socks5");
    }
    return true;
}

bool scrape_read_http(const struct yaml_node *job, const char *dir, struct arena *a,
                      struct scrape_http *out, struct err *e)
{
    struct raw_http r = {.basic_auth = NULL};
    struct yaml_node own = *job; /* only the keys about HTTP; the others were read before */
    struct yaml_node **tail = &own.first;
    own.children_count = 0;
    own.first = NULL;
    for (const struct yaml_node *c = job->first; c; c = c->next) {
        struct yaml_node *copy = scrape_http_key(c->key) ? ARENA_NEW(a, struct yaml_node) : NULL;
        if (copy) {
            *copy = *c;
            copy->next = NULL;
            *tail = copy;
            tail = &copy->next;
            own.children_count++;
        }
    }
    if (!conf_read(http_fields, ARRAY_LEN(http_fields), &own, &r, a, e) || !check_refused(&r, e) ||
        !check_combination(job, &r, e)) {
        return false;
    }
    out->proxy_url = r.proxy_url;
    out->no_proxy = r.no_proxy;
    out->proxy_from_environment = r.proxy_from_environment;
    out->follow_redirects = r.follow_redirects;
    if (r.bearer_token.n || r.bearer_token_file.n) {
        out->authorization = true;
        out->auth_type = STR("Bearer");
        out->credentials = r.bearer_token;
        out->credentials_file = scrape_join(dir, r.bearer_token_file, a);
    }
    return (!given(r.basic_auth) || read_basic(r.basic_auth, dir, a, out, e)) &&
           (!given(r.authorization) || read_authorization(r.authorization, dir, a, out, e)) &&
           (!given(r.tls) || read_tls(r.tls, dir, a, &out->tls, e)) &&
           (!given(r.headers) || read_headers(r.headers, a, out, e));
}

static bool check_file(struct str path, const struct scrape_config_options *o, struct err *e)
{
    char name[PATH_BYTES_MAX];
    int fd = -1;
    if (path.n == 0) {
        return true;
    }
    if (path.n >= sizeof name) {
        return err_set(e, ERR_INPUT, "expected a path of less than %d bytes", PATH_BYTES_MAX);
    }
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    int rc = o->os->open(o->os->ctx, name, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", name);
    }
    o->os->close(o->os->ctx, fd);
    return true;
}

bool scrape_check_files(const struct scrape_http *h, const struct scrape_config_options *o,
                        struct err *e)
{
    return check_file(h->password_file, o, e) && check_file(h->credentials_file, o, e) &&
           check_file(h->tls.ca_file, o, e) && check_file(h->tls.cert_file, o, e) &&
           check_file(h->tls.key_file, o, e);
}
