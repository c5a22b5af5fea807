/* A blocking HTTP client over one libcurl easy handle, for commands and senders.
 *
 * libcurl does the protocol and keeps one connection; here are the bounds (answer bytes, times),
 * the mapping of its errors to ours, and what it must not do on its own: follow redirects, use
 * proxies from the environment, speak other protocols, raise signals, wait for "100 Continue". */
#include "net/http_client.h"

#include <curl/curl.h>

struct http_client {
    struct mem *mem; /* borrows */
    CURL *curl;
    const atomic_bool *stop; /* borrows; NULL = never */
};

/* What the callbacks of one transfer share. */
struct transfer {
    struct http_answer *answer;
    bool too_large;
};

struct http_client *http_client_new(struct mem *m, int64_t connect_timeout_ms,
                                    int64_t total_timeout_ms)
{
    struct http_client *c = mem_take(m, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->mem = m;
    c->curl = curl_easy_init();
    bool ok = c->curl != NULL;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_PROXY, "") == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_MAXCONNECTS, 1L) == CURLE_OK;
    ok = ok &&
         curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)total_timeout_ms) == CURLE_OK;
    if (!ok) {
        http_client_free(c);
        return NULL;
    }
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c) {
        return;
    }
    curl_easy_cleanup(c->curl);
    mem_give(c->mem, c, sizeof *c);
}

bool http_client_tls_set(struct http_client *c, const struct http_client_tls *t, struct err *e)
{
    const bool ok =
        (!t->ca_file || curl_easy_setopt(c->curl, CURLOPT_CAINFO, t->ca_file) == CURLE_OK) &&
        (!t->cert_file || curl_easy_setopt(c->curl, CURLOPT_SSLCERT, t->cert_file) == CURLE_OK) &&
        (!t->key_file || curl_easy_setopt(c->curl, CURLOPT_SSLKEY, t->key_file) == CURLE_OK) &&
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, t->insecure_skip_verify ? 0L : 1L) ==
            CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, t->insecure_skip_verify ? 0L : 2L) ==
            CURLE_OK;
    return ok || err_set(e, ERR_NOMEM, "cannot set the certificates of a client");
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const struct http_client *c = ctx;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return c->stop && atomic_load(c->stop) ? 1 : 0;
}

void http_client_stop_on(struct http_client *c, const atomic_bool *stop)
{
    c->stop = stop;
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    buf_add(&t->answer->body, p, size * n);
    t->too_large = t->answer->body.failed;
    return t->too_large ? 0 : size * n;
}

/* One header line; a status line starts anew, since an interim answer may come before the real
 * one. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct str line = str_of(p, size * n);
    struct str_cut cut = str_cut(line, ':');
    uint64_t seconds = 0;
    if (str_starts(line, STR("HTTP/"))) {
        t->answer->retry_after_ms = -1;
    } else if (cut.ok && str_eq_nocase(cut.head, STR("retry-after")) &&
               str_to_u64(str_trim(cut.tail), &seconds) && seconds <= INT32_MAX) {
        t->answer->retry_after_ms = (int64_t)seconds * 1000;
    }
    return size * n;
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer) {
        *list = longer;
    }
    return longer != NULL;
}

static bool set_method(CURL *curl, const char *method, struct str body)
{
    bool head = str_eq(str_from_c(method), STR("HEAD"));
    bool get = str_eq(str_from_c(method), STR("GET"));
    /* Undoes what the last call set. */
    bool ok = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, NULL) == CURLE_OK;
    ok = ok && curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    if (head) {
        return ok && curl_easy_setopt(curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    if (body.n > 0 || !get) {
        ok = ok && curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK;
        ok = ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.n ? body.p : "") == CURLE_OK;
        ok = ok &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) == CURLE_OK;
    }
    return ok && curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
}

static bool transfer_failed(struct http_client *c, CURLcode code, const struct transfer *t,
                            const char *reason, struct err *e)
{
    double connect_s = 0;
    curl_easy_getinfo(c->curl, CURLINFO_CONNECT_TIME, &connect_s);
    const char *why = reason[0] ? reason : curl_easy_strerror(code);
    if (t->too_large) {
        return err_set(e, ERR_LIMIT, "expected an answer of at most %zu bytes, found more",
                       t->answer->body.bytes_max);
    }
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY: return err_set(e, ERR_NOMEM, "no memory for a request");
    case CURLE_UNSUPPORTED_PROTOCOL: /* also what an answer that is not HTTP/1 gives */
        if (connect_s > 0) {
            break;
        }
        return err_set(e, ERR_INPUT, "cannot use the URL: %s", why);
    case CURLE_URL_MALFORMAT: return err_set(e, ERR_INPUT, "cannot use the URL: %s", why);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT: return err_set(e, ERR_BUSY, "cannot connect: %s", why);
    case CURLE_OPERATION_TIMEDOUT:
        if (connect_s <= 0) {
            return err_set(e, ERR_BUSY, "cannot connect: %s", why);
        }
        break;
    default: break;
    }
    return err_set(e, ERR_IO, "no whole answer: %s", why);
}

bool http_client_do(struct http_client *c, const char *method, const char *url,
                    const char *const *headers, struct str body, size_t answer_bytes_max,
                    struct http_answer *answer, struct err *e)
{
    char reason[CURL_ERROR_SIZE] = {0};
    struct curl_slist *list = NULL;
    struct transfer t = {answer, false};
    *answer = (struct http_answer){.retry_after_ms = -1};
    buf_init(&answer->body, c->mem, answer_bytes_max);
    bool ok = add_header(&list, "Expect:");
    for (size_t i = 0; ok && headers && headers[i]; i++) {
        ok = add_header(&list, headers[i]);
    }
    ok = ok && set_method(c->curl, method, body);
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, reason) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &t) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
    ok = ok && curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &t) == CURLE_OK;
    CURLcode code = ok ? curl_easy_perform(c->curl) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        answer->status = (int)status;
    } else {
        ok = transfer_failed(c, code, &t, reason, e);
        buf_release(&answer->body);
    }
    /* What the handle keeps must not point into this frame. */
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    curl_slist_free_all(list);
    return ok;
}
