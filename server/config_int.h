/* farol.yml: the sections and who reads them. A file is read whole or refused whole; sections
 * absent from it take their defaults, and so does an absent file. */
#ifndef SERVER_CONFIG_INT_H
#define SERVER_CONFIG_INT_H

#include "base/command.h"
#include "base/file.h"
#include "codec/conf.h"
#include "ingest/ndjson/ndjson.h"
#include "ingest/otlp/otlp.h"
#include "ingest/remote_write/remote_write.h"
#include "model/model.h"
#include "pipeline/pipeline.h"
#include "server/api/prom/prom.h"
#include "server/rulebook_int.h"

#define SERVER_CONFIG_BYTES_MAX (4U << 20)

struct server_own_config {
    struct str listen, log_level;
    int64_t tick_ms, threads, connections_max, idle_timeout_ms, drain_ms;
    uint64_t request_bytes_max, metrics_bytes_max;
    /* What listen and log_level mean. */
    char address[64];
    uint16_t port;
    enum log_level level;
};

struct server_storage_config {
    struct str path;
    int64_t shards, checkpoint_ms;
    uint64_t queue_bytes_max, segment_bytes_max, journal_bytes_max, checkpoint_bytes,
        shard_bytes_max;
    char dir[PATH_BYTES_MAX]; /* path, relative to the file it was written in */
};

/* The store of samples. */
struct server_metrics_config {
    int64_t retention_ms, out_of_order_ms, future_ms, head_ms, series_max, exemplars_max;
    uint64_t retention_bytes, head_bytes_max, queue_bytes_max;
};
const struct conf_field *server_metrics_fields(size_t *count);

/* Process lifetime; strings borrow the arena and the text it was read from. */
struct server_config {
    struct server_own_config server;
    struct server_storage_config storage;
    struct ndjson_config ingest;
    struct pipeline_config pipeline;
    struct model_config model;
    struct server_metrics_config metrics;
    struct prom_config query;
    struct remote_write_config receiver;
    struct otlp_config otlp;
    struct server_rules_config rules;
    const struct yaml_node *root; /* NULL: no file */
};

struct server_section {
    const char *name;
    const char *help[LANGS];
    const struct conf_field *(*fields)(size_t *count);
    size_t offset; /* of its struct in struct server_config */
};

const struct server_section *server_config_sections(uint32_t *count);
/* "duration", "bytes"... for people. */
const char *server_config_type(enum lang lang, enum conf_type t);
/* Help of a key in the reader's language; English where Portuguese has none (conf_pt.def). */
const char *server_config_help(enum lang lang, const char *section, const struct conf_field *f);
/* Checks conf_pt.def against the tables: calls each(ctx, "section.key") for a key without a text
 * and for a text without a key. For tests. */
void server_config_help_gaps(void (*each)(void *ctx, const char *key), void *ctx);
/* A short file that shows each section, for farol.conf(5). A test reads it. */
extern const char server_config_example[];

/* text is the content of the file `where` (NULL: no file, all defaults), borrowed with the arena. e
 * has where, line and column. Relative paths are taken from the folder of `where`. */
MUST_USE bool server_config_read(struct str text, const char *where, struct arena *a,
                                 struct server_config *out, struct err *e);

/* Sets address and port from "127.0.0.1:9480", "[::1]:9480", "localhost:0" or ":9480" (this machine
 * only); false when it is none of these. */
MUST_USE bool server_config_listen(struct server_own_config *out, struct str s);

/* Keys whose value differs between two configurations, as "section.key". Live ones may be applied
 * to a running server (server_config_is_live). Calls each(ctx, section, key) in table order. */
void server_config_diff(const struct server_config *old, const struct server_config *new,
                        void (*each)(void *ctx, const char *section, const char *key), void *ctx);
bool server_config_is_live(const char *section, const char *key);

/* Every key with its default and its help, as a YAML file that reads back as the defaults. */
void server_config_print(struct buf *out, enum lang lang);

#endif
