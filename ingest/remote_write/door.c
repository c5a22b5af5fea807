/* POST /api/v1/write over HTTP.
 *
 *     pieces --> body --snappy--> bytes --decoder--> batch --tsdb_commit--> (committer) --> answer
 *
 * A request is decoded on the HTTP thread when its body is whole; one lock guards the names that
 * all requests share, and is held for the walk over the bytes (about 0.1 ms for 2,000 series).
 * States are kept in a free list with their memory: at most requests_max of them.
 *
 * Source: the remote write specifications 1.0 and 2.0, and the answers Prometheus gives. */
#include "ingest/remote_write/remote_write.h"

#include "base/file.h"
#include "codec/conf.h"
#include "codec/snappy.h"
#include "ingest/remote_write/decode_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

/* Memory a state may take: body, unpacked bytes, batch and what is decoded for it. */
#define STATE_FACTOR     6
#define KEEP_BYTES_MAX   (4U << 20) /* a larger buffer is given back after its request */
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
static const char *const refusal_texts[TSDB_REFUSALS] = {
    "out_of_order", "duplicate", "too_old", "too_new", "series_gone", "head_full"};

/* One request. Engine lifetime, kept in a free list. */
struct state {
    struct remote_write *door;
    struct state *next;
    struct http_request *http; /* valid from end to the answer */
    struct mem mem;
    struct buf body, bytes;
    struct arena arena;
    struct tsdb_batch *batch;
    struct decoder decoder;
    enum version version;
};

struct remote_write {
    struct remote_write_config config;
    struct tsdb *db;
    struct mem *mem; /* lock: mu */
    uint32_t source;
    pthread_mutex_t mu;
    struct state *free_list;  /* lock: mu */
    int64_t made, in_use;     /* lock: mu */
    pthread_mutex_t names_mu; /* taken alone */
    struct tsdb_names *names; /* lock: names_mu */
    atomic_uint_fast64_t requests[2][RESULTS], dropped[DECODE_DROPS], refused[TSDB_REFUSALS],
        samples, histograms, exemplars, body_bytes;
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

static void state_free(struct state *s)
{
    struct remote_write *w = s->door;
    buf_release(&s->body);
    buf_release(&s->bytes);
    arena_release(&s->arena);
    tsdb_batch_free(s->batch);
    mem_give(&s->mem, s->decoder.items, s->decoder.items_cap * sizeof *s->decoder.items);
    mem_give(&s->mem, s->decoder.symbols, s->decoder.symbols_cap * sizeof *s->decoder.symbols);
    ASSERT(s->mem.bytes == 0);
    mem_give(w->mem, s, sizeof *s);
}

static struct state *state_new(struct remote_write *w)
{
    struct state *s = mem_take(w->mem, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->door = w;
    const size_t bytes_max = (size_t)w->config.unpacked_bytes_max;
    mem_init(&s->mem, bytes_max * STATE_FACTOR + DECODE_BYTES_MAX);
    s->mem.allow = w->mem->allow; /* tests make these fail too */
    s->mem.allow_ctx = w->mem->allow_ctx;
    buf_init(&s->body, &s->mem, (size_t)w->config.body_bytes_max);
    buf_init(&s->bytes, &s->mem, bytes_max);
    arena_init(&s->arena, &s->mem, DECODE_BYTES_MAX + bytes_max);
    s->batch = tsdb_batch_new(&s->mem, bytes_max * 2);
    if (!s->batch) {
        state_free(s);
        return NULL;
    }
    s->decoder.db = w->db;
    s->decoder.source = w->source;
    s->decoder.batch = s->batch;
    s->decoder.mem = &s->mem;
    s->decoder.arena = &s->arena;
    return s;
}

static struct state *state_take(struct remote_write *w)
{
    pthread_mutex_lock(&w->mu);
    struct state *s = w->free_list;
    if (s) {
        w->free_list = s->next;
    } else if (w->made < w->config.requests_max) {
        s = state_new(w);
        w->made += s ? 1 : 0;
    }
    w->in_use += s ? 1 : 0;
    pthread_mutex_unlock(&w->mu);
    return s;
}

static void trim(struct buf *b, size_t bytes_max)
{
    if (b->cap > KEEP_BYTES_MAX) {
        struct mem *m = b->mem;
        buf_release(b);
        buf_init(b, m, bytes_max);
    }
    buf_reset(b);
}

static void state_give(struct state *s)
{
    struct remote_write *w = s->door;
    trim(&s->body, (size_t)w->config.body_bytes_max);
    trim(&s->bytes, (size_t)w->config.unpacked_bytes_max);
    arena_reset(&s->arena);
    tsdb_batch_reset(s->batch);
    s->http = NULL;
    pthread_mutex_lock(&w->mu);
    s->next = w->free_list;
    w->free_list = s;
    w->in_use--;
    pthread_mutex_unlock(&w->mu);
}

/* -- Answers. -- */

static void count(struct state *s, enum result r)
{
    atomic_fetch_add(&s->door->requests[s->version][r], 1);
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
    static const char *const later[] = {"Retry-After", "1", NULL};
    char text[sizeof e->msg + 64];
    err_format(e, text, sizeof text);
    const int status = e->code == ERR_LIMIT ? 413 : e->code == ERR_INPUT ? 400 : 503;
    answer_text(http, status, text, status == 503 ? later : NULL);
}

/* What the sender is told about the first refused sample, in the words Prometheus uses. */
static const char *refusal_message(enum tsdb_refusal why)
{
    switch (why) {
    case TSDB_OUT_OF_ORDER: return "out of order sample";
    case TSDB_DUPLICATE: return "duplicate sample for timestamp";
    case TSDB_TOO_OLD: return "out of bounds: sample is older than retention";
    case TSDB_TOO_NEW: return "out of bounds: sample is too far in the future";
    case TSDB_GONE: return "series was dropped, send again";
    case TSDB_HEAD_FULL: return "memory of recent samples is full";
    }
    return "refused";
}

/* Samples. Exemplars that the store has no room for change no answer: they are a sample of
 * samples. */
static uint64_t refused_total(const struct tsdb_result *r)
{
    uint64_t n = 0;
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        n += r->refused[i];
    }
    return n;
}

static void note_result(struct state *s, const struct tsdb_result *r)
{
    struct remote_write *w = s->door;
    atomic_fetch_add(&w->samples, r->samples);
    atomic_fetch_add(&w->histograms, r->histograms);
    atomic_fetch_add(&w->exemplars, r->exemplars);
    atomic_fetch_add(&w->dropped[DROP_EXEMPLAR], r->refused_exemplars);
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        atomic_fetch_add(&w->refused[i], r->refused[i]);
    }
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
    const uint64_t n = refused_total(r);
    if (n > 0) {
        snprintf(text, sizeof text, "%s, at %lld ms (%llu refused)", refusal_message(r->first_why),
                 (long long)r->first_t_ms, (unsigned long long)n);
    } else {
        snprintf(text, sizeof text, "%s", s->decoder.first.msg);
    }
    count(s, stored_rest ? RESULT_PARTLY : RESULT_REFUSED);
    answer_text(s->http, 400, text, s->version == VERSION_2 ? h.headers : NULL);
}

/* thread: committer */
static void committed(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct state *s = ctx;
    if (r) {
        note_result(s, r);
    }
    if (e && e->code != ERR_INPUT) {
        count(s, RESULT_BUSY);
        answer_err(s->http, e);
    } else if (e || refused_total(r) > 0 || (s->version == VERSION_2 && dropped_any(&s->decoder))) {
        answer_refused(s, r, !e);
    } else {
        struct written h;
        written_of(&h, r);
        count(s, RESULT_STORED);
        http_respond(s->http, 204, NULL, NULL, s->version == VERSION_2 ? h.headers : NULL);
    }
    state_give(s);
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

static void *door_begin(void *app, struct http_request *http)
{
    (void)http;
    struct state *s = state_take(app);
    if (s) {
        s->version = VERSION_1;
    }
    return s;
}

static bool door_data(void *state, struct str piece, struct err *e)
{
    struct state *s = state;
    if (!s) {
        return err_set(e, ERR_BUSY, "too many requests at once, send it again later");
    }
    atomic_fetch_add(&s->door->body_bytes, piece.n);
    buf_str_add(&s->body, piece);
    return buf_ok(&s->body, e);
}

static bool decode(struct state *s, struct err *e)
{
    struct remote_write *w = s->door;
    struct decoder *d = &s->decoder;
    d->items_n = 0;
    d->symbols_n = 0;
    d->first = (struct err){0};
    memset(d->dropped, 0, sizeof d->dropped);
    if (!snappy_unpack(buf_str(&s->body), (size_t)w->config.unpacked_bytes_max, &s->bytes, e)) {
        return false;
    }
    pthread_mutex_lock(&w->names_mu);
    d->names = w->names;
    const bool ok = s->version == VERSION_2 ? decode_v2(d, buf_str(&s->bytes), e)
                                            : decode_v1(d, buf_str(&s->bytes), e);
    pthread_mutex_unlock(&w->names_mu);
    for (int i = 0; i < DECODE_DROPS; i++) {
        atomic_fetch_add(&w->dropped[i], d->dropped[i]);
    }
    return ok;
}

static void refuse(struct state *s, enum result r, const struct err *e)
{
    count(s, r);
    answer_err(s->http, e);
    state_give(s);
}

static void door_end(void *app, void *state, struct http_request *http, const struct err *failed)
{
    struct remote_write *w = app;
    struct state *s = state;
    struct err e = {0};
    if (!s) {
        atomic_fetch_add(&w->requests[VERSION_1][RESULT_BUSY],
                         1); /* its version was not looked at */
        err_set(&e, ERR_BUSY, "too many requests at once, send it again later");
        answer_err(http, &e);
        return;
    }
    s->http = http;
    const struct str encoding = http_header(http, "Content-Encoding");
    const bool known = parse_media(http_header(http, "Content-Type"), &s->version);
    if (!known || (encoding.n > 0 && !str_eq(encoding, STR("snappy")))) {
        count(s, RESULT_MEDIA);
        answer_text(http, 415,
                    known
                        ? "expected Content-Encoding snappy"
                        : "expected Content-Type application/x-protobuf of remote write 1.0 or 2.0",
                    NULL);
        state_give(s);
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
    if (!tsdb_commit(s->door->db, s->batch, flags, committed, s, &e)) {
        refuse(s, RESULT_BUSY, &e);
    }
}

static void door_abort(void *app, void *state)
{
    (void)app;
    if (state) {
        state_give(state);
    }
}

struct http_route remote_write_route(struct remote_write *w)
{
    return (struct http_route){
        .method = "POST",
        .path = "/api/v1/write",
        .help = "Prometheus remote write 1.0 and 2.0",
        .body_bytes_max = w->config.body_bytes_max,
        .begin = door_begin,
        .data = door_data,
        .end = door_end,
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
    w->config = *c;
    w->db = db;
    w->mem = m;
    w->source = tsdb_source(db, STR("remote_write"), (uint32_t)c->series_max);
    if (!tsdb_names_new(db, (size_t)c->names_bytes_max, &w->names, e)) {
        mem_give(m, w, sizeof *w);
        return false;
    }
    pthread_mutex_init(&w->mu, NULL);
    pthread_mutex_init(&w->names_mu, NULL);
    *out = w;
    return true;
}

void remote_write_free(struct remote_write *w)
{
    if (!w) {
        return;
    }
    ASSERT(w->in_use == 0);
    while (w->free_list) {
        struct state *s = w->free_list;
        w->free_list = s->next;
        state_free(s);
    }
    tsdb_names_free(w->names);
    pthread_mutex_destroy(&w->names_mu);
    pthread_mutex_destroy(&w->mu);
    mem_give(w->mem, w, sizeof *w);
}

static void publish_one(struct expo *x, struct str name, struct str unit, struct str help,
                        atomic_uint_fast64_t *v)
{
    struct expo_family *f = expo_family(x, EXPO_COUNTER, name, unit, help);
    expo_add(x, f, NULL, 0, (double)atomic_load(v));
}

static void publish_reasons(struct expo *x, struct str name, struct str help,
                            const char *const *texts, atomic_uint_fast64_t *v, int n)
{
    struct expo_family *f = expo_family(x, EXPO_COUNTER, name, STR(""), help);
    for (int i = 0; i < n; i++) {
        struct label l = {STR("reason"), str_from_c(texts[i])};
        expo_add(x, f, &l, 1, (double)atomic_load(&v[i]));
    }
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
    publish_one(x, STR("farol_remote_write_samples"), STR(""),
                STR("Samples stored by remote writers."), &w->samples);
    publish_one(x, STR("farol_remote_write_histograms"), STR(""),
                STR("Native histograms stored by remote writers."), &w->histograms);
    publish_one(x, STR("farol_remote_write_exemplars"), STR(""),
                STR("Exemplars stored by remote writers."), &w->exemplars);
    publish_one(x, STR("farol_remote_write_body_bytes"), STR("bytes"),
                STR("Bytes received from remote writers."), &w->body_bytes);
    publish_reasons(x, STR("farol_remote_write_dropped"),
                    STR("Series, histograms and exemplars of remote writers left out, by reason."),
                    drop_texts, w->dropped, DECODE_DROPS);
    publish_reasons(x, STR("farol_remote_write_refused"),
                    STR("Samples of remote writers refused by the store, by reason."),
                    refusal_texts, w->refused, TSDB_REFUSALS);
}
