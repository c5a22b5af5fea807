/* POST /api/v1/write over HTTP.
 *
 *     pieces --> body --snappy--> bytes --decoder--> batch --tsdb_commit--> (committer) --> answer
 *
 * A request is decoded on the HTTP thread when its body is whole; one lock guards the names that
 * all requests share, and is held for the walk over the bytes (about 0.1 ms for 2,000 series).
 * States are those of ingest/door.
 *
 * Source: the remote write specifications 1.0 and 2.0, and the answers Prometheus gives. */
#include "ingest/remote_write/remote_write.h"

#include "base/file.h"
#include "codec/conf.h"
#include "codec/snappy.h"
#include "ingest/door/door.h"
#include "ingest/remote_write/decode_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

/* Memory a state may take: body, unpacked bytes, batch and what is decoded for it. */
#define STATE_FACTOR     6
#define DECODE_BYTES_MAX (64U << 20)

enum version { VERSION_1, VERSION_2 };

enum result {
    RESULT_STORED,
    RESULT_PARTLY,
    RESULT_REFUSED,
    RESULT_MALFORMED,
    RESULT_MEDIA,
    RESULT_BUSY
};
#define RESULTS 6
static const char *const result_texts[RESULTS] = {"stored",    "partly_stored", "refused",
                                                  "malformed", "media_type",    "busy"};
static const char *const drop_texts[DECODE_DROPS] = {"labels", "series_limit", "histogram",
                                                     "exemplar"};

/* One request. */
struct state {
    struct door_request rq; /* first */
    struct buf body;        /* as sent */
    struct decoder decoder;
    enum version version;
};

struct remote_write {
    struct door door; /* first: a request leads back here */
    struct remote_write_config config;
    pthread_mutex_t names_mu; /* taken alone */
    struct tsdb_names *names; /* lock: names_mu */
    atomic_uint_fast64_t requests[2][RESULTS], dropped[DECODE_DROPS];
};

static const struct conf_field fields[] = {
    CONF_BYTES(struct remote_write_config, body_bytes_max, "body_bytes_max", "16MiB", KIB, 64 * MIB,
               "largest body of one request, as sent"),
    CONF_BYTES(struct remote_write_config, unpacked_bytes_max, "unpacked_bytes_max", "64MiB", KIB,
               256 * MIB, "largest body of one request after decompression"),
    CONF_I64(struct remote_write_config, requests_max, "requests_max", "64", 1, 1024,
             "requests received or waiting for the disk at once; more are told to come back (503)"),
    CONF_BYTES(struct remote_write_config, names_bytes_max, "names_bytes_max", "256MiB", MIB,
               16384 * MIB, "memory of label blocks already seen, which need no parsing"),
    CONF_I64(struct remote_write_config, series_max, "series_max", "0", 0, 1e9,
             "series that remote writers may create; 0 leaves storage.series_max as the bound"),
};

const struct conf_field *remote_write_config_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

/* -- States. -- */

static struct remote_write *owner(const struct state *s)
{
    return (struct remote_write *)(void *)s->rq.door;
}

static void state_init(struct door_request *rq)
{
    struct state *s = (struct state *)(void *)rq;
    struct remote_write *w = owner(s);
    buf_init(&s->body, &rq->mem, (size_t)w->config.body_bytes_max);
    s->decoder.db = w->door.o.db;
    s->decoder.source = w->door.source;
    s->decoder.batch = rq->batch;
    s->decoder.mem = &rq->mem;
    s->decoder.arena = &rq->arena;
}

static void state_reset(struct door_request *rq)
{
    door_trim(&((struct state *)(void *)rq)->body);
}

static void state_release(struct door_request *rq)
{
    struct state *s = (struct state *)(void *)rq;
    struct decoder *d = &s->decoder;
    buf_release(&s->body);
    mem_give(&rq->mem, d->items, d->items_cap * sizeof *d->items);
    mem_give(&rq->mem, d->symbols, d->symbols_cap * sizeof *d->symbols);
}

static const struct door_protocol protocol = {
    .state_bytes = sizeof(struct state),
    .init = state_init,
    .reset = state_reset,
    .release = state_release,
};

/* -- Answers. -- */

static void count(struct state *s, enum result r)
{
    atomic_fetch_add(&owner(s)->requests[s->version][r], 1);
}

/* Prometheus answers errors of this path in plain text; senders log the first line. */
static void answer_text(struct http_request *http, int status, const char *text,
                        const char *const *headers)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 4096);
    buf_init(&b, &m, 4096);
    buf_str_add(&b, str_from_c(text));
    BUF_LIT(&b, "\n");
    http_respond(http, status, "text/plain; charset=utf-8", &b, headers);
}

static void answer_err(struct http_request *http, const struct err *e)
{
    char text[sizeof e->msg + 64];
    err_format(e, text, sizeof text);
    const int status = door_status(e);
    answer_text(http, status, text, door_headers(status));
}

/* 2.0: how much was stored, whatever the status. */
struct written {
    char text[3][24];
    const char *headers[7];
};

static void written_of(struct written *h, const struct tsdb_result *r)
{
    snprintf(h->text[0], sizeof h->text[0], "%llu", (unsigned long long)r->samples);
    snprintf(h->text[1], sizeof h->text[1], "%llu", (unsigned long long)r->histograms);
    snprintf(h->text[2], sizeof h->text[2], "%llu", (unsigned long long)r->exemplars);
    const char *const names[3] = {"X-Prometheus-Remote-Write-Samples-Written",
                                  "X-Prometheus-Remote-Write-Histograms-Written",
                                  "X-Prometheus-Remote-Write-Exemplars-Written"};
    for (int i = 0; i < 3; i++) {
        h->headers[2 * i] = names[i];
        h->headers[2 * i + 1] = h->text[i];
    }
    h->headers[6] = NULL;
}

static bool dropped_any(const struct decoder *d)
{
    for (int i = 0; i < DECODE_DROPS; i++) {
        if (d->dropped[i] > 0) {
            return true;
        }
    }
    return false;
}

static void answer_refused(struct state *s, const struct tsdb_result *r, bool stored_rest)
{
    struct written h;
    written_of(&h, r);
    char text[256];
    const uint64_t n = door_refused(r);
    if (n > 0) {
        /* In the words of Prometheus, which senders may look for. */
        const bool bounds = r->first_why == TSDB_TOO_OLD || r->first_why == TSDB_TOO_NEW;
        snprintf(text, sizeof text, "%s%s, at %lld ms (%llu refused)",
                 bounds ? "out of bounds: " : "", door_refusal_text(r->first_why),
                 (long long)r->first_t_ms, (unsigned long long)n);
    } else {
        snprintf(text, sizeof text, "%s", s->decoder.first.msg);
    }
    count(s, stored_rest ? RESULT_PARTLY : RESULT_REFUSED);
    answer_text(s->rq.http, 400, text, s->version == VERSION_2 ? h.headers : NULL);
}

/* thread: committer */
static void committed(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct state *s = ctx;
    if (r) {
        door_count(s->rq.door, r);
        atomic_fetch_add(&owner(s)->dropped[DROP_EXEMPLAR], r->refused_exemplars);
    }
    if (e && e->code != ERR_INPUT) {
        count(s, RESULT_BUSY);
        answer_err(s->rq.http, e);
    } else if (e || door_refused(r) > 0 || (s->version == VERSION_2 && dropped_any(&s->decoder))) {
        answer_refused(s, r, !e);
    } else {
        struct written h;
        written_of(&h, r);
        count(s, RESULT_STORED);
        http_respond(s->rq.http, 204, NULL, NULL, s->version == VERSION_2 ? h.headers : NULL);
    }
    door_give(&s->rq);
}

/* -- Receiving. -- */

/* "application/x-protobuf" with an optional proto=; absent means 1.0. false: another type. */
static bool parse_media(struct str type, enum version *out)
{
    *out = VERSION_1;
    struct str_cut c = str_cut(type, ';');
    if (str_trim(c.head).n == 0) {
        return true;
    }
    if (!str_eq_nocase(str_trim(c.head), STR("application/x-protobuf"))) {
        return false;
    }
    while (c.ok) {
        c = str_cut(c.tail, ';');
        const struct str_cut kv = str_cut(c.head, '=');
        if (!str_eq_nocase(str_trim(kv.head), STR("proto"))) {
            continue;
        }
        if (str_eq(str_trim(kv.tail), STR("io.prometheus.write.v2.Request"))) {
            *out = VERSION_2;
        } else if (!str_eq(str_trim(kv.tail), STR("prometheus.WriteRequest"))) {
            return false;
        }
    }
    return true;
}

static void *begin(void *app, struct http_request *http)
{
    (void)http;
    struct remote_write *w = app;
    struct state *s = (struct state *)(void *)door_take(&w->door);
    if (s) {
        s->version = VERSION_1;
    }
    return s;
}

static bool data(void *state, struct str piece, struct err *e)
{
    struct state *s = state;
    if (!s) {
        return door_busy(e);
    }
    atomic_fetch_add(&s->rq.door->body_bytes, piece.n);
    buf_str_add(&s->body, piece);
    return buf_ok(&s->body, e);
}

static bool decode(struct state *s, struct err *e)
{
    struct remote_write *w = owner(s);
    struct decoder *d = &s->decoder;
    d->items_n = 0;
    d->symbols_n = 0;
    d->first = (struct err){0};
    memset(d->dropped, 0, sizeof d->dropped);
    if (!snappy_unpack(buf_str(&s->body), (size_t)w->config.unpacked_bytes_max, &s->rq.bytes, e)) {
        return false;
    }
    pthread_mutex_lock(&w->names_mu);
    d->names = w->names;
    const bool ok = s->version == VERSION_2 ? decode_v2(d, buf_str(&s->rq.bytes), e)
                                            : decode_v1(d, buf_str(&s->rq.bytes), e);
    pthread_mutex_unlock(&w->names_mu);
    for (int i = 0; i < DECODE_DROPS; i++) {
        atomic_fetch_add(&w->dropped[i], d->dropped[i]);
    }
    return ok;
}

static void refuse(struct state *s, enum result r, const struct err *e)
{
    count(s, r);
    answer_err(s->rq.http, e);
    door_give(&s->rq);
}

static void end(void *app, void *state, struct http_request *http, const struct err *failed)
{
    struct remote_write *w = app;
    struct state *s = state;
    struct err e = {0};
    if (!s) {
        atomic_fetch_add(&w->requests[VERSION_1][RESULT_BUSY],
                         1); /* its version was not looked at */
        door_busy(&e);
        answer_err(http, &e);
        return;
    }
    s->rq.http = http;
    const struct str encoding = http_header(http, "Content-Encoding");
    const bool known = parse_media(http_header(http, "Content-Type"), &s->version);
    if (!known || (encoding.n > 0 && !str_eq(encoding, STR("snappy")))) {
        count(s, RESULT_MEDIA);
        answer_text(http, 415,
                    known
                        ? "expected Content-Encoding snappy"
                        : "expected Content-Type application/x-protobuf of remote write 1.0 or 2.0",
                    NULL);
        door_give(&s->rq);
        return;
    }
    if (failed) {
        refuse(s, failed->code == ERR_BUSY ? RESULT_BUSY : RESULT_MALFORMED, failed);
        return;
    }
    if (!decode(s, &e)) {
        refuse(s, RESULT_MALFORMED, &e);
        return;
    }
    const unsigned flags = s->version == VERSION_1 ? TSDB_ALL_OR_NOTHING : 0;
    if (!tsdb_commit(w->door.o.db, s->rq.batch, flags, committed, s, &e)) {
        refuse(s, RESULT_BUSY, &e);
    }
}

struct http_route remote_write_route(struct remote_write *w)
{
    return (struct http_route){
        .method = "POST",
        .path = "/api/v1/write",
        .help = "Prometheus remote write 1.0 and 2.0",
        .body_bytes_max = w->config.body_bytes_max,
        .begin = begin,
        .data = data,
        .end = end,
        .abort = door_abort,
        .app = w,
    };
}

/* -- Life and series. -- */

bool remote_write_new(const struct remote_write_config *c, struct tsdb *db, struct mem *m,
                      struct remote_write **out, struct err *e)
{
    struct remote_write *w = mem_take(m, sizeof *w);
    if (!w) {
        return err_set(e, ERR_NOMEM, "no memory for the remote write door");
    }
    const size_t bytes_max = (size_t)c->unpacked_bytes_max;
    const struct door_options o = {.protocol = &protocol,
                                   .db = db,
                                   .mem = m,
                                   .source = STR("remote_write"),
                                   .series_max = c->series_max,
                                   .requests_max = c->requests_max,
                                   .bytes_max = bytes_max,
                                   .mem_bytes_max = bytes_max * STATE_FACTOR + DECODE_BYTES_MAX,
                                   .arena_bytes_max = DECODE_BYTES_MAX + bytes_max,
                                   .batch_bytes_max = bytes_max * 2};
    w->config = *c;
    if (!tsdb_names_new(db, (size_t)c->names_bytes_max, &w->names, e)) {
        mem_give(m, w, sizeof *w);
        return false;
    }
    door_init(&w->door, &o);
    pthread_mutex_init(&w->names_mu, NULL);
    *out = w;
    return true;
}

void remote_write_free(struct remote_write *w)
{
    if (!w) {
        return;
    }
    struct mem *m = w->door.o.mem;
    door_release(&w->door);
    tsdb_names_free(w->names);
    pthread_mutex_destroy(&w->names_mu);
    mem_give(m, w, sizeof *w);
}

void remote_write_publish(struct remote_write *w, struct expo *x)
{
    struct expo_family *f =
        expo_family(x, EXPO_COUNTER, STR("farol_remote_write_requests"), STR(""),
                    STR("Remote write requests, by version and result."));
    for (int v = 0; v < 2; v++) {
        for (int r = 0; r < RESULTS; r++) {
            const struct label l[] = {{STR("result"), str_from_c(result_texts[r])},
                                      {STR("version"), v == 0 ? STR("1.0") : STR("2.0")}};
            expo_add(x, f, l, 2, (double)atomic_load(&w->requests[v][r]));
        }
    }
    expo_counter(x, "farol_remote_write_samples", "", "Samples stored by remote writers.",
                 atomic_load(&w->door.samples));
    expo_counter(x, "farol_remote_write_histograms", "",
                 "Native histograms stored by remote writers.", atomic_load(&w->door.histograms));
    expo_counter(x, "farol_remote_write_exemplars", "", "Exemplars stored by remote writers.",
                 atomic_load(&w->door.exemplars));
    expo_counter(x, "farol_remote_write_body_bytes", "bytes", "Bytes received from remote writers.",
                 atomic_load(&w->door.body_bytes));
    door_publish_by(x, "farol_remote_write_dropped",
                    "Series, histograms and exemplars of remote writers left out, by reason.",
                    "reason", drop_texts, w->dropped, DECODE_DROPS);
    door_publish_refused(&w->door, x, "farol_remote_write_refused",
                         "Samples of remote writers refused by the store, by reason.");
}
