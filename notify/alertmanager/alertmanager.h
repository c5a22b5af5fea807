/* Alerts out to Alertmanagers: `alerting.alertmanagers` of prometheus.yml, API v2.
 *
 *     rules engine --sink--> relabel --> one queue per Alertmanager --thread--> POST /api/v2/alerts
 *
 * Every Alertmanager gets every alert; each has its own queue and thread, so that one that is dead
 * does not hold up the others. A queue is bounded: at the bound the oldest alert is dropped and
 * counted, because the rules send a firing alert again every resend_delay anyway. Requests hold at
 * most 64 alerts; no answer, 429 and 5xx are tried again a few times, then dropped and counted.
 *
 * thread: notify_am_send and notify_am_publish from any; the rest from the owner's. */
#ifndef NOTIFY_ALERTMANAGER_ALERTMANAGER_H
#define NOTIFY_ALERTMANAGER_ALERTMANAGER_H

#include "codec/expo.h"
#include "codec/http_conf.h"
#include "engines/rules/rules.h"

#define NOTIFY_AM_BATCH_MAX   64
#define NOTIFY_AM_QUEUE_MAX   10000 /* alerts, default of a queue */
#define NOTIFY_AM_TARGETS_MAX 64

/* One Alertmanager. lifetime: the configuration's. */
struct notify_am_target {
    struct str url; /* scheme://host:port/prefix, without the path of the API */
    int64_t timeout_ms;
    struct http_conf http; /* what net/http_client.h can do of it */
    uint32_t entry;        /* which entry of alertmanagers it comes from: for relabelling */
};

struct notify_am_config {
    struct notify_am_target *targets;
    uint32_t targets_n;
    const struct yaml_node
        *relabel; /* alert_relabel_configs, for whoever makes notify_am_relabel */
    const struct yaml_node **entry_relabel; /* those of each entry; NULL where it has none */
    uint32_t entries_n;
};
/* node: the value of `alerting` (NULL or null: none). Paths begin in dir. */
MUST_USE bool notify_am_config_read(const struct yaml_node *node, const char *dir, struct arena *a,
                                    struct notify_am_config *out, struct err *e);

/* Rewrites v[0..*n), which has room for cap labels, in place; need not stay sorted. false: the
 * alert is not sent. entry: UINT32_MAX = alert_relabel_configs of all, else of that entry. apply
 * NULL:
 * nothing is rewritten. thread: any, several at once. */
struct notify_am_relabel {
    void *ctx;
    bool (*apply)(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                  struct arena *a);
};

struct notify_am_options {
    const struct os *os; /* borrows: clock, files of passwords */
    struct log *log;     /* borrows; may be NULL */
    struct notify_am_relabel relabel;
    const char *user_agent;   /* borrows */
    uint32_t queue_max;       /* alerts; 0 = NOTIFY_AM_QUEUE_MAX */
    uint64_t queue_bytes_max; /* of one queue; 0 = 64 MiB */
    int64_t pause_ms;         /* before the first retry, doubling; 0 = 1 s */
    uint32_t tries_max;       /* of one request; 0 = 4 */
};

struct notify_am;
/* Starts a thread per target. c is borrowed until free. */
MUST_USE bool notify_am_new(const struct notify_am_config *c, const struct notify_am_options *o,
                            struct notify_am **out, struct err *e);
/* What waits is tried once more, then dropped and counted. NULL: nothing. */
void notify_am_free(struct notify_am *n);
/* Puts copies into the queues. Never waits for the network. ctx: the struct notify_am. */
void notify_am_send(void *ctx, const struct rules_alert *alerts, uint32_t n);
struct rules_sink notify_am_sink(struct notify_am *n);
/* farol_notify_alertmanager_*{alertmanager}. */
void notify_am_publish(struct notify_am *n, struct expo *x);
/* The value of "data" of /api/v1/alertmanagers. */
void notify_am_json(struct notify_am *n, struct buf *out);

#endif
