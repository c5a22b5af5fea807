/* Paths of rule files: patterns over the os seam (so that tests and unit tests of rules need no
 * disk).
 * *, ? and [...] stand for characters of one part of a path, as in a shell. Names that begin with a
 * dot are matched too, as Go's filepath.Glob does. */
#include "engines/rules/engine_int.h"

#include "base/file.h"

#include <fnmatch.h>

#define PARTS_MAX 64

struct glob {
    const struct os *os;
    struct arena *arena;
    struct str *out;
    uint32_t n, cap;
    bool full;
    const char *pattern; /* of the part being listed */
    struct str *names;
    uint32_t names_n, names_cap;
};

static bool is_pattern(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '*' || s.p[i] == '?' || s.p[i] == '[') {
            return true;
        }
    }
    return false;
}

static void add(struct glob *g, struct str **v, uint32_t *n, uint32_t *cap, struct str s)
{
    if (*n == *cap) {
        uint32_t more = *cap ? *cap * 2 : 16;
        struct str *grown =
            more > RULES_FILES_MAX * 2 ? NULL : ARENA_ARRAY(g->arena, struct str, more);
        if (!grown) {
            g->full = true;
            return;
        }
        if (*n) {
            memcpy(grown, *v, *n * sizeof grown[0]);
        }
        *v = grown;
        *cap = more;
    }
    struct str copy = arena_str(g->arena, s);
    g->full |= !copy.p;
    (*v)[(*n)++] = copy;
}

static void on_name(void *arg, const char *name)
{
    struct glob *g = arg;
    if (fnmatch(g->pattern, name, 0) == 0) {
        add(g, &g->names, &g->names_n, &g->names_cap, str_from_c(name));
    }
}

/* base: the path so far, with its last slash; rest: what is left of the pattern. */
static void expand(struct glob *g, struct str base, struct str rest, uint32_t depth)
{
    struct str_cut cut = str_cut(rest, '/');
    char path[PATH_BYTES_MAX];
    if (g->full || depth == PARTS_MAX || base.n + rest.n + 2 > sizeof path) {
        return;
    }
    if (!is_pattern(rest)) {
        struct buf b;
        buf_init(&b, g->arena->mem, sizeof path);
        buf_str_add(&b, base);
        buf_str_add(&b, rest);
        add(g, &g->out, &g->n, &g->cap, buf_str(&b));
        buf_release(&b);
        return;
    }
    if (!is_pattern(cut.head)) {
        memcpy(path, base.p, base.n);
        memcpy(path + base.n, cut.head.p, cut.head.n);
        path[base.n + cut.head.n] = '/';
        expand(g, str_of(path, base.n + cut.head.n + 1), cut.tail, depth + 1);
        return;
    }
    char *dir = arena_cstr(g->arena, base.n ? base : STR("."));
    struct glob sub = {.os = g->os, .arena = g->arena, .pattern = arena_cstr(g->arena, cut.head)};
    if (!dir || !sub.pattern) {
        g->full = true;
        return;
    }
    (void)g->os->list(g->os->ctx, dir, on_name, &sub);
    g->full |= sub.full;
    for (uint32_t i = 0; i < sub.names_n && !g->full; i++) {
        size_t n = base.n + sub.names[i].n;
        if (n + 2 > sizeof path) {
            continue;
        }
        memcpy(path, base.p, base.n);
        memcpy(path + base.n, sub.names[i].p, sub.names[i].n);
        if (cut.ok) {
            path[n] = '/';
            expand(g, str_of(path, n + 1), cut.tail, depth + 1);
        } else {
            add(g, &g->out, &g->n, &g->cap, str_of(path, n));
        }
    }
}

bool rules_glob(const struct os *os, const char *dir, struct str pattern, struct arena *a,
                struct str **out, uint32_t *n, struct err *e)
{
    struct glob g = {.os = os, .arena = a};
    bool absolute = pattern.n && pattern.p[0] == '/';
    struct buf base;
    buf_init(&base, a->mem, PATH_BYTES_MAX);
    if (absolute) {
        buf_char(&base, '/');
    } else if (dir && dir[0] && !str_eq(str_from_c(dir), STR("."))) {
        buf_str_add(&base, str_from_c(dir));
        if (base.n && base.p[base.n - 1] != '/') {
            buf_char(&base, '/');
        }
    }
    bool ok = !base.failed;
    if (ok) {
        expand(&g, base.n ? buf_str(&base) : STR(""), str_sub(pattern, absolute, pattern.n), 0);
    }
    buf_release(&base);
    *out = g.out;
    *n = g.n;
    return (ok && !g.full) || err_set(e, ERR_LIMIT,
                                      "pattern of rule files is too long or matches too "
                                      "many files: \"%.*s\"",
                                      STR_FMT(str_sub(pattern, 0, 100)));
}
