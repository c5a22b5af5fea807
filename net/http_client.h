/* HTTP client for the command line and senders: libcurl, one connection kept, blocking with
 * timeouts. thread: one client per thread. Redirects are not followed, proxies not used. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdatomic.h>

struct http_client;

struct http_answer {
    int status;
    struct buf body;
    int64_t retry_after_ms; /* from Retry-After in seconds; -1 when absent */
};

struct http_client *http_client_new(struct mem *m, int64_t connect_timeout_ms,
                                    int64_t total_timeout_ms);
void http_client_free(struct http_client *c);

/* For https. Absent strings are NULL, then the system's certificates count. */
struct http_client_tls {
    const char *ca_file, *cert_file, *key_file;
    bool insecure_skip_verify;
};
/* Strings are copied. ERR_NOMEM. */
MUST_USE bool http_client_tls_set(struct http_client *c, const struct http_client_tls *t,
                                  struct err *e);
/* Exchanges end within about a second (ERR_IO) once *stop is true. stop is borrowed. */
void http_client_stop_on(struct http_client *c, const atomic_bool *stop);

/* headers: "Name: value" strings, NULL-terminated, may be NULL. The body of the answer is bounded
 * by answer_bytes_max (ERR_LIMIT). A connection that cannot be made is ERR_BUSY, broken is ERR_IO.
 * The caller releases answer->body (buf_release), which was taken from the client's mem. */
MUST_USE bool http_client_do(struct http_client *c, const char *method, const char *url,
                             const char *const *headers, struct str body, size_t answer_bytes_max,
                             struct http_answer *answer, struct err *e);

#endif
