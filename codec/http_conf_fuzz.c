/* Any YAML as a section that asks over HTTP: read within its rules or refused with a reason, for
 * both clients. */
#include "codec/http_conf.h"

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct section {
    struct http_conf_raw http;
};

static const struct conf_field fields[] = {HTTP_CONF_ROWS(struct section, http),
                                           HTTP_CONF_ROWS_FETCH(struct section, http)};

static bool is_path(struct str s)
{
    return s.n == 0 || (s.p[0] == '/' && s.n < PATH_BYTES_MAX);
}

static void check(const struct http_conf *c, enum http_conf_client client)
{
    ASSERT(!(c->basic_auth && c->authorization));
    ASSERT(c->authorization == (c->auth_type.n > 0));
    ASSERT(c->password.n == 0 || c->password_file.n == 0);
    ASSERT(c->credentials.n == 0 || c->credentials_file.n == 0);
    ASSERT(is_path(c->password_file) && is_path(c->credentials_file));
    ASSERT(is_path(c->tls.ca_file) && is_path(c->tls.cert_file) && is_path(c->tls.key_file));
    ASSERT(c->tls.tls_min == 0 || (c->tls.tls_min >= 10 && c->tls.tls_min <= 13));
    for (uint32_t i = 0; i < c->headers_n; i++) {
        ASSERT(!str_cut(c->headers[i].name, ':').ok);
        for (uint32_t k = 0; k < c->headers[i].values.count; k++) {
            ASSERT(!str_cut(c->headers[i].values.v[k], '\n').ok);
        }
    }
    if (client == HTTP_CONF_SEND) {
        ASSERT(!c->basic_auth || c->username.n > 0);
        ASSERT(c->headers_n == 0 && c->proxy_url.n == 0 && !c->proxy_from_environment);
        ASSERT(c->tls.server_name.n == 0 && c->tls.tls_min == 0 && c->tls.tls_max == 0);
    } else {
        ASSERT((c->tls.cert_file.n == 0) == (c->tls.key_file.n == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena a;
    struct yaml_node *n = NULL;
    if (size > 8192) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 16U << 20);
    for (int client = HTTP_CONF_FETCH; client <= HTTP_CONF_SEND; client++) {
        struct section s = {.http = {.basic_auth = NULL}};
        struct http_conf c;
        struct err e = {0};
        arena_reset(&a);
        if (yaml_parse(str_of((const char *)data, size), "f", &a, &n, &e) &&
            conf_read(fields, ARRAY_LEN(fields), n, &s, &a, &e) &&
            http_conf_read(&s.http, n, "/etc", (enum http_conf_client)client, &a, &c, &e)) {
            check(&c, (enum http_conf_client)client);
        } else {
            ASSERT(e.msg[0]);
        }
    }
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
