/* Starting, ticking and stopping the server. Order of start: pillars, metrics, HTTP (which answers
 * queries, and "recovering" for the rest), river, doors, threads; a probe thus gets an answer
 * while a long journal is replayed. Order of stop is the reverse, with one rule: nobody may reach
 * the river after river_stop. */
#include "server/service_int.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#define FILES_OWN        128 /* journal, join runs, checkpoints, epoll, log */
#define DRAIN_STEP_NS    (10 * NS_PER_MS)
#define DRAIN_GRACE_NS   (50 * NS_PER_MS)
#define STATUS_BYTES_MAX ((size_t)4 << 20)
#define PILLAR_BYTES_MAX ((size_t)1 << 30)

/* Waits at most wait_ms, less when a reload comes; false when the server stops. lock: s->mu is
 * taken here. */
static bool pause_ms(struct service *s, int64_t wait_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ns_from_ms(wait_ms);
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = ns % NS_PER_S;
    (void)pthread_mutex_lock(&s->mu);
    int rc = 0;
    uint64_t reloads = s->reload_wakeups;
    while (!s->stopping && s->reload_wakeups == reloads && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&s->wake, &s->mu, &until);
    }
    bool go_on = !s->stopping;
    (void)pthread_mutex_unlock(&s->mu);
    return go_on;
}

static void tick(struct service *s)
{
    int64_t begin = os_mono_ns(s->os);
    int64_t now_ns = os_now_ns(s->os);
    struct snapshot *snapshot = server_snapshots_begin(&s->snapshots);
    expo_init(&snapshot->expo, &snapshot->arena, ms_from_ns(now_ns));
    river_tick(s->river, now_ns, &snapshot->expo);
    server_self_publish(s, &snapshot->expo);
    server_watch_publish(&s->watch, &snapshot->expo);
    web_live_publish(s->live, &snapshot->expo);
    server_metrics_tick(&s->metrics, &snapshot->expo);
    if (snapshot->expo.failed && atomic_fetch_add(&s->ticks_cut, 1) == 0) {
        log_line(s->log, LOG_ERROR, "server",
                 "some series are missing: they need more than server.metrics_bytes_max");
    }
    server_snapshots_publish(&s->snapshots, snapshot);
    atomic_fetch_add(&s->ticks, 1);
    atomic_store(&s->tick_ns_last, (uint_fast64_t)(os_mono_ns(s->os) - begin));
}

static void *ticker_main(void *arg)
{
    struct service *s = arg;
    while (pause_ms(s, atomic_load(&s->tick_ms))) {
        tick(s);
    }
    return NULL;
}

/* Waits for a job, a stop, or the time of the next look. lock: s->mu held. */
static void await_work(struct service *s, int64_t look_ns)
{
    const struct timespec until = {.tv_sec = look_ns / NS_PER_S, .tv_nsec = look_ns % NS_PER_S};
    int rc = 0;
    while (s->jobs_count == 0 && !s->stopping && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&s->wake, &s->mu, &until);
    }
}

/* lock: s->mu held; let go meanwhile. */
static void answer_one(struct service *s)
{
    struct job job = s->jobs[s->jobs_at];
    s->jobs_at = (s->jobs_at + 1) % SERVICE_JOBS_MAX;
    s->jobs_count--;
    s->reader_busy = true;
    (void)pthread_mutex_unlock(&s->mu);
    server_api_answer(s, &job);
    (void)pthread_mutex_lock(&s->mu);
    s->reader_busy = false;
}

/* Looks at the status each second and answers jobs, until the server stops and none is left. */
static void *reader_main(void *arg)
{
    struct service *s = arg;
    int64_t look_ns = os_mono_ns(s->os);
    (void)pthread_mutex_lock(&s->mu);
    for (;;) {
        await_work(s, look_ns);
        if (s->jobs_count > 0) {
            answer_one(s);
        } else if (s->stopping) {
            break;
        }
        if (!s->stopping && os_mono_ns(s->os) >= look_ns) {
            (void)pthread_mutex_unlock(&s->mu);
            server_watch_look(s);
            look_ns = i64_max(look_ns + WATCH_PERIOD_NS, os_mono_ns(s->os));
            (void)pthread_mutex_lock(&s->mu);
        }
    }
    (void)pthread_mutex_unlock(&s->mu);
    return NULL;
}

static bool thread_start(pthread_t *thread, bool *runs, void *(*run)(void *), struct service *s,
                         struct err *e)
{
    int rc = pthread_create(thread, NULL, run, s);
    *runs = rc == 0;
    return *runs || err_errno(e, rc, "cannot start a thread");
}

static bool start_pillars(struct service *s, struct err *e)
{
    mem_init(&s->pipeline_mem, PILLAR_BYTES_MAX);
    mem_init(&s->model_mem, PILLAR_BYTES_MAX);
    mem_init(&s->ndjson_mem, 0); /* bounded by ingest.receiving_bytes_max */
    mem_init(&s->json_mem, 0);
    s->json = json_parser_new(&s->json_mem, SERVICE_TOKENS_MAX, STATUS_BYTES_MAX);
    if (!s->json) {
        return err_set(e, ERR_NOMEM, "no memory for the server");
    }
    if (!pipeline_new(&s->config->pipeline, &s->pipeline_mem, &s->pipeline, e) ||
        !model_new(&s->config->model, s->os, s->config->storage.dir, s->log, &s->model_mem,
                   &s->model, e)) {
        return false;
    }
    s->pillars[0] = pipeline_pillar(s->pipeline);
    s->pillars[1] = model_pillar(s->model);
    return true;
}

static bool start_http(struct service *s, struct err *e)
{
    const struct server_own_config *c = &s->config->server;
    server_api_routes(s);
    const struct http_server_config http = {
        .address = c->address,
        .port = c->port,
        .threads = (uint32_t)c->threads,
        .connections_max = (uint32_t)c->connections_max,
        .idle_timeout_s = (uint32_t)((c->idle_timeout_ms + MS_PER_S - 1) / MS_PER_S),
        .request_bytes_max = (size_t)c->request_bytes_max};
    return http_server_start(&s->http, &http, s->routes, s->routes_count, s, s->log, e);
}

static bool start_river(struct service *s, struct err *e)
{
    const struct server_storage_config *c = &s->config->storage;
    const struct river_config river = {.dir = c->dir,
                                       .shards = (uint32_t)c->shards,
                                       .queue_bytes_max = c->queue_bytes_max,
                                       .segment_bytes_max = c->segment_bytes_max,
                                       .journal_bytes_max = c->journal_bytes_max,
                                       .checkpoint_ms = c->checkpoint_ms,
                                       .checkpoint_bytes = c->checkpoint_bytes,
                                       .shard_mem_bytes_max = (size_t)c->shard_bytes_max};
    if (!dir_make(s->os, c->dir, e) ||
        !river_start(&s->river, &river, s->pillars, SERVICE_PILLARS, s->os, s->log, e) ||
        !ndjson_new(&s->config->ingest, s->river, &s->ndjson_mem, s->log, &s->ndjson, e)) {
        return false;
    }
    /* The doors are the gated routes without an app of their own. `ready` publishes this to the I/O
     * threads. */
    for (size_t i = 0; i < s->routes_count; i++) {
        if (!s->inner[i].app) {
            s->inner[i].app = s->ndjson;
        }
    }
    return true;
}

static bool start_all(struct service *s, enum service_trouble *trouble, struct err *e)
{
    *trouble = TROUBLE_MEMORY;
    if (!start_pillars(s, e) || !web_live_new(&s->live, e)) {
        return false;
    }
    server_watch_init(&s->watch);
    *trouble = TROUBLE_STORAGE;
    if (!server_metrics_start(&s->metrics, s->config, s->config_path, &s->snapshots, s->os, s->log,
                              e)) {
        return false;
    }
    *trouble = TROUBLE_PORT;
    if (!start_http(s, e)) {
        return false;
    }
    *trouble = TROUBLE_STORAGE;
    if (!start_river(s, e)) {
        return false;
    }
    tick(s); /* who is ready has series: a probe that waits for it must not read an empty page */
    *trouble = TROUBLE_MEMORY;
    tick(s); /* who is told "ready" finds the recovered series on /metrics */
    if (!thread_start(&s->ticker, &s->ticker_runs, ticker_main, s, e) ||
        !thread_start(&s->reader, &s->reader_runs, reader_main, s, e)) {
        return false;
    }
    if (!server_metrics_run(&s->metrics, e)) {
        return false;
    }
    *trouble = TROUBLE_NONE;
    atomic_store(&s->ready, true);
    return true;
}

/* Every connection is a file, and the journal needs some too when all connections are taken. */
static void raise_files_limit(struct service *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t want = (rlim_t)s->config->server.connections_max + FILES_OWN;
    if (limit.rlim_cur < want) {
        log_line(s->log, LOG_WARN, "server",
                 "%llu files may be open, server.connections_max wants %llu: raise the limit "
                 "(ulimit -n)",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)want);
    }
}

bool server_service_start(struct service **out, struct server_config *config,
                          const char *config_path, const struct os *os, struct log *log,
                          enum service_trouble *trouble, struct err *e)
{
    *out = NULL;
    *trouble = TROUBLE_MEMORY;
    struct service *s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_NOMEM, "no memory for the server");
    }
    s->os = os;
    s->log = log;
    s->config = config;
    s->config_path = config_path;
    s->started_mono_ns = os_mono_ns(os);
    raise_files_limit(s);
    atomic_store(&s->tick_ms, config->server.tick_ms);
    server_snapshots_init(&s->snapshots, (size_t)config->server.metrics_bytes_max);
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&s->mu, NULL);
    (void)pthread_mutex_init(&s->reload_mu, NULL);
    if (!start_all(s, trouble, e)) {
        server_service_stop(s);
        return false;
    }
    *out = s;
    return true;
}

uint16_t server_service_port(const struct service *s)
{
    return http_server_port(s->http);
}

/* Whether a request is being received, applied or answered. */
static bool busy(struct service *s)
{
    struct river_stats river = {0};
    if (s->river) {
        river_stats(s->river, &river);
    }
    (void)pthread_mutex_lock(&s->mu);
    bool reading = s->jobs_count > 0 || s->reader_busy;
    (void)pthread_mutex_unlock(&s->mu);
    return reading || atomic_load(&s->in_gates) > 0 || river.queue_bytes > 0 ||
           server_metrics_busy(&s->metrics) > 0;
}

static void drain(struct service *s)
{
    web_live_end(s->live); /* streams would never end by themselves */
    http_server_drain(s->http);
    int64_t until = os_mono_ns(s->os) + ns_from_ms(s->config->server.drain_ms);
    while (busy(s) && os_mono_ns(s->os) < until) {
        s->os->sleep_ns(s->os->ctx, DRAIN_STEP_NS);
    }
    /* The last answers are made; their I/O threads still have to write them. */
    s->os->sleep_ns(s->os->ctx, DRAIN_GRACE_NS);
}

void server_service_stop(struct service *s)
{
    if (s->http) {
        drain(s);
    }
    (void)pthread_mutex_lock(&s->mu);
    s->stopping = true;
    (void)pthread_cond_broadcast(&s->wake);
    (void)pthread_mutex_unlock(&s->mu);
    if (s->ticker_runs) {
        (void)pthread_join(s->ticker, NULL);
    }
    if (s->reader_runs) {
        (void)pthread_join(s->reader, NULL);
    }
    if (s->http) {
        http_server_stop(s->http);
    }
    web_live_free(s->live);
    server_watch_release(&s->watch);
    if (s->river) {
        river_stop(s->river);
    }
    if (s->ndjson) {
        ndjson_free(s->ndjson);
    }
    if (s->json) {
        json_parser_free(s->json);
    }
    server_metrics_stop(&s->metrics);
    model_free(s->model);
    pipeline_free(s->pipeline);
    server_snapshots_release(&s->snapshots);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->mu);
    (void)pthread_mutex_destroy(&s->reload_mu);
    free(s);
}
