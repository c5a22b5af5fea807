/* The metrics engine inside the server: the store, what writes to it and what answers from it.
 * Opened before HTTP starts, because queries need nothing of the river. */
#ifndef SERVER_METRICS_INT_H
#define SERVER_METRICS_INT_H

#include "engines/tsdb/tsdb.h"
#include "ingest/otlp/otlp.h"
#include "ingest/remote_write/remote_write.h"
#include "server/api/prom/prom.h"
#include "server/config_int.h"
#include "server/samples_int.h"
#include "server/scraping_int.h"
#include "server/sending_int.h"

#include <pthread.h>

struct snapshots;

struct server_metrics {
    const struct server_config *config;
    const char *config_path; /* NULL: no file */
    const struct os *os;
    struct log *log;
    struct snapshots *snapshots; /* of /metrics: types and helps of Farol's own series */
    struct tsdb *db;
    struct mem door_mem;
    struct remote_write *remote_write;
    struct otlp *otlp;
    struct http_route doors[1 + OTLP_ROUTES];
    struct prom_api *api;
    struct server_samples samples;
    struct server_scraping scraping;
    struct server_rulebook rulebook;
    struct server_sending sending;
    struct mem pages_mem;     /* lock: reload's */
    pthread_mutex_t pages_mu; /* lock of config_text */
    struct buf config_text;   /* the running configuration without secrets */
    bool started;
    char dir[PATH_BYTES_MAX];
};

/* On failure what was started is stopped by server_metrics_stop. */
MUST_USE bool server_metrics_start(struct server_metrics *m, const struct server_config *config,
                                   const char *config_path, struct snapshots *snapshots,
                                   const struct os *os, struct log *log, struct err *e);
/* Scraping and rules begin: when all else runs. */
MUST_USE bool server_metrics_run(struct server_metrics *m, struct err *e);
/* The sections of peers anew: global, scraping, rules, alerting, remote_write. Nothing changes on
 * failure. One caller at a time. */
MUST_USE bool server_metrics_reload(struct server_metrics *m, const struct server_config *fresh,
                                    struct err *e);
/* After http_server_stop and the last tick. */
void server_metrics_stop(struct server_metrics *m);
/* Requests taken and not yet answered. */
uint64_t server_metrics_busy(struct server_metrics *m);
/* Adds the engine's own series, then writes all of x into the store. thread: ticker. */
void server_metrics_tick(struct server_metrics *m, struct expo *x);

/* prom_pages.c */
void server_pages_of(struct server_metrics *m, struct prom_pages *out);
/* What status/config shows from now on. */
MUST_USE bool server_pages_config_set(struct server_metrics *m, const struct yaml_node *root,
                                      struct err *e);

#endif
