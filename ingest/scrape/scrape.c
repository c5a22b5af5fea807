/* The loop of scraping: what is due is asked, what has answered is stored, once per turn.
 *
 *   turn:  flights back from the store - new configuration - files of targets - targets that left
 *          - targets whose slot has come: request - answers: page to batch to store
 *   then:  wait for the next of these, or for bytes
 *
 * thread: everything under `mu`, which the loop holds except while it waits; so other threads look
 * at a state between two turns. Pages are read on the loop thread: at 0.1 CPU-seconds per million
 * samples one core takes in more than a machine's disk wants to keep. */
#include "ingest/scrape/scrape.h"

#include "ingest/scrape/loop_int.h"

#include <math.h>
#include <stdio.h>

#define CACHE_BYTES_DEFAULT (256ULL << 20)
#define BATCH_BYTES_DEFAULT (64U << 20)
#define TURN_NS_MAX         NS_PER_S
#define RETRY_NS            (10 * NS_PER_MS)
#define TEXTS_MAX           (1U << 20)
#define SERIES_BYTES_MAX    (16 << 20)
#define STALE_BYTES_MAX     (1U << 30)
#define EARLY_NS            (2 * NS_PER_MS)

/* --- what comes of a scrape --------------------------------------------------------------- */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {301, "Moved Permanently"},     {302, "Found"},          {400, "Bad Request"},
        {401, "Unauthorized"},          {403, "Forbidden"},      {404, "Not Found"},
        {405, "Method Not Allowed"},    {406, "Not Acceptable"}, {429, "Too Many Requests"},
        {500, "Internal Server Error"}, {502, "Bad Gateway"},    {503, "Service Unavailable"},
        {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status) {
            return rows[i].text;
        }
    }
    return "";
}

static enum expo_parse_form form_of(enum scrape_protocol p)
{
    switch (p) {
    case PROTO_PROTOBUF: return EXPO_PARSE_PROTOBUF;
    case PROTO_OPENMETRICS_0_0_1:
    case PROTO_OPENMETRICS_1_0_0: return EXPO_PARSE_OPENMETRICS;
    case PROTO_TEXT_0_0_4:
    case PROTO_TEXT_1_0_0: break;
    }
    return EXPO_PARSE_TEXT;
}

/* The answer's form; false: nothing in it can be read. */
static bool check_answer(struct scrape *s, const struct target *t, const struct http_got *got,
                         enum expo_parse_form *form, struct err *e)
{
    int8_t fallback = t->pool->job->fallback;
    enum expo_parse_form other =
        form_of(fallback < 0 ? PROTO_TEXT_0_0_4 : (enum scrape_protocol)fallback);
    if (got->e) {
        *e = *got->e;
        s->stats.failed_limit += got->e->code == ERR_LIMIT;
        s->stats.failed_connect += got->e->code != ERR_LIMIT;
        return false;
    }
    if (got->status != 200) {
        const char *text = status_text(got->status);
        s->stats.failed_status++;
        return err_set(e, ERR_INPUT, "server returned HTTP status %d%s%s", got->status,
                       text[0] ? " " : "", text);
    }
    if (got->body->n == 0) {
        return true; /* an empty page is a page without samples, whatever it says it is */
    }
    bool ok = expo_parse_form_of(got->content_type, fallback < 0 ? NULL : &other, form, e);
    s->stats.failed_parse += !ok;
    return ok;
}

static void set_error(struct target *t, const struct err *e)
{
    t->last_error[0] = '\0';
    if (e) {
        struct err shown = *e;
        shown.where = NULL;
        (void)err_format(&shown, t->last_error, sizeof t->last_error);
    }
}

struct outcome {
    bool ok;
    struct page page;
    double bytes;
    struct err e;
};

/* Everything that a scrape writes: samples, markers, reports. */
static bool fill_batch(struct scrape *s, struct target *t, enum expo_parse_form form,
                       struct str body, struct tsdb_batch *b, struct outcome *o, struct err *e)
{
    cache_begin(&t->cache);
    if (o->ok && body.n > 0) {
        o->ok = page_append(s, t, form, body, b, &o->page, &o->e);
        s->stats.failed_limit += !o->ok && o->e.code == ERR_LIMIT;
        s->stats.failed_parse += !o->ok && o->e.code != ERR_LIMIT;
    }
    if (!o->ok) {
        tsdb_batch_reset(b);
    }
    buf_reset(&s->stale);
    /* Without memory for the list of stale series they end by the lookback instead. */
    bool listed = cache_end(&t->cache, o->ok, &s->stale);
    if (listed && !page_stale(s, t, b, e)) {
        return false;
    }
    const double values[REPORTS] = {
        [REPORT_UP] = o->ok ? 1 : 0,
        [REPORT_DURATION] = s_from_ns(os_mono_ns(s->o.os) - t->started_ns),
        [REPORT_SAMPLES] = (double)o->page.samples,
        [REPORT_POST] = (double)o->page.post,
        [REPORT_ADDED] = (double)o->page.added,
        [REPORT_TIMEOUT] = (double)t->timeout_ms / 1000,
        [REPORT_LIMIT] = (double)t->pool->job->sample_limit,
        [REPORT_BYTES] = o->bytes,
    };
    s->stats.series_added += o->page.added;
    return report_append(s, t, b, t->t_ms, values, e);
}

static void conclude(struct scrape *s, struct target *t, enum expo_parse_form form, struct str body,
                     struct outcome *o)
{
    struct err e = {.code = ERR_NONE};
    struct flight *f = flight_new(s);
    uint64_t of_others = s->stats.cache_bytes - cache_bytes(&t->cache);
    s->stats.scrapes++;
    s->stats.bytes += body.n;
    bool ok = f ? fill_batch(s, t, form, body, f->batch, o, &e)
                : err_set(&e, ERR_NOMEM, "no memory for the samples of a scrape");
    /* page_append counts only the names that it adds, for its limit. */
    s->stats.cache_bytes = of_others + cache_bytes(&t->cache);
    if (ok) {
        f->target = t;
        t->flying++;
        flight_send(s, f);
    } else {
        s->stats.commits_failed++;
        log_err(s->o.log, LOG_ERROR, "scrape", &e);
        if (f) {
            flight_give(s, f);
        }
    }
    t->health = o->ok ? SCRAPE_UP : SCRAPE_DOWN;
    t->last_scrape_ms = t->t_ms;
    t->last_duration_s = s_from_ns(os_mono_ns(s->o.os) - t->started_ns);
    set_error(t, o->ok ? NULL : &o->e);
}

static void on_answer(void *ctx, const struct http_got *got)
{
    struct target *t = ctx;
    struct scrape *s = t->pool->s;
    struct outcome o = {.ok = true};
    enum expo_parse_form form = EXPO_PARSE_TEXT;
    o.ok = check_answer(s, t, got, &form, &o.e);
    o.bytes = o.ok ? (double)got->body->n : got->e && got->e->code == ERR_LIMIT ? -1 : 0;
    conclude(s, t, form, o.ok ? buf_str(got->body) : str_of("", 0), &o);
}

/* --- asking ------------------------------------------------------------------------------- */

static void fail_now(struct scrape *s, struct target *t, const struct err *e)
{
    struct outcome o = {.ok = false, .e = *e};
    conclude(s, t, EXPO_PARSE_TEXT, str_of("", 0), &o);
}

static bool ask(struct scrape *s, struct target *t, struct err *e)
{
    if (t->pool->over_limit) {
        s->stats.failed_limit++;
        return err_set(e, ERR_LIMIT, "target_limit exceeded (number of targets: %zu, limit: %lld)",
                       t->pool->targets_n, (long long)t->pool->job->target_limit);
    }
    bool made = t->fetch && !t->fetch_old;
    bool ok = made ? target_refresh_secrets(s, t, e) : target_fetch(s, t, on_answer, e);
    ok = ok && http_fetch_start(t->fetch, e);
    s->stats.failed_connect += !ok;
    return ok;
}

/* A target whose time has come. Its next turn is set first, on the slots of now: whatever the clock
 * has done, at most one interval passes. */
static void fire(struct scrape *s, struct target *t, int64_t wall_ns, int64_t mono_ns)
{
    struct err e = {.code = ERR_NONE};
    uint64_t hash = slot_hash(s, t);
    /* Wall and monotonic time may have drifted apart a little: early is not the slot before. */
    int64_t slot = slot_before(wall_ns + t->interval_ns / 10, t->interval_ns, hash);
    int64_t early = slot - wall_ns;
    if (early > i64_min(EARLY_NS, t->interval_ns / 100)) {
        t->next_mono_ns = mono_ns + early;
        heap_moved(s, t);
        return;
    }
    t->next_mono_ns = mono_ns + (slot + t->interval_ns - wall_ns);
    heap_moved(s, t);
    if (t->fetch && http_fetch_running(t->fetch)) {
        s->stats.slots_missed++;
        return;
    }
    t->t_ms = early > 0 ? ms_from_ns(slot) : slot_time_ms(wall_ns, t->interval_ns, hash);
    t->started_ns = mono_ns;
    if (!ask(s, t, &e)) {
        fail_now(s, t, &e);
    }
}

static void take_pending(struct scrape *s)
{
    pthread_mutex_lock(&s->hand_mu);
    struct scrape_config *c = s->pending;
    s->pending = NULL;
    pthread_mutex_unlock(&s->hand_mu);
    if (c) {
        pools_apply(s, c);
    }
}

/* From when on a target may be asked. Waiting for bytes counts in whole milliseconds; where fire
 * takes a start that is that early, the last part of a millisecond needs no waiting of its own. */
static int64_t ready_ns(const struct target *t)
{
    return t->next_mono_ns - (t->interval_ns >= 100 * NS_PER_MS ? NS_PER_MS : 0);
}

static int64_t wait_ns(const struct scrape *s, int64_t now)
{
    int64_t due = i64_min(pools_due_ns(s), leaving_due_ns(s));
    if (s->heap_n > 0) {
        due = i64_min(due, s->heap[0]->next_mono_ns);
    }
    int64_t wait = i64_min(s->busy ? RETRY_NS : TURN_NS_MAX, due - now);
    return i64_max(wait, 0);
}

/* Returns how long nothing is due. */
static int64_t turn(struct scrape *s)
{
    flights_collect(s);
    take_pending(s);
    int64_t mono_ns = os_mono_ns(s->o.os);
    pools_refresh(s, mono_ns);
    leaving_run(s, mono_ns);
    int64_t wall_ns = os_now_ns(s->o.os);
    while (s->heap_n > 0 && ready_ns(s->heap[0]) <= mono_ns) {
        fire(s, s->heap[0], wall_ns, mono_ns);
    }
    http_multi_work(s->multi);
    mono_ns = os_mono_ns(s->o.os);
    int64_t wait = wait_ns(s, mono_ns);
    flights_due(s, mono_ns + wait);
    return wait;
}

static void *loop(void *arg)
{
    struct scrape *s = arg;
    for (;;) {
        pthread_mutex_lock(&s->hand_mu);
        bool stopping = s->stopping;
        pthread_mutex_unlock(&s->hand_mu);
        if (stopping) {
            return NULL;
        }
        pthread_mutex_lock(&s->mu);
        int64_t wait = turn(s);
        pthread_mutex_unlock(&s->mu);
        if (wait >= NS_PER_MS) {
            http_multi_wait(s->multi, wait / NS_PER_MS);
        } else if (wait > 0) {
            s->o.os->sleep_ns(s->o.os->ctx, wait); /* the last part of a millisecond, exactly */
        }
    }
}

void scrape_step(struct scrape *s, int64_t wait_ms)
{
    ASSERT(!s->started);
    pthread_mutex_lock(&s->mu);
    (void)turn(s);
    pthread_mutex_unlock(&s->mu);
    if (wait_ms > 0) {
        http_multi_wait(s->multi, wait_ms);
    }
    pthread_mutex_lock(&s->mu);
    http_multi_work(s->multi);
    flights_due(s, INT64_MAX); /* who calls this decides when the next turn is */
    flights_collect(s);
    pthread_mutex_unlock(&s->mu);
}

/* --- life --------------------------------------------------------------------------------- */

bool scrape_new(const struct scrape_options *o, struct scrape **out, struct err *e)
{
    struct scrape *s = mem_take(o->mem, sizeof *s);
    *out = NULL;
    if (!s) {
        return err_set(e, ERR_NOMEM, "no memory for scraping");
    }
    s->o = *o;
    s->mem = o->mem;
    s->o.user_agent = o->user_agent ? o->user_agent : "Farol";
    s->o.cache_bytes_max = o->cache_bytes_max ? o->cache_bytes_max : CACHE_BYTES_DEFAULT;
    s->o.connections_max = o->connections_max ? o->connections_max : 4096;
    s->o.batch_bytes_max = o->batch_bytes_max ? o->batch_bytes_max : BATCH_BYTES_DEFAULT;
    s->waiting_end = &s->waiting;
    s->held_until_ns = INT64_MAX;
    intern_init(&s->texts, s->mem, TEXTS_MAX);
    arena_init(&s->series, s->mem, SERIES_BYTES_MAX);
    buf_init(&s->scratch, s->mem, SERIES_BYTES_MAX);
    buf_init(&s->stale, s->mem, STALE_BYTES_MAX);
    pthread_mutex_init(&s->mu, NULL);
    pthread_mutex_init(&s->hand_mu, NULL);
    pthread_cond_init(&s->landed_cond, NULL);
    s->multi = http_multi_new(s->mem, s->o.connections_max);
    if (!s->multi) {
        scrape_stop(s);
        return err_set(e, ERR_NOMEM, "no memory for scraping");
    }
    *out = s;
    return true;
}

bool scrape_start(struct scrape *s, struct err *e)
{
    int rc = pthread_create(&s->thread, NULL, loop, s);
    if (rc != 0) {
        return err_errno(e, rc, "cannot start the thread of scraping");
    }
    s->started = true;
    return true;
}

void scrape_stop(struct scrape *s)
{
    if (!s) {
        return;
    }
    if (s->started) {
        pthread_mutex_lock(&s->hand_mu);
        s->stopping = true;
        pthread_mutex_unlock(&s->hand_mu);
        http_multi_wake(s->multi);
        pthread_join(s->thread, NULL);
        s->started = false;
    }
    flights_wait(s);
    pools_release(s);
    leaving_release(s);
    flights_release(s);
    http_multi_free(s->multi);
    scrape_config_free(s->config);
    scrape_config_free(s->pending);
    mem_give(s->mem, s->heap, s->heap_cap * sizeof *s->heap);
    intern_release(&s->texts);
    arena_release(&s->series);
    buf_release(&s->scratch);
    buf_release(&s->stale);
    pthread_cond_destroy(&s->landed_cond);
    pthread_mutex_destroy(&s->hand_mu);
    pthread_mutex_destroy(&s->mu);
    mem_give(s->mem, s, sizeof *s);
}

void scrape_apply(struct scrape *s, struct scrape_config *c)
{
    pthread_mutex_lock(&s->hand_mu);
    struct scrape_config *old = s->pending;
    s->pending = c;
    pthread_mutex_unlock(&s->hand_mu);
    scrape_config_free(old);
    http_multi_wake(s->multi);
}

/* --- looking in --------------------------------------------------------------------------- */

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the list of targets needs more memory than it may have");
}

static bool put_target(const struct target *t, struct arena *a, struct scrape_target_status *out,
                       struct err *e)
{
    *out = (struct scrape_target_status){
        .pool = arena_str(a, t->pool->name),
        .url = arena_str(a, str_from_c(t->url)),
        .last_error = t->last_error[0] ? arena_str(a, str_from_c(t->last_error)) : str_of("", 0),
        .health = t->health,
        .last_scrape_ms = t->last_scrape_ms,
        .last_duration_s = t->last_duration_s,
        .interval_ms = ms_from_ns(t->interval_ns),
        .timeout_ms = t->timeout_ms,
    };
    if (!out->pool.p || !out->url.p || !out->last_error.p) {
        return no_memory(e);
    }
    return labels_copy(t->labels, a, &out->labels, e) &&
           labels_copy(t->discovered, a, &out->discovered, e);
}

static bool put_pool(const struct pool *p, struct arena *a, struct scrape_targets *out,
                     struct err *e)
{
    for (size_t i = 0; i < p->targets_n; i++) {
        if (!put_target(p->targets[i], a, &out->active[out->active_n++], e)) {
            return false;
        }
    }
    for (size_t i = 0; i < p->dropped_n; i++) {
        struct scrape_target_status *d = &out->dropped[out->dropped_n++];
        d->pool = arena_str(a, p->name);
        if (!d->pool.p || !labels_copy(p->dropped[i], a, &d->discovered, e)) {
            return no_memory(e);
        }
    }
    return true;
}

static bool put_all(struct scrape *s, struct str pool, struct arena *a, struct scrape_targets *out,
                    struct err *e)
{
    size_t active = 0;
    size_t dropped = 0;
    for (size_t i = 0; i < s->pools_n; i++) {
        active += s->pools[i]->targets_n;
        dropped += s->pools[i]->dropped_n;
    }
    out->active = ARENA_ARRAY(a, struct scrape_target_status, active);
    out->dropped = ARENA_ARRAY(a, struct scrape_target_status, dropped);
    out->pools = ARENA_ARRAY(a, struct str, s->pools_n);
    out->pool_dropped_n = ARENA_ARRAY(a, uint64_t, s->pools_n);
    if ((active && !out->active) || (dropped && !out->dropped) ||
        (s->pools_n && (!out->pools || !out->pool_dropped_n))) {
        return no_memory(e);
    }
    for (size_t i = 0; i < s->pools_n; i++) {
        const struct pool *p = s->pools[i];
        out->pools[out->pools_n] = arena_str(a, p->name);
        if (!out->pools[out->pools_n].p) {
            return no_memory(e);
        }
        out->pool_dropped_n[out->pools_n++] = p->dropped_total;
        if ((pool.n == 0 || str_eq(pool, p->name)) && !put_pool(p, a, out, e)) {
            return false;
        }
    }
    return true;
}

bool scrape_targets(struct scrape *s, struct str pool, struct arena *a, struct scrape_targets *out,
                    struct err *e)
{
    *out = (struct scrape_targets){.active_n = 0};
    pthread_mutex_lock(&s->mu);
    bool ok = put_all(s, pool, a, out, e);
    pthread_mutex_unlock(&s->mu);
    return ok;
}

void scrape_stats(struct scrape *s, struct scrape_stats *out)
{
    pthread_mutex_lock(&s->mu);
    *out = s->stats;
    out->targets = s->targets_n;
    pthread_mutex_unlock(&s->mu);
}
