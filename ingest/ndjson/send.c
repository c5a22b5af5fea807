/* The sender: reads files of lines and posts them in batches, paced by event time when asked to.
 *
 *     file --read--> sniffed, unpacked --> batch of whole lines --POST--> accepted, rejected
 *                                              ^---- again, while busy or not connected
 *
 * One batch is under way at a time: files are in order of time, and what arrives in order is joined
 * with the least memory. Pace: the first time seen is now; a line is due when its time since then
 * has passed, divided by the speed; lines due within PACE_NS of each other travel together.
 *
 * Exists beside the door so that both ends of the exchange are tested against each other. */
#include "ingest/ndjson/ndjson.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"
#include "codec/unpack.h"
#include "net/http_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES         (256 * 1024)
#define BATCH_BYTES        (7 * 512 * 1024) /* sent at the first line end behind this */
#define LINE_BYTES_MAX     (8 * 1024 * 1024)
#define ANSWER_BYTES_MAX   (512 * 1024)
#define ANSWER_TOKENS_MAX  1024
#define PACE_NS            (200 * NS_PER_MS)
#define NAP_NS             (200 * NS_PER_MS) /* between two progress lines */
#define BACKOFF_MS_MIN     100
#define BACKOFF_MS_MAX     5000
#define CONNECT_TIMEOUT_MS 5000
#define TOTAL_TIMEOUT_MS   60000
#define STDIN_FD           0

struct ndjson_sender {
    const struct ndjson_sender_config *config; /* borrows */
    struct mem *mem;                           /* borrows */
    struct http_client *http;
    struct json_parser *lines, *answers; /* lines: only when paced */
    struct buf batch;
    char *chunk;
    char url[512];
    struct ndjson_sent sent;
    bool connected; /* there was an answer once */

    const char *path;
    uint64_t file_line;   /* whole lines of the file so far */
    uint64_t batch_first; /* file line of the batch's first */
    uint32_t batch_lines;
    size_t line_start; /* of the unfinished line, in batch */

    bool paced; /* a first time was seen */
    int64_t first_event_ns, first_mono_ns;
    int64_t batch_due_ns, batch_due_first_ns; /* on the monotonic clock; 0 = nothing is due */
};

bool ndjson_sender_new(const struct ndjson_sender_config *c, struct mem *m,
                       struct ndjson_sender **out, struct err *e)
{
    struct str url = str_from_c(c->url);
    *out = NULL;
    while (str_ends(url, STR("/"))) {
        url.n--;
    }
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://"))) {
        return err_set(e, ERR_INPUT, "expected a URL such as http://127.0.0.1:9480, found '%.*s'",
                       STR_FMT(str_sub(url, 0, 80)));
    }
    struct ndjson_sender *s = mem_take(m, sizeof *s);
    if (s == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to send");
    }
    s->config = c;
    s->mem = m;
    buf_init(&s->batch, m, BATCH_BYTES + LINE_BYTES_MAX + READ_BYTES);
    int n = snprintf(s->url, sizeof s->url, "%.*s/ingest/v1/events", STR_FMT(url));
    s->chunk = mem_take(m, READ_BYTES);
    s->http = http_client_new(m, CONNECT_TIMEOUT_MS, TOTAL_TIMEOUT_MS);
    s->answers = json_parser_new(m, ANSWER_TOKENS_MAX, ANSWER_BYTES_MAX);
    s->lines = c->speed > 0 ? json_parser_new(m, 4096, LINE_BYTES_MAX) : NULL;
    bool ok = s->chunk != NULL && s->http != NULL && s->answers != NULL &&
              (c->speed <= 0 || s->lines != NULL);
    if (!ok || n < 0 || (size_t)n >= sizeof s->url) {
        ndjson_sender_free(s);
        return ok ? err_set(e, ERR_LIMIT, "the URL is too long")
                  : err_set(e, ERR_NOMEM, "no memory to send");
    }
    *out = s;
    return true;
}

void ndjson_sender_free(struct ndjson_sender *s)
{
    if (s == NULL) {
        return;
    }
    json_parser_free(s->lines);
    json_parser_free(s->answers);
    http_client_free(s->http);
    mem_give(s->mem, s->chunk, s->chunk ? READ_BYTES : 0);
    buf_release(&s->batch);
    mem_give(s->mem, s, sizeof *s);
}

const struct ndjson_sent *ndjson_sender_sent(const struct ndjson_sender *s)
{
    return &s->sent;
}

static void progress(struct ndjson_sender *s)
{
    if (s->config->progress != NULL) {
        s->config->progress(s->config->progress_ctx, &s->sent);
    }
}

/* Sleeps until the monotonic time, showing progress meanwhile. */
static void sleep_until(struct ndjson_sender *s, int64_t until_ns)
{
    const struct os *os = s->config->os;
    for (int64_t left = until_ns - os_mono_ns(os); left > 0; left = until_ns - os_mono_ns(os)) {
        os->sleep_ns(os->ctx, i64_min(left, NAP_NS));
        progress(s);
    }
}

/* -- Answers. -- */

static const struct json_token *child(const struct json_doc *doc, uint32_t of, struct str key)
{
    for (uint32_t i = of + 1; i < doc->tokens[of].next; i = doc->tokens[i].next) {
        if (str_eq(doc->tokens[i].key, key)) {
            return &doc->tokens[i];
        }
    }
    return NULL;
}

static uint64_t number_of(const struct json_doc *doc, uint32_t of, struct str key)
{
    const struct json_token *t = child(doc, of, key);
    return t != NULL && t->kind == JSON_I64 && t->v.i64 > 0 ? (uint64_t)t->v.i64 : 0;
}

static struct str text_of(const struct json_doc *doc, uint32_t of, struct str key)
{
    const struct json_token *t = child(doc, of, key);
    return t != NULL && t->kind == JSON_STR ? t->v.str : (struct str){NULL, 0};
}

static void keep_errors(struct ndjson_sender *s, const struct json_doc *doc)
{
    const struct json_token *list = child(doc, 0, STR("errors"));
    if (list == NULL || list->kind != JSON_ARRAY) {
        return;
    }
    for (uint32_t i = (uint32_t)(list - doc->tokens) + 1; i < list->next; i = doc->tokens[i].next) {
        if (s->sent.errors_count == NDJSON_SENT_ERRORS_MAX || doc->tokens[i].kind != JSON_OBJECT) {
            return;
        }
        struct ndjson_sent_error *e = &s->sent.errors[s->sent.errors_count++];
        struct str msg = text_of(doc, i, STR("message"));
        uint64_t line = number_of(doc, i, STR("line"));
        e->path = s->path;
        e->line = s->batch_first + (line > 0 ? line - 1 : 0);
        e->col = (uint32_t)number_of(doc, i, STR("column"));
        snprintf(e->msg, sizeof e->msg, "%.*s", STR_FMT(msg));
    }
}

/* 200 and 400 carry counts; everything else with a body is a refusal of the whole request. */
static bool take_answer(struct ndjson_sender *s, const struct http_answer *a, struct err *e)
{
    struct json_doc doc;
    struct str body = str_trim(buf_str(&a->body));
    bool json = body.n > 0 && json_parse(s->answers, body, false, &doc, NULL) &&
                doc.tokens[0].kind == JSON_OBJECT;
    if (json && child(&doc, 0, STR("accepted")) != NULL && (a->status == 200 || a->status == 400)) {
        s->sent.accepted += number_of(&doc, 0, STR("accepted"));
        s->sent.rejected += number_of(&doc, 0, STR("rejected"));
        s->sent.batches++;
        keep_errors(s, &doc);
        return true;
    }
    const struct json_token *error = json ? child(&doc, 0, STR("error")) : NULL;
    struct str why = STR("not an answer of farol");
    if (error != NULL && error->kind == JSON_OBJECT) {
        why = text_of(&doc, (uint32_t)(error - doc.tokens), STR("message"));
    }
    return err_set(e, ERR_INPUT, "status %d: %.*s", a->status, STR_FMT(str_sub(why, 0, 120)));
}

/* One attempt. false with ERR_BUSY: worth another one, after *wait_ms. */
static bool attempt(struct ndjson_sender *s, struct str body, int64_t *wait_ms, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/x-ndjson", NULL};
    struct http_answer a = {0};
    bool ok = http_client_do(s->http, "POST", s->url, headers, body, ANSWER_BYTES_MAX, &a, e);
    if (!ok) {
        buf_release(&a.body);
        s->sent.waiting = "no connection";
        *wait_ms = -1;
        if (e->code == ERR_IO || e->code == ERR_BUSY) {
            e->code = ERR_BUSY;
        }
        return false;
    }
    s->connected = true;
    if (a.status == 503 || a.status == 429) {
        ok = err_set(e, ERR_BUSY, "%s stays busy (status %d)", s->config->url, a.status);
        s->sent.waiting = "busy";
        *wait_ms = a.retry_after_ms >= 0 ? a.retry_after_ms : -1;
    } else {
        ok = take_answer(s, &a, e);
    }
    buf_release(&a.body);
    return ok;
}

/* Sends until it is answered, or retry_ms after the first failure. */
static bool post(struct ndjson_sender *s, struct str body, struct err *e)
{
    const struct os *os = s->config->os;
    int64_t backoff_ms = BACKOFF_MS_MIN;
    int64_t give_up_ns = 0;
    bool ok = true;
    for (;;) {
        int64_t wait_ms = -1;
        if (attempt(s, body, &wait_ms, e)) {
            break;
        }
        int64_t now_ns = os_mono_ns(os);
        give_up_ns = give_up_ns ? give_up_ns : now_ns + ns_from_ms(s->config->retry_ms);
        if (e->code != ERR_BUSY || !s->connected || now_ns >= give_up_ns) {
            ok = false;
            break;
        }
        if (wait_ms < 0) {
            wait_ms = backoff_ms;
            backoff_ms = i64_min(backoff_ms * 2, BACKOFF_MS_MAX);
        }
        s->sent.retries++;
        sleep_until(s, i64_min(now_ns + ns_from_ms(wait_ms), give_up_ns));
    }
    s->sent.waiting = NULL;
    return ok;
}

/* Sends the whole lines of the batch; the unfinished line moves to the front. */
static bool flush(struct ndjson_sender *s, struct err *e)
{
    struct buf *b = &s->batch;
    if (s->batch_lines > 0) {
        sleep_until(s, s->batch_due_ns);
        if (!post(s, str_of(b->p, s->line_start), e)) {
            return false;
        }
        b->n -= s->line_start;
        memmove(b->p, b->p + s->line_start, b->n);
        s->line_start = 0;
        s->sent.lines += s->batch_lines;
    }
    s->batch_lines = 0;
    s->batch_first = s->file_line + 1;
    s->batch_due_ns = 0;
    progress(s);
    return true;
}

/* -- Pace. -- */

/* Numbers of any unit: this only paces, and the units are a thousand apart. */
static bool event_time(const struct json_token *t, int64_t *ns)
{
    if (t == NULL) {
        return false;
    }
    if (t->kind == JSON_STR) {
        return time_parse(t->v.str, ns);
    }
    if (!json_is_number(t)) {
        return false;
    }
    double v = json_as_f64(t);
    double scale = v < 1e11 ? 1e9 : v < 1e14 ? 1e6 : v < 1e17 ? 1e3 : 1;
    if (!(v > 0 && v * scale < 9e18)) {
        return false;
    }
    *ns = (int64_t)(v * scale);
    return true;
}

/* When the line is due; a line without a time goes with the one before it. */
static int64_t line_due(struct ndjson_sender *s, struct str line)
{
    struct json_doc doc;
    int64_t event_ns = 0;
    if (!json_parse(s->lines, line, false, &doc, NULL) || doc.tokens[0].kind != JSON_OBJECT) {
        return s->batch_due_ns;
    }
    struct str key = s->config->time_field ? str_from_c(s->config->time_field) : STR("ts");
    if (!event_time(child(&doc, 0, key), &event_ns) &&
        !event_time(child(&doc, 0, STR("end_ts")), &event_ns)) {
        return s->batch_due_ns;
    }
    if (!s->paced) {
        s->paced = true;
        s->first_event_ns = event_ns;
        s->first_mono_ns = os_mono_ns(s->config->os);
    }
    double since = ((double)event_ns - (double)s->first_event_ns) / s->config->speed;
    return since <= 0 ? s->first_mono_ns
                      : s->first_mono_ns + (int64_t)(since < 4e18 ? since : 4e18);
}

/* Sends what came before when this line is due much later. */
static bool pace(struct ndjson_sender *s, struct str line, struct err *e)
{
    int64_t due_ns = line_due(s, line);
    size_t line_n = line.n + 1;
    if (s->batch_lines > 0 && due_ns > s->batch_due_first_ns + PACE_NS) {
        uint64_t file_line = s->file_line;
        s->file_line--; /* this line is not part of what is sent */
        if (!flush(s, e)) {
            return false;
        }
        s->file_line = file_line;
        ASSERT(s->batch.n >= line_n);
    }
    if (s->batch_lines == 0) {
        s->batch_due_first_ns = due_ns;
    }
    s->batch_due_ns = i64_max(s->batch_due_ns, due_ns);
    return true;
}

/* -- Reading. -- */

/* The unfinished line of the batch has got its newline. */
static bool end_line(struct ndjson_sender *s, struct err *e)
{
    s->file_line++;
    if (s->config->speed > 0) {
        struct str line = str_of(s->batch.p + s->line_start, s->batch.n - s->line_start - 1);
        if (!pace(s, line, e)) {
            return false;
        }
    }
    s->line_start = s->batch.n;
    s->batch_lines++;
    if (s->batch_lines >= s->config->batch_lines_max || s->batch.n >= BATCH_BYTES) {
        return flush(s, e);
    }
    return true;
}

static bool take_piece(void *ctx, struct str piece, struct err *e)
{
    struct ndjson_sender *s = ctx;
    while (piece.n > 0) {
        const char *nl = memchr(piece.p, '\n', piece.n);
        size_t n = nl ? (size_t)(nl - piece.p) + 1 : piece.n;
        buf_add(&s->batch, piece.p, n);
        if (s->batch.n - s->line_start > LINE_BYTES_MAX || s->batch.failed) {
            return err_at(e, ERR_LIMIT, (uint32_t)(s->file_line + 1), 1,
                          "expected lines of at most %d MiB", LINE_BYTES_MAX >> 20);
        }
        if (nl != NULL && !end_line(s, e)) {
            return false;
        }
        piece = str_sub(piece, n, piece.n);
    }
    return true;
}

/* Fills the chunk: pipes give little at a time. got 0 = end of file. */
static bool read_chunk(struct ndjson_sender *s, int fd, size_t want, size_t *got, struct err *e)
{
    const struct os *os = s->config->os;
    *got = 0;
    while (*got < want) {
        size_t n = 0;
        int rc = os->read(os->ctx, fd, s->chunk + *got, READ_BYTES - *got, &n);
        if (rc == EINTR) {
            continue;
        }
        if (rc != 0) {
            return err_errno(e, rc, "cannot read '%s'", s->path);
        }
        if (n == 0) {
            break;
        }
        *got += n;
        s->sent.file_bytes += n;
    }
    return true;
}

static bool send_stream(struct ndjson_sender *s, int fd, struct err *e)
{
    size_t n;
    if (!read_chunk(s, fd, 4, &n, e)) { /* enough for the magic numbers */
        return false;
    }
    struct unpack *u = unpack_new(s->mem, unpack_kind_sniff(str_of(s->chunk, n)), UINT64_MAX);
    if (u == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to read '%s'", s->path);
    }
    unpack_trust(u);
    bool ok = true;
    while (ok && n > 0) {
        ok = unpack_feed(u, str_of(s->chunk, n), take_piece, s, e) && read_chunk(s, fd, 1, &n, e);
    }
    ok = ok && unpack_finish(u, e);
    unpack_free(u);
    if (ok && s->batch.n > s->line_start) { /* a last line without newline */
        ok = take_piece(s, STR("\n"), e);
    }
    return ok && flush(s, e);
}

bool ndjson_send_file(struct ndjson_sender *s, const char *path, struct err *e)
{
    const struct os *os = s->config->os;
    bool input = str_eq(str_from_c(path), STR("-"));
    int fd = STDIN_FD;
    s->path = path;
    s->file_line = 0;
    s->batch_first = 1;
    s->batch_lines = 0;
    s->line_start = 0;
    buf_reset(&s->batch);
    if (!input) {
        int rc = os->open(os->ctx, path, OS_READ, &fd);
        if (rc != 0) {
            return err_errno(e, rc, "cannot open '%s'", path);
        }
    }
    bool ok = send_stream(s, fd, e);
    if (!ok && e->code != ERR_BUSY && e->where == NULL) {
        e->where = path;
    }
    if (!input) {
        os->close(os->ctx, fd);
    }
    return ok;
}
