/* Where lines go: a file, standard output, or the ingest door of a Farol, batch by batch.
 *
 * To the door, a batch is sent again until it is acknowledged: on a refused or broken connection
 * and on 429 and 5xx answers, with waits that grow from 100 ms to 2 s (or what Retry-After says),
 * for at most retry_ns without one success. Acknowledged means durable, so then nothing is lost; a
 * batch whose answer was cut off may arrive twice, which the door's ledger counts as duplicates.
 * Other 4xx answers end the run: sending the same bytes again would not help.
 * thread: the command's. */
#include "sim/send_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "sim/tell_int.h"

#include <signal.h>
#include <time.h>

#define ANSWER_BYTES_MAX (64U << 10)
#define WAIT_MIN_MS      100
#define WAIT_MAX_MS      2000

void sim_send_init(struct sim_send *d, const struct os *os, struct mem *m, enum lang lang)
{
    *d = (struct sim_send){.os = os, .mem = m, .lang = lang, .fd = -1, .retry_ns = 300 * NS_PER_S};
    buf_init(&d->batch, m, SIM_SEND_BYTES_MAX);
}

bool sim_send_open_file(struct sim_send *d, const char *path, struct err *e)
{
    d->path = path;
    if (strcmp(path, "-") == 0) {
        d->fd = 1;
        return true;
    }
    int rc = d->os->open(d->os->ctx, path, OS_WRITE | OS_CREATE | OS_TRUNCATE, &d->fd);
    return rc == 0 || err_errno(e, rc, "cannot create '%s'", path);
}

bool sim_send_open_url(struct sim_send *d, const char *url, struct err *e)
{
    struct str u = str_from_c(url);
    while (u.n > 0 && u.p[u.n - 1] == '/') {
        u.n--;
    }
    struct str path = STR("/ingest/v1/events");
    if (u.n + path.n + 1 > sizeof d->url) {
        return err_set(e, ERR_INPUT, "--url is longer than %zu bytes", sizeof d->url - path.n - 1);
    }
    memcpy(d->url, u.p, u.n);
    memcpy(d->url + u.n, path.p, path.n + 1);
    d->http = http_client_new(d->mem, 5 * MS_PER_S, 60 * MS_PER_S);
    return d->http || err_set(e, ERR_NOMEM, "no memory for the HTTP client");
}

/* Ctrl-C and SIGTERM are blocked while the command runs and looked for here: no handler, no
 * global. */
bool sim_send_stop_asked(struct sim_send *d)
{
    struct timespec now = {0, 0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (!d->signals_blocked) {
        return d->stop;
    }
    d->stop = d->stop || sigtimedwait(&set, NULL, &now) > 0;
    return d->stop;
}

static bool worth_retrying(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* One attempt. *again: the batch may be sent again. */
static bool post_once(struct sim_send *d, bool *again, int64_t *wait_ms, struct err *e)
{
    static const char *const headers[] = {"Content-Type: application/x-ndjson", NULL};
    struct http_answer answer;
    *again = false;
    if (!http_client_do(d->http, "POST", d->url, headers, buf_str(&d->batch), ANSWER_BYTES_MAX,
                        &answer, e)) {
        *again = e->code == ERR_BUSY || e->code == ERR_IO;
        return false;
    }
    bool ok = answer.status >= 200 && answer.status < 300;
    if (!ok) {
        struct str body = str_sub(buf_str(&answer.body), 0, 100);
        *again = worth_retrying(answer.status);
        *wait_ms =
            answer.retry_after_ms > 0 ? i64_min(answer.retry_after_ms, WAIT_MAX_MS) : *wait_ms;
        (void)err_set(e, *again ? ERR_BUSY : ERR_INPUT, "%s answered %d: %.*s", d->url,
                      answer.status, STR_FMT(body));
    }
    buf_release(&answer.body);
    return ok;
}

static bool post(struct sim_send *d, struct err *e)
{
    int64_t wait_ms = WAIT_MIN_MS;
    int64_t since = os_mono_ns(d->os);
    for (bool first = true;; first = false) {
        bool again = false;
        if (post_once(d, &again, &wait_ms, e)) {
            if (!first) {
                sim_tell(d->os, d->lang, "a porta responde de novo", "the door answers again");
            }
            return true;
        }
        if (!again || os_mono_ns(d->os) - since > d->retry_ns || sim_send_stop_asked(d)) {
            return false;
        }
        if (first) {
            sim_tell_err(d->os, e);
            sim_tell(d->os, d->lang, "tentando de novo até a porta responder",
                     "trying again until the door answers");
        }
        d->resent++;
        d->os->sleep_ns(d->os->ctx, ns_from_ms(wait_ms));
        wait_ms = i64_min(wait_ms * 2, WAIT_MAX_MS);
    }
}

bool sim_send_flush(struct sim_send *d, struct err *e)
{
    if (d->batch.n == 0) {
        return true;
    }
    bool ok = d->http ? post(d, e) : file_write_all(d->os, d->fd, buf_str(&d->batch), d->path, e);
    if (ok) {
        d->batches++;
        d->sent += d->lines;
    }
    d->lines = 0;
    d->opened_ns = 0;
    buf_reset(&d->batch);
    return ok;
}

bool sim_send_line_added(struct sim_send *d, struct err *e)
{
    d->lines++;
    if (d->lines == 1 && d->paced) {
        d->opened_ns = os_mono_ns(d->os);
    }
    bool full = d->http ? d->lines >= d->batch_lines : d->batch.n >= SIM_SEND_FILE_BYTES;
    return full ? sim_send_flush(d, e) : true;
}

/* Sleeps until `due` (monotonic), sending a batch that would grow older than 200 ms. */
bool sim_send_wait(struct sim_send *d, int64_t due, struct err *e)
{
    for (;;) {
        int64_t now = os_mono_ns(d->os);
        bool old = d->lines > 0 && now - d->opened_ns >= SIM_SEND_AGE_NS;
        if (old && !sim_send_flush(d, e)) {
            return false;
        }
        if (now >= due || sim_send_stop_asked(d)) {
            return true;
        }
        int64_t nap = i64_min(due - now, 50 * NS_PER_MS);
        if (d->lines > 0) {
            nap = i64_min(nap, i64_max(d->opened_ns + SIM_SEND_AGE_NS - now, NS_PER_MS));
        }
        d->os->sleep_ns(d->os->ctx, nap);
    }
}

bool sim_send_close(struct sim_send *d, struct err *e)
{
    int rc = 0;
    if (d->fd > 1) {
        rc = d->os->close(d->os->ctx, d->fd);
    }
    http_client_free(d->http);
    buf_release(&d->batch);
    d->fd = -1;
    d->http = NULL;
    return rc == 0 || err_errno(e, rc, "cannot close '%s'", d->path);
}
