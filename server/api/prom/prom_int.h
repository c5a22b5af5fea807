/* One request of the API from its parameters to its answer. */
#ifndef SERVER_API_PROM_PROM_INT_H
#define SERVER_API_PROM_PROM_INT_H

#include "server/api/prom/prom.h"

#include <pthread.h>
#include <stdatomic.h>

enum prom_error {
    PROM_BAD_DATA,
    PROM_EXECUTION_ERROR,
    PROM_CANCELED_ERROR,
    PROM_TIMEOUT_ERROR,
    PROM_INTERNAL,
    PROM_UNAVAILABLE,
    PROM_NOT_FOUND,
    PROM_NOT_ACCEPTABLE,
    PROM_DISABLED,
};
#define PROM_ERRORS 9

struct prom_param {
    struct str name, value;
};

struct prom_call;
struct prom_endpoint {
    const char *method; /* "GET", "POST" */
    const char *path;   /* a prefix when it ends in '*' */
    const char *help;
    uint64_t body_bytes_max; /* POST */
    bool raw_body;           /* not a form: c->body is for run */
    /* Writes the value of "data" to c->out, or the whole answer when c->type is set. false: the
     * error is set by prom_fail. thread: a worker. */
    bool (*run)(struct prom_call *c);
};

/* Request lifetime: everything lies in the arena. */
struct prom_call {
    struct prom_api *api;
    const struct prom_endpoint *endpoint;
    struct http_request *rq;
    struct prom_call *next;
    struct mem mem;
    struct arena arena;
    struct buf body;
    struct prom_param *params;
    uint32_t params_n, params_cap;
    struct str path_rest; /* after the prefix of the endpoint */
    bool packed;          /* the client takes gzip */
    bool failed_memory;
    int64_t began_mono_ns, taken_mono_ns; /* taken: by a worker */
    /* the answer */
    struct buf out;
    const char *type; /* NULL: JSON envelope */
    const char *encoding;
    int status; /* 0 = 200 */
    bool truncated;
    const struct promql_note *notes;
    uint32_t notes_n;
    struct str warning; /* of the API itself; arena */
    enum prom_error error;
    char message[512];
};

struct prom_route {
    struct prom_api *api;
    const struct prom_endpoint *endpoint;
};

struct prom_api {
    struct prom_config config;
    struct prom_deps deps;
    struct mem mem; /* lock: mu */
    struct http_route routes[PROM_ROUTES_MAX];
    struct prom_route links[PROM_ROUTES_MAX];
    size_t routes_count;
    pthread_mutex_t mu;
    pthread_cond_t wake;
    struct prom_call *first, *last; /* lock: mu; waiting */
    uint64_t waiting, running;      /* lock: mu */
    bool stopping;                  /* lock: mu */
    pthread_t workers[64];
    uint32_t workers_n;
    uint32_t cores; /* threads that one query may use */
    atomic_bool cancel;
    int64_t started_ns;
    atomic_uint_fast64_t requests[PROM_ERRORS + 1], queries, query_ns, samples_read, refused;
};

/* --- parameters (params.c) --- */

bool prom_has(const struct prom_call *c, const char *name);
/* Unix seconds with a fraction, or RFC 3339; absent: fallback. false: the error is set. */
MUST_USE bool prom_time_wanted(struct prom_call *c, const char *name, int64_t *t_ms);
MUST_USE bool prom_time(struct prom_call *c, const char *name, int64_t fallback, int64_t *t_ms);
/* Seconds, or "5m"; absent: fallback. */
MUST_USE bool prom_duration(struct prom_call *c, const char *name, int64_t fallback, int64_t *ms);
/* NULL, or what follows "cannot parse ... to a valid duration" in the error text. */
const char *prom_duration_of(struct str s, int64_t *ms);
/* NULL, or what is wrong with the number. */
const char *prom_int_of(struct str s, int64_t *out);
/* As Go's strconv.ParseBool. */
bool prom_bool_of(struct str s, bool *out);
/* A count >= 0; absent: 0. */
MUST_USE bool prom_limit(struct prom_call *c, uint32_t *out);
MUST_USE bool prom_range(struct prom_call *c, int64_t *from_ms, int64_t *to_ms);
/* application/x-www-form-urlencoded text to parameters, in place of the body. */
void prom_form(struct prom_call *c, struct str form);
void prom_param_add(struct prom_call *c, struct str name, struct str value);

/* --- failing and answering (answer.c) --- */

bool prom_fail(struct prom_call *c, enum prom_error why, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* From e: limits are execution errors, input is bad data, the rest internal. */
bool prom_fail_err(struct prom_call *c, const struct err *e);
/* Answers and frees the call. */
void prom_answer(struct prom_call *c, bool ok);
void prom_json_labels(struct buf *b, struct labels l);

/* --- endpoints --- */

extern const struct prom_endpoint prom_endpoints_query[], prom_endpoints_series[],
    prom_endpoints_status[], prom_endpoints_pages[], prom_endpoints_admin[],
    prom_endpoints_remote[];
extern const uint32_t prom_endpoints_query_n, prom_endpoints_series_n, prom_endpoints_status_n,
    prom_endpoints_pages_n, prom_endpoints_admin_n, prom_endpoints_remote_n;

/* match[] as lists of matchers, one list per selector. false: the error is set. */
struct prom_selector {
    struct matcher *m;
    uint32_t n;
};
enum prom_match_flags {
    PROM_MATCH_WANTED = 1, /* none is an error */
    PROM_MATCH_SOME = 2,   /* each must exclude something */
    PROM_MATCH_NAMED = 4,  /* errors name the parameter */
};
MUST_USE bool prom_matches(struct prom_call *c, unsigned flags, struct prom_selector **out,
                           uint32_t *n);

/* The parameters of /api/v1/rules (rules.c); f borrows the call. false: the error is set. */
MUST_USE bool prom_rules_wanted(struct prom_call *c, struct rules_filter *f);

#endif
