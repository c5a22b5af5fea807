/* Prometheus' HTTP API over the store: what Grafana, promtool and other clients ask for.
 *
 * Requests are taken on HTTP threads, answered by workers: an I/O thread never evaluates. At most
 * queries_max run and queue_max wait; more get 503. A query is bounded in time, samples, series and
 * memory, and a client that leaves does not keep a worker for longer than its timeout.
 *
 * Answers: {"status":"success","data":...,"warnings":[...],"infos":[...]}, or
 * {"status":"error","errorType":"bad_data","error":"..."} with the status Prometheus gives:
 * bad_data 400, execution 422, canceled 499, timeout 503, not_found 404, internal 500. Packed with
 * gzip for who accepts it. */
#ifndef SERVER_API_PROM_PROM_H
#define SERVER_API_PROM_PROM_H

#include "base/log.h"
#include "base/os.h"
#include "codec/conf.h"
#include "codec/expo.h"
#include "engines/promql/promql.h"
#include "engines/rules/rules.h"
#include "engines/tsdb/tsdb.h"
#include "net/http_server.h"

struct prom_config {
    int64_t timeout_ms;  /* of one query */
    int64_t lookback_ms; /* how old the newest sample of a series may be */
    int64_t queue_max, steps_max, threads;
    int64_t samples_max, series_max;
    uint64_t query_bytes_max, answer_bytes_max;
    bool admin; /* delete_series, clean_tombstones, snapshot */
    struct conf_strs features;
    unsigned flags; /* enum promql_flags, from features */
};
const struct conf_field *prom_config_fields(size_t *count);
/* Sets flags from features; ERR_INPUT names an unknown one. */
MUST_USE bool prom_config_check(struct prom_config *c, struct err *e);

/* A request being answered, and the first value of one of its parameters ({NULL, 0}: absent). */
struct prom_call;
struct str prom_get(const struct prom_call *c, const char *name);
/* All values of a parameter that may repeat, at most max. */
uint32_t prom_values(const struct prom_call *c, const char *name, struct str *out, uint32_t max);

/* Pages whose content others know: each writes the value of "data". A NULL member is answered with
 * an empty list or object. thread: the API's workers. */
struct prom_pages {
    void *ctx;
    void (*targets)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*targets_metadata)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*metadata)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*scrape_pools)(void *ctx, const struct prom_call *c, struct buf *out);
    /* ERR_INPUT: bad_data, with the message as it is. */
    bool (*rules)(void *ctx, const struct rules_filter *f, struct buf *out, struct err *e);
    void (*alerts)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*alertmanagers)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*config)(void *ctx, const struct prom_call *c, struct buf *out);
    void (*flags)(void *ctx, const struct prom_call *c, struct buf *out);
};

struct prom_deps {
    struct tsdb *db;
    const struct os *os;
    struct log *log;
    const char *dir; /* of the store: snapshots go below it */
    const char *version, *commit;
    struct prom_pages pages;
};

struct prom_api;
/* Starts the workers. c is copied, what deps points to outlives the API. */
MUST_USE bool prom_new(const struct prom_config *c, const struct prom_deps *deps,
                       struct prom_api **out, struct err *e);
/* After http_server_stop. NULL: nothing. */
void prom_free(struct prom_api *p);
/* Requests taken and not yet answered. */
uint64_t prom_busy(struct prom_api *p);
#define PROM_ROUTES_MAX 48
/* Routes with app set; they live as long as p. */
const struct http_route *prom_routes(struct prom_api *p, size_t *count);
void prom_publish(struct prom_api *p, struct expo *x);

#endif
