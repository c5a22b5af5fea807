/* POST /v1/metrics over HTTP.
 *
 *     pieces --gzip--> bytes --otlp_decode--> batch --tsdb_commit--> (committer) --> answer
 *                       JSON --otlp_json_to_pb--^
 *
 * States are those of ingest/door. Answers are in the language of the request:
 * ExportMetricsServiceResponse {1 partial_success {1 rejected data points, 2 message}}, or
 * google.rpc.Status {2 message} with 4xx and 5xx. Source: the OTLP specification, "OTLP/HTTP". */
#include "ingest/otlp/decode_int.h"

#include "codec/unpack.h"
#include "ingest/door/door.h"
#include "ingest/otlp/json_int.h"

#include <stdatomic.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

/* Memory a state may take: bytes, batch and what is decoded for it. */
#define STATE_FACTOR     8
#define DECODE_BYTES_MAX (64U << 20)
#define TEXT_BYTES_MAX   (64U << 10)

enum result { RESULT_STORED, RESULT_PARTLY, RESULT_MALFORMED, RESULT_MEDIA, RESULT_BUSY };
#define RESULTS 5
static const char *const result_texts[RESULTS] = {"stored", "partly_stored", "malformed",
                                                  "media_type", "busy"};
static const char *const drop_texts[OTLP_DROPS] = {"delta", "labels", "series_limit", "histogram",
                                                   "kind"};

enum media { MEDIA_PROTOBUF, MEDIA_JSON, MEDIA_OTHER };

/* One request. */
struct state {
    struct door_request rq; /* first */
    struct unpack *unpack;  /* of the request; NULL before the first piece */
    struct buf message;     /* protobuf of a request in JSON */
    struct buf text;
    struct otlp_decoder decoder;
    enum unpack_kind kind;
    enum media media;
    bool kind_known;
};

struct otlp {
    struct door door; /* first: a request leads back here */
    const struct otlp_config *config;
    struct otlp_naming naming;
    atomic_uint_fast64_t requests[RESULTS], dropped[OTLP_DROPS], points;
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

static struct otlp *owner(const struct state *s)
{
    return (struct otlp *)(void *)s->rq.door;
}

static void state_init(struct door_request *rq)
{
    struct state *s = (struct state *)(void *)rq;
    struct otlp *o = owner(s);
    buf_init(&s->message, &rq->mem, (size_t)o->config->unpacked_bytes_max);
    buf_init(&s->text, &rq->mem, TEXT_BYTES_MAX);
    s->decoder = (struct otlp_decoder){.config = o->config,
                                       .naming = o->naming,
                                       .db = o->door.o.db,
                                       .batch = rq->batch,
                                       .arena = &rq->arena,
                                       .text = &s->text,
                                       .source = o->door.source};
}

static void state_reset(struct door_request *rq)
{
    struct state *s = (struct state *)(void *)rq;
    unpack_free(s->unpack);
    s->unpack = NULL;
    door_trim(&s->message);
}

static void state_release(struct door_request *rq)
{
    struct state *s = (struct state *)(void *)rq;
    unpack_free(s->unpack);
    buf_release(&s->message);
    buf_release(&s->text);
}

static const struct door_protocol protocol = {
    .state_bytes = sizeof(struct state),
    .init = state_init,
    .reset = state_reset,
    .release = state_release,
};

static enum media media_of(struct http_request *http)
{
    const struct str type = str_trim(str_cut(http_header(http, "Content-Type"), ';').head);
    return str_eq_nocase(type, STR("application/x-protobuf")) ? MEDIA_PROTOBUF
           : str_eq_nocase(type, STR("application/json"))     ? MEDIA_JSON
                                                              : MEDIA_OTHER;
}

static void *begin(void *app, struct http_request *http)
{
    struct otlp *o = app;
    struct state *s = (struct state *)(void *)door_take(&o->door);
    if (s) {
        s->media = media_of(http);
        s->kind_known = unpack_kind_parse(http_header(http, "Content-Encoding"), &s->kind);
    }
    return s;
}

/* -- Answers. -- */

static const char *media_type(enum media m)
{
    return m == MEDIA_JSON ? "application/json" : "application/x-protobuf";
}

static void answer_err(struct http_request *http, enum media media, int status, const struct err *e)
{
    struct mem m;
    struct buf b;
    char text[sizeof e->msg + 64];
    mem_init(&m, 4096);
    buf_init(&b, &m, 4096);
    err_format(e, text, sizeof text);
    if (media == MEDIA_JSON) {
        BUF_LIT(&b, "{\"message\":");
        buf_json_str(&b, str_from_c(text));
        BUF_LIT(&b, "}");
    } else {
        pb_put_bytes(&b, 2, str_from_c(text));
    }
    http_respond(http, status, media_type(media), &b, door_headers(status));
}

static void refuse(struct state *s, enum result r, int status, const struct err *e)
{
    atomic_fetch_add(&owner(s)->requests[r], 1);
    answer_err(s->rq.http, s->media, status, e);
    door_give(&s->rq);
}

/* ExportMetricsServiceResponse; empty when nothing was rejected. */
static void response_put(struct buf *b, enum media media, uint64_t rejected, const char *why)
{
    if (media == MEDIA_JSON) {
        BUF_LIT(b, "{");
        if (rejected > 0) {
            buf_fmt(b, "\"partialSuccess\":{\"rejectedDataPoints\":\"%llu\",\"errorMessage\":",
                    (unsigned long long)rejected);
            buf_json_str(b, str_from_c(why));
            BUF_LIT(b, "}");
        }
        BUF_LIT(b, "}");
    } else if (rejected > 0) {
        const size_t mark = pb_begin(b, 1);
        pb_put_varint(b, 1, rejected);
        pb_put_bytes(b, 2, str_from_c(why));
        pb_end(b, mark);
    }
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
    const uint64_t refused = door_refused(r);
    uint64_t rejected = 0;
    door_count(s->rq.door, r);
    mem_init(&m, 4096);
    buf_init(&b, &m, 4096);
    for (int i = 0; i < OTLP_DROPS; i++) {
        rejected += s->decoder.dropped[i];
    }
    /* A point of a histogram is several samples: no more points can be rejected than there were. */
    rejected = rejected + refused < s->decoder.points ? rejected + refused : s->decoder.points;
    response_put(&b, s->media, rejected,
                 s->decoder.first.code != ERR_NONE ? s->decoder.first.msg
                                                   : door_refusal_text(r->first_why));
    atomic_fetch_add(&owner(s)->requests[rejected > 0 ? RESULT_PARTLY : RESULT_STORED], 1);
    http_respond(s->rq.http, 200, media_type(s->media), &b, NULL);
    door_give(&s->rq);
}

/* -- Receiving. -- */

static bool take(void *ctx, struct str piece, struct err *e)
{
    struct state *s = ctx;
    buf_str_add(&s->rq.bytes, piece);
    return buf_ok(&s->rq.bytes, e);
}

static bool data(void *state, struct str piece, struct err *e)
{
    struct state *s = state;
    if (!s) {
        return door_busy(e);
    }
    atomic_fetch_add(&s->rq.door->body_bytes, piece.n);
    if (!s->kind_known) {
        return true; /* read over, and refused at the end */
    }
    if (!s->unpack) {
        s->unpack = unpack_new(&s->rq.mem, s->kind, owner(s)->config->unpacked_bytes_max);
        if (!s->unpack) {
            return err_set(e, ERR_NOMEM, "no memory for a request");
        }
    }
    return unpack_feed(s->unpack, piece, take, s, e);
}

/* The request as protobuf. */
static bool message_of(struct state *s, struct str *out, struct err *e)
{
    *out = buf_str(&s->rq.bytes);
    if (s->media != MEDIA_JSON) {
        return true;
    }
    struct mem parsing;
    mem_init(&parsing, OTLP_JSON_MEM_BYTES);
    parsing.allow = s->rq.mem.allow; /* tests make it fail too */
    parsing.allow_ctx = s->rq.mem.allow_ctx;
    const bool ok = otlp_json_to_pb(*out, &parsing, &s->message, e);
    *out = buf_str(&s->message);
    return ok;
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
    struct str message;
    if (!message_of(s, &message, e) || !otlp_decode(d, message, e)) {
        return false;
    }
    atomic_fetch_add(&owner(s)->points, d->points);
    for (int i = 0; i < OTLP_DROPS; i++) {
        atomic_fetch_add(&owner(s)->dropped[i], d->dropped[i]);
    }
    return true;
}

static void end(void *app, void *state, struct http_request *http, const struct err *failed)
{
    struct otlp *o = app;
    struct state *s = state;
    struct err e = {0};
    if (!s) {
        atomic_fetch_add(&o->requests[RESULT_BUSY], 1);
        door_busy(&e);
        answer_err(http, media_of(http), 503, &e);
        return;
    }
    s->rq.http = http;
    if (s->media == MEDIA_OTHER || !s->kind_known) {
        err_set(&e, ERR_INPUT, "expected %s",
                s->media != MEDIA_OTHER
                    ? "Content-Encoding gzip, zstd or none"
                    : "Content-Type application/x-protobuf or application/json");
        refuse(s, RESULT_MEDIA, 415, &e);
        return;
    }
    if (failed || !decode(s, &e)) {
        const struct err *why = failed ? failed : &e;
        const int status = door_status(why);
        refuse(s, status == 503 ? RESULT_BUSY : RESULT_MALFORMED, status, why);
        return;
    }
    if (!tsdb_commit(o->door.o.db, s->rq.batch, 0, committed, s, &e)) {
        refuse(s, RESULT_BUSY, 503, &e);
    }
}

struct http_route otlp_route(struct otlp *o, unsigned i)
{
    static const char *const paths[OTLP_ROUTES] = {"/v1/metrics", "/api/v1/otlp/v1/metrics"};
    ASSERT(i < OTLP_ROUTES);
    return (struct http_route){
        .method = "POST",
        .path = paths[i],
        .help = "OpenTelemetry metrics (OTLP; protobuf or JSON)",
        .body_bytes_max = o->config->body_bytes_max,
        .begin = begin,
        .data = data,
        .end = end,
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
    const size_t bytes_max = (size_t)c->unpacked_bytes_max;
    const struct door_options options = {.protocol = &protocol,
                                         .db = db,
                                         .mem = m,
                                         .source = STR("otlp"),
                                         .series_max = c->series_max,
                                         .requests_max = c->requests_max,
                                         .bytes_max = bytes_max,
                                         .mem_bytes_max =
                                             bytes_max * STATE_FACTOR + DECODE_BYTES_MAX,
                                         .arena_bytes_max = DECODE_BYTES_MAX + bytes_max * 2,
                                         .batch_bytes_max = bytes_max * 4};
    o->config = c;
    o->naming = how;
    door_init(&o->door, &options);
    *out = o;
    return true;
}

void otlp_free(struct otlp *o)
{
    if (!o) {
        return;
    }
    struct mem *m = o->door.o.mem;
    door_release(&o->door);
    mem_give(m, o, sizeof *o);
}

void otlp_publish(struct otlp *o, struct expo *x)
{
    door_publish_by(x, "farol_otlp_requests", "OTLP metrics requests, by result.", "result",
                    result_texts, o->requests, RESULTS);
    expo_counter(x, "farol_otlp_points", "", "Data points received by OTLP.",
                 atomic_load(&o->points));
    expo_counter(x, "farol_otlp_samples", "", "Samples stored from OTLP.",
                 atomic_load(&o->door.samples));
    expo_counter(x, "farol_otlp_histograms", "", "Native histograms stored from OTLP.",
                 atomic_load(&o->door.histograms));
    expo_counter(x, "farol_otlp_exemplars", "", "Exemplars stored from OTLP.",
                 atomic_load(&o->door.exemplars));
    expo_counter(x, "farol_otlp_body_bytes", "bytes", "Bytes received by OTLP.",
                 atomic_load(&o->door.body_bytes));
    door_publish_by(x, "farol_otlp_dropped", "Data points of OTLP left out, by reason.", "reason",
                    drop_texts, o->dropped, OTLP_DROPS);
    door_publish_refused(&o->door, x, "farol_otlp_refused",
                         "Samples of OTLP refused by the store, by reason.");
}
