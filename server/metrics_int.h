/* The metrics engine inside the server: the store, what writes to it and what answers from it.
 * Opened before HTTP starts, because queries need nothing of the river. */
#ifndef SERVER_METRICS_INT_H
#define SERVER_METRICS_INT_H

#include "engines/tsdb/tsdb.h"
#include "ingest/remote_write/remote_write.h"
#include "server/api/prom/prom.h"
#include "server/config_int.h"
#include "server/samples_int.h"

struct server_metrics {
    const struct server_config *config;
    struct tsdb *db;
    struct mem door_mem;
    struct remote_write *remote_write;
    struct http_route remote_write_route;
    struct prom_api *api;
    struct server_samples samples;
    char dir[PATH_BYTES_MAX];
};

/* On failure what was started is stopped by server_metrics_stop. */
MUST_USE bool server_metrics_start(struct server_metrics *m, const struct server_config *config,
                                   const struct os *os, struct log *log, struct err *e);
/* After http_server_stop and the last tick. */
void server_metrics_stop(struct server_metrics *m);
/* Requests taken and not yet answered. */
uint64_t server_metrics_busy(struct server_metrics *m);
/* Adds the engine's own series, then writes all of x into the store. thread: ticker. */
void server_metrics_tick(struct server_metrics *m, struct expo *x);

#endif
