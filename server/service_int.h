/* The running server: pillars on the river, doors and pages on HTTP, and a ticker.
 *
 *     main thread        start, wait for signals, reload, stop
 *     ticker             every server.tick: river_tick, own series, new snapshot for /metrics
 *     reader             looks at the status each second (watch.c) and answers requests that
 *                        need the river at rest, one at a time
 *     HTTP I/O threads   the rest; they never wait
 *     queries            the workers of server/api/prom
 *     (the river's own)  committer, saver of checkpoints, shards
 *     (the store's own)  committer, flusher
 */
#ifndef SERVER_SERVICE_INT_H
#define SERVER_SERVICE_INT_H

#include "codec/expo.h"
#include "codec/json.h"
#include "flow/river.h"
#include "server/config_int.h"
#include "server/metrics_int.h"
#include "server/watch_int.h"
#include "server/web/web.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVICE_PILLARS    2
#define SERVICE_ROUTES_MAX 96
#define SERVICE_TOKENS_MAX 8192 /* values in one pillar's status */
#define SERVICE_JOBS_MAX   64   /* requests waiting for the reader; more are asked to come back */

/* Two collections of all series: the ticker fills one while readers print the other. */
struct snapshot {
    struct mem mem;
    struct arena arena;
    struct expo expo;
    uint32_t readers; /* lock: snapshots->mu */
};
struct snapshots {
    pthread_mutex_t mu;
    pthread_cond_t idle; /* a snapshot lost its last reader */
    struct snapshot pair[2];
    struct snapshot *current; /* lock: mu; NULL before the first tick */
};
void server_snapshots_init(struct snapshots *s, size_t bytes_max);
void server_snapshots_release(struct snapshots *s);
/* thread: ticker. The one that is not current, emptied; waits for its last readers (milliseconds).
 */
struct snapshot *server_snapshots_begin(struct snapshots *s);
void server_snapshots_publish(struct snapshots *s, struct snapshot *done);
/* thread: any. NULL before the first tick. Each take needs a give. */
struct snapshot *server_snapshots_take(struct snapshots *s);
void server_snapshots_give(struct snapshots *s, struct snapshot *taken);

/* A request for the reader. */
enum job_kind { JOB_STATUS, JOB_MODEL, JOB_LOST, JOB_DRIFT, JOB_CAUSES, JOB_RELOAD };
struct job {
    enum job_kind kind;
    struct http_request *rq;
    struct model_query query;         /* strings borrow rq */
    struct drift_query drift;         /* the same */
    struct model_causes_query causes; /* the same */
    void (*model)(void *app, void *const *states, uint32_t n, const struct model_query *q,
                  struct buf *out);
    uint32_t limit;
};

/* A route that answers 503 until the river has recovered, and passes on afterwards. */
struct gate {
    struct service *service;
    const struct http_route *inner;
};

struct service {
    const struct os *os;
    struct log *log;
    const char *config_path;      /* NULL: no file */
    struct server_config *config; /* what runs; reload moves its live keys */
    int64_t started_mono_ns;

    struct mem pipeline_mem, model_mem, ndjson_mem, json_mem;
    struct json_parser *json; /* thread: reader */
    struct pipeline *pipeline;
    struct model *model;
    struct ndjson *ndjson;
    struct pillar pillars[SERVICE_PILLARS];
    struct river *river;
    struct http_server *http;
    struct http_route routes[SERVICE_ROUTES_MAX];
    size_t routes_count;
    struct gate gates[SERVICE_ROUTES_MAX];
    struct http_route inner[SERVICE_ROUTES_MAX]; /* what gates pass on to, with its app */
    struct snapshots snapshots;
    struct server_metrics metrics;
    struct server_watch watch;
    struct web_live *live; /* NULL in tests that have no pages */

    atomic_bool ready;             /* river and doors are up */
    atomic_uint_fast32_t in_gates; /* requests between begin and the end of end */
    atomic_int_fast64_t tick_ms;
    atomic_uint_fast64_t ticks, ticks_cut, tick_ns_last, reloads, reload_failures, jobs_refused;

    pthread_t ticker, reader;
    bool ticker_runs, reader_runs;
    pthread_mutex_t mu; /* lock of what follows */
    pthread_cond_t wake;
    bool stopping;
    uint64_t reload_wakeups; /* the interval of ticks may have changed */
    struct job jobs[SERVICE_JOBS_MAX];
    uint32_t jobs_at, jobs_count;
    bool reader_busy;

    pthread_mutex_t reload_mu; /* one reload at a time; guards the live keys of config */
};

enum service_trouble { TROUBLE_NONE, TROUBLE_MEMORY, TROUBLE_PORT, TROUBLE_STORAGE };

/* Starts everything; config and config_path are borrowed until stop. On failure nothing runs, e
 * says what happened and *trouble where. Signals must be blocked already: threads inherit the mask.
 */
MUST_USE bool server_service_start(struct service **out, struct server_config *config,
                                   const char *config_path, const struct os *os, struct log *log,
                                   enum service_trouble *trouble, struct err *e);
uint16_t server_service_port(const struct service *s);
/* Stops accepting, lets running requests end (at most server.drain), drains the river, writes a
 * checkpoint. */
void server_service_stop(struct service *s);

/* reload.c: reads the file again and applies the live keys; nothing when it is not valid. Appends
 * {"applied":[...],"needs_restart":[...]}. thread: any. */
MUST_USE bool server_service_reload(struct service *s, struct buf *out, struct err *e);

/* api.c: the routes, with gates in front of those that need the river. */
void server_api_routes(struct service *s);
/* Answers one job. thread: reader. */
void server_api_answer(struct service *s, const struct job *job);
/* Pillars' status as one JSON object (docs/openapi.yaml, Status). thread: reader. */
void server_api_status(struct service *s, struct buf *out);

/* self.c: farol's own series. thread: ticker. */
void server_self_publish(struct service *s, struct expo *x);

/* notify.c: one datagram to systemd's NOTIFY_SOCKET ("READY=1"); nothing without it. */
void server_notify(const char *state);

#endif
