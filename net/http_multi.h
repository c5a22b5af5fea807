/* Many GETs at once on one thread: libcurl's multi interface, connections kept between rounds.
 *
 * A fetch is one request that is asked again and again (a target that is scraped): its options are
 * set once, its connection stays open. http_multi_run does the work of all of them and calls back
 * those that have ended.
 *
 * thread: one, the one that calls http_multi_run; http_multi_wake from any. */
#ifndef NET_HTTP_MULTI_H
#define NET_HTTP_MULTI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct http_multi;
struct http_fetch;

/* Copied by http_fetch_new, strings included (libcurl keeps its own). Absent strings are NULL. */
struct http_fetch_options {
    const char *url;
    const char *const *headers;      /* "Name: value", NULL-terminated; may be NULL */
    int64_t timeout_ms;              /* of the whole exchange */
    size_t body_bytes_max;           /* after decompression; more is ERR_LIMIT */
    bool gzip;                       /* ask for it and unpack it */
    bool follow_redirects;           /* at most 10, http and https only */
    const char *username, *password; /* basic authentication */
    const char *proxy;               /* URL; "" = none; NULL = none either */
    const char *no_proxy;            /* hosts, separated by commas */
    bool proxy_from_environment;
    /* TLS. server_name is asked for and verified instead of the URL's host. */
    const char *ca_file, *cert_file, *key_file, *server_name;
    bool insecure_skip_verify;
    int tls_min, tls_max; /* 10, 11, 12, 13 for TLS 1.0...; 0 = the library's */
};

/* What came of one exchange. Valid during the callback, until the fetch is started again or
 * freed. */
struct http_got {
    int status;              /* 0 when there was no whole answer: then e says why */
    struct str content_type; /* "" when absent */
    const struct buf *body;
    int64_t duration_ns; /* from start to the last byte */
    const struct err *e; /* NULL when status is set */
};

/* connections_max: kept open between rounds; more fetches than that reconnect. NULL without
 * memory. */
struct http_multi *http_multi_new(struct mem *m, uint32_t connections_max);
/* All fetches must have been freed. */
void http_multi_free(struct http_multi *h);

/* done(ctx, got) is called from http_multi_run, once per http_fetch_start that is not cancelled. It
 * may start or free any fetch, this one too. */
MUST_USE bool http_fetch_new(struct http_multi *h, const struct http_fetch_options *o,
                             void (*done)(void *ctx, const struct http_got *got), void *ctx,
                             struct http_fetch **out, struct err *e);
/* Cancels when running; done is not called then. */
void http_fetch_free(struct http_fetch *f);
/* Changes a header or password that is read from a file: headers as in the options, replacing all;
 * password NULL leaves it. */
MUST_USE bool http_fetch_set(struct http_fetch *f, const char *const *headers, const char *password,
                             struct err *e);
/* Must not be running. */
MUST_USE bool http_fetch_start(struct http_fetch *f, struct err *e);
bool http_fetch_running(const struct http_fetch *f);

/* Moves bytes and calls back; waits at most timeout_ms for something to happen (0: does not wait).
 * Returns early when woken. */
void http_multi_run(struct http_multi *h, int64_t timeout_ms);
/* The two halves of it, for a caller that holds a lock while callbacks run, but not while
 * waiting. */
void http_multi_wait(struct http_multi *h, int64_t timeout_ms);
void http_multi_work(struct http_multi *h);
void http_multi_wake(struct http_multi *h);

#endif
