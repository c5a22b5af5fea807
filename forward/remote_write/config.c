/* The keys of `remote_write`, as in prometheus.yml. What we cannot do is refused by name, never
 * ignored; what has no meaning here (metadata is not stored) is accepted. */
#include "forward/remote_write/forward_int.h"

#define GIB (1024.0 * 1024.0 * 1024.0)

/* What conf_read fills before the parts are taken over. */
struct raw {
    struct forward_config out;
    struct http_conf_raw http;
    const struct yaml_node *headers, *queue, *metadata, *refused;
    struct str message;
};

static const struct conf_field fields[] = {
    CONF_STR(struct raw, out.url, "url", NULL, "where POST goes: http://host:port/api/v1/write"),
    CONF_STR(struct raw, out.name, "name", NULL, "of its series and of its file of positions"),
    CONF_DURATION(struct raw, out.timeout_ms, "remote_timeout", "30s", 100, 600000,
                  "of one request"),
    CONF_CUSTOM(struct raw, headers, "headers", "headers to send: name and value", conf_node),
    CONF_CUSTOM(struct raw, out.relabel, "write_relabel_configs",
                "rules that rewrite or drop series before they are sent", conf_node),
    HTTP_CONF_ROWS(struct raw, http),
    CONF_BOOL(struct raw, out.exemplars, "send_exemplars", "false", "send exemplars too"),
    CONF_BOOL(struct raw, out.histograms, "send_native_histograms", "false",
              "send native histograms too; else they are counted as dropped"),
    CONF_STR(struct raw, message, "protobuf_message", "prometheus.WriteRequest",
             "prometheus.WriteRequest (1.0) or io.prometheus.write.v2.Request (2.0)"),
    CONF_CUSTOM(struct raw, queue, "queue_config",
                "capacity, min_shards, max_shards, max_samples_per_send, batch_send_deadline, "
                "min_backoff, max_backoff, sample_age_limit, retry_on_http_429",
                conf_node),
    CONF_CUSTOM(struct raw, metadata, "metadata_config", "accepted; metadata is not sent",
                conf_node),
    CONF_BYTES(struct raw, out.log_bytes_max, "log_bytes_max", "4GiB", 1 << 20, 1024 * GIB,
               "log that may wait during an outage; above it the oldest is lost and counted"),
    CONF_CUSTOM(struct raw, refused, "sigv4", "refused", conf_refuse),
    CONF_CUSTOM(struct raw, refused, "azuread", "refused", conf_refuse),
};

const struct conf_field *forward_config_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

static bool given(const struct yaml_node *n)
{
    return n && !yaml_is_null(n);
}

struct queue {
    int64_t capacity, shards_min, shards_max, samples_max, deadline_ms, backoff_min_ms,
        backoff_max_ms, age_limit_ms;
    bool retry_429;
};

static bool read_queue(const struct yaml_node *n, struct arena *a, struct forward_config *c,
                       struct err *e)
{
    static const struct conf_field queue[] = {
        CONF_I64(struct queue, capacity, "capacity", "10000", 1, 1e6,
                 "samples of a shard in memory"),
        CONF_I64(struct queue, shards_min, "min_shards", "1", 1, FORWARD_SHARDS_MAX,
                 "requests at once, always"),
        CONF_I64(struct queue, shards_max, "max_shards", "8", 1, 1000,
                 "requests at once when behind; at most 64"),
        CONF_I64(struct queue, samples_max, "max_samples_per_send", "2000", 1, 100000,
                 "samples of a request"),
        CONF_DURATION(struct queue, deadline_ms, "batch_send_deadline", "5s", 10, 600000,
                      "how long samples wait for a request to be full"),
        CONF_DURATION(struct queue, backoff_min_ms, "min_backoff", "30ms", 1, 600000,
                      "first pause after a failure; it doubles"),
        CONF_DURATION(struct queue, backoff_max_ms, "max_backoff", "5s", 1, 3600000,
                      "longest pause"),
        CONF_DURATION(struct queue, age_limit_ms, "sample_age_limit", "0s", 0, 3.2e12,
                      "older samples are dropped and counted; 0 = none"),
        CONF_BOOL(struct queue, retry_429, "retry_on_http_429", "true",
                  "accepted; 429 is always tried again"),
    };
    struct queue q;
    if (!conf_read(queue, ARRAY_LEN(queue), given(n) ? n : NULL, &q, a, e)) {
        return false;
    }
    c->capacity = q.capacity;
    c->shards_min = q.shards_min;
    c->shards_max = q.shards_max > FORWARD_SHARDS_MAX ? FORWARD_SHARDS_MAX : q.shards_max;
    c->samples_max = q.samples_max;
    c->deadline_ms = q.deadline_ms;
    c->backoff_min_ms = q.backoff_min_ms;
    c->backoff_max_ms = q.backoff_max_ms;
    c->age_limit_ms = q.age_limit_ms;
    return (q.shards_min <= q.shards_max && q.backoff_min_ms <= q.backoff_max_ms) ||
           err_at(e, ERR_INPUT, n ? n->line : 0, n ? n->col : 0,
                  "expected min_shards and min_backoff not above max_shards and max_backoff");
}

static bool header_ok(struct str name, struct str value)
{
    static const struct str ours[] = {STR_INIT("content-type"),
                                      STR_INIT("content-encoding"),
                                      STR_INIT("content-length"),
                                      STR_INIT("host"),
                                      STR_INIT("x-prometheus-remote-write-version"),
                                      STR_INIT("authorization")};
    bool ok = name.n > 0;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        ok = ok && !str_eq_nocase(name, ours[i]);
    }
    for (size_t i = 0; i < name.n; i++) {
        ok = ok && name.p[i] > ' ' && name.p[i] < 127 && name.p[i] != ':';
    }
    for (size_t i = 0; i < value.n; i++) {
        ok = ok && value.p[i] != '\r' && value.p[i] != '\n' && value.p[i] != 0;
    }
    return ok;
}

static bool read_headers(const struct yaml_node *n, struct arena *a, struct forward_config *c,
                         struct err *e)
{
    if (!given(n)) {
        return true;
    }
    if (n->kind != YAML_MAPPING || n->children_count > 64) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected at most 64 headers, name: value");
    }
    c->headers = ARENA_ARRAY(a, struct forward_header, n->children_count + 1);
    if (!c->headers) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *h = n->first; h; h = h->next) {
        if (h->kind != YAML_SCALAR || !header_ok(h->key, h->text)) {
            return err_at(e, ERR_INPUT, h->key_line, h->key_col,
                          "header \"%.*s\" cannot be set, or its value is not one line",
                          STR_FMT(h->key));
        }
        c->headers[c->headers_n++] = (struct forward_header){h->key, h->text};
    }
    return true;
}

/* A name that can be a file's: letters, digits and -_. ; others become _. */
static bool name_set(struct forward_config *c, struct arena *a, struct err *e)
{
    struct str from = c->name;
    if (from.n == 0) {
        const struct str_cut scheme = str_cut(c->url, '/');
        from = str_cut(str_sub(scheme.tail, 1, scheme.tail.n), '?').head;
        const struct str_cut host = str_cut(from, '/');
        const struct str_cut user = str_cut(host.head, '@'); /* a password may stand before it */
        from = user.ok ? str_sub(from, user.head.n + 1, from.n) : from;
    }
    c->name = arena_str(a, str_sub(from, 0, 100));
    if (!c->name.p) {
        return conf_no_memory(e);
    }
    char *p = arena_cstr(a, c->name);
    for (size_t i = 0; p && i < c->name.n; i++) {
        const bool ok = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
                        (p[i] >= '0' && p[i] <= '9') || p[i] == '-' || (p[i] == '.' && i > 0);
        p[i] = ok ? p[i] : '_';
    }
    c->name.p = p;
    return p || conf_no_memory(e);
}

static bool read_entry(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct forward_config *c, struct err *e)
{
    struct raw r;
    memset(&r, 0, sizeof r);
    if (!conf_read(fields, ARRAY_LEN(fields), n, &r, a, e)) {
        return false;
    }
    *c = r.out;
    if (!str_starts(c->url, STR("http://")) && !str_starts(c->url, STR("https://"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected url: http://... or https://..., found \"%.*s\"", STR_FMT(c->url));
    }
    c->version_2 = str_eq(r.message, STR("io.prometheus.write.v2.Request"));
    if (!c->version_2 && !str_eq(r.message, STR("prometheus.WriteRequest"))) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected protobuf_message prometheus.WriteRequest or "
                      "io.prometheus.write.v2.Request, found \"%.*s\"",
                      STR_FMT(r.message));
    }
    return read_headers(r.headers, a, c, e) &&
           http_conf_read(&r.http, n, dir, HTTP_CONF_SEND, a, &c->http, e) &&
           read_queue(r.queue, a, c, e) && name_set(c, a, e);
}

bool forward_config_read(const struct yaml_node *list, const char *dir, struct arena *a,
                         struct forward_config **out, uint32_t *n, struct err *e)
{
    *n = 0;
    *out = NULL;
    if (!given(list)) {
        return true;
    }
    if (list->kind != YAML_SEQUENCE || list->children_count > 32) {
        return err_at(e, ERR_INPUT, list->line, list->col,
                      "expected a list of at most 32 destinations");
    }
    *out = ARENA_ARRAY(a, struct forward_config, list->children_count + 1);
    if (!*out) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *i = list->first; i; i = i->next) {
        struct forward_config *c = &(*out)[*n];
        if (!read_entry(i, dir, a, c, e)) {
            return false;
        }
        for (uint32_t k = 0; k < *n; k++) {
            if (str_eq((*out)[k].name, c->name)) {
                return err_at(e, ERR_INPUT, i->line, i->col,
                              "two destinations are called \"%.*s\": give each a name",
                              STR_FMT(c->name));
            }
        }
        ++*n;
    }
    return true;
}

uint64_t forward_log_bytes(const struct forward_config *c, uint32_t n)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        most = c[i].log_bytes_max > most ? c[i].log_bytes_max : most;
    }
    return most;
}
