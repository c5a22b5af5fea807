/* One entry of scrape_configs: its keys, what it inherits from global, and the checks. */
#include "ingest/scrape/scrape_int.h"

#include "base/file.h"
#include "codec/nhist.h"

#include <math.h>

#define DURATION_MAX (86400000.0 * 3650)
#define LIMIT_MAX    4e9
#define FACTOR_MAX   1e9

struct raw_job {
    struct scrape_job job;
    const struct yaml_node *params, *protocols, *fallback, *relabel, *metric_relabel, *fixed,
        *files;
    struct http_conf_raw http;
    struct str failure_log;
};

#define JOB(member) job.member

const struct conf_field scrape_job_fields[] = {
    CONF_STR(struct raw_job, JOB(name), "job_name", NULL, "the job label of its series"),
    CONF_DURATION(struct raw_job, JOB(interval_ms), "scrape_interval", NULL, 0, DURATION_MAX,
                  "how often; as global says"),
    CONF_DURATION(struct raw_job, JOB(timeout_ms), "scrape_timeout", NULL, 0, DURATION_MAX,
                  "longest wait for an answer; as global says"),
    CONF_STR(struct raw_job, JOB(metrics_path), "metrics_path", "/metrics", "path of the page"),
    CONF_STR(struct raw_job, JOB(scheme), "scheme", "http", "http or https"),
    CONF_CUSTOM(struct raw_job, params, "params", "parameters of the URL: name, list of values",
                conf_node),
    CONF_BOOL(struct raw_job, JOB(honor_labels), "honor_labels", "false",
              "a label of the page wins over the target's; else it is renamed exported_..."),
    CONF_BOOL(struct raw_job, JOB(honor_timestamps), "honor_timestamps", "true",
              "take times that the page gives"),
    CONF_BOOL(struct raw_job, JOB(track_timestamps_staleness), "track_timestamps_staleness",
              "false", "mark vanished series stale although the page gave times"),
    CONF_CUSTOM(struct raw_job, protocols, "scrape_protocols", "formats to ask for, best first",
                conf_node),
    CONF_CUSTOM(struct raw_job, fallback, "fallback_scrape_protocol",
                "format of an answer without a known Content-Type", conf_node),
    CONF_CUSTOM(struct raw_job, JOB(native), "scrape_native_histograms",
                "ask for protobuf and take native histograms", scrape_read_tristate),
    CONF_CUSTOM(struct raw_job, JOB(always_classic), "always_scrape_classic_histograms",
                "classic buckets of a histogram that is native too", scrape_read_tristate),
    CONF_CUSTOM(struct raw_job, JOB(always_classic), "scrape_classic_histograms",
                "old name of always_scrape_classic_histograms", scrape_read_tristate),
    CONF_CUSTOM(struct raw_job, JOB(nhcb), "convert_classic_histograms_to_nhcb",
                "store classic histograms as native ones with custom bounds", scrape_read_tristate),
    CONF_CUSTOM(struct raw_job, JOB(extra_metrics), "extra_scrape_metrics",
                "also scrape_timeout_seconds, scrape_sample_limit, scrape_body_size_bytes",
                scrape_read_tristate),
    CONF_BOOL(struct raw_job, JOB(gzip), "enable_compression", "true", "ask for gzip"),
    CONF_CUSTOM(struct raw_job, JOB(body_bytes_max), "body_size_limit",
                "largest page, unpacked; 0 = as global says", scrape_read_size),
    CONF_I64(struct raw_job, JOB(sample_limit), "sample_limit", NULL, 0, LIMIT_MAX,
             "most samples of a scrape; more and it fails; 0 = as global says"),
    CONF_I64(struct raw_job, JOB(target_limit), "target_limit", NULL, 0, LIMIT_MAX,
             "most targets of the job; more and all of them fail"),
    CONF_I64(struct raw_job, JOB(label_limit), "label_limit", NULL, 0, LIMIT_MAX,
             "most labels of a series"),
    CONF_I64(struct raw_job, JOB(label_name_max), "label_name_length_limit", NULL, 0, LIMIT_MAX,
             "longest name of a label"),
    CONF_I64(struct raw_job, JOB(label_value_max), "label_value_length_limit", NULL, 0, LIMIT_MAX,
             "longest value of a label"),
    CONF_I64(
        struct raw_job, JOB(bucket_limit), "native_histogram_bucket_limit", NULL, 0, LIMIT_MAX,
        "most buckets of a native histogram; more are joined, and if that is not enough the scrape "
        "fails"),
    CONF_F64(struct raw_job, JOB(bucket_factor_min), "native_histogram_min_bucket_factor", NULL, 0,
             FACTOR_MAX, "finer buckets of native histograms are joined; 0 = about 1.0027"),
    CONF_I64(struct raw_job, JOB(keep_dropped), "keep_dropped_targets", NULL, 0, LIMIT_MAX,
             "most dropped targets to remember"),
    CONF_CUSTOM(struct raw_job, JOB(legacy_names), "metric_name_validation_scheme",
                "utf8 or legacy", scrape_read_names),
    CONF_STR(struct raw_job, JOB(escaping), "metric_name_escaping_scheme", NULL,
             "allow-utf-8, underscores, dots or values"),
    CONF_STR(struct raw_job, failure_log, "scrape_failure_log_file", NULL,
             "refused: failures are in Farol's log"),
    CONF_CUSTOM(struct raw_job, fixed, "static_configs", "targets written here", conf_node),
    CONF_CUSTOM(struct raw_job, files, "file_sd_configs", "files with targets", conf_node),
    CONF_CUSTOM(struct raw_job, relabel, "relabel_configs", "rules over the labels of targets",
                conf_node),
    CONF_CUSTOM(struct raw_job, metric_relabel, "metric_relabel_configs",
                "rules over the labels of series", conf_node),
    HTTP_CONF_ROWS(struct raw_job, http),
    HTTP_CONF_ROWS_FETCH(struct raw_job, http),
};
const size_t scrape_job_fields_count = ARRAY_LEN(scrape_job_fields);

/* Other ways of discovery exist, outside: their names get more than "unknown key". */
static bool check_discovery(const struct yaml_node *n, struct err *e)
{
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (str_ends(c->key, STR("_sd_configs")) && !str_eq(c->key, STR("file_sd_configs"))) {
            struct str shown = str_sub(c->key, 0, 60);
            return err_at(e, ERR_INPUT, c->key_line, c->key_col,
                          "%.*s is not supported: targets are found by static_configs and "
                          "file_sd_configs (files that any discovery tool may write)",
                          STR_FMT(shown));
        }
    }
    return true;
}

static bool fail(const struct scrape_job *j, struct err *e, const char *what)
{
    struct str shown = str_sub(j->name, 0, 60);
    return err_at(e, ERR_INPUT, j->line, j->col, "job \"%.*s\": %s", STR_FMT(shown), what);
}

static int64_t or_global(int64_t own, int64_t global)
{
    return own ? own : global;
}

static void inherit(struct scrape_job *j, const struct scrape_config *c)
{
    const struct scrape_limits_global *g = &c->limits;
    j->sample_limit = or_global(j->sample_limit, g->sample_limit);
    j->target_limit = or_global(j->target_limit, g->target_limit);
    j->label_limit = or_global(j->label_limit, g->label_limit);
    j->label_name_max = or_global(j->label_name_max, g->label_name_max);
    j->label_value_max = or_global(j->label_value_max, g->label_value_max);
    j->keep_dropped = or_global(j->keep_dropped, g->keep_dropped);
    j->body_bytes_max = j->body_bytes_max ? j->body_bytes_max : g->body_bytes_max;
    j->always_classic = j->always_classic < 0 ? c->always_classic : j->always_classic;
    j->nhcb = j->nhcb < 0 ? c->nhcb : j->nhcb;
    j->native = j->native < 0 ? c->native : j->native;
    j->extra_metrics = j->extra_metrics < 0 ? c->extra_metrics : j->extra_metrics;
}

static void default_protocols(struct scrape_job *j, const struct scrape_config *c)
{
    static const uint8_t best[] = {PROTO_PROTOBUF, PROTO_OPENMETRICS_1_0_0, PROTO_OPENMETRICS_0_0_1,
                                   PROTO_TEXT_1_0_0, PROTO_TEXT_0_0_4};
    if (j->protocols_n > 0) {
        return;
    }
    if (c->protocols_n > 0) {
        memcpy(j->protocols, c->protocols, c->protocols_n);
        j->protocols_n = c->protocols_n;
        return;
    }
    uint32_t from = j->native ? 0 : 1;
    j->protocols_n = SCRAPE_PROTOCOLS - from;
    memcpy(j->protocols, best + from, j->protocols_n);
}

static bool check_times(struct scrape_job *j, const struct scrape_config *c, struct err *e)
{
    j->interval_ms = or_global(j->interval_ms, c->global.scrape_interval_ms);
    if (j->timeout_ms > j->interval_ms) {
        return fail(j, e, "scrape_timeout is greater than scrape_interval");
    }
    j->timeout_ms =
        j->timeout_ms ? j->timeout_ms : i64_min(c->global.scrape_timeout_ms, j->interval_ms);
    return true;
}

static bool check_names(struct scrape_job *j, const struct scrape_config *c, struct err *e)
{
    bool own = j->legacy_names >= 0;
    j->legacy_names = own ? j->legacy_names : c->legacy_names;
    if (j->escaping.n == 0) {
        j->escaping = !own && c->escaping.n ? c->escaping
                      : j->legacy_names     ? STR("underscores")
                                            : STR("allow-utf-8");
    }
    bool utf8 = str_eq(j->escaping, STR("allow-utf-8"));
    if (!utf8 && !str_eq(j->escaping, STR("underscores")) && !str_eq(j->escaping, STR("dots")) &&
        !str_eq(j->escaping, STR("values"))) {
        return fail(
            j, e, "expected metric_name_escaping_scheme allow-utf-8, underscores, dots or values");
    }
    if (utf8 && j->legacy_names) {
        return fail(j, e, "metric_name_escaping_scheme allow-utf-8 needs utf8 names");
    }
    return true;
}

/* The finest schema whose buckets grow by the factor or more: 2^(2^-schema) >= factor. */
static int8_t schema_of(double factor)
{
    double schema = factor > 1 ? floor(-log2(log2(factor))) : NHIST_SCHEMA_MAX;
    return schema >= NHIST_SCHEMA_MAX   ? NHIST_SCHEMA_MAX
           : schema <= NHIST_SCHEMA_MIN ? NHIST_SCHEMA_MIN
                                        : (int8_t)schema;
}

static bool check_rest(const struct raw_job *r, struct err *e)
{
    const struct scrape_job *j = &r->job;
    if (!str_eq(j->scheme, STR("http")) && !str_eq(j->scheme, STR("https"))) {
        return fail(j, e, "expected scheme http or https");
    }
    if (r->failure_log.n) {
        return fail(j, e, "scrape_failure_log_file is not supported: failures are in Farol's log");
    }
    return true;
}

/* The rules drop the target or make an address of it that can be asked. */
static bool address_is_good(const struct scrape_job *j, const struct scrape_group *g,
                            struct str target, struct mem *m)
{
    struct arena a;
    struct buf scratch;
    struct lset l;
    arena_init(&a, m, 1 << 20);
    buf_init(&scratch, m, 1 << 20);
    lset_init(&l, &a);
    scrape_discovered(j, g, target, str_of("", 0), &l, &scratch);
    bool keep = relabel_apply(&j->relabel, &l, &scratch);
    struct str address = lset_get(&l, STR("__address__"));
    bool good = !keep || l.failed || (address.n > 0 && !memchr(address.p, '/', address.n));
    buf_release(&scratch);
    arena_release(&a);
    return good;
}

/* A URL where only host:port may stand. With rules, which may still change it, this is looked at
 * only in a check: a server starts, and says so of the target. */
static bool check_targets(const struct scrape_config *c, const struct scrape_job *j, struct err *e)
{
    for (uint32_t g = 0; (j->relabel.n == 0 || c->o->check_files) && g < j->groups_n; g++) {
        for (uint32_t i = 0; i < j->groups[g].targets.count; i++) {
            struct str t = j->groups[g].targets.v[i];
            bool plain = t.n > 0 && !memchr(t.p, '/', t.n);
            if (!(plain && j->relabel.n == 0) && !address_is_good(j, &j->groups[g], t, c->mem)) {
                struct str shown = str_sub(t, 0, 80);
                return err_at(e, ERR_INPUT, j->line, j->col,
                              "expected a target like host:port, found \"%.*s\"", STR_FMT(shown));
            }
        }
    }
    return true;
}

static bool check_file(struct str path, const struct os *os, struct err *e)
{
    char name[PATH_BYTES_MAX];
    int fd = -1;
    if (path.n == 0) {
        return true;
    }
    if (path.n >= sizeof name) {
        return err_set(e, ERR_INPUT, "expected a path of less than %d bytes", PATH_BYTES_MAX);
    }
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    int rc = os->open(os->ctx, name, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", name);
    }
    os->close(os->ctx, fd);
    return true;
}

/* The files that a scrape will read can be opened. */
static bool check_files(const struct http_conf *h, const struct os *os, struct err *e)
{
    return check_file(h->password_file, os, e) && check_file(h->credentials_file, os, e) &&
           check_file(h->tls.ca_file, os, e) && check_file(h->tls.cert_file, os, e) &&
           check_file(h->tls.key_file, os, e);
}

static bool read_lists(struct scrape_config *c, const struct yaml_node *n, struct raw_job *r,
                       struct err *e)
{
    struct scrape_job *j = &r->job;
    struct arena *a = &c->arena;
    return (!r->params || scrape_read_params(r->params, a, j, e)) &&
           (!r->protocols || yaml_is_null(r->protocols) ||
            scrape_read_protocols(r->protocols, j->protocols, &j->protocols_n, e)) &&
           (!r->fallback || yaml_is_null(r->fallback) ||
            scrape_read_protocol(r->fallback, &j->fallback, e)) &&
           (!r->fixed || scrape_read_static(r->fixed, a, j, e)) &&
           (!r->files || scrape_read_files(r->files, c->dir, a, j, e)) &&
           http_conf_read(&r->http, n, c->dir, HTTP_CONF_FETCH, a, &j->http, e) &&
           (!c->o->check_files || check_files(&j->http, c->o->os, e));
}

static bool finish_job(struct scrape_config *c, const struct raw_job *r, struct scrape_job *j,
                       struct err *e)
{
    bool legacy = j->legacy_names > 0;
    return relabel_read(r->relabel, legacy, c->mem, &c->arena, &j->relabel, e) &&
           relabel_read(r->metric_relabel, legacy, c->mem, &c->arena, &j->metric_relabel, e) &&
           check_targets(c, j, e);
}

bool scrape_read_job(struct scrape_config *c, const struct yaml_node *n, struct err *e)
{
    struct raw_job *r = ARENA_NEW(&c->arena, struct raw_job);
    if (!r || c->jobs_n == c->jobs_cap) {
        return conf_no_memory(e);
    }
    if (n->kind != YAML_MAPPING) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a scrape configuration");
    }
    r->job = (struct scrape_job){.always_classic = -1,
                                 .nhcb = -1,
                                 .native = -1,
                                 .extra_metrics = -1,
                                 .fallback = -1,
                                 .legacy_names = -1,
                                 .line = n->line,
                                 .col = n->col};
    if (!check_discovery(n, e) ||
        !conf_read(scrape_job_fields, scrape_job_fields_count, n, r, &c->arena, e)) {
        return false;
    }
    struct scrape_job *j = &r->job;
    j->line = n->line;
    j->col = n->col;
    if (j->name.n == 0) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a job_name");
    }
    for (uint32_t i = 0; i < c->jobs_n; i++) {
        if (str_eq(c->jobs[i].name, j->name)) {
            return fail(j, e, "another job has the same job_name");
        }
    }
    inherit(j, c);
    j->schema_max = schema_of(j->bucket_factor_min);
    if (!check_times(j, c, e) || !check_names(j, c, e) || !check_rest(r, e) ||
        !read_lists(c, n, r, e)) {
        return false;
    }
    default_protocols(j, c);
    struct scrape_job *out = &c->jobs[c->jobs_n++]; /* from here on released with c */
    *out = *j;
    return finish_job(c, r, out, e);
}
