/* The configuration of scraping: `global` and `scrape_configs` as in prometheus.yml, strict, with
 * places in errors.
 *
 * A section that stands in a file of scrape_config_files is read like one in the main file; its
 * errors name that file. Everything lives in the configuration's own arena, so that an old one and
 * a new one can exist side by side while the loop changes over. */
#include "ingest/scrape/scrape_int.h"

#include "base/file.h"

#define DURATION_MAX (86400000.0 * 3650)
#define LIMIT_MAX    4e9

struct raw_global {
    int64_t interval_ms, timeout_ms, evaluation_ms, offset_ms;
    struct scrape_limits_global limits;
    const struct yaml_node *protocols, *external_labels;
    int8_t always_classic, nhcb, native, extra_metrics, legacy_names;
    struct str escaping, query_log_file, failure_log;
};

const struct conf_field scrape_global_fields[] = {
    CONF_DURATION(struct raw_global, interval_ms, "scrape_interval", "1m", 0, DURATION_MAX,
                  "how often targets are asked"),
    CONF_DURATION(struct raw_global, timeout_ms, "scrape_timeout", NULL, 0, DURATION_MAX,
                  "longest wait for an answer; 10s, or the interval when that is shorter"),
    CONF_DURATION(struct raw_global, evaluation_ms, "evaluation_interval", "1m", 0, DURATION_MAX,
                  "how often rules are evaluated"),
    CONF_DURATION(struct raw_global, offset_ms, "rule_query_offset", "0s", 0, DURATION_MAX,
                  "rules look this far into the past"),
    CONF_CUSTOM(struct raw_global, protocols, "scrape_protocols", "formats to ask for, best first",
                conf_node),
    CONF_CUSTOM(struct raw_global, external_labels, "external_labels",
                "labels added when samples or alerts leave", conf_node),
    CONF_STR(struct raw_global, query_log_file, "query_log_file", NULL, "accepted, not written"),
    CONF_STR(struct raw_global, failure_log, "scrape_failure_log_file", NULL,
             "accepted, not written: failures are in Farol's log"),
    CONF_CUSTOM(struct raw_global, limits.body_bytes_max, "body_size_limit",
                "largest page, unpacked; 0 = 1GiB", scrape_read_size),
    CONF_I64(struct raw_global, limits.sample_limit, "sample_limit", NULL, 0, LIMIT_MAX,
             "most samples of a scrape; 0 = no limit"),
    CONF_I64(struct raw_global, limits.target_limit, "target_limit", NULL, 0, LIMIT_MAX,
             "most targets of a job; 0 = no limit"),
    CONF_I64(struct raw_global, limits.label_limit, "label_limit", NULL, 0, LIMIT_MAX,
             "most labels of a series; 0 = no limit"),
    CONF_I64(struct raw_global, limits.label_name_max, "label_name_length_limit", NULL, 0,
             LIMIT_MAX, "longest name of a label; 0 = no limit"),
    CONF_I64(struct raw_global, limits.label_value_max, "label_value_length_limit", NULL, 0,
             LIMIT_MAX, "longest value of a label; 0 = no limit"),
    CONF_I64(struct raw_global, limits.keep_dropped, "keep_dropped_targets", NULL, 0, LIMIT_MAX,
             "most dropped targets to remember of a job"),
    CONF_CUSTOM(struct raw_global, legacy_names, "metric_name_validation_scheme", "utf8 or legacy",
                scrape_read_names),
    CONF_STR(struct raw_global, escaping, "metric_name_escaping_scheme", NULL,
             "allow-utf-8, underscores, dots or values"),
    CONF_CUSTOM(struct raw_global, native, "scrape_native_histograms",
                "ask for protobuf and take native histograms", scrape_read_tristate),
    CONF_CUSTOM(struct raw_global, nhcb, "convert_classic_histograms_to_nhcb",
                "store classic histograms as native ones with custom bounds", scrape_read_tristate),
    CONF_CUSTOM(struct raw_global, always_classic, "always_scrape_classic_histograms",
                "classic buckets of a histogram that is native too", scrape_read_tristate),
    CONF_CUSTOM(struct raw_global, extra_metrics, "extra_scrape_metrics",
                "also scrape_timeout_seconds, scrape_sample_limit, scrape_body_size_bytes",
                scrape_read_tristate),
};
const size_t scrape_global_fields_count = ARRAY_LEN(scrape_global_fields);

/* --- global ------------------------------------------------------------------------------- */

/* The value of ${name} or $name at s.p[*i] == '$', which moves to its last byte. */
static struct str variable(const struct scrape_config_options *o, struct str s, size_t *i,
                           struct arena *a)
{
    bool brace = *i + 1 < s.n && s.p[*i + 1] == '{';
    size_t from = *i + 1 + brace;
    size_t to = from;
    if (!brace && from < s.n && s.p[from] == '$') {
        *i = from;
        return STR("$");
    }
    while (to < s.n &&
           (brace ? s.p[to] != '}'
                  : (s.p[to] == '_' || (s.p[to] >= '0' && s.p[to] <= '9') ||
                     (s.p[to] >= 'a' && s.p[to] <= 'z') || (s.p[to] >= 'A' && s.p[to] <= 'Z')))) {
        to++;
    }
    struct str name = str_of(s.p + from, to - from);
    char *c = arena_cstr(a, name);
    const char *value = c && o->env && name.n ? o->env(o->env_ctx, c) : NULL;
    *i = brace ? to : to - 1;
    if (brace && str_eq(name, STR("$"))) {
        return STR("$");
    }
    return value ? str_from_c(value) : str_of("", 0);
}

static bool expand(const struct scrape_config_options *o, struct mem *m, struct arena *a,
                   struct str *s)
{
    struct buf out;
    if (s->n == 0 || !memchr(s->p, '$', s->n)) {
        return true;
    }
    buf_init(&out, m, 1 << 20);
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] == '$') {
            buf_str_add(&out, variable(o, *s, &i, a));
        } else {
            buf_char(&out, s->p[i]);
        }
    }
    *s = out.n > 0 ? arena_str(a, buf_str(&out)) : str_of("", 0);
    bool ok = !out.failed && s->p;
    buf_release(&out);
    return ok;
}

static bool external_labels(struct scrape_config *c, const struct yaml_node *n, struct err *e)
{
    const struct label *read = NULL;
    uint32_t count = 0;
    if (!n || yaml_is_null(n)) {
        return true;
    }
    if (!scrape_read_labels(n, &c->arena, &read, &count, e)) {
        return false;
    }
    struct label *v = ARENA_ARRAY(&c->arena, struct label, count);
    if (count > 0 && !v) {
        return conf_no_memory(e);
    }
    for (uint32_t i = 0; i < count; i++) {
        v[i] = read[i];
        if (!label_name_is_valid(v[i].name, c->legacy_names)) {
            return err_at(e, ERR_INPUT, n->line, n->col, "expected valid names in external_labels");
        }
        if (!expand(c->o, c->mem, &c->arena, &v[i].value)) {
            return conf_no_memory(e);
        }
    }
    if (!labels_normalize(v, &count, e)) {
        return false;
    }
    c->global.external_labels = (struct labels){v, count};
    return true;
}

static bool check_global(struct scrape_config *c, struct raw_global *r, const struct yaml_node *n,
                         struct err *e)
{
    uint32_t line = n ? n->line : 0;
    uint32_t col = n ? n->col : 0;
    r->interval_ms = r->interval_ms ? r->interval_ms : 60000;
    if (r->timeout_ms > r->interval_ms) {
        return err_at(e, ERR_INPUT, line, col,
                      "global: scrape_timeout is greater than scrape_interval");
    }
    c->global.scrape_interval_ms = r->interval_ms;
    c->global.scrape_timeout_ms = r->timeout_ms ? r->timeout_ms : i64_min(10000, r->interval_ms);
    c->global.evaluation_interval_ms = r->evaluation_ms ? r->evaluation_ms : 60000;
    c->global.rule_query_offset_ms = r->offset_ms;
    c->global.legacy_names = r->legacy_names > 0;
    c->limits = r->limits;
    c->always_classic = r->always_classic;
    c->nhcb = r->nhcb;
    c->native = r->native;
    c->extra_metrics = r->extra_metrics;
    c->legacy_names = r->legacy_names;
    c->escaping = r->escaping;
    if (r->protocols && !yaml_is_null(r->protocols) &&
        !scrape_read_protocols(r->protocols, c->protocols, &c->protocols_n, e)) {
        return false;
    }
    return external_labels(c, r->external_labels, e);
}

static bool read_global(struct scrape_config *c, const struct yaml_node *n, struct err *e)
{
    struct raw_global *r = ARENA_NEW(&c->arena, struct raw_global);
    if (!r) {
        return conf_no_memory(e);
    }
    return conf_read(scrape_global_fields, scrape_global_fields_count, n, r, &c->arena, e) &&
           check_global(c, r, n, e);
}

/* --- jobs --------------------------------------------------------------------------------- */

static bool read_jobs(struct scrape_config *c, const struct yaml_node *n, struct err *e)
{
    if (!n || yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_SEQUENCE) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a list of scrape configurations");
    }
    for (const struct yaml_node *j = n->first; j; j = j->next) {
        if (!scrape_read_job(c, j, e)) {
            return false;
        }
    }
    return true;
}

/* Errors of another file say so themselves: its name does not outlive a configuration that
 * failed. */
static bool in_file(const char *path, struct err *e)
{
    if (e) {
        struct err inner = *e;
        err_set(e, inner.code, "%s:%u:%u: %.120s", path, inner.line, inner.col, inner.msg);
    }
    return false;
}

static bool read_config_file(struct scrape_config *c, const char *path, struct err *e)
{
    struct buf text;
    struct yaml_node *root = NULL;
    buf_init(&text, c->mem, SCRAPE_CONFIG_BYTES_MAX);
    bool ok = file_read(c->o->os, path, &text, e) &&
              yaml_parse(buf_str(&text), path, &c->arena, &root, e);
    buf_release(&text);
    for (const struct yaml_node *k = ok ? root->first : NULL; ok && k; k = k->next) {
        ok = str_eq(k->key, STR("scrape_configs")) ||
             err_at(e, ERR_INPUT, k->key_line, k->key_col, "expected only scrape_configs here");
    }
    ok = ok && read_jobs(c, yaml_get(root, STR("scrape_configs")), e);
    return ok || in_file(path, e);
}

struct files {
    struct scrape_config *c;
    struct err *e;
    bool ok;
};

static void each_file(void *ctx, const char *path)
{
    struct files *f = ctx;
    f->ok = f->ok && read_config_file(f->c, path, f->e);
}

static bool read_config_files(struct scrape_config *c, const struct yaml_node *n, struct err *e)
{
    struct files f = {c, e, true};
    if (!n || yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_SEQUENCE) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a list of paths");
    }
    for (const struct yaml_node *p = n->first; p && f.ok; p = p->next) {
        struct str path =
            p->kind == YAML_SCALAR ? conf_path(c->dir, p->text, &c->arena) : str_of(NULL, 0);
        char *pattern = path.p ? arena_cstr(&c->arena, path) : NULL;
        if (!pattern) {
            return err_at(e, ERR_INPUT, p->line, p->col, "expected a path");
        }
        if (!scrape_glob(c->o->os, pattern, each_file, &f, e)) {
            return false;
        }
    }
    return f.ok;
}

/* --- whole -------------------------------------------------------------------------------- */

static bool has_files(const struct yaml_node *n)
{
    return n && !yaml_is_null(n) && n->children_count > 0;
}

static bool read_all(struct scrape_config *c, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *jobs = yaml_get(root, STR("scrape_configs"));
    const struct yaml_node *files = yaml_get(root, STR("scrape_config_files"));
    c->jobs_cap = has_files(files) ? SCRAPE_JOBS_MAX : jobs ? jobs->children_count : 0;
    if (c->jobs_cap > SCRAPE_JOBS_MAX) {
        return err_at(e, ERR_LIMIT, jobs->line, jobs->col,
                      "expected at most %d scrape configurations", SCRAPE_JOBS_MAX);
    }
    c->jobs = ARENA_ARRAY(&c->arena, struct scrape_job, c->jobs_cap);
    if (c->jobs_cap > 0 && !c->jobs) {
        return conf_no_memory(e);
    }
    if (!read_global(c, yaml_get(root, STR("global")), e) || !read_jobs(c, jobs, e)) {
        return false;
    }
    return read_config_files(c, files, e);
}

bool scrape_config_read(const struct yaml_node *root, const char *where,
                        const struct scrape_config_options *o, struct mem *m,
                        struct scrape_config **out, struct err *e)
{
    *out = NULL;
    struct scrape_config *c = mem_take(m, sizeof *c);
    if (!c) {
        return err_set(e, ERR_NOMEM, "no memory for the configuration");
    }
    c->mem = m;
    c->o = o;
    arena_init(&c->arena, m, SCRAPE_CONFIG_BYTES_MAX);
    c->dir = arena_cstr(&c->arena, str_from_c(o->dir ? o->dir : ""));
    bool ok = c->dir ? read_all(c, root, e) : conf_no_memory(e);
    c->o = NULL;
    if (!ok) {
        if (e && !e->where) {
            e->where = where;
        }
        scrape_config_free(c);
        return false;
    }
    *out = c;
    return true;
}

/* Keys of a prometheus.yml that others read or that do not concern us. */
static bool check_top(const struct yaml_node *root, struct err *e)
{
    static const struct str known[] = {STR_INIT("global"),
                                       STR_INIT("runtime"),
                                       STR_INIT("rule_files"),
                                       STR_INIT("scrape_configs"),
                                       STR_INIT("scrape_config_files"),
                                       STR_INIT("alerting"),
                                       STR_INIT("remote_write"),
                                       STR_INIT("remote_read"),
                                       STR_INIT("storage"),
                                       STR_INIT("tracing"),
                                       STR_INIT("otlp")};
    for (const struct yaml_node *c = root->first; c; c = c->next) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            found = found || str_eq(c->key, known[i]);
        }
        if (!found) {
            struct str shown = str_sub(c->key, 0, 60);
            return err_at(e, ERR_INPUT, c->key_line, c->key_col, "unknown key \"%.*s\"",
                          STR_FMT(shown));
        }
    }
    return true;
}

bool scrape_config_parse(struct str text, const char *where, const struct scrape_config_options *o,
                         struct mem *m, struct scrape_config **out, struct err *e)
{
    struct arena a;
    struct yaml_node *root = NULL;
    *out = NULL;
    arena_init(&a, m, SCRAPE_CONFIG_BYTES_MAX);
    bool ok = yaml_parse(text, where, &a, &root, e);
    if (ok && !(root->kind == YAML_MAPPING || yaml_is_null(root))) {
        ok = err_at(e, ERR_INPUT, root->line, root->col, "expected a mapping");
    }
    ok = ok && check_top(root, e) && scrape_config_read(root, where, o, m, out, e);
    if (!ok && e && !e->where) {
        e->where = where;
    }
    arena_release(&a);
    return ok;
}

void scrape_config_free(struct scrape_config *c)
{
    if (!c) {
        return;
    }
    for (uint32_t i = 0; i < c->jobs_n; i++) {
        relabel_release(&c->jobs[i].relabel);
        relabel_release(&c->jobs[i].metric_relabel);
    }
    struct mem *m = c->mem;
    arena_release(&c->arena);
    mem_give(m, c, sizeof *c);
}

const struct scrape_global *scrape_config_global(const struct scrape_config *c)
{
    return &c->global;
}

uint32_t scrape_config_jobs(const struct scrape_config *c)
{
    return c->jobs_n;
}

void scrape_config_describe(struct buf *out)
{
    conf_describe(scrape_global_fields, scrape_global_fields_count, STR("global"), out);
    conf_describe(scrape_job_fields, scrape_job_fields_count, STR("scrape_configs[]"), out);
}
