/* Private to ingest/scrape: configuration as read, targets, the loop's state. */
#ifndef INGEST_SCRAPE_SCRAPE_INT_H
#define INGEST_SCRAPE_SCRAPE_INT_H

#include "codec/http_conf.h"
#include "ingest/scrape/relabel_int.h"
#include "ingest/scrape/scrape.h"
#include "net/http_multi.h"

#include <pthread.h>

#define SCRAPE_JOBS_MAX          1000
#define SCRAPE_CONFIG_BYTES_MAX  (64 << 20)
#define SCRAPE_DROPPED_KEPT      1000 /* a job, unless keep_dropped_targets says another number */
#define SCRAPE_BODY_BYTES_MAX    (1U << 30) /* when body_size_limit says nothing */
#define SCRAPE_PROTOCOLS         5
#define SCRAPE_EXEMPLAR_RUNES    128 /* of all labels of one exemplar, as the peers bound it */
#define SCRAPE_SD_FILE_BYTES_MAX (64 << 20)

/* --- configuration ------------------------------------------------------------------------ */

enum scrape_protocol {
    PROTO_PROTOBUF,
    PROTO_TEXT_0_0_4,
    PROTO_TEXT_1_0_0,
    PROTO_OPENMETRICS_0_0_1,
    PROTO_OPENMETRICS_1_0_0,
};

struct scrape_param {
    struct str name;
    struct conf_strs values;
};

/* Targets with the labels that they share: one static_config or one entry of a file. */
struct scrape_group {
    struct conf_strs targets;
    const struct label *labels;
    uint32_t labels_n;
};

struct scrape_file_sd {
    struct conf_strs files; /* absolute, may hold one * in the last part */
    int64_t refresh_ms;
};

/* One entry of scrape_configs, all defaults filled in. */
struct scrape_job {
    struct str name, metrics_path, scheme;
    int64_t interval_ms, timeout_ms;
    bool honor_labels, honor_timestamps, track_timestamps_staleness, gzip;
    int8_t always_classic, nhcb, native, extra_metrics; /* -1 = as global says */
    int64_t sample_limit, target_limit, label_limit, label_name_max, label_value_max;
    int64_t bucket_limit, keep_dropped;
    double bucket_factor_min;
    int8_t schema_max; /* the finest one that keeps to bucket_factor_min */
    uint64_t body_bytes_max;
    uint8_t protocols[SCRAPE_PROTOCOLS];
    uint32_t protocols_n;
    int8_t fallback; /* enum scrape_protocol, -1 = none */
    int8_t legacy_names;
    struct str escaping;
    struct scrape_param *params;
    uint32_t params_n;
    struct http_conf http;
    struct scrape_group *groups;
    uint32_t groups_n;
    struct scrape_file_sd *files;
    uint32_t files_n;
    struct relabel_rules relabel, metric_relabel;
    uint32_t line, col;
};

struct scrape_limits_global {
    int64_t sample_limit, target_limit, label_limit, label_name_max, label_value_max, keep_dropped;
    uint64_t body_bytes_max;
};

/* lifetime: from read to free; everything is in its arena, regular expressions in its mem. */
struct scrape_config {
    struct mem *mem; /* borrows */
    struct arena arena;
    struct scrape_global global;
    struct scrape_limits_global limits;
    uint8_t protocols[SCRAPE_PROTOCOLS];
    uint32_t protocols_n;
    int8_t always_classic, nhcb, native, extra_metrics;
    int8_t legacy_names;
    struct str escaping;
    struct scrape_job *jobs;
    uint32_t jobs_n, jobs_cap;
    const struct scrape_config_options *o; /* while it is read */
    const char *dir;
};

/* Readers of single keys, shared by global and jobs (config_read.c). */
bool scrape_read_size(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
bool scrape_read_tristate(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
bool scrape_read_names(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
bool scrape_read_params(const struct yaml_node *n, struct arena *a, struct scrape_job *job,
                        struct err *e);
bool scrape_read_protocols(const struct yaml_node *n, uint8_t *out, uint32_t *count, struct err *e);
bool scrape_read_protocol(const struct yaml_node *n, int8_t *out, struct err *e);
bool scrape_protocol_of(struct str s, enum scrape_protocol *out);
struct str scrape_protocol_media(enum scrape_protocol p);
bool scrape_read_labels(const struct yaml_node *n, struct arena *a, const struct label **out,
                        uint32_t *count, struct err *e);
bool scrape_read_group(const struct yaml_node *n, struct arena *a, struct scrape_group *out,
                       struct err *e);
bool scrape_read_static(const struct yaml_node *n, struct arena *a, struct scrape_job *job,
                        struct err *e);
bool scrape_read_files(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct scrape_job *job, struct err *e);
extern const struct conf_field scrape_job_fields[];
extern const size_t scrape_job_fields_count;
extern const struct conf_field scrape_global_fields[];
extern const size_t scrape_global_fields_count;
/* One entry of scrape_configs into c->jobs (config_job.c). */
bool scrape_read_job(struct scrape_config *c, const struct yaml_node *n, struct err *e);

/* Calls each for every file of a pattern with at most one *, in its last part (sd_file.c). */
MUST_USE bool scrape_glob(const struct os *os, const char *pattern,
                          void (*each)(void *ctx, const char *path), void *ctx, struct err *e);
/* Groups of a file of targets, JSON or YAML by its name (sd_file.c). */
MUST_USE bool scrape_sd_parse(struct str text, const char *path, struct arena *a,
                              struct scrape_group **out, uint32_t *n, struct err *e);

/* Labels of a target before relabelling (target.c). file: where it was found, or empty. */
void scrape_discovered(const struct scrape_job *job, const struct scrape_group *g,
                       struct str address, struct str file, struct lset *l, struct buf *scratch);

#endif
