/* What leaves the metrics engine, and OTLP's way in: alerts to Alertmanagers (`alerting`), samples
 * to other engines (`remote_write`), both with the keys of prometheus.yml. */
#ifndef SERVER_SENDING_INT_H
#define SERVER_SENDING_INT_H

#include "base/file.h"
#include "forward/remote_write/remote_write.h"
#include "ingest/scrape/scrape.h"
#include "notify/alertmanager/alertmanager.h"

struct server_sending {
    struct mem mem;
    struct arena arena; /* of the sections as read */
    struct notify_am_config alerting;
    struct forward_config *forwards;
    uint32_t forwards_n;
    struct scrape_relabel *alerts;    /* alert_relabel_configs */
    struct scrape_relabel **entries;  /* of each entry of alertmanagers */
    struct scrape_relabel **outgoing; /* of each entry of remote_write */
    struct notify_am *alertmanagers;  /* NULL before server_sending_alerts */
    struct forward *forward;          /* NULL before server_sending_samples */
    bool read;
};

/* Reads the sections; root may be NULL. where: the file, relative paths begin in its folder. */
MUST_USE bool server_sending_read(struct server_sending *s, const struct yaml_node *root,
                                  const char *where, struct err *e);
/* Reads the sections and forgets them. */
MUST_USE bool server_sending_check(const struct yaml_node *root, const char *where, struct err *e);
/* What may wait in the store's log for other engines: for tsdb_config.tap_bytes_max. */
uint64_t server_sending_log_bytes(const struct server_sending *s);
MUST_USE bool server_sending_alerts(struct server_sending *s, const struct os *os, struct log *log,
                                    struct err *e);
/* external: labels that leave with every series; borrowed until stop. */
MUST_USE bool server_sending_samples(struct server_sending *s, struct tsdb *db, const char *dir,
                                     struct labels external, const struct os *os, struct log *log,
                                     struct err *e);
/* Samples stop before the store closes; alerts after the rules have stopped. */
void server_sending_stop_samples(struct server_sending *s);
void server_sending_stop(struct server_sending *s);
void server_sending_publish(struct server_sending *s, struct expo *x);

#endif
