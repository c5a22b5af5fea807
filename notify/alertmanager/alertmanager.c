/* Queues of alerts and the threads that empty them.
 *
 * An alert is written as JSON once per queue when it arrives, so that nothing of the rules engine
 * is borrowed. lock: a queue's mu guards its ring and counters; the request is built and sent
 * outside. */
#include "notify/alertmanager/alertmanager.h"

#include "base/clock.h"
#include "base/file.h"
#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ALERT_BYTES_MAX  (1U << 20)
#define ANSWER_BYTES_MAX (64U << 10)
#define LABELS_MAX       512
#define SECRET_BYTES_MAX 8192
#define PAUSE_MAX_MS     30000

struct item {
    char *p; /* JSON, malloc */
    size_t n;
};

struct queue {
    struct notify_am *owner;
    const struct notify_am_target *target;
    pthread_t thread;
    bool running;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    struct item *ring;
    uint32_t max, first, n;
    uint64_t bytes;
    uint64_t sent, failed, dropped, retries, requests; /* alerts; requests that were answered 2xx */
    int64_t last_ns;
    char url[2048];
};

struct notify_am {
    const struct notify_am_config *c;
    struct notify_am_options o;
    struct queue *queues;
    uint32_t queues_n;
    atomic_bool stop;
};

/* --- queue ------------------------------------------------------------------------------------ */

static struct item pop(struct queue *q)
{
    struct item it = q->ring[q->first];
    q->ring[q->first] = (struct item){0};
    q->first = (q->first + 1) % q->max;
    q->n--;
    q->bytes -= it.n;
    return it;
}

/* Takes it over; the oldest goes when there is no room. */
static void push(struct queue *q, struct item it)
{
    (void)pthread_mutex_lock(&q->mu);
    while (q->n > 0 && (q->n == q->max || q->bytes + it.n > q->owner->o.queue_bytes_max)) {
        free(pop(q).p);
        q->dropped++;
    }
    q->ring[(q->first + q->n) % q->max] = it;
    q->n++;
    q->bytes += it.n;
    (void)pthread_cond_signal(&q->wake);
    (void)pthread_mutex_unlock(&q->mu);
}

static void put_labels(struct buf *b, struct labels ls)
{
    buf_char(b, '{');
    for (uint32_t i = 0; i < ls.n; i++) {
        if (i) {
            buf_char(b, ',');
        }
        buf_json_str(b, ls.v[i].name);
        buf_char(b, ':');
        buf_json_str(b, ls.v[i].value);
    }
    buf_char(b, '}');
}

static void put_alert(struct buf *b, const struct rules_alert *a, struct labels ls)
{
    BUF_LIT(b, "{\"labels\":");
    put_labels(b, ls);
    BUF_LIT(b, ",\"annotations\":");
    put_labels(b, a->annotations);
    BUF_LIT(b, ",\"startsAt\":\"");
    time_format(b, ns_from_ms(a->starts_ms));
    BUF_LIT(b, "\",\"endsAt\":\"");
    time_format(b, ns_from_ms(a->ends_ms));
    BUF_LIT(b, "\",\"generatorURL\":");
    buf_json_str(b, a->generator_url);
    buf_char(b, '}');
}

/* Rules of all, then those of the queue's entry. false: dropped by them. */
static bool relabel(const struct notify_am *n, uint32_t entry, struct labels *ls, struct arena *a)
{
    const struct notify_am_relabel *r = &n->o.relabel;
    struct err e = {0};
    if (!r->apply) {
        return true;
    }
    struct label *v = ARENA_ARRAY(a, struct label, LABELS_MAX);
    uint32_t count = ls->n < LABELS_MAX ? ls->n : LABELS_MAX;
    if (!v) {
        return false;
    }
    memcpy(v, ls->v, count * sizeof v[0]);
    if (!r->apply(r->ctx, UINT32_MAX, v, &count, LABELS_MAX, a) ||
        !r->apply(r->ctx, entry, v, &count, LABELS_MAX, a) || !labels_normalize(v, &count, &e)) {
        return false;
    }
    *ls = (struct labels){v, count};
    return count > 0;
}

static void send_one(struct queue *q, const struct rules_alert *alert, struct arena *a)
{
    struct labels ls = alert->labels;
    struct buf b;
    if (!relabel(q->owner, q->target->entry, &ls, a)) {
        return;
    }
    buf_init(&b, a->mem, ALERT_BYTES_MAX);
    put_alert(&b, alert, ls);
    struct item it = {b.failed ? NULL : malloc(b.n + 1), b.n};
    if (it.p) {
        memcpy(it.p, b.p, b.n);
        push(q, it);
    } else {
        (void)pthread_mutex_lock(&q->mu);
        q->dropped++;
        (void)pthread_mutex_unlock(&q->mu);
    }
    buf_release(&b);
}

void notify_am_send(void *ctx, const struct rules_alert *alerts, uint32_t n)
{
    struct notify_am *am = ctx;
    struct mem mem;
    struct arena a;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64U << 20);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < am->queues_n; k++) {
            send_one(&am->queues[k], &alerts[i], &a);
        }
        arena_reset(&a);
    }
    arena_release(&a);
}

struct rules_sink notify_am_sink(struct notify_am *n)
{
    return (struct rules_sink){n, notify_am_send};
}

/* --- sending ---------------------------------------------------------------------------------- */

/* value, or what the file holds, without white space around. */
static bool secret(const struct os *os, struct str value, struct str file, struct buf *out,
                   struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (file.n == 0) {
        buf_str_add(out, value);
        return true;
    }
    if (file.n >= sizeof path) {
        return err_set(e, ERR_LIMIT, "path of a secret is too long");
    }
    memcpy(path, file.p, file.n);
    path[file.n] = 0;
    if (!file_read(os, path, out, e)) {
        return false;
    }
    struct str s = str_trim(buf_str(out));
    if (s.n) {
        memmove(out->p, s.p, s.n);
    }
    out->n = s.n;
    return true;
}

static void put_base64(struct buf *b, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_char(b, i + k <= s.n ? digits[v >> (18 - 6 * k) & 63] : '=');
        }
    }
}

/* The Authorization header, or nothing. */
static bool put_authorization(const struct queue *q, struct mem *m, struct buf *out, struct err *e)
{
    const struct notify_am_target *t = q->target;
    struct buf value;
    bool ok = true;
    buf_init(&value, m, SECRET_BYTES_MAX);
    if (t->http.username.n) {
        struct buf both;
        buf_init(&both, m, SECRET_BYTES_MAX * 2);
        ok = secret(q->owner->o.os, t->http.password, t->http.password_file, &value, e);
        buf_str_add(&both, t->http.username);
        buf_char(&both, ':');
        buf_str_add(&both, buf_str(&value));
        BUF_LIT(out, "Authorization: Basic ");
        put_base64(out, buf_str(&both));
        buf_release(&both);
    } else if (t->http.auth_type.n) {
        ok = secret(q->owner->o.os, t->http.credentials, t->http.credentials_file, &value, e);
        BUF_LIT(out, "Authorization: ");
        buf_str_add(out, t->http.auth_type);
        buf_char(out, ' ');
        buf_str_add(out, buf_str(&value));
    }
    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] == '\r' || out->p[i] == '\n' || out->p[i] == 0) {
            ok = err_set(e, ERR_INPUT, "a secret holds more than one line");
        }
    }
    buf_char(out, 0);
    buf_release(&value);
    return ok && !out->failed;
}

/* Waits for stop or the time; true: stop. */
static bool pause_for(struct queue *q, int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ns_from_ms(ms);
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    (void)pthread_mutex_lock(&q->mu);
    while (!atomic_load(&q->owner->stop) && pthread_cond_timedwait(&q->wake, &q->mu, &t) == 0) {
    }
    (void)pthread_mutex_unlock(&q->mu);
    return atomic_load(&q->owner->stop);
}

enum outcome { SENT, AGAIN, NEVER };

static enum outcome post(struct queue *q, struct http_client *c, struct mem *m, struct str body,
                         int64_t *wait_ms, struct err *e)
{
    struct http_answer answer;
    struct buf auth;
    char agent[256];
    enum outcome got = NEVER;
    memset(&answer, 0, sizeof answer);
    buf_init(&auth, m, SECRET_BYTES_MAX * 3);
    (void)snprintf(agent, sizeof agent, "User-Agent: %s",
                   q->owner->o.user_agent ? q->owner->o.user_agent : "farol");
    if (put_authorization(q, m, &auth, e)) {
        const char *headers[4] = {"Content-Type: application/json", agent, NULL, NULL};
        headers[2] = auth.n > 1 ? auth.p : NULL;
        int64_t begin = os_mono_ns(q->owner->o.os);
        if (http_client_do(c, "POST", q->url, headers, body, ANSWER_BYTES_MAX, &answer, e)) {
            bool again = answer.status == 429 || answer.status >= 500;
            got = answer.status / 100 == 2 ? SENT : again ? AGAIN : NEVER;
            *wait_ms = i64_max(*wait_ms, answer.retry_after_ms);
            if (got != SENT) {
                (void)err_set(e, ERR_IO, "answered %d: %.*s", answer.status,
                              STR_FMT(str_sub(buf_str(&answer.body), 0, 100)));
            }
            buf_release(&answer.body);
        } else {
            got = AGAIN;
        }
        (void)pthread_mutex_lock(&q->mu);
        q->last_ns = os_mono_ns(q->owner->o.os) - begin;
        (void)pthread_mutex_unlock(&q->mu);
    }
    buf_release(&auth);
    return got;
}

static bool deliver(struct queue *q, struct http_client *c, struct mem *m, struct str body,
                    struct err *e)
{
    const struct notify_am_options *o = &q->owner->o;
    int64_t pause = o->pause_ms;
    for (uint32_t i = 1;; i++) {
        int64_t wait = pause;
        enum outcome got = post(q, c, m, body, &wait, e);
        if (got != AGAIN || i >= o->tries_max || atomic_load(&q->owner->stop)) {
            return got == SENT;
        }
        (void)pthread_mutex_lock(&q->mu);
        q->retries++;
        (void)pthread_mutex_unlock(&q->mu);
        if (pause_for(q, i64_min(wait, PAUSE_MAX_MS))) {
            return post(q, c, m, body, &wait, e) == SENT;
        }
        pause = i64_min(pause * 2, PAUSE_MAX_MS);
    }
}

/* Up to 64 alerts as one body. Returns how many; waits for the first unless told to stop. */
static uint32_t take(struct queue *q, struct buf *body)
{
    uint32_t n = 0;
    (void)pthread_mutex_lock(&q->mu);
    while (q->n == 0 && !atomic_load(&q->owner->stop)) {
        (void)pthread_cond_wait(&q->wake, &q->mu);
    }
    buf_char(body, '[');
    while (q->n > 0 && n < NOTIFY_AM_BATCH_MAX) {
        struct item it = pop(q);
        if (n++) {
            buf_char(body, ',');
        }
        buf_add(body, it.p, it.n);
        free(it.p);
    }
    buf_char(body, ']');
    (void)pthread_mutex_unlock(&q->mu);
    return n;
}

static void drop_all(struct queue *q)
{
    (void)pthread_mutex_lock(&q->mu);
    while (q->n > 0) {
        free(pop(q).p);
        q->failed++;
    }
    (void)pthread_mutex_unlock(&q->mu);
}

static struct http_client *client_new(struct queue *q, struct arena *a)
{
    const struct notify_am_target *t = q->target;
    struct err e = {0};
    struct http_client *c = http_client_new(a->mem, t->timeout_ms, t->timeout_ms);
    const struct http_client_tls tls = {
        .ca_file = t->http.tls.ca_file.n ? arena_cstr(a, t->http.tls.ca_file) : NULL,
        .cert_file = t->http.tls.cert_file.n ? arena_cstr(a, t->http.tls.cert_file) : NULL,
        .key_file = t->http.tls.key_file.n ? arena_cstr(a, t->http.tls.key_file) : NULL,
        .insecure_skip_verify = t->http.tls.insecure_skip_verify};
    if (c && !http_client_tls_set(c, &tls, &e)) {
        http_client_free(c);
        c = NULL;
    }
    return c;
}

static void *work(void *arg)
{
    struct queue *q = arg;
    struct mem mem;
    struct arena a;
    struct buf body;
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1U << 20);
    buf_init(&body, &mem, (size_t)ALERT_BYTES_MAX * (NOTIFY_AM_BATCH_MAX + 1));
    struct http_client *c = client_new(q, &a);
    for (uint32_t n = 0; c;) {
        struct err e = {0};
        buf_reset(&body);
        n = take(q, &body);
        if (n == 0) {
            break;
        }
        bool ok = !body.failed && deliver(q, c, &mem, buf_str(&body), &e);
        (void)pthread_mutex_lock(&q->mu);
        q->sent += ok ? n : 0;
        q->failed += ok ? 0 : n;
        q->requests += ok;
        (void)pthread_mutex_unlock(&q->mu);
        if (!ok) {
            log_line(q->owner->o.log, LOG_WARN, "notify", "%u alerts not sent to %.*s: %s", n,
                     STR_FMT(q->target->url), e.msg);
            if (atomic_load(&q->owner->stop)) {
                break;
            }
        }
    }
    drop_all(q);
    http_client_free(c);
    buf_release(&body);
    arena_release(&a);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool queue_start(struct notify_am *n, struct queue *q, const struct notify_am_target *t,
                        struct err *e)
{
    pthread_condattr_t attr;
    q->owner = n;
    q->target = t;
    q->max = n->o.queue_max;
    q->ring = calloc(q->max, sizeof q->ring[0]);
    (void)pthread_mutex_init(&q->mu, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&q->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    int len = snprintf(q->url, sizeof q->url, "%.*s/api/v2/alerts", STR_FMT(t->url));
    if (!q->ring || len < 0 || (size_t)len >= sizeof q->url) {
        return err_set(e, ERR_LIMIT, "no memory for a queue of alerts, or its URL is too long");
    }
    int failed = pthread_create(&q->thread, NULL, work, q);
    q->running = failed == 0;
    return q->running || err_errno(e, failed, "cannot start a thread for alerts");
}

bool notify_am_new(const struct notify_am_config *c, const struct notify_am_options *o,
                   struct notify_am **out, struct err *e)
{
    struct notify_am *n = calloc(1, sizeof *n);
    *out = NULL;
    if (!n) {
        return err_set(e, ERR_NOMEM, "no memory to send alerts");
    }
    n->c = c;
    n->o = *o;
    n->o.queue_max = o->queue_max ? o->queue_max : NOTIFY_AM_QUEUE_MAX;
    n->o.queue_bytes_max = o->queue_bytes_max ? o->queue_bytes_max : (uint64_t)64 << 20;
    n->o.pause_ms = o->pause_ms ? o->pause_ms : 1000;
    n->o.tries_max = o->tries_max ? o->tries_max : 4;
    n->queues = calloc(c->targets_n + 1, sizeof n->queues[0]);
    bool ok = n->queues || err_set(e, ERR_NOMEM, "no memory to send alerts");
    for (uint32_t i = 0; ok && i < c->targets_n; i++) {
        n->queues_n = i + 1;
        ok = queue_start(n, &n->queues[i], &c->targets[i], e);
    }
    if (!ok) {
        notify_am_free(n);
        return false;
    }
    *out = n;
    return true;
}

void notify_am_free(struct notify_am *n)
{
    if (!n) {
        return;
    }
    atomic_store(&n->stop, true);
    for (uint32_t i = 0; i < n->queues_n; i++) {
        (void)pthread_mutex_lock(&n->queues[i].mu);
        (void)pthread_cond_broadcast(&n->queues[i].wake);
        (void)pthread_mutex_unlock(&n->queues[i].mu);
    }
    for (uint32_t i = 0; i < n->queues_n; i++) {
        struct queue *q = &n->queues[i];
        if (q->running) {
            (void)pthread_join(q->thread, NULL);
        }
        (void)pthread_cond_destroy(&q->wake);
        (void)pthread_mutex_destroy(&q->mu);
        free(q->ring);
    }
    free(n->queues);
    free(n);
}

/* --- showing ---------------------------------------------------------------------------------- */

enum { F_SENT, F_FAILED, F_DROPPED, F_RETRIES, F_LENGTH, F_CAPACITY, F_LAST, FAMILIES };

void notify_am_publish(struct notify_am *n, struct expo *x)
{
    static const struct {
        enum expo_type type;
        struct str name, unit, help;
    } rows[FAMILIES] = {
        {EXPO_COUNTER, STR_INIT("farol_notify_alertmanager_sent_total"), STR_INIT(""),
         STR_INIT("Alerts that the Alertmanager took.")},
        {EXPO_COUNTER, STR_INIT("farol_notify_alertmanager_failed_total"), STR_INIT(""),
         STR_INIT("Alerts that it refused, or that did not reach it in all tries.")},
        {EXPO_COUNTER, STR_INIT("farol_notify_alertmanager_dropped_total"), STR_INIT(""),
         STR_INIT("Oldest alerts that made room in a full queue.")},
        {EXPO_COUNTER, STR_INIT("farol_notify_alertmanager_retries_total"), STR_INIT(""),
         STR_INIT("Requests sent again.")},
        {EXPO_GAUGE, STR_INIT("farol_notify_alertmanager_queue_length"), STR_INIT(""),
         STR_INIT("Alerts that wait.")},
        {EXPO_GAUGE, STR_INIT("farol_notify_alertmanager_queue_capacity"), STR_INIT(""),
         STR_INIT("Alerts that may wait.")},
        {EXPO_GAUGE, STR_INIT("farol_notify_alertmanager_last_request_seconds"),
         STR_INIT("seconds"), STR_INIT("How long the last request took.")},
    };
    struct expo_family *f[FAMILIES];
    for (int i = 0; i < FAMILIES; i++) {
        f[i] = expo_family(x, rows[i].type, rows[i].name, rows[i].unit, rows[i].help);
    }
    for (uint32_t i = 0; i < n->queues_n; i++) {
        struct queue *q = &n->queues[i];
        const struct label l = {STR("alertmanager"), q->target->url};
        (void)pthread_mutex_lock(&q->mu);
        const double v[FAMILIES] = {(double)q->sent,      (double)q->failed, (double)q->dropped,
                                    (double)q->retries,   (double)q->n,      (double)q->max,
                                    s_from_ns(q->last_ns)};
        (void)pthread_mutex_unlock(&q->mu);
        for (int k = 0; k < FAMILIES; k++) {
            expo_add(x, f[k], &l, 1, v[k]);
        }
    }
}

void notify_am_json(struct notify_am *n, struct buf *out)
{
    BUF_LIT(out, "{\"activeAlertmanagers\":[");
    for (uint32_t i = 0; i < n->queues_n; i++) {
        if (i) {
            buf_char(out, ',');
        }
        BUF_LIT(out, "{\"url\":");
        buf_json_str(out, str_from_c(n->queues[i].url));
        buf_char(out, '}');
    }
    BUF_LIT(out, "],\"droppedAlertmanagers\":[]}");
}
