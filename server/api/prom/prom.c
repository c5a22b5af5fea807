/* From HTTP to a worker and back.
 *
 *     begin: a call, its parameters copied --(form body)--> end: queue --> worker: run, answer
 *
 * A request is borrowed from libmicrohttpd only until end returns, so everything of it is copied
 * into the call's arena first. */
#include "server/api/prom/prom.h"

#include "base/clock.h"
#include "codec/gzip.h"
#include "server/api/prom/prom_int.h"

#include <stdlib.h>
#include <unistd.h>

#define FORM_BYTES_MAX  (4U << 20)
#define ARENA_BYTES_MAX (64U << 20) /* beside what a query may take */
#define CORES_MAX       8           /* of one query */
#define CALLS_BYTES_MAX (64U << 20)
#define SECOND          1000.0
#define MIB             (1024.0 * 1024.0)

static const struct conf_field fields[] = {
    CONF_DURATION(struct prom_config, timeout_ms, "timeout", "2m", 100, 3600 * SECOND,
                  "longest time one query may take"),
    CONF_DURATION(struct prom_config, lookback_ms, "lookback", "5m", SECOND, 86400 * SECOND,
                  "how old the newest sample of a series may be to count as its present value"),
    CONF_I64(struct prom_config, threads, "threads", "2", 1, 64, "queries evaluated at once"),
    CONF_I64(struct prom_config, queue_max, "queue_max", "256", 1, 100000,
             "requests waiting for a thread; more are told to come back (503)"),
    CONF_I64(struct prom_config, steps_max, "steps_max", "11000", 1, 1000000,
             "steps of one range query"),
    CONF_I64(struct prom_config, samples_max, "samples_max", "50000000", 1000, 1e12,
             "samples one query may hold at once"),
    CONF_I64(struct prom_config, series_max, "series_max", "1000000", 100, 1e9,
             "series one selector or answer may have"),
    CONF_BYTES(struct prom_config, query_bytes_max, "query_bytes_max", "1GiB", MIB, 1e12,
               "memory of one query"),
    CONF_BYTES(struct prom_config, answer_bytes_max, "answer_bytes_max", "256MiB", MIB, 1e11,
               "size of one answer"),
    CONF_BOOL(struct prom_config, admin, "admin", "false",
              "answer delete_series, clean_tombstones and snapshot below /api/v1/admin/tsdb"),
    CONF_STR_LIST(
        struct prom_config, features, "features", NULL, 0, 32,
        "Prometheus' feature flags for PromQL: promql-experimental-functions, "
        "promql-duration-expr, promql-extended-range-selectors, promql-binop-fill-modifiers, "
        "promql-delayed-name-removal, type-and-unit-labels, created-timestamp-zero-ingestion"),
};

const struct conf_field *prom_config_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

bool prom_config_check(struct prom_config *c, struct err *e)
{
    static const struct {
        const char *name;
        unsigned flag;
    } names[] = {
        {"promql-experimental-functions", PROMQL_EXPERIMENTAL_FUNCTIONS},
        {"promql-duration-expr", PROMQL_DURATION_EXPR},
        {"promql-extended-range-selectors", PROMQL_EXTENDED_RANGES},
        {"promql-binop-fill-modifiers", PROMQL_BINOP_FILL},
        {"promql-delayed-name-removal", PROMQL_DELAYED_NAME_REMOVAL},
        {"type-and-unit-labels", PROMQL_TYPE_AND_UNIT},
        {"created-timestamp-zero-ingestion", PROMQL_START_TIMESTAMPS},
    };
    c->flags = 0;
    for (uint32_t i = 0; i < c->features.count; i++) {
        unsigned flag = 0;
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            flag |= str_eq(c->features.v[i], str_from_c(names[k].name)) ? names[k].flag : 0;
        }
        if (flag == 0) {
            return err_set(e, ERR_INPUT, "unknown feature \"%.*s\"", STR_FMT(c->features.v[i]));
        }
        c->flags |= flag;
    }
    return true;
}

/* -- Calls. -- */

static struct prom_call *call_new(struct prom_api *p, const struct prom_endpoint *endpoint,
                                  struct http_request *rq)
{
    pthread_mutex_lock(&p->mu);
    struct prom_call *c = mem_take(&p->mem, sizeof *c);
    pthread_mutex_unlock(&p->mu);
    if (!c) {
        return NULL;
    }
    c->api = p;
    c->endpoint = endpoint;
    c->rq = rq;
    c->began_mono_ns = os_mono_ns(p->deps.os);
    mem_init(&c->mem, 0); /* each part has its own bound */
    arena_init(&c->arena, &c->mem, (size_t)p->config.query_bytes_max + ARENA_BYTES_MAX);
    buf_init(&c->body, &c->mem, endpoint->body_bytes_max ? (size_t)endpoint->body_bytes_max : 1);
    buf_init(&c->out, &c->mem, (size_t)p->config.answer_bytes_max);
    return c;
}

static void copy_param(void *ctx, struct str name, struct str value)
{
    prom_param_add(ctx, name, value);
}

static void *on_begin(void *app, struct http_request *rq)
{
    const struct prom_route *route = app;
    return call_new(route->api, route->endpoint, rq);
}

static bool on_data(void *state, struct str piece, struct err *e)
{
    struct prom_call *c = state;
    if (!c) {
        return err_set(e, ERR_BUSY, "no memory for this request");
    }
    buf_str_add(&c->body, piece);
    return buf_ok(&c->body, e);
}

/* What the call needs of the request while it can still be read. */
static void copy_request(struct prom_call *c)
{
    const struct prom_endpoint *ep = c->endpoint;
    const size_t n = strlen(ep->path);
    if (ep->path[n - 1] == '*') {
        c->path_rest = arena_str(&c->arena, str_sub(http_path(c->rq), n - 1, SIZE_MAX));
    }
    c->packed = gzip_wanted(http_header(c->rq, "Accept-Encoding"));
    if (c->body.n > 0 && !ep->raw_body) {
        prom_form(c, buf_str(&c->body));
    }
    http_query_each(c->rq, copy_param, c);
}

static bool enqueue(struct prom_api *p, struct prom_call *c)
{
    pthread_mutex_lock(&p->mu);
    const bool room = p->waiting < (uint64_t)p->config.queue_max && !p->stopping;
    if (room) {
        c->next = NULL;
        if (p->last) {
            p->last->next = c;
        } else {
            p->first = c;
        }
        p->last = c;
        p->waiting++;
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->mu);
    return room;
}

static void on_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct prom_call *c = state;
    (void)app;
    if (!c) {
        struct err e = {0};
        (void)err_set(&e, ERR_BUSY, "no memory for this request");
        http_respond_err(rq, &e);
        return;
    }
    if (failed) {
        prom_answer(c, prom_fail_err(c, failed));
        return;
    }
    copy_request(c);
    if (c->failed_memory) {
        prom_answer(c, prom_fail(c, PROM_BAD_DATA, "request has too many or too large parameters"));
    } else if (!enqueue(c->api, c)) {
        atomic_fetch_add(&c->api->refused, 1);
        prom_answer(c, prom_fail(c, PROM_UNAVAILABLE, "%lld requests are already waiting",
                                 (long long)c->api->config.queue_max));
    }
}

static void on_abort(void *app, void *state)
{
    struct prom_call *c = state;
    (void)app;
    if (c) {
        struct prom_api *p = c->api;
        buf_release(&c->body);
        buf_release(&c->out);
        arena_release(&c->arena);
        pthread_mutex_lock(&p->mu);
        mem_give(&p->mem, c, sizeof *c);
        pthread_mutex_unlock(&p->mu);
    }
}

/* -- Workers. -- */

static void run(struct prom_call *c)
{
    c->taken_mono_ns = os_mono_ns(c->api->deps.os);
    BUF_LIT(&c->out, "{\"status\":\"success\",\"data\":");
    prom_answer(c, c->endpoint->run(c));
}

static void *worker_main(void *arg)
{
    struct prom_api *p = arg;
    pthread_mutex_lock(&p->mu);
    for (;;) {
        while (!p->first && !p->stopping) {
            pthread_cond_wait(&p->wake, &p->mu);
        }
        struct prom_call *c = p->first;
        if (!c) {
            break;
        }
        p->first = c->next;
        p->last = p->first ? p->last : NULL;
        p->waiting--;
        p->running++;
        pthread_mutex_unlock(&p->mu);
        run(c);
        pthread_mutex_lock(&p->mu);
        p->running--;
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

uint64_t prom_busy(struct prom_api *p)
{
    pthread_mutex_lock(&p->mu);
    const uint64_t n = p->waiting + p->running;
    pthread_mutex_unlock(&p->mu);
    return n;
}

/* -- Life. -- */

static void add_endpoints(struct prom_api *p, const struct prom_endpoint *endpoints, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(p->routes_count < PROM_ROUTES_MAX);
        const size_t at = p->routes_count++;
        p->links[at] = (struct prom_route){p, &endpoints[i]};
        p->routes[at] = (struct http_route){.method = endpoints[i].method,
                                            .path = endpoints[i].path,
                                            .help = endpoints[i].help,
                                            .body_bytes_max = endpoints[i].body_bytes_max,
                                            .begin = on_begin,
                                            .data = on_data,
                                            .end = on_end,
                                            .abort = on_abort,
                                            .app = &p->links[at]};
    }
}

bool prom_new(const struct prom_config *c, const struct prom_deps *deps, struct prom_api **out,
              struct err *e)
{
    struct prom_api *p = calloc(1, sizeof *p);
    if (!p) {
        return err_set(e, ERR_NOMEM, "no memory for the query API");
    }
    p->config = *c;
    p->deps = *deps;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    p->cores = cores < 1 ? 1 : cores > CORES_MAX ? CORES_MAX : (uint32_t)cores;
    p->started_ns = os_now_ns(deps->os);
    mem_init(&p->mem, CALLS_BYTES_MAX);
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->wake, NULL);
    add_endpoints(p, prom_endpoints_query, prom_endpoints_query_n);
    add_endpoints(p, prom_endpoints_series, prom_endpoints_series_n);
    add_endpoints(p, prom_endpoints_status, prom_endpoints_status_n);
    add_endpoints(p, prom_endpoints_pages, prom_endpoints_pages_n);
    add_endpoints(p, prom_endpoints_remote, prom_endpoints_remote_n);
    add_endpoints(p, prom_endpoints_admin, prom_endpoints_admin_n);
    for (int64_t i = 0; i < c->threads; i++) {
        const int rc = pthread_create(&p->workers[i], NULL, worker_main, p);
        if (rc != 0) {
            prom_free(p);
            return err_errno(e, rc, "cannot start a thread for queries");
        }
        p->workers_n++;
    }
    *out = p;
    return true;
}

void prom_free(struct prom_api *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->mu);
    p->stopping = true;
    atomic_store(&p->cancel, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mu);
    for (uint32_t i = 0; i < p->workers_n; i++) {
        pthread_join(p->workers[i], NULL);
    }
    ASSERT(p->first == NULL);
    ASSERT(p->mem.bytes == 0);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mu);
    free(p);
}

const struct http_route *prom_routes(struct prom_api *p, size_t *count)
{
    *count = p->routes_count;
    return p->routes;
}

void prom_publish(struct prom_api *p, struct expo *x)
{
    static const char *const results[PROM_ERRORS + 1] = {
        "bad_data",    "execution", "canceled",       "timeout",  "internal",
        "unavailable", "not_found", "not_acceptable", "disabled", "success"};
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("farol_api_requests"), STR(""),
                                        STR("Requests to the Prometheus API, by result."));
    for (int i = 0; i <= PROM_ERRORS; i++) {
        const struct label l = {STR("result"), str_from_c(results[i])};
        expo_add(x, f, &l, 1, (double)atomic_load(&p->requests[i]));
    }
    f = expo_family(x, EXPO_COUNTER, STR("farol_queries"), STR(""),
                    STR("PromQL queries evaluated."));
    expo_add(x, f, NULL, 0, (double)atomic_load(&p->queries));
    f = expo_family(x, EXPO_COUNTER, STR("farol_query_seconds"), STR("seconds"),
                    STR("Time spent evaluating PromQL queries."));
    expo_add(x, f, NULL, 0, (double)atomic_load(&p->query_ns) / 1e9);
    f = expo_family(x, EXPO_COUNTER, STR("farol_query_samples_read"), STR(""),
                    STR("Samples that PromQL queries read."));
    expo_add(x, f, NULL, 0, (double)atomic_load(&p->samples_read));
}
