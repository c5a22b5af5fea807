/* The envelope of an answer: status, data, warnings and infos, or an error with its type. Sources:
 * Prometheus' documentation of the HTTP API and the statuses its server gives. */
#include "server/api/prom/prom_int.h"

#include "codec/gzip.h"

#include <stdarg.h>
#include <stdio.h>

#define GZIP_BYTES_MIN 1024 /* below this a packet is a packet */
#define NOTES_MAX      10   /* warnings, and infos, of one answer */

static const struct {
    const char *name;
    int status;
} errors[PROM_ERRORS] = {
    [PROM_BAD_DATA] = {"bad_data", 400},       [PROM_EXECUTION_ERROR] = {"execution", 422},
    [PROM_CANCELED_ERROR] = {"canceled", 499}, [PROM_TIMEOUT_ERROR] = {"timeout", 503},
    [PROM_INTERNAL] = {"internal", 500},       [PROM_UNAVAILABLE] = {"unavailable", 503},
    [PROM_NOT_FOUND] = {"not_found", 404},     [PROM_NOT_ACCEPTABLE] = {"not_acceptable", 406},
    [PROM_DISABLED] = {"unavailable", 500}, /* as Prometheus' admin API */
};

bool prom_fail(struct prom_call *c, enum prom_error why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(c->message, sizeof c->message, fmt, args);
    va_end(args);
    c->error = why;
    return false;
}

bool prom_fail_err(struct prom_call *c, const struct err *e)
{
    switch (e->code) {
    case ERR_INPUT: return prom_fail(c, PROM_BAD_DATA, "%s", e->msg);
    case ERR_LIMIT: return prom_fail(c, PROM_EXECUTION_ERROR, "%s", e->msg);
    case ERR_BUSY: return prom_fail(c, PROM_UNAVAILABLE, "%s", e->msg);
    case ERR_NONE:
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_NOMEM: break;
    }
    return prom_fail(c, PROM_INTERNAL, "%s", e->msg);
}

void prom_json_labels(struct buf *b, struct labels l)
{
    buf_char(b, '{');
    for (uint32_t i = 0; i < l.n; i++) {
        if (i > 0) {
            buf_char(b, ',');
        }
        buf_json_str(b, l.v[i].name);
        buf_char(b, ':');
        buf_json_str(b, l.v[i].value);
    }
    buf_char(b, '}');
}

static void write_note(struct prom_call *c, const char *name, uint32_t *written, struct str text)
{
    if (*written == 0) {
        buf_fmt(&c->out, ",\"%s\":[", name);
    } else {
        BUF_LIT(&c->out, ",");
    }
    buf_json_str(&c->out, text);
    (*written)++;
}

/* At most NOTES_MAX of the evaluation, and how many more there were; then the API's own. */
static void write_notes(struct prom_call *c, bool warnings)
{
    const char *name = warnings ? "warnings" : "infos";
    uint32_t written = 0, skipped = 0;
    for (uint32_t i = 0; i < c->notes_n; i++) {
        if (c->notes[i].warning == warnings) {
            if (written < NOTES_MAX) {
                write_note(c, name, &written, c->notes[i].text);
            } else {
                skipped++;
            }
        }
    }
    if (warnings && c->truncated) {
        write_note(c, name, &written, STR("results truncated due to limit"));
    }
    if (warnings && c->warning.n > 0) {
        write_note(c, name, &written, c->warning);
    }
    if (skipped > 0) {
        char text[64];
        const int n = snprintf(text, sizeof text, "%u more %s annotations omitted", skipped,
                               warnings ? "warning" : "info");
        write_note(c, name, &written, str_of(text, n > 0 ? (size_t)n : 0));
    }
    if (written > 0) {
        BUF_LIT(&c->out, "]");
    }
}

static void write_error(struct prom_call *c)
{
    struct buf *b = &c->out;
    buf_reset(b);
    buf_fmt(b, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", errors[c->error].name);
    buf_json_str(b, str_from_c(c->message));
    buf_char(b, '}');
    c->status = errors[c->error].status;
    c->type = NULL;
    c->encoding = NULL;
}

static void send(struct prom_call *c)
{
    static const char *const packed[] = {"Content-Encoding", "gzip", "Vary", "Accept-Encoding",
                                         NULL};
    static const char *const plain[] = {"Vary", "Accept-Encoding", NULL};
    static const char *const later[] = {"Retry-After", "1", NULL};
    const char *const encoded[] = {"Content-Encoding", c->encoding, NULL};
    const char *type = c->type ? c->type : "application/json";
    const int status = c->status ? c->status : 200;
    if (status == 204) {
        http_respond(c->rq, status, NULL, NULL, NULL);
        return;
    }
    struct buf small;
    buf_init(&small, &c->mem, (size_t)c->api->config.answer_bytes_max);
    if (c->packed && !c->encoding && c->out.n >= GZIP_BYTES_MIN &&
        gzip_pack(buf_str(&c->out), &small)) {
        http_respond(c->rq, status, type, &small, packed);
        return;
    }
    buf_release(&small);
    http_respond(c->rq, status, type, &c->out,
                 c->encoding     ? encoded
                 : status == 503 ? later
                                 : plain);
}

void prom_answer(struct prom_call *c, bool ok)
{
    struct prom_api *p = c->api;
    if (ok && !c->type && c->status != 204) {
        write_notes(c, true);
        write_notes(c, false);
        buf_char(&c->out, '}');
    }
    if (ok && c->out.failed) {
        ok = prom_fail(c, PROM_EXECUTION_ERROR, "the answer is larger than %llu bytes",
                       (unsigned long long)p->config.answer_bytes_max);
    }
    if (!ok) {
        write_error(c);
    }
    atomic_fetch_add(&p->requests[ok ? PROM_ERRORS : c->error], 1);
    send(c);
    buf_release(&c->out);
    buf_release(&c->body);
    arena_release(&c->arena);
    ASSERT(c->mem.bytes == 0);
    pthread_mutex_lock(&p->mu);
    mem_give(&p->mem, c, sizeof *c);
    pthread_mutex_unlock(&p->mu);
}
