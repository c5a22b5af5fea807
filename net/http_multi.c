/* Many GETs on one thread over one libcurl multi handle.
 *
 * libcurl does connections, TLS, redirects and decompression; here are the bounds, the reuse of
 * buffers and the words of errors. Each fetch keeps its easy handle with all options set, so that
 * asking again is one call; buffers of bodies are handed around, since few exchanges run at once.
 *
 * Never: proxies from the environment unless asked, other protocols than http and https, signals,
 * passwords towards another host after a redirect. */
#include "net/http_multi.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <time.h>

#define REDIRECTS_MAX 10
#define READ_BYTES    65536L /* at once; pages are 50 KB and more */
#define BODIES_KEPT   16
#define BODY_KEPT_MAX (8 << 20) /* a larger buffer is not kept for the next */

struct http_fetch {
    struct http_multi *multi; /* borrows */
    struct http_fetch *next_done;
    CURL *curl;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    char host_header[300]; /* of the URL when server_name replaces it, else empty */
    void (*done)(void *ctx, const struct http_got *got);
    void *ctx;
    struct buf body;
    size_t body_bytes_max;
    int64_t timeout_ms;
    int64_t started_ns;
    bool running, too_large;
    char reason[CURL_ERROR_SIZE];
};

struct http_multi {
    struct mem *mem; /* borrows */
    CURLM *curl;
    struct buf bodies[BODIES_KEPT]; /* empty ones with memory */
    uint32_t bodies_n;
    struct http_fetch *calling; /* whose callback runs; NULL when it freed itself */
};

static int64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_from_s(t.tv_sec) + t.tv_nsec;
}

struct http_multi *http_multi_new(struct mem *m, uint32_t connections_max)
{
    struct http_multi *h = mem_take(m, sizeof *h);
    if (!h) {
        return NULL;
    }
    h->mem = m;
    h->curl = curl_multi_init();
    bool ok = h->curl != NULL;
    ok = ok && curl_multi_setopt(h->curl, CURLMOPT_MAXCONNECTS, (long)connections_max) == CURLM_OK;
    if (!ok) {
        http_multi_free(h);
        return NULL;
    }
    return h;
}

void http_multi_free(struct http_multi *h)
{
    if (!h) {
        return;
    }
    for (uint32_t i = 0; i < h->bodies_n; i++) {
        buf_release(&h->bodies[i]);
    }
    if (h->curl) {
        curl_multi_cleanup(h->curl);
    }
    mem_give(h->mem, h, sizeof *h);
}

/* --- bodies ------------------------------------------------------------------------------- */

static void body_take(struct http_fetch *f)
{
    struct http_multi *h = f->multi;
    if (h->bodies_n > 0) {
        f->body = h->bodies[--h->bodies_n];
        f->body.bytes_max = f->body_bytes_max;
    } else {
        buf_init(&f->body, h->mem, f->body_bytes_max);
    }
}

static void body_give(struct http_fetch *f)
{
    struct http_multi *h = f->multi;
    if (f->body.cap > 0 && f->body.cap <= BODY_KEPT_MAX && h->bodies_n < BODIES_KEPT) {
        buf_reset(&f->body);
        h->bodies[h->bodies_n++] = f->body;
    } else {
        buf_release(&f->body);
    }
    buf_init(&f->body, h->mem, f->body_bytes_max);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct http_fetch *f = ctx;
    /* The buffer may have been another fetch's, with room for more than ours may have. */
    f->too_large = size * n > f->body_bytes_max - f->body.n;
    if (!f->too_large) {
        buf_add(&f->body, p, size * n);
    }
    return f->too_large || f->body.failed ? 0 : size * n;
}

/* Every answer of a chain of redirects begins anew. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct http_fetch *f = ctx;
    if (str_starts(str_of(p, size * n), STR("HTTP/"))) {
        buf_reset(&f->body);
    }
    return size * n;
}

/* --- options ------------------------------------------------------------------------------ */

static bool set_str(CURL *c, CURLoption o, const char *value)
{
    return !value || curl_easy_setopt(c, o, value) == CURLE_OK;
}

static bool set_long(CURL *c, CURLoption o, long value)
{
    return curl_easy_setopt(c, o, value) == CURLE_OK;
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer) {
        *list = longer;
    }
    return longer != NULL;
}

static bool set_basics(struct http_fetch *f, const struct http_fetch_options *o)
{
    CURL *c = f->curl;
    bool ok = set_str(c, CURLOPT_URL, o->url);
    ok = ok && set_long(c, CURLOPT_NOSIGNAL, 1L);
    ok = ok && set_str(c, CURLOPT_PROTOCOLS_STR, "http,https");
    ok = ok && set_str(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    ok = ok && set_long(c, CURLOPT_TCP_NODELAY, 1L);
    ok = ok && set_long(c, CURLOPT_BUFFERSIZE, READ_BYTES);
    ok = ok && set_long(c, CURLOPT_FOLLOWLOCATION, o->follow_redirects ? 1L : 0L);
    ok = ok && set_long(c, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    ok = ok && set_long(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    ok = ok && set_long(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->timeout_ms);
    ok = ok && set_str(c, CURLOPT_ACCEPT_ENCODING, o->gzip ? "gzip" : NULL);
    ok = ok && curl_easy_setopt(c, CURLOPT_PRIVATE, f) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->reason) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_WRITEDATA, f) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_HEADERDATA, f) == CURLE_OK;
    if (o->username || o->password) {
        ok = ok && set_long(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        ok = ok && set_str(c, CURLOPT_USERNAME, o->username ? o->username : "");
        ok = ok && set_str(c, CURLOPT_PASSWORD, o->password ? o->password : "");
    }
    if (!o->proxy_from_environment) {
        ok = ok && set_str(c, CURLOPT_PROXY, o->proxy ? o->proxy : "");
    }
    return ok && set_str(c, CURLOPT_NOPROXY, o->no_proxy);
}

static long tls_version(int min, int max)
{
    static const struct {
        int version;
        long min, max;
    } rows[] = {{10, CURL_SSLVERSION_TLSv1_0, CURL_SSLVERSION_MAX_TLSv1_0},
                {11, CURL_SSLVERSION_TLSv1_1, CURL_SSLVERSION_MAX_TLSv1_1},
                {12, CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_2},
                {13, CURL_SSLVERSION_TLSv1_3, CURL_SSLVERSION_MAX_TLSv1_3}};
    long v = CURL_SSLVERSION_DEFAULT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        v |= rows[i].version == min ? rows[i].min : 0;
        v |= rows[i].version == max ? rows[i].max : 0;
    }
    return v;
}

/* libcurl sends the URL's host as the TLS server name; another one goes into the URL, the host that
 * is really asked into CONNECT_TO and the Host header. */
static bool set_server_name(struct http_fetch *f, const struct http_fetch_options *o)
{
    CURLU *u = curl_url();
    char *host = NULL;
    char *port = NULL;
    char *url = NULL;
    char line[600];
    bool ok = u && curl_url_set(u, CURLUPART_URL, o->url, 0) == CURLUE_OK;
    ok = ok && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
    ok = ok && curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok) {
        int n = snprintf(line, sizeof line, "%s:%s:%s:%s", o->server_name, port, host, port);
        ok = n > 0 && (size_t)n < sizeof line && add_header(&f->connect_to, line);
        n = snprintf(f->host_header, sizeof f->host_header, "Host: %s:%s", host, port);
        ok = ok && n > 0 && (size_t)n < sizeof f->host_header;
    }
    ok = ok && curl_url_set(u, CURLUPART_HOST, o->server_name, 0) == CURLUE_OK;
    ok = ok && curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK;
    ok = ok && set_str(f->curl, CURLOPT_URL, url);
    ok = ok && curl_easy_setopt(f->curl, CURLOPT_CONNECT_TO, f->connect_to) == CURLE_OK;
    curl_free(host);
    curl_free(port);
    curl_free(url);
    curl_url_cleanup(u);
    return ok;
}

static bool set_tls(struct http_fetch *f, const struct http_fetch_options *o)
{
    CURL *c = f->curl;
    bool ok = set_str(c, CURLOPT_CAINFO, o->ca_file);
    ok = ok && set_str(c, CURLOPT_SSLCERT, o->cert_file);
    ok = ok && set_str(c, CURLOPT_SSLKEY, o->key_file);
    ok = ok && set_long(c, CURLOPT_SSL_VERIFYPEER, o->insecure_skip_verify ? 0L : 1L);
    ok = ok && set_long(c, CURLOPT_SSL_VERIFYHOST, o->insecure_skip_verify ? 0L : 2L);
    ok = ok && set_long(c, CURLOPT_SSLVERSION, tls_version(o->tls_min, o->tls_max));
    bool https = str_starts(str_from_c(o->url), STR("https:"));
    return ok && (!o->server_name || !https || set_server_name(f, o));
}

bool http_fetch_set(struct http_fetch *f, const char *const *headers, const char *password,
                    struct err *e)
{
    struct curl_slist *list = NULL;
    bool ok = !f->host_header[0] || add_header(&list, f->host_header);
    for (size_t i = 0; ok && headers && headers[i]; i++) {
        ok = add_header(&list, headers[i]);
    }
    ok = ok && curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, list) == CURLE_OK;
    ok = ok && set_str(f->curl, CURLOPT_PASSWORD, password);
    if (!ok) {
        curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, f->headers);
        curl_slist_free_all(list);
        return err_set(e, ERR_NOMEM, "no memory for a request");
    }
    curl_slist_free_all(f->headers);
    f->headers = list;
    return true;
}

bool http_fetch_new(struct http_multi *h, const struct http_fetch_options *o,
                    void (*done)(void *ctx, const struct http_got *got), void *ctx,
                    struct http_fetch **out, struct err *e)
{
    struct http_fetch *f = mem_take(h->mem, sizeof *f);
    *out = NULL;
    if (!f) {
        return err_set(e, ERR_NOMEM, "no memory for a request");
    }
    f->multi = h;
    f->done = done;
    f->ctx = ctx;
    f->body_bytes_max = o->body_bytes_max;
    f->timeout_ms = o->timeout_ms;
    buf_init(&f->body, h->mem, o->body_bytes_max);
    f->curl = curl_easy_init();
    bool ok = f->curl && set_basics(f, o);
    ok = ok && set_tls(f, o);
    ok = ok && http_fetch_set(f, o->headers, NULL, e);
    if (!ok) {
        http_fetch_free(f);
        struct str url = str_sub(str_from_c(o->url), 0, 100);
        return err_set(e, ERR_INPUT, "cannot prepare requests to \"%.*s\"", STR_FMT(url));
    }
    *out = f;
    return true;
}

void http_fetch_free(struct http_fetch *f)
{
    if (!f) {
        return;
    }
    if (f->running) {
        curl_multi_remove_handle(f->multi->curl, f->curl);
    }
    if (f->multi->calling == f) {
        f->multi->calling = NULL;
    }
    curl_easy_cleanup(f->curl);
    curl_slist_free_all(f->headers);
    curl_slist_free_all(f->connect_to);
    buf_release(&f->body);
    mem_give(f->multi->mem, f, sizeof *f);
}

bool http_fetch_running(const struct http_fetch *f)
{
    return f->running;
}

bool http_fetch_start(struct http_fetch *f, struct err *e)
{
    ASSERT(!f->running);
    f->too_large = false;
    f->reason[0] = '\0';
    buf_release(&f->body);
    body_take(f);
    f->started_ns = mono_ns();
    if (curl_multi_add_handle(f->multi->curl, f->curl) != CURLM_OK) {
        body_give(f);
        return err_set(e, ERR_NOMEM, "no memory for a request");
    }
    f->running = true;
    return true;
}

/* --- work --------------------------------------------------------------------------------- */

static bool say_failure(struct http_fetch *f, CURLcode code, struct err *e)
{
    const char *why = f->reason[0] ? f->reason : curl_easy_strerror(code);
    if (f->too_large) {
        return err_set(e, ERR_LIMIT,
                       "body size limit exceeded: the answer is larger than %zu bytes",
                       f->body_bytes_max);
    }
    if (f->body.failed) {
        return err_set(e, ERR_NOMEM, "no memory for the answer");
    }
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY: return err_set(e, ERR_NOMEM, "no memory for a request");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return err_set(e, ERR_INPUT, "cannot use the URL: %s", why);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERR_BUSY, "timeout: no whole answer within %lld ms",
                       (long long)f->timeout_ms);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT: return err_set(e, ERR_BUSY, "cannot connect: %s", why);
    default: return err_set(e, ERR_IO, "no whole answer: %s", why);
    }
}

static void finish(struct http_multi *h, struct http_fetch *f, CURLcode code)
{
    struct err e = {.code = ERR_NONE};
    struct http_got got = {.body = &f->body, .duration_ns = mono_ns() - f->started_ns};
    char *type = NULL;
    curl_multi_remove_handle(h->curl, f->curl);
    f->running = false;
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(f->curl, CURLINFO_CONTENT_TYPE, &type);
        got.status = (int)status;
        got.content_type = type ? str_from_c(type) : str_of("", 0);
    } else {
        (void)say_failure(f, code, &e);
        got.e = &e;
    }
    h->calling = f;
    f->done(f->ctx, &got);
    if (h->calling == f && !f->running) {
        body_give(f);
    }
    h->calling = NULL;
}

void http_multi_wait(struct http_multi *h, int64_t timeout_ms)
{
    curl_multi_poll(h->curl, NULL, 0, (int)i64_min(timeout_ms, INT32_MAX), NULL);
}

void http_multi_work(struct http_multi *h)
{
    int running = 0;
    int left = 0;
    CURLMsg *msg = NULL;
    curl_multi_perform(h->curl, &running);
    while ((msg = curl_multi_info_read(h->curl, &left)) != NULL) {
        char *private = NULL;
        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        /* finish removes the handle, so the message is not read again. */
        finish(h, (struct http_fetch *)(void *)private, code);
    }
}

void http_multi_run(struct http_multi *h, int64_t timeout_ms)
{
    http_multi_work(h);
    if (timeout_ms > 0) {
        http_multi_wait(h, timeout_ms);
        http_multi_work(h);
    }
}

void http_multi_wake(struct http_multi *h)
{
    curl_multi_wakeup(h->curl);
}
