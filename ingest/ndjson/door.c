/* POST /ingest/v1/events: bodies of lines to batches of the river.
 *
 *     pieces --unpack--> 64 KiB pieces --copy--> buffer [ carried line | new bytes | padding ]
 *                                                   cut at '\n' --decoder--> batch payload
 *     end --> river_submit --> (committer: on disk) --> batch_done --> 200 or 503
 *
 * Lines are decoded while the body arrives, in place in a buffer whose end is padded for the
 * parser; only the rest of a line moves to its front. One request is one batch: what makes a body
 * unusable - damaged compression, a bound, no room - stores nothing of it, and one bad line costs
 * only itself. Ids are deduplicated behind the door, so a sender that got no answer sends the whole
 * batch again.
 *
 * Memory: at most requests_max states of about 1 MiB are made and kept; what they hold while
 * receiving is bounded together by receiving_bytes_max; after river_submit the river's queue bounds
 * it.
 *
 * thread: begin, data, end, abort on the server's I/O threads, batch_done on the river's committer.
 * A request belongs to one of them at a time; abort may meet batch_done: lock rq->mu. */
#include "ingest/ndjson/ndjson.h"

#include "base/base.h"
#include "codec/json.h"
#include "codec/unpack.h"
#include "ingest/ndjson/door_int.h"

#include <stdio.h>
#include <string.h>

#define BUFFER_BYTES      (256 * 1024)
#define PIECE_BYTES       (64 * 1024) /* the buffer holds the longest line and a piece */
#define ERRORS_MAX        100
#define ERRORS_BYTES_MAX  (256 * 1024)
#define REQUEST_BYTES_MAX (32 * 1024 * 1024) /* decoder, buffer, zstd window of 8 MiB */

enum phase { PHASE_FREE, PHASE_OPEN, PHASE_SUBMITTED, PHASE_ABORTED };

/* One body being received. Engine lifetime, kept in a free list. */
struct ndjson_request {
    struct ndjson *door;
    struct http_request *http; /* borrows, valid while PHASE_OPEN or PHASE_SUBMITTED */
    struct ndjson_request *next;
    pthread_mutex_t mu;
    enum phase phase; /* lock: mu */
    struct mem mem;
    struct ndjson_decoder *decoder;
    struct unpack *unpack; /* of this body */
    struct batch *batch;   /* ours until river_submit */
    struct buf errors;     /* JSON objects, separated by commas */
    uint32_t errors_count;
    bool errors_truncated;
    bool encoding_unknown;
    bool skipping; /* inside a line that is too long */
    char *buffer;
    size_t buffer_bytes, used, scanned; /* buffer[0..scanned) holds no newline */
    uint32_t line;
    uint64_t body_bytes, unpacked_bytes, charged_bytes;
};

/* -- Request states. -- */

static void request_free(struct ndjson_request *rq, struct mem *m)
{
    ndjson_decoder_free(rq->decoder);
    buf_release(&rq->errors);
    mem_give(&rq->mem, rq->buffer, rq->buffer_bytes + JSON_PADDING);
    ASSERT(rq->mem.bytes == 0);
    pthread_mutex_destroy(&rq->mu);
    mem_give(m, rq, sizeof *rq);
}

static struct ndjson_request *request_new(struct ndjson *n)
{
    struct ndjson_request *rq = mem_take(n->mem, sizeof *rq);
    if (rq == NULL) {
        return NULL;
    }
    rq->door = n;
    pthread_mutex_init(&rq->mu, NULL);
    mem_init(&rq->mem, REQUEST_BYTES_MAX);
    rq->mem.allow = n->mem->allow; /* tests make these fail too */
    rq->mem.allow_ctx = n->mem->allow_ctx;
    buf_init(&rq->errors, &rq->mem, ERRORS_BYTES_MAX);
    rq->buffer_bytes = size_max(BUFFER_BYTES, n->config->line_bytes_max + PIECE_BYTES);
    rq->buffer = mem_take(&rq->mem, rq->buffer_bytes + JSON_PADDING);
    rq->decoder = rq->buffer ? ndjson_decoder_new(n->config, &rq->mem) : NULL;
    if (rq->decoder == NULL) {
        rq->buffer_bytes = rq->buffer ? rq->buffer_bytes : 0;
        if (rq->buffer == NULL) {
            pthread_mutex_destroy(&rq->mu);
            mem_give(n->mem, rq, sizeof *rq);
        } else {
            request_free(rq, n->mem);
        }
        return NULL;
    }
    return rq;
}

/* From the free list, or new below the bound; NULL: too many, or no memory. */
static struct ndjson_request *request_take(struct ndjson *n)
{
    pthread_mutex_lock(&n->mu);
    struct ndjson_request *rq = n->free_list;
    if (rq != NULL) {
        n->free_list = rq->next;
    } else if (n->made < (uint64_t)n->config->requests_max) {
        rq = request_new(n);
        n->made += rq ? 1 : 0;
    }
    n->in_use += rq ? 1 : 0;
    pthread_mutex_unlock(&n->mu);
    return rq;
}

static void charge(struct ndjson_request *rq, uint64_t bytes)
{
    atomic_fetch_add(&rq->door->receiving_bytes, bytes - rq->charged_bytes); /* wraps down too */
    rq->charged_bytes = bytes;
}

/* Gives the state back. Nothing of the request may be touched afterwards. */
static void request_give(struct ndjson_request *rq)
{
    struct ndjson *n = rq->door;
    charge(rq, 0);
    unpack_free(rq->unpack);
    rq->unpack = NULL;
    if (rq->batch != NULL) {
        river_batch_free(rq->batch);
        rq->batch = NULL;
    }
    pthread_mutex_lock(&n->mu);
    rq->phase = PHASE_FREE;
    rq->http = NULL;
    rq->next = n->free_list;
    n->free_list = rq;
    n->in_use--;
    pthread_mutex_unlock(&n->mu);
}

bool ndjson_new(const struct ndjson_config *c, struct river *r, struct mem *m, struct log *log,
                struct ndjson **out, struct err *e)
{
    struct ndjson *n = mem_take(m, sizeof *n);
    if (n == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the NDJSON door");
    }
    n->config = c;
    n->river = r;
    n->mem = m;
    n->log = log;
    pthread_mutex_init(&n->mu, NULL);
    *out = n;
    return true;
}

void ndjson_free(struct ndjson *n)
{
    if (n == NULL) {
        return;
    }
    ASSERT(n->in_use == 0);
    while (n->free_list != NULL) {
        struct ndjson_request *rq = n->free_list;
        n->free_list = rq->next;
        request_free(rq, n->mem);
    }
    pthread_mutex_destroy(&n->mu);
    mem_give(n->mem, n, sizeof *n);
}

/* -- Receiving. -- */

static void add_error(struct ndjson_request *rq, const struct err *e)
{
    if (rq->errors_count == ERRORS_MAX || rq->errors.failed) {
        rq->errors_truncated = true;
        return;
    }
    struct buf *b = &rq->errors;
    size_t before = b->n;
    struct str reason = ndjson_reason_text(ndjson_decoder_reason(rq->decoder));
    buf_fmt(b, "%s{\"line\":%u,\"column\":%u,\"reason\":\"%.*s\",\"message\":",
            rq->errors_count > 0 ? "," : "", rq->line, e->col, STR_FMT(reason));
    buf_json_str(b, str_from_c(e->msg));
    buf_char(b, '}');
    if (b->failed) { /* no memory: the count is still right, the list is short */
        b->n = before;
        rq->errors_truncated = true;
        return;
    }
    rq->errors_count++;
}

/* A whole line without its newline, in the buffer: padding follows the buffer. */
static bool take_line(struct ndjson_request *rq, struct str line, struct err *e)
{
    rq->line++;
    if (rq->line == 1 && str_starts(line, STR("\xEF\xBB\xBF"))) {
        line = str_sub(line, 3, line.n); /* a byte order mark, as some editors and exports write */
    }
    if (line.n > 0 && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    if (line.n == 0) {
        return true;
    }
    struct err bad = {0};
    if (!ndjson_decode_line(rq->decoder, line, true, &rq->batch->payload, &bad)) {
        if (bad.code != ERR_INPUT) {
            *e = bad;
            return false;
        }
        add_error(rq, &bad);
    }
    return true;
}

/* The line in the buffer has no end within the bound: one refusal, and its rest is not kept. */
static void skip_line(struct ndjson_request *rq)
{
    struct err bad = {.code = ERR_INPUT, .col = 1};
    snprintf(bad.msg, sizeof bad.msg, "line is longer than %llu bytes",
             (unsigned long long)rq->door->config->line_bytes_max);
    rq->line++;
    ndjson_decoder_refuse(rq->decoder, NDJSON_LIMIT);
    add_error(rq, &bad);
    rq->skipping = true;
    rq->used = 0;
    rq->scanned = 0;
}

/* Takes all whole lines out of the buffer and moves the rest of the last one to its front. */
static bool take_lines(struct ndjson_request *rq, struct err *e)
{
    size_t start = 0;
    while (rq->scanned < rq->used) {
        const char *from = rq->buffer + rq->scanned;
        const char *nl = memchr(from, '\n', rq->used - rq->scanned);
        if (nl == NULL) {
            rq->scanned = rq->used;
            break;
        }
        size_t at = (size_t)(nl - rq->buffer);
        rq->scanned = at + 1;
        if (rq->skipping) {
            rq->skipping = false; /* its end, not a line of its own */
        } else if (!take_line(rq, str_of(rq->buffer + start, at - start), e)) {
            return false;
        }
        start = at + 1;
    }
    size_t rest = rq->used - start;
    if (rq->skipping) {
        rest = 0;
    }
    if (rest > 0 && start > 0) {
        memmove(rq->buffer, rq->buffer + start, rest);
    }
    rq->used = rest;
    rq->scanned = rest;
    if (rest > rq->door->config->line_bytes_max + 1) { /* one more: it may be the '\r' */
        skip_line(rq);
    }
    return true;
}

static bool take_piece(void *ctx, struct str piece, struct err *e)
{
    struct ndjson_request *rq = ctx;
    rq->unpacked_bytes += piece.n;
    if (rq->unpacked_bytes > rq->door->config->unpacked_bytes_max) {
        return err_set(e, ERR_LIMIT, "the body is larger than %llu bytes unpacked",
                       (unsigned long long)rq->door->config->unpacked_bytes_max);
    }
    while (piece.n > 0) {
        size_t n = size_min(piece.n, rq->buffer_bytes - rq->used);
        ASSERT(n > 0); /* take_lines leaves at most the longest line */
        memcpy(rq->buffer + rq->used, piece.p, n);
        rq->used += n;
        piece = str_sub(piece, n, piece.n);
        if (!take_lines(rq, e)) {
            return false;
        }
    }
    charge(rq, rq->mem.bytes + rq->batch->payload.cap);
    if (atomic_load(&rq->door->receiving_bytes) > rq->door->config->receiving_bytes_max) {
        return err_set(e, ERR_BUSY, "too much is being received at once, send it again later");
    }
    return true;
}

static void *door_begin(void *app, struct http_request *http)
{
    struct ndjson *n = app;
    struct ndjson_request *rq = request_take(n);
    if (rq == NULL) {
        return NULL; /* data and end answer that we are busy */
    }
    enum unpack_kind kind = UNPACK_IDENTITY;
    rq->http = http;
    rq->phase = PHASE_OPEN;
    rq->errors_count = 0;
    rq->errors_truncated = false;
    rq->skipping = false;
    rq->used = 0;
    rq->scanned = 0;
    rq->line = 0;
    rq->body_bytes = 0;
    rq->unpacked_bytes = 0;
    buf_reset(&rq->errors);
    ndjson_decoder_begin(rq->decoder);
    rq->encoding_unknown = !unpack_kind_parse(http_header(http, "Content-Encoding"), &kind);
    if (!rq->encoding_unknown) {
        /* Records are smaller than most JSON, but a line of constants can be larger. */
        rq->batch = river_batch_new((size_t)n->config->unpacked_bytes_max * 2 + 1024 * 1024);
        rq->unpack = unpack_new(&rq->mem, kind, n->config->unpacked_bytes_max);
    }
    charge(rq, rq->mem.bytes);
    return rq;
}

/* What was wrong from the start is said when the body comes, or at the latest at its end. */
static bool usable(const struct ndjson_request *rq, struct err *e)
{
    if (rq->encoding_unknown) {
        return err_set(e, ERR_INPUT, "expected Content-Encoding gzip, zstd or identity");
    }
    if (rq->batch == NULL || rq->unpack == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for this request, send it again later");
    }
    return true;
}

static bool door_data(void *state, struct str piece, struct err *e)
{
    struct ndjson_request *rq = state;
    if (rq == NULL) {
        return err_set(e, ERR_BUSY, "too many requests at once, send it again later");
    }
    if (!usable(rq, e)) {
        return false;
    }
    rq->body_bytes += piece.n;
    if (rq->body_bytes > rq->door->config->body_bytes_max) {
        return err_set(e, ERR_LIMIT, "the body is larger than %llu bytes",
                       (unsigned long long)rq->door->config->body_bytes_max);
    }
    return unpack_feed(rq->unpack, piece, take_piece, rq, e);
}

/* -- Answering. -- */

static void respond_error(struct http_request *http, struct mem *m, int status, const struct err *e)
{
    static const char *const retry[] = {"Retry-After", "1", NULL};
    struct buf b;
    buf_init(&b, m, 1024);
    buf_fmt(&b, "{\"error\":{\"code\":\"%s\",\"message\":", err_code_name(e->code));
    buf_json_str(&b, str_from_c(e->msg));
    BUF_LIT(&b, "}}\n");
    http_respond(http, status, "application/json", &b, status == 503 ? retry : NULL);
    buf_release(&b);
}

static uint64_t sum(const uint64_t v[RECORD_KINDS])
{
    return v[0] + v[1] + v[2] + v[3];
}

static void respond_counts(struct ndjson_request *rq, int status)
{
    const struct ndjson_counts *c = ndjson_decoder_counts(rq->decoder);
    struct buf b;
    buf_init(&b, &rq->mem, ERRORS_BYTES_MAX + 1024);
    buf_fmt(&b, "{\"accepted\":%llu,\"rejected\":%llu,\"errors\":[",
            (unsigned long long)sum(c->accepted), (unsigned long long)sum(c->rejected));
    buf_str_add(&b, buf_str(&rq->errors));
    buf_fmt(&b, "],\"errors_truncated\":%s}\n", rq->errors_truncated ? "true" : "false");
    if (b.failed) { /* no memory for the list: the counts are what the sender needs */
        buf_reset(&b);
        buf_fmt(&b,
                "{\"accepted\":%llu,\"rejected\":%llu,\"errors\":[],\"errors_truncated\":true}\n",
                (unsigned long long)sum(c->accepted), (unsigned long long)sum(c->rejected));
    }
    http_respond(rq->http, status, "application/json", &b, NULL);
    buf_release(&b);
}

static void count_answered(struct ndjson_request *rq, enum ndjson_result result)
{
    struct ndjson *n = rq->door;
    ndjson_count_lines(n, ndjson_decoder_counts(rq->decoder));
    ndjson_count_result(n, result);
    atomic_fetch_add(&n->body_bytes, rq->body_bytes);
    atomic_fetch_add(&n->unpacked_bytes, rq->unpacked_bytes);
}

/* thread: the river's committer. */
static void batch_done(void *ctx, const struct err *e)
{
    struct ndjson_request *rq = ctx;
    if (e == NULL) {
        count_answered(rq, NDJSON_RESULT_STORED); /* stored, also when nobody waits any more */
    } else {
        ndjson_count_result(rq->door, NDJSON_RESULT_FAILED);
    }
    pthread_mutex_lock(&rq->mu);
    if (rq->phase == PHASE_SUBMITTED) {
        if (e == NULL) {
            respond_counts(rq, 200);
        } else {
            respond_error(rq->http, &rq->mem, 503, e);
        }
    }
    pthread_mutex_unlock(&rq->mu);
    request_give(rq);
}

static enum ndjson_result result_of(const struct err *e)
{
    switch (e->code) {
    case ERR_LIMIT: return NDJSON_RESULT_TOO_LARGE;
    case ERR_BUSY: return NDJSON_RESULT_BUSY;
    case ERR_IO:
    case ERR_NOMEM: return NDJSON_RESULT_FAILED;
    case ERR_NONE:
    case ERR_INPUT:
    case ERR_CORRUPT: break;
    }
    return NDJSON_RESULT_BROKEN;
}

/* Nothing of the body is stored. */
static void refuse_body(struct ndjson_request *rq, const struct err *e)
{
    int status = rq->encoding_unknown                             ? 415
                 : e->code == ERR_LIMIT                           ? 413
                 : e->code == ERR_INPUT || e->code == ERR_CORRUPT ? 400
                                                                  : 503;
    ndjson_count_result(rq->door, result_of(e));
    respond_error(rq->http, &rq->mem, status, e);
    request_give(rq);
}

static bool finish_body(struct ndjson_request *rq, struct err *e)
{
    if (!usable(rq, e) || !unpack_finish(rq->unpack, e)) {
        return false;
    }
    /* A last line without newline counts; one that was being skipped was counted already. */
    if (rq->used > 0 && !take_line(rq, str_of(rq->buffer, rq->used), e)) {
        return false;
    }
    rq->used = 0;
    return true;
}

static void door_end(void *app, void *state, struct http_request *http, const struct err *failed)
{
    struct ndjson *n = app;
    struct ndjson_request *rq = state;
    struct err e = {0};
    if (rq == NULL) {
        struct mem m;
        mem_init(&m, 0);
        err_set(&e, ERR_BUSY, "too many requests at once, send it again later");
        ndjson_count_result(n, NDJSON_RESULT_BUSY);
        respond_error(http, &m, 503, &e);
        return;
    }
    if (failed != NULL) {
        refuse_body(rq, failed);
        return;
    }
    if (!finish_body(rq, &e)) {
        refuse_body(rq, &e);
        return;
    }
    const struct ndjson_counts *c = ndjson_decoder_counts(rq->decoder);
    uint64_t accepted = sum(c->accepted);
    if (accepted == 0) {
        bool empty = sum(c->rejected) == 0;
        count_answered(rq, empty ? NDJSON_RESULT_STORED : NDJSON_RESULT_REFUSED);
        respond_counts(rq, empty ? 200 : 400);
        request_give(rq);
        return;
    }
    struct batch *b = rq->batch;
    ASSERT(accepted <= UINT32_MAX); /* a line has bytes, a body at most 256 MiB */
    b->records = (uint32_t)accepted;
    b->done = batch_done;
    b->ctx = rq;
    charge(rq, 0);
    pthread_mutex_lock(&rq->mu);
    rq->phase = PHASE_SUBMITTED;
    rq->batch = NULL;
    pthread_mutex_unlock(&rq->mu);
    if (river_submit(n->river, b, &e)) {
        return; /* rq may be answered and in other hands by now */
    }
    pthread_mutex_lock(&rq->mu);
    rq->phase = PHASE_OPEN;
    rq->batch = b;
    pthread_mutex_unlock(&rq->mu);
    refuse_body(rq, &e);
}

static void door_abort(void *app, void *state)
{
    struct ndjson *n = app;
    struct ndjson_request *rq = state;
    if (rq == NULL) {
        return;
    }
    pthread_mutex_lock(&rq->mu);
    bool submitted = rq->phase == PHASE_SUBMITTED;
    if (submitted) {
        rq->phase = PHASE_ABORTED; /* batch_done gives the state back */
        rq->http = NULL;
    }
    pthread_mutex_unlock(&rq->mu);
    if (!submitted) {
        ndjson_count_result(n, NDJSON_RESULT_ABANDONED);
        request_give(rq);
    }
}

const struct http_route *ndjson_routes(size_t *count)
{
    static const struct http_route routes[] = {
        {.method = "POST",
         .path = "/ingest/v1/events",
         .help = "decisions, labels and stage events, one JSON object a line",
         .body_bytes_max = 64 * 1024 * 1024, /* ingest.body_bytes_max is checked by the door */
         .begin = door_begin,
         .data = door_data,
         .end = door_end,
         .abort = door_abort},
    };
    *count = ARRAY_LEN(routes);
    return routes;
}
