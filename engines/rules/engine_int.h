/* The engine's own structures: groups, state of rules and alerts. Private to engines/rules. */
#ifndef ENGINES_RULES_ENGINE_INT_H
#define ENGINES_RULES_ENGINE_INT_H

#include "engines/rules/rules.h"

#include "base/hash.h"
#include "base/intern.h"

#include <pthread.h>
#include <stdatomic.h>

#define T_MS_NONE         INT64_MIN
#define RESOLVED_KEEP_MS  (15 * 60 * 1000) /* a resolved alert is sent again for so long */
#define RULES_FILE_BYTES  (64U << 20)
#define RULES_FILES_MAX   10000
#define RULES_GROUPS_MAX  100000
#define RULES_ERROR_BYTES 512
#define RULES_BATCH_BYTES (256U << 20) /* results of one rule */
#define RULES_GONE_MAX    1000000      /* series of removed groups waiting for their marker */
#define RULES_LABELS_MAX  (LABELS_COUNT_MAX + 8)

enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };
const char *alert_state_name(enum alert_state s);

/* Labels with all their bytes in one block of a struct mem. */
struct owned_labels {
    struct labels ls;
    size_t bytes;
};
bool owned_labels_set(struct owned_labels *o, struct mem *m, struct labels ls);
void owned_labels_release(struct owned_labels *o, struct mem *m);

struct alert {
    uint64_t hash;
    struct owned_labels labels, notes;
    enum alert_state state;
    double value;
    int64_t active_ms, fired_ms, resolved_ms, sent_ms, valid_ms, keep_ms; /* T_MS_NONE: never */
};

/* lock: the group's mu for writing; only the thread that evaluates the group writes. */
struct rule_state {
    const struct rule *rule;  /* borrows the group's file */
    struct rule_pair *labels; /* of group and rule, sorted */
    uint32_t labels_n;
    struct str expr; /* canonical text */
    struct alert *alerts;
    size_t alerts_cap;
    uint32_t alerts_n;
    bool restored;
    uint32_t *seen; /* series of the last evaluation, ascending */
    size_t seen_cap;
    uint32_t seen_n;
    bool evaluated, failed;
    char error[RULES_ERROR_BYTES];
    int64_t last_ms, last_ns;
    uint64_t evaluations, failures;
};

/* A parsed file, shared by its groups; count under the engine's mu. */
struct loaded_file {
    struct mem mem;
    struct arena arena;
    struct rule_file file;
    uint32_t users;
};

struct group {
    struct rules *engine;
    struct loaded_file *file;
    const struct rule_group *g;
    struct mem mem;     /* state */
    struct mem scratch; /* one evaluation */
    struct arena arena; /* of mem: rules, merged labels */
    struct rule_state *rules;
    uint32_t rules_n;
    int64_t interval_ms, query_offset_ms;
    struct hash128 print; /* of everything in it */
    pthread_mutex_t mu;
    bool busy;       /* lock: engine->mu */
    int64_t next_ms; /* its next slot */
    bool restore;    /* alerts are to be restored */
    uint32_t evals_before_restore;
    uint32_t *stale; /* series of rules that a reload took away */
    size_t stale_cap;
    uint32_t stale_n;
    int64_t last_ms, last_ns; /* when and how long */
    uint64_t iterations, missed;
};

/* Series of a group that is gone: marked stale a while later, unless somebody writes them. */
struct gone {
    uint32_t ref;
    int64_t at_ms, due_ms;
};

struct rules {
    struct rules_config c;
    struct tsdb *db;
    const struct os *os;
    struct log *log;
    struct rules_sink sink;
    struct mem mem;
    struct arena arena;     /* copies of the configuration's texts */
    struct intern paths;    /* of rule files, with their NUL */
    struct labels external; /* external_labels as labels */
    uint32_t source;
    pthread_mutex_t mu;
    pthread_cond_t wake, idle;
    struct group **groups; /* in the order they were read */
    size_t groups_cap;
    uint32_t groups_n, busy, threads_n;
    pthread_t *threads;
    bool started, stopping, paused, loaded;
    struct gone *gone;
    size_t gone_cap;
    uint32_t gone_n;
    uint64_t gone_lost;
    atomic_uint_fast64_t samples, alerts_sent, write_failures;
    uint64_t loads, load_failures; /* lock: mu */
};

/* --- group.c, alert.c, restore.c -------------------------------------------------------------- */

/* A result of a rule. */
struct rule_out {
    struct labels ls;
    double v;
    const struct nhist *h;
};
struct rule_outs {
    struct rule_out *v;
    uint32_t n;
};

/* What one evaluation of a rule works with. */
struct rule_run {
    struct group *g;
    struct rule_state *s;
    struct arena *a;
    int64_t ts_ms; /* the slot */
    int64_t t_ms;  /* ts_ms without the query offset: time of the query and its results */
    struct promql_query q;
    struct str whole; /* message of a query that failed */
};

/* Evaluates every rule at the slot, on the caller's thread. thread: one per group. */
void group_eval(struct group *g, int64_t ts_ms);
/* Writes stale markers at t_ms for these series. */
void group_mark_stale(struct rules *r, const uint32_t *refs, uint32_t n, int64_t t_ms);
/* Results of the query to the state of alerts, and the series to write. */
MUST_USE bool alert_update(struct rule_run *run, const struct promql_result *res,
                           struct rule_outs *out, struct err *e);
void alert_send(struct rule_run *run);
void alerts_release(struct rule_state *s, struct mem *m);
/* Takes pending times from ALERTS_FOR_STATE. Every rule is restored afterwards. */
void group_restore(struct group *g, int64_t ts_ms);
/* name set to value; an empty value takes it away. false: more than RULES_LABELS_MAX. */
bool label_set(struct label *v, uint32_t *n, struct str name, struct str value);

/* --- load.c, glob.c ----------------------------------------------------------------------------
 * */

/* Paths that match, in order, each once; a pattern without * ? [ stands for itself. */
MUST_USE bool rules_glob(const struct os *os, const char *dir, struct str pattern, struct arena *a,
                         struct str **out, uint32_t *n, struct err *e);
void group_free(struct group *g);
int64_t group_slot_after(const struct group *g, int64_t t_ms);

#endif
