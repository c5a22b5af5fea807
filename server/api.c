/* What HTTP offers beside the doors, and who answers it. Pages that need nothing but memory are
 * answered on the I/O thread; those that need the river at rest go to the reader, because an I/O
 * thread must not wait. Documented in docs/openapi.yaml: a change here is a change there. */
#include "server/service_int.h"

#include "codec/gzip.h"
#include "server/commands_int.h"

#include <stdlib.h>

#define METRICS_PAGE_BYTES_MAX ((size_t)256 << 20)
#define ANSWER_BYTES_MAX       ((size_t)64 << 20)
#define GZIP_BYTES_MIN         1024 /* below this a packet is a packet */
#define STATUS_ALERTS_MAX      16   /* names in a status */
#define LOST_DEFAULT           100
#define JSON_TYPE              "application/json"
#define TEXT_TYPE              "text/plain; charset=utf-8"

static void answer_text(struct http_request *rq, int status, struct str text)
{
    struct mem mem;
    struct buf body;
    mem_init(&mem, 0);
    buf_init(&body, &mem, 4096);
    buf_str_add(&body, text);
    http_respond(rq, status, TEXT_TYPE, &body, NULL);
}

static void on_healthy(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)app;
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
        return;
    }
    answer_text(rq, 200, STR("ok\n"));
}

static void on_ready(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct service *s = app;
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
    } else if (atomic_load(&s->ready)) {
        answer_text(rq, 200, STR("ready\n"));
    } else {
        answer_text(rq, 503, STR("recovering\n"));
    }
}

/* Consumes body. Packed for whoever asks; as it is when there is no memory to pack it. */
static void respond_packed(struct http_request *rq, const char *type, struct buf *body)
{
    static const char *const packed_headers[] = {"Content-Encoding", "gzip", "Vary",
                                                 "Accept-Encoding", NULL};
    static const char *const plain_headers[] = {"Vary", "Accept-Encoding", NULL};
    struct mem mem;
    struct buf packed;
    mem_init(&mem, 0);
    buf_init(&packed, &mem, METRICS_PAGE_BYTES_MAX);
    if (body->n >= GZIP_BYTES_MIN && gzip_wanted(http_header(rq, "Accept-Encoding")) &&
        gzip_pack(buf_str(body), &packed)) {
        buf_release(body);
        http_respond(rq, 200, type, &packed, packed_headers);
        return;
    }
    buf_release(&packed);
    http_respond(rq, 200, type, body, plain_headers);
}

static void on_page(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)app;
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
    } else {
        web_respond(&web_packed, rq);
    }
}

static void on_verdict(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    static const char *const headers[] = {"Cache-Control", "no-store", NULL};
    struct service *s = app;
    (void)state;
    struct mem mem;
    struct buf body;
    struct err e = {0};
    if (failed) {
        http_respond_err(rq, failed);
        return;
    }
    mem_init(&mem, 0);
    buf_init(&body, &mem, ANSWER_BYTES_MAX);
    if (server_watch_verdict(&s->watch, &body, &e) && buf_ok(&body, &e)) {
        buf_char(&body, '\n');
        http_respond(rq, 200, JSON_TYPE, &body, headers);
    } else {
        buf_release(&body);
        http_respond_err(rq, &e);
    }
}

static void on_live(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct service *s = app;
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
    } else {
        web_live_listen(s->live, rq);
    }
}

static void on_metrics(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    struct service *s = app;
    (void)state;
    struct err e = {0};
    if (failed) {
        http_respond_err(rq, failed);
        return;
    }
    struct snapshot *snapshot = server_snapshots_take(&s->snapshots);
    if (!snapshot) {
        (void)err_set(&e, ERR_BUSY, "no series yet: the server is recovering");
        http_respond_err(rq, &e);
        return;
    }
    struct mem mem;
    struct buf body;
    mem_init(&mem, 0);
    buf_init(&body, &mem, METRICS_PAGE_BYTES_MAX);
    enum expo_format format = expo_negotiate(http_header(rq, "Accept"));
    expo_write(&snapshot->expo, format, &body);
    server_snapshots_give(&s->snapshots, snapshot);
    if (!buf_ok(&body, &e)) {
        buf_release(&body);
        http_respond_err(rq, &e);
        return;
    }
    /* Content types are literals of codec/expo, NUL-terminated. */
    respond_packed(rq, expo_content_type(format).p, &body);
}

/* Hands a request to the reader, or asks its sender to come back. */
static void enqueue(struct service *s, const struct job *job)
{
    (void)pthread_mutex_lock(&s->mu);
    bool room = s->jobs_count < SERVICE_JOBS_MAX && !s->stopping;
    if (room) {
        s->jobs[(s->jobs_at + s->jobs_count++) % SERVICE_JOBS_MAX] = *job;
        (void)pthread_cond_broadcast(&s->wake);
    }
    (void)pthread_mutex_unlock(&s->mu);
    if (!room) {
        struct err e = {0};
        atomic_fetch_add(&s->jobs_refused, 1);
        (void)err_set(&e, ERR_BUSY, "%d requests are already waiting", SERVICE_JOBS_MAX);
        http_respond_err(job->rq, &e);
    }
}

static void on_status(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
        return;
    }
    enqueue(app, &(struct job){.kind = JOB_STATUS, .rq = rq});
}

static void on_lost(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    struct err e = {0};
    struct str limit = http_query(rq, "limit");
    uint64_t n = LOST_DEFAULT;
    if (failed) {
        http_respond_err(rq, failed);
    } else if (limit.p && (!str_to_u64(limit, &n) || n < 1 || n > PIPELINE_LOST_MAX)) {
        (void)err_set(&e, ERR_INPUT, "limit: expected a number from 1 to %d", PIPELINE_LOST_MAX);
        http_respond_err(rq, &e);
    } else {
        enqueue(app, &(struct job){.kind = JOB_LOST, .rq = rq, .limit = (uint32_t)n});
    }
}

/* A question to the model pillar, which `job->model` answers. */
static void ask_model(struct service *s, struct job job, const struct err *failed)
{
    struct err e = {0};
    struct http_request *rq = job.rq;
    if (failed) {
        http_respond_err(rq, failed);
    } else if (!model_query_parse(http_query(rq, "day"), http_query(rq, "from"),
                                  http_query(rq, "to"), http_query(rq, "as_of"),
                                  http_query(rq, "age"), http_query(rq, "version"),
                                  http_query(rq, "segment"), &job.query, &e) ||
               !model_query_more(http_query(rq, "reference_from"), http_query(rq, "reference_to"),
                                 http_query(rq, "worth"), &job.query, &e)) {
        http_respond_err(rq, &e);
    } else {
        enqueue(s, &job);
    }
}

static void on_quality(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    ask_model(app, (struct job){.kind = JOB_MODEL, .rq = rq, .model = model_quality_json}, failed);
}

static void on_calibration(void *app, void *state, struct http_request *rq,
                           const struct err *failed)
{
    (void)state;
    ask_model(app, (struct job){.kind = JOB_MODEL, .rq = rq, .model = model_calibration_json},
              failed);
}

static void on_thresholds(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    ask_model(app, (struct job){.kind = JOB_MODEL, .rq = rq, .model = model_thresholds_json},
              failed);
}

static void on_drift(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    struct err e = {0};
    struct job job = {.kind = JOB_DRIFT, .rq = rq};
    if (failed) {
        http_respond_err(rq, failed);
    } else if (!drift_query_parse(http_query(rq, "from"), http_query(rq, "to"),
                                  http_query(rq, "feature"), http_query(rq, "segment"),
                                  http_query(rq, "window"), &job.drift, &e)) {
        http_respond_err(rq, &e);
    } else {
        enqueue(app, &job);
    }
}

static void on_causes(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    struct err e = {0};
    struct job job = {.kind = JOB_CAUSES, .rq = rq};
    if (failed) {
        http_respond_err(rq, failed);
    } else if (!model_causes_parse(http_query(rq, "figure"), http_query(rq, "from"),
                                   http_query(rq, "to"), http_query(rq, "against_from"),
                                   http_query(rq, "against_to"), http_query(rq, "age"),
                                   http_query(rq, "version"), &job.causes, &e)) {
        http_respond_err(rq, &e);
    } else {
        enqueue(app, &job);
    }
}

static void on_reload(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    (void)state;
    if (failed) {
        http_respond_err(rq, failed);
        return;
    }
    enqueue(app, &(struct job){.kind = JOB_RELOAD, .rq = rq});
}

/* -- With the river at rest -- */

struct rest {
    struct service *s;
    const struct job *job;
    int64_t now_ns;
    struct buf *out, *model; /* status writes one each */
};

static void rest_status(void *ctx, void *const *const *states, uint32_t shards)
{
    struct rest *r = ctx;
    const struct pillar *p = r->s->pillars;
    p[0].status(p[0].app, states[0], shards, r->now_ns, r->out);
    p[1].status(p[1].app, states[1], shards, r->now_ns, r->model);
}

static void rest_lost(void *ctx, void *const *const *states, uint32_t shards)
{
    struct rest *r = ctx;
    pipeline_lost_json(r->s->pillars[0].app, states[0], shards, r->job->limit, r->out);
}

static void rest_model(void *ctx, void *const *const *states, uint32_t shards)
{
    struct rest *r = ctx;
    r->job->model(r->s->pillars[1].app, states[1], shards, &r->job->query, r->out);
}

static void rest_drift(void *ctx, void *const *const *states, uint32_t shards)
{
    struct rest *r = ctx;
    (void)states;
    (void)shards;
    model_drift_json(r->s->pillars[1].app, &r->job->drift, r->out);
}

static void rest_causes(void *ctx, void *const *const *states, uint32_t shards)
{
    struct rest *r = ctx;
    model_causes_json(r->s->pillars[1].app, states[1], shards, &r->job->causes, r->out);
}

/* Rank of a pillar's "state": 0 none, 1 ok, 2 warn, 3 crit. */
static int state_rank(struct json_parser *p, struct str status)
{
    static const char *const words[] = {"none", "ok", "warn", "crit"};
    struct json_doc d;
    struct err e = {0};
    if (!json_parse(p, status, false, &d, &e)) {
        return 0;
    }
    for (uint32_t i = 1; i < d.tokens[0].next; i = d.tokens[i].next) {
        const struct json_token *t = &d.tokens[i];
        for (int k = 0; str_eq(t->key, STR("state")) && t->kind == JSON_STR && k < 4; k++) {
            if (str_eq(t->v.str, str_from_c(words[k]))) {
                return k;
            }
        }
    }
    return 0;
}

void server_api_status(struct service *s, struct buf *out)
{
    static const char *const names[] = {"none", "ok", "warn", "crit"};
    struct mem mem;
    struct buf pipeline;
    struct buf model;
    mem_init(&mem, 0);
    buf_init(&pipeline, &mem, ANSWER_BYTES_MAX);
    buf_init(&model, &mem, ANSWER_BYTES_MAX);
    struct rest rest = {.s = s, .now_ns = os_now_ns(s->os), .out = &pipeline, .model = &model};
    river_rest(s->river, rest_status, &rest);
    int worst = state_rank(s->json, buf_str(&pipeline));
    int other = state_rank(s->json, buf_str(&model));
    /* A pillar without data does not hide the other's state. */
    worst = other > worst ? other : worst;
    BUF_LIT(out, "{\"version\":");
    buf_json_str(out, str_from_c(server_version));
    BUF_LIT(out, ",\"time\":\"");
    time_format(out, rest.now_ns);
    buf_fmt(out, "\",\"state\":\"%s\",\"pipeline\":", names[worst]);
    buf_str_add(out, buf_str(&pipeline));
    BUF_LIT(out, ",\"model\":");
    buf_str_add(out, buf_str(&model));
    if (s->metrics.rulebook.rules) {
        BUF_LIT(out, ",\"alerts\":");
        rules_firing_json(s->metrics.rulebook.rules, STATUS_ALERTS_MAX, out);
    }
    BUF_LIT(out, ",\"ingest\":");
    ndjson_status(s->ndjson, out);
    BUF_LIT(out, "}\n");
    out->failed = out->failed || pipeline.failed || model.failed;
    buf_release(&model);
    buf_release(&pipeline);
}

void server_api_answer(struct service *s, const struct job *job)
{
    struct mem mem;
    struct buf body;
    struct err e = {0};
    mem_init(&mem, 0);
    buf_init(&body, &mem, ANSWER_BYTES_MAX);
    struct rest rest = {.s = s, .job = job, .now_ns = os_now_ns(s->os), .out = &body};
    bool ok = true;
    switch (job->kind) {
    case JOB_STATUS: server_api_status(s, &body); break;
    case JOB_LOST: river_rest(s->river, rest_lost, &rest); break;
    case JOB_MODEL: river_rest(s->river, rest_model, &rest); break;
    case JOB_DRIFT: river_rest(s->river, rest_drift, &rest); break;
    case JOB_CAUSES: river_rest(s->river, rest_causes, &rest); break;
    case JOB_RELOAD: ok = server_service_reload(s, &body, &e); break;
    }
    if (ok && buf_ok(&body, &e)) {
        http_respond(job->rq, 200, JSON_TYPE, &body, NULL);
    } else {
        buf_release(&body);
        http_respond_err(job->rq, &e);
    }
}

/* -- Gates -- */

struct pass {
    const struct gate *gate;
    void *state; /* the inner route's */
    bool open;   /* whether the inner route was reached */
};

static void *gate_begin(void *app, struct http_request *rq)
{
    const struct gate *gate = app;
    struct pass *pass = calloc(1, sizeof *pass);
    if (!pass) {
        return NULL;
    }
    pass->gate = gate;
    atomic_fetch_add(&gate->service->in_gates, 1);
    pass->open = atomic_load(&gate->service->ready);
    if (pass->open && gate->inner->begin) {
        pass->state = gate->inner->begin(gate->inner->app, rq);
    }
    return pass;
}

static bool gate_data(void *state, struct str piece, struct err *e)
{
    struct pass *pass = state;
    if (!pass) {
        return err_set(e, ERR_NOMEM, "no memory for this request");
    }
    if (!pass->open) {
        return err_set(e, ERR_BUSY, "the server is recovering; try again");
    }
    return !pass->gate->inner->data || pass->gate->inner->data(pass->state, piece, e);
}

static void pass_free(struct pass *pass)
{
    if (pass) {
        atomic_fetch_sub(&pass->gate->service->in_gates, 1);
        free(pass);
    }
}

static void gate_end(void *app, void *state, struct http_request *rq, const struct err *failed)
{
    const struct gate *gate = app;
    struct pass *pass = state;
    if (pass && pass->open) {
        gate->inner->end(gate->inner->app, pass->state, rq, failed);
    } else {
        struct err e = {0};
        (void)err_set(&e, ERR_BUSY, "the server is recovering; try again");
        http_respond_err(rq, failed ? failed : &e);
    }
    pass_free(pass);
}

static void gate_abort(void *app, void *state)
{
    struct pass *pass = state;
    (void)app;
    if (pass && pass->open && pass->gate->inner->abort) {
        pass->gate->inner->abort(pass->gate->inner->app, pass->state);
    }
    pass_free(pass);
}

static void add_gated(struct service *s, const struct http_route *inner)
{
    ASSERT(s->routes_count < SERVICE_ROUTES_MAX);
    size_t i = s->routes_count++;
    s->inner[i] = *inner;
    s->gates[i] = (struct gate){.service = s, .inner = &s->inner[i]};
    s->routes[i] = *inner;
    s->routes[i].begin = gate_begin;
    s->routes[i].data = gate_data;
    s->routes[i].end = gate_end;
    s->routes[i].abort = gate_abort;
    s->routes[i].app = &s->gates[i];
}

static void add_model_routes(struct service *s)
{
    const struct http_route routes[] = {
        {.method = "GET",
         .path = "/farol/v1/verdict",
         .help = "what is wrong, since when, how bad, likely cause, next step",
         .end = on_verdict,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/live",
         .help = "status and verdict as server-sent events",
         .end = on_live,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/model/quality",
         .help = "quality of the model: day, from, to, as_of, age, version, segment",
         .end = on_quality,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/model/calibration",
         .help = "what scores mean, and figures expected without labels: from, to, as_of, version, "
                 "segment, reference_from, reference_to",
         .end = on_calibration,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/model/thresholds",
         .help = "what other thresholds would have done: from, to, as_of, age, version, worth",
         .end = on_thresholds,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/model/drift",
         .help = "features against the reference: from, to, feature, segment, window",
         .end = on_drift,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/model/causes",
         .help = "segments that explain a change: figure, from, to, against_from, against_to, age, "
                 "version",
         .end = on_causes,
         .app = s},
    };
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        add_gated(s, &routes[i]);
    }
}

void server_api_routes(struct service *s)
{
    const struct http_route open[] = {
        {.method = "GET", .path = "/", .help = "the pages", .end = on_page, .app = s},
        {.method = "GET", .path = "/assets/*", .help = "their parts", .end = on_page, .app = s},
        {.method = "GET",
         .path = "/metrics",
         .help = "all series for Prometheus (text 0.0.4, OpenMetrics 1.0.0)",
         .end = on_metrics,
         .app = s},
        {.method = "GET",
         .path = "/-/healthy",
         .help = "200 while the process lives",
         .end = on_healthy,
         .app = s},
        {.method = "GET",
         .path = "/-/ready",
         .help = "200 once recovered, 503 before",
         .end = on_ready,
         .app = s},
    };
    const struct http_route gated[] = {
        {.method = "POST",
         .path = "/-/reload",
         .help = "read the configuration again",
         .end = on_reload,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/status",
         .help = "state of pipeline and model",
         .end = on_status,
         .app = s},
        {.method = "GET",
         .path = "/farol/v1/pipeline/lost",
         .help = "lost transactions, newest first: limit",
         .end = on_lost,
         .app = s},
    };
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        s->routes[s->routes_count++] = open[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(gated); i++) {
        add_gated(s, &gated[i]);
    }
    add_model_routes(s);
    size_t count;
    if (s->metrics.api) { /* tests serve pages without a store */
        const struct http_route *api = prom_routes(s->metrics.api, &count);
        ASSERT(s->routes_count + count + ARRAY_LEN(s->metrics.doors) <= SERVICE_ROUTES_MAX);
        memcpy(&s->routes[s->routes_count], api, count * sizeof *api);
        s->routes_count += count;
        for (size_t i = 0; i < ARRAY_LEN(s->metrics.doors); i++) {
            s->routes[s->routes_count++] = s->metrics.doors[i];
        }
    }
    const struct http_route *doors = ndjson_routes(&count);
    for (size_t i = 0; i < count; i++) {
        add_gated(s, &doors[i]); /* app is set when the door exists: server_service_start */
    }
}
