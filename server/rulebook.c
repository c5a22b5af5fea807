/* See rulebook_int.h. The engine reads files, so the pillars' rules are written below storage.path
 * (rules/pipeline/alerts/stages.yml) when what is there differs: people find there what fires, and
 * the paths of /api/v1/rules are real. */
#include "server/rulebook_int.h"

#include "server/scraping_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX      1024
#define FILE_BYTES_MAX (16U << 20)
#define GIB            (1024.0 * 1024.0 * 1024.0)
#define SECOND         1000.0
#define EXTERNAL_MAX   64
#define URL_BYTES_MAX  256

static const struct conf_field fields[] = {
    CONF_BOOL(struct server_rules_config, builtin, "builtin", "true",
              "evaluate the alert rules of the pillars, which come with farol"),
    CONF_STR(struct server_rules_config, external_url, "external_url", "",
             "address of this server as people reach it, for links in alerts; empty = http:// and "
             "server.listen"),
    CONF_I64(struct server_rules_config, threads, "threads", "2", 1, 64, "rules evaluated at once"),
    CONF_DURATION(struct server_rules_config, outage_tolerance_ms, "outage_tolerance", "1h", 0,
                  864000 * SECOND,
                  "longest outage after which `for` of an alert goes on where it was"),
    CONF_DURATION(struct server_rules_config, grace_period_ms, "grace_period", "10m", 0,
                  864000 * SECOND,
                  "least time between a start and firing of an alert that was pending before"),
    CONF_DURATION(struct server_rules_config, resend_delay_ms, "resend_delay", "1m", SECOND,
                  86400 * SECOND, "least time until an alert that is firing is sent again"),
    CONF_BYTES(struct server_rules_config, bytes_max, "bytes_max", "512MiB", 1 << 20, 64 * GIB,
               "memory of rule files, states and results"),
};

const struct conf_field *server_rules_fields(size_t *count)
{
    *count = ARRAY_LEN(fields);
    return fields;
}

/* The folder of farol.yml, where relative patterns begin. */
static void folder_of(const char *where, char out[PATH_BYTES_MAX])
{
    size_t slash = 0;
    for (size_t i = 0; where && where[i]; i++) {
        slash = where[i] == '/' ? i + 1 : slash;
    }
    (void)snprintf(out, PATH_BYTES_MAX, "%.*s", slash > 0 ? (int)slash : 1,
                   slash > 0 ? where : ".");
}

bool server_rulebook_check(const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *list = root ? yaml_get(root, STR("rule_files")) : NULL;
    if (!list || yaml_is_null(list)) {
        return true;
    }
    if (list->kind != YAML_SEQUENCE || list->children_count > FILES_MAX) {
        return err_at(e, ERR_INPUT, list->line, list->col,
                      "rule_files: expected a list of at most %d paths", FILES_MAX);
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (n->kind != YAML_SCALAR || n->text.n == 0) {
            return err_at(e, ERR_INPUT, n->line, n->col, "rule_files: expected a path or pattern");
        }
    }
    return true;
}

bool server_rulebook_check_files(const struct server_rules_config *config, unsigned flags,
                                 const struct yaml_node *root, const char *where, struct str text,
                                 const struct os *os,
                                 void (*each)(void *ctx, const struct err *e, struct str text),
                                 void *ctx)
{
    const struct yaml_node *list = root ? yaml_get(root, STR("rule_files")) : NULL;
    struct rules_check c = {
        .promql_flags = flags, .bytes_max = config->bytes_max, .each = each, .ctx = ctx};
    char dir[PATH_BYTES_MAX];
    folder_of(where, dir);
    for (const struct yaml_node *n = list ? list->first : NULL; n; n = n->next) {
        struct err e = {0};
        if (!rules_check(&c, os, dir, n->text, &e)) {
            e.where = where;
            e.line = n->line;
            e.col = n->col;
            c.problems++;
            each(ctx, &e, text);
        }
    }
    return c.problems == 0;
}

/* -- The pillars' files -- */

static bool same_file(const struct os *os, const char *path, struct str text)
{
    struct mem m;
    struct buf b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&b, &m, FILE_BYTES_MAX);
    const bool same = file_read(os, path, &b, &e) && str_eq(buf_str(&b), text);
    buf_release(&b);
    return same;
}

static bool write_one(struct server_rulebook *b, const struct embedded *f, const struct os *os,
                      struct err *e)
{
    char path[PATH_BYTES_MAX];
    const struct str text = str_of((const char *)f->bytes, f->n);
    if (!path_join(path, sizeof path, b->dir, f->name, e)) {
        return false;
    }
    if (same_file(os, path, text)) {
        return true;
    }
    for (size_t i = strlen(b->dir) + 1; path[i]; i++) {
        if (path[i] == '/') {
            path[i] = '\0';
            const bool ok = dir_make(os, path, e);
            path[i] = '/';
            if (!ok) {
                return false;
            }
        }
    }
    return file_replace(os, path, text, e);
}

static bool write_builtin(struct server_rulebook *b, const char *storage_dir, const struct os *os,
                          struct err *e)
{
    char dir[PATH_BYTES_MAX];
    if (!path_join(dir, sizeof dir, storage_dir, "rules", e) || !dir_make(os, storage_dir, e) ||
        !dir_make(os, dir, e)) {
        return false;
    }
    char *whole = realpath(dir, NULL); /* rule_files begin elsewhere */
    if (!whole || strlen(whole) >= sizeof b->dir) {
        free(whole);
        return err_errno(e, errno, "cannot use the folder '%s'", dir);
    }
    (void)snprintf(b->dir, sizeof b->dir, "%s", whole);
    free(whole);
    for (unsigned i = 0; i < server_rule_files_count; i++) {
        if (!write_one(b, &server_rule_files[i], os, e)) {
            return false;
        }
    }
    return true;
}

/* -- Reading -- */

static bool add_path(struct arena *a, struct str *v, uint32_t *n, const char *dir, struct str name,
                     struct err *e)
{
    struct buf b;
    buf_init(&b, a->mem, (size_t)PATH_BYTES_MAX * 2);
    if (dir) {
        buf_fmt(&b, "%s/", dir);
    }
    buf_str_add(&b, name);
    v[*n] = arena_str(a, buf_str(&b));
    const bool ok = buf_ok(&b, e) && v[*n].p;
    (*n)++;
    buf_release(&b);
    return ok || err_set(e, ERR_NOMEM, "no memory for the names of rule files");
}

/* Labels that leave with every alert, borrowed from g. */
static bool external_of(const struct scrape_global *g, struct rule_pair out[EXTERNAL_MAX],
                        uint32_t *n, struct err *e)
{
    *n = 0;
    if (g->external_labels.n > EXTERNAL_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d external labels", EXTERNAL_MAX);
    }
    for (uint32_t i = 0; i < g->external_labels.n; i++) {
        out[(*n)++] =
            (struct rule_pair){g->external_labels.v[i].name, g->external_labels.v[i].value};
    }
    return true;
}

static bool prepare(struct server_rulebook *b, const struct yaml_node *root, const char *where,
                    const struct scrape_global *g, struct arena *a, struct rules_change **out,
                    struct err *e)
{
    const struct yaml_node *list = root ? yaml_get(root, STR("rule_files")) : NULL;
    const uint32_t given = list && !yaml_is_null(list) ? list->children_count : 0;
    struct rule_pair external[EXTERNAL_MAX];
    struct rules_globals globals = {.interval_ms = g->evaluation_interval_ms,
                                    .query_offset_ms = g->rule_query_offset_ms,
                                    .external_labels = external};
    char dir[PATH_BYTES_MAX];
    uint32_t n = 0;
    struct str *v = ARENA_ARRAY(a, struct str, given + server_rule_files_count + 1);
    if (!v) {
        return err_set(e, ERR_NOMEM, "no memory for the names of rule files");
    }
    folder_of(where, dir);
    for (unsigned i = 0; i < server_rule_files_count && b->builtin; i++) {
        if (!add_path(a, v, &n, b->dir, str_from_c(server_rule_files[i].name), e)) {
            return false;
        }
    }
    for (const struct yaml_node *p = given > 0 ? list->first : NULL; p; p = p->next) {
        if (!add_path(a, v, &n, NULL, p->text, e)) {
            return false;
        }
    }
    return external_of(g, external, &globals.external_labels_n, e) &&
           rules_prepare(b->rules, &globals, dir, v, n, out, e);
}

bool server_rulebook_prepare(struct server_rulebook *b, const struct yaml_node *root,
                             const char *where, const struct os *os, struct rules_change **out,
                             struct err *e)
{
    struct scrape_config *c = NULL;
    struct mem m, scraping;
    struct arena a;
    mem_init(&m, 0);
    mem_init(&scraping, 0);
    arena_init(&a, &m, FILE_BYTES_MAX);
    *out = NULL;
    const bool ok = server_scraping_read(root, where, os, &scraping, &c, e) &&
                    prepare(b, root, where, scrape_config_global(c), &a, out, e);
    scrape_config_free(c);
    arena_release(&a);
    return ok;
}

/* -- Life -- */

static bool new_engine(struct server_rulebook *b, const struct rulebook_options *o,
                       const struct scrape_global *g, struct err *e)
{
    struct rule_pair external[EXTERNAL_MAX];
    const struct server_rules_config *c = o->config;
    uint32_t n = 0;
    if (!external_of(g, external, &n, e)) {
        return false;
    }
    const struct rules_config rules = {
        .interval_ms = g->evaluation_interval_ms,
        .query_offset_ms = g->rule_query_offset_ms,
        .external_labels = external,
        .external_labels_n = n,
        .external_url = c->external_url.n > 0 ? c->external_url : str_from_c(o->url),
        .outage_tolerance_ms = c->outage_tolerance_ms,
        .grace_period_ms = c->grace_period_ms,
        .resend_delay_ms = c->resend_delay_ms,
        .threads = (uint32_t)c->threads,
        .lookback_ms = o->query->lookback_ms,
        .timeout_ms = o->query->timeout_ms,
        .samples_max = (uint64_t)o->query->samples_max,
        .query_bytes_max = o->query->query_bytes_max,
        .series_max = (uint32_t)i64_min(o->query->series_max, UINT32_MAX),
        .promql_flags = o->query->flags,
        .bytes_max = c->bytes_max};
    return rules_new(&rules, o->db, o->os, o->log, o->sink, &b->rules, e);
}

bool server_rulebook_start(struct server_rulebook *b, const struct rulebook_options *o,
                           struct err *e)
{
    struct scrape_config *c = NULL;
    struct mem m;
    b->builtin = o->config->builtin;
    mem_init(&m, 0);
    bool ok = server_scraping_read(o->root, o->where, o->os, &m, &c, e) &&
              new_engine(b, o, scrape_config_global(c), e);
    scrape_config_free(c);
    struct rules_change *rules = NULL;
    ok = ok && (!b->builtin || write_builtin(b, o->storage_dir, o->os, e)) &&
         server_rulebook_prepare(b, o->root, o->where, o->os, &rules, e);
    if (ok) {
        rules_commit(b->rules, rules);
    }
    return ok;
}

bool server_rulebook_run(struct server_rulebook *b, struct err *e)
{
    return rules_start(b->rules, e);
}

void server_rulebook_stop(struct server_rulebook *b)
{
    rules_free(b->rules);
    b->rules = NULL;
}
