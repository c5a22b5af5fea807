/* POST /v1/metrics over HTTP.
 *
 *     pieces --gzip--> bytes --otlp_decode--> batch --tsdb_commit--> (committer) --> answer
 *
 * States are kept in a free list with their memory: at most requests_max of them. Answers are
 * protobuf: ExportMetricsServiceResponse {1 partial_success {1 rejected data points, 2
 * message}}, or
 * google.rpc.Status {2 message} with 4xx and 5xx. Source: the OTLP specification, "OTLP/HTTP". */
#include "ingest/otlp/decode_int.h"

#include "codec/unpack.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

/* Memory a state may take: bytes, batch and what is decoded for it. */
#define STATE_FACTOR     8
#define KEEP_BYTES_MAX   (4U << 20) /* a larger buffer is given back after its request */
#define DECODE_BYTES_MAX (64U << 20)
#define TEXT_BYTES_MAX   (64U << 10)

enum result { RESULT_STORED, RESULT_PARTLY, RESULT_MALFORMED, RESULT_MEDIA, RESULT_BUSY };
#define RESULTS 5
static const char *const result_texts[RESULTS] = {"stored", "partly_stored", "malformed",
                                                  "media_type", "busy"};
static const char *const drop_texts[OTLP_DROPS] = {"delta", "labels", "series_limit", "histogram",
                                                   "kind"};
static const char *const refusal_texts[TSDB_REFUSALS] = {
    "out_of_order", "duplicate", "too_old", "too_new", "series_gone", "head_full"};

/* One request. Engine lifetime, kept in a free list. */
struct state {
    struct otlp *door;
    struct state *next;
    struct http_request *http; /* valid from end to the answer */
    struct mem mem;
    struct unpack *unpack; /* of the request; NULL before the first piece */
    struct buf bytes, text;
    struct arena arena;
    struct tsdb_batch *batch;
    struct otlp_decoder decoder;
    enum unpack_kind kind;
    bool kind_known, protobuf;
};

struct otlp {
    const struct otlp_config *config;
    struct otlp_naming naming;
    struct tsdb *db;
    struct mem *mem; /* lock: mu */
    uint32_t source;
    pthread_mutex_t mu;
    struct state *free_list; /* lock: mu */
    int64_t made, in_use;    /* lock: mu */
    atomic_uint_fast64_t requests[RESULTS], dropped[OTLP_DROPS], refused[TSDB_REFUSALS], points,
        samples, histograms, exemplars, body_bytes;
};

static const struct conf_field fields[] = {
    CONF_BYTES(struct otlp_config, body_bytes_max, "body_bytes_max", "16MiB", KIB, 64 * MIB,
               "largest body of one request, as sent"),
    CONF_BYTES(struct otlp_config, unpacked_bytes_max, "unpacked_bytes_max", "64MiB", KIB,
               256 * MIB, "largest body of one request after decompression"),
    CONF_I64(struct otlp_config, requests_max, "requests_max", "32", 1, 1024,
             "requests received or waiting for the disk at once; more are told to come back (503)"),
    CONF_I64(struct otlp_config, series_max, "series_max", "0", 0, 1e9,
             "series that OTLP may create; 0 leaves the store's bound"),
    CONF_STR_LIST(struct otlp_config, promote_resource_attributes, "promote_resource_attributes",
                  NULL, 0, 128, "resource attributes that become labels of every series"),
    CONF_BOOL(struct otlp_config, keep_identifying_resource_attributes,
              "keep_identifying_resource_attributes", "false",
              "service.name, service.namespace, service.instance.id are labels of target_info too"),
    CONF_STR(struct otlp_config, translation_strategy, "translation_strategy",
             "UnderscoreEscapingWithSuffixes",
             "UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, "
             "NoUTF8EscapingWithSuffixes or NoTranslation"),
};

const struct conf_field *otlp_config_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

static bool naming_of(struct str strategy, struct otlp_naming *out)
{
    static const struct {
        struct str name;
        struct otlp_naming how;
    } rows[] = {{STR_INIT("UnderscoreEscapingWithSuffixes"), {true, true}},
                {STR_INIT("UnderscoreEscapingWithoutSuffixes"), {true, false}},
                {STR_INIT("NoUTF8EscapingWithSuffixes"), {false, true}},
                {STR_INIT("NoTranslation"), {false, false}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(strategy, rows[i].name)) {
            *out = rows[i].how;
            return true;
        }
    }
    return false;
}

bool otlp_config_check(const struct otlp_config *c, struct err *e)
{
    struct otlp_naming ignored;
    return naming_of(c->translation_strategy, &ignored) ||
           err_set(e, ERR_INPUT, "expected a translation_strategy, found \"%.*s\"",
                   STR_FMT(c->translation_strategy));
}

/* -- States. -- */

static void state_free(struct state *s)
{
    struct otlp *o = s->door;
    unpack_free(s->unpack);
    buf_release(&s->bytes);
    buf_release(&s->text);
    arena_release(&s->arena);
    tsdb_batch_free(s->batch);
    ASSERT(s->mem.bytes == 0);
    mem_give(o->mem, s, sizeof *s);
}

static struct state *state_new(struct otlp *o)
{
    struct state *s = mem_take(o->mem, sizeof *s);
    if (!s) {
        return NULL;
    }
    const size_t bytes_max = (size_t)o->config->unpacked_bytes_max;
    s->door = o;
    mem_init(&s->mem, bytes_max * STATE_FACTOR + DECODE_BYTES_MAX);
    s->mem.allow = o->mem->allow; /* tests make these fail too */
    s->mem.allow_ctx = o->mem->allow_ctx;
    buf_init(&s->bytes, &s->mem, bytes_max);
    buf_init(&s->text, &s->mem, TEXT_BYTES_MAX);
    arena_init(&s->arena, &s->mem, DECODE_BYTES_MAX + bytes_max * 2);
    s->batch = tsdb_batch_new(&s->mem, bytes_max * 4);
    if (!s->batch) {
        state_free(s);
        return NULL;
    }
    s->decoder = (struct otlp_decoder){.config = o->config,
                                       .naming = o->naming,
                                       .db = o->db,
                                       .batch = s->batch,
                                       .arena = &s->arena,
                                       .text = &s->text,
                                       .source = o->source};
    return s;
}

static void *door_begin(void *app, struct http_request *http)
{
    struct otlp *o = app;
    pthread_mutex_lock(&o->mu);
    struct state *s = o->free_list;
    if (s) {
        o->free_list = s->next;
    } else if (o->made < o->config->requests_max) {
        s = state_new(o);
        o->made += s ? 1 : 0;
    }
    o->in_use += s ? 1 : 0;
    pthread_mutex_unlock(&o->mu);
    if (s) {
        const struct str type = str_cut(http_header(http, "Content-Type"), ';').head;
        s->protobuf = str_eq_nocase(str_trim(type), STR("application/x-protobuf"));
        s->kind_known = unpack_kind_parse(http_header(http, "Content-Encoding"), &s->kind);
    }
    return s;
}

static void state_give(struct state *s)
{
    struct otlp *o = s->door;
    unpack_free(s->unpack);
    s->unpack = NULL;
    if (s->bytes.cap > KEEP_BYTES_MAX) {
        buf_release(&s->bytes);
        buf_init(&s->bytes, &s->mem, (size_t)o->config->unpacked_bytes_max);
    }
    buf_reset(&s->bytes);
    arena_reset(&s->arena);
    tsdb_batch_reset(s->batch);
    s->http = NULL;
    pthread_mutex_lock(&o->mu);
    s->next = o->free_list;
    o->free_list = s;
    o->in_use--;
    pthread_mutex_unlock(&o->mu);
}

/* -- Answers. -- */

static void answer_err(struct http_request *http, int status, const struct err *e)
{
    static const char *const later[] = {"Retry-After", "1", NULL};
    struct mem m;
    struct buf b;
    char text[sizeof e->msg + 64];
    mem_init(&m, 4096);
    buf_init(&b, &m, 4096);
    err_format(e, text, sizeof text);
    pb_put_bytes(&b, 2, str_from_c(text));
    http_respond(http, status, "application/x-protobuf", &b, status == 503 ? later : NULL);
}

static int status_of(const struct err *e)
{
    return e->code == ERR_LIMIT ? 413 : e->code == ERR_INPUT ? 400 : 503;
}

static void refuse(struct state *s, enum result r, int status, const struct err *e)
{
    atomic_fetch_add(&s->door->requests[r], 1);
    answer_err(s->http, status, e);
    state_give(s);
}

static const char *refusal_message(enum tsdb_refusal why)
{
    switch (why) {
    case TSDB_OUT_OF_ORDER: return "out of order sample";
    case TSDB_DUPLICATE: return "duplicate sample for timestamp";
    case TSDB_TOO_OLD: return "sample is older than retention";
    case TSDB_TOO_NEW: return "sample is too far in the future";
    case TSDB_GONE: return "series was dropped, send again";
    case TSDB_HEAD_FULL: return "memory of recent samples is full";
    }
    return "refused";
}

static uint64_t note_result(struct otlp *o, const struct tsdb_result *r)
{
    uint64_t refused = 0;
    atomic_fetch_add(&o->samples, r->samples);
    atomic_fetch_add(&o->histograms, r->histograms);
    atomic_fetch_add(&o->exemplars, r->exemplars);
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        atomic_fetch_add(&o->refused[i], r->refused[i]);
        refused += r->refused[i];
    }
    return refused;
}

/* thread: committer */
static void committed(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct state *s = ctx;
    if (e) {
        refuse(s, RESULT_BUSY, 503, e);
        return;
    }
    struct mem m;
    struct buf b;
    const uint64_t refused = note_result(s->door, r);
    uint64_t rejected = 0;
    mem_init(&m, 4096);
    buf_init(&b, &m, 4096);
    for (int i = 0; i < OTLP_DROPS; i++) {
        rejected += s->decoder.dropped[i];
    }
    /* A point of a histogram is several samples: no more points can be rejected than there were. */
    rejected = rejected + refused < s->decoder.points ? rejected + refused : s->decoder.points;
    if (rejected > 0) {
        const char *why = s->decoder.first.code != ERR_NONE ? s->decoder.first.msg
                                                            : refusal_message(r->first_why);
        const size_t mark = pb_begin(&b, 1);
        pb_put_varint(&b, 1, rejected);
        pb_put_bytes(&b, 2, str_from_c(why));
        pb_end(&b, mark);
    }
    atomic_fetch_add(&s->door->requests[rejected > 0 ? RESULT_PARTLY : RESULT_STORED], 1);
    http_respond(s->http, 200, "application/x-protobuf", &b, NULL);
    state_give(s);
}

/* -- Receiving. -- */

static bool take(void *ctx, struct str piece, struct err *e)
{
    struct state *s = ctx;
    buf_str_add(&s->bytes, piece);
    return buf_ok(&s->bytes, e);
}

static bool door_data(void *state, struct str piece, struct err *e)
{
    struct state *s = state;
    if (!s) {
        return err_set(e, ERR_BUSY, "too many requests at once, send it again later");
    }
    atomic_fetch_add(&s->door->body_bytes, piece.n);
    if (!s->kind_known) {
        return true; /* read over, and refused at the end */
    }
    if (!s->unpack) {
        s->unpack = unpack_new(&s->mem, s->kind, s->door->config->unpacked_bytes_max);
        if (!s->unpack) {
            return err_set(e, ERR_NOMEM, "no memory for a request");
        }
    }
    return unpack_feed(s->unpack, piece, take, s, e);
}

static bool decode(struct state *s, struct err *e)
{
    struct otlp_decoder *d = &s->decoder;
    d->points = 0;
    d->first = (struct err){0};
    memset(d->dropped, 0, sizeof d->dropped);
    if (s->unpack && !unpack_finish(s->unpack, e)) {
        return false;
    }
    if (!otlp_decode(d, buf_str(&s->bytes), e)) {
        return false;
    }
    atomic_fetch_add(&s->door->points, d->points);
    for (int i = 0; i < OTLP_DROPS; i++) {
        atomic_fetch_add(&s->door->dropped[i], d->dropped[i]);
    }
    return true;
}

static void door_end(void *app, void *state, struct http_request *http, const struct err *failed)
{
    struct otlp *o = app;
    struct state *s = state;
    struct err e = {0};
    if (!s) {
        atomic_fetch_add(&o->requests[RESULT_BUSY], 1);
        err_set(&e, ERR_BUSY, "too many requests at once, send it again later");
        answer_err(http, 503, &e);
        return;
    }
    s->http = http;
    if (!s->protobuf || !s->kind_known) {
        err_set(&e, ERR_INPUT, "expected %s",
                s->protobuf ? "Content-Encoding gzip, zstd or none"
                            : "Content-Type application/x-protobuf");
        refuse(s, RESULT_MEDIA, 415, &e);
        return;
    }
    if (failed || !decode(s, &e)) {
        const struct err *why = failed ? failed : &e;
        const int status = status_of(why);
        refuse(s, status == 503 ? RESULT_BUSY : RESULT_MALFORMED, status, why);
        return;
    }
    if (!tsdb_commit(o->db, s->batch, 0, committed, s, &e)) {
        refuse(s, RESULT_BUSY, 503, &e);
    }
}

static void door_abort(void *app, void *state)
{
    (void)app;
    if (state) {
        state_give(state);
    }
}

struct http_route otlp_route(struct otlp *o, unsigned i)
{
    static const char *const paths[OTLP_ROUTES] = {"/v1/metrics", "/api/v1/otlp/v1/metrics"};
    ASSERT(i < OTLP_ROUTES);
    return (struct http_route){
        .method = "POST",
        .path = paths[i],
        .help = "OpenTelemetry metrics (OTLP, protobuf)",
        .body_bytes_max = o->config->body_bytes_max,
        .begin = door_begin,
        .data = door_data,
        .end = door_end,
        .abort = door_abort,
        .app = o,
    };
}

/* -- Life and series. -- */

bool otlp_new(const struct otlp_config *c, struct tsdb *db, struct mem *m, struct otlp **out,
              struct err *e)
{
    struct otlp_naming how;
    if (!otlp_config_check(c, e) || !naming_of(c->translation_strategy, &how)) {
        return false;
    }
    struct otlp *o = mem_take(m, sizeof *o);
    if (!o) {
        return err_set(e, ERR_NOMEM, "no memory for the OTLP door");
    }
    o->config = c;
    o->naming = how;
    o->db = db;
    o->mem = m;
    o->source = tsdb_source(db, STR("otlp"), (uint32_t)c->series_max);
    pthread_mutex_init(&o->mu, NULL);
    *out = o;
    return true;
}

void otlp_free(struct otlp *o)
{
    if (!o) {
        return;
    }
    ASSERT(o->in_use == 0);
    while (o->free_list) {
        struct state *s = o->free_list;
        o->free_list = s->next;
        state_free(s);
    }
    pthread_mutex_destroy(&o->mu);
    mem_give(o->mem, o, sizeof *o);
}

static void publish_one(struct expo *x, struct str name, struct str unit, struct str help,
                        atomic_uint_fast64_t *v)
{
    struct expo_family *f = expo_family(x, EXPO_COUNTER, name, unit, help);
    expo_add(x, f, NULL, 0, (double)atomic_load(v));
}

static void publish_by(struct expo *x, struct str name, struct str help, struct str label,
                       const char *const *texts, atomic_uint_fast64_t *v, int n)
{
    struct expo_family *f = expo_family(x, EXPO_COUNTER, name, STR(""), help);
    for (int i = 0; i < n; i++) {
        const struct label l = {label, str_from_c(texts[i])};
        expo_add(x, f, &l, 1, (double)atomic_load(&v[i]));
    }
}

void otlp_publish(struct otlp *o, struct expo *x)
{
    publish_by(x, STR("farol_otlp_requests"), STR("OTLP metrics requests, by result."),
               STR("result"), result_texts, o->requests, RESULTS);
    publish_one(x, STR("farol_otlp_points"), STR(""), STR("Data points received by OTLP."),
                &o->points);
    publish_one(x, STR("farol_otlp_samples"), STR(""), STR("Samples stored from OTLP."),
                &o->samples);
    publish_one(x, STR("farol_otlp_histograms"), STR(""),
                STR("Native histograms stored from OTLP."), &o->histograms);
    publish_one(x, STR("farol_otlp_exemplars"), STR(""), STR("Exemplars stored from OTLP."),
                &o->exemplars);
    publish_one(x, STR("farol_otlp_body_bytes"), STR("bytes"), STR("Bytes received by OTLP."),
                &o->body_bytes);
    publish_by(x, STR("farol_otlp_dropped"), STR("Data points of OTLP left out, by reason."),
               STR("reason"), drop_texts, o->dropped, OTLP_DROPS);
    publish_by(x, STR("farol_otlp_refused"),
               STR("Samples of OTLP refused by the store, by reason."), STR("reason"),
               refusal_texts, o->refused, TSDB_REFUSALS);
}
