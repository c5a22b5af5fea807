/* Recording and alerting rules as Prometheus evaluates them: rule files, slots, state of alerts,
 * ALERTS and ALERTS_FOR_STATE, restoration, and unit tests of rules (promtool's files).
 *
 *     files --rules_load--> groups --slot--> promql_eval --> samples to the store, alerts to a sink
 *
 * A group is evaluated at its slots: times t with t mod interval = offset(group), where the offset
 * is a hash of file and name; the evaluation time is the slot's, never the wall clock's. Groups run
 * side by side; the rules of a group run in order, each sees what the ones before it wrote. Rules
 * that have nothing to do with each other may run side by side too: results never depend on the
 * number of threads. A slot that could not run is counted as missed.
 *
 * thread: rules_* are called from any thread; evaluation runs on the engine's own threads. */
#ifndef ENGINES_RULES_RULES_H
#define ENGINES_RULES_RULES_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "codec/expo.h"
#include "codec/yaml.h"
#include "engines/promql/promql.h"
#include "engines/tsdb/tsdb.h"

/* --- rule files ----------------------------------------------------------------------------- */

struct rule_pair {
    struct str name, value;
};

struct rule {
    bool is_alert;
    struct str name; /* record or alert */
    struct str text; /* expr as written */
    struct promql_node *expr;
    int64_t for_ms, keep_firing_ms;
    struct rule_pair *labels, *annotations; /* sorted by name; values are templates (alerts) */
    uint32_t labels_n, annotations_n;
    uint32_t line;
};

struct rule_group {
    struct str file, name;
    int64_t interval_ms;     /* 0: the global one */
    int64_t query_offset_ms; /* -1: the global one */
    uint32_t limit;          /* results of one rule; 0 = none */
    struct rule_pair *labels;
    uint32_t labels_n;
    struct rule *rules;
    uint32_t rules_n;
};

struct rule_file {
    struct str path;
    struct rule_group *groups;
    uint32_t groups_n;
    bool more_documents; /* only the first YAML document counts */
};

/* May be or-ed to promql_flags of rule_file_parse and rules_test_file: keys that are not known are
 * skipped (promtool's --ignore-unknown-fields). */
#define RULES_UNKNOWN_KEYS (1U << 31)
/* Names of metrics and labels must be of the old alphabet, [a-zA-Z_][a-zA-Z0-9_]*. */
#define RULES_LEGACY_NAMES (1U << 30)

/* One file's text. Keys are strict; names, labels, durations, expressions and templates are
 * checked.
 * On failure e is the first problem (where, line, column), and each problem is also given to
 * each(ctx, err) when each is not NULL: a file may have many. Memory: arena. */
MUST_USE bool rule_file_parse(struct str text, const char *path, unsigned promql_flags,
                              struct arena *a, struct rule_file *out,
                              void (*each)(void *ctx, const struct err *e), void *ctx,
                              struct err *e);

/* The files of a pattern (a path or a glob, relative to dir), each checked as rules_load would.
 * each: every problem and the text of its file, both borrowed for the call. false: a file cannot be
 * read, or no memory (e). */
struct rules_check {
    unsigned promql_flags;
    uint64_t bytes_max; /* of one file */
    void (*each)(void *ctx, const struct err *e, struct str text);
    void *ctx;
    uint32_t problems; /* adds up over calls */
};
MUST_USE bool rules_check(struct rules_check *c, const struct os *os, const char *dir,
                          struct str pattern, struct err *e);

/* --- the engine ----------------------------------------------------------------------------- */

struct rules_config {
    int64_t interval_ms;                     /* global evaluation_interval: 1 min */
    int64_t query_offset_ms;                 /* global rule_query_offset */
    const struct rule_pair *external_labels; /* added to alerts that are sent; $externalLabels */
    uint32_t external_labels_n;
    struct str external_url; /* {{ $externalURL }}, generatorURL */
    int64_t outage_tolerance_ms, grace_period_ms, resend_delay_ms; /* 1 h, 10 min, 1 min */
    uint32_t threads; /* rules evaluated at once, of all groups */
    int64_t lookback_ms, timeout_ms;
    uint64_t samples_max, query_bytes_max;
    uint32_t series_max;
    unsigned promql_flags;
    uint64_t bytes_max; /* of files, state and results */
};

/* An alert as it is sent. Borrowed for the call. */
struct rules_alert {
    struct labels labels, annotations; /* external labels included */
    int64_t starts_ms, ends_ms;        /* ends: when it resolved, or valid until */
    struct str generator_url;
};

struct rules_sink {
    void *ctx;
    /* Must not block. */
    void (*send)(void *ctx, const struct rules_alert *alerts, uint32_t n);
};

struct rules;
MUST_USE bool rules_new(const struct rules_config *c, struct tsdb *db, const struct os *os,
                        struct log *log, const struct rules_sink *sink, struct rules **out,
                        struct err *e);
/* Starts the threads. Alerts are restored from ALERTS_FOR_STATE after the second evaluation. */
MUST_USE bool rules_start(struct rules *r, struct err *e);
/* Reads the files (each pattern a path or a glob, relative to dir) and replaces all groups, or
 * changes nothing when one is not valid. Groups that stay the same keep their state; series of
 * rules that went away get stale markers. */
MUST_USE bool rules_load(struct rules *r, const char *dir, const struct str *patterns, uint32_t n,
                         struct err *e);
/* The same in two steps, for who changes several things whole or not at all. g: other global
 * settings, NULL: as they are. prepare changes nothing; commit cannot fail and consumes c. Release
 * a change that is not committed with rules_change_free. One change at a time. */
struct rules_globals {
    int64_t interval_ms, query_offset_ms;
    const struct rule_pair *external_labels; /* borrowed for the call */
    uint32_t external_labels_n;
};
struct rules_change;
MUST_USE bool rules_prepare(struct rules *r, const struct rules_globals *g, const char *dir,
                            const struct str *patterns, uint32_t n, struct rules_change **out,
                            struct err *e);
void rules_commit(struct rules *r, struct rules_change *c);
void rules_change_free(struct rules *r, struct rules_change *c);
/* Stops the threads at the end of what they evaluate. */
void rules_free(struct rules *r);

/* Evaluates every group whose slot is due at now_ms, on the caller's thread, in order. For tests,
 * unit tests of rules and backtests; not beside rules_start. Threads that call it at once with the
 * same time share the work. */
void rules_run_slots(struct rules *r, int64_t now_ms);

/* A match[]: all of m hold for the labels in the definition of a rule. */
struct rules_match {
    const struct matcher *m;
    uint32_t n;
};
/* What of /api/v1/rules is wanted; empty = all. */
struct rules_filter {
    struct str type; /* "", "alert", "record" */
    const struct str *names, *groups, *files;
    uint32_t names_n, groups_n, files_n;
    const struct rules_match *matches; /* one of them is enough */
    uint32_t matches_n;
    bool exclude_alerts;
    uint32_t group_limit;   /* groups of a page; 0: all */
    struct str group_token; /* groupNextToken of the page before */
};
/* Value of "data" of /api/v1/rules, groups by file and name. ERR_INPUT: group_token names no group
 * that is there. */
MUST_USE bool rules_json(struct rules *r, const struct rules_filter *f, struct buf *out,
                         struct err *e);
/* The same of /api/v1/alerts. */
void rules_alerts_json(struct rules *r, struct buf *out);
/* In short, for a board: {"firing":2,"pending":1,"names":["PixDictDown"]}. names: alerts with
 * something firing, each once, in order of files and groups, at most names_max. */
void rules_firing_json(struct rules *r, uint32_t names_max, struct buf *out);
/* Groups, evaluations, failures, missed slots, last durations; alerts by state. */
void rules_publish(struct rules *r, struct expo *x);

/* --- templates ------------------------------------------------------------------------------ */

/* Go's text/template with Prometheus' functions, for labels and annotations. check: parses only.
 * expand: query is evaluated at t_ms through source; errors become text as Prometheus does
 * ("<error expanding template: ...>"). */
MUST_USE bool rules_template_check(struct str text, struct err *e);
struct rules_template_data {
    struct labels labels, external_labels;
    double value;
    const struct nhist *hist;
    struct str external_url;
    int64_t t_ms;
    struct promql_query query; /* source, limits; expr and times are set by the template */
};
void rules_template_expand(struct str name, struct str text, const struct rules_template_data *d,
                           struct arena *a, struct buf *out);

/* --- unit tests of rules -------------------------------------------------------------------- */

/* promtool's `test rules` on one file; dir: where rule_files are relative to. Writes what failed to
 * out as text; counts test groups. false: the file itself is not valid (e). */
struct rules_test_result {
    uint32_t passed, failed;
};
MUST_USE bool rules_test_file(struct str text, const char *path, const struct os *os,
                              unsigned promql_flags, struct buf *out, struct rules_test_result *r,
                              struct err *e);

#endif
