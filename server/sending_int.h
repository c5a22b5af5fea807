/* What leaves the metrics engine: alerts to Alertmanagers (`alerting`), samples to other engines
 * (`remote_write`), both with the keys of prometheus.yml.
 *
 * A reload reads both sections anew. A section that is the same stays as it runs, with its queues;
 * another one takes its place whole. A destination of samples goes on where the one of its name
 * stopped. */
#ifndef SERVER_SENDING_INT_H
#define SERVER_SENDING_INT_H

#include "base/file.h"
#include "base/hash.h"
#include "forward/remote_write/remote_write.h"
#include "ingest/scrape/scrape.h"
#include "notify/alertmanager/alertmanager.h"

#include <pthread.h>

/* --- one reading of a section, with all that it needs (sending_read.c) --- */

struct sending_alerts {
    struct mem mem;
    struct arena arena;
    struct hash128 print; /* of the section */
    struct notify_am_config config;
    struct scrape_relabel *all;      /* alert_relabel_configs */
    struct scrape_relabel **entries; /* of each entry of alertmanagers */
    struct notify_am *am;            /* NULL: nothing is sent yet */
};
/* root may be NULL. where: the file, relative paths begin in its folder. Copies what it needs. */
MUST_USE bool sending_alerts_read(const struct yaml_node *root, const char *where,
                                  struct sending_alerts **out, struct err *e);
void sending_alerts_free(struct sending_alerts *a);

struct sending_samples {
    struct mem mem;
    struct arena arena;
    struct hash128 print; /* of the section and the external labels */
    struct forward_config *v;
    uint32_t n;
    struct labels external;          /* global.external_labels: they leave with every series */
    struct scrape_relabel **entries; /* of each entry of remote_write */
    struct forward *forward;         /* NULL: nothing is sent, yet or at all */
};
MUST_USE bool sending_samples_read(const struct yaml_node *root, const char *where,
                                   const struct os *os, struct sending_samples **out,
                                   struct err *e);
void sending_samples_free(struct sending_samples *s);

/* --- what runs (sending.c) --- */

struct server_sending {
    const struct os *os;
    struct log *log;
    struct tsdb *db;
    char dir[PATH_BYTES_MAX];        /* of the positions of remote_write */
    pthread_rwlock_t mu;             /* of the two pointers; written by a reload only */
    struct sending_alerts *alerts;   /* lock: mu */
    struct sending_samples *samples; /* lock: mu; NULL while they are exchanged */
    bool open;
};

/* Reads the sections and forgets them. */
MUST_USE bool server_sending_check(const struct yaml_node *root, const char *where, struct err *e);
/* Reads the sections; nothing is sent yet. Stop also after a failure. */
MUST_USE bool server_sending_open(struct server_sending *s, const struct yaml_node *root,
                                  const char *where, const struct os *os, struct log *log,
                                  struct err *e);
/* What may wait in the store's log for other engines: for tsdb_config.tap_bytes_max. */
uint64_t server_sending_log_bytes(const struct server_sending *s);
/* Right after the store was opened. dir: of the store. */
MUST_USE bool server_sending_start(struct server_sending *s, struct tsdb *db, const char *dir,
                                   struct err *e);
/* Where the rules give their alerts; for as long as s. */
struct rules_sink server_sending_sink(struct server_sending *s);
/* The value of "data" of /api/v1/alertmanagers. thread: any */
void server_sending_json(struct server_sending *s, struct buf *out);
void server_sending_publish(struct server_sending *s, struct expo *x);
/* Samples stop before the store closes; alerts after the rules have stopped. */
void server_sending_stop_samples(struct server_sending *s);
void server_sending_stop(struct server_sending *s);

/* --- reload. One at a time --- */

/* What is not in use: before the exchange the new ones, after it the old ones. NULL: the section
 * stays as it is. */
struct sending_change {
    struct sending_alerts *alerts;
    struct sending_samples *samples;
};
/* Reads the sections; release in any case. */
MUST_USE bool server_sending_prepare(struct server_sending *s, const struct yaml_node *root,
                                     const char *where, struct sending_change *c, struct err *e);
/* The senders of samples stop and the others begin; a second call takes it back. On failure it is
 * as before. */
MUST_USE bool server_sending_switch(struct server_sending *s, struct sending_change *c,
                                    struct err *e);
/* The same of alerts; nothing can fail. */
void server_sending_exchange(struct server_sending *s, struct sending_change *c);
void server_sending_change_release(struct sending_change *c);

#endif
