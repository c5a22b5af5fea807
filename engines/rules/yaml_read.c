/* What rule files and unit-test files share in reading YAML: strict keys with a suggestion,
 * durations, texts, and the collection of problems. */
#include "engines/rules/yaml_int.h"

#include <stdarg.h>
#include <stdio.h>

bool yaml_problem(struct yaml_read *r, const struct yaml_node *n, const char *fmt, ...)
{
    struct err e = {.code = ERR_INPUT, .line = n->line, .col = n->col, .where = r->path};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e.msg, sizeof e.msg, fmt, args);
    va_end(args);
    if (r->problems++ == 0 && r->e) {
        *r->e = e;
    }
    if (r->each) {
        r->each(r->ctx, &e);
    }
    return false;
}

bool yaml_full(struct yaml_read *r)
{
    r->full = true;
    if (r->problems++ == 0) {
        (void)err_set(r->e, ERR_LIMIT, "%s: the file needs more memory than it may have", r->path);
    }
    return false;
}

void yaml_read_keys(struct yaml_read *r, const struct yaml_node *n, const struct str *keys,
                    size_t count, const char *what)
{
    for (const struct yaml_node *c = n->first; c && !r->unknown_keys; c = c->next) {
        size_t best = 4;
        struct str near = {0};
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = str_eq(keys[i], c->key);
            size_t d = str_distance(keys[i], c->key);
            if (d < best) {
                best = d;
                near = keys[i];
            }
        }
        if (known) {
            continue;
        }
        struct yaml_node at = *c;
        at.line = c->key_line;
        at.col = c->key_col;
        struct str key = str_sub(c->key, 0, 60);
        if (near.n) {
            (void)yaml_problem(r, &at, "\"%.*s\" is not a key of %s, did you mean \"%.*s\"?",
                               STR_FMT(key), what, STR_FMT(near));
        } else {
            (void)yaml_problem(r, &at, "\"%.*s\" is not a key of %s", STR_FMT(key), what);
        }
    }
}

struct str yaml_read_text(struct yaml_read *r, const struct yaml_node *n)
{
    if (!n || yaml_is_null(n)) {
        return STR("");
    }
    if (n->kind != YAML_SCALAR) {
        (void)yaml_problem(r, n, "expected a text for \"%.*s\", found a %s",
                           STR_FMT(str_sub(n->key, 0, 60)),
                           n->kind == YAML_MAPPING ? "mapping" : "list");
        return STR("");
    }
    return n->text;
}

void yaml_read_duration(struct yaml_read *r, const struct yaml_node *n, int64_t max_ms, int64_t *ms)
{
    if (!n || yaml_is_null(n)) {
        return;
    }
    int64_t v = 0;
    if (n->kind != YAML_SCALAR ||
        (!str_eq(n->text, STR("0")) && !str_to_duration_ms(n->text, &v)) || v > max_ms) {
        (void)yaml_problem(r, n, "not a valid duration string: \"%.*s\" (expected 30s, 5m, 1h30m)",
                           STR_FMT(str_sub(n->text, 0, 60)));
        return;
    }
    *ms = v;
}
