/* How a client asks over HTTP, in the keys that the sections of prometheus.yml share (its
 * http_config): authentication, TLS, proxies, redirects, headers. One reader for all who ask.
 *
 *     struct raw {
 *         struct http_conf_raw http;
 *         ...
 *     };
 *     static const struct conf_field fields[] = {HTTP_CONF_ROWS(struct raw, http), ...};
 *     conf_read(fields, ..., n, &raw, ...) && http_conf_read(&raw.http, n, ...)
 *
 * A client that can do all of it takes HTTP_CONF_ROWS_FETCH too. What a client cannot do is refused
 * by name, never ignored:
 *
 *     key                                              HTTP_CONF_FETCH   HTTP_CONF_SEND
 *     basic_auth: username, password, password_file    read              read, needs a username
 *     authorization: type, credentials(_file)          type not Basic    read
 *     tls_config: ca_file, insecure_skip_verify        read              read
 *         cert_file, key_file                          both or none      read, one may hold both
 *         server_name, min_version, max_version        read              refused
 *     follow_redirects                                 read              accepted, not followed
 *     enable_http2                                     accepted          accepted
 *     proxy_url, no_proxy, proxy_from_environment      read              refused
 *     http_headers: values, secrets                    read              refused
 *     bearer_token, bearer_token_file (old forms)      read              refused
 *     oauth2, proxy_connect_header, username_file,
 *     files of headers, certificates written here      refused           refused */
#ifndef CODEC_HTTP_CONF_H
#define CODEC_HTTP_CONF_H

#include "codec/conf.h"

/* Which client will ask: that of net/http_multi.h, or that of net/http_client.h. */
enum http_conf_client { HTTP_CONF_FETCH, HTTP_CONF_SEND };

struct http_conf_header {
    struct str name;
    struct conf_strs values;
};

struct http_conf_tls {
    struct str ca_file, cert_file, key_file, server_name;
    bool insecure_skip_verify;
    int tls_min, tls_max; /* 10, 11, 12, 13 for TLS 1.0...; 0 = not said */
};

/* lifetime: the arena's. Absent strings are empty. Files are named here, not opened; paths are
 * shorter than PATH_BYTES_MAX. auth_type is not empty if authorization is given. */
struct http_conf {
    struct str username, password, password_file;
    bool basic_auth;
    struct str auth_type, credentials, credentials_file;
    bool authorization;
    struct http_conf_tls tls;
    struct str proxy_url, no_proxy;
    bool proxy_from_environment, follow_redirects;
    struct http_conf_header *headers;
    uint32_t headers_n;
};

/* What the rows fill. lifetime: nodes as the YAML tree. */
struct http_conf_raw {
    const struct yaml_node *basic_auth, *authorization, *oauth2, *tls, *headers, *proxy_headers;
    struct str bearer_token, bearer_token_file, proxy_url, no_proxy;
    bool proxy_from_environment, follow_redirects, http2;
};

/* Rows of a section's table; m is a struct http_conf_raw inside T. */
#define HTTP_CONF_ROWS(T, m)                                                                      \
    CONF_CUSTOM(T, m.basic_auth, "basic_auth", "username, password, password_file", conf_node),   \
        CONF_CUSTOM(T, m.authorization, "authorization",                                          \
                    "type (Bearer), credentials, credentials_file", conf_node),                   \
        CONF_CUSTOM(T, m.oauth2, "oauth2", "refused: use authorization", conf_node),              \
        CONF_CUSTOM(T, m.tls, "tls_config", "ca_file, cert_file, key_file, insecure_skip_verify", \
                    conf_node),                                                                   \
        CONF_BOOL(T, m.follow_redirects, "follow_redirects", "true",                              \
                  "follow redirects; senders accept it and follow none"),                         \
        CONF_BOOL(T, m.http2, "enable_http2", "true", "accepted; libcurl decides about HTTP/2"),  \
        CONF_STR(T, m.proxy_url, "proxy_url", NULL, "proxy to ask through; refused by senders")
#define HTTP_CONF_ROWS_FETCH(T, m)                                                              \
    CONF_STR(T, m.bearer_token, "bearer_token", NULL, "old form of authorization.credentials"), \
        CONF_STR(T, m.bearer_token_file, "bearer_token_file", NULL,                             \
                 "old form of authorization.credentials_file"),                                 \
        CONF_STR(T, m.no_proxy, "no_proxy", NULL, "hosts asked without the proxy"),             \
        CONF_BOOL(T, m.proxy_from_environment, "proxy_from_environment", "false",               \
                  "take HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment"),              \
        CONF_CUSTOM(T, m.proxy_headers, "proxy_connect_header", "refused", conf_node),          \
        CONF_CUSTOM(T, m.headers, "http_headers", "headers to send: name, then values", conf_node)

/* n: the mapping that raw was read from. Paths begin in dir. *out is overwritten, on failure too.
 * ERR_INPUT with the place of the value that is wrong, or of the mapping that holds it or the keys
 * that exclude each other; ERR_LIMIT: the arena is full. Linear in the number of values. */
MUST_USE bool http_conf_read(const struct http_conf_raw *raw, const struct yaml_node *n,
                             const char *dir, enum http_conf_client client, struct arena *a,
                             struct http_conf *out, struct err *e);

#endif
