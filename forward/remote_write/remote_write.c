/* Destinations: opening, closing, their series. */
#include "forward/remote_write/remote_write.h"

#include "base/clock.h"
#include "forward/remote_write/forward_int.h"

#include <stdio.h>

#define ROUND_BYTES_MAX ((size_t)512 << 20)

struct forward {
    struct forward_options options;
    char dir[PATH_BYTES_MAX];
    struct forward_to *to;
    uint32_t n;
};

static const char *const drop_texts[FORWARD_DROPS] = {
    "refused", "denied", "not_found", "series_gone", "relabelled", "too_old", "histogram"};

/* -- Authorization -- */

static void base64(struct buf *out, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_char(out, i + k <= s.n ? digits[v >> (18 - 6 * k) & 63] : '=');
        }
    }
}

/* A secret given in place or in a file, whose last line break is not part of it. */
static bool secret(struct str given, struct str file, const struct os *os, struct mem *m,
                   struct buf *out, struct err *e)
{
    if (file.n == 0) {
        buf_str_add(out, given);
        return true;
    }
    struct arena a;
    arena_init(&a, m, 4096);
    const char *path = arena_cstr(&a, file);
    const size_t from = out->n;
    const bool ok = path ? file_read(os, path, out, e) : err_set(e, ERR_NOMEM, "no memory");
    if (ok && out->n > from) {
        const struct str trimmed = str_trim(str_of(out->p + from, out->n - from));
        memmove(out->p + from, trimmed.p, trimmed.n);
        out->n = from + trimmed.n;
    }
    arena_release(&a);
    return ok;
}

bool forward_auth(const struct forward_config *c, const struct os *os, char *out, size_t cap,
                  struct err *e)
{
    struct mem m;
    struct buf plain, line;
    mem_init(&m, 64 << 10);
    buf_init(&plain, &m, 4096);
    buf_init(&line, &m, cap - 1);
    bool ok = true;
    out[0] = 0;
    if (c->http.username.n > 0) {
        buf_str_add(&plain, c->http.username);
        buf_char(&plain, ':');
        ok = secret(c->http.password, c->http.password_file, os, &m, &plain, e);
        BUF_LIT(&line, "Authorization: Basic ");
        base64(&line, buf_str(&plain));
    } else if (c->http.auth_type.n > 0) {
        buf_fmt(&line, "Authorization: %.*s ", STR_FMT(c->http.auth_type));
        ok = secret(c->http.credentials, c->http.credentials_file, os, &m, &line, e);
    }
    ok = ok && buf_ok(&plain, e) && buf_ok(&line, e);
    if (ok && line.n > 0) {
        memcpy(out, line.p, line.n);
        out[line.n] = 0;
    }
    buf_release(&line);
    buf_release(&plain);
    return ok;
}

/* -- life -- */

static bool client_new(struct forward_worker *w, struct err *e)
{
    const struct forward_config *c = w->to->config;
    w->client = http_client_new(&w->mem, c->timeout_ms, c->timeout_ms);
    if (!w->client) {
        return err_set(e, ERR_NOMEM, "no memory for a client");
    }
    http_client_stop_on(w->client, &w->to->stop);
    struct arena a;
    arena_init(&a, &w->mem, 8192);
    const struct http_client_tls tls = {
        .ca_file = c->http.tls.ca_file.n ? arena_cstr(&a, c->http.tls.ca_file) : NULL,
        .cert_file = c->http.tls.cert_file.n ? arena_cstr(&a, c->http.tls.cert_file) : NULL,
        .key_file = c->http.tls.key_file.n ? arena_cstr(&a, c->http.tls.key_file) : NULL,
        .insecure_skip_verify = c->http.tls.insecure_skip_verify,
    };
    const bool copied = (!c->http.tls.ca_file.n || tls.ca_file) &&
                        (!c->http.tls.cert_file.n || tls.cert_file) &&
                        (!c->http.tls.key_file.n || tls.key_file);
    const bool ok = (copied || err_set(e, ERR_NOMEM, "no memory for a client")) &&
                    http_client_tls_set(w->client, &tls, e);
    arena_release(&a);
    return ok;
}

static bool workers_start(struct forward_to *t, struct mem *m, struct err *e)
{
    const uint32_t n = (uint32_t)t->config->shards_max;
    t->workers = mem_take(m, n * sizeof *t->workers);
    if (!t->workers) {
        return err_set(e, ERR_NOMEM, "no memory for the senders");
    }
    t->workers_n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct forward_worker *w = &t->workers[i];
        w->to = t;
        mem_init(&w->mem, 0);
        forward_encoder_init(&w->encoder, &w->mem);
        w->encoder.config = t->config;
        w->encoder.options = t->options;
        w->encoder.entry = t->entry;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct forward_worker *w = &t->workers[i];
        if (!client_new(w, e)) {
            return false;
        }
        const int rc = pthread_create(&w->thread, NULL, forward_worker_run, w);
        w->runs = rc == 0;
        if (rc != 0) {
            return err_errno(e, rc, "cannot start a sender");
        }
    }
    const int rc = pthread_create(&t->thread, NULL, forward_rounds_run, t);
    t->runs = rc == 0;
    return rc == 0 || err_errno(e, rc, "cannot start the sender of %s", t->path);
}

/* Where it goes on. A position that cannot be read is said aloud: it begins at this moment. */
static bool position_load(struct forward_to *t, struct err *e)
{
    struct mem m;
    struct buf b;
    struct err why = {0};
    mem_init(&m, 64 << 10);
    buf_init(&b, &m, 4096);
    int fd;
    const struct os *os = t->options->os;
    t->state = (struct forward_state){.from = 0};
    if (os->open(os->ctx, t->path, OS_READ, &fd) == 0) {
        (void)os->close(os->ctx, fd);
        if (!file_read(os, t->path, &b, &why) ||
            !forward_state_read(buf_str(&b), &t->state, &why)) {
            t->state = (struct forward_state){.from = 0};
            atomic_fetch_add(&t->counters.save_failures, 1);
            log_err(t->options->log, LOG_ERROR, "forward", &why);
        }
    }
    buf_release(&b);
    if (!tsdb_tap_open(t->options->db, t->state.from, &t->tap, e)) {
        return false;
    }
    const uint64_t at = tsdb_tap_position(t->tap);
    if (t->state.from != at) {
        t->state = (struct forward_state){.from = at, .to = at};
    }
    return forward_save(t, e);
}

static bool to_open(struct forward_to *t, struct forward *f, const struct forward_config *c,
                    uint32_t entry, struct err *e)
{
    char name[128];
    pthread_condattr_t steady;
    t->config = c;
    t->options = &f->options;
    t->entry = entry;
    mem_init(&t->mem, 0);
    arena_init(&t->arena, &t->mem, ROUND_BYTES_MAX);
    pthread_mutex_init(&t->mu, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &steady);
    pthread_condattr_destroy(&steady);
    t->url_bytes = c->url.n + 1;
    t->url = mem_take(f->options.mem, t->url_bytes);
    if (!t->url) {
        return err_set(e, ERR_NOMEM, "no memory for a destination");
    }
    memcpy(t->url, c->url.p, c->url.n);
    atomic_store(&t->counters.newest_ms, ms_from_ns(os_now_ns(f->options.os)));
    snprintf(name, sizeof name, "%.*s.position", STR_FMT(c->name));
    return path_join(t->path, sizeof t->path, f->dir, name, e) && position_load(t, e);
}

static void to_stop(struct forward_to *t, struct mem *m)
{
    atomic_store(&t->stop, true);
    pthread_mutex_lock(&t->mu);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mu);
    if (t->runs) {
        pthread_join(t->thread, NULL);
    }
    for (uint32_t i = 0; i < t->workers_n; i++) {
        struct forward_worker *w = &t->workers[i];
        if (w->runs) {
            pthread_join(w->thread, NULL);
        }
        http_client_free(w->client);
        forward_encoder_release(&w->encoder);
        ASSERT(w->mem.bytes == 0);
    }
    mem_give(m, t->workers, t->workers_n * sizeof *t->workers);
    tsdb_tap_close(t->tap);
    mem_give(&t->mem, t->items, t->items_cap * sizeof *t->items);
    arena_release(&t->arena);
    ASSERT(t->mem.bytes == 0);
    mem_give(m, t->url, t->url_bytes);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mu);
}

void forward_free(struct forward *f)
{
    if (!f) {
        return;
    }
    struct mem *m = f->options.mem;
    for (uint32_t i = 0; i < f->n; i++) {
        atomic_store(&f->to[i].stop, true); /* all at once, then one after the other */
    }
    for (uint32_t i = 0; i < f->n; i++) {
        to_stop(&f->to[i], m);
    }
    mem_give(m, f->to, f->n * sizeof *f->to);
    mem_give(m, f, sizeof *f);
}

bool forward_new(const struct forward_config *c, uint32_t n, const struct forward_options *o,
                 struct forward **out, struct err *e)
{
    struct forward *f = mem_take(o->mem, sizeof *f);
    if (!f) {
        return err_set(e, ERR_NOMEM, "no memory for remote write");
    }
    f->options = *o;
    const struct str dir = str_from_c(o->dir);
    bool ok = dir.n < sizeof f->dir || err_set(e, ERR_LIMIT, "the path '%s' is too long", o->dir);
    if (ok) {
        memcpy(f->dir, dir.p, dir.n);
        f->options.dir = f->dir;
        ok = dir_make(o->os, f->dir, e);
    }
    f->to = ok ? mem_take(o->mem, n * sizeof *f->to) : NULL;
    if (!f->to) {
        mem_give(o->mem, f, sizeof *f);
        return ok ? err_set(e, ERR_NOMEM, "no memory for remote write") : false;
    }
    /* All taps first, then the threads: the first that moves on lets log go. */
    struct mem *m = o->mem;
    for (uint32_t i = 0; ok && i < n; i++) {
        f->n = i + 1;
        ok = to_open(&f->to[i], f, &c[i], i, e);
    }
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = workers_start(&f->to[i], m, e);
    }
    if (!ok) {
        const uint32_t made = f->n;
        for (uint32_t i = 0; i < made; i++) {
            to_stop(&f->to[i], m);
        }
        mem_give(m, f->to, n * sizeof *f->to);
        mem_give(m, f, sizeof *f);
        return false;
    }
    *out = f;
    return true;
}

/* -- series -- */

static void counter(const struct forward *f, struct expo *x, const char *name, const char *help,
                    size_t offset)
{
    struct expo_family *fam =
        expo_family(x, EXPO_COUNTER, str_from_c(name), STR(""), str_from_c(help));
    for (uint32_t i = 0; i < f->n; i++) {
        const struct label l = {STR("name"), f->to[i].config->name};
        const char *base = (const char *)&f->to[i].counters;
        const atomic_uint_fast64_t *v = (const atomic_uint_fast64_t *)(const void *)(base + offset);
        expo_add(x, fam, &l, 1, (double)atomic_load(v));
    }
}

static void publish_lag(struct forward *f, struct expo *x)
{
    struct expo_family *bytes = expo_family(x, EXPO_GAUGE, STR("farol_forward_lag_bytes"),
                                            STR("bytes"), STR("Log that is not sent yet."));
    struct expo_family *seconds =
        expo_family(x, EXPO_GAUGE, STR("farol_forward_lag_seconds"), STR("seconds"),
                    STR("Age of the newest sample that was sent, when others wait; else 0."));
    struct expo_family *shards = expo_family(x, EXPO_GAUGE, STR("farol_forward_shards"), STR(""),
                                             STR("Requests at once in the newest round."));
    struct expo_family *lost =
        expo_family(x, EXPO_COUNTER, STR("farol_forward_lost_bytes"), STR("bytes"),
                    STR("Log that had to go before it was sent: loss."));
    const int64_t now_ms = ms_from_ns(os_now_ns(f->options.os));
    for (uint32_t i = 0; i < f->n; i++) {
        struct forward_counters *c = &f->to[i].counters;
        const struct label l = {STR("name"), f->to[i].config->name};
        struct tsdb_tap_stats s;
        tsdb_tap_stats(f->to[i].tap, &s);
        const bool waits = s.behind_bytes > 0 || atomic_load(&c->busy);
        const int64_t age_ms = now_ms - atomic_load(&c->newest_ms);
        expo_add(x, bytes, &l, 1, (double)s.behind_bytes);
        expo_add(x, seconds, &l, 1, waits && age_ms > 0 ? (double)age_ms / 1000 : 0);
        expo_add(x, shards, &l, 1, atomic_load(&c->shards));
        expo_add(x, lost, &l, 1, (double)s.lost_bytes);
    }
}

void forward_publish(struct forward *f, struct expo *x)
{
    counter(f, x, "farol_forward_samples", "Samples sent to other engines.",
            offsetof(struct forward_counters, samples));
    counter(f, x, "farol_forward_histograms", "Native histograms sent to other engines.",
            offsetof(struct forward_counters, histograms));
    counter(f, x, "farol_forward_exemplars", "Exemplars sent to other engines.",
            offsetof(struct forward_counters, exemplars));
    counter(f, x, "farol_forward_requests", "Requests to other engines, also failed ones.",
            offsetof(struct forward_counters, requests));
    counter(f, x, "farol_forward_retries", "Requests that had to be sent again.",
            offsetof(struct forward_counters, retries));
    counter(f, x, "farol_forward_position_failures", "Positions that could not be saved or read.",
            offsetof(struct forward_counters, save_failures));
    struct expo_family *dropped =
        expo_family(x, EXPO_COUNTER, STR("farol_forward_dropped"), STR(""),
                    STR("Samples that were not sent, or not taken there, by reason."));
    for (uint32_t i = 0; i < f->n; i++) {
        for (int k = 0; k < FORWARD_DROPS; k++) {
            const struct label l[] = {{STR("name"), f->to[i].config->name},
                                      {STR("reason"), str_from_c(drop_texts[k])}};
            expo_add(x, dropped, l, 2, (double)atomic_load(&f->to[i].counters.dropped[k]));
        }
    }
    publish_lag(f, x);
}
