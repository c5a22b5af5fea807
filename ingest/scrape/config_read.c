/* Values of scrape configurations: sizes, protocols, labels, groups of targets, paths. */
#include "ingest/scrape/scrape_int.h"

static bool expected(const struct yaml_node *n, const char *what, struct err *e)
{
    if (n->kind != YAML_SCALAR) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected %s, found a %s", what,
                      n->kind == YAML_MAPPING ? "mapping" : "list");
    }
    struct str shown = str_sub(n->text, 0, 60);
    return err_at(e, ERR_INPUT, n->line, n->col, "expected %s, found \"%.*s\"", what,
                  STR_FMT(shown));
}

/* "10MB", "1.5GiB", "0": all units are powers of 1,024, as in the peers. */
bool scrape_read_size(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    static const struct {
        struct str unit;
        double size;
    } units[] = {{STR_INIT("B"), 1},        {STR_INIT("KB"), 0x1p10},  {STR_INIT("KiB"), 0x1p10},
                 {STR_INIT("MB"), 0x1p20},  {STR_INIT("MiB"), 0x1p20}, {STR_INIT("GB"), 0x1p30},
                 {STR_INIT("GiB"), 0x1p30}, {STR_INIT("TB"), 0x1p40},  {STR_INIT("TiB"), 0x1p40}};
    uint64_t *out = dst;
    size_t digits = 0;
    double v = 0;
    (void)a;
    struct str s = n->text;
    if (n->kind == YAML_SCALAR && str_eq(s, STR("0"))) {
        *out = 0;
        return true;
    }
    while (n->kind == YAML_SCALAR && digits < s.n &&
           ((s.p[digits] >= '0' && s.p[digits] <= '9') || s.p[digits] == '.')) {
        digits++;
    }
    for (size_t i = 0; digits > 0 && i < ARRAY_LEN(units); i++) {
        if (str_eq(str_sub(s, digits, s.n), units[i].unit) &&
            str_to_f64(str_sub(s, 0, digits), &v) && v * units[i].size < 0x1p62) {
            *out = (uint64_t)(v * units[i].size);
            return true;
        }
    }
    return expected(n, "a size like 10MB", e);
}

bool scrape_read_tristate(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    int8_t *out = dst;
    (void)a;
    bool yes = n->kind == YAML_SCALAR && str_eq_nocase(n->text, STR("true"));
    bool no = n->kind == YAML_SCALAR && str_eq_nocase(n->text, STR("false"));
    *out = (int8_t)yes;
    return yes || no || expected(n, "true or false", e);
}

bool scrape_read_names(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    int8_t *out = dst;
    (void)a;
    bool legacy = n->kind == YAML_SCALAR && str_eq(n->text, STR("legacy"));
    bool utf8 = n->kind == YAML_SCALAR && str_eq(n->text, STR("utf8"));
    *out = (int8_t)legacy;
    return legacy || utf8 || expected(n, "legacy or utf8", e);
}

/* --- protocols ---------------------------------------------------------------------------- */

static const struct {
    struct str name, media;
} protocols[SCRAPE_PROTOCOLS] = {
    {STR_INIT("PrometheusProto"),
     STR_INIT("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
              "encoding=delimited")},
    {STR_INIT("PrometheusText0.0.4"), STR_INIT("text/plain;version=0.0.4")},
    {STR_INIT("PrometheusText1.0.0"), STR_INIT("text/plain;version=1.0.0")},
    {STR_INIT("OpenMetricsText0.0.1"), STR_INIT("application/openmetrics-text;version=0.0.1")},
    {STR_INIT("OpenMetricsText1.0.0"), STR_INIT("application/openmetrics-text;version=1.0.0")},
};

bool scrape_protocol_of(struct str s, enum scrape_protocol *out)
{
    for (unsigned i = 0; i < SCRAPE_PROTOCOLS; i++) {
        if (str_eq(s, protocols[i].name)) {
            *out = (enum scrape_protocol)i;
            return true;
        }
    }
    return false;
}

struct str scrape_protocol_media(enum scrape_protocol p)
{
    return protocols[p].media;
}

static bool read_protocol(const struct yaml_node *n, enum scrape_protocol *out, struct err *e)
{
    return (n->kind == YAML_SCALAR && scrape_protocol_of(n->text, out)) ||
           expected(n,
                    "PrometheusProto, PrometheusText0.0.4, PrometheusText1.0.0, "
                    "OpenMetricsText0.0.1 or OpenMetricsText1.0.0",
                    e);
}

bool scrape_read_protocol(const struct yaml_node *n, int8_t *out, struct err *e)
{
    enum scrape_protocol p = PROTO_TEXT_0_0_4;
    if (!read_protocol(n, &p, e)) {
        return false;
    }
    *out = (int8_t)p;
    return true;
}

bool scrape_read_protocols(const struct yaml_node *n, uint8_t *out, uint32_t *count, struct err *e)
{
    *count = 0;
    if (n->kind != YAML_SEQUENCE || n->children_count == 0) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a list of one to five protocols");
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        enum scrape_protocol p = PROTO_TEXT_0_0_4;
        if (!read_protocol(c, &p, e)) {
            return false;
        }
        for (uint32_t i = 0; i < *count; i++) {
            if (out[i] == p) {
                return err_at(e, ERR_INPUT, c->line, c->col, "a protocol is listed twice");
            }
        }
        out[(*count)++] = (uint8_t)p;
    }
    return true;
}

/* --- labels, groups, parameters ----------------------------------------------------------- */

static bool read_strs(const struct yaml_node *n, struct arena *a, struct conf_strs *out,
                      struct err *e)
{
    *out = (struct conf_strs){NULL, 0};
    if (n->kind != YAML_SEQUENCE) {
        return yaml_is_null(n) || expected(n, "a list of strings", e);
    }
    out->v = ARENA_ARRAY(a, struct str, n->children_count);
    if (n->children_count > 0 && !out->v) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (c->kind != YAML_SCALAR) {
            return expected(c, "a string", e);
        }
        struct str s = c->text.n ? arena_str(a, c->text) : str_of("", 0);
        if (!s.p) {
            return conf_no_memory(e);
        }
        out->v[out->count++] = s;
    }
    return true;
}

bool scrape_read_labels(const struct yaml_node *n, struct arena *a, const struct label **out,
                        uint32_t *count, struct err *e)
{
    *out = NULL;
    *count = 0;
    if (n->kind != YAML_MAPPING) {
        return yaml_is_null(n) || expected(n, "a mapping of labels", e);
    }
    struct label *v = ARENA_ARRAY(a, struct label, n->children_count);
    if (n->children_count > 0 && !v) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (!label_name_is_valid(c->key, false)) {
            return err_at(e, ERR_INPUT, c->key_line, c->key_col, "expected a label name");
        }
        if (c->kind != YAML_SCALAR || !str_is_utf8(c->text)) {
            return expected(c, "the value of a label", e);
        }
        struct label l = {arena_str(a, c->key), c->text.n ? arena_str(a, c->text) : str_of("", 0)};
        if (!l.name.p || !l.value.p) {
            return conf_no_memory(e);
        }
        v[(*count)++] = l;
    }
    *out = v;
    return true;
}

bool scrape_read_group(const struct yaml_node *n, struct arena *a, struct scrape_group *out,
                       struct err *e)
{
    *out = (struct scrape_group){.labels_n = 0};
    if (n->kind != YAML_MAPPING) {
        return expected(n, "a group of targets (targets, labels)", e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        bool ok = true;
        if (str_eq(c->key, STR("targets"))) {
            ok = read_strs(c, a, &out->targets, e);
        } else if (str_eq(c->key, STR("labels"))) {
            ok = scrape_read_labels(c, a, &out->labels, &out->labels_n, e);
        } else {
            struct str shown = str_sub(c->key, 0, 60);
            return err_at(e, ERR_INPUT, c->key_line, c->key_col,
                          "unknown key \"%.*s\": expected targets or labels", STR_FMT(shown));
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool scrape_read_static(const struct yaml_node *n, struct arena *a, struct scrape_job *job,
                        struct err *e)
{
    if (yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_SEQUENCE) {
        return expected(n, "a list of groups of targets", e);
    }
    job->groups = ARENA_ARRAY(a, struct scrape_group, n->children_count);
    if (n->children_count > 0 && !job->groups) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        struct scrape_group *g = &job->groups[job->groups_n++];
        if (!scrape_read_group(c, a, g, e)) {
            return false;
        }
    }
    return true;
}

bool scrape_read_params(const struct yaml_node *n, struct arena *a, struct scrape_job *job,
                        struct err *e)
{
    if (n->kind != YAML_MAPPING) {
        return yaml_is_null(n) || expected(n, "a mapping of parameters", e);
    }
    job->params = ARENA_ARRAY(a, struct scrape_param, n->children_count);
    if (n->children_count > 0 && !job->params) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        struct scrape_param *p = &job->params[job->params_n++];
        p->name = c->key.n ? arena_str(a, c->key) : str_of("", 0);
        if (!p->name.p) {
            return conf_no_memory(e);
        }
        if (!read_strs(c, a, &p->values, e)) {
            return false;
        }
    }
    return true;
}

/* --- files -------------------------------------------------------------------------------- */

/* Ends in .json, .yml or .yaml, with at most one *, and that in the last part. */
static bool sd_path_is_valid(struct str s)
{
    static const struct str ends[] = {STR_INIT(".json"), STR_INIT(".yml"), STR_INIT(".yaml"),
                                      STR_INIT(".JSON"), STR_INIT(".YML"), STR_INIT(".YAML")};
    bool ok = false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        ok = ok || str_ends(s, ends[i]);
    }
    struct str_cut star = str_cut(s, '*');
    return ok && (!star.ok || (!str_cut(star.tail, '/').ok && !str_cut(star.tail, '*').ok));
}

static bool read_file_sd(const struct yaml_node *n, const char *dir, struct arena *a,
                         struct scrape_file_sd *out, struct err *e)
{
    static const struct conf_field fields[] = {
        CONF_STR_LIST(struct scrape_file_sd, files, "files", NULL, 0, 0, "files of targets"),
        CONF_DURATION(struct scrape_file_sd, refresh_ms, "refresh_interval", "5m", 0,
                      86400000.0 * 365, "files are read again at least this often"),
    };
    if (n->kind != YAML_MAPPING) {
        return expected(n, "files and refresh_interval", e);
    }
    if (!conf_read(fields, ARRAY_LEN(fields), n, out, a, e)) {
        return false;
    }
    if (out->files.count == 0) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected at least one path in files");
    }
    for (uint32_t i = 0; i < out->files.count; i++) {
        struct str *f = &out->files.v[i];
        if (!sd_path_is_valid(*f)) {
            struct str shown = str_sub(*f, 0, 100);
            return err_at(e, ERR_INPUT, n->line, n->col,
                          "expected a path that ends in .json, .yml or .yaml (with at most one *, "
                          "in its last part), found \"%.*s\"",
                          STR_FMT(shown));
        }
        *f = conf_path(dir, *f, a);
        if (!f->p) {
            return conf_no_memory(e);
        }
    }
    return true;
}

bool scrape_read_files(const struct yaml_node *n, const char *dir, struct arena *a,
                       struct scrape_job *job, struct err *e)
{
    if (yaml_is_null(n)) {
        return true;
    }
    if (n->kind != YAML_SEQUENCE) {
        return expected(n, "a list of file discoveries", e);
    }
    job->files = ARENA_ARRAY(a, struct scrape_file_sd, n->children_count);
    if (n->children_count > 0 && !job->files) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (!read_file_sd(c, dir, a, &job->files[job->files_n++], e)) {
            return false;
        }
    }
    return true;
}
