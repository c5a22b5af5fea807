/* The engine's own structures: groups, state of rules and alerts. Private to engines/rules. */
#ifndef ENGINES_RULES_ENGINE_INT_H
#define ENGINES_RULES_ENGINE_INT_H

#include "engines/rules/rules.h"

#include "base/hash.h"
#include "base/intern.h"
#include "codec/regex.h"

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
#define RULES_INTERVAL_MS 60000 /* evaluation_interval when it is not set */
#define RULES_THREADS_MAX 64
#define RULE_NONE         UINT32_MAX

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

/* What the rules of a group wait for (deps.c). Made with the group, then constant. */
struct rule_order {
    uint32_t *waits;         /* of each rule: how many before it must be done */
    uint32_t *first, *after; /* who waits for rule i: after[first[i]] to after[first[i + 1]] */
    bool *alone;             /* all before it come first, all after it wait */
};

/* One evaluation of a group's rules. lock: engine->mu */
struct rule_turn {
    int64_t ts_ms, begin_ns;
    uint32_t *waits; /* what is left of rule_order's */
    bool *taken;
    uint32_t low, done; /* low: all before it are taken, or done when they stand alone */
};

struct group {
    struct rules *engine;
    struct loaded_file *file;
    const struct rule_group *g;
    struct mem mem;     /* state. lock: mu, once rules are evaluated */
    struct arena arena; /* of mem: rules, merged labels. thread: who loads */
    struct rule_state *rules;
    uint32_t rules_n;
    int64_t interval_ms, query_offset_ms;
    struct hash128 print; /* of everything in it */
    struct rule_order order;
    struct rule_turn turn;
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

/* external_labels as labels, with their memory. */
struct external {
    struct mem mem;
    struct arena arena;
    struct labels ls;
};
MUST_USE bool external_new(const struct rule_pair *v, uint32_t n, struct external **out,
                           struct err *e);
void external_free(struct external *x);

struct rules {
    struct rules_config c; /* interval and offset: lock: mu */
    struct tsdb *db;
    const struct os *os;
    struct log *log;
    struct rules_sink sink;
    struct mem mem;
    struct arena arena;        /* copies of the configuration's texts */
    struct intern paths;       /* of rule files, with their NUL */
    struct external *external; /* lock: mu, and no group is busy */
    uint32_t source;
    pthread_mutex_t mu;
    pthread_cond_t wake, idle;
    struct group **groups; /* in the order they were read */
    size_t groups_cap;
    uint32_t groups_n, busy, threads_n;
    struct group *running[RULES_THREADS_MAX]; /* busy of them, in the order they began */
    uint32_t waiting;                         /* threads with nothing to do */
    uint64_t side_by_side; /* rules that began beside another one of their group */
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
    struct mem *scratch; /* of the arena and the query */
    int64_t ts_ms;       /* the slot */
    int64_t t_ms;        /* ts_ms without the query offset: time of the query and its results */
    struct promql_query q;
    struct str whole; /* message of a query that failed */
};

/* Evaluates one rule at the slot, on the caller's thread. thread: one per rule; of one group only
 * rules that group->order lets run side by side. */
void group_eval_rule(struct group *g, uint32_t i, int64_t ts_ms);
/* After the last rule of the slot: what is left to be marked stale, and the group's own numbers. */
void group_eval_end(struct group *g);
/* All of it in order, on the caller's thread; not beside the engine's own slots. */
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

/* --- deps.c --------------------------------------------------------------------------------- */

/* false: no memory. */
MUST_USE bool rule_order_make(const struct group *g, struct arena *a, struct rule_order *o);
MUST_USE bool rule_turn_make(struct group *g);
void rule_turn_begin(struct group *g, int64_t ts_ms);
/* The first rule that may begin now, RULE_NONE: none until another one is done. */
uint32_t rule_turn_next(const struct group *g);
void rule_turn_take(struct group *g, uint32_t i);
void rule_turn_done(struct group *g, uint32_t i);

/* --- filter.c ------------------------------------------------------------------------------- */

#define RULES_TOKEN_BYTES 16

/* A filter with its regular expressions. Borrows the filter. */
struct rules_choice {
    const struct rules_filter *f;
    struct mem mem;
    struct regex **regexes; /* of all matchers, in order; NULL: it has none */
    uint32_t regexes_n;
};
/* Release also after a failure. */
MUST_USE bool rules_choice_init(struct rules_choice *c, const struct rules_filter *f,
                                struct err *e);
void rules_choice_release(struct rules_choice *c);
bool rules_choice_rule(const struct rules_choice *c, const struct rule_state *s);
/* Is some rule of it wanted? */
bool rules_choice_group(const struct rules_choice *c, const struct group *g);
/* Where a page begins: a text for the group, and the place of its group. */
void rules_token_of(const struct group *g, char out[RULES_TOKEN_BYTES + 1]);
MUST_USE bool rules_token_find(struct group *const *v, uint32_t n, struct str token, uint32_t *at,
                               struct err *e);

/* --- load.c, glob.c ----------------------------------------------------------------------------
 * */

/* Paths that match, in order, each once; a pattern without * ? [ stands for itself. */
MUST_USE bool rules_glob(const struct os *os, const char *dir, struct str pattern, struct arena *a,
                         struct str **out, uint32_t *n, struct err *e);
void group_free(struct group *g);
int64_t group_slot_after(const struct group *g, int64_t t_ms);

#endif
