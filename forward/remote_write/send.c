/* One destination: rounds, and the shards that send them.
 *
 *     rounds' thread:  read the log --> sort by (shard, series) --> note on disk --> open shards
 *                      --> wait for all --> let go of the log
 *     workers:         take a shard, send its requests one after the other, again until they count
 *
 * A series is in one shard of a round, and rounds follow each other, so its samples arrive in
 * order; therefore the number of shards may change from round to round: few when up to date, more
 * when behind. Nothing is dropped for being slow: then the log waits, up to its bound.
 *
 * What an answer means: 2xx sent; 429, 5xx and none: again; 400: cut in halves, down to the sample
 * that is refused, at most SPLITS_MAX times a shard; other 4xx (and 3xx): left behind, counted. */
#include "forward/remote_write/forward_int.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const mod = "forward";

#define ANSWER_BYTES_MAX 65536
#define SPLITS_MAX       2000
#define ROUND_REQUESTS   4  /* of a shard in a round */
#define POLL_MS          50 /* how soon a commit is noticed */
#define BYTES_PER_SAMPLE 10 /* of the log, about: for guesses only */
#define HEADERS_MAX      80

void forward_wait(struct forward_to *t, int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    const int64_t ns = at.tv_nsec + ns_from_ms(ms);
    at.tv_sec += ns / NS_PER_S;
    at.tv_nsec = ns % NS_PER_S;
    pthread_mutex_lock(&t->mu);
    int rc = 0;
    while (rc == 0 && !atomic_load(&t->stop)) {
        rc = pthread_cond_timedwait(&t->wake, &t->mu, &at);
    }
    pthread_mutex_unlock(&t->mu);
}

bool forward_save(struct forward_to *t, struct err *e)
{
    char bytes[FORWARD_STATE_BYTES];
    forward_state_write(&t->state, bytes);
    return file_replace(t->options->os, t->path, str_of(bytes, sizeof bytes), e);
}

/* -- one request -- */

static void count_encoded(struct forward_to *t, const struct forward_encoder *x)
{
    for (int i = 0; i < FORWARD_DROPS; i++) {
        atomic_fetch_add(&t->counters.dropped[i], x->dropped[i]);
    }
}

static void count_sent(struct forward_to *t, const struct forward_encoder *x)
{
    struct forward_counters *c = &t->counters;
    count_encoded(t, x);
    atomic_fetch_add(&c->samples, x->samples);
    atomic_fetch_add(&c->histograms, x->histograms);
    atomic_fetch_add(&c->exemplars, x->exemplars);
    atomic_fetch_add(&c->bytes, x->packed.n);
    int64_t was = atomic_load(&c->newest_ms);
    while (x->newest_ms > was && !atomic_compare_exchange_weak(&c->newest_ms, &was, x->newest_ms)) {
    }
}

/* Lines for libcurl, in the arena; NULL without memory. */
static const char **headers(const struct forward_worker *w, struct arena *a)
{
    const struct forward_to *t = w->to;
    const struct forward_config *c = t->config;
    const char **h = ARENA_ARRAY(a, const char *, HEADERS_MAX);
    uint32_t n = 0;
    if (!h) {
        return NULL;
    }
    h[n++] = "Content-Encoding: snappy";
    h[n++] = c->version_2
                 ? "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request"
                 : "Content-Type: application/x-protobuf";
    h[n++] = c->version_2 ? "X-Prometheus-Remote-Write-Version: 2.0.0"
                          : "X-Prometheus-Remote-Write-Version: 0.1.0";
    if (t->auth[0] != 0) {
        h[n++] = t->auth;
    }
    for (uint32_t i = 0; i <= c->headers_n; i++) {
        const struct str name = i < c->headers_n ? c->headers[i].name : STR("User-Agent");
        const struct str value =
            i < c->headers_n ? c->headers[i].value : str_from_c(t->options->user_agent);
        char *line = arena_take(a, name.n + value.n + 3, 1);
        if (!line || (value.n == 0 && i == c->headers_n)) {
            return line ? h : NULL;
        }
        snprintf(line, name.n + value.n + 3, "%.*s: %.*s", STR_FMT(name), STR_FMT(value));
        h[n++] = line;
    }
    return h;
}

/* Sends what the encoder holds. 0: no answer, e says why. */
static int post(struct forward_worker *w, int64_t *retry_after_ms, struct err *e)
{
    struct http_answer answer;
    *retry_after_ms = -1;
    arena_reset(&w->encoder.arena);
    const char **h = headers(w, &w->encoder.arena);
    if (!h) {
        err_set(e, ERR_NOMEM, "no memory for the headers of a request");
        return 0;
    }
    if (!http_client_do(w->client, "POST", w->to->url, h, buf_str(&w->encoder.packed),
                        ANSWER_BYTES_MAX, &answer, e)) {
        return 0;
    }
    *retry_after_ms = answer.retry_after_ms;
    const int status = answer.status;
    if (status / 100 != 2) {
        struct str said = str_trim(str_sub(buf_str(&answer.body), 0, 120));
        err_set(e, ERR_INPUT, "answer %d: %.*s", status, STR_FMT(said));
    }
    buf_release(&answer.body);
    return status;
}

static enum forward_drop drop_of(int status)
{
    return status == 400                    ? FORWARD_REFUSED
           : status == 401 || status == 403 ? FORWARD_DENIED
                                            : FORWARD_NOT_FOUND;
}

static bool again(int status)
{
    return status == 0 || status == 429 || status >= 500;
}

/* Sends items as one request until there is an answer that counts. 0: stopped before. */
static int send_until(struct forward_worker *w, const struct forward_item *items, size_t n)
{
    struct forward_to *t = w->to;
    int64_t pause_ms = t->config->backoff_min_ms;
    while (!atomic_load(&t->stop)) {
        struct err e = {0};
        int64_t after_ms = -1;
        int status = 0;
        w->encoder.now_ms = ms_from_ns(os_now_ns(t->options->os));
        if (forward_encode(&w->encoder, items, n, &e)) {
            if (w->encoder.packed.n == 0) {
                count_encoded(t, &w->encoder);
                return 200;
            }
            atomic_fetch_add(&t->counters.requests, 1);
            status = post(w, &after_ms, &e);
        }
        if (!again(status)) {
            if (status / 100 != 2) {
                log_err(t->options->log, LOG_WARN, mod, &e);
            }
            return status;
        }
        atomic_fetch_add(&t->counters.retries, 1);
        if (pause_ms == t->config->backoff_min_ms) {
            log_line(t->options->log, LOG_WARN, mod, "%.*s: %s; trying again",
                     STR_FMT(t->config->name), e.msg);
        }
        forward_wait(t, after_ms >= 0 ? after_ms : pause_ms);
        pause_ms =
            pause_ms * 2 < t->config->backoff_max_ms ? pause_ms * 2 : t->config->backoff_max_ms;
    }
    return 0;
}

/* depth is bounded by the logarithm of the samples of a request. */
static bool send_part(struct forward_worker *w, const struct forward_item *items, size_t n,
                      uint32_t *splits)
{
    const int status = send_until(w, items, n);
    struct forward_to *t = w->to;
    if (status == 0) {
        return false;
    }
    if (status / 100 == 2) {
        if (w->encoder.packed.n > 0) {
            count_sent(t, &w->encoder);
        }
        return true;
    }
    if (status == 400 && n > 1 && *splits < SPLITS_MAX) {
        ++*splits;
        return send_part(w, items, n / 2, splits) && send_part(w, items + n / 2, n - n / 2, splits);
    }
    count_encoded(t, &w->encoder);
    atomic_fetch_add(&t->counters.dropped[drop_of(status)],
                     w->encoder.samples + w->encoder.histograms);
    return true;
}

bool forward_shard_send(struct forward_worker *w, const struct forward_item *items, size_t n)
{
    uint32_t splits = 0;
    const size_t most = w->to->state.samples_max;
    for (size_t at = 0; at < n;) {
        const size_t part = n - at < most ? n - at : most;
        if (!send_part(w, items + at, part, &splits)) {
            return false;
        }
        at += part;
    }
    return true;
}

void *forward_worker_run(void *arg)
{
    struct forward_worker *w = arg;
    struct forward_to *t = w->to;
    pthread_mutex_lock(&t->mu);
    for (;;) {
        while (!atomic_load(&t->stop) && t->shard_next == t->shards) {
            pthread_cond_wait(&t->wake, &t->mu);
        }
        if (atomic_load(&t->stop)) {
            break;
        }
        const uint32_t shard = t->shard_next++;
        pthread_mutex_unlock(&t->mu);
        const size_t from = shard == 0 ? 0 : t->shard_end[shard - 1];
        const bool sent = forward_shard_send(w, t->items + from, t->shard_end[shard] - from);
        pthread_mutex_lock(&t->mu);
        if (sent && --t->shard_left == 0) {
            pthread_cond_broadcast(&t->wake);
        }
    }
    pthread_mutex_unlock(&t->mu);
    return NULL;
}

/* -- a round -- */

static bool round_take(void *ctx, const struct tsdb_tapped *x, struct err *e)
{
    struct forward_to *t = ctx;
    if (x->exemplar && !t->config->exemplars) {
        return true;
    }
    void *p = t->items;
    if (!mem_array_grow(&t->mem, &p, &t->items_cap, t->items_n + 1, UINT32_MAX, sizeof *t->items)) {
        return err_set(e, ERR_NOMEM, "no memory for a round of %zu samples", t->items_n);
    }
    t->items = p;
    struct forward_item *it = &t->items[t->items_n];
    *it = (struct forward_item){
        .ref = x->ref, .seq = (uint32_t)t->items_n, .t_ms = x->t_ms, .st_ms = x->st_ms, .v = x->v};
    if (x->h) {
        it->h = nhist_copy(x->h, &t->arena);
    }
    if (x->exemplar) {
        struct labels *copy = ARENA_NEW(&t->arena, struct labels);
        if (!copy || !labels_copy(*x->exemplar, &t->arena, copy, e)) {
            return err_set(e, ERR_NOMEM, "no memory for the exemplars of a round");
        }
        it->exemplar = copy;
    }
    if (x->h && !it->h) {
        return err_set(e, ERR_NOMEM, "no memory for the histograms of a round");
    }
    t->items_n++;
    return true;
}

static int by_series(const void *a, const void *b)
{
    const struct forward_item *x = a;
    const struct forward_item *y = b;
    if (x->ref != y->ref) {
        return x->ref < y->ref ? -1 : 1;
    }
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Ids of one scrape are neighbours, so a shard is the lowest bits of a mixed id: spread evenly. */
static uint32_t shard_of(uint32_t ref, uint32_t shards)
{
    return (uint32_t)((uint64_t)(ref * 2654435761U) * shards >> 32);
}

/* Puts the items in order of shards, then series, then commits. */
static bool round_cut(struct forward_to *t, uint32_t shards, struct err *e)
{
    size_t fill[FORWARD_SHARDS_MAX] = {0};
    const size_t bytes = t->items_n * sizeof *t->items;
    struct forward_item *sorted = mem_take(&t->mem, bytes);
    if (!sorted) {
        return err_set(e, ERR_NOMEM, "no memory to sort a round of %zu samples", t->items_n);
    }
    for (size_t i = 0; i < t->items_n; i++) {
        fill[shard_of(t->items[i].ref, shards)]++;
    }
    for (uint32_t s = 0; s < shards; s++) {
        const size_t from = s == 0 ? 0 : t->shard_end[s - 1];
        t->shard_end[s] = from + fill[s];
        fill[s] = from;
    }
    for (size_t i = 0; i < t->items_n; i++) {
        sorted[fill[shard_of(t->items[i].ref, shards)]++] = t->items[i];
    }
    memcpy(t->items, sorted, bytes);
    mem_give(&t->mem, sorted, bytes);
    for (uint32_t s = 0; s < shards; s++) {
        const size_t from = s == 0 ? 0 : t->shard_end[s - 1];
        if (t->shard_end[s] > from) {
            qsort(t->items + from, t->shard_end[s] - from, sizeof *t->items, by_series);
        }
    }
    return true;
}

/* Reads a round behind state.from; up to state.to when that one was on its way before a restart. */
static bool round_read(struct forward_to *t, uint64_t behind_bytes, struct err *e)
{
    const struct forward_config *c = t->config;
    const bool again_same = t->state.to != t->state.from;
    if (!again_same) {
        const uint64_t guess =
            behind_bytes / BYTES_PER_SAMPLE / ((uint64_t)c->samples_max * ROUND_REQUESTS) + 1;
        t->state.shards =
            (uint32_t)(guess > (uint64_t)c->shards_max ? (uint64_t)c->shards_max : guess);
        t->state.shards =
            t->state.shards < c->shards_min ? (uint32_t)c->shards_min : t->state.shards;
        t->state.samples_max = (uint32_t)c->samples_max;
    }
    uint64_t most = (uint64_t)t->state.shards * t->state.samples_max * ROUND_REQUESTS;
    const uint64_t room = (uint64_t)t->state.shards * (uint64_t)c->capacity;
    most = room < most ? room : most;
    t->items_n = 0;
    arena_reset(&t->arena);
    if (!tsdb_tap_read(t->tap, again_same ? t->state.to : 0, again_same ? UINT64_MAX : most,
                       round_take, t, e)) {
        return false;
    }
    t->state.to = tsdb_tap_position(t->tap);
    return round_cut(t, t->state.shards, e);
}

/* Opens the shards and waits. false: stopped before all was sent. */
static bool round_send(struct forward_to *t)
{
    pthread_mutex_lock(&t->mu);
    t->shards = t->state.shards;
    t->shard_left = t->shards;
    t->shard_next = 0;
    pthread_cond_broadcast(&t->wake);
    while (t->shard_left > 0 && !atomic_load(&t->stop)) {
        pthread_cond_wait(&t->wake, &t->mu);
    }
    const bool all = t->shard_left == 0;
    pthread_mutex_unlock(&t->mu);
    return all;
}

static void save(struct forward_to *t)
{
    struct err e = {0};
    if (!forward_save(t, &e)) {
        atomic_fetch_add(&t->counters.save_failures, 1);
        log_err(t->options->log, LOG_ERROR, mod, &e);
    }
}

static bool one_round(struct forward_to *t, uint64_t behind_bytes)
{
    struct err e = {0};
    atomic_store(&t->counters.busy, true);
    bool ok = round_read(t, behind_bytes, &e) &&
              forward_auth(t->config, t->options->os, t->auth, sizeof t->auth, &e);
    if (!ok) {
        log_err(t->options->log, LOG_ERROR, mod, &e);
        tsdb_tap_seek(t->tap, t->state.from); /* all of it again */
        forward_wait(t, t->config->backoff_max_ms);
        return true;
    }
    if (t->items_n > 0) {
        atomic_store(&t->counters.shards, t->state.shards);
        save(t);
        if (!round_send(t)) {
            return false;
        }
    }
    t->state.from = t->state.to;
    tsdb_tap_keep(t->tap, t->state.from);
    atomic_store(&t->counters.busy, false);
    return true;
}

void *forward_rounds_run(void *arg)
{
    struct forward_to *t = arg;
    const struct forward_config *c = t->config;
    const uint64_t full = (uint64_t)c->samples_max * (uint64_t)c->shards_min * BYTES_PER_SAMPLE;
    int64_t since_ns = 0; /* when samples began to wait */
    bool saved = true;
    while (!atomic_load(&t->stop)) {
        struct tsdb_tap_stats s;
        tsdb_tap_stats(t->tap, &s);
        const int64_t now_ns = os_mono_ns(t->options->os);
        since_ns = s.behind_bytes == 0 ? 0 : since_ns == 0 ? now_ns : since_ns;
        const bool due = t->state.to != t->state.from || s.behind_bytes >= full ||
                         (since_ns != 0 && now_ns - since_ns >= ns_from_ms(c->deadline_ms));
        if (due) {
            if (!one_round(t, s.behind_bytes)) {
                break;
            }
            since_ns = 0;
            saved = false;
            continue;
        }
        if (!saved) {
            save(t); /* idle: a start now sends nothing twice */
            saved = true;
        }
        forward_wait(t, POLL_MS);
    }
    if (t->state.to == t->state.from && !saved) {
        save(t);
    }
    return NULL;
}
