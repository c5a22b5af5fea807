/* Answers: made by the application on any thread, sent by the I/O thread of the connection.
 *
 * http_respond never touches the connection but to wake it, and looks before that under the
 * request's lock whether there still is one. That, and the answerer's own reference, is the whole
 * defence against a client or a server that has gone meanwhile: the answer is then thrown away.
 *
 * The body is copied once, because its struct mem belongs to the application's thread and the
 * library frees on its own. Memory here comes from malloc for the same reason; it is bounded by
 * connections_max and by what the application answers. Lock order: request's mu, then server's mu,
 * then the library's. */
#include "net/http_int.h"

#include <stdlib.h>
#include <sys/socket.h>

#define RAW_HEAD_BYTES_MAX 512

void http_request_unref(struct http_request *rq)
{
    if (atomic_fetch_sub_explicit(&rq->refs, 1, memory_order_acq_rel) == 1) {
        pthread_mutex_destroy(&rq->mu);
        free(rq);
    }
}

void http_list_add(struct http_server *s, struct http_request *rq)
{
    ASSERT(!rq->linked);
    rq->prev = NULL;
    rq->next = s->suspended;
    if (rq->next) {
        rq->next->prev = rq;
    }
    s->suspended = rq;
    rq->linked = true;
}

void http_list_remove(struct http_server *s, struct http_request *rq)
{
    if (!rq->linked) {
        return;
    }
    if (rq->prev) {
        rq->prev->next = rq->next;
    } else {
        s->suspended = rq->next;
    }
    if (rq->next) {
        rq->next->prev = rq->prev;
    }
    rq->prev = NULL;
    rq->next = NULL;
    rq->linked = false;
}

bool http_answer_headers(struct MHD_Response *r, const char *content_type, bool close_after,
                         const char *const *headers)
{
    bool ok = MHD_add_response_header(r, "X-Content-Type-Options", "nosniff") == MHD_YES;
    if (content_type) {
        ok =
            ok && MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) == MHD_YES;
    }
    for (size_t i = 0; headers && headers[i]; i += 2) {
        ASSERT(headers[i + 1] != NULL);
        ok = ok && MHD_add_response_header(r, headers[i], headers[i + 1]) == MHD_YES;
    }
    if (close_after) {
        ok = ok && MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    }
    return ok;
}

/* NULL without memory: the connection is then closed without an answer. */
static struct MHD_Response *response_new(struct str body, const char *content_type,
                                         bool close_after, const char *const *headers,
                                         const char **copy)
{
    char *p = malloc(body.n ? body.n : 1);
    if (!p) {
        return NULL;
    }
    if (body.n > 0) {
        memcpy(p, body.p, body.n);
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, p, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(p);
        return NULL;
    }
    *copy = p;
    if (!http_answer_headers(r, content_type, close_after, headers)) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

void http_wake(struct http_request *rq)
{
    if (!rq->closed && rq->suspended) {
        /* Resumed before it leaves the list: a stop that finds the list empty goes on to stop the
         * library, which must not have sleepers then. */
        pthread_mutex_lock(&rq->server->mu);
        rq->suspended = false;
        MHD_resume_connection(rq->conn);
        http_list_remove(rq->server, rq);
        pthread_mutex_unlock(&rq->server->mu);
    }
}

void http_answer_give(struct http_request *rq, int status, struct MHD_Response *r)
{
    ASSERT(!rq->answered && !rq->closed);
    rq->answered = true;
    rq->response = r;
    rq->status = status;
    atomic_fetch_add_explicit(&rq->server->status[status / 100], 1, memory_order_relaxed);
    http_wake(rq);
}

void http_answer_set(struct http_request *rq, int status, const char *content_type, struct str body,
                     const char *const *headers)
{
    ASSERT(status >= 200 && status <= 599);
    const char *copy = NULL;
    pthread_mutex_lock(&rq->mu);
    ASSERT(!rq->answered);
    if (rq->closed) {
        rq->answered = true;
    } else {
        struct MHD_Response *r = response_new(body, content_type, rq->close_after, headers, &copy);
        rq->body = copy;
        rq->body_n = body.n;
        http_answer_give(rq, status, r);
    }
    pthread_mutex_unlock(&rq->mu);
}

void http_respond(struct http_request *rq, int status, const char *content_type, struct buf *body,
                  const char *const *headers)
{
    http_answer_set(rq, status, content_type, body ? buf_str(body) : str_of("", 0), headers);
    if (body) {
        buf_release(body);
    }
    http_request_unref(rq);
}

void http_respond_constant(struct http_request *rq, int status, const char *content_type,
                           struct str body, const char *const *headers)
{
    ASSERT(status >= 200 && status <= 599);
    pthread_mutex_lock(&rq->mu);
    ASSERT(!rq->answered);
    if (rq->closed) {
        rq->answered = true;
    } else {
        /* The library takes a pointer to bytes it may change; it does not with PERSISTENT. */
        struct MHD_Response *r = MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p,
                                                                 MHD_RESPMEM_PERSISTENT);
        if (r && !http_answer_headers(r, content_type, rq->close_after, headers)) {
            MHD_destroy_response(r);
            r = NULL;
        }
        rq->body = body.p;
        rq->body_n = body.n;
        http_answer_give(rq, status, r);
    }
    pthread_mutex_unlock(&rq->mu);
    http_request_unref(rq);
}

void http_respond_err(struct http_request *rq, const struct err *e)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 4096);
    BUF_LIT(&b, "{\"error\":{\"code\":");
    buf_json_str(&b, str_from_c(err_code_name(e->code)));
    BUF_LIT(&b, ",\"message\":");
    buf_json_str(&b, str_from_c(e->msg));
    if (e->line > 0) {
        buf_fmt(&b, ",\"line\":%u", e->line);
    }
    if (e->col > 0) {
        buf_fmt(&b, ",\"column\":%u", e->col);
    }
    BUF_LIT(&b, "}}\n");
    http_respond(rq, err_http_status(e->code), "application/json", &b, NULL);
}

enum MHD_Result http_answer_queue(struct http_request *rq)
{
    pthread_mutex_lock(&rq->mu);
    struct MHD_Response *r = rq->response;
    rq->response = NULL;
    rq->body = NULL;
    pthread_mutex_unlock(&rq->mu);
    if (!r) {
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_queue_response(rq->conn, (unsigned)rq->status, r);
    MHD_destroy_response(r);
    return ok;
}

void http_answer_raw(struct http_request *rq)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, RAW_HEAD_BYTES_MAX + rq->body_n);
    const char *type = rq->response ? MHD_get_response_header(rq->response, "Content-Type") : NULL;
    buf_fmt(&b,
            "HTTP/1.1 %d %s\r\nContent-Type: %.128s\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            rq->status, MHD_get_reason_phrase_for((unsigned)rq->status), type ? type : "text/plain",
            rq->body_n);
    buf_str_add(&b, str_of(rq->body, rq->body_n));
    if (info && !b.failed && rq->body) {
        /* What does not fit in the socket's buffer is lost: the connection ends here in any
         * case. */
        ssize_t sent = send(info->connect_fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent;
        shutdown(info->connect_fd, SHUT_WR);
    }
    buf_release(&b);
    rq->raw_sent = true;
}
