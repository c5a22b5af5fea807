/* See config_int.h. The sections are a table: reading, the printed defaults, farol.conf(5) and the
 * comparison at reload all walk it, so a key exists everywhere or nowhere. */
#include "server/config_int.h"

#include "server/commands_int.h"
#include "server/scraping_int.h"
#include "server/sending_int.h"
#include "server/text_int.h"

#include <stdio.h>

#define THREADS_MAX 16
#define SHARDS_MAX  64

const char server_config_example[] =
    "server:\n"
    "  listen: 127.0.0.1:9480\n"
    "  tick: 500ms\n"
    "storage:\n"
    "  path: ./farol-data\n"
    "  shards: 2\n"
    "pipeline:\n"
    "  stages: [ingest, enrich, features, score, decide, act, settle]\n"
    "  window: 60s\n"
    "model:\n"
    "  segments: [form, direction]\n";

static const struct conf_field own_fields[] = {
    CONF_STR(struct server_own_config, listen, "listen", "127.0.0.1:9480",
             "address and port of the HTTP server; port 0 takes any free one"),
    CONF_DURATION(struct server_own_config, tick_ms, "tick", "500ms", 100, 60000,
                  "how often the series and states are brought up to date (may change at reload)"),
    CONF_STR(struct server_own_config, log_level, "log_level", "info",
             "debug, info, warn or error (may change at reload)"),
    CONF_I64(struct server_own_config, threads, "threads", "2", 1, THREADS_MAX,
             "threads that receive requests"),
    CONF_I64(struct server_own_config, connections_max, "connections_max", "1024", 4, 100000,
             "open connections; further ones are refused"),
    CONF_DURATION(struct server_own_config, idle_timeout_ms, "idle_timeout", "60s", 1000, 3600000,
                  "a connection that is silent for this long is closed"),
    CONF_DURATION(struct server_own_config, drain_ms, "drain", "5s", 0, 600000,
                  "how long running requests may take to end when the server stops"),
    CONF_BYTES(struct server_own_config, request_bytes_max, "request_bytes_max", "32KiB", 4096,
               65536, "request line and headers of one request"),
    CONF_BYTES(struct server_own_config, metrics_bytes_max, "metrics_bytes_max", "64MiB", 1 << 20,
               1 << 30, "memory for one collection of all series"),
};

static const struct conf_field storage_fields[] = {
    CONF_STR(struct server_storage_config, path, "path", "./farol-data",
             "folder of journal and checkpoints; relative to the configuration file"),
    CONF_I64(struct server_storage_config, shards, "shards", "2", 1, SHARDS_MAX,
             "worker threads; the answers do not depend on it"),
    CONF_DURATION(struct server_storage_config, checkpoint_ms, "checkpoint", "15s", 1000, 86400000,
                  "at most this long between checkpoints"),
    CONF_BYTES(struct server_storage_config, checkpoint_bytes, "checkpoint_bytes", "64MiB", 1 << 20,
               1e12, "at most this much journal between checkpoints"),
    CONF_BYTES(struct server_storage_config, queue_bytes_max, "queue_bytes_max", "64MiB", 1 << 20,
               64e9, "received and not yet applied; above it senders are asked to wait"),
    CONF_BYTES(struct server_storage_config, segment_bytes_max, "segment_bytes_max", "64MiB",
               1 << 16, 4e9, "size of one file of the journal"),
    CONF_BYTES(struct server_storage_config, journal_bytes_max, "journal_bytes_max", "2GiB",
               1 << 20, 1e13, "the whole journal; above it nothing more is accepted"),
    CONF_BYTES(struct server_storage_config, shard_bytes_max, "shard_bytes_max", "1GiB", 1 << 24,
               1e12, "memory of what one shard remembers"),
};

#define FIELDS_OF(name, table, count_value)             \
    static const struct conf_field *name(size_t *count) \
    {                                                   \
        *count = (count_value);                         \
        return table;                                   \
    }
FIELDS_OF(fields_server, own_fields, ARRAY_LEN(own_fields))
FIELDS_OF(fields_storage, storage_fields, ARRAY_LEN(storage_fields))
FIELDS_OF(fields_ingest, ndjson_fields, ndjson_fields_count)
FIELDS_OF(fields_pipeline, pipeline_fields, pipeline_fields_count)
FIELDS_OF(fields_model, model_fields, model_fields_count)

static const struct server_section sections[] = {
    {"server",
     {"O servidor HTTP e o próprio processo.", "The HTTP server and the process itself."},
     fields_server,
     offsetof(struct server_config, server)},
    {"storage",
     {"O diário (journal) e os pontos de retomada (checkpoints) em disco.",
      "The journal and the checkpoints on disk."},
     fields_storage,
     offsetof(struct server_config, storage)},
    {"pipeline",
     {"As etapas do pipeline do Pix, os prazos e o livro de transações.",
      "The stages of the Pix pipeline, the deadlines and the ledger of transactions."},
     fields_pipeline,
     offsetof(struct server_config, pipeline)},
    {"model",
     {"O modelo antifraude: variáveis, segmentos, rótulos e objetivos.",
      "The fraud model: features, segments, labels and objectives."},
     fields_model,
     offsetof(struct server_config, model)},
    {"ingest",
     {"O que entra por POST /ingest/v1/events e como o seu JSON é lido.",
      "What comes in by POST /ingest/v1/events and how your JSON is read."},
     fields_ingest,
     offsetof(struct server_config, ingest)},
    {"metrics",
     {"As séries de métricas: retenção, memória e limites.",
      "The series of metrics: retention, memory and bounds."},
     server_metrics_fields,
     offsetof(struct server_config, metrics)},
    {"query",
     {"As consultas PromQL e a API do Prometheus.", "PromQL queries and the Prometheus API."},
     prom_config_fields,
     offsetof(struct server_config, query)},
    {"remote_write_receiver",
     {"O que entra por POST /api/v1/write (remote write do Prometheus).",
      "What comes in by POST /api/v1/write (Prometheus remote write)."},
     remote_write_config_fields,
     offsetof(struct server_config, receiver)},
    {"otlp",
     {"O que entra por POST /v1/metrics (métricas do OpenTelemetry).",
      "What comes in by POST /v1/metrics (OpenTelemetry metrics)."},
     otlp_config_fields,
     offsetof(struct server_config, otlp)},
    {"rules",
     {"As regras de alerta e de gravação: as dos pilares e as de rule_files.",
      "Alerting and recording rules: those of the pillars and those of rule_files."},
     server_rules_fields,
     offsetof(struct server_config, rules)},
};

const struct server_section *server_config_sections(uint32_t *count)
{
    *count = ARRAY_LEN(sections);
    return sections;
}

static const struct {
    const char *key, *text;
} help_pt[] = {
#define KEY(key, text) {key, text},
#include "server/conf_pt.def"
#undef KEY
};

static bool names_key(const char *full, const char *section, const char *key)
{
    struct str_cut cut = str_cut(str_from_c(full), '.');
    return str_eq(cut.head, str_from_c(section)) && str_eq(cut.tail, str_from_c(key));
}

const char *server_config_help(enum lang lang, const char *section, const struct conf_field *f)
{
    for (size_t i = 0; lang == LANG_PT && i < ARRAY_LEN(help_pt); i++) {
        if (names_key(help_pt[i].key, section, f->key)) {
            return help_pt[i].text;
        }
    }
    return f->help;
}

void server_config_help_gaps(void (*each)(void *ctx, const char *key), void *ctx)
{
    bool used[ARRAY_LEN(help_pt)] = {false};
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        size_t count;
        const struct conf_field *f = sections[s].fields(&count);
        for (size_t i = 0; i < count; i++) {
            size_t k = 0;
            while (k < ARRAY_LEN(help_pt) &&
                   !names_key(help_pt[k].key, sections[s].name, f[i].key)) {
                k++;
            }
            if (k < ARRAY_LEN(help_pt)) {
                used[k] = true;
            } else {
                each(ctx, f[i].key);
            }
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(help_pt); k++) {
        if (!used[k]) {
            each(ctx, help_pt[k].key);
        }
    }
}

const char *server_config_type(enum lang lang, enum conf_type t)
{
    static const enum text_id names[] = {
        [CONF_T_BOOL] = TEXT_TYPE_BOOL,         [CONF_T_I64] = TEXT_TYPE_I64,
        [CONF_T_F64] = TEXT_TYPE_F64,           [CONF_T_DURATION] = TEXT_TYPE_DURATION,
        [CONF_T_BYTES] = TEXT_TYPE_BYTES,       [CONF_T_STR] = TEXT_TYPE_STR,
        [CONF_T_STR_LIST] = TEXT_TYPE_STR_LIST, [CONF_T_CUSTOM] = TEXT_TYPE_CUSTOM,
    };
    return server_text(lang, names[t]);
}

bool server_config_listen(struct server_own_config *out, struct str s)
{
    size_t colon = s.n;
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] == ':') {
            colon = i - 1;
            break;
        }
    }
    uint64_t number = 0;
    struct str host = str_sub(s, 0, colon);
    if (colon == s.n || !str_to_u64(str_sub(s, colon + 1, s.n), &number) || number > UINT16_MAX) {
        return false;
    }
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = str_sub(host, 1, host.n - 2);
    } else if (host.n == 0 || str_eq(host, STR("localhost"))) {
        host = STR("127.0.0.1");
    } else if (str_contains(host, STR(":"))) {
        return false;
    }
    if (host.n == 0 || host.n >= sizeof out->address) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
              c == '.' || c == ':')) {
            return false;
        }
        out->address[i] = c;
    }
    out->address[host.n] = '\0';
    out->port = (uint16_t)number;
    return true;
}

/* Sets the place of e to the value of `key` in section n. */
static bool wrong(struct err *e, const struct yaml_node *n, const char *section, const char *key,
                  const char *expected)
{
    const struct yaml_node *v = n ? yaml_get(n, str_from_c(key)) : NULL;
    struct str found = v ? str_sub(v->text, 0, 60) : STR("");
    return err_at(e, ERR_INPUT, v ? v->line : 0, v ? v->col : 0,
                  "%s.%s: expected %s, found \"%.*s\"", section, key, expected, STR_FMT(found));
}

static bool read_own(const struct yaml_node *n, struct arena *a, struct server_own_config *out,
                     struct err *e)
{
    if (!conf_read(own_fields, ARRAY_LEN(own_fields), n, out, a, e)) {
        return false;
    }
    if (!server_config_listen(out, out->listen)) {
        return wrong(e, n, "server", "listen", "ADDRESS:PORT such as 127.0.0.1:9480 or [::1]:9480");
    }
    if (!log_level_parse(out->log_level, &out->level)) {
        return wrong(e, n, "server", "log_level", "debug, info, warn or error");
    }
    return true;
}

static bool read_storage(const struct yaml_node *n, const char *where, struct arena *a,
                         struct server_storage_config *out, struct err *e)
{
    if (!conf_read(storage_fields, ARRAY_LEN(storage_fields), n, out, a, e)) {
        return false;
    }
    if (out->path.n == 0 || memchr(out->path.p, 0, out->path.n)) {
        return wrong(e, n, "storage", "path", "a folder");
    }
    if (out->segment_bytes_max > out->journal_bytes_max) {
        return wrong(e, n, "storage", "segment_bytes_max", "at most journal_bytes_max");
    }
    size_t slash = 0;
    if (where && out->path.p[0] != '/') {
        for (size_t i = 0; where[i]; i++) {
            slash = where[i] == '/' ? i + 1 : slash;
        }
    }
    int n_bytes = snprintf(out->dir, sizeof out->dir, "%.*s%.*s", (int)slash, where ? where : "",
                           STR_FMT(out->path));
    if (n_bytes < 0 || (size_t)n_bytes >= sizeof out->dir) {
        return wrong(e, n, "storage", "path", "a path of at most 511 bytes");
    }
    return true;
}

static bool read_table(const struct yaml_node *n, const struct conf_field *(*fields)(size_t *),
                       struct arena *a, void *out, struct err *e)
{
    size_t count;
    const struct conf_field *f = fields(&count);
    return conf_read(f, count, n, out, a, e);
}

static bool read_query(const struct yaml_node *n, struct arena *a, struct prom_config *out,
                       struct err *e)
{
    struct err bad = {0};
    if (!read_table(n, prom_config_fields, a, out, e)) {
        return false;
    }
    return prom_config_check(out, &bad) || wrong(e, n, "query", "features", bad.msg);
}

/* Sections with the keys of prometheus.yml; their modules read them. */
static const char *const peer_sections[] = {"global",     "scrape_configs", "scrape_config_files",
                                            "rule_files", "alerting",       "remote_write"};

/* Only known sections. */
static bool sections_check(const struct yaml_node *root, struct err *e)
{
    if (root->kind != YAML_MAPPING) {
        return err_at(e, ERR_INPUT, root->line, root->col,
                      "expected sections (server:, storage:, ...), found a %s",
                      root->kind == YAML_SCALAR ? "single value" : "list");
    }
    for (const struct yaml_node *n = root->first; n; n = n->next) {
        const char *near = NULL;
        size_t near_distance = n->key.n / 2 + 2;
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(sections) && !known; i++) {
            struct str name = str_from_c(sections[i].name);
            known = str_eq(name, n->key);
            size_t d = str_distance(name, n->key);
            if (d < near_distance) {
                near = sections[i].name;
                near_distance = d;
            }
        }
        for (size_t i = 0; i < ARRAY_LEN(peer_sections) && !known; i++) {
            struct str name = str_from_c(peer_sections[i]);
            known = str_eq(name, n->key);
            size_t d = str_distance(name, n->key);
            if (d < near_distance) {
                near = peer_sections[i];
                near_distance = d;
            }
        }
        if (!known) {
            return near ? err_at(e, ERR_INPUT, n->key_line, n->key_col,
                                 "unknown section '%.*s', did you mean '%s'?",
                                 STR_FMT(str_sub(n->key, 0, 40)), near)
                        : err_at(e, ERR_INPUT, n->key_line, n->key_col,
                                 "unknown section '%.*s', expected server, storage, ingest, "
                                 "pipeline, model, metrics or a section of prometheus.yml",
                                 STR_FMT(str_sub(n->key, 0, 40)));
        }
    }
    return true;
}

/* An empty section ("server:" and nothing more) is the section with its defaults. */
static const struct yaml_node *section_of(const struct yaml_node *root, const char *name)
{
    const struct yaml_node *n = root ? yaml_get(root, str_from_c(name)) : NULL;
    return n && yaml_is_null(n) ? NULL : n;
}

bool server_config_read(struct str text, const char *where, struct arena *a,
                        struct server_config *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    struct yaml_node *root = NULL;
    if (where && !yaml_parse(text, where, a, &root, e)) {
        return false;
    }
    err_clear(e);
    out->root = root;
    bool ok =
        (!root || sections_check(root, e)) &&
        read_own(section_of(root, "server"), a, &out->server, e) &&
        read_storage(section_of(root, "storage"), where, a, &out->storage, e) &&
        pipeline_config_read(section_of(root, "pipeline"), a, &out->pipeline, e) &&
        model_config_read(section_of(root, "model"), a, &out->model, e) &&
        ndjson_config_read(section_of(root, "ingest"), &out->model.segments, a, &out->ingest, e) &&
        read_table(section_of(root, "metrics"), server_metrics_fields, a, &out->metrics, e) &&
        read_query(section_of(root, "query"), a, &out->query, e) &&
        read_table(section_of(root, "remote_write_receiver"), remote_write_config_fields, a,
                   &out->receiver, e) &&
        read_table(section_of(root, "otlp"), otlp_config_fields, a, &out->otlp, e) &&
        otlp_config_check(&out->otlp, e) &&
        read_table(section_of(root, "rules"), server_rules_fields, a, &out->rules, e) &&
        (!root || (server_scraping_check(root, where, e) && server_rulebook_check(root, e) &&
                   server_sending_check(root, where, e)));
    if (!ok && e) {
        e->where = where;
    }
    return ok;
}

static bool nodes_equal(const struct yaml_node *a, const struct yaml_node *b, int depth)
{
    if (!a || !b) {
        return a == b;
    }
    if (a->kind != b->kind || !str_eq(a->text, b->text) || depth > YAML_DEPTH_MAX) {
        return false;
    }
    const struct yaml_node *x = a->first;
    const struct yaml_node *y = b->first;
    for (; x && y; x = x->next, y = y->next) {
        if (!str_eq(x->key, y->key) || !nodes_equal(x, y, depth + 1)) {
            return false;
        }
    }
    return x == y;
}

static bool values_equal(const struct conf_field *f, const void *a, const void *b)
{
    const unsigned char *pa = (const unsigned char *)a + f->offset;
    const unsigned char *pb = (const unsigned char *)b + f->offset;
    struct str sa;
    struct str sb;
    struct conf_strs la;
    struct conf_strs lb;
    switch (f->type) {
    case CONF_T_BOOL: return memcmp(pa, pb, sizeof(bool)) == 0;
    case CONF_T_I64:
    case CONF_T_F64:
    case CONF_T_DURATION:
    case CONF_T_BYTES: return memcmp(pa, pb, 8) == 0;
    case CONF_T_STR:
        memcpy(&sa, pa, sizeof sa);
        memcpy(&sb, pb, sizeof sb);
        return str_eq(sa, sb);
    case CONF_T_STR_LIST:
        memcpy(&la, pa, sizeof la);
        memcpy(&lb, pb, sizeof lb);
        for (uint32_t i = 0; la.count == lb.count && i < la.count; i++) {
            if (!str_eq(la.v[i], lb.v[i])) {
                return false;
            }
        }
        return la.count == lb.count;
    case CONF_T_CUSTOM: break;
    }
    return false; /* a custom value is compared by its text, see server_config_diff */
}

void server_config_diff(const struct server_config *old, const struct server_config *new,
                        void (*each)(void *ctx, const char *section, const char *key), void *ctx)
{
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        const struct yaml_node *old_node = section_of(old->root, sections[s].name);
        const struct yaml_node *new_node = section_of(new->root, sections[s].name);
        size_t count;
        const struct conf_field *f = sections[s].fields(&count);
        for (size_t i = 0; i < count; i++) {
            struct str key = str_from_c(f[i].key);
            bool equal = f[i].type == CONF_T_CUSTOM
                             ? nodes_equal(old_node ? yaml_get(old_node, key) : NULL,
                                           new_node ? yaml_get(new_node, key) : NULL, 0)
                             : values_equal(&f[i], (const char *)old + sections[s].offset,
                                            (const char *)new + sections[s].offset);
            if (!equal) {
                each(ctx, sections[s].name, f[i].key);
            }
        }
    }
    for (size_t s = 0; s < ARRAY_LEN(peer_sections); s++) {
        if (!nodes_equal(section_of(old->root, peer_sections[s]),
                         section_of(new->root, peer_sections[s]), 0)) {
            each(ctx, peer_sections[s], "");
        }
    }
}

bool server_config_is_live(const char *section, const char *key)
{
    return key[0] == '\0' || /* a section of peers */
           (str_eq(str_from_c(section), STR("server")) &&
            (str_eq(str_from_c(key), STR("tick")) || str_eq(str_from_c(key), STR("log_level"))));
}

void server_config_print(struct buf *out, enum lang lang)
{
    SAY(out, lang, CONF_DEFAULTS_HEAD, str_from_c(server_version));
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        buf_fmt(out, "\n# %s\n%s:\n", sections[s].help[lang], sections[s].name);
        size_t count;
        const struct conf_field *f = sections[s].fields(&count);
        for (size_t i = 0; i < count; i++) {
            buf_fmt(out, "  # %s (%s)\n", server_config_help(lang, sections[s].name, &f[i]),
                    server_config_type(lang, f[i].type));
            if (f[i].fallback) {
                bool empty = f[i].fallback[0] == '\0';
                buf_fmt(out, "  %s: %s\n", f[i].key, empty ? "\"\"" : f[i].fallback);
            } else {
                buf_fmt(out, "  # %s:\n", f[i].key);
            }
        }
    }
}
