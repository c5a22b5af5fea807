/* Targets from files: a list of {targets, labels}, in JSON or YAML, written by whatever knows where
 * things run. JSON is read by the YAML reader, of which it is a part, so that errors have
 * places. */
#include "ingest/scrape/scrape_int.h"

#include "base/file.h"

bool scrape_sd_parse(struct str text, const char *path, struct arena *a, struct scrape_group **out,
                     uint32_t *n, struct err *e)
{
    struct yaml_node *root = NULL;
    *out = NULL;
    *n = 0;
    if (str_trim(text).n == 0) {
        return true;
    }
    if (!yaml_parse(text, path, a, &root, e)) {
        return false;
    }
    if (yaml_is_null(root)) {
        return true;
    }
    if (root->kind != YAML_SEQUENCE) {
        err_at(e, ERR_INPUT, root->line, root->col, "expected a list of groups of targets");
        if (e) {
            e->where = path;
        }
        return false;
    }
    *out = ARENA_ARRAY(a, struct scrape_group, root->children_count);
    if (root->children_count > 0 && !*out) {
        return err_set(e, ERR_LIMIT, "targets need more memory than they may have");
    }
    for (const struct yaml_node *c = root->first; c; c = c->next) {
        if (!scrape_read_group(c, a, &(*out)[*n], e)) {
            if (e) {
                e->where = path;
            }
            return false;
        }
        ++*n;
    }
    return true;
}

/* --- patterns ----------------------------------------------------------------------------- */

struct glob {
    struct str before, after; /* of the star, in the last part */
    struct str dir;
    void (*each)(void *ctx, const char *path);
    void *ctx;
};

static void each_name(void *arg, const char *name)
{
    struct glob *g = arg;
    struct str s = str_from_c(name);
    char path[PATH_BYTES_MAX];
    if (s.n < g->before.n + g->after.n || !str_starts(s, g->before) || !str_ends(s, g->after) ||
        g->dir.n + 1 + s.n >= sizeof path) {
        return;
    }
    memcpy(path, g->dir.p, g->dir.n);
    path[g->dir.n] = '/';
    memcpy(path + g->dir.n + 1, s.p, s.n);
    path[g->dir.n + 1 + s.n] = '\0';
    g->each(g->ctx, path);
}

bool scrape_glob(const struct os *os, const char *pattern,
                 void (*each)(void *ctx, const char *path), void *ctx, struct err *e)
{
    struct str s = str_from_c(pattern);
    struct str_cut star = str_cut(s, '*');
    char dir[PATH_BYTES_MAX];
    if (!star.ok) {
        each(ctx, pattern);
        return true;
    }
    size_t slash = star.head.n;
    while (slash > 0 && s.p[slash - 1] != '/') {
        slash--;
    }
    if (slash >= sizeof dir || str_cut(star.tail, '/').ok || str_cut(star.tail, '*').ok) {
        return err_set(e, ERR_INPUT, "expected at most one *, in the last part of the path");
    }
    struct glob g = {.before = str_of(s.p + slash, star.head.n - slash),
                     .after = star.tail,
                     .dir = slash > 1 ? str_of(s.p, slash - 1)
                            : slash   ? STR("")
                                      : STR("."),
                     .each = each,
                     .ctx = ctx};
    memcpy(dir, slash == 1 ? "/" : g.dir.p, slash == 1 ? 1 : g.dir.n);
    dir[slash == 1 ? 1 : g.dir.n] = '\0';
    /* A folder that is not there has no files: it may come later. */
    (void)os->list(os->ctx, dir, each_name, &g);
    return true;
}
