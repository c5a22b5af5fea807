/* Scraping: targets are found, asked for their metrics on time, and what they say goes into the
 * store. Configured by the same keys as Prometheus (scrape_configs, global), so a prometheus.yml
 * can be pasted.
 *
 *     scrape_config_parse / scrape_config_read  -->  scrape_apply  -->  [loop thread] --> tsdb
 *
 * One thread does everything: waits for the next slot, sends requests, reads answers, appends.
 * Every target has its slot in its interval, spread by a hash of its labels and URL over a grid of
 * 50 ms, so that a thousand targets do not answer at once, and the same slot after a restart. Times
 * within min(2 ms, 1 % of the interval) of the slot are set to it: equal times are what makes
 * samples cheap to store.
 *
 * thread: scrape_apply, _targets, _metadata, _stats from any; the rest from the owner's. */
#ifndef INGEST_SCRAPE_SCRAPE_H
#define INGEST_SCRAPE_SCRAPE_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "codec/expo_parse.h"
#include "codec/labels.h"
#include "codec/yaml.h"
#include "engines/tsdb/tsdb.h"

struct scrape_config;

/* What the `global` section says that is not only about scraping. */
struct scrape_global {
    int64_t scrape_interval_ms, scrape_timeout_ms;
    int64_t evaluation_interval_ms, rule_query_offset_ms;
    struct labels external_labels; /* environment variables expanded ($x, ${x}, $$) */
    bool legacy_names;             /* metric_name_validation_scheme: legacy */
};

struct scrape_config_options {
    const char *dir;  /* of the configuration file: relative paths begin here; copied */
    bool check_files; /* files that are named must exist (for `farol check`) */
    const struct os *os;
    /* Value of an environment variable, NULL when unset; NULL: none are set. */
    const char *(*env)(void *ctx, const char *name);
    void *env_ctx;
};

/* Reads `global`, `scrape_configs` and `scrape_config_files` of a mapping that may hold more; those
 * keys are strict, with file, line and column in errors. Takes memory of m until _free. */
MUST_USE bool scrape_config_read(const struct yaml_node *root, const char *where,
                                 const struct scrape_config_options *o, struct mem *m,
                                 struct scrape_config **out, struct err *e);
/* The same from the text of a whole prometheus.yml, whose top-level keys are checked too. e->where
 * is `where`. */
MUST_USE bool scrape_config_parse(struct str text, const char *where,
                                  const struct scrape_config_options *o, struct mem *m,
                                  struct scrape_config **out, struct err *e);
void scrape_config_free(struct scrape_config *c);
/* Borrows c. */
const struct scrape_global *scrape_config_global(const struct scrape_config *c);
uint32_t scrape_config_jobs(const struct scrape_config *c);
/* Keys of global and of one scrape configuration with defaults and help, for the manual. */
void scrape_config_describe(struct buf *out);

struct scrape;

struct scrape_options {
    struct tsdb *db;     /* borrows */
    const struct os *os; /* borrows: clock, files of discovery */
    struct log *log;     /* borrows; may be NULL */
    struct mem *mem;     /* borrows: caches, bodies, labels; used by the loop thread */
    const char *user_agent;
    uint64_t offset_seed;     /* spreads several Farols over the interval; external labels do it */
    uint64_t cache_bytes_max; /* of all names caches; beyond it series are looked up by labels */
    uint32_t connections_max;
    size_t batch_bytes_max; /* samples of one scrape in memory */
    bool start_timestamps;  /* store them with samples, and drop _created lines of OpenMetrics */
};

/* NULL members of options get defaults where that makes sense (cache 256 MiB, 4,096 connections,
 * batch 64 MiB). */
MUST_USE bool scrape_new(const struct scrape_options *o, struct scrape **out, struct err *e);
/* Starts the loop thread. */
MUST_USE bool scrape_start(struct scrape *s, struct err *e);
/* Stops and joins; nothing is marked stale (the next start goes on). Then frees. NULL: nothing. */
void scrape_stop(struct scrape *s);
/* Without a thread, for tests: does what is due, waits at most wait_ms for answers. */
void scrape_step(struct scrape *s, int64_t wait_ms);

/* Takes over a new configuration (consumes c): targets that stay go on in their slots, new ones
 * start, removed ones are marked stale two intervals later. Done by the loop at its next turn; it
 * also frees c, so the struct mem of c must be its own. */
void scrape_apply(struct scrape *s, struct scrape_config *c);

enum scrape_health { SCRAPE_UNKNOWN, SCRAPE_UP, SCRAPE_DOWN };

/* One target as /api/v1/targets shows it. Everything is the arena's. */
struct scrape_target_status {
    struct str pool;          /* job_name */
    struct labels labels;     /* public ones */
    struct labels discovered; /* before relabelling */
    struct str url;
    struct str last_error;
    enum scrape_health health;
    int64_t last_scrape_ms; /* 0 = not yet */
    double last_duration_s;
    int64_t interval_ms, timeout_ms;
};
struct scrape_targets {
    struct scrape_target_status *active;
    uint32_t active_n;
    struct scrape_target_status *dropped; /* only pool and discovered are set */
    uint32_t dropped_n;
    struct str *pools; /* all jobs */
    uint64_t *pool_dropped_n;
    uint32_t pools_n;
};
/* pool: only this one; empty = all. Dropped targets are kept up to keep_dropped_targets (else
 * 1,000) a job, counted beyond. */
MUST_USE bool scrape_targets(struct scrape *s, struct str pool, struct arena *a,
                             struct scrape_targets *out, struct err *e);

/* Metadata of one metric of one target. */
struct scrape_metadata {
    struct labels target; /* public labels */
    struct str metric, help, unit;
    enum expo_kind type;
};
/* For targets that all matchers fit; metric empty = all. limit 0 = all. */
MUST_USE bool scrape_metadata(struct scrape *s, const struct matcher *m, uint32_t m_n,
                              struct str metric, uint32_t limit, struct arena *a,
                              struct scrape_metadata **out, uint32_t *n, struct err *e);

struct scrape_stats {
    uint64_t targets, scrapes, failed_connect, failed_status, failed_parse, failed_limit;
    uint64_t samples, bytes, series_added, stale_markers;
    uint64_t refused[TSDB_REFUSALS]; /* samples, by the store */
    uint64_t duplicates;             /* series given twice on a page */
    uint64_t nhcb_refused;           /* classic histograms that could not be converted */
    uint64_t exemplars_dropped, commits_failed, slots_missed, discovery_failures;
    uint64_t cache_bytes, cache_full; /* series that had no room in a cache */
};
void scrape_stats(struct scrape *s, struct scrape_stats *out);

/* --- relabelling for others (relabel_list.c) ------------------------------------------------ */

/* A list of relabelling rules with the keys of relabel_configs: for alert_relabel_configs and
 * write_relabel_configs. list may be NULL: nothing is rewritten. */
struct scrape_relabel;
MUST_USE bool scrape_relabel_new(const struct yaml_node *list, struct mem *m,
                                 struct scrape_relabel **out, struct err *e);
void scrape_relabel_free(struct scrape_relabel *r); /* NULL: nothing */
/* Rewrites v[0..*n), which has room for cap labels; new texts are the arena's. false: dropped, or
 * there was no room. thread: any, several at once. */
bool scrape_relabel_apply(const struct scrape_relabel *r, struct label *v, uint32_t *n,
                          uint32_t cap, struct arena *a);

#endif
